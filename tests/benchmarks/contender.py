"""One contender's process: for each line on standard input, measure once and answer with the seconds, or with why not.

    python -m tests.benchmarks.contender ROW NUMBER SIZE [CHECKOUT]

With a CHECKOUT the package of that folder is measured in place of this one.
"""

import faulthandler
import gc
import pkgutil
import resource
import sys

from tests.benchmarks.rows import ROWS

LONGEST = 60  # seconds for one measurement; then the process says where it hangs, and ends


def raise_the_limit_of_descriptors() -> None:
    """Real loopback has a descriptor for each end of each connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(row: str, number: str, size: str, checkout: str = "") -> None:
    if checkout:
        sys.path.insert(0, checkout)
    contender = ROWS[row].contenders[int(number)]
    try:
        raise_the_limit_of_descriptors()
        target = pkgutil.resolve_name(contender.target)
        for _ in sys.stdin:
            gc.collect()
            faulthandler.dump_traceback_later(LONGEST, exit=True)
            print(contender.workload(target, int(size)), flush=True)
            faulthandler.cancel_dump_traceback_later()
    except Exception as error:
        print(f"failed: {error!r}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
