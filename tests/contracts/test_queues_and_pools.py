"""Queues between threads and pools of them: what comes out, in which order, and what runs out."""

import asyncio
import concurrent.futures
import contextlib
import queue
from typing import Any

from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.waits import together, what


class Queues(Contract):
    @scenario
    async def test_bad_limits(self, arm: Arm) -> Any:
        """A limit below zero is an error for get() and put()."""
        line: Any = queue.Queue(1)
        await asyncio.to_thread(lambda: arm.see(what(line.get, timeout=-1), what(line.put, 1, timeout=-1)))
        return [("ValueError", "ValueError")]

    @scenario
    async def test_several_consumers(self, arm: Arm) -> Any:
        """Consumers get items in the order in which they have come."""
        line: Any = queue.Queue()

        def take(number: int) -> None:
            arm.nap(number)
            arm.see(number, line.get())

        def give() -> None:
            arm.nap(5)
            for item in "abc":
                line.put(item)
                arm.nap(1)

        await asyncio.to_thread(lambda: together(*[lambda n=n: take(n) for n in (1, 2, 3)], give))
        return [(1, "a"), (2, "b"), (3, "c")]

    @scenario
    async def test_a_full_queue(self, arm: Arm) -> Any:
        """put() with a limit ends when room is made in time."""
        line: Any = queue.Queue(1)

        def body() -> None:
            line.put(1)
            arm.see(what(line.put, 2, timeout=arm.step))
            arm.later(1, line.get)
            arm.see(what(line.put, 2, timeout=100 * arm.step), line.get())

        await asyncio.to_thread(body)
        return ["Full", (None, 2)]

    @scenario
    async def test_orders(self, arm: Arm) -> Any:
        """What is last, and what is least, comes first from those queues."""

        def body() -> None:
            for line in (queue.LifoQueue(), queue.PriorityQueue()):
                for number in (2, 3, 1):
                    line.put(number)
                arm.later(1, line.put, 0)
                arm.see([line.get() for _ in range(4)])

        await asyncio.to_thread(body)
        return [[1, 3, 2, 0], [1, 2, 3, 0]]

    @scenario
    async def test_join_of_an_empty_queue(self, arm: Arm) -> Any:
        """join() of a queue without work ends at once; one task_done() too many is an error."""
        line: Any = queue.Queue()
        await asyncio.to_thread(lambda: arm.see(line.join(), what(line.task_done)))
        return [(None, "ValueError")]

    @scenario
    async def test_workers_until_a_sentinel(self, arm: Arm) -> Any:
        """Two workers share the items, and each ends by a None."""
        line: Any = queue.Queue()

        def work() -> None:
            while (item := line.get()) is not None:
                arm.nap(item)
                arm.see(item)

        def body() -> None:
            for item in (3, 1, 4, None, None):
                line.put(item)
            together(work, work)

        await asyncio.to_thread(body)
        return [1, 3, 4]

    @scenario
    async def test_a_simple_queue_of_many(self, arm: Arm) -> Any:
        """Each of three waiting threads gets one item."""
        line: Any = queue.SimpleQueue()

        def take() -> None:
            arm.see(line.get(timeout=100 * arm.step))

        def body() -> None:
            arm.later(1, lambda: [line.put(item) for item in "abc"])
            together(take, take, take)
            arm.facts.sort()

        await asyncio.to_thread(body)
        return ["a", "b", "c"]


class Pools(Contract):
    @scenario
    async def test_errors_and_results(self, arm: Arm) -> Any:
        """result() raises what the job raised, exception() gives it, and a callback gets the future."""

        def body() -> None:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                job = pool.submit(arm.fail, 1)
                job.add_done_callback(lambda done: arm.see("called", done.done()))
                arm.see(what(job.result), type(job.exception()).__name__)
                arm.see(pool.submit(arm.nap, 1).result(100 * arm.step))

        await asyncio.to_thread(body)
        arm.facts.sort(key=str)
        return [("LookupError", "LookupError"), ("called", True), 1]

    @scenario
    async def test_cancel_in_line(self, arm: Arm) -> Any:
        """A job that has not begun can be cancelled, one that runs cannot."""

        def body() -> None:
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                runs, waits = pool.submit(arm.nap, 3), pool.submit(arm.nap, 1)
                arm.nap(1)
                arm.see(runs.cancel(), waits.cancel(), runs.running(), waits.cancelled(), what(runs.result))
                with contextlib.suppress(concurrent.futures.CancelledError):
                    arm.see(waits.result())

        await asyncio.to_thread(body)
        return [(False, True, True, True, 3)]

    @scenario
    async def test_wait_for_the_first_error(self, arm: Arm) -> Any:
        """FIRST_EXCEPTION ends with an error; ALL_COMPLETED with a limit says who is late."""

        def body() -> None:
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                jobs = [pool.submit(arm.nap, 1), pool.submit(arm.fail, 3), pool.submit(arm.nap, 6)]
                done, late = concurrent.futures.wait(jobs, return_when="FIRST_EXCEPTION")
                arm.see(len(done), len(late))
                done, late = concurrent.futures.wait(jobs, arm.step)
                arm.see(len(done), len(late))
                done, late = concurrent.futures.wait(jobs)
                arm.see(len(done), len(late))

        await asyncio.to_thread(body)
        return [(2, 1), (2, 1), (3, 0)]

    @scenario
    async def test_shutdown(self, arm: Arm) -> Any:
        """shutdown() waits for what runs, cancels what stands in line where it is told, and takes no more."""

        def body() -> None:
            pool = concurrent.futures.ThreadPoolExecutor(1)
            jobs = [pool.submit(arm.nap, 2) for _ in range(3)]
            arm.nap(1)
            pool.shutdown(cancel_futures=True)
            arm.see([job.cancelled() for job in jobs], what(pool.submit, arm.nap, 1))

        await asyncio.to_thread(body)
        return [([False, True, True], "RuntimeError")]

    @scenario
    async def test_shutdown_without_waiting(self, arm: Arm) -> Any:
        """shutdown(wait=False) is back at once, and the jobs go on."""

        def body() -> None:
            pool = concurrent.futures.ThreadPoolExecutor(1)
            jobs = [pool.submit(arm.nap, 2), pool.submit(arm.nap, 1)]
            pool.shutdown(wait=False)
            arm.see([job.done() for job in jobs])
            arm.see([job.result() for job in jobs])

        await asyncio.to_thread(body)
        return [[False, False], [2, 1]]

    @scenario
    async def test_map_keeps_the_order(self, arm: Arm) -> Any:
        """map() gives results in the order of its arguments, whoever is first; an error comes at its place."""

        def body() -> None:
            with concurrent.futures.ThreadPoolExecutor(3) as pool:
                arm.see(list(pool.map(arm.nap, (3, 1, 2))))
                results = pool.map(lambda n: arm.fail(n) if n == 2 else arm.nap(n), (1, 2, 3))
                arm.see(next(results), what(next, results))

        await asyncio.to_thread(body)
        return [[3, 1, 2], (1, "LookupError")]

    @scenario
    async def test_an_initializer(self, arm: Arm) -> Any:
        """Each worker is initialized before its first job."""

        def body() -> None:
            with concurrent.futures.ThreadPoolExecutor(1, initializer=arm.see, initargs=("ready",)) as pool:
                arm.see(pool.submit(arm.nap, 1).result(), pool.submit(arm.nap, 1).result())

        await asyncio.to_thread(body)
        return ["ready", (1, 1)]

    @scenario
    async def test_a_future_by_hand(self, arm: Arm) -> Any:
        """A future that another thread ends: its result, an error, and a limit."""

        def body() -> None:
            for call, value in (("set_result", 5), ("set_exception", LookupError())):
                future: Any = concurrent.futures.Future()
                arm.see(what(future.result, arm.step), future.done())
                arm.later(1, getattr(future, call), value)
                arm.see(what(future.result, 100 * arm.step), future.done())

        await asyncio.to_thread(body)
        return [("TimeoutError", False), (5, True), ("TimeoutError", False), ("LookupError", True)]
