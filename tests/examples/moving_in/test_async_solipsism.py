"""The examples of async-solipsism's README: clock, sockets, streams, servers, threads, and what there is not supported.
"""

import asyncio
import contextlib
import socket
import tempfile
import threading
import unittest

from solipsism_unittest import (
    SleepForeverError,
    SolipsistEventLoop,
    SolipsistTestCase,
    socketpair,
    stream_pairs,
)


class ClockTest(SolipsistTestCase):
    async def test_a_minute_takes_no_time(self):
        """Two readings of the clock around a sleep of a minute are exactly a minute apart."""
        times = [self.loop.time()]
        await asyncio.sleep(60)
        times.append(self.loop.time())
        self.assertEqual(times[1] - times[0], 60)

    async def test_a_second_lets_callbacks_run(self):
        """A sleep of a second gives everything that is pending a chance to run."""
        seen = []
        self.loop.call_soon(seen.append, "callback")
        task = asyncio.create_task(asyncio.sleep(0.5, "task"))
        await asyncio.sleep(1)
        self.assertEqual((seen, task.done(), task.result()), (["callback"], True, "task"))

    async def test_a_microsecond(self):
        """The clock is as fine on every system: at least a microsecond."""
        await asyncio.sleep(1e-6)
        self.assertEqual(self.loop.time(), 1e-6)

    def test_an_event_that_never_comes(self):
        """Data that a test forgets to send is a SleepForeverError, not a test that hangs."""

        async def forgets():
            one, other = socketpair()
            with one, other:
                await asyncio.get_running_loop().sock_recv(one, 1)

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner, self.assertRaises(SleepForeverError):
            runner.run(forgets())


class SocketsTest(SolipsistTestCase):
    async def test_functions_of_the_loop(self):
        """The two sockets of a pair work with sock_sendall(), sock_recv() and sock_recv_into()."""
        one, other = socketpair()
        await self.loop.sock_sendall(one, b"to the other end")
        self.assertEqual(await self.loop.sock_recv(other, 6), b"to the")
        buffer = bytearray(20)
        self.assertEqual(await self.loop.sock_recv_into(other, buffer), 10)
        self.assertEqual(bytes(buffer[:10]), b" other end")
        one.close()
        other.close()

    async def test_create_connection(self):
        """A pair under two transports: what the one writes the other's protocol gets, and its end too."""
        events = []

        class Noting(asyncio.Protocol):
            def data_received(self, data):
                events.append(data)

            def eof_received(self):
                events.append("eof")

            def connection_lost(self, error):
                events.append(error)

        one, other = socketpair()
        first, _ = await self.loop.connect_accepted_socket(asyncio.Protocol, one)
        await self.loop.create_connection(Noting, sock=other)
        first.write(b"hello\n")
        first.write_eof()
        first.close()
        await asyncio.sleep(1)
        self.assertEqual(events, [b"hello\n", "eof", None])

    async def test_a_full_buffer(self):
        """A write to a full buffer raises BlockingIOError, and `capacity` says when it is full."""
        one, other = socketpair(capacity=8)
        self.assertEqual(one.send(b"0123456789"), 8)
        with self.assertRaises(BlockingIOError):
            one.send(b"89")
        self.assertEqual(other.recv(3), b"012")
        self.assertEqual(one.send(b"89"), 2)
        one.close()
        other.close()

    async def test_more_than_a_buffer_holds(self):
        """sock_sendall() goes on when the reader, who comes by once a second, has made room."""
        one, other = socketpair()

        async def read():
            count = 0
            while True:
                try:
                    data = other.recv(16384)
                except BlockingIOError:
                    await asyncio.sleep(1)
                    continue
                if not data:
                    return count
                count += len(data)

        reading = asyncio.create_task(read())
        await self.loop.sock_sendall(one, bytes(10**6))
        one.close()
        self.assertEqual(await reading, 10**6)
        other.close()


class StreamsTest(SolipsistTestCase):
    async def test_pairs(self):
        """Two pairs of streams are joined: what goes into one writer comes out of the other pair's reader."""
        (reader1, writer1), (reader2, writer2) = await stream_pairs()
        writer1.write(b"first\n")
        writer2.write(b"second\n")
        self.assertEqual((await reader2.readline(), await reader1.readline()), (b"first\n", b"second\n"))
        writer1.close()
        writer2.close()

    async def test_sendfile(self):
        """A file goes out through a stream."""
        (_, writer), (reader, other) = await stream_pairs()
        with tempfile.TemporaryFile() as file:
            file.write(b"from a file\n")
            file.seek(0)
            await self.loop.sendfile(writer.transport, file)
        self.assertEqual(await reader.readline(), b"from a file\n")
        for each in (writer, other):
            each.close()
            await each.wait_closed()


class ServersTest(SolipsistTestCase):
    async def test_any_host_and_port(self):
        """A server takes any host name and port; the client gets one end, the callback the other one."""
        called = self.loop.create_future()
        server = await asyncio.start_server(lambda *streams: called.set_result(streams), "test.invalid", 1234)
        reader, writer = await asyncio.open_connection("test.invalid", 1234)
        server_reader, server_writer = await called
        writer.write(b"question\n")
        self.assertEqual(await server_reader.readline(), b"question\n")
        server_writer.write(b"answer\n")
        self.assertEqual(await reader.readline(), b"answer\n")
        for each in (writer, server_writer):
            each.close()
        server.close()
        await server.wait_closed()

    async def test_a_listening_socket(self):
        """So does a server that is given a listening socket, as tools with a `socket_factory` want it."""
        listener = socket.socket()
        listener.bind(("test.invalid", 1234))
        async with await asyncio.start_server(lambda reader, writer: writer.close(), sock=listener):
            reader, writer = await asyncio.open_connection("test.invalid", 1234)
            self.assertEqual(await reader.read(), b"")
            writer.close()

    async def test_remembered_until_it_closes(self):
        """After the server is closed, and at an address where none was, a connect is refused."""
        server = await asyncio.start_server(lambda reader, writer: None, "test.invalid", 1234)
        server.close()
        await server.wait_closed()
        for port in (1234, 4321):
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection("test.invalid", port)

    async def test_port_0(self):
        """With port 0 a server has the first free port above 60000."""
        async with await asyncio.start_server(print, "localhost", 0) as one, \
                await asyncio.start_server(print, "localhost", 0) as other:
            self.assertEqual([each.sockets[0].getsockname()[1] for each in (one, other)], [60001, 60002])


class ThreadsTest(SolipsistTestCase):
    async def test_call_soon_threadsafe(self):
        """call_soon_threadsafe() in the loop's own thread is call_soon()."""
        future = self.loop.create_future()
        self.loop.call_soon_threadsafe(future.set_result, 3)
        self.assertEqual(await future, 3)

    async def test_run_in_executor(self):
        """What runs in an executor runs in another thread, which reads a file or the like."""
        ident = await self.loop.run_in_executor(None, threading.get_ident)
        self.assertNotEqual(ident, threading.get_ident())


class LoopTest(unittest.TestCase):
    def test_a_fixture_for_the_loop(self):
        """Where a tool wants a loop, the class gives one, which is closed afterwards."""
        with contextlib.closing(SolipsistEventLoop()) as loop:
            self.assertEqual(loop.run_until_complete(asyncio.sleep(5, "done")), "done")
            self.assertEqual(loop.time(), 5)


if __name__ == "__main__":
    unittest.main()
