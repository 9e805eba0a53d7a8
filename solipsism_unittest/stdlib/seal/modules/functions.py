"""What a function keeps: default arguments and closure; a partial one its arguments; what wraps one, the function.

Owns which kinds of things these are, and how one of what they keep is replaced there.
"""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ....introspection.modules import is_ours, written_on

MANY = 100  # things in a dict or list; one of more is data, which is not looked through
_Instead = Callable[[Any], Any]


def is_kind(thing: Any) -> bool:
    """Whether a thing is one that keeps others."""
    return type(thing) in _PARTS


def served(thing: Any, instead: _Instead) -> Iterable[Any]:
    """Give a thing `instead(part)` for each part that it keeps, where it can be replaced; yields what it has now."""
    parts = _PARTS.get(type(thing))
    return () if parts is None else parts(thing, instead)


def values_served(things: Any, instead: _Instead) -> Iterator[Any]:
    """The same of a dict or list."""
    if not things or len(things) > MANY:
        return
    for key, kept in list(things.items() if type(things) is dict else enumerate(things)):
        ours = instead(kept)
        if ours is not kept:
            things[key] = ours
        yield ours


def inside(value: Any, module_name: str) -> Any:
    """The dict or list that a value is, or the attributes of an object whose class the module has; None for neither."""
    kind = type(value)
    if kind is dict or kind is list:
        return value
    if (type(kind) is type and kind.__module__ == module_name
            and type(written_on(kind, "__dict__")) is types.GetSetDescriptorType):  # not an idea of its own
        return object.__getattribute__(value, "__dict__")
    return None


def _of_function(function: types.FunctionType, instead: _Instead) -> Sequence[Any]:
    defaults, by_keyword, closure = function.__defaults__, function.__kwdefaults__, function.__closure__
    parts = [*_of_wrapper(function, instead)]
    if not (defaults or by_keyword or closure) or is_ours(str(function.__globals__.get("__name__"))):
        return parts  # as most; a stand-in keeps what it stands for
    if defaults:
        ours = tuple(map(instead, defaults))
        if any(map(operator.is_not, ours, defaults)):
            function.__defaults__ = ours
        parts += ours
    if by_keyword:
        parts += values_served(by_keyword, instead)
    for cell in closure or ():
        try:
            kept = cell.cell_contents
        except ValueError:  # nothing is bound to the name
            continue
        here = instead(kept)
        if here is not kept:
            cell.cell_contents = here
        parts.append(here)
    return parts


def _of_partial(partial: Any, instead: _Instead) -> Iterator[Any]:
    parts = partial.func, *partial.args
    ours = tuple(map(instead, parts))
    if any(map(operator.is_not, ours, parts)):
        partial.__setstate__((ours[0], ours[1:], partial.keywords, vars(partial)))
    yield from ours
    yield from values_served(partial.keywords, instead)


def _of_partial_method(partial: Any, instead: _Instead) -> Iterator[Any]:
    partial.func, partial.args = instead(partial.func), tuple(map(instead, partial.args))
    yield partial.func
    yield from partial.args
    yield from values_served(partial.keywords, instead)


def _of_wrapper(wrapper: Any, instead: _Instead) -> Sequence[Any]:
    wrapped = getattr(wrapper, "__wrapped__", None)  # not by vars(): that makes a dict for each function
    return () if wrapped is None else (wrapped,)


_PARTS: dict[type, Callable[[Any, _Instead], Iterable[Any]]] = {
    types.FunctionType: _of_function,
    functools.partial: _of_partial,
    functools.partialmethod: _of_partial_method,
    staticmethod: lambda method, instead: (method.__func__,),
    classmethod: lambda method, instead: (method.__func__,),
    property: lambda one, instead: (one.fget, one.fset, one.fdel),
    functools.cached_property: lambda one, instead: (one.func,),
    functools.singledispatchmethod: lambda one, instead: (one.func,),
    functools._lru_cache_wrapper: _of_wrapper,
}
