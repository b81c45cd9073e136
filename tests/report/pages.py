"""A small report to look at in a browser, and what it should show, computed with numpy."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from scdnet.commands import report
from scdnet.data.store import SkeletonSequence
from scdnet.data.store_writer import StoreWriter
from scdnet.engine.train.pretrain import pretrain
from scdnet.raw.normalize import normalize
from scdnet.skeletons import NTU_25
from scdnet.synthetic.dataset import SUBJECTS, DemoPlan, Take, perform_take, write_take
from tests.conftest import make_small_config

# Classes by the action that people perform; two people perform the last one.
CLASS_NAMES = {
    1: "drink water",
    7: "throw",
    9: "</script><b>stand up",
    23: "hand waving",
    26: "hopping & 'jumping'",
    50: "punch",
}
PLAN = DemoPlan(subjects=4, replications=2, ideal=True)
HOSTILE_NAMES = {
    (1, 1): '"><img src=x onerror=alert(1)>',
    (2, 9): "</script><b>the bold",
    (1, 50): "<!-- <script>",
}
OWN_RECORDING = "<b>mine<b>.skeleton"


class Report(NamedTuple):
    """A page and the files of which it is made."""

    page: Path
    store: Path
    features: Path


def write_report(directory: Path) -> Report:
    """Train two small runs on synthetic people, the second of which fails, and write their page."""
    store = write_people(directory / "people.h5")
    config = make_small_config(store, directory / "runs")
    runs = [config.run_dir, config.run_dir.with_name("broken")]
    pretrain(config)
    shutil.copytree(*runs)
    write_failures(runs[1] / "metrics.jsonl")
    take = Take(3, SUBJECTS[0], 1, 7)
    write_take(directory, take, PLAN._replace(cameras=1, replications=1))
    own = (directory / take.file_name(1)).rename(directory / OWN_RECORDING)
    page = directory / "report <b>.html"
    report.main([*map(str, runs), "--out", str(page), "--query", str(own)])
    return Report(page, store, runs[0] / "features.h5")


def write_people(path: Path) -> Path:
    """Write a store of four people, two of whom train, who perform six actions twice."""
    people = sorted(
        (name_of(take), take, perform_take(take, PLAN))
        for take in PLAN.takes()
        if take.action in CLASS_NAMES
    )
    with StoreWriter(
        path,
        skeleton=NTU_25,
        dataset="people <b>",
        class_names=tuple(CLASS_NAMES.values()),
        created_by="a test",
    ) as writer:
        for name, take, performance in people:
            # The sensor of a recording has y up, and so has a room.
            joints = performance.joints[slice(*performance.action)].swapaxes(0, 1)
            label = list(CLASS_NAMES).index(take.action)
            frames = normalize(joints, NTU_25)
            numbers = (label, take.subject, 1, take.setup, take.replication)
            writer.append(SkeletonSequence(frames, name, *numbers))
        # Of neighbors in SUBJECTS, one is on each side.
        writer.finish({"xsub": np.isin(writer.table().subject, SUBJECTS[0:4:2])})
    return path


def name_of(take: Take) -> str:
    """Return the name of a sequence; some would be markup."""
    plain = take.file_name(1).removesuffix(".skeleton")
    return plain + HOSTILE_NAMES.get((take.replication, take.action), "")


def write_failures(path: Path) -> None:
    """Change the lines of a metrics.jsonl: the run collapses, and then its loss is NaN."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    first, last = lines[0], lines[-1]
    collapsed = {key: 1e-6 for key in first if key.startswith("feature_std/")}
    assert collapsed
    broken = {**last, "loss": float("nan")}
    path.write_text("".join(json.dumps(line) + "\n" for line in ({**first, **collapsed}, broken)))


class Expected(NamedTuple):
    """What the page of a report should show, computed from its features file."""

    name: np.ndarray  # (N,) str, all sequences
    label: np.ndarray  # (N,)
    class_names: list[str]
    # Rows of the test sequences and of the training sequences.
    queries: np.ndarray  # (q,)
    gallery: np.ndarray  # (g,)
    cosine: np.ndarray  # (q, g)

    @property
    def nearest(self) -> np.ndarray:
        """Return the row of the nearest training sequence of each query, (q,)."""
        return self.gallery[self.cosine.argmax(axis=1)]

    @property
    def is_right(self) -> np.ndarray:
        """Return whether the nearest neighbor has the class of the query, (q,) bool."""
        return self.label[self.nearest] == self.label[self.queries]

    @property
    def hardness(self) -> np.ndarray:
        """Return the cosine of the nearest of another class minus that of the own one, (q,)."""
        is_own = self.label[self.gallery] == self.label[self.queries, None]
        return np.where(is_own, -1, self.cosine).max(axis=1) - np.where(
            is_own, self.cosine, -1
        ).max(axis=1)

    def names_of(self, is_shown: np.ndarray) -> set[str]:
        """Return the names of the queries for which `is_shown` (q,) is true."""
        return set(self.name[self.queries[is_shown]])


def read_expected(features: Path) -> Expected:
    """Compute what a page should show from a features file."""
    with h5py.File(features) as file:
        x = file["features"][:].astype(float)
        label = file["label"][:]
        name = np.array(file["name"].asstr()[:], dtype=str)
        class_names = list(file.attrs["class_names"])
        is_train = file["split/xsub"][:]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosine = x[~is_train] @ x[is_train].T
    queries, gallery = np.flatnonzero(~is_train), np.flatnonzero(is_train)
    return Expected(name, label, class_names, queries, gallery, cosine)
