"""What a socket is set to: its options, and its membership in multicast groups."""
