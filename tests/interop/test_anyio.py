"""anyio on the virtual loop, and through it what is written for anyio: streams, listeners, datagrams, scopes.

anyio has worker threads of its own, outside of any executor; they take turns in virtual time as all threads do.
"""

import asyncio
import contextlib
import errno
import os
import socket
import stat
import tempfile
import threading
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told
from tests.interop import library, needs

if library("anyio"):
    import anyio
    from anyio.abc import SocketAttribute

BIG = bytes(range(256)) * 40_960  # 10 MB


async def echo(stream):
    async with stream:
        async for data in stream:
            await stream.send(data)


@needs("anyio")
class AnyioTest(SolipsistTestCase):
    async def answer(self, stream, message=b"hello"):
        async with stream:
            await stream.send(message)
            return await stream.receive()

    async def test_tcp(self):
        """What is sent comes back, and a stream tells its socket and its addresses."""
        listeners = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=8000)
        async with listeners, anyio.create_task_group() as group:
            group.start_soon(listeners.serve, echo)
            stream = await anyio.connect_tcp("localhost", 8000)
            self.assertEqual(stream.extra(SocketAttribute.remote_address), ("127.0.0.1", 8000))
            self.assertEqual(stream.extra(SocketAttribute.raw_socket).getpeername(), ("127.0.0.1", 8000))
            self.assertEqual(await self.answer(stream), b"hello")
            group.cancel_scope.cancel()

    async def test_every_address(self):
        """A listener on all addresses is one socket of both families."""
        listeners = await anyio.create_tcp_listener(local_port=8000)
        self.assertEqual([each.extra(SocketAttribute.local_address) for each in listeners.listeners],
                         [("::", 8000)])
        async with listeners, anyio.create_task_group() as group:
            group.start_soon(listeners.serve, echo)
            for host in ("127.0.0.1", "::1", "localhost"):
                self.assertEqual(await self.answer(await anyio.connect_tcp(host, 8000)), b"hello")
            group.cancel_scope.cancel()

    async def test_a_free_port_on_both_families(self):
        """A listener on a name with two addresses has the same free port on both."""
        listeners = await anyio.create_tcp_listener(local_host="localhost")
        async with listeners:
            ports = [each.extra(SocketAttribute.local_port) for each in listeners.listeners]
        self.assertEqual(len(set(ports)), 1)

    async def test_ten_megabytes(self):
        """10 MB come back byte for byte, and take no virtual time."""
        received = bytearray()

        async def collect(stream):
            while len(received) < len(BIG):
                received.extend(await stream.receive())

        listeners = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=8000)
        async with listeners, anyio.create_task_group() as group:
            group.start_soon(listeners.serve, echo)
            with self.assertElapses(0):
                async with await anyio.connect_tcp("127.0.0.1", 8000) as stream, anyio.create_task_group() as both:
                    both.start_soon(collect, stream)
                    await stream.send(BIG)
            group.cancel_scope.cancel()
        self.assertEqual(received, BIG)

    async def test_happy_eyeballs(self):
        """connect_tcp() tries the next address after a quarter of a second, and closes the one that lost."""
        self.network.add_host("api.test", "2001:db8::1", "192.0.2.1")
        self.network.drop("2001:db8::1")
        await self.start_fake_server(echo_streams, "192.0.2.1", 80)
        with self.assertElapses(0.25):
            stream = await anyio.connect_tcp("api.test", 80)
        self.assertEqual(await self.answer(stream), b"hello")

    async def test_time(self):
        """Scopes, deadlines and sleeps are in virtual time."""
        with self.assertElapses(300), self.assertRaises(TimeoutError), anyio.fail_after(300):
            await anyio.sleep_forever()
        self.assertEqual(anyio.current_time(), self.now)
        with self.assertElapses(5), anyio.move_on_after(5) as scope:
            await anyio.Event().wait()
        self.assertTrue(scope.cancelled_caught)

    async def test_until_all_wait(self):
        """wait_all_tasks_blocked() comes back once everybody waits, and wait_readable() when there is something."""
        one, other = self.socketpair()
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.wait_readable, one)
            await anyio.wait_all_tasks_blocked()
            other.send(b"wake up")

    async def test_datagrams(self):
        """UDP sockets, connected and not, send each other datagrams."""
        server = await anyio.create_udp_socket(local_host="127.0.0.1", local_port=5353)
        client = await anyio.create_connected_udp_socket("127.0.0.1", 5353)
        async with server, client:
            await client.send(b"question")
            data, address = await server.receive()
            await server.sendto(b"answer to " + data, *address)
            self.assertEqual(await client.receive(), b"answer to question")

    async def test_a_socket_file(self):
        """A listener on a path has the mode that it is given; anyio binds it in a thread of its own."""
        # anyio resolves a future twice when a stream on a path ends, on every loop, and asyncio would log it.
        self.loop.set_exception_handler(lambda loop, context: None)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            listener = await anyio.create_unix_listener(path, mode=0o600)
            self.assertEqual(stat.filemode(os.stat(path).st_mode), "srw-------")
            async with listener, anyio.create_task_group() as group:
                group.start_soon(listener.serve, echo)
                self.assertEqual(await self.answer(await anyio.connect_unix(path)), b"hello")
                group.cancel_scope.cancel()
            os.unlink(path)

    async def test_threads(self):
        """A function runs in a thread, sees the virtual time, and calls back into the loop."""
        def work():
            return threading.current_thread() is threading.main_thread(), anyio.from_thread.run_sync(anyio.current_time)

        await anyio.sleep(7)
        self.assertEqual(await anyio.to_thread.run_sync(work), (False, 7.0))

    async def test_nobody_listens(self):
        """A refused connection is an OSError that is caused by the refusal."""
        with self.assertRaises(OSError) as caught:
            await anyio.connect_tcp("127.0.0.1", 8000)
        self.assertIsInstance(caught.exception.__cause__, ConnectionRefusedError)


async def echo_streams(reader, writer):
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


@needs("anyio")
class LeftBehindTest(unittest.TestCase):
    def test_a_stream_that_is_not_closed(self):
        """A listener and a stream that are never closed are told, each with a line of the test."""

        class Case(SolipsistTestCase):
            async def test(self):
                self.listeners = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=8000)
                self.stream = await anyio.connect_tcp("127.0.0.1", 8000)

        text = told(run(Case))
        self.assertRegex(text, r"<SelectorSocketTransport [^\n]* established>\n +made at \S+anyio\S+ in \S+, "
                               r"called from tests.interop.test_anyio.py:\d+ in ")
        self.assertRegex(text, r"127.0.0.1:8000 listen[^\n]*\n +made at \S+anyio\S+ in \S+, "
                               r"called from tests.interop.test_anyio.py:\d+ in ")


class AnyioTwinTest(SolipsistTestCase):
    """What anyio asks of sockets: _core/_sockets.py and _backends/_asyncio.py."""

    def listener(self, family, address, v6only=True):
        sock = socket.socket(family)
        self.addCleanup(sock.close)
        sock.setblocking(False)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(65536)
        return sock

    async def exchange(self, listener, address):
        """Connect through a transport, accept by hand, and let the two talk."""
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(*address[:2])
        sock, peer = await loop.sock_accept(listener)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, sock)
        transport.write(b"hello")
        transport.write_eof()
        self.assertEqual(await reader.read(), b"hello")
        transport.close()
        writer.close()
        await writer.wait_closed()
        return peer

    async def test_a_listener(self):
        """Addresses are looked up for a listener, sorted and bound; a connection is accepted by hand."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo("127.0.0.1", 0, flags=socket.AI_PASSIVE | socket.AI_ADDRCONFIG)
        [(family, _, _, _, address)] = sorted({each for each in found if each[1] == socket.SOCK_STREAM})
        listener = self.listener(family, address)
        peer = await self.exchange(listener, listener.getsockname())
        self.assertEqual(peer[0], "127.0.0.1")

    async def test_both_families(self):
        """An IPv6 listener on all addresses that is not for IPv6 alone takes connections of both families."""
        self.assertTrue(socket.has_dualstack_ipv6())
        listener = self.listener(socket.AF_INET6, ("::", 0), v6only=False)
        port = listener.getsockname()[1]
        peers = [(await self.exchange(listener, (host, port)))[0] for host in ("127.0.0.1", "::1")]
        self.assertEqual(peers, ["::ffff:127.0.0.1", "::1"])

    async def test_one_port_on_both_families(self):
        """A port that is bound for IPv6 alone is free for IPv4."""
        for _ in range(15):  # on the real loopback another program may have it
            six = self.listener(socket.AF_INET6, ("::1", 0))
            with contextlib.suppress(OSError):
                four = self.listener(socket.AF_INET, ("127.0.0.1", six.getsockname()[1]))
                break
        self.assertEqual(four.getsockname()[1], six.getsockname()[1])
        with self.assertRaises(OSError) as caught:
            self.listener(socket.AF_INET, four.getsockname())
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    async def test_accepting_is_given_up(self):
        """sock_accept() that is cancelled stops watching; the socket can be closed."""
        loop = asyncio.get_running_loop()
        listener = self.listener(socket.AF_INET, ("127.0.0.1", 0))
        accepting = loop.create_task(loop.sock_accept(listener))
        await asyncio.sleep(0)
        accepting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await accepting
        self.assertFalse(loop.remove_reader(listener))

    async def test_a_socket_file(self):
        """A path is looked at, bound, given a mode, found taken, taken away and bound again; not all in this thread."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "socket")
            self.assertRaises(FileNotFoundError, os.stat, path)
            for _ in range(2):
                sock = socket.socket(socket.AF_UNIX)
                self.addCleanup(sock.close)
                sock.setblocking(False)
                await asyncio.to_thread(sock.bind, path)
                await asyncio.to_thread(os.chmod, path, 0o600)
                self.assertEqual(stat.filemode(os.stat(path).st_mode), "srw-------")
                self.assertEqual(sock.getsockname(), path)
                with socket.socket(socket.AF_UNIX) as other, self.assertRaises(OSError) as caught:
                    other.bind(path)
                self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
                os.unlink(path)

    async def test_datagrams(self):
        """Endpoints of UDP send each other datagrams, one of them connected."""
        loop, arrived = asyncio.get_running_loop(), asyncio.Queue()

        class Endpoint(asyncio.DatagramProtocol):
            def datagram_received(self, data, address):
                arrived.put_nowait((data, address))

        server, _ = await loop.create_datagram_endpoint(Endpoint, local_addr=("127.0.0.1", 0))
        client, _ = await loop.create_datagram_endpoint(Endpoint, remote_addr=server.get_extra_info("sockname"))
        client.sendto(b"question")
        data, address = await arrived.get()
        self.assertEqual((data, address), (b"question", client.get_extra_info("sockname")))
        server.sendto(b"answer", address)
        self.assertEqual(await arrived.get(), (b"answer", server.get_extra_info("sockname")))
        for transport in (client, server):
            transport.close()
        await asyncio.sleep(0)

    async def test_waiting_for_a_descriptor(self):
        """A loop watches a descriptor by its number, and tells whether it did when it is asked to stop."""
        loop = asyncio.get_running_loop()
        one, other = socket.socketpair()
        with one, other:
            readable = asyncio.Event()
            loop.add_reader(one.fileno(), readable.set)
            other.send(b"x")
            await readable.wait()
            self.assertEqual([loop.remove_reader(one.fileno()), loop.remove_reader(one.fileno())], [True, False])


class AnyioTwinOnLoopbackTest(AnyioTwinTest):
    """The same on the real loopback."""

    loop_factory = asyncio.SelectorEventLoop
