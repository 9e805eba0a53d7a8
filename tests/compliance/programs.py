"""What CPython's tests start as child processes, as programs of a test: an interpreter and some of a system's tools.

The interpreter runs the few lines that those tests have. They are made into a coroutine: a call of `WAITING` is
awaited, and so a program of theirs lives on the test's loop. Nothing else of the source is changed.
"""

import ast
import asyncio
import os
import pathlib
import sys

from solipsism_unittest.peers.programs.table import programs_of


class Interpreter:
    """One run of `python -c CODE` or `python FILE`."""

    def __init__(self, process):
        self.process = process

    async def run(self):
        """Run it; its exit code."""
        _, option, *rest = self.process.argv
        source = rest[0] if option == "-c" else pathlib.Path(option).read_text(encoding="utf-8")
        names = {"__name__": "__main__", "_argv": ["-c", *rest[1:]]}
        names |= {name: getattr(self, method) for name, method in WAITING.values()}
        body = ast.parse(source)
        # Names of the module are names of the function: nobody else asks for them.
        main = ast.parse("async def main(): pass").body[0]
        main.body = Awaiting().visit(body).body
        exec(compile(ast.fix_missing_locations(ast.Module([main], [])), "<program>", "exec"), names)
        return await names["main"]()

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    async def read_text(self):
        return (await self.process.stdin.read()).decode()

    async def read_bytes(self):
        return await self.process.stdin.read()

    async def write_text(self, text):
        self.process.stdout.write(text.encode())

    async def write_bytes(self, data):
        self.process.stdout.write(data)

    async def write_error(self, text):
        self.process.stderr.write(text.encode())

    async def flush(self):
        await self.process.stdout.drain()

    async def say(self, *words, flush=False):
        self.process.stdout.write(" ".join(map(str, words)).encode() + b"\n")

    async def getenv(self, name):
        return self.process.environment.get(name)

    async def start(self, command):
        await (await asyncio.create_subprocess_exec(*command)).wait()

    async def open(self, path):
        assert path == "/dev/stdin"
        return self.process.stdin

    async def read(self, number, size):
        if number == 0:
            return await self.process.stdin.read(size)
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(number, ready.set)  # a descriptor that was passed on
        await ready.wait()
        loop.remove_reader(number)
        return os.read(number, size)

    async def write(self, number, data):
        if number > 2:
            return os.write(number, data)
        writer = self.process.stdout if number == 1 else self.process.stderr
        if writer.transport.is_closing():
            raise BrokenPipeError
        writer.write(data)
        await writer.drain()
        return len(data)


# A call in the source, the name that it gets, and what is called.
WAITING = {
    "time.sleep": ("_sleep", "sleep"),
    "sys.stdin.read": ("_read_text", "read_text"),
    "file.read": ("_read_text", "read_text"),
    "sys.stdin.buffer.read": ("_read_bytes", "read_bytes"),
    "sys.stdout.write": ("_write_text", "write_text"),
    "sys.stdout.buffer.write": ("_write_bytes", "write_bytes"),
    "sys.stdout.flush": ("_flush", "flush"),
    "sys.stderr.write": ("_write_error", "write_error"),
    "print": ("_say", "say"),
    "open": ("_open", "open"),
    "subprocess.run": ("_start", "start"),
    "os.getenv": ("_getenv", "getenv"),
    "os.read": ("_read", "read"),
    "os.write": ("_write", "write"),
}


class Awaiting(ast.NodeTransformer):
    """Awaits the calls that may wait, and finds the words of the command."""

    def visit_Attribute(self, node):  # noqa: N802 - a name of ast
        self.generic_visit(node)
        return ast.Name("_argv", ast.Load()) if ast.unparse(node) == "sys.argv" else node

    def visit_Call(self, node):  # noqa: N802 - a name of ast
        self.generic_visit(node)
        name, _ = WAITING.get(ast.unparse(node.func), ("", ""))
        if not name:
            return node
        return ast.Await(ast.Call(ast.Name(name, ast.Load()), node.args, node.keywords))


async def python(process):
    return await Interpreter(process).run()


async def leave(process):
    return int(process.argv[1])


async def echo(process):
    process.stdout.write(" ".join(process.argv[1:]).encode() + b"\n")


async def sleep(process):
    await asyncio.sleep(float(process.argv[1]))


async def nothing(process):
    """Does nothing, and well."""


def add_to(loop):
    """Let a loop's tests find them."""
    programs = programs_of(loop.world)
    programs.add(os.path.basename(sys.executable), python)
    for name, main in {"exit": leave, "echo": echo, "sleep": sleep, "pwd": nothing, "ls": nothing}.items():
        programs.add(name, main)
