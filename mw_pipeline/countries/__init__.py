"""What the house knows of countries: their codes, and for each how people there write an address."""

from __future__ import annotations

from mw_pipeline.countries.codes import COUNTRY_CODES, TERRITORIES, country_problem
from mw_pipeline.countries.country import KNOWN_COUNTRIES, WORD_PLACES, country, writer_of

__all__ = ["COUNTRY_CODES", "KNOWN_COUNTRIES", "TERRITORIES", "WORD_PLACES", "country", "country_problem", "writer_of"]
