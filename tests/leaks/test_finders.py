"""Each kind of leftover is found, with the line where it was made."""

import asyncio
import concurrent.futures
import contextlib
import gc
import socket
import threading
import time
import warnings

from solipsism_unittest import SolipsistEventLoop, fail_on, sealed
from solipsism_unittest.kernel.choices import Explorer
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.leaks.finders import FINDERS, Remains
from solipsism_unittest.leaks.kinds import KINDS
from solipsism_unittest.loop.explored import explore
from tests.case.test_case import run, told
from tests.leaks import LeakTest, case_of, made_in


class FindersTest(LeakTest):
    def test_a_finder_for_each_kind(self):
        """Each kind has a finder, but for coroutines, which are found when they are collected."""
        self.assertEqual(FINDERS.keys(), KINDS.keys() - {"coroutine"})

    def test_task(self):
        """A pending task."""

        async def leaky(self):
            self.task = asyncio.create_task(asyncio.sleep(5), name="ticker")
            await asyncio.sleep(1)

        async def clean(self):
            await asyncio.create_task(asyncio.sleep(5))

        self.check(leaky, clean, "1 thing", r"1 pending task\n    ticker \(sleep\) .*waits for sleep\(5\)", 1)

    def test_inside_a_task_of_asyncio(self):
        """What asyncio makes in a task of its own is told with the line that had the task made."""

        async def leaky(self):
            self.streams = await asyncio.gather(asyncio.open_connection("api.test", 80))

        async def clean(self):
            [(_, writer)] = await asyncio.gather(asyncio.open_connection("api.test", 80))
            writer.close()
            await writer.wait_closed()

        async def serve(self):
            await self.start_fake_server(host="api.test", port=80)

        for body in (leaky, clean):
            body.__qualname__ = body.__name__
        result = run(case_of(leaky, asyncSetUp=serve))
        self.assertRegex(told(result), made_in(leaky, 1))
        self.assertEqual(told(run(case_of(clean, asyncSetUp=serve))), "")

    def test_a_hang_in_a_cleanup(self):
        """A cleanup that waits for ever is told with its name: its traceback has no line of the test."""

        async def body(self):
            self.addAsyncCleanup(asyncio.Event().wait)

        result = run(case_of(body))
        self.assertEqual((len(result.failures), len(result.errors)), (0, 1))
        self.assertIn("SleepForeverError", told(result))
        self.assertIn("in the cleanup Event.wait", told(result))

    def test_the_test_itself_is_no_leftover(self):
        """A test that refuses to end is told as a hang, and not again as something that it left."""

        async def body(self):
            while True:
                with contextlib.suppress(BaseException):
                    await self.loop.create_future()

        result = run(case_of(body))
        text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (0, 1), text)
        self.assertIn("SleepForeverError", text)
        self.assertNotIn("behind", text)

    def test_timer(self):
        """A timer."""

        async def leaky(self):
            self.loop.call_later(5, print, "never")

        async def clean(self):
            self.loop.call_later(5, print, "never").cancel()

        self.check(leaky, clean, "1 thing", r"1 timer\n    due at t=5\.0 \(now t=0\.0\), calls print", 1)

    def test_ready_handle(self):
        """A callback that puts itself into the queue again and again."""

        async def leaky(self):
            def again():
                self.loop.call_soon(again)
            again()

        async def clean(self):
            self.loop.call_soon(lambda: self.loop.call_soon(str))

        calls = r"1 ready handle\n    calls .*again \(tests.leaks.test_finders\.py:\d+\)"
        self.check(leaky, clean, "1 thing", calls, 2)

    def test_server(self):
        """A server, which is one thing though it listens on two addresses."""

        async def leaky(self):
            self.server = await asyncio.start_server(print, "localhost", 80)

        async def clean(self):
            server = await asyncio.start_server(print, ["127.0.0.1", "::1"], 80)
            server.close()
            await server.wait_closed()

        self.check(leaky, clean, "1 thing", r"1 open server\n    <Server listening on 127\.0\.0\.1:80", 1)

    def test_server_on_two_addresses(self):
        """A server that listens on several addresses is one thing, told with all of them."""

        async def leaky(self):
            self.server = await asyncio.start_server(print, ["127.0.0.1", "::1"], 80)

        text = told(run(case_of(leaky)))
        self.assertIn("the test left 1 thing behind", text)
        self.assertIn("<Server listening on 127.0.0.1:80, ::1:80>", text)

    def test_server_with_an_abstract_name(self):
        """A UNIX server whose address has no file is named as ss(8) names it, whether its name was bytes or text."""
        for path in ("\0name", b"\0name"):
            async def leaky(self, path=path):
                self.server = await asyncio.start_unix_server(print, path)

            with self.subTest(path):
                self.assertIn("<Server listening on @name>", told(run(case_of(leaky))))

    def test_transport(self):
        """A client's connection."""

        async def leaky(self):
            server = await self.start_fake_server(host="api.test", port=443)
            self.streams = await asyncio.open_connection(*server.address)

        async def clean(self):
            server = await self.start_fake_server(host="api.test", port=443)
            _, writer = await asyncio.open_connection(*server.address)
            writer.close()

        self.check(leaky, clean, "1 thing", r"1 open transport\n    <SelectorSocketTransport .* > 198\..*:443 ", 2)

    def test_unsent_bytes(self):
        """A closed connection that cannot get rid of its last bytes, and how many they are."""

        async def leaky(self):
            one, self.two = socket.socketpair()
            one.setblocking(False)
            _, self.writer = await asyncio.open_connection(sock=one)
            self.writer.write(bytes(10_000_000))
            self.writer.close()
            self.addCleanup(self.two.detach)

        async def clean(self):
            one, two = self.socketpair(capacity=100)
            reader, writer = await asyncio.open_connection(sock=one)
            writer.write(bytes(1_000))
            writer.close()

        self.check(leaky, clean, "2 things", r"<SelectorSocketTransport .*, \d{7} bytes unsent>", 1)

    def test_socket(self):
        """A socket without a transport."""

        async def leaky(self):
            self.socket = socket.socket()

        async def clean(self):
            socket.socket().close()

        self.check(leaky, clean, "1 thing", r"1 open socket\n    <stream unbound fresh>", 1)

    def test_socket_collected_as_garbage(self):
        """A socket that nobody closed and Python collected."""

        async def leaky(self):
            socket.socket()

        async def clean(self):
            with socket.socket():
                pass

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.check(leaky, clean, "1 thing", "never closed and collected as garbage", 1)

    def test_accepted_and_collected_as_garbage(self):
        """An accepted socket that Python collected is told, but where choices are explored: asyncio may drop one then.
        """

        def found(*, is_explored):
            with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
                if is_explored:
                    explore(loop, Explorer(Fixed()))
                with socket.create_server(("127.0.0.1", 80)) as server, socket.create_connection(("127.0.0.1", 80)):
                    server.accept()
                    socket.socket()
                    gc.collect()
                    return [leak.what for leak in FINDERS["socket"](Remains(loop)) if "collected" in leak.what]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            plain, explored = found(is_explored=False), found(is_explored=True)
        self.assertEqual((len(plain), len(explored)), (2, 1), (plain, explored))
        self.assertIn("unbound", explored[0])

    def test_writer_collected_as_garbage(self):
        """A client that forgets its writer: asyncio closes it, but with nobody looking, so it is told."""

        async def leaky(self):
            server = await self.start_fake_server()
            await asyncio.open_connection(*server.address)

        async def clean(self):
            server = await self.start_fake_server()
            _, writer = await asyncio.open_connection(*server.address)
            writer.close()

        before = vars(asyncio.StreamWriter)["__del__"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.check(leaky, clean, "1 thing", "never closed and collected as garbage", 2)
        self.assertIs(vars(asyncio.StreamWriter)["__del__"], before)
        # Python up to 3.11.4 collects the writer alone, and the connection stays open.
        del asyncio.StreamWriter.__del__
        try:
            self.check(leaky, clean, "1 thing", "1 open (transport|socket)", 2)
        finally:
            asyncio.StreamWriter.__del__ = before

    def test_registrations(self):
        """What add_reader() and add_writer() registered, on a socket that is closed too."""

        async def reader(self):
            self.loop.add_reader(self.socket, str)

        async def writer(self):
            self.loop.add_writer(self.pair[0], str)
            self.pair[0].close()
            self.socket.close()

        async def clean(self):
            self.socket.close()
            for end in self.pair:
                self.loop.add_reader(end, print)
                self.loop.add_writer(end, print)
                self.loop.remove_writer(end)
            self.loop.remove_reader(self.pair[0])
            self.addCleanup(self.loop.remove_reader, self.pair[1])

        async def pair(self):
            self.pair = self.socketpair()
            self.socket = socket.socket()

        for body, expected in ((reader, r"registered callback\n    add_reader\(<stream unbound fresh>\), calls str"),
                               (writer, r"registered callback\n    add_writer\(closed descriptor \d+\), calls str")):
            with self.subTest(body.__name__):
                text = told(run(case_of(body, asyncSetUp=pair)))
                self.assertRegex(text, expected)
                self.assertRegex(text, made_in(body, 1))
        self.assertEqual(told(run(case_of(clean, asyncSetUp=pair))), "")

    def test_async_generator(self):
        """An async generator that was begun and not ended; one that nobody holds any more is finished by asyncio."""

        async def numbers():
            yield 1
            yield 2

        async def leaky(self):
            self.numbers = numbers()
            await anext(self.numbers)

        async def clean(self):
            async for _ in numbers():
                break
            self.numbers = numbers()
            async with contextlib.aclosing(self.numbers):
                await anext(self.numbers)
            self.never_begun = numbers()

        stands = r"not finished\n    .*numbers stands at tests.leaks.test_finders\.py:\d+"
        self.check(leaky, clean, "1 thing", stands, 2)

    def test_generator_of_a_pending_task(self):
        """A generator that a pending task goes through is no leak of its own."""

        async def numbers():
            yield 1
            await asyncio.sleep(100)

        async def leaky(self):
            async def walk():
                async for _ in numbers():
                    await asyncio.sleep(first)

            first = 0
            self.inside = asyncio.create_task(walk())
            await asyncio.sleep(1)
            first = 100
            self.between = asyncio.create_task(walk())
            await asyncio.sleep(1)

        text = told(run(case_of(leaky)))
        self.assertIn("the test left 2 things behind", text)
        self.assertIn("2 pending tasks", text)

    def test_thread(self):
        """A thread that is alive; one that is about to end is waited for, and one of background() is meant."""

        async def leaky(self):
            thread = threading.Thread(target=self.over.wait, name="listener", daemon=True)
            thread.start()
            started.append(thread)

        async def clean(self):
            threading.Thread(target=time.sleep, args=(0.05,)).start()
            joined = threading.Thread(target=self.over.wait)
            joined.start()
            with self.background():
                threading.Thread(target=self.over.wait).start()
            self.over.set()
            joined.join()

        over, started = threading.Event(), []
        result = run(case_of(leaky, over=over))
        over.set()
        started[0].join()
        self.assertRegex(told(result), r"1 thread alive\n    Thread listener \(daemon\), stands at")
        self.assertRegex(told(result), made_in(leaky, 2))
        self.assertEqual(told(run(case_of(clean, over=threading.Event()))), "")

    def test_many_threads(self):
        """Of hundreds of threads that have come and gone only the one that is alive is told."""

        async def leaky(self):
            for _ in range(250):
                thread = threading.Thread(target=str)
                thread.start()
                thread.join()
            last.start()
            self.assertLess(len(self.loop.world.jobs.started), 120)

        over = threading.Event()
        last = threading.Thread(target=over.wait, name="last")
        text = told(run(case_of(leaky)))
        over.set()
        last.join()
        self.assertIn("the test left 1 thing behind", text)
        self.assertIn("Thread last, stands at", text)

    def test_timer_thread(self):
        """A threading.Timer that has not fired, which is cancelled then."""

        async def leaky(self):
            self.timer = timers[0]
            self.timer.start()

        async def clean(self):
            timer = threading.Timer(100, print)
            timer.start()
            timer.cancel()

        timers = [threading.Timer(100, print)]
        self.check(leaky, clean, "1 thing", r"1 thread alive\n    Timer Thread-\d+", 2)
        timers[0].join(10)
        self.assertFalse(timers[0].is_alive())

    def test_pool(self):
        """The workers of a thread pool that is not shut down; the one of asyncio, or an older one, is no leak."""

        async def leaky(self):
            pools.append(concurrent.futures.ThreadPoolExecutor(1))
            pools[0].submit(str)

        async def clean(self):
            with concurrent.futures.ThreadPoolExecutor(1) as pool:
                await self.loop.run_in_executor(pool, str)
            await asyncio.to_thread(str)
            await asyncio.wrap_future(older.submit(str))

        pools = []
        with concurrent.futures.ThreadPoolExecutor(1) as older:
            self.check(leaky, clean, "1 thing", r"1 thread alive\n    Thread ThreadPoolExecutor-\d+_0, stands at", 2)
        self.assertTrue(pools[0]._shutdown)

    def test_timer_of_a_builtin_method(self):
        """A timer that calls a method of a built-in type, or a future's."""

        async def leaky(self):
            self.future = self.loop.create_future()
            self.loop.call_later(5, self.future.set_result, 1)
            self.loop.call_later(5, [].append, 1)

        text = told(run(case_of(leaky)))
        self.assertIn("2 timers", text)
        self.assertRegex(text, made_in(leaky, 2))
        self.assertRegex(text, made_in(leaky, 3))

    def test_generator_that_is_being_closed(self):
        """The closing of a generator that was left before its end is told as that."""

        async def numbers():
            try:
                yield 1
            finally:
                await asyncio.sleep(100)

        async def leaky(self):
            async for _ in numbers():
                break

        text = told(run(case_of(leaky)))
        self.assertRegex(text, r"task\n    Task-\d+ \(aclose\(\) of .*numbers, which was left before its end\)")
        self.assertRegex(text, made_in(numbers, 2))

    def test_a_job_that_never_ends(self):
        """A job that waits for ever is told with its stack after a moment; one of background() is meant to run on."""

        async def leaky(self):
            self.job = self.loop.run_in_executor(None, over.wait)

        async def in_finally(self):
            async def work():
                try:
                    await asyncio.sleep(100)
                finally:
                    await asyncio.to_thread(over.wait)

            self.task = asyncio.create_task(work())
            await asyncio.sleep(0)

        async def clean(self):
            with self.background():
                self.job = self.loop.run_in_executor(None, over.wait)

        over = threading.Event()
        self.addCleanup(over.set)
        started = time.perf_counter()
        text = told(run(case_of(leaky)))
        self.assertRegex(text, r"1 thread alive\n    executor job Event.wait, stands at")
        self.assertRegex(text, made_in(leaky, 1))
        text = told(run(case_of(in_finally)))
        self.assertRegex(text, "(?s)1 pending task")
        self.assertEqual(told(run(case_of(clean))), "")
        self.assertLess(time.perf_counter() - started, 30)

    def test_a_job_of_a_task_of_asyncio(self):
        """A job that a task begins in which no line is the program's has the line where that task was made."""
        async def gathered(self):
            await asyncio.gather(asyncio.to_thread(threading.Event().wait))

        async def task(self):
            await asyncio.create_task(asyncio.to_thread(threading.Event().wait))

        async def group(self):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.to_thread(threading.Event().wait))

        for body, line in ((gathered, 1), (task, 1), (group, 2)):
            with self.subTest(body.__name__):
                text = told(run(case_of(body)))
                at = rf"tests/leaks/test_finders\.py:{body.__code__.co_firstlineno + line} in "
                self.assertRegex(text, rf"\n  thread asyncio_0 started at {at}")
                self.assertRegex(text, r"executor job Event\.wait, stands at\n.* in Condition\.wait\n      made at "
                                 + at)

    def test_tasks_that_nobody_holds(self):
        """A pending task that only a cycle holds is found, told with what it waits for, and really ended."""
        ended = []

        async def leaky(self):
            async def listen():
                try:
                    await asyncio.Queue().get()
                finally:
                    ended.append(asyncio.get_running_loop() is self.loop)

            async def fail():
                raise ValueError("on purpose")

            with self.assertRaises(ValueError):
                await asyncio.gather(listen(), fail())

        async def clean(self):
            async def listen():
                await asyncio.Queue().get()

            with self.background():
                asyncio.create_task(listen())  # noqa: RUF006
                self.numbers = numbers()
                await anext(self.numbers)
            await asyncio.sleep(0)

        async def numbers():
            yield 1

        text = told(run(case_of(leaky)))
        self.assertIn("waits for get() from a queue that nobody puts into", text)
        self.assertEqual(ended, [True])
        self.assertEqual(told(run(case_of(clean))), "")

    def test_what_a_server_of_the_background_accepts(self):
        """A connection of a server that was started in background() is the test's, kept or collected."""
        async def session(self, handler):
            with self.background():
                await asyncio.start_server(handler, "api.test", 80)
            _, writer = await asyncio.open_connection("api.test", 80)
            await asyncio.sleep(1)
            writer.close()
            await writer.wait_closed()

        async def kept(self):
            writers = self.writers = []

            async def keep(_, writer):
                writers.append(writer)

            await session(self, keep)

        async def collected(self):
            async def forget(_, writer):
                pass

            await session(self, forget)
            del forget
            gc.collect()

        async def clean(self):
            async def close(reader, writer):
                await reader.read()
                writer.close()

            await session(self, close)

        for leaky in (kept, collected):
            with self.subTest(leaky.__name__):
                self.assertIn("1 open transport\n", told(run(case_of(leaky))))
        self.assertEqual(told(run(case_of(clean))), "")

    def test_a_dropped_connection_is_a_transport(self):
        """A connection that is collected with its writer belongs to open_transports, as one that is kept."""

        async def leaky(self):
            server = await self.start_fake_server()
            await asyncio.open_connection(*server.address)
            gc.collect()

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            self.assertEqual(told(run(fail_on(open_transports=False)(case_of(leaky)))), "")
            self.assertIn("1 open transport", told(run(fail_on(open_sockets=False)(case_of(leaky)))))

    def test_a_circle(self):
        """Two tasks that wait for each other are told, and ended."""

        async def leaky(self):
            async def wait_for(name):
                await getattr(self, name)

            self.one = asyncio.create_task(wait_for("two"), name="one")
            self.two = asyncio.create_task(wait_for("one"), name="two")
            await asyncio.sleep(0)

        text = told(run(case_of(leaky)))
        self.assertRegex(text, "  2 pending tasks\n.*one .*waits for task two\n.*\n.*two .*waits for task one\n")
        self.assertNotIn("refused", text)
