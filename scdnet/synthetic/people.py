"""The people of the demo: synthetic subjects with sizes, proportions and habits of their own."""

from dataclasses import dataclass

import numpy as np

from scdnet.synthetic.body import Shape

STATURE_M = (1.52, 1.94)
# The share of each length of Shape in the stature, and the group that it grows with. The shares
# are plausible adult values, rounded.
PROPORTIONS = {
    "spine": (0.175, "trunk"),
    "chest": (0.140, "trunk"),
    "neck": (0.045, "trunk"),
    "head": (0.085, "trunk"),
    "shoulder": (0.100, "width"),
    "hip": (0.046, "width"),
    "upper_arm": (0.162, "arm"),
    "forearm": (0.146, "arm"),
    "hand": (0.044, "arm"),
    "thumb": (0.030, "arm"),
    "fingers": (0.030, "arm"),
    "thigh": (0.242, "leg"),
    "shin": (0.232, "leg"),
    "foot": (0.072, "leg"),
    "ankle": (0.044, "leg"),
}
GROUPS = ("trunk", "width", "arm", "leg")
# Standard deviation between people of the factor on a group's lengths.
PROPORTION_STD = 0.05


@dataclass(frozen=True)
class Style:
    """The body of one person and the habits of its motion."""

    shape: Shape
    left_handed: bool
    # Factor on the pace.
    speed: float
    # Factor on how far a movement departs from standing.
    amplitude: float
    # Delay of the arms and the head behind the trunk.
    lag_s: float
    # Permanent bend of the trunk.
    slouch_rad: float
    # Permanent shift of the hands outwards, in arm lengths.
    hand_offset: float
    # Permanent lift of the elbows.
    elbow_lift_rad: float
    # Shift of the feet outwards from the hips.
    stance_m: float
    # Distance of the left foot ahead of the right one.
    stagger_m: float
    # Factor on the sway while standing.
    sway: float


def sample_style(rng: np.random.Generator, *, left_handed_prob: float = 0.0) -> Style:
    """Draw the shape and the habits of a person."""
    stature = rng.uniform(*STATURE_M)
    factors = 1 + PROPORTION_STD * rng.standard_normal(len(GROUPS)).clip(-2, 2)
    factor = dict(zip(GROUPS, factors, strict=True))
    lengths = {
        name: stature * share * factor[group] for name, (share, group) in PROPORTIONS.items()
    }
    return Style(
        shape=Shape(**lengths),
        left_handed=bool(rng.random() < left_handed_prob),
        speed=rng.uniform(0.75, 1.3),
        amplitude=rng.uniform(0.86, 1.04),
        lag_s=rng.uniform(0.0, 0.12),
        slouch_rad=rng.uniform(-0.05, 0.22),
        hand_offset=rng.uniform(-0.03, 0.08),
        elbow_lift_rad=rng.uniform(-0.15, 0.25),
        stance_m=rng.uniform(0.0, 0.09),
        stagger_m=rng.uniform(-0.06, 0.06),
        sway=rng.uniform(0.6, 1.5),
    )
