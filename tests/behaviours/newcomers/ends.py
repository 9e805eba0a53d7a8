"""What a test forgets, and what never ends."""

import asyncio
import concurrent.futures
import threading

from solipsism_unittest import SolipsistTestCase


async def echo(reader, writer):
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def poll():
    while True:
        await asyncio.sleep(60)


async def fail():
    raise LookupError("no such key")


class EndsTest(SolipsistTestCase):
    async def test_a_forgotten_close(self):
        await self.start_fake_server(echo, "api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"hello\n")
        self.assertEqual(await reader.readline(), b"hello\n")
        self.kept = writer

    async def test_a_forgotten_close_of_a_local(self):
        await self.start_fake_server(echo, "api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"hello\n")
        self.assertEqual(await reader.readline(), b"hello\n")

    async def test_a_forgotten_task(self):
        self.task = asyncio.create_task(poll())
        await asyncio.sleep(1)

    async def test_a_forgotten_timer(self):
        asyncio.get_running_loop().call_later(30, print, "late")

    async def test_a_forgotten_server(self):
        await asyncio.start_server(echo, "api.test", 80)

    async def test_a_forgotten_await(self):
        asyncio.sleep(1)

    async def test_an_event_that_nobody_sets(self):
        await asyncio.Event().wait()

    async def test_two_locks_in_two_orders(self):
        one, two = asyncio.Lock(), asyncio.Lock()

        async def take(first, second):
            async with first:
                await asyncio.sleep(1)
                async with second:
                    pass
        await asyncio.gather(take(one, two), take(two, one))

    async def test_a_task_that_died(self):
        asyncio.create_task(fail())
        await asyncio.sleep(1)

    async def test_a_thread_that_goes_on(self):
        threading.Thread(target=threading.Event().wait, daemon=True).start()

    async def test_an_executor(self):
        self.pool = concurrent.futures.ThreadPoolExecutor()
        await asyncio.get_running_loop().run_in_executor(self.pool, print, "x")
