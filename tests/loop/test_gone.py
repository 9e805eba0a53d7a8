"""A program whose host has crashed is gone: nothing that it does or leaves fails the test."""

import asyncio
import contextlib
import gc
import signal
import socket
import threading
import time
import unittest

from solipsism_unittest import Script, SolipsistEventLoop, SolipsistTestCase
from tests.case.test_case import run, told


class GoneCase(SolipsistTestCase):
    def setUp(self):
        self.host = self.network.host("db.test")

    async def break_later(self):
        try:
            await asyncio.sleep(100)
        finally:
            raise KeyError("lost")

    async def break_at_the_end(self, reader, writer):
        with contextlib.suppress(OSError):
            await reader.read()
        raise KeyError("lost")

    async def linger(self, reader, writer):
        await asyncio.sleep(1e6)

    async def connected(self):
        _, writer = await asyncio.open_connection("db.test", 5432)
        self.addCleanup(writer.close)
        await asyncio.sleep(0.1)
        return writer


class GoneTest(GoneCase):
    async def asyncTearDown(self):
        self.host.crash()
        await asyncio.sleep(1000)

    async def test_tasks(self):
        """Tasks that fail, kept or collected, and those that go on."""
        with self.host:
            self.kept = asyncio.create_task(self.break_later())
            asyncio.create_task(self.break_later())
            asyncio.create_task(self.linger(None, None))
        await asyncio.sleep(1)

    async def test_tasks_of_its_tasks(self):
        """What a program that is gone starts is gone, too."""
        async def start():
            await asyncio.sleep(10)
            self.child = asyncio.create_task(self.break_later())

        with self.host:
            asyncio.create_task(start())

    async def test_tasks_that_are_collected(self):
        """A pending task that nobody holds any more."""
        async def wait():
            await asyncio.get_running_loop().create_future()

        with self.host:
            task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        self.host.crash()
        del task
        gc.collect()

    async def test_callbacks(self):
        """Timers that fail, timers that are left, readers that are left."""
        ours, _ = self.socketpair()
        with self.host:
            self.loop.call_later(5, {}.pop, "lost")
            self.loop.call_later(1e6, print)
            self.loop.add_reader(ours, print)

    async def test_servers(self):
        """Servers that were started there, or bind its address; what their handlers make of a crash, at any time."""
        for place in (self.host, contextlib.nullcontext()):
            for handle in (self.break_at_the_end, self.linger):
                with self.subTest(place=place, handle=handle):
                    with place:
                        self.server = await asyncio.start_server(handle, "db.test", 5432)
                    await self.connected()
                    self.host.crash()
                    await asyncio.sleep(10)
                    self.host.restart()
                    await asyncio.sleep(10)
                    self.server.close()

    async def test_power_cycle(self):
        """A host that comes back at the instant of its crash."""
        server = await asyncio.start_server(self.break_at_the_end, "db.test", 5432)
        await self.connected()
        with self.host:
            self.kept = asyncio.create_task(self.break_later())
        await asyncio.sleep(1)
        self.host.crash()
        self.host.restart()
        await asyncio.sleep(1000)
        server.close()

    async def test_protocols(self):
        """What callbacks of a protocol raise, and a server and its connections that are left."""
        class Lost(asyncio.Protocol):
            def connection_lost(self, error):
                raise KeyError("lost")

        await self.loop.create_server(Lost, "db.test", 5432)
        await self.connected()

    async def test_sockets(self):
        """Sockets that are left, and those that were collected."""
        self.listener = socket.create_server(("db.test", 80))
        self.datagrams = socket.socket(type=socket.SOCK_DGRAM)
        self.datagrams.bind(("db.test", 53))
        await self.start_fake_server(port=80)
        with self.host:
            _, lost = await asyncio.open_connection("localhost", 80)
        self.host.crash()
        del lost
        gc.collect()

    async def test_threads_and_jobs(self):
        """What they raise, and those that run on."""
        def fail():
            time.sleep(5)
            raise KeyError("lost")

        with self.host:
            self.job = self.loop.run_in_executor(None, fail)
            self.loop.run_in_executor(None, time.sleep, 1e6)
            threading.Thread(target=time.sleep, args=(1e6,)).start()

    async def test_programs(self):
        """A program that a host runs."""
        async def main(process):
            await asyncio.sleep(1e6)

        self.add_program("serve", main)
        with self.host:
            self.process = await asyncio.create_subprocess_exec("serve")

    async def test_fake_servers(self):
        """Handlers of fake servers, of streams and of datagrams."""
        async def answer(data, address):
            await asyncio.sleep(5)
            raise KeyError("lost")

        await self.start_fake_server(self.break_at_the_end, "db.test", 5432)
        await self.start_fake_datagram_server(answer, "db.test", 53)
        await self.connected()
        transport, _ = await self.loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("db.test", 53))
        transport.sendto(b"x")
        await asyncio.sleep(1)
        transport.close()

    async def test_scripts(self):
        """Scripts that are not played to their end, and those that meet what does not fit."""
        await self.start_fake_server(host="db.test", port=5432, script=Script().expect(b"x").send(b"y"))
        await self.start_fake_datagram_server(host="db.test", port=53, script=Script().expect(b"x").expect(b"y"))
        await self.connected()
        transport, _ = await self.loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("db.test", 53))
        transport.sendto(b"x")
        await asyncio.sleep(1)
        transport.close()


class ToldToEndTest(SolipsistTestCase):
    def test_by_its_own_loop(self):
        """A whole program that a signal ends, which a timer of its loop sends, has ended by that signal."""
        async def stopped():
            asyncio.get_running_loop().call_later(100, self.send_signal, signal.SIGTERM)
            await asyncio.sleep(3600)

        self.assertEqual((self.run_program(stopped).returncode, self.now), (-signal.SIGTERM, 100))


class LivingTest(unittest.TestCase):
    def test_what_counts(self):
        """Errors from before the crash, of programs from after the return, of other hosts; what the host left then."""
        async def fail():
            raise KeyError("found")

        async def before(case):
            with case.host:
                case.task = asyncio.create_task(fail())
            await asyncio.sleep(1)
            case.host.crash()
            case.network.host("api.test").crash()
            case.host.restart()

        async def after(case):
            case.host.crash()
            case.host.restart()
            with case.host:
                case.task = asyncio.create_task(fail())
            await asyncio.sleep(1)

        async def served_after(case):
            server = await asyncio.start_server(case.break_at_the_end, "db.test", 5432)
            case.addCleanup(server.close)
            case.host.crash()
            case.host.restart()
            (await case.connected()).close()
            await asyncio.sleep(1)

        async def elsewhere(case):
            with case.network.host("api.test"):
                case.loop.call_soon({}.pop, "found")
                case.loop.run_in_executor(None, {}.pop, "found")
            case.host.crash()
            await asyncio.sleep(1)

        async def of_the_test(case):
            with case.host:
                case.host.crash()
                await fail()

        async def left(case):
            case.host.crash()
            case.host.restart()
            with case.host:
                case.found = asyncio.create_task(case.linger(None, None))
            await asyncio.sleep(1)

        for act, word in ((before, "'found'"), (after, "'found'"), (served_after, "'lost'"), (elsewhere, "'found'"),
                          (of_the_test, "found"), (left, "1 pending task")):
            class Case(GoneCase):
                async def test(self, act=act):
                    await act(self)

            with self.subTest(act):
                self.assertIn(word, told(run(Case)))

    def test_without_a_world(self):
        """A loop that runs outside of any test has nobody to note who is gone, and crashes hosts all the same."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        host = loop.kernel.network.host("db.test")
        host.crash()
        self.assertEqual(loop.inventory.gone, ())
        self.assertTrue(loop.kernel.network.names.is_down(host.addresses[0]))
