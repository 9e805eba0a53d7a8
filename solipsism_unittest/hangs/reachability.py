"""Whether a task that waits can ever go on, by reasoning: can anything that will still run reach it?

Owns the walk over the heap. It begins at what will run: timers, what is in flight, sockets that somebody may write to,
other threads. It follows every reference. A future knows whom it wakes and an Event knows its waiters, so whoever could
wake a task reaches it. A task that is not reached sleeps for ever, even if a heartbeat beside it keeps the clock
moving. The walk never says so wrongly: where it cannot see, the task counts as reached.

The loop, its machine and the test case's own state know every task, so the walk does not go through them. A function
reaches the globals that its code names, and of modules the attributes that it names.
"""

from __future__ import annotations

import asyncio
import builtins
import functools
import itertools
import signal
import sys
import types
import unittest
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from gc import get_referents, get_referrers
from selectors import SelectorKey
from sys import getrefcount
from typing import Any, NoReturn, Protocol

from ..introspection.debuggers import MEASURE
from ..introspection.handles import module_of_callback, turn_words
from ..introspection.modules import OWN_NAME, globals_of, is_ours, is_plumbing, module_of, outward, root_of
from ..introspection.places import Place
from ..introspection.tasks import members_of, waiter_of
from ..introspection.threads import Real, frame_of, idents
from ..kernel import Kernel
from ..kernel.clock import Hold, VirtualClock
from ..kernel.descriptors.file import File
from ..kernel.descriptors.stream import Stream
from ..kernel.descriptors.transitions import CONNECTED, LISTENING
from ..kernel.journal import Journal
from ..kernel.network.network import Network
from ..kernel.network.ports import Ports
from ..kernel.network.udp import Udp
from ..kernel.network.unix import Paths
from ..kernel.network.wire.lanes import Train
from ..stdlib.threads.jobs import Jobs
from ..stdlib.worlds import World, bystanders

FARTHEST = 2_000_000  # objects that a walk visits; a task beyond them counts as reached

# Their functions name things that know every task and every test, but touch none of them on their own.
_MACHINERY = frozenset({"asyncio", "unittest"})
_STANDARD = sys.stdlib_module_names
# These keep what they have met (caches of types, finders of modules, who measures), and run nothing of it on their own.
_INERT = frozenset({"typing", "importlib", "_frozen_importlib", "_frozen_importlib_external", "runpy",
                    "pkgutil", "inspect", "pdb", "bdb", *MEASURE})
# A thread whose frames are all of these holds nothing beyond its local variables.
_WAITING_ROOMS = frozenset({"concurrent", "queue", "threading"})
# Code that uses one of these names can get at every task, or at things that no walk foresees.
_OMNISCIENT = frozenset({"all_tasks", "_all_tasks", "_cancel_all_tasks", "get_objects", "get_referrers",
                         "_current_frames", "import_module", "__import__", "exec", "eval", "doCleanups"})
_WHOLE_MODULE = frozenset({"globals", "vars", "locals", "__dict__", "__globals__", "getattr"})
_CONNECTS = frozenset({"open_connection", "create_connection", "connect", "connect_ex", "sock_connect", "sendto",
                       "sock_sendto", "sendmsg", "open_unix_connection", "create_unix_connection",
                       "create_datagram_endpoint"})
_THE_WORLD = frozenset({"network", "kernel"})

_CUT = (asyncio.AbstractEventLoop, asyncio.Runner, World, Kernel, VirtualClock, Journal, Network, Paths, Ports,
        Udp, Hold, Place)
_LOOPS_OWN = frozenset({"_ready", "_scheduled", "_selector", "_transports", "_asyncgens"})
_TESTS_OWN = frozenset({"_asyncioRunner", "_asyncioTestContext", "_cleanups", "_outcome", OWN_NAME})
_PROXIES = (weakref.ProxyType, weakref.CallableProxyType)
_HAS_GC = 1 << 14  # Py_TPFLAGS_HAVE_GC: instances show what they refer to


Referents = Callable[[Any], Iterable[object]]


class Selector(Protocol):
    """What a walk asks a loop's selector: what is registered, and the jobs of its world."""

    @property
    def keys(self) -> Mapping[int, SelectorKey]:
        """What is registered, by descriptor."""

    @property
    def jobs(self) -> Jobs:
        """What other threads do for this world."""


class Inventory(Protocol):
    """What a walk asks a loop's inventory: what will run."""

    def timers(self) -> Sequence[asyncio.TimerHandle]:
        """The pending timers, the next one first."""

    def ready(self) -> Sequence[asyncio.Handle]:
        """The handles that run in the next turn."""


class Loop(Protocol):
    """What a walk reads of a loop; whatever else a program keeps on it counts as the program's."""

    @property
    def kernel(self) -> Kernel:
        """The machine that the loop runs on."""

    @property
    def selector(self) -> Selector:
        """Where the loop waits."""

    @property
    def inventory(self) -> Inventory:
        """What the program has made on the loop."""


class Unseen(Exception):  # noqa: N818 - no error: it says where a walk ends
    """The walk met something whose references nobody can see."""


def can_go_on(main: asyncio.Future[Any], loop: Loop) -> bool:
    """Whether anything that `loop` will still run, or anybody else, might wake `main`."""
    try:
        roots, open_ends = [*_roots(loop), *_threads()], _open_ends(loop)
        walk = Walk(loop)
        if any(thing is main for thing in walk.things(roots)):
            return True
        # A listener goes on when somebody connects: code that runs and says so.
        if walk.connects and any(thing is main for thing in walk.things([*roots, *open_ends])):
            return True
    except Unseen:
        return True
    return _held_by_the_unseen(list(_ends(main)))


def movers(loop: Loop) -> list[str]:
    """Who keeps the clock moving, in words: the owners of the timers, the next one first."""
    words = Counter(_mover(timer, loop) for timer in loop.inventory.timers())
    actions = [action for *_, action in loop.kernel.clock.deliveries]
    flying = sum(len(action.passages) if isinstance(action, Train) else 1 for action in actions)
    said = [f"{who} ({count} timers)" if count > 1 else who for who, count in words.items()]
    return said + ([f"what is in flight ({flying})"] if flying else [])


def _mover(timer: asyncio.TimerHandle, loop: Loop) -> str:
    callback, args = timer._callback, timer._args  # type: ignore[attr-defined]
    if is_plumbing(module_of_callback(callback)):  # the end of a sleep() or a timeout(): whose?
        # Most are a sleep that a task awaits, and there may be many: no walk is needed for those.
        near = [getattr(waker, "__self__", None) for future in args[:1] if issubclass(type(future), asyncio.Future)
                for waker, _ in future._callbacks or ()]
        for thing in itertools.chain(near, Walk(loop).things([args, callback])):
            if issubclass(type(thing), asyncio.Task):
                return f"task {thing.get_name()}"  # type: ignore[attr-defined]
    return turn_words(timer)


# -- where a walk begins


def _roots(loop: Loop) -> Iterator[object]:
    """What will run, as far as this thread is concerned."""
    clock, selector = loop.kernel.clock, loop.selector
    if selector.jobs.line:  # jobs that have let go of the clock: what they will do is not known
        raise Unseen
    yield from loop.inventory.timers()
    yield from loop.inventory.ready()
    yield from (entry[2] for entry in [*clock.deliveries, *clock.stops])
    for file, key in _watched(loop):
        # A connected stream only goes on through whoever reaches its peer, a listener through whoever connects.
        if not isinstance(file, Stream) or file.state not in CONNECTED | {LISTENING}:
            yield from (file, key.data)
    # The program's own handlers and factories, and whatever it keeps on the loop.
    for name, value in vars(loop).items():
        if name not in _LOOPS_OWN and not is_ours(str(type(value).__module__)):
            yield value
    for number in signal.valid_signals():
        handler = signal.getsignal(number)
        if not callable(handler):
            continue
        module = module_of_callback(getattr(handler, "func", handler))
        if not is_plumbing(module) and not module.startswith("pytest"):  # Ctrl-C and time limits are nobody's plan
            yield handler


def _open_ends(loop: Loop) -> list[object]:
    """The listeners: whoever knows the address may connect."""
    return [thing for file, key in _watched(loop) if isinstance(file, Stream) and file.state == LISTENING
            for thing in (file, key.data)]


def _watched(loop: Loop) -> list[tuple[File | None, SelectorKey]]:
    """The files that the loop waits for, with the keys of its selector."""
    return [(loop.kernel.files.get(number), key) for number, key in loop.selector.keys.items()]


def _threads() -> Iterator[object]:
    """What other threads hold; Unseen where one runs code of the program.

    Only the local variables of a frame show. What it holds on its stack does not: the context manager of a `with`, the
    iterator of a `for`.
    """
    others = {Real.get_ident(), *(thread.ident for thread in bystanders if thread.is_alive())}
    for frame in filter(None, map(frame_of, idents() - others)):
        for outer in outward(frame):
            module = root_of(module_of(outer))
            if module in _WAITING_ROOMS:
                yield from list(outer.f_locals.values())
            elif not is_ours(module):
                raise Unseen


# -- the walk


class Walk:
    """One walk over the heap of a loop's program."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._kinds: dict[type, Referents] = {}  # how the instances of a type show what they refer to
        self.connects = False  # whether the walk met code with a name for reaching an address
        # Every file of the world; every module of the process.
        self._cut = {id(loop.kernel.awake), id(loop.selector), id(sys.modules), id(vars(builtins))}

    def things(self, roots: Iterable[object]) -> Iterator[object]:
        """Everything reached from `roots`, each once, the nearest first. Unseen where it cannot be known."""
        seen: dict[int, object] = {}  # and kept: an id is unique only among what lives
        todo = deque(roots)
        kinds = self._kinds
        while todo:
            thing = todo.popleft()
            number = id(thing)
            if number in seen or number in self._cut:
                continue
            if len(seen) >= FARTHEST:
                raise Unseen
            seen[number] = thing
            yield thing
            kind = type(thing)
            referents = kinds.get(kind)
            if referents is None:
                referents = kinds[kind] = self._referents_of(kind)
            todo.extend(referents(thing))

    def _referents_of(self, kind: type) -> Referents:
        if root_of(str(kind.__module__)) in _INERT and not issubclass(kind, type):  # a metaclass makes user classes
            return self._nothing
        if issubclass(kind, _CUT) or kind in (types.CodeType, types.BuiltinFunctionType):
            return self._builtin if kind is types.BuiltinFunctionType else self._nothing
        for base, referents in ((types.FunctionType, self._function), (types.ModuleType, self._module),
                                (weakref.ref, self._reference), (unittest.TestCase, self._test),
                                (types.FrameType, self._frame), (File, self._file)):
            if issubclass(kind, base):
                return referents
        if kind in _PROXIES:
            return self._proxy
        return self._opaque if _hides(kind) else get_referents

    @staticmethod
    def _nothing(thing: object) -> tuple[()]:
        return ()

    @staticmethod
    def _opaque(thing: object) -> NoReturn:
        raise Unseen

    @staticmethod
    def _builtin(thing: types.BuiltinFunctionType) -> tuple[object, ...]:
        # A method has its object. A function has its module, and uses nothing of it by name.
        return () if issubclass(type(thing.__self__), types.ModuleType) else (thing.__self__,)

    @staticmethod
    def _reference(thing: weakref.ref[Any]) -> list[object]:
        return [*get_referents(thing), weakref.ref.__call__(thing)]

    @staticmethod
    def _proxy(thing: Any) -> list[object]:
        try:
            return [*get_referents(thing), thing.__init__.__self__]
        except ReferenceError:
            return []

    @staticmethod
    def _frame(thing: types.FrameType) -> list[object]:
        # A tracer (coverage, a debugger) is no part of the program.
        return [referent for referent in get_referents(thing) if referent is not thing.f_trace]

    @staticmethod
    def _test(thing: object) -> list[object]:
        return [type(thing), *(value for name, value in vars(thing).items() if name not in _TESTS_OWN)]

    def _file(self, thing: File) -> list[object]:
        # Who has one end of a connection can wake the readers and writers of both.
        key = self._loop.selector.keys.get(thing.number)
        return [*get_referents(thing), *(key.data if key is not None else ())]

    @staticmethod
    def _module(thing: types.ModuleType) -> Iterable[object]:
        # Something refers to it as an object and not by name: it may use every attribute.
        return () if root_of(thing.__name__) in _STANDARD or is_ours(thing.__name__) else list(vars(thing).values())

    def _function(self, thing: types.FunctionType) -> list[object]:
        module = thing.__globals__.get("__name__") or ""
        if root_of(module) in _INERT:
            return []
        found: list[object] = [thing.__closure__, thing.__defaults__, thing.__kwdefaults__, thing.__dict__]
        if is_ours(module) or root_of(module) in _MACHINERY:
            return found
        names = _names(thing.__code__)
        self.connects = self.connects or not _CONNECTS.isdisjoint(names)
        if root_of(module) not in _STANDARD:
            if names & _OMNISCIENT or names >= {"sys", "modules"}:
                raise Unseen
            if names & _THE_WORLD:
                found += vars(self._loop.kernel.network).values()
            if names & _WHOLE_MODULE:
                found += thing.__globals__.values()
        return found + _named(names, thing.__globals__)


def _named(names: frozenset[str], namespace: dict[str, Any]) -> list[object]:
    """What code with these names finds among its globals, and in the modules among them."""
    found = []
    package = namespace.get("__package__") or ""
    outer = [package.rsplit(".", depth)[0] for depth in range(package.count(".") + 1)] if package else []
    spaces = [namespace]
    prefixes = ["", *(f"{each}." for each in outer)]
    modules = [sys.modules.get(prefix + name) for name in sorted(names) for prefix in prefixes]
    seen = {id(namespace)}
    while spaces or modules:
        while modules:
            module = modules.pop()
            names_there = globals_of(module)
            if names_there and id(names_there) not in seen:
                seen.add(id(names_there))
                spaces.append(names_there)
        if spaces:
            space = spaces.pop()
            for name in sorted(names & space.keys()):
                value = space[name]
                if issubclass(type(value), types.ModuleType):
                    modules.append(value)
                else:
                    found.append(value)
    return found


@functools.lru_cache(4096)
def _names(code: types.CodeType) -> frozenset[str]:
    """Every name that a piece of code uses, and what is defined in it."""
    return frozenset(code.co_names).union(*(_names(inner) for inner in code.co_consts
                                            if isinstance(inner, types.CodeType)))


def _hides(kind: type) -> bool:
    """Whether instances may have references that the garbage collector does not see: extension types may."""
    return any(not each.__flags__ & _HAS_GC and each.__base__ is not None
               and each.__basicsize__ > each.__base__.__basicsize__ and root_of(str(each.__module__)) not in _STANDARD
               for each in kind.__mro__)


# -- what no walk sees


def _ends(future: Any) -> Iterator[object]:
    """The futures at the ends of the chain, which somebody has to resolve."""
    seen: dict[int, object] = {}
    todo = [future]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen[id(each)] = each
        inner = [waiter_of(each)] if isinstance(each, asyncio.Task) else members_of(each)
        if inner:
            todo += inner
        else:
            yield each


def _held_by_the_unseen(ends: list[object]) -> bool:
    """Whether something that shows no references holds a future, for example a library's thread in C.

    The future then has more references than all objects together show. A probe measures those of this function.
    """
    ends.append(asyncio.Event())
    holders = get_referrers(*ends)
    shown = Counter(id(thing) for holder in holders for thing in get_referents(holder))
    hidden = [getrefcount(end) - shown[id(end)] for end in ends]
    return max(hidden[:-1], default=0) > hidden[-1]
