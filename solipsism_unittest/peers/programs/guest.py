"""`Guest`: a whole program that runs beside the test and other programs, as `run_program` has it.

A coroutine function runs in a task of the loop, a function in a thread. Each finds its own `sys.argv`, `os.environ`,
stdin, stdout and stderr, and has its own signals. Threads that it starts find the same.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import inspect
import io
import sys
from asyncio import _get_running_loop
from collections.abc import Callable
from typing import Any

from ...kernel.descriptors.pipe import PipeEnd
from ...stdlib.files.file_objects import open_descriptor
from ...stdlib.processes.guests import GuestProcess
from ...stdlib.processes.process import process_of
from ...stdlib.processes.program import ROOM, code_after, end_well, flush, is_end, text_files
from ...stdlib.processes.surroundings import Surroundings, shown, surround
from ...stdlib.worlds import thread_id
from .child import Child, drive

__unittest = True
__tracebackhide__ = True


class Guest(Child):
    """One such program."""

    def begin(self) -> None:
        """Let it run."""
        outer = process_of(self._world)
        self._process = self.context.run(GuestProcess, outer.world, outer.children, self._strike, self._die)
        self.context = self._process.context
        self.holdings.threads, self.holdings.leave = self._process.ending, None
        self._raw: list[Any] = []
        self._is_running = False  # its thread
        super().begin()

    def _drive(self) -> int | None:
        return self._process.context.copy().run(self._drive_inside)

    def _drive_inside(self) -> int | None:
        files = self._surround(False)
        over = True
        with shown():
            try:
                if inspect.iscoroutinefunction(self._main):
                    over, answer = drive(self._main())
                else:
                    answer = self._main()
                if over:
                    sys.exit(answer)
            except BaseException as error:
                answer = end_well(code_after(error, self._process), self._process)
            flush(files[1:])
        self._process.end()
        return answer if over else None

    async def _live(self) -> None:
        self._has_begun = True
        in_thread = not inspect.iscoroutinefunction(self._main)
        files = self._surround(in_thread)
        with shown():
            try:
                code = await (self._in_thread(self._run_main) if in_thread else self._in_task())
            except asyncio.CancelledError:
                raise
            except BaseException:
                self._flush_and_end(files, 1)
                raise
            if self._status is None:
                self._flush_and_end(files, code)

    def _surround(self, in_thread: bool) -> tuple[Any, Any, Any]:
        """Give it its streams and the rest; without a thread of its own nobody could read what it prints meanwhile."""
        own, take = self._streams.own, self._streams.take
        raw = self._raw
        for number, mode in ((0, "rb"), (1, "wb"), (2, "wb")):
            if number in own:
                if number and not in_thread:
                    self._world.kernel.file(own[number]).pages.limit = ROOM  # type: ignore[attr-defined]
                raw.append(open_descriptor(self._world, take(own[number]), mode, 0))
            elif number == 0:
                raw.append(io.BytesIO())
            else:  # of stdout
                raw.append(open_descriptor(self._world, self._world.kernel.duplicate(own[1]), mode, 0))
                self.numbers.append(raw[-1].fileno())
        files = text_files(*raw)
        surround(Surroundings(list(self.argv), dict(self.environment), *files, self._process.ending))
        self._process.context = contextvars.copy_context()  # for its handlers
        self._files = files
        return files

    def _flush_and_end(self, files: tuple[Any, ...], code: int) -> None:
        if self._process.end_code is not None:
            code = self._process.end_code
        else:
            flush(files[1:])
        self._process.end()
        self._end(code, 0 if self._exit_comes_first() else 3)

    async def _in_task(self) -> int:
        try:
            sys.exit(await self._main())
        except asyncio.CancelledError as cancelled:
            if self._struck is None:
                raise
            error: BaseException = self._struck.with_traceback(None)
            error.__context__ = cancelled
        except BaseException as other:
            error = other
        code = code_after(error, self._process)
        if self._process.end_code is None:
            await self.end_tasks()
        if self._process.ending:  # it may wait
            code = await self._in_thread(lambda: end_well(code, self._process))
        return code

    async def _in_thread(self, call: Callable[[], int]) -> int:
        pool = concurrent.futures.ThreadPoolExecutor(1, f"program {self.name}")
        try:
            self._is_running = True
            run = contextvars.copy_context().run
            return await asyncio.get_running_loop().run_in_executor(pool, run, self._there, call)
        finally:
            pool.shutdown(wait=False)

    def _there(self, call: Callable[[], int]) -> int:
        self._process.settle_in()
        with shown():
            try:
                return call()
            finally:
                self._is_running = False
                if self._status is not None:
                    self._process.end()
                    self._close_ends()

    def _run_main(self) -> int:
        try:
            sys.exit(self._main())
        except BaseException as error:
            code = code_after(error, self._process)
        return end_well(code, self._process)

    def _close_ends(self) -> None:
        for raw in self._raw:
            if not self._is_running:
                with contextlib.suppress(OSError):
                    raw.close()
            elif isinstance(end := getattr(raw, "end", None), PipeEnd):  # a thread cannot be stopped: it finds nobody
                end.part()

    def _end_threads(self) -> None:
        """Its process does that, and spares the thread that unwinds."""

    # -- signals

    def _handle(self, signum: int) -> None:
        self._process.send(signum, "os.kill(pid, ")

    def _strike(self, error: BaseException) -> None:
        """It ends with this: by a signal, or by what a handler raises."""
        if self._status is not None or self._is_elsewhere(self._strike, error):
            return
        if self._is_running:
            if self._world.baton.strike(self._process.main, error):
                return
            self._process.context.copy().run(self._leave, error)  # it computes something, and cannot be stopped
        else:
            self._struck = error
        self.task.cancel()

    def _ends_with(self, error: BaseException) -> bool:
        if not is_end(error, self._process):
            return False
        self._strike(error)
        return True

    def _is_elsewhere(self, call: Callable[..., object], *args: Any) -> bool:
        """Whether this is another thread than that of its task, where the call will be made then."""
        if self._is_running or thread_id() == self._process.main:
            return False
        self.loop.call_soon_threadsafe(call, *args)
        return True

    def _leave(self, error: BaseException) -> None:
        with shown():
            self._flush_and_end(self._files, code_after(error, self._process))

    def _die(self) -> None:
        """A signal ends it; in its own thread, when that has come to its end."""
        if self._is_elsewhere(self._die):
            return
        if not self._is_running or _get_running_loop() is self.loop:
            self._end(self._process.end_code or 0)
            self.task.cancel()
        else:
            self._close_ends()
            self.holdings.end(self._world, self.task)
