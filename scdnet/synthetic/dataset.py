"""The recordings of the demo dataset: their number, names and content."""

from collections.abc import Iterator
from itertools import chain, product, starmap
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scdnet.files import PatientFile
from scdnet.raw.datasets import NTU60_TRAIN_SUBJECTS
from scdnet.raw.ntu import Body, format_skeleton
from scdnet.synthetic.actions import ACTIONS
from scdnet.synthetic.motion import Performance, perform
from scdnet.synthetic.people import Style, sample_manner, sample_style
from scdnet.synthetic.sensor import place_camera, sample_window, simulate_sensor, to_camera

# The two sides of NTU-60's x-sub alternate, so that x-sub halves any number of subjects.
SUBJECTS = tuple(
    chain(
        *zip(NTU60_TRAIN_SUBJECTS, sorted({*range(1, 41)} - {*NTU60_TRAIN_SUBJECTS}), strict=True)
    )
)
# None has a recording of the first twenty people on NTU-60's list of missing ones: its last
# setup is 17.
SETUPS = (3, *range(18, 29))


class Take(NamedTuple):
    """One performance, as NTU RGB+D numbers it."""

    setup: int
    subject: int
    replication: int
    action: int

    def file_name(self, camera: int) -> str:
        """Return the name of the recording of one camera."""
        setup, subject, replication, action = self
        return f"S{setup:03d}C{camera:03d}P{subject:03d}R{replication:03d}A{action:03d}.skeleton"


class DemoPlan(NamedTuple):
    """The size of a demo dataset; the file names contain the same numbers."""

    subjects: int = 20
    cameras: int = 3
    setups: int = 1
    # Takes of each action by each subject in each setup.
    replications: int = 1
    seed: int = 0
    # The sensors make no error and record one or two cycles and nothing else: good to look at.
    ideal: bool = False

    def takes(self) -> Iterator[Take]:
        """Return all performances."""
        numbers = product(
            SETUPS[: self.setups],
            SUBJECTS[: self.subjects],
            range(1, self.replications + 1),
            ACTIONS,
        )
        return starmap(Take, numbers)


def perform_take(take: Take, plan: DemoPlan) -> Performance:
    """Perform `take`; the partner, if any, is the next subject of the same x-sub side."""
    action = ACTIONS[take.action]
    if plan.ideal:
        action = action._replace(repeats=(1, min(2, action.repeats[1])))
    people = SUBJECTS[: plan.subjects]
    first = people.index(take.subject)
    cast = [people[(first + 2 * person) % len(people)] for person in range(action.num_bodies)]
    styles = [subject_style(subject, plan.seed) for subject in cast]
    manners = [
        sample_manner(np.random.default_rng([plan.seed, subject, take.action])) for subject in cast
    ]
    return perform(action, styles, manners, rng=np.random.default_rng([plan.seed, *take]))


def subject_style(subject: int, seed: int) -> Style:
    """Draw the style of a subject, which is the same in all takes."""
    # Two neighbors in SUBJECTS are on the two sides of x-sub.
    place = SUBJECTS.index(subject) // 2
    return sample_style(np.random.default_rng([seed, subject]), left_handed=place % 10 == 4)


def record_take(
    performance: Performance, take: Take, plan: DemoPlan, *, number: int
) -> list[list[Body]]:
    """Return the bodies that camera `number` lists in each frame of the performance of `take`."""
    camera = place_camera(number, num_cameras=plan.cameras, setup=take.setup)
    if plan.ideal:
        seen = to_camera(performance.joints[slice(*performance.action)], camera)
        return [[Body(m, joints) for m, joints in enumerate(frame)] for frame in seen]
    rng = np.random.default_rng([plan.seed, *take, number])
    window = sample_window(performance, ACTIONS[take.action].max_missed_fraction, rng)
    return simulate_sensor(to_camera(performance.joints[window], camera), rng)


def write_take(directory: Path, take: Take, plan: DemoPlan) -> int:
    """Write the recordings of all cameras of `take`; returns the number of files.

    All randomness comes from the seed and the numbers of the take, so neither the order nor the
    choice of the other takes matters.
    """
    performance = perform_take(take, plan)
    for number in range(1, plan.cameras + 1):
        frames = record_take(performance, take, plan, number=number)
        with PatientFile(directory / take.file_name(number)) as file:
            file.write(format_skeleton(frames).encode())
            file.check()
    return plan.cameras
