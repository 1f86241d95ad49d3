"""Fine-tuning: an encoder and the layer on top of it learn together, by AdamW with warm-up and linear decay.

It starts from the layer that was fitted on the frozen encoder. A random one would first pull the encoder in random
directions, and what it knew of texts unlike the labelled ones would be lost (Kumar et al. 2022, arXiv 2202.10054).
Weights are float32; on a GPU that has bfloat16, matrices are multiplied in it.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any  # values of the command line

import numpy as np

from classifiers.neural.batching import pad
from classifiers.neural.device import Torch, dtype_of, free_memory, is_out_of_memory, torch_module
from classifiers.training.layer import Layer
from pipeline.errors import UsageError
from pipeline.names import nearest

WHERE = "train encoder"


@dataclass(frozen=True)
class Settings:
    """How an encoder is fine-tuned.

    epochs: passes over the documents. learning_rate: the highest. batch: documents of a step. warmup: share of the
    steps in which the rate rises from 0; it falls to 0 in the others. weight_decay: of AdamW, for matrices alone. clip:
    longest gradient of a step.
    """

    epochs: int = 3
    learning_rate: float = 2e-5
    batch: int = 16
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0

    @classmethod
    def of(cls, given: dict[str, Any]) -> Settings:
        """The defaults with some of them replaced, by name.

        Raises: UsageError for an unknown name or a number out of range.
        """
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise UsageError(
                    f"--settings {name}: unknown{nearest(name, names)}; expected {', '.join(names)}"
                )
        chosen = replace(cls(), **given)
        if not chosen.is_valid():
            raise UsageError(
                "--settings: epochs and batch are whole numbers from 1, learning_rate and clip above 0, warmup below 1"
            )
        return chosen

    def is_valid(self) -> bool:
        """Whether all numbers are in their ranges."""
        values = [getattr(self, field.name) for field in fields(self)]
        if not all(isinstance(value, (int, float)) and math.isfinite(value) for value in values):
            return False
        whole = all(isinstance(n, int) and n >= 1 for n in (self.epochs, self.batch))
        positive = min(self.learning_rate, self.clip) > 0 and min(self.warmup, self.weight_decay) >= 0
        return whole and positive and self.warmup < 1

    def n_steps(self, n_documents: int) -> int:
        """Steps of a training."""
        return self.epochs * -(-n_documents // self.batch)

    def rate(self, step: int, n_steps: int) -> float:
        """Factor of the learning rate at a step: it rises to 1 and falls towards 0."""
        rising = max(round(self.warmup * n_steps), 1)
        return min((step + 1) / rising, (n_steps - step) / max(n_steps - rising, 1), 1.0)


class Tuner:
    """Fine-tunes one network. n_documents: of one pass through it, halved when memory runs out."""

    def __init__(
        self,
        network: Torch,
        vectors: Callable[[Torch, Torch], Torch],
        device: str,
        pad_id: int,
        settings: Settings,
    ) -> None:
        """vectors: token ids and mask, int64 (n, length) -> float32 (n, size), by the network."""
        self.network, self.vectors, self.device, self.pad_id = network, vectors, device, pad_id
        self.settings, self.n_documents = settings, settings.batch

    def fit(
        self,
        sequences: Sequence[np.ndarray],
        targets: np.ndarray,
        layer: Layer,
        seed: int,
        step: Callable[[], object],
    ) -> Layer:
        """Minimise cross-entropy over network and layer; returns the layer. The network is changed.

        Args: sequences, int arrays of token ids; targets, float64 (n,) in [0, 1]; layer, to start from; seed, of order
        and dropout; step, called after each.
        """
        torch = torch_module(WHERE)
        dense = torch.nn.Linear(len(layer.weight), 1).to(self.device)
        with torch.no_grad():
            dense.weight.copy_(torch.from_numpy(layer.weight.astype(np.float32))[None])
            dense.bias.fill_(layer.bias)
        optimizer = self._optimizer(dense)
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        n_steps = self.settings.n_steps(len(sequences))
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: self.settings.rate(i, n_steps))
        random = np.random.Generator(np.random.PCG64(seed))
        self.network.train()
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            for _ in range(self.settings.epochs):
                order = random.permutation(len(sequences))
                for start in range(0, len(order), self.settings.batch):
                    self._step([sequences[i] for i in order[start : start + self.settings.batch]],
                               targets[order[start : start + self.settings.batch]], dense, optimizer)  # fmt: skip
                    torch.nn.utils.clip_grad_norm_(parameters, self.settings.clip)
                    optimizer.step()
                    schedule.step()
                    step()
        self.network.eval()
        return Layer(dense.weight.detach()[0].cpu().numpy().astype(np.float64), float(dense.bias.detach()))

    def _optimizer(self, dense: Torch) -> Torch:
        """AdamW; biases and norms do not decay."""
        torch = torch_module(WHERE)
        trained = [p for module in (self.network, dense) for p in module.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": self.settings.weight_decay},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=self.settings.learning_rate)

    def _step(self, batch: list[np.ndarray], targets: np.ndarray, dense: Torch, optimizer: Torch) -> None:
        """Gradients of a batch, in as many parts as memory needs."""
        while True:
            optimizer.zero_grad(set_to_none=True)
            try:
                for start in range(0, len(batch), self.n_documents):
                    part = slice(start, start + self.n_documents)
                    self._add_gradients(batch[part], targets[part], dense, len(batch))
                return
            except Exception as error:
                if self.n_documents == 1 or not is_out_of_memory(error):
                    raise
            self.n_documents = max(min(self.n_documents, len(batch)) // 2, 1)
            free_memory()

    def _add_gradients(
        self, batch: list[np.ndarray], targets: np.ndarray, dense: Torch, n_batch: int
    ) -> None:
        torch = torch_module(WHERE)
        ids, mask = pad(batch, self.pad_id, self.device)
        with self._precision():
            vectors = self.vectors(ids, mask)
        odds = dense(vectors.float())[:, 0]
        wanted = torch.from_numpy(targets.astype(np.float32)).to(self.device)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(odds, wanted, reduction="sum") / n_batch
        loss.backward()

    def _precision(self) -> contextlib.AbstractContextManager[None]:
        torch = torch_module(WHERE)
        dtype = dtype_of("auto", self.device, WHERE)
        if dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(self.device, dtype)
