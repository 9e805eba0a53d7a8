"""The line of timers gives those due first, and of one instant those made first, whatever it keeps them in."""

import asyncio
import random
import unittest

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.kernel.journal import FULL, KEPT
from solipsism_unittest.loop import timers


class LineTest(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.loop.set_debug(False)  # whose turns are CPython's
        self.addCleanup(self.loop.close)
        self.line = self.loop.line

    def names(self, timers):
        return [timer._args[0] for timer in timers]

    def due_first(self, pending):
        """What the line should be: a stable sort by time of what is in the order of making."""
        return [name for when, name in sorted(pending, key=lambda entry: entry[0])]

    def test_random_lines(self):
        """Timers that are made and taken at random come in order, on the way and when all are asked for."""
        for seed in range(200):
            chance, pending, now = random.Random(seed), [], 0.0
            for number in range(60):
                if chance.random() < 0.6 or not pending:
                    when = now + chance.choice((0, 0.5, 1, 1, 2, 5, 100))
                    self.loop.call_at(when, print, number)
                    pending.append((when, number))
                elif chance.random() < 0.1:
                    self.assertEqual(self.names(self.line.all()), self.due_first(pending))
                else:
                    first = self.due_first(pending)[0]
                    self.assertEqual(self.names([self.line.first()]), [first])
                    now = self.line.first().when()
                    timer = self.line.take()
                    self.assertEqual((self.names([timer]), timer._scheduled), ([first], False))
                    pending = [entry for entry in pending if entry[1] != first]
                self.assertEqual(len(self.line), len(pending))
            self.line.clear()

    def test_where_they_are(self):
        """Timers that are due later and later are queued; only one that is due before another is in the heap."""
        for when in (1, 2, 2, 5):
            self.loop.call_at(when, print)
        self.assertEqual((len(self.line.queue), len(self.line.heap)), (4, 0))
        self.loop.call_at(3, print)
        self.assertEqual((len(self.line.queue), len(self.line.heap)), (4, 1))

    def test_an_empty_line_begins_anew(self):
        """When all are gone, a timer that is due before those that were there is queued again."""
        self.loop.call_at(100, print, "late")
        self.assertEqual(self.names([self.line.take()]), ["late"])
        self.loop.call_at(5, print, "soon")
        self.loop.call_at(6, print, "later")
        self.assertEqual((self.names(self.line.queue), self.line.heap), (["soon", "later"], []))
        self.assertIsNot(self.line.first(), None)
        self.line.clear()
        self.assertIsNone(self.line.first())

    def test_an_instant_keeps_its_order_when_the_latest_was_cancelled(self):
        """Timers of one instant keep their order when what was due after them is gone, and more of them are made."""
        log = []
        latest = self.loop.call_at(9, log.append, "latest")
        self.loop.call_at(5, log.append, "first")
        latest.cancel()
        self.loop.drop_cancelled()
        for _ in range(150):
            self.loop.call_at(9, log.append, "never").cancel()
        self.loop.call_at(5, log.append, "second")
        self.loop.run_until_complete(asyncio.sleep(10))
        self.assertEqual(log, ["first", "second"])

    def test_cancelled_ones_are_dropped(self):
        """Those that were cancelled are taken out of the queue and of the heap, and do not count as waiting."""
        for when in (5, 1, 6, 2):
            timers = [self.loop.call_at(when, print, f"{when}-{name}") for name in "ab"]
            timers[0].cancel()
        self.line.drop_cancelled()
        self.assertEqual(self.names(self.line.all()), ["1-b", "2-b", "5-b", "6-b"])
        self.assertTrue(all(timer._scheduled for timer in self.line.all()))

    def test_comparing(self):
        """Timers compare by time, as asyncio's; once they are shown as a heap, those of one instant by their order."""
        early, late = self.loop.call_at(1, print), self.loop.call_at(2, print)
        self.assertTrue(early < late and not late < early)
        same = self.loop.call_at(1, print)
        self.assertIs(min(self.loop._scheduled), early)
        self.assertTrue(early < same and not same < early)
        self.assertEqual(sorted([late, same, early]), [early, same, late])

    def test_two_kinds_of_turns(self):
        """In debug mode timers are a heap, with those made meanwhile at their places; then they are a line again."""
        for when in (5, 1, 5):
            self.loop.call_at(when, print, f"{when}-lean")
        self.loop.set_debug(True)
        for when in (5, 1):
            self.loop.call_at(when, print, f"{when}-debug")
        order = ["1-lean", "1-debug", "5-lean", "5-lean", "5-debug"]
        self.assertEqual((self.names(self.loop.timers()), len(self.line), len(self.line.plain)), (order, 5, 5))
        self.loop.set_debug(False)
        self.assertEqual((self.names(self.loop.timers()), self.line.plain), (order, []))

    def test_the_journal_of_sleeps(self):
        """Each sleep is in the journal, which keeps the last ones; where it is turned off there is none."""
        journal = self.loop.kernel.journal

        async def sleep(count):
            for _ in range(count):
                await asyncio.sleep(1)

        self.loop.run_until_complete(sleep(FULL + 1))
        self.assertEqual((len(journal.records), journal.records[-1]), (KEPT + 1, (FULL, "sleep", FULL + 1)))

        async def sleepers():
            await asyncio.gather(*map(asyncio.sleep, (1, 1, 2, 1)))

        now = self.loop.time()
        self.loop.run_until_complete(sleepers())
        self.assertEqual([record for record in journal.records if record[0] == now],
                         [(now, "sleep", now + delay) for delay in (1, 1, 2, 1)])
        journal.enabled = False
        self.loop.run_until_complete(sleep(1))
        self.assertEqual((self.loop.time(), len(journal.records)), (now + 3, KEPT + 5))


class SleepTest(unittest.TestCase):
    def test_as_a_timer(self):
        """The timer of a sleep shows what any timer does, before and after it is cancelled, in debug mode too."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        for is_debug in (False, True):
            future = loop.create_future()
            sleep = loop.call_later(1, timers.END_OF_SLEEP, future, None)
            self.assertIs(type(sleep), timers.Sleep)
            self.assertEqual((sleep._callback, sleep._args), (timers.END_OF_SLEEP, (future, None)))
            self.assertIs(sleep._context, loop.line.context)
            self.assertRegex(repr(sleep), r"^<Timer when=1.0 _set_result_unless_cancelled\(")
            loop.set_debug(is_debug)
            sleep.cancel()
            sleep.cancel()
            self.assertEqual((sleep._callback, sleep._args, loop._timer_cancelled_count), (None, None, 1 + is_debug))
            self.assertRegex(repr(sleep), "^<Timer cancelled when=1.0" + (" _set_result" if is_debug else ">$"))
            loop.set_debug(False)

    def test_order(self):
        """Of two at one instant the one that was made first is less, whichever is the sleep."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        made = [loop.call_later(1, timers.END_OF_SLEEP, loop.create_future(), None), loop.call_later(1, print),
                loop.call_later(1, timers.END_OF_SLEEP, loop.create_future(), None), loop.call_later(2, print)]
        self.assertEqual(loop._scheduled, made)
        self.assertEqual(sorted(made[::-1]), made)
        self.assertTrue(made[2] > made[1] and made[3] > made[2] and not made[0] > made[1])


if __name__ == "__main__":
    unittest.main()
