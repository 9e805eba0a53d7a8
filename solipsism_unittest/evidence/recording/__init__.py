"""What is written down while a test runs: the bytes of its ends, the steps of its tasks, the keys of its TLS."""
