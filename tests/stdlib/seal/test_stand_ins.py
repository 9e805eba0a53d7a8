"""Stand-ins: who gets the answer, who the real thing, and what a program sees of a function beside its calls."""

import asyncio
import copy
import os
import select
import unittest

from solipsism_unittest import SolipsistEventLoop, sealed
from solipsism_unittest.kernel import FIRST_DESCRIPTOR, Kernel
from solipsism_unittest.stdlib.seal import stand_ins
from solipsism_unittest.stdlib.seal.stand_ins import OrderedSet, stand_in, stand_over, static
from solipsism_unittest.stdlib.worlds import World


def real(*args, **kwargs):
    """What stood there."""
    return "real", args, kwargs


class StandInTest(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)

    def test_only_a_sealed_thread_gets_the_answer(self):
        """Inside a world the answer comes with the world and the arguments; outside the real function is called."""
        function = stand_in(lambda world, *args, **kwargs: (world, args, kwargs))(real)
        self.assertEqual(function(1, key=2), ("real", (1,), {"key": 2}))
        with sealed(self.loop):
            self.assertEqual(function(1, key=2), (self.loop.world, (1,), {"key": 2}))

    def test_over_the_real_function(self):
        """An answer that stands over the real function gets it before the arguments."""
        function = stand_over(lambda world, before, *args: (world, before, args))(real)
        with sealed(self.loop):
            self.assertEqual(function(1), (self.loop.world, real, (1,)))

    def test_unless(self):
        """Where the condition holds of the world and the arguments, a sealed thread gets the real function too."""
        asked = []

        def odd(world, args, kwargs):
            asked.append(world)
            return args[0] % 2 == 1

        for make in (stand_in, stand_over):
            function = make(lambda *args: "ours", unless=odd)(real)
            self.assertEqual(function(3), ("real", (3,), {}))
            with sealed(self.loop):
                self.assertEqual((function(1), function(2)), (("real", (1,), {}), "ours"))
        self.assertEqual(asked, [self.loop.world] * 4)

    def test_it_looks_like_the_real_function(self):
        """It has the name and the text of the real function, and its abilities in module os."""
        function = stand_in(print)(real)
        self.assertEqual((function.__name__, function.__doc__, function.__wrapped__), ("real", real.__doc__, real))
        stat = stand_in(print)(os.stat)
        self.addCleanup(os.supports_fd.discard, stat)
        for abilities in (os.supports_dir_fd, os.supports_follow_symlinks):
            self.addCleanup(abilities.discard, stat)
            self.assertIs(stat in abilities, os.stat in abilities)
        self.assertIn(stat, os.supports_fd)
        self.assertNotIn(function, os.supports_fd)

    @unittest.skipUnless(hasattr(select, "epoll"), "epoll is Linux's")
    def test_a_class_keeps_its_other_maker(self):
        """What stands for the class epoll has its `fromfd` too."""
        self.assertEqual(stand_in(print)(select.epoll).fromfd, select.epoll.fromfd)

    def test_static(self):
        """As an attribute of a class it is not bound to the instance."""
        owner = type("Owner", (), {"call": static(stand_in(print))(real)})
        self.assertEqual(owner().call(1), ("real", (1,), {}))


class ConditionsTest(unittest.TestCase):
    """The conditions that look at arguments alone: all true where the real thing has to answer."""

    world = World(Kernel())

    def test_descriptors(self):
        """A number below 2**30 is real, however it is passed, and so is what has none."""
        for condition in (stand_ins.real_descriptor, stand_ins.real_file_object):
            with self.subTest(condition.__name__):
                self.assertTrue(condition(self.world, (1,), {}))
                self.assertTrue(condition(self.world, ("name",), {}))
                self.assertTrue(condition(self.world, (), {}))
                self.assertFalse(condition(self.world, (FIRST_DESCRIPTOR,), {}))
        for name in ("fd", "out_fd"):
            self.assertFalse(stand_ins.real_descriptor(self.world, (), {name: FIRST_DESCRIPTOR}))

    def test_paths(self):
        """Where a world has no socket files, every path is real; a virtual descriptor never is."""
        for condition in (stand_ins.no_socket_file, stand_ins.real_file):
            with self.subTest(condition.__name__):
                self.assertTrue(condition(self.world, ("path",), {}))
                self.assertTrue(condition(self.world, (), {"file": "path"}))
                self.assertFalse(condition(self.world, (FIRST_DESCRIPTOR,), {}))


class OrderedSetTest(unittest.TestCase):
    """A set of asyncio's is a set to the program, in order."""

    def test_in_order(self):
        """Members stand as they came, and the first one is popped first."""
        members = OrderedSet("hello world")
        for change, order in ((lambda: members.add("x"), "helo wrdx"), (lambda: members.add("h"), "helo wrdx"),
                              (lambda: members.discard("l"), "heo wrdx"), (lambda: members.discard("l"), "heo wrdx"),
                              (lambda: members.remove("x"), "heo wrd"), (members.pop, "eo wrd"),
                              (lambda: members.update("zz"), "eo wrdz"),
                              (lambda: members.difference_update("eo"), " wrdz"),
                              (lambda: members.add("e"), " wrdez")):
            change()
            with self.subTest(order):
                self.assertEqual(("".join(sorted(members)), len(members)), ("".join(sorted(order)), len(order)))
        self.assertEqual(list(OrderedSet([3, 1, 2, 3])), [3, 1, 2])
        members.clear()
        self.assertEqual((list(members), members), ([], set()))

    def test_as_a_set(self):
        """It is equal to one, is written and copied as one, and refuses as one does."""
        members = OrderedSet([2, 1])
        self.assertIsInstance(members, set)
        self.assertEqual((members, repr(members), repr(OrderedSet())), ({1, 2}, "{1, 2}", "set()"))
        for other in (copy.copy(members), copy.deepcopy(members), members | {3}, members.copy()):
            self.assertIs(type(other), set)
        with self.assertRaises(KeyError):
            members.remove(5)
        with self.assertRaisesRegex(KeyError, "pop from an empty set"):
            OrderedSet().pop()

    def test_where(self):
        """asyncio has it in a sealed thread; elsewhere, and afterwards, it has Python's own."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            there = asyncio.tasks.set
            self.assertIs(type(asyncio.taskgroups.TaskGroup()._tasks), OrderedSet)
        self.assertEqual((type(there()), type(there([1]))), (set, set))
        self.assertFalse({"set"} & (vars(asyncio.tasks).keys() | vars(asyncio.taskgroups).keys()))
