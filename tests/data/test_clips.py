from pathlib import Path

import pytest
import torch

from scdnet.config import Config
from scdnet.data.clips import Clips, load_clips
from scdnet.data.store import StoreError, open_sequences

CPU = torch.device("cpu")


@pytest.fixture
def clips(small_config: Config) -> Clips:
    return load_clips(small_config.data, "joint", CPU)


def test_splits_are_disjoint_and_whole(clips: Clips):
    train, test = clips.split(train=True), clips.split(train=False)
    assert sorted([*train.tolist(), *test.tolist()]) == list(range(16))
    assert train.tolist() == list(range(8))


def test_evaluation_view_is_cut_from_its_own_sequence(clips: Clips, store_path: Path):
    view = clips.evaluation_views(torch.tensor([5]))
    frames = torch.from_numpy(open_sequences(store_path)[5].frames)
    lowest, highest = frames.amin(dim=0), frames.amax(dim=0)  # a view interpolates between frames
    values = view[0].permute(1, 3, 2, 0)
    assert view.shape == (1, 3, 16, 25, 2)
    assert ((lowest <= values) & (values <= highest)).all()


def test_views_depend_on_the_generator_alone(clips: Clips):
    index = torch.tensor([0, 3, 3, 9])
    first, second, third = (clips.training_views(index, torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert not torch.equal(first[1], first[2])  # two views of one clip


def test_one_body_is_the_first_of_two(small_config: Config):
    one = load_clips(small_config.data.model_copy(update={"bodies": 1}), "joint", CPU)
    two = load_clips(small_config.data, "joint", CPU)
    index = torch.arange(4)
    assert torch.equal(one.evaluation_views(index)[..., 0], two.evaluation_views(index)[..., 0])


def test_an_empty_split_is_refused(small_config: Config):
    data = small_config.data.model_copy(update={"benchmark": "nobody"})
    with pytest.raises(StoreError, match="the training split of benchmark 'nobody' is empty"):
        load_clips(data, "joint", CPU)


def test_a_benchmark_that_the_store_lacks_is_refused(small_config: Config):
    data = small_config.data.model_copy(update={"benchmark": "xset"})
    with pytest.raises(StoreError, match="no benchmark 'xset'; it holds nobody, xsub"):
        load_clips(data, "joint", CPU)
