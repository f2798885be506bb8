"""A small world in which classes can be told from what describes them."""

import numpy as np

from edgezsl.data.benchmark_sets import rows_by_classes
from edgezsl.data.feature_set import FeatureSet
from edgezsl.zsl.methods import method_named

PER_CLASS, CLASSES = 20, 20


def feature_set(*, noise=0.6, seed=0):
    """Return 20 classes of a world that is linear up to its rectifier: 10 to fit, 4 held back, 6 unseen; a quarter of rows judged."""
    random = np.random.default_rng(seed)
    semantics = random.normal(size=(CLASSES, 12))
    world = random.normal(size=(12, 30)) / np.sqrt(12)
    labels = np.repeat(np.arange(CLASSES), PER_CLASS)
    features = np.maximum(semantics[labels] @ world + noise * random.normal(size=(len(labels), 30)), 0)
    test = np.flatnonzero(np.arange(len(labels)) % PER_CLASS >= 15)
    rows = rows_by_classes(labels, np.arange(10, 14), np.arange(14, 20), test=test)
    names = tuple(f"class {number}" for number in range(CLASSES))
    return FeatureSet("world", features.astype(np.float32), labels, names, semantics.astype(np.float32), rows)


def small(name):
    """Return settings of a method for so small a world: the middle of each range, few units, many epochs."""
    entry = method_named(name)
    fixed = {key: value for key, value in {"width": 128, "epochs": 100}.items() if key in entry.quick}
    return {key: space.grid()[len(space.grid()) // 2] for key, space in entry.spaces.items()} | fixed
