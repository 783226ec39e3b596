"""The bundle: what goes in comes out, and nothing else is believed."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from astroprep.deploy import bundle as module
from astroprep.deploy import bundle_parts
from astroprep.deploy.bundle import (
    Bundle,
    bundle_bytes,
    parse_bundle,
    read_bundle,
    write_bundle,
)
from astroprep.errors import ConfigError, DataError


def _repack(data: bytes, change: Any, *, reseal: bool = True) -> bytes:
    """The same archive with its dict of parts changed, and the manifest made to agree."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    if reseal and "manifest.json" in parts:
        manifest = json.loads(parts["manifest.json"])
        for name in manifest["parts"]:
            if name in parts:
                digest = hashlib.sha256(parts[name]).hexdigest()
                manifest["parts"][name] = {"bytes": len(parts[name]), "sha256": digest}
        parts["manifest.json"] = json.dumps(manifest).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return out.getvalue()


def _edit(part: str, **values: Any) -> Any:
    def change(parts: dict[str, bytes]) -> None:
        content = json.loads(parts[part])
        content.update(values)
        parts[part] = json.dumps(content).encode()

    return change


def test_round_trip_and_equal_bytes(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "night.apz"

    size = write_bundle(path, bundle)
    back = read_bundle(path)

    assert size == path.stat().st_size
    assert bundle_bytes(back) == path.read_bytes()  # so every field survived
    assert back.classes == bundle.classes
    assert back.shapes == bundle.shapes
    assert list(back.recipe) == list(bundle.recipe)
    odd = back.recipe["state"]["odd"]
    np.testing.assert_array_equal(odd, bundle.recipe["state"]["odd"])
    assert np.signbit(odd[2])
    assert back.recipe["state"]["names"].tolist() == ["a"]
    for name in ("folded", "auxiliary", "logits"):
        np.testing.assert_array_equal(getattr(back.golden, name), getattr(bundle.golden, name))
    assert [p.name for p in tmp_path.iterdir()] == ["night.apz"]


def test_whole_file_is_weights_and_48_kib_at_most(bundle: Bundle) -> None:
    assert len(bundle_bytes(bundle)) <= len(bundle.weights) + 48 * 1024


def test_weights_are_decoded_once_and_nobody_can_change_them(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = parse_bundle(bundle_bytes(bundle), "x")  # decodes them, to check them
    monkeypatch.setattr(module, "decode_weights", None)
    first = fresh.tensors()
    for array in first.values():
        array[:] = 7
    for name, array in fresh.tensors().items():
        np.testing.assert_array_equal(array, bundle.tensors()[name])


def test_weights_are_stored_once(bundle: Bundle) -> None:
    data = bundle_bytes(bundle)
    assert data.count(bundle.weights) == 1
    assert len(bundle.graph) < 200 * len(bundle.shapes)  # names and operators, no numbers


@pytest.mark.parametrize("long", [3, 1000])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "int16", "bool"])
def test_arrays_in_the_recipe_come_back_exactly(bundle: Bundle, dtype: str, long: int) -> None:
    array = (np.random.default_rng(1).normal(size=(long, 2)) * 100).astype(dtype)
    changed = dataclasses.replace(bundle, recipe={"array": array, "none": None, "nan": np.nan})

    back = parse_bundle(bundle_bytes(changed), "x").recipe

    assert back["array"].dtype == array.dtype
    np.testing.assert_array_equal(back["array"], array)
    assert back["none"] is None
    assert np.isnan(back["nan"])


def test_unwritable_folder_leaves_nothing(bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        write_bundle(tmp_path / "file" / "x.apz", bundle)
    with pytest.raises(DataError, match="no ordinary file"):
        write_bundle(tmp_path, bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"recipe": {"step": object()}}, "recipe.step holds a object"),
        ({"recipe": {"a": {1: 2}}}, "must be text"),
        ({"recipe": {"a": {"float": 2}}}, r"recipe.a has just the keys \['float'\]"),
        ({"recipe": {"a": np.array([1j])}}, "recipe.a is an array of 1 complex128"),
        ({"recipe": {"a": np.array([None])}}, "not all text"),
        ({"classes": ("a", "b")}, "3 classes, the list names 2"),
        ({"priors": (1.0, 0.0, 0.0)}, "must be positive"),
        ({"feature_names": ("a",)}, "1 feature names for 7"),
        ({"weights": b"AW"}, "weights.bin"),
    ],
)
def test_refuses_to_write_what_does_not_fit(bundle: Bundle, change: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bundle_bytes(dataclasses.replace(bundle, **change))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.apz: cannot read"):
        read_bundle(tmp_path / "none.apz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.pop("graph.onnx"), "lacks graph.onnx"),
        (lambda p: p.pop("manifest.json"), "lacks manifest.json"),
        (lambda p: p.update({"../evil.py": b"x"}), r"unknown part '\.\./evil\.py'"),
        (lambda p: p.update({"/etc/passwd": b"x"}), "unknown part"),
        (lambda p: p.update({"weights.bin": p["weights.bin"][:-1]}), "weights.bin: the checksum"),
        (lambda p: p.update({"golden.json": b"[" * 100_000}), "golden.json: not readable"),
        (lambda p: p.update({"recipe.json": b"[]"}), "recipe.json: must be an object"),
        (lambda p: p.update({"recipe.json": b"NaN"}), "recipe.json: not readable"),
        (lambda p: p.update({"graph.onnx": b"\x08\x08"}), "graph.onnx: not an inference graph"),
        (_edit("model.json", classes=["RRab", "RRc"]), "the list names 2"),
        (_edit("model.json", classes=["RRab", "RRab", "EW"]), "two different classes"),
        (_edit("model.json", classes="abc"), "'classes' is missing or is a str"),
        (_edit("model.json", temperature=0), "must be positive"),
        (_edit("model.json", temperature=1e999), "not readable"),
        (_edit("model.json", temperature=1e-308), "must be positive, 1e-06 to 1e"),
        (_edit("model.json", temperature=10**400), "'temperature' has a number that no float"),
        (_edit("model.json", priors=[10**400] * 3), "'priors' has a number that no float"),
        (_edit("model.json", classes=["\ud800", "b", "c"]), "model.json: not readable"),
        (lambda p: p.update({"recipe.json": "{}".encode("utf-16")}), "recipe.json: not readable"),
        (_edit("model.json", tensors={"w": [2**31 - 1] * 1000}), "bad shape"),
        (_edit("model.json", network={"format": "firenet-9"}), "got 'firenet-9'; a newer"),
        (_edit("model.json", tensors={"stem.conv.weight": [12, 4, 5]}), "weights.bin"),
        (_edit("model.json", tensors={"w": [2**30, 2**30]}), "at most"),
        (_edit("model.json", tensors={"w": [-1]}), "bad shape"),
        (_edit("manifest.json", version=2), "bundle version 2, this astroprep reads version 1"),
        (_edit("manifest.json", format="zip"), "does not describe a bundle"),
        (
            _edit("golden.json", logits={"dtype": "float32", "shape": [9, 9], "values": [1]}),
            "golden.json: not readable",
        ),
        (
            _edit("golden.json", logits={"dtype": "float32", "shape": [1, 1], "values": [1]}),
            r"golden.json: logits has shape \(1, 1\)",
        ),
        (
            _edit("golden.json", logits={"dtype": "float64", "shape": [1 << 40], "base64": "AAAA"}),
            "golden.json: not readable",
        ),
    ],
)
def test_a_hostile_bundle_is_one_clear_error(bundle: Bundle, change: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        parse_bundle(_repack(bundle_bytes(bundle), change), "night.apz")
    assert str(caught.value).startswith("night.apz: ")


def test_a_changed_part_is_noticed_by_its_hash(bundle: Bundle) -> None:
    change = _edit("model.json", temperature=9.0)
    with pytest.raises(DataError, match=r"part model.json is not the one that was written"):
        parse_bundle(_repack(bundle_bytes(bundle), change, reseal=False), "night.apz")


def test_duplicate_names_are_refused(bundle: Bundle) -> None:
    out = io.BytesIO(bundle_bytes(bundle))
    with (
        zipfile.ZipFile(out, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        archive.writestr("model.json", b"{}")
    with pytest.raises(DataError, match=r"part model.json is there 2 times"):
        parse_bundle(out.getvalue(), "night.apz")


def test_a_zip_bomb_is_not_inflated(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bundle_parts.PART_LIMITS, "recipe.json", 10_000)
    bomb = _repack(bundle_bytes(bundle), lambda p: p.update({"recipe.json": bytes(10_000_000)}))
    assert len(bomb) < 30_000
    inflated = 0
    read = zipfile.ZipExtFile.read

    def watch(self: zipfile.ZipExtFile, n: int | None = -1) -> bytes:
        nonlocal inflated
        data = read(self, n)
        inflated += len(data)
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", watch)
    with pytest.raises(DataError, match=r"part recipe.json is larger than 10000 bytes"):
        parse_bundle(bomb, "night.apz")
    assert inflated < 100_000


def test_a_crowd_of_parts_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for i in range(100):
            archive.writestr(f"{i}", b"")
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(DataError, match="more than 64 parts"):
        parse_bundle(out.getvalue(), "night.apz")


def test_an_oversized_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_LIMIT", 1000)
    (tmp_path / "big.apz").write_bytes(bytes(2000))
    with pytest.raises(DataError, match="larger than 1000 bytes"):
        read_bundle(tmp_path / "big.apz")


def test_mutations_give_an_error_or_the_same_content(bundle: Bundle) -> None:
    """Bytes flipped, cut, doubled and moved: never another exception, never other content."""
    data = bundle_bytes(bundle)
    rng = np.random.default_rng(11)
    outcomes = {"refused": 0, "same": 0}
    for _ in range(600):
        mutated = bytearray(data)
        at, other = sorted(rng.integers(0, len(data), 2).tolist())
        kind = rng.integers(4)
        if kind == 0:
            for _ in range(rng.integers(1, 4)):
                mutated[rng.integers(len(data))] ^= 1 << rng.integers(8)
        elif kind == 1:
            del mutated[at : at + int(rng.integers(1, 200))]
        elif kind == 2:
            mutated[at:at] = data[other : other + int(rng.integers(1, 200))]
        else:
            mutated = mutated[:at]
        try:
            back = parse_bundle(bytes(mutated), "night.apz")
        except DataError as error:
            assert str(error).startswith("night.apz: ")  # noqa: PT017
            outcomes["refused"] += 1
        else:
            assert bundle_bytes(back) == data
            outcomes["same"] += 1
    assert outcomes["refused"] > 400


def test_mutated_parts_behind_valid_hashes(bundle: Bundle) -> None:
    """Whoever seals the hashes again still gets an error, or a consistent bundle."""
    data = bundle_bytes(bundle)
    rng = np.random.default_rng(12)
    names = ["model.json", "golden.json", "weights.bin", "graph.onnx", "recipe.json"]
    for i in range(300):
        name = names[i % len(names)]

        def change(parts: dict[str, bytes], name: str = name) -> None:
            part = bytearray(parts[name])
            for _ in range(rng.integers(1, 4)):
                part[rng.integers(len(part))] = rng.integers(256)
            if name == "weights.bin" and rng.integers(2):  # and the checksum inside, too
                layout = json.dumps([[n, list(s)] for n, s in bundle.shapes.items()])
                crc = zlib.crc32(part[7:], zlib.crc32(layout.encode()))
                part[3:7] = crc.to_bytes(4, "little")
            parts[name] = bytes(part)

        try:
            back = parse_bundle(_repack(data, change), "night.apz")
        except DataError as error:
            assert str(error).startswith("night.apz: ")  # noqa: PT017
        else:
            assert {n: a.shape for n, a in back.tensors().items()} == back.shapes
