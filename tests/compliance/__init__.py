"""CPython's own `test.test_asyncio`, as installed with the interpreter, on `SolipsistEventLoop`.

    python -m tests.compliance                          every module, a few minutes
    python -m tests.compliance test_streams test_ssl    only these modules
    python -m tests.compliance --seed 7                 and once more, each loop explored with this seed
    python -m tests.compliance -v test_events           and the traceback of each test that does not pass

Each module runs twice, each time in child processes of its own: first with its loops made as ever (the *stock arm*),
then with ours in their place (the *virtual arm*). What the stock arm shows of a test decides whether it counts:

* it must ask asyncio for a loop: through `asyncio.new_event_loop()`, the policy or `asyncio.SelectorEventLoop` (what
  `create_event_loop` of the test classes does). Most of the rest makes a `BaseEventLoop` or a mock by itself;
* it must pass on the stock loop, here and now;
* it must not be about threads, terminals or real processes. Nobody draws up that list by hand: the doors that lead to
  them are watched, and `doors.ABOUT` says which. Threads that play the peer in tests of TLS count.

Child processes of asyncio's are programs of a test on our loop: a small interpreter runs what the tests start.

Of those that count, all that do not pass on our loop are on the list in `skips.py`, each with its reason; one that is
not, and one on the list that passes, fail the run.

CPython's tests of threads come after that, in a second table: see threads/.

    programs.py  what the tests start as child processes
    doors.py     a child's asyncio: whose loops it makes, and what is noted of a test
    child.py     one module's tests, a line of JSON for each
    judge.py     runs both arms, and counts
    skips.py     what does not pass, and why
"""
