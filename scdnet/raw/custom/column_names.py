"""Columns of a table of positions by their names: which joint, which axis (docs/data/own.md)."""

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from scdnet.raw.custom.joint_names import SIDES, WORD, synonyms_of
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

# One word for words that mean the same, and none for those that mean nothing.
SAME_WORDS = {**SIDES, "middle": "mid", "centre": "center", "shoulders": "shoulder", "hips": "hip"}
FILLERS = {"of", "at"}
# Words around the name of a joint that do not change what it is.
NOISE = {
    "joint", "joints", "jointtype", "type", "position", "positions", "pos", "coord", "coordinate",
    "coordinates", "location", "loc", "landmark", "landmarks", "lm", "pose", "world", "nui",
    "skeleton", "kinect", "keypoint", "keypoints", "kp", "kpt", "point", "marker", "person",
    "body", "p", "j", "m", "cm", "mm", "camera", "global",
}  # fmt: skip
PREFIX = re.compile(r"k4abt[ _]*joint[ _]*|mixamorig\d*:", re.IGNORECASE)

# Words of columns that are not read -> what they contain.
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
# Names that an error lists.
MAX_LISTED = 8


class ColumnError(ValueError):
    """Names of columns that cannot be assigned to joints."""


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


class Columns(NamedTuple):
    """The places of all coordinates of all joints, and the columns that are not used."""

    # The numbers of the columns: bodies of joints of axes. In a table whose cells contain all axes
    # of a joint there is one column a joint.
    order: list[list[list[int]]]
    dropped: tuple[str, ...]


def axes_of(skeleton: Skeleton) -> tuple[str, str, str]:
    """Return the names of the three numbers of a joint."""
    return ("x", "y", "z") if skeleton.dims == 3 else ("x", "y", "score")


def words_of(name: str) -> list[str]:
    """Return the words of a name in their order, those of the same meaning as one."""
    words = [word.lower() for word in WORD.findall(PREFIX.sub("", name))]
    return [SAME_WORDS.get(word, word) for word in words if word not in FILLERS]


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
        plain = [word.lower() for word in WORD.findall(name)]
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


def match_columns(names: Sequence[str], skeleton: Skeleton) -> Columns:
    """Find the coordinates of all joints by the names of the columns.

    Raises ColumnError, listing the names, if one is not understood or a joint is missing.
    """
    columns = [parse_column(name, skeleton) for name in names]
    if columns and not names[0].strip():
        # As pandas writes the index.
        columns[0] = Column(dropped="column (unnamed)")
    unknown = [
        name.strip() or "(unnamed)"
        for name, column in zip(names, columns, strict=True)
        if not column.dropped and column.joint < 0 and column.number < 0
    ]
    problems = []
    if unknown:
        problems.append(f"columns that are not understood: {_list(unknown)}")
    order = _order(columns, skeleton)
    missing = _missing(order, skeleton)
    if missing:
        problems.append(f"no columns of {_list(missing)}")
    elif not unknown and len({len(axes) for axes in order.values()}) > 1:
        problems.append("some joints have one column and others three")
    if problems:
        problems.append(_suggest(names, skeleton) or f"expected those of {skeleton.name}")
        raise ColumnError("; ".join(problems))
    return Columns(_bodies(order, skeleton), _dropped(columns))


# Body and joint -> axis -> the number of the column.
Order = dict[tuple[tuple[int, ...], int], dict[str, int]]


def _order(columns: Sequence[Column], skeleton: Skeleton) -> Order:
    """Sort the columns by body, joint and axis; raise ColumnError if two contain the same."""
    numbers = {column.number for column in columns if column.number >= 0}
    # Joints are counted from 0 or from 1.
    first = 1 if numbers and min(numbers) == 1 and max(numbers) == skeleton.num_joints else 0
    order: Order = {}
    times: Counter[tuple[tuple[int, ...], int, str]] = Counter()
    for index, column in enumerate(columns):
        joint = column.joint if column.joint >= 0 else column.number - first
        if column.dropped or joint < 0:
            continue
        if joint >= skeleton.num_joints:
            raise ColumnError(
                f"columns of joint {column.number}, but {skeleton.name} has "
                f"{skeleton.num_joints} joints"
            )
        # The same names once more are those of the next body.
        place = (column.body, joint, column.axis)
        body = (*column.body, times[place])
        times[place] += 1
        order.setdefault((body, joint), {})[column.axis] = index
    return order


def _missing(order: Order, skeleton: Skeleton) -> list[str]:
    """List the joints, or their axes, that a body does not have."""
    axes = axes_of(skeleton)
    bodies = sorted({body for body, _ in order})
    missing = []
    for body in bodies or [()]:
        for joint, name in enumerate(skeleton.joints):
            found = order.get((body, joint), {})
            if not found:
                missing.append(name)
            elif "" not in found:
                lacking = [axis for axis in axes if axis not in found and axis != "score"]
                missing += [f"{name} {axis}" for axis in lacking]
    return missing


def _bodies(order: Order, skeleton: Skeleton) -> list[list[list[int]]]:
    """Return the columns of each body, joint and axis, of all bodies and joints."""
    axes = axes_of(skeleton)
    return [
        [
            [order[body, joint][axis] for axis in ("", *axes) if axis in order[body, joint]]
            for joint in range(skeleton.num_joints)
        ]
        for body in sorted({body for body, _ in order})
    ]


def _dropped(columns: Sequence[Column]) -> tuple[str, ...]:
    """Say which columns are not used; those of joints are counted."""
    counts = Counter(column.dropped for column in columns if column.dropped)
    return tuple(
        name if name.startswith("column ") else f"{count} columns of {name}"
        for name, count in counts.items()
    )


def _suggest(names: Sequence[str], skeleton: Skeleton) -> str:
    """Return a sentence on the other layouts whose joints have these names, or nothing."""
    fitting = []
    for other in SKELETONS.values():
        columns = [parse_column(name, other) for name in names]
        try:
            is_whole = not _missing(_order(columns, other), other)
        except ColumnError:
            continue
        is_known = all(column.dropped or column.joint >= 0 for column in columns)
        if is_whole and is_known and other != skeleton:
            fitting.append(other.name)
    return f"the names are those of {' or '.join(fitting)}" if fitting else ""


def _list(names: Sequence[str]) -> str:
    """Return the first of some names."""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
