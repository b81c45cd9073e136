from pathlib import Path

import numpy as np

from scdnet.raw.datasets import NTU60_TRAIN_SUBJECTS, missing_names
from scdnet.synthetic.dataset import SETUPS, SUBJECTS, DemoPlan, Take, write_take


def read_all(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_any_number_of_subjects_is_halved_by_the_xsub_rule():
    for count in (2, 8, 40):
        assert np.isin(SUBJECTS[:count], NTU60_TRAIN_SUBJECTS).sum() == count / 2
    assert len(set(SUBJECTS)) == 40


def test_no_recording_bears_the_name_of_a_missing_one():
    plan = DemoPlan(setups=len(SETUPS))
    stems = {Path(take.file_name(camera)).stem for take in plan.takes() for camera in (1, 2, 3)}
    assert not stems & missing_names("ntu60")


def test_a_take_depends_on_seed_and_numbers_alone(tmp_path):
    take = Take(SETUPS[0], 3, 1, 58)
    plans = {
        "small": DemoPlan(subjects=2, setups=1, replications=1),
        "large": DemoPlan(subjects=2, setups=9, replications=9),
        "another seed": DemoPlan(subjects=2, setups=1, replications=1, seed=1),
    }
    for name, plan in plans.items():
        (tmp_path / name).mkdir()
        assert write_take(tmp_path / name, take, plan) == 3
    small = read_all(tmp_path / "small")
    assert read_all(tmp_path / "large") == small
    assert all(read_all(tmp_path / "another seed")[name] != text for name, text in small.items())
