"""From key poses and a manner of moving to the joints of a whole performance, frame by frame."""

from typing import NamedTuple

import numpy as np

from scdnet.skeleton import NTU_25
from scdnet.synthetic.actions import Action, Key, Move, pose_vector
from scdnet.synthetic.body import NUM_CHANNELS, SLICES, pose_body
from scdnet.synthetic.people import Style

FRAME_RATE = 30  # Hz, Kinect v2
MAX_IDLE_S = 0.3  # longest rest before and after the action
RETURN_S = 0.5  # back from the last key pose, where that is not yet the end
PACE_SPREAD = 0.4  # standard deviation of the logarithm of the pace between performances; half of it between keys
REACH_SPREAD = (
    0.10  # standard deviation of the amplitude between the repetitions, channel by channel
)
UNREST = {  # standard deviations of what wanders all the time, for a style's 1.0
    "pelvis": (0.015, 0.008, 0.012), "trunk": (0.07, 0.05, 0.22), "head": (0.12, 0.08, 0.30),
    "left_hand": (0.08, 0.08, 0.12), "right_hand": (0.08, 0.08, 0.12),
}  # fmt: skip
UNREST_HZ = 0.35
TURN_SPREAD_RAD, TURN_S = (
    0.8,
    0.8,
)  # people face elsewhere at first; how far, and how long they turn to begin
START_SPREAD_RAD = (0.24, 0.14, 0.30)  # and their trunks are bent, leaning and twisted
STEP_HEIGHT = 0.06  # of the feet while they turn, leg lengths
LAGGING = ("head", "left_hand", "right_hand", "left_elbow", "right_elbow")


class Performance(NamedTuple):
    """What happens before the cameras."""

    joints: (
        np.ndarray
    )  # (T, M, V, C) metres; floor at y = 0, y up, the scene's middle near the origin
    action: tuple[int, int]  # first frame of the action, first frame after it


class Timeline(NamedTuple):
    """Key poses in the order in which they are reached."""

    seconds: np.ndarray  # (K,) rising
    poses: np.ndarray  # (M, K, P)


def smooth_noise(
    rng: np.random.Generator, num_frames: int, shape: tuple[int, ...], *, rate_hz: float
) -> np.ndarray:
    """(T, *shape) noise of unit variance without frequencies above `rate_hz`, as sum of three random waves."""
    seconds = np.arange(num_frames) / FRAME_RATE
    pace = 2 * np.pi * rng.uniform(0.1 * rate_hz, rate_hz, (3, *shape))
    phase = rng.uniform(0, 2 * np.pi, (3, *shape))
    waves = np.sin(np.multiply.outer(seconds, pace) + phase)
    return waves.sum(axis=1) * np.sqrt(2 / 3)


def interpolate(timeline_s: np.ndarray, poses: np.ndarray, at_s: np.ndarray) -> np.ndarray:
    """Poses (T, P) at the times (T, P) between the key poses (K, P): smooth, and never beyond two neighbouring keys.

    Piecewise cubic with slopes limited to the harmonic mean of the neighbouring ones. Source: Fritsch & Butland 1984.
    """
    steps = np.diff(timeline_s)[:, None]
    rise = np.diff(poses, axis=0) / steps
    before, after = rise[:-1], rise[1:]
    rising = before * after > 0
    slope = np.zeros_like(
        poses
    )  # a key at which the direction turns, and the ends, are reached at rest
    slope[1:-1] = np.where(rising, 2 * before * after / np.where(rising, before + after, 1), 0)
    key = (np.searchsorted(timeline_s, at_s, side="right") - 1).clip(0, len(timeline_s) - 2)
    channel = np.arange(poses.shape[1])
    h = steps[key, 0]
    u = ((at_s - timeline_s[key]) / h).clip(0, 1)
    return (
        poses[key, channel] * (1 + 2 * u) * (1 - u) ** 2
        + poses[key + 1, channel] * (3 - 2 * u) * u**2
        + h * (slope[key, channel] * u * (1 - u) ** 2 - slope[key + 1, channel] * (1 - u) * u**2)
    )


def perform(action: Action, styles: tuple[Style, ...], rng: np.random.Generator) -> Performance:
    """One performance of `action` by as many people as it takes, somewhere in the room, facing anywhere."""
    timeline, core = _plan(action, styles, rng)
    num_frames = int(timeline.seconds[-1] * FRAME_RATE)
    bodies = []
    for style, keys in zip(styles, timeline.poses, strict=True):
        pose = _move(timeline.seconds, keys, style, num_frames=num_frames, rng=rng)
        joints = pose_body(pose, style.shape, stance=style.stance_m, stagger=style.stagger_m)
        bodies.append(mirrored(joints) if style.left_handed and action.handed else joints)
    joints = _place(bodies, action, styles, rng)
    return Performance(
        joints, (int(core[0] * FRAME_RATE), min(int(np.ceil(core[1] * FRAME_RATE)), num_frames))
    )


def mirrored(joints: np.ndarray) -> np.ndarray:
    """(T, V, C) -> the mirror image: sides exchanged, x negated."""
    return joints[:, list(NTU_25.mirror)] * [-1, 1, 1]


def _plan(
    action: Action, styles: tuple[Style, ...], rng: np.random.Generator
) -> tuple[Timeline, tuple[float, float]]:
    """The key poses of a performance, and from when to when the action itself lasts, in seconds."""
    repeats = rng.integers(action.repeats[0], action.repeats[1], endpoint=True)
    pace = styles[0].speed * np.exp(PACE_SPREAD * rng.standard_normal())
    doing = [*action.cycle] * int(repeats)
    if doing[-1].move != action.end:
        doing.append(Key(RETURN_S, action.end))
    durations = [
        key.seconds / pace * np.exp(0.5 * PACE_SPREAD * rng.standard_normal()) for key in doing
    ]
    lead, tail = TURN_S + rng.uniform(0, MAX_IDLE_S), rng.uniform(0, MAX_IDLE_S)
    seconds = np.cumsum([0, lead, *durations, tail])
    starting, ending = Key(lead, action.start), Key(tail, action.end)
    track = [starting, starting, *doing, ending]
    poses = []
    for person, style in enumerate(styles):
        moves = [key.partner if person else key.move for key in track]
        poses.append(_exaggerate(moves, style.amplitude, rng))
    return Timeline(seconds, np.stack(poses)), (lead, float(seconds[-2]))


def _exaggerate(moves: list[Move], amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """(K, P) poses whose departure from standing is scaled, a little differently each time.

    Held poses stay held: a key that repeats its predecessor gets the same values.
    """
    standing = pose_vector({})
    poses = np.stack([pose_vector(move) for move in moves])
    factor = amplitude * (1 + REACH_SPREAD * rng.standard_normal(poses.shape).clip(-1.5, 1.5))
    for k in range(1, len(moves)):
        if moves[k] == moves[k - 1]:
            factor[k] = factor[k - 1]
    return standing + (poses - standing) * factor


def _move(
    seconds: np.ndarray,
    keys: np.ndarray,
    style: Style,
    *,
    num_frames: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Poses (T, P) of one person: the keys process_group up, arms lagging, with posture and unrest."""
    at = np.repeat(np.arange(num_frames)[:, None] / FRAME_RATE, NUM_CHANNELS, axis=1)
    for channel in LAGGING:
        at[:, SLICES[channel]] -= style.lag_s
    pose = interpolate(seconds, keys, at.clip(0))
    pose[:, SLICES["trunk"]] += [style.slouch_rad, 0, 0]
    pose[:, SLICES["head"]] -= [0.6 * style.slouch_rad, 0, 0]  # the eyes stay level
    for side in ("left", "right"):
        pose[:, SLICES[f"{side}_hand"]] += [style.carriage, 0, 0]
        pose[:, SLICES[f"{side}_elbow"]] += style.elbows_rad
    pose += _turn(num_frames, lead_s=seconds[1], rng=rng)
    for channel, size in UNREST.items():
        wander = smooth_noise(rng, num_frames, (len(size),), rate_hz=UNREST_HZ)
        pose[:, SLICES[channel]] += style.unrest * wander * size
    return pose


def _turn(num_frames: int, *, lead_s: float, rng: np.random.Generator) -> np.ndarray:
    """(T, P) to be added to poses: a turn to the front on two steps, over before the action begins."""
    pose = np.zeros((num_frames, NUM_CHANNELS))
    angle = TURN_SPREAD_RAD * rng.standard_normal()
    start = rng.uniform(0, lead_s - TURN_S)
    progress = (np.arange(num_frames) / FRAME_RATE - start) / TURN_S
    feet = ("left", "right") if angle > 0 else ("right", "left")
    pose[:, SLICES["trunk"]] = np.outer(
        1 - progress.clip(0, 1), START_SPREAD_RAD * rng.standard_normal(3)
    )
    for who, share in (
        ("", progress),
        (f"{feet[0]}_", 2 * progress),
        (f"{feet[1]}_", 2 * progress - 1),
    ):
        done = share.clip(0, 1)
        pose[:, SLICES[f"{who}heading"].start] = angle * ((3 - 2 * done) * done**2 - 1)
        if who:
            pose[:, SLICES[f"{who}foot"].start + 1] = STEP_HEIGHT * np.sin(np.pi * done) ** 2
    return pose


def _place(
    bodies: list[np.ndarray], action: Action, styles: tuple[Style, ...], rng: np.random.Generator
) -> np.ndarray:
    """(T, M, V, C): the bodies in the room, two of them facing each other."""
    if action.distance is not None:
        apart = action.distance * sum(style.shape.arm for style in styles)
        bodies = [bodies[0] - [0, 0, apart / 2], bodies[1] * [-1, 1, -1] + [0, 0, apart / 2]]
    heading = rng.uniform(0, 2 * np.pi)
    cos, sin = np.cos(heading), np.sin(heading)
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    place = np.array([rng.uniform(-0.5, 0.5), 0, rng.uniform(-0.5, 0.5)])
    return np.stack(bodies, axis=1) @ turn.T + place
