"""The text of NTU RGB+D `.skeleton` files: bodies to text and back (docs/method.md 1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scdnet.raw.raw_files import LARGEST, MAX_FRAMES, RawFileError
from scdnet.raw.text_numbers import Words, parse_counts, parse_decimals
from scdnet.skeleton import NTU_25

MAX_LISTED = 4  # bodies of a frame that are kept, in the order in which the frame lists them. Source: docs/method.md 1
NUM_JOINTS = NTU_25.num_joints
NUM_COLUMNS = 12  # of a joint's line; the first three are x y z


class SkeletonFileError(RawFileError):
    """A `.skeleton` file that is cut short, has another number of joints or holds no usable coordinates."""


class Body(NamedTuple):
    """One body as one frame lists it."""

    id: int
    joints: np.ndarray  # (V, C) metres, camera frame


def format_skeleton(frames: Sequence[Sequence[Body]]) -> str:
    """The text of a `.skeleton` file that lists `frames`, each a sequence of bodies.

    Columns that nothing in this project reads (image positions, orientations, hand states) are written as 0,
    tracking states as 2 (tracked).
    """
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body in bodies:
            lines.append(f"{body.id} 0 1 1 1 1 0 0 0 2")
            lines.append(str(len(body.joints)))
            lines += [
                f"{x:.5f} {y:.5f} {z:.5f} 0 0 0 0 0 0 0 0 2" for x, y, z in body.joints.tolist()
            ]
    return "\n".join(lines) + "\n"


class Layout(NamedTuple):
    """Where a `.skeleton` file keeps what; B bodies in all frames together."""

    num_frames: int
    frame: np.ndarray  # (B,) the frame that lists the body
    body: np.ndarray  # (B,) its place in the frame's list, from 0
    first_joint: np.ndarray  # (B,) line of its joint 0, from 0


def parse_skeleton(source: bytes | Sequence[str], where: str) -> np.ndarray:
    """Read one NTU RGB+D `.skeleton` file, given as its content or as its lines.

    Returns (4, T, V, C) float64 metres in the camera frame, bodies in the order in which each frame lists them, 0 where
    absent. What a frame lists beyond four is checked and left out; lines after the last frame are ignored.
    Raises SkeletonFileError (`where:line: ...`) if the text is shorter than its counts say, a body has not 25 joints of
    12 columns, a coordinate is no finite number, or no frame has a body.
    """
    words = Words.tokenize(
        source if isinstance(source, bytes) else "\n".join(source).encode(), where
    )
    layout = scan_layout(words, where)
    joint_lines = (layout.first_joint[:, None] + np.arange(NUM_JOINTS)).ravel()
    joints = parse_joints(words, joint_lines, where).reshape(-1, NUM_JOINTS, 3)
    is_kept = layout.body < MAX_LISTED
    bodies = np.zeros((MAX_LISTED, layout.num_frames, NUM_JOINTS, 3))
    bodies[layout.body[is_kept], layout.frame[is_kept]] = joints[is_kept]
    return bodies


def scan_layout(words: Words, where: str) -> Layout:
    """Follow the counts of frames, bodies and joints through the file; only their lines are looked at."""
    counts = parse_counts(words).tolist()
    num_lines = len(counts)

    def expect(line: int, what: str) -> SkeletonFileError:
        found = words.show(line) if line < num_lines else "the end of the file"
        return SkeletonFileError(where, min(line, num_lines) + 1, f"expected {what}, found {found}")

    if not counts or counts[0] < 0:
        raise expect(0, "the frame count")
    if counts[0] > MAX_FRAMES and num_lines > MAX_FRAMES:
        raise expect(0, f"at most {MAX_FRAMES} frames")
    listed, line = [], 1
    for frame in range(counts[0]):
        if line >= num_lines or counts[line] < 0:
            raise expect(line, f"the body count of frame {frame + 1} of {counts[0]}")
        num_bodies, line = counts[line], line + 1
        for body in range(num_bodies):
            end = line + 2 + NUM_JOINTS  # a line on the body, the joint count, the joints
            if line + 1 < num_lines and counts[line + 1] != NUM_JOINTS:
                raise expect(
                    line + 1,
                    f"the joint count {NUM_JOINTS} of body {body + 1} in frame {frame + 1}",
                )
            if end > num_lines:
                raise expect(
                    num_lines,
                    f"body {body + 1} of {num_bodies} in frame {frame + 1} of {counts[0]}",
                )
            listed.append((frame, body, line + 2))
            line = end
    if not listed:
        raise SkeletonFileError(where, 0, f"no body in any of {counts[0]} frames")
    return Layout(counts[0], *np.array(listed).T)


def parse_joints(words: Words, lines: np.ndarray, where: str) -> np.ndarray:
    """(rows, 3) float64 x y z of the joints on `lines` (rows,), counted from 0."""
    columns = words.columns()[lines]
    if (columns != NUM_COLUMNS).any():
        row = (columns != NUM_COLUMNS).argmax()
        raise SkeletonFileError(
            where,
            lines[row] + 1,
            f"expected {NUM_COLUMNS} columns of a joint, found {columns[row]}",
        )
    index = words.line[lines][:, None] + np.arange(3)
    joints = parse_decimals(words, index.ravel()).reshape(-1, 3)
    is_sound = np.abs(joints) < LARGEST  # nan is not
    if not is_sound.all():
        row = (~is_sound).any(axis=1).argmax()
        raise SkeletonFileError(
            where,
            lines[row] + 1,
            f"expected x y z as finite numbers, found {words.show(lines[row])}",
        )
    return joints
