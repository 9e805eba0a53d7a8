"""What asyncio refuses in debug mode alone is refused in any mode."""

import _thread
import asyncio
import contextlib
import functools
import io
import logging
import socket
import sys
import threading
import time
import unittest
from unittest import mock

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase, fail_on
from tests.case.test_case import run, told
from tests.leaks import case_of


async def fetch():
    pass


class Client:
    async def fetch(self):
        pass


class CallbackTest(unittest.TestCase):
    def test_coroutine_functions(self):
        """A coroutine function, in whatever clothes, is a TypeError of each method that takes a callback."""
        clothes = (fetch, Client().fetch, Client.fetch, functools.partial(fetch), functools.partial(Client().fetch, 1),
                   functools.partial(functools.partial(fetch)), mock.AsyncMock(), mock.AsyncMock(spec=fetch),
                   functools.partial(mock.AsyncMock()), asyncio.sleep, asyncio.open_connection)

        async def main():
            loop = asyncio.get_running_loop()
            for method, call in (("call_soon", loop.call_soon), ("call_soon_threadsafe", loop.call_soon_threadsafe),
                                 ("call_later", functools.partial(loop.call_later, 1)),
                                 ("call_at", functools.partial(loop.call_at, 1)),
                                 ("run_in_executor", functools.partial(loop.run_in_executor, None))):
                for callback in clothes:
                    with self.subTest(method, callback=callback), self.assertRaisesRegex(
                            TypeError, rf"^coroutines cannot be used with {method}\(\): .* would be called, and never "
                            r"awaited; give a plain function, or make a task of it$"):
                        call(callback)
            self.assertEqual(list(loop.inventory.timers()), [])

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(main())

    def test_a_coroutine(self):
        """A coroutine itself is refused too, and is not reported as one that nobody awaited."""
        async def body(self):
            for call in (self.loop.call_soon, functools.partial(self.loop.call_later, 1)):
                with self.assertRaisesRegex(TypeError, r"^coroutines cannot be used with call_"):
                    call(fetch())

        self.assertEqual(told(run(case_of(body))), "")

    def test_all_else(self):
        """Everything else that can be called is a callback: classes, mocks, C functions, objects, a dead proxy."""
        class Odd:
            def __call__(self):
                seen.append("odd")

            @property
            def __class__(self):
                raise ReferenceError

        async def main():
            loop = asyncio.get_running_loop()
            for callback in (lambda: seen.append("lambda"), functools.partial(seen.append, "partial"), seen.copy, list,
                             mock.Mock(side_effect=lambda: seen.append("mock")), Odd(), Odd().__call__):
                loop.call_soon(callback)
                loop.call_later(1, callback)
            await asyncio.sleep(2)

        seen = []
        with asyncio.Runner(loop_factory=SolipsistEventLoop, debug=False) as runner:  # asyncio's own checks ask Odd too
            runner.run(main())
        self.assertEqual(seen, ["lambda", "partial", "mock", "odd", "odd"] * 2)

    def test_a_closed_loop(self):
        """A closed loop takes no callback, and no job."""
        loop = SolipsistEventLoop()
        loop.close()
        for call in (loop.call_soon, functools.partial(loop.call_later, 1), functools.partial(
                loop.run_in_executor, None)):
            with self.assertRaisesRegex(RuntimeError, "^Event loop is closed$"):
                call(print)

    def test_debug_mode(self):
        """In debug mode a handle knows where it was made."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.set_debug(True)
        self.assertIn("test_mistakes.py", str(loop.call_soon(print)._source_traceback[-1]))


class ThreadTest(unittest.TestCase):
    WORDS = (r"RuntimeError: Non-thread-safe operation invoked on an event loop other than the current one: "
             r"call_soon\(\) in thread \S+, where the loop does not run; pass the call to "
             r"loop\.call_soon_threadsafe\(\)")

    def in_a_job(self, prepare):
        """What a test is told that makes a call in an executor job."""
        async def body(self):
            call = prepare(self)
            await asyncio.sleep(0)
            await asyncio.to_thread(call)

        return told(run(case_of(body)))

    def calls(self):
        def set_result(case):
            case.future = case.loop.create_future()
            case.task = asyncio.create_task(wait(case.future))
            return lambda: case.future.set_result(1)

        def cancel(case):
            case.task = asyncio.create_task(wait(case.loop.create_future()))
            return lambda: (started(case.loop), case.task.cancel())

        def call_soon(case):
            return lambda: case.loop.call_soon(print)

        def call_later(case):
            return lambda: case.loop.call_later(1, print)

        def create_task(case):
            def create():
                coroutine = fetch()
                try:
                    case.loop.create_task(coroutine)
                finally:
                    coroutine.close()

            return create

        async def wait(future):
            await future

        def started(loop):
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()

        return set_result, cancel, call_soon, call_later, create_task

    def test_in_a_job(self):
        """A call from a job of an executor is an error at its line."""
        for prepare in self.calls():
            with self.subTest(prepare.__name__):
                with contextlib.redirect_stderr(io.StringIO()) as printed:
                    text = self.in_a_job(prepare)
                self.assertEqual(printed.getvalue(), "")
                self.assertNotIn("garbage", text)  # no task was made
                self.assertRegex(text, self.WORDS.replace("call_soon", r"call_\w+"))
                self.assertIn("test_mistakes.py", text)

    def test_in_a_thread(self):
        """A thread that dies of it fails the test, with the line."""
        async def body(self):
            thread = threading.Thread(target=lambda: self.loop.call_soon(print), name="mine")
            with mock.patch("threading.excepthook"):
                thread.start()
                thread.join()
            await asyncio.sleep(1)

        text = told(run(case_of(body)))
        self.assertRegex(text, self.WORDS)
        self.assertIn("test_mistakes.py", text)

    def test_a_thread_that_dies(self):
        """What a thread dies of fails its test with its own traceback, as what a callback raises does; once."""
        async def started(self):
            threading.Thread(target=fail, name="mine").start()
            await asyncio.sleep(5)

        def joined(self):
            thread = threading.Thread(target=fail, name="mine")
            thread.start()
            thread.join()

        async def bare(self):
            _thread.start_new_thread(fail, ())
            await asyncio.sleep(5)

        def fail():
            time.sleep(1)
            raise KeyError("of a thread")

        for body in (started, joined, bare):
            with self.subTest(body.__name__), contextlib.redirect_stderr(io.StringIO()) as printed:
                text = told(run(case_of(body)))
                self.assertRegex(text, r"(?s)KeyError: 'of a thread'\n\nThe above.*1 error that nobody caught\n    "
                                       r"thread (mine|Dummy-\d+): KeyError\('of a thread'\)\n      raised at .*fail\n")
                self.assertNotIn("solipsism_unittest", text)
                self.assertEqual(printed.getvalue(), "")

    def test_the_hook_of_a_runner(self):
        """pytest collects the errors of threads, and makes warnings of them: the test fails all the same."""
        def collect(args, *, into):
            into.append(args.exc_type)

        async def body(self):
            threading.Thread(target=lambda: 1 / 0).start()
            await asyncio.sleep(1)

        collect.__module__, collected = "_pytest.threadexception", []
        with mock.patch("threading.excepthook", functools.partial(collect, into=collected)), \
                self.assertLogs("asyncio"):  # as pytest collects those too
            self.assertIn("ZeroDivisionError", told(run(case_of(body))))
            logging.getLogger("asyncio").error("assertLogs() wants one")
        self.assertEqual(collected, [ZeroDivisionError])

    def test_a_thread_whose_death_is_expected(self):
        """Somebody has said what becomes of it: the test, its policy, or a hook of the program's."""
        async def expected(self):
            with self.assertLoopException(ZeroDivisionError):
                threading.Thread(target=lambda: 1 / 0).start()
                await asyncio.sleep(1)

        @fail_on(loop_exceptions=False)
        async def let_be(self):
            threading.Thread(target=lambda: 1 / 0).start()
            await asyncio.sleep(1)

        async def hooked(self):
            with mock.patch("threading.excepthook") as hook:
                threading.Thread(target=lambda: 1 / 0).start()
                await asyncio.sleep(1)
            hook.assert_called_once()

        async def ended(self):
            threading.Thread(target=sys.exit, args=(1,)).start()
            await asyncio.sleep(1)

        for body, said in ((expected, ""), (let_be, "ZeroDivisionError: division by zero"), (hooked, ""), (ended, "")):
            with self.subTest(body.__name__), contextlib.redirect_stderr(io.StringIO()) as printed:
                self.assertEqual(told(run(case_of(body))), "")
                self.assertEqual(printed.getvalue().strip().rpartition("\n")[2], said)
                self.assertNotIn("solipsism_unittest", printed.getvalue())

    def test_the_thread_catches_it(self):
        """A thread that catches it has seen it."""
        async def body(self):
            def work():
                with self.assertRaises(RuntimeError):
                    self.loop.call_soon(print)

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
            await asyncio.sleep(1)

        self.assertEqual(told(run(case_of(body))), "")

    def test_a_loop_that_stands(self):
        """While the loop does not run, any thread may call."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        thread = threading.Thread(target=loop.call_soon, args=(print,))
        thread.start()
        thread.join()
        self.assertEqual(len(loop.inventory.ready()), 1)


class SocketTest(SolipsistTestCase):
    async def test_blocking_sockets(self):
        """A blocking socket, or one with a timeout, is a ValueError of each sock_ method, whether it would wait or not.
        """
        loop = self.loop
        listener = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        fresh = socket.socket()
        for face in (listener, client, server, datagrams, fresh):
            self.addCleanup(face.close)
        server.send(b"hello")
        address = datagrams.getsockname()
        calls = {
            "sock_accept": lambda: loop.sock_accept(listener),
            "sock_recv": lambda: loop.sock_recv(client, 9),
            "sock_recv_into": lambda: loop.sock_recv_into(client, bytearray(9)),
            "sock_recvfrom": lambda: loop.sock_recvfrom(datagrams, 9),
            "sock_recvfrom_into": lambda: loop.sock_recvfrom_into(datagrams, bytearray(9)),
            "sock_sendall": lambda: loop.sock_sendall(client, b"hello"),
            "sock_sendto": lambda: loop.sock_sendto(datagrams, b"hello", address),
            "sock_connect": lambda: loop.sock_connect(fresh, listener.getsockname()),
        }
        for timeout in (None, 5):
            for face in (listener, client, server, datagrams, fresh):
                face.settimeout(timeout)
            for name, call in calls.items():
                with self.subTest(name, timeout=timeout), self.assertRaisesRegex(
                        ValueError, r"^the socket must be non-blocking: call setblocking\(False\) on "
                        r"<VirtualSocket .*> first, for loop\.sock_\w+\(\) and its like would stop the loop's thread$"):
                    await call()


if __name__ == "__main__":
    unittest.main()
