"""Mistakes that unittest and asyncio let pass: each does the right thing here, or fails and says what is wrong."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import operator
import sys
import threading
import unittest
import warnings
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


async def fetch():
    await asyncio.sleep(1)
    return "fetched"


def line_of(function, number):
    """The number of the line so many lines below a function's first."""
    return function.__code__.co_firstlineno + number


def case_of(body, **attributes):
    """A test case class with this one test."""
    return type("Case", (SolipsistTestCase,), {"test": body, **attributes})


@contextlib.contextmanager
def no_warnings():
    """Python itself has nothing to say in here, not even at the next collection."""
    with warnings.catch_warnings(), mock.patch("sys.unraisablehook") as hook:
        warnings.simplefilter("error")
        yield
        gc.collect()
    if hook.call_args is not None:
        raise AssertionError(repr(hook.call_args))


class TestMethodTest(unittest.TestCase):
    def test_coroutines_from_plain_functions(self):
        """A method that returns a coroutine without being async is awaited, through whatever decorator it comes."""
        calls = []

        async def body(self, *args):
            await asyncio.sleep(1)
            calls.append(self.now)

        def decorated(function):
            @functools.wraps(function)
            def call(*args):
                return function(*args)

            return call

        variants = {
            "plain": lambda self: body(self),
            "wrapped": decorated(body),
            "partial": functools.partialmethod(body, "argument"),
            "patched": mock.patch("os.getcwd")(body),
            "patched outside": mock.patch("os.getcwd")(decorated(body)),
            "future": lambda self: asyncio.ensure_future(body(self), loop=self.loop),
        }
        for name, variant in variants.items():
            with self.subTest(name), no_warnings():
                self.assertEqual((told(run(case_of(variant))), calls.pop()), ("", 1.0))

    def test_what_is_awaited_fails(self):
        """What such a coroutine raises fails its test."""

        async def body(self):
            self.fail("on purpose")

        self.assertIn("on purpose", told(run(case_of(lambda self: body(self)))))

    def test_generators(self):
        """A test with a `yield`, async or not, fails: nothing of it ran."""

        async def asynchronous(self):
            yield self.fail("it ran")

        def plain(self):
            yield self.fail("it ran")

        for body in (asynchronous, plain):
            with self.subTest(body.__name__):
                result = run(case_of(body))
                self.assertRegex(told(result), rf"AssertionError: .*{body.__name__}\(\) has a `yield`, so calling it "
                                               "only made a generator and nothing of it ran: take the `yield` out")
                self.assertEqual(len(result.failures), 1)

    def test_generators_as_fixtures(self):
        """A fixture with a `yield` fails its test too."""

        def fixture(self):
            yield

        async def body(self):
            pass

        for name in ("setUp", "asyncSetUp", "asyncTearDown", "tearDown"):
            with self.subTest(name):
                self.assertIn("has a `yield`", told(run(case_of(body, **{name: fixture}))))


class ForgottenAwaitTest(unittest.TestCase):
    def check(self, body, *expected, **attributes):
        """The test fails once, and its text has these parts; Python itself adds nothing."""
        with no_warnings():
            result = run(case_of(body, **attributes))
            text = told(result)
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0), text)
        for part in expected:
            self.assertIn(part, text)
        return text

    def test_forgotten(self):
        """A coroutine that nobody awaits fails its test and is named with the line where it was made."""

        async def body(self):
            fetch()

        self.check(body, "AssertionError: coroutine 'fetch' was never awaited, so nothing of it ran: write `await` "
                         "before it, or make a task of it\n  made at ",
                   f"test_masked_mistakes.py:{line_of(body, 1)} in body\n")

    def test_truth_of_a_coroutine(self):
        """assertTrue() of a coroutine holds, and fails the test all the same."""

        async def body(self):
            self.assertTrue(fetch())

        self.check(body, "coroutine 'fetch' was never awaited")

    def test_part_of_a_cycle(self):
        """A forgotten coroutine that only the garbage collector finds is found before the test is over."""

        async def body(self):
            cycle = [fetch()]
            cycle.append(cycle)

        self.check(body, f"test_masked_mistakes.py:{line_of(body, 1)} in body")

    def test_in_every_phase(self):
        """It is found in fixtures, cleanups and plain tests as well, and with debug() too."""

        def forget(self):
            fetch()

        async def body(self):
            pass

        for name in ("setUp", "asyncSetUp", "asyncTearDown", "tearDown"):
            with self.subTest(name):
                self.check(body, "coroutine 'fetch' was never awaited", **{name: forget})
        self.check(forget, "coroutine 'fetch' was never awaited")
        self.check(lambda self: self.addCleanup(forget, self), "coroutine 'fetch' was never awaited")
        with self.assertRaisesRegex(AssertionError, "coroutine 'fetch' was never awaited"):
            case_of(forget)("test").debug()

    def test_on_a_stock_loop(self):
        """It needs no virtual world."""

        async def body(self):
            fetch()

        self.check(body, "coroutine 'fetch' was never awaited", loop_factory=asyncio.SelectorEventLoop)

    def test_many(self):
        """Equal ones are counted, different ones have a line each."""

        async def other():
            raise AssertionError("it ran")

        async def body(self):
            for _ in range(3):
                fetch()
            other()

        text = self.check(body, "coroutine 'fetch' was never awaited (x 3), so nothing", "<locals>.other' was never")
        self.assertEqual(text.count("never awaited"), 2)

    def test_own_coroutines(self):
        """A coroutine of the test case itself is named by its public name."""

        async def body(self):
            self.settle()

        self.check(body, "coroutine 'SolipsistTestCase.settle' was never awaited",
                   f"test_masked_mistakes.py:{line_of(body, 1)} in body")

    def test_mocks(self):
        """An AsyncMock that is called and not awaited is named with the line that threw its coroutine away."""

        async def body(self):
            mock.AsyncMock()()

        self.check(body, "never awaited", f"made at tests/behaviours/test_masked_mistakes.py:{line_of(body, 1)} in")

    def test_a_mock_that_is_kept(self):
        """Where no line of the user's is known, the call of the mock is named."""
        async def in_a_cycle(self):
            cycle = [mock.AsyncMock()()]
            cycle.append(cycle)

        async def on_the_test(self):
            self.mock = mock.AsyncMock(name="client")
            self.later = self.mock.fetch("/", retries=mock.Mock())

        async def in_a_list(self):
            self.later = [mock.MagicMock(name="session").__aenter__()]

        async def with_much(self):
            self.later = mock.AsyncMock()("x" * 150, "y" * 150)

        for body, call in ((in_a_cycle, "mock()"), (on_the_test, "client.fetch('/', retries=<Mock>)"),
                           (in_a_list, "session.__aenter__()"), (with_much, "mock(...)")):
            with self.subTest(call):
                self.check(body, f"coroutine 'AsyncMock {call.partition('(')[0]}' was never awaited, so nothing of it "
                                 "ran: write `await` before it, or make a task of it\n"
                                 f"  made at the call {call} of this mock\n")

    def test_what_the_standard_library_made(self):
        """Where nobody knows a line, and no mock made it, none is named."""

        async def body(self):
            self.loop.call_later(1, operator.call, asyncio.sleep, 5)
            await asyncio.sleep(2)

        self.check(body, "coroutine 'sleep' was never awaited", "made at a line of the standard library\n")

    def test_in_another_thread(self):
        """A coroutine that a worker thread makes or drops is told as one of the test's own."""

        async def made(self):
            await asyncio.to_thread(fetch)

        async def dropped(self):
            await asyncio.to_thread(lambda: fetch() and None)

        self.check(made, "coroutine 'fetch' was never awaited", "test_masked_mistakes.py:")
        self.check(dropped, "coroutine 'fetch' was never awaited", f"test_masked_mistakes.py:{line_of(dropped, 1)} in")

    def test_called_by_the_loop(self):
        """A coroutine that the loop itself had made is told with the line where its function is defined."""

        async def body(self):
            self.loop.call_later(1, operator.call, fetch)
            await asyncio.sleep(2)

        self.check(body, "coroutine 'fetch' was never awaited",
                   f"test_masked_mistakes.py:{fetch.__code__.co_firstlineno}, where it is defined")

    def test_kept_on_the_test(self):
        """One that the test case keeps is told by its own test, and not by the next that collects garbage."""

        async def body(self):
            self.later = fetch()

        made = f"made at tests/behaviours/test_masked_mistakes.py:{line_of(body, 1)}"
        for attributes in ({}, {"loop_factory": asyncio.SelectorEventLoop}):
            self.check(body, "coroutine 'fetch' was never awaited", made, **attributes)

    def test_beside_a_leak(self):
        """What was forgotten comes first, then what was left behind; ending it makes no more complaints."""

        async def body(self):
            async def wait():
                later = fetch()
                await asyncio.sleep(1)
                await later

            fetch()
            self.task = asyncio.create_task(wait())
            await asyncio.sleep(0)

        text = self.check(body, "the test left 2 things behind", "1 pending task\n",
                          "1 coroutine never awaited\n    fetch, so nothing of it ran")
        self.assertEqual(text.count("never awaited"), 1)

    def test_only_a_leak(self):
        """A coroutine that goes down with a leaked task was not forgotten."""

        async def body(self):
            async def wait():
                later = fetch()
                await asyncio.sleep(1)
                await later

            self.task = asyncio.create_task(wait())
            await asyncio.sleep(0)

        self.assertNotIn("never awaited", self.check(body, "the test left 1 thing behind"))

    def test_a_mock_by_its_name(self):
        """A call of an AsyncMock that is not awaited is named by the mock: its own name, or the way to it."""
        async def own_name(self):
            mock.AsyncMock(name="client.fetch")(1)

        async def the_way_to_it(self):
            mock.AsyncMock().session.get("/")

        async def no_name(self):
            mock.AsyncMock()()

        for body, name in ((own_name, "client.fetch"), (the_way_to_it, "mock.session.get"), (no_name, "mock")):
            with self.subTest(name):
                self.check(body, f"coroutine 'AsyncMock {name}' was never awaited, so nothing of it ran: write `await` "
                                 "before it, or make a task of it\n  made at tests/behaviours/test_masked_mistakes.py:")

    def test_what_a_failing_test_left(self):
        """A coroutine that a failing test did not come to is no mistake, in whichever frame or cause it is held."""

        async def body(self):
            later = fetch()
            try:
                raise LookupError
            except LookupError as error:
                inner = fetch()
                self.fail("on purpose")
                await inner, error
            await later

        self.assertNotIn("never awaited", self.check(body, "on purpose"))

    def test_what_is_kept(self):
        """One in a container of the test, and one in a traceback that it keeps, is named like one by itself."""
        async def in_a_list(self):
            self.servers = [fetch()]

        async def in_an_error(self):
            def start():
                _server = fetch()
                raise LookupError

            try:
                start()
            except LookupError as error:
                self.error = error

        async def in_data(self):  # too much to be looked through: Python's own warning comes when it is collected
            self.many = [*range(100), later := fetch()]
            later.close()

        for body in (in_a_list, in_an_error):
            with self.subTest(body):
                self.check(body, "AssertionError: coroutine 'fetch' was never awaited",
                           "made at tests/behaviours/test_masked_mistakes.py:")
        self.assertEqual(told(run(case_of(in_data))), "")

    def test_what_a_failing_test_would_have_come_to(self):
        """The same in a loop, in which its turn would have come again, and for a variable of an inner function."""
        async def loop(self):
            later = None
            for _ in range(3):
                if later is not None:
                    self.fail("on purpose")
                    await later
                later = fetch()

        async def closure(self):
            later = fetch()

            async def inner():
                await later

            self.fail("on purpose")
            await inner()

        async def together(self):
            later = [fetch(), fetch()]
            self.fail("on purpose")
            await asyncio.gather(*later)

        for body in (loop, closure, together):
            with self.subTest(body):
                self.assertNotIn("never awaited", self.check(body, "on purpose"))

    def test_what_a_failing_test_has_forgotten(self):
        """A coroutine in a frame of the failure that nobody would have awaited is named: it may be the reason."""
        async def bound_to_a_name(self):
            _server = fetch()
            await asyncio.open_connection("127.0.0.1", 1)

        async def used_as_what_it_is_not(self):
            server = fetch()
            await asyncio.open_connection("127.0.0.1", server.port)

        async def in_a_cause(self):
            def start():
                _server = fetch()
                raise LookupError

            try:
                start()
            except LookupError:
                self.fail("on purpose")

        async def in_containers(self):
            _servers = [1, {"api": 5}, fetch()]
            await asyncio.open_connection("127.0.0.1", 1)

        async def in_a_dict(self):
            _servers = {"api": fetch()}
            self.fail("on purpose")

        for body in (bound_to_a_name, used_as_what_it_is_not, in_a_cause, in_containers, in_a_dict):
            with self.subTest(body):
                result = run(case_of(body))
                text = told(result)
                self.assertIn("also: coroutine 'fetch' was never awaited, so nothing of it ran: write `await` before "
                              "it, or make a task of it\n  made at tests/behaviours/test_masked_mistakes.py:", text)
                self.assertEqual(text.count("never awaited"), 1)

    def test_what_an_expected_failure_left(self):
        """The same for a test that fails as expected, and what it forgot does not change its outcome."""

        @unittest.expectedFailure
        async def body(self):
            fetch()
            later = fetch()
            self.fail("on purpose")
            await later

        with no_warnings():
            result = run(case_of(body))
        self.assertEqual((len(result.expectedFailures), told(result)), (1, ""))

    def test_what_a_skipped_test_left(self):
        """A test that is skipped half-way stays skipped."""

        async def body(self):
            later = fetch()
            self.skipTest("not today")
            await later

        with no_warnings():
            result = run(case_of(body))
        self.assertEqual((len(result.skipped), told(result)), (1, ""))

    def test_cause_of_a_failure(self):
        """In a test that fails, what was thrown away before is a note: it may well be the cause."""

        async def body(self):
            fetch()
            self.fail("on purpose")

        self.assertRegex(self.check(body), "(?s)on purpose\nalso: coroutine 'fetch' was never awaited")

    def test_collected_warnings(self):
        """A test that collects warnings gets Python's own one and does not fail."""

        async def body(self):
            with self.assertWarnsRegex(RuntimeWarning, "coroutine 'fetch' was never awaited"):
                fetch()

        self.assertEqual(told(run(case_of(body))), "")

    def test_not_of_this_test(self):
        """A coroutine that was made before the test, or on another thread, is Python's to tell of."""
        before = [fetch()]

        async def body(self):
            # With context-aware warnings, who collects them in a context sees those of a thread that takes it over.
            thread = threading.Thread(target=contextvars.copy_context().run, args=(before.clear,))
            thread.start()
            thread.join()
            before.append(None)

        with self.assertWarnsRegex(RuntimeWarning, "coroutine 'fetch' was never awaited"):
            result = run(case_of(body))
        self.assertEqual((told(result), before), ("", [None]))

    def test_awaited_and_closed(self):
        """Coroutines that are awaited, made tasks of, closed, or cancelled before they begin are no mistake."""

        async def body(self):
            fetch().close()
            task = asyncio.create_task(fetch())
            task.cancel()
            await asyncio.wait([task])
            self.assertEqual(await asyncio.gather(fetch(), asyncio.create_task(fetch())), ["fetched"] * 2)

        with no_warnings():
            self.assertEqual(told(run(case_of(body))), "")

    def test_undone(self):
        """After a test, one that is run inside another included, Python tells of coroutines as before."""
        warn = warnings._warn_unawaited_coroutine

        async def body(self):
            self.assertEqual(sys.get_coroutine_origin_tracking_depth(), 1)

        def outer(self):
            run(case_of(body))
            self.assertIsNot(warnings._warn_unawaited_coroutine, warn)
            fetch()

        self.check(outer, "coroutine 'fetch' was never awaited")
        self.assertIs(warnings._warn_unawaited_coroutine, warn)
        self.assertEqual(sys.get_coroutine_origin_tracking_depth(), 0)


class FixtureTest(unittest.TestCase):
    def check(self, expected, **attributes):
        """A class with one empty test and these methods fails with this text ("" for none), and without a warning."""

        async def test(self):
            pass

        with no_warnings():
            text = told(run(case_of(test, **attributes)))
        self.assertRegex(text, expected or "^$")

    def test_a_plain_set_up_that_needs_the_loop(self):
        """self.loop and asyncio.get_event_loop() are the test's loop in a plain setUp; what it starts there runs."""
        seen = []

        def setUp(self):
            seen.append(asyncio.get_event_loop() is self.loop)
            self.task = self.loop.create_task(fetch())

        async def asyncTearDown(self):
            seen.append(await self.task)

        self.check("", setUp=setUp, asyncTearDown=asyncTearDown)
        self.assertEqual(seen, [True, "fetched"])

    def test_no_running_loop(self):
        """asyncio.create_task() in a plain function fails as in asyncio, and a note says what to do."""

        def start(self):
            self.task = asyncio.create_task(fetch())

        for name, wanted in (("setUp", "asyncSetUp"), ("asyncSetUp", "asyncSetUp"), ("tearDown", "asyncTearDown"),
                             ("asyncTearDown", "asyncTearDown"), ("test_it", "test_it")):
            with self.subTest(name):
                start.__name__ = name
                self.check(rf"RuntimeError: no running event loop\n{name}\(\) is a plain function, and no event loop "
                           rf"runs in one: write `async def {wanted}`, or ask self\.loop, as in "
                           r"self\.loop\.create_task", **{name: start})
        self.assertIn("it() is a plain function", told(run(case_of(functools.partialmethod(start)))))

    def test_another_runtime_error(self):
        """Any other RuntimeError has no such note."""

        def setUp(self):
            raise RuntimeError("on purpose")

        self.check(r"RuntimeError: on purpose\n$", setUp=setUp)

    def test_async_set_up_that_is_not_async(self):
        """A plain asyncSetUp and asyncTearDown are called, and neither has to call super()."""
        calls = []

        def asyncSetUp(self):
            calls.append("setUp")

        def asyncTearDown(self):
            calls.append("tearDown")

        self.check("", asyncSetUp=asyncSetUp, asyncTearDown=asyncTearDown)
        self.assertEqual(calls, ["setUp", "tearDown"])

    def test_async_set_up_without_super(self):
        """Nothing is missing when a subclass does not call what it overrides."""

        async def nothing(self):
            self.assertNow(0)

        def plain(self):
            self.assertNow(0)

        self.check("", setUp=plain, asyncSetUp=nothing, asyncTearDown=nothing, tearDown=plain)

    def test_cleanups_that_are_no_functions(self):
        """A coroutine, or anything that cannot be called, is refused as a cleanup at the call, with the right one."""

        async def add(self):
            self.addAsyncCleanup(fetch())

        self.check(r"in add\n(.*\n)*TypeError: a cleanup is a function, not <coroutine object fetch>: do not call it "
                   r"here, as in self\.addCleanup\(function, argument\)", asyncSetUp=add)
        self.check(r"TypeError: a cleanup is a function, not None\n", setUp=lambda self: self.addCleanup(None))

    def test_async_class_fixtures(self):
        """An async setUpClass or tearDownClass, inherited or not, is one error that says what to write."""

        async def fixture(cls):
            raise AssertionError("it ran")

        for name in ("setUpClass", "tearDownClass"):
            with self.subTest(name):
                self.check(rf"SolipsismError: Case\.{name} is a coroutine function, and unittest does not await it: "
                           "make it a plain function, or write asyncSetUp and", **{name: classmethod(fixture)})

        class Mixin:
            setUpClass = classmethod(fixture)

        class Case(Mixin, SolipsistTestCase):
            def test(self):
                raise AssertionError("it ran")

        class Inherits(Case):
            pass

        with no_warnings():
            self.assertRegex(told(run(Case)), r"Case\.setUpClass is a coroutine function")
            self.assertRegex(told(run(Inherits)), r"Inherits\.setUpClass is a coroutine function")


if __name__ == "__main__":
    unittest.main()
