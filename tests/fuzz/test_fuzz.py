"""A fixed set of seeds, and the judge judged: what it finds, what it prints, and that the table of calls is whole."""

import ast
import contextlib
import io
import unittest
from unittest import mock

from tests.fuzz import calls
from tests.fuzz.__main__ import main
from tests.fuzz.calls import CALLS, KINDS, Call, Drawing
from tests.fuzz.judge import Difference, Judge
from tests.fuzz.rules import MOST, RULES, Moment, accepted

SEED = 20_000
SEQUENCES = 40
"""Of each kind: a few seconds in all."""

WANTED = {
    "bind", "listen", "accept", "connect", "connect_ex", "send", "sendall", "sendto", "sendmsg", "recv", "recv_into",
    "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "shutdown", "close", "detach", "dup", "makefile",
    "getsockname", "getpeername", "getsockopt", "setsockopt", "settimeout", "gettimeout", "getblocking", "fileno",
    "family", "type", "proto", "timeout",
}
"""What a sequence has to be able to call."""


class FuzzTest(unittest.TestCase):
    maxDiff = None

    def test_fixed_seeds(self):
        """The fixed sequences of each kind of sockets give the same on Linux and on the virtual machine."""
        for kind in KINDS:
            judge = Judge(kind, SEED)
            with self.subTest(kind):
                differences = [str(found) for index in range(SEQUENCES) if (found := judge.play(index))]
                self.assertEqual(differences, [])
                self.assertEqual(judge.tally.sequences, SEQUENCES)


class JudgeTest(unittest.TestCase):
    def play(self, *lines: str) -> Difference | None:
        return Judge("tcp4", 0).replay(0, Drawing("tcp4", 0, 0).new(), list(lines))

    def test_a_difference_is_found(self):
        """What only one side does is a difference, with both answers."""
        difference = self.play("s[0] = new()", "_ = type(s[0]).__name__")
        self.assertEqual((difference.real, difference.virtual), ("socket", "VirtualSocket"))

    def test_agreement_is_none(self):
        """What both sides do is none, ports of the kernel's choice included."""
        self.assertIsNone(self.play("s[0] = new()", "s[0].bind(('127.0.0.1', 0))", "_ = s[0].getsockname()"))

    def test_a_difference_is_made_small(self):
        """What does not matter is left out of a difference that is shown."""
        judge = Judge("tcp4", 0)
        found = self.play("s[0] = new()", "s[1] = new()", "_ = s[1].fileno() >= 0", "_ = type(s[0]).__name__")
        self.assertEqual(judge._shrink(found).lines, ["s[0] = new()", "_ = type(s[0]).__name__"])

    def test_a_difference_is_a_program(self):
        """What is printed of a difference is Python, with the seed and both answers."""
        text = str(self.play("s[0] = new()", "_ = type(s[0]).__name__"))
        ast.parse(text)
        self.assertIn("# kind tcp4, seed 0, sequence 0: they differ in line 2\n", text)
        self.assertTrue(text.endswith("# Linux:   'socket'\n# virtual: 'VirtualSocket'\n"), text)

    def test_the_same_seed_draws_the_same(self):
        """A sequence depends on kind, seed and number alone."""
        def draw(index: int) -> list[str]:
            drawing = Drawing("unix", 1, index)
            return drawing.beginning() + [drawing.line([0, 1], [0]) for _ in range(30)]

        self.assertEqual(draw(5), draw(5))
        self.assertNotEqual(draw(5), draw(6))


class TableTest(unittest.TestCase):
    def test_every_call_can_be_drawn(self):
        """Each call that a socket has stands in the table."""
        lines = [node for call in CALLS for node in ast.walk(ast.parse(
            call.line.replace("{s}", "s").replace("{", "x").replace("}", "x")))]
        called = {node.attr for node in lines if isinstance(node, ast.Attribute)}
        self.assertEqual(WANTED - called, set())

    def test_rules_are_few_and_say_why(self):
        """At most ten differences are accepted, each by its name and with its reason."""
        self.assertLessEqual(len(RULES), MOST)
        self.assertEqual(len({rule.name for rule in RULES}), len(RULES))
        self.assertTrue(all(len(rule.reason.split()) > 5 for rule in RULES))


    def test_each_rule_applies(self):
        """Each rule explains what it is for, and not what another socket or call says."""
        flooded = ["_ = s[1].send(big)"]
        examples = {
            "room": [Moment("tcp4", [*flooded, line], real, virtual) for line, real, virtual in (
                ("_ = s[1].send(b'x')", 1, "EAGAIN"), ("_ = s[2].recv(5)", b"x", "EAGAIN"),
                ("_ = polled(s[1])", [1], [5]))],
            "chosen numbers": [Moment("unix", ["_ = s[0].getsockname()"], "name 1", "name 2")],
            "address in use": [Moment("tcp6", ["s[1].bind(address(s[0]))"], "EADDRINUSE", None)],
            "waiting connects": [Moment("tcp4", ["s[1].connect(address(s[0]))", "_ = s[1].send(b'')"], "EAGAIN",
                                        "ECONNREFUSED")],
            "buffer sizes": [Moment("udp4", ["_ = s[0].getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)"], 1, 2)],
        }
        self.assertEqual(set(examples), {rule.name for rule in RULES})
        for name, moments in examples.items():
            for moment in moments:
                self.assertEqual(accepted(moment).name, name)
        for line in ("_ = s[1].send(b'x')", "_ = s[1].getpeername()"):
            self.assertIsNone(accepted(Moment("tcp4", [line], 1, "EPIPE")))
            self.assertIsNone(accepted(Moment("tcp4", [*flooded, line], 1, "EPIPE")))


class CommandTest(unittest.TestCase):
    def test_a_difference_ends_with_one(self):
        """What is found is printed once as a program, counted, and the command ends with 1."""
        broken = [Call("_ = type({s}).__name__")]
        with mock.patch.object(calls, "CALLS", broken), contextlib.redirect_stdout(io.StringIO()) as out:
            code = main(["--sequences", "5", "--kind", "unix", "--most", "2"])
        self.assertEqual(code, 1)
        self.assertEqual(out.getvalue().count("# Linux:   'socket'\n# virtual: 'VirtualSocket'\n"), 1)
        self.assertIn("2 unexplained", out.getvalue())

    def test_a_matter_of_when_is_none(self):
        """What no longer differs with patience is counted, and is no difference."""

        class Patient(Judge):
            def replay(self, index: int, new: str, lines: list[str]) -> None:
                """Everything has arrived by now."""

        judge = Patient("tcp4", 0)
        with mock.patch.object(calls, "CALLS", [Call("_ = type({s}).__name__")]):
            self.assertIsNone(judge.play(0))
        self.assertEqual(judge.tally.late, 1)

    def test_command(self):
        """The command prints the seed and what it played, and 0 is no difference."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = main(["--seed", str(SEED), "--sequences", "2", "--kind", "udp4", "--answers"])
        self.assertEqual(code, 0, out.getvalue())
        self.assertRegex(out.getvalue(), rf"\Aseed {SEED}\nudp4: 2 sequences, \d+ calls; .* 0 unexplained\n")
