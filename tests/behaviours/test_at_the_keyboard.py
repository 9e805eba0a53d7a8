"""Somebody sits before the tests: options of unittest's command line, Ctrl-C in each phase, a debugger's prompt."""

import _signal
import asyncio
import contextlib
import io
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from tests import ROOT, run_python

try:
    import pty
except ImportError:  # Windows has none
    pty = None

REAL_SLEEP, REAL_MONOTONIC = time.sleep, time.monotonic


class Hidden:
    """The loader does not look in here."""

    class OptionsTest(SolipsistTestCase):
        async def test_parts(self):
            print("said in parts")
            secret = 42
            with self.subTest("wrong"):
                self.assertEqual(await asyncio.sleep(1, secret), 41)
            with self.subTest("right"):
                await asyncio.sleep(86400)
            with self.subTest("wrong too", number=3):
                self.fail("here")

        async def test_hang(self):
            queue = asyncio.Queue()
            await queue.get()

        async def test_pass(self):
            await asyncio.sleep(86400)

    class InterruptedTest(SolipsistTestCase):
        """Ctrl-C comes where `phase` says."""

        loop_scope = "class"
        phase = ""

        @classmethod
        def press(cls, phase):
            if cls.phase == phase:
                _signal.raise_signal(signal.SIGINT)

        @classmethod
        async def press_in_coroutine(cls, phase):
            cls.press(phase)
            await asyncio.sleep(1)

        @classmethod
        def setUpClass(cls):
            super().setUpClass()
            cls.addClassCleanup(cls.press, "class cleanup")
            cls.press("setUpClass")

        @classmethod
        async def asyncSetUpClass(cls):
            await cls.press_in_coroutine("asyncSetUpClass")

        def setUp(self):
            self.press("setUp")

        async def asyncSetUp(self):
            self.addCleanup(self.press, "cleanup")
            self.addAsyncCleanup(self.press_in_coroutine, "asynchronous cleanup")
            await self.press_in_coroutine("asyncSetUp")

        async def test_body(self):
            async def handler(reader, writer):
                await self.press_in_coroutine("handler")
                writer.close()

            def job():
                if self.phase == "job":
                    _signal.raise_signal(signal.SIGINT)  # the main thread gets it
                    REAL_SLEEP(0.001)

            await self.press_in_coroutine("body")
            await self.start_fake_server(handler, "api.test", 80)
            reader, writer = await asyncio.open_connection("api.test", 80)
            await reader.read()
            writer.close()
            self.loop.call_soon(self.press, "callback")
            await asyncio.to_thread(job)
            await asyncio.sleep(1)

        def test_plain(self):
            self.press("plain body")

        async def asyncTearDown(self):
            await self.press_in_coroutine("asyncTearDown")

        def tearDown(self):
            self.press("tearDown")

        @classmethod
        async def asyncTearDownClass(cls):
            await cls.press_in_coroutine("asyncTearDownClass")

        @classmethod
        def tearDownClass(cls):
            cls.press("tearDownClass")


PHASES = ("setUpClass", "asyncSetUpClass", "setUp", "asyncSetUp", "body", "handler", "callback", "job", "plain body",
          "asyncTearDown", "tearDown", "cleanup", "asynchronous cleanup", "asyncTearDownClass", "tearDownClass",
          "class cleanup")


class OptionsTest(unittest.TestCase):
    """unittest's options mean for these tests what they mean for others."""

    def run_main(self, *arguments):
        """Run the tests as `python -m unittest` would; give the result, what it wrote and what the tests printed."""
        module = types.ModuleType("tests_of_options")
        module.OptionsTest = Hidden.OptionsTest
        stderr, stdout = io.StringIO(), io.StringIO()
        with contextlib.redirect_stderr(stderr), contextlib.redirect_stdout(stdout):
            program = unittest.main(module, argv=["unittest", *arguments], exit=False,
                                    testLoader=unittest.TestLoader())  # -k stays with a loader
        return program.result, stderr.getvalue(), stdout.getvalue()

    def test_one_by_name(self):
        result, text, _ = self.run_main("OptionsTest.test_pass")
        self.assertEqual((result.testsRun, result.wasSuccessful()), (1, True), text)

    def test_by_pattern(self):
        result, text, _ = self.run_main("-k", "pas")
        self.assertEqual((result.testsRun, result.wasSuccessful()), (1, True), text)

    def test_locals(self):
        """--locals shows those of the frames that a hang stood in."""
        _, text, _ = self.run_main("--locals", "-k", "hang", "-k", "parts")
        self.assertIn("queue = <Queue", text)
        self.assertIn("secret = 42", text)
        self.assertNotIn("solipsism_unittest/", text.replace(os.sep, "/"))

    def test_first_failure(self):
        result, _, _ = self.run_main("-f")
        self.assertEqual(result.testsRun, 1)

    def test_buffer(self):
        """-b keeps what a passing test prints, and shows what a failing one printed."""
        _, text, printed = self.run_main("-b", "OptionsTest.test_parts")
        self.assertIn("Stdout:\nsaid in parts", text)
        self.assertNotIn("\nsaid in parts", printed.replace("Stdout:\nsaid in parts", ""))

    def test_parts(self):
        """Each subTest that fails is told by itself, and the others run."""
        result, _, _ = self.run_main("OptionsTest.test_parts")
        self.assertEqual([str(test).rsplit(") ", 1)[1] for test, _ in result.failures],
                         ["[wrong]", "[wrong too] (number=3)"])

    @unittest.skipIf(sys.version_info < (3, 12), "unittest measures durations from Python 3.12 on")
    def test_durations(self):
        """--durations shows real seconds: a day of virtual time takes none."""
        _, text, _ = self.run_main("--durations", "1", "-v", "OptionsTest.test_pass")
        self.assertRegex(text, r"\n0\.\d+s +test_pass")


@unittest.skipUnless(signal.getsignal(signal.SIGINT) is signal.default_int_handler, "SIGINT is handled here")
class InterruptTest(unittest.TestCase):
    def test_each_phase(self):
        """Ctrl-C ends the run as a KeyboardInterrupt, wherever it finds the test, and leaves the process usable."""
        load = unittest.defaultTestLoader.loadTestsFromTestCase
        for phase in PHASES:
            with self.subTest(phase):
                result = unittest.TestResult()
                interrupted = type("Interrupted", (Hidden.InterruptedTest,), {"phase": phase})
                with self.assertRaises(KeyboardInterrupt):
                    load(interrupted).run(result)
                self.assertEqual(result.errors + result.failures, [])
                interrupted.doClassCleanups()  # as pytest does; unittest leaves that to the end of the process
                self.assertEqual(interrupted.tearDown_exceptions, [])  # what it was in the middle of is no leak
                self.assertEqual(time.monotonic, REAL_MONOTONIC)
                self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)
                following = unittest.TestResult()
                load(type("Next", (Hidden.InterruptedTest,), {})).run(following)
                self.assertEqual((following.errors + following.failures, following.testsRun), ([], 2))

    def test_a_class_that_pytest_ends(self):
        """Its leftovers are no failures that would take the place of Ctrl-C in tearDownClass."""

        class Case(SolipsistTestCase):
            loop_scope = "class"

            @classmethod
            async def asyncSetUpClass(cls):
                asyncio.get_running_loop().call_later(1, print)

            @classmethod
            def tearDownClass(cls):
                raise KeyboardInterrupt

        Case.setUpClass()
        with self.assertRaises(KeyboardInterrupt):
            try:
                Case.tearDownClass()
            finally:
                Case.doClassCleanups()
        self.assertEqual(Case.tearDown_exceptions, [])

    def test_between_tests(self):
        """Ctrl-C between two tests, while the class's own loop stands still, is a KeyboardInterrupt too."""
        result = unittest.TestResult()
        with mock.patch.object(result, "startTest", lambda test: _signal.raise_signal(signal.SIGINT)), \
                self.assertRaises(KeyboardInterrupt):
            unittest.defaultTestLoader.loadTestsFromTestCase(Hidden.InterruptedTest).run(result)
        Hidden.InterruptedTest.doClassCleanups()

    def test_catch(self):
        """With --catch the first Ctrl-C lets the test come to its end, and what ran is reported."""
        child = run_python("-c", CAUGHT)
        self.assertEqual((child.stdout, child.returncode), ("first\n", 0), child.stderr)
        self.assertIn("Ran 1 test", child.stderr)

    def test_the_end_of_the_process(self):
        """A class that is broken off leaves no open loop to the interpreter's end, where 3.14 and 3.15 would crash."""
        child = run_python("-W", "always", "-c", BROKEN_OFF)
        self.assertEqual(child.returncode, -signal.SIGINT, child.stderr)
        self.assertTrue(child.stderr.endswith("\nKeyboardInterrupt\n"), child.stderr)

    def test_loops_at_the_end_of_the_process(self):
        """Wherever Ctrl-C finds a class, whichever loop it has, none is open at the end, and nobody says a word."""
        child = run_python("-W", "always", "-c", LOOPS_AT_THE_END)
        self.assertEqual((child.stdout, child.stderr, child.returncode), ("49 broken off, 0 loops open\n", "", 0))

    def test_loops_at_the_end_of_the_process_with_catch(self):
        """With --catch the suite comes to an end, is reported, and closes its loops itself."""
        child = run_python("-W", "always", "-c", LOOPS_AT_THE_END, "--catch")
        self.assertEqual((child.stdout, child.stderr, child.returncode), ("0 broken off, 0 loops open\n", "", 0))

    def test_the_line(self):
        """The traceback of Ctrl-C ends at the line that waited, and has no line of this package but the outermost."""

        class Case(SolipsistTestCase):
            async def test(self):
                asyncio.get_running_loop().call_soon(_signal.raise_signal, signal.SIGINT)
                await asyncio.Event().wait()  # here

        try:
            Case("test").run(unittest.TestResult())
        except KeyboardInterrupt as error:  # assertRaises() would take its traceback away
            lines = traceback.extract_tb(error.__traceback__)
        self.assertIn("await asyncio.Event().wait()  # here", [line.line for line in lines])
        ours = [line for line in lines if "solipsism_unittest" in line.filename.rsplit("tests", 1)[0]]
        self.assertLessEqual(len(ours), 2)


CAUGHT = """
import _signal, asyncio, unittest
from solipsism_unittest import SolipsistTestCase

class CaughtTest(SolipsistTestCase):
    async def test_1(self):
        _signal.raise_signal(2)
        await asyncio.sleep(86400)
        print("first")

    async def test_2(self):
        print("second")

unittest.main(argv=["unittest", "--catch"])
"""

BROKEN_OFF = """
import _signal, asyncio, unittest
from solipsism_unittest import SolipsistTestCase

class BrokenTest(SolipsistTestCase):
    loop_scope = "class"

    async def test(self):
        await asyncio.to_thread(len, "")
        self.loop.call_soon(_signal.default_int_handler, 2, None)
        await asyncio.sleep(1)

unittest.main()
"""

# Each loop scope with Ctrl-C in each phase, one after the other in one process, which then ends.
LOOPS_AT_THE_END = """
import asyncio, atexit, contextlib, gc, io, sys, tempfile, types, unittest

broken_off = 0

@atexit.register  # what is registered first runs last
def look():
    loops = [each for each in gc.get_objects() if issubclass(type(each), asyncio.AbstractEventLoop)]
    print(f"{broken_off} broken off, {sum(not loop.is_closed() for loop in loops)} loops open")

from solipsism_unittest.case.phases import Phases
from tests.behaviours.test_at_the_keyboard import PHASES, Hidden

of_the_class = "asyncSetUpClass", "asyncTearDownClass"

def cases(scopes):
    for scope in scopes:
        without = {name: vars(Phases)[name] for name in of_the_class if scope == "test"}
        for phase in (*PHASES, "between"):
            if phase not in without:
                module = types.ModuleType(f"module_{scope}_{phase}".replace(" ", "_"))
                sys.modules[module.__name__] = module
                module.PressedTest = type("PressedTest", (Hidden.InterruptedTest,), {
                    "loop_scope": scope, "phase": phase, "__module__": module.__name__, **without})
                yield module

class Result(unittest.TextTestResult):
    def stopTest(self, test):
        super().stopTest(test)
        test.press("between")

def by_unittest(module, *arguments):
    unittest.signals._interrupt_handler = None  # each has one of its own
    stream = io.StringIO()
    try:
        unittest.main(module, None, [module.__name__, *arguments], exit=False,
                      testRunner=unittest.TextTestRunner(stream, resultclass=Result))
    except KeyboardInterrupt:
        unittest.case._module_cleanups.clear()  # those of other suites are not for the next one
        return True
    finally:
        unittest.removeHandler()
    assert stream.getvalue().endswith("OK\\n"), stream.getvalue()
    return False

def by_pytest(module):
    class Between:
        def pytest_runtest_logfinish(self):
            module.PressedTest.press("between")

    with tempfile.NamedTemporaryFile("w", prefix="test_", suffix=".py") as file, \
            contextlib.redirect_stdout(io.StringIO()) as output:
        file.write(f"from {module.__name__} import PressedTest")
        file.flush()
        code = pytest.main(["-p", "no:cacheprovider", file.name], [Between()])
    text = output.getvalue()
    assert "!! KeyboardInterrupt !!" in text and "Traceback" not in text and "INTERNAL" not in text, text
    return code == 2

if sys.argv[1:] == ["pytest"]:
    import pytest
    broken_off = sum(map(by_pytest, cases(["class"])))
else:
    broken_off = sum(by_unittest(module, *sys.argv[1:]) for module in cases(["class", "module", "test"]))
"""

PROMPTS = """
import asyncio
from solipsism_unittest import SolipsistTestCase

class PromptTest(SolipsistTestCase):
    real_time_limit = 0.3
    on_slow_callback = "ignore"

    async def test_body(self):
        breakpoint()
        await asyncio.sleep(3600)

    async def test_handler(self):
        async def handler(reader, writer):
            line = await reader.readline()
            breakpoint()
            writer.write(line)
            writer.close()
        await self.start_fake_server(handler, "api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"hello\\n")
        self.assertEqual(await asyncio.wait_for(reader.read(), 5), b"hello\\n")
        writer.close()

    async def test_job(self):
        def job():
            breakpoint()
            return 7
        self.assertEqual(await asyncio.to_thread(job), 7)

    def test_plain(self):
        breakpoint()
        self.assertEqual(self.loop.time(), 0)
"""


@unittest.skipIf(pty is None, "there are no pseudo-terminals here")
class PromptTest(unittest.TestCase):
    """Time at a debugger's prompt is a person's: no limit strikes."""

    def sit_before(self, *arguments, folder, prompts, seconds):
        """Run Python on a terminal, and say `continue` at each prompt after so many real seconds."""
        master, slave = pty.openpty()
        with subprocess.Popen(
                [sys.executable, *arguments], cwd=folder, stdin=slave, stdout=slave, stderr=slave,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "PYTHON_COLORS": "0"}) as child:
            os.close(slave)
            killer = threading.Timer(60, child.kill)
            killer.start()
            text, answered = b"", 0
            while True:
                try:
                    text += os.read(master, 65536)
                except OSError:  # Linux says so when the other end is closed
                    break
                if len(re.findall(rb"\(Pdb\) ", text)) > answered:
                    answered += 1
                    select.select([], [], [], seconds)
                    os.write(master, b"continue\n")
            child.wait()
            killer.cancel()
        os.close(master)
        self.assertEqual(answered, prompts, text.decode())
        return child.returncode, text.decode().replace("\r\n", "\n")

    def test_in_each_place(self):
        """breakpoint() in a test, in a fake server's handler, in a thread's job and in a plain test."""
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "test_prompts.py"), "w") as file:
                file.write(PROMPTS)
            code, text = self.sit_before("-m", "unittest", "test_prompts", folder=folder, prompts=4, seconds=0.7)
        self.assertEqual(code, 0, text)
        self.assertIn("Ran 4 tests", text)
