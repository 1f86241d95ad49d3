"""The run file: its sections as dataclasses, their parser, and the checks across sections."""
