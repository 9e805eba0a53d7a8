"""forbid_get_event_loop: each route to asyncio.get_event_loop() is refused at its line, and asyncio's own is not."""

import asyncio
import contextlib
import cProfile
import functools
import io
import pdb
import sys
import threading
import types
import unittest
import warnings
from asyncio import events, get_event_loop
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.case.world import run_of
from solipsism_unittest.stdlib.seal import get_event_loop as implicit_loops
from solipsism_unittest.stdlib.seal.get_event_loop import KEPT, TOOLS, Refusals, _lead_astray, _on_call, _profile
from tests.case.test_case import run, told

MONITORING = hasattr(sys, "monitoring")  # 3.12+
POLICIES = sys.version_info < (3, 16)
OTHER_NAME = get_event_loop  # a name that no search by name finds
NAMES = [(module, name) for module in (asyncio, events, sys.modules["_asyncio"], sys.modules[__name__])
         for name in vars(module) if name.endswith("get_event_loop")]


class Keeper:
    kept = staticmethod(get_event_loop)

    def of_default(self, function=get_event_loop):
        return function()


class Forbidding(SolipsistTestCase):
    forbid_get_event_loop = True


def run_one(body, **attributes):
    """Run one test with this body that forbids the call."""
    return run(type("Case", (Forbidding,), {"test": body, **attributes}), "test")


def text_of(result):
    """What the only failure says."""
    (_, text), = result.failures
    return text


def policy_of():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.14+
        return asyncio.get_event_loop_policy()


ROUTES = {
    "asyncio.get_event_loop": lambda: asyncio.get_event_loop(),
    "asyncio.events.get_event_loop": lambda: events.get_event_loop(),
    "a name bound earlier": lambda: get_event_loop(),
    "another name": lambda: OTHER_NAME(),
    "a class": lambda: Keeper.kept(),
    "a default argument": lambda: Keeper().of_default(),
    "the function in Python": lambda: events._py_get_event_loop(),
    "the function in C": lambda: events._c_get_event_loop(),
    "a partial": lambda: functools.partial(asyncio.get_event_loop)(),
    "map": lambda: list(map(lambda function: function(), [OTHER_NAME])),
    "a mock": lambda: mock.Mock(wraps=OTHER_NAME)(),
    "C code that calls it": lambda: next(iter(get_event_loop, None)),
}
if POLICIES:
    ROUTES["the policy"] = lambda: policy_of().get_event_loop()
if MONITORING:
    ROUTES["a partial of another name"] = lambda: functools.partial(functools.partial(OTHER_NAME))()
    if POLICIES:
        ROUTES["a method of the policy"] = lambda: (lambda method: method())(policy_of().get_event_loop)


class RoutesTest(unittest.TestCase):
    def test_in_plain_functions_and_in_coroutines(self):
        """Each route fails the test in a plain method and in a coroutine, at its line, and says what to do."""
        for name, route in ROUTES.items():
            def plain(self, route=route):
                route()

            async def coroutine(self, route=route):
                await asyncio.sleep(1)
                route()

            for body in (plain, coroutine):
                with self.subTest(name, body=body.__name__):
                    text = text_of(run_one(body))
                    self.assertIn("AssertionError: asyncio.get_event_loop() was called at tests/", text)
                    self.assertNotIn("implicit_loops.py\", line", text.replace("test_get_event_loop.py", ""))
                    for word in ("asyncio.get_running_loop()", "self.loop", "asyncio.Runner", "forbid_get_event_loop"):
                        self.assertIn(word, text)
                    self.assertNotIn("swallowed", text)

    def test_the_line(self):
        """The traceback ends, and the text begins, with the line that called it."""

        async def body(self):
            asyncio.get_event_loop()

        line = body.__code__.co_firstlineno + 1
        text = text_of(run_one(body))
        self.assertIn(f"get_event_loop() was called at tests/stdlib/seal/test_get_event_loop.py:{line} in ", text)
        self.assertEqual(text.count("  File "), 1)
        self.assertRegex(text, rf'test_get_event_loop\.py", line {line}, in body\n')

    def test_every_phase(self):
        """Set-up, tear-down and cleanups are the test's too; a cleanup may be the function itself."""

        def calls(self):
            asyncio.get_event_loop()

        async def awaits(self):
            asyncio.get_event_loop()

        for name, function in (("setUp", calls), ("asyncSetUp", awaits), ("asyncTearDown", awaits),
                               ("tearDown", calls)):
            with self.subTest(name):
                self.assertIn("get_event_loop() was called", text_of(run_one(lambda self: None, **{name: function})))
        self.assertIn("was called", text_of(run_one(lambda self: self.addCleanup(asyncio.get_event_loop))))

    def test_a_library(self):
        """A call that an installed library makes is refused, and told with the line that got there."""
        library = types.ModuleType("library")
        exec(compile("import asyncio\ndef ask():\n    asyncio.get_event_loop()\n", "/x/site-packages/library.py",
                     "exec"), vars(library))

        async def body(self):
            library.ask()

        self.assertRegex(text_of(run_one(body)), r"called at .*library\.py:3 in ask, called from \S*test_get_event")

    def test_another_loop(self):
        """A loop_factory of a real loop changes nothing."""

        async def body(self):
            self.assertIs(OTHER_NAME(), self.loop)

        result = run_one(body, loop_factory=asyncio.SelectorEventLoop)
        self.assertIn("get_event_loop() was called", text_of(result))


class PassesTest(unittest.TestCase):
    def test_only_where_it_is_asked_for(self):
        """Without the attribute nothing is refused, and nothing is replaced."""
        before = [vars(module)[name] for module, name in NAMES]

        async def body(self):
            self.assertIs(asyncio.get_event_loop(), OTHER_NAME())
            self.assertEqual([vars(module)[name] for module, name in NAMES], before)
            self.assertIsNone(run_of(self).refusals)

        self.assertTrue(run_one(body, forbid_get_event_loop=False).wasSuccessful())

    def test_asyncios_own_calls(self):
        """What asyncio calls on the way to something else passes, in coroutines."""

        async def answer():
            return 42

        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        async def body(self):
            loop = asyncio.get_running_loop()
            self.assertEqual(await asyncio.gather(answer(), answer()), [42, 42])
            self.assertEqual(await asyncio.ensure_future(answer()), 42)
            self.assertEqual(await asyncio.wait_for(answer(), 1), 42)
            self.assertEqual(await asyncio.shield(answer()), 42)
            self.assertEqual([await each for each in asyncio.as_completed([answer()])], [42])
            self.assertEqual(await asyncio.to_thread(lambda: 42), 42)
            self.assertEqual(await loop.run_in_executor(None, lambda: 42), 42)
            self.assertIs(asyncio.Future().get_loop(), loop)
            asyncio.StreamReader()
            asyncio.StreamReaderProtocol(asyncio.StreamReader())
            for kind in (asyncio.Queue, asyncio.Lock, asyncio.Event, asyncio.Condition):
                kind()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1), asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(2))
            server = await asyncio.start_server(serve, "localhost", 8000)
            async with server:
                reader, writer = await asyncio.open_connection("localhost", 8000)
                writer.write(b"x\n")
                self.assertEqual(await reader.readline(), b"x\n")
                writer.close()
                await writer.wait_closed()

        result = run_one(body)
        self.assertTrue(result.wasSuccessful(), told(result))

    def test_asyncios_own_calls_in_plain_functions(self):
        """A future made in a plain function asks the policy on its own; that is not the line's mistake."""

        def body(self):
            self.assertIs(asyncio.Future().get_loop(), self.loop)
            self.assertIs(asyncio.gather(asyncio.Future()).get_loop(), self.loop)

        result = run_one(body)
        self.assertTrue(result.wasSuccessful(), told(result))

    def test_another_loop_in_another_thread(self):
        """A thread with a world of its own is not the test's, and asyncio.run() works there."""
        seen = []

        async def main():
            seen.append(asyncio.get_event_loop() is asyncio.get_running_loop() is OTHER_NAME())

        def other():
            with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
                runner.run(main())

        async def body(self):
            await asyncio.to_thread(other)

        result = run_one(body)
        self.assertTrue(result.wasSuccessful(), told(result))
        self.assertEqual(seen, [True])

    def test_a_thread_of_nobody(self):
        """A thread that is not the test's gets its loop, whether the test's loop is virtual or real."""
        for factory in (SolipsistEventLoop, asyncio.SelectorEventLoop):
            ask, answered, seen = threading.Event(), threading.Event(), []

            def other(ask=ask, answered=answered, seen=seen):
                ask.wait(60)
                loop = object()
                events._set_running_loop(loop)
                seen.extend((asyncio.get_event_loop() is loop, OTHER_NAME() is loop))
                events._set_running_loop(None)
                answered.set()

            thread = threading.Thread(target=other)
            thread.start()

            def body(self, ask=ask, answered=answered):
                ask.set()
                answered.wait(60)

            with self.subTest(factory.__name__):
                self.assertTrue(run_one(body, loop_factory=factory).wasSuccessful())
                thread.join()
                self.assertEqual(seen, [True, True])

    def test_get_running_loop(self):
        """get_running_loop() and other functions of C are untouched."""

        async def body(self):
            self.assertIs(asyncio.get_running_loop(), self.loop)
            self.assertEqual(functools.partial(len)("x"), 1)

        self.assertTrue(run_one(body).wasSuccessful())


class ThreadsAndCallbacksTest(unittest.TestCase):
    def test_a_callback(self):
        """The function itself as a callback of the loop is the program's call, though a line of asyncio makes it."""

        async def body(self):
            self.loop.set_exception_handler(lambda loop, context: None)
            self.loop.call_soon(asyncio.get_event_loop)
            await asyncio.sleep(0)

        for attributes in ({}, {"loop_debug": True}, {"loop_factory": asyncio.SelectorEventLoop}):
            with self.subTest(**attributes):
                text = text_of(run_one(body, **attributes))
                self.assertIn("get_event_loop() was called, which forbid", text)

    def test_a_callback_that_was_bound_in_a_module(self):
        """A module's earlier name that is handed to C code is refused as well."""

        async def body(self):
            self.loop.set_exception_handler(lambda loop, context: None)
            self.loop.call_soon(get_event_loop)
            await self.settle()

        self.assertIn("get_event_loop() was called, which forbid", text_of(run_one(body)))

    def test_a_worker_thread(self):
        """In a thread of the test's world it is refused too, by any name, and the await gets the error."""
        for ask in (lambda: asyncio.get_event_loop(), lambda: OTHER_NAME()):
            async def body(self, ask=ask):
                await asyncio.to_thread(ask)

            with self.subTest():
                text = text_of(run_one(body))
                self.assertIn("get_event_loop() was called at tests/stdlib/seal/test_get_event_loop.py", text)
                self.assertNotIn("swallowed", text)


class SwallowedTest(unittest.TestCase):
    def test_it_fails_at_the_end(self):
        """Each line whose error the program swallowed fails the test at its end, once, also at a second call."""

        async def body(self):
            for _ in range(3):
                with contextlib.suppress(Exception):
                    OTHER_NAME()
                self.assertIs(asyncio.get_running_loop(), self.loop)
            with contextlib.suppress(Exception):
                asyncio.get_event_loop()

        text = text_of(run_one(body))
        line = body.__code__.co_firstlineno
        self.assertEqual([text.count(f"was called at tests/stdlib/seal/test_get_event_loop.py:{line + number} ")
                          for number in (3, 6)], [1, 1])
        self.assertEqual(text.count("said so was swallowed"), 2)

    def test_a_failing_test_has_it_as_a_note(self):
        """What the test fails with comes first; an error that is told with it is not told again."""

        async def other(self):
            with contextlib.suppress(AssertionError):
                asyncio.get_event_loop()
            self.fail("mine")

        self.assertRegex(text_of(run_one(other)), "AssertionError: mine\nalso: asyncio.get_event_loop[^$]*swallowed")

        async def chained(self):
            try:
                asyncio.get_event_loop()
            except AssertionError as error:
                raise KeyError("mine") from error

        async def grouped(self):
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.to_thread(asyncio.get_event_loop))

        for body in (chained, grouped):
            result = run_one(body)
            self.assertEqual(len(result.errors), 1)
            self.assertNotIn("swallowed", told(result))

    def test_assert_raises_expects_it(self):
        """A test that expects the error passes."""

        async def body(self):
            for ask in (asyncio.get_event_loop, OTHER_NAME, lambda: OTHER_NAME()):
                if ask is not OTHER_NAME or MONITORING:
                    with self.assertRaisesRegex(AssertionError, "get_running_loop"):
                        ask()

        result = run_one(body)
        self.assertTrue(result.wasSuccessful(), told(result))

    def test_an_expected_failure(self):
        """It makes an expected failure, as any AssertionError does."""

        async def body(self):
            asyncio.get_event_loop()

        self.assertEqual(len(run_one(unittest.expectedFailure(body)).expectedFailures), 1)

    def test_debug(self):
        """debug() raises what was swallowed."""

        class Case(Forbidding):
            async def test(self):
                with contextlib.suppress(AssertionError):
                    asyncio.get_event_loop()

        with self.assertRaisesRegex(AssertionError, "swallowed"):
            Case("test").debug()

    def test_not_without_end(self):
        """Of a program that polls again and again only 100 errors are kept."""

        async def body(self):
            for _ in range(KEPT + 1):
                with contextlib.suppress(AssertionError):
                    asyncio.get_event_loop()
            kept.append(len(run_of(self).refusals.errors))

        kept = []
        self.assertEqual(len(run_one(body).failures), 1)
        self.assertEqual(kept, [KEPT])


class RestoredTest(unittest.TestCase):
    def test_everything_is_as_it_was(self):
        """After the test every name, the profile function and the tools of the interpreter are what they were."""

        def state():
            tools = [sys.monitoring.get_tool(number) for number in range(6)] if MONITORING else []
            return ([vars(module)[name] for module, name in NAMES], sys.getprofile(), threading.getprofile(), tools,
                    vars(type(policy_of())).get("get_event_loop") if POLICIES else None)

        before = state()
        for body in (lambda self: None, lambda self: asyncio.get_event_loop(), lambda self: self.skipTest("")):
            run_one(body)
            self.assertEqual(state(), before)

    def test_a_name_that_somebody_else_replaced(self):
        """What the program puts in a name's place and leaves there stays."""

        def body(self):
            asyncio.get_event_loop = len

        with mock.patch.object(asyncio, "get_event_loop"):
            run_one(body)
            self.assertIs(asyncio.get_event_loop, len)

    def test_a_test_in_a_test(self):
        """Tests that run inside of each other refuse for themselves, and asyncio's calls pass through both."""

        async def inner(self):
            await asyncio.gather(asyncio.sleep(0))
            OTHER_NAME()

        async def body(self):
            result = await asyncio.to_thread(run_one, inner)
            self.assertIn("was called", text_of(result))
            with self.assertRaises(AssertionError):
                asyncio.get_event_loop()

        result = run_one(body)
        self.assertTrue(result.wasSuccessful(), told(result))


class ToolsTest(unittest.TestCase):
    async def asks(self):
        OTHER_NAME()

    async def asks_by_name(self):
        asyncio.get_event_loop()

    def test_a_profiler(self):
        """With cProfile at work the names are refused; from 3.12 on the rest too. The profiler goes on."""
        profiler = cProfile.Profile()
        profiler.enable()
        try:
            by_name, other = run_one(ToolsTest.asks_by_name), run_one(ToolsTest.asks)
            marker = len("x")
        finally:
            profiler.disable()
        self.assertEqual((len(by_name.failures), len(other.failures), marker), (1, int(MONITORING), 1))
        self.assertTrue(any("built-in method builtins.len" in str(entry.code) for entry in profiler.getstats()))

    def test_a_profile_function(self):
        """A profile function goes on seeing everything, in the test and after it."""
        seen = []

        def profile(frame, event, argument):
            seen.append(frame.f_code.co_name)

        async def marked(self):
            asyncio.get_event_loop()

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            result = run_one(marked)
            self.assertIs(sys.getprofile(), profile)
        finally:
            sys.setprofile(before)
        self.assertEqual(len(result.failures), 1)
        self.assertIn("marked", seen)

    def test_a_profile_function_that_the_test_sets(self):
        """A profile function that the test sets and leaves there stays."""

        def profile(frame, event, argument):
            pass

        async def body(self):
            sys.setprofile(profile)

        before = sys.getprofile()
        try:
            run_one(body)
            self.assertIs(sys.getprofile(), profile)
        finally:
            sys.setprofile(before)

    def test_a_debugger(self):
        """A test that is traced by pdb fails in the same way."""
        before = sys.gettrace()
        try:
            debugger = pdb.Pdb(stdin=io.StringIO("continue\n"), stdout=io.StringIO(), nosigint=True, readrc=False)
            result = debugger.runcall(run_one, ToolsTest.asks)
        finally:
            sys.settrace(before)
        self.assertEqual(len(result.failures), 1)

    @unittest.skipUnless(MONITORING, "sys.monitoring is of 3.12")
    def test_no_tool_is_free(self):
        """Where other tools have taken every number that is left, the names are refused all the same."""
        with contextlib.ExitStack() as stack:
            for number in TOOLS:
                sys.monitoring.use_tool_id(number, "somebody")
                stack.callback(sys.monitoring.free_tool_id, number)
            self.assertEqual([len(run_one(body).failures) for body in (ToolsTest.asks_by_name, ToolsTest.asks)], [1, 0])


class HooksTest(unittest.TestCase):
    """What the interpreter calls back, called directly: no tool that measures sees it at work."""

    def setUp(self):
        self.refusals = Refusals(AssertionError)

    def test_a_call(self):
        """The function, a partial and a method of it are refused, anything else passes."""
        on_call = _on_call(self.refusals, [OTHER_NAME, Keeper.of_default])
        for function in (OTHER_NAME, functools.partial(OTHER_NAME), Keeper().of_default):
            with self.assertRaisesRegex(AssertionError, "was called at tests/stdlib/seal/test_get_event_loop.py"):
                on_call(None, 0, function, None)
        for function in (len, functools.partial(len), Keeper().__init__):
            on_call(None, 0, function, None)
        exec("on_call(None, 0, function, None)", {"__name__": "asyncio", "on_call": on_call, "function": OTHER_NAME})
        self.assertEqual(len(self.refusals.errors), 3)

    def test_a_call_of_c_code(self):
        """Only a call of the function leads it astray, and an earlier profile function sees it too."""
        seen, frame = [], sys._getframe()
        with mock.patch.object(implicit_loops, "_lead_astray") as lead:
            profile = _profile(self.refusals, [OTHER_NAME], lambda *event: seen.append(event))
            for event, function in (("c_call", OTHER_NAME), ("c_return", OTHER_NAME), ("c_call", len)):
                profile(frame, event, function)
            _profile(self.refusals, [OTHER_NAME], None)(frame, "c_call", OTHER_NAME)
        self.assertEqual([call.args for call in lead.call_args_list], [(self.refusals,)] * 2)
        self.assertEqual(seen, [(frame, "c_call", OTHER_NAME), (frame, "c_return", OTHER_NAME),
                                (frame, "c_call", len)])


@unittest.skipIf(MONITORING, "later versions have sys.monitoring")
class LedAstrayTest(unittest.TestCase):
    def test_another_thread_meanwhile(self):
        """A thread that asks the policy just when another one is led astray gets its own answer."""
        policy, loop, seen = policy_of(), object(), []
        refusals = Refusals(AssertionError)
        events._set_running_loop(loop)
        try:
            _lead_astray(refusals)
            self.assertIsNone(events._get_running_loop())

            def other():
                with contextlib.suppress(RuntimeError):
                    policy.get_event_loop()
                seen.append("get_event_loop" in vars(policy))

            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
            self.assertRaises(AssertionError, OTHER_NAME)
            self.assertIs(events._get_running_loop(), loop)
        finally:
            events._set_running_loop(None)
        self.assertEqual((seen, "get_event_loop" in vars(policy)), ([True], False))

    def test_a_policy_with_its_own_method(self):
        """A policy's own method is refused by name and comes back; called for asyncio it answers."""

        class Policy(asyncio.DefaultEventLoopPolicy):
            def get_event_loop(self):
                return super().get_event_loop()

        def body(self):
            self.assertIs(asyncio.Future().get_loop(), self.loop)
            policy_of().get_event_loop()

        before, own = policy_of(), Policy.get_event_loop
        asyncio.set_event_loop_policy(Policy())
        try:
            text = text_of(run_one(body))
        finally:
            asyncio.set_event_loop_policy(before)
        self.assertIn("get_event_loop() was called", text)
        self.assertIs(Policy.get_event_loop, own)


if __name__ == "__main__":
    unittest.main()
