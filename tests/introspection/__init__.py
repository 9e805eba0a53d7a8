"""Tests of solipsism_unittest/introspection."""
