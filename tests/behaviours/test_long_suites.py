"""A long suite runs as fast at its end as at its beginning: it keeps no worlds, and leaves the method caches alone.

From CPython 3.13 on a class has no more than 1,000 versions of its method cache. One is used up whenever an attribute
of the class, or of one of its bases, is set; a class that has none left looks every attribute up anew, for good.
"""

import subprocess
import sys
import unittest
import weakref

from solipsism_unittest import SolipsistTestCase

try:
    from _testcapi import type_get_version
except ImportError:  # an interpreter without its own tests, or another one
    type_get_version = None

SUITE = """
import asyncio, concurrent.futures, gc, selectors, socket, subprocess, sys, threading, unittest
from _testcapi import type_get_version
from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase

class Empty(SolipsistTestCase):
    async def test(self):
        pass

class Stream(SolipsistTestCase):
    async def test(self):
        server = await self.start_fake_server(self.echo)
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"line\\n")
        self.assertEqual(await reader.readline(), b"line\\n")
        await asyncio.to_thread(int)
        writer.close()

    async def echo(self, reader, writer):
        writer.write(await reader.readline())

def classes():
    found, line = {}, [object]
    while line:
        cls = line.pop()
        if cls not in found:
            found[cls] = None
            line += type.__subclasses__(cls)
    return found

def tag(cls):
    getattr(cls, "no such name", None)  # a class that has no tag gets one when a name is looked up
    return type_get_version(cls)

def run(cls, tests):
    result = unittest.TestResult()
    unittest.TestSuite(cls("test") for _ in range(tests)).run(result)
    assert result.wasSuccessful(), result.errors + result.failures

unittest.TestSuite([Empty("test"), Stream("test")] * 5).run(unittest.TestResult())
gc.collect()
named = (SolipsistEventLoop, asyncio.SelectorEventLoop, asyncio.BaseEventLoop, asyncio.StreamWriter, socket.socket,
         threading.Thread, threading.Condition, concurrent.futures.Future, concurrent.futures.ThreadPoolExecutor,
         subprocess.Popen, selectors.SelectSelector)
before = {cls: tag(cls) for cls in classes()}
assert all(before[cls] for cls in named), [(cls, before[cls]) for cls in named]
run(Empty, 20)
run(Stream, 20)
near = [cls for cls in before if tag(cls) != before[cls]]
run(Empty, EMPTY)
run(Stream, STREAM)
far = [cls for cls in before if tag(cls) != before[cls]]
# unittest itself sets attributes of a class of tests, once when its tests begin and end
print(sorted(cls.__qualname__ for cls in {*near, *far} - {Empty, Stream}))
"""


@unittest.skipIf(type_get_version is None, "this interpreter has no _testcapi, which reads the versions of a class")
class LongSuitesTest(unittest.TestCase):
    def test_the_versions_of_classes(self):
        """After 2,000 tests, some with a server, a stream and a job, every class has the version that it had."""
        suite = SUITE.replace("EMPTY", "1_800").replace("STREAM", "160")
        child = subprocess.run([sys.executable, "-W", "ignore", "-c", suite], capture_output=True, text=True,
                               timeout=120)
        self.assertEqual((child.stdout, child.stderr), ("[]\n", ""))


class WorldsTest(unittest.TestCase):
    def test_worlds_are_collected(self):
        """The worlds of small tests do not pile up until a larger test has to wait for the garbage collector."""
        loops = []

        class Empty(SolipsistTestCase):
            async def test(self):
                loops.append(weakref.ref(self.loop))

        result = unittest.TestResult()
        unittest.TestSuite(Empty("test") for _ in range(100)).run(result)
        self.assertEqual((len(loops), result.errors + result.failures), (100, []))
        self.assertLess(len([loop for loop in loops if loop() is not None]), 30)
