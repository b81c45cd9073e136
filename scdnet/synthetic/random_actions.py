"""Random actions of one person, as cycles of random key poses.

The actions of the demo are few and deliberate; these are many and without meaning, for an encoder
that is to tell apart motions that it has not seen. Where people's hands and feet can go is
bounded; nothing was fitted to recordings.
"""

from collections.abc import Callable

import numpy as np

from scdnet.synthetic.actions import RISING, SEATED, Action, KeyPose, Pose, Value, both

Vector = tuple[float, float, float]
# The kinds of actions and their probabilities.
KINDS = {"free": 0.62, "walk": 0.18, "reach down": 0.13, "sit": 0.07}
# Bounds of a wrist's place (outwards, up, ahead) and distance, in arm lengths from its shoulder.
HAND_LOW = (-0.45, -0.98, -0.35)
HAND_HIGH = (0.98, 0.98, 0.98)
NEAREST_HAND = 0.3
FARTHEST_HAND = 0.98
# The moving arms, with their probabilities.
ARMS = {"right": 0.42, "both": 0.25, "own": 0.18, "none": 0.15}
# The probabilities of the numbers of key poses, from one on.
NUM_KEYS = (0.2, 0.4, 0.25, 0.15)
# The probability that the hands stay near their first place, and the standard deviations, in arm
# lengths, between which they then vary.
LOCAL_PROB = 0.45
LOCAL_STD = (0.08, 0.3)
# The time of a key pose in seconds, log-uniform, and the factors between poses of an action.
TEMPO_S = (0.18, 0.9)
TEMPO_FACTOR = (0.6, 1.6)
# The repetitions of a cycle take at most about so long.
LONGEST_S = 5.0
# The probabilities that other parts take part in a free action; `leg` if no arm moves.
PARTS = {"trunk": 0.4, "head": 0.3, "leg": 0.25, "squat": 0.15, "turn": 0.12, "step": 0.15}
LEG_WITHOUT_ARMS_PROB = 0.6
JUMP_PROB = 0.08
HOLD_PROB = 0.15


def sample_action(rng: np.random.Generator) -> Action:
    """Draw an action of the right side or of both; all people do it with the same side."""
    kind = rng.choice(list(KINDS), p=list(KINDS.values()))
    samplers: dict[str, Callable[[np.random.Generator], Action]] = {
        "free": sample_free,
        "walk": sample_walk,
        "reach down": sample_reach,
        "sit": sample_sitting,
    }
    return samplers[kind](rng)._replace(handed=False)


def sample_free(rng: np.random.Generator) -> Action:
    """Draw a cycle of one to four poses of any parts of the body."""
    num_keys = 1 + rng.choice(len(NUM_KEYS), p=NUM_KEYS)
    arms = rng.choice(list(ARMS), p=list(ARMS.values()))
    probs = PARTS | ({"leg": LEG_WITHOUT_ARMS_PROB} if arms == "none" else {})
    parts = {part for part, prob in probs.items() if rng.random() < prob}
    jumps = rng.random() < JUMP_PROB
    if arms == "none" and not parts - {"head", "turn"}:
        parts.add("trunk")
    is_local = rng.random() < LOCAL_PROB
    spread = rng.uniform(*LOCAL_STD)
    tempo = _log_uniform(rng, *TEMPO_S)
    keys: list[KeyPose] = []
    for k in range(num_keys):
        first = keys[0].pose if keys and is_local else None
        pose = {**_sample_arms(arms, first, spread, rng=rng), **_sample_parts(parts, rng)}
        if jumps and k % 2:
            pose |= _sample_jump(rng)
        keys.append(KeyPose(tempo * rng.uniform(*TEMPO_FACTOR), pose))
        if rng.random() < HOLD_PROB:
            keys.append(KeyPose(rng.uniform(0.2, 0.8), pose))
    if rng.random() < 0.45:
        keys.append(KeyPose(tempo * rng.uniform(0.8, 1.6), {}))
    end = {} if rng.random() < 0.7 else keys[-1].pose
    return Action(tuple(keys), repeats=_sample_repeats(keys, rng), end=end)


def sample_walk(rng: np.random.Generator) -> Action:
    """Draw steps on the spot, perhaps with a turn, and arms that swing or hold something.

    Normalized sequences do not show where a body is, only how it moves.
    """
    length = rng.uniform(0.12, 0.4)
    lift = rng.uniform(0.04, 0.22)
    swing = rng.uniform(0, 0.45)
    lean = rng.uniform(-0.05, 0.3)
    seconds = _log_uniform(rng, 0.15, 0.33)
    turn = rng.uniform(-1.5, 1.5) if rng.random() < 0.5 else 0.0
    held = _hands_of(sample_free(rng)) if rng.random() < 0.6 else {}
    num_steps = 2 * int(rng.integers(1, 4))
    keys = []
    for step in range(num_steps):
        # The foot that swings forward, and the one that carries.
        ahead, behind = ("left", "right") if step % 2 == 0 else ("right", "left")
        sign = 1 if ahead == "left" else -1
        passing: Pose = {
            f"{ahead}_foot": (0, lift, 0),
            f"{ahead}_toes": 0.7,
            "pelvis": (-0.04 * sign, 0, 0),
            "trunk": (lean, 0, 0),
        }
        landed: Pose = {
            f"{ahead}_foot": (0, 0, length),
            f"{behind}_foot": (0, 0.02, -length),
            f"{behind}_toes": 0.6,
            "pelvis": (0, -0.03, 0),
            "trunk": (lean, 0, 0.15 * sign),
            f"{behind}_hand": (0.15, -0.9, swing),
            f"{ahead}_hand": (0.15, -0.9, -0.7 * swing),
        }
        for half, pose in enumerate((passing, landed), start=1):
            heading = _heading(turn * (2 * step + half) / (2 * num_steps)) if turn else {}
            keys.append(KeyPose(seconds, {**pose, **held, **heading}))
    # A turn ends where it ends and cannot be repeated.
    repeats = (1, 1) if turn else (1, 2)
    return Action(tuple(keys), repeats=repeats, end=keys[-1].pose, max_missed_fraction=0.2)


def sample_reach(rng: np.random.Generator) -> Action:
    """Draw a bend towards the floor with one hand or both, from standing or back to it."""
    depth = rng.uniform(0.05, 0.45)
    hand = (rng.uniform(-0.2, 0.3), rng.uniform(-0.95, -0.4), rng.uniform(0.2, 0.7))
    pose = {
        "trunk": (rng.uniform(0.5, 1.35), rng.uniform(-0.2, 0.2), rng.uniform(-0.4, 0.4)),
        "pelvis": (0, -depth, -depth * rng.uniform(0.3, 0.8)),
        "head": (-0.2, 0, 0),
        **(both("hand", hand) if rng.random() < 0.4 else {"right_hand": hand}),
    }
    seconds = rng.uniform(0.5, 1.0)
    keys = [KeyPose(seconds, pose)]
    if rng.random() < 0.5:
        keys.append(KeyPose(rng.uniform(0.2, 0.6), pose))
    # The hands may hold something afterwards.
    keys.append(KeyPose(seconds, _hands_of(sample_free(rng)) if rng.random() < 0.5 else {}))
    if rng.random() < 0.3:
        keys.reverse()
    return Action(tuple(keys), repeats=(1, 2), end=keys[-1].pose)


def sample_sitting(rng: np.random.Generator) -> Action:
    """Draw a way to sit down or to stand up, perhaps with the hands elsewhere."""
    hands = _hands_of(sample_free(rng)) if rng.random() < 0.5 else {}
    seated = {**SEATED, **hands}
    first = KeyPose(rng.uniform(0.4, 0.7), {**RISING, **hands})
    seconds = rng.uniform(0.4, 0.7)
    if rng.random() < 0.5:
        cycle = (first, KeyPose(seconds, hands))
        return Action(cycle, (1, 1), max_missed_fraction=0.1, start=SEATED, end=hands)
    return Action((first, KeyPose(seconds, seated)), (1, 1), max_missed_fraction=0.1, end=seated)


def _sample_arms(
    arms: str, first: Pose | None, spread: float, *, rng: np.random.Generator
) -> dict[str, Value]:
    """Draw where the hands go: anywhere, or near where they are in the pose `first`."""

    def hand(side: str) -> Vector:
        if first is None:
            return _sample_hand(rng)
        return _vector(np.array(first[f"{side}_hand"]) + spread * rng.standard_normal(3))

    sides = {"right": ("right",), "own": ("left", "right")}.get(arms, ())
    if arms == "both":
        return {**both("hand", hand("right")), **both("elbow", rng.uniform(0, 1.2))}
    return {f"{side}_hand": hand(side) for side in sides} | {
        f"{side}_elbow": rng.uniform(0, 1.2) for side in sides
    }


def _sample_hand(rng: np.random.Generator) -> Vector:
    """Draw a place within reach, in arm lengths: outwards, up, ahead."""
    while True:
        place = rng.uniform(HAND_LOW, HAND_HIGH)
        if NEAREST_HAND < np.linalg.norm(place) < FARTHEST_HAND:
            return _vector(place)


def _sample_parts(parts: set[str], rng: np.random.Generator) -> dict[str, Value]:
    """Draw the values of the channels of trunk, head, legs and heading that take part."""
    pose: dict[str, Value] = {}
    if "trunk" in parts:
        bend = rng.uniform(-0.3, 1.0) * rng.random()
        pose["trunk"] = (bend, rng.uniform(-0.4, 0.4), rng.uniform(-0.7, 0.7))
    if "head" in parts:
        pose["head"] = _vector(rng.uniform((-0.4, -0.4, -0.9), (0.6, 0.4, 0.9)))
    if "step" in parts:
        ahead = rng.uniform(-0.4, 0.5)
        apart = rng.uniform(-0.1, 0.35)
        pose["left_foot"] = (apart, 0, ahead)
        pose["right_foot"] = (apart, 0, -ahead * rng.random())
        pose["pelvis"] = (rng.uniform(-0.1, 0.1), rng.uniform(-0.12, -0.02), ahead / 3)
    if "leg" in parts:
        pose["right_foot"] = _vector(rng.uniform((-0.12, 0.02, -0.45), (0.5, 0.55, 0.7)))
        pose["right_toes"] = rng.uniform(0, 1.1)
        # The weight is on the other foot.
        pose["pelvis"] = (0.07, rng.uniform(-0.06, 0), rng.uniform(-0.03, 0.05))
    if "squat" in parts:
        depth = rng.uniform(0.08, 0.5)
        pose["pelvis"] = (0, -depth, -depth * rng.uniform(0.4, 0.95))
        pose.setdefault("trunk", (rng.uniform(0, 0.8), 0, 0))
    if "turn" in parts:
        pose |= _heading(rng.uniform(-1.2, 1.2))
    return pose


def _sample_jump(rng: np.random.Generator) -> dict[str, Value]:
    height = rng.uniform(0.08, 0.3)
    feet = both("foot", (rng.uniform(0, 0.3), height, -0.05))
    return {"pelvis": (0, height, 0), **feet, **both("toes", 1.1)}


def _heading(angle_rad: float) -> dict[str, Value]:
    return dict.fromkeys(("heading", "left_heading", "right_heading"), angle_rad)


def _hands_of(action: Action) -> dict[str, Value]:
    """Return the part of an action's first pose that is about hands and elbows."""
    pose = action.cycle[0].pose
    return {name: value for name, value in pose.items() if name.endswith(("_hand", "_elbow"))}


def _sample_repeats(keys: list[KeyPose], rng: np.random.Generator) -> tuple[int, int]:
    """Draw the fewest and the most repetitions of a cycle."""
    most = max(1, int(LONGEST_S / sum(key.seconds for key in keys)))
    fewest = 1 if rng.random() < 0.5 else min(2, most)
    return fewest, min(most, fewest + int(rng.integers(0, 4)))


def _vector(x: np.ndarray) -> Vector:
    first, second, third = x.tolist()
    return first, second, third


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
