"""Conservative repair of mojibake: text that was decoded with the wrong encoding and saved.

A text is repaired as a whole or not at all: nearly all of its non-ASCII characters must map back to valid bytes of the
original encoding, and the result must be more plausible than the text. Three errors are repaired: UTF-8 read as
windows-1252 (`ä¸­æ–‡`, `donâ€™t`), UTF-8 read as GBK (`涓枃`), GBK or Big5 read as Latin-1 (`ÖÐÎÄ`).
"""

from __future__ import annotations

import re

from stages.decoding.plausible import HAN, LOOK_CHARS, common_share

UTF8_AS_LATIN = "utf-8 read as windows-1252"
UTF8_AS_GBK = "utf-8 read as gb18030"
GBK_AS_LATIN = "gb18030 read as windows-1252"
BIG5_AS_LATIN = "big5 read as windows-1252"

SLOPPY = {chr(i): i for i in range(128, 256)} | {
    bytes((i,)).decode("cp1252", "ignore"): i for i in range(128, 256)
}
SLOPPY.pop("", None)
"""Character -> byte: windows-1252 as implemented in browsers, with Latin-1 controls for its unassigned bytes."""

HIGH = re.escape("".join(sorted(SLOPPY)))
LATIN_RUN = re.compile(f"[{HIGH}]+")
PAIR_RUN = re.compile(f"(?:[{HIGH}][@-~{HIGH}])+")
"""Runs of UTF-8 bytes, all above 127; and of GBK or Big5 pairs, whose second byte may be an ASCII character."""

LATIN_SIGN = re.compile("[\u00c2-\u00f4][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
"""A leading and a continuation byte of UTF-8, read as windows-1252."""

PAIR_SIGN = re.compile(f"[\u00a1-\u00fe][@-~{HIGH}][\u00a1-\u00fe][@-~{HIGH}]")
"""Two characters of GBK or Big5, read as Latin-1."""

GBK_SIGN = re.compile("[锛鐨銆涓鍦鏄浜鏈鍜绗]")
"""The leading bytes of the most frequent Chinese characters in UTF-8 (，的。一在是人有和第), read as GBK."""

GBK_RUN = re.compile("[^\x00-\x7f]+[?]?")

SHARE = 0.95
"""Least share of non-ASCII characters that must map back to bytes."""

LEAST_BYTES = 8
"""Least number of such bytes in a text to be repaired: fewer may be intended."""

FURTHER = 2
"""The same for UTF-8 read as windows-1252 in a text of which one error was undone: each turn halves the bytes."""


MAX_TURNS = 4
"""Errors that are undone one after the other: text that was read wrongly, saved, and read wrongly again."""

LEFT = "mojibake left as it is"
"""Instead of the errors: the text is mojibake, but too many bytes were lost to undo it."""

LEFT_SHARE = 0.05
"""Pairs of a leading and a continuation byte per character above which a text is mojibake."""


def repair(text: str) -> tuple[str, str | None]:
    """Return the text, repaired if it is mojibake beyond doubt, and the errors that were undone, or None.

    Errors are undone until none is found, the last one first: `ERROR; ERROR` names two. If what results is mojibake
    still, because bytes were lost, the text is returned unchanged, with LEFT instead of the error.
    """
    repaired, accidents = text, list[str]()
    while len(accidents) < MAX_TURNS and (turn := _turn(repaired, FURTHER if accidents else LEAST_BYTES)):
        repaired = turn[0]
        accidents.append(turn[1])
    n_signs = sum(1 for _ in LATIN_SIGN.finditer(repaired, 0, LOOK_CHARS))
    if n_signs >= LEAST_BYTES and n_signs > LEFT_SHARE * min(len(repaired), LOOK_CHARS):
        return text, LEFT
    return repaired, "; ".join(accidents) or None


def _turn(text: str, least: int) -> tuple[str, str] | None:
    """Undo one error; None if there is none beyond doubt. least: see _from_latin."""
    head = text[:LOOK_CHARS]
    if LATIN_SIGN.search(head) and (repaired := _from_latin(text, least)) is not None:
        return repaired, UTF8_AS_LATIN
    if (
        len(GBK_SIGN.findall(head)) * 50 > len(HAN.findall(head)) > 0
        and (repaired := _from_gbk(text)) is not None
    ):
        return repaired, UTF8_AS_GBK
    if PAIR_SIGN.search(head):
        for codec, name in (("gb18030", GBK_AS_LATIN), ("cp950", BIG5_AS_LATIN)):
            if (repaired := _from_pairs(text, codec)) is not None:
                return repaired, name
    return None


def repair_as(text: str, accidents: str) -> str:
    """Return a short text, such as a title, repaired in the same way if all of it maps back, else unchanged."""
    repaired = text
    try:
        for accident in accidents.split("; "):
            if accident == UTF8_AS_GBK:
                repaired = repaired.encode("gb18030").decode("utf-8")
                continue
            codec = {UTF8_AS_LATIN: "utf-8", GBK_AS_LATIN: "gb18030", BIG5_AS_LATIN: "cp950"}[accident]
            repaired = bytes(ord(char) if char < "\x80" else SLOPPY[char] for char in repaired).decode(codec)
    except (UnicodeError, KeyError):
        return text
    return repaired


def _latin_bytes(run: str) -> bytes:
    return bytes(SLOPPY[char] for char in run)


def _from_latin(text: str, least: int) -> str | None:
    """Repair UTF-8 read as windows-1252 by runs; None unless nearly all, `least` bytes or more, are valid UTF-8."""
    n_all = n_good = n_bytes = 0

    def back(match: re.Match[str]) -> str:
        nonlocal n_all, n_good, n_bytes
        run = match[0]
        n_all += len(run)
        try:
            decoded = _latin_bytes(run).decode("utf-8")
        except UnicodeDecodeError:
            return run
        n_good += len(run)
        n_bytes += len(run)
        return decoded

    repaired = LATIN_RUN.sub(back, text)
    foreign = len(re.findall("[^\x00-\x7f]", text))  # characters that map to no byte were decoded correctly
    if n_bytes < least or n_good < SHARE * n_all or n_all < 0.5 * foreign:
        return None
    return repaired


def _from_gbk(text: str) -> str | None:
    """Repair UTF-8 read as GBK.

    Byte 0x80 begins no character of GBK and became U+FFFD or `€`, so that it can be restored inside a run. A last byte
    that was combined with the character after it is lost, and its character becomes U+FFFD.
    """
    n_all = n_good = n_lost = 0

    def back(match: re.Match[str]) -> str:
        nonlocal n_all, n_good, n_lost
        run = match[0]
        n_all += len(run)
        try:
            data = b"\x80".join(
                part.encode("gb18030") for part in re.split("[\ufffd€]", run.rstrip("?\ufffd"))
            )
            whole = data.decode("utf-8", "replace")
        except UnicodeEncodeError:
            return run
        lost = whole.count("\ufffd")
        if lost > 1 or (lost and not whole.endswith("\ufffd")):
            return run
        n_good += len(run)
        n_lost += lost
        return whole

    repaired = GBK_RUN.sub(back, text)
    if n_good < SHARE * n_all or n_all < LEAST_BYTES or n_lost > (1 - SHARE) * len(repaired):
        return None
    return repaired if _reads_better(repaired, text) else None


def _from_pairs(text: str, codec: str) -> str | None:
    """Repair GBK or Big5 read as Latin-1; None unless nearly all of it maps back and is plausible Chinese."""
    n_good = 0

    def back(match: re.Match[str]) -> str:
        nonlocal n_good
        try:
            decoded = bytes(SLOPPY.get(char, ord(char) & 255) for char in match[0]).decode(codec)
        except UnicodeDecodeError:
            return match[0]
        n_good += sum(char > "\x7f" for char in match[0])
        return decoded

    repaired = PAIR_RUN.sub(back, text)
    n_all = sum(char > "\x7f" for char in text)
    if n_good < SHARE * n_all or n_all < 4 * LEAST_BYTES:
        return None
    return repaired if _reads_better(repaired, text) else None


def _reads_better(repaired: str, text: str) -> bool:
    after = common_share(repaired)
    return after >= 0.15 and after > 3 * common_share(text)
