"""Signals of a process: masks, what is pending, and in which order handlers run."""

import unittest

from solipsism_unittest.kernel.processes.signals import Signals

MAIN, OTHER = 1, 2


class SignalsTest(unittest.TestCase):
    def setUp(self):
        self.signals = Signals()

    def test_nobody_blocks(self):
        """A signal is taken at once, by any thread that does not block it."""
        self.assertTrue(self.signals.send(15, [MAIN]))
        self.signals.set_mask(MAIN, {15})
        self.assertTrue(self.signals.send(15, [MAIN, OTHER]))
        self.assertEqual(self.signals.pending(MAIN), set())

    def test_blocked(self):
        """A blocked one waits, once; when it is unblocked it comes, the highest of several first."""
        self.assertEqual(self.signals.set_mask(MAIN, {10, 12, 15}), [])
        self.assertEqual([self.signals.send(number, [MAIN]) for number in (12, 10, 12, 15)], [False] * 4)
        self.assertEqual(self.signals.pending(MAIN), {10, 12, 15})
        self.assertEqual(self.signals.set_mask(MAIN, {10}), [15, 12])
        self.assertEqual(self.signals.pending(MAIN), {10})

    def test_real_time_signals(self):
        """A real-time signal waits as often as it came."""
        self.signals.set_mask(MAIN, {34})
        for _ in range(3):
            self.signals.send(34, [MAIN])
        self.assertEqual(self.signals.set_mask(MAIN, ()), [34] * 3)

    def test_for_one_thread(self):
        """What is for one thread waits for that one alone."""
        self.signals.set_mask(MAIN, {10})
        self.assertFalse(self.signals.send(10, [MAIN, OTHER], MAIN))
        self.assertEqual((self.signals.pending(MAIN), self.signals.pending(OTHER)), ({10}, set()))
        self.assertEqual((self.signals.take(OTHER, {10}), self.signals.take(MAIN, {10})), (None, 10))

    def test_unblockable(self):
        """SIGKILL and SIGSTOP cannot be blocked."""
        self.signals.set_mask(MAIN, {9, 19, 15})
        self.assertEqual(self.signals.mask(MAIN), {15})

    def test_taken(self):
        """Waiting takes the lowest of those that are wanted."""
        self.signals.set_mask(MAIN, {10, 12})
        for number in (12, 10):
            self.signals.send(number, [MAIN])
        self.assertEqual([self.signals.take(MAIN, {12, 15}), self.signals.take(MAIN, {10, 12}),
                          self.signals.take(MAIN, {10, 12})], [12, 10, None])

    def test_tripped(self):
        """Handlers run the lowest first, each once."""
        self.signals.tripped.update({15, 10})
        self.assertEqual([self.signals.trip() for _ in range(3)], [10, 15, None])

    def test_repr(self):
        """It says how many there are."""
        self.signals.handlers[15] = print
        self.signals.set_mask(MAIN, {10})
        self.signals.send(10, [MAIN])
        self.assertEqual(repr(self.signals), "<Signals 1 handled, 1 pending>")


if __name__ == "__main__":
    unittest.main()
