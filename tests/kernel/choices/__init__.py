"""Tests of solipsism_unittest/kernel/choices."""
