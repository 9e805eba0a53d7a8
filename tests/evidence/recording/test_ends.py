"""Ends that record: they do what plain ones do, and are plain again in the end."""

import asyncio
import os
import socket
import tempfile
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.evidence.recording import ends
from solipsism_unittest.evidence.recording.tape import tape_of
from solipsism_unittest.kernel import Kernel
from tests.case.test_case import run
from tests.evidence.inner import keeping


class EndsTest(SolipsistTestCase):
    def begin(self):
        kernel = self.loop.kernel
        tape = ends.begin(kernel)
        self.addCleanup(ends.end, kernel)
        return tape

    def kinds(self, tape):
        return [event.kind for event in tape.events]

    async def test_streams(self):
        """A connection from its first packet to its last."""
        tape = self.begin()

        async def answer(reader, writer):
            writer.write(await reader.read(5))
            writer.close()

        await self.start_fake_server(answer, "api.test", 80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"hello")
        self.assertEqual(await reader.read(), b"hello")
        writer.close()
        await writer.wait_closed()
        self.assertEqual([(event.kind, *event.facts[:1]) for event in tape.events
                          if event.kind not in ("bind", "listen", "lookup", "connect", "accept", "close")][:9],
                         [("syn", True), ("joined", 1), ("arrived", "syn_ack"), ("accepted",), ("sent", "data"),
                          ("arrived", "data"), ("read", 5), ("sent", "data"), ("arrived", "data")])

    async def test_the_end_of_recording(self):
        """What an end does after it is not written down."""
        kernel = self.loop.kernel
        one, two = self.socketpair()
        tape = ends.begin(kernel)
        self.assertIsInstance(one.end, ends.RecordedStream)
        one.end.send(b"a")
        await self.start_fake_server(None, "api.test", 80)
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(("api.test", 80))  # its other end has no descriptor yet, and stays what it is
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        reader, writer = os.pipe()
        ends.end(kernel)
        ends.end(kernel)
        before = len(tape.events)
        _, writer_of_another = await asyncio.open_connection("api.test", 80)  # its listener is one that records
        writer_of_another.close()
        self.assertIs(type(kernel), Kernel)
        self.assertIsNone(tape_of(kernel.journal))
        self.assertEqual(two.end.recv(5), b"a")
        await asyncio.sleep(0)
        waiting.send(b"late")
        waiting.close()
        for end in pair:
            end.close()
        os.close(reader)
        os.close(writer)
        await asyncio.sleep(0)
        self.assertEqual(len(tape.events), before)

    async def test_every_kind_of_end_after_it(self):
        """Streams, datagrams and pipes go on, and write nothing."""
        kernel = self.loop.kernel
        tape = ends.begin(kernel)
        stream, other = self.socketpair()
        datagrams = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        numbers = os.pipe()
        ends.end(kernel)
        before = len(tape.events)
        datagrams[0].end.send(b"a")
        stream.end.send(b"ab")
        os.write(numbers[1], b"a")
        self.assertEqual([other.end.recv(1), datagrams[1].end.recv(1), os.read(numbers[0], 1)], [b"a"] * 3)
        for end in datagrams:
            end.close()
        for number in numbers:
            os.close(number)
        self.assertEqual(len(tape.events), before)

    async def test_what_is_sent_again(self):
        """A segment that was lost is on the tape each time that it is sent, and not once the recording has ended."""
        tape = self.begin()
        server = await self.start_fake_server(None, "api.test", 80)
        _, writer = await asyncio.open_connection("api.test", 80)
        await server.accept()
        link = self.network.link("localhost", "api.test")
        link.cut()
        writer.write(b"hello")
        await asyncio.sleep(1)
        again = [event.facts for event in tape.events if event.kind == "repeated"]
        self.assertEqual({*again}, {("data", b"hello", 5, 5)})
        ends.end(self.loop.kernel)
        await asyncio.sleep(10)
        self.assertEqual([event.facts for event in tape.events if event.kind == "repeated"], again)
        link.heal()
        writer.close()

    async def test_closed_twice(self):
        """A pipe that is closed again says nothing more."""
        tape = self.begin()
        numbers = os.pipe()
        for end in [*map(self.loop.kernel.file, numbers)] * 2:
            end.close()
        for number in numbers:
            os.close(number)
        self.assertEqual(self.kinds(tape).count("pipe closed"), 2)

    async def test_datagrams_that_are_lost(self):
        """A datagram that finds no room is sent, and does not come; an error of sending writes no datagram."""
        tape = self.begin()
        one, two = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for end in (one, two):
            end.setblocking(False)
            self.addCleanup(end.close)
        two.bind(("127.0.0.1", 5_300))
        two.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_304)
        for _ in range(5):
            one.sendto(b"a" * 500, ("127.0.0.1", 5_300))
        with self.assertRaises(OSError):
            one.send(b"to nobody")
        self.assertEqual(self.kinds(tape).count("datagram"), 5)
        self.assertLess(self.kinds(tape).count("came"), 5)


class Shared(SolipsistTestCase):
    loop_scope = "class"
    kinds = []

    async def test_one(self):
        self.kinds.append(type(self.loop.kernel))

    async def test_two(self):
        self.kinds.append(type(self.loop.kernel))
        self.fail("on purpose")


def load_tests(loader, tests, pattern):
    """The other classes are inner tests."""
    return unittest.TestSuite(map(loader.loadTestsFromTestCase, (EndsTest, SharedLoopTest)))


class SharedLoopTest(unittest.TestCase):
    def test_loops_that_tests_share(self):
        """Each test of a shared loop is recorded by itself."""
        with tempfile.TemporaryDirectory() as directory, keeping(directory):
            result = run(Shared)
            self.assertEqual(len(result.failures), 1)
            self.assertEqual(Shared.kinds, [ends.RecordedKernel] * 2)
            self.assertEqual({name.rpartition(".")[0].rpartition(".")[2] for name in os.listdir(directory)},
                             {"test_two"})
