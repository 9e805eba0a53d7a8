"""Certificates for tests: how they are written, signed, minted, and who trusts them."""
