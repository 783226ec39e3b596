"""Coefficients of the candidate ranking.

Written by ``benchmarks/period_ranking.py --write``: multinomial logistic regression, ridge
0.0003, classes weighted by the inverse root of their size, on 11,686 train objects of Catalina
Surveys Southern V (Drake et al. 2017, MNRAS 469, 3688, doi:10.1093/mnras/stx1085) in the split of
Hosenie et al. 2020 (doi:10.1093/mnras/staa642). Truth is the catalogue period within 1 per cent,
and to the same weight any of P, 2P, P/2, 3P, P/3. The order is that of
`astroprep.period.ranking.candidate_features`.
"""

from __future__ import annotations

__all__ = ["COEFFICIENTS"]

COEFFICIENTS = (
    0.768224,
    -0.0472547,
    0.566648,
    -0.953509,
    0.677872,
    -26.8285,
    -1.26902,
    -1.30303,
    5.7376,
    0.155059,
    -12.95,
    11.8469,
    -155.872,
    -3.9253,
    1.96443,
    -5.90623,
    4.13963,
    6.82968,
    -45.6035,
    77.9452,
    6.98832,
    -1.50919,
    -1.44605,
    0.866743,
)
