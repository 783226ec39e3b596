"""Claims of the README about nights of alerts and archives on a cluster."""

from __future__ import annotations

from typing import Any


def nights(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `nightly_throughput.py`."""
    burst, *others = result["rows"]
    grown = ", ".join(
        f"{row['cpu_ms_an_alert']:.2f} ms and {row['peak_mb']:,} MB over "
        f"{row['stored_observations']:,} of {_stars(row):,} stars"
        for row in others
    )
    return [
        (
            f"a night of {burst['alerts']:,} full ZTF packets over "
            f"{burst['stored_observations']:,} stored observations, "
            f"{100 * burst['share_searched']:.0f} % of the periods searched to "
            f"{burst['max_frequency']:.0f} cycles a day",
            f"{burst['cpu_ms_an_alert']:.2f} ms of processor time an alert, "
            f"{burst['peak_mb']:,} MB; equal to a batch over the whole histories: "
            f"{burst['searched_equal_to_the_bit']} searched, "
            f"{burst['verified_equal_given_the_periods']} verified given the same periods",
        ),
        (
            "the same over states of other sizes, processor time an alert and memory, "
            f"nights of {min(row['alerts'] for row in others):,} to "
            f"{max(row['alerts'] for row in others):,} packets",
            grown,
        ),
    ]


def _stars(row: dict[str, Any]) -> int:
    return int(row["case"].split(":")[0])


def killed(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `nightly_kill.py`."""
    kills, seasons, differ = (
        sum(row[key] for row in result["rows"])
        for key in ("kills", "seasons", "states_that_differ")
    )
    return [
        (
            f"{seasons} seasons of nights, killed {kills} times at random instants and begun again",
            f"{differ} of their states differ from that of an undisturbed season, row for row",
        )
    ]


def damaged(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `nightly_fuzz.py`."""
    rows = result["rows"]
    sent, alerts, dead = (
        sum(row[key] for row in rows) for key in ("packets", "alerts", "dead_letters")
    )
    return [
        (
            f"{sent:,} packets of ZTF and LSST damaged at random, three codecs",
            f"none lost, no crash: {alerts:,} can be read, {dead:,} are dead letters with their "
            "reason (a packet may hold several alerts)",
        )
    ]


def cluster(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `scale_lsdb.py`."""
    ratio = result["ratios"]
    row = {row["what"]: row for row in result["rows"]}
    alone, peer = row["one machine, one thread"], row["LSDB + nifty-ls, 1 process"]
    return [
        (
            f"periods of {alone['objects']:,} light curves on a Dask cluster ({result['data']})",
            f"{ratio['times_lsdb_nifty_ls']:.1f} times the light curves a core second of LSDB with "
            f"nifty-ls ({peer['objects']:,} of them, highest peak only); "
            f"{100 * (ratio['cpu_over_one_machine'] - 1):.0f} % more processor time than without a "
            f"cluster; of 1 to 2 processes {ratio['efficiency_1_to_2_cpu']:.2f} by processor time, "
            f"{ratio['efficiency_1_to_2_wall']:.2f} by wall time",
        )
    ]


def described(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `scale_peer.py`."""
    ours, peer = result["rows"]
    close, versions = result["agreement"], result["versions"]
    return [
        (
            f"periods and {result['n_features']} features of {ours['objects']:,} light curves on a "
            f"Dask worker ({result['data']})",
            f"{result['times']:.1f} times the light curves a core second of LSDB "
            f"{versions['lsdb']} with nifty-ls {versions['nifty-ls']} and light-curve "
            f"{versions['light-curve']} "
            f"({peer['objects']:,} of them: {100 * close['same_period']:.1f} % the same period, "
            f"features equal to {close['features_differ_by']:.0e})",
        )
    ]


def flat(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `scale_memory.py`."""
    rows = result["rows"]
    peaks = ", ".join(f"{row['peak_mb']:.0f}" for row in rows)
    return [
        (
            f"memory of a worker, periods of {rows[0]['objects']:,} to {rows[-1]['objects']:,} "
            f"light curves ({result['data']})",
            f"{peaks} MB at the highest; up to 100,000 the results are those of one machine to the "
            "bit, and larger catalogues begin with them",
        )
    ]


def ceiling(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Claims of `scale_ceiling.py`."""
    claims = []
    for verb in dict.fromkeys(row["verb"] for row in result["rows"]):
        words = [
            f"{row['peak_mb']:,} MB "
            + (f"under {row['ceiling']}" if row["ceiling"] != "none" else "without a ceiling")
            + ("" if row["exit"] == 0 else ", where it refused to begin")
            for row in result["rows"]
            if row["verb"] == verb
        ]
        what = f"memory that `astroprep {verb}` took ({result['data']})"
        claims.append((what, "; ".join(words) + "; the same bytes out"))
    return claims


CLAIMS = {
    "scale_ceiling": ceiling,
    "nightly_throughput": nights,
    "nightly_kill": killed,
    "nightly_fuzz": damaged,
    "scale_lsdb": cluster,
    "scale_peer": described,
    "scale_memory": flat,
}
