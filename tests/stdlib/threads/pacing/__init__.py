"""Tests of threads that take turns."""
