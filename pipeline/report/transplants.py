"""A model's tables for another tokenizer: what was copied, how the rest was made, and what the model makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.bins import Axis
from pipeline.report.figures import Segment, bar, strip
from pipeline.report.markup import Column, code, facts, table
from pipeline.report.reading import Facts, Step
from pipeline.report.wording import count, number, plural, share, size, text

FILE: Final = "/init_report.json"
_NEEDED: Final = ("routes", "ids")
_WAYS: Final[Mapping[str, str]] = {
    "exact": "copied: the old vocabulary has the same bytes",
    "byte": "copied: a byte, written in another way",
    "special": "copied: a special token of the same name or use",
    "subword": "the mean of the old tokens that make it up",
    "variant": "half its pieces, half the same word in another case or spacing",
    "focus": "shared tokens that are used alike, by FOCUS",
    "wechsel": "the ten shared tokens used most alike, by WECHSEL",
    "mixed": "half shared tokens that are used alike, half its pieces",
    "omp": "shared tokens, by matching pursuit",
    "donor": "shared tokens, by another model's vectors",
    "ridge": "a linear map",
    "normal": "drawn at random, as the old rows are spread",
    "mean": "the mean of all old rows, as nothing else was there",
    "imported": "as a file given says",
    "absent": "an id that no token has",
}
_COPIED: Final = ("exact", "byte", "special")
_GROUPS: Final = (
    ("all", "all held-out tokens"),
    ("variant", "with a variant in the old vocabulary"),
    ("no_variant", "without one, as most new tokens"),
)
_READINGS: Final = (
    ("source", "the old tokenizer"),
    ("made", "the new one, rows as made"),
    ("calibrated", "calibrated"),
    ("healed", "healed"),
    ("mean", "made rows all the mean row"),
)
_SEEN: Final = (
    "The vectors, and as a rule the tokenizer, were trained on this text: no figure here is of text held out. Give "
    "evaluate a text."
)

Found = Mapping[str, Any]


def transplanting(run: Facts, step: Step) -> Found:
    """The step's `init_report.json`; empty where it left none."""
    name = next((name for name in step.artifacts if name.endswith(FILE)), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) and all(key in found for key in _NEEDED) else {}


def transplanted(step: Step, found: Found) -> str:
    """One step: what was copied and made, the test on held-out tokens, and the model's own verdict."""
    body = _summary(found) + facts(_numbers(step, found)) + _routes(found) + _held_out(found) + _tried(found)
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>'


def _summary(found: Found) -> str:
    routes = found["routes"]
    copied, every = sum(routes.get(name, 0) for name in _COPIED), sum(routes.values())
    made = every - copied - routes.get("absent", 0)
    said = f"{share(copied, every)} of the new rows are old ones, copied to the bit; {plural(made, 'row')} "
    return f"<p>{said}{'was' if made == 1 else 'were'} made.</p>"


def _numbers(step: Step, found: Found) -> list[tuple[str, str]]:
    method, read = found.get("settings", {}), found.get("text", {})
    given = step.parameters
    pairs = [("Model", code(given["model"]))] if given.get("model") else []
    pairs.append(("Ids", f"{number(found['ids']['old'])} <small>\u2192</small> {number(found['ids']['new'])}"))
    pairs.append(("Method", code(method.get("method", given.get("method", "")))))
    if method.get("vectors"):
        pairs.append(("Compared by", "vectors trained here" if method["vectors"] == "text" else "another model's rows"))
    if "width" in found:
        pairs.append(("Numbers in a row", number(found["width"])))
    if "is_tied" in found:
        pairs.append(
            ("Tables", "one, which reads and predicts" if found["is_tied"] else "two, both made by the same W")
        )
    if read.get("documents"):
        pairs.append(("Text", f"{size(read['bytes'])} <small>{plural(read['documents'], 'document')}</small>"))
    return pairs


def _routes(found: Found) -> str:
    """A bar for each way that rows came, the most first."""
    listed = sorted(found["routes"].items(), key=lambda item: (-item[1], item[0]))
    every, most = sum(found["routes"].values()), listed[0][1] if listed else 0
    norms = found.get("mean_norms", {})
    columns = [Column("rows that are"), Column('<span class="unseen">bar</span>'), Column("rows", True)]
    columns += [Column("of all", True), Column("mean length", True)]
    rows = [
        [
            text(_WAYS.get(name, name)),
            bar([Segment(rows, "kept" if name in _COPIED else "size")], most, ""),
            count(rows),
            share(rows, every),
            number(round(norms[name], 3)) if name in norms else "",
        ]
        for name, rows in listed
    ]
    first = found.get("mean_tokens") or []
    more = " and others" if found["routes"].get("mean", 0) > len(first) else ""
    said = f"<p>The mean row went to {', '.join(map(code, first))}{more}.</p>"
    return table("How the rows came", columns, rows, kind="bars") + (said if first else "")


def _held_out(found: Found) -> str:
    """Shared tokens that were treated as new: how near their made rows came to the true ones."""
    test = found.get("held_out", {})
    if not test.get("tokens"):
        return f"<p>No shared tokens were held out: {text(test['why'])}.</p>" if test.get("why") else ""
    columns = [Column("tokens"), Column("number", True), Column("cosine to the true row", True)]
    columns += [Column("true row among 10 nearest", True), Column("median rank", True), Column("length", True)]
    rows = []
    for name, says in _GROUPS:
        group = test.get(name)
        if group:
            cosine, recall, ratio = group["centred_cosine"], group["recall_at_10"], group["norm_ratio"]
            cells = [f"{number(round(cosine['mean'], 3))} <small>{_between(cosine['low'], cosine['high'])}</small>"]
            cells += [
                f"{share(recall['mean'], 1)}",
                number(group["median_rank"]),
                f"{number(round(ratio['mean'], 3))} of it",
            ]
            rows.append([says, count(group["tokens"]), *cells])
    note = "Cosines are of rows less the mean row. How well a row predicts, they do not say: see bits per byte."
    return table("Shared tokens, made as if they were new", columns, rows) + f"<p>{note}</p>"


def _tried(found: Found) -> str:
    """Bits per byte with intervals, and the checks in words."""
    trial = found.get("trial")
    if not isinstance(trial, dict):
        return ""
    if not trial.get("measured"):
        return f'<p class="warning">Not tried in the model: {text(trial.get("why", ""))}.</p>'
    return _chart(trial) + "".join(f"<p{kind}>{said}</p>" for kind, said in _checks(trial))


def _chart(trial: Found) -> str:
    readings: Mapping[str, Found] = trial["readings"]
    shown = [(name, says, readings[name]) for name, says in _READINGS if name in readings]
    ends = [end for _, _, reading in shown for end in reading["interval"]]
    low, high = min(ends), max(ends)
    spare = (high - low or 1) / 20
    axis = Axis(low - spare, high + spare)
    columns = [Column("tables"), Column('<span class="unseen">interval</span>'), Column("bits per byte", True)]
    columns += [Column("95 %", True), Column("above the old", True), Column("nats a copied token", True)]
    columns.append(Column("nats a made token", True))
    rows = []
    for name, says, reading in shown:
        ends, value = reading["interval"], reading["bits_per_byte"]
        above = trial.get("above_source", {}).get(name)
        picture = strip([ends[0], ends[0], value, ends[1], ends[1]], axis, [])
        cells = [picture, _bits(value), _between(*ends), _above(above)]
        cells += [_nats(reading.get("nats_per_shared_token")), _nats(reading.get("nats_per_new_token"))]
        rows.append([says, *cells])
    read = f"{size(trial['bytes'])} in {plural(trial['segments'], 'segment')}, {text(trial.get('dtype', ''))}"
    is_held_out = trial.get("is_held_out", True)
    of = "the same held-out text" if is_held_out else "text of the step, which was trained on"
    return table(f"Bits per byte of {of} ({read})", columns, rows, kind="bars")


def _checks(trial: Found) -> Sequence[tuple[str, str]]:
    """Each check: whether it warns, and in words."""
    warning = ' class="warning"'
    last = [trial["readings"][name] for name, _ in _READINGS if name in trial["readings"] and name != "mean"][-1]
    wins = last.get("won_by_new", 0)
    checks = [] if trial.get("is_held_out", True) else [(warning, _SEEN)]
    checks.append(("", f"At {share(wins, 1)} of the positions a made row wins over every copied one."))
    made = last.get("new_tokens", 0)
    checks.append(("", f"{share(made, 1)} of the tokens of this text have made rows."))
    below = trial.get("below_mean")
    if below:
        is_better = below["interval"][0] > 0
        said = f"Than the mean row for all it is {_bits(below['bits_per_byte'])} bits per byte better "
        said += f"({_between(*below['interval'])})"
        checks.append(("" if is_better else warning, f"{said}{'.' if is_better else ': that is no gain.'}"))
    levels = trial.get("calibration", {}).get("mean_logit")
    if levels:
        before, after = levels["before"], levels["after"]
        said = f"Mean logits of made rows: {_nats(before['made'])} before calibration, {_nats(after['made'])} after; "
        checks.append(("", f"{said}of copied ones {_nats(after['copied'])}."))
    if trial.get("segments_left_out"):
        out = plural(trial["segments_left_out"], "segment")
        checks.append((warning, f"{out} left out: one of the tokenizers does not give the text back as it was."))
    return checks


def _above(above: Found | None) -> str:
    return "" if not above else f"{above['bits_per_byte']:+.4f} <small>{_between(*above['interval'])}</small>"


def _between(low: float, high: float) -> str:
    return f"{low:.3f} \u2013 {high:.3f}"


def _bits(value: float) -> str:
    return f"{value:.4f}"


def _nats(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
