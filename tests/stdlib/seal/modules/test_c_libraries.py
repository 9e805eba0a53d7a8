"""Packages whose network is C: their Python faces refuse in a test, each with its cure, and are real elsewhere.

The modules are made up, and of the shape that the real ones have; tests/interop/test_c_libraries.py has the real ones.
"""

import asyncio
import collections
import contextlib
import importlib.machinery
import pathlib
import sys
import tempfile
import types
import unittest
from unittest import mock

from solipsism_unittest import EscapeError, SolipsistTestCase, manual
from solipsism_unittest.stdlib.seal.modules import c_libraries
from tests.case.test_case import run, told
from tests.leaks import case_of


def fake(name, **names):
    """A module with these names."""
    module = types.ModuleType(name)
    vars(module).update(names)
    return module


@contextlib.contextmanager
def loaded(*modules):
    """Inside, these modules are loaded; what was loaded under their names is there again later."""
    with mock.patch.dict(sys.modules, {module.__name__: module for module in modules}):
        yield


class Socket:
    """As pyzmq's, in Python over C."""

    def connect(self, addr):
        """Connect."""
        return f"connected to {addr}"

    bind = connect


class Connection:
    """As pyOpenSSL's."""

    def __init__(self, context, socket=None):
        self.socket = socket


class PGconn:
    """As psycopg's, of which there is one in Python and one of C."""

    @classmethod
    def connect(cls, conninfo):
        """Connect."""
        return f"{cls.__name__} of {conninfo}"

    @classmethod
    def ping(cls, conninfo):
        """Ask without a connection."""
        return f"{conninfo} is there"


PQ = fake("psycopg.pq", PGconn=PGconn)
ZMQ = fake("zmq.sugar.socket", Socket=Socket)
PSYCOPG2 = fake("psycopg2", _connect=lambda dsn: f"real {dsn}")
CURL = fake("pycurl", Curl=collections.deque)  # a class of C; a deque has no perform()
KAFKA = fake("confluent_kafka", Producer=collections.deque)


class RefusalTest(unittest.TestCase):
    def refusal(self, body, *modules):
        """The one error of a test with this body."""
        with loaded(*modules):
            result = run(case_of(body))
        self.assertEqual(len(result.errors), 1, told(result))
        return told(result)

    def test_word_for_word(self):
        """The call, the package, the line and the cure."""
        async def body(self):
            PSYCOPG2._connect("host=db.test")

        self.assertIn(
            "EscapeError: psycopg2._connect() of psycopg2 would reach the real network in C code (tests/stdlib/seal/"
            f"modules/test_c_libraries.py:{body.__code__.co_firstlineno + 1} in {body.__qualname__}), where nothing of "
            "the virtual network is\n  asyncpg and pg8000, which have Python's sockets, work unchanged\n  or let it "
            'out on purpose: `with self.allow_escape("network"):`\n  hermetic = False on the class lets everything '
            "out\n",
            self.refusal(body, PSYCOPG2))

    def test_swallowed(self):
        """A program that swallows the error fails all the same, and assertRaises means it."""
        async def swallows(self):
            with contextlib.suppress(Exception):
                PSYCOPG2._connect("host=db.test")

        async def means(self):
            with self.assertRaises(EscapeError):
                PSYCOPG2._connect("host=db.test")

        self.assertIn("the code under test swallowed this", self.refusal(swallows, PSYCOPG2))
        with loaded(PSYCOPG2):
            self.assertEqual(told(run(case_of(means))), "")

    def test_let_out(self):
        """What is let out, in a class that is not hermetic, and what is not in a test, is real."""
        seen = []

        async def let_out(self):
            with self.allow_escape("network"):
                seen.append(PSYCOPG2._connect("a"))

        async def unguarded(self):
            seen.append(PSYCOPG2._connect("b"))

        with loaded(PSYCOPG2):
            self.assertEqual(told(run(case_of(let_out))), "")
            self.assertEqual(told(run(case_of(unguarded, hermetic=False))), "")
            seen.append(PSYCOPG2._connect("c"))
        self.assertEqual(seen, ["real a", "real b", "real c"])

    def test_a_method(self):
        """A method of a class in Python is refused, in threads of the test too; what stays inside is not."""
        async def refused(self):
            await asyncio.to_thread(Socket().connect, "tcp://api.test:80")

        async def inside(self):
            self.assertEqual(Socket().bind("inproc://queue"), "connected to inproc://queue")
            self.assertEqual(Socket().connect(addr="inproc://queue"), "connected to inproc://queue")

        self.assertIn("zmq.sugar.socket.Socket.connect() of pyzmq would", self.refusal(refused, ZMQ))
        with loaded(ZMQ):
            self.assertEqual(told(run(case_of(inside))), "")
        self.assertEqual(Socket().connect("tcp://api.test:80"), "connected to tcp://api.test:80")

    def test_a_method_of_the_class(self):
        """What makes a connection without a constructor is refused, under each of its names."""
        early = fake("program", kept=PGconn.connect)

        async def by_class(self):
            PGconn.connect("host=db.test")

        async def by_subclass(self):
            type("Mine", (PGconn,), {}).ping("host=db.test")

        async def let_out(self):
            with self.allow_escape("network"):
                self.assertEqual(type("Mine", (PGconn,), {}).connect("a"), "Mine of a")

        for body, name in ((by_class, "connect"), (by_subclass, "ping")):
            with self.subTest(name):
                self.assertIn(f"psycopg.pq.PGconn.{name}() of psycopg would", self.refusal(body, PQ, early))
                self.assertEqual((PGconn.connect("a"), early.kept("b")), ("PGconn of a", "PGconn of b"))
        with loaded(PQ):
            self.assertEqual(told(run(case_of(let_out))), "")

    def test_a_socket_of_the_test(self):
        """pyOpenSSL would read and write a virtual socket's descriptor in C; over memory it works."""
        async def refused(self):
            one, other = self.socketpair()
            self.assertIsNone(Connection(None).socket)
            self.assertIsNone(Connection(None, socket=None).socket)
            Connection(None, one)

        self.assertIn("OpenSSL.SSL.Connection() of pyOpenSSL would reach the real network in C code",
                      self.refusal(refused, fake("OpenSSL.SSL", Connection=Connection)))

    def test_a_class_of_c(self):
        """To make one of a class of C is refused; the class stands there again after the test."""
        early = fake("program", Producer=collections.deque)

        async def by_module(self):
            KAFKA.Producer([1])

        async def bound_before(self):
            early.Producer([1])

        for body in (by_module, bound_before):
            with self.subTest(body.__name__):
                self.assertIn("confluent_kafka.Producer() of confluent-kafka would", self.refusal(body, KAFKA, early))
                self.assertEqual((KAFKA.Producer, early.Producer), (collections.deque,) * 2)

    def test_in_a_module_of_c(self):
        """A module of C keeps the class: others of C look there for how its objects are laid out."""
        loader = importlib.machinery.ExtensionFileLoader("below", "below.so")
        below = fake("below", Producer=collections.deque, __spec__=importlib.machinery.ModuleSpec("below", loader))

        async def body(self):
            self.assertIs(below.Producer, collections.deque)
            self.assertIsNot(KAFKA.Producer, collections.deque)

        with loaded(KAFKA, below):
            self.assertEqual(told(run(case_of(body))), "")

    def test_every_row(self):
        """Each row names a package, ways of the right form, and a cure; each way is refused in a test."""
        for library in c_libraries.LIBRARIES:
            for way in library.ways:
                with self.subTest(way):
                    self.assertRegex(way, r"^[\w.]+:\w+(\.\w+)?$")
                    self.assertTrue(library.cure)
                    module, _, name = way.partition(":")
                    owner, _, method = name.partition(".")
                    toy = type("Toy", (), {method: lambda *args: None}) if method else lambda *args: None
                    package = fake(module, **{owner: toy})

                    async def body(self, package=package, owner=owner, method=method):
                        thing = vars(package)[owner]
                        face = self.socketpair()[0]  # what pyOpenSSL does not read
                        thing(None, face) if method in ("", "__init__") else vars(thing)[method](None, "tcp://a.test")

                    self.assertIn(f"of {library.package} would reach the real network in C code",
                                  self.refusal(body, package))
        packages = [library.package for library in c_libraries.LIBRARIES]
        self.assertEqual(packages, sorted(packages, key=str.lower))

    def test_manual(self):
        """The page about limits lists every package of the table."""
        text = manual.pages()["limits"]
        missing = [library.package for library in c_libraries.LIBRARIES if library.package not in text]
        self.assertEqual(missing, [])


def _refuse(before):
    return lambda *args: "refused"


class LibrariesTest(unittest.TestCase):
    """How names are replaced, with a table of its own."""

    def libraries(self, **wanted):
        libraries = c_libraries.Libraries({module: dict.fromkeys(names, _refuse) for module, names in wanted.items()})
        self.addCleanup(lambda: sys.meta_path.remove(libraries) if libraries in sys.meta_path else None)
        return libraries

    def folder_with(self, **sources):
        """Modules that can be imported."""
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(mock.patch.object(sys, "path", [folder, *sys.path]))
        self.enterContext(mock.patch.object(sys, "dont_write_bytecode", True))
        self.enterContext(mock.patch.dict(sys.modules))
        importlib.invalidate_caches()
        for name, source in sources.items():
            path = pathlib.Path(folder, f"{name}.py")
            path.write_text(source, encoding="utf-8")

    def test_imported_while_armed(self):
        """What is imported while a thread is sealed is replaced as soon as it is loaded, and by name later."""
        self.folder_with(toy_db="def connect(): return 'real'", toy_program="from toy_db import connect")
        libraries = self.libraries(toy_db=["connect"])
        libraries.arm()
        import toy_db
        import toy_program
        self.assertEqual((toy_db.connect(), toy_program.connect()), ("refused", "refused"))
        libraries.disarm()
        self.assertEqual(toy_db.connect(), "real")
        self.assertNotIn(libraries, sys.meta_path)
        self.assertEqual(vars(toy_db.__spec__.loader).keys() & {"exec_module"}, set())
        for _ in range(2):
            libraries.arm()
            self.assertEqual(toy_db.connect(), "refused")
            importlib.reload(toy_db)
            self.assertEqual(toy_db.connect(), "refused")
            libraries.disarm()
            self.assertEqual(toy_db.connect(), "real")

    def test_imported_late(self):
        """What another thread imports over the end of a test is replaced in the next one."""
        self.folder_with(toy_db="import sys\nsys.toy_libraries.disarm()\ndef connect(): return 'real'")
        sys.toy_libraries = libraries = self.libraries(toy_db=["connect"])
        self.addCleanup(delattr, sys, "toy_libraries")
        libraries.arm()
        import toy_db
        self.assertEqual(toy_db.connect(), "real")
        libraries.arm()
        self.assertEqual(toy_db.connect(), "refused")
        libraries.disarm()

    def test_what_is_not_there(self):
        """A name that a version lacks is passed over; so are a package without a loader and one that does not exist."""
        self.folder_with(toy_db="class Client:\n    def run(self): return 'real'")
        libraries = self.libraries(toy_db=["connect", "Client.walk", "Client.run", "Other.run"], toy_none=["connect"],
                                   toy_space=["connect"])
        pathlib.Path(sys.path[0], "toy_space").mkdir()
        libraries.arm()
        import toy_db
        import toy_space
        with self.assertRaises(ModuleNotFoundError):
            importlib.import_module("toy_none")
        self.assertEqual((toy_db.Client().run(), hasattr(toy_db.Client, "walk")), ("refused", False))
        self.assertFalse(hasattr(toy_space, "connect"))
        libraries.disarm()
        with mock.patch.dict(sys.modules, {"toy_none": "no module"}):
            libraries.arm()
            libraries.disarm()

    def test_a_list_of_the_program(self):
        """A program that puts another list of finders there in a test keeps it."""
        libraries = self.libraries(toy_db=["connect"])
        libraries.arm()
        with mock.patch.object(sys, "meta_path", sys.meta_path[1:]):
            libraries.disarm()
        self.assertIn(libraries, sys.meta_path)

    def test_a_subclass_of_a_class_of_c(self):
        """A method of a class of C is refused through a subclass, which behaves as the class otherwise."""
        module = fake("toy_queue", Queue=collections.deque)
        libraries = self.libraries(toy_queue=["Queue.append", "Queue.perform"])
        with mock.patch.dict(sys.modules, toy_queue=module):
            libraries.arm()
            queue = module.Queue([1, 2])
            self.assertIsInstance(queue, collections.deque)
            self.assertEqual((queue.append(3), list(queue), module.Queue.__name__), ("refused", [1, 2], "deque"))
            libraries.disarm()
        self.assertIs(module.Queue, collections.deque)

    def test_a_method_of_a_class_of_c(self):
        """A method that a class of C has for itself is refused through the subclass; the others give that."""
        module = fake("toy_bytes", Bytes=bytearray)
        libraries = self.libraries(toy_bytes=["Bytes.fromhex"])
        with mock.patch.dict(sys.modules, toy_bytes=module):
            libraries.arm()
            self.assertEqual((module.Bytes.fromhex("00"), module.Bytes(2)), ("refused", bytearray(2)))
            libraries.disarm()
        self.assertEqual(module.Bytes.fromhex("00"), bytearray(1))
        asked = mock.Mock()
        real = c_libraries._of_its_kind(lambda before: lambda *args: asked(*args) and before(*args),
                                        vars(bytearray)["fromhex"])
        mine = type("Mine", (bytearray,), {"fromhex": real})
        self.assertEqual((mine.fromhex("00"), type(mine.fromhex("00"))), (bytearray(1), mine))
        asked.assert_called_with(mine, "00")


class TwinTest(SolipsistTestCase):
    def test_finder(self):
        """In a test the finder comes first; for an import of anything else it has no answer."""
        finder = sys.meta_path[0]
        self.assertIsInstance(finder, c_libraries.Libraries)
        self.assertIsNone(finder.find_spec("json", None))


if __name__ == "__main__":
    unittest.main()
