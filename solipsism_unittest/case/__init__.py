"""The test case: what a test may use, unittest's hooks, entering and leaving the world, and what an end comes to."""

