"""What a test says it leaves on purpose is no leak."""

import asyncio
import concurrent.futures
import os
import socket
import threading
import time
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


async def numbers():
    """An async generator that is left in the middle."""
    yield 1


class ExpectLeakTest(unittest.TestCase):
    def test_each_kind(self):
        """What a test says it leaves is not reported, and nothing else is spared; it is given back."""

        async def everything(self):
            self.keep = self.expect_leak if expects else lambda thing: thing
            self.things = [
                self.keep(asyncio.create_task(asyncio.sleep(100))),
                self.keep(self.loop.call_later(100, str)),
                self.keep(self.loop.call_at(200, str)),
                self.keep(socket.socket()),
                self.keep(await asyncio.start_server(print, ["127.0.0.1", "::1"], 80)),
                self.keep((await asyncio.open_connection(*server.address))[1]),
                self.keep((await asyncio.open_connection(*server.address))[1].transport),
                self.keep(numbers()),
                self.keep(threading.Thread(target=over.wait)),
                self.keep(concurrent.futures.ThreadPoolExecutor(1)),
            ] if (server := await self.start_fake_server()) else []
            self.things[8].start()
            self.things[9].submit(over.wait)
            pools.append(self.things[9])
            await anext(self.things[7])
            pipe = os.pipe()
            files = open(pipe[1], "wb"), open(pipe[0], "rb")  # noqa: SIM115 - the transports close them
            write, _ = await self.loop.connect_write_pipe(asyncio.Protocol, files[0])
            self.keep(write)
            read, _ = await self.loop.connect_read_pipe(asyncio.Protocol, files[1])
            self.keep(read)
            one, two = socket.socketpair()
            self.keep(one)
            self.keep(two)
            self.loop.add_reader(one, str)

        cls, pools = type("Case", (SolipsistTestCase,), {"test": everything}), []
        for expects in (True, False):
            over = threading.Event()
            text = told(run(cls))
            over.set()
            pools.pop().shutdown()
            self.assertEqual("the test left 15 things behind" in text, not expects, text)
            self.assertEqual(text == "", expects)

    def test_what_it_does_not_know(self):
        """Anything else is refused by name."""

        async def test(self):
            self.expect_leak(5)

        self.assertIn("TypeError: expect_leak() takes a task, timer, event loop, socket, transport, "
                      "StreamWriter, server, async generator, process, thread or thread pool, not 5",
                      told(run(type("Case", (SolipsistTestCase,), {"test": test}))))

    def test_what_is_ended_before(self):
        """A thing that the test ends after all is no matter."""

        async def test(self):
            _, writer = await asyncio.open_connection(*(await self.start_fake_server()).address)
            self.expect_leak(writer)
            writer.close()
            await writer.wait_closed()
            end = self.expect_leak(socket.socket())
            end.close()

        self.assertEqual(told(run(type("Case", (SolipsistTestCase,), {"test": test}))), "")


class PoolOfAClassTest(unittest.TestCase):
    def test_pool_that_tests_share(self):
        """A pool that a class has made stays for its tests; its workers are no leak of the test that wakes them."""
        class Shared(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.pool = concurrent.futures.ThreadPoolExecutor(2)

            @classmethod
            async def asyncTearDownClass(cls):
                cls.pool.shutdown()

            async def test_1(self):
                await asyncio.gather(*(self.loop.run_in_executor(self.pool, time.sleep, 1) for _ in range(2)))

            def test_2(self):
                self.pool.submit(time.sleep, 1).result()

        result = run(Shared)
        self.assertEqual((result.testsRun, result.wasSuccessful()), (2, True), told(result))

    def test_job_that_a_test_leaves_there(self):
        """A job that never ends is a leak of the test that submits it; the pool goes on, as the class does."""
        class Shared(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.pool, cls.never = concurrent.futures.ThreadPoolExecutor(2), threading.Event()

            @classmethod
            async def asyncTearDownClass(cls):
                cls.never.set()
                cls.pool.shutdown()

            async def test_1(self):
                self.pool.submit(self.never.wait)

            async def test_2(self):
                await self.loop.run_in_executor(self.pool, time.sleep, 1)

        result = run(Shared)
        self.assertEqual([str(case) for case, _ in result.errors + result.failures], [str(Shared("test_1"))])
        self.assertRegex(told(result), r"1 thread alive\n    Thread ThreadPoolExecutor-\d+_0, stands at")


if __name__ == "__main__":
    unittest.main()
