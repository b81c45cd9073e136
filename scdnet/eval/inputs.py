"""The way of a checkpoint or baseline to the evaluations: encoder, sequences and features."""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from scdnet.config import Config
from scdnet.data.clips import Clips, RankInfo, load_clips
from scdnet.data.store import COORDINATES
from scdnet.engine.build import open_clips
from scdnet.engine.device import disable_malloc_trim
from scdnet.engine.distributed import run_on_main
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.eval.feature_file import FeatureFileError, read_features, write_features
from scdnet.eval.feature_table import FeatureTable, LazyFeatures, StoreTable, read_store_table
from scdnet.eval.features import (
    encode,
    extract_features,
    extraction_settings,
    load_encoder_or_baseline,
    raw_settings,
)
from scdnet.eval.raw_pca import NUM_BODIES, NUM_FRAMES, SETTINGS, extract_raw_pca
from scdnet.results.record import FINAL_LEVEL, RAW_PCA, Baseline, EncoderRecord
from scdnet.streams import ALL_STREAMS

# The directory in runs_dir of what all runs can use; no run can have this name.
CACHE = ".cache"


class Inputs(NamedTuple):
    """An encoder or baseline, and the sequences on which it is evaluated."""

    # None: raw-pca, which has none.
    encoder: nn.Module | None
    record: EncoderRecord
    store: StoreTable
    # Reads the frames when it is first called.
    load_clips: Callable[[], Clips]
    # The values of the config that the features depend on.
    settings: dict[str, Any]
    # Computes the features (N, D) of all sequences; several ranks share the work.
    compute: Callable[[], Tensor]

    def extract(self) -> FeatureTable:
        """Extract the features of all sequences; several ranks share the work."""
        return FeatureTable(
            **vars(self.store), x=self.compute(), encoder=self.record, settings=self.settings
        )

    def extract_lazily(self) -> LazyFeatures:
        """Return features that are extracted when they are first used, but for their width."""
        compute = cache(self.compute)
        width = compute().shape[1] if self.encoder is None else self._measure_width(self.encoder)
        return LazyFeatures(
            **vars(self.store),
            encoder=self.record,
            settings=self.settings,
            width=width,
            compute=compute,
        )

    def _measure_width(self, encoder: nn.Module) -> int:
        shape = (self.settings["num_frames"], self.store.skeleton.num_joints)
        clip = torch.zeros(1, COORDINATES, *shape, self.settings["num_bodies"])
        device = next((parameter.device for parameter in encoder.parameters()), clip.device)
        return encode(encoder.eval(), clip.to(device)).shape[1]


def build_inputs(
    sources: Sequence[Path | Baseline],
    config: Config,
    device: torch.device,
    ranks: RankInfo,
    *,
    beside: Sequence[Baseline] = (),
) -> Iterator[Inputs]:
    """Build the inputs for each checkpoint or baseline; they share the sequences of one store.

    After them come those of the baselines `beside` a level of an encoder; raw and raw-pca, which
    have no levels, are then as they are.
    """
    (path,) = config.data.stores
    store = read_store_table(path)
    settings = extraction_settings(config)

    @cache
    def load_own_clips() -> Clips:
        clips = open_clips(config.data, config.stream, device, ranks=ranks)
        log(clips.cache_summary)
        disable_malloc_trim()
        return clips

    whole = config.model_copy(update={"feature_level": FINAL_LEVEL})
    configs = [config] * len(sources)
    configs += [config if baseline == "random-init" else whole for baseline in beside]
    for source, own in zip((*sources, *beside), configs, strict=True):
        if source == RAW_PCA:
            yield _raw_pca_inputs(own, store)
            continue
        encoder, record = load_encoder_or_baseline(source, own, store.skeleton)

        def compute(encoder: nn.Module = encoder) -> Tensor:
            return extract_features(encoder, load_own_clips(), settings["precision"]).x

        own_settings = raw_settings(own) if source == "raw" else settings
        yield Inputs(encoder, record, store, load_own_clips, own_settings, compute)


def _raw_pca_inputs(config: Config, store: StoreTable) -> Inputs:
    """Build the inputs of raw-pca, whose features the first rank computes, or reads from a file.

    Raises ScdnetError if the config asks for a level of the encoder.
    """
    if config.feature_level != FINAL_LEVEL:
        raise ScdnetError(
            f"feature_level={config.feature_level}: raw-pca has no levels; "
            "expected a checkpoint or --baseline random-init"
        )
    (benchmark,) = config.data.benchmarks
    record = EncoderRecord(
        baseline=RAW_PCA,
        feature_level=FINAL_LEVEL,
        checkpoint=None,
        checkpoint_sha256=None,
        stream=ALL_STREAMS,
        seed=None,
        epoch=None,
    )
    # Features that were fitted to another training split are of another kind.
    settings = {**SETTINGS, "benchmark": benchmark, "fitted_to": store.store_sha256}
    # Other values of the config concern how an encoder is fed.
    views = {"num_frames": NUM_FRAMES, "num_bodies": NUM_BODIES}
    data = config.data.model_copy(update={**views, "cache": "auto", "cache_dtype": "float32"})

    @cache
    def load_joints() -> Clips:
        return load_clips(data, "joint", torch.device("cpu"))

    path = config.runs_dir / CACHE / f"{RAW_PCA}_{store.store_sha256[:12]}_{benchmark}.h5"

    def compute() -> Tensor:
        return run_on_main(lambda: _cached_features(path, inputs, load_joints))

    inputs = Inputs(None, record, store, load_joints, settings, compute)
    return inputs


def _cached_features(path: Path, inputs: Inputs, load_joints: Callable[[], Clips]) -> Tensor:
    """Return the features of raw-pca from the file at `path`; if it has others, replace it."""
    if path.is_file():
        try:
            table = read_features(path)
            check_origin(path, table, inputs)
            return table.x
        except FeatureFileError as error:
            log(f"warning: {error}; computed again")
    x = extract_raw_pca(load_joints())
    table = FeatureTable(**vars(inputs.store), x=x, encoder=inputs.record, settings=inputs.settings)
    # Several processes may compute the same features at a time.
    own = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        write_features(own, table)
        own.replace(path)
    except (OSError, ScdnetError) as error:
        log(f"warning: {path}: cannot keep the features of {RAW_PCA} ({error})")
    return x


def check_origin(path: Path, table: FeatureTable, inputs: Inputs) -> None:
    """Raise FeatureFileError unless the features of a file are those of `inputs`."""
    own = {"store_sha256": table.store_sha256, **table.encoder.identity, **table.settings}
    store_sha256 = inputs.store.store_sha256
    expected = {"store_sha256": store_sha256, **inputs.record.identity, **inputs.settings}
    for key, value in expected.items():
        if own.get(key) != value:
            raise FeatureFileError(
                f"{path}: its {key} is {own.get(key)}, expected {value}; "
                "recreate it with `scdnet extract`"
            )
