"""The report of leftovers: in order, counted, and without frames of the machinery."""

import asyncio
import logging.handlers
import os
import re
import socket
import threading
import time
from unittest import mock

from tests.case.test_case import run, told
from tests.leaks import LeakTest, case_of


class ReportTest(LeakTest):
    def test_many_errors(self):
        """Of thousands of errors some are told with their traceback, and the others counted."""

        async def leaky(self):
            self.tasks = [asyncio.create_task(asyncio.sleep("x")) for _ in range(1000)]
            await asyncio.sleep(0)

        text = told(run(case_of(leaky)))
        self.assertIn("1000 task exceptions never read", text)
        self.assertIn("and 994 more tracebacks", text)
        self.assertLess(text.count("\n"), 150)

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
