import pytest

from edgezsl import errors
from edgezsl.errors import (
    EdgezslError,
    InputError,
    PackError,
    Place,
    TransientError,
    missing_extra,
    redacted,
    shown,
)


def kinds(of=EdgezslError):
    """Return an error class and all below it."""
    return [of, *(kind for below in of.__subclasses__() for kind in kinds(below))]


def below_root():
    return [kind for kind in kinds() if kind is not EdgezslError]


def test_a_message_says_where_what_got_expected_and_what_to_do():
    error = PackError(
        "the threshold is out of range",
        code="bad_value",
        where=Place("classes.yaml", 7, "classes[2].threshold"),
        got="'high'",
        expected="a number",
        hint="write a number",
    )
    assert str(error) == (
        "classes.yaml:7, classes[2].threshold: the threshold is out of range, got 'high', expected a number; "
        "write a number"
    )


def test_a_message_without_place_or_hint_is_one_clause():
    assert str(EdgezslError("the engine is closed", code="closed")) == "the engine is closed"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        (Place(), ""),
        (Place("a.yaml"), "a.yaml"),
        (Place("a.yaml", 3), "a.yaml:3"),
        (Place("a.yaml", 3, "names"), "a.yaml:3, names"),
        (Place(field="names"), "names"),
    ],
)
def test_a_place_names_only_what_is_known(place, text):
    assert str(place) == text
    assert None not in place.to_json().values()


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_every_error_survives_the_way_to_another_process(kind):
    error = kind("a", code="b", where=Place("f", 1, "g"), got="c", expected="d", hint="e")
    back = EdgezslError.from_json(error.to_json())
    assert type(back) is kind
    assert (str(back), back.to_json()) == (str(error), error.to_json())


@pytest.mark.parametrize("kind", below_root(), ids=lambda kind: kind.__name__)
def test_every_error_is_either_for_a_person_to_fix_or_worth_another_try(kind):
    assert issubclass(kind, InputError) != issubclass(kind, TransientError)
    assert issubclass(kind, ValueError if issubclass(kind, InputError) else RuntimeError)


def test_the_tree_in_the_docstring_is_the_tree():
    for kind in kinds():
        assert f" {kind.__name__}" in errors.__doc__, kind


def test_a_missing_package_is_an_import_error_whose_hint_installs_it():
    error = missing_extra("cv2", "camera", "preprocessing a frame")
    assert isinstance(error, ImportError)
    assert isinstance(error, InputError)
    assert error.code == "missing_extra"
    assert "cv2" in str(error)
    assert error.hint == "run: pip install 'edgezsl[camera]'"


@pytest.mark.parametrize(
    ("uri", "safe"),
    [
        ("rtsp://user:secret@10.0.0.7/stream", "rtsp://***@10.0.0.7/stream"),
        ("rtsp://user:se@cret@10.0.0.7/stream", "rtsp://***@10.0.0.7/stream"),
        ("rtsp://secret@10.0.0.7", "rtsp://***@10.0.0.7"),
        ("rtspsrc location=rtsp://u:p@h ! tee; http://v:q@k/", "rtspsrc location=rtsp://***@h ! tee; http://***@k/"),
        ("rtsp://u:pa/ss@h", "rtsp://***@h"),
        ("rtsp://u:two words@h/x", "rtsp://***@h/x"),
        ("rtsp://u:a ! b@h/x", "rtsp://***@h/x"),
        ("rtsp://u:a#b?c@h/x", "rtsp://***@h/x"),
        ("rtsp://u:a://b@h/x", "rtsp://***@h/x"),
        ("rtsp://u:two\nlines@h/x", "rtsp://***@h/x"),
        ("rtsp:///u:p@h/x", "rtsp://***@h/x"),
        ('location="http://h/a" location="rtsp://u:p@h"', 'location="http://h/a" location="rtsp://***@h"'),
        ("http://host/a@b", "http://***@b"),  # too much rather than too little: `host/a` may be a password
        ("http://host/a", "http://host/a"),
        ("photos/icon@2x.png", "photos/icon@2x.png"),
        ("v4l2:///dev/video0", "v4l2:///dev/video0"),
    ],
)
def test_a_password_in_a_uri_is_never_shown(uri, safe):
    assert redacted(uri) == safe


def test_a_value_is_shown_on_one_line_of_at_most_eighty_characters():
    assert shown("two\nlines") == r"'two\nlines'"
    assert shown("\ud800") == r"'\ud800'"
    assert len(shown("x" * 1000)) == 80
    assert shown("x" * 1000).endswith("…")


def test_a_package_that_is_there_and_broken_is_not_called_missing():
    broken = ImportError("libGL.so.1: cannot open shared object file")
    fault = missing_extra("cv2", "camera", "a camera", broken)
    assert fault.code == "broken_package"
    assert "libGL.so.1" in fault.got
    assert "doctor" in fault.hint
    absent = ModuleNotFoundError("No module named 'cv2'", name="cv2")
    assert missing_extra("cv2", "camera", "a camera", absent).code == "missing_extra"
    of_another = ModuleNotFoundError("No module named 'numpy.core'", name="numpy.core")
    assert missing_extra("cv2", "camera", "a camera", of_another).code == "broken_package"
