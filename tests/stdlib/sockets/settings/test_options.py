"""Socket options: what each gives back after it was set, on the real system and in the world, and what it changes."""

import asyncio
import errno
import socket
import struct
import unittest

from solipsism_unittest import sealed
from solipsism_unittest.stdlib.sockets.settings.multicast import MULTICAST
from solipsism_unittest.stdlib.sockets.settings.options import OPTIONS
from tests.worlds import World

KINDS = {
    "tcp4": (socket.AF_INET, socket.SOCK_STREAM),
    "tcp6": (socket.AF_INET6, socket.SOCK_STREAM),
    "udp4": (socket.AF_INET, socket.SOCK_DGRAM),
    "udp6": (socket.AF_INET6, socket.SOCK_DGRAM),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
    "unix datagram": (socket.AF_UNIX, socket.SOCK_DGRAM),
}
LEVELS = (socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_UDP, socket.IPPROTO_IP, socket.IPPROTO_IPV6, 99)
RCVBUF, SNDBUF = (socket.SOL_SOCKET, socket.SO_RCVBUF), (socket.SOL_SOCKET, socket.SO_SNDBUF)
LINGER = socket.SOL_SOCKET, socket.SO_LINGER
# What is set to another value than it was asked for, by book-keeping of the real system.
ROUNDED = {
    (socket.IPPROTO_TCP, 8),  # TCP_LINGER2, where 0 stands for the system's own
    (socket.IPPROTO_TCP, 9),  # TCP_DEFER_ACCEPT, to times of retransmission
    (socket.IPPROTO_TCP, 10),  # TCP_WINDOW_CLAMP, to half of SO_RCVBUF
    (socket.IPPROTO_IPV6, 67),  # IPV6_TCLASS, the same
    (socket.IPPROTO_TCP, 13),  # TCP_CONGESTION, one of those that the system has
    (socket.IPPROTO_TCP, 11),  # TCP_INFO has more in it
}


def outcome(call, *args):
    """What a call gives, or the name of its errno."""
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


class AgainstTheRealOneTest(World):
    def test_numbers(self):
        """Each option of the table, on each kind of socket: its first value, and what numbers make of it."""
        for kind, args in KINDS.items():

            def body(args=args):
                seen = {}
                for option in sorted(OPTIONS.keys() - ROUNDED - MULTICAST.keys()):
                    with socket.socket(*args) as sock:
                        seen[option] = [outcome(sock.getsockopt, *option)]
                        for value in (1, 5, 0):
                            seen[option].append(outcome(sock.setsockopt, *option, value))
                            seen[option].append(outcome(sock.getsockopt, *option))
                return seen

            with self.subTest(kind):
                real, virtual = body(), self.virtual(body)
                self.assertEqual({option: (virtual[option], real[option]) for option in real
                                  if virtual[option] != real[option]}, {})

    def test_limits(self):
        """Numbers outside of what an option can be, and at its ends."""
        limits = {
            (socket.IPPROTO_TCP, 2): (0, 87, 88, 32767, 32768),
            (socket.IPPROTO_TCP, 4): (0, 1, 32767, 32768),
            (socket.IPPROTO_TCP, 6): (127, 128),
            (socket.IPPROTO_TCP, 18): (-1,),
            (socket.IPPROTO_IP, socket.IP_TTL): (-2, 9, -1, 0, 1, 255, 256),
            (socket.IPPROTO_IP, 10): (-1, 0, 5, 6),
            (socket.IPPROTO_IPV6, 16): (-2, 256),
        }

        def body():
            seen = []
            for option, values in limits.items():
                family = socket.AF_INET6 if option[0] == socket.IPPROTO_IPV6 else socket.AF_INET
                with socket.socket(family) as sock:
                    seen += [(option, value, outcome(sock.setsockopt, *option, value)) for value in values]
            return seen

        self.both(body)

    def test_levels(self):
        """An option of a protocol that the socket does not speak is refused in the words of that protocol."""

        def body():
            seen = []
            for kind, args in KINDS.items():
                for level in LEVELS:
                    number = 90 if level == socket.SOL_SOCKET else 63  # nobody has it
                    with socket.socket(*args) as sock:
                        seen.append((kind, level, outcome(sock.getsockopt, level, number),
                                     outcome(sock.setsockopt, level, number, 1)))
            return seen

        self.both(body)

    def test_bytes(self):
        """Values may be given and asked for in bytes, as many as one likes."""

        def body():
            seen = []
            with socket.socket() as sock:
                for option in ((socket.SOL_SOCKET, socket.SO_KEEPALIVE), (socket.IPPROTO_TCP, 1),
                               (socket.IPPROTO_TCP, 4), (socket.SOL_SOCKET, socket.SO_REUSEADDR), LINGER):
                    for value in (struct.pack("i", 3), struct.pack("ii", 1, 9), struct.pack("ii", 0, 4), b"\1", b"",
                                  "x", None, True):
                        try:
                            seen.append((option, value, outcome(sock.setsockopt, *option, value)))
                        except TypeError:
                            seen.append((option, value, "TypeError"))
                        seen.append([outcome(sock.getsockopt, *option, *size) for size in ((), (8,), (4,), (2,))])
                seen += [outcome(sock.getsockopt, *LINGER, size) for size in (-1, 0, 1025)]
                seen.append(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL, 2))
                seen.append(outcome(sock.setsockopt, socket.SOL_SOCKET, socket.SO_REUSEADDR, None, 4))
                for size in (16, 8, 3):
                    seen.append(outcome(sock.setsockopt, socket.SOL_SOCKET, 20, bytes(size)))
                seen.append(sock.getsockopt(socket.SOL_SOCKET, 20, 16))
                seen += [outcome(sock.setsockopt, socket.IPPROTO_IP, socket.IP_TTL, value)
                         for value in (b"", b"\7", struct.pack("i", 9))]
                seen.append(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TTL))
                seen.append(outcome(sock.setsockopt, socket.SOL_SOCKET, 25, b"no such device"[:4]) in ("ENODEV", None))
            return seen

        self.both(body)

    def test_arguments(self):
        """What setsockopt does not take is refused with the class and the words of the Python that runs."""

        class Number:
            def __index__(self):
                return 1

            def __repr__(self):
                return "Number()"

        def body():
            seen = []
            with socket.socket() as sock:
                for args in ((2**31 - 1,), (2**31,), (-2**31,), (-2**31 - 1,), (2**40,), (2**70,), (1.0,), ("x",),
                             ([],), (None,), (b"abcd",), (bytearray(4),), (Number(),), (True,), (1, 4), (b"1234", 4),
                             (1, None), (None, 4), (None, 1.5), (None, None), (None, "x"), (), (1, 2, 3)):
                    try:
                        seen.append((args, sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, *args)))
                    except (TypeError, ValueError, OverflowError, OSError) as error:
                        seen.append((args, type(error), str(error)))
                for level, optname in (("x", 1), (1, "x"), (2**40, 2), (1, 2**40), (None, 1)):
                    with self.assertRaises((TypeError, OverflowError)) as caught:
                        sock.setsockopt(level, optname, 1)
                    seen.append(str(caught.exception))
            return [str(each) for each in seen]

        self.both(body)

    def test_congestion(self):
        """The algorithm is a name that ends with zeros; one that the system does not have is ENOENT."""

        def body():
            with socket.socket() as sock:
                first = sock.getsockopt(socket.IPPROTO_TCP, 13, 16)
                reno = sock.setsockopt(socket.IPPROTO_TCP, 13, b"reno")
                return (
                    len(first), first.endswith(b"\0"), reno, sock.getsockopt(socket.IPPROTO_TCP, 13, 16),
                    outcome(sock.setsockopt, socket.IPPROTO_TCP, 13, b"nosuch"),
                    outcome(sock.setsockopt, socket.IPPROTO_TCP, 13, 1),
                )

        self.both(body)

    def test_buffer_sizes(self):
        """Linux tells twice of what a buffer was given, and keeps it within limits."""

        def body():
            seen = []
            for kind, args in KINDS.items():
                for option in (RCVBUF, SNDBUF):
                    for value in (0, 1, 1152, 1153, 2303, 2304, 4000, 100_000):
                        with socket.socket(*args) as sock:
                            sock.setsockopt(*option, value)
                            seen.append((kind, option, value, sock.getsockopt(*option)))
            return seen

        self.both(body)

    def test_states(self):
        """SO_ACCEPTCONN and the first byte of TCP_INFO say in which state a socket is."""

        def body():
            def look(sock):
                return (sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
                        sock.getsockopt(socket.IPPROTO_TCP, 11, 1))

            with socket.socket() as listener:
                seen = [look(listener)]
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                seen.append(look(listener))
                with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
                    seen += [look(client), look(server)]
            return seen

        self.both(body)

    def test_reuse_port_of_unix(self):
        """A UNIX socket can only be asked not to share its port."""

        def body():
            with socket.socket(socket.AF_UNIX) as sock:
                return [outcome(sock.setsockopt, socket.SOL_SOCKET, socket.SO_REUSEPORT, value) for value in (1, 0)]

        self.both(body)


class EffectTest(World):
    def test_buffers_of_tcp(self):
        """A direction holds what the two buffers hold that it goes through; one that nobody set is of 32 KiB."""

        def body():
            seen = []
            for setting in ((), (SNDBUF,), (RCVBUF,), (SNDBUF, RCVBUF)):
                with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
                    if RCVBUF in setting:
                        listener.setsockopt(*RCVBUF, 5000)
                    if SNDBUF in setting:
                        client.setsockopt(*SNDBUF, 7000)
                    client.connect(listener.getsockname())
                    client.setblocking(False)
                    with listener.accept()[0]:
                        seen.append(client.send(bytes(200_000)))
            return seen

        self.assertEqual(self.virtual(body), [65536, 7000 + 32768, 32768 + 5000, 12_000])

    def test_buffers_of_unix(self):
        """Between UNIX sockets only the sender's buffer counts."""

        def body():
            one, two = socket.socketpair()
            with one, two:
                one.setblocking(False)
                two.setsockopt(*RCVBUF, 3000)
                seen = [one.send(bytes(200_000)), len(two.recv(200_000))]
                one.setsockopt(*SNDBUF, 6000)
                return [*seen, one.send(bytes(200_000))]

        self.assertEqual(self.virtual(body), [65536, 65536, 6000])

    def test_larger_while_it_is_full(self):
        """A buffer that grows makes room at once, and whoever waits for room is told."""
        with sealed(self.loop):
            one, two = socket.socketpair()
        with one, two:
            one.setblocking(False)
            one.send(bytes(65536))
            told = []
            self.loop.add_writer(one, told.append, True)
            self.loop.run_until_complete(asyncio.sleep(0))
            before = list(told)
            one.setsockopt(*SNDBUF, 100_000)
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.remove_writer(one)
        self.assertEqual((before, bool(told)), ([], True))

    def test_linger_with_a_time(self):
        """SO_LINGER with a time resets nothing: what was sent is read, and then the end."""

        def body():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                client = socket.create_connection(listener.getsockname())
                with listener.accept()[0] as server:
                    client.setsockopt(*LINGER, struct.pack("ii", 1, 5))
                    client.sendall(b"last words")
                    client.close()
                    return server.recv(99), server.recv(99)

        self.both(body)

    def test_accepted(self):
        """An accepted socket has what its listener was given, buffers too."""

        def body():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                listener.setsockopt(*RCVBUF, 5000)
                listener.setsockopt(*LINGER, struct.pack("ii", 1, 5))
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with socket.create_connection(listener.getsockname()), listener.accept()[0] as server:
                    return [server.getsockopt(*option, *size) for option, *size in (
                        (RCVBUF,), (LINGER, 8), ((socket.IPPROTO_TCP, 1),), ((socket.SOL_SOCKET, 2),))]

        self.both(body)


if __name__ == "__main__":
    unittest.main()
