"""Protocol libraries over bad links: latency, loss, reordering, partitions, and what their own timers make of them."""

import asyncio
import datetime
import itertools
import logging
import pathlib
import ssl
import tempfile

from solipsism_unittest import SolipsistTestCase, Verdict, fail_on
from tests.interop import library, needs

if library("aiohttp"):
    import aiohttp
    from aiohttp import web
if library("websockets"):
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve
    from websockets.exceptions import ConnectionClosedError
if library("aioquic"):
    from aioquic.asyncio import connect as connect_quic
    from aioquic.asyncio import serve as serve_quic
    from aioquic.quic.configuration import QuicConfiguration
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID
if library("grpclib"):
    from grpclib.client import Channel, UnaryUnaryMethod
    from grpclib.const import Cardinality, Handler
    from grpclib.encoding.base import CodecBase
    from grpclib.server import Server
if library("aiocoap"):
    import aiocoap
    from aiocoap import resource

HOST = "api.test"


@needs("aiohttp")
class AiohttpTest(SolipsistTestCase):
    async def start(self):
        """A server that gives back what it gets; and the URL of it."""
        async def answer(request):
            return web.Response(body=await request.read())

        app = web.Application(client_max_size=10_000_000)
        app.router.add_post("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        self.addAsyncCleanup(runner.cleanup)
        await web.TCPSite(runner, HOST, 80).start()
        return f"http://{HOST}/"

    async def test_latency_and_bandwidth(self):
        """A request takes two round trips and the time that its bytes take; the next one a round trip less."""
        url = await self.start()
        link = self.network.link("localhost", HOST, latency=0.05)
        async with aiohttp.ClientSession() as session:
            for seconds in (0.2, 0.1):
                with self.assertElapses(seconds):
                    async with session.post(url, data=b"x") as response:
                        self.assertEqual(await response.read(), b"x")
            link.change(bandwidth=8e6)
            start = self.now
            async with session.post(url, data=bytes(1_000_000)) as response:
                self.assertEqual(await response.read(), bytes(1_000_000))
            self.assertAlmostEqual(self.now - start, 2.1, delta=0.01)

    async def test_loss(self):
        """Over a line that loses a tenth everything arrives; it takes longer."""
        url = await self.start()
        self.network.link("localhost", HOST, latency=0.02, loss=0.1)
        async with aiohttp.ClientSession() as session:
            for number in range(20):
                data = b"%d" % number * 5000
                async with session.post(url, data=data) as response:
                    self.assertEqual(await response.read(), data)
        self.assertGreater(self.now, 21 * 0.04 + 0.2)

    async def test_a_partition(self):
        """The client's time limit ends a request into a partition; after it the next one has a new connection."""
        url = await self.start()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            async with session.post(url, data=b"1") as response:
                await response.read()
            self.network.partition("localhost", HOST)
            with self.assertElapses(30), self.assertRaises(TimeoutError):
                await session.post(url, data=b"2")
            self.network.heal()
            async with session.post(url, data=b"3") as response:
                self.assertEqual(await response.read(), b"3")


@needs("websockets")
class WebsocketsTest(SolipsistTestCase):
    def setUp(self):
        logging.getLogger("websockets").setLevel(logging.CRITICAL)  # its server is loud about clients that are gone
        self.addCleanup(logging.getLogger("websockets").setLevel, logging.NOTSET)

    async def test_keepalive(self):
        """In a partition the client closes after exactly its interval, its timeout and its time for closing."""
        async def echo(connection):
            async for message in connection:
                await connection.send(message)

        for interval, timeout, closing in ((20, 20, 10), (7, 3, 2.5)):
            with self.subTest(interval=interval):
                server = await serve(echo, HOST, 8765, ping_interval=None)
                async with connect(f"ws://{HOST}:8765", ping_interval=interval, ping_timeout=timeout,
                                   close_timeout=closing) as connection:
                    self.network.partition("localhost", HOST)
                    with self.assertElapses(interval + timeout + closing), self.assertRaises(ConnectionClosedError):
                        await connection.recv()
                self.network.heal()
                server.close()
                await server.wait_closed()

    async def test_a_short_partition(self):
        """A partition that is over before the pong is due goes by unnoticed."""
        async def echo(connection):
            async for message in connection:
                await connection.send(message)

        async with serve(echo, HOST, 8765), connect(f"ws://{HOST}:8765") as connection:
            await asyncio.sleep(19)
            self.network.partition("localhost", HOST)
            await asyncio.sleep(10)
            self.network.heal()
            await asyncio.sleep(60)
            await connection.send("still here")
            self.assertEqual(await connection.recv(), "still here")


@needs("aioquic")
class AioquicTest(SolipsistTestCase):
    on_slow_callback = "ignore"

    async def asyncSetUp(self):
        # aioquic waits until sent + delay, and then asks whether sent <= now - delay. Where that differs by a rounding
        # it asks again at once, until the time has moved: as on a real clock, it moves between two looks.
        time, looks = self.loop.time, itertools.count()
        self.loop.time = lambda: time() + 1e-9 * next(looks)

    def configurations(self):
        """Those of a server and of its client, with a certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
        now = datetime.datetime.now(datetime.UTC)
        certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
                       .serial_number(1).not_valid_before(now - datetime.timedelta(1))
                       .not_valid_after(now + datetime.timedelta(1))
                       .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), False)
                       .sign(key, hashes.SHA256()))
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        (folder / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "key").write_bytes(key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        server = QuicConfiguration(is_client=False, alpn_protocols=["echo"])
        server.load_cert_chain(folder / "cert", folder / "key")
        return server, QuicConfiguration(alpn_protocols=["echo"], verify_mode=ssl.CERT_NONE)

    async def exchange(self, data):
        """Send data over QUIC and give what comes back."""
        def answer(reader, writer):
            async def echo():
                writer.write(await reader.read())
                writer.write_eof()

            answering.append(asyncio.create_task(echo()))

        answering = []
        server_side, client_side = self.configurations()
        server = await serve_quic(HOST, 4433, configuration=server_side, stream_handler=answer)
        async with connect_quic(HOST, 4433, configuration=client_side) as client:
            reader, writer = await client.create_stream()
            writer.write(data)
            writer.write_eof()
            answer = await reader.read()
        server.close()
        await asyncio.gather(*answering)
        await asyncio.sleep(10)
        return answer

    async def test_loss_and_reordering(self):
        """QUIC repairs by itself what datagrams do: loss, doubles, other orders."""
        link = self.network.link("localhost", HOST, latency=0.02, loss=0.05, duplicate=0.05, jitter=0.01)
        data = bytes(range(256)) * 400
        start = self.now
        self.assertEqual(await self.exchange(data), data)
        self.assertGreater(self.now - start, 10.1)
        link.change(loss=0.0, reorder=0.2)
        self.assertEqual(await self.exchange(data), data)

    async def test_an_mtu_that_is_too_small(self):
        """A path that takes no packets of 1,200 bytes whole passes fragments."""
        self.network.link("localhost", HOST, latency=0.02, mtu=600)
        self.assertEqual(await self.exchange(b"hello"), b"hello")


if library("grpclib"):
    class Bytes(CodecBase):
        """Messages that are bytes."""

        __content_subtype__ = "bytes"

        def encode(self, message, message_type):
            return message

        def decode(self, data, message_type):
            return data

    class Echo:
        async def echo(self, stream):
            await stream.send_message(await stream.recv_message())

        def __mapping__(self):
            return {"/test.Echo/Echo": Handler(self.echo, Cardinality.UNARY_UNARY, bytes, bytes)}


@needs("grpclib")
class GrpclibTest(SolipsistTestCase):
    async def start(self):
        """A server, and a method of its client."""
        server = Server([Echo()], codec=Bytes())
        await server.start(HOST, 50051)

        async def stop():
            server.close()
            await server.wait_closed()

        self.addAsyncCleanup(stop)
        channel = Channel(HOST, 50051, codec=Bytes())
        self.addCleanup(channel.close)
        return UnaryUnaryMethod(channel, "/test.Echo/Echo", bytes, bytes)

    async def test_latency_and_loss(self):
        """A call takes its round trips; over a line that loses some it takes longer, and comes through."""
        echo = await self.start()
        link = self.network.link("localhost", HOST, latency=0.05)
        self.assertEqual(await echo(b"one"), b"one")
        with self.assertElapses(0.1):
            self.assertEqual(await echo(b"two"), b"two")
        link.change(loss=0.1)
        for number in range(30):
            self.assertEqual(await echo(b"%d" % number), b"%d" % number)
        self.assertGreater(self.now, 3.4)

    async def test_a_deadline(self):
        """A call into a partition ends at its deadline."""
        echo = await self.start()
        self.assertEqual(await echo(b"one"), b"one")
        self.network.partition("localhost", HOST)
        with self.assertElapses(5), self.assertRaises(TimeoutError):
            await echo(b"two", timeout=5)
        self.network.heal()  # or the server would wait for its client for ever


@needs("aiocoap")
@fail_on(active_handles=False)  # it remembers each message for some minutes
class AiocoapTest(SolipsistTestCase):
    async def start(self):
        """A server that says hello, and a client."""
        class Hello(resource.Resource):
            async def render_get(self, request):
                return aiocoap.Message(payload=b"hello")

        site = resource.Site()
        site.add_resource(["hello"], Hello())
        address = self.network.add_host(HOST).addresses[0]
        server = await aiocoap.Context.create_server_context(
            site, bind=(address, 5683), transports=["simplesocketserver"])
        self.addAsyncCleanup(server.shutdown)
        client = await aiocoap.Context.create_client_context(transports=["simple6"])
        self.addAsyncCleanup(client.shutdown)
        return client, aiocoap.Message(code=aiocoap.GET, uri=f"coap://{address}/hello")

    async def test_loss(self):
        """A request whose datagrams are lost comes through."""
        client, request = await self.start()
        lost = [1, 1]
        self.network.rule(lambda packet: lost.pop() and Verdict.DROP if lost and packet.kind == "datagram" else None)
        start = self.now
        response = await client.request(request).response
        self.assertEqual(response.payload, b"hello")
        self.assertTrue(2 + 4 <= self.now - start <= 3 + 6, self.now - start)

    async def test_retransmissions(self):
        """A confirmable message goes out five times, after 2 to 3 s and twice as long each time (RFC 7252, 4.2)."""
        client, request = await self.start()
        times = []
        self.network.rule(lambda packet: times.append(self.now) or Verdict.DROP if packet.kind == "datagram" else None)
        with self.assertRaises(aiocoap.error.Error):
            await client.request(request).response
        gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
        self.assertEqual(len(gaps), 4)
        self.assertTrue(2 <= gaps[0] <= 3, gaps)
        for before, after in zip(gaps, gaps[1:], strict=False):
            self.assertAlmostEqual(after, 2 * before)
        self.assertAlmostEqual(self.now - times[-1], 2 * gaps[-1])

    async def test_the_queue_of_errors(self):
        """A request that an error of ICMP answers ends a round trip later, with what MSG_ERRQUEUE says."""
        address = self.network.add_host(HOST).addresses[0]
        self.network.link("localhost", HOST, latency=0.05)
        client = await aiocoap.Context.create_client_context(transports=["udp6"])
        self.addAsyncCleanup(client.shutdown)
        for verdict, error in ((None, "ECONNREFUSED"), (Verdict.icmp(3, 13), "EHOSTUNREACH")):
            request = aiocoap.Message(code=aiocoap.GET, uri=f"coap://{address}/hello")
            with self.subTest(error=error), self.network.rule(lambda packet, verdict=verdict: verdict):
                with self.assertElapses(0.1), self.assertRaises(aiocoap.error.NetworkError) as caught:
                    await client.request(request).response
                self.assertIn(f"{error}, received through errqueue", repr(caught.exception))
