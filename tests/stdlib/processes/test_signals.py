"""Module signal in a test; beside the real one it stands in tests/contracts/test_signals.py."""

import asyncio
import pdb
import signal
import threading
import types
import unittest

from solipsism_unittest import NotSimulatedError, SolipsismError, SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.stdlib.processes import signals
from tests.case.test_case import run, told

USR1, INT = signal.SIGUSR1, signal.SIGINT


class RefusalsTest(SolipsistTestCase):
    async def test_waits(self):
        """What would have to wait is refused, each in its way; what is not there names the cure."""
        with self.assertRaisesRegex(SolipsismError, r"^signal\.sigwait\(\) on no pending signal would block its"):
            signal.sigwait([USR1])
        for name, arguments in (("pause", ()), ("sigtimedwait", ([USR1], 1)), ("sigwaitinfo", ([USR1],))):
            with self.subTest(name), self.assertRaisesRegex(SolipsismError, rf"^signal\.{name}\(\) on no pending "):
                getattr(signal, name)(*arguments)
        self.assertIsNone(signal.sigtimedwait([USR1], 0))
        for which in (signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            with self.assertRaisesRegex(NotSimulatedError, "processor time is not simulated"):
                signal.setitimer(which, 1)

    def test_nobody_there(self):
        """Without a loop, a timer and another thread nothing could send one."""
        with self.assertRaisesRegex(SolipsismError, "no timer is set, and nobody else could send one"):
            signal.pause()

    async def test_other_targets(self):
        """A thread that is not of the test is the real one's."""
        for ident, other in ((threading.get_ident(), False), (12345, True)):
            self.assertIs(signals.is_other_thread(self.loop.world, (ident, USR1), {}), other)

    def test_debuggers(self):
        """A debugger's handler of Ctrl-C is the real process's."""
        frame = types.SimpleNamespace(f_code=None, f_globals={"__name__": pdb.__name__}, f_back=None)
        self.assertTrue(signals.is_real(frame))


def interrupted(factory):
    """What programs with a runner see of Ctrl-C."""
    facts = []

    def play(main, *, runs=1):
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                for number in range(runs):
                    try:
                        facts.append(runner.run(main(number)))
                    except KeyboardInterrupt as error:
                        facts.append(("KeyboardInterrupt", type(error.__context__).__name__))
                    facts.append(signal.getsignal(INT) is signal.default_int_handler)
        except Exception as error:
            facts.append((type(error).__name__, str(error)))

    async def plain(number):
        try:
            facts.append(signal.raise_signal(INT))
            facts.append(asyncio.current_task().cancelling())
            await asyncio.sleep(1)
        finally:
            facts.append("finally")

    async def swallows(number):
        try:
            signal.raise_signal(INT)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            return "swallowed"

    async def uncancels(number):
        try:
            signal.raise_signal(INT)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()
            return "uncancelled"

    async def converts(number):
        try:
            signal.raise_signal(INT)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            raise ValueError("converted") from None

    async def twice(number):
        try:
            signal.raise_signal(INT)
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            asyncio.get_running_loop().call_soon(signal.raise_signal, INT)
            await asyncio.sleep(1)

    async def second(number):
        if number == 1:
            signal.raise_signal(INT)
        await asyncio.sleep(0.001)
        return number

    async def own(number):
        signal.raise_signal(INT)
        await asyncio.sleep(0.001)
        return "went on"

    for main in (plain, swallows, uncancels, converts, twice):
        play(main)
    play(second, runs=3)
    former = signal.signal(INT, lambda *args: facts.append("own handler"))
    try:
        play(own)
    finally:
        signal.signal(INT, former)
    return facts


class CtrlCTest(unittest.TestCase):
    maxDiff = None

    def test_as_with_a_real_one(self):
        """A program's runner meets SIGINT in a test as it does for real, and the runner of tests does not."""
        found = []

        class Case(SolipsistTestCase):
            def test(self):
                found.append(interrupted(SolipsistEventLoop))

            async def test_again(self):
                """The suite goes on."""

        result = run(Case)
        self.assertEqual((told(result), result.testsRun), ("", 2))
        self.assertEqual(found, [interrupted(asyncio.SelectorEventLoop)])


if __name__ == "__main__":
    unittest.main()
