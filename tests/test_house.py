"""The house: what is shipped, who may import whom, and what importing costs."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from vx32py import guest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("reference", "jit", "vx32py", "conformance")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling, which the `test` extra installs")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT)], check=True)
    (made,) = folder.glob("*.whl")
    return made


def test_the_wheel_has_the_four_packages_and_all_of_their_data(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package in PACKAGES:
        assert f"{package}/__init__.py" in names
        assert f"{package}/py.typed" in names
    for file in guest.plan9_files():  # and those of other guests
        assert file.relative_to(ROOT).as_posix() in names
    for file in (ROOT / "jit").glob("*.s"):
        assert f"jit/{file.name}" in names
    info = {name.split("/")[0] for name in names if "/" in name}
    assert {name for name in info if not name.endswith(".dist-info")} == set(PACKAGES)


def test_the_wheel_has_the_licence_and_the_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (commands,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert "vx32py = vx32py.cli:main" in commands
    assert [name for name in names if name.endswith("licenses/LICENSE")]


def test_the_installed_package_finds_its_guest_library(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import vx32py.guest as guest\n"
        "assert guest.INCLUDE.joinpath('vx.h').is_file() and guest.LIBRARY.is_file() and guest.LINKER_SCRIPT.is_file()\n"
        "print(guest.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.startswith(str(tmp_path))


def test_reference_runs_where_nothing_is_installed() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "reference").rglob("*.py"))
    ]
    script = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nimport importlib\n" + "".join(
        f"importlib.import_module({name!r})\n" for name in modules
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)


def test_imports_point_one_way() -> None:
    allowed = dict(zip(PACKAGES, [PACKAGES[: i + 1] for i in range(len(PACKAGES))], strict=True))
    wrong = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_bytes())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    top = name.partition(".")[0]
                    if top in PACKAGES and top not in allowed[package]:
                        wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_what_a_start_needs_makes_its_dataclasses_quickly() -> None:
    """The standard module takes as long to import as all of the package together: reference.records has its decorator."""
    wrong = []
    for package in ("reference", "jit", "vx32py"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_bytes()).body:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if "dataclasses" in [*names, getattr(node, "module", None)]:
                    wrong.append(str(path.relative_to(ROOT)))
    assert not wrong


def test_importing_vx32py_loads_nothing_heavy() -> None:
    heavy = {"numba", "numpy", "llvmlite", "capstone", "elftools", "click", "rich"}
    script = f"import sys, vx32py; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("package", [*PACKAGES, "tests"])
def test_every_module_says_what_it_is_for(package: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / package).rglob("*.py"))
        if not ast.get_docstring(ast.parse(path.read_bytes())) and path.read_bytes().strip()
    ]
    assert not silent


def test_the_bootstrap_script_is_plain_sh() -> None:
    subprocess.run(["sh", "-n", str(ROOT / "tools" / "bootstrap")], check=True)
