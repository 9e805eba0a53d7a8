"""CPython's tests of threads that count and do not pass in a virtual world, each with the reason: as ../skips.py."""

_ENDS_THE_RUNNER = "SIGINT without a handler: it would end the test runner, so it is an EscapeError in a world"

SKIPS = {
    "test_concurrent_futures.test_shutdown.ThreadPoolShutdownTest.test_cancel_futures": "expects a job to run beside "
    "the thread that submits more: here they take turns, and that one does not wait before it cancels them",
    "test_queue.CSimpleQueueTest.test_simplequeue_sizeof": "the size of C's object: a stand-in keeps more",
    "test_socketserver.MiscTestCase.test_threads_reaped": "expects threads to run beside the one that started them: "
    "here they take turns, and that one never waits",
    "test_threading.InterruptMainTests.test_interrupt_main_mainthread": _ENDS_THE_RUNNER,
    "test_threading.InterruptMainTests.test_interrupt_main_subthread": _ENDS_THE_RUNNER,
    "test_threading.ThreadTests.test_PyThreadState_SetAsyncExc_interrupts_sleep": "an exception set from another "
    "thread: it is raised when the virtual sleep is over",
    "test_threading.ThreadTests.test_disallow_instantiation": "calls the class of a lock, by type(): it wants a world",
    "test_threading.ThreadTests.test_tstate_lock": "takes the lock that a thread of Python 3.11 and 3.12 gives back in "
    "C at its very end: here another thread has its turn only when that one waits",
}
