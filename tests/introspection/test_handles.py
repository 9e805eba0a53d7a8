"""What a handle calls, and whose turn it is."""

import asyncio
import functools
import unittest

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.introspection import handles


class Callback:
    """Something whose method is called."""

    def method(self):
        """Nothing."""


@functools.wraps(Callback.method)
def wrapped():
    """It bears the name of another function."""


class HandlesTest(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)

    def test_a_callback_in_words(self):
        """A function or method has its name and line, one of Python's its name alone, and the rest their repr."""
        here = r"\(tests.introspection.test_handles\.py:\d+\)$"
        for callback, words in (
            (Callback().method, r"^Callback\.method " + here),
            (wrapped, r"^Callback\.method " + here),
            (print, "^print$"),
            (asyncio.Event().set, r"^Event\.set$"),
            (functools.partial(print, 1), r"^functools\.partial\(<built-in function print>, 1\)$"),
        ):
            with self.subTest(callback):
                self.assertRegex(handles.callback_words(callback), words)
                self.assertRegex(handles.turn_words(self.loop.call_soon(callback)), words)
                self.assertRegex(handles.called_words(self.loop.call_soon(callback)), words)

    def test_the_step_of_a_task(self):
        """A step is the task's, by its name."""
        task = self.loop.create_task(asyncio.sleep(0))
        step = self.loop._ready[-1]
        self.assertIs(handles.task_of(step), task)
        self.assertIs(handles.owner_of(step), task)
        self.assertEqual(handles.turn_words(step), "task Task-1")
        self.assertEqual(handles.clue(step), "Task-1")
        self.assertEqual(handles.clue_words("Task-1"), "Task-1")
        self.assertIs(handles.who(step), task)
        self.loop.run_until_complete(task)

    def test_the_same_callback_again(self):
        """Handles of one function or method have one key; those of two objects without a code have two."""
        one, two = Callback(), Callback()
        key = handles.who(self.loop.call_soon(one.method))
        self.assertEqual(handles.who(self.loop.call_soon(two.method)), key)
        self.assertNotEqual(handles.who(self.loop.call_soon(print)), handles.who(self.loop.call_soon(len)))

    def test_a_clue(self):
        """A clue is the function of a method, a code, or a name, and gives the words of what ran."""
        for callback, kept, words in (
            (Callback().method, Callback.method, r"^Callback\.method \("),
            (wrapped, wrapped.__code__, r"^wrapped \("),
            (print, "print", "^print$"),
            (functools.partial(print), "partial", "^partial$"),
        ):
            with self.subTest(callback):
                clue = handles.clue(self.loop.call_soon(callback))
                self.assertEqual(clue, kept)
                self.assertRegex(handles.clue_words(clue), words)

    def test_where_a_callback_comes_from(self):
        """The module of a callback is known where it says so."""
        self.assertEqual(handles.module_of_callback(wrapped), __name__)
        self.assertEqual(handles.module_of_callback([].append), "")
