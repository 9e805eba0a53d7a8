"""Look-ups by every function of module socket, against the real ones where those ask nobody, and what asyncio makes of
them.
"""

import asyncio
import errno
import itertools
import socket
import sys
import unittest

from solipsism_unittest import SolipsismError, SolipsistEventLoop, SolipsistTestCase, sealed
from solipsism_unittest.stdlib.sockets.lookups import ANSWERS

HOSTS = (
    "127.0.0.1",
    "127.1",
    "0.0.0.0",
    "255.255.255.255",
    "",
    "<broadcast>",
    "::1",
    "::ffff:192.0.2.1",
    b"127.0.0.1",
    bytearray(b"127.0.0.1"),
    "256.1.1.1.",
    "a..b",
    ".a",
    "a" * 64,
    "\u00e4" * 64,
    "a\0b",
    b"a\0b",
    None,
    5,
    1.5,
    [],
)


def outcome(call, *args):
    """What a call gives, or the class, number and text of what it raises."""
    try:
        return call(*args)
    except socket.herror:
        return socket.herror  # its number is whatever the C library met last
    except (OSError, TypeError, ValueError, OverflowError) as error:
        return type(error), str(error)


class Compared(unittest.TestCase):
    """Calls made outside and inside the simulation."""

    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)

    def check(self, name, *args):
        real = outcome(getattr(socket, name), *args)
        with sealed(self.loop), self.subTest(name, args=args):
            self.assertEqual(outcome(getattr(socket, name), *args), real)


class AgainstTheRealOnesTest(Compared):
    def test_literal_hosts(self):
        """What the functions for one IPv4 address make of literals, and of everything that is none."""
        for name, host in itertools.product(("gethostbyname", "gethostbyname_ex"), HOSTS):
            self.check(name, host)
        for host in ("", "a..b", "\u00e4" * 64, "a\0b", None, 5, "<broadcast>"):
            self.check("gethostbyaddr", host)

    def test_services(self):
        """Arguments of the wrong kind or number, and names that nothing has."""
        for args in (("http", "tcp"), ("nope",), ("http", 5), ("http", None), (5,), (None,), ("a\0",), ("http", "\0")):
            self.check("getservbyname", *args)
        for args in ((80, "tcp"), (True, "x"), (-1,), (65536,), ("80",), (1.5,), (80, 5), (80, "\0")):
            self.check("getservbyport", *args)
        for name in ("tcp", "udp", "icmp", "nope", "", "6", 5, b"tcp", None, "\0"):
            self.check("getprotobyname", name)

    def test_interfaces(self):
        """The loopback interface is number 1; what is no interface is refused."""
        for name in ("lo", b"lo", "nope", "", "LO", 5, None, "\0", "\u00e4"):
            self.check("if_nametoindex", name)
        for index in (1, True, 0, 99, 2**31, -1, -2**40, 2**32, 2**64):
            self.check("if_indextoname", index)
        for index, kind in (("1", TypeError), (1.5, TypeError), (None, TypeError)):
            with sealed(self.loop), self.subTest(index=index), self.assertRaises(kind):
                socket.if_indextoname(index)

    def test_too_many_arguments(self):
        """Each function counts its arguments."""
        for name in ("getservbyname", "getservbyport"):
            for args in ((), ("http", "tcp", "more")):
                with self.subTest(name, args=args), sealed(self.loop), self.assertRaises(TypeError):
                    getattr(socket, name)(*args)

    def test_every_function_is_replaced(self):
        """Each look-up of module socket is another one in a sealed thread, and the real one again after it."""
        before = {name: getattr(socket, name) for name in ANSWERS}
        with sealed(self.loop):
            for name, function in before.items():
                with self.subTest(name):
                    self.assertIsNot(getattr(socket, name), function)
        self.assertEqual({name: getattr(socket, name) for name in ANSWERS}, before)


class WorldTest(SolipsistTestCase):
    """The virtual machine's own answers."""

    def setUp(self):
        self.network.add_host("two.test", "192.0.2.1", "2001:db8::1", "192.0.2.2", aliases=["www.two.test"])

    def test_old_functions(self):
        """gethostbyname_ex() tells the host behind an alias and every IPv4 address, gethostbyaddr() the way back."""
        addresses = ["192.0.2.1", "192.0.2.2"]
        self.assertEqual(socket.gethostbyname_ex("two.test"), ("two.test", [], addresses))
        self.assertEqual(socket.gethostbyname_ex("TWO.test."), ("TWO.test", [], addresses))
        self.assertEqual(socket.gethostbyname_ex("www.two.test"), ("two.test", ["www.two.test"], addresses))
        self.assertEqual(socket.gethostbyaddr("2001:db8::1"), ("two.test", [], ["2001:db8::1"]))
        self.assertEqual(socket.gethostbyaddr("two.test"), ("two.test", [], ["192.0.2.1"]))
        with self.assertRaisesRegex(socket.herror, "Unknown host"):
            socket.gethostbyaddr("192.0.2.9")
        self.assertEqual([socket.getfqdn(), socket.getfqdn("192.0.2.1")], ["localhost", "two.test"])

    def test_families(self):
        """A host of one family has no address of the other."""
        self.network.add_host("six.test", "2001:db8::6")
        for call in (socket.gethostbyname, socket.gethostbyname_ex):
            with self.subTest(call.__name__), self.assertRaises(socket.gaierror) as caught:
                call("six.test")
            self.assertEqual(caught.exception.errno, socket.EAI_NODATA)

    def test_interfaces(self):
        """The machine has a loopback interface, and one to everybody else."""
        self.assertEqual(socket.if_nameindex(), [(1, "lo"), (2, "eth0")])
        self.assertEqual((socket.if_nametoindex("eth0"), socket.if_indextoname(2)), (2, "eth0"))

    def test_failures(self):
        """A name that is unknown, and one that fails for now, for every function."""
        self.network.fail_lookup("gone.test")
        self.network.fail_lookup("later.test", socket.EAI_AGAIN)
        for name, code in (("gone.test", socket.EAI_NONAME), ("later.test", socket.EAI_AGAIN)):
            for call in (socket.gethostbyname, socket.gethostbyaddr, lambda name: socket.getaddrinfo(name, 80)):
                with self.subTest(name), self.assertRaises(socket.gaierror) as caught:
                    call(name)
                self.assertEqual(caught.exception.errno, code)

    async def test_lookups(self):
        """A test sees what was looked up: when, which family, and the answer."""
        await asyncio.sleep(3)
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("api.test", 443, family=socket.AF_INET)
        (lookup,) = self.network.lookups
        self.assertEqual((lookup.time, lookup.name, lookup.family, lookup.error), (3.0, "api.test", socket.AF_INET, 0))
        self.assertEqual(lookup.addresses, (socket.gethostbyname("api.test"),))

    async def test_failing_connections(self):
        """A connection to a name that cannot be looked up fails as on a machine, and works after that."""
        server = await self.start_fake_server(host="api.test")
        self.network.fail_lookup("api.test", socket.EAI_AGAIN)
        with self.assertRaisesRegex(socket.gaierror, "Temporary failure in name resolution"):
            await asyncio.open_connection(*server.address)
        self.network.add_host("api.test")
        _, writer = await asyncio.open_connection(*server.address)
        writer.close()
        self.assertEqual([lookup.error for lookup in self.network.lookups], [socket.EAI_AGAIN, 0])

    async def test_international_names(self):
        """A server on a name beyond ASCII is found by that name and by its encoded form."""
        server = await self.start_fake_server(host="b\u00fccher.test", port=80)
        for name in ("b\u00fccher.test", "xn--bcher-kva.test"):
            _, writer = await asyncio.open_connection(name, 80)
            writer.close()
        self.assertEqual(len(server.connections), 2)


class SlowTest(SolipsistTestCase):
    def setUp(self):
        self.network.delay_lookup("slow.test", 4)

    async def test_virtual_time(self):
        """A slow look-up takes virtual time, whatever comes of it, and others go on meanwhile."""
        with self.assertElapses(4):
            await asyncio.gather(self.loop.getaddrinfo("slow.test", 80), self.loop.getaddrinfo("slow.test", 81))
        self.network.fail_lookup("slow.test", socket.EAI_AGAIN)
        with self.assertElapses(4), self.assertRaises(socket.gaierror):
            await self.loop.getaddrinfo("slow.test", 80)
        with self.assertElapses(0):
            await self.loop.getaddrinfo("fast.test", 80)

    async def test_timeout(self):
        """A limit on a connect counts the look-up, and a look-up that was given up is in the list."""
        await self.start_fake_server(host="slow.test", port=80)
        with self.assertElapses(3), self.assertRaises(TimeoutError):
            async with asyncio.timeout(3):
                await asyncio.open_connection("slow.test", 80)
        self.assertEqual([(lookup.time, lookup.name) for lookup in self.network.lookups], [(0.0, "slow.test")])

    async def test_blocking_calls(self):
        """A blocking look-up of a slow name in the loop's thread is refused, and told what to do instead."""
        with socket.socket() as sock:
            for call in (
                lambda: socket.getaddrinfo("slow.test", 80),
                lambda: socket.gethostbyname("slow.test"),
                lambda: socket.gethostbyname_ex("slow.test"),
                lambda: socket.gethostbyaddr("slow.test"),
                lambda: sock.connect(("slow.test", 80)),
                lambda: socket.create_connection(("slow.test", 80)),
            ):
                with self.assertRaisesRegex(SolipsismError, "looking up slow.test takes 4.0 s .* loop.getaddrinfo"):
                    call()
        self.assertEqual(self.network.lookups, [])

    async def test_worker_threads(self):
        """In a worker thread a slow name is answered at once: a job costs no virtual time."""
        with self.assertElapses(0):
            infos = await asyncio.to_thread(socket.getaddrinfo, "slow.test", 80)
        self.assertEqual(infos[0][4], (self.network.lookups[0].addresses[0], 80))

    def test_no_loop_runs(self):
        """Where no loop runs, nothing is stopped by waiting, and the answer is there."""
        self.assertEqual(socket.gethostbyname("slow.test"), self.network.lookups[0].addresses[0])


class HappyEyeballsTest(SolipsistTestCase):
    """create_connection() to hosts of several addresses, in virtual seconds."""

    SIX, FOUR, OTHER = "2001:db8::1", "192.0.2.1", "192.0.2.2"

    async def asyncSetUp(self):
        self.network.add_host("api.test", self.SIX, self.FOUR, self.OTHER)
        self.peers = []

    async def listen(self, *addresses):
        for address in addresses:
            await self.start_fake_server(host=address, port=80)

    async def connect(self, **options):
        """Connect, note who answered, and return how long it took."""
        before = self.now
        transport, _ = await self.loop.create_connection(asyncio.Protocol, "api.test", 80, **options)
        self.peers.append(transport.get_extra_info("peername")[0])
        transport.close()
        return self.now - before

    async def test_the_first_that_answers(self):
        """Addresses are tried in their order, one after the other, and those that refuse cost no time."""
        await self.listen(self.FOUR, self.OTHER)
        self.assertEqual((await self.connect(), self.peers), (0.0, [self.FOUR]))

    async def test_a_black_hole_without_them(self):
        """Without happy eyeballs an address that never answers costs the two minutes that it costs on a machine."""
        self.network.drop(self.SIX)
        await self.listen(self.FOUR)
        self.assertEqual((await self.connect(), self.peers), (131.0, [self.FOUR]))

    async def test_a_black_hole(self):
        """With happy eyeballs the next address is tried after the delay, and the one before is given up."""
        self.network.drop(self.SIX)
        await self.listen(self.FOUR)
        self.assertEqual((await self.connect(happy_eyeballs_delay=0.25), self.peers), (0.25, [self.FOUR]))
        await self.settle()
        self.assertEqual(self.loop.kernel.clock.deliveries, [])

    async def test_a_slow_network(self):
        """The first address wins when it is repaired while the others wait for their turn."""
        self.network.drop(self.SIX)
        await self.listen(self.SIX)
        self.loop.call_later(2, self.network.repair, self.SIX)
        self.assertEqual((await self.connect(happy_eyeballs_delay=5), self.peers), (3.0, [self.SIX]))

    async def test_interleave(self):
        """interleave= mixes the families; by itself happy eyeballs asks one address of the first family, then mixes."""
        self.network.add_host("api.test", self.SIX, "2001:db8::2", self.FOUR)
        for address in (self.SIX, "2001:db8::2"):
            self.network.drop(address)
        await self.listen(self.FOUR)
        self.assertEqual(await self.connect(happy_eyeballs_delay=1), 1.0)
        self.assertEqual(await self.connect(happy_eyeballs_delay=1, interleave=0), 2.0)
        self.assertEqual(await self.connect(happy_eyeballs_delay=1, interleave=2), 2.0)

    async def test_nobody_answers(self):
        """When every address refuses, the error tells them all; a single errno becomes the combined error's class."""
        with self.assertRaisesRegex(OSError, "Multiple exceptions: .*2001:db8::1.*192.0.2.1.*192.0.2.2"):
            await self.connect()
        with self.assertRaises(OSError):
            await self.connect(happy_eyeballs_delay=1)

    @unittest.skipUnless(sys.version_info >= (3, 12), "all_errors= came with Python 3.12")
    async def test_all_errors(self):
        """With all_errors= every address has its own error in a group."""
        self.network.drop(self.OTHER)
        with self.assertElapses(131), self.assertRaises(ExceptionGroup) as caught:
            await self.connect(all_errors=True)
        codes = [error.errno for error in caught.exception.exceptions]
        self.assertEqual(codes, [errno.ECONNREFUSED, errno.ECONNREFUSED, errno.ETIMEDOUT])

    async def test_cancelled(self):
        """A connect into a black hole that is given up leaves nothing behind."""
        self.network.drop("api.test")
        with self.assertElapses(10), self.assertRaises(TimeoutError):
            async with asyncio.timeout(10):
                await self.connect()
        self.assertEqual(self.loop.kernel.clock.deliveries, [])

    async def test_datagrams(self):
        """Datagrams to an address that drops are lost without a word."""
        with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
            one.setblocking(False)
            one.bind((self.FOUR, 0))
            self.network.drop(self.FOUR)
            self.assertEqual(two.sendto(b"lost", one.getsockname()), 4)
            self.network.repair(self.FOUR)
            two.sendto(b"found", one.getsockname())
            self.assertEqual(one.recv(100), b"found")


class WindowsTest(SolipsistTestCase):
    async def test_proactor_calls(self):
        """What only Windows' loop has is refused by name."""
        for name in ("create_pipe_connection", "start_serving_pipe"):
            with self.subTest(name), self.assertRaisesRegex(SolipsismError, rf"{name}\(\) is a call of Windows"):
                await getattr(self.loop, name)(asyncio.Protocol, r"\\.\pipe\x")
            with self.assertRaises(NotImplementedError):
                await getattr(self.loop, name)(asyncio.Protocol, r"\\.\pipe\x")
