"""Artifact places: a folder by its path, or a bucket by its address."""

from pathlib import Path

from training.artifacts import ArtifactFolder, Artifacts


def open_artifacts(place: str) -> Artifacts:
    """The artifacts at a path or at an address such as `s3://bucket/prefix`."""
    if "://" not in place:
        return ArtifactFolder(Path(place))
    from training.artifact_bucket import ArtifactBucket  # fsspec comes in only where a bucket is used

    return ArtifactBucket(place)
