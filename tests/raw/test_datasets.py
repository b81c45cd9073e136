import numpy as np
import pytest

from scdnet.data.store import SequenceTable
from scdnet.raw.datasets import (
    NTU60_TRAIN_SUBJECTS,
    NTU120_TRAIN_SUBJECTS,
    NTU_DATASETS,
    NtuName,
    class_names,
    missing_names,
    parse_ntu_name,
)


def table(**columns: list[int]) -> SequenceTable:
    values = {field: np.array([]) for field in SequenceTable._fields}
    return SequenceTable(**values | {name: np.array(column) for name, column in columns.items()})


def test_the_name_of_a_recording_contains_its_numbers():
    expected = NtuName(setup=18, camera=1, subject=45, replication=2, action=120)
    assert parse_ntu_name("S018C001P045R002A120") == expected


@pytest.mark.parametrize(
    "name",
    ["", "S1C1P1R1A1", "S018C001P045R002A1200", "s018c001p045r002a120", "S018C001P045R002A12٣"],
)
def test_other_names_are_not_parsed(name):
    assert parse_ntu_name(name) is None


def test_half_the_subjects_train():
    assert len(set(NTU60_TRAIN_SUBJECTS)) == 40 / 2
    assert len(set(NTU120_TRAIN_SUBJECTS)) == 106 / 2
    assert set(NTU60_TRAIN_SUBJECTS) < set(NTU120_TRAIN_SUBJECTS)


@pytest.mark.parametrize(
    ("dataset", "benchmark", "column", "is_train"),
    [
        ("ntu60", "xsub", "subject", {1: True, 3: False, 38: True, 45: False, 106: False}),
        ("ntu120", "xsub", "subject", {1: True, 3: False, 45: True, 103: True, 106: False}),
        ("ntu60", "xview", "camera", {1: False, 2: True, 3: True}),
        ("ntu120", "xset", "setup", {1: False, 2: True, 31: False, 32: True}),
    ],
)
def test_a_rule_selects_the_training_sequences(dataset, benchmark, column, is_train):
    rule = NTU_DATASETS[dataset].rules[benchmark]
    assert rule(table(**{column: list(is_train)})).tolist() == list(is_train.values())


def test_ntu60_has_the_first_60_classes_of_ntu120():
    assert len(class_names("ntu60")) == 60 and len(set(class_names("ntu120"))) == 120
    assert class_names("ntu120")[:60] == class_names("ntu60")
    assert class_names("ntu120")[0] == "drink water"
    assert class_names("ntu60")[-1] == "walking apart from each other"


def test_the_missing_lists_have_the_published_lengths():
    # Source: https://github.com/shahroudy/NTURGB-D: 302 of NTU RGB+D, 535 of NTU RGB+D 120.
    assert len(missing_names("ntu60")) == 302 and len(missing_names("ntu120")) == 535
    assert missing_names("ntu60") < missing_names("ntu120")
    assert all(parse_ntu_name(name) for name in missing_names("ntu120"))


@pytest.mark.parametrize("dataset", ["ntu60", "ntu120"])
def test_the_missing_lists_are_the_published_ones(dataset, shared):
    published = (shared / "reference" / f"{dataset}_missing.txt").read_text().split()
    assert missing_names(dataset) == set(published)


@pytest.mark.parametrize(("dataset", "num_recordings"), [("ntu60", 56_880), ("ntu120", 114_480)])
def test_published_sizes_add_up_to_the_recordings_that_are_not_missing(dataset, num_recordings):
    # Source of the numbers of recordings: https://github.com/shahroudy/NTURGB-D.
    facts = NTU_DATASETS[dataset]
    assert facts.sizes.keys() == facts.rules.keys()
    totals = {sum(sizes) for sizes in facts.sizes.values()}
    assert totals == {num_recordings - len(missing_names(dataset))}
