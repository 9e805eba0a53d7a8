"""`over_loops` and `over_executors`: one test becomes several, each with a name and a factory of its own.

A variant is a copy of the test's function that says what it sets. The test case takes that up when it is made, as if
its `__init__` had set it.
"""

from __future__ import annotations

import functools
import types
import unittest
from collections.abc import Callable
from typing import Any

from ..case.case import SolipsistTestCase
from ..case.fixtures.settings import VARIANT
from ..introspection import names

__unittest = True
__tracebackhide__ = True


def over_loops(**factories: Any) -> Callable[[Any], Any]:
    """Decorate a test or a class: each test runs once on each of these loops, as a test of its own.

    `@over_loops(virtual=SolipsistEventLoop, stock=asyncio.SelectorEventLoop, uvloop="uvloop.new_event_loop")` makes
    `test_x_virtual`, `test_x_stock` and `test_x_uvloop` of `test_x`. A factory is what `loop_factory` takes, or the
    dotted name of one. Where that is not there, or the factory is None, the test is skipped by that name.
    """
    return _over("over_loops()", "loop_factory", factories)


def over_executors(**factories: Any) -> Callable[[Any], Any]:
    """The same with executors: a factory is a function that gives a new one, or the dotted name of one."""
    return _over("over_executors()", "executor_factory", factories)


def _over(decorator: str, setting: str, factories: dict[str, Any]) -> Callable[[Any], Any]:
    for name, factory in factories.items():
        if not (factory is None or isinstance(factory, str) or callable(factory)):
            raise TypeError(f"{decorator} takes factories, or dotted names of them, and {name} is "
                            f"{names.plain(factory)}")
    if not factories:
        raise TypeError(f"{decorator} needs a factory for each variant, by its name")
    settings = {name: {setting: _found(name, factory)} for name, factory in factories.items()}

    def decorate(target: Any) -> Any:
        if isinstance(target, type) and issubclass(target, SolipsistTestCase):
            for name in unittest.defaultTestLoader.getTestCaseNames(target):
                _Variants(getattr(target, name), {}).with_(settings).put(target, name)
            return target
        if isinstance(target, (types.FunctionType, _Variants)):
            known = target if isinstance(target, _Variants) else _Variants(target, {})
            return known.with_(settings)
        raise TypeError(f"{decorator} decorates a test or a SolipsistTestCase, not {names.plain(target)}")

    return decorate


class _Variants:
    """Stands in the body of a class for one test, and puts its variants there when the class is made."""

    def __init__(self, function: types.FunctionType, variants: dict[str, dict[str, Any]]) -> None:
        self._function = function
        self._variants = variants

    def with_(self, settings: dict[str, dict[str, Any]]) -> _Variants:
        """Each variant with each of these."""
        before = self._variants or {"": {}}
        return _Variants(self._function, {f"{one}_{name}": {**known, **more} for one, known in before.items()
                                          for name, more in settings.items()})

    def __set_name__(self, owner: type, name: str) -> None:
        self.put(owner, name)

    def put(self, owner: type, name: str) -> None:
        """Put the variants into a class, in place of the test."""
        for variant, settings in self._variants.items():
            setattr(owner, name + variant, copied(self._function, name + variant, settings))
        # One that is inherited cannot be deleted; what cannot be called is no test.
        setattr(owner, name, None)


def copied(function: types.FunctionType, name: str, settings: dict[str, Any]) -> types.FunctionType:
    """A copy of a test's function with another name, which sets this too."""
    copied = types.FunctionType(function.__code__, function.__globals__, name, function.__defaults__,
                                function.__closure__)
    functools.update_wrapper(copied, function)
    del copied.__wrapped__  # type: ignore[attr-defined]
    copied.__kwdefaults__ = function.__kwdefaults__
    copied.__name__ = name
    copied.__qualname__ = f"{function.__qualname__.rpartition('.')[0]}.{name}".lstrip(".")
    setattr(copied, VARIANT, {**vars(function).get(VARIANT, {}), **settings})
    return copied


def _found(variant: str, factory: Any) -> Any:
    """A factory that is looked up when it is called; SkipTest for one that is not there."""
    if factory is not None and not isinstance(factory, str):
        return factory

    def find() -> Any:
        if factory is None:
            raise unittest.SkipTest(f"{variant}: not there on this Python")
        try:
            import pkgutil  # few programs name their loops

            found = pkgutil.resolve_name(factory)
        except ModuleNotFoundError as error:
            if error.name != factory.partition(".")[0]:
                raise  # it is there, and lacks something
            raise unittest.SkipTest(f"{variant}: {error.name} is not installed") from None
        except AttributeError:
            raise unittest.SkipTest(f"{variant}: there is no {factory}") from None
        return found()

    return find
