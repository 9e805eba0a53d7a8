"""CPython's own tests of threads and of blocking clients and servers, each in a virtual world of its own.

They know nothing of asyncio. Each runs once as it is (the *plain arm*), and once sealed (the *sealed arm*). A test
counts that passes on the plain arm, starts no real process and is not about processes or subinterpreters. Those that
count and do not pass are in `skips.py`, each with the reason.

    group.py  which modules
    doors.py  the world that a test lives in, and what is noted of it
    skips.py  what does not pass, and why
"""
