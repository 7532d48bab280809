"""The artifact store on S3, against moto's server."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator
from datetime import timedelta

import pytest
from PIL import Image

from gems.errors import ArtifactError
from gems.memory.artifacts import ArtifactStore

pytestmark = [
    pytest.mark.integration,
    # moto's server thread and aiobotocore's session outlive the test by design; and botocore
    # still asks for the time without a zone.
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    try:
        boto3.client("s3").create_bucket(Bucket="pictures")
        yield "pictures"
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
        patch.undo()
        server.stop()


def png(color: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 48), (color, 1, 2)).save(buffer, format="PNG")
    return buffer.getvalue()


async def test_images_live_in_a_bucket(bucket: str) -> None:
    store = ArtifactStore(f"s3://{bucket}/gems")
    refs = await asyncio.gather(*(store.put(png(color)) for color in (1, 2, 3, 1)))
    assert refs[0] == refs[3]
    assert refs[0]["uri"] == (f"s3://{bucket}/gems/{refs[0]['sha256'][:2]}/{refs[0]['sha256']}.png")
    assert await store.load(refs[1]) == png(2)
    assert store.path(refs[0]) is None
    assert Image.open(io.BytesIO(await store.thumbnail(refs[0], max_side=32))).size == (32, 24)
    # Another instance, as another process would have, sees the same at once.
    assert {info.sha256 for info in await ArtifactStore(f"s3://{bucket}/gems").list()} == {
        ref["sha256"] for ref in refs
    }
    assert await store.gc({refs[0]["sha256"]}, dry_run=False) == []
    gone = await store.gc({refs[0]["sha256"]}, dry_run=False, grace=timedelta(0))
    assert {info.sha256 for info in gone} == {refs[1]["sha256"], refs[2]["sha256"]}
    assert [info.sha256 for info in await store.list()] == [refs[0]["sha256"]]
    assert await store.delete(refs[0]["sha256"]) is True
    with pytest.raises(ArtifactError, match="is not in"):
        await store.load(refs[0])


async def test_a_damaged_object_is_noticed_and_healed(bucket: str) -> None:
    import boto3

    store = ArtifactStore(f"s3://{bucket}/damage")
    ref = await store.put(png(9))
    key = ref["uri"].partition(f"{bucket}/")[2]
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=png(9)[:-4])
    with pytest.raises(ArtifactError, match="is damaged"):
        await store.load(ref)
    await store.put(png(9))
    assert await store.load(ref) == png(9)


async def test_a_missing_bucket_is_an_artifact_error_without_secrets(bucket: str) -> None:
    assert bucket
    store = ArtifactStore("s3://no-such-bucket/x")
    with pytest.raises(ArtifactError, match=r"s3://no-such-bucket/x") as caught:
        await store.put(png(1))
    assert "hunter2" not in str(caught.value)


def test_one_store_serves_several_event_loops(bucket: str) -> None:
    store = ArtifactStore(f"s3://{bucket}/loops")
    ref = asyncio.run(store.put(png(4)))
    assert asyncio.run(store.load(ref)) == png(4)
