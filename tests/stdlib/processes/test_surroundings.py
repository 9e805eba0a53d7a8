"""What programs of one interpreter find around them, each its own."""

import _thread
import asyncio
import concurrent.futures
import contextlib
import contextvars
import io
import os
import sys
import threading
import unittest

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.stdlib.processes.surroundings import Surroundings, shown, surround


class SurroundingsTest(unittest.TestCase):
    def setUp(self):
        self.enterContext(shown())
        self.out = io.StringIO()
        self.context = contextvars.copy_context()
        self.context.run(surround, Surroundings(["tool", "-x", "y"], {"A": "1"}, io.StringIO("one\ntwo"), self.out,
                                                self.out))

    def inside(self, function):
        """What a function of the program gives."""
        return self.context.run(function)

    def test_arguments(self):
        """sys.argv is a list of its own, of which lists are made."""
        self.assertEqual(self.inside(lambda: (sys.argv[1:], sys.argv[-1], len(sys.argv), "-x" in sys.argv)),
                         (["-x", "y"], "y", 3, True))
        self.assertEqual(self.inside(lambda: [*sys.argv]), ["tool", "-x", "y"])
        self.assertEqual(self.inside(lambda: (sys.argv + ["z"], ["z"] + sys.argv, sys.argv.copy(), repr(sys.argv))),
                         (["tool", "-x", "y", "z"], ["z", "tool", "-x", "y"], ["tool", "-x", "y"],
                          "['tool', '-x', 'y']"))

        def change():
            sys.argv.insert(1, "new")
            sys.argv.append("last")
            sys.argv[0] = "other"
            del sys.argv[2]
            return sys.argv.pop(), sys.argv == ["other", "new", "y"], list(sys.argv)

        self.assertEqual(self.inside(change), ("last", True, ["other", "new", "y"]))
        self.assertNotIn("new", sys.argv)

    def test_environment(self):
        """os.environ is a mapping of its own, of which dicts are made."""

        def change():
            os.environ["B"] = "2"
            os.environ.setdefault("C", "3")
            del os.environ["A"]
            return (dict(os.environ), os.environ.copy(), os.environ | {"D": "4"}, {"D": "4"} | os.environ,
                    os.getenv("B"), os.environ.get("HOME"), len(os.environ), repr(os.environ))

        mine = {"B": "2", "C": "3"}
        more = mine | {"D": "4"}
        self.assertEqual(self.inside(change), (mine, mine, more, more, "2", None, 2, f"environ({mine!r})"))
        self.assertNotIn("C", {"C"} & set(os.environ))

    def test_streams(self):
        """The streams are files of its own."""

        def talk():
            print("hello", file=sys.stderr)
            sys.stdout.write("there")
            return list(sys.stdin), repr(sys.stdout) == repr(self.out)

        self.assertEqual((self.inside(talk), self.out.getvalue()), ((["one\n", "two"], True), "hello\nthere"))

    def test_somebody_elses(self):
        """What somebody has put there meanwhile stays."""
        before, mine = sys.stdout, io.StringIO()
        with shown():
            sys.stdout = mine
        self.assertIs(sys.stdout, mine)
        sys.stdout = before


class EndTest(unittest.TestCase):
    def test_as_before(self):
        """In the end all is what it was, unless somebody has put a thing of his own there."""
        before = sys.argv, os.environ, sys.stdin, sys.stdout, sys.stderr
        mine = io.StringIO()
        with shown():
            self.assertIsNot(sys.stdin, before[2])
            with shown():
                sys.stdin = mine
        self.assertEqual([sys.argv, os.environ, sys.stdin, sys.stdout, sys.stderr],
                         [before[0], before[1], mine, *before[3:]])
        sys.stdin = before[2]

    def test_a_stand_in_put_back(self):
        """A stand-in that somebody has put back too late is what was there, and goes with the next programs."""
        before, redirected = sys.stdout, contextlib.redirect_stdout(io.StringIO())
        with shown():
            redirected.__enter__()
        redirected.__exit__(None, None, None)
        self.assertIsNot(sys.stdout, before)
        self.assertEqual(sys.stdout.fileno, before.fileno)
        with shown():
            pass
        self.assertIs(sys.stdout, before)


class ThreadsTest(SolipsistTestCase):
    """What a program's threads and jobs find is the program's."""

    async def test_threads_and_jobs(self):
        """Arguments, variables and streams of a thread, of one of `_thread`, of a timer and of a pool's job."""

        def report(who):
            print(who, sys.argv[1], os.environ["A"])

        def main():
            thread = threading.Thread(target=report, args=("thread",))
            thread.start()
            thread.join()
            _thread.start_new_thread(report, ("bare",))
            timer = threading.Timer(1, report, ("timer",))
            timer.start()
            timer.join()
            self.pool.submit(report, "job").result()

        with concurrent.futures.ThreadPoolExecutor(1) as self.pool:
            for number in "12":
                run = await self.run_program(main, argv=[f"argument-{number}"], env={"A": number})
                self.assertEqual((run.returncode, run.stderr), (0, b""))
                self.assertEqual(run.stdout.decode().splitlines(), [
                    f"{who} argument-{number} {number}" for who in ("thread", "bare", "timer", "job")])
            seen = self.pool.submit(lambda: "A" in os.environ).result  # of no program
            self.assertFalse(await asyncio.to_thread(seen))


if __name__ == "__main__":
    unittest.main()
