"""Puts a projection together from the sampled run: how each step is projected, and the lines of the result."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from operators.base import Map
from operators.budgets import BudgetedStep
from operators.exact_dedup import ExactDedup
from operators.minhash_dedup import MinhashDedup
from operators.mixtures import FILE
from operators.semantic_dedup import SemanticDedup
from pipeline.plan import INGEST
from pipeline.projection.flow import Kind, StepFlow, StepRule, Stratum, with_intervals
from pipeline.projection.footprint import Measured, add_ends, disk, memory
from pipeline.projection.reading import describe
from pipeline.projection.result import ORDER, Certainty, InputLine, Projection, StepLine, Totals
from pipeline.projection.sampled_run import audited_shares, fates
from pipeline.projection.timing import Times, Whole, project_times, shard_sizes
from pipeline.projection.wording import about_machine, judge_certainty, warnings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from operators.base import Operator
    from pipeline.projection.sampled_run import SampledRunner, Trace
    from pipeline.projection.sampling import KeyRule, Sample, Sampled
    from pipeline.recipe import Recipe

EXCLUDED: Final = "exclude_ids"


def assemble(
    recipe: Recipe, runner: SampledRunner, few: Sequence[Trace], sample: Sample, measured: Measured, workers: int
) -> Projection:
    """The projection for so many workers on this machine; `few` are the traces of the run on a few documents."""
    names = step_names(recipe)
    rules = step_rules(recipe, sample.rule, rewritten(runner), mixed(runner, sample))
    columns = [rule.draw.by for rule in rules if rule.kind == "draw" and rule.draw is not None and rule.draw.by]
    strata = tuple(Stratum(s.name, s.rows, s.bytes, s.fraction, s.reading.row_share) for s in sample.corpora)
    flows = with_intervals(fates(runner, sample, names, columns), strata, rules, recipe.seed)
    whole = Whole(
        shards={sampled.name: shard_sizes(sampled.reading, sampled.bytes) for sampled in sample.inputs},
        flows=dict(zip(names, flows, strict=True)),
        strata=tuple(stratum.name for stratum in strata),
        sizes={sampled.name: sampled.bytes for sampled in sample.inputs},
        shard_bytes=sample.inputs[0].reading.spec.shard_bytes,
        workers=workers,
        crowding=measured.machine.crowding,
        per_task=measured.fixed.per_task,
    )
    times = project_times(runner, few, whole)
    add_ends(runner, sample, whole, measured, times)
    lines = _step_lines(recipe, runner, sample, dict(zip(rules, flows, strict=True)), times)
    totals = _totals(runner, sample, whole, measured, times)
    return Projection(
        recipe=recipe.name,
        inputs=tuple(_input_line(sampled) for sampled in sample.inputs),
        steps=lines,
        totals=totals,
        stages=tuple(times.stages),
        drawn=sample.words,
        warnings=(*warnings(recipe, sample, lines, totals), *about_machine(measured.machine, whole)),
    )


def step_names(recipe: Recipe) -> tuple[str, ...]:
    """The steps that may drop rows, in the order in which they run; the engine's own come first."""
    return (INGEST, *([EXCLUDED] if recipe.exclude_ids else []), *(step.label for step in recipe.steps))


def step_rules(
    recipe: Recipe, key: KeyRule, changed: Mapping[str, float], shares: Mapping[str, Mapping[str, float]]
) -> tuple[StepRule, ...]:
    """How each of `step_names` is projected.

    `changed` says of steps by how much they lengthen the text, `shares` of mixtures how much of each group they draw.
    """
    steps = {step.label: step for step in recipe.steps}
    rules = [_step_rule(steps[name], key) if name in steps else StepRule(name) for name in step_names(recipe)]
    drawn = [replace(r, kind="draw", shares=tuple(shares[r.name].items())) if r.name in shares else r for r in rules]
    return tuple(replace(rule, rewritten=changed.get(rule.name, 1.0)) for rule in drawn)


def mixed(runner: SampledRunner, sample: Sample) -> dict[str, dict[str, float]]:
    """For each mixture that only recorded, the part of each group that it draws, before any document is too large."""
    found = {}
    for step in runner.recipe.steps:
        outputs = runner.outputs.get(f"{step.label}/ranking")
        is_mixture = isinstance(step, BudgetedStep) and step.draws().how == "mixture"
        if sample.is_everything or not is_mixture or outputs is None:
            continue
        groups = json.loads(runner.store.read(outputs.files[FILE]))["categories"]
        found[step.label] = {
            name: min(1.0, entry["asked"] / entry["available"]) for name, entry in groups.items() if entry["available"]
        }
    return found


def rewritten(runner: SampledRunner) -> dict[str, float]:
    """For each step that rewrites the text, bytes after it per byte before it."""
    found: dict[str, float] = {}
    for name, node in runner.plan.nodes.items():
        counts = runner.counts.get(name)
        if isinstance(node.operator, Map) and "text" in type(node.operator).rewrites and counts and counts.bytes_in:
            found[node.step] = found.get(node.step, 1.0) * counts.bytes_out / counts.bytes_in
    return found


def _step_rule(step: Operator, key: KeyRule) -> StepRule:
    match step:
        case ExactDedup():
            same = key.kind in ("shingle", "text") if step.column == "text" else key.column == step.column
            return StepRule(step.label, "copies", together=same)
        case MinhashDedup():
            return StepRule(step.label, "copies", together=key.kind == "shingle")
        case SemanticDedup() if step.keep_share is None:
            return StepRule(step.label, "copies", together=False)
        case BudgetedStep():
            draw = step.draws()
            kind: Kind = "draw" if draw.how == "chance" else "rows"
            return StepRule(step.label, kind, draw=draw, keeps=bool(getattr(step, "audit", False)))
        case _:
            return StepRule(step.label)


def _input_line(sampled: Sampled) -> InputLine:
    reading = sampled.reading
    return InputLine(
        name=sampled.name,
        role=reading.entry.role,
        files=len(reading.files),
        documents=round(sampled.rows + sum(sampled.bad.values())),
        bytes=round(sampled.bytes),
        share_read=reading.row_share,
        how=describe(reading),
        sampled_documents=sampled.num_documents,
        sampled_bytes=sampled.num_bytes,
        quarantined={rule: round(count) for rule, count in sorted(sampled.bad.items())},
    )


def _step_lines(
    recipe: Recipe, runner: SampledRunner, sample: Sample, flows: dict[StepRule, StepFlow], times: Times
) -> tuple[StepLine, ...]:
    """The recipe's steps (and the block list of ids). A step is no surer than those that it gets its rows from."""
    steps = {step.label: step for step in recipe.steps}
    audited = audited_shares(runner, step_names(recipe))
    lines = []
    worst: Certainty = "sure"
    for rule, flow in list(flows.items())[1:]:
        certainty, reason = judge_certainty(sample, rule, flow, steps.get(rule.name), times)
        worst = max(worst, certainty, key=ORDER.index)
        rows_in = float(flow.rows_in.sum())
        flagged = audited[rule.name] if rule.kind != "draw" or rule.keeps else {}
        lines.append(
            StepLine(
                name=rule.name,
                kind=str(getattr(steps.get(rule.name), "kind", rule.name)),
                rows_in=round(rows_in),
                rows_out=round(flow.rows_out),
                rows_low=round(flow.low),
                rows_high=round(flow.high),
                bytes_in=round(float(flow.bytes_in.sum())),
                bytes_out=round(flow.bytes_out),
                dropped={name: round(count) for name, count in sorted(flow.dropped.items()) if round(count)},
                flagged={name: round(share * rows_in) for name, share in sorted(flagged.items())},
                seconds=times.steps.get(rule.name, 0.0),
                certainty=worst,
                reason=reason,
            )
        )
    return tuple(lines)


def _totals(runner: SampledRunner, sample: Sample, whole: Whole, measured: Measured, times: Times) -> Totals:
    rows = sum(sampled.rows for sampled in sample.corpora)
    bad = sum(sum(sampled.bad.values()) for sampled in sample.corpora)
    last = list(whole.flows.values())[-1]
    work, out = disk(runner, sample, last, times, measured)
    return Totals(
        rows_read=round(rows + bad),
        rows_quarantined=round(bad),
        rows_dropped=round(rows) - round(last.rows_out),
        rows_kept=round(last.rows_out),
        bytes_read=round(sum(sampled.bytes for sampled in sample.corpora)),
        bytes_kept=round(last.bytes_out),
        seconds=round(times.seconds, 2),
        start_seconds=round(times.stages[0][1], 2),
        workers=whole.workers,
        peak_memory_mb=round(memory(runner, whole, times, measured) / 1e6, 1),
        work_dir_mb=round(work / 1e6, 1),
        out_mb=round(out / 1e6, 1),
    )
