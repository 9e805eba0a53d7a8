"""Clean programs that send datagrams and look up names."""

import asyncio
import errno
import socket
import struct

from solipsism_unittest import SolipsistTestCase


class Listener(asyncio.DatagramProtocol):
    """A datagram protocol that keeps what comes in a queue, and how it ended in a future."""

    def __init__(self):
        self.datagrams, self.errors = asyncio.Queue(), asyncio.Queue()
        self.transport = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.datagrams.put_nowait((data, address))

    def error_received(self, error):
        self.errors.put_nowait(error)

    def connection_lost(self, error):
        self.lost.set_result(error)


class EndpointTest(SolipsistTestCase):
    async def test_sent_and_received(self):
        """A client and a server on datagram endpoints, both closed."""
        server, listener = await self.loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 9999))
        client, _ = await self.loop.create_datagram_endpoint(Listener, remote_addr=("127.0.0.1", 9999))
        client.sendto(b"ping")
        data, _ = await listener.datagrams.get()
        client.close()
        server.close()
        self.assertEqual(data, b"ping")

    async def test_closed_and_waited_for(self):
        """connection_lost() comes without an error."""
        transport, protocol = await self.loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
        transport.close()
        self.assertIsNone(await protocol.lost)

    async def test_aborted(self):
        """An aborted endpoint is gone at once."""
        transport, protocol = await self.loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
        transport.abort()
        await protocol.lost
        self.assertTrue(transport.is_closing())

    async def test_closed_by_a_cleanup(self):
        """addCleanup(transport.close) is enough."""
        transport, _ = await self.loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 5353))
        self.addCleanup(transport.close)
        self.assertEqual(transport.get_extra_info("sockname"), ("127.0.0.1", 5353))

    async def test_nobody_listens(self):
        """A connected endpoint hears of the closed port."""
        transport, protocol = await self.loop.create_datagram_endpoint(Listener, remote_addr=("127.0.0.1", 1))
        transport.sendto(b"anybody?")
        self.assertIsInstance(await protocol.errors.get(), ConnectionRefusedError)
        transport.close()

    async def test_a_datagram_that_nobody_reads(self):
        """What lies in the receive buffer of a closed endpoint is no matter."""
        sender, _ = await self.loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", 7777))
            sender.sendto(b"unread", ("127.0.0.1", 7777))
            sender.close()
            self.assertEqual(receiver.getsockname()[1], 7777)

    async def test_an_answer_that_does_not_come(self):
        """A request is sent three times, then given up."""
        server, listener = await self.loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 123))
        client, answers = await self.loop.create_datagram_endpoint(Listener, remote_addr=("127.0.0.1", 123))
        for _ in range(3):
            client.sendto(b"what time is it?")
            try:
                await asyncio.wait_for(answers.datagrams.get(), 5)
            except TimeoutError:
                continue
        self.assertEqual((listener.datagrams.qsize(), self.now), (3, 15.0))
        client.close()
        server.close()

    async def test_too_large(self):
        """A datagram that is too large is an error of the protocol, and the endpoint goes on."""
        transport, protocol = await self.loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
        transport.sendto(bytes(70_000), ("127.0.0.1", 9))
        error = await protocol.errors.get()
        self.assertEqual(error.errno, errno.EMSGSIZE)
        transport.close()

    async def test_a_unix_datagram_pair(self):
        """Two datagram sockets of a pair keep their messages apart."""
        one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        one.setblocking(False)
        two.setblocking(False)
        await self.loop.sock_sendall(one, b"first")
        await self.loop.sock_sendall(one, b"second")
        self.assertEqual([await self.loop.sock_recv(two, 100) for _ in range(2)], [b"first", b"second"])
        one.close()
        two.close()

    async def test_a_broadcast(self):
        """A broadcast reaches a listener on every address."""
        server, listener = await self.loop.create_datagram_endpoint(Listener, local_addr=("0.0.0.0", 67))
        client, _ = await self.loop.create_datagram_endpoint(Listener, local_addr=("0.0.0.0", 68), allow_broadcast=True)
        client.sendto(b"DISCOVER", ("255.255.255.255", 67))
        data, address = await listener.datagrams.get()
        self.assertEqual((data, address[1]), (b"DISCOVER", 68))
        client.close()
        server.close()

    async def test_a_multicast_group(self):
        """A member of a group gets what is sent to it, and leaves."""
        face = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        face.bind(("", 1900))
        member = socket.inet_aton("239.255.255.250") + socket.inet_aton("0.0.0.0")
        face.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
        transport, protocol = await self.loop.create_datagram_endpoint(Listener, sock=face)
        transport.sendto(b"M-SEARCH", ("239.255.255.250", 1900))
        data, _ = await protocol.datagrams.get()
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, member)
        transport.close()
        self.assertEqual(data, b"M-SEARCH")

    async def test_by_hand(self):
        """sock_sendto() and sock_recvfrom(), one of them cancelled."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as face:
            face.setblocking(False)
            face.bind(("127.0.0.1", 2000))
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.loop.sock_recvfrom(face, 100), 1)
            await self.loop.sock_sendto(face, b"to myself", ("127.0.0.1", 2000))
            self.assertEqual(await self.loop.sock_recvfrom(face, 100), (b"to myself", ("127.0.0.1", 2000)))

    async def test_received_into_a_buffer(self):
        """sock_recvfrom_into() fills the buffer of the caller."""
        buffer = bytearray(8)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as face:
            face.setblocking(False)
            face.bind(("127.0.0.1", 0))
            face.sendto(b"abc", face.getsockname())
            count, _ = await self.loop.sock_recvfrom_into(face, buffer)
        self.assertEqual(bytes(buffer[:count]), b"abc")


class FakeDatagramServerTest(SolipsistTestCase):
    async def test_a_handler_that_answers(self):
        """A server of a test that answers each datagram."""
        server = await self.start_fake_datagram_server(lambda data, address: data[::-1], "dns.test", 53)
        client, protocol = await self.loop.create_datagram_endpoint(Listener, remote_addr=server.address)
        client.sendto(b"abc")
        self.assertEqual((await protocol.datagrams.get())[0], b"cba")
        client.close()

    async def test_a_handler_that_takes_its_time(self):
        """An async handler answers later, and one of its answers is never waited for."""

        async def slow(data, address):
            await asyncio.sleep(float(data))
            return b"after " + data

        server = await self.start_fake_datagram_server(slow, "slow.test")
        client, protocol = await self.loop.create_datagram_endpoint(Listener, remote_addr=server.address)
        client.sendto(b"1000")
        client.sendto(b"2")
        self.assertEqual((await protocol.datagrams.get())[0], b"after 2")
        client.close()

    async def test_a_server_played_by_hand(self):
        """The test itself receives and answers."""
        server = await self.start_fake_datagram_server(host="ntp.test", port=123)
        client, protocol = await self.loop.create_datagram_endpoint(Listener, remote_addr=("ntp.test", 123))
        client.sendto(b"time?")
        data, address = await server.receive()
        server.send(struct.pack("!I", 42), address)
        answer, _ = await protocol.datagrams.get()
        self.assertEqual((data, answer, len(server.received)), (b"time?", b"\0\0\0*", 1))
        client.close()

    async def test_a_receive_that_is_cancelled(self):
        """A server that waits in a task is ended with it."""
        server = await self.start_fake_datagram_server()
        receiver = asyncio.create_task(server.receive())
        self.addCleanup(receiver.cancel)
        await asyncio.sleep(1)
        self.assertEqual((receiver.done(), server.received), (False, []))

    async def test_a_server_that_goes_away(self):
        """After close() the port is shut."""
        server = await self.start_fake_datagram_server(host="gone.test")
        server.close()
        client, protocol = await self.loop.create_datagram_endpoint(Listener, remote_addr=server.address)
        client.sendto(b"hello?")
        self.assertEqual((await protocol.errors.get()).errno, errno.ECONNREFUSED)
        client.close()


class NamesTest(SolipsistTestCase):
    async def test_a_name_that_is_made_up(self):
        """Any name has an address, and keeps it."""
        first = await self.loop.getaddrinfo("some.test", 80, type=socket.SOCK_STREAM)
        self.assertEqual(first, await self.loop.getaddrinfo("some.test", 80, type=socket.SOCK_STREAM))

    async def test_a_host_of_both_families(self):
        """A host gets the addresses that the test gives it."""
        self.network.add_host("dual.test", "2001:db8::1", "192.0.2.1", aliases=["www.dual.test"])
        found = socket.getaddrinfo("www.dual.test", 443, type=socket.SOCK_STREAM)
        self.assertEqual([entry[4][0] for entry in found], ["2001:db8::1", "192.0.2.1"])

    async def test_happy_eyeballs(self):
        """The address that works wins, and the attempt at the black hole leaves no socket."""
        self.network.add_host("dual.test", "2001:db8::1", "192.0.2.1")
        await self.start_fake_server(host="192.0.2.1", port=443)
        self.network.drop("2001:db8::1")
        _, writer = await asyncio.open_connection("dual.test", 443, happy_eyeballs_delay=0.25)
        self.assertEqual(writer.get_extra_info("peername"), ("192.0.2.1", 443))
        self.assertNow(0.25)
        writer.close()

    async def test_a_lookup_that_fails(self):
        """A name that does not exist is an exception, and is on the list of look-ups."""
        self.network.fail_lookup("typo.test")
        with self.assertRaises(socket.gaierror):
            await asyncio.open_connection("typo.test", 80)
        self.assertEqual([lookup.name for lookup in self.network.lookups], ["typo.test"])

    async def test_a_temporary_failure(self):
        """A look-up that is to be repeated."""
        self.network.fail_lookup("shaky.test", socket.EAI_AGAIN)
        with self.assertRaises(socket.gaierror) as caught:
            await self.loop.getaddrinfo("shaky.test", 80)
        self.assertEqual(caught.exception.errno, socket.EAI_AGAIN)

    async def test_a_slow_lookup(self):
        """A resolver that takes its time, while others are served."""
        self.network.delay_lookup("slow.test", 3)
        slow = asyncio.create_task(self.loop.getaddrinfo("slow.test", 80))
        await self.loop.getaddrinfo("quick.test", 80)
        self.assertFalse(slow.done())
        await slow
        self.assertNow(3)

    async def test_a_slow_lookup_that_is_given_up(self):
        """A connect that times out in the resolver leaves nothing."""
        self.network.delay_lookup("snail.test", 100)
        with self.assertRaises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.open_connection("snail.test", 80)
        self.assertNow(5)

    async def test_the_name_of_an_address(self):
        """getnameinfo() knows the hosts of the test."""
        self.network.add_host("known.test", "192.0.2.77")
        self.assertEqual(await self.loop.getnameinfo(("192.0.2.77", 80), socket.NI_NUMERICSERV), ("known.test", "80"))

    async def test_old_ways_to_resolve(self):
        """gethostbyname() and its neighbours answer at once."""
        self.network.add_host("old.test", "192.0.2.5", "192.0.2.6")
        self.assertEqual(socket.gethostbyname("old.test"), "192.0.2.5")
        self.assertEqual(socket.gethostbyname_ex("old.test")[2], ["192.0.2.5", "192.0.2.6"])

    async def test_the_name_of_this_machine(self):
        """A program that looks itself up finds an address that it can bind."""
        address = socket.gethostbyname(socket.gethostname())
        with socket.socket() as face:
            face.bind((address, 0))
            self.assertEqual(face.getsockname()[0], address)

    async def test_a_black_hole_that_is_repaired(self):
        """A client that tries until the network is there again."""
        await self.start_fake_server(host="far.test", port=80)
        self.network.drop("far.test")
        self.loop.call_later(7, self.network.repair, "far.test")
        attempts = 0
        while True:
            attempts += 1
            try:
                _, writer = await asyncio.wait_for(asyncio.open_connection("far.test", 80), 3)
                break
            except TimeoutError:
                pass
        writer.close()
        self.assertIn(attempts, (3, 4))

    async def test_a_black_hole_to_the_end(self):
        """The system's own timeout of a connect."""
        self.network.drop("abyss.test")
        with self.assertRaises(OSError) as caught:
            await asyncio.open_connection("abyss.test", 80)
        self.assertEqual((caught.exception.errno, self.now), (errno.ETIMEDOUT, 131.0))
