"""Pages of failing tests in a browser: that they open, draw what is in view, and are usable by keyboard.

They run where Chromium is installed. A copy of the page gets a script that presses keys and says what it saw.
"""

import asyncio
import functools
import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run
from tests.evidence.inner import keeping

NAMES = "chromium", "chromium-browser", "google-chrome"


@functools.cache
def browser():
    """The path of a browser, or None, which is told once on standard error."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        print("chromium: not installed, not run", file=sys.stderr)
    return found


# Each line of `steps` is an expression; what it gives is kept.
SCRIPT = """
<script>
"use strict";
addEventListener("load", async () => {
    const seen = [], errors = [];
    addEventListener("error", e => errors.push(e.message));
    const press = key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
    const pause = () => new Promise(done => setTimeout(done, 30));
    for (const step of STEPS) { seen.push(await eval(step)); await pause(); }
    document.body.dataset.seen = JSON.stringify({seen, errors, ms: +document.body.dataset.ms});
});
</script>
"""


class Stories(SolipsistTestCase):
    async def play_lost_update(self):
        store = {"left": 10}

        async def serve(reader, writer):
            line = await reader.readline()
            if line.startswith(b"set"):
                store["left"] = int(line[4:])
            writer.write(b"%d\n" % store["left"])
            writer.close()

        async def call(line):
            reader, writer = await asyncio.open_connection("stock.test", 7000)
            writer.write(line)
            reply = await reader.readline()
            writer.close()
            return int(reply)

        async def take_one():
            left = await call(b"get\n")
            await call(b"set %d\n" % (left - 1))

        await self.start_fake_server(serve, "stock.test", 7000)
        await asyncio.sleep(86400)
        await asyncio.gather(asyncio.create_task(take_one(), name="one"), asyncio.create_task(take_one(), name="two"))
        self.assertEqual(store["left"], 8)

    async def play_long(self):
        async def serve(reader, writer):
            while line := await reader.readline():
                writer.write(line)
            writer.close()

        await self.start_fake_server(serve, "echo.test", 7)
        reader, writer = await asyncio.open_connection("echo.test", 7)
        for number in range(3_500):
            writer.write(b"%d\n" % number)
            await reader.readline()
            await asyncio.sleep(1)
        writer.close()
        self.fail("after all")


@unittest.skipUnless(browser(), "chromium: not installed")
class ChromiumTest(unittest.TestCase):
    def look(self, name, *steps):
        """What each step gives on the page of a test, and how many ms it took to load. No error may come."""
        with tempfile.TemporaryDirectory() as directory:
            with keeping(directory):
                run(Stories, name)
            path, = pathlib.Path(directory).glob("*.html")
            script = SCRIPT.replace("STEPS", json.dumps(steps))
            path.write_text(path.read_text(encoding="utf-8").replace("</html>", script + "</html>"), encoding="utf-8")
            child = subprocess.run([browser(), "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1500,900",
                                    "--virtual-time-budget=20000", f"--user-data-dir={directory}/user", "--dump-dom",
                                    path.as_uri()], capture_output=True, text=True, timeout=120)
        found = re.search(r'data-seen="(.*?)"', child.stdout)
        self.assertIsNotNone(found, child.stdout[-500:] + child.stderr[-500:])
        data = json.loads(html.unescape(found[1]))
        self.assertEqual(data["errors"], [])
        return data["seen"]

    def test_what_is_seen_first(self):
        """The name, the error, the moment of failure, and the messages before it."""
        title, error, chosen, words, lanes = self.look(
            "play_lost_update", "document.title", "$('error').textContent", "$('current').getAttribute('aria-label')",
            "$('space').textContent", "$('heads').textContent")
        self.assertRegex(title, r"^FAILED .*Stories\.play_lost_update$")
        self.assertRegex(error, r"^AssertionError: 9 != 8  at .*test_chromium\.py:\d+")
        self.assertEqual(chosen, "AssertionError: 9 != 8")
        self.assertIn("✖ the test fails here: AssertionError: 9 != 8", words)
        self.assertEqual(words.count(r"6 bytes  set 9\n"), 2)
        for name in ("play_lost_update (Task-1)", "one", "two", "stock.test", "handler 1, 3"):
            self.assertIn(name, lanes)

    def test_keys(self):
        """Up and down, the ends, the other end of an arrow, and finding: all of it without a mouse."""
        failure, up, home, found, there, back, end, where = self.look(
            "play_lost_update", "current === find('fail')", "press('ArrowUp'), current < find('fail')",
            "press('Home'), current",
            "press('/'), $('find').value = 'set 9', $('find').dispatchEvent(new Event('input')), rows.length",
            "press('Enter'), press('ArrowDown'), go(R.findIndex(r => X[r[DATA]] === 'set 9\\\\n')), press('Enter'), "
            "kind(R[current])",
            "press('Enter'), kind(R[current])", "press('End'), current === R.length - 1", "$('side').textContent")
        self.assertEqual((failure, up, home, found, there, back, end), (True, True, 0, 2, "recv", "send", True))
        self.assertIn('▶         self.assertEqual(store["left"], 8)', where)

    def test_clicks(self):
        """A click on a record shows its line of code; the list of moments leads to the long jump."""
        code, jump = self.look(
            "play_lost_update",
            "go(R.findIndex(r => X[r[DATA]] === 'get\\\\n'), 'middle'), "
            "$('view').dispatchEvent(new MouseEvent('click', {clientX: "
            "$('view').getBoundingClientRect().left + x(R[current][LANE]), clientY: "
            "$('view').getBoundingClientRect().top + HEAD + rowOf[current] * ROW + 5 - $('view').scrollTop})), "
            "document.querySelector('#side .here').textContent",
            "[...document.querySelectorAll('#side li button')][0].click(), R[current][TIME]")
        self.assertIn("writer.write(line)", code)
        self.assertEqual(jump, 86_400)

    def test_many_records(self):
        """More than 20,000 records fold into few rows, and only those in view are drawn, folded or not."""
        records, folded, nodes, unfolded, more, opened = self.look(
            "play_long", "R.length", "rows.length", "document.querySelectorAll('svg *').length",
            "press('x'), rows.length", "document.querySelectorAll('svg *').length",
            "press('x'), go(rows.find(row => row[0] === 'f')[1]), press('Enter'), rows.length")
        self.assertGreater(records, 20_000)
        self.assertLess(folded, 200)
        self.assertGreater(unfolded, 15_000)
        self.assertGreater(opened, unfolded // 2)
        self.assertLess(max(nodes, more), 1_000)
