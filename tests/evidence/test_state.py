"""What there is at one moment: every kind of end, and every task."""

import asyncio
import os
import re
import socket
import tempfile

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.evidence.state import netstat, state


class StateTest(SolipsistTestCase):
    async def test_every_kind(self):
        """A row for each thing that is open, with names of hosts, bytes to read, and the line that made it."""
        path = os.path.join(self.enterContext(tempfile.TemporaryDirectory()), "app.sock")
        for where in ({"host": "api.test", "port": 80}, {"path": path}):
            await self.start_fake_server(None, **where)
        self.network.link("localhost", "api.test", latency=5)
        _, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"under way")
        early = socket.socket()
        self.addCleanup(early.close)
        early.setblocking(False)
        early.connect_ex(("api.test", 80))
        one, _ = self.socketpair()
        one.send(b"abc")
        udp = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)]
        for end in udp:
            self.addCleanup(end.close)
            end.setblocking(False)
        udp[0].bind(("127.0.0.1", 53))
        udp[0].sendto(b"to me", ("127.0.0.1", 53))
        udp[1].bind(("::1", 53))
        for number in os.pipe():
            self.addCleanup(os.close, number)
        rows = [re.split(r"  +", line) for line in netstat(self.loop.kernel).splitlines()]
        self.assertEqual(rows[0], ["kind", "local", "remote", "state", "to read", "made at"])
        found = [row[:4] for row in rows]
        self.assertIn(["tcp", "api.test:80", "listening", "0"], found)
        self.assertIn(["tcp6", "api.test:80", "listening", "0"], found)
        self.assertIn(["unix", path, "listening", "0"], found)
        self.assertIn(["tcp", "localhost:32768", "api.test:80", "established"], found)
        self.assertIn(["tcp", "localhost:32769", "api.test:80", "connecting"], found)
        self.assertIn(["unix", "established", "3"], [row[:3] for row in rows])
        self.assertIn(["udp", "localhost:53", "unconnected", "5"], found)
        self.assertIn(["udp6", "localhost:53", "unconnected", "0"], found)
        self.assertIn(["unix dgram", "unconnected", "0"], [row[:3] for row in rows])
        self.assertIn(["pipe", "read end", "open", "0"], found)
        self.assertIn(["on its way: data 198.18.0.1:32768>198.18.123.36:80, 9 bytes, arrives at t=15.0"],
                      [row for row in rows if row[0].startswith("on its way: data")])
        self.assertTrue(all("test_state.py" in row[-1] for row in rows if row[0] in ("udp", "udp6", "unix dgram")))
        writer.close()
        self.network.clear()

    async def test_a_connection_that_nobody_has_accepted(self):
        """It is there, and that is said."""
        with socket.socket() as server, socket.socket() as client:
            server.bind(("127.0.0.1", 80))
            server.listen()
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", 80))
            self.assertRegex(netstat(self.loop.kernel), r"\ntcp +localhost:80 +localhost:32768 +established "
                                                        r"\(not accepted\) +0 ")

    async def test_tasks(self):
        """Each task has its line and what it waits for; an empty world says so."""
        self.assertEqual(netstat(self.loop.kernel), "nothing is open")
        task = asyncio.create_task(asyncio.sleep(60), name="sleeper")
        await asyncio.sleep(0)
        self.assertRegex(state(self.loop), r"^this is how things stood at t=0\.0: 2 tasks\n"
                                           r"  what each of them waits for:\n(.*\n)*  sleeper \(sleep\)")
        task.cancel()
