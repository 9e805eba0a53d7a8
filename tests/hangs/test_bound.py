"""A lock or queue of another test's loop: the failure says which test used it first."""

import asyncio
import contextlib
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


class BoundTest(unittest.TestCase):
    def test_who_used_it_first(self):
        """The test that waited first is named, word for word."""
        for kind, wait in ((asyncio.Event, "wait"), (asyncio.Queue, "get")):
            thing = kind()

            class Case(SolipsistTestCase):
                async def test(self, thing=thing, wait=wait):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(getattr(thing, wait)(), 1)

            with self.subTest(kind.__name__):
                self.assertEqual(told(run(Case)), "")
                self.assertIn(
                    "is bound to a different event loop\n"
                    f"this {kind.__name__} was first waited for in {Case.__module__}.{Case.__qualname__}.test, and "
                    "belongs to the loop of that test: make a new one in asyncSetUp(), or set loop_scope = 'class' for "
                    "tests that share it\n", told(run(Case)))

    def test_a_loop_of_nobody(self):
        """Of a loop that no test had nothing is said."""
        event = asyncio.Event()

        async def wait():
            await asyncio.wait_for(event.wait(), 0.001)

        with asyncio.Runner() as runner, self.assertRaises(TimeoutError):
            runner.run(wait())

        class Case(SolipsistTestCase):
            async def test(self):
                await event.wait()

        class Cleared(SolipsistTestCase):
            async def test(self):
                with self.assertRaises(TimeoutError):  # it clears the frames: nobody knows which object it was
                    await event.wait()

        self.assertNotIn("first waited for", told(run(Cleared)))
        text = told(run(Case))
        self.assertIn("is bound to a different event loop\n", text)
        self.assertNotIn("first waited for", text)


if __name__ == "__main__":
    unittest.main()
