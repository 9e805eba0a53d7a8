"""Until when threads wait: which is the first, and whose wait is over before."""

import unittest
from math import inf
from types import SimpleNamespace

from solipsism_unittest.stdlib.threads.pacing.deadlines import Deadlines
from solipsism_unittest.stdlib.threads.pacing.record import READY, WAITING, Record


def waiting(name, deadline, order=0):
    """The record of a thread that waits so long; with an order it runs a loop."""
    record = Record(SimpleNamespace(), name, 1)
    record.state, record.deadline, record.order = WAITING, deadline, order
    return record


class DeadlinesTest(unittest.TestCase):
    def setUp(self):
        self.deadlines = Deadlines()
        self.records = [waiting("b", 2.0), waiting("a", 1.0), waiting("c", 2.0), waiting("loop", 2.0, 1)]
        for record in self.records:
            self.deadlines.add(record)

    def due(self, now):
        return [record.name for record in self.deadlines.due(now)]

    def test_their_order(self):
        """The first comes first; of one instant loops before threads, as they began to wait."""
        self.assertEqual((self.deadlines.first(), self.due(0.5)), (1.0, []))
        self.assertEqual((self.due(2.0), self.deadlines.first()), (["a", "loop", "b", "c"], inf))

    def test_a_wait_that_is_over(self):
        """It does not count: neither one that was woken, nor one that has been followed by another wait."""
        self.records[1].state = READY
        self.assertEqual(self.deadlines.first(), 2.0)
        self.records[2].token += 1
        self.records[0].state = READY
        self.assertEqual(self.due(2.0), ["loop"])


if __name__ == "__main__":
    unittest.main()
