"""The benchmarks of zero-shot learning in the folder of the reference data, each with its trap disarmed.

Rows of FLO follow `[trnid, valid, tstid]` of the original split file; the attributes of CUB are by class id, as they do not
lie in the file that they came from; row numbers of the original `.mat` files count from 1, these from 0; text vectors of CLIP lie in
a narrow cone, so that the mean of the vocabulary is subtracted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np

from edgezsl.data.feature_set import PARTS, FeatureSet
from edgezsl.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

UNSEEN, HELD_BACK = 20, 18  # classes of a split of Tiny-ImageNet


def flo(data: Path) -> FeatureSet:
    """Return Oxford-102 Flowers: 82 seen and 20 unseen classes, described by sentences.

    Args:
        data: The folder of the reference data.

    Raises:
        InputError: When it is not there.
    """
    file = _arrays(data / "zsl_flo" / "flo.npz")
    return _feature_set("flo", file, file["features"], file["sentences"])


def cub50(
    data: Path,
    *,
    semantics: Literal["attributes", "sentences"] = "sentences",
    encoder: Literal["imagenet", "birds"] = "imagenet",
) -> FeatureSet:
    """Return the first fifty classes of CUB-200-2011: 40 seen and 10 unseen.

    Args:
        data: The folder of the reference data.
        semantics: What describes a class.
        encoder: What the encoder of the features was trained on.

    Raises:
        InputError: When it is not there.
    """
    file = _arrays(data / "zsl_cub50" / "cub50.npz")
    features = file["features" if encoder == "imagenet" else "features_inat_bird"]
    return _feature_set("cub50", file, features, file[semantics])


def awa1(data: Path, *, split: Literal["original", "proposed"] = "original") -> FeatureSet:
    """Return Animals with Attributes 1, of hand-crafted features: 40 seen and 10 unseen classes, 85 attributes.

    The original split has no validation classes and no test rows of seen classes: ten seen classes, those of the proposed split's
    validation that are seen here, and others in the order of their names, are held back.

    Args:
        data: The folder of the reference data.
        split: Lampert et al., CVPR 2009, or that of Xian et al.

    Raises:
        InputError: When it is not there.
    """
    file = _arrays(data / "zsl_awa1_lowlevel" / "awa1_lowlevel_pca512.npz")
    features = file["q"].astype(np.float32) * file["scale"]
    semantics = np.maximum(file["attributes_continuous"], 0)  # -1 stands for "unknown"
    labels = file["labels"].astype(np.int64)
    if split == "proposed":
        rows = {part: file[f"ps_{part}_loc"] for part in PARTS}
    else:
        unseen = file["ss_test_classes"].astype(np.int64)
        preferred = np.unique(labels[file["ps_val_loc"]])
        others = np.argsort(file["class_names"])
        order = [one for one in (*preferred, *others) if one not in unseen]
        held = list(dict.fromkeys(order))[: len(unseen)]
        rows = rows_by_classes(labels, np.array(held), unseen)
    return _feature_set("awa1", file, features, semantics, rows)


def tinyimagenet(data: Path, *, seed: int) -> FeatureSet:
    """Return Tiny-ImageNet's 109 classes that have a text vector of CLIP: 20 unseen and 18 held back, by a permutation.

    The encoder of its features was trained on all of them: unseen to what is fitted here alone.

    Args:
        data: The folder of the reference data.
        seed: Of the permutation, 0 to 4.

    Raises:
        InputError: When it is not there.
    """
    file = _arrays(data / "zsl_tinyimagenet" / "tinyimagenet_mnv2_u8.npz")
    texts = _arrays(data / "clip_text_vectors" / "clip_vitb32_text.npz")["vectors"].astype(np.float32)
    index = file["clip_index"].astype(np.int64)
    known = np.flatnonzero(index >= 0)
    labels = np.full(len(index), -1)
    labels[known] = np.arange(len(known))
    both = [(file[f"{part}_q"], labels[file[f"{part}_labels"]]) for part in ("train", "val")]
    kept = [(levels[row >= 0], row[row >= 0]) for levels, row in both]
    order = np.random.RandomState(seed).permutation(len(known))
    unseen, held = order[:UNSEEN], order[UNSEEN : UNSEEN + HELD_BACK]
    every = np.concatenate([row for _, row in kept])
    rows = rows_by_classes(every, held, unseen, test=np.arange(len(kept[0][1]), len(every)))
    features = np.concatenate([levels for levels, _ in kept]).astype(np.float32) * float(file["scale"])
    semantics = (texts - texts.mean(axis=0))[index[known]]
    named = {**file, "labels": every, "class_names": file["class_names"][known]}
    found = _feature_set(f"tinyimagenet-{seed}", named, features, semantics, rows)
    return replace(found, ids=tuple(file["wnids"][known].tolist()))


def rows_by_classes(
    labels: NDArray[np.integer],
    held: NDArray[np.integer],
    unseen: NDArray[np.integer],
    *,
    test: NDArray[np.integer] | None = None,
) -> dict[str, NDArray[np.int64]]:
    """Return rows by part, for classes that are held back and unseen.

    Args:
        labels: `(N,)`.
        held: Classes to choose by.
        unseen: Classes to be judged on.
        test: Rows that nothing is fitted on and of which alone classes are judged; None: every row of an unseen class is
            judged on, and none of a seen one.
    """
    is_unseen, is_held = np.isin(labels, unseen), np.isin(labels, held)
    tested = is_unseen if test is None else np.isin(np.arange(len(labels)), test)
    parts = {
        "train": ~is_unseen & ~is_held,
        "val": is_held,
        "trainval": ~is_unseen & ~tested,
        "test_seen": ~is_unseen & tested,
        "test_unseen": is_unseen & tested,
    }
    return {part: np.flatnonzero(chosen) for part, chosen in parts.items()}


def _feature_set(
    name: str,
    file: Mapping[str, NDArray[Any]],
    features: NDArray[Any],
    semantics: NDArray[Any],
    rows: Mapping[str, NDArray[Any]] | None = None,
) -> FeatureSet:
    rows = rows or {part: file[f"{part}_loc"] for part in PARTS}
    return FeatureSet(
        name,
        features.astype(np.float32),
        file["labels"].astype(np.int64),
        tuple(file["class_names"].tolist()),
        np.asarray(semantics, np.float32),
        {part: numbers.astype(np.int64) for part, numbers in rows.items()},
    )


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, BadZipFile) as cause:
        raise InputError(
            f"the benchmark cannot be read ({cause})",
            code="bad_features",
            where=Place(str(path)),
            expected="the file as the reference data holds it",
            hint="give the folder of the reference data: --folder or EDGEZSL_DATA",
        ) from cause
