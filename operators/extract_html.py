r"""Turn HTML into text: the main content of a page, or all its text, by `resiliparse`.

A text that is no HTML stays as it is. `detect` says how that is known: `document` takes texts that begin as a page does
(after white space, comments and an XML declaration: `<!doctype html`, `<html`, `<head`, `<body`); `markup` also those
with at least three closing tags of usual elements, which a text *about* HTML may have; `all` takes every text.

All its text is that of the elements without scripts and styles, and is not what a browser would show: what `hidden` or
`display: none` hides is there, unless `skip: ["[hidden]"]` or the like names it, and what stands in form fields
(`<textarea>`, `<select>`, `<button>`) is not, unless `form_fields` asks for it, nor is `<noscript>`.

`main_content` is a heuristic and may find little: below `min_chars` all text is taken instead, and `method`
says so. It takes time with the square of the depth to which elements are nested, so a page with more than 256 that are
open at once, which no real page has, gives all its text too. Which version of `resiliparse` extracts is part of the
step's identity.

Twice is once unless the page's own text begins like a page, as a tutorial's listing may. Price: docs/clean-up.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field
from typing_extensions import override

from operators.base import Columns, Context, RecipeError
from operators.clean_up import Cleaned, Cleaner, CleanUp

_PAGE: Final = r"(?i)\A(?:\s|\x{feff}|<\?xml[^>]*>|<!--(?s:.*?)-->)*<(?:!doctype\s+html|html|head|body)\b"
_CLOSING: Final = (
    r"(?i)</(?:a|article|b|blockquote|body|code|div|em|figure|font|footer|form|h[1-6]|header|html|i|li|main|nav|ol|option"
    r"|p|pre|section|span|strong|table|tbody|td|th|tr|ul)\s*>"
)
_FEW: Final = 3
_NESTED: Final = re.compile(
    r"<(/?)(?:a|article|b|big|blockquote|center|code|div|dl|em|font|form|i|main|ol|section|small|span|strong|table|u|ul)"
    r"(?=[\s>/])",
    re.IGNORECASE,
)
_DEEPEST: Final = 256

Extract = Callable[[str], tuple[str, str]]
"""From HTML to text, and by which method: `main` or `all`."""


class ExtractHtml(CleanUp):
    """Turn HTML into its main content or all its text; other texts stay as they are.

    `method` is `main` or `all`, null for a text that is no HTML; `removed_bytes` is how much shorter it became.
    """

    kind: Literal["extract_html"] = "extract_html"
    detect: Literal["document", "markup", "all"] = Field(default="document", description="which texts are HTML")
    main_content: bool = Field(default=True, description="without menus, sidebars and footers")
    min_chars: int = Field(default=250, ge=0, description="where less main content is found, all text is taken")
    links: bool = Field(default=False, description="write the targets of links behind them")
    lists: bool = Field(default=True, description="write bullets and numbers of lists")
    alt_texts: bool = Field(default=False, description="write the descriptions of pictures")
    form_fields: bool = Field(default=False, description="write what stands in form fields, `[ like this ]`")
    comments: bool = Field(default=False, description="readers' comments are main content")
    skip: tuple[str, ...] = Field(default=(), description="CSS selectors of elements to leave out")

    def check(self) -> None:
        """Refuse selectors that are none."""
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.html import CSSParserException

        for selector in self.skip:
            try:
                extract_plain_text("<p>", skip_elements=[selector])
            except CSSParserException as error:
                raise RecipeError(
                    f"skip: {selector!r} is no CSS selector; expected one such as 'table.infobox'"
                ) from error

    @override
    def models(self) -> Mapping[str, str]:
        return {"resiliparse": hashlib.sha256(version("resiliparse").encode()).hexdigest()}

    @override
    def adds(self) -> Columns:
        return {"method": pa.string(), "removed_bytes": pa.int64()}

    @override
    def cleaner(self, context: Context) -> Cleaner:
        extract = self._extract()

        def clean(texts: pa.LargeStringArray) -> Cleaned:
            is_html = self._is_html(texts)
            found = [extract(text) for text in texts.filter(is_html).to_pylist()]
            places = np.cumsum(is_html.to_numpy(zero_copy_only=False)) - 1
            index = pa.array(places, mask=~is_html.to_numpy(zero_copy_only=False))
            new = pa.array([text for text, _ in found], pa.large_string()).take(index)
            new = pc.if_else(is_html, new, texts)
            removed = pc.subtract(pc.binary_length(texts), pc.binary_length(new)).cast(pa.int64())
            methods = pa.array([method for _, method in found], pa.string()).take(index)
            return new, {"method": methods, "removed_bytes": removed}

        return clean

    def _is_html(self, texts: pa.LargeStringArray) -> pa.BooleanArray:
        if self.detect == "all":
            return pa.array(np.ones(len(texts), bool))
        begins = pc.match_substring_regex(texts, _PAGE)
        if self.detect == "document":
            return begins
        return pc.or_(begins, pc.greater_equal(pc.count_substring_regex(texts, _CLOSING), _FEW))

    def _extract(self) -> Extract:
        from resiliparse.extract.html2text import extract_plain_text
        from resiliparse.parse.html import HTMLTree

        options: dict[str, Any] = {
            "links": self.links,
            "list_bullets": self.lists,
            "alt_texts": self.alt_texts,
            "form_fields": self.form_fields,
            "comments": self.comments,
            "skip_elements": list(self.skip),
        }

        def extract(html: str) -> tuple[str, str]:
            tree = HTMLTree.parse(html.lstrip("\ufeff \t\r\n"))  # a mark before the page would be its first text
            if self.main_content and not _is_deep(html):
                text: str = extract_plain_text(tree, preserve_formatting=True, main_content=True, **options)
                if len(text) >= self.min_chars:
                    return text, "main"
            return extract_plain_text(tree, preserve_formatting=True, **options), "all"

        return extract


def _is_deep(html: str) -> bool:
    """Whether more elements than real pages have are open at once; those whose end may be left out do not count."""
    if html.count("<") <= _DEEPEST:
        return False
    depth = 0
    for match in _NESTED.finditer(html):
        depth = max(0, depth - 1) if match[1] else depth + 1
        if depth > _DEEPEST:
            return True
    return False
