"""Services and protocols: names to numbers and back, as /etc/services and /etc/protocols list them.

Owns the two tables. They are the same on every machine, so a test's answers are too; what is not in them is not known.
The names, numbers and their order are those of Debian's netbase. Errors are getservbyname(3)'s, as module socket raises
them.
"""

from __future__ import annotations

_TABLE = """
    tcpmux 1/tcp            echo 7/tcp/udp          discard 9/tcp/udp       daytime 13/tcp/udp      chargen 19/tcp/udp
    ftp-data 20/tcp         ftp 21/tcp              fsp=fspd 21/udp         ssh 22/tcp              telnet 23/tcp
    smtp=mail 25/tcp
    time 37/tcp/udp         whois 43/tcp            domain 53/tcp/udp       bootps 67/udp           bootpc 68/udp
    tftp 69/udp             gopher 70/tcp           finger 79/tcp           http=www 80/tcp         kerberos 88/tcp/udp
    pop3=pop-3 110/tcp      sunrpc 111/tcp/udp      auth=ident 113/tcp      nntp 119/tcp            ntp 123/udp
    imap2=imap 143/tcp      snmp 161/tcp/udp        snmp-trap 162/tcp/udp   bgp 179/tcp             ldap 389/tcp/udp
    https 443/tcp/udp       microsoft-ds 445/tcp    printer 515/tcp         submission 587/tcp
    shell=cmd=syslog 514/tcp                        syslog 514/udp
    ldaps 636/tcp/udp       domain-s 853/tcp/udp    rsync 873/tcp           ftps 990/tcp            imaps 993/tcp
    pop3s 995/tcp           ms-sql-s 1433/tcp       nfs 2049/tcp/udp        mysql 3306/tcp
    sip 5060/tcp/udp        xmpp-client 5222/tcp    mdns 5353/udp           postgresql=postgres 5432/tcp
    amqps 5671/tcp          amqp 5672/tcp           redis 6379/tcp          http-alt=webcache 8080/tcp
"""
_PROTOCOL_TABLE = """
    ip=IP 0                 icmp=ICMP 1             igmp=IGMP 2             tcp=TCP 6               egp=EGP 8
    udp=UDP 17              dccp=DCCP 33            ipv6=IPv6 41            gre=GRE 47              esp=IPSEC-ESP 50
    ah=IPSEC-AH 51          ipv6-icmp=IPv6-ICMP 58  ospf=OSPFIGP 89         pim=PIM 103             vrrp=VRRP 112
    l2tp=L2TP 115           sctp=SCTP 132           udplite=UDPLite 136
"""


def _read(table: str) -> list[tuple[tuple[str, ...], int, tuple[str, ...]]]:
    words = table.split()
    rows = []
    for names, where in zip(words[::2], words[1::2], strict=True):
        port, *protocols = where.split("/")
        rows.append((tuple(names.split("=")), int(port), tuple(protocols)))
    return rows


SERVICES = _read(_TABLE)
"""Rows of (names, port, protocols); the first name is the official one."""
PROTOCOLS = {name: number for names, number, _ in _read(_PROTOCOL_TABLE) for name in names}
"""The number of each protocol, by either of its names."""


def port_of(name: str, protocol: str | None = None) -> int | None:
    """The port of a service, over one protocol or over any; None where there is no such service."""
    return next((port for names, port, protocols in SERVICES
                 if name in names and (protocol is None or protocol in protocols)), None)


def service_at(port: int, protocol: str | None = None) -> str | None:
    """The official name of the service of a port, over one protocol or over any; None for a port without one."""
    return next((names[0] for names, number, protocols in SERVICES
                 if number == port and (protocol is None or protocol in protocols)), None)


def getservbyname(name: str, protocol: str | None = None) -> int:
    """As `socket.getservbyname`."""
    port = port_of(name, protocol)
    if port is None:
        raise OSError("service/proto not found")
    return port


def getservbyport(port: int, protocol: str | None = None) -> str:
    """As `socket.getservbyport`."""
    if not 0 <= port <= 65535:
        raise OverflowError("getservbyport: port must be 0-65535.")
    name = service_at(port, protocol)
    if name is None:
        raise OSError("port/proto not found")
    return name


def getprotobyname(name: str) -> int:
    """As `socket.getprotobyname`."""
    number = PROTOCOLS.get(name)
    if number is None:
        raise OSError("protocol not found")
    return number
