"""Blocking clients and servers of the standard library, each on a thread of its own: the way they are written."""

import asyncio
import contextlib
import http.client
import http.server
import logging.handlers
import pickle
import selectors
import smtplib
import socket
import socketserver
import struct
import threading
import time
import urllib.error
import urllib.request
import xmlrpc.client
import xmlrpc.server
from collections.abc import Iterator
from typing import Any

from tests.contracts.arms import Arm, Contract, scenario
from tests.contracts.waits import together, what

HOST = "127.0.0.1"


@contextlib.contextmanager
def serving(server: Any) -> Iterator[Any]:
    """A server that a thread serves, until the block ends."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Site(http.server.ThreadingHTTPServer):
    """A server that is quiet about clients that have left."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """It is not printed."""


def pages(arm: Arm) -> type[http.server.BaseHTTPRequestHandler]:
    """What a site with a page, a slow page, an echo and a page that has moved answers."""

    class Pages(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:  # noqa: N802 - a name of http.server
            if self.path == "/moved":
                self.answer(302, Location="/page")
            elif self.path == "/slow":
                arm.nap(6)
                self.answer(200, b"slow")
            elif self.path == "/cut":
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                self.close_connection = True
            else:
                self.answer(200 if self.path == "/page" else 404, self.path.encode())

        def do_POST(self) -> None:  # noqa: N802
            self.answer(200, self.rfile.read(int(self.headers["Content-Length"]))[::-1], Kind="echo")

        def log_message(self, format: str, *args: Any) -> None:
            """It is not printed."""

    return Pages


class Web(Contract):
    """http.client and urllib against http.server."""

    @scenario
    async def test_one_connection(self, arm: Arm) -> Any:
        """Requests follow each other on a connection that is kept."""

        def body() -> None:
            with serving(Site((HOST, 0), pages(arm))) as server:
                client = http.client.HTTPConnection(*server.server_address)
                for method, path, data in (("GET", "/page", None), ("POST", "/", b"abc"), ("GET", "/nothing", None)):
                    client.request(method, path, data)
                    own = client.sock
                    response = client.getresponse()
                    arm.see(response.status, response.reason, response.getheader("Kind"), response.read(),
                            client.sock is own)
                client.close()

        await asyncio.to_thread(body)
        return [(200, "OK", None, b"/page", True), (200, "OK", "echo", b"cba", True),
                (404, "Not Found", None, b"/nothing", True)]

    @scenario
    async def test_a_slow_answer(self, arm: Arm) -> Any:
        """A client runs out of time, and a new connection is served meanwhile."""

        def body() -> None:
            with serving(Site((HOST, 0), pages(arm))) as server:
                client = http.client.HTTPConnection(*server.server_address, timeout=arm.step)
                client.request("GET", "/slow")
                arm.see(what(client.getresponse))
                client.close()
                client.request("GET", "/page")
                arm.see(client.getresponse().read())
                client.close()

        await asyncio.to_thread(body)
        return ["TimeoutError", b"/page"]

    @scenario
    async def test_an_answer_that_is_cut(self, arm: Arm) -> Any:
        """A body that ends too early is told from a whole one."""

        def body() -> None:
            with serving(Site((HOST, 0), pages(arm))) as server:
                client = http.client.HTTPConnection(*server.server_address)
                client.request("GET", "/cut")
                response = client.getresponse()
                arm.see(what(response.read), response.status)
                client.close()

        await asyncio.to_thread(body)
        return [("IncompleteRead", 200)]

    @scenario
    async def test_urllib(self, arm: Arm) -> Any:
        """urlopen() follows a page that has moved, raises for a page that is not there, and runs out of time."""

        def fetch(url: str, **options: Any) -> Any:
            try:
                with opener.open(url, **options) as response:
                    return response.status, response.read()
            except urllib.error.HTTPError as error:
                with error:
                    return "HTTPError", error.code, error.read()
            except urllib.error.URLError as error:
                return "URLError", type(error.reason).__name__
            except TimeoutError:
                return "TimeoutError"

        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

        def body() -> None:
            with serving(Site((HOST, 0), pages(arm))) as server:
                site = f"http://{HOST}:{server.server_address[1]}"
                arm.see([fetch(f"{site}/{page}") for page in ("page", "moved", "nothing")])
                arm.see(fetch(f"{site}/", data=b"xyz"))
                arm.see(fetch(f"{site}/slow", timeout=arm.step))
            arm.see(fetch(f"{site}/page"))

        await asyncio.to_thread(body)
        return [[(200, b"/page"), (200, b"/page"), ("HTTPError", 404, b"/nothing")], (200, b"zyx"), "TimeoutError",
                ("URLError", "ConnectionRefusedError")]

    @scenario
    async def test_one_after_the_other(self, arm: Arm) -> Any:
        """A server without threads serves a second client when the first is done, one with threads at once."""

        def body() -> None:
            class Short(pages(arm)):  # type: ignore[misc] - a class made by a call
                protocol_version = "HTTP/1.0"

            for kind in (http.server.HTTPServer, Site):
                with serving(kind((HOST, 0), Short)) as server:

                    def fetch(path: str, steps: int) -> None:
                        arm.nap(steps)
                        client = http.client.HTTPConnection(*server.server_address)  # noqa: B023 - runs inside
                        client.request("GET", path)
                        with client.getresponse() as response:
                            arm.see(response.read())
                        client.close()

                    together(lambda: fetch("/slow", 0), lambda: fetch("/page", 2))  # noqa: B023

        await asyncio.to_thread(body)
        return [b"slow", b"/page", b"/page", b"slow"]

    @scenario
    async def test_a_server_that_comes_later(self, arm: Arm) -> Any:
        """A client tries again, with longer and longer pauses, until there is a server."""

        def body() -> None:
            with socket.create_server((HOST, 0)) as free:
                address = free.getsockname()
            refused = 0
            server = Site(address, pages(arm), bind_and_activate=False)
            with server:
                server.allow_reuse_address = True
                server.server_bind()
                arm.later(4, server.server_activate)
                thread = threading.Thread(target=server.serve_forever, args=(0.01,))
                client = http.client.HTTPConnection(*address)
                while True:
                    try:
                        client.connect()
                        break
                    except ConnectionRefusedError:
                        arm.nap(2 ** refused)  # at 0, 1 and 3 steps, and 7
                        refused += 1
                thread.start()
                client.request("GET", "/page")
                arm.see(refused, client.getresponse().read())
                client.close()
                server.shutdown()
                thread.join()

        await asyncio.to_thread(body)
        return [(3, b"/page")]

    @scenario
    async def test_calls_over_xml(self, arm: Arm) -> Any:
        """xmlrpc: results, faults and unknown methods, through one connection."""

        def body() -> None:
            server = xmlrpc.server.SimpleXMLRPCServer((HOST, 0), logRequests=False, allow_none=True)
            server.register_function(divmod)
            with serving(server), xmlrpc.client.ServerProxy(f"http://{HOST}:{server.server_address[1]}",
                                                            allow_none=True) as proxy:
                arm.see(proxy.divmod(7, 2), what(proxy.divmod, 1, 0), what(proxy.nothing))

        await asyncio.to_thread(body)
        return [([3, 1], "Fault", "Fault")]


class Lines(socketserver.StreamRequestHandler):
    """Sends each line back, turned round."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line.strip()[::-1] + b"\n")


class Servers(Contract):
    """Module socketserver."""

    @scenario
    async def test_nobody_comes(self, arm: Arm) -> Any:
        """handle_request() gives up after its timeout, and serves who comes in time."""

        def body() -> None:
            class Server(socketserver.TCPServer):
                timeout = arm.step

                def handle_timeout(self) -> None:
                    arm.see("nobody")

            with Server((HOST, 0), Lines) as server:
                server.handle_request()
                server.timeout = 100 * arm.step

                def ask() -> None:
                    with socket.create_connection(server.server_address) as client:
                        client.sendall(b"abc\n")
                        client.shutdown(socket.SHUT_WR)
                        arm.see(client.makefile("rb").read())

                together(lambda: (arm.nap(1), ask()), server.handle_request)

        await asyncio.to_thread(body)
        return ["nobody", b"cba\n"]

    @scenario
    async def test_handlers_at_the_same_time(self, arm: Arm) -> Any:
        """With threads each client is served in its own time, and server_close() waits for all."""

        def body() -> None:
            class Slow(socketserver.StreamRequestHandler):
                def handle(self) -> None:
                    steps = int(self.rfile.readline())
                    arm.nap(steps)
                    arm.see(steps)

            with serving(socketserver.ThreadingTCPServer((HOST, 0), Slow)) as server:
                for steps in (6, 2, 4):
                    with socket.create_connection(server.server_address) as client:
                        client.sendall(b"%d\n" % steps)
                arm.nap(1)
            arm.see("closed")

        await asyncio.to_thread(body)
        return [2, 4, 6, "closed"]

    @scenario
    async def test_kinds(self, arm: Arm) -> Any:
        """Datagrams and UNIX sockets, with threads and without."""

        class Turned(socketserver.DatagramRequestHandler):
            def handle(self) -> None:
                self.wfile.write(self.rfile.read()[::-1])

        def body() -> None:
            folder = arm.folder()
            for number, kind in enumerate((socketserver.UnixStreamServer, socketserver.ThreadingUnixStreamServer)):
                with serving(kind(f"{folder}/{number}", Lines)) as server, socket.socket(socket.AF_UNIX) as client:
                    client.connect(server.server_address)
                    client.sendall(b"one\ntwo\n")
                    client.shutdown(socket.SHUT_WR)
                    arm.see(client.makefile("rb").read())
            for of_datagrams in (socketserver.UDPServer, socketserver.ThreadingUDPServer):
                with serving(of_datagrams((HOST, 0), Turned)) as server, \
                        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.settimeout(100 * arm.step)
                    client.sendto(b"abc", server.server_address)
                    data, address = client.recvfrom(99)
                    arm.see(data, address == server.server_address)

        await asyncio.to_thread(body)
        return [b"eno\nowt\n", b"eno\nowt\n", (b"cba", True), (b"cba", True)]

    @scenario
    async def test_errors_of_handlers(self, arm: Arm) -> Any:
        """A handler that raises ends its connection, and the server goes on."""

        def body() -> None:
            class Server(socketserver.ThreadingTCPServer):
                def handle_error(self, request: Any, client_address: Any) -> None:
                    arm.see("error")

            class Failing(socketserver.StreamRequestHandler):
                def handle(self) -> None:
                    int(self.rfile.readline())

            with serving(Server((HOST, 0), Failing)) as server:
                for line in (b"x\n", b"5\n"):
                    with socket.create_connection(server.server_address) as client:
                        client.sendall(line)
                        arm.see(client.recv(9))

        await asyncio.to_thread(body)
        return ["error", b"", b""]

    @scenario
    async def test_log_records(self, arm: Arm) -> Any:
        """A logger sends its records to another, which reads them as they come."""

        def body() -> None:
            class Records(socketserver.StreamRequestHandler):
                def handle(self) -> None:
                    while size := self.rfile.read(4):
                        found = pickle.loads(self.rfile.read(struct.unpack(">L", size)[0]))
                        arm.see(found["levelname"], found["msg"])

            with serving(socketserver.ThreadingTCPServer((HOST, 0), Records)) as server:
                handler = logging.handlers.SocketHandler(*server.server_address)
                for number in range(3):
                    handler.emit(logging.makeLogRecord({"levelname": "INFO", "msg": f"record {number}"}))
                handler.close()
                arm.nap(2)

        await asyncio.to_thread(body)
        return [("INFO", f"record {number}") for number in range(3)]


class Mail(Contract):
    """smtplib against a small server."""

    def post_office(self, arm: Arm) -> type[socketserver.StreamRequestHandler]:
        """It knows nobody whose name begins with "x", hangs up at QUIT, and is slow with a mail from "slow"."""

        class Office(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.say("220 office")
                for line in self.rfile:
                    verb = line[:4].strip().upper()
                    if verb == b"EHLO":
                        self.say("250-office\r\n250 SIZE 1000")
                    elif verb == b"MAIL" and b"slow" in line:
                        arm.nap(6)
                        self.say("250 at last")
                    elif verb == b"RCPT" and b"<x" in line:
                        self.say("550 unknown")
                    elif verb == b"DATA":
                        self.say("354 go on")
                        mail = list(iter(self.rfile.readline, b".\r\n"))
                        arm.see(mail)
                        self.say("250 taken")
                    elif verb == b"NOOP":
                        return
                    else:
                        self.say("221 bye" if verb == b"QUIT" else "250 fine")

            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

        return Office

    @scenario
    async def test_a_mail(self, arm: Arm) -> Any:
        """A mail is taken for those who are known; dots at the beginning of a line are doubled on the way."""

        def body() -> None:
            with serving(socketserver.ThreadingTCPServer((HOST, 0), self.post_office(arm))) as server, \
                    smtplib.SMTP(*server.server_address, local_hostname="here") as client:
                arm.see(client.ehlo(), client.has_extn("size"))
                arm.see(client.sendmail("a@b", ["c@d", "x@y"], "Subject: hello\n\n.dot\nend"))
                arm.see(what(client.sendmail, "a@b", ["x@y"], "nothing"))

        await asyncio.to_thread(body)
        return [((250, b"office\nSIZE 1000"), True),
                [b"Subject: hello\r\n", b"\r\n", b"..dot\r\n", b"end\r\n"],
                {"x@y": (550, b"unknown")}, "SMTPRecipientsRefused"]

    @scenario
    async def test_trouble(self, arm: Arm) -> Any:
        """A server that is slow, one that hangs up, and none at all."""

        def body() -> None:
            with serving(socketserver.ThreadingTCPServer((HOST, 0), self.post_office(arm))) as server:
                client = smtplib.SMTP(*server.server_address, local_hostname="here", timeout=2 * arm.step)
                client.ehlo()
                arm.see(what(client.mail, "slow@b"))
                client.close()
                client = smtplib.SMTP(*server.server_address, local_hostname="here")
                arm.see(what(client.noop), what(client.noop))
                client.close()
            arm.see(what(smtplib.SMTP, *server.server_address))

        await asyncio.to_thread(body)
        return ["SMTPServerDisconnected", ("SMTPServerDisconnected", "SMTPServerDisconnected"),
                "ConnectionRefusedError"]


class Limits(Contract):
    """Timeouts of blocking sockets, and of the files over them."""

    @scenario
    async def test_a_file_that_has_timed_out(self, arm: Arm) -> Any:
        """A file over a socket that ran out of time is of no use any more; the socket still is."""

        def body() -> None:
            one, two = socket.socketpair()
            with one, two:
                one.settimeout(arm.step)
                with one.makefile("rb") as file:
                    arm.see(what(file.readline))
                    two.sendall(b"late\n")
                    arm.see(what(file.readline), one.recv(9))

        await asyncio.to_thread(body)
        return ["TimeoutError", ("OSError", b"late\n")]

    @scenario
    async def test_the_default(self, arm: Arm) -> Any:
        """A default timeout is one of all new sockets, those that accept() gives as well."""

        def body() -> None:
            before = socket.getdefaulttimeout()
            socket.setdefaulttimeout(arm.step)
            try:
                with socket.create_server((HOST, 0)) as listener:
                    arm.see(what(listener.accept))
                    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as end:
                        arm.see(client.gettimeout() == end.gettimeout() == arm.step, what(end.recv, 1))
            finally:
                socket.setdefaulttimeout(before)

        await asyncio.to_thread(body)
        return ["TimeoutError", (True, "TimeoutError")]

    @scenario
    async def test_pieces(self, arm: Arm) -> Any:
        """A timeout is of one call: a line whose pieces come one by one is read to its end."""

        def body() -> None:
            one, two = socket.socketpair()
            with one, two:
                one.settimeout(4 * arm.step)

                def send() -> None:
                    for piece in (b"a", b"b", b"c", b"\n"):
                        arm.nap(2)
                        two.sendall(piece)

                with one.makefile("rb") as file:
                    together(send, lambda: arm.see(file.readline()))

        await asyncio.to_thread(body)
        return [b"abc\n"]

    @scenario
    async def test_until_a_deadline(self, arm: Arm) -> Any:
        """Who looks as long as no time is over, to the last instant, comes to an end with every selector."""

        def body() -> None:
            one, two = socket.socketpair()
            with one, two:
                for kind in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector):
                    with kind() as selector:
                        selector.register(one, selectors.EVENT_READ)
                        deadline = time.monotonic() + arm.step
                        while (remaining := deadline - time.monotonic()) >= 0:
                            arm.see(selector.select(remaining)) if remaining > arm.step / 2 else selector.select(0)

        await asyncio.to_thread(body)
        return [[], [], []]
