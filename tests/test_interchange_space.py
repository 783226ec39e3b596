"""Space photometry as lightkurve objects, through every step of cleaning and detrending."""

from __future__ import annotations

import numpy as np
import pytest
from astropy import units as u
from astropy.table import Table
from astropy.time import Time
from astropy.timeseries import TimeSeries

from astroprep import interchange
from astroprep.base import Needs, Transformer
from astroprep.clean import FlagBad, SigmaClip, SurveyFlags
from astroprep.data import LightCurveBatch, Meta, PointFlag
from astroprep.detrend import MovingTrend
from astroprep.errors import DataError
from astroprep.io import open_survey
from astroprep.pipeline.steps import all_steps

pytestmark = pytest.mark.filterwarnings("ignore")  # lightkurve's own import warns

STEPS = {
    name: step
    for name, step in all_steps().items()
    if step.__module__.startswith(("astroprep.clean", "astroprep.detrend"))
}
ELECTRONS = u.electron / u.s


@pytest.fixture
def make(rng):
    """K2-like `LightCurve` with everything that lightkurve's reader gives."""
    lightkurve = pytest.importorskip("lightkurve")

    def one(number=0, n=240, mission="K2"):
        time = Time(2000 + number + 0.0204 * np.arange(n), format="bkjd", scale="tdb")
        roll = np.sin(2 * np.pi * np.arange(n) / 12)
        flux = 1e4 * (1 + 0.002 * roll + 0.001 * np.sin(np.arange(n) / 40))
        flux += rng.normal(0, 5, n)
        flux[7] = np.nan
        curve = lightkurve.KeplerLightCurve(
            time=time,
            flux=flux.astype(">f4") * ELECTRONS,
            flux_err=np.full(n, 5, ">f4") * ELECTRONS,
        )
        curve["quality"] = np.where(np.arange(n) % 12 == 5, 1 << 20, 0).astype(">i4")
        curve["cadenceno"] = (7000 + np.arange(n)).astype(">i4")
        for name, unit in (("pos_corr1", u.pix), ("pos_corr2", u.pix), ("centroid_col", u.pix)):
            curve[name] = (roll * 0.3).astype(">f4") * unit
        curve["sap_bkg"] = np.full(n, 50, ">f4") * ELECTRONS
        curve["sap_flux"] = curve["flux"] * 0.9
        curve.meta.update(
            MISSION=mission, LABEL=f"EPIC {number}", RA_OBJ=130.0, DEC_OBJ=15.0, CAMPAIGN=5,
            CHANNEL=40, KEPMAG=12.5, CROWDSAP=0.99, FLFRCSAP=0.9, QUARTER=None,
        )  # fmt: skip
        return curve

    return one


def configured(step):
    return step(**step.example) if hasattr(step, "example") else step()


def outcome(call):
    """What a call gives, or the words of its refusal."""
    try:
        return call(), ""
    except DataError as error:
        return None, str(error)


def test_what_a_batch_knows_of_a_lightkurve_object(make):
    curve = make(3)
    batch, _ = interchange.take(curve)

    assert batch.meta == Meta("K2", "flux", "electron/s", "BKJD TDB", 2454833.0)
    assert batch.points["cadence"].dtype == batch.points["survey_flags"].dtype == np.int64
    np.testing.assert_array_equal(batch.points["cadence"], curve["cadenceno"])
    np.testing.assert_array_equal(batch.points["survey_flags"], curve["quality"])
    for ours, theirs in (("pos_corr1", "pos_corr1"), ("centroid1", "centroid_col")):
        np.testing.assert_array_equal(batch.points[ours], curve[theirs].value)
    assert (batch.points["background"] == 50).all()
    numbers = {"ra": 130.0, "dec": 15.0, "segment": 5, "channel": 40, "brightness": 12.5}
    for name, number in {**numbers, "crowding": 0.99, "flux_fraction": 0.9}.items():
        assert batch.objects[name].tolist() == [number]
    assert not batch.flags.any()


# Backwards: while another worker compiles the same kernels for contracts/, from the front.
@pytest.mark.parametrize("name", list(reversed(STEPS)))
class TestEveryStep:
    def test_one_lightkurve_object(self, make, name):
        """The object comes back with its columns and units, and with what the batch says."""
        curve = make()
        before = curve.copy()
        step = configured(STEPS[name])
        batch, refusal = outcome(lambda: step.fit_transform(interchange.from_lightkurve(curve)))

        result, why = outcome(lambda: configured(STEPS[name]).fit_transform(curve))

        assert why == refusal
        assert curve.colnames == before.colnames  # what came in is left as it was
        if result is None:
            return
        assert type(result) is type(curve)
        assert len(result) == batch.n_points
        if len(result) == len(curve):
            assert set(curve.colnames) <= set(result.colnames)
            for column in set(curve.colnames) - {"time", "flux", "flux_err"}:
                assert getattr(result[column], "unit", None) == getattr(curve[column], "unit", None)
                np.testing.assert_array_equal(result[column], curve[column])
        np.testing.assert_array_equal(result.time.value, batch.time)
        if batch.meta.quantity == "flux":
            assert result["flux"].unit == u.Unit(batch.meta.unit)
            given = np.ma.filled(np.ma.asarray(result["flux"].value, float), np.nan)
            np.testing.assert_array_equal(given, batch.value)
        np.testing.assert_array_equal(result["flags"], batch.flags)
        for column in set(batch.points) - set(interchange.from_lightkurve(curve).points):
            np.testing.assert_array_equal(
                getattr(result[column], "value", result[column]), batch.points[column]
            )

    def test_a_collection(self, make, name):
        lightkurve = pytest.importorskip("lightkurve")
        curves = lightkurve.LightCurveCollection([make(i) for i in range(6)])
        step = configured(STEPS[name]).set_params(on_bad="reject")
        result, _ = outcome(lambda: step.fit_transform(curves))
        if result is not None:
            assert isinstance(result, lightkurve.LightCurveCollection)
            assert len(result) <= 6
            for curve in result:
                assert isinstance(curve, lightkurve.KeplerLightCurve)


class Refuse(Transformer):
    """Cannot serve what is called so; for these tests."""

    needs = Needs()

    def __init__(self, name="EPIC 1", on_bad="raise"):
        self.name = name
        self.on_bad = on_bad

    def _transform(self, batch):
        return self.refuse(batch, batch.ids == self.name, "another name")


class Rescale(Transformer):
    """Relative flux, or magnitudes; for these tests."""

    needs = Needs()

    def __init__(self, quantity="flux", on_bad="raise"):
        self.quantity = quantity
        self.on_bad = on_bad

    def _transform(self, batch):
        unit = "" if self.quantity == "flux" else "mag"
        meta = Meta(quantity=self.quantity, unit=unit, time_scale="BKJD TDB", time_ref=2454833.0)
        return batch.with_columns(value=batch.value / 1e4, error=batch.error / 1e4, meta=meta)


class Pairs(Transformer):
    """Half of the points, or their means; for these tests."""

    needs = Needs()

    def __init__(self, means=False, on_bad="raise"):
        self.means = means
        self.on_bad = on_bad

    def _transform(self, batch):
        every = slice(0, None, 2)
        time = batch.time[every] + (0.01 if self.means else 0)
        return LightCurveBatch(
            time=time,
            value=batch.value[every],
            error=batch.error[every],
            offsets=batch.offsets // 2,
            points={"n_binned": np.full(time.size, 2)},
            objects=batch.objects,
            meta=batch.meta,
        )


class TestComingBack:
    def test_a_rejected_member_is_left_out(self, make):
        lightkurve = pytest.importorskip("lightkurve")
        curves = lightkurve.LightCurveCollection([make(i) for i in range(3)])
        result = Refuse(on_bad="reject").fit_transform(curves)
        assert [curve.meta["LABEL"] for curve in result] == ["EPIC 0", "EPIC 2"]
        np.testing.assert_array_equal(result[1].time.value, curves[2].time.value)
        with pytest.raises(DataError, match="'EPIC 1' was rejected, as Refuse needs another name"):
            Refuse(on_bad="reject").fit_transform(make(1))
        with pytest.raises(DataError, match=r"'EPIC 1'.*1 of 3 curves"):
            Refuse().fit_transform(curves)

    def test_steps_one_after_another_know_of_each_other(self, make):
        """Flags, weights, trends and numbers survive the way through a lightkurve object."""
        curve = make()
        batch, _ = interchange.take(curve)
        through, direct = curve, batch
        for step in (
            FlagBad(),
            SurveyFlags(),
            SigmaClip(),
            MovingTrend(average="median", window=1.0),
        ):
            through, direct = step.fit_transform(through), step.fit_transform(direct)
        back, _ = interchange.take(through)
        np.testing.assert_array_equal(back.flags, direct.flags)
        np.testing.assert_array_equal(back.points["trend"], direct.points["trend"])
        np.testing.assert_allclose(back.value, direct.value, rtol=1e-15)
        assert (back.flags & np.uint32(PointFlag.SURVEY) > 0).sum() == 20
        assert through["trend"].unit == ELECTRONS

    def test_weights_and_numbers_per_object(self, make):
        curve = make()
        batch, give_back = interchange.take(curve)
        weight = np.linspace(0, 1, batch.n_points)
        table = give_back(
            batch.with_columns(
                weight=weight,
                objects={"period": np.array([2.5]), "fit": np.array([[1.0, 2.0]])},
            )
        )
        again, _ = interchange.take(table)
        np.testing.assert_array_equal(again.weight, weight)
        assert again.objects["period"].tolist() == [2.5]
        assert again.objects["fit"].tolist() == [[1.0, 2.0]]

    def test_another_unit_and_another_quantity(self, make):
        relative = Rescale().fit_transform(make())
        assert relative["flux"].unit == u.dimensionless_unscaled
        assert np.nanmedian(relative.flux.value) == pytest.approx(1, abs=0.01)
        assert relative["sap_flux"].unit == ELECTRONS
        magnitudes = Rescale("mag").fit_transform(make())
        assert magnitudes["mag"].unit == u.mag
        assert magnitudes["flux"].unit == ELECTRONS
        assert interchange.take(magnitudes)[0].meta.quantity == "mag"

    def test_fewer_points_are_rows_of_the_object(self, make):
        curve = make()
        result = Pairs().fit_transform(curve)
        assert type(result) is type(curve)
        np.testing.assert_array_equal(result["cadenceno"], curve["cadenceno"][::2])
        assert result["n_binned"].tolist() == [2] * 120

    def test_new_points_are_a_new_object(self, make):
        curve = make()
        result = Pairs(means=True).fit_transform(curve)
        assert type(result) is type(curve)
        np.testing.assert_array_equal(result.time.value, curve.time.value[::2] + 0.01)
        assert result["flux"].unit == ELECTRONS
        assert "cadenceno" not in result.colnames
        assert result.meta["LABEL"] == "EPIC 0"
        series = TimeSeries(time=curve.time)
        series["mag"] = np.ones(240)
        assert len(Pairs(means=True).fit_transform(series)) == 120
        table = Table({"mjd": np.arange(240.0), "mag": np.ones(240)})
        assert len(Pairs(means=True).fit_transform(table)) == 120

    def test_members_of_two_kinds(self, make):
        lightkurve = pytest.importorskip("lightkurve")
        curves = lightkurve.LightCurveCollection([make(0), make(1, mission="Kepler")])
        with pytest.raises(DataError, match=r"one kind, but .EPIC 0. .* give them apart"):
            FlagBad().fit_transform(curves)

    def test_columns_that_not_all_have_are_left_out(self, make):
        bare = make(1)
        bare.remove_columns(["pos_corr1", "cadenceno"])
        batch = interchange.from_lightkurve([make(0), bare])
        assert {"pos_corr2", "survey_flags"} <= set(batch.points)
        assert not {"pos_corr1", "cadence"} & set(batch.points)

    def test_columns_of_others_are_not_taken_for_ours(self):
        table = Table({"mjd": [1.0, 2.0], "mag": [3.0, 4.0], "flags": [4, 0], "weight": [0.0, 1]})
        table["quality"] = ["good", "bad"]
        batch = interchange.from_timeseries(table)
        assert batch.flags.tolist() == [0, 0]
        assert batch.weight.tolist() == [1, 1]
        assert not batch.points


@pytest.mark.parametrize("form", ["pandas", "arrow"])
def test_flags_and_weights_survive_frames(make_batch, form):
    batch = make_batch()
    flags = np.zeros(batch.n_points, np.uint32)
    flags[5] = PointFlag.OUTLIER
    batch = batch.with_columns(flags=flags, weight=np.linspace(0.1, 1, batch.n_points))
    if form == "pandas":
        back = interchange.from_pandas(interchange.to_pandas(batch))
    else:
        back = interchange.from_arrow(interchange.to_arrow(batch)["lightcurve"])
    np.testing.assert_array_equal(back.flags, flags)
    np.testing.assert_array_equal(back.weight, batch.weight)


def test_frames_of_steps_that_change_the_number_of_points():
    import pandas as pd

    frame = pd.DataFrame({"mjd": np.arange(8.0), "mag": np.ones(8)})
    assert len(Pairs().fit_transform(frame)) == 4


def test_real_files_are_the_same_through_lightkurve(data_dir):
    lightkurve = pytest.importorskip("lightkurve")
    for path in sorted((data_dir / "space").rglob("*lc.fits")):
        theirs = interchange.from_lightkurve(lightkurve.read(path, quality_bitmask="none"))
        ours = open_survey(path).read()
        assert theirs.meta == ours.meta
        assert theirs.ids.tolist() == ours.ids.tolist()
        kept = np.isin(ours.points["cadence"], theirs.points["cadence"])
        for name in ("time", "value", "error"):
            np.testing.assert_array_equal(getattr(theirs, name), getattr(ours, name)[kept])
        for name, column in ours.points.items():
            np.testing.assert_array_equal(theirs.points[name], column[kept], err_msg=name)
        for name in ("segment", "channel", "brightness", "crowding", "flux_fraction", "ra"):
            np.testing.assert_array_equal(theirs.objects[name], ours.objects[name], err_msg=name)
