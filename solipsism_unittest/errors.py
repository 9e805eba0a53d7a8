"""Every exception and warning of the framework.

    RuntimeError
      SolipsismError            the simulation was left or misused; the text names the cure
        SleepForeverError       nothing can wake the program any more: a hang
        LivelockError           the program spins at one instant and time cannot go on
        RealTimeLimitError      real time ran out while something held the clock
        EscapeError             a call would have reached the real world
    UserWarning
      SolipsismWarning          the base of every warning of ours

What a real machine would answer (connection refused, address in use) is an `OSError` with its errno, never one of
these.
"""


class SolipsismError(RuntimeError):
    """Leaving or misusing the simulation; the message says what happened and what to do."""


class SleepForeverError(SolipsismError):
    """Nothing is ready, nothing is in flight and no timer is due, ever: the program waits for what cannot come."""


class LivelockError(SolipsismError):
    """The program keeps running at one virtual instant, so that time cannot go on."""


class RealTimeLimitError(SolipsismError):
    """The loop waited too long in real time for something that holds the clock."""


class EscapeError(SolipsismError):
    """A sealed thread made a call that would have reached the real network or operating system."""


class SolipsismWarning(UserWarning):
    """The base of every warning of this package."""
