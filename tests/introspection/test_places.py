"""Where in the user's code a thing was made."""

import asyncio
import bdb
import contextlib
import os
import sys
import types
import unittest
import unittest.mock

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.introspection import places
from solipsism_unittest.introspection.modules import is_plumbing
from solipsism_unittest.introspection.places import Place, function_words, line_words, shorten, user_place
from solipsism_unittest.loop import turns
from tests import run_python


def here(depth=1):
    return user_place(depth)


class CallerTest(unittest.TestCase):
    def test_one_place_for_each_caller(self):
        """The same line of a library with the same caller is one Place; with another caller it is another one."""
        line, here, there = user_place(), user_place(), user_place()
        place = line.called_from(here)
        self.assertEqual((place.caller, place.in_library), (here, True))
        self.assertIs(line.called_from(here), place)
        self.assertIs(line.called_from(place), place)  # the caller of a library's line is the program's
        self.assertIsNot(line.called_from(there), place)


class WalkTest(unittest.TestCase):
    def test_line(self):
        """A place is the line of the call, the file as a person would type it, and the function."""
        place = user_place()
        line = sys._getframe().f_lineno - 1
        self.assertEqual(
            str(place),
            f"{os.path.join('tests', 'test_places.py')}:{line} in WalkTest.test_line"
            if os.getcwd() == os.path.dirname(os.path.dirname(__file__))
            else str(place),
        )
        self.assertEqual((place.line, place.code.co_name), (line, "test_line"))

    def test_depth(self):
        """Depth 2 is who called the caller."""
        self.assertEqual([here(1).code.co_name, here(2).code.co_name], ["here", "test_depth"])

    def test_lines_of_one_function(self):
        """Two calls in one function are two places; one call made twice is one."""
        found = []
        for _ in range(2):
            found.append(user_place())
            found.append(user_place())
        self.assertEqual(found[0], found[2])
        self.assertEqual(found[1].line, found[0].line + 1)

    def test_one_object(self):
        """A line that is met again and again gives one Place."""
        found = [user_place() for _ in range(3)]
        self.assertIs(found[0], found[1])
        self.assertIs(found[1], found[2])

    def test_thousands_of_lines(self):
        """Lines of functions that come and go keep their own places, and only so many are kept."""
        for number in range(places.MOST_PLACES + 100):
            namespace = {"__name__": "program", "user_place": user_place}
            exec(f"def function{number}(): return user_place()", namespace)
            self.assertEqual(namespace[f"function{number}"]().code.co_name, f"function{number}")
        self.assertLessEqual(len(places._PLACES), places.MOST_PLACES)

    def test_plumbing_is_walked_over(self):
        """Frames of asyncio, contextlib, threading and the like are not where something was made."""
        with contextlib.ExitStack() as stack:
            found = []
            stack.callback(lambda: found.append(user_place(2)))
        self.assertEqual(found[0].code.co_name, "test_plumbing_is_walked_over")

    def test_nobody(self):
        """A callback that a loop runs has nobody of the user's above it: the walk ends where the loop was started."""
        namespace = {"__name__": "asyncio.made_up", "user_place": user_place, "found": []}
        exec("def callback(): found.append(user_place(1))", namespace)
        with asyncio.Runner() as runner:
            runner.get_loop().call_soon(namespace["callback"])
            runner.run(asyncio.sleep(0))
        self.assertEqual(namespace["found"], [None])

    def test_nobody_above_a_lean_turn(self):
        """So it does at the turn of our loop that calls: it does not get to what has started the loop."""
        namespace = {"__name__": "asyncio.made_up", "user_place": user_place, "found": []}
        exec("def callback(): found.append(user_place(1))", namespace)
        with (asyncio.Runner(loop_factory=SolipsistEventLoop) as runner,
                unittest.mock.patch.dict(places._STARTERS, clear=True)):
            places.ends_in_second_half(turns._LEAN)
            runner.get_loop().call_soon(namespace["callback"])
            runner.run(asyncio.sleep(0))
        self.assertEqual(namespace["found"], [None])

    def test_where_pytest_starts_a_test(self):
        """What a plug-in of pytest makes for a test has no line: above it stands nothing but the runner."""
        runner, plugin = {"__name__": "_pytest.runner"}, {"__name__": "pytest_asyncio.plugin", "user_place": user_place}
        exec("def runtestprotocol(call): return call()", runner)
        exec("def make(): return user_place(1)", plugin)
        self.assertIsNone(runner["runtestprotocol"](plugin["make"]))

    def test_frames_as_pythons_own_function_counts_them(self):
        """A frame above is the one that sys._getframe() gives, also where a signal has ended the way to it."""
        for _ in range(2):
            for depth in range(3):
                self.assertIs(places.frame_above(depth), sys._getframe(depth))
            places.WATCH.ask.__self__.close()

    def test_end_of_the_stack(self):
        """Where every frame is plumbing there is no place."""
        found = []
        code = compile("found.append(user_place(1))", "<made up>", "exec")
        frame = types.SimpleNamespace(f_back=None, f_code=code, f_globals={"__name__": "asyncio.x"}, f_lasti=0)
        with unittest.mock.patch("solipsism_unittest.introspection.places._getframe", lambda depth: frame):
            found.append(user_place())
        self.assertEqual(found, [None])

    def test_above_the_stack(self):
        """Above the outermost frame nothing was made."""
        self.assertIsNone(places.place_above(None))

    def test_names_that_only_begin_like_plumbing(self):
        """A module is judged by its first name as a whole."""
        self.assertEqual(
            [is_plumbing(name) for name in ("asyncio", "asyncio.tasks", "asyncio_extra", "my.asyncio", "", "ssl")],
            [True, True, False, False, False, True],
        )
        self.assertTrue(is_plumbing(places.__name__))


class WatchTest(unittest.TestCase):
    def test_who_asks(self):
        """Who asks gets its own frame, also after an error has ended the watch, and while another one is in it."""
        watch = places.Watch()
        self.assertIs(watch.ask(), sys._getframe())
        watch.ask.__self__.close()
        with self.assertRaises(places.NOT_ASKED):
            watch.ask()
        self.assertIs(watch.again(), sys._getframe())
        self.assertIs(watch.ask(), sys._getframe())

    def test_a_task_after_an_error(self):
        """A task has its place where the watch was ended by a signal."""
        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:

            async def main():
                places.WATCH.ask.__self__.close()
                return asyncio.create_task(asyncio.sleep(0)), asyncio.create_task(asyncio.sleep(0))

            found = {str(task.made_at).rpartition(" in ")[2] for task in runner.run(main())}
        self.assertEqual(found, {"WatchTest.test_a_task_after_an_error.<locals>.main"})

    def test_functions_of_one_name(self):
        """Of functions of one name each has its own places."""
        found = []
        for filename in ("one.py", "two.py", "one.py"):
            namespace = {"__name__": "program", "user_place": user_place}
            exec(compile("def function(): return user_place()", filename, "exec"), namespace)
            found.append(namespace["function"]())
        self.assertEqual([str(place).partition(":")[0] for place in found], ["one.py", "two.py", "one.py"])


def library_function(name, source):
    """A function as an installed library would define it."""
    filename = os.path.join(os.sep, "lib", "site-packages", "somelib", "api.py")
    namespace = {"__name__": "somelib.api", "asyncio": asyncio, "user_place": user_place}
    exec(compile(source, filename, "exec"), namespace)
    return namespace[name]


class LibraryTest(unittest.TestCase):
    def test_called_by_the_user(self):
        """Of a line in an installed library the nearest line outside of it is told too."""
        outer = library_function("outer", "def inner():\n    return user_place()\ndef outer():\n    return inner()")
        place = outer()
        self.assertEqual((place.code.co_name, place.line, place.in_library), ("inner", 2, True))
        self.assertEqual(place.caller.code, sys._getframe().f_code)
        self.assertTrue(str(place).endswith(f"api.py:2 in inner, called from {place.caller}"), str(place))

    def test_called_by_a_loop(self):
        """Of a library's callback the library's line is all that there is."""
        found = []
        callback = library_function("callback", "def callback(found): found.append(user_place())")
        with asyncio.Runner() as runner:
            runner.get_loop().call_soon(callback, found)
            runner.run(asyncio.sleep(0))
        self.assertEqual((found[0].code.co_name, found[0].caller), ("callback", None))
        self.assertTrue(str(found[0]).endswith("api.py:1 in callback"))

    def test_in_a_task_of_the_library(self):
        """What a library makes in a task of its own is told with the user's line that had the task made."""
        connect = library_function("connect", """
async def child():
    return asyncio.create_task(grandchild())
async def grandchild():
    return asyncio.get_running_loop().call_later(0, print)
async def connect():
    return await (await asyncio.create_task(child()))
""")

        async def main():
            return (await connect()).made_at

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            place = runner.run(main())
        self.assertEqual([place.code.co_name, place.caller.code.co_name], ["grandchild", "main"])


class Tracing:
    """An awaitable with which a debugger begins to trace, in the middle of a gather()."""

    def __hash__(self):
        sys.settrace(self.trace)
        return 1

    def trace(self, frame, event, argument):
        """Trace nothing but this function's own name."""
        return self.trace if event == "call" and frame.f_code.co_name == "traced" else None

    def __await__(self):
        return asyncio.sleep(0, "traced").__await__()


class Stopping:
    """An awaitable in which a debugger stops, in the middle of a gather()."""

    def __hash__(self):
        return 1

    def __await__(self):
        return asyncio.sleep(0).__await__()


class GatherTest(unittest.TestCase):
    def test_lines(self):
        """Each gather() has its own line, also where one comes after the other from functions of one shape."""
        first = sys._getframe().f_lineno + 3

        def one():
            return asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

        def other():
            return asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))

        async def main():
            groups = [one(), other(), one(), asyncio.gather(asyncio.sleep(0))]
            await asyncio.wait(groups)
            return [task.made_at for group in groups for task in group._children]

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual([place.line - first for place in runner.run(main())], [0, 0, 3, 3, 0, 0, 3 + 3])

    def test_the_code_is_looked_at_once(self):
        """To look at a frame's code is an audited call: it is not made for each task of a gather()."""
        program = (
            "import asyncio, sys\n"
            "from solipsism_unittest import SolipsistEventLoop\n"
            "looks = []\n"
            "sys.addaudithook(lambda event, args: event == 'object.__getattr__' and looks.append(args[1]))\n"
            "async def main():\n"
            "    looks.clear()\n"
            "    await asyncio.gather(*map(asyncio.sleep, [1] * 1000))\n"
            "    print(len(looks) < 30)\n"
            "with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:\n"
            "    runner.run(main())\n"
        )
        self.assertEqual(run_python("-S", "-c", program).stdout, "True\n")  # no coverage: that traces every frame

    def test_a_debugger_that_comes_meanwhile(self):
        """What begins to trace while gather() runs is not disturbed, and a frame that somebody traces keeps that."""

        async def main():
            before, tracing = sys.gettrace(), Tracing()
            try:
                group = asyncio.gather(asyncio.sleep(0), asyncio.sleep(0), tracing, asyncio.sleep(0))
                found = sys.gettrace()
            finally:
                sys.settrace(before)
            return found, tracing.trace, await group, {str(task.made_at) for task in group._children}

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            found, tracer, results, made_at = runner.run(main())
        self.assertEqual((found, results, len(made_at)), (tracer, [None, None, "traced", None], 1))

    def test_a_frame_that_is_traced(self):
        """What traces the frame of a gather() stays there."""
        seen = []

        def trace(frame, event, argument):
            if frame.f_globals is vars(asyncio.tasks) and frame.f_code.co_name == "gather":
                seen.append(event)
                return trace
            return None

        async def main():
            before = sys.gettrace()
            sys.settrace(trace)
            try:
                group = asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
            finally:
                sys.settrace(before)
            await group
            return len({str(task.made_at) for task in group._children})

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            self.assertEqual(runner.run(main()), 1)
        self.assertEqual(seen[-1], "return")


    def test_a_debugger_that_steps_out(self):
        """A debugger that stops in what gather() calls comes back to gather() step by step, as on a stock loop."""
        class Stepping(bdb.Bdb):
            stops, has_stopped = 0, False

            def user_line(self, frame):
                self.has_stopped |= frame.f_code is Stopping.__hash__.__code__
                self.stops += frame.f_code is asyncio.gather.__code__
                if self.has_stopped:
                    self.set_step()
                else:
                    self.set_continue()

            def user_return(self, frame, value):
                self.set_step()

        async def main():
            return await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0), Stopping(), asyncio.sleep(0))

        def stops(factory, **backend):
            stepping, before = Stepping(**backend), sys.gettrace()
            stepping.set_break(__file__, Stopping.__hash__.__code__.co_firstlineno + 1)
            try:
                with asyncio.Runner(loop_factory=factory) as runner:
                    stepping.runcall(runner.run, main())
            finally:
                sys.settrace(before)
            return stepping.stops

        for backend in ({}, {"backend": "monitoring"})[:1 + (sys.version_info >= (3, 14))]:
            stock = stops(asyncio.SelectorEventLoop, **backend)
            self.assertGreater(stock, 3)
            self.assertEqual(stops(SolipsistEventLoop, **backend), stock, backend)


class LineTest(unittest.TestCase):
    def test_no_line(self):
        """Where the compiler kept no line it is the first line of the code."""
        code = compile("x = 1\ny = 2", "made.py", "exec")
        self.assertEqual(Place(code, 10**6).line, 1)
        bare = code.replace(co_linetable=b"")
        self.assertEqual(Place(bare, 2).line, 1)

    def test_last_line(self):
        """The line belongs to the instruction, not to the code."""
        code = compile("x = 1\ny = 2\nz = 3", "made.py", "exec")
        self.assertEqual(Place(code, len(code.co_code) - 2).line, 3)


class WordsTest(unittest.TestCase):
    def test_a_line(self):
        """A line of code is told by file, number and function."""
        code = compile("\ndef made(): pass", "made.py", "exec").co_consts[0]
        self.assertEqual(line_words(code, 7), "made.py:7 in made")

    def test_a_function(self):
        """A function is told with its first line unless another one is given, and by its own name unless by another."""
        code = compile("\ndef made(): pass", "made.py", "exec").co_consts[0]
        self.assertEqual(function_words(code), "made (made.py:2)")
        self.assertEqual(function_words(code, 7, "called"), "called (made.py:7)")


class ShortenTest(unittest.TestCase):
    def test_below_and_elsewhere(self):
        """A file below the working directory is shown relative to it, any other as it is."""
        below = os.path.join(os.getcwd(), "some", "file.py")
        elsewhere = os.path.join(os.path.dirname(os.getcwd()), "elsewhere.py")
        self.assertEqual(shorten(below), os.path.join("some", "file.py"))
        self.assertEqual((shorten(elsewhere), shorten("<string>")), (elsewhere, "<string>"))

    def test_at_the_root(self):
        """At the root everything is below."""
        with unittest.mock.patch.object(places, "_working_directory", lambda: os.sep):
            self.assertEqual(shorten(os.path.join(os.sep, "some", "file.py")), os.path.join("some", "file.py"))

    def test_no_working_directory(self):
        """Where the working directory is gone the path stays."""
        with unittest.mock.patch.object(places, "_working_directory", side_effect=FileNotFoundError):
            self.assertEqual(shorten("/some/file.py"), "/some/file.py")
