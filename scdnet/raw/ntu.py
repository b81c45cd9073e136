"""Recordings of NTU RGB+D 60 and 120: from `.skeleton` files to normalized sequences."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.data.store import SkeletonSequence
from scdnet.raw.convert import Job, Outcome, Rejection, duplicate_rejection
from scdnet.raw.datasets import NTU_DATASETS, class_names, parse_ntu_name
from scdnet.raw.file_kinds import describe_bytes
from scdnet.raw.normalize import normalize, select_bodies
from scdnet.raw.raw_files import MAX_COORDINATE, MAX_FRAMES, RawFile, RawFileError
from scdnet.raw.text_numbers import Words, parse_counts, parse_decimals
from scdnet.skeletons import NTU_25

SUFFIX = ".skeleton"
# Bodies of a frame that are used: the first ones that it lists. Source: docs/method.md 1.
MAX_LISTED = 4
NUM_JOINTS = NTU_25.num_joints
# Columns of a joint's line; the first three are x y z.
NUM_COLUMNS = 12


class Body(NamedTuple):
    """A body as a frame lists it; joints are meters in the camera frame."""

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


def parse_skeleton(data: bytes, where: str) -> np.ndarray:
    """Parse the content of one NTU RGB+D `.skeleton` file.

    Returns (4, T, V, C) float64 meters in the camera frame, bodies in the order in which each frame
    lists them, 0 where absent. Further bodies of a frame are checked and left out; lines after the
    last frame are ignored.
    Raises RawFileError (`where:line: ...`) if the text is shorter than its counts state, a
    body has not 25 joints of 12 columns, a coordinate is not finite, or no frame has a body.
    """
    try:
        return _parse_bodies(Words.tokenize(data, where), where)
    except RawFileError as error:
        kind = describe_bytes(data)
        if kind is None:
            raise
        raise RawFileError(where, 0, f"expected the text of a skeleton, found {kind}") from error


def _parse_bodies(words: Words, where: str) -> np.ndarray:
    """Parse the words of a `.skeleton` file as `parse_skeleton` does."""
    num_frames, places = find_bodies(words, where)
    frame, position, first_joint = places.T
    joint_lines = (first_joint[:, None] + np.arange(NUM_JOINTS)).ravel()
    joints = parse_joints(words, joint_lines, where).reshape(-1, NUM_JOINTS, 3)
    is_used = position < MAX_LISTED
    bodies = np.zeros((MAX_LISTED, num_frames, NUM_JOINTS, 3))
    bodies[position[is_used], frame[is_used]] = joints[is_used]
    return bodies


def find_bodies(words: Words, where: str) -> tuple[int, np.ndarray]:
    """Follow the counts of frames, bodies and joints through the file; no other line is read.

    Returns the number of frames and, for all B bodies, (B, 3) int64: the frame that lists the body,
    its position in the list of the frame, and the line of its joint 0, all from 0.
    """
    counts = parse_counts(words).tolist()
    num_lines = len(counts)

    def expected(what: str, line: int) -> RawFileError:
        found = words.quote(line) if line < num_lines else "the end of the file"
        return RawFileError(where, min(line, num_lines) + 1, f"expected {what}, found {found}")

    if not counts or counts[0] < 0:
        raise expected("the frame count", 0)
    num_frames = counts[0]
    if num_frames > MAX_FRAMES and num_lines > MAX_FRAMES:
        raise expected(f"at most {MAX_FRAMES} frames", 0)
    places = []
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
            places.append((frame, position, first_joint))
    if not places:
        raise RawFileError(where, 0, f"contains no body in any of {num_frames} frames")
    return num_frames, np.array(places)


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
        line = lines[is_valid.all(axis=1).argmin()]
        reason = f"expected x y z as finite numbers, found {words.quote(line)}"
        raise RawFileError(where, line + 1, reason)
    return joints


def read_frames(data: bytes, where: str) -> np.ndarray:
    """Parse and normalize a `.skeleton` file: float32 (T, M, V, C). Raises RawFileError."""
    return normalize(select_bodies(parse_skeleton(data, where)), NTU_25)


def convert_recording(file: RawFile) -> Outcome:
    """Read one recording and normalize it. Raises RawFileError."""
    name = parse_ntu_name(file.stem)
    assert name is not None, "plan_job selects files by their names"
    sequence = SkeletonSequence(
        frames=read_frames(file.read(), file.where),
        name=file.stem,
        label=name.action - 1,
        subject=name.subject,
        camera=name.camera,
        setup=name.setup,
        replication=name.replication,
    )
    return Outcome([sequence], [])


def plan_job(files: Iterable[RawFile], dataset: str, missing: frozenset[str]) -> Job:
    """Select the files to convert: sorted, unique names, without those in `missing`."""
    classes = class_names(dataset)
    selected: dict[str, RawFile] = {}
    rejected = []
    num_skipped = 0
    for file in files:
        name = parse_ntu_name(file.stem)
        if name is None:
            rejected.append(
                Rejection(file.where, 0, "expected a name of the form SxxxCxxxPxxxRxxxAxxx")
            )
        elif file.stem in missing:
            num_skipped += 1
        elif not 1 <= name.action <= len(classes):
            rejected.append(
                Rejection(
                    file.where, 0, f"expected a class in 1..{len(classes)}, found {name.action}"
                )
            )
        elif file.stem in selected:
            rejected.append(duplicate_rejection(file, selected[file.stem]))
        else:
            selected[file.stem] = file
    return Job(
        dataset=dataset,
        skeleton=NTU_25,
        class_names=classes,
        split_rules=NTU_DATASETS[dataset].rules,
        items=[selected[stem] for stem in sorted(selected)],
        convert_item=convert_recording,
        rejected=rejected,
        num_skipped=num_skipped,
    )


def read_missing_list(path: Path) -> frozenset[str]:
    """Read the names of recordings, with or without suffix, in a text file.

    Other words are ignored; an empty file is an empty list. Raises RawFileError if there is text
    but no name.
    """
    words = path.read_text(encoding="utf-8", errors="replace").split()
    names = frozenset(filter(parse_ntu_name, (word.removesuffix(SUFFIX) for word in words)))
    if words and not names:
        raise RawFileError(str(path), 0, "expected names like S001C001P001R001A001, found none")
    return names
