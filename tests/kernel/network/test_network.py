"""Who is bound where, who answers, and which numbers are handed out."""

import asyncio
import contextlib
import errno
import itertools
import socket
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.kernel import Kernel
from solipsism_unittest.kernel.network.ports import FIRST_CLIENT_PORT, FIRST_FREE_PORT

ADDRESSES = ("0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1", "::ffff:127.0.0.1")


def outcome(call, *args):
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, error.errno)


class Base(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.network = self.kernel.network

    def stream(self, family=socket.AF_INET, **facts):
        end = self.kernel.stream(family, None)
        for name, value in facts.items():
            setattr(end, name, value)
        return end

    def bound(self, address="127.0.0.1", port=0, **facts):
        end = self.stream(socket.AF_INET6 if ":" in address else socket.AF_INET, **facts)
        self.network.bind(end, address, port)
        return end

    def listening(self, address="127.0.0.1", port=0, **facts):
        end = self.bound(address, port, **facts)
        self.network.listen(end, 100)
        return end

    def dialled(self, address="127.0.0.1", port=80):
        end = self.stream(socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.network.connect(end, address, port)
        return end


class PortZeroTest(Base):
    def test_counts_up(self):
        """Port 0 becomes the next free port from 60001 up; one whose end is closed is free for who asks for it."""
        ends = [self.bound() for _ in range(3)]
        self.assertEqual([end.local[1] for end in ends], [60001, 60002, 60003])
        self.kernel.close(ends[1])
        self.assertEqual([self.bound().local[1], self.bound(port=60002).local[1]], [60004, 60002])

    def test_by_host(self):
        """Another host has ports of its own; the addresses of the machine, and its wildcards, share theirs."""
        address = self.kernel.names.declare("a.test").addresses[0]
        self.assertEqual(
            [self.bound(where).local[1] for where in ("127.0.0.1", address, "::1", "0.0.0.0", "::")],
            [60001, 60001, 60002, 60003, 60004],
        )

    def test_listening_unbound(self):
        """An end that listens without an address gets every address of the machine, and a free port."""
        four, six = self.stream(), self.stream(socket.AF_INET6)
        self.network.listen(four, 1)
        self.network.listen(six, 1)
        self.assertEqual((four.local, six.local), (("0.0.0.0", 60001), ("::", 60002)))

    def test_none_left(self):
        """When every port is taken it is EADDRINUSE, and the end stays as it was."""
        for port in range(FIRST_FREE_PORT, 65536):
            self.bound(port=port)
        end = self.stream()
        self.assertEqual((outcome(self.network.bind, end, "127.0.0.1", 0), end.local), ("EADDRINUSE", None))
        self.assertEqual(outcome(self.network.unused_port), "EADDRINUSE")
        self.assertEqual(self.bound("127.0.0.2").local[1], FIRST_FREE_PORT)


class UnusedPortTest(Base):
    def test_a_host_is_text(self):
        """A port given for a host is a TypeError that shows it."""
        for given in (8080, None, b"a.test"):
            with self.subTest(given=given), self.assertRaisesRegex(TypeError, "a host is a name or an address as text"):
                self.network.unused_port(given)

    def test_promised(self):
        """A port that was given away stays free: no other call gives it, and port 0 does not become it."""
        first, second = self.network.unused_port(), self.network.unused_port()
        self.assertEqual(
            (first, second, self.bound().local[1], self.bound("0.0.0.0").local[1]), (60001, 60002, 60003, 60004)
        )
        self.assertEqual(self.bound(port=first).local, ("127.0.0.1", first))

    def test_by_host(self):
        """Each host promises its own ports, whatever its name is written like."""
        self.assertEqual(
            [self.network.unused_port(name) for name in ("a.test", "A.TEST.", "b.test", "localhost")],
            [60001, 60002, 60001, 60001],
        )

    def test_used_on_any_address(self):
        """A port that is used on any address of the host is not unused."""
        self.bound("::1", 60001)
        self.bound("0.0.0.0", 60002)
        self.assertEqual(self.network.unused_port(), 60003)


class BindTest(Base):
    def test_bad(self):
        """One address for life, and only an address that somebody has."""
        end = self.bound()
        self.assertEqual(outcome(self.network.bind, end, "127.0.0.1", 0), "EINVAL")
        self.assertEqual(outcome(self.bound, "192.0.2.1"), "EADDRNOTAVAIL")
        self.assertEqual(outcome(lambda: self.bound("::ffff:127.0.0.1", v6_only=True)), "EINVAL")

    def test_chosen_port_goes_back(self):
        """An end that is over may be bound once more if its port was chosen for it, and not if it was asked for."""
        for port, expected in ((0, [None, "EINVAL"]), (7, ["EINVAL", "EINVAL"])):
            end = self.listening(port=port)
            end.shutdown(socket.SHUT_RD)
            with self.subTest(port=port):
                self.assertEqual([outcome(self.network.bind, end, "127.0.0.2", 0) for _ in range(2)], expected)
        self.assertEqual(self.bound(port=60001).local, ("127.0.0.1", 60001))

    def test_against_the_real_loopback(self):
        """Which two addresses exclude each other on a port, by SO_REUSEADDR, V6ONLY and who listens, is as on Linux."""
        for one, two in itertools.product(ADDRESSES, repeat=2):
            for reuse, listen, v6_only in itertools.product((0b00, 0b01, 0b11), (False, True), (0b00, 0b01, 0b11)):
                if v6_only & 1 and (":" not in one or "." in one) or v6_only & 2 and (":" not in two or "." in two):
                    continue
                case = [(one, reuse & 1, v6_only & 1), (two, reuse >> 1, v6_only >> 1)]
                with self.subTest(case=case, listen=listen):
                    # Another program may have the port on the second address: only what stays so is said by Linux.
                    for _ in range(15):
                        real = self.real_second_bind(case, listen)
                        if real is None:
                            break
                    self.assertEqual(self.virtual_second_bind(case, listen), real)

    def virtual_second_bind(self, case, listen):
        kernel = Kernel()
        network, port = kernel.network, 7
        for address, reuse, v6_only in case:
            end = kernel.stream(socket.AF_INET6 if ":" in address else socket.AF_INET, None)
            end.reuse_address, end.v6_only = bool(reuse), bool(v6_only)
            result = outcome(network.bind, end, address, port)
            if listen and result is None:
                result = outcome(network.listen, end, 1)
        return result

    def real_second_bind(self, case, listen):
        port = 0
        with contextlib.ExitStack() as stack:
            for address, reuse, v6_only in case:
                end = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
                end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
                if end.family == socket.AF_INET6:
                    end.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
                result = outcome(end.bind, (address, port))
                if listen and result is None:
                    result = outcome(end.listen, 1)
                port = port or end.getsockname()[1]
        return result

    def test_reuse_port(self):
        """SO_REUSEPORT on both lets two listen on one address; on one of them it does not."""
        first = self.listening(port=7, reuse_port=True)
        second = self.listening(port=7, reuse_port=True)
        self.assertEqual((first.state, second.state), ("listening", "listening"))
        self.assertEqual(outcome(self.bound, "127.0.0.1", 7), "EADDRINUSE")


class ListenTest(Base):
    def test_second_listener(self):
        """Of two ends bound to one port by SO_REUSEADDR only the first may listen."""
        one, two = self.bound(port=7, reuse_address=True), self.bound(port=7, reuse_address=True)
        self.network.listen(one, 1)
        self.assertEqual(outcome(self.network.listen, two, 1), "EADDRINUSE")
        self.assertIsNone(outcome(self.network.listen, one, 5))

    def test_connected(self):
        """A connected end cannot listen."""
        self.listening(port=80)
        self.assertEqual(outcome(self.network.listen, self.dialled(), 1), "EINVAL")


class ConnectTest(Base):
    def test_nobody(self):
        """Where nobody listens, or an end is only bound, a connect is refused; the port of a closed listener too."""
        self.bound(port=81)
        closed = self.listening(port=82)
        self.kernel.close(closed)
        for port in (80, 81, 82, 0):
            with self.subTest(port=port):
                self.assertEqual(self.dialled(port=port).take_error(), errno.ECONNREFUSED)

    def test_most_exact(self):
        """The listener of the very address answers before a wildcard, and of two wildcards the one of the family."""
        exact = self.listening("127.0.0.2", 80, reuse_address=True)
        four = self.listening("0.0.0.0", 81)
        six = self.listening("::", 81, v6_only=True)
        both = self.listening("::", 82)
        dials = {
            ("127.0.0.2", 80): exact,
            ("127.0.0.9", 81): four,
            ("::1", 81): six,
            ("127.0.0.1", 82): both,
            ("::1", 82): both,
            ("::ffff:127.0.0.1", 82): both,
            ("198.18.0.1", 82): both,
            ("0.0.0.0", 81): four,
            ("::", 81): six,
        }
        for (address, port), listener in dials.items():
            before = len(listener.queue)
            with self.subTest(address=address, port=port):
                self.dialled(address, port)
                self.assertEqual(len(listener.queue), before + 1)

    def test_two_wildcards(self):
        """Of a wildcard of each family on one port the one of the address's own family answers."""
        six = self.listening("::", 80, reuse_port=True)
        four = self.listening("0.0.0.0", 80, reuse_port=True)
        self.dialled("127.0.0.1")
        self.dialled("::1")
        self.assertEqual((len(four.queue), len(six.queue)), (1, 1))
        self.assertEqual((four.queue[0].family, six.queue[0].family), (socket.AF_INET, socket.AF_INET6))

    def test_wildcards_stand_for_the_machine_alone(self):
        """A wildcard does not answer for other hosts; the address of one does."""
        host = self.kernel.names.declare("a.test").addresses[0]
        self.listening("0.0.0.0", 80)
        self.listening("::", 81)
        self.assertEqual([self.dialled(host, port).take_error() for port in (80, 81)], [errno.ECONNREFUSED] * 2)
        self.listening(host, 80)
        self.assertEqual(self.dialled(host, 80).state, "established")

    def test_v6_only(self):
        """With V6ONLY a wildcard does not answer IPv4."""
        self.listening("::", 80, v6_only=True)
        self.assertEqual(self.dialled("127.0.0.1").take_error(), errno.ECONNREFUSED)

    def test_wildcard_destination(self):
        """To connect to a wildcard is to connect to loopback."""
        for address, real in (("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("::ffff:0.0.0.0", "127.0.0.1")):
            with self.subTest(address):
                self.assertEqual(self.dialled(address).remote, (real, 80))

    def test_source(self):
        """To itself the machine talks from the address dialled, or 127.0.0.1; to others, from one of each family."""
        names = self.kernel.names
        four, six = names.declare("a.test").addresses
        for address, source in (
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.9", "127.0.0.1"),
            ("::1", "::1"),
            ("198.18.0.1", "198.18.0.1"),
            (four, "198.18.0.1"),
            (six, "2001:db8:0:2::1"),
        ):
            with self.subTest(address):
                self.assertEqual(self.dialled(address).local[0], source)

    def test_bound_before(self):
        """An end that is bound connects from there; a wildcard becomes the address that fits."""
        self.listening(port=80)
        for address, expected in (("127.0.0.5", ("127.0.0.5", 9)), ("0.0.0.0", ("127.0.0.1", 10))):
            end = self.bound(address, expected[1])
            self.network.connect(end, "127.0.0.1", 80)
            with self.subTest(address):
                self.assertEqual((end.local, end.peer.remote), (expected, expected))

    def test_same_way_twice(self):
        """Two connections between the same two addresses are EADDRNOTAVAIL; the end may then connect elsewhere."""
        self.listening(port=80)
        one, two = (self.bound(port=9, reuse_address=True) for _ in range(2))
        self.network.connect(one, "127.0.0.1", 80)
        self.assertEqual((outcome(self.network.connect, two, "127.0.0.1", 80), two.state), ("EADDRNOTAVAIL", "fresh"))
        self.network.connect(two, "127.0.0.1", 81)
        self.assertEqual(two.take_error(), errno.ECONNREFUSED)


class ClientPortTest(Base):
    def test_count_up(self):
        """A client's ports count up from 32768, by address, and are not given again at once though they are free."""
        first = self.dialled()
        self.kernel.close(first)
        self.assertEqual([first.local[1], self.dialled().local[1], self.dialled("::1").local[1]], [32768, 32769, 32768])

    def test_free_at_once(self):
        """The port of a client can be bound as soon as the client is closed, and not before."""
        self.listening(port=80)
        client = self.dialled()
        self.assertEqual(outcome(self.bound, "127.0.0.1", client.local[1]), "EADDRINUSE")
        self.kernel.close(client)
        self.assertEqual(self.bound("127.0.0.1", client.local[1]).local, client.local)

    def test_begin_again(self):
        """When every client port is taken it is EADDRNOTAVAIL; behind the last one the first free one comes again."""
        ends = [self.dialled() for _ in range(FIRST_CLIENT_PORT, FIRST_FREE_PORT)]
        late = self.stream()
        self.assertEqual(
            (outcome(self.network.connect, late, "127.0.0.1", 80), late.local, late.state),
            ("EADDRNOTAVAIL", None, "fresh"),
        )
        self.kernel.close(ends[5])
        self.network.connect(late, "127.0.0.1", 80)
        self.assertEqual((late.local[1], ends[-1].local[1]), (FIRST_CLIENT_PORT + 5, FIRST_FREE_PORT - 1))


class TellingTest(Base):
    def test_refusals_that_are_kept(self):
        """Of refused connections a bounded number is kept for reports."""
        for port in range(1, 200):
            self.dialled(port=port)
        kept = len(self.network.refused)
        self.dialled(port=300)
        self.assertEqual(len(self.network.refused), kept)
        self.assertLess(kept, 199)

    def test_journal(self):
        """Binding, listening, connecting and being refused are written down with addresses."""
        self.listening(port=80)
        self.dialled()
        self.dialled(port=81)
        self.assertEqual(
            [str(record)[6:] for record in self.kernel.journal],
            [
                "bind 127.0.0.1:80",
                "listen 127.0.0.1:80",
                "connect 127.0.0.1:32768>127.0.0.1:80",
                "connect 127.0.0.1:32769>127.0.0.1:81 refused",
            ],
        )

    def test_repr(self):
        """A network says how many hosts and listeners there are."""
        self.listening(port=80)
        self.assertEqual(repr(self.network), "<Network: 1 host, 1 listener>")


class OptionsTest(SolipsistTestCase):
    """Options of the Linux that the hosts run."""

    async def gives_up(self, host="dead.test"):
        """How long a connect to a black hole takes."""
        self.network.drop(host)
        start = self.now
        with self.assertRaises(TimeoutError):
            await asyncio.open_connection(host, 80)
        return self.now - start

    async def test_connects(self):
        """An older Linux gives up after 127 s, and one with fewer retries sooner."""
        seen = [await self.gives_up()]
        for values in ({"tcp_syn_linear_timeouts": 0}, {"tcp_syn_retries": 2}, {"tcp_syn_linear_timeouts": 4}):
            self.network.sysctl(**values)
            seen.append(await self.gives_up())
        self.assertEqual(seen, [131, 127, 7, 7])

    async def test_open_connections(self):
        """tcp_retries2 is how long an open connection tries."""
        self.network.sysctl(tcp_retries2=3)
        await self.start_fake_server(host="api.test", port=80)
        reader, writer = await asyncio.open_connection("api.test", 80)
        self.network.partition("api.test")
        writer.write(b"x")
        with self.assertElapses(6.4), self.assertRaises(TimeoutError):
            await reader.read()
        writer.close()

    async def test_closed_connections(self):
        """tcp_orphan_retries is how long what was closed is sent again: 8 by itself, which is less than for others."""
        for values, lasts in (({}, 204.8), ({"tcp_orphan_retries": 2}, 3.2)):
            self.network.sysctl(**values)
            server = await self.start_fake_server(host="api.test", port=80)
            _, writer = await asyncio.open_connection("api.test", 80)
            reader, other = await server.accept()
            self.network.partition("api.test")
            start = self.now
            writer.write(b"x")
            writer.close()
            await self.settle()
            while self.network.wire.next_arrival() < float("inf"):
                await asyncio.sleep(0.1)
            self.assertAlmostEqual(self.now - start, lasts, delta=0.2)
            self.network.heal()
            await self.assertReceivesNothing(reader, 300)
            other.write(b"anybody?")
            with self.assertRaises(ConnectionResetError):
                await reader.read()
            server.close()
            other.close()

    async def test_put_back(self):
        """keep() notes them too."""
        put_back = self.network.keep()
        self.network.sysctl(tcp_syn_retries=1, tcp_retries2=1, tcp_orphan_retries=1)
        put_back()
        wire = self.network.wire
        self.assertEqual((await self.gives_up(), wire.retries, wire.orphan_retries), (131, 15, 8))

    async def test_what_is_no_option(self):
        """What there is not, and what none can be, is refused with what is right."""
        with self.assertRaisesRegex(TypeError, "there is no option tcp_retries1: there are tcp_syn_retries, tcp_syn_l"):
            self.network.sysctl(tcp_retries1=3)
        for value in (-1, 256, 1.5, True):
            with self.assertRaisesRegex(ValueError, f"tcp_retries2 is a number from 0 to 255, not {value}"):
                self.network.sysctl(tcp_retries2=value)
