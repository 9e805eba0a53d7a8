"""One cause in many tests of a class: the first test says all of it, the others say which that was, and count."""

import asyncio
import subprocess
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


async def never():
    """Waits for what nobody does."""
    await asyncio.Event().wait()


async def spin():
    """Runs without end at one instant."""
    while True:
        await asyncio.sleep(0)


def texts(case):
    """The text of each failure, by the name of the test, and the whole result."""
    result = run(case)
    return {test._testMethodName: text for test, text in result.errors + result.failures}, result


class HangsTest(unittest.TestCase):
    def test_one_cause(self):
        """At other times and by other lines of the tests it is the same hang; their tracebacks stay."""

        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                self.worker = asyncio.create_task(never())
                self.addCleanup(self.worker.cancel)

            async def test_1(self):
                await never()

            async def test_2(self):
                await asyncio.sleep(12.5)
                await never()

            async def test_3(self):
                await asyncio.gather(*(asyncio.sleep(0) for _ in range(9)))
                await never()

            async def test_4(self):
                await asyncio.Event().wait()

        found, _ = texts(Case)
        self.assertIn("waits for Event 1", found["test_1"])
        for name, seconds, count in (("test_2", 12.5, 2), ("test_3", 0.0, 3)):
            self.assertIn("    await never()\n", found[name])
            self.assertTrue(found[name].endswith(
                f"SleepForeverError: nothing can wake the program at t={seconds}: 2 tasks wait for ever\n"
                f"  as in test_1 ({count} tests of this class so far)\n"), found[name])
        self.assertIn("waits for Event", found["test_4"])  # another line: another cause

    def test_other_kinds(self):
        """Spins and limits are counted, each kind by itself; a fixture that hangs is one cause too."""

        class Case(SolipsistTestCase):
            virtual_time_limit = 30

            async def test_1_spin(self):
                await spin()

            async def test_2_spin(self):
                await spin()

            async def test_3_limit(self):
                await asyncio.sleep(100)

            def test_4_nothing_of_it(self):
                raise ValueError("mine")

        class Fixture(SolipsistTestCase):
            async def asyncSetUp(self):
                await never()

            async def test_1(self):
                pass

            async def test_2(self):
                pass

        found, _ = texts(Case)
        counted = {name for name, text in found.items() if "tests of this class so far" in text}
        self.assertEqual(counted, {"test_2_spin"})
        self.assertIn("LivelockError: the program spins at t=0.0: 1 task\n  as in test_1_spin (2 tests",
                      found["test_2_spin"])
        found, _ = texts(Fixture)
        self.assertIn("as in test_1 (2 tests of this class so far)", found["test_2"])

    def test_other_classes(self):
        """Each class says it anew, and so does one whose failure was expected."""

        class Base(SolipsistTestCase):
            async def test_1(self):
                await never()

        class Other(Base):
            pass

        class Expected(SolipsistTestCase):
            @unittest.expectedFailure
            async def test_1(self):
                await never()

            async def test_2(self):
                await never()

        for case in (Base, Other, Expected):
            self.assertNotIn("so far", told(run(case)))


class DeadTest(unittest.TestCase):
    """What stands above failures because they may come of it."""

    def test_a_task(self):
        """A worker that dies in each test has its traceback once, and stands above every failure, counted."""

        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                self.worker = asyncio.create_task(self.work(), name="Worker")

            async def work(self):
                await asyncio.sleep(1)
                raise LookupError("broken")

            async def test_1(self):
                await asyncio.sleep(2)
                self.fail("one")

            async def test_2(self):
                await asyncio.sleep(3)
                self.fail("two")

            async def test_3(self):
                await asyncio.sleep(3)
                raise ValueError("three")

            async def test_4(self):
                async def other():
                    raise LookupError("of another")

                self.other = asyncio.create_task(other())
                await asyncio.sleep(0)
                self.fail("four")

        found, _ = texts(Case)
        line = Case.asyncSetUp.__code__.co_firstlineno + 1
        for name in ("test_1", "test_4"):
            self.assertIn("    raise LookupError(", found[name])
            self.assertNotIn("so far", found[name])
        for name, count, last in (("test_2", 2, "AssertionError: two"), ("test_3", 3, "ValueError: three")):
            head, _, failure = found[name].partition("\n\nThe above exception was the direct cause")
            self.assertEqual(
                head,
                "LookupError: broken\n1 error went by unseen while the test ran, and the failure below may come of it\n"
                "  Worker (DeadTest.test_a_task.<locals>.Case.work) raised LookupError('broken'): await the task, or "
                f"ask for its exception()\n    made at tests/behaviours/test_repeated.py:{line} in "
                "DeadTest.test_a_task.<locals>.Case.asyncSetUp\n"
                f"  as in test_1 ({count} tests of this class so far)")
            self.assertTrue(failure.endswith(f"{last}\n"), failure)

    def test_a_handler(self):
        """So has the handler of a server that each test starts."""

        async def handler(reader, writer):
            raise LookupError("of the handler")

        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                await self.start_fake_server(handler, "api.test", 80)

            async def ask(self):
                reader, writer = await asyncio.open_connection("api.test", 80)
                self.addCleanup(writer.close)
                self.assertEqual(await reader.read(), b"answer")

            test_1 = test_2 = ask

        found, _ = texts(Case)
        self.assertNotIn("so far", found["test_1"])
        self.assertIn("    raise LookupError(", found["test_1"])
        self.assertRegex(found["test_2"], r"^LookupError: of the handler\nraised by the handler of <FakeServer .*>, "
                                          r"made at .*\n  as in test_1 \(2 tests of this class so far\)\n")


class EscapesTest(unittest.TestCase):
    def test_one_line(self):
        """Escapes of one line are one cause, whatever their arguments, swallowed or not, once or again and again."""

        class Case(SolipsistTestCase):
            def start(self, program):
                return subprocess.run([program])

            def try_to_start(self, program):
                for _ in range(3):
                    try:
                        self.start(program)
                    except Exception:
                        continue

            async def test_1(self):
                self.try_to_start("git")

            async def test_2(self):
                self.try_to_start("ls")

            async def test_3(self):
                self.try_to_start("cat")
                self.start("cat")

            async def test_4(self):
                subprocess.run(["git"])

        found, result = texts(Case)
        self.assertEqual(len(result.errors), 4)
        self.assertIn("give the code under test a fake", found["test_1"])
        for name, program, count in (("test_2", "ls", 2), ("test_3", "cat", 3)):
            text = found[name]
            self.assertIn(f"subprocess.run(['{program}']) would start a real process (", text)
            self.assertRegex(text, rf"\.start\), as in test_1 \({count} tests of this class so far\)\n")
            self.assertNotIn("give the code under test a fake", text)
            self.assertEqual(text.count("so far"), 1)
        self.assertIn("give the code under test a fake", found["test_4"])
