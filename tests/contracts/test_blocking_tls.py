"""TLS by module ssl on sockets, as urllib, http.client and smtplib use it: blocking in threads, and non-blocking."""

import asyncio
import errno
import http.client
import re
import select
import socket
import ssl
import urllib.request
from collections.abc import Callable
from typing import Any

from solipsism_unittest.peers.certificates import contexts
from solipsism_unittest.pythons import RESET_ENDS_TLS
from tests.contracts.arms import Arm, Contract, scenario

NAME = "localhost"


def complaint(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call raises: its class, its errno by name, the reason or the text; its result where it raises nothing."""
    try:
        result = call(*args, **kwargs)
    except ssl.SSLError as error:
        return type(error).__name__, error.errno, error.reason
    except OSError as error:
        number = error.errno and errno.errorcode[error.errno]
        return type(error).__name__, number, re.sub(r"^_ssl.c:\d+: ", "", str(error))
    except Exception as error:
        return type(error).__name__, str(error)
    return result


class BlockingTls(Contract):
    """TLS over TCP, by calls that block."""

    async def serve(self, arm: Arm, handler: Any, context: ssl.SSLContext | None) -> int:
        """A server of asyncio's; its port."""

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arm.keep_transport(writer.transport, reader, writer)
            arm.start(handler(reader, writer))

        server = arm.keep(await asyncio.start_server(serve, self.host, 0, ssl=context,
                                                     limit=2**30))
        return server.sockets[0].getsockname()[1]

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        return await asyncio.to_thread(function)

    def pair(self, kind: str = "good") -> tuple[ssl.SSLContext, ssl.SSLContext]:
        return contexts.server_context((NAME, "127.0.0.1", "::1"), kind), contexts.client_context()

    def connect(self, port: int, context: ssl.SSLContext, timeout: float | None = 20.0, **options: Any
                ) -> ssl.SSLSocket:
        """A client in a thread."""
        plain = socket.create_connection((self.host, port), timeout)
        try:
            return context.wrap_socket(plain, server_hostname=NAME, **options)
        except BaseException:
            plain.close()
            raise

    @scenario
    async def test_both_ways(self, arm: Arm) -> Any:
        """What is sent arrives, in small pieces and in large ones, and the end is seen."""
        big = bytes(range(256)) * 8_000

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            writer.write(await reader.readexactly(len(big)))
            writer.close()

        server, client = self.pair()
        port = await self.serve(arm, serve, server)

        def ask() -> list[Any]:
            with self.connect(port, client) as sock:
                seen: list[Any] = [sock.send(b"hello\n"), sock.recv(3), sock.pending(), sock.recv(100)]
                sock.sendall(big)
                with sock.makefile("rb") as file:
                    return [*seen, file.read() == big, sock.recv(1)]

        arm.see(*await self.in_thread(ask))
        return [(6, b"HEL", 3, b"LO\n", True, b"")]

    @scenario
    async def test_something_around_a_socket(self, arm: Arm) -> Any:
        """A program may hand over something of its own that stands for a socket."""

        class Around:
            def __init__(self, sock: socket.socket) -> None:
                self.sock = sock

            def __getattr__(self, name: str) -> Any:
                return getattr(self.sock, name)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.readline()).upper())
            writer.close()

        server, client = self.pair()
        port = await self.serve(arm, serve, server)

        def ask() -> list[Any]:
            plain: Any = Around(socket.create_connection((self.host, port), 20))
            with client.wrap_socket(plain, server_hostname=NAME) as sock:
                return [sock.send(b"hello\n"), sock.recv(100), plain.fileno()]

        arm.see(*await self.in_thread(ask))
        return [(6, b"HELLO\n", -1)]

    @scenario
    async def test_what_it_is(self, arm: Arm) -> Any:
        """The socket is one of ssl's, and says what was agreed on."""

        async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        server, client = self.pair()
        server.set_alpn_protocols(["h2", "http/1.1"])
        client.set_alpn_protocols(["http/1.1"])
        port = await self.serve(arm, quiet, server)

        def ask() -> list[Any]:
            with self.connect(port, client) as sock:
                seen = [isinstance(sock, ssl.SSLSocket),
                        sock.version(), sock.selected_alpn_protocol(), sock.cipher()[2], sock.compression(),
                        sock.context is client, sock.server_side, sock.server_hostname, sock.session_reused,
                        sock.getpeercert()["subject"], sock.gettimeout(), sock.family == socket.AF_INET,
                        len(sock.get_channel_binding() or b"") if sock.version() == "TLSv1.2" else None]
                seen += [complaint(sock.dup), complaint(sock.sendmsg, [b""]), complaint(sock.recvfrom, 1),
                         complaint(sock.send, b"x", 1), complaint(sock.recv, 1, 1)]
                sock.context = other = contexts.client_context()
                return [*seen, sock.context is other]

        arm.see(*await self.in_thread(ask))
        facts = list(arm.facts[0])
        self.assertEqual(facts[:12], [True, "TLSv1.3", "http/1.1", 256, None, True, False, NAME, False,
                                       ((("commonName", NAME),),), 20.0, True])
        arm.facts[0] = [str(fact).replace("Virtual", "").replace("solipsism_unittest.stdlib.tls.", "ssl.")
                        for fact in facts]
        return None

    @scenario
    async def test_bad_certificates(self, arm: Arm) -> Any:
        """What a client refuses, and the alert that a server of module ssl gets for it."""
        for kind in ("expired", "self-signed", "untrusted", "wrong host"):
            await self.refused(arm, kind)
        refused = ("SSLCertVerificationError", 1, "CERTIFICATE_VERIFY_FAILED")
        return [("expired", refused, "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
                ("self-signed", refused, "TLSV1_ALERT_UNKNOWN_CA"),
                ("untrusted", refused, "TLSV1_ALERT_UNKNOWN_CA"),
                ("wrong host", refused, "SSLV3_ALERT_BAD_CERTIFICATE")]

    async def refused(self, arm: Arm, kind: str) -> None:
        server, client = self.pair(kind)
        listener = arm.keep(socket.create_server((self.host, 0)))
        port = listener.getsockname()[1]

        def accept() -> Any:
            sock, _ = listener.accept()
            with sock:
                return complaint(server.wrap_socket, sock, server_side=True)

        accepting = arm.start(self.in_thread(accept))
        problem = await self.in_thread(lambda: complaint(self.connect, port, client))
        arm.see(kind, problem, (await accepting)[2])

    @scenario
    async def test_timeouts(self, arm: Arm) -> Any:
        """A handshake, and a read, that take longer than the socket's timeout."""

        async def quiet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()

        server, client = self.pair()
        silent, serving = await self.serve(arm, quiet, None), await self.serve(arm, quiet, server)
        arm.see(await self.in_thread(lambda: complaint(self.connect, silent, client, 0.05)))

        def ask() -> Any:
            with self.connect(serving, client) as sock:
                sock.settimeout(0.05)
                return complaint(sock.recv, 1)

        arm.see(await self.in_thread(ask))
        return [("TimeoutError", None, "The handshake operation timed out"),
                ("TimeoutError", None, "The read operation timed out")]

    @scenario
    async def test_write_timeout(self, arm: Arm) -> Any:
        """A send to a peer that does not read times out."""

        async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.Event().wait()

        server, client = self.pair()
        port = await self.serve(arm, deaf, server)

        def ask() -> Any:
            with self.connect(port, client) as sock:
                sock.settimeout(0.05)
                return complaint(lambda: [sock.sendall(bytes(1_000_000)) for _ in range(100)])

        arm.see(await self.in_thread(ask))
        return [("TimeoutError", None, "The write operation timed out")]

    @scenario
    async def test_ends(self, arm: Arm) -> Any:
        """An end without a goodbye is an error only for those who want to know; a reset is one."""

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.readline() == b"reset\n":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            writer.transport.abort()

        server, client = self.pair()
        port = await self.serve(arm, cut, server)

        def ask(line: bytes, suppress: bool) -> Any:
            with self.connect(port, client, suppress_ragged_eofs=suppress) as sock:
                sock.sendall(line)
                return complaint(sock.recv, 1), complaint(sock.recv_into, bytearray(1))

        for line, suppress in ((b"cut\n", True), (b"cut\n", False), (b"reset\n", True)):
            arm.see((await self.in_thread(lambda: ask(line, suppress)))[0])  # noqa: B023 - awaited at once
        reset = ("ConnectionResetError", "ECONNRESET", "[Errno 104] Connection reset by peer")
        return [b"", ("SSLEOFError", 8, "UNEXPECTED_EOF_WHILE_READING"), b"" if RESET_ENDS_TLS else reset]

    @scenario
    async def test_unwrap(self, arm: Arm) -> Any:
        """After the goodbye of both sides the socket speaks in the clear again, and nothing of that was lost."""
        server, client = self.pair()
        listener = arm.keep(socket.create_server((self.host, 0)))
        port = listener.getsockname()[1]

        def serve() -> Any:
            with server.wrap_socket(listener.accept()[0], server_side=True) as sock:
                data = sock.recv(10)
                plain = sock.unwrap()
                plain.sendall(b"in the clear")
                return data, plain is sock, plain.recv(100)

        serving = arm.start(self.in_thread(serve))

        def ask() -> Any:
            with self.connect(port, client) as sock:
                sock.sendall(b"hidden")
                plain = sock.unwrap()
                data = plain.recv(100)
                plain.sendall(b"so be it")
                return data, plain is sock, complaint(sock.read, 1), complaint(sock.unwrap)[0]

        arm.see(await self.in_thread(ask))
        arm.see(await serving)
        return [(b"in the clear", True, ("ValueError", "Read on closed or unwrapped SSL socket."), "ValueError"),
                (b"hidden", True, b"so be it")]

    @scenario
    async def test_listening(self, arm: Arm) -> Any:
        """A listening socket with a context gives connections with one; a client may be wrapped before it connects."""
        server, client = self.pair()
        listener = arm.keep(server.wrap_socket(socket.create_server((self.host, 0)), server_side=True))
        port = listener.getsockname()[1]

        def serve() -> Any:
            sock, address = listener.accept()
            with sock:
                sock.sendall(sock.recv(10).upper())
                return type(sock) is type(listener), address[0]

        serving = arm.start(self.in_thread(serve))

        def ask() -> Any:
            with client.wrap_socket(socket.socket(), server_hostname=NAME) as sock:
                seen = [sock.pending(), sock.cipher(), complaint(sock.send, b"x")[:2]]
                sock.connect((self.host, port))
                sock.sendall(b"hello")
                return [*seen, sock.recv(10), complaint(sock.connect, (self.host, port))]

        arm.see(await self.in_thread(ask))
        arm.see(await serving)
        return [[0, None, ("BrokenPipeError", "EPIPE"), b"HELLO",
                 ("ValueError", "attempt to connect already-connected SSLSocket!")], (True, "127.0.0.1")]

    @scenario
    async def test_non_blocking(self, arm: Arm) -> Any:
        """Without blocking, OpenSSL says what it waits for, and select() sees it."""
        server, client = self.pair()

        async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"a" * 20_000)
            writer.write(b"b")

        port = await self.serve(arm, twice, server)
        nobody = arm.listener(self.host).getsockname()[1]

        def ask() -> Any:
            with socket.create_connection((self.host, nobody)) as plain:
                plain.setblocking(False)
                first = complaint(client.wrap_socket, plain, server_hostname=NAME)
            with socket.create_connection((self.host, nobody)) as plain:
                plain.setblocking(False)
                with client.wrap_socket(plain, server_hostname=NAME, do_handshake_on_connect=False) as sock:
                    seen = [first, complaint(sock.do_handshake)[0]]
            with socket.create_connection((self.host, port)) as plain:
                plain.setblocking(False)
                with client.wrap_socket(plain, server_hostname=NAME, do_handshake_on_connect=False) as sock:
                    self.until(sock, sock.do_handshake)
                    seen += [complaint(sock.recv, 10)[0], sock.send(b"go\n")]
                    data = b""
                    while len(data) < 20_001:
                        data += self.until(sock, lambda: sock.recv(100_000))
                    return [*seen, data == b"a" * 20_000 + b"b", complaint(sock.recv, 10)[0]]

        arm.see(*await self.in_thread(ask))
        return [(("ValueError", "do_handshake_on_connect should not be specified for non-blocking sockets"),
                 "SSLWantReadError", "SSLWantReadError", 3, True, "SSLWantReadError")]

    def until(self, sock: ssl.SSLSocket, call: Callable[[], Any]) -> Any:
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                select.select([sock], [], [], 20)

    @scenario
    async def test_non_blocking_writes(self, arm: Arm) -> Any:
        """A peer that does not read: a write waits for room, and goes on when there is."""
        server, client = self.pair()
        go, count = asyncio.Event(), 0

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await go.wait()
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            writer.write(b"%d\n" % len(await reader.readuntil(b"end")))

        port = await self.serve(arm, slow, server)
        loop = asyncio.get_running_loop()

        def ask() -> Any:
            nonlocal count
            with self.connect(port, client) as sock:
                sock.setblocking(False)
                try:
                    while True:
                        count += sock.send(bytes(100_000))
                except ssl.SSLWantWriteError as error:
                    seen = [type(error).__name__, error.errno]
                loop.call_soon_threadsafe(go.set)
                sock.settimeout(20)
                count += sock.send(bytes(100_000))  # OpenSSL wants the same bytes again
                sock.sendall(b"end")
                return [*seen, int(sock.recv(100)) == count + 3]

        arm.see(*await self.in_thread(ask))
        return [("SSLWantWriteError", 3, True)]

    @scenario
    async def test_libraries(self, arm: Arm) -> Any:
        """urllib and http.client fetch over https."""
        server, client = self.pair()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n" + request[:5])
            writer.close()

        port = await self.serve(arm, serve, server)

        def fetch() -> Any:
            with urllib.request.urlopen(f"https://{NAME}:{port}/a", context=client) as answer:
                one = answer.read()
            connection = http.client.HTTPSConnection(NAME, port, context=client)
            try:
                connection.request("PUT", "/b", b"body")
                return one, connection.getresponse().read()
            finally:
                connection.close()

        arm.see(*await self.in_thread(fetch))
        return [(b"GET /", b"PUT /")]


if __name__ == "__main__":
    import unittest

    unittest.main()
