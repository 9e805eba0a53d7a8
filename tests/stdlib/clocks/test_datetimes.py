"""Module datetime while a clock on the wall is set: the real classes in all but the present."""

import copy
import datetime as module
import pickle
import time
import unittest
import warnings
from datetime import date, datetime, timezone

from solipsism_unittest import SolipsistTestCase

UTC = module.UTC
START = datetime(2030, 6, 1, 12, 30, 15, 123456, tzinfo=UTC)
BERLIN = timezone(module.timedelta(hours=2))


class PresentTest(SolipsistTestCase):
    wall_start = START

    async def test_present(self):
        """now(), today() and utcnow() are the time of day, by the module and by names bound before."""
        local = START.astimezone().replace(tzinfo=None)
        for cls in (datetime, module.datetime):
            self.assertEqual((cls.now(), cls.today(), cls.now(tz=None)), (local,) * 3)
            for zone in (UTC, BERLIN):
                now = cls.now(zone)
                self.assertEqual((now, now.tzinfo), (START, zone))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.assertEqual(cls.utcnow(), START.replace(tzinfo=None))
        self.assertEqual((date.today(), module.date.today()), (local.date(),) * 2)
        for bad in ("UTC", 5):
            self.assertRaises(TypeError, datetime.now, bad)

    async def test_utcnow_warns_as_python_does(self):
        """utcnow() is deprecated where it is, at the caller's line."""

        def warned(cls):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                cls.utcnow()
            return [(warning.category, warning.filename) for warning in caught]

        self.assertEqual(warned(datetime), warned(REAL))

    async def test_a_class_of_ones_own_takes_keywords_of_any_name(self):
        """No keyword is taken for the class that is called."""

        class Day(datetime):
            def __new__(kind, **keywords):  # cls is one of the keywords
                day = super().__new__(kind, 2020, 1, 1)
                day.keywords = keywords
                return day

        self.assertEqual(Day(self=1, cls=2).keywords, {"self": 1, "cls": 2})

    async def test_objects_are_real(self):
        """What the stand-ins make, by whatever way, is an object of the real classes."""
        made = [datetime.now(), datetime(2020, 1, 1), datetime.fromtimestamp(0), datetime.fromisoformat("2020-01-01"),
                datetime.strptime("2020", "%Y"), datetime.combine(date(2020, 1, 1), module.time()), datetime.today(),
                datetime.min, datetime.now(UTC) + module.timedelta(1)]
        self.assertEqual({type(moment) for moment in made}, {REAL})
        self.assertEqual({type(day) for day in (date.today(), date(2020, 1, 1), date.fromordinal(1), date.max)},
                         {REAL_DATE})

    async def test_classes_are_as_good_as_the_real_ones(self):
        """isinstance, issubclass, equality, hashes, matching and reprs do not tell them apart."""
        now = datetime.now()
        self.assertIsInstance(now, datetime)
        self.assertIsInstance(now, date)
        self.assertNotIsInstance(date.today(), datetime)
        self.assertNotIsInstance(5, datetime)
        self.assertTrue(issubclass(datetime, date) and issubclass(REAL, datetime) and issubclass(datetime, REAL_DATE))
        self.assertFalse(issubclass(date, datetime))
        self.assertEqual({REAL: "x"}[datetime], "x")
        self.assertEqual({datetime: "x"}[REAL], "x")
        self.assertTrue(type(now) == datetime and datetime == type(now) and date != datetime)  # noqa: E721
        self.assertEqual((repr(datetime), datetime.__module__, datetime.__qualname__),
                         ("<class 'datetime.datetime'>", "datetime", "datetime"))
        match now:
            case datetime(year=year):
                self.assertEqual(year, 2030)
        self.assertEqual(repr(datetime(2020, 1, 1)), "datetime.datetime(2020, 1, 1, 0, 0)")

    async def test_classes_that_a_program_derives(self):
        """A class derived from them inside of the test makes its own objects."""

        class Moment(datetime):
            pass

        class Day(date):
            pass

        for moment in (Moment.now(BERLIN), Moment(2020, 1, 1), Moment.today()):
            self.assertIs(type(moment), Moment)
            self.assertIsInstance(moment, datetime)
        self.assertEqual(Moment.now(BERLIN), START)
        self.assertIs(type(Day.today()), Day)
        self.assertNotIsInstance(datetime.now(), Moment)
        self.assertFalse(issubclass(datetime, Moment))
        self.assertTrue(issubclass(Moment, datetime))
        self.assertTrue(Moment == Moment and Moment != datetime and hash(Moment) != hash(datetime))

    async def test_pickles_and_copies(self):
        """Objects survive pickle in every protocol, and copies; the pickle is good outside of the test too."""
        for thing in (datetime.now(BERLIN), datetime.now(), date.today(), datetime(2020, 1, 1, fold=1)):
            for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
                pickled = pickle.dumps(thing, protocol)
                self.assertEqual(pickle.loads(pickled), thing)
                PICKLED.append((thing, pickled))
            self.assertEqual((copy.copy(thing), copy.deepcopy(thing)), (thing, thing))

    async def test_local_time_that_comes_twice(self):
        """In the hour that comes twice, `fold` says which one it is."""
        if not hasattr(time, "tzset"):
            self.skipTest("no tzset() here")
        self.assertEqual(datetime.now().fold, START.astimezone().fold)


REAL, REAL_DATE = datetime, date
PICKLED = []


class AfterTest(unittest.TestCase):
    def test_pickles_are_good_outside(self):
        """What was pickled inside of a test is read outside of it, as the real class, and pickling is as it was."""
        import copyreg

        result = unittest.TestResult()
        PresentTest("test_pickles_and_copies").run(result)
        self.assertTrue(result.wasSuccessful(), result)
        for thing, pickled in PICKLED:
            self.assertEqual(pickle.loads(pickled), thing)
            self.assertIs(type(pickle.loads(pickled)), type(thing))
        self.assertNotIn(REAL, copyreg.dispatch_table)
        self.assertIs(module.datetime, REAL)

    def test_a_program_that_pickles_them_its_own_way(self):
        """A function that somebody has registered for pickling is put back."""
        import copyreg

        def mine(moment):
            return REAL, (moment.year, moment.month, moment.day)

        copyreg.pickle(REAL, mine)
        self.addCleanup(copyreg.dispatch_table.pop, REAL)
        PresentTest("test_present").run(unittest.TestResult())
        self.assertIs(copyreg.dispatch_table[REAL], mine)
