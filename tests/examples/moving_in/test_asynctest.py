"""The examples of asynctest's tutorial: test cases, the clock, mocks, patches, and a mocked socket."""

import asyncio
import collections
import itertools
import time
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase, fail_on, mocks
from tests.case.test_case import run, told

User = collections.namedtuple("User", "id name")


class Client:
    """What a mock stands for: a client of a server that has users."""

    async def users(self, transaction=None):
        raise NotImplementedError

    async def note_cached(self, count, transaction=None):
        raise NotImplementedError

    def cursor(self, transaction=None):
        raise NotImplementedError

    def transaction(self):
        raise NotImplementedError


async def fill(cache, client):
    """Put the users that are not there yet into a cache; report and return how many."""
    count = 0
    for user in await client.users():
        count += user.id not in cache
        cache.setdefault(user.id, user)
    await client.note_cached(count)
    return count


async def fill_by_cursor(cache, client):
    """The same in a transaction, with a cursor."""
    count = 0
    async with client.transaction() as transaction:
        async for user in transaction.cursor():
            count += user.id not in cache
            cache.setdefault(user.id, user)
        await transaction.note_cached(count)
    return count


class CasesTest(SolipsistTestCase):
    async def work(self):
        return "it worked"

    def test_nothing_asynchronous(self):
        """A plain test is one."""
        self.assertTrue(True)

    def test_a_loop_of_its_own(self):
        """A plain test may make a loop, run it, and close it in a cleanup."""
        loop = asyncio.new_event_loop()
        self.addCleanup(loop.close)
        self.assertIn("worked", loop.run_until_complete(self.work()))

    def test_the_loop_of_the_case(self):
        """The case has a loop for each test."""
        self.assertIn("worked", self.loop.run_until_complete(self.work()))

    async def test_a_coroutine(self):
        """A test that is a coroutine runs on it."""
        self.assertIn("worked", await self.work())


class SetUpTest(SolipsistTestCase):
    async def setUp(self):
        self.queue = asyncio.Queue(maxsize=1)
        await self.queue.put("it worked")

    async def tearDown(self):
        while not self.queue.empty():
            await self.queue.get()

    async def test_coroutines_as_fixtures(self):
        """setUp() and tearDown() may be coroutines."""
        self.assertTrue(self.queue.full())


class FailOnTest(unittest.TestCase):
    def test_a_callback_that_did_not_run(self):
        """A timer that is still there fails the test."""

        class Case(SolipsistTestCase):
            @fail_on(active_handles=True)
            async def test(self):
                self.loop.call_later(1, print)

        self.assertIn("1 timer", told(run(Case)))


class ClockTest(SolipsistTestCase):
    autojump = False

    async def test_advance(self):
        """advance() moves the loop's time, and not the time of day."""
        before, wall = self.loop.time(), time.time()
        await self.advance(10)
        self.assertEqual(self.loop.time(), before + 10)
        self.assertLess(time.time() - wall, 10)

    @fail_on(active_handles=True)
    async def test_each_at_its_time(self):
        """Callbacks have not run before advance(), and run in it at the times for which they were made."""
        seen, before = [], self.loop.time()
        self.loop.call_later(1, lambda: seen.append(self.loop.time()))
        self.loop.call_at(before + 7, lambda: seen.append(self.loop.time()))
        self.assertEqual(seen, [])
        await self.advance(10)
        self.assertEqual(seen, [before + 1, before + 7])


class MocksTest(SolipsistTestCase):
    async def test_futures_as_results(self):
        """A plain mock may return futures that are done."""
        client = mock.Mock(["users", "note_cached"])
        for method, result in ((client.users, []), (client.note_cached, None)):
            method.return_value = asyncio.Future()
            method.return_value.set_result(result)
        self.assertEqual(await fill({}, client), 0)
        client.note_cached.assert_called_once_with(0)

    async def test_mocks_of_coroutines(self):
        """An AsyncMock is awaited, and knows it."""
        client = mock.Mock()
        client.users = mock.AsyncMock(return_value=[User(1, "admin")])
        client.note_cached = mock.AsyncMock()
        cache = {}
        self.assertEqual([await fill(cache, client), await fill(cache, client)], [1, 0])
        client.users.assert_awaited()
        self.assertEqual(client.note_cached.await_args_list, [mock.call(1), mock.call(0)])

    async def test_mocks_by_specification(self):
        """Of a specification the coroutine functions become such mocks by themselves."""
        client = mock.Mock(Client())
        client.users.return_value = []
        self.assertEqual(await fill({}, client), 0)
        client.note_cached.assert_awaited_once_with(0)

    async def test_autospec(self):
        """create_autospec() of a coroutine function checks the arguments; of a class it makes what is one."""
        double = mock.create_autospec(fill)
        await double({}, "client")
        double.assert_awaited_once_with({}, "client")
        with self.assertRaises(TypeError):
            await double("wrong", "number", "of", "arguments")
        client = mock.create_autospec(Client)()
        self.assertIsInstance(client, Client)
        await client.note_cached(1)

    async def test_results(self):
        """The result is a value, or what a function, an iterable or an exception gives."""
        double = mock.AsyncMock(return_value=User(1, "admin"))
        self.assertIs(await double(), await double())
        double.side_effect = lambda *words: [word.upper() for word in words]
        self.assertEqual(await double("a", "call"), ["A", "CALL"])
        double.side_effect = itertools.cycle(["odd", "even"])
        self.assertEqual([await double() for _ in range(3)], ["odd", "even", "odd"])
        for wrong in (NotImplementedError, LookupError("this one")):
            double.side_effect = wrong
            with self.assertRaises((NotImplementedError, LookupError)) as caught:
                await double()
        self.assertIs(caught.exception, wrong)

    async def test_magic_methods(self):
        """A MagicMock is an asynchronous context manager and iterable, empty unless the test says more."""
        async with mock.MagicMock() as context:
            context.method.assert_not_called()
        double = mock.MagicMock()
        self.assertEqual([each async for each in double], [])
        double.__aiter__.return_value = range(5)
        self.assertEqual([each async for each in double], [0, 1, 2, 3, 4])

    async def test_a_transaction_with_a_cursor(self):
        """All of it together: a client by specification, a transaction that is entered, a cursor that is iterated."""
        client = mock.create_autospec(Client)()
        client.transaction.return_value = transaction = mock.MagicMock()
        transaction.__aenter__.return_value = client
        client.cursor.return_value = cursor = mock.MagicMock()
        cursor.__aiter__.return_value = [User(1, "admin")]
        cache = {}
        self.assertEqual([await fill_by_cursor(cache, client), await fill_by_cursor(cache, client)], [1, 0])
        self.assertEqual(cache, {1: User(1, "admin")})


class Watched:
    """What the tests below patch while a task looks at it all the time."""

    async def is_patched(self):
        return False

    async def watch(self, looked):
        """Fail when it is patched; set an event at each look."""
        while True:
            try:
                assert not await self.is_patched()
                await asyncio.sleep(0)
            finally:
                looked.set()


watched = Watched()


class PatchesTest(SolipsistTestCase):
    async def setUp(self):
        self.looked = asyncio.Event()
        self.watching = asyncio.create_task(watched.watch(self.looked))
        self.addCleanup(self.watching.cancel)

    async def look(self):
        await self.looked.wait()
        self.looked.clear()

    @mock.patch.object(watched, "is_patched", return_value=True)
    async def test_a_patch_reaches_other_tasks(self, double):
        """A patch of unittest.mock holds while its test waits, and another task meets it."""
        await self.look()
        self.assertTrue(await watched.is_patched())
        await self.look()
        self.assertIsInstance(self.watching.exception(), AssertionError)

    @mocks.while_running(mock.patch.object(watched, "is_patched", return_value=True))
    async def test_a_patch_while_the_test_runs(self, double):
        """One that holds only while the test's own code runs is seen by the test, and by no other task."""
        await self.look()
        self.assertTrue(await watched.is_patched())
        await self.look()
        self.assertFalse(self.watching.done())


class SocketTest(SolipsistTestCase):
    async def test_a_conversation(self):
        """A mock under open_connection() is read and written by its side effects, which say when there is more."""
        sock = mocks.SocketMock()
        chunks = iter([b"some data read", b"some other", b" ...and the last"])
        buffer = bytearray()

        def receive(size):
            nonlocal buffer
            if not buffer:
                buffer += next(chunks, b"")
                if buffer:
                    mocks.set_read_ready(sock, self.loop)
            data, buffer = buffer[:size], buffer[size:]
            if buffer:
                mocks.set_read_ready(sock, self.loop)
            return data

        def send(data):
            mocks.set_read_ready(sock, self.loop)
            return len(data)

        sock.recv.side_effect, sock.send.side_effect = receive, send
        reader, writer = await asyncio.open_connection(sock=sock)
        writer.write(b"a request?")
        self.assertEqual(await reader.read(4), b"some")
        self.assertEqual(await reader.read(10), b" data read")
        self.assertEqual(await reader.read(), b"some other ...and the last")
        sock.send.assert_called_once_with(b"a request?")
        writer.close()


class StockSocketTest(SocketTest):
    """The same on asyncio's own loop."""

    loop_factory = asyncio.SelectorEventLoop


if __name__ == "__main__":
    unittest.main()
