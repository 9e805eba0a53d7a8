"""Blocking clients and servers with threads in virtual time: requests with a Retry, and aiosmtpd's Controller.

`requests` sleeps between its tries with `time.sleep()`, and has limits of sockets; the Controller runs a loop on a
thread of its own, for `smtplib`.
"""

import asyncio
import contextlib
import http.client
import http.server
import smtplib
import socketserver
import threading
import time

from solipsism_unittest import SolipsistTestCase
from tests.interop import library, needs

STEP = 0.02  # seconds that the twins sleep, really in their second run

if library("requests"):
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry
if library("aiosmtpd"):
    from aiosmtpd.controller import Controller


@contextlib.contextmanager
def serving(answers, think=0.0):
    """A server of threads on a free port, which answers with these codes in turn, the last one again and again."""
    answers = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            code = answers.pop(0) if len(answers) > 1 else answers[0]
            if code == 200:
                time.sleep(think)
            with contextlib.suppress(ConnectionError):  # a client that waits no more
                self.send_response(code)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        def log_message(self, *args):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@needs("requests")
class RequestsTest(SolipsistTestCase):
    def get(self, answers, retry, think=0.0, timeout=5):
        """What a session with this Retry gives, or the name of its error."""
        with serving(answers, think) as url, requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=retry))
            try:
                return session.get(url, timeout=timeout).status_code
            except requests.RequestException as error:
                return type(error).__name__

    async def test_retries(self):
        """Three answers of 503 cost the pauses of the Retry: none, 20 and 40 seconds."""
        retry = Retry(5, backoff_factor=10, status_forcelist=[503])
        self.assertEqual(await asyncio.to_thread(self.get, [503, 503, 503, 200], retry), 200)
        self.assertAlmostEqual(self.now, 60.0, delta=1)  # and the server's poll

    async def test_no_more_retries(self):
        """After the last try it is a RetryError."""
        retry = Retry(2, backoff_factor=50, status_forcelist=[503])
        self.assertEqual(await asyncio.to_thread(self.get, [503], retry), "RetryError")
        self.assertAlmostEqual(self.now, 100.0, delta=1)

    async def test_a_slow_server(self):
        """A server that thinks for longer than the limit is a ReadTimeout, and one that does not is none."""
        self.assertEqual(await asyncio.to_thread(self.get, [200], 0, 30, 10), "ReadTimeout")
        self.assertEqual(await asyncio.to_thread(self.get, [200], 0, 30, 60), 200)

    def test_in_a_plain_test(self):
        """The same without any loop of the program."""
        retry = Retry(5, backoff_factor=10, status_forcelist=[503])
        self.assertEqual(self.get([503, 503, 200], retry, think=3), 200)
        self.assertAlmostEqual(self.now, 23.0, delta=1)

    async def test_nobody_listens(self):
        """Each refused connect is tried again after its pause."""
        with self.assertRaises(requests.ConnectionError):
            session = requests.Session()
            session.mount("http://", HTTPAdapter(max_retries=Retry(3, backoff_factor=10)))
            await asyncio.to_thread(session.get, "http://127.0.0.1:8000/")
        self.assertEqual(self.now, 60.0)


class _Mail:
    def __init__(self):
        self.got = []

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        await asyncio.sleep(20)
        self.got.append((envelope.mail_from, envelope.content))
        return "250 OK"


def send(port):
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.sendmail("a@b.test", ["c@d.test"], "Subject: hello\r\n\r\nhello")
    return time.monotonic()


@needs("aiosmtpd")
class AiosmtpdTest(SolipsistTestCase):
    mail = ("a@b.test", b"Subject: hello\r\n\r\nhello\r\n")

    def test_a_plain_test(self):
        """A Controller starts, takes a mail from smtplib, and stops."""
        controller = Controller(handler := _Mail(), hostname="127.0.0.1", port=8025)
        controller.start()
        send(8025)
        controller.stop()
        self.assertEqual((handler.got, self.now), ([self.mail], 20.0))

    async def test_beside_a_loop(self):
        """The same in jobs of a running loop, with two clients at once."""
        controller = Controller(handler := _Mail(), hostname="127.0.0.1", port=8025)
        await asyncio.to_thread(controller.start)
        self.assertEqual(await asyncio.gather(*[asyncio.to_thread(send, 8025) for _ in range(2)]), [20.0, 20.0])
        await asyncio.to_thread(controller.stop)
        self.assertEqual((handler.got, self.now), ([self.mail] * 2, 20.0))


class BlockingClientsTwinTest(SolipsistTestCase):
    """What they do, with the standard library alone."""

    async def test_tries_and_pauses(self):
        """http.client over a connection that is kept, with pauses by time.sleep() between the tries."""

        def get(url):
            client = http.client.HTTPConnection(url.split("/")[2], timeout=500 * STEP)
            with contextlib.closing(client):
                for number in range(1, 6):
                    client.request("GET", "/")
                    answer = client.getresponse()
                    if answer.read() == b"ok" and answer.status == 200:
                        return number
                    time.sleep(number * STEP)
            return None

        def body():
            with serving([503, 503, 200], STEP) as url:
                return get(url)

        before = time.monotonic()
        self.assertEqual(await asyncio.to_thread(body), 3)
        self.assertGreaterEqual(time.monotonic() - before, 4 * STEP)

    async def test_a_limit(self):
        """A socket's limit runs out while the server thinks."""

        def body():
            with serving([200], 10 * STEP) as url:
                client = http.client.HTTPConnection(url.split("/")[2], timeout=STEP)
                with contextlib.closing(client), self.assertRaises(TimeoutError):
                    client.request("GET", "/")
                    client.getresponse()

        await asyncio.to_thread(body)

    def test_a_controller(self):
        """A loop that is made here and runs on a thread of its own, for smtplib."""
        got = []

        async def serve(reader, writer):
            writer.write(b"220 hello\r\n")
            while line := await reader.readline():
                word = line.split()[0].upper()
                if word == b"DATA":
                    writer.write(b"354 go on\r\n")
                    got.append(await reader.readuntil(b"\r\n.\r\n"))
                    await asyncio.sleep(STEP)
                writer.write(b"221 bye\r\n" if word == b"QUIT" else b"250 OK\r\n")
            writer.close()

        def run():
            asyncio.set_event_loop(loop)
            server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
            port.append(server.sockets[0].getsockname()[1])
            loop.call_soon(there.set)
            loop.run_forever()
            server.close()
            loop.run_until_complete(asyncio.wait(asyncio.all_tasks(loop) or [loop.create_task(asyncio.sleep(0))]))
            loop.run_until_complete(asyncio.sleep(0))  # what they have closed is gone
            loop.close()

        loop, port, there = asyncio.new_event_loop(), [], threading.Event()
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.assertTrue(there.wait(500 * STEP))
        send(port[0])
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        self.assertEqual(got, [b"Subject: hello\r\n\r\nhello\r\n.\r\n"])

    async def test_a_server_of_threads(self):
        """socketserver with a thread for each of three clients."""

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for line in self.rfile:
                    time.sleep(STEP)
                    self.wfile.write(line.upper())

        def visit(port):
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
                client.connect()
                with client.sock.makefile("rwb") as file:
                    file.write(b"hello\n")
                    file.flush()
                    return file.readline()

        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.1,))
            thread.start()
            answers = await asyncio.gather(*[asyncio.to_thread(visit, server.server_address[1]) for _ in range(3)])
            await asyncio.to_thread(server.shutdown)
            await asyncio.to_thread(thread.join)
        self.assertEqual(answers, [b"HELLO\n"] * 3)


class BlockingClientsTwinOnLoopbackTest(BlockingClientsTwinTest):
    """The same on the real loopback."""

    loop_factory = asyncio.SelectorEventLoop
