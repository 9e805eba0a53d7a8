"""The virtual process of a test."""
