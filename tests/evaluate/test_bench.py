"""A benchmark compares what runs: engines of bundles, and the imported model in PyTorch as loaded and re-parameterised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgezsl.compile.torch_engine import source_subjects
from edgezsl.encoders.open_clip_models import source_from_open_clip
from edgezsl.errors import EngineError, InputError
from edgezsl.evaluate.bench import BenchReport, bench, open_subjects
from edgezsl.evaluate.cold_start import cold_start
from edgezsl.preprocess import Preprocessor
from tests.encoders.sources import preprocessing, small_clip


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
