"""What happened: the records kept, and the digest over all of them."""

import unittest

from solipsism_unittest.kernel import Kernel
from solipsism_unittest.kernel.clock import VirtualClock
from solipsism_unittest.kernel.journal import FULL, KEPT, Journal, counted
from tests.kernel import output_under_hash_seeds

DIGEST_OF_A_RUN = """
from solipsism_unittest.kernel import Kernel
kernel = Kernel()
listener, client = kernel.stream(2, None), kernel.stream(2, None)
for name in ("b.test", "a.test", "c.test"):
    kernel.names.declare(name)
host = kernel.names.getaddrinfo("a.test", 80)[0][4][0]
kernel.network.bind(listener, host, 80)
kernel.network.listen(listener, 1)
kernel.network.connect(client, host, 80)
client.send(memoryview(b"hello"))
print(kernel.journal.digest)
"""


def journal(*texts, start=0.0):
    made = Journal(VirtualClock(start))
    for text in texts:
        made.add("word", text)
    return made


class JournalTest(unittest.TestCase):
    def test_record(self):
        """A record has the time, the kind and the facts, and reads as a line."""
        made = journal("x", start=1.5)
        made.note("jump", (2.0,))
        self.assertEqual([tuple(record) for record in made], [(1.5, "word", ("x",)), (1.5, "jump", (2.0,))])
        self.assertEqual([str(record) for record in made.last(1)], ["t=1.5 jump 2.0"])
        for facts in (("send", "a>b", 1), ("drop", "a>b", 2, "nobody listens there"), ("drop", "a>b")):
            made.add(*facts)
        self.assertEqual([str(record) for record in made.last(3)],
                         ["t=1.5 send a>b 1 byte", "t=1.5 drop a>b 2 bytes nobody listens there", "t=1.5 drop a>b"])
        made.add("end")
        self.assertEqual(str(made.last(1)[0]), "t=1.5 end")

    def test_last_effects(self):
        """`last_effects` gives the newest that happened to the world, oldest first, without what `note` wrote."""
        clock = VirtualClock()
        made = Journal(clock)
        for number in range(3):
            made.add("send", number)
            made.note("sleep", (9.0,))
        self.assertEqual([record.facts for record in made.last_effects(2)], [(1,), (2,)])
        self.assertEqual((made.last_effects(0), len(made.last_effects(99))), ([], 3))

    def test_last(self):
        """`last` gives the newest, oldest first, and nothing for a count that is not positive."""
        made = journal("a", "b", "c")
        self.assertEqual([record.facts for record in made.last(2)], [("b",), ("c",)])
        self.assertEqual((made.last(0), made.last(-1), len(made.last(99))), ([], [], 3))

    def test_effects(self):
        """Only what happens to the world counts as an effect, and it does so with the journal off too."""
        made = journal("a")
        made.note("timer", (1,))
        made.enabled = False
        made.add("b")
        self.assertEqual((made.effects, len(made)), (2, 2))

    def test_kept(self):
        """The last 10,000 are kept, whatever was thrown away."""
        made = journal(*range(FULL + 5))
        self.assertEqual((len(made), len(list(made))), (KEPT, KEPT))
        self.assertEqual((list(made)[0].facts, list(made)[-1].facts), ((FULL + 5 - KEPT,), (FULL + 4,)))

    def test_notes_are_kept_too(self):
        """Of notes, and of what streams send, as many are kept as of all else, and none while the journal is off."""
        kernel = Kernel()
        own, peer = kernel.pair(None, None)
        made, added = kernel.journal, journal()

        def send(number):
            own.send(b"x" * (1 + number % 9))
            peer.recv(9)
            added.add("send", own.label, 1 + number % 9)

        def note(number):
            made.note("timer", (number,))
            added.note("timer", (number,))

        for write in (send, note):
            for number in range(FULL + 5):
                write(number)
            self.assertLess(len(made.records), FULL)
            self.assertEqual((list(made), made.digest, made.effects), (list(added), added.digest, added.effects))
        made.enabled = added.enabled = False
        for write in (send, note):
            write(7)
        self.assertEqual((list(made), made.digest, made.effects), (list(added), added.digest, FULL + 6))

    def test_repr(self):
        """A journal says how much it holds and what time it is."""
        self.assertEqual(repr(journal("a", start=2.0)), "<Journal of 1 record, t=2.0>")

    def test_counted(self):
        """One thing is one thing, and many may be written as a reader likes them."""
        self.assertEqual([counted(number, "more byte") for number in (0, 1, 2)],
                         ["0 more bytes", "1 more byte", "2 more bytes"])
        self.assertEqual(counted(1_000, "byte", ","), "1,000 bytes")


class DigestTest(unittest.TestCase):
    def test_equal_runs(self):
        """Two runs have one digest exactly when every time, kind and fact is the same."""
        same = journal("a", "b").digest
        self.assertEqual(journal("a", "b").digest, same)
        others = [journal("a"), journal("b", "a"), journal("a", "b", "c"), journal("a", "b", start=1.0), journal("ab")]
        for other in others:
            with self.subTest(str(other.last(9))):
                self.assertNotEqual(other.digest, same)

    def test_reading_changes_nothing(self):
        """A digest read on the way does not change the one at the end, wherever the records were thrown away."""
        for count in (3, KEPT, FULL - 1, FULL, FULL + 1, FULL + KEPT + 1):
            read, unread = journal(), journal()
            for number in range(count):
                read.add("n", number)
                unread.add("n", number)
                if number in (0, 1, KEPT - 1, KEPT, FULL - 1, FULL):
                    self.assertEqual(read.digest, read.digest)
            with self.subTest(count=count):
                self.assertEqual(read.digest, unread.digest)

    def test_covers_what_is_gone(self):
        """A difference in a record that is no longer kept is still a difference."""
        numbers = range(FULL + KEPT)
        self.assertNotEqual(journal("x", *numbers).digest, journal("y", *numbers).digest)

    def test_equal_facts_of_different_objects(self):
        """The digest sees values, not objects: a text made at run time is the same as a literal."""
        self.assertEqual(journal("".join(["a", "b"]), 10**20).digest, journal("ab", 10**19 * 10).digest)

    def test_hash_seed(self):
        """The same program has the same digest under any PYTHONHASHSEED."""
        digests = output_under_hash_seeds(DIGEST_OF_A_RUN)
        self.assertEqual(len(digests), 1, digests)
        self.assertRegex(digests.pop(), r"\A[0-9a-f]{32}\n\Z")
