"""Repair of mojibake: undone beyond doubt and flagged, or left as it is."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.decoding.mojibake import (
    BIG5_AS_LATIN,
    GBK_AS_LATIN,
    LEFT,
    UTF8_AS_GBK,
    UTF8_AS_LATIN,
    repair,
    repair_as,
)
from stages.decoding.plausible import reads
from stages.readers import textfile, warc, wet
from tests.helpers.encoded_texts import FR, JA, KO, ZH_HANS, ZH_HANT
from tests.helpers.paths import DEV_DATA
from tests.helpers.records import read
from tests.helpers.warc import page, response
from tests.helpers.warc import warc as record

EN = "“I don’t know,” she said — it’s a café that naïve people can’t resist… " * 3


def latin(data: bytes) -> str:
    """Bytes read as browsers read windows-1252."""
    return "".join(bytes((byte,)).decode("cp1252", "ignore") or chr(byte) for byte in data)


@pytest.mark.parametrize(
    "text", [ZH_HANS, ZH_HANT, JA, KO, FR, EN], ids=["hans", "hant", "ja", "ko", "fr", "en"]
)
def test_utf8_read_as_latin_is_undone(text: str) -> None:
    """UTF-8 read as windows-1252 or Latin-1 comes back exactly, in every script."""
    assert repair(latin(text.encode())) == (text, UTF8_AS_LATIN)
    assert repair(text.encode().decode("latin-1")) == (text, UTF8_AS_LATIN)


@pytest.mark.parametrize(
    ("text", "codec", "accident"), [(ZH_HANS, "gb18030", GBK_AS_LATIN), (ZH_HANT, "cp950", BIG5_AS_LATIN)]
)
def test_chinese_read_as_latin_is_undone(text: str, codec: str, accident: str) -> None:
    """GBK and Big5 read as windows-1252 come back, also characters whose second byte is an ASCII letter."""
    assert repair(latin(text.encode(codec))) == (text, accident)


def test_utf8_read_as_gbk_is_undone_but_for_lost_bytes() -> None:
    """What GBK kept of UTF-8 comes back; a character whose last byte was lost is U+FFFD, never another one."""
    lines = ["三月的风吹过湖面，岸边的柳树刚刚发芽。", "他把信折好放进口袋，沿着小路慢慢走回村子里去了。"]
    text = "\n".join(lines * 3)
    repaired, accident = repair(text.encode().decode("gb18030", "replace"))
    assert accident == UTF8_AS_GBK
    assert len(repaired) == len(text)
    assert all(a in (b, "\ufffd") for a, b in zip(repaired, text, strict=True))
    assert repaired.count("\ufffd") <= 0.05 * len(text)


@pytest.mark.parametrize(
    "text",
    [
        ZH_HANS,
        ZH_HANT,
        JA,
        KO,
        FR,
        EN,
        "A page about mojibake: Ã© is é, ä¸­ is 中, and “â€™” was an apostrophe — naïve café déjà vu." * 2,
        "Ã©",
        "锛鐨銆涓鍦鏄浜鏈鍜绗锟斤拷烫烫烫屯屯屯",
        "ÅÄÖ åäö ÆØÅ æøå ÀÈÌÒÙ àèìòù" * 5,
        "¡¿«»§°±²³´µ¶·¸¹º" * 5,
        "",
    ],
)
def test_readable_text_is_left_alone(text: str) -> None:
    """Text of any language, lists of accents, and pages about mojibake are not touched."""
    assert repair(text) == (text, None)


@given(st.text())
def test_any_text_can_be_looked_at(text: str) -> None:
    """Repair never fails, and reports nothing when it changed nothing."""
    repaired, accident = repair(text)
    assert (accident is None) == (repaired == text)


def test_readers_say_what_they_repaired() -> None:
    """Pages, texts and WET records carry `repaired`; whole ones do not."""
    bad = latin(ZH_HANS.encode())
    (whole, broken, plain) = read(
        warc.READER,
        response(page(ZH_HANS))
        + response(page(bad, f"<title>{latin('春天来了'.encode())}</title>"))
        + response(bad, kind="text/plain; charset=utf-8"),
    )
    assert whole.fields is not None and "repaired" not in whole.fields
    assert broken.fields is not None and broken.fields["repaired"] == UTF8_AS_LATIN
    assert (broken.fields["text"].strip(), broken.fields["title"]) == (ZH_HANS, "春天来了")
    assert plain.fields is not None and plain.fields["text"] == ZH_HANS
    (note,) = read(textfile.READER, bad.encode())
    assert note.fields is not None and (note.fields["text"], note.fields["repaired"]) == (
        ZH_HANS,
        UTF8_AS_LATIN,
    )
    (converted,) = read(wet.READER, record(bad.encode(), "conversion"))
    assert converted.fields is not None and converted.fields["repaired"] == UTF8_AS_LATIN


def test_reading_tells_languages_from_noise() -> None:
    """Languages score well above what their bytes give in another encoding."""
    for text, codec, other in (
        (ZH_HANS, "gb18030", "cp949"),
        (ZH_HANT, "cp950", "gb18030"),
        (JA, "cp932", "gb18030"),
    ):
        assert reads(text) > max(0.2, 2 * reads(text.encode(codec).decode(other, "ignore")))


def test_no_clean_document_is_repaired() -> None:
    """Of all real documents at hand none is taken for mojibake."""
    paths = sorted(DEV_DATA.glob("docs_zh_en-*.parquet"))
    if not paths:
        pytest.skip(f"{DEV_DATA} is not there; set BICORPUS_DEV_DATA")
    for path in paths:
        for text in pq.read_table(path, columns=["text"])["text"].to_pylist()[::5]:
            assert repair(text) == (text, None)


TWICE = {
    "chinese": "城市交通系统的改善需要长期规划，也需要稳定的资金来源。",
    "traditional": "三月的風吹過湖面，岸邊的柳樹剛剛發芽。",
    "japanese": "東京の天気は晴れです。明日は雨が降るでしょう。",
    "russian": "Река поднялась ночью, и к утру луга были под водой.",
    "quotes": "“Don’t go”, she said — “it’s late”, and he didn’t.",
}


@pytest.mark.parametrize("turns", [2, 3])
@pytest.mark.parametrize("codec", ["latin-1", "browser"])
@pytest.mark.parametrize("name", TWICE)
def test_errors_on_top_of_each_other_are_all_undone(name: str, codec: str, turns: int) -> None:
    """Text that was read wrongly, saved, and read wrongly again (oscar-project/ungoliant#20)."""
    text = broken = TWICE[name] * 3
    for _ in range(turns):
        broken = latin(broken.encode()) if codec == "browser" else broken.encode().decode("latin-1")
    repaired, accidents = repair(broken)
    assert (repaired, accidents) == (text, "; ".join([UTF8_AS_LATIN] * turns))
    assert repair_as(broken, str(accidents)) == text


def test_mojibake_that_cannot_be_undone_is_left_and_marked() -> None:
    """Bytes that were lost between two errors: half repaired would be mojibake still."""
    once = latin((TWICE["chinese"] * 3).encode())
    for lossy in (latin(once.replace("ç", "?").encode()), once.encode("cp1252", "replace").decode("cp1252")):
        assert repair(lossy) == (lossy, LEFT)


def test_the_second_error_of_a_few_bytes_is_undone_as_well() -> None:
    """One apostrophe, read wrongly three times, has 8 bytes at first and 3 at last; alone, 3 are left."""
    text = "The harbour doesn’t close before the first snow."
    thrice = latin(latin(latin(text.encode()).encode()).encode())
    assert repair(thrice) == (text, f"{UTF8_AS_LATIN}; {UTF8_AS_LATIN}; {UTF8_AS_LATIN}")
    assert repair(latin(text.encode())) == (latin(text.encode()), None)
