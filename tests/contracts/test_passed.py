"""Descriptors that a child gets from who starts it: a real interpreter, and a program of a test that runs the same."""

import asyncio
import errno
import os
import pathlib
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.peers.programs.table import programs_of
from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.test_popen import complaint
from tests.contracts.test_subprocesses import true

NAME = pathlib.Path(sys.executable).name
IMPORTS = "import os, sys, socket, select, selectors, threading, subprocess\nn = int(sys.argv[1])\n"


def python() -> None:
    """`python -S -E -c SOURCE ...`."""
    source = sys.argv[4]
    sys.argv[:5] = ["-c"]
    exec(compile(source, "<string>", "exec"), {"__name__": "__main__"})


def words(source: str, *args: Any) -> list[str]:
    return [sys.executable, "-S", "-E", "-c", IMPORTS + source, *map(str, args)]


class Passing(Contract):
    async def play(self, body: Callable[[], Any]) -> Any:
        """Run the scenario in a job; on the virtual loop the programs have to be added."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            programs_of(loop.world).add(NAME, python)
            programs_of(loop.world).add("true", true)
        return await asyncio.to_thread(body)

    def run_child(self, source: str, *numbers: int, args: tuple[Any, ...] = (), **options: Any) -> Any:
        """Run such a child to its end: its exit code, and what it has printed; text that it says of an error is left
        out.
        """
        options = {"pass_fds": numbers} | options
        done = subprocess.run(words(source, *(args or numbers)), capture_output=True, text=True, **options)
        return done.returncode, done.stdout or done.stderr[-300:]

    @scenario
    async def test_pipes(self, arm: Arm) -> Any:
        """A child reads and writes pipes by their numbers, and by files over them; its end is the end of its own."""

        def body() -> None:
            reader, writer = os.pipe()
            arm.see(self.run_child("print(os.write(n, b'hi'))", writer), os.read(reader, 9))
            arm.see(self.run_child("with os.fdopen(n, 'wb') as f: f.write(b'more')", writer), os.read(reader, 9))
            arm.see(self.run_child("os.close(n)\ntry: os.write(n, b'x')\nexcept OSError as e: print(e.errno)", writer))
            os.write(writer, b"line\nrest")
            arm.see(self.run_child("print(open(n).readline())", reader))
            child = subprocess.Popen(words("os.write(n, b'late')", writer), pass_fds={writer})
            os.close(writer)
            with open(reader, "rb") as file:
                arm.see(file.read(), child.wait())

        await self.play(body)
        return [((0, "2\n"), b"hi"), ((0, ""), b"more"), (0, f"{errno.EBADF}\n"), (0, "line\n\n"), (b"late", 0)]

    @scenario
    async def test_sockets(self, arm: Arm) -> Any:
        """A child takes a connection, and a listening socket, over; what it closes stays open here."""

        def body() -> None:
            one, other = socket.socketpair()
            source = """
sock = socket.socket(fileno=n)
sock.settimeout(5)
sock.sendall(sock.recv(9).upper())
print(sock.type == socket.SOCK_STREAM, sock.family == socket.AF_UNIX)
sock.close()"""
            for _ in range(2):
                one.sendall(b"hello")
                arm.see(self.run_child(source, other.fileno()), one.recv(9))
            take = "sock = socket.socket(fileno=n)\nsock.setblocking(True)\nsock.recv(9)\nsock.close()"
            child = subprocess.Popen(words(take, other.fileno()), pass_fds=[other.fileno()])
            other.close()
            one.sendall(b"x")
            arm.see(child.wait(), one.recv(9))
            one.close()
            with socket.create_server(("127.0.0.1", 0)) as server:
                accept = """
with socket.socket(fileno=n) as sock:
    peer, _ = sock.accept()
    peer.sendall(b'taken')
    peer.close()"""
                child = subprocess.Popen(words(accept, server.fileno()), pass_fds=[server.fileno()])
                with socket.create_connection(server.getsockname()) as client:
                    arm.see(client.recv(9), child.wait(), client.recv(9))

        await self.play(body)
        return [((0, "True True\n"), b"HELLO")] * 2 + [(0, b""), (b"taken", 0, b"")]

    @scenario
    async def test_polling(self, arm: Arm) -> Any:
        """A child polls what it was given by number, in every way, from each of its threads; and passes it on."""

        def body() -> None:
            reader, writer = os.pipe()
            os.write(writer, b"news")
            source = """
print(select.select([n], [], [], 0)[0] == [n])
for poller, one in ((select.poll(), select.POLLIN), (select.epoll(), select.EPOLLIN)):
    poller.register(n, one)
    print(poller.poll(0) == [(n, one)])
    poller.unregister(n)
with selectors.DefaultSelector() as selector:
    selector.register(n, selectors.EVENT_READ)
    print([key.fd == n for key, _ in selector.select(0)])
thread = threading.Thread(target=lambda: print(os.get_blocking(n), os.fstat(n).st_mode == os.stat(n).st_mode))
thread.start()
thread.join()"""
            arm.see(self.run_child(source, reader))
            again = "import os, sys; print(os.read(int(sys.argv[1]), 9))"
            source = f"subprocess.run([sys.executable, '-S', '-E', '-c', {again!r}, str(n)], pass_fds=[n], check=True)"
            arm.see(self.run_child(source, reader)[0])
            os.write(writer, b"out")
            os.close(writer)
            again = "import sys; print(sys.stdin.read())"
            source = f"subprocess.run([sys.executable, '-S', '-E', '-c', {again!r}], stdin=n, check=True)"
            arm.see(self.run_child(source, reader)[0], os.read(reader, 9))
            os.close(reader)

        await self.play(body)
        return [(0, "True\nTrue\nTrue\n[True]\nTrue True\n"), 0, (0, b"")]

    @scenario
    async def test_what_is_not_passed(self, arm: Arm) -> Any:
        """What a child has not been given it does not have, but what is inheritable where nothing is closed."""

        def body() -> None:
            reader, writer = os.pipe()
            probe = "try: os.fstat(n); print('open')\nexcept OSError as e: print(e.errno)"
            arm.see(self.run_child(probe, args=(writer,)), self.run_child(probe, reader, args=(writer,)))
            arm.see(self.run_child(probe, args=(writer,), close_fds=False))
            os.set_inheritable(writer, True)
            arm.see(self.run_child(probe, args=(writer,)), self.run_child(probe, args=(writer,), close_fds=False))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                arm.see(self.run_child(probe, reader, args=(writer,), close_fds=False))
            take = "try: socket.socket(fileno=n)\nexcept OSError as e: print(e.errno)"
            with socket.socket() as sock:
                arm.see(self.run_child(take, args=(sock.fileno(),)))
            os.close(reader)
            os.close(writer)

        await self.play(body)
        closed, is_open = (0, f"{errno.EBADF}\n"), (0, "open\n")
        return [(closed, closed), closed, (closed, is_open), closed, closed]

    @scenario
    async def test_arguments(self, arm: Arm) -> Any:
        """What names no open descriptor is refused as a real start does it, before other mistakes or after them."""

        def body() -> None:
            reader, writer = os.pipe()
            os.close(writer)
            values = [None, 0, True, False, "a", [None], ["a"], [-1], [2**40], [99999], {reader}, [reader, reader],
                      [float(reader)], [reader, str(reader)], range(3), iter([reader])]
            more: list[dict[str, Any]] = [
                {}, {"cwd": "/nowhere"}, {"args": ["/nowhere/x"]}, {"args": ["true", 3]}, {"args": ["true", "a\0"]},
                {"close_fds": False}, {"close_fds": False, "args": ["/bin/true"]}, {"args": ["/bin/true"]},
                {"args": "true", "shell": True}, {"umask": "a"}, {"args": ["/bin/true"], "cwd": "/"},
                {"process_group": 0, "start_new_session": True}]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for value in values:
                    for options in more if value in (None, [-1], [99999]) else more[:1]:
                        found = complaint(subprocess.Popen, **{"args": ["true"], "pass_fds": value} | options)
                        arm.see(str(options), found.wait() if isinstance(found, subprocess.Popen) else found)
            arm.see(len(caught), {str(each.message) for each in caught})
            os.close(reader)

        await self.play(body)

    @scenario
    async def test_asyncio(self, arm: Arm) -> Any:
        """asyncio's subprocesses get them too."""
        await self.play(lambda: None)
        reader, writer = os.pipe()
        child = await asyncio.create_subprocess_exec(*words("os.write(n, b'hi')", writer), pass_fds=(writer,))
        os.close(writer)
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader()
        with open(reader, "rb") as file:
            transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), file)
            arm.see(await stream.read(), await child.wait())
            transport.close()
        for value in (None, [-1], [99999]):
            try:
                await asyncio.create_subprocess_exec("true", pass_fds=value)
            except OSError as error:
                arm.see(error.errno, error.filename)
            except Exception as error:
                arm.see(repr(error))
        return [(b"hi", 0), "TypeError(\"'NoneType' object is not iterable\")",
                "ValueError('bad value(s) in fds_to_keep')", (errno.EBADF, None)]
