"""A dataset of random actions: many actions, a few people for each, as sensors see them."""

from typing import NamedTuple

import numpy as np

from scdnet.data.store import SkeletonSequence
from scdnet.raw.custom.frames import normalize_facing
from scdnet.skeletons import NTU_25
from scdnet.synthetic.bone_errors import misplace_joints
from scdnet.synthetic.motion import Performance, mirror, perform
from scdnet.synthetic.people import sample_manner, sample_style
from scdnet.synthetic.random_actions import sample_action
from scdnet.synthetic.sensor import Camera, aim_camera, sample_window, to_camera

# The skeleton of the recordings.
SKELETON = NTU_25
# The people that those of each action are drawn from.
NUM_PEOPLE = 500
# The places of the cameras: beside the front, and height and distance in meters.
CAMERA_ANGLE_RAD = np.deg2rad(60)
CAMERA_HEIGHT_M = (0.5, 1.7)
CAMERA_DISTANCE_M = (2.0, 3.5)
# The factor of the sensor's errors, log-uniform. They were measured on a Kinect v2; a Kinect v1
# errs several times as much.
ERROR_SCALE = (0.7, 2.2)


class RandomPlan(NamedTuple):
    """The size of a dataset of random actions."""

    actions: int = 6000
    # People for each action, and recordings of each performance.
    people: int = 3
    cameras: int = 2
    seed: int = 0


def record_action(number: int, plan: RandomPlan) -> list[SkeletonSequence]:
    """Return the recordings of action `number`, by all its people and cameras, sorted by name.

    All randomness comes from the seed and the numbers of the recording, so no choice of the others
    matters.
    """
    rng = _generator(plan, number)
    action = sample_action(rng)
    is_mirrored = rng.random() < 0.5
    people = sorted(rng.choice(NUM_PEOPLE, plan.people, replace=False).tolist())
    sequences = []
    for person in people:
        style = sample_style(_generator(plan, person, kind=1))
        own = _generator(plan, number, person, kind=2)
        performance = perform(action, [style], [sample_manner(own)], rng=own)
        if is_mirrored:
            performance = performance._replace(joints=mirror(performance.joints[:, 0])[:, None])
        for camera in range(1, plan.cameras + 1):
            frames = record(
                performance,
                action.max_missed_fraction,
                rng=_generator(plan, number, person, camera, kind=3),
            )
            name = f"A{number:06d}P{person:03d}C{camera:03d}"
            sequences.append(SkeletonSequence(frames, name, number, person, camera))
    return sequences


def record(
    performance: Performance, max_missed_fraction: float, *, rng: np.random.Generator
) -> np.ndarray:
    """Return the first body as a random camera records it, normalized: float32 (T, 2, V, C)."""
    window = sample_window(performance, max_missed_fraction, rng)
    joints = to_camera(performance.joints[window, 0], sample_camera(rng))
    scale = np.exp(rng.uniform(*np.log(ERROR_SCALE)))
    return normalize_facing(misplace_joints(joints, rng, scale=scale)[None], SKELETON)


def sample_camera(rng: np.random.Generator) -> Camera:
    """Draw where a camera stands."""
    return aim_camera(
        rng.uniform(-CAMERA_ANGLE_RAD, CAMERA_ANGLE_RAD),
        height=rng.uniform(*CAMERA_HEIGHT_M),
        distance=rng.uniform(*CAMERA_DISTANCE_M),
    )


def _generator(plan: RandomPlan, *numbers: int, kind: int = 0) -> np.random.Generator:
    return np.random.default_rng([plan.seed, kind, *numbers])
