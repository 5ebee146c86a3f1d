"""Settings of the steps that judge a document's quality. The defaults are the published thresholds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from spice.config.section import Section

FilterName = Literal["gopher_repetition", "gopher_quality", "c4", "fineweb", "gibberish"]


class LanguageConfig(Section):
    """Language identification with fastText's lid.176 model."""

    least_score: float = Field(
        0.65, ge=0.0, le=1.0, description="how sure the identification must be (FineWeb: 0.65); less is left out"
    )


class GopherQualityConfig(Section):
    """Quality rules of Gopher (Rae et al. 2021, arXiv 2112.11446, appendix A.1.1)."""

    least_words: int = Field(50, ge=0, description="fewer words are left out")
    most_words: int = Field(100_000, ge=1, description="more words are left out")
    least_word_length: float = Field(3.0, ge=0.0, description="a shorter mean word length is left out")
    most_word_length: float = Field(10.0, ge=0.0, description="a longer mean word length is left out")
    most_symbols: float = Field(0.1, ge=0.0, description="hash signs, or ellipses, per word")
    most_bullet_lines: float = Field(0.9, ge=0.0, le=1.0, description="share of lines that begin with a bullet")
    most_ellipsis_lines: float = Field(0.3, ge=0.0, le=1.0, description="share of lines that end with an ellipsis")
    least_alphabetic_words: float = Field(0.8, ge=0.0, le=1.0, description="share of words with a letter")
    least_stop_words: int = Field(
        2, ge=0, description="of the, be, to, of, and, that, have, with: so many must occur; 0 for other languages"
    )


class GopherRepetitionConfig(Section):
    """Repetition rules of Gopher (Rae et al. 2021, arXiv 2112.11446, table A1)."""

    most_duplicate_lines: float = Field(0.3, ge=0.0, le=1.0, description="share of lines that repeat another")
    most_duplicate_paragraphs: float = Field(0.3, ge=0.0, le=1.0, description="share of paragraphs that repeat another")
    most_duplicate_line_characters: float = Field(0.2, ge=0.0, le=1.0, description="share of characters in them")
    most_duplicate_paragraph_characters: float = Field(0.2, ge=0.0, le=1.0, description="share of characters in them")
    top_ngrams: tuple[tuple[int, float], ...] = Field(
        ((2, 0.2), (3, 0.18), (4, 0.16)),
        description="for runs of n words: most characters in the most frequent run, as a share",
    )
    duplicate_ngrams: tuple[tuple[int, float], ...] = Field(
        ((5, 0.15), (6, 0.14), (7, 0.13), (8, 0.12), (9, 0.11), (10, 0.10)),
        description="for runs of n words: most characters in runs that occur more than once, as a share",
    )


class C4Config(Section):
    """Rules of C4 (Raffel et al. 2020, arXiv 1910.10683, section 2.2); lines are taken out, or whole documents."""

    terminal_punctuation: bool = Field(True, description="take out lines without a mark that ends a sentence")
    least_line_words: int = Field(3, ge=0, description="take out lines with fewer words")
    longest_word: int = Field(1000, ge=1, description="take out lines with a longer word")
    least_sentences: int = Field(5, ge=0, description="documents with fewer sentences are left out")


class FineWebConfig(Section):
    """Rules of FineWeb (Penedo et al. 2024, arXiv 2406.17557, section 3.5)."""

    least_punctuated_lines: float = Field(0.12, ge=0.0, le=1.0, description="share of lines that end in punctuation")
    short_line: int = Field(30, ge=0, description="characters up to which a line is short")
    most_short_lines: float = Field(0.67, ge=0.0, le=1.0, description="share of lines that are short")
    most_duplicate_line_characters: float = Field(0.1, ge=0.0, le=1.0, description="share of characters in them")
    most_line_breaks: float = Field(0.3, ge=0.0, description="line breaks per word")


class GibberishConfig(Section):
    """Text that is no language: keys, encoded files, dumps. A rule of our own, careful enough to be on by default."""

    most_long_runs: float = Field(
        0.5, ge=0.0, le=1.0, description="share of characters in runs of over 40 letters and digits without a blank"
    )


class QualityConfig(Section):
    """Thresholds of the filters, and of lines that documents share."""

    language: LanguageConfig = LanguageConfig()
    gopher_quality: GopherQualityConfig = GopherQualityConfig()
    gopher_repetition: GopherRepetitionConfig = GopherRepetitionConfig()
    c4: C4Config = C4Config()
    fineweb: FineWebConfig = FineWebConfig()
    gibberish: GibberishConfig = GibberishConfig()
    boilerplate_documents: int = Field(
        0, ge=0, description="a line that stands in so many documents is taken out of all; 0 leaves all lines"
    )
    boilerplate_characters: int = Field(30, ge=1, description="shorter lines are not taken for boilerplate")
