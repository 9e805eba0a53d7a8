"""select, poll, epoll and selectors for virtual descriptors, against the real ones."""

import asyncio
import concurrent.futures
import contextlib
import errno
import os
import select
import selectors
import socket
import struct
import threading
import unittest

from solipsism_unittest import sealed
from solipsism_unittest.errors import SolipsismError
from solipsism_unittest.stdlib.files import polling
from tests.worlds import World

RDHUP = select.POLLRDHUP
EVERYTHING = select.POLLIN | select.POLLOUT | select.POLLPRI | RDHUP
RESET = struct.pack("ii", 1, 0)


def outcome(call, *args):
    """What a call gives, an errno by name, or the class of any other error."""
    try:
        return call(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return type(error).__name__


def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    client.setblocking(False)
    server.setblocking(False)
    return client, server


def pair():
    one, two = socket.socketpair()
    one.setblocking(False)
    two.setblocking(False)
    return one, two


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()


# What is done to the two ends of a connection, before each is looked at.
STATES = {
    "idle": [],
    "data": [lambda one, two: two.send(b"x")],
    "peer ended": [lambda one, two: two.shutdown(socket.SHUT_WR)],
    "data, then the end": [lambda one, two: two.send(b"x"), lambda one, two: two.shutdown(socket.SHUT_WR)],
    "ended here": [lambda one, two: one.shutdown(socket.SHUT_WR)],
    "ended by both": [lambda one, two: one.shutdown(socket.SHUT_WR), lambda one, two: two.shutdown(socket.SHUT_WR)],
    "deaf here": [lambda one, two: one.shutdown(socket.SHUT_RD)],
    "deaf and ended here": [lambda one, two: one.shutdown(socket.SHUT_RDWR)],
    "peer closed": [lambda one, two: two.close()],
    "reset": [lambda one, two: reset(two)],
    "reset and read": [lambda one, two: reset(two), lambda one, two: outcome(one.recv, 1)],
}


class StatesTest(World):
    def looks(self, make, look):
        """What `look(sock)` sees of the first end in each state."""
        seen = {}
        for name, steps in STATES.items():
            one, two = make()
            with one, two:
                for step in steps:
                    step(one, two)
                seen[name] = look(one)
        return seen

    def test_poll(self):
        """poll() sees the same bits of real and virtual sockets in every state."""

        def look(sock):
            poll = select.poll()
            poll.register(sock, EVERYTHING)
            return [bits for _, bits in poll.poll(0)]

        self.both(lambda: [self.looks(make, look) for make in (connection, pair)])

    def test_epoll(self):
        """So does epoll."""

        def look(sock):
            with select.epoll() as epoll:
                epoll.register(sock.fileno(), EVERYTHING)
                return [bits for _, bits in epoll.poll(0)]

        self.both(lambda: [self.looks(make, look) for make in (connection, pair)])

    def test_select(self):
        """So does select()."""

        def look(sock):
            return [bool(found) for found in select.select([sock], [sock.fileno()], [sock], 0)]

        self.both(lambda: [self.looks(make, look) for make in (connection, pair)])

    def test_selectors(self):
        """So do the selectors over all of them."""
        kinds = [selectors.DefaultSelector, selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector]

        def look(sock):
            seen = []
            for kind in kinds:
                with kind() as selector:
                    selector.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, "data")
                    seen += [(key.fileobj is sock, key.data, events) for key, events in selector.select(0)]
            return seen

        self.both(lambda: [self.looks(make, look) for make in (connection, pair)])

    def test_before_a_connection(self):
        """A fresh socket hangs up; a listener is readable when somebody came; a refused client shows an error."""

        def look(sock):
            poll = select.poll()
            poll.register(sock, EVERYTHING)
            return [bits for _, bits in poll.poll(0)], [bool(found) for found in select.select([sock], [sock], [], 0)]

        def body():
            with socket.socket() as sock, socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as nobody:
                seen = [look(sock), look(listener)]
                nobody.bind(("127.0.0.1", 0))
                sock.setblocking(False)
                sock.connect_ex(nobody.getsockname())
                seen.append(look(sock))
                with socket.create_connection(listener.getsockname()):
                    return [*seen, look(listener)]

        self.both(body)


class ArgumentsTest(World):
    def test_select(self):
        """What select() takes for its lists and its timeout, and what it finds of closed sockets."""

        def body():
            one, two = pair()
            with one, two:
                seen = [outcome(select.select, *args) for args in (
                    ([one], [], [], -1), ([one], [], [], "x"), ([one, "x"], [], [], 0), (5, [], [], 0),
                    ([object()], [], [], 0), ((one,), {}, iter([]), 0), ([], [], [], 0),
                )]
                both = select.select([one], [two, one], [], None)
                seen.append((both[0], both[1] == [two, one]))
                number = one.fileno()
            return [*seen, outcome(select.select, [one], [], [], 0), outcome(select.select, [number], [], [], 0)]

        self.both(body)

    def test_poll(self):
        """What a poll object takes, and what it says of what is closed or was never registered."""

        def body():
            one, two = pair()
            with two:
                with one:
                    poll = select.poll()
                    seen = [outcome(poll.modify, one, 1), outcome(poll.unregister, one), poll.register(one)]
                    seen.append([bits for _, bits in poll.poll(0)])
                    poll.register(one, select.POLLIN)
                    seen += [poll.poll(0), poll.modify(one, select.POLLOUT), len(poll.poll()), len(poll.poll(5)),
                             len(poll.poll(-1)), outcome(poll.register, "x"), outcome(poll.modify, one, 0)]
                    seen.append(poll.poll(0))
                    poll.modify(one, select.POLLIN)
                seen.append([bits for _, bits in poll.poll(0)])
            return seen

        self.both(body)

    def test_epoll(self):
        """The same of an epoll object, which forgets by itself what is closed."""

        def body():
            one, two = pair()
            with two, select.epoll() as epoll:
                with one:
                    seen = [outcome(epoll.modify, one, 1), outcome(epoll.unregister, one), epoll.register(one),
                            outcome(epoll.register, one), [bits for _, bits in epoll.poll(0)]]
                    epoll.register(two, select.EPOLLOUT | select.EPOLLONESHOT)
                    seen += [len(epoll.poll(0, 1)), len(epoll.poll(None)), len(epoll.poll(-1))]
                    seen.append(outcome(epoll.poll, 0, 0))
                    seen += [epoll.modify(one, select.EPOLLIN), epoll.poll(0), epoll.modify(one, select.EPOLLOUT)]
                    seen += [len(epoll.poll(0)), epoll.unregister(two), epoll.fileno() >= 0, epoll.closed]
                    number = one.fileno()
                seen += [epoll.poll(0), outcome(epoll.register, number), outcome(epoll.unregister, number)]
            return [*seen, epoll.closed, outcome(epoll.poll, 0), outcome(epoll.register, two), outcome(epoll.fileno),
                    outcome(epoll.__enter__), epoll.close()]

        self.both(body)

    def test_edges(self):
        """EPOLLET is refused: readiness is all that there is."""
        one, _ = self.pair()
        with sealed(self.loop), select.epoll() as epoll:
            for call in (epoll.register, epoll.modify):
                with self.assertRaisesRegex(SolipsismError, "EPOLLET is not simulated: .* without EPOLLET"):
                    call(one, select.EPOLLIN | select.EPOLLET)

    def test_duplicate(self):
        """Two numbers of one socket are told each by itself, in the loop too."""
        one, two = self.pair()
        twin = one.dup()
        self.addCleanup(twin.close)
        told = []

        async def main():
            loop = asyncio.get_running_loop()
            loop.add_reader(one, told.append, "one")
            loop.add_writer(twin, told.append, "twin")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            loop.remove_writer(twin)
            told.append("then")
            loop.add_reader(twin, told.append, "twin")
            two.send(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            loop.remove_reader(one)
            loop.remove_reader(twin)

        self.loop.run_until_complete(main())
        before, after = told[:told.index("then")], told[told.index("then") + 1:]
        self.assertEqual((set(before), set(after)), ({"twin"}, {"one", "twin"}))


class WaitingTest(World):
    def test_would_wait(self):
        """In the loop's thread who would wait for ever is refused, and any wait where the loop runs, whatever asks.

        Who is there is named.
        """
        one, _ = self.pair()
        with sealed(self.loop), contextlib.ExitStack() as stack:
            poll, epoll = select.poll(), stack.enter_context(select.epoll())
            poll.register(one, select.POLLIN)
            epoll.register(one, select.EPOLLIN)
            chosen = [stack.enter_context(kind()) for kind in (
                selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector)]
            for selector in chosen:
                selector.register(one, selectors.EVENT_READ)
            names = "select.select", "select.poll", "select.epoll"
            waits = [("select.select", select.select, [one], [], [], 0.5), ("select.poll", poll.poll, 5),
                     ("select.epoll", epoll.poll, 1), *((name, selector.select, 1) for name, selector in zip(
                         names, chosen, strict=True))]
            for_ever = [("select.select", select.select, [one], [], []), ("select.poll", poll.poll),
                        ("select.epoll", epoll.poll), *((name, selector.select) for name, selector in zip(
                            names, chosen, strict=True))]

            def refused(calls):
                for name, call, *args in calls:
                    with self.subTest(name), self.assertRaisesRegex(SolipsismError, rf"^{name}\S* on <stream .*> would "
                                                                    r"block its thread at t=0\.0, .*timeout of 0"):
                        call(*args)

            async def where_the_loop_runs():
                refused(waits + for_ever)

            refused(for_ever)
            self.loop.run_until_complete(where_the_loop_runs())

    def test_nothing_to_wait_for(self):
        """A wait for nothing at all is a wait as well."""
        with sealed(self.loop), self.assertRaisesRegex(SolipsismError, "select.select.. on nothing would block"):
            select.select([], [], [])

    def test_in_a_thread(self):
        """In another thread it waits, in virtual time, for whoever is ready first; or until its time is over."""
        one, two = self.pair()

        def work():
            poll = select.poll()
            poll.register(one, select.POLLIN)
            first = poll.poll(5_000), [len(found) for found in select.select([one], [], [], 2)]
            with select.epoll() as epoll:
                epoll.register(one, select.EPOLLIN)
                return [*first, [bits for _, bits in epoll.poll()], select.select([], [one], [], 7)[1] == [one]]

        async def main():
            loop = asyncio.get_running_loop()
            job = loop.run_in_executor(None, work)
            await asyncio.sleep(10)
            two.send(b"x")
            return await job, loop.time()

        self.assertEqual(self.loop.run_until_complete(main()), ([[], [0, 0, 0], [1], True], 10.0))


class RealTest(World):
    def setUp(self):
        super().setUp()
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.addCleanup(os.close, writer)
        self.written = os.write(writer, b"x")

    def test_real_alone(self):
        """Real descriptors alone go to the real thing, from a sealed thread as well."""

        def body():
            poll = select.poll()
            seen = [outcome(poll.modify, self.reader, 1), poll.register(self.reader, select.POLLIN), len(poll.poll(1))]
            seen += [poll.modify(self.reader, select.POLLPRI), poll.poll(0), poll.unregister(self.reader)]
            with select.epoll() as epoll:
                epoll.register(self.reader, select.EPOLLIN)
                seen += [len(epoll.poll(1)), epoll.modify(self.reader, select.EPOLLPRI), epoll.poll(0)]
                seen += [epoll.unregister(self.reader), epoll.poll(0)]
            with selectors.DefaultSelector() as selector:
                selector.register(self.reader, selectors.EVENT_READ)
                seen.append(len(selector.select()))
            return [*seen, select.select([self.reader], [], [], 1)]

        self.both(body)

    def test_mixture(self):
        """Real and virtual descriptors in one call are refused: nothing can wait for both."""
        one, _ = self.pair()
        with sealed(self.loop), select.epoll() as epoll:
            poll = select.poll()
            for registered in (poll, epoll):
                registered.register(one)
                registered.register(self.reader)
            for call, *args in ((select.select, [one], [self.reader], [], 0), (poll.poll, 0), (epoll.poll, 0)):
                with self.assertRaisesRegex(SolipsismError, "real and virtual descriptors together .*: nothing can"):
                    call(*args)

    def test_outside(self):
        """A thread that is not sealed has the real things while another one is."""
        real, sealed_now = select.poll, threading.Event()
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            job = executor.submit(lambda: (sealed_now.wait(), type(select.poll()), select.poll is real))
            with sealed(self.loop):
                sealed_now.set()
                _, kind, unpatched = job.result()
                inside = type(select.poll())
        self.assertEqual((kind, unpatched), (type(real()), False))
        self.assertEqual(inside, polling.VirtualPoll)

    def test_from_a_number(self):
        """select.epoll.fromfd is still there."""
        with sealed(self.loop), select.epoll() as epoll, select.epoll.fromfd(os.dup(epoll.fileno())) as again:
            self.assertFalse(again.closed)


if __name__ == "__main__":
    unittest.main()
