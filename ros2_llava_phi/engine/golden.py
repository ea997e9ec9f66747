"""What a model must give for a picture and a prompt: recorded at export, compared once built."""

from pathlib import Path

import numpy as np

from ros2_llava_phi.errors import ModelError

from .engine import AnyEngine, Floats

GOLDEN = 'golden.npz'
BEFORE, BEHIND, STEPS = 8, 12, 3  # tokens around the picture, and decoded after them
# Of the recorded logits' size, by what a plan can be of.
LARGEST_ERROR = {'fp16': 0.1, 'bf16': 0.1, 'int8': 0.15, 'int4': 0.5}


def record(engine: AnyEngine, path: Path) -> None:
    """Write a random picture, a prompt, and the logits that an engine gives for them."""
    config, rng = engine.config, np.random.default_rng(0)
    side = config.vision.image_size
    pixels = rng.standard_normal((3, side, side)).astype(np.float32)
    tokens = rng.integers(0, config.text.vocab_size, BEFORE + BEHIND + STEPS)
    np.savez(path, pixels=pixels, tokens=tokens, logits=_logits(engine, pixels, tokens.tolist()))


def check(engine: AnyEngine, path: Path) -> float:
    """
    Return how far an engine is from what was recorded: rms, as a share of the logits' size.

    Raises ModelError if that is more than its precision can be the reason for.
    """
    with np.load(path, allow_pickle=False) as golden:
        recorded: Floats = golden['logits']
        logits = _logits(engine, golden['pixels'], golden['tokens'].tolist())
    error = float(np.sqrt(np.square(logits - recorded).mean() / np.square(recorded).mean()))
    if not error <= LARGEST_ERROR[engine.precision]:
        raise ModelError(
            f'{engine.name} gives other logits than the checkpoint: {error:.0%} off, where '
            f'{engine.precision} allows {LARGEST_ERROR[engine.precision]:.0%}'
        )
    return error


def _logits(engine: AnyEngine, pixels: Floats, tokens: list[int]) -> Floats:
    """Return the logits [1 + STEPS, vocab] behind a prompt, and behind every token after it."""
    picture = engine.encode(pixels)
    before, behind = tokens[:BEFORE], tokens[BEFORE : BEFORE + BEHIND]
    cache = engine.new_cache()
    prompt = np.concatenate([engine.embed(before), picture, engine.embed(behind)])
    logits = [engine.prefill(prompt, cache)]
    logits += [engine.decode(token, cache) for token in tokens[-STEPS:]]
    return np.stack(logits)
