"""The clocks of modules time and datetime: the monotonic one is virtual, the clock on the wall where a test sets it."""
