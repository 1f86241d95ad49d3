"""Names of `pipeline.checking.in_memory` under which tests know them."""

from pipeline.checking.in_memory import align, extend, number_rows, run_global

__all__ = ["align", "extend", "number_rows", "run_global"]
