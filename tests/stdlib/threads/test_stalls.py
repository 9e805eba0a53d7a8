"""The stopwatch of a turn: what is measured when the loop stops."""

import unittest
from unittest import mock

from solipsism_unittest.stdlib.threads import stalls


class Watch:
    """Real time, and that of the processor, as the test sets them."""

    now = used = 0.0

    def perf_counter(self):
        return self.now

    def thread_time(self):
        return self.used


class LastTurnTest(unittest.TestCase):
    def slow_ones(self, now, used, *, breaks=False):
        """What is reported of a run whose only turn ends at this time, and used so much of a processor."""
        found = []
        with mock.patch.object(stalls, "Real", Watch()) as watch:
            blocking = stalls.Blocking(lambda burned, runs: found.append((burned, runs)))
            blocking.slow = 0.1
            blocking.begin_run([])
            blocking.runs = "the last"
            watch.now, watch.used = now, used
            (blocking.break_run if breaks else blocking.end_run)()
            self.assertIsNone(blocking.runs)
        return found

    def test_the_last_turn(self):
        """The last turn is reported where it used the processor for too long, and not where it only took long."""
        self.assertEqual(self.slow_ones(0.5, 0.25), [(0.25, "the last")])
        self.assertEqual(self.slow_ones(0.5, 0.05), [])
        self.assertEqual(self.slow_ones(0.05, 0.05), [])

    def test_an_error_is_the_news(self):
        """After an exception it is not measured."""
        self.assertEqual(self.slow_ones(0.5, 0.25, breaks=True), [])

    def test_half_a_collection(self):
        """The collector's beginning or end may be lost, as where a handler of a signal raises: that counts nothing."""
        for phases in (["start"], ["stop"], ["start", "start", "stop"]):
            with self.subTest(phases), mock.patch.object(stalls, "Real", Watch()) as watch:
                watch.used = 100.0
                blocking = stalls.Blocking(mock.Mock())
                blocking.slow = 0.1
                blocking.begin_run([])
                for phase in phases:
                    blocking(phase, {"generation": 2})
                watch.now, watch.used = 0.5, 100.05
                blocking.end_run()
                blocking.on_slow.assert_not_called()


if __name__ == "__main__":
    unittest.main()
