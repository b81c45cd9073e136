import re

from scdnet.report.bundle import EXPORT, IMPORT, PAGE, join_scripts, join_styles


def test_the_script_has_no_import_and_no_export_left():
    script = join_scripts()
    assert not re.search(r"^\s*(import|export)\b", script, re.MULTILINE)
    assert not re.search(r"\b(eval|Function)\(|\.innerHTML|document\.write", script)
    # The element that it stands in would end there.
    assert "</script" not in script.lower()


def test_a_module_comes_after_those_that_it_imports():
    script = join_scripts()
    for path in PAGE.iterdir():
        if not path.name.endswith(".js") or path.name == "eslint.config.js":
            continue
        text = path.read_text(encoding="utf-8")
        own = EXPORT.sub("", IMPORT.sub("", text)).strip()
        assert own in script, path.name
        for needed in IMPORT.findall(text):
            body = EXPORT.sub("", IMPORT.sub("", (PAGE / needed).read_text(encoding="utf-8")))
            assert script.index(body.strip()) < script.index(own), (path.name, needed)


def test_names_are_unique_across_the_modules():
    names = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", join_scripts(), re.M)
    assert len(names) == len(set(names)), sorted(n for n in set(names) if names.count(n) > 1)


def test_the_sheet_with_the_variables_comes_first():
    assert join_styles().index("--ink") < len(join_styles()) / 4
