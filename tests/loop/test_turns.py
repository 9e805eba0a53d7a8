"""A lean turn does what CPython's own turn does: the same callbacks in the same order, whatever the program is."""

import asyncio
import contextvars
import functools
import gc
import heapq
import random
import socket
import time
import types
import unittest
import weakref
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.loop import turns
from solipsism_unittest.loop.selector import VirtualSelector
from solipsism_unittest.loop.timers import END_OF_SLEEP
from solipsism_unittest.loop.turns import Turns
from tests.case.test_case import run, told

PROGRAMS = 150


class PlainTurns(SolipsistEventLoop):
    """The same loop with CPython's own turns."""

    _run_once = asyncio.SelectorEventLoop._run_once


class LongestTest(unittest.TestCase):
    def test_no_other_is_half_as_long(self):
        """A frame that stands beyond the half of what runs the handles can be of no other function of its module."""
        sizes = sorted(len(thing.__code__.co_code) for thing in gc.get_objects()
                       if type(thing) is types.FunctionType and thing.__globals__ is vars(turns))
        self.assertEqual(sizes[-1], len(turns._LEAN.__code__.co_code))
        self.assertLess(sizes[-2], sizes[-1] // 2)


class Program:
    """A random program: callbacks that make, cancel and stop things, tasks, timers, sockets, futures; and its log."""

    def __init__(self, loop, seed):
        self.loop = loop
        self.random = random.Random(seed)
        self.log = []
        self.handles = []
        self.made = 0
        with sealed(loop):
            self.pairs = [socket.socketpair() for _ in range(2)]

    def note(self, what):
        """Take down what runs, at which time and in which turn's line."""
        self.log.append((self.loop.time(), what))

    def start(self):
        """Make a few things, as a program does before its loop runs."""
        for near, far in self.pairs:
            near.setblocking(False)
            far.setblocking(False)
            self.loop.add_reader(near, self.read, near)
        for _ in range(5):
            self.act()

    def read(self, near):
        """A socket is ready."""
        self.note(("read", len(near.recv(self.random.choice((1, 100))))))
        self.act()

    def act(self):
        """Do one thing that a program may do; there is an end to it."""
        self.made += 1
        if self.made > 120:
            return
        number = self.made
        choice = self.random.randrange(10)
        if choice < 2:
            self.handles.append(self.loop.call_soon(self.callback, number))
        elif choice < 4:
            delay = self.random.choice((0, 0, 1e-9, 0.5, 0.5, 1.0, -1, 3.25))
            self.handles.append(self.loop.call_later(delay, self.callback, number))
        elif choice == 4:
            self.handles.append(self.loop.call_at(self.loop.time() + 1, self.callback, number))
        elif choice == 5 and self.handles:
            self.random.choice(self.handles).cancel()
            self.act()
        elif choice == 6:
            self.random.choice(self.pairs)[1].send(b"x" * self.random.randrange(1, 5))
        elif choice == 7:
            self.loop.create_task(self.task(number))
        elif choice == 8:
            self.handles.append(self.loop.call_soon_threadsafe(self.callback, number))
        else:
            self.loop.call_soon(self.fail, number)

    def callback(self, number):
        """A plain callback."""
        self.note(number)
        for _ in range(self.random.randrange(3)):
            self.act()

    def fail(self, number):
        """A callback that raises."""
        self.note(("fail", number))
        self.act()
        raise ValueError(number)

    async def task(self, number):
        """A task with a few waits of several kinds."""
        for step in range(self.random.randrange(4)):
            self.note((number, step))
            await asyncio.sleep(self.random.choice((0, 0, 0.5, 1)))
            self.act()
        try:
            async with asyncio.timeout(self.random.choice((0.25, 2))):
                await asyncio.sleep(1)
        except TimeoutError:
            self.note((number, "timeout"))

    def run(self):
        """Run it to its end, in pieces; gives its log and the digest of its journal."""
        self.loop.set_exception_handler(lambda loop, context: self.note((context["message"].partition("(")[0],
                                                                          repr(context["exception"]))))
        self.start()
        for piece in range(3):
            self.loop.call_later(piece, self.loop.stop)
            self.loop.run_forever()
            self.note(("piece", piece))
            self.act()
        self.loop.run_until_complete(asyncio.sleep(100))
        self.note("end")
        return self.log, self.loop.kernel.journal.digest


def play(factory, seed, *, debug=False):
    """What a program of this seed comes to on a loop."""
    loop = factory()
    asyncio.set_event_loop(loop)
    try:
        loop.set_debug(debug)
        program = Program(loop, seed)
        found = program.run()
        for near, far in program.pairs:
            loop.remove_reader(near)
            near.close()
            far.close()
        return found
    finally:
        asyncio.set_event_loop(None)
        loop.close()


class Callback:
    """What a timer calls, and that a test can look for."""

    def __call__(self):
        """Do nothing."""


class TurnsTest(unittest.TestCase):
    maxDiff = None

    def test_random_programs(self):
        """Random programs run the same callbacks in the same order and write the same journal with both turns."""
        sizes = []
        for seed in range(PROGRAMS):
            lean = play(SolipsistEventLoop, seed)
            with self.subTest(seed):
                self.assertEqual(lean, play(PlainTurns, seed))
            sizes.append(len(lean[0]))
        self.assertGreater(sum(sizes) / len(sizes), 20)  # they do something

    def test_debug_mode(self):
        """In debug mode the turns are CPython's own, with the same order."""
        for seed in range(0, PROGRAMS, 10):
            with self.subTest(seed):
                self.assertEqual(play(SolipsistEventLoop, seed)[0], play(SolipsistEventLoop, seed, debug=True)[0])

    def test_debug_mode_in_the_middle(self):
        """Turning debug mode on and off while timers wait keeps every timer, in order."""

        async def main():
            loop, log = asyncio.get_running_loop(), []
            for delay in (3, 1, 2, 1, 4):
                loop.call_later(delay, log.append, (delay, len(loop._scheduled)))
            cancelled = loop.call_later(2, log.append, "cancelled")
            await asyncio.sleep(0.5)
            loop.set_debug(True)
            cancelled.cancel()
            await asyncio.sleep(1)
            loop.call_later(1, log.append, "in debug mode")
            loop.set_debug(False)
            await asyncio.sleep(10)
            return log

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            found = runner.run(main())
        self.assertEqual([entry if entry == "in debug mode" else entry[0] for entry in found],
                         [1, 1, 2, "in debug mode", 3, 4])

    def test_many_cancelled_timers(self):
        """Cancelled timers are taken out of the heap when they are many, and those on top in any case."""
        for factory in (SolipsistEventLoop, PlainTurns):
            with self.subTest(factory.__name__), asyncio.Runner(loop_factory=factory) as runner:

                async def main():
                    loop = asyncio.get_running_loop()
                    timers = [loop.call_later(1000 + number, print) for number in range(300)]
                    await asyncio.sleep(1)
                    for timer in timers[50:]:
                        timer.cancel()
                        timer.cancel()
                    await asyncio.sleep(1)
                    left = len(loop._scheduled)
                    for timer in timers[:50]:
                        timer.cancel()
                    await asyncio.sleep(1)
                    return left, len(loop._scheduled)

                self.assertEqual(runner.run(main()), (50, 0))

    def test_a_cancelled_timer_that_comes_due_with_others(self):
        """One that was cancelled and is due together with others does not count as waiting any more, nor do any after
        they were dropped.
        """
        loop = SolipsistEventLoop()
        first, second, far = loop.call_at(1, print), loop.call_at(1, print), loop.call_at(2, print)
        first.cancel()
        second.cancel()
        loop.call_at(0.5, second.cancel)
        loop.call_at(1, loop.stop)
        late = [loop.call_at(1, print) for _ in range(3)]
        late[1].cancel()
        with mock.patch("builtins.print"):
            loop.run_forever()
        self.assertEqual((loop.time(), loop._timer_cancelled_count, len(loop.line)), (1.0, 0, 1))
        far.cancel()
        loop.inventory.drop_handles()
        self.assertEqual((loop._timer_cancelled_count, len(loop.line)), (0, 0))
        loop.close()

    def test_a_subclass_with_a_turn_of_its_own(self):
        """A subclass whose `_run_once` calls the one above gets one turn for each call."""

        class Counting(SolipsistEventLoop):
            turns = 0

            def _run_once(self):
                self.turns += 1
                super()._run_once()

        async def main():
            for _ in range(10):
                await asyncio.sleep(1)

        loop = Counting()
        loop.run_until_complete(main())
        loop.close()
        self.assertGreater(loop.turns, 20)

    def test_what_wraps_handles_and_turns(self):
        """A tool that wraps the method that runs a handle, or a turn, sees each, from the next turn on.

        One that wraps the turns of a single loop while that runs sees them 16 jumps of the clock later at most.
        """
        for owner, name in (("Handle", "_run"), ("class", "_run_once"), ("loop", "_run_once")):
            for inside in (False, True):
                seen = []
                for factory in (PlainTurns, type("Loop", (SolipsistEventLoop,), {})):
                    with self.subTest(owner=owner, inside=inside, factory=factory.__name__):
                        seen.append(self.count_calls(factory, owner, name, inside))
                # CPython's own turn meets a wrapped handle in the rest of its line too.
                self.assertAlmostEqual(seen[0], seen[1], delta=2 * 16 if owner == "loop" and inside else inside)
                self.assertGreater(seen[1], 40)

    def count_calls(self, factory, owner, name, inside):
        """How often what wraps a method is called while a few callbacks and timers run."""
        loop, calls = factory(), []
        place = {"Handle": asyncio.Handle, "class": factory, "loop": loop}[owner]
        real = getattr(place, name)

        def wrapped(*args):
            calls.append(1)
            return real(*args)

        patch = mock.patch.object(place, name, wrapped)

        async def main():
            for delay in (1, 0, 0, 2, 0, 0, *[1] * 40):
                await asyncio.sleep(delay)

        if inside:
            loop.call_soon(patch.start)
        else:
            patch.start()
        try:
            loop.run_until_complete(main())
        finally:
            patch.stop()
        self.assertEqual(loop.time(), 43)
        loop.close()
        return len(calls)

    def test_turns_that_are_put_there_inside_of_a_callback(self):
        """A tool that lets a callback run the loop (nest_asyncio) takes its timers from the heap that asyncio has."""

        def turn(loop):
            while not loop._ready and loop._scheduled:
                loop._process_events(loop._selector.select(loop._scheduled[0].when() - loop.time()))
                while loop._scheduled and loop._scheduled[0].when() <= loop.time():
                    loop._ready.append(heapq.heappop(loop._scheduled))
            while loop._ready:
                loop._ready.popleft()._run()

        log = []
        loop_class = type("Loop", (SolipsistEventLoop,), {})
        loop = loop_class()

        def nested():
            for delay in (1, 2):
                loop.call_later(delay, log.append, delay)
            with mock.patch.object(loop_class, "_run_once", turn):
                loop._run_once()
                log.append("nested")
            loop.call_later(3, loop.stop)

        loop.call_soon(nested)
        loop.run_forever()
        self.assertEqual(log, [1, "nested", 2])
        loop.close()

    def test_what_ran_is_let_go(self):
        """A timer that waited through debug mode and has run is not kept."""
        for factory in (SolipsistEventLoop, PlainTurns):
            with self.subTest(factory.__name__):
                loop = factory()
                loop.set_debug(True)
                callback = Callback()
                loop.call_later(1, callback)
                kept = weakref.ref(callback)
                del callback
                loop.set_debug(False)
                loop.call_later(2, loop.stop)
                loop.run_forever()
                self.assertIsNone(kept())
                loop.close()

    def test_an_error_in_a_callback(self):
        """An error in a callback is reported as CPython reports it, word for word."""

        def fail(argument):
            raise ValueError(argument)

        for debug in (False, True):
            contexts = []
            for factory in (SolipsistEventLoop, PlainTurns):
                loop = factory()
                loop.set_debug(debug)
                loop.set_exception_handler(lambda loop, context, seen=contexts: seen.append(context))
                loop.call_soon(fail, 7)
                loop.call_soon(loop.stop)
                loop.run_forever()
                loop.close()
            ours, theirs = contexts
            self.assertEqual(ours["message"], theirs["message"])
            self.assertEqual(repr(ours["exception"]), repr(theirs["exception"]))
            self.assertEqual(ours.keys(), theirs.keys())

    def test_handles_look_as_asyncios(self):
        """The repr of a handle and of a timer, pending and cancelled, is that of asyncio."""
        seen = []
        for factory in (SolipsistEventLoop, asyncio.SelectorEventLoop):
            loop = factory()
            handles = [loop.call_soon(print, 1), loop.call_at(5.0, print, 1)]
            before = list(map(repr, handles))
            for handle in handles:
                handle.cancel()
            seen.append((before, list(map(repr, handles))))
            loop.close()
        ours, stock = seen
        self.assertEqual(ours[0][0], stock[0][0])
        self.assertEqual(ours[1][0], stock[1][0])
        self.assertEqual(ours[0][1].replace("Timer ", "TimerHandle "), stock[0][1])
        self.assertEqual(ours[1][1].replace("Timer ", "TimerHandle "), stock[1][1])

    def test_the_handle_of_a_function_in_c(self):
        """What a function in C gets as its one argument is seen as of asyncio's handles, also once it is cancelled."""
        loop, found = SolipsistEventLoop(), []
        self.addCleanup(loop.close)
        for is_debug in (False, True):
            handles = loop.call_soon(found.append, 1), asyncio.Handle(found.append, (1,), loop)
            self.assertEqual([handle._args for handle in handles], [(1,), (1,)])
            self.assertEqual(repr(handles[0]), repr(handles[1]))
            loop.set_debug(is_debug)
            for handle in handles:
                handle.cancel()
            self.assertEqual([(handle._callback, handle._args) for handle in handles], [(None, None)] * 2)
            self.assertEqual(repr(handles[0]), repr(handles[1]))
            loop.set_debug(False)
        loop.call_soon(found.append, 2)
        loop.run_until_complete(asyncio.sleep(0))
        self.assertEqual(found, [2])

    def test_a_slow_callback_is_the_one_that_is_named(self):
        """Of several callbacks in one turn, the slow one is named alone."""
        class Slow(SolipsistTestCase):
            on_slow_callback = "fail"

            async def test(self):
                def quick():
                    pass

                def slow():
                    end = time.thread_time() + 0.05
                    while time.thread_time() < end:
                        pass

                self.loop.slow_callback_duration = 0.02
                for callback in (quick, slow, quick):
                    self.loop.call_soon(callback)
                await asyncio.sleep(0.1)

        text = told(run(Slow))
        self.assertIn("slow (", text)
        self.assertNotIn("quick", text)

    def test_a_registration_whose_handle_was_cancelled(self):
        """A reader and a writer whose handles were cancelled are taken away when their socket is ready, and not run."""
        for factory in (SolipsistEventLoop, PlainTurns):
            loop, log = factory(), []
            with sealed(loop):
                near, far = socket.socketpair()
                far.send(b"x")
                loop.add_reader(near, log.append, "read")
                loop.add_writer(near, log.append, "write")
                for handle in loop.selector.get_key(near).data:
                    handle.cancel()
                loop.run_until_complete(asyncio.sleep(1))
                self.assertEqual((log, len(loop.selector.get_map())), ([], 0), factory.__name__)
                near.close()
                far.close()
            loop.close()

    def test_a_selector_that_is_put_there_in_the_middle(self):
        """A selector that a callback puts in the loop's place is asked from the next time on that nothing is ready."""

        class Asked(VirtualSelector):
            times = 0

            def select(self, timeout=None):
                self.times += 1
                return below.select(timeout)

        async def main():
            loop = asyncio.get_running_loop()
            loop._selector = asked
            await asyncio.sleep(1)
            await asyncio.sleep(1)
            loop._selector = below

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            below = runner.get_loop().selector
            asked = Asked.__new__(Asked)
            runner.run(main())
        self.assertGreater(asked.times, 0)

    def test_an_error_of_a_handle_that_debug_mode_made(self):
        """The context of the error has the stack that debug mode kept, though debug mode is off when it runs."""
        loop, contexts = SolipsistEventLoop(), []
        loop.set_exception_handler(lambda loop, context: contexts.append(context))
        loop.set_debug(True)
        loop.call_soon([].pop)
        loop.set_debug(False)
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        self.assertIn("source_traceback", contexts[0])

    def test_what_arrives_now_in_debug_mode(self):
        """What is in flight and due arrives before the timers of that instant, in CPython's own turns too."""
        for debug in (False, True):
            loop, log = SolipsistEventLoop(), []
            loop.set_debug(debug)
            loop.call_later(0, log.append, "timer")
            loop.kernel.clock.deliver_at(loop.time(), lambda log=log: log.append("arrived"))
            loop.run_until_complete(asyncio.sleep(1))
            loop.close()
            self.assertEqual(log, ["arrived", "timer"])

    def test_a_timer_that_is_run_too_early(self):
        """A timer that CPython's own turn takes before its time, as 3.15 does near a power of two, waits for it."""
        loop, log = SolipsistEventLoop(), []
        loop.set_debug(True)
        timer = loop.call_later(1, lambda: log.append(loop.time()))
        heapq.heappop(loop._scheduled)._scheduled = False  # as CPython's turn does
        timer._run()
        self.assertEqual(log, [])
        loop.run_until_complete(asyncio.sleep(2))
        loop.close()
        self.assertEqual((log, timer.when()), ([1.0], 1.0))

    def test_a_time_that_is_no_float(self):
        """A handle gives the number that it was given, an int too, as on a real loop; the clock's times are floats."""
        for real in (True, False):
            loop, times = asyncio.new_event_loop() if real else SolipsistEventLoop(), []
            now = int(loop.time())
            for debug in (True, False):
                loop.set_debug(debug)
                timers = [loop.call_at(when, lambda loop=loop, times=times: times.append(type(loop.time())))
                          for when in (now - 1, now, now - 0.5)]
                self.assertEqual([type(timer.when()) for timer in timers], [int, int, float])
                loop.run_until_complete(asyncio.sleep(0))
            if not real:
                loop.run_until_complete(loop.advance_to(now + 2))
                loop.call_at(now + 3, loop.stop)
                loop.call_at(2**53 + 1, len, ())  # which is no float: it must be due some day all the same
                loop.run_forever()
                self.assertEqual((loop.time(), type(loop.time())), (now + 3, float))
                loop.run_until_complete(loop.advance_to(2**53 + 2))
            loop.close()
            self.assertEqual(set(times), {float})

    def test_whose_turns(self):
        """The loop has lean turns of its own."""
        self.assertIs(SolipsistEventLoop._run_once, Turns._run_once)


class EndOfSleepTest(unittest.TestCase):
    """The timer of a sleep wakes its future as CPython's turn does it, whatever that future is."""

    def both(self, main):
        """What `main(loop, log)` has logged at the end, the same with lean turns and with CPython's."""
        logs = []
        for factory in (SolipsistEventLoop, PlainTurns):
            with asyncio.Runner(loop_factory=factory) as runner:
                loop, log = runner.get_loop(), []
                loop.set_exception_handler(lambda loop, context, log=log: log.append(repr(context["exception"])))
                runner.run(main(loop, log))
            logs.append(log)
        self.assertEqual(logs[0], logs[1])
        return logs[0]

    def test_a_future_that_was_cancelled_or_is_done(self):
        """A future that was cancelled is let be; one that has a result is an error of the callback."""
        async def main(loop, log, *, result="second"):
            cancelled, done, waiting = (loop.create_future() for _ in range(3))
            cancelled.cancel()
            done.set_result("first")
            for future in (cancelled, done, waiting):
                loop.call_later(1, END_OF_SLEEP, future, result)
                loop.call_later(0.5, END_OF_SLEEP, loop.create_future(), "before those")
            await asyncio.sleep(2)
            log += [cancelled.cancelled(), done.result(), waiting.result()]

        self.assertEqual(self.both(main), ["InvalidStateError('invalid state')", True, "first", "second"])
        self.assertEqual(self.both(functools.partial(main, result=None)),
                         ["InvalidStateError('invalid state')", True, "first", None])

    def test_a_future_of_a_programs_own_class(self):
        """It is woken in the context in which the timer was made, or in the one that was given."""
        class Future(asyncio.Future):
            def set_result(self, result):
                log.append((variable.get(), result))
                super().set_result(result)

        async def main(loop, given):
            nonlocal log
            log = given
            variable.set("here")
            for context in (None, contextvars.Context()):
                loop.call_later(1, END_OF_SLEEP, Future(), "done", context=context)
            loop.create_future = Future
            await asyncio.sleep(2, "slept")
            del loop.create_future

        log, variable = [], contextvars.ContextVar("variable", default="nowhere")
        self.assertEqual(self.both(main), [("here", "done"), ("nowhere", "done"), ("here", "slept")])

    def test_arguments_that_are_wrong(self):
        """A callback that gets too few arguments, or too many, is an error of the callback."""
        async def main(loop, log):
            for arguments in ((), (loop.create_future(),), (loop.create_future(), 1, 2)):
                loop.call_later(1, END_OF_SLEEP, *arguments)
            await asyncio.sleep(2)

        self.assertEqual([error.partition("(")[0] for error in self.both(main)], ["TypeError"] * 3)


class ReplacedTimeTest(unittest.TestCase):
    """What a test puts in the place of `loop.time` says when timers are due; the loop's own clock goes on as well."""

    PLACES = {
        "the loop": lambda loop: loop,
        "its class": type,
    }

    def play(self, place, main, **options):
        for debug in (False, True):
            with self.subTest(place, debug=debug), \
                    asyncio.Runner(loop_factory=SolipsistEventLoop, debug=debug) as runner:
                loop = runner.get_loop()
                with mock.patch.object(self.PLACES[place](loop), "time", **options) as stand_in:
                    runner.run(main(loop, stand_in))
                self.assertEqual(runner.run(self.measure(loop)), 5.0)

    async def measure(self, loop):
        before = loop.time()
        await asyncio.sleep(5)
        return loop.time() - before

    def test_moved_to_a_timer(self):
        """A timer runs when the mock has got to its time, and not before; the clock does not move."""
        async def main(loop, time):
            ran = []
            timer = loop.call_later(3630, ran.append, True)
            self.assertEqual(timer.when(), 4630)
            for now, expected in ((4629.999, []), (4630, [True])):
                time.return_value = now
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.assertEqual(ran, expected)
            self.assertEqual(loop.kernel.clock.now, 0)

        for place in self.PLACES:
            self.play(place, main, return_value=1000.0)

    def test_standing_still(self):
        """Time that never goes on keeps nobody waiting: the loop's own clock does."""
        async def main(loop, time):
            await asyncio.sleep(5)
            self.assertEqual(loop.kernel.clock.now, 1005)

        for place in self.PLACES:
            self.play(place, main, return_value=1000.0)
