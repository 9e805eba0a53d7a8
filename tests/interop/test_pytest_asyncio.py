"""pytest with the world as a fixture, and the virtual loop under pytest-asyncio and the plugin of anyio.

The tests run pytest in a child process. Its twin, which needs no pytest, is tests/runs/test_by_hand.py.
"""

import pathlib
import re
import tempfile
import unittest

from solipsism_unittest import manual
from tests import run_python
from tests.interop import needs

# As a user of pytest would write them: what passes, and three kinds of faults.
WITH_WORLD = """
import asyncio
import subprocess

import pytest

def test_passes(world):
    world.run(asyncio.sleep(5))
    assert world.now == 5

def test_leak(world):
    world.loop.call_later(5, print)

def test_hang(world):
    world.run(asyncio.Event().wait())

def test_escape(world):
    with pytest.raises(Exception):
        subprocess.run(["git", "--version"])
    world.settle

def test_after_all_that(world):
    world.run(asyncio.sleep(5))
    assert world.now == 5
"""

ON_THE_LOOP = """
import asyncio
import socket
import time

import pytest
from solipsism_unittest import SleepForeverError, SolipsistEventLoop

pytestmark = pytest.mark.{mark}

async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def test_time_and_network():
    loop = asyncio.get_running_loop()
    assert type(loop) is SolipsistEventLoop
    before = time.perf_counter()
    async with await asyncio.start_server(echo, "test.invalid", 1234):
        reader, writer = await asyncio.open_connection("test.invalid", 1234)
        writer.write(b"hello\\n")
        assert await reader.readline() == b"hello\\n"
        writer.close()
        await asyncio.sleep(86400)
    assert loop.time() >= 86400
    assert time.perf_counter() - before < 60

async def test_escape():
    with pytest.raises(Exception, match="descriptor 0 is not one of this world"):
        socket.socket(fileno=0)

async def test_hang():
    await asyncio.Event().wait()
"""

TEST_CASES = """
import asyncio
from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, over_loops

class OneTest(SolipsistTestCase):
    async def test_passes(self):
        await self.assertCompletesAfter(asyncio.sleep(86400), 86400)

    async def test_leak(self):
        self.loop.call_later(5, print)

@over_loops(virtual=SolipsistEventLoop, stock=asyncio.SelectorEventLoop)
class TwoTest(SolipsistTestCase):
    async def test_sleep(self):
        await asyncio.sleep(0.01)

class ThreeTest(SolipsistTestCase):
    loop_scope = "class"

    @classmethod
    async def asyncSetUpClass(cls):
        await asyncio.sleep(5)

    def test_now(self):
        self.assertNow(5)
"""

IN_ASYNC_TESTS = """
import asyncio
import subprocess

import pytest

pytestmark = pytest.mark.{mark}

async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def test_passes(world):
    await world.start_fake_server(echo, "api.test", 80)
    reader, writer = await asyncio.open_connection("api.test", 80)
    writer.write(b"hello\\n")
    assert await reader.readline() == b"hello\\n"
    writer.close()
    await world.assertCompletesAfter(asyncio.sleep(5), 5)

async def test_leak(world):
    asyncio.get_running_loop().call_later(5, print)

async def test_hang(world):
    await asyncio.Event().wait()

async def test_escape(world):
    with pytest.raises(Exception):
        subprocess.run(["git", "--version"])

async def test_after_all_that(world):
    await asyncio.sleep(5)
    world.assertNow(5)
"""

HOOK = """
from solipsism_unittest import SolipsistEventLoop

def pytest_asyncio_loop_factories(config, item):
    return {"virtual": SolipsistEventLoop}
"""

POLICY = """
import pytest
from solipsism_unittest import SolipsistEventLoopPolicy

@pytest.fixture
def event_loop_policy():
    return SolipsistEventLoopPolicy()
"""

BACKEND = """
import pytest
from solipsism_unittest import SolipsistEventLoop

@pytest.fixture
def anyio_backend():
    return "asyncio", {"loop_factory": SolipsistEventLoop}
"""


WORLD_OF_ANYIO = """
import asyncio
import solipsism_unittest

@pytest.fixture
async def loop(anyio_backend):
    return asyncio.get_running_loop()

@pytest.fixture
def world(loop):
    with solipsism_unittest.world(loop_factory=lambda: loop) as world:
        yield world
"""


def block_of_manual(file, word=""):
    """The first python block of the page about the world for this file that has this word."""
    text = manual.pages()["world"]
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        names = re.findall(r"`(\w+\.py)`", text[:match.start()])
        if names[-1:] == [file] and word in match[1]:
            return match[1]
    raise LookupError(f"the page has no block for {file}")


def pytest(files, *arguments):
    """Run pytest on these files; returns the child."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            pathlib.Path(folder, name).write_text(text, encoding="utf-8")
        return run_python("-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={folder}", "-rA", *arguments, folder)


class FixtureCase:
    """The fixture of the manual under pytest with some plug-in."""

    arguments = ()

    def test_the_fixture(self):
        """The test of the manual passes with its fixture, which is three lines."""
        fixture, test = block_of_manual("conftest.py"), block_of_manual("test_with_world.py")
        self.assertEqual(fixture.partition("@pytest.fixture\n")[2].count("\n"), 3)
        child = pytest({"conftest.py": fixture, "test_with_world.py": test}, *self.arguments)
        self.assertIn("1 passed", child.stdout)
        self.assertEqual(child.returncode, 0, child.stdout)

    def test_faults(self):
        """Leaks, hangs and escapes are reported where they belong, with the line of the test, and others pass."""
        child = pytest({"conftest.py": block_of_manual("conftest.py"), "test_it.py": WITH_WORLD}, *self.arguments)
        text = child.stdout
        for name in ("test_passes", "test_leak", "test_escape", "test_after_all_that"):
            self.assertRegex(text, rf"PASSED \S*test_it.py::{name}")
        self.assertRegex(text, r"ERROR \S*test_it.py::test_leak")
        self.assertIn("AssertionError: the test left 1 thing behind", text)
        self.assertRegex(text, r"made at \S*test_it.py:12 in test_leak")
        self.assertRegex(text, r"FAILED \S*test_it.py::test_hang")
        self.assertIn("SleepForeverError: nothing can wake the program", text)
        self.assertRegex(text, r"ERROR \S*test_it.py::test_escape")
        self.assertIn("EscapeError: subprocess.run(['git', '--version']) would start a real process", text)
        self.assertIn("1 failed, 4 passed, 2 errors", text)


class OnTheLoop:
    """Tests that a plug-in runs on the virtual loop."""

    def check(self, conftest, mark, *arguments):
        """What passes and what fails there."""
        child = pytest({"conftest.py": conftest, "test_it.py": ON_THE_LOOP.format(mark=mark)}, *arguments)
        self.assertRegex(child.stdout, r"PASSED \S*test_it.py::test_time_and_network")
        self.assertRegex(child.stdout, r"PASSED \S*test_it.py::test_escape")
        self.assertRegex(child.stdout, r"FAILED \S*test_it.py::test_hang")
        self.assertIn("SleepForeverError: nothing can wake the program", child.stdout)
        self.assertNotRegex(child.stdout, r"made at .*(pytest|frozen)")
        self.assertIn("1 failed, 2 passed", child.stdout)


    def check_async(self, conftest, mark, *arguments):
        """What passes and what fails of async tests that have a world."""
        text = pytest({"conftest.py": conftest, "test_it.py": IN_ASYNC_TESTS.format(mark=mark)}, *arguments).stdout
        for name in ("test_passes", "test_leak", "test_escape", "test_after_all_that"):
            self.assertRegex(text, rf"PASSED \S*test_it.py::{name}")
        for name in ("test_leak", "test_escape"):
            self.assertRegex(text, rf"ERROR \S*test_it.py::{name}")
        self.assertRegex(text, r"FAILED \S*test_it.py::test_hang")
        self.assertRegex(text, r"made at \S*test_it.py:22 in test_leak")
        self.assertIn("EscapeError: subprocess.run(['git', '--version']) would start a real process", text)
        self.assertIn("SleepForeverError: nothing can wake the program", text)


@needs("pytest")
class PytestTest(FixtureCase, unittest.TestCase):
    arguments = "-p", "no:asyncio", "-p", "no:anyio"


@needs("pytest", "pytest_asyncio")
class StrictTest(FixtureCase, OnTheLoop, unittest.TestCase):
    """pytest-asyncio in strict mode."""

    arguments = ("--asyncio-mode=strict",)
    mark = "asyncio"

    def test_the_hook(self):
        """The loop comes by the hook of pytest-asyncio for loop factories."""
        self.check(HOOK, self.mark, *self.arguments)

    def test_async_tests_with_the_fixture(self):
        """The second fixture of the manual reports what async tests leave, with their lines."""
        self.check_async(block_of_manual("conftest.py", "pytest_asyncio"), self.mark, *self.arguments)

    def test_the_policy(self):
        """The loop comes by the policy, which pytest-asyncio deprecates."""
        self.check(POLICY, self.mark, *self.arguments)


class AutoTest(StrictTest):
    """The same in auto mode, where async tests need no mark."""

    arguments = ("--asyncio-mode=auto",)
    mark = "usefixtures()"


@needs("pytest", "xdist")
class XdistTest(unittest.TestCase):
    def test_test_cases_in_processes(self):
        """Test cases run in the processes of pytest-xdist as they do in one."""
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "test_it.py").write_text(TEST_CASES, encoding="utf-8")
            child = run_python("-m", "pytest", "-p", "no:cacheprovider", f"--rootdir={folder}", "-n2", "-q", folder)
        self.assertIn("the test left 1 thing behind", child.stdout)
        self.assertIn("1 failed, 4 passed", child.stdout)


@needs("pytest", "anyio")
class AnyioTest(FixtureCase, OnTheLoop, unittest.TestCase):
    """The plug-in of anyio."""

    arguments = "-p", "anyio"

    def test_async_tests_with_the_fixture(self):
        """A fixture for the plug-in of anyio does the same."""
        self.check_async(BACKEND + WORLD_OF_ANYIO, "anyio", "-p", "no:asyncio")

    def test_the_backend(self):
        """The loop comes by the options of anyio's backend."""
        self.check(BACKEND, "anyio", "-p", "no:asyncio")


if __name__ == "__main__":
    unittest.main()
