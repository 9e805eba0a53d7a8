"""Names and addresses: interfaces, literals, hosts, the resolver, services."""

