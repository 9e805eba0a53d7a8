"""A small publish/subscribe broker and its client, in plain asyncio.

    framing      bytes on the wire: frames, their limits, and a decoder that does no I/O
    connection   one peer: frames in and out, heartbeats, and a watch for a dead peer
    backoff      how long to wait before the next attempt to connect
    session      what the broker owes one subscriber, across its connections
    broker       accepts clients and passes on what they publish
    client       publishes and subscribes, and reconnects by itself
    watcher      a subscriber of threads and blocking sockets
    service      the broker as a program: an archive of what is published, and an end in good order on SIGTERM

The promises: a message that the broker has accepted reaches every subscriber of its topic at least once, unless that
subscriber lags behind or stays away for too long; a `Client` hands no message to its application twice; memory is
bounded on both sides whatever the peer does; every request ends by its deadline.
"""

import logging

from .backoff import Backoff
from .broker import Broker
from .client import Client, ClientClosed, DeadlineExceeded, Message, RequestRefused, Subscription
from .connection import Connection, DeadPeer, SlowPeer
from .framing import Frame, FrameDecoder, Kind, ProtocolError, PubSubError
from .service import serve

__all__ = [
    "Backoff", "Broker", "Client", "ClientClosed", "Connection", "DeadPeer", "DeadlineExceeded", "Frame",
    "FrameDecoder", "Kind", "Message", "ProtocolError", "PubSubError", "RequestRefused", "SlowPeer", "Subscription",
    "serve",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # a library leaves it to the application what to print
