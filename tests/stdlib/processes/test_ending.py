"""The end of a program: its threads, then its functions of atexit. Each by a real interpreter too."""

import _thread
import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest.mock
import weakref
from asyncio.subprocess import PIPE

from solipsism_unittest import SleepForeverError, SolipsismError, SolipsistTestCase
from tests.case.test_case import run, told

PROGRAMS = '''
import asyncio, atexit, concurrent.futures, os, signal, sys, threading, time
from atexit import register

def say(*words):
    print(*words, flush=True)
def later(words, seconds=0.05, then=lambda: None):
    time.sleep(seconds)
    say(words)
    then()
def begin(*args):
    threading.Thread(target=later, args=args).start()
def prepare():
    atexit.register(say, "registered first")
    register(say, "registered last", "and", "called first")
    say("main")
    begin("thread")

def ends(): prepare()
def leaves():
    prepare()
    sys.exit("words")
def fails():
    prepare()
    raise ValueError("bad")
def leaves_at_once():
    atexit.register(say, "never")
    threading.Thread(target=time.sleep, args=(0.1,)).start()
    os._exit(5)
def is_killed():
    atexit.register(say, "never")
    threading.Thread(target=time.sleep, args=(0.1,)).start()
    os.kill(os.getpid(), signal.SIGTERM)
def is_killed_while_it_waits():
    atexit.register(say, "never")
    threading.Thread(target=time.sleep, args=(0.1,)).start()
    signal.setitimer(signal.ITIMER_REAL, 0.01)
def is_interrupted_while_it_waits():
    atexit.register(say, "registered")
    signal.signal(signal.SIGALRM, lambda *args: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    threading.Thread(target=time.sleep, args=(1,)).start()
    return 3
def decorates():
    @atexit.register
    def last(): print("never flushed by itself")
    say(last.__name__)
def unregisters():
    for function in (say, later, say):
        atexit.register(function, "of", 0)
    atexit.unregister(say)
    atexit.unregister(print)
def registers_no_function():
    for given in ((), (1,)):
        try:
            atexit.register(*given)
        except TypeError as error:
            say(error)
def fails_at_the_end():
    def fail(error):
        raise error
    atexit.register(say, "goes on")
    for error in (SystemExit(9), ValueError("bad")):
        atexit.register(fail, error)
    return 4
def dies_at_the_end():
    atexit.register(say, "never")
    atexit.register(os.kill, 0 or os.getpid(), signal.SIGTERM)
def leaves_at_the_end():
    atexit.register(say, "never")
    atexit.register(os._exit, 6)
def runs_a_loop_at_the_end(): atexit.register(lambda: asyncio.run(asyncio.sleep(0.01)))
def starts_threads_from_threads(): begin("one", 0.01, lambda: begin("two"))
def does_not_wait_for_daemons():
    atexit.register(say, "at once")
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
def leaves_a_pool():
    atexit.register(say, "registered")
    global pool
    pool = concurrent.futures.ThreadPoolExecutor(1)
    for number in (1, 2):
        pool.submit(later, number)
    concurrent.futures.ThreadPoolExecutor(1).submit(later, 3, 0.3)
async def of_a_coroutine(): prepare()
async def of_a_coroutine_that_fails():
    prepare()
    raise ValueError("bad")
async def of_a_coroutine_that_dies():
    atexit.register(os._exit, 7)
'''
TAIL = """
if __name__ == "__main__":
    main = globals()[sys.argv.pop(1)]
    sys.exit(asyncio.run(main()) if asyncio.iscoroutinefunction(main) else main())
"""
NAMES = re.findall(r"^(?:async )?def (\w+)\(", PROGRAMS, re.MULTILINE)[4:]
if sys.version_info[:2] == (3, 12):  # it starts no thread once it waits for the others
    NAMES.remove("starts_threads_from_threads")


def shown(code, out, err):
    """An outcome: of tracebacks the lines that no interpreter's own modules are in."""
    err = re.sub(rb'  File "[^"]*", line \d+, in (?!fail)\w.*\n(    .*\n)*', b"", err)
    err = re.sub(rb'  File "[^"]*", line \d+, in (<module>|run|_run\w*)\n(    .*\n)*', b"", err)
    err = re.sub(rb" at 0x\w+", b"", err)
    # Each version has words of its own above this one.
    return code, out, re.sub(rb"(?s)^.*\nKeyboardInterrupt\b.*", b"interrupted", err)


class BothTest(SolipsistTestCase):
    maxDiff = None

    def setUp(self):
        self.path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "app.py")
        self.path.write_text(PROGRAMS + TAIL, encoding="utf-8")
        self.module = {"__name__": "app"}
        exec(compile(self.path.read_text(encoding="utf-8"), str(self.path), "exec"), self.module)

    def real(self, name):
        """What a real interpreter tells of a program."""
        with self.allow_escape("subprocess"):
            done = subprocess.run([sys.executable, "-W", "ignore", str(self.path), name], capture_output=True,
                                  timeout=60)
        return shown(done.returncode, done.stdout, done.stderr)

    def test_all(self):
        """The threads end, the functions run, the last first, and all that is printed is the program's."""
        for name in NAMES:
            with self.subTest(name):
                real = self.real(name)
                ours = self.run_program(self.module[name])
                self.assertEqual(shown(ours.returncode, ours.stdout, ours.stderr), real)
                self.add_program("tool", self.module[name])
                self.assertEqual(asyncio.run(self.beside()), real)

    async def beside(self):
        process = await asyncio.create_subprocess_exec("tool", stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        return shown(process.returncode, out, err)


class EndingTest(SolipsistTestCase):
    def test_what_stays_with_the_runner(self):
        """What a module registers while it is imported, what Python's own do, and what a test does."""
        module = compile("import atexit\natexit.register(print, 'never')", "module.py", "exec")
        counts = []

        def main():
            for act in (lambda: exec(module), lambda: weakref.finalize(main, print).detach(),
                        lambda: atexit.register(print, "never"), lambda: atexit.register(say, "the program's")):
                before = atexit._ncallbacks()
                act()
                counts.append(atexit._ncallbacks() - before)
            atexit.unregister(print)  # the program's own
            atexit.unregister(print)  # that of the module, or it would print at the end of the runner

        def say(words):
            print(words)

        with unittest.mock.patch.object(weakref.finalize, "_registered_with_atexit", False):
            self.assertEqual(self.run_program(main).stdout, b"the program's\n")
        self.assertEqual(counts, [1, 1, 0, 0])
        before = atexit._ncallbacks()
        atexit.register(say)
        self.assertEqual(atexit._ncallbacks(), before + 1)
        atexit.unregister(say)

    def test_what_is_no_end(self):
        """What is the framework's own comes out of the call, from a function of atexit too."""

        def strike():
            raise SolipsismError("of ours")

        with self.assertRaisesRegex(SolipsismError, "^of ours$"):
            self.run_program(lambda: atexit.register(strike) and None)

    async def test_without_the_loop(self):
        """A program that runs on the spot comes to the same end there."""

        def main():
            threading.Thread(target=print, args=("thread",)).start()
            atexit.register(print, "last")
            print("main")

        self.add_program("tool", main)
        self.assertEqual(subprocess.run(["tool"], capture_output=True).stdout, b"main\nthread\nlast\n")

    def test_a_thread_that_never_ends(self):
        """The program would wait for ever: that is told as any hang of a thread is."""
        never = threading.Event()
        self.addCleanup(never.set)
        with self.assertRaisesRegex(SleepForeverError, r"MainThread waits for the end of thread Thread-\d+ \(wait\)"):
            self.run_program(lambda: threading.Thread(target=never.wait).start())

    def test_a_pool_of_the_test(self):
        """A pool that the test has made stays open, and its thread is not waited for."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            self.assertEqual(self.run_program(lambda: pool.submit(int).result()).returncode, 0)
            self.assertEqual(pool.submit(int).result(), 0)


class ThreadsOfProgramsTest(SolipsistTestCase):
    def setUp(self):
        self.acts = []

    def tick(self):
        """What a thread does that never ends by itself."""
        while len(self.acts) < 1000:
            time.sleep(1)
            self.acts.append(time.monotonic())

    def in_thread(self, *, daemon, end=int):
        """A program that starts one."""

        def main():
            threading.Thread(target=self.tick, daemon=daemon).start()
            time.sleep(2.5)
            end()

        return main

    def in_pool(self, end):
        def main():
            pool = concurrent.futures.ThreadPoolExecutor(2)
            pool.submit(int).result()
            pool.submit(self.tick)
            time.sleep(2.5)
            end()

        return main

    def on_loop(self, end):
        async def main():
            asyncio.get_running_loop().run_in_executor(None, self.tick)
            await asyncio.sleep(2.5)
            end()

        return main

    def bare(self):
        _thread.start_new_thread(self.tick, ())
        time.sleep(2.5)

    def programs(self):
        """Programs that leave one, and their exit codes."""
        exit_at_once, kill = lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL)
        return ((self.in_thread(daemon=True), 0), (self.in_thread(daemon=False, end=exit_at_once), 3),
                (self.in_thread(daemon=False, end=kill), -9), (self.in_pool(exit_at_once), 3),
                (self.on_loop(exit_at_once), 3), (self.on_loop(kill), -9), (self.bare, 0))

    def test_alone(self):
        """When a program that runs alone has ended, none of its threads acts any more."""
        for main, code in self.programs():
            self.acts.clear()
            begin = self.now
            self.assertEqual((self.run_program(main).returncode, self.now - begin), (code, 2.5))
            self.run_program(lambda: time.sleep(9))
            self.assertEqual(self.acts, [begin + 1, begin + 2])

    async def test_beside(self):
        """The same of one beside the test."""
        for main, code in self.programs():
            self.acts.clear()
            begin = self.now
            self.assertEqual(((await self.run_program(main)).returncode, self.now - begin), (code, 2.5))
            await asyncio.sleep(9)
            self.assertEqual(self.acts, [begin + 1, begin + 2])
        self.assertEqual(await asyncio.to_thread(int), 0)

    async def test_killed_from_outside(self):
        """A signal of the test ends the thread in which the program runs too, wherever that waits."""

        async def wait_for_job():
            await asyncio.to_thread(self.tick)

        for main in (self.tick, wait_for_job, lambda: asyncio.run(wait_for_job()), self.in_pool(self.tick)):
            self.acts.clear()
            run = self.run_program(main)
            await asyncio.sleep(1.5)
            run.send_signal(signal.SIGTERM)
            self.assertEqual((await run).returncode, -signal.SIGTERM)
            await asyncio.sleep(9)
            self.assertEqual(len(self.acts), 1)

    def signalled(self):
        """Programs that a thread of theirs ends after a second, and their exit codes."""

        def starting(call, *args, handler=None, waits=lambda: time.sleep(99)):
            def main():
                if handler is not None:
                    signal.signal(signal.SIGUSR1, handler)
                threading.Timer(1, call, args).start()
                try:
                    waits()
                except KeyboardInterrupt:
                    sys.exit(9)

            return main

        def leave(signum, frame):
            sys.exit(7)

        async def sleep():
            await asyncio.sleep(99)

        async def on_the_loop_of_the_test():
            threading.Timer(1, os.kill, (os.getpid(), signal.SIGTERM)).start()
            await sleep()

        async def handled_there():
            signal.signal(signal.SIGUSR1, leave)
            threading.Timer(1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            await sleep()

        kill, pid = os.kill, os.getpid()
        return ((starting(kill, pid, signal.SIGTERM), -15), (starting(os._exit, 6), 6),
                (starting(signal.raise_signal, signal.SIGINT), 9),
                (starting(kill, pid, signal.SIGUSR1, handler=leave), 7),
                (starting(kill, pid, signal.SIGTERM, waits=lambda: asyncio.run(sleep())), -15),
                (starting(os._exit, 6, waits=lambda: asyncio.run(sleep())), 6),
                (on_the_loop_of_the_test, -15), (handled_there, 7))

    def test_signals_of_threads_alone(self):
        """A thread of a program that runs alone may end it, wherever the main thread waits."""
        for main, code in self.signalled():
            begin = self.now
            self.assertEqual((self.run_program(main).returncode, self.now - begin), (code, 1))

    async def test_signals_of_threads_beside(self):
        """The same of one beside the test."""
        for main, code in self.signalled():
            begin = self.now
            self.assertEqual(((await self.run_program(main)).returncode, self.now - begin), (code, 1))
            await self.settle()

    def test_while_it_is_unwound(self):
        """Threads that a dying program starts to clean up do their work; once it is over none begins."""

        async def main():
            try:
                os.kill(os.getpid(), signal.SIGKILL)
            finally:
                await asyncio.to_thread(self.acts.append, "cleaned up")

        self.assertEqual(self.run_program(main).returncode, -9)
        self.assertEqual(self.acts, ["cleaned up"])

    async def test_a_service(self):
        """A daemon that waits for connections is unwound from there: its address is free again."""

        def serve():
            with socket.create_server(("127.0.0.1", 8000)) as server:
                server.accept()

        def main():
            threading.Thread(target=serve, daemon=True).start()
            time.sleep(1)

        for _ in range(2):
            self.assertEqual((await self.run_program(main)).returncode, 0)
            await self.settle()
        self.loop.world.baton.end(0)  # one that is gone is no error
        self.loop.world.baton.lives_on(0)

    def test_one_that_catches_everything(self):
        """A thread that cannot be unwound stands still, and is reported."""
        acts = []

        class Inner(SolipsistTestCase):
            async def test(self):
                def stubborn():
                    while len(acts) < 1000:
                        acts.append("wait")
                        with contextlib.suppress(BaseException):
                            time.sleep(1)

                def main():
                    threading.Thread(target=stubborn, daemon=True).start()
                    time.sleep(1.5)

                self.assertEqual((await self.run_program(main)).returncode, 0)
                await asyncio.sleep(9)
                acts.append(len(acts))
                acts.extend(range(1000))  # and so it ends

        result = run(Inner)
        self.assertEqual(acts[:8], ["wait"] * 7 + [7], told(result))
        self.assertRegex(told(result), "1 thread alive\n +Thread .*stubborn")
