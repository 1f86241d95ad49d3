"""Byte-level BPE by the kernel: the library's tokens under each usual structure, and the library where it is unsure."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from stages.tokens import Config, load_library
from stages.tokens.encoder import Encoder

ROOT = Path(__file__).parents[3]
PROSE = (
    "市图书馆昨天宣布，从下个月起延长开放时间。读者可以在晚上借书，周末则照旧；服务台会提前通知。\n"
    "The library won't close before nine; readers' queues, in 2024 and 20251, were longer than ever.\n"
    "    def read(self):\n        return self.lines[0:12]  # ------ ====== \n\n\n"
    "図書館は夜まで開いています。Bücher, naïve café — “quotes” … 100% Ёлка 한국어 문장 ไทย हिन्दी 👍🏽👨‍👩‍👧\r\n"
)
CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CASED = (
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+",
    r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*",
)
O200K = (
    "|".join(rf"[^\r\n\p{{L}}\p{{N}}]?{word}(?i:'s|'t|'re|'ve|'m|'ll|'d)?" for word in CASED)
    + r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DEEPSEEK = (
    r"\p{N}{1,3}",
    "[一-龥\u3040-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^"""
    "\r\n"
    r"""\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+["""
    "\r\n"
    r"""]*|\s*[\r\n]+|\s+(?!\S)|\s+""",
)


def by_patterns(
    *patterns: str, behavior: str = "isolated", invert: bool = False
) -> pre_tokenizers.PreTokenizer:
    """A byte-level pre-tokeniser of these patterns, one after the other."""
    steps = [pre_tokenizers.Split(Regex(pattern), behavior, invert) for pattern in patterns]
    return pre_tokenizers.Sequence(
        [*steps, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def digits_first() -> pre_tokenizers.PreTokenizer:
    """Single digits, then the pattern of GPT-2."""
    digits = pre_tokenizers.Digits(individual_digits=True)
    return pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])


STRUCTURES = {
    "gpt2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "cl100k": by_patterns(CL100K, behavior="removed", invert=True),
    "o200k": by_patterns(O200K),
    "qwen2": by_patterns(CL100K.replace("{1,3}", "")),
    "qwen3.5": by_patterns(CL100K.replace("{1,3}", "").replace(r"\p{L}+", r"[\p{L}\p{M}]+")),
    "llama3": by_patterns(CL100K),
    "deepseek": by_patterns(*DEEPSEEK),
    "starcoder": digits_first(),
}


def trained(name: str) -> Tokenizer:
    """A small tokenizer of one structure, trained on PROSE."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=name == "llama3"))
    tokenizer.pre_tokenizer = STRUCTURES[name]
    tokenizer.decoder = decoders.ByteLevel()
    if name.startswith("qwen"):
        tokenizer.normalizer = normalizers.NFC()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        min_frequency=1,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([PROSE, PROSE], trainer)
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True), AddedToken("<|x|><th", special=True)])
    if name != "gpt2":
        tokenizer.add_tokens(
            [AddedToken(text, normalized=name == "deepseek") for text in ("<think>", "<th", "é|")]
        )
    return tokenizer


ENCODERS = {name: Encoder(trained(name)) for name in STRUCTURES}

WORDS = (
    "市图书馆", "昨天", "，", "。", "读", "者", "The", " library", "won't", " DON'T", "it'ſ", "20251", " 7", "\n",
    "\r\n", "    ", "\t", " ", "é", "e\u0301", "\u0323\u0307", "가", "\u1112\u1161\u11ab", "\u212b", "が", "か\u3099",
    "あア", "हिन्दी", "👍🏽", "👨\u200d👩\u200d👧", "⚠\ufe0f", "\u200b\u200b", "<|end|>", "<|x|><think>", "<think>",
    "<th",
    "é|", "e\u0301|", "==", "-", "/", "\u3000", "\u0085", "\0", "\ue000", "ß", "ǅ", "Ω", "\U00020bb7", "\U000e0041",
)  # fmt: skip
MIXED = st.lists(st.sampled_from(WORDS), max_size=30).map("".join)


def check(encoder: Encoder, texts: list[str]) -> None:
    """Counts and ids of a column are those of the library, text by text."""
    expected = [encoder.by_library(text) for text in texts]
    column = pa.array(texts, pa.large_string())
    ids, starts = encoder.encode(column)
    assert [ids[starts[i] : starts[i + 1]].tolist() for i in range(len(texts))] == expected
    assert encoder.count(column).tolist() == [len(own) for own in expected]


@settings(max_examples=25)
@given(st.lists(MIXED | st.text(max_size=20), max_size=4))
def test_tokens_are_the_library_s(texts: list[str]) -> None:
    """Each structure is recognised, and gives the same ids on texts of every script, with added and special tokens."""
    for name, encoder in ENCODERS.items():
        assert encoder.exact, name
        check(encoder, texts)


def test_real_documents() -> None:
    """Documents of the sample, in Chinese and English, under the tokenizer that is shipped and the small ones."""
    texts = []
    for name in ("docs_zh-00.jsonl.gz", "docs_en-00.jsonl.zst"):
        with pa.input_stream(str(ROOT / "sample" / name)) as stream:
            lines = stream.read().decode(errors="replace").splitlines()[:60]  # some are broken on purpose
        rows = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        texts += [row.get("content") or row["text"] for row in rows]
    for encoder in (Encoder(load_library(Config().tokenizer)), ENCODERS["o200k"], ENCODERS["deepseek"]):
        assert encoder.exact
        check(encoder, [*texts, "", PROSE])


@pytest.mark.parametrize("name", ["gpt2", "llama3"])
def test_long_runs_without_blanks(name: str) -> None:
    """Runs far longer than a window are merged as if whole, whether windows agree or not."""
    runs = ["lib" * 9_000, "=" * 9_001 + "a", " " * 12_345 + "x", "readers" * 3_000 + "市" * 5_000]
    check(ENCODERS[name], [*runs, "".join(chr(97 + i * i % 7) for i in range(20_000))])


def test_tokens_that_no_merge_leads_to() -> None:
    """With ignore_merges a whole piece that is a token stays one; inside a longer piece its bytes are merged."""
    page = json.loads(trained("llama3").to_str())
    page["model"]["vocab"] |= {"Ġzqzq": 9_000, "qzqz": 9_001}
    encoder = Encoder(Tokenizer.from_str(json.dumps(page)))
    assert encoder.exact
    assert encoder.encode(pa.array(["a zqzq"]))[0][-1] == 9_000
    check(encoder, ["a zqzq zqzqz", "qzqz qzqza", "qzqz"])


def test_a_vocabulary_without_some_bytes() -> None:
    """Texts with a byte that has no token are left to the library, which drops it."""
    page = json.loads(trained("gpt2").to_str())
    for char in ("Ā", "ê"):  # bytes 0x00 and 0xea
        page["model"]["merges"] = [merge for merge in page["model"]["merges"] if char not in "".join(merge)]
        page["model"]["vocab"] = {text: i for text, i in page["model"]["vocab"].items() if char not in text}
    encoder = Encoder(Tokenizer.from_str(json.dumps(page)))
    assert encoder.exact
    check(encoder, ["a\0b", "가나", PROSE, "plain"])


def test_normalisers_other_than_nfc() -> None:
    """Another normaliser is the library's, its result is tokenised by the kernel."""
    tokenizer = trained("gpt2")
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    encoder = Encoder(tokenizer)
    assert encoder.exact
    check(encoder, ["Ｔｈｅ LIBRARY，ﬁn", "", PROSE])


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({"[UNK]": 0, "lib": 1, "##rary": 2}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("lib", -2.0), ("rary", -2.5)], 0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    return tokenizer


def sentencepiece_bpe() -> Tokenizer:
    vocab = {
        "<unk>": 0,
        "▁": 1,
        "l": 2,
        "i": 3,
        "li": 4,
        "▁li": 5,
        **{f"<0x{i:02X}>": 6 + i for i in range(256)},
    }
    tokenizer = Tokenizer(models.BPE(vocab, [("l", "i"), ("▁", "li")], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return tokenizer


def unknown_pattern() -> Tokenizer:
    tokenizer = trained("gpt2")
    tokenizer.pre_tokenizer = by_patterns(r"(?<=a)b+|\s+")
    return tokenizer


def added_in_capitals() -> Tokenizer:
    tokenizer = trained("gpt2")
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens([AddedToken("<THINK>", normalized=True)])
    return tokenizer


@pytest.mark.parametrize(
    "build", [word_piece, unigram, sentencepiece_bpe, unknown_pattern, added_in_capitals]
)
def test_other_tokenizers_are_the_library_s(build) -> None:  # type: ignore[no-untyped-def]
    """WordPiece, unigram, SentencePiece, unknown patterns and added tokens that change are the library's."""
    encoder = Encoder(build())
    assert not encoder.exact
    check(encoder, ["library lili 图书", "", "aabb  b <THINK>"])


def test_a_library_that_disagrees_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If kernel and library differ on the probe, a warning says so and the library tokenises."""
    monkeypatch.setattr("stages.tokens.recognise.GPT2", r"\s+|\S")
    with pytest.warns(UserWarning, match="using the library alone"):
        encoder = Encoder(trained("gpt2"))
    assert not encoder.exact
    check(encoder, [PROSE])


def test_pickled_encoders_agree() -> None:
    """A worker's copy counts the same, nulls as empty texts."""
    copy = pickle.loads(pickle.dumps(ENCODERS["qwen2"]))
    column = pa.chunked_array([pa.array([PROSE, None]), pa.array(["<think> e\u0301"])])
    assert copy.count(column).tolist() == ENCODERS["qwen2"].count(column).tolist()
    assert copy.count(column)[1] == 0
