"""The text format of NTU RGB+D `.skeleton` files: parse and write it (docs/method.md 1)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scdnet.raw.raw_files import MAX_COORDINATE, MAX_FRAMES, RawFileError
from scdnet.raw.text_numbers import Words, parse_counts, parse_decimals
from scdnet.skeleton import NTU_25

# Bodies of a frame that are used: the first ones that it lists. Source: docs/method.md 1.
MAX_LISTED = 4
NUM_JOINTS = NTU_25.num_joints
# Columns of a joint's line; the first three are x y z.
NUM_COLUMNS = 12


class Body(NamedTuple):
    """A body as a frame lists it; joints are metres in the camera frame."""

    id: int
    joints: np.ndarray  # (V, C)


def format_skeleton(frames: Sequence[Sequence[Body]]) -> str:
    """Format `frames`, each a sequence of bodies, as the text of a `.skeleton` file.

    Columns that this project does not read (image positions, orientations, hand states) are 0,
    tracking states 2 (tracked).
    """
    lines = [str(len(frames))]
    for bodies in frames:
        lines.append(str(len(bodies)))
        for body in bodies:
            lines.append(f"{body.id} 0 1 1 1 1 0 0 0 2")
            lines.append(str(len(body.joints)))
            for x, y, z in body.joints.tolist():
                lines.append(f"{x:.5f} {y:.5f} {z:.5f} 0 0 0 0 0 0 0 0 2")
    return "\n".join(lines) + "\n"


class Layout(NamedTuple):
    """The places of all B bodies in a `.skeleton` file.

    frame: (B,) the frame that lists the body, from 0.
    position: (B,) its position in the list of the frame, from 0.
    first_joint: (B,) the line of its joint 0, from 0.
    """

    num_frames: int
    frame: np.ndarray
    position: np.ndarray
    first_joint: np.ndarray


def parse_skeleton(data: bytes, where: str) -> np.ndarray:
    """Parse the content of one NTU RGB+D `.skeleton` file.

    Returns (4, T, V, C) float64 metres in the camera frame, bodies in the order in which each frame
    lists them, 0 where absent. Further bodies of a frame are checked and left out; lines after the
    last frame are ignored.
    Raises RawFileError (`where:line: ...`) if the text is shorter than its counts state, a
    body has not 25 joints of 12 columns, a coordinate is not finite, or no frame has a body.
    """
    words = Words.tokenize(data, where)
    layout = scan_layout(words, where)
    joint_lines = (layout.first_joint[:, None] + np.arange(NUM_JOINTS)).ravel()
    joints = parse_joints(words, joint_lines, where).reshape(-1, NUM_JOINTS, 3)
    is_used = layout.position < MAX_LISTED
    bodies = np.zeros((MAX_LISTED, layout.num_frames, NUM_JOINTS, 3))
    bodies[layout.position[is_used], layout.frame[is_used]] = joints[is_used]
    return bodies


def scan_layout(words: Words, where: str) -> Layout:
    """Follow the counts of frames, bodies and joints through the file; no other line is read."""
    counts = parse_counts(words).tolist()
    num_lines = len(counts)

    def expected(what: str, line: int) -> RawFileError:
        found = words.quote(line) if line < num_lines else "the end of the file"
        reason = f"expected {what}, found {found}"
        return RawFileError(where, min(line, num_lines) + 1, reason)

    if not counts or counts[0] < 0:
        raise expected("the frame count", 0)
    num_frames = counts[0]
    if num_frames > MAX_FRAMES and num_lines > MAX_FRAMES:
        raise expected(f"at most {MAX_FRAMES} frames", 0)
    bodies = []
    line = 1
    for frame in range(num_frames):
        if line >= num_lines or counts[line] < 0:
            raise expected(f"the body count of frame {frame + 1} of {num_frames}", line)
        num_bodies = counts[line]
        line += 1
        for position in range(num_bodies):
            # A body has a line on itself, its joint count, and a line per joint.
            count_line = line + 1
            first_joint = line + 2
            line = first_joint + NUM_JOINTS
            has_wrong_count = count_line < num_lines and counts[count_line] != NUM_JOINTS
            if has_wrong_count or line > num_lines:
                body = f"body {position + 1} of {num_bodies} in frame {frame + 1} of {num_frames}"
                if has_wrong_count:
                    raise expected(f"the joint count {NUM_JOINTS} of {body}", count_line)
                raise expected(body, num_lines)
            bodies.append((frame, position, first_joint))
    if not bodies:
        raise RawFileError(where, 0, f"contains no body in any of {num_frames} frames")
    return Layout(num_frames, *np.array(bodies).T)


def parse_joints(words: Words, lines: np.ndarray, where: str) -> np.ndarray:
    """Parse x y z of the joints on `lines` (J,): (J, 3) float64. Raises RawFileError."""
    num_columns = words.words_per_line()[lines]
    has_wrong_width = num_columns != NUM_COLUMNS
    if has_wrong_width.any():
        row = has_wrong_width.argmax()
        reason = f"expected the {NUM_COLUMNS} columns of a joint, found {num_columns[row]}"
        raise RawFileError(where, lines[row] + 1, reason)
    index = words.first_word[lines][:, None] + np.arange(3)
    joints = parse_decimals(words, index.ravel()).reshape(-1, 3)
    # NaN is not below the limit either.
    is_valid = np.abs(joints) < MAX_COORDINATE
    if not is_valid.all():
        row = (~is_valid).any(axis=1).argmax()
        reason = f"expected x y z as finite numbers, found {words.quote(lines[row])}"
        raise RawFileError(where, lines[row] + 1, reason)
    return joints
