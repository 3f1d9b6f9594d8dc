"""Files of known hosts are read as ssh reads them, and judged more strictly."""

from __future__ import annotations

import base64
import shutil
import subprocess

import pytest
from hsm_ssh.errors import RefusedError
from hsm_ssh.known_hosts import fingerprint, known_keys, preferred_kinds, verify
from hsm_ssh.target import Target
from hypothesis import given
from hypothesis import strategies as st

KEY = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + b"k" * 36).decode()
TARGET = Target("box", "box.lab", 22, "me")


def blobs(text, name):
    """The keys that a text has for a machine."""
    return [key.blob for key in known_keys(text, name) if not key.marker]


@pytest.mark.parametrize(
    ("patterns", "name", "known"),
    [
        ("box.lab", "box.lab", True),
        ("box.lab", "box.la", False),
        ("BOX.lab", "box.LAB", True),
        ("a,box.lab,b", "box.lab", True),
        ("*.lab", "box.lab", True),
        ("*.lab,!box.lab", "box.lab", False),
        ("!box.lab,*.lab", "box.lab", False),
        ("b?x.lab", "box.lab", True),
        ("[box.lab]:2222", "[box.lab]:2222", True),
        ("box.lab", "[box.lab]:2222", False),
        ("[box.lab]:2222", "box.lab", False),
        ("[box.lab]:*", "[box.lab]:2222", True),
    ],
)
def test_patterns(patterns, name, known):
    """Names, wildcards, exclusions and ports mean what they mean to ssh."""
    assert bool(blobs(f"{patterns} ssh-ed25519 {KEY} a comment\n", name)) is known


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="NOT TESTED AGAINST ssh-keygen: it is not installed")
@pytest.mark.parametrize("name", ["box.lab", "[box.lab]:2222", "[::1]:22022"])
def test_hashes_of_ssh_keygen(name, tmp_path):
    """What ssh-keygen has hashed is found under its name, and under no other."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    public = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    file = tmp_path / "known_hosts"
    file.write_text(f"{name} {public}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
    assert file.read_text().startswith("|1|")
    assert len(blobs(file.read_text(), name)) == 1
    assert blobs(file.read_text(), name + "x") == []


@given(text=st.text(), name=st.sampled_from(["box.lab", "[::1]:22", "|1|a|b"]))
def test_any_text(text, name):
    """Whatever a file holds, what makes no sense is passed over."""
    list(known_keys(text, name))
    list(known_keys(f"|1|{text} ssh-rsa {KEY}\n{text} x {text}\n@revoked {text}\n", name))


def test_a_known_key_is_taken():
    """And the kinds that are known are asked for first."""
    known = list(known_keys(f"box.lab ssh-ed25519 {KEY}\n", "box.lab"))
    verify(TARGET, "ssh-ed25519", base64.b64decode(KEY), known)
    assert preferred_kinds(known) == ("ssh-ed25519",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "its host key is not known here: ssh-ed25519 SHA256:"),
        (f"box.lab ssh-rsa {KEY[:-4]}AAAA\n", "known are keys of other kinds: ssh-rsa"),
        (f"box.lab ssh-ed25519 {KEY[:-4]}AAAA\n", "ITS HOST KEY HAS CHANGED: :1 knows SHA256:"),
        (f"@cert-authority *.lab ssh-ed25519 {KEY}\n", "certificates of hosts are not understood"),
        (f"box.lab ssh-ed25519 {KEY}\n@revoked * ssh-ed25519 {KEY}\n", "was revoked"),
        (f"@revoked box.lab ssh-ed25519 {KEY}\n", "was revoked"),
    ],
)
def test_everything_else_is_refused(text, words):
    """With what is known, and what to do."""
    with pytest.raises(RefusedError) as caught:
        verify(TARGET, "ssh-ed25519", base64.b64decode(KEY), known_keys(text, "box.lab"))
    assert words in caught.value.message
    assert caught.value.hint


def test_fingerprint():
    """As ssh-keygen shows it: no padding."""
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"
