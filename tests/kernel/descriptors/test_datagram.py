"""One end of datagrams: its queue, its readiness, and what its calls answer; each on a real machine too."""

import asyncio
import errno
import socket
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.kernel import READABLE, WRITABLE, Kernel
from solipsism_unittest.kernel.addresses.icmp import REFUSED
from solipsism_unittest.kernel.descriptors.datagram import Packet, charge_of_udp, charge_of_unix
from solipsism_unittest.kernel.descriptors.file import ERROR, HANGUP, PEER_ENDED
from tests.contracts.arms import Contract, outcome, scenario

DGRAM = socket.SOCK_DGRAM
BUFFERS = (socket.SO_RCVBUF, socket.SO_SNDBUF)


def fill(sock, size=1, *address):
    """Send datagrams until one does not go; how many went, and why no more."""
    for count in range(10_000):
        problem = outcome(sock.sendto, bytes(size), *address) if address else outcome(sock.send, bytes(size))
        if problem != size:
            return count, problem
    return None


class UdpTest(Contract):
    def refused(self, arm):
        """A socket with a refusal to tell."""
        gone, sock = arm.datagram(), arm.datagram()
        sock.connect(gone.getsockname())
        gone.close()
        sock.send(b"x")
        return sock

    @scenario
    async def test_who_tells_a_refusal(self, arm):
        """Each call that sends or receives tells a refusal, once; others do not, and SO_ERROR takes it away."""
        for call in (
            lambda sock: sock.recv(1), lambda sock: sock.recv(1, socket.MSG_PEEK), lambda sock: sock.recvfrom(0),
            lambda sock: sock.recvmsg(0), lambda sock: sock.recv_into(bytearray(1)), lambda sock: sock.send(b""),
            lambda sock: sock.send(bytes(70_000)), lambda sock: sock.shutdown(socket.SHUT_WR),
            lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), lambda sock: sock.getpeername()[0],
            lambda sock: sock.recv(0),
        ):
            sock = self.refused(arm)
            await arm.calm()
            arm.see(await arm.readiness(sock), outcome(call, sock), outcome(sock.recv, 1), await arm.readiness(sock))

    @scenario
    async def test_shutdown(self, arm):
        """Each way of shutting down ends a direction for this end alone; what comes is still read."""
        other = arm.datagram()
        for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR, 5):
            for connected in (True, False):
                sock = arm.datagram()
                if connected:
                    sock.connect(other.getsockname())
                arm.see(how, connected, outcome(sock.shutdown, how), await arm.readiness(sock), outcome(sock.recv, 9))
                arm.see(outcome(sock.sendto, b"x", other.getsockname()))
                other.sendto(b"y", sock.getsockname())
                await arm.calm()
                arm.see(outcome(sock.recv, 9), outcome(sock.recv, 9), await arm.readiness(sock))
                if how in (socket.SHUT_RD, socket.SHUT_RDWR):
                    sock.setblocking(True)
                    arm.see([outcome(sock.recv, 9), outcome(sock.recvfrom, 9)[0], outcome(sock.recvmsg, 9)[0]])

    @scenario
    async def test_reading_nothing(self, arm):
        """Of recv calls for no bytes some do not ask at all, and others take the whole datagram."""
        sock, other = arm.datagram(), arm.datagram()
        for call in (
            lambda: sock.recv(0), lambda: sock.recv_into(bytearray(0)), lambda: sock.recvfrom(0)[0],
            lambda: sock.recvfrom_into(bytearray(0))[0], lambda: sock.recvmsg(0)[:3],
        ):
            other.sendto(b"abc", sock.getsockname())
            await arm.readable(sock)
            arm.see(outcome(call), outcome(sock.recv, 9))

    @scenario
    async def test_listening(self, arm):
        """A datagram socket neither listens nor accepts."""
        sock = arm.datagram()
        arm.see(outcome(sock.listen), outcome(sock.accept))


class UnixTest(Contract):
    def bound(self, arm, path):
        sock = arm.unix(DGRAM)
        sock.bind(path)
        return sock

    @scenario
    async def test_full_pair(self, arm):
        """A pair holds what the sender's buffer holds, however much the other does not read; then send waits."""
        for size in (1, 100_000):
            one, other = arm.pair(DGRAM)
            count, problem = fill(one, size)
            arm.see(count > 2, problem, await arm.readiness(one), await arm.readiness(other))
            for _ in range(count):
                other.recv(1)
            arm.see(await arm.readiness(one), outcome(one.send, b"x"))

    @scenario
    async def test_quarter(self, arm):
        """A socket is writable again when a quarter of its buffer is in use, and can send before."""
        one, other = arm.pair(DGRAM)
        count, _ = fill(one, 1000)
        other.recv(1)
        arm.see(await arm.readiness(one), outcome(one.send, b"x"))
        left = count
        while (await arm.readiness(one)) == "-":
            other.recv(1)
            left -= 1
        arm.see(abs(left - count / 4) < 3)

    @scenario
    async def test_strangers(self, arm):
        """Who is not connected back may queue eleven datagrams, connected or not; readiness knows of the connected."""
        folder = arm.folder()
        receiver, one, two = self.bound(arm, folder + "/r"), arm.unix(DGRAM), arm.unix(DGRAM)
        two.connect(folder + "/r")
        arm.see(fill(one, 1, folder + "/r"), outcome(two.send, b"x"))
        arm.see(await arm.readiness(one), await arm.readiness(two))
        receiver.recv(1)
        arm.see(await arm.readiness(two), outcome(two.send, b""), outcome(two.send, b""))

    @scenario
    async def test_waiting_for_a_reader(self, arm):
        """loop.sock_sendto() of a full queue goes on when the reader has read."""
        folder = arm.folder()
        receiver, sender = self.bound(arm, folder + "/r"), arm.unix(DGRAM)
        sender.connect(folder + "/r")
        fill(sender)
        sending = arm.start(asyncio.get_running_loop().sock_sendto(sender, b"last", folder + "/r"))
        await arm.calm()
        arm.see(sending.done())
        receiver.recv(1)
        arm.see(await sending, [receiver.recv(9) for _ in range(11)][-1])
        return [False, (4, b"last")]

    @scenario
    async def test_sizes(self, arm):
        """A datagram has room in SO_SNDBUF less 32 bytes, or is EMSGSIZE whatever else is wrong."""
        one, other = arm.pair(DGRAM)
        size = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        arm.see(outcome(one.send, bytes(size - 31)), outcome(one.send, bytes(size - 32)) == size - 32)
        one, other = arm.pair(DGRAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        arm.see([outcome(one.send, bytes(size)) for size in (1000, 4000, 4577, 4576, 1)], await arm.readiness(one))
        arm.see(outcome(arm.unix(DGRAM).send, bytes(10**6)))
        one.shutdown(socket.SHUT_WR)
        arm.see(outcome(one.send, bytes(4577)), outcome(one.send, b"x"))

    @scenario
    async def test_peer_that_goes(self, arm):
        """What a peer sent stays when it goes; the next send is refused, and then there is no peer."""
        one, other = arm.pair(DGRAM)
        other.send(b"left")
        one.send(b"never read")
        other.close()
        arm.see(await arm.readiness(one), outcome(one.recv, 9), outcome(one.recv, 9))
        arm.see([outcome(one.send, b"x") for _ in range(2)], outcome(one.getpeername), await arm.readiness(one))

    @scenario
    async def test_peer_that_went_unread(self, arm):
        """What a peer sent is gone when the next send finds that the peer is; sending to nobody's name is EINVAL."""
        one, other = arm.pair(DGRAM)
        other.send(b"left")
        other.close()
        arm.see(outcome(one.send, b"x"), outcome(one.recv, 9), outcome(one.sendto, b"x", ""))
        folder = arm.folder()
        named = self.bound(arm, folder + "/n")
        one.connect(folder + "/n")
        named.close()
        arm.see(outcome(one.sendto, b"x", folder + "/n"), outcome(one.getpeername) == folder + "/n")
        arm.see(outcome(one.send, b"x"), outcome(one.getpeername))

    @scenario
    async def test_peeking(self, arm):
        """MSG_PEEK leaves a datagram, whole, and the sender's room as it is."""
        one, other = arm.pair(DGRAM)
        one.send(b"abcdef")
        buffer = bytearray(9)
        arm.see(other.recv(3, socket.MSG_PEEK), other.recv_into(buffer), buffer, outcome(other.recv, 9))
        return [(b"abc", 6, b"abcdef\0\0\0", "EAGAIN")]

    @scenario
    async def test_shutdown(self, arm):
        """Shutting down reading is EPIPE for who sends here, shutting down writing is EPIPE here."""
        for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR, 5):
            one, other = arm.pair(DGRAM)
            one.send(b"1")
            other.send(b"2")
            arm.see(how, outcome(one.shutdown, how), await arm.readiness(one), await arm.readiness(other))
            arm.see([outcome(one.recv, 9) for _ in range(2)], outcome(one.send, b"x"), outcome(other.send, b"y"))
            if how in (socket.SHUT_RD, socket.SHUT_RDWR):
                one.setblocking(True)
                arm.see(outcome(one.recv, 9))
        arm.see(outcome(arm.unix(DGRAM).shutdown, socket.SHUT_RDWR))

    @scenario
    async def test_triangle(self, arm):
        """Nobody may send to who is connected to somebody else."""
        folder = arm.folder()
        one, two, three = (self.bound(arm, f"{folder}/{number}") for number in (1, 2, 3))
        three.connect(folder + "/1")
        one.connect(folder + "/2")
        arm.see(outcome(three.send, b"x"), outcome(three.connect, folder + "/1"))
        arm.see(outcome(two.sendto, b"y", folder + "/1"))
        arm.see(outcome(one.recv, 9), outcome(one.connect, folder + "/1"))

    @scenario
    async def test_new_peer(self, arm):
        """A socket that takes another peer loses what it had not read, and tells a partner so."""
        folder = arm.folder()
        receiver = self.bound(arm, folder + "/r")
        for unread in (True, False):
            one, other = arm.pair(DGRAM)
            other.send(b"for one") if unread else None
            one.send(b"for other")
            arm.see(outcome(one.connect, folder + "/r"), outcome(one.recv, 9), await arm.readiness(other))
            arm.see([outcome(other.recv, 9) for _ in range(2)], outcome(other.send, b"x"), outcome(one.send, b"y"))
            arm.see(outcome(one.connect, folder + "/r"), receiver.recv(9))

    @scenario
    async def test_fresh(self, arm):
        """A fresh socket can only wait."""
        sock = arm.unix(DGRAM)
        arm.see([outcome(call) for call in (lambda: sock.send(b"x"), lambda: sock.recv(1), sock.getpeername,
                                            sock.getsockname, sock.listen, sock.accept)])
        arm.see(await arm.readiness(sock), outcome(sock.sendto, b"x", arm.folder() + "/nobody"))


class EndTest(unittest.TestCase):
    """What only the kernel's own objects show."""

    def setUp(self):
        self.kernel = Kernel()

    def end(self, family=socket.AF_INET):
        return self.kernel.datagram(family, None)

    def test_charges(self):
        """What a datagram takes of a buffer, at each step of the measured curve."""
        measured = {1: 832, 190: 832, 200: 1280, 640: 1280, 660: 2304, 1650: 2304, 1700: 4352, 8000: 16640,
                    16000: 16640, 16100: 16932, 60000: 60832}
        self.assertEqual({size: charge_of_udp(size) for size in measured}, measured)
        self.assertEqual([charge_of_udp(size, 6) for size in (180, 190, 620, 640)], [832, 1280, 1280, 2304])
        measured = {1: 768, 192: 768, 200: 1280, 704: 1280, 720: 2304, 3776: 4352, 3777: 8448, 16064: 16640,
                    16065: 20736, 100_000: 102_656}
        self.assertEqual({size: charge_of_unix(size) for size in measured}, measured)

    def test_queue_is_bounded(self):
        """A queue takes what SO_RCVBUF holds as Linux reckons, always one, and there is room again after reading."""
        receiver, sender = self.end(), self.end()
        self.kernel.network.bind(receiver, "127.0.0.1", 53)
        for size, room, fits in ((1, 212_992, 256), (1000, 212_992, 92), (5000, 20_000, 2), (60_000, 2304, 1)):
            receiver.receive_buffer = room
            for _ in range(fits + 5):
                sender.send_to(memoryview(bytes(size)), ("127.0.0.1", 53))
            self.assertEqual(len(receiver.queue), fits)
            for _ in range(fits):
                receiver.recv(9)
        self.assertEqual(receiver.queued, 0)

    def test_conditions(self):
        """What poll() of Linux tells beyond readable and writable."""
        one, two = self.kernel.datagram_pair(None)
        self.assertEqual((one.poll(), one.conditions()), (WRITABLE, WRITABLE))
        one.error = errno.ECONNRESET
        self.assertEqual((one.poll(), one.conditions()), (READABLE | WRITABLE, WRITABLE | ERROR))
        self.assertEqual(one.take_error(), errno.ECONNRESET)
        two.shutdown(socket.SHUT_RD)
        self.assertEqual(two.conditions(), READABLE | WRITABLE | PEER_ENDED)
        two.shutdown(socket.SHUT_WR)
        self.assertEqual(two.conditions(), READABLE | WRITABLE | PEER_ENDED | HANGUP)

    def test_repr(self):
        """A repr has kind, addresses, state and queue."""
        end = self.end()
        self.assertEqual(repr(end), "<UDP unbound unconnected 0 to read>")
        self.kernel.network.connect(end, "127.0.0.1", 53)
        self.assertEqual(repr(end), "<UDP 127.0.0.1:32768 > 127.0.0.1:53 connected 0 to read>")
        one, two = self.kernel.datagram_pair(None)
        one.send(memoryview(b"x"))
        self.assertEqual(repr(two), "<datagram joined in memory connected 1 to read>")
        self.kernel.close(two)
        self.assertEqual(repr(two), "<datagram unbound closed 0 to read>")

    def test_names_in_the_repr(self):
        """An end of a UNIX socket shows its own name and its peer's."""
        end, other = self.end(socket.AF_UNIX), self.end(socket.AF_UNIX)
        self.kernel.paths.bind(other, b"\0other")
        end.meet(other)
        self.assertEqual(repr(end), "<datagram ? > @other connected 0 to read>")
        self.assertEqual((repr(other), end.room()), ("<datagram @other unconnected 0 to read>", 212_960))
        self.assertEqual(self.end().room(), 65_507)

    def test_journal(self):
        """What a UNIX socket sends is in the journal with whom it goes to; an end that did nothing leaves no trace."""
        named, one = self.end(socket.AF_UNIX), self.end(socket.AF_UNIX)
        self.kernel.paths.bind(named, b"\0named")
        self.kernel.close(self.end())
        one.send_to(memoryview(b"xyz"), (b"\0named",))
        one.meet(named)
        one.send(memoryview(b"x"))
        self.kernel.close(one)
        told = [str(record).removeprefix("t=0.0 ") for record in self.kernel.journal]
        self.assertEqual(told, ["bind @named", "send ?>@named 3 bytes", "connect ?>@named", "send ?>@named 1 byte",
                                "close ?>@named"])

    def test_close_twice(self):
        """Closing is once; nobody tells a closed end of a refusal."""
        end = self.end()
        self.kernel.network.connect(end, "127.0.0.1", 53)
        for _ in range(2):
            end.close()
        end.refuse(Packet(b"", None, ("127.0.0.1", 53), 0, end), REFUSED[4])
        self.assertEqual((end.error, end.state, self.kernel.network.udp.ports.bound), (0, "closed", {}))

    def test_closing_wakes_who_waits_to_send(self):
        """Who waits for room in the queue of a peer that goes is woken, to be refused."""
        sender, receiver = self.end(socket.AF_UNIX), self.end(socket.AF_UNIX)
        sender.meet(receiver)
        while sender.is_writable:
            sender.send(memoryview(b"x"))
        sender.watch(WRITABLE)
        self.assertEqual(self.kernel.ready(), [])
        receiver.close()
        self.assertEqual(self.kernel.ready(), [(sender, WRITABLE)])


class AdoptionTest(SolipsistTestCase):
    def test_a_pair_made_outside(self):
        """A pair of datagram ends made outside any loop works in the loop that takes it over."""
        other = Kernel()
        one, two = other.datagram_pair(None)
        self.loop.kernel.adopt(other)
        one.send(memoryview(b"x"))
        self.assertEqual(two.recv(9), b"x")
        with self.assertRaises(ConnectionRefusedError):
            one.send_to(memoryview(b"x"), (b"\0nobody",))
        for end in (one, two):
            self.loop.kernel.close(end)
