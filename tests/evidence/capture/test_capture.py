"""A whole capture: datagrams, names, the rows of the test's own, and the order of it all."""

import asyncio
import os
import socket
import tempfile
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.evidence import reading
from tests.evidence.capture.test_streams import OnPurpose
from tests.evidence.inner import captured


class Datagrams(SolipsistTestCase):
    def tearDown(self):
        raise OnPurpose

    def udp(self, family=socket.AF_INET):
        end = socket.socket(family, socket.SOCK_DGRAM)
        end.setblocking(False)
        self.addCleanup(end.close)
        return end

    async def test_udp(self):
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            one, two = self.udp(family), self.udp(family)
            two.bind((host, 5_300))
            one.sendto(b"question", (host, 5_300))
            one.connect((host, 5_300))
            one.send(b"")
            two.recvfrom(100)
            two.recv_into(bytearray(5))

    async def test_nobody(self):
        self.udp().sendto(b"hello?", ("127.0.0.1", 5_300))
        self.udp(socket.AF_INET6).sendto(b"hello?", ("::1", 5_300))

    async def test_unix(self):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        path = os.path.join(directory, "log.sock")
        one, two = self.udp(socket.AF_UNIX), self.udp(socket.AF_UNIX)
        two.bind(path)
        one.sendto(b"named", path)
        one.connect(path)
        one.send(b"connected")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 300_000)
        one.send(b"large" * 20_000)
        two.recv(9, socket.MSG_PEEK)
        pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        for end in pair:
            self.addCleanup(end.close)
            end.setblocking(False)
        pair[0].send(b"joined")
        with self.assertRaises(OSError):
            self.udp(socket.AF_UNIX).send(b"to nobody")


class Story(SolipsistTestCase):
    start_time = 5.0

    async def test(self):
        self.network.add_host("api.test", "192.0.2.7", aliases=["www.test"])
        await self.start_fake_server(None, "api.test", 80)
        await asyncio.sleep(1.5)
        _, writer = await asyncio.open_connection("www.test", 80)
        writer.close()
        await asyncio.to_thread(int)
        await asyncio.sleep(0.5)
        self.assertEqual(9, 8)


def load_tests(loader, tests, pattern):
    """The other classes are inner tests."""
    return loader.loadTestsFromTestCase(CaptureTest)


class CaptureTest(unittest.TestCase):
    def test_datagrams(self):
        """They are there byte for byte, over IPv4 and IPv6, an empty one too."""
        found = reading.understood(captured(Datagrams, "test_udp"))
        self.assertEqual([datagram.data for datagram in found], [b"question", b""] * 2)
        self.assertEqual([datagram.target[0] for datagram in found], ["127.0.0.1"] * 2 + ["::1"] * 2)

    def test_a_port_that_nobody_has(self):
        """The host answers with an error of ICMP."""
        found = reading.understood(captured(Datagrams, "test_nobody"))
        self.assertEqual([each[0] for each in found if len(each) == 2], [1, 58])

    def test_unix_datagrams(self):
        """They go between made-up addresses with the names of the paths; a large one is cut, and that is said."""
        capture = captured(Datagrams, "test_unix")
        names = {address: os.path.basename(name) for address, name in capture.names}
        found = reading.understood(capture)
        self.assertEqual([datagram.data[:9] for datagram in found], [b"named", b"connected", b"largelarg", b"joined"])
        self.assertEqual([names[datagram.target[0]] for datagram in found[:3]], ["log.sock"] * 3)
        self.assertEqual(found[2].packet.length, 28 + 65_507)
        self.assertEqual(found[2].packet.comments[1], "the first 65,507 of 100,000 bytes")

    def test_the_rows_of_the_test(self):
        """The first packet is at the start time, jumps and look-ups have rows, and the failure is an error."""
        capture = captured(Story)
        self.assertEqual(capture.packets[0].nanoseconds, 5 * 10**9)
        rows = reading.rows(capture)
        self.assertRegex(rows[0][1], r"^test begins: .*Story\.test$")
        self.assertEqual(rows[1:4], [(6, "1.5 s later"), (6, "look-up of www.test 192.0.2.7"),
                                     (6, "an executor job is done: int")])
        self.assertEqual(rows[-1][0], 3)
        self.assertRegex(rows[-1][1], r"^test failed here: AssertionError: 9 != 8 at .*test_capture\.py:\d+ in Story")
        self.assertEqual(capture.packets[-1].nanoseconds, 7 * 10**9)

    def test_names(self):
        """Of several names of one address the one that the program asked for last comes last."""
        self.assertEqual([name for address, name in captured(Story).names if address == "192.0.2.7"],
                         ["api.test", "www.test"])
