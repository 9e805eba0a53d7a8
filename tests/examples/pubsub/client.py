"""The client: publishes, subscribes, and keeps a connection to the broker by itself.

One task owns the connection: it connects, asks again for all subscriptions, reads until the connection breaks, waits,
and starts over. Requests do not notice: they wait for a connection, and go out again when it breaks before the answer,
until their deadline. To repeat them is safe: a message keeps its id, and the other requests change nothing the second
time.
"""

import asyncio
import contextlib
import itertools
import logging
import random
from collections import OrderedDict, deque
from dataclasses import dataclass
from ssl import SSLContext
from typing import Any, Self

from .backoff import Backoff
from .connection import Connection, SlowPeer, race
from .framing import MAX_PAYLOAD, Frame, Kind, ProtocolError, PubSubError

logger = logging.getLogger(__name__)


class ClientClosed(PubSubError):
    """The client has been closed, or the broker has sent it away for good."""


class DeadlineExceeded(PubSubError, TimeoutError):
    """A request has had no answer in time. It may have had its effect all the same."""


class RequestRefused(PubSubError):
    """The broker has answered a request with no."""


class Dismissed(PubSubError):
    """The broker has said goodbye."""

    def __init__(self, reason: str, *, retry: bool) -> None:
        super().__init__(reason)
        self.retry = retry


@dataclass(frozen=True)
class Message:
    id: str
    topic: str
    payload: bytes
    redelivered: bool


class Subscription:
    """Messages of one topic, in the order of their arrival: `async for message in subscription`.

    Each is to be given to `client.ack()` when it has been dealt with.
    """

    def __init__(self, topic: str, *, limit: int) -> None:
        self.topic = topic
        self.confirmed = False
        self._limit = limit
        self._messages: deque[Message] = deque()
        self._changed = asyncio.Event()
        self._ended_because: str | None = None

    def __repr__(self) -> str:
        return f"<Subscription to {self.topic!r}, {len(self._messages)} of {self._limit} messages waiting>"

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.get()
        except ClientClosed:
            raise StopAsyncIteration from None

    async def get(self) -> Message:
        """The next message; raises ClientClosed when there will be none."""
        while not self._messages:
            if self._ended_because is not None:
                raise ClientClosed(self._ended_because)
            self._changed.clear()
            await self._changed.wait()
        return self._messages.popleft()

    def offer(self, message: Message) -> bool:
        """Take a message, if there is room for it."""
        if len(self._messages) >= self._limit:
            return False
        self._messages.append(message)
        self._changed.set()
        return True

    def end(self, reason: str) -> None:
        """What is waiting already can still be had."""
        self._ended_because = reason
        self._changed.set()


class Client:
    """Use it with `async with`, or call `start()` and `close()`.

    name: identifies the client to the broker across its connections; two clients with one name take turns
    deadline: how long a request may take that does not say so itself; None waits for ever
    connect_timeout: how long an attempt to connect may take, the broker's welcome included
    heartbeat, dead_after: when to say that we are alive, and when to take a silent broker for dead
    prefetch: how many messages of a subscription may wait for the application
    remember: how many messages to remember, in order to recognise them when they come again
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        name: str,
        deadline: float | None = 30.0,
        connect_timeout: float = 10.0,
        heartbeat: float = 10.0,
        dead_after: float = 30.0,
        backoff: Backoff | None = None,
        prefetch: int = 100,
        remember: int = 10_000,
        max_payload: int = MAX_PAYLOAD,
        close_timeout: float = 5.0,
        ssl: SSLContext | bool | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.name = name
        self._deadline = deadline
        self._connect_timeout = connect_timeout
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._backoff = backoff or Backoff()
        self._prefetch = prefetch
        self._remember = remember
        self._max_payload = max_payload
        self._close_timeout = close_timeout
        self._ssl = ssl
        self._subscriptions: dict[str, Subscription] = {}
        self._seen: OrderedDict[str, bool] = OrderedDict()  # id -> acknowledged?
        self._answers: dict[int, asyncio.Future[Frame | None]] = {}
        self._request_numbers = itertools.count(1)
        # Ids must differ from those of all other clients, and of this one before its last restart.
        self._message_ids = (f"{self.name}-{random.getrandbits(64):016x}-{n}" for n in itertools.count(1))
        self._connection: Connection | None = None
        self._connection_changed = asyncio.Event()
        self._ended_because: str | None = None
        self._closing = False
        self._task: asyncio.Task[str] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._ended_because else "disconnected" if self._connection is None else "connected"
        return f"<Client {self.name!r} of {self.host}:{self.port} {state}, {len(self._subscriptions)} subscriptions>"

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"run {self!r}")
        self._task.add_done_callback(self._note_end)

    async def close(self) -> None:
        """Unsubscribe from everything, in a bounded time, and disconnect. What is not acknowledged is given up."""
        if self._closing or self._task is None:
            return
        self._closing = True
        try:
            if self._connection is not None:
                await asyncio.gather(
                    *(self._unsubscribe(topic, self._close_timeout) for topic in self._subscriptions),
                    return_exceptions=True,  # the broker forgets us in the end without our help too
                )
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])
        if not self._task.cancelled():
            self._task.result()  # raises if a defect of ours has ended it

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def wait_connected(self) -> None:
        await self._wait_for_connection()

    async def publish(self, topic: str, payload: bytes, *, deadline: float | None = None) -> str:
        """Hand a message to the broker; returns its id once the broker is responsible for it."""
        self._check_open()
        id = next(self._message_ids)
        await self._request(Kind.PUBLISH, {"id": id, "topic": topic}, payload, deadline=deadline)
        return id

    async def subscribe(self, topic: str, *, deadline: float | None = None) -> Subscription:
        self._check_open()
        if topic in self._subscriptions:
            raise ValueError(f"{self!r} has subscribed to {topic!r} already")
        # Before the broker's answer: the first message may be in the same segment.
        subscription = self._subscriptions[topic] = Subscription(topic, limit=self._prefetch)
        try:
            await self._request(Kind.SUBSCRIBE, {"topic": topic}, deadline=deadline)
        except BaseException:
            self._subscriptions.pop(topic, None)
            raise
        subscription.confirmed = True
        return subscription

    async def unsubscribe(self, subscription: Subscription, *, deadline: float | None = None) -> None:
        """What has not been acknowledged is given up. After a DeadlineExceeded the subscription still stands."""
        self._check_open()
        await self._unsubscribe(subscription.topic, deadline)

    def ack(self, message: Message) -> None:
        """The message has been dealt with. Never waits: if this gets lost, the broker asks again by redelivering."""
        self._seen[message.id] = True
        if self._connection is not None:
            with contextlib.suppress(SlowPeer):
                self._connection.post(Frame(Kind.ACK, {"id": message.id}))

    # Requests

    def _check_open(self) -> None:
        if self._ended_because is not None:
            raise ClientClosed(self._ended_because)
        if self._closing:
            raise ClientClosed(f"{self!r} is closing")

    async def _unsubscribe(self, topic: str, deadline: float | None) -> None:
        await self._request(Kind.UNSUBSCRIBE, {"topic": topic}, deadline=deadline)
        if topic in self._subscriptions:  # else two have asked for it
            self._subscriptions.pop(topic).end(f"unsubscribed from {topic!r}")

    async def _request(
        self, kind: Kind, fields: dict[str, Any], payload: bytes = b"", *, deadline: float | None
    ) -> None:
        """Send a request until it is answered, on as many connections as that takes."""
        seconds = self._deadline if deadline is None else deadline
        frame = Frame(kind, {"request": next(self._request_numbers), **fields}, payload)
        frame.encode(max_payload=self._max_payload)  # complain to the caller, not on each connection
        try:
            async with asyncio.timeout(seconds):
                answer = None
                while answer is None:
                    answer = await self._ask(await self._wait_for_connection(), frame)
        except TimeoutError:
            raise DeadlineExceeded(f"{kind} {fields['topic']!r} had no answer in {seconds} s") from None
        if answer.kind is Kind.REFUSED:
            raise RequestRefused(answer["reason"])

    async def _ask(self, connection: Connection, frame: Frame) -> Frame | None:
        """One attempt at a request: the answer, or None when the connection has broken before it."""
        number = frame["request"]
        self._answers[number] = asyncio.get_running_loop().create_future()
        try:
            await connection.send(frame)
            return await self._answers[number]
        except OSError:
            self._disconnected(connection)  # or the next attempt would take the same one again, for ever
            return None
        finally:
            del self._answers[number]

    async def _wait_for_connection(self) -> Connection:
        while self._connection is None:
            if self._ended_because is not None:
                raise ClientClosed(self._ended_because)
            self._connection_changed.clear()
            await self._connection_changed.wait()
        return self._connection

    # The connection

    async def _run(self) -> str:
        """Keep a connection until the broker does not want us any more; returns its reason."""
        while True:
            try:
                await self._connect_and_receive()
            except Dismissed as error:
                logger.info("%r was sent away: %s", self, error)
                if not error.retry:
                    return str(error)
            except (OSError, PubSubError) as error:
                logger.info("%r has no connection: %r", self, error)
            await asyncio.sleep(self._backoff.next_delay())

    def _note_end(self, task: asyncio.Task[str]) -> None:
        # A callback and not a `finally` in _run(): that would not run if close() came before its first step.
        if task.cancelled():
            reason = "by its owner"
        elif task.exception() is None:
            reason = task.result()
        else:
            reason = f"by a defect, {task.exception()!r}"
            logger.error("%r has failed", self, exc_info=task.exception())
        self._ended_because = f"client {self.name!r} is closed: {reason}"
        self._connection_changed.set()
        for subscription in self._subscriptions.values():
            subscription.end(self._ended_because)

    async def _connect_and_receive(self) -> None:
        give_up_at = asyncio.get_running_loop().time() + self._connect_timeout
        async with asyncio.timeout_at(give_up_at):
            reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self._ssl)
        connection = Connection(
            reader, writer, heartbeat=self._heartbeat, dead_after=self._dead_after, max_payload=self._max_payload
        )
        try:
            async with asyncio.timeout_at(give_up_at):
                await self._greet(connection)
            self._connected(connection)
            await race(connection.keep_alive(), self._receive(connection))
        finally:
            self._disconnected(connection)
            await connection.close()

    async def _greet(self, connection: Connection) -> None:
        await connection.send(Frame(Kind.HELLO, {"client": self.name}))
        answer = await connection.receive()
        if answer is None:
            raise ConnectionResetError("closed before the broker's welcome")
        if answer.kind is Kind.GOODBYE:
            raise Dismissed(answer["reason"], retry=answer["retry"])
        if answer.kind is not Kind.WELCOME:
            raise ProtocolError(f"the broker's first frame is {answer.kind}, and should be {Kind.WELCOME}")

    def _connected(self, connection: Connection) -> None:
        self._backoff.reset()
        # First of all, and without waiting for the answers: requests that have waited for this connection come after.
        for topic, subscription in self._subscriptions.items():
            if subscription.confirmed:
                connection.post(Frame(Kind.SUBSCRIBE, {"request": next(self._request_numbers), "topic": topic}))
        self._connection = connection
        self._connection_changed.set()

    def _disconnected(self, connection: Connection) -> None:
        if self._connection is connection:
            self._connection = None
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(None)

    async def _receive(self, connection: Connection) -> None:
        while (frame := await connection.receive()) is not None:
            match frame.kind:
                case Kind.PING:
                    pass
                case Kind.MESSAGE:
                    self._take(Message(frame["id"], frame["topic"], frame.payload, frame["redelivered"]), connection)
                case Kind.DONE | Kind.REFUSED:
                    answer = self._answers.get(frame["request"])
                    if answer is not None and not answer.done():  # else its deadline has passed
                        answer.set_result(frame)
                case Kind.GOODBYE:
                    raise Dismissed(frame["reason"], retry=frame["retry"])
                case _:
                    raise ProtocolError(f"a broker must not send {frame.kind}")

    def _take(self, message: Message, connection: Connection) -> None:
        if message.id in self._seen:
            if self._seen[message.id]:  # the acknowledgement got lost
                connection.post(Frame(Kind.ACK, {"id": message.id}))
            return
        subscription = self._subscriptions.get(message.topic)
        if subscription is None:  # the broker has done what it was asked to, but we had given up by then
            request = next(self._request_numbers)
            connection.post(Frame(Kind.UNSUBSCRIBE, {"request": request, "topic": message.topic}))
        # No room: forget it. Waiting here would make us deaf to the broker, which will send it again anyway.
        elif subscription.offer(message):
            self._seen[message.id] = False
            while len(self._seen) > self._remember:
                self._seen.popitem(last=False)
