"""Train a small GPT on the tokens of a release for some steps, and continue from its last checkpoint.

Example: python train.py store/releases/v1 --mix zh50 --steps 20
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy, linear, scaled_dot_product_attention
from torch.utils.data import DataLoader

import bicorpus
from pipeline.feed.reader import consumed

SIZES = {"small": (4, 4, 128), "124m": (12, 12, 768)}
"""Layers, heads and width; 124m is GPT-2's smallest with its vocabulary of 50,257."""


class Block(nn.Module):
    """Attention and a feed-forward layer, each after a layer norm and added to its input."""

    def __init__(self, n_heads: int, width: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """x: (batch, length, width); mask: which positions may be attended to, (batch, 1, length, length)."""
        q, k, v = (
            part.unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for part in self.qkv(self.norms[0](x)).chunk(3, 2)
        )
        x = x + self.out(scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))
        return x + self.mlp(self.norms[1](x))


class GPT(nn.Module):
    """A GPT-2: learned positions, tied embeddings."""

    def __init__(self, n_tokens: int, length: int, n_layers: int, n_heads: int, width: int) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(n_tokens, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList([Block(n_heads, width) for _ in range(n_layers)])
        self.norm = nn.LayerNorm(width)
        for weight in (self.tokens.weight, self.positions.weight):
            nn.init.normal_(weight, std=0.02)

    def loss(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Cross entropy of the labels; a token attends to those before it in its own document."""
        x = self.tokens(batch["input_ids"]) + self.positions(
            batch["position_ids"] % self.positions.num_embeddings
        )
        same = batch["documents"][:, None, :, None] == batch["documents"][:, None, None, :]
        mask = same & torch.ones(same.shape[-2:], dtype=torch.bool, device=same.device).tril()
        for block in self.blocks:
            x = block(x, mask)
        logits = linear(self.norm(x), self.tokens.weight)
        return cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())


def train(
    release: str, mix: str, size: str, length: int, batch_size: int, n_steps: int, folder: Path
) -> None:
    """Train for n_steps steps in all; each step is a line, and the last one a checkpoint."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    page = json.loads(Path(release, f"tokens/{mix}/tokens.json").read_text("utf-8"))
    n_tokens = max(page["largest_id"] + 1, 50_257 if size == "124m" else 0)
    model = GPT(n_tokens, length, *SIZES[size]).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3 if size == "small" else 3e-4)
    checkpoint, first = folder / "checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    feed = bicorpus.Feed(
        release, mix, sequence_length=length, document_masks=True, batch_size=batch_size, drop_last=True,
        rank=0, world_size=1, start=consumed(first, batch_size, world_size=1),
    )  # fmt: skip
    n_parameters = sum(p.numel() for p in model.parameters())
    print(f"{n_parameters / 1e6:.1f} M parameters; from step {first}, sample {feed.reader.share.start}")
    waited, losses = 0.0, []
    batches = iter(DataLoader(feed, batch_size, pin_memory=device == "cuda"))
    started = time.perf_counter()
    for step in range(first, n_steps):
        asked = time.perf_counter()
        batch = {name: values.to(device, non_blocking=True) for name, values in next(batches).items()}
        waited += time.perf_counter() - asked
        optimizer.zero_grad()
        loss = model.loss(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        print(
            f"step {step}: loss {losses[-1]:.3f}, samples {batch['position'][0]} to {batch['position'][-1]}"
        )
    seconds = time.perf_counter() - started
    n = len(losses) * batch_size * length
    print(
        f"{n / max(seconds, 1e-9):,.0f} tokens/s; {waited / max(seconds, 1e-9):.1%} of the time waiting for the feed"
    )
    folder.mkdir(exist_ok=True)
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": n_steps}
    torch.save(state, checkpoint)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release")
    parser.add_argument("--mix", default="zh50")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--sequence-length", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument(
        "--steps", type=int, default=20, help="steps in all, those of the checkpoint included"
    )
    parser.add_argument("--checkpoints", type=Path, default=Path("checkpoints"))
    o = parser.parse_args()
    train(o.release, o.mix, o.size, o.sequence_length, o.batch_size, o.steps, o.checkpoints)
