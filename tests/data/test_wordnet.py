import pytest

from edgezsl.data.wordnet import WordNet
from edgezsl.errors import InputError

NOUNS = """  1 a licence
00000001 03 n 01 entity 0 001 ~ 00000002 n 0000 | that which is
00000002 05 n 02 dog 0 domestic_dog 0 002 @ 00000001 n 0000 ~ 00000003 n 0000 | a pet; "the dog barked"
00000003 05 n 01 Rex 0 001 @i 00000002 n 0000 | a dog of that name; he barks
"""
INDEX = """  1 a licence
dog n 2 1 @ 2 1 00000002 00000003
entity n 1 1 ~ 1 1 00000001
"""


@pytest.fixture
def wordnet(tmp_path):
    (tmp_path / "data.noun").write_text(NOUNS)
    (tmp_path / "index.noun").write_text(INDEX)
    return WordNet.read(tmp_path)


def test_a_synset_has_its_names_its_definition_without_examples_and_its_parents(wordnet):
    dog = wordnet.synsets["n00000002"]
    assert dog.names == ("dog", "domestic dog")
    assert dog.gloss == "a pet"
    assert dog.parents == ("n00000001",)


def test_a_semicolon_that_opens_no_quote_belongs_to_the_definition(wordnet):
    assert wordnet.synsets["n00000003"].gloss == "a dog of that name; he barks"


def test_an_instance_is_a_kind_of_its_class(wordnet):
    assert wordnet.synsets["n00000003"].parents == ("n00000002",)


def test_a_sense_is_found_by_its_number(wordnet):
    assert wordnet.sense("dog.n.02") == "n00000003"
    assert wordnet.sense("dog.n.03") is None
    assert wordnet.sense("cat.n.01") is None
    assert wordnet.sense("dog") is None


def test_ancestors_come_along(wordnet):
    assert wordnet.with_ancestors(["n00000003", "n99999999"]) == ["n00000001", "n00000002", "n00000003"]


def test_a_folder_without_wordnet_says_what_to_install(tmp_path):
    with pytest.raises(InputError, match="wordnet-base"):
        WordNet.read(tmp_path)
