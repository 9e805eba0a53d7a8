"""What a task waits for, in words: the same on every Python, without addresses, and never the cause of another
error.
"""

import asyncio
import concurrent.futures
import signal
import socket
import threading
import unittest

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, socketpair, stream_pairs
from solipsism_unittest.hangs import report as diagnosis
from solipsism_unittest.hangs.waits import _future_words, _socket_words, waits_for
from solipsism_unittest.hangs.words import where
from solipsism_unittest.introspection.tasks import await_chain


def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


async def reason(coroutine, name="subject"):
    """Let a task run until it waits, return what for, in words, and cancel it."""
    task = asyncio.create_task(coroutine, name=name)
    await asyncio.get_running_loop().settle()
    words = waits_for(task, await_chain(task))
    task.cancel()
    await asyncio.wait([task])
    return words


def words_of(task):
    """What a task waits for now."""
    return waits_for(task, await_chain(task))


class WordsTest(unittest.TestCase):
    def assertWaits(self, make, words):
        """`make()` gives a coroutine that waits for what `words` say, whole."""

        async def main():
            return await reason(make())

        self.assertEqual(run(main()), words)

    def test_locks(self):
        """Each kind of lock has its words, and the object's state."""

        async def condition():
            condition = asyncio.Condition()
            async with condition:
                await condition.wait()

        async def lock():
            lock = asyncio.Lock()
            async with lock, lock:
                pass

        self.assertWaits(lambda: asyncio.Event().wait(), "Event 1, which nobody sets: <Event [unset, waiters:1]>")
        self.assertWaits(lock, "Lock 1 (lock), which it holds itself: <Lock [locked, waiters:1]>")
        self.assertWaits(
            condition,
            "Condition 1 (condition), which nobody notifies: <Condition [unlocked, waiters:1]>",
        )
        self.assertWaits(
            lambda: asyncio.Semaphore(0).acquire(),
            "Semaphore 1, and nobody can tell who holds it: no task is inside its `async with`: "
            "<Semaphore [locked, waiters:1]>",
        )
        self.assertWaits(lambda: asyncio.Barrier(2).wait(), "the others at Barrier 1: <Barrier [filling, waiters:1/2]>")

    def test_an_event_that_a_signal_would_set(self):
        """Who waits for a signal that nobody sends is told of which."""
        async def program():
            stopping = asyncio.Event()
            for number in (signal.SIGTERM, signal.SIGHUP):
                asyncio.get_running_loop().add_signal_handler(number, stopping.set)
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, print)
            await stopping.wait()

        class Case(SolipsistTestCase):
            async def test_alone(self):
                await program()

            async def test_beside(self):
                await self.run_program(program)

            def test_whole(self):
                self.run_program(program)

        for name in ("test_alone", "test_beside", "test_whole"):
            with self.subTest(name):
                result = unittest.TestResult()
                Case(name).run(result)
                self.assertIn(" (stopping), which nobody sets, though a handler of SIGTERM or SIGHUP would: "
                              "send it, as self.send_signal() does: <Event [unset, waiters:1]>", result.errors[0][1])

    def test_a_barrier_that_drains(self):
        """A barrier that others still leave is told as one to be free again."""

        async def main():
            barrier = asyncio.Barrier(1)
            barrier._state = type(barrier._state).DRAINING

            async def wait():
                await barrier.wait()

            return await reason(wait())

        self.assertRegex(run(main()), r"^Barrier 1 \(barrier\) to be free again: <Barrier ")

    def test_the_lock_of_a_condition(self):
        """A condition that was notified and whose lock is held is told as such."""

        async def main():
            condition = asyncio.Condition()

            async def wait():
                async with condition:
                    await condition.wait()

            task = asyncio.create_task(wait())
            await asyncio.sleep(0)
            async with condition:
                condition.notify()
                await asyncio.sleep(0)
                words = waits_for(task, await_chain(task))
            await task
            return words

        self.assertRegex(run(main()), r"^the lock of Condition 1 \(condition\), once it was notified: Task-1 holds it$")

    def test_queues(self):
        """A queue is told by what one does to it."""

        def full():
            queue = asyncio.Queue(1)
            queue.put_nowait("item")
            return queue

        self.assertWaits(
            lambda: asyncio.Queue().get(), "get() from a queue that nobody puts into: <Queue maxsize=0 _getters[1]>"
        )
        self.assertWaits(
            lambda: full().put("other"),
            "put() into a queue that nobody gets from (1 of 1 item): "
            "<Queue maxsize=1 _queue=['item'] _putters[1] tasks=1>",
        )
        self.assertWaits(
            lambda: full().join(),
            "join() of a queue that nobody finishes (1 without task_done(), 1 still in it): "
            "<Queue maxsize=1 _queue=['item'] tasks=1>",
        )

    def test_look_ups(self):
        """A slow look-up is told by its name, whoever connects there."""

        def connecting():
            asyncio.get_running_loop().kernel.network.delay_lookup("slow.test", 5)
            return asyncio.open_connection("slow.test", 80)

        self.assertWaits(connecting, "the look-up of 'slow.test'")

    def test_tasks_and_futures(self):
        """Other tasks are named: one, a gather, a wait, a group, a shield, a wait_for; a bare future has nobody."""

        def child(name="child"):
            return asyncio.create_task(asyncio.sleep(60), name=name)

        def future():
            return asyncio.get_running_loop().create_future()

        async def awaiting(thing):
            await thing()

        async def group():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(60), name="child")

        async def first():
            for item in asyncio.as_completed([future()]):
                await item

        self.assertWaits(lambda: awaiting(child), "task child")
        self.assertWaits(lambda: awaiting(future), "a future that nobody has resolved")
        self.assertWaits(lambda: awaiting(lambda: asyncio.shield(child())), "shield() of task child")
        self.assertWaits(
            lambda: awaiting(lambda: asyncio.gather(child(), future(), future())),
            "gather() of 3, still pending: child, 2 futures",
        )
        self.assertWaits(
            lambda: awaiting(lambda: asyncio.gather(*[child(f"child-{n}") for n in range(12)])),
            "gather() of 12, still pending: child-0, child-1, child-2, child-3, child-4 and 7 more",
        )
        self.assertWaits(lambda: asyncio.wait([child()]), "wait() for 1, still pending: child")
        self.assertWaits(group, "the tasks of a TaskGroup: child")
        self.assertWaits(lambda: asyncio.wait_for(child(), None), "wait_for() of task child")
        self.assertWaits(lambda: asyncio.wait_for(future(), None), "wait_for() of a future that nobody has resolved")
        self.assertWaits(first, "the next of as_completed()")

    def test_time(self):
        """A sleep says when it is due, and an advance where it goes."""

        async def main():
            loop = asyncio.get_running_loop()
            loop.autojump = False
            sleeping = await reason(asyncio.sleep(5))
            with loop.hold_clock():
                task = asyncio.create_task(loop.advance(2.5))
                turn = asyncio.create_task(asyncio.sleep(0))
                await asyncio.sleep(0)
                words = [waits_for(each, await_chain(each)) for each in (task, turn)]
                task.cancel()
            fresh = asyncio.create_task(asyncio.sleep(0))
            words.append(waits_for(fresh, []))
            await fresh
            return [sleeping, *words]

        self.assertEqual(
            run(main()), ["sleep(5), due at t=5.0", "advance_to(2.5)", "sleep(0), its next turn", "its next turn"]
        )

    def test_streams(self):
        """A reader says what it wants, what has come, and who its peer is; a drain() how much is unsent."""

        async def main():
            (reader, writer), (peer, other) = await stream_pairs(10)
            end = "<stream joined in memory established 0 of 10 bytes to read>"

            async def lines():
                async for _ in reader:
                    pass

            for make, words in (
                (lambda: reader.read(7), f"read(7) from {end}"),
                (reader.readline, f"readline() from {end}"),
                (lines, f"the next line from {end}"),
            ):
                self.assertEqual(await reason(make()), words)
            other.write(b"a")
            self.assertEqual(
                await reason(reader.readexactly(5)), f"readexactly(5) from {end}, and 1 byte has come so far: b'a'"
            )
            other.write(b"bc")
            self.assertEqual(
                await reason(reader.readexactly(5)), f"readexactly(5) from {end}, and 3 bytes have come so far: b'abc'"
            )
            so_far = f" from {end}, and 3 bytes have come so far: b'abc', "
            for make, words in (
                (reader.readline, f"readline(){so_far}no newline among them"),
                (lambda: reader.readuntil(b"\r\n"), f"readuntil(){so_far}no b'\\r\\n' among them"),
                (reader.read, f"read(-1){so_far}and not their end"),
            ):
                self.assertEqual(await reason(make()), words)
            reader.feed_data(bytes(200))
            self.assertRegex(await reason(reader.readline()),
                             r" 200 bytes have come so far: b'(\\x00){40}'\.\.\., no newline among them$")
            other.transport.pause_reading()
            writer.write(bytes(100_000))
            self.assertRegex(
                await reason(writer.drain()),
                r"^drain\(\), because the peer does not read: 99990 bytes unsent, <stream .* 10 of 10 bytes not read",
            )
            writer.close()
            self.assertRegex(await reason(writer.wait_closed()), "^wait_closed[(][)] of <stream ")
            writer.transport.abort()
            other.transport.abort()

        run(main())

    def test_a_reader_without_a_connection(self):
        """A reader that was never connected is told as such, and one whose socket is closed too."""
        self.assertWaits(lambda: asyncio.StreamReader().read(), "read(-1) from nothing: it has no connection")
        self.assertEqual(_socket_words(object()), "a closed socket")

    def test_sockets_and_servers(self):
        """The loop's own socket calls and the waits of a server say on what."""

        async def main():
            one, two = socketpair()
            with one, two:
                words = [await reason(asyncio.get_running_loop().sock_recv(one, 5))]
            server = await asyncio.start_server(lambda reader, writer: None, "localhost", 8000)
            words.append(await reason(server.serve_forever()))
            server.close()
            return words

        words = run(main())
        self.assertRegex(words[0], r"^sock_recv\(\) on <stream joined in memory established 0 of \d+ bytes to read>$")
        self.assertRegex(words[1], "^serve_forever[(][)] of <stream 127.0.0.1:8000 listening ")

    def test_a_connection_that_begins(self):
        """Before its first turn a plain connection waits for that, and no handshake."""

        async def main():
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "localhost", 8000)
            task = asyncio.create_task(asyncio.open_connection("localhost", 8000))
            while not task.done():
                await asyncio.sleep(0)
                words.append(words_of(task))
            server.close()
            task.result()[1].close()

        words = []
        run(main())
        self.assertIn("connection_made(), in the loop's next turn", words)
        self.assertNotIn("the TLS handshake", words)

    def test_two_calls_on_one_descriptor(self):
        """The earlier of two reads, or of two writes, says whose call took its place, and the later one does not."""

        async def main():
            loop, words = asyncio.get_running_loop(), []
            one, two = socketpair(5)
            listener = socket.create_server(("127.0.0.1", 8000))
            listener.setblocking(False)
            one.send(b"12345")
            for sock, call in (
                (one, lambda: loop.sock_recv(one, 5)), (listener, lambda: loop.sock_accept(listener)),
                (one, lambda: loop.sock_recv_into(one, bytearray(5))), (one, lambda: loop.sock_sendall(one, b"x")),
            ):
                tasks = [asyncio.create_task(call(), name=name) for name in ("early", "late")]
                await asyncio.sleep(0)
                early, late = (words_of(task) for task in tasks)
                words.append((early.partition(">: ")[2], late.endswith(">")))
                late = tasks.pop()
                late.cancel()
                await asyncio.wait([late])
                words.append(words_of(tasks[0]).partition(">: ")[2])
                (loop.add_reader if len(words) < 9 else loop.add_writer)(sock, print)
                words.append(words_of(tasks[0]).partition(">: ")[2])
                loop.remove_reader(sock)
                loop.remove_writer(sock)
                tasks[0].cancel()
                await asyncio.wait(tasks)
            alone = asyncio.create_task(loop.sock_recv(one, 5))
            await asyncio.sleep(0)
            words.append(words_of(alone).endswith(">"))
            one.close()
            words.append(words_of(alone))
            alone.cancel()
            for sock in (two, listener):
                sock.close()
            return words

        rule = "for asyncio has one reader and one writer for a descriptor: let one task make these calls, one after " \
               "the other"
        each = [(f"a call of late, which came later, took its place, {rule}", True),
                f"a call that came later, and has ended, took its place, {rule}",
                f"a call that came later (<built-in function print>) took its place, {rule}"]
        self.assertEqual(run(main()), [*each * 4, True, "sock_recv() on a closed socket"])

    def test_no_frames(self):
        """A chain without a frame is nowhere, and one of plumbing alone is told by its module."""

        async def main():
            task = asyncio.create_task(asyncio.sleep(5))
            await asyncio.sleep(0)
            return where([]), where(await_chain(task))

        self.assertEqual(run(main()), ("nowhere", "asyncio.tasks.sleep"))

    def test_bytes_in_flight(self):
        """A read says how many bytes the peer has written that have not come yet."""

        async def main():
            (reader, writer), (_, peer) = await stream_pairs(10)
            writer.transport.pause_reading()
            words = []
            for size in 1, 24:
                peer.write(bytes(size))
                words += [await reason(reader.readexactly(25))]
            writer.transport.abort()
            peer.transport.abort()
            return words

        one, many = run(main())
        self.assertRegex(one, r"^readexactly\(25\) from <stream .*>, and 1 byte is in flight$")
        self.assertRegex(many, r"^readexactly\(25\) from <stream .*>, and 25 bytes are in flight$")

    def test_a_connect_at_a_full_backlog(self):
        """A connect that nobody accepts says at which listener it stands."""

        async def main():
            loop = asyncio.get_running_loop()
            with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
                listener.bind(("127.0.0.1", 8000))
                listener.listen(0)
                for face in (first, second):
                    face.setblocking(False)
                await loop.sock_connect(first, ("127.0.0.1", 8000))
                return await reason(loop.sock_connect(second, ("127.0.0.1", 8000)))

        self.assertRegex(
            run(main()),
            r"^sock_connect\(\) on <stream .* connecting.*>: its queue is full, and nobody accepts: "
            r"<stream 127\.0\.0\.1:8000 listening 1 to accept \(backlog 0\)>$",
        )

    def test_threads(self):
        """A job of another thread is told as such, by the name of its function where that shows."""

        async def main():
            loop = asyncio.get_running_loop()
            done = threading.Event()
            job = loop.run_in_executor(None, done.wait)

            async def wait_for_it():
                await job

            tasks = [asyncio.create_task(each) for each in (wait_for_it(), asyncio.to_thread(done.wait))]
            await asyncio.sleep(0)
            words = [waits_for(task, await_chain(task)) for task in tasks]
            words.append(diagnosis.report("stopped", loop.kernel, tasks))
            done.set()
            await asyncio.wait(tasks)
            return words

        in_executor, to_thread, report = run(main())
        self.assertRegex(in_executor, "^a job of another thread, which (is running|waits for a free thread|has ended)$")
        self.assertEqual(to_thread, "to_thread() of Event.wait")
        self.assertIn("2 tasks wait for ever", report)

    def test_a_timeout(self):
        """A task inside timeout() says when that ends it: the first of several."""

        async def wait():
            async with asyncio.timeout(7), asyncio.timeout(5), asyncio.timeout(None):
                await asyncio.Event().wait()

        async def main():
            loop = asyncio.get_running_loop()
            loop.autojump = False
            return await reason(wait())

        self.assertEqual(
            run(main()), "Event 1, which nobody sets: <Event [unset, waiters:1]>; a timeout ends it at t=5.0"
        )

    def test_the_state_of_a_job(self):
        """A job is running, has ended, or waits for a free thread."""
        states = []
        for make in ("set_running_or_notify_cancel", "set_result", None):
            loop = SolipsistEventLoop()
            self.addCleanup(loop.close)
            source = concurrent.futures.Future()
            future = asyncio.wrap_future(source, loop=loop)
            if make is not None:
                getattr(source, make)(*([None] if make == "set_result" else []))
            states.append(_future_words(future))
        self.assertEqual(
            states,
            [
                f"a job of another thread, which {state}"
                for state in ("is running", "has ended", "waits for a free thread")
            ],
        )


class FakeServerTest(SolipsistTestCase):
    async def test_a_fake_server_that_nobody_calls(self):
        """A test that plays a server in vain is told that nobody connects."""
        server = await self.start_fake_server()
        self.assertRegex(await reason(server.accept()), "^accept[(][)]: nobody connects to <FakeServer localhost:60001")
