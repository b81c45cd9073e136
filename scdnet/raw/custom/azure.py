"""Recordings of the Azure Kinect as its offline processor writes them (docs/data/own.md)."""

from collections.abc import Mapping

import numpy as np

from scdnet.raw.custom.joint_names import match_joints
from scdnet.raw.custom.json_text import to_numbers
from scdnet.raw.custom.people import stack_people
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError, check_at_most
from scdnet.skeleton import Skeleton

JOINT_NAMES = "joint_names"


def read_azure(content: Mapping[str, object], where: str, skeleton: Skeleton) -> np.ndarray:
    """Read the bodies of all frames by their ids: (M, T, V, C) in the unit of the file.

    Source of the structure: offline_processor of Azure-Kinect-Samples. Raises RawFileError for
    another structure, and if a joint of the skeleton is missing.
    """
    names = content[JOINT_NAMES]
    frames = content.get("frames")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RawFileError(where, 0, f"expected a list of names as {JOINT_NAMES!r}")
    if not isinstance(frames, list):
        raise RawFileError(where, 0, "expected a list 'frames'")
    check_at_most(MAX_FRAMES, len(frames), "frames", where)
    order = match_joints(names, skeleton, where)
    tracks: dict[int, dict[int, np.ndarray]] = {}
    for index, frame in enumerate(frames):
        bodies = frame.get("bodies") if isinstance(frame, dict) else None
        if not isinstance(bodies, list):
            raise RawFileError(where, 0, f"frame {index + 1}: expected a list 'bodies'")
        for body in bodies:
            number, joints = _read_body(body, len(names), f"{where}, frame {index + 1}")
            if index in tracks.setdefault(number, {}):
                raise RawFileError(where, 0, f"frame {index + 1}: body_id {number} occurs twice")
            tracks[number][index] = joints[order]
    if not tracks:
        raise RawFileError(where, 0, f"no body in any of {len(frames)} frames")
    return stack_people(list(tracks.values()), len(frames))


def _read_body(body: object, num_joints: int, where: str) -> tuple[int, np.ndarray]:
    """Return the id and the joints (V, C) of a body. Raises RawFileError."""
    if not isinstance(body, dict) or "joint_positions" not in body:
        raise RawFileError(where, 0, "a body has no 'joint_positions'")
    number = body.get("body_id")
    if not isinstance(number, int):
        raise RawFileError(where, 0, f"expected an integer 'body_id', found {number!r:.40}")
    joints = to_numbers(body["joint_positions"], where, f"body {number}")
    if joints.shape != (num_joints, 3):
        raise RawFileError(
            where, 0, f"body {number}: expected {num_joints} x 3 numbers, found {joints.shape}"
        )
    return number, joints
