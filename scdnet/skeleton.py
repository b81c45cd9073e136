"""Facts of the body: its joints, their bones and the graph that they form."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

# Joints of which the mean is taken, such as (23, 24) for the middle of the hips.
JointSet = tuple[int, ...]


@dataclass(frozen=True)
class Skeleton:
    """Joint topology of one capture system, and the joints that normalization aligns.

    Joints are counted from 0. Source of the rules: docs/data/skeletons.md.
    """

    name: str
    joints: tuple[str, ...]
    # parents[v] is the joint that v hangs on; the tree root is its own parent.
    parents: tuple[int, ...]
    # mirror[v] is the same joint on the other side of the body.
    mirror: tuple[int, ...]
    # Their mean is moved to the origin.
    center: JointSet
    # The lower and the upper end of the line that is turned upright.
    spine: tuple[JointSet, JointSet]
    # Left and right.
    shoulders: tuple[JointSet, JointSet]
    # 3 for x y z in meters, 2 for x y and a score.
    dims: int = 3

    @property
    def num_joints(self) -> int:
        """Return V, the number of joints."""
        return len(self.joints)

    @property
    def root(self) -> int:
        """Return the tree root, the joint that is its own parent."""
        return next(v for v, parent in enumerate(self.parents) if v == parent)

    @property
    def sides(self) -> tuple[JointSet, JointSet]:
        """Return the joints of mirrored pairs: those on the left, and those on the right.

        Where names do not say `left`, the joints that come first are on the first side.
        """
        pairs = [(v, other) for v, other in enumerate(self.mirror) if v < other]
        left = tuple(w if "left" in self.joints[w].lower() else v for v, w in pairs)
        return left, tuple(self.mirror[v] for v in left)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Return (child, parent) of every joint but the root."""
        return tuple((v, p) for v, p in enumerate(self.parents) if v != p)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as lists, texts and integers, for checkpoints."""
        return {
            key: _to_lists(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Build a skeleton from the result of `to_dict`. Raises ValueError if it is not one."""
        try:
            skeleton = cls(**{key: _to_tuples(value) for key, value in fields.items()})
            check_skeleton(skeleton)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"not the fields of a skeleton ({error})") from None
        return skeleton


def _to_lists(value: object) -> object:
    return [_to_lists(item) for item in value] if isinstance(value, tuple) else value


def _to_tuples(value: object) -> Any:
    return tuple(map(_to_tuples, value)) if isinstance(value, list | tuple) else value


def check_skeleton(skeleton: Skeleton) -> None:
    """Raise ValueError unless the joints form one tree and left and right correspond."""
    joints = skeleton.joints
    if not all(isinstance(joint, str) for joint in joints) or len(joints) < 2:
        raise ValueError("joints: expected two or more names")
    if len(set(joints)) < len(joints):
        raise ValueError("joints: expected distinct names")
    # 2.0 equals 2 but cuts no axis.
    if not isinstance(skeleton.dims, int) or skeleton.dims not in (2, 3):
        raise ValueError(f"dims: expected 2 or 3, found {skeleton.dims}")
    _check_numbers(skeleton)
    roots = [joint for joint, parent in enumerate(skeleton.parents) if joint == parent]
    if len(roots) != 1:
        found = ", ".join(joints[root] for root in roots) or "none"
        raise ValueError(f"parents: expected one root that is its own parent, found {found}")
    for joint, name in enumerate(joints):
        above = joint
        for _ in joints:
            above = skeleton.parents[above]
        if above != skeleton.root:
            raise ValueError(f"parents: {name} does not lead to the root")
        if skeleton.mirror[skeleton.mirror[joint]] != joint:
            raise ValueError(f"mirror: {name} is not the mirror joint of its mirror joint")


def _check_numbers(skeleton: Skeleton) -> None:
    """Raise ValueError unless all fields contain numbers of joints, as many as they should."""
    v = skeleton.num_joints
    for key in ("parents", "mirror"):
        if len(getattr(skeleton, key)) != v:
            raise ValueError(f"{key}: expected one for each of {v} joints")
    for key in ("spine", "shoulders"):
        if len(getattr(skeleton, key)) != 2:
            raise ValueError(f"{key}: expected two sets of joints")
    sets = (skeleton.center, *skeleton.spine, *skeleton.shoulders)
    if not all(sets):
        raise ValueError("expected one or more joints each as center, spine and shoulders")
    for key in ("spine", "shoulders"):
        first, second = getattr(skeleton, key)
        if set(first) == set(second):
            raise ValueError(f"{key}: expected two different places, found the same one twice")
    numbers = (*skeleton.parents, *skeleton.mirror, *(joint for joints in sets for joint in joints))
    if not all(isinstance(number, int) and 0 <= number < v for number in numbers):
        raise ValueError(f"expected joints as numbers in 0..{v - 1}")


def mean_joint(joints: np.ndarray, joint_set: JointSet) -> np.ndarray:
    """Return the mean of some joints of (..., V, C): (..., C)."""
    return joints[..., list(joint_set), :].mean(axis=-2)


def spine_vectors(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return the vectors from the lower to the upper end of the spine of (..., V, C): (..., C)."""
    lower, upper = (mean_joint(joints, end) for end in skeleton.spine)
    return upper - lower


def shoulder_vectors(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return the vectors from the left to the right shoulder of (..., V, C): (..., C)."""
    left, right = (mean_joint(joints, side) for side in skeleton.shoulders)
    return right - left


def trunk_vectors(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Return the vectors from the lower end of the spine to between the shoulders: (..., C)."""
    left, right = (mean_joint(joints, side) for side in skeleton.shoulders)
    return (left + right) / 2 - mean_joint(joints, skeleton.spine[0])


def neighbor_matrix(skeleton: Skeleton) -> np.ndarray:
    """Return (V, V) int64, 1 where two joints are the same or share a bone."""
    return (partition_graph(skeleton).sum(axis=0) > 0).astype(np.int64)


def partition_graph(skeleton: Skeleton) -> np.ndarray:
    """Return the subsets self, inward (child to parent) and outward: (3, V, V) float32.

    An edge i -> j is entry [j, i]; inward and outward are column-normalized, a column of zeros
    stays zero. Source: Chen et al. 2021 (CTR-GCN), the graph that docs/method.md 3 describes.
    """
    identity = np.eye(skeleton.num_joints, dtype=np.float32)
    # A joint has one parent at most, so a column sums to 1 or 0; the root has no bone to itself.
    inward = identity[:, list(skeleton.parents)] * (1 - identity)
    outward = inward.T / np.maximum(inward.sum(axis=1), 1)
    return np.stack([identity, inward, outward])
