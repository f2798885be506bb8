"""The photographs of the demo: files that lie inside well-known packages, found without importing these.

Nothing is downloaded and nothing is shipped here. Each photograph is used under its own licence, which the report
names. Only what every recent wheel of a package carries is listed, and only what a stranger could name; a photograph whose
licence its package does not state is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from edgezsl.errors import EdgezslError, InputError, missing_extra
from edgezsl.runtime.sources import read_image

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

EXTRA = "demo"
LEAST = 4  # photographs; fewer are no show
_PURPOSE = "the demo's photographs"
LICENCES = {  # where the text of each stands
    "CC0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC BY 2.0": "https://creativecommons.org/licenses/by/2.0/",
}


@dataclass(frozen=True, slots=True)
class Credit:
    """Where a photograph comes from, and under which terms.

    Attributes:
        title: What it shows, in two or three words; unique.
        package: The import name of the package that carries it.
        distribution: That package's name for pip.
        file: Its path inside the package.
        author: Who made it.
        licence: Its licence, as its package states it.
        link: Where it is described, or comes from.
    """

    title: str
    package: str
    distribution: str
    file: str
    author: str
    licence: str
    link: str


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """A photograph, read.

    Attributes:
        credit: Its source and licence.
        image: `(H, W, 3)` uint8 RGB.
    """

    credit: Credit
    image: NDArray[np.uint8]

    @property
    def title(self) -> str:
        """What it shows."""
        return self.credit.title


CREDITS = (
    Credit(
        "a cat's face",
        "skimage",
        "scikit-image",
        "data/chelsea.png",
        "Stefan van der Walt",
        "CC0",
        "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.chelsea",
    ),
    Credit(
        "an orange dahlia",
        "sklearn",
        "scikit-learn",
        "datasets/images/flower.jpg",
        "vultilion, Flickr",
        "CC BY 2.0",
        "https://www.flickr.com/photos/vultilion/6056698931/",
    ),
    Credit(
        "a Chinese pagoda",
        "sklearn",
        "scikit-learn",
        "datasets/images/china.jpg",
        "danielbuechele, Flickr",
        "CC BY 2.0",
        "https://www.flickr.com/photos/danielbuechele/6061409035/",
    ),
    Credit(
        "an astronaut",
        "skimage",
        "scikit-image",
        "data/astronaut.png",
        "NASA",
        "public domain",
        "https://flic.kr/p/r9qvLn",
    ),
    Credit(
        "a rocket",
        "skimage",
        "scikit-image",
        "data/rocket.jpg",
        "SpaceX",
        "public domain",
        "https://www.flickr.com/photos/spacexphotos/16511594820/",
    ),
    Credit(
        "a cup of coffee",
        "skimage",
        "scikit-image",
        "data/coffee.png",
        "Rachel Michetti, Pikolo Espresso Bar",
        "CC0",
        "https://scikit-image.org/docs/stable/api/skimage.data.html#skimage.data.coffee",
    ),
)


def find_photographs(wanted: Sequence[Credit] = CREDITS) -> tuple[tuple[Photograph, ...], tuple[str, ...]]:
    """Return the photographs that are installed, and what is missing.

    Args:
        wanted: Which to look for, in the order of the show.

    Returns:
        The photographs, and one sentence for each file that its package lacks or that cannot be read.

    Raises:
        MissingExtraError: When a package, or OpenCV, is not installed.
        InputError: When fewer than four photographs are found.
    """
    found: list[Photograph] = []
    missing: list[str] = []
    for credit in wanted:
        path = _folder(credit.package) / credit.file
        try:
            found.append(Photograph(credit, read_image(path)))
        except EdgezslError as fault:
            if fault.code == "missing_extra":
                raise
            missing.append(f"{credit.distribution} has no {credit.file} that can be read: {fault.message}")
    if len(found) < LEAST:
        raise InputError(
            f"{len(found)} of the demo's {len(wanted)} photographs were found ({'; '.join(missing)})",
            code="too_few_photographs",
            expected=f"at least {LEAST}",
            hint="install the packages again: pip install --force-reinstall scikit-image scikit-learn",
        )
    return tuple(found), tuple(missing)


def _folder(package: str) -> Path:
    """Return the folder of an installed package; importing it would take a second."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise missing_extra(package, EXTRA, _PURPOSE)
    return Path(spec.origin).parent
