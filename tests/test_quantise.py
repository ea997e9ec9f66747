"""Weights of 4 and 8 bits: what is stored, and how far it is from what was meant."""

import numpy as np
import pytest

from ros2_llava_phi.engine.quantise import block_size, quantise


@pytest.mark.parametrize(('bits', 'most'), [(8, 0.008), (4, 0.12)])
@pytest.mark.parametrize('inputs', [128, 192, 48, 640])
def test_rounding_moves_weights_little(bits: int, most: float, inputs: int) -> None:
    weight = np.random.default_rng(inputs).standard_normal((24, inputs)).astype(np.float32)
    rounded = quantise(weight, bits, block_size(weight.shape[1]))
    error = rounded.dequantised() - weight
    assert error.shape == weight.shape
    assert np.sqrt(np.square(error).mean()) < most
    assert rounded.integers.min() >= -(1 << (bits - 1))
    assert rounded.integers.max() < 1 << (bits - 1)


@pytest.mark.parametrize('bits', [4, 8])
def test_weights_on_the_grid_are_kept(bits: int) -> None:
    largest = (1 << (bits - 1)) - 1
    integers = np.random.default_rng(0).integers(-largest, largest + 1, (8, 128))
    integers[:, 0] = largest
    weight = (0.25 * integers).astype(np.float32)
    np.testing.assert_array_equal(
        quantise(weight, bits, block_size(weight.shape[1])).dequantised(), weight
    )


def test_the_grid_of_four_bits_beats_plain_rounding() -> None:
    weight = np.random.default_rng(1).standard_normal((64, 128)).astype(np.float32)
    plain = np.abs(weight).max(axis=1, keepdims=True) / 7
    wrong = np.rint(weight / plain) * plain - weight
    better = quantise(weight, 4, block_size(weight.shape[1])).dequantised() - weight
    assert np.square(better).mean() < 0.95 * np.square(wrong).mean()


def test_two_integers_share_a_byte_the_first_one_low() -> None:
    weight = np.zeros((1, 32), np.float32)
    weight[0, :2] = 7, -3
    packed = quantise(weight, 4, block_size(weight.shape[1])).packed()
    assert packed.shape == (1, 1, 16)
    assert packed[0, 0, 0] == (7 + 8) | ((-3 + 8) << 4)
    assert set(packed[0, 0, 1:].tolist()) == {8 | 8 << 4}


def test_an_empty_block_is_zero() -> None:
    np.testing.assert_array_equal(quantise(np.zeros((2, 64), np.float32), 8, 64).dequantised(), 0)


def test_blocks_divide_the_inputs_where_they_can() -> None:
    assert [block_size(inputs) for inputs in (2560, 192, 96, 50)] == [128, 64, 32, 32]
