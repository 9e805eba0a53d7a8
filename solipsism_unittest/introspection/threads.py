"""Where another thread stands, and whether it waits there."""

from __future__ import annotations

import dis
import functools
import sys
import types

from .modules import carries, is_ours, module_of, outward
from .places import line_words

FRAMES_SHOWN = 5

# A thread that stands in a call of such a name waits for what others bring. `sleep` is not among them.
_WAITS = frozenset({"accept", "acquire", "get", "join", "poll", "read", "readline", "recv", "recv_into", "select",
                    "wait"})


# -- where a thread stands


def standing(ident: int | None) -> str:
    """Where a thread stands, to be added to its name."""
    frame = sys._current_frames().get(ident or 0)
    return ", stands at" + "".join(f"\n      {line}" for line in stack(frame)) if frame is not None else ""


def stack(frame: types.FrameType) -> list[str]:
    """The lines of a thread from the outermost to the innermost, without the machinery that started it."""
    steps = list(outward(frame))
    while len(steps) > 1 and is_ours(module_of(steps[0])):
        del steps[0]
    innermost, *above = steps
    shown = [innermost, *(step for step in above if not carries(module_of(step)))][:FRAMES_SHOWN]
    return [line_words(step.f_code, step.f_lineno) for step in reversed(shown)]


def waits(frame: types.FrameType) -> bool:
    """Whether a thread whose innermost frame this is stands in a call that waits for others, as far as its name says.

    A C function has no frame: the instruction that called it is looked at.
    """
    return called(frame.f_code, frame.f_lasti) in _WAITS


@functools.lru_cache(256)
def called(code: types.CodeType, instruction: int) -> str | None:
    """The name of what is called at an instruction: `get` in `self.requests.get(timeout=1)`; None for no call."""
    before: list[dis.Instruction] = []
    for step in dis.get_instructions(code):
        if step.offset == instruction:
            break
        before.append(step)
    else:
        return None
    if "CALL" not in step.opname:
        return None
    start = _start(step)  # of the whole expression: what is called begins where its call begins
    return next((one.argval for one in reversed(before) if _start(one) == start and isinstance(one.argval, str)), None)


def _start(step: dis.Instruction) -> tuple[int | None, int | None]:
    positions = step.positions or dis.Positions()
    return positions.lineno, positions.col_offset
