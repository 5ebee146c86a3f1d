"""From the terse notes of the World Factbook to words of a sentence; used by `build_factbook.py`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any

WITH_ARTICLE = re.compile(
    r"(?:.* (?:Islands|Republic|Emirates|States|Refuges|Lands|Territory|Union|Bank|Strip)"
    r"|(?:Federated States|Republic|Democratic Republic|Isle) of .*"
    r"|Netherlands|Philippines|Bahamas|Gambia|Maldives|Comoros|Seychelles|United Kingdom|Holy See)"
)
PROSE_WORDS = 90
ACRONYMS = set(
    """AEI AEM AGOA AIDS ANC APEC ARS ASEAN ASSK BEEP BIOT BNP CAFTA-DR CBTPA CCAMLR CEFTA CIS CNDP CNRP CNT CPA CSME
    DPRK DRC EAC EBRD ECB ECF ECFA ECOWAS ECSC EDSA EEBC EEC EEZ EFTA EMU EU EU-IMF EUFOR FARC FDI FIS FLN FRELIMO FRG
    FRY FSM FTA GCC GDP GDR GEODSS GGC GHRG GPS GSPC GST HAMAS HCB HELP HIPC HIV IAATO IAEA IBRD ICJ ICT ICU IFOR IGAD
    II III IKR IMF ISF ISIL IV KGK KMT KRG LDC LNG LTTE MCC MCS MED MMD MOU MPLA MPP MPRP NAFTA NARC NATO NDC NLD NWR
    NZ OECD ODM OHADA OPEC OSCE PBOC PDVSA PEMEX PFDJ PKK PLDM PNG PPP PRI PSI RAMSI RBZ RCEP RENAMO RERF RMB ROK RPF
    RPT SAA SACU SEZ SFOR SISI SNB SNPC SNS SWAPO SWF SYRIZA TAAF TAPI TARP TFC TFG TFG-ARS TFP TFUE TNG TPP TRNC TUE
    UAE UK UK-US UN UNAMID UNGA UNITA UNM UNMIK UNMIT UNSC US USSR VAT VII VIII WMD WTO YPF ZANU-PF""".split()
)
NOT_A_GROUP = re.compile(
    r"\b(?:other|unspecified|none|no|not|non|less|than|about|over|more|approximately|undeclared|unknown|almost)\b"
)
ABBREVIATION = re.compile(r"(?:\b(?:[A-Z]|Gen|Col|Lt|Maj|Capt|Dr|Mr|Mrs|Ms|St|Sr|Jr|ca|c|approx|No|vs)|\.[A-Za-z])\.$")


def note(facts: dict[str, Any], *path: str, raw: bool = False) -> str:
    """The text of one entry, "" where there is none; without trailing remarks and years unless `raw`."""
    node: Any = facts
    for key in path:
        node = node.get(key) if isinstance(node, dict) else None
    node = node.get("text") if isinstance(node, dict) else None
    text = re.sub(r"\s+", " ", node or "").replace("++", "").replace("\u2019", "'").strip()
    return text if raw else remarks_removed(text)


def remarks_removed(text: str) -> str:
    """Drop what the source appends to an entry: notes and the year of the estimate."""
    text = re.split(r";? ?\bnote\b ?[-:]| ++note\b|; note\b", text)[0]
    text = re.sub(r"\s*\((?:[^()]*\best\.?|(?:19|20)\d\d|FY[^)]*|July[^)]*)\)", "", text)
    return text.strip(" ;,.")


def prose(facts: dict[str, Any], section: str, field: str, words: int = PROSE_WORDS) -> str:
    """The first sentences of a running text, at most `words` words but at least one sentence."""
    text = " ".join(title(word) for word in note(facts, section, field, raw=True).split()).replace(" ,", ",")
    if not text[:1].isupper():
        return ""
    kept: list[str] = []
    for sentence in sentences(text):
        if kept and sum(len(s.split()) for s in kept) + len(sentence.split()) > words:
            break
        kept.append(sentence)
    return " ".join(kept) if kept and len(" ".join(kept).split()) <= words + 40 else ""


def sentences(text: str) -> Iterator[str]:
    """Split at sentence ends, not after initials and titles."""
    begin = 0
    for match in re.finditer(r"[.!?][\"')]* +(?=[A-Z\"'(])", text):
        if not ABBREVIATION.search(text[: match.start() + 1]):
            yield text[begin : match.end()].strip()
            begin = match.end()
    if text[begin:].strip():
        yield text[begin:].strip()


def title(word: str) -> str:
    """The source writes surnames in capitals; acronyms keep them."""

    def lower(match: re.Match[str]) -> str:
        found = match[0]
        known = found in ACRONYMS or found.strip("'-") in ACRONYMS
        return found if known or len(found) < 3 else "-".join(part.capitalize() for part in found.split("-"))

    return re.sub(r"[A-Z][A-Z'-]+[A-Z]|[A-Z]{2,}", lower, word)


def items(value: str) -> list[str]:
    """The entries of a list, without remarks in brackets, shares and the catch-all "other"."""
    listed = [bare(part) for part in split_list(value)]
    listed = [part for part in listed if len(part.split()) <= 6]
    return [
        expand(part) for part in listed if part and not re.match(r"(?:other|NEGL|NA\b|none|unspecified|note)", part)
    ]


def split_list(value: str) -> list[str]:
    """Split at commas and semicolons outside brackets."""
    flat = re.sub(r"\([^()]*\)", lambda m: m[0].replace(",", "\0").replace(";", "\0"), value)
    flat = re.sub(r"(?<=\d),(?=\d{3})", "\1", flat)
    return [part.replace("\0", ",").replace("\1", ",").strip() for part in re.split(r"[,;]", flat)]


def bare(part: str) -> str:
    """One entry without brackets, shares and leading "and"."""
    part = re.sub(r"\s*\([^()]*\)", "", part)
    part = re.sub(r"\s*(?:less than |about |over |nearly )?(?:\d+)?(?:\.\d+)?(?:-\d+)?%.*", "", part)
    return re.sub(r"^and ", "", part).strip(" .-:()")


def shares(value: str) -> list[str]:
    """Entries of a list that carry a share, as "name (share)"."""
    found = []
    for part in split_list(value):
        match = re.fullmatch(r"([A-Za-z][^%:\d]*?) (\d+(?:\.\d+)?%)", re.sub(r"\s*\([^()]*\)", "", part).strip())
        if match and not NOT_A_GROUP.search(match[1]) and float(match[2].rstrip("%")) >= 1:
            found.append(f"{match[1].removeprefix('and ')} ({match[2]})")
    return found


def clause(value: str, words: int = 30) -> str:
    """The first clause of a note, "" where it is too long to read well."""
    first = re.split(r"; | - ", value)[0].strip(" ,.")
    return first if len(first.split()) <= words and first.count("(") == first.count(")") else ""


def enumerate_words(words: list[str], most: int) -> str:
    """ "a", "a and b", "a, b and c": the first `most`."""
    kept = list(dict.fromkeys(words))[:most]
    kept = [re.sub(r"^and ", "", word) for word in kept]
    return kept[0] if len(kept) == 1 else f"{', '.join(kept[:-1])} and {kept[-1]}"


def expand(text: str) -> str:
    """Short names that only the source uses."""
    text = {"NZ": "New Zealand", "UAE": "the United Arab Emirates", "DRC": "the Democratic Republic of the Congo"}.get(
        text, text
    )
    if WITH_ARTICLE.fullmatch(text) and not text.startswith("the "):
        return f"the {text}"
    text = re.sub(r"^US$|\bthe US\b", "the United States", text)
    return re.sub(r"^UK$|\bthe UK\b", "the United Kingdom", text)


def square(area: str) -> str:
    """ "1,234 sq km" -> "1,234 square kilometers"."""
    return re.split(r" \(|; ", area)[0].replace("sq km", "square kilometers")


def on(date: str) -> str:
    """The preposition of a date or a year."""
    return f"on {date}" if " " in date else f"in {date}"


def article(name: str) -> str:
    """Oceans, seas and gulfs take an article."""
    return (
        f"the {name}" if re.search(r"(?:Ocean|Sea|Gulf|River|Strait)$", name) and not name.startswith("the ") else name
    )


def indefinite(noun: str) -> str:
    """The noun with "a" or "an", unless it has a determiner."""
    if re.match(r"(?:a|an|the|one|two|three|part|in|under|Crown|islands) ", noun) or re.match(
        r"\w+s\b", noun.split(" ", maxsplit=1)[0] + "."
    ):
        return noun
    return f"{'an' if noun[0].lower() in 'aeio' and not noun.startswith(('one', 'uni')) else 'a'} {noun}"


def plural(country: str) -> bool:
    """Whether the name takes a plural verb."""
    return country.endswith(("Islands", "Refuges", "Lands"))


def first_upper(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[0].upper() + text[1:]


def slug(name: str) -> str:
    """A file name of plain letters."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
