from dataclasses import replace

import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.evaluate.evaluation import Evaluation
from edgezsl.evaluate.progress import Progress
from edgezsl.evaluate.temperature import softmax
from edgezsl.zsl.evaluation import evaluate_method, fitted_logit_scale
from edgezsl.zsl.method import accuracy, class_scores
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.selection import Chosen, fit_chosen, judge
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from tests.zsl.worlds import feature_set, small


def evaluated(name="prototype-ridge", data=None, **options):
    *steps, found = evaluate_method(method_named(name), data or feature_set(), size="quick", **options)
    assert isinstance(found, Evaluation)
    assert all(isinstance(step, Progress) and 0 <= step.done <= step.total for step in steps)
    return found, steps


def test_the_figures_are_those_of_the_protocol():
    data = feature_set()
    found, _ = evaluated(data=data, questions=False)
    chosen = next(
        one for one in fit_chosen(method_named("prototype-ridge"), data, size="quick") if isinstance(one, Chosen)
    )
    wanted = judge(chosen.method, data, gamma=chosen.gamma)
    assert found.figures.top[1] == pytest.approx(wanted.t1)
    curve = found.seen_unseen.curve
    assert curve.at(0.0) == pytest.approx((wanted.u, wanted.s, wanted.h))
    assert curve.at(found.seen_unseen.penalty)[2] == pytest.approx(wanted.h_calibrated)
    assert curve.area() == pytest.approx(wanted.ausuc)
    assert found.runs["H with γ"] == pytest.approx([100 * wanted.h_calibrated])
    assert found.questions is None


def test_temperature_threshold_and_penalty_know_nothing_of_what_is_judged():
    data = feature_set()
    val = np.setdiff1d(data.rows["val"], data.rows["test_seen"])
    train = np.setdiff1d(data.rows["train"], data.rows["test_seen"])
    data = replace(data, rows={**data.rows, "val": val, "train": train})
    ruined = data.features.copy()
    judged = np.concatenate([data.rows["test_seen"], data.rows["test_unseen"]])
    ruined[judged] = np.random.default_rng(0).normal(size=(len(judged), ruined.shape[1]))
    clean, other = (
        evaluated(data=one, questions=False)[0] for one in (data, replace(data, features=ruined.astype(np.float32)))
    )
    assert clean.temperature.temperature == other.temperature.temperature
    assert clean.rejection.threshold == other.rejection.threshold
    assert clean.seen_unseen.penalty == other.seen_unseen.penalty
    assert clean.figures.top[1] > other.figures.top[1]


def test_where_all_validation_rows_are_right_probabilities_stay_below_certainty():
    data = feature_set(noise=0.0)
    entry = method_named("prototype-ridge")
    chosen = next(one for one in fit_chosen(entry, data, size="quick") if isinstance(one, Chosen))
    held = entry.make(chosen.settings, size="quick")
    held.fit(*data.of("train"), data.semantics)
    features, labels = data.of("val")
    classes = data.classes("val")
    scores = class_scores(held, features, data.semantics[classes])
    assert (classes[scores.argmax(axis=1)] == labels).all()
    spread = [
        class_scores(method, data.of(part)[0], data.semantics[data.classes(part)]).std()
        for method, part in ((held, "train"), (chosen.method, "trainval"))
    ]
    temperature = spread[0] / (fitted_logit_scale(held, chosen.method, data) * spread[1])
    doubt = 1 - softmax(scores, temperature)[np.arange(len(labels)), np.searchsorted(classes, labels)].mean()
    assert 0.2 / (len(labels) + 2) < doubt < 5 / (len(labels) + 2)


def test_a_temperature_of_validation_classes_makes_probabilities_of_unseen_classes_too():
    found, _ = evaluated(questions=False)
    before, after = (one.ece for one in found.temperature.reliability)
    assert after < before
    assert found.temperature.nll[1] < found.temperature.nll[0]


def test_half_of_the_unseen_classes_are_left_out_to_be_rejected():
    found, _ = evaluated(data=feature_set(noise=0.2), questions=False)
    assert len(found.rejection.left_out) == 3
    assert len(found.rejection.inside) == len(found.rejection.outside)
    inside, outside = found.rejection.passing
    assert inside > outside


def test_the_hard_questions_are_asked_and_all_classes_and_images_give_the_figure_itself():
    data = feature_set()
    found, steps = evaluated(data=data)
    growth = found.questions.growth
    whole = {kind: max(one.count for one in growth if one.kind == kind) for kind in ("classes", "images")}
    assert whole == {"classes": 14, "images": 15}
    for one in growth:
        if one.count == whole[one.kind]:
            assert one.accuracy == pytest.approx(found.figures.top[1])
    few = [one.accuracy for one in growth if one.kind == "classes" and one.count == 2]
    assert np.mean(few) < found.figures.top[1]
    assert found.questions.gap.correlation.low > 0
    assert set(found.questions.nearness.nearest) <= set(data.class_names[:14])
    assert steps[-1].step == "fitting a temperature and a threshold"


def test_examples_of_unseen_classes_beside_their_descriptions_help_and_none_is_the_figure_on_the_same_rows():
    data = feature_set(noise=1.0)
    shots = evaluated(data=data)[0].questions.shots
    assert {one.kind for one in shots} == {"examples"}
    reached = {count: np.mean([one.accuracy for one in shots if one.count == count]) for count in (0, 1, 2)}
    assert reached[2] > reached[0] + 0.02
    assert {one.count for one in shots} == {0, 1, 2}, "as many as leave a row of each class to be judged"
    assert len({one.accuracy for one in shots if one.count == 1}) > 1


@pytest.mark.parametrize("name", ["eszsl", "latem"])
def test_a_method_whose_scores_are_no_cosines_is_shown_no_examples(name):
    found, _ = evaluated(name, settings=small(name))
    assert found.questions.shots == ()
    assert found.questions.growth


def test_every_seed_is_a_run_with_the_settings_of_the_first():
    options = {"questions": False, "settings": {"margin": 0.2, "learning_rate": 0.01, "epochs": 3}}
    found, _ = evaluated("ale", seeds=(3, 4), **options)
    assert len(found.runs["T1"]) == 2
    alone, _ = evaluated("ale", seeds=(3,), **options)
    assert alone.runs["T1"] == found.runs["T1"][:1]
    assert alone.figures.top == found.figures.top
    once, _ = evaluated("eszsl", seeds=(3, 4), questions=False)
    assert len(once.runs["T1"]) == 1


def test_given_settings_are_taken():
    data = feature_set()
    found, _ = evaluated(data=data, settings={"penalty": 3.0}, questions=False)
    assert found.facts["settings"].startswith("penalty 3;")
    method = method_named("prototype-ridge").make({"penalty": 3.0}).fit(*data.of("trainval"), data.semantics)
    assert found.figures.top[1] == pytest.approx(accuracy(method, *data.of("test_unseen"), data.semantics))


def test_without_rows_of_seen_classes_there_is_no_curve():
    data = feature_set()
    rows = {**data.rows, "test_seen": np.array([], np.int64)}
    found, _ = evaluated(data=replace(data, rows=rows), questions=False)
    assert found.seen_unseen is None
    assert "U" not in found.runs


def test_a_set_without_unseen_rows_is_refused():
    data = feature_set()
    rows = {**data.rows, "test_unseen": np.array([], np.int64)}
    with pytest.raises(InputError, match=r"none of \d+ rows is of an unseen class") as caught:
        evaluated(data=replace(data, rows=rows))
    assert "test_unseen" in caught.value.expected


def test_no_logit_scale_comes_of_a_method_that_tells_no_validation_classes_apart():
    """Two training classes leave `prototype-ridge` one direction: all descriptions lie on one of its two sides."""
    data = feature_set()
    few = data.rows["train"][np.isin(data.labels[data.rows["train"]], data.classes("train")[:2])]
    method = PrototypeRidge(1.0).fit(*data.of("trainval"), data.semantics)
    held = PrototypeRidge(1.0).fit(data.features[few], data.labels[few], data.semantics)
    side = held.prototypes(data.semantics)[0] @ held.prototypes(data.semantics)[0][0]
    alike = np.isin(data.labels, np.flatnonzero(side > 0))
    val = data.rows["val"][alike[data.rows["val"]]]
    assert len(np.unique(data.labels[val])) > 1
    assert fitted_logit_scale(held, method, replace(data, rows={**data.rows, "val": val, "train": few})) is None
    assert fitted_logit_scale(method, method, replace(data, rows={**data.rows, "val": val})) > 0
