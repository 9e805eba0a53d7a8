"""The tests of CPython that count and do not pass on `SolipsistEventLoop`, each with the reason.

A name stands for the test on every Python that has it. An entry that passes fails the run: it is to be deleted.
"""

SKIPS = {
    "test_events.EPollEventLoopTests.test_internal_fds": "about the self-pipe: no real descriptor here",
    "test_unix_events.PolicyTests.test_child_watcher_replace_mainloop_existing": "about the watcher of real children, "
    "whose signal handler the virtual arm leaves out (doors.py)",
}
