"""What is measured: workloads in plain asyncio, and the table of rows that says who runs them.

A workload gives the seconds of processor time that `size` operations took, in the program and in the system for it,
without setting up and hanging up. Nothing here waits, so that is the time a user would see on an idle machine; a clock
on the wall would also count what the rest of a busy one does. Rows about memory give bytes in place of seconds. The
same code runs on every loop; only stock's sleeps are shorter, or the rows would take minutes.
"""

import asyncio
import gc
import os
import pathlib
import queue
import resource
import ssl
import subprocess
import sys
import threading
import tracemalloc
import unittest
from collections.abc import Awaitable, Callable
from functools import cache, partial
from time import process_time
from typing import Any, NamedTuple

HOST = "127.0.0.1"
LINE = b"hello\n"
MESSAGE = b"m" * 64
CHUNK = b"c" * 65536
IDLE = 10_000
CLIENTS = 1_000  # with a heartbeat each
PAGE = resource.getpagesize()
OLD_LOCK = threading.Lock()

LOOPS = {
    "virtual": "solipsism_unittest:SolipsistEventLoop",
    "stock, real loopback": "asyncio:new_event_loop",
    "async-solipsism": "async_solipsism:EventLoop",
    "looptime, real loopback": "looptime:new_event_loop",
    "uvloop, real loopback": "uvloop:new_event_loop",
}


class Contender(NamedTuple):
    """Who runs a workload.

    `target` is the "module:name" that `workload(target, size)` gets: a loop factory or a TestCase class. `aim` is the
    largest ratio of the row's first contender to this one that we want.
    """

    label: str
    target: str
    workload: Callable[[Any, int], float]
    aim: float | None = None


class Row(NamedTuple):
    """A line or more of the table: the first contender, which is ours, against each of the others.

    `unit` is what one operation is given in: "us" where the workload measures seconds, "B" where it measures bytes.
    """

    operation: str
    size: int
    rounds: int
    contenders: tuple[Contender, ...]
    unit: str = "us"


def run_tests(body: Callable[[], Awaitable[object]], test_case: type[unittest.IsolatedAsyncioTestCase],
              count: int) -> float:
    """`count` tests with this body, in a suite."""

    class Case(test_case):
        async def test(self):
            await body()

    return run_tests_of(unittest.TestSuite(Case("test") for _ in range(count)), count)


def run_tests_of(suite: unittest.TestSuite, count: int) -> float:
    """A suite of so many tests."""
    result = unittest.TestResult()
    started = process_time()
    suite.run(result)
    seconds = process_time() - started
    assert result.testsRun == count and result.wasSuccessful(), result.errors or result.failures
    return seconds


async def nothing() -> None:
    """The body of an empty test."""


empty_tests = partial(run_tests, nothing)


async def three_workers() -> None:
    """Three tasks that sleep three times each."""

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(0.01)

    await asyncio.gather(work(), work(), work())


def seeds(test_case: type[unittest.IsolatedAsyncioTestCase], count: int) -> float:
    """One test over `count` seeds of an exploration."""
    from solipsism_unittest import over_seeds  # of the checkout that is measured

    class Case(test_case):
        @over_seeds(count)
        async def test(self):
            await three_workers()

    return run_tests_of(unittest.TestSuite([Case("test")]), 1)


def seeds_of_detangle(target: Any, count: int) -> float:
    """The same by detangle, which explores a function on a loop of its own."""

    @target(runs=count)
    async def test() -> None:
        await three_workers()

    started = process_time()
    test()
    return process_time() - started


def seeds_of_simloop(target: Any, count: int) -> float:
    """The same by simloop."""

    @target(seeds=count)
    async def test() -> None:
        await three_workers()

    started = process_time()
    test()
    return process_time() - started


async def one_line() -> None:
    """A server, a connection, a line and its answer, and the end of all three."""
    server = await asyncio.start_server(send_back, HOST, 0)
    reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
    writer.write(LINE)
    assert await reader.readline() == LINE
    await hang_up(reader, writer)
    server.close()
    await server.wait_closed()


@cache
def tls_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's and a client's, made once for the process."""
    from solipsism_unittest.peers.certificates import contexts  # of the checkout that is measured

    return contexts.server_context((HOST,)), contexts.client_context()


async def one_line_of_tls() -> None:
    """The same as `one_line`, over TLS."""
    server_side, client_side = tls_contexts()
    server = await asyncio.start_server(send_back, HOST, 0, ssl=server_side)
    reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1], ssl=client_side)
    writer.write(LINE)
    assert await reader.readline() == LINE
    writer.close()  # TLS has no half-close
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def after_tests(tests: int, workload: Callable[[Any, int], float], target: Any, size: int) -> float:
    """A workload in a process in which so many tests of ours have run before: does a long suite get slower?"""
    from solipsism_unittest import SolipsistTestCase

    empty_tests(SolipsistTestCase, min(tests, 10 * size))
    gc.collect()  # or what the tests left to collect would be collected, and counted, in the workload
    return workload(target, size)


def imports(statement: str, target: Any, count: int) -> float:
    """A new interpreter that runs this import and ends, bytecode at hand."""
    # The package of the checkout that is measured; nobody's wish for no bytecode counts.
    environment = {**os.environ, "PYTHONPATH": os.path.abspath(sys.path[0]), "PYTHONDONTWRITEBYTECODE": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(count):
        subprocess.run([sys.executable, "-c", statement], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def fresh_loops(loop_factory: Callable[[], Any], count: int) -> float:
    """A new loop that runs one coroutine and is closed."""
    started = process_time()
    for _ in range(count):
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(nothing())
    return process_time() - started


async def echo(count: int, *, idle: int = 0) -> float:
    """Send 64 bytes and wait for them to come back, while `idle` other connections wait in read()."""
    async with await asyncio.start_server(send_back, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        waiting = [await asyncio.open_connection(HOST, port) for _ in range(min(idle, 20 * count))]
        reader, writer = await asyncio.open_connection(HOST, port)
        await round_trips(reader, writer, 10)
        gc.collect()  # or a full collection that opening 3,000 connections has called for falls into the measurement
        seconds = await round_trips(reader, writer, count)
        for ends in [(reader, writer), *waiting]:
            await hang_up(*ends)
    return seconds


async def round_trips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: int) -> float:
    started = process_time()
    for _ in range(count):
        writer.write(MESSAGE)
        await writer.drain()
        await reader.readexactly(len(MESSAGE))
    return process_time() - started


class Returned(asyncio.Protocol):
    """Sends back what comes."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Rally(asyncio.Protocol):
    """Sends back what comes so many times; `done` is its end. The same for datagrams."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.left -= 1
        if self.left:
            self.transport.write(data)
        else:
            self.done.set_result(None)

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.left -= 1
        if self.left:
            self.transport.sendto(data)
        else:
            self.done.set_result(None)


class ReturnedDatagrams(asyncio.DatagramProtocol):
    """Sends each datagram back to where it came from."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        self.transport.sendto(data, address)


async def protocol_echo(count: int) -> float:
    """Send 64 bytes and wait for them to come back, with protocols in place of streams."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Returned, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    transport, rally = await loop.create_connection(partial(Rally, count), HOST, port)
    gc.collect()
    started = process_time()
    transport.write(MESSAGE)
    await rally.done
    seconds = process_time() - started
    transport.close()
    server.close()
    await asyncio.sleep(0.01)
    return seconds


async def datagrams(count: int) -> float:
    """Send a datagram of 64 bytes and wait for it to come back."""
    loop = asyncio.get_running_loop()
    far, _ = await loop.create_datagram_endpoint(ReturnedDatagrams, local_addr=(HOST, 0))
    port = far.get_extra_info("sockname")[1]
    near, rally = await loop.create_datagram_endpoint(partial(Rally, count), remote_addr=(HOST, port))
    gc.collect()
    started = process_time()
    near.sendto(MESSAGE)
    await rally.done
    seconds = process_time() - started
    for transport in (near, far):
        transport.close()
    await asyncio.sleep(0.01)
    return seconds


async def connects(count: int) -> float:
    """Connect to a server and close, one connection after the other."""
    async with await asyncio.start_server(send_back, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        started = process_time()
        for _ in range(count):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.close()
            await writer.wait_closed()
        seconds = process_time() - started
        await asyncio.sleep(0.01)
    return seconds


async def heartbeats(count: int, *, interval: float = 15.0) -> float:
    """A thousand clients send a line to one server now and then: `count` lines altogether."""
    lines, size = 0, min(CLIENTS, count)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal lines
        while await reader.readline():
            lines += 1
        writer.close()

    async def beat(number: int) -> None:
        _, writer = await asyncio.open_connection(HOST, port)
        await asyncio.sleep(interval * number / size)
        for _ in range(count // size):
            await asyncio.sleep(interval)
            writer.write(LINE)
        writer.close()

    async with await asyncio.start_server(listen, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        clients = [asyncio.create_task(beat(number)) for number in range(size)]
        await asyncio.sleep(0)
        started = process_time()
        await asyncio.gather(*clients)
        await asyncio.sleep(interval)
        seconds = process_time() - started
    assert lines == count // size * size, lines
    return seconds


class Counting(asyncio.Protocol):
    """Counts the bytes that it gets, and says when there are enough."""

    def __init__(self, left: list[int], done: asyncio.Event) -> None:
        self.left, self.done = left, done

    def data_received(self, data: bytes) -> None:
        self.left[0] -= len(data)
        if self.left[0] <= 0:
            self.done.set()


async def messages_of_many(count: int, *, clients: int = IDLE, latency: float = 0.0) -> float:
    """Messages on many connections of a virtual network, 1,000 at an instant; with a latency they go over one link."""
    loop: Any = asyncio.get_running_loop()
    left, done = [count * len(MESSAGE)], asyncio.Event()
    server = await loop.create_server(partial(Counting, left, done), "server.test", 80, backlog=clients)
    if latency:
        loop.kernel.network.link("localhost", "server.test", latency=latency)
    clients = min(clients, count)
    transports = [(await loop.create_connection(asyncio.Protocol, "server.test", 80))[0] for _ in range(clients)]
    started = process_time()
    for number in range(count):
        transports[number % clients].write(MESSAGE)
        if number % 1_000 == 999:
            await asyncio.sleep(0.001)
    await done.wait()
    seconds = process_time() - started
    for transport in transports:
        transport.abort()
    server.close()
    await asyncio.sleep(2 * latency)
    await server.wait_closed()
    return seconds


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * PAGE


async def memory_of_connections(count: int) -> float:
    """Bytes that `count` idle connections take, both ends of each."""
    async with await asyncio.start_server(send_back, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        warm = [await asyncio.open_connection(HOST, port) for _ in range(20)]
        gc.collect()
        before = resident()
        ends = [await asyncio.open_connection(HOST, port) for _ in range(count)]
        await asyncio.sleep(0.01)
        gc.collect()
        taken = resident() - before
        for reader, writer in [*warm, *ends]:
            await hang_up(reader, writer)
    return taken


async def memory_of_timers(count: int) -> float:
    """Bytes that `count` pending timers take.

    What Python has asked its allocators for: the process keeps what the round before has freed.
    """
    loop = asyncio.get_running_loop()
    gc.collect()
    tracemalloc.start()
    timers = [loop.call_later(1000 + number, print) for number in range(count)]
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for timer in timers:
        timer.cancel()
    return taken


async def bulk(count: int) -> float:
    """Push `count` chunks of 64 KiB through one connection, until the other end confirms all of them."""
    async with await asyncio.start_server(swallow, HOST, 0) as server:
        reader, writer = await asyncio.open_connection(HOST, server.sockets[0].getsockname()[1])
        started = process_time()
        for _ in range(count):
            writer.write(CHUNK)
            await writer.drain()
        writer.write_eof()
        answer = await reader.read()
        seconds = process_time() - started
        assert int(answer) == count * len(CHUNK), answer
        writer.close()
        await writer.wait_closed()
    return seconds


async def send_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(len(CHUNK)):
        writer.write(data)
        await writer.drain()
    writer.close()


async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    total = 0
    while data := await reader.read(len(CHUNK)):
        total += len(data)
    writer.write(b"%d" % total)
    writer.close()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close, and wait until the server's handler is done too: 3.11 would cancel it, and log that."""
    writer.write_eof()
    await reader.read()
    writer.close()
    await writer.wait_closed()


async def chained_sleeps(count: int, *, delay: float = 0.001) -> float:
    """One sleep after the other: each is one jump of a virtual clock."""
    started = process_time()
    for _ in range(count):
        await asyncio.sleep(delay)
    return process_time() - started


async def concurrent_sleeps(count: int) -> float:
    """A task for each sleep, all of them waiting at once."""
    started = process_time()
    await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(count)))
    return process_time() - started


async def with_locks(make: str, count: int) -> float:
    """Take a lock of module threading by `with`, which nobody else has, and give it back."""
    lock = getattr(threading, make)()  # of the world, where there is one
    started = process_time()
    for _ in range(count):
        with lock:
            pass
    return process_time() - started


async def locks_by_hand(count: int) -> float:
    """The same by acquire() and release()."""
    lock = threading.Lock()
    started = process_time()
    for _ in range(count):
        lock.acquire()
        lock.release()
    return process_time() - started


async def with_an_old_lock(count: int) -> float:
    """The same with one that was made before the loop."""
    started = process_time()
    for _ in range(count):
        with OLD_LOCK:
            pass
    return process_time() - started


async def things_queued(count: int) -> float:
    """Put something into a SimpleQueue and take it out."""
    line: queue.SimpleQueue[int] = queue.SimpleQueue()
    started = process_time()
    for number in range(count):
        line.put(number)
        line.get()
    return process_time() - started


async def in_threads(count: int) -> float:
    """One short job in a thread after the other."""
    await asyncio.to_thread(int)
    started = process_time()
    for _ in range(count):
        await asyncio.to_thread(int)
    return process_time() - started


def on(label: str, workload: Callable[[int], Awaitable[float]], *, aim: float | None = None) -> Contender:
    """The contender that runs `workload` on the loop with this label."""
    return Contender(label, LOOPS[label], partial(run_on_loop, workload), aim)


def run_on_loop(workload: Callable[[int], Awaitable[float]], loop_factory: Callable[[], Any], size: int) -> float:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(workload(size))


# Not 0 seconds: that makes no timer at all.
SHORT_SLEEPS = partial(chained_sleeps, delay=1e-9)
STOCK_IMPORT = partial(imports, "import asyncio, unittest")
STOCK_CASE = "unittest:IsolatedAsyncioTestCase"
OUR_CASE = "solipsism_unittest:SolipsistTestCase"

ROWS = {
    "import": Row("a new interpreter's import", 5, 9, (
        Contender("virtual", OUR_CASE, partial(imports, "import solipsism_unittest")),
        Contender("import asyncio, unittest", STOCK_CASE, STOCK_IMPORT, aim=1.5),
    )),
    "import-case": Row("the same of the test case itself", 5, 9, (
        Contender("virtual", OUR_CASE, partial(imports, "from solipsism_unittest import SolipsistTestCase")),
        Contender("import asyncio, unittest", STOCK_CASE, STOCK_IMPORT),
    )),
    "empty-test": Row("one empty test", 200, 9, (
        Contender("virtual", OUR_CASE, empty_tests),
        Contender("stock IsolatedAsyncioTestCase", STOCK_CASE, empty_tests, aim=0.25),
        Contender("the same, no debug mode", "tests.benchmarks.undebugged:UndebuggedTestCase", empty_tests, aim=1.5),
    )),
    "checks": Row("one empty test", 200, 9, (
        Contender("virtual", OUR_CASE, empty_tests),
        Contender("itself, no leaks, no guard", "tests.benchmarks.unchecked:UncheckedTestCase", empty_tests, aim=1.25),
    )),
    "seeds": Row("one seed of an exploration", 200, 9, (
        Contender("virtual", OUR_CASE, seeds),
        Contender("itself, plain runs", OUR_CASE, partial(run_tests, three_workers), aim=2.0),
        Contender("simloop", "simloop:sim_test", seeds_of_simloop, aim=0.05),
        Contender("detangle", "detangle:test", seeds_of_detangle),
    )),
    "one-line": Row("a test with server, client, line", 100, 9, (
        Contender("virtual", OUR_CASE, partial(run_tests, one_line)),
        Contender("stock, real loopback", STOCK_CASE, partial(run_tests, one_line), aim=0.15),
    )),
    "tls": Row("the same with TLS", 40, 9, (
        Contender("virtual", OUR_CASE, partial(run_tests, one_line_of_tls)),
        Contender("stock, real loopback", STOCK_CASE, partial(run_tests, one_line_of_tls), aim=0.6),
    )),
    "aged": Row("one sleep after 2,000 tests", 10_000, 9, (
        Contender("virtual", LOOPS["virtual"], partial(after_tests, 2_000, partial(run_on_loop, chained_sleeps))),
        Contender("itself, after 20 tests", LOOPS["virtual"],
                  partial(after_tests, 20, partial(run_on_loop, chained_sleeps)), aim=1.05),
    )),
    "aged-stock": Row("stock's sleep after 2,000 tests", 10_000, 9, (
        Contender("stock", LOOPS["stock, real loopback"],
                  partial(after_tests, 2_000, partial(run_on_loop, SHORT_SLEEPS))),
        Contender("itself, after 20 tests", LOOPS["stock, real loopback"],
                  partial(after_tests, 20, partial(run_on_loop, SHORT_SLEEPS)), aim=1.05),
    )),
    "fresh-loop": Row("a new loop, one coroutine, its end", 300, 9, (
        Contender("virtual", LOOPS["virtual"], fresh_loops),
        Contender("stock, real loopback", LOOPS["stock, real loopback"], fresh_loops, aim=1.5),
    )),
    "echo": Row("round trip of 64 bytes", 3_000, 9, (
        on("virtual", echo),
        on("async-solipsism", echo, aim=0.55),
        on("stock, real loopback", echo),
        on("looptime, real loopback", echo),
        on("uvloop, real loopback", echo, aim=0.65),
    )),
    "protocols": Row("round trip of 64 bytes, protocols", 5_000, 9, (
        on("virtual", protocol_echo),
        on("async-solipsism", protocol_echo),
        on("stock, real loopback", protocol_echo),
        on("uvloop, real loopback", protocol_echo, aim=0.75),
    )),
    "connect": Row("connect and close", 500, 9, (
        on("virtual", connects),
        on("async-solipsism", connects, aim=1.5),
        on("stock, real loopback", connects, aim=0.7),
        on("uvloop, real loopback", connects),
    )),
    "datagrams": Row("round trip of a datagram", 3_000, 9, (
        on("virtual", datagrams),
        on("stock, real loopback", datagrams, aim=0.5),
        on("uvloop, real loopback", datagrams),
    )),
    "bulk": Row("64 KiB written and drained", 1_024, 7, (
        on("virtual", bulk),
        on("async-solipsism", bulk, aim=0.65),
        on("stock, real loopback", bulk),
        on("looptime, real loopback", bulk),
        on("uvloop, real loopback", bulk),
    )),
    "sleep": Row("one sleep after the other", 20_000, 7, (
        on("virtual", chained_sleeps),
        on("async-solipsism", chained_sleeps, aim=0.6),
        on("looptime, real loopback", chained_sleeps),
    )),
    "many-sleeps": Row("one sleep after the other", 100_000, 5, (
        on("virtual", chained_sleeps),
        on("stock, real loopback", SHORT_SLEEPS),
    )),
    "sleepers": Row("one sleeping task of many", 100_000, 7, (
        on("virtual", concurrent_sleeps),
        on("async-solipsism", concurrent_sleeps),
        on("stock, real loopback", concurrent_sleeps, aim=0.9),
        on("looptime, real loopback", concurrent_sleeps),
        on("uvloop, real loopback", concurrent_sleeps),
    )),
    "fewer-sleepers": Row("one sleeping task of 20,000", 20_000, 15, (
        on("virtual", concurrent_sleeps),
        on("stock, real loopback", concurrent_sleeps, aim=0.9),
    )),
    "heartbeats": Row("a heartbeat of 1,000 clients", 20_000, 7, (
        on("virtual", heartbeats),
        on("async-solipsism", heartbeats, aim=0.05),
    )),
    "idle": Row(f"echo beside {IDLE:,} idle connections", 3_000, 7, (
        on("virtual", partial(echo, idle=IDLE)),
        on("virtual", echo, aim=1.1)._replace(label="itself, no idle connections"),
    )),
    "link": Row(f"a message of {IDLE:,} connections", 50_000, 5, (
        on("virtual", partial(messages_of_many, latency=0.05)),
        on("virtual", messages_of_many, aim=3.0)._replace(label="itself, no link"),
    )),
    "to-thread": Row("a job in a thread", 1_000, 9, (
        on("virtual", in_threads),
        on("stock, real loopback", in_threads),
    )),
    "lock": Row("a `with` on a lock", 100_000, 9, (
        on("virtual", partial(with_locks, "Lock")),
        on("stock, real loopback", partial(with_locks, "Lock"), aim=3.0),
    )),
    "rlock": Row("a `with` on an RLock", 100_000, 9, (
        on("virtual", partial(with_locks, "RLock")),
        on("stock, real loopback", partial(with_locks, "RLock"), aim=3.0),
    )),
    "old-lock": Row("a `with` on a lock from before", 100_000, 9, (
        on("virtual", with_an_old_lock),
        on("stock, real loopback", with_an_old_lock, aim=3.0),
    )),
    "lock-by-hand": Row("acquire() and release()", 100_000, 9, (
        on("virtual", locks_by_hand),
        on("stock, real loopback", locks_by_hand),
    )),
    "simple-queue": Row("put() and get() of a SimpleQueue", 100_000, 9, (
        on("virtual", things_queued),
        on("stock, real loopback", things_queued, aim=3.0),
    )),
    "connections": Row("an idle connection", 1_000, 7, (
        on("virtual", memory_of_connections),
        on("stock, real loopback", memory_of_connections, aim=1.1),
    ), "B"),
    "timers": Row("a pending timer", 50_000, 7, (
        on("virtual", memory_of_timers),
        on("stock, real loopback", memory_of_timers, aim=1.2),
    ), "B"),
}  # fmt: skip
