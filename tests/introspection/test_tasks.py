"""Where a suspended task stands, and what it waits for."""

import asyncio
import contextlib
import sys
import types
import unittest

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.hangs.waits import waits_for
from solipsism_unittest.introspection.tasks import (
    all_tasks,
    await_chain,
    awaited,
    members_of,
    shielded,
    stated,
    stating,
    waiter_of,
)


class WaitingTest(unittest.TestCase):
    def test_the_owner_of_a_wait_says_what_it_is(self):
        """A report says of a task inside `stating()` what its owner says, asked when the report is written."""

        async def main():
            asked = []

            def words():
                asked.append(True)
                return "a parcel"

            task = asyncio.create_task(stating(words, asyncio.Event().wait()))
            await asyncio.sleep(0)
            self.assertEqual(asked, [])
            self.assertEqual(waits_for(task, await_chain(task)), "a parcel")
            outer, inner = await_chain(task)
            self.assertEqual((stated(outer), stated(inner)), ("a parcel", None))
            task.cancel()

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())

    def test_the_outermost_says_it(self):
        """Of two waits inside each other the outer one's words count: that is the call the user made."""

        async def main():
            inner = stating(lambda: "inside", asyncio.Event().wait())
            task = asyncio.create_task(stating(lambda: "outside", inner))
            await asyncio.sleep(0)
            self.assertEqual(waits_for(task, await_chain(task)), "outside")
            task.cancel()

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())

    def test_it_gives_what_is_awaited(self):
        """The result and the errors of what is awaited come through."""
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(stating(str, asyncio.sleep(1, "done"))), "done")
            with self.assertRaises(TimeoutError):
                runner.run(stating(str, asyncio.wait_for(asyncio.sleep(2), 1)))


class AllTest(unittest.TestCase):
    def test_as_asyncio_says(self):
        """The tasks of a loop are those that asyncio knows, however they were made; without any there are none."""

        async def main():
            loop = asyncio.get_running_loop()
            made = asyncio.Task(asyncio.sleep(1), loop=loop), asyncio.ensure_future(asyncio.sleep(2))
            found = all_tasks(loop), asyncio.all_tasks(loop), {*made, asyncio.current_task()}
            await asyncio.wait(made)
            return found

        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        self.assertEqual(all_tasks(loop), asyncio.all_tasks(loop))
        ours, asyncios, wanted = loop.run_until_complete(main())
        self.assertEqual((ours, asyncios), (wanted, wanted))
        del ours, asyncios, wanted
        self.assertEqual(all_tasks(loop), set())

    @unittest.skipIf(sys.version_info < (3, 12), "there are none")
    def test_eager_ones(self):
        """One that has begun at once is among them, also in its first step."""

        async def first_step():
            loop = asyncio.get_running_loop()
            return all_tasks(loop), asyncio.all_tasks(loop)

        async def main():
            return await asyncio.create_task(first_step())

        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.set_task_factory(asyncio.eager_task_factory)
        ours, asyncios = loop.run_until_complete(main())
        self.assertEqual((ours, len(ours)), (asyncios, 2))


class StepsTest(unittest.TestCase):
    def test_one_that_runs_awaits_nothing(self):
        """A coroutine or generator that runs is not asked what it awaits: CPython up to 3.12 may crash then."""
        for running, answer in (("cr_running", "cr_await"), ("gi_running", "gi_yieldfrom")):
            for runs, found in ((True, None), (False, self)):
                with self.subTest(running, runs=runs):
                    self.assertIs(awaited(types.SimpleNamespace(**{running: runs, answer: self})), found)


class FuturesTest(unittest.TestCase):
    def test_what_a_task_waits_for(self):
        """A suspended task waits for a future; one that is about to run, and what is no task, for none."""

        async def main():
            future = asyncio.get_running_loop().create_future()
            task = asyncio.create_task(stating(str, future))
            self.assertIsNone(waiter_of(task))
            await asyncio.sleep(0)
            self.assertIs(waiter_of(task), future)
            self.assertIsNone(waiter_of(future))
            future.set_result(None)
            await task

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())

    def test_what_a_gather_stands_for(self):
        """A gather() has members as long as they have not ended; any other future has none."""

        async def main():
            one, two = (asyncio.get_running_loop().create_future() for _ in range(2))
            gathered = asyncio.gather(one, two)
            one.set_result(None)
            self.assertEqual(members_of(gathered), [two])
            self.assertIsNone(members_of(two))
            two.set_result(None)
            await gathered
            self.assertEqual(members_of(gathered), [])

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())

    def test_what_a_shield_stands_for(self):
        """It is told by the first callback: a future for which thousands of tasks wait has one of each."""
        async def shield():
            inner = asyncio.get_running_loop().create_future()
            outer = asyncio.shield(inner)
            outer.add_done_callback(print)
            return shielded(outer) is inner, shielded(inner)

        with contextlib.closing(SolipsistEventLoop()) as loop:
            self.assertEqual(loop.run_until_complete(shield()), (True, None))
        many = iter([(print, None)] * 3)
        self.assertIsNone(shielded(types.SimpleNamespace(_callbacks=many)))
        self.assertEqual(len(list(many)), 2)
