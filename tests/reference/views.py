"""Reference implementation of docs/method.md 2: one clip after the other, in numpy.

Tests compare augmentations with it.
"""

import math

import numpy as np
import torch
from torch import Tensor

from scdnet.data.clips import Clips
from scdnet.data.masks import num_masked_joints
from scdnet.skeleton import NTU_25, neighbor_matrix


def resize(x: np.ndarray, num_frames: int) -> np.ndarray:
    """Resize a crop (C, T, V, M) to `num_frames` by torch's interpolation, as the original does."""
    c, t, v, m = x.shape
    flat = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 2, 3, 1))).reshape(1, c * v * m, t)
    flat = torch.nn.functional.interpolate(
        flat, size=num_frames, mode="linear", align_corners=False
    )
    return flat.reshape(c, v, m, num_frames).numpy().transpose(0, 3, 1, 2)


def augment(
    x: np.ndarray,
    *,
    rotation: np.ndarray | None = None,
    flip: bool = False,
    shear: np.ndarray | None = None,
    keep_joints: np.ndarray | None = None,
    keep_frames: np.ndarray | None = None,
) -> np.ndarray:
    """Rotate, flip, shear and mask one clip (C, T, V, M), in this order.

    `rotation` and `shear` are (C, C), `keep_joints` is (V,) bool and `keep_frames` (T,) bool.
    """
    if rotation is not None:
        x = np.tensordot(rotation, x, axes=1)
    if flip:
        x = x[:, :, list(NTU_25.mirror)]
    if shear is not None:
        x = np.tensordot(shear, x, axes=1)
    if keep_joints is not None:
        x = x.copy()
        x[:, :, ~keep_joints] = 0
    if keep_frames is not None:
        x = x.copy()
        x[:, ~keep_frames] = 0
    return np.ascontiguousarray(x)


class ReferenceViews:
    """Training views of the sequences of `clips`, drawn with numpy's random numbers."""

    def __init__(self, clips: Clips, seed: int) -> None:
        self.clips = clips
        self.config = clips.config.views
        self.rng = np.random.default_rng(seed)
        neighbors = neighbor_matrix(NTU_25)
        self.two_step_paths = neighbors @ neighbors

    def __call__(self, index: Tensor) -> Tensor:
        """Return one view of each of the sequences `index` (N,): (N, C, T, V, M)."""
        return torch.stack([torch.from_numpy(self.view(i)) for i in index.tolist()])

    def view(self, i: int) -> np.ndarray:
        """Return one view (C, T, V, M) of sequence `i`."""
        recordings = self.clips.recordings
        offset = int(recordings.offset[i])
        length = int(recordings.length[i])
        x = recordings.frames[:, offset : offset + length].numpy().transpose(0, 1, 3, 2)
        config = self.config
        return augment(
            resize(self.crop(x), self.clips.config.num_frames),
            rotation=self.rotation() if self.bernoulli(config.rotate_prob) else None,
            flip=self.bernoulli(config.flip_prob),
            shear=self.shear() if self.bernoulli(config.shear_prob) else None,
            keep_joints=self.joints() if self.bernoulli(config.joint_mask_prob) else None,
            keep_frames=self.segments() if self.bernoulli(config.frame_mask_prob) else None,
        )

    def bernoulli(self, probability: float) -> bool:
        """Draw True with the given probability."""
        return self.rng.random() < probability

    def crop(self, x: np.ndarray) -> np.ndarray:
        """Draw a part of consecutive frames of a recording (C, T, V, M)."""
        fraction = self.rng.uniform(self.config.min_crop_fraction, 1)
        wanted = max(math.floor(x.shape[1] * fraction), self.config.min_crop_frames)
        length = min(wanted, x.shape[1])
        start = self.rng.integers(x.shape[1] - length + 1)
        return x[:, start : start + length]

    def rotation(self) -> np.ndarray:
        """Draw a rotation (C, C) by a large angle about one axis and small ones about two."""
        largest_deg = [self.config.max_minor_angle_deg] * 3
        largest_deg[self.rng.integers(3)] = self.config.max_angle_deg
        angles = [math.radians(self.rng.uniform(0, largest)) for largest in largest_deg]
        (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
        about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
        about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
        about_z = np.array([[cz, sz, 0], [-sz, cz, 0], [0, 0, 1]])
        return (about_z @ about_y @ about_x).astype(np.float32)

    def shear(self) -> np.ndarray:
        """Draw a shear matrix (C, C) with ones on its diagonal."""
        largest = self.config.max_shear
        matrix = self.rng.uniform(-largest, largest, size=(3, 3))
        np.fill_diagonal(matrix, 1)
        return matrix.astype(np.float32)

    def joints(self) -> np.ndarray:
        """Draw the joints to keep (V,): all but those around a few seed joints."""
        num_seeds = max(1, round(self.config.seed_joint_fraction * NTU_25.num_joints))
        seeds = self.rng.integers(NTU_25.num_joints, size=num_seeds)
        score = self.two_step_paths[seeds].sum(axis=0) + self.rng.random(NTU_25.num_joints)
        num_kept = NTU_25.num_joints - num_masked_joints(self.config, NTU_25)
        keep = np.zeros(NTU_25.num_joints, dtype=bool)
        keep[np.argsort(score)[:num_kept]] = True
        return keep

    def segments(self) -> np.ndarray:
        """Draw the frames to keep (T,): all but those of a few segments."""
        keep = np.ones(self.config.num_segments, dtype=bool)
        keep[self.rng.permutation(len(keep))[: self.config.num_masked_segments]] = False
        return keep.repeat(self.clips.config.num_frames // len(keep))
