"""Clean programs that say what they leave, let out, expect and share."""

import asyncio
import socket
import subprocess
import sys

from solipsism_unittest import SolipsistTestCase


class ExpectedTest(SolipsistTestCase):
    async def test_a_task_that_is_meant_to_stay(self):
        """A watchdog that the program never ends is expected by the test."""
        watchdog = self.expect_leak(asyncio.create_task(asyncio.sleep(86400)))
        await asyncio.sleep(1)
        self.assertFalse(watchdog.done())

    async def test_a_connection_that_is_meant_to_stay(self):
        """A pooled connection stays open."""
        server = await self.start_fake_server()
        _, writer = await asyncio.open_connection(*server.address)
        self.assertIs(self.expect_leak(writer), writer)

    async def test_an_error_that_is_meant_to_come(self):
        """A callback that fails is told of to the loop, as it should be."""
        with self.assertLoopException(ZeroDivisionError, "division") as caught:
            self.loop.call_soon(lambda: 1 // 0)
            await self.settle()
        self.assertIsInstance(caught.exception, ZeroDivisionError)

    async def test_a_job_in_the_background_that_fails(self):
        """A task that nobody awaits ends with an error, which is expected."""

        async def poll():
            await asyncio.sleep(3)
            raise ConnectionError("gone")

        with self.assertLoopException(ConnectionError, "^gone$"):
            task = asyncio.create_task(poll())
            await self.advance(3)
        self.assertTrue(task.done())


class LetOutTest(SolipsistTestCase):
    async def test_a_real_process(self):
        """A real child process, let out on purpose, is waited for in another thread."""

        def ask():
            return subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True).stdout

        with self.allow_escape("subprocess"):
            answer = await asyncio.to_thread(ask)
        self.assertEqual(answer.strip(), "42")
        self.assertNow(0)


class OpenTest(SolipsistTestCase):
    hermetic = False

    def test_a_real_process_without_a_guard(self):
        """Where the guard is off a plain test starts a process."""
        with subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]) as child:
            pass
        self.assertEqual(child.returncode, 3)


class SharedTest(SolipsistTestCase):
    loop_scope = "class"

    @classmethod
    async def asyncSetUpClass(cls):
        async def serve(reader, writer):
            writer.write(await reader.readline())
            writer.close()

        cls.server = await asyncio.start_server(serve, "echo.test", 7)

    async def echo(self, line):
        """Send a line to the server of the class, and return its answer."""
        reader, writer = await asyncio.open_connection("echo.test", 7)
        writer.write(line)
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer

    async def test_the_server_of_the_class(self):
        """A test talks to the server that all tests of the class share."""
        self.assertEqual(await self.echo(b"one\n"), b"one\n")

    async def test_the_server_of_the_class_again(self):
        """So does another one, in the middle of other things."""
        answers = await asyncio.gather(self.echo(b"two\n"), self.echo(b"three\n"))
        self.assertEqual(answers, [b"two\n", b"three\n"])

    async def test_a_socket_beside_the_server(self):
        """What a test makes besides and closes is nobody's leak."""
        with socket.socket() as end:
            end.bind(("127.0.0.1", 8))
            self.assertEqual(end.getsockname(), ("127.0.0.1", 8))

    @classmethod
    async def asyncTearDownClass(cls):
        cls.server.close()
        await cls.server.wait_closed()


class ExplicitTest(SolipsistTestCase):
    forbid_get_event_loop = True

    async def test_a_program_that_asks_for_the_running_loop(self):
        """A program that names its loop runs where asking for any loop is forbidden."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_later(5, future.set_result, "done")
        self.assertEqual(await asyncio.gather(future, asyncio.sleep(3, "slept")), ["done", "slept"])
