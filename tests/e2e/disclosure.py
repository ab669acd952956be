#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The callspan authors
"""What leaves the store: protected copies opened with others' tools, manifests, muting.

The truth is the scene's (every sample), and what is told must hold for openssl, 7-Zip and
sha256sum as docs/disclosure.md says.
"""

from harness import ROOT, Process, Skip, Wrong, check, main, one_line, program, run, same, test, wait_until

import array
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import g711
from compare import check_audio, read_wav
from lab import quiet
from scene import Scene

PASSWORD = "quite long enough, this"
RATE = 8000


def recorded(bench, policy="lab", end=4.0, **more):
    scene = Scene(bench.random.randrange(1 << 30))  # nobody else's sounds
    scene.call("4930901820415", "4989636487210").simple(end=end)
    scene.write(bench.path("x.pcap"))
    store = bench.store(policy=policy, **more)
    store.record(bench.path("x.pcap"))
    return scene.calls[0], store, store.calls()[0]["id"]


def written(bench, name, text):
    with open(bench.path(name), "w") as f:
        f.write(text)
    return bench.path(name)


def password_file(bench, text=PASSWORD):
    return written(bench, "password", text + "\nnot this line\n")


def certificate(bench, name, *key, usage="keyEncipherment"):
    run(
        "openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=recipient", "-newkey",
        *key, "-addext", "keyUsage=" + usage, "-keyout", bench.path(name + ".key"),
        "-out", bench.path(name + ".pem"),
    )  # fmt: skip
    return bench.path(name + ".pem")


def rsa(bench, name="rsa"):
    return certificate(bench, name, "rsa:2048")


def seven_zip():
    for name in ("7zz", "7z"):
        if shutil.which(name):
            return name
    raise Skip("there is no 7-Zip (package 7zip)")


def unpack(bench, path, password=PASSWORD, ok=(0,)):
    """The parts of a ZIP, opened by 7-Zip: {name: path}."""
    folder = tempfile.mkdtemp(dir=bench.dir)
    run(seven_zip(), "x", "-y", "-p" + password, "-o" + folder, path, ok=ok)
    return {n: os.path.join(folder, n) for n in os.listdir(folder)}


def content(path):
    with open(path, "rb") as f:
        return f.read()


def same_bytes(path, other, what):
    check(content(path) == content(other), "%s is another than %s", what, os.path.basename(other))


def manifest_of(path):
    with open(path) as f:
        return json.loads(f.readline())


def audit(store, **wanted):
    """The entries that have these members."""
    r = store.callspan("audit", "list", "--json")
    rows = [json.loads(line) for line in r.out.splitlines()]
    return [e for e in rows if all(e.get(k) == v for k, v in wanted.items())]


def verify_export(path, *args, ok=(0,), store=None):
    where = ("--store", store.path) if store else ()
    return run(program("callspan"), *where, "verify-export", path, *args, ok=ok,
               env={"CALLSPAN_STORE": ""})  # fmt: skip


# ---- protected copies ------------------------------------------------------------------------------


@test
def zip_holds_the_plain_exports_bytes_and_every_sample(bench):
    call, store, name = recorded(bench)
    store.export(name, bench.path("plain.wav"))
    check_audio(call, read_wav(bench.path("plain.wav")))
    for fmt in ("wav", "flac", "pcap"):
        plain, out = bench.path("plain." + fmt), bench.path("copy-%s.zip" % fmt)
        store.export(name, plain, "--format", fmt)
        store.export(name, out, "--format", fmt, "--password-file", password_file(bench))
        parts = unpack(bench, out)
        same(
            sorted(parts), ["README.txt", "manifest.txt", "recording." + fmt], "what the ZIP holds"
        )
        same_bytes(parts["recording." + fmt], plain, "the recording in the ZIP")
        manifest = manifest_of(parts["manifest.txt"])
        same(manifest["file"]["format"], fmt, "the format in the manifest")
        same(manifest["opened"]["protection"], "zip", "the protection in the manifest")
    check_audio(call, read_wav(unpack(bench, bench.path("copy-wav.zip"))["recording.wav"]))
    same(os.stat(bench.path("copy-wav.zip")).st_mode & 0o777, 0o600, "the rights to the ZIP")


@test
def zip_does_not_open_with_another_password(bench):
    _, store, name = recorded(bench)
    out = bench.path("copy.zip")
    store.export(name, out, "--password-file", password_file(bench))
    for wrong in ("another password", PASSWORD[:-1], PASSWORD + " "):
        run(seven_zip(), "t", "-p" + wrong, out, ok=(2,))
        one_line(verify_export(out, "--password-file", password_file(bench, wrong), ok=(1,)))
    line = one_line(verify_export(out, ok=(1,)))
    check("--password-file" in line, "does not say how to give one: %r", line)
    verify_export(out, "--password-file", password_file(bench))
    run(seven_zip(), "t", "-p" + PASSWORD, out)
    listed = run(seven_zip(), "l", "-slt", out).out
    same(listed.count("Encrypted = +"), 3, "the encrypted parts")
    same(listed.count("Modified = 1980-01-01 00:00:00"), 3, "the parts without a time")
    check(listed.count("AES-256") == 3, "not under AES-256: %s", listed[-600:])


@test
def password_that_is_made_is_strong_and_shown_once(bench):
    call, store, name = recorded(bench, policy="12-month")
    seen = set()
    for n in range(3):
        out = bench.path("copy%d.zip" % n)
        r = store.export(name, out, "--password-file", "-", purpose="training")
        said = re.findall(r"Password: (\S+)$", r.err, re.M)
        same(len(said), 1, "the passwords shown")
        check(re.fullmatch(r"([2-9A-HJ-NP-Z]{4}-){5}[2-9A-HJ-NP-Z]{4}", said[0]), "is %r", said[0])
        check_audio(call, read_wav(unpack(bench, out, said[0])["recording.wav"]))
        seen.add(said[0])
        for path, data in store.everything():
            check(said[0].encode() not in data, "the password stands in %s", path)
    same(len(seen), 3, "the different passwords")
    r = store.export(name, bench.path("no/copy.zip"), "--password-file", "-", ok=(1,),
                     purpose="training")  # fmt: skip
    check("Password" not in r.err, "a password is shown without a file: %s", r.err)


@test
def envelope_opens_for_its_recipient_alone(bench):
    call, store, name = recorded(bench, policy="30-day")
    store_times = (
        ("rsa", ("rsa:3072",), "keyEncipherment"),
        ("ec", ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "keyAgreement"),
    )
    for kind, key, usage in store_times:
        mine = certificate(bench, kind, *key, usage=usage)
        certificate(bench, "other", *key, usage=usage)
        out, opened = bench.path(kind + ".p7m"), bench.path(kind + ".zip")
        r = store.export(name, out, "--recipient", mine)
        sha = run("sh", "-c", "openssl x509 -in %s -outform DER | sha256sum" % mine).out[:64]
        check(sha in r.err, "the certificate's SHA-256 is not shown: %s", r.err)
        entry = audit(store, action="export", outcome="done")[-1]
        check("recipient=" + sha in entry["detail"], "is not audited: %s", entry)
        decrypt = ("openssl", "cms", "-decrypt", "-inform", "DER", "-in", out, "-out", opened)
        run(*decrypt, "-recip", bench.path("other.pem"), "-inkey", bench.path("other.key"), ok=(4,))
        run(*decrypt, "-recip", mine, "-inkey", bench.path(kind + ".key"))
        check_audio(call, read_wav(unpack(bench, opened)["recording.wav"]))
        verify_export(opened)
        line = one_line(verify_export(out, ok=(1,)))
        check("openssl cms" in line, "does not say how it is opened: %r", line)


@test
def profiles_in_earnest_let_protected_copies_leave_and_no_others(bench):
    for n, policy in enumerate(("30-day", "12-month")):
        call, store, name = recorded(bench, policy=policy, name="store%d" % n)
        why = ("--purpose", "complaint", "--reference", "r")
        for i, args in enumerate((("export",), ("replay",), ("export", "--format", "pcap"))):
            line = one_line(
                store.callspan(*args, name, "-o", bench.path("x.wav"), *why, ok=(3,))
            )
            check("--password-file" in line, "does not say what is allowed: %r", line)
            same(len(audit(store, outcome="refused")), i + 1, "the refusals audited")
        check(not os.path.exists(bench.path("x.wav")), "a file was made")
        same(audit(store, outcome="granted"), [], "what was granted")
        r = store.callspan("export", name, "-o", "-", *why, ok=(3,))
        same(r.out, "", "what was piped")
        out = bench.path("%d.zip" % n)
        store.export(name, out, "--password-file", password_file(bench))
        check_audio(call, read_wav(unpack(bench, out)["recording.wav"]))


@test
def the_trail_has_the_hash_of_what_left_however_it_left(bench):
    _, store, name = recorded(bench)
    piped = bench.path("piped.zip")
    for out, args in (
        ("x.wav", ()),
        ("x.zip", ("--password-file", password_file(bench))),
        ("x.p7m", ("--recipient", rsa(bench))),
        ("-", ("--password-file", password_file(bench))),
    ):
        to = bench.path(out)
        if out == "-":
            why = "--purpose complaint --reference r --password-file " + bench.path("password")
            run("sh", "-c", "%s --store %s export %s -o - %s | cat >%s"
                % (program("callspan"), store.path, name, why, piped))  # fmt: skip
            to = piped
        else:
            store.export(name, to, *args)
        sha = run("sha256sum", to).out[:64]
        entries = audit(store, action="export")
        same([e["outcome"] for e in entries[-2:]], ["granted", "done"], "the last two outcomes")
        check("sha256=" + sha in entries[-1]["detail"], "%s: %s", out, entries[-1]["detail"])


# ---- manifests ---------------------------------------------------------------------------------------


def blocks_of_the_document():
    with open(os.path.join(ROOT, "docs", "disclosure.md")) as f:
        return re.findall(r"^```sh\n(.*?)^```$", f.read(), re.S | re.M)


def shell(folder, text, ok=(0,)):
    return run("bash", "-e", "-o", "pipefail", "-c", text, cwd=folder, ok=ok)


@test
def the_documents_commands_do_what_it_says(bench):
    _, store, name = recorded(bench)
    folder = bench.path("work")
    os.mkdir(folder)
    plain, opening, fingerprint = blocks_of_the_document()
    store.export(name, os.path.join(folder, "call.wav"))
    r = store.callspan("key", "export-public", "-o", os.path.join(folder, "vault.pem"))
    r = shell(folder, plain)
    check("call.wav: OK" in r.out and "Verified Successfully" in r.out, "said %r", r.out)
    told = store.callspan("key", "export-public").out
    check(shell(folder, fingerprint).out[:64] in told, "is another fingerprint: %s", told)
    for part, at in (("call.wav", 1000), ("call.wav.manifest", 40), ("call.wav.manifest", -10)):
        data = bytearray(content(os.path.join(folder, part)))
        was, data[at] = bytes(data), data[at] ^ 1
        with open(os.path.join(folder, part), "wb") as f:
            f.write(data)
        shell(folder, plain, ok=(1,))
        with open(os.path.join(folder, part), "wb") as f:
            f.write(was)
    cert = rsa(bench, "work/cert")
    shutil.move(bench.path("work/cert.key"), bench.path("work/key.pem"))
    store.export(name, os.path.join(folder, "call.p7m"), "--recipient", cert)
    shell(folder, opening)
    parts = unpack(bench, os.path.join(folder, "call.zip"))
    same_bytes(parts["recording.wav"], bench.path("work/call.wav"), "the recording")


@test
def the_readme_in_a_zip_tells_a_stranger_how_to_check_it(bench):
    _, store, name = recorded(bench)
    store.export(name, bench.path("x.zip"), "--password-file", password_file(bench),
                 "--format", "flac")  # fmt: skip
    parts = unpack(bench, bench.path("x.zip"))
    folder = os.path.dirname(parts["README.txt"])
    with open(parts["README.txt"]) as f:
        lines = [x[4:] for x in f.read().splitlines() if x.startswith("    ")]
    r = shell(folder, "\n".join(lines))
    check("recording.flac: OK" in r.out and "Verified Successfully" in r.out, "said %r", r.out)
    told = store.callspan("key", "export-public").out
    check(r.out.splitlines()[-1][:64] in told, "is another fingerprint: %r", r.out)
    verify_export(parts["recording.flac"])  # its manifest.txt lies beside it


@test
def verify_export_finds_what_was_changed(bench):
    _, store, name = recorded(bench)
    out = bench.path("x.wav")
    store.export(name, out)
    store.callspan("key", "export-public", "-o", bench.path("vault.pem"))
    for args, whose in (((), "manifest"), (("--key", bench.path("vault.pem")), "given")):
        r = verify_export(out, *args)
        check(("only as good as" in r.out) == (whose == "manifest"), "said %r", r.out)
        same(json.loads(verify_export(out, *args, "--json").out)["key"], whose, "whose key")
    told = json.loads(verify_export(out, "--json", store=store).out)
    same((told["ok"], told["key"], told["audit"]), (True, "store", "found"), "in its store")
    same(told["manifest"]["recording"]["id"], name, "the recording")
    for path in (out, out + ".manifest"):
        was = content(path)
        for n in range(12):
            data = bytearray(was)
            data[bench.random.randrange(4, len(data))] ^= 1 << bench.random.randrange(8)
            with open(path, "wb") as f:
                f.write(data)
            for where in (None, store):
                one_line(verify_export(out, ok=(4,), store=where))
            told = json.loads(verify_export(out, "--json", ok=(4,)).out)
            check(told["ok"] is False and told["what"], "told %r", told)
        with open(path, "wb") as f:
            f.write(was)
    verify_export(out, store=store)


@test
def verify_export_knows_its_own_vault(bench):
    _, store, name = recorded(bench)
    _, other, _ = recorded(bench, name="other")
    out = bench.path("x.wav")
    store.export(name, out)
    line = one_line(verify_export(out, ok=(4,), store=other))
    check("another key" in line, "does not say why: %r", line)
    other.callspan("key", "export-public", "-o", bench.path("other.pem"))
    one_line(verify_export(out, "--key", bench.path("other.pem"), ok=(4,)))
    # The same vault before that export: its trail does not have the entry.
    shutil.copytree(store.path, bench.path("older"))
    store.export(name, out)
    older = bench.store("older", init=False)
    line = one_line(verify_export(out, ok=(4,), store=older))
    check("audit" in line, "does not say why: %r", line)
    verify_export(out, store=store)


@test
def verify_export_of_what_is_none(bench):
    _, store, name = recorded(bench)
    store.export(name, bench.path("x.wav"))
    alone = written(bench, "alone.wav", "RIFF of nobody")
    one_line(verify_export(alone, ok=(1,)))
    one_line(verify_export(bench.path("none.wav"), ok=(1,)))
    one_line(verify_export(bench.dir, ok=(1,)))
    one_line(verify_export("/dev/null", ok=(1,)))
    one_line(run(program("callspan"), "verify-export", ok=(2,)))
    one_line(verify_export(bench.path("x.wav"), "--key", alone, ok=(2,)))
    one_line(verify_export(bench.path("x.wav"), "--key", bench.path("no.pem"), ok=(1,)))
    written(bench, "alone.wav.manifest", "Dear sir,\n" * 9)
    one_line(verify_export(alone, ok=(4,)))
    one_line(verify_export(written(bench, "cut.zip", "PK\3\4" + "x" * 50), ok=(4,)))
    one_line(store.callspan("key", ok=(2,)))
    one_line(store.callspan("key", "export-secret", ok=(2,)))


@test
def a_pipe_has_no_manifest_and_says_so(bench):
    call, store, name = recorded(bench)
    folder = bench.path("out")
    os.mkdir(folder)
    r = run(
        "sh", "-c", 'exec "$@" | cat >x.wav', "sh", program("callspan"), "--store", store.path,
        "export", name, "-o", "-", "--purpose", "complaint", "--reference", "r", cwd=folder,
    )  # fmt: skip
    check("no manifest" in r.err, "does not say so: %r", r.err)
    same(os.listdir(folder), ["x.wav"], "what was made")
    check_audio(call, read_wav(os.path.join(folder, "x.wav")))


@test
def the_service_hands_over_what_the_command_does(bench):
    _, store, name = recorded(bench)
    store.export(name, bench.path("plain.wav"), "--mute", "callee:1-2")
    service = Process(bench, program("callspan"), "--store", store.path, "serve", name="service")
    service.wait_for("serving")
    many = [w for n in range(250) for w in ("--mute", "callee:1-2")]
    store.export(name, bench.path("x.wav"), *many)
    check(read_wav(bench.path("x.wav")) == read_wav(bench.path("plain.wav")), "is not the same")
    store.export(name, bench.path("x.zip"), "--mute", "callee:1-2",
                 "--password-file", password_file(bench))  # fmt: skip
    store.export(name, bench.path("x.p7m"), "--mute", "callee:1-2", "--recipient", rsa(bench))
    run("openssl", "cms", "-decrypt", "-inform", "DER", "-in", bench.path("x.p7m"),
        "-inkey", bench.path("rsa.key"), "-out", bench.path("y.zip"))  # fmt: skip
    for copy in ("x.zip", "y.zip"):
        parts = unpack(bench, bench.path(copy))
        same_bytes(parts["recording.wav"], bench.path("plain.wav"), "in " + copy)
    told = json.loads(verify_export(bench.path("x.wav"), "--json", store=store).out)
    same((told["key"], told["audit"]), ("store", "found"), "whose key, and the audit entry")
    verify_export(bench.path("x.zip"), "--password-file", bench.path("password"), store=store)
    check("BEGIN PUBLIC KEY" in store.callspan("key", "export-public").out, "gives no key")
    one_line(store.export(name, bench.path("z.zip"), "--password-file",
                          written(bench, "short", "secret\n"), ok=(2,)))  # fmt: skip
    same(PASSWORD in service.said(), False, "that the service logs a password")


# ---- muting --------------------------------------------------------------------------------------------


def samples(path):
    return [array.array("h", track) for track in read_wav(path)]


MUTES = (("caller", 0.5, 1.25), ("callee", 1.0, 1.1), ("both", 2.0, 2.2), ("callee", 2.9, 60.0))


def muted_at(side, i):
    return any(
        name in (("caller", "callee")[side], "both") and a * RATE <= i < b * RATE
        for name, a, b in MUTES
    )


@test
def what_is_muted_is_gone_and_nothing_else_is(bench):
    _, store, name = recorded(bench)
    words = [w for s, a, b in MUTES for w in ("--mute", "%s:%s-0:%s" % (s, a, b))]
    words[-1] = "callee:0:02.9-1:00"
    store.export(name, bench.path("plain.wav"))
    store.export(name, bench.path("muted.wav"), *words)
    store.export(name, bench.path("muted.zip"), *words, "--password-file", password_file(bench))
    plain, muted = samples(bench.path("plain.wav")), samples(bench.path("muted.wav"))
    for side in (0, 1):
        same(len(muted[side]), len(plain[side]), "the samples")
        taken = 0
        for i, (was, now) in enumerate(zip(plain[side], muted[side])):
            out = muted_at(side, i)
            check(now == (0 if out else was), "side %d, sample %d is %d", side, i, now)
            taken += out and was != 0
        check(taken > 500, "nothing was there to be muted")
    parts = unpack(bench, bench.path("muted.zip"))
    same_bytes(parts["recording.wav"], bench.path("muted.wav"), "the copy in the ZIP")
    told = manifest_of(bench.path("muted.wav.manifest"))["file"]["mute"]
    same([(m["side"], m["from_s"], m["to_s"]) for m in told], list(MUTES), "the manifest's mutes")
    head = content(bench.path("muted.wav"))
    for label in (b"muted caller\0", b"unmuted callee\0", b"muted both\0"):
        check(label in head, "no cue point %r", label)


@test
def what_is_muted_is_gone_in_other_formats_too(bench):
    if not shutil.which("ffmpeg"):
        raise Skip("there is no ffmpeg")
    _, store, name = recorded(bench)
    for fmt in ("flac", "opus"):
        out, wav = bench.path("x." + fmt), bench.path(fmt + ".wav")
        store.export(name, out, "--track", "caller", "--mute", "caller:0.5-1.5")
        run("ffmpeg", "-v", "error", "-y", "-i", out, "-ar", str(RATE), "-ac", "2", wav)
        track = samples(wav)[0]
        # Opus rings for a while after what was before, and begins 50 ms ahead of what comes.
        a, b, part = (0.5, 1.5, 0) if fmt == "flac" else (0.75, 1.4, 0.02)
        inside = max(abs(x) for x in track[int(a * RATE) : int(b * RATE)])
        around = max(abs(x) for x in track[: int(0.4 * RATE)])
        check(inside <= part * around, "%s: %d of %d is heard", fmt, inside, around)
        check(around > 2000, "%s: nothing is heard outside (%d)", fmt, around)


@test
def replay_is_muted_with_the_same_words(bench):
    _, store, name = recorded(bench)
    store.export(name, bench.path("a.wav"), "--mute", "both:1-1.5", "--mute=caller:0-0.1")
    store.callspan(
        "replay", name, "-o", bench.path("b.wav"), "--purpose", "complaint", "--reference", "r",
        "--mute", "both:1-1.5", "--mute=caller:0-0.1",
    )  # fmt: skip
    same_bytes(bench.path("b.wav"), bench.path("a.wav"), "the replayed file")


# ---- nothing is left behind, and nothing is in clear -----------------------------------------------------


def pcm_runs(call):
    """32 bytes here and there of the caller's decoded audio, as a mono sound file would have them."""
    for s in call.streams.values():
        for p in s.packets[::7]:
            if p.kind == "audio" and s.side == 0:
                yield g711.decode(s.codec, p.payload)[64:96]


def files_since(folders, started):
    for top in folders:
        for folder, below, names in os.walk(top):
            below[:] = [b for b in below if not os.path.ismount(os.path.join(folder, b))]  # a /proc, say, is no disk
            for name in names:
                path = os.path.join(folder, name)
                try:
                    st = os.lstat(path)
                    if st.st_mtime >= started and os.path.isfile(path) and st.st_size < 1 << 28:
                        yield path, content(path)
                except OSError:
                    continue  # another test's, gone meanwhile


@test
def protected_copies_put_no_sound_on_any_disk(bench):
    call, store, name = recorded(bench, policy="12-month")
    runs = list(pcm_runs(call))
    check(len(runs) > 10, "too little to look for")
    out = bench.path("out")
    os.mkdir(out)
    started = time.time() - 1
    for to, args in (
        ("a.zip", ("--password-file", password_file(bench))),
        ("b.p7m", ("--recipient", rsa(bench))),
    ):
        store.export(name, os.path.join(out, to), "--track", "caller", *args, env={"TMPDIR": out})
    same(sorted(os.listdir(out)), ["a.zip", "b.p7m"], "what was made")
    looked = 0
    for path, data in files_since((bench.dir, "/tmp", "/var/tmp", "/dev/shm"), started):
        looked += 1
        check(not any(r in data for r in runs), "decoded audio stands in %s", path)
    check(looked > 10, "only %d files were looked at", looked)
    run(seven_zip(), "x", "-y", "-p" + PASSWORD, "-o" + out, os.path.join(out, "a.zip"))
    found = content(os.path.join(out, "recording.wav"))
    check(all(r in found for r in runs), "it would not have been found")


@test
def a_killed_protected_export_leaves_nothing(bench):
    written(bench, "right", "correct horse battery staple\n")
    _, store, name = recorded(bench, arguments=("--passphrase-file", bench.path("right")))
    out = bench.path("out")
    os.mkdir(out)
    for way in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        fifo = bench.path("fifo-%d" % way)
        os.mkfifo(fifo)
        p = subprocess.Popen(
            [program("callspan"), "--store", store.path, "export", name,
             "-o", os.path.join(out, "x.zip"), "--purpose", "complaint", "--reference", "r",
             "--password-file", password_file(bench), "--passphrase-file", fifo],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        bench.cleanups.append(p.kill)
        ends = []

        def reader():
            try:
                ends.append(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
            except OSError:
                pass
            return ends

        wait_until(reader, "nobody reads the passphrase", every=0.02)
        p.send_signal(way)
        same(p.wait(60), -way, "how it ended")
        os.close(ends[0])
        same(os.listdir(out), [], "what was left behind by signal %d" % way)


def small_disk(bench, kib):
    if os.geteuid() != 0:
        raise Skip("needs root")
    path = bench.path("disk%d" % kib)
    os.mkdir(path)
    try:
        quiet("mount", "-t", "tmpfs", "-o", "size=%dk" % kib, "tmpfs", path)
    except Wrong as e:
        raise Skip("cannot mount a tmpfs: %s" % e)
    bench.cleanups.append(lambda: quiet("umount", "-l", path))
    return path


@test
def full_disk_leaves_neither_recording_nor_manifest(bench):
    _, store, name = recorded(bench)
    store.export(name, bench.path("x.wav"))
    size = os.path.getsize(bench.path("x.wav"))
    exact = (size + 4095) // 4096 * 4  # the recording fits, its manifest does not
    for kib, args in (
        (8, ()),
        (exact, ()),
        (8, ("--password-file", password_file(bench))),
        (8, ("--recipient", rsa(bench))),
    ):
        disk = small_disk(bench, kib) if not os.path.exists(bench.path("disk%d" % kib)) else (
            bench.path("disk%d" % kib))  # fmt: skip
        line = one_line(store.export(name, os.path.join(disk, "x.out"), "--format", "wav", *args,
                                     ok=(1,)))  # fmt: skip
        check("No space" in line, "does not say why: %r", line)
        same(os.listdir(disk), [], "what was left on a disk of %d KiB" % kib)
    same(len(audit(store, action="export", outcome="failed")), 3, "the failures audited")


@test
def a_manifest_in_the_way_is_told_before_anything_is_opened(bench):
    _, store, name = recorded(bench)
    os.mkdir(bench.path("x.wav.manifest"))
    one_line(store.export(name, bench.path("x.wav"), ok=(1,)))
    check(not os.path.exists(bench.path("x.wav")), "a recording was made")
    same(audit(store, action="export"), [], "what was audited")


# ---- bad input -----------------------------------------------------------------------------------------------


def expired(bench):
    run("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x",
        "-keyout", bench.path("old.key"), "-out", bench.path("old.csr"))  # fmt: skip
    run("openssl", "x509", "-req", "-in", bench.path("old.csr"), "-signkey", bench.path("old.key"),
        "-days", "-1", "-out", bench.path("old.pem"))  # fmt: skip
    return bench.path("old.pem")


@test
def words_that_protect_nothing_are_one_line(bench):
    _, store, name = recorded(bench, policy="30-day")
    good, out = rsa(bench), bench.path("x.zip")
    both = written(bench, "both.pem", open(good).read() + open(bench.path("rsa.key")).read())
    run("openssl", "x509", "-in", good, "-outform", "DER", "-out", bench.path("x.der"))
    sign = certificate(bench, "sign", "rsa:2048", usage="digitalSignature")
    ed = certificate(bench, "ed", "ed25519", usage="digitalSignature")
    for args, code, says in (
        (("--password-file", password_file(bench), "--recipient", good), 2, "either"),
        (("--password-file", bench.path("none")), 1, "none"),
        (("--password-file", written(bench, "empty", "\n")), 1, "empty"),
        (("--password-file", written(bench, "short", "secret\n")), 2, "12 to 99"),
        (("--password-file", written(bench, "long", "x" * 100 + "\n")), 2, "12 to 99"),
        (("--password-file", written(bench, "umlaut", "schöne Grüße\n")), 2, "ASCII"),
        (("--recipient", bench.path("none.pem")), 1, "none.pem"),
        (("--recipient", bench.dir), 1, "directory"),
        (("--recipient", written(bench, "letter.pem", "Dear sir\n")), 2, "not a certificate"),
        (("--recipient", bench.path("x.der")), 2, "not a certificate"),
        (("--recipient", written(bench, "huge.pem", "x" * 99999)), 1, "longer"),
        (("--recipient", bench.path("rsa.key")), 2, "private key"),
        (("--recipient", both), 2, "private key"),
        (("--recipient", expired(bench)), 2, "expired"),
        (("--recipient", sign), 2, "keyEncipherment"),
        (("--recipient", ed), 2, "RSA or EC"),
        (("--password-file", password_file(bench), "--mute", "caller:2-1"), 2, "caller:2-1"),
        (("--password-file", password_file(bench), "--mute", "caller:9:00-9:10"), 2, "long"),
        (("--password-file", password_file(bench), "--mute", "both:0-1", "--format", "pcap"), 2,
         "cannot be muted"),
        (("--password-file", password_file(bench), "--mute", ""), 2, "SIDE:FROM-TO"),
        (("--password-file", password_file(bench), "--mute"), 2, "--mute wants"),
    ):  # fmt: skip
        line = one_line(store.export(name, out, *args, ok=(code,)))
        check(says in line, "%s: does not say %r: %r", args, says, line)
        check(not os.path.exists(out), "a file was made with %s", args)
    same(audit(store, action="export", outcome="done"), [], "what was done")
    store.verify()


if __name__ == "__main__":
    main()
