"""Connects that nobody answers, second by second."""

import errno
import functools
import random
import socket
import unittest

from solipsism_unittest.kernel import Kernel

ADDRESS = "192.0.2.1"
SYNS = [1, 2, 3, 4, 5, 7, 11, 19, 35, 67, 131]


class HandshakeTest(unittest.TestCase):
    def setUp(self):
        self.kernel = Kernel()
        self.network = self.kernel.network
        self.network.add_host("hole.test", ADDRESS)
        self.network.drop("hole.test")

    def dialled(self):
        end = self.kernel.stream(socket.AF_INET, None)
        self.network.connect(end, ADDRESS, 80)
        return end

    def listening(self):
        end = self.kernel.stream(socket.AF_INET, None)
        self.network.bind(end, ADDRESS, 80)
        self.network.listen(end, 5)
        return end

    def run_out(self):
        """Let all that is in flight arrive, and return when it did."""
        times = []
        while self.kernel.clock.deliveries:
            self.kernel.clock.jump(self.kernel.clock.deliveries[0][0])
            times.append(self.kernel.clock.now)
        return times

    def go_to(self, when):
        clock = self.kernel.clock
        while clock.deliveries and clock.deliveries[0][0] < when:
            clock.jump(clock.deliveries[0][0])
        clock.jump(when)

    def test_nobody_answers(self):
        """A SYN is repeated ten times, and after 131 seconds it is ETIMEDOUT; the journal has it."""
        end = self.dialled()
        self.assertEqual(end.state, "connecting")
        self.assertEqual(self.run_out(), SYNS)
        self.assertEqual((end.state, end.take_error()), ("failed", errno.ETIMEDOUT))
        told = [record.facts[-1] for record in self.kernel.journal if record.kind == "connect"]
        self.assertEqual(told, ["dropped"] * 11)

    def test_many_at_any_time(self):
        """Of connects that begin and end at any time each keeps its own seconds, and the clock knows of one of them."""
        choose = random.Random(1)
        expected = []
        ends = []
        for number in range(100):
            self.go_to(choose.choice((self.kernel.clock.now, number / 8)))
            end = self.dialled()
            ends.append((end, self.kernel.clock.now))
            self.assertEqual(len(self.kernel.clock.deliveries), 1)
        now = self.kernel.clock.now
        choose.shuffle(ends)
        for end, _ in ends[:60]:
            self.kernel.close(end)
            self.assertEqual(len(self.kernel.clock.deliveries), 1)
        for _, began in ends[60:]:
            expected += [began + seconds for seconds in SYNS if began + seconds > now]
        self.assertEqual(self.run_out(), sorted(set(expected)))
        self.assertEqual({end.state for end, _ in ends[60:]}, {"failed"})
        self.dialled().shutdown(socket.SHUT_RDWR)
        self.assertEqual(self.kernel.clock.deliveries, [])

    def test_an_answer_to_another(self):
        """Where a SYN of one connect ends another of the same instant, no more is sent of that one."""
        seen = []
        ends = [self.kernel.stream(socket.AF_INET, None) for _ in range(3)]

        def reach(number):
            seen.append(number)
            ends[1].stop_waiting()
            return number == 2

        for number, end in enumerate(ends):
            self.network.dialling.begin(end, functools.partial(reach, number))
        self.kernel.clock.jump(1.0)
        self.assertEqual(seen, [0, 2])
        self.kernel.clock.jump(2.0)
        self.assertEqual((seen, ends[1].stop_dialling), ([0, 2, 0], None))

    def test_repaired(self):
        """A connect under way succeeds with the first SYN after the repair, or is refused by it."""
        end, other = self.dialled(), self.dialled()
        self.go_to(5.5)
        listener = self.listening()
        self.network.repair("hole.test")
        self.assertEqual((self.run_out(), end.state), ([7], "established"))
        self.assertEqual((len(listener.queue), other.state), (2, "established"))

    def test_refused_after_repair(self):
        """Where nobody listens after the repair, the connect is refused."""
        end = self.dialled()
        self.network.repair(ADDRESS)
        self.assertEqual((self.run_out(), end.take_error()), ([1], errno.ECONNREFUSED))

    def test_closed(self):
        """An end that is closed, or shut down, leaves nothing in flight; others go on."""
        one, two, three = (self.dialled() for _ in range(3))
        self.kernel.close(one)
        two.shutdown(socket.SHUT_RDWR)
        self.assertEqual(len(self.kernel.clock.deliveries), 1)
        self.kernel.close(three)
        self.assertEqual(self.kernel.clock.deliveries, [])

    def test_other_timers(self):
        """Closing a connection touches no timer of another."""
        self.network.repair(ADDRESS)
        self.listening()
        end = self.dialled()
        self.network.drop(ADDRESS)
        waiting = self.dialled()
        self.kernel.close(end)
        self.assertEqual((waiting.state, len(self.kernel.clock.deliveries)), ("connecting", 2))  # a FIN is sent again

    def test_an_older_linux(self):
        """Without linear timeouts the pauses double at once."""
        self.network.dialling.linear_timeouts = 0
        self.dialled()
        self.assertEqual(self.run_out(), [1, 3, 7, 15, 31, 63, 127])

    def test_how_often(self):
        """TCP_SYNCNT and tcp_syn_retries end it at the first SYN not before 2^(n+1)-1 s; TCP_USER_TIMEOUT ends it then.
        """
        for retries, last in ((1, 3), (2, 7), (3, 19), (4, 35), (5, 67), (6, 131)):
            for own in (True, False):
                with self.subTest(retries=retries, own=own):
                    self.setUp()
                    self.network.dialling.retries = 6 if own else retries
                    end = self.kernel.stream(socket.AF_INET, None)
                    if own:
                        end.options = {(socket.IPPROTO_TCP, socket.TCP_SYNCNT): retries}
                    self.network.connect(end, ADDRESS, 80)
                    self.assertEqual(self.run_out()[-1], last)
                    self.assertEqual(end.take_error(), errno.ETIMEDOUT)
        for milliseconds, times in ((500, [0.5]), (1000, [1.0]), (6500, [1, 2, 3, 4, 5, 6.5]), (200_000, [*SYNS, 200])):
            with self.subTest(milliseconds=milliseconds):
                self.setUp()
                end = self.kernel.stream(socket.AF_INET, None)
                end.options = {(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT): milliseconds}
                self.network.connect(end, ADDRESS, 80)
                self.assertEqual((self.run_out(), end.take_error()), (times, errno.ETIMEDOUT))

    def test_try_again(self):
        """After ETIMEDOUT the end may connect elsewhere."""
        end = self.dialled()
        self.run_out()
        self.assertEqual(end.retry(), errno.ETIMEDOUT)
        self.network.connect(end, "127.0.0.1", 80)
        self.assertEqual(end.take_error(), errno.ECONNREFUSED)

    def test_a_full_queue(self):
        """Who finds the queue of a listener full gets in as soon as there is room, and gives up after 131 seconds."""
        self.network.repair(ADDRESS)
        listener = self.listening()
        listener.listen(0)
        first, second, third = (self.dialled() for _ in range(3))
        self.assertEqual([end.state for end in (first, second, third)], ["established", "connecting", "connecting"])
        listener.accept()
        self.assertEqual((second.state, third.state), ("established", "connecting"))
        self.assertEqual((self.run_out()[-1], third.take_error()), (131, errno.ETIMEDOUT))
        self.assertEqual(list(listener.as_listener().knocking), [])

    def test_a_listener_that_closes(self):
        """Who waits for room is refused when the listener goes away, and nothing stays in flight."""
        self.network.repair(ADDRESS)
        listener = self.listening()
        listener.listen(0)
        _, second = self.dialled(), self.dialled()
        self.kernel.close(listener)
        self.assertEqual((second.take_error(), self.kernel.clock.deliveries), (errno.ECONNREFUSED, []))
