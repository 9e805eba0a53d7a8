"""The words for each kind of choice: at which instant, what happened, and at which line of the program."""

import asyncio
import pathlib
import re
import socket
import struct
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.kernel.choices import kinds
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.runs.exploration.exploration import Exploration
from solipsism_unittest.runs.exploration.words import seconds, sentence

HERE = "tests/runs/exploration/test_words.py"
NEXT = kinds.STEPS + 1
LINES = pathlib.Path(__file__).read_text(encoding="utf-8").splitlines()


def line(mark):
    """The line of this file that ends with this mark."""
    return f"{HERE}:{next(number for number, text in enumerate(LINES, 1) if text.endswith('# ' + mark))}"


class WordsTest(unittest.TestCase):
    maxDiff = None

    def words(self, body, kind, value, **names):
        """What is said of each choice of a kind in a test with this body, made otherwise one by one."""
        case = type("Some", (SolipsistTestCase,), {"test": body, **names})("test")
        exploration = Exploration(case)
        plain, other = exploration.run(Fixed())
        self.assertEqual(other.found, [])
        said = []
        for number in range(plain.counts[kind]):
            explorer, _ = exploration.run(Fixed({(kind, number): value}), witness=sentence)
            said += [each.words for each in explorer.made]
        self.assertTrue(said)
        return said

    def assertSaid(self, said, *patterns):
        """Each of the patterns is all of one sentence; nothing else is asked of others."""
        for pattern in patterns:
            self.assertTrue(any(re.fullmatch(pattern, each) for each in said), f"{pattern}\n" + "\n".join(said))

    def test_seconds(self):
        self.assertEqual([seconds(each) for each in (1.0, 0.25118, 0.0001)], ["1 s", "0.251 s", "0.0001 s"])

    def test_without_a_loop(self):
        """A choice that is made in another thread has no time of a loop."""
        self.assertEqual(sentence(kinds.LOOKUP, 1, 0.5, ("the look-up of 'a'",)),
                         "the look-up of 'a' took 0.5 s longer")

    def test_stalls(self):
        """A stall names what goes on behind it, and the deadlines that passed."""
        async def sleeps():
            await asyncio.sleep(0.5)  # sleeps

        def rings():  # rings
            pass

        async def test(self):
            sleeping = asyncio.create_task(sleeps())  # makes
            self.loop.call_later(0.3, rings)  # timer
            for when in (0.31, 0.32, 0.33):
                self.loop.call_later(when, rings)
            self.loop.call_soon(rings)
            future = self.loop.create_future()
            self.loop.call_soon(future.set_result, None)
            await future  # future
            await asyncio.gather(sleeping)

        said = self.words(test, kinds.STALL, kinds.STEPS)
        name = "WordsTest.test_stalls.<locals>"
        late = r"(, in which came due: .*)?"
        self.assertSaid(
            said, fr"at t=0 the machine stalled 1 s before the first step of {name}.test",
            fr"at t=0 the machine stalled 1 s before the first step of {name}.sleeps, made a task at "
            fr"{line('makes')} .*",
            fr"at t=0 the machine stalled 1 s before {line('future')} in {name}.test went on{late}",
            fr"at t=0 the machine stalled 1 s before the callback {name}.rings \({line('rings')}\){late}",
            fr"at t=0.3 the machine stalled 1 s before a timer that calls {name}.rings .* was over{late}")
        self.assertTrue(any(each.endswith(" and 3 more") for each in said), said)
        self.assertSaid(self.words(test, kinds.WAKE, NEXT),
                        fr"at t=0.3 the machine woke 0.01 s too late for a timer that calls {name}.rings .*, in which "
                        fr"came due: a timer that calls {name}.rings .*")

    def test_a_timer_of_ours(self):
        """The limit of an assertion is a timer of the test, by the line that made it: nobody knows its name."""

        async def test(self):
            with self.assertRaises(AssertionError):
                await self.assertCompletesWithin(asyncio.Event().wait(), 0.3)  # limits

        said = self.words(test, kinds.STALL, kinds.STEPS)
        self.assertSaid(said, r"at t=0\.300001 the machine stalled 1 s before a timer of the test, made at "
                              fr"{line('limits')} .* was over.*")
        self.assertFalse(any("stop" in each for each in said), said)

    def test_a_connection(self):
        """Packets by the line that connected, reads and writes by the lines that wait for them."""
        async def serve(reader, writer):
            writer.write(await reader.readexactly(5))  # serves
            writer.close()

        async def test(self):
            server = await asyncio.start_server(serve, "server.test", 80)  # starts
            reader, writer = await asyncio.open_connection("server.test", 80)  # connects
            writer.write(b"hello")  # writes
            await reader.read()  # reads
            writer.close()
            server.close()
            await asyncio.sleep(5)

        name = "WordsTest.test_a_connection.<locals>"
        client = fr"the connection to server.test made at {line('connects')} in {name}.test"
        server = fr"a connection to the server made at {line('starts')} in {name}.test"
        self.assertSaid(self.words(test, kinds.PACKET, kinds.STEPS),
                        fr"at t=0 the request for {client} took 1 s longer",
                        fr"at t=0 the answer to the request for {client} took 1 s longer",
                        fr"at t=0 5 bytes sent over {client} took 1 s longer",
                        fr"at t=0 5 bytes sent over {server} took 1 s longer",
                        fr"at t=0 the end of what was sent over {server} took 1 s longer")
        self.assertSaid(self.words(test, kinds.CONNECTION, kinds.STEPS),
                        fr"at t=0 {client} became slow: each of its packets took 1 s longer")
        self.assertSaid(self.words(test, kinds.RECV, 2),
                        fr"at t=0 the read at {line('serves')} in {name}.serve got 2 of 5 bytes",
                        fr"at t=0 the read at {line('reads')} in {name}.test got 2 of 5 bytes")
        self.assertSaid(self.words(test, kinds.SEND, 2),
                        fr"at t=0 the write at {line('writes')} in {name}.test took 2 of 5 bytes")
        self.assertSaid(self.words(test, kinds.LATER, 1),
                        fr"at t=0 the socket of .*({line('serves')}|{line('reads')}|{line('starts')}).* was reported a "
                        "turn later")
        self.assertSaid(self.words(test, kinds.LOOKUP, kinds.STEPS),
                        r"at t=0 the look-up of 'server.test' took 1 s longer")
        self.assertSaid(self.words(test, kinds.STALL, 1),
                        fr"at t=0 the machine stalled 0.001 s before the server made at {line('starts')} in "
                        fr"{name}.test heard of a connection",
                        fr"at t=0 the machine stalled 0.001 s before {server} was taken up",
                        fr"at t=0 the machine stalled 0.001 s before {line('reads')} in {name}.test heard of its "
                        "socket",
                        fr"at t=0 the machine stalled 0.001 s before {line('connects')} in {name}.test heard of its "
                        "socket")

    def test_protocols(self):
        """A protocol of the program's is named by what takes its data."""
        class Server(asyncio.Protocol):
            def data_received(self, data):  # takes
                pass

        async def test(self):
            server = await self.loop.create_server(Server, "localhost", 80)
            transport, _ = await self.loop.create_connection(asyncio.Protocol, "localhost", 80)
            transport.write(b"hello")
            await asyncio.sleep(1)
            transport.abort()
            server.close()
            await asyncio.sleep(1)

        self.assertSaid(self.words(test, kinds.RECV, 2),
                        fr"at t=0 the read at .*Server.data_received \({line('takes')}\) got 2 of 5 bytes")

        async def resets(self):
            listener = socket.create_server(("localhost", 80))
            _, writer = await asyncio.open_connection("localhost", 80)
            accepted, _ = listener.accept()
            accepted.setblocking(False)
            accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            accepted.close()
            listener.close()
            await asyncio.sleep(2)
            writer.close()

        self.assertSaid(self.words(resets, kinds.PACKET, kinds.STEPS),
                        r"at t=0 the reset of a connection to the server made at .* took 1 s longer")

    def test_bare_sockets(self):
        """Sockets without a transport: the line that calls, or that waits for them."""
        async def test(self):
            one, other = self.socketpair()
            one.setblocking(False), other.setblocking(False)
            self.loop.add_reader(other, print)
            self.loop.remove_reader(other)
            taking = asyncio.create_task(self.take(other))
            await asyncio.sleep(0.1)
            one.send(b"hello")  # sends
            await taking
            one.send(b"again")
            other.recv(9)  # receives

        async def take(self, end):
            await self.loop.sock_recv(end, 9)  # takes it

        self.assertSaid(self.words(test, kinds.RECV, 2, take=take),
                        fr"at t=0.1 the read at {line('takes it')} in .* got 2 of 5 bytes",
                        fr"at t=0.1 the read at {line('receives')} in .* got 2 of \d bytes")
        self.assertSaid(self.words(test, kinds.SEND, 2, take=take),
                        fr"at t=0.1 the write at {line('sends')} in .* took 2 of 5 bytes")

    def test_ready_together(self):
        """Of several that are ready the one that came first is named, whatever it is."""
        async def test(self):
            pairs = [self.socketpair() for _ in range(2)]
            for one, other in pairs:
                one.setblocking(False)
                self.loop.add_reader(one, lambda one=one: one.recv(9))
                other.send(b"hello")
            await asyncio.sleep(0.1)
            for one, _ in pairs:
                self.loop.remove_reader(one)

        self.assertSaid(self.words(test, kinds.ORDER, 1),
                        fr"at t=0 of 2 sockets that were ready the one of the connection made at {HERE}.* was "
                        "reported first")

    def test_datagrams_jobs_and_sets(self):
        async def test(self):
            make, where = asyncio.DatagramProtocol, ("localhost", 53)
            server, _ = await self.loop.create_datagram_endpoint(make, local_addr=where)
            client, _ = await self.loop.create_datagram_endpoint(make, remote_addr=where)
            client.sendto(b"hello")
            await asyncio.to_thread(len, "job")  # job
            done, _ = await asyncio.wait([asyncio.create_task(asyncio.sleep(1)) for _ in range(2)])
            self.assertEqual(len(list(done)), 2)  # set
            client.close()
            server.close()

        name = "WordsTest.test_datagrams_jobs_and_sets.<locals>.test"
        self.assertSaid(self.words(test, kinds.PACKET, kinds.STEPS), r"at t=0 a datagram .* took 1 s longer")
        self.assertSaid(self.words(test, kinds.JOB, kinds.STEPS),
                        fr"at t=0 the result of executor job len made at {line('job')} in {name} took 1 s longer")
        self.assertSaid(self.words(test, kinds.SETS, 1),
                        fr"at t=1 a set of tasks at {line('set')} in {name} was in another order")

    def test_a_place_that_nobody_knows(self):
        """What has no line has no line."""
        async def test(self):
            one, other = socket.socketpair()
            one.close(), other.close()
            await asyncio.sleep(0)

        self.assertSaid(self.words(test, kinds.STALL, 1), "at t=0 the machine stalled 0.001 s before .*")


if __name__ == "__main__":
    unittest.main()
