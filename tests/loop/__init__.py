"""Tests of solipsism_unittest/loop."""
