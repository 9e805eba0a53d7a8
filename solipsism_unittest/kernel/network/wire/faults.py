"""What happens to a packet on its way: rules, each of which looks at a packet and may give a verdict.

Owns the rules of one network, in their order, and the addresses that drop everything. The rule that keeps it simple:
the sender asks for the verdict and obeys it; nothing else knows why a packet did not arrive.
"""

from __future__ import annotations

import errno
import inspect
import math
from collections.abc import Callable, Iterable
from typing import ClassVar, NamedTuple, Self

from ...addresses.hosts import SCOPE
from ...addresses.icmp import NUMBERS, Failure, failure_of, usual_failure
from ...journal import counted


class Packet(NamedTuple):
    """What a rule looks at: one packet between two hosts."""

    kind: str  # "connect", "data", "fin", "reset", "probe" (of keepalive), "datagram", "lookup"
    source: str  # the name of the host that it comes from, or its address where that has no name
    target: str  # and of the one that it goes to; of a look-up "dns"
    source_address: tuple[str, int]
    target_address: tuple[str, int]
    data: bytes = b""  # of a look-up the name

    @property
    def size(self) -> int:
        """The number of bytes in it."""
        return len(self.data)


class Verdict:
    """What happens to a packet. A retransmission is a packet of its own: the rules are asked again.

    * `PASS`: it goes on.
    * `DROP`: it is lost; a stream sends it again later.
    * `RESET`: something on the way keeps it, and answers with a reset in the name of its target: its sender gets
      ConnectionResetError a round trip later, of a connect ConnectionRefusedError, of a datagram the refusal of a port.
      The target hears nothing: a connection stays open there, and waits, until it sends something itself.
    * `CORRUPT`: a datagram arrives with one bit turned; a segment is lost, as its checksum fails.
    * `DUPLICATE`: a datagram arrives twice; a stream takes each byte once.
    """

    __slots__ = ("kind", "seconds", "copies", "errno", "_numbers")
    PASS: ClassVar[Verdict]
    DROP: ClassVar[Verdict]
    RESET: ClassVar[Verdict]
    CORRUPT: ClassVar[Verdict]
    DUPLICATE: ClassVar[Verdict]

    def __init__(self, kind: str, *, seconds: float = 0.0, copies: int = 1, errno: int = 0,
                 numbers: tuple[int, int] | None = None) -> None:
        self.kind = kind
        self.seconds = seconds
        self.copies = copies
        self.errno = errno
        self._numbers = numbers  # type and code of ICMP; None for the usual ones of the errno

    @classmethod
    def later(cls, seconds: float) -> Self:
        """It arrives so many seconds of virtual time later."""
        if not isinstance(seconds, (int, float)) or isinstance(seconds, bool) or not 0 <= seconds < math.inf:
            raise ValueError(f"a packet comes a finite number of seconds later, from 0 up, not {seconds!r}")
        return cls("later", seconds=float(seconds))

    @classmethod
    def fail(cls, code: int) -> Self:
        """Something on the way answers with an error of ICMP, such as EHOSTUNREACH, and the packet is lost.

        A connect fails with it. A connected UDP socket gets it in a later call; of EHOSTUNREACH and ENETUNREACH it
        hears only with IP_RECVERR. A stream goes on to send again; when it gives up, it is with this error. With
        IP_RECVERR each such error is reported by a call of it too. It is the usual error of this errno: see `icmp()`.
        """
        if not isinstance(code, int) or code not in errno.errorcode:
            raise ValueError(f"a packet fails with an errno, such as errno.EHOSTUNREACH, not {code!r}")
        return cls("fail", errno=code)

    @classmethod
    def icmp(cls, kind: int, code: int) -> Self:
        """As `fail()`, by the type and code of ICMP (for a packet of IPv6: of ICMPv6), of which the errno follows.

        Of several with one errno some last: `icmp(3, 13)` (administratively prohibited) is EHOSTUNREACH too, and a
        connected UDP socket hears of it.
        """
        if not any((kind, code) in numbers for numbers in NUMBERS):
            raise ValueError(f"no call fails with type {kind!r}, code {code!r} of ICMP: there are "
                             f"{', '.join(f'{one}/{two}' for one, two in NUMBERS[0])}, and for IPv6 "
                             f"{', '.join(f'{one}/{two}' for one, two in NUMBERS[1])}")
        return cls("fail", numbers=(kind, code))

    def failure(self, target: str) -> Failure:
        """What the sender of a packet to this address hears of, when it fails or is refused."""
        version = 6 if ":" in target else 4
        if self._numbers is not None:
            return failure_of(*self._numbers, version)
        return usual_failure(self.errno or errno.ECONNREFUSED, version)

    def __repr__(self) -> str:
        return f"<Verdict {self.kind}>"


Verdict.PASS = Verdict("pass")
Verdict.DROP = Verdict("drop")
Verdict.RESET = Verdict("reset")
Verdict.CORRUPT = Verdict("corrupt")
Verdict.DUPLICATE = Verdict("duplicate", copies=2)

Rule = Callable[[Packet], Verdict | None]


class InstalledRule:
    """A rule in its place: for ever, until `remove()`, or for a `with` block."""

    def __init__(self, rules: dict[InstalledRule, None], rule: Rule) -> None:
        self._rules = rules
        self.rule = rule
        rules[self] = None

    def remove(self) -> None:
        """Take the rule away. A second call does nothing."""
        self._rules.pop(self, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Faults:
    """The rules of one network; without any, everything passes."""

    def __init__(self) -> None:
        self._dropping: dict[str, None] = {}
        self._rules: dict[InstalledRule, None] = {}  # in the order in which they were installed
        self._raised: dict[Rule, list[Exception]] = {}  # of each rule the first error and the last one

    def drop(self, addresses: Iterable[str]) -> None:
        """Lose all that is sent to these addresses, or by them; "127." and "%host" stand for a loopback."""
        self._dropping.update(dict.fromkeys(addresses))

    def repair(self, addresses: Iterable[str]) -> None:
        """End `drop()` for these addresses."""
        for address in addresses:
            self._dropping.pop(address, None)

    def install(self, rule: Rule) -> InstalledRule:
        """Ask this rule too, after those that are there."""
        if not callable(rule) or inspect.iscoroutinefunction(rule):
            raise TypeError(f"a rule is a function of a packet that gives a Verdict or None, not {rule!r}")
        return InstalledRule(self._rules, rule)

    def clear(self) -> None:
        """Take all of them away."""
        self._dropping.clear()
        self._rules.clear()

    @property
    def has_raised(self) -> bool:
        """Whether a rule has raised something that nobody has taken."""
        return bool(self._raised)

    def take_raised(self) -> list[list[Exception]]:
        """Of each rule that raised something the first error and the last one; they are forgotten here."""
        raised = list(self._raised.values())
        self._raised.clear()
        return raised

    def keep(self) -> Callable[[], None]:
        """Note what there is; the result makes it so again."""
        dropping, rules = dict(self._dropping), dict(self._rules)

        def put_back() -> None:
            self._dropping.clear()
            self._dropping.update(dropping)
            self._rules.clear()
            self._rules.update(rules)

        return put_back

    def drops(self, address: str) -> bool:
        """Whether everything that is sent to this address, or by it, is lost."""
        loopback, scope, host = address.partition(SCOPE)
        return address in self._dropping or (scope + host if scope else loopback[:4]) in self._dropping

    @property
    def any(self) -> bool:
        """Whether there is any rule."""
        return bool(self._dropping or self._rules)

    def verdict(self, packet: Packet) -> Verdict:
        """What happens to a packet: what the first rule says that says anything."""
        if self._dropping and (self.drops(packet.target_address[0]) or self.drops(packet.source_address[0])):
            return Verdict.DROP
        for installed in list(self._rules):
            try:
                verdict = _ask(installed.rule, packet)
            except Exception as error:  # the program that has sent gets it, and may swallow it
                self._raised[installed.rule] = [*self._raised.get(installed.rule, ())[:1], error]
                raise
            if verdict is not None:
                return verdict
        return Verdict.PASS

    def __repr__(self) -> str:
        return f"<Faults: {', '.join(self._dropping) or 'none'}, {counted(len(self._rules), 'rule')}>"


def _ask(rule: Rule, packet: Packet) -> Verdict | None:
    """What a rule says; TypeError for anything else than a Verdict or None."""
    verdict = rule(packet)
    if verdict is not None and not isinstance(verdict, Verdict):
        raise TypeError(f"the rule {rule!r} gave {verdict!r}: a rule gives a Verdict, or None where it has no opinion")
    return verdict
