"""Packages that connect in C: in a test they are refused, in each version that is installed, with a cure.

Their twin, which needs none of them, is tests/stdlib/seal/modules/test_c_libraries.py.
"""

import importlib
import unittest

from solipsism_unittest import EscapeError, SolipsistTestCase
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
    "psycopg2": lambda psycopg2: psycopg2.connect("host=127.0.0.1 port=9"),
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


if __name__ == "__main__":
    unittest.main()
