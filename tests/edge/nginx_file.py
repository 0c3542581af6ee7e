"""Reads nginx's configuration far enough to ask what holds for a path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_TOKEN = re.compile(r"""\s*(?:\#[^\n]*|("(?:[^"]*)"|'(?:[^']*)'|[{};]|(?:\$\{|[^\s{};])+))""")


@dataclass
class Block:
    """What stands between two braces, by the words before them.

    Attributes:
        head: those words.
        says: each directive as its words, in order.
    """

    head: list[str]
    says: list[list[str]] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    def value(self, name: str) -> str:
        """The words after a directive that stands here once."""
        (found,) = [words[1:] for words in self.says if words[0] == name]
        return " ".join(found)

    def all(self, *head: str) -> list[Block]:
        """The blocks here that begin with these words."""
        return [each for each in self.blocks if each.head[: len(head)] == list(head)]

    def location_of(self, path: str) -> Block:
        """Which location of a server takes a path: the exact one, else the longest prefix."""
        exact = self.all("location", "=", path)
        if exact:
            return exact[0]
        prefixes = [
            each
            for each in self.all("location")
            if each.head[1].startswith("/") and path.startswith(each.head[1])
        ]
        return max(prefixes, key=lambda each: len(each.head[1]))


def read(text: str) -> Block:
    """The whole file as one block."""
    return _block([], _tokens(text))


def _tokens(text: str) -> Iterator[str]:
    for found in _TOKEN.finditer(text):
        if found[1] is not None:
            yield found[1] if found[1] in "{};" else found[1].strip("\"'")


def _block(head: list[str], tokens: Iterator[str]) -> Block:
    block, words = Block(head), list[str]()
    for token in tokens:
        if token == "}":
            break
        if token == "{":
            block.blocks.append(_block(words, tokens))
            words = []
        elif token == ";":
            block.says.append(words)
            words = []
        else:
            words.append(token)
    assert not words, words
    return block
