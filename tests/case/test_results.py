"""Failures that are held back until the end of a test, and errors as notes on them."""

import sys
import unittest

from solipsism_unittest.case import results


def failure(error):
    """An exception as unittest hands it on."""
    try:
        raise error
    except BaseException:
        return sys.exc_info()


class HeldResultTest(unittest.TestCase):
    def test_order(self):
        """What is held is handed on in its order at release(), once, and all else goes through at once."""
        inner = unittest.TestResult()
        held = results.HeldResult(inner)
        errors = ValueError(1), AssertionError(2), AssertionError(3)
        held.addError(self, failure(errors[0]))
        held.addFailure(self, failure(errors[1]))
        held.addSubTest(self, self, failure(errors[2]))
        held.addSubTest(self, self, None)
        held.addSkip(self, "not today")
        self.assertEqual((inner.errors, inner.failures, len(inner.skipped)), ([], [], 1))
        self.assertEqual(held.errors(), list(errors))
        for _ in range(2):
            held.release()
            self.assertEqual((len(inner.errors), len(inner.failures)), (1, 2))

    def test_notes_that_come_late(self):
        """A note that an exception gets while it is held is told."""
        inner = unittest.TestResult()
        held = results.HeldResult(inner)
        held.addError(self, failure(ValueError("x")))
        held.errors()[0].add_note("came late")
        held.release()
        self.assertIn("came late", inner.errors[0][1])


class NoteTest(unittest.TestCase):
    def test_notes(self):
        """An error without a traceback is told by its text, its notes and its cause, one with a traceback whole."""
        error = ValueError("lost")
        error.add_note("a note")
        error.__cause__ = failure(KeyError("why"))[1]
        text = results.as_note(error)
        self.assertRegex(text, r"(?s)^also: lost\na note\nalso: Traceback .*test_results\.py.*KeyError: 'why'$")
        text = results.as_note(failure(ValueError("raised"))[1])
        self.assertRegex(text, r"(?s)^also: Traceback .*ValueError: raised$")


if __name__ == "__main__":
    unittest.main()
