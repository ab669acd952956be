/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* entry.c: see entry.h.  On the vault's thread. */
#include "vault/entry.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

enum kind { NUMBER, TIME, TEXT, CALL, HASH };

/* An entry's members in their order. */
static const struct member {
	const char *head; /* ,"NAME": */
	enum kind kind;
	size_t at; /* in struct audit_entry */
} members[] = {
#define MEMBER(name, kind, field)                                                                  \
	{                                                                                          \
		",\"" name "\":", kind, offsetof(struct audit_entry, field)                        \
	}
	MEMBER("number", NUMBER, number), MEMBER("time", TIME, time_us),
	MEMBER("person", TEXT, person),   MEMBER("role", TEXT, role),
	MEMBER("action", TEXT, action),   MEMBER("call", CALL, call),
	MEMBER("purpose", TEXT, purpose), MEMBER("reference", TEXT, reference),
	MEMBER("outcome", TEXT, outcome), MEMBER("detail", TEXT, detail),
	MEMBER("after", NUMBER, after),   MEMBER("follows", HASH, follows),
#undef MEMBER
};
#define MEMBERS (sizeof members / sizeof members[0])

static const void *pointer_at(const struct audit_entry *e, const struct member *m)
{
	const void *p;
	memcpy(&p, (const char *)e + m->at, sizeof p);
	return p;
}

static int64_t number_at(const struct audit_entry *e, const struct member *m)
{
	int64_t n;
	memcpy(&n, (const char *)e + m->at, sizeof n);
	return n;
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* jansson takes UTF-8 only. */
static bool is_utf8(const char *s)
{
	const char *p = s;
	while (*p && !(*p & 0x80))
		p++;
	json_t *j = *p ? json_string(p) : NULL;
	bool good = !*p || j;
	json_decref(j);
	return good;
}

/* How much of a text is taken: whole characters. */
static size_t cut(const char *s, bool utf8)
{
	size_t len = strnlen(s, ENTRY_FIELD);
	if (!s[len])
		return len;
	while (utf8 && len && (s[len] & 0xc0) == 0x80)
		len--;
	return len;
}

static char *put_text(char *at, const char *s)
{
	static const char digits[] = "0123456789abcdef";
	bool utf8 = is_utf8(s);
	size_t len = cut(s, utf8);
	*at++ = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c < ' ' || c == 0x7f) {
			at = stpcpy(at, "\\u00");
			*at++ = digits[c >> 4];
			*at++ = digits[c & 15];
			continue;
		}
		if (c == '"' || c == '\\')
			*at++ = '\\';
		*at++ = c >= 0x80 && !utf8 ? '?' : (char)c;
	}
	*at++ = '"';
	return at;
}

static bool has_value(const struct audit_entry *e, const struct member *m)
{
	if (m->kind == TIME)
		return true;
	if (m->kind == NUMBER)
		return number_at(e, m) != 0;
	const char *p = pointer_at(e, m);
	return p && (m->kind != TEXT || *p);
}

static char *put_value(char *at, const struct audit_entry *e, const struct member *m)
{
	char text[2 * 32 + 1];
	_Static_assert(sizeof text >= CLOCK_TEXT && sizeof text >= UUID_TEXT, "room for each kind");
	switch (m->kind) {
	case NUMBER: return at + sprintf(at, "%" PRIu64, (uint64_t)number_at(e, m));
	case TIME: return put_text(at, clock_rfc3339(number_at(e, m) * 1000, text));
	case TEXT: return put_text(at, pointer_at(e, m));
	case CALL: return put_text(at, uuid_text(pointer_at(e, m), text));
	case HASH: keys_hex(text, pointer_at(e, m), 32); return put_text(at, text);
	}
	return at;
}

size_t entry_write(char out[ENTRY_TEXT], const struct audit_entry *e)
{
	char *at = out;
	for (size_t i = 0; i < MEMBERS; i++) {
		if (!has_value(e, &members[i]))
			continue;
		at = stpcpy(at, members[i].head);
		at = put_value(at, e, &members[i]);
	}
	out[0] = '{';
	*at++ = '}';
	return (size_t)(at - out);
}

/* ---- reading ---------------------------------------------------------------------------------- */

struct reader {
	const char *at, *end;
	char *texts; /* where the next text goes; they are never longer than they are written */
};

static bool take(struct reader *r, const char *s)
{
	size_t len = strlen(s);
	if ((size_t)(r->end - r->at) < len || memcmp(r->at, s, len) != 0)
		return false;
	r->at += len;
	return true;
}

static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* "\u00XX" of a character that is written no other way; 0: it is not one. */
static char take_escape(struct reader *r)
{
	char hex[3] = "";
	uint8_t c;
	if (take(r, "\\\""))
		return '"';
	if (take(r, "\\\\"))
		return '\\';
	if (!take(r, "\\u00") || r->end - r->at < 2)
		return '\0';
	memcpy(hex, r->at, 2);
	r->at += 2;
	return keys_unhex(&c, 1, hex) && is_control((char)c) ? (char)c : '\0';
}

/* A text in quotes that is not empty, NULL otherwise. */
static const char *take_text(struct reader *r)
{
	char *text = r->texts;
	if (!take(r, "\""))
		return NULL;
	while (r->at < r->end && *r->at != '"') {
		bool plain = *r->at != '\\';
		char c = plain ? *r->at++ : take_escape(r);
		if (!c || (plain && is_control(c)))
			return NULL;
		*r->texts++ = c;
	}
	*r->texts++ = '\0';
	return take(r, "\"") && *text ? text : NULL;
}

static bool take_number(struct reader *r, uint64_t *n)
{
	const char *from = r->at;
	*n = 0;
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
		*n = *n * 10 + (uint64_t)(*r->at - '0');
	return r->at > from && r->at - from < 20 && *from != '0';
}

static bool take_value(struct reader *r, struct entry *out, const struct member *m)
{
	uint64_t n = 0;
	int64_t ns;
	const void *p = NULL;
	const char *text = m->kind == NUMBER ? NULL : take_text(r);
	bool good = text;
	if (m->kind == NUMBER) {
		good = take_number(r, &n);
	} else if (text && m->kind == TIME) {
		good = clock_parse(text, &ns);
		n = good ? (uint64_t)(ns / 1000) : 0;
	} else if (m->kind == CALL) {
		good = text && uuid_parse(&out->call, text);
		p = &out->call;
	} else if (m->kind == HASH) {
		good = text && keys_unhex(out->follows, 32, text);
		p = out->follows;
	} else {
		p = text;
	}
	if (m->kind == NUMBER || m->kind == TIME)
		memcpy((char *)&out->e + m->at, &n, sizeof n);
	else
		memcpy((char *)&out->e + m->at, &p, sizeof p);
	return good;
}

/* Members that are well formed, in their order. */
static bool read_members(struct entry *out, const char *text, size_t len)
{
	if (out->room < len + MEMBERS) {
		free(out->texts);
		out->room = 2 * (len + MEMBERS);
		out->texts = malloc(out->room);
		ASSERT(out->texts);
	}
	struct reader r = { text, text + len, out->texts };
	bool good = take(&r, "{");
	out->e = (struct audit_entry){ .text = text, .text_len = len };
	for (size_t i = 0; i < MEMBERS && good; i++) {
		bool there = take(&r, members[i].head + (i == 0));
		good = there ? take_value(&r, out, &members[i]) : i > 1;
	}
	return good && take(&r, "}") && r.at == r.end;
}

/* There is one way to write an entry; whatever is not written so (a time, an id, a text in another spelling) is none. */
static bool is_spelled_so(struct entry *x, const char *text, size_t len)
{
	if (!x->again)
		x->again = malloc(ENTRY_TEXT);
	ASSERT(x->again);
	return entry_write(x->again, &x->e) == len && memcmp(x->again, text, len) == 0;
}

bool entry_read(struct entry *out, const char *text, size_t len)
{
	return len <= ENTRY_TEXT && read_members(out, text, len) && is_spelled_so(out, text, len);
}

void entry_free(struct entry *x)
{
	free(x->texts);
	free(x->again);
}

void entry_hash(uint8_t hash[32], const uint8_t prev[32], const char *text, size_t len)
{
	char *both = malloc(65 + len);
	ASSERT(both);
	keys_hex(both, prev, 32);
	both[64] = ' ';
	memcpy(both + 65, text, len);
	digest_sha256(hash, both, 65 + len);
	free(both);
}
