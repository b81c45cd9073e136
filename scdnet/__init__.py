"""Self-supervised skeleton-based action recognition.

The names below import what they need when they are called, so that `import scdnet` is quick and
reading stores and converting need no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scdnet.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from scdnet.data.store import SequenceStore
    from scdnet.eval.classify import Classifier
    from scdnet.models.encoder import DualPathEncoder
    from scdnet.skeleton import Skeleton

__all__ = [
    "__version__",
    "load_classifier",
    "load_encoder",
    "normalize_frames",
    "open_sequences",
    "read_recording",
]


def open_sequences(path: str | Path) -> SequenceStore:
    """Open the sequence store at `path` for reading.

    Args:
        path: An HDF5 file that one of the `scdnet prepare` commands has written.

    Returns:
        The open store, a context manager: `len(store)`, `store[i].frames`,
        `store.is_train("xsub")`.

    Raises:
        StoreError: The file is missing, damaged or of another kind; the message names the check.

    Example:
        >>> with open_sequences("data/demo.h5") as store:
        ...     frames = store[0].frames
        >>> frames.shape[1:]
        (2, 25, 3)
    """
    from scdnet.data.store import open_sequences

    return open_sequences(path)


def read_recording(
    path: str | Path,
    *,
    layout: str | None = None,
    skeleton: str | Path | Skeleton | None = None,
    unit: str | None = None,
    up: str | None = None,
    to: str | None = None,
) -> np.ndarray:
    """Read one recording and normalize it, as a sequence store contains it.

    A UserWarning names columns that are dropped, and an axis other than `up` along which the trunk
    points.

    Args:
        path: A `.skeleton` file of NTU RGB+D, without further arguments, or a file of your own:
            `.npz`, `.npy`, `.csv`, `.tsv`, `.json`, `.bvh` or `.c3d`. Of OpenPose's files, one a
            frame, the folder or any of them.
        layout: Which joints a file of your own contains, such as `"kinect_v1_20"`.
        skeleton: Instead of `layout`, joints of your own: a YAML file or a `Skeleton`.
        unit: Unit of the positions: `"m"`, `"cm"` or `"mm"`; `"px"` of 2-D joints.
        up: The axis that points up: `"y"`, `"z"`, `"-y"` or `"-z"`; `"y"` or `"-y"` of 2-D joints.
        to: `"ntu25"` to map the joints to those of NTU RGB+D.

    Returns:
        float32 (T, M, V, C): what `load_classifier(...)` takes. Meters, or of 2-D joints x and y in
        lengths of the trunk and the score.

    Raises:
        ScdnetError: The file cannot be used, or the other arguments do not fit its type.

    Example:
        >>> read_recording("data/demo_raw/S003C001P001R001A007.skeleton").shape[1:]
        (2, 25, 3)
    """
    from scdnet.raw.recording import read_recording

    return read_recording(path, layout=layout, skeleton=skeleton, unit=unit, up=up, to=to)


def normalize_frames(
    array: npt.ArrayLike,
    *,
    skeleton: str | Path | Skeleton = "ntu25",
    unit: str | None = None,
    up: str | None = None,
    to: str | None = None,
) -> np.ndarray:
    """Normalize a recording in memory, as `read_recording` does that of a file.

    Args:
        array: Positions (T, V, C) of one body or (T, M, V, C) of several, an absent body all zero.
            C is x, y, z, or of 2-D joints x, y and perhaps the score.
        skeleton: Which joints they are: the name of a built-in skeleton, a YAML file or a
            `Skeleton`.
        unit: As for `read_recording`.
        up: As for `read_recording`.
        to: As for `read_recording`.

    Returns:
        float32 (T, M, V, C), as `read_recording` returns it.

    Raises:
        ScdnetError: The array has another shape or other numbers, or an argument does not fit; the
            message names the shape and what fits.

    Example:
        >>> frames = read_recording("data/demo_raw/S003C001P001R001A007.skeleton")
        >>> normalize_frames(frames[:, 0], skeleton="ntu25", unit="m", up="z").shape[1:]
        (2, 25, 3)
    """
    from scdnet.raw.recording import normalize_frames

    return normalize_frames(array, skeleton=skeleton, unit=unit, up=up, to=to)


def load_encoder(path: str | Path, *, num_heads: int | None = None) -> DualPathEncoder:
    """Load a pretrained encoder, on the CPU and in eval mode.

    Args:
        path: A directory that `scdnet export` has written, `"hf://OWNER/NAME"` for one on the
            Hugging Face hub, the name of weights that ship, such as `"scdnet-small"`, a checkpoint
            of ours, or the authors' `checkpoint.pth.tar`.
        num_heads: Number of attention heads, for files that do not state it (the authors').

    Returns:
        The encoder, with the sizes of the weights; it takes clips (N, C, T, V, M).

    Raises:
        ScdnetError: A file is missing, damaged or unsafe, its weights do not fit, or the encoder
            cannot be downloaded.

    Example:
        >>> encoder = load_encoder("runs/demo/last.pt")
        >>> encoder.sizes.num_frames
        16
    """
    from scdnet.engine.sources import load_encoder

    return load_encoder(path, num_heads=num_heads)


def load_classifier(
    checkpoint: str | Path,
    features: str | Path,
    *,
    num_heads: int | None = None,
) -> Classifier:
    """Load a classifier of recordings, based on the features of known sequences.

    Args:
        checkpoint: The encoder, as for `load_encoder`.
        features: The features file that `scdnet extract` has written with this checkpoint.
        num_heads: As for `load_encoder`.

    Returns:
        A function of the frames of one recording, as `read_recording` returns them; its predictions
        have `.probabilities`, empty if the known sequences are unlabeled, and `.neighbours`.

    Raises:
        CheckpointError: The checkpoint cannot be loaded.
        FeatureFileError: The features belong to another checkpoint.

    Example:
        >>> classify = load_classifier("runs/demo/last.pt", "features.h5")
        >>> prediction = classify(read_recording("data/demo_raw/S003C001P001R001A007.skeleton"))
        >>> best = next(iter(prediction.probabilities))
    """
    from scdnet.eval.classify import load_classifier

    return load_classifier(checkpoint, features, num_heads=num_heads)
