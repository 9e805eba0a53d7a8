"""What stands behind a descriptor: streams, datagram sockets and pipes."""

