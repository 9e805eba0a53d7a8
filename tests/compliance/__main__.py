"""Prints what came of it: see the package's docstring. Ends with 0 only if everything is as the list says."""

import argparse
import asyncio
import os
import platform
import signal
import sys
from collections import Counter

from tests.compliance import judge
from tests.compliance.doors import ABOUT
from tests.compliance.skips import LEGAL, SKIPS
from tests.compliance.threads import skips as skips_of_threads
from tests.compliance.threads.group import THREADS

LINE = "{:<40} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}"


GROUPS = judge.ASYNCIO, THREADS
SKIPS_OF = {judge.ASYNCIO.package: SKIPS, THREADS.package: skips_of_threads.SKIPS}


def line(name, report):
    passed = len(report.passing.intersection(report.counting))
    apart = sum(each.asked and bool(report.reasons(each)) for each in report.stock.values())
    asking = sum(each.asked for each in report.stock.values())
    return [name, len(report.stock), asking, apart, len(report.counting), passed, len(report.counting) - passed]


async def run(group, modules, options):
    """Print a line for each module, in order; return the reports."""
    gate = asyncio.Semaphore(options.jobs)
    seed = options.seed if group is judge.ASYNCIO else None
    running = [asyncio.create_task(judge.run_module(module, gate, group, apart=options.apart, seed=seed))
               for module in modules]
    print(LINE.format("module", "tests", "asking", "apart", "count", "pass", "not"))
    sums = Counter()
    for task in running:
        name, *numbers = line((await task).module, await task)
        sums.update(dict(enumerate(numbers)))
        print(LINE.format(name, *numbers), flush=True)
    print(LINE.format("all", *(sums[place] for place in range(6))), flush=True)
    return [task.result() for task in running]


def epilogue(group, reports, options):
    """The lines below the table."""
    stock = [(each, report.reasons(each)) for report in reports for each in report.stock.values() if each.asked]
    about = Counter(reason for _, reasons in stock for reason in reasons)
    yield "set apart: " + ", ".join(f"{about[reason]} {reason}" for reason in ABOUT) + " (some are about several)"
    for outcome in ("failed", "skipped"):
        names = [each.name for each, reasons in stock if each.outcome == outcome and not reasons]
        yield f"{outcome} on the stock arm too, so they do not count: {len(names)}"
    counting = [name for report in reports for name in report.counting]
    passing = {name for report in reports for name in report.passing}
    if options.apart:
        apart = [name for report in reports for name in report.apart]
        yield f"of those set apart, {len(passing.intersection(apart))} of {len(apart)} pass all the same"
    explored = [each for report in reports for each in report.explored.values()]
    if explored:
        yield (f"explored with seed {options.seed}, {sum(each.outcome == 'passed' for each in explored)} of "
               f"{len(explored)} pass of those that pass otherwise")
    passed = len(passing.intersection(counting))
    share = passed / len(counting) if counting else 0.0
    asking = "ask for a loop, pass on the stock loop" if group is judge.ASYNCIO else "pass outside of any world"
    yield (f"{passed} of {len(counting)} tests pass that {asking} and are not set apart: {share:.2%} (the aim is "
           f"{judge.AIM:.0%})")
    yield f"{len(SKIPS_OF[group.package])} names are on the list of skips.py, of {judge.LONGEST_LIST} at most"


def main():
    parser = argparse.ArgumentParser("python -m tests.compliance", description="CPython's tests in virtual worlds.")
    quick = sorted({module for group in GROUPS for module in group.quick})
    parser.add_argument("modules", nargs="*", metavar="module", help="such as test_streams; without any, all")
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(quick)}")
    parser.add_argument("--apart", action="store_true", help="run on our loop what is set apart too: for information")
    parser.add_argument("--seed", type=int, help="run what passes on our loop once more, on a machine that stalls so")
    parser.add_argument("-j", "--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="modules at a time")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the traceback of what does not pass")
    options = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}: CPython's own tests in virtual worlds")
    found = {group.package: group.modules() for group in GROUPS}
    if not any(found.values()):
        sys.exit("this Python came without its test package: compliance was not run, and so is not passed")
    known = sorted({module for modules in found.values() for module in modules})
    if unknown := set(options.modules) - set(known):
        parser.error(f"there is no module {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    # By default SIGTERM ends this process without a word to its children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    wrong = []
    for group in GROUPS:
        wanted = options.modules or (group.quick if options.quick else found[group.package])
        modules = [module for module in found[group.package] if module in wanted]
        if not modules:
            continue
        reports = asyncio.run(run(group, modules, options))
        for text in epilogue(group, reports, options):
            print(text, flush=True)
        wrong += report(group, reports, options)
    for text in wrong:
        print(f"PROBLEM: {text}")
    sys.exit(1 if wrong else 0)


def report(group, reports, options):
    """Say why tests do not pass, where that is asked for; return what is wrong."""
    if options.verbose:
        found = [each for report in reports for arm in (report.virtual, report.explored) for each in arm.values()]
        for each in (each for each in found if each.outcome != "passed"):
            print(f"\n== {each.name}: {each.outcome}\n{each.why}")
    return [*judge.problems(reports, SKIPS_OF[group.package]), *judge.problems_of_exploring(reports, LEGAL)]


if __name__ == "__main__":
    main()
