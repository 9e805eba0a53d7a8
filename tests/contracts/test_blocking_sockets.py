"""Sockets and selectors that threads wait for: in time, too late, and at the end of a peer."""

import asyncio
import selectors
import socket
import threading
from typing import Any

from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.waits import what


class Sockets(Contract):
    @scenario
    async def test_accept_with_a_limit(self, arm: Arm) -> Any:
        """accept() runs out, and gives who comes in time."""

        def body() -> None:
            with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
                listener.settimeout(arm.step)
                arm.see(what(listener.accept))
                listener.settimeout(100 * arm.step)
                arm.later(1, client.connect, listener.getsockname())
                with listener.accept()[0] as end:
                    arm.see(end.gettimeout(), end.getpeername() == client.getsockname())

        await asyncio.to_thread(body)
        return ["TimeoutError", (None, True)]

    @scenario
    async def test_sendall_against_a_slow_reader(self, arm: Arm) -> Any:
        """sendall() waits until a reader has made room, and runs out where none does."""

        def body() -> None:
            one, two = socket.socketpair()
            data = bytes(1 << 22)
            with one, two:
                one.settimeout(arm.step)
                arm.see(what(one.sendall, data))
                one.settimeout(None)
                got = []

                def read() -> None:
                    arm.nap(1)
                    while piece := two.recv(1 << 16):
                        got.append(len(piece))

                reader = threading.Thread(target=read)
                reader.start()
                one.sendall(data)
                one.shutdown(socket.SHUT_WR)
                reader.join()
                arm.see(sum(got) >= len(data))

        await asyncio.to_thread(body)
        return ["TimeoutError", True]

    @scenario
    async def test_datagrams(self, arm: Arm) -> Any:
        """recvfrom() waits for a datagram of another thread, and runs out."""

        def body() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, \
                    socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
                one.bind(("127.0.0.1", 0))
                one.settimeout(arm.step)
                arm.see(what(one.recvfrom, 99))
                one.settimeout(100 * arm.step)
                arm.later(1, two.sendto, b"hello", one.getsockname())
                arm.see(one.recv(99))

        await asyncio.to_thread(body)
        return ["TimeoutError", b"hello"]

    @scenario
    async def test_a_selector_for_many(self, arm: Arm) -> Any:
        """select() wakes for each peer at its time, and gives nothing at its limit."""

        def body() -> None:
            pairs = [socket.socketpair() for _ in range(3)]
            with selectors.DefaultSelector() as selector:
                for number, (one, two) in enumerate(pairs):
                    selector.register(one, selectors.EVENT_READ, number)
                    arm.later(3 - number, two.send, b"x")
                for _ in pairs:
                    for key, _ in selector.select(100 * arm.step):
                        arm.see(key.data)
                        selector.unregister(key.fileobj)
                arm.see(selector.select(arm.step))
            for pair in pairs:
                for sock in pair:
                    sock.close()

        await asyncio.to_thread(body)
        return [2, 1, 0, []]

    @scenario
    async def test_a_peer_that_leaves(self, arm: Arm) -> Any:
        """A reader that waits sees the end of its peer."""

        def body() -> None:
            one, two = socket.socketpair()
            with one:
                arm.later(1, two.close)
                arm.see(one.recv(9))
                arm.see(what(one.sendall, b"x"))

        await asyncio.to_thread(body)
        return [b"", "BrokenPipeError"]
