"""An exported model on a CPU, run by ONNX Runtime: needs neither PyTorch nor transformers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ros2_llava_phi.model.config import ModelConfig, ModelError, TextConfig, read_config

from .engine import Floats, NumericsError, likeliest
from .exported import DECODER, EMBEDDINGS, VISION, Manifest, check_files, read_embeddings


class OnnxCache:
    """Keys and values in buffers that the decoder's graph reads and writes in place."""

    def __init__(self, config: TextConfig, session: ort.InferenceSession) -> None:
        """Reserve places for the model's context."""
        self.capacity = config.context_length
        self.length = 0
        self.binding = session.io_binding()
        self._places: list[Floats] = []
        shape = (1, config.heads, config.context_length, config.head_dim)
        for layer in range(config.layers):
            for kind in ('keys', 'values'):
                places = np.zeros(shape, np.float32)
                self._places.append(places)
                buffer = ort.OrtValue.ortvalue_from_numpy(places)
                self.binding.bind_ortvalue_input(f'{kind}.{layer}', buffer)
                self.binding.bind_ortvalue_output(f'new_{kind}.{layer}', buffer)

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(f'cannot rewind a cache of {self.length} tokens to {length}')
        self.length = length


class OnnxEngine:
    """Engine (see engine.py) on ONNX Runtime."""

    name = 'onnxruntime'
    device = 'cpu'

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        """
        Load an exported model, whose manifest has been read.

        Raises ModelError if a file is not what was exported, or the folder cannot be loaded.
        """
        check_files(folder, manifest.files, 'export again')
        self.config: ModelConfig = read_config(folder)
        self.precision: str = manifest.precision
        self._vision = _session(folder / VISION)
        self._decoder = _session(folder / DECODER)
        self._embeddings = read_embeddings(folder / EMBEDDINGS, self.config.text)
        vision, text = self.config.vision, self.config.text
        cache = [1, text.heads, text.context_length, text.head_dim]
        caches = {f'{kind}.{i}': cache for kind in ('keys', 'values') for i in range(text.layers)}
        _check(folder / VISION, self._vision, {'pixels': [1, 3, *2 * [vision.image_size]]})
        _check(folder / DECODER, self._decoder, {'past': [1], **caches})
        found = {
            VISION: self._vision.get_outputs()[0].shape,
            DECODER: self._decoder.get_outputs()[0].shape,
        }
        wanted = {
            VISION: [1, self.config.image_tokens, text.hidden_size],
            DECODER: [1, text.vocab_size],
        }
        for file, shape in found.items():
            if shape != wanted[file]:
                raise ModelError(
                    f'{folder / file} gives {shape}, but config.json asks for {wanted[file]}'
                )

    def encode(self, pixels: Floats) -> Floats:
        """Turn normalised pixels [3, side, side] into embeddings [image_tokens, hidden]."""
        embeddings = self._vision.run(None, {'pixels': pixels[None]})[0][0]
        return _finite(embeddings, 'vision tower or projector')

    def embed(self, tokens: Sequence[int]) -> Floats:
        """Return the embeddings [T, hidden] of T token ids."""
        embeddings: Floats = self._embeddings[list(tokens)].astype(np.float32)
        return embeddings

    def new_cache(self) -> OnnxCache:
        """Return an empty cache for the model's context length."""
        return OnnxCache(self.config.text, self._decoder)

    def prefill(self, embeddings: Floats, cache: OnnxCache) -> Floats:
        """Append embeddings [T, hidden] to the cache; return the last one's logits [vocab]."""
        tokens, past = len(embeddings), cache.length
        if past + tokens > cache.capacity:
            raise ValueError(f'{past} + {tokens} tokens do not fit a cache of {cache.capacity}')
        # Held until the run is over: a binding does not keep its arrays alive in every version.
        inputs = {
            'embeddings': np.ascontiguousarray(embeddings[None]),
            'past': np.array([past], np.int64),
        }
        logits = np.empty((1, self.config.text.vocab_size), np.float32)
        for name, array in inputs.items():
            cache.binding.bind_ortvalue_input(name, ort.OrtValue.ortvalue_from_numpy(array))
        cache.binding.bind_ortvalue_output('logits', ort.OrtValue.ortvalue_from_numpy(logits))
        self._decoder.run_with_iobinding(cache.binding)
        cache.length = past + tokens
        return _finite(logits[0], 'decoder')

    def decode(self, token: int, cache: OnnxCache) -> Floats:
        """Append one token to the cache; return its logits [vocab]."""
        return self.prefill(self.embed([token]), cache)

    def step(self, token: int, cache: OnnxCache) -> tuple[int, float]:
        """Append one token; return the likeliest one to follow, and the log of its probability."""
        return likeliest(self.decode(token, cache))


def _session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])
    except Exception as error:  # ONNX Runtime's own have nothing else in common
        reason = ' '.join(str(error).split())
        raise ModelError(f'{path} cannot be loaded by ONNX Runtime: {reason}') from error


def _check(path: Path, session: ort.InferenceSession, wanted: dict[str, list[int]]) -> None:
    """Raise ModelError if a graph's inputs, but for embeddings, are not those wanted."""
    found = {value.name: value.shape for value in session.get_inputs()}
    found.pop('embeddings', None)
    if different := [name for name in found | wanted if found.get(name) != wanted.get(name)]:
        name = different[0]
        raise ModelError(
            f'{path} takes {name} of {found.get(name, "no shape")}, but config.json asks for '
            f'{wanted.get(name, "none")}'
        )


def _finite(result: Floats, part: str) -> Floats:
    if np.isfinite(result).all():
        return result
    raise NumericsError(
        f'the {part} computed NaN or infinity; look at the checkpoint, and export it again'
    )
