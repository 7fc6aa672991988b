"""Format texts by datatrove's PII formatter; run by `mask_pii.py` in datatrove's locked environment.

Arguments: a Parquet file with a column `text`, and the file to write the new texts to. Prints its CPU seconds. Every
replacement is one placeholder by kind, so that places can be compared and not whose turn it was.
"""

# mypy: disable-error-code="import-not-found, import-untyped, no-untyped-call"

from __future__ import annotations

import sys
import time

import pyarrow as pa
import pyarrow.parquet as pq
from datatrove.pipeline.formatters import PIIFormatter

if __name__ == "__main__":
    texts = pq.read_table(sys.argv[1], columns=["text"])["text"].to_pylist()
    formatter = PIIFormatter(email_replacement="<EMAIL>", ip_replacement="<IP>")
    begin = time.process_time()
    new = [formatter.format(text) for text in texts]
    print(time.process_time() - begin)
    pq.write_table(pa.table({"text": pa.array(new, pa.large_string())}), sys.argv[2])
