"""A column of a table of positions by its name: which joint, which axis (docs/data/own.md)."""

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from scdnet.raw.custom.joint_names import FILLERS, split_words, synonyms_of, words_of
from scdnet.skeleton import Skeleton

# Words around the name of a joint that do not change what it is.
NOISE = {
    "joint", "joints", "jointtype", "type", "position", "positions", "pos", "coord", "coordinate",
    "coordinates", "location", "loc", "landmark", "landmarks", "lm", "pose", "world", "nui",
    "skeleton", "kinect", "keypoint", "keypoints", "kp", "kpt", "point", "marker", "person",
    "body", "p", "j", "m", "cm", "mm", "camera", "global",
}  # fmt: skip

# Words of columns that are not read -> the content of the column.
QUALITY = "visibility or tracking"
QUALIFIERS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "visibility", "vis", "v", "presence", "confidence", "conf", "score", "c", "state",
            "trackingstate", "tracking", "tracked", "likelihood", "probability", "prob", "quality",
        ),
        QUALITY,
    ),
    **dict.fromkeys(
        (
            "orientation", "rotation", "quaternion", "quat", "rot", "euler", "roll", "pitch",
            "yaw", "w", "qw", "qx", "qy", "qz",
        ),
        "orientation",
    ),
    **dict.fromkeys(
        ("image", "color", "colour", "depth", "pixel", "pixels", "px", "screen", "u", "rgb", "ir"),
        "image positions",
    ),
    **dict.fromkeys(("velocity", "vel", "speed", "acceleration", "acc"), "motion"),
}  # fmt: skip
TIME_WORDS = {
    "time", "timestamp", "timestamps", "stamp", "t", "frame", "frames", "index", "idx", "id",
    "number", "num", "no", "nr", "count", "counter", "row", "date", "datetime", "sec", "secs",
    "second", "seconds", "s", "ms", "msec", "millis", "milliseconds", "us", "usec", "ns",
    "relative", "elapsed", "system", "unix", "epoch", "unnamed", "line", "sample", "video", "file",
    "filename", "name", "label", "class", "action", "activity", "image", "timestampms",
    "timestampusec", "frameid", "frameno", "framenumber", "frameindex", "framenum",
}  # fmt: skip
# Words of columns that tell people apart.
PERSON_WORDS = {
    "body", "user", "person", "player", "skeleton", "tracking", "track", "bodyid", "userid",
    "personid", "trackingid", "trackid", "skeletonid", "playerid", "subject",
}  # fmt: skip
KEY_WORDS = PERSON_WORDS | {
    "id", "index", "idx", "frame", "frames", "frameid", "frameno", "framenumber", "frameindex",
    "framenum",
}  # fmt: skip


class Column(NamedTuple):
    """The content of a column: an axis of a joint, or what `dropped` says, or neither."""

    joint: int = -1
    # x, y, z or score; empty for a column that contains all of them.
    axis: str = ""
    # The numbers in the name that tell bodies apart.
    body: tuple[int, ...] = ()
    # The joint has no name but this number.
    number: int = -1
    dropped: str = ""
    # Whether it tells frames or people apart.
    is_key: bool = False


@lru_cache(maxsize=16)
def joint_names(skeleton: Skeleton) -> Mapping[str, int]:
    """Return the joints by their names: all words joined, in any order, sides also as l and r."""
    found: dict[str, int] = {}
    own = [(joint, name) for joint, name in enumerate(skeleton.joints)]
    others = [(joint, synonym) for joint, name in own for synonym in synonyms_of(name)]
    for joint, name in (*own, *others):
        words = words_of(name)
        for order in itertools.permutations(words):
            short = [word[0] if word in ("left", "right") else word for word in order]
            found.setdefault("".join(order), joint)
            found.setdefault("".join(short), joint)
        # Words without anything between them cannot be told apart.
        plain = split_words(name)
        found.setdefault("".join(plain), joint)
        found.setdefault("".join(word for word in plain if word not in FILLERS), joint)
    return found


def parse_column(name: str, skeleton: Skeleton) -> Column:
    """Tell what a column contains by its name."""
    words = words_of(name)
    plain = [word for word in words if not word.isdigit()]
    if not plain:
        return Column()
    if set(plain) <= TIME_WORDS | PERSON_WORDS:
        return Column(dropped=f"column {name.strip()}", is_key=bool(set(plain) & KEY_WORDS))
    axis, rest = _split_axis(words, skeleton)
    # A joint may be called C7, or be marked W.
    if "".join(rest) in joint_names(skeleton):
        return Column(joint_names(skeleton)["".join(rest)], axis)
    kinds = [QUALIFIERS[word] for word in rest if word in QUALIFIERS]
    if kinds:
        if skeleton.dims == 3 or kinds[0] != QUALITY or axis:
            return Column(dropped=kinds[0])
        axis = "score"
        rest = [word for word in rest if word not in QUALIFIERS]
    return _find_joint(rest, axis, skeleton) or Column()


def _split_axis(words: Sequence[str], skeleton: Skeleton) -> tuple[str, list[str]]:
    """Return the axis that one of the words names, or the first or last letter of all."""
    axes = [word for word in words if word in ("x", "y", "z")]
    if len(axes) == 1:
        return axes[0], [word for word in words if word != axes[0]]
    joined = "".join(words)
    names = joint_names(skeleton)
    if joined not in names:
        for axis, rest in ((joined[-1:], joined[:-1]), (joined[:1], joined[1:])):
            if axis in ("x", "y", "z") and rest in names:
                return axis, [rest]
    return "", list(words)


def _find_joint(words: Sequence[str], axis: str, skeleton: Skeleton) -> Column | None:
    """Find the joint that the words of a column name, its axis apart."""
    names = joint_names(skeleton)
    heard = [word for word in words if word not in NOISE]
    for candidate in (words, heard):
        if "".join(candidate) in names:
            return Column(names["".join(candidate)], axis)
    numbers = tuple(int(word) for word in heard if word.isdecimal() and len(word) < 6)
    spoken = "".join(word for word in heard if not word.isdigit())
    if spoken in names:
        return Column(names[spoken], axis, numbers)
    if not spoken and numbers:
        return Column(-1, axis, numbers[:-1], numbers[-1])
    return None
