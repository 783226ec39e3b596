"""The C export: compiles without a word, stays inside its arrays, and gives the same bits."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astroprep.compress.integer import IntegerNetwork
from astroprep.deploy.c99 import c99_sources, write_c99
from astroprep.errors import ConfigError
from tests.deploy.test_kernel import odd_network, saturating

WARNINGS = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O1"]
MAIN = """
#include <stdio.h>
#include "astroprep.h"
static uint8_t folded[ASTROPREP_N_CHANNELS * ASTROPREP_N_BINS];
static uint8_t extra[ASTROPREP_N_AUXILIARY + 1];
int main(void)
{
    static const float inverse[] = ASTROPREP_FOLDED_INVERSE;
    static const char *const names[] = ASTROPREP_CLASS_NAMES;
    int32_t logits[ASTROPREP_N_CLASSES], best;
    if (sizeof inverse != ASTROPREP_N_CHANNELS * sizeof(float)
        || sizeof names != ASTROPREP_N_CLASSES * sizeof *names
        || !(ASTROPREP_LOGIT_SCALE > 0.0F))
        return 1;
    while (fread(folded, 1, sizeof folded, stdin) == sizeof folded
           && fread(extra, 1, ASTROPREP_N_AUXILIARY, stdin) == ASTROPREP_N_AUXILIARY) {
        best = astroprep_classify(folded, extra, logits);
        fwrite(logits, sizeof logits, 1, stdout);
        fwrite(&best, sizeof best, 1, stdout);
    }
    return 0;
}
"""


def run_c(
    network: IntegerNetwork,
    levels: tuple[Any, Any],
    folder: Path,
    compiler: list[str],
    runner: tuple[str, ...] = (),
    order: str = "<",
) -> Any:
    """Logits and the best class as the compiled program writes them, in its order of bytes."""
    classes = ["a", 'b"\\??=%s\n', "RR Lyræ", *"defgh"]
    write_c99(network, folder, classes[: network.spec["n_classes"]])
    (folder / "main.c").write_text(MAIN)
    program = folder / "program"
    sources = [str(folder / name) for name in ("astroprep.c", "main.c")]
    subprocess.run([*compiler, *WARNINGS, *sources, "-o", str(program)], check=True)
    data = b"".join(a.tobytes() + b.tobytes() for a, b in zip(*levels, strict=True))
    done = subprocess.run([*runner, str(program)], input=data, capture_output=True, check=True)
    assert not done.stderr
    return np.frombuffer(done.stdout, f"{order}i4").reshape(len(levels[0]), -1)


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
@pytest.mark.parametrize(("preset", "n_auxiliary"), [("nano", 7), ("micro", 0), ("small", 7)])
def test_same_bits_under_sanitizers(
    make_integer: Any, tmp_path: Path, preset: str, n_auxiliary: int
) -> None:
    network, _, levels = make_integer(preset, n_auxiliary)
    expected = network.evaluate(*levels)

    out = run_c(network, levels, tmp_path, ["gcc", *SANITIZERS])

    np.testing.assert_array_equal(out[:, :-1], expected)
    np.testing.assert_array_equal(out[:, -1], expected.argmax(axis=1))


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
def test_saturated_sums_do_not_overflow(make_integer: Any, tmp_path: Path) -> None:
    """The sanitizer would stop at the first signed overflow."""
    network, _, levels = make_integer("micro", 7, 4)
    full = saturating(network)
    ends = tuple(
        np.repeat(np.array([0, 255, 1, 254], np.uint8), a[0].size).reshape(a.shape) for a in levels
    )

    out = run_c(full, ends, tmp_path, ["gcc", *SANITIZERS])

    np.testing.assert_array_equal(out[:, :-1], full.evaluate(*ends))


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
@pytest.mark.parametrize(
    ("n_bins", "fires"), [*((n, [[3, 5, 3], [6, 5, 40], [4, 5, 7]]) for n in (1, 7, 65)), (7, [])]
)
def test_dilations_wider_than_the_circle(n_bins: int, fires: Any, tmp_path: Path) -> None:
    """Taps that come back to the middle one, and taps several turns away; no module at all."""
    network, levels = odd_network(n_bins, fires)

    out = run_c(network, levels, tmp_path, ["gcc", *SANITIZERS])

    np.testing.assert_array_equal(out[:, :-1], network.evaluate(*levels))


def test_integers_only_and_no_library(make_integer: Any) -> None:
    source, _ = c99_sources(make_integer("micro", 7)[0], ["a", "b", "c"])
    code = [line for line in source.splitlines() if not line.startswith(("/*", " *"))]
    words = set(" ".join(code).replace("(", " ").replace("*", " ").split())
    assert not words & {"float", "double", "malloc", "calloc", "free", "int64_t"}
    assert [line for line in code if line.startswith("#include")] == ['#include "astroprep.h"']
    assert source.isascii()


def test_whole_numbers_are_literals_of_floats(make_integer: Any) -> None:
    """``1F`` is no literal of C."""
    network = dataclasses.replace(make_integer("nano", 7)[0], logit_scale=1.0)
    assert "LOGIT_SCALE 1.0F\n" in c99_sources(network, ["a", "b", "c"])[1]


def test_equal_text_and_a_name_of_its_own(make_integer: Any) -> None:
    network = make_integer("nano", 7)[0]
    first = c99_sources(network, ["a", "b", "c"], name="stars_2")
    assert first == c99_sources(network, ["a", "b", "c"], name="stars_2")
    assert "int stars_2_classify(" in first[1]
    for name in ("9", "a-b", "A", "", "é"):
        with pytest.raises(ConfigError, match="lower-case identifier"):
            c99_sources(network, ["a", "b", "c"], name=name)
