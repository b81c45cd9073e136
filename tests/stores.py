"""Changes to stores and features files that their hashes do not give away."""

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import torch

from scdnet.config import DataConfig
from scdnet.data.checked_file import seal_texts, write_dataset
from scdnet.data.clips import SINGLE_PROCESS, RankInfo
from scdnet.data.mixture import Mixture, load_mixture
from scdnet.data.store import INTEGER_COLUMNS, SequenceTable, SkeletonSequence, hash_content
from scdnet.data.store_writer import StoreWriter
from scdnet.raw.normalize import normalize
from scdnet.skeleton import Skeleton
from scdnet.skeletons import NTU_25

# A skeleton of one's own: a chain without sides, whose sets of joints differ in size.
CRANE = Skeleton(
    name="crane é",
    joints=("foot", "boom", "hook", "weight"),
    parents=(0, 0, 1, 2),
    mirror=(0, 1, 3, 2),
    center=(1, 2),
    spine=((0,), (1, 2, 3)),
    shoulders=((2,), (3,)),
)


def write_named_store(
    path: Path,
    train: Sequence[str],
    test: Sequence[str] = (),
    *,
    skeleton: Skeleton = NTU_25,
    seed: int = 0,
    frames: int = 20,
) -> Path:
    """Write a store of sequences with given names, of two classes in turn.

    The frames of a sequence depend on its name and the seed alone, so that stores can share
    recordings.
    """
    with StoreWriter(
        path, skeleton=skeleton, dataset=path.stem, class_names=("a", "b"), created_by="a test"
    ) as writer:
        for i, name in enumerate(sorted((*train, *test))):
            rng = np.random.default_rng([seed, *name.encode()])
            joints = rng.normal(size=(2, frames + rng.integers(5), skeleton.num_joints, 3))
            # Scores of 2-D joints are positive.
            joints = normalize(np.abs(joints) if skeleton.dims == 2 else joints, skeleton)
            writer.append(SkeletonSequence(joints, name, i % 2))
        is_train = np.isin(writer.table().name, list(train))
        writer.finish({"xsub": is_train, "everybody": np.ones_like(is_train)})
    return path


def load_stores(*stores: Path, ranks: RankInfo = SINGLE_PROCESS, **values: object) -> Mixture:
    """Load stores, with clips of 16 frames."""
    config = DataConfig(store=stores, batch_size=4, num_frames=16, **values)
    return load_mixture(config, "joint", torch.device("cpu"), rank_info=ranks, free={"cpu": 1e9})


@contextmanager
def edit(path: Path) -> Iterator[h5py.File]:
    """Open a store or a features file for changes to its attributes, and seal them at the end."""
    with h5py.File(path, "r+") as file:
        yield file
        seal_texts(file, path)


def put(file: h5py.File, key: str, value: object) -> None:
    """Replace a dataset of an HDF5 file."""
    del file[key]
    file[key] = value


def rehash(path: Path) -> str:
    """Write the hashes of what a store contains now; return that of its content."""
    with edit(path) as file:
        frames_sha256 = hashlib.sha256(np.ascontiguousarray(file["frames"][:]).data).hexdigest()
        columns = {key: file[key][:] for key in INTEGER_COLUMNS}
        content_sha256 = hash_content(
            dataset=file.attrs["dataset"],
            class_names=tuple(file.attrs["class_names"]),
            skeleton=read_skeleton_group(file),
            offset=file["offset"][:],
            table=SequenceTable(np.array(file["name"].asstr()[:], dtype=str), **columns),
            splits={key: split[:] for key, split in file["split"].items()},
            frames_sha256=frames_sha256,
        )
        file.attrs.update(frames_sha256=frames_sha256, content_sha256=content_sha256)
        del file["frames_crc32"]
        write_dataset(file, "frames_crc32", crc32_of_sequences(file))
    return content_sha256


def crc32_of_sequences(file: h5py.File) -> np.ndarray:
    """Return the checksums of the frames of a store, as docs/data/store.md describes them."""
    sequences = np.split(file["frames"][:], file["offset"][1:-1])
    return np.array([zlib.crc32(frames.tobytes()) for frames in sequences], dtype=np.uint32)


def read_skeleton_group(file: h5py.File) -> Skeleton:
    """Read the group `skeleton`, as docs/data/store.md describes it."""
    group = file["skeleton"]
    sets = {key: json.loads(group.attrs[key]) for key in ("center", "spine", "shoulders")}
    columns = {key: group[key][:].tolist() for key in ("parents", "mirror")}
    return Skeleton.from_dict(
        {
            "name": file.attrs["skeleton"],
            "joints": group["joint_names"].asstr()[:].tolist(),
            "dims": int(group.attrs["dims"]),
            **columns,
            **sets,
        }
    )
