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
    0.788025,
    -0.0519551,
    0.562537,
    -0.916684,
    0.886022,
    -31.9146,
    -1.37372,
    -1.2111,
    5.82077,
    0.00473927,
    -13.0706,
    12.4293,
    -152.07,
    -4.44469,
    2.08387,
    -5.4273,
    4.11817,
    6.61228,
    -42.9255,
    59.3361,
    7.02744,
    -1.62473,
    -2.27169,
    1.078,
)
