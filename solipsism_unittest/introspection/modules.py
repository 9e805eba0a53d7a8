"""Whose code it is: the program's, a library's, Python's or ours.

Owns every list of module names that says so, and the only copy of this package's own name and path.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from gc import get_objects
from types import FrameType, FunctionType, ModuleType
from typing import Any

__unittest = True
__tracebackhide__ = True

_GLOBALS = vars(ModuleType)["__dict__"].__get__  # which no subclass can have a say in
_PACKAGE = __name__.partition(".")[0]
# Behind this one name stands what we keep on an object of the program's, a test case or a function: no program has it.
OWN_NAME = f"_{_PACKAGE}"
_HOME = os.path.dirname(os.path.dirname(__file__)) + os.sep


def root_of(module: str) -> str:
    """The top-level package of a module's name."""
    return module.partition(".")[0]


def globals_of(module: object) -> dict[str, Any]:
    """The globals of a module, whatever its class defines; {} for anything else that stands in `sys.modules`.

    Proxies stand there, and objects that say that they are modules (`lib` of cffi) or whose attributes raise. Their
    true type is all that can be asked.
    """
    return _GLOBALS(module) if issubclass(type(module), ModuleType) else {}


def module_of(frame: FrameType) -> str:
    """The name of the module whose code a frame runs; "" for code without one."""
    return str(frame.f_globals.get("__name__", ""))


def outward(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame and those that led to it, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def written_on(cls: type, name: str) -> Any:
    """What a class or its bases have under a name, as it is written there: no descriptor of it runs. None for nothing.

    As `inspect.getattr_static` for a plain class, in a tenth of its time.
    """
    for base in cls.__mro__:
        if name in base.__dict__:
            return base.__dict__[name]
    return None


def own_function(module: ModuleType, qualified_name: str, there: Any) -> FunctionType | None:
    """The function that a module has made for a name, if it is what stands `there` now or somebody has kept it."""
    def is_it(thing: object) -> bool:
        return (type(thing) is FunctionType and thing.__globals__ is vars(module)
                and thing.__qualname__ == qualified_name)

    return there if is_it(there) else next(filter(is_it, get_objects()), None)


def is_ours(module: str) -> bool:
    """Whether a module of this name belongs to this package."""
    return root_of(module) == _PACKAGE


# Plumbing: frames of these packages are never the user's. `unittest` runs tests and builds mocks; the others pass a
# call on.
_PLUMBING = frozenset({
    root_of(__name__), "asyncio", "unittest", "socket", "ssl", "contextlib", "selectors", "threading", "concurrent",
    "functools", "http", "urllib", "socketserver", "contextvars", "weakref", "_pytest", "pluggy", "pytest",
    "pytest_asyncio",
})
# These pass calls on as well, but a program also works with their objects.
CARRIERS = _PLUMBING | {"queue", "subprocess", "multiprocessing"}
# These start a process only to ask about the machine.
_ASKERS = frozenset({"platform", "ctypes.util", "uuid", "sysconfig", "_osx_support", "locale"})
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_LIBRARIES = tuple(f"{os.sep}{folder}{os.sep}" for folder in ("site-packages", "dist-packages"))


def is_plumbing(module: str) -> bool:
    """Whether a module of this name only passes calls on, and makes nothing for itself."""
    return root_of(module) in _PLUMBING


def program_frames(frames: Iterable[FrameType]) -> list[FrameType]:
    """Those of some frames that run code of the program or of a library, in the same order."""
    return [frame for frame in frames if not is_plumbing(module_of(frame))]


@functools.lru_cache(maxsize=1024)
def is_of_library(filename: str) -> bool:
    """Whether a file is code of an installed library, or of the standard library."""
    return is_of_standard_library(filename) or any(folder in filename for folder in _LIBRARIES)


def is_of_standard_library(filename: str) -> bool:
    """Whether a file came with Python."""
    return filename.startswith((_STANDARD_LIBRARY, "<frozen ")) and "-packages" not in filename


def is_of_program(filename: str) -> bool:
    """Whether a file is code of the program or of a library: neither Python's own nor ours."""
    return not is_of_standard_library(filename) and not filename.startswith(_HOME)


class _Carried(dict[str, bool]):
    """By the name of a module: what `carries` says, for it is asked of each frame above a new task."""

    def __missing__(self, module: str) -> bool:
        if len(self) >= 1024:  # somebody makes modules as he goes
            self.clear()
        self[module] = answer = root_of(module) in CARRIERS
        return answer


CARRIED = _Carried()


def carries(module: str) -> bool:
    """Whether frames of a module of this name can stand between the user's line and what that line caused."""
    return CARRIED[module]


def asks_about_the_machine(frame: FrameType | None) -> bool:
    """Whether the standard library starts a process, or waits for one, to learn about the machine it runs on."""
    askers = (module for module in map(module_of, outward(frame)) if module not in ("os", "subprocess"))
    return next(askers, "") in _ASKERS

# Of multiprocessing these run the program's functions, in threads.
WORKERS = frozenset({"multiprocessing.dummy", "multiprocessing.pool"})


def below_socket(frame: FrameType) -> str:
    """The module that makes a call; for a call from inside module socket, the module that called that one."""
    module = module_of(frame)
    while module == "socket" and frame.f_back is not None:
        frame = frame.f_back
        module = module_of(frame)
    return module


def manages_processes(starter: FrameType) -> bool:
    """Whether this frame belongs to the part of the standard library that manages real child processes.

    What it starts and makes stays real. It waits for its children with deadlines on time.monotonic(), and those would
    never come while virtual time stands still. multiprocessing.dummy has threads and no processes.
    """
    return _is_of_processes(below_socket(starter))


@functools.lru_cache(1024)
def _is_of_processes(module: str) -> bool:
    if module == "multiprocessing.dummy":
        return False
    return root_of(module) in ("multiprocessing", "subprocess") or module == "concurrent.futures.process"


def waits_for_processes(frame: FrameType) -> bool:
    """Whether this frame is of multiprocessing, whose deadlines are for real processes and so in real time."""
    module = module_of(frame)
    return module.startswith("multiprocessing.") and module not in WORKERS
