"""What the questions about a document will ask that depend on answers which are not there yet, for a plan."""

from __future__ import annotations

from classifiers.cot_llm.config import STEPS
from classifiers.cot_llm.develop import Developer, shown
from classifiers.cot_llm.markers import SEGMENT_CHARS
from classifiers.llm.requests import Request

SUMMARY_SHARE, MAX_SUMMARY = 0.2, 400
"""Length of a summary, as a share of its segment, in characters."""
STEP_CHARS, N_STEPS = {"en": 160, "zh": 60}, 6
FILLER = {"en": "text ", "zh": "文"}


def expected_requests(
    developer: Developer, text: str, language: str, waiting: list[Request]
) -> list[Request]:
    """Requests that follow those which a document waits for, with texts of the expected length.

    waiting: requests of one question, the last for which the cache has no answer.
    """
    instructions = developer.requests.instructions
    values = {name: getattr(developer.config, name) for name in ("max_segments", "min_steps", "max_steps")}
    system = waiting[0].messages[0][1]
    step = next((name for name in STEPS if instructions[name].text(language, values) == system), STEPS[-1])
    text = shown(text, developer.config.max_chars)
    n_segments = min(max(round(len(text) / SEGMENT_CHARS[language]), 1), developer.config.max_segments)
    size = len(text) // n_segments
    parts = [text[i * size : (i + 1) * size] for i in range(n_segments)]
    summary = _text(min(round(size * SUMMARY_SHARE), MAX_SUMMARY), language)
    line = _text(STEP_CHARS[language], language)
    following = {
        "summary": [developer.requests.summary(f"{part}\n{i}", language) for i, part in enumerate(parts)],
        "chain": [developer.requests.chain([f"{summary} {len(text)}"] * n_segments, language)],
        "question": [developer.requests.question([line] * N_STEPS, f"{line} {len(text)}", language)],
    }
    return [request for name in STEPS[STEPS.index(step) + 1 :] for request in following[name]]


def _text(n_chars: int, language: str) -> str:
    filler = FILLER[language]
    return (filler * (n_chars // len(filler) + 1))[:n_chars]
