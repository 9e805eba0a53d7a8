"""A network with routes and a router for the real arm: a namespace of its own, and a TUN device that we answer.

It takes a privilege (CAP_NET_ADMIN), Linux, and the program `ip`. Where one is missing the tests are skipped by that
name. Only the thread that plays the real arm lives in the namespace; it and all in it are gone when that thread ends.
"""

import asyncio
import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from typing import Any

from solipsism_unittest import SolipsistEventLoop, Verdict
from tests.contracts.arms import PLAYS, Arm, Body, Contract

_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
_SET_INTERFACE = 0x400454CA  # TUNSETIFF
_TUN = 0x1001  # IFF_TUN | IFF_NO_PI
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16
_WHOLE = 0x40  # DF of IP

OWN, ROUTER = "198.51.100.1", "198.51.100.254"
ROUTES = {"unreachable": errno.EHOSTUNREACH, "prohibit": errno.EACCES, "blackhole": errno.EINVAL,
          "throw": errno.ENETUNREACH}  # the kinds of routes, and what a call gets that would send there
KINDS = list(ROUTES)


def behind_route(kind: str) -> str:
    """An address for which the machine has a route of this kind."""
    return f"203.0.113.{16 * KINDS.index(kind) + 1}"


def behind_router(number: int = 1) -> str:
    """An address behind the router, which answers what is sent there with an error."""
    return f"192.0.2.{number}"


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


@functools.cache
def missing() -> str:
    """What is missing for such a network; "" for nothing."""
    if not hasattr(socket, "IP_RECVERR") and not os.path.exists("/proc/self/ns/net"):
        return "Linux"
    for what, there in (("program ip", shutil.which("ip")), ("/dev/net/tun", os.path.exists("/dev/net/tun"))):
        if not there:
            return what
    problems = []

    def try_it() -> None:
        try:
            with _network():
                pass
        except (OSError, subprocess.SubprocessError) as error:
            problems.append(f"the privilege to make network namespaces ({error})")

    thread = threading.Thread(target=try_it)
    thread.start()
    thread.join()
    return "".join(problems)


@contextlib.contextmanager
def _network() -> Any:
    """Put this thread into a new network; give the descriptor of the device to the router."""
    if _libc().unshare(_NEW_NETWORK):
        raise OSError(ctypes.get_errno(), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(tun, _SET_INTERFACE, struct.pack("16sH22x", b"out", _TUN))
        commands = ["link set lo up", f"addr add {OWN}/24 dev out", "link set out up",
                    f"route add 192.0.2.0/24 via {ROUTER}"]
        commands += [f"route add {kind} {behind_route(kind)}/32" for kind in KINDS]
        subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True, capture_output=True)
        yield tun
    finally:
        os.close(tun)


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _icmp(packet: bytes, kind: int, code: int, mtu: int = 0) -> bytes:
    """The error of ICMP about a packet, from the router."""
    body = struct.pack("!BBHI", kind, code, 0, mtu) + packet[:28]
    body = body[:2] + struct.pack("!H", _checksum(body)) + body[4:]
    return _headed(body, socket.IPPROTO_ICMP, socket.inet_aton(ROUTER) + packet[12:16])


def _headed(body: bytes, protocol: int, ends: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0, ends)
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + body


def _accepting(packet: bytes) -> bytes | None:
    """The SYN-ACK to a SYN, None for another packet."""
    segment = packet[20:]
    if packet[9] != socket.IPPROTO_TCP or segment[13] != _SYN:
        return None
    number, = struct.unpack_from("!I", segment, 4)
    return _segment(packet, 1, number + 1, _SYN | _ACK)


def _segment(packet: bytes, number: int, expected: int, flags: int) -> bytes:
    """A segment without data, of who a segment was sent to, to its sender."""
    source, target = struct.unpack_from("!HH", packet, 20)
    answer = struct.pack("!HHIIBBHHH", target, source, number, expected & 0xFFFFFFFF, 0x50, flags, 65535, 0, 0)
    ends = packet[16:20] + packet[12:16]
    total = _checksum(ends + struct.pack("!HH", socket.IPPROTO_TCP, len(answer)) + answer)
    answer = answer[:16] + struct.pack("!H", total) + answer[18:]
    return _headed(answer, socket.IPPROTO_TCP, ends)


def _kind(packet: bytes) -> str:
    """What a rule of the virtual network calls a packet of TCP; "" for what it does not see.

    An acknowledgment without data is a "probe": of an idle connection it is one.
    """
    segment = packet[20:]
    flags = segment[13]
    if flags & (_SYN | _RST):
        return "reset" if flags & _RST else "" if flags & _ACK else "connect"
    return "data" if len(segment) > 4 * (segment[12] >> 4) else "fin" if flags & _FIN else "probe"


def _rejecting(packet: bytes) -> bytes:
    """The reset that iptables' `REJECT --reject-with tcp-reset` gives a segment."""
    number, expected = struct.unpack_from("!II", packet, 24)
    if packet[33] & _ACK:
        return _segment(packet, expected, 0, _RST)
    return _segment(packet, 0, number + 1, _RST | _ACK)


class Router:
    """What a scenario says about the network, on either arm."""

    def __init__(self, tun: int | None) -> None:
        self._tun = tun
        self._answers: dict[str, tuple[int, int]] = {}
        self._mtus: dict[str, int] = {}
        self._serving: set[str] = set()
        self._leading: set[str] = set()
        self._rejected: dict[str, tuple[str, ...]] = {}
        self._listeners: list[socket.socket] = []  # of the virtual arm

    def serve(self, address: tuple[str, int]) -> None:
        """Let connections to an address come about, and say nothing to all that follows."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            loop.kernel.network.link("localhost", address[0], latency=0.0001)
            self._listeners.append(socket.create_server(address))
            return
        self._listen()
        self._serving.add(address[0])

    def answer(self, address: str, kind: int, code: int) -> None:
        """Answer what is sent to an address with this ICMP."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            loop.kernel.network.link("localhost", address, latency=0.0001)  # as the router, which is another process
            loop.kernel.network.rule(
                lambda packet: Verdict.icmp(kind, code) if packet.target_address[0] == address else None)
            return
        self._listen()
        self._answers[address] = kind, code

    def narrow(self, address: str, mtu: int) -> None:
        """Let packets to an address be no larger than this, and no datagram be answered."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            loop.kernel.network.link("localhost", address, latency=0.0001, mtu=mtu)
            sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sink.bind((address, 53))
            self._listeners.append(sink)
            return
        self._listen()
        self._mtus[address] = mtu

    def lead(self, address: str) -> str:
        """Lead whoever connects to an address to one of this machine's, where a server listens on the same port."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            loop.kernel.network.link("localhost", address, latency=0.0001)
            return address
        self._listen()
        self._leading.add(address)
        return OWN

    def reject(self, address: str, *kinds: str) -> None:
        """Answer segments of these kinds to an address with a reset from now on, and lose them; none: end that."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            loop.kernel.network.rule(lambda packet: Verdict.RESET if packet.kind in self._rejected[address]
                                     and packet.target_address[0] == address else None)
        self._rejected[address] = kinds

    def close(self) -> None:
        """End what serves."""
        for listener in self._listeners:
            listener.close()

    def _listen(self) -> None:
        assert self._tun is not None
        asyncio.get_running_loop().add_reader(self._tun, self._take)

    def _take(self) -> None:
        assert self._tun is not None
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = os.read(self._tun, 2000)
                if packet[0] >> 4 != 4:
                    continue
                address = socket.inet_ntoa(packet[16:20])
                accepting = _accepting(packet) if address in self._serving else None
                answer = self._answers.get(address)
                if packet[9] == socket.IPPROTO_TCP and _kind(packet) in self._rejected.get(address, ()):
                    if _kind(packet) != "reset":  # that is never answered
                        os.write(self._tun, _rejecting(packet))
                elif address in self._leading:  # both ends are here: each finds the other behind the router
                    os.write(self._tun, packet[:12] + packet[16:20] + packet[12:16] + packet[20:])
                elif accepting is not None:
                    os.write(self._tun, accepting)
                elif answer is not None:
                    os.write(self._tun, _icmp(packet, *answer))
                elif len(packet) > self._mtus.get(address, len(packet)) and packet[6] & _WHOLE:
                    os.write(self._tun, _icmp(packet, 3, 4, self._mtus[address]))

    def set_routes(self) -> None:
        """Let the virtual arm have the routes that the real one has."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, SolipsistEventLoop):
            for kind, code in ROUTES.items():
                loop.kernel.network.link("localhost", behind_route(kind), route=code)


RoutedBody = Callable[[Any, Arm, Router], Any]


def routed(body: RoutedBody) -> Callable[[Any], None]:
    """As `scenario`, with a `Router`; the real arm is played in a network of its own."""

    @functools.wraps(body)
    def test(case: Contract) -> None:
        if missing():
            case.skipTest(f"needs {missing()}")
        for _ in range(PLAYS):
            real, truth = _really(case, body)
            if truth is None or real.facts == truth:
                break
        if truth is not None:
            case.assertEqual(real.facts, truth, "the scenario is wrong about the real network")
        virtual = Arm("virtual loop", case.virtual_loop)
        virtual.play(_with(Router(None), case, body))
        case.assertEqual(virtual.facts, real.facts, "the virtual loop differs from the real network")

    async def with_virtual_routes(case: Contract, arm: Arm) -> Any:
        return await _with(Router(None), case, body)(arm)

    test.is_scenario = True  # type: ignore[attr-defined]
    test.__wrapped__ = with_virtual_routes  # for who plays all scenarios on the virtual loop
    return test


def _with(router: Router, case: Contract, body: RoutedBody) -> Body:
    async def play(arm: Arm) -> Any:
        router.set_routes()
        arm.keep(router)
        return await body(case, arm, router)

    return play  # type: ignore[return-value]


def _really(case: Contract, body: RoutedBody) -> tuple[Arm, Any]:
    """Play the real arm in a network of its own, by a thread that ends with it."""
    arm = Arm("real network", case.real_loop)
    results: list[Any] = []
    problems: list[BaseException] = []

    def play() -> None:
        try:
            with _network() as tun:
                results.append(arm.play(_with(Router(tun), case, body)))
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=play)
    thread.start()
    thread.join()
    if problems:
        raise problems[0]
    return arm, results[0]
