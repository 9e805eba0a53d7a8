"""The tree of exceptions, which programs catch by."""

import re
import unittest

from solipsism_unittest import errors


class ErrorsTest(unittest.TestCase):
    def test_tree(self):
        """The docstring draws the tree as it is: each class, under its base."""
        drawn, path = {}, []
        for spaces, name in re.findall(r"^( +)(\w+(?:Error|Warning))\b", errors.__doc__, re.MULTILINE):
            depth = (len(spaces) - 4) // 2
            path[depth:] = [name]
            drawn[name] = path[depth - 1] if depth else None
        classes = [value for value in vars(errors).values() if isinstance(value, type)]
        self.assertEqual(
            {name: base for name, base in drawn.items() if base},
            {cls.__name__: cls.__base__.__name__ for cls in classes},
        )

    def test_not_an_os_error(self):
        """Leaving the simulation is never an OSError, which programs handle: it must not vanish in a reconnect loop."""
        for cls in (errors.SleepForeverError, errors.LivelockError, errors.RealTimeLimitError, errors.EscapeError):
            with self.subTest(cls.__name__):
                self.assertTrue(issubclass(cls, errors.SolipsismError))
                self.assertFalse(issubclass(cls, OSError))
        self.assertTrue(issubclass(errors.SolipsismError, RuntimeError))
        self.assertTrue(issubclass(errors.SolipsismWarning, UserWarning))
