"""Tests of solipsism_unittest/kernel/descriptors."""
