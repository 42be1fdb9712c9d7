"""The limits of float64. Every limit of depth in the program is defined here, with the evidence for it.

Plain runs of the published tanh network were compared with runs in 80-bit arithmetic, in square views about one place
of the border. The table gives the fraction of samples with the same outcome (converged or not).

    width of the view, decades    1e-10    1e-12    1e-14
    signs that are right          100 %     93 %     67 %    (400 samples each)

A run amplifies rounding by its tangent norm, which is 1e15 to 1e26 at the target of `mean_lr` and far less at others.
So these constants are the latest point at which float64 ends. Some targets reach it at a wider view;
`render analyse precision` measures it for a given target.
"""

from __future__ import annotations

# Neighbouring samples of a plain run must be this many float64 steps apart. At 16, rounding moves a sample by at most
# 1/32 of the lattice spacing. On a nine-decade axis that is a view of about 1e-13 decades. By the table more than 7 %
# of the signs are wrong there, so this limit excludes no view that is right.
LEAST_STEPS_APART = 16

# Samples closer than this many float64 steps are trained by differences wherever a scene allows it. At 2,048 a frame of
# a thousand samples is 2.6e-10 decades wide; by the table all signs are right there.
PLAIN_STEPS_APART = 2048

# A view that is narrower than this many decades and trained plainly causes a warning. The value lies between the widths
# of the table at which 100 % and 93 % of the signs are right.
TRUSTED_WIDTH_DECADES = 1e-11
