"""A test class may give names a meaning of its own: nothing that it defines by accident reaches the framework."""

import ast
import asyncio
import contextlib
import datetime
import unittest

from solipsism_unittest import SolipsismError, SolipsistTestCase
from tests import ROOT
from tests.case.test_case import run, told

STOCK = unittest.IsolatedAsyncioTestCase
THE_ONE_NAME = "_solipsism_unittest"  # no program would take it

# What a class sets: another value is refused, in words.
SETTINGS = {
    "autojump", "default_context", "executor_factory", "forbid_get_event_loop", "hermetic", "loop_debug",
    "loop_factory", "loop_scope", "longest_stall", "on_blocking_call", "on_polling", "on_slow_callback",
    "real_time_limit", "seed", "services", "start_time", "virtual_time_limit", "wall_start",
}
FIXTURES = {"asyncSetUpClass", "asyncTearDownClass"}
# What a test calls, and what it is given: its own meaning of these names is its own affair.
VOCABULARY = {
    "add_program", "advance", "advance_to", "allow_escape", "always", "background", "context", "delayed_future",
    "evidence", "expect_leak", "hold_clock",
    "localhost", "loop", "network", "now", "run_program", "send_signal", "set_wall_clock", "settle",
    "socketpair",
    "start_fake_datagram_server", "start_fake_server", "start_proxy", "stream_pairs", "tls_contexts", "trust",
    "unused_port", "wall_now",
    "assertAsyncRaises", "assertAsyncRaisesRegex", "assertAsyncWarns", "assertAsyncWarnsRegex",
    "assertBlocks", "assertBufferEmpty", "assertBufferFull", "assertBuffered", "assertCompletesAfter",
    "assertCompletesWithin", "assertElapses", "assertLoopException", "assertNextTimer", "assertNoTimers", "assertNow",
    "assertTimesOut", "assertEOF", "assertReceives", "assertReceivesNothing", "assertWritingPaused",
    "assertWritingResumed",
}
# Short names that the framework once had on the class.
FORMER = {
    "_abort", "_allowance", "_assert_took", "_before", "_begin_class", "_block", "_body_used", "_call", "_call_inside",
    "_checks", "_choose_checks", "_close_pair", "_close_scope", "_complete", "_complete_after", "_conclude", "_end",
    "_end_class", "_end_module", "_enter_world", "_expected", "_expects_failure", "_fail", "_fail_on", "_fixture",
    "_forgotten", "_held", "_in_phase", "_in_world", "_is_last", "_judge", "_late", "_look_for_faults", "_loop_in",
    "_lost", "_make_loop", "_make_runner", "_modules", "_new_scope", "_no_test", "_note_cancel", "_of_module",
    "_phase", "_raise_what_came_late", "_refusals", "_release", "_run_on_loop", "_runner", "_scope", "_scope_of_class",
    "_servers", "_set_executor", "_shared", "_since", "_stage", "_stopped", "_survey_class", "_time_out", "_trouble",
    "_unawaited", "_unfinished", "_virtual", "_was_used", "_within", "_world",
}


def names_in_the_code():
    """Every name of a function or attribute in the code of the test case, and the same as a private one."""
    found = set()
    for path in (ROOT / "solipsism_unittest" / "case").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    found.add(name)
                case ast.Attribute(ast.Name("self" | "cls" | "case" | "run"), name):
                    found.add(name)
    return {name if name.startswith("_") else f"_{name}" for name in found}


def names_of(base):
    """Every name that a test case has, on its class or itself while it runs."""
    seen = set()

    class Case(base):
        async def test(self):
            seen.update(dir(self))

    run(Case)
    return seen


def case_with(base=SolipsistTestCase, *, on_class=None, in_set_up=None):
    """A class with a test that passes, one that fails and one that leaves a task, with names of its own."""

    class Case(base):
        def setUp(self):
            for name, value in (in_set_up or {}).items():
                setattr(self, name, value)

        async def test_fails(self):
            await asyncio.sleep(1)
            self.fail("on purpose")

        async def test_leaves_a_task(self):
            self.task = asyncio.create_task(asyncio.sleep(99))

        async def test_passes(self):
            await asyncio.sleep(1)

    for name, value in (on_class or {}).items():
        setattr(Case, name, value)
    return Case


def outcome(case):
    """Which tests of such a class ran, failed, and were reported to have left something."""
    result = run(case)
    failed = sorted(test._testMethodName for test, _ in result.failures)
    return result.testsRun, failed, "left 1 thing behind" in told(result), [text for _, text in result.errors]


RIGHT = 3, ["test_fails", "test_leaves_a_task"], True, []


def own_method(self, *args, **kwargs):
    """What a user's helper may be."""
    return "mine"


class OwnNamesTest(unittest.TestCase):
    def test_one_name_and_the_vocabulary(self):
        """Beyond unittest's names and the documented ones a test case has one name."""
        more = {name for name in names_of(SolipsistTestCase) - names_of(STOCK) if not name.startswith("__")}
        # unittest has a loop_factory too, from Python 3.13 on.
        self.assertEqual(more | {"loop_factory"}, SETTINGS | FIXTURES | VOCABULARY | {THE_ONE_NAME})

    def test_names_of_ones_own(self):
        """A method or attribute of any other name, on the class or on the test, changes no outcome."""
        names = (FORMER | VOCABULARY | names_in_the_code()) - names_of(STOCK) - SETTINGS - FIXTURES - {"task"}
        names = sorted(name for name in names if not name.startswith("__"))
        for name in names:
            with self.subTest(name):
                self.assertEqual(outcome(case_with(on_class={name: own_method})), RIGHT)
        for name in sorted(FORMER | VOCABULARY):
            with self.subTest(name, where="attribute"):
                self.assertEqual(outcome(case_with(on_class={name: "mine"})), RIGHT)
        for name in [*names, *SETTINGS, *FIXTURES]:
            with self.subTest(name, where="in setUp"):
                self.assertEqual(outcome(case_with(in_set_up={name: object()})), RIGHT)

    def test_names_of_ones_own_with_a_shared_loop(self):
        """The same where the tests of a class share their loop."""
        for name in sorted(FORMER | VOCABULARY):
            with self.subTest(name):
                self.assertEqual(outcome(case_with(on_class={name: own_method, "loop_scope": "class"})), RIGHT)

    def test_all_of_them_at_once(self):
        """A class that has every name of these is tested as any other."""
        every = dict.fromkeys(FORMER | VOCABULARY, own_method)
        self.assertEqual(outcome(case_with(on_class=every, in_set_up=every)), RIGHT)


class SettingsTest(unittest.TestCase):
    CLASHES = (
        ("start_time", datetime.datetime(2024, 1, 1), "the loop's first time. Set it to a number of seconds"),
        ("wall_start", datetime.datetime(2024, 1, 1), "the time of day at which a test begins. Set it to a datetime"),
        ("seed", "abc", "what decides what is left open. Set it to an int"),
        ("longest_stall", 0, "the most seconds of one stall or delay while the test is explored. Set it to a number of "
                             "seconds above zero"),
        ("loop_scope", 5, "which tests share a loop. Set it to one of 'test', 'class', 'module'"),
        ("loop_factory", None, "what makes the event loop. Set it to a class or function that returns a loop"),
        ("loop_debug", "verbose", "asyncio's debug mode. Set it to True or False"),
        ("autojump", own_method, "whether time jumps when nothing else can happen. Set it to True or False"),
        ("hermetic", None, "whether a call that would leave the virtual world fails. Set it to True or False"),
        ("forbid_get_event_loop", 2, "whether asyncio.get_event_loop() fails. Set it to True or False"),
        ("real_time_limit", own_method, "the real seconds that a test may take. Set it to a number of seconds"),
        ("virtual_time_limit", "10s", "the virtual seconds that a test may take. Set it to a number of seconds"),
        ("on_blocking_call", own_method, "what becomes of a call that blocks the loop's thread. Set it to one of"),
        ("on_slow_callback", 0.1, "what becomes of a slow callback. Set it to one of 'fail', 'warn', 'ignore'"),
        ("on_polling", "warn", "what becomes of a program that runs again and again without waiting. Set it to one of "
         "'fail', 'jump'"),
        ("executor_factory", None, "what makes the default executor. Set it to a method that gives one or None"),
        ("services", ["database"], "what runs around each test. Set it to a method that gives a list of services"),
        ("default_context", {}, "what self.context holds at first. Set it to a method that gives a mapping"),
    )

    def test_every_setting(self):
        """The table above has each setting."""
        self.assertEqual({name for name, _, _ in self.CLASHES}, SETTINGS)

    def test_another_meaning(self):
        """A setting to which a class gives another meaning is an error of each test, with the clash and the cure."""
        for name, value, words in self.CLASHES:
            with self.subTest(name):
                result = run(case_with(on_class={name: value}))
                expected = (0, 1) if name == "loop_scope" else (3, 3)  # which is read before the first test
                self.assertEqual((result.testsRun, len(result.errors), result.failures), (*expected, []))
                for _, text in result.errors:
                    self.assertIn(f"SolipsismError: {name} of case_with.<locals>.Case is ", text)
                    self.assertIn(f": solipsism_unittest reads it as {words}", text)
                    self.assertIn("; if yours means something else, rename it", text)

    def test_another_meaning_with_a_shared_loop(self):
        """The same where tests share a loop, which cannot be made then: the error is reported, and nothing hangs."""
        for name in ("start_time", "autojump", "seed"):
            value = next(value for each, value, _ in self.CLASHES if each == name)
            with self.subTest(name):
                text = told(run(case_with(on_class={name: value, "loop_scope": "class"})))
                self.assertIn(f"SolipsismError: {name} of case_with.<locals>.Case is ", text)

    def test_numbers_for_yes_and_no(self):
        """1 and 0 are taken for True and False, and an int for a float."""
        settings = {"autojump": 1, "hermetic": 0, "loop_debug": 0, "start_time": 7, "virtual_time_limit": 1000}
        self.assertEqual(outcome(case_with(on_class=settings)), RIGHT)

    def test_a_loop_of_another_kind(self):
        """What only the virtual loop reads may mean anything where another loop runs."""
        own = {"start_time": "noon", "seed": "abc", "autojump": None}
        case = case_with(on_class={**own, "loop_factory": staticmethod(asyncio.new_event_loop)})
        self.assertEqual(told(run(case, "test_passes")), "")

    def test_a_fixture_by_accident(self):
        """A method with the name of a class fixture is refused where the tests share no loop."""
        for name in sorted(FIXTURES):
            for value in (own_method, "mine"):
                with self.subTest(name, value=value):
                    result = run(case_with(on_class={name: value}))
                    self.assertIn(f"Case.{name} needs a loop that lasts as long as the class", told(result))
                    self.assertEqual((result.failures, result.testsRun), ([], 0))

    def test_settings_of_the_instance(self):
        """What __init__ sets counts too, as does a property."""

        class Case(SolipsistTestCase):
            start_time = property(lambda self: self.begins)

            def __init__(self, name):
                super().__init__(name)
                self.begins = 5.0
                self.seed = 42

            async def test(self):
                self.assertNow(5.0)

        self.assertEqual(told(run(Case)), "")


class AssignedTest(unittest.TestCase):
    """`self.loop`, `self.now`, `self.network` and `self.localhost` may be the test's own."""

    def test_loop_of_asyncio(self):
        """`self.loop = asyncio.get_running_loop()`, in any phase, is the loop that it was."""
        loops = []

        class Case(SolipsistTestCase):
            def setUp(self):
                self.loop = self.loop

            async def asyncSetUp(self):
                loops.append(self.loop)
                self.loop = asyncio.get_running_loop()
                loops.append(self.loop)

            async def test(self):
                self.loop = asyncio.get_event_loop()
                loops.append(self.loop)
                await self.loop.create_task(asyncio.sleep(1))
                self.assertNow(1)
                del self.loop
                loops.append(self.loop)

        self.assertEqual(told(run(Case)), "")
        self.assertEqual((len(loops), len(set(loops))), (4, 1))

    def test_everything_works_without_them(self):
        """What the framework offers uses its own loop and network, whatever the test calls so."""
        mine = dict.fromkeys(("loop", "now", "network", "localhost"), "mine")
        for where in ("on_class", "in_set_up"):

            class Case(case_with(**{where: mine})):
                async def test_passes(self):
                    self.assertEqual([self.loop, self.now, self.network, self.localhost], ["mine"] * 4)
                    self.assertNow(0)
                    with self.assertElapses(5):
                        await self.advance(5)
                    await self.advance_to(6)
                    await self.settle()
                    await self.assertBlocks(asyncio.Event().wait())
                    await self.assertBlocks(asyncio.sleep(5), 2)
                    await self.assertCompletesWithin(asyncio.sleep(1), 2)
                    await self.assertCompletesAfter(asyncio.sleep(1), 1)
                    await self.assertTimesOut(asyncio.wait_for(asyncio.sleep(5), 1), 1)
                    timer = asyncio.get_running_loop().call_later(3, print)
                    self.assertNextTimer(after=3)
                    timer.cancel()
                    self.assertNoTimers()
                    one, other = self.socketpair()
                    one.send(b"data")
                    self.assertBuffered(other, b"data")
                    await self.stream_pairs()
                    server = await self.start_fake_server(port=self.unused_port())
                    reader, writer = await asyncio.open_connection(*server.address[:2])
                    writer.close()
                    await self.start_fake_datagram_server()
                    with self.assertLoopException(LookupError):
                        asyncio.get_running_loop().call_soon([].__getitem__, 0)
                        await self.settle()
                    with self.background():
                        asyncio.create_task(asyncio.sleep(99))
                    self.expect_leak(asyncio.create_task(asyncio.sleep(99)))
                    with self.hold_clock():
                        pass
                    with contextlib.suppress(AssertionError):
                        self.assertNow(77)

            with self.subTest(where):
                self.assertEqual(outcome(Case), RIGHT)

    def test_on_the_class(self):
        """The class shows what is documented, and no value."""
        self.assertEqual(SolipsistTestCase.now.__doc__, "The loop's time in seconds.")
        with self.assertRaisesRegex(SolipsismError, "only while the test runs"):
            _ = SolipsistTestCase().loop

    def test_add_cleanup(self):
        """A class that has its own addCleanup still gets its pairs and servers closed."""

        class Case(SolipsistTestCase):
            def addCleanup(self, handler):
                """The user's own: another thing altogether."""

            addAsyncCleanup = addCleanup

            async def test(self):
                self.socketpair()
                await self.stream_pairs()
                await self.start_fake_server()
                await self.start_fake_datagram_server()

        self.assertEqual(told(run(Case)), "")
