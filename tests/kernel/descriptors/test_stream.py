"""Byte streams alone: the tables against what Linux answers, and exact capacities.

The contracts play most of this on the real loopback too; here stand the tables, and what only this world has.
"""

import errno
import random
import select
import socket
import struct
import unittest
import unittest.mock

from solipsism_unittest.kernel import DEFAULT_CAPACITY, READABLE, WRITABLE, Kernel
from solipsism_unittest.kernel.descriptors import connection, stream, transitions
from solipsism_unittest.kernel.descriptors.transitions import TRANSITIONS, UNIX_TRANSITIONS

READY = {0: "-", READABLE: "r", WRITABLE: "w", READABLE | WRITABLE: "rw"}


def answer(call, *args):
    """What a call gives: its result, or the name of its errno."""
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode[error.errno]


class Ends:
    """A TCP connection or a pair, and words that do something to one of its ends."""

    def __init__(self, family=socket.AF_INET, capacity=None):
        self.kernel = Kernel()
        self.own, self.peer = self.kernel.pair(capacity, None, family)

    def play(self, script):
        for word in script.split():
            end, verb = word.split(".")
            self.do(getattr(self, end), verb)
        return self

    def do(self, end, verb):
        if verb == "send":
            return answer(end.send, memoryview(b"data"))
        if verb == "linger":
            end.linger_zero = True
            return None
        calls = {
            "recv": (end.recv, 2),
            "read": (end.recv, 100),
            "peek": (end.peek, 100),
            "error": (end.take_error,),
            "rd": (end.shutdown, 0),
            "wr": (end.shutdown, 1),
            "rdwr": (end.shutdown, 2),
            "close": (self.kernel.close, end),
        }
        return answer(*calls[verb])

    def twice(self, verb):
        return self.do(self.own, verb), self.do(self.own, verb)


RESET = ("rw", ("ECONNRESET", b""), ("ECONNRESET", "EPIPE"), ("ENOTCONN", "ENOTCONN"), (errno.ECONNRESET, 0))
RESET_AFTER_FIN = ("rw", (b"", b""), ("EPIPE", "EPIPE"), ("ENOTCONN", "ENOTCONN"), (errno.EPIPE, 0))
OVER = ("rw", (b"", b""), ("EPIPE", "EPIPE"), ("ENOTCONN", "ENOTCONN"), (0, 0))
# How the state came about -> readiness; then recv(2), send, shutdown(SHUT_WR) and SO_ERROR, each twice on a fresh copy.
TCP = {
    "": ("w", ("EAGAIN", "EAGAIN"), (4, 4), (None, None), (0, 0)),
    "peer.send": ("rw", (b"da", b"ta"), (4, 4), (None, None), (0, 0)),
    "own.wr": ("w", ("EAGAIN", "EAGAIN"), ("EPIPE", "EPIPE"), (None, None), (0, 0)),
    "own.rd": ("rw", (b"", b""), (4, 4), (None, None), (0, 0)),
    "peer.send own.rd": ("rw", (b"da", b"ta"), (4, 4), (None, None), (0, 0)),
    "own.rd peer.send": ("rw", (b"da", b"ta"), (4, 4), (None, None), (0, 0)),
    "own.rdwr": ("rw", (b"", b""), ("EPIPE", "EPIPE"), (None, None), (0, 0)),
    "peer.wr": ("rw", (b"", b""), (4, 4), (None, "ENOTCONN"), (0, 0)),
    "peer.send peer.wr": ("rw", (b"da", b"ta"), (4, 4), (None, "ENOTCONN"), (0, 0)),
    "peer.rd": ("w", ("EAGAIN", "EAGAIN"), (4, 4), (None, None), (0, 0)),
    "peer.rdwr": ("rw", (b"", b""), (4, "EPIPE"), (None, "ENOTCONN"), (0, 0)),
    "peer.close": ("rw", (b"", b""), (4, "EPIPE"), (None, "ENOTCONN"), (0, 0)),
    "peer.send peer.close": ("rw", (b"da", b"ta"), (4, "EPIPE"), (None, "ENOTCONN"), (0, 0)),
    "own.wr peer.wr": OVER,
    "peer.wr own.wr": OVER,
    "own.wr peer.close": OVER,
    "peer.close own.wr": OVER,
    "peer.wr own.send own.wr peer.close": OVER,
    "own.wr peer.send peer.close": ("rw", (b"da", b"ta"), *OVER[2:]),
    "own.send peer.close": RESET,
    "peer.linger peer.close": RESET,
    "own.wr peer.linger peer.close": RESET,
    "own.rdwr peer.send": RESET,
    "peer.send peer.linger peer.close": ("rw", (b"da", b"ta"), *RESET[2:]),
    "peer.wr peer.linger peer.close": RESET_AFTER_FIN,
    "peer.close own.send": RESET_AFTER_FIN,
    "peer.rdwr own.send": RESET_AFTER_FIN,
    "peer.linger peer.close own.recv": OVER,
    "peer.linger peer.close own.send": OVER,
    "own.close": ("-", ("EBADF", "EBADF"), ("EBADF", "EBADF"), ("ENOTCONN", "ENOTCONN"), (0, 0)),
}
UNIX_OVER = ("rw", (b"", b""), ("EPIPE", "EPIPE"), (None, None), (0, 0))
UNIX_RESET = ("rw", ("ECONNRESET", b""), ("EPIPE", "EPIPE"), (None, None), (errno.ECONNRESET, 0))
UNIX = {
    "": TCP[""],
    "own.wr": TCP["own.wr"],
    "own.rd": TCP["own.rd"],
    "own.rdwr": UNIX_OVER,
    "peer.wr": ("rw", (b"", b""), (4, 4), (None, None), (0, 0)),
    "peer.rd": ("w", ("EAGAIN", "EAGAIN"), ("EPIPE", "EPIPE"), (None, None), (0, 0)),
    "own.rd peer.send": TCP["own.rd"],
    "peer.close": UNIX_OVER,
    "peer.send peer.close": ("rw", (b"da", b"ta"), *UNIX_OVER[2:]),
    "own.wr peer.wr": UNIX_OVER,
    "peer.linger peer.close": UNIX_OVER,
    "own.send peer.close": UNIX_RESET,
    "own.send peer.wr peer.close": UNIX_RESET,
    "peer.send own.send peer.close": ("rw", (b"da", b"ta"), *UNIX_RESET[2:]),
    "own.send peer.close own.send": UNIX_RESET,
    "own.send own.wr peer.wr peer.close": UNIX_RESET,
}


class TablesTest(unittest.TestCase):
    maxDiff = None

    def check(self, family, table):
        for script, (ready, *expected) in table.items():
            fresh = [Ends(family).play(script) for _ in range(4)]
            seen = [ends.twice(verb) for ends, verb in zip(fresh, ("recv", "send", "wr", "error"), strict=True)]
            with self.subTest(script):
                self.assertEqual(READY[Ends(family).play(script).own.poll()], ready)
                self.assertEqual(seen, expected)

    def test_tcp(self):
        """In every state of a TCP end each call answers as Linux does, the first and the second time."""
        self.check(socket.AF_INET, TCP)

    def test_unix(self):
        """In every state of one end of a socketpair each call answers as Linux does, the first and the second time."""
        self.check(socket.AF_UNIX, UNIX)

    def test_walks_on_a_real_pair(self):
        """Three hundred walks of up to twelve steps over a real socketpair and a virtual one see the same."""
        for seed in range(300):
            rng = random.Random(seed)
            walk = [(rng.choice(("own", "peer")), rng.choice(WALK)) for _ in range(rng.randint(2, 12))]
            with self.subTest(seed=seed, walk=walk):
                self.assertEqual(virtual_walk(walk), real_walk(walk))

    def test_no_state_without_a_way_in_and_out(self):
        """Every state can be reached, all but the last can be left, and each has an answer in every table."""
        for table in (TRANSITIONS, UNIX_TRANSITIONS):
            sources, targets = {state for state, _ in table}, set(table.values())
            self.assertEqual(sources - targets, set())
            self.assertEqual(targets - sources, {transitions.CLOSED})
            for answers in (transitions.ON_EMPTY_RECV, transitions.ON_SEND, transitions.ALWAYS_READY):
                self.assertEqual(set(answers), sources | targets)

    def test_every_transition_happens(self):
        """Each row of the tables is taken by some program: none is there for nothing."""
        taken = set()

        class Watched(dict):
            def __getitem__(self, key):
                taken.add(key)
                return super().__getitem__(key)

        with (
            unittest.mock.patch.object(connection, "TRANSITIONS", Watched(TRANSITIONS)),
            unittest.mock.patch.object(connection, "UNIX_TRANSITIONS", Watched(UNIX_TRANSITIONS)),
        ):
            for family in (socket.AF_INET, socket.AF_UNIX):
                for seed in range(1000):
                    self.wander(random.Random(seed), family)
            self.end_alone()
            self.end_silently()
        self.assertEqual(set(UNIX_TRANSITIONS) - taken, set())

    def end_alone(self):
        """Connect to itself, end, and begin anew: hardly found by wandering."""
        kernel = Ends(socket.AF_INET).kernel
        end = kernel.stream(socket.AF_INET, None)
        kernel.network.bind(end, "127.0.0.1", 0)
        kernel.network.connect(end, *end.local)
        end.shutdown(socket.SHUT_WR)
        self.assertEqual(end.retry(), errno.ECONNABORTED)

    def end_silently(self):
        """Connect two UNIX sockets of which one was shut down before; the other one ends in two steps."""
        kernel = Kernel()
        listener, client = (kernel.stream(socket.AF_UNIX, None) for _ in range(2))
        kernel.paths.bind(listener, b"\0name")
        kernel.paths.listen(listener, 1)
        client.shutdown(socket.SHUT_WR)
        kernel.paths.connect(client, b"\0name")
        server = listener.accept()
        server.shutdown(socket.SHUT_RD)
        server.shutdown(socket.SHUT_WR)
        server.close()
        self.assertEqual(client.state, "silent_end")
        for ending, state in (("wr", "finished"), ("close", "closed"), ("reset", "broken")):
            ends = Ends()
            client, listener = (ends.kernel.stream(socket.AF_INET, None) for _ in range(2))
            ends.kernel.network.listen(listener, 1)
            self.assertEqual(ends.do(client, "wr"), "ENOTCONN")
            ends.kernel.network.connect(client, *listener.local)
            server = listener.accept()
            ends.do(server, "wr")
            if ending == "reset":
                server.abort()
            else:
                ends.do(client, ending)
            self.assertEqual(client.state, state)

    def wander(self, rng, family):
        ends = Ends(family)
        every = [ends.own, ends.peer]
        if family == socket.AF_INET:
            every = [ends.kernel.stream(family, None) for _ in range(4)]
            ends.kernel.network.listen(every[0], 0)
        for _ in range(rng.randint(4, 16)):
            end = rng.choice(every)
            verb = rng.choice((*WALK, "listen", "connect", "accept", "retry"))
            if verb in WALK:
                ends.do(end, verb)
            elif verb == "accept" and isinstance(accepted := answer(end.accept), stream.Stream):
                every.append(accepted)
            elif verb == "retry" and end.is_tcp and (end.state, transitions.RETRY) in TRANSITIONS:
                end.retry()
            elif verb == "listen" and end.is_tcp:
                answer(ends.kernel.network.listen, end, 0)
            elif verb == "connect" and end.is_tcp and end.state is transitions.FRESH:
                answer(ends.kernel.network.connect, end, "127.0.0.1", 60001)


WALK = ("send", "recv", "read", "peek", "rd", "wr", "rdwr", "close", "linger", "error")


def virtual_walk(walk):
    ends = Ends(socket.AF_UNIX)
    seen = []
    for name, verb in walk:
        end = getattr(ends, name)
        if end.state is transitions.CLOSED:
            continue
        seen.append(
            (
                verb,
                ends.do(end, verb),
                *(one.state is transitions.CLOSED or READY[one.poll()] for one in (ends.own, ends.peer)),
            )
        )
    return seen


def real_walk(walk):
    own, peer = socket.socketpair()
    own.setblocking(False)
    peer.setblocking(False)
    seen = []
    with own, peer:
        for name, verb in walk:
            sock = own if name == "own" else peer
            if sock.fileno() < 0:
                continue
            calls = {
                "send": (sock.send, b"data"),
                "recv": (sock.recv, 2),
                "read": (sock.recv, 100),
                "peek": (sock.recv, 100, socket.MSG_PEEK),
                "rd": (sock.shutdown, 0),
                "wr": (sock.shutdown, 1),
                "rdwr": (sock.shutdown, 2),
                "close": (sock.close,),
                "linger": (sock.setsockopt, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)),
                "error": (sock.getsockopt, socket.SOL_SOCKET, socket.SO_ERROR),
            }
            seen.append((verb, answer(*calls[verb]), *(one.fileno() < 0 or real_readiness(one) for one in (own, peer))))
    return seen


def real_readiness(sock):
    readable, writable, _ = select.select([sock], [sock], [], 0)
    return ("r" if readable else "") + ("w" if writable else "") or "-"


class CapacityTest(unittest.TestCase):
    def test_partial_send(self):
        """A send takes what there is room for and says how much that was; the next is EAGAIN."""
        ends = Ends(capacity=5)
        self.assertEqual(
            [ends.do(ends.own, "send"), ends.do(ends.own, "send"), ends.do(ends.own, "send")], [4, 1, "EAGAIN"]
        )
        self.assertEqual((ends.peer.recv(100), ends.own.room()), (b"datad", 5))

    def test_exact(self):
        """One byte short of the capacity there is room for one byte, and at the capacity for none."""
        for family in (socket.AF_INET, socket.AF_UNIX):
            own = Ends(family, capacity=10).own
            with self.subTest(family=family):
                self.assertEqual((own.send(memoryview(bytes(9))), READY[own.poll()], own.room()), (9, "w", 1))
                self.assertEqual((own.send(memoryview(bytes(9))), READY[own.poll()], own.room()), (1, "-", 0))

    def test_each_direction(self):
        """The first number is what the first end may have under way, the second what the second may."""
        ends = Ends(capacity=(3, 1))
        self.assertEqual((ends.own.send(memoryview(b"data")), ends.peer.send(memoryview(b"data"))), (3, 1))

    def test_default(self):
        """Without a capacity a direction holds the default, and not one byte more."""
        self.assertEqual(Ends().own.send(memoryview(bytes(DEFAULT_CAPACITY + 1))), DEFAULT_CAPACITY)

    def test_room_comes_back(self):
        """Reading makes room at once, byte for byte, and tells who waits for it."""
        ends = Ends(capacity=4).play("own.send")
        ends.own.watch(WRITABLE)
        self.assertEqual(ends.kernel.ready(), [])
        ends.peer.recv(1)
        self.assertEqual((ends.kernel.ready(), ends.own.room()), ([(ends.own, WRITABLE)], 1))
        buffer = bytearray(2)
        self.assertEqual((ends.peer.recv_into(memoryview(buffer)), bytes(buffer), ends.own.room()), (2, b"at", 3))

    def test_full_and_ended(self):
        """A full TCP end that ended its direction is writable, for an EPIPE; a UNIX end when there is room again."""
        for family, ready in ((socket.AF_INET, "w"), (socket.AF_UNIX, "-")):
            ends = Ends(family, capacity=4).play("own.send own.wr")
            with self.subTest(family=family):
                self.assertEqual(READY[ends.own.poll()], ready)
                ends.play("peer.recv")
                self.assertEqual(READY[ends.own.poll()], "w")

    def test_coalescing(self):
        """Small writes arrive as one read, and a read may cut anywhere."""
        ends = Ends().play("own.send own.send own.send")
        self.assertEqual((ends.peer.recv(5), ends.peer.peek(3), ends.peer.recv(100)), (b"datad", b"ata", b"atadata"))

    def test_nothing_sent(self):
        """An empty send is 0 also when the buffer is full, and writes nothing down."""
        ends = Ends(capacity=4).play("own.send")
        before = len(ends.kernel.journal)
        self.assertEqual((ends.own.send(memoryview(b"")), len(ends.kernel.journal)), (0, before))

    def test_sent_bytes_are_a_copy(self):
        """Who changes a buffer after sending it does not change what arrives."""
        ends, data = Ends(), bytearray(b"data")
        ends.own.send(memoryview(data))
        data[:] = b"xxxx"
        self.assertEqual(ends.peer.recv(9), b"data")


class TellingTest(unittest.TestCase):
    def test_retry(self):
        """A failed end starts anew with nothing of the old connection; its error is said once, ECONNABORTED if told."""
        for told, expected in ((False, errno.ECONNRESET), (True, errno.ECONNABORTED)):
            ends = Ends().play("peer.send peer.linger peer.close")
            if told:
                ends.own.take_error()
            with self.subTest(told=told):
                self.assertEqual((ends.own.retry(), ends.own.state, len(ends.own.incoming)), (expected, "fresh", 0))
                self.assertEqual(ends.own.take_error(), 0)

    def test_bad_shutdown(self):
        """shutdown() knows three numbers."""
        for how in (3, -1):
            with self.subTest(how=how):
                self.assertEqual(answer(Ends().own.shutdown, how), "EINVAL")

    def test_not_joined(self):
        """To transmit without a peer would be a mistake of ours: an assertion that shows the end."""
        end = Kernel().stream(socket.AF_INET, None)
        with self.assertRaisesRegex(AssertionError, "a segment of an end that is not connected: data"):
            end.transmit(transitions.DATA, b"")
        self.assertEqual(end.room(), 0)

    def test_close_twice(self):
        """The second close does nothing, and the peer hears of one."""
        ends = Ends().play("own.close")
        before = len(ends.kernel.journal)
        ends.own.close()
        self.assertEqual(len(ends.kernel.journal), before)

    def test_journal(self):
        """Sizes, ends of streams and resets are written down with the end that they come from, bytes are not."""
        ends = Ends().play("own.send own.wr peer.close")
        self.assertEqual(
            [str(record) for record in ends.kernel.journal],
            ["t=0.0 send pair0 4 bytes", "t=0.0 fin pair0", "t=0.0 reset pair1"],
        )

    def test_repr(self):
        """An end says where it is, its state, and what waits at either end; a listener what waits to be accepted."""
        kernel = Kernel()
        listener, client = kernel.stream(socket.AF_INET, None), kernel.stream(socket.AF_INET, None)
        self.assertEqual(repr(client), "<stream unbound fresh>")
        kernel.network.bind(listener, "127.0.0.1", 80)
        kernel.network.listen(listener, 2)
        kernel.network.connect(client, "127.0.0.1", 80)
        client.send(memoryview(b"hello"))
        self.assertEqual(repr(listener), "<stream 127.0.0.1:80 listening 1 to accept (backlog 2)>")
        self.assertEqual(
            repr(client),
            "<stream 127.0.0.1:32768 > 127.0.0.1:80 established "
            f"0 of {DEFAULT_CAPACITY} bytes to read 5 of {DEFAULT_CAPACITY} bytes not read by the peer>",
        )
        self.assertEqual(
            repr(Ends(socket.AF_UNIX, 9).own), "<stream joined in memory established 0 of 9 bytes to read>"
        )
