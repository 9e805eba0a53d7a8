"""Tests of solipsism_unittest/kernel/addresses."""
