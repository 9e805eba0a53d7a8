"""The loop by itself: bare, with runners, its tasks' names, its files, its end, and what it refuses."""

import _thread
import asyncio
import contextlib
import functools
import gc
import io
import operator
import os
import re
import selectors
import signal
import socket
import sys
import tempfile
import threading
import unittest
import weakref
from contextvars import copy_context
from unittest import mock

from solipsism_unittest import (
    BlockingCallWarning,
    EscapeError,
    SolipsistEventLoop,
    SolipsistTestCase,
    socketpair,
)
from solipsism_unittest.introspection import places
from tests import run_python
from tests.case.test_case import run as run_case
from tests.case.test_case import told

REAL_KILL = os.kill  # under this name it stays the real one

def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


async def greet():
    """Connect to a server of our own, and return what it says and when."""

    async def serve(reader, writer):
        await asyncio.sleep(60)
        writer.write(b"hello\n")
        writer.close()

    async with await asyncio.start_server(serve, "greeter.test", 80):
        reader, writer = await asyncio.open_connection("greeter.test", 80)
        with contextlib.closing(writer):
            return await reader.readline(), asyncio.get_running_loop().time()


class RunningTest(unittest.TestCase):
    def test_bare(self):
        """The loop works without anything around it, several times, and is closed twice without harm."""
        loop = SolipsistEventLoop()
        self.assertEqual(loop.run_until_complete(greet()), (b"hello\n", 60.0))
        self.assertEqual(loop.run_until_complete(asyncio.sleep(5, "again")), "again")
        loop.close()
        loop.close()

    def test_with_a_runner(self):
        """asyncio.Runner(loop_factory=SolipsistEventLoop) runs a program."""
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(greet()), (b"hello\n", 60.0))

    @unittest.skipIf(sys.version_info < (3, 12), "asyncio.run() takes a loop_factory from 3.12 on")
    def test_with_asyncio_run(self):
        """asyncio.run(main, loop_factory=SolipsistEventLoop) runs a program."""
        self.assertEqual(asyncio.run(greet(), loop_factory=SolipsistEventLoop), (b"hello\n", 60.0))

    def test_first_of_a_thread(self):
        """A loop runs where nothing of Python has called it, and after the watch of frames was ended by a signal."""
        ended = threading.Event()
        loop = SolipsistEventLoop()
        calls = functools.partial(loop.run_until_complete, loop.create_task(asyncio.sleep(5))), ended.set
        places.WATCH.ask.__self__.close()
        _thread.start_new_thread(list, (map(operator.call, calls),))
        self.assertTrue(ended.wait(10))
        self.assertEqual(loop.time(), 5.0)
        loop.close()

    def test_until_a_future_is_done(self):
        """It runs after the watch of frames was ended by a signal; nothing else asks that first, as for a coroutine."""
        with contextlib.closing(SolipsistEventLoop()) as loop:
            future = loop.create_future()
            loop.call_later(5, future.set_result, "there")
            places.WATCH.ask.__self__.close()
            self.assertEqual((loop.run_until_complete(future), loop.time()), ("there", 5.0))

    def test_in_debug_mode(self):
        """Debug mode works: wrong threads and wrong callbacks are found, and handles know where they were made."""

        async def main():
            loop = asyncio.get_running_loop()
            timer = loop.call_later(1, print)
            timer.cancel()
            self.assertEqual(timer._source_traceback[-1].name, "main")
            with self.assertRaises(TypeError):
                loop.call_at(1, asyncio.sleep)
            errors = []
            thread = threading.Thread(target=lambda: errors.append(self.outcome(loop.call_at, 1, print)))
            with loop.hold_clock():
                thread.start()
                thread.join()
            self.assertRegex(str(errors[0]), "Non-thread-safe")
            return await greet()

        with asyncio.Runner(debug=True, loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(main()), (b"hello\n", 60.0))

    def outcome(self, call, *args):
        try:
            return call(*args)
        except Exception as error:
            return error

    def test_inside_and_after_closing(self):
        """A running loop cannot be run or closed, and a closed one cannot be used; asyncio's own errors say so."""

        async def main():
            loop = asyncio.get_running_loop()
            with self.assertRaisesRegex(RuntimeError, "already running"):
                loop.run_until_complete(loop.create_future())
            with self.assertRaisesRegex(RuntimeError, "Cannot close a running event loop"):
                loop.close()
            return loop

        loop = run(main())
        for call in (
            functools.partial(loop.call_at, 1, print),
            functools.partial(loop.run_until_complete, None),
            loop.run_forever,
        ):
            with self.assertRaisesRegex(RuntimeError, "closed"):
                call()
        coroutine = main()
        with contextlib.closing(coroutine), self.assertRaisesRegex(RuntimeError, "closed"):
            loop.create_task(coroutine)

    def test_its_repr(self):
        """The repr says whether it runs, and what time it is."""

        async def main():
            await asyncio.sleep(1.5)
            return repr(asyncio.get_running_loop())

        loop = SolipsistEventLoop(3)
        self.assertEqual(repr(loop), "<SolipsistEventLoop idle t=3.0>")
        self.assertEqual(loop.run_until_complete(main()), "<SolipsistEventLoop running t=4.5>")
        loop.close()
        self.assertEqual(repr(loop), "<SolipsistEventLoop closed t=4.5>")

    def test_a_loop_that_is_forgotten(self):
        """A loop that is collected without having been closed warns as asyncio's does."""
        loop = SolipsistEventLoop()
        with self.assertWarnsRegex(ResourceWarning, "unclosed event loop <SolipsistEventLoop idle t=0.0>"):
            del loop
            gc.collect()

    def test_closing_ends_what_is_open(self):
        """close() ends every socket that is left: nobody can use it any more, and no warning comes later."""

        async def main():
            return socketpair()

        loop = SolipsistEventLoop()
        pair = loop.run_until_complete(main())
        loop.close()
        self.assertEqual(loop.kernel.files, {})
        self.assertEqual([face.end.state for face in pair], ["closed", "closed"])

    def test_interrupted_while_it_really_waits(self):
        """Ctrl-C ends a loop that waits for another thread, with a runner and bare, with KeyboardInterrupt."""

        async def main():
            loop = asyncio.get_running_loop()
            with loop.hold_clock():
                await loop.create_future()

        def interrupt():
            """The person at the keyboard, who lives in real time."""
            timer = threading.Timer(0.05, REAL_KILL, [os.getpid(), signal.SIGINT])
            timer.start()
            self.addCleanup(timer.join)

        interrupt()
        with self.assertRaises(KeyboardInterrupt):
            run(main())
        loop = SolipsistEventLoop()
        interrupt()
        with self.assertRaises(KeyboardInterrupt):
            loop.run_until_complete(main())
        with contextlib.suppress(asyncio.CancelledError):
            for task in asyncio.all_tasks(loop):
                task.cancel()
                loop.run_until_complete(task)
        loop.close()


class EndTest(unittest.TestCase):
    """What `Runner.close()` runs: as on the stock loop, also where there is nothing to close."""

    def on_both(self, body):
        """What `body(runner, noted)` notes on the stock loop, which the virtual one gives too."""
        arms = []
        for factory in (asyncio.SelectorEventLoop, SolipsistEventLoop):
            noted = []
            with asyncio.Runner(loop_factory=factory) as runner:
                body(runner, noted)
            arms.append(noted)
        self.assertEqual(arms[0], arms[1])
        return arms[1]

    def test_what_stands_in_line(self):
        """Callbacks that stand in line at the end run; a timer that is not due does not."""

        def body(runner, noted):
            loop = runner.get_loop()
            loop.call_soon(lambda: loop.call_soon(noted.append, "later"))
            loop.call_soon(noted.append, "soon")
            loop.call_later(60, noted.append, "never")

        self.assertEqual(self.on_both(body), ["soon", "later"])

    def test_generators_and_threads(self):
        """An async generator is closed, and a job of the default executor is waited for."""

        def body(runner, noted):
            async def steps():
                try:
                    yield
                finally:
                    await asyncio.sleep(0)
                    noted.append("closed")

            async def main():
                kept.append(steps())
                await anext(kept[0])
                kept.append(asyncio.get_running_loop().run_in_executor(None, noted.append, "done"))

            kept = []
            runner.run(main())

        self.assertEqual(sorted(self.on_both(body)), ["closed", "done"])

    def test_what_is_over(self):
        """Each of the two runs says that it was: no job and no generator begins any more; the loop goes on."""

        def body(runner, noted):
            async def steps():
                yield

            async def main(case):
                with case.assertWarnsRegex(ResourceWarning, r"after loop\.shutdown_asyncgens\(\) call"):
                    await anext(steps())
                return asyncio.current_task().get_coro().__name__

            loop = runner.get_loop()
            noted.append(loop.run_until_complete(loop.shutdown_asyncgens()))
            noted.append(loop.run_until_complete(loop.shutdown_default_executor()))
            with self.assertRaisesRegex(RuntimeError, "Executor shutdown has been called"):
                loop.run_in_executor(None, print)
            noted.append(loop.run_until_complete(main(self)))

        self.assertEqual(self.on_both(body), [None, None, "main"])

    def test_of_another_loop(self):
        """The end of one loop may run on another; one that was awaited before is the same error."""

        def body(runner, noted):
            loop, other = runner.get_loop(), type(runner.get_loop())()
            end = other.shutdown_asyncgens()
            noted.append(loop.run_until_complete(end))
            with self.assertRaises(RuntimeError) as caught:
                other.run_until_complete(end)
            noted.append(str(caught.exception))
            other.close()

        self.assertEqual(self.on_both(body), [None, "cannot reuse already awaited coroutine"])

    def test_tasks_are_numbered_on(self):
        """The end takes numbers of tasks, whether there is something to close or not."""

        async def name():
            return asyncio.current_task().get_name()

        for ready in (False, True):
            loop = SolipsistEventLoop()
            self.addCleanup(loop.close)
            if ready:
                loop.call_soon(int)
            loop.run_until_complete(loop.shutdown_asyncgens())
            self.assertEqual(loop.run_until_complete(name()), "Task-2")

    def test_warnings(self):
        """What a run that broke off had to warn of is said at the end."""

        async def main():
            asyncio.get_running_loop().selector.blocking.note_call("a call", None)
            raise SystemExit

        with self.assertWarnsRegex(BlockingCallWarning, "a call"), asyncio.Runner(
                loop_factory=SolipsistEventLoop) as runner, contextlib.suppress(SystemExit):
            runner.run(main())


class TaskTest(unittest.TestCase):
    def test_names_count_from_one_on_each_loop(self):
        """An unnamed task is named by its number among the tasks of its loop; a given name stays."""

        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(0), name=name) for name in (None, "mine", None)]
            await asyncio.gather(*tasks)
            return [task.get_name() for task in (asyncio.current_task(), *tasks)]

        for _ in range(2):
            self.assertEqual(run(main()), ["Task-1", "Task-2", "mine", "Task-4"])

    @unittest.skipIf(sys.version_info < (3, 12), "eager tasks are new in 3.12")
    def test_eager_tasks(self):
        """With asyncio.eager_task_factory tasks begin at once, and are named and timed as ever."""

        async def child(delay):
            await asyncio.sleep(delay)
            return asyncio.current_task().get_name()

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_task_factory(asyncio.eager_task_factory)
            return await asyncio.gather(child(0), child(2), asyncio.sleep(1)), loop.time()

        self.assertEqual(run(main()), (["Task-2", "Task-3", None], 2.0))

    def test_a_task_that_begins_at_once(self):
        """A task that begins while it is made is in sets like any other, in a context of its own too."""
        known = set()

        async def child(delay):
            known.add(asyncio.current_task())
            await asyncio.sleep(delay)

        async def main():
            options = {"eager_start": True} if sys.version_info >= (3, 14) else {}
            loop = asyncio.get_running_loop()
            made = [loop.create_task(child(0), **options), loop.create_task(child(1), context=copy_context())]
            await asyncio.gather(*made)
            return known == set(made), [hash(task) for task in made]

        self.assertEqual(run(main()), (True, [2, 3]))

    def test_a_task_of_a_bare_thread(self):
        """A task that is made where nobody's code runs has no place."""
        ended, made = threading.Event(), []
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            make = functools.partial(runner.get_loop().create_task, asyncio.sleep(0, "slept"))
            steps = functools.partial(made.extend, map(operator.call, [make])), ended.set  # no frame of Python
            _thread.start_new_thread(list, (map(operator.call, steps),))
            self.assertTrue(ended.wait(10))
            self.assertEqual((runner.run(asyncio.wait_for(made[0], 1)), made[0].made_at), ("slept", None))

    def test_custom_factories(self):
        """A task factory of the program's own is used, also one whose futures take no attributes of ours."""

        class Slotted:
            __slots__ = ("task",)

            def __init__(self, task):
                self.task = task

            def set_name(self, name):
                self.task.set_name(name)

        def factory(loop, coro, **options):
            made.append(coro)
            return Slotted(asyncio.Task(coro, loop=loop, **options))

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_task_factory(factory)
            task = asyncio.create_task(asyncio.sleep(1, "result"))
            loop.set_task_factory(None)
            return type(task), await task.task

        made = []
        self.assertEqual(run(main()), (Slotted, "result"))
        self.assertGreaterEqual(len(made), 1)

    def test_tasks_know_where_they_were_made(self):
        """The place of a task is the user's line, through gather() and TaskGroup too."""

        async def main():
            made = [asyncio.create_task(asyncio.sleep(0))]
            async with asyncio.TaskGroup() as group:
                made.append(group.create_task(asyncio.sleep(0)))
            await made[0]
            return [str(task.made_at) for task in made]

        for place in run(main()):
            self.assertRegex(
                place, r"test_event_loop\.py:\d+ in TaskTest\.test_tasks_know_where_they_were_made\.<locals>\.main$"
            )

    @unittest.skipIf(sys.version_info < (3, 12), "eager tasks are new in 3.12")
    def test_an_eager_task(self):
        """A single task that is to begin at once does, and has its number as name."""

        async def name():
            return asyncio.current_task().get_name()

        async def main():
            task = asyncio.get_running_loop().create_task(name(), eager_start=True)
            return task.done(), await task, task.get_name()

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(main()), (True, "Task-2", "Task-2"))


class SizeTest(unittest.TestCase):
    def test_attributes_are_read_fast(self):
        """The loop has fewer than 30 attributes: with more, CPython reads each of them slowly."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        self.assertLess(len(vars(loop)), 30)


class LifeTest(unittest.TestCase):
    """A closed loop is part of no cycle, so that it ends when nobody holds it: long suites have less to collect."""

    def assertEnds(self, work):
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        seen = []

        async def main():
            seen.append(weakref.ref(asyncio.get_running_loop()))
            await work()

        run(main())
        self.assertEqual([ref() for ref in seen], [None])

    def test_ends_by_itself(self):
        """Whatever ran on it: nothing, sleeps, connections, generators."""

        async def nothing():
            pass

        async def sleeps():
            await asyncio.gather(*(asyncio.sleep(1) for _ in range(3)))

        async def generates():
            async def steps():
                yield 1

            self.assertEqual([step async for step in steps()], [1])

        for work in (nothing, sleeps, greet, generates):
            with self.subTest(work.__name__):
                self.assertEnds(work)

    def test_what_is_kept(self):
        """Who keeps a closed loop has its world, and that has the loop; who keeps the world alone has it without."""
        loop = SolipsistEventLoop(5.0)
        world = loop.world
        loop.close()
        self.assertIs(world.loop, loop)
        self.assertEqual((loop.time(), loop.inventory.unread(), loop.kernel.files), (5.0, [], {}))
        with self.assertRaisesRegex(RuntimeError, "closed"):
            loop.call_soon(print)
        del loop
        self.assertIsNone(world.loop)
        self.assertRegex(repr(world), "<World None on <Kernel t=5.0")


class FakeFile:
    """What only a program's own selector knows."""

    def fileno(self):
        return 77_000


class Wrapper(selectors._BaseSelectorImpl):
    """Knows fake files itself, and asks the selector below for all others, as asynctest's does."""

    def __init__(self, below):
        super().__init__()
        self.below = below

    def select(self, timeout=None):
        return [(key, key.events) for key in self._fd_to_key.values()] or self.below.select(timeout)


class OtherSelectorTest(unittest.TestCase):
    def test_in_the_loops_place(self):
        """A selector that a program puts in the place of the loop's is asked, as on the stock loop."""
        for factory in (asyncio.SelectorEventLoop, SolipsistEventLoop):
            for add, remove in (("add_reader", "remove_reader"), ("add_writer", "remove_writer")):
                with self.subTest(factory=factory, add=add):
                    loop = factory()
                    self.addCleanup(loop.close)
                    below, loop._selector = loop._selector, Wrapper(loop._selector)
                    file, seen = FakeFile(), []

                    def on_ready(loop=loop, file=file, seen=seen, remove=remove):
                        seen.append(getattr(loop, remove)(file))
                        loop.stop()

                    getattr(loop, add)(file, on_ready)
                    loop.run_forever()
                    self.assertEqual(seen, [True])
                    loop._selector = below


class PatchedLookUpTest(SolipsistTestCase):
    async def test_a_class_of_asyncios(self):
        """What a test puts in the place of a look-up of asyncio's loop answers, and only as long as it is there."""
        answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 80))]
        for owner in (asyncio.BaseEventLoop, asyncio.SelectorEventLoop):
            with mock.patch.object(owner, "getaddrinfo", return_value=answer) as lookup:
                self.assertEqual(await self.loop.getaddrinfo("name.test", 80), answer)
                lookup.assert_awaited_once()
            self.assertNotEqual(await self.loop.getaddrinfo("localhost", 80), answer)
            with mock.patch.object(owner, "getnameinfo", return_value=("name.test", "http")) as lookup:
                self.assertEqual(await self.loop.getnameinfo(("127.0.0.1", 80)), ("name.test", "http"))
                lookup.assert_awaited_once()
            self.assertEqual((await self.loop.getnameinfo(("127.0.0.1", 80)))[0], "localhost")


class RealDescriptorTest(unittest.TestCase):
    def test_a_terminal_and_a_pipe(self):
        """A descriptor that is not of this world is refused at the line that hands it to the loop."""
        async def connect(method, file):
            await getattr(asyncio.get_running_loop(), method)(asyncio.Protocol, file)

        for make in (os.openpty, os.pipe, lambda: [sock.detach() for sock in socket.socketpair()]):
            reads, writes = make()
            for method, number, mode in (("connect_read_pipe", reads, "rb"), ("connect_write_pipe", writes, "wb")):
                with self.subTest(method), open(number, mode, 0) as file, \
                        asyncio.Runner(loop_factory=SolipsistEventLoop) as runner, \
                        self.assertRaisesRegex(EscapeError, "is not a descriptor of this event loop"):
                    runner.run(connect(method, file))

    def test_what_to_do(self):
        """For a socket from outside of the test, as a fixture makes one, other words help than for a terminal."""
        first = (" is not a descriptor of this event loop: only sockets that were made in its world (socket.socket() "
                 "in a test, socketpair()) can be waited for; ")
        made = ("this is a real one, made outside of it, as in setUpClass() or a fixture that runs before the test: "
                "make it in asyncSetUp(), or inside `with world():`")
        read = "what reads a real one, as a terminal, does so in a thread: asyncio.to_thread(os.read, fd, n)"
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        terminal, other = os.openpty()
        with socket.socket() as sock, open(terminal, "rb", 0), open(other, "rb", 0):
            for thing, words in ((sock, made), (sock.fileno(), made), (terminal, read), (10**6, read)):
                with self.subTest(thing), self.assertRaisesRegex(EscapeError, f"{re.escape(first + words)}$"):
                    loop.add_reader(thing, print)

    def test_a_refusal_that_is_swallowed(self):
        """The refusal fails the test, and is told with a hang that follows, although the program swallowed it."""
        class Swallowing(SolipsistTestCase):
            async def swallow(self, register):
                reads, writes = os.openpty()
                with open(reads, "rb", 0) as file, open(writes, "wb", 0), contextlib.suppress(Exception):
                    await register(file)

            async def test_pipe(self):
                await self.swallow(functools.partial(self.loop.connect_read_pipe, asyncio.Protocol))

            async def test_reader(self):
                async def add(file):
                    self.loop.add_reader(file, print)

                await self.swallow(add)

            async def test_hang(self):
                await self.test_reader()
                await self.loop.create_future()

        text = told(run_case(Swallowing))
        self.assertEqual(text.count("EscapeError: <_io.FileIO"), 3, text)
        self.assertEqual(text.count("the code under test swallowed this"), 3, text)


class RefusalTest(unittest.TestCase):
    def test_child_processes(self):
        """A child process is refused with the command and what to do, whichever way it is asked for."""

        async def main():
            loop = asyncio.get_running_loop()
            for call, begin in (
                (lambda: asyncio.create_subprocess_exec("a", b"b"), r"asyncio\.create_subprocess_exec\('a', 'b'\)"),
                (lambda: asyncio.create_subprocess_shell("a b"), r"asyncio\.create_subprocess_shell\('a b'\)"),
                (lambda: loop.subprocess_exec(asyncio.SubprocessProtocol, "a"), r"loop\.subprocess_exec\('a'\)"),
                (lambda: loop.subprocess_shell(asyncio.SubprocessProtocol, "a"), r"loop\.subprocess_shell\('a'\)"),
                (lambda: loop.subprocess_shell(), r"loop\.subprocess_shell\(\)"),
            ):
                whole = (begin + r" would start a real process \(tests/loop/(?s:.*)fake, (?s:.*)"
                         r"self\.allow_escape\(\"subprocess\"\):`, .*asyncio\.to_thread\(\)$")
                with self.assertRaisesRegex(EscapeError, whole):
                    await call()

        run(main())

    def test_child_processes_without_a_line(self):
        """Asked for by no line of a program, as by a callback of the loop, it is refused as well."""
        loop, seen = SolipsistEventLoop(), []
        self.addCleanup(loop.close)
        loop.set_exception_handler(lambda loop, context: (seen.append(str(context["exception"])), loop.stop()))
        loop.call_soon(loop.subprocess_shell, None, "a")
        loop.run_forever()
        self.assertRegex(seen[0], r"^loop\.subprocess_shell\('a'\) would start a real process, which")


class LookupTest(unittest.TestCase):
    def test_there_and_back(self):
        """loop.getaddrinfo() and loop.getnameinfo() ask the virtual resolver: a name comes back from its address."""

        async def main():
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo("api.test", "https", type=socket.SOCK_STREAM)
            return await loop.getnameinfo(found[0][4])

        self.assertEqual(run(main()), ("api.test", "https"))

    def test_servers_listen_in_the_order_of_their_hosts(self):
        """A server on many hosts has its sockets in their order, whatever the order of a set of addresses would be."""

        async def main():
            hosts = ["::1", "127.0.0.1", "b.test", "a.test"]
            server = await asyncio.start_server(lambda reader, writer: None, hosts, 80)
            names = [(await asyncio.get_running_loop().getnameinfo(one.getsockname()))[0] for one in server.sockets]
            server.close()
            return names

        self.assertEqual(run(main()), ["localhost", "localhost", "b.test", "a.test"])


class PatchedLookupsTest(unittest.TestCase):
    def test_patched_lookups(self):
        """A program that patches socket.getaddrinfo or socket.getnameinfo means the loop's look-ups too."""

        async def main():
            loop = asyncio.get_running_loop()
            with mock.patch("socket.getaddrinfo", return_value=["patched"]):
                found = await loop.getaddrinfo("a.test", 80)
            with mock.patch("socket.getnameinfo", return_value=("patched", "80")):
                return found, await loop.getnameinfo(("127.0.0.1", 80))

        self.assertEqual(run(main()), (["patched"], ("patched", "80")))


class SendfileTest(unittest.TestCase):
    def test_sendfile(self):
        """loop.sendfile() sends a file or a part of it over a transport, and costs no virtual time."""

        async def main(file, offset, count):
            loop = asyncio.get_running_loop()
            received = loop.create_future()

            async def serve(reader, writer):
                received.set_result(await reader.read(-1))
                writer.close()

            async with await asyncio.start_server(serve, "files.test", 80), asyncio.timeout(0.001):
                _, writer = await asyncio.open_connection("files.test", 80)
                sent = await loop.sendfile(writer.transport, file, offset, count)
                writer.close()
                return sent, await received

        data = bytes(range(256)) * 1_000
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            for opened in (file, io.BytesIO(data)):
                for offset, count, expected in (
                    (0, None, data),
                    (1_000, 5, data[1_000:1_005]),
                    (len(data) - 3, None, data[-3:]),
                ):
                    with self.subTest(type(opened).__name__, offset=offset):
                        self.assertEqual(run(main(opened, offset, count)), (len(expected), expected))


class SameEveryTimeTest(unittest.TestCase):
    def test_under_any_hash_seed(self):
        """The same program gives the same journal, to the digest, in interpreters with different hash seeds."""
        program = """
import asyncio
from solipsism_unittest import SolipsistEventLoop

async def main():
    async def serve(reader, writer):
        while data := await reader.read(10):
            await asyncio.sleep(0.1)
            writer.write(data)
        writer.close()

    async def ask(name):
        reader, writer = await asyncio.open_connection(name, 80)
        for n in range(5):
            writer.write(name.encode())
            await reader.readexactly(len(name))
            await asyncio.sleep(n / 7)
        writer.close()

    async with await asyncio.start_server(serve, "0.0.0.0", 80):
        waiting = {asyncio.create_task(ask(name)) for name in ("localhost", "127.0.0.1", "127.0.0.2")}
        while waiting:
            _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

loop = SolipsistEventLoop(seed=5)
loop.run_until_complete(main())
print(loop.kernel.journal.digest, loop.time())
loop.close()
"""
        answers = {}
        for seed in ("0", "1", "12345"):
            child = run_python(
                "-c",
                f"import os, subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {program!r}], "
                f"env=dict(os.environ, PYTHONHASHSEED='{seed}')).returncode)",
            )
            self.assertEqual(child.returncode, 0, child.stderr)
            answers[seed] = child.stdout
        self.assertEqual(len(set(answers.values())), 1, answers)
        self.assertRegex(answers["0"], r"^[0-9a-f]{32} [0-9.]+\n$")
