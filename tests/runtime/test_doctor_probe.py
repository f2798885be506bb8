"""A package that crashes, hangs or lies is one outcome among others: the process that asks goes on.

The packages here are real modules in a folder that the child finds first.
"""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from edgezsl.runtime.doctor_child import TINY_ONNX, _opencv_facts
from edgezsl.runtime.doctor_probe import Clash, probe, probe_together

LIMIT_S = 60.0


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Return a function that puts a module of that name and text where the child finds it first."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)

    return write


def test_a_package_that_kills_its_process_is_named_with_the_signal_and_the_others_are_still_tried(fake):
    fake("first", "__version__ = '1.5'")
    fake("cv2", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    outcomes = probe(("first", "cv2", "yaml"), limit_s=LIMIT_S)
    assert outcomes["first"].version == "1.5"
    assert outcomes["cv2"].error == "ended its process by SIGSEGV"
    assert outcomes["yaml"].error is None
    assert outcomes["yaml"].version


SEGFAULT = "import ctypes; ctypes.string_at(0)"


def test_a_pair_that_crashes_together_is_named_though_each_works_alone(fake):
    fake("first", "")
    fake("second", "")
    fake("third", f"import sys\nif 'first' in sys.modules:\n    {SEGFAULT}")
    outcomes, clashes = probe_together(("first", "second", "third", "yaml"), limit_s=LIMIT_S)
    assert all(one.works for one in outcomes.values())
    assert clashes == (Clash("third", ("first",), "ended its process by SIGSEGV", other_way=True),)


def test_a_pair_that_fails_whichever_comes_first_is_said_so(fake):
    for name, other in (("first", "second"), ("second", "first")):
        fake(name, f"import sys\nif '{other}' in sys.modules: raise ImportError('undefined symbol')")
    outcomes, clashes = probe_together(("first", "second"), limit_s=LIMIT_S)
    assert outcomes["second"].works
    assert clashes == (Clash("second", ("first",), "ImportError: undefined symbol", other_way=False),)


def test_what_fails_only_beside_two_others_names_both(fake):
    fake("first", "")
    fake("second", "")
    fake("third", "import os, sys\nif {'first', 'second'} <= set(sys.modules): os.abort()")
    _, clashes = probe_together(("first", "second", "third"), limit_s=LIMIT_S)
    assert clashes == (Clash("third", ("first", "second"), "ended its process by SIGABRT"),)


def test_after_a_crash_the_rest_still_meets_what_had_gone_well(fake):
    fake("first", "")
    fake("second", SEGFAULT)
    fake("third", "import sys\nif 'first' in sys.modules: raise ImportError('no')")
    outcomes, clashes = probe_together(("first", "second", "third"), limit_s=LIMIT_S)
    assert outcomes["second"].error == "ended its process by SIGSEGV"
    assert [(one.step, one.after) for one in clashes] == [("third", ("first",))]


def test_a_package_that_dies_the_second_time_does_not_hold_up_the_rest(fake, tmp_path):
    fake("first", f"import os, pathlib\np = pathlib.Path('{tmp_path}/seen')\nif p.exists(): os.abort()\np.touch()")
    fake("second", "import os; os.abort()")
    fake("third", "")
    outcomes = probe(("first", "second", "third"), limit_s=LIMIT_S)
    assert [outcomes[name].works for name in ("first", "second", "third")] == [True, False, True]


def test_a_package_that_fails_alone_is_no_pair(fake):
    fake("cv2", "raise ImportError('libGL.so.1')")
    outcomes, clashes = probe_together(("yaml", "cv2"), limit_s=LIMIT_S)
    assert outcomes["cv2"].error == "ImportError: libGL.so.1"
    assert clashes == ()


def test_where_copies_of_a_package_lie_is_told_in_the_order_of_the_path(fake, tmp_path, monkeypatch):
    hidden = tmp_path / "hidden"
    (hidden / "first").mkdir(parents=True)
    (hidden / "first" / "__init__.py").touch()
    (tmp_path / "namespace" / "first").mkdir(parents=True)
    fake("first", "")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{tmp_path / 'namespace'}:{hidden}")
    assert probe(("first",), limit_s=LIMIT_S)["first"].facts["places"] == [str(tmp_path), str(hidden)]


def test_what_a_package_printed_is_told_with_its_own_step(fake):
    fake("first", "import os; os.write(1, b'out ')\nprint('warning of first')")
    fake("second", "")
    outcomes = probe(("first", "second"), limit_s=LIMIT_S)
    assert outcomes["first"].facts["said"].split() == ["out", "warning", "of", "first"]
    assert "said" not in outcomes["second"].facts


def test_a_part_of_a_package_that_is_absent_is_missing_and_a_part_that_lacks_its_own_is_not(fake, tmp_path):
    assert probe(("no_such.package.at_all",), limit_s=LIMIT_S)["no_such.package.at_all"].missing
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "whole.py").write_text("import no_such_package")
    assert "no_such_package" in probe(("half.whole",), limit_s=LIMIT_S)["half.whole"].error


def test_a_package_that_hangs_is_given_up_after_the_limit(fake):
    fake("cv2", "import time; time.sleep(600)")
    outcome = probe(("cv2",), limit_s=1.0)["cv2"]
    assert outcome.error == "did not come back within 1 s"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "ImportError: libGL.so.1: cannot open"),
        ("import numpy_of_another_age", "ModuleNotFoundError: No module named 'numpy_of_another_age'"),
        ("raise SystemExit('no licence')", "SystemExit: no licence"),
        ("import os; os._exit(3)", "ended its process with exit code 3"),
        (
            "import os, sys; sys.stderr.write('out of luck\\n'); sys.stderr.flush(); os._exit(3)",
            "exit code 3: out of luck",
        ),
    ],
)
def test_an_import_that_fails_says_how(fake, text, error):
    fake("cv2", text)
    outcome = probe(("cv2",), limit_s=LIMIT_S)["cv2"]
    assert error in outcome.error
    assert not outcome.missing


def test_what_a_package_prints_does_not_spoil_the_report(fake):
    fake(
        "cv2",
        "import os\nprint('{\"step\": \"yaml\"}')\nos.write(1, b'noise\\n')\n__version__ = '4'\ndef getBuildInformation(): return ''",
    )
    assert probe(("cv2",), limit_s=LIMIT_S)["cv2"].version == "4"


def test_an_absent_package_is_missing_and_not_an_error():
    outcome = probe(("no_such_package_as_this",), limit_s=LIMIT_S)["no_such_package_as_this"]
    assert outcome.missing
    assert outcome.error is None


def test_a_module_in_the_working_folder_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "yaml.py").write_text("raise RuntimeError('not me')")
    monkeypatch.chdir(tmp_path)
    assert probe(("yaml",), limit_s=LIMIT_S)["yaml"].error is None


def test_a_child_that_never_begins_blames_no_package_in_particular(fake):
    fake("json", "raise RuntimeError('broken Python')")
    outcomes = probe(("numpy", "cv2"), limit_s=LIMIT_S)
    assert outcomes["numpy"] == outcomes["cv2"]
    assert "broken Python" in outcomes["numpy"].error


def test_the_engines_that_are_installed_compute_the_tiny_network():
    outcomes = probe(("engine:onnx", "engine:openvino"), limit_s=LIMIT_S)
    assert outcomes["engine:onnx"].facts["correct"]
    assert "CPUExecutionProvider" in outcomes["engine:onnx"].facts["runs_on"]
    assert outcomes["engine:openvino"].facts["correct"]
    assert "CPU" in outcomes["engine:openvino"].facts["runs_on"]


def test_the_tiny_network_is_the_one_that_the_comment_says():
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    model.ClearField("producer_name")
    onnx.checker.check_model(model)
    assert model.SerializeToString() == TINY_ONNX


def test_opencvs_own_words_say_what_it_can_do():
    pip = "  GUI:                           QT5\n    FFMPEG:     YES\n    GStreamer:                   NO\n    v4l/v4l2:   YES (linux/videodev2.h)\n"
    debian = "  GUI:  QT5\n    FFMPEG:                      YES\n    GStreamer:                   YES (1.22.0)\n    v4l/v4l2: YES\n"
    headless = "  GUI:                           NONE\n    FFMPEG:   YES\n"
    assert _opencv_facts(pip) == {"window": "QT5", "ffmpeg": True, "gstreamer": False, "v4l2": True}
    assert _opencv_facts(debian)["gstreamer"]
    assert _opencv_facts(headless)["window"] is None
    assert _opencv_facts("") == {"window": None, "ffmpeg": False, "gstreamer": False, "v4l2": False}
