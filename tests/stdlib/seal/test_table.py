"""The seal: for which threads the doors lead into the kernel, through which doors, and that nothing is left of it."""

import asyncio
import concurrent.futures
import contextlib
import datetime
import gc
import inspect
import multiprocessing
import os
import queue
import socket
import ssl
import subprocess
import threading
import time
import unittest
import unittest.mock
import warnings
from socket import create_connection, create_server, getaddrinfo, socketpair
from socket import socket as early_socket

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, VirtualSocket, sealed
from solipsism_unittest.errors import EscapeError, SolipsismError
from solipsism_unittest.stdlib import worlds
from solipsism_unittest.stdlib.worlds import Keep, world_here
from tests.kernel import output_under_hash_seeds

DOORS = [
    (socket.socket, "__new__"),
    (socket, "_socket"),
    (socket, "gethostbyname"),
    (socket, "gethostbyname_ex"),
    (socket, "gethostbyaddr"),
    (socket, "gethostname"),
    (socket, "getnameinfo"),
    (time, "monotonic"),
    (time, "monotonic_ns"),
    (threading.Thread, "start"),
    (concurrent.futures.ThreadPoolExecutor, "submit"),
    (asyncio.selector_events.BaseSelectorEventLoop, "_make_self_pipe"),
    (asyncio.base_events.BaseEventLoop, "_check_running"),
]
NOTHING = object()


def doors():
    """What stands in each door now."""
    return [vars(owner).get(name, NOTHING) for owner, name in DOORS]


def in_thread(function, thread_class=threading.Thread):
    """What `function()` gives in a new thread."""
    found = []
    thread = thread_class(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def tell_the_world(writer):
    """What a child process sees: whether time goes on, and which class its sockets are."""
    began = time.monotonic()
    time.sleep(0.001)
    with socket.socket() as face:
        writer.send((time.monotonic() > began, type(face).__name__))


class Hermetic(unittest.TestCase):
    """Every test begins and ends with the doors as they were: those of classes as the first seal has left them."""

    def setUp(self):
        self.loop = SolipsistEventLoop(start_time=1000.0)
        with sealed(self.loop):
            pass
        before = doors()
        self.addCleanup(lambda: self.assertEqual(doors(), before))
        self.addCleanup(self.loop.close)


class NamesTest(Hermetic):
    def test_bound_before(self):
        """Names that were bound before the test was sealed are virtual inside and real outside."""
        with sealed(self.loop):
            one, two = socketpair()
            with early_socket() as sock, one, two, create_server(("a.test", 80)) as server:
                self.assertEqual([type(end) for end in (sock, one, server)], [VirtualSocket] * 3)
                with create_connection(("a.test", 80)) as client:
                    self.assertIs(type(client), VirtualSocket)
            self.assertTrue(getaddrinfo("a.test", 80)[0][4][0].startswith("198."))
        one, two = socketpair()
        with early_socket() as sock, one, two:
            self.assertEqual([type(end) for end in (sock, one, two)], [socket.socket] * 3)

    def test_look_ups(self):
        """Every function that looks names up asks the kernel."""
        with sealed(self.loop):
            address = socket.gethostbyname("a.test")
            self.assertEqual(socket.gethostbyname_ex("a.test"), ("a.test", [], [address]))
            self.assertEqual(socket.gethostbyname_ex(b"a.test"), ("a.test", [], [address]))
            self.assertEqual(socket.gethostbyaddr(address), ("a.test", [], [address]))
            self.assertEqual(socket.gethostbyaddr("localhost"), ("localhost", [], ["127.0.0.1"]))
            self.assertEqual(socket.getnameinfo((address, 443), 0), ("a.test", "https"))
            self.assertEqual(socket.getaddrinfo("a.test", 80, type=socket.SOCK_STREAM)[0][4], (address, 80))
            self.assertEqual(
                (socket.gethostname(), socket.getfqdn(), socket.getfqdn(address)), ("localhost", "localhost", "a.test")
            )

    def test_unknown(self):
        """What cannot be found is a gaierror by name and a herror by address, as from the system."""
        self.loop.kernel.names.fail_lookup("nobody.invalid")
        with sealed(self.loop):
            for call in (socket.gethostbyname, socket.gethostbyname_ex, socket.gethostbyaddr):
                with self.subTest(call.__name__), self.assertRaises(socket.gaierror):
                    call("nobody.invalid")
            with self.assertRaisesRegex(socket.herror, "Unknown host"):
                socket.gethostbyaddr("192.0.2.1")
            with self.assertRaises(TypeError):
                socket.gethostbyname(None)

    def test_literals_as_the_real_ones(self):
        """For literal addresses gethostbyname() gives inside what it gives outside."""
        for host in ("127.0.0.1", "127.1", "", "<broadcast>", b"1.2.3.4", bytearray(b"1.2.3.4"), "255.255.255.255"):
            with self.subTest(host=host):
                real = socket.gethostbyname(host)
                with sealed(self.loop):
                    self.assertEqual(socket.gethostbyname(host), real)

    def test_look_like_what_they_replace(self):
        """A replacement keeps the name and the documentation of what it replaces."""
        before = time.monotonic.__name__, time.monotonic.__doc__, socket._socket.__name__
        with sealed(self.loop):
            self.assertEqual((time.monotonic.__name__, time.monotonic.__doc__, socket._socket.__name__), before)

    def test_processes_get_real_sockets(self):
        """What multiprocessing makes for its processes is real: a pipe of two sockets, and what accepts in one."""
        with sealed(self.loop):
            one, two = multiprocessing.Pipe()
            with one, two:
                one.send([1, 2])
                self.assertEqual(two.recv(), [1, 2])
                self.assertLess(max(one.fileno(), two.fileno()), 2**30)

    @unittest.skipUnless(hasattr(os, "fork"), "only where processes fork")
    def test_a_forked_child(self):
        """A forked child is in the real world: its time goes on, and its sockets are real."""
        with sealed(self.loop):
            reader, writer = multiprocessing.Pipe(duplex=False)
            child = multiprocessing.get_context("fork").Process(target=tell_the_world, args=(writer,))
            child.start()
            seen = reader.recv()
            child.join()
            reader.close()
            writer.close()
        self.assertEqual(seen, (True, "socket"))
        sealed(self.loop).__enter__()
        for _ in range(2):  # as the child does: there may be a world to leave, and there may be none
            worlds.leave_every_world()
            self.assertIsNone(world_here())
            self.assertFalse(hasattr(time.monotonic, "__wrapped__"))

    def test_pairs_of_other_types(self):
        """A pair that is neither a stream nor for datagrams is refused, with what there is."""
        with sealed(self.loop), self.assertRaisesRegex(SolipsismError, "is not simulated: SOCK_STREAM and SOCK_DGRAM"):
            socketpair(type=socket.SOCK_RAW)


class TimeTest(Hermetic):
    def test_monotonic(self):
        """time.monotonic() and monotonic_ns() are the loop's time in a sealed thread, and the real one in any other."""
        with sealed(self.loop):
            self.assertEqual((time.monotonic(), time.monotonic_ns()), (1000.0, 1_000_000_000_000))
        self.assertNotEqual(time.monotonic(), 1000.0)

    def test_in_step(self):
        """They follow the loop exactly while it runs."""

        async def sleep():
            before = time.monotonic()
            await asyncio.sleep(86400.25)
            return time.monotonic() - before, time.monotonic_ns(), time.monotonic() == asyncio.get_running_loop().time()

        self.assertEqual(self.loop.run_until_complete(sleep()), (86400.25, 87_400_250_000_000, True))

    def test_nanoseconds_are_rounded(self):
        """Nanoseconds are the nearest to the time, not one below it."""
        with contextlib.closing(SolipsistEventLoop(start_time=4.35)) as loop, sealed(loop):
            self.assertEqual(time.monotonic_ns(), 4_350_000_000)

    def test_wall_clock(self):
        """The wall clock and the performance counter stay real."""
        names = ("perf_counter", "perf_counter_ns", "process_time")
        before = [getattr(time, name) for name in names]
        with sealed(self.loop):
            self.assertEqual([getattr(time, name) for name in names], before)
            self.assertLess(abs(time.time() - datetime.datetime.now().timestamp()), 3600)
            self.assertLess(abs(time.time_ns() / 1e9 - time.mktime(time.localtime())), 3600)


class SealTest(Hermetic):
    def test_nests(self):
        """Inside another world the inner one counts, and behind it the outer one again."""
        other = SolipsistEventLoop(start_time=5.0)
        self.addCleanup(other.close)
        with sealed(self.loop):
            with sealed(other), sealed(other):
                self.assertEqual(time.monotonic(), 5.0)
            self.assertEqual((time.monotonic(), world_here()), (1000.0, self.loop.world))
        self.assertIsNone(world_here())

    def test_left_in_another_order(self):
        """Of two seals that overlap the first may be left first: the second one counts until it is left."""
        other = SolipsistEventLoop(start_time=5.0)
        self.addCleanup(other.close)
        before = doors()
        first, second = sealed(self.loop), sealed(other)
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        self.assertEqual(time.monotonic(), 5.0)
        second.__exit__(None, None, None)
        self.assertEqual(doors(), before)

    def test_one_seal_twice(self):
        """One seal may be used again, inside itself and behind itself."""
        seal = sealed(self.loop)
        with seal, seal:
            self.assertIs(world_here(), self.loop.world)
        self.assertIsNone(world_here())
        with seal:
            self.assertIs(world_here(), self.loop.world)

    def test_crash(self):
        """An exception, of any kind, leaves nothing behind."""
        before = doors()
        for kind in (ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, GeneratorExit):
            with self.subTest(kind.__name__):
                with self.assertRaises(kind), sealed(self.loop):
                    raise kind
                self.assertEqual((doors(), world_here()), (before, None))

    def test_crashing_tests(self):
        """A test that fails in any phase, or is interrupted, leaves nothing behind."""
        before = doors()
        for phase in ("setUp", "asyncSetUp", "test", "asyncTearDown", "tearDown", "cleanup"):
            for kind in (ValueError, KeyboardInterrupt):
                with self.subTest(phase=phase, kind=kind.__name__):
                    result = unittest.TestResult()
                    with contextlib.suppress(KeyboardInterrupt):
                        crashing(phase, kind)("test").run(result)
                    self.assertEqual((doors(), world_here()), (before, None))

    def test_left_elsewhere(self):
        """A seal that is left in a thread that did not enter it says so, and that thread stays as it is."""
        entered, go, found = sealed(self.loop), threading.Event(), []

        def leave():
            go.wait(10)
            try:
                entered.__exit__(None, None, None)
            except SolipsismError as error:
                found.append(str(error))

        thread = threading.Thread(target=leave)
        thread.start()
        with entered:
            go.set()
            thread.join(10)
            self.assertIs(world_here(), self.loop.world)
        self.assertEqual(found, ["sealed() is left in a thread that did not enter it: leave it there"])

    def test_other_threads(self):
        """A thread that was there before sees the real world while another one is sealed."""
        go, found = threading.Event(), []

        def look():
            go.wait(10)
            with early_socket() as sock:
                found.extend([type(sock), world_here(), time.monotonic() == 1000.0, socket.gethostbyname("127.1")])

        thread = threading.Thread(target=look)
        thread.start()
        with sealed(self.loop):
            go.set()
            thread.join(10)
        self.assertEqual(found, [socket.socket, None, False, "127.0.0.1"])

    def test_two_threads_two_loops(self):
        """Two threads in two worlds see their own at the same time; the doors stay until the last one leaves."""
        barrier = threading.Barrier(2)  # a timeout would be over at once: each world waits in its own time

        def live(start):
            with contextlib.closing(SolipsistEventLoop(start_time=start)) as loop, sealed(loop):
                barrier.wait()
                with socket.socket() as sock:
                    sock.bind(("127.0.0.1", 80))  # free in each of the two worlds
                    seen = time.monotonic(), sock.kernel is loop.kernel
                barrier.wait()
                return seen

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            self.assertEqual(list(pool.map(live, (1.0, 2.0))), [(1.0, True), (2.0, True)])

    def test_no_world(self):
        """A loop without a world of its own cannot be sealed to."""
        with contextlib.closing(asyncio.SelectorEventLoop()) as stock:
            for loop in (stock, None, self):
                with (
                    self.subTest(loop=loop),
                    self.assertRaisesRegex(SolipsismError, "has no virtual world: sealed.. needs"),
                ):
                    sealed(loop)


def crashing(phase, kind):
    class Crashing(SolipsistTestCase):
        def setUp(self):
            self.addCleanup(self.at, "cleanup")
            self.at("setUp")

        async def asyncSetUp(self):
            self.at("asyncSetUp")

        def at(self, here):
            assert world_here() is not None
            if here == phase:
                raise kind

        async def test(self):
            self.at("test")

        async def asyncTearDown(self):
            self.at("asyncTearDown")

        def tearDown(self):
            self.at("tearDown")

    return Crashing


class ThreadsTest(Hermetic):
    def test_started_by_a_sealed_thread(self):
        """A thread that a sealed thread starts is sealed, and so are its own; however it says what it runs."""

        class Running(threading.Thread):
            def run(self):
                super().run()

        class Starting(threading.Thread):
            def start(self):
                super().start()

        with sealed(self.loop):
            for kind in (threading.Thread, Running, Starting):
                with self.subTest(kind.__name__):
                    self.assertIs(in_thread(world_here, kind), self.loop.world)
            self.assertIs(in_thread(lambda: in_thread(world_here)), self.loop.world)

    def test_timer(self):
        """A threading.Timer runs in the world of who started it, and its wait is real time."""
        found, done = [], threading.Event()
        with sealed(self.loop):
            timer = threading.Timer(0.001, lambda: (found.append(world_here()), done.set()))
            timer.start()
            done.wait(10)
            timer.join(10)
        self.assertEqual(found, [self.loop.world])

    def test_outlives_the_seal(self):
        """A thread stays in its world when who started it has left; the doors close behind the last."""
        before, go, found = doors(), threading.Event(), []
        with sealed(self.loop):
            thread = threading.Thread(target=lambda: (go.wait(10), found.append((world_here(), time.monotonic()))))
            thread.start()
        self.assertIsNone(world_here())
        go.set()
        thread.join(10)
        self.assertEqual((found, doors()), ([(self.loop.world, 1000.0)], before))

    def test_crashing_thread(self):
        """A thread that ends with an exception leaves nothing behind."""
        before = doors()
        with unittest.mock.patch("threading.excepthook") as hook, sealed(self.loop):
            thread = threading.Thread(target=lambda: 1 / 0)
            thread.start()
            thread.join(10)
        self.assertEqual((hook.call_args.args[0].exc_type, doors()), (ZeroDivisionError, before))

    def test_managers_of_processes(self):
        """A thread by which the standard library manages real child processes stays real, for it waits in real time."""
        for module in ("multiprocessing.pool", "concurrent.futures.process"):
            namespace = {"__name__": module, "in_thread": None, "threading": threading, "world_here": world_here}
            exec("found = []\nthread = threading.Thread(target=lambda: found.append(world_here()))", namespace)
            with sealed(self.loop), self.subTest(module):
                exec("thread.start(); thread.join(10)", namespace)
                self.assertEqual(namespace["found"], [None])

    def test_started_twice(self):
        """A thread that was started is not started again, with the real error, and keeps what it runs."""
        with sealed(self.loop):
            thread = threading.Thread(target=world_here)
            thread.start()
            thread.join(10)
            with self.assertRaisesRegex(RuntimeError, "threads can only be started once"):
                thread.start()

    def test_cannot_start(self):
        """A thread that could not be started is as it was: started outside later, it is real."""
        found = []
        thread = threading.Thread(target=lambda: found.append(world_here()))
        name = "_start_joinable_thread" if hasattr(threading, "_start_joinable_thread") else "_start_new_thread"
        with (
            sealed(self.loop),
            unittest.mock.patch.object(threading, name, side_effect=RuntimeError("can't start new thread")),
            self.assertRaisesRegex(RuntimeError, "can't start"),
        ):
            thread.start()
        thread.start()
        thread.join(10)
        self.assertEqual(found, [None])

    def test_executor(self):
        """A job belongs to the world of who submitted it, also on a worker that is older, or another test's."""
        other = SolipsistEventLoop()
        self.addCleanup(other.close)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            seen = [pool.submit(world_here).result(10)]
            for loop in (self.loop, other):
                with sealed(loop):
                    seen.append(pool.submit(world_here).result(10))
            seen.append(pool.submit(world_here).result(10))
        self.assertEqual(seen, [None, self.loop.world, other.world, None])

    def test_executor_arguments(self):
        """Arguments and results pass through, and an exception is the job's own."""
        with sealed(self.loop), concurrent.futures.ThreadPoolExecutor(1) as pool:
            self.assertEqual(pool.submit(int, "11", base=2).result(10), 3)
            self.assertEqual(list(pool.map(abs, (-1, 2))), [1, 2])
            with self.assertRaises(ZeroDivisionError):
                pool.submit(lambda: 1 / 0).result(10)

    def test_to_thread(self):
        """asyncio.to_thread() runs in the world of the loop."""
        self.assertIs(self.loop.run_until_complete(asyncio.to_thread(world_here)), self.loop.world)
        self.loop.run_until_complete(self.loop.shutdown_default_executor())


class StrangersTest(Hermetic):
    """Other people patch the same names: theirs count where they are later, and nothing of theirs or ours is lost."""

    def test_patched_during(self):
        """A patch made inside counts inside, and what was there before is back behind it."""
        with sealed(self.loop):
            with unittest.mock.patch("time.monotonic", return_value=7):
                self.assertEqual(time.monotonic(), 7)
            self.assertEqual(time.monotonic(), 1000.0)

    def test_patched_before(self):
        """A patch made before is back after the seal, and undoing it gives the original back."""
        original = time.monotonic
        with unittest.mock.patch("time.monotonic", return_value=7) as theirs:
            with sealed(self.loop):
                self.assertEqual(time.monotonic(), 1000.0)
            self.assertIs(time.monotonic, theirs)
            self.assertEqual(in_thread(time.monotonic), 7)
        self.assertIs(time.monotonic, original)

    def test_patched_before_and_undone_inside(self):
        """A patch that is undone inside is gone afterwards."""
        original = time.monotonic
        patch = unittest.mock.patch("time.monotonic", return_value=7)
        patch.start()
        with sealed(self.loop):
            patch.stop()
        self.assertIs(time.monotonic, original)

    def test_patched_inside_and_undone_later(self):
        """A patch that outlives its test counts outside until it is undone; when that is in a test, nothing is left."""
        original = time.monotonic
        patch = unittest.mock.patch("time.monotonic", return_value=7)
        with sealed(self.loop):
            patch.start()
        self.assertEqual(time.monotonic(), 7)
        with sealed(self.loop):
            self.assertEqual(time.monotonic(), 1000.0)
            patch.stop()
            self.assertEqual(time.monotonic(), 1000.0)
        self.assertIs(time.monotonic, original)

    def test_undone_between_two_tests(self):
        """A patch of one test that is undone before the next leaves a door that is real, and healed by the next."""
        original = time.monotonic
        patch = unittest.mock.patch("time.monotonic", return_value=7)
        with sealed(self.loop):
            patch.start()
        patch.stop()
        self.assertNotEqual(time.monotonic(), 1000.0)
        with sealed(self.loop):
            self.assertEqual(time.monotonic(), 1000.0)
        self.assertIs(time.monotonic, original)

    def test_wrapped_for_good(self):
        """Who wraps a function inside and never takes it back is called, and calls what is right where it is called."""
        original = time.monotonic
        self.addCleanup(setattr, time, "monotonic", original)
        with sealed(self.loop):
            inner = time.monotonic
            time.monotonic = lambda: inner() + 0.5
            self.assertEqual(time.monotonic(), 1000.5)
        for _ in range(3):
            with sealed(self.loop):
                self.assertEqual(time.monotonic(), 1000.0)
            self.assertLess(time.monotonic() - 0.5 - original(), 1.0)

    def test_socket_class(self):
        """Who replaces `socket.socket` gets what it asked for, inside and outside."""
        with unittest.mock.patch("socket.socket") as fake:
            with sealed(self.loop):
                self.assertIs(socket.socket(), fake.return_value)
                with early_socket() as sock:
                    self.assertIs(type(sock), VirtualSocket)
            self.assertIs(socket.socket, fake)
        self.assertIs(socket.socket, early_socket)

    def test_new_of_the_socket_class(self):
        """Somebody else's `__new__` of the socket class stays theirs, and answers for threads that are not sealed."""
        made = []

        def __new__(cls, *args, **kwargs):
            made.append((args, kwargs))
            return super(socket.socket, cls).__new__(cls)

        with unittest.mock.patch.object(socket.socket, "__new__", __new__, create=True):
            with sealed(self.loop), socket.socket() as sock:
                self.assertIs(type(sock), VirtualSocket)
            socket.socket(socket.AF_INET, proto=6).close()
        self.assertEqual(made, [((socket.AF_INET,), {"proto": 6})])

    def test_deleted_inside(self):
        """A door that somebody takes away inside stays away, for who put it there comes and fetches it."""
        with unittest.mock.patch.object(socket, "gethostname", socket.gethostname), sealed(self.loop):
            del socket.gethostname
        self.assertTrue(callable(socket.gethostname))

    def test_changed_between_seals(self):
        """What somebody changes while stand-ins are kept between two seals is replaced again, and put back at the end.
        """
        real = socket.gethostname, threading.Condition.wait
        kept = Keep()
        with sealed(self.loop):
            ours = socket.gethostname, threading.Condition.wait
        for name, undo in (("real", True), ("another", False)):
            for owner, attribute, before, function in (
                    (socket, "gethostname", real[0], lambda: "me"),
                    (threading.Condition, "wait", vars(threading.Condition)["wait"], lambda self, timeout=None: True)):
                with self.subTest(name, owner=owner):
                    setattr(owner, attribute, before if undo else function)
                    with sealed(self.loop):
                        self.assertIsNot(getattr(owner, attribute), function)
                    setattr(owner, attribute, before)
        with sealed(self.loop):
            self.assertEqual((socket.gethostname, threading.Condition.wait), ours)
        del socket.gethostname
        with sealed(self.loop):
            self.assertTrue(callable(time.monotonic))
        socket.gethostname = ours[0]
        kept.end()
        self.assertEqual((socket.gethostname, threading.Condition.wait), real)

    def test_attributes_of_classes(self):
        """A patch of a class's attribute counts inside and outside until it is undone, also when that is later."""
        class Pool(concurrent.futures.ThreadPoolExecutor):
            pass

        calls = ((threading.Thread, "start", lambda: threading.Thread(target=print).start()),
                 (concurrent.futures.ThreadPoolExecutor, "submit", lambda: Pool().submit(print)),
                 (threading.Thread, "join", lambda: threading.Thread().join()),
                 (threading.Condition, "wait", lambda: threading.Condition().wait(0)))
        for owner, name, call in calls:
            before = vars(owner)[name]
            with self.subTest(name, undone="inside"):
                with sealed(self.loop), unittest.mock.patch.object(owner, name, return_value=7) as fake:
                    self.assertEqual((call(), fake.call_count), (fake.return_value, 1))
                self.assertIs(vars(owner)[name], before)
            patch = unittest.mock.patch.object(owner, name, return_value=7)
            with self.subTest(name, undone="later"):
                with sealed(self.loop):
                    fake = patch.start()
                self.assertIs(vars(owner)[name], fake)
                with sealed(self.loop):
                    self.assertIsNot(vars(owner)[name], fake)
                self.assertIs(vars(owner)[name], fake)
                patch.stop()
                self.assertIs(vars(owner)[name], before)
            with self.subTest(name, undone="inside of another seal"):
                patch.start()
                with sealed(self.loop):
                    patch.stop()
                self.assertIs(vars(owner)[name], before)

    def test_the_real_thing_is_put_back(self):
        """Who put the real function back, as it was before the first seal, has it until the next seal."""
        before = threading.Thread.start
        threading.Thread.start = before.__wrapped__
        self.assertIsNone(in_thread(world_here))
        with sealed(self.loop):
            self.assertIs(in_thread(world_here), self.loop.world)
        self.assertIs(threading.Thread.start, before)

    def test_signatures(self):
        """What stays in a class looks like what it stands for."""
        self.assertEqual(str(inspect.signature(socket.socket)), "(family=-1, type=-1, proto=-1, fileno=None)")
        self.assertEqual(str(inspect.signature(threading.Condition.wait)), "(self, timeout=None)")
        self.assertEqual(threading.Thread.start.__qualname__, "Thread.start")

    def test_start_of_a_thread(self):
        """A patched Thread.start is called, and the original is back at the end."""
        with sealed(self.loop), unittest.mock.patch("threading.Thread.start") as start:
            threading.Thread(target=print).start()
        self.assertEqual(start.call_count, 1)


class EscapesTest(Hermetic):
    def test_stock_loop(self):
        """A class of the program's own over the stock loop says what to use instead, and is garbage in silence."""

        class Mine(asyncio.SelectorEventLoop):
            pass

        with sealed(self.loop), warnings.catch_warnings():
            warnings.simplefilter("error")
            for make in (Mine,):
                with (
                    self.subTest(make.__name__),
                    self.assertRaisesRegex(
                        EscapeError,
                        r"Mine is a real event loop, made inside the simulation: use "
                        r"asyncio\.Runner\(loop_factory=SolipsistEventLoop\)",
                    ),
                ):
                    make()
                gc.collect()

    def test_a_loop_after_the_end(self):
        """Who has closed the test's own loop and makes another one is told which of the two calls was wrong."""
        with sealed(self.loop):
            self.loop.close()
            with self.assertRaisesRegex(EscapeError, r"world that is over, for the test's own loop is closed\n  leave"):
                asyncio.new_event_loop()

    def test_a_loop_from_before(self):
        """A stock loop that was made outside cannot run inside, where its clock stands; other threads may have theirs.
        """
        loop = asyncio.SelectorEventLoop()
        self.addCleanup(loop.close)
        running = asyncio.SelectorEventLoop()
        thread = threading.Thread(target=running.run_forever)
        thread.start()
        with sealed(self.loop):
            for run in (loop.run_forever, lambda: loop.run_until_complete(loop.create_future())):
                with self.assertRaisesRegex(EscapeError, "SelectorEventLoop is a real event loop, made outside of the"):
                    run()
            running.call_soon_threadsafe(running.stop)
            thread.join(10)
        running.close()
        self.assertEqual(loop.run_until_complete(asyncio.sleep(0, "real")), "real")

    def test_a_loop_from_before_in_a_thread(self):
        """A stock loop that was made outside runs in a thread that a test starts: it is not the loop's own thread."""
        loop = asyncio.SelectorEventLoop()
        self.addCleanup(loop.close)
        with sealed(self.loop):
            self.assertEqual(in_thread(lambda: loop.run_until_complete(asyncio.sleep(0, "real"))), "real")

    def test_stock_loop_in_a_thread(self):
        """asyncio.run() in a thread that a test starts is virtual there too."""
        with sealed(self.loop):
            self.assertEqual(in_thread(lambda: asyncio.run(asyncio.sleep(3600, "done"))), "done")
        self.assertEqual(self.loop.time(), 4600)

    def test_stock_loop_outside(self):
        """A thread that is not sealed may have a stock loop while another one is sealed."""
        with sealed(self.loop), concurrent.futures.ThreadPoolExecutor(1) as pool:
            done = threading.Event()
            _ = pool.submit(done.set).result(10)
        go, found = threading.Event(), []
        thread = threading.Thread(target=lambda: (go.wait(10), found.append(asyncio.run(asyncio.sleep(0, "real")))))
        thread.start()
        with sealed(self.loop):
            go.set()
            thread.join(10)
        self.assertEqual(found, ["real"])

    def test_tls_socket(self):
        """A TLS socket of the program's own class is a real one, which says to use asyncio's streams."""

        class Mine(ssl.SSLSocket):
            pass

        context = ssl.create_default_context()
        context.sslsocket_class = Mine
        with (
            sealed(self.loop),
            socket.socket() as sock,
            self.assertRaisesRegex(
                EscapeError, r"test_tls_socket\.<locals>\.Mine is a real socket class\n  .*\(TLS: ssl= of open_conne"
            ),
        ):
            context.wrap_socket(sock, server_hostname="a.test")

    def test_subclass(self):
        """A subclass of socket.socket is virtual inside, and real outside; one of ours is virtual everywhere."""

        class Mine(socket.socket):
            pass

        class Ours(VirtualSocket):
            pass

        with sealed(self.loop):
            with Mine() as mine:
                self.assertIs(mine.world, self.loop.world)
                self.assertIsInstance(mine, Mine)
            with Ours() as ours:
                self.assertIs(ours.world, self.loop.world)
        with Mine() as mine:
            self.assertIs(type(mine), Mine)
            self.assertLess(mine.fileno(), 2**20)

    def test_running_loop(self):
        """A loop seals its thread while it runs, without any test case, and no longer."""

        async def look():
            with socket.socket() as sock:
                return type(sock), world_here() is self.loop.world

        self.assertEqual(self.loop.run_until_complete(look()), (VirtualSocket, True))
        self.assertIsNone(world_here())


class KeywordsTest(SolipsistTestCase):
    async def test_a_class_of_ones_own_takes_keywords_of_any_name(self):
        """No keyword is taken for the class that is called: of sockets, loops, processes and queues."""
        given = {"cls": 1, "world": 2}
        for stock in socket.socket, asyncio.SelectorEventLoop, subprocess.Popen, queue.SimpleQueue:

            class Own(stock):
                def __init__(own, **keywords):  # self may be one of the keywords
                    own.keywords = keywords

                def __del__(self):
                    """Nothing has been opened."""

                if stock is queue.SimpleQueue:
                    def __new__(kind, **keywords):  # that of C takes no keywords
                        return super().__new__(kind)

            with self.subTest(stock=stock):
                self.assertEqual(Own(**given).keywords, given)


class NoRealNetworkTest(unittest.TestCase):
    def test_audit(self):
        """To import the package, and to make sockets and look names up in a world, asks the system nothing."""
        program = """
import sys
import asyncio, concurrent.futures.thread, ssl, unittest.mock
sys.addaudithook(lambda event, args: print(event) if event.startswith("socket.") else None)
from solipsism_unittest import SolipsistEventLoop, sealed, socketpair
import socket
loop = SolipsistEventLoop()
socketpair()[0].close()
with sealed(loop):
    server = socket.create_server(("a.test", 80))
    client = socket.create_connection(("a.test", 80))
    socket.gethostbyname("b.test"), socket.getfqdn("198.18.0.1"), socket.socketpair(), socket.gethostname()
    loop.run_until_complete(asyncio.sleep(5))
loop.close()
print("done")
"""
        self.assertEqual(output_under_hash_seeds(program, ("0",)), {"done\n"})


if __name__ == "__main__":
    unittest.main()
