"""The people of the demo: synthetic subjects with sizes, proportions and habits of their own."""

from typing import NamedTuple

import numpy as np

from scdnet.synthetic.body import NUM_CHANNELS, Lengths

# The share of each length of a body in the stature, and the group that it grows with. The shares
# are plausible adult values, rounded.
PROPORTIONS = {
    # The base of the spine to its middle, and on to the height of the shoulders.
    "spine": (0.175, "trunk"),
    "chest": (0.140, "trunk"),
    "neck": (0.045, "trunk"),
    "head": (0.085, "trunk"),
    # Distance of a shoulder from the spine.
    "shoulder": (0.100, "width"),
    # Distance of a hip from the spine.
    "hip": (0.046, "width"),
    "upper_arm": (0.162, "arm"),
    "forearm": (0.146, "arm"),
    "hand": (0.044, "arm"),
    "thumb": (0.030, "arm"),
    # Thumb to the tip of the hand, a bone in the skeleton's tree.
    "fingers": (0.030, "arm"),
    "thigh": (0.242, "leg"),
    "shin": (0.232, "leg"),
    "foot": (0.072, "leg"),
    # Height of the ankle above the floor.
    "ankle": (0.044, "leg"),
}
# The range of each habit.
HABITS = {
    # Factor on the pace.
    "speed": (0.8, 1.25),
    # Factor on how far a movement departs from standing.
    "amplitude": (0.88, 1.12),
    # Delay of the arms and the head behind the trunk.
    "lag_s": (0.0, 0.06),
    # Permanent bend of the trunk.
    "slouch_rad": (-0.05, 0.15),
    # Permanent shift of the hands outwards, in arm lengths.
    "hand_offset": (-0.03, 0.08),
    # Permanent lift of the elbows.
    "elbow_lift_rad": (-0.15, 0.25),
    # Shift of the feet outwards from the hips.
    "stance_m": (0.0, 0.09),
    # Distance of the left foot ahead of the right one.
    "stagger_m": (-0.06, 0.06),
    # Factor on the sway while standing.
    "sway": (0.6, 1.5),
}

# Standard deviations of the logarithm of how far a person goes in an action, as a whole and in each
# channel of the pose.
MANNER_STD = 0.12
CHANNEL_STD = 0.10


class Style(NamedTuple):
    """The body of one person and the habits of its motion."""

    lengths: Lengths
    left_handed: bool
    # The keys are the names of HABITS.
    habits: dict[str, float]


def sample_style(rng: np.random.Generator, *, left_handed: bool = False) -> Style:
    """Draw the body and the habits of a person."""
    stature = rng.uniform(1.56, 1.88)  # meters
    # Each group of lengths is some per cent longer or shorter than usual.
    factors = 1 + 0.03 * rng.standard_normal(4).clip(-2, 2)
    factor = dict(zip(("trunk", "width", "arm", "leg"), factors, strict=True))
    lengths = {
        name: stature * share * factor[group] for name, (share, group) in PROPORTIONS.items()
    }
    lengths["arm"] = lengths["upper_arm"] + lengths["forearm"]
    lengths["leg"] = lengths["thigh"] + lengths["shin"]
    return Style(lengths, left_handed, {name: rng.uniform(*HABITS[name]) for name in HABITS})


def sample_manner(rng: np.random.Generator) -> np.ndarray:
    """Draw how one person does one action: factors on the departure from standing; (P,)."""
    factors = MANNER_STD * rng.standard_normal() + CHANNEL_STD * rng.standard_normal(NUM_CHANNELS)
    return np.exp(factors.clip(-0.4, 0.4))
