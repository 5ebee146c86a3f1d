"""What a run leaves for people to read: one self-contained page, and a few lines for the terminal."""

from spice.reporting.load import load, run_info, runs
from spice.reporting.report import build, render
from spice.reporting.summary import summary

__all__ = ["build", "load", "render", "run_info", "runs", "summary"]
