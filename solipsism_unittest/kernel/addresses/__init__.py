"""Who is called what: interfaces, literals, hosts, names and services."""

