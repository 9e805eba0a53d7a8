"""What a test leaves: which tests do, under which names, and what happens when it cannot be written."""

import asyncio
import contextlib
import io
import os
import pathlib
import re
import sys
import tempfile
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase, world
from solipsism_unittest.case.phases import run_once
from solipsism_unittest.case.results import renew_evidence
from solipsism_unittest.case.verdict import EVIDENCE
from solipsism_unittest.case.world import begin_run
from solipsism_unittest.evidence import evidence
from solipsism_unittest.evidence.recording import tape
from solipsism_unittest.introspection.names import UNDER_PYTEST
from solipsism_unittest.kernel.choices import Explorer
from solipsism_unittest.kernel.choices.kinds import LOOKUP
from solipsism_unittest.kernel.choices.plans import Fixed
from tests.case.test_case import run, told
from tests.evidence.inner import keeping


class Outcomes(SolipsistTestCase):
    async def test_fails(self):
        await self.advance(1)
        self.fail("on purpose")

    def test_leaks(self):
        self.left = self.loop.call_later(5, print)

    def test_fails_and_leaks(self):
        self.left = self.loop.call_later(5, print)
        self.fail("on purpose")

    def test_in_a_subtest(self):
        for number in range(3):
            with self.subTest(number):
                self.assertEqual(number, 1)

    async def test_passes(self):
        await self.advance(1)

    @unittest.expectedFailure
    def test_fails_as_expected(self):
        self.fail("on purpose")

    def test_skipped(self):
        self.skipTest("on purpose")

    async def test_on_purpose(self):
        self.evidence(os.environ["HERE"])
        await self.advance(1)

    def test_twice(self):
        self.evidence(os.environ["HERE"] + "/one")
        self.evidence(pathlib.Path(os.environ["HERE"], "two"))
        self.fail("on purpose")


class Programs(SolipsistTestCase):
    """Other loops than the test's own, and checks after every callback."""

    def test_a_loop_of_its_own(self):
        async def main():
            await asyncio.create_task(asyncio.sleep(5), name="sleeper")

        asyncio.run(main())
        asyncio.run(main())
        self.fail("on purpose")

    async def test_always(self):
        seen = []
        self.always(lambda: seen.append(self.now))
        await asyncio.sleep(1)
        await asyncio.sleep(1)
        self.assertEqual(seen[-1], 3)


class Journals(SolipsistTestCase):
    digests = []

    async def test(self):
        async def answer(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        self.network.link("localhost", "api.test", latency=0.1, jitter=0.05, loss=0.2)
        await self.start_fake_server(answer, "api.test", 80)
        for _ in range(5):
            reader, writer = await asyncio.open_connection("api.test", 80)
            writer.write(b"hello\n")
            async with asyncio.timeout(60):
                await reader.read()
            writer.close()
        await asyncio.to_thread(int)
        self.network.heal()
        await asyncio.sleep(300)
        self.digests.append((self.now, self.loop.kernel.journal.digest))


class Foreign(SolipsistTestCase):
    loop_factory = asyncio.SelectorEventLoop

    def test_fails(self):
        self.fail("on purpose")

    def test_asks(self):
        self.evidence("anywhere")


def load_tests(loader, tests, pattern):
    """The other classes are inner tests."""
    return loader.loadTestsFromTestCase(EvidenceTest)


class EvidenceTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.dict(os.environ, HERE=str(self.directory)))
        os.environ.pop(EVIDENCE, None)

    def left(self):
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*.pcapng"))

    def test_a_failing_test(self):
        """Its files are in the directory, which is made, and a note says where."""
        for name in ("test_fails", "test_leaks", "test_in_a_subtest"):
            with self.subTest(name), keeping(self.directory / "new"):
                text = told(run(Outcomes, name))
                path = self.directory / "new" / f"tests.evidence.test_evidence.Outcomes.{name}.pcapng"
                self.assertTrue(path.exists())
                self.assertEqual(text.count("evidence: "), 1)
                self.assertIn(f"{path}", text)

    def test_other_tests(self):
        """One that passes, is skipped or fails as expected leaves nothing; without the variable nothing does."""
        with keeping(self.directory):
            for name in ("test_passes", "test_fails_as_expected", "test_skipped"):
                run(Outcomes, name)
        with keeping(""):
            run(Outcomes, "test_fails")
        self.assertEqual(self.left(), [])

    def test_on_purpose(self):
        """A test that asks leaves evidence when it passes, too; of two directories the last one counts."""
        self.assertTrue(run(Outcomes, "test_on_purpose").wasSuccessful())
        self.assertEqual(self.left(), ["tests.evidence.test_evidence.Outcomes.test_on_purpose.pcapng"])
        text = told(run(Outcomes, "test_twice"))
        self.assertEqual(self.left()[1:], ["two/tests.evidence.test_evidence.Outcomes.test_twice.pcapng"])
        self.assertEqual(text.count("evidence: "), 1)

    def test_it_cannot_be_written(self):
        """The failure stands as it is, and stderr says what went wrong."""
        plain = told(run(Outcomes, "test_fails"))
        (self.directory / "file").write_text("")
        said = io.StringIO()
        with keeping(self.directory / "file"), mock.patch.object(sys, "__stderr__", said):
            self.assertEqual(told(run(Outcomes, "test_fails")), plain)
        self.assertEqual(said.getvalue().count("\n"), 1)
        self.assertRegex(said.getvalue(), r"^solipsism_unittest: the evidence of \S+test_fails could not be written to "
                                          r"'.*file': (NotADirectory|FileExists)Error")

    def test_text(self):
        """The text has the error with the program's lines alone, and how things stood when it was raised."""
        with keeping(self.directory):
            run(Outcomes, "test_fails")
        text = next(self.directory.glob("*.txt")).read_text(encoding="utf-8")
        self.assertRegex(text, r'^tests\.evidence\.test_evidence\.Outcomes\.test_fails\n\nTraceback \(most recent call '
                               r'last\):\n  File ".*test_evidence\.py", line \d+, in test_fails\n'
                               r'    self\.fail\("on purpose"\)\n(?:    .*\n)?AssertionError: on purpose\n\n'
                               r'this is how things stood at t=1\.0: the loop has no task\n\nnothing is open\n$')

    def test_what_is_said_of_a_failure(self):
        """The page and the text have what the test left behind as well."""
        with keeping(self.directory):
            run(Outcomes, "test_fails_and_leaks")
        for ending in ("html", "txt"):
            text = next(self.directory.glob(f"*.{ending}")).read_text(encoding="utf-8")
            self.assertTrue("also: the test left 1 thing behind" in text, ending)

    def test_what_was_not_kept(self):
        """The text says how many events were too many."""
        with keeping(self.directory), mock.patch.object(tape, "EVENTS", 0):
            run(Outcomes, "test_fails")
        self.assertRegex(next(self.directory.glob("*.txt")).read_text(encoding="utf-8"),
                         r"\n\n\(\d later events were not kept\)\n$")

    def test_a_mistake_of_ours(self):
        """It is told, and the other files are written; the failure stays."""
        said = io.StringIO()
        with keeping(self.directory), mock.patch.object(sys, "__stderr__", said), \
                mock.patch.object(evidence, "state", side_effect=RuntimeError("broken")):
            text = told(run(Outcomes, "test_fails"))
        self.assertIn("AssertionError: on purpose", text)
        self.assertEqual(len(self.left()), 1)
        self.assertIn("RuntimeError: broken", said.getvalue())

    def test_runs_of_an_exploration(self):
        """Of the many runs of a test the plain one leaves evidence, and one of which the choices are put into words."""
        for plan, witness, count in (({}, None, 1), ({(LOOKUP, 0): 3}, None, 0), ({(LOOKUP, 0): 3}, str, 1)):
            case, result = Outcomes("test_fails"), unittest.TestResult()
            begin_run(case, None).explorer = Explorer(Fixed(plan), witness=witness)
            with keeping(self.directory / str(count)):
                run_once(case, result)
            self.assertEqual(told(result).count("evidence: "), count)

    def test_notes_that_come_later(self):
        """The page and the text have them when the evidence is renewed."""
        case, result = Outcomes("test_fails"), unittest.TestResult()
        with keeping(self.directory), mock.patch.object(result, "addFailure") as add:
            case.run(result)
        (_, (_, error, _)), _ = add.call_args
        error.add_note("1 of 5 choices matters")
        renew_evidence(error)
        for ending in ("html", "txt"):
            text = next(self.directory.glob(f"*.{ending}")).read_text(encoding="utf-8")
            self.assertIn("1 of 5 choices matters", text)
        self.assertNotIn("evidence: ", next(self.directory.glob("*.html")).read_text(encoding="utf-8"))

    def test_the_same_run(self):
        """A test with evidence is the same run as without: every record of its journal is equal, and its time."""
        self.assertEqual(told(run(Journals, "test")), "")
        with keeping(self.directory):
            self.assertEqual(told(run(Journals, "test")), "")
        self.assertEqual(len(Journals.digests), 2)
        self.assertEqual(len(set(Journals.digests)), 1)

    def test_loops_of_a_program(self):
        """Tasks of a loop that a program has made are there too, by the number of the loop."""
        with keeping(self.directory):
            run(Programs, "test_a_loop_of_its_own")
        text = next(self.directory.glob("*.html")).read_text(encoding="utf-8")
        for wanted in ('["localhost","sleeper of loop 2, 3"]', '"sleeps 5 s"'):
            self.assertTrue(wanted in text, wanted)
        self.assertFalse("shutdown" in text)

    def test_beside_checks(self):
        """Checks after every callback are made as without evidence."""
        plain = told(run(Programs, "test_always"))
        with keeping(self.directory):
            found = told(run(Programs, "test_always"))
        self.assertEqual(re.sub("\nevidence: .*", "", found), plain)
        self.assertIn("2.0 != 3", plain)

    def test_a_foreign_loop(self):
        """There is no virtual world to write down: a failing test is as ever, and asking is refused."""
        with keeping(self.directory):
            self.assertNotIn("evidence: ", told(run(Foreign, "test_fails")))
        self.assertIn("evidence() needs the virtual world", told(run(Foreign, "test_asks")))

    def test_a_world_without_a_test(self):
        """world() leaves it too, where it is asked for and where the block fails, by its line, or pytest's test."""
        with contextlib.suppress(ZeroDivisionError), keeping(self.directory), world():
            raise ZeroDivisionError
        self.assertRegex(self.left()[0], r"^world\(\)_at_\S+_\d+_in_EvidenceTest\.test_a_world_without_a_test\.pcapng$")
        with mock.patch.dict(os.environ, {UNDER_PYTEST: "tests/test_it.py::test[1 (a)] (setup)"}), world() as here:
            here.evidence(self.directory)
        self.assertEqual(self.left()[0], "tests_test_it.py_test_1_(a)_.pcapng")

    def test_when_a_world_fails(self):
        """The moment counts at which the error leaves the block, before any cleanup, as of a test."""
        with contextlib.suppress(ZeroDivisionError), keeping(self.directory), world() as here:
            here.addCleanup(here.socketpair()[0].close)
            here.addAsyncCleanup(asyncio.sleep, 10)
            here.run(here.advance(1))
            raise ZeroDivisionError
        text = next(self.directory.glob("*.txt")).read_text(encoding="utf-8")
        self.assertRegex(text, r"this is how things stood at t=1\.0: the loop has no task\n(.*\n)+unix +established ")

    def test_a_fixture_of_pytest(self):
        """What it gives to a test that fails leaves evidence though pytest tells it of no failure, and says where."""
        name, said = "tests/test_it.py::test", io.StringIO()
        earlier = ValueError("of an earlier test")
        self.enterContext(mock.patch.object(sys, "last_value", earlier, create=True))
        for phase, failure, is_kept in (("teardown", AssertionError("on purpose"), True), ("teardown", earlier, False),
                                        ("teardown", None, False), ("call", AssertionError("caught"), False),
                                        ("teardown", "of somebody else's", False)):
            sys.last_value = earlier
            with self.subTest(phase, failure=failure), contextlib.redirect_stderr(said), \
                    keeping(self.directory / f"{is_kept}"), \
                    mock.patch.dict(os.environ, {UNDER_PYTEST: f"{name} (setup)"}), world() as here:
                here.addAsyncCleanup(asyncio.sleep, 10)
                here.run(here.advance(1))
                os.environ[UNDER_PYTEST] = f"{name} ({phase})"
                del sys.last_value
                if failure is not None:
                    sys.last_value = failure
        files = [self.directory / "True" / f"tests_test_it.py_test.{ending}" for ending in ("html", "txt", "pcapng")]
        self.assertEqual(said.getvalue(), f"evidence: {', '.join(map(str, files))}\n")
        self.assertEqual(self.left(), ["True/tests_test_it.py_test.pcapng"])
        self.assertIn("AssertionError: on purpose\n\nthis is how things stood at t=1.0", files[1].read_text("utf-8"))

    def test_a_fixture_of_pytest_that_fails_itself(self):
        """What is left makes an error of its own; the body's failure comes first in the files."""
        with contextlib.redirect_stderr(io.StringIO()), \
                self.assertRaisesRegex(AssertionError, "the test left 1 thing"), keeping(self.directory), \
                mock.patch.object(sys, "last_value", None, create=True), \
                mock.patch.dict(os.environ, {UNDER_PYTEST: "tests/test_it.py::test (setup)"}), world() as here:
            here.left = here.loop.call_later(5, print)
            os.environ[UNDER_PYTEST] = "tests/test_it.py::test (teardown)"
            sys.last_value = AssertionError("on purpose")
        text = next(self.directory.glob("*.txt")).read_text(encoding="utf-8")
        self.assertRegex(text, r"(?s)^tests/test_it\.py::test\n\nAssertionError: on purpose\n\n.*the test left 1 thing")

    def test_names_of_files(self):
        """A name has nothing that a file system minds, and an end."""
        self.assertEqual(evidence.file_name("a.b (x='/:\\')"), "a.b_(x=_)")
        self.assertEqual(len(evidence.file_name("ä" * 1_000).encode()), 200)
