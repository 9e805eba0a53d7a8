"""Tokens: a run as a short text, which is read back as it was, or refused."""

import random
import sys
import unittest

from solipsism_unittest import SolipsismError
from solipsism_unittest.kernel.choices.explorer import Deviation
from solipsism_unittest.kernel.choices.kinds import NAMES
from solipsism_unittest.runs.exploration.tokens import PREFIX, Step, Token, name_bits, read_token, token_of

STEPS = (Step(0, 3, 17, 0xBEEF), Step(2, 0, 5, 0), Step(0, 1, 1, 0xFFFF), Step(8, 2**40, 2**33, 1))


def made(*steps):
    return [Deviation(step.kind, step.number, step.value, 99, step.check, "") for step in steps]


class TokenTest(unittest.TestCase):
    def test_read_back(self):
        """What is read is what was written, whatever the numbers."""
        chance = random.Random(0)
        for _ in range(200):
            steps = tuple(Step(chance.randrange(len(NAMES)), chance.randrange(10 ** chance.randrange(1, 9)),
                               chance.randrange(10 ** chance.randrange(1, 9)), chance.randrange(2**16))
                          for _ in range(chance.randrange(9)))
            token = Token(13, chance.randrange(2**16), chance.choice([0, 1, -1, -5, 2**64, -2**70, 1184750719]), steps,
                          chance.randrange(2**32))
            self.assertEqual(read_token(str(token)), token)

    def test_short(self):
        """Two choices make a text that can be typed, and no character of it means anything to a shell."""
        text = str(token_of("tests.test_client.ClientTest.test_it", 2882400001, made(*STEPS[:2]), 5))
        self.assertLess(len(text), 45)
        self.assertRegex(text, "^s1-[A-Za-z0-9_-]+$")

    def test_what_it_holds(self):
        """The version, the test, the seed, the choices in the order in which they were made."""
        token = token_of("a.b", -7, made(*STEPS), 9)
        self.assertEqual(token, (sys.version_info.minor, name_bits("a.b"), -7, STEPS, 9))
        self.assertEqual(token.values, {(0, 3): 17, (2, 0): 5, (0, 1): 1, (8, 2**40): 2**33})
        self.assertNotEqual(name_bits("a.b"), name_bits("a.c"))

    def test_refused(self):
        """What is no token, or only a part of one, is refused with what to do."""
        whole = str(token_of("a.b", 5, made(*STEPS), 9))
        for bad in ("", "x", PREFIX, PREFIX + "!", whole[:-1], whole[:-4], whole + "AAAA", whole[3:], whole + "\n"):
            with self.assertRaisesRegex(SolipsismError, "is no token of a run: take all of what a failed test has"):
                read_token(bad)

    def test_parted(self):
        """It says at which choice another run went another way, or that it did so behind the last one."""
        token = token_of("a.b", 5, made(*STEPS[:3]), 9)
        self.assertEqual(token.parted(made(*STEPS[:3]), 9), "")
        self.assertEqual(token.parted(made(STEPS[2], STEPS[0], STEPS[1]), 9), "")
        self.assertEqual(token.parted(made(*STEPS[:3]), 8), "something else happened after its last choice")
        self.assertEqual(token.parted(made(*STEPS[1:3]), 9), "choice 1 of 3 (stall 3) was not met again")
        self.assertEqual(token.parted(made(STEPS[0], STEPS[1]._replace(check=7), STEPS[2]), 9),
                         "choice 2 of 3 (packet 0) was met at another time, or after something else had happened")


if __name__ == "__main__":
    unittest.main()
