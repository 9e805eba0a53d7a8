"""Links between hosts: how long a packet takes, how many bytes fit through, how much is lost.

Owns the settings of each link and what is on its way. A link has two ways, which share nothing but their settings. Does
not own what TCP makes of a loss (wire.py). Everything is exact: a packet of n bytes leaves a link of b bits a second
8 n / b seconds after it began, and arrives `latency` later.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from ...choices import Choices
from ...clock import VirtualClock

SEGMENT = 1460  # bytes of a stream in one packet: what a link of Ethernet takes
ANY = "*"

Arrive = Callable[[], None]


class Settings(NamedTuple):
    """What a link does; all of it can be changed while packets are on their way."""

    latency: float = 0.0  # seconds, one way
    jitter: float = 0.0  # seconds: the deviation of the latency
    distribution: str = "uniform"  # of the jitter: or "normal", "pareto"
    correlation: float = 0.0  # of each jitter with the one before, from 0 up to 1
    stragglers: float = 0.0  # the share of packets that take `straggle` seconds more
    straggle: float = 1.0
    bandwidth: float | None = None  # bits a second
    loss: float = 0.0  # the share of packets that are lost
    burst: float = 1.0  # how many are lost in a row, on average (Gilbert-Elliott)
    duplicate: float = 0.0  # shares of datagrams
    reorder: float = 0.0
    corrupt: float = 0.0
    slice: int | None = None  # the most bytes of a stream in one packet
    limit: int | None = None  # bytes of streams after which nothing passes any more
    reset_after: int | None = None  # bytes of streams after which the connection is reset
    slow_close: float = 0.0  # seconds that the end of a stream takes more

    def but(self, settings: dict[str, Any]) -> Settings:
        """The same with other values for some. TypeError for a name, ValueError for a value that no link has."""
        unknown = [name for name in settings if name not in self._fields]
        if unknown:
            raise TypeError(f"a link has no {', '.join(unknown)}: it has {', '.join(self._fields)}")
        return self._replace(**settings).checked()

    def checked(self) -> Settings:
        """The same, or a ValueError for what no link can do."""
        for name in ("latency", "jitter", "straggle", "slow_close"):
            _number(name, getattr(self, name), 0, math.inf, "a finite number of seconds from 0 up")
        for name in ("stragglers", "loss", "duplicate", "reorder", "corrupt"):
            _number(name, getattr(self, name), 0, math.nextafter(1, 2), "a share from 0 to 1")
        _number("correlation", self.correlation, 0, 1, "a share from 0 up, below 1")
        _number("burst", self.burst, 1, math.inf, "a number of packets from 1 up")
        if self.bandwidth is not None:
            _number("bandwidth", self.bandwidth, math.ulp(0), math.inf, "a number of bits a second, above 0")
        if self.distribution not in list(DEVIATES):
            raise ValueError(f"distribution is one of {', '.join(map(repr, DEVIATES))}, not {self.distribution!r}")
        if self.loss < 1 and self.burst * (1 - self.loss) < self.loss:
            raise ValueError(f"bursts of {self.burst!r} packets are too short for a loss of {self.loss!r}: a burst is "
                             f"at least {self.loss / (1 - self.loss):.6g} packets then")
        for name, least in (("slice", 1), ("limit", 0), ("reset_after", 0)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise ValueError(f"{name} is a number of bytes from {least} up, or None, not {value!r}")
        return self


def _number(name: str, value: object, least: float, below: float, words: str) -> None:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value < below:
        raise ValueError(f"{name} is {words}, not {value!r}")


def _uniform(chance: random.Random) -> float:
    return chance.uniform(-1, 1)


def _normal(chance: random.Random) -> float:
    return chance.gauss(0, 1)


def _pareto(chance: random.Random) -> float:
    """A heavy tail: mean 0 and deviation 1 of what 1.5 and the root of 0.75 are for an exponent of 3."""
    return (chance.paretovariate(3) - 1.5) / math.sqrt(0.75)


DEVIATES: dict[str, Callable[[random.Random], float]] = {"uniform": _uniform, "normal": _normal, "pareto": _pareto}


class Lane:
    """What must not overtake each other on one way: the packets of one direction of a stream."""

    __slots__ = ("last", "waiting")

    def __init__(self) -> None:
        self.last = -math.inf  # when the last packet arrives
        # For bandwidth: (bytes, what it is, seconds that it takes more than others, what puts it on its way)
        self.waiting: deque[tuple[int, str, float, Arrive]] = deque()


class Flight(NamedTuple):
    """A packet on its way, as `Network.in_flight()` shows it."""

    what: str
    size: int
    arrives: float  # at this virtual time; infinity for one that is held


class Way:
    """One direction of a link."""

    def __init__(self, clock: VirtualClock, choices: Choices, source: str, target: str, settings: Settings) -> None:
        self.source, self.target = source, target
        self.settings = settings
        self.is_cut = False
        self.flying: dict[object, Flight] = {}
        self._clock = clock
        self._choices = choices
        self._chance: random.Random | None = None  # made for the first packet that needs it
        self._deviate = 0.0  # the last jitter, as a number of deviations
        self._in_burst = False
        self._held: list[tuple[object, Arrive]] | None = None
        # Lanes with packets that wait for bandwidth, the next one first; and since when the link is busy, with how many
        # bits.
        self._lanes: deque[Lane] = deque()
        self._is_busy = False
        self._busy_since, self._bits = 0.0, 0
        self._rate: float | None = None  # the bandwidth since then

    @property
    def chance(self) -> random.Random:
        """Where this way draws from; its seed is a choice."""
        if self._chance is None:
            self._chance = random.Random(self._choices.below(2**32, f"link {self.source}>{self.target}"))
        return self._chance

    # -- what becomes of a packet

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
        settings = self.settings
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

    def carry(self, lane: Lane | None, size: int, what: str, arrive: Arrive, more: float = 0.0) -> None:
        """Let a packet go to the other end, after those of its lane; it takes `more` seconds than others."""
        if self.settings.bandwidth is None and not self._is_busy:
            self._fly(lane, size, what, arrive, more)
            return
        mine = lane if lane is not None else Lane()
        mine.waiting.append((size, what, more, lambda: self._fly(lane, size, what, arrive, more)))
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

    def _fly(self, lane: Lane | None, size: int, what: str, arrive: Arrive, more: float) -> None:
        now = self._clock.now
        when = now + self.delay() + more
        if lane is not None:
            when = lane.last = max(when, lane.last)
        if when <= now and self._held is None:
            arrive()
            return
        mark = object()
        self.flying[mark] = Flight(what, size, when)
        if when <= now:
            self._land(mark, arrive)
        else:
            self._clock.deliver_at(when, lambda: self._land(mark, arrive))

    def _land(self, mark: object, arrive: Arrive) -> None:
        if self._held is not None:
            self.flying[mark] = self.flying[mark]._replace(arrives=math.inf)
            self._held.append((mark, arrive))
            return
        del self.flying[mark]
        arrive()

    def flights(self) -> list[Flight]:
        """What is on its way, and what waits for bandwidth: that arrives when all before it are through."""
        found = list(self.flying.values())
        lanes = deque((lane, iter(lane.waiting)) for lane in self._lanes)
        bits = self._bits - self._lanes[0].waiting[0][0] * 8 if lanes else 0
        while lanes:
            lane, waiting = lanes.popleft()
            for size, what, more, _ in waiting:
                bits += size * 8
                when = math.inf if self.is_held else self._after(bits) + self.settings.latency + more
                found.append(Flight(what, size, max(when, lane.last)))
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
        for mark, arrive in held:
            del self.flying[mark]
            arrive()


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
            way.is_cut = True
        self._changed()

    def heal(self) -> None:
        """End `cut()`. Nobody is told: a stream goes on at its next retransmission."""
        for way in self.ways:
            way.is_cut = False
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
        if not self.is_own and not any(way.is_cut or way.is_held for way in self.ways):
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
        self._clock = clock
        self._choices = choices
        self._ways: dict[tuple[str, str], list[Way]] = {}
        self._links: dict[Link, None] = {}
        self._gone: list[Way] = []  # of links that were removed while packets were on their way

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return bool(self._links)

    def make(self, one: str, other: str, settings: Settings, one_way: bool, changed: Callable[[], None]) -> Link:
        """A link between two hosts, by name; ANY stands for every host."""
        pairs = [(one, other)] if one_way or one == other else [(one, other), (other, one)]
        ways = [Way(self._clock, self._choices, *pair, settings) for pair in pairs]
        for pair, way in zip(pairs, ways, strict=True):
            self._ways.setdefault(pair, []).append(way)
        link = Link(self, ways, changed)
        self._links[link] = None
        return link

    def remove(self, link: Link) -> None:
        """Forget a link."""
        if link in self._links:
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
        links = {link: [(way.settings, way.is_cut, way.is_held) for way in link.ways] for link in self._links}

        def put_back() -> None:
            for link in [each for each in self._links if each not in links]:
                link.remove()
            self._ways = {pair: list(before) for pair, before in ways.items()}
            self._links = dict.fromkeys(links)
            for link, states in links.items():
                for way, (settings, is_cut, is_held) in zip(link.ways, states, strict=True):
                    way.settings, way.is_cut = settings, is_cut
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

    def flying(self) -> list[Flight]:
        """What is on its way, by arrival."""
        ways = dict.fromkeys([*self._gone, *(way for ways in self._ways.values() for way in ways)])
        found = [flight for way in ways for flight in way.flights()]
        return sorted(found, key=lambda flight: flight.arrives)
