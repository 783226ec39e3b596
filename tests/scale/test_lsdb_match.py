"""The rule in LSDB: equal to LSDB's own nearest match, and to ours on the whole catalogue."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from astroprep.errors import ConfigError, MissingExtraError
from astroprep.integrate import Catalogue, crossmatch
from astroprep.scale import lsdb_algorithm


def test_settings_that_do_not_go_together():
    with pytest.raises(ConfigError, match="one-to-one partners cannot"):
        lsdb_algorithm(1.0, kind="one-to-one")
    with pytest.raises(ConfigError, match="left_error and right_error"):
        lsdb_algorithm(1.0, left_error=0.1)
    with pytest.raises(ConfigError, match="a prior and a density"):
        lsdb_algorithm(1.0, left_error=0.1, right_error=0.1)
    with pytest.raises(ConfigError, match="radius must lie"):
        lsdb_algorithm(-1.0)


def test_without_lsdb_it_says_what_to_install():
    if importlib.util.find_spec("lsdb"):
        pytest.skip("lsdb is installed")
    with pytest.raises(MissingExtraError, match=r"pip install 'astroprep\[lsdb\]'"):
        lsdb_algorithm(1.0)


@pytest.fixture
def catalogs(rng):
    """Two LSDB catalogues that cross pixel borders and the origin of right ascension."""
    lsdb = pytest.importorskip("lsdb")
    pd = pytest.importorskip("pandas")
    ra = (rng.uniform(-3, 3, 3000)) % 360
    dec = rng.uniform(-3, 3, 3000)
    left = pd.DataFrame({"ra": ra, "dec": dec, "number": np.arange(3000), "sigma": 5.0})
    right = pd.DataFrame(
        {
            "ra": (ra + rng.normal(0, 8 / 3600, 3000)) % 360,
            "dec": dec + rng.normal(0, 8 / 3600, 3000),
            "number": np.arange(3000),
            "sigma": 6.0,
        }
    )
    opened = [
        lsdb.from_dataframe(
            frame, ra_column="ra", dec_column="dec", margin_threshold=100, partition_rows=300
        )
        for frame in (left, right)
    ]
    return left, right, *opened


@pytest.mark.filterwarnings("ignore")
def test_the_same_as_lsdbs_own(catalogs):
    _, _, one, two = catalogs
    ours = one.crossmatch(
        two, algorithm=lsdb_algorithm(30.0), suffix_method="all_columns"
    ).compute()
    theirs = one.crossmatch(
        two, radius_arcsec=30.0, n_neighbors=1, suffix_method="all_columns"
    ).compute()
    keys = [name for name in ours.columns if name.startswith("number")]
    a, b = (t.sort_values(keys).reset_index(drop=True) for t in (ours, theirs))
    assert a[keys].astype(int).equals(b[keys].astype(int))
    np.testing.assert_allclose(
        a["_dist_arcsec"].astype(float), b["_dist_arcsec"].astype(float), atol=1e-8
    )
    assert a["_probability"].isna().all()


@pytest.mark.filterwarnings("ignore")
def test_probabilities_are_those_of_the_whole(catalogs):
    left, right, one, two = catalogs
    settings = {"prior": 0.9, "density": 3000 / (6 * 3600) ** 2, "radius": 40.0, "kind": "all"}
    found = one.crossmatch(
        two,
        algorithm=lsdb_algorithm(left_error="sigma", right_error="sigma", **settings),
        suffix_method="all_columns",
    ).compute()
    whole = crossmatch(
        Catalogue.of(left["ra"], left["dec"], error=5.0),
        Catalogue.of(right["ra"], right["dec"], error=6.0),
        method="bayes", keep="matched", **settings,
    )  # fmt: skip
    keys = [name for name in found.columns if name.startswith("number")]
    a = found.sort_values(keys)
    order = np.lexsort((whole.right_row, whole.left_row))
    np.testing.assert_array_equal(a[keys[0]].astype(int), whole.left_row[order])
    np.testing.assert_array_equal(a[keys[1]].astype(int), whole.right_row[order])
    np.testing.assert_allclose(a["_probability"].astype(float), whole.probability[order])


@pytest.mark.filterwarnings("ignore")
def test_a_narrow_margin_is_refused(catalogs):
    _, _, one, two = catalogs
    with pytest.raises(ConfigError, match="beyond the margin of 100"):
        one.crossmatch(two, algorithm=lsdb_algorithm(150.0))
    with pytest.raises(ConfigError, match="has no column 'nothing'"):
        one.crossmatch(
            two,
            algorithm=lsdb_algorithm(
                1.0, left_error="nothing", right_error=1.0, prior=0.5, density=1e-4
            ),
        )
