"""
Round the decoder so that its outputs move least for the inputs that it has in real prompts.

Layer by layer, in fp32: what comes out of the rounded layers goes into the next one, so that each
is rounded for the errors of those before it, too. Within a layer, input by input: what one's error
does to the outputs is made up for by those to come.

Source: GPTQ (Frantar et al., arXiv 2210.17323), on the grids of quantise.py.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from ros2_llava_phi.errors import ModelError
from ros2_llava_phi.model.network import (
    CachedAttention,
    DecoderLayer,
    LlavaPhi,
    causal_mask,
    pool_patches,
)
from ros2_llava_phi.model.prompt import BEFORE_PICTURE
from ros2_llava_phi.model.tokenizer import encode

from .engine import Floats
from .quantise import QuantisedWeight, best_scales, nearest

LEAST_PROMPTS = 8
# Of so many prompts one is for measuring only.
KEPT_APART = 8
# How many inputs make up for each other. More would take memory by the square and time by the
# cube: a layer of 10240 inputs has four groups.
GROUP = 2560
# As a share of the mean; or inputs that are hardly seen would take on any error.
DAMPING = 0.01


@dataclass(frozen=True)
class Prompt:
    """
    A picture, and the text behind it.

    pixels: normalised, float32 [3, side, side]. text: as prompt.py words it, from after_picture
    on; what has been answered may be part of it.
    """

    pixels: Floats
    text: str


@dataclass(frozen=True)
class Calibrated:
    """
    The decoder's layers, rounded.

    weights: by path. error: by how much the logits behind the pictures of prompts that took no
    part in it differ from those in fp32, as a share of their size (rms).
    """

    weights: dict[str, QuantisedWeight]
    error: float


@torch.inference_mode()
def calibrate(
    network: LlavaPhi,
    tokenizer: Tokenizer,
    prompts: Sequence[Prompt],
    bits_of: Mapping[str, int | None],
    block: Callable[[int, int], int],
    on_layer: Callable[[int, int], None] = lambda done, total: None,
) -> Calibrated:
    """
    Round the linear layers of the decoder's blocks where their outputs move least.

    The network stays as it is; it may be in any precision. Needs memory for one layer in fp32, the
    hidden states of all prompts, and a byte a weight. One in KEPT_APART prompts only measures.

    bits_of, block: see Dialect. on_layer: hears how many of how many layers are done.

    Raises ModelError if there are fewer than LEAST_PROMPTS prompts, or one exceeds the context.
    """
    if len(prompts) < LEAST_PROMPTS:
        raise ModelError(
            f'{len(prompts)} prompts are too few to calibrate with; give {LEAST_PROMPTS} or more'
        )
    # Or those kept apart might all ask the same, where questions go around.
    order = np.random.default_rng(0).permutation(len(prompts))
    states = list(_embedded(network, tokenizer, [prompts[i] for i in order]))
    exact = states[::KEPT_APART]
    apart, used = list(exact), [x for i, x in enumerate(states) if i % KEPT_APART]
    del states
    weights: dict[str, QuantisedWeight] = {}
    layers = network.decoder.layers
    for index, stored in enumerate(layers):
        assert isinstance(stored, DecoderLayer)
        layer = deepcopy(stored).float()
        exact = [_run(network, layer, x) for x in exact]
        moments = _moments(layer, partial(_run, network, layer), used)
        for path, linear in _linears(layer):
            whole = f'decoder.layers.{index}.{path}'
            bits = bits_of[whole]
            assert bits is not None
            size = block(bits, linear.in_features)
            exactly = linear.weight.detach().numpy()
            weights[whole] = round_for_inputs(exactly, bits, size, moments[path])
            linear.weight.copy_(torch.from_numpy(weights[whole].dequantised()))
        used = [_run(network, layer, x) for x in used]
        apart = [_run(network, layer, x) for x in apart]
        on_layer(index + 1, len(layers))
    return Calibrated(weights, _error(network, tokenizer, exact, apart))


def _embedded(
    network: LlavaPhi, tokenizer: Tokenizer, prompts: Sequence[Prompt]
) -> Iterator[Tensor]:
    """Yield the embeddings of every prompt, float32 [1, T, D]."""
    tower, projector = deepcopy(network.vision_tower).float(), deepcopy(network.projector).float()
    decoder = network.decoder

    def embed(text: str) -> Tensor:
        return decoder.embed_tokens(torch.tensor([encode(tokenizer, text)])).float()

    before = embed(BEFORE_PICTURE)
    for prompt in prompts:
        features = tower(torch.from_numpy(prompt.pixels)[None])
        picture = projector(pool_patches(features, network.config.pool))
        whole = torch.cat([before, picture, embed(prompt.text)], dim=1)
        if whole.shape[1] > decoder.config.context_length:
            raise ModelError(
                f'a prompt takes {whole.shape[1]} tokens, but the model has room for '
                f'{decoder.config.context_length}; calibrate with shorter questions'
            )
        yield whole


def _run(network: LlavaPhi, layer: DecoderLayer, x: Tensor) -> Tensor:
    tokens = x.shape[1]
    positions, mask = torch.arange(tokens)[None], causal_mask(tokens, 0, 'cpu')
    return layer(x, CachedAttention(network.decoder.config, positions, mask, None))


def _linears(layer: nn.Module) -> list[tuple[str, nn.Linear]]:
    return [(path, part) for path, part in layer.named_modules() if isinstance(part, nn.Linear)]


def _moments(
    layer: nn.Module, run: Callable[[Tensor], Tensor], states: Sequence[Tensor]
) -> dict[str, list[Floats]]:
    """Return for every linear layer by path the moments of its inputs (see round_for_inputs)."""
    inputs: dict[str, Tensor] = {}

    def watch(path: str) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def hook(_: nn.Module, given: tuple[Tensor]) -> None:
            inputs[path] = given[0]

        return hook

    hooks = [part.register_forward_pre_hook(watch(path)) for path, part in _linears(layer)]
    sums: dict[str, list[Tensor]] = {}
    for x in states:
        run(x)
        for path, given in inputs.items():
            # Layers with the same input share its moments.
            owner = next(other for other in inputs if inputs[other] is given)
            if owner != path:
                sums[path] = sums[owner]
                continue
            parts = given.flatten(0, 1).split(GROUP, dim=1)
            new = [torch.zeros(part.shape[1], part.shape[1]) for part in parts]
            for total, part in zip(sums.setdefault(path, new), parts, strict=True):
                total.addmm_(part.T, part)
    for handle in hooks:
        handle.remove()
    return {path: [total.numpy() for total in totals] for path, totals in sums.items()}


def _error(
    network: LlavaPhi, tokenizer: Tokenizer, exact: Sequence[Tensor], rounded: Sequence[Tensor]
) -> float:
    """Return how far apart the logits behind the picture are, as a share of their size (rms)."""
    norm = deepcopy(network.decoder.final_layernorm).float()
    head = deepcopy(network.decoder.lm_head).float()
    picture_end = len(encode(tokenizer, BEFORE_PICTURE)) + network.config.image_tokens
    wrong = size = 0.0
    for one, other in zip(exact, rounded, strict=True):
        expected, actual = (head(norm(x[:, picture_end:])) for x in (one, other))
        wrong += float((actual - expected).square().sum())
        size += float(expected.square().sum())
    return float(np.sqrt(wrong / size))


def round_for_inputs(
    weight: Floats, bits: int, size: int, moments: Sequence[Floats]
) -> QuantisedWeight:
    """
    Round a weight matrix [out, in] to 4 or 8 bits, so that its outputs move least.

    size: how many inputs make a block; it divides GROUP.
    moments: for every GROUP inputs x the sum of x x^T over what was seen, float32 [GROUP, GROUP];
    the last one is of the inputs that are left.
    """
    integers: list[NDArray[np.int8]] = []
    scales: list[Floats] = []
    for number, moment in enumerate(moments):
        part = weight[:, number * GROUP : (number + 1) * GROUP]
        # Inputs come first, as one after the other is rounded.
        rows = np.pad(part.T, ((0, -part.shape[1] % size), (0, 0)))
        for block, scale in _round_group(rows, bits, size, _factor(moment, len(rows))):
            integers.append(block.T.astype(np.int8))
            scales.append(scale)
    return QuantisedWeight(
        bits, np.stack(integers, axis=1), np.stack(scales, axis=1), weight.shape[1]
    )


def _factor(moment: Floats, width: int) -> Floats:
    """
    Return the upper Cholesky factor of the inverse of a moment [n, n], filled up to a width.

    Row i says how the inputs behind i make up for an error in i.
    """
    padded = np.pad(moment.astype(np.float64), (0, width - len(moment)))
    mean = np.trace(padded) / width
    padded[np.diag_indices(width)] += DAMPING * mean if mean else 1.0
    factor: Floats = np.linalg.cholesky(np.linalg.inv(padded)).T.astype(np.float32)
    return factor


def _round_group(
    rows: Floats, bits: int, size: int, factor: Floats
) -> Iterator[tuple[Floats, Floats]]:
    """Yield each block's integers [size, out] and scales [out]; the rows [in, out] are used up."""
    diagonal = np.diag(factor)
    for start in range(0, len(rows), size):
        end = start + size
        block = rows[start:end]
        scales = best_scales(np.ascontiguousarray(block.T), bits, diagonal[start:end] ** -2)
        integers, errors = np.empty_like(block), np.empty_like(block)
        for i in range(size):
            integers[i] = nearest(block[i], scales, bits)
            errors[i] = (block[i] - integers[i] * scales) / diagonal[start + i]
            behind = factor[start + i, start + i + 1 : end]
            block[i + 1 :] -= np.outer(behind, errors[i])
        rows[end:] -= factor[start:end, end:].T @ errors
        yield integers, scales
