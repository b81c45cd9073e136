from pathlib import Path

import pytest

from scdnet.config import Config
from scdnet.config_file import ConfigError, changed_keys, dump_config, load_config
from scdnet.data.streams import STREAMS

ROOT = Path(__file__).parents[1]
PAPER = ROOT / "configs/ntu60_xsub.yaml"


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_the_paper_recipe_is_the_default():
    assert load_config(PAPER) == Config(name="ntu60_xsub")


def test_the_paper_recipe_has_the_numbers_of_the_paper():
    config = load_config(PAPER)
    model, optim = config.model, config.optim  # docs/method.md 3 and 4
    assert (
        model.base_channels,
        model.embed_dim,
        model.num_heads,
        model.num_layers,
        model.dropout,
    ) == (
        64,
        2048,
        8,
        1,
        0.1,
    )
    assert (model.projection_dim, model.queue_size, model.momentum, model.temperature) == (
        128,
        8192,
        0.999,
        0.2,
    )
    assert (optim.name, optim.lr, optim.momentum, optim.weight_decay) == ("sgd", 0.01, 0.9, 1e-4)
    assert (optim.epochs, optim.milestones, optim.warmup_epochs) == (451, (351,), 0)
    assert (config.data.batch_size, config.data.num_frames, config.data.num_bodies) == (64, 64, 2)


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


def test_streams_of_the_config_are_those_that_exist():
    assert set(Config.model_fields["stream"].annotation.__args__) == set(STREAMS)


def test_overrides_beat_the_file_which_beats_its_base(tmp_path: Path):
    write(tmp_path / "base.yaml", "seed: 1\noptim:\n  lr: 1e-3\n  epochs: 3\n")
    config = load_config(
        write(tmp_path / "own.yaml", "base: base.yaml\noptim:\n  epochs: 4\n"), ["seed=7"]
    )
    assert (config.seed, config.optim.lr, config.optim.epochs) == (
        7,
        0.001,
        4,
    )  # YAML 1.1 alone reads 1e-3 as text


def test_a_list_is_replaced_as_a_whole():
    assert load_config(PAPER, ["optim.milestones=[3, 5]"]).optim.milestones == (3, 5)


@pytest.mark.parametrize("place", ["auto", "gpu", "cpu", "off"])
def test_the_places_of_the_frames_are_read_as_they_are_written(place: str):
    assert (
        load_config(PAPER, [f"data.cache={place}"]).data.cache == place
    )  # YAML 1.1 alone reads off as false


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "optim.epoch=3",
            r"optim\.epoch: unknown key on the command line; did you mean 'optim\.epochs'\?",
        ),
        ("optim.lr=-1", r"optim\.lr: .*greater than 0, found -1 on the command line"),
        ("optim.lr=fast", r"optim\.lr: .*valid number.*'fast'"),
        ("stream=bones", r"stream: .*'joint', 'bone' or 'motion', found 'bones'"),
        ("data.batch_size=9000", r"data\.batch_size 9000 exceeds model\.queue_size 8192"),
        ("model.num_heads=3", r"model\.embed_dim 2048 is no multiple of model\.num_heads 3"),
        (
            "scd.pairs=[]",
            r"scd\.pairs: expected one or more, each once, found \[\] on the command line",
        ),
        ("hdc.levels=[1,1]", r"hdc\.levels: expected one or more, each once, found \[1, 1\]"),
        (
            "data.views.num_masked_segments=16",
            r"data\.views\.num_masked_segments 16 is all of data\.views\.num_segments 16",
        ),
        (
            "data.views.masked_joint_fraction=25",
            r"data\.views\.masked_joint_fraction: .*less than 25",
        ),
        (
            "data.num_frames=30",
            r"data\.num_frames 30 is no multiple of data\.views\.num_segments 16",
        ),
        ("name=a/b", r"name: .*pattern"),
        ("seed", r"seed: expected an override of the form key=value"),
        ("seed=5000000000", r"seed: .*less than 4294967296"),
        ("optim.lr=.inf", r"optim\.lr: .*finite number"),
        ("name=..", r"name: .*pattern"),
        ("seed=[1", r"seed=\[1: not valid YAML"),
    ],
)
def test_a_bad_value_is_named_with_its_key(override: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_config(PAPER, [override])


def test_an_unknown_key_names_the_file_it_stands_in(tmp_path: Path):
    base = write(tmp_path / "base.yaml", "optim:\n  momentun: 0.5\n")
    own = write(tmp_path / "own.yaml", "base: base.yaml\n")
    with pytest.raises(
        ConfigError,
        match=rf"optim\.momentun: unknown key in .*{base.name}; did you mean 'optim\.mom",
    ):
        load_config(own)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "expected a mapping"),
        ("a: [", "not valid YAML"),
        ("base: own.yaml\n", "leads back to itself"),
        ("base: gone.yaml\n", "no such config file"),
        ("optim: 3\n", "optim: .*dictionary"),
        ("false\n", "expected a mapping"),
        ("base: [a]\n", "base: expected the name of a file"),
    ],
)
def test_a_file_that_cannot_be_a_config(tmp_path: Path, text: str, message: str):
    with pytest.raises(ConfigError, match=message):
        load_config(write(tmp_path / "own.yaml", text))
