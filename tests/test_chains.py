"""An exception and all that is printed with it."""

import unittest

from solipsism_unittest import chains


class PartsTest(unittest.TestCase):
    def test_causes_contexts_and_groups(self):
        """Causes, contexts and the members of groups belong to an exception, each once, and circles end."""
        cause, context, member, other = ValueError(1), ValueError(2), ValueError(3), ValueError(4)
        error = ExceptionGroup("all", [member])
        error.__cause__ = cause
        cause.__context__, context.__context__ = context, error
        found = list(chains.parts([error, None, cause, other]))
        self.assertEqual(set(map(id, found)), set(map(id, (error, cause, context, member, other))))
        self.assertEqual(len(found), 5)
        self.assertEqual(chains.ids([other]), {id(other)})
        self.assertEqual(chains.ids([]), set())

    def test_what_is_not_printed(self):
        """What `raise ... from ...` hides is found only where it is asked for."""
        for cause in (None, KeyError("cause")):
            try:
                try:
                    raise ValueError("hidden")
                except ValueError as error:
                    hidden = error
                    raise OSError from cause
            except OSError as error:
                self.assertNotIn(hidden, list(chains.parts([error])))
                self.assertIn(hidden, list(chains.parts([error], hidden=True)))


if __name__ == "__main__":
    unittest.main()
