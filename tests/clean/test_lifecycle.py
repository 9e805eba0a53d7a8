"""Clean programs that use the phases of a test: fixtures, cleanups, contexts, plain tests, mocks and other loops."""

import asyncio
import contextlib
import contextvars
import gc
import os
import random
import tempfile
import weakref
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, sealed

current_user = contextvars.ContextVar("current_user", default="nobody")


class Service:
    """A service under test: a task that counts, to be started and stopped."""

    def __init__(self):
        self.count = 0
        self.task = None

    async def start(self):
        self.task = asyncio.create_task(self.run())
        return self

    async def run(self):
        while True:
            await asyncio.sleep(1)
            self.count += 1

    async def stop(self):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def __aenter__(self):
        return await self.start()

    async def __aexit__(self, *exc_info):
        await self.stop()


class WithService(SolipsistTestCase):
    """A fixture in all four phases, and no tests."""

    def setUp(self):
        self.log = ["setUp"]

    async def asyncSetUp(self):
        self.service = await Service().start()

    async def asyncTearDown(self):
        await self.service.stop()

    def tearDown(self):
        self.assertTrue(self.service.task.cancelled())


class FixtureTest(WithService):
    async def test_a_service_of_the_fixture(self):
        """A task that asyncSetUp starts and asyncTearDown ends."""
        await asyncio.sleep(5.5)
        self.assertEqual((self.service.count, self.log), (5, ["setUp"]))

    def test_a_plain_test_with_that_fixture(self):
        """A plain test of the same class: the loop stands still meanwhile."""
        self.assertEqual((self.service.count, self.loop.is_running()), (0, False))

    async def test_a_service_that_is_stopped_twice(self):
        """The test stops what the fixture would stop."""
        await asyncio.sleep(2.5)
        await self.service.stop()
        await asyncio.sleep(10)
        self.assertEqual(self.service.count, 2)


class ClassFixtureTest(SolipsistTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        cls.calls = []

    @classmethod
    def tearDownClass(cls):
        if cls.calls not in (["one"], []):
            raise AssertionError(cls.calls)

    async def test_a_fixture_of_the_class(self):
        """What the class holds is no leftover of a test."""
        self.calls.append("one")
        self.assertTrue(os.path.isdir(self.folder))


class FixtureServerTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.server = await self.start_fake_server(host="db.test", port=5432)
        self.reader, self.writer = await asyncio.open_connection("db.test", 5432)
        self.addCleanup(self.writer.close)
        self.peer = await self.server.accept()

    async def test_a_connection_of_the_fixture(self):
        """A connection that asyncSetUp opens and a cleanup closes."""
        self.peer.writer.write(b"ready\n")
        self.assertEqual(await self.reader.readline(), b"ready\n")

    async def test_a_reading_task_of_the_test(self):
        """A task that reads until the fixture is torn down, cancelled by a cleanup of its own."""
        task = asyncio.create_task(self.reader.read())
        self.addAsyncCleanup(asyncio.wait, [task])
        self.addCleanup(task.cancel)
        await self.settle()
        self.assertFalse(task.done())


class CleanupTest(SolipsistTestCase):
    async def test_async_cleanups(self):
        """addAsyncCleanup() runs what it was given, last first."""
        order = []

        async def note(name):
            await asyncio.sleep(1)
            order.append(name)

        async def look():
            self.assertEqual((order, self.now), (["second", "first"], 2.0))

        self.addAsyncCleanup(look)
        self.addAsyncCleanup(note, "first")
        self.addAsyncCleanup(note, "second")
        self.assertEqual(order, [])

    async def test_a_coroutine_function_as_plain_cleanup(self):
        """addCleanup() awaits what its function returns."""
        service = await Service().start()
        self.addCleanup(service.stop)
        await asyncio.sleep(1)
        self.assertFalse(service.task.done())

    async def test_a_cleanup_that_adds_cleanups(self):
        """A cleanup may add another one."""
        event = asyncio.Event()
        waiter = asyncio.create_task(event.wait())

        def release():
            event.set()
            self.addAsyncCleanup(asyncio.wait_for, waiter, 1)

        self.addCleanup(release)
        self.assertFalse(waiter.done())

    async def test_cleanups_that_are_done_early(self):
        """A test that calls doCleanups() itself."""
        handle = self.loop.call_later(10, self.fail)
        self.addCleanup(handle.cancel)
        self.assertTrue(self.doCleanups())
        self.assertTrue(handle.cancelled())

    async def test_enter_async_context(self):
        """enterAsyncContext() leaves the context at the end of the test."""
        service = await self.enterAsyncContext(Service())
        await asyncio.sleep(3.5)
        self.assertEqual(service.count, 3)

    async def test_enter_async_context_of_a_server(self):
        """A server of asyncio's as an asynchronous context."""
        server = await self.enterAsyncContext(
            await asyncio.start_server(lambda reader, writer: writer.close(), "localhost", 80))
        self.assertTrue(server.is_serving())

    async def test_enter_context(self):
        """enterContext() for plain contexts."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        value = self.enterContext(mock.patch.dict(os.environ, {"TOKEN": "t"}))["TOKEN"]
        self.assertEqual((os.path.isdir(folder), value), (True, "t"))

    async def test_a_cancel_scope_of_its_own(self):
        """A cleanup that cancels all that the test made, at once."""
        tasks = [asyncio.create_task(asyncio.Event().wait()) for _ in range(10)]

        async def cancel_all():
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self.assertTrue(all(isinstance(result, asyncio.CancelledError) for result in results))

        self.addAsyncCleanup(cancel_all)
        await self.settle()
        self.assertEqual([task.done() for task in tasks], [False] * 10)


class ContextVariableTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.token = current_user.set("from asyncSetUp")

    async def test_a_variable_of_the_fixture(self):
        """A variable that asyncSetUp set is there, in tasks too, and can be reset."""

        async def look():
            return current_user.get()

        self.assertEqual(await asyncio.create_task(look()), "from asyncSetUp")
        current_user.reset(self.token)
        self.assertEqual(current_user.get(), "nobody")

    async def test_a_callback_in_a_context(self):
        """call_soon(context=) runs in the context that it is given."""
        context = contextvars.copy_context()
        context.run(current_user.set, "root")
        seen = self.loop.create_future()
        self.loop.call_soon(lambda: seen.set_result(current_user.get()), context=context)
        self.assertEqual(await seen, "root")


class PlainTest(SolipsistTestCase):
    def test_nothing_asynchronous(self):
        """A plain test that never touches the loop."""
        self.assertEqual(sum(range(10)), 45)

    def test_run_until_complete(self):
        """A plain test drives the loop itself."""

        async def main():
            await asyncio.sleep(3600)
            return "an hour later"

        self.assertEqual(self.loop.run_until_complete(main()), "an hour later")
        self.assertEqual(self.now, 3600.0)

    def test_run_until_complete_with_a_failure(self):
        """What the coroutine raises comes out, and its task is no leftover."""

        async def main():
            await asyncio.sleep(1)
            raise NotADirectoryError

        with self.assertRaises(NotADirectoryError):
            self.loop.run_until_complete(main())

    def test_a_future_of_the_loop(self):
        """A plain test with a future and a timer."""
        future = self.loop.create_future()
        self.loop.call_later(2, future.set_result, 2)
        self.assertEqual(self.loop.run_until_complete(future), 2)

    def test_run_forever(self):
        """A loop that is stopped by a timer."""
        ticks = []
        self.loop.call_later(1, ticks.append, "tick")
        self.loop.call_later(5, self.loop.stop)
        self.loop.run_forever()
        self.assertEqual((ticks, self.now), (["tick"], 5.0))

    def test_a_task_over_two_runs(self):
        """A task of the first run goes on in the second."""
        task = self.loop.create_task(asyncio.sleep(10, "done"))
        self.loop.run_until_complete(asyncio.sleep(4))
        self.assertFalse(task.done())
        self.assertEqual(self.loop.run_until_complete(task), "done")

    def test_a_runner_of_its_own(self):
        """asyncio.Runner in plain code, with a loop of its own."""
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            first = runner.run(asyncio.sleep(1, "one"))
            leftover = runner.get_loop().create_task(asyncio.sleep(100))
            second = runner.run(asyncio.sleep(1, "two"))
        self.assertEqual((first, second, leftover.cancelled()), ("one", "two", True))

    def test_a_loop_of_its_own(self):
        """A second loop, sealed, run and closed."""
        loop = SolipsistEventLoop(start_time=100)
        with contextlib.closing(loop), sealed(loop):
            loop.run_until_complete(asyncio.sleep(5))
            self.assertEqual(loop.time(), 105.0)
        self.assertTrue(loop.is_closed())

    def test_callbacks_of_a_task(self):
        """A task with a callback, driven by a plain test."""
        done = []
        task = self.loop.create_task(asyncio.sleep(0, "value"))
        task.add_done_callback(lambda finished: done.append(finished.result()))
        self.loop.run_until_complete(asyncio.sleep(1))
        self.assertEqual(done, ["value"])

    def test_sub_tests(self):
        """subTest() in a plain test, each with a run of the loop."""
        for seconds in (1, 10):
            with self.subTest(seconds=seconds):
                before = self.now
                self.loop.run_until_complete(asyncio.sleep(seconds))
                self.assertEqual(self.now - before, seconds)


class MockTest(SolipsistTestCase):
    async def test_an_async_mock(self):
        """An AsyncMock that is awaited."""
        fetch = mock.AsyncMock(return_value={"id": 7})
        self.assertEqual(await fetch("/users/7"), {"id": 7})
        fetch.assert_awaited_once_with("/users/7")

    async def test_an_async_mock_that_is_never_called(self):
        """A mock that nobody needs."""
        fetch = mock.AsyncMock()
        fetch.assert_not_awaited()
        self.assertEqual(fetch.await_count, 0)

    async def test_an_async_mock_with_side_effects(self):
        """A mock that fails once and then answers."""
        fetch = mock.AsyncMock(side_effect=[ConnectionError("down"), "up"])
        results = await asyncio.gather(fetch(), fetch(), return_exceptions=True)
        self.assertIsInstance(results[0], ConnectionError)
        self.assertEqual(results[1], "up")

    async def test_a_mock_in_a_task_that_is_cancelled(self):
        """A mock that waits, in a task that is given up."""

        async def forever():
            await asyncio.Event().wait()

        poll = mock.AsyncMock(side_effect=forever)
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(poll(), 3)
        self.assertEqual(poll.call_count, 1)

    async def test_a_patched_method(self):
        """patch.object() makes an AsyncMock of a coroutine function."""
        with mock.patch.object(Service, "start") as start:
            await Service().start()
        self.assertIsInstance(start, mock.AsyncMock)
        start.assert_awaited_once()

    @mock.patch("asyncio.sleep", new_callable=mock.AsyncMock)
    async def test_a_patched_sleep(self, sleep):
        """Code whose asyncio.sleep is a mock takes no time."""
        await asyncio.sleep(100)
        sleep.assert_awaited_once_with(100)
        self.assertEqual(self.now, 0.0)

    async def test_a_mocked_context_manager(self):
        """MagicMock supports `async with` and `async for`."""
        session = mock.MagicMock()
        session.__aenter__.return_value = session
        session.lines.return_value.__aiter__.return_value = ["a", "b"]
        async with session as entered:
            lines = [line async for line in entered.lines()]
        self.assertEqual(lines, ["a", "b"])
        session.__aexit__.assert_awaited_once()

    async def test_a_mocked_writer(self):
        """A StreamWriter that is a mock is no transport."""
        writer = mock.create_autospec(asyncio.StreamWriter, instance=True)
        writer.write(b"data")
        await writer.drain()
        writer.write.assert_called_once_with(b"data")
        self.assertFalse(writer.close.called)


class HandlerTest(SolipsistTestCase):
    async def test_an_exception_handler_of_the_program(self):
        """A program with an exception handler of its own deals with what goes wrong in its callbacks."""
        caught = []
        self.loop.set_exception_handler(lambda loop, context: caught.append(context["exception"]))
        self.loop.call_soon(divmod, 1, 0)
        await asyncio.sleep(1)
        self.loop.set_exception_handler(None)
        self.assertEqual([type(error) for error in caught], [ZeroDivisionError])

    async def test_a_task_factory_of_the_program(self):
        """A program that counts its tasks with a factory."""
        made = []

        def factory(loop, coroutine, **options):
            task = asyncio.Task(coroutine, loop=loop, **options)
            made.append(task)
            return task

        self.loop.set_task_factory(factory)
        await asyncio.gather(asyncio.sleep(1), asyncio.sleep(2))
        self.loop.set_task_factory(None)
        self.assertEqual([task.done() for task in made], [True, True])


class GarbageTest(SolipsistTestCase):
    async def test_a_cycle_with_a_finished_task(self):
        """An object that holds its own finished task."""

        class Job:
            def __init__(self):
                self.task = asyncio.create_task(self.work())

            async def work(self):
                await asyncio.sleep(1)
                return id(self)

        job = Job()
        self.assertEqual(await job.task, id(job))

    async def test_an_exception_that_holds_its_frames(self):
        """An exception that is kept keeps closed things only."""
        kept = []

        async def stumble():
            one, two = self.socketpair()
            one.close()
            two.send(b"x")

        try:
            await stumble()
        except BrokenPipeError as error:
            kept.append(error)
        self.assertEqual(len(kept), 1)

    async def test_weak_references_to_tasks(self):
        """A done task goes when nobody holds it."""
        tasks = weakref.WeakSet()
        tasks.add(asyncio.create_task(asyncio.sleep(1)))
        await asyncio.sleep(2)
        gc.collect()
        self.assertEqual(len(tasks), 0)

    async def test_results_kept_on_the_test(self):
        """What is kept as an attribute of the test and is ended is no leftover."""
        self.task = asyncio.create_task(asyncio.sleep(1, "kept"))
        self.server = await asyncio.start_server(lambda reader, writer: writer.close(), "localhost", 80)
        self.server.close()
        self.assertEqual(await self.task, "kept")


class RandomTest(SolipsistTestCase):
    async def test_a_seeded_shuffle(self):
        """Module random may be used at will."""
        cards = list(range(52))
        random.shuffle(cards)
        await asyncio.sleep(random.expovariate(1))
        self.assertEqual(sorted(cards), list(range(52)))


class OtherLoopTest(SolipsistTestCase):
    loop_factory = asyncio.SelectorEventLoop

    async def test_a_stock_loop(self):
        """A class with asyncio's own loop runs in real time, and leaves nothing either."""
        self.assertEqual(await asyncio.sleep(0.001, "real"), "real")
        self.assertNotIsInstance(self.loop, SolipsistEventLoop)


class OwnLoopTest(SolipsistTestCase):
    def loop_factory(self):
        return SolipsistEventLoop(50.0)

    async def test_a_loop_that_a_method_makes(self):
        """loop_factory may be a method."""
        self.assertEqual(self.now, 50.0)


class InheritedTest(WithService):
    async def asyncSetUp(self):
        await super().asyncSetUp()
        self.second = await Service().start()

    async def asyncTearDown(self):
        await self.second.stop()
        await super().asyncTearDown()

    async def test_two_services(self):
        """A fixture on top of another one."""
        await asyncio.sleep(1.5)
        self.assertEqual(self.service.count + self.second.count, 2)


class BareTest(SolipsistTestCase):
    def runTest(self):
        """A class with nothing but runTest()."""
        self.assertEqual(self.loop.time(), 0.0)
