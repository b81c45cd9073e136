"""`scdnet prepare synthetic`: a store of random actions."""

from pathlib import Path

import pytest

from scdnet.commands.prepare_synthetic import main
from scdnet.data.store import open_sequences


def content(path: Path) -> str:
    with open_sequences(path) as store:
        return store.content_sha256


def test_a_store_of_random_actions_is_all_for_training(
    tmp_path: Path, capsys: pytest.CaptureFixture
):
    out = tmp_path / "a.h5"
    main(["--out", str(out), "--actions", "4", "--workers", "1"])
    assert capsys.readouterr().out == f"Sequence store: {out}, 24 sequences of 4 actions.\n"
    with open_sequences(out) as store:
        assert len(store) == 24 and store.is_train("custom").all()
        assert store.dataset == "synthetic" and store.skeleton.name == "ntu25"
        assert store.class_names == ("action 0", "action 1", "action 2", "action 3")
        assert [store[i].label for i in (0, 23)] == [0, 3]


def test_the_number_of_workers_changes_nothing(tmp_path: Path):
    stores = [tmp_path / f"{number}.h5" for number in (1, 2)]
    for number, out in enumerate(stores, start=1):
        main(["--out", str(out), "--actions", "3", "--people", "1", "--workers", str(number)])
    assert content(stores[0]) == content(stores[1])
