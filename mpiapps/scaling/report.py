"""The report of a study: a table, the fitted models, the verdict."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from mpiapps.base.units import format_seconds, format_size
from mpiapps.scaling.fitting import Fit
from mpiapps.scaling.metrics import Row
from mpiapps.scaling.models import USL, usl_peak
from mpiapps.scaling.results import Results
from mpiapps.scaling.statistics import Estimate
from mpiapps.scaling.table import Table

CAPACITY = {
    "strong": "speed-up",
    "weak": "scaled speed-up",
    "throughput": "relative throughput",
}
FAR = 4  # times the largest measured count, above which a prediction is a guess


def table(results: Results, *, digits: bool = False) -> Table:
    """Return the table; with `digits` of plain numbers, with all digits."""
    study = results.study
    columns = _columns(results)
    rows = [[cell(row, digits) for cell in columns.values()] for row in results.rows]
    title = f"{study.kind.capitalize()} scaling of {study.program}"
    title += " in virtual time" if study.virtual else ""
    if study.arguments:
        title += f" {' '.join(study.arguments)}"
    return Table(title, list(columns), rows, notes(results))


def _columns(results: Results) -> dict[str, Any]:
    """Return a function of row and `digits` by heading."""
    cases = [row.case for row in results.rows]
    columns: dict[str, Any] = {}
    for name, needed in (
        ("nodes", any(case.nodes for case in cases)),
        ("copies", any(case.copies > 1 for case in cases)),
        ("ranks", True),
        ("threads", any(case.threads > 1 for case in cases)),
    ):
        if needed:
            columns[name] = lambda row, _d, name=name: str(getattr(row.case, name))
    columns["runs"] = lambda row, _d: str(row.runs)
    columns["time, s"] = lambda row, d: _cell(row.seconds, d)
    columns[CAPACITY[results.study.kind]] = lambda row, d: _cell(row.capacity, d)
    columns["efficiency"] = lambda row, d: _cell(row.efficiency, d)
    if all(row.pop for row in results.rows):
        for heading, name in (
            ("load balance", "load_balance"),
            ("communication", "communication"),
            ("parallel", "parallel"),
            ("computation", "computation"),
            ("global", "overall"),
        ):
            columns[heading] = lambda row, d, name=name: _number(
                getattr(row.pop, name), d, ".2f"
            )
    if all(row.memory for row in results.rows):
        columns["memory per rank"] = lambda row, d: (
            str(row.memory) if d else format_size(row.memory)
        )
    columns["core hours"] = lambda row, d: _number(row.core_hours, d, ".3g")
    return columns


def _cell(estimate: Estimate, digits: bool) -> str:
    if digits:
        return repr(estimate.value)
    value, low, high = estimate
    if low == high:
        return f"{value:.3g}"
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"


def _number(value: float, digits: bool, form: str) -> str:
    return repr(value) if digits else format(value, form)


def notes(results: Results) -> list[str]:
    """Return the remarks below the table: reference, models, predictions, verdict."""
    lines = [
        "Medians, with 95 % bootstrap intervals; relative to"
        f" {results.rows[0].case.label}"
    ]
    if len(results.line) < len(results.rows):
        lines.append("Models and verdict use the fastest case of each count")
    lines += [_model(results, fit) for fit in results.choice.fits]
    if not results.choice.fits:
        lines.append("Too few counts for a model: three or more are needed")
    lines += [
        f"Phase {name}: {fit.model.formula}, c0 = {fit.theta[0]:.3g} s, c1 ="
        f" {fit.theta[1]:.3g} s (Extra-P's form)"
        for name, fit in results.phases.items()
    ]
    lines += [
        _prediction(results, count, seconds)
        for count, seconds in results.predictions.items()
    ]
    return lines + _verdict(results)


def _model(results: Results, fit: Fit) -> str:
    parameters = [
        f"{name} {e.value:.4g} [{e.low:.4g}, {e.high:.4g}]"
        for name, e in fit.parameters().items()
    ]
    text = f"{fit.model.name}: {fit.model.formula}; {'; '.join(parameters)}"
    if fit.model is USL:
        peak = usl_peak(*map(float, fit.theta[1:]))
        text += f"; peak at {peak:.4g}" if peak < 1e9 else "; no peak"
    best = results.choice.best
    difference = fit.aicc - best.aicc if best else 0.0
    text += f"; AICc +{difference:.1f}" if fit is not best else "; best by AICc"
    error = results.choice.error(fit)
    if error is not None:
        text += f"; error at the largest count if left out {error:+.1%}"
    if fit.lacks_fit:
        text += "; deviates from the medians by more than the spread of runs"
    return text


def _prediction(results: Results, count: int, seconds: Estimate) -> str:
    value, low, high = map(format_seconds, seconds)
    text = f"Predicted for {count}: {value}, between {low} and {high}"
    if count > FAR * results.choice.largest:
        text += (
            f"; {count / results.choice.largest:.0f} times the largest measured count:"
            " effects that begin beyond it are not in any model"
        )
    return text


def _verdict(results: Results) -> list[str]:
    verdict = results.verdict
    if verdict is None:
        return []
    lines = [f"Rule {verdict.rule.name}: {verdict.rule}. Source: {verdict.rule.source}"]
    for check in verdict.checks:
        word = "passes" if check.passes else "fails"
        doubt = "" if check.certain else ", within the interval"
        lines.append(
            f"{check.count}: {check.value.value:.3g} [{check.value.low:.3g},"
            f" {check.value.high:.3g}] {word} {check.threshold:g}{doubt}"
        )
    last = results.line[-1].case.count
    more = ", the largest measured one" if verdict.largest == last else ""
    lines.append(f"The largest count that passes is {verdict.largest}{more}")
    return lines


def as_json(results: Results, series: str) -> dict[str, Any]:
    """Return all results for scripts."""
    verdict = results.verdict
    return {
        "schema": 1,
        "program": results.study.program,
        "arguments": list(results.study.arguments),
        "kind": results.study.kind,
        "series": series,
        "rows": [_row(row) for row in results.rows],
        "models": [
            _fit(fit) | {"leave_largest_out": results.choice.error(fit)}
            for fit in results.choice.fits
        ],
        "phases": {name: _fit(fit) for name, fit in results.phases.items()},
        "predictions": {
            str(count): seconds._asdict()
            for count, seconds in results.predictions.items()
        },
        "verdict": verdict
        and {
            "rule": verdict.rule.name,
            "source": verdict.rule.source,
            "largest": verdict.largest,
            "checks": [
                {"count": c.count, "threshold": c.threshold, "passes": c.passes}
                | c.value._asdict()
                for c in verdict.checks
            ],
        },
        "measurements": [m.as_json() for m in results.measurements],
    }


def _row(row: Row) -> dict[str, Any]:
    pop = row.pop and asdict(row.pop) | {
        "parallel": row.pop.parallel,
        "global": row.pop.overall,
    }
    return asdict(row.case) | {
        "count": row.case.count,
        "runs": row.runs,
        "seconds": row.seconds._asdict(),
        "capacity": row.capacity._asdict(),
        "efficiency": row.efficiency._asdict(),
        "pop": pop,
        "memory": row.memory,
        "core_hours": row.core_hours,
    }


def _fit(fit: Fit) -> dict[str, Any]:
    parameters = fit.parameters().items()
    return {
        "model": fit.model.name,
        "formula": fit.model.formula,
        "source": fit.model.source,
        "parameters": {name: estimate._asdict() for name, estimate in parameters},
        "aicc": fit.aicc,
        "lacks_fit": fit.lacks_fit,
    }
