"""Races: programs that fail only sometimes, each beside its mended twin, and programs that never do."""
