"""`with_settings`: what one test sets; `over_loops` and `over_executors`: one test becomes several, each with a name.

All that they do is to write it on the test's function, so that they stand above and below other decorators. The class
puts the variants in its place (case/fixtures/settings).
"""

from __future__ import annotations

import types
import unittest
from collections.abc import Callable
from typing import Any

from ..case.case import SolipsistTestCase
from ..case.fixtures.settings import OF_A_WORLD, VARIANT, VARIANTS, put_variants
from ..introspection import names

__unittest = True
__tracebackhide__ = True


def with_settings(**settings: Any) -> Callable[[Any], Any]:
    """Decorate a test: it runs with these settings in place of those of its class.

    `@with_settings(virtual_time_limit=30, real_time_limit=5)` limits this test alone; `start_time`, `autojump`, `seed`,
    `hermetic` and the others are set in the same way. An outer decorator wins over an inner one.
    """
    unknown = [name for name in settings if name not in OF_A_WORLD]
    if unknown:
        raise TypeError(f"with_settings() has no setting {unknown[0]!r}: there are {', '.join(OF_A_WORLD)}")
    if not settings:
        raise TypeError("with_settings() needs a setting by its name, as in with_settings(virtual_time_limit=30)")

    def decorate(target: Any) -> Any:
        if not isinstance(target, types.FunctionType):
            hint = ": set attributes on a class" if isinstance(target, type) else ""
            raise TypeError(f"with_settings() decorates a test, not {names.plain(target)}{hint}")
        setattr(target, VARIANT, {**vars(target).get(VARIANT, {}), **settings})
        return target

    return decorate


def over_loops(**factories: Any) -> Callable[[Any], Any]:
    """Decorate a test or a class: each test runs once on each of these loops, as a test of its own.

    `@over_loops(virtual=SolipsistEventLoop, stock=asyncio.SelectorEventLoop, uvloop="uvloop.new_event_loop")` makes
    `test_x_virtual`, `test_x_stock` and `test_x_uvloop` of `test_x`. A factory is what `loop_factory` takes, or the
    dotted name of one. Where that is not there, or the factory is None, the test is skipped by that name. A method's
    decorator wins over that of its class.
    """
    return _over("over_loops()", "loop_factory", factories)


def over_executors(**factories: Any) -> Callable[[Any], Any]:
    """The same with executors: a factory is a function that gives a new one, or the dotted name of one."""
    return _over("over_executors()", "executor_factory", factories)


_EXAMPLES = {"loop_factory": "stock=asyncio.SelectorEventLoop", "executor_factory": "pool=ThreadPoolExecutor"}


def _over(decorator: str, setting: str, factories: dict[str, Any]) -> Callable[[Any], Any]:
    for name, factory in factories.items():
        if not (factory is None or isinstance(factory, str) or callable(factory)):
            raise TypeError(f"{decorator} takes factories, or dotted names of them, and {name} is "
                            f"{names.plain(factory)}")
    if not factories:
        raise TypeError(f"{decorator} needs a factory for each variant, by its name, as in "
                        f"{decorator[:-1]}{_EXAMPLES[setting]})")
    variants = {name: {setting: _found(name, factory)} for name, factory in factories.items()}

    def decorate(target: Any) -> Any:
        if isinstance(target, type) and issubclass(target, SolipsistTestCase):
            for name in unittest.defaultTestLoader.getTestCaseNames(target):
                test = getattr(target, name)
                if setting not in vars(test).get(VARIANT, {}):  # a method wins over its class
                    put_variants(target, name, test, variants)
            return target
        if not isinstance(target, types.FunctionType):
            raise TypeError(f"{decorator} decorates a test or a SolipsistTestCase, not {names.plain(target)}")
        before = vars(target).get(VARIANTS, {"": {}})
        if any(setting in known for known in before.values()):
            raise TypeError(f"{decorator} stands twice above {target.__qualname__}: give it all factories at once")
        setattr(target, VARIANTS, {f"{one}_{name}".lstrip("_"): {**known, **more} for one, known in before.items()
                                   for name, more in variants.items()})
        return target

    return decorate


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
        if not callable(found):
            raise TypeError(f"{variant}: {factory} is {names.plain(found)}, which is no factory")
        return found()

    return find
