"""The subject of training: a problem as pure data, and the catalogue of systems that it may name."""

from render.problem.problem import DEFAULT_SYSTEM, Problem, channels_of, described, unobservable

__all__ = ["DEFAULT_SYSTEM", "Problem", "channels_of", "described", "unobservable"]
