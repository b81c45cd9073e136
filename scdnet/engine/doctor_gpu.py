"""`scdnet doctor --gpu`: steps of a run on noise in each mode, with time, memory and agreement."""

import statistics
from functools import partial

from scdnet.config import Config
from scdnet.engine.device import WARM_UP, release_memory, resolve_device
from scdnet.engine.doctor import Finding, check, look_into
from scdnet.engine.train.rehearsal import COMPARED, Rehearsal, Steps, check_agreement
from scdnet.memory import memory_advice

# The first of them warm up, one is captured, the others are timed.
NUM_STEPS = 10


def examine_modes(config: Config) -> list[Finding]:
    """Do ten steps eagerly and ten graphed; it is a problem if they fail or disagree.

    Dropout is off, as each mode draws random numbers of its own. Without a GPU the only finding is
    that there is none.
    """
    found = check("gpu", lambda: resolve_device(config.device).type)
    if found.text == "cpu":
        found = Finding("gpu", "torch finds no GPU, or device=cpu is set", is_problem=True)
    if found.is_problem:
        return [found]
    device = resolve_device(config.device)
    skeleton, num_train = look_into(config.data)
    rehearsal = Rehearsal(config, skeleton, device, num_train=num_train)
    return compare_modes(rehearsal.without_dropout())


def compare_modes(rehearsal: Rehearsal) -> list[Finding]:
    """Return a finding for each mode: how fast its steps are, and how near to eager ones."""
    done: list[Steps] = []

    @memory_advice(f"lower data.batch_size ({rehearsal.config.data.batch_size})")
    def do_eager() -> str:
        done.append(rehearsal.do_steps("eager", NUM_STEPS))
        return _describe(done[0])

    findings = [check("eager", do_eager)]
    for eager in done:
        release_memory()
        findings.append(check("graphed", partial(_compare, rehearsal, eager)))
    return findings


def _compare(rehearsal: Rehearsal, eager: Steps) -> str:
    steps = rehearsal.try_steps("graphed", NUM_STEPS)
    difference = check_agreement(steps, eager, rehearsal.config.precision)
    return f"{_describe(steps)}, {' and '.join(COMPARED)} within {difference:.0e} of eager"


def _describe(steps: Steps) -> str:
    # The step after the last warm-up is the one that is captured.
    first = WARM_UP + 1
    pace = statistics.median(steps.seconds[first:])
    memory = "" if steps.memory_gb is None else f", {steps.memory_gb:.2f} GB"
    return f"{1000 * pace:.1f} ms a step{memory}, ready after {sum(steps.seconds[:first]):.1f} s"
