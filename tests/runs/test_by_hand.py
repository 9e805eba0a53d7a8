"""The world without a TestCase: what it gives, and what its end reports."""

import asyncio
import contextlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest
import warnings
from concurrent.futures import ThreadPoolExecutor

from solipsism_unittest import (
    EscapeError,
    RealTimeLimitError,
    SleepForeverError,
    SolipsismError,
    VirtualTimeLimitError,
    world,
)


async def echo(reader, writer):
    """Send a line back."""
    writer.write(await reader.readline())
    writer.close()


async def ask(host, port, line):
    """Send a line, and give the answer."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(line)
    try:
        return await reader.readline()
    finally:
        writer.close()


async def forget():
    """Leave a coroutine without awaiting it."""
    asyncio.sleep(1)


class WorldTest(unittest.TestCase):
    def test_what_it_gives(self):
        """Time, the network, fake servers and assertions are there, and coroutines run to their end."""
        with world(start_time=100.0) as here:
            here.run(here.start_fake_server(echo, "api.test", 80))
            self.assertEqual(here.run(ask("api.test", 80, b"hello\n")), b"hello\n")
            self.assertEqual([lookup.name for lookup in here.network.lookups], ["api.test"])
            here.run(asyncio.sleep(86400))
            here.assertNow(86500)
            self.assertEqual(time.monotonic(), 86500)
            here.run(here.advance(5))
            self.assertEqual((here.now, here.loop.time()), (86505, 86505))
            with here.assertElapses(7):
                here.run(here.assertCompletesAfter(asyncio.sleep(7, "result"), 7))
            future = here.delayed_future(3)
            self.assertIs(here.run(future), True)
        self.assertLess(time.monotonic() - time.monotonic(), 1)
        self.assertNotEqual(time.monotonic(), 86505)

    def test_what_cannot_be_run(self):
        """run() refuses what cannot be awaited, a coroutine function that was not called, and a result of unittest."""
        with world() as here:
            for wrong in (None, echo, unittest.TestResult()):
                with self.assertRaisesRegex(TypeError, r"run\(\) takes a coroutine or another awaitable, not "):
                    here.run(wrong)

    def test_a_loop_that_runs(self):
        """In a coroutine no world can begin, and none can run another: the error says so, and nothing is left."""

        async def begin():
            with world():
                pass

        async def begin_with_this_loop():
            with world(loop_factory=asyncio.get_running_loop):
                pass

        for wrong in (begin, begin_with_this_loop):
            with self.assertRaisesRegex(SolipsismError, r"world\(\) cannot begin in a coroutine: <.*> runs in this "):
                asyncio.run(wrong())
            with self.assertRaisesRegex(SolipsismError, "cannot begin in a coroutine"), world() as here:
                here.run(wrong())

        async def run():
            here.run(asyncio.sleep(1))

        async def run_again():
            here.run(here.loop.create_future())

        for wrong in (run, run_again):
            with self.assertRaisesRegex(SolipsismError, r"run\(\) cannot run a loop here: <Solipsist.* running"), \
                    world() as here:
                here.run(wrong())

    def test_after_its_end(self):
        """A world that is over runs nothing."""
        with world() as here:
            pass
        with self.assertRaisesRegex(SolipsismError, r"run\(\) cannot run a loop here: this world is over"):
            here.run(asyncio.sleep(1))

    def test_nested(self):
        """A world in a world has a time and a network of its own, in whatever order they end."""
        with world() as outer:
            outer.run(asyncio.sleep(5))
            with world() as inner:
                inner.run(asyncio.sleep(7))
                self.assertEqual((outer.now, inner.now, time.monotonic()), (5, 7, 7))
            self.assertEqual(time.monotonic(), 5)
            outer.run(asyncio.sleep(1))
            outer.assertNow(6)
        before = warnings._warn_unawaited_coroutine, sys.get_coroutine_origin_tracking_depth()
        one, other = world(), world()
        one.__enter__()
        inner = other.__enter__()
        one.__exit__(None, None, None)
        inner.run(asyncio.sleep(1))
        other.__exit__(None, None, None)
        self.assertGreater(time.monotonic() + 1, time.clock_gettime(time.CLOCK_MONOTONIC))
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (0.0, 0.0))  # of the limits of real time
        self.assertIs(signal.getsignal(signal.SIGALRM), signal.SIG_DFL)
        self.assertEqual((warnings._warn_unawaited_coroutine, sys.get_coroutine_origin_tracking_depth()), before)

    def test_the_end_of_one_of_two(self):
        """Of two worlds in two threads the first one ends first: the other one still hears of forgotten coroutines."""
        before = warnings._warn_unawaited_coroutine
        first, second = world(), world()
        with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
            one.submit(first.__enter__).result()
            here = other.submit(second.__enter__).result()
            one.submit(first.__exit__, None, None, None).result()
            other.submit(lambda: here.run(forget())).result()
            with self.assertRaisesRegex(AssertionError, "coroutine 'sleep' was never awaited"):
                other.submit(second.__exit__, None, None, None).result()
        self.assertIs(warnings._warn_unawaited_coroutine, before)

    def test_how_the_network_stood(self):
        """An error that leaves the block says it, as a test's failure does: before the cleanups."""
        with self.assertRaises(ZeroDivisionError) as caught, world() as here:
            sock = socket.create_server(("api.test", 80))
            client = socket.create_connection(("api.test", 80))
            for each in (sock, client):
                here.addCleanup(each.close)
            client.send(b"five!")
            raise ZeroDivisionError
        self.assertRegex(caught.exception.__notes__[0], r"^the network when it failed, at t=0\.0\n(.*\n)+.* 5 +0$")

    def test_in_threads(self):
        """Threads have worlds of their own at once."""
        found = []

        def live(seconds):
            with world(start_time=seconds) as here:
                server = here.run(here.start_fake_server(echo, "api.test", 80))
                self.assertEqual(here.run(ask("api.test", 80, b"hello\n")), b"hello\n")
                here.run(asyncio.sleep(seconds))
                found.append((here.now, server.port))

        threads = [threading.Thread(target=live, args=(float(number),)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(sorted(found), [(2.0, 80), (4.0, 80), (6.0, 80), (8.0, 80)])

    def test_settings(self):
        """It takes the settings of a test class, and refuses what is none."""
        with world(autojump=False, seed=5) as here, self.assertRaises(SleepForeverError):
            here.run(asyncio.sleep(1))
        with world(virtual_time_limit=10) as here, self.assertRaises(VirtualTimeLimitError):
            here.run(asyncio.sleep(11))
        with world(loop_factory=asyncio.SelectorEventLoop) as here:
            self.assertIs(type(here.loop), asyncio.SelectorEventLoop)
        for wrong in ("loop_scope", "services", "speed"):
            with self.assertRaisesRegex(TypeError, f"world.. has no setting '{wrong}': there are loop_factory, "), \
                    world(**{wrong: "class"}):
                pass
        with self.assertRaisesRegex(SolipsismError, "start_time of World is 'noon'"), world(start_time="noon"):
            pass

    def test_the_same_every_time(self):
        """Two worlds with one seed draw the same."""
        drawn = []
        for seed in (1, 1, 2):
            with world(seed=seed):
                drawn.append(random.random())
        self.assertEqual([drawn[0] == drawn[1], drawn[0] == drawn[2]], [True, False])

    def test_cleanups(self):
        """Cleanups run at the end, the last one first, and may be coroutine functions."""
        done = []

        async def later(what):
            await asyncio.sleep(1)
            done.append(what)

        with world() as here:
            here.addCleanup(later, "first")
            here.addCleanup(done.append, "second")
        self.assertEqual(done, ["second", "first"])


class ReportTest(unittest.TestCase):
    def test_leaks(self):
        """What is left is reported with its line; what is meant to be left is not."""
        with self.assertRaisesRegex(AssertionError, "the test left 1 thing behind(.|\n)*made at tests/runs/test_by_hand"
                                                    r"\.py:\d+ in ReportTest.test_leaks"), world() as here:
            here.loop.call_later(5, print)
        with world() as here:
            here.expect_leak(here.loop.call_later(5, print))
        with world(fail_on={"active_handles": False}) as here:
            here.loop.call_later(5, print)
        with self.assertRaisesRegex(TypeError, "knows no check 'timers'"), world(fail_on={"timers": False}):
            pass

    def test_hangs(self):
        """A hang is an error of run()."""
        with world() as here, self.assertRaisesRegex(SleepForeverError, "nothing can wake the program at t=0.0"):
            here.run(asyncio.Event().wait())

    def test_escapes(self):
        """An escape is stopped at the call, and reported at the end where the program swallowed it."""
        with self.assertRaisesRegex(EscapeError, "would start a real process") as caught, world(), \
                contextlib.suppress(Exception):
            subprocess.check_output(["git", "--version"])
        self.assertIn("the code under test swallowed this", "".join(caught.exception.__notes__))
        with world(hermetic=False) as here:
            one, other = here.run(asyncio.to_thread(socket.socketpair))
            one.close()
            other.close()

    def test_errors(self):
        """An error that leaves the block stays what it is; what was left is its note."""
        error = LookupError("on purpose")
        with self.assertRaises(LookupError) as caught, world() as here:
            here.loop.call_later(5, print)
            raise error
        self.assertIs(caught.exception, error)
        self.assertIn("also: the test left 1 thing behind", "".join(error.__notes__))
        with self.assertRaisesRegex(LookupError, "in a cleanup") as caught, world() as here:
            here.addCleanup(self.fail_with, LookupError("another"))
            here.addCleanup(self.fail_with, LookupError("in a cleanup"))
            here.loop.call_later(5, print)
        self.assertRegex("".join(caught.exception.__notes__), "another(.|\n)*left 1 thing behind")
        with self.assertRaises(KeyboardInterrupt), world() as here:
            here.loop.call_later(5, print)
            raise KeyboardInterrupt

    def test_reasons(self):
        """What run() raises says at once why, and once: a fixture of pytest does not see that its test fails."""
        words = "nobody listens on api.test:80 "
        with self.assertRaises(ConnectionRefusedError) as caught, world() as here:
            try:
                here.run(ask("api.test", 80, b"hello\n"))
            except ConnectionRefusedError as error:
                self.assertEqual("".join(error.__notes__).count(words), 1)
                raise
        self.assertEqual("".join(caught.exception.__notes__).count(words), 1)
        with self.assertRaises(ConnectionRefusedError) as caught, world() as here:
            asyncio.run(ask("api.test", 80, b"hello\n"))
        self.assertEqual("".join(caught.exception.__notes__).count(words), 1)

    def test_repr(self):
        """It says its time, and when it is over."""
        with world(start_time=100.0) as here:
            here.run(asyncio.sleep(5))
            self.assertEqual(repr(here), "<World t=105.0>")
        self.assertEqual(repr(here), "<World, which is over>")

    @staticmethod
    def fail_with(error):
        """Raise it."""
        raise error

    def test_real_time_limit(self):
        """What takes too long ends in run()."""

        async def spin():
            while True:
                pass

        with world(real_time_limit=0.2) as here, self.assertRaises(RealTimeLimitError):
            here.run(spin())

    def test_the_real_world_is_back(self):
        """After the block the thread is in the real world, whatever came out of it."""
        for error in (None, LookupError()):
            try:
                with world():
                    if error:
                        raise error
            except LookupError:
                pass
            one, other = socket.socketpair()
            self.assertLess(one.fileno(), 2**20)
            one.close()
            other.close()


if __name__ == "__main__":
    unittest.main()
