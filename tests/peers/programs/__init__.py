"""Tests of solipsism_unittest/peers/programs."""
