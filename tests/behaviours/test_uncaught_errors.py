"""Errors that nobody caught: expected with assertLoopException, and told where nobody expects them."""

import asyncio
import re
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


async def fail(error=None, after=0):
    """A task that ends with an error."""
    await asyncio.sleep(after)
    raise error or ValueError("on purpose")


def raises(error=None):
    """A callback that fails."""
    raise error or ValueError("on purpose")


def outcome(body, **attributes):
    """What is told of a test with this body."""
    return told(run(type("Case", (SolipsistTestCase,), {"test": body, "__module__": __name__, **attributes})))


class ExpectedTest(unittest.TestCase):
    def test_what_it_takes(self):
        """An error of a callback, of a task that is collected, and of one that is not; each by type and by text."""

        async def test(self):
            with self.assertLoopException(ValueError, "purp"):
                self.loop.call_soon(raises)
                await asyncio.sleep(0)
            with self.assertLoopException((KeyError, ValueError)) as caught:
                self.task = asyncio.create_task(fail())
                await asyncio.sleep(1)
            self.assertEqual(str(caught.exception), "on purpose")
            with self.assertLoopException(Exception, re.compile("PURPOSE", re.IGNORECASE)):
                asyncio.create_task(fail())  # noqa: RUF006
                await self.advance(1)
            with self.assertLoopException(ValueError):
                self.loop.call_exception_handler({"message": "of a library", "exception": ValueError()})
            self.assertIs(self.loop.get_exception_handler(), None)

        with self.assertNoLogs("asyncio"):
            self.assertEqual(outcome(test), "")

    def test_one_each(self):
        """Each statement takes one error; the next one of the same kind fails the test."""

        async def test(self):
            with self.assertLoopException(ValueError):
                self.loop.call_soon(raises)
                self.loop.call_soon(raises)
                await asyncio.sleep(0)

        with self.assertLogs("asyncio"):
            self.assertIn("1 error that nobody caught", outcome(test))

        async def nested(self):
            with self.assertLoopException(ValueError) as outer, self.assertLoopException(ValueError, "2") as inner:
                for number in (1, 2):
                    self.loop.call_soon(raises, ValueError(number))
                await asyncio.sleep(0)
            self.assertEqual((outer.exception.args, inner.exception.args), ((1,), (2,)))

        self.assertEqual(outcome(nested), "")

    def test_what_does_not_come(self):
        """Where none comes the assertion fails, says what came instead, and what to do."""

        async def test(self):
            with self.assertLoopException(ValueError, "other"):
                self.loop.call_soon(raises)
                self.task = asyncio.create_task(fail(KeyError("key")), name="worker")
                await asyncio.sleep(0)
                await asyncio.sleep(0)

        with self.assertLogs("asyncio"):
            text = outcome(test)
        self.assertRegex(text, "no ValueError with a text that 'other' is found in reached the loop's exception "
                               "handler; those that did:\n  callback raises .* ValueError.*\n  worker .* KeyError")
        self.assertIn("await self.settle()", text)

        async def nothing(self):
            with self.assertLoopException((KeyError, ValueError)):
                self.loop.call_soon(str)

        self.assertIn("no KeyError or ValueError reached the loop's exception handler; those that did: none",
                      outcome(nothing))

    def test_what_the_block_raises(self):
        """An error out of the block passes through, and is not what is expected."""

        async def test(self):
            with self.assertLoopException(ValueError):
                raise KeyError("through")

        self.assertEqual(outcome(test).splitlines()[-1], "KeyError: 'through'")

    def test_a_programs_own_handler(self):
        """A handler that the program sets is told of an expected error too."""
        seen = []

        async def test(self):
            self.loop.set_exception_handler(lambda loop, context: seen.append(context["message"]))
            with self.assertLoopException(ValueError):
                self.loop.call_soon(raises)
                await asyncio.sleep(0)

        self.assertEqual((outcome(test), len(seen)), ("", 1))

    def test_in_a_plain_test(self):
        """It works where the loop is run by hand."""

        def test(self):
            with self.assertLoopException(ValueError, "on purpose"):
                self.loop.run_until_complete(asyncio.wait([self.loop.create_task(fail())]))

        self.assertEqual(outcome(test), "")

    def test_never_entered(self):
        """One that is made and not entered fails the test."""

        async def test(self):
            self.assertLoopException(ValueError)

        self.assertRegex(outcome(test), r"assertLoopException\(\) at .* was never entered with `with`")

    def test_bad_arguments(self):
        """What is no exception class or no pattern is refused at once."""

        async def test(self):
            for wrong in (5, (), ("x",), ValueError(), int):
                with self.assertRaisesRegex(TypeError, "takes an exception class or a tuple of them"):
                    self.assertLoopException(wrong)
            with self.assertRaisesRegex(TypeError, "takes a regular expression for the text, not 5"):
                self.assertLoopException(ValueError, 5)

        self.assertEqual(outcome(test), "")

    def test_without_a_virtual_world(self):
        """On another loop it says what it needs."""

        async def test(self):
            with self.assertLoopException(ValueError):
                pass

        self.assertIn("assertLoopException() needs the virtual world",
                      outcome(test, loop_factory=asyncio.SelectorEventLoop))


class UnexpectedTest(unittest.TestCase):
    def test_words(self):
        """An error is told by who raised it, or by its message where nobody did."""

        async def test(self):
            self.loop.call_exception_handler({"message": "of a library"})
            self.loop.call_exception_handler({})
            context = {"message": "lost!", "task": asyncio.current_task(), "exception": OSError()}
            self.loop.call_exception_handler(context)
            await asyncio.sleep(0)

        with self.assertLogs("asyncio"):
            text = outcome(test)
        self.assertIn("3 errors that nobody caught", text)
        self.assertIn("    of a library\n", text)
        self.assertIn("    an error without a message\n", text)
        self.assertRegex(text, r"lost: Task-1 \(.*test\) raised OSError\(\)\n")

    def test_a_future_that_is_gone(self):
        """A future with an error that nobody read, collected as garbage, is told in plain words."""

        async def test(self):
            self.loop.create_future().set_exception(ValueError("on purpose"))
            await asyncio.sleep(0)

        with self.assertLogs("asyncio"):
            text = outcome(test)
        self.assertIn("1 task exception never read\n    a future raised ValueError('on purpose'): await the future, or "
                      "ask for its exception()", text)
        self.assertNotIn("no line of yours", text)

    def test_cancellation_is_no_error(self):
        """asyncio's own complaint that something was cancelled is none."""

        async def test(self):
            self.loop.call_exception_handler({"message": "x", "exception": asyncio.CancelledError()})
            await asyncio.sleep(0)

        with self.assertNoLogs("asyncio"):
            self.assertEqual(outcome(test), "")

    def test_a_handler_that_fails(self):
        """A program's own handler that fails is told of: with its error, not with the one that it was to take."""

        async def test(self):
            def handler(loop, context):
                raise KeyError("in the handler")

            self.loop.set_exception_handler(handler)
            self.loop.call_soon(raises)
            await asyncio.sleep(0)

        with self.assertLogs("asyncio"):
            text = outcome(test)
        self.assertIn("1 error that nobody caught\n    Unhandled error in exception handler: KeyError", text)

    def test_the_next_test_is_not_told(self):
        """What one test did not read is not told in the next one, nor on stderr when it is collected."""

        class Case(SolipsistTestCase):
            async def test_a(self):
                self.task = asyncio.create_task(fail())
                self.task.itself = self.task
                await asyncio.sleep(0)

            async def test_b(self):
                await asyncio.sleep(1)

        with self.assertNoLogs("asyncio"):
            result = run(Case)
            self.assertEqual((result.testsRun, len(result.failures), len(result.errors)), (2, 1, 0))

    def test_what_ending_leftovers_brings(self):
        """A task that answers its cancellation at the end with an error is told as left, and no more."""

        async def test(self):
            async def stubborn():
                try:
                    await asyncio.sleep(100)
                finally:
                    raise ValueError("in finally")

            self.task = asyncio.create_task(stubborn())
            await asyncio.sleep(0)

        text = outcome(test)
        self.assertIn("1 pending task", text)
        self.assertNotIn("in finally", text)


if __name__ == "__main__":
    unittest.main()
