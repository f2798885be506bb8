from dataclasses import replace

import numpy as np
import pytest

from edgezsl.errors import InputError
from edgezsl.evaluate.corruptions import CORRUPTIONS, SIDE, corrupted
from edgezsl.evaluate.folder_accuracy import vocabulary
from edgezsl.evaluate.folder_robustness import corruption_accuracy
from edgezsl.preprocess import Preprocessor
from edgezsl.runtime.engine import open_engine
from tests.evaluate.photographs import Labelled
from tests.factories import colour_frame, finished

pytest.importorskip("cv2")


def measured(bundle, images, prototypes):
    engine = open_engine(bundle, "onnx", threads=1)
    found, steps = finished(corruption_accuracy(images, len(images), engine, bundle.manifest.contract, prototypes))
    engine.close()
    assert [step.done for step in steps] == list(range(1, len(images) + 1))
    return found


def test_shares_are_what_recognising_each_corrupted_frame_gives(small_bundle):
    random = np.random.default_rng(0)
    images = [
        Labelled(
            random.integers(0, 256, (40, 60, 3), np.uint8) // 2 + colour_frame(name, height=40, width=60) // 2,
            name,
            name,
        )
        for name in ("red", "green", "white")
    ]
    prototypes = vocabulary(small_bundle, ("red", "green", "black"))
    found = measured(small_bundle, images, prototypes)
    contract, engine = small_bundle.manifest.contract, open_engine(small_bundle, "onnx", threads=1)
    sized = Preprocessor(replace(contract, size=(SIDE, SIDE)))
    for kind in CORRUPTIONS:
        for severity in (1, 5):
            right = []
            for number, one in enumerate(images[:2], 1):  # white is no class of the vocabulary
                frame = corrupted(sized.resized(one.image), kind, severity=severity, seed=number)
                best = (engine.run(Preprocessor(contract)([frame])) @ prototypes.vectors.T).argmax()
                right.append(prototypes.names[best] == one.label)
            assert found[kind][severity].value == np.mean(right)
    engine.close()


def test_the_first_share_of_every_kind_is_that_of_clean_frames(small_bundle):
    images = [Labelled(colour_frame(name), name, name) for name in ("red", "green")]
    found = measured(small_bundle, images, vocabulary(small_bundle, ("red", "green")))
    assert {kind: len(shares) for kind, shares in found.items()} == dict.fromkeys(CORRUPTIONS, 6)
    assert {shares[0].value for shares in found.values()} == {1.0}


def test_photographs_of_other_classes_alone_are_refused(small_bundle):
    with pytest.raises(InputError, match=r"none of \d+ photographs is of a class"):
        measured(small_bundle, [Labelled(colour_frame("red"), "red", "a")], vocabulary(small_bundle, ("blue", "green")))
