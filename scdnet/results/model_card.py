"""The model card of an exported encoder, with the front matter of the Hugging Face hub."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from scdnet.config import Config
from scdnet.config_file import changed_keys, dump_config
from scdnet.results.record import Result
from scdnet.results.summary import summarize
from scdnet.results.tables import as_markdown
from scdnet.skeleton import Skeleton
from scdnet.skeletons import SKELETONS

# The identifiers by which the hub knows the licenses that are usual for weights and data.
LICENSES = (
    "apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0",
    "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0",
    "mpl-2.0", "odc-by", "odbl", "pddl", "unlicense", "openrail",
)  # fmt: skip
TAGS = ["skeleton-based-action-recognition", "self-supervised-learning", "human-motion"]
# Keys of a config that only concern the machine, or what comes after the pretraining.
NOT_OF_A_RECIPE = (
    "name", "runs_dir", "display_name", "device", "compile", "protocols", "feature_level",
    "save_every", "keep_checkpoints", "init", "data.store", "data.cache", "data.num_workers",
)  # fmt: skip
SECTIONS_OF_EVALUATIONS = ("linear.", "finetune.", "eval_")


class CardFacts(NamedTuple):
    """The facts that a model card states."""

    title: str
    # The name of a license; None: it was not stated.
    license: str | None
    config: Config
    skeleton: Skeleton
    # The content of `pretraining` in config.json.
    pretraining: Mapping[str, Any]
    # The number of parameters, which were trained.
    num_weights: int
    # Principal components beside the features of the paths; 0: there are none.
    num_components: int
    num_features: int
    scdnet_version: str
    # The results of the checkpoint and of the baselines; there may be none.
    results: Sequence[Result]
    # Sentences on the linear head and on float16, if there are any.
    notes: Sequence[str]
    class_names: Sequence[str]


def write_card(facts: CardFacts) -> str:
    """Return the text of a model card."""
    parts = [
        _front_matter(facts.license),
        f"# {facts.title}",
        _summary(facts),
        *facts.notes,
        "## How to load",
        _how_to_load(facts),
        "## Data",
        _data(facts),
        "## License",
        _license(facts.license),
        "## Recipe",
        _recipe(facts),
        "## Scores",
        _scores(facts.results),
        "## Limits",
        _limits(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(name: str | None) -> str:
    fields: dict[str, Any] = {"library_name": "scdnet", "tags": TAGS}
    if name is not None and name.lower() in LICENSES:
        fields["license"] = name.lower()
    elif name is not None:
        fields |= {"license": "other", "license_name": name}
    return f"---\n{yaml.safe_dump(fields, sort_keys=True, allow_unicode=True)}---"


def _license(name: str | None) -> str:
    if name is None:
        return "Not stated: ask whoever shares this encoder before you use it."
    return f"{name}, as stated by whoever exported this encoder."


def _summary(facts: CardFacts) -> str:
    config = facts.config
    bodies = "one body" if config.data.num_bodies == 1 else f"{config.data.num_bodies} bodies"
    return (
        f"A self-supervised encoder of human motion, pretrained by scdnet {facts.scdnet_version} "
        f"{_use_of_labels(config)}. It maps a clip of "
        f"{config.data.num_frames} frames of {bodies} with the {facts.skeleton.num_joints} joints "
        f"of `{facts.skeleton.name}` to {facts.num_features} features; it has "
        f"{describe_size(facts.num_weights, facts.num_components)}. Stream: `{config.stream}`."
    )


def describe_size(num_weights: int, num_components: int) -> str:
    """Return how large an encoder is, as part of a sentence."""
    text = f"{num_weights / 1e6:.2f} million weights"
    if not num_components:
        return text
    return f"{text}, and {num_components} principal components beside them"


def _use_of_labels(config: Config) -> str:
    """Return which classes the pretraining has used."""
    choices = zip(name_stores(config), config.data.positives_by_store, strict=True)
    labeled = [f"`{name}`" for name, choice in choices if choice == "class"]
    if not labeled:
        return "without labels"
    return f"with the classes of {' and '.join(labeled)}, and otherwise without labels"


def _how_to_load(facts: CardFacts) -> str:
    skeleton = facts.skeleton
    is_known = SKELETONS.get(skeleton.name) == skeleton
    joints = f'layout="{skeleton.name}"' if is_known else 'skeleton="joints.yaml"'
    unit = "m" if skeleton.dims == 3 else "px"
    lines = [
        "```python",
        "import torch",
        "from scdnet import read_recording",
        "from scdnet.data.clips import evaluation_view",
        "from scdnet.engine.exported import open_exported",
        "",
        "# The directory of this file; from the hub, hf://OWNER/NAME.",
        'exported = open_exported("PATH")',
        "encoder = exported.encoder",
        f'frames = read_recording("recording.csv", {joints}, unit="{unit}", up="y")',
        "clip = evaluation_view(",
        "    frames,",
        "    exported.stream,",
        "    num_frames=encoder.sizes.num_frames,",
        "    num_bodies=encoder.sizes.num_bodies,",
        "    skeleton=exported.skeleton,",
        ")",
        "with torch.inference_mode():",
        f"    features = torch.cat(encoder.all_features(clip), dim=1)  # (1, {facts.num_features})",
    ]
    if facts.class_names:
        lines += [
            "weight, bias, class_names = exported.probe",
            "probabilities = torch.softmax(features @ weight.T + bias, dim=1)[0]",
            "print(class_names[probabilities.argmax()])",
        ]
    return "\n".join([*lines, "```"])


def _data(facts: CardFacts) -> str:
    pretraining = facts.pretraining
    rows = [
        f"* `{name}`, training split of `{benchmark}`, SHA-256 of the content `{sha256[:12]}`"
        for name, benchmark, sha256 in zip(
            pretraining["data"],
            pretraining["benchmark"],
            pretraining["store_sha256"],
            strict=True,
        )
    ]
    return "\n".join(["Pretrained on the sequences of", "", *rows])


def _recipe(facts: CardFacts) -> str:
    pretraining = facts.pretraining
    changed = changed_keys(dump_config(Config()), dump_config(facts.config))
    values = {
        key: new
        for key, (_, new) in changed.items()
        if key not in NOT_OF_A_RECIPE and not key.startswith(SECTIONS_OF_EVALUATIONS)
    }
    start = ""
    if "init_sha256" in pretraining:
        start = f"Started from the encoder with SHA-256 `{pretraining['init_sha256'][:12]}`. "
    return (
        f"{start}Objective `{pretraining['objective']}`, seed {pretraining['seed']}, "
        f"{pretraining['epoch']} completed epochs. As overrides of the default config:\n\n"
        f"```yaml\n{yaml.safe_dump(values)}```"
    )


def _scores(results: Sequence[Result]) -> str:
    if not any(result.baseline is None for result in results):
        return "Not evaluated yet: `scdnet evaluate` compares an encoder with baselines."
    rows, _ = summarize(results)
    return as_markdown(rows, [])


def _limits(facts: CardFacts) -> str:
    skeleton = facts.skeleton
    position = (
        "meters, the spine of the first frame upright, the body at the origin"
        if skeleton.dims == 3
        else "lengths of the trunk, the body at the origin"
    )
    data = ", ".join(f"`{name}`" for name in facts.pretraining["data"])
    lines = [
        f"* It takes the joints of `{skeleton.name}` and no others, normalized as `read_recording` "
        f"does: {position}.",
        f"* It has seen {data} and nothing else. Other sensors, people and motions may be "
        "represented less well; the scores above say nothing about them.",
        "* Features of different encoders, or of different streams, cannot be compared.",
        f"* A clip has {facts.config.data.num_frames} frames: a long recording has to be cut into "
        "windows, or its motions blur.",
    ]
    if facts.class_names:
        shown = ", ".join(" ".join(name.split()) for name in facts.class_names)
        lines.append(f"* The linear head knows {len(facts.class_names)} classes: {shown}.")
    return "\n".join(lines)


def name_stores(config: Config) -> list[str]:
    """Return the file names of the stores without directories, which are those of one machine."""
    return [Path(store).stem for store in config.data.stores]
