"""Clean programs on bare sockets, pipes, readers and writers of the loop, and selectors."""

import asyncio
import contextlib
import errno
import os
import select
import selectors
import socket
import struct
import tempfile
import threading

from solipsism_unittest import SolipsistTestCase


class SocketTest(SolipsistTestCase):
    async def test_a_socket_in_a_with_block(self):
        """A socket that is made and closed."""
        with socket.socket() as face:
            face.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.assertEqual(face.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY), 1)
        self.assertEqual(face.fileno(), -1)

    async def test_a_socket_that_was_detached_and_taken_over(self):
        """detach() hands the descriptor to another socket, which closes it."""
        number = socket.socket().detach()
        with socket.socket(fileno=number) as face:
            self.assertEqual(face.family, socket.AF_INET)

    async def test_a_duplicate(self):
        """A connection is open until its last duplicate is closed."""
        one, two = socket.socketpair()
        copy = one.dup()
        one.close()
        copy.send(b"from the copy")
        copy.close()
        self.assertEqual((two.recv(100), two.recv(100)), (b"from the copy", b""))
        two.close()

    async def test_a_server_of_sock_calls(self):
        """sock_accept(), sock_connect(), sock_sendall() and sock_recv()."""
        listener = socket.create_server(("127.0.0.1", 8000))
        listener.setblocking(False)

        async def serve():
            face, _ = await self.loop.sock_accept(listener)
            with face:
                await self.loop.sock_sendall(face, (await self.loop.sock_recv(face, 100)).upper())

        async with asyncio.TaskGroup() as group:
            group.create_task(serve())
            with socket.socket() as client:
                client.setblocking(False)
                await self.loop.sock_connect(client, ("127.0.0.1", 8000))
                await self.loop.sock_sendall(client, b"shout")
                answer = await self.loop.sock_recv(client, 100)
        listener.close()
        self.assertEqual(answer, b"SHOUT")

    async def test_a_cancelled_accept(self):
        """An accept that is given up leaves the listener alone."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)
            accepting = asyncio.create_task(self.loop.sock_accept(listener))
            await asyncio.sleep(1)
            accepting.cancel()
            await asyncio.wait([accepting])
        self.assertTrue(accepting.cancelled())

    async def test_a_cancelled_recv(self):
        """A recv that is given up takes nothing away."""
        one, two = socket.socketpair()
        with one, two:
            one.setblocking(False)
            with self.assertRaises(TimeoutError):
                async with asyncio.timeout(1):
                    await self.loop.sock_recv(one, 10)
            two.send(b"still here")
            self.assertEqual(await self.loop.sock_recv(one, 10), b"still here")

    async def test_a_cancelled_sendall(self):
        """A send of which a part went out is given up."""
        one, two = self.socketpair(capacity=10)
        sending = asyncio.create_task(self.loop.sock_sendall(one, b"x" * 25))
        await self.settle()
        self.assertEqual(await self.loop.sock_recv(two, 100), b"x" * 10)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        self.assertTrue(sending.cancelled())

    async def test_a_cancelled_connect(self):
        """A connect into a black hole is given up and its socket closed."""
        self.network.drop("hole.test")
        with socket.socket() as face:
            face.setblocking(False)
            with self.assertRaises(TimeoutError):
                await asyncio.wait_for(self.loop.sock_connect(face, ("hole.test", 80)), 30)
        self.assertNow(30)

    async def test_received_into_a_buffer(self):
        """sock_recv_into() fills a slice."""
        one, two = self.socketpair()
        two.send(b"wxyz")
        buffer = bytearray(b"....")
        self.assertEqual(await self.loop.sock_recv_into(one, memoryview(buffer)[1:3]), 2)
        self.assertEqual(buffer, b".wx.")

    async def test_sending_a_file(self):
        """sock_sendfile() sends a file from where it stands."""
        one, two = self.socketpair()
        with tempfile.TemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            self.assertEqual(await self.loop.sock_sendfile(one, file, 4, 3), 3)
        self.assertEqual(two.recv(100), b"456")

    async def test_an_error_of_a_socket(self):
        """Calls that fail leave the socket as it was."""
        with socket.socket() as face:
            with self.assertRaises(OSError) as caught:
                face.recv(1)
            self.assertEqual(caught.exception.errno, errno.ENOTCONN)

    async def test_a_reset_by_linger(self):
        """A socket that is closed with linger 0 resets its peer."""
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        face, _ = listener.accept()
        face.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        face.close()
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        client.close()
        listener.close()

    async def test_a_connection_nobody_accepted(self):
        """A connection in the backlog goes with its listener."""
        with socket.create_server(("127.0.0.1", 0)) as listener, \
                socket.create_connection(listener.getsockname()) as one:
            self.assertEqual(one.getpeername(), listener.getsockname())

    async def test_half_closed_by_hand(self):
        """shutdown() says that there is no more, and both are closed later."""
        with contextlib.ExitStack() as stack:
            one, two = map(stack.enter_context, socket.socketpair())
            one.sendall(b"all")
            one.shutdown(socket.SHUT_WR)
            two.sendall(b"thanks")
            self.assertEqual((two.recv(9), two.recv(9), one.recv(9)), (b"all", b"", b"thanks"))

    async def test_a_file_over_a_socket(self):
        """makefile() keeps the socket open until it is closed itself."""
        one, two = socket.socketpair()
        two.sendall(b"line 1\nline 2\n")
        two.close()
        with one.makefile("rb") as lines:
            one.close()
            self.assertEqual(list(lines), [b"line 1\n", b"line 2\n"])

    async def test_closed_by_a_cleanup(self):
        """addCleanup(socket.close) is enough."""
        face = socket.socket(socket.AF_INET6)
        self.addCleanup(face.close)
        face.bind(("::1", 0))
        self.assertGreater(face.getsockname()[1], 0)

    async def test_a_unix_socket_and_its_file(self):
        """A bound path is there until it is unlinked."""
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as face:
            path = f"{folder}/s"
            face.bind(path)
            self.assertTrue(os.path.exists(path))
            os.unlink(path)
            self.assertFalse(os.path.exists(path))

    async def test_a_socket_that_a_thread_uses(self):
        """A job reads from a blocking socket, in virtual time."""
        one, two = socket.socketpair()
        with one, two:
            self.loop.call_later(5, two.send, b"for the job")
            self.assertEqual(await asyncio.to_thread(one.recv, 100), b"for the job")
        self.assertNow(5)


class CallbackTest(SolipsistTestCase):
    async def test_a_reader_that_is_removed(self):
        """add_reader() calls until remove_reader()."""
        one, two = self.socketpair()
        got = bytearray()

        def read():
            got.extend(one.recv(2))
            if len(got) >= 5:
                self.loop.remove_reader(one)

        self.loop.add_reader(one, read)
        two.send(b"12345")
        await self.settle()
        self.assertEqual((bytes(got), self.loop.remove_reader(one)), (b"12345", False))

    async def test_a_writer_that_is_removed(self):
        """add_writer() waits for room."""
        one, two = self.socketpair(capacity=3)
        room = self.loop.create_future()
        one.send(b"abc")
        self.loop.add_writer(one, room.set_result, "room")
        self.assertFalse(room.done())
        two.recv(3)
        self.assertEqual(await room, "room")
        self.assertTrue(self.loop.remove_writer(one))

    async def test_a_reader_that_is_removed_by_a_cleanup(self):
        """A cleanup takes the registration back, and closes the sockets after that."""
        one, two = socket.socketpair()
        for face in (one, two):
            self.addCleanup(face.close)
        calls = []
        self.loop.add_reader(one.fileno(), calls.append, "ready")
        self.addCleanup(self.loop.remove_reader, one.fileno())
        await asyncio.sleep(1)
        self.assertEqual(calls, [])

    async def test_a_reader_that_is_exchanged(self):
        """A second add_reader() takes the place of the first."""
        one, two = self.socketpair()
        first, second = [], []
        self.loop.add_reader(one, lambda: first.append(one.recv(10)))
        self.loop.add_reader(one, lambda: second.append(one.recv(10)))
        two.send(b"to whom?")
        await self.settle()
        self.loop.remove_reader(one)
        self.assertEqual((first, second), ([], [b"to whom?"]))

    async def test_both_directions(self):
        """A reader and a writer on one socket are removed one after the other."""
        one, two = self.socketpair()
        seen = set()
        self.loop.add_reader(one, lambda: (seen.add("read"), one.recv(1)))
        self.loop.add_writer(one, lambda: (seen.add("write"), self.loop.remove_writer(one)))
        two.send(b"!")
        await self.settle()
        self.assertTrue(self.loop.remove_reader(one))
        self.assertEqual(seen, {"read", "write"})


class PipeTest(SolipsistTestCase):
    async def test_a_pipe_by_hand(self):
        """os.pipe(), write, read, close."""
        reading, writing = os.pipe()
        os.write(writing, b"through the pipe")
        os.close(writing)
        self.assertEqual((os.read(reading, 100), os.read(reading, 100)), (b"through the pipe", b""))
        os.close(reading)

    async def test_a_pipe_as_files(self):
        """Both ends as files in a with block."""
        reading, writing = os.pipe()
        with open(reading) as source:
            with open(writing, "w") as sink:
                print("line", file=sink)
            self.assertEqual(source.read(), "line\n")

    async def test_connect_read_pipe(self):
        """A stream reader on a pipe that ends, and takes its file with it."""
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader),
                                                         os.fdopen(reading, "rb", 0))
        self.loop.call_later(1, os.write, writing, b"tick\n")
        self.loop.call_later(2, os.close, writing)
        self.assertEqual([line async for line in reader], [b"tick\n"])
        transport.close()

    async def test_a_read_pipe_that_is_left_early(self):
        """A read transport is closed before the other end."""
        reading, writing = os.pipe()
        transport, _ = await self.loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reading, "rb", 0))
        transport.close()
        await asyncio.sleep(0)
        with self.assertRaises(BrokenPipeError):
            os.write(writing, b"too late")
        os.close(writing)

    async def test_connect_write_pipe(self):
        """A write transport sends all before it closes."""
        reading, writing = os.pipe()
        transport, _ = await self.loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
        transport.write(b"log line\n")
        transport.close()
        await asyncio.sleep(0)
        with open(reading, "rb") as source:
            self.assertEqual(source.read(), b"log line\n")

    async def test_a_write_pipe_that_is_aborted(self):
        """A stuck writer is aborted with its bytes."""
        reading, writing = os.pipe()
        transport, _ = await self.loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(writing, "wb", 0))
        transport.write(bytes(1_000_000))
        self.assertGreater(transport.get_write_buffer_size(), 0)
        transport.abort()
        os.close(reading)

    async def test_a_read_from_a_pipe_that_is_cancelled(self):
        """Who waits at a pipe is cancelled; both ends are closed."""
        reading, writing = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await self.loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader),
                                                         os.fdopen(reading, "rb", 0))
        with self.assertRaises(TimeoutError):
            await asyncio.wait_for(reader.readline(), 1)
        transport.close()
        os.close(writing)

    async def test_a_self_pipe(self):
        """A program that wakes itself by a byte in a pipe."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        woken = asyncio.Event()
        self.loop.add_reader(reading, lambda: (os.read(reading, 1), woken.set()))
        self.loop.call_later(2, os.write, writing, b"\0")
        await woken.wait()
        self.loop.remove_reader(reading)
        os.close(reading)
        os.close(writing)
        self.assertNow(2)


class PollingTest(SolipsistTestCase):
    async def test_select(self):
        """select() sees who is ready."""
        one, two = self.socketpair()
        two.send(b"x")
        self.assertEqual(select.select([one, two], [], [], 0), ([one], [], []))

    async def test_a_selector_that_is_closed(self):
        """A DefaultSelector in a with block."""
        one, two = self.socketpair()
        with selectors.DefaultSelector() as selector:
            selector.register(one, selectors.EVENT_READ, data="one")
            two.send(b"y")
            [(key, events)] = selector.select(0)
        self.assertEqual((key.data, events), ("one", selectors.EVENT_READ))

    async def test_poll(self):
        """A poll object has nothing to close."""
        one, _ = self.socketpair()
        poll = select.poll()
        poll.register(one, select.POLLIN | select.POLLOUT)
        self.assertEqual(poll.poll(0), [(one.fileno(), select.POLLOUT)])

    async def test_an_epoll_in_a_thread(self):
        """An epoll loop in a thread that ends when its pair does."""
        one, two = socket.socketpair()
        got = []

        def serve():
            with select.epoll() as epoll, one:
                epoll.register(one, select.EPOLLIN)
                while True:
                    epoll.poll()
                    data = one.recv(10)
                    if not data:
                        break
                    got.append(data)

        thread = threading.Thread(target=serve)
        thread.start()
        two.send(b"to the thread")
        await asyncio.sleep(0.01)
        two.close()
        await asyncio.to_thread(thread.join)
        self.assertEqual(b"".join(got), b"to the thread")


class FileTest(SolipsistTestCase):
    async def test_real_files(self):
        """Files of the user are real, and nobody's business."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "settings.ini")
            with open(path, "w") as file:
                file.write("[main]\n")
            os.rename(path, path + ".bak")
            self.assertEqual(os.listdir(folder), ["settings.ini.bak"])
