"""The guard: which calls are stopped and where, what is let out on purpose, and who is told of an escape."""

import _socket
import asyncio
import concurrent.futures
import contextlib
import ctypes.util
import datetime
import functools
import locale
import multiprocessing
import multiprocessing.connection
import multiprocessing.dummy
import os
import pathlib
import platform
import pty
import queue
import re
import signal
import socket
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import types
import unittest
import urllib.error
import urllib.request
import uuid
import warnings
import weakref
import webbrowser
from _socket import socketpair
from multiprocessing.pool import ThreadPool
from unittest import mock

from solipsism_unittest import EscapeError, SolipsismError, SolipsistEventLoop, SolipsistTestCase, VirtualSocket, sealed
from solipsism_unittest.stdlib import escapes
from solipsism_unittest.stdlib.seal import guard, permits
from solipsism_unittest.stdlib.worlds import world_here
from tests import run_python
from tests.case.test_case import run, told

NOWHERE = "/nowhere/at/all"  # a program that is not there: what would start it fails, should it ever get so far
LOOK_UP = socket.gethostbyname  # bound under another name, where no replacement can be put
NAMELESS = "x" * 2000  # too long for the name of a machine
GROUP = 4194304  # one above the highest that Linux gives: nobody is in it
PARENT = os.getppid()


_KILL = os.kill  # under another name, which nothing replaces

class Subclass(socket.socket):
    pass


class Encrypted(ssl.SSLSocket):
    def __init__(self):
        socket.socket.__init__(self)


class WithOwnNew(socket.socket):
    def __new__(cls, *args, **kwargs):
        return _socket.socket.__new__(cls)


def in_fork(fork):
    """Fork, end the child at once, and wait for it."""
    pid = fork()
    pid, *terminal = pid if isinstance(pid, tuple) else (pid,)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    for descriptor in terminal:
        os.close(descriptor)


def browse():
    """webbrowser.open() with a browser that does nothing."""
    browsers = {"toy": [None, webbrowser.GenericBrowser("true")]}
    with mock.patch.multiple(webbrowser, _tryorder=["toy"], _browsers=browsers):
        return webbrowser.open("http://a.test/")


def close(made):
    for one in made if isinstance(made, tuple) else (made,):
        one.close()


def real_socket():
    """A UDP socket of the real loopback, as a program may have made it before the test."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


def routes(made):
    """Each way out: what it is -> (the call, its category, how its error begins). `made` is a real UDP socket."""
    where = made.getsockname()
    shown = rf"\('127\.0\.0\.1', {where[1]}\)"
    network, process = {}, {}

    network["_socket.socket"] = lambda: close(_socket.socket()), r"_socket\.socket\(AF_INET, SOCK_STREAM\) would make "
    network["_socket.socket 6"] = (
        lambda: close(_socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | getattr(socket, "SOCK_CLOEXEC", 0))),
        r"_socket\.socket\(AF_INET6, SOCK_DGRAM\) ",
    )
    network["SocketType"] = lambda: close(socket.SocketType(type=socket.SOCK_DGRAM)), r"_socket\.socket\(.*DGRAM\) "
    network["_socket.socketpair"] = lambda: close(_socket.socketpair()), r"_socket\.socketpair\(\) would make real "
    network["socketpair, bound"] = lambda: close(socketpair()), r"_socket\.socketpair\(\) would make real sockets"
    network["subclass"] = lambda: close(Encrypted()), rf"{re.escape(__name__)}\.Encrypted is a real socket class"
    network["__new__"] = lambda: close(WithOwnNew()), r"_socket\.socket\(AF_INET, SOCK_STREAM\)"
    network["connect"] = lambda: made.connect(where), rf"socket\.connect\({shown}\) would reach the real network"
    network["connect_ex"] = lambda: made.connect_ex(where), rf"socket\.connect\({shown}\)"
    network["bind"] = lambda: made.bind(where), rf"socket\.bind\({shown}\)"
    network["sendto"] = lambda: made.sendto(b"x", where), rf"socket\.sendto\({shown}\)"
    network["sendmsg"] = lambda: made.sendmsg([b"x"], [], 0, where), rf"socket\.sendmsg\({shown}\)"
    network["bound look-up"] = lambda: LOOK_UP("127.0.0.1"), r"socket\.gethostbyname\('127\.0\.0\.1'\)"
    for name, arguments, target in (
        ("getaddrinfo", ("127.0.0.1", 80), r"'127\.0\.0\.1', 80"),
        ("gethostbyname", ("127.0.0.1",), r"'127\.0\.0\.1'"),
        ("gethostbyaddr", ("127.0.0.1",), r"'127\.0\.0\.1'"),
        ("gethostname", (), ""),
        ("getnameinfo", (("127.0.0.1", 80), 0), r"\('127\.0\.0\.1', 80\)"),
        ("getservbyname", ("http",), "'http'"),
        ("getservbyport", (80,), "80"),
        ("sethostname", (NAMELESS,), "'xxx.*xxx'"),
    ):
        network[name] = functools.partial(getattr(_socket, name), *arguments), rf"socket\.{name}\({target}\) would "
    network["gethostbyname_ex"] = lambda: _socket.gethostbyname_ex("127.0.0.1"), r"socket\.gethostbyname\('127"

    start = "would start a real process"
    process["Popen"] = lambda: subprocess.Popen([NOWHERE, "-l"]), rf"subprocess\.Popen\(\['{NOWHERE}', '-l'\]\) {start}"
    for name in ("run", "call", "check_call", "check_output"):
        function = getattr(subprocess, name)
        process[name] = functools.partial(function, [NOWHERE]), rf"subprocess\.{name}\(\['{NOWHERE}'\]\) {start}"
    process["getoutput"] = lambda: subprocess.getoutput(":"), r"subprocess\.getoutput\(\['.*sh', '-c', ':'\]\) "
    process["system"] = lambda: os.system(":"), rf"os\.system\(':'\) {start}"
    process["popen"] = lambda: os.popen(":").close(), rf"os\.popen\(\['.*sh', '-c', ':'\]\) {start}"
    process["fork"] = lambda: in_fork(os.fork), r"os\.fork\(\) would fork this process"
    process["forkpty"] = lambda: in_fork(os.forkpty), r"os\.forkpty\(\) would fork this process"
    process["pty.fork"] = lambda: in_fork(pty.fork), r"pty\.fork\(\) would fork this process"
    shown = rf"\('{NOWHERE}', \('x', 'y'\)\)"
    replace = "would replace this process by another program"
    for name, arguments in (
        ("execl", ("x", "y")),
        ("execle", ("x", "y", {})),
        ("execlp", ("x", "y")),
        ("execlpe", ("x", "y", {})),
        ("execv", (("x", "y"),)),
        ("execve", (("x", "y"), {})),
        ("execvp", (("x", "y"),)),
        ("execvpe", (("x", "y"), {})),
    ):
        stopped = "execv" if name == "execve" else name  # they share one event
        process[name] = functools.partial(getattr(os, name), NOWHERE, *arguments), rf"os\.{stopped}{shown} {replace}"
        spawn = name.replace("exec", "spawn")
        call = functools.partial(getattr(os, spawn), os.P_WAIT, NOWHERE, *arguments)
        process[spawn] = call, rf"os\.{spawn}{shown} {start}"
    for name in ("posix_spawn", "posix_spawnp"):
        call = functools.partial(getattr(os, name), NOWHERE, ["x"], {})
        process[name] = call, rf"os\.posix_spawn\('{NOWHERE}', \['x'\]\) {start}"

    signals = "would signal a process other than this one"
    return {
        **{name: (call, "network", error) for name, (call, error) in network.items()},
        **{name: (call, "subprocess", error) for name, (call, error) in process.items()},
        "kill": (lambda: os.kill(PARENT, 0), "signal", rf"os\.kill\({PARENT}, 0\) {signals}"),
        "kill 0": (lambda: os.kill(0, 0), "signal", rf"os\.kill\(0, 0\) {signals}"),
        "killpg": (lambda: os.killpg(GROUP, 0), "signal", rf"os\.killpg\({GROUP}, 0\) {signals}"),
        "webbrowser": (browse, "webbrowser", r"webbrowser\.open\('http://a\.test/'\) would open a real browser"),
    }


def what_happens(call):
    """What a call comes to: an exception, or None."""
    try:
        call()
    except Exception as error:
        return error
    return None


@unittest.skipUnless(hasattr(os, "fork"), "only where processes fork")
class RoutesTest(unittest.TestCase):
    def setUp(self):
        made = real_socket()
        self.addCleanup(made.close)
        self.routes = routes(made)
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where there are threads

    def assertStopped(self, place):
        """A test that takes a way out, as `place(test, call)` does, fails with one error that says so."""
        for name, (call, category, begin) in self.routes.items():

            class Case(SolipsistTestCase):
                async def test(self, call=call):
                    await place(self, call)

            with self.subTest(name):
                result = run(Case)
                self.assertEqual((len(result.errors), result.failures), (1, []), told(result))
                self.assertRegex(told(result), f"EscapeError: {begin}")
                if name != "subclass":
                    self.assertIn(f'`with self.allow_escape("{category}"):`', told(result))
                self.assertNotIn("solipsism_unittest/guard.py", told(result))

    def test_in_the_test(self):
        """Each way out is stopped in the test itself, before anything happens."""

        async def place(test, call):
            call()

        self.assertStopped(place)

    def test_in_a_callback(self):
        """Each way out is stopped in a callback, and fails the test though asyncio handles what callbacks raise."""

        async def place(test, call):
            test.loop.set_exception_handler(lambda loop, context: None)
            test.loop.call_soon(call)
            await asyncio.sleep(1)

        self.assertStopped(place)

    def test_in_a_worker_thread(self):
        """Each way out is stopped in an executor's thread."""

        async def place(test, call):
            await asyncio.to_thread(call)

        self.assertStopped(place)

    def test_in_a_thread(self):
        """Each way out is stopped in a thread that the test starts, and fails the test though its error is lost."""

        async def place(test, call):
            thread = threading.Thread(target=lambda: call())
            thread.start()
            thread.join()

        with mock.patch("threading.excepthook"):
            self.assertStopped(place)

    def test_before_and_after(self):
        """The same calls come to the same before a test and after it, whatever that is on this system."""
        before = {name: type(what_happens(call)) for name, (call, _, _) in self.routes.items()}
        self.assertNotIn(EscapeError, before.values())
        self.assertEqual(before["fork"], type(None))
        self.test_in_the_test()
        self.assertEqual({name: type(what_happens(call)) for name, (call, _, _) in self.routes.items()}, before)

    def test_in_a_foreign_thread(self):
        """The same calls come to the same in a thread of somebody else while a test runs."""
        before = {name: type(what_happens(call)) for name, (call, _, _) in self.routes.items()}
        go, during = threading.Event(), {}

        def foreign():
            go.wait(10)
            during.update({name: type(what_happens(call)) for name, (call, _, _) in self.routes.items()})

        thread = threading.Thread(target=foreign)
        thread.start()
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            go.set()
            thread.join(60)
            self.assertIsInstance(what_happens(lambda: os.system(":")), EscapeError)
        self.assertEqual(during, before)

    def test_hermetic_false(self):
        """With `hermetic = False` the same calls come to what they come to outside."""
        before = {name: type(what_happens(call)) for name, (call, _, _) in self.routes.items()}
        during = {}

        class Case(SolipsistTestCase):
            hermetic = False

            def test(case):
                during.update({name: type(what_happens(call)) for name, (call, _, _) in self.routes.items()})

        result = run(Case)
        self.assertTrue(result.wasSuccessful(), told(result))
        self.assertEqual(during, before)

    def test_allowed(self):
        """Inside allow_escape() the calls of that category come to what they come to outside, and no others do."""
        before = {name: type(what_happens(call)) for name, (call, _, _) in self.routes.items()}
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        for category in permits.CURES:
            with self.subTest(category), sealed(loop), permits.allow_escape(category):
                for name, (call, its_category, _) in self.routes.items():
                    expected = before[name] if its_category == category else EscapeError
                    self.assertEqual(type(what_happens(call)), expected, name)

    def test_exec(self):
        """os.exec is stopped in a test, and replaces the process as ever after it."""
        program = f"""
import os, sys, unittest
from solipsism_unittest import EscapeError, SolipsistTestCase

def become(word):
    os.execv({sys.executable!r}, [{sys.executable!r}, "-c", f"print({{word!r}})"])

class Case(SolipsistTestCase):
    async def test(self):
        with self.assertRaises(EscapeError):
            become("escaped")

result = unittest.TestResult()
Case("test").run(result)
print(result.wasSuccessful(), flush=True)
become("replaced")
"""
        child = run_python("-c", program)
        self.assertEqual((child.stdout, child.stderr), ("True\nreplaced\n", ""))

    def test_systems_that_are_not_here(self):
        """What Windows calls its ways out is known too; signals and families that have no name are numbers."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            for event, arguments, begin in (
                ("os.startfile", ("a.txt", "open"), r"os\.startfile\('a\.txt'\) would start"),
                ("os.startfile/2", ("a.txt", "open", "", None, 1), r"os\.startfile\('a\.txt'\) would start"),
                ("os.spawn", (0, "a.exe", ["a"], {}), r"os\.spawnv\('a\.exe', \['a'\]\) would start"),
                ("os.kill", (1, 999), r"os\.kill\(1, 999\) would"),
                ("os.kill", (1, 15), r"os\.kill\(1, SIGTERM\) would"),
                ("socket.__new__", (None, 999, 99, 0), r"_socket\.socket\(999, 99\) would"),
            ):
                with self.subTest(event), self.assertRaisesRegex(EscapeError, begin):
                    sys.audit(event, *arguments)

    def test_this_process_itself(self):
        """A signal to the own process is no escape where somebody handles it, or where nobody need."""
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, lambda *_: seen.append(1)))
        seen = []

        class Case(SolipsistTestCase):
            async def test(self):
                for number in (0, signal.SIGUSR1, signal.SIGWINCH, signal.SIGURG, signal.SIGCHLD, signal.SIGCONT):
                    os.kill(os.getpid(), number)

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(seen, [1])

    def test_what_would_end_the_runner(self):
        """A signal to the own process that nobody handles is an escape: no word would be left of the test."""
        for number in (signal.SIGTERM, signal.SIGUSR2, signal.SIGTSTP, signal.SIGKILL):
            name = number.name

            class Case(SolipsistTestCase):
                async def test(self, number=number):
                    os.kill(os.getpid(), number)

            with self.subTest(name):
                self.assertRegex(told(run(Case)), rf"EscapeError: os\.kill\(own pid, {name}\) would end the test "
                                 r"runner \(tests/stdlib/seal/test_guard\.py:\d+ in \S+\.test\)\n  nobody handles "
                                 rf"{name}: install a handler first\n")

    def test_a_runner_that_is_to_end(self):
        """allow_escape("signal") lets such a signal out; a number that is none is the system's to refuse."""
        class Case(SolipsistTestCase):
            async def test(self):
                with self.allow_escape("signal"):
                    sys.audit("os.kill", os.getpid(), signal.SIGUSR2)  # what os.kill() says before it does it
                with self.assertRaises(OSError):
                    os.kill(os.getpid(), 999)

        self.assertEqual(told(run(Case)), "")

    def test_without_a_test_case(self):
        """A thread that is sealed by hand, or by a loop that runs, is guarded too."""

        async def main():
            os.system(":")

        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop), self.assertRaisesRegex(EscapeError, "os.system"):
            os.system(":")
        with self.assertRaisesRegex(EscapeError, "os.system"):
            loop.run_until_complete(main())
        self.assertEqual(os.system(":"), 0)

    def test_a_forked_child(self):
        """The child of a fork that was let out is in the real world, and nothing guards it."""

        class Case(SolipsistTestCase):
            def test(self):
                with self.allow_escape("subprocess"):
                    pid = os.fork()
                if pid == 0:
                    os._exit(7 if what_happens(lambda: os.system(":")) is None else 1)
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 7)

        self.assertEqual(told(run(Case)), "")

    def test_processes_of_the_standard_library(self):
        """multiprocessing starts and ends its processes in a test, and a child that was let out can be ended later."""

        class Case(SolipsistTestCase):
            def test(self):
                for method in ("fork", "forkserver"):
                    child = multiprocessing.get_context(method).Process(target=time.sleep, args=(60,))
                    child.start()
                    child.terminate()
                    child.join()
                with self.allow_escape("subprocess"):
                    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
                child.terminate()
                self.assertEqual(child.wait(), -signal.SIGTERM)

        self.assertEqual(told(run(Case)), "")


class StandardLibraryTest(unittest.TestCase):
    """What the standard library does for its processes is let be, and what it calls of the program is not."""

    def assertPasses(self, body, **attributes):
        result = run(type("Case", (SolipsistTestCase,), {"test": body, **attributes}), "test")
        self.assertTrue(result.wasSuccessful(), told(result))

    def test_threads_of_multiprocessing(self):
        """What threads of multiprocessing run is the program: they are in the world, and what they call is stopped."""

        def look(_):
            return world_here(), time.monotonic(), type(what_happens(lambda: os.system(":")))

        def body(test):
            expected = (test.loop.world, 0.0, EscapeError)
            with ThreadPool(1) as pool:
                test.assertEqual(pool.map(look, [1]), [expected])
                test.assertEqual(pool.apply(time.monotonic), 0.0)
                with test.assertRaisesRegex(EscapeError, r"^os\.system\(':'\) would start a real process\n  give"):
                    pool.apply(os.system, (":",))
            found = []
            thread = multiprocessing.dummy.Process(target=lambda: found.append(look(None)))
            thread.start()
            thread.join()
            test.assertEqual(found, [expected])
            test.loop.world.escapes.clear()

        self.assertPasses(body)

    def test_a_pool_that_is_left(self):
        """A pool of threads that nobody ends is a leak, made at the program's line."""
        pools = []

        def body(test):
            pools.append(ThreadPool(1))

        result = run(type("Case", (SolipsistTestCase,), {"test": body}), "test")
        pools[0].terminate()
        self.assertRegex(told(result), r"1 thread alive\n.*\n.*\n +made at tests/stdlib/seal/test_guard\.py")

    def test_connections_to_an_address(self):
        """Client and Listener of multiprocessing on the internet are an escape, and let out as "network"."""

        def body(test):
            for call in (lambda: multiprocessing.connection.Listener(("127.0.0.1", 0)),
                         lambda: multiprocessing.connection.Client(("::1", 1), "AF_INET6")):
                begin = r"^_socket\.socket\(AF_INET6?, SOCK_STREAM\) would make a real socket \(\S*test_guard\.py"
                with test.assertRaisesRegex(EscapeError, begin):
                    call()
            with test.allow_escape("network"):
                listener = multiprocessing.connection.Listener(("127.0.0.1", 0))
                thread = threading.Thread(target=lambda: listener.accept().close())
                thread.start()
                multiprocessing.connection.Client(listener.address).close()
                thread.join()
                listener.close()
            listener = multiprocessing.connection.Listener()
            listener.close()

        self.assertPasses(body)

    def test_deadlines_of_multiprocessing(self):
        """A wait for a process, a queue or a connection times out in real time."""

        async def body(test):
            context = multiprocessing.get_context("fork")
            child = context.Process(target=time.sleep, args=(60,))
            child.start()
            child.join(timeout=0.01)
            test.assertTrue(child.is_alive())
            child.kill()
            child.join()
            one, two = multiprocessing.Pipe()
            with one, two:
                test.assertFalse(one.poll(0.01))
            empty = context.Queue()
            with test.assertRaises(queue.Empty):
                await asyncio.to_thread(empty.get, True, 0.01)
            empty.close()
            empty.join_thread()
            test.assertEqual(time.monotonic(), test.now)

        self.assertPasses(body, real_time_limit=20.0)

    def test_questions_about_the_machine(self):
        """A process by which the standard library asks about the machine is no escape, and no blocking call."""

        async def body(test):
            for ask in (platform.uname, platform.platform, lambda: ctypes.util.find_library("ssl"), uuid.getnode,
                        sysconfig.get_platform, locale.getlocale):
                test.assertIsNone(what_happens(ask))

        platform._uname_cache = uuid._node = None
        platform._platform_cache.clear()
        self.assertPasses(body)

    def test_where_the_question_came_from(self):
        """Only where such a module asks itself: its name on the way is the same for each of its functions."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        for module, expected in (("platform", type(None)), ("sysconfig", type(None)), ("mine", EscapeError)):
            for call in ("os.system(':')", "subprocess.run([sys.executable, '-c', ''])", "os.popen(':').close()"):
                code = compile(call, "<string>", "exec")
                names = {"__name__": module, "os": os, "subprocess": subprocess, "sys": sys}
                with self.subTest(call, module=module), sealed(loop):
                    self.assertIs(type(what_happens(functools.partial(exec, code, names))), expected)


class InnerLoopTest(unittest.TestCase):
    """A loop that the program makes in a test is in the hands of that test."""

    def program(self):
        async def main():
            with contextlib.suppress(EscapeError):
                os.system(":")
                return "escaped"

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            return runner.run(main())

    def test_swallowed(self):
        """An escape that is swallowed on it fails the test, in whichever thread the loop was made."""

        def plain(test):
            self.program()

        async def in_a_thread(test):
            await asyncio.to_thread(self.program)

        for body in (plain, in_a_thread):
            with self.subTest(body.__name__):
                result = run(type("Case", (SolipsistTestCase,), {"test": body}), "test")
                self.assertEqual(len(result.errors), 1)
                self.assertIn("os.system(':') would start", told(result))

    def test_hermetic_false(self):
        """It is as open as the test."""
        found = []

        class Case(SolipsistTestCase):
            hermetic = False

            def test(case):
                found.append(self.program())

        self.assertEqual((told(run(Case)), found), ("", ["escaped"]))

    def test_nothing_around_it(self):
        """One that is made outside of any world is guarded, and has a list of its own."""
        one, two = SolipsistEventLoop(), SolipsistEventLoop()
        self.addCleanup(one.close)
        self.addCleanup(two.close)
        self.assertTrue(one.world.guarded)
        self.assertIsNot(one.world.escapes, two.world.escapes)


class TextTest(unittest.TestCase):
    def test_text(self):
        """The error names the call, its target, the line of the program, and both cures."""

        def list_files():
            subprocess.run(["ls", "-l"])

        class Case(SolipsistTestCase):
            async def test(self):
                list_files()

        self.assertRegex(told(run(Case)).rstrip(), (
            r"\nsolipsism_unittest\.errors\.EscapeError: subprocess\.run\(\['ls', '-l'\]\) would start a real process "
            r"\(\S*test_guard\.py:\d+ in TextTest\.test_text\.<locals>\.list_files\)\n  give the code under test a "
            r"fake, as self\.add_program\(name, main\) does for asyncio and subprocess\n"
            r'  or let it out on purpose: `with self\.allow_escape\("subprocess"\):`, '
            r"and in it asyncio\.to_thread\(\), for the call would block the loop's thread\n"
            r"  hermetic = False on the class lets everything out$"
        ))

    def test_where_nothing_is_blocked(self):
        """Where no loop runs, and where nothing waits, the error speaks of no thread."""

        class Case(SolipsistTestCase):
            def test_plain(self):
                os.system(":")

            async def test_signal(self):
                os.kill(PARENT, 0)

        text = told(run(Case))
        self.assertNotIn("asyncio.to_thread", text)
        self.assertIn('on purpose: `with self.allow_escape("subprocess"):`\n', text)

    def test_without_a_line(self):
        """A call that no line of a program makes, as that of a thread alone, has none."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop), concurrent.futures.ThreadPoolExecutor(1) as pool:
            error = pool.submit(os.system, ":").exception()
        self.assertRegex(str(error), r"^os\.system\(':'\) would start a real process\n  give")

    def test_long_targets(self):
        """A long target is shortened."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop), self.assertRaises(EscapeError) as caught:
            os.system("x" * 1_000_000)
        self.assertLess(len(str(caught.exception)), 500)


class UrllibTest(SolipsistTestCase):
    """urllib.request goes through module socket, so it meets the virtual network and makes no real socket at all."""

    def tearDown(self):
        self.assertEqual(self.loop.world.escapes, [])

    async def test_nobody_there(self):
        """In a worker thread, a connection to nobody is refused."""
        with self.assertRaises(urllib.error.URLError) as caught:
            await asyncio.to_thread(urllib.request.urlopen, "http://api.test/")
        self.assertIsInstance(caught.exception.reason, ConnectionRefusedError)

    async def test_a_fake_server(self):
        """In a worker thread, a fake server answers."""

        async def handler(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nhello")
            writer.close()

        def fetch():
            with urllib.request.urlopen("http://api.test/") as answer:
                return answer.read()

        await self.start_fake_server(handler, "api.test", 80)
        self.assertEqual(await asyncio.to_thread(fetch), b"hello")

    async def test_in_the_loop_s_thread(self):
        """In the loop's thread it would stop the loop: that says so."""
        server = await self.start_fake_server(None, "api.test", 80)
        with self.assertRaisesRegex(SolipsismError, "would"):
            urllib.request.urlopen("http://api.test/")
        _, writer = await server.accept()
        writer.close()


class AllowTest(SolipsistTestCase):
    async def test_only_inside(self):
        """What is allowed inside is an escape before and after, and blocks add up."""
        for _ in range(2):
            with self.assertRaises(EscapeError):
                os.system(":")
            with self.allow_escape("subprocess"):
                with self.allow_escape("signal"):
                    os.kill(os.getppid(), 0)
                    self.assertEqual(os.system(":"), 0)
                with self.assertRaises(EscapeError):
                    os.kill(os.getppid(), 0)
                await asyncio.sleep(1)
                self.assertEqual(os.system(":"), 0)

    async def test_several_at_once(self):
        """Several names may be given at once."""
        with self.allow_escape("subprocess", "signal"):
            os.kill(os.getppid(), 0)
            self.assertEqual(os.system(":"), 0)

    async def test_where_it_reaches(self):
        """It reaches jobs, threads and tasks that are started inside, and nothing that runs meanwhile."""
        found = []

        async def meanwhile():
            await asyncio.sleep(1)
            found.append(type(what_happens(lambda: os.system(":"))))

        async def inside():
            await asyncio.sleep(2)
            found.append(os.system(":"))

        async with asyncio.TaskGroup() as group:
            group.create_task(meanwhile())
            with self.allow_escape("subprocess"):
                group.create_task(inside())
                thread = threading.Thread(target=lambda: found.append(os.system(":")))
                thread.start()
                thread.join()
                self.assertEqual(await asyncio.to_thread(os.system, ":"), 0)
                self.assertEqual(await self.loop.run_in_executor(None, os.system, ":"), 0)
                await asyncio.sleep(1.5)
        self.assertEqual(found, [0, EscapeError, 0])
        with self.assertRaises(EscapeError):  # on the worker that did so before
            await self.loop.run_in_executor(None, os.system, ":")
        self.loop.world.escapes.clear()  # meanwhile() swallowed one

    async def test_in_any_order(self):
        """Blocks are made before they are entered, left in any order, and used again, also inside of themselves."""

        def here():
            return [permits.is_let_out(name) for name in ("subprocess", "signal")]

        one, two = self.allow_escape("subprocess"), self.allow_escape("signal")
        with one, two:
            self.assertEqual(here(), [True, True])
        one.__enter__()
        two.__enter__()
        one.__exit__(None, None, None)
        self.assertEqual(here(), [False, True])
        two.__exit__(None, None, None)
        self.assertEqual(here(), [False, False])
        with one:
            with one, self.allow_escape("subprocess"):
                pass
            self.assertEqual(here(), [True, False])
        self.assertEqual(here(), [False, False])

    async def test_left_elsewhere(self):
        """A block of an async generator that another task ends is left there without an error."""

        async def numbers():
            with self.allow_escape("subprocess"):
                yield 1

        iterator = numbers()
        await asyncio.create_task(anext(iterator))
        self.assertFalse(permits.is_let_out("subprocess"))
        await iterator.aclose()
        self.assertFalse(permits.is_let_out("subprocess"))

    async def test_pipes(self):
        """With "subprocess" pipes are real: a program makes them for its children."""
        with self.allow_escape("subprocess"):
            reader, writer = os.pipe()
            with open(reader) as lines:
                await asyncio.to_thread(subprocess.run, [sys.executable, "-c", "print('real')"], stdout=writer)
                os.close(writer)
                self.assertEqual(lines.read(), "real\n")
        reader, writer = os.pipe()
        self.assertGreaterEqual(min(reader, writer), 2**30)
        os.close(reader)
        os.close(writer)

    async def test_real_sockets(self):
        """With "network" what module socket makes and looks up is real, for whoever uses it in a blocking way."""
        with self.allow_escape("network"):
            server = socket.create_server(("127.0.0.1", 0))
            with server, socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
                client.sendall(b"real")
                self.assertEqual(accepted.recv(4), b"real")
                self.assertEqual({type(one) for one in (server, client, accepted)}, {socket.socket})
            one, two = socket.socketpair()
            with one, two, Subclass() as third:
                self.assertLess(max(end.fileno() for end in (one, two, third)), 2**20)
            self.assertEqual(socket.gethostname(), os.uname().nodename)
            self.assertEqual(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4], ("127.0.0.1", 80))
            self.assertIn((1, "lo"), _socket.if_nameindex())
        self.assertEqual(socket.gethostname(), "localhost")
        with socket.socket() as face:
            self.assertIs(type(face), VirtualSocket)

    async def test_asyncio_stays_virtual(self):
        """With "network" asyncio's own sockets and look-ups stay virtual, and so does a VirtualSocket."""
        await self.start_fake_server(None, "api.test", 80)
        with self.allow_escape("network"):
            _, writer = await asyncio.open_connection("api.test", 80)
            self.assertIsInstance(writer.get_extra_info("socket")._sock, VirtualSocket)
            self.assertEqual(await self.loop.getnameinfo(("127.0.0.1", 80)), ("localhost", "http"))
            with VirtualSocket() as face:
                self.assertGreaterEqual(face.fileno(), 2**30)
            writer.close()

    async def test_a_real_socket_on_the_loop(self):
        """A real socket on the virtual loop is refused, with what to use instead."""
        refused = self.assertRaisesRegex(SolipsismError, "is not a descriptor of this event loop: only sockets that")
        with self.allow_escape("network"), socket.socket() as real, refused:
            self.loop.add_reader(real, print)

    async def test_descriptors(self):
        """A real descriptor is not made a virtual socket, with or without the guard."""
        with tempfile.TemporaryFile() as file:
            self.loop.world.guarded = False
            with self.assertRaisesRegex(EscapeError, "is not one of this world"):
                socket.socket(fileno=file.fileno())

    def test_names(self):
        """A name that is none, or no name at all, is an error that lists them."""
        known = '"network", "signal", "subprocess", "webbrowser"$'
        text = r"^allow_escape\(.*\): there is no escape of that name; there are "
        for names in (("files",), ("subprocess", 7)):
            with self.assertRaisesRegex(SolipsismError, text + known):
                self.allow_escape(*names)
        text = "^allow_escape.. needs the names of what is let out: one or more of "
        with self.assertRaisesRegex(TypeError, text + known):
            self.allow_escape()

    def test_hermetic_false(self):
        """With `hermetic = False` what is replaced by name stays virtual, and other socket classes are real."""

        class Case(SolipsistTestCase):
            hermetic = False

            async def test(self):
                with socket.socket() as face, Subclass() as real:
                    self.assertEqual((type(face), type(real)), (VirtualSocket, Subclass))
                    self.assertLess(real.fileno(), 2**20)
                self.assertEqual(time.monotonic(), self.now)

        self.assertEqual(told(run(Case)), "")


class SwallowedTest(unittest.TestCase):
    """An escape fails its test once, whatever the program makes of the error."""

    def test_a_signal_past_the_names(self):
        """The C function itself, by a name that nothing replaces, is stopped where it would end the runner."""

        async def body(test):
            with test.assertRaisesRegex(EscapeError, r"^os\.kill\(own pid, SIGUSR1\) would end the test runner"):
                _KILL(os.getpid(), signal.SIGUSR1)

        *counts, result = self.outcome(body)
        self.assertEqual(counts[:2], [0, 0], told(result))

    def outcome(self, body):
        class Case(SolipsistTestCase):
            async def test(self):
                await body(self)

        result = run(Case)
        return len(result.errors), len(result.failures), told(result).count("EscapeError: os.system(':') would"), result

    def test_swallowed(self):
        """One that the code under test swallows fails the test, with its line and how to say that it is meant."""

        async def body(test):
            with contextlib.suppress(Exception):
                os.system(":")

        *counts, result = self.outcome(body)
        self.assertEqual(counts, [1, 0, 1], told(result))
        self.assertIn('os.system(":")', told(result))
        self.assertIn("with self.assertRaises(EscapeError):", told(result))
        self.assertNotIn("solipsism_unittest/guard.py", told(result))

    def test_swallowed_again_and_again(self):
        """A program that tries again and again is told once."""

        async def body(test):
            for _ in range(5):
                with contextlib.suppress(Exception):
                    os.system(":")

        *counts, result = self.outcome(body)
        self.assertEqual(counts, [1, 0, 1], told(result))

    def test_a_child_of_asyncio(self):
        """A child process of asyncio that is refused, and whose error is swallowed, fails the test too."""

        async def body(test):
            with contextlib.suppress(Exception):
                await asyncio.create_subprocess_exec("git", "--version")

        errors, failures, _, result = self.outcome(body)
        self.assertEqual((errors, failures), (1, 0), told(result))
        self.assertIn("asyncio.create_subprocess_exec('git', '--version') would start a real process", told(result))

    def test_many(self):
        """Of a program that polls, whatever with, so many errors are kept, and the text stays short and has a count."""
        kept = []

        async def body(test):
            for number in range(500):
                with contextlib.suppress(Exception):
                    subprocess.run(["git", str(number)])
            kept.append(len(test.loop.world.escapes))

        *counts, result = self.outcome(body)
        self.assertEqual((counts, kept), ([1, 0, 0], [escapes.KEPT_ALIKE]))
        self.assertIn("swallowed this, and 499 more from that line; a test", told(result))
        self.assertLess(len(told(result)), 2000)

    def test_many_places(self):
        """Of many lines that call, so many are kept."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            for number in range(escapes.KEPT + 1):
                exec(compile("\n" * number + "what_happens(lambda: os.system(':'))", "<string>", "exec"), globals())
        self.assertEqual(len(loop.world.escapes), escapes.KEPT)
        self.assertEqual(len(escapes.swallowed(loop.world.escapes, ())), escapes.KEPT)

    def test_let_go(self):
        """What the frames of a swallowed escape hold is let go, but for so many."""

        class Big:
            pass

        def poll():
            big = Big()
            with contextlib.suppress(Exception):
                os.system(":")
            return weakref.ref(big)

        async def body(test):
            alive.append(sum(one() is not None for one in [poll() for _ in range(100)]))

        alive = []
        self.outcome(body)
        self.assertEqual(alive, [escapes.KEPT_ALIKE])

    def test_tried_again(self):
        """Of a program that tries again before it gives up, assertRaises() expects every try; so does a failure."""

        def insist():
            for _ in range(50):
                try:
                    os.system(":")
                except EscapeError as error:
                    last = error
            raise last

        async def expects(test):
            for _ in range(20):
                with test.assertRaises(EscapeError):
                    insist()

        async def fails(test):
            insist()

        for body, expected in ((expects, [0, 0, 0]), (fails, [1, 0, 1])):
            with self.subTest(body.__name__):
                *counts, result = self.outcome(body)
                self.assertEqual(counts, expected, told(result))

    def test_another_call_of_that_line(self):
        """What assertRaises() expected does not speak for another call, made by the same line."""

        def call(command):
            os.system(command)

        async def body(test):
            with test.assertRaises(EscapeError):
                call("true")
            with contextlib.suppress(EscapeError):
                call(":")

        *counts, result = self.outcome(body)
        self.assertEqual(counts, [1, 0, 1], told(result))

    def test_two_threads_at_once(self):
        """A thread that finds that another one has let an old error go meanwhile goes on."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)

        class Meanwhile(list):
            def remove(self, error):
                super().remove(error)
                super().remove(error)

        loop.world.escapes = Meanwhile()
        for _ in range(escapes.KEPT_ALIKE + 1):
            escapes.noted(loop.world, "the same")
        self.assertEqual(len(loop.world.escapes), escapes.KEPT_ALIKE)

    def test_swallowed_and_another_failure(self):
        """A test that fails for another reason keeps its failure, and has the escape as a note."""

        async def body(test):
            with contextlib.suppress(Exception):
                os.system(":")
            test.fail("of the test")

        *counts, result = self.outcome(body)
        self.assertEqual(counts, [0, 1, 1], told(result))
        self.assertIn("of the test\nalso: ", told(result))

    def test_caught_by_the_test(self):
        """One that assertRaises() caught was wanted."""

        async def body(test):
            with test.assertRaises(EscapeError):
                os.system(":")
            with test.assertRaises(EscapeError):
                await asyncio.to_thread(os.system, ":")

        *counts, result = self.outcome(body)
        self.assertEqual(counts, [0, 0, 0], told(result))

    def test_the_failure_itself(self):
        """One that is the failure, or its cause, or a member of its group, is told with it alone."""

        async def plainly(test):
            os.system(":")

        async def as_a_cause(test):
            try:
                os.system(":")
            except EscapeError as error:
                raise ValueError("wrapped") from error

        async def in_a_group(test):
            async with asyncio.TaskGroup() as group:
                group.create_task(plainly(test))

        for body in (plainly, as_a_cause, in_a_group):
            with self.subTest(body.__name__):
                *counts, result = self.outcome(body)
                self.assertEqual(counts, [1, 0, 1], told(result))

    def test_in_the_handler_of_a_fake_server(self):
        """One in a fake server's handler is told as the handler's error."""

        async def body(test):
            async def handler(reader, writer):
                os.system(":")

            await test.start_fake_server(handler, "api.test", 80)
            _, writer = await asyncio.open_connection("api.test", 80)
            await asyncio.sleep(1)
            writer.close()

        *counts, result = self.outcome(body)
        self.assertEqual(counts, [1, 0, 1], told(result))

    def test_expected(self):
        """One in a test that is expected to fail is that failure."""

        class Case(SolipsistTestCase):
            @unittest.expectedFailure
            async def test(self):
                os.system(":")

        result = run(Case)
        self.assertEqual((len(result.expectedFailures), result.errors), (1, []))

    def test_from_our_own_doors(self):
        """A real socket class, a real loop and a real descriptor are told too where they were swallowed."""

        class Mine(asyncio.SelectorEventLoop):
            pass

        for call in (Encrypted, Mine, lambda: socket.socket(fileno=0)):

            async def body(test, call=call):
                with contextlib.suppress(Exception):
                    call()

            with self.subTest(call):
                errors, failures, _, result = self.outcome(body)
                self.assertEqual((errors, failures), (1, 0))
                self.assertIn("EscapeError", told(result))

    def test_debug(self):
        """debug() raises it."""

        class Case(SolipsistTestCase):
            async def test(self):
                with contextlib.suppress(Exception):
                    os.system(":")

        with self.assertRaisesRegex(EscapeError, "os.system"):
            Case("test").debug()


class ClockToolTest(unittest.TestCase):
    def test_imported_in_a_test(self):
        """The extension module of time-machine finds the real clocks wherever it is imported; the test's stay virtual.
        """
        text = ("import datetime, time\n"
                "seen = [type(function).__name__ for function in (time.monotonic, time.monotonic_ns, time.time)]\n"
                "seen.append(datetime.datetime.__name__)\n")
        self.addCleanup(sys.modules.pop, "_time_machine", None)

        class Case(SolipsistTestCase):
            wall_start = "now"

            async def test(case):
                import _time_machine

                case.assertEqual(_time_machine.seen, ["builtin_function_or_method"] * 3 + ["datetime"])
                await asyncio.sleep(5)
                case.assertEqual(time.monotonic(), 5.0)

            async def test_missing(case):
                with case.assertRaisesRegex(ImportError, "_time_machine"):
                    import _time_machine  # noqa: F401
                await asyncio.sleep(5)
                case.assertEqual(time.monotonic(), 5.0)

        for name, content in (("test", text), ("test_missing", None)):
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                if content is not None:
                    pathlib.Path(folder, "_time_machine.py").write_text(content)
                path = [folder] if content is not None else []
                with mock.patch.object(sys, "path", path + [each for each in sys.path if "site-packages" not in each]):
                    sys.modules.pop("_time_machine", None)
                    result = unittest.TestResult()
                    Case(name).run(result)
                self.assertEqual([text for _, text in result.errors + result.failures], [])

    def test_dates_of_python(self):
        """A datetime that is all Python stays what it is: nobody rewrites it."""
        seen = []
        stand_in = types.FunctionType((lambda: 0).__code__, {})
        stand_in.__wrapped__ = time.time
        with mock.patch.dict(sys.modules), mock.patch.object(time, "time", stand_in), \
                mock.patch("importlib.import_module", lambda name: seen.append((time.time, datetime.datetime))):
            sys.modules.pop("_datetime", None)
            before = datetime.datetime
            guard._import_with_real_clocks()
            self.assertIs(time.time, stand_in)
        self.assertEqual(seen, [(time.time, before)])



if __name__ == "__main__":
    unittest.main()
