"""Labels beside arrays, in all the forms in which scripts write them."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from scdnet.raw.raw_files import RawFileError
from scdnet.raw.ready_made.labels import MAX_LABEL, read_integers, read_label_pickle
from scdnet.raw.ready_made.sources import Source


def written(path: Path, content: object) -> Source:
    """Write an array or a pickle, by its kind."""
    if isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(pickle.dumps(content))
    return Source(path, str(path))


@pytest.mark.parametrize(
    "content",
    [
        (["a", "b"], [3, 0]),
        [("a", "b"), (3, 0)],
        (["a", "b"], [3.0, 0.0]),
        (["a", "b"], np.array([3, 0])),
        (np.array(["a", "b"]), np.array([3.0, 0.0])),
        (np.array(["a", "b"], object), [np.int64(3), np.float32(0)]),
        (["a", "b"], np.array([[3], [0]])),
    ],
)
def test_two_lists_of_any_kind_are_names_and_labels(tmp_path, content):
    assert read_label_pickle(written(tmp_path / "a.pkl", content)) == (["a", "b"], [3, 0])


@pytest.mark.parametrize(
    "content",
    [
        None,
        ["a", "b"],
        (["a", "b"], [3, 0], []),
        (["a", 1], [3, 0]),
        (["a"], [3, 0]),
        (["a", "b"], "30"),
        (["a", "b"], [3, None]),
        (["a", "b"], [3, -1]),
        (["a", "b"], [True, 0]),
        (["a", "b"], [3, float("nan")]),
        (["a", "b"], [3, MAX_LABEL + 1]),
        {"names": ["a"], "labels": [1]},
    ],
)
def test_other_pickles_are_refused(tmp_path, content):
    with pytest.raises(RawFileError, match="expected"):
        read_label_pickle(written(tmp_path / "a.pkl", content))


@pytest.mark.parametrize("kind", ["i8", "u1", "f4", ">i4"])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_arrays_of_any_integers_are_read(tmp_path, kind, shape):
    array = np.array([4, 0, 9], kind).reshape(shape)
    assert read_integers(written(tmp_path / "a.npy", array)) == [4, 0, 9]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 2)),
        np.array(3),
        np.array(["1"]),
        np.array([1.5]),
        np.array([np.inf]),
        np.array([2**40]),
        np.array([True]),
    ],
)
def test_other_arrays_are_refused(tmp_path, array):
    with pytest.raises(RawFileError, match="integer"):
        read_integers(written(tmp_path / "a.npy", array))
