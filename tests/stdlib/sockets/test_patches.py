"""A program's patches of `socket.socket`: the same body, with the patch, on a real socket and on a virtual one."""

import _socket
import asyncio
import contextlib
import gc
import inspect
import io
import pickle
import socket
import ssl
import threading
import unittest
import weakref
from unittest import mock

from solipsism_unittest import VirtualSocket, sealed, socketpair
from solipsism_unittest.stdlib.sockets.patches import KEPT, Fallbacks, StockSocket
from solipsism_unittest.stdlib.sockets.virtual_socket import Face
from tests.worlds import World

LOCAL = ("127.0.0.1", 9)
# How each method of a socket is called, when nothing but the call counts.
CALLS = {
    "accept": (), "bind": (LOCAL,), "close": (), "connect": (LOCAL,), "connect_ex": (LOCAL,), "detach": (), "dup": (),
    "fileno": (), "get_inheritable": (), "getblocking": (), "getpeername": (), "getsockname": (),
    "getsockopt": (socket.SOL_SOCKET, socket.SO_TYPE), "gettimeout": (), "listen": (1,), "makefile": ("rb",),
    "recv": (5,), "recv_into": (bytearray(5),), "recvfrom": (5,), "recvfrom_into": (bytearray(5),), "recvmsg": (5,),
    "recvmsg_into": ([bytearray(5)],), "send": (b"x",), "sendall": (b"x",), "sendfile": (io.BytesIO(b"x"),),
    "sendmsg": ([b"x"],), "sendmsg_afalg": (), "sendto": (b"x", LOCAL), "set_inheritable": (True,),
    "setblocking": (False,), "setsockopt": (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1), "settimeout": (1.0,),
    "shutdown": (socket.SHUT_WR,),
}
METHODS = sorted(name for name in dir(socket.socket)
                 if not name.startswith("_") and callable(getattr(socket.socket, name)))
OF_C = set(vars(_socket.socket)) - {"close", "detach"}  # the methods that socket.socket has not in Python


class Refused(RuntimeError):
    """As a tool that blocks the network raises."""


def pair():
    """Two sockets joined to each other, of the system or virtual, that do not block."""
    one, two = socket.socketpair()
    for sock in (one, two):
        sock.setblocking(False)
    return one, two


class PatchedMethodsTest(World):
    def test_every_method_is_in_the_table(self):
        """No method of socket.socket is left out below."""
        self.assertEqual(METHODS, sorted(CALLS))

    def each(self, body):
        """Show that `body(name, sock, arguments)` gives the same for real and virtual sockets, for each method."""
        for name in METHODS:

            def on_a_pair(name=name):
                sock, other = pair()
                try:
                    return body(name, sock, CALLS[name])
                finally:
                    sock.close()
                    other.close()

            with self.subTest(name):
                self.both(on_a_pair)

    def test_patch_object(self):
        """A mock in the place of a method is what a socket has as long as the patch lasts."""

        def body(name, sock, arguments):
            with mock.patch.object(socket.socket, name) as fake:
                called = getattr(sock, name)(*arguments)
                seen = called is fake.return_value, getattr(sock, name) is fake, fake.mock_calls[0][1] == arguments
            return seen, getattr(sock, name) is fake

        self.each(body)

    def test_autospec(self):
        """The same with the signature of what it stands for: a method in Python gets its socket, one in C does not."""

        def body(name, sock, arguments):
            with mock.patch.object(socket.socket, name, autospec=True) as fake:
                getattr(sock, name)(*arguments)
                found = fake.call_args[0]
            return ["self" if argument is sock else argument for argument in found] == [*arguments], len(found)

        self.each(body)

    def test_a_function(self):
        """A function becomes a method, and an error that it raises comes out."""

        def body(name, sock, arguments):
            def refuse(self, *args):
                raise Refused(name, self is sock, args == arguments)

            with mock.patch.object(socket.socket, name, refuse), contextlib.suppress(OSError):
                try:
                    getattr(sock, name)(*arguments)
                except Refused as error:
                    return error.args
            return None

        self.each(body)

    def test_set_and_put_back(self):
        """What a test has kept and puts back by itself works as before, on this socket and on others."""

        def body(name, sock, arguments):
            before = vars(socket.socket).get(name)
            kept = getattr(socket.socket, name)
            setattr(socket.socket, name, lambda self, *args: "fake")
            try:
                during = getattr(sock, name)(*arguments)
            finally:
                setattr(socket.socket, name, kept)
            try:
                return during, result_of(getattr(sock, name), *arguments), getattr(socket.socket, name) is kept
            finally:
                delattr(socket.socket, name)
                if before is not None:
                    setattr(socket.socket, name, before)

        self.each(body)

    def test_called_through(self):
        """A function that calls what it has replaced is as good as none."""

        def body(name, sock, arguments):
            kept = getattr(socket.socket, name)
            seen = []

            def note(self, *args):
                seen.append(args == arguments)
                return kept(self, *args)

            plain = result_of(getattr(sock, name), *arguments) if name not in ("close", "detach") else None
            with mock.patch.object(socket.socket, name, note):
                noted = result_of(getattr(sock, name), *arguments)
            return plain, noted, seen

        self.each(body)

    def test_wraps(self):
        """A mock that wraps the method of one socket calls it."""

        def body(name, sock, arguments):
            with mock.patch.object(socket.socket, name, wraps=getattr(sock, name)) as fake:
                result = result_of(getattr(sock, name), *arguments)
            return result, fake.call_count

        self.each(body)

    def test_kept_from_the_class(self):
        """What the class has for a method is called with a socket, knows its name, and is picky about what it gets."""

        def body(name, sock, arguments):
            method = getattr(socket.socket, name)
            return (method.__name__, bool(method.__doc__), inspect.isroutine(method), result_of(method),
                    result_of(method, 5) if name in OF_C else None, result_of(method, sock, *arguments))

        self.each(body)

    def test_super(self):
        """A subclass that overrides a method reaches the one above it."""

        def body(name, sock, arguments):
            def above(self, *args):
                return "mine", getattr(super(Sub, self), name)(*args)

            Sub = type("Sub", (socket.socket,), {name: above})  # noqa: N806
            with Sub(fileno=sock.detach()) as sub:
                sub.setblocking(False) if name != "setblocking" else None
                try:
                    return result_of(getattr(sub, name), *arguments)
                finally:
                    socket.socket.close(sub)

        self.each(body)


def result_of(call, *arguments):
    """What a call gives, in a form that is the same for real and virtual sockets."""
    try:
        result = call(*arguments)
    except Exception as error:
        return type(error)
    if isinstance(result, tuple):
        return tuple(map(shown, result))
    return shown(result)


def on_a_thread(body):
    """What a body gives that blocks: in a thread of its own."""
    results = []
    thread = threading.Thread(target=lambda: results.append(body()))
    thread.start()
    thread.join()
    return results


def shown(value):
    if isinstance(value, (socket.socket, io.IOBase)):
        value.close()
        return "closed"
    return "number" if type(value) is int and value > 2 else value


class KeptMethodsTest(World):
    def test_repr(self):
        """What the class has for a method of C looks like that one."""
        self.assertEqual(repr(socket.socket.connect), repr(_socket.socket.connect))
        self.assertEqual(socket.socket.recv.__text_signature__, _socket.socket.recv.__text_signature__)

    def test_a_bound_one(self):
        """As an attribute of another class it is bound to what it is asked from, as C's method is."""
        real, (one, two) = socket.socket(), socketpair()
        with real, one, two:
            self.assertEqual(socket.socket.fileno.__get__(real)(), real.fileno())
            self.assertEqual(socket.socket.fileno.__get__(one)(), one.fileno())
            self.assertIs(socket.socket.fileno.__get__(None, socket.socket), socket.socket.fileno)

    def test_signatures(self):
        """The methods in Python keep their signatures and their names."""
        for name in ("__init__", "accept", "dup", "sendfile"):
            method = getattr(socket.socket, name)
            with self.subTest(name):
                self.assertEqual(inspect.signature(method), inspect.signature(inspect.unwrap(method)))
                self.assertEqual(method.__qualname__, f"socket.{name}")


class SubclassesTest(World):
    def test_one_class_for_each(self):
        """A program's class has one virtual class, which does not keep it alive."""
        class Mine(socket.socket):
            """Its own."""

        class Below(Mine):
            """Another one."""

        with sealed(self.loop):
            with Below() as below, Mine() as one, Mine() as two, VirtualSocket() as plain:
                self.assertIs(type(one), type(two))
                self.assertIsInstance(one, (Mine, Face))
                self.assertIsInstance(below, Below)
                self.assertEqual((type(one).__qualname__, type(one).__doc__), (Mine.__qualname__, "Its own."))
                self.assertRegex(repr(one), r"^<Mine fd=\d+ <stream")
                self.assertNotIsInstance(plain, Mine)
            copies = [made for made in type.__subclasses__(Mine) if made is not Below]
        self.assertEqual(len(copies), 1)
        gone = weakref.ref(Mine)
        del Mine, Below, below, one, two, copies
        gc.collect()
        self.assertIsNone(gone())

    def test_names_of_its_own(self):
        """A program's class may call its own things as it likes: ours are called otherwise."""
        def anything(self, *args, **kwargs):
            raise AssertionError("ours called a method of the program")

        names = {name for cls in Face.__mro__[:-2] for name in vars(cls)} - set(dir(StockSocket))
        taken = {name for name in names if not name.endswith("_")}
        self.assertEqual(taken, {"world", "kernel", "end", "join", "on", "pair", "datagram_pair"})
        tempting = ("end", "timeout", "number", "family", "type", "proto", "world", "send", "recv", "connect",
                    "receive", "parse", "attempt", "source", "show", "take", "close", "kernel", "address", "peer",
                    "loop", "sock")
        Mine = type("Mine", (socket.socket,), {  # noqa: N806
            **{f"_{name}": anything for name in tempting}, **dict.fromkeys(taken, anything)})
        self.assertEqual({f"_{name}" for name in tempting} & set(vars(Face)), set())

        def body():
            with (mock.patch.object(socket, "socket", Mine), socket.create_server(("127.0.0.1", 0)) as listener,
                  socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server):
                client._timeout = client._end = client._type = "its own"
                client.sendall(b"hello")
                seen = [server.recv(9), client.gettimeout(), client.type, type(client.getsockname())]
                client.settimeout(5)
                return [*seen, client.gettimeout(), client._timeout, client.dup().close()]

        self.loop.run_until_complete(asyncio.sleep(0))
        self.both(lambda: on_a_thread(body))

    def test_pairs_and_copies(self):
        """socketpair() makes sockets of the class that stands there, and dup() of the class of the socket."""
        class Mine(socket.socket):
            pass

        def body():
            with mock.patch.object(socket, "socket", Mine):
                one, two = socket.socketpair()
                with one, two, one.dup() as three:
                    three.send(b"x")
                    return [type(each).__name__ for each in (one, two, three)], two.recv(5), outcome(pickle.dumps, one)

        def outcome(call, *args):
            try:
                return call(*args)
            except TypeError as error:
                return type(error)

        self.both(body)


class WithoutAWorldTest(unittest.TestCase):
    """Sockets that are joined outside of any test."""

    def test_patches(self):
        """A patch acts on them too."""
        one, two = socketpair()
        with one, two, mock.patch.object(socket.socket, "recv", return_value=b"fake"):
            self.assertEqual(two.recv(5), b"fake")

    def test_methods_in_python(self):
        """Those that end in a C function for descriptors work outside of a sealed thread."""
        one, two = socketpair()
        with one, two, one.dup() as three:
            three.setblocking(True)
            self.assertEqual(three.sendfile(io.BytesIO(b"hello")), 5)
            self.assertEqual(two.recv(9), b"hello")
            self.assertEqual((one.family, one.type), (socket.AF_INET6, socket.SOCK_STREAM))
            self.assertFalse(one.get_inheritable())
            one.set_inheritable(True)
            self.assertTrue(one.get_inheritable())

    def test_real_sockets(self):
        """Real sockets are what they were, in Python and in C."""
        with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(
                listener.getsockname()) as client, listener.accept()[0] as server, client.dup() as copy:
            copy.sendall(b"hello")
            self.assertEqual(server.recv(9), b"hello")
            self.assertEqual((client.family, client.type), (socket.AF_INET, socket.SOCK_STREAM))
            self.assertRegex(repr(client), r"^<socket\.socket fd=\d+, family=\D*2, type=")
            self.assertEqual(type(client.connect).__name__, "builtin_function_or_method")
            self.assertFalse(client.get_inheritable())


class PutBackTest(World):
    def test_the_next_seal_takes_it_out(self):
        """What somebody has put back, where nothing stood, goes with the next seal; what is somebody's own stays."""
        before = dict(vars(socket.socket))
        for method in (socket.socket.connect, _socket.socket.connect, print):
            socket.socket.connect = method
            with sealed(self.loop):
                pass
            self.assertIs(vars(socket.socket).get("connect"), print if method is print else None)
        del socket.socket.connect
        self.assertEqual(set(vars(socket.socket)), set(before) | {"__new__"})


class BasesTest(unittest.TestCase):
    def test_order(self):
        """A method is looked for in socket.socket first, then in ours, and only then in C's class."""
        order = VirtualSocket.__mro__
        self.assertEqual(order[:2], (VirtualSocket, StockSocket))
        self.assertLess(order.index(Face), order.index(Fallbacks))
        self.assertEqual(order[-3:], (Fallbacks, _socket.socket, object))

    def test_other_classes(self):
        """A class below socket.socket finds C's methods behind ours."""
        self.assertEqual(ssl.SSLSocket.__mro__[-3:], (Fallbacks, _socket.socket, object))
        ours = {method.__name__ for method in KEPT.values() if method.__qualname__.startswith("socket.")}
        self.assertEqual(ours - set(CALLS), {"__init__", "__repr__", "_accept", "_real_close"})
