"""Prices of cores, requests and storage, and limits of what a run may use, from a file and from options."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields

import yaml

from pipeline.config.quantities import parse_quantity
from pipeline.data_files import read_yaml
from pipeline.errors import ConfigError, UsageError
from pipeline.names import nearest
from pipeline.translation import message

Usage = dict[str, float]
"""Figures of one phase, by name: see planning.usage."""

LIMITS = ("cpu_hours", "requests", "gets", "puts", "lists", "files", "disk_bytes", "peak_bytes", "money")
"""Names of limits. disk_bytes: what stays and what is intermediate; peak_bytes: memory of the largest process."""


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of a provider, in one currency.

    core_hour: of one core; get_1000, put_1000, list_1000: of a thousand requests; gb_month: of 10⁹ bytes in the store
    for a month; months: that what a run writes is kept.
    """

    currency: str = ""
    core_hour: float = 0.0
    get_1000: float = 0.0
    put_1000: float = 0.0
    list_1000: float = 0.0
    gb_month: float = 0.0
    months: float = 1.0

    def money(self, used: Mapping[str, float]) -> float:
        """What an amount of usage costs."""
        requests = sum(
            used.get(f"{n}s", 0) / 1000 * getattr(self, f"{n}_1000") for n in ("get", "put", "list")
        )
        stored = max(used.get("disk_bytes", 0), 0) / 1e9 * self.gb_month * self.months
        return float(requests + stored + used.get("cpu_s", 0) / 3600 * self.core_hour)


NO_PRICES = Prices()


def read_prices(path: str | None, options: Sequence[str] = ()) -> tuple[Prices, dict[str, float]]:
    """Return the prices and limits of a file, and of options NAME=VALUE, which replace limits of the file.

    Raises: ConfigError if the file cannot be read, or has an unknown name or a value that is no number from 0;
    UsageError for such an option, and for a limit of money without prices.
    """
    page: object = {}
    if path:
        try:
            page = read_yaml(path) or {}
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror or error}; name a file that can be read") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: no YAML ({str(error).splitlines()[0]})") from error
    if not isinstance(page, dict):
        raise ConfigError(f"{path}: expected a mapping of prices; see configs/prices/example.yaml")
    given = page.pop("limits", None) or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: limits: expected a mapping such as {{cpu_hours: 100}}")
    names = [field.name for field in fields(Prices)]
    for name in page:
        if name not in names:
            raise ConfigError(f"{path}: unknown price {name!r}{nearest(str(name), names)}")
    currency = str(page.pop("currency", ""))
    prices = Prices(currency=currency, **{name: _number(f"{path}: {name}", v) for name, v in page.items()})
    limits = {_limit(f"{path}: limits", str(n)): _number(f"{path}: limits: {n}", v) for n, v in given.items()}
    for option in options:
        name, _, value = option.partition("=")
        limits[_limit("--limit", name)] = _number(f"--limit {option}", value)
    if (
        "money" in limits
        and prices.money({"cpu_s": 1, "gets": 1, "puts": 1, "lists": 1, "disk_bytes": 1}) == 0
    ):
        raise UsageError(
            "a limit of money needs prices; name a file with --prices, such as configs/prices/example.yaml"
        )
    return prices, limits


def _limit(where: str, name: str) -> str:
    if name not in LIMITS:
        raise UsageError(
            f"{where}: unknown limit {name!r}{nearest(name, LIMITS)}; expected one of {', '.join(LIMITS)}"
        )
    return name


def _number(where: str, value: object) -> float:
    """A number from 0 with an optional unit, as the run file has them.

    Raises: UsageError for anything else.
    """
    try:
        number = parse_quantity(value, where) if isinstance(value, (int, float, str)) else math.inf
    except ConfigError:
        number = math.inf
    if number == math.inf:
        raise UsageError(f"{where}: {value!r} is no number from 0, such as 100, 1.5 or 500GB")
    return number


def amounts(phases: Iterable[Mapping[str, float]], prices: Prices) -> dict[str, float]:
    """What phases use together, by the names of limits."""
    total: dict[str, float] = {}
    peak = work = 0.0
    for used in phases:
        for name, value in used.items():
            total[name] = total.get(name, 0) + value
        peak = max(peak, used.get("peak_bytes", 0))
        work = max(work, used.get("work_bytes", 0))
    return {
        "cpu_hours": total.get("cpu_s", 0) / 3600,
        "requests": sum(total.get(name, 0) for name in ("gets", "puts", "lists")),
        **{name: total.get(name, 0) for name in ("gets", "puts", "lists", "files")},
        "disk_bytes": total.get("disk_bytes", 0)
        + work,  # intermediate files of a phase are deleted at its end
        "peak_bytes": peak,
        "money": prices.money(total),
    }


def exceeded(used: Mapping[str, float], limits: Mapping[str, float]) -> str:
    """The first limit that is exceeded, in words; empty if none is."""
    for name, most in limits.items():
        if used[name] > most:
            return message(f"{name} {used[name]:,.6g}, over the limit of {most:,.6g}")
    return ""
