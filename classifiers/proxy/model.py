"""A decoder-only transformer of the usual form: pre-norm, rotary positions, SwiGLU, tied embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from classifiers.neural.device import torch_module
from pipeline.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Size:
    """Shape of a model. width: of its states; context: tokens that it sees at once."""

    width: int = 128
    layers: int = 4
    heads: int = 4
    context: int = 256

    def __post_init__(self) -> None:
        for name, least in (("width", 8), ("layers", 1), ("heads", 1), ("context", 8)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected {least} or more")
        if self.width % (2 * self.heads):
            raise ConfigError(f"width {self.width} is no multiple of twice the heads, {2 * self.heads}")

    @property
    def hidden(self) -> int:
        """Width of the feed-forward layer: 8/3 of the width, rounded up to a multiple of 32."""
        return -(-self.width * 8 // 3 // 32) * 32

    def n_parameters(self, n_vocabulary: int) -> int:
        """Number of parameters, embeddings included."""
        layer = 4 * self.width**2 + 3 * self.width * self.hidden + 2 * self.width
        return n_vocabulary * self.width + self.layers * layer + self.width


def build_model(size: Size, n_vocabulary: int, seed: int) -> Any:  # Any: a torch module
    """Make a model with weights drawn from a seed.

    Its call takes int64 (batch, length) and returns float32 logits (batch, length, n_vocabulary).
    """
    torch = torch_module("classifiers.proxy")
    nn, functional = torch.nn, torch.nn.functional
    head = size.width // size.heads

    def rotary(length: int, device: Any) -> tuple[Any, Any]:  # Any: a device, tensors
        frequency = 1e4 ** (-torch.arange(0, head, 2, device=device) / head)
        angle = torch.outer(torch.arange(length, device=device), frequency)
        return angle.cos(), angle.sin()

    def turned(x: Any, cos: Any, sin: Any) -> Any:  # Any: tensors (batch, heads, length, head)
        a, b = x.chunk(2, dim=-1)
        return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)

    class Layer(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.norm_1, self.norm_2 = nn.RMSNorm(size.width), nn.RMSNorm(size.width)
            self.qkv = nn.Linear(size.width, 3 * size.width, bias=False)
            self.out = nn.Linear(size.width, size.width, bias=False)
            self.up = nn.Linear(size.width, 2 * size.hidden, bias=False)
            self.down = nn.Linear(size.hidden, size.width, bias=False)

        def forward(self, x: Any, cos: Any, sin: Any) -> Any:
            batch, length, _ = x.shape
            qkv = self.qkv(self.norm_1(x)).view(batch, length, 3, size.heads, head).permute(2, 0, 3, 1, 4)
            q, k = turned(qkv[0], cos, sin), turned(qkv[1], cos, sin)
            seen = functional.scaled_dot_product_attention(q, k, qkv[2], is_causal=True)
            x = x + self.out(seen.transpose(1, 2).reshape(batch, length, size.width))
            gate, value = self.up(self.norm_2(x)).chunk(2, dim=-1)
            return x + self.down(functional.silu(gate) * value)

    class Decoder(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(n_vocabulary, size.width)
            self.layers = nn.ModuleList(Layer() for _ in range(size.layers))
            self.norm = nn.RMSNorm(size.width)
            for name, weights in self.named_parameters():
                if weights.dim() == 2:
                    scale = (
                        0.02 / (2 * size.layers) ** 0.5
                        if name.endswith(("out.weight", "down.weight"))
                        else 0.02
                    )
                    nn.init.normal_(weights, std=scale)

        def forward(self, ids: Any) -> Any:
            x = self.embedding(ids)
            cos, sin = rotary(ids.shape[1], ids.device)
            for layer in self.layers:
                x = layer(x, cos, sin)
            return functional.linear(self.norm(x), self.embedding.weight).float()

    torch.manual_seed(seed)
    return Decoder()
