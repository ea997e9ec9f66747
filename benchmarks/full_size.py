"""
LLaVA-Phi at its full size, with random weights: loading, memory, and agreement with transformers.

Each measurement has a process of its own. Agreement is that of the logits behind a picture and a
question and of the steps that follow: how far bf16 is from transformers' fp32, ours beside theirs,
and how far the two are from each other.
Takes 13 GB on the disk and 14 GB of memory.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from common import Row, report
from numpy.typing import NDArray
from tokenizers import Tokenizer, models

from ros2_llava_phi.engine.torch_engine import TorchEngine
from ros2_llava_phi.model.checkpoint import load_network, open_checkpoint
from ros2_llava_phi.model.config import ModelConfig
from ros2_llava_phi.model.convert import convert
from ros2_llava_phi.model.layout import ORIGINAL
from ros2_llava_phi.model.network import LlavaPhi
from ros2_llava_phi.model.published_config import to_original
from ros2_llava_phi.model.tokenizer import TOKENIZER_FILE
from ros2_llava_phi.model.weights import save_network

Logits = NDArray[np.float32]

TOKENS = list(range(1000, 1040))
STEPS = 4
BEHIND_PICTURE = 8  # tokens before it


def write_checkpoint(folder: Path, config: ModelConfig) -> None:
    """Write random weights, drawn as transformers draws them, in the fused layout of 4.36."""
    torch.manual_seed(0)
    with torch.device('meta'):
        network = LlavaPhi(config)
    network.to(torch.bfloat16).to_empty(device='cpu')
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if 'norm' in name and name.endswith('weight'):
                parameter.fill_(1.0)
            else:
                parameter.normal_(std=0.02)
    save_network(network, folder, None, ORIGINAL)
    (folder / 'config.json').write_text(json.dumps(to_original(config)))
    words = {f'w{number}': number for number in range(50256)} | {'<|endoftext|>': 50256}
    Tokenizer(models.WordLevel(words, '<|endoftext|>')).save(str(folder / TOKENIZER_FILE))


def pixels() -> Logits:
    """Return a picture."""
    return np.random.default_rng(0).normal(size=(3, 336, 336)).astype(np.float32)


def ours(folder: Path) -> tuple[Row, Logits]:
    """Load the fused checkpoint in bf16, and run it."""
    start, sampler = time.perf_counter(), PeakMemory()
    with sampler:
        network = load_network(folder, torch.bfloat16)
    loaded = time.perf_counter() - start
    engine = TorchEngine(network, 'bf16')
    cache = engine.new_cache()
    picture = engine.encode(pixels())
    parts = (engine.embed(TOKENS[:BEHIND_PICTURE]), picture, engine.embed(TOKENS[BEHIND_PICTURE:]))
    logits = [engine.prefill(np.concatenate(parts), cache)]
    logits += [engine.decode(token, cache) for token in range(STEPS)]
    size = sum(parameter.nbytes for parameter in network.parameters())
    row: Row = {
        'who': 'llava_phi, bf16',
        'loaded after [s]': loaded,
        'weights [GB]': size / 1e9,
        'anonymous memory at most [GB]': sampler.anonymous / 1e9,
        'resident at most [GB]': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    return row, np.stack(logits)


def theirs(folder: Path, dtype: torch.dtype) -> tuple[Row, Logits]:
    """Load the converted checkpoint with transformers, and run it; the head bias is given back."""
    from transformers import LlavaForConditionalGeneration

    start, sampler = time.perf_counter(), PeakMemory()
    with sampler:
        model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=dtype).eval()
    loaded = time.perf_counter() - start
    size = sum(parameter.nbytes for parameter in model.parameters())
    vocab, width = model.lm_head.weight.shape
    head = torch.nn.Linear(width, vocab, device='meta')
    head.weight = model.lm_head.weight
    head.bias = torch.nn.Parameter(head_bias(folder).to(dtype))
    model.lm_head = head
    image = model.config.image_token_index
    ids = [*TOKENS[:BEHIND_PICTURE], *[image] * 576, *TOKENS[BEHIND_PICTURE:]]
    logits = []
    with torch.inference_mode():
        out = model(
            input_ids=torch.tensor([ids]), pixel_values=torch.from_numpy(pixels())[None].to(dtype)
        )
        logits.append(out.logits[0, -1])
        for token in range(STEPS):
            out = model(input_ids=torch.tensor([[token]]), past_key_values=out.past_key_values)
            logits.append(out.logits[0, -1])
    row: Row = {
        'who': f'transformers, {str(dtype).split(".")[-1]}',
        'loaded after [s]': loaded,
        'weights [GB]': size / 1e9,
        'anonymous memory at most [GB]': sampler.anonymous / 1e9,
        'resident at most [GB]': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9,
    }
    return row, torch.stack(logits).float().numpy()


def head_bias(folder: Path) -> torch.Tensor:
    """Return the bias that transformers leaves out."""
    from ros2_llava_phi.model.tensor_files import read_tensors

    stored = open_checkpoint(folder).tensors['language_model.lm_head.bias']
    ((_, bias),) = read_tensors([stored])
    return bias.clone()


class PeakMemory:
    """Samples how much memory of its own (not mapped files) the process has while it is open."""

    anonymous = 0

    def __enter__(self) -> 'PeakMemory':
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            for line in Path('/proc/self/status').read_text().splitlines():
                if line.startswith('RssAnon:'):
                    self.anonymous = max(self.anonymous, int(line.split()[1]) * 1024)


def alone(function: Callable[..., tuple[Row, Logits]], *arguments: object) -> tuple[Row, Logits]:
    """Run a function in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    """Write the checkpoint twice, measure each side, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--json', type=Path, help='write machine and figures to this file, too')
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        fused, hf = Path(name, 'fused'), Path(name, 'hf')
        print('writing 6 GB of random weights', flush=True)
        write_checkpoint(fused, ModelConfig())
        print('converting them', flush=True)
        start = time.perf_counter()
        convert(open_checkpoint(fused), hf, 'hf')
        print(f'converted in {time.perf_counter() - start:.0f} s', flush=True)
        results = [alone(ours, fused)]
        print('ours ran', flush=True)
        results.append(alone(theirs, hf, torch.bfloat16))
        print('transformers ran in bf16', flush=True)
        results.append(alone(theirs, hf, torch.float32))
    in_bf16, exact = results[1][1], results[2][1]

    def distance(one: Logits, other: Logits) -> float:
        """Return the root mean square of a difference, in percent of that of exact logits."""
        return 100 * float(np.sqrt(((one - other) ** 2).mean() / (exact**2).mean()))

    rows = [
        {
            **row,
            'from their fp32 [%]': distance(logits, exact),
            'from their bf16 [%]': distance(logits, in_bf16),
        }
        for row, logits in results
    ]
    report('3,092,371,456 parameters, random weights', rows, chosen.json)


if __name__ == '__main__':
    main()
