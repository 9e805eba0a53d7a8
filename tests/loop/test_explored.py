"""A loop that is explored: each kind of choice alone, what it leaves in order, and when it leaves time alone."""

import asyncio
import socket
import threading
import time
import unittest
import unittest.mock

from solipsism_unittest import SolipsistEventLoop, sealed
from solipsism_unittest.evidence.recording.ends import begin
from solipsism_unittest.kernel.choices import Explorer, kinds
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.loop.explored import explore

NEXT = kinds.STEPS + 1  # until exactly the next deadline
LONG = kinds.STEPS  # a second


async def first_read():
    """What a server reads first of "hello"."""
    got = []

    async def serve(reader, writer):
        got.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 80)
    reader, writer = await asyncio.open_connection("localhost", 80)
    writer.write(b"hello")
    await asyncio.gather(reader.read(), return_exceptions=True)  # what was not read resets it
    writer.close()
    server.close()
    return got[0]


class Everywhere(Fixed):
    """Every choice of these kinds differs, by the same value."""

    def __init__(self, values):
        super().__init__()
        self._by_kind = values

    def following(self, kind, index):
        return index + 1 if kind in self._by_kind else -1

    def value(self, kind, index, possible):
        return min(self._by_kind[kind], possible - 1)


class ExploredTest(unittest.TestCase):
    def explore(self, main, plan=None, **settings):
        """Run a coroutine function on a loop with this plan; give what it returns, and the explorer."""
        loop, explorer = SolipsistEventLoop(**settings), Explorer(plan or Fixed())
        self.addCleanup(loop.close)
        explore(loop, explorer)
        return loop.run_until_complete(main()), explorer

    def each(self, kind, main, value, number=None):
        """What a coroutine function gives with each choice of a kind in turn made otherwise, or with that of a number.
        """
        _, explorer = self.explore(main)
        numbers = range(explorer.counts[kind]) if number is None else [number]
        return [self.explore(main, Fixed({(kind, each): value}))[0] for each in numbers]

    # -- stalls

    def test_a_thread_that_is_due_while_the_machine_stalls(self):
        """It goes on after that, and time does not go back."""
        async def main():
            lock = threading.Lock()

            def work():
                with lock:
                    time.sleep(0.1)

            await asyncio.gather(*(asyncio.to_thread(work) for _ in range(3)))
            return time.monotonic()

        for value in range(1, NEXT):
            ended, explorer = self.explore(main, Everywhere({kinds.STALL: value}))
            self.assertGreater(ended, 0.3)

    def test_stalls_permute_nothing(self):
        """Callbacks run in the order of call_soon, and timers in that of their times, wherever the machine stalls."""
        async def main():
            loop, order = asyncio.get_running_loop(), []
            for number in range(5):
                loop.call_soon(order.append, number)
            for number in range(5):
                loop.call_later((7 - number) / 10, order.append, 10 - number)
            await asyncio.sleep(2)
            return order

        for value in (1, LONG, NEXT, NEXT + 1, NEXT + 3):
            for order in [*self.each(kinds.STALL, main, value), *self.each(kinds.WAKE, main, value),
                          self.explore(main, Everywhere({kinds.STALL: value, kinds.WAKE: value}))[0]]:
                self.assertEqual(order, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10])

    def test_two_timers_are_due_at_once(self):
        """A stall before a callback lets the deadlines pass that come meanwhile."""
        async def main():
            loop, seen = asyncio.get_running_loop(), []
            for when in (0.2, 0.5, 0.9):
                loop.call_at(when, lambda when=when: seen.append((when, loop.time())))
            await asyncio.sleep(1)
            return seen

        self.assertEqual(self.explore(main)[0], [(0.2, 0.2), (0.5, 0.5), (0.9, 0.9)])
        stalled = self.each(kinds.STALL, main, NEXT)
        self.assertIn([(0.2, 0.5), (0.5, 0.5), (0.9, 0.9)], stalled)
        self.assertIn([(0.2, 0.5 + 1e-4), (0.5, 0.5 + 1e-4), (0.9, 0.9)], self.each(kinds.WAKE, main, NEXT + 1))
        _, explorer = self.explore(main, Fixed({(kinds.WAKE, 0): NEXT}))
        self.assertAlmostEqual(explorer.put_in, 0.3)

    def test_answer_and_timeout_in_one_turn(self):
        """A machine that wakes too late finds what has arrived meanwhile, and the timers that are due: in one turn."""
        async def main():
            loop, seen = asyncio.get_running_loop(), []
            one, other = socket.socketpair()
            one.setblocking(False)
            loop.add_reader(one, lambda: seen.append((one.recv(5), loop.time())))
            loop.kernel.clock.deliver_at(0.25, lambda: other.send(b"hello"))
            loop.call_at(0.2, seen.append, 0.2)
            loop.call_at(0.3, seen.append, 0.3)
            await asyncio.sleep(1)
            loop.remove_reader(one)
            one.close(), other.close()
            return seen

        self.assertEqual(self.explore(main)[0], [0.2, (b"hello", 0.25), 0.3])
        self.assertEqual(self.each(kinds.WAKE, main, NEXT + 3, 0), [[(b"hello", 0.3 + 1e-4), 0.2, 0.3]])

    def test_the_test_moves_time(self):
        """While an advance() or settle() is under way the machine does not stall, and what follows is exact."""
        async def main():
            loop = asyncio.get_running_loop()
            began = loop.time()
            for _ in range(3):
                await loop.advance(1)
                await loop.settle()
            return loop.time() - began

        for _ in range(2):
            took, explorer = self.explore(main, Everywhere({kinds.STALL: 5, kinds.WAKE: 5}))
            self.assertEqual(took, 3)

    def test_time_stands_still(self):
        """Nor does it where time does not jump by itself, or while the clock is held; what is on its way arrives."""
        async def echo(reader, writer):
            writer.write(await reader.read(5))
            writer.close()

        async def main():
            loop = asyncio.get_running_loop()
            server = await asyncio.start_server(echo, "server.test", 80)
            reader, writer = await asyncio.open_connection("server.test", 80)
            writer.write(b"hello")
            data = await reader.readexactly(5)
            writer.close()
            server.close()
            return data, loop.time()

        async def held():
            with asyncio.get_running_loop().hold_clock():
                return await main()

        everywhere = Everywhere({kinds.STALL: LONG, kinds.WAKE: LONG, kinds.PACKET: LONG, kinds.LOOKUP: LONG})
        self.assertEqual(self.explore(main, everywhere, autojump=False)[0], (b"hello", 0.0))
        (data, when), _ = self.explore(held, everywhere)
        self.assertEqual((data, when), (b"hello", 1.0))  # the stall before its first step

    def test_cancelled_timers(self):
        """Cancelled timers are dropped: those on top at once, and all where they are many."""
        async def main():
            loop = asyncio.get_running_loop()
            timers = [loop.call_later(1000 + number, print) for number in range(200)]
            first = loop.call_later(0.5, print)
            first.cancel()
            await asyncio.sleep(1)
            self.assertNotIn(first, loop.timers())
            for timer in timers[:5]:
                timer.cancel()
            await asyncio.sleep(1)
            self.assertEqual(len(loop.timers()), len(timers) - 5)
            for timer in timers[:-1]:
                timer.cancel()
            await asyncio.sleep(1)
            self.assertEqual(loop.timers(), timers[-1:])
            timers[-1].cancel()
            await asyncio.sleep(1)
            return len(loop.timers()), loop._timer_cancelled_count

        self.assertEqual(self.explore(main)[0], (0, 0))

    def test_other_turns(self):
        """What runs, and when, is the same in debug mode, and where a tool has wrapped the method that runs handles."""
        async def main():
            loop, seen = asyncio.get_running_loop(), []
            for when in (0.3, 0.1, 0.3, 0.2):
                loop.call_later(when, lambda when=when: seen.append((when, loop.time())))
            loop.call_later(0.2, print).cancel()
            loop.call_soon(seen.append, "first")
            await asyncio.sleep(1)
            return seen

        async def debugged():
            asyncio.get_running_loop().set_debug(True)
            return await main()

        plan, ran = Everywhere({kinds.WAKE: NEXT}), []
        expected, _ = self.explore(main, plan)
        self.assertEqual(expected, ["first", (0.1, 0.2), (0.2, 0.2), (0.3, 1.0), (0.3, 1.0)])
        self.assertEqual(self.explore(debugged, plan)[0], expected)
        run = asyncio.Handle._run

        def wrapped(handle):
            ran.append(handle)
            run(handle)

        with unittest.mock.patch.object(asyncio.Handle, "_run", wrapped):
            self.assertEqual(self.explore(main, plan)[0], expected)
        self.assertGreaterEqual(len(ran), 8)

    def test_debug_mode(self):
        """In debug mode slow callbacks are logged, and an error with the line that made its callback."""
        async def main():
            loop = asyncio.get_running_loop()
            loop.set_debug(True)
            loop.slow_callback_duration = 0.5
            loop.call_soon(loop.kernel.clock.jump, 1.0)
            loop.call_soon(divmod, 1, 0)
            await asyncio.sleep(2)
            self.assertIs(loop._current_handle._callback.__self__, asyncio.current_task())

        with self.assertLogs("asyncio", "WARNING") as logs:
            self.explore(main)
        slow, error = logs.output
        self.assertRegex(slow, r"Executing <Handle .* took 1.000 seconds")
        self.assertRegex(error, r"<Handle divmod\(1, 0\) created at \S+test_explored.py:\d+>")

    def test_errors_of_callbacks(self):
        """An error in a callback goes to the handler of the loop, and an interrupt out of the loop."""
        async def main(error):
            loop, seen = asyncio.get_running_loop(), []
            loop.set_exception_handler(lambda loop, context: seen.append(context))
            loop.call_soon(fail, error)
            await asyncio.sleep(1)
            return seen

        def fail(error):
            raise error

        error = ValueError("broken")
        (context,), _ = self.explore(lambda: main(error))
        self.assertIs(context["exception"], error)
        self.assertIn("Exception in callback", context["message"])
        for error in (KeyboardInterrupt(), SystemExit()):
            with self.assertRaises(type(error)):
                self.explore(lambda error=error: main(error))

    def test_a_slow_callback(self):
        """One that burns the processor is named, in whatever place of its turn it stands."""
        async def main():
            loop = asyncio.get_running_loop()
            loop.slow_callback_duration = 0.01
            loop.selector.blocking.choose("ignore", "fail")
            for callback in (quick, burn, quick):
                loop.call_soon(callback)
            await asyncio.sleep(1)
            return loop.selector.blocking.report()

        def quick():
            pass

        def burn():
            until = time.thread_time() + 0.03
            while time.thread_time() < until:
                pass

        report, _ = self.explore(main)
        self.assertRegex(report, r"burn \(\S+test_explored\.py:\d+\)")
        self.assertNotIn("quick", report)

    def test_a_cancelled_callback(self):
        """A callback that is cancelled in its turn does not run."""
        async def main():
            loop, seen = asyncio.get_running_loop(), []
            loop.call_soon(lambda: handle.cancel())
            handle = loop.call_soon(seen.append, 1)
            await asyncio.sleep(1)
            return seen

        self.assertEqual(self.explore(main)[0], [])

    def test_limit_of_virtual_time(self):
        """What an exploration puts in does not count for the limit of virtual time."""
        async def main():
            loop = asyncio.get_running_loop()
            loop.selector.limits = loop.selector.limits._replace(horizon=3.5)
            for _ in range(3):
                await asyncio.sleep(1)
            return loop.selector.horizon

        horizon, explorer = self.explore(main, Fixed({(kinds.WAKE, 0): LONG, (kinds.WAKE, 1): LONG}))
        self.assertAlmostEqual(horizon, 5.5)

    # -- delays

    def talk(self, *, port=80):
        """A coroutine function: a client says two things to a server; gives when they came, and the bytes."""
        async def main():
            loop, came = asyncio.get_running_loop(), []

            async def serve(reader, writer):
                while data := await reader.read(100):
                    came.append((loop.time(), data))
                writer.close()

            server = await asyncio.start_server(serve, "server.test", port)
            _, writer = await asyncio.open_connection("server.test", port)
            writer.write(b"one,")
            await asyncio.sleep(0.01)
            writer.write(b"two")
            writer.close()
            await asyncio.sleep(5)
            server.close()
            return came

        return main

    def test_packets(self):
        """A packet takes its time, and those behind it wait: a stream stays in order."""
        main = self.talk()
        self.assertEqual(self.explore(main)[0], [(0.0, b"one,"), (0.01, b"two")])
        for value in (LONG, NEXT, 3):
            for came in self.each(kinds.PACKET, main, value):
                self.assertEqual(b"".join(data for _, data in came), b"one,two")
        came = self.each(kinds.PACKET, main, LONG)
        self.assertIn([(1.0, b"one,two")], came)
        self.assertTrue(any(each[0][0] == 1.0 and len(each) == 2 for each in came), came)

    def test_a_slow_connection(self):
        """One choice makes every packet of a connection slow."""
        (came, explorer), = [self.explore(self.talk(), Fixed({(kinds.CONNECTION, 0): LONG}))]
        self.assertEqual([data for _, data in came], [b"one,", b"two"])
        self.assertAlmostEqual(came[0][0], 3.0)  # two packets until it is connected, and one of data
        self.assertAlmostEqual(came[1][0], 3.01)
        self.assertEqual(len(explorer.made), 1)

    def test_datagrams_and_look_ups(self):
        """A datagram and a look-up take their time; datagrams overtake each other."""
        async def main():
            loop, came = asyncio.get_running_loop(), []

            class Server(asyncio.DatagramProtocol):
                def datagram_received(self, data, source):
                    came.append(data)

            server, _ = await loop.create_datagram_endpoint(Server, ("server.test", 53))
            client, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("server.test", 53))
            client.sendto(b"one")
            client.sendto(b"two")
            await asyncio.sleep(5)
            client.close()
            server.close()
            return b"".join(came), loop.time()

        self.assertEqual(self.explore(main)[0], (b"onetwo", 5.0))
        self.assertEqual(self.each(kinds.PACKET, main, LONG), [(b"twoone", 5.0), (b"onetwo", 5.0)])
        self.assertEqual(self.each(kinds.LOOKUP, main, LONG), [(b"onetwo", 6.0)] * 2)

    def test_a_look_up_that_is_cancelled(self):
        """Who gives up a slow look-up is not woken by it later."""
        async def main():
            loop = asyncio.get_running_loop()
            try:
                await asyncio.wait_for(loop.getaddrinfo("slow.test", 80), 0.5)
            except TimeoutError:
                await asyncio.sleep(5)
                return "given up"

        self.assertEqual(self.each(kinds.LOOKUP, main, LONG), ["given up"])

    def test_what_follows_a_look_up_belongs_to_the_same_instant(self):
        """settle() and advance() wait for what goes on when a slow look-up has landed, however many steps that takes.
        """
        async def look_up(steps):
            loop = asyncio.get_running_loop()
            await loop.getaddrinfo("slow.test", 80)
            for _ in range(3):
                await asyncio.sleep(0)
            await loop.getaddrinfo("slower.test", 80)
            steps.append(loop.time())

        async def settles():
            task = asyncio.create_task(look_up(steps := []))
            await asyncio.get_running_loop().settle()
            return steps, task.done()

        async def advances():
            task = asyncio.create_task(look_up(steps := []))
            await asyncio.get_running_loop().advance(0.5)
            return len(steps), task.done()

        for value in (1, LONG):
            everywhere = Everywhere({kinds.LOOKUP: value})
            self.assertEqual([*self.each(kinds.LOOKUP, settles, value), self.explore(settles, everywhere)[0]],
                             [([0.0], True)] * 3)
            self.assertEqual([*self.each(kinds.LOOKUP, advances, value), self.explore(advances, everywhere)[0]],
                             [(1, True)] * 3)

    def test_jobs(self):
        """The result of a job takes its time, so that it may come after that of a later one."""
        async def main():
            loop, order = asyncio.get_running_loop(), []
            for number in range(3):
                loop.run_in_executor(None, int).add_done_callback(lambda _, number=number: order.append(number))
            await asyncio.sleep(5)
            await loop.shutdown_default_executor()
            return order

        self.assertEqual(self.explore(main)[0], [0, 1, 2])
        self.assertEqual(self.each(kinds.JOB, main, LONG), [[1, 2, 0], [0, 2, 1], [0, 1, 2]])

    def test_blocking_sockets(self):
        """What a blocking socket waits for in the loop's thread is not delayed, and its send takes all bytes."""
        async def main():
            with socket.create_server(("localhost", 4000)) as listener:
                one = socket.create_connection(("localhost", 4000))
                other, _ = listener.accept()
                with one, other:
                    sent = one.send(bytes(1000))
                    return sent, len(other.recv(1000, socket.MSG_WAITALL))

        everything = Everywhere(dict.fromkeys(range(len(kinds.NAMES)), 7))
        self.assertEqual(self.explore(main, everything)[0], (1000, 1000))

    def test_a_blocking_socket_of_a_thread(self):
        """The same in a thread, which waits."""
        async def main():
            with socket.create_server(("localhost", 4000)) as listener:
                def serve():
                    connection, _ = listener.accept()
                    with connection:
                        connection.sendall(connection.recv(100).upper())

                thread = threading.Thread(target=serve)
                thread.start()
                reader, writer = await asyncio.open_connection("localhost", 4000)
                writer.write(b"hello")
                data = await reader.read()
                writer.close()
                await asyncio.to_thread(thread.join)
                await asyncio.get_running_loop().shutdown_default_executor()
                return data

        self.assertEqual(self.explore(main)[0], b"HELLO")
        for value in (LONG, 3):
            self.assertLessEqual(set(self.each(kinds.PACKET, main, value)), {b"HELLO"})

    # -- order

    def pairs(self, family):
        """A coroutine function: three sockets get a byte at once; gives who was told, turn by turn."""
        async def main():
            loop, told = asyncio.get_running_loop(), []
            listener = socket.create_server(("localhost", 0)) if family == "tcp" else None
            ends = []
            for name in "abc":
                if listener is not None:
                    one = socket.create_connection(listener.getsockname())
                    other, _ = listener.accept()
                else:
                    one, other = socket.socketpair()
                for end in (one, other):
                    end.setblocking(False)

                def hear(one=one, name=name):
                    one.recv(1)
                    told.append(name)

                loop.add_reader(one, hear)
                ends.append((one, other))
            for _, other in ends:
                other.send(b"x")
            loop.call_soon(told.append, "|")
            loop.call_soon(lambda: loop.call_soon(told.append, "|"))
            await asyncio.sleep(1)
            for one, other in ends:
                loop.remove_reader(one)
                one.close(), other.close()
            if listener is not None:
                listener.close()
            return "".join(told)

        return main

    def test_order_of_ready_descriptors(self):
        """Of several that are ready any may be reported first."""
        for family in ("tcp", "unix"):
            plain = self.explore(self.pairs(family))[0]
            self.assertEqual(plain.replace("|", ""), "abc")
            orders = {told.replace("|", "") for value in (1, 2)
                      for told in self.each(kinds.ORDER, self.pairs(family), value)}
            self.assertLessEqual({"bac", "cab"}, orders)

    def test_a_turn_later(self):
        """One that came over a network may be reported a turn later, others never."""
        late = {told.replace("|", "") for told in self.each(kinds.LATER, self.pairs("tcp"), 1)}
        self.assertIn("bca", late)
        _, explorer = self.explore(self.pairs("unix"))
        self.assertEqual(explorer.counts[kinds.LATER], 0)

    def test_one_alone_while_the_loop_is_busy(self):
        """One alone is late only where the loop has something else to do: time does not go on instead."""
        async def main():
            loop, told = asyncio.get_running_loop(), []
            server = await asyncio.start_server(lambda reader, writer: writer.close(), "localhost", 80)
            _, writer = await asyncio.open_connection("localhost", 80)
            for _ in range(20):
                await asyncio.sleep(0)
            told.append(loop.time())
            writer.close()
            server.close()
            await asyncio.sleep(1)
            return told

        for told in self.each(kinds.LATER, main, 1):
            self.assertEqual(told, [0.0])

    def test_order_of_sets(self):
        """The sets of tasks that asyncio hands out are in another order, and those that it keeps."""
        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(1, number)) for number in range(4)]
            done, _ = await asyncio.wait(tasks)
            return [task.result() for task in done]

        self.assertEqual(self.explore(main)[0], [0, 1, 2, 3])
        orders = [order for value in range(1, 8) for order in self.each(kinds.SETS, main, value)]
        self.assertGreater(len(set(map(tuple, orders))), 3)
        self.assertTrue(all(sorted(order) == [0, 1, 2, 3] for order in orders))

    def test_an_order_stays(self):
        """A set that does not change is in one order."""
        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(number)) for number in range(4)]
            done, pending = await asyncio.wait(tasks, timeout=0.5)
            seen = list(pending) == list(pending), len(done), len(list(done))
            await asyncio.wait(pending)
            return seen

        for seen in self.each(kinds.SETS, main, 5):
            self.assertEqual(seen, (True, 1, 1))

    # -- cuts

    def test_cuts(self):
        """A read gets a part of what is there, a write takes a part, and the rest comes next."""
        async def main():
            one, other = socket.socketpair()
            one.setblocking(False), other.setblocking(False)
            with one, other:
                sent = one.send(b"0123456789")
                sizes = [sent, len(other.recv(4))]
                buffer = bytearray(4)
                if sum(sizes[1:]) < sent:
                    sizes.append(other.recv_into(buffer))
                while sum(sizes[1:]) < sent:
                    sizes.append(len(other.recv(100)))
                return sizes

        self.assertEqual(self.explore(main)[0], [10, 4, 4, 2])
        self.assertEqual(self.explore(main, Fixed({(kinds.SEND, 0): 3}))[0], [3, 3])
        self.assertEqual(self.explore(main, Fixed({(kinds.RECV, 0): 1}))[0], [10, 1, 4, 5])
        self.assertEqual(self.explore(main, Fixed({(kinds.RECV, 1): 1}))[0], [10, 4, 1, 5])
        self.assertEqual(self.explore(main, Fixed({(kinds.RECV, 2): 1}))[0], [10, 4, 4, 1, 1])

    def test_a_refused_part_is_let_go(self):
        """Who handles the error of a send may resize the buffer that he gave, as asyncio's transports do."""
        async def main():
            with socket.create_server(("127.0.0.1", 0)) as listener:
                one = socket.create_connection(listener.getsockname())
                other = listener.accept()[0]
            with one:
                one.setblocking(False)
                one.send(b"unread")
                other.close()
                buffer = bytearray(b"0123456789")
                try:
                    one.send(buffer)
                except ConnectionResetError:
                    buffer.clear()
                return buffer

        self.assertEqual(self.explore(main)[0], b"")

    def test_what_is_not_cut(self):
        """A single byte, an error, the end of a stream and a datagram stay whole."""
        async def main():
            one, other = socket.socketpair()
            datagrams = socket.socketpair(type=socket.SOCK_DGRAM)
            for end in (one, other, *datagrams):
                end.setblocking(False)
            with one, other, datagrams[0], datagrams[1]:
                seen = []
                with self.assertRaises(BlockingIOError):
                    other.recv(10)
                with self.assertRaises(BlockingIOError):
                    other.recv_into(bytearray(10))
                seen.append(one.send(b"x"))
                seen.append(other.recv(10))
                one.close()
                seen.append(other.recv(10))
                seen.append(other.recv_into(bytearray(10)))
                seen.append(datagrams[0].send(b"datagram"))
                seen.append(datagrams[1].recv(100))
                with self.assertRaises(BrokenPipeError):
                    other.send(b"to nobody")
                return seen

        everything = Everywhere(dict.fromkeys(range(len(kinds.NAMES)), 1))
        self.assertEqual(self.explore(main, everything)[0], [1, b"x", b"", 0, 8, b"datagram"])

    def test_accepted_ends(self):
        """The other ends of connections are cut too."""
        self.assertIn(b"he", self.each(kinds.RECV, first_read, 2))

    def test_evidence_of_what_was_cut(self):
        """Ends that write down what goes through them are cut as others, and those that they accept."""
        async def main():
            tape = begin(asyncio.get_running_loop().kernel)
            got = await first_read()
            return got, [event.facts[0] for event in tape.events if event.kind == "read"][0]

        self.assertIn((b"he", 2), self.each(kinds.RECV, main, 2))

    def test_nothing_without_an_explorer(self):
        """Another loop beside it is as ever. Both have their timers in a line."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        explored = SolipsistEventLoop()
        self.addCleanup(explored.close)
        explore(explored, Explorer(Fixed()))
        self.assertTrue(loop.is_lean and explored.is_lean)
        self.assertNotIn("_run_once", vars(loop))
        with sealed(loop):
            one, other = socket.socketpair()
        self.assertEqual({type(file).__name__ for file in loop.kernel.files.values()}, {"Stream"})
        one.close(), other.close()


if __name__ == "__main__":
    unittest.main()
