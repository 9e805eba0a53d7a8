"""The examples of aiomisc's page on its plug-in: the loop, services, context, pools, marks, scopes, the proxy."""

import asyncio
import concurrent.futures
import contextlib
import threading
import unittest

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, over_executors, over_loops
from tests.case.fixtures.test_scopes import run as run_suite
from tests.case.test_case import run, told


class LoopTest(SolipsistTestCase):
    async def test_the_loop(self):
        """A test that is a coroutine runs on its loop."""
        future = self.loop.create_future()
        self.loop.call_soon(future.set_result, True)
        self.assertTrue(await future)


class FixtureTest(SolipsistTestCase):
    @contextlib.asynccontextmanager
    async def fixture(self):
        await asyncio.sleep(0)
        yield "value"
        self.ended = True

    async def asyncSetUp(self):
        self.value = await self.enterAsyncContext(self.fixture())

    def test_an_async_fixture(self):
        """A fixture with a `yield` is entered before the test, and ends after it."""
        self.assertEqual(self.value, "value")
        self.assertFalse(hasattr(self, "ended"))


class Service:
    """A service whose start() goes on as long as it lives."""

    def __init__(self):
        self.start_event = asyncio.Event()

    async def start(self):
        self.start_event.set()
        await asyncio.sleep(3600)

    async def stop(self):
        self.has_stopped = True


class ServicesTest(SolipsistTestCase):
    def services(self):
        self.service = Service()
        return [self.service]

    async def test_it_is_up(self):
        """A service is up when the test begins."""
        self.assertTrue(self.service.start_event.is_set())
        self.assertFalse(hasattr(self.service, "has_stopped"))


class ContextTest(SolipsistTestCase):
    def default_context(self):
        return {"foo": "bar", "bar": "foo"}

    async def test_it_is_filled(self):
        """The context holds what the test case says."""
        self.assertEqual((await self.context["foo"], await self.context["bar"]), ("bar", "foo"))

    async def test_it_waits(self):
        """Who asks for a value that is not there yet waits for it, and it may be set again."""
        self.loop.call_later(1, self.context.__setitem__, "later", 1)
        self.assertEqual(await asyncio.wait_for(self.context["later"], 2), 1)
        self.context["later"] = 2
        self.assertEqual(await self.context["later"], 2)


class ExecutorTest(SolipsistTestCase):
    def executor_factory(self):
        return concurrent.futures.ThreadPoolExecutor(2, thread_name_prefix="of-the-test")

    async def test_the_pool(self):
        """Jobs run in the pool that the test case gives."""
        name = await self.loop.run_in_executor(None, lambda: threading.current_thread().name)
        self.assertRegex(name, "^of-the-test")


@over_executors(one=lambda: concurrent.futures.ThreadPoolExecutor(1),
                four=lambda: concurrent.futures.ThreadPoolExecutor(4))
@over_loops(virtual=SolipsistEventLoop, stock=asyncio.SelectorEventLoop, uvloop="uvloop.new_event_loop")
class VariantsTest(SolipsistTestCase):
    async def test_sleep_and_jobs(self):
        """The same test on each loop that is there, with each pool."""
        await asyncio.sleep(0.01)
        self.assertEqual(await asyncio.gather(*(self.loop.run_in_executor(None, pow, 2, n) for n in range(4))),
                         [1, 2, 4, 8])


class PortsTest(SolipsistTestCase):
    async def test_ports(self):
        """Each call gives another port, at which a server may listen; a bound socket has one too."""
        ports = [self.unused_port() for _ in range(3)]
        self.assertEqual(len(set(ports)), 3)
        for port in ports:
            async with await asyncio.start_server(print, self.localhost, port):
                pass


class MarksTest(unittest.TestCase):
    def test_loop_exceptions(self):
        """An error of a task that nobody awaits fails its test."""

        class Case(SolipsistTestCase):
            async def test(self):
                async def fail():
                    await asyncio.sleep(0)
                    raise LookupError("nobody looks")

                self.loop.create_task(fail())
                await asyncio.sleep(0.1)

        self.assertIn("LookupError: nobody looks", told(run(Case)))

    def test_get_event_loop(self):
        """asyncio.get_event_loop() fails where it is forbidden, and the test may expect that."""

        class Case(SolipsistTestCase):
            forbid_get_event_loop = True

            async def test(self):
                with self.assertRaises(AssertionError):
                    asyncio.get_event_loop()

        self.assertEqual(told(run(Case)), "")

    def test_a_limit(self):
        """A test that takes longer than its limit ends."""

        class Case(SolipsistTestCase):
            virtual_time_limit = 10

            async def test(self):
                await asyncio.sleep(3600)

        self.assertIn("beyond its virtual time limit of 10 s", told(run(Case)))


class ScopesTest(unittest.TestCase):
    def test_a_resource_for_a_module(self):
        """A resource that is dear is made once, on the loop that all tests share, and closed at the end."""
        done = []

        class Case(SolipsistTestCase):
            loop_scope = "module"

            @classmethod
            async def asyncSetUpClass(cls):
                await asyncio.sleep(5)
                cls.resource = done.append("made") or asyncio.get_running_loop()

            @classmethod
            async def asyncTearDownClass(cls):
                done.append("closed")

            async def test_first(self):
                self.assertIs(asyncio.get_running_loop(), self.resource)

            test_second = test_first

        self.assertEqual(told(run_suite(Case)), "")
        self.assertEqual(done, ["made", "closed"])

    def test_a_generator_for_a_class(self):
        """A generator that the fixtures of a class have begun goes on between its tests, and is ended by them."""
        values = []

        async def numbers():
            for number in range(1, 100):
                yield number

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.numbers = numbers()
                values.append(await anext(cls.numbers))

            @classmethod
            async def asyncTearDownClass(cls):
                values.append(await anext(cls.numbers))
                await cls.numbers.aclose()

            async def test_first(self):
                values.append(await anext(self.numbers))

            test_second = test_first

        self.assertEqual(told(run_suite(Case)), "")
        self.assertEqual(values, [1, 2, 3, 4])

    def test_fixtures_of_both_scopes(self):
        """On a shared loop a test has fixtures of its own too, from a pool of the class."""
        held = []

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                cls.pool = asyncio.Queue()
                cls.pool.put_nowait("connection")

            async def asyncSetUp(self):
                self.connection = await self.pool.get()
                self.addCleanup(self.pool.put_nowait, self.connection)

            async def test_first(self):
                held.append(self.connection)

            test_second = test_first

        self.assertEqual(told(run_suite(Case)), "")
        self.assertEqual(held, ["connection"] * 2)


class ProxyTest(SolipsistTestCase):
    """An echo server as a service, and a proxy in front of it."""

    def services(self):
        return [self.serve]

    async def serve(self):
        async def echo(reader, writer):
            while chunk := await reader.read(65536):
                writer.write(chunk)
            writer.close()

        self.port = self.unused_port()
        async with await asyncio.start_server(echo, self.localhost, self.port) as server:
            await server.serve_forever()

    async def asyncSetUp(self):
        self.proxy = await self.start_proxy(self.localhost, self.port)

    async def client(self):
        reader, writer = await self.proxy.create_client()
        self.addCleanup(writer.close)
        return reader, writer

    async def test_echo(self):
        """What goes through the proxy comes back."""
        reader, writer = await self.client()
        writer.write(b"Hello world")
        self.assertEqual(await asyncio.wait_for(reader.read(1024), 1), b"Hello world")

    async def test_disconnect(self):
        """disconnect_all() ends the connections: the client reads the end."""
        reader, writer = await self.client()
        writer.write(b"Hello world")
        await asyncio.wait_for(reader.read(1024), 1)
        await self.proxy.disconnect_all()
        self.assertEqual(await asyncio.wait_for(reader.read(), 1), b"")

    async def test_slowdown(self):
        """slowdown() delays both directions, for the time of the block."""
        with self.proxy.slowdown(read_delay=0.1, write_delay=0.2), self.assertElapses(0.3):
            reader, writer = await self.client()
            writer.write(b"Hello world")
            self.assertEqual(await asyncio.wait_for(reader.read(1024), 2), b"Hello world")

    async def test_content_processors(self):
        """Functions rewrite what passes, one for each direction."""
        self.proxy.set_content_processors(lambda _: b"replaced", lambda chunk: chunk[::-1])
        reader, writer = await self.client()
        writer.write(b"original")
        self.assertEqual(await reader.read(16), b"replaced"[::-1])


if __name__ == "__main__":
    unittest.main()
