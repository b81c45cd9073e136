"""The demo's cameras: where they stand, what they record and which bodies they list."""

from typing import NamedTuple

import numpy as np

from scdnet.raw.ntu import Body
from scdnet.synthetic.body import normalize
from scdnet.synthetic.bone_errors import FRAME_RATE, misplace_joints
from scdnet.synthetic.motion import Performance

# Height and distance of the cameras, meters, setup by setup. Those of the measured recordings
# (docs/demo.md) stand 0.7 to 0.9 m high, 2.1 to 2.7 m from the people.
RIGS = ((0.7, 2.2), (0.75, 2.6), (0.7, 2.5), (0.65, 2.4))


class Camera(NamedTuple):
    """A rigid motion from the room to a camera: p -> axes @ (p - center)."""

    # The rows are the camera's left, up and ahead.
    axes: np.ndarray  # (3, 3)
    center: np.ndarray  # (3,) meters


def place_camera(number: int, *, num_cameras: int, setup: int) -> Camera:
    """Place camera `number` (from 1) of a setup on an arc that faces -z, aimed at the middle."""
    height, distance = RIGS[(setup - 1) % len(RIGS)]
    # Neighboring cameras stand 45 degrees apart. Source: Shahroudy et al. 2016, sec. 3.1.
    angle = np.deg2rad(45 * ((num_cameras - 1) / 2 - (number - 1)))
    return aim_camera(angle, height=height, distance=distance)


def aim_camera(angle_rad: float, *, height: float, distance: float) -> Camera:
    """Aim a camera at the middle of the scene, from `angle_rad` beside its front; meters."""
    center = np.array([distance * np.sin(angle_rad), height, distance * np.cos(angle_rad)])
    # They look a little upwards, as most measured ones do.
    ahead = normalize(np.array([0, 0.8, 0]) - center)
    left = normalize(np.cross([0, 1, 0], ahead))
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
    return slice(start, max(stop, start + 20))


def to_camera(joints: np.ndarray, camera: Camera) -> np.ndarray:
    """Move joints (..., C), in meters, from the room's frame to the camera's."""
    return (joints - camera.center) @ camera.axes.T


def simulate_sensor(joints: np.ndarray, rng: np.random.Generator) -> list[list[Body]]:
    """Return the bodies that a sensor lists frame by frame, given (T, M, V, C) in its own axes."""
    seen = np.stack([misplace_joints(body, rng) for body in joints.swapaxes(0, 1)], axis=1)
    num_frames, num_bodies = seen.shape[:2]
    present = _lose_bodies(num_frames, num_bodies, rng)
    orders = _order_bodies(num_frames, num_bodies, rng)
    # Ids of the Kinect start about there.
    ids = 72057594037927936 + rng.integers(1000) + np.arange(num_bodies)
    return [
        [Body(int(ids[m]), seen[t, m]) for m in order if present[t, m]]
        for t, order in enumerate(orders.tolist())
    ]


def _lose_bodies(num_frames: int, num_bodies: int, rng: np.random.Generator) -> np.ndarray:
    """Draw which bodies the sensor lists when: (T, M) bool, with some body at start and end."""
    present = np.ones((num_frames, num_bodies), dtype=bool)
    # Sometimes nobody is seen for a while.
    if rng.random() < 0.02:
        start = rng.integers(num_frames // 4, num_frames // 2)
        present[start : start + rng.integers(2, FRAME_RATE // 3)] = False
    # Sometimes the second body is found late.
    if num_bodies > 1 and rng.random() < 0.2:
        present[: rng.integers(2, num_frames // 4), rng.integers(1, num_bodies)] = False
    return present


def _order_bodies(num_frames: int, num_bodies: int, rng: np.random.Generator) -> np.ndarray:
    """Draw the order in which each frame lists the bodies: (T, M) int."""
    orders = np.tile(rng.permutation(num_bodies), (num_frames, 1))
    # Sometimes two bodies change their order along the file.
    if num_bodies > 1 and rng.random() < 0.3:
        orders[rng.integers(num_frames // 4, 3 * num_frames // 4) :] = orders[0, ::-1]
    return orders
