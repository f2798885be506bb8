"""What is shown when, and what should be said of it."""

import numpy as np
import pytest

from edgezsl.classes import ClassFile
from edgezsl.demo.photographs import CREDITS, Photograph
from edgezsl.demo.script import AFTER, BEFORE, RIGHT_ANSWERS, Scene, Script, Timeline, script_of
from edgezsl.errors import InputError


def photographs(wanted=CREDITS):
    return [Photograph(credit, np.zeros((30, 40, 3), np.uint8)) for credit in wanted]


def timeline(scenes=3, seconds=6.0, fps=10.0):
    return Timeline.of(script_of(photographs(CREDITS[:scenes])), seconds=seconds, fps=fps)


def test_the_photographs_come_there_and_back_and_the_last_one_stays_while_its_classes_change():
    shown = timeline()
    assert [scene.title for scene in shown.scenes] == [CREDITS[n].title for n in (0, 1, 2, 1, 0)]
    assert shown.lengths == (10, 10, 20, 10, 10)
    assert shown.frames == 60
    assert shown.shot_at(shown.edit_at) == 2


def test_a_frame_belongs_to_one_shot():
    shown = timeline()
    shots = [shown.shot_at(number) for number in range(shown.frames)]
    assert [shots.count(shot) for shot in range(5)] == list(shown.lengths)
    assert shots == sorted(shots)
    assert [shots[middle] for middle in shown.middles] == list(range(5))
    assert shown.middles == (5, 15, 30, 45, 55)


def test_the_camera_gets_a_shot_for_each_scene_and_moves_otherwise_each_time():
    shots = timeline().shots(seed=3)
    assert tuple(shot.frames for shot in shots) == timeline().lengths
    assert len({shot.sweep for shot in shots}) == 5
    assert shots[0].sweep == timeline().shots(seed=3)[0].sweep != timeline().shots(seed=4)[0].sweep


@pytest.mark.parametrize(("scenes", "seconds"), [(3, 0.1), (0, 6.0)])
def test_a_show_too_short_for_its_scenes_is_refused(scenes, seconds):
    with pytest.raises(InputError) as caught:
        timeline(scenes=scenes, seconds=seconds)
    assert caught.value.code == "too_short"


def test_the_right_answer_depends_on_the_class_set_that_answers():
    scene = Scene(photographs()[0], None, "tabby cat")
    assert [scene.expected(revision) for revision in (1, 2, 3)] == [None, "tabby cat", "tabby cat"]


def test_every_photograph_has_its_right_answers_and_each_is_a_class_that_is_reported():
    assert set(RIGHT_ANSWERS) == {credit.title for credit in CREDITS}
    for text, which in ((BEFORE, 0), (AFTER, 1)):
        entries = ClassFile.parse(text.encode(), file="classes.yaml").entries
        reported = {entry.name for entry in entries if not entry.negative}
        assert {answers[which] for answers in RIGHT_ANSWERS.values()} - {None} <= reported
        assert any(entry.negative for entry in entries)
    script = script_of(photographs())
    assert isinstance(script, Script)
    assert any(scene.before is None and scene.after for scene in script.scenes), "none of these gets a name"
    assert any(scene.before and scene.after is None for scene in script.scenes), "a name becomes none of these"
