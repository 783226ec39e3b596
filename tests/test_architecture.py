"""Imports flow one way, packages that few need stay out, files keep the house rules."""

from __future__ import annotations

import ast
import compileall
import importlib
import os
import pkgutil
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import astroprep

ROOT = Path(astroprep.__file__).parent
LEVELS = [
    {"errors", "lazy"},
    {"arrow_arrays", "columns", "estimator", "meta", "optional", "rejected", "threads", "units"},
    {"usable"},
    {"data"},
    {"interchange"},
    {"base", "synthetic"},
    {"surveys"},
    {"io"},
    {"period"},
    {"clean"},
    {"detrend"},
    {"integrate"},
    {"features", "represent"},
    {"reduce", "quality"},
    {"model"},
    {"compress"},
    {"deploy"},
    {"plot"},
    {"report"},
    {"pipeline"},
    {"nightly", "scale"},
    {"cli"},
]
LEVEL = {room: i for i, rooms in enumerate(LEVELS) for room in rooms}
FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        rooms |= {name.split(".")[1] for name in names if name.startswith("astroprep.")}
    return rooms


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down_the_list_only(path):
    room = room_of(path)
    if room == "__init__":
        return  # the top offers names of every room, on first use
    assert room in LEVEL, f"room {room!r} has no place in LEVELS"
    for other in imported_rooms(path) - {room}:
        assert LEVEL[other] < LEVEL[room], f"{path.name}: {room} may not import {other}"


def test_there_are_no_catch_all_modules_and_no_empty_rooms():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "helpers", "common", "misc"}
    for folder in {path.parent for path in FILES}:
        assert [f for f in folder.glob("*.py") if f.name != "__init__.py"], f"{folder} is empty"


def test_every_module_says_what_it_is_for():
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text())), path


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_kernels_are_compiled_once(path):
    """Numba's parallel loops compile their body twice more; `astroprep.threads` does not."""
    slower = ROOT / "detrend" / "average.py"  # half as slow again without
    assert path == slower or "parallel=True" not in path.read_text()


HEAVY = (
    "torch onnx onnxruntime matplotlib lightkurve lsdb deltalake fastavro cramjam confluent_kafka"
)
LEAN = [
    "import astroprep",
    "import astroprep.io, astroprep.clean, astroprep.detrend, astroprep.period",
    "import astroprep.features, astroprep.represent, astroprep.quality",
    "import astroprep.deploy.bundle, astroprep.deploy.runtime",
    "import astroprep.pipeline.classify, astroprep.cli.main",
    "import astroprep.nightly, astroprep.io.avro",
]


@pytest.mark.parametrize("statement", LEAN)
def test_importing_loads_nothing_heavy(statement):
    code = f"{statement}\nimport sys\nprint([m for m in {HEAVY.split()!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_classifying_imports_nothing_that_only_training_needs():
    """`tests/pipeline/test_run.py` looks again when an object has been classified."""
    code = """
import sys
import astroprep.cli.main, astroprep.pipeline.classify
from astroprep.pipeline.steps import find_step
for name in ("FlagBad", "SigmaClip", "PeriodSearch", "FeatureExtractor", "FoldedChannels"):
    assert find_step(name)
heavy = "sklearn scipy.stats scipy.optimize scipy.special pandas rich.console matplotlib torch"
print([m for m in heavy.split() if m in sys.modules])"""
    words = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_the_kernels_that_open_a_bundle_are_there_when_they_are_imported():
    code = """
from astroprep.deploy import bundle, runtime
from astroprep.compress import arithmetic
kernels = arithmetic.code_bits, arithmetic.code_numbers, arithmetic.code_weights
print([len(kernel.overloads) for kernel in kernels])"""
    words = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[1, 1, 1]"


def test_a_public_function_is_not_hidden_by_the_module_of_its_name():
    code = """
import astroprep.period.fold, astroprep.integrate.crossmatch
from astroprep.period import fold
from astroprep.integrate import crossmatch
print(callable(fold), callable(crossmatch), hasattr(astroprep.period, "no_such_name"))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True", "False"]


def test_a_frozen_program_of_bytecode_alone_has_all_names(tmp_path):
    """No source lies beside its modules; numba caches kernels without one if frozen only."""
    shutil.copytree(ROOT, tmp_path / "astroprep", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(tmp_path / "astroprep", quiet=2, legacy=True)
    for path in (tmp_path / "astroprep").rglob("*.py"):
        path.unlink()
    code = """
import sys
sys.frozen = True
import astroprep, astroprep.io, astroprep.clean
assert astroprep.__file__.endswith("__init__.pyc")
assert astroprep.io.read_provenance and astroprep.FlagBad and "FlagBad" in dir(astroprep.clean)
assert "annotations" not in dir(astroprep.io)"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_step_is_an_estimator_without_scikit_learn():
    """Whose own tags, clone and message for a wrong name are the measure."""
    from sklearn.base import clone
    from sklearn.utils import get_tags

    from astroprep.clean import SigmaClip

    step = SigmaClip(on_bad="reject")
    assert clone(step).get_params() == step.get_params()
    assert repr(step) == "SigmaClip(on_bad='reject')"
    assert get_tags(step).transformer_tags is not None
    with pytest.raises(ValueError, match="no setting 'windw'"):
        step.set_params(windw=3)


def test_all_public_names_exist():
    for module in pkgutil.walk_packages(astroprep.__path__, "astroprep."):
        loaded = importlib.import_module(module.name)
        for name in getattr(loaded, "__all__", []):
            assert hasattr(loaded, name), f"{module.name}.{name}"
    for name in astroprep.__all__:
        assert getattr(astroprep, name) is not None
