"""Packets to observations: magnitudes by hand, truth of a simulation, damage, the real ones."""

from __future__ import annotations

import io
import os
import tarfile

import numpy as np
import pyarrow as pa
import pytest

from astroprep.data import PointFlag
from astroprep.errors import ConfigError
from astroprep.nightly.ingest import SURVEYS, AlertReader, survey_of
from astroprep.nightly.sources import KafkaAlerts, Message, open_alerts
from astroprep.nightly.ztf import apparent_magnitude
from astroprep.synthetic import simulate_alerts

fastavro = pytest.importorskip("fastavro")


def messages(nights):
    return [
        Message(packet, f"{i}") for i, packet in enumerate(p for n in nights for p in n.packets)
    ]


def column(table, name):
    return table[name].to_numpy(zero_copy_only=False)


def test_apparent_magnitudes_by_hand():
    """A star of magnitude 15 that doubles, halves, goes out, and what cannot be told."""
    half = 15 - 2.5 * np.log10(0.5)  # a difference of half the reference flux
    diff = np.array([15.0, half, 14.0, 17.0, 17.0, 17.0])
    sign = np.array([1, -1, -1, 1, -1, 0])
    near = np.array([True, True, True, False, False, True])

    mag, err = apparent_magnitude(diff, np.full(6, 0.1), sign, np.full(6, 15.0), near)

    np.testing.assert_allclose(mag[:2], [15 - 2.5 * np.log10(2), half])
    np.testing.assert_allclose(err[:2], [0.05, 0.1])
    assert np.isnan(mag[[2, 4, 5]]).all()
    assert np.isnan(err[[2, 4, 5]]).all()
    assert mag[3] == 17.0


@pytest.mark.parametrize(
    ("survey", "version"), [("ztf", "4.02"), ("ztf", "3.3"), ("lsst", "10.0"), ("lsst", "7.4")]
)
def test_observations_are_the_truth(survey, version):
    stars, nights = simulate_alerts(6, 6, 2, survey=survey, version=version, cutout=50)
    nights = list(nights)
    packets = messages(nights)
    reader = AlertReader(SURVEYS[survey], 2)

    found = reader.read(packets)

    rows = found.observations
    assert found.n_received == len(packets)
    assert found.dead.num_rows == 0
    own = column(rows, "quality") == 1
    assert own.sum() == len(packets)
    base = 10**15 if survey == "ztf" else 10**16
    visit = column(rows, "source_id")[own] - base
    np.testing.assert_array_equal(visit, np.concatenate([n.visit for n in nights]))
    value, error = column(rows, "value")[own], column(rows, "error")[own]
    flux, flux_err = stars.flux[visit], stars.flux_err[visit]
    if version == "7.4":  # it has no flux of the star itself, and none is made up
        assert np.isnan(value).all()
        assert (column(rows, "flags")[own] & PointFlag.MISSING_VALUE).all()
        return
    if survey == "ztf":
        np.testing.assert_allclose(value, 31.4 - 2.5 * np.log10(flux), atol=1e-5)
        np.testing.assert_allclose(error, 1.0857 * flux_err / flux, rtol=1e-4)
    else:
        np.testing.assert_allclose(value, flux, rtol=1e-6)
        named = column(rows, "object_id")[own] != ""
        np.testing.assert_array_equal(
            column(rows, "object_id")[own][named], stars.id[stars.star[visit]][named]
        )
        assert not named.all()
        assert column(rows, "withdrawn").any()
    forced = column(rows, "kind") == 1
    assert forced.any() == (version != "3.3")


def test_forced_photometry_without_a_number_is_told_by_its_time():
    """Brokers of LSST do not trust its numbers."""
    packet = max(
        (p for n in simulate_alerts(3, 6, 2, survey="lsst")[1] for p in n.packets), key=len
    )
    reader = fastavro.reader(io.BytesIO(packet))
    record = next(reader)
    for forced in record["prvDiaForcedSources"]:
        forced["diaForcedSourceId"] = 0
    out = io.BytesIO()
    fastavro.writer(out, reader.writer_schema, [record])
    lsst = AlertReader(SURVEYS["lsst"], 2)
    given, made, again = (
        lsst.read([Message(data, "")]).observations
        for data in (packet, out.getvalue(), out.getvalue())
    )
    forced = column(made, "kind") == 1
    number = column(made, "source_id")[forced]
    assert forced.sum() == len(record["prvDiaForcedSources"]) > 3
    assert len(set(number)) == number.size
    assert (number < 0).all()
    assert repr(made.to_pylist()) == repr(again.to_pylist())
    made, given = (repr(one.drop_columns("source_id").to_pylist()) for one in (made, given))
    assert made == given


def test_times_are_barycentric():
    """astropy is the oracle."""
    from astropy import units
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time

    stars, nights = simulate_alerts(3, 2, 2, cutout=50, late=0)
    packets = messages(nights)
    rows = AlertReader(SURVEYS["ztf"], 2).read(packets).observations
    own = column(rows, "quality") == 1
    visit = column(rows, "source_id")[own] - 10**15
    palomar = EarthLocation.from_geodetic(-116.865, 33.3563, 1712)
    time = Time(stars.mjd[visit], format="mjd", scale="utc", location=palomar)
    place = SkyCoord(column(rows, "ra")[own], column(rows, "dec")[own], unit="deg")
    expected = time.tdb + time.light_travel_time(place, ephemeris="builtin")
    difference = (column(rows, "time")[own] - expected.mjd) * units.day
    assert np.abs(difference.to_value("s")).max() < 0.01


def changed(packet, **values):
    row = next(fastavro.reader(io.BytesIO(packet)))
    schema = fastavro.reader(io.BytesIO(packet)).writer_schema
    for name, value in values.items():
        (row["candidate"] if name in row["candidate"] else row)[name] = value
    out = io.BytesIO()
    fastavro.writer(out, schema, [row])
    return out.getvalue()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"ra": np.nan}, "no position"),
        ({"dec": 95.0}, "no position"),
        ({"jd": np.inf}, "no time"),
        ({"objectId": ""}, "no objectId"),
        ({"candid": 0}, "no candid"),
    ],
)
def test_what_cannot_be_an_alert_is_dead(values, reason):
    packet = next(n for n in simulate_alerts(3, 2, 2, cutout=50)[1] if n.packets).packets[0]
    found = AlertReader(SURVEYS["ztf"], 2).read([Message(changed(packet, **values), "x")])
    assert found.observations.num_rows == 0
    assert found.n_received == found.dead.num_rows == 1
    assert reason in found.dead["reason"][0].as_py()


@pytest.mark.parametrize(
    ("values", "flag"),
    [
        ({"jd": 1e9}, PointFlag.BAD_TIME),
        ({"magpsf": -999.0}, PointFlag.MISSING_VALUE),
        ({"magpsf": np.nan}, PointFlag.MISSING_VALUE),
        ({"sigmapsf": -999.0}, PointFlag.MISSING_ERROR),
        ({"isdiffpos": "?"}, PointFlag.MISSING_VALUE),
        ({"magnr": None, "isdiffpos": "f"}, PointFlag.MISSING_VALUE),
    ],
)
def test_bad_numbers_are_flagged(values, flag):
    packet = next(n for n in simulate_alerts(3, 2, 2, cutout=50)[1] if n.packets).packets[0]
    rows = AlertReader(SURVEYS["ztf"], 2).read([Message(changed(packet, **values), "x")])
    rows = rows.observations
    assert column(rows, "flags")[0] & flag


def test_a_damaged_place_of_the_object_is_that_of_the_source():
    """Forced photometry without a place of its own takes the object's, if it is one."""
    packet = next(
        n for n in simulate_alerts(3, 4, 2, survey="lsst", version="7.4", cutout=50)[1] if n.packets
    ).packets[0]
    reader = fastavro.reader(io.BytesIO(packet))
    row = next(reader)
    own = row["diaSource"]
    for wrong in (3.6e72, np.nan, -361.0):
        row["diaObject"]["ra"] = wrong
        for forced in row["prvDiaForcedSources"] or []:
            forced["ra"] = np.nan
        out = io.BytesIO()
        fastavro.writer(out, reader.writer_schema, [row])
        found = AlertReader(SURVEYS["lsst"], 2).read([Message(out.getvalue(), "x")])
        assert found.dead.num_rows == 0
        assert column(found.observations, "ra")[0] == pytest.approx(own["ra"])
        assert np.abs(column(found.observations, "ra")).max() <= 360


def test_mutated_packets_never_crash_and_none_is_lost(rng):
    packet = next(n for n in simulate_alerts(3, 4, 2, cutout=50)[1] if n.packets).packets[-1]
    reader = AlertReader(SURVEYS["ztf"], 2)
    made = []
    for _ in range(400):
        data = bytearray(packet)
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        if rng.random() < 0.3:
            data = data[: rng.integers(len(data))]
        made.append(Message(bytes(data), "mutant"))
    found = reader.read(made)
    assert found.n_received == len(made)
    own = int((column(found.observations, "quality") == 1).sum())
    assert own + found.dead.num_rows == len(made)
    assert found.dead.num_rows > 100
    assert all(found.dead["reason"].to_pylist())


def test_files_folders_and_archives_give_the_same(tmp_path):
    packets = next(n for n in simulate_alerts(4, 2, 2, cutout=50)[1] if n.packets).packets
    folder = tmp_path / "night"
    folder.mkdir()
    for i, packet in enumerate(packets):
        (folder / f"{i:03d}.avro").write_bytes(packet)
    with tarfile.open(tmp_path / "night.tar.gz", "w:gz") as archive:
        archive.add(folder, "night")

    def read(source):
        return [m and m.data for m in open_alerts(str(source)).messages(3)]

    batched = [x for i in range(0, len(packets), 3) for x in [*packets[i : i + 3], None]]
    assert read(folder) == batched
    assert set(read(tmp_path / "night.tar.gz")) == set(batched)
    assert read(folder / "000.avro") == [packets[0], None]


def test_a_truncated_archive_gives_what_it_had_and_one_dead(tmp_path):
    path = tmp_path / "night.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for i in range(50):
            info = tarfile.TarInfo(f"{i}.avro")
            info.size = 1000
            archive.addfile(info, io.BytesIO(np.random.default_rng(i).bytes(1000)))
    path.write_bytes(path.read_bytes()[:30_000])
    found = [m for m in open_alerts(str(path)).messages(1000) if m is not None]
    assert 10 < len(found) < 40
    assert [bool(m.fault) for m in found] == [False] * (len(found) - 1) + [True]


def test_damage_within_an_archive_is_not_its_end(tmp_path):
    """A header that cannot be read is a dead letter, and so is an archive without an end."""
    path = tmp_path / "night.tar"
    with tarfile.open(path, "w") as archive:
        for i in range(5):
            info = tarfile.TarInfo(f"{i}.avro")
            info.size = 1000
            archive.addfile(info, io.BytesIO(bytes(1000)))
    data = path.read_bytes()
    damaged = bytearray(data)
    damaged[2 * 1536 + 150] ^= 0xFF  # checksum of the third
    for content, whole in ((data, 5), (bytes(damaged), 2), (data[: 3 * 1536], 3)):
        path.write_bytes(content)
        faults = [m.fault for m in open_alerts(str(path)).messages(99) if m is not None]
        assert faults[:whole] == [""] * whole
        assert ["no mark of the end" in fault for fault in faults[whole:]] == [True] * (whole < 5)
    with pa.OSFile(f"{path}.zst", "wb") as file, pa.CompressedOutputStream(file, "zstd") as packed:
        packed.write(data)
    assert len([m for m in open_alerts(f"{path}.zst").messages(99) if m]) == 5


@pytest.mark.timeout(20)
def test_names_and_folders_that_cannot_be_read_are_dead_letters(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "night" / "pipe.tar.gz")
    with open(os.fsencode(tmp_path / "night") + b"/n\xff.avro", "wb") as file:
        file.write(b"x")
    path, form = tmp_path / "night" / "z.tar", tarfile.GNU_FORMAT
    with tarfile.open(path, "w", format=form, encoding="latin-1") as archive:
        archive.addfile(tarfile.TarInfo("m\xff"))
    found = [m for m in open_alerts(str(tmp_path / "night")).messages(9) if m is not None]
    dead = AlertReader(SURVEYS["ztf"], 2).read(iter(found)).dead
    assert [one.rsplit("/", 1)[1] for one in dead["origin"].to_pylist()] == [
        "link", "pipe.tar.gz", "n\\xff.avro", "z.tar:m\\xff",
    ]  # fmt: skip


def test_sources_that_cannot_be():
    with pytest.raises(ConfigError, match="no such file"):
        open_alerts("/nowhere")
    with pytest.raises(ConfigError, match="neither"):
        open_alerts(__file__, follow=True)
    with pytest.raises(ConfigError, match="kafka://HOST"):
        open_alerts("kafka://host")
    with pytest.raises(ConfigError, match="none of the first 1 packets"):
        survey_of([Message(b"rubbish", "x")])


class FakeConsumer:
    """What confluent_kafka.Consumer does, of a list."""

    def __init__(self, values):
        self.values, self.at, self.committed, self.topics = values, 0, 0, []

    def subscribe(self, topics):
        self.topics = topics

    def consume(self, size, timeout):
        first, self.at = self.at, min(self.at + size, len(self.values))
        return [FakeMessage(v, first + i) for i, v in enumerate(self.values[first : self.at])]

    def assignment(self):
        return self.topics

    def commit(self, asynchronous):
        assert not asynchronous
        self.committed = self.at

    def close(self):
        self.at = -1


class FakeMessage:
    def __init__(self, value, offset):
        self._value, self._offset = value, offset

    def error(self):
        return None

    def value(self):
        return self._value

    def topic(self):
        return "t"

    def partition(self):
        return 0

    def offset(self):
        return self._offset


def test_kafka_offsets_are_committed_behind_the_write():
    consumer = FakeConsumer([b"a", b"b", b"c"])
    source = KafkaAlerts("kafka://host:9092/topic?group=g", consumer=consumer, wait=0.01)
    given = source.messages(2)
    assert [next(given).data, next(given).data, next(given)] == [b"a", b"b", None]
    assert consumer.committed == 0
    source.commit()
    assert consumer.committed == 2
    assert next(given).origin == "t[0]@2"
    assert consumer.committed == 2
    assert list(given) == [None]


def test_the_real_packets(data_dir):
    for name, n_alerts in (("ztf", 42), ("lsst", 54)):
        files = sorted((data_dir / "alerts" / name).glob("*.avro"))
        found = AlertReader(SURVEYS[name], 2).read([Message(f.read_bytes(), f.name) for f in files])
        assert found.n_received == n_alerts
        assert found.dead.num_rows == 0
        own = found.observations.filter(found.observations["quality"].to_numpy() == 1)
        assert own.num_rows == n_alerts
        if name == "ztf":
            assert np.isfinite(column(own, "value")).all()
            assert (np.abs(column(own, "time") - 58800) < 700).all()
        else:
            assert (column(own, "object_id") == "").sum() == 14  # the examples have no object


@pytest.mark.timeout(20)
def test_a_pipe_in_a_folder_holds_no_night_up(tmp_path):
    os.mkfifo(tmp_path / "pipe.avro")
    (tmp_path / "z.avro").write_bytes(b"Obj")
    first, second, end = open_alerts(str(tmp_path)).messages(3)
    assert (first.fault, second.data, end) == ("it is no ordinary file", b"Obj", None)
