import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from operators.base import DataError
from pipeline.readers.base import ReadOptions
from pipeline.readers.files import digest, list_files
from pipeline.readers.formats import infer_format
from pipeline.readers.pieces import plan_pieces, read

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", skip_instance_cache=False)
    system.mkdir("corpus")
    yield "corpus"
    server.stop()
    type(system).clear_instance_cache()


def test_an_object_store_gives_the_files_and_rows_of_a_local_disk(bucket: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "web").mkdir(parents=True)
    (data / "web/a.jsonl").write_bytes(b"".join(orjson.dumps({"text": f"line {n}"}) + b"\n" for n in range(500)))
    pq.write_table(pa.table({"text": [f"row {n}" for n in range(100)]}), data / "b.parquet", row_group_size=10)
    with zipfile.ZipFile(data / "c.zip", "w") as archive:
        archive.writestr("in/x.txt", "from the archive")
    system = fsspec.filesystem("s3")
    system.put(str(data), f"{bucket}/data", recursive=True)

    patterns = ("{}/data/**/*.jsonl", "{}/data/*.parquet", "zip://**/*.txt::{}/data/c.zip")
    local = list_files(tuple(pattern.format(tmp_path) for pattern in patterns))
    remote = list_files(tuple(pattern.format(f"s3://{bucket}") for pattern in patterns))
    assert [(file.path, file.size) for file in remote] == [(file.path, file.size) for file in local]
    assert [file.path for file in remote] == ["b.parquet", "c.zip/in/x.txt", "web/a.jsonl"]
    for here, there in zip(local, remote, strict=True):
        assert digest(here) == digest(there)
        layouts = [plan_pieces(file, infer_format(file), 0.001) for file in (here, there)]
        assert [(p.start, p.stop) for p in layouts[0].pieces] == [(p.start, p.stop) for p in layouts[1].pieces]
        texts = [
            [text for piece in layout.pieces for batch in read(piece, ReadOptions()) for text in batch.table["text"]]
            for layout in layouts
        ]
        assert texts[0] == texts[1]
        assert texts[0]
    with pytest.raises(DataError, match=r"corpus/none/\*\.txt"):
        list_files((f"s3://{bucket}/none/*.txt",))
