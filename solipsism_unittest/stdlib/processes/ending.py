"""What an interpreter does when its program is over: it waits for the threads, then the functions of `atexit` run.

Owns both of one program, and what module atexit is to it; and that its threads do not go on after that. What a module
registers while it is imported stays with the runner, as the module does, and so does what the standard library
registers.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from sys import _getframe
from typing import Any, TypeVar

from ...introspection.modules import is_of_standard_library
from ...pythons import IGNORED_AT_EXIT
from ..holdings import Threads, holding
from ..threads.pacing.record import Over
from ..worlds import World, outermost
from .process import within
from .surroundings import surroundings_here

__unittest = True
__tracebackhide__ = True

T = TypeVar("T")
Ignore = Callable[[str, BaseException], None]  # tells of an error that ends nothing, below this title


class Ended(SystemExit):
    """A signal or os._exit() ends the program: raised in its main thread, for there is no other way out of it."""


class Ending:
    """What is left to do at the end of one program."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._at_work: dict[int, World] = {}  # threads that run code of the program, and where
        self._is_over = False
        self._pools: list[weakref.ref[Any]] = []
        self._functions: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []

    def note(self, thread: threading.Thread, pool: Any) -> None:
        """The program starts a thread; one of a pool counts where the program has made that."""
        if pool is None or any(known() is pool for known in self._pools):
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)

    def note_pool(self, pool: Any) -> None:
        """The program makes a pool of threads."""
        self._pools.append(weakref.ref(pool))

    def hosted(self, world: World, function: Callable[..., T]) -> Callable[..., T | None]:
        """Make what a thread runs for the program, at most until that is over. What it starts as it unwinds runs."""
        holdings = holding.get()
        unwinds = holdings is not None and holdings.is_over

        def run(*args: Any, **kwargs: Any) -> T | None:
            if self._is_over or holdings is not None and holdings.is_over and not unwinds:
                return None
            ident = threading.get_ident()
            self._at_work[ident] = world
            try:
                return function(*args, **kwargs)
            except (Over, Ended):  # nobody is there to hear of it
                return None
            except BaseException:
                process = within.get()
                if holdings is None or not holdings.is_over or process is not None and process.main == ident:
                    raise
                return None  # it comes of the program's end
            finally:
                del self._at_work[ident]
                world.baton.lives_on(ident)

        return run

    def end_threads(self, world: World, but: int) -> None:
        """The process is no more: its threads come no further than to their next wait, but for one that cleans up."""
        for ident, its_world in list(self._at_work.items()):
            if ident not in (but, threading.get_ident()):
                its_world.baton.end(ident)
        of_loop = getattr(outermost(world).loop, "_default_executor", None)
        for known in self._pools:
            if (pool := known()) is not None and pool is not of_loop:
                pool.shutdown(wait=False, cancel_futures=True)

    def end(self, world: World) -> None:
        """All of it is over: nothing new begins, either."""
        self._is_over = True
        self.end_threads(world, 0)

    def __bool__(self) -> bool:
        return bool(self._threads or self._functions)

    def run(self, ignore: Ignore) -> None:
        """Do it."""
        try:
            for known in self._pools:
                if (pool := known()) is not None:
                    pool.shutdown(wait=False)  # its jobs come to their end
            while self._threads:  # one may start another
                thread = self._threads.pop(0)
                if not thread.daemon and thread is not threading.current_thread():  # which runs the program
                    thread.join()
        except BaseException as error:
            ignore("Exception ignored on threading shutdown:", error)
        self.run_functions(ignore)

    def run_functions(self, ignore: Ignore) -> None:
        """Run those that are registered, the last first."""
        while self._functions:
            function, args, kwargs = self._functions.pop()
            try:
                function(*args, **kwargs)
            except BaseException as error:
                ignore(IGNORED_AT_EXIT % (function,), error)

    def register(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run this function at the end."""
        self._functions.append((function, args, kwargs))

    def unregister(self, function: Any) -> bool:
        """Run a function no more; False where it is not registered."""
        before = len(self._functions)
        self._functions = [each for each in self._functions if each[0] != function]
        return len(self._functions) < before


def ending_here(world: World) -> Ending | None:
    """That of the program that runs here; None for no program."""
    around = surroundings_here()
    if around is None and world.around is None and world.process is None:
        return None
    found = around.ending if around is not None else getattr(outermost(world).process, "ending", None)
    return found if isinstance(found, Ending) else None


def threads_here(world: World) -> Threads | None:
    """How the threads end that are started here; None for no program."""
    ending, holdings = ending_here(world), holding.get()
    return holdings.threads if ending is None and holdings is not None else ending


# -- module atexit


def register(world: World, real: Callable[..., Any], /, *given: Any, **kwargs: Any) -> Any:
    """As atexit.register()."""
    ending, code = ending_here(world), _getframe(2).f_code
    if ending is None or not given or not callable(given[0]) or code.co_name == "<module>" \
            or is_of_standard_library(code.co_filename):
        return real(*given, **kwargs)
    ending.register(given[0], given[1:], kwargs)
    return given[0]


def unregister(world: World, real: Callable[[Any], None], function: Any, /) -> None:
    """As atexit.unregister()."""
    ending = ending_here(world)
    if ending is None or not ending.unregister(function):
        real(function)


ANSWERS = {"register": register, "unregister": unregister}
