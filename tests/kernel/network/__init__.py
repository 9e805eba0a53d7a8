"""Tests of solipsism_unittest/kernel/network."""
