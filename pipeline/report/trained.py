"""What the run made besides rows: tokenizers, classifiers, mixtures, draws, ladders, token sequences, all else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report.buckets import bucketed, bucketing
from pipeline.report.classifiers import classifier, metrics
from pipeline.report.clusters import clustered, clustering
from pipeline.report.concordance import concordance, concordant
from pipeline.report.evaluation import found_in_text, searching
from pipeline.report.importance import resampled, resampling
from pipeline.report.inferences import inference, inferred
from pipeline.report.markup import Column, code, facts, fold, section, table
from pipeline.report.mixtures import FILE as MIXTURE
from pipeline.report.mixtures import mixture
from pipeline.report.reading import Facts, Step
from pipeline.report.settings import settings
from pipeline.report.subsets import represented, subset
from pipeline.report.tokens import Vocabulary, chip, vocabulary
from pipeline.report.training import by_language, left_out, trained_on
from pipeline.report.transplants import transplanted, transplanting
from pipeline.report.trimmed import trimmed, trimmed_sizes, trimming
from pipeline.report.wording import count, number, plural, short, size, text

SHOWN: Final = 48
"""Tokens shown from each end of what was learned."""
SPECIALS: Final = 24
TRAINING: Final = "/training.json"
_KNOWN: Final = ("file", "asked", "reached", "merges")


def trained(run: Facts) -> str:
    """The section; empty where no step left an artifact."""
    steps = [step for step in run.steps if step.artifacts]
    if not steps:
        return ""
    models = {step.name: about for step in steps if (about := transplanting(run, step))}
    tokenizers = "".join(_tokenizer(run, step) for step in steps if _is_tokenizer(step) and step.name not in models)
    mixtures = "".join(_mixtures(run, step) for step in steps)
    sizes = [*vocabularies(run), *trimmed_sizes(run)]
    found = [(step, about) for step in steps if (about := metrics(run, step))]
    classifiers = "".join(classifier(step, about) for step, about in found)
    lede = f"{plural(len(sizes), 'tokenizer')}; " if sizes else ""
    lede += f"{plural(len(found), 'classifier')}; " if found else ""
    lede += f"{plural(sum(len(step.artifacts) for step in steps), 'file')} from {plural(len(steps), 'step')}."
    rest = _artifacts(run, steps)
    draws = "".join(resampled(step, about) for step in steps if (about := resampling(run, step)))
    draws += "".join(represented(step, about) for step in steps if (about := subset(run, step)))
    draws += "".join(clustered(step, about) for step in steps if (about := clustering(run, step)))
    buckets = "".join(bucketed(step, about) for step in steps if (about := bucketing(run, step)))
    tables = "".join(transplanted(step, models[step.name]) for step in steps if step.name in models)
    ladders = "".join(concordant(step, about) for step in steps if (about := concordance(run, step)))
    items = "".join(found_in_text(step, about) for step in steps if (about := searching(run, step)))
    body = tokenizers + tables + classifiers + items + mixtures + draws + buckets + ladders
    title = "What was trained" if tokenizers or classifiers else "What was made"
    return section("trained", title, lede, body + (fold("All artifacts by step", rest) if body else rest))


def vocabularies(run: Facts) -> list[int]:
    """The sizes of all tokenizers of the run, in the order of its steps."""
    found = []
    for step in run.steps:
        entries = _training(run, step).get("tokenizers")
        if isinstance(entries, list):
            found += [int(entry.get("reached", entry.get("asked", 0))) for entry in entries]
    return found


def _mixtures(run: Facts, step: Step) -> str:
    """A mixture that was inferred from a tokenizer, or one that was drawn."""
    about = inference(run, step)
    if about:
        return inferred(step, about)
    body = "".join(mixture(run, name) for name in step.artifacts if name.endswith(MIXTURE))
    name = f'{code(step.name)} <span class="quiet">{text(step.kind)}</span>'
    return f'<div class="tokenizer"><h3>{name}</h3>{body}</div>' if body else ""


def _is_tokenizer(step: Step) -> bool:
    return any(name.rsplit("/", 1)[-1].startswith("tokenizer") for name in step.artifacts)


def _training(run: Facts, step: Step) -> Mapping[str, Any]:
    name = next((name for name in step.artifacts if name.endswith(TRAINING)), "")
    found = run.json(name) if name else None
    return found if isinstance(found, dict) else {}


def _tokenizer(run: Facts, step: Step) -> str:
    """One step: the text it saw, its settings, the sizes, and its largest vocabulary's tokens."""
    training, about = _training(run, step), trimming(run, step)
    words = vocabulary(run.json(_largest(step)))
    before = _extended(training)
    if about:
        body = trimmed(step, about)
    else:
        sizes = _sizes(training, is_explained=bool(run.manifest.get("warnings")))
        body = f"{_seen(step, training)}{sizes}{left_out(training)}{trained_on(training)}"
        body += by_language(training)
    how = "kept" if about else "new" if before else "learned"
    return (
        f'<div class="tokenizer"><h3>{code(step.name)} <span class="quiet">{text(step.kind)}</span></h3>'
        f"{body}{_tokens(words, how, int(before.get('ids', 0))) if words else ''}</div>"
    )


def _extended(training: Mapping[str, Any]) -> Mapping[str, Any]:
    """What training went on from: its digest, its tokens, added ones and ids; empty where it began from bytes."""
    details = training.get("training")
    found = details.get("extended") if isinstance(details, dict) else None
    return found if isinstance(found, dict) else {}


def _largest(step: Step) -> str:
    """`tokenizer.json` is the largest one; else the last in order."""
    names = [name for name in step.artifacts if name.rsplit("/", 1)[-1].startswith("tokenizer")]
    return next((name for name in names if name.endswith("/tokenizer.json")), names[-1])


def _seen(step: Step, training: Mapping[str, Any]) -> str:
    """The text, what training went on from, and the settings."""
    corpus, before = training.get("corpus", {}), _extended(training)
    pairs = [("Text", size(corpus["bytes"]))] if "bytes" in corpus else []
    for key, value in sorted(corpus.items()):
        if key not in ("bytes", "distinct_bytes") and isinstance(value, int | float):
            pairs.append((text(key.replace("_", " ").capitalize()), short(value)))
    if before:
        base = code(step.parameters.get("extend") or f"sha256 {str(before.get('sha256', ''))[:12]}")
        added = f", {number(before['added'])} of them added" if before.get("added") else ""
        tokens = int(before.get("tokens", 0)) + int(before.get("added", 0))
        pairs.append(("Went on from", f"{base} <small>with {plural(tokens, 'token')}{added}</small>"))
    pairs += settings(step, training)
    return facts(pairs) if pairs else ""


def _sizes(training: Mapping[str, Any], *, is_explained: bool) -> str:
    """The vocabularies; a number that a later version adds (bytes per token, say) gets a column by its name."""
    entries = training.get("tokenizers")
    if not isinstance(entries, list) or not entries:
        return ""
    numeric = {key for entry in entries for key, value in entry.items() if isinstance(value, int | float)}
    merges = "merges, the old ones too" if _extended(training) else "merges"
    heads = {"reached": "tokens", "asked": "asked for", **({"merges": merges} if "merges" in numeric else {})}
    heads |= {name: text(name.replace("_", " ")) for name in sorted(numeric - set(_KNOWN))}
    columns = [Column("file"), *(Column(head, True) for head in heads.values())]
    rows = [[code(entry.get("file", "")), *(_amount(entry, name) for name in heads)] for entry in entries]
    short_of = [entry for entry in entries if entry.get("reached", 0) < entry.get("asked", 0)]
    why = "; the warnings at the top of the page say why" if is_explained else ""
    note = f"Not every vocabulary reached the size asked for{why}." if short_of else ""
    return table("Vocabularies", columns, rows) + (f'<p class="warning">{note}</p>' if note else "")


def _amount(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return number(value) if isinstance(value, int | float) else ""


def _tokens(words: Vocabulary, how: str, first: int) -> str:
    """Special tokens, and from id `first` on the first tokens that were learned (or `how` they came), and the last."""
    parts = []
    if words.special:
        more = f" and {count(len(words.special) - SPECIALS)} more" if len(words.special) > SPECIALS else ""
        parts.append(_chips(f"Special tokens{more}", words.special[:SPECIALS]))
    learned = [(identity, token) for identity, token in words.learned if identity >= first]
    if len(learned) <= 2 * SHOWN:
        parts.append(_chips(f"{how.capitalize()} tokens, in order", learned))
    else:
        parts.append(_chips(f"The first {SHOWN} {how}", learned[:SHOWN]))
        parts.append(_chips(f"The last {SHOWN} of {count(len(learned))}", learned[-SHOWN:]))
    return f'<div class="tokens">{"".join(parts)}</div>'


def _chips(title: str, tokens: Sequence[tuple[int, str]]) -> str:
    if not tokens:
        return ""
    listed = "".join(f'<li title="id {identity}" dir="auto">{chip(token)}</li>' for identity, token in tokens)
    return f'<div><h4>{title}</h4><ul class="chips">{listed}</ul></div>'


def _artifacts(run: Facts, steps: Sequence[Step]) -> str:
    files = run.manifest.get("files", {})
    columns = [Column("step"), Column("kind"), Column("files", True), Column("size", True)]
    rows = [
        [
            code(step.name), code(step.kind), count(len(step.artifacts)),
            size(sum(files.get(name, {}).get("bytes", 0) for name in step.artifacts)),
        ]
        for step in steps
    ]  # fmt: skip
    return table("Artifacts", columns, rows)
