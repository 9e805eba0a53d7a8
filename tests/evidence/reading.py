"""Reading a capture as a tool does: blocks of pcapng, packets of IP, checksums, and the bytes of each stream."""

import ipaddress
import struct
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


class Block(NamedTuple):
    kind: int
    body: bytes


class Packet(NamedTuple):
    """A packet of a capture; `interface` is a name."""

    interface: str
    nanoseconds: int
    data: bytes
    length: int  # that it had, of which fewer may have been kept
    comments: list[str]


class Capture(NamedTuple):
    interfaces: dict[str, int]  # link types
    names: list[tuple[str, str]]  # addresses and names, in order
    secrets: bytes
    packets: list[Packet]
    kinds: list[int]  # of the blocks, in order


def blocks(data):
    """The blocks of a file, each with both of its lengths looked at."""
    at = 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        assert length % 4 == 0 and struct.unpack_from("<I", data, at + length - 4) == (length,)
        yield Block(kind, data[at + 8:at + length - 4])
        at += length


def options(data):
    """Pairs of code and value."""
    while data:
        code, length = struct.unpack_from("<HH", data)
        if code == 0:
            assert length == 0 and len(data) == 4
            return
        yield code, data[4:4 + length]
        data = data[4 + length + -length % 4:]


def read(data):
    """A capture from the bytes of its file."""
    interfaces, names, secrets, packets, kinds = {}, [], b"", [], []
    for kind, body in blocks(data):
        kinds.append(kind)
        if kind == 0x0A0D0D0A:
            assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
        elif kind == 1:
            known = dict(options(body[8:]))
            assert known[9] == b"\x09"
            interfaces[known[2].decode()] = struct.unpack_from("<H", body)[0]
        elif kind == 4:
            at = 0
            while (record := struct.unpack_from("<HH", body, at)) != (0, 0):
                size = {1: 4, 2: 16}[record[0]]
                address = body[at + 4:at + 4 + size]
                name = body[at + 4 + size:at + 4 + record[1]].rstrip(b"\0").decode()
                names.append((str(ipaddress.ip_address(address)), name))
                at += 4 + record[1] + -record[1] % 4
        elif kind == 10:
            what, length = struct.unpack_from("<II", body)
            assert what == 0x544C534B
            secrets = body[8:8 + length]
        else:
            assert kind == 6, kind
            interface, high, low, kept, length = struct.unpack_from("<5I", body)
            said = [value.decode() for code, value in options(body[20 + kept + -kept % 4:]) if code == 1]
            packets.append(Packet(list(interfaces)[interface], high << 32 | low, body[20:20 + kept], length, said))
    return Capture(interfaces, names, secrets, packets, kinds)


def summed(data):
    """The checksum of RFC 1071 over these bytes; 0 where it is right already. By words, as the RFC has it."""
    total = 0
    for at in range(0, len(data), 2):
        total += int.from_bytes(data[at:at + 2].ljust(2, b"\0"), "big")
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Segment(NamedTuple):
    source: tuple[str, int]
    target: tuple[str, int]
    sequence: int
    acknowledged: int
    flags: int
    window: int
    data: bytes
    packet: Packet


class Datagram(NamedTuple):
    source: tuple[str, int]
    target: tuple[str, int]
    data: bytes
    packet: Packet


def parts(packet):
    """The protocol, both addresses, the pseudo-header and the payload of an IP packet, whose header is right."""
    data = packet.data
    if data[0] >> 4 == 4:
        assert struct.unpack_from(">H", data, 2) == (packet.length,) and summed(data[:20]) == 0
        protocol, source, target, payload = data[9], data[12:16], data[16:20], data[20:]
    else:
        assert struct.unpack_from(">H", data, 4) == (packet.length - 40,)
        protocol, source, target, payload = data[6], data[8:24], data[24:40], data[40:]
    pseudo = source + target + struct.pack(">II", len(payload), protocol)
    return protocol, str(ipaddress.ip_address(source)), str(ipaddress.ip_address(target)), pseudo, payload


def understood(capture):
    """The segments and datagrams of a capture, each with a right checksum; other packets as (protocol, payload)."""
    found = []
    for packet in capture.packets:
        if capture.interfaces[packet.interface] != 101:
            continue
        protocol, source, target, pseudo, payload = parts(packet)
        is_whole = packet.length == len(packet.data)
        if protocol == 1:
            assert summed(payload) == 0
            found.append((protocol, payload))
            continue
        assert not is_whole or summed(pseudo + payload) == 0, (packet, summed(pseudo + payload))
        if protocol == 6:
            ports_and_more = struct.unpack_from(">HHIIBBHHH", payload)
            one, other, sequence, acknowledged, offset, flags, window = ports_and_more[:7]
            found.append(Segment((source, one), (target, other), sequence, acknowledged, flags, window,
                                 payload[(offset >> 4) * 4:], packet))
        elif protocol == 17:
            one, other, length = struct.unpack_from(">HHH", payload)
            assert length == len(payload) + packet.length - len(packet.data)
            found.append(Datagram((source, one), (target, other), payload[8:], packet))
        else:
            assert protocol == 58
            found.append((protocol, payload))
    return found


def streams(capture):
    """The bytes of each direction of each connection, as (source, target, bytes), whose sequence numbers are right.

    Every byte, SYN and FIN has the next number; an acknowledgment never passes what was shown.
    """
    directions, found = {}, []
    for segment in understood(capture):
        if not isinstance(segment, Segment):
            continue
        way = segment.source, segment.target
        if segment.flags & SYN:
            if way not in directions or directions[way]["first"] != segment.sequence:
                directions[way] = {"first": segment.sequence, "next": segment.sequence + 1 & 0xFFFFFFFF,
                                   "data": bytearray()}
                found.append((*way, directions[way]["data"]))
        elif way in directions:
            own = directions[way]
            if not segment.flags & RST:
                back = own["next"] - segment.sequence & 0xFFFFFFFF
                if back:  # it is sent again
                    known = own["data"] + b"!" * (own["next"] - own["first"] - 1 - len(own["data"]))  # its end counts
                    assert known[-back:][:len(segment.data)] == segment.data, segment
                    continue
                own["data"] += segment.data
                size = segment.packet.length - len(segment.packet.data) + len(segment.data)
                own["next"] = own["next"] + size + bool(segment.flags & FIN) & 0xFFFFFFFF
        back = directions.get(way[::-1])
        if segment.flags & ACK and back is not None and way[0] != way[1]:
            assert (back["next"] - segment.acknowledged & 0xFFFFFFFF) < 2**31, segment
    return [(source, target, bytes(data)) for source, target, data in found]


def rows(capture):
    """What the test itself says: the level and the text of each row."""
    found = []
    for packet in capture.packets:
        if capture.interfaces[packet.interface] == 252:
            assert packet.data[:4] == b"\0\x0c\0\x08" and packet.data[4:16] == b"syslog\0\0\0\0\0\0"
            level, _, text = packet.data[16:].decode().partition(">")
            found.append((int(level[1:]) & 7, text))
    return found
