"""The conversion of `.skeleton` files against its reference implementation."""

import numpy as np
import pytest

from scdnet.raw.ntu import Body, format_skeleton, read_frames
from tests.reference import normalization as reference

NUM_FRAMES = 12


def write_recording(presence: tuple[str, ...], seed: int) -> bytes:
    """Return a `.skeleton` file of random walks; body m is in frame t where presence[m][t] is x."""
    rng = np.random.default_rng(seed)
    size = (len(presence), NUM_FRAMES, 25, 3)
    walks = rng.normal(0, 0.5, (size[0], 1, 25, 3)) + rng.normal(0, 0.01, size).cumsum(axis=1)
    frames = [
        [Body(m, walks[m, t]) for m in range(len(presence)) if presence[m][t] == "x"]
        for t in range(NUM_FRAMES)
    ]
    return format_skeleton(frames).encode()


@pytest.mark.parametrize(
    "presence",
    [
        ("xxxxxxxxxxxx",),
        ("xxxxxxxxxxxx", "xxxxxxxxxxxx"),
        ("xxxxxxxxxxxx", "....xxxxxxxx"),
        ("xxxxxxxxxxxx", "xxxxx......."),
        ("xxxxxxxxxxxx", "...xx..xx..."),
        ("....xxxxxxxx",),
        ("xxxxx..xxxxx", "xxxxxxxxxxxx", "xx..xx..xx.."),
        ("xxxxxxxxxxxx", "xxxxxxxxxxxx", "xxxxxxxxxxxx", "xxxxxxxxxxxx", "xxxxxxxxxxxx"),
    ],
)
def test_conversion_equals_the_reference_implementation(presence: tuple[str, ...]):
    for seed in range(3):
        data = write_recording(presence, seed)
        expected = reference.read_frames(data, padded_frames=0)
        np.testing.assert_allclose(read_frames(data, "a test"), expected, rtol=0, atol=1e-5)
