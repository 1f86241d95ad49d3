"""The encoding of text bytes: byte order mark, UTF-8, declared encodings, then detection from the bytes.

A wrong guess produces mojibake that no later stage can distinguish from bad writing, so that text of doubtful encoding
is refused. Labels and guesses are those of resiliparse (WHATWG names, uchardet); each must decode strictly to plausible
text, because `charset=ISO-8859-1` is far more often a server's default than correct.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from stages.decoding.plausible import reads

BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)

CODECS = {
    "gb18030": ("gb18030",),
    "big5": ("cp950", "big5hkscs"),
    "shift_jis": ("cp932",),
    "euc-kr": ("cp949",),
    "windows-1252": ("cp1252",),
}
"""Encoding -> Python codecs to try in order, each the superset that browsers decode; others: the codec of that name."""

GUESSED = frozenset(
    (*CODECS, "euc-jp", "windows-1250", "windows-1251", "windows-1253", "windows-1254", "windows-1255", "windows-1256",
     "koi8-r", "iso-8859-5")
)  # fmt: skip
"""Encodings that are accepted when detected from undeclared bytes."""

CLEAR = 0.2
"""Least share of frequent letters, see `plausible.reads`, for a guess to be accepted."""

NAMES = {
    "gbk": "gb18030",
    "cp949": "euc-kr",
    "euc_kr": "euc-kr",
    "uhc": "euc-kr",
    "cp866": "ibm866",
    "euc_jp": "euc-jp",
    "iso2022_jp": "iso-2022-jp",
    "iso8859-7": "windows-1253",
    "iso8859-9": "windows-1254",
}
"""The library's names -> names used here."""

META_BYTES = 4096
"""Bytes of a page that are searched for its charset: browsers search 1,024 bytes, and more if `<head>` is longer."""

META_CHARSET = re.compile(
    rb"""<meta\b[^>]{0,500}?\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})"""
    rb"""|<\?xml\b[^>]{0,200}?\bencoding\s*=\s*["']([\w.:-]{1,40})""",
    re.IGNORECASE,
)
HEADER_CHARSET = re.compile(r"""\bcharset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)

SURE_BYTES = 16
"""Continuation bytes that make valid UTF-8 certain regardless of declarations: they do not occur by chance."""

MAX_BROKEN_SHARE = 0.001
"""Largest share of broken characters in text of a declared encoding: a page is not lost for a bad byte in an advert."""

BINARY = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff]")
"""Control and private-use characters, which result from wrong decoding."""

CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
FOREIGN = re.compile(r"[^\x00-\x7f]")

HIGH_RUN = re.compile(rb"[\x80-\xff]+")

UTF8_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
VALID_PER_BROKEN = 20
"""Valid sequences of UTF-8 for each broken one that make text UTF-8 regardless of declarations: in text of any other
encoding most bytes above 127 are no valid sequences. A page is not lost for a comment cut inside a character."""

SURROGATES = re.compile(rb"\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]")
"""A character beyond U+FFFF as CESU-8: each half of its surrogate pair as three bytes. Source: Unicode TR 26."""

PUNCTUATED = re.compile(
    rb"(?:[\x00-\x7f]{4,}[\x85\x91-\x97\x99\xa0\xa9\xab\xae\xb0\xb7\xbb]{1,2})+[\x00-\x7f]{4,}"
)
"""ASCII with quotation marks, dashes and signs, which all encodings of the windows-125x family have at these bytes."""

REPLACED = b"\xef\xbf\xbd"
"""U+FFFD as UTF-8: text that was already damaged when it was encoded."""


class EncodingError(ValueError):
    """The encoding of the bytes cannot be determined with confidence."""


def decode(data: bytes, declared: Iterable[str] = ()) -> tuple[str, str]:
    """Decode text whose encoding is declared or can be detected from its bytes.

    Args: declared, labels as found, most trusted first: an HTTP header's, then the page's own.
    Returns: the text without a byte order mark, and the encoding's WHATWG name in lower case.
    Raises: EncodingError if no encoding fits.
    """
    for bom, name in BOMS:
        if data.startswith(bom) and (text := _tolerant(data[len(bom) :], name)) is not None:
            return text, name
    names = [name for label in declared if (name := _name(label))]
    if b"\x1b$" in data:
        names.insert(0, "iso-2022-jp")
    if (wide := _wide(data)) is not None:
        return wide
    data = joined_surrogates(data)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        sure = len(data) - len(text) >= SURE_BYTES or (data.isascii() and b"\x1b" not in data)
        if (sure or set(names) <= {"utf-8"}) and data.count(0) * 20 <= len(data):
            return text, "utf-8"
    if (mended := _mostly_utf8(data)) is not None:
        return mended, "utf-8"
    is_declared_utf8 = names[:1] == ["utf-8"]
    names.append("utf-8")
    for decode_as in (_strict, _tolerant):
        for name in names:
            if (text_or_none := decode_as(data, name)) is not None:
                return _better(data, text_or_none, name)
    name = _name(detect_encoding(data, html5_compatible=False) or "")
    guessed = _strict(data, name) if name in GUESSED else None
    if guessed is None or (name not in CODECS and reads(guessed) < CLEAR):
        if not name and PUNCTUATED.fullmatch(data) and b"\0" not in data:
            return data.decode("cp1252"), "windows-1252"
        if is_declared_utf8 and (mended := _mostly_ascii(data)) is not None:
            return mended, "utf-8"
        declared_names = ", ".join(names[:-1]) or "nothing"
        raise EncodingError(
            f"declared {declared_names}, looks like {name or 'nothing known'}; neither fits, nor UTF-8"
        )
    return guessed, name


def decode_utf8(data: bytes | bytearray) -> tuple[str, int]:
    """Decode text of a format that is UTF-8 by definition, by the same rules as a page that declares it.

    Returns: the text, and how many of its U+FFFD stand for bytes that could not be decoded.
    Raises: EncodingError if it is in another encoding, or if more than a few bytes are broken.
    """
    try:
        return data.decode("utf-8"), 0
    except UnicodeDecodeError as error:
        first = f"byte 0x{data[error.start]:02x} at {error.start:,}: {error.reason}"
    text, name = None, ""
    try:
        text, name = decode(bytes(data), ("utf-8",))
    except EncodingError:
        pass
    if text is None or name not in ("utf-8", "windows-1252"):
        raise EncodingError(first + (f"; looks like {name}" if name else ""))
    return text, undecoded(data, text)


def undecoded(data: bytes | bytearray, text: str) -> int:
    """Return how many U+FFFD of a decoded text stand for bytes that could not be decoded."""
    n = text.count("\ufffd")
    return max(n - data.count(REPLACED), 0) if n else 0


def joined_surrogates(data: bytes) -> bytes:
    """Return bytes with the surrogate pairs of CESU-8, as Java and MySQL write emoji, as UTF-8."""
    if b"\xed" not in data:
        return data
    return SURROGATES.sub(
        lambda pair: (
            pair[0]
            .decode("utf-8", "surrogatepass")
            .encode("utf-16", "surrogatepass")
            .decode("utf-16")
            .encode()
        ),
        data,
    )


def _mostly_utf8(data: bytes) -> str | None:
    """Decode UTF-8 with few broken sequences among many valid ones, each of them U+FFFD; None if it is not so."""
    text = data.decode("utf-8", "replace")
    whole = text.rstrip("\ufffd") if len(text) - len(text.rstrip("\ufffd")) <= 3 else text
    n_broken = undecoded(data, whole)
    n_valid = UTF8_SEQUENCE.subn(b"", data)[1]
    if n_valid < max(SURE_BYTES // 2, VALID_PER_BROKEN * n_broken):
        return None
    n_controls = CONTROLS.subn(b"", data)[1]  # private-use characters are valid, in text of PDF files
    return whole if n_controls <= len(data) * MAX_BROKEN_SHARE else None


def _mostly_ascii(data: bytes) -> str | None:
    """Decode declared UTF-8 with at most one broken place in a thousand characters that fits no other encoding."""
    text = data.decode("utf-8", "replace")
    n_runs = len(re.findall("\ufffd+", text)) - data.count(REPLACED)
    return text if n_runs <= len(text) * MAX_BROKEN_SHARE and not BINARY.search(text) else None


def _better(data: bytes, text: str, name: str) -> tuple[str, str]:
    """Return the text in its declared encoding, or in a detected one if only that is plausible.

    Bytes of Big5, Shift_JIS or EUC-KR are nearly all valid GB18030, and any bytes are valid windows-1251.
    """
    read = reads(text)
    if name == "utf-8" or read >= CLEAR or sum(char > "\x7f" for char in text[:1000]) < 20:
        return text, name
    guess = _name(detect_encoding(data, html5_compatible=False) or "")
    for other in dict.fromkeys((guess, "gb18030", "big5", "shift_jis", "euc-kr")):
        if other in GUESSED and other != name and (instead := _strict(data, other)) is not None:
            if reads(instead) >= max(CLEAR, 2 * read):
                return instead, other
    return text, name


def _wide(data: bytes) -> tuple[str, str] | None:
    """Decode UTF-16 without a byte order mark: markup and blanks have zero bytes, and one byte order is plausible."""
    head = data[:4096]
    n_zeros = head.count(0)
    if len(data) % 2 or len(data) < 8 or not 0 < n_zeros < len(head):
        return None
    for name, n_high in (("utf-16-le", head[1::2].count(0)), ("utf-16-be", head[::2].count(0))):
        try:
            text = data.decode(name)
        except UnicodeDecodeError:
            continue
        mostly_ascii = n_high >= 0.3 * len(head) and n_high >= 0.95 * n_zeros
        if (mostly_ascii or reads(text) >= CLEAR) and not BINARY.search(text[:META_BYTES]):
            return text, name
    return None


def declared_in_page(html: bytes) -> Iterator[str]:
    """Yield the charset that a page's own `<meta>` or XML declaration names."""
    if match := META_CHARSET.search(html, 0, META_BYTES):
        yield (match[1] or match[2]).decode("ascii", "ignore")


def declared_in_header(content_type: str | None) -> Iterator[str]:
    """Yield the charset that a Content-Type header names."""
    if match := HEADER_CHARSET.search(content_type or ""):
        yield match[1]


def _name(label: str) -> str:
    """Return the name used here for a label, or ""; only WHATWG labels are accepted, not Python's other codecs."""
    label = label.strip().lower()
    mapped = "gbk" if label in ("gb18030", "gb2312") else map_encoding_to_html5(label, fallback_utf8=False)
    name = NAMES.get(label) or NAMES.get(mapped or "", mapped or "")
    return name.replace("cp125", "windows-125").replace("iso8859", "iso-8859")


def _strict(data: bytes, name: str) -> str | None:
    """Decode without any error to plausible text, or return None."""
    if name == "windows-1252" and not _looks_latin(data):
        return None
    if name.startswith("utf-16") and b"\0" not in data:
        return None  # text of any other encoding decodes as UTF-16, into rare Han characters
    for codec in CODECS.get(name, (name,)):
        try:
            text = data.decode(codec)
        except (UnicodeDecodeError, LookupError):
            continue
        if BINARY.subn("", text)[1] <= len(text) * MAX_BROKEN_SHARE:
            return text
    return None


def _tolerant(data: bytes, name: str) -> str | None:
    """Decode with few broken characters, each U+FFFD, and without a truncated last one; None if they are not few."""
    if name == "windows-1252":
        return None
    try:
        text = data.decode(CODECS.get(name, (name,))[0], "replace")
    except LookupError:
        return None
    whole = text.rstrip("\ufffd")
    broken = whole.count("\ufffd")
    n_foreign = FOREIGN.subn("", whole)[1] if broken or len(whole) < len(text) else 0
    few = broken <= len(whole) * MAX_BROKEN_SHARE and broken * 10 <= n_foreign
    if not few or len(text) - len(whole) > min(3, n_foreign) or BINARY.search(whole[:META_BYTES]):
        return None
    return whole


def _looks_latin(data: bytes) -> bool:
    """Whether bytes above 127 are isolated between ASCII letters, as accents are (two in a row: `ção`)."""
    runs = [len(run) for run in HIGH_RUN.findall(data)]
    n_high = sum(runs)
    n_alone, n_short = runs.count(1), runs.count(1) + 2 * runs.count(2)
    return n_short >= 0.9 * n_high and n_alone >= 0.4 * n_high and n_high <= 0.25 * len(data)
