"""A teacher network's answers to crops, computed once and kept on disk.

Distillation looks at the same crop many times. The teacher is several times as costly as its pupil, so that its answers
are kept: `TeacherAnswers` fills a file of float16 features image by image, and goes on where it was cut off.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from edgezsl.data.crops import CropLaw, crop_boxes, cut
from edgezsl.files import write_durably
from edgezsl.records import canonical_json, sha256_hex
from edgezsl.runtime.onnx_engine import OnnxGraph

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from edgezsl.data.images import ImageSet

_BATCH = 64  # crops at once
_IMAGES = 64  # between two notes of how far it is


def free_size(model: bytes) -> bytes:
    """Return an ONNX image network that takes any height and width: its last average pool becomes a global one."""
    graph = onnx.load_model_from_string(model)
    for value in graph.graph.input:
        for axis, name in ((2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    for node in graph.graph.node:
        if node.op_type == "AveragePool":
            node.op_type = "GlobalAveragePool"
            del node.attribute[:]
    return bytes(graph.SerializeToString(deterministic=True))


class Teacher:
    """An ONNX network: RGB crops in [-1, 1] to its pooled features.

    Args:
        path: `image (N, 3, S, S)` to `features (N, F)`.
        size: S, pixels.
        threads: Threads, or None for all cores.
    """

    def __init__(self, path: Path, size: int, *, threads: int | None = None) -> None:
        data = path.read_bytes()
        self.size = size
        self.digest = sha256_hex(data)
        self._graph = OnnxGraph(free_size(data), file=str(path), threads=threads)

    def features(self, crops: NDArray[np.uint8]) -> NDArray[np.float16]:
        """Return `(N, F)` float16 for `crops (N, S, S, 3)`."""
        pixels = np.ascontiguousarray(crops.transpose(0, 3, 1, 2), np.float32) / np.float32(127.5) - 1
        rows = self._graph.run({"image": pixels})[self._graph.outputs.index("features")]
        return np.asarray(rows, np.float16)


class TeacherAnswers:
    """The crops of an image set and the teacher's features for them, kept in a folder.

    Args:
        name: Of the image set.
        images: The images.
        teacher: The teacher.
        law: How crops are drawn.
        folder: Where answers are kept, under a digest of all that they depend on but the images' bytes.
        seed: Of the crops.

    Attributes:
        boxes: `(images, crops, 4)` uint16, mapped from disk.
        features: `(images, crops, F)` float16, mapped from disk.
    """

    def __init__(self, name: str, images: ImageSet, teacher: Teacher, law: CropLaw, folder: Path, *, seed: int) -> None:
        self._images, self._teacher, self._law, self._seed = images, teacher, law, seed
        key = {"name": name, "teacher": teacher.digest, "size": teacher.size, "law": asdict(law), "seed": seed}
        stem = sha256_hex(canonical_json({**key, "labels": list(images.labels)}))[:16]
        folder.mkdir(parents=True, exist_ok=True)
        self._note = folder / f"{stem}.json"
        self.done = json.loads(self._note.read_bytes())["done"] if self._note.exists() else 0
        shape = (len(images.labels), law.count)
        width = teacher.features(np.zeros((1, teacher.size, teacher.size, 3), np.uint8)).shape[1]
        self.boxes = self._mapped(folder / f"{stem}.boxes.npy", np.uint16, (*shape, 4))
        self.features = self._mapped(folder / f"{stem}.features.npy", np.float16, (*shape, width))

    def compute(self) -> Iterator[int]:
        """Compute what is missing; yields how many images are done."""
        count = len(self._images.labels)
        while self.done < count:
            end = min(self.done + _IMAGES, count)
            crops = []
            for index in range(self.done, end):
                image = self._images.image(index)
                rng = np.random.default_rng((self._seed, index))
                height, width = image.shape[:2]
                self.boxes[index] = crop_boxes(height, width, self._law, rng)
                crops += [cut(image, box, self._teacher.size) for box in self.boxes[index]]
            rows = [self._teacher.features(np.stack(crops[at : at + _BATCH])) for at in range(0, len(crops), _BATCH)]
            self.features[self.done : end] = np.concatenate(rows).reshape(end - self.done, self._law.count, -1)
            self.boxes.flush()
            self.features.flush()
            self.done = end
            write_durably(self._note, canonical_json({"done": end}))
            yield end

    def _mapped(self, path: Path, dtype: type, shape: tuple[int, ...]) -> np.memmap[Any, Any]:
        if self.done:
            return np.lib.format.open_memmap(path, "r+")
        return np.lib.format.open_memmap(path, "w+", dtype, shape)
