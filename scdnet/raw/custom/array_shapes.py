"""Shapes of arrays of recordings, and what another shape is likely to mean (docs/data/own.md)."""

import itertools

import numpy as np

from scdnet.raw.npy import IMPORTER
from scdnet.raw.raw_files import MAX_FRAMES, RawFileError
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

# No sensor lists more people in a frame. A longer axis is not that of the bodies.
MAX_LISTED = 6


def check_shape(shape: tuple[int, ...], where: str, skeleton: Skeleton) -> None:
    """Raise RawFileError, with the likely meaning, unless the shape is that of a recording."""
    widths = (3,) if skeleton.dims == 3 else (3, 2)
    is_of_joints = len(shape) in (3, 4) and shape[-2] == skeleton.num_joints and shape[-1] in widths
    if is_of_joints and min(shape) > 0 and shape[0] <= MAX_FRAMES:
        if len(shape) == 3 or shape[1] <= min(shape[0], MAX_LISTED):
            return
        meaning = describe_bodies(shape)
    else:
        meaning = describe_shape(shape, skeleton)
    v = skeleton.num_joints
    raise RawFileError(
        where,
        0,
        f"expected an array of shape (frames, {v}, 3) or (frames, bodies, {v}, 3) with 1 to "
        f"{MAX_FRAMES} frames, found {shape}{meaning}",
    )


def describe_bodies(shape: tuple[int, ...]) -> str:
    """Return the likely meaning of (a, b, V, 3) where b is not a number of bodies in a frames."""
    first, second = shape[:2]
    if first <= MAX_LISTED < second or first < second <= MAX_LISTED:
        return (
            ", which looks like (bodies, frames, joints, coordinates) as pyskl has it; "
            "save joints.transpose(1, 0, 2, 3)"
        )
    return (
        ", which looks like (recordings, frames, joints, coordinates); save each recording as a "
        "file of its own: joints[0], joints[1], ..."
    )


def describe_shape(shape: tuple[int, ...], skeleton: Skeleton) -> str:
    """Return the likely meaning of another shape, and what to do about it; may be empty."""
    if len(shape) in (3, 4) and min(shape) > 0:
        meaning = describe_transposed(shape, skeleton)
    elif len(shape) == 5 and min(shape) > 0:
        meaning = describe_recordings(shape, skeleton)
    elif len(shape) == 2:
        meaning = describe_flat(shape, skeleton)
    else:
        meaning = ""
    return meaning or describe_joints(shape, skeleton)


def find_orders(shape: tuple[int, ...], skeleton: Skeleton) -> list[tuple[int, ...]]:
    """List the orders of axes that turn `shape` into (T, V, 3) or (T, M, V, 3)."""
    return [
        order
        for order in itertools.permutations(range(len(shape)))
        if (shape[order[-2]], shape[order[-1]]) == (skeleton.num_joints, 3)
        and 0 < shape[order[0]] <= MAX_FRAMES
        and (len(shape) == 3 or shape[order[1]] <= min(shape[order[0]], MAX_LISTED))
    ]


def name_axes(order: tuple[int, ...]) -> str:
    """Name the axes of an array that `order` turns into (T, V, 3) or (T, M, V, 3)."""
    names = ["frames", "bodies", "joints", "coordinates"]
    if len(order) == 3:
        names.remove("bodies")
    return ", ".join(names[order.index(axis)] for axis in range(len(order)))


def describe_transposed(shape: tuple[int, ...], skeleton: Skeleton) -> str:
    """Return the meaning of the axes if another order of them fits, else nothing."""
    orders = find_orders(shape, skeleton)
    if not orders:
        return ""
    order = orders[0]
    return f", which looks like ({name_axes(order)}); save joints.transpose{order}"


def describe_recordings(shape: tuple[int, ...], skeleton: Skeleton) -> str:
    """Return the meaning of the axes of several recordings if some order fits, else nothing."""
    orders = find_orders(shape[1:], skeleton)
    if not orders:
        return ""
    line = f"joints[0].transpose{orders[0]}"
    if shape[0] > 1:
        line += ", joints[1].transpose..., each as a file of its own"
    return (
        f", which looks like (recordings, {name_axes(orders[0])}); save {line}. Arrays of whole "
        f"data sets go to {IMPORTER.format('agcn')}"
    )


def describe_flat(shape: tuple[int, ...], skeleton: Skeleton) -> str:
    """Return the meaning of two axes if one contains the coordinates of all joints, or nothing."""
    v = skeleton.num_joints
    for bodies in (1, 2):
        new_shape = f"(-1, {v}, 3)" if bodies == 1 else f"(-1, {bodies}, {v}, 3)"
        if shape[1] == 3 * v * bodies:
            return (
                f", which looks like x y z of {v} joints in a row; save joints.reshape{new_shape}"
            )
        if shape[0] == 3 * v * bodies:
            return (
                f", which looks like x y z of {v} joints in a column; "
                f"save joints.T.reshape{new_shape}"
            )
    if shape == (v, 3):
        return ", which looks like a single frame; save joints[None]"
    return ""


def describe_joints(shape: tuple[int, ...], skeleton: Skeleton) -> str:
    """Return which layouts have as many joints as `shape` seems to have."""
    v = skeleton.num_joints
    if len(shape) in (3, 4) and shape[-2] == v and shape[-1] == 4:
        return "; the last of 4 numbers is not a coordinate: save joints[..., :3]"
    if len(shape) in (3, 4) and shape[-2] == v and shape[-1] == 2:
        return "; these are 2-D joints, for which there are layouts of their own"
    if len(shape) == 2 and shape[1] % 3 == 0:
        num_joints = shape[1] // 3
    elif len(shape) in (3, 4) and shape[-1] in (2, 3, 4):
        num_joints = shape[-2]
    else:
        return ""
    return "; " + suggest_layouts(num_joints)


def suggest_layouts(num_joints: int) -> str:
    """Return a sentence on the layouts of a number of joints."""
    fitting = [
        f"{other.name} ({other.dims}-D)"
        for other in SKELETONS.values()
        if other.num_joints == num_joints
    ]
    if fitting:
        return f"layouts of {num_joints} joints: {', '.join(fitting)}"
    return (
        f"no built-in layout has {num_joints} joints; describe them in a file, with --skeleton FILE"
    )


def add_score(bodies: np.ndarray) -> np.ndarray:
    """Append a score of 1 to (M, T, V, 2), 0 to joints at 0, 0, which were not found."""
    if bodies.shape[-1] == 3:
        return bodies
    is_found = bodies.any(axis=-1, keepdims=True)
    return np.concatenate([bodies, is_found], axis=-1)
