"""The machine as a whole: descriptors, pairs, readiness, and what was made outside any loop."""

import errno
import socket
import unittest

from solipsism_unittest.errors import SolipsismError
from solipsism_unittest.kernel import DEFAULT_CAPACITY, FIRST_DESCRIPTOR, READABLE, WRITABLE, Kernel, capacities
from tests.kernel import output_under_hash_seeds


class CapacitiesTest(unittest.TestCase):
    def test_numbers(self):
        """A number counts for both directions, a pair for each, None is the default."""
        self.assertEqual(
            [capacities(given) for given in (None, 1, (2, 3), [4, 5])],
            [(DEFAULT_CAPACITY, DEFAULT_CAPACITY), (1, 1), (2, 3), (4, 5)],
        )

    def test_bad(self):
        """What holds not even one byte, or is no number, is a ValueError that shows it."""
        for given in (0, -1, (1, 0), (0, 1), (1,), (1, 2, 3), (1, "2"), (1.0, 2), True, (True, 2), "ab", ()):
            with (
                self.subTest(given=given),
                self.assertRaisesRegex(ValueError, "a number of bytes from 1 up, or a pair of them"),
            ):
                capacities(given)

    def test_not_even_a_pair(self):
        """What can be neither is refused as well."""
        for given in (1.5, object()):
            with self.subTest(given=given), self.assertRaises((TypeError, ValueError)):
                capacities(given)


class DescriptorTest(unittest.TestCase):
    def test_numbers(self):
        """Descriptors count up from 2**30 and are never used again."""
        kernel = Kernel()
        one, two = kernel.pair(None, None)
        kernel.close(one)
        three = kernel.stream(socket.AF_INET, None)
        self.assertEqual([end.number - FIRST_DESCRIPTOR for end in (one, two, three)], [0, 1, 2])
        self.assertEqual(list(kernel.files), [two.number, three.number])
        self.assertEqual(FIRST_DESCRIPTOR, 2**30)

    def test_close_twice(self):
        """Closing again harms nobody, not even who has the descriptor now."""
        kernel = Kernel()
        one, _ = kernel.pair(None, None)
        kernel.close(one)
        kernel.files[one.number] = other = kernel.stream(socket.AF_INET, None)
        kernel.close(one)
        self.assertIs(kernel.files[one.number], other)
        self.assertEqual(one.state, "closed")

    def test_reap(self):
        """A descriptor is taken away once, and its file ends with the last one."""
        kernel = Kernel()
        one, two = kernel.pair(None, None)
        number, another = one.number, kernel.duplicate(one.number)
        kernel.reap(number)
        self.assertRaises(BlockingIOError, two.recv, 1)
        for _ in range(2):
            kernel.reap(another)
        self.assertEqual((list(kernel.files.values()), two.recv(1), kernel.reaped), ([two], b"", {number, another}))

    def test_repr(self):
        """A kernel says what time it is and what is open."""
        kernel = Kernel(1.5)
        kernel.pair(None, None)
        self.assertEqual(repr(kernel), "<Kernel t=1.5 2 open files, <Network: 1 host, 0 listeners>>")


class DuplicateTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.one, self.two = self.kernel.pair(None, None)
        self.number = self.one.number
        self.twin = self.kernel.duplicate(self.number)

    def test_one_file(self):
        """A duplicate is another number of the same file, which keeps its first one."""
        self.assertIs(self.kernel.files[self.twin], self.one)
        self.assertEqual((self.one.number, self.twin > self.number), (self.number, True))

    def test_the_last_ends_it(self):
        """The file ends when its last number is closed, in whatever order."""
        third = self.kernel.duplicate(self.twin)
        states = []
        for number in (self.number, third, self.twin):
            self.kernel.release(number)
            states.append((self.one.state, number in self.kernel.files))
        self.assertEqual(states, [("established", False), ("established", False), ("closed", False)])
        for call in (self.kernel.release, self.kernel.duplicate, self.kernel.file):
            with self.assertRaises(OSError) as caught:
                call(self.twin)
            self.assertEqual(caught.exception.errno, errno.EBADF)

    def test_closing_the_file(self):
        """A file that is closed as a whole loses all its numbers."""
        self.kernel.close(self.one)
        self.assertEqual((list(self.kernel.files), self.one.state), ([self.two.number], "closed"))

    def test_each_waits_for_itself(self):
        """What is waited for by one number is not told by the other."""
        self.kernel.watch(self.number, READABLE)
        self.kernel.watch(self.twin, WRITABLE)
        self.assertEqual(self.told(), [(self.twin, WRITABLE)])
        self.two.send(memoryview(b"x"))
        self.assertEqual(self.told(), [(self.number, READABLE), (self.twin, WRITABLE)])
        self.kernel.watch(self.twin, READABLE)
        self.kernel.release(self.number)
        self.assertEqual(self.told(), [(self.twin, READABLE)])
        self.kernel.watch(self.twin, 0)
        self.assertEqual(self.told(), [])

    def told(self):
        return [(descriptor.number, events) for descriptor, events in self.kernel.ready()]

    def test_waited_for_before(self):
        """What was waited for before the file had a second number is waited for by the first one."""
        self.kernel.watch(self.two.number, WRITABLE)
        self.kernel.duplicate(self.two.number)
        self.assertEqual(self.told(), [(self.two.number, WRITABLE)])

    def test_what_is_closed(self):
        """Nothing is told of a number that was closed."""
        self.kernel.release(self.two.number)
        self.kernel.watch(self.two.number, READABLE)
        self.assertEqual(self.told(), [])

    def test_adopted(self):
        """Both numbers of a file move into another world, which gives them new ones."""
        outside = Kernel()
        one, _ = outside.pair(None, None)
        twin = outside.duplicate(one.number)
        first = one.number
        self.kernel.adopt(outside)
        moved = [outside.moved[number] for number in (first, twin)]
        self.assertEqual([self.kernel.files[number] for number in moved], [one, one])
        self.assertEqual(one.number, moved[0])
        self.kernel.release(moved[0])
        self.assertEqual(one.number, moved[1])


class ReadyTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.one, self.two = self.kernel.pair(4, None)

    def test_what_is_waited_for(self):
        """Only what somebody waits for is ready, and only for that."""
        self.one.watch(READABLE)
        self.two.watch(READABLE | WRITABLE)
        self.assertEqual(self.kernel.ready(), [(self.two, WRITABLE)])
        self.two.send(memoryview(b"data"))
        self.assertEqual(self.kernel.ready(), [(self.one, READABLE)])

    def test_order(self):
        """Of two that became ready the first is told first, whichever was made first."""
        self.one.watch(READABLE)
        self.two.watch(READABLE)
        self.kernel.ready()
        self.one.send(memoryview(b"x"))
        self.two.send(memoryview(b"x"))
        self.assertEqual([file for file, _ in self.kernel.ready()], [self.two, self.one])

    def test_level_triggered(self):
        """What stays ready is told each time."""
        self.two.send(memoryview(b"x"))
        self.one.watch(READABLE)
        self.assertEqual(self.kernel.ready(), self.kernel.ready())
        self.one.recv(1)
        self.assertEqual(self.kernel.ready(), [])

    def test_nobody_scans(self):
        """A thousand idle ends that are waited for cost nothing: after one look they are not looked at again."""
        idle = [end for _ in range(500) for end in self.kernel.pair(None, None)]
        for end in idle:
            end.watch(READABLE)
        self.kernel.ready()
        self.assertEqual(self.kernel.awake, {})
        self.one.watch(READABLE)
        self.two.send(memoryview(b"x"))
        self.kernel.ready()
        self.assertEqual(list(self.kernel.awake), [self.one])

    def test_closed(self):
        """A file that was closed while somebody waited for it is not ready any more."""
        self.one.watch(WRITABLE)
        self.kernel.close(self.one)
        self.assertEqual(self.kernel.ready(), [])


class AdoptTest(unittest.TestCase):
    def setUp(self):
        self.kernel, self.outside = Kernel(), Kernel()

    def test_files_move(self):
        """What was made outside any loop gets numbers, a journal and a readiness list of the loop's kernel."""
        self.kernel.pair(None, None)
        one, two = self.outside.pair(None, None)
        self.kernel.adopt(self.outside)
        two.watch(READABLE)
        one.send(memoryview(b"x"))
        self.assertEqual(self.kernel.ready(), [(two, READABLE)])
        self.assertEqual([one.number - FIRST_DESCRIPTOR, two.number - FIRST_DESCRIPTOR], [2, 3])
        self.assertEqual([record.kind for record in self.kernel.journal], ["send"])
        self.assertEqual(self.outside.files, {})

    def test_bound_files_stay(self):
        """An address belongs to one world: what is bound cannot move, and then nothing moves."""
        bound = self.outside.stream(socket.AF_INET, None)
        self.outside.pair(None, None)
        self.outside.network.bind(bound, "127.0.0.1", 80)
        with self.assertRaisesRegex(
            SolipsismError, r"<stream 127\.0\.0\.1:80 fresh> was bound outside any loop: bind it"
        ):
            self.kernel.adopt(self.outside)
        self.assertEqual((len(self.outside.files), len(self.kernel.files)), (3, 0))


class ImportTest(unittest.TestCase):
    def test_no_asyncio(self):
        """The kernel stands on its own: it imports neither asyncio nor unittest, and makes no socket."""
        program = (
            "import sys, types\n"
            "package = types.ModuleType('solipsism_unittest'); package.__path__ = ['solipsism_unittest']\n"
            "sys.modules['solipsism_unittest'] = package\n"
            "sys.addaudithook(lambda event, args: event.startswith('socket.') and print(event))\n"
            "from solipsism_unittest.kernel import Kernel\n"
            "Kernel().names.getaddrinfo('a.test', 80)\n"
            "print(sorted({'asyncio', 'unittest'} & set(sys.modules)))"
        )
        self.assertEqual(output_under_hash_seeds(program, ("0",)), {"[]\n"})
