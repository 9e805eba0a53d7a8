"""aiohappyeyeballs on the virtual loop: which of several addresses is connected to, and after how long."""

import asyncio
import errno
import socket

from solipsism_unittest import SolipsistTestCase
from tests.interop import library, needs

if library("aiohappyeyeballs"):
    import aiohappyeyeballs

SIX, FOUR, OTHER = "2001:db8::1", "192.0.2.1", "192.0.2.2"


@needs("aiohappyeyeballs")
class AiohappyeyeballsTest(SolipsistTestCase):
    async def asyncSetUp(self):
        self.network.add_host("api.test", SIX, FOUR, OTHER)
        self.infos = await self.loop.getaddrinfo("api.test", 80, type=socket.SOCK_STREAM)

    async def connect(self, delay=0.25, **options):
        """Connect, and return the address that answered."""
        with await aiohappyeyeballs.start_connection(self.infos, happy_eyeballs_delay=delay, **options) as sock:
            self.assertFalse(sock.getblocking())
            return sock.getpeername()[0]

    async def test_the_first_answers(self):
        """An address that answers at once is taken at once."""
        for address in (SIX, FOUR):
            await self.start_fake_server(None, address, 80)
        with self.assertElapses(0):
            self.assertEqual(await self.connect(), SIX)

    async def test_one_refuses(self):
        """An address that refuses is passed over without waiting for the delay."""
        await self.start_fake_server(None, FOUR, 80)
        with self.assertElapses(0):
            self.assertEqual(await self.connect(), FOUR)

    async def test_some_never_answer(self):
        """Each address that never answers costs the delay, and its socket is closed when another one has won."""
        for address in (SIX, FOUR):
            self.network.drop(address)
        await self.start_fake_server(None, OTHER, 80)
        with self.assertElapses(0.5):
            self.assertEqual(await self.connect(), OTHER)

    async def test_without_a_delay(self):
        """Without happy eyeballs an address that never answers costs the two minutes of TCP's own patience."""
        self.network.drop(SIX)
        await self.start_fake_server(None, FOUR, 80)
        with self.assertElapses(131):
            self.assertEqual(await self.connect(delay=None), FOUR)

    async def test_a_local_address(self):
        """A socket is bound to the local address of its family; one without such an address cannot connect."""
        server = await self.start_fake_server(None, FOUR, 80)
        local = await self.loop.getaddrinfo("127.0.0.1", 0, type=socket.SOCK_STREAM)
        self.assertEqual(await self.connect(local_addr_infos=local), FOUR)
        _, writer = await server.accept()
        self.assertEqual(writer.get_extra_info("peername")[0], "127.0.0.1")

    async def test_all_refuse(self):
        """When every address refuses, the error is the refusal."""
        with self.assertElapses(0), self.assertRaises(ConnectionRefusedError) as caught:
            await self.connect()
        self.assertEqual(caught.exception.errno, errno.ECONNREFUSED)


class AiohappyeyeballsTwinTest(SolipsistTestCase):
    """What aiohappyeyeballs asks of sockets: impl.py, with asyncio's own happy eyeballs for the race."""

    def listener(self, host="127.0.0.1"):
        sock = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.addCleanup(sock.close)
        return sock

    def refusing(self):
        """An address at which nobody listens."""
        with self.listener("::1") as sock:
            return sock.getsockname()

    async def connect(self, address, bind_to=None):
        sock = socket.socket(family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET, type=socket.SOCK_STREAM,
                             proto=socket.IPPROTO_TCP)
        try:
            sock.setblocking(False)
            if bind_to is not None:
                sock.bind(bind_to)
            await asyncio.get_running_loop().sock_connect(sock, address)
        except BaseException:
            sock.close()
            raise
        return sock

    async def test_one_after_the_other(self):
        """The socket whose connection is refused is closed, the next one connects and has no error."""
        with self.assertRaises(ConnectionRefusedError):
            await self.connect(self.refusing())
        listener = self.listener()
        with await self.connect(listener.getsockname()) as sock:
            self.assertEqual(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), 0)
            self.assertEqual((sock.getpeername(), sock.proto), (listener.getsockname(), socket.IPPROTO_TCP))

    async def test_the_race_of_asyncio(self):
        """create_connection() with a delay finds the address that answers."""
        listener = self.listener("127.0.0.1")
        _, writer = await asyncio.open_connection("localhost", listener.getsockname()[1], happy_eyeballs_delay=60)
        self.assertEqual(writer.get_extra_info("peername"), listener.getsockname())
        writer.close()
        await writer.wait_closed()

    async def test_a_local_address(self):
        """A socket that is bound before it connects is seen there; an address of nobody here cannot be bound."""
        listener = self.listener()
        with await self.connect(listener.getsockname(), ("127.0.0.2", 0)) as sock:
            accepted, peer = await asyncio.get_running_loop().sock_accept(self.unblocked(listener))
            accepted.close()
            self.assertEqual((peer[0], peer), ("127.0.0.2", sock.getsockname()))
        with self.assertRaises(OSError) as caught:
            await self.connect(listener.getsockname(), ("192.0.2.77", 0))
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    def unblocked(self, sock):
        sock.setblocking(False)
        return sock

    async def test_a_loser_is_closed(self):
        """A connection that is given up while its connect is under way is closed, and nobody watches it any more."""
        loop = asyncio.get_running_loop()
        listener = self.listener()
        connecting = loop.create_task(self.connect(listener.getsockname()))
        await asyncio.sleep(0)
        connecting.cancel()
        result = (await asyncio.gather(connecting, return_exceptions=True))[0]
        if isinstance(result, socket.socket):  # it had won already
            result.close()
        self.assertTrue(connecting.done())


class AiohappyeyeballsTwinOnLoopbackTest(AiohappyeyeballsTwinTest):
    """The same on the real loopback."""

    loop_factory = asyncio.SelectorEventLoop
