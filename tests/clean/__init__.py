"""Programs that leave nothing behind, as good users write them: none of these tests may ever be reported.

Each test is another small program that asserts something of its result and ends cleanly. They guard against false
alarms: whatever looks for leftovers, forgotten coroutines, unread exceptions or escapes has to find nothing here, on
every supported Python. `tests/behaviours/test_clean.py` counts them and sees to it that no two are alike.
"""
