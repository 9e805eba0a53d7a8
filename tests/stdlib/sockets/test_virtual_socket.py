"""The face of `socket.socket`: what a program passes in and gets back. What happens to bytes is in tests/contracts."""

import _socket
import array
import asyncio
import contextlib
import copy
import errno
import fcntl
import gc
import io
import mmap
import os
import pickle
import random
import socket
import stat
import struct
import tempfile
import termios
import unittest
import unittest.mock
import warnings
import weakref

from solipsism_unittest import SolipsistEventLoop, VirtualSocket, sealed, socketpair, stream_pairs
from solipsism_unittest.errors import EscapeError, SolipsismError, UnclosedWarning
from solipsism_unittest.stdlib.sockets.patches import Fallbacks
from solipsism_unittest.stdlib.sockets.virtual_socket import Face
from tests.worlds import World

LINGER = socket.SOL_SOCKET, socket.SO_LINGER
REUSE = socket.SOL_SOCKET, socket.SO_REUSEADDR
ERROR = socket.SOL_SOCKET, socket.SO_ERROR
V6ONLY = socket.IPPROTO_IPV6, socket.IPV6_V6ONLY


def outcome(call, *args, **kwargs):
    """What a call gives: its result, an errno by name, or the class of any other error."""
    try:
        return call(*args, **kwargs)
    except socket.gaierror as error:
        return "gaierror", error.errno
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return type(error).__name__


def real_or_virtual_pair():
    one, two = socket.socketpair()
    one.setblocking(False)
    two.setblocking(False)
    return one, two


def real_or_virtual_connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setblocking(False)
    server.setblocking(False)
    return client, server


class AgainstTheRealOneTest(World):
    """The same body on the real system and in the world: what is a question of types and values, not of states."""

    def test_attributes(self):
        """A socket takes no attributes of a program's own; one of a program's own class does."""

        def body():
            class Mine(socket.socket):
                pass

            found = []
            for cls in (socket.socket, Mine):
                with cls() as sock:
                    found += [outcome(setattr, sock, "send", print), outcome(setattr, sock, "mine", 1)]
            return found

        self.both(body)

    def test_making(self):
        """Which sockets can be made, what they are, and what is wrong with the others."""

        def body():
            seen = []
            for args in (
                (),
                (socket.AF_INET,),
                (socket.AF_INET6,),
                (-1, -1, -1),
                (socket.AF_INET, socket.SOCK_STREAM, 6),
                (socket.AF_INET, socket.SOCK_STREAM, 17),
                (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK),
                (socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC),
                ("x",),
                (None,),
                (1.5,),
                (2, "x"),
                (2, 1, "x"),
            ):

                def make(args=args):
                    with socket.socket(*args) as sock:
                        return sock.family, sock.type, sock.proto, sock.gettimeout(), sock.getblocking(), sock.timeout

                seen.append((args, outcome(make)))
            for number in (-1, "x", 1.5):
                seen.append((number, outcome(lambda number=number: socket.socket(fileno=number))))
            return seen

        self.both(body)

    def test_bytes_that_are_sent(self):
        """Every kind of buffer goes, and what is none, or has holes, is refused."""

        def body():
            one, two = real_or_virtual_pair()
            data = memoryview(bytearray(b"abcdefgh"))
            buffers = (
                b"xy",
                bytearray(b"xy"),
                data,
                data[2:4],
                data.cast("B", (2, 4)),
                array.array("h", [1, 2]),
                array.array("h"),
                b"",
                data[::2],
                "xy",
                None,
                5,
                [1, 2],
            )
            with one, two:
                return (
                    [(outcome(one.send, buffer), outcome(two.recv, 99)) for buffer in buffers]
                    + [(outcome(one.sendall, buffer), outcome(two.recv, 99)) for buffer in buffers]
                    + [
                        (outcome(one.sendmsg, buffer), outcome(two.recv, 99))
                        for buffer in (
                            [],
                            [b""],
                            [b"x", b"", b"yz"],
                            (data[1:2], array.array("h", [1])),
                            [b"x", 5],
                            ["x"],
                            5,
                            b"",
                        )
                    ]
                )

        self.both(body)

    def test_sizes_that_are_received(self):
        """A size, a buffer and a count: what fits, and what is refused."""

        def body():
            one, two = real_or_virtual_pair()
            with one, two:
                one.send(b"abcdefghijklmnopqrstuvwxyz")
                seen = [outcome(two.recv, size) for size in (0, 1, -1, "x", 1.5, None, True)]
                for args in (
                    (bytearray(2),),
                    (bytearray(2), 1),
                    (bytearray(2), 0),
                    (bytearray(2), -1),
                    (bytearray(2), 3),
                    (b"xx",),
                    (b"",),
                    (bytearray(),),
                    ("xx",),
                    (memoryview(bytearray(6))[::2],),
                    (array.array("h", [0]),),
                    (bytearray(3), 2, socket.MSG_PEEK),
                ):
                    seen.append((outcome(two.recv_into, *args), args[0] if isinstance(args[0], bytearray) else None))
                seen.append(outcome(two.recv_into, bytearray(2), nbytes=1, flags=0))
                seen += [
                    outcome(two.recv, 2, flags) for flags in (socket.MSG_PEEK, socket.MSG_WAITALL, socket.MSG_DONTWAIT)
                ]
                return seen

        self.both(body)

    def test_empty_calls(self):
        """Nothing asked for is nothing received in every state, closed ones included."""

        def body():
            one, two = real_or_virtual_pair()
            seen = [one.recv(0), one.recv_into(bytearray())]
            one.close()
            two.close()
            return [*seen, one.recv(0), one.recv_into(bytearray()), outcome(one.recv, 1), outcome(one.send, b"")]

        self.both(body)

    def test_v6_only(self):
        """V6ONLY is for IPv6 sockets that are not bound, and keeps mapped addresses out."""

        def body():
            seen = []
            with socket.socket(socket.AF_INET6) as sock:
                sock.setblocking(False)
                seen += [sock.getsockopt(*V6ONLY), outcome(sock.setsockopt, *V6ONLY, 1), sock.getsockopt(*V6ONLY)]
                seen += [outcome(sock.bind, ("::ffff:127.0.0.1", 0)), outcome(sock.connect, ("::ffff:127.0.0.1", 9))]
                sock.bind(("::1", 0))
                seen.append(outcome(sock.setsockopt, *V6ONLY, 0))
            return seen

        self.both(body)

    def test_timeouts(self):
        """A timeout is a number of seconds or None, and a closed socket has none to set."""

        def body():
            with socket.socket() as sock:
                seen = []
                for value in (None, 0, 3, 0.5, -1, 9e9, 1e10, float("nan"), float("inf"), "x", True, []):
                    seen.append((outcome(sock.settimeout, value), sock.gettimeout(), sock.timeout, sock.getblocking()))
                sock.setblocking(False)
                seen.append(sock.gettimeout())
            return [*seen, outcome(sock.settimeout, 1), outcome(sock.setblocking, True)]

        self.both(body)

    def test_default_timeout(self):
        """A new socket, and an accepted one, begins with the default timeout of the process; a flag says otherwise."""

        def body():
            before = socket.getdefaulttimeout()
            socket.setdefaulttimeout(7)
            try:
                one, two = socket.socketpair()
                client, server = real_or_virtual_connection()
                flagged = socket.socketpair(type=socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                with one, two, client, server, socket.socket() as three, flagged[0], flagged[1]:
                    return [sock.gettimeout() for sock in (one, two, three)]
            finally:
                socket.setdefaulttimeout(before)

        self.both(body)

    def test_addresses(self):
        """What is no address, in all the ways."""

        def body():
            seen = []
            four = (
                None,
                "x",
                ("127.0.0.1",),
                ("127.0.0.1", 0, 0),
                ("127.0.0.1", "80"),
                ("127.0.0.1", 1.5),
                ("127.0.0.1", -1),
                ("127.0.0.1", 65536),
                (None, 1),
                (5, 1),
                ["127.0.0.1", 0],
                ("::1", 0),
                ("a..b", 1),
                ("\u00e4..b", 1),
                (b"127.0.0.1", "x"),
                ("127.0.0.1", None),
            )
            six = (
                ("::1",),
                ("::1", 0, 0, 0, 0),
                ("::1", 0, -1),
                ("::1", 0, 2**20),
                ("::1", 0, "x"),
                ("::1", 0, 0, "x"),
                ("127.0.0.1", 0),
            )
            for family, addresses in ((socket.AF_INET, four), (socket.AF_INET6, six)):
                for address in addresses:
                    for method in ("bind", "connect", "connect_ex"):
                        with socket.socket(family) as sock:
                            sock.setblocking(False)
                            seen.append((address, method, outcome(getattr(sock, method), address)))
            return seen

        self.both(body)

    def test_connecting(self):
        """A non-blocking connect is in progress, then reported once; one that failed may be tried again."""

        def body():
            seen = []
            for told in (False, True):
                with socket.socket() as client, socket.socket() as server:
                    client.setblocking(False)
                    server.bind(("127.0.0.1", 0))
                    address = server.getsockname()
                    seen += [outcome(client.getpeername), client.connect_ex(address)]
                    if told:
                        seen.append(client.getsockopt(*ERROR))
                    seen.append(client.connect_ex(address))
                    server.listen()
                    seen += [outcome(client.connect, address) for _ in range(3)]
                    seen += [outcome(server.connect, address), client.getpeername() == address]
            return seen

        self.both(body)

    def test_pending_connect(self):
        """While nobody lets it in, a connect that is asked for again is EALREADY."""
        listener, first, _ = self.connection()
        listener.listen(0)
        ends = [VirtualSocket.on(self.loop.world, socket.AF_INET) for _ in range(2)]
        for end in ends:
            self.addCleanup(end.close)
            end.connect_ex(("127.0.0.1", 80))
        self.assertEqual([outcome(end.connect, ("127.0.0.1", 80)) for end in ends], [None, "EALREADY"])

    def test_reset_after_connecting(self):
        """A connection that was reset before connect() was asked again says so there, and may then be tried anew."""

        def body():
            with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
                address = listener.getsockname()
                client.setblocking(False)
                client.connect_ex(address)
                server, _ = listener.accept()
                server.setsockopt(*LINGER, struct.pack("ii", 1, 0))
                server.close()
                return [errno.errorcode.get(client.connect_ex(address), 0) for _ in range(3)]

        self.both(body)

    def test_end_into_a_buffer(self):
        """At the end of the stream nothing is received into a buffer, as often as one asks."""

        def body():
            one, two = real_or_virtual_pair()
            with two:
                one.close()
                return [
                    two.recv_into(bytearray(3)),
                    two.recv_into(bytearray(3)),
                    two.recv_into(bytearray(3), 0, socket.MSG_PEEK),
                ]

        self.both(body)

    @unittest.skipUnless(hasattr(socket, "SO_REUSEPORT"), "this system has no SO_REUSEPORT")
    def test_reuse_port(self):
        """SO_REUSEPORT on both sockets lets them share an address."""

        def body():
            with socket.socket() as one, socket.socket() as two, socket.socket() as three:
                for sock in (one, two):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                one.bind(("127.0.0.1", 0))
                return outcome(two.bind, one.getsockname()), outcome(three.bind, one.getsockname())

        self.both(body)

    def test_numbers(self):
        """shutdown() and listen() take whole numbers."""

        def body():
            one, two = real_or_virtual_pair()
            with one, two, socket.socket() as sock:
                return [outcome(one.shutdown, how) for how in ("x", 1.0, None, 3, -1, True)] + [
                    outcome(sock.listen, backlog) for backlog in ("x", 1.5, None, -5, 10**6)
                ]

        self.both(body)

    def test_inheritable(self):
        """A socket remembers whether a child should inherit it, as long as it is open."""

        def body():
            with socket.socket() as sock:
                seen = [sock.get_inheritable(), sock.set_inheritable(True), sock.get_inheritable()]
            return [*seen, outcome(sock.get_inheritable), outcome(sock.set_inheritable, False)]

        self.both(body)

    def test_afterlife(self):
        """What a closed, and a detached, socket still says of itself."""

        def body():
            seen = []
            for name in ("close", "detach"):
                for sock in (socket.socket(socket.AF_INET6, proto=6), *real_or_virtual_pair()):
                    close = getattr(sock, name)
                    one = close()
                    seen.append(
                        (
                            one is None,
                            close(),
                            sock.fileno(),
                            sock.family,
                            sock.type,
                            sock.proto,
                            outcome(sock.recv, 1),
                            outcome(sock.getsockname),
                            outcome(sock.getsockopt, *ERROR),
                            outcome(sock.listen, 1),
                        )
                    )
                    if one is not None:
                        socket.socket(fileno=one).close()
            return seen

        self.both(body)

    def test_refusals_of_object_protocols(self):
        """A socket can be neither pickled nor copied."""

        def body():
            with socket.socket() as sock:
                return outcome(pickle.dumps, sock), outcome(copy.copy, sock), outcome(copy.deepcopy, sock)

        self.both(body)

    def test_socketpair(self):
        """Which pairs there are."""

        def body():
            def make(args):
                one, two = socket.socketpair(*args)
                with one, two:
                    return [
                        (sock.family, sock.type, sock.proto, sock.gettimeout(), sock.getsockname())
                        for sock in (one, two)
                    ]

            return [
                outcome(make, args)
                for args in (
                    (),
                    (None,),
                    (socket.AF_UNIX,),
                    (socket.AF_UNIX, socket.SOCK_STREAM, 0),
                    (socket.AF_INET,),
                    (socket.AF_INET6,),
                    ("x",),
                    (1, "x"),
                    (1, 1, "x"),
                    (1, 1, 99),
                )
            ]

        self.both(body)

    def test_makefile(self):
        """A file over a socket reads and writes it, and the socket lives as long as the file."""

        def body():
            one, two = socket.socketpair()
            with two.makefile("rw", encoding="utf-8", newline="\n") as file:
                two.close()
                one.sendall("gr\u00fc\u00df\n".encode())
                line = file.readline()
                file.write("back")
                file.flush()
                seen = [line, one.recv(9), two.fileno() >= 0]
            seen += [two.fileno(), one.recv(9)]
            one.close()
            return seen

        self.both(body)


class DescriptorTest(World):
    def test_number(self):
        """fileno() is an int from 2**30 up, and -1 once the socket is closed."""
        one, _ = self.pair()
        self.assertGreaterEqual(one.fileno(), 2**30)
        one.close()
        self.assertEqual(one.fileno(), -1)

    def test_detach_and_take_up(self):
        """A descriptor that was given away makes a socket again, with the same end behind it."""
        one, two = self.pair()
        number = one.detach()
        with sealed(self.loop):
            again = socket.socket(fileno=number)
        self.addCleanup(again.close)
        two.send(b"x")
        self.assertEqual((again.recv(1), again.family, one.fileno()), (b"x", two.family, -1))

    def test_foreign_number(self):
        """A descriptor of another world, or a real one, is an EscapeError that says what to do."""
        with sealed(self.loop):
            for number in (0, 2**30 + 99):
                with (
                    self.subTest(number),
                    self.assertRaisesRegex(
                        EscapeError, fr"descriptor {number} is not one of this world\n  .* open real descriptors out"
                    ),
                ):
                    socket.socket(fileno=number)

    def test_flags(self):
        """A flag that would change what happens is not passed over in silence, in any of the calls."""
        one, _ = self.pair()
        for call in (
            lambda flags: one.recv(1, flags),
            lambda flags: one.recv_into(bytearray(1), 0, flags),
            lambda flags: one.recvmsg(1, 0, flags),
            lambda flags: one.send(b"x", flags),
            lambda flags: one.sendall(b"x", flags),
            lambda flags: one.sendmsg([b"x"], [], flags),
        ):
            with self.assertRaisesRegex(SolipsismError, "with MSG_OOB is not simulated: .* send the bytes without it"):
                call(socket.MSG_OOB | socket.MSG_DONTWAIT)

    def test_ancillary_data(self):
        """Nothing but bytes goes over a virtual socket."""
        one, _ = self.pair()
        for wrong in ([5], [(1, 2)]):
            with self.assertRaises(TypeError):
                one.sendmsg([b"x"], wrong)
        with self.assertRaisesRegex(SolipsismError, "ancillary data is not simulated: nothing but bytes"):
            one.sendmsg([b"x"], [(socket.SOL_SOCKET, 1, b"")])


# What VirtualSocket takes from socket.socket as it is: Python code that ends in calls that are its own. The others of
# socket.socket's own methods ask whether a socket is virtual.
INHERITED = {
    "close": "the last of it and its files calls _real_close()",
    "detach": "it calls what it finds above socket.socket",
    "makefile": "a SocketIO, over recv_into() and send()",
}


class KindsTest(World):
    def test_what_no_system_has(self):
        """A family or a type that does not exist is refused as the system refuses it."""

        def body():
            return [outcome(socket.socket, *args) for args in (
                (999,), (socket.AF_INET, 99), (socket.AF_INET, 1, 17), (socket.AF_INET, 2, 6), (socket.AF_UNIX, 1, 6))]

        self.both(body)

    def test_what_is_not_simulated(self):
        """A kind of socket that only real systems have says which ones there are."""
        with sealed(self.loop):
            for args in ((socket.AF_INET, socket.SOCK_RAW), (socket.AF_UNIX, socket.SOCK_SEQPACKET)):
                with self.assertRaisesRegex(SolipsismError, "in the simulation: TCP, UDP, and UNIX sockets of the"):
                    socket.socket(*args)

    def test_a_pipe_is_no_socket(self):
        """A descriptor of something else makes no socket."""

        def body():
            reader, writer = os.pipe()
            seen = outcome(socket.socket, -1, -1, -1, reader), outcome(socket.fromfd, writer, -1, -1)
            os.close(reader)
            os.close(writer)
            return seen

        self.both(body)


class WholeFaceTest(unittest.TestCase):
    def test_nothing_reaches_the_c_base(self):
        """Every attribute of C's class is found in ours before, and every method of socket.socket leads there."""
        ways = VirtualSocket.__mro__
        ours = {name for cls in ways[ways.index(Face):ways.index(Fallbacks)] for name in vars(cls)}
        of_c = set(vars(_socket.socket)) - {"__new__", "__getattribute__", "__doc__", "__module__"}
        self.assertGreater(len(of_c), 30)
        self.assertEqual(of_c - ours - {"close"}, set())
        stock = {name for name in vars(socket.socket) if not name.startswith("_")}
        leads = {name for name, method in vars(socket.socket).items()
                 if hasattr(getattr(method, "fget", method), "__wrapped__")}
        self.assertEqual(stock - leads, set(INHERITED))
        self.assertEqual(leads - stock - {"__new__"}, {"__init__", "__repr__", "_real_close"})


class StreamCallsTest(World):
    """Each call on a connected stream, of each kind, on the real system and in the world."""

    def each(self, body):
        """Show that `body(one, two)` is the same on real and virtual pairs and connections."""

        def on_all():
            seen = []
            for make in (real_or_virtual_connection, real_or_virtual_pair):
                one, two = make()
                with one, two:
                    seen.append(body(one, two))
            return seen

        self.both(on_all)

    def test_recvfrom(self):
        """A stream says nothing about where bytes come from; nothing asked for is asked of the system here."""

        def body(one, two):
            seen = [outcome(two.recvfrom, size) for size in (0, 1, -1, "x", 1.5)]
            one.send(b"abcdef")
            seen += [two.recvfrom(0), two.recvfrom(2), two.recvfrom(1, socket.MSG_PEEK), two.recvfrom(99)]
            one.close()
            return [*seen, two.recvfrom(5)]

        self.each(body)

    def test_recvfrom_into(self):
        """The same into a buffer, and how much of it is filled."""

        def body(one, two):
            one.send(b"abcdefghijkl")
            seen = []
            for args in (
                (bytearray(2),), (bytearray(4), 1), (bytearray(2), 3), (bytearray(2), -1), (b"xx",), (bytearray(),),
                (array.array("h", [0, 0]),), (bytearray(3), 2, socket.MSG_PEEK), ("x",),
            ):
                filled = outcome(two.recvfrom_into, *args)
                seen.append((filled, 0 if isinstance(args[0], str) else bytes(memoryview(args[0]))))
            seen.append(outcome(two.recvfrom_into, bytearray(2), nbytes=1, flags=0))
            return seen

        self.each(body)

    def test_recvmsg(self):
        """A message of a stream has no ancillary data, no flags and no address."""

        def body(one, two):
            seen = [outcome(two.recvmsg, *args) for args in ((-1,), (1, -1), (1, 2**40), ("x",), (5,), (1, 64))]
            one.send(b"abcdef")
            seen += [two.recvmsg(2), two.recvmsg(2, 100, socket.MSG_PEEK), two.recvmsg(0), two.recvmsg(99, 100)]
            one.close()
            return [*seen, two.recvmsg(5)]

        self.each(body)

    def test_recvmsg_into(self):
        """A message fills one buffer after the other."""

        def body(one, two):
            one.send(b"abcdefghijklmnop")
            seen = []
            for buffers in (
                [bytearray(2), bytearray(3)], [], [bytearray()], [array.array("h", [0]), bytearray(1)], [bytearray(99)],
            ):
                seen.append((outcome(two.recvmsg_into, buffers), buffers))
            one.send(b"x")
            seen += [outcome(two.recvmsg_into, buffers) for buffers in ([b"x"], ["x"], 5, [bytearray(1)[::2], 5])]
            return [*seen, outcome(two.recvmsg_into, [bytearray(1)], -1), outcome(two.recvmsg_into, [bytearray(1)])]

        self.each(body)

    def test_truncation(self):
        """MSG_TRUNC throws bytes of TCP away and only counts them; a UNIX stream does not know it."""

        def body(one, two):
            one.send(b"abcdef")
            buffer = bytearray(2)
            first = two.recv_into(buffer, 0, socket.MSG_TRUNC)
            return first, bytes(buffer), len(two.recv(1, socket.MSG_TRUNC)), two.recv(9)

        self.each(body)

    def test_sendto(self):
        """TCP passes an address over, a UNIX stream refuses one; the arguments are checked in any case."""

        def body(one, two):
            unix = one.family == socket.AF_UNIX
            address = "/nowhere" if unix else ("127.0.0.1", 9)
            seen = [
                outcome(one.sendto, *args)
                for args in (
                    (b"x", address), (b"x", 0, address), (b"x", "x", address), (b"x",), (b"x", 0, address, 1),
                    ("x", address), (b"x", 5), (b"x", ("127.0.0.1", 70000)), (b"", address),
                )
            ]
            return [*seen, outcome(one.sendmsg, [b"y"], [], 0, address), outcome(two.recv, 9)]

        self.each(body)

    def test_fresh(self):
        """What each call says of a socket that is not connected."""

        def body():
            seen = []
            for family, address in ((socket.AF_INET, ("127.0.0.1", 9)), (socket.AF_UNIX, "/nowhere")):
                with socket.socket(family) as sock:
                    sock.setblocking(False)
                    seen += [
                        outcome(sock.sendto, b"x", address), outcome(sock.recvfrom, 1), outcome(sock.recvmsg, 1),
                        outcome(sock.recvmsg_into, [bytearray(1)]), outcome(sock.sendmsg, [b"x"]),
                        outcome(sock.sendmsg, [b"x"], [], 0, address), outcome(sock.getpeername),
                    ]
            return seen

        self.both(body)

    def test_wait_for_all(self):
        """MSG_WAITALL gives what is there when no more can come, or when the call may not wait."""

        def body(one, two):
            one.send(b"abc")
            seen = [two.recv(2, socket.MSG_WAITALL), two.recv(9, socket.MSG_WAITALL)]
            two.setblocking(True)
            one.send(b"abcdef")
            one.shutdown(socket.SHUT_WR)
            buffer = bytearray(2)
            return [*seen, two.recv_into(buffer, 0, socket.MSG_WAITALL), two.recvfrom(2, socket.MSG_WAITALL),
                    two.recv(9, socket.MSG_WAITALL), two.recv(9, socket.MSG_WAITALL)]

        self.each(body)

    def test_any_buffer(self):
        """mmaps and arrays are sent and filled like bytes."""

        def body(one, two):
            with mmap.mmap(-1, 8) as pages:
                pages[:] = b"mmapmmap"
                sent = one.send(pages)
                seen = [sent, one.sendto(pages, ("127.0.0.1", 9)) if one.family == socket.AF_INET else 0]
                seen.append(two.recv_into(pages, 4))
                return [*seen, bytes(pages), two.recv(99)]

        self.each(body)

    def test_dup(self):
        """Two sockets of one connection have their own numbers and timeouts; it ends with the second."""

        def body(one, two):
            one.settimeout(7)
            twin = one.dup()
            seen = [twin.fileno() != one.fileno(), twin.gettimeout(), twin.family, twin.type, twin.proto]
            one.close()
            twin.send(b"alive")
            seen += [two.recv(9), outcome(two.recv, 9), outcome(one.dup)]
            twin.close()
            return [*seen, two.recv(9)]

        self.each(body)

    def test_numbers_that_are_shared(self):
        """fromfd() and os.dup() share a connection; whether a call waits is a matter of the connection."""

        def body(one, two):
            third = socket.fromfd(one.fileno(), one.family, one.type)
            fourth = socket.socket(fileno=os.dup(one.fileno()))
            seen = [os.get_blocking(sock.fileno()) for sock in (one, third, fourth)]
            os.set_blocking(fourth.fileno(), False)
            seen += [os.get_blocking(one.fileno()), third.gettimeout(), outcome(third.recv, 1), fourth.proto]
            seen.append(stat.S_ISSOCK(os.fstat(third.fileno()).st_mode))
            one.close()
            third.close()
            fourth.send(b"x")
            os.close(fourth.fileno())
            seen += [two.recv(9), two.recv(9), outcome(fourth.recv, 1), outcome(fourth.close)]
            return seen

        self.each(body)

    def test_closing_a_number(self):
        """socket.close() ends a connection behind the back of its socket, who finds a bad descriptor."""

        def body(one, two):
            number = one.detach()
            socket.close(number)
            return two.recv(1), outcome(socket.close, number), outcome(os.fstat, number), outcome(os.dup, number)

        self.each(body)

    def test_bytes_that_wait(self):
        """FIONREAD counts the bytes that wait; FIONBIO makes calls return at once."""

        def body(one, two):
            one.send(b"abcde")
            counted = fcntl.ioctl(two, termios.FIONREAD, bytes(4))
            buffer = array.array("i", [0])
            same = fcntl.ioctl(two.fileno(), termios.FIONREAD, buffer)
            two.setblocking(True)
            fcntl.ioctl(two, termios.FIONBIO, struct.pack("i", 1))
            return counted, same, buffer[0], os.get_blocking(two.fileno()), two.recv(9), outcome(two.recv, 1)

        self.each(body)

    def test_requests_that_are_refused(self):
        """An unknown request is ENOTTY, a number no place for an answer, and nothing waits at a listener."""

        def body(one, two):
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                return (outcome(fcntl.ioctl, two, 0x1234, bytes(4)), outcome(fcntl.ioctl, two, termios.FIONREAD, 0),
                        outcome(fcntl.ioctl, listener, termios.FIONREAD, bytes(4)))

        self.each(body)

    def test_inheritable_by_number(self):
        """Whether a child inherits it is the same asked of the socket and of its number."""

        def body(one, two):
            one.set_inheritable(True)
            return os.get_inheritable(one.fileno()), os.set_inheritable(one.fileno(), False), one.get_inheritable()

        self.each(body)

    def test_files(self):
        """makefile() in every mode: what is read and written, and what is refused."""

        def body(one, two):
            seen = []
            for mode, options in (
                ("r", {}), ("rb", {}), ("rb", {"buffering": 0}), ("w", {}), ("wb", {}), ("wb", {"buffering": 0}),
                ("rwb", {}), ("rw", {"newline": "\n"}), ("r", {"buffering": 0}), ("a", {}), ("x", {}), ("", {}),
            ):
                def use(mode=mode, options=options):
                    with one.makefile(mode, **options) as file:
                        return file.mode, file.readable(), file.writable(), file.seekable(), type(file).__name__

                seen.append((mode, outcome(use)))
            one.send(b"line\nrest")
            with two.makefile("rb", buffering=0) as raw:
                seen += [raw.readinto(bytearray(5)), raw.name == two.fileno(), raw.read(99), raw.read(1)]
            with two.makefile("rb") as file:
                two.settimeout(0.001)
                seen.append(outcome(file.read, 1) if one.family is None else "waits")
            return seen

        self.each(body)

    def test_sendfile(self):
        """sendfile() sends a regular file from an offset, and moves its position only if something went."""

        def body(one, two):
            seen = []
            with tempfile.TemporaryFile() as file:
                file.write(b"0123456789")
                file.flush()
                for blocking, args in (
                    (True, ()), (True, (3,)), (True, (3, 4)), (True, (99,)), (True, (0, 0)), (True, (-1,)),
                    (True, (0, "x")), (False, ()),
                ):
                    one.setblocking(blocking)
                    file.seek(1)
                    seen.append((outcome(one.sendfile, file, *args), file.tell(), outcome(two.recv, 99)))
            one.setblocking(True)
            memory = io.BytesIO(b"0123456789")
            seen += [one.sendfile(memory, 4), memory.tell(), two.recv(99), outcome(one.sendfile, io.StringIO("x"))]
            return seen

        self.each(body)

    @unittest.skipUnless(hasattr(socket.socket, "sendmsg_afalg"), "a call of Linux alone")
    def test_afalg(self):
        """What is for the kernel's ciphers alone is refused by any other socket."""
        self.each(lambda one, two: outcome(one.sendmsg_afalg, op=0))


class CapacityTest(World):
    def test_partial(self):
        """Each way of sending takes what there is room for, to the byte; the next one is EAGAIN."""
        for send in (
            lambda sock: sock.send(b"datadata"),
            lambda sock: sock.sendmsg([b"data", b"", b"da", b"ta", b"more"]),
            lambda sock: sock.sendmsg([b"dat", b"adatadata"]),
        ):
            one, two = self.pair(7)
            self.assertEqual((send(one), outcome(send, one), two.recv(99)), (7, "EAGAIN", b"datadat"))
            self.assertEqual((one.send(b"x"), one.end.room()), (1, 6))

    def test_sendall(self):
        """A non-blocking sendall() that does not fit is EAGAIN when it has sent what did; an exact fit is well."""
        one, two = self.pair(4)
        self.assertEqual((outcome(one.sendall, b"data"), two.recv(9)), (None, b"data"))
        self.assertEqual((outcome(one.sendall, b"datax"), two.recv(9)), ("EAGAIN", b"data"))

    def test_whole_bytes_are_handed_over(self):
        """Bytes that are sent whole and read whole are the same object; what can change is copied when it is sent."""
        one, two = self.pair(1000)
        data = bytes(1000)
        for send in (one.send, lambda data: one.sendmsg([data]), lambda data: one.sendmsg([data, b"more"])):
            send(data)
            self.assertTrue(two.recv(1000) is data)
        buffer = bytearray(b"abcd")
        for send in (one.send, lambda data: one.sendmsg([data]), lambda data: one.sendmsg([b"", memoryview(data)])):
            send(buffer)
            buffer[:] = b"wxyz"
            self.assertEqual(two.recv(9), b"abcd")
            buffer[:] = b"abcd"
            buffer.append(0)  # BufferError where somebody still looks at it
            del buffer[4:]

    def test_any_sends_and_reads(self):
        """Random sends and reads of any size, whole and in part, keep every byte and its place."""
        sends = (
            (lambda sock, data: sock.send(data), 1),
            (lambda sock, data: sock.send(bytearray(data)), 1),
            (lambda sock, data: sock.send(memoryview(data)), 1),
            (lambda sock, data: sock.sendmsg([data, data, bytearray(data)]), 3),
            (lambda sock, data: sock.sendmsg([bytearray(data), data]), 2),
        )
        for seed in range(60):
            choose = random.Random(seed)
            one, two = self.pair(40)
            held = bytearray()
            for step in range(60):
                with self.subTest(seed=seed, step=step):
                    if choose.random() < 0.5:
                        data = bytes((step + index) % 256 for index in range(choose.randrange(30)))
                        send, times = choose.choice(sends)
                        room = 40 - len(held)
                        answer = "EAGAIN" if data and not room else min(len(data) * times, room)
                        self.assertEqual(outcome(send, one, data), answer)
                        held += (data * times)[:room]
                    else:
                        size = choose.choice((1, 5, 20, 40, 100))
                        peeked = outcome(two.recv, size, socket.MSG_PEEK)
                        received = outcome(two.recv, size) if choose.random() < 0.5 else self.recv_into(two, size)
                        answer = bytes(held[:size]) or "EAGAIN"
                        self.assertEqual((peeked, received), (answer, answer))
                        del held[:size]

    def recv_into(self, sock, size):
        buffer = bytearray(size)
        received = outcome(sock.recv_into, buffer)
        return received if isinstance(received, str) else bytes(buffer[:received])


class BlockingTest(World):
    def test_would_block(self):
        """A blocking call that would wait says so, at which time, and names the call to await instead."""
        listener, client, _ = self.connection()
        full, _ = self.pair(1)
        full.send(b"x")
        fresh = VirtualSocket.on(self.loop.world, socket.AF_INET)
        self.addCleanup(fresh.close)
        listener.listen(0)
        held = VirtualSocket.on(self.loop.world, socket.AF_INET)
        self.addCleanup(held.close)
        held.connect_ex(("127.0.0.1", 80))
        for sock in (listener, client, full, fresh):
            sock.settimeout(None)
        calls = {
            "recv": (client.recv, 1),
            "recv_into": (client.recv_into, bytearray(1)),
            "send": (full.send, b"x"),
            "sendall": (full.sendall, b"x"),
            "sendmsg": (full.sendmsg, [b"x"]),
            "connect": (fresh.connect, ("127.0.0.1", 80)),
        }
        awaited = {"recv": "recv", "recv_into": "recv_into", "connect": "connect"}
        for name, (call, *args) in calls.items():
            with (
                self.subTest(name),
                self.assertRaisesRegex(
                    SolipsismError,
                    rf"^{name}\(\) on <VirtualSocket .*> would block its thread at t=0\.0, and virtual time with it: "
                    rf"call setblocking\(False\) and await loop\.sock_{awaited.get(name, 'sendall')}\(\)",
                ),
            ):
                call(*args)
        with VirtualSocket.on(self.loop.world, socket.AF_INET) as idle:
            idle.listen()
            idle.setblocking(True)
            with self.assertRaisesRegex(SolipsismError, r"accept\(\) on .* loop\.sock_accept\(\)"):
                idle.accept()

    def test_would_not_block(self):
        """A blocking call that need not wait works: connect, accept, send and receive in one thread."""

        def body():
            with (
                socket.create_server(("127.0.0.1", 0)) as listener,
                socket.create_connection(listener.getsockname()) as client,
                listener.accept()[0] as server,
            ):
                client.sendall(b"hello")
                return (
                    server.recv(9),
                    client.getpeername() == listener.getsockname(),
                    server.getpeername() == client.getsockname(),
                )

        self.both(body)

    def test_refused(self):
        """A blocking connect to nobody is refused at once, by both of its names."""

        def body():
            with socket.socket() as one, socket.socket() as two, socket.socket() as nobody:
                nobody.bind(("127.0.0.1", 0))
                return outcome(one.connect, nobody.getsockname()), two.connect_ex(nobody.getsockname())

        self.both(body)

    def test_dont_wait(self):
        """MSG_DONTWAIT makes one call of a blocking socket give EAGAIN."""

        def body():
            one, two = socket.socketpair()
            with one, two:
                return (
                    outcome(one.recv, 1, socket.MSG_DONTWAIT),
                    outcome(one.recv_into, bytearray(1), 0, socket.MSG_DONTWAIT),
                    outcome(lambda: [one.send(bytes(1 << 16), socket.MSG_DONTWAIT) for _ in range(10_000)]),
                )

        self.both(body)

    def test_no_port_left(self):
        """connect_ex() gives the errno that connect() raises also where no port of ours is left."""
        for port in range(32768, 60001):
            self.loop.kernel.network.tcp.bound[port] = []
        sock = VirtualSocket.on(self.loop.world, socket.AF_INET)
        self.addCleanup(sock.close)
        self.assertEqual(
            (sock.connect_ex(("127.0.0.1", 9)), outcome(sock.connect, ("127.0.0.1", 9))),
            (errno.EADDRNOTAVAIL, "EADDRNOTAVAIL"),
        )


class NamesTest(World):
    def test_host_names(self):
        """Names are looked up by bind and connect, in the family of the socket."""
        for family, loopback in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with (
                VirtualSocket.on(self.loop.world, family) as listener,
                VirtualSocket.on(self.loop.world, family) as client,
            ):
                listener.bind(("localhost", 0))
                listener.listen()
                client.connect_ex(("localhost", listener.getsockname()[1]))
                with self.subTest(loopback):
                    self.assertEqual(
                        (listener.getsockname()[0], client.getpeername()[:2]), (loopback, listener.getsockname()[:2])
                    )

    def test_mapped(self):
        """An IPv4 client of a listener on `::` is shown as a mapped address there, and both ends agree on the ports."""

        def body():
            with socket.socket(socket.AF_INET6) as listener:
                listener.bind(("::", 0))
                listener.listen()
                port = listener.getsockname()[1]
                with socket.create_connection(("127.0.0.1", port)) as client:
                    server, address = listener.accept()
                    with server:
                        return (
                            server.getsockname() == ("::ffff:127.0.0.1", port, 0, 0),
                            address == server.getpeername(),
                            address == ("::ffff:127.0.0.1", client.getsockname()[1], 0, 0),
                            server.family,
                        )

        self.both(body)

    def test_accepted_take_after_the_listener(self):
        """An accepted socket has the options of its listener."""

        def body():
            with socket.socket() as listener:
                listener.setsockopt(*REUSE, 1)
                listener.bind(("127.0.0.1", 0))
                listener.listen()
                with socket.create_connection(listener.getsockname()), listener.accept()[0] as server:
                    return server.getsockopt(*REUSE), listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)

        self.both(body)


class WorldsTest(World):
    def test_foreign_socket(self):
        """A socket of one loop is refused by another, where it would wait and where it gives its number."""
        other = SolipsistEventLoop()
        self.addCleanup(other.close)
        one, _ = self.pair()

        async def use():
            with self.assertRaisesRegex(SolipsismError, "belongs to another event loop: sockets cannot be shared"):
                await asyncio.get_running_loop().sock_recv(one, 1)
            with self.assertRaisesRegex(SolipsismError, "belongs to another event loop"):
                asyncio.get_running_loop().add_reader(one, print)
            with self.assertRaisesRegex(SolipsismError, "belongs to another event loop"):
                one.fileno()

        other.run_until_complete(use())

    def test_made_outside_any_loop(self):
        """A pair made outside any loop joins the first loop that it is used with, both ends of it, and no other."""
        one, two = socketpair()
        self.assertIs(one.world, two.world)
        one.join(two.world)
        one.send(b"early")

        async def read(sock):
            return await asyncio.get_running_loop().sock_recv(sock, 9)

        self.assertEqual(self.loop.run_until_complete(read(two)), b"early")
        self.assertGreaterEqual(self.loop.run_until_complete(self.number(one)), 2**30)
        self.assertIs(one.world, self.loop.world)
        other = SolipsistEventLoop()
        self.addCleanup(other.close)
        with self.assertRaisesRegex(SolipsismError, "belongs to another event loop"):
            other.run_until_complete(self.number(two))
        one.close()
        two.close()

    async def number(self, sock):
        return sock.fileno()

    def test_made_by_hand_outside(self):
        """A VirtualSocket made outside any loop is one of a world of its own, until a loop takes it in."""
        sock = VirtualSocket()
        self.addCleanup(sock.close)
        self.assertTrue(sock.world.loose)
        self.loop.run_until_complete(self.number(sock))
        self.assertIs(sock.world, self.loop.world)

    def test_bound_outside(self):
        """A socket that was bound outside any loop has an address of no loop: it cannot come in."""
        sock = VirtualSocket()
        self.addCleanup(sock.close)
        sock.bind(("127.0.0.1", 80))
        with self.assertRaisesRegex(SolipsismError, "was bound outside any loop"):
            self.loop.run_until_complete(self.number(sock))

    def test_socketpair_inside(self):
        """A pair made while a loop runs is the loop's at once; its capacity is exact in each direction."""

        async def make():
            one, two = socketpair((3, 1))
            with one, two:
                self.assertIs(one.world, self.loop.world)
                return one.send(b"data"), two.send(b"data"), one.gettimeout()

        self.assertEqual(self.loop.run_until_complete(make()), (3, 1, 0.0))
        with self.assertRaisesRegex(ValueError, "a number of bytes from 1 up"):
            socketpair(0)

    def test_stream_pairs(self):
        """Two stream pairs talk to each other, through asyncio's own streams."""

        async def talk():
            (reader, writer), (reader2, writer2) = await stream_pairs()
            writer.write(b"there")
            writer2.write(b"back")
            seen = await reader2.readexactly(5), await reader.readexactly(4)
            for one in (writer, writer2):
                one.close()
                await one.wait_closed()
            return seen

        self.assertEqual(self.loop.run_until_complete(talk()), (b"there", b"back"))


    def test_stream_pairs_cancelled_half_way(self):
        """Cancelled after any number of turns, stream_pairs() leaves nothing open."""

        async def cancel_after(turns):
            task = asyncio.create_task(stream_pairs())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await asyncio.get_running_loop().settle()
            if not task.cancelled():
                for _, writer in task.result():
                    writer.close()
            await asyncio.get_running_loop().settle()

        for turns in range(8):
            with self.subTest(turns=turns):
                self.loop.run_until_complete(cancel_after(turns))
                self.assertEqual((self.loop.kernel.files, self.loop.kernel.abandoned), ({}, []))

    def test_stream_pairs_of_another_world(self):
        """stream_pairs() on a loop without a virtual world says so."""
        wrong = self.assertRaisesRegex(SolipsismError, "run it on a SolipsistEventLoop")
        with contextlib.closing(asyncio.new_event_loop()) as loop, wrong:
            loop.run_until_complete(stream_pairs())


class GarbageTest(World):
    def test_unclosed(self):
        """An open socket that becomes garbage warns once, with its ends, and is closed: the peer sees the end."""
        one, two = self.pair()
        self.doCleanups_of(one)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del one
            gc.collect()
        self.assertEqual(
            [(warning.category, str(warning.message)[:22]) for warning in caught],
            [(UnclosedWarning, "unclosed <VirtualSocke")],
        )
        self.assertEqual(two.recv(1), b"")
        self.assertEqual([end.kind for end in self.loop.kernel.abandoned], ["stream"])

    def doCleanups_of(self, sock):
        """Forget the clean-ups, which hold the sockets."""
        self._cleanups = [entry for entry in self._cleanups if getattr(entry[0], "__self__", None) is not sock]

    def test_warning_as_error(self):
        """When the warning is an error it cannot be raised from a destructor; the socket is closed all the same."""
        one, two = self.pair()
        self.doCleanups_of(one)
        with unittest.mock.patch("sys.unraisablehook") as hook, warnings.catch_warnings():
            warnings.simplefilter("error")
            del one
            gc.collect()
        self.assertEqual(hook.call_args.args[0].exc_type, UnclosedWarning)
        self.assertEqual(two.recv(1), b"")

    def test_closed(self):
        """A closed socket, a detached one, and one that never came to be become garbage in silence."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            one, two = self.pair()
            one.close()
            self.loop.kernel.close(self.loop.kernel.files[two.detach()])
            self.doCleanups_of(one)
            self.doCleanups_of(two)
            with sealed(self.loop), self.assertRaises(SolipsismError):
                socket.socket(socket.AF_INET, socket.SOCK_RAW)
            gone = weakref.ref(one)
            del one, two
            gc.collect()
        self.assertIsNone(gone())

    def test_after_the_loop(self):
        """A loop that closes ends what is open in its world without a word; the sockets are garbage in silence then."""
        one, two = self.pair()
        self.doCleanups_of(one)
        self.doCleanups_of(two)
        self.loop.close()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del one, two
            gc.collect()
        self.assertEqual(self.loop.kernel.abandoned, [])


class TellingTest(World):
    def test_repr(self):
        """A socket says its number, its ends, its state and what waits; a closed one that it is closed."""
        _, client, _ = self.connection()
        self.assertRegex(
            repr(client),
            r"^<VirtualSocket fd=\d+ <stream 127\.0\.0\.1:32768 > 127\.0\.0\.1:80 established 0 of \d+ bytes",
        )
        client.close()
        self.assertEqual(repr(client), "<VirtualSocket [closed]>")

    def test_is_a_socket(self):
        """It is a `socket.socket` for everybody who asks."""
        one, _ = self.pair()
        self.assertIsInstance(one, socket.socket)
        self.assertIs(type(one), VirtualSocket)

    def test_place(self):
        """The end knows the line that made it."""

        async def make():
            one, two = socket.socketpair()
            with socket.socket() as sock, one, two:
                return sock.end.place, one.end.place

        places = self.loop.run_until_complete(make())
        self.assertEqual([place.code.co_name for place in places], ["make", "make"])


if __name__ == "__main__":
    unittest.main()
