"""Evaluate the runs of a report, and the baselines beside them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from scdnet.commands.evaluate import read_or_extract
from scdnet.commands.evaluation import require_one_store
from scdnet.config import Config
from scdnet.config_file import changed_keys, dump_config, load_config
from scdnet.data.clips import SINGLE_PROCESS
from scdnet.engine.build import build_objective
from scdnet.engine.checkpoint import read_checkpoint
from scdnet.engine.logs import log
from scdnet.engine.run.checkpoints import LAST
from scdnet.engine.run.directory import CONFIG, FREE_TO_CHANGE
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import FeatureFileError
from scdnet.eval.feature_table import FeatureTable, LazyFeatures
from scdnet.eval.inputs import CACHE, Inputs, build_inputs
from scdnet.eval.protocols import Context, evaluate_knn
from scdnet.losses import chance_loss
from scdnet.report.curves import RunCurves, read_metrics
from scdnet.results.record import BASELINES
from scdnet.results.results_file import RESULTS, scores_path
from scdnet.results.scores import read_scores

FEATURES = "features.h5"
# The names of the keys of queues among the weights of a checkpoint.
QUEUE = r"queues\.\w+\.keys"


class Run(NamedTuple):
    """Directory of a run, and its config with the paths where things are now."""

    path: Path
    config: Config

    @property
    def checkpoint(self) -> Path:
        """Return the path of the last checkpoint."""
        return self.path / LAST

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
    """Results of the kNN retrieval of the test split by an encoder or baseline."""

    metrics: dict[str, float]
    # Whether the nearest neighbor of each test sequence is of its class.
    hits: np.ndarray  # (n,) bool


class EvaluatedRun(NamedTuple):
    """Results of a run's checkpoint and of the baselines beside it."""

    store_sha256: str
    # The number of weights of the encoder.
    num_weights: int
    curves: RunCurves
    own: Evaluated
    # The keys are the names of baselines in tables.
    baselines: dict[str, Evaluated]


def read_run(path: Path, overrides: Sequence[str]) -> Run:
    """Read the config of a run directory.

    Raises ScdnetError if it is not a run directory or has no checkpoint.
    """
    for name, cure in (
        (CONFIG, "give runs/<name> of scdnet train"),
        (LAST, "the training has saved no checkpoint yet"),
    ):
        if not (path / name).is_file():
            raise ScdnetError(f"{path}: expected a run directory with {name}; {cure}")
    config = load_config(path / CONFIG, overrides)
    require_one_store(config, "a report")
    # The directory may have been moved since the training.
    here = path.resolve()
    changes = {"runs_dir": here.parent, "name": here.name, "protocols": ("knn",)}
    return Run(path, config.model_copy(update=changes))


def evaluate(inputs: Inputs, table: FeatureTable | LazyFeatures, context: Context) -> Evaluated:
    """Evaluate by kNN retrieval, unless the run directory contains the result."""
    metrics = evaluate_knn(table, context)
    rows = context.test_rows(table)
    record = context.record("knn", inputs.record, table, rows, table.settings)
    scores = read_scores(scores_path(context.run_dir, record.tag))
    return Evaluated(metrics, scores.scores.argmax(axis=1) == scores.label)


def evaluate_run(
    run: Run, overrides: Sequence[str], device: torch.device
) -> tuple[FeatureTable, EvaluatedRun]:
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
    return table, EvaluatedRun(
        table.store_sha256, num_weights, read_curves(run), evaluated, baselines
    )


def read_curves(run: Run) -> RunCurves:
    """Read the metrics of a training and what its loss would be at chance level."""
    state = read_checkpoint(run.checkpoint).state
    queues = [value for name, value in state["model"].items() if re.fullmatch(QUEUE, name)]
    config = run.config
    objective = build_objective(config)
    chance = None
    if objective.latent is None:
        chance = chance_loss(len(objective.pairs), len(queues[0]))
    return RunCurves(name=str(run.path), lines=read_metrics(run.path), chance=chance)


def read_current_features(path: Path, inputs: Inputs) -> FeatureTable:
    """Return the features of `inputs` from the file at `path`, which is made if it is missing.

    A file of an earlier checkpoint is left as it is, with a warning.
    """
    try:
        return read_or_extract(path, inputs)
    except FeatureFileError as error:
        log(f"warning: {error}; extracted again for this report, the file is left as it is")
        return inputs.extract()


def check_distinct(runs: Sequence[Run]) -> None:
    """Raise ScdnetError if a run is given twice, or if runs are of different benchmarks."""
    first = runs[0]
    for i, run in enumerate(runs):
        if run.path.resolve() in [earlier.path.resolve() for earlier in runs[:i]]:
            raise ScdnetError(f"{run.path}: given twice; give each run once")
        benchmark = run.config.data.benchmarks[0]
        if benchmark != first.config.data.benchmarks[0]:
            raise _other_test_sequences(run, first, "benchmark")


def check_same_store(runs: Sequence[Run], evaluated: Sequence[EvaluatedRun]) -> None:
    """Raise ScdnetError unless all runs are evaluated on the same store."""
    for run, one in zip(runs, evaluated, strict=True):
        if one.store_sha256 != evaluated[0].store_sha256:
            raise _other_test_sequences(run, runs[0], "store")


def _other_test_sequences(run: Run, first: Run, what: str) -> ScdnetError:
    return ScdnetError(
        f"{run.path}: uses a different {what} than {first.path}; "
        "runs in one report need the same test sequences"
    )


def are_repetitions(runs: Sequence[Run]) -> bool:
    """Check whether the configs of runs differ in nothing but their seed and what is free."""
    first = dump_config(runs[0].config)
    changed = {key for run in runs for key in changed_keys(first, dump_config(run.config))}
    # Other initial weights make another run.
    return changed <= {"seed", "name", *FREE_TO_CHANGE} - {"init"}


def common_baselines(runs: Sequence[EvaluatedRun]) -> dict[str, list[Evaluated]]:
    """Return the evaluations of the baselines that all runs have, one for each run, by name."""
    return {
        name: [run.baselines[name] for run in runs]
        for name in BASELINES.values()
        if all(name in run.baselines for run in runs)
    }
