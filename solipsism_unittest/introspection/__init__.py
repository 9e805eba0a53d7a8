"""What can be read off a running program: whose code it is, which line, what a thing is called.

Owns questions only. Nothing here changes, closes or wakes anything, and nothing here knows a world.
"""

