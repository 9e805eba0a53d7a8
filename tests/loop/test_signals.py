"""Handlers of signals on the loop; what they do beside real ones stands in tests/contracts/test_signals.py."""

import asyncio
import signal
import unittest

from solipsism_unittest import SleepForeverError, SolipsistEventLoop, SolipsistTestCase
from tests.case.test_case import run, told

TERM = signal.SIGTERM


class DrainingTest(SolipsistTestCase):
    async def test_a_server_that_drains(self):
        """A program that is told to stop finishes what it does, within its time."""
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(TERM, stopping.set)

        async def serve():
            working = asyncio.create_task(asyncio.sleep(20, "done"))
            await stopping.wait()
            async with asyncio.timeout(30):
                return await working

        serving = asyncio.create_task(serve())
        await asyncio.sleep(5)
        self.send_signal(TERM)
        self.assertEqual(await self.assertCompletesAfter(serving, 15), "done")

    def test_a_wait_for_nothing(self):
        """A program that waits for a signal which nobody sends hangs, and is told so."""

        class Case(SolipsistTestCase):
            async def test(self):
                event = asyncio.Event()
                asyncio.get_running_loop().add_signal_handler(TERM, event.set)
                await event.wait()

        self.assertIn("SleepForeverError: nothing can wake the program", told(run(Case)))


class LoopTest(unittest.TestCase):
    def test_before_and_after_a_run(self):
        """Handlers may be set on a loop that does not run; closing takes them away, and the real process has none."""
        before = signal.getsignal(TERM)
        loop, seen = SolipsistEventLoop(), []
        loop.add_signal_handler(TERM, seen.append, "came")

        async def main():
            signal.raise_signal(TERM)
            await asyncio.sleep(1)

        loop.run_until_complete(main())
        self.assertEqual((seen, signal.getsignal(TERM)), (["came"], before))
        loop.close()
        self.assertFalse(loop.remove_signal_handler(TERM))
        with self.assertRaisesRegex(RuntimeError, "Event loop is closed"):
            loop.add_signal_handler(TERM, print)
        self.assertEqual(signal.getsignal(TERM), before)

    def test_a_loop_that_cannot_close(self):
        """A loop that is running keeps its handlers when it is closed in vain."""
        loop, seen = SolipsistEventLoop(), []
        self.addCleanup(loop.close)

        async def main():
            loop.add_signal_handler(TERM, seen.append, "came")
            with self.assertRaises(RuntimeError):
                loop.close()
            signal.raise_signal(TERM)
            await asyncio.sleep(1)

        loop.run_until_complete(main())
        self.assertEqual(seen, ["came"])

    def test_the_journal(self):
        """The journal has each signal."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)

        async def main():
            loop.add_signal_handler(TERM, int)
            loop.add_signal_handler(signal.SIGALRM, int)
            signal.raise_signal(TERM)
            signal.alarm(1)
            await asyncio.sleep(2)

        loop.run_until_complete(main())
        facts = [record.facts for record in loop.kernel.journal if record.kind == "signal"]
        self.assertEqual((facts, {type(fact) for (fact,) in facts}), ([(15,), (14,)], {int}))
        self.assertEqual(len(loop.kernel.journal.digest), 32)

    def test_hang(self):
        """A bare loop that waits for a signal hangs as well."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.add_signal_handler(TERM, print)
        with self.assertRaises(SleepForeverError):
            loop.run_forever()


if __name__ == "__main__":
    unittest.main()
