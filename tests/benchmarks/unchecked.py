"""What leaks and the guard cost: a test case that has neither, for a row of the table to be compared with."""

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.loop.inventory import Register
from solipsism_unittest.stdlib.seal import table


class UncheckedTestCase(SolipsistTestCase):
    """Looks for nothing at the end of a test. While it is imported, calls are not guarded and tasks not registered."""

    def _choose_checks(self):
        return self.on_blocking_call

    def _look_for_faults(self, passed, known):
        return None


table._install_guard = lambda: None
Register.add_task = lambda self, task: None
