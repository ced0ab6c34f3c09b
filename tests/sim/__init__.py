"""Whole fleets of production code on virtual time, with faults. One seed is one run."""
