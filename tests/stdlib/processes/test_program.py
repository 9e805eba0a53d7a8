"""Whole programs, run from main() on: each of them by a real interpreter too, with the same outcome."""

import asyncio
import contextlib
import logging
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from solipsism_unittest import SleepForeverError, SolipsismError, SolipsistTestCase
from tests.case.test_case import run, told

# Each `def` is a program; an interpreter is told to run it by its name.
PROGRAMS = '''
import asyncio, atexit, concurrent.futures, logging, os, signal, sys, threading, time

def nothing(): pass
def number(): return 7
def wrapped(): return 300
def negative(): return -1
def truth(): return True
def words(): return "no such file"
def leaves(): sys.exit(3)
def leaves_with_words(): sys.exit("bad option: \\u20ac")
def leaves_with_nothing(): sys.exit()
def leaves_with_a_list(): raise SystemExit([1, 2])
def prints():
    print("out \\u20ac")
    print("err \\u20ac \\udc80", file=sys.stderr)
    sys.stdout.buffer.write(b"\\xff\\r\\n")
def cannot_print(): print("\\udc80")
def copies():
    for line in sys.stdin:
        print(repr(line))
def copies_bytes(): sys.stdout.buffer.write(sys.stdin.buffer.read())
def asks(): print("Hello " + input("Your name? "))
def descriptors():
    os.write(sys.stdout.fileno(), os.read(sys.stdin.fileno(), 3))
    print(sys.stdin.isatty(), sys.stdout.isatty())
def around(): print(sys.argv[1:], sorted(item for item in os.environ.items() if item[0] != "LC_CTYPE"))
def fails(): raise ValueError("bad")
def fails_below():
    try:
        fails()
    except ValueError:
        raise LookupError("worse")
def fails_in_a_hook():
    sys.excepthook = lambda kind, error, trace: print("hooked", kind.__name__)
    fails()
def ended():
    print("never flushed")
    print("flushed", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
    print("never", file=sys.stderr)
def killed(): os.kill(os.getpid(), signal.SIGKILL)
def raised(): signal.raise_signal(signal.SIGUSR1)
def survives():
    signal.signal(signal.SIGTERM, lambda *args: print("handled"))
    signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGCHLD)
def dies_later():
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    asyncio.run(asyncio.sleep(3))
def pauses():
    signal.signal(signal.SIGALRM, lambda *args: print("alarm"))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    print(signal.pause())
def waits():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    print(signal.sigwait([signal.SIGALRM]), signal.sigwaitinfo([signal.SIGALRM]).si_signo)
    print(signal.sigtimedwait([signal.SIGALRM], 5).si_signo, signal.sigtimedwait([signal.SIGUSR1], 0.05))
def interrupted(): signal.raise_signal(signal.SIGINT)
def interrupted_and_caught():
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        print("caught")
def logs():
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", force=True)
    logging.info("hello")
def closes():
    print("first")
    sys.stdout.close()
async def coroutine():
    await asyncio.sleep(0.01)
    print("slept")
    return 5
def runs(): return asyncio.run(coroutine())
async def fails_in_a_coroutine():
    await asyncio.sleep(0)
    raise ValueError("bad")
async def interrupted_coroutine():
    asyncio.get_running_loop().call_later(0.01, signal.raise_signal, signal.SIGINT)
    try:
        await asyncio.sleep(3)
    finally:
        print("cleaned up")
async def ended_coroutine():
    asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
    try:
        await asyncio.sleep(3)
    finally:
        print("never", file=sys.stderr)
def leaves():
    print("never flushed")
    try:
        os._exit(6)
    finally:
        print("never")
async def leaves_in_a_task():
    print("flushed", flush=True)
    asyncio.get_running_loop().call_soon(os._exit, 256 + 3)
    await asyncio.sleep(3)
async def leaves_in_a_thread():
    await asyncio.gather(asyncio.to_thread(os._exit, 0), asyncio.sleep(3))
def aborts():
    print("never flushed")
    signal.signal(signal.SIGABRT, print)
    os.abort()
async def handles():
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await stopping.wait()
    print("stopped")
async def reads():
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(len(await reader.read()))
'''
INPUT = b"one\r\ntwo\n\xe2\x82\xac"
TAIL = """
if __name__ == "__main__":
    name = sys.argv.pop(1)
    main = globals()[name]
    sys.exit(asyncio.run(main()) if asyncio.iscoroutinefunction(main) else main())
"""
NAMES = re.findall(r"^(?:async )?def (\w+)\(", PROGRAMS, re.MULTILINE)


def shown(result):
    """An outcome; of a traceback what stands below the module's own lines, without those of asyncio."""
    err = result.stderr
    if b"Traceback" in err:
        err = re.sub(rb'  File "[^"]*", line \d+, in (<module>|run|run_until_complete|_run\w*)\n(    .*\n)*', b"", err)
    return result.returncode, result.stdout, err


class BothTest(SolipsistTestCase):
    maxDiff = None

    def test_outcomes(self):
        """Every program has the exit code and the output that a real interpreter tells of."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "app.py")
            path.write_text(PROGRAMS + TAIL, encoding="utf-8")
            module = {"__name__": "app"}
            exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module)
            environment = {"A": "1", "PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": "utf-8:strict"}
            for name in NAMES:
                with self.subTest(name):
                    with self.allow_escape("subprocess"):
                        real = subprocess.run([sys.executable, str(path), name, "-x"], input=INPUT, env=environment,
                                              capture_output=True, timeout=60)
                    ours = self.run_program(module[name], ["-x"], environment, INPUT)
                    self.assertEqual(shown(ours), shown(real))


class ProgramTest(SolipsistTestCase):
    def test_virtual_time(self):
        """A program lives in the test's time, its sleeps outside of a loop too."""

        async def main():
            await asyncio.sleep(3600)
            print(time.monotonic())

        self.assertEqual(self.run_program(main).stdout, b"3600.0\n")
        self.assertEqual(self.now, 3600)

    def test_what_it_gets(self):
        """The first argument is the program's file; without env it has the test's environment."""
        result = self.run_program(lambda: print(sys.argv, os.environ == before), ["a", "b"])
        before = dict(os.environ)
        result = self.run_program(lambda: print(sys.argv, dict(os.environ) == before), ["a", "b"])
        self.assertEqual(result.stdout.decode(), f"{[__file__, 'a', 'b']} True\n")
        self.assertEqual(result.args, [__file__, "a", "b"])
        self.assertEqual(self.run_program(Nameless()).args, ["Nameless()"])

    def test_much(self):
        """No stream has an end to its room."""
        data = bytes(range(256)) * 10_000

        def main():
            sys.stdout.buffer.write(sys.stdin.buffer.read() * 2)

        self.assertEqual(self.run_program(main, stdin=data).stdout, data * 2)

    def test_host(self):
        """What a program connects comes from its host."""
        seen = []

        async def main():
            async def greet(reader, writer):
                seen.append(writer.get_extra_info("peername")[0])
                writer.close()
                await writer.wait_closed()

            async with await asyncio.start_server(greet, "api.test", 80):
                reader, writer = await asyncio.open_connection("api.test", 80)
                await reader.read()
                writer.close()
                await writer.wait_closed()

        with self.network.host("outer.test") as outer, self.network.host("db.test") as db:
            pass
        self.run_program(main, host="db.test")
        with outer:
            self.run_program(main)
        self.assertEqual([address in host.addresses for address, host in zip(seen, (db, outer), strict=True)],
                         [True, True])

    def test_all_is_put_back(self):
        """Whatever a program changes for its process, and however it ends, all is as it was."""

        def main(leave):
            os.environ["NEW"] = "1"
            os.environ.pop("PATH", None)
            sys.argv.append("more")
            sys.argv = []
            sys.stdout = sys.stderr = sys.stdin = None
            sys.excepthook = print
            os.chdir("/")
            signal.signal(signal.SIGTERM, print)
            signal.setitimer(signal.ITIMER_REAL, 5)
            logging.basicConfig(force=True, level=1)
            leave()

        def state():
            return (dict(os.environ), sys.argv, sys.argv[:], sys.stdin, sys.stdout, sys.stderr, sys.excepthook,
                    os.getcwd(), signal.getsignal(signal.SIGTERM), signal.getitimer(signal.ITIMER_REAL),
                    logging.root.handlers[:], logging.root.level)

        def strikes():
            raise SolipsismError("of ours")

        before = state()
        for leave in (int, lambda: sys.exit(1), lambda: 1 / 0, lambda: signal.raise_signal(signal.SIGUSR1), strikes):
            with contextlib.suppress(SolipsismError):
                self.run_program(lambda leave=leave: main(leave))
            self.assertEqual(state(), before)
        with self.assertRaises(TypeError):
            self.run_program(int, env={"A": 1})
        self.assertEqual(state(), before)
        asyncio.run(asyncio.sleep(10))  # its alarm is gone with it

    def test_signals_of_the_test(self):
        """What the test handles is not the program's; a signal from another thread ends the program."""
        signal.signal(signal.SIGUSR1, lambda *args: self.fail("not for the test"))

        async def main():
            await asyncio.to_thread(self.send_signal, signal.SIGUSR1)
            await asyncio.sleep(3600)

        self.assertEqual(self.run_program(main).returncode, -signal.SIGUSR1)
        self.assertEqual(self.now, 0)

    def test_a_signal_that_stops(self):
        """One that would stop it for good is an error."""
        with self.assertRaisesRegex(SolipsismError, r"^signal\.raise_signal\(SIGTSTP\) would end the test runner"):
            self.run_program(lambda: signal.raise_signal(signal.SIGTSTP))

    def test_a_signal_that_is_swallowed(self):
        """A program that catches everything is dead all the same, and what it writes after that is not heard."""

        def main():
            with contextlib.suppress(BaseException):
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            raise ValueError

        result = self.run_program(main)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (-15, b"", b""))

    def test_processes_of_the_test(self):
        """A program starts the programs of the test."""

        async def hello(process):
            process.stdout.write(b"hello")

        async def main():
            process = await asyncio.create_subprocess_exec("hello", stdout=asyncio.subprocess.PIPE)
            print((await process.communicate())[0])

        self.add_program("hello", hello)
        self.assertEqual(self.run_program(main).stdout, b"b'hello'\n")

    def test_processes_that_it_leaves(self):
        """A process that a program has left ends with the loop of the program, begun or not, and holds nothing."""

        async def sleep(process):
            await asyncio.sleep(3600)

        self.add_program("sleep", sleep)
        for seconds in (0, 5):
            async def main(seconds=seconds):
                process = await asyncio.create_subprocess_exec("sleep", stdin=asyncio.subprocess.PIPE)
                await asyncio.sleep(seconds)
                process.stdin.close()

            self.assertEqual((self.run_program(main).stderr, self.now), (b"", seconds))

    def test_a_fake_server(self):
        """What a test may use it may use in the program: a fake server is started there, and ends with its loop."""

        async def main():
            async def greet(reader, writer):
                writer.write(b"hello")

            await self.start_fake_server(greet, "api.test", 80)
            reader, writer = await asyncio.open_connection("api.test", 80)
            print(await reader.readexactly(5))
            writer.close()
            await writer.wait_closed()

        self.assertEqual(self.run_program(main).stdout, b"b'hello'\n")


class Nameless:
    """A program without a module of its own."""

    __module__ = None

    def __call__(self):
        """Do nothing."""

    def __repr__(self):
        return "Nameless()"


class RefusedTest(SolipsistTestCase):
    def test_when_it_has_ended(self):
        """What a program has come to may be awaited, and takes signals: nothing comes of it."""
        run = self.run_program(lambda: 3)
        run.send_signal(signal.SIGKILL)

        async def main():
            return await run

        self.assertIs(self.loop.run_until_complete(main()), run)
        self.assertEqual((run.returncode, run.pid), (3, None))

    def test_in_a_program(self):
        """One at a time."""
        with self.assertRaisesRegex(SolipsismError, "called while a program runs"):
            self.run_program(lambda: self.run_program(int))

    def test_no_function(self):
        """What is called is a function."""
        with self.assertRaisesRegex(TypeError, "a program is a function without arguments, not 5"):
            self.run_program(5)

    def test_in_a_thread(self):
        """A thread of a plain test may run one."""
        found = []
        thread = threading.Thread(target=lambda: found.append(self.run_program(lambda: 3).returncode))
        thread.start()
        thread.join()
        self.assertEqual(found, [3])


class ForeignTest(unittest.TestCase):
    def test_a_foreign_loop(self):
        """Without a virtual world there is no virtual process."""

        class Case(SolipsistTestCase):
            loop_factory = asyncio.SelectorEventLoop

            def test(self):
                self.run_program(int)

        self.assertIn("run_program() needs", told(run(Case)))


class OfTheTest(SolipsistTestCase):
    def test_a_hang(self):
        """A program that nothing can wake is a hang of the test."""
        with self.assertRaises(SleepForeverError):
            self.run_program(lambda: asyncio.run(asyncio.Event().wait()))

    def test_outcomes_of_the_test(self):
        """Assertions and skips of a test count in its program; an assertion of the program's own is an exit code."""

        class Case(SolipsistTestCase):
            def test_1(self):
                self.run_program(lambda: self.assertEqual(1, 2))

            def test_2(self):
                self.run_program(lambda: self.skipTest("not today"))

            def test_3(self):
                self.run_program(lambda: self.assertNow(5))

            def test_4(self):
                def main():
                    assert sys is None

                self.assertEqual(self.run_program(main).returncode, 1)

        result = run(Case)
        self.assertEqual(([test._testMethodName for test, _ in result.failures], len(result.skipped), result.errors),
                         (["test_1", "test_3"], 1, []))

    def test_a_limit_of_real_time(self):
        """A limit that strikes in the program ends the test."""

        class Case(SolipsistTestCase):
            real_time_limit = 0.2

            def test(self):
                def main():
                    while True:
                        pass

                self.run_program(main)

        self.assertIn("RealTimeLimitError", told(run(Case)))

    def test_the_keyboard(self):
        """A KeyboardInterrupt that no signal of the test has made goes on."""

        def main():
            raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.run_program(main)


if __name__ == "__main__":
    unittest.main()
