"""Four programs on four hosts, each started by its main(): a broker, two publishers, and a subscriber made of threads.

Each is called as `python -m` would call it: three run a loop of their own by asyncio.run(), and the fourth has never
heard of asyncio. A day of theirs is one test, and every day is the same.
"""

import asyncio
import signal
import sys
import time
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.examples.pubsub import Broker, Client, serve
from tests.examples.pubsub.watcher import Watcher

BROKER = "broker.test"
HOUR = 3600.0
DAY = 24 * HOUR
ALIVE = {"heartbeat": 300, "dead_after": 700}


def broker_main():
    """Serve until SIGTERM."""
    return asyncio.run(serve(Broker(BROKER, 7000, session_expiry=HOUR, **ALIVE)))


def publisher_main():
    """Publish the time of day every so many seconds, for a day."""
    name, every = sys.argv[1], float(sys.argv[2])

    async def publish():
        async with Client(BROKER, 7000, name=name, **ALIVE) as client:
            for _ in range(int(DAY / every)):
                await asyncio.sleep(every)
                await client.publish("news", f"{name} at {time.monotonic():g}".encode())

    asyncio.run(publish())


def subscriber_main():
    """Print what comes, until the broker does not come back."""
    watcher = Watcher((BROKER, 7000), "watcher", "news", lambda frame: print(frame.payload.decode()), **ALIVE)
    print(watcher.run(), "messages")
    return 0


class DayTest(SolipsistTestCase):
    real_time_limit = 300

    async def test_day(self):
        """All that both publishers have sent is printed, in order, at the time at which it was sent."""
        self.network.link("*", BROKER, latency=0.02)
        broker = self.run_program(broker_main, host=BROKER)
        await self.settle()
        subscriber = self.run_program(subscriber_main, host="subscriber.test")
        slow = self.run_program(publisher_main, ["slow", "7200"], host="slow.test")
        fast = self.run_program(publisher_main, ["fast", "1000"], host="fast.test")
        self.assertEqual([(await program).returncode for program in (slow, fast)], [0, 0])
        self.assertGreaterEqual(self.now, DAY)
        broker.send_signal(signal.SIGTERM)
        self.assertEqual([(await program).returncode for program in (broker, subscriber)], [0, 0])
        self.assertEqual([program.stderr for program in (broker, subscriber, slow, fast)], [b""] * 4)
        *lines, last = subscriber.stdout.decode().splitlines()
        self.assertEqual(last, f"{12 + 86} messages")
        self.assertEqual([line.split()[0] for line in lines].count("slow"), 12)
        times = [float(line.split()[2]) for line in lines]
        self.assertEqual(times, sorted(times))
        DayTest.seen = subscriber.stdout, self.now, self.loop.kernel.journal.digest


class RepeatedTest(unittest.TestCase):
    def test_the_same_day(self):
        """Four programs, four loops and five threads: two days are one, to the last packet."""
        days = []
        for _ in range(2):
            result = unittest.TestResult()
            DayTest("test_day").run(result)
            self.assertTrue(result.wasSuccessful(), result.failures + result.errors)
            days.append(DayTest.seen)
        self.assertEqual(days[0], days[1])


if __name__ == "__main__":
    unittest.main()
