"""Links: arithmetic that is exact, chances that are what was asked for."""

import math
import statistics
import unittest

from solipsism_unittest.kernel.choices import Choices
from solipsism_unittest.kernel.clock import VirtualClock
from solipsism_unittest.kernel.network.wire.lanes import Lane, Parcel
from solipsism_unittest.kernel.network.wire.links import ANY, Links, Way
from solipsism_unittest.kernel.network.wire.settings import Settings

MANY = 100_000


class LinkCase(unittest.TestCase):
    def setUp(self):
        self.clock = VirtualClock()
        self.choices = Choices(7)
        self.arrived = []

    def way(self, **settings):
        return Way(self.clock, self.choices, "a", "b", Settings(**settings).checked())

    def carry(self, way, name, lane=None, size=0, more=0.0):
        way.carry(lane, Parcel(size, str(name), lambda: self.arrived.append((self.clock.now, name))), more)

    def run_out(self):
        while self.clock.deliveries:
            self.clock.jump(self.clock.deliveries[0][0])


class ArithmeticTest(LinkCase):
    def test_latency(self):
        """A packet arrives exactly one latency after it went; without any it is there at once."""
        way = self.way(latency=0.05)
        self.carry(way, "one")
        self.clock.jump(0.01)
        self.carry(way, "two", more=1)
        self.run_out()
        self.carry(self.way(), "at once")
        self.assertEqual(self.arrived, [(0.05, "one"), (1.06, "two"), (1.06, "at once")])

    def test_bandwidth(self):
        """A packet of n bytes leaves a link of b bits a second 8n/b seconds after it began, to the last of many."""
        way = self.way(bandwidth=8e6, latency=0.25)
        for number in range(1000):
            self.carry(way, number, size=1000)
        self.run_out()
        self.assertEqual(self.arrived[0], (0.251, 0))
        self.assertEqual(self.arrived[-1], (1.25, 999))

    def test_lanes_take_turns(self):
        """Two flows over one link get half each, packet by packet, whoever came first."""
        way, one, two = self.way(bandwidth=8000.0), Lane(), Lane()
        for name, lane in (("one", one), ("two", two)):
            for _ in range(3):
                self.carry(way, name, lane, 1000)
        self.run_out()
        self.assertEqual([name for _, name in self.arrived], ["one", "two"] * 3)
        self.assertEqual([when for when, _ in self.arrived], [1, 2, 3, 4, 5, 6])

    def test_another_bandwidth_on_the_way(self):
        """A change counts from the next packet on; what has the line keeps its time. None lets all go at once."""
        link = Links(self.clock, self.choices).make("a", "b", Settings(bandwidth=8000.0), True, lambda: None)
        way, lane = link.ways[0], Lane()
        for number in range(4):
            self.carry(way, number, lane, 1000)
        self.clock.jump(0.5)
        link.change(bandwidth=80_000.0)
        self.clock.jump(1.0)
        link.change(bandwidth=None)
        self.run_out()
        self.assertEqual(self.arrived, [(1.0, 0), (1.1, 1), (1.1, 2), (1.1, 3)])
        self.carry(way, "later", lane, 1000)
        self.assertEqual(self.arrived[-1], (1.1, "later"))

    def test_nothing_overtakes_in_a_lane(self):
        """In a lane the order of sending is kept, whatever the delays; without one each packet comes when it comes."""
        way, lane = self.way(latency=0.1), Lane()
        self.carry(way, "slow", lane, more=5)
        self.carry(way, "fast", lane)
        self.carry(way, "free")
        self.run_out()
        self.assertEqual(self.arrived, [(0.1, "free"), (5.1, "slow"), (5.1, "fast")])

    def test_hold_and_release(self):
        """What is held arrives at the release, in order, and shows as on its way until then."""
        way, lane = self.way(latency=1), Lane()
        self.carry(way, "one", lane)
        way.hold()
        way.hold()
        self.carry(way, "two", lane)
        self.clock.jump(1)
        self.clock.jump(3)
        self.assertEqual([(flight.what, flight.arrives) for flight in way.flights()],
                         [("one", math.inf), ("two", math.inf)])
        self.assertEqual(self.arrived, [])
        way.release()
        way.release()
        self.assertEqual((self.arrived, way.flying), ([(3, "one"), (3, "two")], {}))


class ChanceTest(LinkCase):
    def within_three_sigma(self, seen, mean, deviation, count=MANY):
        self.assertLess(abs(seen - mean), 3 * deviation / math.sqrt(count), (seen, mean))

    def test_loss(self):
        """So many packets are lost as was asked for, within three sigma of 100,000."""
        way = self.way(loss=0.05)
        lost = sum(way.loses() for _ in range(MANY))
        self.within_three_sigma(lost / MANY, 0.05, math.sqrt(0.05 * 0.95))
        self.assertFalse(self.way().loses())
        self.assertTrue(all(self.way(loss=1).loses() for _ in range(100)))

    def test_bursts(self):
        """The share that is lost, and how many in a row on average, are those of the Gilbert-Elliott model."""
        for loss, burst in ((0.05, 3.0), (0.2, 8.0), (0.5, 1.5)):
            with self.subTest(loss=loss, burst=burst):
                way = self.way(loss=loss, burst=burst)
                outcomes = [way.loses() for _ in range(MANY)]
                starts = sum(now and not before for before, now in zip([False, *outcomes], outcomes, strict=False))
                runs, lost = starts, sum(outcomes)
                # The variance of the share of a two-state chain with this correlation from step to step
                kept = 1 - 1 / burst - loss / (1 - loss) / burst
                spread = math.sqrt(loss * (1 - loss) * (1 + kept) / (1 - kept))
                self.within_three_sigma(lost / MANY, loss, spread)
                self.within_three_sigma(lost / runs, burst, math.sqrt(burst * (burst - 1)), runs)

    def test_jitter(self):
        """Mean and deviation of each distribution are latency and what the jitter says, within three sigma."""
        for distribution, deviation, kurtosis in (("uniform", 1 / math.sqrt(3), 1.8), ("normal", 1.0, 3.0)):
            with self.subTest(distribution):
                way = self.way(latency=10.0, jitter=0.5, distribution=distribution)
                delays = [way.delay() for _ in range(MANY)]
                wanted = 0.5 * deviation
                self.within_three_sigma(statistics.fmean(delays), 10, wanted)
                spread = wanted ** 2 * math.sqrt(kurtosis - 1)
                self.within_three_sigma(statistics.pvariance(delays), wanted ** 2, spread)
        way = self.way(latency=10.0, jitter=0.5, distribution="pareto")
        delays = sorted(way.delay() for _ in range(MANY))
        self.within_three_sigma(statistics.fmean(delays), 10, 0.5)
        # Its deviation has no deviation of its own: compare the median and a far quantile, which are exact.
        for share in (0.5, 0.99):
            wanted = 10 + 0.5 * ((1 - share) ** (-1 / 3) - 1.5) / math.sqrt(0.75)
            density = 3 * (1 - share) ** (4 / 3) / (0.5 / math.sqrt(0.75))
            self.within_three_sigma(delays[int(share * MANY)], wanted, math.sqrt(share * (1 - share)) / density)

    def test_correlation(self):
        """Each jitter is correlated with the one before as was asked for; the deviation stays."""
        way = self.way(latency=10.0, jitter=0.5, distribution="normal", correlation=0.6)
        delays = [way.delay() for _ in range(MANY)]
        self.assertAlmostEqual(statistics.correlation(delays[:-1], delays[1:]), 0.6, delta=0.02)
        self.assertAlmostEqual(statistics.pstdev(delays), 0.5, delta=0.01)

    def test_never_negative(self):
        """A delay is never negative."""
        way = self.way(latency=0.001, jitter=1.0)
        self.assertEqual(min(way.delay() for _ in range(1000)), 0.0)

    def test_stragglers(self):
        """A share of the packets takes so much longer."""
        way = self.way(latency=1.0, stragglers=0.1, straggle=5.0)
        late = sum(way.delay() == 6.0 for _ in range(MANY))
        self.within_three_sigma(late / MANY, 0.1, math.sqrt(0.09))

    def test_the_same_seed(self):
        """One seed gives one list of delays, another seed another."""
        def delays(seed):
            self.choices = Choices(seed)
            way = self.way(latency=1.0, jitter=0.5)
            return [way.delay() for _ in range(10)]

        self.assertEqual(delays(1), delays(1))
        self.assertNotEqual(delays(1), delays(2))


class LinksTest(LinkCase):
    def setUp(self):
        super().setUp()
        self.changes = 0
        self.links = Links(self.clock, self.choices)

    def changed(self):
        self.changes += 1

    def make(self, one, other, one_way=False, **settings):
        return self.links.make(one, other, Settings(**settings).checked(), one_way, self.changed)

    def test_which_way(self):
        """The closest link counts, of several the last one; what a host says to itself goes over none but its own."""
        self.assertIsNone(self.links.way("a", "b"))
        everywhere = self.make(ANY, ANY)
        from_a = self.make("a", ANY, one_way=True)
        between = self.make("a", "b")
        again = self.make("a", "b", latency=1)
        self.assertIs(self.links.way("a", "b"), again.ways[0])
        self.assertIs(self.links.way("b", "a"), again.ways[1])
        again.remove()
        again.remove()
        self.assertIs(self.links.way("a", "b"), between.ways[0])
        self.assertIs(self.links.way("a", "c"), from_a.ways[0])
        self.assertIs(self.links.way("c", "a"), everywhere.ways[0])
        self.assertIsNone(self.links.way("c", "c"))
        own = self.make("c", "c")
        self.assertEqual(len(own.ways), 1)
        self.assertIs(self.links.way("c", "c"), own.ways[0])
        for link in (everywhere, from_a, between, own):
            link.remove()
        self.assertFalse(self.links.any)
        self.assertIsNone(self.links.way("a", "b"))

    def test_between(self):
        """Links are found by their two hosts in either order; between all and all every one."""
        one, two = self.make("a", "b"), self.make("b", "c")
        self.assertEqual(self.links.between("b", "a"), [one])
        self.assertEqual(self.links.between(ANY, ANY), [one, two])
        self.assertEqual(self.links.between("a", "c"), [])

    def test_cut_heal_change(self):
        """cut(), heal() and change() act on both ways; a cut is announced."""
        with self.make("a", "b", latency=1) as link:
            link.cut()
            self.assertEqual(([way.is_cut for way in link.ways], self.changes), ([True, True], 1))
            link.heal()
            self.assertEqual([way.is_cut for way in link.ways], [False, False])
            link.change(latency=2, loss=0.5)
            self.assertEqual({way.settings for way in link.ways}, {Settings(latency=2, loss=0.5)})
            self.assertRaisesRegex(ValueError, "loss is a share from 0 to 1, not 2", link.change, loss=2)
            with self.assertRaisesRegex(TypeError, "a link has no nothing, more: it has latency, "):
                link.change(nothing=1, more=2)
            self.assertRegex(repr(link), r"^<Link a - b: Settings\(latency=2, .*loss=0\.5")
        self.assertFalse(self.links.any)

    def test_flying(self):
        """What is on its way on all links, the next to arrive first."""
        for name, latency in (("a", 3.0), ("b", 1.0)):
            way = self.make(name, "z", one_way=True, latency=latency).ways[0]
            self.carry(way, name, size=5)
        self.assertEqual(self.links.flying(), [("b", 5, 1.0), ("a", 5, 3.0)])

    def test_what_waits_for_bandwidth(self):
        """What is not yet on the line is on its way too, and when it arrives is known: lanes take turns."""
        links = Links(self.clock, self.choices)
        link = links.make("a", "b", Settings(bandwidth=8000.0, latency=0.5), False, list)
        one, two = Lane(), Lane()
        for name, lane, more in (("one", one, 0.0), ("two", one, 1.0), ("three", two, 0.0)):
            self.carry(link.ways[0], name, lane, 1000, more)
        expected = [("one", 1.5), ("three", 2.5), ("two", 4.5)]
        self.assertEqual([(flight.what, flight.arrives) for flight in links.flying()], expected)
        self.clock.jump(1.0)
        self.assertEqual([(flight.what, flight.arrives) for flight in links.flying()], expected)
        link.hold()
        self.assertEqual([flight.arrives for flight in links.flying()], [1.5, math.inf, math.inf])
        link.release()
        self.run_out()
        self.assertEqual([(name, when) for when, name in self.arrived], expected)
        self.assertEqual(links.flying(), [])

    def test_flying_over_a_link_that_was_removed(self):
        """What was on its way when its link was removed is still on its way."""
        links = Links(self.clock, self.choices)
        for latency in (1.0, 2.0):
            link = links.make("a", "b", Settings(latency=latency), False, list)
            self.carry(link.ways[0], latency)
            link.remove()
        self.assertEqual([flight.arrives for flight in links.flying()], [1, 2])
        self.clock.jump(1.0)
        self.assertEqual([flight.arrives for flight in links.flying()], [2])
        self.run_out()
        self.assertEqual(links.flying(), [])

    def test_trains(self):
        """Packets of one instant share a delivery, and arrive in the order of sending, whatever else comes then."""
        one, other = self.way(latency=1.0), self.way(latency=1.0)
        for name, way in (("a", one), ("b", one), ("c", other), ("d", one), ("e", one)):
            self.carry(way, name)
        self.clock.deliver_at(1.0, lambda: self.arrived.append((self.clock.now, "f")))
        self.carry(one, "g")
        self.assertEqual(len(self.clock.deliveries), 5)
        self.clock.jump(1.0)
        self.assertEqual([name for _, name in self.arrived], list("abcdefg"))

    def test_an_error_in_a_train(self):
        """What arrives after a packet that raises still arrives."""
        way = self.way(latency=1.0)
        self.carry(way, "a")
        way.carry(None, Parcel(0, "broken", {}.popitem))
        self.carry(way, "b")
        self.assertRaises(KeyError, self.clock.jump, 1.0)
        self.clock.jump(1.0)
        self.assertEqual([name for _, name in self.arrived], ["a", "b"])

    def test_keep(self):
        """Links that were made since go, those that were removed come back, and all do what they did."""
        links = Links(self.clock, self.choices)
        kept, removed, cut = (links.make(*pair, Settings(latency=1.0), False, list)
                              for pair in (("a", "b"), ("c", "d"), ("e", "f")))
        cut.cut()
        cut.hold()
        put_back = links.keep()
        self.carry(removed.ways[0], "before")
        removed.remove()
        kept.change(latency=5.0)
        kept.hold()
        self.carry(kept.ways[0], "held")
        cut.heal()
        cut.release()
        links.exact("a", "x", list).cut()
        self.clock.jump(7.0)
        put_back()
        self.assertEqual(self.arrived, [(7.0, "before"), (7.0, "held")])
        self.assertEqual(links.between("*", "*"), [kept, removed, cut])
        self.assertIs(links.way("b", "a"), kept.ways[1])
        self.assertIs(links.way("c", "d"), removed.ways[0])
        self.assertIsNone(links.way("a", "x"))
        self.assertEqual([link.settings.latency for link in (kept, removed, cut)], [1, 1, 1])
        self.assertEqual([(way.is_cut, way.is_held) for link in (kept, cut) for way in link.ways],
                         [(False, False)] * 2 + [(True, True)] * 2)

    def test_what_no_link_can_do(self):
        """Each setting has its bounds, and a text that says them."""
        for settings, words in (
            ({"latency": -1}, "latency is a finite number of seconds from 0 up, not -1"),
            ({"jitter": math.inf}, "jitter is a finite number of seconds"),
            ({"latency": "1"}, "latency is a finite number of seconds from 0 up, not '1'"),
            ({"slow_close": math.nan}, "slow_close is a finite"),
            ({"bandwidth": 0}, "bandwidth is a number of bits a second, above 0, not 0"),
            ({"loss": 1.1}, "loss is a share from 0 to 1, not 1.1"),
            ({"correlation": 1}, "correlation is a share from 0 up, below 1, not 1"),
            ({"burst": 0.5}, "burst is a number of packets from 1 up, not 0.5"),
            ({"distribution": "poisson"}, "distribution is one of 'uniform', 'normal', 'pareto', not 'poisson'"),
            ({"loss": 0.9, "burst": 2.0}, "bursts of 2.0 packets are too short for a loss of 0.9: a burst is at"),
            ({"slice": 0}, "slice is a number of bytes from 1 up, or None, not 0"),
            ({"limit": -1}, "limit is a number of bytes from 0 up, or None, not -1"),
            ({"slice": True}, "slice is a number of bytes from 1 up, or None, not True"),
            ({"latency": True}, "latency is a finite number of seconds from 0 up, not True"),
            ({"distribution": ["uniform"]}, r"distribution is one of .*, not \['uniform'\]"),
            ({"mtu": 67}, "mtu is a number of bytes from 68 up, or None, not 67"),
            ({"connect": "refused"}, "connect is an errno, such as errno.EHOSTUNREACH, or None, not 'refused'"),
            ({"route": 100_000}, "route is an errno, such as errno.EHOSTUNREACH, or None, not 100000"),
            ({"reset_after": 1.5}, "reset_after is a number of bytes from 0 up, or None, not 1.5"),
        ):
            with self.subTest(words), self.assertRaisesRegex(ValueError, words):
                Settings(**settings).checked()
