"""Tests of solipsism_unittest/stdlib/seal/modules."""
