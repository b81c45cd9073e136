"""Motion of sequences as bytes for a page: 15 frames a second, whole millimeters, compressed."""

import zlib
from typing import Any, NamedTuple

import numpy as np

from scdnet.skeleton import Skeleton

# Stores do not state how many frames a second has: as in NTU RGB+D.
FRAME_RATE = 30
# A page shows every second frame.
STEP = 2
FPS = FRAME_RATE // STEP
# The frames that a page shows of a sequence at most: 10 seconds.
MAX_FRAMES = 150
# A page of 15 MB has room for so many bytes of motion, which base64 makes a third larger.
MAX_MOTION_BYTES = 9_500_000
# Numbers of a compressed block: a few hundred sequences.
BLOCK_NUMBERS = 1_000_000
# The first coordinate of a joint or body that is absent in a frame.
ABSENT = -32768
# Millimeters in a meter; 2-D joints count thousandths of the trunk.
SCALE = 1000
LARGEST = 32_000


class Placed(NamedTuple):
    """Describes where the motion of a sequence is among the numbers of all blocks."""

    offset: int
    num_frames: int
    num_bodies: int
    # Whether the sequence is longer than what is shown.
    is_cut: bool


def describe_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """Return what drawing a skeleton takes: joints, bones, and the side of each joint."""
    left, right = skeleton.sides
    return {
        "name": skeleton.name,
        "joints": list(skeleton.joints),
        "bones": [list(bone) for bone in skeleton.bones],
        "side": [1 if v in left else 2 if v in right else 0 for v in range(skeleton.num_joints)],
        "dims": skeleton.dims,
    }


def quantize(frames: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Reduce frames (T, M, V, C) of a store to int16 (T', bodies, V, dims); see `Placed`.

    A second body that never appears is left out.
    """
    num_bodies = 2 if frames.shape[1] > 1 and frames[:, 1:].any() else 1
    shown = frames[::STEP, :num_bodies][:MAX_FRAMES]
    is_present = shown.any(axis=(2, 3), keepdims=True)  # (T', bodies, 1, 1)
    if skeleton.dims == 2:
        # The third coordinate is the score of the joint.
        is_present = is_present & (shown[..., 2:] > 0)
    numbers = np.clip(np.rint(shown[..., : skeleton.dims] * SCALE), -LARGEST, LARGEST)
    return np.where(is_present, numbers, ABSENT).astype(np.int16)


def differences(numbers: np.ndarray) -> np.ndarray:
    """Return the first frame of (T, ...) and the change to each later one, modulo 2^16."""
    unsigned = numbers.astype(np.uint16)
    return np.concatenate([unsigned[:1], unsigned[1:] - unsigned[:-1]])


def compress(numbers: np.ndarray) -> bytes:
    """Compress uint16 numbers (n,), their low bytes first: these and the high ones are alike."""
    planes = numbers.astype("<u2").view(np.uint8).reshape(-1, 2).T
    return zlib.compress(np.ascontiguousarray(planes).tobytes(), level=6)


class MotionWriter:
    """Collects the motion of sequences in blocks, up to a number of compressed bytes."""

    def __init__(self, skeleton: Skeleton, max_bytes: int) -> None:
        self.blocks: list[bytes] = []
        self._skeleton = skeleton
        self._max_bytes = max_bytes
        self._pending: list[np.ndarray] = []
        self._num_pending = 0
        self._num_numbers = 0

    @property
    def is_full(self) -> bool:
        """Return whether further motion is left out."""
        return sum(map(len, self.blocks)) >= self._max_bytes

    def add(self, frames: np.ndarray) -> Placed:
        """Add the frames (T, M, V, C) of a sequence."""
        numbers = quantize(frames, self._skeleton)
        placed = Placed(
            offset=self._num_numbers,
            num_frames=len(numbers),
            num_bodies=numbers.shape[1],
            is_cut=len(frames) > STEP * MAX_FRAMES,
        )
        self._pending.append(differences(numbers).ravel())
        self._num_pending += numbers.size
        self._num_numbers += numbers.size
        if self._num_pending >= BLOCK_NUMBERS:
            self.flush()
        return placed

    def flush(self) -> None:
        """Compress what has been added since the last block."""
        if self._pending:
            self.blocks.append(compress(np.concatenate(self._pending)))
            self._pending = []
            self._num_pending = 0
