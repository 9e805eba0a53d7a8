"""Clean programs: TLS with certificates of tests, signals, and programs of tests."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import unittest

from solipsism_unittest import SolipsistTestCase


class CleanTlsTest(SolipsistTestCase):
    async def test_trusted(self):
        """A program with a context of its own making is served by a fake server whose authority the test trusts."""

        async def greet(reader, writer):
            writer.write(b"hello over TLS")
            writer.close()

        self.trust()
        await self.start_fake_server(greet, "api.test", 443, tls=True)
        reader, writer = await asyncio.open_connection("api.test", 443, ssl=ssl.create_default_context())
        self.assertEqual(await reader.read(), b"hello over TLS")
        writer.close()
        await writer.wait_closed()

    async def test_refused(self):
        """A client that meets a bad certificate leaves nothing behind, and neither does its server."""
        self.trust()
        for number, kind in enumerate(("expired", "untrusted", "wrong host")):
            server = await self.start_fake_server(None, "api.test", 443 + number, tls=kind)
            with self.assertRaises(ssl.SSLCertVerificationError):
                await asyncio.open_connection(*server.address, ssl=True)

    async def test_contexts(self):
        """A server and a client of the program's own with two contexts of the test; both ask for certificates."""
        server_side, client_side = self.tls_contexts("db.test", key="p256")
        server_side.verify_mode = ssl.CERT_REQUIRED

        async def count(reader, writer):
            writer.write(b"%d" % len(await reader.readuntil(b".")))
            writer.close()

        async with await asyncio.start_server(count, "db.test", 5432, ssl=server_side):
            reader, writer = await asyncio.open_connection("db.test", 5432, ssl=client_side)
            writer.write(b"a" * 10_000 + b".")
            self.assertEqual(await reader.read(), b"10001")
            writer.close()
            await writer.wait_closed()


class CleanSignalsTest(SolipsistTestCase):
    async def test_a_reload(self):
        """A program that reads its settings anew on SIGHUP, by a handler of the loop."""
        loads = []
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: loads.append(loop.time()))
        for _ in range(3):
            await asyncio.sleep(60)
            self.send_signal(signal.SIGHUP)
        await self.settle()
        self.assertEqual(loads, [60, 120, 180])
        loop.remove_signal_handler(signal.SIGHUP)

    async def test_a_handler_of_module_signal(self):
        """A plain handler that sets a flag, put back at the end."""
        flags = []
        former = signal.signal(signal.SIGUSR2, lambda signum, frame: flags.append(signum))
        os.kill(os.getpid(), signal.SIGUSR2)
        signal.signal(signal.SIGUSR2, former)
        await asyncio.sleep(1)
        self.assertEqual(flags, [signal.SIGUSR2])

    async def test_an_alarm(self):
        """A watchdog by setitimer() that is fed in time."""
        barks = []
        signal.signal(signal.SIGALRM, lambda *args: barks.append(self.now))
        for _ in range(10):
            signal.setitimer(signal.ITIMER_REAL, 5)
            await asyncio.sleep(4.9)
        signal.setitimer(signal.ITIMER_REAL, 0)
        await asyncio.sleep(100)
        self.assertEqual(barks, [])


class CleanProgramsTest(SolipsistTestCase):
    async def test_a_filter(self):
        """A program that sorts what another part of the test sends it."""

        async def sort(process):
            process.stdout.writelines(sorted([line async for line in process.stdin]))

        self.add_program("sort", sort)
        process = await asyncio.create_subprocess_exec("sort", stdin=asyncio.subprocess.PIPE,
                                                       stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate(b"c\nb\na\n")
        self.assertEqual((out, process.returncode), (b"a\nb\nc\n", 0))

    async def test_a_daemon(self):
        """A supervisor that ends its child, which writes a last word in its time."""

        async def daemon(process):
            stopping = asyncio.Event()
            process.add_signal_handler(signal.SIGTERM, stopping.set)
            await stopping.wait()
            await asyncio.sleep(3)
            process.stdout.write(b"bye")

        self.add_program("daemon", daemon)
        process = await asyncio.create_subprocess_exec("/usr/sbin/daemon", stdout=asyncio.subprocess.PIPE)
        await asyncio.sleep(3600)
        process.terminate()
        with self.assertElapses(3):
            self.assertEqual(await process.stdout.read(), b"bye")
        self.assertEqual(await process.wait(), 0)

    async def test_a_blocking_caller(self):
        """Code that knows no asyncio talks to a program by lines, in a thread."""

        async def slow(process):
            async for line in process.stdin:
                await asyncio.sleep(60)
                process.stdout.write(line.upper())

        def job():
            with subprocess.Popen(["slow"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                for word in ("one", "two"):
                    print(word, file=process.stdin, flush=True)
                    self.assertEqual(process.stdout.readline(), f"{word.upper()}\n")
            return subprocess.Popen(["slow"], stdin=subprocess.DEVNULL).wait(1)

        self.add_program("slow", slow)
        self.assertEqual(await self.assertCompletesAfter(asyncio.to_thread(job), 120), 0)

    def test_a_whole_program(self):
        """A command-line tool, from its main function on, which fetches its work from a server and starts a child."""

        async def upper(process):
            process.stdout.write((await process.stdin.read()).upper())

        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()
            await writer.wait_closed()

        async def fetch(name):
            async with await asyncio.start_server(serve, "api.test", 80):
                reader, writer = await asyncio.open_connection("api.test", 80)
                writer.write(f"hello {name}\n".encode())
                data = await reader.read()
                writer.close()
                await writer.wait_closed()
            child = await asyncio.create_subprocess_exec("upper", stdin=asyncio.subprocess.PIPE)
            await child.communicate(data)
            return child.returncode

        def main():
            name = input("Who are you? ")
            sys.exit(asyncio.run(fetch(f"{name} of {os.environ['TOWN']}")))

        self.add_program("upper", upper)
        result = self.run_program(main, env={"TOWN": "Rome"}, stdin=b"Ann\n")
        self.assertEqual((result.returncode, result.stderr), (0, b""))
        self.assertEqual(result.stdout, b"Who are you? HELLO ANN OF ROME\n")


if __name__ == "__main__":
    unittest.main()
