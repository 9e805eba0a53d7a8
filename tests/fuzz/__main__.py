"""Play random sequences of socket calls on Linux and on the virtual machine: `python -m tests.fuzz --seed 1`."""

import argparse
import random
import sys
from collections import Counter

from tests.fuzz.calls import KINDS
from tests.fuzz.judge import Judge


def main(arguments: list[str] | None = None) -> int:
    """Play what the command line asks for; 1 when something differed that no rule explains."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, help="replays a run; otherwise one is made up and printed")
    parser.add_argument("--sequences", type=int, default=1000, metavar="N", help="of each kind, 30 calls each")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first sequence")
    parser.add_argument("--kind", choices=KINDS, action="append", help="of sockets; may be given again (all)")
    parser.add_argument("--without", action="append", default=[], metavar="WORD",
                        help="leave out lines that hold this word; may be given again")
    parser.add_argument("--most", type=int, default=5, metavar="N", help="stop a kind after so many differences")
    parser.add_argument("--answers", action="store_true", help="print how often which answer came")
    options = parser.parse_args(arguments)
    seed = random.randrange(10**6) if options.seed is None else options.seed
    print(f"seed {seed}")
    differences = 0
    for kind in options.kind or KINDS:
        judge = Judge(kind, seed, frozenset(options.without))
        found: Counter[tuple[str, str]] = Counter()
        for index in range(options.first, options.first + options.sequences):
            difference = judge.play(index)
            if difference is not None:
                mark = repr(difference.real), repr(difference.virtual)
                found[mark] += 1
                if found[mark] == 1:
                    print(difference, flush=True)
                if found.total() >= options.most:
                    break
        print(f"{kind}: {judge.tally}; {found.total()} unexplained", flush=True)
        if options.answers:
            print(*(f"    {count:6} {answer}" for answer, count in judge.tally.answers.most_common(60)), sep="\n")
        differences += found.total()
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
