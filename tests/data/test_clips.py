import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.data.cache import CachedSequences, StoreReader
from scdnet.data.clips import Clips, RankInfo, contiguous_ranks, load_clips, sample_batches
from scdnet.data.store import StoreError, open_sequences
from scdnet.errors import ScdnetError
from tests.conftest import write_synthetic_store

CPU = torch.device("cpu")


@pytest.fixture
def clips(small_config: Config) -> Clips:
    return load_clips(small_config.data, "joint", CPU)


def training_views(clips: Clips, seed: int = 0) -> torch.Tensor:
    """Draw two views each of two batches in two epochs, in different orders: (8, N, C, T, V, M)."""
    views = []
    generator = torch.Generator().manual_seed(seed)
    for _ in range(2):
        batches = torch.randperm(16, generator=generator)[:14].split(7)
        views += [view for pair in clips.training_views(batches, generator) for view in pair]
    return torch.stack(views)


def evaluation_views(clips: Clips) -> torch.Tensor:
    """Return the evaluation views (N, C, T, V, M) of all sequences, made in two batches."""
    return torch.cat(list(clips.evaluation_views(torch.arange(16).split(9))))


def test_splits_are_disjoint_and_whole(clips: Clips):
    train = clips.split(train=True)
    test = clips.split(train=False)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(16))
    assert train.tolist() == list(range(8))


def test_evaluation_view_is_cut_from_its_own_sequence(clips: Clips, store_path: Path):
    view = next(clips.evaluation_views(torch.tensor([[5]])))
    frames = torch.from_numpy(open_sequences(store_path)[5].frames)
    # A view interpolates between frames.
    lowest = frames.amin(dim=0)
    highest = frames.amax(dim=0)
    values = view[0].permute(1, 3, 2, 0)
    assert view.shape == (1, 3, 16, 25, 2)
    assert ((lowest <= values) & (values <= highest)).all()


def test_views_depend_on_the_generator_alone(clips: Clips):
    first, second, third = (training_views(clips, seed) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    # The first two are views of the same clips.
    assert not torch.equal(first[0], first[1])


def test_one_body_is_the_first_of_two(small_config: Config):
    one = load_clips(small_config.data.model_copy(update={"num_bodies": 1}), "joint", CPU)
    two = load_clips(small_config.data, "joint", CPU)
    assert torch.equal(evaluation_views(one)[..., 0], evaluation_views(two)[..., 0])


@pytest.mark.parametrize(
    ("benchmark", "train", "message"),
    [
        ("nobody", True, "the training split of benchmark 'nobody' is empty"),
        ("everybody", False, "the test split of benchmark 'everybody' is empty"),
        ("xset", True, "no benchmark 'xset'; it contains everybody, nobody, xsub"),
        ("xset", False, "no benchmark 'xset'; it contains everybody, nobody, xsub"),
    ],
)
def test_a_split_that_is_empty_or_absent_is_refused_when_it_is_asked_for(
    small_config: Config, benchmark: str, train: bool, message: str
):
    clips = with_data(small_config, benchmark=benchmark)
    with pytest.raises(StoreError, match=rf"synthetic\.h5: {message}"):
        clips.split(train=train)


@pytest.mark.parametrize(
    ("benchmark", "expected"),
    [("xsub", True), ("nobody", True), ("everybody", False), ("xset", False)],
)
def test_a_benchmark_has_a_test_split_if_a_sequence_is_in_it(
    small_config: Config, benchmark: str, expected: bool
):
    assert with_data(small_config, benchmark=benchmark).has_test_split is expected


@pytest.mark.parametrize("benchmark", ["nobody", "everybody", "xset"])
def test_views_need_no_split(small_config: Config, benchmark: str):
    own = with_data(small_config, benchmark=benchmark)
    assert torch.equal(evaluation_views(own), evaluation_views(with_data(small_config)))


def with_data(config: Config, **values) -> Clips:
    return load_clips(config.data.model_copy(update=values), "bone", CPU)


@pytest.mark.parametrize("cache_dtype", ["float32", "float16"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_seed_gives_the_same_views_wherever_the_frames_are_cached(
    small_config: Config, workers: int, cache_dtype: str
):
    cached = with_data(small_config, cache="cpu", cache_dtype=cache_dtype)
    read = with_data(small_config, cache="none", cache_dtype=cache_dtype, num_workers=workers)
    # Batches for a GPU are cut out of main memory.
    host = CachedSequences(cached.sequences.frames, cached.sequences.length, copy_batches=True)
    for other in (read, replace(cached, sequences=host)):
        assert torch.equal(training_views(other), training_views(cached))
        assert torch.equal(evaluation_views(other), evaluation_views(cached))
        assert torch.equal(training_views(other, seed=1), training_views(cached, seed=1))


def test_a_pass_that_is_left_early_does_not_disturb_the_next(small_config: Config):
    cached = with_data(small_config)
    streamed = with_data(small_config, cache="none", num_workers=2)
    abandoned = streamed.evaluation_views(torch.arange(16).split(2))
    next(abandoned)
    assert torch.equal(evaluation_views(streamed), evaluation_views(cached))
    with pytest.raises(AssertionError, match="one reader at a time"):
        next(abandoned)


def test_streaming_leaves_the_random_state_of_the_training_alone(small_config: Config):
    clips = with_data(small_config, cache="none", num_workers=1)
    before = torch.get_rng_state()
    evaluation_views(clips)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_that_is_damaged_while_it_is_streamed_is_one_line(
    small_config: Config, store_path: Path, workers: int
):
    clips = with_data(small_config, cache="none", num_workers=workers)
    store_path.write_bytes(b"")
    with pytest.raises(StoreError, match=r"synthetic\.h5: not a readable HDF5 file") as caught:
        evaluation_views(clips)
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_that_is_replaced_while_it_is_streamed_is_found(
    small_config: Config, store_path: Path, workers: int
):
    clips = with_data(small_config, cache="none", num_workers=workers)
    write_synthetic_store(store_path, seed=1)
    with pytest.raises(StoreError, match=r"synthetic\.h5: replaced by another store while it was"):
        evaluation_views(clips)


@pytest.mark.skipif(
    multiprocessing.get_start_method() != "fork",
    reason="a worker that is not forked is not patched",
)
def test_a_worker_that_dies_is_named(small_config: Config, monkeypatch: pytest.MonkeyPatch):
    clips = with_data(small_config, cache="none", num_workers=1)
    monkeypatch.setattr(StoreReader, "__getitem__", lambda self, index: os._exit(1))
    with pytest.raises(
        ScdnetError, match=r"a worker that reads sequences failed .*; use data\.num"
    ):
        evaluation_views(clips)


def test_float16_storage_errs_by_half_a_unit_in_the_last_place(small_config: Config):
    """Views are means of frames: both err by at most 2^-11 of the larger value."""
    exact = with_data(small_config, cache_dtype="float32")
    half = with_data(small_config, cache_dtype="float16")
    largest = exact.sequences.frames.abs().max()
    views = [next(clips.evaluation_views(torch.arange(16)[None])) for clips in (exact, half)]
    assert views[1].dtype == torch.float32
    error = (views[0] - views[1]).abs().max()
    # A bone is the difference of two joints, so it errs twice.
    assert 0 < error <= 2 * largest * 2**-11


def test_a_gpu_for_the_frames_needs_a_run_on_it(small_config: Config):
    with pytest.raises(
        ScdnetError, match=r"data\.cache: gpu needs a run on a GPU, this one is on the CPU"
    ):
        with_data(small_config, cache="gpu")


@pytest.mark.parametrize("values", [{}, {"cache": "none", "num_workers": 1}])
def test_ranks_make_together_the_views_of_one(small_config: Config, values: dict):
    whole = with_data(small_config, **values)
    data = small_config.data.model_copy(update=values)
    parts = [load_clips(data, "bone", CPU, rank_info=RankInfo(rank, 2)) for rank in range(2)]
    batches = sample_batches(whole.split(train=True), 4, torch.Generator().manual_seed(2))
    expected, *halves = (
        list(clips.training_views(batches, torch.Generator().manual_seed(1)))
        for clips in (whole, *parts)
    )
    assert len(expected) == 2
    for number, pair in enumerate(expected):
        for view, first, second in zip(pair, halves[0][number], halves[1][number], strict=True):
            assert torch.equal(torch.cat([first, second]), view)


def test_the_summary_names_the_cache(small_config: Config, store_path: Path):
    assert with_data(small_config).cache_summary == "frames (0.00 GB) cached on the cpu"
    streamed = with_data(small_config, cache="none").cache_summary
    assert streamed == f"frames (0.00 GB) read from {store_path} by 2 workers"


def test_batches_are_an_order_of_the_sequences_cut_up():
    train = torch.arange(100, 110)
    order = train[torch.randperm(10, generator=torch.Generator().manual_seed(0))]
    batches = sample_batches(train, 4, torch.Generator().manual_seed(0))
    assert torch.cat(batches).tolist() == order[:8].tolist()


def test_a_rank_takes_its_rows_of_each_copy_of_a_batch():
    x = torch.arange(12)
    assert RankInfo(1, 3).rows(x, copies=2).tolist() == [2, 3, 8, 9]
    assert RankInfo(0, 1).rows(x, copies=2).tolist() == x.tolist()


@pytest.mark.parametrize(("num", "size"), [(10, 3), (4, 4), (7, 1)])
def test_contiguous_ranks_are_even_and_sorted(num: int, size: int):
    ranks = contiguous_ranks(num, size)
    counts = ranks.bincount(minlength=size)
    assert (ranks.diff() >= 0).all()
    assert counts.sum() == num
    assert counts.max() - counts.min() <= 1
