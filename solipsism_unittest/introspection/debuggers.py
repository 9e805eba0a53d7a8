"""Whether a person sits before a debugger: real time and blocking calls do not count then.

There is no list of all debuggers. Whatever traces counts as one, unless it only measures, as coverage does. Debuggers
that do not trace are known by their modules; what PYTHONBREAKPOINT names counts too.
"""

from __future__ import annotations

import os
from sys import gettrace
from types import FrameType

from ..pythons import is_monitored
from .modules import is_ours, module_of, outward, root_of

MEASURE = frozenset({"coverage", "trace", "cProfile"})
_MODULES = frozenset({
    "bdb", "pdb", "IPython", "debugpy", "ipdb", "pdbpp", "pudb", "pydevd", "_pydevd_bundle",
    "remote_pdb", "rpdb", "web_pdb",
})


def debugging(frame: FrameType | None) -> bool:
    """Whether a debugger is at work: it traces this process, or stands somewhere above `frame`."""
    if _is_tracer(gettrace()) or is_monitored():
        return True
    named = os.environ.get("PYTHONBREAKPOINT", "")
    for step in outward(frame):
        # Another thread's tracer shows only on its frames. A debugger that was continued leaves its own on the
        # outermost frame for good, so that frame does not count.
        if step.f_back is not None and _is_tracer(step.f_trace):
            return True
        if is_debugger(step) or f"{module_of(step)}.{step.f_code.co_name}" == named:
            return True
    return False


def _is_tracer(tracer: object) -> bool:
    """Whether this traces for somebody: neither what only measures does, nor the place that we leave on a frame."""
    home = _home_of(tracer)
    return tracer is not None and root_of(home) not in MEASURE and not is_ours(home)


def is_debugger(frame: FrameType) -> bool:
    """Whether this frame is a debugger's own."""
    module = module_of(frame)
    return module == "code" or root_of(module) in _MODULES  # code.interact(); `code.x` is somebody else's


def _home_of(tracer: object) -> str:
    return getattr(tracer, "__module__", None) or type(tracer).__module__
