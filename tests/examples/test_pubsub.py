"""The broker and the client of `pubsub`, tested in virtual time over virtual TCP.

Together these tests take about a month; on the wall, a second or two. Each is also a check for leaks: what a
test opens it closes, mostly by a cleanup that `PubSubTestCase` adds.
"""

import asyncio
import struct

from solipsism_unittest import SolipsistTestCase, exact

from .pubsub import (
    Backoff,
    Broker,
    Client,
    ClientClosed,
    Connection,
    DeadlineExceeded,
    DeadPeer,
    Frame,
    FrameDecoder,
    Kind,
    ProtocolError,
    RequestRefused,
    SlowPeer,
)

HOST, PORT = "broker.test", 7000
MINUTE, HOUR, DAY, WEEK = 60.0, 3600.0, 86_400.0, 604_800.0
NEVER = 10 * 365 * DAY  # for what should not play a part in a test
SELDOM = {"heartbeat": HOUR, "dead_after": NEVER}  # for days that are not about heartbeats


def hello(name):
    return Frame(Kind.HELLO, {"client": name})


def subscribe(topic):
    return Frame(Kind.SUBSCRIBE, {"request": 1, "topic": topic})


def publish(topic, payload=b"", *, id="m1", request=1):
    return Frame(Kind.PUBLISH, {"request": request, "id": id, "topic": topic}, payload)


def message(topic, payload=b"", *, id="m1"):
    return Frame(Kind.MESSAGE, {"id": id, "topic": topic, "redelivered": False}, payload)


def ack(id):
    return Frame(Kind.ACK, {"id": id})


def done(request):
    return Frame(Kind.DONE, {"request": request["request"]})


async def receive(peer):
    """The next frame that is more than a sign of life, or None at the end of the stream."""
    while (frame := await peer.receive()) is not None and frame.kind is Kind.PING:
        pass
    return frame


class PubSubTestCase(SolipsistTestCase):
    """Starts brokers and clients, and lets a test play one of the two by hand."""

    async def start_broker(self, **options):
        broker = Broker(HOST, PORT, **options)
        await broker.start()
        self.addAsyncCleanup(broker.close)
        return broker

    async def start_client(self, name, **options):
        """A client, which may not have connected yet."""
        client = Client(HOST, PORT, name=name, **options)
        client.start()
        self.addAsyncCleanup(client.close)
        return client

    async def play_client(self, name=None):
        """A connection to the broker that does only what the test says, after it has said hello as `name`."""
        peer = Connection(*await asyncio.open_connection(HOST, PORT))
        self.addAsyncCleanup(peer.close)
        if name is not None:
            await peer.send(hello(name))
            self.assertEqual((await receive(peer)).kind, Kind.WELCOME)
        return peer

    async def play_subscriber(self, name, topic):
        peer = await self.play_client(name)
        await peer.send(subscribe(topic))
        self.assertEqual((await receive(peer)).kind, Kind.DONE)
        return peer

    async def play_broker(self, server, *, welcome=True):
        """The next connection that a fake server gets, after it has welcomed the client."""
        reader, writer = await server.accept()
        peer = Connection(reader, writer)
        self.addAsyncCleanup(peer.close)
        if welcome:
            self.assertEqual((await receive(peer)).kind, Kind.HELLO)
            await peer.send(Frame(Kind.WELCOME))
        return peer

    async def start_dead_end(self):
        """A server that hangs up on everybody; returns the list of the times when somebody tried."""
        attempts = []

        async def hang_up(reader, writer):
            attempts.append(self.now)
            if len(attempts) % 2 == 0:
                await reader.read(1000)  # the client sees an orderly end; without this, a reset
            writer.close()

        await self.start_fake_server(hang_up, HOST, PORT)
        return attempts


class FramingTest(PubSubTestCase):
    async def test_frames_arrive_whole_through_the_smallest_buffers(self):
        """Frames cut into pieces of three bytes arrive as they were sent."""
        near, far = [Connection(*streams) for streams in await self.stream_pairs(capacity=3)]
        frames = [hello("a"), publish("news", b"\x00" * 500), Frame(Kind.PING)]
        sending = asyncio.gather(*(near.send(frame) for frame in frames))
        self.assertEqual([await far.receive() for _ in frames], frames)
        await sending

    async def test_frames_in_one_segment_are_told_apart(self):
        """Three frames that arrive as one read are three frames."""
        (_, writer), streams = await self.stream_pairs()
        frames = [subscribe("news"), publish("news", b"extra, extra"), ack("m1")]
        writer.write(b"".join(frame.encode() for frame in frames))
        peer = Connection(*streams)
        self.assertEqual([await peer.receive() for _ in frames], frames)

    async def test_too_large_a_frame_is_refused_before_it_arrives(self):
        """The announced sizes alone are enough for the broker to hang up with a reason."""
        await self.start_broker(max_payload=1000)
        for header, payload, complaint in (
            (20, 1001, "payload of 1001 bytes, at most 1000 are allowed"),
            (8193, 0, "header of 8193 bytes, at most 8192 are allowed"),
        ):
            with self.subTest(complaint):
                reader, writer = await asyncio.open_connection(HOST, PORT)
                self.addCleanup(writer.close)
                writer.write(struct.pack("!HI", header, payload))
                decoder = FrameDecoder()
                decoder.feed(await self.assertCompletesWithin(reader.read(), 0))
                self.assertEqual(decoder.next_frame()["reason"], complaint)

    async def test_publishing_too_much_is_the_callers_error(self):
        """A payload above the limit is refused before there is a connection, and one below it is not."""
        client = await self.start_client("a", max_payload=1000)
        with self.assertElapses(0), self.assertRaisesRegex(ProtocolError, "payload of 1001 bytes"):
            await client.publish("news", bytes(1001))
        await self.start_broker()
        await client.publish("news", bytes(1000))

    async def test_stream_that_ends_inside_a_frame_is_an_error(self):
        """An end of the stream is only orderly between two frames."""
        (_, writer), streams = await self.stream_pairs()
        writer.write(hello("a").encode()[:-1])
        writer.close()
        with self.assertRaisesRegex(ProtocolError, "the stream ended after 37 bytes of an unfinished frame"):
            await Connection(*streams).receive()

    async def test_nonsense_in_a_header_is_named(self):
        """Each thing that can be wrong with a header gets its own protocol error."""
        for header, complaint in {
            b"\xff": "is not JSON",
            b"[" * 5000: "is not JSON",
            b"[]": "is not a JSON object",
            b'{"kind": "shout"}': "unknown kind of frame 'shout'",
            b'{"kind": "hello"}': "hello frame with client=None",
            b'{"kind": "done", "request": true}': "done frame with request=True",
        }.items():
            with self.subTest(complaint), self.assertRaisesRegex(ProtocolError, complaint):
                decoder = FrameDecoder()
                decoder.feed(struct.pack("!HI", len(header), 0) + header)
                decoder.next_frame()

    async def test_first_frame_has_to_be_hello(self):
        """Who does not introduce himself is sent away with a reason."""
        await self.start_broker()
        peer = await self.play_client()
        await peer.send(publish("news"))
        self.assertEqual((await receive(peer))["reason"], "the first frame is publish, and should be hello")
        self.assertIsNone(await receive(peer))

    async def test_client_must_not_talk_like_a_broker(self):
        """A frame that only a broker may send ends the connection with a reason."""
        await self.start_broker()
        peer = await self.play_client("a")
        await peer.send(message("news"))
        self.assertEqual((await receive(peer))["reason"], "a client must not send message")

    async def test_broker_must_not_talk_like_a_client(self):
        """A client leaves a broker that welcomes it strangely, or sends what only a client may send."""
        server = await self.start_fake_server(None, HOST, PORT)
        await self.start_client("a")
        for welcome in (False, True):
            with self.subTest(welcome=welcome):
                peer = await self.play_broker(server, welcome=welcome)
                await peer.send(hello("I am a client myself"))
                while await self.assertCompletesWithin(peer.receive(), 0) is not None:
                    pass  # the client's own hello

    async def test_visitor_who_leaves_without_a_word_does_no_harm(self):
        """A connection that is closed before the first frame leaves nothing behind at the broker, not even a log."""
        broker = await self.start_broker()
        with self.assertNoLogs(level="WARNING"):
            peer = await self.play_client()
            await peer.close()
            await self.settle()
        self.assertEqual(repr(broker), "<Broker broker.test:7000 listening, 0 connections, 0 sessions>")


class HeartbeatTest(PubSubTestCase):
    async def test_idle_client_sends_a_heartbeat_each_interval(self):
        """Heartbeats of an idle client arrive at exact multiples of the interval."""
        server = await self.start_fake_server(None, HOST, PORT)
        await self.start_client("a", heartbeat=10.0, dead_after=NEVER)
        peer = await self.play_broker(server)
        for _ in range(3):
            ping = await self.assertCompletesAfter(peer.receive(), 10.0)
            self.assertEqual(ping.kind, Kind.PING)

    async def test_traffic_takes_the_place_of_heartbeats(self):
        """Whoever has had something to say at 6 s says nothing more until 16 s."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a", heartbeat=10.0, dead_after=NEVER)
        peer = await self.play_broker(server)
        await self.advance(6.0)
        publishing = asyncio.create_task(client.publish("news", b""))
        await peer.send(done(await peer.receive()))
        await publishing
        self.assertEqual((await self.assertCompletesWithin(peer.receive(), 10.0)).kind, Kind.PING)
        self.assertNow(16.0)

    async def test_idle_pair_stays_connected_for_a_week(self):
        """Heartbeats alone keep one and the same connection up for a week."""
        broker = await self.start_broker(heartbeat=10 * MINUTE, dead_after=HOUR)
        client = await self.start_client("a", heartbeat=10 * MINUTE, dead_after=HOUR)
        await client.wait_connected()
        connection = broker.sessions["a"].connection
        await self.advance(WEEK)
        self.assertTrue(client.is_connected)
        self.assertIs(broker.sessions["a"].connection, connection)

    async def test_broker_drops_a_client_that_falls_silent(self):
        """A silent client is dropped when exactly `dead_after` seconds have passed since its last byte."""
        broker = await self.start_broker(heartbeat=10.0, dead_after=30.0)
        peer = await self.play_client("a")
        await self.advance(20.0)
        await peer.send(Frame(Kind.PING))
        self.assertIsNone(await self.assertCompletesAfter(receive(peer), 30.0))
        await self.settle()
        self.assertEqual(broker.sessions, {})

    async def test_broker_drops_a_connection_that_never_says_hello(self):
        """The time that a connection has for its first frame is limited as well."""
        await self.start_broker(dead_after=30.0)
        peer = await self.play_client()
        self.assertIsNone(await self.assertCompletesAfter(receive(peer), 30.0))

    async def test_client_leaves_a_broker_that_falls_silent(self):
        """A client hangs up on a silent broker after exactly `dead_after` seconds and connects again."""
        server = await self.start_fake_server(None, HOST, PORT)
        await self.start_client("a", dead_after=30.0, backoff=Backoff(first=1.0, jitter=0.0))
        peer = await self.play_broker(server)
        self.assertIsNone(await self.assertCompletesAfter(receive(peer), 30.0))
        await self.play_broker(server)
        self.assertNow(31.0)

    async def test_each_byte_of_a_slow_frame_is_a_sign_of_life(self):
        """A frame that takes half an hour, one byte every 20 s, is received, and not taken for silence."""
        broker = await self.start_broker(dead_after=30.0)
        _, writer = await asyncio.open_connection(HOST, PORT)
        self.addCleanup(writer.close)
        writer.write(hello("a").encode())
        with self.assertElapses(20.0 * len(subscribe("news").encode())):
            for byte in subscribe("news").encode():
                await self.advance(20.0)
                writer.write(bytes([byte]))
        await self.settle()
        self.assertEqual([session.topics for session in broker.sessions.values()], [{"news"}])


class ReconnectTest(PubSubTestCase):
    @exact
    async def test_delays_double_up_to_the_cap(self):
        """Without jitter the attempts come after 1, 2, 4, 8, 8, 8 ... seconds."""
        attempts = await self.start_dead_end()
        await self.start_client("a", backoff=Backoff(first=1.0, cap=8.0, jitter=0.0))
        await self.advance(40.0)
        self.assertEqual(attempts, [0.0, 1.0, 3.0, 7.0, 15.0, 23.0, 31.0, 39.0])

    @exact
    async def test_jitter_keeps_clients_apart(self):
        """Of twenty clients that lose the broker together no two come back at the same time, nor too late."""
        attempts = await self.start_dead_end()
        for number in range(20):
            await self.start_client(f"c{number}", backoff=Backoff(first=10.0, cap=10.0, jitter=0.5))
        await self.advance(10.0)
        first, second = attempts[:20], attempts[20:40]
        self.assertEqual(first, [0.0] * 20)
        self.assertEqual(len(set(second)), 20)
        self.assertTrue(all(5.0 <= when <= 10.0 for when in second), second)

    @exact
    async def test_success_resets_the_backoff(self):
        """After a connection that worked, the next outage begins with the shortest delay again."""
        broker = await self.start_broker()
        client = await self.start_client("a", backoff=Backoff(first=1.0, cap=NEVER, jitter=0.0))
        await client.wait_connected()
        await broker.close()
        await self.advance(14.0)  # attempts at 1, 3, 7; the next would be at 15
        broker = await self.start_broker()
        await client.wait_connected()
        self.assertNow(15.0)
        await broker.close()
        await self.start_broker()
        with self.assertElapses(1.0):
            await client.wait_connected()

    async def test_client_comes_back_after_three_days(self):
        """After an outage of three days and thousands of attempts a client is back within one capped delay."""
        broker = await self.start_broker()
        client = await self.start_client("a", backoff=Backoff(first=1.0, cap=100.0))
        await client.wait_connected()
        await broker.close()
        await self.advance(3 * DAY)
        self.assertFalse(client.is_connected)
        await self.start_broker()
        await self.assertCompletesWithin(client.wait_connected(), 100.0)

    async def test_subscriptions_survive_a_restart_of_the_broker(self):
        """A new broker, which knows nothing, is told about the subscriptions of a client that reconnects."""
        broker = await self.start_broker()
        client = await self.start_client("a")
        news = await client.subscribe("news")
        await broker.close()
        await self.start_broker()
        await self.assertCompletesWithin(client.wait_connected(), MINUTE)
        await client.publish("news", b"we are back")
        self.assertEqual((await self.assertCompletesWithin(news.get(), 0)).payload, b"we are back")

    async def test_broker_without_a_welcome_is_given_up(self):
        """An attempt to connect ends after `connect_timeout` when the broker accepts and says nothing."""
        server = await self.start_fake_server(None, HOST, PORT)
        await self.start_client("a", connect_timeout=10.0)
        peer = await self.play_broker(server, welcome=False)
        await receive(peer)  # hello
        self.assertIsNone(await self.assertCompletesAfter(receive(peer), 10.0))

    async def test_second_client_of_a_name_replaces_the_first_for_good(self):
        """The older of two clients of one name ends, so that the two do not drive each other out for ever."""
        await self.start_broker(**SELDOM)
        older = await self.start_client("a", **SELDOM)
        news = await older.subscribe("news")
        newer = await self.start_client("a", **SELDOM)
        await newer.wait_connected()
        with self.assertRaisesRegex(ClientClosed, "'a' is closed: a has connected again from elsewhere"):
            await self.assertCompletesWithin(news.get(), 0)
        with self.assertRaises(ClientClosed):
            await older.publish("news", b"")
        await self.advance(DAY)
        self.assertTrue(newer.is_connected)

    async def test_client_that_is_not_welcome_stays_away(self):
        """A goodbye for good in the place of a welcome ends the client."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a")
        peer = await self.play_broker(server, welcome=False)
        await peer.send(Frame(Kind.GOODBYE, {"reason": "members only", "retry": False}))
        with self.assertRaisesRegex(ClientClosed, "members only"):
            await self.assertCompletesWithin(client.wait_connected(), 0)


class DeadlineTest(PubSubTestCase):
    async def test_publishing_without_a_broker_ends_at_the_deadline(self):
        """A request that finds no broker fails with a TimeoutError at exactly its deadline."""
        client = await self.start_client("a")
        with self.assertElapses(90.0), self.assertRaisesRegex(DeadlineExceeded, "publish 'news' had no answer in 90"):
            await self.assertCompletesWithin(client.publish("news", b"", deadline=90.0), 90.0)
        self.assertTrue(issubclass(DeadlineExceeded, TimeoutError))

    async def test_request_without_an_answer_ends_at_the_deadline(self):
        """A broker that is alive but never answers does not hold a request for longer than its deadline."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a", deadline=5.0)
        await self.play_broker(server)
        with self.assertElapses(5.0), self.assertRaises(DeadlineExceeded):
            await self.assertCompletesWithin(client.subscribe("news"), 5.0)

    async def test_deadline_covers_all_attempts(self):
        """A request that fails on one connection after the other does not get its time anew on each."""

        async def welcome_and_hang_up(reader, writer):
            peer = Connection(reader, writer)
            await peer.receive()
            await peer.send(Frame(Kind.WELCOME))
            await asyncio.sleep(3.0)
            await peer.close()

        await self.start_fake_server(welcome_and_hang_up, HOST, PORT)
        client = await self.start_client("a")
        with self.assertElapses(10.0), self.assertRaises(DeadlineExceeded):
            await self.assertCompletesWithin(client.publish("news", b"", deadline=10.0), 10.0)

    async def test_answer_after_the_deadline_is_ignored(self):
        """An answer that nobody waits for any more does no harm to the next request."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a")
        peer = await self.play_broker(server)
        with self.assertRaises(DeadlineExceeded):
            await client.publish("news", b"one", deadline=5.0)
        await peer.send(done(await receive(peer)))
        publishing = asyncio.create_task(client.publish("news", b"two"))
        await peer.send(done(await receive(peer)))
        await self.assertCompletesWithin(publishing, 0)

    async def test_late_subscription_is_cancelled_at_the_broker(self):
        """A message of a topic whose subscription was given up makes the client unsubscribe."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a")
        peer = await self.play_broker(server)
        with self.assertRaises(DeadlineExceeded):
            await client.subscribe("news", deadline=5.0)
        await receive(peer)  # the request, too late
        await peer.send(message("news"))
        answer = await self.assertCompletesWithin(receive(peer), 0)
        self.assertEqual((answer.kind, answer["topic"]), (Kind.UNSUBSCRIBE, "news"))

    async def test_patient_request_outlives_an_outage(self):
        """With a deadline of three days a message waits for a broker that is away for two."""
        client = await self.start_client("a", backoff=Backoff(cap=5 * MINUTE))
        publishing = asyncio.create_task(client.publish("news", b"still true", deadline=3 * DAY))
        await self.advance(2 * DAY)
        await self.start_broker()
        await self.assertCompletesWithin(publishing, 5 * MINUTE)

    async def test_repeated_request_keeps_the_messages_id(self):
        """When the connection breaks before the answer, the same message goes out again on the next one."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a")
        peer = await self.play_broker(server)
        publishing = asyncio.create_task(client.publish("news", b"once"))
        first = await receive(peer)
        server.reset_connections()
        peer = await self.play_broker(server)
        second = await receive(peer)
        self.assertEqual(second, first)
        await peer.send(done(second))
        self.assertEqual(await publishing, first["id"])


class BackPressureTest(PubSubTestCase):
    async def test_full_backlog_slows_the_publisher_down(self):
        """The third message for a subscriber with room for two waits until it has acknowledged the first."""
        await self.start_broker(backlog=2, slow_grace=NEVER, dead_after=NEVER)
        client = await self.start_client("a", deadline=NEVER, dead_after=NEVER)
        subscriber = await self.play_subscriber("slow", "news")
        id = await client.publish("news", b"1")
        await client.publish("news", b"2")
        publishing = asyncio.create_task(client.publish("news", b"3"))
        await self.assertBlocks(asyncio.shield(publishing), HOUR)
        await subscriber.send(ack(id))
        await self.assertCompletesWithin(publishing, 0)

    async def test_slow_subscriber_is_given_up_after_the_grace(self):
        """A subscriber that makes no room for the whole grace is sent away, and the publisher goes on."""
        await self.start_broker(backlog=2, slow_grace=10.0)
        client = await self.start_client("a")
        subscriber = await self.play_subscriber("slow", "news")
        for payload in (b"1", b"2"):
            await client.publish("news", payload)
            self.assertEqual((await receive(subscriber)).payload, payload)
        await self.assertCompletesAfter(client.publish("news", b"3"), 10.0)
        self.assertEqual((await receive(subscriber))["reason"], "this subscriber is too slow")
        self.assertIsNone(await receive(subscriber))

    async def test_all_publishers_are_let_go_together(self):
        """When one publisher's patience with a slow subscriber ends, the others need not wait for the end of theirs."""
        await self.start_broker(backlog=1, slow_grace=10.0)
        first, *others = [await self.start_client(name) for name in ("a", "b", "c")]
        await self.play_subscriber("slow", "news")
        await first.publish("news", b"")
        publishing = asyncio.create_task(first.publish("news", b""))
        await self.advance(9.0)
        await self.assertCompletesAfter(asyncio.gather(*(other.publish("news", b"") for other in others)), 1.0)
        await publishing

    async def test_others_do_not_wait_for_a_slow_subscriber(self):
        """While one subscriber holds up the publisher, another gets the same message at once."""
        await self.start_broker(backlog=1, slow_grace=10.0)
        client = await self.start_client("a")
        await self.play_subscriber("slow", "news")
        quick = await self.play_subscriber("quick", "news")
        await quick.send(ack(await client.publish("news", b"1")))
        await receive(quick)
        await self.settle()  # the broker has the acknowledgement, and room for the next one
        publishing = asyncio.create_task(client.publish("news", b"2"))
        self.assertEqual((await self.assertCompletesWithin(receive(quick), 0)).payload, b"2")
        await self.assertCompletesAfter(publishing, 10.0)

    async def test_client_that_feeds_itself_cannot_lock_itself_out(self):
        """The broker hears the acknowledgement of a client whose own publishing waits for that room."""
        await self.start_broker(backlog=1, slow_grace=NEVER)
        client = await self.start_client("a")
        echo = await client.subscribe("echo")
        await client.publish("echo", b"1")
        publishing = asyncio.create_task(client.publish("echo", b"2"))
        await self.settle()
        self.assertFalse(publishing.done())
        client.ack(await echo.get())
        await self.assertCompletesWithin(publishing, 0)
        client.ack(await echo.get())

    async def test_waiting_publishes_of_one_client_are_limited(self):
        """A client that goes on publishing although it is being slowed down is refused."""
        await self.start_broker(backlog=1, slow_grace=20.0, waiting_publishes=2)
        client = await self.start_client("a")
        await self.play_subscriber("slow", "news")
        await client.publish("news", b"")
        waiting = []
        for _ in range(3):  # one is being worked on, two are waiting
            waiting.append(asyncio.create_task(client.publish("news", b"")))
            await self.settle()
        with self.assertRaisesRegex(RequestRefused, "2 requests to publish are waiting already"):
            await client.publish("news", b"")
        await self.assertCompletesAfter(asyncio.gather(*waiting), 20.0)

    async def test_sender_waits_for_a_peer_that_does_not_read(self):
        """Sending fills the peer's buffer and waits, for days if need be, until the peer reads."""
        near, far = self.socketpair(capacity=4096)
        peer = Connection(*await asyncio.open_connection(sock=near))
        frame = message("news", bytes(100_000))
        sending = asyncio.create_task(peer.send(frame))
        await self.assertBlocks(asyncio.shield(sending), WEEK)
        self.assertBuffered(far, 4096)
        self.assertBufferFull(near)
        reading_peer = Connection(*await asyncio.open_connection(sock=far))
        self.assertEqual(await reading_peer.receive(), frame)
        await self.assertCompletesWithin(sending, 0)
        await peer.close()
        await reading_peer.close()

    async def test_heartbeats_do_not_pile_up(self):
        """A peer that does not read gets no more heartbeats than fit, and is dead in time all the same."""
        near, _ = self.socketpair(capacity=10)
        reader, writer = await asyncio.open_connection(sock=near)
        peer = Connection(reader, writer, heartbeat=1.0, dead_after=HOUR)
        watching = asyncio.create_task(peer.keep_alive())
        await self.advance(10.0)
        unsent = writer.transport.get_write_buffer_size()
        await self.advance(HOUR - 11.0)
        self.assertEqual(writer.transport.get_write_buffer_size(), unsent)
        with self.assertRaisesRegex(DeadPeer, r"has been silent for 36\d\d\.\d{3} s"):
            await self.assertCompletesAfter(watching, 1.0)

    async def test_closing_does_not_wait_for_a_peer_that_does_not_read(self):
        """A connection with something unsent is closed after `close_timeout` seconds, whatever is unsent."""
        near, far = self.socketpair(capacity=10)
        peer = Connection(*await asyncio.open_connection(sock=near), close_timeout=2.0)
        peer.post(message("news"))
        await self.assertCompletesAfter(peer.close(), 2.0)
        reader, writer = await asyncio.open_connection(sock=far)
        self.addCleanup(writer.close)
        self.assertEqual(len(await reader.read()), 10)

    async def test_posting_to_a_peer_that_does_not_read_is_limited(self):
        """Even frames that are sent without waiting cannot pile up for ever."""
        near, _ = self.socketpair(capacity=4096)
        peer = Connection(*await asyncio.open_connection(sock=near), max_payload=10_000)
        with self.assertRaisesRegex(SlowPeer, "has not read 2.... bytes"):
            for _ in range(1000):
                peer.post(ack("m" * 200))
        peer.abort()


class DeliveryTest(PubSubTestCase):
    async def test_unacknowledged_message_comes_again_each_hour(self):
        """A message is sent again after exactly `redeliver_after`, marked as such, until it is acknowledged."""
        await self.start_broker(redeliver_after=HOUR, **SELDOM)
        client = await self.start_client("a", **SELDOM)
        subscriber = await self.play_subscriber("s", "news")
        id = await client.publish("news", b"hello")
        copies = [await self.assertCompletesAfter(receive(subscriber), seconds) for seconds in (0, HOUR, HOUR)]
        self.assertEqual([copy["redelivered"] for copy in copies], [False, True, True])
        self.assertEqual({(copy["id"], copy.payload) for copy in copies}, {(id, b"hello")})

    async def test_acknowledged_message_never_comes_again(self):
        """A week after the acknowledgement the message has not been repeated."""
        await self.start_broker(redeliver_after=HOUR, **SELDOM)
        client = await self.start_client("a", **SELDOM)
        subscriber = await self.play_subscriber("s", "news")
        await subscriber.send(ack(await client.publish("news", b"hello")))
        await receive(subscriber)
        await self.assertBlocks(receive(subscriber), WEEK)

    async def test_unacknowledged_message_comes_again_after_a_reconnect(self):
        """A subscriber that comes back gets at once what it had not acknowledged, as soon as it subscribes."""
        await self.start_broker(redeliver_after=NEVER)
        client = await self.start_client("a")
        subscriber = await self.play_subscriber("s", "news")
        await client.publish("news", b"hello")
        await receive(subscriber)
        for leave in (subscriber.close, self.settle):  # the second time the old connection seems to be alive
            await leave()
            subscriber = await self.play_subscriber("s", "news")
            copy = await self.assertCompletesWithin(receive(subscriber), 0)
            self.assertEqual((copy.payload, copy["redelivered"]), (b"hello", True))

    async def test_application_sees_a_repeated_message_once(self):
        """Copies are not handed on; one that comes after the acknowledgement is acknowledged again."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a")
        peer = await self.play_broker(server)
        subscribing = asyncio.create_task(client.subscribe("news"))
        await peer.send(done(await receive(peer)))
        news = await subscribing
        for _ in range(3):
            await peer.send(message("news", b"hello"))
        first = await news.get()
        await self.assertBlocks(news.get(), 20.0)
        client.ack(first)
        self.assertEqual(await receive(peer), ack("m1"))
        await peer.send(message("news", b"hello"))
        self.assertEqual(await self.assertCompletesWithin(receive(peer), 0), ack("m1"))
        await self.assertBlocks(news.get(), 20.0)

    async def test_acknowledgement_during_an_outage_is_made_up_for(self):
        """What the application acknowledges while disconnected is acknowledged when the broker repeats it."""
        broker = await self.start_broker(redeliver_after=NEVER)
        client = await self.start_client("a")
        news = await client.subscribe("news")
        await client.publish("news", b"hello")
        first = await news.get()
        broker.sessions["a"].connection.abort()
        await self.settle()
        client.ack(first)
        self.assertEqual(repr(broker.sessions["a"]), "<Session 'a' away, 1 of 100 unacknowledged>")
        await client.wait_connected()
        await self.settle()
        self.assertEqual(repr(broker.sessions["a"]), "<Session 'a' connected, 0 of 100 unacknowledged>")

    async def test_message_that_finds_no_room_comes_again(self):
        """The client forgets what the application is too slow for, and gets it with the next redelivery."""
        await self.start_broker(redeliver_after=HOUR)
        client = await self.start_client("a", prefetch=1)
        news = await client.subscribe("news")
        for payload in (b"1", b"2"):
            await client.publish("news", payload)
        await self.settle()
        first = await news.get()
        client.ack(first)
        second = await self.assertCompletesAfter(news.get(), HOUR)
        client.ack(second)
        self.assertEqual((first.payload, second.payload), (b"1", b"2"))

    async def test_backlog_waits_for_an_absent_subscriber(self):
        """What is published while a subscriber is away for half a day it gets in order when it returns."""
        await self.start_broker(session_expiry=DAY, **SELDOM)
        client = await self.start_client("a", **SELDOM)
        subscriber = await self.play_subscriber("s", "news")
        await subscriber.close()
        for number in range(12):
            await self.advance(HOUR)
            await client.publish("news", b"%d" % number)
        subscriber = await self.play_subscriber("s", "news")
        payloads = [(await self.assertCompletesWithin(receive(subscriber), 0)).payload for _ in range(12)]
        self.assertEqual(payloads, [b"%d" % number for number in range(12)])

    async def test_absent_subscriber_is_forgotten_after_a_day(self):
        """A session ends exactly `session_expiry` after its connection has gone."""
        broker = await self.start_broker(session_expiry=DAY)
        subscriber = await self.play_subscriber("s", "news")
        await subscriber.close()
        await self.settle()
        await self.advance(DAY - 0.001)
        self.assertIn("s", broker.sessions)
        await self.advance(0.001)
        self.assertNotIn("s", broker.sessions)

    async def test_message_published_twice_is_queued_once(self):
        """A publisher that repeats itself after a broken connection does not fill backlogs with copies."""
        await self.start_broker()
        subscriber = await self.play_subscriber("s", "news")
        publisher = await self.play_client("p")
        for _ in range(2):
            await publisher.send(publish("news", b"hello"))
            self.assertEqual((await receive(publisher)).kind, Kind.DONE)
        await receive(subscriber)
        await self.assertBlocks(receive(subscriber), 20.0)

    async def test_unsubscribing_gives_up_the_backlog(self):
        """Messages of a topic that the subscriber has left do not come back when it returns to the topic."""
        await self.start_broker(**SELDOM)
        client = await self.start_client("a", **SELDOM)
        subscriber = await self.play_subscriber("s", "news")
        await client.publish("news", b"old")
        await receive(subscriber)
        await subscriber.send(Frame(Kind.UNSUBSCRIBE, {"request": 2, "topic": "news"}))
        await subscriber.send(subscribe("news"))
        self.assertEqual([(await receive(subscriber)).kind for _ in range(2)], [Kind.DONE, Kind.DONE])
        await self.assertBlocks(receive(subscriber), DAY)

    async def test_unsubscribing_ends_the_subscription(self):
        """What had arrived can still be had, and after it comes the end."""
        await self.start_broker()
        client = await self.start_client("a")
        news = await client.subscribe("news")
        await client.publish("news", b"old")
        await self.settle()
        await client.unsubscribe(news)
        self.assertEqual((await news.get()).payload, b"old")
        with self.assertRaisesRegex(ClientClosed, "unsubscribed from 'news'"):
            await news.get()

    async def test_memory_of_the_client_is_bounded(self):
        """A client remembers the last `remember` messages, and takes an older one for a new one."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a", remember=2)
        peer = await self.play_broker(server)
        subscribing = asyncio.create_task(client.subscribe("news"))
        await peer.send(done(await receive(peer)))
        news = await subscribing
        for id in ("m1", "m2", "m2", "m3", "m1"):
            await peer.send(message("news", id=id))
        received = [(await self.assertCompletesWithin(news.get(), 0)).id for _ in range(4)]
        self.assertEqual(received, ["m1", "m2", "m3", "m1"])

    async def test_second_subscription_to_a_topic_is_an_error(self):
        """A client has one subscription to a topic at a time."""
        await self.start_broker()
        client = await self.start_client("a")
        await client.subscribe("news")
        with self.assertRaisesRegex(ValueError, "has subscribed to 'news' already"):
            await client.subscribe("news")

    async def test_nothing_is_lost_or_doubled_by_broken_connections(self):
        """Of a hundred messages, over a connection that breaks at every fifth, each arrives exactly once."""
        broker = await self.start_broker()
        client = await self.start_client("a")
        publisher = await self.start_client("p")
        news = await client.subscribe("news")
        sent = [asyncio.create_task(publisher.publish("news", b"%d" % number)) for number in range(50)]
        received = []
        for number in range(100):
            if number == 50:
                sent += [asyncio.create_task(publisher.publish("news", b"%d" % number)) for number in range(50, 100)]
            newest = await self.assertCompletesWithin(news.get(), 5 * MINUTE)
            received.append(int(newest.payload))
            connection = broker.sessions["a"].connection  # None where the broker knows of the break before the client
            if number % 5 == 0 and client.is_connected and connection is not None:
                connection.abort()
            client.ack(newest)
        await asyncio.gather(*sent)
        self.assertEqual(sorted(received), list(range(100)))
        await self.assertBlocks(news.get(), HOUR)


class ShutdownTest(PubSubTestCase):
    async def test_closing_broker_waits_for_acknowledgements(self):
        """A broker that closes goes as soon as the last message has been acknowledged."""
        broker = await self.start_broker(close_timeout=MINUTE)
        client = await self.start_client("a")
        news = await client.subscribe("news")
        await client.publish("news", b"last words")
        closing = asyncio.create_task(broker.close())
        await self.advance(20.0)
        self.assertFalse(closing.done())
        client.ack(await news.get())
        await self.assertCompletesWithin(closing, 0)

    async def test_closing_broker_does_not_wait_for_ever(self):
        """Without the acknowledgement it goes after exactly `close_timeout`."""
        broker = await self.start_broker(close_timeout=20.0)
        client = await self.start_client("a")
        subscriber = await self.play_subscriber("s", "news")
        await client.publish("news", b"last words")
        with self.assertLogs("tests.examples.pubsub", "WARNING"):
            await self.assertCompletesAfter(broker.close(), 20.0)
        self.assertEqual((await receive(subscriber)).payload, b"last words")
        self.assertEqual((await receive(subscriber)).kind, Kind.GOODBYE)

    async def test_closing_broker_says_goodbye_and_accepts_nobody(self):
        """Clients are told why, and that they may come back; new connections are refused."""
        broker = await self.start_broker()
        peer = await self.play_client("a")
        await broker.close()
        goodbye = await receive(peer)
        self.assertEqual((goodbye["reason"], goodbye["retry"]), ("the broker is shutting down", True))
        self.assertIsNone(await receive(peer))
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, PORT)

    async def test_closing_broker_accepts_no_new_messages(self):
        """While it waits for acknowledgements it refuses to take on more."""
        broker = await self.start_broker(close_timeout=20.0)
        client = await self.start_client("a")
        await self.play_subscriber("s", "news")
        await client.publish("news", b"last words")
        closing = asyncio.create_task(broker.close())
        await self.settle()
        with self.assertRaisesRegex(RequestRefused, "the broker is shutting down"):
            await client.publish("news", b"one more thing")
        await closing

    async def test_closing_broker_finishes_what_is_waiting(self):
        """Messages that were waiting for room when the broker began to close are still delivered."""
        broker = await self.start_broker(backlog=1, close_timeout=MINUTE)
        client = await self.start_client("a")
        news = await client.subscribe("news")
        publishing = asyncio.gather(*(client.publish("news", b"%d" % number) for number in range(3)))
        await self.settle()
        closing = asyncio.create_task(broker.close())
        for number in range(3):
            newest = await self.assertCompletesWithin(news.get(), 0)
            self.assertEqual(newest.payload, b"%d" % number)
            client.ack(newest)
        await self.assertCompletesWithin(publishing, 0)
        await self.assertCompletesWithin(closing, 0)

    async def test_closing_broker_does_not_wait_for_who_has_gone(self):
        """Neither a publisher nor a subscriber that breaks down holds up a broker that closes."""
        broker = await self.start_broker(backlog=1, slow_grace=NEVER, close_timeout=MINUTE)
        subscriber = await self.play_subscriber("s", "news")
        publisher = await self.play_client("p")
        for number in range(4):
            await publisher.send(publish("news", id=f"m{number}"))
        await self.settle()
        closing = asyncio.create_task(broker.close())
        await self.settle()
        await publisher.close()
        await self.settle()
        self.assertFalse(closing.done())
        await subscriber.close()
        await self.assertCompletesWithin(closing, 0)

    async def test_leaving_the_blocks_closes_both(self):
        """As context managers broker and client start and close themselves, on any port that is free."""
        async with Broker(HOST) as broker, Client(HOST, broker.port, name="a") as client:
            await client.publish("news", b"")
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, broker.port)
        self.assertEqual(repr(client), f"<Client 'a' of {HOST}:{broker.port} closed, 0 subscriptions>")

    async def test_closed_client_refuses_requests(self):
        """While and after a client closes, each new request fails at once."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a", close_timeout=5.0)
        peer = await self.play_broker(server)
        subscribing = asyncio.create_task(client.subscribe("news"))
        await peer.send(done(await receive(peer)))
        await subscribing
        closing = asyncio.create_task(client.close())
        await self.settle()
        for is_closed in (False, True):
            with self.subTest(is_closed=is_closed), self.assertElapses(0):
                for request in (client.publish("news", b""), client.subscribe("weather")):
                    with self.assertRaises(ClientClosed):
                        await request
            await closing
        with self.assertRaises(ClientClosed):
            await client.wait_connected()

    async def test_closing_client_unsubscribes(self):
        """A client that closes leaves nothing at the broker, unlike one that breaks down."""
        broker = await self.start_broker()
        client = await self.start_client("a")
        for topic in ("news", "weather"):
            await client.subscribe(topic)
        await client.close()
        await self.settle()
        self.assertEqual(broker.sessions, {})

    async def test_closing_client_does_not_wait_for_ever(self):
        """A broker that does not answer holds up a client that closes for `close_timeout` and no longer."""
        server = await self.start_fake_server(None, HOST, PORT)
        client = await self.start_client("a", close_timeout=5.0)
        peer = await self.play_broker(server)
        subscribing = asyncio.create_task(client.subscribe("news"))
        await peer.send(done(await receive(peer)))
        await subscribing
        await self.assertCompletesAfter(client.close(), 5.0)
        self.assertEqual((await receive(peer)).kind, Kind.UNSUBSCRIBE)
        self.assertIsNone(await receive(peer))

    async def test_closing_client_without_a_broker_takes_no_time(self):
        """During an outage there is nobody to say goodbye to."""
        client = await self.start_client("a")
        await self.advance(HOUR)
        await self.assertCompletesWithin(client.close(), 0)

    async def test_closing_client_ends_iterations_and_requests(self):
        """Whoever waits for a message or an answer when the client closes is let go."""
        broker = await self.start_broker()
        client = await self.start_client("a")
        news = await client.subscribe("news")
        await broker.close()

        async def payloads():
            return [item.payload async for item in news]

        reading = asyncio.create_task(payloads())
        publishing = asyncio.create_task(client.publish("news", b""))
        await self.settle()
        await client.close()
        self.assertEqual(await self.assertCompletesWithin(reading, 0), [])
        with self.assertRaisesRegex(ClientClosed, "'a' is closed: by its owner"):
            await publishing
