"""Tests for the judge to judge: not CPython's, and not run by `python -m unittest`."""

import asyncio
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
import unittest

from solipsism_unittest import SolipsistEventLoop

REAL = {"exit": os._exit}  # in a world, the name in module os ends a program, never the runner


class Asking(unittest.TestCase):
    def setUp(self):
        self.loop = asyncio.new_event_loop()
        self.addCleanup(self.loop.close)
        self.virtual = isinstance(self.loop, SolipsistEventLoop)

    def test_passes(self):
        self.loop.run_until_complete(asyncio.sleep(0.001))

    def test_a_long_sleep(self):
        self.loop.run_until_complete(asyncio.sleep(100 if self.virtual else 0))

    def test_fails_on_ours(self):
        self.assertFalse(self.virtual, "ours")

    def test_fails_on_ours_in_a_subtest(self):
        for number in range(2):
            with self.subTest(number=number):
                self.assertFalse(self.virtual and number)

    def test_fails_on_both(self):
        self.fails()

    def test_skips(self):
        self.skipTest("no reason")

    def test_hangs_on_ours(self):
        while self.virtual:
            time.sleep(0.01)

    def test_kills_its_process_on_ours(self):
        if self.virtual:
            REAL["exit"](3)

    def test_starts_a_thread(self):
        threading.Thread(target=int).start()

    def test_uses_an_executor(self):
        self.loop.run_until_complete(self.loop.run_in_executor(None, int))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())

    def test_makes_a_pipe(self):
        for end in os.pipe():
            os.close(end)

    def test_makes_a_terminal(self):
        for end in os.openpty():
            os.close(end)

    def test_sends_a_signal(self):
        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.raise_signal(signal.SIGUSR1)
        signal.signal(signal.SIGUSR1, before)

    def test_starts_a_process_by_asyncio(self):
        async def main():
            code = "import sys; print(sys.stdin.read())"
            process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdin=-1, stdout=-1)
            self.assertEqual(await process.communicate(b"in"), (b"in\n", None))

        self.loop.run_until_complete(main())

    def test_starts_a_process(self):
        subprocess.run([sys.executable, "-c", ""])


class AskingByName(unittest.TestCase):
    def test_the_default_selector(self):
        asyncio.SelectorEventLoop(selectors.DefaultSelector()).close()

    def test_another_selector(self):
        asyncio.SelectorEventLoop(selectors.SelectSelector()).close()

    def test_the_policy(self):
        asyncio.get_event_loop_policy().new_event_loop().close()

    def test_a_runner(self):
        self.assertEqual(asyncio.run(asyncio.sleep(0, "x")), "x")


class AskingAsync(unittest.IsolatedAsyncioTestCase):
    async def test_passes(self):
        await asyncio.sleep(0)


class NotAsking(unittest.TestCase):
    def test_passes(self):
        self.assertTrue(asyncio)
