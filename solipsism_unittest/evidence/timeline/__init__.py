"""A page with the time line of a test: one file of HTML, with nothing from elsewhere."""
