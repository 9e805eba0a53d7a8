"""Saying that mocks are ready, on the virtual loop, and on a stock one that does the same step by step."""

import asyncio
import selectors
import unittest

from solipsism_unittest import SolipsismError, SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.mocks import (
    FileMock,
    SocketMock,
    exhaust_callbacks,
    get_registered_events,
    set_read_ready,
    set_write_ready,
)


class ReadinessTest(SolipsistTestCase):
    async def test_once(self):
        """What was registered is called once for each time, in a turn of the loop that comes later."""
        file, called = FileMock(), []
        self.loop.add_reader(file, called.append, "read")
        self.loop.add_writer(file, called.append, "write")
        set_read_ready(file, self.loop)
        self.assertEqual(called, [])
        await exhaust_callbacks(self.loop)
        self.assertEqual(called, ["read"])
        set_write_ready(file, self.loop)
        set_read_ready(file, self.loop)
        await exhaust_callbacks(self.loop)
        self.assertEqual(called, ["read", "write", "read"])
        self.loop.remove_reader(file)
        self.loop.remove_writer(file)

    async def test_nobody_waits(self):
        """A file that nobody waits for, or not for this, changes nothing."""
        file, called = FileMock(), []
        set_read_ready(file, self.loop)
        await exhaust_callbacks(self.loop)
        self.loop.add_writer(file, called.append, "write")
        set_read_ready(file, self.loop)
        await exhaust_callbacks(self.loop)
        self.assertEqual(called, [])
        self.loop.remove_writer(file)

    async def test_a_reader_that_comes_later_in_the_same_turn(self):
        """The reader is looked for in the next turn: one that is added after the call is still found."""
        file, called = FileMock(), []
        set_read_ready(file, self.loop)
        self.loop.add_reader(file, called.append, "read")
        await exhaust_callbacks(self.loop)
        self.assertEqual(called, ["read"])
        self.loop.remove_reader(file)

    async def test_from_a_thread(self):
        """Another thread may say so."""
        file, came = FileMock(), asyncio.Event()
        self.loop.add_reader(file, came.set)
        await asyncio.to_thread(set_read_ready, file, self.loop)
        await asyncio.wait_for(came.wait(), 30)
        self.loop.remove_reader(file)

    async def test_exhaust_callbacks(self):
        """It runs what is ready and what that makes ready, and no timer."""
        called = []

        def step(number):
            called.append(number)
            if number < 5:
                self.loop.call_soon(step, number + 1)

        timer = self.loop.call_later(30, called.append, "timer")
        self.loop.call_soon(step, 1)
        await exhaust_callbacks(self.loop)
        self.assertEqual(called, [1, 2, 3, 4, 5])
        timer.cancel()

    async def test_several_at_once(self):
        """Calls at once do not wait for each other: all of them end, when everything else has run."""
        called = []

        def step(number):
            called.append(number)
            if number < 5:
                self.loop.call_soon(step, number + 1)

        self.loop.call_soon(step, 1)
        await asyncio.gather(*(exhaust_callbacks(self.loop) for _ in range(3)))
        self.assertEqual(called, [1, 2, 3, 4, 5])
        self.loop.call_soon(called.append, 6)
        await exhaust_callbacks(self.loop)
        self.assertEqual(called[5:], [6])

    async def test_registered_events(self):
        """The keys are those of the readers and writers that are there."""
        file = FileMock()
        before = get_registered_events(self.loop._selector)
        self.loop.add_reader(file, print)
        (key,) = get_registered_events(self.loop._selector) - before
        self.assertEqual((key.fd, key.events), (file.fileno(), selectors.EVENT_READ))
        self.loop.remove_reader(file)
        self.assertEqual(get_registered_events(self.loop._selector), before)

    async def test_a_stream(self):
        """A conversation of asyncio's streams with a mock."""
        sock = SocketMock()
        sock.recv.side_effect = [b"one\n", b""]
        sock.send.side_effect = len
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"hello")
        set_read_ready(sock, self.loop)
        self.assertEqual(await reader.readline(), b"one\n")
        set_read_ready(sock, self.loop)
        self.assertEqual(await reader.readline(), b"")
        sock.send.assert_called_once_with(b"hello")
        writer.close()
        await writer.wait_closed()


class StockReadinessTest(ReadinessTest):
    """The same on asyncio's own loop."""

    loop_factory = asyncio.SelectorEventLoop


class WithoutSelectorTest(unittest.TestCase):
    def test_a_loop_without_a_selector(self):
        """A loop that has no selector is named in the error."""

        class Loop(asyncio.AbstractEventLoop):
            def __repr__(self):
                return "<a loop of another make>"

        for call in (set_read_ready, set_write_ready):
            with self.assertRaisesRegex(SolipsismError, r"y\(\) needs a loop with a selector, and <a loop of another"):
                call(FileMock(), Loop())
        with self.assertRaisesRegex(SolipsismError, r"exhaust_callbacks\(\) needs a loop with a selector"):
            exhaust_callbacks(Loop()).send(None)

    def test_a_closed_loop(self):
        """A loop that is closed is named so."""
        for make in (SolipsistEventLoop, asyncio.SelectorEventLoop):
            loop = make()
            loop.close()
            with self.assertRaisesRegex(SolipsismError, r"set_read_ready\(\) needs a loop that is open, and <.*closed"):
                set_read_ready(FileMock(), loop)


if __name__ == "__main__":
    unittest.main()
