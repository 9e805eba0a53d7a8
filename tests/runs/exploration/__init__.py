"""Tests of solipsism_unittest/runs/exploration."""
