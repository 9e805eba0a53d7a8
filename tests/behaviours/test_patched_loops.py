"""A program's patches of asyncio's loop classes: the same body, with the patch, on a stock loop and on ours."""

import asyncio
import contextlib
import inspect
import socket
import sys
import threading
import unittest
from asyncio import base_events, selector_events
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.loop.doors import Behind, Doors, Stock
from solipsism_unittest.stdlib.sockets.patches import KEPT
from tests import run_python
from tests.case.test_case import run, told

NAMES = sorted(set(vars(Behind)) - set(vars(type("Empty", (), {}))) - {"__firstlineno__", "__static_attributes__"})
PUBLIC = [name for name in NAMES if not name.startswith("_")]
FIRST = asyncio.SelectorEventLoop
WRAPPED = ("run_forever", "run_until_complete", "close")  # see test_the_life_of_a_loop
# asyncio's own work on our loop.
WITHOUT_A_DOOR = ("time", "call_soon", "_run_once", "_add_reader", "_add_writer", "_remove_reader", "_remove_writer")
HOST = "127.0.0.1"


class PatchedLoopsTest(unittest.TestCase):
    maxDiff = None

    def both(self, body, running=False):
        """Show that `body(loop)` gives the same for a stock loop and ours, both idle or both running it.

        On a machine that stalls, real timers that are due together make other calls: the stock loop may try again.
        """
        def seen_by(kind):
            with contextlib.closing(kind()) as loop:
                return loop.run_until_complete(body(loop)) if running else body(loop)

        ours = seen_by(SolipsistEventLoop)
        stock = next((seen for seen in (seen_by(FIRST) for _ in range(4)) if seen == ours), None)
        self.assertEqual(ours, seen_by(FIRST) if stock is None else stock)
        return ours

    def home(self, name):
        """asyncio's own class that has a method."""
        return selector_events.BaseSelectorEventLoop if name in ("add_reader", "add_writer") else (
            FIRST if name.endswith("signal_handler") else base_events.BaseEventLoop)

    def test_what_is_replaced(self):
        """Most of what our loop replaces is behind asyncio's classes, and no method of asyncio's hides it."""
        self.assertGreater(len(PUBLIC), 18)
        for name in NAMES:
            with self.subTest(name):
                self.assertIs(getattr(SolipsistEventLoop, name), vars(Behind)[name])
                if name in WITHOUT_A_DOOR:
                    self.assertIs(getattr(FIRST, name), vars(Stock)[name])
                else:
                    self.assertIs(getattr(FIRST, name), vars(Doors)[name])
                    self.assertIs(KEPT[vars(Stock)[name]], vars(Doors)[name])

    def test_mocks(self):
        """A mock in the place of a method, in the class that has it or in one below, is what a loop has."""
        for name in NAMES:
            for owner in (self.home(name), FIRST):

                def body(loop, name=name, owner=owner):
                    with mock.patch.object(owner, name) as fake:
                        seen = getattr(loop, name) is fake, type(fake).__name__
                    return seen, getattr(loop, name) is fake

                with self.subTest(name, owner=owner):
                    (found, _), after = self.both(body)
                    self.assertEqual((found, after), (True, False))

    def test_every_method(self):
        """The same of all that a loop has, whether ours replaces it or not, but for the three below that ours wraps."""
        for name in dir(FIRST):
            if name.startswith("_") or not callable(getattr(FIRST, name)) or name in WRAPPED:
                continue

            def body(loop, name=name):
                with mock.patch.object(FIRST, name) as fake:
                    return getattr(loop, name) is fake, type(fake).__name__

            with self.subTest(name):
                self.assertTrue(self.both(body)[0])

    def test_autospec(self):
        """One with the signature of what it stands for gets the loop, and refuses what that refuses."""
        for name in PUBLIC:

            def body(loop, name=name):
                with mock.patch.object(self.home(name), name, autospec=True) as fake:
                    try:
                        result = getattr(loop, name)(*range(9), nothing=True)
                    except TypeError:
                        result = TypeError
                    if inspect.iscoroutine(result):
                        result.close()
                    return type(result), inspect.iscoroutinefunction(fake), str(inspect.signature(fake))

            with self.subTest(name):
                self.both(body)

    def test_signatures(self):
        """What asyncio's classes have for a method has its name and signature, and is a coroutine function or none."""
        for name in NAMES:
            with self.subTest(name):
                door, stock = getattr(FIRST, name), vars(Stock)[name]
                self.assertEqual(door.__qualname__, stock.__qualname__)
                self.assertEqual(inspect.signature(door), inspect.signature(stock))
                self.assertEqual(inspect.iscoroutinefunction(door), inspect.iscoroutinefunction(stock))

    def test_set_and_put_back(self):
        """What a test has kept and puts back by itself works as before, in whatever class it was put."""
        async def body(loop):
            kept = {name: getattr(base_events.BaseEventLoop, name)
                    for name in ("time", "call_at", "call_later", "call_soon", "create_task", "getaddrinfo")}
            for name in kept:
                setattr(base_events.BaseEventLoop, name, lambda *args, **kwargs: "fake")
            found = [getattr(loop, name)() for name in kept]
            for name, method in kept.items():
                setattr(base_events.BaseEventLoop, name, method)
            return found, await self.a_bit_of_everything(loop)

        before = set(vars(base_events.BaseEventLoop))
        try:
            self.both(body, running=True)
        finally:
            SolipsistEventLoop().close()
        self.assertEqual(set(vars(base_events.BaseEventLoop)), before)  # each new loop takes out what was put back

    def test_called_through(self):
        """Functions that call what they have replaced are as good as none, and are asked each time."""
        def note(name, seen):
            kept = getattr(FIRST, name)
            if inspect.iscoroutinefunction(kept):
                async def noted(self, *args, **kwargs):
                    seen[name] = seen.get(name, 0) + 1
                    return await kept(self, *args, **kwargs)
            else:
                def noted(self, *args, **kwargs):
                    seen[name] = seen.get(name, 0) + 1
                    return kept(self, *args, **kwargs)
            return mock.patch.object(self.home(name), name, noted)

        async def body(loop):
            plain, seen = await self.a_bit_of_everything(loop), {}
            with contextlib.ExitStack() as stack:
                for name in USED:
                    stack.enter_context(note(name, seen))
                noted = await self.a_bit_of_everything(loop)
            return plain == noted, noted, sorted(seen)

        self.assertEqual(self.both(body, running=True)[2], sorted(USED))

    def test_wraps(self):
        """A mock that wraps the method of a loop calls it."""
        async def body(loop):
            with mock.patch.object(base_events.BaseEventLoop, "getaddrinfo", wraps=loop.getaddrinfo) as fake:
                found = await loop.getaddrinfo(HOST, 80, type=socket.SOCK_STREAM)
            return found, fake.call_count

        self.both(body, running=True)

    def test_answers_of_the_program(self):
        """asyncio's own calls get the program's answers: names, timers, executors."""
        async def body(loop):
            async def getaddrinfo(self, host, port, **kwargs):
                return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (HOST, port))]

            server = await asyncio.start_server(lambda reader, writer: writer.close(), HOST, 0)
            seen = []
            with mock.patch.object(base_events.BaseEventLoop, "getaddrinfo", getaddrinfo):
                reader, writer = await asyncio.open_connection("no.such.name.invalid",
                                                               server.sockets[0].getsockname()[1])
                seen.append(await reader.read())
                writer.close()
                await writer.wait_closed()
            server.close()
            with mock.patch.object(base_events.BaseEventLoop, "run_in_executor", return_value=loop.create_future()
                                   ) as fake:
                fake.return_value.set_result("faked")
                seen.append(await asyncio.to_thread(print))
            with mock.patch.object(base_events.BaseEventLoop, "call_later", side_effect=ZeroDivisionError):
                seen.append(type((await asyncio.gather(asyncio.sleep(1), return_exceptions=True))[0]))
            return seen

        self.assertEqual(self.both(body, running=True), [b"", "faked", ZeroDivisionError])

    def test_what_asyncio_calls_itself(self):
        """A patch of a method that asyncio's other methods call is met by those too, on the class and on one loop."""
        def called(owner, name):
            kept = getattr(owner, name)
            return mock.patch.object(owner, name, autospec=isinstance(owner, type), side_effect=kept)

        async def timers(loop):
            seen = []
            for owner in (base_events.BaseEventLoop, FIRST, loop):
                with called(owner, "call_at") as fake:
                    loop.call_later(0, min, 1, 2)
                    loop.call_later(0.001, min, 1, 2).cancel()
                    await asyncio.wait_for(asyncio.sleep(0), 5)
                seen.append(fake.call_count)
            with called(base_events.BaseEventLoop, "call_at") as fake:
                await asyncio.sleep(0.001)
                await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(5)))
            return [*seen, fake.call_count]

        def sleeps_of_one_loop(loop):
            with called(loop, "call_at") as fake:
                loop.run_until_complete(asyncio.sleep(0.001))
            loop.run_until_complete(asyncio.sleep(0.001))
            return fake.call_count

        async def lookups(loop):
            seen = []
            for owner in (base_events.BaseEventLoop, FIRST, loop):
                with called(owner, "run_in_executor") as fake:
                    await loop.getaddrinfo(HOST, 80)
                    await loop.getnameinfo((HOST, 80), socket.NI_NUMERICHOST)
                    await asyncio.to_thread(min, 1, 2)
                seen.append(fake.call_count)
            return seen

        self.assertEqual(self.both(timers, running=True), [3, 3, 3, 6])
        self.assertEqual(self.both(sleeps_of_one_loop), 1)
        self.assertEqual(self.both(lookups, running=True), [3, 3, 3])

    def test_debug_mode(self):
        """The line that made a timer, a handle or a task in debug mode is the program's."""
        async def body(loop):
            loop.set_debug(True)
            made = [loop.call_later(0, min, 1, 2), loop.call_at(0, min, 1, 2), loop.call_soon(min, 1, 2),
                    loop.create_task(asyncio.sleep(0))]
            await made[-1]
            return [thing._source_traceback[-1].filename == __file__ for thing in made]

        self.assertEqual(self.both(body, running=True), [True] * 4)

    def test_a_task_factory(self):
        """What a program's own factory makes comes back as it is, in debug mode too, on a stock loop beside ours."""
        async def body(loop):
            loop.set_debug(True)
            made = []

            def factory(loop, coro, **kwargs):
                made.append(asyncio.Task(coro, loop=loop, **kwargs))
                return made[0]

            loop.set_task_factory(factory)
            task = loop.create_task(asyncio.sleep(0))
            await task
            strange = mock.Mock(spec=["set_name"])
            loop.set_task_factory(lambda loop, coro, **kwargs: (coro.close(), strange)[1])
            found = loop.create_task(asyncio.sleep(0))
            loop.set_task_factory(None)
            return task is made[0], task._source_traceback[-1].name, found is strange

        self.assertEqual(self.both(body, running=True), (True, "factory", True))

    def test_the_life_of_a_loop(self):
        """run_forever(), run_until_complete() and close() of a test act, and ours go on after them."""
        def body(loop):
            seen = []
            with mock.patch.object(base_events.BaseEventLoop, "run_forever") as fake:
                loop.run_forever()
                seen.append(fake.call_count)
            future = loop.create_future()
            with mock.patch.object(base_events.BaseEventLoop, "run_until_complete", return_value=7) as fake:
                seen += [loop.run_until_complete(future), fake.call_args == mock.call(future)]
            with mock.patch.object(FIRST, "close") as fake:
                loop.close()
                seen += [fake.call_count, loop.is_closed()]
            future.set_result(5)
            return [*seen, loop.run_until_complete(future)]

        self.assertEqual(self.both(body), [1, 7, True, 1, False, 5])

    def test_subclasses(self):
        """A program's own loop classes override and go on above, below asyncio's and below ours."""
        for base in (FIRST, SolipsistEventLoop):

            class Mine(base):
                calls = 0

                def call_soon(self, *args, **kwargs):
                    Mine.calls += 1
                    return super().call_soon(*args, **kwargs)

                def time(self):
                    return super().time() + 0.0

            with self.subTest(base), contextlib.closing(Mine()) as loop:
                loop.run_until_complete(self.a_bit_of_everything(loop))
                self.assertGreater(Mine.calls, 5)

    def test_patches_of_one_loop(self):
        """What is put into one running loop is what asyncio's own methods call on it, as often as on a stock one."""
        async def uses(loop):
            await asyncio.sleep(0.001)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.001)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.001)
            woken = asyncio.Event()
            loop.call_later(0.001, woken.set)
            await woken.wait()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(0.001))
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.002))
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            await asyncio.sleep(0)

        def body(name):
            async def main(loop):
                counts, real = [], getattr(loop, name)
                with mock.patch.object(loop, name, side_effect=real) as fake:
                    await uses(loop)
                counts.append(fake.call_count)
                with mock.patch.object(loop, name, wraps=real) as fake:
                    await uses(loop)
                counts.append(fake.call_count)
                noted = []
                setattr(loop, name, lambda *args, **kwargs: noted.append(args) or real(*args, **kwargs))
                await uses(loop)
                counts.append(len(noted))
                delattr(loop, name)
                await uses(loop)
                return [*counts, len(noted), fake.call_count] if name != "time" else min(counts) > 5

            return main

        for debug in (False, True):
            for name in ("call_at", "call_later", "call_soon", "create_task", "create_future", "time"):

                async def both_kinds(loop, name=name, debug=debug):
                    loop.set_debug(debug)
                    return await body(name)(loop)

                with self.subTest(name, debug=debug):
                    self.assertTrue(self.both(both_kinds, running=True))

    def test_results_of_jobs(self):
        """A job's thread hands its result over by call_soon_threadsafe(): the program's own, wherever that was put."""

        def noting(real, calls):
            def call_soon_threadsafe(*args, **kwargs):
                calls.append(threading.current_thread() is threading.main_thread())
                return real(*args, **kwargs)
            return call_soon_threadsafe

        def fail(event):
            event.wait()
            raise LookupError

        async def work(loop, calls):
            results = []
            for job in (threading.Event.wait, fail):
                event = threading.Event()
                future = loop.run_in_executor(None, job, event)
                loop.call_later(0.001, event.set)
                results += await asyncio.gather(future, return_exceptions=True)
            return list(map(repr, results)), calls[:]

        def of_one_loop(loop):
            calls = []
            loop.call_soon_threadsafe = noting(loop.call_soon_threadsafe, calls)
            return loop.run_until_complete(work(loop, calls))

        def of_the_class(loop):
            calls = []
            real = asyncio.BaseEventLoop.call_soon_threadsafe
            with mock.patch.object(asyncio.BaseEventLoop, "call_soon_threadsafe", noting(real, calls)):
                return loop.run_until_complete(work(loop, calls))

        def of_a_subclass(loop):
            calls = []

            class Mine(type(loop)):
                def call_soon_threadsafe(self, *args, **kwargs):
                    return noting(super().call_soon_threadsafe, calls)(*args, **kwargs)

            with contextlib.closing(Mine()) as mine:
                return mine.run_until_complete(work(mine, calls))

        for body in (of_one_loop, of_the_class, of_a_subclass):
            with self.subTest(body.__name__):
                self.assertEqual(self.both(body), (["True", "LookupError()"], [False, False]))

    def test_a_result_that_nobody_hands_over(self):
        """What the program keeps for itself does not arrive, nor does it hold the clock; cancelled is cancelled."""
        async def body(loop):
            event, calls = threading.Event(), []
            loop.call_soon_threadsafe = lambda *call: calls.append(call)
            future = loop.run_in_executor(None, event.wait)
            loop.call_later(0.001, event.set)
            while not calls:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.001)
            done = future.done()
            del loop.call_soon_threadsafe
            future.cancel()
            function, *args = calls.pop()
            function(*args)
            return done, calls, future.cancelled()

        self.assertEqual(self.both(body, running=True), (False, [], True))

    def test_a_timer_of_the_program(self):
        """A test that puts off every timer of one loop, or brings it forward, does so with each sleep."""
        for name, shift in (("call_at", 5), ("call_at", -1), ("call_later", 5), ("call_later", -1)):
            async def main(name=name, shift=shift):
                loop = asyncio.get_running_loop()
                real = getattr(loop, name)
                with mock.patch.object(loop, name, lambda when, *args, **kwargs: real(when + shift, *args, **kwargs)):
                    await asyncio.sleep(2)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(asyncio.Event().wait(), 2)
                ended = loop.time()
                await asyncio.sleep(2)
                return ended, loop.time()

            with self.subTest(name, shift=shift), asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
                # asyncio's timeout() asks for a time; before 3.12 wait_for() asks for a delay
                both = name == "call_at" or sys.version_info < (3, 12)
                ended = 4 + shift * (1 + both)
                self.assertEqual(runner.run(main()), (ended, ended + 2))

    async def a_bit_of_everything(self, loop):
        """What comes out of a program that uses a loop in several ways."""
        seen = [(await loop.getaddrinfo(HOST, 80, type=socket.SOCK_STREAM))[0][4],
                (await loop.getnameinfo((HOST, 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)),
                await loop.run_in_executor(None, sum, [1, 2]), await loop.create_task(asyncio.sleep(0.001, "slept"))]
        done, begun = loop.create_future(), loop.time()
        loop.call_soon(seen.append, "soon")
        loop.call_at(loop.time() + 0.002, done.set_result, "at")
        seen += [await done, loop.time() > begun]
        one, two = socket.socketpair()
        for sock in (one, two):
            sock.setblocking(False)
        ready = loop.create_future()
        loop.add_reader(two, ready.set_result, "readable")
        loop.add_writer(one, lambda: (one.send(b"x"), loop.remove_writer(one)))
        seen.append(await ready)
        loop.remove_reader(two)
        one.close()
        two.close()
        loop.set_exception_handler(lambda loop, context: seen.append(context["message"]))
        loop.call_exception_handler({"message": "wrong"})
        loop.set_exception_handler(None)
        return seen


USED = ("time", "call_at", "call_later", "call_soon", "create_task", "getaddrinfo", "getnameinfo", "run_in_executor",
        "add_reader", "add_writer", "call_exception_handler")


class InATestTest(unittest.TestCase):
    def test_patches_of_one_test(self):
        """A patch lasts as long as it does, inside a test that uses our own helpers too."""
        class Case(SolipsistTestCase):
            async def test_one(self):
                fake = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 80))]
                with mock.patch.object(asyncio.BaseEventLoop, "getaddrinfo", return_value=fake):
                    await self.start_fake_server(host="10.0.0.7", port=80)
                    _, writer = await asyncio.open_connection("api.test", 80)
                self.assertEqual(writer.get_extra_info("peername"), ("10.0.0.7", 80))
                writer.close()

            async def test_other(self):
                with mock.patch.object(asyncio.SelectorEventLoop, "call_later", autospec=True,
                                       side_effect=asyncio.SelectorEventLoop.call_later) as fake:
                    await asyncio.sleep(5)
                self.assertEqual((fake.call_count, self.now), (1, 5.0))

        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 2))


BEFORE = """
import asyncio, functools, socket, sys, unittest

class Blocked(socket.socket):
    pass

async def getaddrinfo(self, host, port, **kwargs):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", port))]

SOCKET = socket.socket
kept = asyncio.BaseEventLoop.create_task
socket.socket = Blocked if sys.argv[1:] else None
asyncio.BaseEventLoop.getaddrinfo = getaddrinfo
asyncio.BaseEventLoop.getnameinfo = staticmethod(functools.partial(print, "no name"))
SOCKET.sendfile = staticmethod(functools.partial(print, "no file"))

from solipsism_unittest import SolipsistTestCase

class Test(SolipsistTestCase):
    async def test_it(self):
        server = await self.start_fake_server(host="10.0.0.7", port=80)
        if socket.socket is None:
            socket.socket = Blocked
        with socket.socket() as sock:
            self.assertIsInstance(sock, Blocked)
            self.assertGreater(sock.fileno(), 2**29)
            sock.sendfile()
        _, writer = await asyncio.open_connection("api.test", 80)
        self.assertEqual(writer.get_extra_info("peername"), ("10.0.0.7", 80))
        writer.close()
        self.assertIsNone(self.loop.getnameinfo())
        task = kept(self.loop, asyncio.sleep(3))
        await task
        self.assertEqual((self.now, type(server).__name__), (3.0, "FakeServer"))
        self.assertRegex(task.get_name(), "^Task-")
        self.assertIn("made_at", dir(task))

unittest.main(argv=["test"])
"""


KEEPING = """
import asyncio, functools, socket, unittest

calls = []

def noting(method):
    def noted(*args, **kwargs):
        calls.append(method.__name__)
        return method(*args, **kwargs)
    return noted

def with_a_default(self, address, real=socket.socket.connect):
    calls.append("connect")
    return real(self, address)

KEPT = {"listen": socket.socket.listen}
socket.socket.bind = noting(socket.socket.bind)
socket.socket.connect = with_a_default
socket.socket.listen = lambda self, *args: KEPT["listen"](self, *args)
socket.socket.accept = functools.wraps(socket.socket.accept)(noting(noting(socket.socket.accept)))
asyncio.SelectorEventLoop.add_reader = noting(asyncio.SelectorEventLoop.add_reader)
for name in ("time", "call_at", "call_later", "call_soon", "create_task", "getaddrinfo"):
    setattr(asyncio.BaseEventLoop, name, noting(getattr(asyncio.BaseEventLoop, name)))

from solipsism_unittest import SolipsistTestCase

class Test(SolipsistTestCase):
    async def test_it(self):
        calls.clear()
        with socket.socket() as listener, socket.socket() as client:
            listener.bind(("127.0.0.1", 80))
            listener.listen()
            client.connect(("127.0.0.1", 80))
            listener.accept()[0].close()
        self.assertEqual(calls, ["bind", "connect", "noted", "accept"])
        await asyncio.sleep(5)
        await self.loop.getaddrinfo("api.test", 80)
        await asyncio.wait_for(self.loop.create_task(asyncio.sleep(0)), 5)
        await self.start_fake_server(host="api.test", port=80)
        (await asyncio.open_connection("api.test", 80))[1].close()
        self.assertEqual(self.now, 5.0)
        self.assertLessEqual({"time", "call_at", "call_later", "create_task", "getaddrinfo"}, set(calls))

unittest.main(argv=["test"])
"""


class BeforeTest(unittest.TestCase):
    def test_wrapped_before_the_package_is_imported(self):
        """What calls the method that it replaces, which it keeps in a closure, a default or a dict, goes on to ours."""
        child = run_python("-c", KEEPING)
        self.assertEqual(child.returncode, 0, child.stderr)


    def test_patched_before_the_package_is_imported(self):
        """What was replaced before this package was imported acts too, and what was kept before works."""
        for arguments in ((), ("blocked",)):  # nothing stands in the place of the class, or another class
            with self.subTest(arguments):
                child = run_python("-c", BEFORE, *arguments)
                self.assertEqual((child.returncode, child.stdout), (0, "no file\nno name\n"), child.stderr)
