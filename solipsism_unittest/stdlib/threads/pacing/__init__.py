"""Threads in virtual time: they take turns, and time moves when all of them wait."""
