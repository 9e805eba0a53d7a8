"""The short way into the selector's table comes to the same as asyncio's own."""

import asyncio
import itertools
import selectors
import socket
import unittest
from asyncio import selector_events
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, sealed

METHODS = "_add_reader", "_add_writer", "_remove_reader", "_remove_writer"


def watched(loop, near):
    """What became of every sequence of three calls: what each gave, what is waited for, and which handles live."""
    for names in itertools.product(METHODS, repeat=3):
        handles, answers = [], []
        for name in names:
            given = getattr(loop, name)(near.fileno(), *([print, name] if "add" in name else []))
            if isinstance(given, asyncio.Handle):
                handles.append(given)
            answers.append(given if type(given) is bool else type(given).__name__)
            key = loop._selector.get_map().get(near.fileno())
            if key is not None:
                answers.append((key.events, [part and part._args for part in key.data]))
        yield names, answers, [handle.cancelled() for handle in handles]
        loop._remove_reader(near.fileno())
        loop._remove_writer(near.fileno())


class WatchingTest(unittest.TestCase):
    def setUp(self):
        self.loop = SolipsistEventLoop()
        self.addCleanup(self.loop.close)
        with sealed(self.loop):
            self.near, self.far = socket.socketpair()

    def test_as_asyncios(self):
        """After all calls, in any order, the same is waited for as on a stock loop, in debug mode too."""
        stock = asyncio.SelectorEventLoop()
        self.addCleanup(stock.close)
        near, far = socket.socketpair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        expected = list(watched(stock, near))
        for debug in False, True:
            self.loop.set_debug(debug)
            self.assertEqual(list(watched(self.loop, self.near)), expected)

    def test_a_file_object(self):
        """A socket itself may be given, as a program does that calls add_reader()."""
        self.loop._add_reader(self.near, print)
        self.loop._add_writer(self.near, print)
        self.assertTrue(self.loop._remove_reader(self.near))
        self.assertTrue(self.loop._remove_writer(self.near))
        self.assertFalse(self.loop._remove_writer(self.near))

    def test_a_closed_loop(self):
        """A closed loop waits for nothing any more, and says so."""
        number = self.near.fileno()
        self.loop._add_reader(number, print)
        self.loop.close()
        self.assertEqual((self.loop._remove_reader(number), self.loop._remove_writer(number)), (False, False))
        for name in METHODS[:2]:
            with self.assertRaisesRegex(RuntimeError, "closed"):
                getattr(self.loop, name)(number, print)

    def test_a_selector_of_the_programs_own(self):
        """Where a program has put a selector of its own, that is asked."""
        number = self.near.fileno()
        other = mock.Mock(spec=selectors.SelectSelector)
        other.get_key.side_effect = KeyError
        other.get_map.return_value = {}
        with mock.patch.object(self.loop, "_selector", other):
            for name in METHODS:
                getattr(self.loop, name)(number, *([print] if "add" in name else []))
        self.assertTrue(other.method_calls)
        self.assertEqual(dict(self.loop._selector.get_map()), {})

    def test_a_patch(self):
        """What a program puts into asyncio's class is called on our loop too."""
        for name in METHODS:
            with mock.patch.object(selector_events.BaseSelectorEventLoop, name, return_value=name, create=True):
                self.assertEqual(getattr(self.loop, name)(self.near.fileno()), name)
