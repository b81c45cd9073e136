"""The evaluation protocols: each computes, records its numbers in results.jsonl and keeps its scores."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from scdnet.config import Config
from scdnet.data.clips import Clips
from scdnet.data.store import open_sequences
from scdnet.engine.device import derive_seed, resolve_device, set_precision
from scdnet.engine.distributed import require_single_process
from scdnet.errors import ScdnetError
from scdnet.eval.feature_table import FeatureTable, cross_dataset_gallery
from scdnet.eval.features import (
    FINAL_LEVEL,
    RAW,
    Source,
    extraction_settings,
    load_all_clips,
    load_encoder_or_baseline,
)
from scdnet.eval.finetune import finetune, sample_labelled
from scdnet.eval.knn import retrieve
from scdnet.eval.linear import linear_probe
from scdnet.files import file_sha256
from scdnet.models.encoder import DualPathEncoder
from scdnet.results.evaluation_files import RunFolder
from scdnet.results.results_file import Evaluation, describe_evaluation
from scdnet.results.scores import Scores, topk_metrics

Compute = Callable[[], tuple[dict[str, float], Tensor]]  # metrics and scores (n, classes)
BEST = "top1_best_on_test"  # metric: of the best epoch, which the test split has chosen; stands beside that of the last


class StoreFacts(NamedTuple):
    """What is recorded of the store that was evaluated on."""

    dataset: str
    num_test: int
    sha256: str


class Evaluator:
    """Runs protocols for one config; `typed` is how the user named it. Results go to the folder of the run."""

    def __init__(self, config: Config, typed: str, *, skip: bool = False) -> None:
        self.config, self.typed = config, typed
        self.skip = skip  # what the folder has already
        self.device = resolve_device(config.device)
        self._folder = RunFolder(config.run_dir)

    def knn(self, table: FeatureTable, other: FeatureTable | None = None) -> dict[str, float]:
        """kNN retrieval: test split against training split, or against all sequences of another data set."""
        rows = table.rows(self.config.data.benchmark, train=False)
        if other is None:
            gallery, more = table.features(table.rows(self.config.data.benchmark, train=True)), {}
        else:
            gallery, rows = cross_dataset_gallery(other, table, rows)
            more = {"gallery": Path(other.store).stem, "gallery_sha256": other.store_sha256}

        def compute() -> tuple[dict[str, float], Tensor]:
            num_classes = len(table.class_names)
            return retrieve(
                gallery, table.features(rows), num_classes=num_classes, device=self.device
            )

        tag = f"knn_from_{more['gallery']}" if more else "knn"
        return self._run_on_features("knn", tag, table, rows, compute, {}, **more)

    def linear(self, table: FeatureTable) -> dict[str, float]:
        """The linear probe on the frozen features."""
        train, test = (
            table.rows(self.config.data.benchmark, train=train) for train in (True, False)
        )

        def compute() -> tuple[dict[str, float], Tensor]:
            probe = linear_probe(
                table.features(train),
                table.features(test),
                self.config.linear,
                num_classes=len(table.class_names),
                seed=self.config.seed,
                device=self.device,
            )
            best = {} if probe.best_top1 is None else {BEST: probe.best_top1}
            return topk_metrics(probe.scores, table.label[test]) | best, probe.scores

        probe = self.config.linear.probe
        tag = "linear" if probe == "sgd" else f"linear_{probe}"
        more = {"probe": probe, "eval_seed": self.config.seed}
        values = {"linear": self.config.linear.model_dump(mode="json", exclude_defaults=True)}
        return self._run_on_features("linear", tag, table, test, compute, values, **more)

    def finetune(self, checkpoint: str, *, label_fraction: float) -> dict[str, dict[str, float]]:
        """Fine-tuning with all labels, or `finetune.num_subsets` times with a share of them; metrics by protocol and draw."""
        require_single_process("fine-tuning")
        if checkpoint == RAW:
            raise ScdnetError(
                "--checkpoint raw has no weights to fine-tune; give a checkpoint, or none"
            )
        if self.config.feature_level != FINAL_LEVEL:
            raise ScdnetError(
                f"feature_level={self.config.feature_level}: only knn and linear look at a level"
            )
        num_draws = self.config.finetune.num_subsets if label_fraction < 1 else 1
        encoder, source = load_encoder_or_baseline(checkpoint, self.config)
        return dict(
            self._finetune_once(encoder, source, label_fraction, draw) for draw in range(num_draws)
        )

    def _finetune_once(
        self, encoder: DualPathEncoder, source: Source, fraction: float, draw: int
    ) -> tuple[str, dict[str, float]]:
        if fraction < 1:
            protocol, tag = "semi", f"semi_{fraction:g}_draw{draw}"
            more = {"label_fraction": fraction, "draw": draw}
        else:
            protocol = tag = (
                "finetune"
                if source.pretrained_on in (None, self.config.data.store.stem)
                else "transfer"
            )
            more = {}
        own_values = {"mode": "json", "exclude_defaults": True}
        values = {
            "finetune": self.config.finetune.model_dump(
                **own_values, exclude={"label_fraction", "num_subsets"}
            ),
            "views": self.config.data.views.model_dump(**own_values),
            "dropout": self.config.model.dropout,
        }
        more |= {
            "eval_seed": self.config.seed,
            "settings": hash_of(extraction_settings(self.config), values),
        }
        about, tag = self._about(protocol, self.store, source, **more), _tag_of(tag, source)
        metrics = self._recorded(tag, about)
        if not metrics:
            clips, seed = self._clips, derive_seed(self.config.seed, draw)
            train, test = clips.split(train=True), clips.split(train=False)
            labelled = (
                train[sample_labelled(clips.label[train], fraction, seed)]
                if fraction < 1
                else train
            )
            result = finetune(copy.deepcopy(encoder), clips, labelled, self.config, seed=seed)
            metrics = topk_metrics(result.scores, clips.label[test]) | {BEST: result.best_top1}
            scores = self._scores(result.scores, clips, test, about)
            self._folder.keep(tag, scores, metrics, labelled=clips.name[labelled.numpy()])
        return tag, metrics

    @cached_property
    def store(self) -> StoreFacts:
        """What is recorded of the store; its frames are not read."""
        path = self.config.data.store
        with open_sequences(path) as store:
            num_test = int((~store.is_train(self.config.data.benchmark)).sum())
            return StoreFacts(store.dataset, num_test, file_sha256(path))

    @cached_property
    def _clips(self) -> Clips:
        return load_all_clips(self.config)

    def _run_on_features(
        self,
        protocol: str,
        tag: str,
        table: FeatureTable,
        rows: Tensor,
        compute: Compute,
        values: Mapping[str, Any],
        **more: object,
    ) -> dict[str, float]:
        """Metrics and scores of the test sequences `rows`, unless they are recorded already.

        `values` of the config are those, besides `table.extraction_settings`, that the numbers depend on.
        """
        facts = StoreFacts(table.dataset, len(rows), table.store_sha256)
        more["settings"] = hash_of(table.extraction_settings, values)
        if table.level != FINAL_LEVEL:
            tag, more["feature_level"] = f"{tag}_level{table.level}", table.level
        about = self._about(protocol, facts, table.source, **more)
        tag = _tag_of(tag, table.source)
        metrics = self._recorded(tag, about)
        if not metrics:
            set_precision("fp32", self.device)  # fine-tuning before it may have left another
            metrics, scores = compute()
            self._folder.keep(tag, self._scores(scores, table, rows, about), metrics)
        return metrics

    def _about(
        self, protocol: str, store: StoreFacts, source: Source, **more: object
    ) -> dict[str, Any]:
        more |= {"num_test": store.num_test, "store_sha256": store.sha256}
        return describe_evaluation(
            self.config,
            protocol=protocol,
            dataset=store.dataset,
            source=source,
            typed=self.typed,
            **more,
        )

    def _recorded(self, tag: str, about: Evaluation) -> dict[str, float]:
        return self._folder.recorded(tag, about) if self.skip else {}

    def _scores(
        self, scores: Tensor, of: FeatureTable | Clips, rows: Tensor, about: Evaluation
    ) -> Scores:
        """The scores (n, classes) of the test sequences `rows` (n,)."""
        known = (self.config.data.benchmark, of.class_names, of.dataset, of.stream, about)
        return Scores(scores.numpy(), of.name[rows], of.label[rows].numpy(), *known)


def hash_of(of_features: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """A short hash of what features were made with, where it is no default, and of other values of a config.

    So a key that is added to the config later changes no hash. The stream is left out: it has a key of its own wherever
    this is recorded.
    """
    default = extraction_settings(Config())
    values = {
        key: x
        for key, x in of_features.items()
        if key != "stream" and (key, x) not in default.items()
    }
    return hashlib.sha256(json.dumps({**values, **others}, sort_keys=True).encode()).hexdigest()[
        :12
    ]


def _tag_of(protocol: str, source: Source) -> str:
    """What the files of an evaluation are called; those of a control never take the place of an encoder's."""
    return f"{protocol}_{source.checkpoint}" if source.sha256 is None else protocol
