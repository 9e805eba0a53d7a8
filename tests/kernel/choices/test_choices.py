"""What was decided: seeds, replays, and what they refuse."""

import unittest

from solipsism_unittest.kernel.choices import Choice, Choices


def draw(choices, count, below=100):
    return [choices.below(below, "test") for _ in range(count)]


class ChoicesTest(unittest.TestCase):
    def test_seed(self):
        """One seed gives one list, another seed another."""
        self.assertEqual(draw(Choices(7), 20), draw(Choices(7), 20))
        self.assertNotEqual(draw(Choices(7), 20), draw(Choices(8), 20))

    def test_known_list(self):
        """The list of a seed is the same in every version of Python, so a seed from a report can be used anywhere."""
        self.assertEqual(draw(Choices(0), 8, 10), [6, 6, 0, 4, 8, 7, 6, 4])

    def test_numbers(self):
        """Numbers for other generators follow from the seed and the place in the list, and are choices too."""
        choices = Choices(7)
        numbers = [choices.number("seed") for _ in range(3)]
        self.assertEqual(choices.made, [Choice("seed", number, 2**32) for number in numbers])
        self.assertEqual([Choices(seed).number("seed") for seed in (7, 7, 0, 1, -1, 2**200)],
                         [numbers[0], numbers[0], 0, 757255752, 2780455791, 2626728818])
        self.assertEqual(len({*numbers, *(Choices(seed).number("seed") for seed in range(1_000))}), 1_002)
        replayed = Choices(8, numbers)
        self.assertEqual([replayed.number("seed") for _ in range(3)], numbers)
        self.assertEqual(draw(Choices(7), 5), draw(choices, 5))  # they take nothing from the others

    def test_range(self):
        """Every value lies from 0 to count - 1, and each of them comes up."""
        self.assertEqual(set(draw(Choices(1), 200, 3)), {0, 1, 2})
        self.assertEqual(draw(Choices(1), 3, 1), [0, 0, 0])

    def test_made(self):
        """What was decided is kept with its purpose, and a choice reads as what it is."""
        choices = Choices(0)
        choices.below(10, "jitter")
        self.assertEqual(choices.made, [Choice("jitter", 6, 10)])
        self.assertEqual(repr(choices), "<Choices seed=0 made=1>")

    def test_replay(self):
        """A replayed list comes first; what follows it is what followed in the run that it came from."""
        original = draw(Choices(3), 10)
        self.assertEqual(draw(Choices(3, original[:4]), 10), original)
        self.assertEqual(draw(Choices(3, iter([9, 9])), 10), [9, 9, *original[2:]])

    def test_replay_out_of_range(self):
        """A replayed value that is not possible says which one it is, and is not taken."""
        for value in (5, -1):
            choices = Choices(0, [0, value])
            choices.below(5, "a")
            with (
                self.subTest(value=value),
                self.assertRaisesRegex(ValueError, f"replayed choice 1 is {value}, but 'b' has 5"),
            ):
                choices.below(5, "b")
            self.assertEqual(len(choices.made), 1)

    def test_nothing_to_choose(self):
        """Of none there is nothing to choose; the list does not move."""
        choices = Choices(0)
        for count in (0, -1):
            with self.subTest(count=count), self.assertRaisesRegex(ValueError, "nothing to choose from for 'x'"):
                choices.below(count, "x")
        self.assertEqual(draw(choices, 5), draw(Choices(0), 5))

    def test_seed_is_a_number(self):
        """A seed of None would be another one in every run: refused, as text is."""
        for seed in (None, "7", 7.0):
            with self.subTest(seed=seed), self.assertRaises(TypeError):
                Choices(seed)
