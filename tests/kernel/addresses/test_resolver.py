"""The resolver against the real functions, which answer for literal addresses without any network."""

import itertools
import socket
import unittest

from solipsism_unittest.kernel import Kernel
from solipsism_unittest.kernel.addresses.literals import parse_address
from tests.kernel import output_under_hash_seeds
from tests.kernel.addresses.test_literals import LITERALS

ODD_LITERALS = [
    "127.1",
    "1",
    "0",
    "0x7f.1",
    "0X7F.1",
    "0177.0.0.1",
    "1.2.3",
    "0x",
    "4294967295",
    "1.16777215",
    "08.1.1.1",
    "256.1.1.1",
    "4294967296",
    "1.16777216",
    "1.2.3.256",
    "1.2.3.4.5",
    "1..2",
    "127.0.0.1 ",
    " 127.0.0.1",
    "0x1g",
    "1.2.3.",
    "fe80::1%1",
    "fe80::1%lo",
    "fe80::1%nowhere",
    "::g",
    "[::1]",
    "\u0661",
]
FLAGS = [
    0,
    socket.AI_PASSIVE,
    socket.AI_CANONNAME,
    socket.AI_NUMERICHOST,
    socket.AI_NUMERICSERV,
    socket.AI_V4MAPPED,
    socket.AI_ADDRCONFIG,
    socket.AI_ALL | socket.AI_V4MAPPED,
    1 << 20,
]
PORTS = [
    0,
    80,
    65535,
    65536,
    70000,
    -1,
    2**31,
    2**32,
    None,
    "",
    "80",
    "+7",
    " 8",
    "8 ",
    "-1",
    "99999999999",
    str(2**63),
    str(2**64),
    "http",
    "https",
    "domain",
    "nope",
    "8_0",
    "\u0661",
    b"80",
    b"http",
    b"\xff",
    True,
    1.5,
    bytearray(b"80"),
]
NUMERIC = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV


def outcome(call, *args):
    """What a call gives, or the class and number of what it raises."""
    try:
        return call(*args)
    except OSError as error:
        return type(error).__name__, error.errno, str(error)
    except (TypeError, OverflowError) as error:
        return type(error).__name__, str(error)
    except UnicodeError as error:
        return "UnicodeError", isinstance(error, UnicodeError)


class AgainstTheRealOneTest(unittest.TestCase):
    """The real resolver is asked for numeric hosts only, and so never asks anybody."""

    def setUp(self):
        self.names = Kernel().names

    def check(self, *args):
        with self.subTest(args=args):
            self.assertEqual(outcome(self.names.getaddrinfo, *args), outcome(socket.getaddrinfo, *args))

    def test_hosts_families_and_flags(self):
        """Every literal in every family under every flag has the real answer or the real error."""
        for host in (*LITERALS, None):
            for family, flags in itertools.product((0, socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, 99), FLAGS):
                self.check(host, 80, family, socket.SOCK_STREAM, 0, flags)

    def test_odd_hosts(self):
        """IPv4 in all the ways that inet_aton(3) reads, scopes, and what is no literal after all."""
        for host, family in itertools.product(ODD_LITERALS, (0, socket.AF_INET, socket.AF_INET6)):
            self.check(host, 80, family, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)

    def test_hosts_that_are_none(self):
        """Labels that are empty or too long, and what is not text, are refused in the same way."""
        for host in (
            "a" * 64,
            "a..b",
            ".a",
            "..",
            "\u00e4" * 64,
            "a" * 64 + ".b",
            "b." + "c" * 63 + ".d",
            "",
            5,
            1.5,
            [],
            bytearray(b"::1"),
            b"::1",
            b"\xff",
        ):
            self.check(host, 80, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)

    def test_ports(self):
        """A port by number, by text or by name, and what is none."""
        for host, port in itertools.product(("127.0.0.1", "::1", None), PORTS):
            self.check(host, port, 0, socket.SOCK_STREAM, 0, 0)
        for port in ("80", "http", "", None, 80, "nope"):
            self.check("127.0.0.1", port, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICSERV)

    def test_types_and_protocols(self):
        """Which kinds of sockets an answer is for, with and without a service."""
        types = (0, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, 99)
        protocols = (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_ICMP, 99)
        for kind, proto, port in itertools.product(types, protocols, (None, 0, "80", "http", "domain", "nope")):
            self.check("127.0.0.1", port, 0, kind, proto, 0)

    def test_getnameinfo(self):
        """An address to numbers, and everything that is wrong with an address."""
        addresses = [
            ("127.0.0.1", 80),
            ("::1", 80),
            ("::1", 80, 0, 0),
            ("::1", 80, 0, 1),
            ("1.2.3.4", 65535),
            ("1.2.3.4", 65536),
            ("1.2.3.4", -1),
            ("::ffff:1.2.3.4", 1),
            ("127.1", 8),
            ("x", 1),
            ("localhost", 1),
            (None, 1),
            (5, 1),
            ("127.0.0.1",),
            (),
            ("127.0.0.1", 1, 2),
            ("127.0.0.1", 1, 2, 3, 4),
            "127.0.0.1",
            ["127.0.0.1", 1],
            (b"127.0.0.1", 1),
            ("127.0.0.1", "1"),
            ("127.0.0.1", None),
            ("127.0.0.1", 1.5),
            ("::1", 1, -1, 0),
            ("::1", 1, 2**20, 0),
            ("::1", 1, 2**20 - 1, 0),
        ]
        for address, flags in itertools.product(addresses, (NUMERIC, NUMERIC | socket.NI_NAMEREQD, "x")):
            with self.subTest(address=address, flags=flags):
                self.assertEqual(
                    outcome(self.names.getnameinfo, address, flags), outcome(socket.getnameinfo, address, flags)
                )

    def test_localhost(self):
        """The machine's own name in every family under every flag, as it stands in this machine's /etc/hosts."""
        known = [info[4][0] for info in socket.getaddrinfo("localhost", 80, type=socket.SOCK_STREAM)]
        self.names.add_host("localhost", *known)
        for family, flags, port in itertools.product(
            (0, socket.AF_INET, socket.AF_INET6), FLAGS[:-1], (80, "http", "domain", "nope", None)
        ):
            self.check("localhost", port, family, socket.SOCK_STREAM, 0, flags)
            self.check("LOCALHOST", port, family, socket.SOCK_DGRAM, 0, flags)

    def test_scopes(self):
        """A scope behind an address: by number, or by the name of an interface on one link."""
        for host in ("fe80::1%99", "::1%1", "::1%lo", "ff02::1%lo", "fe80::1%", "fe80::1%-1", "fe80::1%4294967296"):
            self.check(host, 80, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST)
        for address in (("fe80::1", 1, 0, 1), ("fe80::1", 1, 0, 99), ("ff02::1", 1, 0, 1), ("fe80::1%1", 1, 0, 0)):
            with self.subTest(address=address):
                self.assertEqual(self.names.getnameinfo(address, NUMERIC), socket.getnameinfo(address, NUMERIC))

    def test_flags_of_getnameinfo(self):
        """A flag that getnameinfo(3) does not have is refused."""
        for flags in (NUMERIC | 0xE0, NUMERIC | 0x100, -1):
            with self.subTest(flags=flags):
                self.assertEqual(
                    outcome(self.names.getnameinfo, ("127.0.0.1", 80), flags),
                    outcome(socket.getnameinfo, ("127.0.0.1", 80), flags),
                )


class ResolverTest(unittest.TestCase):
    """Hosts that a test declared. The expectations were measured: glibc with a small name server on loopback."""

    FOUR, SIX = ("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")
    MAPPED = ("::ffff:192.0.2.1", "::ffff:192.0.2.2")

    def setUp(self):
        self.kernel = Kernel()
        self.names = self.kernel.names
        self.names.add_host("two.test", *self.SIX, *self.FOUR, aliases=["alias.test"])
        self.names.add_host("four.test", *self.FOUR)
        self.names.add_host("six.test", *self.SIX)

    def found(self, name, family=0, flags=0):
        try:
            infos = self.names.getaddrinfo(name, 80, family, socket.SOCK_STREAM, 0, flags)
        except socket.gaierror as error:
            return error.errno
        return tuple(info[4][0] for info in infos)

    def test_families(self):
        """Every address of the family in the order of the name server; a name without one has no data."""
        every = [
            [self.found(name, family) for family in (0, socket.AF_INET, socket.AF_INET6)]
            for name in ("two.test", "four.test", "six.test")
        ]
        self.assertEqual(
            every,
            [
                [self.SIX + self.FOUR, self.FOUR, self.SIX],
                [self.FOUR, self.FOUR, socket.EAI_NODATA],
                [self.SIX, socket.EAI_NODATA, self.SIX],
            ],
        )

    def test_mapped(self):
        """AI_V4MAPPED gives IPv4 in IPv6's form where there is no IPv6; with AI_ALL always; alone AI_ALL is nothing."""
        mapped, every = socket.AI_V4MAPPED, socket.AI_V4MAPPED | socket.AI_ALL
        self.assertEqual(
            [
                self.found("two.test", socket.AF_INET6, mapped),
                self.found("two.test", socket.AF_INET6, every),
                self.found("two.test", socket.AF_INET6, socket.AI_ALL),
                self.found("two.test", 0, every),
                self.found("two.test", socket.AF_INET, every),
            ],
            [self.SIX, self.SIX + self.MAPPED, self.SIX, self.SIX + self.FOUR, self.FOUR],
        )
        self.assertEqual(
            [
                self.found("four.test", socket.AF_INET6, mapped),
                self.found("four.test", socket.AF_INET6, every),
                self.found("four.test", socket.AF_INET6, socket.AI_ALL),
                self.found("six.test", socket.AF_INET, every),
            ],
            [self.MAPPED, self.MAPPED, socket.EAI_NODATA, socket.EAI_NODATA],
        )

    def test_canonical_name(self):
        """The first answer tells the name behind an alias, and any other name as it was written."""

        def told(name):
            infos = self.names.getaddrinfo(name, 80, 0, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)
            return [info[3] for info in infos]

        self.assertEqual(told("two.test"), ["two.test", "", "", ""])
        self.assertEqual(told("alias.test"), ["two.test", "", "", ""])
        self.assertEqual(told("FOUR.test."), ["FOUR.test", ""])

    def test_alias(self):
        """An alias answers with the addresses of its host, whatever the host is given later."""
        self.assertEqual(self.found("alias.test"), self.SIX + self.FOUR)
        self.names.add_host("two.test", "192.0.2.7")
        self.assertEqual(self.found("ALIAS.test."), ("192.0.2.7",))

    def test_failures(self):
        """A name fails as it was told to, through its alias too, and has an address again when it is given one."""
        self.names.fail_lookup("two.test", socket.EAI_AGAIN)
        self.names.fail_lookup("gone.test")
        self.assertEqual(
            [self.found("two.test"), self.found("alias.test"), self.found("Gone.Test.")],
            [socket.EAI_AGAIN, socket.EAI_AGAIN, socket.EAI_NONAME],
        )
        self.names.add_host("two.test")
        self.assertEqual(self.found("two.test"), self.SIX + self.FOUR)

    def test_a_failing_alias(self):
        """An alias may fail while its host does not, until the host is given it anew."""
        self.names.fail_lookup("alias.test", socket.EAI_FAIL)
        self.assertEqual(self.found("alias.test"), socket.EAI_FAIL)
        self.assertEqual(self.found("two.test", socket.AF_INET), self.FOUR)
        self.names.add_host("two.test", aliases=["alias.test"])
        self.assertEqual(self.found("alias.test", socket.AF_INET), self.FOUR)

    def test_localhost_has_both(self):
        """localhost answers with what a test gives it, and with one address by family where no test does."""
        self.assertEqual(self.found("localhost"), ("127.0.0.1",))
        self.names.add_host("localhost", "::1", "127.0.0.1")
        self.assertEqual(self.found("localhost"), ("::1", "127.0.0.1"))
        self.names.add_host("localhost", "127.0.0.1")
        self.assertEqual(self.found("localhost", socket.AF_INET6), socket.EAI_NONAME)

    def test_lookups(self):
        """Every question is kept with its time and family and what came of it; literals are not looked up."""
        self.found("two.test", socket.AF_INET)
        self.kernel.clock.jump(2.5)
        self.found("alias.test", socket.AF_INET6)
        self.found("six.test", socket.AF_INET)
        self.found("a b")
        self.found("192.0.2.1")
        self.found("two.test", flags=socket.AI_NUMERICHOST)
        self.assertEqual(
            list(self.names.lookups),
            [
                (0.0, "two.test", socket.AF_INET, self.FOUR, 0),
                (2.5, "alias.test", socket.AF_INET6, self.SIX, 0),
                (2.5, "six.test", socket.AF_INET, (), socket.EAI_NODATA),
                (2.5, "a b", 0, (), socket.EAI_NONAME),
            ],
        )
        told = [str(record) for record in self.kernel.journal]
        self.assertEqual(told[2], "t=2.5 lookup six.test No address associated with hostname")

    def test_blocking(self):
        """Who looks up a slow name and cannot wait is told, by name and alias; literals and other names are fast."""
        told = []
        self.names.on_blocking = lambda *facts: told.append(facts)
        self.names.check_blocking("two.test")
        self.names.delay_lookup("two.test", 3)
        for host in ("two.test", b"ALIAS.test", "four.test", "192.0.2.1", None, ""):
            self.names.check_blocking(host)
        self.assertEqual(told, [("two.test", 3.0), ("ALIAS.test", 3.0)])
        self.names.one_address("two.test", socket.AF_INET)
        self.assertEqual(told[2:], [("two.test", 3.0)])


class MadeUpTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.names = self.kernel.names

    def address(self, name, family=0):
        return self.names.getaddrinfo(name, 80, family, socket.SOCK_STREAM)[0][4][0]

    def test_known_addresses(self):
        """An address follows from the name alone: these are promises, and a report of last year is still right."""
        self.assertEqual([self.address(name) for name in ("api.test", "a.test")], ["198.18.123.36", "198.18.107.23"])

    def test_ranges(self):
        """Made-up addresses lie in ranges that nobody owns, and not among the machine's own."""
        for number in range(500):
            host = self.names.declare(f"host{number}.test")
            four, six = map(parse_address, host.addresses)
            with self.subTest(host.name):
                self.assertTrue(parse_address("198.18.1.0") <= four < parse_address("198.20.0.0"))
                self.assertTrue(str(six).startswith("2001:db8:0:"))
                self.assertFalse(self.names.is_local(host.addresses[0]))

    def test_no_two_hosts_share_an_address(self):
        """Five thousand names have ten thousand addresses, though some of the names begin at the same one."""
        hosts = [self.names.declare(f"{number}.example.test") for number in range(5000)]
        self.assertEqual(len({address for host in hosts for address in host.addresses}), 10000)

    def test_same_name(self):
        """Case and a last dot make no other name, nor does its encoding."""
        self.assertEqual(len({self.address(name) for name in ("api.test", "API.Test", "api.test.", b"api.test")}), 1)
        self.assertEqual(self.address("b\u00fccher.test"), self.address("xn--bcher-kva.test"))

    def test_one_answer(self):
        """A name answers with one address: IPv4, but where IPv6 is asked for; CANONNAME gives the name."""
        self.assertEqual(
            [info[0] for info in self.names.getaddrinfo("a.test", 80, type=socket.SOCK_STREAM)], [socket.AF_INET]
        )
        self.assertIn(":", self.address("a.test", socket.AF_INET6))
        info = self.names.getaddrinfo("a.test", 80, 0, socket.SOCK_STREAM, 0, socket.AI_CANONNAME)
        self.assertEqual(info[0][3], "a.test")

    def test_no_names(self):
        """What cannot be the name of a host is not known: nobody gets an address for a URL or a mistyped literal."""
        for name in (
            "",
            "a b",
            "http://a.test",
            "a.test:80",
            "-a.test",
            "a.test/",
            "256.1.1.1",
            "1.2.3.4.5",
            "a.1",
            "\x00",
            "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 63,
            b"\xff.test",
            "a\n",
        ):
            with self.subTest(name), self.assertRaises(socket.gaierror) as caught:
                self.address(name)
            self.assertEqual(caught.exception.errno, socket.EAI_NONAME)

    def test_names(self):
        """Underscores, digits, hyphens and long names are names."""
        for name in (
            "_dmarc.test",
            "1a.test",
            "a-b.test",
            "x",
            "3com",
            "a" * 63,
            "127.0.0.1.test",
            "1.2.3.4.in-addr.arpa",
        ):
            with self.subTest(name):
                self.assertTrue(self.address(name).startswith("198."))

    def test_special_names(self):
        """RFC 6761: what ends in localhost is the machine; what ends in invalid is any host."""
        for name in ("localhost", "LOCALHOST", "localhost.", "a.localhost", "a.b.localhost."):
            with self.subTest(name):
                self.assertEqual((self.address(name), self.address(name, socket.AF_INET6)), ("127.0.0.1", "::1"))
        for name in ("invalid", "a.invalid", "A.INVALID."):
            with self.subTest(name):
                self.assertTrue(self.address(name).startswith("198."))
        self.names.fail_lookup("a.invalid")
        for name in ("a.invalid", "A.INVALID."):
            with self.subTest(name), self.assertRaisesRegex(socket.gaierror, "Name or service not known"):
                self.address(name)
        self.names.add_host("A.Invalid.", "192.0.2.1")
        self.assertEqual((self.address("a.invalid"), self.names.name_of("192.0.2.1")), ("192.0.2.1", "a.invalid"))
        self.assertTrue(self.address("notlocalhost").startswith("198."))
        self.assertTrue(self.address("notinvalid").startswith("198."))

    def test_numeric_only(self):
        """AI_NUMERICHOST asks for no name, and none comes into being."""
        with self.assertRaises(socket.gaierror):
            self.names.getaddrinfo("a.test", 80, flags=socket.AI_NUMERICHOST)
        self.assertNotIn("a.test", self.names.hosts)

    def test_hash_seed(self):
        """Names have the same addresses under any PYTHONHASHSEED."""
        program = (
            "from solipsism_unittest.kernel import Kernel\nnames = Kernel().names\n"
            "print([names.declare(f'h{n}.test').addresses for n in range(50)])"
        )
        self.assertEqual(len(output_under_hash_seeds(program)), 1)

    def test_journal(self):
        """A name that is looked up is written down with its address; a literal is not looked up."""
        address = self.address("a.test")
        self.address("127.0.0.1")
        self.assertEqual([record[1:] for record in self.kernel.journal], [("lookup", ("a.test", address))])


class OwnersTest(unittest.TestCase):
    def setUp(self):
        self.names = Kernel().names

    def test_machine(self):
        """All of 127.0.0.0/8, ::1 and an address of each family for talking to others are the machine's."""
        for address in ("127.0.0.1", "127.8.7.6", "::1", "198.18.0.1", "2001:db8:0:2::1"):
            with self.subTest(address):
                self.assertTrue(self.names.is_local(address))
        self.assertFalse(self.names.is_local("128.0.0.1"))

    def test_declare(self):
        """A literal that somebody owns is that host, any other a host of its own; a name is one host however often."""
        host = self.names.declare("a.test")
        self.assertIs(self.names.declare("A.test."), host)
        self.assertIs(self.names.declare(host.addresses[1]), host)
        self.assertIs(self.names.declare("::ffff:127.0.0.1"), self.names.machine)
        self.assertEqual(self.names.declare("2001:DB8::AB").addresses, ("2001:db8::ab",))
        self.assertIs(self.names.declare("::1.2.3.4"), self.names.owner("::1.2.3.4"))

    def test_backwards(self):
        """An address is given back as the name that it was made up for, and a port as its service."""
        host = self.names.declare("a.test")
        for address in (*host.addresses, f"::ffff:{host.addresses[0]}"):
            with self.subTest(address):
                self.assertEqual(self.names.getnameinfo((address, 443)), ("a.test", "https"))
        self.assertEqual(self.names.getnameinfo(("127.0.0.1", 60009)), ("localhost", "60009"))
        self.assertEqual(self.names.getnameinfo(("127.0.0.1", 80), socket.NI_DGRAM)[1], "80")
        self.assertEqual(self.names.getnameinfo(("127.0.0.1", 53), socket.NI_DGRAM)[1], "domain")

    def test_nameless(self):
        """An address without a name is itself, and with NI_NAMEREQD not known, also when a server lives there."""
        self.names.declare("192.0.2.1")
        for address in ("192.0.2.1", "192.0.2.2"):
            with self.subTest(address):
                self.assertEqual(self.names.getnameinfo((address, 60009)), (address, "60009"))
                with self.assertRaises(socket.gaierror):
                    self.names.getnameinfo((address, 60009), socket.NI_NAMEREQD)

    def test_one_address(self):
        """Where one address is needed, "" is every address of the family, and a name or literal has one."""
        for host, family, expected in (
            ("", 0, "0.0.0.0"),
            (b"", socket.AF_INET6, "::"),
            ("::1", 0, "::1"),
            ("<broadcast>", socket.AF_INET, "255.255.255.255"),
            (bytearray(b"127.1"), 0, "127.0.0.1"),
            ("localhost", socket.AF_INET6, "::1"),
        ):
            with self.subTest(host=host):
                self.assertEqual(self.names.one_address(host, family), expected)
        with self.assertRaises(socket.gaierror):
            self.names.one_address("<broadcast>", socket.AF_INET6)
        for host in (None, 5):
            with self.subTest(host=host), self.assertRaisesRegex(TypeError, "str, bytes or bytearray expected, not"):
                self.names.one_address(host)

    def test_repr(self):
        """The resolver says how many hosts it knows."""
        self.names.declare("a.test")
        self.assertEqual(repr(self.names), "<Names: 2 hosts>")
