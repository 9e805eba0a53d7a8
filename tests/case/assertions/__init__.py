"""Tests of solipsism_unittest/case/assertions."""
