"""The runs of a report: their configs, features, and how they and the baselines do."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from scdnet.commands.evaluate import read_or_extract
from scdnet.commands.evaluation import require_one_store
from scdnet.config import Config
from scdnet.config_file import load_config
from scdnet.data.clips import SINGLE_PROCESS
from scdnet.engine.build import build_objective
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.logs import log
from scdnet.engine.run.directory import CONFIG
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import FeatureFileError
from scdnet.eval.feature_table import FeatureTable, LazyFeatures
from scdnet.eval.inputs import CACHE, Inputs, build_inputs
from scdnet.eval.protocols import Context, evaluate_knn
from scdnet.losses import chance_loss
from scdnet.report.curves import RunCurves, read_metrics
from scdnet.results.record import BASELINES
from scdnet.results.results_file import RESULTS
from scdnet.results.scores import read_scores

CHECKPOINT = "last.pt"
FEATURES = "features.h5"
# The names of the keys of queues among the weights of a checkpoint.
QUEUE = r"queues\.\w+\.keys"


class Run(NamedTuple):
    """A run directory and its config, with the store and the directory where they are now."""

    path: Path
    config: Config

    @property
    def checkpoint(self) -> Path:
        """Return the path of the last checkpoint."""
        return self.path / CHECKPOINT

    @property
    def features(self) -> Path:
        """Return the path of the features file, which is made if it is missing."""
        return self.path / FEATURES

    @property
    def outputs(self) -> list[Path]:
        """Return the files of the run that a report adds to or makes."""
        made = [] if self.features.exists() else [self.features]
        return [*made, self.path / RESULTS]


class Evaluated(NamedTuple):
    """The kNN retrieval of an encoder or baseline on the test split."""

    metrics: dict[str, float]
    # Whether the nearest neighbor of each test sequence is of its class.
    hits: np.ndarray  # (n,) bool


class EvaluatedRun(NamedTuple):
    """The features of a run's checkpoint, and the retrieval by them and by the baselines."""

    table: FeatureTable
    # The number of weights of the encoder.
    num_weights: int
    curves: RunCurves
    own: Evaluated
    # The keys are the names of baselines in tables.
    baselines: dict[str, Evaluated]


def read_run(path: Path, overrides: Sequence[str]) -> Run:
    """Read the config of a run directory. Raises ScdnetError if it is none or has no checkpoint."""
    for name, cure in ((CONFIG, "give runs/<name>"), (CHECKPOINT, "train it first")):
        if not (path / name).is_file():
            raise ScdnetError(f"{path}: expected a run directory with {name}; {cure}")
    # The directory may have been moved since the training.
    here = [f"runs_dir={path.resolve().parent}", f"name={path.resolve().name}"]
    config = load_config(path / CONFIG, [*overrides, *here])
    require_one_store(config, "a report")
    return Run(path, config.model_copy(update={"protocols": ("knn",)}))


def evaluate(inputs: Inputs, table: FeatureTable | LazyFeatures, context: Context) -> Evaluated:
    """Evaluate by kNN retrieval, unless the run directory contains the result."""
    metrics = evaluate_knn(table, context)
    rows = context.test_rows(table)
    record = context.record("knn", inputs.record, table, rows, table.settings)
    scores = read_scores(context.run_dir / f"scores_{record.tag}.npz")
    return Evaluated(metrics, scores.scores.argmax(axis=1) == scores.label)


def evaluate_run(run: Run, overrides: Sequence[str], device: torch.device) -> EvaluatedRun:
    """Extract the features of a run's checkpoint, and evaluate them and the baselines.

    A baseline that cannot be evaluated is left out, with a warning.
    """
    context = Context(
        benchmark=run.config.data.benchmarks[0],
        seed=run.config.seed,
        device=device,
        config=" ".join([str(run.path / CONFIG), *overrides]),
        run_dir=run.config.run_dir,
        skip=True,
        cache=run.config.runs_dir / CACHE,
    )
    all_inputs = build_inputs(
        [run.checkpoint], run.config, device, SINGLE_PROCESS, beside=tuple(BASELINES)
    )
    own = next(all_inputs)
    assert own.encoder is not None
    num_weights = sum(weight.numel() for weight in own.encoder.parameters())
    table = read_current_features(run.features, own)
    evaluated = evaluate(own, table, context)
    baselines = {}
    for inputs in all_inputs:
        baseline = inputs.record.baseline
        assert baseline is not None
        try:
            found = evaluate(inputs, inputs.extract_lazily(), context)
        except ScdnetError as error:
            context.warn(f"the baseline {baseline} is left out: {error}")
            continue
        baselines[BASELINES[baseline]] = found
    return EvaluatedRun(table, num_weights, read_curves(run), evaluated, baselines)


def read_curves(run: Run) -> RunCurves:
    """Read the metrics of a training and what its loss would be at chance level."""
    state = read_checkpoint(run.checkpoint).state
    queues = [value for name, value in state["model"].items() if re.fullmatch(QUEUE, name)]
    config = run.config
    pairs = build_objective(config.objective, config.scd, config.hdc).pairs
    return RunCurves(
        name=str(run.path),
        lines=read_metrics(run.path),
        chance=chance_loss(len(pairs), len(queues[0])),
    )


def read_current_features(path: Path, inputs: Inputs) -> FeatureTable:
    """Return the features of `inputs` from the file at `path`, which is made if it is missing.

    A file of an earlier checkpoint is left as it is, with a warning.
    """
    try:
        return read_or_extract(path, inputs)
    except FeatureFileError as error:
        log(f"warning: {error}; extracted again for this report, the file is left as it is")
        return inputs.extract()


def check_comparable(runs: Sequence[Run], evaluated: Sequence[EvaluatedRun]) -> None:
    """Raise ScdnetError unless all runs are evaluated on the same test sequences."""
    for run, one in zip(runs[1:], evaluated[1:], strict=True):
        first = runs[0]
        for what, found, expected in (
            ("benchmark", run.config.data.benchmarks, first.config.data.benchmarks),
            ("store", one.table.store_sha256, evaluated[0].table.store_sha256),
        ):
            if found != expected:
                raise ScdnetError(
                    f"{run.path}: its {what} is not that of {first.path}; "
                    "runs in one report need the same test sequences"
                )


def common_baselines(runs: Sequence[EvaluatedRun]) -> dict[str, list[Evaluated]]:
    """Return the evaluations of the baselines that all runs have, one for each run, by name."""
    return {
        name: [run.baselines[name] for run in runs]
        for name in BASELINES.values()
        if all(name in run.baselines for run in runs)
    }
