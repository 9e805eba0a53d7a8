"""The broker: accepts clients, and passes on what they publish.

Each connection has one task that runs four things until the first of them ends: the heartbeat, the deliveries, the
publishing, and the reading. Reading never waits for anything but the peer: a client whose publishing is being slowed
down must still be heard, because the acknowledgement that makes room may come from that same client.
"""

import asyncio
import contextlib
import logging
from ssl import SSLContext
from typing import Self

from .connection import Connection, SlowPeer, race
from .framing import MAX_PAYLOAD, MAX_TEXT, Frame, Kind, ProtocolError, PubSubError
from .session import Session

logger = logging.getLogger(__name__)


class Broker:
    """Use it with `async with`, or call `start()` and `close()`.

    host, port: where to listen; port 0 picks a free one, `broker.port` says which
    heartbeat, dead_after: when to say that we are alive, and when to take a silent client for dead
    redeliver_after: when to send again what has not been acknowledged
    backlog: how many unacknowledged messages a subscriber may have before its publishers are slowed down
    slow_grace: for how long they put up with it, before the broker gives up the subscriber instead
    session_expiry: for how long the broker keeps the backlog of a client that is away
    waiting_publishes: how many requests to publish one client may have waiting
    close_timeout: for how long `close()` waits for outstanding acknowledgements
    ssl: the context of a broker that speaks TLS
    """

    def __init__(
        self,
        host: str,
        port: int = 0,
        *,
        heartbeat: float = 10.0,
        dead_after: float = 30.0,
        redeliver_after: float = 30.0,
        backlog: int = 100,
        slow_grace: float = 10.0,
        session_expiry: float = 3600.0,
        waiting_publishes: int = 64,
        max_payload: int = MAX_PAYLOAD,
        close_timeout: float = 5.0,
        ssl: SSLContext | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self.sessions: dict[str, Session] = {}
        self._heartbeat = heartbeat
        self._dead_after = dead_after
        self._redeliver_after = redeliver_after
        self._backlog = backlog
        self._slow_grace = slow_grace
        self._session_expiry = session_expiry
        self._waiting_publishes = waiting_publishes
        self._max_payload = max_payload
        self._close_timeout = close_timeout
        self._ssl = ssl
        self._server: asyncio.Server | None = None
        self._tasks: dict[Connection, asyncio.Task[None]] = {}
        self._publishes: dict[Connection, asyncio.Queue[Frame]] = {}
        self._expiries: dict[Session, asyncio.TimerHandle] = {}
        self._closing = False

    def __repr__(self) -> str:
        state = "closing" if self._closing else "listening" if self._server else "not started"
        counts = f"{len(self._tasks)} connections, {len(self.sessions)} sessions"
        return f"<Broker {self.host}:{self.port} {state}, {counts}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port, ssl=self._ssl)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Accept nothing new, wait a bounded time until what was accepted has arrived, and say goodbye to all."""
        if self._closing or self._server is None:
            return
        self._closing = True
        self._server.close()
        try:
            async with asyncio.timeout(self._close_timeout):
                for publishes in list(self._publishes.values()):
                    await publishes.join()
                for session in list(self.sessions.values()):
                    await session.settled()
        except TimeoutError:
            logger.warning("%r gives up what has not been acknowledged in %s s", self, self._close_timeout)
        finally:
            tasks = list(self._tasks.values())
            for connection in list(self._tasks):
                self._dismiss(connection, "the broker is shutting down", retry=True)
            await asyncio.gather(*tasks, return_exceptions=True)
            for session in list(self.sessions.values()):
                self._end(session)
            await self._server.wait_closed()

    # One connection

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(
            reader,
            writer,
            heartbeat=self._heartbeat,
            dead_after=self._dead_after,
            max_payload=self._max_payload,
        )
        if self._closing:  # accepted in the last moment
            connection.abort()
            return
        task = self._tasks[connection] = asyncio.create_task(self._serve(connection), name=f"serve {connection!r}")
        task.add_done_callback(lambda _: self._forget(connection))

    def _forget(self, connection: Connection) -> None:
        connection.abort()  # a task that was cancelled before it began has closed nothing
        del self._tasks[connection]

    async def _serve(self, connection: Connection) -> None:
        session = None
        publishes = self._publishes[connection] = asyncio.Queue(self._waiting_publishes)
        try:
            session = await self._greet(connection)
            await race(
                connection.keep_alive(),
                session.deliver(connection),
                self._publish(connection, publishes),
                self._receive(connection, session, publishes),
            )
        except ProtocolError as error:
            logger.warning("%r breaks the protocol: %s", connection, error)
            connection.post(goodbye(str(error), retry=True))
        except (OSError, PubSubError) as error:
            logger.info("%r is lost: %s", connection, error)
        finally:
            if session is not None and session.connection is connection:
                self._detach(session)
            del self._publishes[connection]
            while not publishes.empty():  # close() may be waiting for them in vain
                publishes.get_nowait()
                publishes.task_done()
            await connection.close()

    async def _greet(self, connection: Connection) -> Session:
        async with asyncio.timeout(self._dead_after):
            hello = await connection.receive()
        if hello is None:
            raise ConnectionResetError("closed before the first frame")
        if hello.kind is not Kind.HELLO:
            raise ProtocolError(f"the first frame is {hello.kind}, and should be {Kind.HELLO}")
        connection.post(Frame(Kind.WELCOME))
        return self._attach(hello["client"], connection)

    async def _receive(self, connection: Connection, session: Session, publishes: asyncio.Queue[Frame]) -> None:
        while (frame := await connection.receive()) is not None:
            match frame.kind:
                case Kind.PING:
                    pass  # that we have heard it is all that it is for
                case Kind.ACK:
                    session.acknowledge(frame["id"])
                case Kind.SUBSCRIBE:
                    session.subscribe(frame["topic"])
                    connection.post(done(frame))
                case Kind.UNSUBSCRIBE:
                    session.unsubscribe(frame["topic"])
                    connection.post(done(frame))
                case Kind.PUBLISH if self._closing:
                    connection.post(refused(frame, "the broker is shutting down"))
                case Kind.PUBLISH if publishes.full():
                    connection.post(refused(frame, f"{publishes.maxsize} requests to publish are waiting already"))
                case Kind.PUBLISH:
                    publishes.put_nowait(frame)
                case _:
                    raise ProtocolError(f"a client must not send {frame.kind}")

    async def _publish(self, connection: Connection, publishes: asyncio.Queue[Frame]) -> None:
        while True:
            frame = await publishes.get()
            try:
                await self._distribute(frame)
                connection.post(done(frame))
            finally:
                publishes.task_done()

    async def _distribute(self, frame: Frame) -> None:
        """Put a message into the backlog of each subscriber; one that has no room for too long is given up."""
        give_up_at = asyncio.get_running_loop().time() + self._slow_grace
        subscribers = [session for session in self.sessions.values() if frame["topic"] in session.topics]
        for session in sorted(subscribers, key=lambda session: session.is_full):  # who has room does not wait
            try:
                async with asyncio.timeout_at(give_up_at):
                    await session.offer(frame["id"], frame["topic"], frame.payload)
            except TimeoutError:
                logger.warning("%r had no room for %s s and is given up", session, self._slow_grace)
                self._give_up(session)

    def _dismiss(self, connection: Connection, reason: str, *, retry: bool) -> None:
        """Say goodbye and end the connection's task."""
        with contextlib.suppress(SlowPeer):  # who does not read will not miss it
            connection.post(goodbye(reason, retry=retry))
        self._tasks[connection].cancel()

    # Sessions

    def _attach(self, name: str, connection: Connection) -> Session:
        session = self.sessions.get(name)
        if session is None:
            session = self.sessions[name] = Session(name, limit=self._backlog, redeliver_after=self._redeliver_after)
        if session.connection is not None:  # the client has noticed before us that its connection is dead
            self._dismiss(session.connection, f"{name} has connected again from elsewhere", retry=False)
        if session in self._expiries:
            self._expiries.pop(session).cancel()
        session.attach(connection)
        return session

    def _detach(self, session: Session) -> None:
        session.detach()
        if session.topics:
            loop = asyncio.get_running_loop()
            self._expiries[session] = loop.call_later(self._session_expiry, self._end, session)
        else:
            self._end(session)

    def _give_up(self, session: Session) -> None:
        connection = session.connection
        self._end(session)
        if connection is not None:
            self._dismiss(connection, "this subscriber is too slow", retry=True)

    def _end(self, session: Session) -> None:
        session.connection = None
        session.end()
        if session in self._expiries:
            self._expiries.pop(session).cancel()
        if self.sessions.get(session.name) is session:
            del self.sessions[session.name]


def done(request: Frame) -> Frame:
    return Frame(Kind.DONE, {"request": request["request"]})


def refused(request: Frame, reason: str) -> Frame:
    return Frame(Kind.REFUSED, {"request": request["request"], "reason": reason})


def goodbye(reason: str, *, retry: bool) -> Frame:
    return Frame(Kind.GOODBYE, {"reason": reason[:MAX_TEXT], "retry": retry})
