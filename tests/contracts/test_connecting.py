"""How TCP ends come together: addresses, listeners and their queues; connects that succeed, wait, fail, try again."""

import errno
import socket
from typing import Any

from tests.contracts.arms import RESET_ON_CLOSE, Address, Arm, Contract, outcome, scenario, shape

SO_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)
REUSE = (socket.SOL_SOCKET, socket.SO_REUSEADDR)

ATTEMPTS = 20
"""How often a port that one family chose is tried for the other: on a real machine somebody else may have it."""


def address_of(sock: socket.socket) -> Address:
    """What a program gives to connect() to reach `sock`."""
    return sock.getsockname()[:2]


class Connecting(Contract):
    """TCP over IPv4."""

    wildcard = "0.0.0.0"
    foreign = "198.51.100.1"
    other_family = "::1"

    def nobody(self, arm: Arm) -> Address:
        """An address where nobody listens, and nobody will: its port stays taken."""
        sock = arm.socket(self.host)
        sock.bind((self.host, 0))
        return address_of(sock)

    def shaped(self, host: str, port: Any = "port") -> Address:
        return (host, port, 0, 0) if ":" in self.host else (host, port)

    # Addresses

    @scenario
    async def test_port_zero(self, arm: Arm) -> Any:
        """Port 0 is a free port, another one each time, that getsockname() tells."""
        socks = [arm.socket(self.host) for _ in range(3)]
        for sock in socks:
            arm.see(outcome(sock.bind, (self.host, 0)), shape(sock.getsockname()))
        arm.see(len({sock.getsockname() for sock in socks}))
        return [(None, self.shaped(self.host))] * 3 + [3]

    @scenario
    async def test_address_in_use(self, arm: Arm) -> Any:
        """Two sockets share an address only when both asked for it with SO_REUSEADDR and neither listens."""
        for listening in (False, True):
            for first_reuses in (0, 1):
                for second_reuses in (0, 1):
                    first, second = arm.socket(self.host), arm.socket(self.host)
                    first.setsockopt(*REUSE, first_reuses)
                    second.setsockopt(*REUSE, second_reuses)
                    first.bind((self.host, 0))
                    if listening:
                        first.listen()
                    arm.see(outcome(second.bind, address_of(first)))
        return ["EADDRINUSE"] * 3 + [None] + ["EADDRINUSE"] * 4

    @scenario
    async def test_shared_address_has_one_listener(self, arm: Arm) -> Any:
        """Of two sockets bound to one address the first to listen wins."""
        first, second = arm.socket(self.host), arm.socket(self.host)
        for sock in (first, second):
            sock.setsockopt(*REUSE, 1)
        first.bind((self.host, 0))
        second.bind(address_of(first))
        arm.see(outcome(second.listen), outcome(first.listen))
        second.close()
        arm.see(outcome(first.listen))
        return [(None, "EADDRINUSE"), None]

    @scenario
    async def test_wildcard_in_use(self, arm: Arm) -> Any:
        """The wildcard address and a specific one are in each other's way like equal ones."""
        for reuse in (0, 1):
            for listening in (False, True):
                for hosts in ((self.wildcard, self.host), (self.host, self.wildcard)):
                    first, second = arm.socket(self.host), arm.socket(self.host)
                    for sock in (first, second):
                        sock.setsockopt(*REUSE, reuse)
                        if ":" in self.host:
                            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                    first.bind((hosts[0], 0))
                    if listening:
                        first.listen()
                    arm.see(outcome(second.bind, (hosts[1], first.getsockname()[1])))
        return ["EADDRINUSE"] * 4 + [None] * 2 + ["EADDRINUSE"] * 2

    @scenario
    async def test_closing_frees_the_address(self, arm: Arm) -> Any:
        """An address is free as soon as the listener that had it is closed."""
        first = arm.listener(self.host)
        address = address_of(first)
        first.close()
        second = arm.socket(self.host)
        arm.see(outcome(second.bind, address), outcome(second.listen))
        return [(None, None)]

    @scenario
    async def test_address_of_a_live_connection(self, arm: Arm) -> Any:
        """A server's address can be taken over while its connections live, and after them, by who uses SO_REUSEADDR."""
        listener = arm.socket(self.host)
        listener.setsockopt(*REUSE, 1)
        listener.bind((self.host, 0))
        listener.listen()
        address = address_of(listener)
        client = await arm.dial(listener)
        server = await arm.answer(listener)
        listener.close()
        second = arm.socket(self.host)
        second.setsockopt(*REUSE, 1)
        arm.see(outcome(second.bind, address), outcome(second.listen))
        server.send(b"still here")
        await arm.readable(client)
        arm.see(client.recv(100))
        server.close()
        client.close()
        second.close()
        third = arm.socket(self.host)
        third.setsockopt(*REUSE, 1)
        arm.see(outcome(third.bind, address), outcome(third.listen))
        return [(None, None), b"still here", (None, None)]

    @scenario
    async def test_address_that_is_not_ours(self, arm: Arm) -> Any:
        """Only an address of this host can be bound."""
        arm.see(outcome(arm.socket(self.host).bind, (self.foreign, 0)))
        return ["EADDRNOTAVAIL"]

    @scenario
    async def test_addresses_that_are_none(self, arm: Arm) -> Any:
        """What is not an address is a TypeError, what is not a port an OverflowError, for bind and connect alike."""
        for method in ("bind", "connect"):
            for address in (None, "name", (self.host,), (self.host, "80"), (self.host, 1.5), (1, 80)):
                arm.see(outcome(getattr(arm.socket(self.host), method), address))
            for port in (-1, 65536):
                arm.see(outcome(getattr(arm.socket(self.host), method), (self.host, port)))
        return (["TypeError"] * 6 + ["OverflowError"] * 2) * 2

    @scenario
    async def test_address_of_the_other_family(self, arm: Arm) -> Any:
        """A literal address of the other family is a resolver's error."""
        try:
            arm.socket(self.host).connect((self.other_family, 80))
        except socket.gaierror as error:
            arm.see(error.errno == socket.EAI_ADDRFAMILY)
        return [True]

    @scenario
    async def test_bind_twice(self, arm: Arm) -> Any:
        """A socket has one address for life."""
        sock = arm.socket(self.host)
        sock.bind((self.host, 0))
        before = sock.getsockname()
        arm.see(outcome(sock.bind, (self.host, 0)), sock.getsockname() == before)
        return [("EINVAL", True)]

    @scenario
    async def test_port_of_a_dead_socket(self, arm: Arm) -> Any:
        """A port that the kernel chose goes back when the socket's life ends, and the socket may be bound once more."""
        stopped = arm.listener(self.host)
        stopped.shutdown(socket.SHUT_RD)
        refused = arm.socket(self.host)
        outcome(refused.connect, self.nobody(arm))
        await arm.writable(refused)
        client, server = await arm.connection(self.host)
        client.shutdown(socket.SHUT_WR)
        await arm.readable(server)
        server.close()
        await arm.calm()
        for dead in (stopped, refused, client):
            arm.see(outcome(dead.bind, (self.host, 0)), outcome(dead.bind, (self.host, 0)))
        return [(None, "EINVAL")] * 3

    @scenario
    async def test_bound_before_connecting(self, arm: Arm) -> Any:
        """A socket that was bound connects from that address, and nobody else may bind it."""
        listener = arm.listener(self.host)
        sock = arm.socket(self.host)
        sock.bind((self.host, 0))
        address = sock.getsockname()
        arm.see(outcome(sock.connect, address_of(listener)))
        server = await arm.answer(listener)
        arm.see(sock.getsockname() == address, server.getpeername() == address)
        arm.see(outcome(arm.socket(self.host).bind, address_of(sock)))
        return ["EINPROGRESS", (True, True), "EADDRINUSE"]

    # Connecting

    @scenario
    async def test_connect_step_by_step(self, arm: Arm) -> Any:
        """A connect is in progress, then writable, then without error; both ends agree on their names."""
        listener = arm.listener(self.host)
        client = arm.socket(self.host)
        arm.see(outcome(client.connect, address_of(listener)))
        await arm.writable(client)
        arm.see(client.getsockopt(*SO_ERROR))
        arm.see(outcome(client.connect, address_of(listener)), outcome(client.connect, address_of(listener)))
        server = await arm.answer(listener)
        arm.see(client.getpeername() == server.getsockname() == listener.getsockname())
        arm.see(server.getpeername() == client.getsockname(), shape(client.getsockname()))
        return ["EINPROGRESS", 0, (None, "EISCONN"), True, (True, self.shaped(self.host))]

    @scenario
    async def test_connect_ex(self, arm: Arm) -> Any:
        """connect_ex() returns what connect() raises, by its number."""
        listener = arm.listener(self.host)
        client = arm.socket(self.host)
        for _ in range(3):
            number = client.connect_ex(address_of(listener))
            arm.see(errno.errorcode[number] if number else 0)
            await arm.calm()
        return ["EINPROGRESS", 0, "EISCONN"]

    @scenario
    async def test_connect_to_nobody(self, arm: Arm) -> Any:
        """A bound socket that does not listen refuses, and so does the port of a listener that was closed."""
        listener = arm.listener(self.host)
        gone = address_of(listener)
        listener.close()
        for address in (self.nobody(arm), gone):
            client = arm.socket(self.host)
            arm.see(outcome(client.connect, address))
            await arm.writable(client)
            number = client.getsockopt(*SO_ERROR)
            arm.see(errno.errorcode[number], client.getsockopt(*SO_ERROR), outcome(client.getpeername))
        return ["EINPROGRESS", ("ECONNREFUSED", 0, "ENOTCONN")] * 2

    @scenario
    async def test_connect_again_after_refusal(self, arm: Arm) -> Any:
        """A socket that was refused may try elsewhere, after an ECONNABORTED for the attempt whose end it knows."""
        listener = arm.listener(self.host)
        client = arm.socket(self.host)
        outcome(client.connect, self.nobody(arm))
        await arm.writable(client)
        client.getsockopt(*SO_ERROR)
        arm.see(outcome(client.connect, address_of(listener)))
        arm.see(outcome(client.connect, address_of(listener)))
        server = await arm.answer(listener)
        client.send(b"hello")
        await arm.readable(server)
        arm.see(server.recv(10), server.getpeername() == client.getsockname())
        return ["ECONNABORTED", "EINPROGRESS", (b"hello", True)]

    @scenario
    async def test_connect_to_the_wildcard(self, arm: Arm) -> Any:
        """Connecting to the wildcard address is connecting to this host."""
        listener = arm.listener(self.host)
        client = arm.socket(self.host)
        arm.see(outcome(client.connect, (self.wildcard, address_of(listener)[1])))
        await arm.writable(client)
        arm.see(client.getpeername() == listener.getsockname())
        return ["EINPROGRESS", True]

    @scenario
    async def test_connect_without_waiting(self, arm: Arm) -> Any:
        """A blocking connect that need not wait is done at once, and so are blocking accept, send and recv."""
        listener = arm.keep(socket.create_server((self.host, 0), family=arm.socket(self.host).family))
        client = arm.socket(self.host)
        client.setblocking(True)
        arm.see(outcome(client.connect, address_of(listener)))
        server = arm.keep(listener.accept()[0])
        arm.see(server.send(b"hello"), client.recv(10))
        client.settimeout(5)
        arm.see(client.gettimeout(), client.getblocking(), client.send(b"bye"), server.recv(10))
        second = arm.keep(socket.create_connection(address_of(listener)))
        arm.see(second.getpeername() == listener.getsockname(), second.gettimeout())
        return [None, (5, b"hello"), (5.0, True, 3, b"bye"), (True, None)]

    @scenario
    async def test_refusal_without_waiting(self, arm: Arm) -> Any:
        """A blocking connect to nobody raises the refusal itself, with or without a timeout."""
        nobody = self.nobody(arm)
        for timeout in (None, 5):
            client = arm.socket(self.host)
            client.settimeout(timeout)
            arm.see(outcome(client.connect, nobody), client.getsockopt(*SO_ERROR))
            client = arm.socket(self.host)
            client.settimeout(timeout)
            arm.see(errno.errorcode[client.connect_ex(nobody)])
        arm.see(outcome(socket.create_connection, nobody))
        return [("ECONNREFUSED", 0), "ECONNREFUSED"] * 2 + ["ECONNREFUSED"]

    @scenario
    async def test_same_way_twice(self, arm: Arm) -> Any:
        """Two connections may share one end's address, not both ends'."""
        listeners = [arm.listener(self.host) for _ in range(2)]
        clients = [arm.socket(self.host) for _ in range(3)]
        for client in clients:
            client.setsockopt(*REUSE, 1)
            client.bind((self.host, 0) if client is clients[0] else address_of(clients[0]))
        for client, listener in zip(clients, [*listeners, listeners[0]], strict=True):
            arm.see(outcome(client.connect, address_of(listener)))
        return ["EINPROGRESS", "EINPROGRESS", "EADDRNOTAVAIL"]

    # Listening

    @scenario
    async def test_listen_without_bind(self, arm: Arm) -> Any:
        """A listener that was not bound gets a free port on every address."""
        listener = arm.socket(self.host)
        arm.see(outcome(listener.listen), shape(listener.getsockname()))
        client = arm.socket(self.host)
        outcome(client.connect, (self.host, address_of(listener)[1]))
        server = await arm.answer(listener)
        arm.see(server.getpeername() == client.getsockname())
        return [(None, self.shaped(self.wildcard)), True]

    @scenario
    async def test_wildcard_listener(self, arm: Arm) -> Any:
        """A connection that a wildcard listener accepts has the address that was dialled."""
        listener = arm.socket(self.host)
        listener.bind((self.wildcard, 0))
        listener.listen()
        client = arm.socket(self.host)
        outcome(client.connect, (self.host, address_of(listener)[1]))
        server = await arm.answer(listener)
        arm.see(shape(listener.getsockname()), shape(server.getsockname()))
        arm.see(server.getsockname() == client.getpeername())
        return [(self.shaped(self.wildcard), self.shaped(self.host)), True]

    @scenario
    async def test_accept(self, arm: Arm) -> Any:
        """accept() gives a blocking socket of the same kind, with its peer's address."""
        listener = arm.listener(self.host)
        arm.see(outcome(listener.accept))
        client = await arm.dial(listener)
        await arm.readable(listener)
        server, address = listener.accept()
        arm.keep(server)
        arm.see(address == client.getsockname() == server.getpeername())
        arm.see(server.gettimeout(), server.getblocking(), type(server) is type(client))
        arm.see(server.family == client.family, server.type == socket.SOCK_STREAM, server.proto)
        arm.see(outcome(listener.accept))
        return ["EAGAIN", True, (None, True, True), (True, True, 0), "EAGAIN"]

    @scenario
    async def test_accept_in_order(self, arm: Arm) -> Any:
        """Connections are accepted in the order in which they came."""
        listener = arm.listener(self.host)
        clients = [await arm.dial(listener) for _ in range(4)]
        servers = [await arm.answer(listener) for _ in clients]
        arm.see([server.getpeername() for server in servers] == [client.getsockname() for client in clients])
        return [True]

    @scenario
    async def test_accept_on_a_closed_listener(self, arm: Arm) -> Any:
        """A closed listener accepts nothing, not even who was waiting."""
        listener = arm.listener(self.host)
        await arm.dial(listener)
        listener.close()
        arm.see(outcome(listener.accept), listener.fileno(), outcome(listener.close))
        return [("EBADF", -1, None)]

    @scenario
    async def test_backlog(self, arm: Arm) -> Any:
        """listen(n) lets n + 1 connect, and the next stay pending: neither connected nor refused."""
        for backlog in (-1, 0, 1, 3):
            listener = arm.listener(self.host, backlog=backlog)
            clients = []
            for _ in range(6):
                clients.append(arm.socket(self.host))
                outcome(clients[-1].connect, address_of(listener))
                await arm.calm()
            arm.see(backlog, [await arm.readiness(client) for client in clients])
            arm.see(outcome(clients[-1].getpeername), clients[-1].getsockopt(*SO_ERROR))
        pending = ("ENOTCONN", 0)
        return [
            (-1, ["w", "-", "-", "-", "-", "-"]),
            pending,
            (0, ["w", "-", "-", "-", "-", "-"]),
            pending,
            (1, ["w", "w", "-", "-", "-", "-"]),
            pending,
            (3, ["w", "w", "w", "w", "-", "-"]),
            pending,
        ]

    @scenario
    async def test_backlog_that_grows(self, arm: Arm) -> Any:
        """A second listen() changes the backlog for who comes after it."""
        listener = arm.listener(self.host, backlog=0)
        await arm.dial(listener)
        arm.see(outcome(listener.listen, 1))
        client = arm.socket(self.host)
        outcome(client.connect, address_of(listener))
        arm.see(await arm.readiness(client))
        return [None, "w"]

    @scenario
    async def test_sent_before_accept(self, arm: Arm) -> Any:
        """A client may send, and even finish, before it is accepted."""
        listener = arm.listener(self.host)
        client = await arm.dial(listener)
        arm.see(client.getpeername() == listener.getsockname(), client.send(b"early"))
        client.close()
        server = await arm.answer(listener)
        arm.see(await arm.drain(server))
        return [(True, 5), b"early"]

    @scenario
    async def test_reset_before_accept(self, arm: Arm) -> Any:
        """A connection that was reset in the queue is accepted all the same, and found dead."""
        listener = arm.listener(self.host)
        client = await arm.dial(listener)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        client.close()
        server = await arm.answer(listener)
        arm.see(await arm.readiness(server), outcome(server.getpeername))
        arm.see(outcome(server.recv, 1), outcome(server.recv, 1))
        return [("rw", "ENOTCONN"), ("ECONNRESET", b"")]

    @scenario
    async def test_listener_closes_with_a_queue(self, arm: Arm) -> Any:
        """Who was connected but not accepted is reset when the listener closes; who was accepted is not touched."""
        listener = arm.listener(self.host)
        accepted = await arm.dial(listener)
        server = await arm.answer(listener)
        queued = await arm.dial(listener)
        listener.close()
        arm.see(await arm.readiness(queued), outcome(queued.recv, 1), outcome(queued.recv, 1))
        arm.see(await arm.readiness(accepted), server.send(b"fine"))
        await arm.readable(accepted)
        arm.see(accepted.recv(10))
        return [("rw", "ECONNRESET", b""), ("w", 4), b"fine"]

    @scenario
    async def test_listener_shuts_down_with_a_queue(self, arm: Arm) -> Any:
        """shutdown(SHUT_RD) resets a listener's queue, keeps its address, and can be undone by listen()."""
        with arm.socket(self.host) as sock:
            sock.bind((self.host, 0))
            free = address_of(sock)
        listener = arm.socket(self.host)
        listener.bind(free)
        listener.listen()
        address = listener.getsockname()
        queued = await arm.dial(listener)
        arm.see(outcome(listener.shutdown, socket.SHUT_RD), outcome(listener.accept))
        arm.see(await arm.readiness(queued), outcome(queued.recv, 1))
        refused = arm.socket(self.host)
        outcome(refused.connect, address[:2])
        await arm.writable(refused)
        arm.see(errno.errorcode[refused.getsockopt(*SO_ERROR)])
        arm.see(listener.getsockname() == address, outcome(listener.listen))
        await arm.dial(listener)
        await arm.answer(listener)
        return [(None, "EINVAL"), ("rw", "ECONNRESET"), "ECONNREFUSED", (True, None)]

    # Ends

    @scenario
    async def test_names_are_kept_to_the_end(self, arm: Arm) -> Any:
        """An end keeps its own name for life; its peer's name it has from the connect to the last FIN."""
        client, server = await arm.connection(self.host)
        own, peer = client.getsockname(), client.getpeername()

        def names() -> tuple[bool, Any]:
            return client.getsockname() == own, outcome(client.getpeername) in (peer, "ENOTCONN")

        arm.see(names())
        client.shutdown(socket.SHUT_WR)
        arm.see(names(), client.getpeername() == peer)
        await arm.readable(server)
        server.close()
        await arm.readable(client)
        await arm.calm()
        arm.see(names(), outcome(client.getpeername))
        return [(True, True), ((True, True), True), ((True, True), "ENOTCONN")]

    @scenario
    async def test_detach(self, arm: Arm) -> Any:
        """A detached descriptor is the connection: another socket made of it goes on where the first one was."""
        client, server = await arm.connection(self.host)
        number = client.fileno()
        name = client.getsockname()
        arm.see(client.detach() == number, client.fileno(), outcome(client.send, b"x"), outcome(client.detach))
        again = arm.keep(socket.socket(fileno=number))
        arm.see(again.fileno() == number, again.getsockname() == name, again.send(b"again"))
        arm.see(again.family == server.family, again.type == server.type)
        await arm.readable(server)
        arm.see(server.recv(10))
        again.close()
        await arm.readable(server)
        arm.see(server.recv(10))
        return [(True, -1, "EBADF", -1), (True, True, 5), (True, True), b"again", b""]

    @scenario
    async def test_close_twice(self, arm: Arm) -> Any:
        """close() may be called as often as one likes, and a socket is its own context manager."""
        client, server = await arm.connection(self.host)
        with client as same:
            arm.see(same is client, client.fileno() >= 0)
        arm.see(client.fileno(), outcome(client.close), outcome(client.close))
        await arm.readable(server)
        arm.see(server.recv(1))
        return [(True, True), (-1, None, None), b""]

    @scenario
    async def test_many_connections(self, arm: Arm) -> Any:
        """Many connections at once have as many different names, and each reaches its own peer."""
        listener = arm.listener(self.host, backlog=20)
        clients = [await arm.dial(listener) for _ in range(10)]
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        servers = [await arm.answer(listener) for _ in clients]
        said = {}
        for server in servers:
            await arm.readable(server)
            said[server.getpeername()] = server.recv(10)
        arm.see([said[client.getsockname()] for client in clients])
        return [[b"%d" % number for number in range(10)]]


class Connecting6(Connecting):
    """TCP over IPv6."""

    host = "::1"
    wildcard = "::"
    foreign = "2001:db8:ffff::99"
    other_family = "127.0.0.1"


class Pending(Contract):
    """Connects that wait for a full queue, over IPv4 only: a real kernel lets them wait for a second."""

    @scenario
    async def test_connect_that_was_given_up(self, arm: Arm) -> Any:
        """A pending connect that was given up by shutdown() never happens, even while the socket waits elsewhere."""
        first, second = (arm.listener(self.host, backlog=0) for _ in range(2))
        for listener in (first, second):
            await arm.dial(listener)
        client = arm.socket(self.host)
        arm.see(outcome(client.connect, address_of(first)), await arm.readiness(client))
        arm.see(outcome(client.shutdown, socket.SHUT_RDWR), await arm.readiness(client))
        arm.see(outcome(client.connect, address_of(second)), await arm.readiness(client))
        await arm.answer(first)
        arm.see(await arm.readiness(first), await arm.readiness(client))
        await arm.answer(second)
        await arm.writable(client)
        server = await arm.answer(second)
        arm.see(client.getsockopt(*SO_ERROR), server.getpeername() == client.getsockname())
        return [("EINPROGRESS", "-"), (None, "rw"), ("EINPROGRESS", "-"), ("-", "-"), (0, True)]

    @scenario
    async def test_pending_connect_gets_its_turn(self, arm: Arm) -> Any:
        """A connect that waits for room in a full queue completes once there is room."""
        listener = arm.listener(self.host, backlog=0)
        await arm.dial(listener)
        client = arm.socket(self.host)
        arm.see(outcome(client.connect, address_of(listener)))
        arm.see(await arm.readiness(client))
        await arm.answer(listener)
        await arm.writable(client)
        server = await arm.answer(listener)
        arm.see(client.getsockopt(*SO_ERROR), server.getpeername() == client.getsockname())
        return ["EINPROGRESS", "-", (0, True)]

    @scenario
    async def test_pending_connect_whose_listener_closes(self, arm: Arm) -> Any:
        """A connect that waits for room learns of the closed listener by a refusal."""
        listener = arm.listener(self.host, backlog=0)
        await arm.dial(listener)
        client = arm.socket(self.host)
        outcome(client.connect, address_of(listener))
        await arm.calm()
        listener.close()
        await arm.writable(client)
        arm.see(errno.errorcode[client.getsockopt(*SO_ERROR)])
        return ["ECONNREFUSED"]


class DualStack(Contract):
    """Where the two families meet."""

    @scenario
    async def test_ipv4_client_of_an_ipv6_listener(self, arm: Arm) -> Any:
        """A listener on :: takes IPv4 clients too, and calls them by mapped addresses."""
        listener = arm.socket("::1")
        listener.bind(("::", 0))
        listener.listen()
        client = arm.socket("127.0.0.1")
        outcome(client.connect, ("127.0.0.1", listener.getsockname()[1]))
        server = await arm.answer(listener)
        arm.see(shape(client.getpeername()), shape(server.getsockname()), shape(server.getpeername()))
        arm.see(server.getpeername()[1] == client.getsockname()[1])
        mapped = ("::ffff:127.0.0.1", "port", 0, 0)
        return [(("127.0.0.1", "port"), mapped, mapped), True]

    @scenario
    async def test_ipv6_only_listener(self, arm: Arm) -> Any:
        """With IPV6_V6ONLY the same port of IPv4 is free for others, and refuses until one of them listens."""
        for _ in range(ATTEMPTS):
            listener = arm.socket("::1")
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(("::", 0))
            listener.listen()
            port = listener.getsockname()[1]
            second = arm.socket("127.0.0.1")
            bound = outcome(second.bind, ("0.0.0.0", port))
            if bound is None:
                break
        client = arm.socket("127.0.0.1")
        outcome(client.connect, ("127.0.0.1", port))
        await arm.writable(client)
        arm.see(bound, errno.errorcode[client.getsockopt(*SO_ERROR)], outcome(second.listen))
        again = arm.socket("127.0.0.1")
        outcome(again.connect, ("127.0.0.1", port))
        await arm.writable(again)
        arm.see(again.getpeername()[1] == port)
        return [(None, "ECONNREFUSED", None), True]

    @scenario
    async def test_both_families_on_one_port(self, arm: Arm) -> Any:
        """The same port of 127.0.0.1 and of ::1 are two addresses; :: is in the way of both."""
        for _ in range(ATTEMPTS):
            port = arm.listener("127.0.0.1").getsockname()[1]
            bound = outcome(arm.socket("::1").bind, ("::1", port))
            if bound is None:
                break
        everywhere = arm.socket("::1")
        arm.see(bound, outcome(everywhere.bind, ("::", port)))
        return [(None, "EADDRINUSE")]
