"""Processes of the machine: what a system keeps for each."""
