"""Programs that are right: each relies on a promise of asyncio, or of streams, and on nothing more.

None of them may ever fail, whatever a machine and a network leave open.
"""

import asyncio
import contextlib
import contextvars
import sys
import unittest

from solipsism_unittest import SolipsistTestCase

HOST = "server.test", 80
NAME = contextvars.ContextVar("NAME")


class Correct(SolipsistTestCase):
    async def test_call_soon_is_first_in_first_out(self):
        order = []
        for number in range(5):
            self.loop.call_soon(order.append, number)
        await asyncio.sleep(0.1)
        self.assertEqual(order, [0, 1, 2, 3, 4])

    async def test_tasks_start_in_the_order_in_which_they_are_made(self):
        order = []

        async def work(number):
            order.append(number)
            await asyncio.sleep(0)
            order.append(number)

        await asyncio.gather(*(work(number) for number in range(4)))
        self.assertEqual(order, [0, 1, 2, 3, 0, 1, 2, 3])

    async def test_timers_run_in_the_order_of_their_times(self):
        order = []
        for when in (0.3, 0.1, 0.2, 0.2001):
            self.loop.call_later(when, order.append, when)
        await asyncio.sleep(0.5)
        self.assertEqual(order, [0.1, 0.2, 0.2001, 0.3])

    async def test_a_timer_is_never_early(self):
        for seconds in (0.1, 0.001, 0.5):
            began = self.loop.time()
            await asyncio.sleep(seconds)
            self.assertGreaterEqual(self.loop.time(), began + seconds)

    async def test_gather_gives_results_in_the_order_of_its_arguments(self):
        results = await asyncio.gather(*(asyncio.sleep(1 / (number + 1), number) for number in range(4)))
        self.assertEqual(results, [0, 1, 2, 3])

    async def test_as_completed_gives_each_result_once(self):
        results = [await each for each in asyncio.as_completed([asyncio.sleep(0.1, number) for number in range(5)])]
        self.assertEqual(sorted(results), [0, 1, 2, 3, 4])

    async def test_a_lock_is_fair(self):
        lock, order = asyncio.Lock(), []

        async def work(number):
            async with lock:
                order.append(number)
                await asyncio.sleep(0.1)

        await asyncio.gather(*(work(number) for number in range(4)))
        self.assertEqual(order, [0, 1, 2, 3])

    async def test_a_semaphore_is_fair_and_counts(self):
        semaphore, order, inside = asyncio.Semaphore(2), [], []

        async def work(number):
            async with semaphore:
                order.append(number)
                inside.append(1)
                self.assertLessEqual(len(inside), 2)
                await asyncio.sleep(0.1)
                inside.pop()

        await asyncio.gather(*(work(number) for number in range(5)))
        self.assertEqual(order, [0, 1, 2, 3, 4])

    async def test_a_queue_keeps_the_order_and_the_number(self):
        queue, taken = asyncio.Queue(2), []

        async def produce():
            for number in range(6):
                await queue.put(number)

        async def consume():
            for _ in range(6):
                taken.append(await queue.get())
                await asyncio.sleep(0.05)
                queue.task_done()

        await asyncio.gather(produce(), consume())
        await queue.join()
        self.assertEqual(taken, [0, 1, 2, 3, 4, 5])

    async def test_a_condition_wakes_who_waits(self):
        condition, things, got = asyncio.Condition(), [], []

        async def wait():
            async with condition:
                await condition.wait_for(lambda: things)
                got.append(things.pop())

        waiting = [asyncio.create_task(wait()) for _ in range(3)]
        for number in range(3):
            await asyncio.sleep(0.1)
            async with condition:
                things.append(number)
                condition.notify()
        await asyncio.gather(*waiting)
        self.assertEqual(sorted(got), [0, 1, 2])

    async def test_a_barrier_lets_all_go(self):
        barrier, order = asyncio.Barrier(3), []

        async def work(number):
            await asyncio.sleep(number / 10)
            order.append("came")
            async with barrier:
                order.append("went")

        await asyncio.gather(*(work(number) for number in range(3)))
        self.assertEqual(order, ["came"] * 3 + ["went"] * 3)

    async def test_a_task_group_cancels_all_others(self):
        cancelled = []

        async def wait(number):
            try:
                await asyncio.sleep(1000)
            except asyncio.CancelledError:
                cancelled.append(number)
                raise

        with contextlib.suppress(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for number in range(4):
                    group.create_task(wait(number))
                await asyncio.sleep(0.1)
                raise ValueError
        self.assertEqual(sorted(cancelled), [0, 1, 2, 3])

    async def test_a_timeout_at_the_instant_of_the_end_is_one_of_both(self):
        for _ in range(3):
            ended = []

            async def work(ended=ended):
                await asyncio.sleep(0.5)
                ended.append(True)
                return "done"

            working = asyncio.create_task(work())
            try:
                async with asyncio.timeout(0.5):
                    self.assertEqual(await asyncio.shield(working), "done")
            except TimeoutError:
                self.assertEqual(await working, "done")
            self.assertEqual(ended, [True])

    async def test_what_is_shielded_goes_on(self):
        async def work():
            await asyncio.sleep(0.3)
            return "saved"

        saving = asyncio.create_task(work())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(saving), 0.1)
        self.assertEqual(await saving, "saved")

    async def test_a_cancelled_task_unwinds(self):
        log = []

        async def work():
            try:
                log.append("began")
                await asyncio.sleep(10)
            finally:
                await asyncio.sleep(0.1)
                log.append("cleaned")

        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.assertEqual(log, ["began", "cleaned"])

    @unittest.skipIf(sys.version_info < (3, 12), "eager tasks are of Python 3.12")
    async def test_an_eager_task_begins_at_once(self):
        self.loop.set_task_factory(asyncio.eager_task_factory)
        log = []

        async def work():
            log.append("began")
            await asyncio.sleep(0.1)
            log.append("went on")

        task = asyncio.create_task(work())
        log.append("made")
        await task
        self.assertEqual(log, ["began", "made", "went on"])
        self.loop.set_task_factory(None)

    async def test_context_variables_stay_with_their_task(self):
        async def work(name):
            NAME.set(name)
            await asyncio.sleep(0.1)
            return await asyncio.to_thread(NAME.get)

        self.assertEqual(await asyncio.gather(work("a"), work("b")), ["a", "b"])

    async def test_an_async_generator_is_closed(self):
        log = []

        async def numbers():
            try:
                for number in range(10):
                    yield number
                    await asyncio.sleep(0.1)
            finally:
                log.append("closed")

        async with contextlib.aclosing(numbers()) as each:
            async for number in each:
                if number == 2:
                    break
        self.assertEqual(log, ["closed"])

    async def test_protocol_callbacks_come_in_order(self):
        over = asyncio.Event()
        log = []

        class Server(asyncio.Protocol):
            def connection_made(self, transport):
                self.transport = transport
                log.append("made")

            def data_received(self, data):
                log.append(data)

            def eof_received(self):
                log.append("eof")

            def connection_lost(self, error):
                log.append("lost")
                over.set()

        server = await self.loop.create_server(Server, *HOST)
        transport, _ = await self.loop.create_connection(asyncio.Protocol, *HOST)
        transport.write(b"hello")
        transport.write_eof()
        await over.wait()
        transport.close()
        server.close()
        data = b"".join(each for each in log if isinstance(each, bytes))
        self.assertEqual((log[0], data, log[-2:]), ("made", b"hello", ["eof", "lost"]))

    async def test_a_stream_keeps_every_byte_in_order(self):
        sent, got = bytes(range(256)) * 300, bytearray()

        async def serve(reader, writer):
            while data := await reader.read(1000):
                got.extend(data)
            writer.close()
            over.set()

        over = asyncio.Event()
        server = await asyncio.start_server(serve, *HOST)
        _, writer = await asyncio.open_connection(*HOST)
        for start in range(0, len(sent), 7000):
            writer.write(sent[start:start + 7000])
            await writer.drain()
        writer.close()
        await over.wait()
        server.close()
        self.assertEqual(bytes(got), sent)

    async def test_half_closed(self):
        async def serve(reader, writer):
            writer.write((await reader.read()).upper())
            writer.close()

        server = await asyncio.start_server(serve, *HOST)
        reader, writer = await asyncio.open_connection(*HOST)
        writer.write(b"hello")
        writer.write_eof()
        self.assertEqual(await reader.read(), b"HELLO")
        writer.close()
        server.close()

    async def test_lines_over_one_connection(self):
        async def serve(reader, writer):
            async for line in reader:
                writer.write(line.upper())
            writer.close()

        server = await asyncio.start_server(serve, *HOST)
        reader, writer = await asyncio.open_connection(*HOST)
        for word in ("one", "two", "three"):
            writer.write(f"{word}\n".encode())
            self.assertEqual(await reader.readline(), f"{word.upper()}\n".encode())
        writer.close()
        await writer.wait_closed()
        server.close()

    async def test_several_clients(self):
        async def serve(reader, writer):
            writer.write(await reader.readexactly(5))
            await writer.drain()
            writer.close()

        async def ask(number):
            reader, writer = await asyncio.open_connection(*HOST)
            writer.write(f"{number:05}".encode())
            answer = await reader.read()
            writer.close()
            return int(answer)

        server = await asyncio.start_server(serve, *HOST)
        self.assertEqual(await asyncio.gather(*map(ask, range(5))), [0, 1, 2, 3, 4])
        server.close()

    async def test_datagrams_stay_whole(self):
        got, is_there = [], self.loop.create_future()

        class Server(asyncio.DatagramProtocol):
            def datagram_received(self, data, source):
                got.append(data)
                if len(got) == 4:
                    is_there.set_result(None)

        server, _ = await self.loop.create_datagram_endpoint(Server, local_addr=HOST)
        client, _ = await self.loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=HOST)
        for number in range(4):
            client.sendto(b"%d" % number * 50)
        await is_there  # a sleep may be over before the last one has come
        client.close()
        server.close()
        self.assertEqual(sorted(got), [b"%d" % number * 50 for number in range(4)])

    async def test_a_pair_of_streams(self):
        (reader, writer), (other_reader, other_writer) = await self.stream_pairs()
        writer.write(b"ping\n")
        self.assertEqual(await other_reader.readline(), b"ping\n")
        other_writer.write(b"pong\n")
        self.assertEqual(await reader.readline(), b"pong\n")

    async def test_a_fake_server(self):
        async def serve(reader, writer):
            writer.write((await reader.readline()).upper())

        server = await self.start_fake_server(serve, *HOST)
        reader, writer = await asyncio.open_connection(*HOST)
        writer.write(b"hello\n")
        self.assertEqual(await reader.readline(), b"HELLO\n")
        writer.close()
        self.assertEqual(server.received, b"hello\n")

    async def test_jobs_and_their_results(self):
        self.assertEqual(await asyncio.gather(*(asyncio.to_thread(str, number) for number in range(4))), list("0123"))

    async def test_an_advance_is_exact(self):
        ticks, began = [], self.now

        async def tick():
            while True:
                ticks.append(self.now - began)
                await asyncio.sleep(1)

        ticking = asyncio.create_task(tick())
        await self.advance(3.5)
        ticking.cancel()
        self.assertEqual([round(when, 6) for when in ticks], [0, 1, 2, 3])
