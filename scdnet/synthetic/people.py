"""Who moves in the demo: subjects who differ in size, proportions and manner of moving, all of it made up."""

from dataclasses import dataclass

import numpy as np

from scdnet.synthetic.body import Shape

STATURE_M = (1.52, 1.94)
PROPORTIONS = {  # length of Shape: share of the stature, what it grows with. Plausible adult values, rounded
    "spine": (0.175, "trunk"), "chest": (0.140, "trunk"), "neck": (0.045, "trunk"), "head": (0.085, "trunk"),
    "shoulder": (0.100, "width"), "hip": (0.046, "width"),
    "upper_arm": (0.162, "arm"), "forearm": (0.146, "arm"),
    "hand": (0.044, "arm"), "thumb": (0.030, "arm"), "fingers": (0.030, "arm"),
    "thigh": (0.242, "leg"), "shin": (0.232, "leg"), "foot": (0.072, "leg"), "ankle": (0.044, "leg"),
}  # fmt: skip
GROUPS = ("trunk", "width", "arm", "leg")
PROPORTION_SPREAD = 0.05  # standard deviation of a group's share between people


@dataclass(frozen=True)
class Style:
    """How one person moves."""

    shape: Shape
    left_handed: bool
    speed: float  # factor on the pace
    amplitude: float  # factor on how far a movement departs from standing
    lag_s: float  # how much later than the trunk the arms and the head move
    slouch_rad: float  # trunk bent ahead all the time
    carriage: float  # hands held outwards all the time, arm lengths
    elbows_rad: float  # elbows lifted all the time
    stance_m: float  # feet outwards of the hips
    stagger_m: float  # left foot ahead of the right one
    unrest: float  # factor on swaying while standing


def sample_style(rng: np.random.Generator, *, left_handed_chance: float = 0.0) -> Style:
    """A person."""
    stature = rng.uniform(*STATURE_M)
    share = dict(
        zip(
            GROUPS,
            1 + PROPORTION_SPREAD * rng.standard_normal(len(GROUPS)).clip(-2, 2),
            strict=True,
        )
    )
    lengths = {name: stature * part * share[group] for name, (part, group) in PROPORTIONS.items()}
    return Style(
        shape=Shape(**lengths),
        left_handed=bool(rng.random() < left_handed_chance),
        speed=rng.uniform(0.75, 1.3),
        amplitude=rng.uniform(0.86, 1.04),
        lag_s=rng.uniform(0.0, 0.12),
        slouch_rad=rng.uniform(-0.05, 0.22),
        carriage=rng.uniform(-0.03, 0.08),
        elbows_rad=rng.uniform(-0.15, 0.25),
        stance_m=rng.uniform(0.0, 0.09),
        stagger_m=rng.uniform(-0.06, 0.06),
        unrest=rng.uniform(0.6, 1.5),
    )
