"""From the tensors of a checkpoint to the network, and back: nothing lost, nothing left random."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from ros2_llava_phi.errors import ModelError

from .config import ModelConfig, write_config
from .layout import FUSED, LAYOUTS, OWN, UNUSED, Layout
from .lora import Adapter
from .network import LlavaPhi
from .tensor_files import Stored, read_tensors, writing

FLOATS = ('float64', 'float32', 'float16', 'bfloat16')
HEAD_BIAS = 'decoder.lm_head.bias'
SHARD_BYTES = 4 << 30


@dataclass(frozen=True)
class Checkpoint:
    """
    What a folder holds, before any weights are read.

    tensors: by the names that they have in their layout.
    tokenizer_folder: where the tokenizer is: the folder itself, or its base's.
    end_in_config: the end of text by config.json, where the tokenizer knows better.
    drawn: tensors that no file holds yet, by the network's own names.
    """

    folder: Path
    config: ModelConfig
    layout: Layout
    tensors: dict[str, Stored]
    adapter: Adapter | None
    tokenizer_folder: Path
    end_in_config: int | None = None
    drawn: dict[str, Tensor] = field(default_factory=dict)

    @property
    def files(self) -> list[Path]:
        """Return the files that hold the weights, sorted."""
        paths = {stored.path for stored in self.tensors.values()}
        return sorted(paths | ({self.adapter.file} if self.adapter else set()))

    @property
    def drops_head_bias(self) -> bool:
        """Return whether transformers (4.52 and later) wrote the checkpoint without this bias."""
        return 'linear_1' in self.layout.projector[0] and (
            self.layout.name_of(HEAD_BIAS) not in self.tensors
        )

    def check(self) -> None:
        """Raise ModelError naming the tensor if one is missing, unexpected or misshapen."""
        wanted = self._empty_network().state_dict()
        self._adapter_for(wanted, self._sources(wanted))

    def read(self, dtype: torch.dtype | None) -> LlavaPhi:
        """
        Build the network, in one precision or (None) in the precisions of the files.

        Memory peaks at the network's own size and one file. Raises ModelError naming the tensor
        if one is missing, unexpected or misshapen.
        """
        network = self._empty_network()
        wanted = network.state_dict()
        sources = self._sources(wanted)
        adapter = self._adapter_for(wanted, sources)
        by_place = {self.tensors[source]: source for source in sources}
        state = {name: tensor.to(dtype or tensor.dtype) for name, tensor in self.drawn.items()}
        for stored, tensor in read_tensors(by_place):
            source = by_place[stored]
            whole = adapter.merged(source, tensor) if adapter else tensor
            for name in sources[source]:
                part = _part(name, whole, self.config) if FUSED in source else whole
                # In our own layout both names are one, and merged already.
                part = adapter.merged(name, part) if adapter and name != source else part
                state[name] = part.to(dtype or tensor.dtype, copy=True).contiguous()
        if HEAD_BIAS not in state:
            state[HEAD_BIAS] = torch.zeros_like(state['decoder.lm_head.weight'][:, 0])
        network.load_state_dict(state, assign=True)
        return network

    def _empty_network(self) -> LlavaPhi:
        with torch.device('meta'):
            return LlavaPhi(self.config)

    def _sources(self, wanted: dict[str, Tensor]) -> dict[str, list[str]]:
        """Return which of the network's tensors each stored one holds, all of them checked."""
        sources: dict[str, list[str]] = {}
        for name in wanted:
            if name not in self.drawn and (name != HEAD_BIAS or not self.drops_head_bias):
                sources.setdefault(self.layout.name_of(name), []).append(name)
        found = {name for name in self.tensors if not UNUSED.search(name)}
        self._refuse(set(sources) - found, 'is missing')
        self._refuse(found - set(sources), 'is unexpected')
        for source, names in sources.items():
            shape = wanted[names[0]].shape
            _check(self.tensors[source], (len(names) * shape[0], *shape[1:]))
        return sources

    def _adapter_for(
        self, wanted: dict[str, Tensor], sources: dict[str, list[str]]
    ) -> Adapter | None:
        """
        Return the adapter by the checkpoint's names or, where it has none of these, by our own.

        An adapter may be named in another layout than its base is stored in.
        """
        if self.adapter is None:
            return None
        known = {layout.name_of(name): name for layout in LAYOUTS.values() for name in wanted}
        shapes = {name: tuple(tensor.shape) for name, tensor in wanted.items()}
        shapes |= {source: self.tensors[source].shape for source in sources}
        pairs = {}
        for target, (down, up) in self.adapter.pairs.items():
            name = target if target in sources else known.get(target, target)
            if name not in shapes:
                self._refuse({target}, 'is unexpected: the adapter adds to it')
            if shapes[name] != (up.shape[0], down.shape[1]):
                raise ModelError(
                    f'{self.adapter.file} adds {[up.shape[0], down.shape[1]]} to tensor {target}, '
                    f'which has shape {list(shapes[name])}'
                )
            pairs[name] = (down, up)
        return replace(self.adapter, pairs=pairs)

    def _refuse(self, names: set[str], problem: str) -> None:
        if names:
            more = f' (and {len(names) - 1} more)' if len(names) > 1 else ''
            raise ModelError(f'{self.folder}: tensor {min(names)}{more} {problem}')


def save_network(
    network: LlavaPhi, folder: Path, dtype: torch.dtype | None, layout: Layout = OWN
) -> None:
    """
    Write a network's weights into a folder, in one precision or (None) as they are.

    Large ones are sharded. This project's own layout has config.json written beside it.

    Raises ModelError if they cannot be written.
    """
    from huggingface_hub import save_torch_state_dict

    folder.mkdir(parents=True, exist_ok=True)
    if layout == OWN:
        write_config(network.config, folder)
    tensors = named_in(layout, network.state_dict(), network.config.text.heads)
    state = {name: tensor.to('cpu', dtype) for name, tensor in tensors}
    with writing(folder):
        save_torch_state_dict(state, folder, max_shard_size=SHARD_BYTES)


def named_in(
    layout: Layout, tensors: Mapping[str, Tensor], heads: int
) -> Iterator[tuple[str, Tensor]]:
    """Return the network's tensors by a layout's names, each made when it is asked for."""
    parts: dict[str, list[Tensor]] = {}
    for name, tensor in tensors.items():
        parts.setdefault(layout.name_of(name), []).append(tensor.detach())
    return ((name, _joined(those, heads)) for name, those in parts.items())


def _check(stored: Stored, shape: tuple[int, ...]) -> None:
    if stored.shape != shape:
        raise ModelError(
            f'{stored.path}: tensor {stored.name} has shape {list(stored.shape)}, '
            f'but config.json asks for {list(shape)}'
        )
    if stored.dtype not in FLOATS:
        raise ModelError(
            f'{stored.path}: tensor {stored.name} is {stored.dtype}; '
            'weights are fp32, fp16 or bf16'
        )


def _part(name: str, fused: Tensor, config: ModelConfig) -> Tensor:
    """Return queries, keys or values from the tensor that holds the three, head by head."""
    which = ('q_proj', 'k_proj', 'v_proj').index(name.split('.')[-2])
    return fused.unflatten(0, (config.text.heads, 3, -1))[:, which].flatten(0, 1)


def _joined(parts: list[Tensor], heads: int) -> Tensor:
    """Return a tensor, or queries, keys and values in one, head by head."""
    if len(parts) == 1:
        return parts[0].contiguous()
    return torch.stack([part.unflatten(0, (heads, -1)) for part in parts], 1).flatten(0, 2)
