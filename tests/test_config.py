import re
from pathlib import Path
from typing import get_args

import pytest
import yaml

from scdnet.config import Config, Stream, name_stores
from scdnet.config_file import (
    ConfigError,
    changed_keys,
    dump_config,
    find_config,
    load_config,
    merge_layers,
    with_defaults,
)
from scdnet.streams import ALL_STREAMS, STREAMS

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "configs/ntu60_xsub.yaml"
EACH = "expected a value for each of the stores in data.store"
SHARES = "expected finite numbers greater than 0, one for each store"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_paper_recipe_is_the_default():
    assert load_config(PAPER) == Config(name="ntu60_xsub")


def test_the_paper_recipe_has_the_numbers_of_the_paper():
    config = load_config(PAPER)
    # Source: docs/method.md, sections 3 and 4.
    assert config.model.model_dump() == {
        "base_channels": 64,
        "embed_dim": 2048,
        "num_heads": 8,
        "num_layers": 1,
        "dropout": 0.1,
        "pooling": "max",
        "align_sides": False,
        "component_weight": 1.0,
        "components": False,
        "projection_dim": 128,
        "queue_size": 8192,
        "momentum": 0.999,
        "temperature": 0.2,
    }
    assert config.optim.model_dump() == {
        "name": "sgd",
        "lr": 0.01,
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "epochs": 451,
        "schedule": "multistep",
        "milestones": (351,),
        "warmup_epochs": 0,
        "steps": None,
    }
    assert (config.data.batch_size, config.data.num_frames, config.data.num_bodies) == (64, 64, 2)
    # Nothing is predicted.
    assert config.objective == "scd"


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_config_loads_under_its_own_name(path: Path):
    assert load_config(path).name == path.stem
    assert len(path.read_text().splitlines()) <= 25


@pytest.mark.parametrize(
    ("stem", "store", "benchmark"),
    [
        ("ntu60_xview", "ntu60", "xview"),
        ("ntu120_xsub", "ntu120", "xsub"),
        ("ntu120_xset", "ntu120", "xset"),
    ],
)
def test_the_other_ntu_configs_differ_in_their_data_only(stem: str, store: str, benchmark: str):
    other = load_config(ROOT / f"configs/{stem}.yaml")
    assert (other.data.store, other.data.benchmark) == (Path(f"data/{store}.h5"), benchmark)
    changed = changed_keys(dump_config(load_config(PAPER)), dump_config(other))
    assert set(changed) <= {"name", "data.store", "data.benchmark"}


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*_latent.yaml")), ids=lambda x: x.stem)
def test_hidden_tokens_stand_beside_the_recipe_of_each_published_benchmark(path: Path):
    recipe = path.with_stem(path.stem.removesuffix("_latent"))
    changed = changed_keys(dump_config(load_config(recipe)), dump_config(load_config(path)))
    assert set(changed) == {"name", "display_name", "objective"}


def test_streams_of_the_config_are_those_that_exist():
    assert get_args(Stream) == (*STREAMS, ALL_STREAMS)


def test_a_config_of_the_package_is_found_by_name():
    assert load_config(Path("ntu60_xsub")) == load_config(PAPER)
    assert find_config(Path("methods"), group="sweeps").parent.name == "sweeps"


def test_a_file_beats_a_config_of_the_package_with_its_name(tmp_path: Path, monkeypatch):
    write(tmp_path / "ntu60_xsub", "name: own")
    monkeypatch.chdir(tmp_path)
    assert load_config(Path("ntu60_xsub")).name == "own"


def test_an_unknown_config_is_reported_with_a_similar_name():
    with pytest.raises(ConfigError, match=r"ntu60_xsup: no such .*; did you mean 'ntu60_xsub'\?"):
        load_config(Path("ntu60_xsup"))
    with pytest.raises(
        ConfigError, match="qq: no such config file; known names: demo, general, ntu120_xs"
    ):
        load_config(Path("qq"))


def test_overrides_beat_the_file_which_beats_its_base(tmp_path: Path):
    write(tmp_path / "base.yaml", "seed: 1\noptim:\n  lr: 1e-3\n  epochs: 3\n")
    own = write(tmp_path / "own.yaml", "base: base.yaml\noptim:\n  epochs: 4\n")
    config = load_config(own, ["seed=7"])
    # YAML 1.1 alone reads 1e-3 as text.
    assert (config.seed, config.optim.lr, config.optim.epochs) == (7, 0.001, 4)


def test_steps_replace_inherited_epochs_and_the_other_way_round(tmp_path: Path):
    write(tmp_path / "base.yaml", "optim: {epochs: 3, milestones: [2]}\n")
    own = write(tmp_path / "own.yaml", "base: base.yaml\noptim: {steps: 40}\n")
    config = load_config(own)
    assert (config.optim.steps, config.optim.epochs, config.optim.duration) == (40, None, 40)
    assert config.optim.milestones == (2,)
    config = load_config(own, ["optim.epochs=5"])
    assert (config.optim.steps, config.optim.epochs, config.optim.duration) == (None, 5, 5)
    # Evaluations count epochs.
    assert (config.linear.optim.duration, config.finetune.optim.duration) == (80, 80)


@pytest.mark.parametrize("override", ["optim.steps=40", "optim.epochs=4"])
def test_the_config_of_a_run_is_a_config(tmp_path: Path, override: str):
    config = load_config(PAPER, [override, "model.queue_size=auto", "data.batch_size=9000"])
    text = yaml.safe_dump(dump_config(config))
    assert load_config(write(tmp_path / "config.yaml", text)) == config


def test_steps_and_epochs_in_one_place_are_an_error_that_names_it(tmp_path: Path):
    base = write(tmp_path / "base.yaml", "optim: {epochs: 3, steps: 9}\n")
    own = write(tmp_path / "own.yaml", "base: base.yaml\noptim: {steps: 40}\n")
    with pytest.raises(ConfigError, match=f"{base}: expected optim.epochs or optim.steps, found b"):
        load_config(own)
    with pytest.raises(ConfigError, match=r"command line: expected optim\.epochs or optim\.steps"):
        load_config(PAPER, ["optim.steps=9", "optim.epochs=3"])


def test_a_later_layer_of_overrides_replaces_the_length_of_those_before_it():
    base = ["seed=1", "optim={epochs: 9, lr: 0.5}"]
    merged = merge_layers(base, ["optim.epochs=5", "data.store=[a.h5, b.h5]"], ["optim.steps=40"])
    assert merged == ["seed=1", "optim.lr=0.5", "data.store=[a.h5, b.h5]", "optim.steps=40"]
    config = load_config(PAPER, merged)
    assert (config.optim.steps, config.optim.epochs, config.optim.lr) == (40, None, 0.5)
    # A layer without a length changes nothing; evaluations have one of their own.
    for layer in ([], ["optim.lr=1", "linear.optim.epochs=3"], ["optim.steps=null"]):
        assert merge_layers(["optim.epochs=5"], layer) == ["optim.epochs=5", *layer]
    both = merge_layers(["optim.epochs=5"], ["optim.steps=9", "optim.epochs=3"])
    with pytest.raises(ConfigError, match="found both"):
        load_config(PAPER, both)


def test_several_stores_have_a_benchmark_and_a_share_each(tmp_path: Path):
    listed = ["data.store=[a.h5, d/b.h5]", "data.benchmark=[xsub, xview]", "data.sampling=[3, 1]"]
    config = load_config(PAPER, [*listed, "data.positives=[class, sequence]"])
    assert config.data.stores == (Path("a.h5"), Path("d/b.h5"))
    assert config.data.benchmarks == ("xsub", "xview")
    assert config.data.shares == (0.75, 0.25)
    assert config.data.positives_by_store == ("class", "sequence")
    text = yaml.safe_dump(dump_config(config))
    assert load_config(write(tmp_path / "config.yaml", text)) == config
    # The config of a store alone is the one that names it alone.
    alone = ["data.store=d/b.h5", "data.benchmark=xview"]
    assert config.store_configs["b"] == load_config(PAPER, alone)
    assert list(config.store_configs) == ["a", "b"]
    config = load_config(PAPER, ["data.store=[a.h5, b.h5]"])
    assert (config.data.benchmarks, config.data.shares) == (("xsub", "xsub"), None)
    for sampling in ("equal", "[1e308, 1e308]"):
        equal = load_config(PAPER, ["data.store=[a.h5, b.h5]", f"data.sampling={sampling}"])
        assert equal.data.shares == (0.5, 0.5)


def test_a_single_store_is_none_of_several():
    assert load_config(PAPER, ["data.store=[a.h5]"]) == load_config(PAPER, ["data.store=a.h5"])
    # As with data.store=... beside the config of a run on several.
    config = load_config(PAPER, ["data.store=a.h5", "data.sampling=[1, 2]"])
    assert config.data.shares is None and config.data.benchmarks == ("xsub",)


@pytest.mark.parametrize(
    ("stores", "names"),
    [
        (["data/a.h5", "b.h5"], ("a", "b")),
        (["x/d.h5", "y/d.h5", "d_2.h5"], ("1_d", "2_d", "3_d_2")),
    ],
)
def test_stores_have_distinct_names(stores: list[str], names: tuple[str, ...]):
    assert name_stores(stores) == names


def test_a_key_that_a_dumped_config_lacks_has_its_default():
    dumped = dump_config(load_config(PAPER, ["seed=3"]))
    del dumped["data"]["sampling"]
    assert changed_keys(with_defaults(dumped), dump_config(load_config(PAPER))) == {"seed": (3, 0)}


def test_a_list_is_replaced_as_a_whole():
    assert load_config(PAPER, ["optim.milestones=[3, 5]"]).optim.milestones == (3, 5)


@pytest.mark.parametrize("override", ["neighbours.k=3", "data.positives=class"])
def test_a_prediction_alone_has_no_positives(override: str):
    assert load_config(PAPER, ["objective=scd+latent", override])
    found = override.replace("=", " ")
    with pytest.raises(ConfigError, match=f"found latent, which contrasts nothing, with {found}"):
        load_config(PAPER, ["objective=latent", override])


def test_off_is_read_as_it_is_written():
    # YAML 1.1 alone reads it as false.
    assert load_config(PAPER, ["compile=off"]).compile == "off"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.epoch=3", "optim.epoch: unknown key; did you mean 'optim.epochs'?"),
        ("optim.lr=-1", "optim.lr: expected greater than 0, found -1"),
        ("optim.lr=fast", "optim.lr: expected a valid number, unable to parse string as a number"),
        ("stream=bones", "stream: expected 'joint', 'bone', 'motion' or 'all', found 'bones'"),
        ("scd.pairs=[]", "scd.pairs: expected one or more distinct values, found []"),
        ("hdc.levels=[1,1]", "hdc.levels: expected one or more distinct values, found [1, 1]"),
        ("latent.joint_fraction=0", "latent.joint_fraction: expected greater than 0, found 0"),
        ("latent.frame_fraction=1", "latent.frame_fraction: expected less than 1, found 1"),
        ("neighbours.k=-1", "neighbours.k: expected greater than or equal to 0, found -1"),
        ("objective=latent+scd", "objective: expected 'scd', 'hdc', 'scd+hdc', 'latent', 'scd+lat"),
        ("data.cache=disk", "data.cache: expected 'auto', 'gpu', 'cpu' or 'none', found 'disk'"),
        (
            "data.views.masked_joint_fraction=1",
            "data.views.masked_joint_fraction: expected less than 1, found 1",
        ),
        ("name=a/b", "name: expected text that matches the pattern '^[\\w+-][\\w.+-]*$', found"),
        ("name=..", "name: expected text that matches the pattern"),
        ("seed=5000000000", "seed: expected less than 4294967296, found 5000000000"),
        ("optim.lr=.inf", "optim.lr: expected a finite number, found inf"),
        ("optim.steps=0", "optim.steps: expected greater than or equal to 1, found 0"),
        ("linear.optim.steps=9", "linear.optim.steps: unknown key; did you mean 'linear.optim.ep"),
        ("finetune.optim.steps=9", "finetune.optim.steps: unknown key; did you mean 'finetune."),
        ("optim={epochs: 3, steps: 9}", "expected optim.epochs or optim.steps, found both"),
        ("model.queue_size=0", "model.queue_size: expected greater than or equal to 1, found 0"),
        ("data.store=[]", "data.store: expected a path or a list of paths, found []"),
        ("data.store=[a.h5, 3]", "data.store: expected a path or a list of paths, found ['a.h5', "),
        ("data.store=[a.h5, ./a.h5]", "data.store: expected each store once, a.h5 is listed twice"),
        ("data.sampling=even", "data.sampling: expected 'proportional' or 'equal', found 'even'"),
        *(
            (f"data.sampling={shares}", f"data.sampling: {SHARES}, found {found}")
            for shares, found in {
                "[]": "[]",
                "[1, 0]": "[1, 0]",
                "[-1, 2]": "[-1, 2]",
                "[1, .nan]": "[1, nan]",
                "[.inf, 1]": "[inf, 1]",
                "[1, all]": "[1, 'all']",
                "[1, true]": "[1, True]",
            }.items()
        ),
        ("model.queue_size=all", "model.queue_size: expected a valid integer, unable to parse"),
    ],
)
def test_a_bad_value_on_the_command_line_is_named_with_its_key(override: str, message: str):
    with pytest.raises(ConfigError, match=re.escape(f"command line: {message}")):
        load_config(PAPER, [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.epochs=null", "expected optim.epochs or optim.steps, found neither"),
        *(
            (f"data={{store: [a.h5, b.h5], {key}: {value}}}", f"data.{key}: {EACH}, 2, found {num}")
            for key, value, num in (
                ("benchmark", "[xsub]", 1),
                ("benchmark", "[]", 0),
                ("benchmark", "[xsub, xview, xset]", 3),
                ("sampling", "[1]", 1),
                ("sampling", "[1, 2, 3]", 3),
                ("positives", "[class]", 1),
            )
        ),
        ("data.benchmark=[xsub, xview]", f"data.benchmark: {EACH}, 1, found 2"),
        ("data.batch_size=9000", "data.batch_size 9000 exceeds model.queue_size 8192"),
        ("model.num_heads=3", "model.embed_dim 2048 is not a multiple of model.num_heads 3"),
        (
            "data.views.num_masked_segments=16",
            "data.views.num_masked_segments: expected fewer than data.views.num_segments 16, "
            "found 16",
        ),
        (
            "data.num_frames=30",
            "data.num_frames 30 is not a multiple of data.views.num_segments 16",
        ),
    ],
)
def test_keys_that_contradict_one_another_are_named(override: str, message: str):
    with pytest.raises(ConfigError, match=re.escape(f"{PAPER}: {message}")):
        load_config(PAPER, [override])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "seed: expected an override of the form key=value"),
        ("seed=[1", "seed=[1: not valid YAML"),
    ],
)
def test_an_override_of_another_form_is_refused(override: str, message: str):
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_config(PAPER, [override])


def test_an_unknown_key_names_the_file_it_stands_in(tmp_path: Path):
    base = write(tmp_path / "base.yaml", "optim:\n  momentun: 0.5\n")
    own = write(tmp_path / "own.yaml", "base: base.yaml\n")
    message = rf"{base.name}: optim\.momentun: unknown key; did you mean 'optim\.mom"
    with pytest.raises(ConfigError, match=message):
        load_config(own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "expected keys with values"),
        ("a: [", "not valid YAML"),
        ("base: own.yaml\n", "leads back to itself"),
        ("base: gone.yaml\n", "no such config file"),
        ("optim: 3\n", "optim: .*dictionary"),
        ("false\n", "expected keys with values"),
        ("base: [a]\n", "base: expected the name of a file"),
    ],
)
def test_a_file_that_cannot_be_a_config(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path / "own.yaml", text))
