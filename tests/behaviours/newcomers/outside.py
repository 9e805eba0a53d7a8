"""Calls that leave the world of a test."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

from solipsism_unittest import SolipsistTestCase

REAL = socket.socket()


class OutsideTest(SolipsistTestCase):
    async def test_a_real_program(self):
        process = await asyncio.create_subprocess_exec("git", "--version")
        await process.wait()

    async def test_a_real_program_that_is_waited_for(self):
        subprocess.run(["git", "--version"], check=True)

    async def test_a_socket_made_before_the_test(self):
        REAL.setblocking(False)
        await asyncio.get_running_loop().sock_connect(REAL, ("127.0.0.1", 80))

    async def test_a_signal_that_nobody_handles(self):
        os.kill(os.getpid(), signal.SIGTERM)

    async def test_a_program_that_exits(self):
        sys.exit("usage: serve PORT")

    async def test_a_question(self):
        input("continue? ")
