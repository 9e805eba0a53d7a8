"""Worlds: one run and what belongs to it, and the table that says which thread is where."""

import threading
import unittest

from solipsism_unittest import SolipsismError, SolipsistEventLoop, VirtualSocket, sealed
from solipsism_unittest.kernel import Kernel
from solipsism_unittest.stdlib.worlds import World, inside, threads_in, world_here


class WorldTest(unittest.TestCase):
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

    def test_sealed_takes_a_loop(self):
        """sealed() takes a loop that has a world, and nothing else: no world, no kernel."""
        loop = SolipsistEventLoop()
        self.addCleanup(loop.close)
        with sealed(loop):
            self.assertIs(world_here(), loop.world)
        for other in (loop.world, loop.kernel, None):
            with self.subTest(other), self.assertRaisesRegex(SolipsismError, "has no virtual world"):
                sealed(other)
