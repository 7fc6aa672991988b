r"""Lines that a page's template wrote, as expressions over a whole line, in named sets: what `remove_lines` knows.

In the syntax of RE2, which reads every expression in linear time; case does not matter. English, with the commonest
German, French and Spanish forms. They are narrow on purpose: an expression takes a line only if nothing else is in it,
so that a sentence about cookies stays; and a line that
begins like a comment is code, so that licences in sources stay.
"""

from collections.abc import Mapping
from typing import Final

_ARROW: Final = r"\s*(?:\.{2,3}|\x{2026}|[>\x{bb}\x{203a}\x{2192}]+)?"
_NETWORK: Final = (
    r"(?:facebook|twitter|x|linkedin|pinterest|reddit|tumblr|whatsapp|telegram|instagram|youtube|google\s?\+|e-?mail"
    r"|print)"
)
_COUNTED: Final = r"[0-9][0-9.,]{0,8}\s?[km]? (?:likes?|shares?|tweets?|comments?|views?|followers?|retweets?|replies)"
_PAGE: Final = (
    r"(?:home|homepage|about|about us|contact|contact us|news|blog|faqs?|help|support|search|menu|main menu|site ?map"
    r"|log ?in|log ?out|sign in|sign up|register|my account|account|cart|checkout|shop|store|products|services|careers"
    r"|jobs|press|privacy|privacy policy|terms|terms of (?:use|service)|terms (?:and|&) conditions|legal|imprint"
    r"|disclaimer|advertise|archives?|categories|tags|rss|impressum|datenschutz|kontakt|startseite|accueil|inicio"
    r"|mentions l\x{e9}gales)"
)
_BAR: Final = r"\s*[|\x{b7}\x{2022}\x{bb}\x{203a}>/]\s*"

SETS: Final[Mapping[str, tuple[str, ...]]] = {
    "citations": (
        r"(?:\[(?:[1-9][0-9]{0,2}|note [0-9]{1,3})\]\s*)+",
        r"\[(?:citation needed|clarification needed|who\?|when\?|according to whom\?|better source needed)\]",
        r"\^ (?:jump up.*|(?:[a-z] ){1,8}\S.*|\S.*retrieved (?:on )?.*[0-9]{4}.*)",
    ),
    "edit_links": (
        r"\[\s?edit(?:\s?\| ?edit source)?\s?\]",
        r"edit (?:source|this (?:page|section|article))|view (?:source|history)|\[hide\]|\[show\]",
    ),
    "read_more": (
        rf"(?:click (?:here )?to )?(?:read|see|show|view|learn) (?:more|all)(?: here| about this)?{_ARROW}",
        rf"(?:continue|keep) reading{_ARROW}|read the (?:full|whole|rest of the) (?:article|story|post|entry){_ARROW}",
        rf"(?:weiterlesen|mehr lesen|lire la suite|en savoir plus|leer m\x{{e1}}s|seguir leyendo){_ARROW}",
    ),
    "cookies": (
        r"(?:this|our) (?:web)?site uses cookies.*|(?:we|we and our partners) use cookies.*",
        r"by (?:using|continuing).*cookies.*",
        r"(?:accept|reject|allow|manage)(?: all)? cookies|cookie (?:policy|settings|preferences|consent|notice)",
        r"(?:diese (?:web)?seite|wir) (?:verwendet|verwenden|nutzt|nutzen) cookies.*|(?:alle )?cookies akzeptieren",
        r"(?:ce site|nous) (?:utilise|utilisons) des cookies.*|(?:este sitio|esta web) utiliza cookies.*",
    ),
    "navigation": (
        rf"{_PAGE}(?:{_BAR}{_PAGE})+",
        r"(?:home|startseite|accueil|inicio)\s*[\x{bb}\x{203a}>]\s*.{1,120}",
        r"(?:skip|jump) to (?:main |the )?(?:content|navigation|search|menu)|back to top|toggle navigation|main menu",
        r"[\x{ab}\x{2039}<\x{2190}]*\s*(?:previous|prev|older)(?: (?:post|page|article|entries|posts))?"
        r"(?:\s*\|?\s*next(?: (?:post|page|article))?\s*[\x{bb}\x{203a}>\x{2192}]*)?",
        r"(?:next|newer)(?: (?:post|page|article|entries|posts))?\s*[\x{bb}\x{203a}>\x{2192}]+",
    ),
    "sharing": (
        r"(?:share|share (?:this|it)(?: (?:post|page|article|story))?|tweet(?: this)?|pin it|print this page)[:!]?",
        rf"(?:share|follow us|like us|find us)(?: this)? (?:on|via) {_NETWORK}(?:(?:,| and| &|/)? ?{_NETWORK})*[.!]?",
        rf"{_NETWORK}(?:\s*[,|/\x{{b7}}\x{{2022}}]?\s+{_NETWORK})+",
        rf"{_COUNTED}(?:\s*[,|\x{{b7}}]?\s*{_COUNTED})*",
    ),
    "copyright": (
        r"(?:[^#/*;%<\s-].{0,160}\b)?all rights reserved\b.{0,60}",
        r"(?:alle rechte vorbehalten|tous droits r\x{e9}serv\x{e9}s|todos los derechos reservados)\.?",
        r"(?:copyright|\x{a9}|\(c\))(?:\s*(?:\x{a9}|\(c\)|by))?\s*[0-9]{4}(?:\s*[-\x{2013}]\s*[0-9]{2,4})?.{0,100}",
        r"(?:proudly )?powered by (?:wordpress|drupal|joomla|blogger|vbulletin|phpbb|shopify|mediawiki)\b.{0,60}",
    ),
    "sign_up": (
        r"(?:subscribe|sign up)(?: (?:now|today|here|free))?"
        r"(?: (?:to|for) (?:our|the|my) (?:\w+ )?(?:newsletter|mailing list|updates))?[.!]?",
        r"(?:enter|type) your e-?mail(?: address)?.{0,60}",
        r"get (?:our|the) (?:latest )?(?:news|newsletter|updates).{0,60}inbox[.!]?",
        r"advertisements?|advertising|sponsored(?: content)?|anzeige|werbung|publicit\x{e9}|publicidad",
        r"leave a (?:reply|comment)|post a comment|log in to (?:comment|reply)",
        r"you must be logged in to (?:post|comment|reply).{0,40}",
    ),
    "scripts": (
        r"(?:please )?(?:enable|activate|turn on) java ?script.{0,120}",
        r"java ?script (?:is|must be|needs to be) (?:disabled|enabled|required).{0,120}",
        r"(?:this|your) (?:browser|site|page) (?:does not support|requires) (?:java ?script|frames|flash).{0,120}",
    ),
}
"""Name of a set -> expressions, each for a whole line without the white space around it."""

MARKS: Final = r"(?i)\[(?:[0-9]{1,3}|edit|citation needed|clarification needed|note [0-9]{1,3})\]"
"""Marks of citations inside a line."""
