"""The doors through which a test gets a loop, and those that say what a test is about.

Owns the patching of asyncio in a child process; nothing here knows of results. Both arms go through the same code: the
stock arm's loops are stock loops whose making is noted.
"""

import _thread
import asyncio
import contextlib
import functools
import os
import selectors
import signal
import sys
import threading
from asyncio import unix_events

from solipsism_unittest import SolipsistEventLoop, sealed

# What a test may be about so that it does not count, and why.
ABOUT = {
    "threads": "it starts a thread of its own, mostly one that plays the peer with blocking sockets: none that virtual "
    "time waits for",
    "pipes": "it makes a real pipe, FIFO or terminal",
    "signals": "it installs a handler or sends a signal, to the real process",
    "processes": "it starts a real process, or forks",
    "selector": "the same tests again, on a selector that is not the system's default: once is enough",
}

_LOOP_METHODS = {
    "_check_signal": "signals",
    "_handle_signal": "signals",
    "add_signal_handler": "signals",
    "remove_signal_handler": "signals",
    "connect_read_pipe": "pipes",
    "connect_write_pipe": "pipes",
    "subprocess_exec": "processes",
    "subprocess_shell": "processes",
}
_FUNCTIONS = [
    (os, "pipe", "pipes"),
    (os, "mkfifo", "pipes"),
    (os, "openpty", "pipes"),
    (signal, "signal", "signals"),
    (signal, "raise_signal", "signals"),
    (signal, "setitimer", "signals"),
    (os, "kill", "signals"),
    (_thread, "interrupt_main", "signals"),
    (os, "fork", "processes"),
]
_FUNCTIONS += [(module, "run_coroutine_threadsafe", "threads") for module in (asyncio, asyncio.tasks)]
_AUDITED = {"subprocess.Popen": "processes", "os.posix_spawn": "processes", "os.system": "processes"}

# Who uses these doors for whatever test: a runner for its Ctrl-C, an executor for its workers; the loop's own methods,
# the loop where it closes and a child watcher where it is attached.
_BY_ITSELF = ("asyncio.", "concurrent.futures.", "test.support")
_BY_THE_LOOP = ("asyncio.unix_events",)


class Notes:
    """What one test did: whether it asked for a loop, and what it is about."""

    def __init__(self):
        self.asked = False
        self.about = set()
        self.worlds = contextlib.ExitStack()  # the worlds that the test lives in, left at its end

    def end(self):
        """Forget the test; the thread is as it was before."""
        self.worlds.close()
        self.__init__()


def _noted(notes, function, about, by_itself=_BY_ITSELF):
    @functools.wraps(function)
    def noted(*args, **kwargs):
        if not sys._getframe(1).f_globals.get("__name__", "").startswith(by_itself):
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

    methods = {
        name: _noted(notes, getattr(stock, name), about, _BY_THE_LOOP)
        for name, about in _LOOP_METHODS.items()
        if hasattr(stock, name)
    }
    loop = type(stock.__name__, (stock,), {"__init__": __init__, "__module__": stock.__module__, **methods})
    return loop


def _virtual(notes):
    """Our loop: the test lives in its world from here on, sockets that it makes outside of any coroutine included."""
    main = threading.get_ident()

    def __init__(self, selector=None):
        notes.asked = True
        if selector is not None:
            selector.close()  # ours has its own
        super(loop, self).__init__()
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


def open_doors(notes, arm):
    """Make every loop that this process asks asyncio for one of the arm ("stock" or "virtual"), and watch."""
    if arm == "virtual":
        loop = _virtual(notes)
        bare = _with_own_selector(loop)
    else:
        loop = _watched(notes, asyncio.SelectorEventLoop)
        bare = _watched(notes, asyncio.BaseEventLoop)
    if arm == "virtual" and hasattr(unix_events, "SafeChildWatcher"):  # to 3.13
        # Its signal handler is in the way of all tests of event loops, not only of those with children.
        unix_events.SafeChildWatcher.attach_loop = lambda watcher, loop: None
    policy = getattr(unix_events, "_UnixDefaultEventLoopPolicy", None) or unix_events._DefaultEventLoopPolicy
    policy._loop_factory = staticmethod(loop)
    asyncio.SelectorEventLoop = unix_events.SelectorEventLoop = loop
    asyncio.BaseEventLoop = bare  # test_runners and test_pep492 ask for it, and mock its selector
    if hasattr(asyncio, "EventLoop"):  # from 3.13 on
        asyncio.EventLoop = unix_events.EventLoop = loop
    for module, name, about in _FUNCTIONS:
        setattr(module, name, _noted(notes, getattr(module, name), about))
    threading.Thread.start = _noted(notes, threading.Thread.start, "threads")
    sys.addaudithook(lambda event, args: event in _AUDITED and notes.about.add(_AUDITED[event]))
