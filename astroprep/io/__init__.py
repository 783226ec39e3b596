"""Survey files in and out, one format a file, all through `open_survey`."""

from astroprep.io.columns import ColumnNames
from astroprep.io.csv import LongCsvReader, write_long_csv
from astroprep.io.door import Survey, open_survey, source_sha256, write_survey
from astroprep.io.files import replaced
from astroprep.io.fits import SpaceFitsReader
from astroprep.io.parquet import NestedParquetReader
from astroprep.io.parquet_writer import survey_writer, write_batch
from astroprep.io.schema_reader import SchemaReader, read_head

__all__ = [
    "ColumnNames",
    "LongCsvReader",
    "NestedParquetReader",
    "SchemaReader",
    "SpaceFitsReader",
    "Survey",
    "open_survey",
    "read_head",
    "replaced",
    "source_sha256",
    "survey_writer",
    "write_batch",
    "write_long_csv",
    "write_survey",
]
