"""Which of CPython's modules are about threads, and how they are run."""

from tests.compliance.judge import Group
from tests.compliance.threads import doors

_PARTS = "as_completed", "future", "init", "shutdown", "thread_pool", "wait"  # of test_concurrent_futures
THREADS = Group(
    "test", doors.ARMS,
    ("test_threading.py", "test_queue.py", "test_sched.py", "test_socketserver.py", "test_httplib.py",
     "test_concurrent_futures.py", *(f"test_concurrent_futures/test_{part}.py" for part in _PARTS)),
    frozenset({"test_sched"}),
    silence=200.0,  # test_queue has one with a hundred threads that poll
)
