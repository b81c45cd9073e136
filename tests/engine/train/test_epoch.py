import numpy as np
import pytest
import torch

from scdnet.config import Config
from scdnet.engine.train import loop as run
from scdnet.engine.train import state as training
from scdnet.engine.train.diagnostics import COLLAPSED
from scdnet.engine.train.epoch import Epoch
from scdnet.engine.train.pretrain import pretrain
from scdnet.engine.train.state import metric_names
from scdnet.errors import ScdnetError
from scdnet.models.objective import Objective
from tests.engine.runs import changed

REPORT = metric_names(Objective())
NUMBERS = len(REPORT)
NAMES = np.array([f"seq{i}" for i in range(30)])


def make_epoch(number: int = 0, *, seed: int = 0, batch_size: int = 6) -> Epoch:
    return Epoch(
        number,
        [torch.arange(10, 30)],
        REPORT,
        seed=seed,
        batch_size=batch_size,
        device=torch.device("cpu"),
    )


def test_an_epoch_has_each_sequence_once_without_an_incomplete_batch():
    batches = torch.stack(make_epoch().batches)
    assert batches.shape == (3, 6)  # of 20
    assert len(set(batches.flatten().tolist())) == 18
    assert batches.min() >= 10


def test_seed_and_number_decide_the_order():
    order = [
        torch.cat(epoch.batches).tolist() for epoch in (make_epoch(), make_epoch(), make_epoch(1))
    ]
    assert order[0] == order[1] != order[2]
    assert torch.cat(make_epoch(seed=1).batches).tolist() != order[0]


def test_an_epoch_goes_on_where_it_stood():
    whole, begun, rest = make_epoch(), make_epoch(), make_epoch()
    for epoch in (whole, begun):
        torch.rand(3, generator=epoch.generator)
        epoch.record(torch.arange(float(NUMBERS)))
    rest.load_state_dict(begun.state())
    assert [batch.tolist() for batch in rest.left] == [
        batch.tolist() for batch in whole.batches[1:]
    ]
    assert torch.equal(
        torch.rand(3, generator=rest.generator), torch.rand(3, generator=whole.generator)
    )
    for epoch in (whole, rest):
        for value in (5.0, 7.0):
            epoch.record(torch.full((NUMBERS,), value))
    assert rest.metrics() == whole.metrics()
    means = [(12 + i) / 3 for i in range(NUMBERS)]
    assert rest.metrics() == dict(zip(REPORT, means, strict=True))


def test_the_state_of_an_epoch_of_another_length_is_refused():
    state = {**make_epoch().state(), "steps": 4, "reports": torch.zeros(4, len(REPORT))}
    with pytest.raises(ScdnetError, match="cannot go on after step 4 of 3"):
        make_epoch().load_state_dict(state)


def test_a_domain_has_collapsed_if_it_lay_below_the_threshold_at_every_step():
    epoch, below, above = make_epoch(), 0.9 * COLLAPSED, 1.1 * COLLAPSED
    for temporal, spatial, instance in (
        (below, below, above),
        (below, above, above),
        (below, below, above),
    ):
        report = dict.fromkeys(REPORT, 0.0) | {
            "feature_std/temporal": temporal,
            "feature_std/spatial": spatial,
        }
        epoch.record(torch.tensor(list((report | {"feature_std/instance": instance}).values())))
    assert epoch.collapsed() == ["temporal"]


def test_the_first_number_that_is_none_is_named_with_its_sequences():
    epoch = make_epoch(7)
    epoch.record(torch.ones(NUMBERS))
    epoch.check(NAMES, "do this")
    epoch.record(torch.tensor([1, 2, float("inf"), float("nan"), *[1] * (NUMBERS - 4)]))
    epoch.record(torch.full((NUMBERS,), float("nan")))
    named = ", ".join(NAMES[epoch.batches[1].numpy()])
    with pytest.raises(ScdnetError) as error:
        epoch.check(NAMES, "do this")
    assert str(error.value) == (
        f"loss/instance-temporal became inf in epoch 7, step 1 (both from 0), on sequences {named}; do this"
    )


@pytest.mark.parametrize(("epoch", "step"), [(0, 1), (1, 0), (1, 3)])
def test_a_run_stops_at_a_loss_that_is_no_number_and_leaves_a_good_checkpoint(
    small_config: Config, monkeypatch: pytest.MonkeyPatch, epoch: int, step: int
):
    config = changed(small_config, save_every=1, data={"batch_size": 2})
    original, steps = training.train_step, []

    def spoil(*args: object, **kwargs: object) -> torch.Tensor:
        report = original(*args, **kwargs)
        steps.append(report)
        return report * (float("nan") if len(steps) == 4 * epoch + step + 1 else 1)

    monkeypatch.setattr(training, "train_step", spoil)
    monkeypatch.setattr(run, "CHECK_EVERY", 3)
    last = (
        f"the last good checkpoint is {config.run_dir / 'last.pt'}, after 1 epochs"
        if epoch
        else "no checkpoint was"
    )
    place = rf"loss/temporal-instance became nan in epoch {epoch}, step {step} .*, on sequences S\w+, S\w+; lower .*{last}"
    with pytest.raises(ScdnetError, match=place):
        pretrain(config)
    # steps 0 to 2 are looked at after step 2, the last one at the end of the epoch
    assert len(steps) == 4 * epoch + (3 if step < 3 else 4)
    assert (config.run_dir / "last.pt").exists() == (epoch > 0)
