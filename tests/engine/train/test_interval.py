import numpy as np
import pytest
import torch

from scdnet.config import Config
from scdnet.engine.train import loop
from scdnet.engine.train import start as starting
from scdnet.engine.train.diagnostics import COLLAPSED
from scdnet.engine.train.interval import Interval
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.step import metric_names
from scdnet.errors import ScdnetError
from scdnet.models.objective import Objective
from tests.engine.runs import changed, make_plan

METRICS = metric_names(Objective())
NUM_METRICS = len(METRICS)
NAMES = np.array([f"seq{i}" for i in range(30)])
BATCH = torch.tensor([3, 8])


def make_interval(first: int = 0) -> Interval:
    return Interval(METRICS, first=first, length=3, device=torch.device("cpu"))


def test_an_interval_continues_where_it_stood():
    whole = make_interval()
    begun = make_interval()
    rest = make_interval()
    for interval in (whole, begun):
        interval.record(torch.arange(float(NUM_METRICS)), BATCH)
    rest.load_state_dict(begun.state_dict())
    for interval in (whole, rest):
        for value in (5.0, 7.0):
            interval.record(torch.full((NUM_METRICS,), value), BATCH)
    assert rest.metrics() == whole.metrics()
    means = [(12 + i) / 3 for i in range(NUM_METRICS)]
    assert rest.metrics() == dict(zip(METRICS, means, strict=True))


@pytest.mark.parametrize("shape", [(4, NUM_METRICS), (2, 3), (2,)])
def test_metrics_that_do_not_fit_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ScdnetError, match="cannot continue with metrics of shape"):
        make_interval().load_state_dict(torch.zeros(shape))


def test_an_interval_that_is_not_full_has_the_mean_of_its_steps():
    interval = make_interval()
    interval.record(torch.ones(NUM_METRICS), BATCH)
    assert set(interval.metrics().values()) == {1.0}
    assert interval.speed.metrics(2)["clips_per_second"] == 0
    interval.speed.add(1, seconds=0.5, cpu_seconds=0.75, waiting=0.2)
    interval.speed.add(1, seconds=1.5, cpu_seconds=2.0, waiting=0.8)
    speed = {
        "seconds": 2.0,
        "cpu_seconds": 2.75,
        "step_seconds": 1.0,
        "clips_per_second": 2.0,
        "data_time_fraction": 0.5,
    }
    assert interval.speed.metrics(2) == speed


def test_a_domain_has_collapsed_if_it_lay_below_the_threshold_at_every_step():
    interval = make_interval()
    below = 0.9 * COLLAPSED
    above = 1.1 * COLLAPSED
    for temporal, spatial, instance in (
        (below, below, above),
        (below, above, above),
        (below, below, above),
    ):
        metrics = dict.fromkeys(METRICS, 0.0) | {
            "feature_std/temporal": temporal,
            "feature_std/spatial": spatial,
            "feature_std/instance": instance,
        }
        interval.record(torch.tensor(list(metrics.values())), BATCH)
    assert interval.collapsed() == ["temporal"]


def test_tokens_that_differ_by_position_alone_have_collapsed():
    names = ("latent_loss/temporal", "latent_spread/temporal", "latent_spread/spatial")
    interval = Interval(names, first=0, length=9, device=torch.device("cpu"))
    interval.record(torch.tensor([0.0, 1.1, 0.9]) * COLLAPSED, BATCH)
    assert interval.collapsed() == ["latent_spread/spatial"]


@pytest.mark.parametrize(
    ("lengths", "place"),
    [
        ({"epochs": 9}, "epoch 7, step 1 (both counted from 0)"),
        ({"steps": 90}, "step 23 (counted from 1)"),
    ],
)
def test_the_first_nan_or_inf_is_named_with_its_sequences(lengths: dict[str, int], place: str):
    locate = make_plan(steps_per_epoch=3, **lengths).locate
    interval = make_interval(first=21)
    interval.record(torch.ones(NUM_METRICS), torch.tensor([1, 2]))
    interval.check(NAMES, locate, "do this")
    bad = torch.tensor([1, 2, float("inf"), float("nan"), *[1] * (NUM_METRICS - 4)])
    interval.record(bad, BATCH)
    interval.record(torch.full((NUM_METRICS,), float("nan")), torch.tensor([1, 2]))
    with pytest.raises(ScdnetError) as error:
        interval.check(NAMES, locate, "do this")
    assert str(error.value) == (
        f"loss/instance-temporal became NaN or Inf in {place}, on sequences seq3, seq8; do this"
    )


@pytest.mark.parametrize(("epoch", "step"), [(0, 1), (1, 0), (1, 3)])
def test_a_run_stops_at_a_loss_that_is_nan_and_leaves_a_good_checkpoint(
    small_config: Config, monkeypatch: pytest.MonkeyPatch, epoch: int, step: int
):
    config = changed(small_config, save_every=1, data={"batch_size": 2})
    num_steps = 0

    def spoil(*args: object, **kwargs: object) -> torch.Tensor:
        """Report what a step would, without doing it."""
        nonlocal num_steps
        num_steps += 1
        is_bad = num_steps == 4 * epoch + step + 1
        return torch.full((NUM_METRICS,), float("nan") if is_bad else 1.0)

    monkeypatch.setattr(starting, "train_step", spoil)
    monkeypatch.setattr(loop, "CHECK_EVERY", 3)
    message = (
        rf"loss/temporal-instance became NaN or Inf in epoch {epoch}, step {step} .*, "
        r"on sequences S\w+, S\w+; start a new run"
    )
    with pytest.raises(ScdnetError, match=message) as error:
        pretrain(config)
    last = config.run_dir / "last.pt"
    if epoch:
        assert str(error.value).endswith(f"the last good checkpoint is {last}, at epoch 1")
    else:
        assert "no checkpoint was written yet" in str(error.value)
    # Steps 0 to 2 are looked at after step 2, the last one at the end of the epoch.
    assert num_steps == 4 * epoch + (3 if step < 3 else 4)
    assert last.exists() == (epoch > 0)
