"""The other side: servers for the code under test to talk to."""

