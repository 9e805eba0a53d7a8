"""Verdicts, packet by packet."""

import asyncio
import contextlib
import errno
import math
import socket
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.kernel.network.wire.faults import Faults, Packet, Verdict
from tests.case.test_case import run, told


def packet(target, kind="data", data=b"x"):
    return Packet(kind, "here.test", "there.test", ("192.0.2.100", 1), (target, 80), data)


class FaultsTest(unittest.TestCase):
    def setUp(self):
        self.faults = Faults()

    def test_drop(self):
        """What is sent to an address that drops, or by it, vanishes until it is repaired; everything else passes."""
        self.assertFalse(self.faults.any)
        self.faults.drop(["192.0.2.1", "::1"])
        self.faults.repair(["::1", "192.0.2.9"])
        self.assertEqual(
            [self.faults.verdict(packet(address)) for address in ("192.0.2.1", "::1", "192.0.2.2")],
            [Verdict.DROP, Verdict.PASS, Verdict.PASS],
        )
        sent = packet("192.0.2.2")._replace(source_address=("192.0.2.1", 1))
        self.assertEqual(self.faults.verdict(sent), Verdict.DROP)
        self.assertTrue(self.faults.any)

    def test_rules(self):
        """The first rule with an opinion wins, in the order in which they were installed, until it is removed."""
        seen = []
        with self.faults.install(lambda each: seen.append(each)):
            first = self.faults.install(lambda each: Verdict.DROP if each.size > 3 else None)
            second = self.faults.install(lambda each: Verdict.later(2))
            self.assertIs(self.faults.verdict(packet("192.0.2.1", data=b"long")), Verdict.DROP)
            self.assertEqual(self.faults.verdict(packet("192.0.2.1")).seconds, 2.0)
            first.remove()
            first.remove()
            self.assertEqual(self.faults.verdict(packet("192.0.2.1", data=b"long")).seconds, 2.0)
        self.assertEqual(len(seen), 3)
        second.remove()
        self.assertFalse(self.faults.any)
        self.assertIs(self.faults.verdict(packet("192.0.2.1")), Verdict.PASS)
        self.assertEqual(len(seen), 3)

    def test_a_rule_that_removes_itself(self):
        """A rule may remove itself while it is asked."""
        rules = []

        def once(each):
            rules.pop().remove()
            return Verdict.RESET

        rules.append(self.faults.install(once))
        self.assertEqual([self.faults.verdict(packet("::1")) for _ in range(2)], [Verdict.RESET, Verdict.PASS])

    def test_verdicts(self):
        """What no verdict can be is refused with what is right."""
        self.assertEqual(Verdict.fail(errno.EHOSTUNREACH).errno, errno.EHOSTUNREACH)
        self.assertEqual((Verdict.DUPLICATE.copies, repr(Verdict.DROP)), (2, "<Verdict drop>"))
        for seconds in (-1, math.inf, math.nan, "1", True):
            self.assertRaisesRegex(ValueError, "a finite number of seconds later", Verdict.later, seconds)
        for code in (0, "EIO", 99999, []):
            self.assertRaisesRegex(ValueError, r"a packet fails with an errno, such as", Verdict.fail, code)

    def test_icmp(self):
        """An error by its type and code is another one for IPv6; one that nobody hears of is refused."""
        self.assertEqual([Verdict.icmp(3, 13).failure("192.0.2.1")[:2], Verdict.icmp(1, 1).failure("2001:db8::1")[:2]],
                         [(errno.EHOSTUNREACH, True), (errno.EACCES, True)])
        self.assertEqual([Verdict.RESET.failure(address)[:2] for address in ("192.0.2.1", "::1")],
                         [(errno.ECONNREFUSED, True)] * 2)
        self.assertEqual(Verdict.fail(errno.EHOSTUNREACH).failure("192.0.2.1")[:2], (errno.EHOSTUNREACH, False))
        for numbers in ((11, 1), (3, 16), (0, 0), ("3", 1), (5, 0)):
            with self.assertRaisesRegex(ValueError, "no call fails with type .* of ICMP: there are 3/0, .*, and for "
                                                    "IPv6 1/0, "):
                Verdict.icmp(*numbers)
        self.assertRaisesRegex(ValueError, "no call fails with type 3, code 13 of ICMP for IPv6",
                               Verdict.icmp(3, 13).failure, "::1")

    def test_bad_rules(self):
        """What is no function, and a function that gives no Verdict, are refused by name."""
        self.assertRaisesRegex(TypeError, "a rule is a function of a packet", self.faults.install, "drop")
        self.faults.install(lambda each: True)
        with self.assertRaisesRegex(TypeError, r"the rule <function .*> gave True: a rule gives a Verdict, or None"):
            self.faults.verdict(packet("::1"))

    def test_repr(self):
        """The rules show in the repr."""
        self.assertEqual(repr(self.faults), "<Faults: none, 0 rules>")
        self.faults.drop(["192.0.2.1"])
        self.faults.install(print)
        self.assertEqual(repr(self.faults), "<Faults: 192.0.2.1, 1 rule>")


class RaisingRulesTest(unittest.TestCase):
    """What a rule raises fails the test, whatever the program makes of it."""

    def told(self, rule, when="connect"):
        class Case(SolipsistTestCase):
            async def test(self):
                self.network.rule(lambda packet: rule() if packet.kind == when else None)
                await self.start_fake_server(host="api.test", port=80)
                for _ in range(3):
                    with contextlib.suppress(Exception), socket.socket(type=socket.SOCK_DGRAM) as sender:
                        sender.sendto(b"x", ("api.test", 53))
                        _, writer = await asyncio.open_connection("api.test", 80)
                        writer.close()
                        await writer.wait_closed()

        return told(run(Case))

    def test_swallowed(self):
        """The program swallows what its call raises."""
        def fail():
            raise KeyError("of the rule")

        for when in ("connect", "datagram", "lookup"):
            with self.subTest(when):
                text = self.told(fail, when)
                self.assertEqual(text.count("KeyError: 'of the rule'"), 1)
                self.assertIn("a rule of the network raised this, and the code under test swallowed it", text)

    def test_nonsense(self):
        """What is no verdict."""
        self.assertIn("gave 42: a rule gives a Verdict", self.told(lambda: 42))

    def test_expected(self):
        """A test may expect it, and a program may die of it: it is said once."""
        class Case(SolipsistTestCase):
            async def test(self):
                self.network.rule(lambda packet: {}["of the rule"])
                with self.assertRaises(KeyError):
                    await asyncio.open_connection("api.test", 80)

            async def test_unseen(self):
                self.network.rule(lambda packet: {}["of the rule"])
                await asyncio.open_connection("api.test", 80)

        self.assertEqual(told(run(Case, "test")), "")
        self.assertIn("KeyError: 'of the rule'", told(run(Case, "test_unseen")))
        self.assertNotIn("swallowed", told(run(Case, "test_unseen")))

    def test_coroutine_functions(self):
        """Nobody would await it."""
        async def rule(packet):
            """Gives a coroutine."""

        with self.assertRaisesRegex(TypeError, "a rule is a function of a packet that gives a Verdict or None, not"):
            Faults().install(rule)
