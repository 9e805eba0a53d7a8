"""Clean programs about tasks: made, awaited, cancelled, grouped, shielded, timed out, and their exceptions read."""

import asyncio
import contextlib
import contextvars
import unittest

from solipsism_unittest import SolipsistTestCase

request_id = contextvars.ContextVar("request_id", default=0)


async def answer(value, seconds=0.0):
    """Return the value after so many seconds."""
    await asyncio.sleep(seconds)
    return value


async def fail(error, seconds=0.0):
    """Raise the error after so many seconds."""
    await asyncio.sleep(seconds)
    raise error


class TaskTest(SolipsistTestCase):
    async def test_a_task_that_is_awaited(self):
        """A task gives its result to who awaits it."""
        task = asyncio.create_task(answer(6, 1), name="six")
        self.assertEqual((await task, task.get_name()), (6, "six"))

    async def test_a_task_that_ends_at_the_very_end(self):
        """A task whose last step is due when the test returns is no leftover."""
        log = []

        async def note():
            log.append("noted")

        task = asyncio.create_task(note())
        await asyncio.sleep(0)
        self.assertEqual((log, task.done()), (["noted"], True))

    async def test_a_task_that_needs_one_more_turn(self):
        """A task that was told to stop and not waited for ends while the test is being ended."""
        stopping = asyncio.Event()
        task = asyncio.create_task(stopping.wait())
        await asyncio.sleep(1)
        stopping.set()
        self.assertFalse(task.done())

    async def test_cancelled_and_awaited(self):
        """The orderly way to end a task."""
        task = asyncio.create_task(answer(None, 100))
        await asyncio.sleep(0)
        self.assertTrue(task.cancel("no longer needed"))
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.assertTrue(task.cancelled())

    async def test_cancelled_and_left(self):
        """A task that was cancelled in the last line is on its way out."""
        task = asyncio.create_task(answer(None, 100))
        await asyncio.sleep(1)
        self.assertTrue(task.cancel())

    async def test_cancelled_before_it_ever_ran(self):
        """The coroutine of a task that never got to run counts as awaited."""
        task = asyncio.create_task(answer("unseen"))
        task.cancel()
        await asyncio.wait({task})
        self.assertTrue(task.cancelled())

    async def test_cancelled_by_a_cleanup(self):
        """addCleanup(task.cancel) is enough."""
        task = asyncio.create_task(asyncio.Event().wait(), name="daemon")
        self.addCleanup(task.cancel)
        await asyncio.sleep(1)
        self.assertFalse(task.done())

    async def test_cancelled_and_awaited_by_a_cleanup(self):
        """A cleanup that waits for the task that it cancelled."""
        said = []

        async def worker():
            try:
                await asyncio.sleep(1e6)
            finally:
                await asyncio.sleep(1)
                said.append("goodbye")

        async def stop(task):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.assertEqual(said, ["goodbye"])

        task = asyncio.create_task(worker())
        self.addAsyncCleanup(stop, task)
        await asyncio.sleep(0)
        self.assertEqual(said, [])

    async def test_a_task_that_refuses_the_first_cancellation(self):
        """A task that insists on finishing its transaction, and uncancels itself."""
        saved = []

        async def transaction():
            try:
                await asyncio.sleep(10)
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()
                await asyncio.sleep(1)
                saved.append("all of it")

        task = asyncio.create_task(transaction())
        await asyncio.sleep(0)
        task.cancel()
        await task
        self.assertEqual((saved, task.cancelled(), task.cancelling()), (["all of it"], False, 0))

    async def test_an_exception_is_read_by_await(self):
        """What a task raised comes out of its await."""
        task = asyncio.create_task(fail(KeyError("missing")))
        with self.assertRaises(KeyError):
            await task
        self.assertTrue(task.done())

    async def test_an_exception_is_read_later(self):
        """A task may fail long before anybody asks."""
        task = asyncio.create_task(fail(OSError("disk"), 1))
        await asyncio.sleep(1000)
        self.assertEqual(str(task.exception()), "disk")

    async def test_an_exception_is_read_by_a_callback(self):
        """A done callback reads the exception and logs it."""
        log = []
        task = asyncio.create_task(fail(ValueError("bad")))
        task.add_done_callback(lambda done: log.append(repr(done.exception())))
        await asyncio.sleep(1)
        self.assertEqual(log, ["ValueError('bad')"])

    async def test_a_set_of_background_tasks(self):
        """Fire and forget with a set that holds the tasks until they are done."""
        background, results = set(), []
        for number in range(5):
            task = asyncio.create_task(answer(number, number))
            background.add(task)
            task.add_done_callback(background.discard)
            task.add_done_callback(lambda done: results.append(done.result()))
        await asyncio.sleep(10)
        self.assertEqual((background, results), (set(), [0, 1, 2, 3, 4]))

    async def test_the_names_and_the_current_task(self):
        """A program that looks at all tasks sees its own, and lets go of them."""
        child = asyncio.create_task(answer(1, 1), name="child")
        names = {task.get_name() for task in asyncio.all_tasks()}
        self.assertIn("child", names)
        self.assertIn(asyncio.current_task(), asyncio.all_tasks())
        await child

    async def test_a_stack_of_a_waiting_task(self):
        """A look at a task's stack holds nothing."""
        task = asyncio.create_task(answer(None, 5))
        await asyncio.sleep(1)
        frames = task.get_stack()
        self.assertEqual(frames[-1].f_code.co_name, "answer")
        del frames
        await task

    async def test_a_context_variable_of_a_task(self):
        """What a task sets stays in the task."""

        async def handle(number):
            request_id.set(number)
            await asyncio.sleep(1)
            return request_id.get()

        self.assertEqual(await asyncio.gather(handle(1), handle(2)), [1, 2])
        self.assertEqual(request_id.get(), 0)

    async def test_a_task_in_a_context_of_its_own(self):
        """create_task(context=) lets the caller see what was set."""
        context = contextvars.copy_context()

        async def log_in():
            request_id.set(77)

        await asyncio.create_task(log_in(), context=context)
        self.assertEqual((context[request_id], request_id.get()), (77, 0))

    async def test_ensure_future_of_an_awaitable(self):
        """Any object with __await__ can be made a task."""

        class Promise:
            def __await__(self):
                yield from asyncio.sleep(2).__await__()
                return "kept"

        self.assertEqual(await asyncio.ensure_future(Promise()), "kept")

    async def test_a_supervisor_restarts_what_fails(self):
        """A supervisor that reads each failure and starts the worker again."""
        failures = []

        async def worker(attempt):
            await asyncio.sleep(1)
            if attempt < 3:
                raise RuntimeError(f"crash {attempt}")
            return "stable"

        attempt = 1
        while True:
            task = asyncio.create_task(worker(attempt))
            await asyncio.wait([task])
            if task.exception() is None:
                break
            failures.append(str(task.exception()))
            attempt += 1
        self.assertEqual((task.result(), failures), ("stable", ["crash 1", "crash 2"]))

    async def test_a_coroutine_driven_by_hand(self):
        """A coroutine that is driven by hand may end with StopIteration."""
        coroutine = answer("by hand")
        coroutine.send(None)
        with self.assertRaises(StopIteration) as stopped:
            coroutine.send(None)
        self.assertEqual(stopped.exception.value, "by hand")

    async def test_a_coroutine_that_is_closed_instead(self):
        """A coroutine that is not wanted any more is closed before it ran."""
        coroutine = answer("never wanted")
        coroutine.close()
        self.assertIsNone(coroutine.cr_frame)


class FutureTest(SolipsistTestCase):
    async def test_a_result_set_later(self):
        """A future gets its result from a timer."""
        future = self.loop.create_future()
        self.loop.call_later(3, future.set_result, [1, 2])
        self.assertEqual(await future, [1, 2])

    async def test_a_future_nobody_fulfils(self):
        """A future that nobody waits for holds nothing."""
        promise = self.loop.create_future()
        self.assertFalse(promise.done())

    async def test_an_exception_that_is_read(self):
        """exception() counts as reading."""
        future = self.loop.create_future()
        future.set_exception(EOFError("the end"))
        self.assertEqual(future.exception().args, ("the end",))

    async def test_a_cancelled_future(self):
        """Cancelling a future wakes who waits for it."""
        future = self.loop.create_future()
        self.loop.call_later(1, future.cancel)
        with self.assertRaises(asyncio.CancelledError):
            await future
        self.assertTrue(future.cancelled())

    async def test_a_request_table(self):
        """Answers are matched to requests by number, and the rest fails and is read when the connection is lost."""
        table = {number: self.loop.create_future() for number in range(3)}
        self.loop.call_later(1, table[1].set_result, "one")
        self.assertEqual(await table.pop(1), "one")
        for waiter in table.values():
            waiter.set_exception(ConnectionResetError())
        results = await asyncio.gather(*table.values(), return_exceptions=True)
        self.assertEqual([type(result) for result in results], [ConnectionResetError] * 2)

    async def test_a_callback_that_is_taken_back(self):
        """A done callback can be removed before it is called."""
        future, calls = self.loop.create_future(), []
        future.add_done_callback(calls.append)
        self.assertEqual(future.remove_done_callback(calls.append), 1)
        future.set_result(None)
        await asyncio.sleep(0)
        self.assertEqual(calls, [])


class GatherTest(SolipsistTestCase):
    async def test_results_in_order(self):
        """gather() gives results in the order of its arguments, not of time."""
        self.assertEqual(await asyncio.gather(answer("slow", 3), answer("fast", 1)), ["slow", "fast"])

    async def test_nothing_to_gather(self):
        """gather() of nothing is done at once."""
        self.assertEqual(await asyncio.gather(), [])

    async def test_exceptions_as_results(self):
        """With return_exceptions a failure is a result."""
        one, two, three = await asyncio.gather(answer(1), fail(ZeroDivisionError()), answer(3), return_exceptions=True)
        self.assertEqual((one, type(two), three), (1, ZeroDivisionError, 3))

    async def test_the_first_failure_and_the_others_go_on(self):
        """gather() raises the first failure; the caller waits for the others itself."""
        slow = asyncio.create_task(answer("slow", 5))
        with self.assertRaises(KeyError):
            await asyncio.gather(slow, fail(KeyError("k"), 1))
        self.assertEqual(await slow, "slow")

    async def test_two_failures_of_one_gather(self):
        """The second failure of a gather counts as read: nobody could read it."""
        with self.assertRaises(ValueError):
            await asyncio.gather(fail(ValueError("first"), 1), fail(TypeError("second"), 2))
        await asyncio.sleep(5)
        self.assertNow(6)

    async def test_a_cancelled_gather_cancels_its_children(self):
        """Who cancels a gather cancels all that it gathers."""
        children = [asyncio.create_task(asyncio.sleep(50)) for _ in range(3)]
        both = asyncio.gather(*children)
        self.loop.call_later(1, both.cancel)
        with self.assertRaises(asyncio.CancelledError):
            await both
        self.assertTrue(all(child.cancelled() for child in children))

    async def test_a_cancelled_child_among_others(self):
        """A cancelled child is a CancelledError among the results."""
        child = asyncio.create_task(asyncio.sleep(10))
        self.loop.call_later(1, child.cancel)
        results = await asyncio.gather(child, answer("other", 2), return_exceptions=True)
        self.assertIsInstance(results[0], asyncio.CancelledError)
        self.assertEqual(results[1], "other")


class WaitTest(SolipsistTestCase):
    async def test_all_completed(self):
        """wait() without a timeout leaves nothing pending."""
        done, pending = await asyncio.wait([asyncio.create_task(answer(number, number)) for number in range(3)])
        self.assertEqual((sum(task.result() for task in done), pending), (3, set()))

    async def test_the_first_one_wins(self):
        """Happy eyeballs: the first answer is taken, the losers are cancelled."""
        racers = [asyncio.create_task(answer(name, seconds)) for name, seconds in (("v6", 2), ("v4", 1))]
        done, losers = await asyncio.wait(racers, return_when=asyncio.FIRST_COMPLETED)
        for loser in losers:
            loser.cancel()
        await asyncio.wait(losers)
        self.assertEqual([task.result() for task in done], ["v4"])

    async def test_the_first_exception_is_read_later(self):
        """wait() itself raises nothing; the exception is read after some time."""
        bad, good = asyncio.create_task(fail(OSError("gone"), 1)), asyncio.create_task(answer("ok", 2))
        done, _ = await asyncio.wait([bad, good], return_when=asyncio.FIRST_EXCEPTION)
        self.assertEqual(done, {bad})
        self.assertEqual(await good, "ok")
        with self.assertRaisesRegex(OSError, "gone"):
            bad.result()

    async def test_a_timeout_of_wait(self):
        """What is pending after the timeout is waited for again."""
        task = asyncio.create_task(answer("late", 5))
        done, pending = await asyncio.wait([task], timeout=2)
        self.assertEqual((done, pending, self.now), (set(), {task}, 2.0))
        self.assertEqual(await task, "late")

    async def test_a_wait_that_is_cancelled(self):
        """A cancelled wait() leaves its tasks alone."""
        child = asyncio.create_task(answer("unharmed", 3))
        waiting = asyncio.create_task(asyncio.wait([child]))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        self.assertEqual((waiting.cancelled(), await child), (True, "unharmed"))

    async def test_as_completed(self):
        """as_completed() hands out results as they come."""
        results = []
        for next_one in asyncio.as_completed([answer(number, number) for number in (3, 1, 2)]):
            results.append(await next_one)
        self.assertEqual(results, [1, 2, 3])

    async def test_as_completed_with_a_failure(self):
        """One of the results is an exception, and is read with it."""
        good = bad = 0
        for next_one in asyncio.as_completed([answer(1, 1), fail(RuntimeError(), 2), answer(3, 3)]):
            try:
                good += await next_one
            except RuntimeError:
                bad += 1
        self.assertEqual((good, bad), (4, 1))

    async def test_as_completed_with_a_timeout(self):
        """What did not come in time raises TimeoutError; its task is cancelled by who made it."""
        tasks = [asyncio.create_task(answer("quick", 1)), asyncio.create_task(answer("slow", 100))]
        seen = []
        try:
            for next_one in asyncio.as_completed(tasks, timeout=5):
                seen.append(await next_one)
        except TimeoutError:
            seen.append("timeout")
        tasks[1].cancel()
        self.assertEqual((seen, self.now), (["quick", "timeout"], 5.0))


    async def test_as_completed_that_is_cancelled(self):
        """Who takes results as they come is cancelled, and cancels what has not come."""
        tasks, seen = [asyncio.create_task(answer(number, number)) for number in (1, 1000)], []

        async def consume():
            try:
                for next_one in asyncio.as_completed(tasks):
                    seen.append(await next_one)
            finally:
                tasks[1].cancel()

        consumer = asyncio.create_task(consume())
        await asyncio.sleep(2)
        consumer.cancel()
        await asyncio.wait([consumer])
        self.assertEqual((seen, consumer.cancelled()), ([1], True))


class GroupTest(SolipsistTestCase):
    async def test_a_group_waits_for_its_tasks(self):
        """All results are there when the group ends."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(number, number)) for number in range(4)]
        self.assertEqual([task.result() for task in tasks], [0, 1, 2, 3])

    async def test_a_failure_is_caught_by_except_star(self):
        """A failing task cancels its siblings, and the group tells of both failures."""
        told, sibling = [], None
        try:
            async with asyncio.TaskGroup() as group:
                sibling = group.create_task(asyncio.sleep(1000))
                group.create_task(fail(ValueError("one"), 1))
                group.create_task(fail(KeyError("two"), 1))
        except* ValueError as values:
            told += map(str, values.exceptions)
        except* KeyError as keys:
            told += [key.args[0] for key in keys.exceptions]
        self.assertEqual((sorted(told), sibling.cancelled()), (["one", "two"], True))

    async def test_the_body_of_a_group_fails(self):
        """What the body raises cancels the tasks and is in the group of exceptions."""
        with self.assertRaises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(asyncio.Event().wait())
                await asyncio.sleep(1)
                raise LookupError("in the body")
        self.assertIsInstance(caught.exception.exceptions[0], LookupError)
        self.assertTrue(task.cancelled())

    async def test_a_task_that_fails_while_it_is_cancelled(self):
        """Failures of `finally` blocks are collected too."""

        async def clumsy():
            try:
                await asyncio.sleep(100)
            finally:
                raise RuntimeError("stumbled on the way out")

        with self.assertRaises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(clumsy())
                group.create_task(fail(ValueError(), 1))
        self.assertEqual({type(error) for error in caught.exception.exceptions}, {ValueError, RuntimeError})

    async def test_groups_in_groups(self):
        """An inner group ends before the outer one."""
        order = []
        async with asyncio.TaskGroup() as outer:
            outer.create_task(answer(None, 5)).add_done_callback(lambda _: order.append("outer"))
            async with asyncio.TaskGroup() as inner:
                inner.create_task(answer(None, 1)).add_done_callback(lambda _: order.append("inner"))
        self.assertEqual(order, ["inner", "outer"])

    async def test_a_group_that_is_cancelled_from_outside(self):
        """The task that holds the group is cancelled, and everything in it."""
        ended = []

        async def worker(name):
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(name)

        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(worker("a"))
                group.create_task(worker("b"))

        task = asyncio.create_task(main())
        await asyncio.sleep(1)
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        self.assertEqual(sorted(ended), ["a", "b"])  # a group holds its tasks in a set

    async def test_a_group_under_a_timeout(self):
        """A timeout around a group ends what is in it."""
        tasks = []
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(2), asyncio.TaskGroup() as group:
                tasks += [group.create_task(asyncio.sleep(seconds)) for seconds in (1, 10)]
        self.assertEqual([task.cancelled() for task in tasks], [False, True])

    async def test_a_group_that_is_told_to_stop(self):
        """A private exception ends all tasks of a group, as the manual of asyncio shows."""

        class Enough(Exception):
            """Nothing more is needed."""

        counts = []

        async def count():
            while True:
                await asyncio.sleep(1)
                counts.append(len(counts))

        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(count())
                group.create_task(fail(Enough(), 3.5))
        self.assertEqual(counts, [0, 1, 2])

    async def test_a_task_that_its_group_never_let_begin(self):
        """A body that fails at once cancels a task before its first step."""
        begun = []

        async def begin():
            begun.append(True)

        with self.assertRaises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(begin())
                raise MemoryError
        self.assertEqual(begun, [])

    async def test_a_pool_of_workers_in_a_group(self):
        """Workers take from one list until it is empty."""
        work, results = list(range(20)), []

        async def worker():
            while work:
                item = work.pop()
                await asyncio.sleep(0.1)
                results.append(item ** 2)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(worker())
        self.assertEqual((sum(results), round(self.now, 6)), (2470, 0.5))


class TimeoutTest(SolipsistTestCase):
    async def test_wait_for_in_time(self):
        """What is in time is a result, and the timeout's timer is gone."""
        self.assertEqual(await asyncio.wait_for(answer("in time", 1), 5), "in time")
        self.assertNoTimers()

    async def test_wait_for_too_long(self):
        """What takes too long is cancelled."""
        ended = []

        async def slow():
            try:
                await asyncio.sleep(100)
            finally:
                ended.append(self.now)

        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(slow(), 4)
        self.assertEqual(ended, [4.0])

    async def test_wait_for_something_that_fails(self):
        """A failure within the time comes through."""
        with self.assertRaisesRegex(ConnectionError, "refused"):
            await asyncio.wait_for(fail(ConnectionError("refused"), 1), 10)
        self.assertNow(1)

    async def test_wait_for_no_time_at_all(self):
        """A timeout of zero asks whether it is there."""
        future = self.loop.create_future()
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(future, 0)
        self.assertTrue(future.cancelled())

    async def test_wait_for_that_is_cancelled(self):
        """Who is cancelled in wait_for() cancels what it waits for."""
        inner = asyncio.create_task(asyncio.sleep(50))
        outer = asyncio.create_task(asyncio.wait_for(inner, 100))
        await asyncio.sleep(1)
        outer.cancel()
        await asyncio.gather(outer, return_exceptions=True)
        self.assertTrue(outer.cancelled() and inner.cancelled())

    async def test_wait_for_something_that_fails_on_the_way_out(self):
        """What was to end in time fails while it is cancelled: that failure comes through."""

        async def clumsy():
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                raise RuntimeError("dropped the tray") from None

        with self.assertRaisesRegex(RuntimeError, "tray"):
            await asyncio.wait_for(clumsy(), 1)
        self.assertNoTimers()

    async def test_a_block_with_a_timeout_that_is_cancelled(self):
        """A cancellation from outside stays one, and the timeout's timer is gone."""

        async def guarded():
            async with asyncio.timeout(60):
                await asyncio.sleep(30)

        task = asyncio.create_task(guarded())
        await asyncio.sleep(1)
        task.cancel("from outside")
        with self.assertRaisesRegex(asyncio.CancelledError, "from outside"):
            await task
        self.assertNoTimers()

    async def test_a_block_with_a_timeout(self):
        """asyncio.timeout() ends a block and says so."""
        try:
            async with asyncio.timeout(3) as limit:
                await asyncio.Event().wait()
        except TimeoutError:
            self.assertTrue(limit.expired())
        self.assertNow(3)

    async def test_a_block_within_its_timeout(self):
        """A timeout that was not needed leaves no timer."""
        async with asyncio.timeout(60) as limit:
            await asyncio.sleep(1)
        self.assertFalse(limit.expired())
        self.assertNoTimers()

    async def test_a_timeout_that_is_put_off(self):
        """A sign of life reschedules the timeout."""
        async with asyncio.timeout(2) as limit:
            for _ in range(5):
                await asyncio.sleep(1)
                limit.reschedule(self.loop.time() + 2)
        self.assertNow(5)

    async def test_a_timeout_that_is_never(self):
        """timeout(None) never strikes."""
        async with asyncio.timeout(None) as limit:
            await asyncio.sleep(1e6)
        self.assertIsNone(limit.when())

    async def test_timeouts_in_timeouts(self):
        """The inner one strikes first, and the outer one never."""
        async with asyncio.timeout(10) as outer:
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(1):
                    await asyncio.sleep(5)
            await asyncio.sleep(2)
        self.assertEqual((outer.expired(), self.now), (False, 3.0))

    async def test_a_failure_in_a_block_with_a_timeout(self):
        """An exception passes through a timeout."""
        with self.assertRaises(PermissionError):
            async with asyncio.timeout(10):
                await fail(PermissionError(), 2)
        self.assertNoTimers()


class ShieldTest(SolipsistTestCase):
    async def test_the_outer_is_cancelled(self):
        """What is shielded goes on when its caller is cancelled, and is awaited in the end."""
        inner = asyncio.create_task(answer("saved", 10))

        async def caller():
            await asyncio.shield(inner)

        outer = asyncio.create_task(caller())
        await asyncio.sleep(1)
        outer.cancel()
        await asyncio.wait([outer])
        self.assertEqual((outer.cancelled(), await inner), (True, "saved"))

    async def test_a_shield_under_a_timeout(self):
        """wait_for() gives up, and the shielded work comes to its end."""
        inner = asyncio.ensure_future(answer("in the end", 10))
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(inner), 1)
        self.assertEqual(await inner, "in the end")

    async def test_a_shielded_failure(self):
        """A failure comes through a shield."""
        with self.assertRaises(ArithmeticError):
            await asyncio.shield(fail(ArithmeticError(), 1))
        self.assertNow(1)

    async def test_the_shielded_one_is_cancelled(self):
        """A shield does not protect from a cancellation of the task itself."""
        inner = asyncio.create_task(asyncio.sleep(5))
        shield = asyncio.shield(inner)
        inner.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await shield
        self.assertTrue(shield.cancelled())

    async def test_a_commit_that_outlives_its_request(self):
        """A request is cancelled amid its commit; the commit is waited for at shutdown."""
        committed, commits = [], set()

        async def commit():
            await asyncio.sleep(3)
            committed.append("row")

        async def request():
            task = asyncio.create_task(commit())
            commits.add(task)
            task.add_done_callback(commits.discard)
            await asyncio.shield(task)

        handling = asyncio.create_task(request())
        await asyncio.sleep(1)
        handling.cancel()
        await asyncio.gather(handling, *commits, return_exceptions=True)
        self.assertEqual(committed, ["row"])


@unittest.skipUnless(hasattr(asyncio, "eager_task_factory"), "eager tasks came with Python 3.12")
class EagerTest(SolipsistTestCase):
    def setUp(self):
        self.loop.set_task_factory(asyncio.eager_task_factory)

    async def test_an_eager_task_that_never_waits(self):
        """A coroutine that needs no turn of the loop is done before create_task() returns."""

        async def ready():
            return "at once"

        task = asyncio.create_task(ready())
        self.assertTrue(task.done())
        self.assertEqual(task.result(), "at once")

    async def test_an_eager_task_that_waits(self):
        """An eager task that has to wait goes on as any other."""
        steps = []

        async def two_steps():
            steps.append(1)
            await asyncio.sleep(1)
            steps.append(2)

        task = asyncio.create_task(two_steps())
        self.assertEqual(steps, [1])
        await task
        self.assertEqual(steps, [1, 2])

    async def test_an_eager_failure(self):
        """An exception of the first eager step is kept in the task, and read."""

        async def broken():
            raise ImportError("no module")

        task = asyncio.create_task(broken())
        self.assertIsInstance(task.exception(), ImportError)

    async def test_an_eager_task_that_is_cancelled(self):
        """An eager task that waits is cancelled as any other."""
        waiting = asyncio.create_task(asyncio.sleep(9))
        waiting.cancel()
        await asyncio.wait([waiting])
        self.assertTrue(waiting.cancelled())

    async def test_a_group_of_eager_tasks(self):
        """A TaskGroup makes eager tasks too."""
        async with asyncio.TaskGroup() as group:
            lazy, quick = group.create_task(answer("a", 1)), group.create_task(answer("b"))
        self.assertEqual(lazy.result() + quick.result(), "ab")
