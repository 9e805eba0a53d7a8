"""Every exception and warning of the framework, as a tree:

    RuntimeError
      SolipsismError            the simulation was left or misused; the text names the cure
        SleepForeverError       nothing can wake the program any more: a hang
        LivelockError           the program spins at one instant, so that time cannot go on
        RealTimeLimitError      real time ran out: of the test, or while something held the clock
        VirtualTimeLimitError   virtual time would have gone beyond the limit of the test
        EscapeError             a call would have reached the real world, and was not made
        NotSimulatedError       the loop has no such call; it is a NotImplementedError too
    UserWarning
      SolipsismWarning          the base of every warning of ours
        BlockingCallWarning     a blocking call was made in the loop's thread
        SlowCallbackWarning     a callback or a step of a task kept the processor
        ReturnedValueWarning    a test method returned a value; also a DeprecationWarning, as unittest's own is
        NotJudgedWarning        a sweep of cancellations, or a part of it, could judge nothing
        ReplayPartedWarning     a run that was to be repeated went another way, and passes
        RealClockWarning        a test waits by the time of day, which is real
        UnclosedWarning         a virtual socket or pipe was collected open; also a ResourceWarning, as for a real one

What a real machine would answer (connection refused, address in use) is an `OSError` with its errno, never one of
these.
"""


class SolipsismError(RuntimeError):
    """The simulation was left or misused; the message says what happened and what to do."""


class SleepForeverError(SolipsismError):
    """The program waits for what cannot come: nothing is ready, nothing is in flight, and no timer will be due."""


class LivelockError(SolipsismError):
    """The program keeps running at one virtual instant, so that time cannot go on."""


class RealTimeLimitError(SolipsismError):
    """The test took longer than its real-time limit, or the loop waited too long for something that holds the clock."""


class VirtualTimeLimitError(SolipsismError):
    """Virtual time would have gone beyond the limit of the test."""


class EscapeError(SolipsismError):
    """A sealed thread made a call that would have reached the real network or operating system; the call was not made.

    It fails the test even where the code under test swallows it. `what` is the call and its place, without its
    arguments. `times` is the number of calls that it stands for: of those that are alike only some are kept.
    """

    what = ""
    times = 1


class NotSimulatedError(SolipsismError, NotImplementedError):
    """The loop has no such call. asyncio lets loops lack it, and programs catch NotImplementedError for that."""


class SolipsismWarning(UserWarning):
    """The base of every warning of this package."""


class BlockingCallWarning(SolipsismWarning):
    """A call stopped the loop's thread, so that nothing else could run."""


class SlowCallbackWarning(SolipsismWarning):
    """A callback or a step of a task took longer in real time than the loop's `slow_callback_duration`."""


class ReturnedValueWarning(SolipsismWarning, DeprecationWarning):
    """A test method returned a value that is not None, which unittest deprecates."""


class NotJudgedWarning(SolipsismWarning):
    """A sweep of cancellations, or a part of it, could judge nothing."""


class ReplayPartedWarning(SolipsismWarning):
    """A run of a token went another way than the one that the token was written for, and passes."""


class RealClockWarning(SolipsismWarning):
    """A test waits by the time of day, which is real, so that it takes real seconds; `wall_start` makes it virtual."""


class UnclosedWarning(SolipsismWarning, ResourceWarning):
    """A virtual socket, or a file on a virtual pipe, was collected while it was open."""
