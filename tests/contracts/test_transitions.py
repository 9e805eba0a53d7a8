"""Each row of the transition tables of streams is reached by a scenario, as a program reaches it."""

import functools
import unittest
from typing import Any
from unittest import mock

from solipsism_unittest.kernel.descriptors import connection, transitions
from tests.contracts.arms import Arm
from tests.contracts.test_arms import scenarios


class Recording(dict[Any, Any]):
    """A table that notes which of its rows are used."""

    def __init__(self, table: dict[Any, Any]) -> None:
        super().__init__(table)
        self.used: set[Any] = set()

    def __getitem__(self, row: Any) -> Any:
        self.used.add(row)
        return super().__getitem__(row)


class TransitionsTest(unittest.TestCase):
    def test_every_row_is_reached(self):
        """Played on the virtual loop, the scenarios use every row, of TCP and what is special to UNIX sockets."""
        tcp, unix = Recording(transitions.TRANSITIONS), Recording(transitions.UNIX_TRANSITIONS)
        with mock.patch.object(connection, "TRANSITIONS", tcp), mock.patch.object(connection, "UNIX_TRANSITIONS", unix):
            for kind, name in scenarios():
                case = kind(name)
                body = getattr(kind, name).__wrapped__
                Arm("virtual loop", case.virtual_loop).play(functools.partial(body, case))
        special = {row for row in unix if tcp.get(row) != unix.get(row)}
        self.assertEqual(set(tcp) - tcp.used, set())
        self.assertEqual(special - unix.used, set())
