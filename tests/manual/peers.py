"""What the manual's table of peers rests on: a probe for each row, run on each peer that is installed.

`python -m tests.manual.peers` prints the rows; names of peers behind it choose among them. A probe is a coroutine
function in plain asyncio, and has a process of its own. It has passed when it returns or, where an error is what a
tester wants, when it raises one.
"""

import asyncio
import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests import ROOT

HOST = "127.0.0.1"
HOSTS = {"simloop": "driver"}  # which has hosts of its own alone
LIMIT = 30  # real seconds for a probe
Probe = Callable[[], Awaitable[object]]


# -- the peers, and how each runs a coroutine function as one test


def on_loop(factory: str) -> Callable[[Probe], None]:
    """With a loop of this "module:name"."""
    def run(probe: Probe) -> None:
        module, _, name = factory.partition(":")
        with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), name)) as runner:
            runner.run(probe())

    return run


def by_us(probe: Probe) -> None:
    """In a test case."""
    import unittest

    from solipsism_unittest import SolipsistTestCase, over_seeds

    seeds = getattr(probe, "seeds", 0)

    async def test(self: SolipsistTestCase) -> None:
        await probe()

    case = type("Case", (SolipsistTestCase,), {"test": over_seeds(seeds)(test) if seeds else test})
    result = unittest.TestResult()
    case("test").run(result)
    for _, text in result.errors + result.failures:
        raise AssertionError(text)


def by_aiomisc(probe: Probe) -> None:
    """By its entry point, as its plug-in for pytest does."""
    import aiomisc

    aiomisc.run(probe())


def by_simloop(probe: Probe) -> None:
    """As a test of simloop's."""
    from simloop import sim_test

    async def test() -> None:
        await probe()

    sim_test(seeds=getattr(probe, "seeds", 1))(test)()


def by_simloom(probe: Probe) -> None:
    """In a run for each seed; `virtual_time` patches module time."""
    import simloom

    for seed in range(getattr(probe, "seeds", 1)):
        simloom.run(probe, seed=seed, virtual_time=True)


def by_detangle(probe: Probe) -> None:
    """As a test of detangle's."""
    import detangle

    async def test() -> None:
        await probe()

    detangle.test(runs=getattr(probe, "seeds", 1))(test)()


PEERS: dict[str, tuple[str, Callable[[Probe], None]]] = {
    "us": ("solipsism_unittest", by_us),
    "async-solipsism": ("async_solipsism", on_loop("async_solipsism:EventLoop")),
    "looptime": ("looptime", on_loop("looptime:new_event_loop")),
    "aiomisc": ("aiomisc", by_aiomisc),
    "pytest-asyncio": ("pytest_asyncio", on_loop("asyncio:new_event_loop")),  # its fixtures make no other
    "simloop": ("simloop", by_simloop),
    "simloom": ("simloom", by_simloom),
    "detangle": ("detangle", by_detangle),
}


# -- the probes


async def a_day() -> None:
    """A day of sleep takes no real time."""
    await asyncio.sleep(86400)


async def monotonic() -> None:
    """`time.monotonic()` follows the loop's time."""
    start = time.monotonic()
    await asyncio.sleep(10)
    assert 9.9 < time.monotonic() - start < 10.1


async def timers() -> None:
    """Timers of one instant run in the order in which they were made, and none early."""
    loop, order = asyncio.get_running_loop(), []
    for number in range(7):
        loop.call_later(0.1, order.append, number)
    when = loop.time() + 1 / 3
    late = loop.create_future()
    loop.call_at(when, lambda: late.set_result(loop.time() >= when))
    assert await late and order == list(range(7)), order


async def a_hang() -> None:
    """A test that nothing can wake is an error."""
    await asyncio.Event().wait()


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(await reader.readline())
    writer.close()


async def ask(host: str, port: int, **options: Any) -> bytes:
    reader, writer = await asyncio.open_connection(host, port, **options)
    writer.write(b"hello\n")
    line = await reader.readline()
    writer.close()
    return line


async def any_host() -> None:
    """A server on a host name of one's own and a low port, in memory."""
    async with await asyncio.start_server(answer, "api.test", 80):
        assert await ask("api.test", 80) == b"hello\n"


async def loopback() -> None:
    """asyncio's streams on the loopback."""
    async with await asyncio.start_server(answer, HOST, 8080):
        assert await ask(HOST, 8080) == b"hello\n"


async def tls() -> None:
    """asyncio's streams with TLS, with Python's own module ssl."""
    from solipsism_unittest.peers.certificates import contexts

    async with await asyncio.start_server(answer, HOST, 8443, ssl=contexts.server_context((HOST,))):
        assert await ask(HOST, 8443, ssl=contexts.client_context()) == b"hello\n"


async def datagrams() -> None:
    """asyncio's datagram endpoints."""
    loop = asyncio.get_running_loop()
    got = loop.create_future()

    class Receiver(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: object) -> None:
            got.set_result(data)

    receiver, _ = await loop.create_datagram_endpoint(Receiver, local_addr=(HOST, 5353))
    sender, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=(HOST, 5353))
    sender.sendto(b"hello")
    assert await got == b"hello"
    receiver.close()
    sender.close()


async def unix() -> None:
    """UNIX sockets."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "socket")
        async with await asyncio.start_unix_server(answer, path):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()


async def blocking_client() -> None:
    """A client with blocking sockets in a thread, against a server on the loop."""
    def client() -> bytes:
        with socket.create_connection((HOST, 8081), 5) as connection:
            connection.sendall(b"hello\n")
            return connection.recv(100)

    async with await asyncio.start_server(answer, HOST, 8081):
        assert await asyncio.to_thread(client) == b"hello\n"


async def a_thread_that_sleeps() -> None:
    """An hour of `time.sleep()` in a thread takes no real time, and the loop sees it go by."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    await asyncio.to_thread(time.sleep, 3600)
    assert 3599 < loop.time() - start < 3601


async def a_signal() -> None:
    """A handler of the loop hears a signal that the program sends to itself."""
    heard = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, heard.set)
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.wait_for(heard.wait(), 5)


async def a_process() -> None:
    """A real process that the program wants to start by asyncio is an error."""
    await asyncio.create_subprocess_exec("true")


async def an_escape() -> None:
    """And so is one that it starts by module subprocess, in a thread."""
    await asyncio.to_thread(subprocess.run, ["true"])


async def a_real_socket() -> None:
    """A real connection that the program wants to make is an error, in C code too."""
    import _socket

    with contextlib.closing(_socket.socket()) as sock:
        sock.connect_ex(("127.0.0.1", 9))


async def a_task_left() -> None:
    """A task that the test leaves fails it."""
    asyncio.get_running_loop().kept = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)


async def a_connection_left() -> None:
    """A connection that the test leaves open fails it."""
    async with await asyncio.start_server(lambda reader, writer: writer.close(), HOST, 8082):
        asyncio.get_running_loop().kept = await asyncio.open_connection(HOST, 8082)


async def a_task_that_dies() -> None:
    """An error of a task that nobody awaits fails the test."""
    async def fail() -> None:
        raise LookupError("on purpose")

    asyncio.create_task(fail())
    await asyncio.sleep(1)


async def a_blocking_call() -> None:
    """`time.sleep()` in a coroutine fails the test."""
    time.sleep(0.01)


async def a_race() -> None:
    """A race between two connections is found."""
    orders = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        orders.append(await reader.readline())
        writer.close()

    async def send(order: bytes) -> None:
        _, writer = await asyncio.open_connection(HOST, 8083)
        writer.write(order)
        writer.close()

    async with await asyncio.start_server(serve, HOST, 8083):
        await asyncio.gather(send(b"buy\n"), send(b"cancel\n"))
        await asyncio.sleep(60)
    assert orders == [b"buy\n", b"cancel\n"], orders


a_race.seeds = 200  # type: ignore[attr-defined]

PASS: tuple[Probe, ...] = (a_day, monotonic, timers, any_host, loopback, tls, datagrams, unix, blocking_client,
                           a_thread_that_sleeps, a_signal)
RAISE: tuple[Probe, ...] = (a_hang, a_process, an_escape, a_real_socket, a_task_left, a_connection_left,
                            a_task_that_dies, a_blocking_call, a_race)
PROBES = {probe.__name__: probe for probe in (*PASS, *RAISE)}


# -- what came of them


@functools.cache
def version(peer: str) -> str:
    """The installed version of a peer; "" where it is not installed."""
    module, _ = PEERS[peer]
    if importlib.util.find_spec(module) is None:
        return ""
    return "" if peer == "us" else importlib.metadata.version(peer)


def outcome(peer: str, probe: Probe) -> str:
    """"yes" or "no", in a process of its own."""
    try:
        child = subprocess.run([sys.executable, "-W", "ignore", "-m", "tests.manual.peers", peer, probe.__name__],
                               cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return "no"
    said = child.stdout.rpartition("outcome: ")[2].strip() if "outcome: " in child.stdout else ""
    return "yes" if said == ("passed" if probe in PASS else "raised") else "no"


def try_it(peer: str, name: str) -> None:
    """Run a probe in this process and print what came of it."""
    global HOST
    HOST = HOSTS.get(peer, HOST)
    _, run = PEERS[peer]
    try:
        run(PROBES[name])
    except BaseException as error:
        print(f"{type(error).__name__}: {error}"[:300])
        print("outcome: raised", flush=True)
    else:
        print("outcome: passed", flush=True)
    os._exit(0)  # whatever threads there are


def sentence(probe: Probe) -> str:
    """What a probe shows."""
    return (probe.__doc__ or "").rstrip(".")


def line(probe: Probe, peers: list[str]) -> str:
    """A row of the table."""
    return f"| {sentence(probe)} | " + " | ".join(outcome(peer, probe) for peer in peers) + " |"


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2] in PROBES:
        try_it(*sys.argv[1:])
    here = [peer for peer in PEERS if (peer == "us" or version(peer)) and (len(sys.argv) == 1 or peer in sys.argv)]
    print("| | " + " | ".join(f"{peer} {version(peer)}".strip() for peer in here) + " |")
    print("|---" * (len(here) + 1) + "|")
    for each in PROBES.values():
        print(line(each, here), flush=True)
