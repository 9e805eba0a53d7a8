"""The judge is judged: what the arms catch, and how much there is for them to do."""

import asyncio
import importlib
import pkgutil
import unittest
from collections.abc import Iterator
from typing import Any

from tests import contracts
from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.test_states import States

WANTED = 590  # as README says


def scenarios() -> Iterator[tuple[type[Contract], str]]:
    """Each scenario as it is written down, by class and name, however many address families run it."""
    for module in pkgutil.iter_modules(contracts.__path__, contracts.__name__ + "."):
        for kind in list(vars(importlib.import_module(module.name)).values()):  # a warning adds a registry
            if isinstance(kind, type) and issubclass(kind, Contract) and kind.__module__ == module.name:
                for name, method in vars(kind).items():
                    if getattr(method, "is_scenario", False):
                        yield kind, name


def verdict(body: Any, **attributes: Any) -> str:
    """What running one body as a scenario gives: nothing, or the text of its failure or error."""
    kind = type("Judged", (Contract,), {"test_body": scenario(body), **attributes})
    result = unittest.TestResult()
    kind("test_body").run(result)
    assert not result.skipped
    return "".join(text for _, text in result.failures + result.errors)


class JudgeTest(unittest.TestCase):
    def test_agreement_passes(self):
        """Two arms that see the same, and what was expected, are fine."""

        async def body(self: Any, arm: Arm) -> Any:
            arm.see("fact", 1)
            return [("fact", 1)]

        self.assertEqual(verdict(body), "")

    def test_a_difference_fails(self):
        """What only one arm sees fails the test, and the message says which arm it was."""

        async def body(self: Any, arm: Arm) -> None:
            arm.see(type(asyncio.get_running_loop()).__name__ == "SolipsistEventLoop")

        self.assertIn("[True] != [False]", verdict(body))
        self.assertIn("the virtual loop differs from the real loopback", verdict(body))

    def test_a_wrong_truth_fails(self):
        """A scenario that expects what the real loopback does not do fails before the virtual loop is asked."""

        async def body(self: Any, arm: Arm) -> Any:
            arm.see(1)
            return [2]

        self.assertIn("the scenario is wrong about the real loopback", verdict(body))

    def test_an_error_names_its_arm(self):
        """An exception in a body is an error that says on which arm, and what was seen before it."""

        async def body(self: Any, arm: Arm) -> None:
            arm.see("before")
            raise ValueError("broken")

        self.assertRegex(verdict(body), r"ValueError: broken\non the real loopback, after \['before'\]")

    def test_a_skip_fails(self):
        """No scenario can be skipped."""

        async def body(self: Any, arm: Arm) -> None:
            raise unittest.SkipTest("no network today")

        self.assertIn("a scenario runs on both arms or fails, but it was skipped: no network today", verdict(body))

    def test_an_arm_that_cannot_run_fails(self):
        """A loop that cannot be made is an error, on either arm."""

        def broken() -> asyncio.AbstractEventLoop:
            raise OSError("no loop today")

        async def body(self: Any, arm: Arm) -> None:
            arm.see(1)

        for arm in ("real_loop", "virtual_loop"):
            self.assertIn("OSError: no loop today", verdict(body, **{arm: staticmethod(broken)}))

    def test_what_the_loop_complains_about_is_seen(self):
        """An exception that only the loop's handler gets to know is a fact like any other."""

        async def body(self: Any, arm: Arm) -> Any:
            asyncio.get_running_loop().call_exception_handler({"message": "lost", "exception": ValueError("lost")})
            return [("loop exception", "lost", "ValueError('lost')")]

        self.assertEqual(verdict(body), "")


class InventoryTest(unittest.TestCase):
    def test_there_are_enough_scenarios(self):
        """There are as many scenarios as promised, not counting variants.

        A variant is the same name for another family of sockets in one file; all states under the one table of
        operations are variants of one.
        """
        distinct = {kind.__module__ if issubclass(kind, States) else (kind.__module__, name)
                    for kind, name in scenarios()}
        self.assertGreaterEqual(len(distinct), WANTED)

    def test_every_scenario_says_what_it_shows(self):
        """Each scenario's docstring is one sentence on one line."""
        for kind, name in scenarios():
            with self.subTest(f"{kind.__module__}.{kind.__qualname__}.{name}"):
                self.assertRegex(getattr(kind, name).__doc__ or "", r"\A[^\n]+\.\Z")
