"""Training of a layer on an encoder, with the encoder frozen or fine-tuned; evaluation on sources left out.

A layer on a frozen encoder is logistic regression: for some thousand labels it needs no GPU, and nothing that the
encoder knew is lost. Fine-tuning pays with more labels (docs/models.md).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from classifiers.training.data import Labelled, left_out, training_rows
from classifiers.training.finetune import Settings, Tuner
from classifiers.training.head import Trained
from classifiers.training.layer import Layer, choose_penalty, fit
from classifiers.training.network import Encoder, Form, form_of, save_encoder
from classifiers.training.page import evaluation_page, summary_of
from pipeline.errors import UsageError

Watch = Callable[[int], AbstractContextManager[Callable[[], object]]]
"""Given the number of steps of all trainings, a context in which its function is called after each."""


@contextmanager
def unwatched(n_steps: int) -> Iterator[Callable[[], object]]:
    """Show nothing."""
    del n_steps
    yield lambda: None


@dataclass(frozen=True)
class Task:
    """What all trainings of one command share. vectors: of the frozen encoder, float64 (n, size); sequences: token ids;
    settings: of fine-tuning, None for a frozen encoder; seed: of all that is drawn."""

    data: Labelled
    base: str
    form: Form
    vectors: np.ndarray
    sequences: list[np.ndarray]
    settings: Settings | None
    seed: int

    def train(
        self, rows: np.ndarray, penalty: float, step: Callable[[], object]
    ) -> tuple[Layer, Encoder | None]:
        """A layer, and the encoder if it was fine-tuned, from some of the documents. rows: bool (n,)."""
        layer = fit(self.vectors[rows], self.data.targets[rows], penalty)
        if self.settings is None:
            return layer, None
        encoder = Encoder(self.base, self.form, "float32")
        tuner = Tuner(encoder.network, encoder.vectors, encoder.device, encoder.pad_id, self.settings)
        chosen = [self.sequences[i] for i in np.flatnonzero(rows)]
        return tuner.fit(chosen, self.data.targets[rows], layer, self.seed, step), encoder

    def odds(self, rows: np.ndarray, layer: Layer, encoder: Encoder | None) -> np.ndarray:
        """Log-odds of some of the documents, float64. rows: bool (n,)."""
        if encoder is None:
            return layer.odds(self.vectors[rows])
        return layer.odds(encoder.encode([self.sequences[i] for i in np.flatnonzero(rows)]))

    def n_steps(self) -> int:
        """Steps of fine-tuning, of the models for the folds and the last one."""
        if self.settings is None:
            return 0
        sizes = [int(training_rows(self.data, fold).sum()) for fold in np.unique(self.data.folds)]
        return sum(self.settings.n_steps(n) for n in [*sizes, len(self.sequences)])

    def about(self) -> str:
        """How documents become vectors."""
        state = "frozen" if self.settings is None else "fine-tuned"
        return f"the {state} encoder {Path(self.base).name}, {self.form.pooling} of its tokens"


def train_encoder(
    data: Labelled, base: str, out: str, prefix: str = "", length: int | None = None, settings: Settings | None = None,
    seed: int = 1, watch: Watch = unwatched,
) -> Trained:  # fmt: skip
    """Train a layer, evaluate it on sources left out, and write the model, a card and an evaluation page.

    Args: data, whose table has the column text; base, the encoder, a folder or org/name@revision; out, a new folder;
    prefix, text that the encoder expects before each document; length, tokens that are read, by default all that the
    encoder allows up to 512; settings, of fine-tuning, None to leave the encoder as it is; seed, watch, of fine-tuning.
    Raises: ConfigError if the encoder cannot be loaded, UsageError if `out` exists.
    """
    if Path(out).exists():
        raise UsageError(f"--out {out}: exists; name a new folder")
    form = form_of(base, prefix, length)
    task = _task(data, base, form, settings, seed)
    odds, chosen = np.empty(len(task.sequences)), []
    with watch(task.n_steps()) as step:
        for fold in np.unique(data.folds):
            own, others = data.folds == fold, training_rows(data, fold)
            chosen.append(choose_penalty(task.vectors, data, others))
            odds[own] = task.odds(own, *task.train(others, chosen[-1], step))
        penalty = float(np.median(chosen))
        layer, tuned = task.train(np.ones(len(odds), bool), penalty, step)
    save_encoder(base, out, form, layer, tuned)
    return _write_pages(task, out, penalty, 1 / (1 + np.exp(-odds)))


def _task(data: Labelled, base: str, form: Form, settings: Settings | None, seed: int) -> Task:
    """The task, with all documents encoded by the frozen encoder, which is not kept."""
    encoder = Encoder(base, form)
    sequences = encoder.tokenise(data.table["text"].to_pylist())
    return Task(data, base, form, encoder.encode(sequences), sequences, settings, seed)


def _write_pages(task: Task, out: str, penalty: float, scores: np.ndarray) -> Trained:
    """Write the card, the evaluation page and the scores of left-out sources, float64 (n,)."""
    name, steps = Path(out).name, f"; {_described(task.settings)}" if task.settings else ""
    about = [
        f"A layer on {task.about()}, the first {task.form.length} of a document; L2 penalty {penalty:g} for the model, "
        f"chosen again without each fold for these figures{steps}.",
    ]
    page = evaluation_page(name, task.data, scores, scores, about)
    Path(f"{out}.evaluation.md").write_text(page, encoding="utf-8")
    Path(out, "README.md").write_text(card(name, task, penalty), encoding="utf-8")
    pq.write_table(left_out(task.data, f"transformer.{name}", scores), f"{out}.left_out.parquet")
    return Trained((out, f"{out}.evaluation.md", f"{out}.left_out.parquet"), summary_of(page))


def _described(settings: Settings) -> str:
    return (
        f"AdamW, {settings.epochs} epochs in steps of {settings.batch} documents, learning rate "
        f"{settings.learning_rate:g}, warm-up {settings.warmup:g}, weight decay {settings.weight_decay:g}"
    )


def card(name: str, task: Task, penalty: float) -> str:
    """The card of a model: what it is, what it learnt from, how it is used."""
    data, form = task.data, task.form
    prefix = f", prefix: {{{name}: {json.dumps(form.prefix)}}}" if form.prefix else ""
    languages, counts = np.unique(data.languages, return_counts=True)
    tuning = f"; {_described(task.settings)}, seed {task.seed}" if task.settings else ""
    lines = [
        f"# {name}: card", "", "| | |", "|---|---|",
        f"| What | a layer on {task.about()}; L2 penalty {penalty:g}{tuning} |",
        f"| Encoder | {task.base} |",
        f"| Score | in [0, 1]; 0 stands for the label {data.low:g}, 1 for {data.high:g} |",
        f"| Learnt from | {len(data.targets):,} labelled documents of {len(set(data.sources)):,} sources: "
        f"{', '.join(f'{lang} {n:,}' for lang, n in zip(languages, counts, strict=True))} |",
        f"| Figures | {name}.evaluation.md, on sources left out |",
        f"| Use | `{{use: classifiers.transformer, config: {{models: {{{name}: {name}}}{prefix}}}}}` |",
        "| Licence | that of the encoder, and of the labels |",
        "| Not for | languages and kinds of page that are not in the evaluation; a label is what its labeller saw |",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"
