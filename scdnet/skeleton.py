"""Facts of the body: its joints, their bones and the graph that they form."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skeleton:
    """Joint topology of one capture system; joints are counted from 0."""

    name: str
    joints: tuple[str, ...]
    # parents[v] is the joint that v hangs on; the root is its own parent.
    parents: tuple[int, ...]
    # mirror[v] is the same joint on the other side of the body.
    mirror: tuple[int, ...]

    @property
    def num_joints(self) -> int:
        """Return V, the number of joints."""
        return len(self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """Return (child, parent) of every joint but the root."""
        return tuple((v, p) for v, p in enumerate(self.parents) if v != p)


# Child: parent, counted from 1 as in the NTU RGB+D release. Source: the pairs of the SCD-Net
# release.
_NTU_PARENTS = {
    1: 2, 2: 21, 3: 21, 4: 3, 5: 21, 6: 5, 7: 6, 8: 7, 9: 21, 10: 9, 11: 10, 12: 11, 13: 1,
    14: 13, 15: 14, 16: 15, 17: 1, 18: 17, 19: 18, 20: 19, 21: 21, 22: 23, 23: 8, 24: 25, 25: 12,
}  # fmt: skip

# Kinect v2. Source: Shahroudy et al. 2016, fig. 1.
NTU_25 = Skeleton(
    name="ntu25",
    joints=(
        "base of spine", "middle of spine", "neck", "head",
        "left shoulder", "left elbow", "left wrist", "left hand",
        "right shoulder", "right elbow", "right wrist", "right hand",
        "left hip", "left knee", "left ankle", "left foot",
        "right hip", "right knee", "right ankle", "right foot",
        "spine at shoulders", "tip of left hand", "left thumb", "tip of right hand", "right thumb",
    ),
    parents=tuple(_NTU_PARENTS[v] - 1 for v in range(1, 26)),
    mirror=(
        0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 16, 17, 18, 19, 12, 13, 14, 15, 20, 23, 24, 21, 22,
    ),
)  # fmt: skip


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
