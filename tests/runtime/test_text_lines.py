import io
import os
import threading

import pytest

from edgezsl.runtime.text_lines import LONGEST_LINE, text_lines


def lines(data):
    return [(line.number, line.text, line.notes) for line in text_lines(io.BytesIO(data))]


def test_a_line_is_what_stands_before_its_end_whatever_the_end():
    assert lines(b"one\n two \r\nthree") == [(1, "one", ()), (2, "two", ()), (3, "three", ())]


def test_an_empty_line_says_so_and_counts():
    assert lines(b"\n \t\nlast\n") == [(1, "", ("empty_line",)), (2, "", ("empty_line",)), (3, "last", ())]


def test_nothing_is_no_line():
    assert lines(b"") == []


def test_bytes_that_are_no_utf8_are_spaces_and_the_stream_goes_on():
    assert lines(b"red\xffball\nnext\n") == [(1, "red ball", ("bad_utf8",)), (2, "next", ())]
    assert lines(b"\xff\xfe\n") == [(1, "", ("empty_line", "bad_utf8"))]


def test_a_byte_order_mark_is_no_text():
    assert lines("\ufeffred\n".encode()) == [(1, "red", ())]


@pytest.mark.parametrize("more", [1, LONGEST_LINE, 5 * LONGEST_LINE + 3])
def test_of_a_long_line_the_beginning_is_read_and_the_next_line_is_whole(more):
    found = lines(b"a" * (LONGEST_LINE + more) + b"\nnext\n")
    assert found == [(1, "a" * LONGEST_LINE, ("cut",)), (2, "next", ())]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_a_line_of_just_the_longest_length_is_not_cut(end):
    assert lines(b"a" * LONGEST_LINE + end + (b"b" if end else b""))[0] == (1, "a" * LONGEST_LINE, ())


def test_a_cut_through_a_character_is_no_bad_byte():
    found = lines(b"a" + "é".encode() * LONGEST_LINE + b"\n")
    assert found == [(1, "a" + "é" * (LONGEST_LINE // 2 - 1), ("cut",))]


def test_a_line_without_end_takes_no_more_memory_than_is_read_of_it():
    class Endless(io.RawIOBase):
        asked = 0
        left = 64

        def readline(self, size=-1):
            self.asked = max(self.asked, size)
            self.left = max(self.left - 1, 0)
            return b"a" * size if self.left else b""

    stream = Endless()
    ((_, text, notes),) = [(line.number, line.text, line.notes) for line in text_lines(stream)]
    assert (len(text), notes, stream.asked) == (LONGEST_LINE, ("cut",), LONGEST_LINE)


def test_a_line_is_answered_before_the_next_has_come():
    reading, writing = os.pipe()
    answered = threading.Event()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as pipe:
        pipe.write(b"first\n")
        found = text_lines(stream)
        waiting = threading.Thread(target=lambda: (next(found), answered.set()))
        waiting.start()
        assert answered.wait(10), "the pipe is still open"
        waiting.join()
