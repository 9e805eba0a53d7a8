"""What a program of asyncio leaves open that is killed, or ends, and what becomes of its tasks."""

import socket
import sys
from collections.abc import Callable
from typing import Any

from tests.contracts import test_ended
from tests.contracts.arms import Arm, outcome, scenario
from tests.contracts.test_ended import HERE, EndedContract
from tests.contracts.test_passed import python


async def python_async() -> None:
    """`python -S -E -c SOURCE ...`, whose source has an `async def main()`: it runs in a task of the loop."""
    names: dict[str, Any] = {"__name__": "program"}
    source, sys.argv[:5] = sys.argv[4], ["-c"]
    exec(compile(source, "<string>", "exec"), names)
    await names["main"]()


class EndedTasks(EndedContract):
    """A program of asyncio, which is a task of the test's own loop on the virtual one."""

    program: Any = staticmethod(python_async)
    play = test_ended.Ended.play
    running = test_ended.Ended.running
    end = test_ended.Ended.end
    listener = test_ended.Ended.listener
    taken = test_ended.Ended.taken
    all_of = test_ended.Ended.all_of
    says_goodbye = False  # before it ends

    async def against(self, arm: Arm, source: str, talk: Callable[[socket.socket, Any], None], then: str = "") -> None:
        """Run a program that connects; `talk(sock, child)` is the other side, which ends it. `then` runs beside that.
        """
        source = f"""
async def main():
    global writer
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sys.argv[1]))
{source}
    print(flush=True)
    {then}
    await asyncio.to_thread(sys.stdin.read)
if __name__ == "__main__":
    asyncio.run(main())"""

        def body() -> None:
            listener = self.listener(arm)
            with self.running(source, listener.getsockname()[1]) as (child, _):
                talk(self.taken(arm, listener), child)

        await self.play(body)

    @scenario
    async def test_what_it_has_written(self, arm: Arm) -> Any:
        """What has gone to the kernel arrives, what asyncio has still kept does not."""

        def talk(sock: socket.socket, child: Any) -> None:
            self.end(child)
            size, end = self.all_of(sock)
            arm.see(50_000 <= size < 9_000_000, end)

        await self.against(arm, "    writer.write(bytes(50_000))\n    writer.write(bytes(9_000_000))", talk)
        return [(True, b"")]

    @scenario
    async def test_what_it_has_read(self, arm: Arm) -> Any:
        """What asyncio has read for it counts as read, and what it has left in the kernel does not."""

        def talk(sock: socket.socket, child: Any) -> None:
            sock.send(b"read by asyncio")
            arm.see(sock.recv(9))
            if is_paused:
                sock.send(b"not read")
            self.end(child)
            arm.see(outcome(sock.recv, 9), outcome(sock.recv, 9))

        for is_paused in (False, True):
            pause = "; writer.transport.pause_reading()" * is_paused
            await self.against(arm, "", talk, f"await reader.readexactly(1){pause}; writer.write(b'got it')")
        return [b"got it", (b"", b""), b"got it", ("ECONNRESET", b"")]

    @scenario
    async def test_its_tasks(self, arm: Arm) -> Any:
        """Its tasks do no more; where it comes to its end they are cancelled before that, and may say so."""
        source = """
    async def tick():
        try:
            while True:
                await asyncio.sleep(0.01)
                writer.write(b".")
        finally:
            writer.write(b"goodbye")
    global task, timer
    task = asyncio.create_task(tick())
    timer = asyncio.get_running_loop().call_later(0.1, lambda: writer.write(b"late"))"""

        def talk(sock: socket.socket, child: Any) -> None:
            arm.see(sock.recv(1))
            self.end(child)
            said = b""
            while data := sock.recv(9):
                said += data
            arm.see(said.lstrip(b".").replace(b"late", b""))

        await self.against(arm, source, talk)
        return [b".", b"goodbye" if self.says_goodbye else b""]

    @scenario
    async def test_its_server(self, arm: Arm) -> Any:
        """Its servers refuse, and their connections end."""
        source = """
async def answer(reader, writer):
    writer.write(await reader.readline())
    try:
        await reader.read()
    except asyncio.CancelledError:
        pass  # asyncio of 3.11 makes a fuss about it
async def main():
    global server
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    ready = server.sockets[0].getsockname()[1]
    print(ready, flush=True)
    await asyncio.to_thread(sys.stdin.read)
if __name__ == "__main__":
    asyncio.run(main())"""

        def body() -> None:
            with self.running(source) as (child, port):
                sock = arm.keep(socket.create_connection((HERE, port)))
                sock.send(b"hello\n")
                arm.see(sock.recv(9))
                self.end(child)
                arm.see(sock.recv(9), outcome(socket.create_connection, (HERE, port)))

        await self.play(body)
        return [b"hello\n", (b"", "ECONNREFUSED")]

    @scenario
    async def test_its_datagrams(self, arm: Arm) -> Any:
        """Nobody answers at its endpoint any more."""
        source = """
class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, address):
        self.transport.sendto(data.upper(), address)
async def main():
    global transport
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    print(transport.get_extra_info("sockname")[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
if __name__ == "__main__":
    asyncio.run(main())"""

        def body() -> None:
            with self.running(source) as (child, port):
                sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sock.settimeout(10)
                sock.connect((HERE, int(port)))
                sock.send(b"a")
                arm.see(sock.recv(9))
                self.end(child)
                sock.send(b"b")
                arm.see(outcome(sock.recv, 9))

        await self.play(body)
        return [b"A", "ECONNREFUSED"]


class TasksEndByThemselves(EndedTasks):
    """The same of programs that come to their end."""

    end = test_ended.EndsByItself.end
    says_goodbye = True


class EndedLoops(EndedTasks):
    """The same of a program with a loop of its own, in a thread."""

    program = staticmethod(python)


class LoopsEndByThemselves(TasksEndByThemselves):
    """The same of one that comes to its end."""

    program = staticmethod(python)
