"""JPEG that lost data is refused, wherever it was damaged; what webcams write is not."""

import io
import itertools
import random
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from damaged_frames import DAMAGES, as_jpeg, cut, cut_and_ended, removed, zeros_for_the_rest
from PIL import Image, ImageFile

from ros2_llava_phi.errors import DamagedFrameError, FrameError, InstallationError
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb
from ros2_llava_phi.imaging.jpeg import check_decoder, decode_jpeg
from ros2_llava_phi.imaging.pictures import read_picture, to_rgb

MARKER = re.compile(rb'\xff[\xd0-\xd7\xd9]')
SCAN = b'\xff\xda'
KINDS: dict[str, dict[str, Any]] = {
    'baseline': {},
    '4:4:4': {'subsampling': 0},
    '4:2:2': {'subsampling': 1},
    'optimised': {'optimize': True},
    'progressive': {'progressive': True},
    'a restart marker a row': {'restart_marker_rows': 1},
    'a restart marker every 5 blocks': {'restart_marker_blocks': 5},
}
PLAIN = [name for name in KINDS if name != 'progressive']


def scene(width: int = 301, height: int = 203, seed: int = 0) -> Image.Image:
    """Return a picture with edges and noise, and flat colours in a third of it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (height // 30, width // 30, 3), np.uint8)
    pixels = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    pixels += rng.integers(-20, 21, pixels.shape)
    pixels[:, 2 * width // 3 :] = (90, 96, 99)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def jpeg(kind: str, mode: str = 'RGB', seed: int = 0) -> bytes:
    return as_jpeg(scene(seed=seed).convert(mode), 92, **KINDS[kind])


def padded(data: bytes, rng: random.Random, most: int = 9) -> bytes:
    """Return a JPEG with zero bytes before each marker of its scan, as webcams write them."""
    scan = max(0, data.find(SCAN))
    return data[:scan] + MARKER.sub(
        lambda marker: bytes(rng.randrange(most + 1)) + marker.group(), data[scan:]
    )


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_a_jpeg_cut_anywhere_is_refused(kind: str, mode: str) -> None:
    data, rng = jpeg(kind, mode), random.Random(kind)
    if (kind, mode) == ('4:2:2', 'CMYK'):
        return  # which is refused, whole or not
    for damage, _ in itertools.product((cut, cut_and_ended, zeros_for_the_rest), range(15)):
        with pytest.raises(DamagedFrameError):
            decode_jpeg(damage(data, rng))


@pytest.mark.parametrize('kind', PLAIN)
def test_a_jpeg_without_a_kilobyte_is_refused(kind: str) -> None:
    data, rng = jpeg(kind), random.Random(kind)
    for _ in range(40):
        with pytest.raises(DamagedFrameError):
            decode_jpeg(removed(rng.randrange(1000, 4000))(data, rng))


def test_a_progressive_jpeg_is_refused_behind_any_of_its_scans() -> None:
    data = jpeg('progressive')
    scans = [found.start() for found in re.finditer(SCAN, data)]
    tables = [found.start() for found in re.finditer(b'\xff\xc4', data)]
    assert len(scans) > 5
    for scan in scans[1:]:
        between = max([at for at in tables if at < scan and at > scans[0]], default=scan)
        for end in (scan, between):
            with pytest.raises(DamagedFrameError):
                decode_jpeg(data[:end] + b'\xff\xd9')


def test_a_progressive_jpeg_without_a_kilobyte_differs_by_a_trace_or_is_refused() -> None:
    data, rng, refused = jpeg('progressive'), random.Random(0), 0
    whole = decode_jpeg(data).pixels.astype(int)
    for _ in range(60):
        try:
            found = decode_jpeg(removed(1000)(data, rng)).pixels
        except DamagedFrameError:
            refused += 1
        else:
            assert np.abs(found - whole).mean() < 2
    assert refused > 30


@pytest.mark.parametrize('kind', ['a restart marker a row', 'a restart marker every 5 blocks'])
def test_restart_markers_that_are_missing_or_out_of_order_are_refused(kind: str) -> None:
    data = jpeg(kind)
    markers = [*MARKER.finditer(data, data.index(SCAN))][:-1]
    for marker in markers:
        with pytest.raises(DamagedFrameError):
            decode_jpeg(data[: marker.start()] + data[marker.end() :])
        other = bytes([0xFF, 0xD0 + (marker.group()[1] + 3) % 8])
        with pytest.raises(DamagedFrameError):
            decode_jpeg(data[: marker.start()] + other + data[marker.end() :])
    for first, second in itertools.pairwise(markers):
        with pytest.raises(DamagedFrameError):
            decode_jpeg(data[: first.start()] + data[second.start() :])


@pytest.mark.parametrize('damage', DAMAGES)
def test_whatever_happens_to_a_jpeg_is_a_picture_or_a_sentence(damage: str) -> None:
    rng, data = random.Random(damage), jpeg('a restart marker a row')
    for _ in range(60):
        try:
            pixels = decode_jpeg(DAMAGES[damage](data, rng)).pixels
        except FrameError as error:
            assert 'JPEG' in str(error) or 'the picture has' in str(error)
        else:
            assert pixels.dtype == np.uint8


@pytest.mark.parametrize('kind', [each for each in KINDS if each != 'optimised'])
@pytest.mark.parametrize('mode', ['RGB', 'L'])
def test_the_zero_bytes_that_webcams_write_are_counted_and_lose_nothing(
    kind: str, mode: str
) -> None:
    rng, counted = random.Random(kind), 0
    for seed in range(4):
        data = jpeg(kind, mode, seed)
        whole = decode_jpeg(data)
        found = decode_jpeg(padded(data, rng) if seed else padded(data, rng, 30))
        assert whole.extraneous == 0 and (found.pixels == whole.pixels).all()
        counted += found.extraneous
    assert counted


def test_zero_bytes_before_a_marker_that_are_data_stay() -> None:
    """Flat colours end in eight bits of zero: a byte of them, where that fits."""
    data = jpeg('a restart marker every 5 blocks')
    scan = data.index(SCAN)
    if not re.search(rb'[^\xff]\x00\xff[\xd0-\xd7]', data[scan:]):
        pytest.skip('the JPEG encoder of this OpenCV left no such byte')
    whole = decode_jpeg(data).pixels
    found = decode_jpeg(data[:scan] + MARKER.sub(lambda one: bytes(8) + one.group(), data[scan:]))
    assert (found.pixels == whole).all() and found.extraneous > 8 * 40


@pytest.mark.parametrize('damage', [cut_and_ended, zeros_for_the_rest, removed(1000)])
def test_webcams_zero_bytes_hide_no_damage(damage: Any) -> None:
    for kind in ('a restart marker a row', 'a restart marker every 5 blocks', '4:2:2'):
        rng = random.Random(kind)
        for _ in range(15):
            with pytest.raises(DamagedFrameError):
                decode_jpeg(damage(padded(jpeg(kind), rng), rng))
            with pytest.raises(DamagedFrameError):
                decode_jpeg(padded(damage(jpeg(kind), rng), rng))


def test_other_extraneous_bytes_are_refused() -> None:
    data = jpeg('a restart marker a row')
    for marker in MARKER.finditer(data, data.index(SCAN)):
        more = random.Random(marker.start()).randbytes(20).replace(b'\xff', b'\x7f')
        with pytest.raises(DamagedFrameError, match='extraneous bytes before marker'):
            decode_jpeg(data[: marker.start()] + more + data[marker.start() :])


def test_zero_bytes_between_segments_lose_nothing() -> None:
    data = jpeg('baseline')
    tables = data.index(b'\xff\xdb')
    found = decode_jpeg(data[:tables] + b'\0' + data[tables:])
    assert (found.pixels == decode_jpeg(data).pixels).all() and found.extraneous == 1
    with pytest.raises(DamagedFrameError):
        decode_jpeg(data[:tables] + b'\x07' + data[tables:])
    assert (read_picture(data[:2] + b'\0' + data[2:]) == read_picture(data)).all()


def test_motion_jpeg_without_huffman_tables_is_decoded() -> None:
    """They are optional in AVI1 and USB video, and then those of T.81, annex K.3."""
    data = jpeg('4:2:2')
    bare = data
    while (at := bare.find(b'\xff\xc4')) >= 0:
        bare = bare[:at] + bare[at + 2 + int.from_bytes(bare[at + 2 : at + 4], 'big') :]
    assert len(bare) < len(data) - 400
    assert (decode_jpeg(bare).pixels == decode_jpeg(data).pixels).all()


def test_what_follows_a_jpeg_is_not_read() -> None:
    data = jpeg('baseline')
    for behind in (bytes(4096), jpeg('baseline', seed=1), b'\xff\xd9', bytes(2) + data[:500]):
        assert (decode_jpeg(data + behind).pixels == decode_jpeg(data).pixels).all()


@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_whole_jpeg_is_the_same_as_by_opencv_and_pillow(kind: str, mode: str) -> None:
    for width, height in ((1, 1), (17, 9), (64, 48)):
        data = as_jpeg(
            scene(max(60, width), max(60, height)).convert(mode).crop((0, 0, width, height)),
            90,
            **KINDS[kind],
        )
        if (kind, mode) == ('4:2:2', 'CMYK'):
            with pytest.raises(FrameError, match='another chroma subsampling'):
                read_picture(data)
            continue
        found = read_picture(data).astype(int)
        by_pillow = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
        by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert by_opencv is not None and (found == by_opencv[..., ::-1]).all()
        assert np.abs(found - by_pillow).max() <= (mode == 'CMYK')


@pytest.mark.parametrize('code', [0xC3, 0xC9, 0xCA])
def test_jpeg_whose_loss_nobody_would_see_is_refused(code: int) -> None:
    """Of arithmetic-coded data, libjpeg does not warn when they end too early."""
    data = jpeg('baseline')
    with pytest.raises(FrameError, match='only baseline and progressive JPEG'):
        decode_jpeg(data.replace(b'\xff\xc0', bytes([0xFF, code]), 1))


def test_every_way_to_a_picture_refuses_a_jpeg_that_lost_data(tmp_path: Path) -> None:
    whole = jpeg('baseline')
    lost = whole[: len(whole) // 3] + b'\xff\xd9'
    assert np.asarray(Image.open(io.BytesIO(lost)).convert('RGB')).any()  # as it was before
    (tmp_path / 'lost.jpg').write_bytes(lost)
    ways: list[Any] = [
        lambda: compressed_to_rgb(SimpleNamespace(format='jpeg', data=lost)),
        lambda: read_picture(tmp_path / 'lost.jpg'),
        lambda: to_rgb(lost),
        lambda: to_rgb(Image.open(io.BytesIO(lost))),
    ]
    for way in ways:
        with pytest.raises(DamagedFrameError, match='the JPEG lost data: premature end'):
            way()


def test_a_picture_of_pillow_is_still_its_owners_after_a_look() -> None:
    data = jpeg('baseline')
    whole, draft = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(data))
    assert (to_rgb(whole) == decode_jpeg(data).pixels).all()
    assert (np.asarray(whole) == decode_jpeg(data).pixels).all()
    draft.draft('RGB', (40, 30))
    assert to_rgb(draft).shape == (draft.height, draft.width, 3) and draft.size != whole.size


def test_a_tiff_with_a_jpeg_inside_is_refused() -> None:
    file = io.BytesIO()
    scene(64, 60).save(file, 'TIFF', compression='jpeg')
    with pytest.raises(FrameError, match='TIFF with JPEG inside'):
        read_picture(file.getvalue())


def png(**how: Any) -> bytes:
    file = io.BytesIO()
    scene(64, 60).save(file, 'PNG', **how)
    return file.getvalue()


def chunks(data: bytes) -> list[tuple[int, int]]:
    """Return start and end of each chunk of a PNG."""
    found, at = [], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], 'big')
        found.append((at, end))
        at = end
    return found


def test_a_png_with_a_wrong_crc_or_cut_anywhere_is_refused() -> None:
    data, rng = png(dpi=(72, 72)), random.Random(0)
    whole = read_picture(data)
    ways: list[Any] = [
        read_picture,
        lambda given: compressed_to_rgb(SimpleNamespace(format='png', data=given)),
    ]
    assert all((way(data) == whole).all() for way in ways)
    damaged = [data[: rng.randrange(len(data) - 4)] for _ in range(40)]
    for start, end in chunks(data):
        for at in (end - 1, rng.randrange(start + 8, max(start + 9, end - 4))):
            damaged.append(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    for way, given in itertools.product(ways, damaged):
        with pytest.raises(FrameError):
            way(given)


def test_pillow_set_to_repair_pictures_repairs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, 'LOAD_TRUNCATED_IMAGES', True)
    for form in ('PNG', 'BMP', 'TIFF', 'JPEG'):
        file = io.BytesIO()
        scene(64, 60).save(file, form)
        with pytest.raises(FrameError):
            read_picture(file.getvalue()[: len(file.getvalue()) // 2])


def test_without_simplejpeg_nothing_is_decoded_by_another(tmp_path: Path) -> None:
    (tmp_path / 'simplejpeg.py').write_text('raise ImportError("no such module")')
    (tmp_path / 'whole.jpg').write_bytes(jpeg('baseline'))
    program = (
        'import sys; sys.path.insert(0, sys.argv[1])\n'
        'import ros2_llava_phi as llava_phi\n'
        'try:\n'
        '    llava_phi.Frame(sys.argv[1] + "/whole.jpg")\n'
        'except llava_phi.InstallationError as error:\n'
        '    print(error)\n'
    )
    ran = subprocess.run(
        [sys.executable, '-c', program, str(tmp_path)], capture_output=True, text=True
    )
    assert ran.stdout.startswith('simplejpeg is missing (no such module): without it'), ran.stderr
    assert "pip install 'simplejpeg>=" in ran.stdout


def test_a_simplejpeg_that_is_not_strict_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    check_decoder()
    monkeypatch.setattr('ros2_llava_phi.imaging.jpeg._lacking', 'simplejpeg 1.6.6 is too old')
    with pytest.raises(InstallationError, match=r'simplejpeg 1\.6\.6 is too old'):
        decode_jpeg(jpeg('baseline'))
