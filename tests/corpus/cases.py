"""The broken inputs that are better made than kept: class files too large for a repository, packs, bundles, sources.

Each case has a name and the code with which it must be refused. The class files that fit lie in `classes/`.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load, save

from edgezsl.records import canonical_json, sha256_hex
from tests import factories

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# --- class files -----------------------------------------------------------------------------------------------------

LARGE_CLASS_FILES = {
    "large-above-the-cap": b"- " + b"a" * 10_000_000,
    "large-name-of-four-million": b"- " + b"a" * 4_000_000,
    "large-key": b"classes: [cat]\n? " + b"k" * 100_000 + b"\n: 1\n",
    "large-number": b"reject: " + b"1" * 3_000_000 + b"x\nclasses: [cat]\n",
    "large-text-of-marks": ("- name: cat\n  descriptions: [a" + "\u0316\u0301" * 500_000 + "]\n").encode(),
    "large-alias-name": b"- *" + b"a" * 100_000,
    "large-number-of-classes": b"".join(b"- %d\n" % number for number in range(100_001)),
    "large-number-of-attributes": b"- name: cat\n  attributes:\n"
    + b"".join(b"    a%d: 1\n" % number for number in range(100_000)),
    "deep-brackets": b"[" * 50_000,
    "deep-braces": b"{" * 50_000,
    "deep-braces-as-keys": b"- " + b"{a: " * 50_000,
    "deep-dashes": b"- " * 50_000 + b"cat",
    "deep-question-marks": b"? " * 50_000,
    "deep-indentation": b"".join(b" " * depth + b"a:\n" for depth in range(1_000)),
    "deep-behind-quotes": b'["]", ' * 10_000,
    "deep-seventeen": b"[" * 17 + b"]" * 17,
}


def class_file_folder(folder: Path) -> Path:
    """Fill `folder` with what class files ask for as pictures, and return it; `folder.parent` is outside."""
    import cv2

    (folder.parent / "elsewhere").mkdir()
    for path in (folder / "red.png", folder.parent / "elsewhere" / "outside.png", folder.parent / "red.png"):
        cv2.imwrite(str(path), factories.colour_frame("red")[..., ::-1])
    (folder / "empty.png").touch()
    (folder / "cut-off.png").write_bytes((folder / "red.png").read_bytes()[:40])
    (folder / "bomb.png").write_bytes(png_of_zeros(9_000))
    (folder / "folder.png").mkdir()
    os.mkfifo(folder / "pipe.png")
    (folder / "link-out.png").symlink_to("../elsewhere/outside.png")
    (folder / "folder-out").symlink_to("../elsewhere")
    (folder / "link-loop.png").symlink_to("link-loop.png")
    return folder


def png_of_zeros(side: int) -> bytes:
    """Return a PNG of `side` x `side` black pixels, one bit each: 10 KB that decode to 243 MB at a side of 9,000."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


# --- class packs -----------------------------------------------------------------------------------------------------


def pack_header(**changes: Any) -> dict[str, Any]:
    """Return what the one metadata key of a good pack says, with changes; a value of `...` removes the field."""
    header = {
        "format": "edgezsl-classes/1",
        "names": ["red", "green"],
        "space": factories.small_space().id,
        "reject": None,
        "seen_penalty": 0,
        **changes,
    }
    return {name: value for name, value in header.items() if value is not ...}


def pack_tensors(**changes: Any) -> dict[str, Any]:
    """Return the tensors of a good pack, with changes; a value of `...` removes the tensor."""
    good = load(factories.colour_prototypes("red", "green").to_bytes())
    return {name: array for name, array in (good | changes).items() if array is not ...}


def pack(tensors: dict[str, Any] | None = None, header: Any = None, metadata: dict[str, str] | None = None) -> bytes:
    """Return a well-formed safetensors file that may say anything."""
    said = json.dumps(pack_header() if header is None else header)
    return save(pack_tensors() if tensors is None else tensors, {"edgezsl": said} if metadata is None else metadata)


def container(header: bytes, body: bytes = b"") -> bytes:
    """Return a safetensors file with any bytes as its header."""
    return struct.pack("<Q", len(header)) + header + body


def _rewritten(change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a good pack whose table of tensors was changed by hand, its numbers left as they are."""
    good = pack()
    (length,) = struct.unpack_from("<Q", good)
    table = json.loads(good[8 : 8 + length])
    change(table)
    return container(json.dumps(table).encode(), good[8 + length :])


def _vectors(row: int, values: Any) -> dict[str, Any]:
    changed = pack_tensors()["vectors"].copy()
    changed[row] = values
    return pack_tensors(vectors=changed)


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **pack_tensors())
    return buffer.getvalue()


def _ones(count: int, value: float, dtype: Any = np.float32) -> np.ndarray[Any, Any]:
    return np.full(count, value, dtype)


UNIT = pack_tensors()["vectors"]

PACKS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "truncated"),
    "seven-bytes": (b"\0" * 7, "truncated"),
    "a-pickle": (pickle.dumps({"names": ["red"]}), "bad_header"),
    "an-npz": (_npz(), "bad_header"),
    "a-class-file": (b"- red\n- green\n", "bad_header"),
    "header-longer-than-the-file": (struct.pack("<Q", 10_000_000_000) + b"{}", "bad_header"),
    "header-of-a-hundred-megabytes": (struct.pack("<Q", 100_000_000) + b"{}", "bad_header"),
    "header-not-json": (container(b"not json"), "not_json"),
    "header-not-utf-8": (container(b'{"\xff": 1}'), "not_json"),
    "header-a-list": (container(b"[]"), "bad_header"),
    "header-nested-deeply": (container(b"[" * 100_000), "too_deep"),
    "header-key-twice": (container(b'{"__metadata__": {}, "__metadata__": {}}'), "duplicate_key"),
    "header-without-metadata": (container(b"{}"), "wrong_type"),
    "metadata-empty": (pack(metadata={}), "missing_key"),
    "metadata-of-another-tool": (pack(metadata={"format": "pt"}), "missing_key"),
    "metadata-with-another-key": (pack(metadata={"edgezsl": json.dumps(pack_header()), "x": "y"}), "unknown_key"),
    "metadata-not-json": (pack(metadata={"edgezsl": "{"}), "not_json"),
    "metadata-nan": (pack(header=pack_header(reject=float("nan"))), "not_finite"),
    "metadata-infinite": (pack(metadata={"edgezsl": '{"format": 1e999}'}), "not_finite"),
    "format-of-a-later-version": (pack(header=pack_header(format="edgezsl-classes/2")), "unknown_format"),
    "format-missing": (pack(header=pack_header(format=...)), "missing_key"),
    "field-unknown": (pack(header=pack_header(canary=[1])), "unknown_key"),
    "field-missing": (pack(header=pack_header(space=...)), "missing_key"),
    "names-not-a-list": (pack(header=pack_header(names="red")), "wrong_type"),
    "names-not-text": (pack(header=pack_header(names=["red", 7])), "wrong_type"),
    "names-too-few": (pack(header=pack_header(names=["red"])), "bad_shape"),
    "names-twice": (pack(header=pack_header(names=["red", "red"])), "duplicate_name"),
    "names-twice-composed": (pack(header=pack_header(names=["caf\u00e9", "cafe\u0301"])), "duplicate_name"),
    "names-bidi": (pack(header=pack_header(names=["red", "\u202egreen"])), "bad_name"),
    "names-nul": (pack(header=pack_header(names=["red", "gr\0een"])), "bad_name"),
    "names-half-a-surrogate-pair": (pack(header=pack_header(names=["red", "\ud800"])), "not_json"),
    "reject-a-word": (pack(header=pack_header(reject="low")), "wrong_type"),
    "seen-penalty-negative": (pack(header=pack_header(seen_penalty=-1)), "bad_value"),
    "space-of-another-model": (pack(header=pack_header(space="f" * 64)), "space_mismatch"),
    "space-of-another-dimension": (pack(pack_tensors(vectors=np.eye(2, dtype=np.float32))), "space_mismatch"),
    "classes-none": (
        pack({name: array[:0] for name, array in pack_tensors().items()}, pack_header(names=[])),
        "no_classes",
    ),
    "tensor-missing": (pack(pack_tensors(bias=...)), "missing_key"),
    "tensor-unknown": (pack(pack_tensors(canary=_ones(2, 1))), "unknown_key"),
    "tensor-of-halves": (pack(pack_tensors(vectors=UNIT.astype(np.float16))), "bad_shape"),
    "tensor-transposed": (pack(pack_tensors(vectors=np.ascontiguousarray(UNIT.T))), "bad_shape"),
    "tensor-too-long": (pack(pack_tensors(bias=_ones(3, 0))), "bad_shape"),
    "tensor-of-terabytes": (_rewritten(lambda table: table["vectors"].update(shape=[2, 10**12])), "space_mismatch"),
    "tensor-of-negative-size": (_rewritten(lambda table: table["vectors"].update(shape=[2, -6])), "wrong_type"),
    "tensors-overlap": (_rewritten(lambda table: table["bias"].update(table["thresholds"])), "damaged"),
    "tensors-beyond-the-end": (
        _rewritten(lambda table: table["bias"].update(data_offsets=[10**6, 10**6 + 8])),
        "damaged",
    ),
    "truncated": (pack()[:-1], "damaged"),
    "truncated-in-the-header": (pack()[:100], "bad_header"),
    "trailing-bytes": (pack() + b"\0", "damaged"),
    "row-not-a-number": (pack(_vectors(1, np.nan)), "bad_row"),
    "row-infinite": (pack(_vectors(1, np.inf)), "bad_row"),
    "row-zero": (pack(_vectors(0, 0)), "bad_row"),
    "row-not-of-length-one": (pack(_vectors(0, 1)), "bad_row"),
    "bias-infinite": (pack(pack_tensors(bias=_ones(2, np.inf))), "bad_row"),
    "bias-not-a-number": (pack(pack_tensors(bias=_ones(2, np.nan))), "bad_row"),
    "threshold-infinite": (pack(pack_tensors(thresholds=_ones(2, -np.inf))), "bad_row"),
    "flag-two": (pack(pack_tensors(seen=_ones(2, 2, np.uint8))), "bad_value"),
}

# --- bundles ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BrokenBundle:
    """How a good bundle is broken, and the code with which it must be refused."""

    code: str
    break_it: Callable[[Path], object]


def _manifest(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def break_it(folder: Path) -> None:
        value = json.loads((folder / "manifest.json").read_bytes())
        change(value)
        (folder / "manifest.json").write_text(json.dumps(value))

    return break_it


def _raw_manifest(data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "manifest.json").write_bytes(data)


def _listed(name: str, data: bytes) -> Callable[[Path], object]:
    """Replace a file and list its new digest: the bundle is whole, and what it holds is wrong."""

    def break_it(folder: Path) -> None:
        (folder / name).write_bytes(data)
        value = json.loads((folder / "manifest.json").read_bytes())
        value["files"][name] = {"sha256": sha256_hex(data), "bytes": len(data)}
        (folder / "manifest.json").write_bytes(canonical_json(value))

    return break_it


def _golden(change: Callable[[dict[str, Any]], object]) -> bytes:
    manifest = factories.small_manifest()
    tensors = load(factories.bundle_files(manifest)["golden.safetensors"])
    change(tensors)
    return save(tensors)


def _altered_byte(folder: Path) -> None:
    path = folder / "image_encoder.fp32.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    def break_it(folder: Path) -> None:
        (folder / name).rename(folder.parent / name)
        make(folder / name)

    return break_it


def _only_file(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("a bundle")


def _constant_encoder() -> bytes:
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Unsqueeze", ["nothing", "axis"], ["column"]),
        helper.make_node("Add", ["column", "row"], ["embedding"]),
    ]
    return factories.graph_bytes(
        nodes,
        [("image", TensorProto.FLOAT, ["N", 3, *factories.SIZE])],
        [("embedding", TensorProto.FLOAT, ["N", factories.D])],
        {"zero": np.float32(0), "axis": np.array([1]), "row": np.eye(1, factories.D, dtype=np.float32)},
    )


def _map_without_vectors() -> bytes:
    from onnx import TensorProto, helper

    return factories.graph_bytes(
        [helper.make_node("Identity", ["semantics"], ["rows"])],
        [("semantics", TensorProto.FLOAT, ["N", factories.A])],
        [("rows", TensorProto.FLOAT, ["N", factories.A])],
        {},
    )


def _narrow_map() -> bytes:
    from onnx import TensorProto, helper

    return factories.graph_bytes(
        [helper.make_node("Identity", ["semantics"], ["vectors"])],
        [("semantics", TensorProto.FLOAT, ["N", factories.A])],
        [("vectors", TensorProto.FLOAT, ["N", factories.A])],
        {},
    )


ENCODER = "image_encoder.fp32.onnx"
OTHER_CONTRACT = factories.small_contract(input="pixels", output="answer")

BUNDLES: dict[str, BrokenBundle] = {
    "a-file": BrokenBundle("not_a_bundle", _only_file),
    "without-manifest": BrokenBundle("not_a_bundle", lambda folder: (folder / "manifest.json").unlink()),
    "manifest-a-folder": BrokenBundle("not_a_file", _replaced("manifest.json", lambda path: path.mkdir())),
    "manifest-a-pipe": BrokenBundle("not_a_file", _replaced("manifest.json", os.mkfifo)),
    "manifest-a-link": BrokenBundle(
        "not_a_file", _replaced("manifest.json", lambda path: path.symlink_to("../manifest.json"))
    ),
    "manifest-empty": BrokenBundle("not_json", _raw_manifest(b"")),
    "manifest-not-json": BrokenBundle("not_json", _raw_manifest(b'{\n  "format": edgezsl\n}')),
    "manifest-not-utf-8": BrokenBundle("not_json", _raw_manifest(b'{"name": "\xff"}')),
    "manifest-too-large": BrokenBundle("too_large", _raw_manifest(b" " * (17 << 20))),
    "manifest-nested-deeply": BrokenBundle("too_deep", _raw_manifest(b"[" * 100_000)),
    "manifest-a-list": BrokenBundle("wrong_type", _raw_manifest(b"[]")),
    "manifest-key-twice": BrokenBundle("duplicate_key", _raw_manifest(b'{"name": "a", "name": "b"}')),
    "manifest-of-a-later-version": BrokenBundle(
        "unknown_format", _manifest(lambda m: m.update(format="edgezsl-bundle/2"))
    ),
    "manifest-field-unknown": BrokenBundle("unknown_key", _manifest(lambda m: m.update(labels=[]))),
    "manifest-field-missing": BrokenBundle("missing_key", _manifest(lambda m: m.pop("space"))),
    "manifest-name-a-number": BrokenBundle("wrong_type", _manifest(lambda m: m.update(name=7))),
    "contract-size-zero": BrokenBundle("bad_contract", _manifest(lambda m: m["contract"].update(size=[0, 16]))),
    "contract-std-zero": BrokenBundle("bad_contract", _manifest(lambda m: m["contract"].update(std=[0, 1, 1]))),
    "contract-two-means": BrokenBundle("bad_contract", _manifest(lambda m: m["contract"].update(mean=[0, 0]))),
    "contract-resize-unknown": BrokenBundle("bad_contract", _manifest(lambda m: m["contract"].update(resize="warp"))),
    "space-id-a-word": BrokenBundle("bad_contract", _manifest(lambda m: m["space"].update(id="colours"))),
    "space-scale-negative": BrokenBundle("bad_contract", _manifest(lambda m: m["space"].update(logit_scale=-1))),
    "space-mean-too-short": BrokenBundle("bad_contract", _manifest(lambda m: m["space"].update(image_mean=[0.1]))),
    "precision-unknown": BrokenBundle("bad_manifest", _manifest(lambda m: m.update(precision="int4"))),
    "kind-unknown": BrokenBundle("bad_manifest", _manifest(lambda m: m["semantics"].update(kinds=["smell"]))),
    "template-without-slot": BrokenBundle("bad_manifest", _manifest(lambda m: m["semantics"].update(templates=["a"]))),
    "batch-upside-down": BrokenBundle("bad_manifest", _manifest(lambda m: m["batch"].update(min=9))),
    "tolerance-of-two": BrokenBundle("bad_manifest", _manifest(lambda m: m["golden"].update(fp32=2))),
    "file-name-a-path": BrokenBundle(
        "bad_manifest", _manifest(lambda m: m["files"].update({"../secrets": m["files"][ENCODER]}))
    ),
    "file-digest-short": BrokenBundle("bad_manifest", _manifest(lambda m: m["files"][ENCODER].update(sha256="00"))),
    "file-missing": BrokenBundle("altered", lambda folder: (folder / ENCODER).unlink()),
    "file-not-listed": BrokenBundle("altered", lambda folder: (folder / "notes.txt").write_text("read me")),
    "file-one-bit-flipped": BrokenBundle("altered", _altered_byte),
    "file-cut-off": BrokenBundle("altered", lambda folder: os.truncate(folder / ENCODER, 100)),
    "file-a-link": BrokenBundle("altered", _replaced(ENCODER, lambda path: path.symlink_to(f"../{ENCODER}"))),
    "file-a-folder": BrokenBundle("altered", _replaced(ENCODER, lambda path: path.mkdir())),
    "file-a-pipe": BrokenBundle("altered", _replaced(ENCODER, os.mkfifo)),
    "encoder-not-onnx": BrokenBundle("bad_graph", _listed(ENCODER, b"not a graph")),
    "encoder-empty": BrokenBundle("bad_graph", _listed(ENCODER, b"")),
    "encoder-of-other-names": BrokenBundle("bad_graph", _listed(ENCODER, factories.image_encoder(OTHER_CONTRACT))),
    "encoder-without-length": BrokenBundle(
        "golden_mismatch", _listed(ENCODER, factories.image_encoder(factories.small_contract(), normalise=False))
    ),
    "encoder-blind": BrokenBundle("constant_answers", _listed(ENCODER, _constant_encoder())),
    "contract-of-another-model": BrokenBundle(
        "golden_mismatch", _manifest(lambda m: m["contract"].update(mean=[0.1, 0.9, 0.5]))
    ),
    "golden-missing": BrokenBundle(
        "no_such_file",
        lambda folder: (
            (folder / "golden.safetensors").unlink(),
            _manifest(lambda m: m["files"].pop("golden.safetensors"))(folder),
        ),
    ),
    "golden-damaged": BrokenBundle("damaged", _listed("golden.safetensors", b"golden")),
    "golden-too-few": BrokenBundle("bad_golden", _listed("golden.safetensors", _golden(lambda t: t.pop("frame.000")))),
    "golden-tensor-unknown": BrokenBundle(
        "bad_golden", _listed("golden.safetensors", _golden(lambda t: t.update(more=np.zeros(1, np.float32))))
    ),
    "golden-not-a-number": BrokenBundle(
        "bad_golden", _listed("golden.safetensors", _golden(lambda t: t["embeddings.fp32"].fill(np.nan)))
    ),
    "tokenizer-not-json": BrokenBundle("bad_tokenizer", _listed("tokenizer.json", b"words")),
    "text-encoder-not-onnx": BrokenBundle("bad_graph", _listed("text_encoder.onnx", b"not a graph")),
    "text-encoder-missing": BrokenBundle(
        "no_such_file",
        lambda folder: (
            (folder / "text_encoder.onnx").unlink(),
            _manifest(lambda m: m["files"].pop("text_encoder.onnx"))(folder),
        ),
    ),
    "semantic-map-not-onnx": BrokenBundle("bad_graph", _listed("semantic_map.onnx", b"not a graph")),
    "semantic-map-without-vectors": BrokenBundle(
        "bad_class_side", _listed("semantic_map.onnx", _map_without_vectors())
    ),
    "semantic-map-too-narrow": BrokenBundle("bad_class_side", _listed("semantic_map.onnx", _narrow_map())),
}

# --- sources ---------------------------------------------------------------------------------------------------------


def source_folder(folder: Path) -> Path:
    """Fill `folder` with what is no source, and return it."""
    (folder / "empty-folder").mkdir()
    (folder / "folder-of-notes").mkdir()
    (folder / "folder-of-notes" / "notes.txt").write_text("no picture here")
    (folder / "folder-of-broken-images").mkdir()
    (folder / "folder-of-broken-images" / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 not a picture")
    (folder / "notes.mp4").write_text("Dear diary, this is not a video.\n" * 100)
    (folder / "noise.mp4").write_bytes(np.random.RandomState(1).bytes(10_000))
    (folder / "header-only.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    (folder / "empty.mp4").touch()
    (folder / "empty.png").touch()
    (folder / "notes.png").write_text("not a picture")
    (folder / "half.jpg").write_bytes(b"\xff\xd8\xff")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "nowhere.mp4").symlink_to("gone.mp4")
    return folder


SOURCES: dict[str, tuple[str, str]] = {
    "nothing": ("", "no_source"),
    "blank": ("   ", "no_source"),
    "nul": ("{folder}/a\0b.mp4", "no_source"),
    "not-utf-8": ("{folder}/\udcff.mp4", "bad_name"),
    "scheme-unknown": ("gopher://127.0.0.1/video", "unknown_scheme"),
    "scheme-misspelt": ("rstp://127.0.0.1/video", "unknown_scheme"),
    "file-missing": ("{folder}/gone.mp4", "no_such_file"),
    "file-missing-by-uri": ("file:{folder}/gone.mp4", "no_such_file"),
    "file-empty": ("{folder}/empty.mp4", "empty_file"),
    "file-of-text": ("{folder}/notes.mp4", "not_a_video"),
    "file-of-noise": ("{folder}/noise.mp4", "not_a_video"),
    "file-cut-off": ("{folder}/header-only.mp4", "not_a_video"),
    "file-a-pipe": ("{folder}/pipe.mp4", "not_a_file"),
    "file-a-device": ("/dev/zero", "not_a_file"),
    "file-link-to-itself": ("{folder}/loop.mp4", "unreadable"),
    "file-link-to-nothing": ("{folder}/nowhere.mp4", "no_such_file"),
    "image-empty": ("{folder}/empty.png", "empty_file"),
    "image-of-text": ("{folder}/notes.png", "not_an_image"),
    "image-cut-off": ("{folder}/half.jpg", "not_an_image"),
    "folder-empty": ("{folder}/empty-folder", "no_images"),
    "folder-without-images": ("{folder}/folder-of-notes", "no_images"),
    "folder-of-broken-images": ("{folder}/folder-of-broken-images", "not_an_image"),
    "glob-without-match": ("{folder}/*.webp", "no_images"),
    "camera-missing": ("97", "no_such_camera"),
    "camera-missing-by-uri": ("v4l2:///dev/video97", "no_such_camera"),
    "camera-a-file": ("v4l2://{folder}/notes.mp4", "not_a_camera"),
    "csi-without-number": ("csi://left", "bad_url"),
    "stream-without-host": ("rtsp:///video", "bad_url"),
    "stream-port-a-word": ("http://127.0.0.1:port/video", "bad_url"),
    "stream-refused": ("http://127.0.0.1:9/video.mjpg", "no_connection"),
    "synthetic-option-unknown": ("synthetic:?depth=8", "bad_option"),
    "synthetic-option-twice": ("synthetic:?fps=1&fps=2", "bad_option"),
    "synthetic-option-a-word": ("synthetic:?fps=fast", "bad_option"),
    "synthetic-too-small": ("synthetic:?width=8", "bad_option"),
    "synthetic-rate-infinite": ("synthetic:?fps=inf", "bad_option"),
}
