"""Errors of ICMP: what each is to a socket, and the queue of those that nobody has read."""

import errno
import unittest

from solipsism_unittest.kernel.addresses.icmp import QUOTED, Report, Reports, failure_of, too_large, usual_failure


class FailureTest(unittest.TestCase):
    def test_by_numbers(self):
        """Several errors have one errno: some of them last."""
        lasting = {numbers: (failure_of(*numbers, 4).errno, failure_of(*numbers, 4).lasts)
                   for numbers in ((3, 1), (3, 10), (3, 13), (3, 9))}
        self.assertEqual(lasting, {(3, 1): (errno.EHOSTUNREACH, False), (3, 10): (errno.EHOSTUNREACH, True),
                                   (3, 13): (errno.EHOSTUNREACH, True), (3, 9): (errno.ENETUNREACH, True)})
        self.assertEqual(failure_of(1, 1, 6).errno, errno.EACCES)
        with self.assertRaisesRegex(ValueError, "no call fails with type 11, code 1 of ICMP for IPv4: there are 3/0, "):
            failure_of(11, 1, 4)

    def test_by_errno(self):
        """An errno is its usual error; one that ICMP has not lasts, and has no numbers."""
        for code, version, numbers in ((errno.EHOSTUNREACH, 4, (3, 1)), (errno.EHOSTUNREACH, 6, (1, 2)),
                                       (errno.ENETUNREACH, 4, (3, 0)), (errno.EIO, 4, (0, 0)), (errno.EIO, 6, (0, 0))):
            with self.subTest(code=code, version=version):
                failure = usual_failure(code, version)
                self.assertEqual((failure.errno, failure.version), (code, version))
                self.assertEqual((failure.kind, failure.code), numbers)
                self.assertEqual(failure.lasts, numbers == (0, 0))

    def test_no_route(self):
        """TCP takes its waiting back after these alone."""
        numbers = [(4, 3, 0), (4, 3, 1), (4, 3, 13), (6, 1, 0), (6, 1, 3)]
        self.assertEqual([failure_of(*rest, version).is_no_route for version, *rest in numbers],
                         [True, True, False, True, False])


class ReportsTest(unittest.TestCase):
    def test_order(self):
        """The oldest comes first, with the errno of the next, which a call reports; of none when that is not ICMP's."""
        reports = Reports()
        for failure in (failure_of(3, 1, 4), failure_of(3, 3, 4), too_large(1500, 4)._replace(kind=0, code=0)):
            reports.add(Report(failure, b"x" * 2000, ("192.0.2.1", 53), 10), 100)
        self.assertEqual(len(reports), 3)
        taken = [reports.take() for _ in range(3)]
        self.assertEqual([(each.failure.errno, len(each.data), code) for each, code in taken], [
            (errno.EHOSTUNREACH, QUOTED[4], errno.ECONNREFUSED), (errno.ECONNREFUSED, QUOTED[4], 0),
            (errno.EMSGSIZE, QUOTED[4], 0)])
        self.assertEqual((len(reports), taken[2][0].failure.mtu), (0, 1500))

    def test_room(self):
        """What has no room is lost; what was read makes room."""
        reports = Reports()
        report = Report(failure_of(3, 3, 4), b"", ("192.0.2.1", 53), 10)
        for _ in range(3):
            reports.add(report, 21)
        self.assertEqual(len(reports), 2)
        reports.take()
        reports.add(report, 20)
        reports.add(report, 21)
        self.assertEqual(len(reports), 2)
