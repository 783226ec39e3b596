"""Classify with a bundle: the integer kernel or ONNX Runtime, and numpy; no torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from astroprep.deploy.bundle import Bundle, Golden, read_bundle
from astroprep.deploy.integer_part import IntegerPart, restore_network
from astroprep.deploy.kernel import IntegerKernel
from astroprep.errors import ConfigError, DataError
from astroprep.model.outputs import Outputs
from astroprep.optional import need

__all__ = ["GOLDEN_TOLERANCE", "Engine", "Runtime", "golden_vectors"]

Engine = Literal["auto", "float", "integer"]

BATCH_SIZE = 64
"""Curves in every call of the graph, the last one filled up with zeros."""

BLOCK = 256
"""Rows that are looked through at a time: what says which of them are finite stays in the cache."""

GOLDEN_TOLERANCE = 1e-4
"""Largest difference of a golden logit, relative to the largest magnitude among them or to 1.

Sums of a few hundred float32 products taken in another order differ by some 1e-6.
"""


class Runtime:
    """A bundle, ready to classify.

    Parameters
    ----------
    bundle : Bundle or path
        What to run; a path is opened and checked.
    n_threads : int, default 1
        Threads inside one call.
    engine : {"auto", "float", "integer"}
        Integers on the kernel, the same bits on every machine; floats on ONNX Runtime, equal to
        rounding. By default integers where the bundle says how, which is what it was
        calibrated for.

    Attributes
    ----------
    engine : {"float", "integer"}
        What was chosen.

    Raises
    ------
    DataError
        If the bundle is damaged, or this machine does not reproduce its golden vectors: all bits
        of them in integers.
    ConfigError
        If ``n_threads`` is below 1, or the bundle has no integers and they are asked for.

    Attributes
    ----------
    outputs : Outputs
        Calibration, conformal sets and the unknown score, as the bundle carries them.

    Notes
    -----
    Every call of the float graph has the same shape, and a row's result does not depend on its
    neighbours: the same object gives the same bits alone, in a crowd and in any order.
    """

    def __init__(
        self,
        bundle: Bundle | str | os.PathLike[str],
        n_threads: int = 1,
        *,
        engine: Engine = "auto",
    ) -> None:
        if n_threads < 1:
            raise ConfigError(f"n_threads must be at least 1, got {n_threads!r}")
        if engine not in get_args(Engine):
            raise ConfigError(f"engine must be one of {get_args(Engine)}, got {engine!r}")
        self.bundle = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
        self.source = self.bundle.source
        part = self.bundle.integer
        if engine == "integer" and part is None:
            raise ConfigError(f"{self.source}: holds no integer network; use engine='float'")
        tensors = self.bundle.tensors()
        self.engine: Engine = "integer" if part is not None and engine != "float" else "float"
        self._kernel: IntegerKernel | None = None
        if part is not None and self.engine == "integer":
            network = restore_network(part, self.bundle.network, tensors, self.source)
            self._kernel = IntegerKernel(network, n_threads)
            self._prove_integers(part)
        else:
            self._session = _Session(self.bundle.graph, tensors, n_threads, self.source)
            self._prove()
        self.outputs = self._restored()

    def logits(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Run the network.

        Parameters
        ----------
        folded : float32 array, shape (n, n_channels, n_bins)
            Folded channels, finite.
        auxiliary : float32 array, shape (n, n_auxiliary)
            Auxiliaries, normalised with ``bundle.auxiliary_state``, finite.

        Returns
        -------
        float32 array, shape (n, n_classes)
            Logits; a row depends on nothing but its own inputs.

        Raises
        ------
        DataError
            If a shape is not the network's, or a value is not finite.
        """
        folded, auxiliary = self._checked(folded, auxiliary)
        if self._kernel is None:
            return self._session.logits(folded, auxiliary)
        levels = self._kernel.logits(folded, auxiliary)
        return levels.astype(np.float32) * np.float32(self._kernel.network.logit_scale)

    def predict_proba(
        self,
        folded: NDArray[np.float32],
        auxiliary: NDArray[np.float32],
        *,
        priors: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Calibrated probabilities of the classes.

        Parameters
        ----------
        folded : float32 array, shape (n, n_channels, n_bins)
            See `logits`.
        auxiliary : float32 array, shape (n, n_auxiliary)
            See `logits`.
        priors : float64 array, shape (n_classes,), optional
            Class shares expected in this sample, instead of those of the bundle.

        Returns
        -------
        float64 array, shape (n, n_classes)
            Rows sum to 1.

        Raises
        ------
        DataError
            See `logits`; or priors of the wrong number or sign.
        """
        logits = self.logits(folded, auxiliary)
        if priors is not None and np.shape(priors) != (len(self.bundle.classes),):
            raise DataError(
                f"{self.source}: priors must be one number for each of the "
                f"{len(self.bundle.classes)} classes, got shape {np.shape(priors)}"
            )
        return self.outputs.probabilities(logits, priors)

    def _restored(self) -> Outputs:
        bundle = self.bundle
        state = bundle.recipe.get("outputs", {})
        if not isinstance(state, Mapping):
            raise DataError(f"{self.source}: recipe.json: 'outputs' is no table; fetch it again")
        try:
            outputs = Outputs.from_state(state, bundle.temperature, np.asarray(bundle.priors))
        except DataError as error:
            raise DataError(f"{self.source}: recipe.json: {error}; fetch it again") from None
        n = len(bundle.feature_names)
        if outputs.unknown is not None and outputs.unknown.n_auxiliary != n:
            raise DataError(
                f"{self.source}: recipe.json: the unknown score takes "
                f"{outputs.unknown.n_auxiliary} auxiliaries, the network {n}; fetch it again"
            )
        return outputs

    def _checked(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        network = self.bundle.network
        found = []
        for name, given, shape in (
            ("folded", folded, (network["n_channels"], network["n_bins"])),
            ("auxiliary", auxiliary, (network["n_auxiliary"],)),
        ):
            if given.shape != (len(folded), *shape):
                raise DataError(
                    f"{self.source}: the network needs {name!r} of shape "
                    f"{(len(folded), *shape)}, got {given.shape}"
                )
            array = _plain_floats(given)
            parts = [array[start : start + BLOCK] for start in range(0, len(array), BLOCK)]
            if not all(np.isfinite(part).all() for part in parts):
                bad = ~np.concatenate(
                    [np.isfinite(part.reshape(len(part), -1)).all(axis=1) for part in parts]
                )
                raise DataError(
                    f"{self.source}: {name!r} must be finite, but row {int(np.argmax(bad))} is "
                    f"not; {int(bad.sum())} of {bad.size} rows are like this. Reject them first."
                )
            found.append(array)
        return found[0], found[1]

    def _prove_integers(self, part: IntegerPart) -> None:
        golden = self.bundle.golden
        assert self._kernel is not None
        seen = self._kernel.logits(golden.folded, golden.auxiliary)
        if not np.array_equal(seen, part.logits):
            raise DataError(
                f"{self.source}: the integer kernel gives other golden logits than were stored; "
                "the bundle was put together wrongly, or this processor is miscompiled for"
            )

    def _prove(self) -> None:
        golden = self.bundle.golden
        seen = self.logits(golden.folded, golden.auxiliary)
        if seen.shape != golden.logits.shape:
            raise DataError(
                f"{self.source}: graph.onnx gives {seen.shape[1]} classes, the bundle names "
                f"{golden.logits.shape[1]}; the bundle was put together wrongly"
            )
        off = float(np.abs(seen - golden.logits).max())
        if not off <= GOLDEN_TOLERANCE * max(1.0, float(np.abs(golden.logits).max())):
            raise DataError(
                f"{self.source}: this machine's logits of the golden vectors are off by {off:.2g}; "
                "the bundle was put together wrongly, or this onnxruntime computes something else"
            )


def _plain_floats(given: NDArray[Any]) -> NDArray[np.float32]:
    """The same numbers as compiled code reads them; what is too large for float32 is infinite."""
    if given.dtype == np.float32 and given.flags.c_contiguous and given.flags.aligned:
        return given
    with np.errstate(over="ignore"):
        return np.require(given, np.float32, ["C", "A"])


def golden_vectors(
    graph: bytes,
    tensors: Mapping[str, NDArray[np.float32]],
    folded: NDArray[np.float32],
    auxiliary: NDArray[np.float32],
) -> Golden:
    """Golden vectors of a network, computed as the runtime will compute them.

    Parameters
    ----------
    graph : bytes
        From `build_graph`.
    tensors : mapping of str to float32 array
        The decoded weights.
    folded : float32 array, shape (n_golden, n_channels, n_bins)
        A handful of inputs; they are rounded to float16. Each takes its size in the bundle.
    auxiliary : float32 array, shape (n_golden, n_auxiliary)
        Likewise.

    Returns
    -------
    Golden
        For the bundle.
    """
    rounded = [a.astype(np.float16).astype(np.float32) for a in (folded, auxiliary)]
    session = _Session(graph, tensors, 1, "golden vectors")
    return Golden(rounded[0], rounded[1], session.logits(rounded[0], rounded[1]))


class _Session:
    """A graph with its weights inside ONNX Runtime, called in batches of one size."""

    def __init__(
        self, graph: bytes, tensors: Mapping[str, NDArray[np.float32]], n_threads: int, source: str
    ) -> None:
        ort = need("onnxruntime", extra="all", who="the runtime")
        state = need("onnxruntime.capi.onnxruntime_pybind11_state", extra="all", who="the runtime")
        names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoSuchFile")
        self._errors = (
            RuntimeError,
            UnicodeDecodeError,  # its own message about a name that is no text
            *(getattr(state, n) for n in (*names, "NotImplemented", "RuntimeException")),
        )
        self._source = source
        options = ort.SessionOptions()
        options.intra_op_num_threads = n_threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_external_initializers(
            list(tensors),
            [ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(a)) for a in tensors.values()],
        )
        try:
            self._session = ort.InferenceSession(
                graph,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # it would print, and try the same once more
            )
        except self._errors as error:
            raise self._refused(error) from None
        self.shape = tuple(self._session.get_outputs()[0].shape)
        if len(self.shape) != 2 or not isinstance(self.shape[1], int):
            raise self._refused(ValueError(f"its output has shape {self.shape}"))

    def logits(
        self, folded: NDArray[np.float32], auxiliary: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Logits of checked inputs."""
        out = np.empty((len(folded), self.shape[1]), dtype=np.float32)
        for start in range(0, len(folded), BATCH_SIZE):
            rows = slice(start, min(start + BATCH_SIZE, len(folded)))
            inputs = {"folded": _filled(folded[rows])}
            if auxiliary.shape[1]:
                inputs["auxiliary"] = _filled(auxiliary[rows])
            try:
                batch = self._session.run(None, inputs)[0]
            except (*self._errors, ValueError) as error:
                raise self._refused(error) from None
            if batch.shape != (BATCH_SIZE, out.shape[1]):
                raise self._refused(ValueError(f"its output has shape {batch.shape}"))
            out[rows] = batch[: rows.stop - start]
        return out

    def _refused(self, error: Exception) -> DataError:
        return DataError(
            f"{self._source}: onnxruntime cannot run graph.onnx ({str(error)[:200]}); "
            "the bundle was put together wrongly, or this onnxruntime is too old"
        )


def _filled(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows, filled up with zeros to one whole batch."""
    if len(rows) == BATCH_SIZE:
        return np.ascontiguousarray(rows)
    whole = np.zeros((BATCH_SIZE, *rows.shape[1:]), dtype=np.float32)
    whole[: len(rows)] = rows
    return whole
