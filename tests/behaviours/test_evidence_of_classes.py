"""What a failing fixture of a class leaves, by the name that unittest gives it."""

import asyncio
import os
import pathlib
import re
import sys
import tempfile
import types
import unittest
from unittest import mock

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.case.verdict import EVIDENCE
from tests.case.fixtures.test_scopes import run
from tests.case.test_case import told
from tests.evidence import reading
from tests.evidence.inner import keeping


class Fixtures(SolipsistTestCase):
    """A class whose fixtures talk with a server."""

    loop_scope = "class"

    @classmethod
    async def answer(cls, reader, writer):
        writer.write(await reader.readline())
        writer.close()

    @classmethod
    async def ask(cls, words):
        reader, writer = await asyncio.open_connection("api.test", 80)
        writer.write(words)
        line = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return line

    @classmethod
    async def asyncSetUpClass(cls):
        cls.server = await asyncio.start_server(cls.answer, "api.test", 80)
        await cls.ask(b"set up\n")
        cls.in_set_up()

    @classmethod
    def in_set_up(cls):
        """To override."""

    async def test(self):
        await self.ask(b"test\n")

    @classmethod
    async def asyncTearDownClass(cls):
        await cls.ask(b"tear down\n")
        cls.in_tear_down()
        cls.server.close()

    @classmethod
    def in_tear_down(cls):
        """To override."""


def raises(words):
    """A class method that fails."""
    @classmethod
    def fail(cls):
        raise LookupError(words)
    return fail


def load_tests(loader, tests, pattern):
    """The other classes are inner tests."""
    return loader.loadTestsFromTestCase(ClassEvidenceTest)


class ClassEvidenceTest(unittest.TestCase):
    def setUp(self):
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.dict(os.environ))
        os.environ.pop(EVIDENCE, None)

    def run_class(self, **names):
        """The result of such a class with evidence, and the names of the files that it left."""
        case = type("Case", (Fixtures,), {"__module__": "module", "__qualname__": "Case", **names})
        with keeping(self.directory):
            result = run(case)
        return result, sorted(path.name for path in self.directory.iterdir())

    def check(self, result, *names):
        """Each of these failures has its three files, and says where they are; no file is beside them."""
        stems = [name.replace(" ", "_") for name in names]
        self.assertEqual([str(test) for test, _ in result.errors], [re.sub(r" \d$", "", name) for name in names])
        for (_, text), stem in zip(result.errors, stems, strict=True):
            paths = [str(self.directory / f"{stem}{ending}") for ending in (".html", ".txt", ".pcapng")]
            self.assertEqual(text.count(f"evidence: {', '.join(paths)}\n"), 1, text)
        self.assertEqual(len(list(self.directory.iterdir())), 3 * len(names))
        return [(self.directory / f"{stem}.txt").read_text(encoding="utf-8") for stem in stems]

    def test_set_up(self):
        """asyncSetUpClass: the page has its time line, the capture its bytes, the text the table and the tasks."""
        result, _ = self.run_class(in_set_up=raises("on purpose"))
        text, second = self.check(result, "setUpClass (module.Case)", "setUpClass (module.Case) 2")
        self.assertIn("the class left 1 thing behind", second)
        self.assertTrue(text.startswith("setUpClass (module.Case)\n\nTraceback"), text)
        self.assertIn("LookupError: on purpose", text)
        self.assertRegex(text, r"\ntcp +198\.\S+ |\ntcp +api\.test:80 ")
        path = self.directory / "setUpClass_(module.Case)"
        self.assertIn("set up", path.with_name(path.name + ".html").read_text(encoding="utf-8"))
        packets = reading.read(path.with_name(path.name + ".pcapng").read_bytes()).packets
        self.assertTrue(any(packet.data.endswith(b"set up\n") for packet in packets))

    def test_tear_down(self):
        """asyncTearDownClass; what is left then is a second failure of that name, with files of its own."""
        result, _ = self.run_class(in_tear_down=raises("on purpose"))
        first, second = self.check(result, "tearDownClass (module.Case)", "tearDownClass (module.Case) 2")
        self.assertIn("LookupError: on purpose", first)
        self.assertIn("the class left 1 thing behind", second)

    def test_what_a_class_leaves(self):
        """What its fixtures leave: how things stood is from before that was ended."""

        @classmethod
        async def nothing(cls):
            """It forgets the server."""

        result, _ = self.run_class(asyncTearDownClass=nothing)
        self.assertEqual(result.errors[0][0].description, "tearDownClass (module.Case)")
        self.assertIn("listening", self.check(result, "tearDownClass (module.Case)")[0].partition("how things")[2])

    def test_cleanups(self):
        """Cleanups of a class, each failure with the others beside it, after a set-up that failed too."""

        @classmethod
        def set_up(cls):
            cls.addClassCleanup(raises("of a cleanup").__func__, cls)

        result, _ = self.run_class(setUpClass=set_up)
        self.assertIn("of a cleanup", self.check(result, "tearDownClass (module.Case)")[0])

    def test_mistakes(self):
        """A coroutine that the fixture forgot to await fails it, and is written down."""
        result, _ = self.run_class(in_set_up=classmethod(lambda cls: cls.ask(b"never\n") and None))
        texts = self.check(result, "setUpClass (module.Case)", "setUpClass (module.Case) 2")
        self.assertIn("never awaited", texts[0])

    def test_a_module(self):
        """What is left at the end of a module, by its name."""
        loops = []

        @classmethod
        async def set_up(cls):
            loops.append(asyncio.get_running_loop())

        sys.modules["module"] = types.ModuleType("module")
        sys.modules["module"].tearDownModule = lambda: loops[0].call_later(5, print)
        self.addCleanup(sys.modules.pop, "module")
        case = {"loop_scope": "module", "asyncSetUpClass": set_up, "asyncTearDownClass": set_up,
                "test": lambda case: None}
        text, = self.check(self.run_class(**case)[0], "tearDownModule (module)")
        self.assertIn("due at t=5.0 (now t=0.0), calls print", text)

    def test_services(self):
        """What a service of the class raises when it stops is of its end."""

        class Service:
            async def start(self):
                """It begins."""

            async def stop(self):
                raise LookupError("stopping")

        result, _ = self.run_class(services=lambda case: [Service()])
        self.assertIn("LookupError: stopping", self.check(result, "tearDownClass (module.Case)")[0])

    def test_connections_older_than_a_test(self):
        """Two tests with one connection of their class: it is another than the new one in both captures."""

        @classmethod
        async def open_one(cls):
            await Fixtures.asyncSetUpClass.__func__(cls)
            cls.old = await asyncio.open_connection("api.test", 80)

        async def test(case):
            await case.ask(b"more\n")
            await case.ask(b"more\n")
            new = await asyncio.open_connection("api.test", 80)
            if case._testMethodName == "test_last":
                case.old[1].write(b"old\n")
            new[1].write(b"new\n")
            self.assertEqual(await new[0].readline(), b"new\n")
            new[1].close()
            case.fail("on purpose")

        @classmethod
        async def close_it(cls):
            cls.old[1].close()
            cls.server.close()

        self.run_class(asyncSetUpClass=open_one, test=test, test_last=test, asyncTearDownClass=close_it)
        data = (self.directory / "module.Case.test_last.pcapng").read_bytes()
        ports = {int.from_bytes(packet.data[20:22], "big") for packet in reading.read(data).packets
                 if packet.data.endswith((b"new\n", b"old\n"))}
        self.assertEqual(len(ports), 3)  # two clients, and the server that answers the new one

    def test_none(self):
        """Nothing is left by fixtures that pass, nor without being asked for, nor where the loop is another."""
        self.assertEqual(self.run_class()[1], [])
        self.assertEqual(self.run_class(loop_factory=asyncio.SelectorEventLoop, asyncSetUpClass=raises("here"))[1], [])
        case = type("Case", (Fixtures,), {"in_set_up": raises("on purpose")})
        self.assertNotIn("evidence: ", told(run(case)))
