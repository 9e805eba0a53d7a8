"""The tests of CPython that count and do not pass on `SolipsistEventLoop`, each with the reason.

A name stands for the test on every Python that has it. An entry that passes fails the run: it is to be deleted.
"""

# It makes a loop of ours beside its own, which has no files, and runs that one in our world.
_FUTURES = "CTaskSubclass_PyFuture", "CTask_CFuture", "CTask_PyFuture", "PyTask_CFutureSubclass", "PyTask_CFuture", \
    "PyTask_PyFuture"
_OTHER_LOOPS = [f"test_tasks.{name}_Tests.test_other_loop_future" for name in _FUTURES] + [
    f"test_tasks.{name}_SubclassTests.test_other_loop_future" for name in ("CTask_CFuture", "PyTask_PyFuture")]
_WATCHERS = "Fast", "Pidfd", "Safe", "Threaded"

SKIPS = {
    "test_events.EPollEventLoopTests.test_internal_fds": "about the self-pipe: no real descriptor here",
    "test_runners.RunnerTests.test_interrupt_call_soon": "spins with sleep(0) until a real moment: virtual time waits "
    "for a program that runs",
    "test_subprocess.GenericWatcherTests.test_create_subprocess_fails_with_inactive_watcher": "about watchers of real "
    "children",
    **dict.fromkeys((f"test_subprocess.Subprocess{name}WatcherTests.test_kill_issue43884" for name in _WATCHERS),
                    "about a shell with two commands: none is run"),
    "test_subprocess.SubprocessThreadedWatcherTests.test_pid_not_reaped_before_exit_published": "about a watcher of "
    "real children",
    "test_unix_events.PidfdChildWatcherTests.test_pidfd_closed_when_waitpid_raises": "about a watcher of real children",
    **dict.fromkeys(_OTHER_LOOPS, "runs a loop that is no selector loop inside the world of ours: an EscapeError"),
    "test_unix_events.PolicyTests.test_child_watcher_replace_mainloop_existing": "about the watcher of real children, "
    "whose signal handler the virtual arm leaves out (doors.py)",
}

# What CPython's tests assume and CPython does not promise: they may fail on a machine that stalls, or over a network
# that takes its time. Each with the line of CPython that allows it.
LEGAL: dict[str, str] = {}
