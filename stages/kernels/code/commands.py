"""Lines of programs without operators or brackets: command lines, statements by first word, keys of configuration.

`code_lines` classifies lines by operators and brackets; `pip install numpy`, `SELECT name FROM users;`, `Set-CsUser
-Identity me` and `replicas: 3` have none or few. Reads code points; used where the language of a document is detected
from its prose.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numba import njit

from stages.kernels.text.hashing import ODD_A, ODD_B, mix, step
from stages.kernels.text.tables import LATIN, LETTER, SPACE

WORDS_PATH = str(Path(__file__).with_name("command_words.txt"))

MAX_WORDS = 14
"""Most words of a command line; most prose that begins with a command word is longer."""

_ANY, _SIGN = np.uint64(1), np.uint64(0)
_SLOTS = 512
_SIGNS = "$_;{}<>=`*\\|"


@cache
def load_words() -> np.ndarray:
    """Load the hash table of `command_words.txt`: uint64 (512,), 0 for a free slot; the lowest bit is set for `any`."""
    table = np.zeros(_SLOTS, np.uint64)
    for line in Path(WORDS_PATH).read_text(encoding="utf-8").splitlines():
        kind, *words = line.split()
        for word in words if kind in ("any", "sign") else ():
            codes = np.array([ord(char) for char in word], np.uint32)
            key = _hash(codes, 0, len(codes)) | (_ANY if kind == "any" else _SIGN)
            slot = int(key >> np.uint64(32)) % _SLOTS
            while table[slot]:
                slot = (slot + 1) % _SLOTS
            table[slot] = key
    table.setflags(write=False)
    return table


@cache
def load_signs() -> np.ndarray:
    """Load the ASCII characters that indicate code in a line that begins with a command word: bool (0x80,)."""
    signs = np.zeros(0x80, np.bool_)
    signs[[ord(char) for char in _SIGNS]] = True
    signs.setflags(write=False)
    return signs


@njit(cache=True, nogil=True)
def _hash(codes, start, end):  # type: ignore[no-untyped-def]  # numba infers types
    state = ODD_B
    for i in range(start, end):
        state = step(state, codes[i], ODD_A)
    return (mix(state) | np.uint64(2)) & ~np.uint64(1)


@njit(cache=True, nogil=True)
def is_command(codes, classes, start, end, words, signs):  # type: ignore[no-untyped-def]
    """Whether a line is a command or a statement, judged by its words.

    It is one if it follows a prompt (`$ ls`), has two options, has one option after a command name (`ls -l`), or begins
    with a command word. A line that ends like a sentence, or has non-Latin letters outside quotes, is not.

    Args: codes, classes, of the view; start, end, of the line; words, from load_words; signs, from load_signs.
    """
    while start < end and classes[start] <= SPACE:
        start += 1
    while end > start and classes[end - 1] <= SPACE:
        end -= 1
    prompted = start + 2 < end and codes[start] == ord("$") and codes[start + 1] == ord(" ")
    if prompted:
        start += 2
    if end - start < 2 or _is_sentence(codes, start, end):
        return False
    first_end = start
    while first_end < end and classes[first_end] > SPACE:
        first_end += 1
    n_words, n_options, n_signs, quote = 0, 0, 0, np.uint32(0)
    for i in range(start, end):
        code = codes[i]
        if code == ord('"') or code == ord("'") or code == ord("`"):
            quote = np.uint32(0) if quote == code else code if quote == 0 else quote
        if classes[i] >= LETTER and quote == 0:
            return False
        n_signs += code < 0x80 and signs[code]
        if i == start or (classes[i - 1] <= SPACE and classes[i] > SPACE):
            n_words += 1
            n_options += i > start and _is_option(codes, classes, i, end)
    if n_words > MAX_WORDS and n_options < 2:
        return False
    if prompted or n_options >= 2 or (n_options == 1 and _names_command(codes, classes, start, first_end)):
        return True
    key = _hash(codes, start, first_end)
    slot = np.int64((key >> np.uint64(32)) % np.uint64(_SLOTS))
    while words[slot]:
        if words[slot] & ~np.uint64(1) == key:
            lower = ord("a") <= codes[start] <= ord("z")
            alone = n_words == 1 or (n_words == 2 and lower)
            return words[slot] & np.uint64(1) != 0 or n_signs > 0 or alone
        slot = (slot + 1) % _SLOTS
    return False


@njit(cache=True, nogil=True)
def _is_sentence(codes, start, end):  # type: ignore[no-untyped-def]
    """Whether a line ends like a sentence: in `.`, `?` or `!` without a blank before it, unlike `git add .`."""
    last = codes[end - 1]
    return (last == ord(".") or last == ord("?") or last == ord("!")) and codes[end - 2] != ord(" ")


@njit(cache=True, nogil=True)
def _is_option(codes, classes, i, end):  # type: ignore[no-untyped-def]
    """Whether a word is `-l`, `--long` or `-Identity`."""
    if codes[i] != ord("-"):
        return False
    i += 1
    if i < end and codes[i] == ord("-"):
        i += 1
    return i < end and classes[i] == LATIN


@njit(cache=True, nogil=True)
def _names_command(codes, classes, start, end):  # type: ignore[no-untyped-def]
    """Whether a line's first word is `lower`, `./path`, or `Verb-Noun`."""
    lower, hyphen = True, False
    for i in range(start, end):
        if classes[i] == LATIN and not (ord("a") <= codes[i] <= ord("z")):
            lower = False
        if codes[i] == ord(",") or codes[i] == ord(":"):
            return False
        hyphen = hyphen or (
            codes[i] == ord("-") and start < i < end - 1 and ord("A") <= codes[i + 1] <= ord("Z")
        )
    return lower or hyphen


@njit(cache=True, nogil=True)
def find_key(codes, classes, start, end):  # type: ignore[no-untyped-def]
    """Classify a line by YAML syntax: 0 no key, 1 `key: value`, 2 a key that is indented or has no value."""
    at = start
    while at < end and classes[at] <= SPACE:
        at += 1
    while end > at and classes[end - 1] <= SPACE:
        end -= 1
    indented = at > start
    if at + 1 < end and codes[at] == ord("-") and codes[at + 1] == ord(" "):
        at, indented = at + 2, True
    first = at
    while at < end and (
        classes[at] == LATIN
        or ord("0") <= codes[at] <= ord("9")
        or codes[at] == ord("_")
        or codes[at] == ord("-")
        or codes[at] == ord(".")
        or codes[at] == ord("/")
    ):
        at += 1
    if at == first or at >= end or codes[at] != ord(":"):
        return 0
    if at + 1 == end:
        return 2
    if codes[at + 1] != ord(" "):
        return 0
    return 2 if indented else 1
