"""Races over a network, each beside its mended twin; in_memory.py says how they are written."""

import asyncio
import contextlib
import socket
import struct

from solipsism_unittest import SolipsistTestCase

HOST = "server.test", 80


class Client:
    """Requests of one line each and answers of one line, `number text`, over one connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls):
        return cls(*await asyncio.open_connection(*HOST))

    async def ask(self, text):
        self.writer.write(f"{text}\n".encode())
        return (await self.reader.readline()).decode().strip()

    async def close(self):
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Served(SolipsistTestCase):
    """A test with a server that answers each line by `answer()`; a connection ends when the client ends it."""

    async def asyncSetUp(self):
        self.server = await asyncio.start_server(self.serve, *HOST)
        self.addCleanup(self.server.close)

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                writer.write(f"{await self.answer(line.decode().strip())}\n".encode())
        writer.close()

    async def answer(self, text):
        return text.upper()

    async def client(self):
        client = await Client.connect()
        self.addCleanup(client.close)
        return client


class CutFrame(Served):
    """One read is taken for one message."""

    async def serve(self, reader, writer):
        writer.write(await self.receive(reader) + b"!")
        await reader.read()
        writer.close()

    async def receive(self, reader):
        return await reader.read(100)

    async def test(self):
        client = await self.client()
        client.writer.write(b"hello")
        client.writer.write_eof()
        self.assertEqual(await client.reader.read(), b"hello!")


class CutFrameMended(CutFrame):
    async def receive(self, reader):
        return await reader.read()


class CutHeader(Served):
    """The length in front of a message is unpacked from what has come of it."""

    async def serve(self, reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while header := await self.header(reader):
                size, = struct.unpack("!I", header)
                writer.write(await reader.readexactly(size))
        writer.close()

    async def header(self, reader):
        return await reader.read(4)

    async def test(self):
        client = await self.client()
        for _ in range(4):
            client.writer.write(struct.pack("!I", 5) + b"hello")
            self.assertEqual(await client.reader.readexactly(5), b"hello")


class CutHeaderMended(CutHeader):
    async def header(self, reader):
        return await reader.readexactly(4)


class TwoMessagesAtOnce(Served):
    """A client waits between two messages, and the server takes what comes in between for the first one."""

    async def serve(self, reader, writer):
        self.messages = []
        while message := await self.receive(reader):
            self.messages.append(message)
        writer.close()
        self.is_over.set()

    async def receive(self, reader):
        return await reader.read(100)

    async def test(self):
        self.is_over = asyncio.Event()
        client = await self.client()
        for message in (b"one\n", b"two\n"):
            client.writer.write(message)
            await asyncio.sleep(0.2)
        await client.close()
        await self.is_over.wait()
        self.assertEqual(self.messages, [b"one\n", b"two\n"])


class TwoMessagesAtOnceMended(TwoMessagesAtOnce):
    async def receive(self, reader):
        return await reader.readline()


class PartialWrite(SolipsistTestCase):
    """The number of bytes that send() has taken is thrown away."""

    def send(self, end, data):
        end.send(data)

    async def test(self):
        one, other = self.socketpair()
        one.setblocking(False)
        other.setblocking(False)
        self.send(one, b"x" * 100)
        one.shutdown(socket.SHUT_WR)
        came = b""
        while data := await self.loop.sock_recv(other, 100):
            came += data
        self.assertEqual(len(came), 100)


class PartialWriteMended(PartialWrite):
    def send(self, end, data):
        while data:
            data = data[end.send(data):]


class TimeoutAgainstAnswer(Served):
    """A request is sent again after a time, though the first may only be late: an order is placed twice."""

    orders = 0

    async def answer(self, text):
        if text not in self.known():
            self.orders += 1
            self.placed.append(text)
        return "done"

    def known(self):
        return ()

    async def test(self):
        self.placed = []
        for _ in range(3):
            client = await self.client()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await client.ask("order 7")
                    break
        await asyncio.sleep(5)
        self.assertEqual(self.orders, 1)


class TimeoutAgainstAnswerMended(TimeoutAgainstAnswer):
    def known(self):
        return self.placed


class StaleReply(Served):
    """The answer to a request that was given up is read as that to the next one."""

    async def ask(self, text):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                return await self.connection.ask(text)
        return None

    async def test(self):
        self.connection = await self.client()
        for text in ("one", "two", "three"):
            self.assertIn(await self.ask(text), (text.upper(), None))


class StaleReplyMended(StaleReply):
    async def ask(self, text):
        answer = await super().ask(text)
        if answer is None:
            self.connection = await self.client()
        return answer


class OrderOfReplies(Served):
    """Replies of several connections are taken for an ordered list."""

    async def ask_all(self, texts):
        answers = []

        async def ask(client, text):
            answers.append(await client.ask(text))

        await asyncio.gather(*[ask(await self.client(), text) for text in texts])
        return answers

    async def test(self):
        self.assertEqual(await self.ask_all(["a", "b", "c"]), ["A", "B", "C"])


class OrderOfRepliesMended(OrderOfReplies):
    async def ask_all(self, texts):
        return await asyncio.gather(*[(await self.client()).ask(text) for text in texts])


class LostUpdateOverTheNetwork(Served):
    """Two clients read a counter, add one and write it back, a moment apart."""

    async def answer(self, text):
        word, _, number = text.partition(" ")
        if word == "add":
            self.count += 1
        elif word == "set":
            self.count = int(number)
        return str(self.count)

    async def add(self, client):
        count = int(await client.ask("get"))
        await client.ask(f"set {count + 1}")

    async def test(self):
        self.count = 0
        one, other = await self.client(), await self.client()
        first = asyncio.create_task(self.add(one))
        await asyncio.sleep(0.1)
        await asyncio.gather(first, self.add(other))
        self.assertEqual(self.count, 2)


class LostUpdateOverTheNetworkMended(LostUpdateOverTheNetwork):
    async def add(self, client):
        await client.ask("add")


class StampedeOnTheServer(Served):
    """Two that miss the cache both ask the server behind it."""

    asked = 0

    async def answer(self, text):
        self.asked += 1
        return text.upper()

    async def get(self, text):
        if text not in self.cache:
            client = await self.client()
            self.cache[text] = await client.ask(text)
        return self.cache[text]

    async def test(self):
        self.cache = {}
        first = asyncio.create_task(self.get("key"))
        await asyncio.sleep(0.1)
        await asyncio.gather(first, self.get("key"))
        self.assertEqual(self.asked, 1)


class StampedeOnTheServerMended(StampedeOnTheServer):
    async def get(self, text):
        if text not in self.cache:
            self.cache[text] = asyncio.create_task(self.ask(text))
        return await self.cache[text]

    async def ask(self, text):
        return await (await self.client()).ask(text)


class ShutdownAgainstAccept(SolipsistTestCase):
    """A server that stops waits for the connections that it knows, and one is just coming."""

    async def serve(self, reader, writer):
        if self.refuses(writer):
            return
        self.count += 1
        await reader.read()
        self.count -= 1
        writer.close()

    def refuses(self, writer):
        self.assertFalse(self.is_stopped, "a connection after the end")
        return False

    async def test(self):
        self.count, self.is_stopped = 0, False
        server = await asyncio.start_server(self.serve, *HOST)
        connecting = asyncio.create_task(asyncio.open_connection(*HOST))
        await asyncio.sleep(0.2)
        self.is_stopped = self.count == 0
        _, writer = await connecting
        writer.close()
        await asyncio.sleep(3)
        server.close()


class ShutdownAgainstAcceptMended(ShutdownAgainstAccept):
    def refuses(self, writer):
        if self.is_stopped:
            writer.close()
        return self.is_stopped


class CallbackAfterClose(Served):
    """An answer comes when the one who asked has closed."""

    async def ask(self, client):
        answer = await client.ask("question")
        self.take(answer)

    def take(self, answer):
        self.assertTrue(self.is_open, "an answer after close")

    async def test(self):
        self.is_open = True
        client = await self.client()
        asking = asyncio.create_task(self.ask(client))
        await asyncio.sleep(0.3)
        self.is_open = False
        await asking


class CallbackAfterCloseMended(CallbackAfterClose):
    def take(self, answer):
        """It is too late for it."""


class AnswerBeforeRegistration(Served):
    """A request is sent, and who waits for its answer is noted a moment later."""

    async def listen(self, client):
        while line := await client.reader.readline():
            waiter = self.waiters.pop(line.decode().strip(), None)
            if waiter is not None:
                waiter.set_result(True)

    async def ask(self, client, text):
        client.writer.write(f"{text}\n".encode())
        await client.writer.drain()
        self.log.append(await asyncio.to_thread(len, text))  # writes it down
        return self.waiter_for(text)

    def waiter_for(self, text):
        self.waiters[text.upper()] = self.loop.create_future()
        return self.waiters[text.upper()]

    async def answer(self, text):
        await asyncio.sleep(0.05)
        return text.upper()

    async def test(self):
        self.waiters, self.log = {}, []
        client = await self.client()
        listening = asyncio.create_task(self.listen(client))
        for number in range(3):
            waiter = await self.ask(client, f"question {number}")
            self.assertTrue(await asyncio.wait_for(waiter, 60))
        await client.close()
        await listening


class AnswerBeforeRegistrationMended(AnswerBeforeRegistration):
    async def ask(self, client, text):
        waiter = self.waiter_for(text)
        client.writer.write(f"{text}\n".encode())
        await client.writer.drain()
        self.log.append(await asyncio.to_thread(len, text))
        return waiter


class HeartbeatKillsBusyPeer(SolipsistTestCase):
    """A peer that is busy for a moment is taken for dead."""

    patience = 1.2

    async def serve(self, reader, writer):
        try:
            for _ in range(3):
                async with asyncio.timeout(self.patience):
                    await reader.readexactly(1)
        except TimeoutError:
            self.is_dead = True
        writer.close()

    async def test(self):
        self.is_dead = False
        server = await asyncio.start_server(self.serve, *HOST)
        reader, writer = await asyncio.open_connection(*HOST)
        with contextlib.suppress(OSError):
            for _ in range(3):
                writer.write(b".")
                await asyncio.sleep(1)
            await reader.read()
        writer.close()
        server.close()
        self.assertFalse(self.is_dead)


class HeartbeatKillsBusyPeerMended(HeartbeatKillsBusyPeer):
    patience = 60


class InterleavedFrames(Served):
    """Two tasks write the parts of their messages to one connection, with an await between the parts."""

    async def serve(self, reader, writer):
        self.lines = (await reader.read()).split()
        writer.close()
        self.is_over.set()

    async def send(self, client, word):
        client.writer.write(word[:2])
        await asyncio.to_thread(len, word)  # compresses the rest
        client.writer.write(word[2:] + b" ")

    async def test(self):
        self.is_over, self.lock = asyncio.Event(), asyncio.Lock()
        client = await self.client()
        first = asyncio.create_task(self.send(client, b"hello"))
        await asyncio.sleep(0.02)
        await asyncio.gather(first, self.send(client, b"world"))
        await client.close()
        await self.is_over.wait()
        self.assertEqual(self.lines, [b"hello", b"world"])


class InterleavedFramesMended(InterleavedFrames):
    async def send(self, client, word):
        async with self.lock:
            await super().send(client, word)


class ReconnectStorm(Served):
    """Who has no answer in time connects again, and forgets the connection that he had."""

    async def ask(self, text):
        for _ in range(4):
            client = await Client.connect()
            self.open += 1
            try:
                async with asyncio.timeout(0.4):
                    answer = await client.ask(text)
            except TimeoutError:
                await self.leave(client)
            else:
                await self.close(client)
                return answer
        return None

    async def close(self, client):
        self.open -= 1
        await client.close()

    async def leave(self, client):
        self.addCleanup(client.close)

    async def test(self):
        self.open = 0
        await self.ask("question")
        self.assertEqual(self.open, 0)


class ReconnectStormMended(ReconnectStorm):
    async def leave(self, client):
        await self.close(client)


class DoubleReconnect(Served):
    """Two users of one broken connection both see that it is broken, and both connect again."""

    connects = 0

    async def connected(self):
        if self.connection is None:
            connection = await self.client()
            self.connects += 1
            self.connection = connection
        return self.connection

    async def use(self, when):
        await asyncio.sleep(when)
        await self.connected()

    async def test(self):
        self.connection, self.lock = None, asyncio.Lock()
        await asyncio.gather(self.use(0), self.use(0.3))
        self.assertEqual(self.connects, 1)


class DoubleReconnectMended(DoubleReconnect):
    async def connected(self):
        async with self.lock:
            return await super().connected()


class PoolLeak(Served):
    """A connection that is handed to a waiter at the very moment at which that gives up is nobody's.

    It takes two coincidences: the first user keeps the connection until the second has waited nearly as long as it
    can, and the end of its wait falls into the same turn of the loop.
    """

    async def acquire(self, patience):
        if self.free:
            return self.free.pop()
        waiter = self.loop.create_future()
        self.waiters.append(waiter)
        try:
            async with asyncio.timeout(patience):
                return await waiter
        except TimeoutError:
            self.give_up(waiter)
            raise

    def give_up(self, waiter):
        if waiter in self.waiters:
            self.waiters.remove(waiter)

    def release(self, client):
        while self.waiters:
            waiter = self.waiters.pop(0)
            if not waiter.done():
                waiter.set_result(client)
                return
        self.free.append(client)

    async def use(self, patience):
        with contextlib.suppress(TimeoutError):
            client = await self.acquire(patience)
            await client.ask("question")
            await asyncio.sleep(0.4)
            self.release(client)

    async def test(self):
        self.free, self.waiters = [await self.client()], []
        for _ in range(5):
            await asyncio.gather(self.use(9), self.use(0.6))
            self.assertEqual(len(self.free), 1, "a connection is lost")


class PoolLeakMended(PoolLeak):
    def give_up(self, waiter):
        super().give_up(waiter)
        if waiter.done() and not waiter.cancelled():
            self.release(waiter.result())


RACES = [(race, globals()[f"{race.__name__}Mended"]) for race in list(globals().values())
         if isinstance(race, type) and f"{race.__name__}Mended" in globals()]
