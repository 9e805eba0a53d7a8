"""What a test left behind: found, reported, and ended."""

