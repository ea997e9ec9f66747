"""
How much of what damages a JPEG is seen: the rates in docs/node.md, and what decoding takes.

    python benchmarks/damaged_frames.py PICTURE [--of 200]

The picture is made 1280x720 and written as JPEG, quality 85, as baseline, with restart markers and
progressive. Damaged in one place drawn at random, it is refused, decoded as it was, or decoded as
another picture without a word. The last is counted, with the grey levels that the worst is off by.
The times are of a whole picture, and of one with the extraneous bytes that webcams write.
"""

import argparse
import io
import random
import re
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ros2_llava_phi.errors import FrameError
from ros2_llava_phi.imaging.jpeg import decode_jpeg

END = b'\xff\xd9'
Damage = Callable[[bytes, random.Random], bytes]


def cut(data: bytes, rng: random.Random) -> bytes:
    """Return the beginning."""
    return data[: rng.randrange(len(data) - len(END))]


def cut_and_ended(data: bytes, rng: random.Random) -> bytes:
    """Return the beginning, and an end-of-image marker."""
    return cut(data, rng) + END


def zeros_for_the_rest(data: bytes, rng: random.Random) -> bytes:
    """Return the beginning, zero bytes for what is lost, and an end-of-image marker."""
    begun = cut(data, rng)
    return begun + bytes(len(data) - len(begun) - len(END)) + END


def removed(count: int) -> Damage:
    """Return what takes so many bytes out of the middle."""

    def damage(data: bytes, rng: random.Random) -> bytes:
        at = rng.randrange(len(data) - count - len(END))
        return data[:at] + data[at + count :]

    return damage


def inserted(count: int) -> Damage:
    """Return what puts so many random bytes into the middle."""

    def damage(data: bytes, rng: random.Random) -> bytes:
        at = rng.randrange(len(data) - len(END))
        return data[:at] + rng.randbytes(count) + data[at:]

    return damage


def overwritten(count: int) -> Damage:
    """Return what writes random bytes over so many."""

    def damage(data: bytes, rng: random.Random) -> bytes:
        at = rng.randrange(len(data) - count - len(END))
        return data[:at] + rng.randbytes(count) + data[at + count :]

    return damage


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Return the data with one bit flipped."""
    damaged = bytearray(data)
    damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


DAMAGES: dict[str, Damage] = {
    'cut off': cut,
    'cut off, end marker appended': cut_and_ended,
    'cut off, filled with zeros': zeros_for_the_rest,
    '1000 bytes removed': removed(1000),
    '100 bytes removed': removed(100),
    '16 bytes removed': removed(16),
    '1 byte removed': removed(1),
    '16 bytes inserted': inserted(16),
    '16 bytes overwritten': overwritten(16),
    'one bit flipped': flipped,
}
WRITTEN: dict[str, dict[str, Any]] = {
    'baseline': {},
    'restart markers': {'restart_marker_rows': 1},
    'progressive': {'progressive': True},
}


def as_jpeg(picture: Image.Image, quality: int = 85, **how: Any) -> bytes:
    """Return a picture as JPEG."""
    file = io.BytesIO()
    picture.save(file, 'JPEG', quality=quality, **how)
    return file.getvalue()


def unseen(data: bytes, damage: Damage, of: int, seed: int = 0) -> tuple[int, float]:
    """
    Return how often damage makes another picture without a word, of so many.

    Beside it, by how many grey levels the worst of these differs on average.
    """
    whole = decode_jpeg(data).pixels.astype(np.int16)
    rng, differences = random.Random(seed), []
    for _ in range(of):
        try:
            pixels = decode_jpeg(damage(data, rng)).pixels
        except FrameError:
            continue
        same = pixels.shape == whole.shape
        differences.append(float(np.abs(pixels - whole).mean()) if same else 255.0)
    wrong = [each for each in differences if each]
    return len(wrong), max(wrong, default=0.0)


def as_webcams_write(picture: Image.Image) -> bytes:
    """Return a picture as JPEG with a zero byte before each restart marker and the end."""
    data = as_jpeg(picture, restart_marker_rows=1)
    scan = data.index(b'\xff\xda')
    return data[:scan] + re.sub(rb'(?=\xff[\xd0-\xd7\xd9])', b'\0', data[scan:])


def by_opencv(data: bytes) -> NDArray[Any]:
    """Decode a JPEG as a robot would without us."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def milliseconds(decode: Callable[[], object], runs: int = 30) -> float:
    """Return what decoding takes at best."""
    took = []
    for _ in range(runs):
        start = perf_counter()
        decode()
        took.append(perf_counter() - start)
    return 1000 * min(took)


def main() -> None:
    """Print the rates, and the times."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').strip().splitlines()[0])
    parser.add_argument('picture')
    parser.add_argument('--of', type=int, default=200)
    given = parser.parse_args()
    picture = Image.open(given.picture).convert('RGB')
    hd = picture.resize((1280, 720))
    print(f'| Damage, {given.of} times each | {" | ".join(WRITTEN)} |\n| --- |' + ' --- |' * 3)
    for name, damage in DAMAGES.items():
        rates = []
        for how in WRITTEN.values():
            count, worst = unseen(as_jpeg(hd, **how), damage, given.of)
            rates.append(f'{count / given.of:.1%} (by {worst:.1f})' if count else '0')
        print(f'| {name} | {" | ".join(rates)} |', flush=True)
    for size in ((1280, 720), (1920, 1080)):
        data = as_jpeg(picture.resize(size))
        webcams = as_webcams_write(picture.resize(size))
        ours, opencv = (milliseconds(partial(each, data)) for each in (decode_jpeg, by_opencv))
        extraneous = milliseconds(partial(decode_jpeg, webcams))
        print(
            f'{size}: {len(data)} bytes, {ours:.1f} ms; OpenCV {opencv:.1f} ms; '
            f'with extraneous bytes {extraneous:.1f} ms'
        )


if __name__ == '__main__':
    main()
