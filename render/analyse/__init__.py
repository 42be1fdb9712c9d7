"""Measurements on a scene: the dimension of its boundary, where float64 ends, and what tuning by random search sees.

`estimators` holds pure functions of masks, and `null_models` the masks with which they are compared. `dimension`,
`dimension_over_steps`, `precision` and `tuning` train what they need (`subject`) and return one dataclass each;
`every_scene` makes one table of many scenes. `conclusions`, `tables`, `plots` and `files` show the results.
"""
