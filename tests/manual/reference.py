"""The page `reference.md`, made from the docstrings: `python -m tests.manual.reference` writes it."""

import ast
import inspect
import pathlib
import re
import textwrap
import types
from collections.abc import Iterator

import solipsism_unittest
from solipsism_unittest import (
    Chronometer,
    FakeDatagramServer,
    FakeServer,
    Proxy,
    Script,
    SolipsistEventLoop,
    Verdict,
    VirtualSocket,
    manual,
)
from solipsism_unittest.case.fixtures.context import Context
from solipsism_unittest.kernel.network.network import Network
from solipsism_unittest.kernel.network.wire.conditions import OnHost
from solipsism_unittest.kernel.network.wire.faults import InstalledRule
from solipsism_unittest.kernel.network.wire.links import Link
from solipsism_unittest.peers.server import FakeConnection

PAGE = pathlib.Path(manual.__file__).parent / "reference.md"
HEAD = """\
# Reference: every public name

These are the docstrings of the package, as `help()` shows them. `from solipsism_unittest import ...` gives every name
of the first two parts. The classes under *What a test is given* are not imported: a test gets objects of them.
A signature that begins with `await` is that of a coroutine function, with `with` that of a context manager. What a
class takes over from asyncio, socket or unittest and does not change is not listed.
"""
# What a test gets from `self.network`, `self.context`, `server.accept()`, and what the network's methods return.
GIVEN = (Network, Link, OnHost, InstalledRule, FakeConnection, Context)
MADE = (Chronometer, Script, SolipsistEventLoop)  # what a test makes by calling the class
# A class with the interface of asyncio or of socket: only these names are its own and for tests.
ONLY = {
    SolipsistEventLoop: {"advance", "advance_to", "settle", "hold_clock", "background", "autojump"},
    VirtualSocket: set(),
}
_SERVER = {"start", "start_at", "in_handshake", "writers", "finish"}
# What the framework itself calls, and no test.
OMITTED = {
    FakeServer: _SERVER,
    FakeDatagramServer: {"start", "finish"},
    Proxy: _SERVER,
    Network: {"bind", "connect", "free_port", "keep", "listen", "listener", "listeners", "send_datagram"},
    Verdict: {"copies", "errno", "kind", "seconds"},
}


def names() -> dict[str, object]:
    """Every public name that can be imported, and what it is."""
    return {name: getattr(solipsism_unittest, name) for name in solipsism_unittest.__all__}


def members(cls: type) -> Iterator[tuple[str, object]]:
    """The public names that a class or a base of it in this package defines, each once."""
    seen = set()
    foreign = [base for base in cls.__mro__ if not base.__module__.startswith("solipsism_unittest")]
    for base in cls.__mro__:
        for name, member in vars(base).items():
            if base in foreign or name.startswith("_") or name in seen or name in OMITTED.get(cls, ()):
                continue
            seen.add(name)
            inherited = not is_data(member) and not docstring(member) and any(hasattr(one, name) for one in foreign)
            if not inherited and name in ONLY.get(cls, {name}):
                yield name, member


def function_of(thing: object) -> object:
    """The function behind a method of any kind, without its decorators."""
    return inspect.unwrap(getattr(thing, "__func__", thing))


def is_data(member: object) -> bool:
    """Whether an attribute is a plain value, which has no docstring of its own: that of its class names it."""
    return not hasattr(type(member), "__get__")


def docstring(thing: object) -> str:
    """The docstring of a thing itself, not of its base; lines as they stand in the source."""
    return inspect.cleandoc(getattr(thing, "__doc__", None) or "")


def signature(name: str, thing: object) -> str:
    """The signature of a function as its source has it, so that it is the same on every Python."""
    (node,) = ast.parse(textwrap.dedent(inspect.getsource(function_of(thing)))).body
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for arguments in (node.args.posonlyargs, node.args.args):
        if arguments and arguments[0].arg in ("self", "cls"):
            del arguments[0]
            break
    call = f"{name}({ast.unparse(node.args)})".replace("(/, ", "(")
    if any("contextmanager" in ast.unparse(decorator) for decorator in node.decorator_list):
        return f"with {call}"
    returned = ast.unparse(node.returns) if node.returns else "None"
    awaited = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{awaited}{call}" + (f" -> {returned}" if returned != "None" else "")


def entry(name: str, thing: object) -> Iterator[str]:
    """The paragraphs of a public name, and of what it has."""
    yield f"### {name}"
    if not isinstance(thing, type):
        yield f"`{signature(name, thing)}`"
    elif thing in MADE:
        yield f"`{signature(name, vars(thing)['__init__'])}`"
    yield docstring(thing)
    if isinstance(thing, type):
        for of_class, member in members(thing):
            if isinstance(function_of(member), types.FunctionType):
                yield f"#### `{signature(of_class, member)}`"
            elif not is_data(member):
                yield f"#### `{of_class}`"
            else:
                continue
            yield docstring(member)


def public() -> dict[str, object]:
    """All that the page shows."""
    return names() | {cls.__name__: cls for cls in GIVEN}


def undocumented(things: dict[str, object]) -> Iterator[str]:
    """Public names without a docstring, and plain attributes that the docstring of their class does not name."""
    for name, thing in things.items():
        if not docstring(thing):
            yield name
        for of_class, member in members(thing) if isinstance(thing, type) else ():
            said = re.search(rf"`{of_class}\b", docstring(thing)) if is_data(member) else docstring(member)
            if not said:
                yield f"{name}.{of_class}"


def text() -> str:
    """The whole page."""
    things = names()
    errors = {name: thing for name, thing in things.items()
              if isinstance(thing, type) and issubclass(thing, Exception)}
    parts = {
        "Classes and functions": {name: thing for name, thing in things.items() if name not in errors},
        "Errors and warnings": errors,
        "What a test is given": {cls.__name__: cls for cls in GIVEN},
    }
    paragraphs = [HEAD.rstrip()]
    for title, part in parts.items():
        paragraphs.append(f"## {title}")
        for name, thing in part.items():
            paragraphs.extend(entry(name, thing))
    return "\n\n".join(paragraphs) + "\n"


if __name__ == "__main__":
    PAGE.write_text(text(), encoding="utf-8")
