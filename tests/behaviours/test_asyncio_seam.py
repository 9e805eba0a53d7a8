"""The seam to asyncio: what of its loop is replaced, what is its own, and each private name of it that is touched."""

import ast
import asyncio
import unittest
from asyncio import base_events, events, futures, runners, selector_events, tasks, trsock

from solipsism_unittest import SolipsistEventLoop
from solipsism_unittest.hangs import waits
from solipsism_unittest.loop.children import ChildProcesses
from solipsism_unittest.loop.doors import Behind
from solipsism_unittest.loop.inventory import Task
from solipsism_unittest.loop.serving import Serving
from solipsism_unittest.loop.signals import SignalHandlers
from solipsism_unittest.loop.transports import Transport, Transporting
from solipsism_unittest.loop.turns import STEP, Turns
from solipsism_unittest.loop.watching import Watching
from tests import ROOT

# Everything of BaseSelectorEventLoop and its bases that SolipsistEventLoop replaces.
OVERRIDES = {
    "__init__": "makes the kernel and the virtual selector, and hands the selector on",
    "__repr__": "says the virtual time",
    "_closed": "true until __init__ is through, for __del__ asks",
    "_make_self_pipe": "no real descriptor: other threads wake the loop through a queue",
    "_close_self_pipe": "see _make_self_pipe",
    "_write_to_self": "see _make_self_pipe",
    "time": "the virtual time",
    "_clock_resolution": "_run_once takes timers before time() + this for due: one gap between floats means exactly",
    "_asyncgens": "made when a generator begins; most loops have none",
    "_transports": "made when somebody asks for it; most loops have none",
    "slow_callback_duration": "measured in real time, per turn, where asyncio's own measure is virtual",
    "call_at": "timers of one instant keep their order of creation, and know where they were made",
    "call_later": "see call_at",
    "call_soon": "finds calls from a wrong thread, and coroutine functions, outside of debug mode too",
    "call_soon_threadsafe": "finds coroutine functions outside of debug mode too",
    "_create_server_getaddrinfo": "create_server puts the addresses into a set: their order must not depend on hashes",
    "create_task": "names are per loop, and tasks know where they were made",
    "run_forever": "seals the thread, and chooses whose turns are made",
    "_run_once": "the same turns, leaner; CPython's own in debug mode and with a program's own selector",
    "_scheduled": "the timers of lean turns stand in a line",
    "set_debug": "debug mode has CPython's own turns",
    "call_exception_handler": "an error that a test expects is not logged",
    "default_exception_handler": "what nobody caught fails the test",
    "connect_read_pipe": "a real descriptor is refused at the call: asyncio registers it in a callback",
    "connect_write_pipe": "see connect_read_pipe",
    "add_reader": "a registration knows where it was made",
    "add_writer": "see add_reader",
    "_asyncgen_firstiter_hook": "an async generator knows where it was begun",
    "_asyncgen_finalizer_hook": "the task that closes a generator knows which one",
    "_check_running": "asyncio's own, past what refuses a stock loop from before the test",
    "run_until_complete": "turns a hang into an error, whatever the program makes of it",
    "run_in_executor": "an unfinished job holds the clock",
    "shutdown_default_executor": "joins: a virtual limit would be over at once",
    "getaddrinfo": "the virtual resolver, without a thread",
    "getnameinfo": "the virtual resolver, without a thread",
    "subprocess_exec": "for programs that the test has added; else refused, for it would be a real one",
    "_make_subprocess_transport": "a program of the test says itself when it ends: no watcher",
    "subprocess_shell": "see subprocess_exec",
    "close": "ends what the world still has open",
    "add_signal_handler": "handlers are for signals of the virtual process",
    "remove_signal_handler": "see add_signal_handler",
    "_start_serving": "what runs for a server belongs to the host that it has bound",
    "remove_reader": "takes numbers that a program knows another way, as add_reader does",
    "remove_writer": "see remove_reader",
    "_add_reader": "a transport's descriptor goes straight into the table of the virtual selector",
    "_add_writer": "see _add_reader",
    "_remove_reader": "see _add_reader",
    "_remove_writer": "see _add_reader",
    "_make_socket_transport": "a few bytes between two ends in memory are spared the way through a socket",
    "_signal_handlers": "each program that runs on the loop has its own",
    "_csock": "what asyncio hands to signal.set_wakeup_fd(): no real descriptor",
}
WRITTEN_BY_PYTHON = {
    "__module__",
    "__doc__",
    "__firstlineno__",
    "__static_attributes__",
    "__annotations__",
    "__dict__",
    "__slots__",
    "__weakref__",
}


class OverridesTest(unittest.TestCase):
    def test_the_table_is_what_is_replaced(self):
        """SolipsistEventLoop replaces of asyncio's loop exactly what the table lists, each with a reason."""
        classes = (SolipsistEventLoop, ChildProcesses, Serving, Transporting, SignalHandlers, Watching, Turns,
                   Behind)
        ours = {name for cls in classes for name in vars(cls)} - WRITTEN_BY_PYTHON
        stock = asyncio.SelectorEventLoop()
        self.addCleanup(stock.close)
        known = set(vars(stock)) | {
            name for base in asyncio.SelectorEventLoop.__mro__ for name in vars(base)
        }
        self.assertEqual(ours & known, set(OVERRIDES))
        self.assertTrue(all(OVERRIDES.values()))

    def test_the_loop_is_asyncios(self):
        """The loop's one base beside its turns is the system's own SelectorEventLoop, with its own factories."""
        self.assertEqual(SolipsistEventLoop.__mro__[1:5], (ChildProcesses, Serving, Transporting, SignalHandlers))
        self.assertEqual(Turns.__bases__, (asyncio.SelectorEventLoop, Behind))
        self.assertTrue(issubclass(asyncio.SelectorEventLoop, selector_events.BaseSelectorEventLoop))
        for name in (
            "_make_ssl_transport",
            "_process_events",
            "create_server",
            "create_connection",
            "create_unix_server",
            "create_unix_connection",
            "_make_read_pipe_transport",
            "_make_write_pipe_transport",
            "_stop_serving",
        ):
            self.assertNotIn(name, {**vars(SolipsistEventLoop), **vars(Turns), **vars(Behind)})

    def test_transports_and_servers_are_asyncios(self):
        """A connection and a server are made of asyncio's classes; a transport spares two methods a way, and a task
        has a number, and a name of it.
        """

        async def main():
            accepted = asyncio.get_running_loop().create_future()
            server = await asyncio.start_server(lambda *pair: accepted.set_result(pair), "localhost", 8000)
            reader, writer = await asyncio.open_connection("localhost", 8000)
            _, peer = await accepted
            found = [
                type(server),
                type(writer.transport),
                type(peer.transport),
                type(reader),
                type(writer),
                type(asyncio.current_task()),
            ]
            writer.close()
            peer.close()
            server.close()
            await server.wait_closed()
            return found

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            found = runner.run(main())
        self.assertEqual(
            found, [base_events.Server, Transport, Transport, asyncio.StreamReader, asyncio.StreamWriter, Task]
        )
        self.assertEqual(Transport.__bases__, (selector_events._SelectorSocketTransport,))
        slots = set(Transport.__slots__)
        self.assertEqual(set(vars(Transport)) - WRITTEN_BY_PYTHON - slots, {"write", "_read_ready__data_received"})
        self.assertEqual(Task.__bases__, (asyncio.Task,))
        self.assertLessEqual(set(vars(Task)) - WRITTEN_BY_PYTHON, {"__hash__", "get_name", "__slots__",
                                                                      "__orig_bases__", "number", "made_at"})


# Each private name of asyncio that the package uses, and why.
PRIVATE = {
    "_csock": "see OVERRIDES",
    "_process_self_data": "asyncio's own reading of its self-pipe: which handlers are for these signals",
    "_args": "a leak report finds a listener's server among the arguments of its handle",
    "_asyncgen_firstiter_hook": "see OVERRIDES",
    "_asyncgens": "as asyncio's own finalizer of generators; see OVERRIDES",
    "_buffer": "how much of a message has come so far; whether something waits to be written",
    "_eof": "whether a transport may still write, as its own method asks",
    "_ensure_fd_no_transport": "as asyncio's own factory of transports",
    "_fatal_error": "what a transport makes of an error in its protocol",
    "_make_socket_transport": "see OVERRIDES",
    "_read_ready__data_received": "asyncio's own reading, for all but the plain case",
    "_callback": "reports say whose turn a handle is",
    "_callbacks": "a shield() shows only in the callbacks of its future",
    "_cancel_all_tasks": "a hang while a runner closes is told and not raised",
    "_ContextManagerMixin": "what of asyncio can be held: locks, semaphores, conditions",
    "_get_loop": "where asyncio refuses a lock of another loop, whose test and first wait a report names",
    "_LoopBoundMixin": "whose method that is",
    "_lock": "who waits for a condition's lock waits for who holds it",
    "_unfinished_tasks": "a join() says how many items nobody reported as done",
    "_check_closed": "as asyncio's own methods begin",
    "_check_default_executor": "as asyncio's own run_in_executor",
    "_check_running": "as asyncio's own run_until_complete",
    "_children": "which tasks a gather() waits for",
    "_closed": "what a loop's __del__ asks: one that was refused half-way was never opened",
    "_create_server_getaddrinfo": "see OVERRIDES: asyncio's own answer, put in order",
    "_context": "what is started in background() is no leak",
    "_copy_future_state": "a job's result is handed over in its turn",
    "_thread_id": "the thread in which a loop runs",
    "_default_executor": "run_in_executor(None) makes it, as asyncio's does",
    "_event_loop_policy": "whose get_event_loop() is refused: asking for the policy warns from 3.14 on",
    "_executor_shutdown_called": "run_in_executor() refuses after the shutdown, as asyncio's does",
    "_exception": "the error of a task, looked at without counting as read",
    "_fut_waiter": "what a task waits for",
    "_get_running_loop": "which world a socket belongs to, without an exception where there is none",
    "_log_traceback": "whether somebody has read a task's error",
    "_add_reader": "see OVERRIDES",
    "_add_writer": "see OVERRIDES",
    "_remove_reader": "a registration that was left is taken away, also one that belongs to a transport",
    "_remove_writer": "see _remove_reader",
    "_log_destroy_pending": "a task that is given up was told of already",
    "_loop": "whether a runner has made its loop, which loop a timer belongs to, and whether a transport is over",
    "_protocol_paused": "whether the writing at a transport is paused",
    "_ready": "what would run next",
    "_start_serving": "see OVERRIDES",
    "_state": "of a job's future: whether it has a result, without its lock",
    "_release_waiter": "the callback of the timer of 3.11's wait_for()",
    "_run": "a callback that it calls is the program's, and no call of asyncio's own",
    "_scheduled": "the heap of timers; of a timer, whether it is in there",
    "_cancelled": "a handle that was cancelled does not run; set by hand where a timer is cancelled",
    "_current_handle": "what runs, for the report of an error in debug mode",
    "_debug": "debug mode has CPython's own handles and turns",
    "_process_events": "what a jump of time has made ready goes the way that asyncio's does",
    "_repr": "a handle is filled in by hand, as its constructor does it",
    "_run_once": "CPython's own turn, in debug mode",
    "_stopping": "stop() lets this turn be the last",
    "_timer_cancelled_count": "how many cancelled timers are in the heap",
    "_selector": "a stock loop that is refused has made a real one, which is closed",
    "_set_result_unless_cancelled": "the callback of a sleep()'s timer",
    "_set_running_loop": "what is cut off at the end finds its loop when it is closed",
    "_sock": "the socket in a TransportSocket",
    "_source_traceback": "the place of making that debug mode keeps",
    "_stream_reader": "what a connection's reader holds",
    "_task": "whose limit a Timeout is",
    "_task_factory": "a program's own factory makes tasks of its own",
    "_tasks": "which tasks a TaskGroup waits for",
    "_transport": "where the bytes of a stream come from",
    "_transports": "which transport a descriptor belongs to",
    "_unregister_task": "a task that is cut off is not to be waited for",
    "_waiter": "whom a StreamReader lets wait",
    "_when": "a timer's deadline, where timers are compared",
    "_write_to_self": "no real descriptor",
}
# Private names of our own that some object of asyncio happens to have too.
# (_check_sendfile_params: of socket.socket, as is _sendfile_use_send)
COINCIDENCES = {"_abort", "_waiters", "_check_sendfile_params", "_wait", "_result"}
# What contextlib keeps of the async context managers that were entered: a lock may be among them.
OF_CONTEXTLIB = {"_AsyncGeneratorContextManager", "_exit_callbacks"}
# Private names of other modules: sys, unittest, socket, importlib, warnings (how Python tells of a coroutine never
# awaited).
OF_OTHERS = {
    "_replace", "_fields",  # of a NamedTuple: a copy with other values, and which there are
    "_format_handle",  # of asyncio.base_events: how its turn names a slow callback in debug mode
    "_format_callback_source",  # of asyncio.format_helpers: how asyncio names a callback that failed
    # Of asyncio.base_events: when its turn takes cancelled timers out of the heap.
    "_MIN_CANCELLED_TIMER_HANDLES_FRACTION", "_MIN_SCHEDULED_TIMER_HANDLES",
    "_extract_mock_name",  # of unittest.mock
    "_lru_cache_wrapper",  # of functools: what a cached function is
    "_is_debug_mode",  # of asyncio.coroutines: as asyncio's own constructor asks for it
    # Of asyncio's transports: they warn when they are collected, of what a report may name.
    "_SelectorTransport", "_pipe",
    "_SelectorSocketTransport",  # of asyncio.selector_events: what a transport of ours is
    "_channel",  # of pycares: whether a channel is open
    "_app_transport",  # of asyncio.sslproto: whether the program has closed a connection that waits for its peer
    "_ssl_protocol", "_app_writing_paused",  # of asyncio.sslproto: whether the writing at a TLS transport is paused
    "_create", "_wrap_bio",  # of ssl: what wrap_socket() makes a socket with, and OpenSSL's half of wrap_bio()
    "_max_workers", "_shutdown", "_thread_name_prefix",  # of a thread pool: what another like it is made with
    "_work_queue", "_idle_semaphore",  # of a thread pool: where what costs less is put
    "_base",  # of concurrent.futures: what the state of a future with a result is, and what conditions are made of
    "_invoke_excepthook",  # of a Thread: how it reports what has ended it
    "_handlerList",  # of logging: its handlers, each of which has a lock
    "_LazyModule", "_initializing",  # of importlib: a module that is not loaded yet
    "_check_sendfile_params", "_sendfile_use_send", "_getframe", "_current_frames", "_done_callbacks",
    "_outcome", "_testMethodName", "_showwarnmsg_impl", "_warn_unawaited_coroutine", "_get_context",
}


def private_names():
    """The private names that the package uses as attributes, and those of them that it makes itself."""
    used, made = set(), set()
    for path in sorted((ROOT / "solipsism_unittest").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Attribute(attr=name):
                    used.add(name)
                    if (
                        isinstance(node.ctx, ast.Store)
                        and isinstance(node.value, ast.Name)
                        and node.value.id in ("self", "cls", "face")
                    ):
                        made.add(name)
                case ast.Call(ast.Name("getattr" | "hasattr"), [_, ast.Constant(str(name)), *_]):
                    used.add(name)
                case ast.ImportFrom(names=aliases):
                    used.update(alias.name for alias in aliases)
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                    made.add(name)
                case ast.AnnAssign(ast.Name(name)) | ast.Assign([ast.Name(name)]):
                    made.add(name)
                    if name == "__slots__":
                        made.update(element.value for element in getattr(node.value, "elts", ()))
    return [{name for name in names if name.startswith("_") and not name.startswith("__")} for names in (used, made)]


def known_to_asyncio(names):
    """Those of some names that modules, classes or objects of asyncio have on this Python."""
    things = [
        asyncio,
        events,
        futures,
        runners,
        tasks,
        events.TimerHandle,
        tasks.Task,
        asyncio.Server,
        asyncio.TaskGroup(),
        selector_events._SelectorSocketTransport,
        trsock.TransportSocket(None),
        asyncio.Runner(),
        asyncio.StreamWriter,
        asyncio.locks,
        asyncio.mixins,
        asyncio.Condition(),
        asyncio.Queue(),
    ]

    async def main():
        loop = asyncio.get_running_loop()
        gathered = asyncio.gather(loop.create_future(), loop.create_future())
        reader = asyncio.StreamReader()
        things.extend(
            [
                loop,
                gathered,
                loop.call_later(0, print),
                asyncio.timeout(None),
                reader,
                asyncio.StreamReaderProtocol(reader),
            ]
        )

    loop = asyncio.SelectorEventLoop()
    loop.run_until_complete(main())
    loop.close()
    return {name for name in names if any(hasattr(thing, name) for thing in things)}


class PrivateNamesTest(unittest.TestCase):
    def test_the_table_is_what_is_used(self):
        """The private names of asyncio in the source of the package are exactly the table's, each with its reason."""
        used, _ = private_names()
        self.assertEqual(sorted(known_to_asyncio(used) - COINCIDENCES), sorted(PRIVATE))
        self.assertTrue(all(PRIVATE.values()))

    def test_asyncio_has_them_all(self):
        """Each name of the table exists on this Python: a change in CPython fails here first."""
        self.assertEqual(sorted(set(PRIVATE) - known_to_asyncio(PRIVATE)), [])

    def test_no_private_name_is_unaccounted_for(self):
        """A private name that the package uses and does not make is in the table, or of another module that is
        named.
        """
        used, made = private_names()
        self.assertEqual(sorted(used - made - set(PRIVATE)), sorted(OF_OTHERS | OF_CONTEXTLIB))

    def test_coroutines_whose_names_are_known(self):
        """Each coroutine of asyncio that diagnosis describes by its name exists, but for those that only one version
        has.
        """
        modules = [
            asyncio.locks,
            asyncio.queues,
            asyncio.streams,
            base_events,
            selector_events,
            tasks,
            asyncio.taskgroups,
            asyncio.threads,
            asyncio.base_subprocess,
        ]
        missing = set()
        for name in waits._WAITS:
            outer, _, inner = name.partition(".")
            owner = next((getattr(module, outer) for module in modules if hasattr(module, outer)), None)
            if owner is None or (inner and "<locals>" not in inner and not hasattr(owner, inner)):
                missing.add(name)
        self.assertLessEqual(missing, {"_AsCompletedIterator._wait_for_one"})

    def test_the_steps_of_tasks(self):
        """What a new task hands to `call_soon()` is of the class that the loop takes for a step."""

        async def main():
            task = asyncio.create_task(asyncio.sleep(0))
            step = asyncio.get_running_loop()._ready[-1]._callback
            await task
            return type(step)

        for factory in (asyncio.SelectorEventLoop, SolipsistEventLoop):
            with self.subTest(factory=factory), asyncio.Runner(loop_factory=factory) as runner:
                self.assertIs(runner.run(main()), STEP)
