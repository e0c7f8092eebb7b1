"""What `qe layers init` finds in real projects, by folders, markers and manifests."""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents_help import settle_environment
from layers_projects import MARKED, PACKAGE, TEST, categories, collected, layers_of, project
from pytest_qe.orchestration import finding, pytestfiles
from pytest_qe.orchestration.defaults import write
from pytest_qe.orchestration.mistakes import ConfigError

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
