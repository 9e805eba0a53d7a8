"""Readers and writers: what `open_connection` and `start_server` programs see."""

import asyncio
import hashlib
from typing import Any

from tests.contracts.arms import Arm, Contract, awaited, outcome, scenario

BIG = bytes(range(256)) * 60_000

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Streams(Contract):
    """TCP over IPv4."""

    async def joined(self, arm: Arm, limit: int = 1 << 16) -> tuple[Stream, Stream]:
        """The streams at both ends of a connection, the client's first."""
        accepted: asyncio.Future[Stream] = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted.set_result((reader, writer))

        server = arm.keep(await asyncio.start_server(accept, self.host, 0, limit=limit))
        address = server.sockets[0].getsockname()[:2]
        client = await asyncio.open_connection(*address, limit=limit)
        streams = client, await accepted
        server.close()
        for reader, writer in streams:
            arm.keep_transport(writer.transport, reader, writer)
        return streams

    async def reset(self, arm: Arm, writer: asyncio.StreamWriter, peer_writer: asyncio.StreamWriter) -> None:
        """Let the peer throw away what `writer` writes, and the connection with it."""
        peer_writer.transport.pause_reading()
        writer.write(b"never read")
        await arm.calm()
        peer_writer.transport.abort()

    @scenario
    async def test_reading(self, arm: Arm) -> Any:
        """Lines, exact counts, separators, some bytes and the rest."""
        (reader, _), (_, peer) = await self.joined(arm)
        peer.write(b"a line\nexactlyup to here;some")
        arm.see(await reader.readline(), await reader.readexactly(7), await reader.readuntil(b";"))
        arm.see(await reader.read(4), reader.at_eof())
        peer.write(b"the ")
        peer.write(b"rest")
        peer.close()
        arm.see(await reader.read(), reader.at_eof(), await reader.read(), await reader.readline())
        return [(b"a line\n", b"exactly", b"up to here;"), (b"some", False), (b"the rest", True, b"", b"")]

    @scenario
    async def test_reading_lines(self, arm: Arm) -> Any:
        """A reader can be iterated, and its last line needs no end."""
        (reader, _), (_, peer) = await self.joined(arm)
        peer.writelines([b"one\n", b"two\n", b"three"])
        peer.close()
        arm.see([line async for line in reader])
        return [[b"one\n", b"two\n", b"three"]]

    @scenario
    async def test_reading_too_little(self, arm: Arm) -> Any:
        """An end of file where more was wanted is an IncompleteReadError with what there was."""
        for read in (lambda reader: reader.readexactly(10), lambda reader: reader.readuntil(b";")):
            (reader, _), (_, peer) = await self.joined(arm)
            peer.write(b"short")
            peer.close()
            try:
                await read(reader)
            except asyncio.IncompleteReadError as error:
                arm.see(error.partial, error.expected, str(error))
        return [
            (b"short", 10, "5 bytes read on a total of 10 expected bytes"),
            (b"short", None, "5 bytes read on a total of undefined expected bytes"),
        ]

    @scenario
    async def test_reading_too_much(self, arm: Arm) -> Any:
        """A line over the limit is a ValueError, a separator that does not come a LimitOverrunError."""
        (reader, _), (_, peer) = await self.joined(arm, 16)
        peer.write(b"x" * 20 + b"\nshort\n")
        await arm.calm()
        arm.see(await awaited(reader.readline()), await reader.readline())
        peer.write(b"y" * 20)
        await arm.calm()
        arm.see(await awaited(reader.readuntil(b";")))
        return [("ValueError", b"short\n"), "LimitOverrunError"]

    @scenario
    async def test_small_writes_are_one_read(self, arm: Arm) -> Any:
        """Ten writes of five bytes are read as one of fifty."""
        (reader, _), (_, peer) = await self.joined(arm)
        for number in range(10):
            peer.write(b"%05d" % number)
        await arm.calm()
        arm.see(len(await reader.read(1000)))
        return [50]

    @scenario
    async def test_a_read_waits(self, arm: Arm) -> Any:
        """A read waits for data, can be cancelled, and takes nothing then."""
        (reader, _), (_, peer) = await self.joined(arm)
        reading = arm.start(reader.read(10))
        await arm.calm()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        peer.write(b"data")
        arm.see(reading.cancelled(), await reader.read(10))
        return [(True, b"data")]

    @scenario
    async def test_two_readers(self, arm: Arm) -> Any:
        """A stream has one reader at a time."""
        (reader, _), _ = await self.joined(arm)
        arm.start(reader.read(10))
        await arm.calm()
        arm.see(await awaited(reader.read(10)))
        return ["RuntimeError"]

    @scenario
    async def test_conversation(self, arm: Arm) -> Any:
        """Question and answer, many times, over one connection."""
        (reader, writer), (peer_reader, peer_writer) = await self.joined(arm)

        async def answer() -> None:
            async for line in peer_reader:
                peer_writer.write(line.upper())
                await peer_writer.drain()
            peer_writer.close()

        answering = arm.start(answer())
        for word in (b"one\n", b"two\n", b"three\n"):
            writer.write(word)
            await writer.drain()
            arm.see(await reader.readline())
        writer.write_eof()
        arm.see(await reader.read(), await answering)
        return [b"ONE\n", b"TWO\n", b"THREE\n", (b"", None)]

    @scenario
    async def test_half_close(self, arm: Arm) -> Any:
        """write_eof() ends one direction; the answer still comes, and the other end half-closes as well."""
        (reader, writer), (peer_reader, peer_writer) = await self.joined(arm)
        arm.see(writer.can_write_eof())
        writer.write(b"question")
        writer.write_eof()
        arm.see(await peer_reader.read(), peer_reader.at_eof(), peer_writer.is_closing())
        peer_writer.write(b"answer")
        peer_writer.write_eof()
        arm.see(await reader.read(), writer.is_closing(), peer_writer.is_closing())
        arm.see(outcome(writer.write, b"late"))
        return [True, (b"question", True, False), (b"answer", False, False), "RuntimeError"]

    @scenario
    async def test_close(self, arm: Arm) -> Any:
        """close() sends what was written, wait_closed() waits for it, and the peer reads to the end."""
        (_, writer), (peer_reader, peer_writer) = await self.joined(arm)
        writer.write(b"bye")
        arm.see(writer.is_closing(), outcome(writer.close), writer.is_closing(), await awaited(writer.wait_closed()))
        arm.see(await peer_reader.read(), peer_writer.is_closing())
        peer_writer.close()
        arm.see(await awaited(peer_writer.wait_closed()), outcome(writer.close))
        return [(False, None, True, None), (b"bye", False), (None, None)]

    @scenario
    async def test_close_wakes_the_own_reader(self, arm: Arm) -> Any:
        """A task that reads what another one closes is at the end of file."""
        (reader, writer), _ = await self.joined(arm)
        reading = arm.start(awaited(reader.read(10)))
        await arm.calm()
        writer.close()
        arm.see(await reading)
        return [b""]

    @scenario
    async def test_drain_waits(self, arm: Arm) -> Any:
        """drain() waits for a peer that does not read, and goes on when it does."""
        (_, writer), (peer_reader, _) = await self.joined(arm)
        writer.write(BIG)
        draining = arm.start(writer.drain())
        await arm.calm()
        arm.see(draining.done())
        data = await peer_reader.readexactly(len(BIG))
        arm.see(await draining, data == BIG, writer.transport.get_write_buffer_size())
        return [False, (None, True, 0)]

    @scenario
    async def test_drain_after_reset(self, arm: Arm) -> Any:
        """After a reset drain() raises what the connection was lost for, or ConnectionResetError."""
        (reader, writer), (_, peer_writer) = await self.joined(arm)
        await self.reset(arm, writer, peer_writer)
        arm.see(await awaited(reader.read(10)))
        writer.write(b"anybody?")
        arm.see(await awaited(writer.drain()), writer.is_closing(), await awaited(writer.wait_closed()))
        return ["ECONNRESET", ("ECONNRESET", True, "ECONNRESET")]

    @scenario
    async def test_drain_of_a_waiting_writer_is_reset(self, arm: Arm) -> Any:
        """A drain() that waits is ended by a reset."""
        (_, writer), (_, peer_writer) = await self.joined(arm)
        writer.write(BIG)
        draining = arm.start(awaited(writer.drain()))
        await arm.calm()
        await self.reset(arm, writer, peer_writer)
        arm.see(await draining)
        return ["ECONNRESET"]

    @scenario
    async def test_drain_after_the_peer_closed(self, arm: Arm) -> Any:
        """Writing to a peer that closed goes unnoticed once, and then drain() tells."""
        (reader, writer), (_, peer_writer) = await self.joined(arm)
        peer_writer.close()
        arm.see(await reader.read())
        results = []
        for _ in range(4):
            writer.write(b"anybody?")
            results.append(await awaited(writer.drain()))
            await arm.calm()
        arm.see(results)
        return [b"", [None, "ConnectionResetError", "EPIPE", "EPIPE"]]

    @scenario
    async def test_read_after_reset(self, arm: Arm) -> Any:
        """A read that waits is ended by a reset, and so is every later one."""
        (reader, writer), (_, peer_writer) = await self.joined(arm)
        reading = arm.start(awaited(reader.read(10)))
        await arm.calm()
        await self.reset(arm, writer, peer_writer)
        arm.see(await reading, await awaited(reader.read(10)), await awaited(reader.readline()))
        return [("ECONNRESET", "ECONNRESET", "ECONNRESET")]

    @scenario
    async def test_close_with_unread_data_of_the_reader(self, arm: Arm) -> Any:
        """What a StreamReader holds was read from the socket: closing then is orderly for the peer."""
        (reader, writer), (peer_reader, peer_writer) = await self.joined(arm)
        peer_writer.write(b"never read")
        await arm.calm()
        writer.close()
        arm.see(await awaited(peer_reader.read()), await awaited(reader.read(5)))
        return [(b"", b"never")]

    @scenario
    async def test_reader_pushes_back(self, arm: Arm) -> Any:
        """A reader that nobody reads stops reading from its socket, until somebody does."""
        (reader, _), (_, peer_writer) = await self.joined(arm, 1000)
        peer_writer.write(BIG)
        await arm.calm()
        arm.see(peer_writer.transport.get_write_buffer_size() > 0)
        peer_writer.write_eof()
        digest = hashlib.sha256()
        while data := await reader.read(1 << 16):
            digest.update(data)
        arm.see(digest.digest() == hashlib.sha256(BIG).digest())
        return [True, True]

    @scenario
    async def test_bulk_both_ways(self, arm: Arm) -> Any:
        """Megabytes that cross each other arrive whole on both sides."""

        async def send(writer: asyncio.StreamWriter, data: bytes) -> None:
            for start in range(0, len(data), 100_000):
                writer.write(data[start : start + 100_000])
                await writer.drain()
            writer.write_eof()

        one, other = await self.joined(arm)
        payloads = (BIG[1:3_000_000], BIG[7:4_000_000])
        for (_, writer), payload in zip((one, other), payloads, strict=True):
            arm.start(send(writer, payload))
        for (reader, _), payload in zip((other, one), payloads, strict=True):
            arm.see(await reader.read() == payload)
        return [True, True]

    @scenario
    async def test_writer_knows_its_ends(self, arm: Arm) -> Any:
        """The two writers of a connection have each other's names."""
        (_, writer), (_, peer_writer) = await self.joined(arm)
        for one, other in ((writer, peer_writer), (peer_writer, writer)):
            arm.see(one.get_extra_info("sockname") == other.get_extra_info("peername"))
            arm.see(one.get_extra_info("socket").getsockname() == one.get_extra_info("sockname"))
        return [True, True, True, True]

    @scenario
    async def test_connection_that_times_out(self, arm: Arm) -> Any:
        """A read under a timeout raises TimeoutError, and the connection stays good."""
        (reader, _), (_, peer_writer) = await self.joined(arm)
        arm.see(await awaited(asyncio.wait_for(reader.read(10), 0.01)))
        peer_writer.write(b"late")
        arm.see(await reader.read(10))
        return ["TimeoutError", b"late"]


class Streams6(Streams):
    """TCP over IPv6."""

    host = "::1"


class StreamsOverPair(Streams):
    """`socket.socketpair()`, through open_connection(sock=)."""

    async def joined(self, arm: Arm, limit: int = 1 << 16) -> tuple[Stream, Stream]:
        one, other = [await asyncio.open_connection(sock=sock, limit=limit) for sock in arm.pair()]
        for reader, writer in (one, other):
            arm.keep_transport(writer.transport, reader, writer)
        return one, other

    @scenario
    async def test_drain_after_the_peer_closed(self, arm: Arm) -> Any:
        """Writing to a peer that closed is noticed at once."""
        (reader, writer), (_, peer_writer) = await self.joined(arm)
        peer_writer.close()
        arm.see(await reader.read())
        for _ in range(3):
            writer.write(b"anybody?")
            arm.see(await awaited(writer.drain()))
        return [b"", "ConnectionResetError", "EPIPE", "EPIPE"]
