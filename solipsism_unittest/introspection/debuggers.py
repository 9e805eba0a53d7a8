"""Whether a person sits before a debugger: real time and blocking calls do not count then.

A tracer that only measures (coverage) is no debugger. There is no list of all debuggers: what traces counts as one, and
of those that do not trace the usual modules are known, and whatever PYTHONBREAKPOINT names.
"""

from __future__ import annotations

import os
import sys
from types import FrameType
from typing import Any

MEASURE = frozenset({"coverage", "trace", "cProfile"})
_MODULES = frozenset({
    "bdb", "pdb", "IPython", "debugpy", "ipdb", "pdbpp", "pudb", "pydevd", "_pydevd_bundle",
    "remote_pdb", "rpdb", "web_pdb",
})


def debugging(frame: FrameType | None) -> bool:
    """Whether a debugger is at work: it traces this process, or stands somewhere above `frame`."""
    tracer = sys.gettrace()
    if tracer is not None and _module_of(tracer).partition(".")[0] not in MEASURE:
        return True
    monitoring = getattr(sys, "monitoring", None)  # 3.12+
    if monitoring is not None and monitoring.get_tool(monitoring.DEBUGGER_ID) is not None:
        return True
    named = os.environ.get("PYTHONBREAKPOINT", "")
    while frame is not None:
        # On another thread, whose tracer cannot be asked for. A debugger that was told to continue leaves its own on
        # the outermost frame for good.
        tracer = frame.f_trace if frame.f_back is not None else None
        if tracer is not None and _module_of(tracer).partition(".")[0] not in MEASURE:
            return True
        if _is_debugger(frame) or f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}" == named:
            return True
        frame = frame.f_back
    return False


def _is_debugger(frame: FrameType) -> bool:
    module = str(frame.f_globals.get("__name__", ""))
    return module == "code" or module.partition(".")[0] in _MODULES  # code.interact(); `code.x` is somebody else's


def _module_of(tracer: Any) -> str:
    return getattr(tracer, "__module__", None) or type(tracer).__module__
