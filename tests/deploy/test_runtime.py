"""The runtime: the same bits alone or in a crowd, calibrated, and free of torch."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astroprep.deploy.bundle import Bundle, Golden, bundle_bytes, parse_bundle, write_bundle
from astroprep.deploy.runtime import BATCH_SIZE, Runtime
from astroprep.errors import ConfigError, DataError


def test_results_do_not_depend_on_company_or_order(bundle: Bundle, make_inputs: Any) -> None:
    runtime = Runtime(bundle)
    folded, auxiliary = make_inputs(2 * BATCH_SIZE + 9)
    together = runtime.logits(folded, auxiliary)

    order = np.random.default_rng(0).permutation(len(folded))
    shuffled = runtime.logits(folded[order], auxiliary[order])
    alone = np.concatenate(
        [runtime.logits(folded[i : i + 1], auxiliary[i : i + 1]) for i in (0, 70, 136)]
    )

    np.testing.assert_array_equal(shuffled, together[order])
    np.testing.assert_array_equal(alone, together[[0, 70, 136]])


def test_threads_do_not_change_the_answer(bundle: Bundle, make_inputs: Any) -> None:
    inputs = make_inputs(50)
    np.testing.assert_array_equal(
        Runtime(bundle, n_threads=2).logits(*inputs), Runtime(bundle).logits(*inputs)
    )


def test_probabilities_are_softmax_of_scaled_logits(bundle: Bundle, make_inputs: Any) -> None:
    runtime, inputs = Runtime(bundle), make_inputs(20)
    scaled = np.exp(runtime.logits(*inputs).astype(np.float64) / 1.25)
    expected = scaled / scaled.sum(axis=1, keepdims=True)

    np.testing.assert_allclose(runtime.predict_proba(*inputs), expected, rtol=1e-12)

    wanted = np.array([0.1, 0.1, 0.8])
    moved = expected * wanted / np.asarray(bundle.priors)
    moved /= moved.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(runtime.predict_proba(*inputs, priors=wanted), moved, rtol=1e-12)


def test_nothing_in_nothing_out(bundle: Bundle, make_inputs: Any) -> None:
    assert Runtime(bundle).predict_proba(*make_inputs(0)).shape == (0, 3)


def test_bad_inputs_are_named(bundle: Bundle, make_inputs: Any) -> None:
    runtime = Runtime(bundle)
    folded, auxiliary = make_inputs(5)
    with pytest.raises(DataError, match=r"'folded' of shape \(5, 4, 32\), got \(5, 4, 31\)"):
        runtime.logits(folded[..., :-1], auxiliary)
    with pytest.raises(DataError, match=r"'auxiliary' of shape \(5, 7\), got \(4, 7\)"):
        runtime.logits(folded, auxiliary[:4])
    folded[3, 0, 0] = np.nan
    with pytest.raises(DataError, match="row 3 is not; 1 of 5 rows"):
        runtime.logits(folded, auxiliary)
    huge = folded.astype(np.float64)
    huge[3, 0, 0] = 1e300  # finite, but not in float32
    with pytest.raises(DataError, match="row 3 is not; 1 of 5 rows"):
        runtime.logits(huge, auxiliary)
    with pytest.raises(DataError, match="one number for each of the 3 classes"):
        runtime.predict_proba(*make_inputs(2), priors=np.ones(4))
    with pytest.raises(ConfigError, match="n_threads"):
        Runtime(bundle, n_threads=0)


def test_any_array_of_numbers_will_do(integer_bundle: Bundle, make_inputs: Any) -> None:
    """Not contiguous, read-only, off its boundary, of another order of bytes or precision."""
    folded, auxiliary = make_inputs(5)
    shifted = np.zeros(folded.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(folded.shape)
    shifted[...] = folded
    shut = folded.copy()
    shut.flags.writeable = False
    others = [folded.astype(">f4"), folded.astype(np.float64), np.asfortranarray(folded)]
    for engine in ("integer", "float"):
        runtime = Runtime(integer_bundle, engine=engine)
        expected = runtime.logits(folded, auxiliary)
        for other in (*others, shifted, shut, np.repeat(folded, 2, axis=2)[:, :, ::2]):
            np.testing.assert_array_equal(runtime.logits(other, auxiliary), expected)
        extra = np.asfortranarray(auxiliary.astype(">f8"))
        np.testing.assert_array_equal(runtime.logits(folded, extra), expected)


def test_wrong_golden_vectors_stop_it(bundle: Bundle) -> None:
    golden = bundle.golden
    lying = Golden(golden.folded, golden.auxiliary, golden.logits + np.float32(0.01))
    with pytest.raises(DataError, match=r"golden vectors are off by 0\.01"):
        Runtime(dataclasses.replace(bundle, golden=lying))


def test_a_graph_of_another_network_stops_it(bundle: Bundle) -> None:
    """Consistent names and shapes, but the graph computes something else."""
    swapped = bundle.graph.replace(b"ReduceMax\x2a", b"ReduceMin\x2a")
    with pytest.raises((DataError, ConfigError), match="graph"):
        Runtime(parse_bundle(bundle_bytes(dataclasses.replace(bundle, graph=swapped)), "x"))


def test_a_graph_with_a_name_that_is_no_text_is_one_clear_error(
    bundle: Bundle, capfd: pytest.CaptureFixture[str]
) -> None:
    """ONNX Runtime cannot decode its own message then, and would print and try again."""
    odd = bundle.graph.replace(b"\x02t3", b"\x02t\x99", 1)
    with pytest.raises(DataError, match=r"cannot run graph\.onnx"):
        Runtime(parse_bundle(bundle_bytes(dataclasses.replace(bundle, graph=odd)), "x"))
    assert capfd.readouterr().out == ""


CLASSIFY = """
import sys
import numpy as np
from astroprep.deploy.runtime import Runtime
runtime = Runtime(sys.argv[1])
network = runtime.bundle.network
rng = np.random.default_rng(5)
folded = rng.normal(size=(3, network["n_channels"], network["n_bins"])).astype(np.float32)
auxiliary = rng.normal(size=(3, network["n_auxiliary"])).astype(np.float32)
loaded = {"torch", "onnx", "matplotlib", "lightkurve", "lsdb"} & set(sys.modules)
print(sorted(loaded), runtime.predict_proba(folded, auxiliary).tobytes().hex())
"""


def test_a_process_without_torch_gives_the_same(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "x.apz"
    write_bundle(path, bundle)
    rng = np.random.default_rng(5)
    folded = rng.normal(size=(3, 4, 32)).astype(np.float32)
    auxiliary = rng.normal(size=(3, 7)).astype(np.float32)
    expected = Runtime(bundle).predict_proba(folded, auxiliary)

    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY, str(path)], capture_output=True, text=True, check=True
    )

    assert done.stdout.split(" ") == ["[]", expected.tobytes().hex() + "\n"]
