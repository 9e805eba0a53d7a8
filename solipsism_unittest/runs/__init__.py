"""Runs of another kind than one test once: under several loops or executors, and by hand."""
