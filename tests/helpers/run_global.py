"""Names of `pipeline.in_memory` under which tests know them."""

from pipeline.in_memory import align, extend, number_rows, run_global

__all__ = ["align", "extend", "number_rows", "run_global"]
