"""
How checkpoints name the network's tensors.

A layout is where four parts lie: the vision tower of a CLIP or SigLIP, the projector's two linear
layers, Phi's decoder, and its head. Within the parts all published layouts agree, but for queries,
keys and values: transformers 4.36 kept them in one tensor, row by row as (head, 3, head size).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ros2_llava_phi.errors import ModelError

FUSED = 'query_key_value'
PATCH_EMBEDDING = 'embeddings.patch_embedding.weight'
# Constants that old versions of transformers saved, and what SigLIP pools a picture with, which
# LLaVA does not do.
UNUSED = re.compile(
    r'(\.position_ids|rotary_emb\.(inv_freq|cos_cached|sin_cached))$'
    r'|(^|\.)head\.(probe|attention|layernorm|mlp)\b'
)


@dataclass(frozen=True)
class Layout:
    """
    What stands before the names of each part's tensors, as `model.vision_tower.vision_model.`.

    projector: of the first and of the second linear layer.
    fused: whether queries, keys and values share a tensor.
    own: whether the parts' inner names, too, are this project's.
    """

    vision: str
    projector: tuple[str, str]
    text: str
    head: str
    fused: bool = False
    own: bool = False

    def name_of(self, tensor: str) -> str:
        """Return how this layout names one of the network's own tensors."""
        part, _, rest = tensor.partition('.')
        if part == 'projector':
            layer, _, rest = rest.partition('.')
            return self.projector[int(layer) // 2] + rest
        if part == 'vision_tower':
            return self.vision + (rest if self.own else _clip_name(rest))
        if rest.startswith('lm_head.'):
            return self.head + rest.removeprefix('lm_head.')
        return self.text + (rest if self.own else _phi_name(rest, self.fused))


OWN = Layout(
    'vision_tower.', ('projector.0.', 'projector.2.'), 'decoder.', 'decoder.lm_head.', own=True
)
_MM_PROJECTOR = ('model.mm_projector.0.', 'model.mm_projector.2.')
_HF_PROJECTOR = ('multi_modal_projector.linear_1.', 'multi_modal_projector.linear_2.')
_HF_IN_MEMORY = ('model.multi_modal_projector.linear_1.', 'model.multi_modal_projector.linear_2.')
_TOWER = 'model.vision_tower.vision_model.'

# Every layout that was ever written, by who wrote it.
LAYOUTS = {
    "this project's own": OWN,
    'original LLaVA-Phi (transformers 4.36, fused)': Layout(
        _TOWER, _MM_PROJECTOR, 'model.', 'lm_head.', fused=True
    ),
    'original LLaVA-Phi (transformers 4.37 and later)': Layout(
        _TOWER, _MM_PROJECTOR, 'model.', 'lm_head.'
    ),
    'LLaVA-1.5': Layout(
        'model.vision_tower.vision_tower.vision_model.', _MM_PROJECTOR, 'model.', 'lm_head.'
    ),
    'transformers up to 4.57 and 5.0': Layout(
        'vision_tower.vision_model.',
        _HF_PROJECTOR,
        'language_model.model.',
        'language_model.lm_head.',
    ),
    'transformers 5, newer': Layout(
        'vision_tower.', _HF_PROJECTOR, 'language_model.model.', 'language_model.lm_head.'
    ),
    'transformers 4.52 and later, as in memory': Layout(
        'model.vision_tower.vision_model.', _HF_IN_MEMORY, 'model.language_model.', 'lm_head.'
    ),
    'transformers 5, newer, as in memory': Layout(
        'model.vision_tower.', _HF_IN_MEMORY, 'model.language_model.', 'lm_head.'
    ),
}
ORIGINAL = LAYOUTS['original LLaVA-Phi (transformers 4.36, fused)']
# What every version of transformers reads.
HF = LAYOUTS['transformers up to 4.57 and 5.0']


def find_layout(names: Iterable[str]) -> Layout:
    """
    Tell from the tensors' names in which layout a checkpoint is.

    Parts may lie elsewhere than in any known layout, as long as all are there. Raises ModelError
    that names the tensor by which a missing part is known.
    """
    found = set(names)
    if any(name.startswith('decoder.layers.') for name in found):
        return OWN
    vision = _before(
        found, PATCH_EMBEDDING, 'vision tower; give the folder of its CLIP or SigLIP, too'
    )
    projector = 'mm_projector.0.weight'
    if not any(name.endswith(projector) for name in found):
        projector = 'linear_1.weight'
    first = _before(found, projector, 'projector') + projector.removesuffix('weight')
    second = first.replace('.0.', '.2.').replace('linear_1', 'linear_2')
    text, head, fused = _find_decoder(found)
    return Layout(vision, (first, second), text, head, fused)


def layout_of_parts(tower: Iterable[str], decoder: Iterable[str]) -> Layout:
    """
    Return the layout of a vision tower and a decoder from folders of their own.

    The projector has the names that this project gives it. Raises ModelError as find_layout.
    """
    vision = _before(set(tower), PATCH_EMBEDDING, 'vision tower')
    text, head, fused = _find_decoder(set(decoder))
    return Layout(vision, OWN.projector, text, head, fused)


def name_of_layout(layout: Layout) -> str:
    """Return who writes a layout; one that nobody is known to write is read by its parts."""
    for name, known in LAYOUTS.items():
        if known == layout:
            return name
    return 'of no known program, read by its parts'


def _find_decoder(found: set[str]) -> tuple[str, str, bool]:
    """Return where a decoder lies, where its head lies, and whether q, k, v share a tensor."""
    text = _before(found, 'embed_tokens.weight', 'decoder')
    head = _before(found, 'lm_head.weight', "decoder's head") + 'lm_head.'
    return text, head, any(f'.{FUSED}.' in name for name in found)


def _before(names: set[str], ending: str, part: str) -> str:
    """Return what stands before the one name that ends so."""
    matches = sorted(name for name in names if name.endswith(ending))
    if len(matches) == 1:
        return matches[0].removesuffix(ending)
    if matches:
        raise ModelError(f'the checkpoint holds more than one {part}: {", ".join(matches)}')
    raise ModelError(f'tensor ...{ending} is missing: the checkpoint holds no {part}')


def _clip_name(name: str) -> str:
    """Return CLIP's or SigLIP's name, as transformers writes it, of a tensor of the tower."""
    if re.match(r'(class|patch|position)_embedding', name):
        return f'embeddings.{name}'
    name = name.replace('pre_layernorm', 'pre_layrnorm')
    name = re.sub(r'^(layers\.\d+\.)(\w+_proj)', r'encoder.\1self_attn.\2', name)
    name = re.sub(r'^(layers\.\d+\.)(fc\d)', r'encoder.\1mlp.\2', name)
    return re.sub(r'^(layers\.\d+\.)(layer_norm)', r'encoder.\1\2', name)


def _phi_name(name: str, fused: bool) -> str:
    """Return Phi's name, as transformers writes it, of a tensor of the decoder."""
    if fused:
        name = re.sub(r'[qkv]_proj', FUSED, name)
    name = re.sub(rf'^(layers\.\d+\.)(\w_proj|{FUSED}|dense)', r'\1self_attn.\2', name)
    return re.sub(r'^(layers\.\d+\.)(fc\d)', r'\1mlp.\2', name)
