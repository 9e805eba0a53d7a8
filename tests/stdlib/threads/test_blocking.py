"""What stops the loop's thread: blocking calls and slow callbacks are told, each as the test class chooses."""

import asyncio
import builtins
import concurrent.futures
import contextlib
import gc
import io
import queue
import subprocess
import sys
import threading
import time
import unittest
import warnings
from unittest import mock

from solipsism_unittest import (
    BlockingCallWarning,
    SlowCallbackWarning,
    SolipsismWarning,
    SolipsistEventLoop,
    SolipsistTestCase,
    sealed,
)
from solipsism_unittest.stdlib.seal import permits
from solipsism_unittest.stdlib.threads import blocking
from tests.case.test_case import run, told

REAL_SLEEP = time.sleep  # bound before any test: no replacement reaches it


def burn(seconds):
    """Keep the processor for so long."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def run_one(test, **attributes):
    """Run one test function in a class of its own; return the result and the warnings of ours."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run(type("Case", (SolipsistTestCase,), {"test": test, **attributes}), "test")
    return result, [warning for warning in caught if issubclass(warning.category, SolipsismWarning)]


def later(function):
    """Call it from another thread in a moment."""
    timer = threading.Timer(0.2, function)  # long enough for who waits to be there, on a busy machine too
    timer.start()
    return timer


class SleepTest(unittest.TestCase):
    def test_it_fails_the_test(self):
        """time.sleep() in a coroutine fails a test that would pass, with its line, and returns at once."""

        async def test(self):
            time.sleep(1000)
            self.assertNow(0)

        result, _ = run_one(test)
        self.assertRegex(told(result), r"AssertionError: a blocking call in the loop's thread: while it waits, nothing "
                                       r"else can run, and virtual time stands still\n  time\.sleep\(1000\) at "
                                       r"tests\S+test_blocking\.py:\d+ in \S*test\n  await what asyncio has for it")
        self.assertEqual((len(result.failures), result.errors), (1, []))

    def test_in_whatever_the_loop_runs(self):
        """A callback, a background task, and code that swallows every error are found; equal ones are counted."""

        async def poll():
            for _ in range(3):
                with contextlib.suppress(BaseException):
                    time.sleep(0.5)

        async def background(self):
            await asyncio.create_task(poll())

        async def callback(self):
            self.loop.call_soon(time.sleep, 7)
            await asyncio.sleep(0)

        self.assertRegex(told(run_one(background)[0]), r"time\.sleep\(0\.5\) at \S+:\d+ in \S+poll \(x 3\)\n")
        self.assertIn("\n  time.sleep(7)\n", told(run_one(callback)[0]))

    def test_where_it_may_block(self):
        """Executor jobs, threads and plain tests sleep in virtual time, and nobody complains."""

        async def job(self):
            await asyncio.to_thread(time.sleep, 2)
            self.assertNow(2)

        def plain(self):
            time.sleep(2)
            self.assertNow(2)

        def thread(self):
            thread = threading.Thread(target=time.sleep, args=(2,))
            thread.start()
            thread.join()
            self.assertNow(2)

        for test in (job, plain, thread):
            with self.subTest(test.__name__):
                result, told_of = run_one(test)
                self.assertTrue(result.wasSuccessful(), told(result))
                self.assertEqual(told_of, [])

    def test_what_does_not_block(self):
        """sleep(0) is no blocking call, and wrong arguments are what they are on a real loop."""

        async def test(self):
            time.sleep(0)
            with self.assertRaises(ValueError):
                time.sleep(-1)
            with self.assertRaises(TypeError):
                time.sleep("1")

        self.assertTrue(run_one(test)[0].wasSuccessful())

    def test_a_failing_test_has_it_as_a_note(self):
        """The test's own failure comes first; an expected failure stays one."""

        async def fails(self):
            time.sleep(1)
            self.fail("mine")

        result, _ = run_one(fails)
        self.assertRegex(told(result), r"AssertionError: mine\nalso: a blocking call in the loop's thread")
        self.assertEqual(len(run_one(unittest.expectedFailure(fails))[0].expectedFailures), 1)

    def test_a_debugger(self):
        """What a debugger does in the loop's thread is its own business."""

        async def test(self):
            with mock.patch.object(blocking, "debugging", lambda frame: True):
                time.sleep(0.001)

        self.assertTrue(run_one(test)[0].wasSuccessful())


class ChoiceTest(unittest.TestCase):
    async def sleeps(self):
        time.sleep(0.001)

    async def is_slow(self):
        self.loop.slow_callback_duration = 0.001
        await asyncio.sleep(0)
        burn(0.003)
        await asyncio.sleep(0)

    def test_calls(self):
        """fail, warn and ignore do what they say."""
        for word, failures, categories in (("fail", 1, []), ("warn", 0, [BlockingCallWarning]), ("ignore", 0, [])):
            result, caught = run_one(ChoiceTest.sleeps, on_blocking_call=word)
            with self.subTest(word):
                self.assertEqual((len(result.failures), [warning.category for warning in caught]),
                                 (failures, categories))

    def test_slow_callbacks(self):
        """The same for slow callbacks."""
        for word, failures, categories in (("fail", 1, []), ("warn", 0, [SlowCallbackWarning]), ("ignore", 0, [])):
            result, caught = run_one(ChoiceTest.is_slow, on_slow_callback=word)
            with self.subTest(word):
                self.assertEqual((len(result.failures), [warning.category for warning in caught]),
                                 (failures, categories))

    def test_a_warning_has_its_place(self):
        """The warning of a blocking call stands at the line of the call."""
        _, (warning,) = run_one(ChoiceTest.sleeps, on_blocking_call="warn")
        self.assertEqual((warning.filename, warning.lineno), (__file__, ChoiceTest.sleeps.__code__.co_firstlineno + 1))
        self.assertIn('on_blocking_call = "ignore" lets it be', str(warning.message))

    def test_an_ignored_sleep_lets_time_go_on(self):
        """With ignore, time.sleep() in the loop's thread sleeps in virtual time; timers and an advance are late then.
        """

        async def test(self):
            late = []
            self.loop.call_later(1, lambda: late.append(self.now))
            advancing = asyncio.create_task(self.advance(2))
            await asyncio.sleep(0)
            time.sleep(5)
            self.assertNow(5)
            await advancing
            self.assertEqual(late, [5])

        self.assertTrue(run_one(test, on_blocking_call="ignore")[0].wasSuccessful())

    def test_wrong_words(self):
        """A word that is none of the three is an error of the test, with the list."""
        for name in ("on_blocking_call", "on_slow_callback"):
            result, _ = run_one(lambda self: None, **{name: "shout"})
            self.assertIn(f"SolipsismError: {name} of Case is 'shout': solipsism_unittest reads it as", told(result))
            self.assertIn("Set it to one of 'fail', 'warn', 'ignore'", told(result))

    def test_without_a_test_case(self):
        """A loop that runs alone warns."""

        async def main():
            time.sleep(1)

        warns = self.assertWarnsRegex(BlockingCallWarning, r"time\.sleep\(1\) at .*main")
        with warns, asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())


class OtherCallsTest(unittest.TestCase):
    def assertBlocks(self, body, *wanted):
        async def test(self):
            body()

        result, _ = run_one(test)
        self.assertEqual(len(result.failures), 1, told(result))
        for text in wanted:
            self.assertIn(text, told(result))

    def test_waits_without_a_timeout(self):
        """Event.wait(), Queue.get(), Future.result() and Condition.wait() that really wait are told by their names."""

        def event():
            event = threading.Event()
            later(event.set)
            event.wait()

        def get():
            items = queue.Queue()
            later(lambda: items.put(1))
            items.get()

        def result():
            future = concurrent.futures.Future()
            later(lambda: future.set_result(1))
            future.result()

        for body, name in ((event, "Event.wait"), (get, "Queue.get"), (result, "Future.result")):
            with self.subTest(name):
                self.assertBlocks(body, f"{name}() without a timeout at ")

    def test_waits_that_are_no_trouble(self):
        """One that need not wait, one that does not wait, and the start of a thread are not told."""

        async def test(self):
            threading.Event().wait(0)
            there = threading.Event()
            there.set()
            there.wait()
            thread = threading.Thread(target=there.wait)
            thread.start()
            thread.join()

        self.assertTrue(run_one(test)[0].wasSuccessful())

    def test_waits_with_a_timeout(self):
        """A wait that may take time is told with how long it may."""

        def ask_in_vain():
            with contextlib.suppress(queue.Empty):
                queue.Queue().get(timeout=0.001)

        self.assertBlocks(lambda: threading.Event().wait(0.001), "Event.wait() for up to 0.001 s at ")
        self.assertBlocks(ask_in_vain, "Queue.get() for up to 0.00", " in OtherCallsTest.test_waits_with_a_timeout.")

    def test_child_processes(self):
        """subprocess.run() in the loop's thread is told; waiting for one that has ended is not."""

        def child():
            with permits.allow_escape("subprocess"):
                process = subprocess.Popen([sys.executable, "-c", ""])
            process.wait()
            process.wait()

        self.assertBlocks(child, "waiting for a child process at ")

    def test_input(self):
        """input() in the loop's thread is told, and still reads."""
        seen = []

        def body():
            with mock.patch.object(sys, "stdin", io.StringIO("typed\n")):
                seen.append(input())

        self.assertBlocks(body, "\n  input() at ")
        self.assertEqual(seen, ["typed"])

    def test_outside_of_a_loop(self):
        """In a sealed thread without a running loop all of them are as ever."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop), mock.patch.object(sys, "stdin", io.StringIO("typed\n")):
            event = threading.Event()
            later(event.set)
            self.assertTrue(event.wait())
            self.assertEqual(builtins.input(), "typed")
            with permits.allow_escape("subprocess"):
                self.assertEqual(subprocess.Popen([sys.executable, "-c", ""]).wait(), 0)
        self.assertEqual(loop.selector.blocking.report(), "")


class SlowTest(unittest.TestCase):
    def test_what_broke_the_loop(self):
        """Of a loop that something got out of nothing slow is told: there is another error."""

        async def main():
            asyncio.get_running_loop().call_soon(lambda: burn(0.03) or sys.exit(3))
            await asyncio.sleep(1)

        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.slow_callback_duration = 0.002
        task = loop.create_task(main())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with self.assertRaises(SystemExit):
                loop.run_forever()
            task.cancel()
            loop.call_soon(loop.stop)
            loop.run_forever()

    def slow(self, main, seconds=0.002):
        """The text of the warnings for a program on a loop of its own."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
                runner.get_loop().slow_callback_duration = seconds
                runner.run(main())
        return "\n".join(str(warning.message) for warning in caught if warning.category is SlowCallbackWarning)

    def test_a_task(self):
        """A slow step of a task is told with the task's name and the line that it went on to."""

        async def main():
            await asyncio.sleep(1)
            burn(0.03)
            await asyncio.sleep(1)

        self.assertRegex(self.slow(main), r"^a callback kept the processor, and nothing else could run meanwhile: task "
                                          r"Task-1 \(\S*main\), which is at \S+test_blocking\.py:\d+ in \S*main now, "
                                          r"took 0\.")

    def test_the_last_step(self):
        """The step that ends a program is measured too."""

        async def main():
            burn(0.03)

        self.assertRegex(self.slow(main), r"task Task-1 \(\S*main\), which has ended, took 0\.\d\d seconds of the "
                                          "processor")

    def test_callbacks_and_timers(self):
        """A slow callback is told with the line where it is defined, from a timer too."""

        def work():
            burn(0.03)

        async def soon():
            asyncio.get_running_loop().call_soon(work)
            await asyncio.sleep(1)

        async def later():
            asyncio.get_running_loop().call_later(0.5, work)
            await asyncio.sleep(1)

        for main in (soon, later):
            with self.subTest(main.__name__):
                self.assertRegex(self.slow(main), r": \S*work \(tests\S+test_blocking\.py:\d+\) took 0\.\d\d second")

    def test_a_protocol(self):
        """A slow protocol is told by the callback of its transport."""

        async def main():
            class Slow(asyncio.Protocol):
                def data_received(self, data):
                    burn(0.03)

            loop = asyncio.get_running_loop()
            server = await loop.create_server(Slow, "localhost", 8000)
            _, writer = await asyncio.open_connection("localhost", 8000)
            writer.write(b"data")
            await asyncio.sleep(1)
            writer.close()
            server.close()

        self.assertIn("_SelectorSocketTransport._read_ready", self.slow(main))

    def test_one_of_several(self):
        """Where several ran in the turn, the slow one is named; in debug mode, whose turns are CPython's, all are."""

        def one():
            burn(0.03)

        def other():
            """Quick."""

        async def main():
            loop = asyncio.get_running_loop()
            loop.set_debug(debug)
            await asyncio.sleep(1)
            loop.call_soon(one)
            loop.call_soon(other).cancel()
            loop.call_soon(other)
            await asyncio.sleep(1)

        debug = False
        self.assertRegex(self.slow(main), r": \S+one \(\S+\) took")
        debug = True
        self.assertRegex(self.slow(main), r": one of \S+one \(\S+\), \S+other \(\S+\) took")

    def test_waiting_for_threads_is_not_slow(self):
        """The real time that the loop waits for a job is nobody's."""

        async def main():
            await asyncio.to_thread(REAL_SLEEP, 0.3)

        self.assertEqual(self.slow(main, 0.25), "")

    def test_collections(self):
        """What the garbage collector takes is nobody's; what a callback takes beside that is its own."""

        def collect_slowly(phase, info):
            if phase == "stop" and info["generation"] == 2:
                burn(0.05)

        async def collects():
            gc.collect()
            await asyncio.sleep(1)
            gc.collect()

        async def another_thread_collects():
            await asyncio.to_thread(gc.collect)

        async def works_too():
            gc.collect()
            burn(0.03)

        gc.callbacks.append(collect_slowly)  # before the loop's, so it is part of the collection
        self.addCleanup(gc.callbacks.remove, collect_slowly)
        for main, expected in ((collects, ""), (another_thread_collects, ""), (works_too, "took 0.0")):
            with self.subTest(main.__name__):
                found = self.slow(main, 0.02)
                self.assertEqual((expected in found, bool(found)), (True, bool(expected)), found)
        self.assertEqual(gc.callbacks[-1], collect_slowly)

    def test_who_empties_the_list_of_callbacks(self):
        """A program may remove all callbacks of the garbage collector."""
        before = list(gc.callbacks)
        self.addCleanup(gc.callbacks.extend, before)

        async def main():
            gc.callbacks.clear()

        self.assertEqual((self.slow(main), gc.callbacks), ("", []))

    def test_between_two_runs(self):
        """Real time that passes while the loop does not run is nobody's."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
                runner.get_loop().slow_callback_duration = 0.25
                runner.run(asyncio.sleep(1))
                REAL_SLEEP(0.3)
                runner.run(asyncio.sleep(1))
        self.assertEqual(runner._loop, None)

    def test_asyncios_own_default(self):
        """The limit is asyncio's slow_callback_duration, 0.1 s, until the program sets another."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        self.assertEqual(loop.slow_callback_duration, 0.1)

    def test_a_debugger(self):
        """The time in a debugger is not the program's."""

        async def main():
            burn(0.03)

        with mock.patch("solipsism_unittest.loop.stuck.debugging", lambda frame: True):
            self.assertEqual(self.slow(main), "")

    def test_where_it_is_reported(self):
        """The warning is one of the program's line: where a task stands or began, or where a callback is defined."""
        def work():
            burn(0.02)

        async def goes_on():
            await asyncio.sleep(1)
            burn(0.02)
            await asyncio.sleep(1)

        async def ends():
            burn(0.02)

        async def calls():
            asyncio.get_running_loop().call_later(1, work)
            await asyncio.sleep(2)

        async def one_of_many():
            await asyncio.gather(goes_on(), asyncio.sleep(1), asyncio.sleep(1))

        for main in (goes_on, ends, calls, one_of_many):
            with self.subTest(main.__name__), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
                    runner.get_loop().slow_callback_duration = 0.01
                    runner.run(main())
                self.assertEqual({warning.filename for warning in caught}, {__file__})

    def test_nothing_of_the_program(self):
        """Where nothing of the program ran, nothing is reported."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        for runs in (None, [], ["Future.set_result"], loop.call_soon([].copy)):
            loop.selector.blocking.on_slow_turn = "fail"
            loop.selector.blocking.on_slow(1.0, runs)
        self.assertEqual(loop.selector.blocking.report(), "")

    def test_a_busy_machine(self):
        """Real time in which the thread has no processor is nobody's."""
        async def main():
            await asyncio.sleep(1)
            burn(0.01)
            REAL_SLEEP(0.1)
            await asyncio.sleep(1)

        self.assertEqual(self.slow(main, 0.05), "")

    def test_nothing_is_kept(self):
        """What a loop ran is let go when it stops."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.run_until_complete(asyncio.sleep(1))
        self.assertIsNone(loop.selector.blocking.runs)


if __name__ == "__main__":
    unittest.main()
