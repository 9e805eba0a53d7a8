"""Assertions about what awaiting raises, and of what it warns."""

import asyncio
import unittest
import warnings

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


async def fail(error):
    """Raise it, a second later."""
    await asyncio.sleep(1)
    raise error


async def warn(*texts):
    """Warn with each of these texts, a second later."""
    await asyncio.sleep(1)
    for text in texts:
        warnings.warn(text, UserWarning, stacklevel=2)


class RaisedTest(SolipsistTestCase):
    async def test_raises(self):
        """It takes an awaitable and gives the error; time passes as it does."""
        error = LookupError("nothing")
        self.assertIs(await self.assertAsyncRaises(LookupError, fail(error)), error)
        self.assertIs(await self.assertAsyncRaises((OSError, LookupError), fail(error)), error)
        self.assertIs(await self.assertAsyncRaises(Exception, asyncio.ensure_future(fail(error))), error)
        self.assertIs(await self.assertAsyncRaisesRegex(LookupError, "^noth", fail(error)), error)
        self.assertNow(4)

    async def test_warns(self):
        """It gives the first warning that fits."""
        self.assertEqual(str(await self.assertAsyncWarns(UserWarning, warn("one", "two"))), "one")
        self.assertEqual(str(await self.assertAsyncWarnsRegex(UserWarning, "t.o", warn("one", "two"))), "two")
        self.assertEqual(str(await self.assertAsyncWarns((UserWarning, BytesWarning), warn("one"))), "one")

    async def test_another_error_passes(self):
        """An error of another kind is not caught."""
        with self.assertRaisesRegex(OSError, "broken"):
            await self.assertAsyncRaises(LookupError, fail(OSError("broken")))


class FailuresTest(unittest.TestCase):
    def check(self, words, test):
        """Such a test fails, with these words."""
        case = type("Case", (SolipsistTestCase,), {"test": test})
        result = run(case)
        self.assertRegex(told(result), words)
        self.assertEqual(len(result.failures), 1)

    def test_nothing_is_raised(self):
        """What raises nothing, or another text, is a failure."""

        async def test(self):
            await self.assertAsyncRaises(LookupError, asyncio.sleep(1))

        self.check("AssertionError: LookupError not raised", test)

        async def test(self):
            await self.assertAsyncRaisesRegex(LookupError, "some", fail(LookupError("nothing")))

        self.check('AssertionError: "some" does not match "nothing"', test)

    def test_no_warning(self):
        """What does not warn, or with another text, is a failure."""

        async def test(self):
            await self.assertAsyncWarns(UserWarning, asyncio.sleep(1))

        self.check("AssertionError: UserWarning not triggered", test)

        async def test(self):
            await self.assertAsyncWarnsRegex(UserWarning, "three", warn("one"))

        self.check('AssertionError: "three" does not match "one"', test)

    def test_never_awaited(self):
        """One that is called and not awaited fails its test."""

        async def test(self):
            self.assertAsyncRaises(LookupError, fail(LookupError()))

        self.check(r"assertAsyncRaises\(\) at tests/.+test_raised.py:\d+ .* was never awaited", test)

    def test_a_function(self):
        """A function where an awaitable is wanted is refused with the cure, and so is one without it."""

        class Case(SolipsistTestCase):
            async def test(self):
                await self.assertAsyncRaises(LookupError, fail)

        self.assertRegex(told(run(Case)), r"TypeError: assertAsyncRaises\(\) takes a coroutine or another awaitable, "
                                          r"not .*call it, as in self.assertAsyncRaises\(fail\(\), ")


if __name__ == "__main__":
    unittest.main()
