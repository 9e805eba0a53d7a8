"""Takes turns, divides, prints: see the package's docstring."""

import argparse
import platform
import subprocess
import sys
from importlib.util import find_spec
from math import inf
from statistics import median

from tests.benchmarks.rows import ROWS, Contender, Row

LINE = "{:<12} {:<31} {:<23} {:<8} {:<8} {}"
OURS = "solipsism_unittest"


class Failed(Exception):
    """A contender could not measure."""


class Turns:
    """A contender's process: each `take()` measures once. The first measurement warms up and is thrown away."""

    def __init__(self, row: str, number: int, size: int, checkout: str = "") -> None:
        # looptime spends its virtual time where it joins the executor's threads, and stock asyncio warns of that.
        command = [sys.executable, "-W", "ignore::RuntimeWarning", "-m", "tests.benchmarks.contender"]
        command += [row, str(number), str(size), *filter(None, [checkout])]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def take(self) -> float:
        """Seconds."""
        try:
            self.process.stdin.write("go\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Failed("died") from None
        answer = self.process.stdout.readline().strip()
        try:
            return float(answer)
        except ValueError:
            raise Failed(answer or "died") from None

    def end(self) -> None:
        self.process.communicate()


def is_installed(contender: Contender) -> bool:
    return find_spec(contender.target.partition(":")[0]) is not None


def seconds_of_each(name: str, size: int, rounds: int) -> dict[int, list[float] | str]:
    """For each contender, by its number: seconds per round, or the reason why there are none."""
    found: dict[int, list[float] | str] = {}
    turns: dict[int, Turns] = {}
    for number, contender in enumerate(ROWS[name].contenders):
        if is_installed(contender):
            turns[number] = Turns(name, number, size)
        else:
            found[number] = "not installed"
    return found | take_turns(turns, rounds)


def take_turns(turns: dict[int, Turns], rounds: int) -> dict[int, list[float] | str]:
    """What each of these processes measured, round by round, or why it could not."""
    found: dict[int, list[float] | str] = {number: [] for number in turns}
    try:
        for round in range(rounds + 1):
            # There and back: who comes first in one round comes last in the next.
            for number in sorted(turns, reverse=bool(round % 2)):
                if isinstance(seconds := found[number], str):
                    continue
                try:
                    taken = turns[number].take()
                except Failed as failure:
                    found[number] = str(failure)
                else:
                    if round:
                        seconds.append(taken)
    finally:
        for each in turns.values():
            each.end()
    return found


def lines(name: str, row: Row, size: int, found: dict[int, list[float] | str]) -> list[str]:
    """The row's part of the table, a line for each that ours is compared with."""
    ours = found[0]
    if isinstance(ours, str):
        return [LINE.format(name, "", ours, "", "", row.operation)]
    table = []
    for number, contender in list(enumerate(row.contenders))[1:]:
        theirs = found[number]
        if isinstance(theirs, str):
            table.append(LINE.format(name, contender.label, theirs, "", "", ""))
            continue
        ratios = [our / their if their else inf for our, their in zip(ours, theirs, strict=True)]  # memory may be 0
        ratio = median(ratios)
        aim, verdict = "", ""
        if contender.aim is not None:
            aim, verdict = f"<= {contender.aim}", "met" if ratio <= contender.aim else "missed"
        spread = f"{ratio:.3g} ({min(ratios):.3g}..{max(ratios):.3g})"
        table.append(LINE.format(name, contender.label, spread, aim, verdict, each_of(row, size, ours, theirs)))
    return table


def each_of(row: Row, size: int, *measured: list[float]) -> str:
    """What one operation took, in the row's unit."""
    factor = 1e6 if row.unit == "us" else 1.0
    figures = " / ".join(f"{median(each) / size * factor:,.1f}" for each in measured)
    return f"{figures} {row.unit}: {row.operation}"


def against(name: str, row: Row, size: int, rounds: int, checkout: str) -> list[str]:
    """Lines that compare each contender of ours in this checkout with the same one in another."""
    table = []
    for number, contender in enumerate(row.contenders):
        if OURS not in contender.target and contender.label != "virtual":
            continue
        found = take_turns({0: Turns(name, number, size), 1: Turns(name, number, size, checkout)}, rounds)
        label = contender.label if number else "the other checkout"
        table += lines(name, Row(row.operation, row.size, rounds, (contender, Contender(label, "", contender.workload)),
                                 row.unit), size, found)
    return table


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Print what a test costs, as ratios.")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"{', '.join(ROWS)}; without any, all of them")
    parser.add_argument("--quick", action="store_true", help="smaller, and three rounds only: a rough answer")
    parser.add_argument("--against", metavar="CHECKOUT", help="compare with the package of another checkout")
    options = parser.parse_args()
    if unknown := [name for name in options.rows if name not in ROWS]:
        parser.error(f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    print(f"{platform.python_implementation()} {platform.python_version()}: our time divided by theirs, less is better")
    print(LINE.format("row", "against", "ratio (min..max)", "aim", "verdict", "ours / theirs, each"), flush=True)
    for name in options.rows or ROWS:
        row = ROWS[name]
        size, rounds = (row.size // 5, 3) if options.quick else (row.size, row.rounds)
        if options.against:
            table = against(name, row, size, rounds, options.against)
        else:
            table = lines(name, row, size, seconds_of_each(name, size, rounds))
        for line in table:
            print(line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
