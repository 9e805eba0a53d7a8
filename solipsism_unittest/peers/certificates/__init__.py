"""Certificates for tests: an authority and what it signs, minted with the standard library alone.

A first use of TLS loads this folder; no other test does. Every key in it is public, so it is for tests only.
"""
