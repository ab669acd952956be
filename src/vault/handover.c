/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* handover.c: see handover.h.  On the vault's thread.
 *
 *   maker ──► memory ──┬── README, manifest ──► ZIP ──────────────► descriptor
 *                      └──────────────────────► ZIP ──► CMS ──────► descriptor
 *   maker ──► descriptor (plain); manifest ──► reply
 *
 * Memory files are wiped before they are given back.  They can be swapped out, as all memory can: docs/threats.md.
 */
#include "vault/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/whole.h"
#include "vault/manifest.h"
#include "vault/zip.h"

#define PASSWORD_MIN      12
#define PASSWORD_MAX      99 /* 7-Zip takes no longer one */
#define CERTIFICATE_BYTES 65536
#define README_BYTES      4096

static const char readme[] =
	"A recording of a telephone call, handed over in confidence.\n"
	"\n"
	"  recording.%s    the recording\n"
	"  manifest.txt     what it is, who opened it, when and why; signed\n"
	"\n"
	"To check that it is what was handed over:\n"
	"\n"
	"    sed -n '1s/.*\"sha256\":\"\\([0-9a-f]*\\)\".*/\\1  recording.%s/p' manifest.txt | "
	"sha256sum -c\n"
	"    sed -n '1s/.*\"vault_key\":\"\\([^\"]*\\)\".*/-----BEGIN PUBLIC KEY-----\\n\\1\\n"
	"-----END PUBLIC KEY-----/p' manifest.txt >vault.pem\n"
	"    head -n 1 manifest.txt | tr -d '\\n' >manifest.json\n"
	"    sed -n 2p manifest.txt | base64 -d >manifest.sig\n"
	"    openssl pkeyutl -verify -pubin -inkey vault.pem -rawin -in manifest.json -sigfile "
	"manifest.sig\n"
	"\n"
	"That shows that nothing was changed since the key was used that stands in the manifest.\n"
	"Whose key it is, only its owner can tell.  Compare its fingerprint with the one that "
	"whoever\n"
	"handed this over tells you by another way:\n"
	"\n"
	"    sha256sum vault.pem\n";

/* ---- words ------------------------------------------------------------------------------------------ */

/* Programs differ in how they spell other letters, and a short one is guessed: a ZIP hardly slows that down. */
static enum rc check_password(const char *password, struct error *err)
{
	size_t len = strlen(password);
	for (size_t i = 0; i < len; i++) {
		if (password[i] < ' ' || password[i] > '~')
			return error_set(err, RC_USAGE,
					 "password: letters, digits and signs of ASCII are wanted, "
					 "for other programs spell others in other ways");
	}
	if (len < PASSWORD_MIN || len > PASSWORD_MAX)
		return error_set(err, RC_USAGE, "password: %d to %d characters are wanted",
				 PASSWORD_MIN, PASSWORD_MAX);
	return RC_OK;
}

static enum rc check_recipient(const struct request *q, struct opening *o, struct error *err)
{
	if (strlen(o->recipient) > CERTIFICATE_BYTES)
		return error_set(err, RC_USAGE, "recipient: longer than any certificate");
	return envelope_check(o->recipient, vault_now_us(q->v), o->recipient_sha256, err);
}

enum rc handover_read(const struct request *q, struct opening *o, struct error *err)
{
	o->password = requests_text(q, "password");
	o->recipient = requests_text(q, "recipient");
	enum rc rc = mute_read(json_object_get(q->body, "mute"), o->mutes, &o->mutes_count, err);
	if (rc != RC_OK)
		return rc;
	if (o->mutes_count && o->format == FORMAT_PCAP)
		return error_set(err, RC_USAGE,
				 "mute: packets cannot be muted: choose wav, flac or opus");
	if (o->password && o->recipient)
		return error_set(err, RC_USAGE, "either a password or a recipient is wanted");
	if ((o->password || o->recipient) && o->fd < 0)
		return error_set(err, RC_USAGE, "only a file can be protected");
	o->leaves = o->password ? LEAVES_ZIP : o->recipient ? LEAVES_CMS : LEAVES_PLAIN;
	if (o->password)
		return check_password(o->password, err);
	return o->recipient ? check_recipient(q, o, err) : RC_OK;
}

static const char *word(const char *name, const char *value, char *buf, size_t room)
{
	snprintf(buf, room, " %s=%s", name, value);
	return *value ? buf : "";
}

/* How it leaves, as both entries say it. */
static void protection_detail(const struct opening *o, char *text, size_t room)
{
	char recipient[88];
	snprintf(text, room, "protection=%s%s", opening_leaves_name(o->leaves),
		 word("recipient", o->recipient_sha256, recipient, sizeof recipient));
}

void handover_detail(const struct opening *o, char text[HANDOVER_DETAIL])
{
	char protection[128], mutes[24] = "";
	protection_detail(o, protection, sizeof protection);
	if (o->mutes_count)
		snprintf(mutes, sizeof mutes, " mutes=%u", o->mutes_count);
	snprintf(text, HANDOVER_DETAIL, "to=%s format=%s track=%s%s%s%s",
		 o->play ? "device" : "file", o->play ? "none" : opening_format_name(o->format),
		 opening_track_name(o->track), mutes, o->play ? "" : " ",
		 o->play ? "" : protection);
}

/* ---- files in memory ---------------------------------------------------------------------------------- */

struct view {
	void *bytes; /* owned; NULL: the file is empty */
	size_t len;
};

static enum rc make_memory(int *fd, struct error *err)
{
	*fd = memfd_create("callspan", MFD_CLOEXEC);
	return *fd >= 0 ? RC_OK : error_errno(err, RC_FAILED, errno, "no file in memory");
}

static enum rc view_open(struct view *w, int fd, int rights, struct error *err)
{
	struct stat st;
	*w = (struct view){ 0 };
	if (fstat(fd, &st) != 0)
		return error_errno(err, RC_FAILED, errno, "a file in memory");
	if (st.st_size == 0)
		return RC_OK;
	w->len = (size_t)st.st_size;
	w->bytes = mmap(NULL, w->len, rights, MAP_SHARED, fd, 0);
	if (w->bytes != MAP_FAILED)
		return RC_OK;
	*w = (struct view){ 0 };
	return error_errno(err, RC_FAILED, errno, "a file in memory");
}

static void view_close(struct view *w)
{
	if (w->bytes)
		(void)munmap(w->bytes, w->len);
}

static void forget_memory(int fd)
{
	struct view w;
	struct error ignored;
	if (fd < 0)
		return;
	if (view_open(&w, fd, PROT_READ | PROT_WRITE, &ignored) == RC_OK && w.bytes)
		forget_bytes(w.bytes, w.len);
	view_close(&w);
	close(fd);
}

/* ---- parcels ------------------------------------------------------------------------------------------- */

/* The recording with its manifest, as a ZIP. */
static enum rc pack(const struct handover *h, const char *manifest, int to, struct error *err)
{
	struct view recording;
	const struct opening *o = h->x->o;
	char name[32], text[README_BYTES];
	const char *format = opening_format_name(o->format);
	snprintf(name, sizeof name, "recording.%s", format);
	int len = snprintf(text, sizeof text, readme, format, format);
	ASSERT(len > 0 && (size_t)len < sizeof text);
	enum rc rc = view_open(&recording, h->fd, PROT_READ, err);
	if (rc != RC_OK)
		return rc;
	const struct zip_part parts[] = {
		{ "README.txt", text, (size_t)len },
		{ "manifest.txt", manifest, strlen(manifest) },
		{ name, recording.bytes, recording.len },
	};
	rc = zip_write(to, parts, sizeof parts / sizeof parts[0], o->password, err);
	view_close(&recording);
	return rc;
}

/* What leaves, in memory: *fd is owned by the caller. */
static enum rc protect(const struct handover *h, const char *manifest, int *fd, struct error *err)
{
	const struct opening *o = h->x->o;
	int zip = -1;
	*fd = -1;
	enum rc rc = make_memory(&zip, err);
	if (rc == RC_OK)
		rc = pack(h, manifest, zip, err);
	if (rc == RC_OK && o->leaves == LEAVES_ZIP) {
		*fd = zip;
		return RC_OK;
	}
	if (rc == RC_OK)
		rc = make_memory(fd, err);
	if (rc == RC_OK)
		rc = envelope_seal(o->recipient, zip, *fd, err);
	forget_memory(zip);
	return rc;
}

static enum rc copy_out(int from, int to, struct error *err)
{
	struct view w;
	enum rc rc = view_open(&w, from, PROT_READ, err);
	if (rc == RC_OK && !whole_write(to, w.bytes, w.len))
		rc = error_errno(err, RC_FAILED, errno, "the file cannot be written");
	view_close(&w);
	return rc;
}

/* ---- handing over ---------------------------------------------------------------------------------------- */

/* What left, as far as it is known: a pipe cannot be looked at again. */
struct parcel {
	uint64_t bytes;
	char sha256[65];
	char content[65]; /* SHA-256 of the recording in it, where that is another file */
	char *manifest;   /* owned; NULL: it has none, or bears it within */
};

static enum rc leave_protected(struct handover *h, const json_t *told, struct parcel *p,
			       struct error *err)
{
	int fd = -1;
	char *manifest = NULL;
	const struct manifest_file file = { .told = told, .sha256 = h->sha256, .bytes = h->bytes };
	if (!*h->sha256)
		return error_set(err, RC_FAILED, "the file in memory cannot be read");
	memcpy(p->content, h->sha256, sizeof p->content);
	enum rc rc = manifest_make(h->x, &file, &manifest, err);
	vault_step_out(h->x->q->v); /* for what takes long */
	if (rc == RC_OK)
		rc = protect(h, manifest, &fd, err);
	if (rc == RC_OK) {
		disk_hash(fd, &p->bytes, p->sha256);
		rc = copy_out(fd, h->x->o->fd, err);
	}
	forget_memory(fd);
	vault_step_in(h->x->q->v);
	free(manifest);
	return rc;
}

static enum rc leave_plain(struct handover *h, const json_t *told, struct parcel *p,
			   struct error *err)
{
	const struct manifest_file file = { .told = told, .sha256 = h->sha256, .bytes = h->bytes };
	memcpy(p->sha256, h->sha256, sizeof p->sha256);
	p->bytes = h->bytes;
	return *p->sha256 ? manifest_make(h->x, &file, &p->manifest, err) : RC_OK;
}

static enum rc note_done(const struct opened *x, const struct parcel *p, struct error *err)
{
	char detail[400], protection[128], content[80];
	protection_detail(x->o, protection, sizeof protection);
	snprintf(detail, sizeof detail, "bytes=%llu sha256=%s %s%s", (unsigned long long)p->bytes,
		 *p->sha256 ? p->sha256 : "none", protection,
		 word("content", p->content, content, sizeof content));
	return opening_audit(x, "done", detail, err);
}

static void reply(const struct opened *x, json_t *told, const struct parcel *p)
{
	json_object_set_new(told, "bytes",
			    p->bytes ? json_integer((json_int_t)p->bytes) : json_null());
	json_object_set_new(told, "sha256", call_json_text(p->sha256));
	json_object_set_new(told, "protection", json_string(opening_leaves_name(x->o->leaves)));
	json_object_set_new(told, "recipient", call_json_text(x->o->recipient_sha256));
	json_object_set_new(told, "manifest", call_json_text(p->manifest));
	requests_reply(x->q, told);
}

enum rc handover_begin(struct handover *h, const struct opened *x, struct error *err)
{
	*h = (struct handover){ .x = x, .fd = x->o->fd };
	if (x->o->leaves == LEAVES_PLAIN)
		return RC_OK;
	h->memory = true;
	return make_memory(&h->fd, err);
}

void handover_written(struct handover *h)
{
	disk_hash(h->fd, &h->bytes, h->sha256);
}

enum rc handover_finish(struct handover *h, json_t *told, struct error *err)
{
	struct parcel p = { 0 };
	enum rc rc = h->memory ? leave_protected(h, told, &p, err) : leave_plain(h, told, &p, err);
	if (rc == RC_OK)
		rc = opening_check(h->x, err);
	if (rc == RC_OK)
		rc = note_done(h->x, &p, err);
	if (rc == RC_OK)
		reply(h->x, told, &p);
	else
		json_decref(told);
	free(p.manifest);
	return rc;
}

void handover_end(struct handover *h)
{
	if (h->memory)
		forget_memory(h->fd);
}
