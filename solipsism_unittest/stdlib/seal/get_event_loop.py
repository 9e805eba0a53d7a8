"""What `forbid_get_event_loop` forbids: asking `asyncio.get_event_loop()` which loop there happens to be.

Owns the hooks that see such a call, and the list of those that were refused. asyncio's own calls pass: only the line
that makes the call counts, and one in a module of asyncio is nobody's mistake. While a test asks for it, there are two
kinds of hooks:

* The names in asyncio, and in the modules that bound them before, hold a function that refuses. C code that gets one of
  them (`call_soon`, `map`) is refused too.
* A program may keep the real C function elsewhere: under another name, as a default argument, in a class. The
  interpreter reports a call of it. From 3.12 on `sys.monitoring` does so in every thread, also for the policy's method
  and for a `functools.partial`. Python 3.11 has only `sys.setprofile`, and drops a profile function that raises: there
  the call is led into a function that raises. A profiler in C (cProfile) cannot be shared on 3.11: it goes on, and only
  the names are refused.

A call counts in the test's thread and in the threads of its world. An error that the program swallowed is kept, unless
assertRaises expected it: assertRaises takes the traceback off what it catches.
"""

from __future__ import annotations

import asyncio
import contextlib
import dis
import functools
import inspect
import sys
import threading
from asyncio import events
from collections.abc import Callable, Container, Iterator
from sys import _getframe
from types import FrameType, MethodType, ModuleType
from typing import Any, NoReturn

from ...introspection.places import user_place
from .. import worlds
from .modules.early_names import Bindings

__unittest = True
__tracebackhide__ = True

KEPT = 100  # errors: they hold frames
TOOLS = (4, 3, 5)  # the tool ids of sys.monitoring that are nobody's by convention come first

_MONITORING: Any = getattr(sys, "monitoring", None)  # 3.12+
_NAME = "get_event_loop"
_CURE = ("ask asyncio.get_running_loop() in coroutines and callbacks, self.loop in plain functions of a test, and let "
         "asyncio.Runner or asyncio.run() make the loop of a main program")
_BINDINGS = Bindings([(asyncio, _NAME)])
_CALLBACKS = asyncio.Handle._run.__code__  # what it calls is the program's


class Refusals:
    """The calls that were refused, for a test that runs on this thread; the errors are of the class `failure`."""

    def __init__(self, failure: type[BaseException]) -> None:
        self.errors: list[BaseException] = []
        self._failure = failure
        self._thread = threading.get_ident()
        self._world = worlds.world_here()

    def concern(self, frame: FrameType) -> bool:
        """Whether a call that `frame` makes in this thread is the test's."""
        if threading.get_ident() != self._thread and (self._world is None
                                                      or worlds.world_here() is not self._world):
            return False
        if frame.f_code is _CALLBACKS:
            return True
        module = str(frame.f_globals.get("__name__", ""))
        return module.partition(".")[0] != "asyncio" and module != __name__

    def refuse(self) -> NoReturn:
        """Raise the error, and keep it."""
        place = user_place(2)
        where = f" at {place}" if place is not None else ""
        error = self._failure(f"asyncio.get_event_loop() was called{where}, which forbid_get_event_loop forbids: what "
                              f"it answers depends on who calls it, and when\n  {_CURE}")
        if len(self.errors) < KEPT:
            self.errors.append(error)
        raise error

    def report(self, known: Container[int]) -> str:
        """The text about the errors that the program swallowed, or "" for none. All of them are forgotten.

        `known` has the ids of those that are reported already.
        """
        errors, self.errors = self.errors, []
        swallowed = dict.fromkeys(str(error) for error in errors
                                  if error.__traceback__ is not None and id(error) not in known)
        return "\n".join(f"{text}\n  the AssertionError that said so was swallowed" for text in swallowed)


@contextlib.contextmanager
def forbidden(failure: type[BaseException]) -> Iterator[Refusals]:
    """`with forbidden(AssertionError) as refusals:` no line of the program may call asyncio.get_event_loop()."""
    refusals = Refusals(failure)
    # Inside another test that forbids it, the names hold that test's functions.
    functions = [inspect.unwrap(value) for name, value in vars(events).items() if name.endswith(_NAME)]
    with (_monitored if _MONITORING else _profiled)(refusals, functions), _renamed(refusals):
        yield refusals


# -- by name


@contextlib.contextmanager
def _renamed(refusals: Refusals) -> Iterator[None]:
    modules = [asyncio, events, *filter(None, [sys.modules.get("_asyncio")])]
    replaced = [(module, name, _refusing(refusals, before), before) for module in modules
                for name, before in list(vars(module).items()) if name.endswith(_NAME)]
    for module, name, ours, _ in replaced:
        setattr(module, name, ours)
    _BINDINGS.arm()
    try:
        yield
    finally:
        _BINDINGS.disarm()
        for module, name, ours, before in replaced:
            _put_back(module, name, ours, before)


def _put_back(module: ModuleType, name: str, ours: Any, before: Any) -> None:
    if vars(module).get(name) is ours:  # whoever replaced it meanwhile keeps it
        setattr(module, name, before)


def _refusing(refusals: Refusals, before: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(before)
    def get_event_loop(*args: Any, **kwargs: Any) -> Any:
        if refusals.concern(_getframe(1)):
            refusals.refuse()
        return before(*args, **kwargs)

    return get_event_loop


# -- by what the interpreter reports: Python 3.12 and later


@contextlib.contextmanager
def _monitored(refusals: Refusals, functions: list[Any]) -> Iterator[None]:
    policy = getattr(events, "_event_loop_policy", None)  # 3.16 has none, and from 3.14 on asking for it warns
    on_call = _on_call(refusals, [*functions, getattr(type(policy), _NAME, None)])
    tool = next((number for number in TOOLS if _MONITORING.get_tool(number) is None), None)
    if tool is None:
        yield  # all are taken: the names have to do
        return
    _MONITORING.use_tool_id(tool, __name__)
    _MONITORING.register_callback(tool, _MONITORING.events.CALL, on_call)
    _MONITORING.set_events(tool, _MONITORING.events.CALL)
    try:
        yield
    finally:
        _MONITORING.set_events(tool, _MONITORING.events.NO_EVENTS)
        _MONITORING.register_callback(tool, _MONITORING.events.CALL, None)
        _MONITORING.free_tool_id(tool)


def _on_call(refusals: Refusals, functions: list[Any]) -> Callable[[object, int, Any, object], None]:
    wanted = {id(function) for function in functions}

    # It runs at every call that the program makes, so the common case is short. It cannot ask for fewer calls: one that
    # is disabled stays so for every function that is called at that place, and the next call may be of another one.
    def on_call(code: object, offset: int, function: Any, argument: object) -> None:
        while id(function) not in wanted:
            kind = type(function)
            if kind is MethodType:
                function = function.__func__
            elif kind is functools.partial:
                function = function.func
            else:
                return
        if refusals.concern(_getframe(1)):
            refusals.refuse()

    return on_call


# -- Python 3.11


@contextlib.contextmanager
def _profiled(refusals: Refusals, functions: list[Any]) -> Iterator[None]:
    policy = type(asyncio.get_event_loop_policy())
    own, inherited = vars(policy).get(_NAME), policy.get_event_loop
    setattr(policy, _NAME, _refusing_policy(refusals, inherited))
    earlier, threads = sys.getprofile(), threading.getprofile()
    ours = _profile(refusals, functions, earlier)
    if earlier is None or callable(earlier):  # else it is of C: nobody could call it, or set it again
        sys.setprofile(ours)
    threading.setprofile(_profile(refusals, functions, threads))
    try:
        yield
    finally:
        if sys.getprofile() is ours:
            sys.setprofile(earlier)
        threading.setprofile(threads)
        if own is None:
            delattr(policy, _NAME)
        else:
            setattr(policy, _NAME, own)


def _profile(refusals: Refusals, functions: list[Any], earlier: Any) -> Callable[[FrameType, str, Any], None]:
    wanted = {id(function) for function in functions}

    def profile(frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and id(function) in wanted and refusals.concern(frame):
            _lead_astray(refusals)
        if earlier is not None:
            earlier(frame, event, function)

    return profile


def _lead_astray(refusals: Refusals) -> None:
    """Make the C function that this thread is about to call ask the policy, as if no loop ran, and let that refuse."""
    policy, loop, thread = asyncio.get_event_loop_policy(), events._get_running_loop(), threading.get_ident()

    def get_event_loop() -> Any:
        if threading.get_ident() != thread:
            return type(policy).get_event_loop(policy)
        vars(policy).pop(_NAME)
        events._set_running_loop(loop)
        refusals.refuse()

    vars(policy)[_NAME] = get_event_loop
    events._set_running_loop(None)


def _refusing_policy(refusals: Refusals, before: Any) -> Callable[[Any], Any]:
    @functools.wraps(before)
    def get_event_loop(self: Any) -> Any:
        frame = _getframe(1)
        if _is_named(frame) and refusals.concern(frame):
            refusals.refuse()
        return before(self)

    return get_event_loop


def _is_named(frame: FrameType) -> bool:
    """Whether the call that `frame` makes is one of `get_event_loop`: asyncio.Future() asks the policy too, from C."""
    loads = [step.argval for step in dis.get_instructions(frame.f_code)
             if step.offset < frame.f_lasti and step.opname.startswith("LOAD_")]
    return loads[-1:] == [_NAME]
