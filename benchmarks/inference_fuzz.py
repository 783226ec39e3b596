"""A hundred thousand damaged, tampered and hostile bundles: one clear error each, nothing run.

Mutations of a bundle with an integer network: flipped, deleted, inserted and repeated bytes of the
archive; truncation; parts changed with the manifest made to agree, as an attacker would; parts
that inflate beyond their limit; names that lead out of the archive; tensors and networks of huge
sizes; other versions. A case passes if it gives a `DataError` whose message is one line that
begins with the file, or a bundle that is whole and that both runtimes take; and if nothing else
happened: no other exception, no warning, no import, no file opened, no process started.

    python benchmarks/inference_fuzz.py
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import resource
import sys
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from record import record

Rng = np.random.Generator
NUMBERS = (
    -1,
    0,
    1,
    2,
    255,
    1 << 16,
    1 << 31,
    1 << 62,
    10**30,
    10**400,
    0.5,
    1e308,
    True,
    None,
    "1",
    [],
    {},
)


def make_bundle() -> bytes:
    """A small bundle of random weights with integers."""
    from astroprep.compress.quantize import calibrate_ranges, quantize_network
    from astroprep.compress.stored import store_network
    from astroprep.deploy.bundle import Bundle, bundle_bytes
    from astroprep.deploy.integer_part import make_integer_part
    from astroprep.deploy.onnx import build_graph
    from astroprep.deploy.runtime import golden_vectors
    from astroprep.model.firenet import build_network, firenet_spec

    spec = firenet_spec("nano", n_channels=3, n_bins=16, n_auxiliary=4, n_classes=3)
    stored = store_network(build_network(spec, 1).eval())
    rng = np.random.default_rng(0)
    inputs = (
        rng.normal(size=(20, 3, 16)).astype(np.float32),
        rng.normal(size=(20, 4)).astype(np.float32),
    )
    graph = build_graph(stored.spec, stored.shapes)
    golden = golden_vectors(graph, stored.weights, *(a[:2] for a in inputs))
    network = quantize_network(stored.net, calibrate_ranges(stored.net, *inputs))
    bundle = Bundle(
        classes=("a", "b", "c"),
        network=stored.spec,
        shapes=stored.shapes,
        weights=stored.data,
        graph=graph,
        temperature=1.0,
        priors=(0.4, 0.3, 0.3),
        feature_names=tuple("wxyz"),
        auxiliary_state={"center": np.zeros(4)},
        recipe={"name": "fuzz", "steps": [{"step": "SigmaClip"}]},
        golden=golden,
        versions={"astroprep": "0"},
        integer=make_integer_part(network, golden.folded, golden.auxiliary),
    )
    return bundle_bytes(bundle)


def unpack(data: bytes) -> dict[str, bytes]:
    """Parts of a bundle."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(parts: dict[str, bytes], *, reseal: bool = True) -> bytes:
    """Bundle of parts, the manifest made to agree."""
    if reseal:
        try:
            manifest = json.loads(parts["manifest.json"])
            manifest["parts"] = {
                name: {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()}
                for name, part in parts.items()
                if name != "manifest.json"
            }
            parts = {**parts, "manifest.json": json.dumps(manifest).encode()}
        except (ValueError, KeyError, TypeError):
            pass
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part, compresslevel=1)
    return out.getvalue()


def mutated(data: bytes, rng: Rng, n: int) -> bytes:
    """Bytes flipped, cut out, repeated or inserted at random places."""
    out = bytearray(data)
    for _ in range(n):
        at, size = int(rng.integers(len(out) + 1)), int(rng.integers(1, 9))
        kind = rng.integers(4)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del out[at : at + size]
        elif kind == 2:
            out[at:at] = out[at : at + size]
        else:
            out[at:at] = rng.bytes(size)
    return bytes(out)


def _bytes(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    return mutated(data, rng, int(rng.integers(1, 5)))


def _weights(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    """Damage that the checksum of the weights does not tell, so that the decoder meets it."""
    from astroprep.compress.weights import HEADER_BYTES, checksum

    weights = parts["weights.bin"]
    body = mutated(weights[HEADER_BYTES:], rng, int(rng.integers(1, 5)))
    shapes = json.loads(parts["model.json"])["tensors"]
    head = weights[:3] + checksum(shapes, body).to_bytes(4, "little")
    return pack({**parts, "weights.bin": head + body})


def _truncated(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    return data[: int(rng.integers(len(data)))]


def _resealed(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    name = str(rng.choice(list(parts)))
    return pack({**parts, name: mutated(parts[name], rng, int(rng.integers(1, 4)))})


def _places(content: Any) -> list[tuple[Any, Any]]:
    """Every place in nested values, as container and key."""
    items = list(content.items()) if isinstance(content, dict) else list(enumerate(content))
    out = []
    for key, value in items:
        out.append((content, key))
        if isinstance(value, dict | list):
            out += _places(value)
    return out


def _values(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    names = [name for name in parts if name.endswith(".json")]
    name = str(rng.choice(names))
    content = json.loads(parts[name])
    for _ in range(int(rng.integers(1, 3))):
        places = _places(content)
        if not places:
            break
        container, key = places[int(rng.integers(len(places)))]
        if rng.integers(4) == 0:
            del container[key]
        else:
            container[key] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    return pack({**parts, name: json.dumps(content).encode()}, reseal=name != "manifest.json")


def _bomb(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    name = str(rng.choice(list(parts)))
    return pack({**parts, name: parts[name] + b" " * (1 << int(rng.integers(17, 23)))})


def _names(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    name = str(rng.choice(["../x", "/etc/passwd", "a/../../x", "C:\\x", "x\0y", "." * 999]))
    return pack({**parts, name: b"x"}, reseal=bool(rng.integers(2)))


def _dropped(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    gone = str(rng.choice(list(parts)))
    kept = {name: part for name, part in parts.items() if name != gone}
    return pack(kept, reseal=bool(rng.integers(2)))


def _version(data: bytes, parts: dict[str, bytes], rng: Rng) -> bytes:
    manifest = json.loads(parts["manifest.json"])
    manifest[str(rng.choice(["version", "format"]))] = NUMBERS[int(rng.integers(len(NUMBERS)))]
    return pack({**parts, "manifest.json": json.dumps(manifest).encode()}, reseal=False)


KINDS: dict[str, tuple[Callable[[bytes, dict[str, bytes], Rng], bytes], float]] = {
    "bytes of the archive": (_bytes, 0.35),
    "truncated": (_truncated, 0.1),
    "bytes of a part, resealed": (_resealed, 0.2),
    "bytes of the weights, their checksum too": (_weights, 0.05),
    "values of a part, resealed": (_values, 0.2),
    "inflates beyond its limit": (_bomb, 0.01),
    "names that lead outside": (_names, 0.03),
    "a part is missing": (_dropped, 0.03),
    "other version": (_version, 0.03),
}


def judge(case: bytes, events: list[str]) -> str:
    """What became of a case."""
    from astroprep.deploy.bundle import parse_bundle
    from astroprep.deploy.runtime import Runtime
    from astroprep.errors import DataError

    events.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            bundle = parse_bundle(case, "night.apz")
            Runtime(bundle)
            Runtime(bundle, engine="float")
        except DataError as error:
            text = str(error)
            outcome = "refused"
            if not text.startswith("night.apz: ") or len(text) > 2000:
                outcome = f"unclear: {text[:80]}"
        except Exception as error:
            outcome = f"{type(error).__name__}: {str(error)[:80]}"
        else:
            outcome = "whole"
    return f"did {events[0]}" if events else outcome


def fuzz(n: int, seed: int, watch: bool = True) -> dict[str, Counter[str]]:
    """Outcomes of every kind of mutation."""
    data = make_bundle()
    parts = unpack(data)
    rng = np.random.default_rng(seed)
    events: list[str] = []
    assert judge(data, events) == "whole"
    if watch:
        bad = (
            "open",
            "import",
            "exec",
            "compile",
            "subprocess",
            "os.",
            "socket",
            "pickle",
            "ctypes",
        )
        sys.addaudithook(lambda name, _: events.append(name) if name.startswith(bad) else None)
        assert judge(data, events) == "whole"  # all that reading needs is imported
    outcomes: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    names, shares = list(KINDS), np.array([share for _, share in KINDS.values()])
    for kind in rng.choice(names, size=n, p=shares / shares.sum()):
        case = KINDS[kind][0](data, parts, rng)
        outcomes[kind][judge(case, events)] += 1
    return outcomes


def main() -> None:
    """Fuzz and record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out")
    given = parser.parse_args()
    start = time.process_time()
    outcomes = fuzz(given.cases, given.seed)
    spent = time.process_time() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = [{"kind": kind, "outcomes": dict(count)} for kind, count in outcomes.items()]
    for row in rows:
        print(row["kind"], row["outcomes"], flush=True)
    other = [key for count in outcomes.values() for key in count if key not in ("refused", "whole")]
    print(
        f"{given.cases:,} cases, {spent:.0f} s, {memory:.0f} MiB; other outcomes: {other or 'none'}"
    )
    about = {"cases": given.cases, "seed": given.seed, "memory_mib": memory, "seconds": spent}
    record("inference_fuzz", rows, given.out, **about, other_outcomes=other)
    if other:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
