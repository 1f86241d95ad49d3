"""The output of every step on the golden documents, for processes that must agree on it."""

from __future__ import annotations

import hashlib

from pipeline.checking.check_global import corpus_of, outcome_values
from tests.helpers.golden import DOCUMENTS
from tests.helpers.steps import globals_, loaded, stages, values


def all_output_digest() -> str:
    """One digest of what every step says about the golden documents."""
    corpus = corpus_of(DOCUMENTS)
    hasher = hashlib.sha256()
    for stage in stages().values():
        for table in corpus.inputs(stage):
            hasher.update(values(loaded(stage.name)(table)).encode("utf-8", "surrogatepass"))
    for step in globals_().values():
        hasher.update(outcome_values(step, corpus.outcome(step, 4)).encode("utf-8", "surrogatepass"))
    return hasher.hexdigest()
