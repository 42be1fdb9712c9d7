"""Where float64 ends. Every limit of depth that the program knows stands here, with the evidence for all of them.

Plain runs of the published tanh network against runs in 80-bit arithmetic, in square views about one place of the
border: share of samples that end alike (converged or not).

    width of the view, decades    1e-10    1e-12    1e-14
    signs that are right          100 %     93 %     67 %    (400 samples each)

Other targets are worse: a run amplifies rounding by its tangent norm, which is 1e15 to 1e26 at the target of
`mean_lr` and far less at others. So these limits say where float64 ends at the latest; where it ends for a given
target is measured (`render analyse precision`).
"""

from __future__ import annotations

# Neighbouring samples of a plain run must be this many float64 steps apart. At 16, rounding moves a sample by at most
# 1/32 of the lattice spacing. On a nine-decade axis that is a view of about 1e-13 decades: by the table, training
# itself is wrong in more than 7 % of signs there, so that nothing true is lost by this limit.
LEAST_STEPS_APART = 16

# Samples closer than this many float64 steps are trained by differences wherever a scene allows it. At 2,048 a frame of
# a thousand samples is 2.6e-10 decades wide: by the table all signs are right there.
PLAIN_STEPS_APART = 2048

# Views narrower than this many decades are warned of where they are trained plainly: between the widths of the table at
# which all signs, and 93 % of them, are right.
TRUSTED_WIDTH_DECADES = 1e-11
