"""Published mixes by name: an exponent, a rule for a budget, or fixed shares of named groups, each with its source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # values of a parsed YAML file

from pipeline.errors import ConfigError
from pipeline.mix.similarity import similarity_shares
from pipeline.names import brief, check_keys, nearest


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published mix; one of alpha, unimax, similarity and stages is given.

    formula, source: for the documentation. alpha: exponent of the available tokens. unimax: equal shares up to the
    largest number of epochs. similarity: shares by vectors of the run file. stages: shares of groups, by stage of the
    training order; the run file says where a stage ends, as no publication does. variants: the same for groups that are
    divided further.
    """

    formula: str
    source: str
    alpha: float | None = None
    unimax: bool = False
    similarity: bool = False
    stages: tuple[Mapping[str, float], ...] = ()
    variants: tuple[tuple[Mapping[str, float], ...], ...] = ()


def _by_language(shares: Mapping[str, float], zh: float) -> dict[str, float]:
    """Divide each share between Chinese and English, the same for every group."""
    return {
        f"{group}_{language}": round(share * part, 6)
        for group, share in shares.items()
        for language, part in (("zh", zh), ("en", 1 - zh))
    }


_STABLE = {"domain": 0.95, "general": 0.05}
_BOOST = {"domain": 0.5, "instruct": 0.5}

OPENSEEK_FILES: Mapping[str, float] = {
    "Nemotron-CC-medium-actual-actual-mid": 7.76,
    "Nemotron-CC-low-synthetic-wrap_medium-mid": 1.08,
    "Nemotron-CC-high-synthetic-knowledge_list-mid": 3.20,
    "Nemotron-CC-high-synthetic-extract_knowledge-low": 0.07,
    "Nemotron-CC-high-synthetic-diverse_qa_pairs-low": 2.16,
    "Nemotron-CC-high-synthetic-distill-low": 0.64,
    "Nemotron-CC-high-actual-actual-mid": 2.05,
    "Nemotron-CC-high-synthetic-distill-high": 1.59,
    "Nemotron-CC-high-synthetic-wrap_medium-mid": 6.18,
    "Nemotron-CC-high-synthetic-extract_knowledge-high": 6.43,
    "Nemotron-CC-high-synthetic-diverse_qa_pairs-high": 4.67,
    "Nemotron-CC-high-actual-actual-low": 0.67,
    "Nemotron-CC-medium-actual-actual-low": 4.48,
    "Nemotron-CC-low-synthetic-wrap_medium-low": 0.30,
    "Nemotron-CC-high-synthetic-wrap_medium-high": 3.89,
    "Nemotron-CC-high-synthetic-knowledge_list-low": 0.74,
    "Nemotron-CC-high-synthetic-extract_knowledge-mid": 2.22,
    "Nemotron-CC-high-synthetic-diverse_qa_pairs-mid": 7.58,
    "Nemotron-CC-high-synthetic-distill-mid": 2.32,
    "Nemotron-CC-high-actual-actual-high": 1.26,
    "Nemotron-CC-medium-actual-actual-high": 2.20,
    "Nemotron-CC-low-synthetic-wrap_medium-high": 0.17,
    "Nemotron-CC-high-synthetic-wrap_medium-low": 0.65,
    "Nemotron-CC-high-synthetic-knowledge_list-high": 1.88,
    "zh_cc": 9.65,
    "code": 3.43,
    "math": 0.83,
    "books": 1.98,
    "wiki": 0.29,
    "arxiv": 0.32,
    "stack": 0.19,
    "cot_synthesis_CC": 9.82,
    "cot_synthesis_code": 1.32,
    "cot_synthesis_math": 2.19,
    "cot_synthesis_wiki": 0.83,
    "cot_synthesis_arxiv": 4.15,
    "cot_synthesis_OpenSource": 0.46,
    "pes2o": 0.31,
}
"""Weights of the files of OpenSeek-Small v1; the last part of a Nemotron name is the tier of perplexity."""


def _openseek_groups() -> dict[str, float]:
    """Sum the weights of the files to eleven groups."""
    groups: dict[str, float] = {}
    for name, weight in OPENSEEK_FILES.items():
        if name.startswith("Nemotron"):
            group = "web_en" if "-actual-" in name else "web_en_synthetic"
        else:
            group = {"zh_cc": "web_zh", "stack": "forum"}.get(
                name, "cot" if name.startswith("cot_") else name
            )
        groups[group] = round(groups.get(group, 0.0) + weight, 2)
    return groups


PRESETS: Mapping[str, Preset] = {
    "natural": Preset(
        formula="p_i = n_i / Σ n", source="every group in proportion to its tokens", alpha=1.0
    ),
    "uniform": Preset(formula="p_i = 1 / k", source="k groups with equal shares", alpha=0.0),
    "mbert": Preset(
        formula="p_i ∝ n_i^0.7", source="multilingual BERT, notes of the release (google-research/bert)", alpha=0.7
    ),
    "xlm-r": Preset(formula="p_i ∝ n_i^0.3", source="Conneau et al. 2020, arXiv:1911.02116", alpha=0.3),
    "mt5": Preset(formula="p_i ∝ n_i^0.3", source="Xue et al. 2021, arXiv:2010.11934", alpha=0.3),
    "unimax": Preset(
        formula="U_i = min(N n_i, τ), with τ such that Σ U = B", source="Chung et al. 2023, arXiv:2304.09151",
        unimax=True,
    ),
    "similarity": Preset(
        formula="p_i ∝ exp(cos(v_i, v_to) / T)", source="Wang and Neubig 2019, arXiv:1905.08212", similarity=True
    ),
    "carebot": Preset(
        formula="stable: domain 19 : general 1, zh 1 : en 9; boost: domain 1 : instruct 1, zh 4 : en 6",
        source="Zhao et al. 2024, arXiv:2412.15236, and the card of CareBot_Medical_multi-llama3-8b-base",
        stages=(_STABLE, _BOOST),
        variants=((_by_language(_STABLE, 0.1), _by_language(_BOOST, 0.4)),),
    ),
    "phi-4": Preset(
        formula="web 15, web_rewrites 15, synthetic 40, code 20, acquired 10",
        source="Abdin et al. 2024, arXiv:2412.08905, table 5",
        stages=({"web": 0.15, "web_rewrites": 0.15, "synthetic": 0.40, "code": 0.20, "acquired": 0.10},),
    ),
    "openseek-small": Preset(
        formula="sums of the weights of `openseek-small-files` by group",
        source="OpenSeek, configs/OpenSeek-Small-v1/train/train_deepseek_v3_3b_1330B.yaml",
        stages=(_openseek_groups(),),
    ),
    "openseek-small-files": Preset(
        formula="the 38 weights of the file, scaled to sum 1",
        source="OpenSeek, configs/OpenSeek-Small-v1/train/train_deepseek_v3_3b_1330B.yaml",
        stages=(OPENSEEK_FILES,),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Chosen:
    """A preset in a mix. shares: of each stage; ends: where it ends in the training order; missing: groups of the
    preset that the mix does not define, so that the shares of the others are scaled up."""

    preset: Preset
    shares: tuple[Mapping[str, float], ...]
    ends: tuple[float, ...]
    missing: tuple[str, ...]


def choose(settings: Any, groups: Sequence[str], where: str) -> Chosen:
    """Look a preset up, and match its groups with those of the mix.

    Args: settings, the name of a preset, or a mapping of `name` and `until`, or of the settings
    of `similarity`; groups, that the mix defines, empty if the
    values of its column are the groups.
    Raises: ConfigError for an unknown preset or group, or if a stage has no end or no group.
    """
    settings = {"name": settings} if isinstance(settings, str) else settings
    if not isinstance(settings, Mapping):
        raise ConfigError(f"{where}: found {brief(settings)}; expected the name of a preset")
    name = settings.get("name")
    if not isinstance(name, str) or name not in PRESETS:
        raise ConfigError(f"{where}: no preset {brief(name)}{nearest(str(name), PRESETS)}")
    preset, until = PRESETS[name], settings.get("until")
    if preset.similarity:
        return Chosen(preset, (similarity_shares(settings, groups, where),), (1.0,), ())
    check_keys(settings, ("name", "until"), where)
    if len(preset.stages) < 2:
        if until is not None:
            raise ConfigError(f"{where}.until: {name} has one stage; leave `until` out")
    elif isinstance(until, bool) or not isinstance(until, (int, float)) or not 0 < until < 1:
        raise ConfigError(
            f"{where}.until: found {brief(until)}; {name} has two stages: give the fraction of the training order, "
            "between 0 and 1, at which the first one ends"
        )
    if not preset.stages:
        return Chosen(preset, (), (), ())
    shares, missing = _of_groups(name, preset, groups, where)
    return Chosen(preset, shares, (float(until), 1.0) if until is not None else (1.0,), missing)


def _of_groups(
    name: str, preset: Preset, groups: Sequence[str], where: str
) -> tuple[tuple[Mapping[str, float], ...], tuple[str, ...]]:
    forms = (preset.stages, *preset.variants)
    known = [sorted({group for stage in stages for group in stage}) for stages in forms]
    fitting = max(range(len(forms)), key=lambda i: (len({*groups} & {*known[i]}), -i))
    for group in groups:
        if group not in known[fitting]:
            raise ConfigError(f"{where}: {name} has no group {group!r}{nearest(group, known[fitting])}")
    shares = tuple(
        {group: share for group, share in stage.items() if not groups or group in groups}
        for stage in forms[fitting]
    )
    for i, stage in enumerate(shares):
        if not stage:
            raise ConfigError(
                f"{where}: stage {i + 1} of {name} has none of the groups of the mix; define one of "
                f"{', '.join(forms[fitting][i])}"
            )
    missing = tuple(group for group in known[fitting] if groups and group not in groups)
    return shares, missing
