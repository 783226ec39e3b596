"""The integer network as C: one source file and one header, for a compiler of any small computer.

C99, no allocation, no floating point, no library but the fixed-width types. Weights are ``const``
(flash), activations lie in one static arena, and the logits are those of `IntegerNetwork`, bit for
bit: 32-bit sums and products that cannot overflow, no shift of a negative number.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from astroprep.compress.integer import IntegerLayer, IntegerNetwork
from astroprep.errors import ConfigError
from astroprep.io import replaced

__all__ = ["c99_sources", "write_c99"]

N_PER_LINE = 24


def write_c99(
    network: IntegerNetwork,
    folder: str | os.PathLike[str],
    classes: Sequence[str],
    *,
    name: str = "astroprep",
) -> list[Path]:
    """Write ``<name>.c`` and ``<name>.h``.

    Parameters
    ----------
    network : IntegerNetwork
        What to write.
    folder : path
        Made if it is not there.
    classes : sequence of str
        In the order of the logits.
    name : str, default "astroprep"
        Of the files, and begins every name that they export.

    Returns
    -------
    list of Path
        Source and header.

    Raises
    ------
    ConfigError
        If ``name`` is no identifier of C in lower case.
    DataError
        If a file cannot be written.
    """
    target = Path(folder)
    paths = []
    for suffix, text in zip((".c", ".h"), c99_sources(network, classes, name=name), strict=True):
        path = target / f"{name}{suffix}"
        with replaced(path) as part:
            part.write_text(text, encoding="ascii")
        paths.append(path)
    return paths


def c99_sources(
    network: IntegerNetwork, classes: Sequence[str], *, name: str = "astroprep"
) -> tuple[str, str]:
    """Text of the source file and of the header, see `write_c99`.

    Parameters
    ----------
    network : IntegerNetwork
        What to write.
    classes : sequence of str
        In the order of the logits.
    name : str, default "astroprep"
        Begins every exported name.

    Returns
    -------
    source, header : str
        ASCII. Equal arguments give equal text.

    Raises
    ------
    ConfigError
        If ``name`` is no identifier of C in lower case.
    """
    if not (name.isascii() and name.isidentifier() and name.islower()):
        raise ConfigError(f"C export: the name must be a lower-case identifier, got {name!r}")
    spec = network.spec
    sizes = {kind: int(spec[f"n_{kind}"]) for kind in ("channels", "bins", "auxiliary", "classes")}
    arena = _Arena(spec)
    values = {
        "NAME": name.upper(),
        "name": name,
        **sizes,
        "arena": arena.n_bytes,
        "vector": arena.vector,
        "squeezed": 2 * arena.wide,
        "layers": "\n".join(_layer(layer, sizes["bins"]) for layer in network.layers.values()),
        "body": "\n".join(f"    {line}" for line in _body(network, arena)),
        "mean_multiplier": network.mean_multiplier,
        "mean_shift": network.mean_shift,
        "logit_scale": _float(np.float32(network.logit_scale)),
        "class_names": ", ".join(_text(label) for label in classes),
        **_input_factors(network),
    }
    return _fill(_SOURCE, values), _fill(_HEADER, values)


class _Arena:
    """Three places on the circle and two vectors, in one array."""

    def __init__(self, spec: dict[str, Any]) -> None:
        n_bins = int(spec["n_bins"])
        widths = [int(spec["stem"]), *(2 * expand for _, expand, _ in spec["fires"])]
        self.wide = max(widths) * n_bins
        squeezed = max([0, *(squeeze for squeeze, _, _ in spec["fires"])]) * n_bins
        joined = 2 * widths[-1] + (int(spec["auxiliary_width"]) if spec["n_auxiliary"] else 0)
        # The vectors take the place of the squeezed tensor, which is not needed any more.
        self.vector = joined
        self.n_bytes = 2 * self.wide + max(squeezed, joined + int(spec["head_width"]))
        self.last = widths[-1]


def _body(network: IntegerNetwork, arena: _Arena) -> list[str]:
    """Calls of the layers, in order."""
    spec, layers = network.spec, network.layers
    lines = ["layer(&stem, N_BINS, folded, 0, a);"]
    here, there = "a", "b"
    for i in range(len(spec["fires"])):
        squeeze, one, three = (
            _symbol(f"fires.{i}.{part}") for part in ("squeeze", "expand_1", "expand_3")
        )
        half = f"{len(layers[f'fires.{i}.expand_1'].bias)} * N_BINS"
        lines += [
            f"layer(&{squeeze}, N_BINS, {here}, 0, squeezed);",
            f"layer(&{one}, N_BINS, squeezed, {here}, {there});",
            f"layer(&{three}, N_BINS, squeezed, {here} + {half}, {there} + {half});",
        ]
        here, there = there, here
    if not spec["fires"]:
        lines.append("(void)b;")
    lines.append(f"pool({here}, {arena.last}, joined);")
    if "auxiliary" in layers:
        lines.append(f"layer(&auxiliary, 1, auxiliaries, 0, joined + {2 * arena.last});")
    else:
        lines.append("(void)auxiliaries;")
    last = "joined"
    if "hidden" in layers:
        lines.append("layer(&hidden, 1, joined, 0, joined + N_JOINED);")
        last = "joined + N_JOINED"
    return [*lines, f"head_layer({last}, logits);"]


def _symbol(name: str) -> str:
    return name.replace(".", "_")


def _layer(layer: IntegerLayer, n_bins: int) -> str:
    symbol = _symbol(layer.name)
    n_out, n_in, n_taps = layer.weight.shape
    columns: list[tuple[str, str, NDArray[Any]]] = [
        ("int8_t", "weight", layer.weight),
        ("int32_t", "bias", layer.bias),
        ("int32_t", "multiplier", layer.multiplier),
        ("uint8_t", "shift", layer.shift),
    ]
    if layer.bypass.any():
        columns.append(("int32_t", "bypass", layer.bypass))
    texts = [_array(kind, f"{symbol}_{name}", values) for kind, name, values in columns]
    names = [f"{symbol}_{name}" for _, name, _ in columns] + ["0"] * (5 - len(columns))
    first, step = -(n_taps // 2) * layer.dilation % n_bins, layer.dilation % n_bins
    head = f"{', '.join(names)}, {n_out}, {n_in}, {n_taps}, {first}, {step}"
    return "\n".join([*texts, f"static const layer_t {symbol} = {{{head}}};"])


def _array(kind: str, symbol: str, values: NDArray[Any]) -> str:
    texts = [str(int(v)) for v in values.ravel()]
    lines = [", ".join(texts[i : i + N_PER_LINE]) for i in range(0, len(texts), N_PER_LINE)]
    return f"static const {kind} {symbol}[{len(texts)}] = {{\n  " + ",\n  ".join(lines) + "};"


def _input_factors(network: IntegerNetwork) -> dict[str, str]:
    names = ("folded_inverse", "folded_zero", "auxiliary_inverse", "auxiliary_zero")
    arrays = [array for pair in network.ranges.input_factors() for array in pair]
    return {
        name: ", ".join(_float(v) for v in array) for name, array in zip(names, arrays, strict=True)
    }


def _float(value: np.float32) -> str:
    """Literal of C; without point or exponent the suffix would be an error."""
    digits = f"{value:.9g}"
    return f"{digits}F" if "." in digits or "e" in digits else f"{digits}.0F"


def _text(label: str) -> str:
    """Literal of C; whatever is not plain is written as octal bytes."""
    plain = "".join(
        chr(b) if b < 128 and (chr(b).isalnum() or chr(b) in " _-+.,:") else f"\\{b:03o}"
        for b in label.encode("utf-8", "replace")
    )
    return f'"{plain}"'


def _fill(template: str, values: dict[str, Any]) -> str:
    for key in sorted(values, key=len, reverse=True):
        template = template.replace(f"@{key}@", str(values[key]))
    return template


_HEADER = """\
/* A classifier of folded light curves in integers, written by astroprep. */
#ifndef @NAME@_H
#define @NAME@_H

#include <stdint.h>

#define @NAME@_N_CHANNELS @channels@
#define @NAME@_N_BINS @bins@
#define @NAME@_N_AUXILIARY @auxiliary@
#define @NAME@_N_CLASSES @classes@
#define @NAME@_ARENA_BYTES @arena@

/* A level is rint(x * inverse + zero) in float32, halves to even, clipped to 0 ... 255. */
#define @NAME@_FOLDED_INVERSE {@folded_inverse@}
#define @NAME@_FOLDED_ZERO {@folded_zero@}
#define @NAME@_AUXILIARY_INVERSE {@auxiliary_inverse@}
#define @NAME@_AUXILIARY_ZERO {@auxiliary_zero@}
/* Logits are the integers times this. */
#define @NAME@_LOGIT_SCALE @logit_scale@
#define @NAME@_CLASS_NAMES {@class_names@}

/*
 * folded: levels, channel after channel, N_CHANNELS * N_BINS of them.
 * auxiliaries: N_AUXILIARY levels; may be a null pointer where there are none.
 * logits: N_CLASSES integers, written.
 * Returns the index of the largest logit, the first of equals.
 * Uses a static arena: one call at a time.
 */
int @name@_classify(const uint8_t *folded, const uint8_t *auxiliaries, int32_t *logits);

#endif
"""

_SOURCE = """\
/* Written by astroprep; see the header. */
#include "@name@.h"

#define N_BINS @bins@
#define N_JOINED @vector@

typedef struct {
    const int8_t *weight; /* output, input, tap */
    const int32_t *bias;
    const int32_t *multiplier;
    const uint8_t *shift;
    const int32_t *bypass; /* of the block's input; null for none */
    int n_out, n_in, n_taps;
    int first, step; /* roll of the first tap and from tap to tap, less than a turn */
} layer_t;

@layers@

static uint8_t arena[@arena@];

/* sum += weight * x, x rolled to the left by shift; 0 <= shift < n. Both ends are tested so that
   the compiler knows how long the loops can get, and makes faster ones. */
static void add_rolled(int32_t *sum, const uint8_t *x, int32_t weight, int shift, int n)
{
    int i = 0;
    if (shift > 0 && shift < n)
        for (; i < n - shift; i++)
            sum[i] += weight * x[shift + i];
    else
        shift = n;
    for (; i < n; i++)
        sum[i] += weight * x[shift + i - n];
}

static void sums(const layer_t *l, int output, int n, const uint8_t *x, int32_t *sum)
{
    const int8_t *weight = l->weight + output * l->n_in * l->n_taps;
    int i, k;
    for (i = 0; i < n; i++)
        sum[i] = l->bias[output];
    for (i = 0; i < l->n_in; i++, x += n) {
        int shift = l->first;
        for (k = 0; k < l->n_taps; k++, weight++) {
            if (*weight != 0)
                add_rolled(sum, x, *weight, shift, n);
            shift += l->step;
            if (shift >= n)
                shift -= n;
        }
    }
}

static void layer(const layer_t *l, int n, const uint8_t *x, const uint8_t *skipped, uint8_t *y)
{
    int32_t sum[N_BINS];
    int o, i;
    for (o = 0; o < l->n_out; o++) {
        const int shift = l->shift[o];
        sums(l, o, n, x, sum);
        for (i = 0; i < n; i++) {
            int32_t product = (sum[i] > 0 ? sum[i] : 0) * l->multiplier[o];
            product += (int32_t)1 << (shift - 1);
            if (l->bypass != 0)
                product += skipped[o * n + i] * l->bypass[o];
            product >>= shift;
            y[o * n + i] = (uint8_t)(product > 255 ? 255 : product);
        }
    }
}

static void pool(const uint8_t *x, int n_channels, uint8_t *joined)
{
    int c, i;
    for (c = 0; c < n_channels; c++, x += N_BINS) {
        uint8_t largest = 0;
        int32_t sum = 0;
        for (i = 0; i < N_BINS; i++) {
            sum += x[i];
            if (x[i] > largest)
                largest = x[i];
        }
        sum = (sum * @mean_multiplier@ + ((int32_t)1 << (@mean_shift@ - 1))) >> @mean_shift@;
        joined[c] = (uint8_t)(sum > 255 ? 255 : sum);
        joined[n_channels + c] = largest;
    }
}

static void head_layer(const uint8_t *x, int32_t *logits)
{
    int o;
    for (o = 0; o < head.n_out; o++) {
        const int shift = head.shift[o];
        int32_t product;
        sums(&head, o, 1, x, &product);
        product = product * head.multiplier[o] + ((int32_t)1 << (shift - 1));
        /* the floor of a negative number by shifting its complement */
        logits[o] = product < 0 ? ~(~product >> shift) : product >> shift;
    }
}

int @name@_classify(const uint8_t *folded, const uint8_t *auxiliaries, int32_t *logits)
{
    uint8_t *const a = arena;
    uint8_t *const b = arena + @squeezed@ / 2;
    uint8_t *const squeezed = arena + @squeezed@;
    uint8_t *const joined = squeezed;
    int best = 0, i;
@body@
    for (i = 1; i < head.n_out; i++)
        if (logits[i] > logits[best])
            best = i;
    return best;
}
"""
