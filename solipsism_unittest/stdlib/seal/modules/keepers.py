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

import types
from collections.abc import Mapping
from typing import Any

from . import functions

_METHODS = (types.MethodDescriptorType, types.FunctionType)


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
        line = [value]
        while line:
            value = line.pop()
            if id(value) in seen or id(value) in self._ours:
                continue
            seen.add(id(value))
            if functions.is_kind(value):
                line += functions.served(value, self._instead)
            else:
                line += filter(functions.is_kind,
                               functions.values_served(functions.inside(value, module_name), self._instead))

    def _instead(self, value: Any) -> Any:
        return self._leads_to.get(value, value) if type(value) in _METHODS else value
