"""A test of the tests: each feature of `pubsub` is broken on purpose, and the suite has to notice.

A defect is an edit of the program's source. Program and suite are imported anew with that edit, as modules of their
own, and then the test that is meant for the defect is run, and only that one, to save time: when it fails, the suite
fails. That it is the defect that makes it fail is shown by the control, the whole suite without an edit.
"""

import contextlib
import importlib
import importlib.machinery
import logging
import sys
import unittest
import warnings
from typing import NamedTuple

PROGRAM = "tests.examples.pubsub"
SUITE = "tests.examples.test_pubsub"


class Defect(NamedTuple):
    feature: str
    module: str
    old: str
    new: str
    caught_by: str


DEFECTS = [
    Defect(
        "framing: what follows a frame in the same segment is thrown away",
        "framing",
        "del self._buffer[:end]",
        "self._buffer.clear()",
        "FramingTest.test_frames_in_one_segment_are_told_apart",
    ),
    Defect(
        "framing: the announced size is believed",
        "framing",
        "if payload_size > self._max_payload:",
        "if len(self._buffer) > _SIZES.size + MAX_HEADER + self._max_payload:",
        "FramingTest.test_too_large_a_frame_is_refused_before_it_arrives",
    ),
    Defect(
        "framing: a frame that was cut off is taken for an orderly end",
        "connection",
        "self._decoder.finish()",
        "pass",
        "FramingTest.test_stream_that_ends_inside_a_frame_is_an_error",
    ),
    Defect(
        "heartbeat: none is sent",
        "connection",
        "self._write(Frame(Kind.PING))",
        "self._last_said = now",
        "HeartbeatTest.test_idle_client_sends_a_heartbeat_each_interval",
    ),
    Defect(
        "heartbeat: the broker neither sends nor expects any",
        "broker",
        "connection.keep_alive(),",
        "",
        "HeartbeatTest.test_idle_pair_stays_connected_for_a_week",
    ),
    Defect(
        "dead-peer timeout: two clocks are mixed up",
        "connection",
        "self._last_heard = time.monotonic()  # each byte",
        "self._last_heard = time.time()  # each byte",
        "HeartbeatTest.test_broker_drops_a_client_that_falls_silent",
    ),
    Defect(
        "dead-peer timeout: only whole frames count as a sign of life",
        "connection",
        """
            self._last_heard = time.monotonic()  # each byte counts: a large frame may take its time on a slow link
            self._decoder.feed(data)
""",
        """
            self._decoder.feed(data)
        self._last_heard = time.monotonic()
""",
        "HeartbeatTest.test_each_byte_of_a_slow_frame_is_a_sign_of_life",
    ),
    Defect(
        "backoff: without the cap",
        "backoff",
        "min(self._cap, self._ceiling * 2)",
        "self._ceiling * 2",
        "ReconnectTest.test_delays_double_up_to_the_cap",
    ),
    Defect(
        "backoff: the textbook's formula, which overflows in the second night of an outage",
        "backoff",
        "self._ceiling = min(self._cap, self._ceiling * 2)",
        "self._attempt = getattr(self, '_attempt', 0) + 1; "
        "self._ceiling = min(self._cap, self._first * 2.0 ** self._attempt)",
        "ReconnectTest.test_client_comes_back_after_three_days",
    ),
    Defect(
        "backoff: not reset by a success",
        "client",
        "self._backoff.reset()",
        "pass",
        "ReconnectTest.test_success_resets_the_backoff",
    ),
    Defect(
        "jitter: the same for everybody",
        "backoff",
        "random.random()",
        "0.5",
        "ReconnectTest.test_jitter_keeps_clients_apart",
    ),
    Defect(
        "resubscription: forgotten",
        "client",
        "if subscription.confirmed:",
        "if not subscription.confirmed:",
        "ReconnectTest.test_subscriptions_survive_a_restart_of_the_broker",
    ),
    Defect(
        "deadline: only the client's own one is looked at",
        "client",
        "seconds = self._deadline if deadline is None else deadline",
        "seconds = self._deadline",
        "DeadlineTest.test_publishing_without_a_broker_ends_at_the_deadline",
    ),
    Defect(
        "deadline: begins anew on each connection",
        "client",
        """
            async with asyncio.timeout(seconds):
                answer = None
                while answer is None:
""",
        """
            answer = None
            while answer is None:
                async with asyncio.timeout(seconds):
""",
        "DeadlineTest.test_deadline_covers_all_attempts",
    ),
    Defect(
        "back-pressure: publishers are not slowed down",
        "session",
        "await self._room.acquire()",
        "pass",
        "BackPressureTest.test_full_backlog_slows_the_publisher_down",
    ),
    Defect(
        "back-pressure: a slow subscriber is put up with for ever",
        "broker",
        "async with asyncio.timeout_at(give_up_at):",
        "async with asyncio.timeout_at(None):",
        "BackPressureTest.test_slow_subscriber_is_given_up_after_the_grace",
    ),
    Defect(
        "back-pressure: a publisher that is slowed down is not heard",
        "broker",
        "publishes.put_nowait(frame)",
        "await self._distribute(frame); connection.post(done(frame))",
        "BackPressureTest.test_client_that_feeds_itself_cannot_lock_itself_out",
    ),
    Defect(
        "back-pressure: what the peer does not read piles up",
        "connection",
        "await self._writer.drain()",
        "await asyncio.sleep(0)",
        "BackPressureTest.test_sender_waits_for_a_peer_that_does_not_read",
    ),
    Defect(
        "acknowledgement: not heeded",
        "broker",
        "session.acknowledge(frame[\"id\"])",
        "pass",
        "DeliveryTest.test_acknowledged_message_never_comes_again",
    ),
    Defect(
        "redelivery: only once",
        "session",
        "if delivery.id in self._backlog:  # the ack",
        "if delivery.id in self._backlog and delivery.attempts == 1:  # the ack",
        "DeliveryTest.test_unacknowledged_message_comes_again_each_hour",
    ),
    Defect(
        "redelivery: not after a reconnect",
        "session",
        "self._unsent.extend(id for id, delivery in self._backlog.items() if delivery.topic == topic)",
        "pass",
        "DeliveryTest.test_unacknowledged_message_comes_again_after_a_reconnect",
    ),
    Defect(
        "redelivery: an acknowledgement that got lost is not repeated",
        "client",
        "if self._seen[message.id]:",
        "if not self._seen[message.id]:",
        "DeliveryTest.test_acknowledgement_during_an_outage_is_made_up_for",
    ),
    Defect(
        "dedupe: the application gets each copy",
        "client",
        "if message.id in self._seen:",
        "if self._seen.get(message.id):",
        "DeliveryTest.test_application_sees_a_repeated_message_once",
    ),
    Defect(
        "dedupe: the broker queues each copy",
        "session",
        "topic in self.topics and id not in self._backlog",
        "topic in self.topics",
        "DeliveryTest.test_message_published_twice_is_queued_once",
    ),
    Defect(
        "shutdown: the broker does not wait for acknowledgements",
        "broker",
        "await session.settled()",
        "pass",
        "ShutdownTest.test_closing_broker_waits_for_acknowledgements",
    ),
    Defect(
        "shutdown: the broker waits for ever",
        "broker",
        "async with asyncio.timeout(self._close_timeout):",
        "async with asyncio.timeout(None):",
        "ShutdownTest.test_closing_broker_does_not_wait_for_ever",
    ),
    Defect(
        "shutdown: the broker goes on accepting",
        "broker",
        "self._server.close()",
        "pass",
        "ShutdownTest.test_closing_broker_says_goodbye_and_accepts_nobody",
    ),
    Defect(
        "shutdown: the client leaves its subscriptions behind",
        "client",
        "*(self._unsubscribe(topic, self._close_timeout) for topic in self._subscriptions)",
        "*()",
        "ShutdownTest.test_closing_client_unsubscribes",
    ),
]

FEATURES = [
    "framing", "heartbeat", "dead-peer timeout", "backoff", "jitter", "resubscription", "deadline", "back-pressure",
    "acknowledgement", "redelivery", "dedupe", "shutdown",
]


class EditedSourceLoader(importlib.machinery.SourceFileLoader):
    """Loads a module with one passage of its source replaced; neither from a cache nor into one."""

    def __init__(self, name: str, path: str, old: str, new: str) -> None:
        super().__init__(name, path)
        self.old = old
        self.new = new

    def get_code(self, fullname):
        source = self.get_source(fullname)
        if source.count(self.old) != 1:
            raise LookupError(f"{self.old!r} occurs {source.count(self.old)} times in {self.path}, and should once")
        return compile(source.replace(self.old, self.new), self.path, "exec")


class EditingFinder:
    """Finds one module, and gives it to an EditedSourceLoader."""

    def __init__(self, module: str, old: str, new: str) -> None:
        self.module = module
        self.edit = (old, new)

    def find_spec(self, name, path, target=None):
        if name != self.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        spec.loader = EditedSourceLoader(name, spec.origin, *self.edit)
        return spec


@contextlib.contextmanager
def fresh_suite(defect: Defect | None, suite: str = SUITE):
    """A suite as a new module, over a new copy of the program that has the defect; undone at the end."""
    parent = importlib.import_module(suite.rpartition(".")[0])
    before = dict(vars(parent))
    theirs = {name: module for name, module in sys.modules.items() if name == suite or name.startswith(PROGRAM)}
    finders = [] if defect is None else [EditingFinder(f"{PROGRAM}.{defect.module}", defect.old, defect.new)]
    for name in theirs:
        del sys.modules[name]
    sys.meta_path[:0] = finders
    try:
        yield importlib.import_module(suite)
    finally:
        for finder in finders:
            sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name == suite or name.startswith(PROGRAM)]:
            del sys.modules[name]
        sys.modules.update(theirs)
        vars(parent).clear()
        vars(parent).update(before)


@contextlib.contextmanager
def quiet():
    """A broken program complains loudly, and rightly; nobody needs to read it."""
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.getLogger().removeHandler(handler)


def run(defect: Defect | None, names: list[str] | None = None) -> unittest.TestResult:
    result = unittest.TestResult()
    with quiet(), fresh_suite(defect) as suite:
        loader = unittest.TestLoader()
        tests = loader.loadTestsFromModule(suite) if names is None else loader.loadTestsFromNames(names, suite)
        tests.run(result)
    return result


class PlantedDefectsTest(unittest.TestCase):
    def test_control(self):
        """Without a defect the whole suite passes, run in the same way."""
        result = run(None)
        self.assertEqual(result.failures + result.errors, [])
        self.assertGreaterEqual(result.testsRun, 28)

    def test_each_defect_is_caught(self):
        """With any of the defects the test that is meant for it fails."""
        for defect in DEFECTS:
            with self.subTest(defect.feature):
                result = run(defect, [defect.caught_by])
                # The id of a subTest is that of its test, a space and what it is about.
                failed = {test.id().partition(" ")[0] for test, _ in result.failures + result.errors}
                self.assertEqual(failed, {f"{SUITE}.{defect.caught_by}"})
                # A program that does not run at all would fail any test.
                reports = "".join(report for _, report in result.failures + result.errors)
                self.assertNotRegex(reports, "NameError|AttributeError|TypeError|ImportError|SyntaxError")

    def test_each_feature_has_a_defect(self):
        """No feature of the program is left out of the table."""
        self.assertEqual({defect.feature.partition(":")[0] for defect in DEFECTS}, set(FEATURES))

    def test_edit_that_does_not_fit_is_an_error(self):
        """A table that no longer fits the source is noticed, instead of planting nothing."""
        for old in ("no such text", "self"):
            with self.subTest(old), self.assertRaisesRegex(LookupError, "and should once"):
                run(Defect("none", "framing", old, "", ""), [])
