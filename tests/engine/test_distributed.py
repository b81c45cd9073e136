"""Two processes that train together find what one finds."""

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import Tensor

from scdnet.engine import distributed as ranks
from scdnet.engine.build import build_model
from scdnet.engine.device import seed_everything
from scdnet.errors import ScdnetError
from scdnet.losses import contrast_losses
from scdnet.models.layers import synchronize_statistics
from tests.conftest import write_synthetic_store
from tests.engine import rank_checks
from tests.engine.runs import changed, free_port

Found = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9 training and 9 test sequences."""
    return write_synthetic_store(tmp_path_factory.mktemp("ranks") / "synthetic.h5", per_split=9)


@pytest.fixture(scope="module")
def together(store: Path) -> list[Found]:
    """What two ranks found."""
    out, context = store.parent / "together", multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([rank_checks.__name__])  # imports take longer than the checks
    meeting = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
    }
    processes = []
    for rank in ("0", "1"):
        environment = {**meeting, "RANK": rank, "LOCAL_RANK": rank}
        processes.append(
            context.Process(target=rank_checks.main, args=(store, out, environment), daemon=True)
        )
        processes[-1].start()
    for process in processes:
        process.join(timeout=120)
    assert [process.exitcode for process in processes] == [0, 0]
    return [torch.load(out / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone(store: Path) -> Found:
    """What one process found."""
    out = store.parent / "alone"
    rank_checks.main(store, out, {})
    return torch.load(out / "0.pt")


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max((a[name].double() - b[name].double()).abs().max().item() for name in a)


@pytest.mark.parametrize("case", ["frozen", "synced"])
def test_two_ranks_of_16_have_the_gradients_and_statistics_of_one_of_32(together, alone, case: str):
    for found in together:
        assert largest_difference(found[case], alone[case]) < 1e-5
        assert found[case]["loss"] > 1


def test_without_sync_each_rank_normalises_its_own_rows(together, alone):
    name = "query.encoder.temporal_stem.input_norm.running_mean"
    first, second = (found["apart"][name] for found in together)
    assert not torch.allclose(first, second, atol=1e-4)
    assert torch.allclose((first + second) / 2, alone["apart"][name], atol=1e-6)


STEPS = {"trained": 20, "trained on shares": 4, "hdc": 2, "scd+hdc": 2}


@pytest.mark.parametrize("case", STEPS)
def test_after_their_steps_both_ranks_hold_the_same(together, case: str):
    first, second = (found[case] for found in together)
    assert largest_difference(first, second) == 0
    cursors = [value.item() for name, value in first.items() if name.endswith(".cursor")]
    assert cursors == [STEPS[case] * 4 % 14] * {"hdc": 8, "scd+hdc": 3 + 8}.get(case, 3)


@pytest.mark.parametrize("case", ["trained", "hdc", "scd+hdc"])
def test_after_their_steps_two_ranks_hold_what_one_holds(together, alone, case: str):
    assert largest_difference(together[0][case], alone[case]) < 1e-9


@pytest.mark.parametrize("case", ["hdc", "scd+hdc"])
def test_the_invariance_of_a_level_is_that_of_the_batches_of_all_ranks(together, alone, case: str):
    moved = 1 - alone[case]["weights.invariance"]
    assert (moved > 1e-6).all()  # by far more than the ranks may differ
    for found in together:
        assert torch.allclose(1 - found[case]["weights.invariance"], moved, rtol=1e-6, atol=0)


def test_features_of_two_ranks_are_those_of_one_in_its_order(together, alone):
    for found in together:
        assert found["features"].shape == (17, 32)
        assert torch.allclose(found["features"], alone["features"], atol=1e-6)


def test_ranks_tell_one_another(together, alone):
    for found in together:
        assert found["objects"] == [{"rank": 0}, {"rank": 1}]
        assert found["from main"] == "of rank 0"
        assert found["largest"] == 1
    assert [found["error"] for found in together] == ["ValueError", "SystemExit"]
    assert (alone["objects"], alone["largest"], alone["error"]) == ([{"rank": 0}], 0, "ValueError")


def test_a_variable_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RANK", "first")
    with pytest.raises(
        ScdnetError, match="RANK: expected a number in this environment variable, found 'first'"
    ):
        ranks.rank_info()


def test_ranks_that_cannot_meet_are_told_of_torchrun(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # but no RANK, no MASTER_ADDR
    with (
        pytest.raises(
            ScdnetError, match=r"the ranks cannot be process_group .*; start them with torchrun"
        ),
        ranks.process_group(torch.device("cpu")),
    ):
        pass


@pytest.mark.slow
def test_synced_norms_compile_without_a_break_to_the_same_numbers(
    small_config, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {
        "RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
    }.items():
        monkeypatch.setenv(name, value)
    torch.compiler.reset()
    config, results = (
        changed(small_config, model={"dropout": 0.0, "queue_size": rank_checks.BATCH}),
        [],
    )
    with ranks.process_group(torch.device("cpu")):
        assert ranks.is_initialized()
        for compiled in (False, True):
            seed_everything(0)
            model = build_model(config).train()
            synchronize_statistics(model, ranks.gather)
            for side in (model.query, model.key):
                side.encoder.share_empty_bodies = False
                if compiled:
                    side.compile(dynamic=False, fullgraph=True, backend="aot_eager")
            query, key = model(*rank_checks.batch_of_views())
            contrast_losses(
                model.objective.pairs, query, key, model.negatives(), 0.2
            ).sum().backward()
            results.append(
                [
                    *query.values(),
                    *key.values(),
                    *(parameter.grad for parameter in model.query.parameters()),
                ]
            )
    assert not ranks.is_initialized()
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(*results, strict=True))
