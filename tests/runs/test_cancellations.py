"""One test with each await of a coroutine cancelled: planted bugs, their mended twins, and what is not judged."""

import asyncio
import contextlib
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest
import warnings
from unittest import mock

from solipsism_unittest import NotJudgedWarning, SolipsistEventLoop, SolipsistTestCase, over_cancellations, over_loops
from solipsism_unittest.runs import cancellations
from solipsism_unittest.runs.suspensions import HAS_TIMEOUTS
from tests import ROOT
from tests.case.test_case import run, told


def load_tests(loader, tests, pattern):
    """Only the tests of this file: some of the other classes fail on purpose."""
    found = [value for value in globals().values() if isinstance(value, type) and value.__name__.endswith("Test")]
    return unittest.TestSuite(loader.loadTestsFromTestCase(case) for case in found)


async def bear(*tasks):
    """Wait until these tasks are done, however they end."""
    await asyncio.wait(tasks, timeout=100)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # it is read


# -- eight bugs, each beside its mended twin: a class with `work`, and what a test asks of it


class LockKept:
    def __init__(self):
        self.lock = asyncio.Lock()

    async def work(self):
        await self.lock.acquire()
        await asyncio.sleep(1)
        self.lock.release()


class LockGivenBack(LockKept):
    async def work(self):
        async with self.lock:
            await asyncio.sleep(1)


async def others_get_the_lock(test, program):
    await bear(asyncio.create_task(program.work()))
    async with program.lock:
        await asyncio.sleep(1)


class ConnectionKept:
    def __init__(self):
        self.free = [1]

    async def work(self):
        connection = self.free.pop()
        await asyncio.sleep(1)
        self.free.append(connection)


class ConnectionGivenBack(ConnectionKept):
    async def work(self):
        connection = self.free.pop()
        try:
            await asyncio.sleep(1)
        finally:
            self.free.append(connection)


async def the_pool_is_full(test, program):
    await bear(asyncio.create_task(program.work()))
    test.assertEqual(program.free, [1])


class TaskOrphaned:
    async def work(self):
        helper = asyncio.create_task(asyncio.sleep(1000))
        await asyncio.sleep(1)
        helper.cancel()


class TaskKept:
    async def work(self):
        helper = asyncio.create_task(asyncio.sleep(1000))
        try:
            await asyncio.sleep(1)
        finally:
            helper.cancel()


async def nothing_more(test, program):
    await bear(asyncio.create_task(program.work()))


class FileLeftOpen:
    def __init__(self):
        self.opened = []

    async def work(self):
        file = open(__file__, encoding="utf-8")  # noqa: SIM115, ASYNC230 - it is the bug
        self.opened.append(file)
        await asyncio.sleep(1)
        file.close()


class FileClosed(FileLeftOpen):
    async def work(self):
        with open(__file__, encoding="utf-8") as file:  # noqa: ASYNC230
            self.opened.append(file)
            await asyncio.sleep(1)


async def all_files_are_closed(test, program):
    await bear(asyncio.create_task(program.work()))
    states = [file.closed for file in program.opened]
    for file in program.opened:
        file.close()
    test.assertEqual(states, [True])


class FrameHalfWritten:
    def __init__(self):
        self.sent = b""

    async def work(self):
        self.sent += b"<"
        await asyncio.sleep(1)
        self.sent += b">"


class FrameWhole(FrameHalfWritten):
    async def work(self):
        await asyncio.sleep(1)
        self.sent += b"<>"


async def frames_are_whole(test, program):
    await bear(asyncio.create_task(program.work()))
    test.assertIn(program.sent, (b"", b"<>"))


class CancellationSwallowed:
    async def work(self):
        with contextlib.suppress(BaseException):
            await asyncio.sleep(1)
        self.went_on = asyncio.current_task().cancelling()


class CancellationLetOut:
    async def work(self):
        with contextlib.suppress(OSError):
            await asyncio.sleep(1)
        self.went_on = asyncio.current_task().cancelling()


async def it_does_not_go_on(test, program):
    await bear(asyncio.create_task(program.work()))
    test.assertEqual(getattr(program, "went_on", 0), 0)


class ShieldMisused:
    async def work(self):
        await asyncio.shield(asyncio.create_task(asyncio.sleep(1000)))


class ShieldKept:
    async def work(self):
        inner = asyncio.create_task(asyncio.sleep(1000))
        try:
            await asyncio.shield(inner)
        except asyncio.CancelledError:
            inner.cancel()
            raise


async def nothing_more_for_long(test, program):
    task = asyncio.create_task(program.work())
    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
        await task


class CleanupCancelled:
    def __init__(self):
        self.is_closed = False

    async def work(self):
        try:
            await asyncio.sleep(1)
        finally:
            await asyncio.sleep(1)  # says goodbye
            self.is_closed = True


class CleanupFirst(CleanupCancelled):
    async def work(self):
        try:
            await asyncio.sleep(1)
        finally:
            self.is_closed = True
            await asyncio.sleep(1)


async def it_is_closed(test, program):
    task = asyncio.create_task(program.work())
    await bear(task)
    test.assertTrue(program.is_closed)


ZOO = (
    (LockKept, LockGivenBack, others_get_the_lock, "await asyncio.sleep(1)"),
    (ConnectionKept, ConnectionGivenBack, the_pool_is_full, "await asyncio.sleep(1)"),
    (TaskOrphaned, TaskKept, nothing_more, "await asyncio.sleep(1)"),
    (FileLeftOpen, FileClosed, all_files_are_closed, "await asyncio.sleep(1)"),
    (FrameHalfWritten, FrameWhole, frames_are_whole, "await asyncio.sleep(1)"),
    (CancellationSwallowed, CancellationLetOut, it_does_not_go_on, "await asyncio.sleep(1)"),
    (ShieldMisused, ShieldKept, nothing_more_for_long, "await asyncio.shield("),
    (CleanupCancelled, CleanupFirst, it_is_closed, "await asyncio.sleep(1)  # says goodbye"),
)


def swept(program, ask, how="cancel"):
    """What comes of a test that is swept over the awaits of the program's `work`."""

    class Case(SolipsistTestCase):
        @over_cancellations(of=f"{program.__name__}.work", how=how)
        async def test(self):
            await ask(self, program())

    return run(Case)


class ZooTest(unittest.TestCase):
    def test_found(self):
        """Each planted bug fails the test, at the line of its await."""
        lines = pathlib.Path(__file__).read_text(encoding="utf-8").splitlines()
        for program, _, ask, line in ZOO:
            with self.subTest(program.__name__):
                result = swept(program, ask)
                self.assertEqual((result.testsRun, len(result.failures + result.errors)), (1, 1))
                text = told(result)
                self.assertIn(f"the test passes, and fails so when {program.__name__}.work is cancelled at the await "
                              "at tests/runs/test_cancellations.py:", text)
                number = int(text.partition("await at tests/runs/test_cancellations.py:")[2].partition(" ")[0])
                self.assertIn(line, lines[number - 1])

    def test_not_found(self):
        """The mended twins pass, without a warning."""
        for _, program, ask, _ in ZOO:
            with self.subTest(program.__name__), warnings.catch_warnings():
                warnings.simplefilter("error")
                result = swept(program, ask)
                self.assertEqual((result.testsRun, told(result), result.skipped), (1, "", []))

    @unittest.skipUnless(HAS_TIMEOUTS, "from Python 3.12 on")
    def test_timeouts(self):
        """A timeout finds the same."""
        for program, twin, ask, _ in ZOO:
            with self.subTest(program.__name__):
                text = told(swept(program, ask, "timeout"))
                self.assertIn("work is ended by a timeout at the await at tests/runs/test_cancellations.py", text)
                self.assertEqual(told(swept(twin, ask, "timeout")), "")

    @unittest.skipIf(HAS_TIMEOUTS, "before Python 3.12")
    def test_no_timeouts(self):
        """Where frames end unseen the test is skipped, and says why."""
        result = swept(LockKept, others_get_the_lock, "timeout")
        self.assertEqual([reason for _, reason in result.skipped],
                         ["over_cancellations(how='timeout') needs Python 3.12"])


async def work(seconds=1.0):
    """Two awaits."""
    await asyncio.sleep(seconds)
    await asyncio.sleep(seconds)


def warned(case):
    """What comes of a class, and the texts of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(case)
    return result, [str(each.message) for each in caught if each.category is NotJudgedWarning]


class NotJudgedTest(unittest.TestCase):
    def test_the_test_itself(self):
        """A cancellation that only ends the test is not judged; where all are so, a warning says it."""
        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            async def test(self):
                self.left = asyncio.create_task(asyncio.sleep(99))
                await work()
                self.left.cancel()

        result, texts = warned(Case)
        self.assertEqual(told(result), "")
        self.assertEqual(texts, ["work was suspended 2 times; 0 failed, 0 passed, 2 not judged, as only the test "
                                 "itself was ended: let it start a task and wait by asyncio.wait([task]), which raises "
                                 "nothing when that is cancelled"])

    @unittest.skipUnless(HAS_TIMEOUTS, "from Python 3.12 on")
    def test_a_timeout_of_the_test_itself(self):
        """The same for a TimeoutError of ours; one of the program's is judged."""
        class Case(SolipsistTestCase):
            @over_cancellations(of="work", how="timeout")
            async def test(self):
                await work()

        class Other(SolipsistTestCase):
            @over_cancellations(of="work", how="timeout")
            async def test(self):
                try:
                    await work()
                except TimeoutError:
                    raise TimeoutError("of the program") from None

        result, texts = warned(Case)
        self.assertEqual((told(result), len(texts)), ("", 1))
        self.assertIn("of 2 cancellations: 2 failed, 0 passed", told(run(Other)))

    def test_some(self):
        """Where some are judged, the failure counts the others."""
        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            async def test(self):
                await work()
                task = asyncio.create_task(work())
                await bear(task)
                self.assertFalse(task.cancelled())

        result, texts = warned(Case)
        self.assertEqual(texts, [])
        self.assertIn("it fails at these awaits too: tests/runs/test_cancellations.py:", told(result))
        self.assertIn("of 4 cancellations: 2 failed, 0 passed, 2 not judged", told(result))

    def test_never_reached(self):
        """A run that does not come there, or skips, is counted so."""
        runs = []

        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            async def test(self):
                runs.append(1)
                if len(runs) == 2:
                    self.skipTest("today")
                await (bear(asyncio.create_task(work())) if len(runs) == 1 else asyncio.sleep(1))

        result, texts = warned(Case)
        self.assertEqual((told(result), result.skipped), ("", []))
        self.assertEqual(texts, ["work was suspended 2 times; 0 failed, 0 passed, 2 not reached: the test did not run "
                                 "as it did before"])

    def test_nothing_to_cancel(self):
        """A name that no coroutine has, or one that never waits, fails: the sweep would say nothing."""
        class Case(SolipsistTestCase):
            @over_cancellations(of="Pool.acquire")
            async def test(self):
                await work()

        self.assertIn("AssertionError: no Pool.acquire was suspended at an await while the test ran", told(run(Case)))

    def test_sample(self):
        """Of very many awaits a sample is cancelled, the same in each run, and a warning says so."""
        class Case(SolipsistTestCase):
            seed = 3

            @over_cancellations(of="EachTime.work")
            async def test(self):
                await bear(asyncio.create_task(EachTime().work()))

        with mock.patch.object(cancellations, "MOST", 4):
            first, again = warned(Case), warned(Case)
        self.assertEqual(told(first[0]), "")
        self.assertEqual(first[1], again[1])
        self.assertEqual(first[1], ["EachTime.work was suspended 9 times; a sample of 4 of them was cancelled, from "
                                    "seed 3: 0 failed, 4 passed"])


class EachTime:
    async def work(self):
        for _ in range(9):
            await asyncio.sleep(0)


class HowTest(unittest.TestCase):
    def hits(self, program, of, how="cancel"):
        """How many runs a sweep makes of an async function, and what comes of it."""
        runs = []

        class Case(SolipsistTestCase):
            @over_cancellations(of=of, how=how)
            async def test(self):
                runs.append(1)
                await bear(asyncio.create_task(program()))

        result = run(Case)
        return len(runs), told(result)

    def test_kinds_of_coroutines(self):
        """Each await counts once: in finally, in generators, in functions inside of functions, in recursions."""
        async def recursive(depth=3):
            await asyncio.sleep(1)
            if depth:
                await recursive(depth - 1)

        async def with_finally():
            try:
                await asyncio.sleep(0)
            finally:
                await asyncio.sleep(1)

        @contextlib.asynccontextmanager
        async def acquired():
            await asyncio.sleep(1)
            try:
                yield
            finally:
                await asyncio.sleep(1)

        async def uses():
            async with acquired():
                await asyncio.sleep(1)

        self.assertEqual(self.hits(recursive, "recursive"), (5, ""))
        self.assertEqual(self.hits(with_finally, "with_finally"), (3, ""))
        self.assertEqual(self.hits(uses, "acquired"), (3, ""))
        self.assertEqual(self.hits(work, "work"), (3, ""))
        if HAS_TIMEOUTS:
            self.assertEqual(self.hits(uses, "acquired", "timeout"), (3, ""))
            self.assertEqual(self.hits(recursive, "recursive", "timeout"), (5, ""))

    @unittest.skipUnless(HAS_TIMEOUTS, "from Python 3.12 on")
    def test_a_timeout_that_is_survived(self):
        """A coroutine that makes something else of its cancellation is not touched again."""
        async def returns():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)

        async def fails():
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                raise LookupError from None

        @contextlib.asynccontextmanager
        async def gives():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(1)
            yield

        async def uses():
            async with gives():
                await asyncio.sleep(1)
            self.assertEqual(asyncio.current_task().cancelling(), 0)

        for program, of in (returns, "returns"), (fails, "fails"), (uses, "gives"):
            with self.subTest(of):
                self.assertEqual(self.hits(program, of, "timeout"), (2, ""))

    def test_eager_tasks(self):
        """A task that begins at once is cancelled at its first await too."""
        if not hasattr(asyncio, "eager_task_factory"):
            self.skipTest("from Python 3.12 on")

        async def program():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            await bear(asyncio.create_task(work()))

        self.assertEqual(self.hits(program, "work"), (3, ""))

    def test_driven_by_hand(self):
        """A coroutine that no task runs is nobody's to cancel."""
        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            async def test(self):
                await bear(asyncio.create_task(work()))

            def setUp(self):
                coroutine = work(0)
                coroutine.send(None)
                coroutine.close()

        result, _ = warned(Case)
        self.assertEqual(told(result), "")

    def test_whole_runs(self):
        """Each run has its set-up, tear-down and cleanups, on an object of its own."""
        told_of = []

        class Case(SolipsistTestCase):
            def setUp(self):
                self.assertFalse(hasattr(self, "mark"))
                self.mark = 1
                self.addCleanup(told_of.append, "cleanup")

            async def asyncTearDown(self):
                told_of.append("down")

            @over_cancellations(of="work")
            async def test(self):
                told_of.append("test")
                await bear(asyncio.create_task(work()))

        result = run(Case)
        self.assertEqual((result.testsRun, told(result)), (1, ""))
        self.assertEqual(told_of, ["test", "down", "cleanup"] * 3)

    def test_other_outcomes(self):
        """What fails plain, is skipped, or fails as expected, is not swept."""
        runs = []

        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            async def test_fails(self):
                runs.append(1)
                await work()
                self.fail("on purpose")

            @over_cancellations(of="work")
            async def test_skips(self):
                runs.append(1)
                self.skipTest("today")

            @unittest.expectedFailure
            @over_cancellations(of="work")
            async def test_expected(self):
                runs.append(1)
                self.fail("on purpose")

            @over_cancellations(of="work")
            async def test_subtests(self):
                runs.append(1)
                task = asyncio.create_task(work())
                with self.subTest(1):
                    await bear(task)
                with self.subTest(2):
                    self.assertFalse(task.cancelled())

        result = run(Case)
        self.assertEqual((len(runs), result.testsRun, len(result.failures), len(result.skipped),
                          len(result.expectedFailures)), (6, 4, 2, 1, 1))
        self.assertNotIn("the test passes", result.failures[0][1])
        self.assertIn("of 2 cancellations: 2 failed", result.failures[1][1])

    def test_without_a_result(self):
        """run() makes a result where it is given none, as unittest's."""
        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            async def test(self):
                await bear(asyncio.create_task(work()))

        result = Case("test").run()
        self.assertEqual((result.testsRun, result.wasSuccessful()), (1, True))

    def test_warnings_as_errors(self):
        """What is said as a warning fails the test where warnings are errors."""
        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            async def test(self):
                await work()

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = run(Case)
        self.assertIn("NotJudgedWarning: work was suspended 2 times", told(result))

    def test_other_watchers(self):
        """A profiler of somebody else's goes on, and a tool is free again."""
        if HAS_TIMEOUTS:
            names = [sys.monitoring.get_tool(number) for number in range(6)]
            self.assertEqual(self.hits(work, "work"), (3, ""))
            self.assertEqual([sys.monitoring.get_tool(number) for number in range(6)], names)
            taken = [number for number in (4, 3, 5) if names[number] is None]
            try:
                for number in taken:
                    sys.monitoring.use_tool_id(number, "mine")
                self.assertRaisesRegex(Exception, "needs a tool of sys.monitoring", self.hits, work, "work")
            finally:
                for number in taken:
                    sys.monitoring.free_tool_id(number)
            return
        seen, before = [], sys.getprofile()
        mine = lambda *arguments: seen.append(arguments[1])  # noqa: E731
        sys.setprofile(mine)
        try:
            outcome = self.hits(work, "work")
            now = sys.getprofile()
        finally:
            sys.setprofile(before)
        self.assertEqual((outcome, now), ((3, ""), mine))
        self.assertIn("return", seen)


class Inherited(SolipsistTestCase):
    async def test(self):
        self.runs.append(self._testMethodName)
        await bear(asyncio.create_task(work()))

    def test_plain(self):
        self.runs.append(self._testMethodName)


class DecoratorTest(unittest.TestCase):
    def test_class(self):
        """Of a class each async test is swept, an inherited one too; the other class stays as it is."""
        @over_cancellations(of="work")
        class Case(Inherited):
            runs = []

        class Other(Inherited):
            runs = []

        for case, wanted in (Case, ["test"] * 3 + ["test_plain"]), (Other, ["test", "test_plain"]):
            self.assertEqual(told(run(case)), "")
            self.assertEqual(case.runs, wanted)

    def test_over_loops(self):
        """Above it, over_loops() gives each loop its sweep, a stock one too."""
        runs = []

        class Case(SolipsistTestCase):
            @over_loops(virtual=SolipsistEventLoop, stock=asyncio.SelectorEventLoop)
            @over_cancellations(of="work")
            async def test(self):
                runs.append(type(asyncio.get_running_loop()))
                await bear(asyncio.create_task(work(0)))

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(runs, [asyncio.SelectorEventLoop] * 3 + [SolipsistEventLoop] * 3)

    def test_shared_loop(self):
        """Tests that share a loop are swept on it."""
        class Case(SolipsistTestCase):
            loop_scope = "class"

            @over_cancellations(of="work")
            async def test(self):
                await bear(asyncio.create_task(work()))

        self.assertEqual(told(run(Case)), "")

    def test_variants(self):
        """It stands above over_loops() and below it: each variant is swept."""
        seen = []

        class Case(SolipsistTestCase):
            @over_cancellations(of="work")
            @over_loops(one=SolipsistEventLoop, two=SolipsistEventLoop)
            async def test_above(self):
                seen.append(self._testMethodName)
                await bear(asyncio.create_task(work()))

            @over_loops(one=SolipsistEventLoop)
            @over_cancellations(of="work")
            async def test_below(self):
                seen.append(self._testMethodName)
                await bear(asyncio.create_task(work()))

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(sorted(set(seen)), ["test_above_one", "test_above_two", "test_below_one"])
        self.assertGreater(seen.count("test_above_two"), 1)
        self.assertGreater(seen.count("test_below_one"), 1)

    def test_refused(self):
        """What is no name, no way, or no async test is refused where it is written."""
        for of in ("", None, work):
            with self.assertRaisesRegex(TypeError, "takes the __qualname__ of a coroutine function, not "):
                over_cancellations(of=of)
        with self.assertRaisesRegex(ValueError, "how is one of 'cancel', 'timeout', not 'twice'"):
            over_cancellations(of="work", how="twice")
        for target in (print, lambda self: None, unittest.TestCase):
            with self.assertRaisesRegex(TypeError, "decorates an async test or a SolipsistTestCase, not "):
                over_cancellations(of="work")(target)


FILE = """
import asyncio
from solipsism_unittest import SolipsistTestCase, over_cancellations

free = []

async def work():
    connection = free.pop()
    await asyncio.sleep(1)
    free.append(connection)

class Test(SolipsistTestCase):
    @over_cancellations(of="work")
    async def test_leaks(self):
        free[:] = [1]
        await asyncio.wait([asyncio.create_task(work())])
        self.assertEqual(free, [1])

    @over_cancellations(of="work")
    async def test_passes(self):
        free[:] = [1]
        await asyncio.wait([asyncio.create_task(work())])
"""


@unittest.skipUnless(importlib.util.find_spec("pytest"), "pytest is not installed")
class PytestTest(unittest.TestCase):
    def test_outcomes(self):
        """pytest sees one test for each, with the note."""
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "test_it.py")
            file.write_text(FILE, encoding="utf-8")
            child = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                                    f"--rootdir={folder}", str(file)], cwd=ROOT, capture_output=True, text=True,
                                   timeout=120)
        self.assertIn("1 failed, 1 passed", child.stdout)
        self.assertIn("the test passes, and fails so when work is cancelled at the await at ", child.stdout)


if __name__ == "__main__":
    unittest.main()
