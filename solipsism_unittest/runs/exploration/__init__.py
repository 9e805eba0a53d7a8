"""What becomes of a run that fails: it is shrunk, put into words, and written down as a token that repeats it."""
