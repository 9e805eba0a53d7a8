"""Tools that freeze time put the real clocks back by name: after that a program's clocks are virtual again."""

import asyncio
import contextlib
import datetime
import importlib.util
import queue
import sys
import threading
import time
import types
import unittest
import warnings
from time import monotonic, monotonic_ns
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.stdlib.seal.replacements import Clocks
from tests.case.test_case import run, told

REAL = {name: getattr(time, name) for name in ("monotonic", "monotonic_ns", "perf_counter", "time")}
FROZEN = 1_326_499_200

# What freezegun does with `real_asyncio`: it makes a loop to know its class.
PROBE = """
def probe():
    loop = asyncio.new_event_loop()
    loop.close()
    type(loop).time = lambda self: 3600.0
    return type(loop)
"""


@contextlib.contextmanager
def frozen():
    """As freezegun: replace each clock in each module that has it, and put back what was real at import."""
    fakes = {name: (lambda: FROZEN * 10**9) if name.endswith("_ns") else (lambda: float(FROZEN)) for name in REAL}
    changes = []
    for module in list(sys.modules.values()):
        if isinstance(module, types.ModuleType) and module is not time:
            for name, value in list(vars(module).items()):
                for clock, real in REAL.items():
                    if value is real:
                        changes.append((module, name, value))
                        setattr(module, name, fakes[clock])
    for clock, fake in fakes.items():
        setattr(time, clock, fake)
    try:
        yield
    finally:
        for module, name, value in changes:
            setattr(module, name, value)
        for clock, real in REAL.items():
            setattr(time, clock, real)


def blocks(around=False):
    """What freezes time: the twin above, and the real tools where they are installed.

    With `real_asyncio` freezegun replaces `time()` of asyncio's loop class, which is ours too where it does so `around`
    a test.
    """
    yield "twin", frozen
    if importlib.util.find_spec("freezegun"):
        import freezegun
        for options in ({}, {"tick": True}, *([] if around else [{"real_asyncio": True}])):
            yield f"freezegun {options}", lambda options=options: freezegun.freeze_time("2012-01-14", **options)
    if importlib.util.find_spec("time_machine"):
        import time_machine
        moment = datetime.datetime(2012, 1, 14, tzinfo=datetime.UTC)
        for tick in (False, True):
            yield f"time-machine {tick=}", lambda tick=tick: time_machine.travel(moment, tick=tick)


class FrozenTimeTest(unittest.TestCase):
    def play(self, body, around=False, **attributes):
        """Run a test once with each tool; its body has the block."""
        for name, block in blocks(around):
            class Test(SolipsistTestCase):
                async def test(self, block=block):
                    await body(self, block)

            for attribute, value in attributes.items():
                setattr(Test, attribute, value)
            with self.subTest(name), warnings.catch_warnings():
                warnings.simplefilter("error")
                with block() if around else contextlib.nullcontext():
                    result = run(Test)
                self.assertTrue(result.wasSuccessful(), told(result))
                self.assertEqual({name: getattr(time, name) for name in REAL}, REAL)
                self.assertIs(monotonic, time.monotonic)
                self.assertIs(type(time), types.ModuleType)

    @staticmethod
    def check_clocks(case, now):
        case.assertEqual((time.monotonic(), time.monotonic_ns(), monotonic(), monotonic_ns(), case.loop.time()),
                         (now, now * 10**9, now, now * 10**9, now))

    def test_after_a_block(self):
        """After a block, once or twice in a test, every clock of the program is virtual again."""
        async def body(case, block):
            for now in (5, 10):
                with block():
                    await asyncio.sleep(2)
                    case.assertEqual(int(time.time()), FROZEN)
                await asyncio.sleep(3)
                self.check_clocks(case, now)

        self.play(body, wall_start=None)

    def test_a_block_around_the_test(self):
        """A block around the whole run is none of its business; a block inside of that one neither."""
        async def body(case, block):
            await asyncio.sleep(2)
            case.assertEqual(case.loop.time(), 2)

        self.play(body, around=True)

    def test_a_block_that_ends_in_the_test(self):
        """A block that begins before the loop runs and ends in the test: it puts back real functions."""
        async def body(case, block):
            await asyncio.sleep(3)
            held.close()
            self.check_clocks(case, 3)

        for name, block in blocks(around=True):
            held = contextlib.ExitStack()
            held.enter_context(block())
            self.addCleanup(held.close)

            class Test(SolipsistTestCase):
                async def test(self, block=block):
                    await body(self, block)

            with self.subTest(name):
                result = run(Test)
                self.assertTrue(result.wasSuccessful(), told(result))
                self.assertEqual({name: getattr(time, name) for name in REAL}, REAL)
                self.assertIs(monotonic, time.monotonic)

    def test_the_first_seal_is_in_a_block(self):
        """A real function that comes back and was never seen before gets a stand-in too, and stays when all is over."""
        clock, fake, bound = types.ModuleType("clock"), lambda: 1, []
        clock.tick = fake
        clocks = Clocks(clock, {"tick": lambda before: (before,)}, bound.append)
        clocks.arm()
        self.assertEqual(clock.tick, (fake,))
        clock.tick = len
        self.assertEqual((clock.tick, bound), ((len,), ["tick"]))
        clocks.disarm()
        self.assertIs(clock.tick, len)
        self.assertIs(type(clock), types.ModuleType)

    def test_no_real_seconds(self):
        """Frozen clocks neither bring the real-time limit near nor keep it away, and no turn takes long by them."""
        async def body(case, block):
            case.loop.slow_callback_duration = 20  # the tool itself looks through all modules: on a busy machine, long
            with block():
                for _ in range(3000):
                    await asyncio.sleep(1)
                await asyncio.to_thread(time.sleep, 1)

        self.play(body, real_time_limit=30)

    def test_the_limit_comes(self):
        """A test that takes too long in a block is ended."""
        for name, block in blocks():
            class Test(SolipsistTestCase):
                real_time_limit = 0.3

                async def test(self, block=block):
                    with block():
                        threading.Event().wait(20)
                        while True:
                            await asyncio.sleep(0)

            with self.subTest(name):
                began = REAL["monotonic"]()
                self.assertFalse(run(Test).wasSuccessful())
                self.assertLess(REAL["monotonic"]() - began, 10)

    def test_clocks_that_modules_have_kept(self):
        """A tool that was there before the first test puts back what these modules had: the next one sees to that."""
        def wait_in_vain():
            line = queue.Queue(1)
            line.put(1)
            self.assertFalse(threading.Semaphore(0).acquire(timeout=20))
            self.assertRaises(queue.Full, line.put, 2, timeout=20)

        class Test(SolipsistTestCase):
            async def test(self):
                await asyncio.to_thread(wait_in_vain)
                self.assertNow(40)

        real, results = REAL["monotonic"], [run(Test)]
        with mock.patch.object(threading, "_time", real), mock.patch.object(queue, "time", real):
            results.append(run(Test))
        for result in results:
            self.assertTrue(result.wasSuccessful(), told(result))

    def test_real_function_of_another_name(self):
        """Only a function that has a stand-in is exchanged; what a test puts there by a mock stays."""
        async def body(case, block):
            time.perf_counter = REAL["perf_counter"]
            case.assertIs(time.perf_counter, REAL["perf_counter"])
            with mock.patch("time.monotonic", lambda: 7):
                case.assertEqual(time.monotonic(), 7)
            self.check_clocks(case, 0)

        self.play(body)

    def test_a_failure_that_comes_of_it(self):
        """A failure says who has frozen the clock, where time has gone by meanwhile; a stand-in that is back is none.
        """
        class Test(SolipsistTestCase):
            async def test_frozen(self):
                with mock.patch("time.monotonic"):
                    await asyncio.sleep(1)
                self.fail("for it")

            async def test_patched_for_a_moment(self):
                with mock.patch("time.monotonic", lambda: 7):
                    pass
                self.fail("for something else")

        text = told(run(Test))
        self.assertEqual(text.count("time.monotonic() was replaced by unittest at t=0.0, and what stood there did not "
                                    "go with virtual time"), 1, text)

    def test_a_probe_for_the_class_of_loops(self):
        """freezegun makes a loop and closes it, to patch its class, which is asyncio's own and nobody's loop."""
        class Test(SolipsistTestCase):
            async def test(self):
                names = {"__name__": "freezegun.api", "asyncio": asyncio}
                exec(PROBE, names)
                self.assertFalse(issubclass(names["probe"](), SolipsistEventLoop))
                self.assertTrue(issubclass(names["probe"](), asyncio.SelectorEventLoop))
                self.assertNow(0)
                loop = asyncio.new_event_loop()
                loop.close()
                self.assertIsInstance(loop, SolipsistEventLoop)

        result = run(Test)
        self.assertTrue(result.wasSuccessful(), told(result))


if __name__ == "__main__":
    unittest.main()
