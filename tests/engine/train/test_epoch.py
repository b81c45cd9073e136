import numpy as np
import pytest
import torch

from scdnet.config import Config
from scdnet.engine.train import loop
from scdnet.engine.train import pretrain as pretraining
from scdnet.engine.train.diagnostics import COLLAPSED
from scdnet.engine.train.epoch import Epoch
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.step import metric_names
from scdnet.errors import ScdnetError
from scdnet.models.objective import Objective
from tests.engine.runs import changed

METRICS = metric_names(Objective())
NUM_METRICS = len(METRICS)
NAMES = np.array([f"seq{i}" for i in range(30)])


def make_epoch(number: int = 0, *, seed: int = 0) -> Epoch:
    return Epoch(
        number,
        torch.arange(10, 30),
        METRICS,
        seed=seed,
        batch_size=6,
        device=torch.device("cpu"),
    )


def test_an_epoch_has_each_sequence_once_without_an_incomplete_batch():
    batches = torch.stack(make_epoch().batches)
    # Two of the 20 sequences are left over.
    assert batches.shape == (3, 6)
    assert len(set(batches.flatten().tolist())) == 18
    assert batches.min() >= 10


def test_seed_and_number_decide_the_order():
    first, again, second = (
        torch.cat(epoch.batches).tolist() for epoch in (make_epoch(), make_epoch(), make_epoch(1))
    )
    assert first == again != second
    assert torch.cat(make_epoch(seed=1).batches).tolist() != first


def test_an_epoch_continues_where_it_stood():
    whole = make_epoch()
    begun = make_epoch()
    rest = make_epoch()
    for epoch in (whole, begun):
        torch.rand(3, generator=epoch.generator)
        epoch.record(torch.arange(float(NUM_METRICS)))
    rest.load_state_dict(begun.state_dict())
    expected = [batch.tolist() for batch in whole.batches[1:]]
    assert [batch.tolist() for batch in rest.remaining] == expected
    drawn, again = (torch.rand(3, generator=epoch.generator) for epoch in (rest, whole))
    assert torch.equal(drawn, again)
    for epoch in (whole, rest):
        for value in (5.0, 7.0):
            epoch.record(torch.full((NUM_METRICS,), value))
    assert rest.metrics() == whole.metrics()
    means = [(12 + i) / 3 for i in range(NUM_METRICS)]
    assert rest.metrics() == dict(zip(METRICS, means, strict=True))


def test_the_state_of_an_epoch_of_another_length_is_refused():
    state = {**make_epoch().state_dict(), "steps": 4, "metrics": torch.zeros(4, NUM_METRICS)}
    with pytest.raises(ScdnetError, match="cannot continue after step 4 of 3"):
        make_epoch().load_state_dict(state)


def test_a_domain_has_collapsed_if_it_lay_below_the_threshold_at_every_step():
    epoch = make_epoch()
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
        epoch.record(torch.tensor(list(metrics.values())))
    assert epoch.collapsed() == ["temporal"]


def test_the_first_nan_or_inf_is_named_with_its_sequences():
    epoch = make_epoch(7)
    epoch.record(torch.ones(NUM_METRICS))
    epoch.check(NAMES, "do this")
    epoch.record(torch.tensor([1, 2, float("inf"), float("nan"), *[1] * (NUM_METRICS - 4)]))
    epoch.record(torch.full((NUM_METRICS,), float("nan")))
    named = ", ".join(NAMES[epoch.batches[1].numpy()])
    with pytest.raises(ScdnetError) as error:
        epoch.check(NAMES, "do this")
    assert str(error.value) == (
        "loss/instance-temporal became NaN or Inf in epoch 7, step 1 (both counted from 0), "
        f"on sequences {named}; do this"
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

    monkeypatch.setattr(pretraining, "train_step", spoil)
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
