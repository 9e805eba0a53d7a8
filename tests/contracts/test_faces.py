"""The face of a socket beyond send and recv: every other call, flag, buffer and attribute, on a stream connection."""

import array
import copy
import mmap
import pickle
import socket
from typing import Any

from tests.contracts.arms import Arm, Contract, outcome, scenario, shape

PEEK, DONTWAIT, WAITALL = socket.MSG_PEEK, socket.MSG_DONTWAIT, socket.MSG_WAITALL


class Faces(Contract):
    """TCP over IPv4."""

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host)

    async def sent(self, arm: Arm, data: bytes) -> tuple[socket.socket, socket.socket]:
        """A connection whose second end has `data` to read."""
        one, other = await self.joined(arm)
        one.send(data)
        await arm.readable(other)
        return one, other

    @scenario
    async def test_peek(self, arm: Arm) -> Any:
        """MSG_PEEK shows what is there and leaves it, in every receiving call."""
        one, other = await self.sent(arm, b"data")
        into, vector = bytearray(3), bytearray(3)
        arm.see(other.recv(2, PEEK), other.recvfrom(2, PEEK)[0], other.recvmsg(9, 0, PEEK)[0])
        arm.see(other.recv_into(into, 0, PEEK), into, other.recvfrom_into(into, 1, PEEK)[0])
        arm.see(other.recvmsg_into([vector], 0, PEEK)[0], vector, other.recv(9), outcome(other.recv, 1, PEEK))
        one.close()
        await arm.readable(other)
        arm.see(other.recv(9, PEEK), other.recv(9))
        return [(b"da", b"da", b"data"), (3, bytearray(b"dat"), 1), (3, bytearray(b"dat"), b"data", "EAGAIN"),
                (b"", b"")]

    @scenario
    async def test_dontwait(self, arm: Arm) -> Any:
        """MSG_DONTWAIT does not wait, not even on a blocking socket."""
        one, other = await self.joined(arm)
        other.setblocking(True)
        arm.see(outcome(other.recv, 1, DONTWAIT), outcome(other.recvmsg, 1, 0, DONTWAIT),
                outcome(other.recv_into, bytearray(1), 1, DONTWAIT), outcome(other.recvfrom, 1, DONTWAIT))
        arm.see(one.send(b"x", DONTWAIT), other.recv(1))
        return [("EAGAIN",) * 4, (1, b"x")]

    @scenario
    async def test_waitall(self, arm: Arm) -> Any:
        """MSG_WAITALL gives a non-blocking socket what there is, and a blocking one what it asked for."""
        one, other = await self.sent(arm, b"data")
        arm.see(other.recv(10, WAITALL), outcome(other.recv, 10, WAITALL))
        one.send(b"0123456789")
        await arm.readable(other)
        other.setblocking(True)
        arm.see(other.recv(10, WAITALL))
        return [(b"data", "EAGAIN"), b"0123456789"]

    @scenario
    async def test_waitall_to_the_end(self, arm: Arm) -> Any:
        """At the end of the stream MSG_WAITALL gives what there is, on a blocking socket too."""
        one, other = await self.sent(arm, b"da")
        one.send(b"ta")
        one.close()
        await arm.calm()
        other.setblocking(True)
        arm.see(other.recv(10, WAITALL), other.recv(10, WAITALL))
        return [(b"data", b"")]

    @scenario
    async def test_recvfrom(self, arm: Arm) -> Any:
        """recvfrom on a stream is recv, and the address is None."""
        one, other = await self.sent(arm, b"data")
        buffer = bytearray(3)
        arm.see(other.recvfrom(2), other.recvfrom_into(buffer), buffer, outcome(other.recvfrom, 1))
        one.close()
        await arm.readable(other)
        arm.see(other.recvfrom(1), other.recvfrom_into(buffer))
        return [((b"da", None), (2, None), bytearray(b"ta\0"), "EAGAIN"), ((b"", None), (0, None))]

    @scenario
    async def test_recvmsg(self, arm: Arm) -> Any:
        """recvmsg on a stream gives data, no ancillary data, no flags, no address."""
        one, other = await self.sent(arm, b"0123456789")
        first, second = bytearray(3), array.array("h", [0, 0])
        arm.see(other.recvmsg(2), other.recvmsg(2, 100))
        arm.see(other.recvmsg_into([first, second], 100), first, second.tobytes())
        arm.see(outcome(other.recvmsg, 1), outcome(other.recvmsg_into, [first]), outcome(other.recvmsg, -1))
        arm.see(outcome(other.recvmsg, 1, -1), outcome(other.recvmsg_into, first), outcome(other.recvmsg_into, [b"x"]))
        one.close()
        await arm.readable(other)
        arm.see(other.recvmsg(9)[0], other.recvmsg_into([first])[0])

    @scenario
    async def test_sendto(self, arm: Arm) -> Any:
        """sendto on a TCP connection sends to the peer, whatever the address is."""
        one, other = await self.joined(arm)
        if one.family != socket.AF_UNIX:
            arm.see(one.sendto(b"data", (self.host, 9)), one.sendmsg([b"more"], [], 0, (self.host, 9)))
            await arm.readable(other)
            arm.see(other.recv(100), outcome(one.sendto, b"x"), outcome(one.sendto, b"x", 0, None))
        arm.see(outcome(one.sendto), outcome(one.sendto, b"x", b"y", b"z", b"a"))

    @scenario
    async def test_sendmsg(self, arm: Arm) -> Any:
        """sendmsg sends any number of buffers of any item size."""
        one, other = await self.joined(arm)
        arm.see(one.sendmsg([b"ab", bytearray(b"cd"), memoryview(b"efxx")[:2], array.array("h", [0x6867])]))
        arm.see(one.sendmsg([]), one.sendmsg([b""]), one.sendmsg(iter([b"ij"]), (), 0))
        await arm.readable(other)
        arm.see(other.recv(100))
        arm.see(outcome(one.sendmsg, b"ab"), outcome(one.sendmsg, ["ab"]), outcome(one.sendmsg, 5))
        arm.see(outcome(one.sendmsg, [b"x"], [(1, 2)]), outcome(one.sendmsg, [b"x"], 5))
        return [8, (0, 0, 2), b"abcdefghij", ("TypeError", "TypeError", "TypeError"), ("TypeError", "TypeError")]

    @scenario
    async def test_any_buffer(self, arm: Arm) -> Any:
        """Every send takes, and every *_into fills, memoryviews of any item size, arrays and mmaps."""
        one, other = await self.joined(arm)
        memory = mmap.mmap(-1, 4)
        memory[:] = b"mmap"
        for data in (array.array("d", [0.0]), memoryview(array.array("i", [1, 2])), memory, bytearray(b"b"),
                     memoryview(bytes(range(8))).cast("B", (2, 4))):
            arm.see(one.send(data), outcome(one.sendall, data), outcome(one.sendmsg, [data]))
        await arm.readable(other)
        doubles, shaped, filled = array.array("d", [1.0]), memoryview(bytearray(8)).cast("i", (2, 1)), mmap.mmap(-1, 4)
        arm.see(other.recv_into(doubles), doubles.tolist(), other.recv_into(shaped), other.recvfrom_into(filled)[0])
        arm.see(other.recvmsg_into([doubles, filled])[0], filled[:])
        for wrong in (b"readonly", "text", None, memoryview(bytearray(4))[::2]):
            arm.see(outcome(other.recv_into, wrong), outcome(other.recvfrom_into, wrong),
                    outcome(other.recvmsg_into, [wrong]))
        memory.close()
        filled.close()

    @scenario
    async def test_lengths(self, arm: Arm) -> Any:
        """A length that is negative or more than the buffer holds is a ValueError, none is all of it."""
        _, other = await self.sent(arm, b"0123456789")
        buffer = bytearray(4)
        arm.see(outcome(other.recv, -1), outcome(other.recvfrom, -1), outcome(other.recv_into, buffer, -1),
                outcome(other.recvfrom_into, buffer, -1), outcome(other.recv_into, buffer, 5),
                outcome(other.recvfrom_into, buffer, 5))
        arm.see(other.recv_into(buffer, 0), other.recv_into(buffer, 2), buffer, other.recvfrom(0), other.recv(0),
                other.recv_into(bytearray()), other.recv(100))
        return [("ValueError",) * 6, (4, 2, bytearray(b"4523"), (b"", None), b"", 0, b"6789")]

    @scenario
    async def test_dup(self, arm: Arm) -> Any:
        """A copy is the same connection under another number: it lives until both are closed."""
        one, other = await self.joined(arm)
        copied = arm.keep(one.dup())
        arm.see(copied.fileno() != one.fileno(), copied.gettimeout(), copied.family == one.family, copied.type,
                copied.getpeername() == one.getpeername(), copied.get_inheritable())
        one.close()
        copied.send(b"from the copy")
        await arm.readable(other)
        arm.see(other.recv(100), outcome(one.send, b"x"), await arm.readiness(other))
        copied.shutdown(socket.SHUT_WR)
        await arm.readable(other)
        arm.see(other.recv(100))
        return [(True, 0.0, True, socket.SOCK_STREAM, True, False), (b"from the copy", "EBADF", "w"), b""]

    @scenario
    async def test_shutdown_of_a_copy(self, arm: Arm) -> Any:
        """What is shut down is the connection, not the number."""
        one, other = await self.joined(arm)
        arm.keep(one.dup()).shutdown(socket.SHUT_WR)
        await arm.readable(other)
        arm.see(outcome(one.send, b"x"), other.recv(1))
        return [("EPIPE", b"")]

    @scenario
    async def test_copies_share_what_arrives(self, arm: Arm) -> Any:
        """What one copy reads the other does not."""
        _, other = await self.sent(arm, b"data")
        copied = arm.keep(other.dup())
        arm.see(other.recv(2), copied.recv(2), outcome(other.recv, 1), await arm.readiness(copied))
        return [(b"da", b"ta", "EAGAIN", "w")]

    @scenario
    async def test_detach(self, arm: Arm) -> Any:
        """A detached socket is closed; what is made from its number is the connection."""
        one, other = await self.joined(arm)
        number = one.detach()
        arm.see(number >= 0, one.fileno(), one.detach(), outcome(one.send, b"x"), outcome(one.getsockname))
        again = arm.keep(socket.socket(fileno=number))
        again.setblocking(False)
        arm.see(again.fileno() == number, again.family == other.family, again.type, again.send(b"data"))
        await arm.readable(other)
        arm.see(other.recv(100))
        return [(True, -1, -1, "EBADF", "EBADF"), (True, True, socket.SOCK_STREAM, 4), b"data"]

    @scenario
    async def test_makefile(self, arm: Arm) -> Any:
        """A file reads and writes the connection, which lives until the file is closed too."""
        one, other = await self.sent(arm, b"line one\nline two\n")
        for sock in (one, other):
            sock.setblocking(True)
        reader = other.makefile("r", encoding="ascii", newline="\n")
        writer = one.makefile("wb")
        arm.see(reader.readline(), reader.readline(), writer.write(b"buffered"))
        one.close()
        arm.see(one.fileno() >= 0, outcome(writer.flush))
        writer.close()
        arm.see(one.fileno(), reader.read())
        reader.close()
        return [("line one\n", "line two\n", 8), (True, None), (-1, "buffered")]

    @scenario
    async def test_raw_makefile(self, arm: Arm) -> Any:
        """An unbuffered file of a non-blocking socket says None where there is nothing, and knows its modes."""
        one, other = await self.sent(arm, b"data")
        with other.makefile("rwb", buffering=0) as file:
            arm.see(file.read(2), file.read(100), file.read(1), file.write(b"back"), file.name == other.fileno())
            arm.see(file.mode, file.readable(), file.writable(), file.seekable())
        await arm.readable(one)
        arm.see(one.recv(100), other.fileno() >= 0, outcome(other.makefile, "x"))
        return [(b"da", b"ta", None, 4, True), ("rwb", True, True, False), (b"back", True, "ValueError")]

    @scenario
    async def test_context(self, arm: Arm) -> Any:
        """A with statement closes the socket, and a closed one can be entered again."""
        one, other = await self.joined(arm)
        with one as same:
            arm.see(same is one, one.fileno() >= 0)
        arm.see(one.fileno(), outcome(one.__enter__) is one)
        await arm.readable(other)
        arm.see(other.recv(1))
        return [(True, True), (-1, True), b""]

    @scenario
    async def test_copying_is_refused(self, arm: Arm) -> Any:
        """A socket cannot be pickled or copied."""
        one, _ = await self.joined(arm)
        arm.see(outcome(pickle.dumps, one), outcome(copy.copy, one), outcome(copy.deepcopy, one))
        return [("TypeError", "TypeError", "TypeError")]

    @scenario
    async def test_attributes(self, arm: Arm) -> Any:
        """What a socket is, when it is open and when it is closed."""
        one, _ = await self.joined(arm)
        for _ in range(2):
            arm.see(one.family, one.type, one.timeout, one.gettimeout(), one.getblocking())
            arm.see(isinstance(one.family, socket.AddressFamily), isinstance(one.type, socket.SocketKind))
            one.close()
        arm.see(outcome(one.setblocking, True), outcome(one.settimeout, 1), outcome(one.get_inheritable),
                outcome(one.dup))

    @scenario
    async def test_timeouts(self, arm: Arm) -> Any:
        """settimeout and setblocking say the same in two words."""
        one, _ = await self.joined(arm)
        for value in (None, 0, 1, 2.5, 0.0, True):
            arm.see(outcome(one.settimeout, value), one.gettimeout(), one.getblocking())
        for value in (-1, float("nan"), float("inf"), 1e30, "1"):
            arm.see(outcome(one.settimeout, value), one.gettimeout())
        for flag in (True, False, 1, 0, "yes", ""):
            arm.see(outcome(one.setblocking, flag), one.gettimeout())

    @scenario
    async def test_closed_first(self, arm: Arm) -> Any:
        """Arguments are looked at before the socket: a wrong one is a TypeError on a closed socket too."""
        one, _ = await self.joined(arm)
        one.close()
        arm.see(outcome(one.send, "text"), outcome(one.recv, -1), outcome(one.recv, "1"), outcome(one.shutdown, "x"),
                outcome(one.recv_into, b"x"), outcome(one.sendmsg, ["x"]), outcome(one.connect_ex, None),
                outcome(one.recv, 0), outcome(one.sendall, "text"))
        arm.see(outcome(one.listen), outcome(one.accept), outcome(one.shutdown, 7), outcome(one.getpeername),
                outcome(one.getsockopt, 1, 1), outcome(one.setsockopt, 1, 1, 1), outcome(one.recvmsg, 1),
                outcome(one.recvfrom, 1), outcome(one.sendmsg, [b"x"]), outcome(one.dup))

    @scenario
    async def test_flags_that_are_none(self, arm: Arm) -> Any:
        """MSG_TRUNC throws away on TCP; flags that mean nothing here change nothing."""
        _, other = await self.sent(arm, b"0123456789")
        arm.see(len(other.recv(2, socket.MSG_DONTROUTE)), shape(None))
        arm.see(outcome(other.send, b"x", socket.MSG_NOSIGNAL), outcome(other.send, b"x", socket.MSG_DONTROUTE))
        return [(2, None), (1, 1)]


class Faces6(Faces):
    """TCP over IPv6."""

    host = "::1"


class FacesOfPair(Faces):
    """A pair of UNIX sockets."""

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()
