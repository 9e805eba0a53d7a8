"""Names and addresses: interfaces, literals, hosts, the resolver, services, errors of ICMP."""

