"""CLIP's tokens, from a file that we make and cleaning that we do, are those of its library: on hard strings too."""

from __future__ import annotations

import os
import random

import pytest
from tokenizers import Tokenizer

from edgezsl.encoders.clip_tokenizer import clip_tokenizer_json
from edgezsl.encoders.tokenizer_file import fixed_length
from edgezsl.runtime.text_cleaning import text_cleaner
from tests.encoders.sources import clip_tokenizer, open_clip

HARD = (
    *(
        "",
        "   ",
        "a photo of a cat.",
        "don't",
        "it's",
        "I'll",
        "'s",
        "''''",
        "'RE 'LL",
        "o'clock 'twas",
        "!!!???",
        "...",
    ),
    *(
        "&amp;amp; &lt;b&gt;",
        "&#39;quote&#39;",
        "&eacute;",
        "&nbsp;",
        "C++ & C#",
        "hello_world",
        "3.14",
        "1234567",
        "½ ²",
        "①②",
    ),
    *(
        "“curly” \u2018quotes\u2019 — dash",
        "schön â€œmojibakeâ€\x9d",
        "Ünïcödé café",
        "e\u0301",
        "ﬁ ligature",
        "\uff26\uff35\uff2c\uff2c",
        "ß",
        "ǅ",
        "İstanbul",
    ),
    *(
        "🐈\u200d⬛ emoji 👍🏽",
        "👨\u200d👩\u200d👧\u200d👦",
        "🏳️\u200d🌈",
        "猫と犬",
        "日本語 text 中文",
        "한국어",
        "русский",
        "العربية",
        "हिन्दी",
        "ไทย",
    ),
    *(
        "a" * 300,
        "word " * 100,
        "@" * 200,
        "x" * 77,
        "tab\tnew\nline",
        "newline\r\n",
        "\x00\x01",
        "\u0085",
        "a\u00a0b",
        "\u200bzero",
    ),
    *(
        "\ufeffbom",
        "\u202eabc",
        "@user #tag http://x.y/z?q=1",
        "<start_of_text>",
        "<end_of_text> cat",
        "ALL CAPS",
        "MiXeD",
    ),
)
POOL = "abc ABC'123.,!?&;<>éß中🐈\u00a0\t—“”\u2018\u2019ñÅ_#@\u0301"


def strings():
    rng = random.Random(0)
    return [*HARD, *("".join(rng.choice(POOL) for _ in range(rng.randint(1, 60))) for _ in range(200))]


@pytest.fixture(scope="module")
def ours():
    ranks = clip_tokenizer().bpe_ranks
    return Tokenizer.from_str(clip_tokenizer_json(sorted(ranks, key=ranks.__getitem__)).decode())


def test_tokens_are_those_of_the_library(ours):
    clean, library = text_cleaner("clip"), clip_tokenizer()
    assert len(strings()) >= 200
    assert [one for one in strings() if ours.encode(clean(one)).ids != library([one])[0].tolist()] == []


def test_without_the_cleaning_some_are_not(ours):
    library = clip_tokenizer()
    assert any(ours.encode(one).ids != library([one])[0].tolist() for one in HARD)


def test_siglip_texts_are_canonicalized_as_its_library_does():
    library, clean = open_clip.tokenizer.get_clean_fn("canonicalize"), text_cleaner("canonicalize")
    assert [one for one in strings() if clean(one) != library(one)] == []


def test_siglip_tokens_are_those_of_the_library_where_its_tokenizer_is_given():
    given = os.environ.get("EDGEZSL_SIGLIP_TOKENIZER")
    if not given:
        pytest.skip(
            "SigLIP's tokenizer lies in no package: EDGEZSL_SIGLIP_TOKENIZER names no folder with its tokenizer.json"
        )
    library = pytest.importorskip("transformers").AutoTokenizer.from_pretrained(given, local_files_only=True)
    ours = Tokenizer.from_str(
        fixed_length(library.backend_tokenizer.to_str().encode(), 64, pad_id=library.pad_token_id).decode()
    )
    texts = strings()
    expected = library(texts, padding="max_length", truncation=True, max_length=64)["input_ids"]
    assert [one for one, ids in zip(texts, expected, strict=True) if ours.encode(one).ids != ids] == []


def test_a_long_text_is_cut_and_still_ends(ours):
    ids = ours.encode("word " * 100).ids
    assert len(ids) == 77
    assert (ids[0], ids[-1]) == (49406, 49407)
