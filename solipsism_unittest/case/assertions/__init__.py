"""The assertions of the test case, a file for each thing that they ask about."""

