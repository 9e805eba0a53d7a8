"""The explorer of one run: it counts choices, keeps those that differ, and lets what is on its way arrive in time."""

import unittest

from solipsism_unittest.kernel.choices import UNEXPLORED, Explorer, kinds
from solipsism_unittest.kernel.choices.explorer import MOST_INSTANTS
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.kernel.clock import VirtualClock
from solipsism_unittest.kernel.journal import Journal

NEXT = kinds.STEPS + 1  # until exactly the next deadline


def begun(values=None, timers=(), **settings):
    """An explorer of a world with these timers, and its clock."""
    clock = VirtualClock()
    explorer = Explorer(Fixed(values), **settings)
    explorer.begin(clock, Journal(clock), lambda: list(timers))
    return explorer, clock


class ChoiceTest(unittest.TestCase):
    def test_plain(self):
        """Without a plan each choice is plain, and counted."""
        explorer, _ = begun()
        self.assertEqual([explorer.chosen(kinds.ORDER, 3) for _ in range(4)], [0] * 4)
        self.assertEqual(explorer.later(kinds.PACKET, 2.0), 2.0)
        self.assertEqual((explorer.counts[kinds.ORDER], explorer.counts[kinds.PACKET], explorer.made), (4, 1, []))

    def test_what_differs(self):
        """What differs is kept with its number, in words where somebody wants them, and in the journal."""
        explorer, clock = begun({(kinds.ORDER, 1): 2}, witness=lambda *facts: f"chose {facts}")
        self.assertEqual([explorer.chosen(kinds.ORDER, 3, "a file") for _ in range(3)], [0, 2, 0])
        deviation, = explorer.made
        self.assertEqual((deviation.place, deviation.value, deviation.possible, deviation.words),
                         ((kinds.ORDER, 1), 2, 3, f"chose ({kinds.ORDER}, 2, 0.0, ('a file',))"))
        self.assertEqual([record[1:] for record in explorer._record.records], [("choice", "order", 2)])

    def test_checks(self):
        """The check of a choice tells another time and other effects apart, and not how many deadlines there are."""
        def check(time=0.0, effects=0, possible=3, timers=()):
            explorer, clock = begun({(kinds.ORDER, 0): 1, (kinds.STALL, 0): 1}, timers)
            clock.jump(time)
            explorer._record.effects = effects
            explorer.chosen(kinds.ORDER, possible)
            explorer.later(kinds.STALL, time)
            return [each.check for each in explorer.made]

        self.assertEqual(check(), check(timers=[7.0]))
        for other in (check(time=1.0), check(effects=1)):
            self.assertTrue(all(one != two for one, two in zip(check(), other, strict=True)))
        self.assertNotEqual(check()[0], check(possible=4)[0])

    def test_points(self):
        """Where that is wanted, all choices are noted with what was possible, until the run is over."""
        explorer, _ = begun()
        explorer.points = []
        explorer.chosen(kinds.ORDER, 3)
        explorer.later(kinds.JOB, 1.0)
        explorer.finish()
        explorer.chosen(kinds.ORDER, 3)
        explorer.later(kinds.JOB, 1.0)
        self.assertEqual(explorer.points, [(kinds.ORDER, 0, 3), (kinds.JOB, 0, kinds.LENGTHS)])


    def test_instants(self):
        """How many choices there had been is noted each time that the clock has moved, up to so often."""
        explorer, _ = begun()
        explorer.chosen(kinds.ORDER, 3)
        explorer.goes_on()
        for _ in range(MOST_INSTANTS + 5):
            explorer.goes_on()
        self.assertEqual((explorer.instants[0][kinds.ORDER], len(explorer.instants)), (1, MOST_INSTANTS))


class TimeTest(unittest.TestCase):
    def test_deadlines(self):
        """A choice of time knows the timers and what is on its way, each instant once."""
        explorer, clock = begun({(kinds.JOB, number): NEXT + 2 * number for number in range(3)}, [0.5, 0.75, 0.5])
        clock.deliver_at(0.25, list)
        self.assertEqual([explorer.later(kinds.JOB, 0.0) for _ in range(3)], [0.25, 0.5, 0.75])

    def test_no_deadline(self):
        """Where there is none, the choice is plain after all, and not kept."""
        explorer, _ = begun({(kinds.JOB, 0): NEXT, (kinds.JOB, 1): 0})
        self.assertEqual([explorer.later(kinds.JOB, 3.0), explorer.later(kinds.JOB, 3.0)], [3.0, 3.0])
        self.assertEqual(explorer.made, [])

    def test_the_longest(self):
        """Nothing is put in that is longer than allowed."""
        explorer, _ = begun({(kinds.JOB, 0): kinds.STEPS, (kinds.JOB, 1): NEXT}, [3.0], longest=2.0)
        self.assertEqual([explorer.later(kinds.JOB, 0.0), explorer.later(kinds.JOB, 0.0)], [2.0, 0.0])


class FlightTest(unittest.TestCase):
    def fly(self, *flights):
        """An explorer with flights (when they would arrive, when they do), its clock, and who has arrived."""
        explorer, clock = begun()
        arrived = []
        for base, when in flights:
            explorer.carry(base, when, lambda when=when: arrived.append(when))
        return explorer, clock, arrived

    def test_in_time(self):
        """What takes longer arrives when it does, and counts as put in."""
        explorer, clock, arrived = self.fly((0.0, 2.0), (0.5, 1.0))
        self.assertEqual(explorer.put_in, 2.5)
        clock.jump(1.0)
        self.assertEqual(arrived, [1.0])
        clock.jump(2.0)
        self.assertEqual(arrived, [1.0, 2.0])

    def test_hurry(self):
        """What would have arrived by an instant does, in the order of sending; the rest takes its time."""
        explorer, clock, arrived = self.fly((0.0, 4.0), (0.5, 3.0), (2.0, 2.5), (0.0, 0.25))
        explorer.hurry(1.0)
        clock.jump(1.0)
        self.assertEqual(arrived, [0.25, 4.0, 3.0])
        explorer.hurry(1.0)
        clock.jump(2.0)
        self.assertEqual(arrived, [0.25, 4.0, 3.0])

    def test_land(self):
        """All that would be there is there at once."""
        explorer, clock, arrived = self.fly((0.0, 4.0), (2.0, 2.5))
        explorer.land()
        self.assertEqual((arrived, clock.now), ([4.0], 0.0))
        self.fly()[0].land()

    def test_the_end(self):
        """At the end all choices are plain, and what a link holds up still takes the time of the link."""
        explorer, clock = begun({(kinds.ORDER, number): 1 for number in range(9)})
        arrived = []
        for base, when in ((0.0, 4.0), (2.0, 2.5)):
            explorer.carry(base, when, lambda when=when: arrived.append(when))
        explorer.finish()
        self.assertEqual((arrived, explorer.is_over, explorer.chosen(kinds.ORDER, 2)), ([4.0], True, 0))
        clock.jump(2.0)
        self.assertEqual(arrived, [4.0, 2.5])

    def test_nobody(self):
        """Who explores nothing has put in nothing, and has nothing on its way."""
        self.assertEqual((UNEXPLORED.put_in, UNEXPLORED.land(), UNEXPLORED.finish()), (0.0, None, None))


if __name__ == "__main__":
    unittest.main()
