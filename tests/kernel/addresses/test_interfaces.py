"""Addresses that mean many, and the interfaces of the machine."""

import unittest

from solipsism_unittest.kernel.addresses.interfaces import (
    LOOPBACK,
    OUTSIDE,
    interface_at,
    is_broadcast,
    is_many,
    is_multicast,
    way_out,
)


class AddressTest(unittest.TestCase):
    def test_broadcast(self):
        """The broadcast address of each network and the limited one, and no other."""
        wanted = ["127.255.255.255", "198.19.255.255", "255.255.255.255"]
        others = ["127.0.0.1", "198.18.255.255", "224.0.0.1", "0.0.0.0", "::", "ff02::1"]
        self.assertEqual([address for address in wanted + others if is_broadcast(address)], wanted)

    def test_multicast(self):
        """224.0.0.0/4 and ff00::/8, and nothing that only begins like them."""
        wanted = ["224.0.0.1", "239.255.255.255", "232.1.1.1", "ff02::1", "ff05::c"]
        others = ["22.1.1.1", "23.4.5.6", "220.1.1.1", "223.255.255.255", "240.0.0.1", "255.255.255.255", "fe80::1"]
        self.assertEqual([address for address in wanted + others if is_multicast(address)], wanted)
        self.assertEqual([address for address in (*wanted, *others) if is_many(address)], [*wanted, "255.255.255.255"])


class InterfaceTest(unittest.TestCase):
    def test_by_address(self):
        """An interface is found by each of its addresses; 0.0.0.0 means the one to all others."""
        found = [interface_at(address) for address in ("127.0.0.1", "127.3.4.5", "::1", "198.18.0.1", "0.0.0.0")]
        self.assertEqual([one.number for one in found], [LOOPBACK, LOOPBACK, LOOPBACK, OUTSIDE, OUTSIDE])
        self.assertIsNone(interface_at("10.0.0.1"))

    def test_way_out(self):
        """The network that is meant comes first, then what was chosen, then where the source is, then the outside."""
        for arguments, number in (
            (("127.255.255.255", "198.18.0.1", OUTSIDE), LOOPBACK),
            (("239.1.1.1", "127.0.0.1", OUTSIDE), OUTSIDE),
            (("239.1.1.1", "127.0.0.1", 0), LOOPBACK),
            (("239.1.1.1", "192.0.2.1", 0), OUTSIDE),
            (("239.1.1.1", None, LOOPBACK), LOOPBACK),
            (("255.255.255.255", None, 0), OUTSIDE),
        ):
            with self.subTest(arguments):
                self.assertEqual(way_out(*arguments).number, number)
