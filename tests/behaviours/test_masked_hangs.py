"""Hangs behind a heartbeat: found by reasoning where nothing can wake the main task, and nowhere else."""

import asyncio
import contextlib
import functools
import queue
import socket
import threading
import unittest

from solipsism_unittest import SleepForeverError, SolipsistEventLoop, SolipsistTestCase, stream_pairs
from solipsism_unittest.loop.selector import Limits

SOON = 1_000  # jumps until the first question in most of these tests
LONG = 5 * SOON  # ticks of a heartbeat: beyond some questions
LATEST = 50_000  # virtual seconds: each heart beats once in one
EVENT = None  # what a poller may find among the globals of its module


def make_loop():
    loop = SolipsistEventLoop()
    loop.selector.limits = Limits(jumps=SOON)
    return loop


def run(main, make=make_loop):
    with asyncio.Runner(loop_factory=make) as runner:
        return runner.run(main)


async def beat():
    while True:
        await asyncio.sleep(1)


async def after(ticks, call, *args):
    for _ in range(ticks):
        await asyncio.sleep(1)
    call(*args)


async def set_a_global():
    for _ in range(LONG):
        await asyncio.sleep(1)
    EVENT.set()


async def cancel_everybody():
    for _ in range(LONG):
        await asyncio.sleep(1)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


def call_later_chain():
    asyncio.get_running_loop().call_later(1, call_later_chain)


class Pinger(asyncio.Protocol):
    """A protocol that keeps a timer of its own going."""

    def connection_made(self, transport):
        self.transport = transport
        self.ping()

    def ping(self):
        asyncio.get_running_loop().call_later(1, self.ping)


class MaskedHangTest(unittest.TestCase):
    """Each must be found, and before too many jumps."""

    def assertHangs(self, main, *texts, make=make_loop):
        loop = make()
        with self.assertRaises(SleepForeverError) as caught:
            run(main, lambda: loop)
        self.assertLess(loop.time(), LATEST)
        message = str(caught.exception)
        self.assertTrue(message.startswith("the test can never go on, though "), message)
        for text in texts:
            self.assertIn(text, message)
        return caught.exception

    def assertFound(self, wait, *texts):
        """It hangs behind a task, a chain of call_later and a protocol's timer, and when it swallows what it can."""

        async def behind_a_task():
            task = asyncio.create_task(beat(), name="heart")
            await wait()
            task.cancel()

        async def behind_callbacks():
            call_later_chain()
            await wait()

        async def behind_a_protocol():
            loop = asyncio.get_running_loop()
            pair = await stream_pairs()
            server = await loop.create_server(Pinger, "localhost", 8000)
            transport, _ = await loop.create_connection(asyncio.Protocol, "localhost", 8000)
            try:
                await wait()
            finally:
                transport.close()
                server.close()
                pair[0][1].close()
                pair[1][1].close()

        async def swallowing(body):
            with contextlib.suppress(BaseException):
                await body()
            with contextlib.suppress(BaseException):
                await wait()

        for body, mover in ((behind_a_task, "task heart"), (behind_callbacks, "call_later_chain"),
                            (behind_a_protocol, "Pinger.ping")):
            with self.subTest(body.__name__):
                self.assertHangs(body(), mover, *texts)
            with self.subTest(body.__name__, swallowing=True):
                self.assertHangs(swallowing(body), mover, *texts)

    def test_an_event_that_nobody_sets(self):
        """An Event that only the main task has is found."""

        async def wait():
            await asyncio.Event().wait()

        self.assertFound(wait, "Event")

    def test_a_queue_that_nobody_fills(self):
        """A Queue.get() on a queue that nobody else has is found."""

        async def wait():
            await asyncio.Queue().get()

        self.assertFound(wait, "get()")

    def test_a_future_of_the_main_task_alone(self):
        """A bare future that nobody else has is found."""

        async def wait():
            future = asyncio.get_running_loop().create_future()
            await future

        self.assertFound(wait, "a future")

    def test_a_lock_that_it_holds_itself(self):
        """A lock that the main task waits for and holds is found."""

        async def wait():
            lock = asyncio.Lock()
            async with lock, lock:
                pass

        self.assertFound(wait, "Lock")

    def test_tasks_that_wait_for_each_other(self):
        """A main task behind other tasks that hang as well is found, though these hold what it waits for."""

        async def wait():
            mine, theirs = asyncio.Event(), asyncio.Event()

            async def hold():
                await theirs.wait()
                mine.set()

            task = asyncio.create_task(hold())
            try:
                await mine.wait()
            finally:
                task.cancel()

        self.assertFound(wait)

    def test_a_gather_and_a_shield(self):
        """A gather() and a shield() over what nobody can wake are found."""

        async def wait():
            await asyncio.gather(asyncio.Event().wait(), asyncio.shield(asyncio.get_running_loop().create_future()))

        self.assertFound(wait)

    def test_a_read_that_nobody_answers(self):
        """A read from a peer that only the main task has is found, though a reader is registered."""

        async def wait():
            (reader, writer), (_, peer) = await stream_pairs()
            try:
                await reader.readline()
            finally:
                writer.close()
                peer.close()

        self.assertFound(wait, "readline()")

    def test_a_body_that_never_gives_up(self):
        """A body that waits again after each cancellation is found, and named as the one that refuses."""

        async def main():
            task = asyncio.create_task(beat())
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            await task

        loop = make_loop()
        with self.assertRaises(SleepForeverError) as caught:
            loop.run_until_complete(main())
        self.assertLess(loop.time(), LATEST)
        self.assertIn("Task-1", caught.exception.__notes__[0])
        loop.set_exception_handler(lambda loop, context: None)
        for task in asyncio.all_tasks(loop):
            asyncio.Future.cancel(task)
        loop.close()

    def test_the_line_and_the_words(self):
        """The error says what happened, and who moves the clock."""

        async def main():
            tasks = [asyncio.create_task(beat(), name=f"heart-{number}") for number in range(2)]
            await asyncio.get_running_loop().create_future()  # here
            return tasks

        error = self.assertHangs(main(), "the test can never go on, though 2 timers still move time at t=")
        hint = str(error).splitlines()[1]
        self.assertEqual(hint, "  nothing that will run can reach what it waits for; the clock is kept moving by task "
                               "heart-0, task heart-1")

    def test_as_many_jumps_as_it_really_takes(self):
        """With the limit as it is, the question comes after 10,000 jumps and finds the hang at the second."""

        async def main():
            task = asyncio.create_task(beat())
            await asyncio.Event().wait()
            await task

        self.assertHangs(main(), " at t=20000.0: ", make=SolipsistEventLoop)

    def test_two_runs_say_the_same(self):
        """The same hang is found at the same virtual time with the same text."""

        async def main():
            task = asyncio.create_task(beat())
            await asyncio.Event().wait()
            await task

        self.assertEqual(str(self.assertHangs(main())), str(self.assertHangs(main())))

    def test_what_was_in_flight_is_not_forgotten(self):
        """A main task that made steps for a long time and hangs then is found."""

        async def main():
            task = asyncio.create_task(beat())
            await asyncio.sleep(2.5 * SOON)
            await asyncio.Event().wait()
            await task

        self.assertHangs(main())


    def test_a_server_that_nobody_calls(self):
        """A client and a handler that both read hang, although others might connect to the server if there were any."""

        async def serve(reader, writer):
            await reader.readline()

        async def main():
            # 3.11 and 3.12 log a cancelled handler.
            asyncio.get_running_loop().set_exception_handler(lambda *told: None)
            server = await asyncio.start_server(serve, "localhost", 80)
            task = asyncio.create_task(beat())
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                await reader.readline()
            finally:
                task.cancel()
                writer.close()
                server.close()

        self.assertHangs(main(), "waits for readline() from ")


class NoHangTest(unittest.TestCase):
    def test_a_poller_that_sends_datagrams(self):
        """An end of UDP may hear from anybody."""

        async def poll(address):
            await asyncio.sleep(LONG)
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as face:
                face.sendto(b"at last", address)

        async def main():
            heard = asyncio.Event()

            class Ear(asyncio.DatagramProtocol):
                def datagram_received(self, data, address):
                    heard.set()

            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(Ear, ("127.0.0.1", 0))
            tasks = [asyncio.create_task(poll(transport.get_extra_info("sockname"))), asyncio.create_task(beat())]
            await heard.wait()
            for task in tasks:
                task.cancel()
            transport.close()

        run(main())

    def test_a_poller_that_connects(self):
        """Who says a word for connecting may wake whoever serves."""

        async def poll(address):
            for _ in range(LONG):
                await asyncio.sleep(1)
            _, writer = await asyncio.open_connection(*address)
            writer.close()

        async def main():
            served = asyncio.Event()
            server = await asyncio.start_server(lambda reader, writer: (served.set(), writer.close()), "localhost", 80)
            task = asyncio.create_task(poll(server.sockets[0].getsockname()))
            await served.wait()
            await task
            server.close()

        run(main())

    def test_without_a_main_task(self):
        """run_forever() waits for nothing, so nothing is questioned."""
        loop = make_loop()
        self.addCleanup(loop.close)
        loop.call_soon(call_later_chain)
        loop.call_at(LONG, loop.stop)
        loop.run_forever()
        self.assertEqual(loop.time(), LONG)

    """Each goes on in the end, however long the clock moves beside it."""

    def assertEnds(self, main, *, after):
        async def beside():
            task = asyncio.create_task(beat())
            try:
                result = await main()
                return result, asyncio.get_running_loop().time()
            finally:
                task.cancel()

        self.assertEqual(run(beside()), ("done", float(after)))

    def test_a_poller_that_sets_the_event(self):
        """A poller that sets the event after many ticks is waited for: as argument, attribute, closure, global."""

        class Owner:
            def __init__(self):
                self.event = asyncio.Event()

            async def poll(self):
                await after(LONG, self.event.set)

        async def argument(event):
            await after(LONG, event.set)

        async def main(how):
            global EVENT
            owner = Owner()
            EVENT = owner.event

            async def closure():
                await after(LONG, lambda: owner.event.set())

            poller = {"argument": lambda: argument(owner.event), "attribute": owner.poll, "closure": closure,
                      "global": set_a_global}[how]
            task = asyncio.create_task(poller())
            await owner.event.wait()
            await task
            return "done"

        for how in ("argument", "attribute", "closure", "global"):
            with self.subTest(how):
                self.assertEnds(functools.partial(main, how), after=LONG)

    def test_a_hundred_thousand_ticks(self):
        """A poller may take 100,000 ticks with the limit as it is."""

        async def main():
            event = asyncio.Event()
            task = asyncio.create_task(after(100_000, event.set))
            await event.wait()
            await task
            return asyncio.get_running_loop().time()

        self.assertEqual(run(main(), SolipsistEventLoop), 100_000.0)

    def test_a_month_beside_a_heartbeat(self):
        """A sleep of the main task itself is alive at the first question, however long it is."""

        async def main():
            await asyncio.sleep(30 * 1440)
            return "done"

        self.assertEnds(main, after=30 * 1440)

    def test_a_peer_that_writes_late(self):
        """A stream read is alive while a peer task that sleeps has the other end."""

        async def main():
            (reader, writer), (_, peer) = await stream_pairs()
            task = asyncio.create_task(after(LONG, peer.write, b"late\n"))
            line = await reader.readline()
            await task
            writer.close()
            peer.close()
            return "done" if line == b"late\n" else line

        self.assertEnds(main, after=LONG)

    def test_a_client_that_comes_late(self):
        """A server is alive for whoever connects by name and has no reference to it."""

        async def knock():
            for _ in range(LONG):
                await asyncio.sleep(1)
            _, writer = await asyncio.open_connection("localhost", 8000)
            writer.close()

        async def main():
            came = asyncio.Event()
            server = await asyncio.start_server(lambda reader, writer: (writer.close(), came.set()), "localhost", 8000)
            task = asyncio.create_task(knock())
            await came.wait()
            await task
            server.close()
            await server.wait_closed()
            return "done"

        self.assertEnds(main, after=LONG)

    def test_what_a_sleeper_will_end(self):
        """A gather, a shield, a task of a task, wait() and a TaskGroup over a sleeper are alive."""

        async def sleeper():
            await asyncio.sleep(LONG)

        async def task_of_a_task():
            await asyncio.create_task(sleeper())

        async def wait():
            await asyncio.wait([asyncio.create_task(sleeper())])

        async def group():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(sleeper())

        for name, make in {
            "gather": lambda: asyncio.gather(sleeper(), sleeper()),
            "shield": lambda: asyncio.shield(sleeper()),
            "task": lambda: asyncio.create_task(task_of_a_task()),
            "wait": wait,
            "group": group,
        }.items():
            async def main(make=make):
                await make()
                return "done"

            with self.subTest(name):
                self.assertEnds(main, after=LONG)

    def test_what_a_limit_will_end(self):
        """wait_for() and asyncio.timeout() around what nobody can wake are alive, for they end it themselves."""

        async def wait_for():
            await asyncio.wait_for(asyncio.Event().wait(), LONG)

        async def timeout():
            async with asyncio.timeout(LONG):
                await asyncio.Event().wait()

        for limited in (wait_for, timeout):
            async def main(limited=limited):
                with self.assertRaises(TimeoutError):
                    await limited()
                return "done"

            with self.subTest(limited.__name__):
                self.assertEnds(main, after=LONG)

    def test_who_cancels_everybody(self):
        """A task that calls all_tasks() may cancel the main task, which it has no reference to."""

        async def main():
            task = asyncio.create_task(cancel_everybody())
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await task
            return "done"

        async def beside():
            return await main(), asyncio.get_running_loop().time()

        self.assertEqual(run(beside()), ("done", float(LONG)))

    def test_an_executor_job(self):
        """A job in a thread is waited for: time stands still until it is over."""

        async def main():
            loop = asyncio.get_running_loop()
            event = asyncio.Event()
            loop.call_later(30_000, lambda: loop.run_in_executor(None, loop.call_soon_threadsafe, event.set))
            await event.wait()
            return "done"

        self.assertEnds(main, after=30_000)

    def test_a_job_that_has_let_go(self):
        """A job in a thread that waits for virtual time itself is waited for."""

        async def main():
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(asyncio.sleep(LONG), loop).result())
            return "done"

        self.assertEnds(main, after=LONG)

    def test_a_thread_with_a_program_of_its_own(self):
        """What a thread's program may do later is not known: the main task is not given up."""
        inbox, go = queue.SimpleQueue(), threading.Event()

        def call(function, _):
            function()

        thread = threading.Thread(target=lambda: call(inbox.get(), go.wait(10)))  # not of the loop's world
        thread.start()

        async def main():
            loop, event = asyncio.get_running_loop(), asyncio.Event()
            inbox.put(functools.partial(loop.call_soon_threadsafe, event.set))
            await asyncio.sleep(0)
            loop.call_later(LONG, go.set)
            del loop
            task = asyncio.create_task(beat())
            await event.wait()
            task.cancel()
            return "done"

        self.assertEqual(run(main()), "done")
        thread.join()

    def test_a_handler_of_exceptions(self):
        """The loop's exception handler may run at any time: what it knows is alive."""

        async def main():
            loop = asyncio.get_running_loop()
            event = asyncio.Event()
            loop.set_exception_handler(lambda loop, context: event.set())
            loop.call_later(LONG, lambda: 1 // 0)
            await event.wait()
            return "done"

        self.assertEnds(main, after=LONG)

    def test_an_advance(self):
        """An advance() of the main task, without autojump, is alive for as long as it takes."""
        loop = SolipsistEventLoop(autojump=False)
        self.addCleanup(loop.close)

        async def main():
            task = asyncio.create_task(beat())
            await loop.advance(LONG)
            task.cancel()
            return loop.time()

        self.assertEqual(loop.run_until_complete(main()), float(LONG))


class TestCaseTest(unittest.TestCase):
    """In a SolipsistTestCase everything may hang together through `self`."""

    def outcome(self, body):
        class Case(SolipsistTestCase):
            async def asyncSetUp(self):
                self.event = asyncio.Event()
                self.mine = None

            async def beat(self):
                while True:
                    await asyncio.sleep(1)

            async def poll(self):
                for _ in range(LONG):
                    await asyncio.sleep(1)
                self.event.set()

            async def test(self):
                await body(self)

        result = unittest.TestResult()
        Case("test").run(result)
        return [text for _, text in result.errors + result.failures]

    def test_a_heartbeat_that_is_a_method(self):
        """A heartbeat that is a method of the test case does not hide an Event that the case does not have."""

        async def body(case):
            task = asyncio.create_task(case.beat())
            try:
                await asyncio.Event().wait()
            finally:
                task.cancel()

        texts = self.outcome(body)
        self.assertEqual(len(texts), 1)
        self.assertIn("SleepForeverError: the test can never go on, though 1 timer still moves time", texts[0])

    def test_an_event_of_the_test_case(self):
        """An Event on the test case is dead beside a heartbeat that is no method, and alive beside one that is."""

        async def apart(case):
            task = asyncio.create_task(beat())
            try:
                await case.event.wait()
            finally:
                task.cancel()

        async def together(case):
            task = asyncio.create_task(case.poll())
            await case.event.wait()
            await task
            case.mine = case.now

        self.assertIn("the test can never go on", self.outcome(apart)[0])
        self.assertEqual(self.outcome(together), [])

    def test_streams_that_are_closed_at_the_end(self):
        """What the test case will close at the end is no reason to think that a read goes on."""

        async def body(case):
            (reader, _), _ = await case.stream_pairs()
            task = asyncio.create_task(case.beat())
            try:
                await reader.read()
            finally:
                task.cancel()

        self.assertIn("the test can never go on", self.outcome(body)[0])
