"""A report as one HTML file: readable without a network, on a light or a dark screen, wide or narrow.

Whatever is given as text is escaped here; what is given as markup was made here or in a chart. The page's own policy
forbids it to load anything.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from edgezsl.errors import Place, SinkError
from edgezsl.evaluate.svg import check_charts
from edgezsl.files import prepare_place, write_durably
from edgezsl.runtime.opencv import opencv

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_JPEG_QUALITY = 82
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, slots=True)
class ReportFile:
    """Where a report will be written.

    Attributes:
        path: The file.
    """

    path: Path

    @classmethod
    def open(cls, path: Path) -> ReportFile:
        """Check, before anybody waits for the work, that its report can be made and written. Folders are made.

        Raises:
            SinkError: When the file cannot be written.
            MissingExtraError: When matplotlib is not installed.
        """
        check_charts()
        try:
            prepare_place(path)
        except OSError as cause:
            raise _unwritable(path, cause) from cause
        return cls(path)

    def write(self, text: str) -> None:
        """Write the report.

        Args:
            text: An HTML document.

        Raises:
            SinkError: When the file cannot be written.
        """
        try:
            write_durably(self.path, text.encode("utf-8", "replace"))
        except OSError as cause:
            raise _unwritable(self.path, cause) from cause


def _unwritable(path: Path, cause: OSError) -> SinkError:
    return SinkError(
        f"the report cannot be written ({cause.strerror})",
        code="unwritable",
        where=Place(str(path)),
        hint="choose another place with --out",
    )


def document(title: str, parts: Iterable[str]) -> str:
    """Return an HTML document.

    Args:
        title: Text.
        parts: Markup, in order; empty parts are left out.
    """
    style = files("edgezsl.evaluate").joinpath("document.css").read_text("utf-8")
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main>\n</body>\n</html>\n"
    )


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Return boxes, each with something short in large type and a few words below it, both text."""
    boxes = "".join(f'<div class="tile"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in pairs)
    return f'<div class="tiles">{boxes}</div>'


def table(columns: Sequence[str], rows: Iterable[str], *, numbers: Sequence[str] = ()) -> str:
    """Return a table.

    Args:
        columns: Text.
        rows: Markup of `<tr>` elements, as `row` makes them.
        numbers: The columns that hold numbers.
    """
    head = "".join(
        f'<th class="number">{escape(name)}</th>' if name in numbers else f"<th>{escape(name)}</th>" for name in columns
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>\n'


def row(words: Iterable[str], numbers: Iterable[str] = ()) -> str:
    """Return a row of a table: cells of words, then cells of numbers, all text."""
    cells = [f"<td>{escape(cell)}</td>" for cell in words]
    cells += [f'<td class="number">{escape(cell)}</td>' for cell in numbers]
    return f"<tr>{''.join(cells)}</tr>"


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return a list of words, each with what is said of it, both text."""
    return "<dl>" + "".join(f"<dt>{escape(word)}</dt><dd>{escape(value)}</dd>" for word, value in pairs) + "</dl>"


def jpeg(data: bytes, alt: str) -> str:
    """Return a picture, inside the page; `alt` is text."""
    return f'<img alt="{escape(alt)}" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'


def small_jpeg(image: NDArray[np.uint8], *, width: int) -> bytes:
    """Return an image as JPEG, made smaller where it is wider than `width` pixels; empty where it cannot be.

    Args:
        image: `(H, W, 3)` uint8 RGB.
        width: Pixels, ≥ 1.

    Raises:
        MissingExtraError: When OpenCV is not installed.
    """
    cv2 = opencv("the pictures of a report")
    if image.shape[1] > width:
        size = (width, max(round(width * image.shape[0] / image.shape[1]), 1))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(data) if done else b""
