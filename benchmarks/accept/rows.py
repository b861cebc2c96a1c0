"""One acceptance figure: what it must be, what we hope for, what was measured."""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Row:
    """A line of the acceptance table. ``ok`` is None where the figure cannot be measured here."""

    figure: str
    must: str
    goal: str
    got: str
    ok: bool | None
    value: Any = None

    @classmethod
    def at_least(cls, figure: str, got: float, must: float, goal: float | None = None) -> Self:
        """Pass if ``got >= must``."""
        return cls(figure, f">= {must:g}", _goal(">=", goal), f"{got:.4g}", bool(got >= must), got)

    @classmethod
    def at_most(cls, figure: str, got: float, must: float, goal: float | None = None) -> Self:
        """Pass if ``got <= must``."""
        return cls(figure, f"<= {must:g}", _goal("<=", goal), f"{got:.4g}", bool(got <= must), got)

    @classmethod
    def within(cls, figure: str, got: float, low: float, high: float, goal: str = "") -> Self:
        """Pass if ``low <= got <= high``."""
        ok = bool(low <= got <= high)
        return cls(figure, f"{low:g} to {high:g}", goal, f"{got:.4g}", ok, got)

    @classmethod
    def holds(cls, figure: str, must: str, *, ok: bool, got: str) -> Self:
        """Pass if the statement was seen to hold; ``got`` says what was seen."""
        return cls(figure, must, "", got, ok, got)

    @classmethod
    def not_measurable(cls, figure: str, must: str, why: str) -> Self:
        """Say why this figure cannot be had on this machine."""
        return cls(figure, must, "", f"not measurable here: {why}", None)


def _goal(sign: str, goal: float | None) -> str:
    return "" if goal is None else f"{sign} {goal:g}"
