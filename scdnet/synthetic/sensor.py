"""The demo's cameras: where they stand, and the errors of a depth sensor."""

from typing import NamedTuple

import numpy as np

from scdnet.raw.ntu import Body
from scdnet.synthetic.motion import FRAME_RATE, Performance, smooth_noise

# The angle between neighboring cameras. Source: Shahroudy et al. 2016, sec. 3.1.
CAMERA_STEP_DEG = 45
# Height and distance of the cameras, metres, setup by setup.
RIGS = ((1.7, 3.5), (1.4, 2.9), (1.2, 3.2), (0.8, 3.8))
# Height above the floor that the cameras look at.
AIM_M = 1.0
MIN_FRAMES = 20

# Standard deviation of the part of each axis that a badly calibrated camera adds to the others.
SKEW = 0.22
# Standard deviations of the white noise and the slow drift of a joint, and of the additional
# drift of one that the body hides.
JITTER_M = 0.005
DRIFT_M = 0.006
OCCLUDED_M = 0.02
# Mean number per body of episodes in which one joint is wrong, and their range of lengths.
DROPS_PER_BODY = 0.5
DROP_FRAMES = (4, 25)
JUMP_M = 0.25
# Probability that nobody is seen for a while.
LOSS_PROB = 0.05
# Probability that a second body is found late.
LATE_PROB = 0.2
# Probability that two bodies change their order along the file.
SWAP_PROB = 0.3
# Kinect body ids start about here.
FIRST_ID = 72057594037927936


class Camera(NamedTuple):
    """A rigid motion from the room to a camera: p -> axes @ (p - center)."""

    # The rows are the camera's left, up and ahead.
    axes: np.ndarray  # (3, 3)
    center: np.ndarray  # (3,) metres


def place_camera(number: int, *, num_cameras: int, setup: int) -> Camera:
    """Place camera `number` (from 1) of a setup on an arc that faces -z, aimed at the middle."""
    height, distance = RIGS[(setup - 1) % len(RIGS)]
    angle = np.deg2rad(CAMERA_STEP_DEG * ((num_cameras - 1) / 2 - (number - 1)))
    center = np.array([distance * np.sin(angle), height, distance * np.cos(angle)])
    ahead = np.array([0, AIM_M, 0]) - center
    ahead = ahead / np.linalg.norm(ahead)
    left = np.cross([0, 1, 0], ahead)
    left = left / np.linalg.norm(left)
    return Camera(np.stack([left, np.cross(ahead, left), ahead]), center)


def sample_window(
    performance: Performance, max_missed_fraction: float, rng: np.random.Generator
) -> slice:
    """Draw the frames that one camera records; cameras are started and stopped independently.

    A camera misses at most `max_missed_fraction` of the action at either end.
    """
    first, last = performance.action
    margin = max_missed_fraction * (last - first)
    start = int(rng.uniform(0, first + margin))
    stop = int(np.ceil(rng.uniform(last - margin, len(performance.joints))))
    return slice(start, max(stop, start + MIN_FRAMES))


def to_camera(joints: np.ndarray, camera: Camera) -> np.ndarray:
    """Move joints (..., C), in metres, from the room's frame to the camera's."""
    return (joints - camera.center) @ camera.axes.T


def simulate_sensor(joints: np.ndarray, rng: np.random.Generator) -> list[list[Body]]:
    """Return the bodies that a sensor lists frame by frame, given (T, M, V, C) in its own axes."""
    seen = _drop_joints(_blur(_skew(joints, rng), rng), rng)
    num_frames, num_bodies = seen.shape[:2]
    present = _lose_bodies(num_frames, num_bodies, rng)
    orders = _order_bodies(num_frames, num_bodies, rng)
    ids = FIRST_ID + rng.integers(1000) + np.arange(num_bodies)
    return [
        [Body(int(ids[m]), seen[t, m]) for m in order if present[t, m]]
        for t, order in enumerate(orders.tolist())
    ]


def _skew(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add the same calibration error to all frames, about the middle of what is seen."""
    middle = joints.mean(axis=(0, 1, 2))
    return middle + (joints - middle) @ (np.eye(3) + SKEW * rng.standard_normal((3, 3))).T


def _blur(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add jitter and drift; joints behind the body's middle drift more."""
    depth = joints[..., 2:]
    hidden = 1 / (1 + np.exp(-(depth - depth.mean(axis=2, keepdims=True) - 0.1) / 0.04))
    drift = smooth_noise(rng, len(joints), joints.shape[1:], rate_hz=0.8)
    jitter = JITTER_M * rng.standard_normal(joints.shape)
    return joints + jitter + (DRIFT_M + OCCLUDED_M * hidden) * drift


def _drop_joints(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Make some joints stick to where they were, or jump somewhere else, for a while."""
    joints = joints.copy()
    num_frames, num_bodies, num_joints, _ = joints.shape
    for body in range(num_bodies):
        for _ in range(rng.poisson(DROPS_PER_BODY)):
            start = rng.integers(num_frames)
            end = start + rng.integers(*DROP_FRAMES)
            episode = joints[start:end, body, rng.integers(num_joints)]
            if rng.random() < 0.5:
                episode[:] = episode[0]
            else:
                episode += JUMP_M * rng.standard_normal(3)
    return joints


def _lose_bodies(num_frames: int, num_bodies: int, rng: np.random.Generator) -> np.ndarray:
    """Draw which bodies the sensor lists when: (T, M) bool, with some body at start and end."""
    present = np.ones((num_frames, num_bodies), dtype=bool)
    if rng.random() < LOSS_PROB:
        start = rng.integers(num_frames // 4, num_frames // 2)
        present[start : start + rng.integers(2, FRAME_RATE // 3)] = False
    if num_bodies > 1 and rng.random() < LATE_PROB:
        present[: rng.integers(2, num_frames // 4), rng.integers(1, num_bodies)] = False
    return present


def _order_bodies(num_frames: int, num_bodies: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the order in which each frame lists the bodies: (T, M) int."""
    orders = np.tile(rng.permutation(num_bodies), (num_frames, 1))
    if num_bodies > 1 and rng.random() < SWAP_PROB:
        orders[rng.integers(num_frames // 4, 3 * num_frames // 4) :] = orders[0, ::-1]
    return orders
