"""Packages that connect in C: in a test they are refused, in each version that is installed, with a cure.

Their twin, which needs none of them, is tests/stdlib/seal/modules/test_c_libraries.py.
"""

import asyncio
import importlib
import unittest

from solipsism_unittest import EscapeError, SolipsistTestCase, lenient
from tests.interop import library

NOWHERE = "127.0.0.1:9"


def perform(pycurl):
    """A transfer."""
    curl = pycurl.Curl()
    curl.setopt(curl.URL, f"http://{NOWHERE}/")
    curl.perform()


def many(pycurl):
    """A transfer among others."""
    pycurl.CurlMulti().add_handle(pycurl.Curl())


def call(grpc):
    """A call of a remote procedure."""
    with grpc.insecure_channel(NOWHERE) as channel:
        channel.unary_unary("/service/method")(b"")


def over_a_socket(ssl):
    """TLS over a socket of the test."""
    import socket

    one, other = socket.socketpair()
    with one, other:
        ssl.Connection(ssl.Context(ssl.TLS_METHOD), one)


def connect_queue(zmq):
    """A message queue to another machine."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as socket:
        socket.connect(f"tcp://{NOWHERE}")


def dial(pynng):
    """The same."""
    with pynng.Pair0() as socket:
        socket.dial(f"tcp://{NOWHERE}")


CALLS = {
    "aerospike": lambda aerospike: aerospike.client({"hosts": [("127.0.0.1", 9)]}),
    "confluent_kafka": lambda kafka: kafka.Producer({"bootstrap.servers": NOWHERE}),
    "confluent_kafka.admin": lambda admin: admin.AdminClient({"bootstrap.servers": NOWHERE}),
    "curl_cffi": lambda curl_cffi: curl_cffi.requests.get(f"http://{NOWHERE}"),
    "grpc": call,
    "MySQLdb": lambda mysql: mysql.connect(host="127.0.0.1"),
    "oracledb": lambda oracledb: oracledb.init_oracle_client(),
    "psycopg": lambda psycopg: psycopg.connect("host=127.0.0.1 port=9"),
    "psycopg.pq": lambda pq: pq.PGconn.connect(b"host=127.0.0.1 port=9"),
    "psycopg2": lambda psycopg2: psycopg2.connect("host=127.0.0.1 port=9"),
    "psycopg2.extensions": lambda extensions: extensions.connection("host=127.0.0.1 port=9"),
    "psycopg2.extras": lambda extras: extras.LoggingConnection("host=127.0.0.1 port=9"),
    "pulsar": lambda pulsar: pulsar.Client(f"pulsar://{NOWHERE}"),
    "pycurl": perform,
    "pygit2": lambda pygit2: pygit2.clone_repository(f"http://{NOWHERE}/x", "nowhere"),
    "pylibmc": lambda pylibmc: pylibmc.Client([NOWHERE]),
    "pymssql": lambda pymssql: pymssql.connect("127.0.0.1"),
    "pynng": dial,
    "OpenSSL.SSL": over_a_socket,
    "ldap": lambda ldap: ldap.initialize(f"ldap://{NOWHERE}"),
    "zmq": connect_queue,
}


class RefusedTest(SolipsistTestCase):
    def test_connecting(self):
        """What connects is an EscapeError that names the package, whether it was imported before the test or in it."""
        for name, connect in {**CALLS, "pycurl ": many}.items():
            if library(name.strip()) is not None:
                with self.subTest(name), self.assertRaisesRegex(EscapeError, "would reach the real network in C code"):
                    connect(importlib.import_module(name.strip()))


class StaysInsideTest(SolipsistTestCase):
    def test_queues(self):
        """A message queue inside the process works."""
        if library("zmq") is None:
            self.skipTest("pyzmq is not installed")
        zmq = importlib.import_module("zmq")
        with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
            one.bind("inproc://queue")
            other.connect("inproc://queue")
            other.send(b"hello")
            self.assertEqual(one.recv(), b"hello")


# What the cures name, and how each connects to its server: in a thread of its own, or by awaiting.
THREADS = {
    "ldap3": (389, lambda ldap3: ldap3.Connection(ldap3.Server("api.test", 389), receive_timeout=5).bind()),
    "pg8000.native": (5432, lambda native: native.Connection("user", host="api.test", password="x")),
    "pymemcache.client.base": (11211, lambda base: base.Client(("api.test", 11211)).get("key")),
    "pytds": (1433, lambda pytds: pytds.connect("api.test", user="user", password="x")),
}
AWAITED = {
    "aiomcache": (11211, lambda aiomcache: aiomcache.Client("api.test", 11211).get(b"key")),
    "aiokafka": (9092, lambda aiokafka: start_producer(aiokafka)),
    "asyncpg": (5432, lambda asyncpg: asyncpg.connect(host="api.test", user="user", database="x", ssl=False)),
    "grpclib.client": (50051, lambda client: call_async(client)),
}


async def start_producer(aiokafka):
    """A client of Kafka that finds no broker."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers="api.test:9092")
    try:
        await producer.start()
    finally:
        await producer.stop()


async def call_async(client):
    """A call of a remote procedure."""
    channel = client.Channel("api.test", 50051)
    try:
        await channel.__connect__()
        await asyncio.sleep(1)
    finally:
        channel.close()


@lenient
class InsteadTest(SolipsistTestCase):
    """What is named instead of a package of C reaches a fake server; how its client ends is its own affair."""

    async def first_byte(self, port, connect):
        server = await self.start_fake_server(None, "api.test", port)
        client = asyncio.create_task(connect)
        _, writer = await server.accept()
        while not server.received:
            await asyncio.sleep(0.1)
        writer.close()
        client.cancel()
        await asyncio.wait([client])
        client.cancelled() or client.exception()

    async def test_in_threads(self):
        """Those that block, in a thread."""
        for name, (port, connect) in THREADS.items():
            if library(name) is not None:
                with self.subTest(name):
                    await self.first_byte(port, asyncio.to_thread(connect, importlib.import_module(name)))

    async def test_awaited(self):
        """Those of asyncio."""
        for name, (port, connect) in AWAITED.items():
            if library(name) is not None:
                with self.subTest(name):
                    await self.first_byte(port, connect(importlib.import_module(name)))


if __name__ == "__main__":
    unittest.main()
