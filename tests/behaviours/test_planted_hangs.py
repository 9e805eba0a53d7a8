"""Hangs as people plant them: each fails soon, and its text says who waits where, for what, and who holds that."""

import asyncio
import contextlib
import functools
import linecache
import re
import time
import unittest

from solipsism_unittest import LivelockError, SleepForeverError, SolipsismError, SolipsistEventLoop, stream_pairs

SOON = 2.0  # seconds of the processor: a busy machine takes longer


async def take(first, second, meanwhile=1):
    async with first:
        await asyncio.sleep(meanwhile)
        async with second:  # here
            pass


async def crosswise():
    left, right = asyncio.Lock(), asyncio.Lock()
    await asyncio.gather(
        asyncio.create_task(take(left, right), name="Alice"), asyncio.create_task(take(right, left), name="Bob")
    )


async def philosophers():
    forks = [asyncio.Lock() for _ in range(3)]
    async with asyncio.TaskGroup() as table:
        for seat, name in enumerate(("Plato", "Kant", "Hume")):
            table.create_task(take(forks[seat], forks[(seat + 1) % 3]), name=name)


async def awaiting_oneself():
    async def ask():
        await answering  # here

    async def answer():
        await asyncio.gather(asking)  # here

    asking = asyncio.create_task(ask(), name="asking")
    answering = asyncio.create_task(answer(), name="answering")
    await asking


async def join_without_task_done():
    queue = asyncio.Queue()

    async def work():
        while True:
            await queue.get()  # here

    for item in range(3):
        queue.put_nowait(item)
    asyncio.create_task(work(), name="worker")
    await queue.join()  # here


async def event_never_set():
    ready = asyncio.Event()
    await ready.wait()  # here


async def read_without_a_writer():
    (reader, writer), (_, peer) = await stream_pairs()
    with contextlib.closing(writer), contextlib.closing(peer):
        peer.write(b"HTTP/1.1 200")
        await reader.readline()  # here


async def drain_without_a_reader():
    (_, writer), (_, peer) = await stream_pairs(1_000)
    peer.transport.pause_reading()
    try:
        writer.write(bytes(100_000))
        await writer.drain()  # here
    finally:
        writer.transport.abort()
        peer.transport.abort()


async def spin():
    while True:
        await asyncio.sleep(0)  # here


async def swallowing(program):
    """The program in a body that swallows what it can, and in tasks that do."""
    try:
        await program()
    except BaseException:
        with contextlib.suppress(BaseException):
            await asyncio.sleep(3600)
        with contextlib.suppress(BaseException):
            await asyncio.get_running_loop().create_future()
    return "passed"


def new_runner():
    return asyncio.Runner(debug=False, loop_factory=SolipsistEventLoop)


class PlantedTest(unittest.TestCase):
    maxDiff = None

    def fails(self, program, kind):
        began = time.process_time()
        with self.assertRaises(SolipsismError) as caught, new_runner() as runner:
            runner.run(program)
        took = time.process_time() - began
        self.assertIs(type(caught.exception), kind)
        self.assertLess(took, SOON)
        return str(caught.exception)

    def assertTells(self, program, *words, kind=SleepForeverError):
        """The program fails soon, by itself and in a body that swallows all; the text has the words and lines."""
        for body in (program, functools.partial(swallowing, program)):
            text = self.fails(body(), kind)
            for word in words:
                self.assertIn(word, text)
            places = set(re.findall(r"tests.behaviours.test_planted_hangs\.py:(\d+)", text))
            self.assertTrue(places & {str(line) for code in (program.__code__, take.__code__) for line in marked(code)})

    def test_two_locks_crosswise(self):
        """Two tasks with two locks: the cycle comes first, and each lock says who holds it."""
        self.assertTells(
            crosswise,
            "\n  a cycle: Alice holds Lock 1 (first) and waits for Lock 2 (second); "
            "Bob holds Lock 2 (first) and waits for Lock 1 (second)\n",
            "\n  Alice (take) at tests",
            "waits for Lock 2 (second), which Bob holds: <Lock [locked, waiters:1]>",
            "waits for Lock 1 (second), which Alice holds: <Lock [locked, waiters:1]>",
        )

    def test_three_philosophers(self):
        """Three tasks in a circle, each with the lock that another waits for."""
        self.assertTells(
            philosophers,
            "\n  a cycle: Hume holds Lock 1 (first) and waits for Lock 2 (second); "
            "Plato holds Lock 2 (first) and waits for Lock 3 (second); "
            "Kant holds Lock 3 (first) and waits for Lock 1 (second)\n",
            "waits for the tasks of a TaskGroup: Hume, Kant, Plato",
        )

    def test_a_task_that_awaits_itself(self):
        """A task that awaits another which gathers the first: cancelling them ends, and asyncio has no complaint."""
        self.assertTells(
            awaiting_oneself,
            "\n  a cycle: answering waits for task asking; asking waits for task answering\n",
            "waits for gather() of 1, still pending: asking",
        )

    def test_join_without_task_done(self):
        """join() says how many items nobody reported as done, and the worker that it gets on."""
        self.assertTells(
            join_without_task_done,
            "waits for join() of a queue that nobody finishes (3 without task_done(), 0 still in it): <Queue",
            "\n  worker (join_without_task_done.<locals>.work) at tests",
        )

    def test_an_event_never_set(self):
        """An Event has its name."""
        self.assertTells(event_never_set, "waits for Event 1 (ready), which nobody sets: <Event [unset, waiters:1]>")

    def test_a_read_without_a_writer(self):
        """A read says from whom, and how much has come."""
        self.assertTells(
            read_without_a_writer,
            "waits for readline() from <stream joined in memory established 0 of 65536 bytes to read>",
            "and 12 bytes have come so far: b",
        )

    def test_a_drain_without_a_reader(self):
        """A drain() says how full the peer's buffer is."""
        self.assertTells(
            drain_without_a_reader,
            "waits for drain(), because the peer does not read: 99000 bytes unsent",
            "1000 of 1000 bytes not read by the peer>",
        )

    def test_a_spin(self):
        """A poll with sleep(0) says who runs and how often."""
        self.assertTells(
            spin,
            "100,000 turns of the loop changed nothing",
            "\n  it runs now: task Task-1 100 times (in 100 turns)\n",
            kind=LivelockError,
        )


def marked(code):
    """The numbers of the lines of some code, and of the functions in it, that are marked `# here`."""
    lines = {line for _, _, line in code.co_lines() if line}
    numbers = {line for line in lines if linecache.getline(code.co_filename, line).rstrip().endswith("# here")}
    for constant in code.co_consts:
        if hasattr(constant, "co_lines"):
            numbers |= marked(constant)
    return numbers
