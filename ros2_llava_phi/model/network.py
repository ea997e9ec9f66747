"""
The network of LLaVA-Phi: vision tower, projector, Phi decoder. It stands only here.

Sources: CLIP ViT (Radford et al., arXiv 2103.00020), SigLIP (Zhai et al., arXiv 2303.15343),
LLaVA-1.5's projector (Liu et al., arXiv 2310.03744), Phi-2 (microsoft/phi-2), LLaVA-Phi (Zhu et
al., arXiv 2401.02330).
Shapes: B pictures or sequences, T tokens, D hidden size, H heads, S places in the cache.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig, TextConfig, VisionConfig


class LlavaPhi(nn.Module):
    """The whole model; its parts are called one by one, by an engine or by the training."""

    def __init__(self, config: ModelConfig) -> None:
        """Build the network with PyTorch's initial weights."""
        super().__init__()
        self.config = config
        self.vision_tower = VisionTower(config.vision)
        self.projector = Projector(config.vision.hidden_size, config.text.hidden_size)
        self.decoder = Decoder(config.text)

    def encode(self, pixels: Tensor) -> Tensor:
        """Turn normalised pictures [B, 3, side, side] into embeddings [B, image_tokens, D]."""
        return self.projector(pool_patches(self.vision_tower(pixels), self.config.pool))


class VisionTower(nn.Module):
    """A vision transformer, read out where LLaVA reads it: one layer before the last."""

    def __init__(self, config: VisionConfig) -> None:
        """Build the tower; the last layer and norm are kept for the checkpoint's sake alone."""
        super().__init__()
        self.config = config
        width, clip = config.hidden_size, config.kind == 'clip'
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5) if clip else None
        self.patch_embedding = nn.Conv2d(
            3, width, config.patch_size, config.patch_size, bias=not clip
        )
        self.position_embedding = nn.Embedding(config.patches + clip, width)
        self.pre_layernorm = nn.LayerNorm(width, config.layer_norm_eps) if clip else nn.Identity()
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.layers))
        self.post_layernorm = nn.LayerNorm(width, config.layer_norm_eps)

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the patches' features [B, patches, width], row by row, without a class token."""
        x = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        if self.class_embedding is not None:
            x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x], dim=1)
        x = self.pre_layernorm(x + self.position_embedding.weight)
        for layer in self.layers[:-1]:
            x = layer(x)
        return x if self.class_embedding is None else x[:, 1:]


class VisionLayer(nn.Module):
    """Attention, then MLP, each behind its own norm."""

    def __init__(self, config: VisionConfig) -> None:
        """Build one layer."""
        super().__init__()
        width = config.hidden_size
        self.heads = config.heads
        self.activation = config.activation
        self.layer_norm1 = nn.LayerNorm(width, config.layer_norm_eps)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)
        self.layer_norm2 = nn.LayerNorm(width, config.layer_norm_eps)
        self.fc1 = nn.Linear(width, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, T, width] to the same."""
        normed = self.layer_norm1(x)
        q, k, v = (
            split_heads(proj(normed), self.heads)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        x = x + self.out_proj(merge_heads(F.scaled_dot_product_attention(q, k, v)))
        return x + self.fc2(ACTIVATIONS[self.activation](self.fc1(self.layer_norm2(x))))


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'quick_gelu': lambda x: x * torch.sigmoid(1.702 * x),
    'gelu': F.gelu,
    'gelu_tanh': partial(F.gelu, approximate='tanh'),
}


def pool_patches(features: Tensor, pool: int) -> Tensor:
    """Average squares of pool x pool patches: [B, grid * grid, W] to [B, (grid / pool)^2, W]."""
    if pool == 1:
        return features
    side = math.isqrt(features.shape[1]) // pool
    return features.unflatten(1, (side, pool, side, pool)).mean((2, 4)).flatten(1, 2)


class Projector(nn.Sequential):
    """LLaVA-1.5's two-layer projector from picture features to the decoder's embeddings."""

    def __init__(self, vision_width: int, text_width: int) -> None:
        """Build the projector."""
        super().__init__(
            nn.Linear(vision_width, text_width), nn.GELU(), nn.Linear(text_width, text_width)
        )


class KVCache:
    """Keys and values of the tokens seen so far; `length` of the `capacity` places are in use."""

    def __init__(self, config: TextConfig, dtype: torch.dtype, device: torch.device | str) -> None:
        """Reserve places for one sequence of the model's whole context length."""
        shape = (config.layers, 1, config.heads, config.context_length, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.capacity = config.context_length
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write [1, H, T, head_dim] behind the `length` places; return all written so far."""
        end = self.length + keys.shape[2]
        self.keys[layer, :, :, self.length : end] = keys
        self.values[layer, :, :, self.length : end] = values
        return self.keys[layer, :, :, :end], self.values[layer, :, :, :end]


class Decoder(nn.Module):
    """Phi: parallel attention and MLP behind one norm, partial rotary positions, biases."""

    def __init__(self, config: TextConfig) -> None:
        """Build the decoder with its embedding and head, which share no weights."""
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config, i) for i in range(config.layers))
        self.final_layernorm = nn.LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(
        self,
        embeddings: Tensor,
        positions: Tensor,
        mask: Tensor,
        cache: KVCache | None = None,
    ) -> Tensor:
        """
        Map embeddings [B, T, D] to the hidden states before the head, [B, T, D].

        positions: place of each token in its sequence, int64 [B, T].
        mask: bool, broadcastable to [B, H, T, S]; True where a token may look.
        cache: if given, the tokens follow those in it, and are appended to it.
        """
        hidden = self.blocks(embeddings, CachedAttention(self.config, positions, mask, cache))
        if cache is not None:
            cache.length += embeddings.shape[1]
        return hidden

    def blocks(self, embeddings: Tensor, attention: 'Attention') -> Tensor:
        """Do what forward does with any core of the attention: an export brings its own."""
        x = embeddings
        for layer in self.layers:
            x = layer(x, attention)
        return self.final_layernorm(x)


class DecoderLayer(nn.Module):
    """One parallel block: x + attention(norm(x)) + MLP(norm(x))."""

    def __init__(self, config: TextConfig, index: int) -> None:
        """Build one block."""
        super().__init__()
        width = config.hidden_size
        self.index = index
        self.input_layernorm = nn.LayerNorm(width, config.layer_norm_eps)
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.dense = nn.Linear(width, width)
        self.fc1 = nn.Linear(width, config.intermediate_size)
        self.fc2 = nn.Linear(config.intermediate_size, width)

    def forward(self, x: Tensor, attention: 'Attention') -> Tensor:
        """Map [B, T, D] to the same."""
        normed = self.input_layernorm(x)
        q, k, v = self.q_proj(normed), self.k_proj(normed), self.v_proj(normed)
        mlp = self.fc2(gelu(self.fc1(normed)))
        # In half precision the sum is rounded once in the size of x, as in Phi-2's own code.
        return x + (self.dense(attention(self.index, q, k, v)) + mlp)


class Attention(Protocol):
    """The core of the decoder's attention: from queries, keys and values to what is attended."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Turn q and k by their positions, and map q, k, v of a layer, [B, T, D], to the same."""


class CachedAttention:
    """Attention to what the mask lets a token see, the cache included."""

    def __init__(
        self, config: TextConfig, positions: Tensor, mask: Tensor, cache: KVCache | None
    ) -> None:
        """Compute the rotation once for all layers; see Decoder.forward."""
        self._heads = config.heads
        self._rotation = rotary(positions, config.rotary_dim, config.rope_theta)
        self._mask = mask
        self._cache = cache

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See Attention."""
        q, k, v = (split_heads(x, self._heads) for x in (q, k, v))
        q, k = rotate(q, self._rotation), rotate(k, self._rotation)
        if self._cache is not None:
            k, v = self._cache.append(layer, k, v)
        return merge_heads(attend(q, k, v, self._mask))


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    """
    Return the attention of q [B, H, T, head_dim] to k and v [B, H, S, head_dim], like q.

    Phi-2's products of queries and keys exceed fp16's range, so that fp16 is multiplied in fp32.
    """
    if q.dtype == torch.float16:
        q, k, v = q.float(), k.float(), v.float()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).half()
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def gelu(x: Tensor) -> Tensor:
    """
    Return Phi's GELU, by tanh, of any tensor.

    An inference in half precision rounds after each step, as transformers' gelu_new does: with
    that, and rotations that round as theirs, logits in bf16 are practically theirs. Training and
    exported graphs keep the one fused operation.
    """
    if x.dtype == torch.float32 or not torch.is_inference_mode_enabled():
        return F.gelu(x, approximate='tanh')
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + torch.tanh(inner))


def rotary(positions: Tensor, dim: int, theta: float) -> tuple[Tensor, Tensor]:
    """Return cos and sin [B, 1, T, dim] of the rotary positions (Su et al., arXiv 2104.09864)."""
    frequencies = 1 / theta ** (torch.arange(0, dim, 2, device=positions.device) / dim)
    angles = positions[:, None, :, None].float() * frequencies.repeat(2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the first dimensions of every head of x [B, H, T, head_dim]; the rest stay."""
    cos, sin = (part.to(x.dtype) for part in rotation)
    half = cos.shape[-1] // 2
    first, second, rest = x.split([half, half, x.shape[-1] - 2 * half], dim=-1)
    turned = torch.cat([first, second], dim=-1) * cos + torch.cat([-second, first], dim=-1) * sin
    return torch.cat([turned, rest], dim=-1)


def causal_mask(tokens: int, past: int, device: torch.device | str) -> Tensor:
    """Return the bool mask [tokens, past + tokens] that lets each token see those before it."""
    return torch.ones(tokens, past + tokens, dtype=torch.bool, device=device).tril(past)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """Turn [B, T, D] into [B, H, T, D / H]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Turn [B, H, T, D / H] back into [B, T, D]."""
    return x.transpose(1, 2).flatten(2)
