"""Which leftovers fail a test: each check alone, the order in which decorators count, and what they refuse."""

import asyncio
import os
import socket
import threading
import time
import unittest

from solipsism_unittest import SolipsistTestCase, fail_on, lenient, strict
from solipsism_unittest.leaks.checks import CHECKS, DEFAULTS, said
from tests.case.test_case import run, told


async def forgotten():
    """Nobody awaits it."""


async def numbers():
    """An async generator that is left in the middle."""
    yield 1


class Faults:
    """One fault for each check: the method of its name makes it."""

    async def active_handles(self):
        self.loop.call_later(5, str)
        await asyncio.sleep(0)

    async def active_selector_callbacks(self):
        self.loop.add_reader(self.socketpair()[0], str)
        await asyncio.sleep(0)

    async def unused_loop(self):
        self.assertTrue(self.loop)

    async def pending_tasks(self):
        self.task = asyncio.create_task(asyncio.sleep(5))
        await asyncio.sleep(0)

    async def open_loops(self):
        asyncio.new_event_loop()

    async def open_sockets(self):
        self.socket = socket.socket()
        self.pipe = os.pipe()
        await asyncio.sleep(0)

    async def open_transports(self):
        server = await self.start_fake_server()
        self.streams = await asyncio.open_connection(*server.address)

    async def open_servers(self):
        self.server = await asyncio.start_server(print, "127.0.0.1", 80)

    async def async_generators(self):
        self.numbers = numbers()
        await anext(self.numbers)
        await asyncio.sleep(0)

    async def threads(self):
        over = threading.Event()
        thread = threading.Thread(target=over.wait)
        thread.start()
        self.addClassCleanup(thread.join)
        self.addClassCleanup(over.set)
        await asyncio.sleep(0)

    async def processes(self):
        self.add_program("sleep", lambda process: asyncio.sleep(99))
        self.process = await asyncio.create_subprocess_exec("sleep")

    async def unawaited_coroutines(self):
        forgotten()
        await asyncio.sleep(0)

    async def loop_exceptions(self):
        self.loop.set_debug(False)
        self.task = asyncio.create_task(asyncio.sleep("x"))
        await asyncio.sleep(1)

    async def blocking_calls(self):
        time.sleep(0.001)
        await asyncio.sleep(0)


def case_of(name, decorate=None, base=SolipsistTestCase):
    """A test class with the fault of this name as its only test, decorated."""
    cls = type("Case", (base,), {"test": vars(Faults)[name], "__module__": __name__})
    return decorate(cls) if decorate is not None else cls


def outcome(cls):
    """What is told of a class's only test."""
    text = told(run(cls))
    cls.doClassCleanups()
    return text


class ChecksTest(unittest.TestCase):
    def test_all_are_here(self):
        """Each check has a fault, and each is on by default but unused_loop."""
        self.assertEqual(list(CHECKS), [name for name in vars(Faults) if not name.startswith("__")])
        self.assertEqual([name for name, value in DEFAULTS.items() if not value], ["unused_loop"])

    def test_each_alone(self):
        """A fault fails its test where its check alone is on, and passes where it alone is off."""
        for name in CHECKS:
            with self.subTest(name):
                others = {other: False for other in CHECKS if other != name}
                self.assertNotEqual(outcome(case_of(name, fail_on(**others, **{name: True}))), "")
                self.assertEqual(outcome(case_of(name, fail_on(**{name: False}))), "")
                self.assertEqual(outcome(case_of(name)) != "", DEFAULTS[name])

    def test_strict_and_lenient(self):
        """`strict` turns every check on, `lenient` every one off, bare or called."""
        for name in CHECKS:
            with self.subTest(name):
                for decorate in (strict, strict()):
                    self.assertNotEqual(outcome(case_of(name, decorate)), "")
                for decorate in (lenient, lenient()):
                    self.assertEqual(outcome(case_of(name, decorate)), "")

    def test_what_is_left_is_ended_all_the_same(self):
        """A lenient test's leftovers are ended without a word."""
        ended = []

        async def work():
            try:
                await asyncio.sleep(1000)
            finally:
                await asyncio.sleep(10)  # for which the timer must not hold the clock
                ended.append("task")

        @lenient
        class Case(SolipsistTestCase):
            async def test(self):
                self.task = asyncio.create_task(work())
                self.timer = threading.Timer(1000, str)
                self.timer.start()
                timers.append(self.timer)
                await asyncio.sleep(0)

        timers = []
        self.assertEqual(told(run(Case)), "")
        timers[0].join(10)
        self.assertEqual((ended, timers[0].is_alive()), (["task"], False))

    def test_the_shape_of_a_report_with_some_checks(self):
        """What a check does not cover is not counted."""

        @fail_on(open_sockets=False)
        class Case(SolipsistTestCase):
            async def test(self):
                self.socket = socket.socket()
                self.task = asyncio.create_task(asyncio.sleep(5))
                await asyncio.sleep(0)

        text = told(run(Case))
        self.assertIn("the test left 1 thing behind", text)
        self.assertNotIn("socket", text.partition("made at")[0])


class UnusedLoopTest(unittest.TestCase):
    def check(self, body, fails):
        """A strict test with this body fails or passes."""
        text = told(run(strict(type("Case", (SolipsistTestCase,), {"test": body}))))
        self.assertEqual("gave the loop nothing to do" in text, fails, text)
        self.assertEqual(text != "", fails, text)

    def test_async_test_that_does_not_wait(self):
        """An async test in which nothing waits is told; one that waits, if only for a turn, is not."""

        async def idle(self):
            await self.call()

        async def waits(self):
            await asyncio.sleep(0)

        async def call(self):
            pass

        async def sleeps(self):
            await asyncio.sleep(5)

        async def advances(self):
            async with asyncio.timeout(20):
                await self.advance(10)

        self.check(sleeps, False)
        self.check(advances, False)
        idle_class = type("Case", (SolipsistTestCase,), {"test": idle, "call": call})
        self.assertIn("gave the loop nothing to do", told(run(strict(idle_class))))
        self.check(waits, False)

    def test_plain_tests(self):
        """A plain test is never told, whether it runs the loop or not."""

        def plain(self):
            pass

        def runs(self):
            self.loop.run_until_complete(forgotten())

        self.check(plain, False)
        self.check(runs, False)

    def test_fixtures_do_not_count(self):
        """That setUp waits makes the loop of an idle test no more used."""

        async def wait(self):
            await asyncio.sleep(1)

        async def idle(self):
            pass

        names = {"test": idle, "asyncSetUp": wait, "asyncTearDown": wait}
        self.assertIn("gave the loop", told(run(strict(type("Case", (SolipsistTestCase,), names)))))

    def test_other_outcomes(self):
        """A test that fails or skips is not told of an unused loop as well."""

        async def fails(self):
            self.fail("of the test")

        async def skips(self):
            self.skipTest("not today")

        for body in (fails, skips):
            result = run(strict(type("Case", (SolipsistTestCase,), {"test": body})))
            self.assertNotIn("gave the loop", told(result))


class OrderTest(unittest.TestCase):
    def test_method_over_class_over_base(self):
        """What a method says wins over its class, and the class over its base; what is not named stays."""

        @fail_on(pending_tasks=False, threads=False)
        class Base(SolipsistTestCase):
            def test(self):
                pass

        @fail_on(threads=True, open_sockets=False)
        class Derived(Base):
            @fail_on(open_sockets=True)
            def other(self):
                pass

        self.assertEqual(said(Base, Base.test), {"pending_tasks": False, "threads": False})
        self.assertEqual(said(Derived, Derived.test), {"pending_tasks": False, "threads": True, "open_sockets": False})
        self.assertTrue(said(Derived, Derived.other)["open_sockets"])
        self.assertEqual(said(SolipsistTestCase, SolipsistTestCase.run), {})

    def test_outer_over_inner(self):
        """Of stacked decorators the outer one wins."""

        @fail_on(threads=True)
        @lenient
        @strict
        def test(self):
            pass

        checks = said(SolipsistTestCase, test)
        self.assertEqual((checks.pop("threads"), set(checks.values())), (True, {False}))

    def test_a_subclass_may_say_otherwise_after_its_base_ran(self):
        """Nothing is kept of an earlier run: a subclass that is lenient passes after its base has failed."""
        base = case_of("pending_tasks")
        self.assertNotEqual(outcome(base), "")
        self.assertEqual(outcome(lenient(type("Derived", (base,), {}))), "")
        self.assertNotEqual(outcome(base), "")

    def test_mixins(self):
        """A mixin that is no test case has a say, in the order of the classes."""

        @fail_on(pending_tasks=False)
        class Mixin:
            pass

        cls = type("Case", (Mixin, case_of("pending_tasks", strict)), {})
        self.assertEqual(outcome(cls), "")

    def test_attributes_and_decorators(self):
        """`on_blocking_call` says what a blocking call does, and a decorator that names the check wins."""
        for word, decorate, fails in (("warn", None, False), ("ignore", None, False), ("warn", strict, True),
                                      ("fail", lenient, False), ("ignore", lenient, False),
                                      ("fail", fail_on(threads=False), True)):
            with self.subTest(word=word, decorate=decorate):
                cls = case_of("blocking_calls", decorate)
                cls.on_blocking_call = word
                if word == "warn" and not fails:
                    with self.assertWarns(UserWarning):
                        self.assertEqual(outcome(cls), "")
                else:
                    self.assertEqual(outcome(cls) != "", fails)

    def test_lenient_and_a_warning(self):
        """Where blocking calls are a warning they are one in a lenient test too."""
        cls = case_of("blocking_calls", lenient)
        cls.on_blocking_call = "warn"
        with self.assertWarns(UserWarning):
            self.assertEqual(outcome(cls), "")


class RefusalTest(unittest.TestCase):
    def test_unknown_names(self):
        """A check that there is not is refused with the list of those that there are."""
        with self.assertRaisesRegex(TypeError, "no check 'pending_task': there are active_handles, .*blocking_calls$"):
            fail_on(pending_task=True)

    def test_values(self):
        """A check is on or off, and nothing else."""
        with self.assertRaisesRegex(TypeError, r"fail_on\(threads=\.\.\.\) is True or False, not 1"):
            fail_on(threads=1)

    def test_bare(self):
        """fail_on without parentheses says how to write it."""
        with self.assertRaisesRegex(TypeError, r"write @fail_on\(pending_tasks=False\)"):

            @fail_on
            def test(self):
                pass

    def test_targets(self):
        """Only functions and classes are decorated."""
        for decorate in (fail_on(threads=True), strict, lenient, strict()):
            with self.assertRaisesRegex(TypeError, "decorate a test method or a class, not 'x'"):
                decorate("x")
