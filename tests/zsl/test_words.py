import numpy as np
import pytest
import torch

from edgezsl.data.wordnet import Synset, WordNet
from edgezsl.zsl.kernel import unit
from edgezsl.zsl.token_table import TableSchedule, TableSide, first_rows, token_weights, train_table
from edgezsl.zsl.words import Vocabulary, node_texts, word_targets

DIM = 5
rng = np.random.default_rng(0)
SYNSETS = {
    "n1": Synset(("animal",), "it lives", ()),
    "n2": Synset(("dog", "hound"), "it barks", ("n1",)),
    "n3": Synset(("cat",), "it purrs", ("n1",)),
    "n4": Synset(("puppy",), "a young dog", ("n2",)),
    "n5": Synset(("hound",), "a low fellow", ()),
}
SENSES = {"animal": ("n1",), "dog": ("n2",), "hound": ("n5", "n2"), "cat": ("n3",), "puppy": ("n4",)}
KNOWN = {"n2": unit(rng.standard_normal(DIM)), "n3": unit(rng.standard_normal(DIM))}


@pytest.fixture
def vocabulary():
    return Vocabulary(
        wordnet=WordNet(SYNSETS, SENSES),
        nodes=tuple(SYNSETS),
        glosses=unit(rng.standard_normal((5, 8))).astype(np.float32),
        visual_names=(("dog",), ("kitten", "kitty")),
        visual_nodes=("n2", "n3"),
        visual_vectors=unit(rng.standard_normal((2, 6))).astype(np.float32),
        visual_texts=unit(rng.standard_normal((2, 8))).astype(np.float32),
    )


def test_a_known_class_keeps_its_row(vocabulary):
    words = word_targets(vocabulary, KNOWN)
    assert np.allclose(words.targets[1], KNOWN["n2"], atol=1e-6)
    assert np.argsort(-words.weights, kind="stable")[:2].tolist() == [1, 2], "what is known is drawn most often"


def test_every_target_has_length_1_and_its_texts(vocabulary):
    words = word_targets(vocabulary, KNOWN)
    assert np.allclose(np.linalg.norm(words.targets, axis=1), 1, atol=1e-5)
    assert words.texts[2] == ("cat", "cat: it purrs", "it purrs")
    assert words.texts[6] == ("kitten", "kitty")
    assert len(words.texts) == len(words.targets) == len(words.weights)


def test_nothing_of_a_left_out_class_is_learned(vocabulary):
    known = {"n2": KNOWN["n2"]}
    words = word_targets(vocabulary, known, left_out={"n3"})
    assert words.weights[2] == 0
    assert "kitten" not in {text for texts in words.texts[5:] for text in texts}


def test_a_node_above_lies_between_its_known_children(vocabulary):
    words = word_targets(vocabulary, KNOWN)
    between = unit(KNOWN["n2"] + KNOWN["n3"])
    assert words.targets[0] @ between > 0.7


def test_a_name_that_usually_means_something_else_is_left_out():
    wordnet = WordNet(SYNSETS, SENSES)
    assert node_texts(wordnet, "n2") == ("dog", "dog: it barks", "it barks")
    assert node_texts(wordnet, "n2", {"n2"}) == ("dog", "hound", "dog: it barks", "it barks")


def test_rare_tokens_weigh_more():
    weights = token_weights(np.array([0, 10, 100_000]), 3e-4)
    assert weights[0] > weights[1] > weights[2] > 0


def test_the_table_starts_with_the_leading_components():
    answers = rng.standard_normal((50, 8)) * [9, 5, 1, 0.1, 0.1, 0.1, 0.1, 0.1]
    rows = first_rows(answers, np.ones(50, int), 2)
    assert rows.shape == (50, 2)
    assert (rows**2).sum(axis=1).mean() == pytest.approx(1)
    assert abs(np.corrcoef(rows[:, 0], answers[:, 0])[0, 1]) > 0.99


def test_a_class_side_learns_where_words_belong(vocabulary):
    torch.set_num_threads(1)
    words = word_targets(vocabulary, KNOWN)
    ids = {text: number for number, text in enumerate(sorted({text for texts in words.texts for text in texts}))}
    tokens = [[np.array([ids[text]]) for text in texts] for texts in words.texts]
    schedule = TableSchedule(
        width=6,
        hidden=16,
        steps=400,
        batch=16,
        table_rate=1e-2,
        map_rate=2e-3,
        weight_decay=0.01,
        dropout=0.0,
        warmup=5,
        frequency=3e-4,
    )
    side = TableSide(rng.standard_normal((len(ids), 6)), np.ones(len(ids)), DIM, schedule)
    rows = np.stack(list(KNOWN.values()))
    assert list(train_table(side, words, tokens, schedule, seed=0))[-1] == 400
    side.eval()
    with torch.no_grad():
        got = side(side.semantics([tokens[1][0], tokens[2][0]])).numpy()
    assert (got * rows).sum(axis=1).min() > 0.8
