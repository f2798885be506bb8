"""The page of an evaluation: it loads nothing, shows what was measured, and lets no name become markup."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgezsl.evaluate.evaluation import Evaluation, HardQuestions, SeenUnseen
from edgezsl.evaluate.folder_robustness import Robustness
from edgezsl.evaluate.intervals import share_interval
from edgezsl.evaluate.questions import GrowthPoint, Hubness, Nearness, SemanticGap
from edgezsl.evaluate.recognition_figures import RecognitionFigures
from edgezsl.evaluate.report import evaluation_page
from edgezsl.evaluate.robustness import RobustAccuracy
from edgezsl.evaluate.seen_unseen import SeenUnseenCurve
from edgezsl.evaluate.temperature import TemperatureFit
from edgezsl.evaluate.thresholds import Rejection, ThresholdFit
from tests.documents import Page

pytest.importorskip("matplotlib")

HOSTILE = '<i data-evil="1">$cat$</i>'


def scored(*, classes, rows=400, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    scores = random.normal(size=(rows, classes)) + 2.5 * (np.arange(classes) == labels[:, None])
    return scores, labels


def evaluation(classes=8):
    """Return an evaluation with every part, of random scores."""
    names = (HOSTILE, *(f"class {number}" for number in range(1, classes)))
    random = np.random.default_rng(1)
    scores, labels = scored(classes=classes)
    others = scored(classes=classes, seed=2)
    curve = SeenUnseenCurve.of(scores, labels, np.arange(classes) < classes // 2)
    semantics = random.normal(size=(classes, 6))
    figures = RecognitionFigures.of(scores, labels, names)
    seen = np.arange(classes) < classes // 2
    return Evaluation(
        title=f"prototype-ridge on {HOSTILE}",
        facts={"settings": "penalty 1"},
        figures=figures,
        runs={"T1": [50.0, 52.0, 54.0]},
        seen_unseen=SeenUnseen(curve, 0.4, 0.3),
        rejection=Rejection((HOSTILE,), scores[:200].max(axis=1), scores[200:].max(axis=1) - 1).with_threshold(
            2.0, scores[:200].max(axis=1), scores[200:].max(axis=1) - 1
        ),
        temperature=TemperatureFit.of(0.5, scores, labels, before=1.0, fitted_on="other rows"),
        thresholds=ThresholdFit.of(names, others, (scores, labels)),
        questions=HardQuestions(
            SemanticGap.of(semantics + random.normal(size=semantics.shape), semantics),
            Hubness.of(scores, names, k=3),
            tuple(GrowthPoint(kind, count, 0, count / 20) for kind in ("classes", "images") for count in (2, 4, 8)),
            Nearness.of(names, semantics, seen, figures.per_class[~seen]),
            tuple(
                GrowthPoint("examples", count, draw, (3 + count + draw) / 20) for count in (0, 1, 5) for draw in (0, 1)
            ),
        ),
        robustness=Robustness(
            {"noise": tuple(share_interval(right, 20) for right in (20, 18, 15, 11, 6, 2))},
            {"the model": RobustAccuracy(40, 40, 36, 10)},
            "PGD of 20 steps",
        ),
    )


@pytest.fixture(scope="module")
def found():
    return evaluation()


@pytest.fixture(scope="module")
def page(found):
    return Page(evaluation_page(found))


def test_the_page_loads_nothing_and_closes_what_it_opens(page):
    loaded = page.attributes("src", "href", "xlink:href")
    assert loaded
    assert all(link.startswith(("data:", "#")) for link in loaded)
    assert "script" not in {tag for tag, _ in page.elements}


def test_ids_of_all_charts_differ_and_every_reference_leads_to_one(page):
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    references = {link[1:] for link in page.attributes("xlink:href") if link.startswith("#")}
    assert references <= set(ids)


def test_a_name_never_becomes_markup_or_a_formula(page):
    assert page.attributes("data-evil") == []
    assert HOSTILE in [word.strip() for word in page.words]  # of a chart: as text, its dollar signs in it
    assert page.words.count("prototype-ridge on " + HOSTILE) == 2  # the title and the heading


def test_every_part_and_its_figures_are_on_the_page(page, found):
    for heading in (
        "Over seeds",
        "Seen and unseen classes together",
        "Class by class",
        "What is taken for what",
        "None of these",
        "Thresholds",
        "Score temperature",
        "Bad frames and attacks",
        "The hard questions",
        "How it was measured",
    ):
        assert heading in page.text
    rows = {cells[0]: cells[1:] for cells in page.rows if cells}
    u, s, h = (f"{100 * value:.1f}" for value in found.seen_unseen.curve.at(0.4))
    assert rows["chosen by validation"] == ["0.4", u, s, h]
    assert rows["T1"] == ["52.0", "47.0 to 57.0", "50.0 52.0 54.0"]
    assert rows["noise"] == ["100.0", "90.0", "75.0", "55.0", "30.0", "10.0"]
    assert rows["the model"][:3] == ["40", "90.0", "25.0"]
    assert rows["fitted"][-1] == f"{100 * found.temperature.reliability[1].ece:.1f}"
    assert f"{100 * found.figures.macro_f1:.1f}" in page.text


def bare(found):
    """Return only the figures of an evaluation."""
    return replace(
        found,
        runs={},
        seen_unseen=None,
        rejection=None,
        temperature=None,
        thresholds=None,
        questions=None,
        robustness=None,
    )


def test_what_was_not_measured_is_not_on_the_page(found):
    text = Page(evaluation_page(bare(found))).text
    assert "Class by class" in text
    for heading in (
        "Over seeds",
        "Seen and unseen",
        "None of these",
        "Thresholds",
        "temperature",
        "hard questions",
        "Bad frames",
    ):
        assert heading not in text


def test_more_classes_than_have_room_for_names_are_drawn_without():
    scores, labels = scored(classes=90)
    figures = RecognitionFigures.of(scores, labels, [f"class {number}" for number in range(90)])
    text = evaluation_page(Evaluation("many", {}, figures))
    assert f"{len(np.unique(labels))} classes, best first" in text


def test_the_object_is_json_and_says_what_was_not_measured(found):
    read = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert read["seeds"]["T1"]["value"] == 52.0
    assert read["seen_unseen"]["oracle"]["h"] >= read["seen_unseen"]["chosen"]["h"]
    assert read["questions"]["growth"][0] == {"kind": "classes", "count": 2, "draw": 0, "accuracy": 0.1}
    assert read["questions"]["shots"][-1] == {"kind": "examples", "count": 5, "draw": 1, "accuracy": 0.45}
    assert bare(found).to_json()["temperature"] is None


def test_the_report_says_what_examples_are_worth_where_that_was_measured(found):
    assert "0: 17.5%, 1: 22.5%, 5: 42.5%" in evaluation_page(found)
    without = replace(found, questions=replace(found.questions, shots=()))
    assert "examples of each unseen class" not in evaluation_page(without)
