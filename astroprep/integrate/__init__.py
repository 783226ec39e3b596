"""Make one survey of several: say what columns mean, find what is there twice, and say so."""

from astroprep.integrate.redundancy import twins
from astroprep.integrate.schema import (
    SchemaDraft,
    describe_schema,
    guess_schema,
    rank_schemas,
)
from astroprep.surveys import Schema, SchemaReport, load_schema, schema_names

__all__ = [
    "Schema",
    "SchemaDraft",
    "SchemaReport",
    "describe_schema",
    "guess_schema",
    "load_schema",
    "rank_schemas",
    "schema_names",
    "twins",
]
