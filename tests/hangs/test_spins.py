"""A spin is told from work by whether everything that runs is as it was: late is allowed, wrong is not."""

import asyncio
import collections
import datetime
import functools
import itertools
import random
import sys
import time
import types
import unittest
import weakref
from unittest import mock

from solipsism_unittest import LivelockError, SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.hangs import spins
from solipsism_unittest.hangs.spins import SpinLook
from solipsism_unittest.introspection.handles import task_of
from solipsism_unittest.loop.inventory import Inventory
from solipsism_unittest.loop.selector import Limits

TURNS = 1_000
COUNTED = 0
LIST = []


class Shared:
    counted = 0


def count_globally():
    global COUNTED
    COUNTED += 1


class Worker:
    """Work that shows only in an attribute, a global, a class."""

    def __init__(self):
        self.steps = 0
        self.seen = weakref.ref(self)

    @property
    def done(self):
        return False

    def step(self):
        self.steps += 1

    def idle(self):
        return self.steps

    def step_globally(self):
        count_globally()

    def step_of_the_class(self):
        Shared.counted += 1


async def states(program):
    """Whether a program is as it was, some turns on; None when nobody can tell."""
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(program())
    seen = []
    try:
        for _ in range(6):
            await asyncio.sleep(0)
            seen.append(spins.state([handle for handle in loop._ready if task_of(handle) is task]))
    except spins._CannotTellError:
        return None
    finally:
        task.cancel()
    return any(each == seen[0] for each in seen[1:])


def recurs(program):
    with asyncio.Runner(debug=False, loop_factory=SolipsistEventLoop) as runner:
        return runner.run(states(program))


async def polling(step=lambda: None):
    while True:
        step()
        await asyncio.sleep(0)


class StateTest(unittest.TestCase):
    def assertSpins(self, program):
        self.assertIs(recurs(program), True)

    def assertWorks(self, program):
        self.assertIsNot(recurs(program), True)

    def test_spins(self):
        """A poll of an event, of a flag of an object, of an empty queue, through methods and nested coroutines."""
        worker, queue, event = Worker(), asyncio.Queue(), asyncio.Event()

        async def poll_flag():
            while not worker.done:
                await asyncio.sleep(0)

        async def poll_queue():
            while True:
                with_value = queue.empty() and event.is_set()
                await asyncio.sleep(0)
                del with_value

        async def nested():
            await polling(worker.idle)

        for program in (polling, poll_flag, poll_queue, nested, functools.partial(polling, worker.idle)):
            with self.subTest(program):
                self.assertSpins(program)

    def test_a_poll_by_errors(self):
        """A poll that an error tells of spins; one whose errors, or what their tracebacks hold, count does not."""
        queue = asyncio.Queue()

        async def poll(step):
            while True:
                try:
                    step()
                except Exception:
                    await asyncio.sleep(0)

        def own_error():
            raise NameError("mine") from KeyError(1)

        class CountingError(Exception):
            count = 0

        counting = CountingError(0)

        def counts_in_the_error():
            counting.count += 1
            raise counting

        numbers = iter(range(10**9))

        def counts_in_a_frame():
            number = next(numbers)
            raise KeyError(bool(number) and None)

        def counts_in_a_unicode_error():
            raise UnicodeDecodeError("ascii", b"xyz", 0, 1, "mine")

        for step in (queue.get_nowait, own_error):
            with self.subTest(step.__name__):
                self.assertSpins(functools.partial(poll, step))
        for step in (counts_in_the_error, counts_in_a_frame, counts_in_a_unicode_error):
            with self.subTest(step.__name__):
                self.assertWorks(functools.partial(poll, step))

    def test_a_poll_of_the_clock(self):
        """A program that reads the virtual clock reads the same, though its module has imported module time."""
        loop = functools.partial(asyncio.get_running_loop)

        def by_the_loop():
            return asyncio.get_running_loop().time() <= 5

        def by_the_module():
            return time.monotonic() <= 5

        def by_nanoseconds():
            return time.monotonic_ns() <= 5

        class Timer:
            def late(self):
                return loop().time() > 5

        for step in (by_the_loop, by_the_module, by_nanoseconds, Timer().late):
            with self.subTest(step.__qualname__):
                self.assertSpins(lambda step=step: polling(step))

    def test_a_poll_of_a_real_clock(self):
        """Of one that reads real time nobody can tell: it may be waiting for that."""
        for step in (lambda: time.time() <= 5, lambda: time.perf_counter() <= 5,
                     lambda clock=time: clock.time() <= 5 or time is clock):
            self.assertIsNone(recurs(lambda step=step: polling(step)))

    def test_a_poll_of_a_clock_that_a_test_has_set(self):
        """It stands still with virtual time, so a poll of it spins as any other."""
        outcomes = []

        class Case(SolipsistTestCase):
            wall_start = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)

            async def test(self):
                for step in (lambda: time.time() <= 5, lambda: time.time_ns() <= 5):
                    outcomes.append(await states(lambda step=step: polling(step)))

        result = unittest.TestResult()
        Case("test").run(result)
        self.assertEqual((outcomes, result.errors + result.failures), ([True, True], []))

    def test_a_fresh_object_like_the_old_one_is_the_same(self):
        """A poll that makes new objects in each turn and goes nowhere spins."""

        async def program():
            while True:
                made = [1.5, "text", b"x", (None, True), {"key": {1}}, bytearray(b"y"), types.SimpleNamespace(a=1)]
                await asyncio.sleep(0)
                del made

        self.assertSpins(program)

    def test_work_that_only_a_for_knows(self):
        """How far a `for` has come is in its frame alone, whatever it goes over, and wherever the sequence is kept."""
        shared = [None] * 100

        def generator(things):
            for _ in things:
                yield

        def delegating(things):
            yield from things

        def walk(make):
            async def over_an_argument(things):
                for _ in things:
                    await asyncio.sleep(0)

            async def over_what_is_made():
                for _ in make():
                    await asyncio.sleep(0)

            async def over_what_is_shared_with_a_function():
                things = make()
                (lambda: things)()
                for _ in things:
                    await asyncio.sleep(0)

            async def nested():
                for _ in make():
                    for _ in make():
                        await asyncio.sleep(0)

            async def inside_of_a_range():
                for _ in range(2):
                    for _ in make():
                        await asyncio.sleep(0)

            async def comprehension():
                return [await asyncio.sleep(0) for _ in make()]

            async def over_a_generator():
                for _ in generator(make()):
                    await asyncio.sleep(0)

            async def over_a_delegating_generator():
                for _ in delegating(make()):
                    await asyncio.sleep(0)

            async def two_frames():
                await over_an_argument(make())

            async def unpacked():
                for _, _ in zip(make(), make(), strict=True):
                    await asyncio.sleep(0)

            return (lambda: over_an_argument(make()), over_what_is_made, over_what_is_shared_with_a_function, nested,
                    inside_of_a_range, comprehension, over_a_generator, over_a_delegating_generator, two_frames,
                    unpacked)

        for make in (lambda: [None] * 100, lambda: (None,) * 100, lambda: "a" * 100, lambda: b"a" * 100,
                     lambda: shared, lambda: range(100), lambda: dict.fromkeys(range(100), None).values()):
            for program in walk(make):
                with self.subTest(program=program.__name__, over=type(make()).__name__):
                    self.assertWorks(program)

    def test_spins_beside_sequences(self):
        """A program that holds lists, or is in a `for` whose iterator can be seen, is found all the same."""

        async def with_a_list():
            things = [None] * 100
            while things:
                await asyncio.sleep(0)

        async def after_a_for():
            for _ in [None] * 3:
                pass
            things = (None, "text", b"bytes")
            while things:
                await asyncio.sleep(0)

        async def in_a_for_over_a_range():
            things = [None]
            for _ in range(2):
                while things:
                    await asyncio.sleep(0)

        async def with_a_list_on_the_stack():
            while True:
                max([None], await asyncio.sleep(0, [None]), key=len)

        for program in (with_a_list, after_a_for, in_a_for_over_a_range, with_a_list_on_the_stack):
            with self.subTest(program.__name__):
                self.assertSpins(program)

    def test_work(self):
        """Whatever moves is work: a count, a list, an iterator, a queue, an attribute, a global, a class, bytes."""
        worker, queue, data, items = Worker(), asyncio.Queue(), bytearray(), collections.deque()

        async def count():
            number = 0
            while True:
                number += 1
                await asyncio.sleep(0)

        async def iterate():
            for _ in [None] * 100:
                await asyncio.sleep(0)

        async def iterate_over_a_tuple():
            for _ in (None,) * 100:
                await asyncio.sleep(0)

        async def iterate_inside():
            for one in [(None,) * 50] * 2:
                [await asyncio.sleep(0) for _ in one]

        async def iterate_over_a_range():
            for _ in range(100):
                await asyncio.sleep(0)

        def generator():
            for _ in [None] * 100:
                yield

        async def iterate_over_a_generator():
            for _ in generator():
                await asyncio.sleep(0)

        self.assertWorks(count)
        self.assertWorks(iterate)
        self.assertWorks(iterate_over_a_tuple)
        self.assertWorks(iterate_inside)
        self.assertWorks(iterate_over_a_range)
        self.assertWorks(iterate_over_a_generator)
        for step in (
            worker.step,
            worker.step_globally,
            worker.step_of_the_class,
            count_globally,
            lambda: LIST.append(None),
            lambda: queue.put_nowait(None),
            lambda: data.append(0),
            lambda: items.append(None),
        ):
            with self.subTest(step):
                self.assertWorks(functools.partial(polling, step))

    def test_nobody_can_tell(self):
        """Real time, randomness, a C iterator, a file, a C type, and too much to look at make no verdict."""
        numbers, chance = itertools.count(), random.Random(0)
        many = [[number] for number in range(spins.REACHED)]
        much = [None] * (spins.REACHED * 20)

        class Chance(random.Random):
            pass

        inherited = Chance(0)
        with open(__file__, encoding="utf-8") as file:
            for step in (
                time.perf_counter,
                lambda: time.perf_counter(),
                lambda: next(numbers),
                lambda: chance.random(),
                chance.random,
                inherited.random,
                lambda: random.random(),
                lambda: file.read(1),
                lambda: many,
                lambda: much,
            ):
                with self.subTest(step):
                    self.assertIsNone(recurs(functools.partial(polling, step)))

    def test_what_has_no_state(self):
        """Pure functions of C, the standard streams, modules, classes and ended coroutines do not stand in the way."""

        async def ended():
            pass

        over = ended()
        over.close()
        for step in (
            len,
            lambda: len(LIST),
            lambda: sys.stdout,
            lambda: (int, Worker, object, asyncio.Lock),
            lambda: over,
            [].copy,
            lambda: asyncio.get_running_loop(),
        ):
            with self.subTest(step):
                action = step if step is not len else (lambda: len(()))
                self.assertIs(recurs(functools.partial(polling, action)), True)


class LookTest(unittest.TestCase):
    def spin(self, main, turns=TURNS):
        def factory():
            loop = SolipsistEventLoop()
            loop.selector.limits = Limits(turns=turns)
            return loop

        with asyncio.Runner(debug=False, loop_factory=factory) as runner:
            return runner.run(main)

    def test_how_often(self):
        """Each task and callback that runs is named, the busiest first, with how often it ran."""

        async def main():
            loop = asyncio.get_running_loop()

            def again():
                loop.call_soon(again)

            again()
            loop.call_soon(again)
            await polling()

        with self.assertRaises(LivelockError) as caught:
            self.spin(main())
        self.assertRegex(
            str(caught.exception),
            r"\n  it runs now: \S*again \(tests.hangs.test_spins\.py:\d+\) 200 times, "
            r"task Task-1 100 times \(in 100 turns\)\n",
        )

    def test_a_builtin_that_runs(self):
        """A callback without code is counted by itself."""
        handle = asyncio.Handle(print, (), asyncio.new_event_loop())
        handle._loop.close()
        look = SpinLook(lambda: [handle])
        look.turn()
        look.turn()
        self.assertEqual((look.most(), look.turns, look.recurs), ([(handle, 2)], 2, True))

    def test_what_is_cancelled(self):
        """It does not run, and so is not counted."""
        loop = asyncio.new_event_loop()
        loop.close()
        gone, handle = asyncio.Handle(print, (), loop), asyncio.Handle(len, (), loop)
        gone.cancel()
        look = SpinLook(lambda: [gone, handle])
        look.turn()
        self.assertEqual(look.most(), [(handle, 1)])

    def test_what_cannot_be_told_is_asked_once(self):
        """When the state cannot be told, no further turn of the same look tries."""

        handle = asyncio.Handle(print, (itertools.count(),), asyncio.new_event_loop())
        handle._loop.close()
        look = SpinLook(lambda: [handle])
        look.turn()
        look.turn()
        self.assertEqual((look.turns, look.recurs), (2, False))

    def test_a_jump_in_the_middle_of_a_look(self):
        """A program that works just up to the look, and sleeps, is never taken for one that spins."""

        async def main():
            for _ in range(5):
                for _ in [None] * 950:
                    await asyncio.sleep(0)
                await asyncio.sleep(1)
            return "fine"

        self.assertEqual(self.spin(main()), "fine")

    def test_while_the_clock_is_held(self):
        """A poll for something that holds the clock is no livelock, however many turns it takes."""

        async def main():
            loop = asyncio.get_running_loop()
            with loop.hold_clock():
                for _ in range(5 * TURNS):
                    await asyncio.sleep(0)
            return "fine"

        self.assertEqual(self.spin(main()), "fine")


class BesideTimersTest(unittest.TestCase):
    def test_timers_that_are_not_due(self):
        """A spin beside many sleepers is found without a look at their timers, turn by turn."""
        looks, timers = [], Inventory.timers

        def counted(inventory):
            looks.append(inventory)
            return timers(inventory)

        async def main():
            sleepers = [asyncio.create_task(asyncio.sleep(60 + number)) for number in range(100)]
            try:
                while True:
                    await asyncio.sleep(0)
            finally:
                for task in sleepers:
                    task.cancel()

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner, self.assertRaises(LivelockError), \
                mock.patch.object(Inventory, "timers", counted):
            runner.run(main())
        self.assertLess(len(looks), 20)


class TestCaseTest(unittest.TestCase):
    def test_a_spin_in_a_test(self):
        """In a TestCase too a spin is found at the first look."""

        class Inner(SolipsistTestCase):
            flag = False

            async def test(self):
                while not self.flag:
                    await asyncio.sleep(0)

        result = unittest.TestResult()
        Inner("test").run(result)
        self.assertIn("LivelockError: the program spins at t=0.0: 1 task\n  100,000 turns", result.errors[0][1])

    def test_work_at_one_instant(self):
        """Two hundred thousand turns that count, hand over and echo pass."""

        class Inner(SolipsistTestCase):
            async def test(self):
                queue = asyncio.Queue(1)

                async def produce():
                    for _ in range(60_000):
                        await queue.put(None)

                producer = asyncio.create_task(produce())
                for _ in range(60_000):
                    await queue.get()
                await producer
                for _ in range(110_000):
                    await asyncio.sleep(0)

        result = unittest.TestResult()
        Inner("test").run(result)
        self.assertEqual((result.errors, result.failures), ([], []))
