"""The page: one file of well-formed HTML with nothing from elsewhere, whose data nothing in a test can break."""

import asyncio
import html.parser
import json
import re
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.evidence.timeline import page
from tests.evidence.inner import left_by

VOID = {"meta", "input", "br"}


class Parser(html.parser.HTMLParser):
    """Every tag is closed in its turn; which attributes there are."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.attributes, self.ids, self.scripts = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, *each) for each in attrs]
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if self.stack and self.stack[-1] == "script":
            self.scripts.append(data)


def read(text):
    """A page that was looked at, and its data."""
    parser = Parser(text)
    assert parser.stack == []
    line, = (line for line in "".join(parser.scripts).splitlines() if line.startswith("const D = "))
    return parser, json.loads(line.removeprefix("const D = ").removesuffix(";"))


class Story(SolipsistTestCase):
    async def test(self):
        async def serve(reader, writer):
            writer.write(b"</script><script>alert(1)</script>\xff " + await reader.readline())
            writer.close()

        await self.start_fake_server(serve, "api.test", 80)
        await asyncio.sleep(3600)
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(b"get <b>\n")
        await reader.read()
        writer.close()
        self.fail("</script> & <!-- \u2028!")

    async def test_hang(self):
        await asyncio.create_task(asyncio.Event().wait(), name="waiter")


def load_tests(loader, tests, pattern):
    """The other class is one of inner tests."""
    return loader.loadTestsFromTestCase(PageTest)


class PageTest(unittest.TestCase):
    def of(self, name="test"):
        result, files = left_by(Story, name)
        self.text = files[".html"].decode()
        return read(self.text)

    def test_nothing_from_elsewhere(self):
        """No attribute or style loads anything, and every id that the script asks for is there."""
        parser, _ = self.of()
        self.assertFalse([each for each in parser.attributes if each[1] in ("src", "href", "action", "data")])
        self.assertNotRegex(self.text, r"https?://|url\(|@import|fetch\(|XMLHttpRequest")
        self.assertLessEqual(set(re.findall(r'\$\("([\w-]+)"\)', self.text)), set(parser.ids))
        self.assertEqual(len(set(parser.ids)), len(parser.ids))

    def test_a_test_breaks_nothing(self):
        """Whatever bytes and texts a test has, the page has one script, and shows them."""
        parser, data = self.of()
        self.assertEqual(self.text.count("<script"), 1)
        self.assertEqual(data["error"], "AssertionError: </script> & <!-- \u2028!")
        self.assertIn(r"</script><script>alert(1…", data["texts"])

    def test_the_data(self):
        """Records lead to each other, to lanes, places and the lines of code around them; the last one is the failure.
        """
        _, data = self.of()
        kinds = [data["kinds"][record[1]] for record in data["records"]]
        self.assertEqual(kinds[-1], "fail")
        sends = [record for record in data["records"] if data["kinds"][record[1]] == "send"]
        self.assertEqual([data["texts"][send[6]] for send in sends][0], r"get <b>\n")
        self.assertTrue(all(data["kinds"][data["records"][send[5]][1]] == "recv" for send in sends))
        self.assertEqual([host for host, _ in data["lanes"]], ["localhost", "api.test"])
        file, line = data["places"][sends[0][4]]
        self.assertEqual(data["sources"][file][str(line)].strip(), r'writer.write(b"get <b>\n")')
        self.assertEqual([record[0] for record in data["records"][-2:]], [3600.0] * 2)
        self.assertTrue(data["again"].startswith("python -m unittest "))

    def test_a_hang(self):
        """The page says where nothing could go on."""
        _, data = self.of("test_hang")
        self.assertIn("nothing can go on: SleepForeverError", data["texts"])
        self.assertTrue(data["error"].startswith("solipsism_unittest.errors.SleepForeverError: "))

    def test_notes(self):
        """What else was said of a failure is on the page, and a command that repeats it replaces the plain one."""
        command = "SOLIPSISM_REPLAY=s1-1f0c2 python -m unittest x"
        for notes, story in ((["1 of 61 matters", f"again: {command}"], ["1 of 61 matters"]),
                             ([f"1 of 61 matters\n  a stall\nagain: {command}", "more"],
                              ["1 of 61 matters\n  a stall", "more"])):
            _, data = read(page.page("x", "E", "", notes, [], 5, str))
            self.assertEqual((data["story"], data["again"], data["lost"]), (story, command, 5))
        _, data = read(page.page("x", "", "", [], [], 0, str))
        self.assertEqual((data["story"], data["again"], data["records"]), ([], "python -m unittest x", []))
        for name in ("setUpClass (module.Case)", "tearDownClass (module.Case) 2"):  # files of a class
            _, data = read(page.page(name, "", "", [], [], 0, str))
            self.assertEqual(data["again"], "python -m unittest module.Case")
        for name, again in (("tests/test_it.py::test", "python -m pytest tests/test_it.py::test"),
                            ("test_it.py::test[1]", "python -m pytest 'test_it.py::test[1]'"),
                            ("world() at script.py:5 in main", "")):
            self.assertEqual(read(page.page(name, "", "", [], [], 0, str))[1]["again"], again)

    def test_sources(self):
        """The lines around each place; a file that is not there, and a line beyond its end, have none."""
        found = page.sources([(__file__, 1), (__file__, 3), (__file__, 10**6), ("nowhere.py", 5)])
        own, nowhere = found.values()
        self.assertEqual(list(own), list(range(1, 3 + page.AROUND + 1)))
        self.assertEqual((own[3], nowhere), ("import asyncio", {}))

    def test_contrast(self):
        """Text is readable in both schemes: 4.5 to 1 at least, as WCAG 2 has it."""
        text = self.of() and self.text

        def light(color):
            digits = color if len(color) == 6 else "".join(digit * 2 for digit in color)
            parts = [int(digits[at:at + 2], 16) / 255 for at in (0, 2, 4)]
            linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
            return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

        schemes = [dict(re.findall(r"--(\w+): #(\w+);", block)) for block in re.findall(r":root \{(.*?)\}", text, re.S)]
        self.assertEqual(len(schemes), 2)
        for colors in schemes:
            for pair in ("text back", "text band", "text chosen", "text choiceback", "dim back", "dim band",
                         "message back", "message band", "fail failback", "fail back", "choice choiceback"):
                one, other = pair.split()
                high, low = sorted((light(colors[one]), light(colors[other])), reverse=True)
                self.assertGreaterEqual((high + 0.05) / (low + 0.05), 4.5, (one, other))
