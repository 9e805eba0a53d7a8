"""Names that modules bound before: `from time import monotonic`, at the top of a program or of a library.

Owns the list of those names in the modules that are loaded, and puts there what stands in the function's own module
while a thread is sealed (hermetic.py puts it there). The rule that keeps it simple: only a C function is looked for,
only as a global of a module, and only under its own name. Who keeps it under another one (`REAL = time.monotonic`)
means the real one; the standard library does so too, for its threads and queues wait for the real world.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable
from typing import Any, NamedTuple

from ...introspection.modules import is_plumbing


class _Binding(NamedTuple):
    """One name of one module that is one of the functions."""

    names: dict[str, Any]  # the module's globals
    name: str
    function: Any
    home: dict[str, Any]  # the globals of the function's own module


class Bindings:
    """Where the C functions among `doors`, pairs of a module and a name in it, are bound in other modules."""

    def __init__(self, doors: Iterable[tuple[Any, str]]) -> None:
        self._doors = [(name, vars(owner)[name], vars(owner)) for owner, name in doors
                       if isinstance(vars(owner).get(name), types.BuiltinFunctionType)]
        self._seen: dict[str, types.ModuleType] = {}
        self._looked: tuple[int, Any] = 0, None  # how many modules there were, and the last of them, at the last look
        self._found: list[_Binding] = []
        self._replaced: list[tuple[_Binding, Any]] = []

    def arm(self) -> None:
        """Put there what stands in the functions' own modules now."""
        looked = len(sys.modules), next(reversed(sys.modules.values()))
        if looked != self._looked:
            self._looked = looked
            self._look_through_modules()
        for binding in self._found:
            if binding.names.get(binding.name) is binding.function:
                ours = binding.names[binding.name] = binding.home[binding.name]
                self._replaced.append((binding, ours))

    def disarm(self) -> None:
        """Put back what was there; whoever bound the name anew meanwhile keeps it."""
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
            self._found += [_Binding(names, name, function, home) for name, function, home in self._doors
                            if names.get(name) is function]
