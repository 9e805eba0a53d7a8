"""Tasks, futures and lines in words."""

import asyncio
import unittest

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.hangs import words
from solipsism_unittest.introspection.tasks import await_chain


async def outer():
    """A call that leads to another."""
    await inner()


async def inner():
    """The innermost line of the program."""
    await asyncio.Event().wait()


class WordsTest(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)

    def suspended(self, coroutine, name):
        """A task that stands in its first wait, and is cancelled at the end."""
        task = self.loop.create_task(coroutine, name=name)
        self.loop.run_until_complete(asyncio.sleep(0))
        self.addCleanup(self.loop.run_until_complete, asyncio.wait([task]))
        self.addCleanup(task.cancel)
        return task

    def test_where_a_task_stands(self):
        """A task stands at the innermost line of the program, and the lines above it are the way there."""
        frames = await_chain(self.suspended(outer(), "walker"))
        self.assertRegex(words.where(frames), r"^tests.hangs.test_words\.py:\d+ in inner$")
        self.assertRegex(words.way(frames), r"^outer \(tests.hangs.test_words\.py:\d+\)$")

    def test_where_no_line_is_the_programs(self):
        """A task that stands in asyncio alone stands at a function, and one without frames nowhere."""
        frames = await_chain(self.suspended(asyncio.Event().wait(), "waiter"))
        self.assertEqual(words.where(frames), "asyncio.locks.Event.wait")
        self.assertEqual(words.where([]), "nowhere")
        self.assertEqual(words.way(frames), "")

    def test_tasks_and_futures(self):
        """A task has its name and its coroutine's; tasks in a list are sorted, and futures counted."""
        one, two = self.suspended(outer(), "Task-10"), self.suspended(outer(), "Task-9")
        future = self.loop.create_future()
        self.assertEqual(words.task_words(one), "Task-10 (outer)")
        self.assertEqual(words.future_words(one), "Task-10 (outer)")
        self.assertEqual(words.future_words(future), "a future")
        self.assertEqual(words.task_names([one, two]), "Task-9, Task-10")
        self.assertEqual(words.task_names([one, future]), "Task-10, 1 future")
        self.assertEqual(words.task_names([future, future]), "2 futures")

    def test_who_took_long(self):
        """A turn that took long has the words of the handle that ran alone, of the clues, or of nobody."""
        def plain():
            """A callback."""

        step = self.loop.call_soon(plain)
        for runs, text in (
            (step, r"^\S+plain \(tests.hangs.test_words\.py:\d+\) took 0\.50 seconds of the processor$"),
            (["Task-1", plain, plain.__code__, "Task-1"],
             r"^one of Task-1, \S+plain \(tests.hangs.test_words\.py:\d+\) took 0\.50 seconds of the processor$"),
            (self.loop.call_at(5, plain), "^something that the loop ran took 0.50 seconds of the processor$"),
            (None, "^something that the loop ran took 0.50 seconds of the processor$"),
        ):
            with self.subTest(text):
                self.assertRegex(words.slow_words(0.5, runs, 0.0), text)
