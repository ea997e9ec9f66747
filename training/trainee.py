"""The network as it is trained: from a batch to its loss; what is frozen costs no gradient."""

from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ros2_llava_phi.model.network import Decoder, LlavaPhi, pool_patches

from .batches import NO_LABEL, Batch


class Trainee(nn.Module):
    """A network whose forward pass is the loss, so that DDP and FSDP can wrap it."""

    def __init__(self, network: LlavaPhi) -> None:
        """Take over a network whose parameters already say whether they learn."""
        super().__init__()
        self.network = network
        self._tower_learns = learns(network.vision_tower)

    def forward(self, batch: Batch) -> Tensor:
        """Return the sum of the cross-entropies of all tokens that carry loss, a scalar."""
        return answer_loss(self.network.decoder, batch, self._encode(batch))

    def _encode(self, batch: Batch) -> Tensor:
        pixels = batch.pixels
        if not len(pixels):
            # Every process must have a gradient of every parameter, or DDP waits for ever.
            pixels = pixels.new_zeros(1, *pixels.shape[1:])
        with torch.set_grad_enabled(self._tower_learns and torch.is_grad_enabled()):
            features = self.network.vision_tower(pixels)
        pooled = pool_patches(features, self.network.config.pool)
        return self.network.projector(pooled)


def answer_loss(decoder: Decoder, batch: Batch, pictures: Tensor) -> Tensor:
    """
    Return the sum of the cross-entropies of all tokens that carry loss, a scalar.

    pictures: the batch's pictures as embeddings [P, image_tokens, D].
    """
    embeddings = decoder.embed_tokens(batch.tokens)
    embeddings = embeddings.masked_scatter(
        batch.places[..., None], pictures.to(embeddings.dtype).flatten(0, 1)
    )
    hidden = decoder(embeddings, batch.positions, branch_mask(batch.segments))
    wanted = batch.labels != NO_LABEL
    logits = decoder.lm_head(hidden[wanted])
    return F.cross_entropy(logits.float(), batch.labels[wanted], reduction='sum')


def branch_mask(segments: Tensor) -> Tensor:
    """
    Return who may look at whom, bool [B, 1, T, T], for segments [B, T].

    A token sees what stands before it in segment 0, the prefix, and in its own segment.
    """
    length = segments.shape[1]
    earlier = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    asking, seen = segments[:, None, :, None], segments[:, None, None, :]
    return earlier & ((seen == 0) | (seen == asking))


def learns(module: nn.Module) -> bool:
    """Return whether any parameter of a module learns."""
    return any(parameter.requires_grad for parameter in module.parameters())


def compute_again(network: LlavaPhi) -> None:
    """Have every layer's activations computed again on the way back, rather than kept."""
    layers: Iterable[nn.Module] = [*network.decoder.layers, *network.vision_tower.layers]
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)


def multiplies_bf16(device: str) -> bool:
    """Return whether a device type ('cpu', 'cuda') multiplies in bf16 faster than in fp32.

    A CPU without the instructions takes about fifteen times as long.
    """
    if device == 'cuda':
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
