"""Tests of solipsism_unittest/stdlib/sockets."""
