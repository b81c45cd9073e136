import pickle

import numpy as np
import pytest

from scdnet.errors import ScdnetError
from scdnet.raw.normalize import normalize
from scdnet.skeletons import NTU_25
from tests.raw.ready_made.ctrgcn_files import (
    NAMES,
    imported,
    make_denoised,
    make_raw,
)
from tests.raw.ready_made.importing import (
    make_walk,
    write_all,
)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("make", [make_raw, make_denoised])
def test_intermediates_of_any_protocol_give_the_same(tmp_path, names_file, protocol, make):
    root = write_all(tmp_path / "raw", {"raw_x.pkl": pickle.dumps(make(), protocol)})
    _, sequences, rejected = imported(root, tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES) and not rejected
    for name in NAMES:
        expected = normalize(make_walk(6, 1, int(name[-3:])), NTU_25)
        np.testing.assert_allclose(sequences[name].frames, expected, rtol=0, atol=1e-5)


def test_a_person_whose_id_changes_is_one_body_and_another_is_a_second(tmp_path):
    first, second = make_walk(6, 2).astype(np.float32)
    made = make_raw()[:1]
    tracks = {
        "1": (first[:4], range(4)),
        "2": (first[4:], range(4, 6)),
        "3": (second[1:5] * 0.01, range(1, 5)),
    }
    made[0]["data"] = {
        key: {"joints": joints.reshape(-1, 3), "interval": list(frames)}
        for key, (joints, frames) in tracks.items()
    }
    root = write_all(tmp_path / "raw", {"raw_skes_data.pkl": pickle.dumps(made)})
    bodies = imported(root, tmp_path)[0].entries[0].read_bodies()
    np.testing.assert_array_equal(bodies[0], first)
    np.testing.assert_array_equal(bodies[1, 1:5], second[1:5] * np.float32(0.01))
    assert not bodies[1, [0, 5]].any()


def raw_with(**changes):
    made = make_raw()
    made[0] |= changes
    return made


def track_with(**changes):
    made = make_raw()
    made[0]["data"]["72057594037944738"] |= changes
    return made


PICKLE_FAULTS = [
    (raw_with(name="x"), "recording 1: expected a name SxxxCxxxPxxxRxxxAxxx, found 'x'"),
    (raw_with(num_frames=0), "expected 1 to 216000 frames, found 0"),
    (raw_with(num_frames=5), "expected as interval the frames of 150 joints, in 0..4"),
    (raw_with(data=[]), "expected a dict of bodies as data, found a list"),
    (raw_with(data={}), "no body in any of 6 frames"),
    (track_with(joints=3), "as joints, found 3"),
    (
        track_with(joints=np.zeros((9, 3), np.float32)),
        "expected as interval the frames of 9 joints",
    ),
    (track_with(interval=None), "expected as interval"),
    (track_with(interval=[0, 1, 2, 3, 4, "5"]), "expected as interval"),
    (track_with(interval=[0, 1, 2, 3, 4, 10**9]), "expected as interval"),
    ([None, *make_raw()[1:]], "recording 1: expected a dict, found none"),
    ([None, *make_denoised()[1:]], "of shape (frames, 75 or 150), found none"),
    ([np.zeros((6, 74), np.float32), *make_denoised()[1:]], "found f4 of shape (6, 74)"),
    ([np.zeros((6, 75), int), *make_denoised()[1:]], "found i8 of shape (6, 75)"),
    ([np.zeros((0, 75)), *make_denoised()[1:]], "no body in any of 0 frames"),
    ([np.zeros((6, 75)), *make_denoised()[1:]], "no body in any of 6 frames"),
]


@pytest.mark.parametrize(("made", "reason"), PICKLE_FAULTS)
def test_a_recording_that_cannot_be_used_is_rejected_alone(tmp_path, names_file, made, reason):
    root = write_all(tmp_path / "raw", {"raw_x.pkl": pickle.dumps(made)})
    _, sequences, rejected = imported(root, tmp_path, names_file)
    assert sorted(sequences) == sorted(NAMES[1:])
    assert len(rejected) == 1 and reason in rejected[0].reason, rejected


def test_intermediates_without_labels_need_names(tmp_path, names_file):
    root = write_all(tmp_path / "raw", {"raw_denoised_joints.pkl": pickle.dumps(make_denoised())})
    with pytest.raises(ScdnetError, match="contains neither names nor labels: give --names"):
        imported(root, tmp_path)
    names_file.write_text(NAMES[0])
    with pytest.raises(ScdnetError, match="contains 4 recordings, but 1 names given"):
        imported(root, tmp_path, names_file)
