"""What a checkpoint folder holds, and what would go wrong with it, for people to read."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ros2_llava_phi.errors import ModelError

from .checkpoint import open_checkpoint
from .layout import name_of_layout
from .network import LlavaPhi
from .prompt import PICTURE_TEXT, turn, v0_prompt
from .tensor_files import Stored, list_weights, read_tensors
from .tokenizer import END_OF_TEXT, load_tokenizer
from .weights import Checkpoint

KINDS = {'clip': 'CLIP', 'siglip': 'SigLIP'}


@dataclass
class Inspection:
    """
    What was found.

    facts: what is there, a name and a value each.
    remarks: what may surprise. problems: why it cannot be used. A sentence each.
    """

    facts: list[tuple[str, str]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def inspect(
    folder: Path, base: Path | None = None, vision_tower: Path | None = None
) -> Inspection:
    """Look through a folder, every number included; see open_checkpoint for the others."""
    found = Inspection()
    try:
        checkpoint = open_checkpoint(folder, base, vision_tower)
    except ModelError as error:
        found.problems.append(str(error))
        try:
            found.facts += _files(list_weights(folder).values())
        except ModelError as unreadable:
            found.problems.append(str(unreadable))
        found.problems = list(dict.fromkeys(found.problems))
        return found
    try:
        checkpoint.check()
        for stored, tensor in read_tensors(checkpoint.tensors.values()):
            if not tensor.isfinite().all():
                found.problems.append(f'tensor {stored.name} holds NaN or infinity')
    except ModelError as error:
        found.problems.append(str(error))
    found.facts.append(('layout', name_of_layout(checkpoint.layout)))
    found.facts += [*_files(checkpoint.tensors.values()), *_sizes(checkpoint)]
    _add_weights(checkpoint, found)
    _add_language(checkpoint, found)
    return found


def _files(tensors: Iterable[Stored]) -> list[tuple[str, str]]:
    stored = list(tensors)
    paths = {tensor.path for tensor in stored}
    size = sum(path.stat().st_size for path in paths)
    dtypes = Counter(tensor.dtype for tensor in stored)
    return [
        ('files', f'{len(paths)} with {len(stored)} tensors, {size / 1e9:.3f} GB'),
        ('precision', ', '.join(f'{dtype} ({count})' for dtype, count in dtypes.most_common())),
    ]


def _sizes(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    vision, text = checkpoint.config.vision, checkpoint.config.text
    with torch.device('meta'):
        network = LlavaPhi(checkpoint.config)
    facts = [
        (f'parameters: {name.replace("_", " ")}', f'{_parameters(part):,}')
        for name, part in network.named_children()
    ]
    return [
        *facts,
        ('parameters: all', f'{_parameters(network):,}'),
        (
            'picture',
            f'{vision.image_size} px ({checkpoint.config.fit}), '
            f'patches of {vision.patch_size} px, {checkpoint.config.image_tokens} tokens',
        ),
        (
            'vision tower',
            f'{KINDS[vision.kind]}, {vision.layers} layers, the last unused; '
            f'width {vision.hidden_size}, {vision.heads} heads',
        ),
        (
            'decoder',
            f'{text.layers} layers; width {text.hidden_size}, {text.heads} heads, '
            f'{text.rotary_dim} of {text.head_dim} dimensions rotated',
        ),
        ('context', f'{text.context_length} tokens'),
    ]


def _parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _add_weights(checkpoint: Checkpoint, found: Inspection) -> None:
    if checkpoint.adapter:
        pairs = checkpoint.adapter.pairs
        scale = checkpoint.adapter.scale
        found.facts.append(('LoRA adapter', f'{len(pairs)} tensors, scale {scale:g}'))
    if checkpoint.drops_head_bias:
        found.remarks.append(
            'lm_head.bias is missing, as transformers 4.52 and later drop it: it is taken as 0, '
            'so that answers are those that transformers gives, not those of the trained model'
        )


def _add_language(checkpoint: Checkpoint, found: Inspection) -> None:
    """Add tokenizer, ids and template."""
    rows, end = checkpoint.config.text.vocab_size, checkpoint.config.text.eos_token_id
    try:
        tokenizer = load_tokenizer(checkpoint.tokenizer_folder, rows)
    except ModelError as error:
        found.problems.append(str(error))
        return
    if tokenizer.token_to_id(END_OF_TEXT) is None:
        found.remarks.append(f'the tokenizer has no {END_OF_TEXT}: answers end at id {end}')
    if checkpoint.end_in_config is not None:
        found.remarks.append(
            f'config.json says that id {checkpoint.end_in_config} ends a text; the tokenizer '
            f'says {end}, and is believed'
        )
    tokens, image = tokenizer.get_vocab_size(), tokenizer.token_to_id(PICTURE_TEXT)
    prompt = v0_prompt([turn(f'{PICTURE_TEXT}\n...')])
    shown = ''.join(piece if isinstance(piece, str) else PICTURE_TEXT for piece in prompt)
    found.facts += [
        ('embedding', f"{rows} rows, {tokens} of them the tokenizer's, {rows - tokens} spare"),
        ('end of text', f'{end} ({tokenizer.id_to_token(end)!r})'),
        (PICTURE_TEXT, 'no id; none is needed' if image is None else f'id {image}'),
        ('template', f'v0: {shown!r}'),
        ('abstains with', str(checkpoint.config.abstain_text)),
    ]
