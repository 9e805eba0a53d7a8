"""Runs of another kind than one test once: under several loops, executors or cancellations, and by hand."""
