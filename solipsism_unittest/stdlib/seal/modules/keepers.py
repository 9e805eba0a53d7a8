"""Who has kept a method of a class: a tool that blocks the network calls what it has replaced.

Owns where such a method is looked for: in the globals of a module, and in what is there, one step further each:

    a class of the module        its attributes
    a function, a partial one    default arguments, closure
    a dict or list               its values
    an object of such a class    its attributes

and on from functions to functions. Whoever has a method there has from now on, and for good, what it leads to, under
whatever name.
"""

from __future__ import annotations

import functools
import operator
import types
from collections.abc import Iterator, Mapping
from typing import Any

from ....introspection.modules import written_on

_METHODS = (types.MethodDescriptorType, types.FunctionType)
_WRAPPERS = (staticmethod, classmethod)
_FUNCTIONS = (types.FunctionType, functools.partial)
_MANY = 100  # things in a dict or list; one of more is data, which is not looked through


class Keepers:
    """Gives those who have kept one of some methods what it leads to."""

    def __init__(self, leads_to: Mapping[Any, Any]) -> None:
        self._leads_to = leads_to
        self._ours: frozenset[int] = frozenset()  # ids of what we have made, which calls what it stands for

    def serve(self, names: dict[str, Any], module_name: str) -> None:
        """Look through the globals of a module."""
        for name, value in names.copy().items():
            ours = self._instead(value)
            if ours is not value:
                names[name] = ours
            elif type(value) is type and value.__module__ == module_name:
                for attribute, kept in list(vars(value).items()):
                    ours = self._instead(kept)
                    if ours is not kept:
                        setattr(value, attribute, ours)
                    else:
                        self.look_into(kept)
            else:
                self.look_into(value, module_name)

    def look_into(self, value: Any, module_name: str = "") -> None:
        """Serve what a value of this module has, and the functions among that."""
        if len(self._ours) != len(self._leads_to):
            self._ours = frozenset(map(id, self._leads_to.values()))
        seen: set[int] = set()
        line = [value.__func__ if type(value) in _WRAPPERS else value]
        while line:
            value = line.pop()
            if id(value) in seen or id(value) in self._ours:
                continue
            seen.add(id(value))
            if type(value) is types.FunctionType:
                line += self._parts_of_function(value)
            elif type(value) is functools.partial:
                line += self._parts_of_partial(value)
            else:
                line += filter(_is_function, self._values(_inside(value, module_name)))

    def _instead(self, value: Any) -> Any:
        return self._leads_to.get(value, value) if type(value) in _METHODS else value

    def _parts_of_function(self, function: types.FunctionType) -> Iterator[Any]:
        """Serve one; yields what it has now."""
        if function.__defaults__:
            ours = tuple(map(self._instead, function.__defaults__))
            if any(map(operator.is_not, ours, function.__defaults__)):
                function.__defaults__ = ours
            yield from ours
        yield from self._values(function.__kwdefaults__)
        for cell in function.__closure__ or ():
            try:
                kept = cell.cell_contents
            except ValueError:  # nothing is bound to the name
                continue
            ours = self._instead(kept)
            if ours is not kept:
                cell.cell_contents = ours
            yield ours

    def _parts_of_partial(self, partial: Any) -> Iterator[Any]:
        parts = partial.func, *partial.args
        ours = tuple(map(self._instead, parts))
        if any(map(operator.is_not, ours, parts)):
            partial.__setstate__((ours[0], ours[1:], partial.keywords, vars(partial)))
        yield from ours

    def _values(self, things: Any) -> Iterator[Any]:
        """Serve a dict or list; yields what is in it now."""
        if not things or len(things) > _MANY:
            return
        for key, kept in list(things.items() if type(things) is dict else enumerate(things)):
            ours = self._instead(kept)
            if ours is not kept:
                things[key] = ours
            yield ours


def _is_function(value: Any) -> bool:
    return type(value) in _FUNCTIONS


def _inside(value: Any, module_name: str) -> Any:
    """The dict or list that a value is, or the attributes of an object whose class the module has; None for neither."""
    kind = type(value)
    if kind is dict or kind is list:
        return value
    if (type(kind) is type and kind.__module__ == module_name
            and type(written_on(kind, "__dict__")) is types.GetSetDescriptorType):  # not an idea of its own
        return object.__getattribute__(value, "__dict__")
    return None
