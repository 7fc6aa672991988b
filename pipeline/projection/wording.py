"""How sure a step's projection is and why, and what a person should be warned of, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from operators import OPERATORS
from operators.base import Composite, Fold, Judge, Operator
from operators.boilerplate import Boilerplate
from operators.decontaminate import Decontaminate
from pipeline.projection.result import ORDER, Certainty

if TYPE_CHECKING:
    from operators.budgets import Draw
    from pipeline.projection.flow import StepFlow, StepRule
    from pipeline.projection.machine import Machine
    from pipeline.projection.result import StepLine, Totals
    from pipeline.projection.sampling import Sample, Sampled
    from pipeline.projection.timing import Times, Whole
    from pipeline.recipe import Recipe

SURE: Final = 0.05
"""Half the width of the 95 % interval of the rows kept, in relation to them, up to which a step counts as sure."""
ROUGH: Final = 0.25
"""The same for rough; and the part of the corpus inputs that must be read for copies to be more than a guess."""
NEARLY_ALL: Final = 0.95
"""A power of growth from which a state is said to grow with the corpus itself."""


def judge_certainty(
    sample: Sample, rule: StepRule, step: StepFlow, operator: Operator | None, times: Times
) -> tuple[Certainty, str]:
    """How sure the rows after a step are, and why."""
    if sample.is_everything:
        return "sure", "every document was run"
    width = (step.high - step.low) / 2 / max(step.rows_out, 1.0)
    level: Certainty = "sure" if width <= SURE else "rough" if width <= ROUGH else "guess"
    spread = f"+/- {width:.1%}"
    if rule.draw is not None and not (rule.keeps and rule.draw.how != "chance"):
        return _certainty_of_draw(rule.draw, step, level, spread)
    if rule.kind == "copies":
        return _certainty_of_copies(sample, rule, level, spread)
    if isinstance(operator, Boilerplate):
        return "guess", "fewer documents share a line in a sample than in the whole: more will go than this"
    if isinstance(operator, Decontaminate) and operator.ignore_frequent is not None:
        return "guess", "fewer n-grams are frequent in a sample than in the whole: fewer documents will go than this"
    if operator is None or isinstance(operator, Judge):
        return level, f"row by row, {spread}"
    if type(operator) not in OPERATORS and isinstance(operator, Composite | Fold):
        return "guess", f"not one of our operators, looks across rows: scaled in proportion, {spread}"
    if step.dropped:
        return level, f"drops as in the sample, {spread}"
    powers = [power for name, power in times.powers.items() if name.partition("/")[0] == rule.name]
    slower = [power for power in powers if power < NEARLY_ALL]
    if slower:
        return level, f"keeps every row; its counts grow with the corpus^{max(slower):.2f}"
    return level, "keeps every row"


def _certainty_of_draw(draw: Draw, step: StepFlow, level: Certainty, spread: str) -> tuple[Certainty, str]:
    """Rows are sure where the budget counts them; of one in bytes they depend on what is chosen."""
    rough = max(level, "rough", key=ORDER.index)
    if draw.how == "chance":
        return level, f"follows from its parameters, {spread}"
    if not draw.amount:
        said = "chooses a share of what reaches it" if draw.fraction is not None else "draws what its groups allow"
        return (level if draw.fraction is not None else rough), f"{said}, {spread}"
    budget = f"{draw.docs:,} documents" if draw.docs is not None else f"{draw.bytes:,} bytes"
    if draw.how == "mixture":
        return rough, f"at most {budget} by its budget, less where groups are small"
    if draw.how == "beside":
        return rough, f"{budget} by its budget, beside rows that stay in any case, {spread}"
    if draw.rule not in step.dropped:
        return level, f"its budget of {budget} takes all that it may choose"
    if draw.docs is None:
        return "guess", f"{budget} by its budget; how many documents that is depends on which it chooses"
    return level, f"{budget} by its budget, {spread}"


def _certainty_of_copies(sample: Sample, rule: StepRule, level: Certainty, spread: str) -> tuple[Certainty, str]:
    share = sample.row_share
    if not rule.together:
        return "guess", f"its copies were drawn one by one, the sizes of their sets are estimated, {spread}"
    if share < 1:
        least: Certainty = "rough" if share >= ROUGH else "guess"
        return max(level, least, key=ORDER.index), f"{share:.1%} of the rows were read, copies elsewhere extrapolated"
    return level, f"copies were drawn together, {spread}"


def warnings(recipe: Recipe, sample: Sample, steps: tuple[StepLine, ...], totals: Totals) -> tuple[str, ...]:
    """Gates that the whole run would break or might, bad rows where none may be, references that were cut."""
    found = [warning for sampled in sample.inputs for warning in _about_input(sampled)]
    limits = {step.label: float(getattr(step, "max_drop_ratio", 1.0)) for step in recipe.steps}
    found += [warning for line in steps if line.rows_in for warning in _about_gate(line, limits.get(line.name, 1.0))]
    if totals.rows_kept == 0:
        found.append("no document of the sample is left at the end; the time of the steps after that is not projected")
    return tuple(found)


def about_machine(machine: Machine, whole: Whole) -> list[str]:
    """Whether other work, or more workers than cores, makes the whole run slower than it could be."""
    if machine.load > machine.cores / 2:
        return [
            f"the machine is busy (load {machine.load:.1f} on {machine.cores} cores): "
            "the time is for a machine as busy as now"
        ]
    if whole.workers > machine.cores:
        return [f"{whole.workers} workers share {machine.cores} cores: more workers than cores save no time"]
    return []


def _about_input(sampled: Sampled) -> list[str]:
    entry = sampled.reading.entry
    found = []
    if sampled.bad and entry.on_bad_row == "fail":
        first = next((table["origin"][0].as_py() for table in sampled.reading.bad), "a repeated id")
        found.append(
            f"input {entry.name!r} has about {sum(sampled.bad.values()):,.0f} bad rows (the first: {first}) and "
            "on_bad_row: fail: the whole run would fail"
        )
    if not sampled.is_corpus and sampled.num_documents < round(sampled.rows):
        found.append(
            f"of the reference {entry.name!r} only {sampled.num_documents:,} of about {sampled.rows:,.0f} documents "
            "were used: what its steps find in it is too little"
        )
    return found


def _about_gate(line: StepLine, limit: float) -> list[str]:
    gone = 1 - line.share
    if gone > limit:
        worst = sorted(line.dropped.items(), key=lambda item: -item[1])[:3]
        rules = ", ".join(f"{rule} {count:,}" for rule, count in worst)
        return [
            f"step {line.name!r} would drop {gone:.1%} of its rows, more than its max_drop_ratio {limit:g} allows: "
            f"the whole run would fail ({rules})"
        ]
    if 1 - line.rows_low / line.rows_in > limit:
        return [
            f"step {line.name!r} would drop {gone:.1%} of its rows and may break its max_drop_ratio {limit:g}: "
            "the sample is too small to tell (--docs)"
        ]
    return []
