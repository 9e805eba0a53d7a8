"""Names that modules bound before: `from time import monotonic`, at the top of a program or of a library.

Owns the list of those names in the modules that are loaded. While a thread is sealed, each of them holds the stand-in
that the function's own module has. The rule that keeps it simple: only a C function is looked for, only as a global of
a module, and only under its own name. Who keeps it under another name (`REAL = time.monotonic`) means the real
function. The standard library does so too: its threads and queues wait for the real world. Default arguments and their
like are in defaults.py.

Anything may stand in `sys.modules`, under any key, so nothing is asked of an entry but its true type; see globals_of().
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import itertools
import sys
import time
import types
from collections.abc import Iterable, Mapping
from typing import Any

from ....introspection.modules import globals_of, is_plumbing
from .defaults import Binding, Defaults, Names
from .keepers import Keepers

# Only a module that has one of these names is looked through for methods: a look at every value takes long.
_OWNERS = frozenset(("socket", "_socket", "asyncio"))
# A module that is loaded on its first use; it becomes a plain one then.
_LAZY = importlib.util._LazyModule  # type: ignore[attr-defined]


class Bindings:
    """Where other modules have bound the C functions among `names`, which are pairs of a module and a name in it.

    `lasting` are methods of classes, and what they lead to for who has kept one of them, see `Keepers`; a tool may have
    put such functions into `patched` classes. `kinds` are the types of what is looked for by name. `defaults` serves
    who keeps one as a default argument.
    """

    def __init__(self, names: Iterable[tuple[Any, str]], lasting: Mapping[Any, Any] = types.MappingProxyType({}),
                 patched: Iterable[type] = (), kinds: tuple[type, ...] = (types.BuiltinFunctionType,),
                 defaults: Defaults | None = None) -> None:
        self._defaults = defaults
        self._lasting = lasting
        self._keepers = Keepers(lasting)
        self._patched = list(patched)
        self._wanted = [(name, vars(owner)[name], vars(owner)) for owner, name in names
                        if isinstance(vars(owner).get(name), kinds)]
        self._seen: dict[str, types.ModuleType] = {}
        # At the last look: how many modules there were, the last of them, and what stood for the clock. A tool that
        # freezes time hides the functions that modules have bound.
        self._looked: tuple[int, Any, Any] = 0, None, None
        self._unfinished: dict[str, types.ModuleType] = {}  # those that have not all their names yet
        self._found: list[Binding] = []
        self._replaced: list[tuple[Names, str, Any, Any]] = []  # what was there, and what is there now

    def arm(self, only: str = "") -> None:
        """Bind each of them, or `only` those of one name, to what its function's own module holds now."""
        looked = len(sys.modules), last_module(), time.monotonic
        if looked != self._looked or self._unfinished and not all(map(_is_unfinished, self._unfinished.values())):
            if looked[2] is not self._looked[2]:
                self._seen.clear()
            self._look_through_modules()
            self._looked = looked
        handlers = () if self._defaults is None else self._defaults.handlers()
        for names, name, thing, home in itertools.chain(self._found, handlers):  # by attributes it takes long
            if names.get(name) is thing and only in ("", name):
                ours = names[name] = home[name]
                self._replaced.append((names, name, thing, ours))

    def disarm(self) -> None:
        """Put back what was there. A name that somebody bound anew meanwhile is left alone."""
        for names, name, thing, ours in self._replaced:
            if names.get(name) is ours:
                names[name] = thing
        self._replaced.clear()

    def _look_through_modules(self) -> None:
        while self._patched:
            for value in list(vars(self._patched.pop()).values()):
                self._keepers.look_into(value)
        self._unfinished = {}
        for module_name, module in sys.modules.copy().items():  # at once: other threads import meanwhile
            if type(module_name) is not str or not issubclass(type(module), types.ModuleType):
                continue
            top = module_name.partition(".")[0]
            if self._seen.get(module_name) is module or is_plumbing(top) or (
                    top in sys.stdlib_module_names and top != "__main__"):
                continue
            if _is_unfinished(module):
                self._unfinished[module_name] = module
            else:
                self._seen[module_name] = module
            names = globals_of(module)
            if self._lasting and not _OWNERS.isdisjoint(names):
                self._keepers.serve(names, module_name)
            if self._defaults is not None:
                self._found += self._defaults.serve(names, module_name)
            self._found += [Binding(names, name, function, home) for name, function, home in self._wanted
                            if names.get(name) is function and not (isinstance(function, type) and _is_of_c(names))]


def last_module() -> object:
    """The module that was imported last, as far as that can be told."""
    try:
        return next(reversed(sys.modules.values()), None)
    except RuntimeError:  # another thread has just imported something
        return None


def _is_of_c(names: dict[str, Any]) -> bool:
    """Whether a module is written in C: others of C take the layout of their objects from the classes it has."""
    return isinstance(getattr(names.get("__spec__"), "loader", None), importlib.machinery.ExtensionFileLoader)


def _is_unfinished(module: types.ModuleType) -> bool:
    """Whether a module is not loaded yet, or is being imported just now: it gets more names later."""
    spec = globals_of(module).get("__spec__")
    return type(module) is _LAZY or (type(spec) is importlib.machinery.ModuleSpec
                                     and getattr(spec, "_initializing", False))
