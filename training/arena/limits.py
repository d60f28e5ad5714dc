"""What an entry may use. A track sets them; each phase has its own wall clock."""

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All of one trial.

    round_seconds: the longest silence in a round of prediction. artifact_bytes: code and artifact together, as stored.
    disk_bytes: what a phase may write in all; file_bytes: in one file. output_bytes: what it may print in a phase.
    cpu_seconds: of all processes of a phase together. threads: what numerical libraries are told to use, at most.
    lanes: documents that are predicted side by side, at most. replay_rounds: rounds that are predicted twice.
    """

    train_seconds: float = 600.0
    predict_seconds: float = 600.0
    round_seconds: float = 30.0
    memory_bytes: int = 4096 * MIB
    processes: int = 64
    open_files: int = 256
    disk_bytes: int = 1024 * MIB
    file_bytes: int = 512 * MIB
    output_bytes: int = MIB
    artifact_bytes: int = 16_000_000
    artifact_files: int = 256
    cpu_seconds: float = 36_000.0
    threads: int = 8
    lanes: int = 256
    replay_rounds: int = 32
