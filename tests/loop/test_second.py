"""Loops that a program makes by itself: they live in the world of the test, and take turns."""

import asyncio
import queue
import socket
import sys
import threading
import time
import unittest

import solipsism_unittest
from solipsism_unittest import Script, SleepForeverError, SolipsistEventLoop, SolipsistTestCase, sealed
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

        def of_our_policy():
            return solipsism_unittest.SolipsistEventLoopPolicy().new_event_loop()

        ways = [asyncio.new_event_loop, asyncio.SelectorEventLoop, of_a_runner]
        for make in ways if sys.version_info >= (3, 16) else [*ways, of_our_policy]:
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


    def test_closed_with_an_open_transport(self):
        """What comes for a transport whose loop is closed is no business of the other loops: nobody waits for it."""

        async def leave():
            return (await asyncio.get_running_loop().create_connection(asyncio.Protocol, "api.test", 80))[0]

        with socket.socket() as listener:
            listener.bind(("api.test", 80))
            listener.listen()
            transport = asyncio.run(leave())
            with listener.accept()[0] as sock:
                sock.send(b"data")
                self.loop.run_until_complete(asyncio.sleep(1))
        self.assertNow(1)
        transport._sock.close()  # it cannot close itself any more
        transport._sock = None


    def test_one_made_by_its_own_name(self):
        """A SolipsistEventLoop that a test makes by name is another machine, with its own time and names."""

        async def sleep():
            await asyncio.sleep(5)
            with self.assertRaises(ConnectionRefusedError):
                await asyncio.open_connection("api.test", 80)

        self.loop.run_until_complete(self.start_fake_server(self.echo, "api.test", 80))
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(sleep())
            self.assertEqual(runner.get_loop().time(), 5)
        self.assertNow(0)


class AsyncTest(SolipsistTestCase):
    async def test_made_and_closed(self):
        """A coroutine may make a loop and close it; the test's own goes on."""
        sleeper = asyncio.create_task(nap(2, 7))
        asyncio.new_event_loop().close()
        self.assertEqual(await sleeper, 7)

    async def test_in_a_job(self):
        """asyncio.run(), a Runner and a bare loop in a job run beside the test's own loop, in the same time."""

        def bare():
            loop = asyncio.new_event_loop()
            try:
                return loop.run_until_complete(nap(3, 7))
            finally:
                loop.close()

        def by_runner():
            with asyncio.Runner() as runner:
                return runner.run(nap(1, 1)) + runner.run(nap(2, 6))

        for job in (lambda: asyncio.run(nap(3, 7)), bare, by_runner):
            began = self.now
            sleeper = asyncio.create_task(nap(2, 1))
            self.assertEqual(await asyncio.to_thread(job), 7)
            self.assertEqual(self.now, began + 3)
            self.assertTrue(sleeper.done())

    async def test_jobs_of_both(self):
        """A job of a second loop sleeps in the same time, and its result comes to that loop."""

        async def inner():
            return await asyncio.gather(asyncio.to_thread(time.sleep, 2), asyncio.to_thread(divmod, 7, 2), nap(1, 1))

        outer = asyncio.create_task(asyncio.to_thread(time.sleep, 1))
        self.assertEqual(await asyncio.to_thread(lambda: asyncio.run(inner())), [None, (3, 1), 1])
        self.assertNow(2)
        await outer

    async def test_calls_across(self):
        """A coroutine is handed to a loop of another thread, and its result comes back, to tasks and to threads."""
        loops, loop = [], self.loop

        def run():
            loops.append(asyncio.new_event_loop())
            loops[0].run_forever()
            loops[0].close()

        thread = threading.Thread(target=run)
        thread.start()
        await nap(1, 0)
        there = asyncio.run_coroutine_threadsafe(nap(7, "there"), loops[0])
        self.assertEqual(await asyncio.wrap_future(there), "there")
        self.assertNow(8)
        back = asyncio.run_coroutine_threadsafe(
            asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(nap(2, "back"), loop).result()), loops[0])
        self.assertEqual(await asyncio.wrap_future(back), "back")
        self.assertNow(10)
        loops[0].call_soon_threadsafe(loops[0].stop)
        await asyncio.to_thread(thread.join)

    async def test_a_client_and_a_server(self):
        """A server on one loop and clients on the test's and on a third: each wakes who waits."""
        ready, over = threading.Event(), []

        async def answer(reader, writer):
            await nap(1, 0)
            writer.write((await reader.readline()).upper())
            writer.close()
            await writer.wait_closed()

        async def serve():
            async with await asyncio.start_server(answer, "127.0.0.1", 8000):
                over.append((asyncio.get_running_loop(), asyncio.Event()))
                ready.set()
                await over[0][1].wait()

        async def ask():
            reader, writer = await asyncio.open_connection("127.0.0.1", 8000)
            writer.write(b"hello\n")
            line = await reader.read()
            writer.close()
            await writer.wait_closed()
            return line

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        await asyncio.to_thread(ready.wait)
        self.assertEqual(await ask(), b"HELLO\n")
        self.assertNow(1)
        self.assertEqual(await asyncio.to_thread(lambda: asyncio.run(ask())), b"HELLO\n")
        self.assertNow(2)
        over[0][0].call_soon_threadsafe(over[0][1].set)
        await asyncio.to_thread(thread.join)

    async def test_a_job_that_waits_for_a_task(self):
        """What a job asks of the test's loop, and waits for in a queue, comes in time, as asgiref does it."""
        loop, done, tasks = self.loop, queue.Queue(), []

        async def inner():
            done.put(await nap(4, 9))

        def job():
            loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(inner())))
            return done.get(timeout=15)

        self.assertEqual(await asyncio.to_thread(job), 9)
        self.assertNow(4)

    def test_in_threads_of_a_plain_test(self):
        """Two loops in two threads, none in the test's own: timers of both run in the order of their times."""
        seen = []

        async def tick(step):
            for _ in range(3):
                await asyncio.sleep(step)
                seen.append((step, time.monotonic()))

        threads = [threading.Thread(target=lambda step=step: asyncio.run(tick(step))) for step in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(seen, [(2, 2), (3, 3), (2, 4), (2, 6), (3, 6), (3, 9)])




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

    def test_one_that_still_runs_in_a_thread(self):
        """The report of a loop that still runs says to end what it runs: to close it would be an error."""
        async def body(self):
            self.thread = threading.Thread(target=asyncio.run, args=(asyncio.sleep(100),))
            self.thread.start()
            await asyncio.sleep(1)

        text = told(run(type("Case", (SolipsistTestCase,), {"test": body})))
        self.assertRegex(text, r"1 event loop not closed\n    <SolipsistEventLoop running t=1\.0>: end what it runs\n")

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

    def test_left_open_by_a_failure(self):
        """debug() of a failing test ends it as well, with what is left on it."""
        left = []

        def test(case):
            left.append(asyncio.new_event_loop())
            left.append(left[0].create_task(nap(1e9)))
            left[0].run_until_complete(nap(1))
            case.fail("on purpose")

        with self.assertRaisesRegex(AssertionError, "on purpose"):
            type("Case", (SolipsistTestCase,), {"test": test})("test").debug()
        self.assertTrue(left[0].is_closed() and left[1].cancelled())

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


class WholeTest(unittest.TestCase):
    """Tests with several loops, from outside."""

    def test_one_journal(self):
        """Two loops, eight threads, a shared queue and a server: the same in every run."""
        def once():
            class Case(SolipsistTestCase):
                async def test(self):
                    line, seen = queue.Queue(2), []

                    def produce(number):
                        for turn in range(2):
                            time.sleep(0.01 * (number % 3))
                            line.put((number, turn))

                    def consume():
                        for _ in range(8):
                            seen.append((line.get(), time.monotonic()))

                    async def other():
                        await asyncio.gather(*[asyncio.to_thread(produce, number) for number in range(4)], nap(1, 1))

                    await asyncio.gather(*[asyncio.to_thread(produce, number) for number in range(4, 6)],
                                         asyncio.to_thread(lambda: asyncio.run(other())), asyncio.to_thread(consume),
                                         asyncio.to_thread(lambda: [line.get() for _ in range(4)]))
                    found.append((repr(seen), self.loop.kernel.journal.digest))

            result = unittest.TestResult()
            Case("test").run(result)
            self.assertTrue(result.wasSuccessful(), result.errors + result.failures)

        found = []
        for _ in range(10):
            once()
        self.assertEqual(len(set(found)), 1)

    def test_one_that_waits_for_ever(self):
        """A hang names the loop of the other thread and its tasks; nothing stays behind."""

        class Case(SolipsistTestCase):
            async def test(self):
                async def inner():
                    await asyncio.Event().wait()

                await asyncio.to_thread(lambda: asyncio.run(inner()))

        result = unittest.TestResult()
        Case("test").run(result)
        self.assertEqual(len(result.errors), 1, result.failures)
        self.assertRegex(result.errors[0][1], r"nothing can wake the program at t=0\.0: 1 task\n"
                                              r"  <SolipsistEventLoop running t=0\.0> made at \S+ in .* runs in "
                                              r"another thread:\n      Task-1 \(.*inner\) ")

    def test_one_that_is_left(self):
        """A loop that a thread made and nobody closed is a leak, with its line."""

        class Case(SolipsistTestCase):
            async def test(self):
                await asyncio.to_thread(lambda: kept.append(asyncio.new_event_loop()))

        kept, result = [], unittest.TestResult()
        Case("test").run(result)
        self.assertRegex(result.failures[0][1], r"1 event loop not closed\n    <SolipsistEventLoop idle t=0\.0>: "
                                                r"close it, or use asyncio\.run\(\)\n      made at \S*test_second\.py:")
