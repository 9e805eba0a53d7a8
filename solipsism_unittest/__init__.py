"""Test asyncio programs alone in the world: virtual time, a network in memory, and nothing left behind.

Subclass `SolipsistTestCase` and run `python -m unittest`; the code under test stays as it is::

    import asyncio
    from solipsism_unittest import SolipsistTestCase

    class Patience(SolipsistTestCase):
        async def test_a_day_is_over_at_once(self):
            with self.assertElapses(86400):
                await asyncio.sleep(86400)

*Time* is the loop's, and `time.monotonic()` follows it. It jumps to the next deadline whenever the loop is quiescent.
`advance()` runs what is due on the way, `settle()` waits without moving time.

*The network* is in memory. Any host name resolves; `start_fake_server(handler, "api.test", 443)` puts a server there.
Under it is CPython's own selector loop on sockets that answer as Linux does.

*A hang* is a `SleepForeverError` that names every task, the line where it waits, and what for.

*Leftovers* fail the test that made them, each with the line where it was made: tasks, timers, sockets, transports,
servers, async generators, threads, coroutines never awaited, errors that nobody caught. `fail_on`, `strict` and
`lenient` say which.

*An escape*, a call that would reach the real network or start a process, is an `EscapeError` at that line.

Without a TestCase: `with world() as world:`, and for the loop alone `asyncio.Runner(loop_factory=SolipsistEventLoop)`.

Four words that this package uses in one meaning only:

* *quiescent*: nothing is ready and nothing is in flight outside, so only time could change anything;
* *world*: one run, that is a machine in memory, the loop on it, its threads, and the calls that were stopped;
* *sealed*: a thread for which the standard library is virtual, as a test's thread is while the test runs;
* *place*: the line of the program that made a thing, or the line at which something stands.

The folders, from the ground up; each imports only from those above it in this list:

    errors          every exception and warning
    introspection   reads the program: whose code, which line, where a task or a thread stands
    kernel          the machine: clock, journal, addresses, descriptors, network; it knows no asyncio
    stdlib          Python's modules as a program in a test meets them: sockets, files, threads, the seal
    hangs           why a program does not go on: who waits for what, who holds it, whether it can ever come
    peers           the other side: fake servers and scripted peers
    loop            asyncio on the machine: the event loop and its selector
    leaks           what a test left behind: found, reported, ended
    mocks           files and sockets that a test plays; waiting until a mock is awaited
    case            the test case: what a test may use, and what its end comes to
    runs            other runs: one test under several loops, executors or cancellations, and a world without a test
"""

from __future__ import annotations

from .case.case import SolipsistTestCase
from .case.fixtures.chronometer import Chronometer
from .errors import (
    BlockingCallWarning,
    EscapeError,
    LivelockError,
    NotJudgedWarning,
    NotSimulatedError,
    RealTimeLimitError,
    ReturnedValueWarning,
    SleepForeverError,
    SlowCallbackWarning,
    SolipsismError,
    SolipsismWarning,
    UnclosedWarning,
    VirtualTimeLimitError,
)
from .kernel.network.wire.faults import Verdict
from .leaks.checks import fail_on, lenient, strict
from .loop import second as _second  # noqa: F401 - what asyncio.run() gets
from .loop.event_loop import SolipsistEventLoop, policy_class
from .peers import popen as _popen  # noqa: F401 - what subprocess.Popen() gets
from .peers.datagram_server import FakeDatagramServer
from .peers.proxy import Proxy
from .peers.script import Script
from .peers.server import FakeServer
from .runs.by_hand import world
from .runs.cancellations import over_cancellations
from .runs.variants import over_executors, over_loops
from .stdlib.sockets.pairs import socketpair, stream_pairs
from .stdlib.sockets.virtual_socket import VirtualSocket
from .stdlib.worlds import sealed

__all__ = [
    "BlockingCallWarning",
    "Chronometer",
    "EscapeError",
    "FakeDatagramServer",
    "FakeServer",
    "LivelockError",
    "NotJudgedWarning",
    "NotSimulatedError",
    "Proxy",
    "RealTimeLimitError",
    "ReturnedValueWarning",
    "Script",
    "SleepForeverError",
    "SlowCallbackWarning",
    "SolipsismError",
    "SolipsismWarning",
    "SolipsistEventLoop",
    "SolipsistTestCase",
    "UnclosedWarning",
    "Verdict",
    "VirtualSocket",
    "VirtualTimeLimitError",
    "fail_on",
    "lenient",
    "over_cancellations",
    "over_executors",
    "over_loops",
    "sealed",
    "socketpair",
    "stream_pairs",
    "strict",
    "world",
]


def __getattr__(name: str) -> object:
    # Event loop policies are deprecated from Python 3.14 on and gone from 3.16 on: the class is made when it is asked
    # for, and is not in __all__, so that nothing but its use meets either.
    if name == "SolipsistEventLoopPolicy":
        return policy_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
