"""Threads, executor jobs and blocking calls beside the loop."""

