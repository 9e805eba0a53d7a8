"""Random sequences of socket calls, on Linux's sockets and on virtual ones, compared call by call.

`python -m tests.fuzz --seed 1 --sequences 1000 --kind tcp4` plays as many as wanted; test_fuzz.py a fixed few.
"""
