"""Takes turns, divides, prints: see the package's docstring."""

import argparse
import platform
import subprocess
import sys
from importlib.util import find_spec
from statistics import median

from tests.benchmarks.rows import ROWS, Contender, Row

LINE = "{:<12} {:<31} {:<23} {:<8} {:<8} {}"


class Failed(Exception):
    """A contender could not measure."""


class Turns:
    """A contender's process: each `take()` measures once. The first measurement warms up and is thrown away."""

    def __init__(self, row: str, number: int, size: int) -> None:
        # looptime spends its virtual time where it joins the executor's threads, and stock asyncio warns of that.
        command = [sys.executable, "-W", "ignore::RuntimeWarning", "-m", "tests.benchmarks.contender"]
        command += [row, str(number), str(size)]
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
            found[number] = []
            turns[number] = Turns(name, number, size)
        else:
            found[number] = "not installed"
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
        ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
        ratio = median(ratios)
        aim, verdict = "", ""
        if contender.aim is not None:
            aim, verdict = f"<= {contender.aim}", "met" if ratio <= contender.aim else "missed"
        spread = f"{ratio:.3g} ({min(ratios):.3g}..{max(ratios):.3g})"
        each = " / ".join(f"{median(seconds) / size * 1e6:,.1f}" for seconds in (ours, theirs))
        table.append(LINE.format(name, contender.label, spread, aim, verdict, f"{each} us: {row.operation}"))
    return table


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.benchmarks", description="Print what a test costs, as ratios.")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"{', '.join(ROWS)}; without any, all of them")
    parser.add_argument("--quick", action="store_true", help="smaller, and three rounds only: a rough answer")
    options = parser.parse_args()
    if unknown := [name for name in options.rows if name not in ROWS]:
        parser.error(f"no row is called {', '.join(unknown)}; there are {', '.join(ROWS)}")
    print(f"{platform.python_implementation()} {platform.python_version()}: our time divided by theirs, less is better")
    print(LINE.format("row", "against", "ratio (min..max)", "aim", "verdict", "ours / theirs, each"), flush=True)
    for name in options.rows or ROWS:
        row = ROWS[name]
        size, rounds = (row.size // 5, 3) if options.quick else (row.size, row.rounds)
        for line in lines(name, row, size, seconds_of_each(name, size, rounds)):
            print(line.rstrip(), flush=True)


if __name__ == "__main__":
    main()
