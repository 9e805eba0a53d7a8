"""The steps of tasks on a tape: beginning, waiting in words, going on, cancelling, ending."""

import asyncio
import contextlib
import socket
from fractions import Fraction

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.evidence.recording import ends
from solipsism_unittest.evidence.recording.steps import RecordedTask, Steps, words_of_wait
from solipsism_unittest.introspection.tasks import await_chain
from solipsism_unittest.loop.between import look_away, look_between


class StepsTest(SolipsistTestCase):
    def setUp(self):
        kernel = self.loop.kernel
        self.tape = ends.begin(kernel)
        steps = Steps(self.tape)
        look_between(self.loop, steps)
        self.addCleanup(look_away, self.loop, steps)
        self.addCleanup(ends.end, kernel)

    def of(self, task):
        """The kinds and facts of the events of a task."""
        return [(event.kind, *event.facts) for event in self.tape.events if event.task == task
                and event.kind in ("start", "wait", "wake", "ended", "cancel")]

    async def test_a_life(self):
        """A task begins where it was made, waits, goes on and ends; each with its line."""

        async def live():
            await asyncio.sleep(2.5)
            await asyncio.sleep(0)

        await asyncio.create_task(live(), name="one")
        self.assertEqual(self.of("one"), [("start", "StepsTest.test_a_life.<locals>.live"), ("wait", "sleeps 2.5 s"),
                                          ("wake",), ("wait", "lets others run"), ("wake",), ("ended", "ends")])
        places = [str(event.place).rpartition(" in ")[2] for event in self.tape.events
                  if event.task == "one" and event.kind in ("start", "wait")]
        self.assertEqual(places, ["StepsTest.test_a_life", *["StepsTest.test_a_life.<locals>.live"] * 2])

    async def test_errors_and_cancellations(self):
        """Who cancels whom is there, once; an error of a task stays unread."""

        async def fail():
            raise ValueError("on purpose")

        sleeper = asyncio.create_task(asyncio.sleep(60), name="sleeper")
        failing = asyncio.create_task(fail(), name="failing")
        await asyncio.sleep(1)
        self.assertIs(type(sleeper), RecordedTask)
        sleeper.cancel()
        await asyncio.wait([sleeper])
        sleeper.cancel()
        self.assertEqual(self.of("sleeper")[-1], ("ended", "is cancelled"))
        self.assertEqual([each for each in self.of("Task-1") if each[0] == "cancel"], [("cancel", "sleeper")])
        self.assertEqual(self.of("failing")[-1], ("ended", "ends with ValueError('on purpose')"))
        self.assertTrue(failing._log_traceback)
        self.assertIsInstance(failing.exception(), ValueError)

    async def test_after_the_recording(self):
        """A task that was recorded is cancelled as ever."""
        task = asyncio.create_task(asyncio.sleep(60), name="late")
        await asyncio.sleep(1)
        ends.end(self.loop.kernel)
        self.assertTrue(task.cancel("why"))
        with contextlib.suppress(asyncio.CancelledError):
            await task
        self.assertFalse([each for each in self.of("Task-1") if each[0] == "cancel"])

    async def test_callbacks(self):
        """One of the program's is there with its line; a cancelled one, and asyncio's own, are not."""

        def call_me():
            """Do nothing."""

        self.loop.call_soon(call_me)
        self.loop.call_soon(call_me).cancel()
        self.loop.call_soon(len, "")
        await asyncio.sleep(0)
        found = [event for event in self.tape.events if event.kind == "callback"]
        self.assertEqual(len(found), 1)
        self.assertRegex(found[0].facts[0], r"call_me \(.*test_steps\.py:\d+\)$")

    async def test_own_task_factories(self):
        """A task of another class keeps it."""

        class Own(asyncio.Task):
            pass

        self.loop.set_task_factory(lambda loop, coro, **kwargs: Own(coro, loop=loop, **kwargs))
        task = asyncio.create_task(asyncio.sleep(1), name="own")
        self.loop.set_task_factory(None)
        await task
        self.assertIs(type(task), Own)
        self.assertEqual([each[0] for each in self.of("own")], ["start", "wait", "wake", "ended"])

    async def test_words(self):
        """A wait by the call of asyncio that the program has made, or by what it waits for."""
        async def group():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(9), name="member")

        async def limited():
            async with asyncio.timeout(5):
                await asyncio.Event().wait()

        lock = asyncio.Lock()
        await lock.acquire()
        barrier = asyncio.Barrier(2)
        end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        end.setblocking(False)
        self.addCleanup(end.close)
        future = self.loop.create_future()
        _, (reader, _) = await self.stream_pairs()
        bare = asyncio.StreamReader()
        for coroutine, words in (
            (asyncio.sleep(float("1e6")), "sleeps 1e+06 s"), (lock.acquire(), "waits for a lock"),
            (barrier.wait(), "waits for the others at a barrier"), (group(), "waits for the tasks of its group"),
            (limited(), "waits for an event"), (asyncio.wait_for(future, 5), "waits for wait_for()"),
            (reader.readline(), "waits for a line (readline)"), (bare.read(), "waits for data (read)"),
            (self.loop.sock_recv(end, 5), "waits for a future"), (self.advance(5), "waits for advance_to(5.0)"),
        ):
            with self.subTest(words):
                task = asyncio.create_task(coroutine)
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                self.assertEqual(words_of_wait(task, await_chain(task)), words)
                task.cancel()
                await asyncio.wait([task])
        waits = {event.facts[0]: event.end for event in self.tape.events if event.kind == "wait"}
        self.assertGreater(waits["waits for a line (readline)"], 0)
        self.assertEqual(waits["waits for data (read)"], 0)
        self.assertEqual(waits["waits for a future"], self.tape.number(end.end))

    async def test_a_delay_that_is_no_number(self):
        """It is shown as a sleep."""
        task = asyncio.create_task(asyncio.sleep(Fraction(1, 2)), name="half")
        await task
        self.assertIn(("wait", "sleeps"), self.of("half"))
