from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.io import write_survey
from astroprep.pipeline.periods import SCHEMA, search_periods

PERIODS = (0.61, 0.47, 0.73)


@pytest.fixture
def survey(tmp_path, rng):
    """Three stars in two bands, one of one point and one that is constant."""
    curves, bands = [], []
    for period in (*PERIODS, None, None):
        n = 160 if period or len(curves) == 4 else 1
        time = np.sort(rng.uniform(55_000, 55_400, n))
        shape = 0.3 * np.sin(2 * np.pi * time / period) if period else np.zeros(n)
        noise = rng.normal(0, 0.02, n) if period else 0.0
        curves.append((time, 15 + shape + noise, np.full(n, 0.02)))
        bands.append(np.arange(n) % 2)
    batch = LightCurveBatch.from_curves(
        curves,
        ids=[f"star-{i}" for i in range(5)],
        objects={"catalogue_period": np.array([0.61, 0.47 * 1.003, 1.0, 0.5, np.nan])},
        meta=Meta(bands=("g", "r")),
    )
    path = tmp_path / "survey.parquet"
    write_survey(path, replace(batch, band=np.concatenate(bands).astype(np.int16)))
    table = pq.read_table(path)
    names = ["known" if name.endswith("period") else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), path)
    return path


def read(path):
    table = pq.read_table(path)
    assert table.schema.equals(SCHEMA)
    frame = table.to_pandas()
    assert frame["row"].tolist() == [0, 1, 2, 3, 4]
    assert (frame["period"].notna() ^ frame["rejected_reason"].notna()).all()
    return frame


@pytest.mark.parametrize(("bands", "method"), [((), "multi-band"), (("g",), "search")])
def test_every_object_gets_a_period_or_a_reason(survey, tmp_path, bands, method):
    counts = search_periods(survey, tmp_path / "p.parquet", bands=bands)

    frame = read(tmp_path / "p.parquet")
    assert (counts.input, counts.result, counts.rejected) == (5, 3, 2)
    assert frame["period"][:3].tolist() == pytest.approx(PERIODS, rel=1e-3)
    assert set(frame["method"][:3]) == {method}
    assert (frame["significance"][:3] < -5).all()


@pytest.mark.parametrize("bands", [("r",), ("g", "r")])
def test_candidates_come_with_their_status(survey, tmp_path, bands):
    search_periods(survey, tmp_path / "p.parquet", bands=bands)

    frame = read(tmp_path / "p.parquet")
    assert (frame["period_err"][:3] < 1e-3).all()
    assert set(frame["status"][:3]) <= {"ok", "alias?"}
    first = read(tmp_path / "p.parquet")["candidates"][0]
    assert first[0]["status"] == "best"
    assert first[0]["period"] == pytest.approx(0.61, rel=1e-3)
    assert [c["probability"] for c in first] == sorted(c["probability"] for c in first)[::-1]


def test_known_periods_are_verified_and_searched_only_where_lost(survey, tmp_path):
    search_periods(survey, tmp_path / "p.parquet", bands=("g",), known_period="known")

    frame = read(tmp_path / "p.parquet")
    assert frame["period"][:3].tolist() == pytest.approx(PERIODS, rel=1e-3)
    assert (frame["method"][0], frame["status"][0]) == ("verified", "confirmed")
    assert frame["status"][1] in ("drifted", "alias")
    assert frame["method"][2] == "search"
    assert frame["known_period"][0] == pytest.approx(0.61)


def test_a_band_named_twice_is_one_band(survey, tmp_path):
    search_periods(survey, tmp_path / "once.parquet", bands=("g",), known_period="known")
    search_periods(survey, tmp_path / "twice.parquet", bands=("g", "g"), known_period="known")

    assert pq.read_table(tmp_path / "twice.parquet").equals(
        pq.read_table(tmp_path / "once.parquet")
    )


def test_what_cannot_be_asked_is_said(survey, tmp_path):
    with pytest.raises(ConfigError, match=r"one band at a time.*g, r"):
        search_periods(survey, tmp_path / "p.parquet", known_period="known")
    with pytest.raises(DataError, match="no band 'i'"):
        search_periods(survey, tmp_path / "p.parquet", bands=("i",))
    with pytest.raises(DataError, match="no column 'P'"):
        search_periods(survey, tmp_path / "p.parquet", bands=("g",), known_period="P")
    with pytest.raises(ConfigError, match="--known-period needs the name of a column"):
        search_periods(survey, tmp_path / "p.parquet", bands=("g",), known_period="")
    assert not (tmp_path / "p.parquet").exists()
    assert pa.types.is_list(SCHEMA.field("candidates").type)
