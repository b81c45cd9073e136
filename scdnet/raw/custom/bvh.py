"""Motion capture as `.bvh`: a hierarchy of bones and their rotations (docs/data/own.md).

The readers on PyPI did not fit: pybvh refuses joints that have position channels, as Xsens,
Perception Neuron and MotionBuilder write them, and reads paths only, not members of a zip; bvhio
computes in float32, too coarse for positions in centimeters.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from scdnet.raw.custom.joint_names import match_joints
from scdnet.raw.custom.reading import Reading
from scdnet.raw.file_kinds import describe_bytes
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, check_at_most, quote
from scdnet.raw.text_numbers import Words, parse_rows
from scdnet.skeleton import Skeleton

AXES = "XYZ"
POSITION = "position"
ROTATION = "rotation"
CHANNELS = {f"{axis}{kind}".lower() for axis in AXES for kind in (POSITION, ROTATION)}
# Joints and ends of a file; a rig with all fingers has some 80.
MAX_NODES = 1000
# Frames whose rotations are in memory at a time.
CHUNK = 1024


class Node(NamedTuple):
    """A joint, or the end of a bone; `parent` is the index of an earlier node, the root's is -1."""

    name: str
    parent: int
    offset: np.ndarray
    # Lower case, in the order in which the rotations are applied.
    channels: tuple[str, ...]


def read_bvh(data: bytes, where: str, skeleton: Skeleton) -> Reading:
    """Read a `.bvh` file in its unit and axes; its joints are found by their names.

    Raises RawFileError for a damaged file and if a joint of the skeleton is missing.
    """
    nodes, values = parse_bvh(data, where)
    order = match_joints([node.name for node in nodes], skeleton, where)
    return Reading(compute_positions(nodes, values)[None, :, order])


def parse_bvh(data: bytes, where: str) -> tuple[list[Node], np.ndarray]:
    """Split a file into its nodes and the values of all channels: (T, channels).

    Raises RawFileError, with the line where known.
    """
    start = data.find(b"MOTION")
    if start < 0:
        found = describe_bytes(data)
        reason = f"found {found}" if found else "is the file cut short?"
        raise RawFileError(where, 0, f"expected a line MOTION; {reason}")
    nodes = _parse_hierarchy(_Reader(data[:start], where))
    width = sum(len(node.channels) for node in nodes)
    words = Words.tokenize(data[start:], where)
    first_line = data.count(b"\n", 0, start)
    num_frames, header = _parse_motion_header(data[start:], where, first_line)
    check_at_most(MAX_FRAMES, num_frames, "frames", where)
    num_words = words.words_per_line()
    lines = header + np.flatnonzero(num_words[header:])
    if len(lines) != num_frames or not num_frames:
        raise RawFileError(
            where, 0, f"expected a line for each of {num_frames} frames, found {len(lines)}"
        )
    values = parse_rows(words, width)[lines]
    is_bad = np.isnan(values).any(axis=1)
    if is_bad.any():
        line = int(lines[is_bad.argmax()])
        raise RawFileError(
            where,
            first_line + line + 1,
            f"expected {width} finite numbers, one for each channel, found {words.quote(line)}",
        )
    return nodes, values


def _parse_motion_header(data: bytes, where: str, first_line: int) -> tuple[int, int]:
    """Return the number of frames that the lines below MOTION state, and where the values begin."""
    num_frames = None
    for number, line in enumerate(data.split(b"\n", 20)[:20]):
        words = line.split()
        if words[:1] == [b"Frames:"] and len(words) == 2 and words[1].isdigit():
            num_frames = int(words[1][:18])
        if words[:2] == [b"Frame", b"Time:"] and num_frames is not None:
            return num_frames, number + 1
    raise RawFileError(
        where, first_line + 1, "expected lines 'Frames: <number>' and 'Frame Time: <seconds>'"
    )


class _Reader:
    """The words of a hierarchy, one after another, and the line on which each one is."""

    def __init__(self, data: bytes, where: str) -> None:
        self.where = where
        self.line = 0
        self._words = self._split(data)

    def _split(self, data: bytes) -> Iterator[str]:
        for self.line, line in enumerate(data.splitlines(), start=1):
            yield from line.decode("utf-8", "replace").split()

    def next_word(self) -> str:
        """Return the next word. Raises RawFileError if there is none."""
        word = next(self._words, None)
        if word is None:
            raise self.error("expected more; is the file cut short?")
        return word

    def next_number(self) -> float:
        """Return the next word as a number. Raises RawFileError if it is none."""
        word = self.next_word()
        try:
            number = float(word)
        except ValueError:
            number = np.nan
        if not np.isfinite(number):
            raise self.error(f"expected a finite number, found {quote(word)}")
        return number

    def error(self, reason: str) -> RawFileError:
        """Return the error that names the line."""
        return RawFileError(self.where, self.line, reason)


def _parse_hierarchy(reader: _Reader) -> list[Node]:
    """Read the blocks of the joints and ends. Raises RawFileError."""
    if reader.next_word().lstrip("\ufeff").upper() != "HIERARCHY":
        raise reader.error("expected HIERARCHY at the beginning")
    nodes: list[Node] = []
    # The nodes whose blocks are open, the innermost last.
    open_nodes: list[int] = []
    while open_nodes or not nodes:
        word = reader.next_word()
        if word == "}" and open_nodes:
            open_nodes.pop()
            continue
        if word not in (("JOINT", "End") if open_nodes else ("ROOT",)):
            raise reader.error(
                f"expected {'a joint or }' if nodes else 'ROOT'}, found {quote(word)}"
            )
        parent = open_nodes[-1] if open_nodes else -1
        nodes.append(_parse_node(reader, word, nodes, parent))
        check_at_most(MAX_NODES, len(nodes), "joints", reader.where)
        open_nodes.append(len(nodes) - 1)
    return nodes


def _parse_node(reader: _Reader, kind: str, nodes: Sequence[Node], parent: int) -> Node:
    """Read a node up to its channels, or its offset if it is an end."""
    words = []
    while (word := reader.next_word()) != "{":
        words.append(word)
    is_end = kind == "End"
    name = f"{nodes[parent].name} end" if is_end else " ".join(words)
    if reader.next_word() != "OFFSET":
        raise reader.error(f"expected OFFSET of {quote(name)}")
    offset = np.array([reader.next_number() for _ in AXES])
    if is_end:
        return Node(name, parent, offset, ())
    word = reader.next_word()
    count = reader.next_word()
    if word != "CHANNELS" or not count.isascii() or not count.isdigit() or int(count[:3]) > 6:
        raise reader.error(f"expected CHANNELS of {quote(name)} and their number, up to 6")
    channels = tuple(reader.next_word().lower() for _ in range(int(count)))
    if not CHANNELS.issuperset(channels):
        raise reader.error(f"expected channels such as Xposition or Zrotation of {quote(name)}")
    return Node(name, parent, offset, channels)


def compute_positions(nodes: Sequence[Node], values: np.ndarray) -> np.ndarray:
    """Compute the positions of all nodes from the values (T, channels): (T, nodes, C).

    A position channel replaces that coordinate of the offset, as the exporters that write one for
    each joint mean it; rotations, in degrees, are applied to the children from the last channel to
    the first.
    """
    positions = np.zeros((len(values), len(nodes), 3))
    # Numbers beyond any body become infinite, which is refused later.
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(values), CHUNK):
            _place_nodes(nodes, values[start : start + CHUNK], positions[start : start + CHUNK])
    return positions


def _place_nodes(nodes: Sequence[Node], values: np.ndarray, positions: np.ndarray) -> None:
    """Write the positions (T, nodes, C) of some frames."""
    turns: list[np.ndarray] = []
    column = 0
    for index, node in enumerate(nodes):
        local = np.tile(node.offset, (len(values), 1))
        turn = np.eye(3)
        for channel in node.channels:
            axis = AXES.lower().index(channel[0])
            if channel.endswith(POSITION):
                local[:, axis] = values[:, column]
            else:
                turn = turn @ _rotation(axis, np.deg2rad(values[:, column]))
            column += 1
        if node.parent < 0:
            positions[:, index] = local
        else:
            turned = np.einsum("...ij,...j->...i", turns[node.parent], local)
            positions[:, index] = positions[:, node.parent] + turned
            turn = turns[node.parent] @ turn
        turns.append(turn)


def _rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    """Return the rotations about a coordinate axis by angles (T,) in radians: (T, C, C)."""
    first = (axis + 1) % 3
    second = (axis + 2) % 3
    rotation = np.zeros((len(angle), 3, 3))
    rotation[:, axis, axis] = 1
    rotation[:, first, first] = rotation[:, second, second] = np.cos(angle)
    rotation[:, second, first] = np.sin(angle)
    rotation[:, first, second] = -rotation[:, second, first]
    return rotation
