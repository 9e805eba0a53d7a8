"""Tests of solipsism_unittest/leaks."""
