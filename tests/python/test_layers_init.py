"""`qe layers init`: the default layers, filled with the tests of real projects."""

from __future__ import annotations

import doctest
import glob
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents_help import settle_environment
from cli_help import Cli, cli
from pytest_qe.orchestration import checking, config, finding, pytestfiles
from pytest_qe.orchestration.defaults import LAYERS, text_for, write
from pytest_qe.orchestration.mistakes import ConfigError

__all__ = ["cli"]

TEST = "def test_one():\n    pass\n"
PACKAGE: dict[str, Any] = {"name": "x", "version": "1.0.0"}


def project(folder: Path, files: Mapping[str, str | dict[str, Any]]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if isinstance(text, str) else json.dumps(text))
    return folder


def layers_of(folder: Path) -> dict[str, Any]:
    """What is written for a project, read by the reader; all that it names is there."""
    written = text_for(folder)
    read = config.parse(written.text, str(folder / "test_layers.yaml"))
    assert checking.missing(read) == []
    for environment in (None, *read.environments):
        checking.checked(read, environment)
    data = read.data
    for name in re.findall(r"qe layer (\w+)' runs", written.text):
        assert name in data["layers"]
    for layer in data["layers"].values():
        names = [one["name"] for one in layer["categories"]]
        assert len(set(names)) == len(names)
        assert set(layer.get("dependencies", [])) <= set(data["layers"])
        for one in layer["categories"]:
            assert set(one.get("depends_on", [])) <= set(names)
            for path in one.get("paths", []):
                there = os.path.lexists(folder / path)
                assert there or glob.glob(path, root_dir=folder, recursive=True), path
    assert set(data["environment_overrides"]["staging"]["layers"]) <= set(data["layers"])
    layers: dict[str, Any] = data["layers"]
    return layers


def categories(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Of each category what it runs."""
    keys = ("framework", "paths", "markers", "args", "command")
    return {
        one["name"]: tuple(one[key] for key in keys if key in one)
        for layer in layers_of(folder).values()
        for one in layer["categories"]
    }


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


# ------------------------------------------------------------------- pytest


def test_a_flat_folder_of_tests(tmp_path: Path) -> None:
    found = categories(project(tmp_path, {"tests/test_a.py": TEST, "tests/test_api.py": TEST}))
    assert found == {"unit": ("pytest", ["tests"])}


def test_files_beside_folders_are_a_pattern(tmp_path: Path) -> None:
    files = ["tests/test_a.py", "tests/test_b.py", "tests/more/test_c.py", "tests/api/test_d.py"]
    assert categories(project(tmp_path, dict.fromkeys(files, TEST))) == {
        "unit": ("pytest", ["tests/test_*.py", "tests/more"]),
        "api": ("pytest", ["tests/api"]),
    }


def test_files_are_named_where_no_pattern_holds_them(tmp_path: Path) -> None:
    files = ["tests/test_a.py", "tests/test_b.py", "tests/test_smoke.py", "[x]/test_1.py",
             "[x]/test_2.py", "[x]/test_perf.py"]  # fmt: skip
    assert categories(project(tmp_path, dict.fromkeys(files, TEST))) == {
        "unit": ("pytest",
                 ["[x]/test_1.py", "[x]/test_2.py", "tests/test_a.py", "tests/test_b.py"]),
        "smoke": ("pytest", ["tests/test_smoke.py"]),
        "performance": ("pytest", ["[x]/test_perf.py"]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pyproject.toml", '[tool.pytest.ini_options]\ntestpaths = ["checks"]\n'
                           'python_files = ["check_*.py"]\n'),
        ("pyproject.toml", '[tool.pytest]\ntestpaths = ["che*"]\npython_files = ["check_*.py"]\n'),
        ("pytest.toml", '[pytest]\ntestpaths = ["checks"]\npython_files = ["check_*.py"]\n'),
        ("pytest.ini", "[pytest]\ntestpaths = checks\npython_files = check_*.py\n"),
        ("tox.ini", "[tox]\n[pytest]\ntestpaths =\n    checks\npython_files = check_*.py\n"),
        ("setup.cfg", "[tool:pytest]\ntestpaths = checks/\npython_files = check_*.py\n"),
    ],
)  # fmt: skip
def test_pytests_configuration_says_where_tests_are(tmp_path: Path, name: str, text: str) -> None:
    files = ["checks/check_a.py", "checks/deep/check_b.py", "other/check_c.py", "test_d.py"]
    folder = project(tmp_path, {**dict.fromkeys(files, TEST), name: text})
    assert categories(folder) == {"unit": ("pytest", ["checks"])}


@pytest.mark.parametrize(
    ("name", "text"),
    [("pyproject.toml", "[tool"), ("pyproject.toml", "tool = 3\n"), ("pytest.ini", "x"),
     ("tox.ini", "[pytest]\ntestpaths = 'a\n"), ("pyproject.toml", "[tool.pytest]\ntestpaths=3\n")],
)  # fmt: skip
def test_a_configuration_that_cannot_be_read_says_nothing(
    tmp_path: Path, name: str, text: str
) -> None:
    folder = project(tmp_path, {name: text, "tests/test_a.py": TEST})
    assert categories(folder) == {"unit": ("pytest", ["tests"])}


MARKED = {
    "pytest.ini": "[pytest]\nmarkers =\n    smoke\n    integration\n    db\n    critical\n",
    "tests/test_plain.py": TEST,
    "tests/test_mixed.py": """\
from pytest import mark
import pytest

@pytest.mark.smoke
def test_quick(): pass

@mark.integration
class TestThings:
    def test_slow(self): pass
    @pytest.mark.db
    def test_rows(self): pass

class TestMore:
    pytestmark = [pytest.mark.smoke()]
    def test_also_quick(self): pass

@pytest.mark.parametrize("n", [1, 2])
def test_unit(n): pass
""",
    "tests/test_whole.py": "import pytest\npytestmark = pytest.mark.integration\n" + TEST,
    "tests/e2e/test_all.py": """\
import pytest
def test_much(): pass
@pytest.mark.critical
def test_login(): pass
""",
}


def test_markers_of_each_test(tmp_path: Path) -> None:
    path = tmp_path / "test_a.py"
    path.write_text(
        "from pytest import mark\nimport sys\n"
        "pytestmark: list = [mark.a(1), mark.b]\n"
        "@mark.c\nasync def test_1(): pass\n"
        "def helper():\n    def test_inner(): pass\n"
        "if sys:\n    @other.mark.d\n    def test_2(): pass\n"
        "class T:\n    pytestmark = mark.e\n    class U:\n        def test_3(self): pass\n"
    )
    assert pytestfiles.marks_of_tests(path) == [
        frozenset("abc"), frozenset("abd"), frozenset("abe"),
    ]  # fmt: skip


def test_markers_make_categories(tmp_path: Path) -> None:
    assert categories(project(tmp_path, MARKED)) == {
        "smoke": ("pytest", ["tests/test_mixed.py"], "smoke"),
        "unit": ("pytest", ["tests/test_*.py"], "not db and not integration and not smoke"),
        "database": ("pytest", ["tests/test_mixed.py"], "db"),
        "integration": ("pytest", ["tests/test_mixed.py", "tests/test_whole.py"],
                        "(integration) and not db"),
        "e2e_critical": ("pytest", ["tests/e2e"], "critical"),
        "full_e2e": ("pytest", ["tests/e2e"], "not critical"),
    }  # fmt: skip


def collected(folder: Path, *args: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *args],
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [line for line in done.stdout.split("\n") if "::" in line]


def test_every_test_is_in_one_category_by_pytest_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_environment(monkeypatch)
    folder = project(tmp_path, {**MARKED, "tests/api/test_x.py": TEST, "test_perf.py": TEST})
    every = collected(folder)
    assert len(every) == 12
    parts: list[str] = []
    for framework, paths, *markers in categories(folder).values():
        assert framework == "pytest"
        words = [w for path in paths for w in (glob.glob(path, root_dir=folder) or [path])]
        some = collected(folder, *(f"-m={one}" for one in markers), *words)
        assert some
        parts += some
    assert sorted(parts) == sorted(every)


def test_many_files_with_a_marker_are_one_folder(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.smoke\n" + TEST + "def test_two(): pass\n"
    files = {f"tests/{name}/test_{name}.py": text for name in "abcdef"}
    found = categories(project(tmp_path, {**files, "tests/test_x.py": TEST}))
    assert found["smoke"] == ("pytest", ["tests"], "smoke")
    assert found["unit"] == ("pytest", ["tests"], "not smoke")


def test_a_marker_that_no_test_has_makes_no_category(tmp_path: Path) -> None:
    found = categories(
        project(tmp_path, {"pytest.ini": MARKED["pytest.ini"], "tests/test_a.py": TEST})
    )
    assert found == {"unit": ("pytest", ["tests"])}


def test_files_without_tests_make_no_category(tmp_path: Path) -> None:
    found = categories(
        project(tmp_path, {"tests/smoke/test_a.py": "x = 1\n", "tests/test_b.py": TEST})
    )
    assert found == {"unit": ("pytest", ["tests"])}


def test_a_file_that_is_broken_is_run_nevertheless(tmp_path: Path) -> None:
    folder = project(tmp_path, {"tests/test_a.py": "def (", "tests/api/test_b.py": "\0"})
    assert sorted(categories(folder)) == ["api", "unit"]


def test_environments_and_what_was_built_are_no_tests(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        {
            "tests/test_a.py": TEST, "env/pyvenv.cfg": "", "env/lib/test_x.py": TEST,
            "build/tests/test_x.py": TEST, ".tox/test_x.py": TEST,
            "node_modules/x/test_x.py": TEST, "dist/test_x.py": TEST,
        },
    )  # fmt: skip
    assert categories(folder) == {"unit": ("pytest", ["tests"])}


@pytest.mark.parametrize(
    ("path", "category"),
    [
        ("tests/smoke/test_x.py", "smoke"), ("tests/test_smoke.py", "smoke"),
        ("tests/unit/database/test_x.py", "unit"), ("unit_tests/test_x.py", "unit"),
        ("tests/integration/db/test_x.py", "database"), ("tests/db/test_x.py", "database"),
        ("tests/integration/test_api.py", "api"), ("tests/test_api.py", None),
        ("tests/integration-api/test_x.py", "api"), ("tests/rest/test_x.py", "api"),
        ("src/api/tests/test_x.py", None), ("src/api/test_x.py", None),
        ("tests/ws/test_x.py", "websocket"), ("tests/functional/test_x.py", "integration"),
        ("tests/workflows/test_x.py", "agent_workflows"), ("tests/ui/x.spec.ts", "frontend"),
        ("tests/e2e/test_x.py", "full_e2e"), ("end-to-end/x.spec.ts", "full_e2e"),
        ("tests/e2e/test_critical_path.py", "e2e_critical"),
        ("tests/e2e/critical/x.spec.ts", "e2e_critical"), ("tests/test_critical.py", None),
        ("benchmarks/test_x.py", "performance"), ("tests/test_perf.py", "performance"),
        ("tests/Integration/test_x.py", "integration"), ("x.test.js", None),
    ],
)  # fmt: skip
def test_what_paths_tell(path: str, category: str | None) -> None:
    assert finding.category_of(path) == category


# --------------------------------------------------------------- other languages


def test_jest_alone(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        {
            "package.json": {**PACKAGE, "devDependencies": {"jest": "30"}},
            "src/a.test.js": "", "src/b.test.ts": "", "src/b.ts": "",
            "tests/integration/c.test.js": "", "node_modules/x/x.test.js": "",
        },
    )  # fmt: skip
    assert categories(folder) == {
        "unit": ("jest", ["src"]), "integration": ("jest", ["tests/integration"]),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("package", "framework"),
    [
        ({"devDependencies": {"vitest": "3"}}, "vitest"),
        ({"dependencies": {"mocha": "11"}}, "mocha"),
        ({"devDependencies": {"jest": "1", "mocha": "1"}, "scripts": {"test": "mocha"}}, "mocha"),
        ({"devDependencies": {"jest": "1", "mocha": "1"}}, "jest"),
        ({"scripts": {"test": "node --test"}}, "node"),
        ({"devDependencies": {"jest": "1"}, "scripts": {"test": "node --test"}}, "node"),
    ],
)
def test_the_frameworks_of_a_package(
    tmp_path: Path, package: dict[str, Any], framework: str
) -> None:
    folder = project(tmp_path, {"package.json": {**PACKAGE, **package}, "test/a.test.js": ""})
    assert categories(folder) == {"unit": (framework, ["test"])}


def test_playwright_and_cypress_beside_vitest(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        {
            "package.json": {**PACKAGE, "devDependencies": {
                "vitest": "3", "@playwright/test": "1", "cypress": "1"}},
            "playwright.config.ts": "export default { testDir: './browser' }",
            "cypress.config.ts": "",
            "src/a.spec.ts": "", "browser/b.spec.ts": "", "browser/critical/c.spec.ts": "",
            "browser/smoke/d.spec.ts": "", "cypress/e2e/e.cy.ts": "", "src/f.cy.tsx": "",
        },
    )  # fmt: skip
    assert categories(folder) == {
        "smoke": ("playwright", ["browser/smoke"]),
        "unit": ("vitest", ["src"]),
        "full_e2e": ("playwright", ["browser/b.spec.ts", "browser/critical"]),
        "cypress": ("cypress", ["cypress/e2e"]),
    }


def test_playwright_without_a_folder_of_its_own_takes_what_is_end_to_end(tmp_path: Path) -> None:
    package = {**PACKAGE, "devDependencies": {"jest": "1", "@playwright/test": "1"}}
    files = {"package.json": package, "playwright.config.js": "", "a.spec.js": "",
             "e2e/b.spec.js": "", "e2e/critical/c.spec.js": ""}  # fmt: skip
    assert categories(project(tmp_path, files)) == {
        "unit": ("jest", ["a.spec.js"]),
        "e2e_critical": ("playwright", ["e2e/critical"]),
        "full_e2e": ("playwright", ["e2e/b.spec.js"]),
    }


def test_a_frontend_beside_python(tmp_path: Path) -> None:
    scripts = {"scripts": {"test": "vitest"}, "devDependencies": {"vitest": "3"}}
    folder = project(
        tmp_path,
        {
            "tests/test_a.py": TEST, "frontend/package.json": {**PACKAGE, **scripts},
            "frontend/src/a.test.ts": "", "admin/package.json": {**PACKAGE, **scripts},
            "none/package.json": {**PACKAGE, "devDependencies": {"jest": "1"}, "scripts": {
                "test": 'echo "Error: no test specified" && exit 1'}},
        },
    )  # fmt: skip
    assert categories(folder) == {
        "unit": ("pytest", ["tests"]),
        "frontend": (["npm", "--prefix", "admin", "test"],),
        "frontend_frontend": (["npm", "--prefix", "frontend", "test"],),
    }
    layer = layers_of(folder)["service_integration"]
    assert [one["environment"] for one in layer["categories"]] == [{"CI": "true"}] * 2


def test_packages_whose_names_come_to_the_same(tmp_path: Path) -> None:
    package = {**PACKAGE, "scripts": {"test": "jest"}, "devDependencies": {"jest": "1"}}
    names = ["a-b", "a.b", "a_b", "x"]
    folder = project(tmp_path, {f"{name}/package.json": package for name in names})
    assert list(categories(folder)) == ["unit", "unit_a_b", "unit_a_b_2", "unit_x"]


def test_a_script_of_a_framework_that_is_not_known(tmp_path: Path) -> None:
    folder = project(tmp_path, {"package.json": {**PACKAGE, "scripts": {"test": "ava"}}})
    assert categories(folder) == {"unit": (["npm", "test"],)}


@pytest.mark.parametrize("text", ["{", "[]", '{"devDependencies": []}', "\x00", "[" * 10_000])
def test_a_package_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    folder = project(tmp_path, {"package.json": text, "a.test.js": "", "tests/test_a.py": TEST})
    assert categories(folder) == {"unit": ("pytest", ["tests"])}


def test_go(tmp_path: Path) -> None:
    files = {"go.mod": "module x\n", "x.go": "package x\n", "a/a_test.go": "package a\n"}
    assert categories(project(tmp_path, files)) == {"unit": ("go", ["."], ["./..."])}


def test_go_in_several_categories(tmp_path: Path) -> None:
    files = ["a/a_test.go", "a/b_test.go", "b/integration_test.go", "integration/c_test.go"]
    folder = project(tmp_path, {"go.mod": "module x\n", **dict.fromkeys(files, "package p\n")})
    assert categories(folder) == {
        "unit": ("go", ["a", "b"]),
        "integration": ("go", ["integration"]),
    }


def test_go_without_a_package_in_its_folder(tmp_path: Path) -> None:
    folder = project(tmp_path, {"go.mod": "module x\n", "a/a_test.go": "package a\n"})
    assert categories(folder) == {"unit": ("go", ["a"])}


def test_cargo(tmp_path: Path) -> None:
    manifest = '[package]\nname = "x"\nversion = "0.1.0"\n'
    folder = project(
        tmp_path,
        {
            "Cargo.toml": manifest, "src/lib.rs": "mod a;", "src/a.rs": "#[tokio::test]\n",
            "tests/one.rs": "", "tests/smoke.rs": "", "tests/common/mod.rs": "",
            "target/x/src/lib.rs": "", "sub/Cargo.toml": manifest, "sub/src/main.rs": "#[test]",
        },
    )  # fmt: skip
    assert categories(folder) == {
        "smoke": ("cargo", ["tests/smoke.rs"]),
        "unit": ("cargo", ["."], ["--lib"]),
        "integration": ("cargo", ["tests/one.rs"]),
    }


def test_several_languages_have_categories_beside_each_other(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        {
            "tests/test_a.py": TEST, "go.mod": "module x\n", "a/a_test.go": "package a\n",
            "tests/api/test_b.py": TEST, "tests/api/b.test.js": "", "web/c.test.js": "",
            "package.json": {**PACKAGE, "devDependencies": {"jest": "1"}},
        },
    )  # fmt: skip
    assert categories(folder) == {
        "unit": ("pytest", ["tests/test_a.py"]), "unit_go": ("go", ["a"]),
        "api": ("pytest", ["tests/api"]), "api_jest": ("jest", ["tests/api"]),
        "frontend": ("jest", ["web"]),
    }  # fmt: skip


def test_a_project_without_tests_is_told(tmp_path: Path) -> None:
    project(tmp_path, {"a.py": "", "a.test.js": "", "README": ""})
    with pytest.raises(ConfigError) as caught:
        write(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no tests are found in it, neither of pytest nor of jest, mocha, vitest, "
        "node, playwright, cypress, go or cargo"
    )
    assert sorted(os.listdir(tmp_path)) == ["README", "a.py", "a.test.js"]


NAMES = ["true", "no", "1", "a b", "a: b", "#x", "[y]", "*a", "&a", "'q'", '"d"', "a\\b", "é", "~",
         "-", "- x", "?", "a,b", "{z}", "@", "%", "!t", "|", "1.5", "0x1", "\U0001f600", "=", "<<",
         "a #b", "x" * 120]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_paths_of_any_name_are_written_as_they_are(tmp_path: Path, name: str) -> None:
    files = {f"{name}/test_a.py": TEST, "tests/api/test_b.py": TEST, "c/d/test_c.py": TEST}
    paths = categories(project(tmp_path, files))["unit"][1]
    assert sorted(paths) == sorted([name, "c/d"])


def test_names_that_no_text_could_hold_are_left_alone(tmp_path: Path) -> None:
    project(tmp_path, {"tests/test_a.py": TEST})
    os.mkdir(os.fsencode(tmp_path) + b"/t\xff")
    with open(os.fsencode(tmp_path) + b"/t\xff/test_b.py", "w") as file:
        file.write(TEST)
    project(tmp_path, {"a\nb/test_c.py": TEST, "e\x1b[2J/test_d.py": TEST})
    assert categories(tmp_path) == {"unit": ("pytest", ["tests"])}


PARTS = st.sampled_from(["tests", "unit", "e2e", "api", "critical", "src", "smoke", "a b", "perf"])
FILES = st.sampled_from(
    ["test_a.py", "test_b.py", "smoke_test.py", "x_test.go", "go.mod", "x.go", "a.test.js",
     "b.spec.ts", "c.cy.js", "package.json", "playwright.config.ts", "Cargo.toml", "lib.rs",
     "pytest.ini", "cypress.config.js", "main.rs"]
)  # fmt: skip
TEXTS = st.sampled_from(
    [TEST, "import pytest\npytestmark = pytest.mark.smoke\n" + TEST, "#[test]\n",
     '{"devDependencies": {"jest": "1", "@playwright/test": "1"}}', "testDir: '..'", "\0",
     '{"scripts": {"test": "make"}}', "[pytest]\ntestpaths = tests\n",
     "import pytest\n@pytest.mark.api\n" + TEST + "def test_2(): pass\n"]
)  # fmt: skip


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    files=st.dictionaries(
        st.tuples(st.lists(PARTS, max_size=3), FILES).map(lambda x: "/".join([*x[0], x[1]])),
        TEXTS, max_size=8,
    )
)  # fmt: skip
def test_whatever_a_project_holds_what_is_written_is_right(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, str]
) -> None:
    folder = project(tmp_path_factory.mktemp("any"), files)
    try:
        layers_of(folder)
    except ConfigError as error:
        assert "no tests are found" in str(error)


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
