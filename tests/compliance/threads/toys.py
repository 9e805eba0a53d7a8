"""Tests of threads for the judge to judge: not CPython's, and not run by `python -m unittest`."""

import subprocess
import sys
import threading
import time
import unittest

from solipsism_unittest.stdlib.worlds import world_here


class Toys(unittest.TestCase):
    lock_type = staticmethod(threading.Lock)

    def test_sleeps(self):
        thread = threading.Thread(target=time.sleep, args=(1000 if world_here() else 0,))
        thread.start()
        thread.join()

    def test_waits_for_a_lock(self):
        before = time.monotonic()
        with self.lock_type() as taken:
            self.assertTrue(taken)
            lock = self.lock_type()
            lock.acquire()
            self.assertFalse(lock.acquire(timeout=0.25))
        self.assertGreaterEqual(time.monotonic(), before + 0.25)
        if world_here():
            self.assertEqual(time.monotonic(), before + 0.25)

    def test_fails_in_a_world(self):
        self.assertIsNone(world_here())

    def test_fails_on_both(self):
        self.fail()

    def test_starts_a_process(self):
        subprocess.run([sys.executable, "-c", ""])


class SubinterpToys(unittest.TestCase):
    def test_passes(self):
        self.assertTrue(sys)
