"""The evaluation protocols, and the one place that runs and records them."""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from scdnet.config import FinetuneConfig, LinearConfig, ViewsConfig
from scdnet.data.clips import Clips
from scdnet.engine.device import derive_seed, set_precision
from scdnet.engine.logs import log
from scdnet.errors import ScdnetError
from scdnet.eval.feature_table import (
    FeatureTable,
    LazyFeatures,
    StoreTable,
    cross_dataset_gallery,
)
from scdnet.eval.features import Features
from scdnet.eval.finetune import finetune, sample_labeled
from scdnet.eval.inputs import Inputs
from scdnet.eval.knn import retrieve
from scdnet.eval.linear import linear_probe, resolve_probe
from scdnet.models.encoder import DualPathEncoder
from scdnet.results.record import EncoderRecord, EvaluationRecord, Protocol, hash_settings
from scdnet.results.results_file import (
    copy_evaluation,
    find_evaluation,
    share_evaluation,
    shared_dir,
    write_evaluation,
)
from scdnet.results.scores import Outcome, Scores

# Class names that a warning lists.
MAX_NAMES = 5


@dataclass(frozen=True)
class Context:
    """Settings that all evaluations of one command share."""

    benchmark: str
    seed: int
    device: torch.device
    # The name that the user gave.
    config: str
    run_dir: Path
    # Whether to skip evaluations that the run directory contains.
    skip: bool
    # The name of the store, where the config lists several.
    store: str | None = None
    # A directory from which evaluations of baselines are copied, which are the same in many runs.
    cache: Path | None = None
    # Warnings that were logged, each once.
    warnings: set[str] = field(default_factory=set)

    def warn(self, text: str) -> None:
        """Log a warning, unless the same one was logged before."""
        if text not in self.warnings:
            self.warnings.add(text)
            log(f"warning: {text}")

    def test_rows(self, store: StoreTable) -> Tensor:
        """Return the test sequences (n,) of an evaluation that learns from the training split.

        Warns of those whose class has no training sequence. Raises ScdnetError if a split is empty
        or the store has no labels.
        """
        store.require_labels()
        rows = store.rows(self.benchmark, train=False)
        known = store.label[store.rows(self.benchmark, train=True)]
        is_unknown = ~torch.isin(store.label[rows], known)
        if is_unknown.any():
            self.warn(f"{store.store}: {_describe_unknown(store, rows, is_unknown)}")
        return rows

    def record(
        self,
        protocol: Protocol,
        encoder: EncoderRecord,
        store: StoreTable,
        rows: Tensor,
        settings: Mapping[str, Any],
        **keys: Any,
    ) -> EvaluationRecord:
        """Return the record of an evaluation on the test sequences `rows` (n,)."""
        return EvaluationRecord(
            **dict(encoder),
            protocol=protocol,
            dataset=store.dataset,
            store=self.store,
            store_sha256=store.store_sha256,
            benchmark=self.benchmark,
            num_test=len(rows),
            config=self.config,
            settings=hash_settings(settings),
            **keys,
        )

    def run(
        self,
        record: EvaluationRecord,
        store: StoreTable,
        rows: Tensor,
        compute: Callable[[], Outcome],
        *,
        labeled: Sequence[str] = (),
    ) -> dict[str, float]:
        """Compute an evaluation, unless it may be skipped, and record it; return its metrics.

        `labeled` are the names of the sequences whose labels fine-tuning uses.
        """
        metrics = find_evaluation(self.run_dir, record) if self.skip else {}
        if metrics:
            log(f"{record.tag}: Already evaluated, skipping.")
            return metrics
        shared = shared_dir(self.cache, record) if self.cache and record.baseline else None
        if shared is not None:
            metrics = copy_evaluation(shared, self.run_dir, record, labeled=labeled)
        if metrics:
            log(f"{record.tag}: Already evaluated by another run, copied.")
            return metrics
        # Fine-tuning, which may have come before, can set another one.
        set_precision("fp32", self.device)
        outcome = compute()
        label = store.label[rows].numpy()
        scores = Scores(
            outcome.scores.numpy(), store.name[rows.numpy()], label, store.class_names, record
        )
        write_evaluation(self.run_dir, scores, outcome.metrics, labeled=labeled)
        if shared is not None:
            self._share(shared, scores, outcome.metrics)
        return outcome.metrics

    def _share(self, target: Path, scores: Scores, metrics: Mapping[str, float]) -> None:
        try:
            share_evaluation(target, scores, metrics)
        except (OSError, ScdnetError) as error:
            self.warn(f"{target}: cannot keep this evaluation for other runs ({error})")


def _describe_unknown(store: StoreTable, rows: Tensor, is_unknown: Tensor) -> str:
    """Describe the test sequences among `rows` (n,) that no evaluation can recognize."""
    num = int(is_unknown.sum())
    labels = store.label[rows[is_unknown]].unique().tolist()
    names = ", ".join(repr(store.class_names[label]) for label in labels[:MAX_NAMES])
    more = f" and {len(labels) - MAX_NAMES} more" if len(labels) > MAX_NAMES else ""
    return (
        f"{num} of {len(rows)} test sequences ({100 * num / len(rows):.1f} %) have a class without "
        f"training sequences and cannot be recognized: {names}{more}"
    )


def evaluate_knn(
    table: FeatureTable | LazyFeatures, context: Context, gallery: FeatureTable | None = None
) -> dict[str, float]:
    """Evaluate kNN retrieval of the test split in the training split, or in another dataset.

    In another dataset all sequences are retrieved if the benchmark has no test split.
    """
    keys = {}
    known: Features | None = None
    if gallery is None:
        rows = context.test_rows(table)
    else:
        assert isinstance(table, FeatureTable), "the commands extract the features of queries"
        queries = _gallery_queries(table, context)
        known, rows = cross_dataset_gallery(gallery, table, queries)
        if len(rows) < len(queries):
            context.warn(
                f"{table.store}: {len(queries) - len(rows)} of {len(queries)} queries "
                f"({100 - 100 * len(rows) / len(queries):.1f} %) have a class that "
                f"{gallery.store} lacks and are left out"
            )
        keys = {"gallery": Path(gallery.store).stem, "gallery_sha256": gallery.store_sha256}
    record = context.record("knn", table.encoder, table, rows, table.settings, **keys)

    def compute() -> Outcome:
        return retrieve(
            known or table.features(table.rows(context.benchmark, train=True)),
            table.features(rows),
            num_classes=len(table.class_names),
            device=context.device,
        )

    return context.run(record, table, rows, compute)


def _gallery_queries(table: FeatureTable, context: Context) -> Tensor:
    """Return the sequences (n,) to retrieve in another dataset: the test split, or all."""
    table.require_labels()
    is_train = table.is_train.get(context.benchmark)
    if table.is_train and (is_train is None or not is_train.all()):
        return table.rows(context.benchmark, train=False)
    log(f"{table.store}: no test split, so all {len(table.name)} sequences are queries")
    return torch.arange(len(table.name))


def evaluate_linear(
    table: FeatureTable | LazyFeatures, context: Context, config: LinearConfig
) -> dict[str, float]:
    """Evaluate the linear probe on frozen features; `auto` becomes the kind that fits them."""
    rows = context.test_rows(table)
    config = resolve_probe(config, table.width)
    settings = {**table.settings, "linear": config.model_dump(mode="json")}
    keys = {"probe": config.probe, "eval_seed": context.seed}
    record = context.record("linear", table.encoder, table, rows, settings, **keys)

    def compute() -> Outcome:
        return linear_probe(
            table.features(table.rows(context.benchmark, train=True)),
            table.features(rows),
            config,
            num_classes=len(table.class_names),
            seed=context.seed,
            device=context.device,
        )

    return context.run(record, table, rows, compute)


def evaluate_finetuning(
    inputs: Inputs, context: Context, config: FinetuneConfig, views: ViewsConfig
) -> dict[str, dict[str, float]]:
    """Evaluate fine-tuning with all labels, or on each of several labeled subsets.

    Returns the metrics by the tag of their record.
    """
    encoder = inputs.encoder
    assert isinstance(encoder, DualPathEncoder), "the commands refuse raw views"
    store = inputs.store
    rows = context.test_rows(store)
    # The fraction has a key of its own, and a subset does not depend on how many there are.
    section = config.model_dump(mode="json", exclude={"label_fraction", "num_subsets"})
    settings = {**inputs.settings, "finetune": section, "views": views.model_dump(mode="json")}
    settings["dropout"] = encoder.sizes.dropout
    is_semi = config.label_fraction < 1
    pretrained_sha256 = inputs.record.pretrained_sha256
    is_known = pretrained_sha256 is None or store.store_sha256 in pretrained_sha256.split()
    protocol: Protocol = "semi" if is_semi else "finetune" if is_known else "transfer"
    results = {}
    for subset in range(config.num_subsets if is_semi else 1):
        seed = derive_seed(context.seed, subset)
        labeled = store.rows(context.benchmark, train=True)
        keys: dict[str, Any] = {"eval_seed": context.seed}
        if is_semi:
            labeled = labeled[sample_labeled(store.label[labeled], config.label_fraction, seed)]
            keys |= {"label_fraction": config.label_fraction, "subset": subset}
        record = context.record(protocol, inputs.record, store, rows, settings, **keys)
        compute = partial(
            finetune_copy,
            encoder,
            inputs.load_clips,
            labeled,
            config,
            precision=inputs.settings["precision"],
            seed=seed,
        )
        names = store.name[labeled.numpy()]
        results[record.tag] = context.run(record, store, rows, compute, labeled=names)
    return results


def finetune_copy(
    encoder: DualPathEncoder,
    load_clips: Callable[[], Clips],
    labeled: Tensor,
    config: FinetuneConfig,
    *,
    precision: str,
    seed: int,
) -> Outcome:
    """Fine-tune a copy of the encoder, so that others can start from it too."""
    own = copy.deepcopy(encoder)
    return finetune(own, load_clips(), labeled, config, precision=precision, seed=seed)
