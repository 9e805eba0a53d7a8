"""The report of a hang: whole, in order, and short however many tasks there are."""

import asyncio
import re
import unittest

from solipsism_unittest import SleepForeverError, SolipsistEventLoop
from solipsism_unittest.introspection.places import shorten


def run(main, **options):
    with asyncio.Runner(loop_factory=lambda: SolipsistEventLoop(**options)) as runner:
        return runner.run(main)


class WholeTextTest(unittest.TestCase):
    def test_word_for_word(self):
        """The whole report of a small program, letter by letter but for the line numbers."""

        async def consume(queue):
            await queue.get()

        async def main():
            queue = asyncio.Queue()
            await asyncio.sleep(1.5)
            async with asyncio.TaskGroup() as group:
                group.create_task(consume(queue), name="consumer")
                group.create_task(consume(queue))

        with self.assertRaises(SleepForeverError) as caught:
            run(main())
        here = "WholeTextTest.test_word_for_word.<locals>"
        file = re.escape(str(shorten(__file__)))
        text = re.sub(rf"{file}:\d+", "FILE:N", str(caught.exception)).partition("\n  what happened last:\n")[0]
        self.assertEqual(
            text,
            f"""\
nothing can wake the program at t=1.5: 3 tasks wait for ever
  Task-1 ({here}.main) at FILE:N
      waits for the tasks of a TaskGroup: Task-3, consumer
      made at FILE:N in run
  Task-3 ({here}.consume) at FILE:N
      waits for get() from a queue that nobody puts into: <Queue maxsize=0 _getters[2]>
      made at FILE:N in {here}.main
  consumer ({here}.consume) at FILE:N
      waits for get() from a queue that nobody puts into: <Queue maxsize=0 _getters[2]>
      made at FILE:N in {here}.main""",
        )

    def hang(self, main):
        with self.assertRaises(SleepForeverError) as caught:
            run(main)
        return str(caught.exception)

    def test_the_way_to_a_deep_line(self):
        """The calls on the way to the awaiting line are told, the first and the last of many."""

        async def dig(depth):
            await (dig(depth - 1) if depth else asyncio.Event().wait())

        shallow, deep = self.hang(dig(2)), self.hang(dig(100))
        call = r"\S+dig \(\S+test_report\.py:\d+\)"
        self.assertRegex(shallow, rf"\n      by way of {call}, {call}\n")
        self.assertRegex(deep, rf"\n      by way of ({call}, ){{3}}94 more(, {call}){{3}}\n")

    def test_a_thousand_tasks_of_many_kinds(self):
        """A thousand tasks that wait in a hundred ways take two screens: thirty ways, and the others are counted."""
        source = "\n".join(f"async def wait_{n}(): await never()" for n in range(100))
        scope = {"never": lambda: asyncio.get_running_loop().create_future(), "__name__": "user"}
        exec(compile(source, "user.py", "exec"), scope)

        async def main():
            await asyncio.gather(*[scope[f"wait_{n % 100}"]() for n in range(1000)])

        text = self.hang(main())
        self.assertLess(text.count("\n"), 130)
        self.assertIn("1001 tasks wait for ever\n", text)
        self.assertIn("\n  and 9 more (wait_0) at user.py:1: ", text)
        self.assertRegex(text, r"\n  and 710 more, of 71 other kinds")

    def test_what_is_counted_is_not_described(self):
        """Of thousands of tasks that wait alike only those that the report names are described."""
        for number in (20, 5_000):
            class Counted(asyncio.Queue):
                described = 0

                def __repr__(self):
                    Counted.described += 1
                    return "<Counted>"

            async def main(queue, number=number):
                await asyncio.gather(*[queue.get() for _ in range(number)])

            with self.subTest(number):
                text = self.hang(main(Counted()))
                self.assertIn(f"{number + 1} tasks wait for ever\n", text)
                self.assertEqual((text.count("<Counted>"), Counted.described), (3, 3))

    def test_those_that_stand_alike_hold_each_its_own(self):
        """Many tasks that stand at the same lines hold different locks, and each of them is found."""

        async def holder(lock, event):
            async with lock:
                await event.wait()

        async def main():
            locks, event = [asyncio.Lock() for _ in range(50)], asyncio.Event()
            holders = [asyncio.create_task(holder(lock, event), name=f"Holder-{n}") for n, lock in enumerate(locks)]
            await asyncio.sleep(0)
            await asyncio.gather(*holders, *[asyncio.create_task(locks[n].acquire(), name=f"Asks-{n}")
                                             for n in range(45, 50)])

        text = self.hang(main())
        for number in (45, 46, 47):  # three that wait alike are described
            self.assertRegex(text, rf"Asks-{number} \(Lock\.acquire\) .*\n      waits for Lock \d+, which "
                                   rf"Holder-{number} holds: <Lock")

    def test_ten_tasks_fit_a_screen(self):
        """Ten tasks that wait for different things take at most fifty lines."""

        async def main():
            lock = asyncio.Lock()
            async with lock, asyncio.TaskGroup() as group:
                for _ in range(3):
                    group.create_task(lock.acquire())
                    group.create_task(asyncio.Event().wait())
                    group.create_task(asyncio.Queue().get())

        self.assertLess(self.hang(main()).count("\n"), 50)
