"""What a test says of hosts, and what it is told when that cannot be."""

import contextlib
import socket
import unittest

from solipsism_unittest.kernel import Kernel


class DeclaringTest(unittest.TestCase):
    def setUp(self):
        self.names = Kernel().names

    def test_addresses_belong_to_their_host(self):
        """A host that is given addresses owns them; what two hosts share belongs to the first."""
        one = self.names.add_host("one.test", "192.0.2.1", "2001:DB8::0:1", "192.0.2.1")
        two = self.names.add_host("two.test", "192.0.2.1", "192.0.2.2")
        self.assertEqual(one.addresses, ("192.0.2.1", "2001:db8::1"))
        self.assertEqual([self.names.owner(address) for address in (*one.addresses, "192.0.2.2")], [one, one, two])
        self.assertEqual(self.names.name_of("2001:db8::1"), "one.test")

    def test_the_machine_keeps_its_addresses(self):
        """Another name for the machine's own address makes no other machine of it."""
        self.names.add_host("db.test", "127.0.0.1")
        self.assertTrue(self.names.is_local("127.0.0.1"))
        self.assertIs(self.names.add_host("localhost", "127.0.0.5"), self.names.machine)

    def test_made_up_addresses(self):
        """Without addresses a host gets made-up ones, and keeps those that it has."""
        host = self.names.add_host("a.test")
        self.assertEqual(host, self.names.declare("A.test."))
        given = self.names.add_host("b.test", "192.0.2.1")
        self.assertEqual(self.names.add_host("b.test"), given)

    def test_where_a_host_is_reached(self):
        """A literal is reached at itself, the machine on loopback, and any other host at every address."""
        self.names.add_host("a.test", "192.0.2.1", "2001:db8::1", aliases=["www.test"])
        for name, addresses in (
            ("a.test", ("192.0.2.1", "2001:db8::1")),
            ("WWW.test.", ("192.0.2.1", "2001:db8::1")),
            ("localhost", ("127.0.0.1", "::1")),
            ("::ffff:192.0.2.1", ("192.0.2.1",)),
            ("127.0.0.9", ("127.0.0.9",)),
            ("::", ("::",)),
        ):
            with self.subTest(name):
                self.assertEqual(self.names.addresses_of(name), addresses)
        self.assertIs(self.names.declare("0.0.0.0"), self.names.machine)

    def test_international_names(self):
        """A name beyond ASCII is the host of its encoded form."""
        host = self.names.add_host("b\u00fccher.test", "192.0.2.1")
        self.assertEqual((host.name, self.names.declare("xn--bcher-kva.test")), ("xn--bcher-kva.test", host))

    def test_an_alias_becomes_a_host(self):
        """The latest word counts: an alias that is added as a host is one, and a host that is added as an alias."""
        self.names.add_host("a.test", "192.0.2.1", aliases=["b.test"])
        self.names.add_host("b.test", "192.0.2.2", aliases=["a.test"])
        self.assertEqual(self.names.addresses_of("a.test"), ("192.0.2.2",))

    def test_delays(self):
        """A delay counts for a name and its aliases, until it is 0 again."""
        self.names.add_host("a.test", aliases=["b.test"])
        self.assertFalse(self.names.has_delays)
        self.names.delay_lookup("a.test", 2)
        self.assertEqual([self.names.delay_of(name) for name in ("A.test", "b.test", "c.test")], [2.0, 2.0, 0.0])
        self.names.delay_lookup("a.test", 0)
        self.assertEqual(self.names.delay_of("b.test"), 0.0)


class KeptTest(unittest.TestCase):
    def setUp(self):
        self.names = Kernel().names

    def state(self):
        """What is known of some names, and whose some addresses are."""
        return ([self.names.addresses_of(name) for name in ("a.test", "b.test", "c.test")],
                [self.names.delay_of(name) for name in ("a.test", "b.test")],
                [getattr(self.names.owner(f"192.0.2.{number}"), "name", None) for number in range(1, 6)])

    def test_put_back(self):
        """What was set since is undone, in whatever order it was set; what was set before is as it was."""
        self.names.add_host("a.test", "192.0.2.1", aliases=["b.test"])
        self.names.fail_lookup("d.test")
        self.names.delay_lookup("a.test", 2)
        before, put_back = self.state(), self.names.keep()
        for _ in range(2):
            self.names.add_host("a.test", "192.0.2.2", "192.0.2.1")
            self.names.add_host("a.test", "192.0.2.3")
            self.names.add_host("c.test", "192.0.2.4", aliases=["b.test"])
            self.names.add_host("d.test")
            self.names.fail_lookup("a.test")
            self.names.delay_lookup("b.test", 5)
            self.assertNotEqual(self.state(), before)
            put_back()
            self.assertEqual(self.state(), before)
            for name, known in (("a.test", True), ("d.test", False)):
                with self.subTest(name), contextlib.nullcontext() if known else self.assertRaises(socket.gaierror):
                    self.names.getaddrinfo(name, 80)
        self.names.clear()
        self.assertEqual(self.state()[1:], ([0.0] * 2, [None] * 5))
        self.names.getaddrinfo("d.test", 80)

    def test_hosts_that_were_only_named(self):
        """They stay: a name has the same address at every time."""
        put_back = self.names.keep()
        host = self.names.declare("x.test")
        put_back()
        self.assertIs(self.names.declare("x.test"), host)
        self.assertIs(self.names.owner(host.addresses[0]), host)


class BadInputTest(unittest.TestCase):
    def setUp(self):
        self.names = Kernel().names

    def assertRefused(self, kind, text, call, *args, **kwargs):
        with self.subTest(args=args, **kwargs), self.assertRaisesRegex(kind, text):
            call(*args, **kwargs)

    def test_names(self):
        """What cannot be the name of a host is refused by every call, and nothing is known afterwards."""
        for name in ("", "a b", "http://a.test", "a.test:80", "-a", "a..b", "a" * 64, "\u00e4" * 64):
            for call in (self.names.add_host, self.names.fail_lookup, self.names.declare):
                self.assertRefused(ValueError, "cannot be the name of a host: a name has labels", call, name)
        for name in (None, 5, b"a.test"):
            for call in (self.names.add_host, self.names.fail_lookup, self.names.declare):
                self.assertRefused(TypeError, "a host is a name as text, not", call, name)
        self.assertEqual(list(self.names.hosts), ["localhost"])

    def test_addresses(self):
        """What is no address of one host is refused, and an address in the place of a name is, too."""
        for address in ("a.test", "", None, 5, "fe80::1%lo", "224.0.0.1", "ff02::1", "1.2.3.4.5", b"127.0.0.1"):
            self.assertRefused(ValueError, "cannot be the address of a host", self.names.add_host, "a.test", address)
        for call in (self.names.add_host, self.names.fail_lookup):
            self.assertRefused(ValueError, "is an address, which is not looked up", call, "192.0.2.1")

    def test_the_machine(self):
        """The machine has its own addresses and no other's, and no other name is its alias."""
        self.assertRefused(
            ValueError, "192.0.2.1 is not an address of it: it has 127", self.names.add_host, "localhost", "192.0.2.1"
        )
        add_host = self.names.add_host
        self.assertRefused(ValueError, "localhost cannot be an alias", add_host, "a.test", aliases=["localhost"])

    def test_aliases(self):
        """Aliases are a list of names, none of them the host's own."""
        add_host = self.names.add_host
        self.assertRefused(TypeError, r"write aliases=\['b.test'\]", add_host, "a.test", aliases="b.test")
        self.assertRefused(ValueError, "cannot be an alias of a.test", add_host, "a.test", aliases=["A.test."])

    def test_failures(self):
        """A look-up fails with a code that a name server can bring about."""
        for code in (0, 1, socket.EAI_BADFLAGS, None, "EAI_AGAIN"):
            self.assertRefused(ValueError, "a look-up does not fail with", self.names.fail_lookup, "a.test", code)

    def test_delays(self):
        """A look-up takes a finite time."""
        for seconds in (-1, float("inf"), float("nan"), None, "1"):
            self.assertRefused(ValueError, "a finite number of seconds", self.names.delay_lookup, "a.test", seconds)
