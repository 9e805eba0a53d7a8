"""Lanes: hosts and tasks as columns, and whose an end of a connection is."""

import unittest

from solipsism_unittest.evidence.recording.tape import Event
from solipsism_unittest.evidence.timeline import lanes
from solipsism_unittest.evidence.timeline.lanes import Lanes


def event(kind, task="", end=0, *facts, time=0.0):
    return Event(time, kind, task, None, end, facts)


def named(address):
    return {"192.0.2.1": "localhost", "192.0.2.2": "api.test"}.get(address, address)


def syn(task, end):
    return event("syn", task, end, True, ("192.0.2.1", 5), ("192.0.2.2", 80), "")


def joined(end, peer):
    return event("joined", "", end, peer, True, ("192.0.2.2", 80), ("192.0.2.1", 5), "")


class LanesTest(unittest.TestCase):
    def test_whose_an_end_is(self):
        """What happens in callbacks belongs to the task that used the end last, or that is the first to use it."""
        events = [syn("client", 1), joined(2, 1), event("accepted", "", 2), event("read", "", 2, 5),
                  event("start", "handler 1 of api.test:80", 0, ""), event("wait", "handler 1 of api.test:80", 2, ""),
                  event("sent", "", 2, "fin"), event("read", "", 1, 0), event("read", "", 9, 0)]
        found = Lanes(events, named)
        self.assertEqual([found.task_of(index, each) for index, each in enumerate(events)],
                         ["client", "handler 1 of api.test:80", *["handler 1 of api.test:80"] * 5, "client", ""])
        self.assertEqual(found.titles(), [("localhost", "client"), ("api.test", "handler 1")])
        self.assertEqual([found.column("client", "x"), found.column("", "api.test"), found.column("", "api.test")],
                         [0, 2, 2])
        self.assertEqual(found.titles()[2], ("api.test", "callbacks"))

    def test_columns_are_shared(self):
        """A task whose name differs in a number only takes the column of one that has ended; a name alone is its own.
        """
        events = []
        for number in range(1, 6):
            events += [event("start", f"worker-{number}", 0, ""), event("ended", f"worker-{number}", 0, "ends")]
        events += [event("start", name, 0, "") for name in ("worker-6", "worker-7", "alone")]
        events += [event("ended", "alone", 0, "ends"), event("start", "other", 0, "")]
        self.assertEqual([title for _, title in Lanes(events, named).titles()],
                         ["worker-1, 2, 3 and 3 more", "worker-7", "alone", "other"])

    def test_order(self):
        """The task that fails comes first, then those of choices, then the machine's own, then other hosts."""
        start = [event("start", name, 0, "A.run") for name in ("Task-1", "one", "Task-2")]
        events = [*start, syn("one", 1), joined(2, 1), event("wait", "far", 2, ""), event("choice", "Task-2", 0, "x")]
        for more, order in (
            ([], ["run (Task-1)", "run (Task-2)", "one", "far"]),
            ([event("fails", "one", 0, "")], ["one", "run (Task-2)", "run (Task-1)", "far"]),
            ([event("ended", "far", 0, "ends with E()"), event("fails", "", 0, "")],
             ["far", "run (Task-2)", "run (Task-1)", "one"]),
        ):
            self.assertEqual([title for _, title in Lanes(events + more, named).titles()], order)

    def test_nothing(self):
        """Without tasks there are no columns until something needs one."""
        found = Lanes([event("lookup")], named)
        self.assertEqual((found.titles(), found.column("", "localhost")), ([], 0))

    def test_many(self):
        """More tasks than anybody can look at share one column."""
        events = [event("start", f"{chr(97 + number % 26) * (number // 26 + 1)}", 0, "") for number in range(60)]
        found = Lanes(events, named)
        self.assertEqual(found.titles()[-1], ("", f"{60 - lanes.MOST} more"))
        self.assertEqual(found.column(events[-1].task, ""), lanes.MOST)

    def test_asyncios_own(self):
        """The task in which asyncio accepts a connection is not shown."""
        accepting = "BaseSelectorEventLoop._accept_connection2"
        events = [event("start", "Task-1", 0, accepting), event("wait", "Task-1", 0, "")]
        found = Lanes(events, named)
        self.assertEqual((found.hidden, found.titles()), ({"Task-1"}, []))

    def test_ends_without_addresses(self):
        """They are on the test's machine."""
        events = [event("syn", "one", 1, False, None, ("/run/app.sock", 0), ""),
                  event("joined", "one", 2, 1, True, None, None, ""), event("sent", "two", 2, "data")]
        self.assertEqual(Lanes(events, named).titles(), [("localhost", "one"), ("localhost", "two")])
