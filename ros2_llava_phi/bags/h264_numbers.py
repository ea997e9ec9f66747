"""Whether a picture of H.264 video is missing, by the numbers that pictures carry (frame_num)."""

from collections.abc import Iterable

# Profiles whose sequence parameter set goes on with chroma and bit depth (ITU-T H.264, 7.3.2.1.1).
WITH_CHROMA = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
SEQUENCE, PICTURE, KEY = 7, 8, 5
LEAST_MODULUS = 16


class FrameNumbers:
    """
    Follows the numbers of a stream's pictures, in the order of decoding (ITU-T H.264, 7.4.3).

    modulus: numbers begin again there; so many lost pictures in a row go unnoticed.
    """

    def __init__(self) -> None:
        """Begin before the first key frame."""
        # By id: the bits of a number, and whether planes are coded apart; and of pictures'
        # parameter sets, the id of the sequence's.
        self._sequences: dict[int, tuple[int, bool]] = {}
        self._pictures: dict[int, int] = {}
        self._reference = 0
        self.modulus = LEAST_MODULUS

    def learn(self, parameter_sets: Iterable[bytes]) -> None:
        """Take parameter sets; those that cannot be read are left to the decoder."""
        for each in parameter_sets:
            try:
                bits = _Bits(each)
                if each[0] & 0x1F == SEQUENCE:
                    self._learn_sequence(bits)
                elif each[0] & 0x1F == PICTURE:
                    self._pictures[bits.unsigned()] = bits.unsigned()
            except IndexError:
                continue

    def is_behind_a_loss(self, slice_: bytes) -> bool:
        """
        Return whether pictures that others may build on are missing before this one.

        slice_: the first of the picture. One that cannot be read counts as such.
        """
        try:
            number = self._number(slice_)
        except (IndexError, KeyError):
            return True
        is_reference = bool(slice_[0] & 0x60)
        if slice_[0] & 0x1F == KEY:
            self._reference = number
            return False
        follows = number == (self._reference + 1) % self.modulus
        if is_reference:
            self._reference = number
        return not follows

    def _learn_sequence(self, bits: '_Bits') -> None:
        profile = bits.read(8)
        bits.read(16)
        number = bits.unsigned()
        planes_apart = False
        if profile in WITH_CHROMA:
            chroma = bits.unsigned()
            planes_apart = chroma == 3 and bool(bits.read(1))
            bits.unsigned()
            bits.unsigned()
            bits.read(1)
            if bits.read(1):
                for index in range(12 if chroma == 3 else 8):
                    if bits.read(1):
                        _skip_scaling_list(bits, 16 if index < 6 else 64)
        self._sequences[number] = bits.unsigned() + 4, planes_apart

    def _number(self, slice_: bytes) -> int:
        bits = _Bits(slice_[:40])
        bits.unsigned()
        bits.unsigned()
        length, planes_apart = self._sequences[self._pictures[bits.unsigned()]]
        if planes_apart:
            bits.read(2)
        self.modulus = 1 << length
        return bits.read(length)


class _Bits:
    """The bits of a NAL unit behind its first byte (ITU-T H.264, 7.2 and 9.1)."""

    def __init__(self, unit: bytes) -> None:
        payload = unit[1:].replace(b'\x00\x00\x03', b'\x00\x00')
        self._left = 8 * len(payload)
        self._value = int.from_bytes(payload, 'big')

    def read(self, count: int) -> int:
        """Return the next bits as a number; raises IndexError behind the end."""
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & (1 << count) - 1

    def unsigned(self) -> int:
        """Return the next number of Exp-Golomb code, ue(v)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
        return (1 << zeros) - 1 + self.read(zeros)

    def signed(self) -> int:
        """Return the next one that may be negative, se(v)."""
        code = self.unsigned()
        return (code + 1) // 2 if code & 1 else -(code // 2)


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = 8
    for _ in range(size):
        last = (last + bits.signed()) % 256
        if not last:
            return
