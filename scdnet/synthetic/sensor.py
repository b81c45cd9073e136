"""How the demo's performances are recorded: where the cameras stand and what a depth sensor gets wrong."""

from typing import NamedTuple

import numpy as np

from scdnet.raw.skeleton_file import Body
from scdnet.synthetic.motion import FRAME_RATE, Performance, smooth_noise

CAMERA_STEP_DEG = 45  # between neighbouring cameras. Source: Shahroudy et al. 2016, sec. 3.1
RIGS = (
    (1.7, 3.5),
    (1.4, 2.9),
    (1.2, 3.2),
    (0.8, 3.8),
)  # height and distance of the cameras, metres, setup by setup
AIM_M = 1.0  # height above the floor that the cameras look at
MIN_FRAMES = 20

SKEW = 0.22  # standard deviation of what a badly calibrated camera adds to an axis, as a share of the other axes
JITTER_M = 0.005  # standard deviations: white noise of a joint seen well,
DRIFT_M = 0.006  # its slow wandering,
OCCLUDED_M = 0.02  # and the wandering of a joint that the body hides
DROPS_PER_BODY = 0.5  # mean number of episodes in which one joint is wrong
DROP_FRAMES = (4, 25)
JUMP_M = 0.25
LOSS_CHANCE = 0.05  # of a recording in which nobody is seen for a while
LATE_CHANCE = 0.2  # of a second body that is found late
SWAP_CHANCE = 0.3  # of two bodies whose order changes along the file
FIRST_ID = 72057594037927936  # about where Kinect body ids start


class Camera(NamedTuple):
    """Rigid motion from the room to a camera: p -> axes @ (p - centre)."""

    axes: np.ndarray  # (3, 3) rows: the camera's left, up and ahead
    centre: np.ndarray  # (3,) metres


def place_camera(number: int, *, num_cameras: int, setup: int) -> Camera:
    """Camera `number` (from 1) of a setup; all look at the middle of the room, the arc of them facing -z."""
    height, distance = RIGS[(setup - 1) % len(RIGS)]
    angle = np.deg2rad(CAMERA_STEP_DEG * ((num_cameras - 1) / 2 - (number - 1)))
    centre = np.array([distance * np.sin(angle), height, distance * np.cos(angle)])
    ahead = np.array([0, AIM_M, 0]) - centre
    ahead = ahead / np.linalg.norm(ahead)
    left = np.cross([0, 1, 0], ahead)
    left = left / np.linalg.norm(left)
    return Camera(np.stack([left, np.cross(ahead, left), ahead]), centre)


def choose_window(performance: Performance, cut: float, rng: np.random.Generator) -> slice:
    """The frames that one camera records: every camera is started and stopped on its own.

    At either end at most the share `cut` of the action is missed.
    """
    first, last = performance.action
    margin = cut * (last - first)
    start = int(rng.uniform(0, first + margin))
    stop = int(np.ceil(rng.uniform(last - margin, len(performance.joints))))
    return slice(start, max(stop, start + MIN_FRAMES))


def view(joints: np.ndarray, camera: Camera) -> np.ndarray:
    """(..., C) metres in the room -> metres in the camera's frame."""
    return (joints - camera.centre) @ camera.axes.T


def record(joints: np.ndarray, rng: np.random.Generator) -> list[list[Body]]:
    """What the sensor lists, frame by frame, of bodies (T, M, V, C) in its own frame."""
    seen = _drop_joints(_blur(_skew(joints, rng), rng), rng)
    present = _lose_bodies(seen.shape[:2], rng)
    orders = _order_bodies(seen.shape[:2], rng)
    ids = FIRST_ID + rng.integers(1000) + np.arange(seen.shape[1])
    return [
        [Body(int(ids[m]), seen[t, m]) for m in order if present[t, m]]
        for t, order in enumerate(orders.tolist())
    ]


def _skew(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same error of calibration in all frames, about the middle of what is seen."""
    middle = joints.mean(axis=(0, 1, 2))
    return middle + (joints - middle) @ (np.eye(3) + SKEW * rng.standard_normal((3, 3))).T


def _blur(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Jitter and drift; joints behind the body's middle wander more."""
    depth = joints[..., 2:]
    hidden = 1 / (1 + np.exp(-(depth - depth.mean(axis=2, keepdims=True) - 0.1) / 0.04))
    drift = smooth_noise(rng, len(joints), joints.shape[1:], rate_hz=0.8)
    return (
        joints
        + JITTER_M * rng.standard_normal(joints.shape)
        + (DRIFT_M + OCCLUDED_M * hidden) * drift
    )


def _drop_joints(joints: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Some joints stick to where they were, or jump somewhere else, for a while."""
    joints = joints.copy()
    num_frames, num_bodies, num_joints, _ = joints.shape
    for body in range(num_bodies):
        for _ in range(rng.poisson(DROPS_PER_BODY)):
            start, length, joint = (
                rng.integers(num_frames),
                rng.integers(*DROP_FRAMES),
                rng.integers(num_joints),
            )
            episode = joints[start : start + length, body, joint]
            if rng.random() < 0.5:
                episode[:] = episode[0]
            else:
                episode += JUMP_M * rng.standard_normal(3)
    return joints


def _lose_bodies(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(T, M) bool: which bodies the sensor lists when; never none at all in the first and the last frames."""
    num_frames, num_bodies = shape
    present = np.ones(shape, dtype=bool)
    if rng.random() < LOSS_CHANCE:
        start = rng.integers(num_frames // 4, num_frames // 2)
        present[start : start + rng.integers(2, FRAME_RATE // 3)] = False
    if num_bodies > 1 and rng.random() < LATE_CHANCE:
        present[: rng.integers(2, num_frames // 4), rng.integers(1, num_bodies)] = False
    return present


def _order_bodies(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """(T, M) int: the order in which the frames list the bodies."""
    num_frames, num_bodies = shape
    orders = np.tile(rng.permutation(num_bodies), (num_frames, 1))
    if num_bodies > 1 and rng.random() < SWAP_CHANCE:
        orders[rng.integers(num_frames // 4, 3 * num_frames // 4) :] = orders[0, ::-1]
    return orders
