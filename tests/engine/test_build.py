import re

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


def shared(*shares: float, **values: object) -> DataConfig:
    """Return the section of two stores with these shares."""
    return DataConfig(store=["a.h5", "b.h5"], sampling=shares or "proportional", **values)


@pytest.mark.parametrize(
    ("data", "num_train", "expected"),
    [
        # In proportion, a sequence comes again after all others.
        (shared(), (40_000, 1000), 8192),
        # A sequence of the smaller store comes again after 2000, 11000 and 1100 others.
        (shared(1, 1), (40_000, 1000), 256),
        (shared(10, 1), (40_000, 1000), 2048),
        (shared(1, 10), (40_000, 1000), 256),
        (shared(1, 1), (100, 40), 64),
        # A share that is too small is refused elsewhere.
        (shared(1e308, 1e-308), (40_000, 1000), 8192),
    ],
)
def test_an_automatic_queue_is_a_quarter_of_what_comes_between_a_sequence_and_itself(
    data: DataConfig, num_train: tuple[int, int], expected: int
):
    model = ModelConfig(queue_size="auto")
    assert resolve_sizes(data, model, num_train) == (64, expected)


def test_a_queue_in_which_shares_repeat_sequences_is_warned_of():
    model = ModelConfig(queue_size=2048)
    assert check_sizes(shared(), model, num_train=(40_000, 1000), num_ranks=1) is None
    warning = check_sizes(shared(1, 1), model, num_train=(40_000, 1000), num_ranks=1)
    assert warning.startswith(
        "model.queue_size 2048 is more than half of the 2000 sequences after which data.sampling "
        "draws the same one again, so old keys"
    )


@pytest.mark.parametrize(
    ("data", "num_train", "message"),
    [
        (shared(), (1, 0), "a.h5, b.h5: the training split of benchmark 'xsub' has one sequence; "),
        (
            shared(benchmark=["xsub", "xview"]),
            (0, 0),
            "benchmark 'xsub', 'xview' has no sequence that is not left out; expected two or more",
        ),
        (shared(1, 1), (9, 0), "b.h5: data.sampling gives it a share, but no training sequence"),
        (
            shared(1000, 1),
            (60, 9),
            "a share of 0.1 % is less than one of the 64 sequences of an epoch; raise it, or leave",
        ),
    ],
)
def test_stores_from_which_nothing_can_be_drawn_are_refused(
    data: DataConfig, num_train: tuple[int, int], message: str
):
    with pytest.raises(ScdnetError, match=re.escape(message)):
        check_sizes(data, ModelConfig(), num_train=num_train, num_ranks=1)
