"""Signals of a process to itself: who gets them, when, and in which order."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import os
import signal
import socket
import threading
import types
from collections.abc import Callable, Iterator
from typing import Any

from tests.contracts.arms import Arm, Contract, awaited, outcome, scenario

USR1, USR2, TERM, ALRM = signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM, signal.SIGALRM
NUMBER = contextvars.ContextVar("NUMBER", default=0)


def complaint(call: Callable[..., Any], *args: Any) -> Any:
    """What a call raises, class and words; what it returns where it raises nothing."""
    try:
        return call(*args)
    except Exception as error:
        return type(error).__name__, str(error)


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


class Signals(Contract):
    def begin(self, arm: Arm) -> tuple[asyncio.AbstractEventLoop, list[Any]]:
        """The loop, and a list for what handlers see; every handler and mask is as before in the end."""
        before = {signum: signal.getsignal(signum) for signum in (USR1, USR2, TERM, ALRM)}
        loop = asyncio.get_running_loop()

        def end() -> None:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            for signum, handler in before.items():
                loop.remove_signal_handler(signum)
                signal.signal(signum, handler)

        arm.keep(types.SimpleNamespace(close=end))
        return loop, []

    # -- handlers of the loop

    @scenario
    async def test_arguments(self, arm: Arm) -> Any:
        """What add_signal_handler() and remove_signal_handler() refuse."""
        loop, _ = self.begin(arm)
        for signum in (9, 19, 0, -1, 65, 1000, 32, 33, "SIGTERM", None, 15.0):
            arm.see(signum, complaint(loop.add_signal_handler, signum, print),
                    complaint(loop.remove_signal_handler, signum))

        async def coroutine() -> None:
            """Never called."""

        arm.see(complaint(loop.add_signal_handler, USR1, coroutine))
        arm.see(complaint(loop.add_signal_handler, 34, print), complaint(loop.remove_signal_handler, 34))
        arm.see(complaint(loop.add_signal_handler, signal.SIGCHLD, print), loop.remove_signal_handler(signal.SIGCHLD))
        self.assertEqual([fact[1][0] for fact in arm.facts[:11]], [*["RuntimeError"] * 2, *["ValueError"] * 6,
                                                                   *["TypeError"] * 3])
        return None

    @scenario
    async def test_when(self, arm: Arm) -> Any:
        """A handler runs two turns later: what is ready, timers that are due and the next turn come first."""
        loop, seen = self.begin(arm)
        loop.add_signal_handler(USR1, seen.append, "signal")

        def first() -> None:
            seen.append("ready")
            loop.call_soon(seen.append, "next turn")

        loop.call_soon(first)
        loop.call_later(0, seen.append, "timer")
        signal.raise_signal(USR1)
        seen.append("here")
        await arm.until(lambda: "signal" in seen)
        await arm.calm()
        arm.see(seen)
        return [["here", "ready", "timer", "next turn", "signal"]]

    @scenario
    async def test_how_often(self, arm: Arm) -> Any:
        """Of signals that nobody blocks each runs its handler, in the order of sending; blocked ones come once."""
        loop, seen = self.begin(arm)
        for signum in (USR1, USR2, TERM):
            loop.add_signal_handler(signum, seen.append, int(signum))
        for signum in (TERM, USR1, USR1, USR2):
            signal.raise_signal(signum)
        send(USR1)
        await arm.calm()
        arm.see(seen)
        seen.clear()
        arm.see(signal.pthread_sigmask(signal.SIG_BLOCK, [USR1, USR2, TERM]) == set())
        for signum in (TERM, USR1, USR1, USR2):
            signal.raise_signal(signum)
        await arm.calm()
        arm.see(seen, signal.sigpending() == {USR1, USR2, TERM})
        arm.see(signal.pthread_sigmask(signal.SIG_UNBLOCK, [USR1, USR2, TERM]) == {USR1, USR2, TERM})
        await arm.calm()
        arm.see(seen, signal.sigpending())
        return [[15, 10, 10, 12, 10], True, ([], True), True, ([15, 12, 10], set())]

    @scenario
    async def test_removing(self, arm: Arm) -> Any:
        """Removing says whether there was one, and leaves the default, not what was there before."""
        loop, seen = self.begin(arm)
        signal.signal(USR1, lambda *args: seen.append("plain"))
        loop.add_signal_handler(USR1, seen.append, "loop")
        loop.add_signal_handler(USR1, seen.append, "another")
        signal.raise_signal(USR1)
        await arm.calm()
        arm.see(seen, callable(signal.getsignal(USR1)))
        arm.see(loop.remove_signal_handler(USR1), loop.remove_signal_handler(USR1))
        arm.see(signal.getsignal(USR1), type(signal.getsignal(USR1)).__name__)
        return [(["another"], True), (True, False), (0, "Handlers")]

    @scenario
    async def test_both_kinds(self, arm: Arm) -> Any:
        """signal.signal() after add_signal_handler(): both run, the plain one at once."""
        loop, seen = self.begin(arm)
        loop.add_signal_handler(USR1, seen.append, "loop")
        signal.signal(USR1, lambda *args: seen.append("plain"))
        signal.raise_signal(USR1)
        arm.see(seen)
        await arm.calm()
        arm.see(seen)
        return [["plain"], ["plain", "loop"]]

    @scenario
    async def test_errors_and_contexts(self, arm: Arm) -> Any:
        """An error of a handler goes to the loop's exception handler; it runs in the context of its making."""
        loop, seen = self.begin(arm)

        def fail() -> None:
            raise LookupError("of a handler")

        NUMBER.set(1)
        loop.add_signal_handler(USR1, lambda: seen.append(NUMBER.get()))
        NUMBER.set(2)
        loop.add_signal_handler(USR2, fail)
        send(USR1)
        send(USR2)
        await arm.calm()
        arm.see(seen)
        arm.facts = [(*fact[:1], fact[-1]) if "loop exception" in fact else fact for fact in arm.facts]
        return [("loop exception", "LookupError('of a handler')"), [1]]

    @scenario
    async def test_another_thread(self, arm: Arm) -> Any:
        """Handlers are the main thread's, and run there, whichever thread sends the signal."""
        loop, seen = self.begin(arm)
        main = threading.get_ident()
        signal.signal(USR1, lambda *args: seen.append(("plain", threading.get_ident() == main)))
        loop.add_signal_handler(USR2, lambda: seen.append(("loop", threading.get_ident() == main)))

        def work() -> list[Any]:
            send(USR1)
            signal.raise_signal(USR2)
            return [complaint(signal.signal, USR1, print), complaint(loop.add_signal_handler, USR1, print),
                    complaint(signal.set_wakeup_fd, -1), callable(signal.getsignal(USR1))]

        arm.see(*await asyncio.to_thread(work))
        await arm.until(lambda: len(seen) == 2)
        arm.see(seen)
        only = "only works in main thread of the main interpreter"
        return [(("ValueError", f"signal {only}"), ("RuntimeError", f"set_wakeup_fd {only}"),
                 ("ValueError", f"set_wakeup_fd {only}"), True), [("plain", True), ("loop", True)]]

    # -- plain handlers

    @scenario
    async def test_plain(self, arm: Arm) -> Any:
        """A handler of signal.signal() runs before raise_signal() returns; what it raises comes out of that."""
        _, seen = self.begin(arm)
        arm.see(signal.signal(USR1, lambda signum, frame: seen.append((int(signum), frame is not None))))
        signal.raise_signal(USR1)
        send(USR1)
        arm.see(seen)

        def fail(*args: Any) -> None:
            raise LookupError("of a handler")

        signal.signal(USR1, fail)
        arm.see(complaint(signal.raise_signal, USR1), signal.signal(USR1, signal.SIG_IGN) is fail)
        arm.see(complaint(signal.raise_signal, USR1), signal.getsignal(USR1))
        return [0, [(10, True)] * 2, (("LookupError", "of a handler"), True), (None, 1)]

    @scenario
    async def test_order_of_plain_ones(self, arm: Arm) -> Any:
        """Several at once run the lowest first."""
        _, seen = self.begin(arm)
        for signum in (USR1, USR2, TERM):
            signal.signal(signum, lambda signum, frame: seen.append(int(signum)))
        signal.pthread_sigmask(signal.SIG_BLOCK, [USR1, USR2, TERM])
        for signum in (TERM, USR1, USR2):
            signal.raise_signal(signum)
        arm.see(seen)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        arm.see(seen)
        return [[], [10, 12, 15]]

    @scenario
    async def test_what_is_refused(self, arm: Arm) -> Any:
        """What the functions of module signal do not take."""
        self.begin(arm)
        for signum in (9, 19, 0, -1, 65, 1000, 32, "TERM", None):
            arm.see(signum, complaint(signal.signal, signum, print), complaint(signal.getsignal, signum),
                    complaint(signal.raise_signal, signum) if signum not in (9, 19, 32) else None)
        arm.see(complaint(signal.signal, USR1, None), complaint(signal.signal, USR1, 5))
        arm.see(complaint(signal.pthread_sigmask, 77, [USR1]), complaint(signal.pthread_sigmask, 0, [0]),
                complaint(signal.pthread_sigmask, 0, ["x"]), complaint(signal.siginterrupt, 0, True))
        arm.see(outcome(send, 1000), outcome(send, 0), complaint(signal.set_wakeup_fd, "x"))
        arm.see(outcome(signal.set_wakeup_fd, 999_999))
        return None

    @scenario
    async def test_waiting(self, arm: Arm) -> Any:
        """sigwait() takes what is pending, the lowest first, and no handler runs."""
        _, seen = self.begin(arm)
        for signum in (USR1, USR2):
            signal.signal(signum, lambda signum, frame: seen.append(signum))
        signal.pthread_sigmask(signal.SIG_BLOCK, [USR1, USR2])
        for signum in (USR2, USR1):
            signal.raise_signal(signum)
        arm.see(signal.sigwait([USR1, USR2]), signal.sigwait({USR2}), signal.sigpending(), seen)
        return [(10, 12, set(), [])]

    @scenario
    async def test_threads_that_wait(self, arm: Arm) -> Any:
        """A thread waits for signals, as long as it likes; it has the mask of who has started it."""
        loop, seen = self.begin(arm)
        signal.pthread_sigmask(signal.SIG_BLOCK, [USR1, USR2])
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            arm.see(await loop.run_in_executor(pool, signal.pthread_sigmask, signal.SIG_BLOCK, []))
            waits: tuple[tuple[int, Callable[..., Any], tuple[Any, ...]], ...] = (
                (USR1, signal.sigwait, ([USR1, USR2],)), (USR2, signal.sigwait, ([USR1, USR2],)),
                (USR1, signal.sigwaitinfo, ([USR1],)), (USR2, signal.sigtimedwait, ([USR2], 1000)))
            for number, call, args in waits:
                job = loop.run_in_executor(pool, call, *args)
                await arm.calm()
                arm.see(job.done())
                if len(os.listdir("/proc/self/task")) == 2:
                    send(number)
                else:  # a thread of somebody else's would take it, and the process would end by it
                    signal.pthread_kill(next(iter(pool._threads)).ident or 0, number)
                info = await job
                arm.see(info if isinstance(info, int) else (info.si_signo, info.si_pid == os.getpid()))
            arm.see(await loop.run_in_executor(pool, signal.sigtimedwait, [USR1], 0.01))
            arm.see(await loop.run_in_executor(pool, signal.sigtimedwait, [USR1], 0))
            arm.see(complaint(signal.sigtimedwait, [USR1], -1), signal.sigpending())
            signal.signal(TERM, lambda number, frame: seen.append(number))
            job = loop.run_in_executor(pool, signal.pause)
            await arm.calm()
            arm.see(job.done())
            signal.pthread_kill(next(iter(pool._threads)).ident or 0, TERM)
            arm.see(await job, seen)
        return [{USR1, USR2}, False, USR1, False, USR2, False, (USR1, True), False, (USR2, True), None, None,
                (("ValueError", "timeout must be non-negative"), set()), False, (None, [TERM])]

    @scenario
    async def test_masks_belong_to_threads(self, arm: Arm) -> Any:
        """Another thread takes what the main thread blocks; what is sent to the main thread itself waits."""
        _, seen = self.begin(arm)
        signal.signal(USR1, lambda signum, frame: seen.append(int(signum)))
        go = threading.Event()
        other = threading.Thread(target=go.wait, args=(10,))
        other.start()
        signal.pthread_sigmask(signal.SIG_BLOCK, [USR1])
        signal.raise_signal(USR1)
        await arm.calm()
        arm.see(seen, signal.sigpending() == {USR1})
        arm.see(signal.sigwait([USR1]))
        send(USR1)
        await arm.until(lambda: seen)
        arm.see(seen, signal.sigpending())
        go.set()
        other.join()
        return [([], True), 10, ([10], set())]

    # -- the wakeup descriptor

    @contextlib.contextmanager
    def pair(self, arm: Arm) -> Iterator[tuple[socket.socket, socket.socket]]:
        one, other = arm.pair()
        try:
            yield one, other
        finally:
            signal.set_wakeup_fd(-1)

    @scenario
    async def test_wakeup_descriptor(self, arm: Arm) -> Any:
        """The descriptor gets the number of each signal that has a handler; the loop's handlers take it away."""
        loop, seen = self.begin(arm)
        signal.signal(USR1, lambda *args: seen.append("plain"))
        with self.pair(arm) as (one, other):
            arm.see(signal.set_wakeup_fd(one.fileno()))
            signal.raise_signal(USR1)
            arm.see(other.recv(10), seen)
            loop.add_signal_handler(USR2, seen.append, "loop")
            signal.raise_signal(USR1)
            arm.see(outcome(other.recv, 10))
            signal.set_wakeup_fd(one.fileno())
            signal.raise_signal(USR2)
            await arm.calm()
            arm.see(other.recv(10), seen)
            loop.remove_signal_handler(USR2)
            arm.see(signal.set_wakeup_fd(-1))
            one.setblocking(True)
            arm.see(complaint(signal.set_wakeup_fd, one.fileno())[0])
        return [-1, (b"\n", ["plain"]), "EAGAIN", (b"\x0c", ["plain", "plain"]), -1, "ValueError"]

    @scenario
    async def test_two_loops(self, arm: Arm) -> Any:
        """The loop that added a handler last owns the descriptor of the process: the other's are dropped."""
        loop, seen = self.begin(arm)
        loop.add_signal_handler(USR1, seen.append, "first")
        other = type(loop)()
        try:
            other.add_signal_handler(USR2, seen.append, "second")
            signal.raise_signal(USR1)
            await arm.calm()
            arm.see(seen)
        finally:
            other.close()
        signal.raise_signal(USR1)
        await arm.calm()
        arm.see(seen, outcome(other.add_signal_handler, USR2, print), other.remove_signal_handler(USR2))
        return [[], ([], "RuntimeError", False)]

    # -- time

    @scenario
    async def test_timers(self, arm: Arm) -> Any:
        """setitimer() and alarm() send SIGALRM, say what was left, and can be stopped."""
        loop, seen = self.begin(arm)
        stopped: list[Any] = []

        def ring(*args: Any) -> None:
            if not stopped:  # a busy machine may have sent one more already
                seen.append(loop.time())
            if len(seen) == 3:
                stopped.append(signal.setitimer(signal.ITIMER_REAL, 0))

        signal.signal(ALRM, ring)
        began = loop.time()
        arm.see(signal.setitimer(signal.ITIMER_REAL, 0.02, 0.05))
        await arm.until(lambda: stopped)
        arm.see([when - began >= 0.02 + 0.05 * number for number, when in enumerate(seen)])
        rest, interval = stopped[0]
        arm.see(0 < rest <= 0.05, interval, signal.getitimer(signal.ITIMER_REAL))
        arm.see(signal.alarm(10), signal.alarm(0), signal.alarm(0))
        for seconds in (100.3, 100.7, 0.1):
            signal.setitimer(signal.ITIMER_REAL, seconds)
            rest, interval = signal.getitimer(signal.ITIMER_REAL)
            arm.see(seconds - 0.1 < rest <= seconds, interval, signal.alarm(0))
        for seconds, interval in ((-1, 0), (0, -1)):
            arm.see(outcome(signal.setitimer, signal.ITIMER_REAL, seconds, interval).partition(" ")[0])
        arm.see(outcome(signal.setitimer, 77, 1).partition(" ")[0], outcome(signal.getitimer, 77).partition(" ")[0])
        return [(0.0, 0.0), [True] * 3, (True, 0.05, (0.0, 0.0)), (0, 10, 0), (True, 0.0, 100), (True, 0.0, 101),
                (True, 0.0, 1), *["EINVAL"] * 2,
                ("EINVAL", "EINVAL")]

    @scenario
    async def test_a_loop_that_waits(self, arm: Arm) -> Any:
        """A signal wakes a loop that waits."""
        loop, seen = self.begin(arm)
        event = asyncio.Event()
        loop.add_signal_handler(ALRM, event.set)
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        arm.see(await awaited(asyncio.wait_for(event.wait(), 5)))
        return [True]


if __name__ == "__main__":
    import unittest

    unittest.main()
