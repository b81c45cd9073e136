"""The actions of the demo: a cycle of key poses for each, under NTU-60's action numbers.

A pose contains only the channels (body.CHANNELS) in which it differs from standing with hanging
arms. Actions are written for right-handed people; a left-handed performance is the mirror image.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from scdnet.synthetic.body import NUM_CHANNELS, SLICES

Value = float | tuple[float, float, float]
Pose = Mapping[str, Value]


class KeyPose(NamedTuple):
    """A pose and the time that the movement to it takes."""

    seconds: float
    pose: Pose
    # The pose of the second person at the same time.
    partner: Pose = MappingProxyType({})


class Action(NamedTuple):
    """One action: `cycle` is repeated, from the pose `start` to the pose `end`."""

    cycle: tuple[KeyPose, ...]
    # Fewest and most repetitions.
    repeats: tuple[int, int] = (2, 4)
    # A recording may miss this fraction of the action at its start, and as much at its end.
    max_missed_fraction: float = 0.15
    start: Pose = MappingProxyType({})
    end: Pose = MappingProxyType({})
    # Between two people, in lengths of their two arms together; None: one person.
    distance: float | None = None
    # Left-handed people mirror the action.
    handed: bool = True

    @property
    def num_bodies(self) -> int:
        """Return M."""
        return 1 if self.distance is None else 2


def both(part: str, value: Value) -> Pose:
    """Return the pose in which the left and the right `part` have the same value."""
    return {f"left_{part}": value, f"right_{part}": value}


STANDING: Pose = {
    **both("hand", (0.12, -0.96, 0.06)),
    **both("toes", 0.5),
}
SEATED: Pose = {
    "pelvis": (0, -0.50, -0.48),
    "trunk": (0.05, 0, 0),
    **both("hand", (0.05, -0.55, 0.52)),
}
# Between standing and sitting, with the weight over the feet.
RISING: Pose = {
    "pelvis": (0, -0.30, -0.36),
    "trunk": (0.75, 0, 0),
    "head": (-0.3, 0, 0),
    **both("hand", (0.0, -0.60, 0.62)),
}
CROUCH: Pose = {
    "pelvis": (0, -0.24, -0.12),
    "trunk": (0.55, 0, 0),
    "head": (-0.3, 0, 0),
    **both("hand", (0.15, -0.80, -0.45)),
}
GUARD: Pose = {
    "right_hand": (-0.05, -0.10, 0.38),
    "left_hand": (-0.10, -0.08, 0.42),
    "trunk": (0.1, 0, -0.25),
    "right_foot": (0, 0, -0.12),
    "left_foot": (0, 0, 0.12),
    "pelvis": (0, -0.03, 0),
}
OFFERED_HAND: Pose = {
    "right_hand": (-0.20, -0.28, 0.74),
    "trunk": (0.12, 0, 0.12),
}
SHAKEN_HAND: Pose = {
    "right_hand": (-0.20, -0.50, 0.70),
    "trunk": (0.16, 0, 0.12),
}

# The keys are NTU-60's action numbers.
ACTIONS = {
    # Drink water.
    1: Action(
        cycle=(
            KeyPose(0.70, {"right_hand": (-0.16, 0.14, 0.40), "right_elbow": 0.2}),
            KeyPose(
                0.45,
                {"right_hand": (-0.18, 0.24, 0.36), "right_elbow": 0.5, "head": (-0.35, 0, 0)},
            ),
            KeyPose(0.40, {"right_hand": (-0.16, 0.14, 0.40), "right_elbow": 0.2}),
            KeyPose(0.70, {}),
        ),
        repeats=(1, 2),
    ),
    # Brush teeth.
    3: Action(
        cycle=(
            KeyPose(0.20, {"right_hand": (-0.20, 0.15, 0.40), "right_elbow": 0.45}),
            KeyPose(0.20, {"right_hand": (-0.06, 0.17, 0.38), "right_elbow": 0.55}),
        ),
        repeats=(4, 8),
    ),
    # Pick up.
    6: Action(
        cycle=(
            KeyPose(
                0.85,
                {
                    "trunk": (1.15, 0, 0.15),
                    "head": (0.1, 0, 0),
                    "pelvis": (0, -0.18, -0.16),
                    "right_hand": (-0.05, -0.62, 0.72),
                    "left_hand": (0.08, -0.80, 0.40),
                },
            ),
            KeyPose(0.80, {}),
        ),
        repeats=(1, 2),
    ),
    # Throw.
    7: Action(
        cycle=(
            KeyPose(
                0.45,
                {
                    "right_hand": (0.45, 0.15, -0.30),
                    "right_elbow": 0.5,
                    "left_hand": (0.15, -0.35, 0.75),
                    "trunk": (-0.15, -0.1, -0.55),
                    "pelvis": (-0.03, -0.03, -0.10),
                    "right_foot": (0, 0, 0),
                    "left_foot": (0, 0, 0.22),
                },
            ),
            KeyPose(
                0.20,
                {
                    "right_hand": (0.05, 0.45, 0.80),
                    "right_elbow": 0.4,
                    "left_hand": (0.20, -0.70, 0.05),
                    "trunk": (0.20, 0.05, 0.25),
                    "pelvis": (0.02, -0.04, 0.10),
                    "left_foot": (0, 0, 0.22),
                },
            ),
            KeyPose(
                0.20,
                {
                    "right_hand": (-0.35, -0.50, 0.65),
                    "left_hand": (0.20, -0.85, -0.20),
                    "trunk": (0.40, 0.05, 0.50),
                    "pelvis": (0.02, -0.06, 0.13),
                    "left_foot": (0, 0, 0.22),
                },
            ),
            KeyPose(0.55, {}),
        ),
    ),
    # Sit down.
    8: Action(
        cycle=(KeyPose(0.55, RISING), KeyPose(0.50, SEATED)),
        end=SEATED,
        repeats=(1, 1),
        max_missed_fraction=0.1,
    ),
    # Stand up.
    9: Action(
        cycle=(KeyPose(0.45, RISING), KeyPose(0.65, {})),
        start=SEATED,
        repeats=(1, 1),
        max_missed_fraction=0.1,
    ),
    # Clap.
    10: Action(
        cycle=(
            KeyPose(0.20, {**both("hand", (-0.02, -0.30, 0.55)), "trunk": (0.03, 0, 0)}),
            KeyPose(0.16, {**both("hand", (-0.29, -0.25, 0.60)), "trunk": (0.05, 0, 0)}),
        ),
    ),
    # Cheer up.
    22: Action(
        cycle=(
            KeyPose(
                0.32,
                {
                    **both("hand", (0.30, 0.85, 0.15)),
                    **both("elbow", 0.5),
                    "head": (-0.3, 0, 0),
                    "trunk": (-0.1, 0, 0),
                },
            ),
            KeyPose(
                0.28,
                {
                    **both("hand", (0.30, 0.25, 0.25)),
                    **both("elbow", 0.3),
                    "trunk": (0.05, 0, 0),
                    "pelvis": (0, -0.05, 0),
                },
            ),
        ),
    ),
    # Wave.
    23: Action(
        cycle=(
            KeyPose(
                0.28,
                {
                    "right_hand": (0.62, 0.42, 0.22),
                    "right_elbow": 0.2,
                    "trunk": (0, -0.05, 0),
                },
            ),
            KeyPose(0.28, {"right_hand": (0.12, 0.52, 0.32), "right_elbow": 0.2}),
        ),
    ),
    # Kick.
    24: Action(
        cycle=(
            KeyPose(
                0.35,
                {
                    "right_foot": (0, 0.22, -0.40),
                    "right_toes": 1.0,
                    "pelvis": (0.07, -0.03, 0.03),
                    "trunk": (0.10, 0.05, -0.15),
                    "left_hand": (0.25, -0.80, 0.35),
                    "right_hand": (0.20, -0.88, -0.30),
                },
            ),
            KeyPose(
                0.22,
                {
                    "right_foot": (-0.05, 0.42, 0.72),
                    "right_toes": 0.1,
                    "pelvis": (0.07, -0.02, 0.00),
                    "trunk": (-0.25, 0.05, 0.25),
                    "left_hand": (0.45, -0.75, -0.25),
                    "right_hand": (0.35, -0.75, 0.35),
                },
            ),
            KeyPose(
                0.35,
                {
                    "right_foot": (0, 0.12, 0.10),
                    "right_toes": 0.6,
                    "pelvis": (0.06, -0.03, 0),
                },
            ),
            KeyPose(0.30, {}),
        ),
    ),
    # Hop on one foot.
    26: Action(
        cycle=(
            KeyPose(
                0.20,
                {
                    "pelvis": (0.08, -0.12, 0),
                    "right_foot": (0, 0.26, -0.28),
                    "right_toes": 1.0,
                    "trunk": (0.18, 0.08, 0),
                    **both("hand", (0.35, -0.60, 0.30)),
                },
            ),
            KeyPose(
                0.14,
                {
                    "pelvis": (0.08, 0.03, 0),
                    "right_foot": (0, 0.36, -0.26),
                    "right_toes": 1.1,
                    "left_foot": (0, 0.04, 0),
                    "left_toes": 1.2,
                    "trunk": (0.05, 0.08, 0),
                    **both("hand", (0.50, -0.40, 0.30)),
                },
            ),
            KeyPose(
                0.14,
                {
                    "pelvis": (0.08, 0.10, 0),
                    "right_foot": (0, 0.42, -0.24),
                    "right_toes": 1.1,
                    "left_foot": (0, 0.12, 0),
                    "left_toes": 1.0,
                    "trunk": (0.08, 0.08, 0),
                    **both("hand", (0.55, -0.30, 0.30)),
                },
            ),
        ),
    ),
    # Jump up.
    27: Action(
        cycle=(
            KeyPose(0.38, CROUCH),
            KeyPose(
                0.16,
                {
                    "pelvis": (0, 0.04, 0),
                    **both("foot", (0, 0.05, 0)),
                    **both("toes", 1.2),
                    **both("hand", (0.2, 0.0, 0.75)),
                },
            ),
            KeyPose(
                0.16,
                {
                    "pelvis": (0, 0.24, 0),
                    **both("foot", (0, 0.26, -0.06)),
                    **both("toes", 1.1),
                    "trunk": (-0.05, 0, 0),
                    **both("hand", (0.2, 0.75, 0.45)),
                },
            ),
            KeyPose(
                0.20,
                {
                    "pelvis": (0, -0.16, -0.06),
                    "trunk": (0.35, 0, 0),
                    **both("hand", (0.25, -0.60, 0.35)),
                },
            ),
            KeyPose(0.35, {}),
        ),
    ),
    # Make a phone call.
    28: Action(
        cycle=(
            KeyPose(0.70, {"right_hand": (-0.02, 0.30, 0.14), "right_elbow": 0.3}),
            KeyPose(
                0.90,
                {
                    "right_hand": (-0.02, 0.30, 0.14),
                    "right_elbow": 0.3,
                    "head": (0.05, -0.15, -0.1),
                },
            ),
            KeyPose(0.70, {}),
        ),
        repeats=(1, 1),
    ),
    # Point to something.
    31: Action(
        cycle=(
            KeyPose(0.50, {"right_hand": (0.05, 0.02, 0.95)}),
            KeyPose(0.60, {"right_hand": (0.05, 0.02, 0.95)}),
            KeyPose(0.50, {}),
        ),
        repeats=(1, 2),
    ),
    # Check the time.
    33: Action(
        cycle=(
            KeyPose(
                0.55,
                {
                    "right_hand": (-0.30, -0.22, 0.46),
                    "right_elbow": 0.3,
                    "head": (0.35, 0, -0.1),
                },
            ),
            KeyPose(
                0.60,
                {
                    "right_hand": (-0.30, -0.22, 0.46),
                    "right_elbow": 0.3,
                    "head": (0.40, 0, -0.1),
                },
            ),
            KeyPose(0.50, {}),
        ),
        repeats=(1, 2),
    ),
    # Rub two hands.
    34: Action(
        cycle=(
            KeyPose(0.18, {"left_hand": (-0.29, -0.32, 0.60), "right_hand": (-0.29, -0.36, 0.48)}),
            KeyPose(0.18, {"left_hand": (-0.29, -0.36, 0.48), "right_hand": (-0.29, -0.32, 0.60)}),
        ),
        repeats=(3, 6),
        handed=False,
    ),
    # Bow.
    35: Action(
        cycle=(
            KeyPose(
                0.70,
                {
                    "trunk": (1.0, 0, 0),
                    "head": (0.4, 0, 0),
                    "pelvis": (0, -0.02, -0.14),
                    **both("hand", (0.05, -0.75, 0.55)),
                },
            ),
            KeyPose(
                0.30,
                {
                    "trunk": (1.05, 0, 0),
                    "head": (0.5, 0, 0),
                    "pelvis": (0, -0.02, -0.15),
                    **both("hand", (0.05, -0.75, 0.55)),
                },
            ),
            KeyPose(0.75, {}),
        ),
    ),
    # Wipe the face.
    37: Action(
        cycle=(
            KeyPose(
                0.45,
                {"right_hand": (-0.18, 0.34, 0.34), "right_elbow": 0.6, "head": (0.1, 0, 0)},
            ),
            KeyPose(
                0.40,
                {"right_hand": (-0.20, 0.12, 0.38), "right_elbow": 0.35, "head": (0.15, 0, 0)},
            ),
        ),
        repeats=(2, 3),
    ),
    # Salute.
    38: Action(
        cycle=(
            KeyPose(0.50, {"right_hand": (0.04, 0.36, 0.22), "right_elbow": 0.75}),
            KeyPose(0.60, {"right_hand": (0.04, 0.36, 0.22), "right_elbow": 0.75}),
            KeyPose(0.45, {}),
        ),
        repeats=(1, 2),
    ),
    # Touch the head.
    44: Action(
        cycle=(
            KeyPose(
                0.60,
                {"right_hand": (-0.10, 0.42, 0.24), "right_elbow": 0.55, "head": (0.2, -0.1, 0)},
            ),
            KeyPose(
                0.80,
                {"right_hand": (-0.10, 0.42, 0.24), "right_elbow": 0.55, "head": (0.3, -0.15, 0)},
            ),
            KeyPose(0.60, {}),
        ),
        repeats=(1, 2),
    ),
    # Touch the neck.
    47: Action(
        cycle=(
            KeyPose(
                0.60,
                {"right_hand": (-0.10, 0.22, 0.08), "right_elbow": 0.6, "head": (0.1, 0.15, 0)},
            ),
            KeyPose(
                0.80,
                {"right_hand": (-0.10, 0.22, 0.08), "right_elbow": 0.6, "head": (0.1, 0.2, 0)},
            ),
            KeyPose(0.60, {}),
        ),
        repeats=(1, 2),
    ),
    # Fan oneself.
    49: Action(
        cycle=(
            KeyPose(0.22, {"right_hand": (-0.10, 0.06, 0.42), "right_elbow": 0.2}),
            KeyPose(0.22, {"right_hand": (0.14, 0.10, 0.36), "right_elbow": 0.25}),
        ),
        repeats=(4, 8),
    ),
    # Punch.
    50: Action(
        cycle=(
            KeyPose(0.30, GUARD),
            KeyPose(
                0.16,
                {
                    **GUARD,
                    "right_hand": (-0.25, 0.15, 0.95),
                    "trunk": (0.15, 0, 0.35),
                    "pelvis": (0, -0.04, 0.10),
                },
                partner={
                    "trunk": (-0.10, 0, 0.1),
                    "head": (-0.2, 0, 0.2),
                    "left_hand": (0, 0, 0.40),
                },
            ),
            KeyPose(
                0.25,
                GUARD,
                partner={
                    "trunk": (-0.30, 0.1, 0.3),
                    "head": (-0.3, 0.1, 0.5),
                    "pelvis": (0, -0.03, -0.10),
                    "left_hand": (0, 0.10, 0.45),
                    "right_hand": (0.25, -0.4, 0.45),
                    "right_foot": (0, 0, -0.25),
                },
            ),
            KeyPose(0.30, {**GUARD, "trunk": (0.05, 0, -0.15)}),
        ),
        distance=0.78,
    ),
    # Shake hands.
    58: Action(
        cycle=(
            KeyPose(0.22, OFFERED_HAND, partner=OFFERED_HAND),
            KeyPose(0.22, {**SHAKEN_HAND, "head": (0.12, 0, 0)}, partner=SHAKEN_HAND),
        ),
        distance=0.92,
        handed=False,
    ),
}


def pose_vector(pose: Pose) -> np.ndarray:
    """Return a pose as a vector (P,) of all channels; those that it does not contain stand."""
    vector = np.zeros(NUM_CHANNELS)
    for channel, value in {**STANDING, **pose}.items():
        vector[SLICES[channel]] = value
    return vector
