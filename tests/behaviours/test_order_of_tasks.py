"""Tasks in sets: the order in which they were made, in every run."""

import asyncio
import gc
import unittest
from unittest import mock

from solipsism_unittest import SolipsistEventLoop

RUNS = 40


async def group():
    """The order in which a TaskGroup cancels its tasks."""
    log = []

    async def wait(number):
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            log.append(number)
            raise

    async def fail():
        await asyncio.sleep(1)
        raise ValueError

    try:
        async with asyncio.TaskGroup() as tasks:
            for number in range(12):
                tasks.create_task(wait(number))
            tasks.create_task(fail())
    except* ValueError:
        pass
    return log


async def sleep(number, seconds=1):
    await asyncio.sleep(seconds)
    return number


async def done():
    """The order in the set of those that asyncio.wait() found done."""
    found, _ = await asyncio.wait([asyncio.create_task(sleep(number)) for number in range(12)])
    return [task.result() for task in found]


async def pending():
    """The order in the set of those that it found pending."""
    _, left = await asyncio.wait([asyncio.create_task(sleep(number, 9)) for number in range(12)], timeout=1)
    order = [int(task.get_coro().cr_frame.f_locals["number"]) for task in left]
    await asyncio.gather(*left)
    return order


async def futures():
    """The same of futures, which have no number."""
    loop = asyncio.get_running_loop()
    several = [loop.create_future() for _ in range(12)]
    for number, future in enumerate(several):
        loop.call_later(1, future.set_result, number)
    found, _ = await asyncio.wait(several)
    return [future.result() for future in found]


async def completed():
    """The order in which as_completed() makes tasks of coroutines, and so that of those that end at one instant."""
    return [await each for each in asyncio.as_completed([sleep(number) for number in range(12)])]


async def own_set():
    """The order in a set that a program makes of its tasks, where the numbers do not pass its size."""
    tasks = {asyncio.create_task(sleep(number)) for number in range(12)}
    order = [await task for task in tasks]
    return order


async def all_tasks():
    """The order of asyncio.all_tasks(), in which a runner cancels."""
    tasks = [asyncio.create_task(sleep(number), name=str(number)) for number in range(12)]
    order = [int(task.get_name()) for task in asyncio.all_tasks() if task in tasks]
    await asyncio.gather(*tasks)
    return order


class OrderTest(unittest.TestCase):
    def test_by_creation(self):
        """Whatever asyncio or a program does with the members of a set, it does in the order of their creation."""
        for main in (group, done, pending, futures, completed, own_set, all_tasks):
            with self.subTest(main.__name__):
                seen, junk = [], []
                for run in range(RUNS):
                    loop = SolipsistEventLoop(seed=1)
                    seen.append(loop.run_until_complete(main()))
                    loop.close()
                    junk.append([object() for _ in range(run * 37 % 101)])
                self.assertEqual(seen, [list(range(12))] * RUNS)

    def test_the_same_every_time(self):
        """Sets whose size the numbers pass have one order too."""
        async def main():
            for _ in range(25):
                await asyncio.create_task(sleep(0))
            tasks = {asyncio.create_task(sleep(number)) for number in range(12)}
            return [await task for task in tasks]

        seen = set()
        for _ in range(RUNS):
            loop = SolipsistEventLoop(seed=1)
            seen.add(tuple(loop.run_until_complete(main())))
            loop.close()
        self.assertEqual(len(seen), 1)

    def test_a_factory_of_the_program(self):
        """Where a program makes its tasks itself they are its own."""
        class Mine(asyncio.Task):
            pass

        async def main():
            asyncio.get_running_loop().set_task_factory(lambda loop, coro, **kwargs: Mine(coro, loop=loop, **kwargs))
            task = asyncio.create_task(sleep(5), name="mine")
            return type(task), task.get_name(), await task

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(main()), (Mine, "mine", 5))

    def test_a_class_in_the_place_of_asyncio_s(self):
        """Where a program has replaced asyncio's class, by the pure Python one or its own, tasks are of that class."""
        class Mine(asyncio.Task):
            pass

        async def main():
            task = asyncio.create_task(sleep(5))
            named = asyncio.create_task(sleep(0), name="mine")
            return type(task), task.get_name(), await task, type(named), named.get_name(), await named

        for kind in (Mine, asyncio.tasks._PyTask):
            with (self.subTest(kind), mock.patch.object(asyncio.tasks, "Task", kind),
                  asyncio.Runner(loop_factory=SolipsistEventLoop) as runner):
                self.assertEqual(runner.run(main()), (kind, "Task-2", 5, kind, "mine", 0))

    def test_as_a_task(self):
        """It looks like asyncio's, is equal to itself alone, and ends with its last reference."""
        async def main():
            task, other = (asyncio.create_task(sleep(number)) for number in range(2))
            self.assertRegex(repr(task), r"^<Task pending name='Task-2' coro=<sleep\(\) running at ")
            self.assertEqual((task == task, task == other, {task: 1}[task]), (True, False, 1))
            await asyncio.gather(task, other)

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())
            self.assertEqual([task for task in gc.get_objects() if isinstance(task, asyncio.Task)
                              and task.get_loop() is runner.get_loop()], [])
