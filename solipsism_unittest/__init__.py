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
    evidence        what a test leaves for people: a page with its time line, a capture for Wireshark, tables
    mocks           files and sockets that a test plays; waiting until a mock is awaited
    case            the test case: what a test may use, and what its end comes to
    runs            other runs: one test under several loops, executors or cancellations, and a world without a test
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import (
    BlockingCallWarning,
    EscapeError,
    LivelockError,
    NotJudgedWarning,
    NotSimulatedError,
    RealClockWarning,
    RealTimeLimitError,
    ReplayPartedWarning,
    ReturnedValueWarning,
    SleepForeverError,
    SlowCallbackWarning,
    SolipsismError,
    SolipsismWarning,
    UnclosedWarning,
    VirtualTimeLimitError,
)

if TYPE_CHECKING:
    from .case.case import SolipsistTestCase
    from .case.fixtures.chronometer import Chronometer
    from .kernel.network.wire.faults import Verdict
    from .leaks.checks import fail_on, lenient, strict
    from .loop.event_loop import SolipsistEventLoop
    from .peers.datagram_server import FakeDatagramServer
    from .peers.proxy import Proxy
    from .peers.script import Script
    from .peers.server import FakeServer
    from .runs.by_hand import world
    from .runs.cancellations import over_cancellations
    from .runs.seeds import exact, over_seeds
    from .runs.variants import over_executors, over_loops, with_settings
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
    "RealClockWarning",
    "RealTimeLimitError",
    "ReplayPartedWarning",
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
    "exact",
    "fail_on",
    "lenient",
    "over_cancellations",
    "over_executors",
    "over_loops",
    "over_seeds",
    "sealed",
    "socketpair",
    "stream_pairs",
    "strict",
    "with_settings",
    "world",
]

# Where each of the others is made: it is loaded when somebody asks for it.
_MADE_IN = {
    ".case.case": "SolipsistTestCase",
    ".case.fixtures.chronometer": "Chronometer",
    ".kernel.network.wire.faults": "Verdict",
    ".leaks.checks": "fail_on lenient strict",
    ".loop.event_loop": "SolipsistEventLoop",
    ".peers.datagram_server": "FakeDatagramServer",
    ".peers.proxy": "Proxy",
    ".peers.script": "Script",
    ".peers.server": "FakeServer",
    ".runs.by_hand": "world",
    ".runs.cancellations": "over_cancellations",
    ".runs.seeds": "exact over_seeds",
    ".runs.variants": "over_executors over_loops with_settings",
    ".stdlib.sockets.pairs": "socketpair stream_pairs",
    ".stdlib.sockets.virtual_socket": "VirtualSocket",
    ".stdlib.worlds": "sealed",
}
_HOMES = {name: home for home, names in _MADE_IN.items() for name in names.split()}


def __getattr__(name: str) -> object:
    # Event loop policies are deprecated from Python 3.14 on and gone from 3.16 on: the class is made when it is asked
    # for, and is not in __all__, so that nothing but its use meets either.
    if name == "SolipsistEventLoopPolicy":
        return _made_in(".loop.event_loop").policy_class()
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_made_in(_HOMES[name]), name)
    return value


def _made_in(home: str) -> Any:
    """A module of the package, with the whole machine behind it: the seal, what is patched, second loops, Popen."""
    importlib.import_module(".case.case", __name__)
    if home == ".case.case":
        importlib.import_module(".runs.seeds", __name__)  # the environment may ask for seeds of any test
    return importlib.import_module(home, __name__)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
