"""What an export takes: a checkpoint, its config and results, and its store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scdnet.commands.evaluation import require_one_store
from scdnet.config import Config
from scdnet.config_file import restore_config
from scdnet.data.clips import Clips
from scdnet.engine.build import open_clips
from scdnet.engine.checkpoint import Checkpoint, read_checkpoint
from scdnet.engine.device import resolve_device
from scdnet.engine.run.checkpoints import LAST
from scdnet.errors import ScdnetError
from scdnet.models.encoder import DualPathEncoder
from scdnet.results.model_card import name_stores
from scdnet.results.record import Result
from scdnet.results.results_file import RESULTS, read_results


class Source(NamedTuple):
    """A checkpoint to export, and the directory of its run."""

    checkpoint: Checkpoint
    # The config of the pretraining.
    trained: Config
    # The same with the overrides of the user, who may have moved the store.
    config: Config
    run_dir: Path

    @property
    def pretraining(self) -> dict[str, Any]:
        """Return the origin of the encoder, without paths, which are those of one machine."""
        config = self.trained
        state = self.checkpoint.state
        init = {
            "init_sha256": state["init_sha256"],
            "init_store_sha256": state["init_store_sha256"].split(),
        }
        return {
            **{key: value for key, value in init.items() if value},
            "data": name_stores(config),
            "benchmark": list(config.data.benchmarks),
            "store_sha256": state["store_sha256"].split(),
            "objective": config.objective,
            "seed": config.seed,
            "epoch": self.checkpoint.epoch,
            "checkpoint_sha256": self.checkpoint.sha256,
        }

    @property
    def results(self) -> list[Result]:
        """Return the results of this very checkpoint, and those of the baselines beside it.

        Those on test sequences that the encoder was pretrained on are left out: of a store of the
        pretraining, only its own benchmark counts, and none of one that the weights before it have
        seen, of which the benchmark is not known.
        """
        sha256 = self.checkpoint.sha256
        stores = self.checkpoint.state["store_sha256"].split()
        before = self.checkpoint.state["init_store_sha256"].split()
        trained = set(zip(stores, self.trained.data.benchmarks, strict=True))
        found = read_results(self.run_dir / RESULTS)
        own = [
            result
            for result in found
            if result.checkpoint_sha256 == sha256
            and (
                result.store_sha256 not in (*stores, *before)
                or (result.store_sha256, result.benchmark) in trained
            )
        ]
        compared = {(result.store_sha256, result.benchmark) for result in own}
        baselines = [
            result
            for result in found
            if result.baseline and (result.store_sha256, result.benchmark) in compared
        ]
        return [*own, *baselines]


def read_source(path: Path, overrides: Sequence[str]) -> Source:
    """Read the checkpoint of a run. Raises ScdnetError if it is not one of scdnet train."""
    if path.is_dir() and not (path / LAST).is_file():
        raise ScdnetError(f"{path}: expected a run directory with {LAST}; train it first")
    checkpoint = read_checkpoint(path / LAST if path.is_dir() else path)
    if checkpoint.config is None:
        raise ScdnetError(
            f"{checkpoint.path}: expected a checkpoint of scdnet train; others do not state how "
            "recordings become clips"
        )
    trained, config = (
        restore_config(checkpoint.config, own, path=checkpoint.path) for own in ((), overrides)
    )
    return Source(checkpoint, trained, config, checkpoint.path.parent)


def open_store(config: Config, encoder: DualPathEncoder) -> Clips:
    """Open the sequences that an encoder was pretrained on. Raises ScdnetError."""
    store = require_one_store(config, "--head")
    clips = open_clips(config.data, config.stream, resolve_device(config.device))
    if clips.skeleton != encoder.skeleton:
        raise ScdnetError(
            f"{store}: it has the joints of {clips.skeleton.name}, but the encoder was trained on "
            f"those of {encoder.skeleton.name}"
        )
    return clips
