"""What is said of a run that fails: how few choices matter, in words, and the token that repeats it."""

import asyncio
import gc
import os
import re
import sys
import unittest
import warnings
from unittest import mock

from solipsism_unittest import ReplayPartedWarning, SolipsistTestCase, over_seeds
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.runs.exploration import exploration as module
from solipsism_unittest.runs.exploration import progress
from solipsism_unittest.runs.exploration.exploration import Exploration, check_version
from solipsism_unittest.runs.exploration.strategies import Strategy
from solipsism_unittest.runs.exploration.tokens import read_token
from tests.case.test_case import run, told
from tests.runs.exploration.test_progress import Terminal


def load_tests(loader, tests, pattern):
    """Only the tests of this file: the other classes fail on purpose."""
    return loader.loadTestsFromTestCase(FailureTest)


def token_in(text):
    """The token that a failure names, and the command behind it."""
    return re.search(r"^the same run again: SOLIPSISM_REPLAY=(\S+) (.*)$", text, re.MULTILINE).groups()


class Framing(SolipsistTestCase):
    """A server that takes what one read gives for a whole message."""

    lines = ()

    async def serve(self, reader, writer):
        while data := await reader.read(100):
            self.got.append(data)
        writer.close()

    @over_seeds(100)
    async def test_framing(self):
        self.got = []
        server = await asyncio.start_server(self.serve, "server.test", 80)
        _, writer = await asyncio.open_connection("server.test", 80)
        for line in self.lines:
            await asyncio.sleep(line)
        writer.write(b"hello, world")
        writer.close()
        await asyncio.sleep(10)
        server.close()
        self.assertEqual(self.got, [b"hello, world"])


class Mended(Framing):
    async def serve(self, reader, writer):
        self.got.append(await reader.read(-1))
        writer.write(b"thanks")
        writer.close()


class MendedQuietly(Framing):
    """What it does in the world is what it did before."""

    async def serve(self, reader, writer):
        self.got.append(await reader.read(-1))
        writer.close()


class Renamed(Framing):
    """The same, and something else happens before."""

    lines = (0.5,)


def replay(case, token):
    """What comes of a test where the environment asks for this run, with the warnings."""
    with mock.patch.dict(os.environ, {"SOLIPSISM_REPLAY": token}), warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = run(case)
    return result, [str(each.message) for each in seen if each.category is ReplayPartedWarning]


class FailureTest(unittest.TestCase):
    def test_words(self):
        """The failure has its own traceback, and says which choices matter."""
        text = told(run(Framing))
        self.assertIn("AssertionError: Lists differ: [b'", text)
        self.assertRegex(text, r"the plain run passes, and seed \d+ fails; 1 of \d+ choices matters:\n"
                               r"  at t=0 the read at tests/runs/exploration/test_exploration.py:\d+ in Framing.serve "
                               r"got \d+ of 12 bytes\n")
        token, command = token_in(text)
        self.assertEqual(command, f"python -m unittest {__name__}.Framing.test_framing")
        self.assertEqual(len(read_token(token).steps), 1)

    def test_distinct_runs_on_a_terminal(self):
        """Two runs are different where their journals are: by what was chosen, and not by how many choices there were.
        """
        class Waits(SolipsistTestCase):
            async def test(self):
                await asyncio.wait([asyncio.create_task(asyncio.sleep(0.1)) for _ in range(5)])

        def counted(strategy):
            terminal = Terminal()
            with mock.patch.object(sys, "stderr", terminal), mock.patch.object(progress, "PAUSE", 0):
                self.assertIsNone(Exploration(Waits("test"), plain).search(strategy))
            return int(re.findall(r"([0-9]+) different", terminal.getvalue())[-1])

        plain, _ = Exploration(Waits("test")).run(Fixed())
        seen = {}
        for seed in range(1, 60):
            alone = Exploration(Waits("test"), plain)
            explorer, _ = alone.run(alone.plan(seed), wants_digest=True)
            seen.setdefault(explorer.digest, tuple(explorer.counts))
        self.assertGreater(len(seen), len({*seen.values()}))
        self.assertEqual(counted(Strategy(range(60))), len(seen))
        self.assertGreater(counted(Strategy(range(100), exhaustive=1)), len({*seen.values()}))
        self.assertEqual(plain.digest, "")  # nobody asked for it

    def test_replay(self):
        """The token repeats exactly this run, and no other: one test, once."""
        text = told(run(Framing))
        result, parted = replay(Framing, token_in(text)[0])
        again = told(result)
        self.assertEqual((result.testsRun, len(result.failures), parted), (1, 1, []))
        self.assertEqual(again.splitlines()[-1].strip(), re.search("at t=0 the read at .*", text)[0])
        self.assertEqual(re.search("Lists differ.*", again)[0], re.search("Lists differ.*", text)[0])

    def test_replay_of_changed_code(self):
        """A run that goes another way says where it left the recorded one, whether it fails or passes."""
        token, _ = token_in(told(run(Framing)))
        for case, fails in ((Renamed, True), (Mended, False)):
            case = type("Framing", (case,), {"__module__": __name__, "__qualname__": "Framing"})
            result, parted = replay(case, token)
            said = told(result) if fails else parted[0]
            self.assertEqual((len(result.failures), len(parted)), (int(fails), int(not fails)))
            self.assertRegex(said, "the run is not the recorded one any more: (choice 1 of 1|something else)")
        self.assertIn("It passes, which need not mean that the error is gone", parted[0])

    def test_replay_of_mended_code(self):
        """A run that goes the recorded way to its end, and passes, passes without a word."""
        token, _ = token_in(told(run(Framing)))
        case = type("Framing", (MendedQuietly,), {"__module__": __name__, "__qualname__": "Framing"})
        result, parted = replay(case, token)
        self.assertEqual((result.testsRun, told(result), parted), (1, "", []))

    def test_replay_of_another_test(self):
        """Tests that the token is not for run as they are."""
        token, _ = token_in(told(run(Framing)))
        result, parted = replay(Mended, token)
        self.assertEqual((result.testsRun, told(result), parted), (1, "", []))

    def test_replay_of_a_wrong_token(self):
        """A token that is none, or of another Python, is an error of each test."""
        token, _ = token_in(told(run(Framing)))
        result, _ = replay(Framing, token[:-3])
        self.assertIn("is no token of a run", told(result))
        self.assertEqual((result.testsRun, len(result.errors)), (1, 1))
        with self.assertRaisesRegex(Exception, r"the token was written by Python 3.\d+, and this is 3.99"):
            check_version(read_token(token), 99)

    def test_what_is_kept_from_run_to_run(self):
        """A test that fails whenever it runs again is told apart from one that the choices make fail."""
        seen = []

        @over_seeds(5)
        async def test(self):
            seen.append(1)
            self.assertEqual(len(seen), 1)

        text = told(run(type("Some", (SolipsistTestCase,), {"test": test})))
        self.assertIn("the first run of the test passes, and a later one fails so without any stall or delay: the "
                      "test, or what it tests, keeps something from run to run", text)
        self.assertNotIn("SOLIPSISM_REPLAY", text)

    def test_memory(self):
        """Many runs leave no objects behind, nor worlds that wait for the garbage collector."""
        async def test(self):
            server = await self.start_fake_server(None, "server.test", 80)
            _, writer = await asyncio.open_connection("server.test", 80)
            writer.close()
            self.assertEqual(server.received, b"")

        exploration = Exploration(type("Some", (SolipsistTestCase,), {"test": test})("test"))
        counts = []
        self.enterContext(mock.patch.object(module, "RUNS_BETWEEN_COLLECTIONS", 50))
        for _ in range(3):
            for _ in range(50):
                exploration.run(Fixed())
            counts.append(len(gc.get_objects()))
        self.assertLess(counts[2] - counts[1], 500)
        exploration.run(Fixed())
        with mock.patch.object(gc, "isenabled", lambda: False), mock.patch.object(gc, "collect") as collect:
            for _ in range(50):
                exploration.run(Fixed())
        self.assertNotIn(mock.call(), collect.mock_calls)

    def test_what_does_not_fail_again(self):
        """A failure that the same choices do not repeat says so."""
        seen = []

        @over_seeds(5)
        async def test(self):
            seen.append(1)
            self.assertNotEqual(len(seen), 3)

        text = told(run(type("Some", (SolipsistTestCase,), {"test": test})))
        self.assertIn("the same choices do not fail again, so that something else decides too: real time, ", text)


if __name__ == "__main__":
    unittest.main()
