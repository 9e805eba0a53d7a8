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
from tests.compliance.skips import SKIPS

LINE = "{:<26} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6}"


def line(name, report):
    passed = len(report.passing.intersection(report.counting))
    apart = sum(each.asked and bool(each.about) for each in report.stock.values())
    asking = sum(each.asked for each in report.stock.values())
    return [name, len(report.stock), asking, apart, len(report.counting), passed, len(report.counting) - passed]


async def run(modules, options):
    """Print a line for each module, in order; return the reports."""
    gate = asyncio.Semaphore(options.jobs)
    running = [asyncio.create_task(judge.run_module(module, gate, apart=options.apart)) for module in modules]
    print(LINE.format("module", "tests", "asking", "apart", "count", "pass", "not"))
    sums = Counter()
    for task in running:
        name, *numbers = line((await task).module, await task)
        sums.update(dict(enumerate(numbers)))
        print(LINE.format(name, *numbers), flush=True)
    print(LINE.format("all", *(sums[place] for place in range(6))))
    return [task.result() for task in running]


def epilogue(reports, options):
    """The lines below the table."""
    stock = [each for report in reports for each in report.stock.values() if each.asked]
    about = Counter(reason for each in stock for reason in each.about)
    yield "set apart: " + ", ".join(f"{about[reason]} {reason}" for reason in ABOUT) + " (some are about several)"
    for outcome in ("failed", "skipped"):
        names = [each.name for each in stock if each.outcome == outcome and not each.about]
        yield f"{outcome} on the stock loop too, so they do not count: {len(names)}"
    counting = [name for report in reports for name in report.counting]
    passing = {name for report in reports for name in report.passing}
    if options.apart:
        apart = [name for report in reports for name in report.apart]
        yield f"of those set apart, {len(passing.intersection(apart))} of {len(apart)} pass all the same"
    passed = len(passing.intersection(counting))
    share = passed / len(counting) if counting else 0.0
    yield (f"{passed} of {len(counting)} tests pass that ask for a loop, pass on the stock loop and are not set apart: "
           f"{share:.2%} (the aim is {judge.AIM:.0%})")
    yield f"{len(SKIPS)} names are on the list of skips.py, of {judge.LONGEST_LIST} at most"


def main():
    parser = argparse.ArgumentParser("python -m tests.compliance", description="CPython's asyncio tests on our loop.")
    parser.add_argument("modules", nargs="*", metavar="module", help="such as test_streams; without any, all")
    parser.add_argument("--quick", action="store_true", help=f"all but {', '.join(sorted(judge.SLOW))}")
    parser.add_argument("--apart", action="store_true", help="run on our loop what is set apart too: for information")
    parser.add_argument("-j", "--jobs", type=int, default=(os.cpu_count() or 1) + 1, help="modules at a time")
    parser.add_argument("-v", "--verbose", action="store_true", help="print the traceback of what does not pass")
    options = parser.parse_args()
    found = judge.modules()
    print(f"{platform.python_implementation()} {platform.python_version()}: test.test_asyncio on SolipsistEventLoop")
    if not found:
        sys.exit("this Python came without its test package: compliance was not run, and so is not passed")
    if unknown := set(options.modules) - set(found):
        parser.error(f"there is no module {', '.join(sorted(unknown))}; there are {', '.join(found)}")
    modules = options.modules or [module for module in found if not (options.quick and module in judge.SLOW)]
    # By default SIGTERM ends this process without a word to its children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    reports = asyncio.run(run(modules, options))
    for text in epilogue(reports, options):
        print(text)
    if options.verbose:
        for each in (each for report in reports for each in report.virtual.values() if each.outcome != "passed"):
            print(f"\n== {each.name}: {each.outcome}\n{each.why}")
    wrong = judge.problems(reports, SKIPS)
    for text in wrong:
        print(f"PROBLEM: {text}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
