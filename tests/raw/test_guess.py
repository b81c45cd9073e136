import pickle

import numpy as np
import pytest

from scdnet.raw.guess import (
    CONTENTS,
    PATTERNS,
    describe_guess,
    guess_format,
    hint_other_format,
)
from scdnet.raw.ready_made.formats import FORMATS

EXAMPLES = {
    "pyskl": ["pyskl/ntu60_3danno.pkl", "pyskl/ntu60_hrnet.pkl"],
    "ctrgcn": [
        "ctrgcn/ntu/NTU60_CS.npz", "ctrgcn/ntu/raw_data/raw_skes_data.pkl",
        "ctrgcn/ntu/denoised_data/raw_denoised_joints.pkl", "mamp/PKUv2_XSub.npz",
    ],
    "agcn": ["hico/xsub/train_data_joint.npy", "hico/xsub/val_num_frame.npy"],
    "crosclr": [
        "crosclr/NTU-RGB-D/xsub/train_data.npy", "crosclr/NTU60_frame50/xsub/val_position.npy",
        "crosclr/NTU60_frame50/xsub/val_label.npy",
    ],
    "nwucla": ["nw_ucla/all_sqe/a01_s01_e00_v01.json"],
    "txt2npy": ["txt2npy/S003C003P004R001A058.skeleton.npy"],
}  # fmt: skip


@pytest.mark.parametrize("ready_made", FORMATS)
def test_examples_are_recognized(shared, ready_made):
    for name in EXAMPLES[ready_made]:
        assert guess_format(shared / "data" / "ready_made" / name) == ready_made


@pytest.mark.parametrize(
    "name", ["ntu60_3danno.pkl", "NTU60_CS.npz", "train_data_joint.npy", "train_label.pkl"]
)
def test_the_ready_made_files_that_users_bring_are_recognized(shared, name):
    assert guess_format(shared / "cases" / "ready-made" / name)


@pytest.mark.parametrize(
    "name",
    [
        "native/X3D.npy", "native/h36m17.npz", "native/coco17.npz", "expected/truth.npz",
        "native/azure_kinect.json", "raw/nturgbd_skeletons_60.zip", "README.md",
    ],
)  # fmt: skip
def test_recordings_of_ones_own_are_not_taken_for_ready_made_files(shared, name):
    assert guess_format(shared / "data" / "ready_made" / name) is None


@pytest.mark.parametrize("shape", [(40, 25, 3), (40, 2, 25, 3), (7, 40, 2, 25, 3), (75, 3)])
@pytest.mark.parametrize("name", ["walk_data.npy", "arm_position.npy", "a_data_joint.npy"])
def test_an_array_with_other_axes_is_none_whatever_its_name(tmp_path, name, shape):
    np.save(tmp_path / name, np.zeros(shape))
    assert guess_format(tmp_path / name) is None


def test_a_large_pickle_is_recognized_though_its_annotations_come_late(tmp_path):
    names = [f"S001C001P001R001A{number:06}" for number in range(20_000)]
    path = tmp_path / "x.pkl"
    path.write_bytes(pickle.dumps({"split": {"xsub_train": names}, "annotations": []}, 2))
    assert guess_format(path) == "pyskl"


def test_no_file_is_no_ready_made_file(tmp_path):
    assert guess_format(tmp_path) is None
    assert guess_format(tmp_path / "none.npz") is None
    assert describe_guess(tmp_path) is None


def test_a_guess_names_the_command(tmp_path):
    path = tmp_path / "NTU60_CS.npz"
    np.savez(path, x_train=np.zeros(3), y_train=np.zeros(3))
    text = describe_guess(path)
    assert f"scdnet prepare import --format ctrgcn --raw {path} --out STORE" in text


def test_each_guess_is_a_format():
    assert {ready_made for _, _, ready_made in PATTERNS} == set(FORMATS) == set(CONTENTS)


def test_a_file_of_another_format_is_hinted_at(tmp_path):
    path = tmp_path / "NTU60_CS.npz"
    np.savez(path, x_train=np.zeros(3), y_train=np.zeros(3))
    assert "; this seems to be arrays as CTR-GCN's" in hint_other_format(path, "pyskl")
    assert hint_other_format(path, "ctrgcn") == hint_other_format(tmp_path, "pyskl") == ""
