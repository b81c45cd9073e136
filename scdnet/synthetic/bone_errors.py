"""How a Kinect misplaces joints, as measured on real recordings.

GROUP_ERRORS reproduces what tools/bench/measure_recordings.py finds in UI-PRMD (2000 recordings)
and IRDS (188), both of Kinect v2; docs/demo.md has the whole table. Medians over the recordings,
UI-PRMD / IRDS (the hands of UI-PRMD are not measured ones):

                                     trunk      arm        leg        foot       hand
    length varies in a recording, %  2.4 / 1.4  4.3 / 4.1  3.7 / 2.3  6.7 / 3.4  - / 23
    of it slowly, %                  2.0 / 1.2  2.9 / 2.1  2.8 / 1.8  3.8 / 2.0  - / 12
    length off by a quarter, 1/min   2.7 / 1.5  4.3 / 15   2.4 / 0.2  30 / 11    - / 177
    jitter while slow, mm            0.2 / 0.1  0.5 / 0.4  0.2 / 0.1  0.4 / 0.1  - / 2.0
    differs between actions, %       3.6 / 2.9  6.7 / 5.0  5.7 / 3.6  8.9 / 2.3  - / 19

The sensor smooths: an error hardly changes while a joint stands still (the length of an arm by
0.1 % a frame) and changes as it moves (by 1.4 to 2.2 % over 16 to 32 mm), so the drift here runs
along the way of the joint, not along time. No measured recording has a frozen frame. The factors
on the far side lie between those of side views in UI-PRMD and in NW-UCLA (Kinect v1, three
cameras).
"""

from typing import NamedTuple

import numpy as np

from scdnet.skeletons import NTU_25

FRAME_RATE = 30  # Hz, Kinect v2
# The bones of a group err alike; a bone belongs to the first group with a word in its outer joint.
GROUP_WORDS = {
    "hand": ("tip", "thumb", "hand"),
    "arm": ("elbow", "wrist"),
    "foot": ("foot",),
    "leg": ("knee", "ankle"),
    "trunk": ("",),
}


class BoneErrors(NamedTuple):
    """The errors of the bones of one group; standard deviations along each axis."""

    # Constant in a recording, and changing as the bone moves; fractions of the bone's length.
    bias: float
    drift: float
    # The change from frame to frame.
    jitter_m: float
    # A third of them change the length by a quarter or more.
    excursions_per_min: float


GROUP_ERRORS = {
    "trunk": BoneErrors(0.025, 0.02, 0.0001, 6),
    "arm": BoneErrors(0.06, 0.02, 0.0003, 24),
    "hand": BoneErrors(0.18, 0.17, 0.0015, 100),
    "leg": BoneErrors(0.04, 0.05, 0.0001, 4),
    "foot": BoneErrors(0.055, 0.03, 0.0002, 60),
}
# The mean duration of an excursion, and its standard deviation as a fraction of the bone's length.
EXCURSION_FRAMES = 4
EXCURSION_STD = 0.25
# Wave numbers of the drift, and the way that a joint that stands still counts in a frame.
DRIFT_RAD_PER_M = (4, 30)
IDLE_TRAVEL_M = 0.0005
# Factors on bias and drift of the side away from the camera, of a body at 60 degrees or more.
FAR_BIAS = 2.0
FAR_DRIFT = 1.4
# The fraction by which the same bones are then longer, by a word in the outer joint.
FAR_STRETCH = {"shoulder": 0.15, "hip": -0.3}

CHILD, PARENT = np.array(NTU_25.bones).T


def bone_group(joint: str) -> str:
    """Return the group of the bone that ends in the joint of this name."""
    return next(name for name, words in GROUP_WORDS.items() if any(word in joint for word in words))


def _joints_moved() -> np.ndarray:
    """Return (V, B), 1 where a joint is moved by an error of a bone: on the way to the root."""
    moved = np.zeros((NTU_25.num_joints, len(CHILD)))
    bone_of = {child: bone for bone, child in enumerate(CHILD.tolist())}
    for joint in range(NTU_25.num_joints):
        end = joint
        while end != NTU_25.root:
            moved[joint, bone_of[end]] = 1
            end = NTU_25.parents[end]
    return moved


JOINTS_MOVED = _joints_moved()
# A row for each bone.
ERRORS = np.array([GROUP_ERRORS[bone_group(NTU_25.joints[child])] for child in CHILD])
STRETCH = np.array(
    [
        sum(value for word, value in FAR_STRETCH.items() if word in NTU_25.joints[child])
        for child in CHILD
    ]
)


def misplace_joints(
    joints: np.ndarray, rng: np.random.Generator, *, scale: float = 1
) -> np.ndarray:
    """Return a body (T, V, C), in meters in the camera's axes, as the sensor sees it.

    Each bone has an error of its own, which moves all joints beyond it as well; `scale` is a factor
    on all errors.
    """
    bones = joints[:, CHILD] - joints[:, PARENT]
    length = np.median(np.linalg.norm(bones, axis=-1), axis=0)[:, None]  # (B, 1)
    bias, drift, jitter, rate = ERRORS.T[..., None]
    hidden = _hidden_fraction(joints)[:, None]
    constant = rng.standard_normal((len(CHILD), 3)).clip(-2.5, 2.5)
    error = bias * (1 + hidden * (FAR_BIAS - 1)) * constant
    error = error + drift * (1 + hidden * (FAR_DRIFT - 1)) * _draw_drift(joints[:, CHILD], rng)
    error += EXCURSION_STD * _draw_excursions(len(joints), rate[:, 0], rng)
    error *= length
    error += jitter * rng.standard_normal(error.shape)
    error += hidden * STRETCH[:, None] * bones
    return joints + scale * np.einsum("vb,tbc->tvc", JOINTS_MOVED, error)


def _hidden_fraction(joints: np.ndarray) -> np.ndarray:
    """Return how far the body hides each bone (B,).

    It is 0 for a body that faces the camera; for one at 60 degrees or more it is 1 on the side
    away from the camera.
    """
    (left,), (right,) = NTU_25.shoulders
    across = (joints[:, left] - joints[:, right]).mean(axis=0)
    side = "left" if across[2] > 0 else "right"
    is_far = np.array([side in NTU_25.joints[child] for child in CHILD])
    sine = abs(across[2]) / np.linalg.norm(across)
    return is_far * min(1, sine / np.sin(np.pi / 3))


def _draw_drift(ends: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw the drift (T, B, C), of unit variance, of bones whose outer ends are at `ends`.

    It is the sum of three random waves over the way that the end has come: what stands still keeps
    its error.
    """
    steps = np.linalg.norm(np.diff(ends, axis=0, prepend=ends[:1]), axis=-1) + IDLE_TRAVEL_M
    travel = steps.cumsum(axis=0)[..., None, None]  # (T, B, 1, 1)
    shape = (*ends.shape[1:], 3)
    wave_number = rng.uniform(*DRIFT_RAD_PER_M, shape)
    waves = np.sin(travel * wave_number + rng.uniform(0, 2 * np.pi, shape))
    return waves.sum(axis=-1) * np.sqrt(2 / 3)


def _draw_excursions(
    num_frames: int, rate_per_min: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw runs of frames in which bones are elsewhere: (T, B, C), of unit variance in the runs."""
    excursions = np.zeros((num_frames, len(rate_per_min), 3))
    counts = rng.poisson(rate_per_min * num_frames / FRAME_RATE / 60)
    for bone in np.repeat(np.arange(len(counts)), counts):
        start = rng.integers(num_frames)
        stop = start + rng.geometric(1 / EXCURSION_FRAMES)
        excursions[start:stop, bone] += rng.standard_normal(3)
    return excursions
