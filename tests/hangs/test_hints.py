"""Errors of Python's own that have a usual reason in a test: the failure says what to do."""

import asyncio
import contextlib
import ssl
import sys
import time
import unittest

from solipsism_unittest import SolipsistEventLoop, SolipsistTestCase
from tests.case.test_case import run, told


class BoundTest(unittest.TestCase):
    def test_who_used_it_first(self):
        """The test that waited first is named, word for word."""
        for kind, wait in ((asyncio.Event, "wait"), (asyncio.Queue, "get")):
            thing = kind()

            class Case(SolipsistTestCase):
                async def test(self, thing=thing, wait=wait):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(getattr(thing, wait)(), 1)

            with self.subTest(kind.__name__):
                self.assertEqual(told(run(Case)), "")
                self.assertIn(
                    "is bound to a different event loop\n"
                    f"this {kind.__name__} was first waited for in {Case.__module__}.{Case.__qualname__}.test at "
                    f"tests/hangs/test_hints.py:{Case.test.__code__.co_firstlineno + 2} in {Case.test.__qualname__}, "
                    "and belongs to the loop of that test: make a new one in asyncSetUp(), or set loop_scope = 'class' "
                    "for tests that share it\n", told(run(Case)))

    def test_a_line_of_no_test(self):
        """Of a virtual loop that no test had the line of the first wait is named alone."""
        lock = asyncio.Lock()

        async def two():
            async with lock:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(lock.acquire(), 1)

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            runner.run(two())

        class Case(SolipsistTestCase):
            async def test(self):
                await lock.acquire()
                await lock.acquire()

        line = two.__code__.co_firstlineno + 3
        made = rf"tests/hangs/test_hints.py:{line} in {two.__qualname__}"
        self.assertIn(f"this Lock was first waited for at {made}, and belongs to the loop that ran there: make a new "
                      "one for each loop\n", told(run(Case)))

    def test_the_first_wait_stays_the_first(self):
        """Later waits in the test of the first one change nothing, and on the right loop nothing is refused."""
        event = asyncio.Event()

        class Case(SolipsistTestCase):
            async def test_a(self):
                for _ in range(2):
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(event.wait(), 1)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), 1)

            async def test_b(self):
                await event.wait()

        first = Case.test_a.__code__.co_firstlineno + 3
        self.assertIn(f".test_a at tests/hangs/test_hints.py:{first} in ", told(run(Case)))

    def test_a_loop_of_nobody(self):
        """Of a loop that no test had nothing is said."""
        event = asyncio.Event()

        async def wait():
            await asyncio.wait_for(event.wait(), 0.001)

        with asyncio.Runner() as runner, self.assertRaises(TimeoutError):
            runner.run(wait())

        class Case(SolipsistTestCase):
            async def test(self):
                await event.wait()

        class Cleared(SolipsistTestCase):
            async def test(self):
                with self.assertRaises(TimeoutError):  # it clears the frames: nobody knows which object it was
                    await event.wait()

        self.assertNotIn("first waited for", told(run(Cleared)))
        text = told(run(Case))
        self.assertIn("is bound to a different event loop\n", text)
        self.assertNotIn("first waited for", text)


class RunningTest(unittest.TestCase):
    def test_a_loop_that_runs_already(self):
        """Whoever runs a loop inside an async test reads what to write, once."""
        def by_run():
            asyncio.run(asyncio.sleep(1))

        def by_runner():
            with asyncio.Runner() as runner:
                runner.run(asyncio.sleep(1))

        def by_loop():
            asyncio.get_running_loop().run_until_complete(asyncio.sleep(1))

        def by_new_loop():
            with contextlib.closing(asyncio.new_event_loop()) as loop:
                loop.run_until_complete(asyncio.sleep(1))

        for mistake in (by_run, by_runner, by_loop, by_new_loop):
            class Case(SolipsistTestCase):
                async def test(self, mistake=mistake):
                    mistake()

            with self.subTest(mistake.__name__):
                self.assertEqual(told(run(Case)).count(
                    "\nthe loop of an async test runs already: `await` the coroutine; a program that calls asyncio."
                    "run() itself is called from a plain `def test_...`, or with `await asyncio.to_thread(main)`\n"), 1)

    def test_what_it_says_works(self):
        """Such a program runs in a plain test, and in a thread."""
        def main():
            asyncio.run(asyncio.sleep(1))

        class Case(SolipsistTestCase):
            def test_plain(self):
                main()

            async def test_thread(self):
                await self.assertCompletesAfter(asyncio.to_thread(main), 1)

        self.assertEqual(told(run(Case)), "")


class ExitTest(unittest.TestCase):
    def test_a_test_that_exits(self):
        """A test that exits is an error of its own, and says how to test what exits; no other error says so."""
        class Case(SolipsistTestCase):
            async def test(self):
                sys.exit("usage")

        words = "the test was ended by sys.exit(): self.run_program(main) runs a program that exits, and a test that " \
                "means it says so: with self.assertRaises(SystemExit):"
        text = told(run(Case))
        self.assertIn(f"SystemExit: usage\n{words}\n", text)
        self.assertEqual(text.count(words), 1)

    def test_a_debugger_that_is_left(self):
        """Who quits pdb, which exits from Python 3.14 on, is told nothing of programs."""
        namespace = {"__name__": "pdb", "sys": sys}
        exec("def do_quit(): sys.exit(1)", namespace)

        class Case(SolipsistTestCase):
            async def test(self):
                namespace["do_quit"]()

        text = told(run(Case))
        self.assertIn("SystemExit: 1\n", text)
        self.assertNotIn("run_program", text)


class TrustTest(unittest.TestCase):
    words = "\nno authority that the program trusts has signed this certificate: with self.trust() it trusts those " \
            "of fake servers, and with self.trust(context) a context does that has authorities of its own\n"

    def result(self, *contexts, trusts):
        """What a test says that connects with TLS."""
        class Case(SolipsistTestCase):
            async def test(self):
                async def handler(reader, writer):
                    writer.close()

                if trusts:
                    self.trust(*contexts)
                await self.start_fake_server(handler, "api.test", 443, tls=True)
                _, writer = await asyncio.open_connection("api.test", 443, ssl=contexts[0] if contexts else True)
                writer.close()

        return told(run(Case))

    def test_who_trusts_nobody(self):
        """A certificate of a fake server that nobody trusts comes with the two ways to trust it, and both work."""
        own = ssl.create_default_context(cafile=None, cadata=None)
        self.assertIn(self.words, self.result(trusts=False))
        self.assertEqual(self.result(trusts=True), "")
        self.assertIn(self.words, self.result(own, trusts=False))
        self.assertEqual(self.result(own, trusts=True), "")

    def test_other_faults(self):
        """Nothing is said of a certificate for another name, nor where the test trusts already."""
        class Case(SolipsistTestCase):
            async def test_name(self):
                server, client = self.tls_contexts("other.test")
                await self.start_fake_server(None, "api.test", 443, ssl=server)
                await asyncio.open_connection("api.test", 443, ssl=client)

            async def test_trust(self):
                server, _ = self.tls_contexts("api.test")
                self.trust()
                await self.start_fake_server(None, "api.test", 443, ssl=server)
                client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                await asyncio.open_connection("api.test", 443, ssl=client)

        result = run(Case)
        self.assertEqual(len(result.errors), 2)
        self.assertEqual(told(result).count("certificate verify failed"), 2)
        self.assertNotIn(self.words, told(result))


class ExactTest(unittest.TestCase):
    def text(self, method, *values):
        """What a test says in which this comparison fails a virtual second after its beginning."""
        class Case(SolipsistTestCase):
            async def test(self):
                start = time.monotonic()
                await asyncio.sleep(1)
                getattr(self, method)(*(values or (time.monotonic() - start, 1)))

        return told(run(Case))

    def test_a_time_that_is_no_more(self):
        """A time that was to be more than it is, or less, by nothing at all: the note says why that never is."""
        for method, how in (("assertGreater", "greater"), ("assertLess", "less")):
            with self.subTest(method):
                self.assertIn(
                    f"AssertionError: 1.0 not {how} than 1\nif these are times: virtual time is exact, and what takes "
                    "a second takes no more and no less; say assertGreaterEqual(), assertLessEqual() or `with self."
                    "assertElapses(seconds):`\n", self.text(method))

    def test_what_is_no_time(self):
        """Nothing is said of other numbers, other texts, and where no time has gone by."""
        for method, *values in (("assertGreater", 1, 1), ("assertGreater", 1.0, 2.0), ("assertLess", 3, 1.5),
                                ("assertGreater", "a", "a"), ("assertNotEqual", 1.0, 1.0)):
            with self.subTest(method, values=values):
                text = self.text(method, *values)
                self.assertIn("AssertionError", text)
                self.assertNotIn("virtual time is exact", text)


class ProgramTest(unittest.TestCase):
    def test_what_it_said(self):
        """A failure about the result of a program that has failed has the end of what the program said."""
        def main():
            sys.exit("usage: count SECONDS")

        class Case(SolipsistTestCase):
            def test_plain(self):
                result = self.run_program(main)
                self.assertEqual(result.returncode, 0)

            async def test_beside(self):
                result = await self.run_program(main)
                self.assertEqual(result.returncode, 0)

            def test_something_else(self):
                result = self.run_program(int)
                self.assertEqual(result.stdout, b"something")

        text = told(run(Case))
        self.assertEqual(text.count("AssertionError: 1 != 0\ntest_hints.py ended with 1; its stderr ends:\n"
                                    "  usage: count SECONDS\n"), 2, text)
        self.assertEqual(text.count("its stderr ends"), 2)


if __name__ == "__main__":
    unittest.main()
