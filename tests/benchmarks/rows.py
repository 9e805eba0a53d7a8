"""What is measured: workloads in plain asyncio, and the table of rows that says who runs them.

A workload gives the seconds of processor time that `size` operations took, in the program and in the system for it,
without setting up and hanging up. Nothing here waits, so that is the time a user would see on an idle machine; a clock
on the wall would also count what the rest of a busy one does. The same code runs on every loop; only stock's chained
sleeps are shorter, or the row would take minutes.
"""

import asyncio
import gc
import unittest
from collections.abc import Awaitable, Callable
from functools import partial
from time import process_time
from typing import Any, NamedTuple

HOST = "localhost"
MESSAGE = b"m" * 64
CHUNK = b"c" * 65536
IDLE = 3_000

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
    """A line or more of the table: the first contender, which is ours, against each of the others."""

    operation: str
    size: int
    rounds: int
    contenders: tuple[Contender, ...]


def empty_tests(test_case: type[unittest.IsolatedAsyncioTestCase], count: int) -> float:
    """One test that does nothing, through TestCase.run, as a suite runs it."""

    class Empty(test_case):
        async def test(self):
            pass

    result = unittest.TestResult()
    tests = [Empty("test") for _ in range(count)]
    started = process_time()
    for test in tests:
        test.run(result)
    seconds = process_time() - started
    assert result.testsRun == count and result.wasSuccessful(), result.errors or result.failures
    return seconds


async def echo(count: int, *, idle: int = 0) -> float:
    """Send 64 bytes and wait for them to come back, while `idle` other connections wait in read()."""
    async with await asyncio.start_server(send_back, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        waiting = [await asyncio.open_connection(HOST, port) for _ in range(idle)]
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


def on(label: str, workload: Callable[[int], Awaitable[float]], *, aim: float | None = None) -> Contender:
    """The contender that runs `workload` on the loop with this label."""
    return Contender(label, LOOPS[label], partial(run_on_loop, workload), aim)


def run_on_loop(workload: Callable[[int], Awaitable[float]], loop_factory: Callable[[], Any], size: int) -> float:
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        return runner.run(workload(size))


ROWS = {
    "empty-test": Row("one empty test", 200, 9, (
        Contender("virtual", "solipsism_unittest:SolipsistTestCase", empty_tests),
        Contender("stock IsolatedAsyncioTestCase", "unittest:IsolatedAsyncioTestCase", empty_tests, aim=0.35),
    )),
    "checks": Row("one empty test", 200, 9, (
        Contender("virtual", "solipsism_unittest:SolipsistTestCase", empty_tests),
        Contender("itself, no leaks, no guard", "tests.benchmarks.unchecked:UncheckedTestCase", empty_tests, aim=1.25),
    )),
    "echo": Row("round trip of 64 bytes", 3_000, 9, (
        on("virtual", echo),
        on("async-solipsism", echo, aim=0.9),
        on("stock, real loopback", echo),
        on("looptime, real loopback", echo),
        on("uvloop, real loopback", echo),
    )),
    "bulk": Row("64 KiB written and drained", 1_024, 7, (
        on("virtual", bulk),
        on("async-solipsism", bulk),
        on("stock, real loopback", bulk),
        on("looptime, real loopback", bulk),
        on("uvloop, real loopback", bulk),
    )),
    "sleep": Row("one sleep after the other", 20_000, 5, (
        on("virtual", chained_sleeps),
        on("async-solipsism", chained_sleeps, aim=0.9),
        on("looptime, real loopback", chained_sleeps),
    )),
    "many-sleeps": Row("one sleep after the other", 100_000, 5, (
        on("virtual", chained_sleeps),
        on("stock, real loopback", partial(chained_sleeps, delay=1e-9)),  # not 0: that makes no timer at all
    )),
    "sleepers": Row("one sleeping task of many", 100_000, 3, (
        on("virtual", concurrent_sleeps),
        on("async-solipsism", concurrent_sleeps),
        on("stock, real loopback", concurrent_sleeps),
        on("looptime, real loopback", concurrent_sleeps),
        on("uvloop, real loopback", concurrent_sleeps),
    )),
    "idle": Row(f"echo beside {IDLE:,} idle connections", 3_000, 7, (
        on("virtual", partial(echo, idle=IDLE)),
        on("virtual", echo, aim=1.25)._replace(label="itself, no idle connections"),
    )),
}  # fmt: skip
