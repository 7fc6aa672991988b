from tests.pipeline.engine import Mill

PROSE = "\n".join(f"This is line {number} of a page that somebody wrote in the evening." for number in range(20))


def test_a_document_that_line_rules_drop_keeps_its_text_in_the_trace(mill: Mill) -> None:
    page = f"Home\nMENU AND NEWS\n{PROSE}\n3 likes\n2 items in cart"
    mill.jsonl("a", [{"text": page}, {"text": "Home\nNews\nThree words here"}])
    ran = mill.run([{"kind": "line_rules"}])
    assert ran.dropped["excerpt"].to_pylist() == ["Home\nNews\nThree words here"]
    assert ran.corpus["text"].to_pylist() == [f"{PROSE}\n2"]
    assert ran.corpus["line_rules_phrases"].to_pylist() == [1]
    assert not [name for name in ran.corpus.column_names if "left" in name]


def test_a_document_that_c4_quality_drops_keeps_its_text_and_with_audit_all_do(mill: Mill) -> None:
    few = "Home\nThis is one line of the page."
    mill.jsonl("a", [{"text": f"Home\n{PROSE}"}, {"text": few}])
    ran = mill.run([{"kind": "c4_quality"}])
    assert ran.dropped["excerpt"].to_pylist() == [few]
    assert ran.dropped["rule"].to_pylist() == ["too_few_sentences"]
    assert ran.corpus["text"].to_pylist() == [PROSE]
    audited = mill.run([{"kind": "c4_quality", "audit": True}], out="audited")
    assert audited.corpus["text"].to_pylist() == [f"Home\n{PROSE}", few]
    assert audited.corpus["c4_quality_unterminated_lines"].to_pylist() == [1, 1]
