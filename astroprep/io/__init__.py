"""Survey files in and out, one format a file, all through `open_survey`."""

from typing import TYPE_CHECKING

from astroprep.lazy import lazy_room

if TYPE_CHECKING:
    from astroprep.io.astrotable import AstroTable, read_astro_table
    from astroprep.io.astrotable_writer import astro_bytes
    from astroprep.io.avro import AvroDecoder, AvroField, AvroRequest
    from astroprep.io.columns import ColumnNames
    from astroprep.io.csv import LongCsvReader, write_long_csv
    from astroprep.io.door import open_survey, source_sha256, write_survey
    from astroprep.io.files import check_parquet_name, format_of, replaced, write_beside
    from astroprep.io.fits import SpaceFitsReader
    from astroprep.io.hats import HatsReader
    from astroprep.io.hats_catalog import HatsCatalog, hats_catalog
    from astroprep.io.hats_partition import HatsPartition
    from astroprep.io.hats_writer import write_hats
    from astroprep.io.long_table import LongTableReader
    from astroprep.io.long_table_writer import write_long_table
    from astroprep.io.parquet import NestedParquetReader
    from astroprep.io.parquet_writer import survey_writer, write_batch
    from astroprep.io.provenance import make_provenance, read_provenance
    from astroprep.io.schema_reader import SchemaReader, read_head
    from astroprep.io.survey import Survey

__all__ = [
    "AstroTable",
    "AvroDecoder",
    "AvroField",
    "AvroRequest",
    "ColumnNames",
    "HatsCatalog",
    "HatsPartition",
    "HatsReader",
    "LongCsvReader",
    "LongTableReader",
    "NestedParquetReader",
    "SchemaReader",
    "SpaceFitsReader",
    "Survey",
    "astro_bytes",
    "check_parquet_name",
    "format_of",
    "hats_catalog",
    "make_provenance",
    "open_survey",
    "read_astro_table",
    "read_head",
    "read_provenance",
    "replaced",
    "source_sha256",
    "survey_writer",
    "write_batch",
    "write_beside",
    "write_hats",
    "write_long_csv",
    "write_long_table",
    "write_survey",
]

lazy_room(__name__)
