"""A pretraining on several stores, and its evaluation on each of them, as commands."""

import json
import re
from pathlib import Path

import pytest
import yaml

from scdnet.config_file import dump_config
from scdnet.data.mixture import read_hashes
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.eval.feature_file import read_features
from scdnet.results.record import BASELINES
from scdnet.results.scores import read_scores
from scdnet.skeletons import KINECT_V1_20
from tests.conftest import make_small_config, write_synthetic_store
from tests.engine.runs import changed
from tests.stores import write_named_store

QUICK = (
    "linear.optim.epochs=3",
    "linear.batch_size=4",
    "finetune.optim.epochs=1",
    "finetune.optim.milestones=[]",
)
SKIPPED = "Already evaluated, skipping."


def records(run_dir: Path) -> list[dict]:
    return [json.loads(line) for line in (run_dir / "results.jsonl").read_text().splitlines()]


@pytest.fixture
def stores(tmp_path: Path) -> tuple[Path, Path]:
    """A store of 8 test sequences of two classes, and one of 3."""
    train = [f"train {i}" for i in range(8)]
    test = ["test 1", "test 2", "test 3"]
    return (
        write_synthetic_store(tmp_path / "first.h5"),
        write_named_store(tmp_path / "second.h5", train, test),
    )


@pytest.fixture
def joint_config(stores: tuple[Path, Path], tmp_path: Path) -> Path:
    """The config of a run on both stores, with equal shares."""
    config = make_small_config(stores[0], tmp_path / "runs")
    data = {"store": stores, "benchmark": ("xsub", "xsub"), "sampling": "equal"}
    config = changed(config, name="joint", data=data, eval_every=1, optim={"epochs": 1})
    path = tmp_path / "joint.yaml"
    path.write_text(yaml.safe_dump(dump_config(config)))
    return path


@pytest.fixture
def checkpoint(run, joint_config: Path, tmp_path: Path) -> Path:
    done = run("tools/train.py", "-c", joint_config)
    assert done.status == 0, done.err
    return tmp_path / "runs/joint/last.pt"


@pytest.mark.end_to_end
def test_a_joint_pretraining_is_evaluated_on_each_store(
    run, joint_config, checkpoint, stores, tmp_path
):
    folder = tmp_path / "runs/joint"
    line = json.loads((folder / "metrics.jsonl").read_text())
    each = [line["knn@1/first"], line["knn@1/second"]]
    assert line["knn@1"] == pytest.approx(sum(each) / 2)
    command = ("tools/evaluate.py", "-c", joint_config, "--checkpoint", checkpoint, *QUICK)
    protocols = "protocols=[knn, linear, finetune]"
    done = run(*command, protocols)
    assert done.status == 0, done.err
    titles = re.findall(r"^(\w+): (\w+) xsub, joint, percent", done.out, flags=re.MULTILINE)
    # Each protocol has a table for each store.
    assert titles == [("first", "ntu60")] * 3 + [("second", "second")] * 3
    found = records(folder)
    hashes = dict(zip(["first", "second"], read_hashes(stores).split(), strict=True))
    assert {(r["store"], r["dataset"], r["num_test"], r["store_sha256"]) for r in found} == {
        ("first", "ntu60", 8, hashes["first"]),
        ("second", "second", 3, hashes["second"]),
    }
    for store in hashes:
        own = [r for r in found if r["store"] == store]
        for protocol in ("knn", "linear"):
            of = {r.get("baseline") for r in own if r["protocol"] == protocol}
            assert of == {None, *BASELINES}
        # Both stores were trained on.
        assert {r["protocol"] for r in own} == {"knn", "linear", "finetune"}
        assert read_features(folder / f"features_{store}.h5").store_sha256 == hashes[store]
        scores = read_scores(folder / f"scores_knn_{store}.npz")
        assert scores.record.store_sha256 == hashes[store]
    assert {r["pretrained_on"] for r in found if "baseline" not in r} == {"first+second"}
    again = run(*command, protocols)
    assert again.status == 0 and again.err.count(SKIPPED) == 2 * (3 + 2 * len(BASELINES))
    assert records(folder) == found


@pytest.mark.end_to_end
def test_each_command_gives_the_numbers_of_each_store_alone(
    run, joint_config, checkpoint, stores, tmp_path
):
    source = ("--checkpoint", checkpoint, *QUICK)
    for tool in ("knn", "linear", "finetune"):
        command = (f"tools/eval_{tool}.py", "-c", joint_config, *source)
        done = run(*command, "name=both")
        assert done.status == 0, done.err
        for path in stores:
            one = (f"data.store={path}", "data.benchmark=xsub", f"name={path.stem}")
            assert run(*command, *one).status == 0
    both = records(tmp_path / "runs/both")
    for path in stores:
        alone = records(tmp_path / "runs" / path.stem)
        assert all("store" not in r for r in alone)
        own = {(r["protocol"], r["metric"]): r["value"] for r in both if r["store"] == path.stem}
        assert own == {(r["protocol"], r["metric"]): r["value"] for r in alone}
        assert (tmp_path / "runs" / path.stem / "scores_knn.npz").is_file()


def test_only_a_store_that_was_not_trained_on_makes_a_transfer(
    run, joint_config, checkpoint, stores, tmp_path
):
    """Content counts, not file names."""
    other = tmp_path / "elsewhere" / "first.h5"
    other.parent.mkdir()
    write_synthetic_store(other, seed=4)
    renamed = tmp_path / "renamed.h5"
    renamed.write_bytes(stores[1].read_bytes())
    for store, protocol in ((other, "transfer"), (renamed, "finetune")):
        given = (f"data.store={store}", "data.benchmark=xsub", f"name={protocol}", *QUICK)
        done = run("tools/eval_finetune.py", "-c", joint_config, "--checkpoint", checkpoint, *given)
        assert done.status == 0, done.err
        assert {r["protocol"] for r in records(tmp_path / "runs" / protocol)} == {protocol}


def test_what_takes_one_store_says_how_to_choose_it(run, joint_config, stores, tmp_path):
    source = ("--baseline", "raw")
    done = run("tools/extract_features.py", "-c", joint_config, *source, "--out", tmp_path / "x.h5")
    message = f"data.store: a features file takes one store, found 2; add data.store={stores[0]}"
    assert done.status == 2 and message in done.err and done.err.count("\n") == 1
    done = run("tools/eval_knn.py", "-c", joint_config, "--features", tmp_path / "x.h5")
    assert done.status == 2 and "data.store: --features takes one store, found 2" in done.err
    one = (f"data.store={stores[0]}", "data.benchmark=xsub")
    done = run(
        *("tools/extract_features.py", "-c", joint_config, *source, *one),
        *("--out", tmp_path / "x.h5"),
    )
    assert done.status == 0, done.err


def test_the_doctor_describes_each_store(run, joint_config, stores):
    done = run("tools/doctor.py", "-c", joint_config)
    assert done.status == 0, done.out
    assert f"{stores[0]}, ntu60, joints of ntu25, xsub: 8 training and 8 test" in done.out
    assert f"{stores[1]}, second, joints of ntu25, xsub: 8 training and 3 test" in done.out
    assert "4 sequences, 4 steps an epoch" in done.out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.store=[]"], "data.store: expected a path or a list of paths, found []"),
        (["data.benchmark=[xsub]"], "data.benchmark: expected a value for each of the stores in"),
        (["data.benchmark=xview"], "first.h5: no benchmark 'xview'; it contains everybody, nobody"),
        (["data.benchmark=[xsub, nobody]"], "second.h5: no benchmark 'nobody'; it contains every"),
        (
            ["data.benchmark=[nobody, xsub]"],
            "first.h5: the training split of benchmark 'nobody' is",
        ),
        (["data.sampling=[1]"], "data.sampling: expected a value for each of the stores in data.s"),
        (["data.sampling=[1, 0]"], "expected finite numbers greater than 0, one for each store"),
        (["data.sampling=[1, 100]"], "a share of 0.99 % is less than one of the 16 sequences"),
    ],
)
@pytest.mark.parametrize("tool", ["train", "doctor"])
def test_bad_input_is_one_clear_line(run, joint_config, tmp_path, tool, overrides, message):
    done = run(f"tools/{tool}.py", "-c", joint_config, *overrides)
    # The doctor reports a fault of a store as a finding.
    assert done.status in ((1, 2) if tool == "doctor" else (2,))
    assert message in done.out + done.err and "Traceback" not in done.err
    assert done.err.count("\n") <= 1
    assert not (tmp_path / "runs/joint/config.yaml").exists()


@pytest.mark.parametrize("tool", ["train", "doctor"])
def test_stores_that_cannot_be_mixed_are_one_clear_line(run, joint_config, stores, tmp_path, tool):
    copied = tmp_path / "copied.h5"
    copied.write_bytes(stores[0].read_bytes())
    kinect = write_named_store(tmp_path / "kinect.h5", ["p", "q"], skeleton=KINECT_V1_20)
    one = write_named_store(tmp_path / "one.h5", ["p"], ["train 0"])
    other = write_named_store(tmp_path / "other.h5", ["train 0"], ["q"])
    for listed, message in (
        ([stores[0], stores[0]], "first.h5 is listed twice"),
        ([stores[0], copied], "copied.h5: has the same content as "),
        ([stores[0], kinect], "has the joints of kinect_v1_20, but "),
        ([one, other], "has one sequence; expected two or more, as sequences are contrasted"),
    ):
        given = f"data.store=[{', '.join(map(str, listed))}]"
        done = run(f"tools/{tool}.py", "-c", joint_config, given, "data.sampling=proportional")
        assert done.status in ((1, 2) if tool == "doctor" else (2,))
        assert message in done.out + done.err and "Traceback" not in done.err
        assert done.err.count("\n") <= 1


def test_a_checkpoint_states_both_stores(checkpoint, stores):
    state = read_checkpoint(checkpoint).state
    assert state["config"]["data"]["store"] == [str(path) for path in stores]
    assert state["store_sha256"] == read_hashes(stores)
