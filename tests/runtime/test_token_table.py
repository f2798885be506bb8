import numpy as np
import pytest
from safetensors.numpy import save
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from edgezsl.errors import BundleError, EngineError
from edgezsl.runtime.token_table import TokenTable, _tensors, table_bytes


def tokenizer(*words):
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


ROWS = np.array([[3.0, 0.0], [0.0, 4.0]])


def table(weight=(1.0, 1.0)):
    tensors = _tensors(table_bytes(ROWS, np.array(weight)), "t")
    return TokenTable(tokenizer("red", "ball"), tensors["table"], tensors["weight"], tensors["scale"])


def test_a_text_is_the_weighted_sum_of_its_tokens_at_length_1():
    got = table((2.0, 1.0)).encode(["red", "RED ball"])
    assert np.allclose(got, [[1, 0], np.array([6, 4]) / np.hypot(6, 4)], atol=0.01)


def test_int8_rows_keep_their_values_to_half_a_step():
    rows = np.random.default_rng(0).standard_normal((40, 16)) * np.geomspace(0.01, 100, 40)[:, None]
    tensors = _tensors(table_bytes(rows, np.ones(40)), "t")
    assert tensors["table"].dtype == np.int8
    restored = tensors["table"] * tensors["scale"][:, None]
    assert (np.abs(restored - rows) <= 0.5001 * tensors["scale"][:, None]).all()


def test_a_text_without_a_token_is_zero():
    assert table().encode(["", "  "]).tolist() == [[0, 0], [0, 0]]


def test_token_counts():
    assert table().token_counts(["red ball red", ""]) == [3, 0]


def test_two_processes_write_equal_bytes():
    assert table_bytes(ROWS, np.ones(2)) == table_bytes(ROWS.copy(), np.ones(2))


@pytest.mark.parametrize(
    ("rows", "weight", "scale"),
    [
        (np.zeros((1, 2), np.int8), np.ones(1, np.float32), np.ones(1, np.float32)),  # fewer rows than tokens
        (np.zeros((2, 2), np.int8), np.ones(3, np.float32), np.ones(3, np.float32)),
        (np.zeros((2, 2), np.int8), np.ones(2, np.float32), np.ones(3, np.float32)),
        (np.zeros(2, np.int8), np.ones(2, np.float32), None),
    ],
)
def test_a_table_that_does_not_fit_is_refused(rows, weight, scale):
    with pytest.raises(EngineError) as caught:
        TokenTable(tokenizer("red", "ball"), rows, weight, scale)
    assert caught.value.code == "bad_token_table"


@pytest.mark.parametrize(
    "data",
    [
        b"no tensors",
        save({"table": np.zeros((2, 2), np.float16)}),
        save({"table": np.zeros((2, 2), np.int8), "weight": np.ones(2, np.float32)}),
        save({"table": np.full((2, 2), np.nan, np.float16), "weight": np.ones(2, np.float32)}),
    ],
)
def test_a_damaged_table_is_refused(data):
    with pytest.raises(BundleError):
        _tensors(data, "t")
