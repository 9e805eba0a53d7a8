"""Options of multicast, on a real machine and on the virtual one: values, limits and errors."""

import socket
import struct

from tests.contracts.arms import Contract, outcome, scenario

IP, IPV6 = socket.IPPROTO_IP, socket.IPPROTO_IPV6
ALL, ALL6 = 49, 29  # IP_MULTICAST_ALL, IPV6_MULTICAST_ALL
GROUP, GROUP6 = "239.255.99.9", "ff02::99:9"
LOOPBACK = "127.0.0.1"


def request(group, address="0.0.0.0", number=None):
    """A struct ip_mreq, or ip_mreqn with the number of an interface."""
    data = socket.inet_aton(group) + socket.inet_aton(address)
    return data if number is None else data + struct.pack("@i", number)


def request6(group, number=1):
    """A struct ipv6_mreq."""
    return socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", number)


class MulticastTest(Contract):
    def udp(self, arm, family=socket.AF_INET):
        return arm.keep(socket.socket(family, socket.SOCK_DGRAM))

    def tcp(self, arm, family=socket.AF_INET):
        return arm.keep(socket.socket(family, socket.SOCK_STREAM))

    @scenario
    async def test_values(self, arm):
        """Each option takes what it takes on Linux, and reads back as it was set."""
        for family, level, option, values in (
            (socket.AF_INET, IP, socket.IP_MULTICAST_TTL, (0, 1, 255, 256, -1, -2, b"\x05", b"\x05\0\0\0", b"")),
            (socket.AF_INET, IP, socket.IP_MULTICAST_LOOP, (0, 1, 255, 256, -1, b"\0", b"\x05", b"")),
            (socket.AF_INET, IP, ALL, (0, 1, 2, -1, b"\0", b"\1", b"")),
            (socket.AF_INET6, IPV6, socket.IPV6_MULTICAST_HOPS, (0, -1, -2, 255, 256, b"\x05", b"\x05\0\0\0")),
            (socket.AF_INET6, IPV6, socket.IPV6_MULTICAST_LOOP, (0, 1, 2, -1, b"\0")),
            (socket.AF_INET6, IPV6, ALL6, (0, 1, 2, -1, b"\0", b"\0\0\0\0")),
            (socket.AF_INET6, IPV6, socket.IPV6_MULTICAST_IF, (0, 1, 99, -1, b"\1", b"\1\0\0\0")),
            (socket.AF_INET6, IP, socket.IP_MULTICAST_TTL, (0, 3)),
        ):
            sock = self.udp(arm, family)
            arm.see(option, sock.getsockopt(level, option))
            for value in values:
                arm.see(value, outcome(sock.setsockopt, level, option, value), sock.getsockopt(level, option))

    @scenario
    async def test_way_out(self, arm):
        """IP_MULTICAST_IF takes an address of the machine, or the number of an interface."""
        sock = self.udp(arm)
        option = IP, socket.IP_MULTICAST_IF
        for value in (
            socket.inet_aton(LOOPBACK), socket.inet_aton("10.9.9.9"), b"1", socket.inet_aton("0.0.0.0"), 1,
            request("0.0.0.0", LOOPBACK), request("0.0.0.0", "0.0.0.0", 1), request("0.0.0.0", "0.0.0.0", 99), b"12345",
        ):
            arm.see(value, outcome(sock.setsockopt, *option, value), sock.getsockopt(*option, 4))
        sock.setsockopt(*option, socket.inet_aton(LOOPBACK))
        arm.see(sock.getsockopt(*option))

    @scenario
    async def test_members(self, arm):
        """Joining and leaving check the group, the interface and the size of what they are given."""
        sock = self.udp(arm)
        for option in (socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP):
            arm.see(outcome(sock.getsockopt, IP, option))
            for value in (
                request(GROUP, LOOPBACK), request(GROUP, LOOPBACK), request("10.0.0.1", LOOPBACK),
                request("239.255.99.8", "10.99.0.1"), request("239.255.99.7", "0.0.0.0", 1),
                request("239.255.99.7", "0.0.0.0", 1), request("239.255.99.6", LOOPBACK, 99),
                request("239.255.99.5", "127.0.0.5"), b"1234", 5,
            ):
                arm.see(value, outcome(sock.setsockopt, IP, option, value))

    @scenario
    async def test_members_of_six(self, arm):
        """The same for groups of IPv6."""
        sock = self.udp(arm, socket.AF_INET6)
        for option in (socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP):
            arm.see(outcome(sock.getsockopt, IPV6, option))
            for value in (request6(GROUP6), request6(GROUP6), request6(GROUP6, 99), request6("::1"), b"12", 5):
                arm.see(value, outcome(sock.setsockopt, IPV6, option, value))
        arm.see(outcome(sock.setsockopt, IP, socket.IP_ADD_MEMBERSHIP, request(GROUP, LOOPBACK)))

    @scenario
    async def test_too_many(self, arm):
        """A socket can be in so many groups of IPv4."""
        sock = self.udp(arm)
        joined = [outcome(sock.setsockopt, IP, socket.IP_ADD_MEMBERSHIP, request(f"239.255.98.{number}", LOOPBACK))
                  for number in range(22)]
        arm.see(joined.index("ENOBUFS"), joined[-1])

    @scenario
    async def test_on_tcp(self, arm):
        """TCP has some of the options, and refuses the others in several ways."""
        for family, level, option, values in (
            (socket.AF_INET, IP, socket.IP_MULTICAST_TTL, (4, b"")),
            (socket.AF_INET, IP, socket.IP_MULTICAST_LOOP, (0, b"")),
            (socket.AF_INET, IP, ALL, (0, 2)),
            (socket.AF_INET, IP, socket.IP_MULTICAST_IF, (socket.inet_aton(LOOPBACK),)),
            (socket.AF_INET, IP, socket.IP_ADD_MEMBERSHIP, (request(GROUP, LOOPBACK), b"1")),
            (socket.AF_INET, IP, socket.IP_DROP_MEMBERSHIP, (request(GROUP, LOOPBACK), b"1")),
            (socket.AF_INET6, IPV6, socket.IPV6_MULTICAST_HOPS, (4, -9)),
            (socket.AF_INET6, IPV6, socket.IPV6_MULTICAST_LOOP, (0, 2)),
            (socket.AF_INET6, IPV6, ALL6, (0,)),
            (socket.AF_INET6, IPV6, socket.IPV6_MULTICAST_IF, (1, 99)),
            (socket.AF_INET6, IPV6, socket.IPV6_JOIN_GROUP, (request6(GROUP6), b"1")),
            (socket.AF_INET6, IPV6, socket.IPV6_LEAVE_GROUP, (request6(GROUP6), b"1")),
        ):
            sock = self.tcp(arm, family)
            arm.see(option, [outcome(sock.setsockopt, level, option, value) for value in values])
            arm.see(outcome(sock.getsockopt, level, option))
