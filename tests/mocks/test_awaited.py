"""Waiting for the awaits of a mock, and patches that hold only while a coroutine runs."""

import asyncio
import types
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.mocks import awaited, while_running
from tests.case.test_case import run, told


class AwaitedTest(SolipsistTestCase):
    def call_later(self, function, *delays):
        """Await the function after each of these delays."""

        async def calls():
            for delay in delays:
                await asyncio.sleep(delay)
                await function()

        self.task = asyncio.create_task(calls())

    async def test_wait(self):
        """wait() ends when there were skip + 1 awaits in all."""
        function = mock.AsyncMock()
        self.call_later(function, 1, 2, 3)
        self.assertFalse(awaited(function))
        await awaited(function).wait()
        self.assertNow(1)
        self.assertTrue(awaited(function))
        await awaited(function).wait()
        self.assertNow(1)
        await awaited(function).wait(skip=2)
        self.assertNow(6)
        await self.task

    async def test_wait_next(self):
        """wait_next() counts from now on."""
        function = mock.AsyncMock()
        await function()
        self.call_later(function, 1, 2, 3)
        await awaited(function).wait_next()
        self.assertNow(1)
        await awaited(function).wait_next(skip=1)
        self.assertNow(6)
        await self.task

    async def test_wait_for(self):
        """wait_for() asks its predicate at each await, and gives what that gave."""
        function = mock.AsyncMock()
        self.call_later(function, 1, 2, 3)
        self.assertEqual(await awaited(function).wait_for(lambda watched: watched.await_count * 10 * (self.now > 2)),
                         20)
        self.assertNow(3)
        await self.task

    async def test_many_who_wait(self):
        """All who wait are woken, and who was cancelled is no trouble."""
        function = mock.AsyncMock()
        tasks = [asyncio.create_task(awaited(function).wait(skip)) for skip in (0, 0, 1, 5)]
        self.call_later(function, 1, 2)
        await asyncio.sleep(1.5)
        self.assertEqual([task.done() for task in tasks], [True, True, False, False])
        tasks[3].cancel()
        await self.task
        await self.settle()
        self.assertEqual([task.done() for task in tasks], [True] * 4)

    async def test_kinds_of_mocks(self):
        """The mocks of patch(), of a spec and of create_autospec() are watched; a reset begins anew."""

        class Client:
            async def fetch(self):
                pass

        async def fetch():
            pass

        with mock.patch.object(Client, "fetch") as patched:
            pass
        for function in (mock.AsyncMock(side_effect=[1, 2, 3]), patched, mock.AsyncMock(spec=fetch),
                         mock.MagicMock(Client).fetch, mock.create_autospec(fetch)):
            with self.subTest(function):
                task = asyncio.create_task(awaited(function).wait(skip=1))
                await function()
                await self.settle()
                self.assertFalse(task.done())
                function.reset_mock()
                await function()
                await self.settle()
                self.assertFalse(task.done())
                await function()
                await task
                self.assertEqual(function.await_count, 2)

    async def test_one_watch_a_mock(self):
        """Asked again it is the same watch, and other mocks have none of it."""
        one, other = mock.AsyncMock(), mock.AsyncMock()
        self.assertIs(awaited(one), awaited(one))
        self.assertIsNot(awaited(one), awaited(other))
        self.assertIs(type(mock.AsyncMock()).await_count, mock.AsyncMock.await_count)

    def test_what_is_never_awaited(self):
        """A mock that nobody can await is refused, and so is a function."""
        for wrong in (mock.Mock(), print, lambda: None, 5):
            with self.subTest(wrong), self.assertRaisesRegex(TypeError, "takes an AsyncMock, not"):
                awaited(wrong)


class HangTest(unittest.TestCase):
    def test_nobody_awaits(self):
        """A wait that never ends is a hang, and says for what it waited."""

        class Case(SolipsistTestCase):
            async def test_wait(self):
                await awaited(mock.AsyncMock(name="save")).wait(skip=1)

            async def test_wait_next(self):
                await awaited(mock.AsyncMock(name="save")).wait_next()

            async def test_wait_for(self):
                await awaited(mock.AsyncMock(name="save")).wait_for(lambda watched: False)

        what = "<AsyncMock name='save' id='\\d+'>"
        for name, words in (("test_wait", f"waits for 2 awaits of {what}"),
                            ("test_wait_next", f"waits for 1 more await of {what}"),
                            ("test_wait_for", f"waits for an await of {what} that makes HangTest.+<lambda> true")):
            with self.subTest(name):
                self.assertRegex(told(run(Case, name)), words)


class Target:
    """What is patched."""

    value = "real"
    other = "real"
    table = {"key": "real"}


class WhileRunningTest(SolipsistTestCase):
    async def test_off_while_it_waits(self):
        """The patch holds in the coroutine, before and after it waits, and not outside."""
        seen = []

        @while_running(mock.patch.object(Target, "value", "patched"))
        async def patched():
            seen.append(Target.value)
            await asyncio.sleep(2)
            seen.append(Target.value)
            return "result"

        task = asyncio.create_task(patched())
        await asyncio.sleep(1)
        self.assertEqual(Target.value, "real")
        self.assertEqual(await task, "result")
        self.assertEqual((seen, Target.value), (["patched", "patched"], "real"))

    async def test_each_kind_of_patch(self):
        """patch(), patch.object(), patch.multiple() and patch.dict(), with what they make and without."""
        this = f"{__name__}.Target"
        kinds = {
            "patch": (mock.patch(f"{this}.value", "patched"), lambda args: Target.value == "patched"),
            "made": (mock.patch(f"{this}.value"), lambda args: args == (Target.value,)),
            "autospec": (mock.patch(f"{__name__}.asyncio.sleep", autospec=True), lambda args: args == (asyncio.sleep,)),
            "new_callable": (mock.patch(f"{this}.value", new_callable=mock.PropertyMock), lambda args: len(args) == 1),
            "keywords": (mock.patch(f"{this}.value", x=5), lambda args: args[0].x == 5),
            "multiple": (mock.patch.multiple(this, value=1, other=2), lambda args: Target.value + Target.other == 3),
            "dict": (mock.patch.dict(Target.table, key="patched"), lambda args: Target.table == {"key": "patched"}),
        }
        for kind, (patcher, check) in kinds.items():
            seen = []
            wait = asyncio.get_running_loop().create_future()

            @while_running(patcher)
            async def patched(*args, seen=seen, check=check, wait=wait):
                seen.append((check(args), args))
                await wait
                seen.append((check(args), args))

            with self.subTest(kind):
                task = asyncio.create_task(patched())
                await self.settle()
                self.assertEqual((Target.value, Target.other, Target.table), ("real", "real", {"key": "real"}))
                wait.set_result(None)
                await task
                self.assertEqual([holds for holds, _ in seen], [True, True])
                self.assertEqual(seen[0], seen[1])

    async def test_multiple_mocks(self):
        """The mocks of patch.multiple() come by their names."""
        seen = []

        @while_running(mock.patch.multiple(Target, value=mock.DEFAULT, other=mock.DEFAULT))
        async def patched(**kwargs):
            for _ in range(2):
                seen.append(kwargs == {"value": Target.value, "other": Target.other})
                await asyncio.sleep(1)

        await patched()
        self.assertEqual(seen, [True, True])

    async def test_a_mock_and_a_value(self):
        """patch.multiple() may make one mock and set another value."""
        seen = []

        @while_running(mock.patch.multiple(Target, value=mock.DEFAULT, other="set"))
        async def patched(value):
            for _ in range(2):
                seen.append((Target.value is value, Target.other))
                await asyncio.sleep(1)

        await patched()
        self.assertEqual(seen, [(True, "set")] * 2)

    async def test_two_calls_at_once(self):
        """Each call has mocks of its own, and keeps them, whoever runs in between."""
        seen = {}

        @while_running(mock.patch.object(Target, "value"))
        async def patched(name, made):
            seen[name] = []
            for _ in range(3):
                seen[name].append((Target.value is made, made))
                await asyncio.sleep(1)

        await asyncio.gather(patched("a"), patched("b"))
        self.assertTrue(all(same for found in seen.values() for same, _ in found))
        self.assertIsNot(seen["a"][0][1], seen["b"][0][1])

    async def test_stacked(self):
        """As with mock.patch, the mock of the inner decorator comes first; one call may run in another."""

        @while_running(mock.patch.object(Target, "other"))
        @while_running(mock.patch.object(Target, "value"))
        async def patched(value, other, depth=1):
            self.assertEqual((value, other), (Target.value, Target.other))
            if depth:
                await patched(depth=0)
            await asyncio.sleep(1)
            self.assertEqual((value, other), (Target.value, Target.other))

        await patched()
        self.assertEqual((Target.value, Target.other), ("real", "real"))

    async def test_errors_and_cancellation(self):
        """What the coroutine raises, and what is thrown into it, pass, and the patch is off."""

        @while_running(mock.patch.object(Target, "value", "patched"))
        async def failing():
            await asyncio.sleep(1)
            raise LookupError(Target.value)

        with self.assertRaisesRegex(LookupError, "patched"):
            await failing()
        seen = []

        @while_running(mock.patch.object(Target, "value", "patched"))
        async def waiting():
            try:
                await asyncio.Event().wait()
            finally:
                seen.append(Target.value)

        task = asyncio.create_task(waiting())
        await asyncio.sleep(1)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual((seen, Target.value), (["patched"], "real"))

    async def test_closed(self):
        """A coroutine that is closed while it waits ends with the patch on, and it is off then."""
        seen = []

        @while_running(mock.patch.object(Target, "value", "patched"))
        async def waiting():
            try:
                await asyncio.sleep(0)
            finally:
                seen.append(Target.value)

        coroutine = waiting()
        coroutine.send(None)
        self.assertEqual(Target.value, "real")
        coroutine.close()
        self.assertEqual((seen, Target.value), (["patched"], "real"))

    def test_a_hang(self):
        """A hang in it is described with the line where it waits, and what for."""

        class Case(SolipsistTestCase):
            @while_running(mock.patch.object(Target, "value", "patched"))
            async def test(self):
                await asyncio.Event().wait()

        self.assertRegex(told(run(Case)), r"Task-1 .* at tests/mocks/test_awaited.py:\d+(.|\n)*waits for Event 1")

    def test_misuse(self):
        """What is no patcher, and what is no coroutine function, is refused."""
        with self.assertRaisesRegex(TypeError, "takes a patcher"):
            while_running("module.name")
        with self.assertRaisesRegex(TypeError, "decorates a coroutine function"):
            while_running(mock.patch.object(Target, "value"))(print)

    @while_running(mock.patch.object(Target, "value"))
    async def test_a_test(self, made):
        """A test may be decorated."""
        self.assertIs(Target.value, made)
        self.assertIsInstance(made, (mock.MagicMock, types.SimpleNamespace))


if __name__ == "__main__":
    unittest.main()
