"""Who holds what: found when a report is written, honest where it cannot be known, and no cycle stays unseen."""

import asyncio
import contextlib
import types
import unittest

from solipsism_unittest import SleepForeverError, SolipsistEventLoop
from solipsism_unittest.hangs.locks import Waiting
from solipsism_unittest.introspection.names import known_as
from solipsism_unittest.introspection.tasks import await_chain, entered
from solipsism_unittest.loop.stuck import loosen


def run(main):
    with asyncio.Runner(debug=False, loop_factory=SolipsistEventLoop) as runner:
        return runner.run(main)


def hang(main):
    """The text of a hang."""
    try:
        run(main)
    except SleepForeverError as error:
        return str(error)
    raise AssertionError("it ended")


async def never():
    await asyncio.get_running_loop().create_future()


async def holders_of(lock, *bodies):
    """The names of the tasks that hold a lock, when some bodies have come to wait; task 1 runs the first of them."""
    tasks = [asyncio.create_task(body(), name=f"task {number}") for number, body in enumerate(bodies, 1)]
    await asyncio.get_running_loop().settle()
    found = [task.get_name() for task in Waiting(tasks).holders(lock)]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return found


class HoldersTest(unittest.TestCase):
    def assertHolders(self, lock, wanted, *bodies):
        self.assertEqual(run(holders_of(lock, *bodies)), wanted)

    def test_generators_that_share_one(self):
        """Of two generators in one chain that both go through a third, which holds, the task is one holder once."""
        lock = asyncio.Lock()

        async def inner():
            async with lock:
                yield
                await never()

        async def outer(shared):
            async with contextlib.aclosing(shared):
                async for _ in shared:
                    yield
                    await never()

        async def body():
            shared = inner()
            async for _ in outer(shared):
                await anext(shared)

        self.assertHolders(lock, ["task 1"], body)

    def test_async_with(self):
        """Who is inside `async with` holds; who is about to enter does not, and who waits inside another does not."""
        lock, other = asyncio.Lock(), asyncio.Lock()

        async def hold():
            async with lock:
                await never()

        async def both():
            async with other, lock:
                await never()

        self.assertHolders(lock, ["task 1"], hold, hold, both)
        self.assertHolders(other, ["task 1"], both, both)

    def test_semaphores_have_several(self):
        """Each task inside a semaphore is one of its holders, one that is inside twice too."""
        slots = asyncio.Semaphore(3)

        async def hold():
            async with slots:
                await never()

        async def twice():
            async with slots, slots:
                await never()

        self.assertHolders(slots, ["task 1", "task 2"], twice, hold, hold)

    def test_a_condition_has_its_lock(self):
        """Inside a condition its lock is held, but not while it waits to be notified."""
        condition = asyncio.Condition()

        async def wait():
            async with condition:
                await condition.wait()

        async def hold():
            async with condition:
                await never()

        self.assertHolders(condition._lock, ["task 2"], wait, hold)

    def test_by_way_of_generators_and_stacks(self):
        """A lock in an @asynccontextmanager, in an AsyncExitStack and in an async generator is found."""

        async def manager(lock):
            @contextlib.asynccontextmanager
            async def locked():
                async with lock:
                    yield

            async with locked():
                await never()

        async def stack(lock):
            async with contextlib.AsyncExitStack() as stack:
                stack.callback(print)
                await stack.enter_async_context(lock)
                stack.pop_all().push_async_exit(stack)
                await stack.enter_async_context(lock)
                await never()

        async def stacked(lock):
            async with contextlib.AsyncExitStack() as stack:
                await stack.enter_async_context(lock)
                await never()

        async def generator(lock):
            async def items():
                async with lock:
                    yield 1

            async for _ in items():
                await never()

        for body in (manager, stacked, generator):
            with self.subTest(body.__name__):
                lock = asyncio.Lock()
                self.assertHolders(lock, ["task 1"], lambda body=body, lock=lock: body(lock))

    def test_what_cannot_be_known(self):
        """Nobody is accused after a bare acquire(), nor who gives back by hand, nor who has ended."""
        lock = asyncio.Lock()

        async def bare():
            await lock.acquire()
            await never()

        async def give_back():
            async with lock:
                lock.release()
                try:
                    await never()
                finally:
                    await lock.acquire()

        self.assertHolders(lock, [], bare)
        lock.release()
        self.assertHolders(lock, [], give_back)

    def test_from_3_14_on(self):
        """A function `__aexit__` is followed by its object; a last one without is nothing."""
        lock = asyncio.Lock()
        function = asyncio.Lock.__aexit__
        self.assertEqual(entered([1, function, lock, lock.__aexit__, function]), [lock, lock])

    def test_an_unowned_lock_in_words(self):
        """The text of a hang behind a bare acquire() accuses nobody."""

        async def main():
            lock = asyncio.Lock()
            await lock.acquire()
            async with lock:
                pass

        self.assertIn(
            "waits for Lock 1 (lock), and nobody can tell who holds it: no task is inside its `async with`: <Lock ",
            hang(main()),
        )

    def test_a_lock_of_its_own_kind(self):
        """Of a subclass it is said who is inside, not that it holds."""

        class Fair(asyncio.Lock):
            pass

        async def main():
            lock = Fair()
            async with lock, lock:
                pass

        text = hang(main())
        self.assertIn("a cycle: Task-1 is inside Fair 1 (lock) and waits for Fair 1 (lock)\n", text)
        self.assertIn("waits for Fair 1 (lock), which it is inside itself: <", text)

    def test_a_primitive_of_ones_own(self):
        """Somebody's own primitive over a future is told as a future, by the name that it has in the code."""

        class Gate:
            async def wait(self):
                self.waiter = asyncio.get_running_loop().create_future()
                await self.waiter

        self.assertIn("waits for a future that nobody has resolved (self.waiter)\n", hang(Gate().wait()) + "\n")

    def test_several_holders_in_words(self):
        """A semaphore names all who are inside; a condition's lock too, after a notification."""

        async def main():
            slots = asyncio.Semaphore(2)

            async def use():
                async with slots:
                    await never()

            users = [asyncio.create_task(use(), name=name) for name in ("Ann", "Ben")]
            await asyncio.sleep(0)
            async with slots:
                await users[0]

        self.assertIn("waits for Semaphore 1 (slots), which Ann, Ben hold: <Semaphore [locked", hang(main()))


class NamesTest(unittest.TestCase):
    def known(self, thing, variables):
        """What a frame with these variables calls a thing."""

        frames = []
        code = "async def body(" + ", ".join(variables) + "):\n    await never()\n"
        scope = {"never": never, "__name__": "user"}
        exec(code, scope)
        coroutine = scope["body"](**variables)

        async def main():
            task = asyncio.create_task(coroutine)
            await asyncio.sleep(0)
            frames[:] = await_chain(task)
            words = known_as(thing, frames)
            task.cancel()
            return words

        return run(main())

    def test_how_code_calls_a_thing(self):
        """A variable, an item, a key, an attribute; "" where it is none of these."""
        thing = object()
        owner = types.SimpleNamespace(lock=thing)

        class Slots:
            __slots__ = ("lock",)

        slots = Slots()
        slots.lock = thing
        self.assertEqual(self.known(thing, dict(other=1, lock=thing)), "lock")
        self.assertEqual(self.known(thing, dict(forks=[0, thing])), "forks[1]")
        self.assertEqual(self.known(thing, dict(table={"left": 0, "right": thing})), "table['right']")
        self.assertEqual(self.known(thing, dict(table={0.5: thing})), "")
        self.assertEqual(self.known(thing, dict(self=owner)), "self.lock")
        self.assertEqual(self.known(thing, dict(self=slots)), "")
        self.assertEqual(self.known(thing, dict(self=types.SimpleNamespace(other=1))), "")
        self.assertEqual(self.known(thing, dict(forks=[])), "")

    def test_a_global(self):
        """A global that the code names is found by its name."""
        self.assertIn("waits for Event 1 (GLOBAL_EVENT), which nobody sets", hang(wait_for_a_global()))


GLOBAL_EVENT = asyncio.Event()


async def wait_for_a_global():
    await GLOBAL_EVENT.wait()


class CyclesTest(unittest.TestCase):
    def test_tasks_and_locks_mixed(self):
        """A task that holds a lock and awaits a task that wants the lock is a cycle."""

        async def main():
            lock = asyncio.Lock()

            async def child():
                async with lock:
                    pass

            async with lock:
                await asyncio.create_task(child(), name="child")

        self.assertIn(
            "\n  a cycle: Task-1 waits for task child; child waits for Lock 1 (lock)", hang(main()).replace(
                "Task-1 holds Lock 1 (lock) and waits", "Task-1 waits")
        )

    def test_by_way_of_groups_waits_and_shields(self):
        """A TaskGroup, a wait() for all, a gather(), a shield() of what waits for a lock of the parent."""

        async def group(children):
            async with asyncio.TaskGroup() as tasks:
                for child in children:
                    tasks.create_task(child)

        async def wait(children):
            await asyncio.wait([asyncio.create_task(child) for child in children])

        async def gather(children):
            await asyncio.gather(*children)

        async def shield(children):
            first, second = map(asyncio.create_task, children)
            await asyncio.shield(first)

        for way in (group, wait, gather, shield):

            async def main(way=way):
                lock = asyncio.Lock()
                async with lock:
                    await way([lock.acquire(), lock.acquire()])

            with self.subTest(way.__name__):
                cycle = "Task-1 holds Lock 1 (lock) and waits for task Task-2; Task-2 waits for Lock 1"
                self.assertIn(f"  a cycle: {cycle}\n", hang(main()))

    def test_who_waits_for_the_first_is_in_no_cycle(self):
        """wait() for the first of two may go on when either ends: no cycle is claimed."""

        async def main():
            lock = asyncio.Lock()
            async with lock:
                tasks = [asyncio.create_task(lock.acquire()), asyncio.create_task(never())]
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)

        self.assertNotIn("a cycle", hang(main()))

    def test_many_cycles_are_counted(self):
        """Of more than five cycles five are told."""

        async def alone():
            lock = asyncio.Lock()
            async with lock, lock:
                pass

        async def main():
            await asyncio.gather(*[alone() for _ in range(7)])

        text = hang(main())
        self.assertEqual(text.count("\n  a cycle: "), 5)
        self.assertIn("\n  and 2 more cycles\n", text)

    def test_a_thousand_in_a_row(self):
        """A circle of a thousand tasks is one cycle, and nothing recurses."""

        async def main():
            tasks = []

            async def follow(number):
                await tasks[(number + 1) % 1000]

            tasks += [asyncio.create_task(follow(number)) for number in range(1000)]
            await tasks[0]

        self.assertEqual(hang(main()).count("\n  a cycle: "), 1)


class LoosenTest(unittest.TestCase):
    def test_a_circle_ends(self):
        """Tasks that await each other end when they are cancelled, `finally` blocks run, and nothing complains."""
        told, ended = [], []

        async def main():
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
            tasks = []

            async def follow(number):
                try:
                    await (tasks[1 - number] if number else asyncio.gather(tasks[1], asyncio.sleep(0)))
                finally:
                    ended.append(number)

            tasks += [asyncio.create_task(follow(number)) for number in range(2)]
            await asyncio.wait(tasks)

        self.assertIn("a cycle: ", hang(main()))
        self.assertEqual((sorted(ended), told), ([0, 1], []))

    def test_one_that_closes_the_circle_again(self):
        """Tasks that await each other again after their cancellation are given up at the third hang."""

        async def main():
            tasks = []

            async def follow(number):
                while True:
                    with contextlib.suppress(asyncio.CancelledError):
                        await tasks[1 - number]

            tasks += [asyncio.create_task(follow(number)) for number in range(2)]
            await tasks[0]

        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.set_exception_handler(lambda loop, context: None)
        with self.assertRaisesRegex(SleepForeverError, "a cycle: ") as caught:
            loop.run_until_complete(main())
        self.assertRegex(caught.exception.__notes__[0], "cancelled twice, and still there: ")

    def test_without_a_circle(self):
        """What is no circle is left alone, futures included."""

        async def main():
            task = asyncio.create_task(never())
            parent = asyncio.create_task(asyncio.wait_for(asyncio.gather(task, task, never()), None))
            await asyncio.sleep(0)
            found = loosen([parent, task, asyncio.get_running_loop().create_future()])
            parent.cancel()
            await asyncio.wait([parent, task])
            return found

        self.assertFalse(run(main()))
