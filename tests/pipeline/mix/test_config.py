"""The `mix` key of a run file: accepted values, and the messages of refused ones."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import ConfigError
from pipeline.mix.config import Mix, MixPhase, MixSection, parse_mix
from pipeline.recipe import canonical_json


def test_a_whole_section_is_read() -> None:
    """Every key of the grammar arrives in the frozen section, beside the natural mix."""
    settings = {
        "default": "zh50",
        "max_discard": 0.8,
        "mixes": {
            "zh50": {
                "by": "language.label",
                "groups": {"zh": ["zho_Hant", "zho_Hans"], "en": ["eng_Latn"]},
                "schedule": [
                    {"until": 0.8, "share": {"zh": 1, "en": 9}},
                    {"until": 1.0, "share": {"zh": 0.5, "en": 0.5}},
                ],
                "tokens": "2M",
                "max_epochs": 4,
                "seed": 7,
                "materialise": False,
            }
        },
    }
    zh50 = Mix(
        name="zh50",
        by=("language.label",),
        groups={"zh": ("zho_Hans", "zho_Hant"), "en": ("eng_Latn",)},
        phases=(
            MixPhase(until=0.8, share={"zh": 1.0, "en": 9.0}),
            MixPhase(until=1.0, share={"zh": 0.5, "en": 0.5}),
        ),
        total=2_000_000,
        max_epochs=4.0,
        seed=7,
        materialise=False,
    )
    mixes = {"zh50": zh50, "natural": Mix(name="natural", materialise=False)}
    section = parse_mix(settings, "mix")
    assert section == MixSection(default="zh50", max_discard=0.8, mixes=mixes)
    assert canonical_json(section)


WRITTEN = [("max", None), ("200M", 2 * 10**8), ("1.5B", 15 * 10**8), (1_000, 1_000), ("2_000", 2_000)]


@pytest.mark.parametrize(("written", "tokens"), WRITTEN)
def test_token_counts_can_be_written_short(written: Any, tokens: int | None) -> None:
    """Totals are whole numbers, with a decimal unit if one likes."""
    assert parse_mix({"mixes": {"m": {"by": "c", "tokens": written}}}, "mix").mixes["m"].total == tokens


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixs": {}}, "mix: unknown key 'mixs'; did you mean 'mixes'"),
        ({"default": "zh5", "mixes": {"zh50": {}}}, "mix.default: no mix 'zh5'; did you mean 'zh50'"),
        ({"max_discard": 2}, "mix.max_discard: found 2; expected a number from 0 to 1"),
        ({"mixes": {"natural": {"by": "source"}}}, "mix.mixes.natural: unknown key 'by'"),
        ({"mixes": {"m": {"share": {"a": 1}}}}, "share needs `by`"),
        ({"mixes": {"m": {"groups": {"a": ["b"]}}}}, "groups needs `by`"),
        ({"mixes": {"m": {"by": [1]}}}, "name a column, or a list of columns"),
        ({"mixes": {"m": {"by": "c", "share": {"a": 1}, "alpha": 1}}}, "found share and alpha; keep one"),
        ({"mixes": {"m": {"by": "c", "share": {"a": 0}}}}, "no share is above 0"),
        ({"mixes": {"m": {"by": "c", "share": {"a": -1}}}}, "share.a: found -1"),
        ({"mixes": {"m": {"by": "c", "share": 3}}}, "share: found 3; expected names"),
        ({"mixes": {"m": {"by": "c", "alpha": True}}}, "alpha: found True"),
        ({"mixes": {"m": {"by": "c", "tokens": "many"}}}, "tokens: found 'many'; expected max"),
        ({"mixes": {"m": {"by": "c", "tokens": "1.0001K"}}}, "whole number above 0"),
        ({"mixes": {"m": {"by": "c", "tokens": 0}}}, "whole number above 0"),
        ({"mixes": {"m": {"by": "c", "max_epochs": 0.5}}}, "max_epochs: found 0.5; expected a number from 1"),
        ({"mixes": {"m": {"by": "c", "seed": 1.5}}}, "seed: found 1.5"),
        ({"mixes": {"m": {"by": "c", "materialise": "no"}}}, "materialise: found 'no'"),
        ({"mixes": {"m": {"by": "c", "groups": {"a": "b"}}}}, "groups.a: found 'b'; expected a list"),
        ({"mixes": {"m": {"by": "c", "groups": {"a": ["x"], "b": ["x"]}}}}, "'x' is in 'a' and 'b'"),
        ({"mixes": {"m": {"by": "c", "groups": {"a": ["x"]}, "share": {"b": 1}}}}, "group 'a' has no share"),
        ({"mixes": {"m": {"by": "c", "groups": {"a": ["x"]}, "share": {"a": 1, "x": 1}}}}, "'x' is in a gr"),
        ({"mixes": {"m": {"by": "c", "schedule": []}}}, "schedule: expected 1 to 256"),
        ({"mixes": {"m": {"by": "c", "schedule": [{"until": 0.5, "share": {"a": 1}}]}}}, "ends at 0.5; expected 1.0"),
        (
            {"mixes": {"m": {"by": "c", "schedule": [{"until": 1, "share": {"a": 1}}] * 2}}},
            r"schedule\[1\].until: found 1.0; expected more",
        ),
    ],
)  # fmt: skip
def test_a_bad_mix_section_names_the_place(settings: dict[str, Any], message: str) -> None:
    """Every mistake is refused with the place, the value found and the value expected."""
    with pytest.raises(ConfigError, match=message):
        parse_mix(settings, "mix")
