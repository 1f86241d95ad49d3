"""The encoding of bytes: detected correctly where there is evidence, refused where there is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decoding.encoding import (
    EncodingError,
    declared_in_header,
    declared_in_page,
    decode,
    decode_utf8,
    undecoded,
)
from tests.helpers.encoded_texts import FR, JA, KO, ZH_HANS, ZH_HANT

REAL = {
    "gb18030": ("gb18030", ZH_HANS),
    "big5": ("cp950", ZH_HANT),
    "shift_jis": ("cp932", JA),
    "euc-kr": ("cp949", KO),
    "windows-1252": ("cp1252", FR),
}


@pytest.mark.parametrize("name", REAL)
def test_undeclared_text_is_told_by_its_bytes(name: str) -> None:
    """A paragraph in each of the known encodings is found without a declaration."""
    codec, text = REAL[name]
    assert decode(text.encode(codec)) == (text, name)


@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("label", ["utf-8", "ISO-8859-1", "no-such-charset", "x-user-defined"])
def test_a_wrong_declaration_does_not_make_mojibake(name: str, label: str) -> None:
    """A declared charset that the bytes contradict is passed over."""
    codec, text = REAL[name]
    assert decode(text.encode(codec), [label]) == (text, name)


@pytest.mark.parametrize("label", ["gb2312", "gbk", "big5", "iso-8859-1", "utf-16", "shift_jis"])
@pytest.mark.parametrize("text", [ZH_HANS, KO, FR, "plain ascii"])
def test_utf8_wins_over_declarations(text: str, label: str) -> None:
    """Text that is valid UTF-8 beyond chance is UTF-8, regardless of the declaration."""
    assert decode(text.encode(), [label]) == (text, "utf-8")


@pytest.mark.parametrize(
    ("label", "codec", "text", "name"),
    [
        ("GB2312", "gb18030", "共5页", "gb18030"),
        ("gbk", "gb18030", "𠮷野家", "gb18030"),
        ("x-gbk", "gbk", "朱镕基", "gb18030"),
        ("big5-hkscs", "big5hkscs", "嘅喺咗", "big5"),
        ("Shift_JIS", "cp932", "①髙", "shift_jis"),
        ("ks_c_5601-1987", "cp949", "똠방", "euc-kr"),
        ("windows-1251", "cp1251", "Привет", "windows-1251"),
        ("iso-2022-jp", "iso2022_jp", "日本", "iso-2022-jp"),
        ("euc-jp", "euc_jp", "日本語", "euc-jp"),
        ("latin1", "cp1252", "Año nuevo", "windows-1252"),
    ],
)
def test_a_declared_charset_decides_short_text(label: str, codec: str, text: str, name: str) -> None:
    """A short text is read as declared, with the superset that browsers use."""
    assert decode(text.encode(codec), [label]) == (text, name)


def test_short_utf8_declared_as_latin_is_utf8() -> None:
    """Two bytes of one character are no two accents."""
    assert decode("café".encode(), ["iso-8859-1"]) == ("café", "utf-8")


def test_byte_order_marks_decide() -> None:
    """A byte order mark wins over a declaration and is not part of the text."""
    assert decode(b"\xef\xbb\xbf" + "网页".encode(), ["gbk"]) == ("网页", "utf-8")
    assert decode(b"\xff\xfe" + "网页".encode("utf-16-le"), ["gbk"]) == ("网页", "utf-16-le")
    assert decode(b"\xfe\xff" + "网页".encode("utf-16-be")) == ("网页", "utf-16-be")


def test_few_broken_bytes_cost_no_page() -> None:
    """One bad byte in a thousand characters becomes U+FFFD, and a character cut off at the end is removed."""
    text = ZH_HANS * 20
    data = text.encode()
    assert decode(data[:-1], ["utf-8"]) == (text[:-1], "utf-8")
    assert decode(data[:900] + b"\xff" + data[900:])[0] == text[:300] + "\ufffd" + text[300:]
    gbk = text.encode("gb18030")
    assert decode(gbk[:-1], ["gbk"]) == (text[:-1], "gb18030")


@pytest.mark.parametrize(
    "data",
    [
        "网页".encode("gb18030"),
        bytes(range(256)) * 4,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(128, 256)),
        b"\0" * 1000,
        ZH_HANS.encode("gb18030") + ZH_HANT.encode("cp950") + JA.encode("cp932") + b"\xff\xff",
    ],
    ids=["too short", "every byte", "image", "zeros", "mixed"],
)
def test_what_stays_in_doubt_is_refused(data: bytes) -> None:
    """Bytes too few, binary or mixed raise instead of becoming mojibake."""
    with pytest.raises(EncodingError):
        decode(data)


def test_chinese_declared_as_latin_is_not_latin() -> None:
    """The default of a server, ISO-8859-1, never turns Chinese bytes into accents: better no text."""
    with pytest.raises(EncodingError):
        decode("网页正文".encode("gb18030"), ["iso-8859-1"])


@given(st.text())
def test_utf8_comes_back_unchanged(text: str) -> None:
    """Valid UTF-8 without NUL or byte order mark is returned as it is."""
    if "\0" not in text and not text.startswith("\ufeff"):
        assert decode(text.encode()) == (text, "utf-8")


@given(
    st.binary(),
    st.lists(st.sampled_from(["gbk", "utf-8", "latin1", "utf-16", "rot13", "zip", ""]) | st.text()),
)
def test_random_bytes_decode_or_are_refused(data: bytes, labels: list[str]) -> None:
    """Any bytes under any declaration give text that UTF-8 can hold, or EncodingError."""
    try:
        text, name = decode(data, labels)
    except EncodingError:
        return
    assert name
    text.encode("utf-8")


@pytest.mark.parametrize(
    ("html", "labels"),
    [
        (b'<meta charset="gbk">', ["gbk"]),
        (b"<META http-equiv=Content-Type content='text/html; charset=gb2312'>", ["gb2312"]),
        (b'<?xml version="1.0" encoding="Big5"?><html>', ["Big5"]),
        (b"<p>charset=gbk</p>", []),
        (b" " * 5000 + b"<meta charset=gbk>", []),
    ],
)
def test_a_page_declares_its_charset(html: bytes, labels: list[str]) -> None:
    """A meta element or an XML declaration near the start names the charset."""
    assert list(declared_in_page(html)) == labels


def test_a_header_declares_a_charset() -> None:
    """The charset parameter of a Content-Type is found in any case, quoted or not."""
    assert list(declared_in_header('text/html; Charset="GB2312"')) == ["GB2312"]
    assert list(declared_in_header("text/html")) == []
    assert list(declared_in_header(None)) == []


RU = (
    "Мартовский ветер прошёл над озером, и ивы на берегу только распустились. Он сложил письмо и пошёл домой. "
    * 3
)
EL = "Ο άνεμος του Μαρτίου πέρασε πάνω από τη λίμνη και οι ιτιές στην όχθη μόλις είχαν βγάλει φύλλα. " * 3
TR = (
    "Mart rüzgârı gölün üzerinden geçti, kıyıdaki söğütler yeni tomurcuklanmıştı; şöyle böyle, ağır ağır. "
    * 3
)


@pytest.mark.parametrize(
    ("codec", "text", "name"),
    [
        ("euc_jp", JA, "euc-jp"),
        ("iso2022_jp", JA, "iso-2022-jp"),
        ("cp1251", RU, "windows-1251"),
        ("koi8_r", RU, "koi8-r"),
        ("iso8859_5", RU, "iso-8859-5"),
        ("cp1253", EL, "windows-1253"),
        ("cp1254", TR.replace("â", "a"), "windows-1254"),
        ("utf-16-le", "<p>" + ZH_HANS, "utf-16-le"),
        ("utf-16-be", "<html><body><p>" + EL, "utf-16-be"),
        ("utf-16-le", FR, "utf-16-le"),
    ],
)
def test_more_encodings_are_told_by_their_bytes(codec: str, text: str, name: str) -> None:
    """Alphabets, the other Japanese encodings and UTF-16 without a mark are found where they read like a language."""
    assert decode(text.encode(codec)) == (text, name)


@pytest.mark.parametrize(
    ("codec", "text", "label"),
    [
        ("cp950", ZH_HANT, "gb2312"),
        ("cp932", JA, "gb2312"),
        ("cp949", KO, "gbk"),
        ("gb18030", ZH_HANS, "big5"),
        ("gb18030", ZH_HANS, "euc-kr"),
        ("gb18030", ZH_HANS, "windows-1251"),
        ("gb18030", ZH_HANS, "shift_jis"),
        ("euc_jp", JA, "shift_jis"),
        ("koi8_r", RU, "windows-1251"),
    ],
)
def test_a_declaration_that_only_decodes_is_not_believed(codec: str, text: str, label: str) -> None:
    """Bytes that are valid in the declared encoding, but read like a language only in another, are read in that."""
    assert decode(text.encode(codec), [label])[0] == text


def test_a_declaration_is_believed_where_nothing_reads_better() -> None:
    """Rare characters, names and lists are no reason to reject the declared encoding."""
    for codec, text in (
        ("gb18030", "㵘㴨㳚㱣鱻麤龘靐齉爩灪籱" * 3),
        ("cp1251", "ЪЬЫЭЩФЖЦЮ " * 9),
        ("cp950", "鑫淼焱垚犇羴猋驫麤" * 3),
    ):
        data = text.encode(codec, "ignore")
        assert decode(data, [{"cp950": "big5", "cp1251": "windows-1251"}.get(codec, "gbk")])[
            0
        ] == data.decode(codec)


def stray(text: str, *places: int, junk: bytes = b"\xff") -> bytes:
    """UTF-8 with junk at some bytes."""
    data = text.encode()
    for place in sorted(places, reverse=True):
        data = data[:place] + junk + data[place:]
    return data


LONG_ZH = "讨论城市的历史与文化。这是用统一码写的页面，其中的内容很长。" * 12


@pytest.mark.parametrize("labels", [[], ["utf-8"], ["gbk"], ["iso-8859-1"]])
@pytest.mark.parametrize("junk", [b"\xff", b"\xe4\xb8", b"\x87\xa0\xff"])
def test_utf8_but_for_a_few_bytes_is_utf8(labels: list[str], junk: bytes) -> None:
    """Many valid sequences are no accident; each broken one is U+FFFD, and counted (fhamborg/news-please#198)."""
    data = stray(LONG_ZH, 100, 500, 900, junk=junk)
    text, name = decode(data, labels)
    assert name == "utf-8"
    assert undecoded(data, text) == text.count("\ufffd") >= 3
    assert len(text.replace("\ufffd", "")) >= len(LONG_ZH) - 6


def test_declared_ascii_with_a_few_bytes_that_nothing_explains_is_utf8() -> None:
    """An English page is not lost for junk in it; bytes that read as windows-1252 are read so."""
    text = "The river rose in the night, and by morning the lower fields were under water. " * 40
    assert decode(stray(text, 200, 1500, junk=b"\x81\xfe"), ["utf-8"])[1] == "utf-8"
    quoted = text.replace("river", "river\u2019s")
    assert decode(quoted.encode("cp1252"), ["utf-8"])[0] == quoted


def cesu8(text: str) -> bytes:
    """CESU-8 of a text: surrogates one by one."""
    units = text.encode("utf-16-be")
    pairs = (units[i : i + 2] for i in range(0, len(units), 2))
    return b"".join(chr(int.from_bytes(pair)).encode("utf-8", "surrogatepass") for pair in pairs)


@pytest.mark.parametrize("text", ["表情测试 😀 的页面，𠮷野家。", "An emoji 😀 in English.", "🎉🎉🎉"])
@pytest.mark.parametrize("labels", [[], ["utf-8"], ["cesu-8"]])
def test_cesu8_is_read_as_utf8(text: str, labels: list[str]) -> None:
    """Java and MySQL write characters beyond U+FFFF as two halves; half a pair stays broken."""
    assert decode(cesu8(text), labels) == (text, "utf-8")
    assert decode_utf8(cesu8(text)) == (text, 0)


@pytest.mark.parametrize("codec", ["gb18030", "big5", "shift_jis", "euc-kr"])
def test_text_of_a_format_that_is_utf8_is_no_other_encoding(codec: str) -> None:
    """JSON Lines and WET in another encoding are refused, and the error names it where it is clear."""
    text = {"shift_jis": "これは日本語の文章です。", "euc-kr": "이것은 한국어 문장입니다. "}.get(
        codec, "這是我們的文章。" if codec == "big5" else "这是我们的文章。"
    )
    with pytest.raises(EncodingError, match=f"byte 0x.*looks like {codec}".replace("shift_jis", "shift_jis")):
        decode_utf8((text * 20).encode(codec))
