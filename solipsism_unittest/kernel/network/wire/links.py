"""Links between hosts: how long a packet takes, how many bytes fit through, how much is lost.

Owns what is on its way over each link. A link has two ways, which share nothing but their settings. Does not own what
can be set (settings.py), nor what TCP makes of a loss (flows.py). Everything is exact: a packet of n bytes leaves a
link of b bits a second 8 n / b seconds after it began, and arrives `latency` later.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Self

from ...choices import Choices, Explorer
from ...clock import VirtualClock
from .lanes import Flight, Lane, Passage, Train
from .settings import DEVIATES, Settings, check_number

ANY = "*"


class Way:
    """One direction of a link."""

    def __init__(self, clock: VirtualClock, choices: Choices, source: str, target: str, settings: Settings) -> None:
        self.source, self.target = source, target
        self.is_pulled = False  # by cut()
        self.is_cut = False  # nothing passes
        self.is_simple = True  # it does nothing but take its latency
        self.settings = settings
        self.flying: dict[Passage, None] = {}
        self._clock = clock
        self._choices = choices
        self._chance: random.Random | None = None  # made for the first packet that needs it
        self._deviate = 0.0  # the last jitter, as a number of deviations
        self._in_burst = False
        self._held: list[Passage] | None = None
        # Lanes with packets that wait for bandwidth, the next one first; and since when the link is busy, with how many
        # bits.
        self._lanes: deque[Lane] = deque()
        self._is_busy = False
        self._busy_since, self._bits = 0.0, 0
        self._rate: float | None = None  # the bandwidth since then
        self._train: Train | None = None  # the last one

    @property
    def chance(self) -> random.Random:
        """Where this way draws from; its seed is a choice."""
        if self._chance is None:
            self._chance = random.Random(self._choices.below(2**32, f"link {self.source}>{self.target}"))
        return self._chance

    # -- what becomes of a packet

    @property
    def settings(self) -> Settings:
        """What it does."""
        return self._settings

    @settings.setter
    def settings(self, settings: Settings) -> None:
        self._settings = settings
        self.is_simple = settings == Settings(latency=settings.latency)
        self.pull(self.is_pulled)

    def pull(self, is_pulled: bool) -> None:
        """Let nothing pass, or all again where there is a route."""
        self.is_pulled = is_pulled
        self.is_cut = is_pulled or self._settings.route is not None

    def loses(self) -> bool:
        """Draw whether the next packet is lost by itself; a cut way is asked for elsewhere."""
        settings = self.settings
        if not settings.loss:
            return False
        was_in_burst = self._in_burst
        leave = 1 / settings.burst
        enter = settings.loss * leave / (1 - settings.loss) if settings.loss < 1 else 1.0
        if settings.burst == 1:
            return self.chance.random() < settings.loss
        self._in_burst = self.chance.random() >= leave if was_in_burst else self.chance.random() < enter
        return was_in_burst

    def draws(self, share: float) -> bool:
        """Draw whether something happens that happens to this share of packets."""
        return bool(share) and self.chance.random() < share

    def delay(self) -> float:
        """How long the next packet flies."""
        settings = self._settings
        delay = settings.latency
        if settings.jitter:
            fresh = DEVIATES[settings.distribution](self.chance)
            kept = settings.correlation
            self._deviate = kept * self._deviate + math.sqrt(1 - kept * kept) * fresh
            delay += settings.jitter * self._deviate
        if self.draws(settings.stragglers):
            delay += settings.straggle
        return max(delay, 0.0)

    # -- carrying

    def carry(self, lane: Lane | None, packet: Passage, more: float = 0.0) -> None:
        """Let a packet go to the other end, after those of its lane; it takes `more` seconds than others."""
        if self._settings.bandwidth is None and not self._is_busy:
            self._fly(lane, packet, more)
            return
        mine = lane if lane is not None else Lane()
        mine.waiting.append((packet.size, packet, more, lambda: self._fly(lane, packet, more)))
        if len(mine.waiting) == 1:
            self._lanes.append(mine)
        if not self._is_busy:
            self._is_busy = True
            self._busy_since, self._bits = self._clock.now, 0
            self._serve()

    def _serve(self) -> None:
        """Put the next packet on the line; lanes take turns."""
        bandwidth = self.settings.bandwidth
        if bandwidth != self._rate:
            self._busy_since, self._bits, self._rate = self._clock.now, 0, bandwidth
        self._bits += self._lanes[0].waiting[0][0] * 8
        self._clock.deliver_at(self._after(self._bits), self._served)

    def _after(self, bits: int) -> float:
        """When so many bits are through, since the link is busy."""
        return self._busy_since + bits / self._rate if self._rate is not None else self._clock.now

    def _served(self) -> None:
        lane = self._lanes.popleft()
        *_, go = lane.waiting.popleft()
        if lane.waiting:
            self._lanes.append(lane)
        go()
        self._is_busy = bool(self._lanes)
        if self._is_busy:
            self._serve()

    def _fly(self, lane: Lane | None, packet: Passage, more: float) -> None:
        now = self._clock.now
        when = now + (self._settings.latency if self.is_simple else self.delay()) + more
        if lane is not None:
            if when < lane.last:
                when = lane.last
            lane.last = when
        if self._choices.explorer is not None:
            self._take_longer(self._choices.explorer, lane or Lane(), when, packet)
            return
        if when <= now and self._held is None:
            packet.arrive()
            return
        self._note(packet, when)
        if when <= now:
            packet()
            return
        train = self._train
        if train is None or train.when != when or train.number != self._clock.ordered:
            train = self._train = Train(self._clock, when)
        train.passages.append(packet)

    def order(self, train: Train) -> None:
        """Let a train come again that has not arrived as a whole."""
        self._clock.deliver_at(train.when, train)

    def _note(self, packet: Passage, when: float) -> None:
        packet.way, packet.arrives = self, when
        self.flying[packet] = None

    def _take_longer(self, explorer: Explorer, lane: Lane, base: float, packet: Passage) -> None:
        """Fly as long as an exploration wants, behind those of the lane that still do."""
        when = lane.longer(explorer, base, str(packet), packet.size)
        if when <= self._clock.now and self._held is None and not lane.flying:
            packet.arrive()
            return
        self._note(packet, when)
        lane.flying += 1

        def land() -> None:
            lane.flying -= 1
            packet()

        explorer.carry(base, when, land)

    def keep(self, passage: Passage) -> None:
        """Hold a packet that has come."""
        assert self._held is not None
        passage.arrives = math.inf
        self._held.append(passage)

    def flights(self) -> list[Flight]:
        """What is on its way, and what waits for bandwidth: that arrives when all before it are through."""
        found = [passage.flight() for passage in self.flying]
        lanes = deque((lane, iter(lane.waiting)) for lane in self._lanes)
        bits = self._bits - self._lanes[0].waiting[0][0] * 8 if lanes else 0
        while lanes:
            lane, waiting = lanes.popleft()
            for size, what, more, _ in waiting:
                bits += size * 8
                when = math.inf if self.is_held else self._after(bits) + self.settings.latency + more
                found.append(Flight(str(what), size, max(when, lane.last)))
                lanes.append((lane, waiting))
                break
        return found

    # -- holding

    @property
    def is_held(self) -> bool:
        """Whether nothing arrives before `release()`."""
        return self._held is not None

    def hold(self) -> None:
        """Keep what arrives from now on, in order."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Let arrive what was held, and all that comes."""
        held, self._held = self._held or [], None
        for passage in held:
            passage()


class Link:
    """What `Network.link()` gives: both ways between two hosts, or one of them. In a `with` block it ends with that."""

    def __init__(self, links: Links, ways: list[Way], changed: Callable[[], None]) -> None:
        self.ways = ways
        self.is_own = True  # False: it was made only to be cut or held, and goes when that is over
        self._links = links
        self._changed = changed

    @property
    def settings(self) -> Settings:
        """What it does now."""
        return self.ways[0].settings

    def change(self, **settings: Any) -> None:
        """Do otherwise from now on; what is on its way arrives as it would have."""
        changed = self.settings.but(settings)
        for way in self.ways:
            way.settings = changed

    def cut(self) -> None:
        """Lose everything from now on, what is on its way too. Streams send it again when it is healed."""
        for way in self.ways:
            way.pull(True)
        self._changed()

    def stall(self, seconds: float) -> None:
        """Keep everything on its way for so many seconds; then it arrives, in order."""
        check_number("a stall", seconds, 0, math.inf, "a finite number of seconds from 0 up")
        self.hold()
        self._links.clock.deliver_at(self._links.clock.now + seconds, self.release)

    def heal(self) -> None:
        """End `cut()`. Nobody is told: a stream goes on at its next retransmission."""
        for way in self.ways:
            way.pull(False)
        self._tidy()

    def hold(self) -> None:
        """Keep everything on its way: nothing is lost, and nothing arrives before `release()`."""
        for way in self.ways:
            way.hold()

    def release(self) -> None:
        """End `hold()`: what was held arrives now, in order."""
        for way in self.ways:
            way.release()
        self._tidy()

    def _tidy(self) -> None:
        if not self.is_own and not any(way.is_pulled or way.is_held for way in self.ways):
            self._links.remove(self)

    def remove(self) -> None:
        """Take the link away: what goes over it from now on is neither late nor lost. A second call does nothing."""
        for way in self.ways:
            way.release()
        self._links.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        way = self.ways[0]
        return f"<Link {way.source} - {way.target}: {self.settings}>"


class Links:
    """The links of one network. Of several between two hosts the one that was made last counts."""

    def __init__(self, clock: VirtualClock, choices: Choices) -> None:
        self.clock = clock
        self._choices = choices
        self._ways: dict[tuple[str, str], list[Way]] = {}
        self._links: dict[Link, None] = {}
        self.version = 0  # another one when there are other links
        self._gone: list[Way] = []  # of links that were removed while packets were on their way

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return bool(self._links)

    def make(self, one: str, other: str, settings: Settings, one_way: bool, changed: Callable[[], None]) -> Link:
        """A link between two hosts, by name; ANY stands for every host."""
        pairs = [(one, other)] if one_way or one == other else [(one, other), (other, one)]
        ways = [Way(self.clock, self._choices, *pair, settings) for pair in pairs]
        for pair, way in zip(pairs, ways, strict=True):
            self._ways.setdefault(pair, []).append(way)
        link = Link(self, ways, changed)
        self._links[link] = None
        self.version += 1
        return link

    def remove(self, link: Link) -> None:
        """Forget a link."""
        if link in self._links:
            self.version += 1
            del self._links[link]
            for way in link.ways:
                there = self._ways[way.source, way.target]
                there.remove(way)
                self._gone = [each for each in (*self._gone, way) if each.flights()]
                if not there:
                    del self._ways[way.source, way.target]

    def clear(self) -> None:
        """Take all of them away."""
        for link in list(self._links):
            link.remove()

    def keep(self) -> Callable[[], None]:
        """Note which links there are, and what they do; the result makes it so again."""
        ways = {pair: list(ways) for pair, ways in self._ways.items()}
        links = {link: [(way.settings, way.is_pulled, way.is_held) for way in link.ways] for link in self._links}

        def put_back() -> None:
            for link in [each for each in self._links if each not in links]:
                link.remove()
            self._ways = {pair: list(before) for pair, before in ways.items()}
            self._links = dict.fromkeys(links)
            self.version += 1
            for link, states in links.items():
                for way, (settings, is_pulled, is_held) in zip(link.ways, states, strict=True):
                    way.settings = settings
                    way.pull(is_pulled)
                    way.hold() if is_held else way.release()

        return put_back

    def way(self, source: str, target: str) -> Way | None:
        """The way from one host to another; None where packets take no time and are never lost."""
        for pair in ((source, target), (source, ANY), (ANY, target), (ANY, ANY)):
            ways = self._ways.get(pair)
            # What a host says to itself goes over no link, unless there is one for just that.
            if ways and (source != target or pair == (source, target)):
                return ways[-1]
        return None

    def between(self, one: str, other: str) -> list[Link]:
        """The links between these two, either of which may be ANY."""
        pairs = ((one, other), (other, one))
        return [link for link in self._links if any(
            this in (ANY, link.ways[0].source) and that in (ANY, link.ways[0].target) for this, that in pairs)]

    def exact(self, one: str, other: str, changed: Callable[[], None]) -> Link:
        """A link between exactly these two, which does what happens between them anyway: to be cut or held."""
        found = [link for link in self.between(one, other)
                 if {link.ways[0].source, link.ways[0].target} == {one, other} and len(link.ways) == 1 + (one != other)]
        if found:
            return found[-1]
        ways = self.way(one, other), self.way(other, one)
        link = self.make(one, other, Settings(), False, changed)
        link.is_own = False
        for new, old in zip(link.ways, ways, strict=False):
            if old is not None:
                new.settings = old.settings
        return link

    def cut(self) -> list[str]:
        """The ways on which nothing passes, for people."""
        return [f"{way.source} to {way.target}" for link in self._links for way in link.ways if way.is_cut]

    def flying(self) -> list[Flight]:
        """What is on its way, by arrival."""
        ways = dict.fromkeys([*self._gone, *(way for ways in self._ways.values() for way in ways)])
        found = [flight for way in ways for flight in way.flights()]
        return sorted(found, key=lambda flight: flight.arrives)
