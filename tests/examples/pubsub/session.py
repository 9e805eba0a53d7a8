"""A session: what the broker owes one subscriber, across its connections.

A message stays in the session's backlog from the moment when the broker accepts it until the subscriber acknowledges
it. The backlog is bounded, and being away is no excuse: to publishers, a subscriber that is disconnected looks like one
that is slow.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass

from .connection import Connection
from .framing import Frame, Kind


@dataclass
class Delivery:
    """One message on its way to one subscriber."""

    id: str
    topic: str
    payload: bytes
    attempts: int = 0

    def to_frame(self) -> Frame:
        fields = {"id": self.id, "topic": self.topic, "redelivered": self.attempts > 1}
        return Frame(Kind.MESSAGE, fields, self.payload)


class Session:
    def __init__(self, name: str, *, limit: int, redeliver_after: float) -> None:
        self.name = name
        self.topics: set[str] = set()
        self.connection: Connection | None = None
        self.ended = False
        self._limit = limit
        self._redeliver_after = redeliver_after
        self._backlog: dict[str, Delivery] = {}  # by id, in the order of acceptance
        self._room = asyncio.Semaphore(limit)  # first come, first served: no publisher is overtaken for ever
        self._settled = asyncio.Event()  # the broker may go: nobody is there to acknowledge anything more
        # The rest is about the present connection only.
        self._active: set[str] = set()  # topics that the client has asked for since it connected
        self._unsent: deque[str] = deque()  # ids; some of them may have left the backlog meanwhile
        self._sent: dict[str, float] = {}  # id -> when to send it again, the earliest first
        self._work = asyncio.Event()
        self._start_afresh()

    def __repr__(self) -> str:
        state = "ended" if self.ended else "away" if self.connection is None else "connected"
        return f"<Session {self.name!r} {state}, {len(self._backlog)} of {self._limit} unacknowledged>"

    @property
    def is_full(self) -> bool:
        return self._room.locked()

    def attach(self, connection: Connection) -> None:
        self.connection = connection
        self._start_afresh()

    def detach(self) -> None:
        self.connection = None
        self._start_afresh()

    def end(self) -> None:
        """Give up what has not been acknowledged, and let go whoever waits for room."""
        self.ended = True
        for id in list(self._backlog):
            self.acknowledge(id)

    def subscribe(self, topic: str) -> None:
        """Only from now on its messages are sent: before, a client that has restarted would not know them."""
        self.topics.add(topic)
        if topic not in self._active:
            self._active.add(topic)
            self._unsent.extend(id for id, delivery in self._backlog.items() if delivery.topic == topic)
            self._work.set()

    def unsubscribe(self, topic: str) -> None:
        """What it has not acknowledged of this topic, the subscriber does not want any more."""
        self.topics.discard(topic)
        self._active.discard(topic)
        for id in [id for id, delivery in self._backlog.items() if delivery.topic == topic]:
            self.acknowledge(id)

    async def offer(self, id: str, topic: str, payload: bytes) -> None:
        """Take a message into the backlog as soon as there is room for it."""
        if not self._wants(id, topic):
            return
        await self._room.acquire()
        if not self._wants(id, topic):  # any more
            self._room.release()  # for the next in the queue, who may not want it either
            return
        self._backlog[id] = Delivery(id, topic, payload)
        self._note_settled()
        if topic in self._active:
            self._unsent.append(id)
            self._work.set()

    def _wants(self, id: str, topic: str) -> bool:
        # A publisher that lost its connection publishes again: the first copy may still be here.
        return not self.ended and topic in self.topics and id not in self._backlog

    def acknowledge(self, id: str) -> None:
        """It has arrived. Unknown ids are fine: a message that was sent twice is acknowledged twice."""
        if self._backlog.pop(id, None) is not None:
            self._sent.pop(id, None)
            self._room.release()
            self._note_settled()

    async def deliver(self, connection: Connection) -> None:
        """Send the backlog, and send again what stays unacknowledged; never returns."""
        while True:
            self._take_back_overdue()
            while self._unsent:
                delivery = self._backlog.get(self._unsent.popleft())
                if delivery is None:
                    continue
                delivery.attempts += 1
                await connection.send(delivery.to_frame())
                if delivery.id in self._backlog:  # the acknowledgement may be faster than send(), which waits
                    self._sent[delivery.id] = time.monotonic() + self._redeliver_after
            await self._wait_for_work()

    def _take_back_overdue(self) -> None:
        now = time.monotonic()
        for id, due in list(self._sent.items()):
            if due > now:
                break
            del self._sent[id]
            self._unsent.append(id)

    async def _wait_for_work(self) -> None:
        due = next(iter(self._sent.values()), None)
        try:
            async with asyncio.timeout(None if due is None else due - time.monotonic()):
                await self._work.wait()
        except TimeoutError:
            return
        self._work.clear()

    async def settled(self) -> None:
        """Wait until everything is acknowledged, or nobody is connected who could do so."""
        await self._settled.wait()

    def _start_afresh(self) -> None:
        """After a change of connection nobody knows what has arrived: the whole backlog is unsent."""
        self._active.clear()
        self._unsent.clear()
        self._sent.clear()
        self._note_settled()

    def _note_settled(self) -> None:
        if self._backlog and self.connection is not None:
            self._settled.clear()
        else:
            self._settled.set()
