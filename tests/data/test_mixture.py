"""Several stores end to end: which sequences are drawn, and that views are those of each store."""

import re
import shutil
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from scdnet.config import DataConfig
from scdnet.data.clips import SINGLE_PROCESS, RankInfo, load_clips
from scdnet.data.mixture import (
    Mixture,
    apportion,
    load_mixture,
    open_stores,
    read_hashes,
    select_training,
)
from scdnet.data.store import StoreError, open_sequences
from scdnet.errors import ScdnetError
from scdnet.skeletons import KINECT_V1_20, NTU_25, OPENPOSE_25
from tests.conftest import write_synthetic_store
from tests.stores import load_stores, write_named_store

CPU = torch.device("cpu")


def drawn_names(mixture: Mixture) -> list[list[str]]:
    """Return the names of the sequences that are drawn of each store."""
    return [
        clips.name[train.rows.numpy()].tolist()
        for clips, train in zip(mixture.stores.values(), mixture.train, strict=True)
    ]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two stores of different sizes without a name in common."""
    folder = tmp_path_factory.mktemp("stores")
    first = write_synthetic_store(folder / "first.h5")
    second = write_named_store(folder / "second.h5", ["p", "q", "r"], ["s"], frames=30)
    return first, second


def test_sequences_of_several_stores_lie_end_to_end(stores):
    mixture = load_stores(*stores)
    first, second = mixture.training_sequences
    assert first.tolist() == list(range(8)) and second.tolist() == [16, 17, 18]
    assert mixture.num_train == (8, 3)
    assert mixture.name[16] == "second/p" and len(mixture.name) == 20
    assert list(mixture.stores) == ["first", "second"]


@pytest.mark.parametrize(
    "values", [{}, {"cache": "none", "num_workers": 0}, {"cache": "none", "num_workers": 2}]
)
def test_views_are_those_of_each_store_alone(stores, values: dict):
    mixture = load_stores(*stores, **values)
    alone = [load_clips(own.config, "joint", CPU) for own in mixture.stores.values()]
    expected = torch.cat(
        [next(clips.evaluation_views([torch.arange(len(clips.name))])) for clips in alone]
    )
    # A batch takes sequences of both.
    order = torch.tensor([17, 3, 0, 19, 16, 15])
    assert torch.equal(next(mixture.evaluation_views([order])), expected[order])
    for own, clips in zip(mixture.stores.values(), alone, strict=True):
        index = torch.tensor([3, 0])
        assert torch.equal(
            next(own.evaluation_views([index])), next(clips.evaluation_views([index]))
        )
        assert own.label.tolist() == clips.label.tolist()
        assert own.split(train=False).tolist() == clips.split(train=False).tolist()


@pytest.mark.parametrize("values", [{}, {"cache": "none", "num_workers": 0}])
def test_ranks_make_together_the_views_of_one(stores, values: dict):
    batches = [torch.tensor([17, 3, 0, 19]), torch.tensor([1, 16, 18, 2])]
    whole, *halves = (
        list(
            load_stores(*stores, ranks=ranks, **values).training_views(
                batches, torch.Generator().manual_seed(1)
            )
        )
        for ranks in (SINGLE_PROCESS, RankInfo(0, 2), RankInfo(1, 2))
    )
    for number, pair in enumerate(whole):
        for view, first, second in zip(pair, halves[0][number], halves[1][number], strict=True):
            assert torch.equal(torch.cat([first, second]), view)


def test_a_mixture_of_one_store_is_that_store(stores):
    mixture = load_stores(stores[0])
    clips = load_clips(mixture.config, "joint", CPU)
    assert mixture.training_sequences[0].tolist() == clips.split(train=True).tolist()
    assert mixture.name.tolist() == clips.name.tolist()
    assert mixture.store_sha256 == clips.store_sha256 == read_hashes(stores[:1])


def test_the_identity_is_that_of_all_stores_in_their_order(stores, tmp_path: Path):
    first, second = stores
    other = write_named_store(tmp_path / "second.h5", ["p", "q", "r"], ["s"], seed=1)
    moved = shutil.copy(second, tmp_path / "moved.h5")
    found = load_stores(first, second).store_sha256
    assert found == read_hashes([first, second]) == read_hashes([first, moved])
    assert len({found, read_hashes([second, first]), read_hashes([first, other])}) == 3


def test_a_test_sequence_of_another_store_is_not_drawn(tmp_path: Path):
    """Also where the other store has other frames for it."""
    a = write_named_store(tmp_path / "a.h5", ["p", "q", "r"], ["s", "t"])
    b = write_named_store(tmp_path / "b.h5", ["s", "u"], ["q", "v"], seed=1)
    mixture = load_stores(a, b)
    assert drawn_names(mixture) == [["p", "r"], ["u"]]
    assert [train.num_test for train in mixture.train] == [1, 1]
    assert [train.num_repeated for train in mixture.train] == [0, 0]


def test_a_recording_of_two_stores_is_drawn_through_the_first(tmp_path: Path):
    small = write_named_store(tmp_path / "small.h5", ["p", "q"], ["t"])
    large = write_named_store(tmp_path / "large.h5", ["n", "p", "q", "r"], ["t", "u"])
    assert drawn_names(load_stores(small, large)) == [["p", "q"], ["n", "r"]]
    assert drawn_names(load_stores(large, small)) == [["n", "p", "q", "r"], []]
    assert load_stores(large, small).train[1].num_repeated == 2
    # A third store repeats both.
    third = write_named_store(tmp_path / "third.h5", ["o", "q", "r"])
    assert drawn_names(load_stores(small, large, third))[2] == ["o"]


def test_recordings_that_only_have_the_same_name_are_all_drawn(tmp_path: Path):
    a = write_named_store(tmp_path / "a.h5", ["1", "2"], ["3"])
    b = write_named_store(tmp_path / "b.h5", ["1", "2"], ["3"], seed=1)
    assert drawn_names(load_stores(a, b)) == [["1", "2"], ["1", "2"]]


@given(
    splits=st.lists(
        st.dictionaries(st.sampled_from("abcdefgh"), st.booleans(), min_size=1), min_size=2
    )
)
def test_no_test_sequence_of_any_store_is_ever_drawn(splits: list[dict[str, bool]]):
    """For any splits; the stores need no files."""
    stores = [FakeStore(number, split) for number, split in enumerate(splits)]
    if not all(any(split.values()) for split in splits):
        with pytest.raises(StoreError, match="the training split of benchmark 'own' is empty"):
            select_training(stores, ["own"] * len(stores))
        return
    tests = {name for split in splits for name, is_train in split.items() if not is_train}
    drawn: list[str] = []
    for store, train in zip(stores, select_training(stores, ["own"] * len(stores)), strict=True):
        names = store.table.name[train.rows.numpy()].tolist()
        assert len(names) + train.num_test + train.num_repeated == store.is_train("own").sum()
        drawn += names
    trained = {name for split in splits for name, is_train in split.items() if is_train}
    assert sorted(drawn) == sorted(trained - tests)


class FakeStore:
    """A store whose sequences have a frame each, the same one for each name."""

    benchmarks = ("own",)

    def __init__(self, number: int, split: dict[str, bool]) -> None:
        self.path = Path(f"{number}.h5")
        self._split = dict(sorted(split.items()))
        self.offset = np.arange(len(split) + 1)

    @property
    def table(self) -> "FakeStore":
        return self

    @property
    def name(self) -> np.ndarray:
        return np.array(list(self._split))

    def is_train(self, benchmark: str) -> np.ndarray:
        return np.array(list(self._split.values()))

    def read_frames(self, first: int, end: int) -> np.ndarray:
        return np.full((1, 2, 25, 3), ord(self.name[first]), dtype=np.float32)


def test_the_same_content_under_two_names_is_refused(stores, tmp_path: Path):
    copied = shutil.copy(stores[0], tmp_path / "copied.h5")
    message = rf"copied\.h5: has the same content as {stores[0]}; list each store once"
    with pytest.raises(StoreError, match=message):
        load_stores(*stores, copied)


@pytest.mark.parametrize(
    ("skeletons", "message"),
    [
        (
            (NTU_25, KINECT_V1_20),
            r"b\.h5: has the joints of kinect_v1_20, but .*a\.h5 those of ntu25; stores can only "
            r"be mixed with the same joints: convert the recordings of the other with scdnet "
            r"prepare \.\.\. --to ntu25",
        ),
        ((NTU_25, OPENPOSE_25), "2-D joints cannot be mapped, so train on each alone"),
    ],
)
def test_stores_of_different_skeletons_are_refused(tmp_path: Path, skeletons, message: str):
    paths = [
        write_named_store(tmp_path / f"{name}.h5", [name], skeleton=skeleton)
        for name, skeleton in zip("ab", skeletons, strict=True)
    ]
    with pytest.raises(StoreError, match=message):
        load_stores(*paths)


def test_a_benchmark_that_one_store_lacks_is_named_with_it(stores):
    with pytest.raises(StoreError, match=r"second\.h5: no benchmark 'nobody'; it contains every"):
        load_stores(*stores, benchmark=["xsub", "nobody"])
    with pytest.raises(StoreError, match=r"first\.h5: the training split of .* is empty"):
        load_stores(*stores, benchmark=["nobody", "xsub"])
    assert load_stores(*stores, benchmark=["xsub", "everybody"]).num_train == (8, 4)


def test_opened_stores_are_closed(stores):
    with ExitStack() as stack:
        opened = open_stores(DataConfig(store=stores), stack)
    with pytest.raises(StoreError):
        opened[1].read_frames(0, 1)
    assert len(open_sequences(stores[1])) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_a_store_that_is_replaced_while_it_is_streamed_is_found(tmp_path: Path, workers: int):
    paths = [write_named_store(tmp_path / f"{name}.h5", [name, f"{name}2"]) for name in "ab"]
    mixture = load_stores(*paths, cache="none", num_workers=workers)
    write_named_store(paths[1], ["c", "d"])
    with pytest.raises(StoreError, match=rf"{re.escape(str(paths[1]))}: replaced by another store"):
        list(mixture.evaluation_views([torch.tensor([0, 3])]))


def test_the_summary_counts_all_frames(stores):
    streamed = load_stores(*stores, cache="none")
    assert streamed.cache_summary.endswith(f"read from {stores[0]}, {stores[1]} by 2 workers")
    with pytest.raises(ScdnetError, match="the frames take"):
        load_mixture(
            DataConfig(store=stores, cache="cpu"),
            "joint",
            CPU,
            rank_info=SINGLE_PROCESS,
            # Enough for the first store alone.
            free={"cpu": 16 * 77 * 2 * 25 * 3 * 4},
        )


@given(size=st.integers(1, 500), shares=st.lists(st.floats(0.01, 100), min_size=1, max_size=4))
def test_shares_are_rounded_to_whole_numbers_of_the_same_sum(size: int, shares: list[float]):
    fractions = [share / sum(shares) for share in shares]
    exact = [size * share for share in fractions]
    # With a share of at least one, none can be rounded down to 0.
    assume(min(exact) >= 1)
    counts = apportion(size, fractions)
    assert sum(counts) == size
    assert all(abs(count - share) < 1 for count, share in zip(counts, exact, strict=True))


def test_a_share_that_is_less_than_one_sequence_is_refused():
    with pytest.raises(ScdnetError, match="a share of 1 % is less than one of the 16 sequ"):
        apportion(16, [0.99, 0.01])


def test_the_largest_remainders_round_up():
    # 10 in proportion to 1 : 2 : 4 is 1.43, 2.86 and 5.71.
    assert apportion(10, [1 / 7, 2 / 7, 4 / 7]) == [1, 3, 6]
    assert apportion(10, [0.5, 0.5]) == [5, 5]
