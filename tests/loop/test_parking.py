"""How a loop waits beside threads that take turns, as seen by one that takes none."""

import contextlib
import unittest

from solipsism_unittest import SolipsistEventLoop, sealed


class NoTurnsTest(unittest.TestCase):
    def setUp(self):
        self.loop = self.enterContext(contextlib.closing(SolipsistEventLoop()))
        with sealed(self.loop):
            other = self.loop.world.baton.here()
        # As if it had the turn.
        self.loop.world.baton.active[other], self.loop.world.baton.running = None, other

    def test_time_goes_on(self):
        """A thread that has no part in the turns does not ask the others how time goes on."""
        self.assertEqual(self.loop.selector.quiesce(5.0), [])
        self.assertEqual(self.loop.time(), 5.0)

    def test_a_pause(self):
        """In a program that spins it has no turn to give away, and goes on at once."""
        selector = self.loop.selector
        selector.turns = 1024
        selector.look_after_turn()
        self.assertEqual((selector.turns, self.loop.time()), (1024, 0.0))


class ParkTest(unittest.TestCase):
    def test_called_before(self):
        """A loop that was called before it waits does not begin to."""
        loop = self.enterContext(contextlib.closing(SolipsistEventLoop()))
        with sealed(loop):
            me = loop.world.baton.here()
            loop.selector.wakeups.put(None)
            self.assertTrue(loop.selector._park(me, 5.0, 1, 10.0))
            self.assertTrue(loop.selector.wakeups.empty())
        self.assertEqual(loop.time(), 0.0)


if __name__ == "__main__":
    unittest.main()
