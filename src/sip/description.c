/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* description.c: see description.h.
 *
 *   v=0                              -- session level: c= and direction hold for
 *   c=IN IP4 192.0.2.1               -- every m= line that does not state its own
 *   m=audio 49170 RTP/AVP 0 8 101    -- a media level begins: port, profile, payload types
 *   a=rtpmap:101 telephone-event/8000
 *   a=sendonly
 */
#include "sip/description.h"

#include <stdio.h>

#include "sip/clean.h"

#define STATIC_TYPES 19
#define SESSION_MAPS 16 /* rtpmap lines that stand before any m= line */

/* RFC 3551, tables 4 and 5: what a payload type means when no rtpmap says so. */
static const struct {
	const char *codec;
	uint32_t clock_rate;
	uint8_t channels;
} static_types[STATIC_TYPES] = {
	[0] = { "PCMU", 8000, 1 },   [3] = { "GSM", 8000, 1 },    [4] = { "G723", 8000, 1 },
	[5] = { "DVI4", 8000, 1 },   [6] = { "DVI4", 16000, 1 },  [7] = { "LPC", 8000, 1 },
	[8] = { "PCMA", 8000, 1 },   [9] = { "G722", 8000, 1 },   [10] = { "L16", 44100, 2 },
	[11] = { "L16", 44100, 1 },  [12] = { "QCELP", 8000, 1 }, [13] = { "CN", 8000, 1 },
	[14] = { "MPA", 90000, 1 },  [15] = { "G728", 8000, 1 },  [16] = { "DVI4", 11025, 1 },
	[17] = { "DVI4", 22050, 1 }, [18] = { "G729", 8000, 1 },
};

/* A c= line. */
struct connection {
	bool stated, is_ip;
	struct endpoint at; /* port 0 */
};

/* What a line outside m= and c= sets, at session or media level. */
struct level {
	struct connection connection;
	enum flow flow;
	uint32_t ptime_ms;
	bool secure;
	uint16_t rtcp_port;
};

struct reader {
	struct description *d;
	struct level session, *now; /* now: what lines apply to */
	struct level media[DESCRIPTION_AUDIO];
	uint16_t port[DESCRIPTION_AUDIO];
	struct description_audio *audio; /* of the m= line being read; NULL: none we follow */
	bool in_media;
	struct connection any_level; /* the first c= seen anywhere */
	struct media_payload maps[SESSION_MAPS];
	uint32_t maps_count;
};

/* ---- payload types --------------------------------------------------------------------- */

static enum payload_kind kind_of(const char *codec)
{
	if (strcasecmp(codec, "telephone-event") == 0)
		return PAYLOAD_EVENT;
	return strcasecmp(codec, "CN") == 0 ? PAYLOAD_NOISE : PAYLOAD_AUDIO;
}

static void payload_default(struct media_payload *p, uint32_t type)
{
	memset(p, 0, sizeof *p);
	p->type = (uint8_t)type;
	p->channels = 1;
	if (type < STATIC_TYPES && static_types[type].codec) {
		snprintf(p->codec, sizeof p->codec, "%s", static_types[type].codec);
		p->clock_rate = static_types[type].clock_rate;
		p->channels = static_types[type].channels;
	}
	p->kind = (uint8_t)kind_of(p->codec);
}

/* "96 opus/48000/2" */
static bool payload_map(struct media_payload *p, struct span value)
{
	uint32_t type, rate = 0, channels = 1;
	value = span_trim(value);
	if (!span_number(&value, 127, &type))
		return false;
	struct span name = span_trim(value);
	struct span rest = name;
	name = span_until(&rest, '/');
	struct span channels_text = rest;
	struct span rate_text = span_until(&channels_text, '/');
	memset(p, 0, sizeof *p);
	p->type = (uint8_t)type;
	clean_text(p->codec, sizeof p->codec, span_trim(name));
	(void)span_number(&rate_text, 1000000, &rate);
	if (!span_number(&channels_text, 255, &channels) || channels == 0)
		channels = 1;
	p->clock_rate = rate;
	p->channels = (uint8_t)channels;
	p->kind = (uint8_t)kind_of(p->codec);
	return p->codec[0] != '\0';
}

static struct media_payload *payload_find(struct media_payload *in, uint32_t n, uint32_t type)
{
	for (uint32_t i = 0; i < n; i++)
		if (in[i].type == type)
			return &in[i];
	return NULL;
}

static void read_rtpmap(struct reader *r, struct span value)
{
	struct media_payload map;
	if (!payload_map(&map, value))
		return;
	if (!r->in_media) {
		if (r->maps_count < SESSION_MAPS)
			r->maps[r->maps_count++] = map;
	} else if (r->audio) {
		struct media_payload *p =
			payload_find(r->audio->payloads, r->audio->payloads_count, map.type);
		if (p)
			*p = map;
	}
}

static void read_formats(struct reader *r, struct span formats)
{
	struct description_audio *a = r->audio;
	for (;;) {
		uint32_t type;
		struct span word = span_word(&formats);
		if (word.len == 0 || a->payloads_count == MEDIA_PAYLOADS)
			return;
		if (!span_number(&word, 127, &type) || word.len > 0 ||
		    payload_find(a->payloads, a->payloads_count, type))
			continue;
		struct media_payload *p = &a->payloads[a->payloads_count++];
		const struct media_payload *map = payload_find(r->maps, r->maps_count, type);
		if (map)
			*p = *map;
		else
			payload_default(p, type);
	}
}

/* ---- lines ----------------------------------------------------------------------------- */

static bool is_rtp_profile(struct span profile, bool *secure)
{
	bool rtp = false;
	*secure = false;
	while (profile.len > 0) {
		struct span part = span_until(&profile, '/');
		rtp |= span_is(part, "RTP");
		*secure |= span_is(part, "SAVP") || span_is(part, "SAVPF");
	}
	return rtp;
}

/* "audio 49170/2 RTP/AVP 0 8 101" */
static void read_media(struct reader *r, struct span value)
{
	struct description *d = r->d;
	uint32_t port;
	bool secure;

	r->in_media = true;
	r->audio = NULL;
	r->now = NULL;
	d->media_lines++;
	bool audio = span_is(span_word(&value), "audio");
	struct span port_text = span_word(&value);
	struct span profile = span_word(&value);
	if (!audio || !span_number(&port_text, UINT16_MAX, &port))
		return;
	if (port == 0) {
		d->refused_audio++;
		return;
	}
	if (!is_rtp_profile(profile, &secure) || d->audio_count == DESCRIPTION_AUDIO)
		return;
	uint8_t n = d->audio_count++;
	r->audio = &d->audio[n];
	r->now = &r->media[n];
	*r->now = r->session;
	r->now->connection.stated = false;
	r->now->secure |= secure;
	r->port[n] = (uint16_t)port;
	read_formats(r, value);
}

/* "IN IP4 224.2.1.1/127": the last word is the address, a multicast one followed by its TTL. */
static void read_connection(struct reader *r, struct span value)
{
	struct connection c = { .stated = true };
	(void)span_word(&value);
	(void)span_word(&value);
	struct span address = span_word(&value);
	address = span_until(&address, '/');
	c.is_ip = endpoint_parse_addr(&c.at, address.p, address.len, 0);
	if (!r->any_level.stated)
		r->any_level = c;
	if (r->now)
		r->now->connection = c;
}

static void read_attribute(struct reader *r, struct span value)
{
	static const char *const flows[] = {
		[FLOW_SENDRECV] = "sendrecv",
		[FLOW_SENDONLY] = "sendonly",
		[FLOW_RECVONLY] = "recvonly",
		[FLOW_INACTIVE] = "inactive",
	};
	struct span name = span_trim(span_until(&value, ':'));
	uint32_t n;
	value = span_trim(value);
	if (span_is(name, "rtpmap"))
		read_rtpmap(r, value);
	if (!r->now)
		return;
	for (size_t i = 0; i < sizeof flows / sizeof *flows; i++)
		if (span_is(name, flows[i]))
			r->now->flow = (enum flow)i;
	if (span_is(name, "ptime") && span_number(&value, 1000, &n))
		r->now->ptime_ms = n;
	else if (span_is(name, "crypto"))
		r->now->secure = true;
	else if (span_is(name, "rtcp") && span_number(&value, UINT16_MAX, &n))
		r->now->rtcp_port = (uint16_t)n;
}

static void read_line(struct reader *r, struct span line)
{
	line = span_trim(line);
	if (line.len < 2 || line.p[1] != '=')
		return;
	struct span value = span_of(line.p + 2, line.len - 2);
	switch (line.p[0]) {
	case 'm': read_media(r, value); break;
	case 'c': read_connection(r, value); break;
	case 'a': read_attribute(r, value); break;
	default: break;
	}
}

/* ---- the whole ------------------------------------------------------------------------- */

static void settle_audio(struct reader *r, unsigned n)
{
	struct description_audio *a = &r->d->audio[n];
	const struct level *l = &r->media[n];
	const struct connection *c = &l->connection;
	if (!c->stated)
		c = r->session.connection.stated ? &r->session.connection : &r->any_level;
	a->at = c->at;
	a->at.port = r->port[n];
	a->any_address = c->is_ip && endpoint_is_any(&c->at);
	a->has_endpoint = c->is_ip && !a->any_address;
	a->flow = l->flow;
	a->ptime_ms = l->ptime_ms;
	a->secure = l->secure;
	a->rtcp_port = l->rtcp_port;
}

bool description_read(struct description *d, struct span sdp)
{
	struct reader r = { .d = d };
	struct bytes text = bytes_over(sdp.p, sdp.len);
	struct span line;

	memset(d, 0, sizeof *d);
	r.now = &r.session;
	while (span_line(&text, &line))
		read_line(&r, line);
	for (unsigned n = 0; n < d->audio_count; n++)
		settle_audio(&r, n);
	if (d->audio_count > 0) {
		const struct description_audio *a = &d->audio[0];
		d->on_hold = a->any_address || a->flow == FLOW_SENDONLY || a->flow == FLOW_INACTIVE;
	}
	return d->media_lines > 0;
}

/* ---- finding it in a body -------------------------------------------------------------- */

/* The header lines of one part (RFC 2046, 5.1); true when they say that it is SDP. */
static bool part_is_sdp(struct bytes *text)
{
	struct span line;
	bool sdp = false;
	while (span_line(text, &line) && line.len > 0) {
		struct span value = line;
		struct span name = span_trim(span_until(&value, ':'));
		struct span type = span_trim(span_until(&value, ';'));
		if (span_is(name, "Content-Type") || span_is(name, "c"))
			sdp = span_is(type, "application/sdp");
	}
	return sdp;
}

static bool is_boundary(struct span line, const char *boundary)
{
	size_t len = strlen(boundary);
	return line.len >= len + 2 && line.p[0] == '-' && line.p[1] == '-' &&
	       memcmp(line.p + 2, boundary, len) == 0;
}

static bool find_part(const char *boundary, struct bytes text, struct span *sdp)
{
	struct span line;
	while (span_line(&text, &line)) {
		if (!is_boundary(line, boundary) || !part_is_sdp(&text))
			continue;
		const uint8_t *start = text.at, *end = text.at;
		while (span_line(&text, &line) && !is_boundary(line, boundary))
			end = text.at;
		*sdp = span_of(start, (size_t)(end - start));
		return true;
	}
	return false;
}

bool description_find(const char *content_type, const char *boundary, const uint8_t *body,
		      uint32_t len, struct span *sdp)
{
	struct span whole = span_of(body, len);
	struct span type = span_of(content_type, strlen(content_type));
	*sdp = whole;
	if (len == 0)
		return false;
	if (span_begins(type, "multipart/"))
		return boundary[0] != '\0' && find_part(boundary, bytes_over(body, len), sdp);
	if (type.len == 0)
		return span_begins(whole, "v=");
	return span_is(type, "application/sdp");
}
