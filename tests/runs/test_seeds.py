"""One test over many seeds: which runs are made, what fails it, and which tests are left alone."""

import asyncio
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

from solipsism_unittest import (
    SolipsismError,
    SolipsistTestCase,
    exact,
    over_cancellations,
    over_executors,
    over_loops,
    over_seeds,
)
from solipsism_unittest.runs import seeds
from tests import ROOT
from tests.case.test_case import run, told


def asked(case, seeds):
    """What is said of a class where the environment asks for these seeds."""
    with mock.patch.dict(os.environ, {"SOLIPSISM_SEEDS": seeds}):
        return run(case)


class Counter:
    """Assumes that nobody else counts while it looks up how far it is."""

    def __init__(self):
        self.count = 0

    async def add(self):
        count = self.count
        await asyncio.sleep(0.1)
        self.count = count + 1


class Races(SolipsistTestCase):
    """The second call comes 50 ms after the first is over, and so they never meet; on a machine that stalls they do."""

    async def check(self):
        counter = Counter()
        first = asyncio.create_task(counter.add())
        await asyncio.sleep(0.11)
        await asyncio.gather(first, counter.add())
        self.assertEqual(counter.count, 2)


class OverSeedsTest(unittest.TestCase):
    def case(self, test, base=SolipsistTestCase, **names):
        """A class with this test."""
        return type("Some", (base,), {"test": test, **names})

    def test_finds_a_race(self):
        """What fails on a machine that stalls fails the test, once, with its own traceback and the seed."""
        @over_seeds(100)
        async def test(self):
            await self.check()

        result = run(self.case(test, Races))
        self.assertEqual((result.testsRun, len(result.failures), len(result.errors)), (1, 1, 0))
        text = told(result)
        self.assertIn("self.assertEqual(counter.count, 2)", text)
        self.assertIn("AssertionError: 1 != 2", text)
        self.assertRegex(text, r"the plain run passes, and seed \d+ fails; 1 of \d+ choices? matters:\n  at t=")

    def test_evidence(self):
        """The run that was found and shrunk leaves evidence: its choice, its words, and what repeats it."""
        @over_seeds(100)
        async def test(self):
            await self.check()

        with tempfile.TemporaryDirectory() as directory, mock.patch.dict(os.environ, SOLIPSISM_EVIDENCE=directory):
            text = told(run(self.case(test, Races)))
            page, = (path.read_text(encoding="utf-8") for path in pathlib.Path(directory).glob("*.html"))
            capture, = (path.read_bytes() for path in pathlib.Path(directory).glob("*.pcapng"))
        self.assertEqual(text.count("evidence: "), 1)
        token = re.search(r"SOLIPSISM_REPLAY=(\S+)", text)[1]
        self.assertIn(f'"again":"SOLIPSISM_REPLAY={token} python -m unittest ', page)
        self.assertRegex(page, r'"story":\["the plain run passes, and seed \d+ fails; 1 of \d+ choices? matters:')
        self.assertIn('"choice"', page)
        self.assertIn(b"<12>chosen: at t=", capture)

    def test_an_error(self):
        """An error is reported as one."""
        @over_seeds(100)
        async def test(self):
            async with asyncio.timeout(0.12):
                await asyncio.sleep(0.1)

        result = run(self.case(test))
        self.assertEqual((result.testsRun, len(result.failures), len(result.errors)), (1, 0, 1))
        self.assertIn("TimeoutError", told(result))

    def test_each_run_is_the_whole_test(self):
        """Set-up, test, tear-down and cleanups run once for each seed, and the result hears of one test."""
        calls = []

        def set_up(self):
            self.assertFalse(hasattr(self, "was_run"))
            self.was_run = True
            self.addCleanup(calls.append, "cleanup")
            calls.append("setUp")

        @over_seeds(3)
        async def test(self):
            calls.append(len(calls))

        result = run(self.case(test, setUp=set_up, tearDown=lambda self: calls.append("tearDown")))
        self.assertEqual((result.testsRun, told(result)), (1, ""))
        self.assertEqual(calls, ["setUp", 1, "tearDown", "cleanup", "setUp", 5, "tearDown", "cleanup",
                                 "setUp", 9, "tearDown", "cleanup"])

    def test_the_first_is_the_plain_run(self):
        """A test that fails by itself fails as ever, and nothing more is run."""
        calls = []

        @over_seeds(3)
        async def test(self):
            calls.append(self.now)
            await asyncio.sleep(1)
            calls.append(self.now)
            self.fail("on purpose")

        text = told(run(self.case(test)))
        self.assertEqual(calls, [0, 1])
        self.assertIn("on purpose", text)
        self.assertNotIn("plain run", text)

    def test_other_outcomes(self):
        """What is skipped, or fails as expected, is not explored."""
        calls = []

        @over_seeds(3)
        async def skipped(self):
            calls.append(1)
            self.skipTest("for a reason")

        @unittest.expectedFailure
        @over_seeds(3)
        async def expected(self):
            calls.append(2)
            self.fail("as expected")

        self.assertEqual(run(self.case(skipped)).skipped[0][1], "for a reason")
        self.assertEqual(len(run(self.case(expected)).expectedFailures), 1)
        self.assertEqual(calls, [1, 2])

    def test_the_same_every_time(self):
        """The same seed is found in each run of a test, and another in a test of another name."""
        @over_seeds(100)
        async def test(self):
            await self.check()

        case = self.case(test, Races)
        self.assertEqual(told(run(case)), told(run(case)))
        with mock.patch.dict(os.environ, {"SOLIPSISM_SEED": "5"}):
            self.assertEqual(told(run(case)), told(run(case)))

    def test_a_class(self):
        """On a class it counts for each test, but for those that are exact or say themselves how often they run."""
        counts = dict.fromkeys(("one", "other", "exact", "own", "inherited", "plain"), 0)

        class Base(SolipsistTestCase):
            def test_inherited(self):
                counts["inherited"] += 1

        @over_seeds(4)
        class Some(Base):
            async def test_one(self):
                counts["one"] += 1

            async def test_other(self):
                counts["other"] += 1

            @exact
            async def test_exact(self):
                counts["exact"] += 1

            @over_seeds(2)
            async def test_own(self):
                counts["own"] += 1

        self.assertEqual(told(run(Some)), "")
        run(Base)
        self.assertEqual(counts, {"one": 4, "other": 4, "exact": 1, "own": 2, "inherited": 5, "plain": 0})

    def test_without_a_result(self):
        """A test that is run alone makes its own result."""
        @over_seeds(2)
        async def test(self):
            pass

        case = self.case(test)("test")
        with mock.patch.object(sys, "stderr"):
            self.assertTrue(case.run().wasSuccessful())

    def test_variants(self):
        """Each variant is explored; one on another loop is run as it is."""
        calls = []

        class Some(SolipsistTestCase):
            @over_loops(virtual=SolipsistTestCase.loop_factory, stock=asyncio.new_event_loop)
            @over_executors(usual=lambda: None)
            @over_seeds(3)
            async def test(self):
                calls.append(type(asyncio.get_running_loop()).__name__)

        self.assertEqual(told(run(Some)), "")
        self.assertEqual(sorted(calls), sorted(["SolipsistEventLoop"] * 3 + [type(asyncio.new_event_loop()).__name__]))

    def test_wrong_use(self):
        """What is no number of seeds, no test, or has a sweep of its own already, is refused."""
        for bad in (0, -1, "100", True, 1.5):
            with self.assertRaisesRegex(TypeError, "over_seeds.. takes a number of seeds from 1 up, not "):
                over_seeds(bad)
        with self.assertRaisesRegex(TypeError, "not <function .*test_wrong_use>; write @over_seeds.. above a test$"):
            over_seeds(OverSeedsTest.test_wrong_use)
        for bad in (5, int):
            with self.assertRaisesRegex(TypeError, "over_seeds.. decorates a test or a SolipsistTestCase, not "):
                over_seeds(5)(bad)
        with self.assertRaisesRegex(TypeError, "exact decorates a test or a class, not 5"):
            exact(5)

        @over_cancellations(of="x")
        async def test(self):
            pass

        with self.assertRaisesRegex(TypeError, "both say how often the test runs: it takes one of them"):
            over_seeds(5)(test)

    def test_shared_loop(self):
        """Tests that share a loop cannot each be run from the start: an error that says so."""
        @over_seeds(5)
        async def test(self):
            pass

        text = told(run(self.case(test, loop_scope="class")))
        self.assertIn("SolipsismError: over_seeds() gives each run a loop of its own, and ", text)
        self.assertIn("set loop_scope to 'test'", text)

    def test_drawn_choices(self):
        """How to repeat what the program drew is said of the plain run alone: a seed explored more."""
        import random

        async def fails(self):
            random.random()
            self.fail("on purpose")

        async def stalls(self):
            random.random()
            await self.check()

        self.assertIn("choices were drawn", told(run(self.case(over_seeds(9)(fails)))))
        self.assertNotIn("choices were drawn", told(run(self.case(over_seeds(99)(stalls), Races))))


class EnvironmentTest(unittest.TestCase):
    def count(self, wanted, **names):
        """How often a test runs where the environment asks for these seeds, and the result."""
        calls = []

        async def test(self):
            calls.append(self.now)

        case = type("Some", (SolipsistTestCase,), {"test": test, **names})
        return len(calls), asked(case, wanted), len(calls)

    def test_read_seeds(self):
        """A number, or a range; all else is refused with the cure."""
        self.assertEqual(seeds.read_seeds("7"), range(7))
        self.assertEqual(seeds.read_seeds("5:250000"), range(5, 250_000))
        for bad in ("", "0", "-3", "x", "5:5", "9:3", "1:2:3", "1.5", "9" * 30):
            with self.assertRaisesRegex(SolipsismError, "SOLIPSISM_SEEDS is .*: set it to a number of seeds from 1 up"):
                seeds.read_seeds(bad)

    def test_every_test(self):
        """Each test runs with so many seeds; a range that begins later has the plain run before it."""
        for wanted, expected in (("1", 1), ("5", 5), ("5:8", 4), ("", 1)):
            _, result, count = self.count(wanted)
            self.assertEqual((count, told(result)), (expected, ""), wanted)

    def test_left_alone(self):
        """Tests that are exact, share a loop or have another one run once."""
        for names in ({"loop_scope": "class"}, {"loop_factory": asyncio.new_event_loop, "now": 0}):
            _, result, count = self.count("5", **names)
            self.assertEqual((count, told(result)), (1, ""), names)

        calls = []

        class Some(SolipsistTestCase):
            @exact
            async def test_it(self):
                calls.append(1)

        @exact
        class Other(SolipsistTestCase):
            async def test_it(self):
                calls.append(2)

        asked(Some, "5"), asked(Other, "5")
        self.assertEqual(calls, [1, 2])

    def test_a_wrong_number(self):
        """What is no number of seeds is an error of each test that passes."""
        _, result, count = self.count("many")
        self.assertEqual((count, len(result.errors)), (1, 1))
        self.assertIn("SOLIPSISM_SEEDS is 'many'", told(result))

    def test_the_command(self):
        """`--seeds N` and the variable do the same under unittest's command."""
        program = pathlib.Path(__file__).with_name("test_seeds.py").read_text(encoding="utf-8")
        counter = program[program.index("class Counter"):program.index("class OverSeedsTest")]
        text = ("import asyncio\nfrom solipsism_unittest import SolipsistTestCase\n" + counter
                + "\n    test_it = check\n")
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "races.py").write_text(text, encoding="utf-8")
            for command, variables in ((["-m", "solipsism_unittest", "--seeds", "100", "races"], {}),
                                       (["-m", "solipsism_unittest", "--seeds=100", "races"], {}),
                                       (["-m", "unittest", "races"], {"SOLIPSISM_SEEDS": "100"}),
                                       (["-m", "unittest", "races"], {})):
                child = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True,
                                       env={**os.environ, "PYTHONPATH": str(ROOT), **variables}, timeout=100)
                self.assertEqual("1 != 2" in child.stderr, "--" in "".join(command) or bool(variables), child.stderr)


class TimeAssertionsTest(unittest.TestCase):
    """Assertions about time allow for what the exploration has put in, and say so when they fail."""

    def everywhere(self, body, count=60):
        """What is said of a test over so many seeds."""
        return told(run(type("Some", (SolipsistTestCase,), {"test": over_seeds(count)(body)})))

    def test_they_allow_for_stalls(self):
        async def test(self):
            with self.assertElapses(3):
                await asyncio.sleep(1)
                await asyncio.sleep(2)
            self.assertNow(3)
            await self.assertCompletesWithin(asyncio.sleep(1), 1)
            await self.assertCompletesAfter(asyncio.sleep(1), 1)
            await self.assertTimesOut(asyncio.wait_for(asyncio.sleep(9), 1), 1)
            timer = self.loop.call_later(1, print)
            self.assertNextTimer(after=1)
            self.assertNextTimer(at=7)
            timer.cancel()
            await self.assertBlocks(asyncio.sleep(9), 3)

        self.assertEqual(self.everywhere(test), "")

    def test_and_not_for_more(self):
        async def test(self):
            seconds = 0.1 if self.case_is_wrong() else 1
            with self.assertElapses(seconds):
                await asyncio.sleep(1)

        calls = []

        def case_is_wrong(self):
            calls.append(1)
            return len(calls) > 30

        case = type("Some", (SolipsistTestCase,), {"test": over_seeds(100)(test), "case_is_wrong": case_is_wrong})
        text = told(run(case))
        self.assertRegex(text, r"the block took 1[.\d]* s, not 0.1 s: [.\d]+ s too long")

    def test_what_waits_too_long(self):
        """What is not over in time is shown at the time that it then is, with what the exploration has put in."""
        async def test(self):
            self.begun.append(self.now)
            await self.assertCompletesWithin(asyncio.sleep(2 if len(self.begun) > 30 else 1), 1)

        case = type("Some", (SolipsistTestCase,), {"test": over_seeds(100)(test), "begun": []})
        text = told(run(case))
        late, put_in = re.search(r"at t=([.\d]+) it waits for(?s:.*)allow for the ([.\d]+) s of stalls", text).groups()
        self.assertAlmostEqual(float(late), case.begun[-2] + 1 + float(put_in), 4)  # the last run was a plain one

    def test_they_say_so(self):
        async def test(self):
            await asyncio.sleep(1)
            if self.now != 1:
                self.assertNow(1000)

        self.assertRegex(self.everywhere(test), r"\n  assertions about time allow for the [.\de-]+ s of stalls and "
                                                r"delays that an exploration has put in")

    def test_what_is_on_its_way_counts_as_there(self):
        """What is asked of buffers, and of the end of a test, sees what has been sent."""
        async def test(self):
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "server.test", 80)
            one = await asyncio.open_connection("server.test", 80)
            server.close()
            listener = await self.start_fake_server(None, "other.test", 80)
            reader, writer = await asyncio.open_connection("other.test", 80)
            await self.settle()
            writer.write(b"hello")
            self.assertEqual(len(listener.connections), 1)
            writer.close()
            one[1].close()

        self.assertEqual(self.everywhere(test, 100), "")

    def test_buffers(self):
        async def test(self):
            got = []
            server = await asyncio.start_server(lambda *ends: got.append(ends), "server.test", 80)
            reader, writer = await asyncio.open_connection("server.test", 80)
            await self.settle()
            server.close()
            got[0][0]._transport.pause_reading()
            writer.write(b"hello")
            await self.settle()
            self.assertBuffered(got[0], b"hello")
            self.assertBufferEmpty(reader)
            got[0][1].write(b"answer")
            await self.settle()
            self.assertBuffered(reader, 6)
            writer.close()
            got[0][1].close()

        self.assertEqual(self.everywhere(test, 100), "")


if __name__ == "__main__":
    unittest.main()
