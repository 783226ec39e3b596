"""Which band of a survey a classifier is shown, by a rule that somebody has stated."""

from __future__ import annotations

from collections.abc import Sequence

from astroprep.clean import SelectBand
from astroprep.errors import ConfigError

__all__ = ["band_steps", "choose_bands"]


def choose_bands(
    rules: Sequence[str], trained: Sequence[str], there: Sequence[str]
) -> dict[str, str]:
    """Bands of the alerts, and the band of the training survey that each stands for.

    Parameters
    ----------
    rules : sequence of str
        ``OBSERVED=TRAINED``, such as ``"ztf_r=V"``.
    trained : sequence of str
        Bands that the classifier was trained on; none where its bundle does not say.
    there : sequence of str
        Bands of the alerts.

    Returns
    -------
    dict of str to str

    Raises
    ------
    ConfigError
        If a rule cannot be understood or names a band that does not exist, or no rule is given
        and no band of the alerts is one of training; the message lists the choices.
    """
    chosen: dict[str, str] = {}
    known = ", ".join(trained) or "unknown: its bundle does not say"
    for rule in rules:
        observed, sign, target = rule.partition("=")
        if not sign or not target or observed not in there:
            raise ConfigError(
                f"--band-map {rule}: write OBSERVED=TRAINED, with OBSERVED one of "
                f"{', '.join(there)}"
            )
        if trained and target not in trained:
            raise ConfigError(f"--band-map {rule}: the classifier was trained on {known}")
        chosen[observed] = target
    if chosen:
        return chosen
    same = [band for band in there if band in trained]
    if same:
        return {band: band for band in same}
    raise ConfigError(
        f"the classifier was trained on other bands ({known}) than these alerts have "
        f"({', '.join(there)}); say which one stands for which, such as "
        f"--band-map {there[-1]}={trained[0] if trained else 'V'}"
    )


def band_steps(bands: Sequence[str]) -> list[SelectBand]:
    """Steps that leave one band of each object: of several, that with most usable points."""
    steps = [SelectBand(list(bands), on_bad="reject")]
    if len(bands) > 1:
        steps.append(SelectBand(None, on_bad="reject"))
    return steps
