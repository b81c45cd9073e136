"""The commands from end to end, and how they answer bad input."""

import json
from pathlib import Path

import h5py
import pytest

from scdnet import open_sequences
from scdnet.engine.checkpoint import CheckpointError
from scdnet.files import file_sha256
from tests.stores import edit


@pytest.mark.end_to_end
def test_train_resume_retrieve_extract(run, config_path: Path, store_path: Path, tmp_path: Path):
    trained = run("tools/train.py", "-c", config_path, "eval_every=1")
    assert trained.status == 0, trained.err
    checkpoint = tmp_path / "runs/small/last.pt"
    assert str(checkpoint) in trained.out
    assert "knn@1" in trained.err

    again = run("tools/train.py", "-c", config_path)
    assert again.status == 2
    assert again.err.count("\n") == 1
    assert "this run exists; continue it with --resume" in again.err
    resumed = run("tools/train.py", "-c", config_path, "--resume", "optim.epochs=3", "eval_every=1")
    assert resumed.status == 0, resumed.err
    assert "epoch 3/3" in resumed.err

    scored = run(
        "tools/eval_knn.py", "-c", config_path, "--baseline", "raw", "--checkpoint", checkpoint
    )
    assert scored.status == 0, scored.err
    assert "raw views" in scored.out
    records = [
        json.loads(line)
        for line in (tmp_path / "runs/small/results.jsonl").read_text().splitlines()
    ]
    assert {record["metric"] for record in records} >= {
        "knn@1",
        "knn@5",
        "recall@1",
        "recall@5",
        "map",
    }
    last = records[-1]
    assert (last["protocol"], last["dataset"], last["benchmark"], last["stream"]) == (
        "knn",
        "ntu60",
        "xsub",
        "joint",
    )
    assert (last["checkpoint_sha256"], last["epoch"], last["seed"]) == (
        file_sha256(checkpoint),
        3,
        0,
    )

    out = tmp_path / "features.h5"
    extracted = run(
        "tools/extract_features.py", "-c", config_path, "--checkpoint", checkpoint, "--out", out
    )
    assert extracted.status == 0, extracted.err
    store = open_sequences(store_path)
    with h5py.File(out) as file:
        assert file["features"].shape == (16, 32)
        assert file["features"].dtype == "float32"
        assert file["name"].asstr()[:].tolist() == store.table.name.tolist()
        assert file["label"][:].tolist() == store.table.label.tolist()
        assert file["split/xsub"][:].tolist() == store.is_train("xsub").tolist()
        assert file.attrs["checkpoint_sha256"] == file_sha256(checkpoint)
        assert file.attrs["store_sha256"] == store.content_sha256


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.epoch=3", "did you mean 'optim.epochs'?"),
        ("data.store=gone.h5", "gone.h5: no such sequence store"),
        ("data.benchmark=xset", "no benchmark 'xset'"),
        ("data.benchmark=nobody", "the training split of benchmark 'nobody' is empty"),
        ("data.store=.", ".: "),
        ("data.batch_size=5", "data.batch_size 5 exceeds model.queue_size 4"),
        ("seed=5000000000", "seed: "),
        ("optim.lr=.inf", "optim.lr: "),
        ("name=..", "name: "),
    ],
)
def test_bad_input_is_one_line_and_status_2(
    run, config_path: Path, tmp_path: Path, override: str, message: str
):
    result = run("tools/train.py", "-c", config_path, *override.split())
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1
    assert not (tmp_path / "runs").exists()


def test_debug_shows_the_traceback(run, config_path: Path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        run("tools/eval_knn.py", "-c", config_path, "--checkpoint", "gone.pt", "--debug")


def test_features_never_overwrite_what_they_are_made_from(run, config_path: Path, store_path: Path):
    before = store_path.read_bytes()
    result = run(
        "tools/extract_features.py",
        "-c",
        config_path,
        *("--baseline", "random-init", "--out", store_path),
    )
    assert result.status == 2
    assert "which would be overwritten" in result.err
    assert store_path.read_bytes() == before


def test_features_cannot_be_written_to_a_directory(run, config_path: Path, tmp_path: Path):
    result = run(
        "tools/extract_features.py",
        "-c",
        config_path,
        *("--baseline", "random-init", "--out", tmp_path),
    )
    assert result.status == 2
    assert result.err.count("\n") == 1


def change_store(path: Path, change) -> None:
    with edit(path) as file:
        change(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.attrs.update(version=7), "expected version 2 or 3, found 7"),
        (lambda file: file.attrs.update(format="other"), "expected attribute format"),
        (lambda file: file.move("frames", "elsewhere"), "synthetic.h5: "),
        (
            lambda file: (
                file.move("frames", "old"),
                file.create_dataset("frames", (1, 2, 17, 3), "float32"),
            ),
            "frames",
        ),
    ],
)
def test_a_store_of_another_kind_is_one_line_and_status_2(
    run, config_path: Path, store_path: Path, change, message
):
    change_store(store_path, change)
    result = run("tools/train.py", "-c", config_path)
    assert result.status == 2
    assert message in result.err
    assert result.err.count("\n") == 1


def test_a_truncated_store_is_one_line_and_status_2(run, config_path: Path, store_path: Path):
    store_path.write_bytes(store_path.read_bytes()[:-1])
    result = run("tools/train.py", "-c", config_path)
    assert result.status == 2
    assert result.err.count("\n") == 1


def test_a_checkpoint_that_does_not_fit_is_one_line_and_status_2(
    run, config_path: Path, trained: Path
):
    result = run(
        "tools/eval_knn.py", "-c", config_path, "--checkpoint", trained, "model.embed_dim=32"
    )
    assert result.status == 2
    assert "embed_dim is 16 in the checkpoint, 32 in the config" in result.err
    assert result.err.count("\n") == 1
