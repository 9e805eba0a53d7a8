"""Processes as a program in a test meets them: its own, with its signals."""
