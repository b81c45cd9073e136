import pytest

from scdnet.config import Config, DataConfig, ModelConfig
from scdnet.engine.build import check_sizes, resolve_sizes
from scdnet.errors import ScdnetError


@pytest.mark.parametrize(
    ("num_train", "batch_size", "expected"),
    [
        # NTU-60 and UI-PRMD, cross-subject.
        (40_091, 64, (64, 8192)),
        (1200, 64, (64, 256)),
        # A quarter is a power of two, or just not.
        (1024, 64, (64, 256)),
        (1023, 64, (64, 128)),
        # Never below a batch, which is at most the split.
        (100, 64, (64, 64)),
        (100, 48, (48, 48)),
        (30, 64, (30, 30)),
        (2, 64, (2, 2)),
    ],
)
def test_an_automatic_queue_is_at_most_a_quarter_of_the_split_and_at_least_a_batch(
    num_train: int, batch_size: int, expected: tuple[int, int]
):
    data = DataConfig(batch_size=batch_size)
    assert resolve_sizes(data, ModelConfig(queue_size="auto"), num_train) == expected


def test_a_queue_of_a_given_size_is_left_as_it_is():
    assert resolve_sizes(DataConfig(), ModelConfig(queue_size=99), 40) == (40, 99)
    assert resolve_sizes(DataConfig(), ModelConfig(queue_size=99), None) == (64, 99)


def test_a_batch_that_ranks_cannot_share_is_refused():
    config = Config(data={"batch_size": 64})
    with pytest.raises(ScdnetError, match=r"data\.batch_size 64 \(over all ranks\) is not a mul"):
        check_sizes(config.data, config.model, num_train=100, num_ranks=3)
    with pytest.raises(ScdnetError, match=r"batch_size 33, the whole training split, .* ranks, 2"):
        check_sizes(config.data, config.model, num_train=33, num_ranks=2)
