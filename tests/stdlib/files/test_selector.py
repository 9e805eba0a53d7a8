"""`TestSelector` on its own, around the virtual selector, and around a stock loop's."""

import asyncio
import selectors
import socket
import unittest

from solipsism_unittest import SleepForeverError, SolipsistEventLoop, SolipsistTestCase
from solipsism_unittest.mocks import FileDescriptor, FileMock, TestSelector, get_registered_events, set_read_ready
from solipsism_unittest.stdlib.files.selector import taking_mocks
from tests.case.test_case import run, told


class AloneTest(unittest.TestCase):
    def test_mocks(self):
        """Mocks are registered, changed and taken away as files are."""
        selector, file, number = TestSelector(), FileMock(), FileDescriptor(50)
        key = selector.register(file, selectors.EVENT_READ, "data")
        self.assertEqual((key.fileobj, key.fd, key.data), (file, file.fileno(), "data"))
        selector.register(number, selectors.EVENT_WRITE)
        with self.assertRaisesRegex(KeyError, "FD 50. is already registered"):
            selector.register(number, selectors.EVENT_READ)
        self.assertEqual(selector.modify(file, selectors.EVENT_WRITE, "more").data, "more")
        self.assertEqual(selector.get_key(file).events, selectors.EVENT_WRITE)
        self.assertEqual(list(selector.get_map()), [file.fileno(), 50])
        self.assertEqual({key.fd for key in get_registered_events(selector)}, {file.fileno(), number})
        self.assertEqual(selector.select(), [])
        self.assertEqual(selector.unregister(file).data, "more")
        for call in (selector.unregister, selector.get_key):
            with self.assertRaises(KeyError):
                call(file)
        selector.close()
        self.assertEqual(get_registered_events(selector), set())

    def test_nothing_else_without_a_selector(self):
        """A real descriptor is refused where there is no selector for it."""
        selector = TestSelector()
        for call in (selector.register, selector.modify):
            with self.assertRaisesRegex(ValueError, "5 is no mock, and this TestSelector wraps no other"):
                call(5, selectors.EVENT_READ)
        with self.assertRaisesRegex(ValueError, "no mock"):
            selector.unregister(5)
        with self.assertRaises(KeyError):
            selector.get_key(5)

    def test_around_a_real_one(self):
        """Real files go to the selector that is wrapped; a mock of the same number is another."""
        selector = TestSelector(selectors.DefaultSelector())
        self.addCleanup(selector.close)
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        played = FileDescriptor(one.fileno())
        real = selector.register(one, selectors.EVENT_READ, "real")
        mocked = selector.register(played, selectors.EVENT_READ, "mock")
        self.assertEqual((selector.get_key(one), selector.get_key(one.fileno())), (real, real))
        self.assertEqual(selector.get_key(played), mocked)
        self.assertEqual(len(selector.get_map()), 2)
        self.assertEqual(get_registered_events(selector), {real, mocked})
        other.send(b"data")
        self.assertEqual(selector.select(0), [(real, selectors.EVENT_READ)])
        self.assertEqual(selector.modify(one, selectors.EVENT_WRITE).events, selectors.EVENT_WRITE)
        selector.unregister(one)
        self.assertEqual(get_registered_events(selector), {mocked})

    def test_pytest_takes_it_for_no_test(self):
        """The class says that it is no test, whatever its name."""
        self.assertIs(TestSelector.__test__, False)


class VirtualTest(SolipsistTestCase):
    """Around the virtual selector the loop is what it was."""

    def loop_factory(self):
        loop = SolipsistEventLoop()
        loop._selector = TestSelector(loop._selector)
        return loop

    async def test_time_and_sockets(self):
        """Time jumps, and virtual sockets are ready when they are."""
        await asyncio.sleep(5)
        self.assertNow(5)
        one, other = self.socketpair()
        self.loop.call_later(2, other.send, b"data")
        self.assertEqual(await self.loop.sock_recv(one, 10), b"data")
        self.assertNow(7)

    async def test_mocks(self):
        """A mock stands in the map of the wrapper, and is ready when the test says so."""
        file, called = FileMock(), []
        self.loop.add_reader(file, called.append, 1)
        self.assertEqual(len(self.loop._selector.get_map()), 1)
        self.assertEqual(len(self.loop.selector.get_map()), 0)
        set_read_ready(file, self.loop)
        await self.settle()
        self.assertEqual(called, [1])
        self.loop.remove_reader(file)

    async def test_a_hang(self):
        """A hang is found, and leaves with the line that waits."""
        loop = SolipsistEventLoop()
        loop._selector = TestSelector(loop._selector)

        def hang():
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(asyncio.Event().wait())

        with self.assertRaisesRegex(SleepForeverError, "nothing can wake the program"):
            await asyncio.to_thread(hang)


class StockTest(unittest.TestCase):
    """Around the selector of a stock loop, by hand and by a test case."""

    def check(self, factory):
        """A test on such a loop waits for real sockets and for mocks; the first mock has number 0."""
        seen = []

        class Case(SolipsistTestCase):
            loop_factory = factory

            async def test(self):
                one, other = socket.socketpair()
                with one, other:
                    one.setblocking(False)
                    self.loop.call_soon(other.send, b"data")
                    self.assertEqual(await self.loop.sock_recv(one, 9), b"data")
                file, came = FileMock(), asyncio.Event()
                seen.append(file.fileno())
                self.loop.add_reader(file, came.set)
                set_read_ready(file, self.loop)
                await came.wait()

        self.assertEqual(told(run(Case, "test", "test")), "")
        self.assertEqual(seen, [0, 0])

    def test_stock(self):
        """A test case does it by itself, and it may be done already."""
        self.check(asyncio.SelectorEventLoop)
        self.check(lambda self: asyncio.SelectorEventLoop(TestSelector(selectors.SelectSelector())))

    def test_lent(self):
        """A loop that is lent has its own selector again."""
        loop = asyncio.SelectorEventLoop()
        self.addCleanup(loop.close)
        selector = loop._selector
        self.check(lambda self: loop)
        self.assertIs(loop._selector, selector)

    def test_without_a_selector(self):
        """A loop that has none stays as it is."""

        class Loop(asyncio.SelectorEventLoop):
            pass

        for selector in (None, "proactor"):
            loop = Loop()
            true, loop._selector = loop._selector, selector
            with taking_mocks(loop):
                self.assertIs(loop._selector, selector)
            loop._selector = true
            loop.close()


if __name__ == "__main__":
    unittest.main()
