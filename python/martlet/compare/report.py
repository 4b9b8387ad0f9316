"""What a comparison found, as a table that says whatever it is."""

from __future__ import annotations

from .experiment import Comparison, Settings

_COLUMNS = ("network", "batch norm", "best test accuracy", "at step", "steps to plain's best", "ratio")


def table(comparisons: list[Comparison], settings: Settings) -> str:
    """One line for each training."""
    rows = [_COLUMNS]
    for comparison in comparisons:
        plain = comparison.plain
        steps = plain.steps_to(plain.best) or 0
        ratio = "1" if plain.learned else "-"
        rows.append((comparison.name, "none", f"{plain.best:.4f}", f"{steps:,}", f"{steps:,}", ratio))
        if comparison.normalized is not None:
            other = comparison.normalized
            reached = other.steps_to(plain.best)
            rows.append(
                (
                    "",
                    f"{settings.norm} each {settings.activation}",
                    f"{other.best:.4f}",
                    f"{other.steps_to(other.best) or 0:,}",
                    f"not in {settings.steps:,}" if reached is None else f"{reached:,}",
                    "-" if reached is None or not plain.learned else f"{steps / max(reached, 1):.1f}",
                )
            )
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = []
    for row in rows:
        left = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2])]
        right = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:])]
        lines.append("  ".join(left + right).rstrip())
    lines.insert(1, "-" * len(lines[0]))
    return "\n".join(lines)


def verdict(comparison: Comparison, settings: Settings) -> str:
    """A comparison in a sentence."""
    plain, other = comparison.plain, comparison.normalized
    if other is None:
        return f"{comparison.name}: plain, best test accuracy {plain.best:.4f}."
    if not plain.learned:
        return (
            f"{comparison.name}: the plain network did not learn (best {plain.best:.4f}, {plain.accuracy[0]:.4f} before the "
            f"first step); with batch norm the best is {other.best:.4f}."
        )
    steps, reached = plain.steps_to(plain.best) or 0, other.steps_to(plain.best)
    if reached is None:
        speed = f"did not reach the plain network's best ({plain.best:.4f}) within {settings.steps:,} steps"
    elif reached < steps:
        speed = f"reached the plain network's best ({plain.best:.4f}) in {reached:,} steps instead of {steps:,}"
    else:
        speed = f"needed {reached:,} steps to the plain network's best ({plain.best:.4f}), reached there in {steps:,}"
    difference = other.best - plain.best
    end = "as good" if abs(difference) < 0.0005 else f"{abs(difference):.4f} {'better' if difference > 0 else 'worse'}"
    return f"{comparison.name}: with batch norm it {speed}; its own best is {end}."
