"""From key poses and a style to the joints of a whole performance, frame by frame.

How people, and one person's performances, differ is set to what was measured on real recordings
(docs/demo.md).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from scdnet.skeletons import NTU_25
from scdnet.synthetic.actions import Action, KeyPose, Pose, pose_vector
from scdnet.synthetic.body import NUM_CHANNELS, SLICES, heading_rotation, pose_body
from scdnet.synthetic.bone_errors import FRAME_RATE
from scdnet.synthetic.people import Style

# The longest rest before and after the action.
MAX_IDLE_S = 0.3
# Standard deviations between performances of the logarithms of pace and amplitude; half of them
# between keys.
PACE_STD = 0.25
AMPLITUDE_STD = 0.09
# The probability that an action of one hand is done with the other hand.
OTHER_HAND_PROB = 0.2
# People face the middle camera, or stand at right angles to it in front of one another, up to this
# standard deviation.
HEADING_STD_RAD = np.deg2rad(30)
# Standard deviations of the sway of the channels, for a style's 1.0.
SWAY_STD = {
    "pelvis": (0.012, 0.006, 0.010),
    "trunk": (0.03, 0.02, 0.05),
    "head": (0.06, 0.04, 0.12),
    "left_hand": (0.03, 0.03, 0.04),
    "right_hand": (0.03, 0.03, 0.04),
}
# Some people first face elsewhere and take this time to turn to the front.
TURN_S = 0.8
TURN_PROB = 0.25
TURN_STD_RAD = np.deg2rad(45)


class Performance(NamedTuple):
    """The motion of all people in front of the cameras."""

    # Metres; the floor at y = 0, y up, the middle of the scene near the origin.
    joints: np.ndarray  # (T, M, V, C)
    # The first frame of the action and the first frame after it.
    action: tuple[int, int]


def smooth_noise(
    rng: np.random.Generator, num_frames: int, shape: tuple[int, ...], *, rate_hz: float
) -> np.ndarray:
    """Draw (T, *shape) noise of unit variance without frequencies above `rate_hz`.

    It is the sum of three random waves.
    """
    seconds = np.arange(num_frames) / FRAME_RATE
    pace = 2 * np.pi * rng.uniform(0.1 * rate_hz, rate_hz, (3, *shape))
    phase = rng.uniform(0, 2 * np.pi, (3, *shape))
    waves = np.sin(np.multiply.outer(seconds, pace) + phase)
    return waves.sum(axis=1) * np.sqrt(2 / 3)


def interpolate(key_seconds: np.ndarray, poses: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Interpolate the key poses (K, P) at the times (T, P), smoothly; returns (T, P).

    No value lies beyond its two neighboring keys: piecewise cubic with slopes limited to the
    harmonic mean of the neighboring ones. Source: Fritsch & Butland 1984.
    """
    steps = np.diff(key_seconds)[:, None]
    rise = np.diff(poses, axis=0) / steps
    before = rise[:-1]
    after = rise[1:]
    rising = before * after > 0
    # A key at which the direction turns is reached at rest, and so are the ends.
    slope = np.zeros_like(poses)
    slope[1:-1] = np.where(rising, 2 * before * after / np.where(rising, before + after, 1), 0)
    key = (np.searchsorted(key_seconds, seconds, side="right") - 1).clip(0, len(key_seconds) - 2)
    channel = np.arange(poses.shape[1])
    h = steps[key, 0]
    u = ((seconds - key_seconds[key]) / h).clip(0, 1)
    return (
        poses[key, channel] * (1 + 2 * u) * (1 - u) ** 2
        + poses[key + 1, channel] * (3 - 2 * u) * u**2
        + h * (slope[key, channel] * u * (1 - u) ** 2 - slope[key + 1, channel] * (1 - u) * u**2)
    )


def perform(
    action: Action,
    styles: Sequence[Style],
    manners: Sequence[np.ndarray],
    *,
    rng: np.random.Generator,
) -> Performance:
    """Let as many people as `action` takes perform it before the cameras, each in a manner (P,)."""
    seconds, poses = _plan(action, styles, manners, rng=rng)
    is_other_hand = rng.random() < OTHER_HAND_PROB
    num_frames = int(seconds[-1] * FRAME_RATE)
    bodies = []
    for style, keys in zip(styles, poses, strict=True):
        pose = _animate(seconds, keys, style.habits, num_frames=num_frames, rng=rng)
        joints = pose_body(
            pose,
            style.lengths,
            stance=style.habits["stance_m"],
            stagger=style.habits["stagger_m"],
        )
        is_mirrored = action.handed and style.left_handed != is_other_hand
        bodies.append(mirror(joints) if is_mirrored else joints)
    first = int(seconds[1] * FRAME_RATE)
    end = min(int(np.ceil(seconds[-2] * FRAME_RATE)), num_frames)
    return Performance(_place_in_room(bodies, action, styles, rng), (first, end))


def mirror(joints: np.ndarray) -> np.ndarray:
    """Return the mirror image of joints (T, V, C): sides exchanged, x negated."""
    return joints[:, list(NTU_25.mirror)] * [-1, 1, 1]


def _plan(
    action: Action,
    styles: Sequence[Style],
    manners: Sequence[np.ndarray],
    *,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the seconds (K,) and key poses (M, K, P) of a performance; the action is [1:-1]."""
    repeats = rng.integers(*action.repeats, endpoint=True)
    pace = styles[0].habits["speed"] * np.exp(PACE_STD * rng.standard_normal())
    keys = [*action.cycle] * int(repeats)
    if keys[-1].pose != action.end:
        keys.append(KeyPose(0.5, action.end))
    durations = [
        key.seconds / pace * np.exp(0.5 * PACE_STD * rng.standard_normal()) for key in keys
    ]
    lead_s = TURN_S + rng.uniform(0, MAX_IDLE_S)
    seconds = np.cumsum([0, lead_s, *durations, rng.uniform(0, MAX_IDLE_S)])
    own = [action.start, action.start, *(key.pose for key in keys), action.end]
    partner = [{}, {}, *(key.partner for key in keys), {}]
    poses = [
        _scale_amplitude(track, style.habits["amplitude"] * manner, rng)
        for track, style, manner in zip((own, partner), styles, manners, strict=False)
    ]
    return seconds, np.stack(poses)


def _scale_amplitude(
    poses: Sequence[Pose], amplitude: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Scale the departure of the poses from standing by about `amplitude` (P,); (K, P).

    Held poses stay held: a key that repeats its predecessor gets the same values.
    """
    standing = pose_vector({})
    vectors = np.stack([pose_vector(pose) for pose in poses])
    spread = rng.standard_normal() + 0.5 * rng.standard_normal(vectors.shape)
    factor = amplitude * np.exp(AMPLITUDE_STD * spread.clip(-2, 2))
    for k in range(1, len(poses)):
        if poses[k] == poses[k - 1]:
            factor[k] = factor[k - 1]
    return standing + (vectors - standing) * factor


def _animate(
    key_seconds: np.ndarray,
    keys: np.ndarray,
    habits: Mapping[str, float],
    *,
    num_frames: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Interpolate the poses (T, P) of one person, with lagging arms, posture and sway."""
    seconds = np.repeat(np.arange(num_frames)[:, None] / FRAME_RATE, NUM_CHANNELS, axis=1)
    for channel in ("head", "left_hand", "right_hand", "left_elbow", "right_elbow"):
        seconds[:, SLICES[channel]] -= habits["lag_s"]
    pose = interpolate(key_seconds, keys, seconds.clip(0))
    pose[:, SLICES["trunk"]] += [habits["slouch_rad"], 0, 0]
    # The eyes stay level.
    pose[:, SLICES["head"]] -= [0.6 * habits["slouch_rad"], 0, 0]
    for side in ("left", "right"):
        pose[:, SLICES[f"{side}_hand"]] += [habits["hand_offset"], 0, 0]
        pose[:, SLICES[f"{side}_elbow"]] += habits["elbow_lift_rad"]
    pose += _turn_to_front(num_frames, lead_s=key_seconds[1], rng=rng)
    for channel, std in SWAY_STD.items():
        noise = smooth_noise(rng, num_frames, (len(std),), rate_hz=0.35)
        pose[:, SLICES[channel]] += habits["sway"] * noise * std
    return pose


def _turn_to_front(num_frames: int, *, lead_s: float, rng: np.random.Generator) -> np.ndarray:
    """Draw what a turn to the front on two steps, over before the action, adds to poses (T, P)."""
    pose = np.zeros((num_frames, NUM_CHANNELS))
    angle = TURN_STD_RAD * rng.standard_normal() * (rng.random() < TURN_PROB)
    start = rng.uniform(0, lead_s - TURN_S)
    progress = (np.arange(num_frames) / FRAME_RATE - start) / TURN_S
    first, second = ("left_", "right_") if angle > 0 else ("right_", "left_")
    for prefix, part in (("", progress), (first, 2 * progress), (second, 2 * progress - 1)):
        done = part.clip(0, 1)
        pose[:, SLICES[f"{prefix}heading"].start] = angle * ((3 - 2 * done) * done**2 - 1)
        if prefix:
            # The foot rises by this share of the leg.
            pose[:, SLICES[f"{prefix}foot"].start + 1] = 0.06 * np.sin(np.pi * done) ** 2
    return pose


def _place_in_room(
    bodies: list[np.ndarray], action: Action, styles: Sequence[Style], rng: np.random.Generator
) -> np.ndarray:
    """Place the bodies in the room, two of them facing each other; returns (T, M, V, C)."""
    if action.distance is not None:
        apart = action.distance * sum(style.lengths["arm"] for style in styles)
        bodies = [bodies[0] - [0, 0, apart / 2], bodies[1] * [-1, 1, -1] + [0, 0, apart / 2]]
    # Either of two people may stand on either side.
    ahead = 0 if action.distance is None else rng.choice([-np.pi / 2, np.pi / 2])
    heading = ahead + HEADING_STD_RAD * rng.standard_normal()
    turn = heading_rotation(np.full((1, 1), heading))[0]
    place = np.array([rng.uniform(-0.3, 0.3), 0, rng.uniform(-0.3, 0.3)])
    return np.stack(bodies, axis=1) @ turn.T + place
