"""The records of a time line: in words, with arrows from each message to the read that got it."""

import dis
import unittest

from solipsism_unittest.evidence.recording.tape import Event
from solipsism_unittest.evidence.timeline.lanes import Lanes
from solipsism_unittest.evidence.timeline.records import Records
from solipsism_unittest.introspection.places import Place
from tests.evidence.timeline.test_lanes import joined, named, syn


def event(kind, task="", end=0, *facts, time=0.0, line=0):
    return Event(time, kind, task, place_at(line) if line else None, end, facts)


def place_at(line):
    """The place of the line after this one in app.py."""
    code = compile("\n" * line + "x", "app.py", "eval")
    return Place(code, next(step.offset for step in dis.get_instructions(code) if step.argval == "x"))


class RecordsTest(unittest.TestCase):
    def made(self, *events):
        """The records as (kind, lane, text, other end, bytes)."""
        lanes = Lanes(events, named)
        records = Records(events, lanes, named)
        kinds, texts = list(records.kinds.numbers), list(records.texts.numbers)
        self.places = [(place, row[4]) for row in records.rows for place in records.places.numbers]
        titles = lanes.titles()
        return [(kinds[kind], titles[lane][1], texts[text], other, None if data < 0 else texts[data])
                for _, kind, lane, text, _, other, data in records.rows]

    def test_a_conversation(self):
        """A connect leads to its accept, a message to the read that got its first byte."""
        found = self.made(
            syn("client", 1), joined(2, 1), event("accepted", "", 2), event("sent", "client", 1, "data", b"get\n", 4),
            event("sent", "client", 1, "data", b"x" * 30, 30), event("arrived", "client", 2, "data", 34, 34, 99),
            *(event("read", "server", 2, size, 0, 0) for size in (3, 31, 0)),
            event("sent", "server", 2, "fin", b"", 0), event("sent", "client", 1, "rst", b"", 0),
            event("sent", "client", 1, "syn_ack", b"", 0), event("arrived", "client", 2, "rst", 0, 0, 0))
        self.assertEqual(found, [
            ("connect", "client", "connects to api.test:80", 1, None), ("accept", "server", "accepts", -1, None),
            ("send", "client", "4 bytes", 4, r"get\n"), ("send", "client", "30 bytes", 5, "x" * 24 + "…"),
            ("recv", "server", "reads 3 bytes", -1, None), ("recv", "server", "reads 31 bytes", -1, None),
            ("recv", "server", "reads the end", -1, None), ("fin", "server", "ends the stream", -1, None),
            ("reset", "client", "resets the connection", -1, None),
            ("reset", "server", "its connection is reset", -1, None)])

    def test_waits(self):
        """A task that goes on inside asyncio at the same line waits on; that it goes on is seen from what it does."""
        found = self.made(
            event("start", "one", 0, "run"), event("wait", "one", 0, "waits for a", line=5), event("wake", "one"),
            event("wait", "one", 0, "waits for b", line=5), event("wake", "one"),
            event("wait", "one", 0, "waits for c", line=6), event("wake", "one", time=1.0),
            event("wait", "one", 0, "waits for d", line=7, time=1.0), event("wake", "one", time=2.0),
            event("start", "two", 0, "", time=2.0), event("ended", "one", 0, "ends", time=2.0))
        self.assertEqual([(kind, text) for kind, _, text, _, _ in found],
                         [("start", "begins: run"), ("wait", "waits for a"), ("wait", "waits for c"),
                          ("wait", "waits for d"), ("wake", "goes on"), ("start", "begins"), ("end", "ends")])

    def test_cancellations(self):
        """An arrow leads to where the cancelled task goes on, or ends."""
        found = self.made(
            event("start", "one", 0, ""), event("wait", "one", 0, "waits"), event("cancel", "main", 0, "one"),
            event("cancel", "main", 0, "two"), event("wake", "one"), event("ended", "one", 0, "is cancelled"),
            event("ended", "two", 0, "is cancelled"))
        self.assertEqual([(kind, text, other) for kind, _, text, other, _ in found],
                         [("start", "begins", -1), ("wait", "waits", -1), ("cancel", "cancels one", 4),
                          ("cancel", "cancels two", 6), ("wake", "goes on", -1), ("end", "is cancelled", -1),
                          ("end", "is cancelled", -1)])

    def test_datagrams_and_pipes(self):
        """They have arrows too: of a datagram for many the last one that comes ends it."""
        route = "192.0.2.1:5>192.0.2.2:53"
        found = self.made(
            event("datagram", "one", 1, route, b"q", 1), event("came", "one", 2, route, 1),
            event("datagram", "one", 1, route, b"r", 1), event("datagram", "one", 1, route, b"s", 1),
            event("came", "one", 2, route, 1), event("came", "one", 3, "else", 1), event("read", "two", 2, 1, 0, 0),
            event("written", "one", 5, 6, b"pipe", 4), event("read", "two", 6, 4, 0, 0),
            event("unix datagram", "one", 7, "unnamed-7", "/log", b"line", 4))
        self.assertEqual([(kind, text, other, data) for kind, _, text, other, data in found], [
            ("send", "1 byte to api.test:53", 3, "q"), ("send", "1 byte to api.test:53", -1, "r"),
            ("send", "1 byte to api.test:53", -1, "s"), ("recv", "reads 1 byte", -1, None),
            ("send", "4 bytes", 5, "pipe"), ("recv", "reads 4 bytes", -1, None),
            ("send", "4 bytes to /log", -1, "line")])

    def test_labels(self):
        """What the journal has of an end by its label belongs to the task that uses the end."""
        found = self.made(
            event("syn", "client", 1, True, ("192.0.2.1", 5), ("192.0.2.2", 80), "a>b"),
            event("joined", "", 2, 1, True, ("192.0.2.2", 80), ("192.0.2.1", 5), "a>b (accepted)"),
            event("wait", "server", 2, "waits"), event("connect", "", 0, "a>b", "dropped"),
            event("lost", "", 0, "a>b", 5),
            event("timeout", "", 0, "a>b (accepted)"), event("timeout", "", 0, "c>d"))
        self.assertEqual([lane for _, lane, *_ in found],
                         ["client", "server", "client", "client", "server", "callbacks"])

    def test_look_ups(self):
        """One for a connect that follows at once is seen from that; others are there."""
        lookup = event("lookup", "client", 0, "api.test", "192.0.2.2")
        found = self.made(lookup, syn("client", 1), lookup, event("start", "one", 0, ""), syn("client", 2), lookup,
                          syn("client", 3)._replace(time=1.0))
        self.assertEqual([kind for kind, *_ in found], ["connect", "note", "start", "connect", "note", "connect"])

    def test_everything_else(self):
        """Each kind of event that people want to see is there in words; the others are not."""
        found = self.made(
            event("listen", "", 0, "192.0.2.2:80"), event("listen", "", 0, "192.0.2.2:80"),
            event("listen", "", 0, "/run/app.sock"), event("lookup", "", 0, "api.test", "192.0.2.2"),
            event("timer", "", 0, 5.5, "f"), event("connect", "", 0, "a>b", ""),
            event("connect", "", 0, "a>b", "dropped"),
            event("drop", "", 0, "a>b", 5, "nobody listens there"), event("drop", "", 0, "a>b"),
            event("accepted", "", 77),
            event("lost", "", 0, "a>b", 6), event("lost", "", 0, "a>b", 0), event("rejected", "", 0, "a>b", "data", 1),
            event("rejected", "", 0, "a>b", "fin", 0), event("rejected", "", 0, "a>b", "connect", 0),
            event("repeated", "", 1, "data", b"six", 6, 6),
            event("repeated", "", 1, "fin", b"", 0, 1), event("timeout", "", 0, "a>b"),
            event("gave up", "", 78, "no route"),
             event("job", "", 0, "load"),
            event("signal", "", 0, 7, 15), event("spawn", "", 0, 7, "ls"), event("exit", "", 0, 7, 1),
            event("refused", "", 1), event("callback", "", 0, "f (app.py:5)"),
            event("stuck", "", 0, "SleepForeverError"),
            event("choice", "", 0, "a stall"), event("bind", "", 0, "x"), event("advanced"),
            event("syn", "", 8, False, None, ("/run/app.sock", 0), ""), event("syn", "", 9, False, None, None, ""),
            event("sleep", "", 0, 5.0), event("fails", "", 0, "E: why"))
        self.assertEqual([(kind, text) for kind, _, text, _, _ in found], [
            ("listen", "api.test:80 listens"), ("listen", "/run/app.sock listens"),
            ("note", "looks api.test up: 192.0.2.2"), ("note", "sets a timer for t=5.5"),
            ("lost", "its connect is lost on the way"), ("lost", "a datagram is dropped: nobody listens there"),
            ("lost", "a datagram is dropped: on its way"), ("accept", "accepts"),
            ("lost", "6 bytes lost on the way, and sent again later"),
            ("lost", "its end lost on the way, and sent again later"),
            ("lost", "1 byte rejected on the way: a reset comes back"),
            ("lost", "its end rejected on the way: a reset comes back"),
            ("lost", "its connect rejected on the way: a reset comes back"),
            ("note", "sends 6 bytes again"), ("note", "sends its end again"),
            ("reset", "gives the connection up: nobody has answered for too long"),
            ("reset", "its connect fails: no route"),
            ("job", "an executor job is done: load"), ("job", "signal 15"), ("job", "process 7 begins: ls"),
            ("job", "process 7 ends with code 1"), ("reset", "is refused: nobody listens there"),
            ("callback", "callback f (app.py:5)"), ("stuck", "nothing can go on: SleepForeverError"),
            ("choice", "a stall"), ("connect", "connects to /run/app.sock"),
            ("connect", "connects to a socket without a name"), ("fail", "E: why")])

    def test_places(self):
        """A record names the program's line, where a library's own called as well."""
        inner, outer = place_at(3), place_at(9)
        called = Event(0.0, "lookup", "", Place(inner.code, inner.instruction, True, outer), 0, ("a",))
        records = Records([called, event("lookup", "", 0, "b")], lanes := Lanes([], named), named)
        self.assertEqual((list(records.places.numbers), [row[4] for row in records.rows]), ([("app.py", 10)], [0, -1]))
        self.assertEqual(lanes.titles(), [("localhost", "callbacks")])

    def test_asyncios_own(self):
        """Nothing is shown of a task in which asyncio accepts a connection."""
        self.assertEqual(self.made(event("start", "T", 0, "BaseSelectorEventLoop._accept_connection2"),
                                   event("wait", "T", 0, "waits for a future")), [])
