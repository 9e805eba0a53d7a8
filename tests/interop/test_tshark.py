"""Captures of failing tests in Wireshark's own tools: tshark, editcap and mergecap.

They run where these are installed. That a file is accepted proves little, so checksums are looked at, which tshark does
only when it is told to, and what each program sent is compared byte for byte.
"""

import asyncio
import functools
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run
from tests.evidence.inner import keeping

CHECKSUMS = [word for protocol in ("ip", "tcp", "udp") for word in ("-o", f"{protocol}.check_checksum:TRUE")]


@functools.cache
def missing():
    """The tools that are not installed, told once on standard error."""
    found = [name for name in ("tshark", "editcap", "mergecap") if shutil.which(name) is None]
    for name in found:
        print(f"{name}: not installed, not run", file=sys.stderr)
    return found


def tool(name, *words):
    """What a tool prints; an AssertionError with its words where it fails."""
    child = subprocess.run([name, *map(str, words)], capture_output=True, timeout=60)
    assert child.returncode == 0, child.stderr.decode()
    return child.stdout.decode()


class Days(SolipsistTestCase):
    """What a day on the network is like; each test fails, so that it leaves evidence."""

    def tearDown(self):
        self.fail("on purpose")

    async def serve(self, reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        writer.close()

    async def get(self, reader, writer, what="/stock?item=7"):
        writer.write(b"GET %s HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n" % what.encode())
        await reader.read()
        writer.close()

    async def play_https(self):
        self.trust()
        await self.start_fake_server(self.serve, "api.test", 443, tls=True)
        await self.get(*await asyncio.open_connection("api.test", 443, ssl=True))

    async def play_http_2(self):
        def frame(kind, flags, stream, payload=b""):
            return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload

        async def serve(reader, writer):
            await reader.readexactly(24)
            writer.write(frame(4, 0, 0) + frame(1, 5, 1, b"\x88"))  # SETTINGS; HEADERS with :status 200
            await reader.read()
            writer.close()

        server, client = self.tls_contexts("api.test")
        for context in (server, client):
            context.set_alpn_protocols(["h2"])
        await self.start_fake_server(serve, "api.test", 443, ssl=server)
        reader, writer = await asyncio.open_connection("api.test", 443, ssl=client)
        path = b"/stock/7"  # :method GET, :scheme https, :path, :authority (RFC 7541, appendix A)
        headers = b"\x82\x87\x04" + bytes([len(path)]) + path + b"\x41\x08api.test"
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, headers))
        await reader.read(100)
        writer.close()

    async def play_all_kinds(self):
        self.network.add_host("six.test", "2001:db8::5")
        directory = self.enterContext(tempfile.TemporaryDirectory())
        path = os.path.join(directory, "app.sock")
        for where in ({"host": "api.test", "port": 80}, {"host": "six.test", "port": 80}, {"path": path}):
            await self.start_fake_server(self.serve, **where)
        for host in ("api.test", "six.test"):
            await self.get(*await asyncio.open_connection(host, 80))
            await asyncio.sleep(3600)
        await self.get(*await asyncio.open_unix_connection(path))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, \
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two:
            two.bind(("127.0.0.1", 60_500))
            one.sendto(b"datagram", ("127.0.0.1", 60_500))
            one.sendto(b"to nobody", ("127.0.0.1", 60_501))
        reader, writer = os.pipe()
        os.write(writer, b"through a pipe")
        for end in (reader, writer):
            os.close(end)

    async def play_slow_links(self):
        self.network.link("localhost", "api.test", latency=0.2, jitter=0.1, bandwidth=1_000_000)

        async def chat(reader, writer):
            writer.write(bytes(50_000))  # crosses what the client sends
            await reader.readexactly(50_000)
            writer.write_eof()
            await reader.read()
            writer.close()

        await self.start_fake_server(chat, "api.test", 60_080)
        reader, writer = await asyncio.open_connection("api.test", 60_080)
        writer.write(b"\1" * 50_000)
        await reader.readexactly(50_000)
        writer.close()
        await writer.wait_closed()

    async def play_planted(self):
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("api.test", 81)
        one, two = self.socketpair(capacity=1_000)
        one.send(bytes(1_000))
        two.recv(1_000)


@unittest.skipIf(missing(), f"not installed: {', '.join(missing())}")
class TsharkTest(unittest.TestCase):
    def capture(self, name):
        """The path of the capture of a test."""
        directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        with keeping(directory):
            run(Days, name)
        path, = directory.glob("*.pcapng")
        return path

    def fields(self, path, wanted, *fields):
        words = [word for field in fields for word in ("-e", field)]
        return [line.split("\t") for line in tool("tshark", "-r", path, "-Y", wanted, "-T", "fields",
                                                  *words).splitlines()]

    def bad(self, path):
        """The expert information of level Warn and above, and of checksums that are wrong."""
        text = tool("tshark", "-r", path, *CHECKSUMS, "-q", "-z", "expert,warn")
        lines = [line.split(None, 3) for line in text.splitlines()]
        return sorted(line[3] for line in lines if len(line) == 4 and line[0].isdecimal())

    def test_https(self):
        """The request line of an exchange over TLS is there, of HTTP/1.1 and of HTTP/2, and nothing is to mind."""
        path = self.capture("play_https")
        self.assertEqual(self.fields(path, "http.request", "http.request.method", "http.request.uri", "http.host"),
                         [["GET", "/stock?item=7", "api.test"]])
        self.assertEqual(self.bad(path), [])
        path = self.capture("play_http_2")
        self.assertEqual(self.fields(path, "http2.headers.path", "http2.headers.method", "http2.headers.path"),
                         [["GET", "/stock/7"]])
        self.assertEqual(self.bad(path), [])

    def test_nothing_to_mind(self):
        """IPv4 and IPv6, UNIX sockets, UDP, pipes and slow links: every checksum is right, and there is no warning."""
        for name in ("play_all_kinds", "play_slow_links"):
            self.assertEqual(self.bad(self.capture(name)), [], name)

    def test_planted(self):
        """What a correct program may do is all that there is a warning for: a refusal, and a full window."""
        self.assertEqual(self.bad(self.capture("play_planted")),
                         ["Connection reset (RST)", "TCP Zero Window segment",
                          "TCP window specified by the receiver is now completely full"])

    def test_streams(self):
        """Each direction of each stream comes back byte for byte."""
        path = self.capture("play_slow_links")
        raw = tool("tshark", "-r", path, "-q", "-z", "follow,tcp,raw,0")
        lines = raw.split("Node 1")[1].splitlines()[1:]
        sent = {away: bytes.fromhex("".join(line.strip() for line in lines if line.startswith("\t") == away
                                            and set(line.strip()) <= set("0123456789abcdef")))
                for away in (False, True)}
        self.assertEqual(sent, {False: b"\1" * 50_000, True: bytes(50_000)})

    def test_times_and_names(self):
        """Time is virtual from the first row on; names are shown; the failure is a row of level error."""
        path = self.capture("play_all_kinds")
        shown = tool("tshark", "-r", path, "-N", "n", "-Y", "http.request")
        self.assertRegex(shown.splitlines()[1], r"^ *\d+ 3600\.000000000 +\S+ → six\.test ")
        self.assertRegex(shown.splitlines()[2], r"^ *\d+ 7200\.000000000 +unnamed-\d+ → \S+app\.sock ")
        rows = self.fields(path, "syslog.level <= 3", "frame.time_epoch", "syslog.msg")
        self.assertEqual([float(row[0]) for row in rows], [7200.0])
        self.assertIn("test failed here: AssertionError: on purpose at ", rows[0][1])
        self.assertIn("tests/interop/test_tshark.py", self.fields(path, "http.request", "frame.comment")[0][0])

    def test_other_tools(self):
        """editcap and mergecap take the file, with names, secrets and all kinds of interface."""
        one, two = self.capture("play_https"), self.capture("play_all_kinds")
        shifted, merged = one.with_suffix(".shifted"), one.with_suffix(".merged")
        tool("editcap", "-t", "5", one, shifted)
        tool("mergecap", "-w", merged, shifted, two)
        self.assertEqual(len(self.fields(merged, "http.request", "frame.number")), 4)
        self.assertEqual(self.bad(merged), [])
