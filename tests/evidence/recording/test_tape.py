"""The tape: what is written on it, how much of it, and that the journal stays as it is without one."""

import unittest
from unittest import mock

from solipsism_unittest.evidence.recording import tape as tapes
from solipsism_unittest.kernel.choices import Choices, Explorer
from solipsism_unittest.kernel.choices.kinds import LOOKUP
from solipsism_unittest.kernel.choices.plans import Fixed
from solipsism_unittest.kernel.clock import VirtualClock
from solipsism_unittest.kernel.journal import FULL, KEPT, Journal


class TapeTest(unittest.TestCase):
    def setUp(self):
        self.clock = VirtualClock(3.0)
        self.choices = Choices()
        self.journal = Journal(self.clock)
        self.tape = tapes.Tape(self.clock, self.choices)

    def test_records_of_the_journal(self):
        """What the journal writes from the beginning to the end of the tape is on it, and in the journal."""
        self.journal.add("before")
        self.tape.begin(self.journal)
        self.assertIs(tapes.tape_of(self.journal), self.tape)
        self.journal.add("lookup", "a.test")
        self.journal.note("sleep", (5.0,))
        self.tape.end(self.journal)
        self.journal.add("after")
        self.assertIsNone(tapes.tape_of(self.journal))
        self.assertEqual([(event.time, event.kind, event.facts) for event in self.tape.events],
                         [(3.0, "lookup", ("a.test",)), (3.0, "sleep", (5.0,))])
        self.assertEqual([record.kind for record in self.journal], ["before", "lookup", "sleep", "after"])

    def test_digest(self):
        """A journal with a tape has the digest of one without, of many records too."""
        other = Journal(self.clock)
        self.tape.begin(self.journal)
        for number in range(2 * FULL):
            self.journal.add("x", number)
            other.add("x", number)
        self.assertEqual((self.journal.digest, len(self.journal)), (other.digest, KEPT))
        self.assertEqual(len(self.tape.events), 2 * FULL)

    def test_choices(self):
        """A choice of an exploration is there in words where there are any."""
        self.tape.begin(self.journal)
        for witness in (None, lambda *facts: "a look-up took long"):
            explorer = self.choices.explorer = Explorer(Fixed({(LOOKUP, 0): 3}), witness=witness)
            explorer.begin(self.clock, self.journal, list)
            explorer.later(LOOKUP, 5.0)
        self.choices.explorer = None
        self.journal.note("choice", ("of another", 1))
        self.assertEqual([event.facts for event in self.tape.events],
                         [("lookup, value 3",), ("a look-up took long",), ("of another", 1)])

    def test_limits(self):
        """Of a message and of all together so many bytes are kept, and so many events."""
        with mock.patch.multiple(tapes, MESSAGE=10, BYTES=15, EVENTS=2):
            self.assertEqual([self.tape.kept(b"a" * 20), self.tape.kept(b"b" * 9), self.tape.kept(b"c")],
                             [b"a" * 10, b"b" * 5, b""])
            for _ in range(5):
                self.tape.add("x", 0)
            self.assertEqual((len(self.tape.events), self.tape.lost), (2, 3))
            self.tape.add_last("fails", 0)
            self.assertEqual([event.kind for event in self.tape.events], ["x", "x", "fails"])

    def test_numbers(self):
        """Each end has a number of its own, the same each time."""
        one, two = mock.Mock(), mock.Mock()
        self.assertEqual([self.tape.number(end) for end in (one, two, one)], [1, 2, 1])

    def test_nobody_runs(self):
        """Outside of a loop no task runs."""
        self.assertEqual(tapes.running(), "")
