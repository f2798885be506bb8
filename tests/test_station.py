"""A station opens everything that a stream needs, and leaves nothing behind."""

import threading
from pathlib import Path

import pytest

from edgezsl.errors import ClassFileError, EngineError, InputError, ProfileError
from edgezsl.station import Station, StationSettings
from tests.factories import write_small_bundle
from tests.fakes import ListSource, RecordingSink, still


@pytest.fixture
def settings(small_bundle, tmp_path):
    path = tmp_path / "classes.yaml"
    path.write_text("- red\n- green\n")

    def make(**changes):
        values = {"source": "synthetic:?width=160&height=120&frames=5", "classes": path, "bundle": small_bundle.folder}
        return StationSettings(**{**values, "as_fast_as_possible": True, **changes})

    return make


def children():
    """Return the process ids of this process's children.

    Read twice: a child whose thread ends between two readings of the list is another thread's at the second.
    """
    found = {pid for _ in range(2) for task in Path("/proc/self/task").iterdir() for pid in _lines(task / "children")}
    return [pid for pid in found if Path(f"/proc/{pid}").exists()]


def _lines(path):
    try:
        return path.read_text().split()
    except OSError:  # the thread has ended
        return []


def threads_left():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("edgezsl[")]


def test_a_station_answers_every_frame_and_leaves_no_thread_and_no_child(settings):
    sink = RecordingSink()
    with Station.open(settings()) as station:
        assert len(children()) == 1  # it embedded the class file
        summary = station.run([sink])
    assert summary.answered == len(sink.answers) == 5
    assert threads_left() == []
    assert children() == []


def test_the_engine_is_chosen_by_the_device_profile_and_the_reason_is_said(settings):
    with Station.open(settings(device="raspberry-pi-5")) as station:
        assert "onnxruntime" in station.engine
        assert "raspberry-pi-5" in station.engine


def test_an_engine_that_was_asked_for_is_taken(settings):
    with Station.open(settings(engine="openvino", threads=1)) as station:
        assert "openvino" in station.engine


def test_where_the_first_engine_fails_the_golden_test_the_next_is_taken_and_both_are_said(settings, tmp_path):
    bundle = write_small_bundle(tmp_path / "exact", golden={"fp32": 1.0, "bf16": 1.0})  # OpenVINO rounds otherwise
    with Station.open(settings(bundle=bundle.folder, device="x86-cpu", threads=1)) as station:
        assert "onnxruntime" in station.engine
        assert "openvino was not taken: the engine disagrees with the golden answers" in station.engine
    with pytest.raises(EngineError, match="disagrees"):
        Station.open(settings(bundle=bundle.folder, engine="openvino", threads=1))


def test_an_encoder_for_one_engine_is_run_by_that_one(settings, tmp_path):
    encoders = {"int8_dynamic": "image_encoder.int8_dynamic.onnx"}
    bundle = write_small_bundle(tmp_path / "dynamic", precision="int8_dynamic", image_encoders=encoders)
    with Station.open(settings(bundle=bundle.folder, device="x86-cpu")) as station:
        assert "onnxruntime" in station.engine
        assert "that is installed and serves int8_dynamic" in station.engine
    with pytest.raises(InputError, match="not for the engine openvino") as caught:
        Station.open(settings(bundle=bundle.folder, engine="openvino"))
    assert "--engine onnx" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"engine": "abacus"}, InputError),
        ({"precision": "int8"}, InputError),
        ({"device": "no-such-board"}, ProfileError),
    ],
)
def test_a_station_that_cannot_open_leaves_nothing_behind(settings, changes, error):
    with pytest.raises(error):
        Station.open(settings(**changes))
    assert threads_left() == []


def test_a_bad_first_class_file_ends_the_start_with_its_line(settings, tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("- red\n- red\n")
    with pytest.raises(ClassFileError) as caught:
        Station.open(settings(classes=path))
    assert caught.value.where.line == 2
    assert threads_left() == []


def test_a_station_takes_a_source_that_is_open_already_and_closes_it(settings):
    sink, source = RecordingSink(), ListSource([still(n) for n in range(3)], name="list")
    with Station.open(settings(source="no such file")) as station:
        assert station.run([sink], source=source).answered == 3
    assert {answer.source for answer in sink.answers} == {"list"}
    assert source.closed


def test_a_station_stopped_before_it_runs_does_not_run(settings):
    sink = RecordingSink()
    with Station.open(settings(source="synthetic:?width=160&height=120")) as station:
        station.stop()
        assert station.run([sink]).answered == 0
    assert sink.closed
