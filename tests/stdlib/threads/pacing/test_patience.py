"""Threads that come to no wait: they hold the clock, and others go on beside them after a while."""

import asyncio
import contextlib
import os
import queue
import signal
import threading
import time
import unittest
from unittest import mock

from solipsism_unittest import SleepForeverError, SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.introspection.threads import resting
from solipsism_unittest.stdlib.threads.pacing import patience
from solipsism_unittest.stdlib.threads.pacing.record import BLIND, READY, RUNNING, STRAY, WAITING

# Under a name that is not its own it is the real one: nobody sees what waits in it.
NAP = time.sleep
REAL_PIPE = os.pipe


class LateTest(SolipsistTestCase):
    real_time_limit = 30
    on_slow_callback = "ignore"

    def kinds(self):
        return [record.kind for record in self.loop.kernel.journal]

    async def test_one_that_never_waits(self):
        """A thread that spins until another one has run: that one goes on beside it, and the journal says so."""
        over = threading.Event()

        def spin():
            while not over.is_set():
                pass

        await asyncio.gather(asyncio.to_thread(spin), asyncio.to_thread(over.set))
        self.assertIn("real-order", self.kinds())
        self.assertNow(0)

    async def test_a_loop_that_never_waits(self):
        """A callback that spins until a thread has run."""
        over = threading.Event()
        thread = threading.Thread(target=over.set)
        thread.start()
        while not over.is_set():
            pass
        await asyncio.to_thread(thread.join)
        self.assertIn("real-order", self.kinds())

    async def test_what_nobody_sees(self):
        """What is inside of a C function holds the clock: no timer runs, and no other thread's sleep ends."""
        seen = []
        self.loop.call_later(0.001, seen.append, "timer")
        nap = asyncio.create_task(asyncio.to_thread(lambda: time.sleep(0.002) or seen.append("sleep")))
        await asyncio.to_thread(lambda: NAP(0.2) or seen.append("job"))
        await nap
        self.assertEqual(seen, ["job", "timer", "sleep"])
        self.assertNow(0.002)

    async def test_what_a_late_one_has_written(self):
        """What was written before a thread spins, or waits in a real file, is read beside it; no timer runs."""
        real_reader, real_writer = REAL_PIPE()
        self.addCleanup(os.close, real_reader)
        self.addCleanup(os.close, real_writer)
        over = threading.Event()

        def spin():
            while not over.is_set():
                pass

        def read():
            os.read(real_reader, 1)

        for wait, end in ((spin, over.set), (read, lambda: os.write(real_writer, b"."))):
            for in_thread in (False, True):
                with self.subTest(wait=wait.__name__, in_thread=in_thread):
                    over.clear()
                    seen, (reader, writer) = [], os.pipe()

                    def take(reader=reader, seen=seen, end=end):
                        seen.append(os.read(reader, 9))
                        end()

                    def work(writer=writer, seen=seen, wait=wait):
                        os.write(writer, b"ready")
                        wait()
                        seen.append(self.now)

                    timer = self.loop.call_later(1, seen.append, "timer")
                    job = asyncio.to_thread(take) if in_thread else asyncio.sleep(0)
                    if not in_thread:
                        os.set_blocking(reader, False)
                        self.loop.add_reader(reader, take)
                    await asyncio.gather(job, asyncio.to_thread(work))
                    timer.cancel()
                    self.loop.remove_reader(reader)
                    os.close(reader)
                    os.close(writer)
                    self.assertEqual(seen, [b"ready", 0])

    async def test_a_late_one_waits_again(self):
        """One that had lost its turn gets it again at its next wait."""
        over, seen = threading.Event(), []

        def spin():
            while not over.is_set():
                pass
            time.sleep(1)
            seen.append(("spun", self.now))

        def other():
            over.set()
            time.sleep(2)
            seen.append(("other", self.now))

        await asyncio.gather(asyncio.to_thread(spin), asyncio.to_thread(other))
        self.assertEqual(seen, [("spun", 1), ("other", 2)])


class UnseenTest(unittest.TestCase):
    """Locks and queues that are older than the world."""

    def run_with(self, *works):
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            threads = [threading.Thread(target=work) for work in works]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return loop.time()

    def test_an_old_lock(self):
        """Three threads that sleep with it in their hands sleep one after the other: no hang, and the right time."""
        lock = threading.Lock()

        def work():
            with lock:
                time.sleep(1)

        self.assertEqual(self.run_with(work, work, work), 3.0)

    def test_an_old_queue(self):
        """A thread that waits in it lets time go on, and goes on with what another one puts there later."""
        line, got = queue.SimpleQueue(), []

        def put():
            for number in range(3):
                time.sleep(1)
                line.put(number)

        self.assertEqual(self.run_with(lambda: got.extend(line.get() for _ in range(3)), put), 3.0)
        self.assertEqual(got, [0, 1, 2])


class InterruptedTest(unittest.TestCase):
    def test_an_exception_of_a_handler(self):
        """What the handler of a signal raises comes out of the wait; the thread goes on, and waits again later."""

        class Stop(Exception):
            pass

        def handler(*args):
            raise Stop

        before = signal.signal(signal.SIGUSR2, handler)
        self.addCleanup(signal.signal, signal.SIGUSR2, before)
        main = threading.main_thread().ident
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop):
            thread = threading.Thread(target=lambda: (KILL(main, signal.SIGUSR2), NAP(0.1), time.sleep(5)))
            thread.start()
            with self.assertRaises(Stop):
                thread.join()
            thread.join()
            self.assertEqual(loop.time(), 5.0)


class LookTest(unittest.TestCase):
    """What one that waits for its turn sees, with the real time and the threads as the test sets them."""

    def setUp(self):
        self.loop = self.enterContext(contextlib.closing(SolipsistEventLoop()))
        self.baton = self.loop.world.baton
        self.me = self.baton.new_record("me")
        self.me.gate = mock.Mock()
        wait = mock.patch.object(patience.Real, "acquire", staticmethod(lambda gate, *limits: gate.acquire(*limits)))
        self.enterContext(wait)

    def test_an_exception_of_one_that_has_its_turn(self):
        """One whose wait breaks off when it was given the turn already keeps it; another one has lost its turn."""
        for has_turn, state in ((True, READY), (False, STRAY)):
            with self.subTest(state):
                self.me.gate.acquire.side_effect = [KeyboardInterrupt, has_turn]
                with self.assertRaises(KeyboardInterrupt):
                    self.baton.park(self.me)
                self.assertEqual((self.me.state, self.me.token), (state, not has_turn))

    def test_the_end_of_the_world(self):
        """Nobody is looked for in a world that has ended since, and no wait ends for want of patience."""
        baton, me = self.baton, self.me

        class Ends(contextlib.nullcontext):
            def __enter__(self):
                baton.over = True

        baton._section = Ends()
        me.state, me.patience = WAITING, -1.0
        me.gate.acquire.return_value = False
        baton.park(me)
        self.assertEqual((me.state, me.timed_out, list(baton.ready)), (WAITING, False, []))

    def test_a_main_thread_that_waits(self):
        """It brings nothing where it waits for all this to end, and has not moved since the last look."""
        others = mock.patch.object(threading, "enumerate", return_value=[threading.main_thread()])
        rests = mock.patch.object(self.baton, "_is_at_rest", return_value=True)
        for moved, expected in ((("here", "here"), [True, False]), (("here", "there"), [True, True])):
            self.baton._main_stood = None
            with others, rests, mock.patch.object(patience, "asleep", side_effect=moved):
                self.assertEqual([self.baton.has_strangers() for _ in moved], expected)

    def test_a_short_look_at_one_that_was_blind(self):
        """One that was blind before is so again when two looks find it at the same rest in a call that waits."""
        still = [(1, 1)] * 9
        for waits, rests, state in ((True, still, BLIND), (True, [(1, 1), (1, 2)], RUNNING),
                                    (True, [None, None], RUNNING), (False, [], RUNNING)):
            with self.subTest(waits=waits, rests=rests):
                runner = self.baton.new_record("runner")
                runner.begin()
                runner.state, runner.was_blind, self.baton.running = RUNNING, True, runner
                self.me.gate.acquire.side_effect = [False, True]
                with mock.patch.object(patience, "waits", return_value=waits), \
                        mock.patch.object(patience, "asleep", side_effect=rests):
                    self.baton.park(self.me)
                self.assertEqual((runner.state, runner in self.baton.blind), (state, state == BLIND))
                self.assertIs(self.baton.running, None if state == BLIND else runner)

    def test_one_that_waits_for_the_look_to_end(self):
        """One that wants to wake another meanwhile has to wait until the look is over: it is neither late nor blind."""
        runner = self.baton.new_record("runner")

        def wakes():
            runner.begin()
            self.baton.wake((self.me, self.me.token))

        thread = threading.Thread(target=wakes)
        with self.baton._section:
            thread.start()
            while not runner.native or resting([runner.native]) is None:
                NAP(0.001)
            runner.state, self.baton.running, self.baton.since = RUNNING, runner, -1.0
            self.baton.ready.append(self.me)
            for was_blind in (False, True):
                runner.was_blind = was_blind
                for _ in range(5):
                    self.baton._look_around(self.me)
                self.assertIs(self.baton.running, runner)
            self.baton.running = None
            self.baton.strays[runner] = None
            self.baton._look_around(self.me)
            self.assertEqual((list(self.baton.strays), list(self.baton.blind)), ([runner], []))
        thread.join()

    def test_one_that_starts_a_thread(self):
        """One that waits until its new thread is there is not late, however long the machine takes for that."""
        runner = self.baton.new_record("runner")
        runner.begin()
        runner.state, self.baton.running, self.baton.since = RUNNING, runner, -1.0
        self.baton.ready.append(self.me)
        with mock.patch.object(patience, "waits", return_value=True), \
                mock.patch.object(patience, "asleep", return_value=(1, 1)):
            for real, still_runs in ((1, runner), (0, None)):
                runner.real = real
                for _ in range(5):
                    if self.baton.running is runner:
                        self.baton._look_around(self.me)
                self.assertIs(self.baton.running, still_runs)


KILL = signal.pthread_kill

if __name__ == "__main__":
    unittest.main()


class StandInTest(SolipsistTestCase):
    """In a plain test that has added programs its thread runs the loop while it waits."""

    real_time_limit = 30
    on_slow_callback = "ignore"

    def setUp(self):
        self.add_program("never", print)

    def leave(self):
        raise SystemExit("left")

    def test_turns(self):
        """The turn comes back where it belongs, whoever was in line before, and behind."""
        seen = []

        def first():
            time.sleep(1)
            self.loop.call_soon_threadsafe(seen.append, "callback")
            seen.append("thread")

        thread = threading.Thread(target=first)
        thread.start()
        threading.Thread(target=seen.append, args=("other",)).start()
        time.sleep(1)
        time.sleep(1)
        thread.join()
        self.assertEqual((seen, self.now), (["other", "thread", "callback"], 2))

    def test_a_loop_that_stops(self):
        """The wait goes on when something stops the loop."""
        self.loop.call_later(1, self.loop.stop)
        time.sleep(3)
        self.assertNow(3)

    def test_errors(self):
        """What comes out of the loop comes out of the wait; where that was over too, and where it was not."""
        for delay, after in ((1, 1), (3, 2)):
            self.loop.call_later(1, self.leave)
            with self.assertRaisesRegex(SystemExit, "left"):
                time.sleep(delay)
            time.sleep(after)
        self.assertNow(5)

    def test_a_callback_that_never_waits(self):
        """One that spins until a thread has run loses the turn, and goes on in the end."""
        event, seen = threading.Event(), []

        def spin():
            while not seen:
                pass

        self.loop.call_soon(spin)
        thread = threading.Thread(target=lambda: event.set() or seen.append("set"))
        thread.start()
        event.wait()
        thread.join()
        self.assertEqual(seen, ["set"])

    def test_an_error_of_one_that_has_lost_its_turn(self):
        """It is raised when who has the turn has come to a wait."""
        seen = []

        def spin():
            while not seen:
                pass
            self.leave()

        self.loop.call_soon(spin)
        thread = threading.Thread(target=lambda: seen.append("begun") or NAP(0.2) or seen.append("over"))
        thread.start()
        with self.assertRaises(SystemExit):
            time.sleep(1)
        thread.join()
        self.assertEqual(seen, ["begun", "over"])

    def test_circles(self):
        """Two threads that wait for each other are named as such, though the loop of one runs."""
        locks = threading.Lock(), threading.Lock()

        def other():
            with locks[1]:
                time.sleep(1)
                with locks[0]:
                    pass

        thread = threading.Thread(target=other, name="other")
        with self.assertRaisesRegex(SleepForeverError, "in a circle: MainThread -> other -> MainThread"), locks[0]:
            thread.start()
            time.sleep(1)
            with locks[1]:
                pass
        thread.join()
