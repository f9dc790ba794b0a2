#!/usr/bin/env python3
"""Detached signatures against OpenSSF model signing's own tool: each side accepts what the other made, and nothing that was changed.

usage: tests/model_signing_test.py PANNIER DATA WORK

model-signing comes from PyPI, once, into build/deps; it runs without a network where the system lets it (unshare). Changed signatures
are judged by both sides, and have to be judged alike but for what STRICTER and LOOSER name. Envelopes are also checked by openssl,
securesystemslib and in-toto-attestation, which share no code with pannier but OpenSSL's.

Exit status: 0 all passed; 1 something failed; 4 model-signing is not to be had, nothing was tested.
"""

import base64
import concurrent.futures
import copy
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import own_python

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL_SIGNING = "model-signing==1.1.1"
REQUIREMENTS = [MODEL_SIGNING, "pyopenssl"]  # which model-signing imports and does not ask for
PAYLOAD_TYPE = "application/vnd.in-toto+json"

# Judges signatures: KEY (BUNDLE SIGNATURE)... -> a line for each
JUDGE = """
import sys
from model_signing import verifying
key, *pairs = sys.argv[1:]
for bundle, signature in zip(pairs[::2], pairs[1::2]):
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=key).verify(bundle, signature)
        print("verdict: accepted")
    except Exception as error:
        print("verdict: refused:", type(error).__name__, " ".join(str(error).split())[:160])
"""
# Signs in ways that the command line has no options for: KEY BUNDLE SIGNATURE METHOD HASH
SIGNER = """
import sys
from model_signing import hashing, signing
key, bundle, signature, method, hash = sys.argv[1:]
config = hashing.Config()
use = config.use_shard_serialization if method == "shards" else config.use_file_serialization
signing.Config().use_elliptic_key_signer(private_key=key).set_hashing_config(use(hashing_algorithm=hash)).sign(bundle, signature)
"""
# An envelope with signatures of an embedded kind: ENVELOPE (KEY KEY_ID)...
ENVELOPE_JUDGE = """
import json, sys
from google.protobuf import json_format
from in_toto_attestation.v1 import statement, statement_pb2
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey
path, *pairs = sys.argv[1:]
envelope = Envelope.from_dict(json.load(open(path)))
keys = []
for key, key_id in zip(pairs[::2], pairs[1::2]):
    pem = open(key).read()
    kind = ("ed25519", "ed25519") if "ed25519" in key else ("ecdsa", "ecdsa-sha2-nistp256")
    if kind[0] == "ed25519":
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        pem = load_pem_public_key(pem.encode()).public_bytes_raw().hex()
    keys.append(SSlibKey(key_id, *kind, {"public": pem}))
accepted = envelope.verify(keys, len(keys))
assert envelope.payload_type == "application/vnd.in-toto+json"
message = json_format.Parse(envelope.payload, statement_pb2.Statement())
statement.Statement.copy_from_pb(message).validate()
print(len(accepted), "signatures;", message.predicate_type, *(subject.name for subject in message.subject))
"""

# What model-signing accepts and pannier does not: texts that readers may take for different things, and what nobody writes.
STRICTER = {"a member twice", "two signatures", "5 MiB", "digest in capitals"}
# What pannier accepts and model-signing does not: the specification has it so.
LOOSER = {"named like the file", "an unknown member"}

pannier, data, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3])
failures = 0
passed = 0


def check(name, is_right, text=""):
    global failures, passed
    passed += bool(is_right)
    failures += not is_right
    print("ok     " if is_right else "FAILED ", name, "" if is_right else f"\n        {text}")


def run(*command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, timeout=600, **options)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace").strip()


def must(*command, **options):
    status, text = run(*command, **options)
    assert status == 0, (command, text)
    return text


def output(*command):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE).stdout


def encoded(data):
    return base64.b64encode(data).decode()


def signed_bytes(payload):
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


class Bench:
    """keys, bundles, and both tools"""

    def __init__(self, python):
        self.python = python
        self.tool = python.parent / "model_signing"
        self.alone = next((words for words in (["unshare", "-n"], ["unshare", "-rn"]) if run(*words, "true")[0] == 0), [])
        for name, curve in (("key", "prime256v1"), ("other", "prime256v1"), ("p384", "secp384r1"), ("p521", "secp521r1")):
            must("openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", work / f"{name}.pem")
        must("openssl", "genpkey", "-algorithm", "ed25519", "-out", work / "ed25519.pem")
        for name in ("key", "other", "p384", "p521", "ed25519"):
            must("openssl", "pkey", "-in", work / f"{name}.pem", "-pubout", "-out", work / f"{name}.pub")
        self.key, self.public = work / "key.pem", work / "key.pub"

    def embed(self, host, target):
        must(pannier, "embed", data / host, "--graph", data / "graph.json", "--params", data / "params.bin", "-o", target, "-q")
        return target

    def model_sign(self, bundle, signature, key="key", method="key", *options):
        return run(*self.alone, self.tool, "sign", method, "--private_key", work / f"{key}.pem", "--signature", signature, *options, bundle)

    def model_verify(self, bundle, signature, key="key"):
        return run(*self.alone, self.tool, "verify", "key", "--public_key", work / f"{key}.pub", "--signature", signature, bundle)

    def sign(self, bundle, *options, key="key"):
        return run(pannier, "sign", bundle, "--detached", "--key", work / f"{key}.pem", *options)

    def verify(self, bundle, signature, key="key", *options):
        return run(pannier, "verify", bundle, "--signature", signature, "--key", work / f"{key}.pub", *options)

    def judge(self, pairs):
        words = [str(word) for pair in pairs for word in pair]
        lines = must(*self.alone, self.python, "-c", JUDGE, self.public, *words).splitlines()
        return [line.removeprefix("verdict: ") for line in lines if line.startswith("verdict: ")]

    def envelope(self, payload):
        (work / "message").write_bytes(signed_bytes(payload))
        signature = output("openssl", "dgst", "-sha256", "-sign", self.key, work / "message")
        return {"payload": encoded(payload), "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": encoded(signature), "keyid": ""}]}

    def openssl_agrees(self, envelope, public):
        """every signature of it"""
        (work / "message").write_bytes(signed_bytes(base64.b64decode(envelope["payload"])))
        for signature in envelope["signatures"]:
            (work / "signature").write_bytes(base64.b64decode(signature["sig"]))
            if run("openssl", "dgst", "-sha256", "-verify", public, "-signature", work / "signature", work / "message")[1] != "Verified OK":
                return False
        return bool(envelope["signatures"])


def both_directions(bench, bundle, places):
    name = bundle.name
    before = bundle.read_bytes()
    status, text = bench.sign(bundle)
    signature = pathlib.Path(f"{bundle}.sig")
    check(f"{name}: signed by pannier", status == 0, text)
    check(f"{name}: the bundle stays as it is", bundle.read_bytes() == before)
    status, text = bench.model_verify(bundle, signature)
    check(f"{name}: model_signing verifies it", (status, text) == (0, "Verification succeeded"), text)
    check(f"{name}: so does its library, which guesses how", bench.judge([(bundle, signature)]) == ["accepted"])
    status, text = bench.verify(bundle, signature)
    check(f"{name}: so does pannier", status == 0 and f"signature {signature} by key" in text, text)
    check(f"{name}: so does openssl", bench.openssl_agrees(json.loads(signature.read_text())["dsseEnvelope"], bench.public))

    theirs = work / f"{name}.theirs.sig"
    status, text = bench.model_sign(bundle, theirs)
    check(f"{name}: signed by model_signing", status == 0, text)
    status, text = bench.verify(bundle, theirs)
    check(f"{name}: pannier verifies it", status == 0, text)
    check(f"{name}: openssl, too", bench.openssl_agrees(json.loads(theirs.read_text())["dsseEnvelope"], bench.public))
    mine, other = (json.loads(path.read_text()) for path in (signature, theirs))
    check(f"{name}: the same key hint", mine["verificationMaterial"] == other["verificationMaterial"])
    statements = [json.loads(base64.b64decode(one["dsseEnvelope"]["payload"])) for one in (mine, other)]
    statements[1]["predicate"]["serialization"].pop("ignore_paths")  # a file has none, and their order is by chance
    check(f"{name}: the same statement", statements[0] == statements[1], statements)

    renamed = work / f"renamed-{name}"
    shutil.copy(bundle, renamed)
    for path, by in ((signature, "pannier"), (theirs, "model_signing")):
        status, text = bench.verify(renamed, path)
        check(f"{name}: renamed, signed by {by}: pannier", status == 0, text)
        check(f"{name}: renamed, signed by {by}: model_signing", bench.model_verify(renamed, path)[0] == 0)
    renamed.unlink()

    changed = work / f"changed-{name}"
    for at in (0, len(before) // 3, len(before) - 1)[:places]:
        changed.write_bytes(before[:at] + bytes([before[at] ^ 1]) + before[at + 1:])
        for path in (signature, theirs):
            status, text = bench.verify(changed, path)
            check(f"{name}: byte {at} changed: pannier fails", status in (1, 2) and "pannier: " in text, (status, text))
            check(f"{name}: byte {at} changed: model_signing fails", bench.model_verify(changed, path)[0] == 1)
    changed.unlink()
    for key in ("other", "p384", "ed25519"):
        status, text = bench.verify(bundle, theirs, key)
        check(f"{name}: key {key}: pannier fails", status == (1 if key == "other" else 2), (status, text))
        check(f"{name}: key {key}: model_signing fails", bench.model_verify(bundle, theirs, key)[0] == 1)


def usage(bench, bundle):
    signature = pathlib.Path(f"{bundle}.sig")
    signature.unlink(missing_ok=True)
    status, text = bench.sign(bundle, key="ed25519")
    check("an Ed25519 key is refused", status == 2 and "model signing has no Ed25519" in text and not signature.exists(), text)
    check("model_signing refuses it, too", bench.model_sign(bundle, signature, "ed25519")[0] == 1 and not signature.exists())
    for key in ("p384", "p521"):
        check(f"a {key} key is refused", bench.sign(bundle, key=key)[0] == 2 and not signature.exists())
        assert bench.model_sign(bundle, work / f"{key}.sig", key)[0] == 0
        status, text = bench.verify(bundle, work / f"{key}.sig", key)
        check(f"signed by a {key} key: refused", status == 2 and "expected Ed25519 or ECDSA P-256" in text, text)
        status, text = bench.verify(bundle, work / f"{key}.sig")
        check(f"signed by a {key} key, a P-256 key given", status == 1 and "expected one by a given key" in text, text)
    for options, expected in (
        (["--remove"], "excludes"),
        (["--arch", "arm64"], "excludes"),
        (["-o", bundle], "found the bundle"),
        (["-o", work / "." / bundle.name], "found the bundle"),
        (["-o", work / "nowhere" / "x.sig"], "no such file or directory"),
    ):
        before = bundle.read_bytes()
        status, text = bench.sign(bundle, *options)
        check(f"sign --detached {options[0]}: refused", status == 2 and expected in text and bundle.read_bytes() == before, text)
    status, text = run(pannier, "verify", bundle, "--signature", work / "key.sig")
    check("verify --signature without --key: refused", status == 2 and "requires --key" in text, text)
    status, text = bench.verify(bundle, work / "none.sig")
    check("verify: no such signature", status == 2 and "no such file or directory" in text, text)
    status, text = bench.sign(data / "graph.json", "-o", work / "x.sig")
    check("what is no library: refused", status == 2 and "expected a shared library" in text and not (work / "x.sig").exists(), text)
    status, text = bench.sign(data / "linux-x86_64" / "lib.so", "-o", work / "x.sig")
    check("a library without a payload: refused", status == 2 and "not a bundle" in text and not (work / "x.sig").exists(), text)
    damaged = work / "damaged.so"
    damaged.write_bytes(bundle.read_bytes()[:-1] + b"x")
    status, text = bench.sign(damaged, "-o", work / "x.sig")
    check("a damaged bundle: refused", status == 2 and not (work / "x.sig").exists(), text)

    (work / "out.sig").write_bytes(output(pannier, "sign", bundle, "--detached", "--key", bench.key, "-o", "-"))
    check("-o -: the signature alone", bench.verify(bundle, work / "out.sig")[0] == 0 and not signature.exists())
    status, text = run(pannier, "verify", bundle, "--signature", "-", "--key", bench.public, input=(work / "out.sig").read_bytes())
    check("--signature -: from stdin", status == 0, text)
    report = json.loads(bench.sign(bundle, "--json")[1])
    check("sign --json", report == {"bundle": str(bundle), "signature": str(signature), "done": "signed"}, report)
    report = json.loads(bench.verify(bundle, signature, "key", "--json")[1])
    key_id = hashlib.sha256(output("openssl", "pkey", "-pubin", "-in", bench.public, "-outform", "DER")).hexdigest()
    expected = {"file": str(signature), "state": "right", "key": key_id}
    check("verify --json", report["passed"] and report["detached_signature"] == expected, report)

    # Both kinds of signatures at once: a detached one counts for its key, and the others have to be in the bundle.
    both = work / "both.so"
    must(pannier, "sign", bundle, "--key", work / "ed25519.pem", "-o", both, "-q")
    bench.sign(both)
    sig = f"{both}.sig"
    keys = ["--key", work / "ed25519.pub"]
    check("embedded and detached: both keys", bench.verify(both, sig, "key", *keys)[0] == 0)
    check("embedded and detached: the detached one's key", bench.verify(both, sig)[0] == 0)
    check("embedded and detached: another key, too", bench.verify(both, sig, "key", *keys, "--key", work / "other.pub")[0] == 1)
    check("embedded and detached: any of them", bench.verify(both, sig, "key", "--any-of", "--key", work / "other.pub")[0] == 0)
    check("embedded and detached: model_signing", bench.model_verify(both, sig)[0] == 0)
    must(pannier, "sign", both, "--remove", "-q")
    status, text = bench.verify(both, sig)
    check("the embedded one removed: the detached one is wrong", status == 1 and "found SHA-256" in text, text)
    check("the embedded one removed: any of the keys does not help", bench.verify(both, sig, "key", "--any-of", *keys)[0] == 1)

    for form in (["-conv_form", "compressed"], ["-param_enc", "explicit"]):
        must("openssl", "ec", "-in", bench.key, "-pubout", *form, "-out", work / "form.pub")
        must("openssl", "ec", "-in", bench.key, *form, "-out", work / "form.pem")
        check(f"the public key, {form[1]}: verifies", bench.verify(bundle, signature, "form")[0] == 0)
        check(f"the private key, {form[1]}: signs", bench.sign(bundle, "-o", work / "form.sig", key="form")[0] == 0)
        check(f"the private key, {form[1]}: model_signing verifies", bench.model_verify(bundle, work / "form.sig")[0] == 0)


def other_forms(bench, bundle):
    """what model-signing can make and pannier refuses"""
    for method, digest in (("shards", "sha256"), ("files", "blake2"), ("files", "blake3")):
        must(*bench.alone, bench.python, "-c", SIGNER, bench.key, bundle, work / "form.sig", method, digest)
        status, text = bench.verify(bundle, work / "form.sig")
        check(f"{method} with {digest}: refused", status == 2 and "predicate.serialization" in text, text)
    for count, expected in ((1, 0), (2, 2)):
        folder = work / f"folder{count}"
        folder.mkdir()
        for name in [bundle.name, "another.so"][:count]:
            shutil.copy(bundle, folder / name)
        assert bench.model_sign(folder, work / "folder.sig")[0] == 0
        status, text = bench.verify(folder / bundle.name, work / "folder.sig")
        check(f"a folder of {count}", status == expected and (count == 1 or "resources: found 2, expected one" in text), text)
    must("openssl", "req", "-x509", "-new", "-key", work / "other.pem", "-subj", "/CN=root", "-days", "2", "-out", work / "root.crt",
         "-addext", "keyUsage=critical,keyCertSign")
    must("openssl", "req", "-new", "-key", bench.key, "-subj", "/CN=signer", "-out", work / "signer.csr")
    (work / "extensions").write_text("keyUsage=critical,digitalSignature\nextendedKeyUsage=codeSigning\n")
    must("openssl", "x509", "-req", "-in", work / "signer.csr", "-CA", work / "root.crt", "-CAkey", work / "other.pem", "-days", "2",
         "-extfile", work / "extensions", "-out", work / "signer.crt")
    status, text = bench.model_sign(bundle, work / "certificate.sig", "key", "certificate", "--signing_certificate", work / "signer.crt",
                                    "--certificate_chain", work / "root.crt")
    assert status == 0, text
    status, text = bench.verify(bundle, work / "certificate.sig")
    check("signed with a certificate: refused", status == 2 and "found a certificate, expected a public key" in text, text)


def changed_since(bench):
    """signed by pannier, then by the system's signer or stripped: model_signing signs what became of it"""
    signed = bench.embed("windows-x86_64/lib.dll", work / "signed.dll")
    must(pannier, "sign", signed, "--key", bench.key, "-q")
    must("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", work / "rsa.pem", "-out", work / "rsa.crt", "-days", "2",
         "-subj", "/CN=test", "-addext", "extendedKeyUsage=codeSigning")
    authenticode = work / "authenticode.dll"
    must("osslsigncode", "sign", "-certs", work / "rsa.crt", "-key", work / "rsa.pem", "-in", signed, "-out", authenticode)
    stripped = bench.embed("linux-x86_64/lib.so", work / "stripped.so")
    must(pannier, "sign", stripped, "--key", bench.key, "-q")
    must("strip", stripped)
    for bundle in (authenticode, stripped):
        signature = pathlib.Path(f"{bundle}.sig")
        status, text = bench.sign(bundle)
        check(f"{bundle.stem}: pannier signs only what is whole", status == 2 and not signature.exists(), text)
        assert bench.model_sign(bundle, signature)[0] == 0
        status, text = bench.verify(bundle, signature, "key", "--image")
        check(f"{bundle.stem}: the image and both signatures", status == 0 and text.count(": right") == 2, text)
        check(f"{bundle.stem}: the file", bench.verify(bundle, signature)[0] == 1)
        bundle.write_bytes(bundle.read_bytes() + b"x")
        check(f"{bundle.stem}: a byte more", bench.verify(bundle, signature, "key", "--image")[0] == 1)


def changed(value, *path, to=None, remove=False):
    """a copy with one member changed or removed"""
    value = copy.deepcopy(value)
    at = value
    for step in path[:-1]:
        at = at[step]
    if remove:
        del at[path[-1]]
    else:
        at[path[-1]] = to
    return value


def changed_files(original, foreign):
    """name, status, text of the message, the file"""
    material, envelope = ("verificationMaterial",), ("dsseEnvelope",)
    hint, sig = (*material, "publicKey", "hint"), (*envelope, "signatures", 0, "sig")
    other = foreign["dsseEnvelope"]
    text = json.dumps(original)
    yield "as it is", 0, "", text
    yield "spaces", 0, "", "\n" + json.dumps(original, indent=4) + "\n"
    yield "an empty file", 2, "expected JSON", ""
    yield "binary", 2, "expected JSON", "\x7fELF\0"
    yield "two of them", 2, "expected JSON", text + text
    yield "deep arrays", 2, "deeper than 32", "[" * 100_000
    yield "deep objects", 2, "deeper than 32", '{"a":' * 100_000
    yield "a member twice", 2, '"mediaType" twice', text[:-1] + ', "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}'
    yield "5 MiB", 2, "expected a small file", text + " " * (5 << 20)
    yield "not UTF-8", 2, "expected JSON", text.replace("hint", "h\udcffnt")
    yield "a huge number", 2, "", changed(original, "mediaType", to=10**400)
    for value in (None, True, 7, "text", [], [original]):
        yield f"{json.dumps(value)[:8]} instead of all", 2, "", value
    for path in (("mediaType",), material, (*material, "publicKey"), hint, envelope, (*envelope, "payload"), (*envelope, "payloadType"),
                 (*envelope, "signatures"), (*envelope, "signatures", 0), sig):
        name = ".".join(map(str, path))
        if path != hint and path[-1] != 0:
            yield f"{name}: removed", 2, "", changed(original, *path, remove=True)
        for value in (True, 7, -1.5, "", "not base64", [], {}, [[]], ["text"]):
            is_known = (path == hint and isinstance(value, str)) or (path[-1] == "publicKey" and value == {})
            if not is_known:
                yield f"{name}: {json.dumps(value)}", 2, "", changed(original, *path, to=value)
        yield f"{name}: null", 0 if path == hint else 2, "", changed(original, *path, to=None)
    yield "another mediaType", 2, "mediaType: found", changed(original, "mediaType", to="application/vnd.dev.sigstore.bundle.v0.4+json")
    yield "another payloadType", 2, "payloadType: found", changed(original, *envelope, "payloadType", to="application/json")
    yield "a certificate, too", 2, "found a certificate", changed(original, *material, "certificate", to={"rawBytes": "MAA="})
    twice = original["dsseEnvelope"]["signatures"] * 2
    yield "two signatures", 2, "found 2, expected one", changed(original, *envelope, "signatures", to=twice)
    yield "hint of another key", 1, "expected one by a given key", changed(original, *hint, to="0" * 64)
    yield "hint with controls", 1, "\\x1b", changed(original, *hint, to="\x1b[31m")
    yield "an empty hint", 0, "", changed(original, *hint, to="")
    yield "a key without a hint", 0, "", changed(original, *material, "publicKey", to={})
    before_1_1 = {"rawBytes": "MAA=", "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    yield "rawBytes and no hint", 0, "", changed(original, *material, "publicKey", to=before_1_1)
    yield "no tlogEntries", 0, "", changed(original, *material, "tlogEntries", remove=True)
    yield "an unknown member", 0, "", changed(original, "new", to={"a": [1]})
    yield "keyid null", 0, "", changed(original, *envelope, "signatures", 0, "keyid", to=None)
    yield "no keyid", 0, "", changed(original, *envelope, "signatures", 0, "keyid", remove=True)
    yield "signature of another file", 1, "found a wrong one", changed(original, *sig, to=other["signatures"][0]["sig"])
    yield "payload of another file", 1, "found a wrong one", changed(original, *envelope, "payload", to=other["payload"])
    yield "all of another file", 1, "found SHA-256", foreign
    raw = base64.b64decode(original["dsseEnvelope"]["signatures"][0]["sig"])
    for name, value in (("cut off", raw[:-1]), ("longer", raw + b"\0"), ("empty sequence", b"0\0"), ("zeroes", bytes(72)),
                        ("r and s zero", bytes.fromhex("3006020100020100")), ("64 KiB", b"0" * 65536)):
        yield f"signature: {name}", 1, "found a wrong one", changed(original, *sig, to=encoded(value))


def changed_statements(original, bundle):
    """the same of statements, which are then signed: whoever has the key may write nonsense, too"""
    predicate, resource = ("predicate",), ("predicate", "resources", 0)
    serialization = ("predicate", "serialization")
    yield "as it is", 0, "", original
    yield "spaces", 0, "", json.dumps(original, indent=8)
    yield "named like the file", 0, "", changed(original, *resource, "name", to=bundle.name)
    yield "another file's name", 1, "found one of file other.so", changed(original, *resource, "name", to="other.so")
    yield "a path", 1, "found one of file folder/", changed(original, *resource, "name", to=f"folder/{bundle.name}")
    yield "another digest", 1, "found SHA-256", changed(original, *resource, "digest", to="0" * 64)
    capitals = original["predicate"]["resources"][0]["digest"].upper()
    yield "digest in capitals", 1, "found SHA-256", changed(original, *resource, "digest", to=capitals)
    yield "another subject digest", 1, "subject: found SHA-256", changed(original, "subject", 0, "digest", "sha256", to="0" * 64)
    yield "ignored paths", 0, "", changed(original, *serialization, "ignore_paths", to=[".git", "other"])
    yield "symbolic links allowed", 0, "", changed(original, *serialization, "allow_symlinks", to=True)
    yield "another subject name", 0, "", changed(original, "subject", 0, "name", to="any")
    yield "another _type", 2, "_type: found", changed(original, "_type", to="https://in-toto.io/Statement/v0.1")
    yield "version 0.2's predicate", 2, "predicateType: found", changed(original, "predicateType", to="https://model_signing/Digests/v0.1")
    yield "shards", 2, "serialization.method: found", changed(original, *serialization, "method", to="shards")
    yield "blake2b", 2, "serialization.hash_type: found", changed(original, *serialization, "hash_type", to="blake2b")
    yield "blake3", 2, "resources.algorithm: found", changed(original, *resource, "algorithm", to="blake3")
    yield "no resource", 2, "resources: found 0", changed(original, *predicate, "resources", to=[])
    yield "two resources", 2, "resources: found 2", changed(original, *predicate, "resources", to=original["predicate"]["resources"] * 2)
    yield "two subjects", 2, "subject: found 2", changed(original, "subject", to=original["subject"] * 2)
    yield "not JSON", 2, "statement: ", "{"
    yield "a member twice", 2, '"_type" twice', json.dumps(original)[:-1] + ', "_type": "https://in-toto.io/Statement/v1"}'
    yield "deep", 2, "deeper than 32", "[" * 100_000
    yield "not UTF-8", 2, "statement: ", '{"_type": "\udcff"}'
    for path in (("_type",), ("predicateType",), ("subject",), ("subject", 0, "digest"), ("subject", 0, "digest", "sha256"), predicate,
                 (*predicate, "resources"), serialization, (*serialization, "method"), (*serialization, "hash_type"),
                 (*resource, "name"), (*resource, "digest"), (*resource, "algorithm")):
        name = ".".join(map(str, path))
        yield f"{name}: removed", 2, "found nothing", changed(original, *path, remove=True)
        for value in (None, True, 7, [], {}, [7], [[]]):
            yield f"{name}: {json.dumps(value)}", 2, "", changed(original, *path, to=value)


def hostile_signatures(bench, bundle, signature):
    original = json.loads(signature.read_text())
    foreign_bundle = work / "foreign.so"
    shutil.copy(data / "linux-i686" / "lib.so", foreign_bundle)
    assert bench.model_sign(foreign_bundle, work / "foreign.sig")[0] == 0
    foreign = json.loads((work / "foreign.sig").read_text())
    statement = json.loads(base64.b64decode(original["dsseEnvelope"]["payload"]))

    cases = [(f"file: {name}", name, *rest) for name, *rest in changed_files(original, foreign)]
    for name, status, text, value in changed_statements(statement, bundle):
        payload = (value if isinstance(value, str) else json.dumps(value)).encode(errors="surrogateescape")
        cases.append((f"statement: {name}", name, status, text, changed(original, "dsseEnvelope", to=bench.envelope(payload))))
    folder = work / "changed"
    folder.mkdir()
    pairs = []
    for i, (*_, value) in enumerate(cases):
        path = folder / f"{i}.sig"
        path.write_bytes((value if isinstance(value, str) else json.dumps(value)).encode(errors="surrogateescape"))
        pairs.append((bundle, path))
    for (title, name, expected, message, _), (_, path), theirs in zip(cases, pairs, bench.judge(pairs), strict=True):
        status, text = bench.verify(bundle, path)
        is_right = status == expected and message in text and (status == 0 or text.startswith("pannier: "))
        check(f"{title}: exit status {expected}", is_right, (status, text))
        expected = name not in (LOOSER if status == 0 else STRICTER)
        check(f"{title}: model_signing {'agrees' if expected else 'does not agree'}", ((status == 0) == (theirs == "accepted")) == expected,
              (status, text, theirs))


def damaged_signatures(bench, bundle, signature):
    """cut off and changed at every byte"""
    whole = signature.read_bytes()
    meaning = [json.loads(whole)["dsseEnvelope"][name] for name in ("payload", "signatures")]
    damaged = [("cut off", at, whole[:at]) for at in range(len(whole))]
    damaged += [("changed", at, whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1:]) for at in range(len(whole))]
    folder = work / "damaged"
    folder.mkdir()

    def judge(numbered):
        number, (_, _, data) = numbered
        path = folder / f"{number}.sig"
        path.write_bytes(data)
        return bench.verify(bundle, path)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(judge, enumerate(damaged)))
    counts = {}
    for (what, at, data), (status, text) in zip(damaged, outcomes, strict=True):
        counts[what, status] = counts.get((what, status), 0) + 1
        if status == 0:  # an unknown member is skipped; what is signed has to be as it was
            envelope = json.loads(data)["dsseEnvelope"]
            sig = [one["sig"] for one in envelope["signatures"]] == [one["sig"] for one in meaning[1]]
            if what == "cut off" or envelope["payload"] != meaning[0] or not sig:
                check(f"{what} at byte {at}", False, text)
        elif status not in (1, 2) or not text.startswith("pannier: "):
            check(f"{what} at byte {at}", False, (status, text))
    check(f"{len(damaged)} damaged signature files: {counts}", not any(what == "cut off" and status == 0 for what, status in counts))


def embedded_envelope(bench, bundle):
    """what `digest --envelope` prints is what others understand by DSSE and in-toto"""
    signed = work / "signed.so"
    must(pannier, "sign", bundle, "--key", bench.key, "-o", signed, "-q")
    envelope = json.loads(output(pannier, "digest", signed, "--envelope"))
    check("embedded: openssl verifies the envelope", bench.openssl_agrees(envelope, bench.public))
    check("embedded: not with another key", not bench.openssl_agrees(envelope, work / "other.pub"))
    must(pannier, "sign", signed, "--key", work / "ed25519.pem", "-q")
    (work / "envelope.json").write_bytes(output(pannier, "digest", signed, "--envelope"))
    words = []
    for name in ("key", "ed25519"):
        der = output("openssl", "pkey", "-pubin", "-in", work / f"{name}.pub", "-outform", "DER")
        words += [work / f"{name}.pub", hashlib.sha256(der).hexdigest()]
    status, text = run(*bench.alone, bench.python, "-c", ENVELOPE_JUDGE, work / "envelope.json", *words)
    expected = "2 signatures; urn:pannier:bundle:1 bundle/file bundle/host bundle/image graph params"
    check("embedded: securesystemslib and in-toto-attestation verify it", status == 0 and expected in text, text)
    # A key elsewhere: what is signed is piped to openssl.
    must("sh", "-ec", '"$1" digest "$2" | openssl dgst -sha256 -sign "$3" | "$1" attach "$2" - --key "$4" -o "$5" -q',
         "sh", pannier, bundle, bench.key, bench.public, work / "attached.so")
    check("a key elsewhere: openssl signs, attach takes it", run(pannier, "verify", work / "attached.so", "--key", bench.public)[0] == 0)


def main():
    python = own_python.make("model_signing", REQUIREMENTS)
    if python is None:
        print(f"model_signing_test.py: skipped: {MODEL_SIGNING} is not to be had (see above)")
        return 4
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    bench = Bench(python)
    print(must(bench.tool, "--version"), "without a network" if bench.alone else "unshare is not allowed: with a network")
    start = time.monotonic()
    bundle = bench.embed("linux-x86_64/lib.so", work / "model.so")
    both_directions(bench, bundle, 3)
    others = (("windows-x86_64/lib.dll", "model.dll"), ("macos-arm64/lib.dylib", "model.dylib"), ("linux-armv7/lib.so", "mödel 1.so"))
    for host, name in others:
        both_directions(bench, bench.embed(host, work / name), 1)
    shutil.copy(ROOT / "tests" / "golden" / "v1-macho-fat.dylib", work / "fat.dylib")
    both_directions(bench, work / "fat.dylib", 1)
    shutil.copy(work / "model.so.theirs.sig", work / "key.sig")
    usage(bench, bundle)
    other_forms(bench, bundle)
    embedded_envelope(bench, bundle)
    changed_since(bench)
    hostile_signatures(bench, bundle, work / "model.so.theirs.sig")
    damaged_signatures(bench, bundle, work / "model.so.sig")
    shutil.rmtree(work)
    print(f"{passed} passed, {failures} failed, {time.monotonic() - start:.0f} s")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
