"""What a test leaves behind fails it, in one report, each thing with the line where it was made."""

import asyncio
import contextlib
import gc
import re
import socket
import sys
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase
from tests import run_python
from tests.test_case import run, told


def case_of(body, **attributes):
    """A test class whose only test is this coroutine function."""
    return type("Case", (SolipsistTestCase,), {"test": body, "__module__": __name__, **attributes})


def made_in(body, line):
    """What a report says of a thing that the given line (from 1, the `def` being 0) of a function made."""
    return f"made at {re.escape('tests')}.test_leaks.py:{body.__code__.co_firstlineno + line} in "


class KindsTest(unittest.TestCase):
    def check(self, leaky, clean, count, expected, line):
        """The leaky test fails once, with the text and the line; its clean twin passes."""
        result = run(case_of(leaky))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), text)
        self.assertIn(f"the test left {count} behind", text)
        self.assertRegex(text, expected)
        self.assertRegex(text, made_in(leaky, line))
        self.assertEqual(told(run(case_of(clean))), "")

    def test_task(self):
        """A pending task."""

        async def leaky(self):
            self.task = asyncio.create_task(asyncio.sleep(5), name="ticker")
            await asyncio.sleep(1)

        async def clean(self):
            await asyncio.create_task(asyncio.sleep(5))

        self.check(leaky, clean, "1 thing", r"1 pending task\n    ticker \(sleep\) .*waits for sleep\(5\)", 1)

    def test_inside_a_task_of_asyncio(self):
        """What asyncio makes in a task of its own is told with the line that had the task made."""

        async def leaky(self):
            self.streams = await asyncio.gather(asyncio.open_connection("api.test", 80))

        async def clean(self):
            [(_, writer)] = await asyncio.gather(asyncio.open_connection("api.test", 80))
            writer.close()
            await writer.wait_closed()

        async def serve(self):
            await self.start_fake_server(host="api.test", port=80)

        for body in (leaky, clean):
            body.__qualname__ = body.__name__
        result = run(case_of(leaky, asyncSetUp=serve))
        self.assertRegex(told(result), made_in(leaky, 1))
        self.assertEqual(told(run(case_of(clean, asyncSetUp=serve))), "")

    def test_a_hang_in_a_cleanup(self):
        """A cleanup that waits for ever is told with its name: its traceback has no line of the test."""

        async def body(self):
            self.addAsyncCleanup(asyncio.Event().wait)

        result = run(case_of(body))
        self.assertEqual((len(result.failures), len(result.errors)), (0, 1))
        self.assertIn("SleepForeverError", told(result))
        self.assertIn("in the cleanup Event.wait", told(result))

    def test_the_test_itself_is_no_leftover(self):
        """A test that refuses to end is told as a hang, and not again as something that it left."""

        async def body(self):
            while True:
                with contextlib.suppress(BaseException):
                    await self.loop.create_future()

        result = run(case_of(body))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (0, 1), text)
        self.assertIn("SleepForeverError", text)
        self.assertNotIn("behind", text)

    def test_timer(self):
        """A timer."""

        async def leaky(self):
            self.loop.call_later(5, print, "never")

        async def clean(self):
            self.loop.call_later(5, print, "never").cancel()

        self.check(leaky, clean, "1 thing", r"1 timer\n    due at t=5\.0 \(now t=0\.0\), calls print", 1)

    def test_ready_handle(self):
        """A callback that puts itself into the queue again and again."""

        async def leaky(self):
            def again():
                self.loop.call_soon(again)
            again()

        async def clean(self):
            self.loop.call_soon(lambda: self.loop.call_soon(str))

        self.check(leaky, clean, "1 thing", r"1 ready handle\n    calls .*again \(tests.test_leaks\.py:\d+\)", 2)

    def test_server(self):
        """A server, which is one thing though it listens on two addresses."""

        async def leaky(self):
            self.server = await asyncio.start_server(print, "localhost", 80)

        async def clean(self):
            server = await asyncio.start_server(print, ["127.0.0.1", "::1"], 80)
            server.close()
            await server.wait_closed()

        self.check(leaky, clean, "1 thing", r"1 open server\n    <Server listening on 127\.0\.0\.1:80", 1)

    def test_server_on_two_addresses(self):
        """A server that listens on several addresses is one thing, told with all of them."""

        async def leaky(self):
            self.server = await asyncio.start_server(print, ["127.0.0.1", "::1"], 80)

        text = told(run(case_of(leaky)))
        self.assertIn("the test left 1 thing behind", text)
        self.assertIn("<Server listening on 127.0.0.1:80, ::1:80>", text)

    def test_transport(self):
        """A client's connection."""

        async def leaky(self):
            server = await self.start_fake_server(host="api.test", port=443)
            self.streams = await asyncio.open_connection(*server.address)

        async def clean(self):
            server = await self.start_fake_server(host="api.test", port=443)
            _, writer = await asyncio.open_connection(*server.address)
            writer.close()

        self.check(leaky, clean, "1 thing", r"1 open transport\n    <SelectorSocketTransport .* > 198\..*:443 ", 2)

    def test_unsent_bytes(self):
        """A closed connection that cannot get rid of its last bytes, and how many they are."""

        async def leaky(self):
            one, self.two = socket.socketpair()
            one.setblocking(False)
            _, self.writer = await asyncio.open_connection(sock=one)
            self.writer.write(bytes(10_000_000))
            self.writer.close()
            self.addCleanup(self.two.detach)

        async def clean(self):
            one, two = self.socketpair(capacity=100)
            reader, writer = await asyncio.open_connection(sock=one)
            writer.write(bytes(1_000))
            writer.close()

        self.check(leaky, clean, "2 things", r"<SelectorSocketTransport .*, \d{7} bytes unsent>", 1)

    def test_socket(self):
        """A socket without a transport."""

        async def leaky(self):
            self.socket = socket.socket()

        async def clean(self):
            socket.socket().close()

        self.check(leaky, clean, "1 thing", r"1 open socket\n    <stream unbound fresh>", 1)

    def test_socket_collected_as_garbage(self):
        """A socket that nobody closed and Python collected."""

        async def leaky(self):
            socket.socket()

        async def clean(self):
            with socket.socket():
                pass

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.check(leaky, clean, "1 thing", "never closed and collected as garbage", 1)

    def test_writer_collected_as_garbage(self):
        """A client that forgets its writer: asyncio closes it, but with nobody looking, so it is told."""

        async def leaky(self):
            server = await self.start_fake_server()
            await asyncio.open_connection(*server.address)

        async def clean(self):
            server = await self.start_fake_server()
            _, writer = await asyncio.open_connection(*server.address)
            writer.close()

        before = vars(asyncio.StreamWriter)["__del__"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.check(leaky, clean, "1 thing", "never closed and collected as garbage", 2)
        self.assertIs(vars(asyncio.StreamWriter)["__del__"], before)
        # Python up to 3.11.4 collects the writer alone, and the connection stays open.
        del asyncio.StreamWriter.__del__
        try:
            self.check(leaky, clean, "1 thing", "1 open transport", 2)
        finally:
            asyncio.StreamWriter.__del__ = before

    def test_one_of_each(self):
        """A test with one of each kind gets one failure that names all, in the order of what explains what."""

        async def leaky(self):
            def again():
                self.loop.call_soon(again)

            again()
            self.task = asyncio.create_task(asyncio.Event().wait())
            self.loop.call_later(5, print)
            self.server = await asyncio.start_server(print, "127.0.0.1", 80)
            fake = await self.start_fake_server()
            self.streams = await asyncio.open_connection(*fake.address)
            self.socket = socket.socket()

        result = run(case_of(leaky))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        kinds = re.findall(r"^  (\d .*)", told(result), re.MULTILINE)
        self.assertEqual(kinds, ["1 pending task", "1 timer", "1 ready handle", "1 open server", "1 open transport",
                                 "1 open socket"])
        lines = re.findall(r"made at tests.test_leaks\.py:(\d+)", told(result))
        first = leaky.__code__.co_firstlineno
        self.assertEqual([int(line) - first for line in lines], [5, 6, 2, 7, 9, 10])


    def test_a_circle(self):
        """Two tasks that wait for each other are told, and ended."""

        async def leaky(self):
            async def wait_for(name):
                await getattr(self, name)

            self.one = asyncio.create_task(wait_for("two"), name="one")
            self.two = asyncio.create_task(wait_for("one"), name="two")
            await asyncio.sleep(0)

        text = told(run(case_of(leaky)))
        self.assertRegex(text, "  2 pending tasks\n.*one .*waits for task two\n.*\n.*two .*waits for task one\n")
        self.assertNotIn("refused", text)


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

    def test_many_of_one_place(self):
        """Things of one place are told three at most, equal ones as one with their number, and counted."""

        async def test(self):
            self.sockets = [socket.socket() for _ in range(7)]
            self.tasks = [asyncio.create_task(asyncio.sleep(1 + n), name=f"sleeper-{n}") for n in range(4)]

        text = told(run(case_of(test)))
        self.assertIn("the test left 11 things behind", text)
        self.assertIn("  7 open sockets\n    <stream unbound fresh> (x 3)\n    and 4 more of the same place\n", text)
        self.assertEqual(re.findall(r"sleeper-\d", text), ["sleeper-0", "sleeper-1", "sleeper-2"])
        self.assertEqual(text.count("made at"), 2)

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
        """A generator that is not exhausted is finished at the end of the test, in virtual time, and is no leak."""
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

        self.assertEqual(told(run(case_of(test))), "")
        self.assertEqual(calls, ["finished"])

    def test_executor(self):
        """A job that still runs in the default executor is waited for."""
        calls = []

        async def test(self):
            self.job = self.loop.run_in_executor(None, calls.append, "done")

        self.assertEqual(told(run(case_of(test))), "")
        self.assertEqual(calls, ["done"])


async def refuse(waiting, kind=asyncio.CancelledError):
    """Ignore every cancellation."""
    while True:
        with contextlib.suppress(kind):
            await waiting()


class StubbornTest(unittest.TestCase):
    def check(self, start, expected):
        """A test that starts this fails with the expected text; the suite goes on, and the next test passes."""

        class Case(SolipsistTestCase):
            async def test_a(self):
                self.task = start(self)
                await asyncio.sleep(0)

            async def test_b(self):
                self.assertEqual(asyncio.all_tasks(), {asyncio.current_task()})

        with self.assertNoLogs("asyncio"):
            result = run(Case)
        self.assertEqual((result.testsRun, len(result.failures), len(result.errors)), (2, 1, 0))
        self.assertRegex(told(result), expected)

    def test_refuses(self):
        """A task that ignores its cancellation is told by name, and given up; whatever it waits for in between."""
        for name, waiting in {"time": lambda: asyncio.sleep(1), "nothing": lambda: asyncio.sleep(0),
                              "nobody": lambda: asyncio.Event().wait()}.items():
            with self.subTest(name):
                self.check(lambda case, waiting=waiting: asyncio.create_task(refuse(waiting), name="mule"),
                           "(?s)1 pending task\n    mule .*refused to be cancelled: mule")

    def test_ends_otherwise(self):
        """Whatever a task raises instead of ending (SystemExit, or on GeneratorExit) concerns its own test alone."""

        async def leave():
            try:
                await asyncio.sleep(1)
            finally:
                raise SystemExit(3)

        async def stumble():
            while True:
                try:
                    await asyncio.sleep(1)
                except asyncio.CancelledError:
                    pass
                except GeneratorExit:
                    raise KeyError("on close") from None

        self.check(lambda case: setattr(case, "other", asyncio.create_task(leave())) or case.other.add_done_callback(
            lambda task: task.exception()), "(?s)1 pending task.*when it was ended: SystemExit: 3")
        self.check(lambda case: asyncio.create_task(stumble()), "refused to be cancelled: Task-2")

    def test_starts_again(self):
        """What a `finally` starts is ended too; a task that has itself replaced for ever is given up."""

        async def chain():
            try:
                await asyncio.sleep(1)
            finally:
                self.tasks.append(asyncio.create_task(chain()))

        async def once():
            try:
                await asyncio.sleep(1)
            finally:
                self.tasks.append(asyncio.create_task(asyncio.sleep(1)))

        self.tasks = []
        self.check(lambda case: asyncio.create_task(chain()), r"refused to be cancelled: Task-\d+")
        self.check(lambda case: asyncio.create_task(once()), r"Task-2 .*\n.*made at [^\n]*\n?\Z")

    def test_callbacks_that_leave(self):
        """A callback that raises SystemExit at the end fails its own test alone; what stood behind it is told."""

        class Case(SolipsistTestCase):
            def test_a(self):
                self.loop.call_soon(sys.exit, 3)
                self.loop.call_soon(print)

            def test_b(self):
                pass

        result = run(Case)
        self.assertEqual((result.testsRun, len(result.failures), len(result.errors)), (2, 1, 0))
        self.assertRegex(told(result), r"(?s)1 ready handle\n    calls print.*when it was ended: SystemExit: 3")

    def test_callbacks_that_go_round(self):
        """A callback that the standard library puts into the queue again has the user's line, not the library's."""

        def again(loop):
            with contextlib.ExitStack() as stack:
                stack.callback(loop.call_soon, again, loop)

        line = again.__code__.co_firstlineno + 1
        made = rf"1 ready handle\n.*\n      made at tests.test_leaks\.py:{line} in again"
        self.check(lambda case: again(case.loop), made)

    def test_timers_that_arm_themselves(self):
        """A callback that always makes its next timer is one leak."""

        def tick(loop):
            loop.call_later(1, tick, loop)

        self.check(lambda case: tick(case.loop), "1 timer\n")

    def test_generator_that_does_not_finish(self):
        """A generator that raises SystemExit when it is finished fails its test; one that hangs is given up."""

        async def leave():
            try:
                yield
            finally:
                raise SystemExit(3)

        async def hang():
            try:
                yield
            finally:
                await asyncio.Event().wait()

        class Case(SolipsistTestCase):
            async def test_a(self):
                self.generator = leave()
                await anext(self.generator)

            async def test_b(self):
                self.generator = hang()
                await anext(self.generator)

            async def test_c(self):
                pass

        result = run(Case)
        self.assertEqual((result.testsRun, len(result.failures), len(result.errors)), (3, 1, 0))
        self.assertRegex(told(result), "did not come to a clean end\n  when it was ended: SystemExit: 3")

    def test_closed_loop(self):
        """A plain test that closes the loop itself is told of the task that it left."""

        class Case(SolipsistTestCase):
            def test(self):
                self.task = self.loop.create_task(asyncio.sleep(1))
                self.loop.close()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # the coroutine never ran
            text = told(run(Case))
        self.assertIn("1 pending task", text)

    def test_ignores_everything(self):
        """A task that ignores even GeneratorExit can neither hang the suite nor the end of the interpreter."""
        program = """
import asyncio, unittest
from solipsism_unittest import SolipsistTestCase

class Case(SolipsistTestCase):
    async def refuse(self):
        while True:
            try:
                await asyncio.sleep(1)
            except BaseException:
                pass

    async def test(self):
        self.task = asyncio.create_task(self.refuse())
        await asyncio.sleep(0)

unittest.main()
"""
        child = run_python("-c", program, timeout=30)
        self.assertIn("refused to be cancelled: Task-2", child.stderr)
        self.assertNotIn("Exception ignored", child.stderr)

    def test_interrupt_at_the_end(self):
        """A KeyboardInterrupt while leftovers are ended ends the run, as any other."""

        async def interrupted():
            try:
                await asyncio.sleep(1)
            finally:
                raise KeyboardInterrupt

        async def test(self):
            self.task = asyncio.create_task(interrupted())
            self.task.add_done_callback(lambda task: task.exception())
            await asyncio.sleep(0)

        before = socket.socket.__new__
        with self.assertRaises(KeyboardInterrupt):
            run(case_of(test))
        self.assertIs(socket.socket.__new__, before)


if __name__ == "__main__":
    unittest.main()
