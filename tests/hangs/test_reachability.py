"""What reaches a waiting task: each kind of reference is followed, and what nobody can see counts as one."""

import asyncio
import collections
import contextvars
import ctypes
import datetime
import functools
import gc
import importlib
import itertools
import operator
import queue
import signal
import sys
import threading
import types
import typing
import unittest
import weakref
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.hangs import reachability
from tests.case.test_case import run, told

HIDDEN = None  # a global for the programs below


class Box:
    """Something that can be referred to, weakly too."""

    def __init__(self, inside=None):
        self.inside = inside


class Slots:
    __slots__ = ("inside",)


def uses_a_global():
    return HIDDEN


def imports_inside():
    from tests.hangs import test_reachability

    return test_reachability.HIDDEN


def imports_relatively():
    from .test_reachability import HIDDEN

    return HIDDEN


def names_another():
    return uses_a_global()


def nested():
    return [lambda: HIDDEN]


def says_globals():
    return globals()["HID" + "DEN"]


def names_nothing():
    return None


def says_all_tasks():
    return asyncio.all_tasks()


def says_sys_modules():
    return sys.modules["tests"]


def says_network(test):
    return test.network


class Walks(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)
        self.target = Box()

    def reaches(self, *roots):
        return any(thing is self.target for thing in reachability.Walk(self.loop).things(roots))


class LookTest(unittest.TestCase):
    def test_a_small_program_in_a_large_process(self):
        """The look at a masked hang goes through what the program reaches, not through all that the process holds."""
        unrelated = [[number] for number in range(100_000)]
        seen, things = [], reachability.Walk.things

        def counted(walk, roots):
            for thing in things(walk, roots):
                seen.append(type(thing))
                yield thing

        class Case(SolipsistTestCase):
            async def test(self):
                async def beat():
                    while True:
                        await asyncio.sleep(1)

                self.addCleanup(asyncio.create_task(beat()).cancel)
                await asyncio.Event().wait()

        with mock.patch.object(reachability.Walk, "things", counted):
            self.assertIn("the test can never go on, though 1 timer still moves time", told(run(Case)))
        self.assertLess(len(seen), 5_000)
        self.assertGreater(len(unrelated), 5_000)


    def test_who_moves_the_clock(self):
        """Of thousands of tasks that sleep each is named without a walk, as of a walk the next one first."""
        walks, things = [], reachability.Walk.things

        def counted(walk, roots):
            walks.append(roots)  # when it begins
            yield from things(walk, roots)

        async def main():
            loop = asyncio.get_running_loop()
            sleepers = [asyncio.create_task(asyncio.sleep(10 + n), name=f"Sleeper-{n}") for n in range(1_000)]
            async with asyncio.timeout(5):
                await asyncio.sleep(0)
                loop.call_later(3, print)
                with mock.patch.object(reachability.Walk, "things", counted):
                    found = reachability.movers(loop)
            for task in sleepers:
                task.cancel()
            return found

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            found = runner.run(main())
        self.assertEqual(found[:4], ["print", "task Task-1", "task Sleeper-0", "task Sleeper-1"])
        self.assertEqual((len(found), len(walks)), (1_002, 1))  # the walk is that of the timeout


class WalkTest(Walks):
    def test_every_kind_of_reference(self):
        """Containers, iterators, callables, cells, descriptors and exceptions show what they refer to."""
        target = self.target
        slots, local = Slots(), threading.local()
        slots.inside = local.inside = target
        mailbox = queue.SimpleQueue()
        mailbox.put(target)
        left, right = itertools.tee(iter([target, 1]))
        next(right)
        for holder in (
            [target], (target,), {1: target}, {target}, Box(target), slots, local, mailbox, left,
            collections.deque([target]), collections.OrderedDict(a=target), {1: target}.values(), iter([target]),
            iter({1: target}.values()), map(print, [target]), enumerate([target]), itertools.chain([target]),
            functools.partial(print, target), functools.partial(print, a=target), types.MethodType(print, target),
            target.__repr__, operator.itemgetter(target), operator.methodcaller("a", target), slice(target),
            types.CellType(target), types.SimpleNamespace(a=target), types.MappingProxyType({1: target}),
            property(functools.partial(print, target)), staticmethod(functools.partial(print, target)),
            ValueError(target), lambda: target, lambda default=target: default, type("Made", (), {"inside": target}),
            mock.Mock(side_effect=lambda: target), [target].append,
        ):
            with self.subTest(type(holder).__name__):
                self.assertTrue(self.reaches(holder))
        self.assertFalse(self.reaches(names_nothing, [Box()], len, self.loop, self.loop.kernel))

    def test_weak_references(self):
        """A weak reference, a proxy and a weak container lead to what they refer to while it lives."""
        dead = Box()
        gone, ghost = weakref.ref(dead), weakref.proxy(dead)
        del dead
        for holder in (weakref.ref(self.target), weakref.proxy(self.target), weakref.WeakSet([self.target]),
                       weakref.WeakValueDictionary(a=self.target)):
            with self.subTest(type(holder).__name__):
                self.assertTrue(self.reaches([holder]))
        self.assertFalse(self.reaches([gone], [ghost]))

    def test_suspended_code(self):
        """Coroutines, generators and what awaits on their behalf show their variables and their stack."""

        class Pause:
            def __await__(self):
                yield

        async def coroutine(thing):
            await Pause()
            return thing

        async def on_the_stack(make):
            print(make(), await Pause())

        async def asynchronous(thing):
            await Pause()
            yield thing

        def generator(thing):
            yield
            yield thing

        started, stacked, made = coroutine(self.target), on_the_stack(lambda box=self.target: [box]), generator([1])
        for each in (started, stacked, made):
            each.send(None)
        asking = asynchronous(self.target).asend(None)
        fresh = coroutine(self.target)
        for holder in (started, stacked, started.__await__(), fresh, asking, generator(self.target)):
            with self.subTest(type(holder).__name__):
                self.assertTrue(self.reaches(holder))
        self.assertFalse(self.reaches(made))
        for each in (started, stacked, fresh, asking):
            each.close()

    def test_a_tracer_looks_on(self):
        """What traces a frame, coverage or a debugger, is not reached through it; its variables are."""

        def generator(thing):
            yield
            return thing

        for inside, reached in (([], False), (self.target, True)):
            suspended = generator(inside)
            next(suspended)
            suspended.gi_frame.f_trace = functools.partial(print, self.target)
            self.assertEqual(self.reaches(suspended), reached)
            suspended.gi_frame.f_trace = None

    def test_who_measures_looks_on(self):
        """What keeps count of a program, as coverage does for each thread, runs nothing of it; what is alike does."""

        def hook(self):
            return self.inside

        for module, reached in (("coverage.collector", False), ("cProfile", False), ("coverages", True)):
            collector = type("Collector", (Box,), {"__module__": module, "hook": hook})(self.target)
            with self.subTest(module):
                self.assertEqual(self.reaches(collector.hook), reached)

    def test_futures_tasks_and_contexts(self):
        """Results, callbacks, contexts, coroutines of tasks and their steps are seen."""
        variable = contextvars.ContextVar("variable")
        context = contextvars.Context()
        context.run(variable.set, self.target)
        done, watched, known = (self.loop.create_future() for _ in range(3))
        done.set_result(self.target)
        watched.add_done_callback(functools.partial(print, self.target))
        known.add_done_callback(print, context=context)

        async def main(future, thing):
            await future
            return thing

        pending = self.loop.create_future()
        task = self.loop.create_task(main(pending, self.target))
        self.assertTrue(self.reaches(self.loop._ready[-1]))
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        for holder in (done, watched, known, context, task, pending, pending.__await__()):
            with self.subTest(type(holder).__name__):
                self.assertTrue(self.reaches(holder))
        task.cancel()
        self.loop.run_until_complete(asyncio.gather(task, return_exceptions=True))

    def test_names(self):
        """A function reaches the globals that it names, through modules and imports, and no others."""
        global HIDDEN
        HIDDEN = self.target
        try:
            for function in (uses_a_global, imports_inside, imports_relatively, names_another, nested, says_globals):
                with self.subTest(function.__name__):
                    self.assertTrue(self.reaches(function))
            self.assertFalse(self.reaches(names_nothing))
            self.assertTrue(self.reaches([sys.modules[__name__]]))
            self.assertFalse(self.reaches([asyncio, unittest]))
        finally:
            HIDDEN = None

    def test_words_that_reach_everything(self):
        """A program that can get at every task or every module is not judged."""
        for function in (says_all_tasks, says_sys_modules):
            with self.subTest(function.__name__), self.assertRaises(reachability.Unseen):
                self.reaches(function)

    def test_the_word_network(self):
        """A program that speaks of the network may do anything to its sockets."""
        self.loop.kernel.network.names.inside = self.target
        self.assertTrue(self.reaches(says_network))
        self.assertFalse(self.reaches(self.loop.kernel.network))

    def test_a_test_case(self):
        """What a test keeps on itself is seen; what the framework keeps there is not."""
        case = SolipsistTestCase()
        case._cleanups.append(self.target)
        self.assertFalse(self.reaches(case))
        case.inside = self.target
        self.assertTrue(self.reaches(case))

    def test_a_type_that_hides_what_it_has(self):
        """An instance of an extension type that the garbage collector does not know is not judged."""
        native = types.SimpleNamespace(__flags__=0, __base__=object, __basicsize__=64, __module__="native")
        self.assertTrue(reachability._hides(types.SimpleNamespace(__mro__=(native, object))))
        for kind in (int, Box, Slots, type("Empty", (), {"__slots__": ()}), type("Number", (int,), {})):
            self.assertFalse(reachability._hides(kind))

    def test_an_instance_of_such_a_type(self):
        """A walk that meets one ends there: of a type of C that is not Python's own nobody knows what it refers to."""
        thing = datetime.timedelta(1)
        self.assertFalse(self.reaches([thing]))
        with mock.patch.object(reachability, "_STANDARD", reachability._STANDARD - {"datetime"}), \
                self.assertRaises(reachability.Unseen):
            self.reaches([thing])

    def test_what_only_remembers(self):
        """A cache of types and a finder of modules lead nowhere; a class whose metaclass comes from there does."""
        union = typing.Optional[type("Made", (), {"inside": self.target})]  # noqa: UP045 - typing's own object

        class Seen(typing.Protocol):
            inside = self.target

        self.assertFalse(self.reaches(union, typing.get_type_hints, importlib.import_module))
        self.assertTrue(self.reaches(Seen))

    def test_a_walk_has_an_end(self):
        """A walk that visits too much is given up."""
        with mock.patch.object(reachability, "FARTHEST", 10), self.assertRaises(reachability.Unseen):
            self.reaches([Box() for _ in range(100)])


class RootsTest(Walks):
    def roots_reach(self):
        return self.reaches(*reachability._roots(self.loop))

    def test_timers_and_what_is_in_flight(self):
        """A timer, a ready callback, a delivery and the end of an advance are roots; a cancelled timer is none."""
        self.assertFalse(self.roots_reach())
        timer = self.loop.call_later(1, print, self.target)
        self.assertTrue(self.roots_reach())
        timer.cancel()
        self.assertFalse(self.roots_reach())
        clock = self.loop.kernel.clock
        for add in (lambda: self.loop.call_soon(print, self.target),
                    lambda: clock.deliver_at(1, functools.partial(print, self.target)),
                    lambda: clock.stop_at(1, functools.partial(print, self.target))):
            add()
            self.assertTrue(self.roots_reach())
            self.loop._ready.clear()
            clock.deliveries.clear()
            clock.stops.clear()

    def test_what_the_program_keeps_on_the_loop(self):
        """An attribute of the program's own on the loop is a root."""
        self.loop.inside = self.target
        self.assertTrue(self.roots_reach())

    @unittest.skipUnless(hasattr(signal, "SIGUSR1"), "no SIGUSR1 on this system")
    def test_signal_handlers(self):
        """A signal handler of the program is a root; one of the framework is none."""
        target = self.target
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        signal.signal(signal.SIGUSR1, lambda *args: target)
        self.assertTrue(self.roots_reach())
        signal.signal(signal.SIGUSR1, functools.partial(asyncio.Runner()._on_sigint, main_task=target))
        self.assertFalse(self.roots_reach())

    def test_a_thread_that_only_waits(self):
        """A thread that stands in the standard library alone shows what it has."""
        go = threading.Event()
        go.inside = self.target
        thread = threading.Thread(target=go.wait, args=(10,))
        thread.start()
        self.assertTrue(self.reaches(*reachability._threads()))
        go.set()
        thread.join()

    def test_the_ends_of_a_chain(self):
        """A chain ends at the futures that somebody has to resolve, each told once."""
        future, done = self.loop.create_future(), self.loop.create_future()
        done.set_result(None)

        async def main():
            gathered = asyncio.gather(future, future, done)
            task = asyncio.create_task(asyncio.wait([gathered]))
            await asyncio.sleep(0)
            found = list(reachability._ends(gathered)), list(reachability._ends(task))
            future.set_result(None)
            await task
            return found

        of_gather, of_wait = self.loop.run_until_complete(main())
        self.assertEqual(of_gather, [future])
        self.assertEqual(len(of_wait), 1)

    def test_a_held_future(self):
        """A future that something unseen holds may be resolved by it."""
        future = self.loop.create_future()
        ends = [[future], [future]]
        del future
        self.assertFalse(reachability._held_by_the_unseen(ends[0]))
        held = ctypes.py_object(ends[1][0])
        ctypes.pythonapi.Py_IncRef(held)
        del held
        self.assertTrue(reachability._held_by_the_unseen(ends[1]))
        ctypes.pythonapi.Py_DecRef(ctypes.py_object(ends[1][0]))
        gc.collect(0)


class MoversTest(Walks):
    def test_words(self):
        """Whoever keeps the clock moving is named: tasks by name, callbacks by place, what is in flight by number."""

        async def main():
            async with asyncio.timeout(5):
                await asyncio.sleep(3)

        task = self.loop.create_task(main(), name="sleeper")
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        self.loop.call_later(7, names_nothing)
        self.loop.call_later(8, asyncio.Event().set)
        self.loop.kernel.clock.deliver_at(9, print)
        words = reachability.movers(self.loop)
        self.assertEqual(words[0], "task sleeper (2 timers)")
        self.assertRegex(words[1], r"^names_nothing \(.*test_reachability\.py:\d+\)$")
        self.assertRegex(words[2], r"^Event\.set$")
        self.assertEqual(words[3:], ["what is in flight (1)"])
        task.cancel()
        self.loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
