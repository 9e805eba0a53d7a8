"""Tests of what users see and no single file owns."""
