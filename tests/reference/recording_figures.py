"""Figures of recordings of people: how the sensor errs, how people differ, where cameras stand.

They need no ground truth: whatever changes the length of a bone is an error, and so is what a joint
does from one frame to the next while it nearly stands still. `measure` returns all figures.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from scdnet.skeleton import Skeleton, mean_joint
from scdnet.synthetic.bone_errors import GROUP_WORDS, bone_group

FRAME_RATE = 30  # Hz
# Shorter recordings contain too little of slow errors.
MIN_FRAMES = 20
# Frames of the moving average that separates slow errors from fast ones.
SLOW_FRAMES = 9
# An excursion is a run of frames in which a bone is off its usual length by this fraction of it,
# and by a centimeter.
EXCURSION = 0.25
# From a median absolute deviation to the standard deviation of normal noise.
MAD_TO_STD = 1.4826
# A body at this angle or more is seen from the side.
SIDE_VIEW_RAD = np.deg2rad(35)
# A wrist leads if it moves this many times as far as the other one.
LEADS = 1.3


class Recording(NamedTuple):
    """One person in one recording, in meters in the axes of its camera: x aside, y up, z ahead."""

    joints: np.ndarray  # (T, V, C)
    subject: int
    action: int
    view: int
    # The same in all recordings of one performance.
    take: Hashable


Figures = dict[str, float]


class Measurement:
    """Recordings of one skeleton, and what several figures need of them."""

    def __init__(self, recordings: Iterable[Recording], skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.recordings = [r for r in recordings if len(r.joints) >= MIN_FRAMES]
        child, parent = np.array(skeleton.bones).T
        self.bone_of = {skeleton.joints[v]: bone for bone, v in enumerate(child.tolist())}
        # Bones (T, B, C) and their lengths (T, B), of each recording.
        self.bones = [r.joints[:, child] - r.joints[:, parent] for r in self.recordings]
        self.lengths = [np.linalg.norm(bones, axis=-1) for bones in self.bones]
        self.usual = [np.maximum(np.median(x, axis=0), 1e-3) for x in self.lengths]  # (B,)
        self.yaw = [yaw_rad(r.joints, skeleton) for r in self.recordings]  # (T,)

    def by_group(self, name: str, per_bone: np.ndarray) -> Figures:
        """Return the mean of (B,) values over the bones of each group, as `name, group`."""
        groups = defaultdict(list)
        for joint, bone in self.bone_of.items():
            groups[bone_group(joint)].append(per_bone[bone])
        return {f"{name}, {group}": float(np.mean(groups[group])) for group in GROUP_WORDS}

    def grouped(self, key: Callable[[Recording], Hashable], values: Sequence) -> dict:
        """Return lists of the recordings' `values`, by the `key` of the recordings."""
        lists = defaultdict(list)
        for recording, value in zip(self.recordings, values, strict=True):
            lists[key(recording)].append(value)
        return lists


def measure(measurement: Measurement) -> Figures:
    """Compute all figures."""
    parts = (variation, excursions, jitter, biases, sides, people, pace_and_amplitude, cameras)
    return {name: value for part in parts for name, value in part(measurement).items()}


def yaw_rad(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Compute the angle (T,) of a body (T, V, C) to its camera: 0 faces it, + shows the right."""
    left, right = (mean_joint(joints, side) for side in skeleton.shoulders)
    x, _, z = (left - right).T
    # The left side of one who faces the camera is at negative x.
    return np.unwrap(np.arctan2(z, -x))


def variation(m: Measurement) -> Figures:
    """Measure how the lengths of bones vary within recordings: medians over the recordings."""
    std = [x.std(axis=0) / usual for x, usual in zip(m.lengths, m.usual, strict=True)]
    slow_std = []
    correlations: dict[int, list[np.ndarray]] = {1: [], 5: [], 15: []}
    for lengths, usual in zip(m.lengths, m.usual, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(lengths, SLOW_FRAMES, axis=0)
        slow_std.append(windows.mean(axis=-1).std(axis=0) / usual)
        off = lengths - lengths.mean(axis=0)
        power = np.maximum((off**2).mean(axis=0), 1e-12)
        for lag, found in correlations.items():
            found.append((off[lag:] * off[:-lag]).mean(axis=0) / power)
    figures = m.by_group("length varies, %", 100 * np.median(std, axis=0))
    figures |= m.by_group("slow part of it, %", 100 * np.median(slow_std, axis=0))
    for lag, found in correlations.items():
        name = f"its autocorrelation over {lag} frames"
        figures |= {name: m.by_group(name, np.mean(found, axis=0))[f"{name}, arm"]}
    return figures | length_steps(m)


def length_steps(m: Measurement) -> Figures:
    """Measure the step from frame to frame of the lengths of arms that stand or move."""
    arms = [bone for joint, bone in m.bone_of.items() if bone_group(joint) == "arm"]
    ends = [m.skeleton.bones[bone][0] for bone in arms]
    travel = [np.linalg.norm(np.diff(r.joints[:, ends], axis=0), axis=-1) for r in m.recordings]
    steps = [
        np.abs(np.diff(lengths[:, arms], axis=0)) / usual[arms]
        for lengths, usual in zip(m.lengths, m.usual, strict=True)
    ]
    millimeters = 1000 * np.concatenate(travel).ravel()
    percent = 100 * MAD_TO_STD * np.concatenate(steps).ravel()
    figures = {}
    for low, high in ((0, 1), (4, 8), (16, 32)):
        is_in = (low <= millimeters) & (millimeters < high)
        name = f"its step in an arm that moves {low}-{high} mm, %"
        figures[name] = float(np.median(percent[is_in])) if is_in.any() else np.nan
    return figures


def excursions(m: Measurement) -> Figures:
    """Measure how often bones have a quite different length, and for how long."""
    counts = np.zeros(len(m.bone_of))
    durations = []
    for lengths, usual in zip(m.lengths, m.usual, strict=True):
        limit = np.maximum(EXCURSION * usual, 0.01)
        is_off = np.pad(np.abs(lengths - usual) > limit, ((1, 1), (0, 0)))
        edges = np.diff(is_off.astype(int), axis=0)
        counts += (edges > 0).sum(axis=0)
        for bone in range(len(counts)):
            starts = np.flatnonzero(edges[:, bone] > 0)
            durations += (np.flatnonzero(edges[:, bone] < 0) - starts).tolist()
    minutes = sum(map(len, m.lengths)) / FRAME_RATE / 60
    figures = m.by_group("excursions a minute", counts / minutes)
    figures["frames of an excursion, mean"] = float(np.mean(durations)) if durations else 0.0
    return figures


def jitter(m: Measurement) -> Figures:
    """Measure the noise of joints along one axis in the slowest 30 % of their frames.

    It is the median absolute deviation of second differences, scaled as for white noise.
    """
    found = []
    num_frozen = 0
    for recording in m.recordings:
        speed = np.linalg.norm(np.diff(recording.joints, axis=0), axis=-1)
        num_frozen += (speed == 0).all(axis=1).sum()
        faster = np.maximum(speed[1:], speed[:-1])
        is_slow = faster <= np.quantile(faster, 0.3, axis=0)
        bends = np.abs(np.diff(recording.joints, n=2, axis=0))
        found.append([np.median(bends[is_slow[:, v], v]) for v in range(bends.shape[1])])
    # The second difference of white noise has 6 times its variance.
    millimeters = 1000 * MAD_TO_STD / np.sqrt(6) * np.median(found, axis=0)
    ends = millimeters[[child for child, _ in m.skeleton.bones]]
    frozen = 100 * num_frozen / sum(map(len, m.lengths))
    return m.by_group("jitter, mm", ends) | {"frozen frames, %": float(frozen)}


def biases(m: Measurement) -> Figures:
    """Measure how the usual lengths differ between a subject's actions and views; robust std."""
    logs = m.grouped(lambda r: (r.subject, r.action, r.view), [np.log(x) for x in m.usual])
    by_subject = defaultdict(list)
    for (subject, _, _), values in logs.items():
        by_subject[subject].append(np.median(values, axis=0))
    spread = [
        MAD_TO_STD * np.median(np.abs(x - np.median(x, axis=0)), axis=0)
        for x in map(np.array, by_subject.values())
    ]
    return m.by_group("length differs between actions, %", 100 * np.median(spread, axis=0))


def sides(m: Measurement) -> Figures:
    """Measure the near and the far side of bodies that are seen from the side."""
    of_subject = {
        subject: np.median(values, axis=0)
        for subject, values in m.grouped(lambda r: r.subject, m.usual).items()
    }
    signed = defaultdict(list)
    varies = defaultdict(list)
    for r, lengths, usual, yaw in zip(m.recordings, m.lengths, m.usual, m.yaw, strict=True):
        angle = (np.median(yaw) + np.pi) % (2 * np.pi) - np.pi
        if abs(angle) < SIDE_VIEW_RAD:
            continue
        for side, end in (("near", "right"), ("far", "left")):
            end = end if angle > 0 else {"left": "right", "right": "left"}[end]
            for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
                bone = m.bone_of[f"{end} {joint}"]
                name = joint if joint in ("shoulder", "hip") else bone_group(joint)
                signed[name, side].append(np.log(usual[bone] / of_subject[r.subject][bone]))
                varies[name, side].append(lengths[:, bone].std() / usual[bone])
    figures = {}
    for name, side in signed:
        if name in ("arm", "leg"):
            error = 100 * MAD_TO_STD * float(np.median(np.abs(signed[name, side])))
            figures[f"side view, {side} {name}: length off, %"] = error
            figures[f"side view, {side} {name}: varies, %"] = 100 * float(
                np.median(varies[name, side])
            )
        else:
            longer = 100 * float(np.median(signed[name, side]))
            figures[f"side view, {side} {name}: longer by, %"] = longer
    return dict(sorted(figures.items()))


def people(m: Measurement) -> Figures:
    """Measure how subjects differ in size and proportions: standard deviations of logarithms."""
    sums = defaultdict(list)
    for values in m.grouped(lambda r: r.subject, m.usual).values():
        lengths = np.median(values, axis=0)
        for group in ("trunk", "arm", "leg"):
            # Shoulders and hips are not part of the height.
            in_group = [
                bone
                for joint, bone in m.bone_of.items()
                if bone_group(joint) == group and not joint.endswith(("shoulder", "hip"))
            ]
            sums[group].append(lengths[in_group].sum())
    trunk, arm, leg = (np.array(sums[group]) for group in ("trunk", "arm", "leg"))
    ratios = {"size": trunk + arm + leg, "arms by legs": arm / leg, "trunk by legs": trunk / leg}
    return {f"people: {name}, %": spread(values) for name, values in ratios.items()}


def spread(values: np.ndarray) -> float:
    """Return the standard deviation of the logarithms, in percent; NaN for a single value."""
    return 100 * float(np.log(values).std(ddof=1)) if len(values) > 1 else float("nan")


def pace_and_amplitude(m: Measurement) -> Figures:
    """Measure how durations and the reach of motions spread, as logarithms, in percent."""
    durations = [np.log(len(r.joints)) for r in m.recordings]
    reaches = [np.log(np.sort(reach(r.joints, m.skeleton))[-4:].mean()) for r in m.recordings]
    figures = {}
    for name, values in (("duration", durations), ("amplitude", reaches)):
        takes = m.grouped(lambda r: (r.subject, r.action), values)
        repeated = [np.var(x, ddof=1) for x in takes.values() if len(x) > 1]
        of_action = defaultdict(dict)
        for (subject, action), found in takes.items():
            of_action[action][subject] = np.mean(found)
        off = [np.array(list(x.values())) - np.mean(list(x.values())) for x in of_action.values()]
        figures[f"{name}: the same person again, %"] = 100 * float(
            np.sqrt(np.mean(repeated or np.nan))
        )
        figures[f"{name}: another person, %"] = 100 * float(np.concatenate(off).std())
    return figures


def reach(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return how far each joint (V,) moves against the center, without the outermost 5 %."""
    moved = joints - mean_joint(joints, skeleton.center)[:, None]
    low, high = np.quantile(moved, (0.05, 0.95), axis=0)
    return np.linalg.norm(high - low, axis=-1)


def cameras(m: Measurement) -> Figures:
    """Measure where people stand before the cameras, and how their recordings begin."""
    yaw = np.rad2deg([(np.median(x) + np.pi) % (2 * np.pi) - np.pi for x in m.yaw])
    per_view = [np.std(x) for x in m.grouped(lambda r: r.view, yaw).values()]
    turn = np.rad2deg([abs(x[0] - np.median(x)) for x in m.yaw])
    ankles = [m.skeleton.joints.index(f"{side} ankle") for side in ("left", "right")]
    height = [-np.median(r.joints[:, ankles, 1]) for r in m.recordings]
    distance = [np.median(r.joints[:, m.skeleton.root, 2]) for r in m.recordings]
    takes = m.grouped(lambda r: r.take, [len(r.joints) for r in m.recordings])
    frames = [spread(np.array(x)) for x in takes.values() if len(x) > 1]
    return {
        "camera above the ankles, m": float(np.median(height)),
        "distance, m": float(np.median(distance)),
        "facing within a view, std, degrees": float(np.mean(per_view)),
        "turned in the first frame, median, degrees": float(np.median(turn)),
        "turned in the first frame, 90 %, degrees": float(np.quantile(turn, 0.9)),
        "frames between views of a take, %": float(np.median(frames)) if frames else np.nan,
    }


def left_hand_share(m: Measurement, actions: Sequence[int]) -> float:
    """Return the share of the left hand, in percent, among recordings in which one wrist leads."""
    wrists = [m.skeleton.joints.index(f"{side} wrist") for side in ("left", "right")]
    led = []
    for recording in m.recordings:
        left, right = reach(recording.joints, m.skeleton)[wrists]
        if recording.action in actions and max(left, right) > LEADS * min(left, right):
            led.append(left > right)
    return 100 * float(np.mean(led)) if led else float("nan")
