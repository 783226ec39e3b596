"""Every form in which light curves come goes in and comes back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from astroprep import interchange
from astroprep.base import Needs, Transformer
from astroprep.data import LightCurveBatch
from astroprep.errors import DataError

lightkurve_warning = pytest.mark.filterwarnings("ignore")  # its own import warns


class Brighten(Transformer):
    """Moves every value by one and says where; for these tests."""

    needs = Needs(single_band=False)

    def __init__(self, on_bad="raise"):
        self.on_bad = on_bad

    def _transform(self, batch):
        empty = np.diff(batch.offsets) == 0
        batch = self.refuse(batch, empty, "a point")
        return batch.with_columns(
            value=batch.value + 1.0,
            points={"trend": np.ones(batch.n_points)},
            objects={"period": np.full(batch.n_curves, 2.5)},
        )


def test_arrow_struct_of_lists_is_shared_not_copied(make_batch):
    batch = make_batch(3)
    table = interchange.to_arrow(batch)

    back = interchange.from_arrow(table["lightcurve"], objects={"id": batch.ids})

    assert np.shares_memory(back.time, batch.time)
    assert np.shares_memory(back.value, batch.value)
    np.testing.assert_array_equal(back.offsets, batch.offsets)
    assert back.ids.tolist() == batch.ids.tolist()


def test_arrow_list_of_structs_is_shared_not_copied():
    values = pa.StructArray.from_arrays(
        [pa.array([1.0, 2.0, 3.0]), pa.array([9.0, 8.0, 7.0])], names=["mjd", "flux"]
    )
    column = pa.ListArray.from_arrays(pa.array([0, 1, 3], pa.int32()), values)

    batch = interchange.from_arrow(column)

    assert batch.meta.quantity == "flux"
    assert np.shares_memory(batch.time, values.field(0).to_numpy())
    assert np.diff(batch.offsets).tolist() == [1, 2]
    assert np.isnan(batch.error).all()


def test_arrow_slices_nulls_and_uneven_lists():
    times = pa.array([[1.0], None, [2.0, 3.0]])
    column = pa.StructArray.from_arrays([times, times], names=["time", "mag"])
    assert np.diff(interchange.from_arrow(column).offsets).tolist() == [1, 0, 2]
    assert interchange.from_arrow(column.slice(2, 1)).time.tolist() == [2.0, 3.0]

    uneven = pa.StructArray.from_arrays(
        [pa.array([[1.0], [1.0, 2.0]]), pa.array([[1.0], [1.0]])], names=["time", "mag"]
    )
    with pytest.raises(DataError, match=r"in row 1 the list 'mag' has 1 .* the others 2"):
        interchange.from_arrow(uneven)


def test_arrow_refuses_text_where_numbers_belong():
    column = pa.StructArray.from_arrays(
        [pa.array([["a"]]), pa.array([[1.0]])], names=["time", "mag"]
    )
    with pytest.raises(DataError, match="'time' holds string, not numbers"):
        interchange.from_arrow(column)


def test_bands_keep_their_codes_between_batches():
    def column(bands):
        n = len(bands)
        return pa.StructArray.from_arrays(
            [pa.array([[1.0] * n]), pa.array([[1.0] * n]), pa.array([bands])],
            names=["time", "mag", "band"],
        )

    first = interchange.from_arrow(column(["r", "g"]))
    second = interchange.from_arrow(column(["i", "g"]), meta=first.meta)
    assert first.meta.bands == ("g", "r")
    assert second.meta.bands == ("g", "r", "i")
    assert second.band.tolist() == [2, 0]


def test_pandas_long_frame_comes_back_in_its_own_order():
    frame = pd.DataFrame(
        {"oid": ["b", "a", "b"], "mjd": [2.0, 1.0, 1.0], "mag": [5.0, 6.0, 7.0]}, index=[7, 7, 3]
    )

    result = Brighten().fit_transform(frame)

    assert result.index.tolist() == [7, 7, 3]
    assert result["mag"].tolist() == [6.0, 7.0, 8.0]
    assert result["oid"].tolist() == ["b", "a", "b"]
    assert result["period"].tolist() == [2.5] * 3
    assert frame["mag"].tolist() == [5.0, 6.0, 7.0]


def test_nested_pandas_frame_goes_in_and_comes_back(make_batch):
    pytest.importorskip("nested_pandas")
    batch = make_batch(2)
    frame = interchange.to_nested(batch)

    taken = interchange.from_nested(frame)
    result = Brighten().fit_transform(frame)

    assert np.shares_memory(taken.time, pa.array(frame["lightcurve"].array).values.field("time"))
    np.testing.assert_array_equal(taken.value, batch.value)
    assert type(result).__name__ == "NestedFrame"
    np.testing.assert_allclose(result["lightcurve.mag"], batch.value + 1)


def test_astropy_timeseries_goes_in_and_comes_back():
    from astropy import units as u
    from astropy.time import Time
    from astropy.timeseries import TimeSeries

    series = TimeSeries(time=Time([55000.0, 55001.0], format="mjd", scale="tdb"))
    series["flux"] = [10.0, 11.0] * u.electron / u.s
    series["flux_err"] = [0.1, 0.1] * u.electron / u.s

    batch, _ = interchange.take(series)
    result = Brighten().fit_transform(series)

    assert batch.meta.time_ref == 2400000.5
    assert batch.meta.time_scale == "MJD TDB"
    assert type(result) is TimeSeries
    assert result["flux"].unit == series["flux"].unit
    assert result["flux"].value.tolist() == [11.0, 12.0]
    assert result["trend"].value.tolist() == [1.0, 1.0]
    assert result["trend"].unit == series["flux"].unit
    assert result.meta["astroprep"]["period"] == 2.5
    assert series["flux"].value.tolist() == [10.0, 11.0]


@lightkurve_warning
def test_lightkurve_object_and_collection_go_in_and_come_back():
    lightkurve = pytest.importorskip("lightkurve")
    one = lightkurve.LightCurve(
        time=np.array([1.0, 2.0, 3.0]), flux=[1.0, np.nan, 1.2], flux_err=[0.1, 0.1, 0.1]
    )
    one["quality"] = np.array([0, 0, 128])

    batch, _ = interchange.take(one)
    result = Brighten().fit_transform(one)
    several = Brighten().fit_transform(lightkurve.LightCurveCollection([one, one[:2]]))
    assert isinstance(several, lightkurve.LightCurveCollection)

    assert batch.flags.tolist() == [0, 0, 0]  # what the bits mean, SurveyFlags knows
    assert batch.points["survey_flags"].tolist() == [0, 0, 128]
    assert isinstance(result, lightkurve.LightCurve)
    assert float(result.flux[0].value) == pytest.approx(2.0)
    assert [len(curve) for curve in several] == [3, 2]


def test_plain_arrays_and_unknown_kinds():
    batch, _ = interchange.take((np.arange(3.0), np.ones(3)))
    assert (batch.n_curves, batch.n_points) == (1, 3)
    with pytest.raises(DataError, match="cannot take light curves from dict"):
        interchange.take({})


def test_a_batch_passes_through():
    batch = LightCurveBatch.from_curves([([1.0], [2.0], None)])
    assert interchange.take(batch)[0] is batch
