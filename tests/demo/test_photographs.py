"""The photographs are real files inside installed packages, found without importing these."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from edgezsl.demo.photographs import CREDITS, LEAST, Credit, find_photographs
from edgezsl.errors import InputError, MissingExtraError


@pytest.fixture
def album(tmp_path, monkeypatch):
    """Install a package with five photographs; return their credits."""
    cv2 = pytest.importorskip("cv2")
    folder = tmp_path / "photo_album"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('this package is never imported')\n")
    for number in range(5):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((30, 40, 3), 10 * number, np.uint8))
    monkeypatch.syspath_prepend(tmp_path)
    return [
        Credit(f"picture {n}", "photo_album", "photo-album", f"{n}.png", "nobody", "CC0", "https://example.org/")
        for n in range(5)
    ]


def test_every_photograph_is_found_in_the_packages_of_the_extra():
    pytest.importorskip("cv2")
    photographs, missing = find_photographs()
    assert missing == ()
    assert [one.credit for one in photographs] == list(CREDITS)
    for one in photographs:
        assert one.image.dtype == np.uint8
        assert min(one.image.shape[:2]) >= 300
        assert np.ptp(one.image.astype(int).mean((0, 1))) > 1, f"{one.title} has no colour"


def test_finding_them_imports_neither_package():
    program = (
        "import sys; from edgezsl.demo.photographs import find_photographs; find_photographs(); "
        "print([name for name in ('skimage', 'sklearn', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_every_photograph_names_its_author_its_licence_and_a_page():
    for one in CREDITS:
        assert one.author
        assert one.licence in {"CC0", "CC BY 2.0", "public domain"}
        assert one.link.startswith("https://")
    assert len({one.title for one in CREDITS}) == len(CREDITS)


def test_photographs_are_found_in_any_package_in_the_order_asked_for(album):
    photographs, missing = find_photographs(album[::-1])
    assert [one.title for one in photographs] == ["picture 4", "picture 3", "picture 2", "picture 1", "picture 0"]
    assert missing == ()


def test_a_file_that_a_version_lacks_is_named_and_the_rest_is_shown(album):
    photographs, missing = find_photographs([*album[:4], replace(album[4], file="gone.png")])
    assert len(photographs) == LEAST
    (sentence,) = missing
    assert "photo-album has no gone.png" in sentence


def test_a_damaged_file_counts_as_missing(album, tmp_path):
    (tmp_path / "photo_album" / "2.png").write_bytes(b"no picture")
    photographs, missing = find_photographs(album)
    assert [one.title for one in photographs] == ["picture 0", "picture 1", "picture 3", "picture 4"]
    assert "2.png" in missing[0]


def test_too_few_photographs_are_refused_by_name(album):
    wanted = [*album[:3], replace(album[3], file="gone.png"), replace(album[4], file="lost.png")]
    with pytest.raises(InputError, match=r"3 of the demo's 5 photographs.*gone\.png.*lost\.png") as caught:
        find_photographs(wanted)
    assert caught.value.code == "too_few_photographs"


def test_a_missing_package_names_the_extra_that_brings_it(album):
    with pytest.raises(MissingExtraError, match=r"pip install 'edgezsl\[demo\]'"):
        find_photographs([*album, replace(album[0], package="no_such_album")])
