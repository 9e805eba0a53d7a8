"""An exception and all that is printed with it."""

import unittest

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.introspection import exceptions


class PartsTest(unittest.TestCase):
    def test_causes_contexts_and_groups(self):
        """Causes, contexts and the members of groups belong to an exception, each once, and circles end."""
        cause, context, member, other = ValueError(1), ValueError(2), ValueError(3), ValueError(4)
        error = ExceptionGroup("all", [member])
        error.__cause__ = cause
        cause.__context__, context.__context__ = context, error
        found = list(exceptions.parts([error, None, cause, other]))
        self.assertEqual(set(map(id, found)), set(map(id, (error, cause, context, member, other))))
        self.assertEqual(len(found), 5)
        self.assertEqual(exceptions.ids([other]), {id(other)})
        self.assertEqual(exceptions.ids([]), set())

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
                self.assertNotIn(hidden, list(exceptions.parts([error])))
                self.assertIn(hidden, list(exceptions.parts([error], hidden=True)))


class TracebackTest(unittest.TestCase):
    def test_there_and_back(self):
        """A traceback is taken apart into its lines, and made of some of them, without touching the old one."""

        def inner():
            raise ValueError

        try:
            inner()
        except ValueError as error:
            trace = error.__traceback__
        lines = exceptions.lines_of(trace)
        self.assertEqual([line.tb_frame.f_code.co_name for line in lines], ["test_there_and_back", "inner"])
        last = exceptions.trace_of(lines[1:])
        self.assertEqual((last.tb_frame, last.tb_lineno, last.tb_next), (lines[1].tb_frame, lines[1].tb_lineno, None))
        self.assertEqual(len(exceptions.lines_of(trace)), 2)
        self.assertEqual((exceptions.lines_of(None), exceptions.trace_of([])), ([], None))


class AwaitingLineTest(unittest.TestCase):
    def test_what_is_no_task_has_no_line(self):
        """A future has no awaiting line."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        self.assertIsNone(exceptions.awaiting_line(loop.create_future()))


if __name__ == "__main__":
    unittest.main()
