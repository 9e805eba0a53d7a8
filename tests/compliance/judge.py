"""Runs both arms of every module, and says which tests count and which of them pass.

Owns the child processes, their time limit, and the arithmetic. A test that hangs or kills its process counts as failed,
and the rest of its module goes on in a new child.
"""

import asyncio
import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import pathlib
import signal
import sys
import tempfile

from tests import ROOT
from tests.compliance import doors

SILENCE = 60.0  # real seconds that a child may say nothing, and so one test's limit
AIM = 0.97
LONGEST_LIST = 60

# Of these modules tests count that are about this all the same.
COUNTED = dict.fromkeys(("test_events", "test_sock_lowlevel", "test_ssl", "test_sslproto", "test_subprocess"),
                        {"threads"})


@dataclasses.dataclass
class Group:
    """Some of CPython's modules, and how they are run.

    `make test` runs the quick ones, which have most of what can break for little time, and leaves the others to `make
    compliance`.
    """

    package: str
    arms: tuple[str, str]  # as it is, and on our loop or in our world
    wanted: tuple[str, ...]  # patterns of paths below the package
    quick: frozenset[str]
    silence: float = SILENCE

    def modules(self):
        """The names of those that are installed with this Python; [] where it came without them."""
        root, *below = self.package.split(".")
        try:
            spec = importlib.util.find_spec(root)
        except ValueError:  # somebody's module of that name
            spec = None
        folders = [pathlib.Path(folder, *below)
                   for folder in spec.submodule_search_locations or ()] if spec else []
        paths = [path.relative_to(folder).with_suffix("")
                 for folder in folders for pattern in self.wanted for path in folder.glob(pattern)]
        return sorted(".".join(path.parts) for path in paths)


ASYNCIO = Group("test.test_asyncio", doors.ARMS, ("test_*.py",),
                frozenset({"test_base_events", "test_eager_task_factory", "test_locks", "test_runners", "test_streams",
                           "test_unix_events"}))


@dataclasses.dataclass
class Found:
    """One test, on one arm."""

    name: str
    outcome: str  # passed, failed, skipped
    asked: bool = True
    about: tuple[str, ...] = ()
    why: str = ""


@dataclasses.dataclass
class Report:
    """What came of one module. `broken` says what kept tests from running at all."""

    module: str
    stock: dict[str, Found]
    virtual: dict[str, Found] = dataclasses.field(default_factory=dict)
    explored: dict[str, Found] = dataclasses.field(default_factory=dict)  # of those that count and pass on ours
    broken: list[str] = dataclasses.field(default_factory=list)

    @functools.cached_property
    def able(self):
        """The tests that ask for a loop and pass on the stock loop."""
        return [each for each in self.stock.values() if each.asked and each.outcome == "passed"]

    @functools.cached_property
    def counting(self):
        """The names of those that are not about something that is set apart."""
        return [each.name for each in self.able if not self.reasons(each)]

    def reasons(self, found):
        """Why a test is set apart."""
        return set(found.about) - COUNTED.get(self.module, set())

    @functools.cached_property
    def apart(self):
        """The names of those that are; the same tests on yet another selector are not tests of their own."""
        return [each.name for each in self.able if self.reasons(each) and "selector" not in each.about]

    @functools.cached_property
    def passing(self):
        """The names of those that pass on our loop."""
        return {each.name for each in self.virtual.values() if each.outcome == "passed"}


async def _run(path, arm, names, silence):
    """Run some tests (without names, all) of one module in one child.

    Gives what was found, the names of the tests chosen, the test that never ended, and how the child ended.
    """
    found, chosen, running, ended = [], [], None, ""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as stderr:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.compliance.child", path, arm, *names),
            cwd=folder,  # the tests leave files there
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.getenv("PYTHONPATH")])])},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            limit=2**24,
            start_new_session=True,
        )
        try:
            while not ended:
                line = await asyncio.wait_for(child.stdout.readline(), silence)
                told = json.loads(line or "null")
                match told:
                    case {"chosen": chosen}:
                        pass
                    case {"begins": running}:
                        pass
                    case {"ends": name, "outcome": outcome, "asked": asked, "about": about, "why": why}:
                        found.append(Found(name, outcome, asked, tuple(about), why))
                        running = None
                    case {"done": ended}:
                        pass
                    case {"broken": name, "why": why}:
                        found.append(Found(name, "broken", why=why))
                    case None:
                        stderr.seek(0)
                        ended = f"the process died\n{stderr.read()[-2000:].decode(errors='replace')}"
        except TimeoutError:
            ended = f"not a word for {silence:g} s"
        finally:
            if child.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # it may have ended by itself just now
                    os.killpg(child.pid, signal.SIGKILL)  # with all that the tests have started and left
            await child.wait()
    return found, chosen, running, ended


async def run_arm(path, arm, names=(), silence=SILENCE):
    """What the tests of one module do on one arm, by name; `names` chooses some. And what kept any from running."""
    results, broken = {}, []
    while True:
        found, chosen, running, ended = await _run(path, arm, names, silence)
        for each in found:
            if each.outcome == "broken":
                broken.append(f"{each.name} on the {arm} arm: {each.why}")
            else:
                results[each.name] = each
        if ended == "done":
            break
        if running is None:
            broken.append(f"{path} on the {arm} arm: {ended}")
            break
        results[running] = Found(running, "failed", why=ended)
        names = [name for name in chosen if name not in results]
        if not names:
            break
    return results, broken


async def run_module(module, gate, group=ASYNCIO, *, apart=False, seed=None):
    """Run one module on both arms: on ours the tests that count, and with `apart` those that are set apart too.

    With a seed those that pass there run once more, each of their loops explored.
    """
    path, silence = f"{group.package}.{module}", group.silence
    stock_arm, our_arm = group.arms
    async with gate:
        stock, broken = await run_arm(path, stock_arm, silence=silence)
        report = Report(module, stock, broken=broken)
        names = report.counting + (report.apart if apart else [])
        if names:
            report.virtual, broken = await run_arm(path, our_arm, names, silence)
            report.broken += broken
        passing = [name for name in report.counting if name in report.passing]
        if seed is not None and passing:
            report.explored, broken = await run_arm(path, f"{doors.EXPLORED}:{seed}", passing, silence)
            report.broken += broken
    for name in names:
        report.virtual.setdefault(name, Found(name, "failed", why="it did not run"))
    return report


def problems_of_exploring(reports, legal):
    """What fails with exploration alone, and is not named as what CPython does not promise."""
    return [f"{each.name} passes, and does not where its loops are explored"
            for report in reports for each in report.explored.values()
            if each.outcome != "passed" and each.name not in legal]


def problems(reports, skips):
    """What is wrong with some modules, each in a line: nothing, where everything is as the list says."""
    wrong = [line for report in reports for line in report.broken]
    counting = [name for report in reports for name in report.counting]
    passing = {name for report in reports for name in report.passing}
    wrong += [f"{name} does not pass" for name in counting if name not in passing and name not in skips]
    wrong += [f"{name} passes: take it off the list of skips.py" for name in counting if name in passing & skips.keys()]
    passed = len(passing.intersection(counting))
    if passed < AIM * len(counting):
        wrong.append(f"{passed} of {len(counting)} pass, fewer than {AIM:.0%}")
    if not counting:
        wrong.append("no test counts")
    if len(skips) > LONGEST_LIST:
        wrong.append(f"{len(skips)} names are on the list of skips.py, more than {LONGEST_LIST}")
    return wrong
