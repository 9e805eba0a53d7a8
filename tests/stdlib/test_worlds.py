"""Worlds: one run and what belongs to it, and the table that says which thread is where."""

import _socket
import asyncio
import functools
import math
import os
import select
import socket
import threading
import time
import unittest

from solipsism_unittest import (
    EscapeError,
    SolipsismError,
    SolipsistEventLoop,
    SolipsistTestCase,
    VirtualSocket,
    sealed,
)
from solipsism_unittest.kernel import Kernel
from solipsism_unittest.stdlib.worlds import (
    Keep,
    World,
    inside,
    leave_every_world,
    outside,
    threads_in,
    world_here,
)


class WorldTest(unittest.TestCase):
    def test_a_run_that_could_not_begin(self):
        """Its end is none: where a loop's turn never came, another one that runs goes on."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        loop.world.running.append(loop)
        loop.world.end_run(SolipsistEventLoop)
        self.assertEqual(loop.world.running, [loop])
        loop.world.end_run(loop)
        self.assertEqual(loop.world.running, [])

    def test_how_far_threads_move_time(self):
        """As far as the loop goes; as far as they like without one, and not at all where only advance() moves it."""
        self.assertEqual(World(Kernel()).reach(), math.inf)
        for autojump, reach in ((True, math.inf), (False, -math.inf)):
            loop = SolipsistEventLoop(autojump=autojump)
            self.addCleanup(loop.close)
            self.assertEqual(loop.world.reach(), reach)

    def test_a_loop_has_a_world(self):
        """A loop's world knows the loop, and has its kernel, its jobs and no escapes."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        world = loop.world
        self.assertEqual((world.loop, world.kernel, world.guarded, world.escapes), (loop, loop.kernel, True, []))
        self.assertIs(world.jobs, loop.selector.jobs)
        self.assertRegex(repr(world), r"^<World <SolipsistEventLoop idle t=0\.0> on <Kernel t=0\.0 0 open files, .*>>$")

    def test_jobs_wake_the_loop(self):
        """The jobs of a world wake its loop; where there is none they wake nobody."""
        woken = []
        World(Kernel(), None, lambda: woken.append(True)).jobs.begin("a job", None).end()
        World(Kernel()).jobs.begin("a job", None).end()
        self.assertEqual(woken, [True])

    def test_adopted(self):
        """What is in a loose world moves into the world that adopts it."""
        world, loose = World(Kernel()), World(Kernel(), loose=True)
        one, two = VirtualSocket.pair(loose)
        self.addCleanup(two.close)
        self.addCleanup(one.close)
        world.adopt(loose)
        self.assertEqual((loose.adopted_by, one.world, two.kernel), (world, world, world.kernel))


class TableTest(unittest.TestCase):
    def test_inside(self):
        """A thread is in the innermost world that it has entered, and in none before and after."""
        outer, inner = World(Kernel()), World(Kernel())
        here = threading.get_ident()
        with inside(outer):
            with inside(inner):
                self.assertEqual((world_here(), threads_in(inner), threads_in(outer)), (inner, [here], []))
            self.assertEqual((world_here(), threads_in(outer)), (outer, [here]))
        self.assertEqual((world_here(), threads_in(outer)), (None, []))

    def test_where_a_loop_runs(self):
        """A loop runs in its world, whether the thread lives there already or not; then that is where it was."""
        loops = SolipsistEventLoop(), SolipsistEventLoop()

        async def main():
            return world_here()

        with sealed(loops[0]):
            for loop in loops:
                self.assertIs(loop.run_until_complete(main()), loop.world)
                self.assertIs(world_here(), loops[0].world)
        for loop in loops:
            self.assertIs(loop.run_until_complete(main()), loop.world)
            self.assertIsNone(world_here())
            loop.close()

    def test_sealed_takes_a_loop(self):
        """sealed() takes a loop that has a world, and nothing else: no world, no kernel."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            self.assertIs(world_here(), loop.world)
        for other in (loop.world, loop.kernel, None):
            with self.subTest(other), self.assertRaisesRegex(SolipsismError, "has no virtual world"):
                sealed(other)


class KeepTest(unittest.TestCase):
    """A seal that is kept between tests: its stand-ins stay, do what the real things do, and go at the end."""

    REAL = time.monotonic, os.stat, asyncio.tasks.__dict__.get("set")

    def names(self):
        return time.monotonic, os.stat, asyncio.tasks.__dict__.get("set")

    def setUp(self):
        self.loop = SolipsistEventLoop(start_time=1000.0)
        self.addCleanup(self.loop.close)
        self.addCleanup(lambda: self.assertEqual(self.names(), self.REAL))

    def check_kept(self):
        for name, real in zip(self.names(), self.REAL, strict=True):
            self.assertIsNot(name, real)
        self.assertEqual((world_here(), os.stat(".").st_ino), (None, self.REAL[1](".").st_ino))
        self.assertAlmostEqual(time.monotonic(), self.REAL[0](), delta=60)

    def test_it_stays(self):
        """It stays before, between and after seals, until everybody who keeps it has ended that."""
        first, second = Keep(), Keep()
        for _ in range(2):
            self.check_kept()
            with sealed(self.loop):
                self.assertEqual(time.monotonic(), 1000.0)
        first.end()
        self.check_kept()
        second.end()
        self.assertEqual(self.names(), self.REAL)

    def test_begun_and_ended_inside(self):
        """Inside of a seal it changes nothing, and whoever is the last puts the names back."""
        with sealed(self.loop):
            keep = Keep()
        self.check_kept()
        with sealed(self.loop):
            keep.end()
            self.assertEqual(time.monotonic(), 1000.0)
        self.assertEqual(self.names(), self.REAL)

    def test_a_name_that_was_taken_away(self):
        """A name that somebody takes meanwhile has its stand-in in the next seal, and is his again at the end."""
        for owner, name in ((os, "stat"), (asyncio.tasks, "set"), (threading.Condition, "wait")):
            before, theirs = vars(owner).get(name), lambda *args: "theirs"
            keep = Keep()
            setattr(owner, name, theirs)
            with sealed(self.loop):
                self.assertIsNot(vars(owner)[name], theirs)
            keep.end()
            now = vars(owner)[name]
            self.assertEqual((owner, now()), (owner, "theirs"))
            if before is None:
                delattr(owner, name)
            else:
                setattr(owner, name, before)

    def test_in_a_forked_child(self):
        """A forked child has the real names, and ends there what it does not know of."""
        keep, sealed_too = Keep(), inside(self.loop.world)
        sealed_too.__enter__()
        leave_every_world()
        self.assertEqual(self.names(), self.REAL)
        keep.end()
        keep = Keep()
        leave_every_world()
        self.assertEqual(self.names(), self.REAL)
        keep.end()
        with sealed(self.loop):
            self.assertEqual(time.monotonic(), 1000.0)


class LeftThreadTest(unittest.TestCase):
    """A thread that is still there when its world is over: it reads a real pipe, so that nothing can strike it."""

    NAMES = ((time, "monotonic"), (socket, "getaddrinfo"), (select, "select"), (threading.Thread, "start"))

    def setUp(self):
        with sealed(loop := SolipsistEventLoop()):  # from the first seal on an attribute of a class stays replaced
            loop.close()
        self.real = self.names()
        self.reading, writing = os.pipe()
        for descriptor in (self.reading, writing):
            self.addCleanup(os.close, descriptor)
        self.go_on = functools.partial(os.write, writing, b"on")
        self.threads = []
        self.addCleanup(lambda: [thread.join(10) for thread in self.threads])
        self.addCleanup(self.go_on)

    def names(self):
        return [getattr(owner, name) for owner, name in self.NAMES]

    def leave(self, work=None):
        """A world that is over, and its thread that is still there; `work()` is what that does when it goes on."""
        def stay():
            os.read(self.reading, 1)
            if work is not None:
                work()

        with asyncio.Runner(loop_factory=SolipsistEventLoop) as runner:
            async def main():
                self.threads.append(threading.Thread(target=stay))
                self.threads[-1].start()
                await asyncio.to_thread(int)  # the other thread has its turn first

            runner.run(main())

    def test_the_names_are_back(self):
        """When the loop is closed, the standard library's names are what they were."""
        self.leave()
        self.assertEqual(self.names(), self.real)
        self.leave()
        self.assertEqual(self.names(), self.real)

    def test_a_later_world(self):
        """A later world is as every other, also when the thread ends in the midst of it."""
        self.leave()
        loop = SolipsistEventLoop(5.0)
        self.addCleanup(loop.close)
        with sealed(loop):
            self.assertEqual(time.monotonic(), 5.0)
            self.go_on()
            self.threads[0].join(10)
            self.assertEqual(time.monotonic(), 5.0)
        self.assertEqual(self.names(), self.real)

    def test_the_thread_cannot_reach_the_real_world(self):
        """What the thread does later in the real world is stopped."""
        errors = []

        def work():
            with self.assertRaises(EscapeError) as caught:
                _socket.socket().connect(("127.0.0.1", 9))
            errors.append(caught.exception)

        self.leave(work)
        self.go_on()
        self.threads[0].join(10)
        self.assertEqual(len(errors), 1)

    def test_a_test_case(self):
        """A test that leaves a thread fails, and the next one, of plain unittest, has the real names."""
        class Leaves(SolipsistTestCase):
            async def test(case):
                self.threads.append(threading.Thread(target=os.read, args=(self.reading, 1)))
                self.threads[-1].start()

        result = unittest.TestResult()
        Leaves("test").run(result)
        self.assertEqual(self.names(), self.real)
        text = result.failures[0][1]
        self.assertRegex(text, r"1 thread alive\n    Thread \S+ \(read\), stands at\n      \S+ in Thread\.run\n"
                         r"      Python will wait for this thread when the process ends, for ever if need be: it is no "
                         r"daemon\n      made at ")


class OutsideTest(unittest.TestCase):
    def test_outside(self):
        """In the block a thread is in the real world; one that was there before stays there."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with outside():
            self.assertIsNone(world_here())
        self.assertIsNone(world_here())
        with sealed(loop):
            with outside():
                self.assertIsNone(world_here())
            self.assertIs(world_here(), loop.world)
