"""Tests of solipsism_unittest/hangs."""
