"""Warnings about a planned mix: many epochs, an exhausted group, a second language out of proportion."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.mix.config import Warn
from pipeline.mix.plan import MixPlan
from pipeline.translation import message

Languages = Mapping[str, tuple[int, int]]
"""Available and taken units of each language."""


def warnings_of(plan: MixPlan, languages: Languages, warn: Warn) -> list[str]:
    """Return a line for each reason to doubt a mix.

    - More epochs of a group than `warn.epochs`: up to 4, repeated tokens are worth almost as much as new ones, and
      after about 16 next to nothing (Muennighoff et al. 2023, arXiv:2305.16264).
    - A group of which all is used up to reach a requested total, so that a larger total or share cannot be met.
    - A language other than the one with the most available units whose share of the mix is `warn.growth` times its
      share of the available units: added data of a second language helps in moderation, and then takes capacity from
      the others (Chang et al. 2023, arXiv:2311.09205).
    - Groups of a preset that the mix does not define, or that have no documents.
    """
    mix, lines = plan.mix, []
    for group in plan.groups:
        if group.epochs > warn.epochs:
            lines.append(
                message(
                    f"mix {mix.name}: group {group.name!r} is repeated {group.epochs:.1f} times; above "
                    f"{warn.epochs:g} epochs repeated text is worth less and less"
                )
            )
        elif group.is_exhausted and mix.total is not None and len(plan.groups) > 1:
            lines.append(
                message(
                    f"mix {mix.name}: group {group.name!r} is exhausted: {group.asked:,} {mix.unit} of "
                    f"{group.available:,} in {group.epochs:.2f} epochs, which is the most that it has"
                )
            )
    lines += _grown(plan, languages, warn)
    if mix.missing:
        lines.append(
            message(
                f"mix {mix.name}: preset {mix.preset} also has the groups {', '.join(mix.missing)}; without them the "
                "shares of the others are scaled up"
            )
        )
    named = {name for phase in mix.phases for name in phase.share} if mix.preset else set()
    if empty := sorted(named - {*plan.group_keys}):
        lines.append(
            message(
                f"mix {mix.name}: the groups {', '.join(empty)} have no {mix.unit}; without them the shares of the "
                f"other groups of preset {mix.preset} are scaled up"
            )
        )
    return lines


def _grown(plan: MixPlan, languages: Languages, warn: Warn) -> list[str]:
    """Lines about languages whose share grew by more than the limit."""
    available, taken = (max(sum(counts[i] for counts in languages.values()), 1) for i in (0, 1))
    first = max(languages, key=lambda name: (languages[name][0], name), default=None)
    lines = []
    for name, (n_available, n_taken) in sorted(languages.items()):
        before, share = n_available / available, n_taken / taken
        if name != first and before and share > warn.growth * before:
            lines.append(
                message(
                    f"mix {plan.mix.name}: {name} grows from {before:.1%} of the kept {plan.mix.unit} to {share:.1%} "
                    f"of the mix; more than {warn.growth:g} times its share may cost the other languages more than it "
                    "brings"
                )
            )
    return lines
