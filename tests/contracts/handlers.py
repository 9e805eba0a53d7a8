"""A program whose signal handlers raise while its loop waits, and what it sees of that: in plain words of asyncio.

`python handlers.py [SECONDS]` runs it in a real interpreter; tests/contracts/test_handlers.py runs it in a world too.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

SOON = float(sys.argv[1]) if __name__ == "__main__" and len(sys.argv) > 1 else 0.02


class StopError(Exception):
    """What a handler raises."""


def stop(signum: int, frame: object) -> None:
    raise StopError(signum)


def leave(signum: int, frame: object) -> None:
    sys.exit(5)


def interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt(signum)


def say(*words: Any) -> None:
    print(*words, flush=True)


async def wait() -> None:
    try:
        await asyncio.sleep(9)
    except BaseException as error:
        say("main saw", repr(error))
        raise
    finally:
        say("finally")


async def wait_in_tasks() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(wait())


async def wait_for_signal_of_thread() -> None:
    threading.Timer(SOON, lambda: os.kill(os.getpid(), signal.SIGALRM)).start()
    await wait()


async def wait_for_job() -> None:
    release = threading.Event()
    try:
        await asyncio.to_thread(release.wait)
    finally:
        say("job")
        release.set()


async def catch_in_task() -> None:
    try:
        signal.raise_signal(signal.SIGALRM)
    except StopError as error:
        say("task saw", repr(error))


def run(main: Callable[[], Any], *, alarm: float = SOON) -> None:
    signal.setitimer(signal.ITIMER_REAL, alarm)
    try:
        say("returned", asyncio.run(main()))
    except BaseException as error:
        say("run raised", repr(error), repr(error.__context__))


def run_until_complete() -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(wait())
    for call in (lambda: loop.run_until_complete(task), loop.run_forever):
        signal.setitimer(signal.ITIMER_REAL, SOON)
        try:
            call()
        except StopError as error:
            say("loop raised", repr(error), task.done(), loop.is_running())
    say(loop.run_until_complete(asyncio.sleep(0, "goes on")), task.cancel())
    try:
        loop.run_until_complete(task)
    except asyncio.CancelledError:
        loop.close()


def run_again() -> None:
    with asyncio.Runner() as runner:
        signal.setitimer(signal.ITIMER_REAL, SOON)
        try:
            runner.run(wait())
        except StopError:
            say(runner.run(asyncio.sleep(0, "again")))


def main() -> None:
    for handler in (stop, leave, interrupt):
        signal.signal(signal.SIGALRM, handler)
        run(wait)
    signal.signal(signal.SIGALRM, stop)
    run(wait_in_tasks)
    run(wait_for_signal_of_thread, alarm=0)
    run(wait_for_job)
    run(catch_in_task, alarm=0)
    run_until_complete()
    run_again()
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, SOON)
    asyncio.run(wait())


if __name__ == "__main__":
    main()
