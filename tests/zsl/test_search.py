import ast
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna
import pytest

import edgezsl
from edgezsl.data.benchmark_sets import rows_by_classes
from edgezsl.data.feature_set import FeatureSet
from edgezsl.errors import InputError, TransientError
from edgezsl.evaluate.progress import Progress
from edgezsl.zsl.methods import method_named
from edgezsl.zsl.question import Question, question_of
from edgezsl.zsl.search import Found, Plan, search
from edgezsl.zsl.selection import validation_accuracy
from edgezsl.zsl.settings_file import prepare_settings, read_settings, write_settings
from edgezsl.zsl.space import Choices, LogRange, grid_of

MEMORY = Path("/dev/shm")  # noqa: S108  # a folder of its own is made in it
SPACES = {"penalty": LogRange(1e-3, 1e3, 7), "kind": Choices(("a", "b"))}


@pytest.fixture
def folder(tmp_path):
    """Return a folder in memory where there is one: SQLite waits for a disk at every write."""
    if not MEMORY.is_dir():
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY) as made:
        yield Path(made)


def feature_set(seed=0, classes=14, per_class=8):
    """Return classes of a linear world: six to fit, four held back, four unseen."""
    random = np.random.default_rng(seed)
    semantics = random.normal(size=(classes, 8))
    labels = np.repeat(np.arange(classes), per_class)
    features = semantics[labels] @ random.normal(size=(8, 20)) + 2 * random.normal(size=(len(labels), 20))
    rows = rows_by_classes(labels, np.arange(6, 10), np.arange(10, classes))
    names = tuple(f"class {number}" for number in range(classes))
    return FeatureSet("world", features.astype(np.float32), labels, names, semantics.astype(np.float32), rows)


def peaked(settings):
    """Return an accuracy that is highest at the penalty 1 and the kind b."""
    return 0.8 * np.exp(-abs(np.log10(settings["penalty"])) / 3) + (0.1 if settings["kind"] == "b" else 0.0)


def question(parts=1, digest="0", value=peaked):
    """Return a question whose every part has the same answer, and a list of how many parts were computed for each trial."""
    computed = []

    def each(settings):
        computed.append(0)
        for _ in range(parts):
            computed[-1] += 1
            yield value(settings)

    return Question(SPACES, each, parts, digest), computed


def finished(asked, plan):
    """Return every step of a search, and what it found."""
    *steps, found = search(asked, plan)
    assert isinstance(found, Found)
    return steps, found


@pytest.mark.parametrize("part", ["test_unseen", "test_seen"])
def test_searching_by_what_is_judged_raises(part):
    with pytest.raises(InputError) as caught:
        question_of(method_named("eszsl"), [feature_set()], size="quick", part=part)
    assert caught.value.code == "leak"


@pytest.mark.parametrize("name", ["prototype-ridge", "eszsl", "ale"])
def test_what_a_trial_is_worth_is_the_validation_accuracy_of_its_settings(name):
    entry, data = method_named(name), feature_set()
    short = {"epochs": 2} if name == "ale" else {}
    steps, found = finished(question_of(entry, [data], size="quick", settings=short), Plan("random", trials=4))
    for step in steps:
        alone = entry.make({**short, **step.settings}, size="quick")
        assert step.val_t1 == pytest.approx(validation_accuracy(alone, data))
    assert found.val_t1 == max(step.val_t1 for step in steps)
    assert found.settings == max(steps, key=lambda step: step.val_t1).settings


def test_a_trial_is_the_mean_over_splits_and_seeds():
    entry, splits = method_named("sje"), [feature_set(seed) for seed in (0, 1)]
    asked = question_of(entry, splits, size="quick", seeds=(3, 4), settings={"margin": 0.2, "epochs": 2})
    ((step,), _) = finished(asked, Plan("random", trials=1))
    settings = {"margin": 0.2, "epochs": 2, **step.settings}
    values = [
        validation_accuracy(entry.make(settings, size="quick", seed=seed), data) for data in splits for seed in (3, 4)
    ]
    assert step.val_t1 == pytest.approx(np.mean(values))
    assert set(step.settings) == {"learning_rate"}, "given settings are not searched"


def test_with_every_setting_given_there_is_nothing_to_search():
    with pytest.raises(InputError, match="no setting left"):
        question_of(method_named("sae"), [feature_set()], size="quick", settings={"lambda_": 1.0})


def test_a_grid_tries_each_of_its_points_once():
    steps, found = finished(question()[0], Plan("grid", trials=3))
    tried = sorted(tuple(sorted(step.settings.items())) for step in steps)
    assert tried == sorted(tuple(sorted(point.items())) for point in grid_of(SPACES))
    assert (found.trials, found.settings) == (14, {"penalty": 1.0, "kind": "b"})
    assert [step.done for step in steps] == list(range(1, 15))


@pytest.mark.parametrize("sampler", ["random", "tpe", "evolutionary"])
def test_every_sampler_stays_inside_the_spaces_and_ends_at_the_number_of_trials(sampler):
    steps, found = finished(question()[0], Plan(sampler, trials=24, seed=1))
    assert len(steps) == found.trials == 24
    assert all(1e-3 <= step.settings["penalty"] <= 1e3 and step.settings["kind"] in "ab" for step in steps)
    logs = np.log10([step.settings["penalty"] for step in steps])
    assert logs.min() < -0.5 < 0.5 < logs.max(), "a range is drawn from by its logarithm"
    assert found.val_t1 == max(map(peaked, (step.settings for step in steps)))


def test_tpe_comes_nearer_to_the_best_than_chance():
    ends = {
        sampler: np.median(
            [finished(question()[0], Plan(sampler, trials=30, seed=seed))[1].val_t1 for seed in range(5)]
        )
        for sampler in ("tpe", "random")
    }
    assert ends["tpe"] > ends["random"]


def test_equal_seeds_draw_alike_and_others_do_not():
    drawn = [[step.settings for step in finished(question()[0], Plan(trials=6, seed=s))[0]] for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_settings_that_are_behind_are_given_up_after_a_part_and_are_never_the_best():
    asked, computed = question(parts=4)
    steps, found = finished(asked, Plan("random", trials=30))
    pruned = [step for step in steps if step.val_t1 is None]
    assert found.pruned == len(pruned) > 5
    assert found.values.count(None) == len(pruned)
    for number, (step, parts) in enumerate(zip(steps, computed, strict=True)):
        assert parts == (1 if step.val_t1 is None else 4)
        if step.val_t1 is None:
            earlier = [one.val_t1 for one in steps[:number] if one.val_t1 is not None]
            assert peaked(step.settings) < np.median(earlier)
    assert all(step.val_t1 is not None for step in steps[:5])
    assert max(peaked(step.settings) for step in steps) == found.val_t1


def test_a_study_of_one_part_gives_up_nothing():
    assert finished(question()[0], Plan("random", trials=20))[1].pruned == 0


@pytest.mark.parametrize("address", ["sqlite:///{}/study.db", "journal:{}/study.log"])
def test_a_study_goes_on_where_it_was_left(folder, address):
    plan = Plan("tpe", trials=4, storage=address.format(folder), study="one")
    first, found = finished(question()[0], plan)
    assert len(first) == found.trials == 4
    more, found = finished(question()[0], Plan("tpe", trials=7, storage=plan.storage, study="one"))
    assert len(more) == 3
    assert found.trials == 7
    assert list(found.values[:4]) == [step.val_t1 for step in first]
    assert finished(question()[0], plan)[0] == [], "it holds enough already"
    assert finished(question()[0], Plan("tpe", trials=2, storage=plan.storage, study="two"))[1].trials == 2


def test_a_grid_goes_on_where_it_was_left(folder):
    plan = Plan("grid", storage=f"sqlite:///{folder}/study.db")
    running = search(question()[0], plan)
    first = [next(running).settings for _ in range(5)]
    running.close()
    more, found = finished(question()[0], plan)
    assert len(more) == 9
    points = {tuple(sorted(settings.items())) for settings in [*first, *(step.settings for step in more)]}
    assert len(points) == found.trials == 14


def test_a_study_answers_one_question(folder):
    plan = Plan("random", trials=1, storage=f"sqlite:///{folder}/study.db")
    finished(question()[0], plan)
    with pytest.raises(InputError, match="another method, data") as caught:
        finished(question(digest="1")[0], plan)
    assert caught.value.code == "other_study"
    data, others = feature_set(), feature_set(seed=1)
    entry = method_named("sae")
    digests = [
        question_of(entry, [data], size="quick").digest,
        question_of(entry, [others], size="quick").digest,
        question_of(entry, [data], size="full").digest,
        question_of(method_named("prototype-ridge"), [data], size="quick").digest,
    ]
    assert len(set(digests)) == 4
    assert digests[0] == question_of(entry, [feature_set()], size="quick").digest


@pytest.mark.parametrize("address", ["sqlite:////nowhere/at/all.db", "no address", "journal:/nowhere/at/all.log"])
def test_a_storage_that_cannot_be_opened_is_refused(address):
    with pytest.raises(InputError) as caught:
        finished(question()[0], Plan(storage=address))
    assert caught.value.code == "bad_storage"


def test_a_storage_that_fails_on_the_way_may_be_tried_again(folder):
    running = search(question()[0], Plan("random", storage=f"sqlite:///{folder}/study.db"))
    next(running)
    with sqlite3.connect(folder / "study.db") as base:
        base.execute("drop table trial_values")
    base.close()
    with pytest.raises(TransientError) as caught:
        next(running)
    assert caught.value.code == "storage_failed"


def test_a_search_is_silent_and_leaves_optuna_as_it_was(folder, capfd):
    before = optuna.logging.get_verbosity()
    running = search(question(parts=2)[0], Plan("grid", storage=f"sqlite:///{folder}/study.db"))
    next(running)
    assert optuna.logging.get_verbosity() == before
    list(running)
    assert capfd.readouterr() == ("", "")


def test_optuna_is_imported_in_one_module_only():
    importing = set()
    for path in Path(edgezsl.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            importing |= {path.name for name in names if name.partition(".")[0] in {"optuna", "sqlalchemy"}}
    assert importing == {"search.py"}


WORKER = """
import sys, time
from pathlib import Path
from edgezsl.zsl.question import Question
from edgezsl.zsl.search import Plan, search
from edgezsl.zsl.space import LogRange

def parts(settings):
    time.sleep(0.1)
    yield 1 / (1 + settings["penalty"])

asked = Question({"penalty": LogRange(1e-3, 1e3, 7)}, parts, 1, "0")
folder = Path(sys.argv[1])
(folder / f"ready{sys.argv[2]}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
list(search(asked, Plan("tpe", trials=16, storage=f"sqlite:///{folder}/study.db")))
"""


def tried(base):
    """Return number, value and process of each finished trial of a study, read without optuna."""
    query = (
        "select t.number, v.value, a.value_json from trials t join trial_values v on v.trial_id = t.trial_id "
        "join trial_user_attributes a on a.trial_id = t.trial_id where t.state = 'COMPLETE'"
    )
    try:
        connection = sqlite3.connect(f"file:{base}?mode=ro", uri=True)
        try:
            rows = connection.execute(query).fetchall()
        finally:
            connection.close()
    except sqlite3.OperationalError:  # not made yet
        return {}
    return {number: (value, int(json.loads(worker).rpartition(":")[2])) for number, value, worker in rows}


def test_two_processes_share_a_study_and_killing_one_loses_no_finished_trial(folder):
    base = folder / "study.db"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    commands = [[sys.executable, "-c", WORKER, str(folder), str(number)] for number in range(2)]
    workers = [subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) for command in commands]
    try:
        deadline = time.monotonic() + 60
        while len(list(folder.glob("ready*"))) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (folder / "go").touch()  # both make the tables of a new study at once
        while len({worker for _, worker in tried(base).values()}) < 2:
            assert time.monotonic() < deadline
            assert all(worker.poll() is None for worker in workers), workers[0].communicate()
            time.sleep(0.05)
        before = tried(base)
        workers[0].send_signal(signal.SIGKILL)
        assert workers[0].wait() == -signal.SIGKILL
        assert workers[1].wait(60) == 0
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    after = tried(base)
    assert before.items() <= after.items()
    assert len(after) == 16, "the killed one's open trial counts for nothing"
    assert {worker for _, worker in after.values()} == {worker.pid for worker in workers}


def test_settings_go_through_a_file_and_out_of_a_report(tmp_path):
    settings = {"gamma": 5.25, "width": 512, "normalized": False, "kind": "a"}
    write_settings(tmp_path / "best.json", settings)
    assert json.loads((tmp_path / "best.json").read_text()) == settings
    assert read_settings(tmp_path / "best.json") == settings
    (tmp_path / "report.json").write_text(json.dumps({"study": "s", "settings": settings, "trials": 3}))
    assert read_settings(tmp_path / "report.json") == settings


def test_where_settings_go_is_looked_at_before_anybody_searches(tmp_path):
    prepare_settings(tmp_path / "new" / "best.json")
    assert list((tmp_path / "new").iterdir()) == []
    (tmp_path / "kept.json").write_text("{}")
    prepare_settings(tmp_path / "kept.json")
    assert (tmp_path / "kept.json").read_text() == "{}"
    with pytest.raises(InputError) as caught:
        prepare_settings(tmp_path / "kept.json" / "best.json")
    assert caught.value.code == "not_writable"


@pytest.mark.parametrize("text", ["[1]", '{"a": [1]}', '{"a": null}', "nothing", '{"a": NaN}'])
def test_what_is_no_settings_is_refused(tmp_path, text):
    (tmp_path / "best.json").write_text(text)
    with pytest.raises(InputError):
        read_settings(tmp_path / "best.json")


def test_a_step_says_how_far_it_is():
    steps, _ = finished(question()[0], Plan("random", trials=3))
    assert all(isinstance(step, Progress) for step in steps)
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert steps[-1].step == f"best {100 * max(step.val_t1 for step in steps):.1f}"
