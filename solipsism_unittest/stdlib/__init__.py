"""Python's modules as a program in a test meets them."""

