"""Every problem is a finding; without problems the numbers are those of the run."""

import shutil
from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.data.store import open_sequences
from scdnet.engine import doctor
from scdnet.engine.build import build_model, build_objective, encoder_sizes
from scdnet.engine.doctor import Finding, checkpoint_bytes, examine
from scdnet.engine.locate import hash_weights
from scdnet.engine.run.checkpoints import RunCheckpoints
from scdnet.engine.train.start import start_training
from scdnet.models.scdnet import SCDNet
from scdnet.skeletons import NTU_25
from tests.engine.exports import export, make_encoder
from tests.engine.runs import changed
from tests.stores import write_named_store

NAMES = ["device", "versions", "model", "store", "frames", "batch", "disk"]


def model_of(config: Config) -> SCDNet:
    objective = build_objective(config)
    return build_model(config, objective, skeleton=NTU_25)


def problems_of(config: Config) -> list[Finding]:
    return [finding for finding in examine(config) if finding.is_problem]


def only_problem(config: Config) -> tuple[str, str]:
    (problem,) = problems_of(config)
    return problem.name, problem.text


def text_of(config: Config, name: str) -> str:
    return {finding.name: finding.text for finding in examine(config)}[name]


def test_a_run_that_can_start_has_no_problem(small_config: Config):
    findings = examine(small_config)
    assert [finding.name for finding in findings] == NAMES
    assert not any(finding.is_problem for finding in findings)
    assert "xsub: 8 training and 8 test sequences" in text_of(small_config, "store")
    assert "4 sequences, 2 steps an epoch, a queue of 4" in text_of(small_config, "batch")
    assert torch.__version__ in text_of(small_config, "versions")
    assert not small_config.runs_dir.exists()


def test_parameters_are_those_of_the_model(small_config: Config):
    config = changed(small_config, model={"embed_dim": 256})
    query = sum(x.numel() for x in model_of(config).query.parameters())
    assert text_of(config, "model").startswith(
        f"{query / 1e6:.2f} M parameters to train, {2 * query / 1e6:.2f} M"
    )


def test_the_size_of_frames_is_that_in_memory(small_config: Config):
    frames = 2 * sum(70 + i for i in range(8))
    assert text_of(small_config, "frames").startswith(
        f"{frames * 2 * 25 * 3 * 4 / 1e6:.1f} MB, with data.cache=auto"
    )
    half = changed(small_config, data={"cache_dtype": "float16", "num_bodies": 1})
    assert text_of(half, "frames").startswith(f"{frames * 25 * 3 * 2 / 1e6:.1f} MB")


@pytest.mark.parametrize(
    ("objective", "optimizer"), [("scd", "sgd"), ("scd", "adamw"), ("scd+hdc", "sgd")]
)
def test_the_estimate_is_the_size_of_a_checkpoint(
    small_config: Config, tmp_path: Path, objective: str, optimizer: str
):
    config = changed(
        small_config,
        objective=objective,
        model={"embed_dim": 256, "queue_size": 64},
        optim={"name": optimizer},
    )
    estimate = checkpoint_bytes(model_of(config), optimizer)
    training = start_training(config, NTU_25, torch.device("cpu"))
    for parameter in training.model.query.parameters():
        parameter.grad = torch.zeros_like(parameter)
    training.optimizer.step()
    origin = {"config": {}, "skeleton": {}, "store_sha256": ""}
    state = {**origin, **training.state_dict()}
    path = RunCheckpoints(tmp_path, keep=1).save(state)
    assert estimate == pytest.approx(path.stat().st_size, rel=0.1)


def test_a_gpu_that_is_not_there(small_config: Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    name, text = only_problem(changed(small_config, device="cuda"))
    assert name == "device"
    assert "torch finds no GPU" in text


def test_a_gpu_that_does_not_answer(small_config: Config, monkeypatch: pytest.MonkeyPatch):
    def fail(device: torch.device) -> tuple[int, int]:
        raise RuntimeError("CUDA error: all CUDA-capable devices are busy\nmore of it")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "get_memory_info", fail)
    name, text = only_problem(changed(small_config, device="auto"))
    assert (name, text) == ("device", "CUDA error: all CUDA-capable devices are busy more of it")


def test_a_store_that_is_missing_and_what_else_is_wrong(small_config: Config, tmp_path: Path):
    (tmp_path / "file").touch()
    problems = problems_of(
        changed(small_config, data={"store": tmp_path / "gone.h5"}, runs_dir=tmp_path / "file/runs")
    )
    assert [problem.name for problem in problems] == ["store", "disk"]
    assert "gone.h5: no such sequence store" in problems[0].text


def test_a_store_that_is_torn(small_config: Config):
    store = small_config.data.store
    store.write_bytes(store.read_bytes()[:-1])
    name, text = only_problem(small_config)
    assert name == "store"
    assert f"{store}: not a readable HDF5 file" in text


@pytest.mark.parametrize(
    ("benchmark", "message"), [("xset", "no benchmark 'xset'"), ("nobody", "is empty")]
)
def test_a_benchmark_that_the_store_lacks(small_config: Config, benchmark: str, message: str):
    name, text = only_problem(changed(small_config, data={"benchmark": benchmark}))
    assert name == "store"
    assert message in text


def test_what_is_left_out_of_several_stores_is_reported(small_config: Config, tmp_path: Path):
    first = write_named_store(tmp_path / "a.h5", ["p", "q", "r", "s"], ["t"])
    second = write_named_store(tmp_path / "b.h5", ["p", "t", "u", "v"], ["w"])
    config = changed(small_config, data={"store": (first, second)})
    texts = [finding.text for finding in examine(config) if finding.name == "store"]
    assert texts == [
        f"{first}, a, joints of ntu25, xsub: 4 training and 1 test sequences",
        f"{second}, b, joints of ntu25, xsub: 4 training and 1 test sequences; not trained on: "
        "1 test sequences of another store, 1 contained in an earlier one",
    ]
    # Six are left, so the queue is for one batch of four.
    assert text_of(changed(config, model={"queue_size": "auto"}), "batch").startswith(
        "model.queue_size 4 (auto: a batch) is more than half of the 6 training sequences"
    )
    frames = sum(sum(len(x.frames) for x in open_sequences(path)) for path in (first, second))
    assert text_of(config, "frames").startswith(f"{frames * 2 * 25 * 3 * 4 / 1e6:.1f} MB")


def test_stores_from_which_nothing_is_left_are_a_problem(small_config: Config, tmp_path: Path):
    first = write_named_store(tmp_path / "a.h5", ["p"], ["q"])
    second = write_named_store(tmp_path / "b.h5", ["q"], ["p"])
    config = changed(small_config, data={"store": (first, second)}, model={"queue_size": "auto"})
    name, text = only_problem(config)
    assert name == "batch"
    assert "has no sequence that is not left out" in text


def test_frames_that_do_not_fit(small_config: Config, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(doctor, "free_memory", lambda device: {"cpu": 1e5})
    assert "in the store" in text_of(small_config, "frames")
    name, text = only_problem(changed(small_config, data={"cache": "cpu"}))
    assert name == "frames"
    assert "the cpu has only 0.00 GB free; use auto or none" in text


def test_a_gpu_for_frames_that_is_not_there(small_config: Config):
    name, text = only_problem(changed(small_config, data={"cache": "gpu"}))
    assert name == "frames"
    assert "gpu needs a run on a GPU, this one is on the CPU" in text


def free_disk(monkeypatch: pytest.MonkeyPatch, free: dict[Path, int]) -> None:
    """Set the free bytes of directories; all others have plenty."""
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda path: usage(0, 0, free.get(path, 10**15))
    )


def test_batches_that_do_not_fit_shared_memory(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shared_memory = tmp_path / "shm"
    shared_memory.mkdir()
    monkeypatch.setattr(doctor, "SHARED_MEMORY", shared_memory)
    config = changed(small_config, data={"cache": "none", "num_workers": 3})
    # Three workers have two batches each, of the longest recordings.
    needed = 3 * 2 * (77 + 77 + 76 + 76) * 2 * 25 * 3 * 4
    free_disk(monkeypatch, {shared_memory: needed})
    assert problems_of(config) == []
    free_disk(monkeypatch, {shared_memory: needed - 1})
    name, text = only_problem(config)
    assert name == "workers"
    assert f"use data.num_workers=0 or enlarge {shared_memory}" in text
    assert problems_of(changed(config, data={"num_workers": 0})) == []
    # The frames of the small config are in memory.
    assert problems_of(small_config) == []


def test_a_batch_or_queue_that_does_not_suit_the_split(small_config: Config):
    name, text = only_problem(changed(small_config, model={"queue_size": 5}))
    assert name == "batch"
    assert "model.queue_size 5 is more than half of the 8 training sequences" in text
    config = changed(small_config, model={"queue_size": "auto"}, data={"batch_size": 9})
    name, text = only_problem(config)
    assert name == "batch"
    assert "model.queue_size 8 (auto: a batch) is more than half of the 8 training seq" in text
    assert text.endswith("lower data.batch_size")


def test_steps_and_an_automatic_queue_are_those_of_the_run(small_config: Config):
    config = changed(small_config, optim={"steps": 7}, model={"queue_size": "auto"})
    expected = "4 sequences, 2 steps an epoch, a queue of 4; 7 steps, 3.5 epochs of 2 steps"
    assert text_of(config, "batch") == expected
    # 16 training sequences, of which a batch takes 4 or 2.
    data = {"benchmark": "everybody", "batch_size": 2}
    assert "a queue of 4;" in text_of(changed(config, data=data), "batch")


def test_a_disk_that_is_too_small(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    free_disk(monkeypatch, {tmp_path: 1000})
    name, text = only_problem(small_config)
    assert name == "disk"
    assert f"{tmp_path} has 0.0 MB free; set runs_dir= to a larger disk" in text


@pytest.mark.parametrize(
    ("changes", "copies"), [({}, 3), ({"eval_every": 1}, 4), ({"keep_checkpoints": 5}, 6)]
)
def test_a_disk_has_to_hold_all_checkpoints_and_the_one_being_written(
    small_config: Config,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict,
    copies: int,
):
    config = changed(small_config, **changes)
    size = checkpoint_bytes(model_of(config), config.optim.name)
    free_disk(monkeypatch, {tmp_path: copies * size})
    assert problems_of(config) == []
    free_disk(monkeypatch, {tmp_path: copies * size - 1})
    assert only_problem(config)[0] == "disk"


def test_checkpoints_that_will_be_replaced_count_as_free(
    small_config: Config, monkeypatch: pytest.MonkeyPatch
):
    size = checkpoint_bytes(model_of(small_config), small_config.optim.name)
    small_config.run_dir.mkdir(parents=True)
    free_disk(monkeypatch, {small_config.run_dir: size})
    assert only_problem(small_config)[0] == "disk"
    (small_config.run_dir / "last.pt").write_bytes(bytes(2 * size))
    assert problems_of(small_config) == []


def test_a_folder_that_cannot_be_written(small_config: Config):
    if not Path("/proc/self").is_dir():
        pytest.skip("needs a folder that root cannot write to: /proc")
    name, text = only_problem(changed(small_config, runs_dir="/proc/runs"))
    assert name == "disk"
    assert "/proc: a run cannot be written there" in text


def test_the_size_of_a_checkpoint_is_stated_without_components(small_config: Config):
    assert "without components" not in text_of(small_config, "disk")
    config = changed(small_config, model={"components": True})
    assert " MB without components, all of them " in text_of(config, "disk")


def test_the_weights_that_a_run_starts_from_are_checked(small_config: Config, tmp_path: Path):
    start = export(tmp_path / "start", make_encoder(encoder_sizes(small_config)))
    config = changed(small_config, init=str(start))
    assert [finding.name for finding in examine(config)] == [*NAMES[:3], "init", *NAMES[3:]]
    assert text_of(config, "init") == f"{start}, SHA-256 {hash_weights(start)[:12]}..."
    name, text = only_problem(changed(config, model={"num_layers": 2}))
    assert name == "init" and text.endswith("add model.num_layers=1")
