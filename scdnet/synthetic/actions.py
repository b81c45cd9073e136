"""What is done in the demo: one entry per action, a cycle of key poses with NTU-60's action numbers.

A key pose names only the channels (demo_body.CHANNELS) that differ from standing with hanging arms. Written for
right-handed people; a left-handed performance is the mirror image.
"""

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from scdnet.synthetic.body import NUM_CHANNELS, SLICES

Move = dict[str, tuple[float, ...] | float]  # channel -> value


class Key(NamedTuple):
    """A pose, and how long the way to it takes."""

    seconds: float
    move: Move
    partner: Move = MappingProxyType({})  # the same moment of the second person


@dataclass(frozen=True)
class Action:
    """One action: `cycle` is done `repeats` times, from `start` to `end`."""

    cycle: tuple[Key, ...]
    repeats: tuple[int, int] = (3, 6)  # fewest, most
    cut: float = (
        0.4  # the share of the action that a recording may miss, at its start and at its end
    )
    start: Move = field(default_factory=dict)
    end: Move = field(default_factory=dict)
    distance: float | None = (
        None  # between two people, in lengths of their two arms together; None: one person
    )
    handed: bool = True  # left-handed people do it the other way round

    @property
    def num_bodies(self) -> int:
        """M."""
        return 1 if self.distance is None else 2


STANDING: Move = {
    "left_hand": (0.12, -0.96, 0.06), "right_hand": (0.12, -0.96, 0.06), "left_toes": 0.5, "right_toes": 0.5,
}  # fmt: skip
SEATED: Move = {
    "pelvis": (0, -0.50, -0.48), "trunk": (0.05, 0, 0),
    "left_hand": (0.05, -0.55, 0.52), "right_hand": (0.05, -0.55, 0.52),
}  # fmt: skip
RISING: Move = {  # between standing and sitting: the weight over the feet
    "pelvis": (0, -0.30, -0.36), "trunk": (0.75, 0, 0), "head": (-0.3, 0, 0),
    "left_hand": (0.0, -0.60, 0.62), "right_hand": (0.0, -0.60, 0.62),
}  # fmt: skip
CROUCH: Move = {
    "pelvis": (0, -0.24, -0.12), "trunk": (0.55, 0, 0), "head": (-0.3, 0, 0),
    "left_hand": (0.15, -0.80, -0.45), "right_hand": (0.15, -0.80, -0.45),
}  # fmt: skip
GUARD: Move = {
    "right_hand": (-0.05, -0.10, 0.38), "left_hand": (-0.10, -0.08, 0.42), "trunk": (0.1, 0, -0.25),
    "right_foot": (0, 0, -0.12), "left_foot": (0, 0, 0.12), "pelvis": (0, -0.03, 0),
}  # fmt: skip

ACTIONS: dict[int, Action] = {
    7: Action(  # throw
        cycle=(
            Key(0.45, {"right_hand": (0.45, 0.15, -0.30), "right_elbow": 0.5, "left_hand": (0.15, -0.35, 0.75),
                       "trunk": (-0.15, -0.1, -0.55), "pelvis": (-0.03, -0.03, -0.10), "right_foot": (0, 0, 0),
                       "left_foot": (0, 0, 0.22)}),
            Key(0.20, {"right_hand": (0.05, 0.45, 0.80), "right_elbow": 0.4, "left_hand": (0.20, -0.70, 0.05),
                       "trunk": (0.20, 0.05, 0.25), "pelvis": (0.02, -0.04, 0.10), "left_foot": (0, 0, 0.22)}),
            Key(0.20, {"right_hand": (-0.35, -0.50, 0.65), "left_hand": (0.20, -0.85, -0.20),
                       "trunk": (0.40, 0.05, 0.50), "pelvis": (0.02, -0.06, 0.13), "left_foot": (0, 0, 0.22)}),
            Key(0.55, {}),
        ),
    ),
    8: Action(  # sit down
        cycle=(Key(0.55, RISING), Key(0.50, SEATED)), end=SEATED, repeats=(1, 1), cut=0.1,
    ),
    9: Action(  # stand up
        cycle=(Key(0.45, RISING), Key(0.65, {})), start=SEATED, repeats=(1, 1), cut=0.1,
    ),
    10: Action(  # clap
        cycle=(
            Key(0.20, {"left_hand": (-0.02, -0.30, 0.55), "right_hand": (-0.02, -0.30, 0.55), "trunk": (0.03, 0, 0)}),
            Key(0.16, {"left_hand": (-0.29, -0.25, 0.60), "right_hand": (-0.29, -0.25, 0.60), "trunk": (0.05, 0, 0)}),
        ),
    ),
    22: Action(  # cheer up
        cycle=(
            Key(0.32, {"left_hand": (0.30, 0.85, 0.15), "right_hand": (0.30, 0.85, 0.15), "head": (-0.3, 0, 0),
                       "trunk": (-0.1, 0, 0), "left_elbow": 0.5, "right_elbow": 0.5}),
            Key(0.28, {"left_hand": (0.30, 0.25, 0.25), "right_hand": (0.30, 0.25, 0.25), "trunk": (0.05, 0, 0),
                       "pelvis": (0, -0.05, 0), "left_elbow": 0.3, "right_elbow": 0.3}),
        ),
    ),
    23: Action(  # wave
        cycle=(
            Key(0.28, {"right_hand": (0.62, 0.42, 0.22), "right_elbow": 0.2, "trunk": (0, -0.05, 0)}),
            Key(0.28, {"right_hand": (0.12, 0.52, 0.32), "right_elbow": 0.2}),
        ),
    ),
    24: Action(  # kick
        cycle=(
            Key(0.35, {"right_foot": (0, 0.22, -0.40), "right_toes": 1.0, "pelvis": (0.07, -0.03, 0.03),
                       "trunk": (0.10, 0.05, -0.15),
                       "left_hand": (0.25, -0.80, 0.35), "right_hand": (0.20, -0.88, -0.30)}),
            Key(0.22, {"right_foot": (-0.05, 0.42, 0.72), "right_toes": 0.1, "pelvis": (0.07, -0.02, 0.00),
                       "trunk": (-0.25, 0.05, 0.25),
                       "left_hand": (0.45, -0.75, -0.25), "right_hand": (0.35, -0.75, 0.35)}),
            Key(0.35, {"right_foot": (0, 0.12, 0.10), "right_toes": 0.6, "pelvis": (0.06, -0.03, 0)}),
            Key(0.30, {}),
        ),
    ),
    26: Action(  # hop on one foot
        cycle=(
            Key(0.20, {"pelvis": (0.08, -0.12, 0), "right_foot": (0, 0.26, -0.28), "right_toes": 1.0,
                       "trunk": (0.18, 0.08, 0), "left_hand": (0.35, -0.60, 0.30), "right_hand": (0.35, -0.60, 0.30)}),
            Key(0.14, {"pelvis": (0.08, 0.03, 0), "right_foot": (0, 0.36, -0.26), "right_toes": 1.1, "left_toes": 1.2,
                       "left_foot": (0, 0.04, 0), "trunk": (0.05, 0.08, 0),
                       "left_hand": (0.50, -0.40, 0.30), "right_hand": (0.50, -0.40, 0.30)}),
            Key(0.14, {"pelvis": (0.08, 0.10, 0), "right_foot": (0, 0.42, -0.24), "right_toes": 1.1, "left_toes": 1.0,
                       "left_foot": (0, 0.12, 0), "trunk": (0.08, 0.08, 0),
                       "left_hand": (0.55, -0.30, 0.30), "right_hand": (0.55, -0.30, 0.30)}),
        ),
    ),
    27: Action(  # jump up
        cycle=(
            Key(0.38, CROUCH),
            Key(0.16, {"pelvis": (0, 0.04, 0), "left_foot": (0, 0.05, 0), "right_foot": (0, 0.05, 0), "left_toes": 1.2,
                       "right_toes": 1.2, "left_hand": (0.2, 0.0, 0.75), "right_hand": (0.2, 0.0, 0.75)}),
            Key(0.16, {"pelvis": (0, 0.24, 0), "left_foot": (0, 0.26, -0.06), "right_foot": (0, 0.26, -0.06),
                       "left_toes": 1.1, "right_toes": 1.1, "trunk": (-0.05, 0, 0),
                       "left_hand": (0.2, 0.75, 0.45), "right_hand": (0.2, 0.75, 0.45)}),
            Key(0.20, {"pelvis": (0, -0.16, -0.06), "trunk": (0.35, 0, 0),
                       "left_hand": (0.25, -0.60, 0.35), "right_hand": (0.25, -0.60, 0.35)}),
            Key(0.35, {}),
        ),
    ),
    35: Action(  # bow
        cycle=(
            Key(0.70, {"trunk": (1.0, 0, 0), "head": (0.4, 0, 0), "pelvis": (0, -0.02, -0.14),
                       "left_hand": (0.05, -0.75, 0.55), "right_hand": (0.05, -0.75, 0.55)}),
            Key(0.30, {"trunk": (1.05, 0, 0), "head": (0.5, 0, 0), "pelvis": (0, -0.02, -0.15),
                       "left_hand": (0.05, -0.75, 0.55), "right_hand": (0.05, -0.75, 0.55)}),
            Key(0.75, {}),
        ),
    ),
    50: Action(  # punch the other person
        cycle=(
            Key(0.30, GUARD),
            Key(0.16, {**GUARD, "right_hand": (-0.25, 0.15, 0.95), "trunk": (0.15, 0, 0.35),
                       "pelvis": (0, -0.04, 0.10)},
                {"trunk": (-0.10, 0, 0.1), "head": (-0.2, 0, 0.2), "left_hand": (0, 0, 0.40)}),
            Key(0.25, GUARD,
                {"trunk": (-0.30, 0.1, 0.3), "head": (-0.3, 0.1, 0.5), "pelvis": (0, -0.03, -0.10),
                 "left_hand": (0, 0.10, 0.45), "right_hand": (0.25, -0.4, 0.45), "right_foot": (0, 0, -0.25)}),
            Key(0.30, {**GUARD, "trunk": (0.05, 0, -0.15)}),
        ),
        distance=0.78,
    ),
    58: Action(  # shake hands
        cycle=(
            Key(0.22, {"right_hand": (-0.20, -0.28, 0.74), "trunk": (0.12, 0, 0.12)},
                {"right_hand": (-0.20, -0.28, 0.74), "trunk": (0.12, 0, 0.12)}),
            Key(0.22, {"right_hand": (-0.20, -0.50, 0.70), "trunk": (0.16, 0, 0.12), "head": (0.12, 0, 0)},
                {"right_hand": (-0.20, -0.50, 0.70), "trunk": (0.16, 0, 0.12)}),
        ),
        distance=0.92, handed=False,
    ),
}  # fmt: skip


def pose_vector(move: Move) -> np.ndarray:
    """(P,) the pose of a body that stands but for `move`."""
    pose = np.zeros(NUM_CHANNELS)
    for channel, value in {**STANDING, **move}.items():
        pose[SLICES[channel]] = value
    return pose
