"""TLS by asyncio: what is refused and in which words, what is agreed on, and how a connection ends."""

import asyncio
import re
import ssl
import types
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from solipsism_unittest.peers.certificates import contexts
from tests.contracts.arms import Arm, Contract, scenario

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
NAME = "api.test"
BIG = bytes(range(256)) * 12_000


async def complaint(awaitable: Awaitable[Any]) -> Any:
    """What is raised: its class, verify code or errno, and text without a line of C code; None for nothing."""
    try:
        await awaitable
    except ssl.SSLCertVerificationError as error:
        return type(error).__name__, error.verify_code, error.verify_message
    except OSError as error:
        return type(error).__name__, error.errno, re.sub(r" \(_ssl\.c:\d+\)", "", str(error))
    except Exception as error:
        return type(error).__name__, str(error)
    return None


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each line in capitals, to the end."""
    while line := await reader.readline():
        writer.write(line.upper())
    writer.close()


async def nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Leave the connection open, and say nothing."""


class Tls(Contract):
    """TLS over TCP."""

    async def serve(self, arm: Arm, handler: Handler, context: ssl.SSLContext | None, **options: Any) -> int:
        """A server; its port."""

        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.keep(arm, reader, writer)
            arm.start(handler(reader, writer))

        server = arm.keep(await asyncio.start_server(serve, self.host, 0, ssl=context, **options))
        return server.sockets[0].getsockname()[1]

    def keep(self, arm: Arm, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let a connection live until the end of the body, and end it then."""

        def end() -> Any:
            writer.transport.abort()
            return reader, writer

        arm.keep(types.SimpleNamespace(close=end))

    async def connect(self, arm: Arm, port: int, context: ssl.SSLContext | None, **options: Any,
                      ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        name = {} if context is None else {"server_hostname": NAME}
        reader, writer = await asyncio.open_connection(self.host, port, ssl=context, **name | options)
        self.keep(arm, reader, writer)
        return reader, writer

    def pair(self, kind: str = "good", key: str = "ed25519") -> tuple[ssl.SSLContext, ssl.SSLContext]:
        return contexts.server_context((NAME,), kind, key), contexts.client_context(key)

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"hello\n")
        return await reader.readline()


class Certificates(Tls):
    async def refused(self, arm: Arm, kind: str, **options: Any) -> None:
        """See what a client makes of a certificate, and that no handler saw the client."""
        seen: list[bool] = []

        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(True)

        for key in ("ed25519", "p256"):
            server, client = self.pair(kind, key)
            port = await self.serve(arm, note, server)
            arm.see(await complaint(self.connect(arm, port, client, **options)), seen)

    @scenario
    async def test_expired(self, arm: Arm) -> Any:
        """An expired certificate is code 10."""
        await self.refused(arm, "expired")
        return [(("SSLCertVerificationError", 10, "certificate has expired"), [])] * 2

    @scenario
    async def test_not_yet_valid(self, arm: Arm) -> Any:
        """One that is not valid yet is code 9, in the words of the OpenSSL that is there."""
        await self.refused(arm, "not yet valid")
        arm.see([fact[0][1] for fact in arm.facts])
        return [*arm.facts[:2], [9, 9]]

    @scenario
    async def test_wrong_host(self, arm: Arm) -> Any:
        """A name that is not in the certificate is code 62, an address 64."""
        await self.refused(arm, "wrong host")
        await self.refused(arm, "good", server_hostname="127.0.0.1")
        words = "mismatch, certificate is not valid for"
        return [*[(("SSLCertVerificationError", 62, f"Hostname {words} '{NAME}'."), [])] * 2,
                *[(("SSLCertVerificationError", 64, f"IP address {words} '127.0.0.1'."), [])] * 2]

    @scenario
    async def test_self_signed(self, arm: Arm) -> Any:
        """A certificate that signed itself is code 18."""
        await self.refused(arm, "self-signed")
        return [(("SSLCertVerificationError", 18, "self-signed certificate"), [])] * 2

    @scenario
    async def test_untrusted(self, arm: Arm) -> Any:
        """One of an authority that the client does not know is code 20."""
        await self.refused(arm, "untrusted")
        return [(("SSLCertVerificationError", 20, "unable to get local issuer certificate"), [])] * 2

    @scenario
    async def test_no_names(self, arm: Arm) -> Any:
        """One without any name but another common name is code 62; a common name that is the host still counts."""
        await self.refused(arm, "no names")
        server, client = self.pair("no names")
        client.check_hostname = False
        port = await self.serve(arm, upper, server)
        arm.see(await self.echo(*await self.connect(arm, port, client)))
        return [*[(("SSLCertVerificationError", 62, f"Hostname mismatch, certificate is not valid for '{NAME}'."), [])
                  ] * 2, b"HELLO\n"]

    @scenario
    async def test_client_certificates(self, arm: Arm) -> Any:
        """A server that asks gets the client's; a client without one is cut off, in TLS 1.2 within its handshake."""
        seen: list[Any] = []

        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(writer.get_extra_info("peercert")["subject"])
            await upper(reader, writer)

        server, client = self.pair()
        server.verify_mode = ssl.CERT_REQUIRED
        port = await self.serve(arm, note, server)
        arm.see(await self.echo(*await self.connect(arm, port, client)), seen)
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        contexts.add_authorities(bare)
        reader, _ = await self.connect(arm, port, bare)
        arm.see(await reader.read())
        bare.maximum_version = ssl.TLSVersion.TLSv1_2
        arm.see(await complaint(self.connect(arm, port, bare)), len(seen))
        return [(b"HELLO\n", [((("commonName", "client"),),)]), b"", (("ConnectionResetError", None, ""), 1)]


class Agreeing(Tls):
    @scenario
    async def test_alpn(self, arm: Arm) -> Any:
        """Of two lists of protocols the server's order counts; without one in common there is a connection too."""
        for theirs, ours in ((["h2", "http/1.1"], ["http/1.1", "h2"]), (["h2"], ["spdy"]), (["h2"], None)):
            server, client = self.pair()
            server.set_alpn_protocols(theirs)
            if ours is not None:
                client.set_alpn_protocols(ours)
            _, writer = await self.connect(arm, await self.serve(arm, upper, server), client)
            arm.see(writer.get_extra_info("ssl_object").selected_alpn_protocol())
        return ["h2", None, None]

    @scenario
    async def test_sni(self, arm: Arm) -> Any:
        """The server hears for whom the client asks, but not of an address, and may take another context or refuse."""
        server, client = self.pair()
        other = contexts.server_context(("other.test",))
        heard: list[Any] = []

        def choose(made: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
            heard.append(name)
            if name == "other.test":
                made.context = other
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME if name == "refused.test" else None

        server.sni_callback = choose
        port = await self.serve(arm, upper, server)
        for name in (NAME, "other.test", "refused.test", "127.0.0.1"):
            arm.see(await complaint(self.connect(arm, port, client, server_hostname=name)))
        arm.see(heard)
        mismatch = "IP address mismatch, certificate is not valid for '127.0.0.1'."
        return [None, None, ("ConnectionResetError", None, ""), ("SSLCertVerificationError", 64, mismatch),
                [NAME, "other.test", "refused.test", None]]

    @scenario
    async def test_versions(self, arm: Arm) -> Any:
        """Without a version in common the client is cut off; with one it is that one."""
        server, client = self.pair()
        server.minimum_version = ssl.TLSVersion.TLSv1_3
        client.maximum_version = ssl.TLSVersion.TLSv1_2
        arm.see(await complaint(self.connect(arm, await self.serve(arm, upper, server), client)))
        server.minimum_version = ssl.TLSVersion.TLSv1_2
        _, writer = await self.connect(arm, await self.serve(arm, upper, server), client)
        arm.see(writer.get_extra_info("ssl_object").version())
        return [("ConnectionResetError", None, ""), "TLSv1.2"]

    @scenario
    async def test_what_a_transport_says(self, arm: Arm) -> Any:
        """get_extra_info() has the contexts, the objects, the certificates and the cipher."""
        theirs: list[Any] = []

        async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            theirs.extend([writer.get_extra_info("peercert"), type(writer.get_extra_info("ssl_object")).__name__])

        server, client = self.pair()
        reader, writer = await self.connect(arm, await self.serve(arm, note, server), client)
        await arm.until(lambda: theirs)
        arm.see(writer.get_extra_info("sslcontext") is client, writer.get_extra_info("peercert")["subject"], theirs)
        arm.see(writer.get_extra_info("cipher")[1:], writer.get_extra_info("compression"))
        arm.see(type(writer.get_extra_info("socket")).__name__, writer.get_extra_info("peername")[0] == self.host)
        arm.see(writer.can_write_eof(), await complaint(self.end_writing(writer)))
        return [(True, ((("commonName", NAME),),), [None, "SSLObject"]), (("TLSv1.3", 256), None),
                ("TransportSocket", True), (False, ("NotImplementedError", ""))]

    async def end_writing(self, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()

    @scenario
    async def test_no_tls_on_the_other_side(self, arm: Arm) -> Any:
        """A plain client of a TLS server meets the end; a TLS client of a plain server sees what is no TLS."""
        server, client = self.pair()
        reader, writer = await self.connect(arm, await self.serve(arm, upper, server), None)
        writer.write(b"hello\n")
        arm.see(await reader.read())

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 ready\n")

        port = await self.serve(arm, plain, None)
        problem = await complaint(self.connect(arm, port, client))
        arm.see(problem[0], problem[1], "WRONG_VERSION_NUMBER" in problem[2])
        return [b"", ("SSLError", 1, True)]

    @scenario
    async def test_handshake_timeout(self, arm: Arm) -> Any:
        """A handshake that takes too long is given up, by the client and by the server."""
        server, client = self.pair()
        port = await self.serve(arm, nothing, None)
        arm.see(await complaint(self.connect(arm, port, client, ssl_handshake_timeout=0.05)))
        reader, _ = await self.connect(arm, await self.serve(arm, upper, server, ssl_handshake_timeout=0.05), None)
        arm.see(await reader.read())
        words = "SSL handshake is taking longer than 0.05 seconds: aborting the connection"
        return [("ConnectionAbortedError", None, words), b""]

    @scenario
    async def test_arguments(self, arm: Arm) -> Any:
        """What asyncio refuses of ssl= and its company."""
        _, client = self.pair()
        port = await self.serve(arm, upper, None)
        arm.see(await complaint(self.connect(arm, port, client, ssl_handshake_timeout=0)))
        arm.see(await complaint(self.connect(arm, port, None, ssl_handshake_timeout=1)))
        arm.see(await complaint(self.connect(arm, port, None, server_hostname=NAME)))
        arm.see(await complaint(self.serve(arm, upper, True)))  # type: ignore[arg-type]
        return [("ValueError", "ssl_handshake_timeout should be a positive number, got 0"),
                ("ValueError", "ssl_handshake_timeout is only meaningful with ssl"),
                ("ValueError", "server_hostname is only meaningful with ssl"),
                ("TypeError", "ssl argument must be an SSLContext or None")]


class StartingTls(Tls):
    @scenario
    async def test_start_tls(self, arm: Arm) -> Any:
        """Both sides change to TLS after some words in the clear; the names are verified."""
        server, client = self.pair()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            arm.see(await reader.readline())
            writer.write(b"go ahead\n")
            await writer.start_tls(server)
            await upper(reader, writer)

        port = await self.serve(arm, serve, None)
        for name in (NAME, "other.test"):
            reader, writer = await self.connect(arm, port, None)
            writer.write(b"STARTTLS\n")
            arm.see(await reader.readline())
            problem = await complaint(writer.start_tls(client, server_hostname=name))
            arm.see(problem or await self.echo(reader, writer))
        return [b"STARTTLS\n", b"go ahead\n", b"HELLO\n", b"STARTTLS\n", b"go ahead\n",
                ("SSLCertVerificationError", 62, "Hostname mismatch, certificate is not valid for 'other.test'.")]

    @scenario
    async def test_tls_in_tls(self, arm: Arm) -> Any:
        """A connection that has TLS can begin it once more inside."""
        server, client = self.pair()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"go ahead\n")
            await writer.start_tls(server)
            await upper(reader, writer)

        reader, writer = await self.connect(arm, await self.serve(arm, serve, server), client)
        writer.write(b"STARTTLS\n")
        arm.see(await reader.readline())
        await writer.start_tls(client, server_hostname=NAME)
        arm.see(await self.echo(reader, writer))
        return [b"go ahead\n", b"HELLO\n"]

    @scenario
    async def test_no_context(self, arm: Arm) -> Any:
        """start_tls() takes a context and nothing else."""
        reader, writer = await self.connect(arm, await self.serve(arm, upper, None), None)
        loop = asyncio.get_running_loop()
        arm.see(await complaint(loop.start_tls(writer.transport, asyncio.Protocol(), None)))  # type: ignore[arg-type]
        return [("TypeError", "sslcontext is expected to be an instance of ssl.SSLContext, got None")]


class Ending(Tls):
    @scenario
    async def test_close(self, arm: Arm) -> Any:
        """A side that closes says so: the other one reads the end, and cannot write any more."""

        async def bye(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"bye")
            writer.close()

        server, client = self.pair()
        reader, writer = await self.connect(arm, await self.serve(arm, bye, server), client)
        arm.see(await reader.read(), reader.at_eof())
        arm.see(await complaint(writer.wait_closed()), writer.transport.is_closing())
        writer.write(b"too late")
        arm.see(await complaint(writer.drain()))
        return [(b"bye", True), (None, True), ("ConnectionResetError", None, "Connection lost")]

    @scenario
    async def test_cut(self, arm: Arm) -> Any:
        """An end of the connection without a word of TLS is an end too, in both versions."""

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"some")
            writer.transport.abort()

        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            server, client = self.pair()
            client.maximum_version = version
            reader, writer = await self.connect(arm, await self.serve(arm, cut, server), client)
            writer.write(b"cut\n")
            arm.see(await reader.read(), reader.at_eof())
        return [(b"some", True)] * 2

    @scenario
    async def test_shutdown_timeout(self, arm: Arm) -> Any:
        """A peer that does not answer the goodbye is given up after a time."""
        server, client = self.pair()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(b"hush\n")

        reader, writer = await self.connect(arm, await self.serve(arm, silent, server), client,
                                            ssl_shutdown_timeout=0.05)
        arm.see(await reader.readline())
        writer.close()
        arm.see(await complaint(writer.wait_closed()))
        return [b"hush\n", ("TimeoutError", None, "SSL shutdown timed out")]

    @scenario
    async def test_all_that_was_written(self, arm: Arm) -> Any:
        """What is written before close() arrives, megabytes of it."""

        async def much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(BIG)
            writer.close()

        server, client = self.pair()
        reader, writer = await self.connect(arm, await self.serve(arm, much, server), client)
        arm.see(await reader.read() == BIG)
        writer.close()
        arm.see(await complaint(writer.wait_closed()))
        return [True, None]

    @scenario
    async def test_flow_control(self, arm: Arm) -> Any:
        """A writer waits while the other side does not read, and goes on when it does."""
        server, client = self.pair()
        go, got = asyncio.Event(), []

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await go.wait()
            got.append(len(await reader.readexactly(30_000_000)))

        reader, writer = await self.connect(arm, await self.serve(arm, slow, server), client)
        for _ in range(2):  # after one write drain() returns at once, whatever its size
            writer.write(bytes(15_000_000))  # more than any buffer holds
        draining = arm.start(complaint(writer.drain()))
        await arm.calm()
        arm.see(draining.done())
        go.set()
        arm.see(await draining)
        await arm.until(lambda: got)
        arm.see(got)
        return [False, None, [30_000_000]]


del Tls


if __name__ == "__main__":
    import unittest

    unittest.main()
