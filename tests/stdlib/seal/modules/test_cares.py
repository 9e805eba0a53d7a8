"""Look-ups through c-ares: what pycares and aiodns ask is answered by the virtual resolver.

The modules are made up, of the shapes of pycares 4 and 5; tests/interop/test_aiodns.py has the real ones.
"""

import asyncio
import dataclasses
import socket
import threading
import types
import unittest

from solipsism_unittest import SolipsistTestCase
from tests.case.test_case import run, told
from tests.leaks import case_of
from tests.stdlib.seal.modules.test_c_libraries import fake, loaded

ERRNO = types.SimpleNamespace(ARES_ENODATA=1, ARES_ESERVFAIL=3, ARES_ENOTFOUND=4, ARES_EBADNAME=8, ARES_EBADFAMILY=5,
                              ARES_ETIMEOUT=12, ARES_EBADFLAGS=18, ARES_ESERVICE=25)
A, MX, PTR, AAAA = 1, 15, 12, 28


OVER = threading.Event()


def tearDownModule():
    """End the threads of the channels."""
    OVER.set()


def real(*args):
    """What the C library would do."""
    raise AssertionError(f"this would ask a real name server: {args}")


class Channel:
    """As that of pycares: it has a thread for channels that are closed."""

    thread = None

    def __init__(self, timeout=None):
        self._channel = "open"
        if Channel.thread is None:
            Channel.thread = threading.Thread(target=self.serve, daemon=True)
            Channel.thread.start()

    @staticmethod
    def serve():
        """Wait for what is closed."""
        OVER.wait()

    def close(self):
        """Close it."""
        self._channel = None


class Channel5(Channel):
    """As that of pycares 5."""

    def getaddrinfo(self, host, port, *, family=0, type=0, proto=0, flags=0, callback):
        """Look a name up."""
        real(self._channel, callback)

    def query(self, name, query_type, *, query_class=1, callback):
        """Ask for records."""
        real(self._channel, callback)

    search = query

    def gethostbyaddr(self, addr, *, callback):
        """Look an address up."""
        real(self._channel, callback)

    def getnameinfo(self, address, flags, *, callback):
        """Look an address and a port up."""
        real(self._channel, callback)


class Channel4(Channel):
    """As that of pycares 4."""

    def getaddrinfo(self, host, port, callback, family=0, type=0, proto=0, flags=0):
        """Look a name up."""
        real()

    def gethostbyname(self, name, family, callback):
        """Look a name up."""
        real()

    def query(self, name, query_type, callback, query_class=None):
        """Ask for records."""
        real()

    def gethostbyaddr(self, addr, callback):
        """Look an address up."""
        real()

    def getnameinfo(self, address, flags, callback):
        """Look an address and a port up."""
        real()


def slots(name, *fields):
    """A class as pycares 4 has them, which can only be made from a structure of C."""
    return type(name, (), {"__slots__": fields, "__init__": real})


def facts(thing):
    """The fields of a result, and of results in it."""
    if isinstance(thing, list):
        return [facts(each) for each in thing]
    if dataclasses.is_dataclass(thing):
        return {field.name: facts(getattr(thing, field.name)) for field in dataclasses.fields(thing)}
    if hasattr(thing, "__slots__"):
        return {name: facts(getattr(thing, name)) for name in thing.__slots__}
    return thing


RESULTS_5 = {
    "ARecordData": ["addr"], "AAAARecordData": ["addr"], "PTRRecordData": ["dname"],
    "DNSRecord": ["name", "type", "record_class", "ttl", "data"], "DNSResult": ["answer", "authority", "additional"],
    "HostResult": ["name", "aliases", "addresses"], "NameInfoResult": ["node", "service"],
    "AddrInfoNode": ["ttl", "flags", "family", "socktype", "protocol", "addr"],
    "AddrInfoCname": ["ttl", "alias", "name"], "AddrInfoResult": ["cnames", "nodes"],
}
RESULTS_4 = {
    "ares_query_a_result": ["host", "ttl"], "ares_query_aaaa_result": ["host", "ttl"],
    "ares_query_ptr_result": ["name", "ttl", "aliases"], "ares_host_result": ["name", "aliases", "addresses"],
    "ares_nameinfo_result": ["node", "service"],
    "ares_addrinfo_node_result": ["ttl", "flags", "family", "socktype", "protocol", "addr"],
    "ares_addrinfo_cname_result": ["ttl", "alias", "name"], "ares_addrinfo_result": ["cnames", "nodes"],
}
FIVE = fake("pycares", Channel=Channel5, errno=ERRNO,
            **{name: dataclasses.make_dataclass(name, fields) for name, fields in RESULTS_5.items()})
FOUR = fake("pycares", Channel=Channel4, errno=ERRNO,
            **{name: slots(name, *fields) for name, fields in RESULTS_4.items()})
for module in (FOUR, FIVE):
    for method in vars(module.Channel).values():
        if isinstance(method, types.FunctionType):
            method.__module__ = "pycares"


class CaresTest(unittest.TestCase):
    def ask(self, module, name, *args, **kwargs):
        """What a channel's method gives its callback in a test: the result's fields, and the status."""
        given = []

        async def body(case):
            case.network.add_host("api.test", "192.0.2.1", "2001:db8::1", aliases=["www.test"])
            case.network.fail_lookup("no.test", socket.EAI_NONAME)
            case.network.fail_lookup("again.test", socket.EAI_AGAIN)
            case.network.fail_lookup("broken.test", socket.EAI_FAIL)
            channel = module.Channel()
            getattr(channel, name)(*args, callback=lambda result, status: given.append((facts(result), status)),
                                   **kwargs)

        with loaded(module):
            self.assertEqual(told(run(case_of(body))), "")
        (result, status), = given
        return result if status is None else status

    def test_getaddrinfo(self):
        """Every address once, with the type and the protocol that were asked for, as c-ares does it."""
        four = {"ttl": 60, "flags": 0, "family": socket.AF_INET, "socktype": 1, "protocol": 0,
                "addr": (b"192.0.2.1", 80)}
        six = {**four, "family": socket.AF_INET6, "addr": (b"2001:db8::1", 80, 0, 0)}
        for module in (FOUR, FIVE):
            with self.subTest(module.Channel.__name__):
                self.assertEqual(self.ask(module, "getaddrinfo", "api.test", 80, type=1),
                                 {"cnames": [], "nodes": [four, six]})
                self.assertEqual(self.ask(module, "getaddrinfo", b"www.test", "http", type=1, family=socket.AF_INET),
                                 {"cnames": [{"ttl": 60, "alias": "www.test", "name": "api.test"}], "nodes": [four]})
                self.assertEqual(self.ask(module, "getaddrinfo", "192.0.2.1", 80, proto=6, flags=2)["nodes"],
                                 [{**four, "socktype": 0, "protocol": 6}])

    def test_what_fails(self):
        """What the resolver refuses has the status that c-ares has for it."""
        for module in (FOUR, FIVE):
            for status, asked in ((4, ("no.test", 80)), (12, ("again.test", 80)), (3, ("broken.test", 80)),
                                  (8, ("a..b", 80)), (25, ("api.test", "no-such-service")),
                                  (5, ("api.test", 80, 99)), (4, ("api.test", 80, 0, 2))):
                options = dict(zip(("host", "port", "family", "flags"), asked, strict=False))
                with self.subTest(asked, module=module.Channel.__name__):
                    self.assertEqual(self.ask(module, "getaddrinfo", **options), status)
            for status, name, kind in ((4, "no.test", A), (1, "api.test", MX), (4, "no.test", MX),
                                       (4, "9.2.0.192.in-addr.arpa", PTR), (4, "in-addr.arpa", PTR)):
                with self.subTest(name, kind=kind, module=module.Channel.__name__):
                    self.assertEqual(self.ask(module, "query", name, kind), status)
            self.assertEqual(self.ask(module, "gethostbyaddr", "192.0.2.9"), 4)

    def test_records(self):
        """Addresses by name and names by address are known; pycares 5 gives whole answers, pycares 4 plain lists."""
        reverse = ".".join(reversed("20010db8" + "0" * 23 + "1")) + ".ip6.arpa"
        for name, kind, data, old in (
                ("api.test", A, {"addr": "192.0.2.1"}, {"host": "192.0.2.1"}),
                ("api.test", AAAA, {"addr": "2001:db8::1"}, {"host": "2001:db8::1"}),
                ("1.2.0.192.in-addr.arpa", PTR, {"dname": "api.test"}, {"name": "api.test", "aliases": []}),
                (reverse, PTR, {"dname": "api.test"}, {"name": "api.test", "aliases": []})):
            with self.subTest(name, kind=kind):
                record = {"name": name, "type": kind, "record_class": 1, "ttl": 60, "data": data}
                for method in ("query", "search"):
                    self.assertEqual(self.ask(FIVE, method, name, kind),
                                     {"answer": [record], "authority": [], "additional": []})
                plain = {**old, "ttl": 60}
                self.assertEqual(self.ask(FOUR, "query", name, kind), plain if kind == PTR else [plain])
        self.assertEqual(self.ask(FIVE, "query", b"1.2.0.192.IN-ADDR.ARPA.", PTR)["answer"][0]["data"],
                         {"dname": "api.test"})

    def test_hosts(self):
        """A host by its name, by its address, and with a service."""
        host = {"name": "api.test", "aliases": [], "addresses": ["192.0.2.1"]}
        self.assertEqual(self.ask(FOUR, "gethostbyname", "api.test", socket.AF_INET), host)
        for module in (FOUR, FIVE):
            self.assertEqual(self.ask(module, "gethostbyaddr", "192.0.2.1"), host)
            for flags, node, service in ((0, "api.test", None), (512, "api.test", "http"),
                                         (2 | 8 | 512, "192.0.2.1", "80")):
                self.assertEqual(self.ask(module, "getnameinfo", ("192.0.2.1", 80), flags),
                                 {"node": node, "service": service})
            self.assertEqual(self.ask(module, "getnameinfo", ["192.0.2.7", 80], 4), 4)

    def test_what_is_wrong(self):
        """What pycares refuses it refuses itself: no callback, a closed channel, an address that is none."""
        async def body(case):
            channel = FIVE.Channel()
            with case.assertRaisesRegex(ValueError, "invalid IP address"):
                channel.gethostbyaddr("api.test", callback=print)
            with case.assertRaisesRegex(AssertionError, "open.*no function"):
                channel.query("api.test", A, callback="no function")
            channel.close()
            with case.assertRaisesRegex(AssertionError, "None"):
                channel.query("api.test", A, callback=print)
            with case.assertRaises(TypeError):
                channel.query("api.test")

        with loaded(FIVE):
            self.assertEqual(told(run(case_of(body))), "")

    def test_a_slow_name(self):
        """A name that takes its time calls back when that is over; in another thread nobody waits."""
        async def body(case):
            case.network.delay_lookup("slow.test", 3)
            future = case.loop.create_future()
            channel = FIVE.Channel()
            with case.assertElapses(3):
                channel.query("slow.test", A, callback=lambda *given: future.set_result(given))
                await future
            given = []
            with case.assertElapses(0):
                await asyncio.to_thread(channel.query, "slow.test", A, callback=lambda *each: given.append(each))
            case.assertEqual(given, [future.result()])

        with loaded(FIVE):
            self.assertEqual(told(run(case_of(body))), "")

    def test_let_out(self):
        """What is let out, and what is in no test, is real."""
        async def body(case):
            with case.allow_escape("network"), case.assertRaisesRegex(AssertionError, "real name server"):
                FIVE.Channel().query("api.test", A, callback=print)

        with loaded(FIVE):
            self.assertEqual(told(run(case_of(body))), "")
            with self.assertRaisesRegex(AssertionError, "real name server"):
                FIVE.Channel().query("api.test", A, callback=print)

    def test_the_thread_of_the_process(self):
        """The thread that the first channel starts is nobody's leak, and lives in the real world."""
        async def body(case):
            FIVE.Channel()

        Channel.thread = None
        with loaded(FIVE):
            self.assertEqual(told(run(case_of(body))), "")
        self.assertIsNotNone(Channel.thread)

    def test_a_masked_hang_beside_it(self):
        """That thread, which stands in code of a library, is none that could wake a test."""
        async def body(case):
            async def beat():
                while True:
                    await asyncio.sleep(1)

            FIVE.Channel()
            case.addCleanup(asyncio.create_task(beat()).cancel)
            await asyncio.Event().wait()

        Channel.thread = None
        with loaded(FIVE):
            self.assertIn("the test can never go on, though 1 timer still moves time", told(run(case_of(body))))


class TwinTest(SolipsistTestCase):
    async def test_as_aiohttp_does_it(self):
        """A program that asks c-ares for a name connects to the fake server of that name."""
        async def handler(reader, writer):
            writer.write(b"hello")
            writer.close()

        await self.start_fake_server(handler, "api.test", 80)
        found = self.loop.create_future()
        FIVE.Channel().getaddrinfo("api.test", 80, type=1, callback=lambda *given: self.loop.call_soon_threadsafe(
            found.set_result, given))
        result, status = await found
        self.assertIsNone(status)
        host, port = result.nodes[0].addr
        reader, writer = await asyncio.open_connection(host.decode(), port)
        self.assertEqual(await reader.read(), b"hello")
        writer.close()

    def setUp(self):
        self.enterContext(loaded(FIVE))


if __name__ == "__main__":
    unittest.main()
