"""A tool that finds what blocks a loop's thread replaces `acquire` in the class of locks, as blockbuster does.

A loop of ours waits in a lock for other threads, where a stock one waits in `select()`: the tool has nothing to find.
"""

import unittest

from tests import run_python

PROGRAM = """
import _thread, asyncio, ctypes, gc, sys, threading, time
from solipsism_unittest import SolipsistTestCase

real, found = _thread.LockType.acquire, []

def is_in_start(frame):  # Python itself waits until a thread has begun
    return frame is not None and (frame.f_code is threading.Thread.start.__code__ or is_in_start(frame.f_back))

def acquire(lock, blocking=True, timeout=-1):
    if blocking and lock.locked() and asyncio._get_running_loop() is not None and not is_in_start(sys._getframe()):
        found.append(timeout)
    return real(lock, blocking, timeout)

def put(function):
    [names] = [each for each in gc.get_referents(vars(_thread.LockType)) if type(each) is dict]
    names["acquire"] = function
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(_thread.LockType))

class Test(SolipsistTestCase):
    def setUp(self):
        put(acquire)
        self.addCleanup(put, real)

    async def test_jobs(self):
        with self.assertElapses(5):
            await asyncio.wait_for(asyncio.to_thread(time.sleep, 5), 10)
        with self.hold_clock():
            await asyncio.to_thread(sum, range(1000))
        self.assertEqual(found, [])

    async def test_what_blocks(self):
        lock = KEPT()
        lock.acquire()
        lock.acquire(timeout=0.001)
        self.assertEqual(found, [0.001])

KEPT = _thread.allocate_lock
import unittest
unittest.main(argv=["test"])
"""


class BlockedLocksTest(unittest.TestCase):
    def test_waiting_for_threads(self):
        """Jobs that are waited for are not found; a lock that the program waits for in the loop's thread is."""
        child = run_python("-c", PROGRAM)
        self.assertEqual(child.returncode, 0, child.stderr)
