"""The demo's recordings: which there are, how they are called, what is in them."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.raw.datasets import NTU60_TRAIN_SUBJECTS
from scdnet.raw.skeleton_file import Body, format_skeleton
from scdnet.synthetic.actions import ACTIONS
from scdnet.synthetic.motion import Performance, perform
from scdnet.synthetic.people import Style, sample_style
from scdnet.synthetic.sensor import choose_window, place_camera, record, view

_TEST_SUBJECTS = tuple(number for number in range(1, 41) if number not in NTU60_TRAIN_SUBJECTS)
# In turn from the two sides of NTU-60's x-sub, so that any number of subjects is halved
SUBJECTS = tuple(
    number for pair in zip(NTU60_TRAIN_SUBJECTS, _TEST_SUBJECTS, strict=True) for number in pair
)

SETUPS = (
    3,
    4,
    5,
    7,
    9,
    10,
    12,
    13,
    14,
    15,
    16,
    17,
)  # those whose names here are on no list of missing recordings
LEFT_HANDED_CHANCE = 0.65  # on x-sub's test side; all others are right-handed, as in UI-PRMD


@dataclass(frozen=True)
class DemoPlan:
    """The size of a demo data set. Every number in it says what it says in the file names."""

    subjects: int = 8
    cameras: int = 3
    setups: int = 2
    replications: int = 2  # in each setup
    seed: int = 0
    ideal: bool = False  # sensors without error that record the action, once or twice, and nothing else: to look at

    def takes(self) -> Iterator["Take"]:
        """All performances."""
        people, setups = SUBJECTS[: self.subjects], SETUPS[: self.setups]
        for setup, subject, replication, action in product(
            setups, people, range(1, self.replications + 1), ACTIONS
        ):
            yield Take(setup, subject, replication, action)


class Take(NamedTuple):
    """One performance, as NTU RGB+D numbers it."""

    setup: int
    subject: int
    replication: int
    action: int

    def file_name(self, camera: int) -> str:
        """What the recording of one camera is called."""
        setup, subject, replication, action = self
        return f"S{setup:03d}C{camera:03d}P{subject:03d}R{replication:03d}A{action:03d}.skeleton"


def stage(take: Take, plan: DemoPlan) -> Performance:
    """What happens in `take`; the subject acts, the next one is the second person where it takes two."""
    action = ACTIONS[take.action]
    if plan.ideal:
        action = replace(action, repeats=(1, min(2, action.repeats[1])))
    people = SUBJECTS[: plan.subjects]
    first = people.index(take.subject)
    cast = [people[(first + 2 * person) % len(people)] for person in range(action.num_bodies)]
    styles = tuple(_style(subject, plan) for subject in cast)
    return perform(action, styles, np.random.default_rng([plan.seed, *take]))


def _style(subject: int, plan: DemoPlan) -> Style:
    """The manner of a subject, the same in all takes."""
    chance = 0.0 if subject in NTU60_TRAIN_SUBJECTS else LEFT_HANDED_CHANCE
    return sample_style(np.random.default_rng([plan.seed, subject]), left_handed_chance=chance)


def film(performance: Performance, take: Take, plan: DemoPlan, *, number: int) -> list[list[Body]]:
    """What camera `number` lists, frame by frame, of the performance of `take`."""
    camera = place_camera(number, num_cameras=plan.cameras, setup=take.setup)
    if plan.ideal:
        seen = view(performance.joints[slice(*performance.action)], camera)
        return [[Body(m, joints) for m, joints in enumerate(frame)] for frame in seen]
    rng = np.random.default_rng([plan.seed, *take, number])
    window = choose_window(performance, ACTIONS[take.action].cut, rng)
    return record(view(performance.joints[window], camera), rng)


def write_take(folder: Path, take: Take, plan: DemoPlan) -> int:
    """Write what each camera records of `take`; returns the number of files.

    All randomness comes from the seed and the numbers of the take, so neither order nor company of the takes matters.
    """
    performance = stage(take, plan)
    for number in range(1, plan.cameras + 1):
        frames = film(performance, take, plan, number=number)
        (folder / take.file_name(number)).write_text(format_skeleton(frames))
    return plan.cameras
