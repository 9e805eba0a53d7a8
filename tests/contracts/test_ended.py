"""What a program leaves open that is killed, or ends: a real interpreter, and a program of a test that does the same.

The kernel closes its sockets: what it had sent arrives, and then the end of the stream; whoever had sent it something
that it has not read is reset. What its starter has too stays open there.
"""

import asyncio
import contextlib
import gc
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from subprocess import PIPE
from typing import Any

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.peers.programs.table import programs_of
from tests.contracts.arms import Arm, Contract, outcome, scenario
from tests.contracts.test_passed import NAME, python

IMPORTS = """
import asyncio, os, socket, struct, sys, threading, time
def ready(what=""):
    print(what, flush=True)
    sys.stdin.read()
def connected():
    return socket.create_connection(("127.0.0.1", int(sys.argv[1])))
"""
HERE = "127.0.0.1"


class EndedContract(Contract):
    def setUp(self) -> None:
        """A program that is no more closes nothing, and of a loop of its own Python says so where it is collected."""
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore", ResourceWarning)
        self.addCleanup(gc.collect)


class Ended(EndedContract):
    """A program of blocking calls, which is a thread of its own on the virtual loop."""

    program: Any = staticmethod(python)

    async def play(self, body: Callable[[], Any]) -> Any:
        """Run the scenario in a job; on the virtual loop the program has to be added."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            programs_of(loop.world).add(NAME, self.program)
        return await asyncio.to_thread(body)

    @contextlib.contextmanager
    def running(self, source: str, *args: Any, **options: Any) -> Any:
        """Such a program that has said that it is ready, and what that was. It is over after the block."""
        words = [sys.executable, "-S", "-E", "-c", IMPORTS + source, *map(str, args)]
        child = subprocess.Popen(words, stdin=PIPE, stdout=PIPE, text=True, **options)
        assert child.stdin is not None and child.stdout is not None
        with child.stdout, child.stdin:
            said = child.stdout.readline().strip()
            try:
                yield child, said
            finally:
                child.kill()
                child.wait()

    def end(self, child: Any) -> None:
        """Kill it."""
        child.kill()
        child.wait()

    def listener(self, arm: Arm) -> socket.socket:
        sock = arm.keep(socket.create_server((HERE, 0)))
        return sock

    def taken(self, arm: Arm, listener: socket.socket) -> socket.socket:
        """The connection of a program."""
        sock, _ = listener.accept()
        sock.settimeout(10)
        return arm.keep(sock)

    def all_of(self, sock: socket.socket) -> Any:
        """How much comes, and how it ends."""
        size = 0
        while isinstance(data := outcome(sock.recv, 100_000), bytes) and data:
            size += len(data)
        return size, data

    @scenario
    async def test_what_it_has_sent(self, arm: Arm) -> Any:
        """All that is in its send buffer arrives, then the end; a write finds nobody, and the next one says so."""

        def body() -> Any:
            listener = self.listener(arm)
            source = "sock = connected()\nsock.sendall(bytes(50_000))\nready()"
            with self.running(source, listener.getsockname()[1]) as (child, _):
                sock = self.taken(arm, listener)
                self.end(child)
                arm.see(self.all_of(sock), sock.recv(1))
                arm.see(sock.send(b"1"))
                sock.setblocking(False)
            return sock

        sock = await self.play(body)
        await arm.until(lambda: outcome(sock.getpeername) == "ENOTCONN")
        arm.see(outcome(sock.send, b"2"), outcome(sock.recv, 1))
        return [((50_000, b""), b""), 1, ("EPIPE", b"")]

    @scenario
    async def test_what_it_has_not_read(self, arm: Arm) -> Any:
        """Whoever has sent what it has not read is reset, after what it had sent; so says a write."""

        def body() -> None:
            listener = self.listener(arm)
            source = "sock = connected()\nsock.sendall(b'answer')\ntime.sleep(0.1)\nready()"
            for call in ("recv", "send"):
                with self.running(source, listener.getsockname()[1]) as (child, _):
                    sock = self.taken(arm, listener)
                    sock.send(b"unread")
                    arm.see(sock.recv(9))
                    self.end(child)
                    if call == "recv":
                        arm.see(outcome(sock.recv, 9), outcome(sock.recv, 9), outcome(sock.send, b"x"))
                    else:
                        arm.see(outcome(sock.send, b"x"), outcome(sock.send, b"x"), outcome(sock.recv, 9))

        await self.play(body)
        return [b"answer", ("ECONNRESET", b"", "EPIPE"), b"answer", ("ECONNRESET", "EPIPE", b"")]

    @scenario
    async def test_its_listener(self, arm: Arm) -> Any:
        """A connection that it has not accepted is reset, one that it has accepted ends, and later ones are refused."""

        def body() -> None:
            source = """
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
sock, _ = server.accept()
ready()"""
            with self.running(source) as (child, port):
                taken = arm.keep(socket.create_connection((HERE, port)))
                child.stdout.readline()
                queued = arm.keep(socket.create_connection((HERE, port)))
                self.end(child)
                arm.see(outcome(taken.recv, 1), outcome(queued.recv, 1), outcome(queued.recv, 1))
                arm.see(outcome(socket.create_connection, (HERE, port)))
            with arm.keep(socket.create_server((HERE, int(port)))) as again:
                arm.see(again.getsockname()[1] == int(port))

        await self.play(body)
        return [(b"", "ECONNRESET", b""), "ECONNREFUSED", True]

    @scenario
    async def test_datagrams(self, arm: Arm) -> Any:
        """Its UDP socket is closed: nobody answers any more, and its port is free."""

        def body() -> None:
            source = """
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.bind(("127.0.0.1", 0))
ready(sock.getsockname()[1])"""
            with self.running(source) as (child, port):
                sock = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sock.settimeout(10)
                sock.connect((HERE, int(port)))
                arm.see(sock.send(b"1"))
                self.end(child)
                arm.see(sock.send(b"2"), outcome(sock.recv, 1))
                another = arm.keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                arm.see(outcome(another.bind, (HERE, int(port))))

        await self.play(body)
        return [1, (1, "ECONNREFUSED"), None]

    @scenario
    async def test_unix_sockets(self, arm: Arm) -> Any:
        """The same of UNIX sockets: streams end, or are reset where something was not read. Their files stay."""
        folder = arm.folder()

        def body() -> None:
            source = """
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1] + "/stream")
server.listen()
box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
box.bind(sys.argv[1] + "/box")
print("", flush=True)
one, two = server.accept()[0], server.accept()[0]
ready()"""
            with self.running(source, folder) as (child, _):
                one, two, three = (arm.keep(socket.socket(socket.AF_UNIX)) for _ in range(3))
                for sock in (one, two):
                    sock.connect(f"{folder}/stream")
                child.stdout.readline()
                two.send(b"unread")
                three.connect(f"{folder}/stream")
                box = arm.keep(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
                box.connect(f"{folder}/box")
                arm.see(box.send(b"1"))
                self.end(child)
                for sock in (one, two, three):
                    arm.see(outcome(sock.recv, 1), outcome(sock.recv, 1), outcome(sock.send, b"x"))
                arm.see(outcome(box.send, b"2"), outcome(box.send, b"2"))
                late = arm.keep(socket.socket(socket.AF_UNIX))
                arm.see(outcome(late.connect, f"{folder}/stream"), outcome(late.connect, f"{folder}/none"))

        await self.play(body)
        return [1, (b"", b"", "EPIPE"), ("ECONNRESET", b"", "EPIPE"), ("ECONNRESET", b"", "EPIPE"),
                ("ECONNREFUSED", "ENOTCONN"), ("ECONNREFUSED", "ENOENT")]

    @scenario
    async def test_what_it_was_given(self, arm: Arm) -> Any:
        """What it has got from its starter stays open there, and the connection lives on."""

        def body() -> None:
            one, other = map(arm.keep, socket.socketpair())
            listener = self.listener(arm)
            source = """
pair, server = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
more = pair.dup()
ready(more.send(b"from the child"))"""
            numbers = other.fileno(), listener.fileno()
            with self.running(source, *numbers, pass_fds=numbers) as (child, said):
                arm.see(said, one.recv(99))
                self.end(child)
                arm.see(other.send(b"from here"), one.recv(99))
                one.setblocking(False)
                arm.see(outcome(one.recv, 1))
                client = arm.keep(socket.create_connection(listener.getsockname()))
                arm.see(self.taken(arm, listener).send(b"hi"), client.recv(9))
                other.close()
                arm.see(outcome(one.recv, 1))

        await self.play(body)
        return [("14", b"from the child"), (9, b"from here"), "EAGAIN", (2, b"hi"), b""]

    @scenario
    async def test_what_it_has_given(self, arm: Arm) -> Any:
        """What a program of its own has got stays open there, and ends with the last of them."""

        def body() -> None:
            listener = self.listener(arm)
            source = """
import subprocess
sock = connected()
if len(sys.argv) == 2:
    inner = "import sys, socket\\nsock = socket.socket(fileno=int(sys.argv[1]))\\n" \
        "print('ready', flush=True)\\nwhile data := sock.recv(9): sock.sendall(data.upper())"
    words = [sys.executable, "-S", "-E", "-c", inner, str(sock.fileno())]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, pass_fds=[sock.fileno()])
    child.stdout.readline()
ready()"""
            with self.running(source, listener.getsockname()[1]) as (child, _):
                sock = self.taken(arm, listener)
                self.end(child)
                sock.send(b"hello")
                arm.see(sock.recv(9))
                sock.shutdown(socket.SHUT_WR)
                arm.see(sock.recv(9))

        await self.play(body)
        return [b"HELLO", b""]

    @scenario
    async def test_pipes(self, arm: Arm) -> Any:
        """Its end of a pipe is closed, and only that."""

        def body() -> None:
            (r1, w1), (r2, w2) = os.pipe(), os.pipe()
            source = "ready(os.write(int(sys.argv[2]), b'hi'))"
            with self.running(source, r1, w2, pass_fds=[r1, w2]) as (child, _):
                os.close(r1)
                os.close(w2)
                arm.see(os.read(r2, 9), outcome(os.write, w1, b"x"))
                self.end(child)
                arm.see(os.read(r2, 9), outcome(os.write, w1, b"x"))
            os.close(w1)
            os.close(r2)

        await self.play(body)
        return [(b"hi", 1), (b"", "EPIPE")]

    @scenario
    async def test_its_threads(self, arm: Arm) -> Any:
        """A thread of it that waits at a connection ends with it, and so does the connection."""

        def body() -> None:
            listener = self.listener(arm)
            source = """
def work():
    sock = connected()
    sock.sendall(b"begun")
    try:
        sock.recv(9)
    finally:
        sock.sendall(b"never sent")
threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
ready()"""
            with self.running(source, listener.getsockname()[1]) as (child, _):
                sock = self.taken(arm, listener)
                arm.see(sock.recv(9))
                self.end(child)
                arm.see(sock.recv(9))

        await self.play(body)
        return [b"begun", b""]


class EndsByItself(Ended):
    """The same of programs that come to their end, with all of it open."""

    def end(self, child: Any) -> None:
        """Let it go on to its end."""
        child.stdin.close()
        child.wait()


class Exits(EndsByItself):
    """The same of programs that leave by os._exit()."""

    @contextlib.contextmanager
    def running(self, source: str, *args: Any, **options: Any) -> Any:
        """See above."""
        with super().running(source + "\nos._exit(3)", *args, **options) as found:
            yield found


class IsTerminated(Ended):
    """The same of programs that SIGTERM ends."""

    def end(self, child: Any) -> None:
        """Send it."""
        child.terminate()
        child.wait()
