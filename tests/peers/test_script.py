"""`Script`: how one is written, and what is refused."""

import os
import pathlib
import re
import tempfile
import unittest

from solipsism_unittest import Script
from solipsism_unittest.peers.script import Recording, shortened, steps_of


class ScriptTest(unittest.TestCase):
    def test_repr_is_how_it_was_written(self):
        """The repr of a script is the expression that makes it."""
        script = (Script().expect(b"PING\r\n").send(bytearray(b"PONG\r\n")).expect_regex(rb"\d+\r\n").wait(0.2)
                  .send_slowly(b"abc", chunk=2, every=0.5).send_eof().expect_eof().close())
        self.assertEqual(repr(script), r"Script().expect(b'PING\r\n').send(b'PONG\r\n').expect_regex(b'\\d+\\r\\n')"
                                       r".wait(0.2).send_slowly(b'abc', chunk=2, every=0.5).send_eof().expect_eof()"
                                       r".close()")
        self.assertEqual(repr(eval(repr(script), {"Script": Script})), repr(script))
        self.assertEqual(shortened(bytes(50)), repr(bytes(30)) + "...50 bytes")

    def test_branches_and_loops_in_words(self):
        """Branches show what each begins with, a loop its first step."""
        one, two = Script().expect(b"1").send(b"x"), Script().expect_eof()
        self.assertEqual(repr(Script().any_order(one, two).either(two, one).repeat(one).repeat(two, times=3).reset()),
                         "Script().any_order(expect(b'1'), expect_eof()).either(expect_eof(), expect(b'1'))"
                         ".repeat(expect(b'1'), ...).repeat(expect_eof(), times=3).reset()")

    def test_steps_know_their_line(self):
        """Each step has the line on which it was written."""
        script = Script().expect(b"x")
        script.wait(1)
        one, two = (step.place.line for step in steps_of(script))
        self.assertEqual(two, one + 1)

    def test_then(self):
        """then() adds the steps of another script, which stays as it is."""
        login = Script().expect(b"USER")
        whole = Script().then(login).send(b"OK").then(login)
        self.assertEqual(repr(whole), "Script().expect(b'USER').send(b'OK').expect(b'USER')")
        self.assertEqual(repr(login), "Script().expect(b'USER')")

    def test_bad_steps(self):
        """What no step can mean is refused where it is written, with what is right."""
        script = Script()
        for error, words, write in (
            (TypeError, "expect() takes bytes, not 'x'", lambda: script.expect("x")),
            (TypeError, "send() takes bytes, not 5", lambda: script.send(5)),
            (ValueError, "expect() takes one byte at least", lambda: script.expect(b"")),
            (ValueError, "send() takes one byte at least", lambda: script.send(b"")),
            (TypeError, "takes a pattern of bytes, as in rb\"...\", not 'x'", lambda: script.expect_regex("x")),
            (ValueError, "takes a pattern of bytes, not b'('", lambda: script.expect_regex(b"(")),
            (ValueError, "takes a pattern of bytes, not 5", lambda: script.expect_regex(5)),
            (ValueError, "expect_regex(b'x*') matches nothing too", lambda: script.expect_regex(b"x*")),
            (ValueError, "wait() takes a number of seconds from 0 up, not -1", lambda: script.wait(-1)),
            (ValueError, "wait() takes a number of seconds from 0 up, not inf", lambda: script.wait(float("inf"))),
            (ValueError, "send_slowly() takes a chunk of 1 byte at least, not 0",
             lambda: script.send_slowly(b"x", chunk=0, every=1)),
            (ValueError, "send_slowly() takes a number of seconds from 0 up, not 'x'",
             lambda: script.send_slowly(b"x", every="x")),
            (ValueError, "any_order() takes two scripts at least", lambda: script.any_order(Script().expect(b"x"))),
            (ValueError, "either() takes scripts whose first step expects something, not Script().send(b'x')",
             lambda: script.either(Script().expect(b"x"), Script().send(b"x"))),
            (ValueError, "repeat() takes scripts whose first step expects something, not Script()",
             lambda: script.repeat(Script())),
            (ValueError, "repeat() takes a number of times from 1 up, or None, not 0",
             lambda: script.repeat(Script().expect(b"x"), times=0)),
            (TypeError, "a script is a Script, not b'x'", lambda: script.then(b"x")),
        ):
            with self.subTest(words), self.assertRaisesRegex(error, re.escape(words)):
                write()
        self.assertEqual(repr(script), "Script()")

    def test_recorded(self):
        """A recorded exchange becomes the server's side of it, with its pauses before what it sent."""
        text = '# an exchange\n\n> 0.0 b"PING\\r\\n"\n< 0.25 b"PONG\\r\\n"\n> 1.0 b"QUIT"\n> 1.0 eof\n< 1.0 eof\n'
        self.assertEqual(repr(Script.recorded(self.path(text))),
                         r"Script().expect(b'PING\r\n').wait(0.25).send(b'PONG\r\n').expect(b'QUIT').expect_eof()"
                         r".send_eof()")
        self.assertEqual(repr(Script.recorded(self.path("> 0 b'x'\n< 2.5 reset\n"))),
                         "Script().expect(b'x').wait(2.5).reset()")

    def test_bad_recordings(self):
        """A line that is no message is named with its number and what is right."""
        for line in ("PING", "> 0", "? 0 b'x'", "> soon b'x'", "> 0 PING", "> 0 'x'", "> 0 b''", "> 0 reset", "> 0 b'",
                     "< nan b'x'", "> inf b'x'", "> -1 b'x'", "> 0 b'x' more", "\udcff", "< 0 5"):
            path = self.path("# first\n" + line + "\n")
            with self.subTest(line), self.assertRaisesRegex(
                    ValueError, rf"^line 2 of {re.escape(str(path))} is no message of a recorded exchange: .*; one is "
                                rf"as in  > 0\.25 b\"PING\"  or  < 1\.5 eof"):
                Script.recorded(path)

    def test_recordings_that_cannot_be(self):
        """Time does not go back, nothing comes after the end, and there is one message at least."""
        for text, words in (("> 1 b'x'\n< 0.5 b'y'\n", "line 2 of .*its time is no number of seconds from 1.0 up"),
                            ("> 1 b'x'\n< 1 reset\n< 2 b'y'\n", r"line 3 of .*wait\(1.0\) can never come after reset"),
                            ("# nothing\n", "records no message")):
            with self.subTest(text), self.assertRaisesRegex(ValueError, words):
                Script.recorded(self.path(text))

    def test_what_never_comes(self):
        """Nothing comes after the end of a connection, and nothing is said after the end of this side."""
        for script in (Script().close(), Script().reset(), Script().expect(b"x").then(Script().close())):
            for add in (script.expect_eof, lambda script=script: script.then(Script().expect(b"x"))):
                with self.subTest(script), self.assertRaisesRegex(ValueError, "can never come after .*: that was the"):
                    add()
        self.assertRaises(ValueError, Script().send_eof().send, b"x")
        self.assertEqual(repr(Script().send_eof().expect(b"x").close()), "Script().send_eof().expect(b'x').close()")

    def test_nothing_is_recorded_after_a_reset(self):
        """What either side said into it is no message of the exchange."""
        path = self.path("")
        recording = Recording(path, lambda: 0.0)
        for direction, message in ((">", b"x"), ("<", "reset"), (">", "eof")):
            recording.note(direction, message)
        self.assertEqual(path.read_text(), "> 0.0 b'x'\n< 0.0 reset\n")
        self.assertEqual(repr(Script.recorded(path)), "Script().expect(b'x').reset()")

    def test_a_recording_has_a_path(self):
        """A number is no path: the file of that descriptor would be read, and closed."""
        read, write = os.pipe()
        os.close(write)
        self.addCleanup(os.close, read)
        self.assertRaises(TypeError, Script.recorded, read)

    def path(self, text):
        path = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), "exchange.txt")
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        return path
