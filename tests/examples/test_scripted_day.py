"""A day of broker and clients over a bad network: 5 % loss, three partitions, two crashes of the broker.

When each of them comes is drawn from the seed of the test. Whatever comes, the promises of `pubsub` hold: a message
that the broker has accepted reaches the application, once, and soon after its way is whole again; and nobody is asked
too often. With one safeguard of the program switched off, some seed shows what it is for.
"""

import asyncio
import contextlib
import random
import unittest

from solipsism_unittest import SolipsistTestCase, Verdict
from tests.examples.pubsub import Broker, Client, DeadlineExceeded
from tests.examples.test_planted_defects import Defect, fresh_suite, quiet

BROKER, PUBLISHER, SUBSCRIBER = "broker.test", "publisher.test", "subscriber.test"
HOUR = 3600.0
DAY = 24 * HOUR
EVERY = 180.0  # seconds between two messages
ALIVE = {"heartbeat": 40, "dead_after": 100}
SOON = 90.0  # seconds: the longest pause between two connects, the time that each may take, and some losses
OFTEN = 30  # connects of one client while its way is broken


class DayTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.network.link("*", BROKER, latency=0.02, jitter=0.005, loss=0.05)
        self.accepted, self.unsure, self.received = {}, set(), {}
        self.whole = 0.0  # since when every way is
        self.connects = {}  # by client: those since its way broke
        self.network.rule(self.count)
        broker = Broker(BROKER, 7000, backlog=1000, session_expiry=DAY, **ALIVE)
        await broker.start()
        self.addAsyncCleanup(broker.close)

    def count(self, packet):
        """Note a connect; a SYN that is sent again is the same one."""
        if packet.kind == "connect":
            self.connects.setdefault(packet.source, set()).add(packet.source_address[1])
        return Verdict.PASS

    async def client(self, host):
        """A client that runs on this host."""
        with self.network.host(host):
            client = Client(BROKER, 7000, name=host, **ALIVE)
            client.start()
        self.addAsyncCleanup(client.close)
        return client

    async def publish(self, client):
        """Publish a number now and then; note which ones the broker has accepted."""
        for number in range(int(DAY / EVERY)):
            await asyncio.sleep(EVERY)
            try:
                await client.publish("news", b"%d" % number)
                self.accepted[number] = self.now
            except DeadlineExceeded:
                self.unsure.add(number)  # it may have arrived all the same

    async def read(self, subscription, client):
        """Take what comes, and see that it comes once, and in time."""
        async for message in subscription:
            number = int(message.payload)
            self.assertNotIn(number, self.received, "it came twice")
            self.received[number] = self.now
            client.ack(message)

    @contextlib.asynccontextmanager
    async def trouble(self, after):
        """Wait for a moment of the hours `after` the last trouble; when it is over the ways are whole."""
        await asyncio.sleep(random.uniform(1, 2) * after * HOUR)
        self.connects.clear()
        yield random.uniform(300, 900)
        self.whole = self.now
        for client, ports in self.connects.items():
            self.assertLess(len(ports), OFTEN, f"{client} asks too often")
        await asyncio.sleep(SOON)
        missing = [number for number, when in self.accepted.items()
                   if when <= self.whole and number not in self.received]
        self.assertEqual(missing, [], f"accepted, and not here {SOON} s after the trouble")

    async def test_day(self):
        """Every message that was accepted arrives once, and soon; no other one comes that nobody published."""
        subscriber = await self.client(SUBSCRIBER)
        subscription = await subscriber.subscribe("news")
        reading = asyncio.create_task(self.read(subscription, subscriber))
        publishing = asyncio.create_task(self.publish(await self.client(PUBLISHER)))
        broker = self.network.host(BROKER)
        for ends in ((SUBSCRIBER, BROKER), (PUBLISHER, BROKER), (BROKER,)):
            async with self.trouble(1) as seconds:
                self.network.partition(*ends)
                await asyncio.sleep(seconds)
                self.network.heal()
        for _ in range(2):
            async with self.trouble(1.5) as seconds:
                broker.crash()
                await asyncio.sleep(seconds)
                broker.restart(services=False)
                await asyncio.sleep(60)
                broker.restart()
        await publishing
        await asyncio.sleep(SOON)
        self.assertLessEqual(set(self.accepted), set(self.received))
        self.assertLessEqual(set(self.received), set(self.accepted) | self.unsure)
        self.assertGreater(len(self.accepted), 450)
        reading.cancel()
        DayTest.digest = self.loop.kernel.journal.digest


SUITE = __name__
SAFEGUARDS = [
    Defect("acknowledgement: what was sent is forgotten", "session",
           "self._sent[delivery.id] = time.monotonic() + self._redeliver_after", "self.acknowledge(delivery.id)", ""),
    Defect("dead-peer timeout: nobody is taken for dead", "connection",
           "dead_at = self._last_heard + self._dead_after", "dead_at = float(\"inf\")", ""),
    Defect("backoff: always the first pause", "backoff", "min(self._cap, self._ceiling * 2)", "self._first", ""),
]


def days(defect, seeds):
    """Run the day with some seeds, until one fails: how many passed, the report, and the digest of the last."""
    with quiet(), fresh_suite(defect, SUITE) as suite:
        for passed, seed in enumerate(seeds):
            day = type("DayTest", (suite.DayTest,), {"seed": seed, "__module__": SUITE})
            result = unittest.TestResult()
            day("test_day").run(result)
            if not result.wasSuccessful():
                return passed, "".join(text for _, text in result.failures + result.errors), None
        return len(seeds), "", suite.DayTest.digest


class SeedsTest(unittest.TestCase):
    def test_the_same_day(self):
        """One seed gives one day, to the last packet; another seed another."""
        one, again, other = (days(None, [seed]) for seed in (1, 1, 2))
        self.assertEqual((one[:2], other[:2]), ((1, ""), (1, "")))
        self.assertEqual(one[2], again[2])
        self.assertNotEqual(one[2], other[2])

    def test_without_a_safeguard(self):
        """Without any one of the safeguards one of a hundred days goes wrong."""
        for defect in SAFEGUARDS:
            with self.subTest(defect.feature):
                passed, report, _ = days(defect, range(7, 107))  # the first shows two of them
                self.assertLess(passed, 100)
                self.assertRegex(report, "(?s)AssertionError: .*(not here|asks too often|came twice)")
