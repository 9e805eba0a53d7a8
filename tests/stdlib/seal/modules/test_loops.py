"""uvloop in a test: a program that makes a loop by it gets one of the world, and elsewhere uvloop's own."""

import asyncio
import contextlib
import sys
import time
import types
import unittest
from unittest import mock

from solipsism_unittest import EscapeError, SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.stdlib.worlds import outside
from tests.case.test_case import run, told

SOURCE = """
import asyncio

class Loop(asyncio.SelectorEventLoop):
    "As uvloop's class in Python, over one of C."

def new_event_loop():
    return Loop()

def run(main):
    async def wrapper():
        if not isinstance(asyncio.get_running_loop(), Loop):
            raise TypeError("uvloop.run() uses a non-uvloop event loop")
        return await main
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(wrapper())
"""


async def nap():
    await asyncio.sleep(5)
    return asyncio.get_running_loop()


class LoopsTest(unittest.TestCase):
    def setUp(self):
        self.uvloop, self.program = types.ModuleType("uvloop"), types.ModuleType("some_program")
        loaded = mock.patch.dict(sys.modules, {"uvloop": self.uvloop, "some_program": self.program})
        loaded.start()
        self.addCleanup(loaded.stop)
        exec(SOURCE, vars(self.uvloop))
        exec("from uvloop import *", vars(self.program))

    def test_in_a_world(self):
        """However it is asked for one, in the test's thread or another."""
        uvloop, program, quick = self.uvloop, self.program, self.uvloop.Loop

        class Test(SolipsistTestCase):
            def test_run(self):
                for module in (uvloop, program):
                    self.assertIsInstance(module.run(nap()), SolipsistEventLoop)
                self.assertEqual(time.monotonic(), 10.0)

            def test_new_ones(self):
                for make in (uvloop.new_event_loop, program.new_event_loop, uvloop.Loop, program.Loop, quick):
                    loop = make()
                    self.assertIsInstance(loop, SolipsistEventLoop)
                    self.assertIsInstance(loop, uvloop.Loop)
                    self.assertNotIsInstance(5, uvloop.Loop)
                    loop.close()

            def test_a_class_of_the_program(self):
                class Mine(uvloop.Loop):
                    pass

                with self.assertRaisesRegex(EscapeError, "Mine is a real event loop, made inside the simulation: use "
                                                         r"uvloop\.run\(\) or"):
                    Mine()
                self.assertNotIsInstance(self.loop, Mine)

            async def test_in_a_job(self):
                self.assertIsInstance(await asyncio.to_thread(uvloop.run, nap()), SolipsistEventLoop)
                self.assertNow(5)

        result = run(Test)
        self.assertTrue(result.wasSuccessful(), told(result))
        self.assertEqual(result.testsRun, 4)

    def test_elsewhere(self):
        """Outside of a test, and in a thread of no world beside one, they are uvloop's."""
        uvloop = self.uvloop
        with contextlib.closing(SolipsistEventLoop()) as loop, sealed(loop), outside():
            other = uvloop.new_event_loop()
            self.assertIsInstance(other, uvloop.Loop)
            self.assertNotIsInstance(other, SolipsistEventLoop)
            other.close()
        loop = uvloop.new_event_loop()
        self.addCleanup(loop.close)
        self.assertIs(type(loop), uvloop.Loop)


if __name__ == "__main__":
    unittest.main()
