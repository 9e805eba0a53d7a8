"""Tests of the mocks, on the virtual loop and on a stock one."""
