"""Processes of the machine."""
