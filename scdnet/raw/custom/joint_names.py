"""Joints by name: the names that files give them, and those of a skeleton (docs/data/own.md)."""

import re
from collections.abc import Mapping, Sequence

from scdnet.raw.raw_files import RawFileError, quote
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

# "LeftUpLeg", "left_up_leg" and "LEFT UP LEG" have the same words, "Spine1" two, "LHip" two.
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# One word for words that mean the same, and none for those that mean nothing.
SAME_WORDS = {
    "l": "left",
    "r": "right",
    "lft": "left",
    "rgt": "right",
    "middle": "mid",
    "centre": "center",
    "shoulders": "shoulder",
    "hips": "hip",
}
FILLERS = {"of", "at"}
# Programs put it before the name of each joint.
PREFIX = re.compile(r"k4abt[ _]*joint[ _]*|mixamorig\d*:", re.IGNORECASE)
# An error lists as many names of a file.
MAX_LISTED = 60

# Further names of joints; those of the skeleton itself come first. Right joints have the names of
# left ones with the sides exchanged.
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "base of spine": ("hip center", "pelvis", "mid hip", "hips", "root"),
    "middle of spine": ("spine", "torso"),
    "spine at shoulders": ("shoulder center",),
    "center of hips": ("spine base", "pelvis", "mid hip", "hips", "root"),
    "spine": ("spine mid", "torso"),
    "center of shoulders": ("spine shoulder",),
    # The second is how early versions of the SDK spell it.
    "navel": ("spine navel", "spine naval"),
    "chest": ("spine chest",),
    "pelvis": ("hip center", "spine base", "mid hip", "hips", "root"),
    "thorax": ("chest", "upper chest", "shoulder center", "spine shoulder"),
    "torso": ("spine", "spine mid"),
    "middle of hips": ("hip center", "pelvis", "hips", "root"),
    "top of head": ("head",),
    "left ankle": ("left foot",),
    "left clavicle": ("left collar",),
    "left collar": ("left clavicle",),
    "left foot index": ("left toe", "left big toe"),
    "left index": ("left index finger",),
    "left pinky": ("left pinky finger", "left little finger"),
    "left thumb": ("left hand thumb",),
    "tip of left hand": ("left fingertip", "left handtip"),
}

# A naming gives the names of all joints of a skeleton in files of a kind: the first that a file
# has. It fits as a whole or not at all, because the same word means different joints in different
# ones: LeftShoulder is the collar of Mixamo, not its shoulder.
Naming = Mapping[str, tuple[str, ...]]


def _both_sides(trunk: Naming, left: Naming) -> dict[str, tuple[str, ...]]:
    """Return the names of the trunk and of the joints of both sides, given those of the left."""
    return {
        **trunk,
        **{f"left {joint}": tuple(f"left {name}" for name in left[joint]) for joint in left},
        **{f"right {joint}": tuple(f"right {name}" for name in left[joint]) for joint in left},
    }


# LAFAN1, Mixamo and CMU (cgspeed's BVH). The hand is where the fingers begin, or else the end of
# the wrist's bone.
ARM_NAMES: Naming = _both_sides(
    {
        "pelvis": ("hips",),
        "neck": ("neck",),
        "head": ("head",),
    },
    {
        "hip": ("up leg", "upleg"),
        "knee": ("leg",),
        "ankle": ("foot",),
        "foot": ("toe base", "toe"),
        "collar": ("shoulder",),
        "shoulder": ("arm",),
        "elbow": ("fore arm", "forearm"),
        "wrist": ("hand",),
        "hand": ("hand middle 1", "finger base", "hand index 1", "hand end"),
    },
)
CMU_SPINE: Naming = {
    "spine 1": ("lower back",),
    "spine 2": ("spine",),
    "spine 3": ("spine 1",),
}
MIXAMO_SPINE: Naming = {
    "spine 1": ("spine",),
    "spine 2": ("spine 1",),
    "spine 3": ("spine 2",),
}

# Xsens MVN and 100STYLE.
CHEST_NAMES: Naming = _both_sides(
    {
        "pelvis": ("hips",),
        "spine 1": ("chest",),
        "spine 2": ("chest 2",),
        "spine 3": ("chest 4", "chest 3"),
        "neck": ("neck",),
        "head": ("head",),
    },
    {
        "hip": ("hip",),
        "knee": ("knee",),
        "ankle": ("ankle",),
        "foot": ("toe",),
        "collar": ("collar",),
        "shoulder": ("shoulder",),
        "elbow": ("elbow",),
        "wrist": ("wrist",),
        "hand": ("wrist end",),
    },
)

NAMINGS: Mapping[str, tuple[Naming, ...]] = {
    "smpl24": ({**ARM_NAMES, **CMU_SPINE}, {**ARM_NAMES, **MIXAMO_SPINE}, CHEST_NAMES),
}


def synonyms_of(name: str) -> tuple[str, ...]:
    """Return further names of a joint."""
    if "right" not in name:
        return SYNONYMS.get(name, ())
    left = SYNONYMS.get(name.replace("right", "left"), ())
    return tuple(synonym.replace("left", "right") for synonym in left)


def split_words(name: str) -> list[str]:
    """Return the words of a name in small letters, in their order."""
    return [word.lower() for word in WORD.findall(name)]


def words_of(name: str) -> list[str]:
    """Return the words of a name in their order, those of the same meaning as one."""
    words = split_words(PREFIX.sub("", name))
    return [SAME_WORDS.get(word, word) for word in words if word not in FILLERS]


def name_key(name: str) -> tuple[str, ...]:
    """Return the words of a joint name, by which names are compared.

    Case, blanks, underscores, the order of the words and what precedes a colon ("Actor 1:Hips") do
    not count; L and R are left and right.
    """
    return tuple(sorted(words_of(name.rsplit(":", 1)[-1])))


def match_joints(names: Sequence[str], skeleton: Skeleton, where: str) -> list[int]:
    """Return where each joint of `skeleton` is in `names`, those of a file of 3-D positions.

    Raises RawFileError, listing the names, if a joint is missing or two have its name, and if the
    skeleton is 2-D.
    """
    keys = [name_key(name) for name in names]
    if skeleton.dims != 3:
        # The names alone may fit, and z would be taken for the score.
        raise RawFileError(where, 0, f"positions are 3-D, {skeleton.name} is 2-D; {_suggest(keys)}")
    best = _find_all(keys, skeleton)
    for joint, found in zip(skeleton.joints, best, strict=True):
        if len(found) > 1:
            both = " and ".join(quote(names[index]) for index in found[:2])
            raise RawFileError(where, 0, f"expected one joint {joint!r}, found {both}")
    missing = [joint for joint, found in zip(skeleton.joints, best, strict=True) if not found]
    if missing:
        # A damaged file may name joints in any way: escaped and short.
        listed = ", ".join(quote(name)[1:-1] for name in names[:MAX_LISTED]) or "none"
        raise RawFileError(
            where,
            0,
            f"no joint is named {', '.join(missing)}, of {skeleton.name}; found {listed}; "
            f"{_suggest(keys)}",
        )
    return [found[0] for found in best]


def _suggest(keys: Sequence[tuple[str, ...]]) -> str:
    """Return what to do with a file whose joints are others."""
    fitting = [
        name for name, other in SKELETONS.items() if other.dims == 3 and all(_find_all(keys, other))
    ]
    way_out = f"use --layout {' or '.join(fitting)}, or " if fitting else ""
    return f"{way_out}describe the joints of the file in a YAML file (--skeleton)"


def _find_all(keys: Sequence[tuple[str, ...]], skeleton: Skeleton) -> list[tuple[int, ...]]:
    """Return the places of each joint in the keys of a file, in the naming that finds most."""
    own = {joint: (joint, *synonyms_of(joint)) for joint in skeleton.joints}
    attempts = [
        [_find(keys, naming[joint]) for joint in skeleton.joints]
        for naming in (own, *NAMINGS.get(skeleton.name, ()))
    ]
    return min(attempts, key=lambda found: found.count(()))


def _find(keys: Sequence[tuple[str, ...]], names: Sequence[str]) -> tuple[int, ...]:
    """Return the places of the first of `names` that is one of the keys, or none."""
    for name in names:
        key = name_key(name)
        if key in keys:
            return tuple(index for index, other in enumerate(keys) if other == key)
    return ()
