"""The page about peers: what it says of us is run, and its rows are those of the probes."""

import unittest

from solipsism_unittest import manual
from tests.manual import peers
from tests.manual.pages import rows, section


class PeersTest(unittest.TestCase):
    def cells(self):
        """The cells of the table of what was run, row by row, without its head."""
        lines = [line for line in section("peers", "What was run").splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]

    def test_the_rows(self):
        """Each probe has its row, in order, with a cell for each peer, whose version is named."""
        head, *others = self.cells()
        self.assertEqual(rows(section("peers", "What was run")), list(map(peers.sentence, peers.PROBES.values())))
        self.assertEqual([cell.partition(" ")[0] for cell in head[1:]], list(peers.PEERS))
        for cells in others:
            with self.subTest(cells[0]):
                self.assertEqual(len(cells), len(head))
                self.assertLessEqual(set(cells[1:]), {"yes", "no"})

    def test_what_it_says_of_us(self):
        """Each probe does here what its row says: it passes, or it is the error that a tester wants."""
        said = {cells[0]: cells[1] for cells in self.cells()[1:]}
        for probe in peers.PROBES.values():
            with self.subTest(probe.__name__):
                self.assertEqual(said[peers.sentence(probe)], "yes")
                if probe in peers.PASS:
                    peers.by_us(probe)
                else:
                    with self.assertRaises(AssertionError):
                        peers.by_us(probe)

    def test_a_wrong_probe(self):
        """A probe that is wrong is seen: one that passes where it should not, and the other way round."""
        async def passes():
            """Nothing."""

        async def fails():
            raise LookupError

        peers.by_us(passes)
        with self.assertRaises(AssertionError):
            peers.by_us(fails)

    def test_it_is_among_the_pages(self):
        """The page says where others are better."""
        self.assertIn("## Where a peer is better\n", manual.pages()["peers"])


if __name__ == "__main__":
    unittest.main()
