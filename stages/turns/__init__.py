"""Coherence of the turns of a dialogue: how many other orders of the same turns fit less well than the order it has.

Reads canonical text. Turns are found (`stages.turns.parse`) in chat templates, JSON messages and lines that begin with
the name of a speaker and a colon; text without them has nulls. Writes the number of turns and of speakers and, from
four turns, the share of orders that the actual order exceeds in fit (`stages.turns.order`): shared words of near turns,
greetings before leave-taking, answers after what asks for them, and what a dialogue begins and ends with.

The comparison is with the dialogue itself, so topic, style and length cancel out: over all orders of the same turns the
score has mean 0.5, at any length. Few turns carry little evidence, and short dialogues therefore stay nearer to
0.5. There is no trained model. Deciding what is too low is up to the run file; no preset has a rule on it.
"""

from __future__ import annotations

import pyarrow as pa

from pipeline.stage import Stage, each
from stages.languages import TURNS_PATH
from stages.turns.order import coherence
from stages.turns.parse import find_turns

SCHEMA = pa.schema(
    {
        "format": pa.string(),
        "n_turns": pa.int32(),
        "n_speakers": pa.int32(),
        "coherence": pa.float32(),
        "no_score": pa.string(),
    }
)
"""format: how turns are marked: `template` (ChatML and other chat templates), `json` (a list of messages) or `lines`
(lines that begin with a speaker); null for text without turns. n_turns: turns, those in a row by one speaker joined; 0
without. n_speakers: different speakers of these turns; 0 if messages name none. coherence: share of the orders of
these turns, its own and ties counted half, that fit less well than the actual order; null where no_score states a
reason. no_score: `no_turns`, `few_turns` (fewer than 4) or `equal_turns` (fewer than 3 different ones); null with a
score."""

MIN_TURNS, MIN_DIFFERENT = 4, 3
"""Four turns have 24 orders; of fewer, too few to compare with."""


def measure(text: str) -> dict[str, object]:
    """Measure one text: a row of SCHEMA."""
    found = find_turns(text)
    if found is None:
        return {"n_turns": 0, "n_speakers": 0, "no_score": "no_turns"}
    row: dict[str, object] = {
        "format": found.format,
        "n_turns": len(found.turns),
        "n_speakers": found.n_speakers,
    }
    if len(found.turns) < MIN_TURNS:
        return row | {"no_score": "few_turns"}
    if len(set(found.turns)) < MIN_DIFFERENT:
        return row | {"no_score": "equal_turns"}
    return row | {"coherence": round(coherence(found.turns), 3)}


STAGE = Stage(name="turns", version=1, reads=("text",), writes=SCHEMA, load=each(measure), data=(TURNS_PATH,))
