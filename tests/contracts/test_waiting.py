"""The loop's own calls on sockets: what waits, what wakes it, and that readiness is a level and not an edge."""

import asyncio
import io
import os
import socket
from typing import Any

from tests.contracts.arms import RESET_ON_CLOSE, Arm, Contract, awaited, outcome, scenario, shape

BIG = bytes(range(256)) * 40_000


class Waiting(Contract):
    """TCP over IPv4."""

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host)

    async def narrow(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return await arm.connection(self.host, buffer=4096)

    # sock_* of a joined pair

    @scenario
    async def test_sock_recv(self, arm: Arm) -> Any:
        """sock_recv() waits for data, takes what is there, and is at the end of file for ever."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        receiving = arm.start(loop.sock_recv(own, 100))
        await arm.calm()
        arm.see(receiving.done())
        await loop.sock_sendall(peer, b"data")
        arm.see(await receiving)
        peer.close()
        arm.see(await loop.sock_recv(own, 100), await loop.sock_recv(own, 100))
        return [False, b"data", (b"", b"")]

    @scenario
    async def test_sock_recv_into(self, arm: Arm) -> Any:
        """sock_recv_into() waits likewise, and fills a part of its buffer."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        buffer = bytearray(b"........")
        receiving = arm.start(loop.sock_recv_into(own, memoryview(buffer)[2:]))
        await arm.calm()
        arm.see(receiving.done())
        peer.send(b"data")
        arm.see(await receiving, bytes(buffer))
        peer.send(b"0123456789")
        arm.see(await loop.sock_recv_into(own, buffer), bytes(buffer))
        arm.see(await loop.sock_recv_into(own, buffer), bytes(buffer))
        return [False, (4, b"..data.."), (8, b"01234567"), (2, b"89234567")]

    @scenario
    async def test_sock_recv_cancelled(self, arm: Arm) -> Any:
        """A sock_recv() that is cancelled takes nothing; the next one gets the data."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        receiving = arm.start(loop.sock_recv(own, 100))
        await arm.calm()
        receiving.cancel()
        peer.send(b"data")
        arm.see((await asyncio.gather(receiving, return_exceptions=True))[0].__class__.__name__)
        arm.see(await loop.sock_recv(own, 100), loop.remove_reader(own))
        return ["CancelledError", (b"data", False)]

    @scenario
    async def test_sock_sendall(self, arm: Arm) -> Any:
        """sock_sendall() waits until a slow reader has taken enough, and everything arrives in order."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        sending = arm.start(loop.sock_sendall(own, BIG))
        await arm.calm()
        arm.see(sending.done())
        data = bytearray()
        while len(data) < len(BIG):
            data += await loop.sock_recv(peer, 1 << 20)
        arm.see(await sending, data == BIG)
        return [False, (None, True)]

    @scenario
    async def test_sock_sendall_of_nothing(self, arm: Arm) -> Any:
        """There is nothing to wait for when there is nothing to send, even when the buffer is full."""
        own, _ = await self.narrow(arm)
        await arm.fill(own)
        arm.see(await awaited(asyncio.get_running_loop().sock_sendall(own, b"")))
        return [None]

    @scenario
    async def test_close_wakes_sock_recv(self, arm: Arm) -> Any:
        """The peer's close() ends a waiting sock_recv()."""
        own, peer = await self.joined(arm)
        receiving = arm.start(asyncio.get_running_loop().sock_recv(own, 100))
        await arm.calm()
        peer.close()
        arm.see(await receiving)
        return [b""]

    @scenario
    async def test_reset_wakes_sock_recv(self, arm: Arm) -> Any:
        """Data that the peer throws away ends a waiting sock_recv() with ECONNRESET."""
        own, peer = await self.joined(arm)
        own.send(b"never read")
        await arm.readable(peer)
        receiving = arm.start(awaited(asyncio.get_running_loop().sock_recv(own, 100)))
        await arm.calm()
        peer.close()
        arm.see(await receiving)
        return ["ECONNRESET"]

    @scenario
    async def test_both_wait_on_one_socket(self, arm: Arm) -> Any:
        """One task may wait to read a socket while another waits to write it."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        sending = arm.start(loop.sock_sendall(own, BIG))
        receiving = arm.start(loop.sock_recv(own, 100))
        await arm.calm()
        await loop.sock_sendall(peer, b"stop")
        arm.see(await receiving, sending.done())
        data = bytearray()
        while len(data) < len(BIG):
            data += await loop.sock_recv(peer, 1 << 20)
        arm.see(await sending, data == BIG)
        return [(b"stop", False), (None, True)]

    @scenario
    async def test_sock_calls_on_a_closed_socket(self, arm: Arm) -> Any:
        """A closed socket cannot be waited for."""
        own, _ = await self.joined(arm)
        own.close()
        loop = asyncio.get_running_loop()
        arm.see(await awaited(loop.sock_recv(own, 1)), await awaited(loop.sock_sendall(own, b"x")))
        arm.see(outcome(loop.add_reader, own, print), outcome(loop.add_writer, own, print))
        return [("EBADF", "EBADF"), ("ValueError", "ValueError")]

    # Readers and writers

    @scenario
    async def test_reader_is_level_triggered(self, arm: Arm) -> Any:
        """A reader is called in every turn of the loop until the data is gone, and again for new data."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        calls: list[str] = []
        loop.add_reader(own, calls.append, "called")
        await arm.calm()
        arm.see(calls)
        peer.send(b"abcd")
        await arm.until(lambda: len(calls) >= 5)
        own.recv(2)
        calls.clear()
        await arm.until(lambda: len(calls) >= 5)
        own.recv(2)
        await arm.turns(3)
        calls.clear()
        await arm.calm()
        arm.see(calls)
        peer.send(b"more")
        await arm.until(lambda: len(calls) >= 5)
        arm.see(loop.remove_reader(own), loop.remove_reader(own))
        await arm.turns(3)
        calls.clear()
        await arm.calm()
        arm.see(calls)
        return [[], [], (True, False), []]

    @scenario
    async def test_writer_is_level_triggered(self, arm: Arm) -> Any:
        """A writer is called in every turn of the loop while the buffer has room, and not while it is full."""
        own, peer = await self.narrow(arm)
        loop = asyncio.get_running_loop()
        calls: list[str] = []
        loop.add_writer(own, calls.append, "called")
        await arm.turns(5)
        arm.see(len(calls) >= 3)
        sent = await arm.fill(own)
        await arm.turns(3)
        calls.clear()
        await arm.calm()
        arm.see(calls)
        while sent:
            sent -= len(await loop.sock_recv(peer, 1 << 20))
        await arm.until(lambda: len(calls) >= 5)
        arm.see(loop.remove_writer(own), loop.remove_writer(own))
        return [True, [], (True, False)]

    @scenario
    async def test_reader_and_writer_of_one_socket(self, arm: Arm) -> Any:
        """A socket's reader and writer come and go without each other."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        calls: set[str] = set()
        loop.add_reader(own, calls.add, "reader")
        loop.add_writer(own, calls.add, "writer")
        await arm.turns(5)
        arm.see(sorted(calls))
        peer.send(b"data")
        await arm.until(lambda: len(calls) == 2)
        arm.see(loop.remove_writer(own))
        await arm.turns(3)
        calls.clear()
        await arm.until(lambda: calls)
        arm.see(sorted(calls), loop.remove_reader(own))
        return [["writer"], True, (["reader"], True)]

    @scenario
    async def test_second_reader_replaces_the_first(self, arm: Arm) -> Any:
        """A socket has one reader, the last that was added."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        calls: set[str] = set()
        loop.add_reader(own, calls.add, "first")
        loop.add_reader(own, calls.add, "second")
        peer.send(b"data")
        await arm.until(lambda: calls)
        await arm.turns(3)
        arm.see(sorted(calls), loop.remove_reader(own), loop.remove_reader(own))
        return [(["second"], True, False)]

    @scenario
    async def test_reader_by_number(self, arm: Arm) -> Any:
        """A socket and its file number are the same thing to the loop."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        event = asyncio.Event()
        loop.add_reader(own.fileno(), event.set)
        peer.send(b"data")
        await event.wait()
        arm.see(loop.remove_reader(own), loop.remove_reader(own.fileno()))
        return [(True, False)]

    @scenario
    async def test_reader_that_removes_itself(self, arm: Arm) -> Any:
        """A reader that removes itself is called once."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        calls: list[Any] = []
        loop.add_reader(own, lambda: calls.append(loop.remove_reader(own)))
        peer.send(b"data")
        await arm.until(lambda: calls)
        await arm.calm()
        arm.see(calls)
        return [[True]]

    @scenario
    async def test_close_wakes_reader_and_writer(self, arm: Arm) -> Any:
        """A reset calls the reader and the writer of a socket that could do neither."""
        own, peer = await self.narrow(arm)
        loop = asyncio.get_running_loop()
        await arm.fill(own)
        calls: set[str] = set()
        loop.add_reader(own, calls.add, "reader")
        loop.add_writer(own, calls.add, "writer")
        await arm.calm()
        arm.see(sorted(calls))
        peer.close()
        await arm.until(lambda: len(calls) == 2)
        arm.see(loop.remove_reader(own), loop.remove_writer(own))
        return [[], (True, True)]

    @scenario
    async def test_reader_under_a_transport(self, arm: Arm) -> Any:
        """A socket that a transport uses belongs to it."""
        own, _ = await self.joined(arm)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=own)
        arm.keep_transport(transport)
        arm.see(outcome(loop.add_reader, own, print), outcome(loop.remove_writer, own.fileno()))
        arm.see(await awaited(loop.sock_recv(own, 1)))
        return [("RuntimeError", "RuntimeError"), "RuntimeError"]

    @scenario
    async def test_sock_sendfile(self, arm: Arm) -> Any:
        """sock_sendfile() sends what is asked for of a file, and leaves the file's position behind it."""
        own, peer = await self.joined(arm)
        loop = asyncio.get_running_loop()
        for offset, count in ((0, None), (3, None), (2, 4), (8, 5), (20, None)):
            arm.see(await loop.sock_sendfile(own, io.BytesIO(b"0123456789"), offset, count))
            arm.see(await loop.sock_recv(peer, 100) if offset < 10 else outcome(peer.recv, 1))
        return [10, b"0123456789", 7, b"3456789", 4, b"2345", 2, b"89", 0, "EAGAIN"]

    @scenario
    async def test_sock_sendfile_that_is_refused(self, arm: Arm) -> Any:
        """sock_sendfile() wants a binary file, a number of bytes, and no fallback where there is no need of one."""
        own, _ = await self.joined(arm)
        loop = asyncio.get_running_loop()
        with open(os.devnull) as text:
            arm.see(await awaited(loop.sock_sendfile(own, text)))
        arm.see(await awaited(loop.sock_sendfile(own, io.BytesIO(b"x"), 0, 0)))
        arm.see(await awaited(loop.sock_sendfile(own, io.BytesIO(b"x"), -1)))
        arm.see(await awaited(loop.sock_sendfile(own, io.BytesIO(b"x"), 0, "1")))
        arm.see(await awaited(loop.sock_sendfile(own, io.BytesIO(b"x"), fallback=False)))
        return ["ValueError", "ValueError", "ValueError", "TypeError", "SendfileNotAvailableError"]


class Waiting6(Waiting):
    """TCP over IPv6."""

    host = "::1"


class WaitingInPair(Waiting):
    """`socket.socketpair()`."""

    async def joined(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()

    async def narrow(self, arm: Arm) -> tuple[socket.socket, socket.socket]:
        return arm.pair()


class WaitingToConnect(Contract):
    """What only TCP has to wait for, over IPv4."""

    @scenario
    async def test_sock_connect_and_accept(self, arm: Arm) -> Any:
        """sock_accept() waits for sock_connect(), and both ends can talk."""
        loop = asyncio.get_running_loop()
        listener = arm.listener(self.host)
        accepting = arm.start(loop.sock_accept(listener))
        await arm.calm()
        client = arm.socket(self.host)
        arm.see(accepting.done(), await loop.sock_connect(client, listener.getsockname()[:2]))
        server, address = await accepting
        arm.keep(server)
        arm.see(address == client.getsockname(), shape(server.getpeername()) == shape(address), server.gettimeout())
        await loop.sock_sendall(server, b"hello")
        arm.see(await loop.sock_recv(client, 10))
        return [(False, None), (True, True, 0.0), b"hello"]

    @scenario
    async def test_two_accept_tasks(self, arm: Arm) -> Any:
        """Two listeners wait side by side, and each gets its own client."""
        loop = asyncio.get_running_loop()
        listeners = [arm.listener(self.host) for _ in range(2)]
        accepting = [arm.start(loop.sock_accept(listener)) for listener in listeners]
        await arm.calm()
        clients = [arm.socket(self.host) for _ in range(2)]
        for client, listener in zip(clients, reversed(listeners), strict=True):
            await loop.sock_connect(client, listener.getsockname()[:2])
        addresses = [(arm.keep(sock), address)[1] for sock, address in await asyncio.gather(*accepting)]
        arm.see(addresses == [client.getsockname() for client in reversed(clients)])
        return [True]

    @scenario
    async def test_sock_accept_cancelled(self, arm: Arm) -> Any:
        """A cancelled sock_accept() takes no connection away."""
        loop = asyncio.get_running_loop()
        listener = arm.listener(self.host)
        accepting = arm.start(loop.sock_accept(listener))
        await arm.calm()
        accepting.cancel()
        await asyncio.gather(accepting, return_exceptions=True)
        client = await arm.dial(listener)
        server, address = await loop.sock_accept(listener)
        arm.keep(server)
        arm.see(address == client.getsockname())
        return [True]

    @scenario
    async def test_sock_connect_refused(self, arm: Arm) -> Any:
        """sock_connect() to nobody raises ConnectionRefusedError and says which address."""
        sock = arm.socket(self.host)
        sock.bind((self.host, 0))
        port = sock.getsockname()[1]
        client = arm.socket(self.host)
        try:
            await asyncio.get_running_loop().sock_connect(client, (self.host, port))
        except ConnectionRefusedError as error:
            arm.see(str(error).replace(str(port), "port"), error.strerror.replace(str(port), "port"))
        arm.see(outcome(client.getpeername), await arm.readiness(client))
        text = f"Connect call failed ('{self.host}', port)"
        return [(f"[Errno 111] {text}", text), ("ENOTCONN", "rw")]

    @scenario
    async def test_sock_connect_waits_for_room(self, arm: Arm) -> Any:
        """sock_connect() waits while the queue of the listener is full."""
        loop = asyncio.get_running_loop()
        listener = arm.listener(self.host, backlog=0)
        await arm.dial(listener)
        client = arm.socket(self.host)
        connecting = arm.start(loop.sock_connect(client, listener.getsockname()[:2]))
        await arm.calm()
        arm.see(connecting.done())
        await arm.answer(listener)
        arm.see(await connecting, client.getpeername() == listener.getsockname())
        return [False, (None, True)]

    @scenario
    async def test_sock_connect_cancelled(self, arm: Arm) -> Any:
        """A connect that waits can be given up, and the socket closed."""
        loop = asyncio.get_running_loop()
        listener = arm.listener(self.host, backlog=0)
        await arm.dial(listener)
        client = arm.socket(self.host)
        try:
            async with asyncio.timeout(0.01):
                await loop.sock_connect(client, listener.getsockname()[:2])
        except TimeoutError:
            arm.see("timeout", outcome(client.getpeername), loop.remove_writer(client))
        client.close()
        first = await arm.answer(listener)
        await arm.calm()
        arm.see(outcome(listener.accept), await arm.readiness(first))
        return [("timeout", "ENOTCONN", False), ("EAGAIN", "w")]

    @scenario
    async def test_sock_connect_twice(self, arm: Arm) -> Any:
        """A connected socket cannot be connected elsewhere."""
        loop = asyncio.get_running_loop()
        listener = arm.listener(self.host)
        client = arm.socket(self.host)
        await loop.sock_connect(client, listener.getsockname()[:2])
        server = await arm.answer(listener)
        arm.see(await awaited(loop.sock_connect(server, listener.getsockname()[:2])))
        return ["EISCONN"]

    @scenario
    async def test_hard_reset_wakes_everybody(self, arm: Arm) -> Any:
        """Of a reader and a sender that wait on one socket the reset is told to one, and neither waits on."""
        loop = asyncio.get_running_loop()
        own, peer = await arm.connection(self.host)
        sending = arm.start(awaited(loop.sock_sendall(own, BIG)))
        receiving = arm.start(awaited(loop.sock_recv(own, 100)))
        await arm.calm()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        peer.close()
        arm.see(await receiving, await sending)
        return [("ECONNRESET", "EPIPE")]

    @scenario
    async def test_reader_of_a_listener(self, arm: Arm) -> Any:
        """A listener's reader is called while somebody waits, however many they are."""
        listener = arm.listener(self.host)
        loop = asyncio.get_running_loop()
        accepted: list[Any] = []

        def accept() -> None:
            accepted.append(arm.keep(listener.accept()[0]).getpeername())

        loop.add_reader(listener, accept)
        clients = [await arm.dial(listener) for _ in range(3)]
        await arm.until(lambda: len(accepted) == 3)
        loop.remove_reader(listener)
        arm.see(accepted == [client.getsockname() for client in clients])
        return [True]
