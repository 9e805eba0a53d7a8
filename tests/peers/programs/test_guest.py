"""Programs without arguments, as `run_program` takes them, in place of subprocesses."""

import asyncio
import contextlib
import functools
import itertools
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import unittest
import unittest.mock
from asyncio.subprocess import DEVNULL, PIPE, STDOUT

from solipsism_unittest import EscapeError, SolipsistTestCase, over_seeds
from solipsism_unittest.peers.programs.child import takes_process
from solipsism_unittest.stdlib.worlds import outside
from tests.case.test_case import run, told

exec_ = asyncio.create_subprocess_exec


class GuestCase(SolipsistTestCase):
    async def outcome(self, main, *args, stdin=None, **options):
        """What a program wrote to each stream, and its exit code."""
        self.add_program("tool", main)
        options = {"stdin": DEVNULL if stdin is None else PIPE, "stdout": PIPE, "stderr": PIPE} | options
        process = await exec_("tool", *args, **options)
        return *await process.communicate(stdin), process.returncode

    async def begun(self, main, *args):
        """A program that has said that it is ready."""
        self.add_program("tool", main)
        process = await exec_("tool", *args, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        self.assertEqual(await process.stdout.readline(), b"ready\n")
        return process


class FunctionTest(GuestCase):
    async def test_what_it_gets(self):
        """A function has arguments, environment and streams as a program has them."""

        def main(argv=None):
            print(argv, sys.argv, os.environ["A"], os.getenv("B"), file=sys.stderr)
            print(sys.stdin.read().upper(), end="")
            return 7

        self.assertEqual(await self.outcome(main, "-x", stdin=b"text", env={"A": "1"}),
                         (b"TEXT", b"None ['tool', '-x'] 1 None\n", 7))
        self.assertEqual(await self.outcome(main, env={"A": "1"}, stderr=STDOUT), (b"None ['tool'] 1 None\n", None, 7))

    async def test_a_conversation(self):
        """It reads when something comes."""

        def main():
            for line in sys.stdin:
                print("got", line.strip(), flush=True)

        self.add_program("tool", main)
        process = await exec_("tool", stdin=PIPE, stdout=PIPE)
        for word in (b"one", b"two"):
            process.stdin.write(word + b"\n")
            self.assertEqual(await process.stdout.readline(), b"got " + word + b"\n")
        process.stdin.close()
        self.assertEqual((await process.wait(), await process.stdout.read()), (0, b""))

    async def test_it_computes(self):
        """What it has written is read while it computes."""
        over = threading.Event()

        def main():
            print("ready", flush=True)
            while not over.is_set():
                pass

        process = await self.begun(main)
        over.set()
        self.assertEqual(await process.wait(), 0)

    async def test_how_it_ends(self):
        """As an interpreter tells it."""

        def fails():
            raise LookupError("lost")

        for main, code, err in ((lambda: None, 0, b""), (lambda: 300, 44, b""), (sys.exit, 0, b""),
                                (lambda: sys.exit("bad"), 1, b"bad\n")):
            with self.subTest(code=code, err=err):
                self.assertEqual(await self.outcome(main), (b"", err, code))
        out, err, code = await self.outcome(fails)
        self.assertEqual((out, code), (b"", 1))
        self.assertRegex(err, rb"^Traceback \(most recent call last\):\n  File .*test_guest\.py.*in fails\n(.*\n)+"
                              rb"LookupError: lost\n$")

    async def test_more_than_a_pipe_holds(self):
        """It waits until somebody reads, and hears when nobody does any more."""

        def main():
            sys.stdout.write("x" * 1_000_000)

        out, err, code = await self.outcome(main)
        self.assertEqual((len(out), err, code), (1_000_000, b"", 0))

    async def test_killed(self):
        """One that is killed is dead at once; its thread is unwound from where it waits."""
        seen = []

        def main():
            print("ready", flush=True)
            try:
                seen.append(sys.stdin.read())
            finally:
                seen.append("unwound")

        for number in (signal.SIGKILL, signal.SIGTERM):
            process = await self.begun(main)
            process.send_signal(number)
            self.assertEqual((await process.wait(), await process.communicate()), (-number, (b"", b"")))
        await self.settle()
        self.assertEqual(seen, ["unwound", "unwound"])

    async def test_it_ends_itself(self):
        """A function that sends itself a signal is unwound, unheard; one without pipes can be killed too."""

        def main():
            print("never flushed")
            os.kill(os.getpid(), signal.SIGTERM)

        self.assertEqual(await self.outcome(main), (b"", b"", -15))

        def waits():
            begun.set()
            over.wait()

        begun, over = threading.Event(), threading.Event()
        self.add_program("tool", waits)
        process = await exec_("tool", stdout=PIPE)
        await self.until(begun.is_set)
        process.kill()
        self.assertEqual(await process.wait(), -9)
        over.set()

    async def until(self, condition):
        while not condition():
            await asyncio.sleep(0.001)

    async def test_main_thread(self):
        """Its thread is its main thread: a loop of its own takes signals there, with the handlers of both kinds."""
        numbers = signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM

        def main():
            me, seen = threading.current_thread(), []

            async def serve():
                loop = asyncio.get_running_loop()
                for number in numbers[::2]:
                    signal.signal(number, lambda number, frame: seen.append((number, threading.current_thread() is me)))
                loop.add_signal_handler(numbers[1], seen.append, "loop")
                signal.setitimer(signal.ITIMER_REAL, 5)
                print("ready", flush=True)
                while len(seen) < 6:
                    await asyncio.sleep(1)
                return await asyncio.to_thread(threading.main_thread)

            print(threading.main_thread() is me, asyncio.run(serve()) is me, threading.main_thread() is me)
            print([entry if entry == "loop" else (int(entry[0]), entry[1]) for entry in seen])

        process = await self.begun(main)
        for number in (*numbers[:2], numbers[1]):
            process.send_signal(number)
        await asyncio.sleep(10)
        for number in numbers[:2]:
            os.kill(process.pid, number)
        out, err = await process.communicate()
        self.assertEqual((out, err, process.returncode), (
            b"True True True\n[(10, True), 'loop', 'loop', (14, True), (10, True), 'loop']\n", b"", 0))

    async def test_interrupted(self):
        """SIGINT is asyncio.run()'s, the first time and the second."""

        def main():
            async def serve():
                try:
                    print("ready", flush=True)
                    await asyncio.sleep(1000)
                except asyncio.CancelledError:
                    print("cancelled", flush=True)
                    if sys.argv[1:]:
                        await asyncio.sleep(1000)
                    raise

            try:
                asyncio.run(serve())
            finally:
                print("finally")

        for again in (False, True):
            self.add_program("tool", main)
            process = await exec_("tool", *["again"] * again, stdout=PIPE, stderr=PIPE)
            for said in (b"ready\n", b"cancelled\n")[:1 + again]:
                self.assertEqual(await process.stdout.readline(), said)
                process.send_signal(signal.SIGINT)
            out, err = await process.communicate()
            self.assertEqual((out[-8:], process.returncode), (b"finally\n", -2))
            self.assertTrue(err.endswith(b"KeyboardInterrupt\n") or err.endswith(b"KeyboardInterrupt: \n"), err)

    async def test_no_loop_to_interrupt(self):
        """Where no loop runs, what a handler raises comes out of what its thread waits in."""

        def main():
            signal.signal(signal.SIGUSR1, lambda number, frame: sys.exit(9))
            signal.signal(signal.SIGUSR2, lambda number, frame: 1 / 0)
            print("ready", flush=True)
            try:
                queue.SimpleQueue().get() if sys.argv[1:] else time.sleep(1000)
            finally:
                print("finally", type(sys.exception()).__name__)

        for number, code, error, said in ((signal.SIGINT, -2, "KeyboardInterrupt", b"KeyboardInterrupt\n"),
                                          (signal.SIGUSR1, 9, "SystemExit", b""),
                                          (signal.SIGUSR2, 1, "ZeroDivisionError", b"r: division by zero\n")):
            for arguments in ((), ("forever",)):
                process = await self.begun(main, *arguments)
                process.send_signal(number)
                out, err = await process.communicate()
                self.assertEqual((out.decode(), process.returncode), (f"finally {error}\n", code), err)
                self.assertTrue(err.endswith(said) if said else not err, err)
        self.assertIn(b"in <lambda>\n", err)

    async def test_interrupted_and_going_on(self):
        """A program may catch that, and go on."""

        def main():
            for answer in ("yes", "no"):
                try:
                    print("ready", flush=True)
                    time.sleep(1000)
                except KeyboardInterrupt:
                    print(answer, flush=True)

        process = await self.begun(main)
        for said in ([b"yes\n", b"ready\n"], [b"no\n"]):
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGINT)  # before the first has come to it
            self.assertEqual([await process.stdout.readline() for _ in said], said)
        self.assertEqual((await process.wait(), self.now), (0, 0))

    async def test_no_wait_of_ours(self):
        """A program that waits in the real world cannot be stopped; it has ended all the same."""

        def main():
            print("more")
            begun.append(True)
            door.acquire()

        with outside():
            door = threading.Lock()
        door.acquire()
        begun = []
        self.add_program("tool", main)
        process = await exec_("tool", stdout=PIPE, stderr=PIPE)
        while not begun:
            await asyncio.sleep(0)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        self.assertEqual((out, err, process.returncode), (b"more\n", b"KeyboardInterrupt\n", -2))
        door.release()

    async def test_sigwait(self):
        """A signal that its thread blocks waits for it, whatever other threads there are."""

        def main():
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
            print("ready", flush=True)
            print(int(signal.sigwait([signal.SIGTERM])), [int(number) for number in signal.sigpending()])

        process = await self.begun(main)
        process.send_signal(signal.SIGUSR1)
        process.send_signal(signal.SIGTERM)
        self.assertEqual((await process.communicate(), process.returncode), ((b"15 [10]\n", b""), 0))

    async def test_at_once(self):
        """os._exit() and os.abort() end it, from whatever thread, and what was not flushed is not heard."""

        def plain(end):
            print("never flushed")
            end()

        def of_a_loop(end):
            async def serve():
                try:
                    end()
                finally:
                    print("finally", flush=True)

            print("never flushed")
            asyncio.run(serve())

        def of_a_worker(end):
            async def serve():
                worker = asyncio.create_task(asyncio.to_thread(end))
                await asyncio.sleep(10)
                await worker

            asyncio.run(serve())

        async def task(end):
            print("never flushed")
            end()

        for main in (plain, of_a_loop, of_a_worker, task):
            for end, code in ((functools.partial(os._exit, 6), 6), (functools.partial(os._exit, 256), 0),
                              (os.abort, -signal.SIGABRT)):
                with self.subTest(main, end=end):
                    self.assertEqual(await self.outcome(functools.partial(main, end)), (b"", b"", code))
        for end, call in ((os.abort, r"os\.abort\("), (functools.partial(os._exit, 3), r"os\._exit\(3")):
            with self.assertRaisesRegex(EscapeError, call + r".* would end the test runner \(\S*test_guest.py:\d+ in "):
                end()

    async def test_ended_with_a_loop(self):
        """A loop of its own is unwound when a signal ends it, and nobody hears what fails then."""

        def main():
            async def serve():
                print("ready", flush=True)
                try:
                    while True:
                        await asyncio.sleep(1)
                finally:
                    seen.append("finally")
                    print("finally", flush=True)

            asyncio.run(serve())

        seen = []
        process = await self.begun(main)
        process.terminate()
        self.assertEqual((await process.communicate(), process.returncode), ((b"", b""), -15))
        await self.until(lambda: seen)
        self.assertEqual(seen, ["finally"])

    async def test_from_threads(self):
        """Module subprocess in a thread finds it too."""

        def main():
            print(sys.stdin.read() + sys.argv[1])

        self.add_program("tool", main)
        result = await asyncio.to_thread(subprocess.run, ["tool", "x"], input="in ", capture_output=True, text=True)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "in x\n", ""))


class CoroutineTest(GuestCase):
    async def test_time(self):
        """A coroutine function without arguments lives in the test's time."""

        async def main():
            await asyncio.sleep(float(sys.argv[1]))
            print("slept")
            return 4

        self.assertEqual(await self.outcome(main, "3600"), (b"slept\n", b"", 4))
        self.assertEqual(self.now, 3600)
        out, err, code = await self.outcome(main, "x")
        self.assertEqual((out, code), (b"", 1))
        self.assertIn(b"ValueError: could not convert string to float: 'x'", err)

    async def test_signals(self):
        """Signals end it as they would."""

        async def main():
            print("ready", flush=True)
            try:
                await asyncio.sleep(1000)
            finally:
                print("finally", flush=True)

        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1):
            process = await self.begun(main)
            os.kill(process.pid, signal.SIGCHLD)  # nobody notices
            os.kill(process.pid, signal.SIGSTOP)  # nobody could let it go on
            process.send_signal(number)
            self.assertEqual((await process.communicate(), process.returncode), ((b"", b""), -number))
        process = await self.begun(main)
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        self.assertEqual((out, process.returncode), (b"finally\n", -2))
        self.assertTrue(err.endswith(b"KeyboardInterrupt\n"), err)

    async def test_handlers(self):
        """Handlers are its own, of the loop and of module signal; what one raises ends it."""
        mine = []
        self.loop.add_signal_handler(signal.SIGUSR1, mine.append, "test")

        async def main():
            loop, came = asyncio.get_running_loop(), asyncio.Queue()
            loop.add_signal_handler(signal.SIGUSR1, came.put_nowait, "loop")
            signal.signal(signal.SIGUSR2, lambda number, frame: print("handled", number, flush=True))
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(9))
            print("ready", flush=True)
            print(await came.get(), flush=True)
            os.kill(os.getpid(), signal.SIGUSR1)  # its own
            print(await came.get(), loop.remove_signal_handler(signal.SIGUSR1), flush=True)
            await asyncio.sleep(1000)

        process = await self.begun(main)
        process.send_signal(signal.SIGUSR1)
        self.assertEqual(await process.stdout.readline(), b"loop\n")
        self.assertEqual(await process.stdout.readline(), b"loop True\n")
        process.send_signal(signal.SIGUSR2)
        self.assertEqual(await process.stdout.readline(), b"handled 12\n")
        self.assertEqual(mine, [])
        self.send_signal(signal.SIGUSR1)
        await self.settle()
        self.assertEqual(mine, ["test"])
        process.send_signal(signal.SIGTERM)
        self.assertEqual((await process.communicate(), process.returncode), ((b"", b""), 9))
        self.loop.remove_signal_handler(signal.SIGUSR1)

    async def test_itself(self):
        """A program that sends itself what it does not handle is dead on the spot."""

        async def main():
            print("before", file=sys.stderr)
            signal.raise_signal(signal.SIGTERM)
            print("after", file=sys.stderr)

        self.assertEqual(await self.outcome(main), (b"", b"before\n", -15))


async def of_task(end):
    """Call it in a task."""

    async def work():
        end()

    task = asyncio.create_task(work())
    await asyncio.sleep(10)
    await task


async def of_group(end):
    """Call it in a task of a group."""

    async def work():
        end()

    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        await asyncio.sleep(10)


async def of_callback(end):
    """Call it in a callback, and in another one of the same turn."""
    for _ in range(2):
        asyncio.get_running_loop().call_soon(end)
    await asyncio.sleep(10)


async def of_worker(end):
    """Call it in a thread."""
    await asyncio.to_thread(end)
    await asyncio.sleep(10)


async def itself(end):
    """Call it twice, and go on whatever it raises."""
    for _ in range(2):
        with contextlib.suppress(BaseException):
            end()
    await asyncio.sleep(10)


def with_process(main):
    """The same as a program that is called with its process."""

    async def program(process):
        return await main()

    return program


def in_a_loop_of_its_own(main):
    """The same as a function that runs a loop in its thread."""
    return lambda: asyncio.run(main())


KINDS = (lambda main: main), with_process


class LeavingTest(GuestCase):
    """What ends a process in a task or callback of a program ends that, and nothing on the loop that runs it."""

    LEAVE = lambda: os._exit(6), 6  # noqa: E731 - a name bound here would be the real one
    ABORT = lambda: os.abort(), -signal.SIGABRT
    EXIT = lambda: sys.exit(7), 7

    @staticmethod
    def kill(signum):
        return lambda: os.kill(os.getpid(), signum)

    async def ended(self, main, end, code, kind=lambda main: main):
        """It ends with this code, at once, and the loop goes on."""
        ticks = asyncio.create_task(asyncio.sleep(20))
        with self.subTest(main.__name__, code=code), self.assertElapses(0):
            out, _, status = await self.outcome(kind(functools.partial(main, end)))
            self.assertEqual((out, status), (b"", code))
        await ticks

    async def test_coroutines(self):
        """A coroutine function as a program, wherever it ends."""
        for end in (self.LEAVE, self.ABORT, (self.kill(signal.SIGKILL), -signal.SIGKILL),
                    (self.kill(signal.SIGTERM), -signal.SIGTERM), (self.kill(signal.SIGINT), -signal.SIGINT)):
            for main in (of_task, of_group, of_callback, of_worker):
                await self.ended(main, *end)
        for main in (of_task, of_group, of_callback):
            await self.ended(main, *self.EXIT)

    async def test_with_its_process(self):
        """A program that is called with its process ends by os._exit() and os.abort() as well, and by sys.exit()."""
        for end in (self.LEAVE, self.ABORT):
            for main in (of_task, of_group, of_callback, of_worker, itself):
                await self.ended(main, *end, with_process)
        for main in (of_task, of_group, of_callback):
            await self.ended(main, *self.EXIT, with_process)

    async def test_in_a_thread_with_a_loop(self):
        """The same from a thread of it that runs a loop of its own."""
        await self.ended(of_worker, lambda: asyncio.run(itself(self.LEAVE[0])), 6, with_process)

    @over_seeds(5)
    async def test_explored(self):
        """So it is where an exploration makes the loop's turns."""
        for (end, code), kind in itertools.product((self.LEAVE, self.EXIT), KINDS):
            out, _, status = await self.outcome(kind(functools.partial(of_task, end)))
            self.assertEqual((out, status), (b"", code))

    async def test_where_its_own_handler_leaves(self):
        """A handler of a signal is the program's own code."""

        async def main(process):
            process.add_signal_handler(signal.SIGTERM, os._exit, 6)
            process.stdout.write(b"ready\n")
            await asyncio.sleep(10)

        process = await self.begun(main)
        process.terminate()
        self.assertEqual((await process.communicate(), process.returncode), ((b"", b""), 6))

    async def test_where_others_see_its_end(self):
        """What asyncio says of sys.exit() in the handler of a server, or in a task, is no error of the test."""

        async def serve(end):
            async def handle(reader, writer):
                end()

            async with await asyncio.start_server(handle, "localhost", 80) as server:
                await server.serve_forever()

        async def eager(end):
            async def work():
                end()

            if sys.version_info >= (3, 12):
                asyncio.eager_task_factory(asyncio.get_running_loop(), work())
            end()

        for kind, main in itertools.product((*KINDS, in_a_loop_of_its_own), (serve, eager, of_group)):
            end, code = self.EXIT
            self.add_program("tool", kind(functools.partial(main, end)))
            process = await exec_("tool")
            if main is serve:
                await asyncio.sleep(0.1)
                _, writer = await asyncio.open_connection("localhost", 80)
                writer.close()
            with self.subTest(main.__name__, kind=kind):
                self.assertEqual(await process.wait(), code)

    async def test_it_unwinds(self):
        """sys.exit() leaves the program the time for its `finally`, and says what is no number."""

        async def main():
            try:
                await of_task(lambda: sys.exit("usage: tool"))
            finally:
                await asyncio.sleep(1)
                seen.append(self.now - begun)

        for kind in KINDS:
            seen, begun = [], self.now
            self.assertEqual(await self.outcome(kind(main)), (b"", b"usage: tool\n", 1))
            self.assertEqual(seen, [1])

    async def test_on_the_spot(self):
        """Where nobody can wait for it, too."""
        for (end, code), kind in itertools.product((self.LEAVE, self.ABORT, self.EXIT), KINDS):
            async def main(*, end=end):
                end()

            self.add_program("tool", kind(main))
            self.assertEqual(subprocess.run(["tool"], capture_output=True).returncode, code)

    def test_where_no_loop_runs(self):
        """The thread of a plain test that waits for it goes on."""
        for (end, code), kind in itertools.product((self.LEAVE, self.ABORT, self.EXIT), KINDS):
            for main in (of_task, of_callback, of_worker) if code != 7 else (of_task, of_callback):
                with self.subTest(main.__name__, code=code):
                    self.add_program("tool", kind(functools.partial(main, end)))
                    self.assertEqual(subprocess.run(["tool"], capture_output=True).returncode, code)

    def test_what_is_no_end_of_a_program(self):
        """A person's Ctrl-C and the limit in real time come out of the test, whatever runs at that moment."""

        def interrupt():
            raise KeyboardInterrupt

        def spin():
            while True:
                pass

        def waits(main):
            async def test(case):
                case.add_program("tool", main)
                await (await exec_("tool")).wait()

            return test

        def stands(main):
            def test(case):
                case.add_program("tool", main)
                subprocess.run(["tool"])

            return test

        class Case(SolipsistTestCase):
            real_time_limit = 0.1
            on_slow_callback = "ignore"

        for kind, way in itertools.product(KINDS, (waits, stands)):
            with self.subTest(kind, way=way):
                with self.assertRaises(KeyboardInterrupt):
                    run(type("Case", (Case,), {"test": way(kind(functools.partial(of_task, interrupt)))}))
                text = told(run(type("Case", (Case,), {"test": way(kind(functools.partial(of_task, spin)))})))
                self.assertIn("RealTimeLimitError", text)


class KindTest(unittest.TestCase):
    def test_who_gets_the_process(self):
        """Who needs an argument gets the process, and a coroutine function that could take one."""

        async def with_default(process=None): ...
        async def with_any(*args): ...
        async def with_keyword(*, process=None): ...

        for main, takes in ((lambda process: None, True), (with_default, True), (with_any, True), (str.upper, True),
                            (unittest.mock.AsyncMock(), True), (lambda argv=None: None, False), (with_keyword, False),
                            (lambda *args: None, False), (dict, False), (functools.partial(print, "x"), False)):
            with self.subTest(main):
                self.assertIs(takes_process(main), takes)


class EndTest(unittest.TestCase):
    def test_assertions(self):
        """An assertion of the test in a program fails the test, of a task and of a thread."""

        class Case(SolipsistTestCase):
            async def test_task(self):
                async def main():
                    self.assertEqual(sys.argv, [])

                self.add_program("tool", main)
                await (await exec_("tool")).wait()

            async def test_thread(self):
                def main():
                    self.assertEqual(sys.argv, [])

                self.add_program("tool", main)
                await (await exec_("tool")).wait()

        self.assertEqual(told(run(Case)).count("AssertionError: ['tool'] != []"), 2)


if __name__ == "__main__":
    unittest.main()
