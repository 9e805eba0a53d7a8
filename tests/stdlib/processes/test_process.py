"""The virtual process: what nobody handles, what it inherits, and the timer of SIGALRM."""

import asyncio
import contextlib
import os
import signal
import threading
import time
import unittest
from unittest import mock

from solipsism_unittest import EscapeError, SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.stdlib.processes.process import process_of
from tests.case.test_case import run, told

USR1, TERM, ALRM = signal.SIGUSR1, signal.SIGTERM, signal.SIGALRM


class UnhandledTest(SolipsistTestCase):
    async def test_what_would_end_the_runner(self):
        """A signal that nobody handles is an escape at the line that sends it, however it is sent."""
        for number, send, call in (
                (TERM, lambda: os.kill(os.getpid(), TERM), r"os\.kill\(own pid, "),
                (USR1, lambda: signal.raise_signal(USR1), r"signal\.raise_signal\("),
                (signal.SIGINT, lambda: self.send_signal(signal.SIGINT), r"send_signal\("),
                (USR1, lambda: signal.pthread_kill(threading.get_ident(), USR1), r"signal\.pthread_kill\(ident, "),
                (34, lambda: self.send_signal(34), r"send_signal\(")):
            name = number.name if isinstance(number, signal.Signals) else number
            with self.assertRaisesRegex(
                    EscapeError, rf"^{call}(SIGRTMIN|{name})\) would end the test runner \(tests/stdlib/.*\.py:\d+ in "
                                 r".*\)\n  nobody handles \w+: install a handler first$"):
                send()

    async def test_harmless_ones(self):
        """What no process notices is no error, and neither is what is ignored."""
        for name in ("SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGPIPE"):
            self.send_signal(getattr(signal, name))
        signal.signal(TERM, signal.SIG_IGN)
        self.send_signal(TERM)
        self.send_signal(0)

    def test_swallowed(self):
        """A program that swallows the escape fails its test all the same; the suite goes on."""

        class Case(SolipsistTestCase):
            def test_1(self):
                with contextlib.suppress(Exception):
                    signal.raise_signal(TERM)

            def test_2(self):
                self.assertEqual(signal.getsignal(TERM), signal.SIG_DFL)

        result = run(Case)
        self.assertIn("would end the test runner", told(result))
        self.assertEqual((result.testsRun, len(result.errors) + len(result.failures)), (2, 1))

    async def test_interrupt_main(self):
        """_thread.interrupt_main() does nothing where there is only the default."""
        import _thread

        seen = []
        _thread.interrupt_main(TERM)
        with self.assertRaisesRegex(EscapeError, r"_thread\.interrupt_main\(SIGINT\) would end the test runner"):
            _thread.interrupt_main()
        signal.signal(TERM, lambda signum, frame: seen.append(signum))
        _thread.interrupt_main(TERM)
        self.assertEqual(seen, [TERM])


class InheritedTest(unittest.TestCase):
    def test_a_timer_that_nobody_handles(self):
        """The alarm of a timer without a handler comes out of the wait in which it is due, with the line that set it.
        """

        class Case(SolipsistTestCase):
            async def test_alarm(self):
                signal.alarm(5)
                await asyncio.sleep(10)

            async def test_timer(self):
                signal.setitimer(signal.ITIMER_REAL, 5, 1)
                await asyncio.to_thread(time.sleep, 10)

            def test_spin(self):
                signal.setitimer(signal.ITIMER_REAL, 5)
                signal.pause()

        text = told(run(Case))
        for body in (Case.test_alarm, Case.test_timer, Case.test_spin):
            with self.subTest(body.__name__):
                self.assertIn("EscapeError: the timer of setitimer(SIGALRM) would end the test runner (set at "
                              f"tests/stdlib/processes/test_process.py:{body.__code__.co_firstlineno + 1} in "
                              f"{body.__qualname__})\n  nobody handles SIGALRM: install a handler first\n", text)

    def test_from_before_the_test(self):
        """What a program set when it was imported handles signals in tests; what the runner set does not."""
        seen = []
        self.addCleanup(signal.signal, USR1, signal.signal(USR1, lambda *args: seen.append(args[0])))

        class Case(SolipsistTestCase):
            async def test(self):
                self.send_signal(USR1)
                signal.signal(USR1, print)
                self.assertEqual(signal.getsignal(ALRM), signal.SIG_DFL)  # the framework's own limit

        self.assertEqual(told(run(Case)), "")
        self.assertEqual(seen, [USR1])
        self.assertIsNot(signal.getsignal(USR1), print)

    def test_let_out(self):
        """With allow_escape("signal"), and without a guard, it is the real process."""

        class Case(SolipsistTestCase):
            def test_let_out(self):
                with self.allow_escape("signal"):
                    self.assertTrue(callable(signal.getsignal(ALRM)))

        class Unguarded(SolipsistTestCase):
            hermetic = False

            def test(self):
                self.assertTrue(callable(signal.getsignal(ALRM)))
                with mock.patch("builtins.print"):
                    os.kill(os.getpid(), 0)

        for case in (Case, Unguarded):
            self.assertEqual(told(run(case)), "")

    def test_one_process_for_all_loops(self):
        """Loops that a program makes inside share the process of the outermost one; two tests do not."""
        outer = SolipsistEventLoop()
        self.addCleanup(outer.close)
        with sealed(outer):
            inner = SolipsistEventLoop()
            self.addCleanup(inner.close)
            with sealed(inner):
                innermost = SolipsistEventLoop()
                self.addCleanup(innermost.close)
        other = SolipsistEventLoop()
        self.addCleanup(other.close)
        self.assertIs(process_of(innermost.world), process_of(outer.world))
        self.assertIs(process_of(inner.world), process_of(outer.world))
        self.assertIsNot(process_of(other.world), process_of(outer.world))


class TimeTest(SolipsistTestCase):
    async def test_exactly(self):
        """The alarms of an interval come at exactly their times."""
        seen = []
        signal.signal(ALRM, lambda *args: seen.append(self.now))
        signal.setitimer(signal.ITIMER_REAL, 5, 3600)
        await asyncio.sleep(7206)
        self.assertEqual(seen, [5.0, 3605.0, 7205.0])
        self.assertEqual(signal.getitimer(signal.ITIMER_REAL), (3599.0, 3600.0))

    async def test_nothing_is_left(self):
        """A timer that is still set when the test ends is no leak, and ends with it."""
        signal.signal(ALRM, print)
        signal.setitimer(signal.ITIMER_REAL, 1000, 1000)

    async def test_a_full_descriptor(self):
        """A wakeup descriptor that takes nothing more, or is closed, is passed over."""
        one, other = self.socketpair(capacity=1)
        signal.signal(USR1, lambda *args: None)
        signal.set_wakeup_fd(one.fileno())
        for _ in range(3):
            self.send_signal(USR1)
        self.assertEqual(other.recv(10), bytes([USR1]))
        one.close()
        self.send_signal(USR1)

    async def test_a_handler_taken_away(self):
        """A signal whose handler is gone when its turn comes runs nothing."""
        signal.signal(USR1, lambda *args: signal.signal(TERM, signal.SIG_IGN))
        signal.signal(TERM, lambda *args: self.fail("it was taken away"))
        signal.pthread_sigmask(signal.SIG_BLOCK, [USR1, TERM])
        self.send_signal(TERM)
        self.send_signal(USR1)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


if __name__ == "__main__":
    unittest.main()
