"""Loops beside threads: jobs, calls from afar, and second loops."""

import asyncio
from typing import Any

from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.waits import raises, what


class LoopsAndThreads(Contract):
    @scenario
    async def test_gather_of_jobs(self, arm: Arm) -> Any:
        """Jobs of to_thread() end by their times, and gather() gives them in order."""

        def work(number: int) -> int:
            arm.nap(number)
            arm.see(number)
            return number

        arm.see(await asyncio.gather(*[asyncio.to_thread(work, number) for number in (3, 1, 2)]))
        return [1, 2, 3, [3, 1, 2]]

    @scenario
    async def test_an_error_of_a_job(self, arm: Arm) -> Any:
        """What a job raises comes out of the await, among timers of the loop."""
        asyncio.get_running_loop().call_later(arm.step, arm.see, "timer")
        with raises(arm):
            await asyncio.to_thread(arm.fail, 2)
        return ["timer", "LookupError"]

    @scenario
    async def test_a_coroutine_that_is_cancelled_from_afar(self, arm: Arm) -> Any:
        """cancel() of a future of run_coroutine_threadsafe() cancels the task."""
        loop = asyncio.get_running_loop()

        async def sleep() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                arm.see("ended")

        def body() -> None:
            job = asyncio.run_coroutine_threadsafe(sleep(), loop)
            arm.see(what(job.result, arm.step), job.cancel(), job.cancelled())
            arm.nap(1)

        await asyncio.to_thread(body)
        return [("TimeoutError", True, True), "ended"]

    @scenario
    async def test_an_error_from_afar(self, arm: Arm) -> Any:
        """What the coroutine raises comes out of result()."""
        loop = asyncio.get_running_loop()

        async def raises() -> None:
            await asyncio.sleep(arm.step)
            raise LookupError

        await asyncio.to_thread(lambda: arm.see(what(asyncio.run_coroutine_threadsafe(raises(), loop).result)))
        return ["LookupError"]

    @scenario
    async def test_a_loop_in_a_job(self, arm: Arm) -> Any:
        """asyncio.run() in a job has its own timers, beside those of the loop that waits for it."""

        async def main() -> int:
            await asyncio.sleep(2 * arm.step)
            arm.see("inner")
            return 7

        loop = asyncio.get_running_loop()
        loop.call_later(arm.step, arm.see, "first")
        loop.call_later(4 * arm.step, arm.see, "last")
        arm.see(await asyncio.to_thread(asyncio.run, main()))
        await asyncio.sleep(4 * arm.step)
        return ["first", "inner", 7, "last"]

    @scenario
    async def test_two_loops_call_each_other(self, arm: Arm) -> Any:
        """A coroutine of one loop awaits one of another by wrap_future()."""
        ours = asyncio.get_running_loop()

        async def ask(number: int) -> int:
            await asyncio.sleep(arm.step)
            return number + 1

        async def main() -> int:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(ask(1), ours)) + await ask(10)

        arm.see(await asyncio.to_thread(asyncio.run, main()))
        return [13]

    @scenario
    async def test_a_client_on_another_loop(self, arm: Arm) -> Any:
        """A server of one loop answers a client of another."""

        async def serve(reader: Any, writer: Any) -> None:
            await asyncio.sleep(arm.step)
            writer.write((await reader.readline()).upper())
            writer.close()

        async def visit(port: int) -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"hello\n")
            try:
                return bytes(await reader.read())
            finally:
                writer.close()
                await writer.wait_closed()

        server = arm.keep(await asyncio.start_server(serve, "127.0.0.1", 0))
        arm.see(await asyncio.to_thread(lambda: asyncio.run(visit(server.sockets[0].getsockname()[1]))))
        return [b"HELLO\n"]
