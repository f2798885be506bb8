"""A benchmark compares what runs: engines of bundles, and the imported model in PyTorch as loaded and re-parameterised."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from edgezsl.compile.torch_engine import source_subjects
from edgezsl.encoders.open_clip_models import source_from_open_clip
from edgezsl.errors import EngineError, InputError
from edgezsl.evaluate.bench import BenchReport, bench, open_subjects
from edgezsl.evaluate.cold_start import cold_start
from edgezsl.evaluate.frame_power import frame_power
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.power import NOT_REPORTED, PowerMeter
from tests.encoders.sources import preprocessing, small_clip
from tests.sensors import ORIN_NANO, lay


def test_every_subject_has_its_stages_and_the_first_of_a_kind_is_one(small_bundle):
    (one,) = open_subjects(small_bundle, ["onnx"], (), threads=1, cold=False)
    subjects = [one, replace(one, name="another")]
    *rounds, report = bench(subjects, runs=5, classes=10)
    assert rounds == list(range(1, 9))
    assert isinstance(report, BenchReport)
    kinds = [timing.stage.partition(":")[0] for timing in report.timings]
    assert sorted(set(kinds)) == ["engine", "preprocess", "score", "whole frame"]
    assert kinds.count("engine") == kinds.count("whole frame") == 2
    assert report.timings[0].share == 1
    assert all(one.least_ms <= one.p50_ms <= one.p95_ms for one in report.timings)


def test_where_a_machine_says_what_it_draws_each_subject_gets_its_joules(small_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("edgezsl.evaluate.bench.frame_power", partial(frame_power, settle_s=0.01, stretch_s=0.1))
    (one,) = open_subjects(small_bundle, ["onnx"], (), threads=1, cold=False)
    subjects = [one, replace(one, name="another")]
    meter = PowerMeter(lay(tmp_path, ORIN_NANO))
    *rounds, report = bench(subjects, runs=5, classes=10, meter=meter)
    assert rounds == list(range(1, 11))
    assert set(report.powers) == {one.name, "another"}
    assert report.power_missing is None
    value = report.to_json()["power"]["another"]
    assert value["watts"] == pytest.approx(4.984 * 1.856, abs=0.001)
    assert value["joules_per_frame"] == pytest.approx(value["watts"] * value["seconds"] / value["frames"], rel=0.02)
    assert 0.1 <= value["seconds"] < 1
    assert (value["source"], value["celsius"], value["throttled"]) == ("VDD_IN", 63.781, [])
    assert "J a frame, 9.3 W on average (VDD_IN), at most 64 °C, not throttled; " in str(report.powers["another"])


def test_where_it_does_not_no_time_is_spent_and_it_is_said(small_bundle, tmp_path):
    subjects = [*open_subjects(small_bundle, ["onnx"], (), threads=1, cold=False)]
    *rounds, report = bench(subjects, runs=5, classes=10, meter=PowerMeter(tmp_path))
    assert rounds == list(range(1, 9))
    assert (report.powers, report.power_missing) == ({}, NOT_REPORTED)
    assert report.to_json()["power_missing"] == NOT_REPORTED


def test_an_answer_longer_than_the_stretch_counts_as_one_frame(tmp_path):
    power = frame_power(lambda: time.sleep(0.05), PowerMeter(lay(tmp_path, ORIN_NANO)), settle_s=0, stretch_s=0.001)
    assert power.frames == 1
    assert power.joules_per_frame == pytest.approx(power.summary.watts * power.summary.seconds)


def test_two_subjects_of_one_name_are_refused(small_bundle):
    subjects = [*open_subjects(small_bundle, ["onnx"], (), threads=1, cold=False)] * 2
    with pytest.raises(InputError, match="timed twice"):
        list(bench(subjects, runs=5, classes=10))


def test_a_cold_start_counts_the_process_and_says_why_it_failed(small_bundle, tmp_path):
    cold = cold_start(small_bundle.folder, "onnx", "fp32", threads=1)
    assert cold.first_s > 0.05
    assert cold.peak_mib > 20
    with pytest.raises(EngineError, match="does not start"):
        cold_start(tmp_path, "onnx", "fp32", threads=1)


def test_a_precision_that_a_bundle_has_not_is_refused(small_bundle):
    with pytest.raises(InputError, match="int8"):
        list(open_subjects(small_bundle, ["onnx"], ["int8"], threads=1, cold=False))


def test_a_model_in_pytorch_is_timed_as_loaded_and_re_parameterised():
    source = source_from_open_clip(small_clip(), name="small", preprocess=preprocessing())
    loaded, fused = source_subjects(source, threads=1)
    assert "as loaded" in loaded.name
    assert "re-parameterised" in fused.name
    pixels = np.random.RandomState(0).rand(1, 3, 64, 64).astype(np.float32)
    np.testing.assert_allclose(loaded.engine.run(pixels), fused.engine.run(pixels), atol=1e-5)
    rows, columns = np.mgrid[:90, :120]
    frame = np.stack([2 * rows, 2 * columns, rows + columns], axis=2).astype(np.uint8)
    ours, theirs = Preprocessor(source.contract)([frame]), loaded.preprocess([frame])
    np.testing.assert_allclose(ours, theirs, atol=0.05)
    *_, report = bench([loaded, fused], runs=5, classes=10)
    own = [timing.stage for timing in report.timings if timing.stage.startswith("preprocess")]
    assert len(own) == 1
    assert own[0].endswith("its library's own")
