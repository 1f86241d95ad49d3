"""Train one proxy on the tokens of a corpus, and measure it on texts and tasks that it has not seen.

A run is a function of its tokens, its size, its seed and its settings: the seed decides weights and order. It can be
stopped at any time; what was trained is read back from a checkpoint, and the curve goes on as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from classifiers.neural.device import device_of, dtype_of, torch_module
from classifiers.proxy.model import Size, build_model

WHERE = "classifiers.proxy"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a proxy is trained.

    tokens: seen in training. batch: sequences of a step. learning_rate: reached after warmup, a share of the steps, and
    kept. weight_decay, clip: of AdamW (betas 0.9, 0.95) and of gradients. checkpoint_s: seconds between checkpoints.

    A learning rate of 1e-5 to 1e-6 keeps the ranking of corpora by small models closest to that by large ones (arXiv
    2512.24503).
    """

    tokens: int = 2_000_000
    batch: int = 16
    learning_rate: float = 1e-5
    warmup: float = 0.05
    weight_decay: float = 0.1
    clip: float = 1.0
    checkpoint_s: float = 60.0

    def n_steps(self, context: int) -> int:
        """Number of steps with a context."""
        return max(1, self.tokens // (self.batch * context))


@dataclass
class Scored:
    """One measure, a sum of parts over documents or tasks: sum(parts) / sum(weights).

    Of texts: bits and bytes of UTF-8 of each document, for bits per byte. Of tasks: 1 for a task solved and 1 for each.
    Both float64 (n,).
    """

    parts: np.ndarray
    weights: np.ndarray

    @property
    def value(self) -> float:
        """The measure."""
        return float(self.parts.sum() / max(float(self.weights.sum()), 1e-9))


@dataclass
class Outcome:
    """What a run gave. curve: (tokens, mean nats a token since the point before); scored: by name of the set."""

    curve: list[tuple[int, float]]
    scored: dict[str, Scored]
    tokens_per_s: float
    n_parameters: int
    device: str = field(default="cpu")


@dataclass(frozen=True)
class Choice:
    """A task as tokens. prompt: ids; choices: ids of each answer, the right one first."""

    prompt: Sequence[int]
    choices: Sequence[Sequence[int]]


class Trainer:
    """Trains one proxy. tokens: unsigned integers (n_tokens,), of whole documents, each with its end."""

    def __init__(
        self, tokens: np.ndarray, n_vocabulary: int, size: Size, settings: Settings, seed: int, end: int = 0
    ) -> None:
        torch = torch_module(WHERE)
        self.tokens, self.size, self.settings, self.seed, self.end = tokens, size, settings, seed, end
        self.device = device_of(WHERE)
        self.model = build_model(size, n_vocabulary, seed).to(self.device)
        self.step_of = torch.compile(self.model) if self.device == "cuda" else self.model
        matrices = [p for p in self.model.parameters() if p.dim() == 2]
        others = [p for p in self.model.parameters() if p.dim() != 2]
        groups = [
            {"params": matrices, "weight_decay": settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.95))
        self.n_parameters = sum(p.numel() for p in self.model.parameters())
        self.n_steps = settings.n_steps(size.context)
        self.step, self.curve, self.losses = 0, list[tuple[int, float]](), list[float]()
        self.every = max(1, self.n_steps // 100)

    def batches(self, start: int) -> Iterator[Any]:  # Any: int64 tensors (batch, context + 1)
        """Batches from a step on: sequences in an order of the seed, all of them before any is repeated."""
        torch = torch_module(WHERE)
        n = (len(self.tokens) - 1) // self.size.context
        taken, epoch, order = start * self.settings.batch, -1, np.zeros(0, np.int64)
        while True:
            rows = []
            for i in range(taken, taken + self.settings.batch):
                if i // n != epoch:
                    epoch = i // n
                    order = np.random.default_rng([self.seed, epoch]).permutation(n)
                first = int(order[i % n]) * self.size.context
                rows.append(np.asarray(self.tokens[first : first + self.size.context + 1], np.int64))
            taken += self.settings.batch
            yield torch.from_numpy(np.stack(rows)).to(self.device)

    def train(
        self, path: str | None = None, report: Callable[[int], None] = lambda n: None, stop: int | None = None
    ) -> float:
        """Train up to the last step or `stop`, from the checkpoint at `path` where there is one.

        Args: report, called with the number of tokens of each step.
        Returns: tokens a second of this call.
        """
        torch = torch_module(WHERE)
        if path and os.path.exists(path):
            self.load(path)
        last, began = min(self.n_steps, stop or self.n_steps), time.perf_counter()
        saved, first = began, self.step
        warm = max(1, int(self.settings.warmup * self.n_steps))
        for batch in self.batches(self.step):
            if self.step >= last:
                break
            for group in self.optimiser.param_groups:
                group["lr"] = self.settings.learning_rate * min(1.0, (self.step + 1) / warm)
            with self._numbers():
                loss = self._loss(self.step_of(batch[:, :-1]), batch[:, 1:]).mean()
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
            self.optimiser.step()
            self.step += 1
            self.losses.append(float(loss.detach()))
            if self.step % self.every == 0 or self.step == self.n_steps:
                self.curve.append(
                    (self.step * self.settings.batch * self.size.context, float(np.mean(self.losses)))
                )
                self.losses = []
            report(self.settings.batch * self.size.context)
            if path and time.perf_counter() - saved > self.settings.checkpoint_s:
                self.save(path)
                saved = time.perf_counter()
        seconds = max(time.perf_counter() - began, 1e-9)
        return (self.step - first) * self.settings.batch * self.size.context / seconds

    def _loss(self, logits: Any, targets: Any) -> Any:  # Any: tensors
        """Nats of each token, (batch, length)."""
        functional = torch_module(WHERE).nn.functional
        return functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none")

    def _numbers(self) -> Any:  # Any: a context manager
        torch = torch_module(WHERE)
        dtype = dtype_of("auto", self.device, WHERE)
        if dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype)

    def save(self, path: str) -> None:
        """Write a checkpoint; the one before stays until this one is whole."""
        torch = torch_module(WHERE)
        state = {
            "model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "step": self.step,
            "curve": self.curve, "losses": self.losses,
        }  # fmt: skip
        torch.save(state, f"{path}.new")
        os.replace(f"{path}.new", path)

    def load(self, path: str) -> None:
        """Go on from a checkpoint."""
        state = torch_module(WHERE).load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.losses = state["step"], list(state["losses"])
        self.curve = [(int(n), float(loss)) for n, loss in state["curve"]]

    def nats(self, sequences: Iterable[tuple[int, Sequence[int], int]], n_rows: int) -> np.ndarray:
        """Sum the nats of tokens by row.

        Args: sequences, (row, ids, first): of ids, of any length, those from position `first` on are counted, each
        predicted from those before it; a longer sequence than the context is read in windows that share one token.
        Returns: float64 (n_rows,).
        """
        windows = []
        for row, ids, first in sequences:
            for start in range(0, max(len(ids) - 1, 1), self.size.context):
                part = ids[start : start + self.size.context + 1]
                if len(part) > 1 and start + len(part) > first:
                    windows.append((row, part, max(first - start, 1)))
        windows.sort(key=lambda window: len(window[1]))
        sums = np.zeros(n_rows)
        torch = torch_module(WHERE)
        with torch.no_grad():
            for i in range(0, len(windows), self.settings.batch):
                batch = windows[i : i + self.settings.batch]
                length = max(len(part) for _, part, _ in batch)
                ids = torch.full((len(batch), length), self.end, dtype=torch.int64)
                for j, (_, part, _) in enumerate(batch):
                    ids[j, : len(part)] = torch.tensor(np.asarray(part, np.int64))
                ids = ids.to(self.device)
                with self._numbers():
                    losses = self._loss(self.model(ids[:, :-1]), ids[:, 1:]).double().cpu().numpy()
                for j, (row, part, first) in enumerate(batch):
                    sums[row] += losses[j, first - 1 : len(part) - 1].sum()
        return sums

    def score_texts(self, documents: Sequence[Sequence[int]], n_bytes: Sequence[int]) -> Scored:
        """Measure documents, ids without an end: each is read after the end of another."""
        sequences = ((i, [self.end, *ids], 1) for i, ids in enumerate(documents))
        return Scored(self.nats(sequences, len(documents)) / math.log(2), np.asarray(n_bytes, np.float64))

    def score_choices(self, tasks: Sequence[Choice]) -> Scored:
        """Measure tasks: the answer with the least nats is the model's."""
        width = max(len(task.choices) for task in tasks)
        sequences = [
            (i * width + j, [self.end, *task.prompt, *answer], 1 + len(task.prompt))
            for i, task in enumerate(tasks)
            for j, answer in enumerate(task.choices)
        ]
        nats = self.nats(sequences, len(tasks) * width).reshape(-1, width)
        for i, task in enumerate(tasks):
            nats[i, len(task.choices) :] = np.inf
        return Scored((nats.argmin(axis=1) == 0).astype(np.float64), np.ones(len(tasks)))

    def outcome(
        self,
        texts: dict[str, tuple[Sequence[Sequence[int]], Sequence[int]]],
        tasks: dict[str, Sequence[Choice]],
        speed: float,
    ) -> Outcome:
        """Measure the trained model on sets of texts and of tasks."""
        scored = {name: self.score_texts(*documents) for name, documents in texts.items()}
        scored |= {name: self.score_choices(items) for name, items in tasks.items()}
        return Outcome(self.curve, scored, speed, self.n_parameters, self.device)
