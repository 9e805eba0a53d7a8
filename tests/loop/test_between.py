"""Who looks on between the callbacks of a loop: what it is told, and that nothing is left of it."""

import asyncio
import unittest

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.introspection.handles import task_of
from solipsism_unittest.loop import between


class Looker:
    def __init__(self):
        self.seen = []

    def before(self, handle):
        self.seen.append(("before", self.name(handle)))

    def after(self, handle):
        self.seen.append(("after", self.name(handle)))

    def name(self, handle):
        if handle is None:
            return ""
        task = task_of(handle)
        return getattr(handle._callback, "__name__", "") if task is None else task.get_name()


class BetweenTest(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)

    def test_what_it_is_told(self):
        """Of each callback before it runs and after, the one that began it included; a cancelled one never runs."""
        looker = Looker()

        async def main():
            between.look_between(self.loop, looker)
            self.loop.call_soon(len, "")
            self.loop.call_soon(max, 1, 2).cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            between.look_away(self.loop, looker)

        self.loop.run_until_complete(main())
        self.assertEqual(looker.seen, [("after", ""), ("before", "len"), ("after", "len"), ("before", "Task-1"),
                                       ("after", "Task-1"), ("before", "Task-1")])
        self.assertNotIn("_run_once", vars(self.loop))
        self.assertEqual(between.lookers_of(self.loop), [])

    def test_several(self):
        """Each of them is told until it looks away; one that does not look is no matter."""
        one, other = Looker(), Looker()
        for looker in (one, other):
            between.look_between(self.loop, looker)
        self.loop.run_until_complete(asyncio.sleep(0))
        between.look_away(self.loop, one)
        between.look_away(self.loop, one)
        self.loop.run_until_complete(asyncio.sleep(0))
        self.assertEqual(between.lookers_of(self.loop), [other])
        self.assertEqual(other.seen[:len(one.seen)], one.seen)
        self.assertGreater(len(other.seen), len(one.seen))
        between.look_away(self.loop, other)

    def test_another_turn_in_its_place(self):
        """A turn that somebody has put there meanwhile stays when nobody looks any more."""
        looking = between.Between(self.loop)
        turn = self.loop._run_once = lambda: None
        looking.stop()
        self.assertIs(self.loop._run_once, turn)
        self.assertEqual(between.lookers_of(self.loop), [])
        del self.loop._run_once
