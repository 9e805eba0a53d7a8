"""How much a test costs here, as ratios against stock asyncio and against the other virtual loops.

    python -m tests.benchmarks                  every row, some minutes
    python -m tests.benchmarks --quick          the same rows, smaller and fewer times
    python -m tests.benchmarks echo sleep       only these rows
    python -m tests.benchmarks --against PATH   ours against the package of another checkout, contender by contender

The numbers are printed and never asserted: a machine is noisy, and a ratio near its aim is a matter for a reader. Each
contender of a row lives in an interpreter of its own, so nobody pays for another one's hooks or garbage, and the
contenders take turns, so a busy machine disturbs them alike.

    rows.py       what is measured: the workloads, and the table of who runs them
    contender.py  one contender's process
    __main__.py   takes turns, divides, prints
"""
