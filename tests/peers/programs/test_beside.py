"""`run_program` in async tests: several programs beside the test, each on its host, with its signals and streams."""

import asyncio
import os
import queue
import signal
import socket
import socketserver
import sys
import threading
import time
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told


async def database():
    """Says its name to who connects, until it is told to end."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)

    async def greet(reader, writer):
        writer.write(os.environ["NAME"].encode())
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(greet, "0.0.0.0", 5432):
        print("ready", *sys.argv[1:])
        await stopping.wait()
    print("stopped", os.environ["NAME"])
    return len(sys.argv)


async def ask(host):
    reader, writer = await asyncio.open_connection(host, 5432)
    try:
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


class BesideTest(SolipsistTestCase):
    async def test_several(self):
        """Programs on several hosts use the same port; each has its own environment, output and handlers."""
        runs = [self.run_program(database, ["-x"] * number, {"NAME": f"db{number}"}, host=f"db{number}.test")
                for number in range(3)]
        await self.settle()
        self.assertEqual([await ask(f"db{number}.test") for number in range(3)], [b"db0", b"db1", b"db2"])
        runs[1].send_signal(signal.SIGTERM)
        self.assertIs(await runs[1], runs[1])
        self.assertEqual((runs[1].returncode, runs[1].stdout), (2, b"ready -x\nstopped db1\n"))
        self.assertEqual((runs[0].returncode, runs[2].returncode), (None, None))
        os.kill(runs[0].pid, signal.SIGTERM)
        os.kill(runs[2].pid, signal.SIGKILL)
        await asyncio.gather(runs[0], runs[2])
        self.assertEqual((runs[0].returncode, runs[2].returncode), (1, -9))
        runs[2].send_signal(signal.SIGTERM)  # it has ended

    async def test_where_they_come_from(self):
        """A program connects from its host, and so does what it starts."""
        seen = []

        async def note(reader, writer):
            seen.append(writer.get_extra_info("peername")[0])
            writer.close()

        async def client():
            for _ in range(2):
                reader, writer = await asyncio.create_task(asyncio.open_connection("api.test", 80))
                await reader.read()
                writer.close()

        await self.start_fake_server(note, "api.test", 80)
        await asyncio.gather(*(self.run_program(client, host=host) for host in ("one.test", "two.test")))
        self.assertEqual(len(set(seen)), 2)
        self.assertEqual(len(seen), 4)

    async def test_functions(self):
        """A function runs in a thread, and reads its input there."""

        def main():
            for line in sys.stdin:
                print(line.strip().upper(), os.environ.get("A"), sys.argv[1:])
            sys.exit("that is all")

        results = await asyncio.gather(*(
            self.run_program(main, [name], {"A": name}, stdin=b"one\ntwo\n") for name in "xy"))
        for name, result in zip("xy", results, strict=True):
            self.assertEqual(result.stdout, f"ONE {name} ['{name}']\nTWO {name} ['{name}']\n".encode())
            self.assertEqual((result.returncode, result.stderr), (1, b"that is all\n"))

    async def test_from_a_thread(self):
        """In a thread it is a blocking call, in virtual time."""

        async def main():
            await asyncio.sleep(3600)
            return 5

        result = await asyncio.to_thread(self.run_program, main)
        self.assertEqual((result.returncode, self.now), (5, 3600))

    async def test_no_function(self):
        """What is called is a function."""
        with self.assertRaisesRegex(TypeError, "a program is a function without arguments, not 5"):
            self.run_program(5)

    async def test_the_test_sees_its_own(self):
        """While a program runs the test has its own arguments, environment and streams, and they stay where they are.
        """
        before = sys.argv, os.environ, sys.stdout
        argv = list(sys.argv)

        async def main():
            sys.argv.append("more")
            os.environ["OF_THE_PROGRAM"] = "1"
            await asyncio.sleep(5)
            print(sys.argv[1:], os.environ["OF_THE_PROGRAM"])

        program = self.run_program(main)
        await self.settle()
        self.assertEqual(list(sys.argv), argv)
        self.assertNotIn("OF_THE_PROGRAM", os.environ)
        self.assertEqual((await program).stdout, b"['more'] 1\n")
        self.assertEqual((sys.argv, os.environ, sys.stdout), before)


class ThreadsTest(unittest.TestCase):
    def test_one_journal(self):
        """Three programs of threads, a server and two clients of it, do the same in every run."""

        class Upper(socketserver.StreamRequestHandler):
            def handle(self):
                for line in self.rfile:
                    time.sleep(0.01)
                    self.wfile.write(line.upper())
                    print(line.decode().strip())

        def serve():
            with socketserver.ThreadingTCPServer(("upper.test", 7), Upper) as server:
                threading.Timer(5, server.shutdown).start()
                server.serve_forever()

        def ask():
            line = queue.Queue()

            def work(number):
                with socket.create_connection(("upper.test", 7)) as connection:
                    for turn in range(3):
                        time.sleep(0.001 * (number * 7 % 5))
                        connection.sendall(f"{sys.argv[1]} {number} {turn}\n".encode())
                        line.put(connection.recv(99).decode())

            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            for _ in range(12):
                print(line.get(), end="")

        class Case(SolipsistTestCase):
            async def test(self):
                server = self.run_program(serve, host="upper.test")
                await self.settle()
                clients = [self.run_program(ask, argv=[name], host=f"{name}.test") for name in ("one", "two")]
                found = [(await program).stdout for program in (*clients, server)]
                runs.append((found, self.loop.kernel.journal.digest))

        runs = []
        for _ in range(10):
            result = unittest.TestResult()
            Case("test").run(result)
            self.assertTrue(result.wasSuccessful(), result.errors + result.failures)
        self.assertEqual([len(heard.splitlines()) for heard in runs[0][0]], [12, 12, 24])
        self.assertEqual(runs, runs[:1] * 10)


class EndTest(unittest.TestCase):
    def test_still_running(self):
        """One that runs when the test ends is a leak; an assertion of the test in one fails the test."""

        class Case(SolipsistTestCase):
            async def test_left(self):
                async def main():
                    await asyncio.sleep(1000)

                self.run_program(main)
                await self.settle()

            async def test_assertion(self):
                async def main():
                    self.assertEqual(1, 2)

                await self.run_program(main)

        text = told(run(Case))
        self.assertRegex(text, r"(?s)1 running program\n    <Guest \d+ \S+ running> at \S+:\d+ in \S*main, waits for "
                               r"sleep\(1000[^\n]*\n +await what self\.run_program\(\) gave, "
                               r".*made at \S*test_beside\.py:\d+ in ")
        self.assertIn("1 != 2", text)


if __name__ == "__main__":
    unittest.main()
