"""Why a program does not go on: who waits for what, who holds it, and the text that says so.

Describes only: nothing here cancels, closes or wakes.
"""

