"""Loops that a program makes by itself: they live in the world of the test, and take turns."""

import asyncio
import socket
import threading
import time
import unittest

from solipsism_unittest import EscapeError, Script, SleepForeverError, SolipsistEventLoop, SolipsistTestCase, sealed
from tests.case.test_case import run, told


async def nap(seconds, result=None):
    await asyncio.sleep(seconds)
    return result


class PlainTest(SolipsistTestCase):
    """Tests that are no coroutines, and run programs that make their loops."""

    def test_asyncio_run(self):
        """asyncio.run() takes virtual time, which goes on from run to run; time.monotonic() is it."""
        for hours in (1, 2):
            self.assertEqual(asyncio.run(nap(3600, "done")), "done")
            self.assertEqual((self.now, time.monotonic()), (hours * 3600.0, hours * 3600.0))

    def test_all_ways_to_make_one(self):
        """Every call that makes a loop makes one of this world."""
        def of_a_runner():
            return asyncio.Runner().__enter__().get_loop()

        for make in (asyncio.new_event_loop, asyncio.SelectorEventLoop, of_a_runner):
            loop = make()
            self.addCleanup(loop.close)
            self.assertIsInstance(loop, SolipsistEventLoop)
            self.assertIsInstance(loop, asyncio.SelectorEventLoop)
            self.assertIs(loop.kernel, self.loop.kernel)
            self.assertEqual(loop.run_until_complete(nap(1, 5)), 5)

    def test_a_selector_of_its_own(self):
        """A selector that the program gives is closed: it could not wait for anything."""
        import selectors
        selector = selectors.DefaultSelector()
        loop = asyncio.SelectorEventLoop(selector)
        self.assertEqual(loop.run_until_complete(nap(1, 5)), 5)
        loop.close()

    def test_one_network(self):
        """What one loop serves another finds, while its loop stands and when it goes on."""
        loops = [asyncio.new_event_loop() for _ in range(2)]
        for loop in loops:
            self.addCleanup(loop.close)
        heard = []

        async def serve(reader, writer):
            heard.append(await reader.readline())
            writer.close()

        server = loops[0].run_until_complete(asyncio.start_server(serve, "api.test", 80))

        async def visit():
            self.reader, self.writer = await asyncio.open_connection("api.test", 80)
            self.writer.write(b"hello\n")
            await asyncio.sleep(10)

        loops[1].run_until_complete(visit())
        self.assertEqual(heard, [])  # its loop stands
        loops[0].run_until_complete(nap(1))
        self.assertEqual(heard, [b"hello\n"])
        self.assertEqual(loops[1].run_until_complete(self.reader.read()), b"")

        async def end(ending):
            ending.close()
            await ending.wait_closed()

        loops[1].run_until_complete(end(self.writer))
        loops[0].run_until_complete(end(server))

    def test_sockets_made_before(self):
        """A socket that a plain test has made is one of every loop of the world."""
        one, two = self.socketpair()
        two.send(b"data")

        async def read():
            return await asyncio.get_running_loop().sock_recv(one, 100)

        self.assertEqual(asyncio.run(read()), b"data")
        self.assertEqual(asyncio.run(nap(0, 1)), 1)

    def test_what_a_loop_that_stands_waits_for(self):
        """A callback that is registered on a loop that stands runs when that loop runs, and not before."""
        loop = asyncio.new_event_loop()
        one, two = self.socketpair()
        seen = []
        loop.add_reader(one, lambda: seen.append(one.recv(10)))
        two.send(b"data")
        asyncio.run(nap(1))
        self.assertEqual(seen, [])
        loop.run_until_complete(nap(1))
        self.assertEqual(seen, [b"data"])
        loop.remove_reader(one)
        loop.close()
        loop.close()

    def test_jobs(self):
        """Jobs of a second loop are what they are on the first."""

        async def work():
            return await asyncio.gather(*(asyncio.to_thread(pow, 2, number) for number in range(5)))

        self.assertEqual(asyncio.run(work()), [1, 2, 4, 8, 16])

    def test_in_a_thread(self):
        """A thread may run a program while the test's own loop stands."""
        found = []
        thread = threading.Thread(target=lambda: found.append(asyncio.run(nap(3600, 5))))
        thread.start()
        thread.join()
        self.assertEqual((found, self.now), ([5], 3600.0))

    def test_a_fake_server(self):
        """A program finds a server of the test's own loop only while that runs; what it sends waits there."""
        runner = asyncio.Runner()
        self.addCleanup(runner.close)
        with socket.socket() as listener:
            listener.bind(("api.test", 80))
            listener.listen()

            async def visit():
                _, writer = await asyncio.open_connection("api.test", 80)
                writer.write(b"data")
                writer.close()
                await writer.wait_closed()

            runner.run(visit())
            with listener.accept()[0] as sock:
                self.assertEqual(sock.recv(100), b"data")

    def test_hangs(self):
        """A hang is an error of the run, and the next run is as any."""
        with self.assertRaisesRegex(SleepForeverError, "nothing can wake the program"):
            asyncio.run(asyncio.Event().wait())
        self.assertEqual(asyncio.run(nap(1, 5)), 5)

    def test_one_at_a_time(self):
        """In the thread of a loop that runs asyncio refuses a second one, as on real loops."""

        async def main():
            with self.assertRaisesRegex(RuntimeError, "Cannot run the event loop while another loop is running"):
                loop.run_until_complete(coroutine)

        loop, coroutine = asyncio.new_event_loop(), nap(0)
        self.addCleanup(loop.close)
        self.addCleanup(coroutine.close)
        asyncio.run(main())


class HelpersTest(SolipsistTestCase):
    """What a test may use works in the loop that a program has made, and ends with that loop."""

    async def echo(self, reader, writer):
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def ask(self, server):
        reader, writer = await asyncio.open_connection(*server.address)
        self.addCleanup(lambda: self.assertTrue(writer.is_closing()))
        writer.write(b"x\n")
        await self.assertReceives(reader, b"x\n")
        writer.close()

    def test_servers(self):
        """Fake servers, with and without a handler or a script, proxies, datagram servers."""
        async def never(reader, writer):
            writer.write(await reader.readline())
            await asyncio.Event().wait()

        async def by_hand():
            server = await self.start_fake_server(host="hand.test")
            task = asyncio.create_task(self.ask(server))
            _, writer = await server.accept()
            writer.write(b"x\n")
            await task

        async def script():
            await self.ask(await self.start_fake_server(script=Script().expect(b"x\n").send(b"x\n").expect_eof()))
            await self.settle()

        async def proxy():
            server = await self.start_fake_server(self.echo, "far.test", 80)
            await self.ask(await self.start_proxy(*server.address))

        async def datagrams():
            async def later(data, address):
                await asyncio.sleep(1000)

            server = await self.start_fake_datagram_server(later, "far.test", 53)
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=server.address)
            transport.sendto(b"x")
            await self.settle()
            self.assertEqual([data for data, _ in server.received], [b"x"])
            transport.close()

        async def handler():
            await self.ask(await self.start_fake_server(never, "far.test"))

        async def tls():
            self.trust()
            server = await self.start_fake_server(self.echo, "tls.test", 443, tls=True)
            _, writer = await asyncio.open_connection(*server.address, ssl=True)
            writer.close()
            await writer.wait_closed()

        for main in (by_hand, script, proxy, datagrams, tls, handler):
            with self.subTest(main.__name__):
                asyncio.run(main())
                self.assertFalse([file for file in self.loop.kernel.files.values() if getattr(file, "local", None)])

    def test_pairs_and_time(self):
        """Pairs in memory, advance(), settle(), delayed futures and assertions that are awaited."""
        async def main():
            one, other = await self.stream_pairs()
            one[1].write(b"x")
            await self.assertReceives(other, b"x")
            sock, peer = self.socketpair()
            peer.send(b"x")
            await self.assertReceives(sock, b"x")
            await self.advance(10)
            await self.assertReceivesNothing(one, 5)
            await self.assertBlocks(asyncio.Event().wait(), 3)
            await self.assertCompletesAfter(self.delayed_future(2, "done"), 2)
            asyncio.get_running_loop().call_later(7, print)
            self.assertNextTimer(after=7)

        asyncio.run(main())
        self.assertNow(20)

    def test_a_loop_that_is_closed_late(self):
        """A loop that is closed when the test ends takes the server with it; one that is never closed too."""
        for close in (True, False):
            loop = asyncio.new_event_loop()
            loop.run_until_complete(self.start_fake_server(self.echo, "api.test"))
            self.expect_leak(loop)
            if close:
                self.addCleanup(loop.close)

    def test_closed_while_it_runs(self):
        """close() of a loop that runs is refused as ever, and ends nothing."""
        async def main():
            server = await self.start_fake_server(self.echo, "api.test", 80)
            self.assertRaises(RuntimeError, asyncio.get_running_loop().close)
            await self.ask(server)

        asyncio.run(main())


class AsyncTest(SolipsistTestCase):
    async def test_made_and_closed(self):
        """A coroutine may make a loop and close it; the test's own goes on."""
        sleeper = asyncio.create_task(nap(2, 7))
        asyncio.new_event_loop().close()
        self.assertEqual(await sleeper, 7)

    async def test_in_a_job(self):
        """A second loop in a thread beside the one that runs is refused with the cure, by name."""

        def job():
            with self.assertRaisesRegex(EscapeError, r"a second event loop \(made at .*test_second\.py:\d+ in .*\) "
                                                     r"would run in a thread while <Solip.* running .*> runs: await "):
                loop.run_until_complete(future)

        loop = asyncio.new_event_loop()
        future = loop.create_future()
        await asyncio.to_thread(job)
        loop.close()


class EndTest(unittest.TestCase):
    def test_a_script_that_asyncio_run_cancels(self):
        """A script whose loop ends before it is not played to its end, and the report says who ended it."""
        def test(case):
            async def main():
                await case.start_fake_server(script=Script().wait(60).send(b"x"), port=7)
                _, writer = await asyncio.open_connection("localhost", 7)
                await case.settle()
                writer.close()

            asyncio.run(main())

        text = told(run(type("Case", (SolipsistTestCase,), {"test": test})))
        self.assertRegex(text, r"connection 1 of localhost:7 was not played to its end: it stands in step 1 of 2: "
                               r"wait\(60\) at .*; it was cancelled there, as asyncio\.run\(\) does")

    def outcome(self, body, **attributes):
        return run(type("Case", (SolipsistTestCase,), {"test": body, **attributes}))

    def test_left_open(self):
        """A loop that is left open fails its test, with its line; what is left on it is ended."""
        left = []

        async def forever():
            try:
                await asyncio.sleep(1e9)
            finally:
                left.append("ended")

        def test(case):
            loop = asyncio.new_event_loop()
            task = loop.create_task(forever())
            loop.run_until_complete(nap(1))
            left.append(task)

        text = told(self.outcome(test))
        self.assertRegex(text, r"the test left 1 thing behind.*\n  1 event loop not closed\n"
                               r"    <SolipsistEventLoop idle t=1\.0>: close it, or use asyncio\.run\(\)\n"
                               r"      made at tests/loop/test_second\.py:\d+ in .*test_left_open")
        self.assertEqual(left[1:], ["ended"])
        self.assertTrue(left[0].cancelled())

    def test_left_on_purpose(self):
        """One that is meant to be left is ended without a word."""

        def test(case):
            case.expect_leak(asyncio.new_event_loop())

        self.assertTrue(self.outcome(test).wasSuccessful())

    def test_errors_nobody_caught(self):
        """An error that nobody caught in a second loop fails the test."""

        async def main():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.sleep(1)

        self.assertIn("ZeroDivisionError", told(self.outcome(lambda case: asyncio.run(main()))))

    def test_limits(self):
        """The limits of the test are those of its second loops."""
        text = told(self.outcome(lambda case: asyncio.run(nap(100)), virtual_time_limit=10))
        self.assertIn("VirtualTimeLimitError", text)

        async def block():
            time.sleep(1)

        self.assertIn("a blocking call in the loop's thread", told(self.outcome(lambda case: asyncio.run(block()))))

    def test_shared_loop(self):
        """On a shared loop a second loop that a test left is ended with that test."""
        class Case(SolipsistTestCase):
            loop_scope = "class"

            def test_1(self):
                asyncio.new_event_loop()

            def test_2(self):
                self.assertEqual(self.loop.world.second, [])
                asyncio.run(nap(1))

        result = run(Case)
        self.assertEqual([test._testMethodName for test, _ in result.failures], ["test_1"], result.errors)

    def test_without_a_test_case(self):
        """In a sealed thread without a test it is the same; outside of a world loops are real."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            self.assertEqual(asyncio.run(nap(3600, 5)), 5)
        self.assertEqual(loop.time(), 3600)
        real = asyncio.new_event_loop()
        self.addCleanup(real.close)
        self.assertNotIsInstance(real, SolipsistEventLoop)
