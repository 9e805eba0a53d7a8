"""The world that each test lives in, from its setUp() to its last cleanup, and what is noted of it."""

import contextlib

from solipsism_unittest import SolipsistEventLoop, sealed
from tests.compliance.doors import Notes, note_processes

ARMS = ("plain", "sealed")
# What is tested of processes and subinterpreters, by names of classes.
_APART = ("ProcessPool", "FailingInitializerResources", "InterpreterPool", "Subinterp")


class Plain(Notes):
    """Every test counts, whether it asks for a loop or not."""

    def __init__(self):
        super().__init__()
        self.asked = True


class Sealed(Plain):
    """Each test lives in a world of its own."""

    def begin(self):
        """A test begins."""
        loop = SolipsistEventLoop()
        self.worlds.callback(loop.close)
        self.worlds.enter_context(sealed(loop))


def open_doors(arm):
    """Watch what tests start; give the notes of one."""
    notes = Sealed() if arm == "sealed" else Plain()
    note_processes(notes)
    return notes


@contextlib.contextmanager
def importing(arm):
    """How the module of the tests is imported: on the sealed arm as one that is first imported in a test.

    Its copies of modules are made in a world then, and names in it lead there. There is one copy of a module of C: a
    second one has classes of its own, of which nobody knows.
    """
    if arm != "sealed":
        yield
        return
    from test.support import import_helper

    fresh_module = import_helper.import_fresh_module

    def import_fresh_module(name, fresh=(), *args, **kwargs):
        return fresh_module(name, [one for one in fresh if not one.startswith("_")], *args, **kwargs)

    import_helper.import_fresh_module = import_fresh_module
    loop = SolipsistEventLoop()
    with contextlib.closing(loop), sealed(loop):
        yield


def is_of_threads(name):
    """Whether a test is one of threads, and not of processes or subinterpreters."""
    return not any(word in name for word in _APART)
