from pathlib import Path

import numpy as np

from scdnet.raw.datasets import NTU60_TRAIN_SUBJECTS, missing_names
from scdnet.synthetic.dataset import (
    SETUPS,
    SUBJECTS,
    DemoPlan,
    Take,
    subject_style,
    write_take,
)


def read_all(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_any_number_of_subjects_is_halved_by_the_xsub_rule():
    for count in (2, 8, 40):
        assert np.isin(SUBJECTS[:count], NTU60_TRAIN_SUBJECTS).sum() == count / 2
    assert len(set(SUBJECTS)) == 40


def test_one_in_ten_is_left_handed_in_training_and_test_split_alike():
    for seed in (0, 1):
        people = [subject_style(subject, seed) for subject in SUBJECTS[: DemoPlan().subjects]]
        for half in (people[0::2], people[1::2]):
            assert sum(style.left_handed for style in half) == len(half) / 10 == 1


def test_people_differ_alike_in_training_and_test_split():
    styles = [subject_style(subject, 0) for subject in SUBJECTS]
    for half in (styles[0::2], styles[1::2]):
        # UI-PRMD and NW-UCLA: 5 % in size, 3 to 4 % in arms by legs.
        size = np.log([style.lengths["arm"] + style.lengths["leg"] for style in half])
        arms = np.log([style.lengths["arm"] / style.lengths["leg"] for style in half])
        assert 0.035 < size.std() < 0.075 and 0.025 < arms.std() < 0.06


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
