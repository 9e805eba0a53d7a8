"""Failures that are held back until the end of a test, and errors as notes on them."""

import asyncio
import functools
import sys
import unittest

from solipsism_unittest import Script, SolipsistTestCase
from solipsism_unittest.case import results
from solipsism_unittest.introspection import exceptions


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


class LeftTest(unittest.TestCase):
    def test_renewed(self):
        """Evidence is written again with the notes that came later, and its note goes before the next test."""
        error = ValueError("x")
        results.renew_evidence(error)
        note, seen = results.Left("evidence: x"), []
        note.renew = lambda: seen.append(len(error.__notes__))
        for each in (note, results.Note("ours"), "a program's"):
            error.add_note(each)
        results.renew_evidence(error)
        self.assertEqual(seen, [3])
        results.forget_notes([error])
        self.assertEqual(error.__notes__, ["a program's"])


class LineTest(unittest.TestCase):
    def lines(self, case):
        """What a runner is given of the one failure of a class: where each line of it is, and whether who hides it."""
        class Result(unittest.TestResult):
            def addError(self, test, err):
                kept.append(err)

            addFailure = addError  # noqa: N815

        kept = []
        loader = unittest.defaultTestLoader
        unittest.TestSuite([loader.loadTestsFromTestCase(case)]).run(Result())
        (_, error, trace), = kept
        self.text = "".join(unittest.TestResult()._exc_info_to_string((type(error), error, trace), self))
        return [(line.tb_frame.f_code.co_filename, line.tb_lineno, line.tb_frame.f_code.co_qualname)
                for line in exceptions.lines_of(trace)
                if not {**line.tb_frame.f_globals, **line.tb_frame.f_locals}.get("__tracebackhide__")]

    def test_a_leak(self):
        """A failure without a line of the program stands at the first line of its test; unittest does not print it."""
        async def leaky(self):
            self.loop.call_later(5, print)

        def decorated(self):
            return leaky(self)

        decorated = functools.wraps(leaky)(decorated)
        here = __file__, leaky.__code__.co_firstlineno, leaky.__qualname__
        for body in (leaky, decorated, functools.partialmethod(leaky)):
            with self.subTest(body):
                self.assertEqual(self.lines(type("Case", (SolipsistTestCase,), {"test": body})), [here])
                self.assertRegex(self.text, r"^AssertionError: the test left 1 thing behind")

    def test_a_cause(self):
        """So does an error that is only the cause of the failure, as that of a script."""
        async def body(self):
            await self.start_fake_server(None, "api.test", 80, script=Script().expect(b"HELO"))
            _, writer = await asyncio.open_connection("api.test", 80)
            writer.write(b"EHLO")
            writer.close()
            await asyncio.sleep(1)
            self.fail("on purpose")

        kept = []
        case = type("Case", (SolipsistTestCase,), {"test": body})("test")
        result = unittest.TestResult()
        result.addFailure = lambda test, err: kept.append(err[1])
        case.run(result)
        (failure,) = kept
        shown = [(line.tb_frame.f_code.co_qualname, line.tb_lineno)
                 for line in exceptions.lines_of(failure.__cause__.__traceback__)]
        self.assertEqual(shown, [(body.__qualname__, body.__code__.co_firstlineno)])

    def test_a_test_without_code(self):
        """Where the test has no line of its own, nothing is shown and nothing breaks."""
        async def leak():
            asyncio.get_running_loop().call_later(5, print)

        class Call:
            def __call__(self):
                return leak()

        self.assertEqual(self.lines(type("Case", (SolipsistTestCase,), {"test": Call()})), [])
        self.assertIn("the test left 1 thing behind", self.text)

    def test_what_a_class_leaves(self):
        """What the fixtures of a class leave stands at the first function of the class."""
        class Case(SolipsistTestCase):
            loop_scope = "class"
            number = 1

            @classmethod
            async def asyncSetUpClass(cls):
                asyncio.get_running_loop().call_later(5, print)

            async def test(self):
                await asyncio.sleep(0)

        code = Case.asyncSetUpClass.__code__
        shown = [line for line in self.lines(Case) if line[0] == __file__]
        self.assertEqual(shown, [(__file__, code.co_firstlineno, code.co_qualname)])
        self.assertRegex(self.text, r"AssertionError: the class left 1 thing behind")

    def test_an_error_of_the_program(self):
        """An error that has a line of the program keeps its own lines, and a hang that of the awaiting one."""
        async def fails(self):
            raise LookupError("on purpose")

        async def hangs(self):
            await asyncio.Event().wait()

        for body in (fails, hangs):
            with self.subTest(body.__name__):
                line = self.lines(type("Case", (SolipsistTestCase,), {"test": body}))[0]
                self.assertEqual(line, (__file__, body.__code__.co_firstlineno + 1, body.__qualname__))

    def test_what_it_came_of(self):
        """Causes and contexts of the failure stay what they are."""
        async def fail():
            raise LookupError("on purpose")

        async def body(self):
            self.task = asyncio.create_task(fail())
            await asyncio.sleep(1)

        self.assertEqual(len(self.lines(type("Case", (SolipsistTestCase,), {"test": body}))), 1)
        self.assertRegex(self.text, "(?s)^Traceback .*LookupError: on purpose\n\nThe above exception was the direct "
                                    "cause of the following exception:\n\nAssertionError: 1 error went by unseen")


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
