"""Settings of the language stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline.errors import ConfigError
from pipeline.recipe import package_file

MODEL_PATH = package_file(__file__, "..", "models", "lid.176.ftz")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Model, and thresholds for labels and mixed documents.

    model: a fastText model with labels of languages.tsv, or of a language with its script.
    mixed_share, mixed_score: minimum share of the prose and probability of a second language for the label `mul`.
    min_share: minimum share of a language in `shares`.
    min_score: below this probability the label is `und`, except for Han, kana and Hangul, which imply a language.
    min_letter_share: up to this share of letters among visible characters, the label is `zxx`; a Han character counts
        as three letters.
    code_symbol_share, code_share: above this share of symbols among visible characters, or of text in unfenced lines
        of code, Latin words outside prose are names. In the second case the document is source code, labelled `zxx`
        regardless of English comments and strings.
    code_text_share, code_text_letters, code_other_letters: `zxx` as well, if the share of text in languages among all
        letters, the number of Latin letters in it, and the letters of other scripts are all below these.
    min_run_words: minimum length of a run of Latin words that is prose; a shorter run is a term or a name.
    kana_share: minimum share of kana among Han and kana for a Japanese line.
    groups: name -> labels of languages that are often taken for each other, such as {malay: [msa_Latn, ind_Latn]}. The
        label is the most probable one, its score the sum of the probabilities of its group. Han, kana and Hangul, which
        are not decided by the model, are in no group.
    yue_score, lzh_score: minimum probability for the labels of Cantonese and of classical Chinese.
    """

    model: str = MODEL_PATH
    mixed_share: float = 0.2
    mixed_score: float = 0.5
    min_share: float = 0.02
    min_score: float = 0.2
    min_letter_share: float = 0.25
    code_symbol_share: float = 0.03
    code_share: float = 0.5
    code_text_share: float = 0.15
    code_text_letters: int = 100
    code_other_letters: int = 30
    min_run_words: int = 5
    kana_share: float = 0.1
    yue_score: float = 0.7
    lzh_score: float = 0.95
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.endswith(("_share", "_score")) and not 0 <= value <= 1:
                raise ConfigError(f"language.{name} is {value}; expected a number from 0 to 1")
        if self.min_run_words < 1:
            raise ConfigError(f"language.min_run_words is {self.min_run_words}; expected at least 1")
