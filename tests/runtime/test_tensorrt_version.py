import pytest

from edgezsl.errors import EngineError
from edgezsl.runtime.tensorrt_version import check_tensorrt_version


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("10.3.0", (10, 3)),
        ("10.3", (10, 3)),
        ("10.13.3.9.post1", (10, 13)),
        ("11.0.0.114", (11, 0)),
        ("11.99.9", (11, 99)),
    ],
)
def test_every_version_from_10_3_to_11_is_taken(version, number):
    assert check_tensorrt_version(version) == number


@pytest.mark.parametrize("version", ["8.5.2.2", "10.2.9", "10.0.1", "9.9", "12.0.0.1", "12", "13.1"])
def test_every_other_is_refused_in_one_sentence(version):
    with pytest.raises(EngineError) as caught:
        check_tensorrt_version(version)
    assert caught.value.code == "unsupported_tensorrt"
    assert f"TensorRT {version}" in str(caught.value) or f"TensorRT '{version}'" in str(caught.value)
    assert "expected at least 10.3 and below 12.0" in str(caught.value)
    assert "--engine onnx" in caught.value.hint


@pytest.mark.parametrize("version", ["", "dev", "10", "10.x", "v10.3", "10.30a", "\n10.3"])
def test_what_is_no_version_is_refused_as_it_stands(version):
    with pytest.raises(EngineError) as caught:
        check_tensorrt_version(version)
    assert repr(version) in str(caught.value) or version in str(caught.value)
