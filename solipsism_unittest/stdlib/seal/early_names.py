"""Names that modules bound before: `from time import monotonic`, at the top of a program or of a library.

Owns the list of those names in the modules that are loaded. While a thread is sealed, each of them holds the stand-in
that the function's own module has. The rule that keeps it simple: only a C function is looked for, only as a global of
a module, and only under its own name. Who keeps it under another name (`REAL = time.monotonic`) means the real
function. The standard library does so too: its threads and queues wait for the real world.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...introspection.modules import is_plumbing


class _Binding(NamedTuple):
    """One name in one module that holds one of the functions."""

    names: dict[str, Any]  # the module's globals
    name: str
    function: Any
    home: dict[str, Any]  # the globals of the function's own module


class Bindings:
    """Where other modules have bound the C functions among `names`, which are pairs of a module and a name in it."""

    def __init__(self, names: Iterable[tuple[Any, str]]) -> None:
        self._wanted = [(name, vars(owner)[name], vars(owner)) for owner, name in names
                        if isinstance(vars(owner).get(name), types.BuiltinFunctionType)]
        self._seen: dict[str, types.ModuleType] = {}
        self._looked: tuple[int, Any] = 0, None  # how many modules there were, and the last of them, at the last look
        self._found: list[_Binding] = []
        self._replaced: list[tuple[_Binding, Any]] = []

    def arm(self) -> None:
        """Bind each of them to what its function's own module holds now."""
        looked = len(sys.modules), next(reversed(sys.modules.values()))
        if looked != self._looked:
            self._looked = looked
            self._look_through_modules()
        for binding in self._found:
            if binding.names.get(binding.name) is binding.function:
                ours = binding.names[binding.name] = binding.home[binding.name]
                self._replaced.append((binding, ours))

    def disarm(self) -> None:
        """Put back what was there. A name that somebody bound anew meanwhile is left alone."""
        for binding, ours in self._replaced:
            if binding.names.get(binding.name) is ours:
                binding.names[binding.name] = binding.function
        self._replaced.clear()

    def _look_through_modules(self) -> None:
        for module_name, module in sys.modules.copy().items():
            if self._seen.get(module_name) is module or not isinstance(module, types.ModuleType):
                continue
            self._seen[module_name] = module
            top = module_name.partition(".")[0]
            if is_plumbing(top) or (top in sys.stdlib_module_names and top != "__main__"):
                continue
            names = object.__getattribute__(module, "__dict__")  # one that loads itself on first use is left alone
            self._found += [_Binding(names, name, function, home) for name, function, home in self._wanted
                            if names.get(name) is function]
