"""llama.cpp through llama-cpp-python, with a GGUF of the same weights; the decoder only."""

import ctypes
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_llava_phi.engine.engine import Floats
from ros2_llava_phi.model.config import TextConfig, read_config, write_config

from .contender import read_table
from .workload import THREADS

FILE = 'decoder.gguf'
# Of the prompt that is computed at once; the fastest of those tried.
UBATCH = 1024
# Where llama.cpp's Phi-2 has what is one tensor of ours: by our own name in a layer.
IN_LAYER = {
    'input_layernorm': 'attn_norm',
    'dense': 'attn_output',
    'fc1': 'ffn_up',
    'fc2': 'ffn_down',
}
OUTSIDE = {'embed_tokens': 'token_embd', 'final_layernorm': 'output_norm', 'lm_head': 'output'}


def names(config: TextConfig) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each tensor's name in a GGUF, and which of the decoder's lie in it, one below another.

    Queries, keys and values are one. The names are those of `Decoder.state_dict`.
    """
    for kind in ('weight', 'bias'):
        for ours, theirs in OUTSIDE.items():
            if (ours, kind) != ('embed_tokens', 'bias'):
                yield f'{theirs}.{kind}', (f'{ours}.{kind}',)
        for i in range(config.layers):
            for ours, theirs in IN_LAYER.items():
                yield f'blk.{i}.{theirs}.{kind}', (f'layers.{i}.{ours}.{kind}',)
            joined = tuple(f'layers.{i}.{which}_proj.{kind}' for which in 'qkv')
            yield f'blk.{i}.attn_qkv.{kind}', joined


def write(checkpoint: Path, out: Path, precision: str) -> None:
    """See Library. Head and embeddings keep 8 bits, as in our int4."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    # Here, because PyTorch is not to count as memory of the engine.
    from ros2_llava_phi.model.checkpoint import open_checkpoint

    network = open_checkpoint(checkpoint).read(dtype=None)
    write_config(network.config, out)
    weights, config = network.decoder.state_dict(), network.config.text
    writer = GGUFWriter(out / FILE, 'phi2')
    writer.add_context_length(config.context_length)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_block_count(config.layers)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.heads)
    writer.add_layer_norm_eps(config.layer_norm_eps)
    writer.add_rope_dimension_count(config.rotary_dim)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model('no_vocab')
    for name, parts in names(config):
        array = np.concatenate([weights[part].float().numpy() for part in parts])
        if array.ndim == 1:
            writer.add_tensor(name, array)
            continue
        in_8_bits = name.startswith(('token_embd', 'output'))
        kind = GGMLQuantizationType['Q8_0' if in_8_bits else precision]
        writer.add_tensor(name, quants.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load(checkpoint: Path, folder: Path, precision: str) -> 'LlamaCppEngine':
    """See Library."""
    return LlamaCppEngine(checkpoint, folder, precision)


def streamed(checkpoint: Path, folder: Path, precision: str) -> int:
    """See Library: all but the embeddings, which are in blocks of 32 with a scale in fp16."""
    rows, width = read_table(checkpoint).shape
    return (folder / FILE).stat().st_size - rows * width // 32 * 34


class Cache:
    """llama.cpp's memory of one sequence; a context has one of them."""

    def __init__(self, context: object, capacity: int) -> None:
        """Begin with no tokens."""
        import llama_cpp

        self._library = llama_cpp
        self._memory = llama_cpp.llama_get_memory(context)
        self.capacity, self.length = capacity, 0
        self.rewind(0)

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        self._library.llama_memory_seq_rm(self._memory, 0, length, -1)
        self.length = length


class LlamaCppEngine:
    """Engine on llama.cpp, without the picture's part: a further program of llama.cpp has that."""

    name, device = 'llama.cpp', 'cpu'

    def __init__(self, checkpoint: Path, folder: Path, precision: str) -> None:
        """Load a GGUF; without mapping it, which was slower."""
        import llama_cpp

        self._library = llama_cpp
        self.precision = precision
        self.config = read_config(folder)
        self._table = read_table(checkpoint)
        self._silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._silent, None)
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        settings.use_mmap = False
        self._model = llama_cpp.llama_model_load_from_file(str(folder / FILE).encode(), settings)
        if not self._model:
            raise RuntimeError(f'llama.cpp does not load {folder / FILE}')
        options = llama_cpp.llama_context_default_params()
        text = self.config.text
        options.n_ctx = options.n_batch = text.context_length
        options.n_ubatch = UBATCH
        options.n_threads = options.n_threads_batch = THREADS
        self._context = llama_cpp.llama_init_from_model(self._model, options)
        self._batch = llama_cpp.llama_batch_init(text.context_length, text.hidden_size, 1)

    def encode(self, pixels: Floats) -> Floats:
        """See Engine."""
        raise NotImplementedError

    def embed(self, tokens: Sequence[int]) -> Floats:
        """See Engine."""
        return self._table[list(tokens)].astype(np.float32)

    def new_cache(self) -> Cache:
        """See Engine."""
        return Cache(self._context, self.config.text.context_length)

    def prefill(self, embeddings: Floats, cache: Cache) -> Floats:
        """See Engine."""
        batch, tokens = self._batch, len(embeddings)
        rows: NDArray[np.float32] = np.ascontiguousarray(embeddings, np.float32)
        ctypes.memmove(batch.embd, rows.ctypes.data, rows.nbytes)
        batch.n_tokens = tokens
        for i in range(tokens):
            batch.pos[i] = cache.length + i
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            batch.logits[i] = i == tokens - 1
        if failure := self._library.llama_decode(self._context, batch):
            raise RuntimeError(f'llama_decode returns {failure}')
        cache.length += tokens
        logits = self._library.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(logits, (self.config.text.vocab_size,)).copy()

    def decode(self, token: int, cache: Cache) -> Floats:
        """See Engine."""
        return self.prefill(self.embed([token]), cache)
