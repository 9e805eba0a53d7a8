"""What a test leaves behind fails it, and the next test begins with nothing of it."""

import asyncio
import dataclasses
import gc
import socket
import unittest
import weakref

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told
from tests.leaks import LeakTest, case_of, made_in


class MistakesTest(LeakTest):
    """Errors that nobody caught or read."""

    def test_unread_exception(self):
        """The error of a task that nobody read, also of one that holds itself; read errors are none."""

        async def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.task = asyncio.create_task(fail(), name="worker")
            await asyncio.sleep(0)

        async def collected(self):
            asyncio.create_task(fail(), name="worker")  # noqa: RUF006
            await asyncio.sleep(1)

        async def in_a_cycle(self):
            task = asyncio.create_task(fail(), name="worker")
            task.itself = task
            await asyncio.sleep(0)

        async def clean(self):
            self.task = asyncio.create_task(fail())
            with self.assertRaises(ValueError):
                await self.task
            await asyncio.gather(asyncio.create_task(fail()), return_exceptions=True)
            other = asyncio.create_task(fail())
            await asyncio.wait([other])
            other.exception()

        text = self.unseen(leaky, r"1 error went by unseen.*\n  1 task exception never read\n    worker \(.*fail\) "
                                  r"raised ValueError\('on purpose'\): await the task, or ask for its exception\(\)")
        self.assertRegex(text, made_in(leaky, 1))
        self.assertRegex(self.unseen(in_a_cycle, "1 task exception never read"), made_in(in_a_cycle, 1))
        with self.assertLogs("asyncio"):
            self.assertRegex(self.unseen(collected, "1 task exception never read\n    worker"), made_in(collected, 1))
        self.assertEqual(told(run(case_of(clean))), "")

    def unseen(self, body, expected):
        """The test fails, once, with the error's own traceback above the report; returns what is told."""
        result = run(case_of(body))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), text)
        self.assertRegex(text, expected)
        self.assertRegex(text, r"(?s)Traceback.*raise ValueError\(.on purpose.\)\n.*Error: on purpose\n.*direct cause")
        self.assertNotIn("asyncio/", text)
        return text

    def test_error_in_a_callback(self):
        """What a callback raises; a program's own handler takes it over."""

        def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.loop.call_soon(fail)
            await asyncio.sleep(0)

        async def clean(self):
            self.loop.set_exception_handler(lambda loop, context: seen.append(context["exception"]))
            await leaky(self)

        async def handed_on(self):
            self.loop.set_exception_handler(lambda loop, context: loop.default_exception_handler(context))
            await leaky(self)

        seen = []
        for body in (leaky, handed_on):
            with self.subTest(body.__name__), self.assertLogs("asyncio"):
                self.unseen(body, r"1 error that nobody caught\n    callback .*fail \(\S*test_survey\.py:\d+\) "
                                  r"raised .*\('on purpose'\)\n      raised at \S*test_survey\.py:\d+ in .*fail")
        self.assertEqual((told(run(case_of(clean))), len(seen)), ("", 1))

    def test_errors_beside_each_other(self):
        """Of several errors each has its traceback; a test that fails itself has one above it, the others in a note."""

        async def leaky(self):
            self.loop.call_soon(int, "x")
            self.loop.call_soon(int, "y")
            await asyncio.sleep(0)
            if fails:
                self.fail("of the test")

        for fails in (False, True):
            with self.subTest(fails), self.assertLogs("asyncio"):
                result = run(case_of(leaky))
                self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
                self.assertEqual(told(result).count("errors that nobody caught"), not fails)
                self.assertEqual(told(result).count("1 error that nobody caught"), fails)
                for letter in "xy":
                    self.assertIn(f"ValueError: invalid literal for int() with base 10: '{letter}'\n", told(result))

    def test_what_failed_the_test_is_not_told_again(self):
        """An error that is the failure itself, or its cause, or in its group, is told once."""

        async def fail():
            raise ValueError("on purpose")

        async def test(self):
            task = asyncio.create_task(fail())
            await asyncio.wait([task])
            raise self.wrap(task._exception)

        def caused(error):
            other = KeyError()
            other.__cause__ = error
            return other

        for wrap in (lambda error: error, caused, lambda error: ExceptionGroup("all", [error])):
            result = run(case_of(test, wrap=staticmethod(wrap)))
            self.assertNotIn("unseen", told(result))
            self.assertEqual((len(result.errors), len(result.failures)), (1, 0))

    def test_destroyed_task(self):
        """A pending task that Python collects is told with the line that made it."""

        async def leaky(self):
            async def wait():
                await self.loop.create_future()

            asyncio.create_task(wait(), name="lost")  # noqa: RUF006
            await asyncio.sleep(0)
            gc.collect()

        with self.assertLogs("asyncio"):
            text = told(run(case_of(leaky)))
        self.assertRegex(text, r"1 pending task\n    lost \(.*wait\), which was collected as garbage: keep a reference")
        self.assertRegex(text, made_in(leaky, 4))

    def test_error_of_a_job(self):
        """The error of an executor job whose future nobody awaited, also where the test keeps it."""

        def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.job = self.loop.run_in_executor(None, fail)
            await asyncio.wait([self.job])

        async def clean(self):
            with self.assertLoopException(ValueError):
                self.job = self.loop.run_in_executor(None, fail)
                await asyncio.wait([self.job])
            with self.assertRaises(ValueError):
                await asyncio.to_thread(fail)

        text = self.unseen(leaky, r"task exception never read\n    executor job .*fail raised ValueError\(")
        self.assertRegex(text, made_in(leaky, 1))
        self.assertEqual(told(run(case_of(clean))), "")

    def test_error_of_a_future_that_the_test_keeps(self):
        """The error of a gather(), or of a plain future, that the test case keeps and nobody read."""

        async def fail():
            raise ValueError("on purpose")

        async def gathered(self):
            self.all = asyncio.gather(fail())
            await asyncio.sleep(1)

        async def plain(self):
            self.future = self.loop.create_future()
            self.read = self.loop.create_future()
            for future in self.future, self.read:
                future.set_exception(ValueError("on purpose"))
            self.read.exception()
            await asyncio.sleep(0)

        with self.assertNoLogs("asyncio"):
            for body, who in ((gathered, "gather()"), (plain, "a future")):
                self.assertIn(f"    {who} raised ValueError('on purpose'): await the future", told(run(case_of(body))))

    def test_error_of_a_task_that_a_cleanup_cancels(self):
        """That a cleanup cancels a task which has failed long ago does not hide its error."""

        async def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            task = asyncio.create_task(fail())
            self.addCleanup(task.cancel)
            await asyncio.sleep(1)

        async def clean(self):
            task = asyncio.create_task(asyncio.sleep(5))
            self.addCleanup(task.cancel)
            failing = asyncio.create_task(fail())
            self.addCleanup(failing.cancel)
            await asyncio.wait([failing])
            self.assertIsInstance(failing.exception(), ValueError)

        self.assertRegex(self.unseen(leaky, "1 task exception never read"), made_in(leaky, 1))
        self.assertEqual(told(run(case_of(clean))), "")

    @unittest.skipUnless(hasattr(asyncio, "eager_task_factory"), "from Python 3.12 on")
    def test_eager_tasks(self):
        """A task that fails before its first await is told by the name of its coroutine."""

        async def fail():
            raise ValueError("on purpose")

        async def leaky(self):
            self.loop.set_task_factory(asyncio.eager_task_factory)
            self.task = asyncio.create_task(fail(), name="worker")

        self.unseen(leaky, r"worker \(.*fail\) raised ValueError")

    def test_errors_that_let_nothing_be_set(self):
        """An error that unittest cannot tell as a cause, a frozen one, is told as a note; the suite goes on."""

        @dataclasses.dataclass(frozen=True)
        class Frozen(Exception):
            code: int

        async def fail():
            raise Frozen(5)

        async def leaky(self):
            self.task = asyncio.create_task(fail())
            await asyncio.sleep(0)

        result = run(case_of(leaky))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        self.assertRegex(told(result), r"(?s)1 error went by unseen.*also: Traceback.*raise Frozen\(5\)")

    def test_values_that_are_no_values(self):
        """A dead proxy among the variables of a test or of a task does no harm."""

        async def fails(self):
            dead = weakref.proxy(type("Gone", (), {})())  # noqa: F841
            self.fail("of the test")

        async def leaky(self):
            async def wait():
                dead = weakref.proxy(type("Gone", (), {})())  # noqa: F841
                await asyncio.Event().wait()

            self.task = asyncio.create_task(wait())
            await asyncio.sleep(0)

        result = run(case_of(fails))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        self.assertIn("1 pending task", told(run(case_of(leaky))))

    def test_an_error_that_is_raised_in_two_tests(self):
        """The report of one test does not come with the same error in the next."""
        error = ValueError("the same")

        class Case(SolipsistTestCase):
            async def test_a(self):
                self.task = asyncio.create_task(asyncio.sleep(1))
                raise error

            async def test_b(self):
                raise error

        result = run(Case)
        self.assertEqual(["behind" in text for _, text in result.errors], [True, False])


class JudgementTest(unittest.TestCase):
    def test_cleanups_end_things(self):
        """What a tearDown or a cleanup cancels and closes was not left behind."""

        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                self.task = asyncio.create_task(asyncio.sleep(5))
                server = await self.start_fake_server()
                _, writer = await asyncio.open_connection(*server.address)
                self.addCleanup(writer.close)
                self.addCleanup(self.loop.call_later(5, print).cancel)
                self.socket = self.enterContext(socket.socket())

            async def test(self):
                self.addCleanup(asyncio.create_task(asyncio.sleep(5)).cancel)

            async def asyncTearDown(self):
                self.task.cancel()

        self.assertEqual(told(run(Case)), "")

    def test_what_the_helpers_made(self):
        """What socketpair(), stream_pairs() and start_fake_server() made is closed for the test."""

        async def test(self):
            self.pair = self.socketpair()
            self.streams = await self.stream_pairs()
            server = await self.start_fake_server(lambda reader, writer: reader.read())
            client = socket.socket()
            client.setblocking(False)
            await self.loop.sock_connect(client, ("127.0.0.1", server.port))
            await self.settle()
            self.assertEqual(len(server.connections), 1)
            client.close()

        self.assertEqual(told(run(case_of(test))), "")

    def test_timers_of_a_task_are_not_told_twice(self):
        """A pending task is one thing with its sleep, its timeout, its wait_for and its assertion together."""

        async def test(self):
            async def patient():
                async with asyncio.timeout(50):
                    await asyncio.wait([asyncio.create_task(asyncio.sleep(30))], timeout=40)

            tasks = [patient(), asyncio.wait_for(asyncio.sleep(20), 25),
                     self.assertCompletesWithin(asyncio.sleep(10), 15)]
            self.tasks = [asyncio.create_task(task) for task in tasks]
            await asyncio.sleep(1)

        text = told(run(case_of(test)))
        self.assertNotRegex(text, r"\d timer")
        self.assertRegex(text, r"the test left [45] things behind")
        self.assertRegex(text, r"\(assertCompletesWithin\) at .*, waits for sleep\(10\)")

    def test_the_next_test_is_clean(self):
        """What one test left cannot be seen by the next, and nothing is logged of it later."""

        class Case(SolipsistTestCase):
            async def fail_late(self):
                try:
                    await asyncio.sleep(1)
                finally:
                    raise ValueError("on being cancelled")

            async def test_a(self):
                self.task = asyncio.create_task(self.fail_late())
                self.server = await asyncio.start_server(print, "127.0.0.1", 80)
                self.loop.call_soon(lambda: None)
                await asyncio.sleep(0)

            async def test_b(self):
                self.server = await self.start_fake_server(port=80)
                self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})

        with self.assertNoLogs("asyncio"):
            result = run(Case)
            gc.collect(0)
        self.assertEqual([str(test).partition(" ")[0] for test, _ in result.failures + result.errors], ["test_a"])

    def test_virtual_time_for_last_wills(self):
        """A leaked task may still take its time in `finally`, also where autojump is off, and is ended properly."""
        calls = []

        class Case(SolipsistTestCase):
            autojump = False

            async def linger(self):
                try:
                    await asyncio.sleep(1)
                finally:
                    await asyncio.sleep(30)
                    calls.append("ended")

            async def test(self):
                self.task = asyncio.create_task(self.linger())
                await self.settle()

        text = told(run(Case))
        self.assertIn("left 1 thing behind", text)
        self.assertNotIn("refused", text)
        self.assertEqual(calls, ["ended"])

    def test_async_generators(self):
        """A generator that is not exhausted is told, and finished at the end of the test, in virtual time."""
        calls = []

        async def numbers():
            try:
                yield 1
            finally:
                await asyncio.sleep(5)
                calls.append("finished")

        async def test(self):
            self.numbers = numbers()
            self.assertEqual(await anext(self.numbers), 1)

        self.assertRegex(told(run(case_of(test))), made_in(test, 2))
        self.assertEqual(calls, ["finished"])

    def test_executor(self):
        """A job that still runs in the default executor is waited for."""
        calls = []

        async def test(self):
            self.job = self.loop.run_in_executor(None, calls.append, "done")

        self.assertEqual(told(run(case_of(test))), "")
        self.assertEqual(calls, ["done"])
