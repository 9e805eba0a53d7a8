"""Blocking calls: refused in the loop's own thread, and waiting in virtual time in any other."""

import asyncio
import concurrent.futures
import errno
import math
import os
import select
import selectors
import socket
import ssl
import threading
import unittest
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, sealed
from solipsism_unittest.errors import SleepForeverError, SolipsismError
from solipsism_unittest.kernel.descriptors.file import os_error
from solipsism_unittest.stdlib import waiting
from solipsism_unittest.stdlib.threads.pacing.patience import is_idle
from tests.worlds import World as VirtualWorld


class EndedTest(unittest.TestCase):
    def test_a_world_that_ends_before_the_wait(self):
        """Between the look whether a thread may wait and its wait: the call is refused, by its name and the time."""
        loop = SolipsistEventLoop(start_time=7.0)
        with sealed(loop):
            loop.close()
            said = r"^socket\.recv\(\) of a thread waited in a world that has ended at t=7\.0"
            with self.assertRaisesRegex(SolipsismError, said):
                waiting.carry_out(loop.world, self.fail, [], None, "socket.recv")

    def test_a_world_that_ends_in_the_wait(self):
        """It is refused where the wait itself says nothing of that."""
        loop = SolipsistEventLoop(start_time=7.0)
        self.addCleanup(loop.close)
        baton = loop.world.baton

        def end(*args, **kwargs):
            baton.over = True
            return True

        def attempt():
            raise BlockingIOError

        said = r"^socket\.recv\(\) of a thread waited in a world that has ended at t=7\.0"
        with sealed(loop), mock.patch.object(baton, "wait", end), self.assertRaisesRegex(SolipsismError, said):
            waiting.carry_out(loop.world, attempt, (), None, "socket.recv")


class AloneTest(VirtualWorld):
    """A thread that is alone, and runs no loop: a plain test of a program with blocking sockets."""

    def test_timeouts(self):
        """What has a timeout waits for that, as on a real machine: in virtual time."""

        def body():
            found, (one, two) = [], socket.socketpair()
            with one, two, socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(
                    socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
                datagrams.bind(("127.0.0.1", 0))
                for sock, call, *args in (
                        (listener, listener.accept), (one, one.recv, 1), (one, one.recv_into, bytearray(1)),
                        (datagrams, datagrams.recvfrom, 1)):
                    sock.settimeout(0.01)
                    with self.assertRaises(TimeoutError) as raised:
                        call(*args)
                    found.append(str(raised.exception))
                poll = select.poll()
                poll.register(one, select.POLLIN)
                found += [select.select([one], [], [], 0.01), poll.poll(10)]
                with selectors.DefaultSelector() as selector:
                    selector.register(one, selectors.EVENT_READ)
                    found.append(selector.select(0.01))
            return found

        self.both(body)
        self.assertAlmostEqual(self.loop.time(), 0.07)

    def test_a_black_hole(self):
        """A connect that nobody answers ends at its timeout; what comes later is waited for until then."""
        self.loop.kernel.network.partition("*", "lost.test")
        self.loop.kernel.network.link("*", "far.test", latency=1)

        def body():
            with self.assertRaises(TimeoutError):
                socket.create_connection(("lost.test", 80), timeout=5)
            self.assertEqual(self.loop.time(), 5)
            with socket.create_server(("far.test", 80)), socket.create_connection(("far.test", 80), timeout=5):
                self.assertEqual(self.loop.time(), 7)

        self.virtual(body)

    def test_tls(self):
        """So does a handshake."""

        def body():
            with socket.create_server(("api.test", 443)), \
                    socket.create_connection(("api.test", 443), timeout=5) as plain, \
                    self.assertRaises(TimeoutError):
                ssl.create_default_context().wrap_socket(plain, server_hostname="api.test")

        self.virtual(body)
        self.assertEqual(self.loop.time(), 5)


class World(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.loop.slow_callback_duration = math.inf
        self.addCleanup(self.loop.close)
        with sealed(self.loop):
            self.one, self.two = socket.socketpair()
        self.addCleanup(self.one.close)
        self.addCleanup(self.two.close)

    def run_beside(self, work, main=None):
        """What `work()` gives in a thread of an executor, while `main()` runs in the loop; and when that was."""

        async def both():
            job = asyncio.get_running_loop().run_in_executor(None, work)
            if main is not None:
                await main()
            return await job, self.loop.time()

        return self.loop.run_until_complete(both())

    async def later(self, call, *args):
        await asyncio.sleep(3)
        call(*args)


class InAThreadTest(World):
    def test_receiving(self):
        """A recv() in a thread waits until bytes are sent, at their virtual time."""
        for call in (lambda: self.one.recv(9), lambda: self.one.recvfrom(9)[0], lambda: self.one.recvmsg(9)[0]):
            start = self.loop.time()
            result = self.run_beside(call, lambda: self.later(self.two.send, b"hello"))
            self.assertEqual(result, (b"hello", start + 3))

    def test_a_thread_of_its_own(self):
        """A thread that is no executor's waits in virtual time too."""

        async def main():
            done = asyncio.get_running_loop().create_future()

            def work():
                data = self.one.recv(9)
                self.loop.call_soon_threadsafe(done.set_result, data)

            thread = threading.Thread(target=work)
            thread.start()
            await self.later(self.two.send, b"hello")
            data = await done
            thread.join()
            return data, self.loop.time()

        self.assertEqual(self.loop.run_until_complete(main()), (b"hello", 3.0))

    def test_all_of_it(self):
        """MSG_WAITALL waits for as much as was asked for, however it comes."""
        buffer = bytearray(6)

        async def drip():
            for part in (b"ab", b"cd", b"ef"):
                await self.later(self.two.send, part)

        result = self.run_beside(lambda: self.one.recv_into(buffer, 0, socket.MSG_WAITALL), drip)
        self.assertEqual((result, bytes(buffer)), ((6, 9.0), b"abcdef"))

    def test_sending(self):
        """A sendall() in a thread goes on as room is made."""
        data = bytes(200_000)

        async def read():
            self.two.setblocking(False)
            left = len(data)
            while left:
                await asyncio.sleep(1)
                left -= len(await self.loop.sock_recv(self.two, 50_000))

        self.assertEqual(self.run_beside(lambda: self.one.sendall(data), read), (None, 4.0))

    def test_timeout(self):
        """A timeout passes in virtual time, and is the TimeoutError of a real socket; time goes on for the job."""
        self.one.settimeout(60)

        def work():
            with self.assertRaisesRegex(TimeoutError, "^timed out$"):
                self.one.recv(1)
            with self.assertRaises(TimeoutError):
                self.one.recv(1, socket.MSG_DONTWAIT)  # a socket with a timeout asks first
            self.one.settimeout(None)
            return errno.errorcode[self.failing_receive()]

        self.assertEqual(self.run_beside(work), ("EAGAIN", 120.0))

    def failing_receive(self):
        with self.assertRaises(BlockingIOError) as caught:
            self.one.recv(1, socket.MSG_DONTWAIT)
        return caught.exception.errno

    def test_server_and_client(self):
        """A blocking server in one thread talks to a blocking client in another, and an asyncio client beside."""
        with sealed(self.loop):
            listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        address = listener.getsockname()

        def serve():
            for _ in range(2):
                connection, _ = listener.accept()
                with connection, connection.makefile("rwb") as file:
                    file.write(b"you said " + file.readline())

        def ask():
            with socket.create_connection(address) as client, client.makefile("rwb") as file:
                file.write(b"thread\n")
                file.flush()
                return file.readline()

        async def main():
            server = self.loop.run_in_executor(None, serve)
            client = self.loop.run_in_executor(None, ask)
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"task\n")
            answers = await reader.readline(), await client
            writer.close()
            await server
            return answers

        with listener:
            self.assertEqual(self.loop.run_until_complete(main()), (b"you said task\n", b"you said thread\n"))

    def test_several_threads_on_one_descriptor(self):
        """Each of them is woken, whoever came first: what comes at once or later, to read, to accept and to write."""
        with sealed(self.loop):
            one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            listener = socket.create_server(("127.0.0.1", 0))
        self.enterContext(one)
        self.enterContext(two)
        self.enterContext(listener)

        async def main():
            run = self.loop.run_in_executor
            for pause in (0, 1):
                jobs = [run(None, two.recv, 9) for _ in range(3)] + [run(None, select.select, [two], [], [])]
                await asyncio.sleep(1)
                for data in (b"1", b"2", b"3"):
                    one.send(data)
                    await asyncio.sleep(pause)
                self.assertEqual(sorted(await asyncio.gather(*jobs[:3])), [b"1", b"2", b"3"])
                one.send(b"4")
                self.assertEqual((await jobs[3], two.recv(1)), (([two], [], []), b"4"))
            jobs = [run(None, listener.accept) for _ in range(3)]
            await asyncio.sleep(1)
            clients = [socket.create_connection(listener.getsockname()) for _ in jobs]
            for end in [*clients, *(accepted for accepted, _ in await asyncio.gather(*jobs))]:
                end.close()
            self.one.setblocking(False)
            self.one.send(bytes(10**6))
            self.one.setblocking(True)
            jobs = [run(None, self.one.sendall, bytes(50_000)) for _ in range(2)]
            await asyncio.sleep(1)
            reading = run(None, self.drain, 2**16 + 100_000)
            await asyncio.gather(*jobs, reading)

        self.loop.run_until_complete(main())

    def drain(self, size):
        """Receive so many bytes, in a thread."""
        while size > 0:
            size -= len(self.two.recv(10_000))

    def test_one_of_several_gives_up(self):
        """A timeout of one call leaves the others waiting on the same descriptor."""
        def receive(seconds):
            with self.two.dup() as end:
                end.settimeout(seconds)
                try:
                    return end.recv(9)
                except TimeoutError:
                    return self.loop.time()

        async def main():
            jobs = [self.loop.run_in_executor(None, receive, seconds) for seconds in (1, 50, 2)]
            await asyncio.sleep(5)
            self.one.send(b"late")
            return await asyncio.gather(*jobs)

        self.assertEqual(self.loop.run_until_complete(main()), [1.0, b"late", 2.0])

    def test_connecting(self):
        """A connect() that nobody lets in yet waits; what it is told in the end is what connect_ex() gives."""
        with sealed(self.loop):
            listener = socket.create_server(("127.0.0.1", 0), backlog=0)
            first, second = socket.create_connection(listener.getsockname()), socket.socket()
        with listener, first, second:
            result = self.run_beside(lambda: second.connect_ex(listener.getsockname()),
                                     lambda: self.later(lambda: listener.accept()[0].close()))
        self.assertEqual(result, (0, 3.0))

    def test_a_long_wait(self):
        """A thread waits as long as it takes, in virtual time."""
        result = self.run_beside(lambda: self.one.recv(9), lambda: self.later(self.two.send, b"x"))
        self.assertEqual(result, (b"x", 3.0))

    def test_errors(self):
        """What goes wrong is raised in the thread that called."""
        self.two.close()

        def work():
            with self.assertRaises(BrokenPipeError):
                self.one.sendall(b"x")
            return self.one.recv(1)

        self.assertEqual(self.run_beside(work), (b"", 0.0))

    def test_a_timeout_of_the_connection(self):
        """An ETIMEDOUT of the connection itself is not taken for the end of the timeout."""

        def attempt():
            raise os_error(errno.ETIMEDOUT)

        def work():
            with self.assertRaises(TimeoutError) as caught:
                waiting.carry_out(self.loop.world, attempt, [], 5, "recv")
            return caught.exception.errno

        self.assertEqual(self.run_beside(work), (errno.ETIMEDOUT, 0.0))

    def test_a_hang(self):
        """A thread that nobody can wake is in the diagnosis, with its name and its socket."""

        def work():
            threading.current_thread().name = "worker-7"
            with self.assertRaisesRegex(SolipsismError, r"recv\(\) of a thread waited in a world that has ended"):
                self.one.recv(1)
            ended.set()

        ended = threading.Event()

        async def main():
            await asyncio.get_running_loop().run_in_executor(None, work)

        words = r"(?s)  thread \S+_0 started at .* waits for recv\(\) on <stream"
        with (asyncio.Runner(loop_factory=lambda: self.loop) as runner,
              self.assertRaisesRegex(SleepForeverError, words)):
            runner.run(main())
        self.assertTrue(ended.wait(20))

    def test_the_loop_ends_first(self):
        """A thread that waits in a loop that was closed without a runner's care is told so."""
        pool = concurrent.futures.ThreadPoolExecutor(1)
        self.addCleanup(pool.shutdown)

        async def main():
            job = pool.submit(self.one.recv, 1)
            await asyncio.sleep(1)
            return job

        job = self.loop.run_until_complete(main())
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False
        self.loop.close()
        with self.assertRaisesRegex(SolipsismError, "has ended at t=1.0: end or join the thread before the loop ends"):
            job.result(20)

    def test_without_a_running_loop(self):
        """While the loop does not run, a thread may use what is there, and a wait is refused."""
        self.two.send(b"x")

        def work():
            with sealed(self.loop):
                data = self.one.recv(9)
                self.one.settimeout(5)
                with self.assertRaisesRegex(TimeoutError, "timed out"):
                    self.one.recv(9)
            return data

        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            self.assertEqual(pool.submit(work).result(), b"x")
        self.assertEqual(self.loop.time(), 5.0)


class BesideALoopThatStandsTest(World):
    """Blocking calls of threads while the loop does not run."""

    def setUp(self):
        super().setUp()
        self.answers = []

    def start(self, work, *args):
        """Start a thread of the world, whose answer or error is kept."""
        def run():
            try:
                self.answers.append(work(*args))
            except Exception as error:
                self.answers.append(error)

        with sealed(self.loop):
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
        self.addCleanup(thread.join, 10)
        return thread

    def serve(self, listener):
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(100):
                connection.sendall(data.upper())

    def listener(self):
        with sealed(self.loop):
            listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        return listener

    async def talk(self, address):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        writer.close()
        await writer.wait_closed()
        return answer

    def test_a_server_that_waits_before_the_loop_runs(self):
        """The loop takes over what a thread waits for, whatever that is, and for how long it has waited."""
        for pause in (0, 0.03):
            listener = self.listener()
            thread = self.start(self.serve, listener)
            thread.join(pause)
            self.assertEqual(self.loop.run_until_complete(self.talk(listener.getsockname())), b"HELLO")
            thread.join(10)
        self.assertEqual((self.answers, self.loop.time()), ([None, None], 0.0))

    def test_a_server_that_waits_between_two_runs(self):
        """A thread that waited while the loop ran acts by itself when it has stopped, and the loop again later."""
        listener = self.listener()

        def serve_three():
            for _ in range(3):
                self.serve(listener)

        thread = self.start(serve_three)
        self.assertEqual(self.loop.run_until_complete(self.talk(listener.getsockname())), b"HELLO")
        with sealed(self.loop), socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"hello")
            self.assertEqual(client.recv(100), b"HELLO")
        self.assertEqual(self.loop.run_until_complete(self.talk(listener.getsockname())), b"HELLO")
        thread.join(10)
        self.assertEqual(self.answers, [None])

    def test_two_threads_without_the_loop(self):
        """Two threads talk to each other though the loop never runs."""
        def ask(address):
            with socket.create_connection(address) as client:
                client.sendall(b"hello")
                return client.recv(100)

        listener = self.listener()
        self.start(self.serve, listener)
        self.start(ask, listener.getsockname()).join(10)
        self.assertEqual(self.answers[0], b"HELLO")

    def test_pipes_and_polling(self):
        """os.read() and select() wait as sockets do."""
        with sealed(self.loop):
            reader, writer = os.pipe()
            threads = [self.start(os.read, reader, 9),
                       self.start(lambda: len(select.select([self.one], [], [])[0]))]
            os.write(writer, b"hello")
            self.two.send(b"hello")
            for thread in threads:
                thread.join(10)
            os.close(reader)
            os.close(writer)
        self.assertEqual(sorted(map(repr, self.answers)), ["1", "b'hello'"])

    def test_timeouts_while_the_loop_stands(self):
        """When everybody waits, time goes to the earliest timeout, and costs no real time."""
        self.one.settimeout(50)
        self.two.settimeout(20)
        threads = [self.start(self.one.recv, 1), self.start(self.two.recv, 1)]
        for thread in threads:
            thread.join(10)
        self.assertEqual([str(answer) for answer in self.answers], ["timed out"] * 2)
        self.assertEqual(self.loop.time(), 50.0)

    def test_a_timeout_that_has_begun(self):
        """A timeout that began before the loop ran ends when it should."""
        self.one.settimeout(50)
        thread = self.start(self.one.recv, 1)
        thread.join(0.01)
        self.loop.run_until_complete(asyncio.sleep(60))
        thread.join(10)
        self.assertEqual([str(answer) for answer in self.answers], ["timed out"])

    def test_after_a_run(self):
        """A call goes on by itself when the loop stops, and waits on when it runs again."""
        thread = self.start(self.one.recv, 9)
        self.loop.run_until_complete(asyncio.sleep(1))
        with sealed(self.loop):
            self.two.send(b"hello")
            thread.join()
        self.assertEqual(self.answers, [b"hello"])
        self.loop.run_until_complete(asyncio.sleep(1))
        self.assertEqual(self.loop.time(), 2)

    def test_a_closed_loop(self):
        """Nobody can wait in a world whose loop is closed: its sockets are."""
        with sealed(self.loop):
            self.loop.close()
            with self.assertRaises(OSError) as caught:
                self.one.recv(9)
        self.assertEqual(caught.exception.errno, errno.EBADF)

    def test_the_thread_of_the_loop(self):
        """The loop's own thread may wait for another one; when all of them wait, that is refused."""
        def late():
            self.two.send(self.two.recv(9))
            self.two.recv(9)

        left = [thread for thread in threading.enumerate() if thread is not threading.main_thread()
                and not is_idle(thread)]
        self.assertEqual(left, [], "what another test has left may bring something: it would be waited for")
        self.start(late)
        with sealed(self.loop):
            self.one.send(b"hello")
            self.assertEqual(self.one.recv(9), b"hello")
            refused = (r"^no thread can go on at t=0\.0\n  thread Thread-\d+ \(run\) started at .* waits for recv\(\) "
                       r"on <stream(.*\n)*  thread MainThread waits for recv\(\) on <stream")
            with self.assertRaisesRegex(SleepForeverError, refused):
                self.one.recv(9)
            self.one.send(b"bye")

    def test_a_world_that_ends(self):
        """A thread that waits beside a loop that never ran is told when that is closed."""
        thread = self.start(self.one.recv, 1)
        thread.join(0.01)
        self.loop.close()
        thread.join(10)
        self.assertRegex(str(self.answers[0]), r"^recv\(\) of a thread waited in a world that has ended at t=0\.0: ")

    def test_a_loop_that_runs_already(self):
        """run_forever() inside a run is refused, and the run goes on for the threads too."""
        async def main():
            with self.assertRaisesRegex(RuntimeError, "already running"):
                self.loop.run_forever()
            return self.loop.world.runs

        self.assertTrue(self.loop.run_until_complete(main()))


if __name__ == "__main__":
    unittest.main()
