"""Tests of many runs of one test."""
