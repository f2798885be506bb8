"""The report is one file that loads nothing, says every segment, and lets nobody's words become markup."""

import re
from dataclasses import replace

import pytest

from edgezsl.demo.charts import gap_chart, score_chart
from edgezsl.demo.page import page
from edgezsl.demo.record import Counts, Still
from tests.demo.shows import colour_script, report, scene, seen
from tests.documents import Page

pytest.importorskip("matplotlib")
HOSTILE = "<script>alert('&amp;')</script> \"quoted\""


def answers():
    frames = [seen(n, shot=n // 3, title=f"something {n // 3}") for n in range(6)]
    return frames + [
        seen(n, shot=n // 3, revision=2, title=f"something {n // 3}", decision=None, expected="blue")
        for n in range(6, 12)
    ]


@pytest.fixture(scope="module")
def shown():
    frames = answers()
    stills = tuple(Still(one, b"\xff\xd8\xff", at_swap=n in (5, 6)) for n, one in enumerate(frames))
    return report(frames, stills=stills, missing=("colours has no mauve.png",))


@pytest.fixture(scope="module")
def parsed(shown):
    return Page(page(shown))


def test_it_loads_nothing_from_anywhere(parsed):
    assert all(value.startswith("data:image/jpeg;base64,") for value in parsed.attributes("src"))
    links = [attrs["href"] for tag, attrs in parsed.elements if tag == "a"]
    assert all(value.startswith("#") or value in links for value in parsed.attributes("href", "xlink:href"))
    assert all(link.startswith("https://") for link in links)
    tags = {tag for tag, _ in parsed.elements}
    assert not tags & {"script", "link", "iframe", "object", "base"}
    policy = next(attrs["content"] for tag, attrs in parsed.elements if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'")
    assert not re.findall(r"url\((?!#)", " ".join(filter(None, parsed.attributes("style"))))


def test_every_segment_has_its_row(shown, parsed):
    rows = [tuple(cell.strip() for cell in row) for row in parsed.rows]
    for segment in shown.segments:
        said, expected = ("none of these" if name is None else name for name in (segment.said, segment.expected))
        when = "before the edit" if segment.revision == 1 else "after it"
        assert any(
            row[1:6] == (segment.title, when, expected, said, f"{segment.right} of {segment.frames}") for row in rows
        )
    assert len(shown.segments) == 4


def test_what_happened_stands_in_numbers(shown, parsed):
    assert "12 of 12" in parsed.text
    assert f"{shown.swap.gap:.2f} frame periods" in parsed.text
    assert "Every frame that fell due at the camera was answered" in parsed.text
    assert "colours has no mauve.png" in parsed.text
    for scene_ in shown.script.scenes:
        assert scene_.photograph.credit.licence in parsed.text
    for word in ("colours", "by hand", "one core", "edgezsl 0.1.0", "edgezsl run"):
        assert word in parsed.text


def test_what_did_not_hold_is_said_in_place_of_the_claim(shown):
    text = Page(page(replace(shown, counts=Counts(15, 14, 2)))).text
    assert "Every frame" not in text
    assert "Did not hold: 3 of the camera's 15 frames got no answer (frame 12, 13, 14)" in text


def test_a_show_without_a_swap_has_a_page_too(shown):
    still_old = [one for one in shown.seen if one.answer.revision == 1]
    text = Page(page(replace(shown, seen=tuple(still_old), swapped_at=None, stills=()))).text
    assert "Did not hold: no frame was answered by the edited class file" in text
    assert "The answers changed" not in text


def test_no_words_from_outside_become_markup():
    frames = [seen(n, title=HOSTILE, decision=HOSTILE, expected=HOSTILE) for n in range(30)]
    script = colour_script(before=HOSTILE, after=HOSTILE)
    hostile = replace(scene("red", HOSTILE, HOSTILE).photograph.credit, title=HOSTILE, author=HOSTILE)
    scenes = tuple(
        replace(one, before=HOSTILE, photograph=replace(one.photograph, credit=hostile)) for one in script.scenes
    )
    shown = report(
        frames,
        script=replace(script, scenes=scenes),
        stills=(Still(frames[0], b"\xff", at_swap=False),),
        refusals=(HOSTILE,),
        missing=(HOSTILE,),
    )
    at = replace(shown.surroundings, model=HOSTILE, licence=HOSTILE, command=HOSTILE, next_command=HOSTILE)
    text = page(replace(shown, surroundings=at))
    assert "<script" not in text
    read = Page(text)
    assert read.text.count(HOSTILE) >= 10
    assert HOSTILE in read.attributes("alt")


def test_the_charts_take_the_pages_colours_and_share_no_id(shown):
    charts = [score_chart(shown), gap_chart(shown)]
    for chart in charts:
        assert chart.startswith("<svg")
        assert "currentColor" in chart
        assert "#010203" not in chart
        ids = re.findall(r'\bid="([^"]+)"', chart)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', chart)) <= set(ids)
    first, second = (set(re.findall(r'\bid="([^"]+)"', chart)) for chart in charts)
    assert not first & second


def test_the_scores_are_drawn_with_the_swap_marked_and_every_shot_named(shown):
    frames = [replace(one, answer=replace(one.answer, time=1000 + 10 * (one.answer.time - 1000))) for one in shown.seen]
    chart = score_chart(replace(shown, seen=tuple(frames), edited_at=1004.5, swapped_at=1005.5))
    words = Page(chart).text
    assert "file edited" in words
    assert "classes swapped" in words
    assert "of these" in words


def test_equal_reports_make_equal_pages(shown):
    assert page(shown) == page(shown)
