"""Signals in plain Python, read straight from their definitions: the oracle of the kernels."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.data_files import read_yaml
from stages.kernels.code.lines import find_code
from stages.kernels.text import tables
from stages.kernels.text.tables import load_tables
from stages.kernels.text.text import view
from stages.languages import PUNCTUATION_PATH, Profile, load_endings
from stages.signals.forms import name_forms

LETTERS = {
    tables.OTHER: "o", tables.SPACE: "s", tables.NEWLINE: "n", tables.PUNCT: "p", tables.SYMBOL: "y",
    tables.MARK: "m", tables.DIGIT: "d", tables.LATIN: "L", tables.LETTER: "T", tables.HANGUL: "G",
    tables.HAN: "H", tables.KANA: "K", tables.UNSPACED: "U",
}  # fmt: skip
MARKS = {name: set(chars) for name, chars in read_yaml(PUNCTUATION_PATH).items()}


def spell(text: str) -> str:
    """The text with one letter per character for its class, so that `re` can distinguish scripts."""
    return "".join(LETTERS[load_tables().classes[ord(char)]] for char in text)


def fold(text: str) -> str:
    """Match text."""
    return "".join(chr(code) for char in text if (code := load_tables().fold[ord(char)]))


def find_words(text: str) -> list[str]:
    """The words of a text: a run with apostrophes between letters, or a character of an unspaced script."""
    spelled = "".join("'" if char in "'’" else kind for char, kind in zip(text, spell(text), strict=True))
    word = r"[dLTG](?:[dLTGmo]|(?<=[LT])'(?=[LT]))*|[HKU][mo]*"
    return [text[found.start() : found.end()] for found in re.finditer(word, spelled)]


def find_lines(text: str) -> list[str]:
    """All lines, empty ones included, without blanks and invisible characters at their ends."""
    lines = re.split(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]", text)
    return [
        line[len(spell(line)) - len(spell(line).lstrip("so")) :][: len(spell(line).strip("so"))]
        for line in lines
    ]


def ends_prose(line: str) -> bool:
    """Whether a line ends in terminal punctuation."""
    while line and line[-1] not in MARKS["line_end"] and line[-1] in MARKS["closer"]:
        line = line[:-1]
    return line[-1:] in MARKS["line_end"] if line else False


def count_sentences(text: str) -> int:
    """Stretches with a letter up to a mark that ends them."""
    n, has_letter, spelled = 0, False, spell(text)
    skipped = MARKS["sentence"] | MARKS["sentence_before_blank"] | MARKS["closer"]
    for i, char in enumerate(text):
        if spelled[i] in "LTGHKU":
            has_letter = True
        ends = char in MARKS["sentence"]
        if char in MARKS["sentence_before_blank"]:
            after = i + 1
            while after < len(text) and text[after] in skipped:
                after += 1
            kind = spelled[after] if after < len(text) else "n"
            ends |= kind in "sn" or (kind in "HKU" and i > 0 and spelled[i - 1] in "HKU")
        if ends and has_letter:
            n, has_letter = n + 1, False
    return n


def repeats(words: list[str], n: int) -> tuple[int, int]:
    """Characters in the top n-gram and in n-grams seen before."""
    keys = [tuple(map(fold, words[i : i + n])) for i in range(len(words) - n + 1)]
    lengths = [sum(map(len, words[i : i + n])) for i in range(len(keys))]
    first = {key: i for i, key in reversed(list(enumerate(keys)))}
    counts = Counter(keys)
    top = max(first, key=lambda key: (counts[key], lengths[first[key]], -first[key]), default=None)

    def chars(places: list[int]) -> int:
        return sum(len(words[k]) for k in {k for i in places for k in range(i, i + n)})

    is_top = [i for i, key in enumerate(keys) if key == top and counts[key] > 1]
    return chars(is_top), chars([i for i, key in enumerate(keys) if first[key] != i])


def opens_words(text: str, marks: str) -> int:
    """Number of these marks before a letter and not after a word of a script with blanks."""
    spelled = f" {spell(text)} "
    return sum(
        char in marks and spelled[i] not in "dLTG" and spelled[i + 2] in "LTGHKU"
        for i, char in enumerate(text)
    )


def runs(text: str) -> list[str]:
    """Stretches without blanks, line breaks and characters of scripts without blanks, as classes."""
    return re.split("[snHKU]", spell(text))


def bracketed(text: str) -> int:
    """Visible characters between an opening lenticular bracket and the next closing one in its line."""
    pairs = [
        inner
        for line in re.split(r"[\n\r\x0b\x0c\x85\u2028\u2029]", text)
        for inner in re.findall("【([^【】]*)】", line)
    ]
    return sum(kind not in "osn" for inner in pairs for kind in spell(inner))


def is_heading(line: str) -> bool:
    """A heading of Markdown, or a rule."""
    hashes = len(line) - len(line.lstrip("#"))
    if hashes:
        return hashes <= 6 and spell(line)[hashes : hashes + 1] == "s"
    return len(line) >= 4 and line[0] in "=-~^" and set(line) == {line[0]}


def is_cue(line: str) -> bool:
    """A time code of SubRip, WebVTT or lyrics."""
    spelled = spell(line)
    if len(line) < 7:
        return False
    if spelled[:2] == "dd" and line[2] == ":" and "-->" in line[5:]:
        return True
    return line[0] == "[" and spelled[1:3] == "dd" and line[3] == ":" and spelled[4] == "d"


def separators(line: str) -> int:
    """How many bars (two at least), else tabs, else commas without a blank behind part the cells of a line."""
    bars = sum(line.count(bar) for bar in "|｜│")
    bars = bars if bars >= 2 else 0
    spelled = spell(line) + "s"
    commas = [i for i, char in enumerate(line) if char == ","]
    loose = len(commas) < 2 or any(spelled[i + 1] == "s" for i in commas)
    return bars or line.count("\t") or (0 if loose else len(commas))


def label(line: str) -> str:
    """The name before a colon that opens a line."""
    spelled = spell(line)
    for i in range(min(24, len(line) - 1)):
        if i and (line[i] == "：" or (line[i] == ":" and spelled[i + 1] == "s")):
            return line[:i]
        if spelled[i] not in ("LTGHKU" if i == 0 else "mdLTGHKUs") and (i == 0 or line[i] not in ".·"):
            return ""
    return ""


def clash_share(text: str, profile: Profile) -> float:
    """Of openers before a blank, those that a stop word follows behind that one blank."""
    openers, followed, at = 0, 0, 0
    words, stop = find_words(text), {fold(word) for word in profile.stop_words}
    places = []
    for word in words:
        at = text.index(word, at)
        places.append((at, at + len(word)))
        at += len(word)
    for i, word in enumerate(words):
        end = places[i][1]
        if fold(word) in {fold(opener) for opener in profile.openers} and spell(text)[end : end + 1] == "s":
            openers += 1
            followed += i + 1 < len(words) and places[i + 1][0] == end + 1 and fold(words[i + 1]) in stop
    return float(np.float32(np.round(followed / max(openers, 1), 3)))


def count_code(text: str) -> int:
    """Lines of code; the kernel has tests of its own."""
    return int(find_code(view(pa.array([text], pa.large_string()))).is_code.sum())


def count_table(lines: list[str]) -> int:
    """Lines with as many separators as a neighbour."""
    cells = [0, *map(separators, lines), 0]
    return sum(0 < cells[i] and cells[i] in (cells[i - 1], cells[i + 1]) for i in range(1, len(cells) - 1))


def measure(text: str, profile: Profile, window: int = 1000) -> dict[str, Any]:
    """The oracle: every signal by its definition, in plain Python."""
    spelled, words, all_lines = spell(text), find_words(text), find_lines(text)
    lines = [line for line in all_lines if line]
    paragraphs = [
        block.strip("\0").split("\0") for block in re.split("\0{2,}", "\0".join(all_lines).strip("\0"))
    ]
    paragraphs = [block for block in paragraphs if block != [""]]
    seen = [char for char, kind in zip(text, spelled, strict=True) if kind not in "osn"]
    windows = [seen[i : i + window] for i in range(0, len(seen) - window + 1, window)] or [seen]
    stop = {fold(word) for word in profile.stop_words}
    spaced = [word for word in words if spell(word)[0] in "dLTG"]
    ellipses = re.findall("|".join(f"{re.escape(c)}+" for c in MARKS["ellipsis"]), text)
    ellipses += re.findall("|".join(f"{re.escape(c)}{{3,}}" for c in MARKS["ellipsis_by_three"]), text)
    cut = tuple(MARKS["ellipsis"]) + tuple(c * 3 for c in MARKS["ellipsis_by_three"])

    def later(items: list[Any], size: Any) -> tuple[int, int]:
        again = [item for i, item in enumerate(items) if item in items[:i]]
        return len(again), sum(map(size, again))

    def share(part: float, whole: float) -> float:
        return float(np.float32(np.round(part / max(whole, 1), 3)))

    line_chars, word_chars = sum(map(len, lines)), sum(map(len, words))
    endings = load_endings()
    lower = ["".join(chr(load_tables().fold[ord(c)] or ord(c)) for c in line) for line in lines]
    labels = [name for line in lines if (name := label(line))]
    cased = [[c for c, kind in zip(word, spell(word), strict=True) if kind in "LTGHKU"] for word in words]
    folded = [fold(word) for word in words]
    emoji = sum(0x1F300 <= ord(c) < 0x1FB00 and kind == "y" for c, kind in zip(text, spelled, strict=True))
    counts: dict[str, int] = {
        "n_chars": len(text), "n_visible": len(seen), "n_words": len(words), "n_lines": len(lines),
        "line_chars": line_chars, "n_spaced_words": len(spaced),
        "n_digits": spelled.count("d"), "n_punct": spelled.count("p"),
        "n_letters": sum(kind in "mLTGHKU" for kind in spelled),
        "n_stop_words": sum(word in stop for word in folded),
        "n_distinct_words": len(set(folded)),
        "max_line_chars": max(map(len, lines), default=0),
        "n_long_lines": sum(len(line) >= 200 for line in lines),
        "n_braces": text.count("{") + text.count("}"),
        "n_post_marks": emoji + opens_words(text, "#＃@＠"),
        "n_code_lines": count_code(text), "n_table_lines": count_table(lines),
        "n_heading_lines": sum(map(is_heading, lines)), "n_cue_lines": sum(map(is_cue, lines)),
        "n_speaker_lines": len(labels) - len(set(labels)),
        "n_closed_lines": sum(spell(line)[-1] == "p" for line in lines),
    }  # fmt: skip
    n_dup_lines, dup_line_chars = later(lines, len)
    n_dup_blocks, dup_block_chars = later(paragraphs, lambda block: sum(map(len, block)))
    bullets = [
        line[0] in MARKS["bullet"] or (line[0] in MARKS["bullet_before_blank"] and spell(line)[1:2] == "s")
        for line in lines
    ]
    result: dict[str, Any] = {
        "n_chars": len(text),
        "n_words": len(words),
        "n_lines": len(lines),
        "n_paragraphs": len(paragraphs),
        "n_sentences": count_sentences(text),
        "n_long_lines": counts["n_long_lines"],
        "max_line_chars": counts["max_line_chars"],
        "max_run_chars": max(map(len, runs(text))),
        "n_lorem_ipsum": sum(pair == ("lorem", "ipsum") for pair in pairwise(folded)),
        "n_braces": counts["n_braces"],
        "n_post_marks": counts["n_post_marks"],
        "stop_word_count": len(stop & set(map(fold, words))),
        "mean_word_chars": share(sum(map(len, spaced)), len(spaced)),
        "mean_unit_chars": share(word_chars, len(words)),
        "mean_line_chars": share(line_chars, len(lines)),
        "short_line_share": share(sum(len(line) <= profile.short_line_chars for line in lines), len(lines)),
        "terminal_line_share": share(sum(map(ends_prose, lines)), len(lines)),
        "bullet_line_share": share(sum(bullets), len(lines)),
        "ellipsis_line_share": share(sum(line.endswith(cut) for line in lines), len(lines)),
        "read_more_line_share": share(sum(line.endswith(endings) for line in lower), len(lines)),
        "closed_line_share": share(counts["n_closed_lines"], len(lines)),
        "heading_line_share": share(counts["n_heading_lines"], len(lines)),
        "code_line_share": share(counts["n_code_lines"], len(lines)),
        "table_line_share": share(counts["n_table_lines"], len(lines)),
        "speaker_line_share": share(counts["n_speaker_lines"], len(lines)),
        "cue_line_share": share(counts["n_cue_lines"], len(lines)),
        "newline_word_ratio": share(len(all_lines) - 1, len(words)),
        "hash_word_ratio": share(text.count("#") + text.count("＃"), len(words)),
        "ellipsis_word_ratio": share(len(ellipses), len(words)),
        "punct_share": share(spelled.count("p"), len(seen)),
        "digit_share": share(spelled.count("d"), len(seen)),
        "symbol_share": share(spelled.count("y"), len(seen)),
        "letter_share": share(sum(kind in "mLTGHKU" for kind in spelled), len(seen)),
        "brace_char_share": share(counts["n_braces"], len(text)),
        "broken_char_share": share(sum(c == "\ufffd" or "\ue000" <= c < "\uf900" for c in text), len(seen)),
        "bracketed_char_share": share(bracketed(text), len(seen)),
        "han_char_share": share(spelled.count("H"), len(seen)),
        "alpha_word_share": share(sum(bool(set(spell(word)) & set("LTGHKU")) for word in words), len(words)),
        "alpha_token_share": share(
            sum(bool(set(spell(word)) & set("LTGHKU")) for word in words),
            len(words) + spelled.count("p") + spelled.count("y"),
        ),
        "upper_word_share": share(
            sum(bool(part) and all(c.isupper() and spell(c) in "LT" for c in part) for part in cased),
            len(words),
        ),
        "unique_word_share": share(len(set(folded)), len(words)),
        "stop_word_share": share(sum(word in stop for word in folded), len(words)),
        "clash_share": clash_share(text, profile),
        "unique_char_share": share(sum(len(set(part)) for part in windows), sum(map(len, windows))),
        "duplicate_line_share": share(n_dup_lines, len(lines)),
        "duplicate_line_char_share": share(dup_line_chars, line_chars),
        "duplicate_paragraph_share": share(n_dup_blocks, len(paragraphs)),
        "duplicate_paragraph_char_share": share(dup_block_chars, line_chars),
    }
    for n in (2, 3, 4):
        result[f"top_{n}_gram_char_share"] = share(repeats(words, n)[0], word_chars)
    for n in range(5, 11):
        result[f"duplicate_{n}_gram_char_share"] = share(repeats(words, n)[1], word_chars)
    result["word_entropy"] = share(
        -sum(n / len(words) * math.log(n / len(words)) for n in Counter(folded).values()), 1
    )
    bullets_counts = {"n_bullet_lines": sum(bullets)}
    arrays = {name: np.array([value]) for name, value in (counts | bullets_counts).items()}
    result["form"] = name_forms(arrays, pa.array([text]))[0].as_py()
    return result
