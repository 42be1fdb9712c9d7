"""Trials that take long or are repeated many times. `make soak` runs all of them; the tests run short versions."""
