"""A lock or queue of another test's loop: the failure says which test used it first."""

import asyncio
import contextlib
import unittest

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase
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
                    f"this {kind.__name__} was first waited for in {Case.__module__}.{Case.__qualname__}.test at "
                    f"tests/hangs/test_bound.py:{Case.test.__code__.co_firstlineno + 2} in {Case.test.__qualname__}, "
                    "and belongs to the loop of that test: make a new one in asyncSetUp(), or set loop_scope = 'class' "
                    "for tests that share it\n", told(run(Case)))

    def test_a_line_of_no_test(self):
        """Of a virtual loop that no test had the line of the first wait is named alone."""
        lock = asyncio.Lock()

        async def two():
            async with lock:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lock.acquire(), 1)

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(two())

        class Case(SolipsistTestCase):
            async def test(self):
                await lock.acquire()
                await lock.acquire()

        line = two.__code__.co_firstlineno + 3
        made = rf"tests/hangs/test_bound.py:{line} in {two.__qualname__}"
        self.assertIn(f"this Lock was first waited for at {made}, and belongs to the loop that ran there: make a new "
                      "one for each loop\n", told(run(Case)))

    def test_the_first_wait_stays_the_first(self):
        """Later waits in the test of the first one change nothing, and on the right loop nothing is refused."""
        event = asyncio.Event()

        class Case(SolipsistTestCase):
            async def test_a(self):
                for _ in range(2):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), 1)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), 1)

            async def test_b(self):
                await event.wait()

        first = Case.test_a.__code__.co_firstlineno + 3
        self.assertIn(f".test_a at tests/hangs/test_bound.py:{first} in ", told(run(Case)))

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
