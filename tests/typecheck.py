"""The decorator by which tests check the signatures of the training and picture rooms."""

from beartype import BeartypeConf, beartype

# A whole number may stand where a float is asked for (PEP 484). Which items of a list are looked at is not drawn by
# chance: Hypothesis forbids that, and a test must not fail by luck.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True, is_random=False))
