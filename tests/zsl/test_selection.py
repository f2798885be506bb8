from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from edgezsl.data.benchmark_sets import rows_by_classes
from edgezsl.data.feature_set import FeatureSet
from edgezsl.errors import InputError
from edgezsl.zsl.generative.training import trained
from edgezsl.zsl.method import class_scores
from edgezsl.zsl.methods import METHODS, method_named
from edgezsl.zsl.selection import fit_chosen, judge, seen_penalty, trials, validation_accuracy
from edgezsl.zsl.semantic.ridge import PrototypeRidge
from edgezsl.zsl.space import Choices, LogRange, grid_of
from tests.zsl.worlds import feature_set, small


@pytest.mark.parametrize("part", ["test_unseen", "test_seen"])
@pytest.mark.parametrize("choosing", [validation_accuracy, seen_penalty])
def test_choosing_by_what_is_judged_raises(choosing, part):
    with pytest.raises(InputError) as caught:
        choosing(PrototypeRidge(), feature_set(), part=part)
    assert caught.value.code == "leak"
    assert part in caught.value.message
    assert "validation classes" in caught.value.expected


def test_a_grid_is_tried_on_validation_classes_and_its_best_is_far_from_chance():
    data = feature_set()
    found = list(
        trials(lambda settings: PrototypeRidge(**settings), grid_of({"penalty": LogRange(0.01, 100, 5)}), data)
    )
    assert [trial.settings["penalty"] for trial in found] == [0.01, 0.1, 1.0, 10.0, 100.0]
    assert max(trial.val_t1 for trial in found) > 0.6


def test_the_seen_penalty_is_the_same_for_scores_of_another_unit():
    data = feature_set()

    class Louder(PrototypeRidge):
        __slots__ = ()

        def prototypes(self, semantics):
            vectors, bias = super().prototypes(semantics)
            return 7 * vectors, bias

    assert seen_penalty(Louder(), data).gamma == pytest.approx(seen_penalty(PrototypeRidge(), data).gamma)


def test_the_seen_penalty_is_found_without_rows_that_are_judged():
    data = feature_set()
    ruined = data.features.copy()
    ruined[np.concatenate([data.rows["test_seen"], data.rows["test_unseen"]])] = 1e3
    other = FeatureSet("world", ruined, data.labels, data.class_names, data.semantics, data.rows)
    val = np.setdiff1d(data.rows["val"], data.rows["test_seen"])
    both = [
        FeatureSet("world", one.features, one.labels, one.class_names, one.semantics, {**one.rows, "val": val})
        for one in (data, other)
    ]
    assert seen_penalty(PrototypeRidge(), both[0]) == seen_penalty(PrototypeRidge(), both[1])


def test_judgement_is_what_a_count_by_hand_says():
    data = feature_set()
    method = PrototypeRidge().fit(*data.of("trainval"), data.semantics)
    found = judge(method, data, gamma=0.5)
    scores = class_scores(method, data.features, data.semantics)
    best = scores.argmax(axis=1)

    def mean(part):
        rows = data.rows[part]
        return np.mean([(best[rows][data.labels[rows] == label] == label).mean() for label in data.classes(part)])

    assert found.u == pytest.approx(mean("test_unseen"))
    assert found.s == pytest.approx(mean("test_seen"))
    assert found.h == pytest.approx(2 * found.u * found.s / (found.u + found.s))
    assert found.penalty == pytest.approx(0.5 * scores[data.rows["trainval"]][:, :14].std())
    assert found.h_oracle >= max(found.h, found.h_calibrated)
    assert found.t1 >= found.u
    assert 0 < found.ausuc < 1


def test_without_rows_of_seen_classes_only_t1_is_judged():
    data = feature_set()
    rows = rows_by_classes(data.labels, np.arange(10, 14), np.arange(14, 20))
    alone = FeatureSet("world", data.features, data.labels, data.class_names, data.semantics, rows)
    found = judge(PrototypeRidge().fit(*alone.of("trainval"), alone.semantics), alone, gamma=0.5)
    assert found.t1 > 0.5
    assert (found.u, found.s, found.h, found.ausuc) == (None, None, None, None)


def test_a_grid_is_every_combination():
    spaces = {"a": LogRange(1, 100, 3), "b": Choices(("x", "y"))}
    assert [tuple(one.values()) for one in grid_of(spaces)] == [
        (1.0, "x"),
        (1.0, "y"),
        (10.0, "x"),
        (10.0, "y"),
        (100.0, "x"),
        (100.0, "y"),
    ]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_learns_a_linear_world_by_its_name(name):
    data = feature_set(noise=0.3)
    found = validation_accuracy(method_named(name).make(small(name), size="quick"), data)
    assert found > 0.4, "chance is 0.25"


def test_an_unknown_method_or_setting_is_named():
    with pytest.raises(InputError, match="no method 'eszls'"):
        method_named("eszls")
    with pytest.raises(InputError, match="does not take 'gama, depth',") as caught:
        method_named("eszsl").make({"gama": 1.0, "lambda_": 1.0, "depth": 2})
    assert "gamma, lambda_" in caught.value.expected


def test_what_is_chosen_is_the_best_of_the_grid_and_fitted_on_all_seen_classes():
    data = feature_set()
    *tried, found = fit_chosen(method_named("prototype-ridge"), data, size="quick")
    assert found.val_t1 == max(trial.val_t1 for trial in tried)
    assert found.settings in [trial.settings for trial in tried]
    again = PrototypeRidge(**found.settings).fit(*data.of("trainval"), data.semantics)
    np.testing.assert_array_equal(found.method.prototypes(data.semantics)[0], again.prototypes(data.semantics)[0])
    assert found.seen_penalty == seen_penalty(PrototypeRidge(**found.settings), data)


def test_given_settings_are_tried_alone():
    *tried, found = fit_chosen(method_named("sae"), feature_set(), size="quick", settings={"lambda_": 2.0})
    assert [trial.settings for trial in tried] == [{"lambda_": 2.0}]
    assert found.settings == {"lambda_": 2.0}


@pytest.mark.parametrize("name", [name for name, entry in METHODS.items() if entry.fit_each is not None])
def test_a_grid_that_is_fitted_together_reaches_what_each_of_its_points_does(name):
    data, entry = feature_set(), method_named(name)
    candidates = list(grid_of(entry.spaces))[::3]
    together = list(trials(entry.make, candidates, data, fit_each=entry.fit_each))
    assert [trial.settings for trial in together] == candidates
    assert together == list(trials(entry.make, candidates, data))


def test_the_next_candidate_is_asked_for_when_the_last_was_tried():
    """A search may look at what was reached before it says what to try."""
    entry, asked = method_named("eszsl"), []

    def candidates():
        for gamma in (0.1, 1.0, 10.0):
            asked.append(gamma)
            yield {"gamma": gamma}

    for number, trial in enumerate(trials(entry.make, candidates(), feature_set(), fit_each=entry.fit_each), 1):
        assert asked == [0.1, 1.0, 10.0][:number]
        assert trial.settings == {"gamma": asked[-1]}


def test_how_unseen_classes_are_weighed_is_chosen_by_the_harmonic_mean_and_the_generator_is_trained_once():
    data, entry, trainings = feature_set(), method_named("gan-zsl"), []

    def counted(*arguments):
        trainings.append(arguments)
        return trained(*arguments)

    settings = {"epochs": 20, "learning_rate": 1e-3}
    counting = replace(entry, build=partial(entry.build, trainer=counted))
    *tried, found = fit_chosen(counting, data, size="quick", settings=settings)
    assert len(tried) == 1
    assert len(trainings) == 3  # for validation, for the seen penalty of every prior, and for all seen classes
    reached = {
        prior: seen_penalty(entry.make({**settings, "prior": prior}, size="quick"), data)
        for prior in entry.weighings["prior"].grid()
    }
    assert len({one.val_h_without for one in reached.values()}) > 1
    assert found.settings["prior"] == max(reached, key=lambda prior: reached[prior].val_h_without)
    assert found.seen_penalty == reached[found.settings["prior"]]
    assert found.method.prior == found.settings["prior"]


def test_a_weighing_that_is_given_is_kept():
    settings = {"epochs": 2, "learning_rate": 1e-3, "prior": 7.0}
    *_, found = fit_chosen(method_named("gan-zsl"), feature_set(), size="quick", settings=settings)
    assert found.settings == settings
    assert found.method.prior == 7.0


def with_rows(data, **rows):
    return replace(data, rows={**data.rows, **rows})


def firsts(data, part):
    """Return the first row of each class of a part."""
    return np.unique(data.labels, return_index=True)[1][data.classes(part)]


def test_a_class_of_one_picture_is_fitted_and_does_not_judge():
    data = feature_set()
    first = int(data.classes("train")[0])
    kept = [row for row in data.rows["train"] if data.labels[row] != first or row == firsts(data, "train")[0]]
    found = seen_penalty(PrototypeRidge(), with_rows(data, train=np.array(kept)))
    assert np.isfinite(found.gamma)
    assert found.val_h > 0.1


def test_where_no_class_has_two_pictures_that_is_said():
    data = feature_set()
    with pytest.raises(InputError) as caught:
        seen_penalty(PrototypeRidge(), with_rows(data, train=firsts(data, "train")))
    assert caught.value.code == "too_few_rows"


@pytest.mark.parametrize(("part", "rows"), [("val", []), ("train", [0, 1, 2])])
@pytest.mark.parametrize("choosing", [validation_accuracy, seen_penalty])
def test_too_few_classes_to_choose_by_or_to_fit_on_are_refused(choosing, part, rows):
    data = with_rows(feature_set(), **{part: np.array(rows, np.int64)})
    with pytest.raises(InputError) as caught:
        choosing(PrototypeRidge(), data)
    assert caught.value.code == "too_few_classes"
    assert caught.value.where.field == part


@pytest.mark.parametrize("name", ["sje", "eszsl"])
def test_a_seed_is_no_setting(name):
    with pytest.raises(InputError) as caught:
        method_named(name).make({"seed": 3})
    assert caught.value.code == "bad_setting"
    assert "--seed" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "setting", "value", "expected"),
    [
        ("prototype-ridge", "penalty", -1.0, "a number > 0"),
        ("eszsl", "gamma", "abc", "a number > 0"),
        ("eszsl", "lambda_", float("nan"), "a number > 0"),
        ("conse", "top", 0, "a whole number ≥ 1"),
        ("conse", "centred", 1, "true or false"),
        ("ale", "epochs", 0, "a whole number ≥ 1"),
        ("dem", "epochs", 1.5, "a whole number ≥ 1"),
        ("latem", "maps", True, "a whole number ≥ 1"),
        ("robust-head", "steps", "60", "a whole number ≥ 1"),
        ("robust-head", "dropout", -0.1, "a number ≥ 0"),
    ],
)
def test_a_setting_of_another_kind_or_out_of_range_is_refused(name, setting, value, expected):
    with pytest.raises(InputError) as caught:
        method_named(name).make({setting: value})
    assert caught.value.code == "bad_setting"
    assert f"{setting} of {name}" in caught.value.message
    assert caught.value.expected == expected
