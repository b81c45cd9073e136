"""Pairs of sequences of one class, drawn for the two views of a pair."""

from pathlib import Path

import pytest
import torch

from scdnet.data.clips import RankInfo
from scdnet.data.mixture import Mixture
from scdnet.data.pairs import PairSampler, make_pair_sampler
from scdnet.errors import ScdnetError
from tests.conftest import write_synthetic_store
from tests.stores import load_stores, write_named_store

CPU = torch.device("cpu")


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store of two classes with four training sequences each, and one of a single class."""
    folder = tmp_path_factory.mktemp("stores")
    first = write_synthetic_store(folder / "first.h5")
    return first, write_named_store(folder / "second.h5", ["p", "q", "r"], ["s"], frames=30)


def test_partners_are_the_others_of_a_group_all_equally_often():
    sampler = PairSampler(torch.tensor([5, 3, 5, 5, 3, 9]))
    index = torch.tensor([0, 2, 1, 5]).repeat(3000)
    drawn = sampler.sample(index, generator()).view(-1, 4)
    counts = [drawn[:, column].bincount(minlength=6) for column in range(4)]
    # The group of sequence 0 has the others 2 and 3; sequence 5 is alone.
    assert counts[2].tolist() == [0, 0, 0, 0, 3000, 0]
    assert counts[3].tolist() == [0, 0, 0, 0, 0, 3000]
    for column, others in ((0, [2, 3]), (1, [0, 3])):
        assert counts[column].sum() == counts[column][others].sum()
        # Five standard deviations of a fair coin.
        assert all(abs(counts[column][other] - 1500) < 137 for other in others)


def test_only_training_sequences_of_the_same_class_and_store_are_paired(stores):
    mixture = load_stores(*stores, positives=("class", "sequence"))
    sampler = make_pair_sampler(mixture)
    index = torch.cat(mixture.training_sequences).repeat(50)
    partner = sampler.sample(index, generator())
    labels = torch.cat([clips.label for clips in mixture.stores.values()])
    is_first = index < len(mixture.stores["first"].label)
    assert torch.equal(labels[index], labels[partner])
    assert (partner != index)[is_first].all()
    assert torch.equal(partner[~is_first], index[~is_first])
    assert set(partner.tolist()) == set(index.tolist())


def test_without_pairs_of_a_class_nothing_is_drawn(stores):
    assert make_pair_sampler(load_stores(*stores)) is None


def test_the_views_of_a_pair_are_those_of_its_two_sequences(stores):
    mixture = load_stores(*stores, views={"min_crop_fraction": 1, "min_crop_frames": 1})
    no_views = {name: 0 for name in type(mixture.config.views).model_fields if "prob" in name}
    still = mixture.config.views.model_copy(update=no_views)
    config = mixture.config.model_copy(update={"views": still})
    mixture = Mixture(**{**vars(mixture), "config": config})
    first = torch.tensor([0, 17, 3])
    second = torch.tensor([2, 18, 3])
    pair = next(mixture.training_views([torch.stack([first, second])], generator()))
    for index, views in zip((first, second), pair, strict=True):
        same = next(mixture.training_views([index], generator()))
        assert torch.equal(views, same[0])


def test_ranks_together_make_the_views_of_one(stores):
    batch = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])
    whole = next(load_stores(*stores).training_views([batch], generator()))
    parts = [
        next(load_stores(*stores, ranks=RankInfo(rank, 2)).training_views([batch], generator()))
        for rank in range(2)
    ]
    for view, halves in zip(whole, zip(*parts, strict=True), strict=True):
        assert torch.equal(view, torch.cat(halves))


@pytest.mark.parametrize(
    ("train", "test", "found"),
    [(["p", "r"], ["q"], "one class"), (["p", "q"], ["r"], "no two of the same class")],
)
def test_a_store_without_pairs_of_a_class_is_refused(tmp_path: Path, train, test, found: str):
    # Classes take turns in the order of names.
    store = write_named_store(tmp_path / "a.h5", train, test)
    with pytest.raises(ScdnetError, match=f"a.h5: data.positives=class .* found {found}; set data"):
        make_pair_sampler(load_stores(store, positives="class"))
