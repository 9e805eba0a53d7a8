"""UDP: who may be where, who gets a datagram, and what the sender is told; each rule on a real machine too."""

import errno
import socket
import unittest

from solipsism_unittest.kernel import Kernel
from tests.contracts.arms import Contract, outcome, scenario

REUSE_ADDRESS = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
REUSE_PORT = (socket.SOL_SOCKET, socket.SO_REUSEPORT)
BROADCAST = (socket.SOL_SOCKET, socket.SO_BROADCAST)
ONLY_SIX = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
GROUP = "239.255.88.8"
ON_LOOPBACK = socket.inet_aton("127.0.0.1")
EVERYWHERE = "127.255.255.255"


class UdpContract(Contract):
    def bound(self, arm, host, port, *options):
        """A UDP socket with these options switched on, bound; or the name of the error."""
        sock = arm.keep(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM))
        sock.setblocking(False)
        for option in options:
            sock.setsockopt(*option, 1)
        problem = outcome(sock.bind, (host, port))
        return sock if problem is None else problem

    def fresh(self, arm, family=socket.AF_INET):
        sock = arm.keep(socket.socket(family, socket.SOCK_DGRAM))
        sock.setblocking(False)
        return sock

    def counts(self, *socks):
        """How many datagrams each has got; they are read."""
        found = []
        for sock in socks:
            count = 0
            while isinstance(outcome(sock.recv, 100), bytes):
                count += 1
            found.append(count)
        return found


class BindingTest(UdpContract):
    @scenario
    async def test_two_at_one_port(self, arm):
        """Two share a port when both have SO_REUSEADDR, both SO_REUSEPORT, or no address in common."""
        for first, second in (
            (("127.0.0.1",), ("127.0.0.1",)),
            (("0.0.0.0",), ("127.0.0.1",)),
            (("127.0.0.1", REUSE_ADDRESS), ("127.0.0.1", REUSE_ADDRESS)),
            (("127.0.0.1", REUSE_ADDRESS), ("127.0.0.1",)),
            (("127.0.0.1", REUSE_PORT), ("127.0.0.1", REUSE_PORT)),
            (("127.0.0.1", REUSE_ADDRESS), ("127.0.0.1", REUSE_PORT)),
            (("127.0.0.1",), ("127.0.0.2",)),
            (("0.0.0.0",), ("::",)),
            (("0.0.0.0",), ("::", ONLY_SIX)),
            (("::",), ("127.0.0.1",)),
            (("::1",), ("127.0.0.1",)),
            (("::ffff:127.0.0.1",), ("127.0.0.1",)),
            (("0.0.0.0",), (GROUP,)),
            (("0.0.0.0",), (EVERYWHERE,)),
        ):
            one = self.bound(arm, first[0], 0, *first[1:])
            two = self.bound(arm, second[0], one.getsockname()[1], *second[1:])
            arm.see(first[0], second[0], two if isinstance(two, str) else "both")
            for sock in (one, two):
                if not isinstance(sock, str):
                    sock.close()

    @scenario
    async def test_addresses(self, arm):
        """Only own, broadcast and group addresses can be bound, and only once."""
        for host in ("127.0.0.9", EVERYWHERE, "255.255.255.255", GROUP, "192.0.2.77", "2001:db8::9"):
            arm.see(host, isinstance(self.bound(arm, host, 0), str))
        sock = self.bound(arm, "127.0.0.1", 0)
        arm.see([outcome(sock.bind, (host, 0)) for host in ("127.0.0.1", "192.0.2.77")])
        arm.see(self.bound(arm, "::ffff:127.0.0.1", 0, ONLY_SIX))

    @scenario
    async def test_tcp_has_other_ports(self, arm):
        """A port that TCP uses is free for UDP."""
        port = arm.listener().getsockname()[1]
        arm.see(isinstance(self.bound(arm, "127.0.0.1", port), str))
        return [False]

    @scenario
    async def test_sending_binds(self, arm):
        """Any attempt to send gives a socket its port, whatever comes of it."""
        for attempt in (
            lambda sock: sock.send(b"x"),
            lambda sock: sock.sendto(b"x", ("127.0.0.1", 0)),
            lambda sock: sock.sendto(bytes(70_000), ("127.0.0.1", 9)),
            lambda sock: sock.sendto(b"x", ("255.255.255.255", 9)),
        ):
            sock = self.fresh(arm)
            arm.see(outcome(attempt, sock), sock.getsockname()[0], sock.getsockname()[1] > 0)

    @scenario
    async def test_connecting_again(self, arm):
        """The first connect chooses the address, the next ones keep it and its port; a failing one changes nothing."""
        target = self.bound(arm, "0.0.0.0", 0).getsockname()[1]
        sock = self.fresh(arm)
        sock.connect(("127.0.0.1", target))
        port = sock.getsockname()[1]
        arm.see(outcome(sock.connect, ("127.0.0.2", target)), sock.getsockname() == ("127.0.0.1", port))
        arm.see(outcome(sock.connect, ("255.255.255.255", 9)), sock.getpeername() == ("127.0.0.2", target))
        arm.see(outcome(sock.bind, ("127.0.0.1", 0)), outcome(sock.connect_ex, ("0.0.0.0", target)))
        arm.see(sock.getpeername() == ("127.0.0.1", target))
        wild = self.bound(arm, "0.0.0.0", 0)
        wild.connect(("127.0.0.1", target))
        arm.see(wild.getsockname()[0])

    @scenario
    async def test_port_zero(self, arm):
        """Nothing can be sent to port 0; one connected to it has no peer, and what it sends is refused."""
        for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            sock = self.fresh(arm, family)
            arm.see(outcome(sock.sendto, b"x", (host, 0)), outcome(sock.connect, (host, 0)))
            arm.see(outcome(sock.getpeername), outcome(sock.send, b"x"))
            await arm.calm()
            arm.see(outcome(sock.recv, 9), outcome(sock.recv, 9))


class ReceiverTest(UdpContract):
    @scenario
    async def test_several_could(self, arm):
        """Of several at a port the one connected to the sender hears, then the most exact, then the last one bound."""
        sender = self.bound(arm, "127.0.0.1", 0)
        one = self.bound(arm, "127.0.0.1", 0, REUSE_ADDRESS)
        port = one.getsockname()[1]
        wild = self.bound(arm, "0.0.0.0", port, REUSE_ADDRESS)
        two = self.bound(arm, "127.0.0.1", port, REUSE_ADDRESS)
        for change in (lambda: None, lambda: two.connect(("127.0.0.1", 9)), lambda: one.connect(sender.getsockname())):
            change()
            for host in ("127.0.0.1", "127.0.0.2"):
                sender.sendto(b"x", (host, port))
                await arm.calm()
                arm.see(host, self.counts(one, two, wild))

    @scenario
    async def test_families(self, arm):
        """An end of IPv6 on every address hears IPv4 too, unless somebody of IPv4 is there."""
        six = self.bound(arm, "::", 0, REUSE_ADDRESS)
        port = six.getsockname()[1]
        sender, sender6 = self.fresh(arm), self.fresh(arm, socket.AF_INET6)
        four = None
        for _ in range(2):
            sender.sendto(b"x", ("127.0.0.1", port))
            sender6.sendto(b"x", ("::1", port))
            sender6.sendto(b"x", ("::ffff:127.0.0.1", port))
            await arm.calm()
            arm.see(self.counts(six), four and self.counts(four))
            four = self.bound(arm, "0.0.0.0", port, REUSE_ADDRESS)
        self.bound(arm, "::", port, REUSE_ADDRESS)
        sender.sendto(b"x", ("127.0.0.1", port))
        await arm.calm()
        arm.see(self.counts(six), self.counts(four))

    @scenario
    async def test_shared_by_reuse_port(self, arm):
        """With SO_REUSEPORT one sender always reaches the same socket, and many senders reach both."""
        one = self.bound(arm, "127.0.0.1", 0, REUSE_PORT)
        two = self.bound(arm, "127.0.0.1", one.getsockname()[1], REUSE_PORT)
        sender = self.fresh(arm)
        for _ in range(10):
            sender.sendto(b"x", one.getsockname())
        await arm.calm()
        arm.see(sorted(self.counts(one, two)))
        for _ in range(64):
            self.fresh(arm).sendto(b"x", one.getsockname())
        await arm.calm()
        counts = self.counts(one, two)
        arm.see(sum(counts), min(counts) > 0)
        return [[0, 10], (64, True)]

    @scenario
    async def test_refusals(self, arm):
        """A refusal finds only who is connected to that very address, and it stays through another connect."""
        sock, other, gone = self.fresh(arm), self.bound(arm, "127.0.0.1", 0), self.bound(arm, "127.0.0.1", 0)
        nowhere = gone.getsockname()
        gone.close()
        sock.connect(other.getsockname())
        arm.see(outcome(sock.sendto, b"x", nowhere), outcome(sock.recv, 9))
        sock.connect(nowhere)
        sock.send(b"x")
        await arm.calm()
        arm.see(outcome(sock.connect, other.getsockname()), outcome(sock.recv, 9), outcome(sock.recv, 9))

    @scenario
    async def test_what_was_queued(self, arm):
        """What came before a connect is still read, and a refusal is told before it."""
        one, other = self.bound(arm, "127.0.0.1", 0), self.bound(arm, "127.0.0.1", 0)
        other.sendto(b"early", one.getsockname())
        await arm.readable(one)
        one.connect(other.getsockname())
        other.close()
        one.send(b"x")
        await arm.calm()
        arm.see([outcome(one.recv, 9) for _ in range(3)])
        return [["ECONNREFUSED", b"early", "EAGAIN"]]

    @scenario
    async def test_closed_port_reported_on_request(self, arm):
        """With IP_RECVERR, or IPV6_RECVERR, who is not connected is told once that nobody listens; else never."""
        for host, option in (("127.0.0.1", (socket.IPPROTO_IP, 11)), ("::1", (socket.IPPROTO_IPV6, 25))):
            for value in (0, 1):
                closed = self.bound(arm, host, 0)
                address = closed.getsockname()
                closed.close()
                client = self.fresh(arm, socket.AF_INET6 if ":" in host else socket.AF_INET)
                client.setsockopt(*option, value)
                client.sendto(b"x", address)
                await arm.calm()
                arm.see([outcome(client.recv, 9) for _ in range(2)])
        return [["EAGAIN", "EAGAIN"], ["ECONNREFUSED", "EAGAIN"]] * 2

    @scenario
    async def test_reply_comes_from_elsewhere(self, arm):
        """Who is connected to one address of a machine does not hear its answer from another one."""
        server = self.bound(arm, "0.0.0.0", 0)
        client = self.fresh(arm)
        client.connect(("127.5.5.5", server.getsockname()[1]))
        arm.see(client.getsockname()[0])
        client.send(b"question")
        await arm.readable(server)
        server.sendto(b"answer", server.recvfrom(100)[1])
        await arm.calm()
        arm.see(outcome(client.recv, 100))
        return ["127.0.0.1", "EAGAIN"]


class SenderTest(UdpContract):
    @scenario
    async def test_order_of_errors(self, arm):
        """Of several errors the sender gets the one that Linux finds first; a pending one waits behind these."""
        gone = self.bound(arm, "127.0.0.1", 0)
        nowhere = gone.getsockname()
        gone.close()
        sock = self.fresh(arm)
        sock.connect(nowhere)
        sock.send(b"x")
        await arm.calm()
        for size, host, port in (
            (70_000, "127.0.0.1", 0), (65_530, "127.0.0.1", 0), (65_530, "255.255.255.255", 9),
            (65_530, "127.0.0.1", 9), (1, "255.255.255.255", 0), (1, "255.255.255.255", 9), (1, "192.0.2.77", 9),
            (1, "127.0.0.1", 9), (1, "127.0.0.1", 9),
        ):
            arm.see(size, host, outcome(sock.sendto, bytes(size), (host, port)))
        sock.connect(nowhere)
        sock.send(b"x")
        await arm.calm()
        sock.shutdown(socket.SHUT_WR)
        arm.see([outcome(sock.send, b"x") for _ in range(3)], outcome(self.fresh(arm).send, bytes(70_000)))

    @scenario
    async def test_loopback_leads_nowhere(self, arm):
        """Who is bound to the loopback address cannot reach other hosts over IPv4."""
        sock = self.bound(arm, "127.0.0.1", 0)
        arm.see(outcome(sock.sendto, b"x", ("198.18.9.9", 9)), outcome(sock.connect, ("198.18.9.9", 9)))
        return [("EINVAL", "EINVAL")]

    @scenario
    async def test_families_that_do_not_meet(self, arm):
        """An end of IPv6 reaches IPv4 unless it is bound to IPv6 alone, and IPv6 unless it is bound to IPv4."""

        def connected(host):
            sock = self.fresh(arm, socket.AF_INET6)
            sock.connect((host, 9))
            return sock

        for name, sock in (
            ("fresh", self.fresh(arm, socket.AF_INET6)),
            ("only six", self.bound(arm, "::", 0, ONLY_SIX)),
            ("bound", self.bound(arm, "::1", 0)),
            ("mapped", self.bound(arm, "::ffff:127.0.0.1", 0)),
            ("every mapped", self.bound(arm, "::ffff:0.0.0.0", 0)),
            ("connected", connected("::1")),
            ("connected to mapped", connected("::ffff:127.0.0.1")),
            ("connected to every", connected("::")),
            ("connected to every mapped", connected("::ffff:0.0.0.0")),
        ):
            arm.see(name, sock.getsockname()[0])
            for host in ("::ffff:127.0.0.1", "::1"):
                arm.see(host, outcome(sock.sendto, b"x", (host, 9)))
                outcome(sock.recv, 9)  # what a connected one is told
            arm.see([outcome(sock.connect, (host, 9)) for host in ("::ffff:127.0.0.1", "::1")])
            arm.see(sock.getsockname()[0], outcome(sock.getpeername))

    @scenario
    async def test_mapped_source(self, arm):
        """What an end connected over IPv6 sends to an IPv4 address comes from the machine's."""
        sock, receiver = self.fresh(arm, socket.AF_INET6), self.bound(arm, "127.0.0.1", 0)
        sock.connect(("::1", 9))
        sock.sendto(b"x", ("::ffff:127.0.0.1", receiver.getsockname()[1]))
        await arm.readable(receiver)
        arm.see(receiver.recvfrom(9)[1] == ("127.0.0.1", sock.getsockname()[1]))
        return [True]

    @scenario
    async def test_bound_to_an_address_of_many(self, arm):
        """Who is bound to a group or broadcast address sends from the machine's own."""
        receiver = self.bound(arm, "127.0.0.1", 0)
        for host in (GROUP, EVERYWHERE):
            sock = self.bound(arm, host, 0)
            sock.sendto(b"x", receiver.getsockname())
            await arm.readable(receiver)
            arm.see(receiver.recvfrom(9)[1][0], outcome(sock.connect, receiver.getsockname()), sock.getsockname()[0])

    @scenario
    async def test_largest(self, arm):
        """IPv6 has room for 20 bytes more, mapped addresses have not."""
        for host, sizes in (("127.0.0.1", (65_507, 65_508)), ("::1", (65_527, 65_528)),
                            ("::ffff:127.0.0.1", (65_507, 65_508))):
            sock = self.fresh(arm, socket.AF_INET6 if ":" in host else socket.AF_INET)
            arm.see(host, [outcome(sock.sendto, bytes(size), (host, 9)) for size in sizes])


class ManyTest(UdpContract):
    def members(self, arm, *hosts):
        """Sockets that share a port, one on each host."""
        port, found = 0, []
        for host in hosts:
            found.append(self.bound(arm, host, port, REUSE_ADDRESS))
            port = found[0].getsockname()[1]
        return port, found

    @scenario
    async def test_broadcast(self, arm):
        """A broadcast reaches wildcards and who is bound to that very address; SO_BROADCAST allows to aim at it."""
        port, members = self.members(arm, "0.0.0.0", EVERYWHERE, "127.0.0.1", "::")
        sender = self.bound(arm, "127.0.0.1", 0)
        arm.see(outcome(sender.sendto, b"x", (EVERYWHERE, port)))
        sender.setsockopt(*BROADCAST, 1)
        for host in (EVERYWHERE, "255.255.255.255"):
            sender.sendto(b"x", (host, port))
            await arm.calm()
            arm.see(host, self.counts(*members))
        sender.connect((EVERYWHERE, port))
        sender.setsockopt(*BROADCAST, 0)
        sender.send(b"x")
        await arm.calm()
        arm.see(self.counts(*members), outcome(sender.sendto, b"x", (EVERYWHERE, port)))

    @scenario
    async def test_broadcast_to_the_connected(self, arm):
        """A broadcast reaches who is connected only from its peer, and to nobody it is no error."""
        port, members = self.members(arm, "0.0.0.0", "0.0.0.0")
        one, two = (self.bound(arm, "127.0.0.1", 0, BROADCAST) for _ in range(2))
        members[0].connect(one.getsockname())
        for sender in (one, two):
            sender.sendto(b"x", (EVERYWHERE, port))
            await arm.calm()
            arm.see(self.counts(*members))
        for member in members:
            member.close()
        one.connect((EVERYWHERE, port))
        arm.see([outcome(one.send, b"x") for _ in range(2)])

    @scenario
    async def test_group(self, arm):
        """A group is heard on wildcards and its own address, where somebody on the machine has joined it."""
        port, members = self.members(arm, "0.0.0.0", "0.0.0.0", GROUP, "127.0.0.1", "::")
        one, two, own, _, _ = members
        sender = self.fresh(arm)
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ON_LOOPBACK)

        async def heard():
            sender.sendto(b"x", (GROUP, port))
            await arm.calm()
            arm.see(self.counts(*members))

        await heard()
        one.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + ON_LOOPBACK)
        await heard()
        for sock in (two, own):  # IP_MULTICAST_ALL
            sock.setsockopt(socket.IPPROTO_IP, 49, 0)
        await heard()
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)  # the loopback brings it back all the same
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        await heard()
        one.setsockopt(socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP, socket.inet_aton(GROUP) + ON_LOOPBACK)
        await heard()

    @scenario
    async def test_group_over_the_source(self, arm):
        """Who is bound to an address of an interface sends to groups through that; the interface gives the source."""
        port, (member,) = self.members(arm, "0.0.0.0")
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(GROUP) + ON_LOOPBACK)
        sender = self.bound(arm, "127.0.0.1", 0)
        sender.sendto(b"x", (GROUP, port))
        await arm.calm()
        arm.see(outcome(member.recvfrom, 9) == (b"x", sender.getsockname()))
        other = self.fresh(arm)
        other.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ON_LOOPBACK)
        arm.see(outcome(other.connect, (GROUP, port)), other.getsockname()[0], other.getpeername() == (GROUP, port))
        other.send(b"y")
        await arm.calm()
        arm.see(outcome(member.recv, 9))
        return [True, (None, "127.0.0.1", True), b"y"]


class TcpTest(UdpContract):
    @scenario
    async def test_addresses_of_many(self, arm):
        """TCP may be bound to an address of many, and connect to none."""
        for host in (GROUP, EVERYWHERE, "255.255.255.255", "ff02::99:9"):
            arm.see(host, outcome(arm.socket(host).connect, (host, 9)))
        arm.see([outcome(arm.socket().bind, (host, 0)) for host in (GROUP, EVERYWHERE)])


class WorldTest(unittest.TestCase):
    """What the loopback of a real machine cannot show: two interfaces, other hosts, IPv6 groups."""

    def setUp(self):
        self.kernel = Kernel()
        self.network = self.kernel.network

    def end(self, host=None, port=0, family=socket.AF_INET):
        end = self.kernel.datagram(family, None)
        if host is not None:
            self.network.bind(end, host, port)
        return end

    def test_other_hosts(self):
        """A datagram to another host comes from the machine's outer address, and can be refused there."""
        name = self.kernel.names.declare("api.test").addresses[0]
        server, client = self.end(name, 53), self.end()
        self.network.connect(client, name, 53)
        client.send(memoryview(b"x"))
        self.assertEqual(server.receive(9, 0).source, ("198.18.0.1", 32768))
        self.kernel.close(server)
        client.send(memoryview(b"x"))
        self.assertEqual(client.take_error(), errno.ECONNREFUSED)

    def test_interfaces(self):
        """A group is joined on one interface and heard there alone; who does not want to hear itself does not."""
        member, sender = self.end("0.0.0.0", 5353), self.end()
        member.multicast.join(GROUP, 2)
        for loops, heard in ((True, True), (False, False)):
            sender.multicast.loops_back[4] = loops
            sender.send_to(memoryview(b"x"), (GROUP, 5353))
            self.assertEqual(bool(member.queue), heard)
            member.queue.clear()
        sender.multicast.way_out[4] = 1
        sender.send_to(memoryview(b"x"), (GROUP, 5353))
        self.assertFalse(member.queue)

    def test_groups_of_six(self):
        """A group of IPv6 comes from the interface's address of that family."""
        member, sender = self.end("::", 5353, socket.AF_INET6), self.end(family=socket.AF_INET6)
        member.multicast.join("ff02::fb", 2)
        sender.send_to(memoryview(b"x"), ("ff02::fb", 5353))
        self.assertEqual(member.receive(9, 0).source, ("2001:db8:0:2::1", 32768))

    def test_broadcast_of_the_outer_network(self):
        """The broadcast address of the outer network is reached from its address."""
        everybody, sender = self.end("0.0.0.0", 9), self.end()
        sender.broadcast = True
        for address in ("198.19.255.255", "255.255.255.255"):
            sender.send_to(memoryview(b"x"), (address, 9))
            self.assertEqual(everybody.receive(9, 0).source, ("198.18.0.1", 32768))

    def test_broadcast_to_other_machines(self):
        """Who is at an address of another machine hears a broadcast of the outer network, and sends one; no group."""
        self.kernel.names.add_host("lamp.test", "198.18.7.7", "2001:db8::7")
        lamp, radio = self.end("198.18.7.7", 9), self.end(self.kernel.names.addresses_of("radio.test")[0], 9)
        here, sender = self.end("0.0.0.0", 9), self.end("198.18.0.1", 100)
        six = self.end("2001:db8::7", 9, socket.AF_INET6)
        for address in ("198.19.255.255", "255.255.255.255"):
            sender.broadcast = True
            sender.send_to(memoryview(b"who?"), (address, 9))
            with self.subTest(address):
                for end in (lamp, radio, here):
                    self.assertEqual(end.receive(9, 0).source, ("198.18.0.1", 100))
                self.assertEqual(len(six.queue), 0)
            lamp.broadcast = True
            lamp.send_to(memoryview(b"me"), (address, 9))
            self.assertEqual([end.receive(9, 0).source for end in (lamp, radio, here)], [("198.18.7.7", 9)] * 3)
        sender.send_to(memoryview(b"x"), ("127.255.255.255", 9))
        sender.send_to(memoryview(b"x"), ("239.1.1.1", 9))
        self.assertEqual([len(end.queue) for end in (lamp, radio)], [0, 0])

    def test_journal(self):
        """What is sent, what nobody hears and what finds no room is in the journal, with both addresses."""
        server, client = self.end("127.0.0.1", 53), self.end()
        server.receive_buffer = 1000
        for port in (53, 54, 53):
            client.send_to(memoryview(b"xyz"), ("127.0.0.1", port))
        told = [str(record).removeprefix("t=0.0 ") for record in self.kernel.journal.last(6)]
        route = "127.0.0.1:32768>127.0.0.1"
        self.assertEqual(told, [
            "bind 127.0.0.1:53",
            f"send {route}:53 3 bytes",
            f"send {route}:54 3 bytes",
            f"drop {route}:54 3 bytes nobody listens there",
            f"send {route}:53 3 bytes",
            f"drop {route}:53 3 bytes the queue is full",
        ])

    def test_shared_port_is_the_same_in_every_run(self):
        """Which member of a SO_REUSEPORT group hears depends on the two addresses alone."""

        def heard():
            kernel = Kernel()
            ends = [kernel.datagram(socket.AF_INET, None) for _ in range(3)]
            for end in ends:
                end.reuse_port = True
                kernel.network.bind(end, "127.0.0.1", 53)
            for _ in range(30):
                kernel.datagram(socket.AF_INET, None).send_to(memoryview(b"x"), ("127.0.0.1", 53))
            return [len(end.queue) for end in ends]

        self.assertEqual(heard(), heard())
        self.assertGreater(min(heard()), 0)
