"""Pretraining. Source: docs/method.md 4."""

from contextlib import ExitStack
from pathlib import Path

import torch

from scdnet.config import Config
from scdnet.config_file import dump_config
from scdnet.data.clips import RankInfo
from scdnet.data.mixture import Mixture, apportion
from scdnet.engine.build import (
    NumTrain,
    check_sizes,
    open_mixture,
)
from scdnet.engine.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from scdnet.engine.components import fit_components
from scdnet.engine.device import (
    disable_malloc_trim,
    resolve_device,
)
from scdnet.engine.distributed import process_group, rank_info, run_on_main
from scdnet.engine.logs import log
from scdnet.engine.run.checkpoints import LAST, RunCheckpoints, progress_of
from scdnet.engine.run.directory import (
    check_outputs,
    check_resumable,
    check_run_dir,
    check_same_init,
    check_same_stores,
    prepare_run_dir,
)
from scdnet.engine.run.lock import locked
from scdnet.engine.run.signals import StopRequest
from scdnet.engine.train.initial import RANDOM, read_initial
from scdnet.engine.train.loop import Run
from scdnet.engine.train.plan import Plan, counted_in_steps, make_plan
from scdnet.engine.train.rehearsal import Rehearsal, choose_mode
from scdnet.engine.train.scoring import StoreScore, make_score
from scdnet.engine.train.state import Training
from scdnet.losses import chance_loss
from scdnet.memory import memory_advice
from scdnet.models.encoder import NUM_LEVELS, PATHS
from scdnet.models.objective import Objective


def pretrain(
    config: Config,
    *,
    resume: bool = False,
    overwrite: bool = False,
    score: StoreScore | None = None,
    stop: StopRequest | None = None,
) -> Path:
    """Pretrain an encoder as `config` describes, with a checkpoint at the end.

    Args:
        config: The run. Everything is written to `config.run_dir`.
        resume: Continue from the newest whole checkpoint of the run, if there is one.
        overwrite: Replace a run of the same name.
        score: Computes metrics of an encoder on the clips of a store every `config.eval_every`
            epochs, for example `scdnet.eval.knn.score_1nn`. `knn@1`, of several stores its mean,
            chooses the best checkpoint.
        stop: Ends the run with a checkpoint after the step in which its `signal` is set.

    Returns:
        The path of the last checkpoint.

    Raises:
        ScdnetError: The config, the store or the run directory do not fit, a file cannot be
            written, or a loss or weight became NaN or Inf.

    Examples:
        >>> path = pretrain(config, score=score_1nn)
        >>> path.name
        'last.pt'
    """
    device = resolve_device(config.device)
    ranks = rank_info()
    with process_group(device), ExitStack() as stack:
        run_on_main(lambda: _occupy(config.run_dir, stack))
        resuming = run_on_main(lambda: check_run_dir(config, resume=resume, overwrite=overwrite))
        clips = open_mixture(config.data, config.stream, device, ranks=ranks)
        _check_sizes(config, clips.num_train, ranks)
        stack.enter_context(memory_advice(_memory_advice(config)))
        disable_malloc_trim()
        training = _start(config, clips, resuming=resuming, device=device, ranks=ranks)
        plan = _make_plan(config, clips)
        _announce(config, clips, plan, training.model.objective)
        checkpoints = RunCheckpoints(
            config.run_dir, keep=config.keep_checkpoints, describe=plan.describe
        )
        if resuming:
            _load_newest(training, checkpoints, clips, plan, config=config, ranks=ranks)
        hashes = {"store_sha256": clips.store_sha256, "init_sha256": training.init_sha256}
        run_on_main(
            lambda: prepare_run_dir(config, **hashes, fresh=not resuming, overwrite=overwrite)
        )
        scores = make_score(score, clips.stores) if score and config.eval_every else None
        stop = stop or StopRequest()
        Run(plan, training, clips, checkpoints, scores, stop).train(config.run_dir)
    return config.run_dir / LAST


def _occupy(run_dir: Path, stack: ExitStack) -> None:
    """Lock the directory of a run until `stack` closes; one that cannot be written is an error."""
    check_outputs(run_dir)
    stack.enter_context(locked(run_dir))


def _start(
    config: Config, clips: Mixture, *, resuming: bool, device: torch.device, ranks: RankInfo
) -> Training:
    """Return the training at its start, with components if the config asks for them."""
    # A checkpoint has weights of its own.
    initial = RANDOM if resuming else read_initial(config, clips.skeleton)
    rehearsal = Rehearsal(config, clips.skeleton, device, ranks, clips.num_train, initial)
    training = rehearsal.start(choose_mode(rehearsal))
    if config.model.components:
        fit_components(training.model.query.encoder, clips)
    return training


def _make_plan(config: Config, clips: Mixture) -> Plan:
    origin = {
        "config": dump_config(config),
        "skeleton": clips.skeleton.to_dict(),
        "store_sha256": clips.store_sha256,
    }
    return make_plan(config, clips.num_train, origin)


def _memory_advice(config: Config) -> str:
    return (
        f"lower data.batch_size ({config.data.batch_size}) or model.queue_size "
        f"({config.model.queue_size}), or train on more ranks"
    )


def _check_sizes(config: Config, num_train: NumTrain, ranks: RankInfo) -> None:
    warning = check_sizes(
        config.data, config.model, num_train=num_train, num_ranks=ranks.world_size
    )
    # A prediction alone has no queue.
    if warning and config.objective != "latent":
        log(f"warning: {warning}")


def _announce(config: Config, clips: Mixture, plan: Plan, objective: Objective) -> None:
    """Log what the run trains on and for how long, what it does not train, and the chance level."""
    for path in PATHS:
        level = objective.trained_level(path)
        if level < NUM_LEVELS:
            part = f" above level {level}" if level else ""
            log(f"warning: The {path} path{part} receives no gradient: no query uses it.")
    num_train = sum(clips.num_train)
    for line in describe_mixture(clips, plan):
        log(line)
    log(
        f"{num_train} training sequences, {clips.cache_summary}, "
        f"{_describe_contrast(config, plan, objective)}run directory {config.run_dir}"
    )
    if plan.batch_size < config.data.batch_size:
        log(
            f"The training split is smaller than data.batch_size {config.data.batch_size}: "
            f"each step takes all of its {num_train} sequences."
        )
    if plan.unit == "step":
        log(f"{plan.summary}. {counted_in_steps(config)}")


def _describe_contrast(config: Config, plan: Plan, objective: Objective) -> str:
    """Return the length of an automatic queue and the loss at chance level, if there are pairs."""
    if not objective.pairs:
        return ""
    auto = f"a queue of {plan.queue_size} keys, " if config.model.queue_size == "auto" else ""
    chance = chance_loss(len(objective.pairs), plan.queue_size)
    beside = " beside that of predictions" if objective.latent else ""
    return f"{auto}loss at chance level {chance:.2f}{beside}, "


def describe_mixture(clips: Mixture, plan: Plan) -> list[str]:
    """Describe what a run on several stores draws of each, and what it leaves out."""
    if len(clips.stores) == 1:
        return []
    lines = []
    size = plan.steps_per_epoch * plan.batch_size
    shares = clips.config.shares
    counts = clips.num_train if shares is None else apportion(size, shares)
    for own, train, count in zip(clips.stores.values(), clips.train, counts, strict=True):
        line = (
            f"{own.store}, {own.benchmark}: {len(train.rows)} training sequences, "
            f"{100 * count / sum(counts):.1f} % of what is drawn"
        )
        reasons = {
            "test sequences of another store": train.num_test,
            "contained in an earlier store": train.num_repeated,
        }
        left_out = [f"{num} {reason}" for reason, num in reasons.items() if num]
        lines.append(f"{line}; left out: {', '.join(left_out)}" if left_out else line)
    return lines


def _load_newest(
    training: Training,
    checkpoints: RunCheckpoints,
    clips: Mixture,
    plan: Plan,
    *,
    config: Config,
    ranks: RankInfo,
) -> None:
    """Load the newest whole checkpoint, which the first rank chooses, on all ranks."""
    found: list[Checkpoint] = []

    def choose() -> tuple[Path, str]:
        found.append(checkpoints.newest())
        return found[0].path, found[0].sha256

    path, sha256 = run_on_main(choose)
    checkpoint = found[0] if found else read_checkpoint(path)
    if checkpoint.sha256 != sha256:
        raise CheckpointError(
            f"{path}: the file differs from the one that the first rank has read; "
            "use a file system that all ranks share"
        )
    check_resumable(checkpoint.state["config"], config, path)
    check_same_stores(checkpoint.state["store_sha256"], clips.store_sha256, config, path)
    init = (checkpoint.state["config"].get("init"), checkpoint.state["init_sha256"])
    run_on_main(lambda: check_same_init(*init, config=config, path=path, has_checkpoint=True))
    training.load_checkpoint(checkpoint, seed=config.seed, ranks=ranks)
    start = plan.state_start(progress_of(checkpoint.state))
    log(f"Resuming from {start}. Checkpoint: {path}")
