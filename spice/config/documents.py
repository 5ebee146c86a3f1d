"""Settings of documents: where they come from, how they are parsed, and how they become a dataset version."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spice.config.filtering import FilterName, QualityConfig
from spice.config.section import Section


class SourcesConfig(Section):
    """What may be fetched, and how. S3 credentials stand in the environment, as those of the store."""

    hosts: tuple[str, ...] = Field(
        (), description="hosts from which pages may be fetched; *.example.org allows its subdomains; none: no web"
    )
    private_hosts: tuple[str, ...] = Field(
        (), description="hosts, also with :port, that may be fetched although their address is private or loopback"
    )
    robots: bool = Field(True, description="leave out pages that a host's robots.txt forbids")
    user_agent: str = Field("spice-ingest", min_length=1, description="what web servers are told, and robots.txt")
    seconds: float = Field(60.0, gt=0.0, description="a page that takes longer to fetch is left out")
    redirects: int = Field(5, ge=0, description="most redirects of one page, each to an allowed host")
    s3_endpoint: str | None = Field(None, description="host:port of the S3 service of s3:// sources; none: the store's")
    connections: int = Field(8, ge=1, le=64, description="remote files that are fetched at once")
    fetch_bytes: int = Field(16 * 2**30, ge=1, description="longer remote files are skipped and counted")
    rows_bytes: int = Field(
        8 * 2**20, ge=1024, description="a longer JSONL file is read as several items of about this size"
    )


class ParsingConfig(Section):
    """What a hostile file may use up before it is given up. All of it is reported, none of it stops a run."""

    seconds: float = Field(
        60.0, gt=0.0, description="processor time of one file, or of one member of an archive, in its own process"
    )
    silent_seconds: float = Field(
        600.0, gt=0.0, description="a file is given up when its process says nothing for so long, busy or not"
    )
    memory_bytes: int = Field(2 * 2**30, ge=2**28, description="address space of the process that parses")
    text_chars: int = Field(256 * 2**20, ge=1, description="longest text of one document")
    expansion: float = Field(
        200.0, gt=1.0, description="a compressed file may become so many times as long, and 64 MiB in any case"
    )
    archive_depth: int = Field(3, ge=0, description="archives within archives; deeper ones are left out")
    archive_members: int = Field(1_000_000, ge=1, description="members of one archive; later ones are left out")
    main_content: bool = Field(True, description="take the main content of an HTML page with trafilatura")
    ocr: bool = Field(False, description="read scanned PDF pages by OCR; needs the ocr extra")


class CorpusConfig(Section):
    """How documents become a dataset version."""

    segment_tokens: int = Field(5992, ge=16, description="longest segment, in tokens of the model")
    min_segment_tokens: int = Field(24, ge=1, description="shorter segments are dropped and counted")
    held_out_share: float = Field(
        0.2, ge=0.0, lt=1.0, description="share of documents that training never sees, by hash"
    )
    near_duplicate_threshold: float = Field(
        0.7, gt=0.0, le=1.0, description="Jaccard similarity from which a document is a near duplicate"
    )
    near_duplicate_bands: int | None = Field(
        None,
        ge=1,
        description="bands of the MinHash signature (datatrove: 14); none: enough for 99.5% of pairs at the threshold",
    )
    near_duplicate_rows: int = Field(8, ge=1, description="hashes per band, if near_duplicate_bands is given")
    keep: Literal["first", "longest"] = Field(
        "first", description="which of several copies is kept: the first by name, or the longest, then by digest"
    )
    languages: tuple[str, ...] = Field((), description="languages that are kept, by ISO 639-1 code; none keeps all")
    filters: tuple[FilterName, ...] = Field(
        ("gibberish",),
        description="quality filters, in their order: gibberish, gopher_repetition, gopher_quality, c4, fineweb",
    )
    quality: QualityConfig = QualityConfig()
    workers: int = Field(0, ge=0, description="processes that read documents; 0 takes one per core")
    max_file_bytes: int = Field(256 * 2**20, ge=1, description="larger files are skipped and counted")
    max_line_chars: int = Field(200_000, ge=1000, description="a longer line is broken before it is processed")
    text_field: str = Field("text", min_length=1, description="the field of JSONL and Parquet rows that holds the text")
    title_field: str = Field(
        "title", min_length=1, description="the field of JSONL and Parquet rows that holds a title"
    )
    pdf_pages: int = Field(
        5000, ge=1, description="pages of a PDF file that are read; what follows is left out and noted"
    )
    screen_injections: bool = Field(True, description="quarantine documents with text that instructs a model")
    screen_repeated: int = Field(
        0, ge=0, description="quarantine documents with a passage of 24 words that stands in so many; 0 is off"
    )
    screen_outliers: float = Field(
        0.0, ge=0.0, description="quarantine documents whose letters are so many deviations from the usual; 0 is off"
    )
    personal_data: tuple[str, ...] = Field(
        (), description="quarantine documents that hold such, as EMAIL_ADDRESS or IBAN_CODE; needs the privacy extra"
    )
    follow_symlinks: bool = Field(False, description="follow symbolic links that stay inside the given folder")
    sources: SourcesConfig = SourcesConfig()
    parsing: ParsingConfig = ParsingConfig()
