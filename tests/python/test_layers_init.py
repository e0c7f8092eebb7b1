"""`qe layers init`: the default layers, and how they are written."""

from __future__ import annotations

import doctest
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_help import Cli, cli
from layers_projects import MARKED, PACKAGE, TEST, categories, collected, layers_of, project
from pytest_qe.orchestration import config, finding
from pytest_qe.orchestration.defaults import LAYERS, text_for, write
from pytest_qe.orchestration.mistakes import ConfigError

__all__ = ["cli"]


# ------------------------------------------------------------------ the defaults

#: What a project of everything is made of, and the category of each file.
EVERYTHING = {
    "tests/smoke/test_a.py": "smoke", "tests/unit/test_b.py": "unit",
    "tests/database/test_c.py": "database", "tests/api/test_d.py": "api",
    "tests/websocket/test_e.py": "websocket", "tests/integration/test_f.py": "integration",
    "tests/agents/test_g.py": "agent_workflows", "tests/e2e/critical/test_h.py": "e2e_critical",
    "tests/frontend/test_i.py": "frontend", "tests/e2e/test_j.py": "full_e2e",
    "tests/performance/test_k.py": "performance",
}  # fmt: skip


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    files: dict[str, Any] = dict.fromkeys(EVERYTHING, TEST)
    files["cypress.config.js"] = "module.exports = {}"
    files["cypress/e2e/a.cy.js"] = "it('a', () => {})"
    files["package.json"] = {**PACKAGE, "devDependencies": {"cypress": "1"}}
    return project(tmp_path, files)


@pytest.mark.parametrize(
    ("layer", "mode", "minutes", "names"),
    [
        ("fast_feedback", "sequential", 2, ["smoke", "unit"]),
        ("core_integration", "parallel", 10, ["database", "api", "websocket", "integration"]),
        ("service_integration", "hybrid", 20, ["agent_workflows", "e2e_critical", "frontend"]),
        ("e2e_background", "background", 60, ["full_e2e", "cypress", "performance"]),
    ],
)
def test_the_four_layers(
    everything: Path, layer: str, mode: str, minutes: int, names: list[str]
) -> None:
    found = layers_of(everything)
    assert list(found) == [one.id for one in LAYERS]
    assert found[layer]["execution_mode"] == mode
    assert found[layer]["max_duration_minutes"] == minutes
    assert [one["name"] for one in found[layer]["categories"]] == names
    assert [one["priority_order"] for one in found[layer]["categories"]] == [
        number + 1 for number in range(len(names))
    ]
    longest = sum(one["timeout_seconds"] for one in found[layer]["categories"])
    assert mode != "sequential" or longest <= minutes * 60


def test_the_first_layer_gates_and_the_last_one_blocks_nothing(everything: Path) -> None:
    found = layers_of(everything)
    assert [one.get("fail_fast", False) for one in found.values()] == [True, False, False, False]
    assert [one.get("dependencies", []) for one in found.values()] == [
        [], ["fast_feedback"], ["core_integration"], ["fast_feedback"],
    ]  # fmt: skip
    assert all("e2e_background" not in one.get("dependencies", []) for one in found.values())


def test_core_integration_knows_what_depends_on_what(everything: Path) -> None:
    found = layers_of(everything)["core_integration"]["categories"]
    assert {one["name"]: one.get("depends_on", []) for one in found} == {
        "database": [], "api": ["database"], "websocket": [], "integration": ["database"],
    }  # fmt: skip


def test_service_integration_is_bounded_and_mocks(everything: Path) -> None:
    data = config.parse(text_for(everything).text).data
    layer = data["layers"]["service_integration"]
    assert layer["resource_limits"] == {"parallel_instances": 2}
    assert layer["llm_requirements"] == {"mode": "mock"}
    over = data["environment_overrides"]["staging"]["layers"]["service_integration"]
    assert over == {"timeout_multiplier": 2, "llm_requirements": {"mode": "real"}}


def test_each_category_has_its_folder(everything: Path) -> None:
    found = categories(everything)
    assert found.pop("cypress") == ("cypress", ["cypress/e2e"])
    assert found.pop("full_e2e") == ("pytest", ["tests/e2e/test_j.py"])
    assert found == {
        category: ("pytest", [str(Path(file).parent)])
        for file, category in EVERYTHING.items()
        if category != "full_e2e"
    }


def test_what_is_not_found_is_a_comment_that_can_be_used(tmp_path: Path) -> None:
    written = text_for(project(tmp_path, {"tests/api/test_a.py": TEST}))
    assert written.categories == {"core_integration": ["api"]}
    assert written.missing["fast_feedback"] == ["smoke", "unit"]
    assert written.missing["core_integration"] == ["database", "websocket", "integration"]
    # Whoever takes away the "# " of the keys has all four layers.
    lines = []
    for line in written.text.split("\n"):
        bare = re.match(r"( *)# ((?:  )*(?:- \{name|[a-z0-9_]+:(?: |$)).*)", line)
        lines.append(bare[1] + bare[2] if bare and "# services" not in line else line)
    begin, end = (next(n for n, line in enumerate(lines) if line.startswith(word))
                  for word in ("layers:", "# More keys"))  # fmt: skip
    data = config.parse("\n".join(lines[begin:end])).data
    assert list(data["layers"]) == [one.id for one in LAYERS]
    for layer in LAYERS:
        names = {one["name"] for one in data["layers"][layer.id]["categories"]}
        assert names == {one.name for one in layer.categories}


def test_the_comment_about_services_can_be_used(everything: Path) -> None:
    text = text_for(everything).text
    comment = text[text.index("# services:") :].split("\n\n")[0]
    services = re.sub(r"(?m)^# ", "", comment)
    data = config.parse(text + services).data
    assert data["services"]["database"]["ready_seconds"] == 30


def test_a_layer_depends_on_the_nearest_one_that_is_there(tmp_path: Path) -> None:
    found = layers_of(
        project(tmp_path, {"tests/unit/test_a.py": TEST, "tests/agents/test_b.py": TEST})
    )
    assert found["service_integration"]["dependencies"] == ["fast_feedback"]
    assert "depends_on" not in found["service_integration"]["categories"][0]


# ------------------------------------------------------------------- writing


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    project(tmp_path, {"tests/test_a.py": TEST})
    written = write(tmp_path)
    assert written.path == tmp_path / "test_layers.yaml"
    assert written.path.read_text() == written.text
    assert list(config.read(folder=tmp_path).data["layers"]) == ["fast_feedback"]
    assert sorted(os.listdir(tmp_path)) == ["test_layers.yaml", "tests"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(written.path.stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("kind", ["file", "dangling link", "folder"])
def test_nothing_is_written_over(tmp_path: Path, kind: str) -> None:
    project(tmp_path, {"tests/test_a.py": TEST})
    path = tmp_path / "test_layers.yaml"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("nowhere")
    with pytest.raises(ConfigError) as caught:
        write(tmp_path)
    expected = "is a folder" if kind == "folder" else "is there already; --force writes over it"
    assert str(caught.value) == f"{path}: {expected}"
    assert not (tmp_path / "nowhere").exists()
    assert kind != "file" or path.read_text() == "mine"


def test_force_writes_over_it(tmp_path: Path) -> None:
    project(tmp_path, {"tests/test_a.py": TEST, "test_layers.yaml": "mine"})
    assert write(tmp_path, force=True).path.read_text().startswith("# Layers of tests")
    assert sorted(os.listdir(tmp_path)) == ["test_layers.yaml", "tests"]


def test_another_spelling_beside_it_is_a_mistake(tmp_path: Path) -> None:
    project(tmp_path, {"tests/test_a.py": TEST, "test_layers.yml": "mine"})
    with pytest.raises(ConfigError, match=r"test_layers.yml is beside it; remove it first"):
        write(tmp_path, force=True)
    assert write(tmp_path, path="test_layers.yml", force=True).path.name == "test_layers.yml"


def test_a_file_elsewhere_would_name_wrong_paths(tmp_path: Path) -> None:
    project(tmp_path, {"tests/test_a.py": TEST})
    with pytest.raises(ConfigError, match="paths in it begin in its folder: it is to lie in"):
        write(tmp_path, path="tests/x.yaml")
    with pytest.raises(ConfigError, match="there is no such folder"):
        write(tmp_path / "none")
    with pytest.raises(ConfigError, match="there is no such folder"):
        write(tmp_path / "tests" / "test_a.py")
    assert write(tmp_path, path="own.yaml").path == tmp_path / "own.yaml"


FULL = """
import resource, signal, sys
from pytest_qe.orchestration.defaults import write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    write(sys.argv[1], force=True)
except ValueError as error:
    print(error)
"""


def test_a_disk_that_is_full_leaves_what_was_there(tmp_path: Path) -> None:
    project(tmp_path, {"tests/test_a.py": TEST, "test_layers.yaml": "mine"})
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    path = tmp_path / "test_layers.yaml"
    assert done.stdout == f"{path}: cannot be written: File too large\n"
    assert path.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["test_layers.yaml", "tests"]


@pytest.mark.parametrize("module", [finding])
def test_examples(module: Any) -> None:
    failed, count = doctest.testmod(module)
    assert count > 0
    assert failed == 0


def test_nothing_of_a_project_is_executed(tmp_path: Path) -> None:
    boom = "import os\nopen(os.path.join(os.path.dirname(__file__), 'ran'), 'w')\n"
    folder = project(tmp_path, {"conftest.py": boom, "test_a.py": boom + TEST, "setup.py": boom})
    layers_of(folder)
    assert not list(folder.rglob("ran"))
    assert not list(folder.rglob("__pycache__"))


def test_what_is_written_runs_each_test_once(cli: Cli) -> None:
    project(cli.path, {**MARKED, "tests/api/test_x.py": TEST, "tests/api/test_y.py": TEST})
    done = cli.run("layers", "init")
    assert done.returncode == 0, done.stderr
    assert "test_layers.yaml: fast_feedback (smoke, unit), core_integ" in done.stdout
    passed = 0
    for layer, names in text_for(cli.path).categories.items():
        if layer == "e2e_background":
            continue  # returns before it has run
        status, result = cli.json("layer", layer)
        assert status == 0, result
        assert sorted(result["layers"][layer]["categories_executed"]) == sorted(names)
        found = result["layers"][layer]["category_results"]
        passed += sum(found[name]["tests"]["passed"] for name in names)
    assert passed == len(collected(cli.path)) - 1


def test_our_own_tests_are_found() -> None:
    root = Path(__file__).resolve().parent.parent.parent
    found = layers_of(root)["fast_feedback"]["categories"]
    assert [(one["name"], one["paths"], one["markers"]) for one in found[:2]] == [
        ("smoke", ["tests/python"], "smoke"), ("unit", ["tests/python"], "not smoke"),
    ]  # fmt: skip
