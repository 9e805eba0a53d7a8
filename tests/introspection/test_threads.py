"""Whether other threads rest: what the system says, and what is done where it says nothing."""

import contextlib
import dis
import gc
import threading
import time
import unittest
import unittest.mock
import weakref

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.hangs import reachability
from solipsism_unittest.introspection import threads
from solipsism_unittest.stdlib.threads.workers import linger
from tests import run_python


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


class WaitsTest(unittest.TestCase):
    """What a thread stands in is known by the name of what it calls."""

    CALLS = """if True:
        import sys, threading, time
        from solipsism_unittest.introspection import threads

        class Calls:
            lock = threading.Lock()
            def method(self, acquire, rest, same):
                self.lock.acquire(same(True), max(same(-1), -1))
            def by_name(self, acquire, rest, same):
                acquire(blocking=same(True))
            def any_arguments(self, acquire, rest, same):
                self.lock.acquire(*rest)
            def inside(self, acquire, rest, same):
                same(self.lock.acquire())
            def block(self, acquire, rest, same):
                with self.lock:
                    pass
            def other(self, acquire, rest, same):
                time.sleep(max(same(1), 0))

        def frame_in(call):
            thread = threading.Thread(target=call, args=(Calls.lock.acquire, (True, -1), lambda value: value))
            thread.start()
            for _ in range(1_000):
                time.sleep(0.01)
                frame = threads.frame_of(thread.ident)
                if frame is not None and frame.f_code.co_name == call.__name__:
                    return thread, threads.waits(frame)
            sys.exit("it does not come there")

        for name in ("method", "by_name", "any_arguments", "inside", "block", "other"):
            with Calls.lock:
                thread, found = frame_in(getattr(Calls(), name))
                print(name, found)
            thread.join()
            if Calls.lock.locked():
                Calls.lock.release()
        """

    def test_with_columns_and_without(self):
        """Also where code has no columns."""
        expected = "".join(f"{name} {name != 'other'}\n" for name in (
            "method", "by_name", "any_arguments", "inside", "block", "other"))
        for flags in ((), ("-X", "no_debug_ranges")):
            with self.subTest(flags):
                child = run_python(*flags, "-c", self.CALLS)
                self.assertEqual((child.stderr, child.stdout), ("", expected))


    def test_nothing_is_called(self):
        """Where no call begins nobody can say what is called."""
        self.assertIsNone(threads._callee(list(dis.get_instructions((lambda: 1).__code__))))


class LifetimeTest(unittest.TestCase):
    """Who asks where threads stand keeps nothing that any thread has in its hands."""

    def test_nothing_waits_for_a_collection(self):
        """What the asking thread and another one had is gone as soon as they have ended, without the collector."""

        class Thing:
            pass

        def hold(ask):
            thing = Thing()
            seen.append(weakref.ref(thing))
            ask()

        def walk():
            with contextlib.suppress(reachability.Unseen):
                list(reachability._threads())

        seen = []
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        gc.disable()
        self.addCleanup(gc.enable)
        asks = {
            "idents": threads.idents, "frame_of": lambda: threads.frame_of(other.ident), "resting": threads.resting,
            "standing": lambda: threads.standing(other.ident), "_standing": lambda: threads._standing(None, ()),
            "has_strangers": loop.world.baton.has_strangers, "linger": lambda: linger(lambda: [other.ident]),
            "_threads": walk,
        }
        for name, ask in asks.items():
            with self.subTest(name):
                seen.clear()
                with a_thread(lambda over: hold(over.wait), threading.Event()) as other:
                    self.assertTrue(soon(lambda: seen or None))
                    hold(ask)
                self.assertEqual([each() for each in seen], [None, None])


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
