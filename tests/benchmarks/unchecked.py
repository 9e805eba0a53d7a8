"""What leaks and the guard cost: a test case that has neither, for a row of the table to be compared with."""

from solipsism_unittest import SolipsistTestCase
from solipsism_unittest.case import verdict
from solipsism_unittest.loop.inventory import Inventory
from solipsism_unittest.stdlib.seal import table


class UncheckedTestCase(SolipsistTestCase):
    """As its base. While this module is imported nothing is checked at the end of a test, guarded, or registered."""


verdict.Ending.is_spotless = lambda self: True
table._install_guard = lambda: None
Inventory.add_task = lambda self, task, number: None
