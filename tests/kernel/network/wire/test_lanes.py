"""Lanes: how long a packet of a world that is explored takes, and that none overtakes another."""

import unittest

from solipsism_unittest.kernel.choices import Explorer, kinds
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.kernel.clock import VirtualClock
from solipsism_unittest.kernel.journal import Journal
from solipsism_unittest.kernel.network.wire.lanes import Lane


class Sender:
    def __init__(self, is_blocking):
        self.is_blocking = is_blocking


class LaneTest(unittest.TestCase):
    def times(self, lane, *values, base=0.0):
        """When packets with these choices arrive that are sent now."""
        clock = VirtualClock()
        explorer = Explorer(Fixed(dict(zip([(kinds.PACKET, number) for number in range(9)], values, strict=False))))
        explorer.begin(clock, Journal(clock), list)
        return [round(lane.longer(explorer, base, "data", 5), 6) for _ in values], explorer

    def test_order(self):
        """A packet arrives behind those before it, though it would be faster alone."""
        self.assertEqual(self.times(Lane(), 0, kinds.STEPS, 0, 1)[0], [0.0, 1.0, 1.0, 1.0])

    def test_slow(self):
        """All packets of a slow connection take longer, and none longer than allowed."""
        lane = Lane(Sender(False))
        lane.slow = 0.25
        self.assertEqual(self.times(lane, 0, kinds.STEPS, base=3.0)[0], [3.25, 4.0])

    def test_blocking(self):
        """What a blocking call waits for takes no longer, and is no choice."""
        lane = Lane(Sender(True))
        lane.slow = 0.25
        times, explorer = self.times(lane, kinds.STEPS, kinds.STEPS)
        self.assertEqual((times, explorer.counts[kinds.PACKET]), ([0.0, 0.0], 0))


if __name__ == "__main__":
    unittest.main()
