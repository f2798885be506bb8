"""Where a report is written: checked before the work, and then written whole."""

import pytest

from edgezsl.errors import SinkError
from edgezsl.evaluate.document import ReportFile, document

pytest.importorskip("matplotlib")


def test_the_place_of_a_report_is_checked_before_the_work_and_left_empty(tmp_path):
    path = tmp_path / "new" / "report.html"
    file = ReportFile.open(path)
    assert not path.exists()
    text = document("one", ["<p>two</p>"])
    file.write(text)
    assert path.read_text() == text
    assert ReportFile.open(path).path.read_text() == text, "a report of an earlier run is kept until there is a new one"


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "report.html"):
        with pytest.raises(SinkError, match="the report cannot be written") as caught:
            ReportFile.open(path)
        assert caught.value.code == "unwritable"
        assert "--out" in caught.value.hint
