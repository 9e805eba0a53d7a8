"""What was made on a loop is found again, and not kept alive."""

import asyncio
import gc
import socket
import unittest
import weakref
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.loop import inventory


class UncaughtErrorsTest(unittest.TestCase):
    def test_who_logs(self):
        """Without a test that reports it an error is logged, whoever takes logs."""
        for handlers in (True, False):
            with mock.patch.object(inventory.logger, "hasHandlers", return_value=handlers):
                found = inventory.UncaughtErrors()
                self.assertTrue(found.note({"message": "x", "exception": ValueError("y")}))
                self.assertEqual(len(found.found), 1)


class TasksTest(SolipsistTestCase):
    async def test_order_and_end(self):
        """Tasks are known in the order in which they were made, done or not, as long as the program keeps them."""
        known = inventory.Inventory(self.loop)
        tasks = [asyncio.create_task(asyncio.sleep(delay)) for delay in (3, 1, 2)]
        for number, task in enumerate(tasks, 1):
            known.add_task(task, number)
        await asyncio.wait(tasks)
        self.assertEqual(list(known.tasks()), tasks)
        tasks.clear()
        del task
        await asyncio.sleep(0)
        self.assertEqual(list(known.tasks()), [])

    async def test_unread(self):
        """Of those that failed the ones are found whose error nobody read."""

        async def fail():
            raise ValueError

        one, two = asyncio.create_task(fail()), asyncio.create_task(fail())
        await asyncio.wait([one, two])
        one.exception()
        self.assertEqual(self.loop.inventory.unread(), [two])
        two.exception()
        self.assertEqual(self.loop.inventory.unread(), [])

    async def test_room(self):
        """The dead ones are taken out from time to time: a million tasks leave no million entries."""
        known = inventory.Inventory(self.loop)
        kept = []
        with mock.patch.object(inventory, "ROOM", 10):
            known._room = 10
            for number in range(1000):
                task = asyncio.create_task(asyncio.sleep(0))
                known.add_task(task, number)
                if number % 100 == 0:
                    kept.append(task)
                await task
        self.assertLess(len(known._made), 40)
        self.assertEqual(list(known.tasks())[:10], kept)

    async def test_room_for_futures(self):
        """Those of jobs too; and one that was noted twice is found once."""
        known = inventory.Inventory(self.loop)
        failed = self.loop.create_future()
        failed.set_exception(ValueError())
        known._room_of_futures = 10
        with mock.patch.object(inventory, "ROOM", 10):
            for _ in range(100):
                known.add_future(self.loop.create_future())
                known.add_future(failed)
        self.assertEqual(known.unread(), [failed])
        failed.exception()
        known.add_future(self.loop.create_future())
        self.assertLess(len(known._futures), 400)

    async def test_crowd(self):
        """Of tasks that are alive by the hundred all are known as well, in their order, with those of a factory."""
        known, made = self.loop.inventory, [*self.loop.inventory.tasks()]

        async def fail():
            raise ValueError

        def add(count, what):
            made.extend(asyncio.create_task(what()) for _ in range(count))

        with mock.patch.multiple(inventory, ROOM=10, CROWD=5):
            known._room = 10
            add(30, asyncio.Event().wait)
            self.assertTrue(known.is_crowded)
            self.assertLess(len(known._made), 15)
            add(1, fail)
            self.assertEqual([*known.tasks()], made)
            await asyncio.sleep(0)
            self.assertEqual(known.unread(), made[-1:])
            made.pop().exception()
            for task in made[1:]:
                task.cancel()
            await asyncio.wait(made[1:])
            del made[1:-2]
            task = None
            self.assertEqual([*known.tasks()], made)
            self.assertFalse(known.is_crowded)
            self.assertEqual([*known.tasks()], made)

    async def test_names(self):
        """A task that nobody has named is called by its number; a name stays."""
        one, two = asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(0), name="two")
        self.assertEqual([one.get_name(), two.get_name()], [f"Task-{one.number}", "two"])
        one.set_name("Task")
        self.assertEqual(one.get_name(), "Task")
        await asyncio.wait([one, two])


class OthersTest(unittest.TestCase):
    def test_a_factory_that_gives_anything(self):
        """What a program's task factory gives need not be a task at all."""


        class Plain:
            __slots__ = ("made_at",)  # and no weak references

            def set_name(self, name):
                pass

        async def main():
            loop = asyncio.get_running_loop()

            def factory(loop, coroutine, **kwargs):
                coroutine.close()
                return plain

            plain = Plain()
            loop.set_task_factory(factory)
            try:
                self.assertIs(loop.create_task(asyncio.sleep(0)), plain)
            finally:
                loop.set_task_factory(None)

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())

    def test_a_generator_that_outlives_its_loop(self):
        """One that is collected when its loop is closed is let go without a word."""

        async def numbers():
            yield 1

        async def begin():
            agen = numbers()
            await anext(agen)
            return agen

        loop = SolipsistEventLoop()
        agen = loop.run_until_complete(begin())
        loop.close()
        with self.assertNoLogs("asyncio"), mock.patch("sys.unraisablehook") as hook:
            del agen
            gc.collect()
        self.assertIsNone(hook.call_args)

    def test_nothing_is_kept_alive(self):
        """Handles and generators that are gone are not kept."""

        async def numbers():
            yield 1

        async def main():
            loop = asyncio.get_running_loop()
            one, two = socket.socketpair()
            loop.add_reader(one, str)
            self.assertEqual([method for method, _ in loop.inventory.registrations.values()], ["add_reader"])
            loop.remove_reader(one)
            one.close()
            two.close()
            agen = numbers()
            await anext(agen)
            self.assertEqual(list(loop.inventory.generators), [agen])
            gone = weakref.ref(agen)
            await agen.aclose()
            del agen
            gc.collect()
            self.assertIsNone(gone())
            await asyncio.sleep(0)
            self.assertEqual((len(loop.inventory.registrations), len(loop.inventory.generators)), (0, 0))

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())


if __name__ == "__main__":
    unittest.main()
