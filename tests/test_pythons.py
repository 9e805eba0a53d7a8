"""What differs between the Pythons: each row says what the running one does on the real system."""

import asyncio
import errno
import gc
import os
import socket
import tempfile
import timeit
import unittest
from asyncio import _get_running_loop
from threading import get_ident

from solipsism_unittest import pythons
from tests import ROOT
from tests.house.test_import_law import PACKAGE


def outcome(call, *args):
    """What a call raises, class and words, or None."""
    try:
        call(*args)
    except Exception as error:
        return type(error), str(error)
    return None


class RowsTest(unittest.TestCase):
    def test_ports(self):
        """A bool is a port, or is refused."""
        taken = outcome(socket.getaddrinfo, "127.0.0.1", True, 0, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST) is None
        self.assertIs(pythons.PORTS_MAY_BE_SUBCLASSES, taken)

    def test_interfaces(self):
        """The error for an unknown interface has ENODEV, or no number."""
        with self.assertRaises(OSError) as caught:
            socket.if_nametoindex("nobody")
        self.assertEqual(caught.exception.errno, errno.ENODEV if pythons.NO_SUCH_INTERFACE else None)

    def test_setblocking(self):
        """A word is true, or no number."""
        with socket.socket() as sock:
            refused = outcome(sock.setblocking, "yes")
        self.assertEqual(pythons.SETBLOCKING_TAKES_NUMBERS, refused is not None)

    def test_cut_datagrams(self):
        """A datagram that is cut under MSG_TRUNC is an error, or not, whichever call takes it."""
        one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with one, other:
            for take, args in ((other.recv, ()), (other.recvfrom, ()), (other.recvmsg, (0,))):
                one.send(bytes(100))
                found = outcome(take, 10, *args, socket.MSG_TRUNC)
                with self.subTest(take.__name__):
                    self.assertEqual(found, pythons.CUT_DATAGRAM and (ValueError, pythons.CUT_DATAGRAM))

    def test_hashes_of_new_tasks(self):
        """A task is asked for its hash while it is made, or not."""
        asked = []

        class Task(asyncio.Task):
            def __hash__(self):
                asked.append(None)
                return 0

        async def main():
            task = Task(asyncio.sleep(0), loop=asyncio.get_running_loop())
            found = bool(asked)
            await task
            return found

        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            self.assertIs(runner.run(main()), pythons.NEW_TASKS_ARE_HASHED)

    def test_the_running_loop(self):
        """To ask for the running loop takes no longer than for the number of the thread, or a call of the system."""

        async def main():
            return [min(timeit.repeat(ask, number=1000, repeat=50)) for ask in (_get_running_loop, get_ident)]

        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            loop, thread = runner.run(main())
        self.assertIs(loop < 1.5 * thread, pythons.RUNNING_LOOP_IS_KNOWN, (loop, thread))

    def test_iterators(self):
        """What a `for` goes over has an iterator in the suspended frame, or is named as walked unseen."""

        def generator(things):
            for _ in things:
                yield

        for things in ([1, 2], (1, 2), "ab", b"ab", {1: 2, 3: 4}, range(2), {1, 2}, bytearray(2)):
            begun = generator(things)
            next(begun)
            seen = type(iter(things)) in map(type, gc.get_referents(begun))
            with self.subTest(type(things)):
                self.assertEqual(seen, type(things) not in pythons.WALKED_UNSEEN)

    def test_judges(self):
        """What a judge raises is what the real call raises; what it lets pass is for the system to say."""
        with socket.socket() as sock, tempfile.TemporaryFile() as file:
            for args in ((), (1,), (None,), (1.5,), (2**31,), (None, 4)):
                args = (socket.SOL_SOCKET, socket.SO_REUSEADDR, *args)
                real = outcome(sock.setsockopt, *args)
                expected = None if real and real[0] is OSError else real
                with self.subTest(args=args):
                    self.assertEqual(outcome(pythons.judge_option, *args), expected)
            for count in (-1, 0, 5):
                real = outcome(os.sendfile, sock.fileno(), file.fileno(), 0, count)
                with self.subTest(count=count):
                    self.assertEqual(outcome(pythons.judge_count, count), None if real and real[0] is OSError else real)
        for index in (-1, 0, 1, 2**31, 2**64, "1"):
            real = outcome(socket.if_indextoname, index)
            with self.subTest(index=index):
                self.assertEqual(outcome(pythons.judge_interface, index), None if real and real[0] is OSError else real)


class OneTableTest(unittest.TestCase):
    def test_nobody_else_asks_for_the_version(self):
        """No other file of the package looks at the version of Python."""
        for path in (ROOT / PACKAGE).rglob("*.py"):
            if path.name != "pythons.py":
                with self.subTest(path.name):
                    self.assertNotIn("version_info", path.read_text())
