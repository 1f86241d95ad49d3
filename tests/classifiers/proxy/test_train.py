"""Proxies: they learn, a run that is stopped goes on as if it had not been, losses are those of a plain computation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from classifiers.proxy.model import Size, build_model
from classifiers.proxy.train import Choice, Settings, Trainer
from pipeline.errors import ConfigError
from tests.helpers.torch_models import torch_or_skip

torch = torch_or_skip()
SIZE = Size(width=32, layers=2, heads=2, context=16)
SETTINGS = Settings(tokens=16 * 4 * 40, batch=4, learning_rate=3e-3, checkpoint_s=1e9)
TOKENS = np.tile(np.array([5, 6, 7, 8, 9, 0], np.uint16), 400)  # one sentence, with its end


def trainer(seed: int = 1) -> Trainer:
    """A trainer of a small proxy."""
    return Trainer(TOKENS, 12, SIZE, SETTINGS, seed)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    """The curve and every weight are those of a run that was not stopped; another seed has another curve."""
    whole, first = trainer(), trainer()
    whole.train()
    first.train(stop=17)
    first.save(str(tmp_path / "run.pt"))
    second = trainer()
    second.train(str(tmp_path / "run.pt"))
    assert second.curve == whole.curve and second.step == whole.n_steps == 40
    for a, b in zip(whole.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    other = trainer(2)
    other.train()
    assert other.curve != whole.curve


def test_it_learns_what_it_reads() -> None:
    """The sentence of the corpus costs few bits, and its right ending fewer than wrong ones."""
    model = trainer()
    model.train()
    assert model.curve[-1][1] < model.curve[0][1] / 2
    right, wrong = model.score_texts([[5, 6, 7, 8, 9]], [5]), model.score_texts([[9, 8, 7, 6, 5]], [5])
    assert right.value < wrong.value / 2
    assert model.score_choices([Choice([5, 6, 7], [[8, 9], [9, 8], [6, 6], [5, 5]])]).value == 1.0


def test_losses_of_windows_are_those_of_the_model() -> None:
    """A text longer than the context is read in windows that share one token; padding changes nothing."""
    model = trainer()
    documents = [list(np.random.default_rng(i).integers(1, 12, n)) for i, n in enumerate((3, 16, 17, 40))]
    found = model.score_texts(documents, [1] * 4).parts * np.log(2)
    for ids, nats in zip(documents, found, strict=True):
        expected, whole = 0.0, [0, *ids]
        for start in range(0, len(whole) - 1, SIZE.context):
            part = torch.tensor([whole[start : start + SIZE.context + 1]])
            logits = model.model(part[:, :-1])
            expected += torch.nn.functional.cross_entropy(logits[0], part[0, 1:], reduction="sum").item()
        assert nats == pytest.approx(expected, rel=1e-5)


def test_later_tokens_do_not_change_earlier_predictions() -> None:
    """The model is causal, and sees the order of what came before."""
    model = build_model(SIZE, 12, 1)
    a, b = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 3, 9]])
    assert torch.allclose(model(a)[:, :3], model(b)[:, :3])
    assert not torch.allclose(
        model(torch.tensor([[1, 2, 3]]))[:, -1], model(torch.tensor([[2, 1, 3]]))[:, -1]
    )
    assert sum(p.numel() for p in model.parameters()) == SIZE.n_parameters(12)


def test_shapes_that_cannot_be() -> None:
    """A width that the heads do not divide is refused."""
    with pytest.raises(ConfigError, match="no multiple"):
        Size(width=50, heads=4)
