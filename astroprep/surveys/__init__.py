"""What is known of each survey: its columns, units, times, bands and flags, in one place."""

from astroprep.surveys.apply import apply_schema
from astroprep.surveys.bits import SURVEY_BITS
from astroprep.surveys.flags import describe_flags, pack_flags, survey_bits
from astroprep.surveys.load import load_schema, schema_from_toml, schema_names
from astroprep.surveys.schema import Schema
from astroprep.surveys.validate import SchemaReport

__all__ = [
    "SURVEY_BITS",
    "Schema",
    "SchemaReport",
    "apply_schema",
    "describe_flags",
    "load_schema",
    "pack_flags",
    "schema_from_toml",
    "schema_names",
    "survey_bits",
]
