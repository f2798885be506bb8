"""What the report says is counted from the answers, and what does not hold is said."""

import json

import pytest

from edgezsl.demo.record import Counts, lost_frames
from tests.demo.shows import report, seen


def answers(count=12, *, swap_at=6, without=()):
    """Return the answers to two shots, the second under another class set."""
    frames = [seen(n, shot=0) for n in range(swap_at)]
    frames += [
        seen(n, shot=1, revision=2, title="something blue", decision=None, expected="blue")
        for n in range(swap_at, count)
    ]
    return [one for one in frames if one.answer.frame not in without]


def test_a_show_that_went_well_has_no_faults():
    good = report(answers())
    assert good.faults == ()
    assert good.lost == ()
    assert good.measured_fps == pytest.approx(10)


@pytest.mark.parametrize(
    ("due", "answered", "lost"),
    [(0, [], ()), (3, [0, 1, 2], ()), (4, [0, 2], (1, 3)), (3, [], (0, 1, 2)), (3, [2, 2, 0], (1,))],
)
def test_a_frame_is_lost_when_it_fell_due_and_nobody_answered_it(due, answered, lost):
    assert lost_frames(due, answered) == lost


def test_lost_frames_are_counted_by_cause_and_by_their_distance_from_the_swap():
    frames = answers(count=30, without=(5, 6, 25))
    bad = report(frames, counts=Counts(due=30, given=28, dropped=1))
    assert bad.lost == (5, 6, 25)
    (fault,) = bad.faults
    assert "3 of the camera's 30 frames got no answer (frame 5, 6, 25)" in fault
    assert "not fetched in time: 2, overtaken by a newer one: 1" in fault
    assert "within 1 s of the swap: 2" in fault


def test_a_last_frame_that_never_came_is_lost_too():
    assert report(answers(), counts=Counts(13, 12, 0)).lost == (12,)


def test_a_swap_that_did_not_happen_is_a_fault():
    same = report([seen(n) for n in range(5)], swapped_at=None)
    assert same.swap is None
    (fault,) = same.faults
    assert fault.startswith("no frame was answered by the edited class file; ")


def test_a_refusal_is_a_fault_with_its_reason():
    refused = report([seen(n) for n in range(5)], swapped_at=None, refusals=("two classes of one name (line 3)",))
    assert "two classes of one name (line 3)" in refused.faults[0]


def test_the_gap_at_the_swap_is_measured_from_answer_to_answer_in_frame_periods():
    frames = answers()
    frames[6] = seen(6, shot=1, revision=2, late_ms=60.0)
    swap = report(frames).swap
    assert (swap.last_before, swap.first_after, swap.revision) == (5, 6, 2)
    assert swap.gap == pytest.approx(1.5)
    assert (swap.edited_s, swap.swapped_s) == pytest.approx((0.45, 0.55))
    assert max(report(frames).gaps) == pytest.approx(1.5)


def test_a_segment_is_one_shot_as_one_class_set_saw_it():
    frames = [seen(0), seen(1, decision="green"), seen(2), seen(3, revision=2, decision="red", expected=None)]
    before, after = report(frames).segments
    assert (before.frames, before.right, before.said, before.expected) == (3, 2, "red", "red")
    assert (after.frames, after.right, after.said, after.expected) == (1, 0, "red", None)
    assert before.score == pytest.approx(0.5)
    assert (before.begin_s, before.end_s) == pytest.approx((0.0, 0.2))


def test_the_report_is_json():
    value = json.loads(json.dumps(report(answers(without=(3,)), counts=Counts(12, 12, 1)).to_json(), allow_nan=False))
    assert value["frames"] == {"due": 12, "given": 12, "dropped": 1, "answered": 11, "lost": [3]}
    assert [segment["revision"] for segment in value["segments"]] == [1, 2]
    assert value["swap"]["revision"] == 2
    assert len(value["faults"]) == 1
    assert value["surroundings"]["model"] == "colours"


def test_a_show_without_one_answer_is_reported_too():
    nothing = report([], counts=Counts(5, 0, 0), swapped_at=None)
    assert nothing.lost == (0, 1, 2, 3, 4)
    assert len(nothing.faults) == 2
    json.dumps(nothing.to_json(), allow_nan=False)
