"""A bilingual dictionary of the user, and its entries in texts: longest matches, whole words in alphabetic scripts.

The file has two tab-separated columns, an entry and its translation; blank lines and lines that begin with # are
skipped. Of an entry that occurs twice the first translation counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError


@dataclass(frozen=True)
class Dictionary:
    """entries: entry -> translation; both case-sensitive. longest: first character -> longest entry that begins so."""

    entries: dict[str, str]
    longest: dict[str, int]

    def matches(self, text: str) -> Iterator[tuple[int, int, str]]:
        """Yield (start, end, translation) of entries in a text, left to right, the longest at each place.

        An entry that begins or ends with an alphabetic letter must not continue a word there; Han characters and kana
        have no words to continue.
        """
        at = 0
        while at < len(text):
            length = self.longest.get(text[at], 0)
            for end in range(min(at + length, len(text)), at, -1):
                if text[at:end] in self.entries and not joined(text, at) and not joined(text, end):
                    yield at, end, self.entries[text[at:end]]
                    at = end - 1
                    break
            at += 1


def joined(text: str, at: int) -> bool:
    """Whether a position is inside a word: between two letters or digits of scripts that separate words by spaces."""
    return 0 < at < len(text) and in_word(text[at - 1]) and in_word(text[at])


def in_word(char: str) -> bool:
    """Whether a character is a letter or digit below the scripts without spaces (U+2E80 on)."""
    return char < "\u2e80" and (char.isalnum() or char in "_'")


def read_dictionary(*paths: str) -> Dictionary:
    """Read a dictionary of one or more files; none is an empty one.

    Raises: ConfigError if a file cannot be read, or a line has not two cells with text.
    """
    entries: dict[str, str] = {}
    for path in paths:
        try:
            lines = Path(path).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"dictionary {path}: {error}; expected a file of UTF-8 with two columns"
            ) from error
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            cells = [cell.strip() for cell in line.split("\t")]
            if len(cells) < 2 or not cells[0] or not cells[1]:
                raise ConfigError(
                    f"dictionary {path}, line {number}: expected an entry, a tab and its translation"
                )
            entries.setdefault(cells[0], cells[1])
    longest: dict[str, int] = {}
    for entry in entries:
        longest[entry[0]] = max(longest.get(entry[0], 0), len(entry))
    return Dictionary(entries, longest)
