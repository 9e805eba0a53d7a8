"""What stands behind a descriptor: readiness is announced, never looked for."""

import errno
import unittest

from solipsism_unittest.kernel.descriptors.file import READABLE, WRITABLE, File, os_error


class FileTest(unittest.TestCase):
    def setUp(self):
        self.awake = {}
        self.file = File(self.awake, None)

    def test_what_a_file_need_not_know(self):
        """What no kind of file says better: poll() is all that there is to say, and nothing waits to be read."""
        self.file.poll = lambda: WRITABLE
        self.assertEqual((self.file.conditions(), self.file.unread(), self.file.blocking), (WRITABLE, 0, True))

    def test_silent_without_interest(self):
        """A change of a file that nobody waits for wakes nobody."""
        self.file.changed()
        self.assertEqual(self.awake, {})

    def test_announced(self):
        """To wait for a file, and every change while somebody does, has it looked at."""
        self.file.watch(READABLE)
        self.assertEqual(list(self.awake), [self.file])
        self.awake.clear()
        self.file.changed()
        self.assertEqual(list(self.awake), [self.file])

    def test_no_longer_watched(self):
        """Who stops waiting is not told; stopping twice does nothing."""
        self.file.watch(READABLE | WRITABLE)
        self.file.watch(0)
        self.file.watch(0)
        self.file.changed()
        self.assertEqual(self.awake, {})

    def test_a_kind_of_file_says_what_it_does(self):
        """A plain file can neither be asked nor ended: subclasses say how."""
        for method in (self.file.poll, self.file.close):
            with self.subTest(method=method), self.assertRaises(NotImplementedError):
                method()

    def test_ready_is_what_is_waited_for(self):
        """What is ready is told as far as somebody waits for it."""

        class Open(File):
            def poll(self):
                return READABLE | WRITABLE

        file = Open(self.awake, None)
        self.assertEqual(file.ready(), 0)
        file.watch(WRITABLE)
        self.assertEqual(file.ready(), WRITABLE)

    def test_os_error(self):
        """An errno by its name gives the subclass of OSError that goes with it, and the system's text."""
        for name, kind in (
            ("EAGAIN", BlockingIOError),
            ("EPIPE", BrokenPipeError),
            ("ECONNREFUSED", ConnectionRefusedError),
            ("ECONNRESET", ConnectionResetError),
            ("EADDRINUSE", OSError),
            ("EINPROGRESS", BlockingIOError),
        ):
            error = os_error(getattr(errno, name))
            with self.subTest(name):
                self.assertIs(type(error), kind)
                self.assertEqual(error.errno, getattr(errno, name))
                self.assertTrue(error.strerror)
