"""One loop for the tests of a class or a module: its fixtures, and who answers for what is left on it."""

import asyncio
import contextvars
import os
import re
import socket
import sys
import types
import unittest

from solipsism_unittest import SolipsistTestCase, fail_on
from tests.test_case import told

variable = contextvars.ContextVar("variable", default="outside")


async def fail(error=None):
    """A task that ends with an error."""
    raise error or ValueError("on purpose")


def run(*classes):
    """Run the tests of classes as a suite does, with their fixtures; returns the result."""
    result = unittest.TestResult()
    loader = unittest.TestLoader()
    unittest.TestSuite(map(loader.loadTestsFromTestCase, classes)).run(result)
    return result


class SharedLoopTest(unittest.TestCase):
    def test_one_loop_and_one_time(self):
        """The tests of a class share a loop, and its time goes on from test to test; the fixtures run on it."""
        seen = []

        class Case(SolipsistTestCase):
            loop_scope = "class"
            start_time = 100.0

            @classmethod
            async def asyncSetUpClass(cls):
                cls.first = asyncio.get_running_loop()
                variable.set("of the class")
                await asyncio.sleep(1)

            async def test_a(self):
                self.assertIs(self.loop, self.first)
                self.assertEqual(variable.get(), "of the class")
                variable.set("of the test")
                self.assertNow(101)
                await asyncio.sleep(10)

            def test_b(self):
                self.assertEqual(variable.get(), "of the class")
                self.assertNow(111)

            @classmethod
            async def asyncTearDownClass(cls):
                seen.append((asyncio.get_running_loop() is cls.first, variable.get(), cls.first.time()))

        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 2))
        self.assertEqual(seen, [(True, "of the class", 111.0)])
        self.assertTrue(Case.first.is_closed())
        self.assertEqual(told(run(Case)), "")  # once more, on a new loop

    def test_a_server_of_the_class(self):
        """A server that the class starts serves all of its tests, and is no leak of theirs."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                async def serve(reader, writer):
                    while line := await reader.readline():
                        writer.write(line.upper())
                    writer.close()

                async def tick():
                    while True:
                        await asyncio.sleep(1)

                cls.server = await asyncio.start_server(serve, "api.test", 80)
                cls.ticker = asyncio.create_task(tick())

            @classmethod
            async def asyncTearDownClass(cls):
                cls.ticker.cancel()
                cls.server.close()
                await cls.server.wait_closed()

            async def ask(self):
                reader, writer = await asyncio.open_connection("api.test", 80)
                writer.write(b"hello\n")
                self.assertEqual(await reader.readline(), b"HELLO\n")
                await asyncio.sleep(2.5)
                writer.close()
                await writer.wait_closed()

            test_a = test_b = test_c = ask

        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 3))

    def test_a_module(self):
        """Classes of a module share one loop, which is closed with the module; each class has its fixtures."""
        loops = []

        class Base(SolipsistTestCase):
            loop_scope = "module"
            __module__ = "module_of_shared_loop"

            @classmethod
            async def asyncSetUpClass(cls):
                await asyncio.sleep(1)
                loops.append(asyncio.get_running_loop())

            async def test(self):
                self.assertIs(self.loop, loops[0])
                self.assertFalse(loops[0].is_closed())

        sys.modules["module_of_shared_loop"] = types.ModuleType("module_of_shared_loop")
        self.addCleanup(sys.modules.pop, "module_of_shared_loop")
        classes = [type(name, (Base,), {"__module__": Base.__module__}) for name in ("One", "Two")]
        result = run(*classes)
        self.assertEqual((told(result), result.testsRun), ("", 2))
        self.assertEqual((len(set(loops)), loops[0].time(), loops[0].is_closed()), (1, 2.0, True))

    def test_settings_of_a_module(self):
        """A class that wants another loop than its module shares is refused."""

        class One(SolipsistTestCase):
            loop_scope = "module"

            async def test(self):
                pass

        class Two(One):
            start_time = 5.0

        result = run(One, Two)
        self.assertEqual((len(result.errors), result.testsRun), (1, 1))
        self.assertIn("wants another loop than the one that module tests.test_scopes shares", told(result))

    def test_without_a_suite(self):
        """A test that runs alone has the fixture of its class all the same."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.ready = True

            async def test(self):
                self.assertTrue(self.ready)

        result = unittest.TestResult()
        Case("test").run(result)
        Case("test").debug()
        self.assertEqual(told(result), "")
        Case.doClassCleanups()

    def test_an_own_setUpClass(self):
        """A setUpClass and a tearDownClass that do not call their base lose nothing."""
        calls = []

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            def setUpClass(cls):
                calls.append("setUpClass")

            @classmethod
            async def asyncSetUpClass(cls):
                calls.append("asyncSetUpClass")

            async def test(self):
                calls.append("test")

            test_again = test

            @classmethod
            async def asyncTearDownClass(cls):
                calls.append("asyncTearDownClass")

            @classmethod
            def tearDownClass(cls):
                calls.append("tearDownClass")

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(calls, ["setUpClass", "asyncSetUpClass", "test", "test", "tearDownClass",
                                 "asyncTearDownClass"])

    def test_another_loop(self):
        """A class may share a loop that has no virtual world."""

        class Case(SolipsistTestCase):
            loop_scope = "class"
            loop_factory = asyncio.SelectorEventLoop

            @classmethod
            async def asyncSetUpClass(cls):
                cls.first = asyncio.get_running_loop()

            async def test(self):
                self.assertIs(asyncio.get_running_loop(), self.first)

            test_again = test

        self.assertEqual(told(run(Case)), "")
        self.assertTrue(Case.first.is_closed())

    def test_an_executor(self):
        """The executor that executor_factory() makes is made once for the loop."""
        import concurrent.futures

        made = []

        class Case(SolipsistTestCase):
            loop_scope = "class"

            def executor_factory(self):
                made.append(concurrent.futures.ThreadPoolExecutor(1))
                return made[-1]

            async def test(self):
                self.assertEqual(await asyncio.to_thread(int, "5"), 5)

            test_again = test

        self.assertEqual((told(run(Case)), len(made)), ("", 1))


class LeaksTest(unittest.TestCase):
    def test_of_a_test(self):
        """What a test leaves fails that test and is ended, so that the next one passes; the class's own goes on."""
        ended, calls = [], []

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.shared = asyncio.create_task(cls.work("of the class"))
                cls.ends = socket.socketpair()
                asyncio.get_running_loop().add_reader(cls.ends[0], lambda: calls.append(cls.ends[0].recv(9)))
                await asyncio.sleep(0)

            @staticmethod
            async def work(name):
                try:
                    await asyncio.sleep(1000)
                finally:
                    ended.append(name)

            async def test_a(self):
                self.task = asyncio.create_task(self.work("of the test"))
                self.loop.call_later(5, str)
                self.failing = asyncio.create_task(fail())
                await asyncio.sleep(0)

            async def test_b(self):
                self.assertEqual(ended, ["of the test"])
                self.assertFalse(self.shared.done())
                self.ends[1].send(b"x")
                await self.settle()
                self.assertEqual(calls, [b"x"])

            @classmethod
            async def asyncTearDownClass(cls):
                cls.shared.cancel()
                asyncio.get_running_loop().remove_reader(cls.ends[0])
                for end in cls.ends:
                    end.close()

        result = run(Case)
        self.assertEqual([test.id().rpartition(".")[2] for test, _ in result.failures], ["test_a"], told(result))
        self.assertIn("the test left 3 things behind", told(result))
        self.assertEqual((result.errors, ended), ([], ["of the test", "of the class"]))

    def test_of_a_class(self):
        """What the fixtures of a class leave is an error of the class, told when it ends, and no test's."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.task = asyncio.create_task(asyncio.sleep(1000), name="forgotten")
                cls.failing = asyncio.create_task(fail())
                asyncio.get_running_loop().call_soon(int, "x")
                await asyncio.sleep(0)

            async def test(self):
                await asyncio.sleep(1)

            @classmethod
            async def asyncTearDownClass(cls):
                cls.server = await asyncio.start_server(print, "127.0.0.1", 80)

        with self.assertLogs("asyncio"):
            result = run(Case)
        self.assertEqual((result.failures, len(result.errors)), ([], 1))
        self.assertIn("tearDownClass", str(result.errors[0][0]))
        text = told(result)
        self.assertIn("the class left 4 things behind", text)
        for part in ("1 task exception never read", "1 error that nobody caught", "forgotten (sleep)", "1 open server"):
            self.assertIn(part, text)

    def test_a_task_of_the_class_that_fails_in_a_test(self):
        """The error is the class's, and the test passes."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                async def later():
                    await asyncio.sleep(1)
                    await fail()

                cls.task = asyncio.create_task(later())

            async def test(self):
                await asyncio.sleep(5)

        result = run(Case)
        self.assertEqual((result.failures, len(result.errors)), ([], 1))
        self.assertIn("1 task exception never read", told(result))

    def test_expected(self):
        """What a test expects to be left lives on for the tests to come, and is nobody's leak."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            async def test_a(self):
                type(self).task = self.expect_leak(asyncio.create_task(asyncio.sleep(100)))
                with self.background():
                    type(self).server = await asyncio.start_server(print, "127.0.0.1", 80)

            async def test_b(self):
                self.assertFalse(self.task.done())
                self.assertTrue(self.server.is_serving())

        self.assertEqual(told(run(Case)), "")
        self.assertTrue(Case.task.cancelled())

    def test_the_policy_of_a_class(self):
        """The checks of a class hold for what it leaves itself."""

        @fail_on(pending_tasks=False)
        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.task = asyncio.create_task(asyncio.sleep(1000))

            async def test(self):
                pass

        self.assertEqual(told(run(Case)), "")

    def test_of_a_module(self):
        """On a loop that a module shares, each class answers for its own, and nothing is told again at the end."""

        class One(SolipsistTestCase):
            loop_scope = "module"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.task = asyncio.create_task(asyncio.sleep(1000))

            async def test(self):
                pass

        class Two(SolipsistTestCase):
            loop_scope = "module"

            async def test(self):
                self.assertTrue(One.task.cancelled())

        result = run(One, Two)
        self.assertEqual((result.failures, len(result.errors), result.testsRun), ([], 1, 2))

    def test_forgotten_in_a_fixture(self):
        """A coroutine that asyncSetUpClass forgets to await is an error of the class, and no test runs."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                fail()

            async def test(self):
                pass

        result = run(Case)
        self.assertEqual((len(result.errors), result.testsRun), (1, 0))
        self.assertIn("coroutine 'fail' was never awaited", told(result))


class FixtureTest(unittest.TestCase):
    def test_a_fixture_that_fails(self):
        """A failing asyncSetUpClass is one error, no test runs and no tear-down; a skip is a skip."""
        calls = []

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                raise cls.error

            async def test(self):
                calls.append("test")

            @classmethod
            async def asyncTearDownClass(cls):
                calls.append("tear-down")

        Case.error = ValueError("on purpose")
        result = run(Case)
        self.assertEqual((len(result.errors), result.testsRun, calls), (1, 0, []))
        self.assertIn("setUpClass", str(result.errors[0][0]))
        Case.error = unittest.SkipTest("not today")
        result = run(Case)
        self.assertEqual((len(result.errors), len(result.skipped), calls), (0, 1, []))

        Case.setUpClass = classmethod(lambda cls: None)
        Case.error = ValueError("on purpose")
        Case.test_again = Case.test
        result = run(Case)
        self.assertEqual((len(result.errors), result.testsRun, calls), (2, 2, []))

    def test_a_tear_down_that_fails(self):
        """A failing asyncTearDownClass is an error of the class, and what it leaves is told besides."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            async def test(self):
                pass

            @classmethod
            async def asyncTearDownClass(cls):
                cls.task = asyncio.create_task(asyncio.sleep(1000))
                raise ValueError("on purpose")

        result = run(Case)
        self.assertEqual(len(result.errors), 2)
        self.assertIn("ValueError: on purpose", told(result))
        self.assertIn("1 pending task", told(result))
        Case.tearDownClass = classmethod(lambda cls: None)
        self.assertEqual(len(run(Case).errors), 2)

    def test_frames(self):
        """The traceback of a failing fixture begins with its own line."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                raise ValueError("on purpose")

            async def test(self):
                pass

        lines = re.findall('File "(.*)", line', told(run(Case)))
        self.assertEqual([line.rpartition(os.sep)[2] for line in lines], ["test_scopes.py"])

    def test_hangs(self):
        """A fixture that waits for ever is told as a hang."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                await asyncio.Event().wait()

            async def test(self):
                pass

        self.assertIn("SleepForeverError", told(run(Case)))

    def test_without_a_loop_of_the_class(self):
        """Fixtures of a class whose tests have a loop each are refused with the cure."""
        for name in ("asyncSetUpClass", "asyncTearDownClass"):
            async def fixture(cls):
                pass

            cls = type("Case", (SolipsistTestCase,), {name: classmethod(fixture), "test": lambda self: None})
            text = told(run(cls))
            self.assertIn(f"Case.{name} needs a loop that lasts as long as the class: set loop_scope = 'class'", text)

    def test_an_unknown_scope(self):
        """A scope that there is not is refused with the list of those that there are."""

        class Case(SolipsistTestCase):
            loop_scope = "session"

            async def test(self):
                pass

        self.assertRegex(told(run(Case)), "loop_scope of .*Case is 'session': set it to one of 'test', 'class', 'mod")


if __name__ == "__main__":
    unittest.main()
