"""Tests of the manual: what its pages say is executed."""
