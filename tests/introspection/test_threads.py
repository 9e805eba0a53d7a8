"""Whether other threads rest: what the system says, and what is done where it says nothing."""

import contextlib
import threading
import time
import unittest
import unittest.mock

from solipsism_unittest.introspection import threads


@contextlib.contextmanager
def a_thread(target, *args):
    """A thread that runs inside; `target` ends by itself when the block does."""
    thread = threading.Thread(target=target, args=args)
    thread.start()
    try:
        yield thread
    finally:
        args[0].set()
        thread.join()


def turn_round(over):
    while not over.is_set():
        pass


def soon(ask):
    """What `ask()` gives when that is not None, within ten seconds."""
    deadline = time.monotonic() + 10
    while (answer := ask()) is None and time.monotonic() < deadline:
        time.sleep(0.001)
    return answer


class Cases:
    def test_a_thread_that_waits(self):
        """A thread that waits rests, alone and among all; one that is left out is not among the answers."""
        with a_thread(threading.Event.wait, threading.Event()) as thread:
            number = thread.native_id
            self.assertEqual(list(soon(lambda: threads.resting([number]))), [number])
            self.assertIn(number, soon(threads.resting))
            self.assertNotIn(number, soon(lambda: threads.resting(but=[number])))

    def test_one_look(self):
        """As long as a thread rests, one look gives the same."""
        with a_thread(threading.Event.wait, threading.Event()) as thread:
            rest = soon(lambda: threads.resting([thread.native_id]))
            self.assertEqual(threads.asleep([thread.native_id]), rest)

    def test_the_time_that_a_thread_has_used(self):
        """A thread that runs uses time."""
        with a_thread(turn_round, threading.Event()) as thread:
            used = threads.processor_time(thread.native_id)
            self.assertTrue(soon(lambda: threads.processor_time(thread.native_id) > used or None))


@unittest.skipUnless(threads._LINUX, "the system does not say how often a thread was given a processor")
class OfTheSystemTest(Cases, unittest.TestCase):
    def test_a_thread_that_runs(self):
        """A thread that runs does not rest."""
        with a_thread(turn_round, threading.Event()) as thread:
            self.assertIsNone(threads.resting([thread.native_id]))

    def test_a_thread_that_wakes_up_now_and_then(self):
        """A thread that has run between the looks does not rest."""
        def nap(over):
            while not over.wait(0.0001):
                pass

        with a_thread(nap, threading.Event()) as thread:
            self.assertIsNone(threads.resting([thread.native_id]))

    def test_a_thread_that_has_ended(self):
        """A thread that is gone does not rest."""
        with a_thread(threading.Event.wait, threading.Event()) as thread:
            pass
        self.assertTrue(soon(lambda: threads.resting([thread.native_id]) is None or None))


class OfFramesTest(Cases, unittest.TestCase):
    """Where the system says nothing."""

    def setUp(self):
        for patch in (unittest.mock.patch.object(threads, "_LINUX", False),
                      unittest.mock.patch.object(threads, "_OF_THREADS", "/nowhere")):
            patch.start()
            self.addCleanup(patch.stop)

    def test_a_thread_that_moves(self):
        """A thread that is at another place at the next look does not rest."""
        with a_thread(turn_round, threading.Event()) as thread:
            self.assertTrue(soon(lambda: threads.resting([thread.native_id]) is None or None))
