"""The report of leftovers: in order, counted, and without frames of the machinery."""

import asyncio
import contextlib
import gc
import io
import logging.handlers
import os
import re
import socket
import threading
import time
import unittest
import warnings
from unittest import mock

from solipsism_unittest import UnclosedWarning, fail_on
from solipsism_unittest.leaks import report
from solipsism_unittest.leaks.kinds import Found
from tests.behaviours.test_masked_mistakes import no_warnings
from tests.case.test_case import run, told
from tests.leaks import LeakTest, case_of


class ReportTest(LeakTest):
    def test_nothing(self):
        """Where nothing was found there is no text."""
        self.assertEqual(report.report(Found([])), "")

    def test_many_errors(self):
        """Of thousands of errors some are told with their traceback, and the others counted."""

        async def leaky(self):
            self.tasks = [asyncio.create_task(asyncio.sleep("x")) for _ in range(1000)]
            await asyncio.sleep(0)

        text = told(run(case_of(leaky)))
        self.assertIn("1000 task exceptions never read", text)
        self.assertIn("and 994 more tracebacks", text)
        self.assertLess(text.count("\n"), 150)

    def test_one_cause_in_many_tests(self):
        """What all tests of a class leave is described in the first failure, and counted in the others."""

        async def worker(queue):
            while True:
                await queue.get()

        async def asyncSetUp(self):
            self.queue = asyncio.Queue()
            self.workers = list(map(asyncio.create_task, map(worker, [self.queue] * 2)))

        async def put(self):
            for number in range(len(self._testMethodName)):
                await self.queue.put(number)
                await asyncio.sleep(1)

        async def more(self):
            self.timer = self.loop.call_later(5, print)

        result = run(case_of(put, asyncSetUp=asyncSetUp, test_2nd=put, test_third=more))
        (_, first), (_, second), (_, third) = result.failures
        file = "tests/leaks/test_report.py"
        line, timer = asyncSetUp.__code__.co_firstlineno + 2, more.__code__.co_firstlineno + 1
        where = f"{file}:{line} in {asyncSetUp.__qualname__}"
        head = "AssertionError: the test left {} things behind; end what you start, or let a cleanup do it\n"
        self.assertEqual(first, head.format(2) + f"""\
  2 pending tasks
    Task-2 ({worker.__qualname__}) at {file}:{worker.__code__.co_firstlineno + 2} in {worker.__qualname__}, waits for \
get() from a queue that nobody puts into: <Queue maxsize=0 _getters[2] tasks=4>
    Task-3 ({worker.__qualname__}) at {file}:{worker.__code__.co_firstlineno + 2} in {worker.__qualname__}, waits for \
get() from a queue that nobody puts into: <Queue maxsize=0 _getters[2] tasks=4>
      made at {where}
""")
        self.assertEqual(second, head.format(2) + f"""\
  2 pending tasks
    as in test (2 tests of this class so far) (x 2), made at {where}
""")
        self.assertEqual(third, head.format(3) + f"""\
  2 pending tasks
    as in test (3 tests of this class so far) (x 2), made at {where}
  1 timer
    due at t=5.0 (now t=0.0), calls print
      made at {file}:{timer} in {more.__qualname__}
""")

    def test_the_same_test_again(self):
        """A test that runs again has the whole text, and so has who comes after tests whose leftovers nobody reads."""

        def leave(self):
            self.loop.call_later(5, print)

        async def skipped(self):
            leave(self)
            self.skipTest("on purpose")

        @unittest.expectedFailure
        async def expected(self):
            leave(self)
            self.fail("on purpose")

        async def leaky(self):
            leave(self)

        case = case_of(leaky, test_a_skipped=skipped, test_b_expected=expected, test_again=leaky)
        whole = "calls print\n      made at tests"
        counted = "    as in test (2 tests of this class so far), made at tests"
        for name, text in (("test_a_skipped", ""), ("test_b_expected", ""), ("test", whole), ("test", whole),
                           ("test_again", counted), ("test", whole)):
            with self.subTest(name):
                result = unittest.TestResult()
                case(name).run(result)  # no suite, which would begin the class anew
                self.assertIn(text, told(result))
        run(case)  # in a suite: the class ends
        self.assertIn(whole, told(run(case, "test_again")))
        other = type("Other", (case,), {})
        self.assertIn(whole, told(run(other, "test_again")))

    def test_mistakes_of_many_tests(self):
        """The same of errors that nobody read and of coroutines that nobody awaited."""

        async def fail():
            raise LookupError("on purpose")

        async def unread(self):
            self.task = asyncio.create_task(fail())
            await asyncio.sleep(1)

        async def unawaited(self):
            asyncio.sleep(1)

        with no_warnings():
            result = run(case_of(unread, test_unread=unread))
        self.assertEqual(result.failures[1][1], f"""\
AssertionError: 1 error went by unseen while the test ran
  1 task exception never read
    as in test (2 tests of this class so far), made at tests/leaks/test_report.py:{unread.__code__.co_firstlineno + 1} \
in {unread.__qualname__}
""")
        result = run(case_of(unawaited, test_unawaited=unawaited))
        self.assertIn("coroutine 'sleep' was never awaited, so nothing of it ran: write", result.failures[0][1])
        self.assertIn("coroutine 'sleep' was never awaited, as in test (2 tests of this class so far)\n  made at "
                      "tests/", result.failures[1][1])

    def test_what_is_counted_is_not_described(self):
        """Of thousands of tasks only three of each place are described: those that are reported."""
        class Counted(asyncio.Queue):
            described = 0

            def __repr__(self):
                Counted.described += 1
                return "<Counted>"

        async def leaky(self):
            queue = Counted()
            self.tasks = [asyncio.create_task(queue.get(), name=f"get-{n}") for n in range(2_000)]
            for task in self.tasks[:5]:
                self.expect_leak(task)  # nobody reads what they wait for
            self.other = asyncio.create_task(queue.get(), name="other")

        text = told(run(case_of(leaky)))
        self.assertIn("  1996 pending tasks\n    get-5 (Queue.get) ", text)
        self.assertIn("    and 1992 more of the same place\n", text)
        self.assertEqual((text.count("<Counted>"), Counted.described), (4, 4))

    def test_nothing_is_said_twice(self):
        """What the report names has no warning and no log of Python's beside it, at no flag of Python's."""

        def fail():
            raise LookupError("on purpose")

        async def fail_soon():
            fail()

        async def a_socket(self):
            socket.socket()

        async def a_pair(self):
            socket.socketpair()

        async def a_pipe(self):
            for number in os.pipe():
                os.fdopen(number, "rb", 0)

        async def a_server(self):
            await asyncio.start_server(lambda *pair: None, "localhost", 80)

        async def a_writer(self):
            await self.start_fake_server(None, "api.test", 80)
            await asyncio.open_connection("api.test", 80)

        async def the_writer_of_a_handler(self):
            server = await asyncio.start_server(lambda *pair: None, "localhost", 80)
            self.addCleanup(server.close)
            _, writer = await asyncio.open_connection("localhost", 80)
            writer.close()

        async def a_paused_transport(self):
            server = await self.loop.create_server(asyncio.Protocol, "localhost", 80)
            self.addCleanup(server.close)
            transport, _ = await self.loop.create_connection(asyncio.Protocol, "localhost", 80)
            transport.pause_reading()
            del transport
            gc.collect()

        async def a_transport_of_a_pipe(self):
            reader, writer = os.pipe()
            self.addCleanup(os.close, writer)
            transport, _ = await self.loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reader, "rb", 0))
            transport.pause_reading()
            del transport
            gc.collect()

        async def a_callback(self):
            self.loop.call_soon(fail)
            await asyncio.sleep(0)

        async def a_task(self):
            asyncio.create_task(fail_soon())
            await asyncio.sleep(1)

        async def a_future(self):
            self.loop.create_future().set_exception(LookupError("on purpose"))

        async def a_lost_task(self):
            async def wait(only_here):
                only_here.append(self.loop.create_future())
                await only_here[0]

            asyncio.create_task(wait([]))
            await asyncio.sleep(0)
            gc.collect()

        async def a_coroutine(self):
            asyncio.sleep(1)

        async def a_generator(self):
            async def steps():
                yield 1

            self.steps = steps()
            await anext(self.steps)

        bodies = (a_socket, a_pair, a_pipe, a_server, a_writer, the_writer_of_a_handler, a_paused_transport,
                  a_transport_of_a_pipe, a_callback, a_task, a_future, a_lost_task, a_coroutine, a_generator)
        self.addCleanup(setattr, logging.root, "handlers", logging.root.handlers)
        logging.root.handlers = []
        for body in bodies:
            with self.subTest(body.__name__), contextlib.redirect_stderr(io.StringIO()) as said, no_warnings():
                result = run(case_of(body))
                self.assertEqual((len(result.failures), len(result.errors)), (1, 0), told(result))
                self.assertEqual(said.getvalue(), "")

    def test_what_is_not_reported_is_said(self):
        """With the check off, to who collects warnings, and to who takes asyncio's log, it is said as ever."""

        def fail():
            raise LookupError("on purpose")

        async def a_callback(self):
            self.loop.call_soon(fail)
            await asyncio.sleep(0)

        async def a_socket(self):
            socket.socket()

        async def a_writer(self):
            await self.start_fake_server(None, "api.test", 80)
            await asyncio.open_connection("api.test", 80)
            gc.collect()

        async def collected(self):
            with self.assertWarns(UnclosedWarning):
                socket.socket()
            with self.assertWarns(ResourceWarning):
                await a_writer(self)

        self.addCleanup(setattr, logging.root, "handlers", logging.root.handlers)
        logging.root.handlers = []
        with contextlib.redirect_stderr(io.StringIO()) as said:
            run(fail_on(loop_exceptions=False)(case_of(a_callback)))
        self.assertIn("Exception in callback", said.getvalue())
        with self.assertLogs("asyncio") as log:
            run(case_of(a_callback))
        self.assertIn("Exception in callback", log.output[0])
        async def a_paused_transport(self):
            reader, writer = os.pipe()
            self.addCleanup(os.close, writer)
            transport, _ = await self.loop.connect_read_pipe(asyncio.Protocol, os.fdopen(reader, "rb", 0))
            transport.pause_reading()
            del transport
            gc.collect()

        for body in (a_socket, a_writer, a_paused_transport):
            with self.subTest(body.__name__), warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                run(fail_on(open_sockets=False, open_transports=False)(case_of(body)))
                self.assertIn("unclosed ", "".join(str(warning.message) for warning in caught))
        self.assertIn("the test left 2 things behind", told(run(case_of(collected))))

    def test_place_in_the_standard_library(self):
        """What a module of the standard library makes is told with the user's line as well."""

        async def leaky(self):
            self.handler = logging.handlers.SysLogHandler(("127.0.0.1", 514))

        text = told(run(case_of(leaky)))
        self.assertRegex(text, r"made at .*handlers\.py:\d+ in SysLogHandler\.createSocket, called from "
                               rf"tests.leaks.test_report\.py:{leaky.__code__.co_firstlineno + 1} in ")

    def test_our_frames_do_not_show(self):
        """Where a thread stands is told with its own lines, though one of ours is the innermost."""

        def work():
            time.sleep(0.5)

        async def leaky(self):
            self.thread = threading.Thread(target=work)
            self.thread.start()
            time.perf_counter()

        with mock.patch("solipsism_unittest.stdlib.threads.workers.LINGER", 0.05):
            result = run(case_of(leaky))
        self.assertIn("1 thread alive", told(result))
        self.assertNotRegex(told(result), r"solipsism_unittest.\w+\.py")

    def test_frames_in_the_middle(self):
        """What a job raises is told without the frames that carried it."""

        async def fails(self):
            await asyncio.to_thread(int, "x")

        async def refused(self):
            await self.advance(-1)

        for body in (fails, refused):
            text = told(run(case_of(body)))
            self.assertIn("ValueError", text)
            self.assertNotRegex(text, r"solipsism_unittest.\w+\.py")

    def test_one_of_each(self):
        """A test with one of each kind gets one failure that names all, in the order of what explains what."""

        async def leaky(self):
            def again():
                self.loop.call_soon(again)

            again()
            self.task = asyncio.create_task(asyncio.Event().wait())
            self.loop.call_later(5, print)
            self.server = await asyncio.start_server(print, "127.0.0.1", 80)
            fake = await self.start_fake_server()
            self.streams = await asyncio.open_connection(*fake.address)
            self.socket = socket.socket()
            self.loop.add_reader(self.socket, str)
            self.numbers = count()

            await anext(self.numbers)
            self.unread = asyncio.create_task(asyncio.sleep("x"))

            asyncio.sleep(1)
            threading.Thread(target=over.wait).start()
            read, self.pipe = os.pipe()
            os.close(read)
            await asyncio.sleep(0)

        async def count():
            yield 1

        over = threading.Event()
        self.addCleanup(over.set)
        result = run(case_of(leaky))
        self.assertEqual((len(result.failures), len(result.errors)), (1, 0))
        kinds = re.findall(r"^  (\d .*)", told(result), re.MULTILINE)
        self.assertEqual(kinds, [
            "1 coroutine never awaited", "1 task exception never read", "1 pending task", "1 timer", "1 ready handle",
            "1 registered callback", "1 open server", "1 open transport", "1 open socket", "1 open pipe end",
            "1 async generator not finished", "1 thread alive",
        ])
        lines = re.findall(r"made at tests.leaks.test_report\.py:(\d+)", told(result))
        first = leaky.__code__.co_firstlineno
        self.assertEqual([int(line) - first for line in lines], [17, 15, 5, 6, 2, 11, 7, 9, 10, 19, 14, 18])

    def test_many_of_one_place(self):
        """Things of one place are told three at most, equal ones as one with their number, and counted."""

        async def test(self):
            self.sockets = [socket.socket() for _ in range(7)]
            self.tasks = [asyncio.create_task(asyncio.sleep(1 + n), name=f"sleeper-{n}") for n in range(4)]

        text = told(run(case_of(test)))
        self.assertIn("the test left 11 things behind", text)
        self.assertIn("  7 open sockets\n    <stream unbound fresh> (x 3)\n    and 4 more of the same place\n", text)
        self.assertEqual(re.findall(r"sleeper-\d", text), ["sleeper-0", "sleeper-1", "sleeper-2"])
        self.assertEqual(text.count("made at"), 2)
