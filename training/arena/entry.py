"""Entries: one script from outside, the hash that its author gave, and the environment it asks for."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from errors import Refusal, shown

NAMESPACE = uuid.UUID("6f1d6c1e-8f0b-5a52-9a3c-6f2f0d1f5c11")
"""Drawn once; entry identities are UUIDv5 in it."""

LARGEST = 1024 * 1024
"""Bytes of a script; the artifact kind `entry` has the same limit."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HASH = re.compile(r"[0-9a-f]{64}")
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
VARIABLES = 64
VALUE = 1024

OURS = frozenset({"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "SHELL", "USER", "IFS", "GCONV_PATH", "NLSPATH"})
OUR_PREFIXES = (
    *("LD_", "LC_", "DYLD_", "GLIBC_", "MALLOC_", "PYTHON", "IGLA_", "SSL_", "XDG_", "LOCPATH", "OPENSSL_"),
    *("TORCH", "PYTORCH_", "TRITON_", "CUDA_", "NVIDIA_", "NCCL_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
)
"""Variables that decide how the interpreter and its libraries run are set by the arena alone."""


class BadScript(Refusal):
    """Send the script as UTF-8 with LF line ends, no byte order mark, exactly one newline at the end, at most 1 MiB."""

    code = "bad_script"
    status = 422


class WrongHash(Refusal):
    """Send the SHA-256 of exactly the bytes of the script, as 64 lower-case hexadecimal digits."""

    code = "wrong_hash"
    status = 422


class BadEnvironment(Refusal):
    """Name variables in capitals, digits and underscores, none that the arena sets itself, with values of one line."""

    code = "bad_environment"
    status = 422


class BadName(Refusal):
    """Name the entry with 1 to 64 letters, digits, dots, underscores and hyphens, beginning with a letter or digit."""

    code = "bad_name"
    status = 422


@dataclass(frozen=True, kw_only=True)
class Entry:
    """sha256: what the author says the script's hash is; golden_state: the hash of its tensors, see `golden`."""

    name: str
    script: bytes
    sha256: str
    env: Mapping[str, str] = field(default_factory=dict)
    golden_state: str | None = None


def check(entry: Entry) -> None:
    """Refuse an entry that could be read in two ways. Raises BadName, BadScript, WrongHash, BadEnvironment."""
    if not NAME.fullmatch(entry.name):
        raise BadName(f"{shown(entry.name)} is no name.")
    check_script(entry.script)
    if not HASH.fullmatch(entry.sha256) or digest(entry.script) != entry.sha256:
        raise WrongHash(f"The script's SHA-256 is {digest(entry.script)}.")
    if entry.golden_state is not None and not HASH.fullmatch(entry.golden_state):
        raise WrongHash("The golden state is no SHA-256.")
    check_env(entry.env)


def check_script(script: bytes) -> None:
    """Refuse (BadScript) a script that is not in the one normal form."""
    if len(script) > LARGEST:
        raise BadScript(f"It has {len(script)} bytes.")
    if script.startswith(b"\xef\xbb\xbf"):
        raise BadScript("It begins with a byte order mark.")
    if b"\r" in script or b"\0" in script:
        raise BadScript("It has a carriage return or a zero byte.")
    if not script.endswith(b"\n") or script.endswith(b"\n\n") or script == b"\n":
        raise BadScript("It does not end with exactly one newline.")
    try:
        script.decode()
    except UnicodeDecodeError as error:
        raise BadScript(f"Byte {error.start} is not UTF-8.") from None


def check_env(env: Mapping[str, str]) -> None:
    """Refuse (BadEnvironment) variables that are ours, misspelt, too many or too long."""
    if len(env) > VARIABLES:
        raise BadEnvironment(f"{len(env)} variables are more than {VARIABLES}.")
    for name, value in env.items():
        if not VARIABLE.fullmatch(name) or name in OURS or name.startswith(OUR_PREFIXES):
            raise BadEnvironment(f"{shown(name)} is not allowed.")
        if len(value.encode("utf-8", "surrogatepass")) > VALUE or not value.isprintable():
            raise BadEnvironment(f"The value of {name} is no printable line of at most {VALUE} bytes.")


def entry_id(entry: Entry) -> str:
    """UUIDv5 of name, hash and canonical environment: the same entry has the same identity everywhere."""
    env = json.dumps(dict(entry.env), sort_keys=True, separators=(",", ":"))
    return str(uuid.uuid5(NAMESPACE, json.dumps([entry.name, entry.sha256, env], separators=(",", ":"))))


def digest(script: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(script).hexdigest()
