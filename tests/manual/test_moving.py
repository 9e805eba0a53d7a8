"""The page about moving in: each row of its tables and each of its blocks of code is executed here."""

import array
import asyncio
import concurrent.futures
import contextlib
import contextvars
import errno
import functools
import gc
import importlib
import itertools
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import warnings
from unittest import mock

import solipsism_unittest
from solipsism_unittest import (
    Chronometer,
    EscapeError,
    NotSimulatedError,
    SleepForeverError,
    SolipsismError,
    SolipsistEventLoop,
    SolipsistTestCase,
    VirtualTimeLimitError,
    fail_on,
    lenient,
    mocks,
    over_executors,
    over_loops,
    socketpair,
    stream_pairs,
    strict,
    with_settings,
    world,
)
from tests.case.fixtures.test_scopes import run as run_suite
from tests.case.test_case import run, told
from tests.manual.pages import BLOCK, row, rows, section, tested_rows

variable = contextvars.ContextVar("variable", default=None)


async def echo(reader, writer):
    """Send a line back."""
    writer.write(await reader.readline())
    writer.close()


def case_of(test, **attributes):
    """A class with this one test and these attributes."""
    return type("Case", (SolipsistTestCase,), {"test": test, **attributes})


def failure(test, **attributes):
    """What fails when such a test is run, in words; "" for nothing."""
    return told(run_suite(case_of(test, **attributes)))


class AsyncSolipsismTest(SolipsistTestCase):
    """The table for async-solipsism."""

    @row("`EventLoop()`")
    def test_event_loop(self):
        with contextlib.closing(SolipsistEventLoop(5.0, autojump=False, seed=1)) as loop:
            self.assertEqual((loop.time(), loop.autojump), (5.0, False))

    @row("`EventLoopPolicy()`")
    def test_policy(self):
        if sys.version_info >= (3, 16):
            self.skipTest("asyncio has no policies")
        with contextlib.closing(solipsism_unittest.SolipsistEventLoopPolicy().new_event_loop()) as loop:
            self.assertIsInstance(loop, SolipsistEventLoop)

    @row("a hook `pytest_asyncio_loop_factories` that gives `EventLoop`")
    def test_hook(self):
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertIsInstance(runner.get_loop(), SolipsistEventLoop)

    @row("`loop.time()` is 0.0 at first, and works after `close()`")
    def test_time(self):
        loop = SolipsistEventLoop()
        self.assertEqual(loop.time(), 0.0)
        loop.run_until_complete(asyncio.sleep(2))
        loop.close()
        self.assertEqual(loop.time(), 2.0)

    @row("time in steps of 1 us, `ResolutionWarning`")
    async def test_resolution(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await asyncio.sleep(1e-7)
        self.assertEqual(self.loop.time(), 1e-7)

    @row("timers that are due within 1 us run early")
    async def test_never_early(self):
        when = []
        self.loop.call_later(1 / 3, lambda: when.append(self.loop.time()))
        self.loop.call_later(1 / 3 + 5e-7, lambda: when.append(self.loop.time()))
        await asyncio.sleep(1)
        self.assertEqual(when, [1 / 3, 1 / 3 + 5e-7])

    @row("`sleep(86400)` raises `SleepForeverError`")
    async def test_a_day(self):
        await self.assertCompletesAfter(asyncio.sleep(86400), 86400)

    @row("timers of one instant run in the order of a heap")
    async def test_order(self):
        seen = []
        for number in range(7):
            self.loop.call_later(1, seen.append, number)
        await asyncio.sleep(2)
        self.assertEqual(seen, list(range(7)))

    @row("`SleepForeverError`, `select with no timeout and no ready events`")
    def test_hang(self):
        done = []

        async def test(self):
            try:
                await asyncio.Event().wait()
            finally:
                done.append("finally")

        self.assertRegex(failure(test), r"SleepForeverError: nothing can wake(.|\n)*Task-1 .* at \S*test_moving.py:\d+")
        self.assertEqual(done, ["finally"])

    @row("`SolipsismError` for a call that is not supported")
    async def test_not_supported(self):
        with self.assertRaises(SolipsismError) as caught:
            await self.loop.create_pipe_connection(asyncio.Protocol, "pipe")
        self.assertIsInstance(caught.exception, NotImplementedError)
        self.assertIsInstance(caught.exception, NotSimulatedError)

    @row("`SolipsismWarning` for an unknown socket option")
    def test_socket_option(self):
        one, _ = self.socketpair()
        with self.assertRaises(OSError) as caught:
            one.setsockopt(socket.SOL_SOCKET, 12345, 1)
        self.assertEqual(caught.exception.errno, errno.ENOPROTOOPT)

    @row("`setsockopt()` of what it does not know, IP_MULTICAST_LOOP for example, warns and does nothing")
    def test_known_option(self):
        with socket.socket() as face, warnings.catch_warnings():
            warnings.simplefilter("error")
            face.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
            self.assertEqual(face.getsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP), 0)

    @row('any host name and port, `start_server(handler, "test.invalid", 1234)`')
    async def test_any_host(self):
        async with await asyncio.start_server(echo, "test.invalid", 1234):
            reader, writer = await asyncio.open_connection("test.invalid", 1234)
            writer.write(b"hello\n")
            self.assertEqual(await reader.readline(), b"hello\n")
            writer.close()

    @row("`getsockname()` shows the host name")
    async def test_addresses(self):
        async with await asyncio.start_server(echo, "test.invalid", 1234) as server:
            address = server.sockets[0].getsockname()
        self.assertEqual(address, socket.getaddrinfo("test.invalid", 1234)[0][4])
        self.assertRegex(address[0], r"^198\.18\.\d+\.\d+$")

    @row("port 0 is 60000, 60001, ...")
    async def test_port_0(self):
        ports = [(await self.start_fake_server(host="test.invalid")).port for _ in range(3)]
        self.assertEqual(ports, [60001, 60002, 60003])

    @row('clients are at `("::1", 1, 0, 0)`, ...')
    async def test_clients(self):
        server = await self.start_fake_server(host="test.invalid", port=80)
        seen = []
        for _ in range(2):
            _, writer = await asyncio.open_connection("test.invalid", 80)
            seen.append(writer.get_extra_info("sockname")[1])
            writer.close()
        await self.settle()
        self.assertEqual(seen, [32768, 32769])
        self.assertEqual(len(server.connections), 2)

    @row("an address in use is a `SolipsismError`")
    async def test_address_in_use(self):
        await self.start_fake_server(host="test.invalid", port=80)
        with self.assertRaises(OSError) as caught:
            await asyncio.start_server(echo, "test.invalid", 80)
        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)

    @row("nobody listens: `ConnectionRefusedError` without an errno")
    async def test_nobody_listens(self):
        with self.assertRaises(ConnectionRefusedError) as caught:
            await asyncio.open_connection("test.invalid", 80)
        self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)

    @row('`create_connection("host", port)` without a protocol factory, in two tests of its suite, is refused')
    async def test_no_factory(self):
        with self.assertRaises(TypeError):
            await self.loop.create_connection("test.invalid", 1234)

    @row("`create_connection()` and `create_server()` with neither host, port nor socket are ValueErrors")
    async def test_no_address(self):
        for call in (self.loop.create_connection, self.loop.create_server):
            with self.assertRaises(ValueError):
                await call(asyncio.Protocol)

    @row("an address is free when its server is closed")
    async def test_free_again(self):
        for _ in range(2):
            server = await asyncio.start_server(echo, "test.invalid", 80)
            server.close()
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection("test.invalid", 80)

    @row("a server with `start_serving=False` lets a connect wait for ever")
    async def test_not_serving(self):
        server = await asyncio.start_server(echo, "127.0.0.1", 80, start_serving=False)
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", 80)
        server.close()

    def connects(self, count):
        """A listener with the shortest backlog, and clients that connect to it; their outcomes come into a list."""
        listener, outcomes = socket.create_server(("127.0.0.1", 80), backlog=0), []
        self.addCleanup(listener.close)

        async def connect():
            with socket.socket() as client:
                client.setblocking(False)
                try:
                    await self.loop.sock_connect(client, ("127.0.0.1", 80))
                    outcomes.append("connected")
                    await self.loop.sock_recv(client, 1)
                except OSError as error:
                    outcomes.append(type(error))

        for _ in range(count):
            self.addCleanup(self.loop.create_task(connect()).cancel)
        return listener, outcomes

    @row("the backlog of a listener says nothing")
    async def test_backlog(self):
        _, outcomes = self.connects(3)
        await self.settle()
        self.assertEqual(outcomes, ["connected"])

    @row("a listener that closes resets those who wait to be accepted")
    async def test_listener_closes(self):
        listener, outcomes = self.connects(2)
        await self.settle()
        listener.close()
        await self.settle()
        self.assertEqual(outcomes[0], "connected")
        self.assertEqual({*outcomes[1:]}, {ConnectionRefusedError, ConnectionResetError})

    @row("an accepted connection has a buffer of 64 KiB, whatever is said")
    async def test_capacity_of_a_server(self):
        server = await self.start_fake_server(host="test.invalid", port=80, capacity=5)
        with socket.create_connection(("test.invalid", 80)) as client:
            client.setblocking(False)
            await self.settle()
            self.assertEqual(client.send(b"too long"), 5)
        self.assertEqual(len(server.connections), 1)

    @row("a list of hosts is a TypeError, `0.0.0.0` is no `127.0.0.1`")
    async def test_hosts(self):
        for hosts in (["127.0.0.1", "::1"], "0.0.0.0"):
            async with await asyncio.start_server(echo, hosts, 80):
                _, writer = await asyncio.open_connection("127.0.0.1", 80)
                writer.close()
                await self.settle()

    @row("`socketpair(capacity, sock1_name, sock2_name)`")
    def test_socketpair(self):
        one, other = socketpair(5, ("fe80::", 1234), ("::2", 80))
        self.assertEqual(one.getsockname(), ("fe80::", 1234, 0, 0))
        self.assertEqual(one.getpeername(), ("::2", 80, 0, 0))
        self.assertEqual((one.send(b"too long"), other.recv(99)), (5, b"too l"))
        one.close()
        other.close()
        one, other = socketpair()
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.assertEqual((one.getsockname(), one.getpeername()), (("::", 0, 0, 0), ("::", 0, 0, 0)))
        one.close()
        other.close()

    @row("`stream_pairs(capacity)`")
    async def test_stream_pairs(self):
        (reader1, writer1), (reader2, writer2) = await stream_pairs(1000)
        writer1.write(b"hello\n")
        self.assertEqual(await reader2.readline(), b"hello\n")
        writer2.close()
        self.assertEqual(await reader1.read(), b"")
        writer1.close()

    @row("`capacity=0` is 64 KiB; one number for both directions")
    def test_capacity(self):
        one, other = self.socketpair((3, 5))
        self.assertEqual((one.send(bytes(9)), other.send(bytes(9))), (3, 5))
        with self.assertRaises(ValueError):
            self.socketpair(0)

    @row("`recv_into(buffer, nbytes)` takes any buffer; wrong sizes are ValueErrors")
    def test_recv_into(self):
        one, other = self.socketpair()
        one.send(b"\xde\xad\xbe\xef\xca\xfe")
        data = array.array("B", [1, 2, 3, 4, 5])
        self.assertEqual((other.recv_into(data, 4), data.tobytes()), (4, b"\xde\xad\xbe\xef\x05"))
        for wrong in (-1, 6):
            with self.assertRaises(ValueError):
                other.recv_into(data, wrong)

    @row("`sendmsg(buffers)`; ancillary data is a `SolipsismError`")
    def test_sendmsg(self):
        one, other = self.socketpair()
        self.assertEqual((one.sendmsg([b"a", b"b"]), other.recv(9)), (2, b"ab"))
        with self.assertRaises(SolipsismError):
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, bytes(4))])

    @row("what was sent before `close()` can still be read, and then the end")
    def test_read_after_close(self):
        one, other = self.socketpair()
        one.send(b"data")
        one.close()
        self.assertEqual([other.recv(9), other.recv(9)], [b"data", b""])

    @row("`fileno()` is an object")
    def test_fileno(self):
        self.assertGreaterEqual(self.socketpair()[0].fileno(), 2**30)

    @row("`Queue`, and `Clock` and `Selector` of its modules")
    async def test_parts(self):
        await self.loop.advance(5)
        self.assertEqual(self.loop.time(), 5)

    @row("a full buffer: `send()` returns None, `sock_sendall()` breaks")
    async def test_full_buffer(self):
        one, other = self.socketpair(4)
        self.assertEqual(one.send(b"abcd"), 4)
        with self.assertRaises(BlockingIOError):
            one.send(b"e")
        self.loop.call_later(3, other.recv, 4)
        await self.assertCompletesAfter(self.loop.sock_sendall(one, b"efgh"), 3)

    @row("`recv(-1)` gives everything that is there")
    def test_negative_size(self):
        one, _ = self.socketpair()
        with self.assertRaises(ValueError):
            one.recv(-1)

    @row("`setblocking(True)` is a `SolipsismError`")
    async def test_blocking(self):
        one, other = self.socketpair()
        one.setblocking(True)
        with self.assertRaisesRegex(SolipsismError, "block|wait"):
            one.recv(1)
        self.loop.call_later(3, other.send, b"x")
        self.assertEqual(await asyncio.to_thread(one.recv, 1), b"x")

    @row("no `getsockopt`, `settimeout`, `connect`, `bind`, `dup`, `makefile`")
    def test_methods_of_sockets(self):
        with socket.socket() as listener, socket.socket() as client:
            listener.bind(("test.invalid", 80))
            listener.listen()
            client.settimeout(5)
            client.connect(("test.invalid", 80))
            self.assertEqual(client.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE), socket.SOCK_STREAM)
            with client.dup() as twin, client.makefile("wb") as file:
                self.assertEqual(twin.getpeername(), client.getpeername())
                file.write(b"x")
                file.flush()
            listener.accept()[0].close()

    @row("a second `close()` raises EBADF")
    def test_close_twice(self):
        one, _ = self.socketpair()
        one.close()
        one.close()
        self.assertEqual(one.fileno(), -1)

    @row("after `shutdown(SHUT_RD)` the peer's send raises BrokenPipeError")
    async def test_shutdown(self):
        await self.start_fake_server(host="test.invalid", port=80)
        with socket.create_connection(("test.invalid", 80)) as client:
            client.shutdown(socket.SHUT_RD)
            await self.settle()
            client.send(b"x")

    @row("never a ConnectionResetError")
    async def test_reset(self):
        server = await self.start_fake_server(host="test.invalid", port=80)
        reader, writer = await asyncio.open_connection("test.invalid", 80)
        await self.settle()
        server.reset_connections()
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()

    @row("`ListenSocket((host, port))` for `socket_factory`")
    async def test_listening_socket(self):
        listener = socket.socket()
        listener.bind(("test.invalid", 80))
        async with await asyncio.start_server(echo, sock=listener):
            _, writer = await asyncio.open_connection("test.invalid", 80)
            writer.close()
            await self.settle()

    @row("a patch for aiohappyeyeballs")
    async def test_sock_connect(self):
        await self.start_fake_server(echo, "test.invalid", 80)
        infos = await self.loop.getaddrinfo("test.invalid", 80, type=socket.SOCK_STREAM)
        face = socket.socket(infos[0][0], infos[0][1])
        face.setblocking(False)
        await self.loop.sock_connect(face, infos[0][4])
        reader, writer = await asyncio.open_connection(sock=face)
        writer.write(b"hello\n")
        self.assertEqual(await reader.readline(), b"hello\n")
        writer.close()

    @row("`call_soon_threadsafe()` in the loop's thread only")
    async def test_threadsafe(self):
        came = asyncio.Event()
        await asyncio.to_thread(self.loop.call_soon_threadsafe, came.set)
        await came.wait()

    @row("`run_in_executor()` gives a coroutine and blocks the loop")
    async def test_executor(self):
        future = self.loop.run_in_executor(None, sum, [1, 2])
        self.assertIsInstance(future, asyncio.Future)
        self.loop.call_later(5, lambda: None)
        self.assertEqual(await future, 3)
        self.assertNow(0)
        await asyncio.sleep(5)

    @row("`shutdown_default_executor(timeout)` knows no timeout")
    async def test_shutdown_of_the_executor(self):
        await asyncio.to_thread(int)
        await self.loop.shutdown_default_executor(*(5,) if sys.version_info >= (3, 12) else ())
        self.assertNow(0)

    @row("no `getaddrinfo`, no UDP, no UNIX sockets, no `sock_accept`")
    async def test_more_sockets(self):
        self.assertTrue(await self.loop.getaddrinfo("test.invalid", 80))
        server = await self.start_fake_datagram_server(lambda data, address: data.upper(), "test.invalid", 53)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            await self.loop.sock_sendto(client, b"hello", server.address)
            self.assertEqual(await self.loop.sock_recv(client, 9), b"HELLO")
        with tempfile.TemporaryDirectory() as folder:
            async with await asyncio.start_unix_server(echo, os.path.join(folder, "socket")):
                pass
        with socket.create_server(("test.invalid", 80)) as listener:
            listener.setblocking(False)
            with socket.create_connection(("test.invalid", 80)):
                (await self.loop.sock_accept(listener))[0].close()

    @row("no signal handlers, no TLS, no `start_tls`")
    async def test_signals_and_tls(self):
        came = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, came.set)
        self.send_signal(signal.SIGTERM)
        await came.wait()
        self.loop.remove_signal_handler(signal.SIGTERM)
        await self.start_fake_server(echo, "api.test", 443, tls=True)
        self.trust()
        reader, writer = await asyncio.open_connection("api.test", 443, ssl=True)
        writer.write(b"hello\n")
        self.assertEqual(await reader.readline(), b"hello\n")
        writer.close()

    @row("`loop.sendfile()`")
    async def test_sendfile(self):
        (_, writer), (reader, _) = await self.stream_pairs()
        with tempfile.TemporaryFile() as file:
            file.write(b"content")
            file.seek(0)
            await self.loop.sendfile(writer.transport, file)
        self.assertEqual(await reader.read(99), b"content")

    @row("`add_reader()` of a real socket is a `SolipsismError`")
    async def test_real_socket(self):
        with self.assertRaises(EscapeError) as caught:
            self.loop.add_reader(0, print)
        self.assertIsInstance(caught.exception, SolipsismError)


class Keeper:
    """What asynctest's users patch."""

    value = "real"


class AsynctestTest(SolipsistTestCase):
    """The table for asynctest."""

    @row("`TestCase`: tests that are coroutines, or return one")
    def test_test_case(self):
        done = []

        async def test():
            done.append(1)

        self.assertEqual(failure(lambda self: test()), "")
        self.assertEqual(done, [1])

    @row("`self.loop`, a new one for each test")
    def test_loop(self):
        seen = []

        async def test(self):
            seen.append(self.loop)
            self.assertIs(self.loop, asyncio.get_running_loop())

        case = case_of(test)
        self.assertEqual(told(run(case, "test", "test")), "")
        self.assertIsNot(seen[0], seen[1])

    @row("`use_default_loop = True`")
    def test_default_loop(self):
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)

        async def test(self):
            self.assertIs(self.loop, loop)

        self.assertEqual(told(run(case_of(test, loop_factory=lambda self: loop), "test", "test")), "")
        self.assertFalse(loop.is_closed())

    @row("`forbid_get_event_loop = True`")
    def test_forbidden(self):
        async def test(self):
            asyncio.get_event_loop()

        self.assertIn("asyncio.get_event_loop() was called", failure(test, forbid_get_event_loop=True))

    @row("`async def setUp`, `async def tearDown`")
    def test_fixtures(self):
        done = []

        def fixture(name):
            async def run(self):
                await asyncio.sleep(1)
                done.append(name)
            return run

        names = "setUp", "asyncSetUp", "asyncTearDown", "tearDown"
        self.assertEqual(failure(fixture("test"), **{name: fixture(name) for name in names}), "")
        self.assertEqual(done, ["setUp", "asyncSetUp", "test", "asyncTearDown", "tearDown"])

    @row("`addCleanup(coroutine_function)`")
    def test_cleanup(self):
        done = []

        async def cleanup(what):
            await asyncio.sleep(1)
            done.append(what)

        self.assertEqual(failure(lambda self: self.addCleanup(cleanup, "done")), "")
        self.assertEqual(done, ["done"])

    @row("checks come after `tearDown` and before cleanups")
    def test_cleanups_end_things(self):
        def test(self):
            self.addCleanup(self.loop.call_later(5, print).cancel)

        self.assertEqual(failure(test), "")

    @row("`assertAsyncRaises`, `assertAsyncRaisesRegex`")
    async def test_raises(self):
        async def fail():
            raise LookupError("nothing")

        self.assertEqual(str(await self.assertAsyncRaises(LookupError, fail())), "nothing")
        await self.assertAsyncRaisesRegex(LookupError, "noth", fail())

    @row("`assertAsyncWarns`, `assertAsyncWarnsRegex`")
    async def test_warns(self):
        async def warn():
            warnings.warn("careful", stacklevel=1)

        self.assertEqual(str(await self.assertAsyncWarns(UserWarning, warn())), "careful")
        await self.assertAsyncWarnsRegex(UserWarning, "care", warn())

    @row("`FunctionTestCase(function)`")
    def test_run_test(self):
        done = []

        class Case(SolipsistTestCase):
            async def runTest(self):
                done.append(self.now)

        result = unittest.TestResult()
        Case().run(result)
        self.assertEqual((done, result.testsRun, told(result)), ([0.0], 1, ""))

    @row("`debug()` raises what the checks find")
    def test_debug(self):
        with self.assertRaisesRegex(AssertionError, "the test left 1 thing behind"):
            case_of(lambda self: self.loop.call_later(5, print) and None)("test").debug()

    @row("`setUpClass` cannot be a coroutine")
    def test_set_up_class(self):
        async def asyncSetUpClass(cls):
            await asyncio.sleep(1)
            cls.value = 5

        def test(self):
            self.assertEqual(self.value, 5)

        self.assertEqual(failure(test, loop_scope="class", asyncSetUpClass=classmethod(asyncSetUpClass)), "")

    @row("`ClockedTestCase`")
    def test_clocked(self):
        async def test(self):
            await self.assertBlocks(asyncio.sleep(1))
            self.assertNow(0)
            await self.advance(3)
            self.assertNow(3)

        self.assertEqual(failure(test, autojump=False), "")

    @row("`await self.advance(seconds)`: each timer at its own time")
    def test_advance(self):
        seen = []

        async def test(self):
            def beat():
                seen.append(f"bg{round(self.now)}")
                self.timer = self.loop.call_later(1, beat)

            self.loop.call_later(0.5, seen.append, 1)
            self.loop.call_later(1.5, seen.append, 2)
            self.timer = self.loop.call_later(1, beat)
            await self.advance(3.5)
            self.assertNow(3.5)
            self.timer.cancel()

        self.assertEqual(failure(test, autojump=False), "")
        self.assertEqual(seen, [1, "bg1", 2, "bg2", "bg3"])

    @row("`advance(-1)` is a ValueError")
    async def test_back(self):
        with self.assertRaises(ValueError):
            await self.advance(-1)
        self.assertNow(0)

    @row("two calls of `advance()` at once never return")
    async def test_two_advances(self):
        await asyncio.gather(self.advance(3), self.advance(5))
        self.assertNow(5)

    @row("in debug mode `advance()` is logged as a slow callback")
    def test_advance_in_debug_mode(self):
        async def test(self):
            with self.assertNoLogs("asyncio"):
                await self.advance(10)

        self.assertEqual(failure(test, autojump=False, loop_debug=True), "")

    @row("a sleep that nobody advances waits for ever")
    def test_no_advance(self):
        async def test(self):
            await asyncio.sleep(1)

        self.assertIn("SleepForeverError: nobody moves time on", failure(test, autojump=False))

    @row("`@fail_on(active_handles=True)`, off by default")
    def test_active_handles(self):
        def test(self):
            self.loop.call_later(5, print)
            self.task = self.loop.create_task(asyncio.sleep(5))

        self.assertIn("left 2 things behind", failure(test))

        @fail_on(active_handles=False, pending_tasks=False)
        def test(self):
            self.loop.call_later(5, print)

        self.assertEqual(failure(test), "")

    @row("`@fail_on(active_selector_callbacks=True)`")
    def test_selector_callbacks(self):
        self.assertIn("add_reader", failure(lambda self: self.loop.add_reader(mocks.FileMock(), print)))

    @row("`@fail_on(unused_loop=True)`")
    def test_unused_loop(self):
        async def test(self):
            pass

        self.assertEqual(failure(test), "")
        self.assertIn("gave the loop nothing to do", failure(fail_on(unused_loop=True)(test)))

    @row("a coroutine as `tearDown` counts as use of the loop")
    def test_use_by_tear_down(self):
        async def test(self):
            pass

        async def tearDown(self):
            await asyncio.sleep(1)

        self.assertIn("gave the loop nothing to do", failure(fail_on(unused_loop=True)(test), tearDown=tearDown))

    @row("a method wins over its class, an outer decorator over an inner one; an unknown check is a TypeError")
    def test_order_of_checks(self):
        @fail_on(active_handles=False)
        @fail_on(active_handles=True)
        def test(self):
            self.loop.call_later(5, print)

        self.assertEqual(told(run(fail_on(active_handles=True)(case_of(test)))), "")
        with self.assertRaises(TypeError):
            fail_on(timers=True)

    @row("a subclass has the checks of its base, once those were used")
    def test_checks_of_a_subclass(self):
        def test(self):
            self.loop.call_later(5, print)

        base = case_of(test)
        self.assertIn("1 timer", told(run(base)))
        self.assertEqual(told(run(fail_on(active_handles=False)(type("Sub", (base,), {})))), "")
        self.assertIn("1 timer", told(run(base)))

    @row("`@strict`, `@lenient`")
    def test_strict(self):
        async def test(self):
            asyncio.get_running_loop().call_later(5, print)

        self.assertIn("nothing to do", failure(strict(test)))
        self.assertEqual(failure(lenient(test)), "")

    @row("`@ignore_loop`")
    def test_ignore_loop(self):
        @fail_on(unused_loop=False)
        async def test(self):
            pass

        self.assertEqual(failure(test), "")

    @row("the first check that fails is reported")
    def test_all_checks(self):
        async def test(self):
            asyncio.get_running_loop().call_later(5, print)
            asyncio.get_running_loop().add_reader(mocks.FileMock(), print)
            time.sleep(1)

        text = failure(test)
        for words in ("1 timer", "1 registered callback", "time.sleep"):
            self.assertIn(words, text)

    @row("a check fails a test too that has failed, was skipped, or was expected to fail")
    def test_expected_failure(self):
        @unittest.expectedFailure
        async def test(self):
            asyncio.get_running_loop().call_later(5, print)
            self.fail("on purpose")

        result = run(case_of(test))
        self.assertEqual((told(result), len(result.expectedFailures)), ("", 1))
        for end in (self.skipTest, self.fail):
            def test(self, end=end):
                self.loop.call_later(5, print)
                end("on purpose")

            result = run(case_of(test))
            self.assertEqual(len(result.failures) + len(result.skipped) + len(result.errors), 1)

    @row("a check of one's own, `before_test_x` and `x`")
    def test_own_check(self):
        def test(self):
            before = len(self.network.lookups)
            self.addCleanup(lambda: self.assertEqual(len(self.network.lookups), before, "somebody looked a name up"))
            socket.gethostbyname("test.invalid")

        self.assertIn("somebody looked a name up", failure(test))

    @row("`FileMock`, `SocketMock`, `SSLSocketMock`")
    async def test_mocks(self):
        self.assertIsInstance(mocks.SSLSocketMock(), mocks.SocketMock)
        self.assertIsInstance(mocks.SocketMock(), mocks.FileMock)
        self.assertIsInstance(mocks.SocketMock(), socket.socket)

    @row("`FileDescriptor`, `fd()`, `isfilemock()`")
    def test_descriptors(self):
        file = mocks.FileMock()
        self.assertEqual((mocks.fd(file), mocks.FileDescriptor.next_fd), (0, 1))
        self.assertEqual((mocks.isfilemock(file), mocks.isfilemock(5)), (True, False))

    @row("`FileDescriptor.next_fd` is never reset")
    def test_numbers_begin_anew(self):
        seen = []

        def test(self):
            seen.append(mocks.FileMock().fileno())

        self.assertEqual(failure(test, test_again=test), "")
        self.assertEqual(seen, [0, 0])

    @row("today's asyncio asks a `SocketMock` for `type`, `gettimeout()`, `sendmsg()`, `recv_into()`: they say nothing")
    async def test_what_asyncio_asks(self):
        sock = mocks.SocketMock()
        sock.recv.return_value, sock.send.side_effect = b"data", len
        self.assertEqual((sock.type, sock.gettimeout()), (socket.SOCK_STREAM, 0.0))
        buffer = bytearray(4)
        self.assertEqual((sock.recv_into(buffer), bytes(buffer), sock.sendmsg([b"a", b"b"])), (4, b"data", 2))

    @row("`set_read_ready()`, `set_write_ready()`")
    async def test_ready(self):
        file, called = mocks.FileMock(), []
        self.loop.add_reader(file, called.append, "read")
        self.loop.add_writer(file, called.append, "write")
        mocks.set_read_ready(file, self.loop)
        mocks.set_write_ready(file, self.loop)
        self.assertEqual(called, [])
        await self.settle()
        self.assertEqual(called, ["read", "write"])
        self.loop.remove_reader(file)
        self.loop.remove_writer(file)

    @row("a file that nobody waits for: nothing happens")
    async def test_nobody_waits(self):
        mocks.set_read_ready(mocks.FileMock(), self.loop)
        await self.settle()

    @row("on a loop without a selector an AttributeError")
    def test_no_selector(self):
        class Other(asyncio.AbstractEventLoop):
            pass

        with self.assertRaisesRegex(SolipsismError, "Other"):
            mocks.set_read_ready(mocks.FileMock(), Other())

    @row("`get_registered_events()`, `exhaust_callbacks()`")
    async def test_registered(self):
        file, called = mocks.FileMock(), []
        self.loop.add_reader(file, print)
        (key,) = mocks.get_registered_events(self.loop._selector)
        self.assertEqual((key.fd, key.events), (0, selectors.EVENT_READ))
        self.loop.remove_reader(file)
        self.loop.call_soon(self.loop.call_soon, called.append, 1)
        await mocks.exhaust_callbacks(self.loop)
        self.assertEqual(called, [1])

    @row("two calls of `exhaust_callbacks()` at once never return")
    async def test_two_at_once(self):
        await asyncio.gather(mocks.exhaust_callbacks(self.loop), mocks.exhaust_callbacks(self.loop))

    @row("`CoroutineMock`")
    async def test_coroutine_mock(self):
        function = mock.AsyncMock(return_value=5)
        self.assertEqual(await function(1), 5)
        function.assert_awaited_once_with(1)

    @row("`mock.awaited.wait()`, `wait_next()`, `wait_for()`, when an await has ended")
    async def test_awaited(self):
        function = mock.AsyncMock()

        async def calls():
            for _ in range(3):
                await asyncio.sleep(1)
                await function()

        task = asyncio.create_task(calls())
        await mocks.awaited(function).wait()
        self.assertNow(1)
        await mocks.awaited(function).wait_next()
        self.assertNow(2)
        await mocks.awaited(function).wait_for(lambda watched: watched.await_count == 3)
        self.assertNow(3)
        await task

    @row("`patch(..., scope=LIMITED)`")
    async def test_limited_patch(self):
        @mocks.while_running(mock.patch.object(Keeper, "value", "patched"))
        async def patched():
            before = Keeper.value
            await asyncio.sleep(2)
            return before, Keeper.value

        task = asyncio.create_task(patched())
        await asyncio.sleep(1)
        self.assertEqual(Keeper.value, "real")
        self.assertEqual(await task, ("patched", "patched"))

    @row("`return_once(value, then)`")
    async def test_return_once(self):
        function = mock.AsyncMock(side_effect=itertools.chain([1], itertools.repeat(2)))
        self.assertEqual([await function(), await function(), await function()], [1, 2, 2])

    @row("`MagicMock` as an async context manager, `create_autospec` of coroutines")
    async def test_magic_mock(self):
        manager = mock.MagicMock()
        manager.__aenter__.return_value = 5
        async with manager as value:
            self.assertEqual(value, 5)
        spec = mock.create_autospec(echo)
        await spec(1, 2)
        spec.assert_awaited_once_with(1, 2)

    @row("subprocesses with a child watcher")
    async def test_subprocess(self):
        async def greet(process):
            await asyncio.sleep(5)
            process.stdout.write(b"hello " + process.argv[1].encode())
            return 3

        self.add_program("greet", greet)
        child = await asyncio.create_subprocess_exec("greet", "you", stdout=asyncio.subprocess.PIPE)
        self.assertEqual((await child.communicate(), child.returncode, self.now), ((b"hello you", None), 3, 5.0))
        with self.allow_escape("subprocess"):
            child = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "print(5)"], capture_output=True)
        self.assertEqual(child.stdout.split(), [b"5"])

    @row("`time.time()` stays real")
    async def test_wall_clock(self):
        before = time.time()
        await asyncio.sleep(86400)
        self.assertLess(time.time() - before, 3600)


class AsynctestStockTest(unittest.TestCase):
    """A row of it that needs asyncio's own loop too."""

    @row("`TestSelector` is put around each loop")
    def test_selector(self):
        async def test(self):
            came = asyncio.Event()
            file = mocks.FileMock()
            self.loop.add_reader(file, came.set)
            mocks.set_read_ready(file, self.loop)
            await came.wait()
            self.loop.remove_reader(file)

        self.assertEqual(failure(test), "")

        self.assertEqual(failure(test, loop_factory=asyncio.SelectorEventLoop), "")


class AiomiscTest(SolipsistTestCase):
    """The table for aiomisc."""

    @row("fixture `event_loop`, a new one for each test")
    async def test_event_loop(self):
        self.assertIs(self.loop, asyncio.get_running_loop())

    @row("uvloop where it is installed")
    def test_uvloop(self):
        @over_loops(uvloop="no_such_uvloop.new_event_loop")
        async def test(self):
            pass

        result = run(case_of(test), "test_uvloop")
        self.assertEqual([reason for _, reason in result.skipped], ["uvloop: no_such_uvloop is not installed"])

    @row("the loop fixture with a wider scope")
    def test_scopes(self):
        for scope in ("class", "module"):
            loops = set()

            def test(self, loops=loops):
                loops.add(self.loop)

            self.assertEqual(failure(test, test_again=test, loop_scope=scope), "")
            self.assertEqual(len(loops), 1)

    @row("a parametrised loop or policy")
    def test_loops(self):
        seen = []

        @over_loops(one=SolipsistEventLoop, two=lambda: SolipsistEventLoop(5.0))
        async def test(self):
            seen.append(self.now)

        self.assertEqual(failure(test), "")
        self.assertEqual(seen, [0.0, 5.0])

    @row("async fixtures, and those with a `yield`")
    def test_fixtures(self):
        done = []

        @contextlib.asynccontextmanager
        async def fixture():
            await asyncio.sleep(1)
            yield 5
            done.append("after")

        async def asyncSetUp(self):
            self.value = await self.enterAsyncContext(fixture())

        def test(self):
            self.assertEqual(self.value, 5)

        self.assertEqual(failure(test, asyncSetUp=asyncSetUp), "")
        self.assertEqual(done, ["after"])

    @row("`aiomisc_test_timeout`, for all tests alike")
    def test_limits(self):
        async def test(self):
            await asyncio.sleep(10)

        self.assertIn("VirtualTimeLimitError", failure(test, virtual_time_limit=5))
        self.assertEqual(failure(with_settings(virtual_time_limit=10)(test), virtual_time_limit=5), "")

        async def test(self):
            while True:
                await asyncio.sleep(1)

        self.assertIn("RealTimeLimitError", failure(test, real_time_limit=0.2))

    @row("`@pytest.mark.catch_loop_exceptions`")
    def test_loop_exceptions(self):
        async def test(self):
            self.loop.call_soon([].__getitem__, 0)
            await asyncio.sleep(1)

        with self.assertLogs("asyncio"):
            self.assertIn("IndexError", failure(test))
            self.assertEqual(failure(fail_on(loop_exceptions=False)(test)), "")

    @row("`@pytest.mark.forbid_get_event_loop`")
    def test_forbidden(self):
        get = asyncio.get_event_loop

        async def test(self):
            get()

        self.assertIn("was called", failure(test, forbid_get_event_loop=True))

    @row("fixture `default_context`")
    def test_default_context(self):
        async def test(self):
            self.assertEqual((await self.context["foo"], variable.get()), ("bar", 5))

        self.assertEqual(failure(test, default_context=lambda self: {"foo": "bar", variable: 5}), "")

    @row('`await get_context()["key"]` waits until it is set')
    def test_context(self):
        async def test(self):
            self.loop.call_later(3, self.context.__setitem__, "key", "value")
            self.assertEqual(await self.assertCompletesAfter(self.context["key"], 3), "value")

        self.assertEqual(failure(test), "")

        async def test(self):
            await self.context["key"]

        self.assertIn("waits for context['key']", failure(test))

    @row("a value of the context may be set again")
    async def test_set_again(self):
        for value in (1, 2):
            self.context["key"] = value
            self.assertEqual(await self.context["key"], value)

    def check_services(self, *services):
        """Run a test with these services; what fails, in words."""
        return failure(lambda self: None, services=lambda self: services)

    @row("fixture `services`, started together")
    def test_services(self):
        done = []
        services = [mock.Mock(spec=["start", "stop"], start=functools.partial(done.append, f"start {name}"),
                              stop=functools.partial(done.append, f"stop {name}")) for name in "ab"]
        self.assertEqual(self.check_services(*services), "")
        self.assertEqual(done, ["start a", "start b", "stop b", "stop a"])

    @row("a `start()` that goes on, with `start_event`")
    def test_start_event(self):
        class Service:
            def __init__(self):
                self.start_event = asyncio.Event()
                self.done = []

            async def start(self):
                await asyncio.sleep(5)
                self.start_event.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    self.done.append("cancelled")

            async def stop(self):
                self.done.append("stop")

        service = Service()
        self.assertEqual(self.check_services(service), "")
        self.assertEqual(service.done, ["stop", "cancelled"])

    @row("what `start()` raises fails the test")
    def test_errors_of_services(self):
        for method in ("start", "stop"):
            service = mock.AsyncMock(spec=["start", "stop"])
            getattr(service, method).side_effect = LookupError(f"cannot {method}")
            self.assertIn(f"cannot {method}", self.check_services(service))

    @row("unhandled exceptions leave the loop open")
    def test_closed_whatever_happens(self):
        loops = []

        async def test(self):
            loops.append(self.loop)
            self.loop.call_soon([].__getitem__, 0)
            await asyncio.sleep(1)

        with self.assertLogs("asyncio"):
            self.assertIn("IndexError", failure(test))
        self.assertTrue(loops[0].is_closed())

    @row("`thread_pool_executor`, `thread_pool_size`; `entrypoint_kwargs`: `pool_size`")
    def test_executor(self):
        async def test(self):
            self.assertEqual(await asyncio.to_thread(lambda: 5), 5)
            self.assertEqual(self.loop._default_executor._max_workers, 3)

        self.assertEqual(failure(test, executor_factory=lambda self: concurrent.futures.ThreadPoolExecutor(3)), "")

    @row("parametrised pools")
    def test_pools(self):
        seen = []

        @over_executors(own=lambda: None, one=lambda: concurrent.futures.ThreadPoolExecutor(1))
        async def test(self):
            seen.append(await asyncio.to_thread(lambda: 5))

        self.assertEqual(failure(test), "")
        self.assertEqual(seen, [5, 5])

    @row("`entrypoint_kwargs`: `debug`, `--aiomisc-debug`")
    def test_debug(self):
        self.assertEqual(failure(lambda self: self.assertTrue(self.loop.get_debug()), loop_debug=True), "")

    @row("`entrypoint_kwargs`: `catch_signals`")
    async def test_signals(self):
        stopping = asyncio.Event()
        self.loop.add_signal_handler(signal.SIGTERM, stopping.set)
        self.loop.call_later(5, self.send_signal, signal.SIGTERM)
        await self.assertCompletesAfter(stopping.wait(), 5)
        self.loop.remove_signal_handler(signal.SIGTERM)

    @row("`entrypoint_kwargs`: `log_config`")
    async def test_logging(self):
        handlers = list(logging.getLogger().handlers)
        with self.assertLogs("app"):
            logging.getLogger("app").warning("careful")
        self.assertEqual(logging.getLogger().handlers, handlers)

    @row("`entrypoint_kwargs`: `loop_factory`")
    def test_loop_factory(self):
        self.assertEqual(failure(lambda self: self.assertNow(5), loop_factory=lambda: SolipsistEventLoop(5.0)), "")

    @row("`entrypoint_kwargs`: `shutdown_timeout=60`")
    def test_a_service_that_does_not_end(self):
        async def stays():
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()

        self.assertRegex(self.check_services(stays), "SleepForeverError(.|\n)*stopping service .*stays")

    @row("`AIOMISC_USE_UVLOOP` and other options of command line and environment")
    def test_a_base_for_all(self):
        base = type("Base", (SolipsistTestCase,), {"loop_factory": lambda: SolipsistEventLoop(5.0)})
        case = type("Case", (base,), {"test": lambda self: self.assertNow(5)})
        self.assertEqual(told(run(case)), "")

    @row("fixture `localhost`")
    async def test_localhost(self):
        async with await asyncio.start_server(echo, self.localhost, 80):
            _, writer = await asyncio.open_connection("localhost", 80)
            writer.close()
            await self.settle()

    @row("`aiomisc_unused_port`, `aiomisc_unused_port_factory()`")
    async def test_unused_port(self):
        ports = {self.unused_port() for _ in range(1024)}
        self.assertEqual(len(ports), 1024)
        server = await self.start_fake_server()
        self.assertNotIn(server.port, ports)
        await self.start_fake_server(port=min(ports))

    @row("`aiomisc_socket_factory()`")
    async def test_socket_factory(self):
        with socket.create_server((self.localhost, 0)) as listener:
            self.assertEqual(listener.getsockname(), ("127.0.0.1", 60001))

    @row("`delayed_future(timeout, result)`")
    async def test_delayed_future(self):
        self.assertIs(await self.assertCompletesAfter(self.delayed_future(5), 5), True)
        with self.assertRaises(LookupError):
            await self.delayed_future(5, LookupError())


    async def proxied(self, handler=echo, **kwargs):
        """A proxy in front of a server."""
        await self.start_fake_server(handler, "api.test", 80)
        return await self.start_proxy("api.test", 80, **kwargs)

    async def ask(self, proxy):
        """The answer to a line, through the proxy."""
        reader, writer = await proxy.create_client()
        writer.write(b"hello\n")
        try:
            return await reader.readline()
        finally:
            writer.close()

    @row("`TCPProxy(host, port)`, `proxy.create_client()`")
    async def test_proxy(self):
        self.assertEqual(await self.ask(await self.proxied()), b"hello\n")

    @row("`async with`, `await proxy.close()`, `proxy.proxy_port`")
    async def test_end_of_a_proxy(self):
        proxy = await self.proxied()
        self.assertEqual(await self.ask(proxy), b"hello\n")
        proxy.close()
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("localhost", proxy.port)

    @row("`proxy.set_delay(read, write)`, `proxy.slowdown(read, write)`")
    async def test_delays(self):
        proxy = await self.proxied()
        with proxy.slowdown(0.2, 0.3):
            await self.assertCompletesAfter(self.ask(proxy), 0.5)
        await self.assertCompletesAfter(self.ask(proxy), 0)
        proxy.set_delay(5)
        await self.assertCompletesAfter(self.ask(proxy), 5)

    async def repeat(self, reader, writer):
        """Send back whatever comes."""
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    @row("each chunk waits its delay, one after the other; `set_delay()` meanwhile lets the one go that waits")
    async def test_chunks(self):
        proxy = await self.proxied(self.repeat)
        reader, writer = await proxy.create_client()
        proxy.set_delay(0.2)
        with self.assertElapses(0.4):  # the second and the third one wait together
            for chunk in (b"a", b"b", b"c"):
                writer.write(chunk)
                await self.settle()
            await reader.readexactly(3)
        proxy.set_delay(100)
        writer.write(b"d")
        await asyncio.sleep(1)
        proxy.set_delay(0)
        with self.assertElapses(0):
            self.assertEqual(await reader.read(9), b"d")
        writer.close()

    @row("a delay that is no number, or below 0, is an AssertionError")
    async def test_wrong_delays(self):
        proxy = await self.proxied()
        for wrong in (-1, "1"):
            with self.assertRaises(ValueError):
                proxy.set_delay(wrong)

    @row('processors are functions or coroutine functions; None lets all pass, `b""` drops a chunk')
    async def test_kinds_of_processors(self):
        async def slowly(chunk):
            await asyncio.sleep(3)
            return chunk.upper()

        proxy = await self.proxied(self.repeat)
        reader, writer = await proxy.create_client()
        for processor, answer, seconds in ((slowly, b"DATA", 3), (None, b"data", 0)):
            proxy.set_content_processors(lambda chunk: b"", None)
            writer.write(b"dropped")
            await self.settle()
            proxy.set_content_processors(processor, None)
            writer.write(b"data")
            self.assertEqual(await self.assertCompletesAfter(reader.read(9), seconds), answer)
        writer.close()

    @row("`proxy.set_content_processors(read, write)`; one that raises is logged")
    def test_processors(self):
        async def test(self):
            await self.start_fake_server(echo, "api.test", 80)
            proxy = await self.start_proxy("api.test", 80)
            proxy.set_content_processors(bytes.upper, None)
            self.assertEqual(await AiomiscTest.ask(self, proxy), b"HELLO\n")
            if self.raises:
                proxy.set_content_processors(None, int)
                await AiomiscTest.ask(self, proxy)

        self.assertEqual(failure(test, raises=False), "")
        self.assertIn("ValueError: invalid literal for int()", failure(test, raises=True))

    @row("`proxy.disconnect_all()`")
    async def test_disconnect_all(self):
        proxy = await self.proxied()
        reader, writer = await proxy.create_client()
        await self.settle()
        proxy.disconnect_all()
        self.assertEqual((await reader.read(), reader.at_eof()), (b"", True))
        writer.close()
        self.assertEqual(await self.ask(proxy), b"hello\n")

    @row("`buffered=False`")
    async def test_unbuffered(self):
        proxy = await self.proxied(buffered=False)
        self.assertEqual((await self.ask(proxy), proxy.buffered), (b"hello\n", False))

    @row("a half-close ends the whole connection of a proxy")
    async def test_half_close(self):
        async def count(reader, writer):
            writer.write(b"%d" % len(await reader.read()))
            writer.close()

        reader, writer = await (await self.proxied(count)).create_client()
        writer.write(b"hello\n")
        writer.write_eof()
        self.assertEqual(await reader.read(), b"6")
        writer.close()

    @row("a target that refuses: the client of a proxy sees the end")
    async def test_refused_target(self):
        proxy = await self.start_proxy("nobody.test", 80)
        with self.assertRaises(ConnectionRefusedError):
            await proxy.create_client()


class LooptimeTest(SolipsistTestCase):
    """The table for looptime."""

    @row("`start=`")
    def test_start(self):
        self.assertEqual(failure(lambda self: self.assertNow(100), start_time=100.0), "")

    @row("`start=` that is called for each test")
    def test_start_by_a_call(self):
        starts, seen = itertools.count(5.0), []

        def test(self):
            seen.append(self.now)

        self.assertEqual(failure(test, test_again=test, loop_factory=lambda: SolipsistEventLoop(next(starts))), "")
        self.assertEqual(seen, [5, 6])

    @row("`end=`: tasks get a LoopTimeoutError")
    def test_end(self):
        done = []

        async def test(self):
            try:
                await asyncio.sleep(10)
            finally:
                done.append("finally")

        self.assertIn("VirtualTimeLimitError", failure(test, virtual_time_limit=5))
        self.assertEqual(done, ["finally"])
        self.assertTrue(issubclass(VirtualTimeLimitError, SolipsismError))

    @row("`resolution=`")
    async def test_resolution(self):
        for delay in (0.1, 1e-9, 0.29):
            before = self.loop.time()
            await asyncio.sleep(delay)
            self.assertEqual(self.loop.time(), before + delay)

    @row("`idle_step=`, `idle_timeout=`")
    def test_idle(self):
        async def test(self):
            await asyncio.Event().wait()

        self.assertIn("SleepForeverError: nothing can wake the program at t=0.0", failure(test))
        self.assertTrue(issubclass(SleepForeverError, SolipsismError))

    @row("`noop_cycles=42` turns before each jump")
    async def test_no_cycles(self):
        async def late():
            for _ in range(100):
                await asyncio.sleep(0)
            await asyncio.sleep(1)
            return self.now

        sleeper = asyncio.create_task(asyncio.sleep(5))
        self.assertEqual(await late(), 1)
        await sleeper

    @row("sleeps of days")
    async def test_days(self):
        await self.assertCompletesAfter(asyncio.sleep(864000), 864000)

    @row("an executor's job takes real and virtual time")
    async def test_jobs(self):
        job = self.loop.run_in_executor(None, sum, range(100_000))
        ticks = []
        timer = self.loop.call_later(0.001, ticks.append, 1)
        await job
        self.assertEqual((self.now, ticks), (0.0, []))
        timer.cancel()

    @row("real sockets under virtual time")
    async def test_network(self):
        await self.start_fake_server(echo, "api.test", 80)
        _, writer = await asyncio.open_connection("api.test", 80)
        self.assertGreaterEqual(writer.get_extra_info("socket").fileno(), 2**30)
        writer.close()

    @row("`make_event_loop_class(cls)`, `patch_event_loop(loop)`")
    def test_subclass(self):
        class Mine(SolipsistEventLoop):
            pass

        self.assertEqual(failure(lambda self: self.assertIs(type(self.loop), Mine), loop_factory=Mine), "")

    @row("`new_event_loop()` without pytest")
    def test_without_a_test_case(self):
        with contextlib.closing(SolipsistEventLoop()) as loop:
            loop.run_until_complete(asyncio.sleep(5))
            self.assertEqual(loop.time(), 5)
        with world() as here:
            here.run(asyncio.sleep(5))
            here.assertNow(5)

    @row("`mark.looptime(start=, end=)` for a test, a class or a module")
    def test_marks(self):
        seen = []

        class Late(SolipsistTestCase):
            start_time = 100.0

        class Case(Late):
            def test_as_the_base_says(self):
                seen.append(self.now)

            @with_settings(start_time=200.0, virtual_time_limit=10)
            async def test_on_its_own(self):
                seen.append(self.now)
                await asyncio.sleep(11)

        self.assertIn("VirtualTimeLimitError", told(run(Case)))
        self.assertEqual(seen, [100, 200])

    @row("`loop.setup_looptime()` of a loop that is there")
    async def test_one_life(self):
        await asyncio.sleep(5)
        with contextlib.closing(SolipsistEventLoop(100.0)) as loop:
            self.assertEqual((self.loop.time(), loop.time()), (5, 100))

    @row("`Chronometer()`, fixture `chronometer`")
    async def test_chronometer(self):
        with Chronometer() as took:
            await asyncio.sleep(86400)
        self.assertLess(took.seconds, 3600)

    @row("`Chronometer(loop.time)`")
    async def test_virtual_chronometer(self):
        with Chronometer(self.loop.time) as took:
            await asyncio.sleep(5)
        self.assertEqual(took, 5)

    @row("`Chronometer(keep_gc=False)` turns the garbage collector off meanwhile")
    def test_garbage(self):
        with Chronometer():
            self.assertTrue(gc.isenabled())

    @row("`LoopTimeProxy`, fixture `looptime`, equal within 1 ns")
    async def test_proxy(self):
        for _ in range(10):
            await asyncio.sleep(0.1)
        self.assertNow(1)
        self.assertTrue(self.now > 0.9 and round(self.now * 2, 9) == 2)

    @row("a start that is earlier than now moves time back, with a TimeWarning")
    async def test_never_back(self):
        await asyncio.sleep(5)
        with self.assertRaises(ValueError):
            await self.advance_to(4)

    @row("the time of fixtures is real")
    def test_fixtures(self):
        async def asyncSetUp(self):
            await asyncio.sleep(5)

        self.assertEqual(failure(lambda self: self.assertNow(5), asyncSetUp=asyncSetUp), "")


class LooptimeStockTest(unittest.TestCase):
    """A row of it that needs asyncio's own loop."""

    @row("`looptime_on`, `enabled()`, `looptime(False)`")
    def test_real_time(self):
        async def test(self):
            self.assertIs(type(self.loop), asyncio.SelectorEventLoop)

        self.assertEqual(failure(test, loop_factory=asyncio.SelectorEventLoop), "")

    @row("`--looptime`, `--no-looptime`")
    def test_by_the_class(self):
        kinds = []

        async def test(self):
            kinds.append(isinstance(asyncio.get_running_loop(), SolipsistEventLoop))

        for base in (SolipsistTestCase, unittest.IsolatedAsyncioTestCase):
            self.assertEqual(told(run(type("Case", (base,), {"test": test}))), "")
        self.assertEqual(kinds, [True, False])


class PageTest(unittest.TestCase):
    SECTIONS = {"async-solipsism": [AsyncSolipsismTest], "asynctest": [AsynctestTest, AsynctestStockTest],
                "aiomisc": [AiomiscTest], "looptime": [LooptimeTest, LooptimeStockTest]}
    maxDiff = None

    def test_each_row_has_a_test(self):
        """The rows of each table, and the tests of its classes, are the same."""
        for project, cases in self.SECTIONS.items():
            with self.subTest(project):
                self.assertEqual(sorted(rows(section("moving", f"From {project}"))), sorted(tested_rows(*cases)))

    def test_each_row_says_how_it_is(self):
        """The last cell of a row begins with same, better or differs."""
        for project in self.SECTIONS:
            for line in section("moving", f"From {project}").splitlines():
                if line.startswith("| ") and not line.startswith(f"| {project}"):
                    self.assertRegex(line, r"\| (same|better|differs)(:? [^|]+)? \|$")

    def test_each_block_runs(self):
        """Each block of code that uses this package is a module whose tests pass; each section has one."""
        for project in self.SECTIONS:
            blocks = [block for block in BLOCK.findall(section("moving", f"From {project}"))
                      if "from solipsism_unittest import" in block]
            with self.subTest(project):
                (block,) = blocks
                names = {"__name__": __name__}
                exec(block, names)
                (case,) = [value for value in names.values() if isinstance(value, type)
                           and issubclass(value, SolipsistTestCase) and value is not SolipsistTestCase]
                result = run(case)
                self.assertEqual((told(result), result.testsRun), ("", 1))

    def test_two_screens(self):
        """A section has at most two screens of 50 lines, beside its table."""
        for project in self.SECTIONS:
            lines = section("moving", f"From {project}").splitlines()
            self.assertLessEqual(len([line for line in lines if not line.startswith("|")]), 100)

    def test_the_examples_of_the_projects(self):
        """Of each project at least 12 examples of its documentation are tests."""
        for project in self.SECTIONS:
            module = importlib.import_module(f"tests.examples.moving_in.test_{project.replace('-', '_')}")
            self.assertGreaterEqual(unittest.defaultTestLoader.loadTestsFromModule(module).countTestCases(), 12)


if __name__ == "__main__":
    unittest.main()
