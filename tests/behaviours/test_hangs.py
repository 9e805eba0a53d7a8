"""Hangs and livelocks: they are told, whatever the program makes of being cancelled."""

import asyncio
import contextlib
import gc
import re
import socket
import traceback
import unittest
import weakref

from solipsism_unittest import LivelockError, SleepForeverError, SolipsistEventLoop, socketpair, stream_pairs
from solipsism_unittest.loop.selector import Limits


def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


def never():
    """A future that nobody resolves."""
    return asyncio.get_running_loop().create_future()


class Hangs(unittest.TestCase):
    def hang(self, main, **options):
        """Run what must hang, and return the error."""
        try:
            result = run(main, **options)
        except SleepForeverError as error:
            return error  # with its traceback, which assertRaises() would take away
        self.fail(f"it ended with {result!r}")


class AwaitingLineTest(Hangs):
    """One program for each thing that can be awaited in vain; the line that awaits is marked `# here`."""

    def assertHangsHere(self, main):
        error = self.hang(main())
        lines = [frame.line for frame in traceback.extract_tb(error.__traceback__)]
        self.assertTrue(any(line.endswith("# here") for line in lines), lines)
        head = r"^nothing can wake the program at t=0\.0: \d+ tasks? waits? for ever\n(  a cycle: .*\n)?  Task-1 \("
        self.assertRegex(str(error), head)

    def test_event(self):
        """An Event that nobody sets."""

        async def main():
            await asyncio.Event().wait()  # here

        self.assertHangsHere(main)

    def test_future_task_and_shield(self):
        """A bare future, a task that hangs, and a shielded one."""

        async def future():
            await never()  # here

        async def task():
            await asyncio.create_task(future())  # here

        async def shield():
            await asyncio.shield(future())  # here

        for main in (future, task, shield):
            with self.subTest(main.__name__):
                self.assertHangsHere(main)

    def test_gather_wait_and_group(self):
        """gather(), wait(), as_completed() and a TaskGroup of what hangs."""

        async def gather():
            await asyncio.gather(asyncio.Event().wait(), asyncio.sleep(0))  # here

        async def wait():
            await asyncio.wait([asyncio.create_task(asyncio.Event().wait())])  # here

        async def as_completed():
            for first in asyncio.as_completed([asyncio.Event().wait()]):
                await first  # here

        async def group():
            async with asyncio.TaskGroup() as tasks:  # here
                tasks.create_task(asyncio.Event().wait())

        async def inside_a_group():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.Event().wait())
                await never()  # here

        for main in (gather, wait, as_completed, group, inside_a_group):
            with self.subTest(main.__name__):
                self.assertHangsHere(main)

    def test_limits_of_no_length(self):
        """wait_for() and timeout() with None do not count as something that will happen."""

        async def wait_for():
            await asyncio.wait_for(never(), None)  # here

        async def timeout():
            async with asyncio.timeout(None):
                await never()  # here

        for main in (wait_for, timeout):
            with self.subTest(main.__name__):
                self.assertHangsHere(main)

    def test_queues_and_locks(self):
        """A queue, empty, full and unfinished; a lock, a condition, a semaphore, a barrier."""

        async def get():
            await asyncio.Queue().get()  # here

        async def put():
            queue = asyncio.Queue(1)
            await queue.put(1)
            await queue.put(2)  # here

        async def join():
            queue = asyncio.Queue()
            queue.put_nowait(1)
            await queue.join()  # here

        async def lock():
            lock = asyncio.Lock()
            async with lock:
                await lock.acquire()  # here

        async def condition():
            condition = asyncio.Condition()
            async with condition:
                await condition.wait()  # here

        async def semaphore():
            await asyncio.Semaphore(0).acquire()  # here

        async def barrier():
            await asyncio.Barrier(2).wait()  # here

        for main in (get, put, join, lock, condition, semaphore, barrier):
            with self.subTest(main.__name__):
                self.assertHangsHere(main)

    def test_a_condition_whose_lock_is_hogged(self):
        """Condition.wait() that cannot get its lock back on cancellation is a second hang, told as the first."""

        async def hog(condition):
            async with condition:
                await never()

        async def main():
            condition = asyncio.Condition()
            async with condition:
                asyncio.create_task(hog(condition))
                await condition.wait()  # here

        self.assertHangsHere(main)

    def test_streams_and_sockets(self):
        """A reader, a drain(), a raw socket and a server that nobody serves; every end is closed on the way out."""

        async def read():
            (reader, writer), (_, other) = await stream_pairs()
            with contextlib.closing(writer), contextlib.closing(other):
                await reader.readline()  # here

        async def drain():
            (_, writer), (_, other) = await stream_pairs(10)
            other.transport.pause_reading()
            try:
                writer.write(bytes(100_000))
                await writer.drain()  # here
            finally:
                writer.transport.abort()
                other.close()

        async def sock_recv():
            one, two = socketpair()
            with one, two:
                await asyncio.get_running_loop().sock_recv(one, 1)  # here

        async def accept():
            server = await asyncio.start_server(lambda reader, writer: None, "localhost", 0)
            async with server:
                await server.serve_forever()  # here

        for main in (read, drain, sock_recv, accept):
            with self.subTest(main.__name__):
                self.assertHangsHere(main)

    def test_inside_an_async_generator_and_a_plain_awaitable(self):
        """The line is found through `async for`, anext() with a default, and an object's own __await__()."""

        class Plain:
            def __await__(self):
                yield from never()  # here

        async def items():
            yield await Plain()

        async def generator():
            async for _ in items():
                pass

        async def following():
            await anext(items(), None)

        for main in (generator, following):
            with self.subTest(main.__name__):
                error = self.hang(main())
                self.assertRegex(str(error), r"at tests.behaviours.test_hangs\.py:\d+ in \S*Plain.__await__\n")


class VerdictTest(Hangs):
    """Whatever a body makes of its cancellation, the hang comes out."""

    def test_cleaning_up_runs(self):
        """`finally` blocks and async context managers of the hanging task run, each once."""
        ended = []

        @contextlib.asynccontextmanager
        async def manager():
            try:
                yield
            finally:
                await asyncio.sleep(1)
                ended.append("manager")

        async def main():
            try:
                async with manager():
                    await never()
            finally:
                ended.append("finally")

        self.hang(main())
        self.assertEqual(ended, ["manager", "finally"])

    def test_a_swallowed_cancellation(self):
        """`except BaseException: pass`, a normal return and a result do not hide it."""

        async def main():
            with contextlib.suppress(BaseException):
                await never()
            return "a result"

        error = self.hang(main())
        self.assertIsNone(error.__cause__)

    def test_going_on_after_the_cancellation(self):
        """A body that sleeps and works on after the cancellation still fails when it returns."""

        async def main():
            with contextlib.suppress(asyncio.CancelledError):
                await never()
            await asyncio.sleep(3600)

        self.assertRegex(str(self.hang(main())), "at t=0.0")

    def test_another_error(self):
        """What the body raises on being cancelled is the cause of the hang's error, BaseExceptions too."""
        for kind in (ValueError, BaseException, asyncio.TimeoutError):

            async def main(kind=kind):
                try:
                    await never()
                except asyncio.CancelledError:
                    raise kind("something else") from None

            with self.subTest(kind.__name__):
                self.assertIsInstance(self.hang(main()).__cause__, kind)

    def test_an_interrupt_is_no_verdict(self):
        """KeyboardInterrupt and SystemExit go through as they are."""
        for kind in (KeyboardInterrupt, SystemExit):

            async def main(kind=kind):
                try:
                    await never()
                finally:
                    raise kind

            with self.subTest(kind.__name__), self.assertRaises(kind):
                run(main())

    def test_awaiting_again_in_finally(self):
        """A second hang, in a `finally` block, cancels every task; the first is told."""
        cancelled = []

        async def child():
            try:
                await never()
            except asyncio.CancelledError:
                cancelled.append("child")

        async def main():
            task = asyncio.create_task(child())
            try:
                await never()
            finally:
                await asyncio.shield(task)

        self.assertRegex(str(self.hang(main())), "2 tasks wait for ever")
        self.assertEqual(cancelled, ["child"])

    def test_refusing_for_ever(self):
        """A body that no cancellation ends is given up at the third hang, by name, and the runner still closes."""

        async def main():
            told.append(asyncio.current_task().get_name())
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await never()

        told = []
        error = self.hang(main())
        self.assertEqual(error.__notes__, ["cancelled twice, and still there: Task-1"])
        self.assertEqual(told[:2], ["Task-1", "a hang while the runner closed"])
        gc.collect()

    def test_a_child_that_swallows_cancellation(self):
        """A child that catches its cancellation and returns does not make a hung parent pass."""

        async def child():
            with contextlib.suppress(asyncio.CancelledError):
                await never()

        async def main():
            async with asyncio.TaskGroup() as group:
                group.create_task(child())

        self.hang(main())

    def test_a_shielded_task(self):
        """A parent that waits for a shielded task ends; the task is cancelled with the runner."""
        ended = []

        async def child():
            try:
                await never()
            finally:
                ended.append(asyncio.get_running_loop().time())

        async def main():
            task = asyncio.create_task(child())
            await asyncio.shield(task)

        self.hang(main())
        self.assertEqual(ended, [0.0])

    def test_a_future_instead_of_a_task(self):
        """run_until_complete() of a bare future hangs with a report too."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with self.assertRaisesRegex(SleepForeverError, "nothing can wake the program at t=0.0: the loop has no task$"):
            loop.run_until_complete(loop.create_future())

    def test_a_cancellation_of_ones_own_is_none(self):
        """Without a hang, errors and cancellations come out as on any loop."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        future = loop.create_future()
        loop.call_later(1, future.cancel)
        with self.assertRaises(asyncio.CancelledError):
            loop.run_until_complete(future)

    def test_the_error_keeps_nothing_alive(self):
        """When the error is gone, what the hung program held goes without a garbage collection."""

        class Thing:
            pass

        async def main():
            thing = Thing()
            seen.append(weakref.ref(thing))
            await never()

        seen = []
        gc.disable()
        self.addCleanup(gc.enable)
        with contextlib.suppress(SleepForeverError):
            run(main())
        self.assertIsNone(seen[0]())

    def test_run_forever(self):
        """Without a main task the hang comes out of run_forever(), which may be called again."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        task = loop.create_task(asyncio.sleep(5))
        for _ in range(2):
            with self.assertRaisesRegex(SleepForeverError, "at t=5.0: the loop has no task"):
                loop.run_forever()
        self.assertTrue(task.done())

    def test_the_loop_works_on(self):
        """After a hang the same loop runs on, and so does another one, also inside a sealed program's thread."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        for _ in range(2):
            with self.assertRaises(SleepForeverError):
                loop.run_until_complete(asyncio.Event().wait())
            self.assertEqual(loop.run_until_complete(asyncio.sleep(1, "awake")), "awake")
        self.assertEqual(run(asyncio.sleep(1, "awake")), "awake")


class ClosingTest(Hangs):
    """A hang while a runner closes is the end of a run already judged."""

    def closing(self, child):
        """Leave a task behind; return the result of main and what the exception handler was told."""
        told = []

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
            left.append(asyncio.create_task(child()))
            await asyncio.sleep(1)
            return "result"

        left = []
        return run(main()), told, left[0]

    def test_it_is_told_and_not_raised(self):
        """A task that awaits again on cancellation: one hang, told through the exception handler, and a second ends
        it.
        """

        async def child():
            try:
                await never()
            finally:
                await never()

        result, told, task = self.closing(child)
        self.assertEqual(result, "result")
        self.assertEqual([context["message"] for context in told], ["a hang while the runner closed"])
        self.assertRegex(
            str(told[0]["exception"]), r"^nothing can wake the program at t=1\.0: 1 task waits for ever\n  Task-2 "
        )
        self.assertTrue(task.cancelled())

    def test_a_task_that_refuses_for_ever(self):
        """A task that no cancellation ends is cut off and named; the runner closes."""

        async def child():
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await never()

        result, told, task = self.closing(child)
        self.assertEqual(result, "result")
        self.assertEqual(told[0]["exception"].__notes__, ["cancelled twice, and still there: Task-2"])
        self.assertTrue(task.cancelled())

    def test_an_async_generator_that_hangs(self):
        """An async generator whose end hangs is told as well."""

        async def items():
            try:
                yield 1
            finally:
                await never()

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["message"]))
            generators.append(items())
            return await anext(generators[0])

        told, generators = [], []
        self.assertEqual(run(main()), 1)
        self.assertIn("a hang while the runner closed", told)


class ReportTest(Hangs):
    def test_ten_tasks_are_all_named(self):
        """Ten tasks that await what nobody will do: one error, with the name, the line and the place of making of
        each.
        """

        async def event():
            await asyncio.Event().wait()

        async def queue():
            await asyncio.Queue().get()

        async def main():
            await asyncio.gather(*[asyncio.create_task((event, queue)[n % 2](), name=f"worker-{n}") for n in range(10)])

        for swallow in (False, True):
            error = str(self.hang(self.swallowing(main()) if swallow else main()))
            for number in range(10):
                kind = ("event", "queue")[number % 2]
                self.assertRegex(
                    error,
                    rf"\n  worker-{number} \(\S*{kind}\) at tests.behaviours.test_hangs\.py:\d+\n"
                    r"      waits for .*\n      made at tests.behaviours.test_hangs\.py:\d+ in ",
                )
            self.assertEqual(len(re.findall(r"\n  worker-\d ", error)), 10)

    async def swallowing(self, coroutine):
        with contextlib.suppress(BaseException):
            await coroutine

    def test_a_crowd_is_counted(self):
        """Of many tasks that wait alike three are told and the others are counted."""

        async def main():
            await asyncio.gather(*[asyncio.Event().wait() for _ in range(200)])

        error = str(self.hang(main()))
        self.assertIn("201 tasks wait for ever\n", error)
        self.assertIn("\n  Task-4 (", error)
        self.assertNotIn("\n  Task-5 (", error)
        more = r"\n  and 197 more \(Event\.wait\) at \S+: Task-5, Task-6, Task-7, Task-8, Task-9 and 192 more"
        self.assertRegex(error, more)

    def test_what_happened_last(self):
        """The report ends with the last records of the journal."""

        async def main():
            await asyncio.sleep(2.5)
            one, two = socketpair()
            with one, two:
                one.send(b"12345")
                await never()

        self.assertRegex(str(self.hang(main())),
                         r"\n  what happened last:\n(      .*\n)*      t=2\.5 send pair0 5 bytes$")

    def test_the_text_is_the_same_twice(self):
        """Two runs of one program give the same text, letter by letter."""

        async def main():
            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(asyncio.Queue().get())
                    group.create_task(asyncio.Lock().acquire())
                    group.create_task(never_in_vain())

        async def never_in_vain():
            await never()

        self.assertEqual(str(self.hang(main())), str(self.hang(main())))


class LivelockTest(unittest.TestCase):
    """Spinning at one instant; the limit is lowered, so that the tests are quick."""

    TURNS = 1_000

    def spin(self, main):
        """Run with a low limit."""

        def factory():
            loop = SolipsistEventLoop()
            loop.selector.limits = Limits(turns=self.TURNS)
            return loop

        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(main)

    def assertSpins(self, main, culprit):
        with self.assertRaises(LivelockError) as caught:
            self.spin(main)
        self.assertRegex(
            str(caught.exception),
            r"^the program spins at t=0\.0: 1 task\n  1,000 turns of the loop changed nothing, and time cannot go on: "
            rf"something runs .*(?:\n  at t=1\.0 .*)?\n  it runs now: .*{culprit}.*\n  Task-1 \(",
        )

    def test_sleep_zero(self):
        """A poll with sleep(0)."""

        async def main():
            while True:
                await asyncio.sleep(0)

        self.assertSpins(main(), "task Task-1")

    def test_a_poll_for_what_a_timer_brings(self):
        """The report says who would run at which time, and how a program gets there."""

        async def main():
            task = asyncio.create_task(asyncio.sleep(0.1), name="slow")
            while not task.done():
                await asyncio.sleep(0)

        with self.assertRaisesRegex(LivelockError, r"\n  at t=0\.1 task slow would run: a program that polls for what "
                                                   r"comes then waits with a positive sleep, and with on_polling = "
                                                   r'"jump" on its class time goes there by itself\n'):
            self.spin(main())

    def test_call_soon_and_call_later(self):
        """A callback that calls itself soon, or later by nothing."""

        async def main(call):
            def again():
                call(asyncio.get_running_loop(), again)

            again()
            await asyncio.sleep(1)

        self.assertSpins(main(lambda loop, again: loop.call_soon(again)), r"again \(\S*test_hangs\.py:\d+\)")
        self.assertSpins(main(lambda loop, again: loop.call_later(0, again)), r"again \(\S*test_hangs\.py:\d+\)")

    def test_a_reader_that_never_reads(self):
        """A reader callback that leaves the bytes where they are, and a writer that is never removed."""

        async def main(add):
            def ready():
                pass

            one, two = socketpair()
            with one, two:
                one.send(b"x")
                add(asyncio.get_running_loop())(two, ready)
                try:
                    await never()
                finally:
                    asyncio.get_running_loop().remove_reader(two)
                    asyncio.get_running_loop().remove_writer(two)

        self.assertSpins(main(lambda loop: loop.add_reader), r"ready \(tests.behaviours.test_hangs\.py:\d+\)")
        self.assertSpins(main(lambda loop: loop.add_writer), r"ready \(tests.behaviours.test_hangs\.py:\d+\)")

    def test_swallowed_and_refused(self):
        """A spin that swallows its cancellation is told like a hang, and one that goes on is given up by name."""

        async def swallow():
            with contextlib.suppress(asyncio.CancelledError):
                while True:
                    await asyncio.sleep(0)

        async def refuse():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            while True:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0)

        with self.assertRaises(LivelockError):
            self.spin(swallow())
        with self.assertRaises(LivelockError) as caught:
            self.spin(refuse())
        self.assertEqual(caught.exception.__notes__, ["cancelled twice, and still there: Task-1"])

    def test_callbacks_that_no_cancellation_ends(self):
        """When no task is left to cancel and callbacks spin on, the loop gives up and says so."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.selector.limits = Limits(turns=self.TURNS)

        def again():
            loop.call_soon(again)

        class Stubborn(asyncio.Future):
            def cancel(self, msg=None):
                return False

        again()
        with self.assertRaises(LivelockError) as caught:
            loop.run_until_complete(Stubborn(loop=loop))
        self.assertEqual(caught.exception.__notes__, ["every task was cancelled, and the program still does not end"])

    def test_work_within_the_limit_is_none(self):
        """As many turns as are allowed are no livelock, and each instant and each run has its own count."""

        async def main(turns):
            for _ in range(3):
                for _ in range(turns):
                    await asyncio.sleep(0)
                await asyncio.sleep(1)

        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.selector.limits = Limits(turns=self.TURNS)
        loop.run_until_complete(main(self.TURNS - 10))
        loop.run_until_complete(main(self.TURNS - 10))
        with self.assertRaises(LivelockError):
            loop.run_until_complete(main(self.TURNS + 10))

    def test_work_without_end(self):
        """Who has an effect in each turn is stopped too, after very many turns at one instant, and not before."""
        async def connect_anew(times):
            for _ in range(times):
                with contextlib.suppress(ConnectionRefusedError):
                    await asyncio.open_connection("api.test", 80)

        async def serve_anew(times):
            async with await asyncio.start_server(lambda reader, writer: writer.close(), "api.test", 80):
                for _ in range(times):
                    reader, writer = await asyncio.open_connection("api.test", 80)
                    await reader.read()
                    writer.close()

        async def send_to_itself(times):
            one, two = socket.socketpair()
            with one, two:
                two.setblocking(False)
                for _ in range(times):
                    one.send(b"x")
                    await asyncio.sleep(0)
                    await asyncio.get_running_loop().sock_recv(two, 1)

        async def with_pauses(work):
            for _ in range(3):
                await work(500)
                await asyncio.sleep(1)

        for work in (connect_anew, serve_anew, send_to_itself):
            loop = SolipsistEventLoop()
            with self.subTest(work.__name__), contextlib.closing(loop):
                loop.selector.limits = Limits(turns=self.TURNS, busy_turns=10 * self.TURNS)
                loop.run_until_complete(with_pauses(work))
                with self.assertRaisesRegex(LivelockError, r"  1\d,000 turns of the loop went by at once, and time "
                                                           "cannot go on: something runs again and again"):
                    loop.run_until_complete(work(10**9))

    def test_a_hundred_thousand_hand_overs_are_work(self):
        """A hundred thousand items through a queue at one instant are no livelock, with the limit as it is."""

        async def main():
            queue = asyncio.Queue(1)

            async def produce():
                for number in range(100_000):
                    await queue.put(number)

            producer = asyncio.create_task(produce())
            total = 0
            for _ in range(100_000):
                total += await queue.get()
            await producer
            return total, asyncio.get_running_loop().time()

        self.assertEqual(run(main()), (sum(range(100_000)), 0.0))

    def test_bytes_that_flow_are_work(self):
        """Echo round trips at one instant are no livelock, many times beyond the limit of turns."""

        async def main():
            (reader, writer), (peer_reader, peer_writer) = await stream_pairs()

            async def echo():
                while data := await peer_reader.read(100):
                    peer_writer.write(data)
                peer_writer.close()

            task = asyncio.create_task(echo())
            for _ in range(self.TURNS):
                writer.write(b"x")
                await reader.readexactly(1)
            writer.close()
            await task
            return asyncio.get_running_loop().time()

        self.assertEqual(self.spin(main()), 0.0)
