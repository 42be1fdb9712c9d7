"""Measurements on a scene: the dimension of its boundary, where float64 ends, and what tuning by random search sees.

estimators holds pure functions of masks, nulls the masks they are compared with; dimension, precision and tuning each
train what they need and return one dataclass; tables, plots and files show it.
"""
