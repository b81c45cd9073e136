from pathlib import Path

import numpy as np
import pytest

from scdnet.commands import prepare_demo as demo_gendata
from scdnet.commands import prepare_ntu as ntu_gendata
from scdnet.data.store import SequenceStore, open_sequences
from scdnet.errors import ScdnetError
from scdnet.raw.datasets import NTU60_TRAIN_SUBJECTS, class_names, missing_names, parse_ntu_name
from scdnet.raw.skeleton_file import parse_skeleton
from scdnet.synthetic.actions import ACTIONS
from scdnet.synthetic.dataset import SETUPS, SUBJECTS, DemoPlan, Take, write_take

SMALL = ("--subjects", "2", "--setups", "1", "--replications", "1", "--workers", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two subjects, once each, three cameras."""
    out = tmp_path_factory.mktemp("demo") / "raw"
    demo_gendata.main(["--out", str(out), *SMALL])
    return out


@pytest.fixture(scope="module")
def store(folder) -> SequenceStore:
    """The same, converted."""
    out = folder.with_name("demo.h5")
    assert (
        ntu_gendata.main(
            ["--dataset", "ntu60", "--raw", str(folder), "--out", str(out), "--workers", "1"]
        )
        == 0
    )
    return open_sequences(out)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_performance_is_there_once_for_each_camera(folder):
    numbers = [parse_ntu_name(path.stem) for path in folder.iterdir()]
    assert len(numbers) == len(ACTIONS) * 2 * 3
    assert {n.action for n in numbers} == set(ACTIONS)
    assert {n.camera for n in numbers} == {1, 2, 3}
    assert {n.subject for n in numbers} == {1, 3}


def test_converter_takes_every_file(store):
    assert len(store) == len(ACTIONS) * 2 * 3
    assert store.is_train("xsub").mean() == pytest.approx(1 / 2)
    assert store.is_train("xview").mean() == pytest.approx(2 / 3)


def test_there_are_enough_actions_of_which_two_are_done_by_two():
    assert len(ACTIONS) >= 10
    assert sum(action.num_bodies == 2 for action in ACTIONS.values()) >= 2
    assert max(ACTIONS) <= len(class_names("ntu60"))


def test_two_person_files_list_two_bodies_and_the_others_one(folder):
    for path in folder.iterdir():
        bodies = parse_skeleton(path.read_bytes(), path.name)
        present = (bodies != 0).any(axis=(2, 3))
        num_bodies = ACTIONS[parse_ntu_name(path.stem).action].num_bodies
        assert present.sum(axis=0).max() == num_bodies, path.name


def test_any_number_of_subjects_is_halved_by_the_xsub_rule():
    for count in (2, 8, 40):
        assert np.isin(SUBJECTS[:count], NTU60_TRAIN_SUBJECTS).sum() == count / 2
    assert len(set(SUBJECTS)) == 40


def test_no_recording_bears_the_name_of_a_missing_one():
    plan = DemoPlan(setups=len(SETUPS))
    stems = {Path(take.file_name(camera)).stem for take in plan.takes() for camera in (1, 2, 3)}
    assert not stems & missing_names("ntu60")


def test_a_take_depends_on_seed_and_numbers_alone(folder, tmp_path):
    take = Take(SETUPS[0], 3, 1, 58)
    write_take(tmp_path, take, DemoPlan(subjects=2, setups=1, replications=1))
    for name in names(tmp_path):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    write_take(tmp_path, take, DemoPlan(subjects=2, setups=1, replications=1, seed=1))
    assert (tmp_path / take.file_name(1)).read_bytes() != (folder / take.file_name(1)).read_bytes()


def test_existing_folder_is_refused_without_overwrite_and_replaced_with_it(tmp_path):
    out = tmp_path / "raw"
    out.mkdir()
    (out / "S001C001P001R001A001.skeleton").write_text("0\n")
    with pytest.raises(ScdnetError, match=r"raw exists; give another --out, or --overwrite"):
        demo_gendata.main(["--out", str(out), *SMALL])
    demo_gendata.main(["--out", str(out), "--overwrite", "--ideal", "--cameras", "1", *SMALL])
    assert len(names(out)) == len(ACTIONS) * 2
    assert names(tmp_path) == ["raw"]


def test_overwrite_never_removes_what_the_command_did_not_write(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ScdnetError, match=r"only a folder of \.skeleton files, found thesis\.tex"):
        demo_gendata.main(["--out", str(tmp_path), "--overwrite", *SMALL])
    assert names(tmp_path) == ["thesis.tex"]


@pytest.mark.parametrize(
    ("option", "value"), [("subjects", "41"), ("cameras", "0"), ("setups", "99"), ("seed", "-1")]
)
def test_impossible_sizes_are_refused_by_name(option, value, tmp_path):
    with pytest.raises(ScdnetError, match=rf"--{option}: expected \d+ to \d+, got {value}"):
        demo_gendata.main(["--out", str(tmp_path / "raw"), f"--{option}={value}"])


def test_options_are_not_abbreviated(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        demo_gendata.main(["--out", str(tmp_path / "raw"), "--deb"])  # would parse as --debug
    assert "unrecognized arguments: --deb" in capsys.readouterr().err


@pytest.mark.slow
def test_nearest_neighbours_of_raw_views_find_about_half_to_two_thirds(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "demo.h5"
    demo_gendata.main(["--out", str(raw)])
    ntu_gendata.main(["--dataset", "ntu60", "--raw", str(raw), "--out", str(out)])
    store = open_sequences(out)
    views = np.stack([evaluation_view(store[i].frames).ravel() for i in range(len(store))])
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    for benchmark in ("xsub", "xview"):
        is_train = store.is_train(benchmark)
        nearest = (views[~is_train] @ views[is_train].T).argmax(axis=1)
        accuracy = (store.table.label[is_train][nearest] == store.table.label[~is_train]).mean()
        # Measured (docs/demo.md): 61.8 % on x-sub, 66.7 % on x-view. Beyond 70 % the demo has become too easy, with
        # little left to learn; below 40 % a conversion or a sensor spoils the motions.
        assert 0.40 < accuracy < 0.70, (benchmark, accuracy)


def evaluation_view(frames: np.ndarray, num_frames: int = 64) -> np.ndarray:
    """The evaluation view of one sequence: (T, M, V, C) -> (64, M, V, C)."""
    margin = int(0.05 * len(frames) / 2)
    frames = frames[margin : len(frames) - margin]
    place = ((np.arange(num_frames) + 0.5) * len(frames) / num_frames - 0.5).clip(
        0, len(frames) - 1
    )
    before = place.astype(int)
    after = np.minimum(before + 1, len(frames) - 1)
    share = (place - before)[:, None, None, None]
    return (1 - share) * frames[before] + share * frames[after]
