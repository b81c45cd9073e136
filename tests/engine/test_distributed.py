"""Processes that work together find what one finds."""

import multiprocessing
from pathlib import Path

import pytest
import torch
from torch import Tensor

from scdnet.engine import distributed
from scdnet.engine.build import encoder_sizes
from scdnet.errors import ScdnetError
from tests.conftest import write_synthetic_store
from tests.engine import rank_checks
from tests.engine.exports import export, make_encoder
from tests.engine.runs import free_port

Found = dict[str, dict[str, Tensor]]


def run_ranks(store: Path, count: int, *, batch_size: int) -> list[Found]:
    """Return the results of `count` ranks, of a single process for 1."""
    out = store.parent / str(count)
    if not store.with_name(rank_checks.ENCODER).exists():
        sizes = encoder_sizes(rank_checks.config_of(store, batch_size))
        export(store.with_name(rank_checks.ENCODER), make_encoder(sizes))
    if count == 1:
        rank_checks.main(store, out, {}, batch_size=batch_size)
        return [torch.load(out / "0.pt")]
    # A new interpreter would take longer to import everything than the checks take.
    context = multiprocessing.get_context("fork")
    environment = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    processes = []
    for rank in map(str, range(count)):
        own = {**environment, "RANK": rank, "LOCAL_RANK": rank}
        process = context.Process(
            target=rank_checks.main,
            args=(store, out, own),
            kwargs={"batch_size": batch_size},
            daemon=True,
        )
        process.start()
        processes.append(process)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * count
    return [torch.load(out / f"{rank}.pt") for rank in range(count)]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 9 training and 9 test sequences."""
    return write_synthetic_store(tmp_path_factory.mktemp("ranks") / "synthetic.h5", per_split=9)


@pytest.fixture(scope="module")
def together(store: Path) -> list[Found]:
    """The results of two ranks."""
    return run_ranks(store, 2, batch_size=4)


@pytest.fixture(scope="module")
def alone(store: Path) -> Found:
    """The results of a single process."""
    return run_ranks(store, 1, batch_size=4)[0]


@pytest.fixture(scope="module")
def large_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 17 training sequences: two batches of 8, a row for each of 8 ranks."""
    return write_synthetic_store(tmp_path_factory.mktemp("many") / "synthetic.h5", per_split=17)


@pytest.fixture(scope="module")
def alone_on_large_store(large_store: Path) -> Found:
    """The results of a single process on the large store."""
    return run_ranks(large_store, 1, batch_size=8)[0]


@pytest.fixture(scope="module", params=[4, 8])
def many(request: pytest.FixtureRequest, large_store: Path) -> list[Found]:
    """The results of 4 and of 8 ranks on the large store."""
    return run_ranks(large_store, request.param, batch_size=8)


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    largest = [(a[name].double() - b[name].double()).abs().max() for name in a]
    # Unlike Python's maximum, torch's is NaN if one of the numbers is.
    return torch.stack(largest).max().item()


@pytest.mark.parametrize("case", ["frozen", "synced"])
def test_two_ranks_with_half_a_batch_have_its_gradients_and_statistics(together, alone, case: str):
    for found in together:
        assert largest_difference(found[case], alone[case]) < 1e-10
        assert found[case]["loss"] > 1


def test_without_sync_each_rank_normalizes_its_own_rows(together, alone):
    name = "query.encoder.temporal_stem.input_norm.running_mean"
    first, second = (found["unsynced"][name] for found in together)
    assert not torch.allclose(first, second, atol=1e-4)
    assert torch.allclose((first + second) / 2, alone["unsynced"][name], atol=1e-6)


# The number of queues of each case.
CASES = {"scd": 3, "scd+hdc": 3 + 8, "latent": 0, "scd+latent": 3}


@pytest.mark.parametrize("case", CASES)
def test_after_their_steps_both_ranks_have_the_same(together, case: str):
    first, second = (found[case] for found in together)
    assert largest_difference(first, second) == 0
    cursors = [value.item() for name, value in first.items() if name.endswith(".cursor")]
    # Two steps push 4 keys each into queues of 6.
    assert cursors == [2 * 4 % 6] * CASES[case]


@pytest.mark.parametrize("case", CASES)
def test_after_their_steps_two_ranks_have_what_one_has(together, alone, case: str):
    assert largest_difference(together[0][case], alone[case]) < 1e-10


def test_ranks_start_from_the_weights_that_the_first_one_reads(together, alone):
    for found in together:
        assert largest_difference(found["initial"], alone["initial"]) == 0


def test_the_invariance_of_a_level_is_that_of_the_batches_of_all_ranks(together, alone):
    moved = 1 - alone["scd+hdc"]["loss_weights.invariance"]
    # The invariance has moved by far more than the ranks may differ.
    assert (moved > 1e-6).all()
    for found in together:
        own = 1 - found["scd+hdc"]["loss_weights.invariance"]
        assert torch.allclose(own, moved, rtol=1e-6, atol=0)


def test_features_of_two_ranks_are_those_of_one_in_its_order(together, alone):
    for found in together:
        assert found["features"]["x"].shape == (rank_checks.NUM_FEATURES, 32)
        assert largest_difference(found["features"], alone["features"]) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("case", ["frozen", "synced", *CASES, "features"])
def test_four_and_eight_ranks_find_what_one_finds(many, alone_on_large_store, case: str):
    for found in many:
        assert largest_difference(found[case], alone_on_large_store[case]) < 1e-10


def test_ranks_exchange_values_and_errors(together, alone):
    for found in together:
        assert found["objects"] == [{"rank": 0}, {"rank": 1}]
        assert found["from main"] == "of rank 0"
        assert found["largest"] == 1
    assert [found["error"] for found in together] == ["ValueError", "SystemExit"]
    assert (alone["objects"], alone["largest"], alone["error"]) == ([{"rank": 0}], 0, "ValueError")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "first"}, "RANK: expected a number in this environment variable, found 'first'"),
        ({"RANK": "3", "WORLD_SIZE": "2"}, r"RANK=3 is out of range for WORLD_SIZE=2"),
    ],
)
def test_a_wrong_variable_is_named(ranks_of, variables: dict[str, str], message: str):
    ranks_of(**variables)
    with pytest.raises(ScdnetError, match=message):
        distributed.rank_info()


def test_several_ranks_are_refused_where_there_must_be_one(ranks_of):
    ranks_of(RANK="1", WORLD_SIZE="2")
    assert not distributed.is_main()
    with pytest.raises(ScdnetError, match="fine-tuning runs in a single process"):
        distributed.require_single_process("fine-tuning")


def test_ranks_that_cannot_connect_are_told_of_torchrun(ranks_of):
    # There is no RANK and no MASTER_ADDR.
    ranks_of(WORLD_SIZE="2")
    with (
        pytest.raises(
            ScdnetError, match=r"cannot form a process group .*; start them with torchrun or srun"
        ),
        distributed.process_group(torch.device("cpu")),
    ):
        pass


def test_a_single_rank_without_an_address_just_runs(ranks_of):
    ranks_of(RANK="0", WORLD_SIZE="1")
    with distributed.process_group(torch.device("cpu")):
        assert not distributed.is_initialized()
        assert distributed.all_gather_scalar(7) == [7]
