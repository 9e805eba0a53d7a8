"""What is left is really ended: in virtual time, by force where it must be, and nothing flows into the next test."""

import asyncio
import contextlib
import gc
import socket
import sys
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase, mocks
from tests import run_python
from tests.case.test_case import run, told
from tests.leaks import case_of


async def refuse(waiting, kind=asyncio.CancelledError):
    """Ignore every cancellation."""
    while True:
        with contextlib.suppress(kind):
            await waiting()


class PlayedTest(unittest.TestCase):
    def test_a_stream_over_a_mock_of_the_class(self):
        """A stream over a mock that fixtures of the class have made outlives a test that leaves something."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.sock = mocks.SocketMock()
                cls.sock.recv.side_effect = BlockingIOError
                cls.streams = await asyncio.open_connection(sock=cls.sock)

            @classmethod
            async def asyncTearDownClass(cls):
                cls.streams[1].close()

            async def test_1(self):
                self.task = asyncio.create_task(asyncio.sleep(1e6))

            async def test_2(self):
                self.assertFalse(self.streams[1].is_closing())

        result = run(Case)
        failed = [test._testMethodName for test, _ in result.failures + result.errors]
        self.assertEqual(failed, ["test_1"], told(result))
        self.assertNotIn("transport", told(result))


class TransferTest(unittest.TestCase):
    """What a test has closed may have much to send, over links that are narrow or lossy: that is no leak."""

    def outcome(self, close, **link):
        """What is told of a test that writes 500 kB over such a link, to a server of asyncio, and closes or not."""

        class Case(SolipsistTestCase):
            async def serve(self, reader, writer):
                try:
                    while data := await reader.read(4096):
                        if not close:
                            writer.write(data[:1])
                finally:
                    writer.close()

            async def test_upload(self):
                self.network.link("localhost", "api.test", **link)
                server = await asyncio.start_server(self.serve, "api.test", 80)
                self.addCleanup(server.close)
                self.reader, writer = await asyncio.open_connection("api.test", 80)
                writer.write(bytes(500_000))
                if close:
                    writer.close()
                else:
                    self.writer = writer

        return told(run(Case))

    def test_it_is_closed(self):
        """However long it takes, in packets and in virtual time."""
        for link in ({"bandwidth": 8e7}, {"bandwidth": 8e3}, {"latency": 0.1, "mtu": 576}, {"loss": 0.3}):
            with self.subTest(link):
                self.assertEqual(self.outcome(True, **link), "")

    def test_it_is_not(self):
        """A connection that is open is a leak at once, and so is what two open ends say to each other for ever."""
        text = self.outcome(False, bandwidth=8e7)
        self.assertIn("the test left 3 things behind", text)
        self.assertIn("packets have not arrived", text)

    def test_a_conversation_for_ever(self):
        """It gets neither the time nor the turns of a transfer that ends."""
        loops = []

        class Case(SolipsistTestCase):
            async def test_it(self):
                async def answer(reader, writer):
                    while data := await reader.read(100):
                        writer.write(data)

                loops.append(self.loop)
                self.network.link("localhost", "api.test", latency=0.001)
                server = await asyncio.start_server(answer, "api.test", 80)
                self.addCleanup(server.close)
                reader, writer = await asyncio.open_connection("api.test", 80)
                writer.write(b"x")
                self.task = asyncio.create_task(answer(reader, writer))

        self.assertIn("2 pending tasks", told(run(Case)))
        self.assertLess(loops[0].time(), 0.1)


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
        made = rf"1 ready handle\n.*\n      made at tests.leaks.test_ending\.py:{line} in again"
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
        self.assertEqual((result.testsRun, len(result.failures), len(result.errors)), (3, 2, 0))
        self.assertRegex(told(result), "(?s)1 async generator not finished.*\n  when it was ended: SystemExit: 3")

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

        before = socket.gethostname
        with self.assertRaises(KeyboardInterrupt):
            run(case_of(test))
        self.assertIs(socket.gethostname, before)

class RestTest(unittest.TestCase):
    def test_a_ticker_does_not_move_the_clock(self):
        """Once the body has ended, a periodic task that it left does not move the clock, whatever teardown awaits."""
        times = []

        async def test(self):
            async def tick():
                while True:
                    await asyncio.sleep(1)

            self.task = asyncio.create_task(tick())
            await asyncio.sleep(2.5)
            self.addAsyncCleanup(asyncio.sleep, 0)
            self.addCleanup(lambda: times.append(self.now))

        async def tear_down(self):
            await self.settle()
            times.append(self.now)

        self.assertIn("1 pending task", told(run(case_of(test, asyncTearDown=tear_down))))
        self.assertEqual(times, [2.5, 2.5])

    def test_a_hang_behind_a_ticker_in_teardown(self):
        """A teardown that waits for ever is found, though a task that the test left keeps the clock moving."""

        async def test(self):
            async def tick():
                while True:
                    await asyncio.sleep(1)

            self.task = asyncio.create_task(tick())

        async def tear_down(self):
            await asyncio.Event().wait()

        text = told(run(case_of(test, asyncTearDown=tear_down)))
        self.assertIn("SleepForeverError", text)
        self.assertIn("1 pending task", text)

    def test_a_registration_that_is_always_ready(self):
        """A callback that is called in each turn does not keep others from their last will."""
        ended = []

        async def test(self):
            async def work():
                try:
                    await asyncio.sleep(100)
                finally:
                    await asyncio.sleep(5)
                    ended.append(self.now)

            self.end, other = self.socketpair()
            self.loop.add_writer(self.end, str)
            self.loop.add_reader(other.fileno(), str)
            self.task = asyncio.create_task(work())
            await asyncio.sleep(0)

        self.assertIn("the test left 3 things behind", told(run(case_of(test))))
        self.assertEqual(ended, [5.0])

    def test_tasks_that_leave(self):
        """Of two tasks whose `finally` raises SystemExit both are told; what ends them is not among the leftovers."""

        async def leave():
            try:
                await asyncio.sleep(100)
            finally:
                raise SystemExit(3)

        async def test(self):
            self.tasks = [asyncio.create_task(leave()) for _ in range(2)]
            await asyncio.sleep(0)

        text = told(run(case_of(test)))
        self.assertIn("when it was ended: SystemExit: 3", text)
        self.assertNotIn("CancelledError", text)
        self.assertNotIn("refused", text)

    def test_no_noise_afterwards(self):
        """A task that starts another one when it is cut off, and a leaked gather(), are quiet when collected."""

        async def stubborn():
            try:
                while True:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.sleep(1)
            finally:
                self.child = asyncio.create_task(asyncio.sleep(1))

        async def test(self):
            self.task = asyncio.create_task(stubborn())
            self.all = asyncio.gather(asyncio.sleep(5), asyncio.sleep(6))
            self.other = asyncio.gather(self.task)
            await asyncio.sleep(0)

        with self.assertNoLogs("asyncio"):
            text = told(run(case_of(test)))
            self.child = None
            gc.collect()
        self.assertIn("refused to be cancelled: Task-2", text)

    def test_a_task_that_cancels_everybody(self):
        """A task that answers its cancellation by cancelling all others, who ends it too, is ended, and they are."""
        ended = []

        async def test(self):
            async def cancel_all():
                try:
                    await asyncio.sleep(100)
                finally:
                    for task in asyncio.all_tasks():
                        task.cancel()

            async def work():
                try:
                    await asyncio.sleep(100)
                finally:
                    ended.append("work")

            self.tasks = [asyncio.create_task(cancel_all()), asyncio.create_task(work())]
            await asyncio.sleep(0)

        text = told(run(case_of(test)))
        self.assertIn("the test left 2 things behind", text)
        self.assertNotIn("when it was ended", text)
        self.assertEqual(ended, ["work"])

    def test_a_generator_that_fails_when_it_is_closed(self):
        """An async generator whose end raises is ended all the same."""

        async def numbers():
            try:
                yield 1
            finally:
                raise ValueError("in finally")

        async def test(self):
            self.numbers = numbers()
            await anext(self.numbers)

        with self.assertNoLogs("asyncio"):
            text = told(run(case_of(test)))
        self.assertIn("1 async generator not finished", text)
        self.assertNotIn("in finally", text)


if __name__ == "__main__":
    unittest.main()
