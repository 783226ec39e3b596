"""HATS catalogues: what is written is read, by us and by LSDB; broken ones give one error."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from astroprep.data import LightCurveBatch, Meta
from astroprep.errors import ConfigError, DataError
from astroprep.integrate import read_catalogue
from astroprep.io import (
    ColumnNames,
    hats_catalog,
    open_survey,
    read_provenance,
    source_sha256,
    write_hats,
    write_survey,
)

pytest.importorskip("astropy_healpix")


@pytest.fixture
def batch(rng):
    """Two hundred stars over the whole sky, poles and a crowd among them, some without points."""
    n = 200
    sizes = rng.integers(0, 9, n)
    offsets = np.concatenate(([0], np.cumsum(sizes)))
    m = int(offsets[-1])
    ra, dec = rng.uniform(0, 360, n), np.rad2deg(np.arcsin(rng.uniform(-1, 1, n)))
    ra[:60] = 150 + rng.normal(0, 0.01, 60)
    dec[:60] = rng.normal(2, 0.01, 60)
    dec[60:62] = 90, -90
    return LightCurveBatch(
        time=rng.uniform(55000, 56000, m),
        value=rng.normal(15, 1, m),
        error=rng.uniform(0.01, 0.1, m),
        offsets=offsets,
        flags=rng.integers(0, 4, m).astype(np.uint32),
        band=rng.integers(0, 3, m).astype(np.int16),
        points={"cadence": np.arange(m)},
        objects={
            "id": np.array([f"star-{i}" for i in range(n)], object),
            "ra": ra,
            "dec": dec,
            "number": np.arange(n),
        },
        meta=Meta("two", time_scale="MJD UTC", time_ref=2400000.5, bands=("g", "r", "i")),
    )


@pytest.fixture
def folder(tmp_path, batch):
    path = tmp_path / "stars.hats"
    write_hats(path, batch, points="all", record={"verb": "test"}, max_objects=25)
    return path


def test_everything_comes_back(folder, batch):
    with open_survey(folder, ColumnNames(extra=("number",))) as survey:
        assert survey.n_objects == 200
        back = survey.read()
    assert back.meta == batch.meta
    assert back.objects["row"].tolist() == list(range(200))
    order = back.objects["number"]
    assert sorted(order) == list(range(200))
    for name in ("id", "ra", "dec"):
        np.testing.assert_array_equal(back.objects[name], batch.objects[name][order])
    for i in (0, 57, 111, 199):
        ours, theirs = batch[int(order[i])], back[i]
        for name in ("time", "value", "error", "flags", "band"):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name))
        np.testing.assert_array_equal(theirs.points["cadence"], ours.points["cadence"])
    assert read_provenance(folder) == {"verb": "test"}


def test_partitions_are_the_largest_pixels_that_are_small_enough(folder):
    """Brute force: each star lies in its pixel, and four such pixels would hold too many."""
    import astropy_healpix

    catalog = hats_catalog(folder)
    assert catalog.sizes() == [pq.read_metadata(file).num_rows for file in catalog.files]
    everything = []
    for file in catalog.files:
        order, pixel = (int(file.as_posix().split(k)[1].split("/")[0].split(".")[0])
                        for k in ("Norder=", "Npix="))  # fmt: skip
        with file.open("rb") as raw:
            table = pq.read_table(raw)
        grid = astropy_healpix.HEALPix(2**order, order="nested")
        from astropy import units

        sky = [table[name].to_numpy() * units.deg for name in ("ra", "dec")]
        assert set(grid.lonlat_to_healpix(*sky)) == {pixel}
        assert 1 <= table.num_rows <= 25
        everything.append((order, pixel, table["_healpix_29"].to_numpy()))
    index = np.concatenate([numbers for _, _, numbers in everything])
    assert (np.diff(index) >= 0).all()
    for order, pixel, _ in everything:
        if order:
            assert (index >> 2 * (30 - order) == pixel >> 2).sum() > 25


@pytest.mark.parametrize("size", [1, 7, 64, 500])
@pytest.mark.parametrize("first", [0, 63, 199, 200])
def test_batches_are_cut_alike_wherever_one_starts(folder, size, first):
    whole = open_survey(folder).read()
    parts = list(open_survey(folder).iter_batches(size, first_row=first))
    assert [len(part) for part in parts[:-1]] == [size] * max(0, -(-(200 - first) // size) - 1)
    rows = np.concatenate([part.objects["row"] for part in parts])
    assert rows.tolist() == list(range(first, 200))
    value = np.concatenate([part.value for part in parts])
    np.testing.assert_array_equal(value, whole.value[whole.offsets[first] :])


def test_positions_are_found_by_the_catalogues_own_words(tmp_path, batch):
    path = tmp_path / "a.hats"
    write_survey(path, batch)
    for name in ("hats.properties", "properties"):
        text = (path / name).read_text()
        (path / name).write_text(text.replace("col_ra=ra", "col_ra=number"))
    found = read_catalogue(path)
    number = hats_catalog(path).read_columns(["number"])["number"].to_numpy()
    np.testing.assert_array_equal(found.ra, number)
    assert len(found) == 200


def test_checksum_changes_with_any_partition(folder):
    first = source_sha256(folder)
    assert first == source_sha256(folder)
    file = hats_catalog(folder).files[3]
    file.write_bytes(file.read_bytes() + b" ")
    assert source_sha256(folder) != first


def test_a_collection_is_its_primary_table(tmp_path, folder):
    whole = tmp_path / "whole"
    whole.mkdir()
    shutil.move(folder, whole / "main")
    (whole / "collection.properties").write_text(
        "#HATS\nobs_collection=x\nhats_primary_table_url=main\nall_margins=m\n"
    )
    assert open_survey(whole).n_objects == 200
    for bad in ("../stars", "/etc", "", "s3://x"):
        (whole / "collection.properties").write_text(f"hats_primary_table_url={bad}\n")
        with pytest.raises(DataError, match="is no folder in it"):
            open_survey(whole)


def test_partitions_may_be_folders_and_the_list_may_be_missing(folder):
    whole = open_survey(folder).read()
    (folder / "partition_info.csv").unlink()
    assert open_survey(folder).read().ids.tolist() == whole.ids.tolist()
    for file in list(hats_catalog(folder).files):
        inner = file.with_suffix("")
        inner.mkdir()
        file.rename(inner / "part0.parquet")
    for name in ("hats.properties", "properties"):
        text = (folder / name).read_text()
        (folder / name).write_text(text.replace("suffix=.parquet", "suffix=/"))
    assert open_survey(folder).read().ids.tolist() == whole.ids.tolist()


def edit(folder, old, new):
    for name in ("hats.properties", "properties"):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))


class TestBroken:
    def test_a_partition_is_missing(self, folder):
        hats_catalog(folder).files[2].unlink()
        with pytest.raises(DataError, match=r"partition Norder=\d+, Npix=\d+ is missing"):
            open_survey(folder)

    def test_a_partition_is_truncated(self, folder):
        file = hats_catalog(folder).files[2]
        file.write_bytes(file.read_bytes()[:-50])
        with pytest.raises(DataError, match=file.name):
            open_survey(folder)

    def test_rows_are_missing(self, folder):
        edit(folder, "nrows=200", "nrows=201")
        with pytest.raises(DataError, match="hold 200 rows, its properties say 201"):
            open_survey(folder)
        edit(folder, "nrows=201", "nrows=many")
        with pytest.raises(DataError, match="hats_nrows is 'many'"):
            open_survey(folder)

    @pytest.mark.parametrize("kind", ["margin", "index", "association", "map"])
    def test_what_is_no_catalogue(self, folder, kind):
        edit(folder, "type=object", f"type={kind}")
        with pytest.raises(DataError, match=f"is a HATS {kind}"):
            open_survey(folder)

    @pytest.mark.parametrize(
        ("rows", "match"),
        [
            ("0,12\n", "names no HEALPix pixel"),
            ("30,0\n", "names no HEALPix pixel"),
            ("-1,0\n", "names no HEALPix pixel"),
            ("0,x\n", "names no HEALPix pixel"),
            ("0,../../x\n", "names no HEALPix pixel"),
            ("0,²\n", "names no HEALPix pixel"),  # a digit that is no number
            ("0,1\n1,4\n", "partitions overlap"),
            ("", "has no partitions"),
        ],
    )
    def test_the_list_of_partitions(self, folder, rows, match):
        (folder / "partition_info.csv").write_text("Norder,Npix\n" + rows)
        with pytest.raises(DataError, match=match):
            open_survey(folder)

    def test_a_suffix_that_leads_elsewhere(self, folder):
        edit(folder, "suffix=.parquet", "suffix=/../../x")
        with pytest.raises(DataError, match="is missing"):
            open_survey(folder)

    def test_bytes_that_are_no_text(self, folder):
        (folder / "hats.properties").write_bytes(b"\xff\xfe" * 50)
        with pytest.raises(DataError, match=r"hats\.properties cannot be read"):
            open_survey(folder)

    def test_partitions_that_differ(self, folder):
        file = hats_catalog(folder).files[-1]
        with file.open("rb") as raw:
            table = pq.read_table(raw)
        pq.write_table(table.replace_schema_metadata({"quantity": "flux"}), file)
        with pytest.raises(DataError, match="where the first partition is of"):
            open_survey(folder).read()

    def test_no_folder(self, tmp_path):
        with pytest.raises(DataError, match="there is none of this name"):
            open_survey(tmp_path / "none.hats")


def test_what_cannot_be_written(tmp_path, batch, folder):
    with pytest.raises(DataError, match="exists; a catalogue is a folder of its own"):
        write_survey(folder, batch)
    lost = replace(batch, objects={**batch.objects, "ra": np.where(np.arange(200), 1.0, np.nan)})
    with pytest.raises(DataError, match=r"'star-0' has none .* like 1 of 200 objects"):
        write_survey(tmp_path / "b.hats", lost)
    with pytest.raises(DataError, match="at least one object"):
        write_survey(tmp_path / "b.hats", batch[:0])
    with pytest.raises(ConfigError, match="max_objects"):
        write_hats(tmp_path / "b.hats", batch, max_objects=0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["stars.hats"]


def test_the_catalogues_of_others(data_dir):
    """Written by hats-import and LSDB; its own count, its index and its margin are the truth."""
    folder = data_dir / "hats" / "small_sky_order1_nested_sources"
    names = ColumnNames(extra=("_healpix_29",))
    with open_survey(folder, names) as survey:
        batch = survey.read()
    assert len(batch) == 131
    assert batch.n_points > 10_000
    assert set(batch.meta.bands) <= set("ugrizy")
    single = [open_survey(file, names).read() for file in hats_catalog(folder).files]
    np.testing.assert_array_equal(batch.value, np.concatenate([one.value for one in single]))
    for one, mine in zip(single, np.split(batch.band, np.cumsum([s.n_points for s in single])),
                         strict=False):  # fmt: skip
        assert [one.meta.bands[k] for k in one.band[:50]] == [
            batch.meta.bands[k] for k in mine[:50]
        ]
    margin = folder / "small_sky_order1_nested_sources_margin"
    with pytest.raises(DataError, match="is a HATS margin"):
        open_survey(margin)
    catalogue = read_catalogue(data_dir / "hats" / "small_sky_source")  # no usual names there
    assert len(catalogue) == 17161


def test_the_index_is_that_of_others(tmp_path, data_dir):
    """hats-import numbered the same places."""
    names = ColumnNames(extra=("_healpix_29",))
    batch = open_survey(data_dir / "hats" / "small_sky_order1_nested_sources", names).read()
    theirs = batch.objects["_healpix_29"].astype(np.int64)
    plain = {name: column for name, column in batch.objects.items() if name != "_healpix_29"}
    write_survey(tmp_path / "again.hats", replace(batch, objects=plain))
    (file,) = {*hats_catalog(tmp_path / "again.hats").files}
    with file.open("rb") as raw:
        ours = pq.read_table(raw, columns=["_healpix_29"])["_healpix_29"].to_numpy()
    np.testing.assert_array_equal(ours, np.sort(theirs))
