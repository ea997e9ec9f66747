"""Camera messages to RGB: every encoding against slow arithmetic of its own, and bad messages."""

import base64
import random
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_llava_phi.errors import DamagedFrameError, FrameError
from ros2_llava_phi.imaging import ros_cv_bridge
from ros2_llava_phi.imaging.image_conversion import compressed_to_rgb, image_to_rgb
from ros2_llava_phi.imaging.pictures import jpeg_uri, read_picture
from ros2_llava_phi.imaging.pixels import MOST_PIXELS, PACKED, SEMI_PLANAR

WIDTH, HEIGHT = 8, 6
COLOURS = {
    'rgb8': 'rgb', 'rgb16': 'rgb', 'bgr8': 'bgr', 'bgr16': 'bgr', '8UC3': 'bgr',
    'rgba8': 'rgba', 'rgba16': 'rgba', 'bgra8': 'bgra', 'bgra16': 'bgra', '8UC4': 'bgra',
    'mono8': 'm', 'mono16': 'm', '8UC1': 'm',
}  # fmt: skip
YUV_422 = {'yuv422': 'uyvy', 'uyvy': 'uyvy', 'yuv422_yuy2': 'yuyv', 'yuyv': 'yuyv'}
BAYER = [name for name in PACKED if name.startswith('bayer_')]
SIXTEEN_BITS = [name for name in PACKED if PACKED[name].bits == 16]


@dataclass
class Message:
    """The fields of sensor_msgs/Image that make the picture."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


def message(encoding: str, padding: int = 0, big: int = 0, seed: int = 0) -> Message:
    """Return a message of noise, its padding as well."""
    if encoding in PACKED:
        row, rows = WIDTH * PACKED[encoding].channels * PACKED[encoding].bits // 8, HEIGHT
    else:
        row, rows = WIDTH, HEIGHT * SEMI_PLANAR[encoding].rows // 2
    data = np.random.default_rng(seed).integers(0, 256, (row + padding) * rows, np.uint8)
    return Message(HEIGHT, WIDTH, encoding, big, row + padding, data.tobytes())


def sample(of: Message, row: int, index: int) -> float:
    """Return one number of a row, scaled to 0..255, read byte by byte."""
    if of.encoding in PACKED and PACKED[of.encoding].bits == 16:
        start = row * of.step + 2 * index
        pair = of.data[start : start + 2]
        return int.from_bytes(pair, 'big' if of.is_bigendian else 'little') / 257
    return of.data[row * of.step + index]


def yuv_to_rgb(y: float, u: float, v: float) -> list[float]:
    """Convert by ITU-R BT.601, studio range: what cameras and OpenCV mean by YUV 4:2:x."""
    luma = 1.164383 * max(y - 16, 0)
    return [
        luma + 1.596027 * (v - 128),
        luma - 0.391762 * (u - 128) - 0.812968 * (v - 128),
        luma + 2.017232 * (u - 128),
    ]


def slow_pixel(of: Message, row: int, column: int) -> list[float]:
    """Return one pixel as RGB in the range 0..255, by the definition of its encoding."""
    if of.encoding in COLOURS:
        order = COLOURS[of.encoding]
        if order == 'm':
            return [sample(of, row, column)] * 3
        return [sample(of, row, column * len(order) + order.index(name)) for name in 'rgb']
    if of.encoding in YUV_422:
        first = column // 2 * 4
        order = YUV_422[of.encoding]
        y = sample(of, row, first + [i for i, name in enumerate(order) if name == 'y'][column % 2])
        return yuv_to_rgb(
            y, sample(of, row, first + order.index('u')), sample(of, row, first + order.index('v'))
        )
    y = sample(of, row, column)
    if of.encoding == 'nv24':
        pair = HEIGHT * of.step + row * 2 * of.step + 2 * column
    else:
        pair = (HEIGHT + row // 2) * of.step + column // 2 * 2
    u, v = of.data[pair], of.data[pair + 1]
    return yuv_to_rgb(y, v, u) if of.encoding == 'nv21' else yuv_to_rgb(y, u, v)


@pytest.mark.parametrize('big', [0, 1])
@pytest.mark.parametrize('padding', [0, 6, 7])
@pytest.mark.parametrize('encoding', [*COLOURS, *YUV_422, *SEMI_PLANAR])
def test_every_encoding_equals_slow_arithmetic(encoding: str, padding: int, big: int) -> None:
    given = message(encoding, padding, big)
    got = image_to_rgb(given)
    slow = np.array(
        [[slow_pixel(given, row, column) for column in range(WIDTH)] for row in range(HEIGHT)]
    )
    difference = np.abs(got.astype(float) - np.clip(slow, 0, 255))
    yuv = encoding in YUV_422 or encoding in SEMI_PLANAR
    assert difference.max() <= (1.01 if yuv else 0.5 if encoding.endswith('16') else 0)
    assert got.dtype == np.uint8 and got.flags.c_contiguous


@pytest.mark.parametrize('big', [0, 1])
@pytest.mark.parametrize('padding', [0, 7])
@pytest.mark.parametrize('encoding', BAYER)
def test_bayer_patterns(encoding: str, padding: int, big: int) -> None:
    # A picture of one colour: every pattern must give that colour back, everywhere.
    colour = {'r': 200, 'g': 120, 'b': 40}
    pattern = encoding.removeprefix('bayer_')[:4]
    bits = PACKED[encoding].bits
    values = np.array(
        [
            [colour[pattern[2 * (row % 2) + column % 2]] for column in range(WIDTH)]
            for row in range(HEIGHT)
        ]
    )
    raw = (values * 257).astype('>u2' if big else '<u2') if bits == 16 else values.astype(np.uint8)
    step = WIDTH * bits // 8 + padding
    data = b''.join(row.tobytes() + b'\xee' * padding for row in raw)
    got = image_to_rgb(Message(HEIGHT, WIDTH, encoding, big, step, data))
    assert (got == [200, 120, 40]).all()


@pytest.mark.parametrize('encoding', [*PACKED, *SEMI_PLANAR])
def test_the_picture_shares_nothing_with_the_message(encoding: str) -> None:
    given = message(encoding)
    data = np.frombuffer(given.data, np.uint8).copy()
    given.data = data
    got = image_to_rgb(given)
    before = got.copy()
    data[:] = 0
    assert (got == before).all()


def test_the_last_row_may_lack_its_padding() -> None:
    given = message('bgr8', padding=5)
    whole = image_to_rgb(given)
    given.data = given.data[:-5]
    assert (image_to_rgb(given) == whole).all()


@pytest.mark.parametrize('encoding', [*PACKED, *SEMI_PLANAR])
def test_short_data_are_refused_at_any_length(encoding: str) -> None:
    given = message(encoding, padding=3)
    whole = given.data
    for length in random.Random(1).sample(range(len(whole) - 3), 20):
        given.data = whole[:length]
        with pytest.raises(FrameError, match=f'has {length} bytes'):
            image_to_rgb(given)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'encoding': '16UC1'}, "'16UC1' is not one of rgb8"),
        ({'encoding': ''}, 'is not one of'),
        ({'width': 0}, 'at least one'),
        ({'height': 0}, 'at least one'),
        ({'width': 2**31, 'height': 2**31}, f'more than {MOST_PIXELS}'),
        ({'step': 0}, 'a row of 8 rgb8 pixels takes 24'),
        ({'step': 23}, 'step is 23'),
        ({'step': 2**32 - 1}, 'take'),
        ({'encoding': 'uyvy', 'width': 7}, 'multiple of 2'),
        ({'encoding': 'nv12', 'height': 5}, 'multiple of 2'),
    ],
)
def test_wrong_messages_are_refused(changes: dict[str, Any], words: str) -> None:
    given = message('rgb8')
    for name, value in changes.items():
        setattr(given, name, value)
    with pytest.raises(FrameError, match=words):
        image_to_rgb(given)


def test_noise_for_a_header_never_gets_through() -> None:
    rng = random.Random(2)
    names = [*PACKED, *SEMI_PLANAR, '', 'rgb']
    for _ in range(2000):
        given = Message(
            height=rng.choice([0, 1, 3, 6, 2**32 - 1]),
            width=rng.choice([0, 1, 2, 8, 2**32 - 1]),
            encoding=rng.choice(names),
            is_bigendian=rng.choice([0, 1, 255]),
            step=rng.choice([0, 1, 8, 24, 64, 2**32 - 1]),
            data=bytes(rng.randrange(600)),
        )
        try:
            assert image_to_rgb(given).shape == (given.height, given.width, 3)
        except FrameError as error:
            assert str(error)


def compressed(extension: str, picture: NDArray[Any], sent_as: str = '') -> SimpleNamespace:
    return SimpleNamespace(format=sent_as, data=cv2.imencode(extension, picture)[1].tobytes())


def test_compressed_pictures() -> None:
    colour = np.full((16, 16, 3), (30, 20, 10), np.uint8)
    assert (compressed_to_rgb(compressed('.png', colour, 'jpeg')) == [10, 20, 30]).all()
    jpeg = compressed_to_rgb(compressed('.jpg', colour, 'nonsense'))
    assert np.abs(jpeg.astype(int) - [10, 20, 30]).max() <= 3
    grey = compressed_to_rgb(compressed('.png', colour[..., 0]))
    assert grey.shape == (16, 16, 3) and (grey == 30).all()
    deep = compressed_to_rgb(compressed('.png', colour.astype(np.uint16) * 257))
    assert (deep == [10, 20, 30]).all()
    alpha = np.dstack([colour, np.full((16, 16), 7, np.uint8)])
    assert (compressed_to_rgb(compressed('.png', alpha)) == [10, 20, 30]).all()


@pytest.mark.parametrize('bits', [8, 16])
def test_a_bayer_pattern_as_png(bits: int) -> None:
    given = message(f'bayer_grbg{bits}')
    raw = np.frombuffer(given.data, f'<u{bits // 8}').reshape(HEIGHT, WIDTH)
    sent = compressed('.png', raw, f'bayer_grbg{bits}; png compressed ')
    assert (compressed_to_rgb(sent) == image_to_rgb(given)).all()
    wrong_depth = compressed('.png', raw, f'bayer_grbg{24 - bits}; png compressed ')
    assert (compressed_to_rgb(wrong_depth) == compressed_to_rgb(compressed('.png', raw))).all()


def test_an_exif_orientation_is_not_applied() -> None:
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:, 16:] = 255
    jpeg = cv2.imencode('.jpg', picture)[1].tobytes()
    exif = b'Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0'
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    turned = SimpleNamespace(format='jpeg', data=jpeg[:2] + segment + jpeg[2:])
    upright = cv2.imdecode(np.frombuffer(turned.data, np.uint8), cv2.IMREAD_COLOR)
    assert upright is not None and upright.shape[0] == 32
    got = compressed_to_rgb(turned)
    assert got.shape == (16, 32, 3) and got[8, 4].max() < 9 and got[8, 28].min() > 246


@pytest.mark.parametrize('extension', ['.jpg', '.png'])
def test_damaged_compressed_pictures_are_refused(extension: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    whole = compressed(extension, noise).data
    for length in [0, 1, 3, 8, 20, *random.Random(3).sample(range(20, len(whole) - 12), 30)]:
        with pytest.raises(FrameError):
            compressed_to_rgb(SimpleNamespace(format='', data=whole[:length]))


def test_other_formats_and_giants_are_refused() -> None:
    small = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(FrameError, match='neither JPEG nor PNG'):
        compressed_to_rgb(compressed('.bmp', small))
    png = bytearray(compressed('.png', small).data)
    png[16:24] = (60000).to_bytes(4, 'big') * 2
    with pytest.raises(FrameError):
        compressed_to_rgb(SimpleNamespace(format='', data=bytes(png)))


# What image_transport's plugins write, of raw encodings that are refused.
DEPTH = [
    '16UC1; png compressed ',
    '16UC1; jpeg compressed mono8',
    '16UC1;png compressed mono16',
    '32FC1; png compressed ',
    '32FC1; compressedDepth png',
    '16UC1; compressedDepth rvl',
    '16UC1; compressedDepth',
    'mono16; compressedDepth png',
    '32SC1; tiff compressed ',
    '64FC1; png compressed',
    '8UC2; png compressed',
    'TYPE_16UC1; png compressed ',
    '16UC1',
]
# How else it may be spelt, each as a matrix of 16 bits or of floats and by itself.
SPELT = [
    form.format(name)
    for name in ('16UC1', '16uc1', 'CV_16UC1', 'cv16U', 'TYPE_32fc1', 'CV_32F', '16sc1', '64FC(1)')
    for form in ('{}; png', '{} png', '{}', 'png; {}', ' {};jpeg compressed mono8', 'jpeg/{}')
] + ['Z16; png', 'z16', 'png z16h', 'depth16; png', 'jpeg; DEPTH', 'disparity; png', 'R_FLOAT32;']


@pytest.mark.parametrize('named', DEPTH + SPELT)
def test_depth_through_the_compressed_transport_is_refused_as_raw_depth_is(named: str) -> None:
    grey = np.full((16, 16), 40_000, np.uint16)
    depth_header = bytes(12)  # compressedDepth's, before its PNG
    for data in (
        compressed('.png', grey).data,
        compressed('.jpg', grey.astype(np.uint8)).data,
        depth_header + compressed('.png', grey).data,
    ):
        with pytest.raises(FrameError, match='depth or another measurement') as refusal:
            compressed_to_rgb(SimpleNamespace(format=named, data=data))
        assert named.partition(';')[0] in str(refusal.value)


@pytest.mark.parametrize('named', ['', 'jpeg', 'png', 'nonsense', 'mono16; png compressed '])
def test_what_is_no_depth_is_decoded_by_its_content(named: str) -> None:
    grey = np.full((16, 16), 40_000, np.uint16)
    assert (compressed_to_rgb(compressed('.png', grey, named)) == 156).all()
    for also in ('rgb8; jpeg compressed bgr8', '8UC3; jpeg compressed bgr8', 'cv_8uc3', 'h264'):
        whole = compressed('.jpg', np.full((16, 16, 3), 90, np.uint8), also)
        assert (compressed_to_rgb(whole) == 90).all()


@pytest.mark.parametrize(
    'named', ['h264', 'H.264', 'h265', 'hevc', 'avc1', 'av1', 'vp8', 'vp9', 'mpeg4', 'libx264', '']
)
def test_video_is_refused_with_a_sentence(named: str) -> None:
    packet = b'\0\0\0\x01\x67' + bytes(60)
    with pytest.raises(FrameError, match='is video, whose pictures cannot be decoded one by one'):
        compressed_to_rgb(SimpleNamespace(format=named, data=packet))


@pytest.mark.parametrize(
    ('extension', 'name'),
    [('.bmp', 'BMP'), ('.webp', 'WebP'), ('.tiff', 'TIFF'), ('.gif', 'GIF')],
)
def test_other_formats_are_refused_by_name(extension: str, name: str) -> None:
    try:
        message = compressed(extension, np.zeros((16, 16, 3), np.uint8))
    except cv2.error:
        pytest.skip(f'this OpenCV, {cv2.__version__}, writes no {name}')
    with pytest.raises(FrameError, match=f'neither JPEG nor PNG: it is {name}'):
        compressed_to_rgb(message)


def test_messages_without_data_are_refused() -> None:
    with pytest.raises(DamagedFrameError, match='the message holds no data'):
        compressed_to_rgb(SimpleNamespace(format='jpeg', data=b''))
    given = message('rgb8')
    given.data = b''
    with pytest.raises(DamagedFrameError, match='the message has 0 bytes of data'):
        image_to_rgb(given)


@pytest.mark.parametrize('encoding', [*PACKED, *SEMI_PLANAR])
@pytest.mark.parametrize('more', [1, 24, 1000])
def test_raw_images_that_are_longer_than_they_say_are_refused(encoding: str, more: int) -> None:
    given = message(encoding, padding=3)
    given.data += bytes(more)
    with pytest.raises(DamagedFrameError, match='bytes of data, but'):
        image_to_rgb(given)


@pytest.mark.parametrize('encoding', SIXTEEN_BITS)
@pytest.mark.parametrize('bits', [8, 10, 12, 14])
def test_significant_bits_are_scaled_to_white(encoding: str, bits: int) -> None:
    given = message(encoding)
    values = np.frombuffer(given.data, '<u2') >> (16 - bits)
    given.data = values.tobytes()
    full = message(encoding)
    full.data = np.round(values * (65535 / (2**bits - 1))).astype('<u2').tobytes()
    found = image_to_rgb(given, bits).astype(int)
    assert found.max() > 240 and np.abs(found - image_to_rgb(full)).max() <= 1
    if bits <= 12:
        with pytest.raises(FrameError, match=r'values end at \d+ of 65535, and would come out'):
            image_to_rgb(given)


@pytest.mark.parametrize('encoding', ['mono16', 'rgb16', 'bgra16', 'rgba16'])
@pytest.mark.parametrize('png', [False, True])
def test_the_range_is_that_of_all_pixels_and_of_no_alpha(encoding: str, png: bool) -> None:
    channels = PACKED[encoding].channels
    values = np.full((HEIGHT, WIDTH, channels), 900, np.uint16)
    if channels == 4:
        values[..., 3] = 65535

    def convert(bits: int) -> NDArray[np.uint8]:
        if png:
            return compressed_to_rgb(compressed('.png', values, f'{encoding}; png'), bits)
        step = 2 * WIDTH * channels
        return image_to_rgb(Message(HEIGHT, WIDTH, encoding, 0, step, values.tobytes()), bits)

    with pytest.raises(FrameError, match='values end at 900 of 65535'):
        convert(16)
    assert (convert(10) == 224).all()
    values[-1, -1, 0] = 20_000  # behind what is dark
    assert convert(16).max() == 78
    with pytest.raises(FrameError, match='values go up to 20000, beyond the 1023'):
        convert(10)


def test_bits_beyond_the_significant_ones_are_refused() -> None:
    with pytest.raises(FrameError, match='beyond the 1023 of 10 significant bits'):
        image_to_rgb(message('mono16'), 10)
    black = message('mono16')
    black.data = bytes(len(black.data))
    assert not image_to_rgb(black).any()  # nothing about its range is known
    eight = message('rgb8')
    assert (image_to_rgb(eight, 10) == image_to_rgb(eight)).all()


class Bridge:
    """A cv_bridge that notes what it is given and makes black pictures of it, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.given: list[tuple[str, int, str]] = []
        self.error = error

    def imgmsg_to_cv2(self, image: Message, encoding: str) -> NDArray[np.uint8]:
        self.given.append((image.encoding, image.step, encoding))
        if self.error is not None:
            raise self.error
        return np.zeros((HEIGHT, WIDTH, 3), np.uint8)


def use(monkeypatch: pytest.MonkeyPatch, bridge: Bridge, *encodings: str) -> None:
    found = ros_cv_bridge.Bridge(bridge, frozenset(encodings))
    monkeypatch.setattr(ros_cv_bridge, 'find_cv_bridge', lambda: found)


def test_cv_bridge_gets_only_what_it_converts_rightly(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge()
    use(monkeypatch, bridge, 'bgr8', 'mono16', 'bayer_rggb8')
    for one in (message('bgr8'), message('bgr8', 3), message('mono16', 2), message('bayer_rggb8')):
        assert not image_to_rgb(one).any()
    ours = [message('bgr8', 1), message('mono16', 0, 1), message('nv12'), message('rgb8')]
    ours.append(message('bgr8', 3))
    ours[-1].data = ours[-1].data[:-3]
    for one in ours:
        assert image_to_rgb(one).any()
    assert bridge.given == [
        ('bgr8', 24, 'rgb8'),
        ('bgr8', 27, 'rgb8'),
        ('mono16', 18, 'rgb8'),
        ('bayer_rggb8', 8, 'rgb8'),
    ]


@pytest.mark.parametrize('error', [TypeError('buffer'), KeyError('rgb8'), cv2.error('no')])
def test_what_cv_bridge_fails_at_is_converted_without_it(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    without = image_to_rgb(message('bgr8'))
    bridge = Bridge(error)
    use(monkeypatch, bridge, 'bgr8')
    assert (image_to_rgb(message('bgr8')) == without).all()
    assert bridge.given


# A cv_bridge that knows two encodings, is wrong about one of them, and raises at all others.
HALF_A_CV_BRIDGE = """
import os
import numpy as np
class CvBridge:
    def imgmsg_to_cv2(self, image, encoding):
        if {aborts}:
            os.abort()
        if image.encoding not in ('rgb8', 'bgr8'):
            raise AttributeError(image.encoding)
        return np.array(image.data, np.uint8).reshape(image.height, image.width, 3)
"""


@pytest.mark.parametrize('aborts', [False, True])
def test_a_cv_bridge_is_used_only_for_what_it_is_right_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, aborts: bool
) -> None:
    pytest.importorskip('sensor_msgs')
    (tmp_path / 'cv_bridge.py').write_text(HALF_A_CV_BRIDGE.format(aborts=aborts))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv('PYTHONPATH', f'{tmp_path}:{":".join(sys.path)}')
    monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)
    ros_cv_bridge.find_cv_bridge.cache_clear()
    found = ros_cv_bridge.find_cv_bridge()
    ros_cv_bridge.find_cv_bridge.cache_clear()
    sys.modules.pop('cv_bridge', None)
    if aborts:
        assert found is None
    else:
        assert found is not None and found.encodings == {'rgb8'}


def test_a_working_cv_bridge_is_used() -> None:
    pytest.importorskip('cv_bridge')
    found = ros_cv_bridge.find_cv_bridge()
    if found is None:
        pytest.skip('the cv_bridge of this machine does not work')
    assert {'rgb8', 'bgr8', 'mono8', 'bayer_rggb8'} <= found.encodings


def test_a_picture_in_a_page_is_the_picture_made_small() -> None:
    left_red = np.zeros((40, 80, 3), np.uint8)
    left_red[:, :40] = (220, 0, 0)
    for most_side, size in ((None, (40, 80)), (20, (10, 20)), (800, (40, 80))):
        head, _, data = jpeg_uri(left_red, most_side=most_side).partition(',')
        assert head == 'data:image/jpeg;base64'
        shown = read_picture(base64.b64decode(data)).astype(int)
        assert shown.shape == (*size, 3)
        assert abs(shown[:, : size[1] // 4] - (220, 0, 0)).max() < 12
        assert shown[:, -size[1] // 4 :].max() < 12
