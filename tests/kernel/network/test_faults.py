"""Verdicts, address by address."""

import unittest

from solipsism_unittest.kernel.network.faults import Faults, Verdict


class FaultsTest(unittest.TestCase):
    def test_drop(self):
        """What is sent to an address that drops vanishes until it is repaired; everything else passes."""
        faults = Faults()
        faults.drop(["192.0.2.1", "::1"])
        faults.repair(["::1", "192.0.2.9"])
        self.assertEqual(
            [faults.verdict(address) for address in ("192.0.2.1", "::1", "192.0.2.2")],
            [Verdict.DROP, Verdict.PASS, Verdict.PASS],
        )

    def test_repr(self):
        """The rules show in the repr."""
        faults = Faults()
        self.assertEqual(repr(faults), "<Faults: none>")
        faults.drop(["192.0.2.1"])
        self.assertEqual(repr(faults), "<Faults: 192.0.2.1>")
