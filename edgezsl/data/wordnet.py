"""WordNet's nouns: what a word means, in other words, and what it is a kind of.

It reads the database files of WordNet 3.0 (wndb(5WN); Fellbaum, "WordNet: an electronic lexical database", 1998), as
Debian's package `wordnet-base` installs them. A synset's id is `n` and its offset, which is also ImageNet's WordNet id.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgezsl.errors import InputError, Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

NOUNS, NOUN_INDEX = "data.noun", "index.noun"
_EXAMPLE = re.compile(r';\s*"')  # a gloss is a definition, then examples in quotes
_HYPERNYMS = ("@", "@i")  # a kind of, an instance of


@dataclass(frozen=True, slots=True)
class Synset:
    """One meaning.

    Attributes:
        names: Its words, the usual one first.
        gloss: Its definition, without examples.
        parents: Ids of what it is a kind of.
    """

    names: tuple[str, ...]
    gloss: str
    parents: tuple[str, ...]


class WordNet:
    """The nouns of WordNet.

    Attributes:
        synsets: Every synset by its id.
    """

    def __init__(self, synsets: Mapping[str, Synset], senses: Mapping[str, tuple[str, ...]]) -> None:
        self.synsets = synsets
        self._senses = senses

    @classmethod
    def read(cls, folder: Path) -> WordNet:
        """Read the database.

        Raises:
            InputError: When the folder does not hold it.
        """
        try:
            nouns = (folder / NOUNS).read_text(encoding="utf-8").splitlines()
            index = (folder / NOUN_INDEX).read_text(encoding="utf-8").splitlines()
        except OSError as cause:
            raise InputError(
                f"WordNet cannot be read ({cause.strerror})",
                code="no_wordnet",
                where=Place(str(folder)),
                expected=f"{NOUNS} and {NOUN_INDEX} of WordNet 3.0",
                hint="install it, on Debian with: apt-get install wordnet-base",
            ) from cause
        synsets = dict(_synset(line) for line in nouns if not line.startswith(" "))
        return cls(synsets, dict(_sense(line) for line in index if not line.startswith(" ")))

    def sense(self, name: str) -> str | None:
        """Return the id of a sense in the form `aerosol.n.02`, or None where there is none."""
        lemma, _, rest = name.partition(".n.")
        senses = self._senses.get(lemma, ())
        return senses[int(rest) - 1] if rest.isdigit() and 0 < int(rest) <= len(senses) else None

    def with_ancestors(self, ids: Iterable[str]) -> list[str]:
        """Return the ids and everything that they are kinds of, sorted."""
        found: set[str] = set()
        waiting = [one for one in ids if one in self.synsets]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting.extend(self.synsets[one].parents)
        return sorted(found)


def _synset(line: str) -> tuple[str, Synset]:
    body, _, gloss = line.partition("|")
    fields = body.split()
    words = int(fields[3], 16)
    at = 4 + 2 * words
    pointers = fields[at + 1 : at + 1 + 4 * int(fields[at])]
    return f"n{fields[0]}", Synset(
        names=tuple(word.replace("_", " ") for word in fields[4:at:2]),
        gloss=_EXAMPLE.split(gloss.strip())[0].strip(),
        parents=tuple(f"n{pointers[k + 1]}" for k in range(0, len(pointers), 4) if pointers[k] in _HYPERNYMS),
    )


def _sense(line: str) -> tuple[str, tuple[str, ...]]:
    fields = line.split()
    return fields[0], tuple(f"n{offset}" for offset in fields[-int(fields[2]) :])
