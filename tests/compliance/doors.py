"""The doors through which a test gets a loop, and those that say what a test is about.

Owns the patching of asyncio in a child process; nothing here knows of results. Both arms go through the same code: the
stock arm's loops are stock loops whose making is noted.
"""

import asyncio
import contextlib
import functools
import os
import random
import selectors
import sys
import threading
from asyncio import unix_events

from solipsism_unittest import SolipsistEventLoop, sealed
from solipsism_unittest.kernel.choices import Explorer
from solipsism_unittest.kernel.choices.kinds import NAMES
from solipsism_unittest.kernel.choices.plans import Rates
from solipsism_unittest.loop.explored import explore
from tests.compliance import programs

ARMS = ("stock", "virtual")
EXPLORED = "explored"  # a third arm: ours, each loop on a machine that stalls as a seed says, explored:7 for example
# What a test may be about so that it does not count, and why.
ABOUT = {
    "threads": "it starts a thread of its own, mostly one that plays the peer with blocking sockets: none that virtual "
    "time waits for",
    "terminals": "it makes a real terminal or FIFO",
    "processes": "it forks, or starts a real process by itself: not by asyncio, whose programs are in programs.py",
    "selector": "the same tests again, on a selector that is not the system's default: once is enough",
}

CHOICES = 100  # of each kind, for about so many differ at the lowest rate: one

_FUNCTIONS = [(os, "mkfifo", "terminals"), (os, "openpty", "terminals"), (os, "fork", "processes")]
_AUDITED = {"subprocess.Popen", "os.posix_spawn", "os.system"}

# Who uses these doors for whatever test: an executor for its workers, a child watcher for its threads.
_BY_ITSELF = ("asyncio.", "concurrent.futures.", "test.support")


class Notes:
    """What one test did: whether it asked for a loop, and what it is about."""

    def __init__(self):
        self.asked = False
        self.about = set()
        self.loops = 0  # that were made to be explored
        self.worlds = contextlib.ExitStack()  # the worlds that the test lives in, left at its end

    def begin(self):
        """A test begins."""

    def end(self):
        """Forget the test; the thread is as it was before."""
        self.worlds.close()
        self.__init__()


def _noted(notes, function, about):
    @functools.wraps(function)
    def noted(*args, **kwargs):
        if not sys._getframe(1).f_globals.get("__name__", "").startswith(_BY_ITSELF):
            notes.about.add(about)
        return function(*args, **kwargs)

    return noted


def _watched(notes, stock):
    """A stock loop, with a note of its making and of what is asked of it."""

    def __init__(self, *selector):
        notes.asked = True
        if selector and type(selector[0]) is not selectors.DefaultSelector:
            notes.about.add("selector")
        super(loop, self).__init__(*selector)

    loop = type(stock.__name__, (stock,), {"__init__": __init__, "__module__": stock.__module__})
    return loop


def note_processes(notes):
    """Note what makes a terminal or starts a real process, unless asyncio does."""
    for module, name, about in _FUNCTIONS:
        setattr(module, name, _noted(notes, getattr(module, name), about))

    def note(event, args):
        if event in _AUDITED and not _is_by_asyncio(sys._getframe(1)):
            notes.about.add("processes")

    sys.addaudithook(note)


def _is_by_asyncio(frame):
    while frame is not None:
        if frame.f_globals.get("__name__") == "asyncio.base_subprocess":
            return True
        frame = frame.f_back
    return False


def _virtual(notes, seed):
    """Our loop: the test lives in its world from here on, sockets that it makes outside of any coroutine included.

    With a seed each loop is explored: the n-th of a test is so in every run.
    """
    main = threading.get_ident()

    def __init__(self, selector=None):
        notes.asked = True
        if selector is not None:
            selector.close()  # ours has its own
        super(loop, self).__init__()
        if seed:
            notes.loops += 1
            explore(self, Explorer(Rates(random.Random(f"{seed}/{notes.loops}"), [CHOICES] * len(NAMES))))
        programs.add_to(self)
        if threading.get_ident() == main:
            notes.worlds.enter_context(sealed(self))

    loop = type("SolipsistEventLoop", (SolipsistEventLoop,), {"__init__": __init__, "__module__": __name__})
    return loop


def _with_own_selector(loop):
    """For tests that mock the selector so that it never waits: time moves in ours, so they mock what nobody uses."""

    def run_forever(self):
        mocked, self._selector = self._selector, self.selector
        try:
            loop.run_forever(self)
        finally:
            self._selector = mocked

    return type(loop.__name__, (loop,), {"run_forever": run_forever, "__module__": __name__})


def open_doors(arm):
    """Make every loop that this process asks asyncio for one of the arm ("stock", "virtual" or "explored:SEED"), and
    watch; give the notes of a test.
    """
    notes = Notes()
    arm, _, seed = arm.partition(":")
    if arm != "stock":
        loop = _virtual(notes, seed)
        bare = _with_own_selector(loop)
    else:
        loop = _watched(notes, asyncio.SelectorEventLoop)
        bare = _watched(notes, asyncio.BaseEventLoop)
    if arm != "stock" and hasattr(unix_events, "SafeChildWatcher"):  # to 3.13
        # Its signal handler is in the way of all tests of event loops, not only of those with children.
        unix_events.SafeChildWatcher.attach_loop = lambda watcher, loop: None
    policy = getattr(unix_events, "_UnixDefaultEventLoopPolicy", None) or unix_events._DefaultEventLoopPolicy
    policy._loop_factory = staticmethod(loop)
    asyncio.SelectorEventLoop = unix_events.SelectorEventLoop = loop
    asyncio.BaseEventLoop = bare  # test_runners and test_pep492 ask for it, and mock its selector
    if hasattr(asyncio, "EventLoop"):  # from 3.13 on
        asyncio.EventLoop = unix_events.EventLoop = loop
    for module in (asyncio, asyncio.tasks):
        module.run_coroutine_threadsafe = _noted(notes, module.run_coroutine_threadsafe, "threads")
    threading.Thread.start = _noted(notes, threading.Thread.start, "threads")
    note_processes(notes)
    return notes
