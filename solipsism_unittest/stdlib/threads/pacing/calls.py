"""Sleeping, starting and joining of threads that take turns, those of `_thread` among them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf, isnan, nextafter
from threading import enumerate as all_threads

from ....introspection.modules import OWN_NAME
from ....introspection.names import name_of
from ....introspection.places import Place
from .baton import Baton, really
from .locks import block
from .patience import PATIENCE
from .record import DONE, Over, Record, Why

_YIELDS = 100  # sleeps of no time at one instant, after which time goes on by one float


def sleep(baton: Baton, real: Callable[[float], None], seconds: float) -> None:
    """`time.sleep`: until then the others have their turns, and time goes on."""
    me = baton.here()
    if me is None or not isinstance(seconds, (int, float)) or not seconds >= 0:
        real(seconds)  # which raises where it is no duration
        return
    baton.take_turn(me)
    deadline = baton.now + seconds
    if deadline == baton.now:
        if baton.is_held():  # no deadline comes, and this one is here
            baton.let_others_run(me, PATIENCE)
            return
        if me.looks_at != deadline:
            me.looks_at, me.looks = deadline, 0
        me.looks += 1
        if seconds or me.looks >= _YIELDS:
            deadline = nextafter(deadline, inf)
    baton.wait(me, Why(f"time.sleep({seconds!r})"), deadline)


def record_of(thread: threading.Thread) -> Record | None:
    """The record of a thread that was started in a world; None for any other."""
    record = vars(thread).get(OWN_NAME)
    return record if isinstance(record, Record) else None


def start(baton: Baton, real: Callable[[threading.Thread], None], thread: threading.Thread, run: Callable[[], None],
          place: Place | None, *, is_free: bool, is_worker: bool) -> None:
    """Start a thread that runs this, and takes turns, or is free to run on."""
    if record_of(thread) is not None:  # somebody has put what starts threads into something of his own: we are inside
        real(thread)
        return
    record = baton.new_record(thread.name, place)
    record.is_free, record.is_worker = is_free, is_worker
    vars(thread)[OWN_NAME] = record

    def paced() -> None:
        try:
            baton.begin(record)
            run()
        except Over:  # which Python would print
            pass
        finally:
            baton.leave(record.ident)

    thread.run = paced  # type: ignore[method-assign]
    try:
        with really(baton):  # the new thread says that it is there before it takes part
            real(thread)
    except BaseException:
        if thread in all_threads():  # Ctrl-C, while it had not said so yet
            baton.stand_in_line(record)
        else:
            del vars(thread)[OWN_NAME]
        raise
    baton.stand_in_line(record)


class BareThread:
    """A thread of `_thread.start_new_thread`, which has no `Thread`. It is what the new thread calls, too."""

    daemon = True  # Python waits for none of them

    def __init__(self, baton: Baton, function: Callable[..., object], run: Callable[[], None], place: Place | None,
                 *, is_free: bool) -> None:
        self.name = name_of(function)
        self._baton, self._function, self._run = baton, function, run
        self._record = baton.new_record(self.name, place)
        self._record.is_free = is_free

    def __call__(self) -> None:
        try:
            self._baton.begin(self._record)
            self._run()
        finally:
            self._baton.leave(self._record.ident)

    def __repr__(self) -> str:
        return repr(self._function)  # Python prints it where the function raises

    @property
    def ident(self) -> int | None:
        """Its number, as soon as it has begun."""
        return self._record.ident or None

    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._record.state is not DONE

    def start(self, real: Callable[[BareThread, tuple[()]], int]) -> int:
        """Start it; give its number."""
        number = real(self, ())
        self._baton.stand_in_line(self._record)
        return number


def join(baton: Baton, real: Callable[..., None], thread: threading.Thread, timeout: float | None = None) -> None:
    """`Thread.join`."""
    me, record = baton.here(), record_of(thread)
    if me is not None and record is not None and record is not me and record.baton is baton \
            and record.state is not DONE and not (timeout is not None and isnan(timeout)):
        limit = None if timeout is None else max(timeout, 0)
        why = Why(f"the end of thread {thread.name}", thread)
        if block(baton, me, lambda: record.state is DONE, limit, record.joiners, why) is False:
            return
        timeout = None if record.state is DONE else timeout
    real(thread, timeout)  # it has only its last microseconds to go


def is_alive(real: Callable[[threading.Thread], bool], thread: threading.Thread) -> bool:
    """`Thread.is_alive`: one that has had its last turn is not, whatever the real thread is at."""
    record = record_of(thread)
    if record is not None and record.state is DONE and thread is not threading.current_thread() and thread.ident:
        threading.Thread.join(thread)
    return real(thread)
