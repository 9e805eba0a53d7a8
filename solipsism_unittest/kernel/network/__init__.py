"""The network: addresses in use, and what happens to what is sent."""

