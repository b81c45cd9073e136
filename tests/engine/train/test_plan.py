"""What is due after which step, in a config that counts epochs and in one that counts steps."""

import pytest

from scdnet.config import Config
from scdnet.engine.run.checkpoints import Progress
from scdnet.engine.train import plan as planning
from scdnet.engine.train.plan import Plan
from tests.engine.runs import make_plan


def plan_of(num_train: int = 8, **values) -> Plan:
    return planning.make_plan(Config(data={"batch_size": 2}, **values), num_train, {})


def steps_at_which(is_due, plan: Plan) -> list[int]:
    return [step for step in range(1, plan.num_steps + 1) if is_due(step)]


def test_a_plan_in_epochs_is_one_in_steps_times_their_length():
    # An epoch has four steps.
    plan = plan_of(optim={"epochs": 5}, eval_every=2, save_every=3)
    assert plan.num_steps == 20
    assert steps_at_which(plan.is_line_due, plan) == [4, 8, 12, 16, 20]
    assert steps_at_which(plan.is_eval_due, plan) == [8, 16, 20]
    assert steps_at_which(plan.is_save_due, plan) == [12, 20]
    assert [plan.next_stop(step) for step in (0, 3, 4, 17)] == [4, 4, 8, 20]
    assert [plan.number(step) for step in (4, 8, 20)] == [0, 1, 4]
    assert plan.state_progress(8) == "epoch 2/5"
    assert plan.describe(Progress(2, 1)) == "epoch 2, step 1"
    assert plan.state_start(Progress(2, 4)) == "epoch 2/5, step 4"
    assert plan.locate(9) == "epoch 2, step 1 (both counted from 0)"


def test_a_plan_in_steps_has_what_is_due_within_epochs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(planning, "LOG_EVERY", 6)
    plan = plan_of(optim={"steps": 15}, eval_every=7, save_every=5)
    assert plan.num_steps == 15
    assert steps_at_which(plan.is_line_due, plan) == [6, 7, 12, 14, 15]
    assert steps_at_which(plan.is_eval_due, plan) == [7, 14, 15]
    assert steps_at_which(plan.is_save_due, plan) == [5, 10, 15]
    stops = [plan.next_stop(step) for step in range(15)]
    # An epoch has four steps.
    assert sorted(set(stops)) == [4, 5, 6, 7, 8, 10, 12, 14, 15]
    assert plan.number(7) == 7
    assert plan.state_progress(7) == "step 7/15"
    assert plan.describe(Progress(2, 1)) == "step 9"
    assert plan.state_start(Progress(2, 4)) == "step 12/15"
    assert plan.locate(9) == "step 10 (counted from 1)"
    assert plan.summary == "15 steps, 3.8 epochs of 4 steps"


def test_without_evaluations_none_is_due():
    assert steps_at_which((plan := make_plan(steps_per_epoch=2, steps=9)).is_eval_due, plan) == []
