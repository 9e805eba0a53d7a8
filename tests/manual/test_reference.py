"""The page of every public name says what the docstrings say."""

import contextlib
import unittest
from collections.abc import Iterator

from tests.manual import reference


class ReferenceTest(unittest.TestCase):
    maxDiff = None

    def test_the_page_is_as_the_docstrings(self):
        """The page is what `python -m tests.manual.reference` writes; run it when this fails."""
        self.assertEqual(reference.PAGE.read_text(encoding="utf-8").splitlines(), reference.text().splitlines())

    def test_every_public_name_has_a_docstring(self):
        """A public name, method or property has a docstring, and the docstring of a class names its plain values."""
        self.assertEqual(list(reference.undocumented(reference.public())), [])

    def test_what_is_left_out_is_there(self):
        """The lists of names that are left out, or alone are shown, name what is there."""
        for table in (reference.ONLY, reference.OMITTED):
            for cls, names in table.items():
                for name in names:
                    with self.subTest(cls=cls.__name__, name=name):
                        self.assertTrue(hasattr(cls, name))


class JudgeTest(unittest.TestCase):
    """What has no docstring is found, and a signature is that of the source."""

    def test_signatures(self):
        """No `self` is shown; a coroutine function has its `await`, a context manager its `with`."""
        class It:
            async def wait(self, seconds: float = 0.5, *, until: "str | None" = None) -> int:
                return 1

            @contextlib.contextmanager
            def held(self) -> Iterator[int]:
                yield 1

            @classmethod
            def make(cls) -> None:
                pass

        self.assertEqual(reference.signature("wait", It.wait),
                         "await wait(seconds: float=0.5, *, until: 'str | None'=None) -> int")
        self.assertEqual(reference.signature("held", It.held), "with held()")
        self.assertEqual(reference.signature("make", vars(It)["make"]), "make()")

    def test_undocumented(self):
        """A method without a docstring is found, and so are a value that no docstring names and a bare class."""
        class Bare:
            limit = 1

            def method(self):
                pass

        Bare.__module__ = "solipsism_unittest.it"
        self.assertEqual(list(reference.undocumented({"Bare": Bare})), ["Bare", "Bare.limit", "Bare.method"])


if __name__ == "__main__":
    unittest.main()
