"""Libraries that lead from threads to a loop and back: they make loops, threads, or both, in one virtual time.

Starlette's TestClient and anyio's portal run a loop on a thread of their own; asgiref goes from a coroutine to a thread
to a coroutine; aiosqlite has a thread for each database, and janus a queue with a side for threads.
"""

import asyncio
import concurrent.futures
import contextlib
import queue
import sqlite3
import threading
import time

from solipsism_unittest import SolipsistTestCase
from tests.interop import library, needs

STEP = 0.02  # seconds that the twins sleep, really in their second run

if library("anyio"):
    import anyio
    import anyio.from_thread
if library("starlette") and library("httpx"):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route, WebSocketRoute
    from starlette.testclient import TestClient
if library("asgiref"):
    from asgiref.sync import async_to_sync, sync_to_async
if library("aiosqlite"):
    import aiosqlite
if library("janus"):
    import janus


def application(said):
    """An application that takes its time: /slow in a coroutine, /blocks in a thread, /socket for each message."""

    async def slow(request):
        await asyncio.sleep(60)
        return PlainTextResponse("slow")

    def blocks(request):
        time.sleep(30)
        return PlainTextResponse("blocks")

    async def answer(websocket):
        await websocket.accept()
        text = await websocket.receive_text()
        await asyncio.sleep(10)
        await websocket.send_text(text.upper())
        await websocket.close()

    @contextlib.asynccontextmanager
    async def lifespan(app):
        await asyncio.sleep(5)
        said.append(("up", time.monotonic()))
        yield
        await asyncio.sleep(5)
        said.append(("down", time.monotonic()))

    routes = [Route("/slow", slow), Route("/blocks", blocks), WebSocketRoute("/socket", answer)]
    return Starlette(routes=routes, lifespan=lifespan)


@needs("starlette", "httpx")
class StarletteTest(SolipsistTestCase):
    def test_requests_one_by_one(self):
        """Without a lifespan each request has a loop of its own, and takes its time."""
        client = TestClient(application([]))
        for path, now in (("/slow", 60.0), ("/blocks", 90.0), ("/slow", 150.0)):
            self.assertEqual((client.get(path).text, self.now), (path[1:], now))

    def test_lifespan_and_a_websocket(self):
        """A client in a `with` has one loop: what starts and ends with it, requests, and a websocket."""
        said = []
        with TestClient(application(said)) as client:
            self.assertEqual((client.get("/slow").text, self.now), ("slow", 65.0))
            with client.websocket_connect("/socket") as websocket:
                websocket.send_text("abc")
                self.assertEqual((websocket.receive_text(), self.now), ("ABC", 75.0))
        self.assertEqual(said, [("up", 5.0), ("down", 80.0)])

    async def test_in_a_job(self):
        """Two clients in jobs of a loop have loops beside it and beside each other."""

        def visit(path):
            with TestClient(application([])) as client:
                return client.get(path).text, time.monotonic()

        answers = await asyncio.gather(*[asyncio.to_thread(visit, path) for path in ("/slow", "/blocks")])
        self.assertEqual(answers, [("slow", 65.0), ("blocks", 35.0)])
        self.assertEqual(self.now, 70.0)


@needs("anyio")
class PortalTest(SolipsistTestCase):
    def test_a_blocking_portal(self):
        """Calls of a portal take their time; a result that is waited for with a limit runs out at it."""
        with anyio.from_thread.start_blocking_portal() as portal:
            portal.call(anyio.sleep, 5)
            self.assertEqual(self.now, 5.0)
            sleeper = portal.start_task_soon(anyio.sleep, 100)
            with self.assertRaises((TimeoutError, concurrent.futures.TimeoutError)):
                sleeper.result(10)
            sleeper.cancel()
        self.assertEqual(self.now, 15.0)

    def test_a_context_manager(self):
        """A portal enters and leaves an asynchronous context manager for a thread."""

        @contextlib.asynccontextmanager
        async def manager():
            await anyio.sleep(1)
            yield 7
            await anyio.sleep(2)

        with anyio.from_thread.start_blocking_portal() as portal:
            with portal.wrap_async_context_manager(manager()) as value:
                self.assertEqual((value, self.now), (7, 1.0))
            self.assertEqual(self.now, 3.0)

    async def test_from_a_thread(self):
        """A worker thread calls back into the loop that has started it."""

        def work():
            anyio.from_thread.run(anyio.sleep, 3)
            time.sleep(2)
            return anyio.from_thread.run_sync(time.monotonic)

        self.assertEqual(await anyio.to_thread.run_sync(work), 5.0)


@needs("asgiref")
class AsgirefTest(SolipsistTestCase):
    async def nap(self, seconds):
        await asyncio.sleep(seconds)
        return threading.current_thread() is threading.main_thread(), time.monotonic()

    async def test_to_a_thread_and_back(self):
        """async_to_sync inside of sync_to_async runs on the loop that waits, sensitive to threads or not."""

        def blocks(seconds):
            time.sleep(1)
            return async_to_sync(self.nap)(seconds)

        self.assertEqual(await sync_to_async(blocks)(4), (True, 5.0))
        self.assertEqual(await sync_to_async(blocks, thread_sensitive=False)(4), (True, 10.0))
        at_once = await asyncio.gather(*[sync_to_async(blocks, thread_sensitive=False)(n) for n in (3, 1, 2)])
        self.assertEqual([when for _, when in at_once], [14.0, 12.0, 13.0])

    def test_from_a_plain_program(self):
        """async_to_sync where no loop runs makes one, and what it calls may go on to threads and back."""

        def blocks(seconds):
            time.sleep(seconds)
            return async_to_sync(self.nap)(seconds)

        async def outer(seconds):
            await asyncio.sleep(seconds)
            return await sync_to_async(blocks)(seconds)

        self.assertEqual(async_to_sync(outer)(4)[1], 12.0)


@needs("aiosqlite")
class AiosqliteTest(SolipsistTestCase):
    async def test_a_slow_query(self):
        """A query that sleeps takes its time, others wait for it, and a limit runs out in the midst of it."""
        async with aiosqlite.connect(":memory:") as database:
            await database.create_function("nap", 1, lambda seconds: time.sleep(seconds) or seconds)
            await database.execute("CREATE TABLE t (n)")
            await database.executemany("INSERT INTO t VALUES (?)", [(3,), (4,)])
            async with database.execute("SELECT nap(n) FROM t") as cursor:
                self.assertEqual([row async for row in cursor], [(3,), (4,)])
            self.assertEqual(self.now, 7.0)
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(database.execute("SELECT nap(100)"), 5)
            self.assertEqual(self.now, 12.0)
            await database.commit()
            self.assertEqual(self.now, 107.0)


@needs("janus")
class JanusTest(SolipsistTestCase):
    async def test_both_sides(self):
        """A thread puts, a coroutine gets, and both wait for each other in one time."""
        line = janus.Queue(1)

        def produce():
            for number in range(3):
                time.sleep(2)
                line.sync_q.put(number)
            line.sync_q.join()
            return time.monotonic()

        job = asyncio.create_task(asyncio.to_thread(produce))
        got = []
        for _ in range(3):
            got.append((await line.async_q.get(), self.now))
            await asyncio.sleep(3)
            line.async_q.task_done()
        self.assertEqual((got, await job), ([(0, 2.0), (1, 5.0), (2, 8.0)], 11.0))
        await line.aclose()


class BridgesTwinTest(SolipsistTestCase):
    """What those libraries do, with the standard library alone."""

    def test_a_loop_on_a_thread(self):
        """TestClient and portals: a thread runs a loop, says when it is there, and takes calls until it is told."""
        there, calls = concurrent.futures.Future(), []

        async def serve():
            loop, over = asyncio.get_running_loop(), asyncio.Event()
            there.set_result((loop, over))
            await over.wait()
            calls.append("over")

        async def call(number):
            await asyncio.sleep(number * STEP)
            calls.append(number)
            return number

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            running = pool.submit(asyncio.run, serve())
            loop, over = there.result()
            jobs = [asyncio.run_coroutine_threadsafe(call(number), loop) for number in (3, 1)]
            self.assertEqual([job.result() for job in jobs], [3, 1])
            slow = asyncio.run_coroutine_threadsafe(call(1000), loop)
            with self.assertRaises((TimeoutError, concurrent.futures.TimeoutError)):
                slow.result(STEP)
            slow.cancel()
            loop.call_soon_threadsafe(over.set)
            running.result()
        self.assertEqual(calls, [1, 3, "over"])

    async def test_there_and_back(self):
        """asgiref: a job hands a coroutine to the loop that waits for the job."""
        loop, said = asyncio.get_running_loop(), []

        async def nap(number):
            await asyncio.sleep(number * STEP)
            return threading.get_ident()

        def blocks(number):
            time.sleep(STEP)
            said.append((number, asyncio.run_coroutine_threadsafe(nap(number), loop).result()))

        await asyncio.gather(*[asyncio.to_thread(blocks, number) for number in (4, 2)])
        self.assertEqual(said, [(2, threading.get_ident()), (4, threading.get_ident())])

    def test_down_and_up(self):
        """asgiref: a loop in a job of a loop in a plain program."""

        async def inmost():
            await asyncio.sleep(STEP)
            return 5

        async def outer():
            return await asyncio.to_thread(asyncio.run, inmost())

        self.assertEqual(asyncio.run(outer()), 5)

    async def test_a_database(self):
        """aiosqlite: a thread takes calls from a SimpleQueue, and hands what they gave to futures of the loop."""
        loop, calls = asyncio.get_running_loop(), queue.SimpleQueue()

        def work():
            while (job := calls.get()) is not None:
                future, call = job
                loop.call_soon_threadsafe(future.set_result, call())

        def execute(call):
            future = loop.create_future()
            calls.put_nowait((future, call))
            return future

        thread = threading.Thread(target=work)
        thread.start()
        self.addCleanup(calls.put, None)  # a failure leaves no thread, which would keep others from being judged
        database = await execute(lambda: sqlite3.connect(":memory:"))
        await execute(lambda: database.create_function("nap", 1, lambda number: time.sleep(number * STEP) or number))
        first = execute(lambda: database.execute("SELECT nap(3)").fetchall())
        second = execute(lambda: database.execute("SELECT nap(0)").fetchall())
        done, _ = await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
        self.assertIn(first, done)  # on a busy machine the other one may be done as well by now
        self.assertEqual((first.result(), await second), ([(3,)], [(0,)]))
        await execute(database.close)
        calls.put(None)
        await asyncio.to_thread(thread.join)

    async def test_a_queue_with_two_sides(self):
        """janus: one deque, a Condition for the threads, and an Event of the loop that threads set from afar."""
        loop, items, space = asyncio.get_running_loop(), [], threading.Condition()
        filled, got = asyncio.Event(), []

        def produce():
            for number in range(3):
                with space:
                    self.assertTrue(space.wait_for(lambda: not items, 500 * STEP))
                    items.append(number)
                loop.call_soon_threadsafe(filled.set)

        job = asyncio.create_task(asyncio.to_thread(produce))
        for _ in range(3):
            await filled.wait()
            filled.clear()
            await asyncio.sleep(STEP)
            with space:
                got.append(items.pop())
                space.notify()
        await job
        self.assertEqual(got, [0, 1, 2])


class BridgesTwinOnLoopbackTest(BridgesTwinTest):
    """The same in real time."""

    loop_factory = asyncio.SelectorEventLoop
