"""This machine: its processor cores, the variables of its environment, and the signals that stop a program."""
