import math

import pytest

from scdnet.data.cache import choose_cache
from scdnet.errors import ScdnetError

NTU60 = 2_800_000_000


@pytest.mark.parametrize(
    ("free", "expected"),
    [
        # The frames take exactly half.
        ({"gpu": 2 * NTU60, "cpu": 0}, "gpu"),
        ({"gpu": 2 * NTU60 - 1, "cpu": 2 * NTU60}, "cpu"),
        ({"gpu": NTU60, "cpu": NTU60}, "none"),
        ({"cpu": 2 * NTU60}, "cpu"),
        ({"cpu": NTU60}, "none"),
        # The system does not report its memory.
        ({"cpu": math.inf}, "cpu"),
    ],
)
def test_auto_is_the_first_memory_of_which_the_frames_take_at_most_half(
    free: dict[str, float], expected: str
):
    assert choose_cache("auto", NTU60, free) == expected


def test_a_named_memory_may_be_filled():
    free = {"gpu": NTU60, "cpu": NTU60}
    for wanted in ("gpu", "cpu", "none"):
        assert choose_cache(wanted, NTU60, free) == wanted


@pytest.mark.parametrize("wanted", ["gpu", "cpu"])
def test_frames_that_do_not_fit_are_refused(wanted: str):
    message = f"the frames take 2.80 GB, but the {wanted} has only 2.00 GB free; use auto or none"
    with pytest.raises(ScdnetError, match=message):
        choose_cache(wanted, NTU60, {"gpu": 2e9, "cpu": 2e9})
