"""Avro: fastavro as oracle, hand-made bytes, damage."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astroprep.errors import DataError
from astroprep.io.avro import AvroDecoder, AvroField, AvroRequest
from astroprep.io.avro_container import read_container
from astroprep.io.avro_plan import compile_plan

fastavro = pytest.importorskip("fastavro")

REQUEST = AvroRequest(
    record=(
        AvroField("a", "float", ("absent", "r.a")),
        AvroField("s", "text", ("s",), required=True),
        AvroField("b", "bool", ("r.b",)),
        AvroField("n", "int", ("n",)),
        AvroField("gone", "int", ("never",)),
    ),
    arrays={"v": (AvroField("x", "int", ("x",)), AvroField("f", "float", ("f",)))},
)
ITEM = {
    "type": "record",
    "name": "item",
    "fields": [
        {"name": "x", "type": ["null", "long"]},
        {"name": "w", "type": {"type": "array", "items": "string"}},
        {"name": "f", "type": "float"},
    ],
}
INNER = {
    "type": "record",
    "name": "inner",
    "fields": [
        {"name": "a", "type": ["null", "int", "double"][:2]},
        {"name": "b", "type": "boolean"},
        {"name": "unwanted", "type": {"type": "array", "items": "item"}},
    ],
}
SCHEMA = {
    "type": "record",
    "name": "outer",
    "namespace": "test",
    "fields": [
        {"name": "m", "type": {"type": "map", "values": ["null", "long"]}},
        {"name": "v", "type": ["null", {"type": "array", "items": ITEM}]},
        {"name": "s", "type": "string"},
        {"name": "r", "type": ["null", INNER]},
        {"name": "e", "type": {"type": "enum", "name": "e", "symbols": ["A", "B"]}},
        {"name": "f", "type": {"type": "fixed", "name": "f3", "size": 3}},
        {"name": "image", "type": "bytes"},
        {"name": "n", "type": "long"},
    ],
}

longs = st.integers(-(2**63), 2**63 - 1)
items = st.fixed_dictionaries(
    {
        "x": st.none() | longs,
        "w": st.lists(st.text(max_size=5), max_size=3),
        "f": st.floats(width=32, allow_nan=False),
    }
)
records = st.fixed_dictionaries(
    {
        "m": st.dictionaries(st.text(max_size=4), st.none() | longs, max_size=3),
        "v": st.none() | st.lists(items, max_size=4),
        "s": st.text(max_size=40),
        "r": st.none()
        | st.fixed_dictionaries(
            {
                "a": st.none() | st.integers(-(2**31), 2**31 - 1),
                "b": st.booleans(),
                "unwanted": st.lists(items, max_size=2),
            }
        ),
        "e": st.sampled_from("AB"),
        "f": st.binary(min_size=3, max_size=3),
        "image": st.binary(max_size=50),
        "n": longs,
    }
)


def container(rows, codec="null", schema=SCHEMA):
    out = io.BytesIO()
    fastavro.writer(out, schema, rows, codec=codec, sync_interval=200)
    return out.getvalue()


def recompressed(data, name, compress):
    """The container with its blocks in a codec that the writer cannot do."""
    schema, blocks = read_container(data)
    sync = b"0123456789abcdef"

    def zigzag(n):
        n, out = n * 2, b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    def text(b):
        return zigzag(len(b)) + b

    made = b"Obj\x01" + zigzag(2) + text(b"avro.schema") + text(schema)
    made += text(b"avro.codec") + text(name) + zigzag(0) + sync
    for block, count in blocks:
        made += zigzag(count) + text(compress(bytes(block))) + sync
    return made


def check(tables, rows):
    record, item = tables.tables
    assert tables.failed == (() if rows else ((0, "it holds no record"),))
    assert record["s"].tolist() == [row["s"] for row in rows]
    assert record["n"].tolist() == [row["n"] for row in rows]
    inner = [row["r"] or {} for row in rows]
    wanted = [np.nan if one.get("a") is None else float(one["a"]) for one in inner]
    np.testing.assert_array_equal(record["a"], wanted)
    assert record["b"].tolist() == [one.get("b", False) for one in inner]
    assert tables.present[0]["b"].tolist() == [row["r"] is not None for row in rows]
    assert not tables.present[0]["gone"].any()
    flat = [(i, one) for i, row in enumerate(rows) for one in row["v"] or []]
    assert tables.record[1].tolist() == [i for i, _ in flat]
    assert item["x"].tolist() == [one["x"] or 0 for _, one in flat]
    np.testing.assert_array_equal(item["f"], [np.float64(one["f"]) for _, one in flat])


@given(st.lists(records, max_size=6))
def test_reads_what_fastavro_wrote(rows):
    check(AvroDecoder(REQUEST).decode([container(rows)]), rows)


ROWS = [
    {
        "m": {"k": 1},
        "v": [{"x": k, "w": ["a"] * k, "f": k / 2} for k in range(i)],
        "s": "é" * i,
        "r": {"a": i, "b": True, "unwanted": []} if i % 3 else None,
        "e": "B",
        "f": b"abc",
        "image": b"0" * 99,
        "n": -i,
    }
    for i in range(40)
]


def raw_snappy(block):
    return bytes(pa.compress(block, "snappy")) + zlib.crc32(block).to_bytes(4, "big")


@pytest.mark.parametrize("codec", ["null", "deflate", "snappy", "zstandard"])
def test_every_codec(codec):
    if codec == "zstandard":
        data = recompressed(container(ROWS), b"zstandard", lambda b: bytes(pa.compress(b, "zstd")))
    elif codec == "snappy":
        data = recompressed(container(ROWS), b"snappy", raw_snappy)
    else:
        data = container(ROWS, codec)
    check(AvroDecoder(REQUEST).decode([data]), ROWS)


@pytest.mark.parametrize("codec", [b"snappy", b"zstandard", b"deflate"])
def test_damaged_and_lying_blocks_are_refused(codec):
    for lie in (b"", b"\xff\xff\xff\xff\x0f1234", b"garbage" * 5):
        data = recompressed(container(ROWS), codec, lambda b, lie=lie: lie)
        tables = AvroDecoder(REQUEST).decode([data])
        assert tables.message.size == 0
        assert re.search("block|early", tables.failed[0][1])


def test_a_bad_message_stops_no_other_and_a_truncated_one_gives_what_it_had():
    good = container(ROWS)
    tables = AvroDecoder(REQUEST).decode([good, b"no avro", good[:-40], good])
    assert [i for i, _ in tables.failed] == [1, 2]
    assert (tables.message == 0).sum() == (tables.message == 3).sum() == len(ROWS)
    assert 0 < (tables.message == 2).sum() < len(ROWS)


def test_a_container_without_records_is_no_packet():
    assert AvroDecoder(REQUEST).decode([container([])]).failed == ((0, "it holds no record"),)


def test_every_truncation_of_a_record_fails_clearly():
    data = container([ROWS[5]])
    for cut in range(len(data)):
        tables = AvroDecoder(REQUEST).decode([data[:cut]])
        assert tables.message.size == 0
        assert len(tables.failed) == 1


def test_confluent_framing():
    body = io.BytesIO()
    fastavro.schemaless_writer(body, fastavro.parse_schema(SCHEMA), ROWS[4])
    message = b"\0" + struct.pack(">I", 7) + body.getvalue()

    def registry(number):
        if number != 7:
            raise DataError(f"no schema {number}")
        return json.dumps(SCHEMA).encode()

    check(AvroDecoder(REQUEST, registry).decode([message]), [ROWS[4]])
    bad = AvroDecoder(REQUEST, registry).decode([b"\0\0\0\0\x08xx", message + b"x"])
    assert [reason for _, reason in bad.failed] == [
        "no schema 8",
        "a block has bytes behind its last record",
    ]
    assert "no schema registry" in AvroDecoder(REQUEST).decode([message]).failed[0][1]


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("{", "cannot be understood"),
        ("[1, 2]", "cannot be understood"),
        ('{"type": "record"}', "cannot be understood"),
        ('"nothing"', "unknown type"),
        ('{"type":"record","name":"a","fields":[]}', "has no field s"),
        ('{"type":"record","name":"a","fields":[{"name":"s","type":"int"}]}', "that is no text"),
        ('{"type":"record","name":"a","fields":[{"name":"s","type":"a"}]}', "within itself"),
        ("[" * 100_000, "cannot be understood"),
        (
            '{"type":"record","name":"a","fields":[{"name":"s","type":'
            + '{"type":"array","items":' * 40
            + '"int"'
            + "}" * 42
            + "]}",
            "cannot be understood|too deeply",
        ),
    ],
)
def test_hostile_schemas_are_refused(schema, says):
    with pytest.raises(DataError, match=says):
        compile_plan(schema, REQUEST)


def test_a_schema_that_doubles_itself_is_refused():
    """Forty records, each with two of the one before: 2**40 fields."""
    fields = '{"name":"s","type":"string"},{"name":"r0","type":{"type":"record","name":"r0",'
    fields += '"fields":[{"name":"x","type":"int"}]}}'
    for k in range(1, 40):
        inside = ",".join(f'{{"name":"f{i}","type":"r{k - 1}"}}' for i in range(2))
        fields += f',{{"name":"r{k}","type":{{"type":"record","name":"r{k}","fields":[{inside}]}}}}'
    with pytest.raises(DataError, match="absurdly large"):
        compile_plan(f'{{"type":"record","name":"a","fields":[{fields}]}}', REQUEST)


def test_an_endless_array_of_nothing_is_refused():
    schema = {
        "type": "record",
        "name": "a",
        "fields": [
            {"name": "z", "type": {"type": "array", "items": "null"}},
            {"name": "s", "type": "string"},
        ],
    }
    data = container([{"z": [], "s": ""}], schema=schema)
    sync = data[-16:]
    block = b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x00"
    made = data[: data.index(sync) + 16] + b"\x02" + bytes([len(block) * 2]) + block + sync
    assert "absurd size" in AvroDecoder(REQUEST).decode([made]).failed[0][1]


def test_the_real_packets_agree_with_fastavro(data_dir):
    request = AvroRequest(
        (AvroField("jd", "float", ("candidate.jd",)), AvroField("id", "text", ("objectId",))),
        {"prv_candidates": (AvroField("mag", "float", ("magpsf",)),)},
    )
    messages = [path.read_bytes() for path in sorted((data_dir / "alerts/ztf").glob("*.avro"))]
    rows = [next(fastavro.reader(io.BytesIO(m))) for m in messages]
    tables = AvroDecoder(request).decode(messages)
    assert tables.tables[0]["jd"].tolist() == [row["candidate"]["jd"] for row in rows]
    assert tables.tables[0]["id"].tolist() == [row["objectId"] for row in rows]
    mags = [p["magpsf"] for row in rows for p in row["prv_candidates"] or []]
    np.testing.assert_array_equal(tables.tables[1]["mag"], np.array(mags, float))
