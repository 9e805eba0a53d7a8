"""The selector by itself: its registrations answer as `selectors` do, and `select()` moves time only as the last
resort.
"""

import math
import os
import selectors
import socket
import unittest

from solipsism_unittest import (
    LivelockError,
    RealTimeLimitError,
    SleepForeverError,
    SolipsismError,
    SolipsistEventLoop,
    VirtualSocket,
    VirtualTimeLimitError,
    sealed,
)
from solipsism_unittest.hangs.spins import Look
from solipsism_unittest.kernel import FIRST_DESCRIPTOR, READABLE, WRITABLE, Kernel
from solipsism_unittest.loop.selector import Limits, VirtualSelector
from solipsism_unittest.stdlib.worlds import World


class Owner:
    """Answers for a selector as a loop does; each hang is raised."""

    _clock_resolution = 0.0

    def __init__(self, kernel):
        self.loop = self
        self.kernel = kernel
        self.deadline = math.inf

    def next_deadline(self):
        return self.deadline

    def next_timer(self):
        return None

    def stuck(self, kind, reason, hint):
        raise kind(f"{reason} at t={self.kernel.clock.now!r}" + (f": {hint}" if hint else ""))

    def beyond(self, when):
        raise VirtualTimeLimitError(f"t={when!r} comes next")

    def question_the_wait(self):
        return 10

    def look(self):
        return Look()

    def slow_turn(self, seconds, runs):
        pass


class Selectors(unittest.TestCase):
    def setUp(self):
        self.world = World(Kernel())
        self.kernel = self.world.kernel
        self.owner = Owner(self.kernel)
        self.selector = VirtualSelector(self.world, self.owner)
        self.one, self.two = VirtualSocket.pair(self.world)
        self.addCleanup(self.one.close)
        self.addCleanup(self.two.close)

    def real(self):
        """A real selector and a real pair, to compare with."""
        selector = selectors.DefaultSelector()
        one, two = socket.socketpair()
        for thing in (selector, one, two):
            self.addCleanup(thing.close)
        return selector, one, two


class RegistrationTest(Selectors):
    def both(self):
        yield self.selector, self.one, self.two
        yield self.real()

    def outcome(self, call, *args):
        """The type of what `call` returns or raises."""
        try:
            return type(call(*args)).__name__
        except Exception as error:
            return type(error).__name__

    def test_what_was_closed_can_still_be_modified(self):
        """A descriptor that was closed while registered keeps its registration until it is unregistered."""
        number = self.one.fileno()
        self.selector.register(number, selectors.EVENT_READ)
        self.one.close()
        self.assertEqual(self.selector.modify(number, selectors.EVENT_WRITE).events, selectors.EVENT_WRITE)
        self.assertEqual(self.selector.unregister(number).fd, number)

    def test_answers_as_a_real_selector_does(self):
        """Registering, modifying, looking up and unregistering, rightly and wrongly, answer as the real selector
        does.
        """
        outcomes = []
        for selector, one, two in self.both():
            seen = [
                self.outcome(selector.register, one, selectors.EVENT_READ, "data"),
                self.outcome(selector.register, one, selectors.EVENT_READ),
                self.outcome(selector.register, one.fileno(), selectors.EVENT_READ),
                self.outcome(selector.register, two, 0),
                self.outcome(selector.register, two, 4),
                self.outcome(selector.register, -1, 1),
                self.outcome(selector.register, object(), 1),
                self.outcome(selector.modify, one, 3, "other"),
                self.outcome(selector.modify, two, 1),
                self.outcome(selector.get_key, one),
                self.outcome(selector.get_key, two),
                self.outcome(selector.get_key, 7_000),
                selector.get_key(one)[2:],
                len(selector.get_map()),
                list(selector.get_map()) == [one.fileno()],
                selector.get_map().get(one).fileobj is one,
                selector.get_map().get(one.fileno()).fileobj is one,
                selector.get_map().get(7_000, "default"),
                selector.get_map().get(two, "default"),
                one in selector.get_map(),
                self.outcome(selector.unregister, two),
                self.outcome(selector.unregister, two.fileno()),
                self.outcome(selector.unregister, one),
                len(selector.get_map()),
                self.outcome(selector.close),
            ]
            outcomes.append(seen)
        self.assertEqual(*outcomes)

    def test_a_socket_that_was_closed_while_registered(self):
        """A socket that is closed first can still be looked up and unregistered by itself, as on a real selector."""
        outcomes = []
        for selector, one, two in self.both():
            selector.register(one, selectors.EVENT_READ)
            one.close()
            outcomes.append(
                [
                    selector.get_key(one).fileobj is one,
                    self.outcome(selector.get_key, two),
                    selector.unregister(one).fileobj is one,
                    self.outcome(selector.unregister, one),
                ]
            )
        self.assertEqual(*outcomes)

    def test_a_descriptor_of_another_world(self):
        """A real socket, a real descriptor and a socket of another loop are SolipsismErrors."""
        _, real, _ = self.real()
        other, peer = VirtualSocket.pair(World(Kernel()))
        with other, peer:
            for thing in (real, 0, FIRST_DESCRIPTOR + 1_000, other):
                with self.subTest(thing), self.assertRaises(SolipsismError):
                    self.selector.register(thing, selectors.EVENT_READ)

    def test_looking_up_a_descriptor_of_another_world(self):
        """What cannot be waited for is not there, as with a real selector: looking it up is no error."""
        with open(os.devnull) as real:
            self.assertIsNone(self.selector.get_map().get(real))
            self.assertNotIn(real, self.selector.get_map())
            self.assertRaises(KeyError, self.selector.get_key, real)
            self.assertRaises(KeyError, self.selector.unregister, real)

    def test_a_loose_pair_joins(self):
        """A pair that was made outside any loop joins the world of the selector that it is registered with."""
        loose, peer = VirtualSocket.pair(World(Kernel(), loose=True))
        with loose, peer:
            self.selector.register(loose, selectors.EVENT_WRITE)
            self.assertIs(loose.world, self.world)
            self.assertEqual([key.fileobj for key, _ in self.selector.select(0)], [loose])


class SelectTest(Selectors):
    def select(self, timeout=0.0):
        return [(key.data, events) for key, events in self.selector.select(timeout)]

    def test_readiness_is_a_level(self):
        """What is ready is told at each call until it is not, in the order in which it became so, and only what is
        asked for.
        """
        self.selector.register(self.one, selectors.EVENT_READ | selectors.EVENT_WRITE, "one")
        self.selector.register(self.two, selectors.EVENT_READ, "two")
        self.assertEqual(self.select(), [("one", WRITABLE)])
        self.one.send(b"x")
        self.assertEqual(self.select(), [("one", WRITABLE), ("two", READABLE)])
        self.assertEqual(self.select(None), [("one", WRITABLE), ("two", READABLE)])
        self.two.recv(1)
        self.two.send(b"y")
        self.assertEqual(self.select(), [("one", READABLE | WRITABLE)])
        self.selector.modify(self.one, selectors.EVENT_WRITE, "less")
        self.assertEqual(self.select(), [("less", WRITABLE)])
        self.selector.unregister(self.one)
        self.assertEqual(self.select(), [])

    def test_a_timeout_of_nothing_moves_no_time(self):
        """select(0) and a negative timeout look and return; time does not move, whatever is due later."""
        self.owner.deadline = 5.0
        for timeout in (0, 0.0, -1):
            self.assertEqual(self.selector.select(timeout), [])
        self.assertEqual(self.kernel.clock.now, 0.0)

    def test_it_jumps_to_the_earliest(self):
        """select() goes to the earliest of timer, delivery and stop, whatever the timeout says, and delivers on the
        way.
        """
        self.selector.register(self.two, selectors.EVENT_READ, "two")
        self.owner.deadline = 5.0
        self.kernel.clock.deliver_at(3.0, lambda: self.one.send(b"x"))
        ended = []
        self.kernel.clock.stop_at(2.0, lambda: ended.append(2.0))
        self.assertEqual((self.select(86400), self.kernel.clock.now, ended), ([], 2.0, [2.0]))
        self.assertEqual((self.select(None), self.kernel.clock.now), ([("two", READABLE)], 3.0))
        self.two.recv(1)
        self.assertEqual((self.select(1), self.kernel.clock.now), ([], 5.0))

    def test_a_wake_up_comes_before_time(self):
        """A wake-up of another thread makes select() return once, before time moves."""
        self.owner.deadline = 5.0
        self.selector.wakeups.put(None)
        self.selector.wakeups.put(None)
        self.assertEqual((self.selector.select(1), self.kernel.clock.now), ([], 0.0))
        self.assertEqual((self.selector.select(1), self.kernel.clock.now), ([], 5.0))

    def test_what_is_reported(self):
        """Each kind of being stuck is reported to the owner, with its cause."""
        with self.assertRaisesRegex(SleepForeverError, r"^nothing can wake the program at t=0\.0$"):
            self.selector.select(None)
        self.selector.autojump = False
        self.owner.deadline = 5.0
        with self.assertRaisesRegex(
            SleepForeverError, r"^nobody moves time on at t=0\.0: autojump is off, .* due at t=5\.0"
        ):
            self.selector.select(5.0)
        self.selector.limits = Limits(turns=10)
        for _ in range(10):
            self.selector.select(0)
        with self.assertRaisesRegex(LivelockError, r"^the program spins at t=0\.0: 10 turns"):
            self.selector.select(0)
        hold = self.kernel.clock.hold("the test")
        self.selector.limits = Limits(real_seconds=0.001)
        with self.assertRaisesRegex(RealTimeLimitError, r"0\.001 real seconds for <Hold: the test>"):
            self.selector.select(5.0)
        hold.release()

    def test_infinity_is_no_deadline(self):
        """A timer at infinity counts as none."""
        self.owner.deadline = math.inf
        with self.assertRaises(SleepForeverError):
            self.selector.select(86400)


class LoopTest(unittest.TestCase):
    def test_removing_what_was_never_added(self):
        """remove_reader() and remove_writer() of a descriptor that is not watched are False, as on a real loop."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            face = socket.socket()
        with face:
            self.assertEqual(
                [loop.remove_reader(face), loop.remove_writer(face.fileno()), loop.remove_reader(5)], [False] * 3
            )
