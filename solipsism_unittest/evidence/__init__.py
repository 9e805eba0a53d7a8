"""What a failing test leaves for people: a page with its time line, a capture for Wireshark, and a table as text.

    recording    what is written down while a test runs, beyond its journal, where somebody asks for evidence
    capture      a capture of all that crossed the virtual network

Nothing of it is there in a plain run: what records has a class of its own, and takes the place of what does not.
"""
