"""select, poll and selectors: who is ready, asked without waiting."""

import select
import selectors
import socket
from typing import Any

from tests.contracts.arms import Arm, Contract, outcome, scenario

EVERYTHING = select.POLLIN | select.POLLOUT | select.POLLPRI | select.POLLRDHUP


class Polling(Contract):
    """TCP over IPv4, but where another kind is named."""

    def selected(self, *socks: socket.socket) -> Any:
        """Which of the sockets select() finds, by number."""
        return tuple([socks.index(sock) for sock in found] for found in select.select(socks, socks, socks, 0))

    def polled(self, sock: Any, wanted: int = EVERYTHING) -> Any:
        """The names of what poll() says of one socket."""
        poll = select.poll()
        poll.register(sock, wanted)
        return [self.names(events) for _, events in poll.poll(0)]

    def names(self, events: int) -> str:
        words = ("POLLIN", "POLLOUT", "POLLPRI", "POLLRDHUP", "POLLHUP", "POLLERR", "POLLNVAL")
        return " ".join(word for word in words if events & getattr(select, word))

    @scenario
    async def test_select(self, arm: Arm) -> Any:
        """select() gives the objects that it was given, in their order."""
        one, other = await arm.connection()
        arm.see(self.selected(one, other))
        one.send(b"x")
        await arm.readable(other)
        arm.see(self.selected(one, other), self.selected(other, one))
        arm.see(select.select([other.fileno()], [], [], 0)[0] == [other.fileno()], select.select([], [], [], 0))
        return [([], [0, 1], []), (([1], [0, 1], []), ([0], [0, 1], [])), (True, ([], [], []))]

    @scenario
    async def test_arguments_of_select(self, arm: Arm) -> Any:
        """Closed sockets, other objects and negative time-outs are refused."""
        one, _ = await arm.connection()
        closed = arm.socket()
        closed.close()
        for args in (([closed], [], [], 0), ([None], [], [], 0), (["x"], [], [], 0), ([-1], [], [], 0),
                     ([one], [], [], -1), ([one], [], [], "0"), (one, [], [], 0)):
            arm.see(outcome(select.select, *args))
        return ["ValueError", "TypeError", "TypeError", "ValueError", "ValueError", "TypeError", "TypeError"]

    @scenario
    async def test_poll_in_every_state(self, arm: Arm) -> Any:
        """What poll() says of a stream in each state of its life."""
        arm.see("fresh", self.polled(arm.socket()))
        listener = arm.listener()
        arm.see("listening", self.polled(listener))
        one = await arm.dial(listener)
        await arm.readable(listener)
        arm.see("queued", self.polled(listener), self.polled(one))
        other = await arm.answer(listener)
        one.send(b"x")
        await arm.readable(other)
        arm.see("data", self.polled(other), self.polled(other, 0), self.polled(other, select.POLLOUT))
        one.shutdown(socket.SHUT_WR)
        await arm.calm()
        arm.see("half closed", self.polled(other), self.polled(one))
        other.recv(1)
        other.shutdown(socket.SHUT_WR)
        await arm.calm()
        arm.see("both ended", self.polled(other), self.polled(one))

    @scenario
    async def test_poll_after_reset(self, arm: Arm) -> Any:
        """A reset is a hang-up and an error, until it was told."""
        one, other = await arm.connection()
        other.send(b"unread")
        await arm.readable(one)
        one.close()
        await arm.calm()
        arm.see(self.polled(other), outcome(other.recv, 1), self.polled(other))

    @scenario
    async def test_poll_after_refusal(self, arm: Arm) -> Any:
        """A connect that failed is a hang-up and an error, until it was told."""
        nobody, one = arm.socket(), arm.socket()
        nobody.bind(("127.0.0.1", 0))
        one.connect_ex(nobody.getsockname())
        await arm.writable(one)
        arm.see(self.polled(one), one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0, self.polled(one))

    @scenario
    async def test_poll_of_own_shutdowns(self, arm: Arm) -> Any:
        """What one has shut down oneself shows too."""
        for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
            one, other = await arm.connection()
            one.shutdown(how)
            await arm.calm()
            arm.see(self.polled(one), self.polled(other))

    @scenario
    async def test_poll_of_a_pair(self, arm: Arm) -> Any:
        """The same of UNIX sockets, from open to closed."""
        one, other = arm.pair()
        arm.see(self.polled(arm.unix()), self.polled(one))
        one.shutdown(socket.SHUT_WR)
        arm.see(self.polled(one), self.polled(other))
        one.close()
        arm.see(self.polled(other))
        one, other = arm.pair()
        other.send(b"unread")
        one.close()
        arm.see(self.polled(other), outcome(other.recv, 1), self.polled(other))

    @scenario
    async def test_poll_of_datagrams(self, arm: Arm) -> Any:
        """The same of datagram sockets."""
        one, other = arm.datagram(), arm.datagram()
        arm.see(self.polled(one))
        one.connect(other.getsockname())
        one.send(b"x")
        await arm.readable(other)
        arm.see(self.polled(other))
        other.close()
        one.send(b"x")
        await arm.calm()
        arm.see(self.polled(one), outcome(one.recv, 1), self.polled(one))
        one.shutdown(socket.SHUT_RD)
        arm.see(self.polled(one))
        left, right = arm.pair(socket.SOCK_DGRAM)
        right.close()
        arm.see(self.polled(left), self.polled(arm.unix(socket.SOCK_DGRAM)))

    @scenario
    async def test_idle_connection(self, arm: Arm) -> Any:
        """An idle connection is not readable, a dead one is: what a pool asks before it uses one again."""
        one, other = await arm.connection()
        arm.see(self.polled(one, select.POLLIN))
        other.close()
        await arm.readable(one)
        arm.see(self.polled(one, select.POLLIN))
        return [[], ["POLLIN"]]

    @scenario
    async def test_poll_of_a_closed_number(self, arm: Arm) -> Any:
        """A number that was closed is POLLNVAL; what is no number is refused."""
        one = arm.socket()
        number = one.fileno()
        poll = select.poll()
        poll.register(one)
        one.close()
        arm.see([(found == number, self.names(events)) for found, events in poll.poll(0)])
        arm.see(outcome(poll.unregister, number), outcome(poll.unregister, number), outcome(poll.register, one),
                outcome(poll.modify, number, 1), outcome(poll.register, None), poll.poll(0))
        return [[(True, "POLLNVAL")], (None, "KeyError", "ValueError", "ENOENT", "TypeError", [])]

    @scenario
    async def test_epoll(self, arm: Arm) -> Any:
        """epoll is level-triggered, and forgets what is closed."""
        one, other = await arm.connection()
        with select.epoll() as epoll:
            epoll.register(one, select.EPOLLIN)
            epoll.register(other, select.EPOLLOUT)
            arm.see(outcome(epoll.register, one, select.EPOLLIN))
            arm.see([(number == other.fileno(), events == select.EPOLLOUT) for number, events in epoll.poll(0)])
            epoll.modify(other, 0)
            other.send(b"x")
            await arm.readable(one)
            for _ in range(2):
                arm.see([(number == one.fileno(), events == select.EPOLLIN) for number, events in epoll.poll(0)])
            number = one.fileno()
            one.close()
            arm.see(number in dict(epoll.poll(0)), outcome(epoll.modify, number, 1))
        arm.see(epoll.closed, outcome(epoll.poll, 0))
        return ["EEXIST", [(True, True)], [(True, True)], [(True, True)], (False, "EBADF"), (True, "ValueError")]

    @scenario
    async def test_selectors(self, arm: Arm) -> Any:
        """Every class of selectors says the same."""
        for kind in (selectors.DefaultSelector, selectors.SelectSelector, selectors.PollSelector,
                     selectors.EpollSelector):
            one, other = await arm.connection()
            with kind() as selector:
                selector.register(one, selectors.EVENT_READ, "one")
                selector.register(other, selectors.EVENT_READ | selectors.EVENT_WRITE, "other")
                arm.see(sorted((key.data, events) for key, events in selector.select(0)))
                other.send(b"x")
                await arm.readable(one)
                arm.see(sorted((key.data, events) for key, events in selector.select(0)))
                other.close()
                selector.unregister(other)
                one.recv(1)
                await arm.calm()
                arm.see(sorted((key.data, events) for key, events in selector.select(0)))
                arm.see(outcome(selector.register, one, 1), selector.get_key(one).data, len(selector.get_map()))
        return [[("other", 2)], [("one", 1), ("other", 2)], [("one", 1)], ("KeyError", "one", 1)] * 4
