"""What a test sets for the network: black holes, partitions, held packets, hosts that crash and come back."""

import asyncio
import contextlib
import errno
import socket
import threading
import unittest

from solipsism_unittest import SolipsistTestCase, Verdict
from solipsism_unittest.evidence import state
from tests.case.test_case import run, told


class ConditionsCase(SolipsistTestCase):
    async def echo(self, reader, writer):
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    async def joined(self, host="api.test", port=80):
        self.server = await self.start_fake_server(self.echo, host=host, port=port)
        self.reader, self.writer = await asyncio.open_connection(host, port)
        self.addCleanup(self.writer.close)

    async def ask(self):
        self.writer.write(b"x")
        return await self.reader.readexactly(1)


class ConditionsTest(ConditionsCase):
    async def test_drop_and_repair(self):
        """drop() acts on open connections; repair() lets the next retransmission through."""
        await self.joined()
        self.network.drop("api.test")
        self.loop.call_later(1, self.network.repair, "api.test")
        with self.assertElapses(1.6):
            self.assertEqual(await self.ask(), b"x")

    async def test_drop_of_the_machine(self):
        """`localhost` is all addresses of the machine that the test runs on; an address is that one alone, as that of
        who connects too: to 127.0.0.2 that is 127.0.0.1.
        """
        addresses = "127.0.0.1", "127.0.0.2", "::1", self.network.add_host("localhost").addresses[2]
        for address in addresses:
            self.addCleanup((await asyncio.start_server(self.echo, address, 80)).close)
        for dropped, lost in (("localhost", addresses), ("127.0.0.1", addresses[:2]), ("127.0.0.2", addresses[1:2])):
            self.network.drop(dropped)
            for address in addresses:
                with self.subTest(dropped=dropped, address=address):
                    connecting = asyncio.open_connection(address, 80)
                    if address in lost:
                        await self.assertBlocks(connecting, 0.5)
                    else:
                        (await connecting)[1].close()
            self.network.repair(dropped)
            for address in addresses:
                (await asyncio.open_connection(address, 80))[1].close()

    async def test_partition_and_heal(self):
        """A partition cuts what is there and what comes, between two hosts or one and all; heal() ends it."""
        await self.joined()
        other = await self.start_fake_server(self.echo, "other.test", 80)
        for hosts in (("localhost", "api.test"), ("api.test",)):
            self.network.partition(*hosts)
            self.loop.call_later(0.3, self.network.heal, *hosts)
            with self.assertElapses(0.4):
                await self.ask()
            self.network.partition(*hosts)
            with self.assertElapses(0):
                _, writer = await asyncio.open_connection(*other.address)
            writer.close()
            self.network.heal()
            with self.assertElapses(0):
                await self.ask()

    async def test_a_partition_of_a_slow_line(self):
        """What is between two hosts stays as it was when a partition of them is over, and while it lasts."""
        self.network.link(latency=0.5)
        await self.joined()
        self.network.partition("localhost", "api.test")
        self.network.hold("api.test", "localhost")
        self.network.heal("api.test", "localhost")
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(self.ask(), 10)
        self.network.release()
        await self.reader.readexactly(1)
        with self.assertElapses(1):
            await self.ask()
        self.assertEqual(len(self.network.wire.links.between("*", "*")), 1)

    async def test_hold_and_release(self):
        """What is held is neither lost nor there; in_flight() shows it, and release() lets it arrive in order."""
        await self.joined()
        self.network.hold("localhost", "api.test")
        self.writer.write(b"1")
        await asyncio.sleep(5)
        self.writer.write(b"2")
        await self.settle()
        self.assertEqual([flight.size for flight in self.network.in_flight()], [1, 1])
        self.assertEqual(self.server.received, b"")
        self.network.release()
        self.assertEqual(await self.reader.readexactly(2), b"12")
        self.assertEqual(self.network.in_flight(), [])

    async def test_a_link_in_a_block(self):
        """A link ends with its block; what is on its way arrives all the same."""
        await self.joined()
        with self.network.link("localhost", "api.test", latency=1.0):
            with self.assertElapses(2):
                await self.ask()
            self.writer.write(b"y")
            await self.settle()
        with self.assertElapses(1):
            await self.reader.readexactly(1)
        with self.assertElapses(0):
            await self.ask()

    async def test_bad_arguments(self):
        """A setting that no link has is a TypeError that names those it has; a bad host is what it is elsewhere."""
        with self.assertRaisesRegex(TypeError, "a link has no delay: it has latency, jitter, "):
            self.network.link(delay=1)
        self.assertRaises(ValueError, self.network.link, "no host")
        self.assertRaisesRegex(ValueError, "latency is a finite number", self.network.link, latency=-1)

    async def test_closed_with_something_under_way(self):
        """What a closed connection has on its way arrives before leftovers are counted."""
        self.network.link(latency=20.0)
        await self.joined()
        self.writer.write(b"x")
        self.writer.close()

    async def closed_on(self, **settings):
        async def serve(reader, writer):
            await reader.read()
            writer.close()

        server = await asyncio.start_server(serve, "api.test", 80)
        _, writer = await asyncio.open_connection("api.test", 80)
        with self.network.link(**settings):
            writer.write(b"12345")
            writer.close()
            server.close()
            await self.settle()
            self.assertEqual(len(self.network.in_flight()), 2)
        self.assertEqual(len(self.network.in_flight()), 2)

    async def test_closed_on_a_link_that_is_gone(self):
        """The same where its link was removed meanwhile."""
        await self.closed_on(latency=10.0)

    async def test_closed_on_a_narrow_link(self):
        """The same where bytes wait before the link."""
        await self.closed_on(bandwidth=8.0)

    async def test_netstat_of_who_is_alone(self):
        """An end whose peer is gone without a word is there, until it is closed; it crashes with its host."""
        await self.joined()
        with self.network.rule(lambda packet: Verdict.RESET):
            self.writer.write(b"x")
        self.writer.close()
        await self.settle()
        states = []
        for crash in (False, True):
            if crash:
                self.network.host("api.test").crash()
            states.append([line.split()[2] for line in self.network.netstat().splitlines()[1:]])
        self.assertEqual(states, [["listening", "listening", state, "closed"] for state in ("established", "reset")])

    async def test_netstat(self):
        """A table of all sockets: addresses, states, and bytes that wait or are under way."""
        await self.joined()
        self.network.link("localhost", "api.test", latency=1.0)
        self.writer.write(b"four")
        lines = self.network.netstat().splitlines()
        local = self.writer.get_extra_info("sockname")
        remote = self.writer.get_extra_info("peername")
        self.assertEqual(lines[0].split(), ["local", "remote", "state", "to", "read", "under", "way"])
        self.assertTrue(any("listening" in line for line in lines))
        self.assertIn([f"{remote[0]}:{remote[1]}", f"{local[0]}:{local[1]}", "established", "0", "4"],
                      [line.split() for line in lines])
        self.assertRegex(lines[-1], r"^on its way: data .*, 4 bytes, arrives at t=1\.0$")
        self.network.hold("localhost", "api.test")
        self.writer.write(b"x")
        await asyncio.sleep(2)
        self.assertRegex(self.network.netstat(), r"on its way: data .*, 2 packets of 5 bytes together, "
                                                      r"arrive after release\(\)$")
        self.network.release()
        self.writer.write(b"x")
        for table in (self.network.netstat(), state.netstat(self.loop.kernel)):
            self.assertRegex(table, r"on its way: data .*, 1 byte, arrives at t=3\.0$")
        sock = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.bind(("127.0.0.1", 53))
        sock.sendto(b"ask", ("127.0.0.1", 53))
        self.assertIn(["127.0.0.1:53", "*", "udp,", "unconnected", "3", "0"],
                      [line.split() for line in self.network.netstat().splitlines()])


class LeftTest(unittest.TestCase):
    def check(self, act, count):
        """The report about a handler that waits for its client says what has not arrived."""
        async def serve(reader, writer):
            await reader.read()
            writer.close()

        class Case(SolipsistTestCase):
            async def test(self):
                server = await asyncio.start_server(serve, "api.test", 80)
                _, writer = await asyncio.open_connection("api.test", 80)
                act(self.network)
                writer.write(b"1")
                writer.close()
                server.close()

        words = f"  {count} not arrived: heal\\(\\), release\\(\\), or let time pass, before the test ends"
        self.assertRegex(told(run(Case)), rf"1 pending task\n(.*\n)*{words}\n")

    def test_what_has_not_arrived(self):
        """It is held, lost, or takes a long time."""
        self.check(lambda network: network.hold(), "2 packets have")
        self.check(lambda network: network.partition("localhost"), "2 packets have")
        self.check(lambda network: network.link(latency=3600), "2 packets have")
        self.check(lambda network: network.link(slow_close=3600), "1 packet has")

    def test_what_has(self):
        """Where all has arrived nothing is said of it, and where nothing is left neither."""
        class Case(SolipsistTestCase):
            async def test(self):
                self.network.link(latency=1)
                self.task = asyncio.create_task(asyncio.sleep(5))

            async def test_clean(self):
                self.network.hold()
                sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sock.sendto(b"x", ("api.test", 53))
                sock.close()

        result = run(Case)
        self.assertEqual(len(result.failures), 1)
        self.assertNotIn("arrived", told(result))


class FailureTest(unittest.TestCase):
    """What a failing test says about the network."""

    def report(self, act, **settings):
        class Case(ConditionsCase):
            async def test(self):
                await self.joined()
                await act(self)
                self.fail("it failed")

        return told(run(Case))

    def test_what_has_not_arrived(self):
        """A failing test says what waits, what is on its way, and what is cut, as it was before the cleanups."""
        async def act(case):
            case.network.link("localhost", "api.test", latency=5.0)
            case.network.partition("db.test", "api.test")
            case.writer.write(b"four")
            await asyncio.sleep(1)
            case.addCleanup(case.network.heal)

        self.assertRegex(self.report(act), r"(?s)AssertionError: it failed\nthe network when it failed, at t=1\.0\n"
                                           r"  local +remote +state +to read +under way\n"
                                           r"  198[^\n]* established +0 +4\n"
                                           r"  on its way: data 198[^\n]*, 4 bytes, arrives at t=5\.0\n"
                                           r"  cut: db\.test to api\.test, api\.test to db\.test\n")

    def test_many(self):
        """Packets that are alike are one line, and of many lines the first are shown."""
        async def alike(case):
            case.network.link("localhost", "api.test", latency=5.0, slice=1)
            case.writer.write(bytes(50))

        async def slow(case):
            case.network.link("localhost", "api.test", bandwidth=80, slice=1)
            case.writer.write(bytes(50))

        async def different(case):
            case.network.link("localhost", "api.test", latency=5.0)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                for port in range(1, 51):
                    sock.sendto(b"x", ("api.test", port))

        self.assertRegex(self.report(alike), r"data 198[^\n]*, 50 packets of 50 bytes together, arrive at t=5\.0\n")
        self.assertRegex(self.report(slow), r", 50 packets of 50 bytes together, arrive from t=0\.1 to t=5\.0\n")
        self.assertIn("\n  and 42 more\n", self.report(different))

    def test_lost(self):
        """What was lost and is sent again later counts too, although nothing is on its way."""
        async def act(case):
            case.network.link("localhost", "api.test").cut()
            case.writer.write_eof()

        self.assertRegex(self.report(act), r"the network when it failed, at t=0\.0\n  cut: localhost to api\.test, api")

    def test_nothing_to_say(self):
        """A network that is calm is not mentioned."""
        async def act(case):
            case.network.link("localhost", "api.test")

        self.assertNotIn("the network when", self.report(act))


class HostTest(ConditionsCase):
    async def test_where_a_program_is(self):
        """In the block, and in tasks that are made in it, connects and datagrams come from that host."""
        server = await self.start_fake_server(host="api.test", port=80)
        datagrams = await self.start_fake_datagram_server(host="api.test", port=53)
        self.network.link("client.test", "api.test", latency=1.0)

        async def visit():
            _, writer = await asyncio.open_connection("api.test", 80)
            self.addCleanup(writer.close)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"x", ("api.test", 53))

        with self.network.host("client.test") as client, self.network.host("inner.test"):
            inner = asyncio.create_task(visit())
        with client:
            outer = asyncio.create_task(visit())
        with self.assertElapses(2):
            await asyncio.gather(inner, outer)
        await asyncio.sleep(1)
        await visit()
        await self.settle()
        names = [self.network.names.name_of(connection.address[0]) for connection in server.connections]
        self.assertEqual(names, ["inner.test", "client.test", "localhost"])
        self.assertEqual([self.network.names.name_of(address[0]) for _, address in datagrams.received],
                         ["inner.test", "client.test", "localhost"])
        self.assertRegex(repr(client), r"^<host client\.test 198\.1[89]\.\d+\.\d+, 2001:db8:")

    async def test_threads(self):
        """Threads and jobs that are started in the block are on that host too; a thread may say for itself where it is.
        """
        server = await self.start_fake_server(host="api.test", port=80)

        def visit():
            with socket.create_connection(("api.test", 80)):
                pass

        def visit_from(name):
            with self.network.host(name):
                visit()
            visit()

        async def visited(thread):
            thread.start()
            await asyncio.to_thread(thread.join)
            found = [self.network.names.name_of(connection.address[0]) for connection in server.connections]
            return found[-1] if len(found) % 2 else found[-2:]

        with self.network.host("client.test"):
            thread, timer = threading.Thread(target=visit), threading.Timer(1, visit)
            self.assertEqual(await visited(thread), "client.test")
            await self.loop.run_in_executor(None, visit)
            self.assertEqual(await visited(timer), "client.test")
            await asyncio.to_thread(visit)
        self.assertEqual(await visited(threading.Thread(target=visit)), "localhost")
        await self.loop.run_in_executor(None, visit)
        names = [self.network.names.name_of(connection.address[0]) for connection in server.connections]
        self.assertEqual(names, ["client.test"] * 4 + ["localhost"] * 2)
        self.assertEqual(await visited(threading.Thread(target=visit_from, args=("own.test",))),
                         ["own.test", "localhost"])

    async def test_its_name(self):
        """A program on a host asks for its name and finds its own address."""
        host = self.network.host("device.test")
        with host:
            self.assertEqual((socket.gethostname(), socket.gethostbyname(socket.gethostname())),
                             ("device.test", host.addresses[0]))
        self.assertEqual(socket.gethostname(), "localhost")

    def udp(self, host="localhost", group="", port=0):
        """A UDP socket on a host, in a group."""
        with self.network.host(host):
            sock = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port:
                sock.bind(("", port))
            if group:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                socket.inet_aton(group) + socket.inet_aton("0.0.0.0"))
        return sock

    def heard(self, socks):
        """Who has got something, and from which host."""
        found = {}
        for name, sock in socks.items():
            with contextlib.suppress(BlockingIOError):
                while True:
                    found.setdefault(name, []).append(self.network.names.name_of(sock.recvfrom(100)[1][0]))
        return {name: sources for name, sources in found.items() if sources}

    async def test_discovery(self):
        """Two devices answer one broadcast, each from its own address; whoever asks from a host is heard as that one.
        """
        devices = {name: self.udp(name, port=5000) for name in ("one.test", "two.test")}
        for asker in ("localhost", "phone.test"):
            with self.subTest(asker=asker), self.network.host(asker):
                sock = self.udp(asker)
                sock.sendto(b"who is there?", ("255.255.255.255", 5000))
                await self.settle()
                for device in devices.values():
                    _, address = device.recvfrom(100)
                    self.assertEqual(self.network.names.name_of(address[0]), asker)
                    device.sendto(b"me", address)
                await self.settle()
                self.assertEqual(self.heard({"": sock}), {"": ["one.test", "two.test"]})

    async def test_groups(self):
        """Each host has groups of its own: what one has joined another does not hear."""
        group = "239.1.2.3"
        socks = {"one.test": self.udp("one.test", group, 5000), "two.test": self.udp("two.test", "", 5000),
                 "localhost": self.udp("localhost", group, 5000)}
        asker = self.udp("phone.test")
        with self.network.host("phone.test") as phone:
            asker.connect((group, 5000))
            self.assertEqual(asker.getsockname()[0], phone.addresses[0])
            asker.send(b"x")
        await self.settle()
        self.assertEqual(self.heard(socks), {"one.test": ["phone.test"], "localhost": ["phone.test"]})
        # To the own host it comes back, unless the sender does not want that.
        own = self.udp("one.test", "", 0)
        for loops, hear in ((1, ["localhost", "one.test"]), (0, ["localhost"])):
            own.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, loops)
            with self.network.host("one.test"):
                own.sendto(b"x", (group, 5000))
            await self.settle()
            self.assertEqual(sorted(self.heard(socks)), hear)

    async def test_an_interface_of_a_host(self):
        """A group can be joined on the host's own address, and on no other's."""
        host = self.network.host("device.test")
        with host, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for address, code in ((host.addresses[0], None), ("198.51.100.9", errno.ENODEV)):
                value = socket.inet_aton("239.1.2.3") + socket.inet_aton(address)
                try:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, value)
                    self.assertIsNone(code)
                except OSError as error:
                    self.assertEqual(error.errno, code)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host.addresses[0]))

    async def test_bound_to_a_group(self):
        """A socket bound to a group is on the host that it was made on."""
        group = "239.1.2.3"
        socks = {}
        for name in ("one.test", "localhost"):
            with self.network.host(name):
                sock = socks[name] = self.enterContext(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                sock.setblocking(False)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((group, 5000))
        socks["one.test"].setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                                     socket.inet_aton(group) + bytes(4))
        self.udp().sendto(b"x", (group, 5000))
        await self.settle()
        self.assertEqual(self.heard(socks), {"one.test": ["localhost"]})
        sender = self.udp()
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        sender.sendto(b"x", (group, 5000))
        await self.settle()
        self.assertEqual(self.heard(socks), {})

    async def test_the_loopback_stays_at_home(self):
        """What a program sends to the broadcast address of the loopback no other host hears."""
        socks = {name: self.udp(name, port=5000) for name in ("one.test", "localhost")}
        self.udp().sendto(b"x", ("127.255.255.255", 5000))
        await self.settle()
        self.assertEqual(self.heard(socks), {"localhost": ["localhost"]})

    async def test_a_loopback_of_its_own(self):
        """What a program binds to the loopback of its host answers that host alone, and each host has its own."""
        for name in ("one.test", "other.test"):
            with self.network.host(name):
                async def tell(reader, writer, name=name):
                    writer.write(name.encode())
                    writer.close()
                server = await asyncio.start_server(tell, "localhost", 8080)
                self.addCleanup(server.close)
        for name in ("one.test", "other.test"):
            for address in ("localhost", "127.0.0.1", "0.0.0.0"):
                with self.subTest(name=name, address=address), self.network.host(name):
                    reader, writer = await asyncio.open_connection(address, 8080)
                    self.assertEqual(await reader.read(), name.encode())
                    writer.close()
        for name, address in (("localhost", "localhost"), ("localhost", "one.test"), ("other.test", "one.test"),
                              ("third.test", "localhost"), ("one.test", "one.test"), ("one.test", "127.1.2.3")):
            with self.subTest(name=name, address=address), self.network.host(name), \
                    self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection(address, 8080)

    async def test_the_loopback_of_the_test(self):
        """Where nothing of a host's own is there, its loopback is the test's; a fake server is on the one it names."""
        with self.network.host("client.test"):
            await self.joined("localhost")
            self.assertEqual(await self.ask(), b"x")
        self.writer.close()
        await self.joined("localhost", 81)
        self.assertEqual(await self.ask(), b"x")
        self.writer.close()
        with self.network.host("client.test"):
            own = await asyncio.start_server(self.echo, "0.0.0.0", 82)
            self.reader, self.writer = await asyncio.open_connection("localhost", 82)
        self.addCleanup(own.close)
        self.assertEqual(await self.ask(), b"x")
        self.writer.close()
        self.network.add_host("six.test", "2001:db8::6")
        with self.network.host("six.test"), self.assertRaises(OSError) as caught:
            await asyncio.open_connection("127.0.0.1", 81)
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    async def test_datagrams_on_the_loopback(self):
        """The same of datagrams."""
        socks = {}
        for name in ("one.test", "other.test"):
            with self.network.host(name):
                socks[name] = self.udp(name)
                socks[name].bind(("127.0.0.1", 5000))
        for name in ("one.test", "other.test", "localhost"):
            with self.network.host(name):
                asking = self.udp(name)
                asking.connect(("127.0.0.1", 5000))
                asking.send(name.encode())
                self.udp(name).sendto(name.encode(), ("localhost", 5000))
        self.udp("other.test").sendto(b"x", ("one.test", 5000))
        for name, sock in socks.items():
            for _ in range(2):
                data, source = sock.recvfrom(20)
                self.assertEqual((data, source[0]), (name.encode(), "127.0.0.1"))
        self.assertEqual(self.heard(socks), {})
        served = await self.start_fake_datagram_server(host="localhost", port=6000)
        with self.network.host("one.test"):
            self.udp("one.test").sendto(b"to the test", ("localhost", 6000))
        await self.settle()
        self.assertEqual([data for data, _ in served.received], [b"to the test"])

    async def test_names_on_the_loopback(self):
        """Both ends of a connection on another host's loopback have the addresses that a real one has."""
        for bound, dialled, client in (("127.0.0.1", "127.0.0.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2", "127.0.0.1"),
                                       ("::1", "::1", "::1"), ("127.0.0.1", "0.0.0.0", "127.0.0.1")):
            for place in (self.network.host("one.test"), self.network.host("2001:db8::6"), contextlib.nullcontext()):
                with self.subTest(place=place, bound=bound, dialled=dialled), place:
                    server = await asyncio.start_server(self.echo, bound, 8080)
                    reader, writer = await asyncio.open_connection(dialled, 8080)
                    writer.write(b"x")
                    self.assertEqual(await reader.read(1), b"x")
                    self.assertEqual(
                        [sock.getsockname()[0] for sock in (*server.sockets, writer.get_extra_info("socket"))]
                        + [writer.get_extra_info("peername")[0]], [bound, client, bound])
                    writer.close()
                    server.close()

    async def test_all_the_loopback(self):
        """Two addresses of a loopback are two, and so is the host's own; a wildcard clashes with each."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            for place in (self.network.host("one.test"), contextlib.nullcontext()):
                with self.subTest(kind=kind, place=place), place, contextlib.ExitStack() as stack:
                    def bound(address, kind=kind, stack=stack):
                        sock = stack.enter_context(socket.socket(type=kind))
                        sock.bind((address, 5000))
                        return sock

                    for address in ("127.0.0.1", "127.0.0.2"):
                        self.assertEqual(bound(address).getsockname(), (address, 5000))
                    if isinstance(place, contextlib.nullcontext):
                        bound(self.network.add_host("localhost").addresses[2])
                    for address in ("127.0.0.2", "0.0.0.0"):
                        with self.assertRaises(OSError) as caught:
                            bound(address)
                        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
                    stack.close()
                    if kind == socket.SOCK_STREAM:
                        bound("0.0.0.0")
                        with self.assertRaises(OSError) as caught:
                            bound("127.0.0.1")
                        self.assertEqual(caught.exception.errno, errno.EADDRINUSE)
        with self.network.host("one.test"):
            own = self.udp("one.test", port=5000)
            self.udp("one.test").bind(("127.0.0.1", 5000))
        self.assertEqual(own.getsockname()[1], 5000)

    async def test_answers_on_the_loopback(self):
        """A datagram comes from the loopback, and the answer gets there."""
        with self.network.host("one.test"):
            served = self.udp("one.test")
            served.bind(("127.0.0.2", 5000))
            asking = self.udp("one.test")
            asking.sendto(b"ask", ("127.0.0.2", 5000))
            _, source = served.recvfrom(10)
            self.assertEqual(source[0], "127.0.0.1")
            served.sendto(b"answer", source)
            self.assertEqual(asking.recvfrom(10), (b"answer", ("127.0.0.2", 5000)))
            with self.assertRaises(OSError) as caught:
                served.sendto(b"x", ("other.test", 5000))
            self.assertEqual(caught.exception.errno, errno.EINVAL)
        self.udp().sendto(b"x", ("255.255.255.255", 5000))
        await self.settle()
        with self.assertRaises(BlockingIOError):
            served.recv(10)

    async def test_crash_and_the_loopback(self):
        """A crash takes the host's own loopback away, and nobody else's."""
        hosts = {name: self.network.host(name) for name in ("one.test", "localhost")}
        for host in hosts.values():
            with host:
                self.addCleanup((await asyncio.start_server(self.echo, "127.0.0.1", 80)).close)
        for down in hosts:
            hosts[down].crash()
            for name, host in hosts.items():
                with self.subTest(down=down, name=name), host:
                    connecting = asyncio.open_connection("127.0.0.1", 80)
                    if name == down:
                        await self.assertBlocks(connecting, 0.5)
                    else:
                        (await connecting)[1].close()
            hosts[down].restart()

    async def test_servers_on_a_host(self):
        """What listens on a wildcard inside of the block listens on that host, and not on the machine's own address."""
        with self.network.host("db.test"):
            server = await asyncio.start_server(self.echo, "0.0.0.0", 5432)
            reader, writer = await asyncio.open_connection("db.test", 5432)
        self.addCleanup(server.close)
        writer.write(b"x")
        self.assertEqual(await reader.readexactly(1), b"x")
        writer.close()
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("localhost", 5432)
        self.network.add_host("six.test", "2001:db8::6")
        with self.network.host("six.test"), self.assertRaises(OSError) as caught:
            await asyncio.open_connection("198.18.99.99", 80)
        self.assertEqual(caught.exception.errno, errno.EADDRNOTAVAIL)

    async def test_crash_and_restart(self):
        """A host that crashes says nothing; when it is back its old connections are reset, and its servers answer."""
        await self.joined()
        host = self.network.host("api.test")
        host.crash()
        await self.assertReceivesNothing(self.reader, 100)
        self.writer.write(b"x")
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(self.reader.read(), 1)
        host.restart()
        with self.assertRaises(ConnectionResetError):
            await self.reader.read()
        _, writer = await asyncio.open_connection("api.test", 80)
        writer.close()

    async def test_crash_of_the_machine(self):
        """What the test's machine listens on, whatever the address, is down with it."""
        for address, client in (("0.0.0.0", "198.18.0.1"), ("127.0.0.2", "127.0.0.2")):
            server = await asyncio.start_server(self.echo, address, 80)
            machine = self.network.host("localhost")
            machine.crash()
            await self.assertBlocks(asyncio.open_connection(client, 80), 0.5)
            machine.restart(services=False)
            with self.subTest(address=address), self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection(client, 80)
            machine.restart()
            (await asyncio.open_connection(client, 80))[1].close()
            server.close()

    async def kept_alive(self):
        """Join api.test, 50 ms away, with a keepalive after 20 s; the host."""
        self.network.link("localhost", "api.test", latency=0.05)
        await self.joined()
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
        return self.network.host("api.test")

    async def test_keepalive_of_who_waits(self):
        """The first probe after a restart is answered with a reset, a round trip later."""
        host = await self.kept_alive()
        heard = self.now
        host.crash()
        await asyncio.sleep(5)
        host.restart()
        with self.assertRaises(ConnectionResetError):
            await self.reader.read()
        self.assertAlmostEqual(self.now - heard, 20.1)

    async def test_keepalive_of_who_has_closed(self):
        """Who has closed meanwhile hears nothing of the answer."""
        host = await self.kept_alive()
        host.crash()
        host.restart()
        await asyncio.sleep(20.05)
        self.writer.transport.abort()
        await asyncio.sleep(1)
        self.assertNow(21.15)

    async def test_while_it_is_down(self):
        """A connect to a host that is down waits; one that begins then succeeds when the host is back."""
        await self.joined()
        host = self.network.host("api.test")
        host.crash()
        self.loop.call_later(3.5, host.restart)
        with self.assertElapses(4):
            _, writer = await asyncio.open_connection("api.test", 80)
        writer.close()

    async def test_without_its_services(self):
        """A host that came back without its services refuses, until they are there again."""
        await self.joined()
        host = self.network.host("api.test")
        host.crash()
        host.restart(services=False)
        with self.assertRaises(ConnectionRefusedError):
            await asyncio.open_connection("api.test", 80)
        self.server.accept_again()
        _, writer = await asyncio.open_connection("api.test", 80)
        writer.close()

    async def test_what_was_not_accepted(self):
        """Connections that the crashed host had not accepted are gone with it."""
        listener = self.enterContext(socket.socket())
        listener.bind(("api.test", 80))
        listener.listen()
        reader, writer = await asyncio.open_connection("api.test", 80)
        host = self.network.host("api.test")
        host.crash()
        await self.assertReceivesNothing(reader, 100)
        self.assertFalse(reader.at_eof() or reader.exception())
        host.restart()
        writer.write(b"x")
        with self.assertRaises(ConnectionResetError):
            await reader.read()
        writer.close()


class CrashedProgram(ConditionsCase):
    """A program's own server, and what its handler does."""

    def setUp(self):
        self.host = self.network.host("db.test")

    async def serve(self, handle):
        server = await asyncio.start_server(handle, "db.test", 5432)
        self.addCleanup(server.close)

    async def connected(self):
        _, writer = await asyncio.open_connection("db.test", 5432)
        self.addCleanup(writer.close)
        await asyncio.sleep(0)
        return writer

    async def wait(self, reader, writer):
        await reader.read()

    async def fail_after_wait(self, reader, writer):
        try:
            await reader.read()
        except OSError as error:
            raise ValueError("lost") from error

    async def fail_in_group(self, reader, writer):
        async with asyncio.TaskGroup() as group:
            group.create_task(self.wait(reader, writer))
            group.create_task(asyncio.sleep(100))

    async def write(self, reader, writer):
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(1)


class CrashedProgramTest(CrashedProgram):
    """What runs on a crashed host has died with it: its errors fail nobody."""

    async def test_servers(self):
        """Whether the server was started on the host or binds its address, and whatever its handlers make of it."""
        for place in (self.host, contextlib.nullcontext()):
            for handle in (self.wait, self.fail_after_wait, self.fail_in_group, self.write):
                with self.subTest(place=place, handle=handle):
                    with place:
                        server = await asyncio.start_server(handle, "db.test", 5432)
                    await self.connected()
                    self.host.crash()
                    await asyncio.sleep(5)
                    self.host.restart()
                    server.close()
                    await asyncio.sleep(1)

    async def test_fake_servers(self):
        """A fake server's handler may make of it what it likes, too."""
        await self.start_fake_server(self.fail_after_wait, "db.test", 5432)
        await self.connected()
        self.host.crash()
        await asyncio.sleep(1)

    async def test_protocols(self):
        """What a callback of a protocol raises."""
        class Lost(asyncio.Protocol):
            def connection_lost(self, error):
                raise error

        with self.host:
            server = await self.loop.create_server(Lost, "db.test", 5432)
        self.addCleanup(server.close)
        await self.connected()
        self.host.crash()
        await asyncio.sleep(1)

    async def test_tasks(self):
        """A client on the host whose error nobody reads, while it is kept, and when it is collected."""
        async def client():
            reader, writer = await asyncio.open_connection("localhost", 80)
            await self.wait(reader, writer)

        await self.start_fake_server(self.echo, port=80)
        with self.host:
            self.kept, lost = asyncio.create_task(client()), asyncio.create_task(client())
        await asyncio.sleep(1)
        self.host.crash()
        await asyncio.sleep(1)
        self.assertIsInstance(lost._exception, ConnectionResetError)
        del lost
        self.host.restart()

    async def test_own_handler_of_errors(self):
        """A program's own handler of errors hears of them, and may hand them on."""
        heard = []

        def hear(loop, context):
            heard.append(context["exception"])
            loop.default_exception_handler(context)

        class Lost(asyncio.Protocol):
            def connection_lost(self, error):
                raise error

        self.addCleanup(self.loop.set_exception_handler, None)
        self.loop.set_exception_handler(hear)
        server = await self.loop.create_server(Lost, "db.test", 5432)
        self.addCleanup(server.close)
        await self.connected()
        self.host.crash()
        await asyncio.sleep(1)
        self.assertEqual([type(error) for error in heard], [ConnectionResetError])

    async def test_expected(self):
        """A test may expect such an error, of a handler or of a task that is kept."""
        await self.serve(self.wait)
        await self.connected()
        with self.assertLoopException(ConnectionResetError):
            self.host.crash()
            await asyncio.sleep(1)
        self.host.restart()
        await self.start_fake_server(self.echo, port=80)
        with self.host:
            reader, _ = await asyncio.open_connection("localhost", 80)
        task = asyncio.create_task(reader.read())
        await asyncio.sleep(0)
        with self.assertLoopException(ConnectionResetError):
            self.host.crash()
            await asyncio.sleep(1)
        self.assertTrue(task.done())
        self.host.restart()


class LivingProgramTest(unittest.TestCase):
    """What does not come of a crash fails a test as ever."""

    def test_before_and_after(self):
        """A reset before the crash, one of a connection from after the restart, of a peer, and what a bug raises."""
        async def before(case):
            (await case.connected()).transport.abort()
            await asyncio.sleep(3)
            case.host.crash()

        async def after(case):
            case.host.crash()
            case.host.restart()
            (await case.connected()).transport.abort()
            await asyncio.sleep(3)

        async def at_the_peer(case):
            with case.network.host("api.test"):
                await case.connected()
            case.network.host("api.test").crash()
            case.network.host("api.test").restart()
            await asyncio.sleep(3)

        async def bug(case):
            await case.connected()
            case.host.crash()
            case.loop.call_soon([].pop)
            await asyncio.sleep(1)

        for act, error in ((before, "ConnectionResetError"), (after, "ConnectionResetError"),
                           (at_the_peer, "ConnectionResetError"), (bug, "IndexError")):
            class Case(CrashedProgram):
                async def test(self, act=act):
                    await self.serve(self.write)
                    await act(self)

            with self.subTest(act):
                self.assertIn(error, told(run(Case)))
