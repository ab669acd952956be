/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* description.c: see description.h.
 *
 *   v=0                              -- session level: c= and direction hold for
 *   c=IN IP4 192.0.2.1               -- every m= line that does not state its own
 *   m=audio 49170 RTP/AVP 0 8 101    -- a media level begins: port, profile, payload types
 *   a=rtpmap:101 telephone-event/8000
 *   a=sendonly
 *   a=candidate:1 1 UDP 2130706431 192.0.2.1 49170 typ host     -- ICE: it may receive here too
 *   a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...               -- SRTP, sdes.h
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
	bool secure, fingerprint,
		zrtp; /* RTP/SAVP(F); a=fingerprint (RFC 8122); a=zrtp-hash (RFC 6189, 8) */
	bool ice, rtcp_mux;
	uint16_t rtcp_port;
	struct endpoint rtcp; /* address of a=rtcp, where it states one; port 0: it does not */
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

void description_static(struct media_payload *p, uint8_t type)
{
	memset(p, 0, sizeof *p);
	p->type = type;
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
			description_static(p, (uint8_t)type);
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

static const struct {
	const char *media, *name;
} other_media[OTHER_KINDS] = {
	{ "video", "video" }, { "text", "text" },       { "", "t38" },
	{ "image", "image" }, { "message", "message" }, { "application", "application" },
};

const char *description_other_name(unsigned i)
{
	return other_media[i].name;
}

static void note_other(struct description *d, struct span media, struct span profile,
		       struct span formats)
{
	bool t38 = span_is(media, "image") &&
		   (span_is(span_word(&formats), "t38") || span_is(profile, "udptl"));
	if (t38)
		d->other |= OTHER_T38;
	for (unsigned i = 0; i < OTHER_KINDS && !t38; i++)
		if (span_is(media, other_media[i].media))
			d->other |= 1u << i;
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
	uint32_t index = d->media_lines++;
	struct span media = span_word(&value);
	struct span port_text = span_word(&value);
	struct span profile = span_word(&value);
	bool audio = span_is(media, "audio");
	if (!span_number(&port_text, UINT16_MAX, &port))
		return;
	if (!audio && port != 0)
		note_other(d, media, profile, value);
	if (audio && port == 0) {
		d->refused_audio++;
		if (index < DESCRIPTION_LINES)
			d->refused |= UINT32_C(1) << index;
	}
	if (!audio || port == 0 || index >= DESCRIPTION_LINES)
		return;
	if (!is_rtp_profile(profile, &secure) || d->audio_count == DESCRIPTION_AUDIO)
		return;
	uint8_t n = d->audio_count++;
	r->audio = &d->audio[n];
	r->now = &r->media[n];
	*r->now = r->session;
	r->now->connection.stated = false;
	r->now->secure |= secure;
	r->audio->index = (uint8_t)index;
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

/* "53020 IN IP4 192.0.2.9": the address may be left out. */
static void read_rtcp(struct level *l, struct span value)
{
	uint32_t port;
	if (!span_number(&value, UINT16_MAX, &port))
		return;
	l->rtcp_port = (uint16_t)port;
	(void)span_word(&value);
	(void)span_word(&value);
	struct span address = span_word(&value);
	if (address.len == 0 ||
	    !endpoint_parse_addr(&l->rtcp, address.p, address.len, l->rtcp_port))
		l->rtcp.port = 0;
}

/* "1 1 UDP 2130706431 192.0.2.1 49170 typ host" (RFC 8839, 5.1).  Component 1 is RTP. */
static void read_candidate(struct description_audio *a, struct span value)
{
	struct endpoint at;
	uint32_t component, port;
	(void)span_word(&value);
	struct span component_text = span_word(&value);
	struct span transport = span_word(&value);
	(void)span_word(&value);
	struct span address = span_word(&value);
	struct span port_text = span_word(&value);
	if (!span_number(&component_text, 256, &component) || component != 1 ||
	    !span_is(transport, "UDP") || !span_number(&port_text, UINT16_MAX, &port) ||
	    port == 0 || !endpoint_parse_addr(&at, address.p, address.len, (uint16_t)port) ||
	    endpoint_is_any(&at))
		return;
	for (unsigned i = 0; i < a->candidates_count; i++)
		if (endpoint_equal(&a->candidates[i], &at))
			return;
	if (a->candidates_count < DESCRIPTION_CANDIDATES)
		a->candidates[a->candidates_count++] = at;
}

/* Attributes that are true by being there. */
static void read_flag(struct level *l, struct span name)
{
	static const char *const flows[] = {
		[FLOW_SENDRECV] = "sendrecv",
		[FLOW_SENDONLY] = "sendonly",
		[FLOW_RECVONLY] = "recvonly",
		[FLOW_INACTIVE] = "inactive",
	};
	for (size_t i = 0; i < sizeof flows / sizeof *flows; i++)
		if (span_is(name, flows[i]))
			l->flow = (enum flow)i;
	l->rtcp_mux |= span_is(name, "rtcp-mux");
	l->fingerprint |= span_is(name, "fingerprint");
	l->zrtp |= span_is(name, "zrtp-hash");
	l->ice |= span_is(name, "ice-ufrag");
}

static void read_attribute(struct reader *r, struct span value)
{
	struct span name = span_trim(span_until(&value, ':'));
	uint32_t n;
	value = span_trim(value);
	if (span_is(name, "rtpmap"))
		read_rtpmap(r, value);
	if (!r->now)
		return;
	read_flag(r->now, name);
	if (span_is(name, "ptime") && span_number(&value, 1000, &n))
		r->now->ptime_ms = n;
	else if (span_is(name, "rtcp"))
		read_rtcp(r->now, value);
	else if (span_is(name, "crypto"))
		r->now->secure = true;
	if (r->audio && span_is(name, "crypto"))
		(void)sdes_read(&r->audio->crypto, value);
	else if (r->audio && span_is(name, "candidate"))
		read_candidate(r->audio, value);
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

/* What a line says of how its payload is protected.  SRTP that is offered with several ways to key it counts as the one
 * that we could follow, until the answer chooses. */
static enum protection protection_of(const struct description_audio *a, const struct level *l)
{
	if (a->crypto.count > 0)
		return PROTECTION_SDES;
	if (l->fingerprint)
		return PROTECTION_DTLS;
	if (l->zrtp)
		return PROTECTION_ZRTP;
	return l->secure ? PROTECTION_NO_KEY : PROTECTION_NONE;
}

static void settle_rtcp(struct description_audio *a, const struct level *l)
{
	a->rtcp_mux = l->rtcp_mux;
	a->rtcp = l->rtcp;
	if (l->rtcp.port != 0 && !l->rtcp_mux)
		return;
	a->rtcp = a->at;
	a->rtcp.port = l->rtcp_port ? l->rtcp_port : (uint16_t)(a->at.port + 1);
	if (l->rtcp_mux || !a->has_endpoint)
		a->rtcp.port = 0;
}

static void drop_candidate(struct description_audio *a, const struct endpoint *at)
{
	for (unsigned i = 0; i < a->candidates_count; i++)
		if (endpoint_equal(&a->candidates[i], at))
			a->candidates[i] = a->candidates[--a->candidates_count];
}

static void settle_audio(struct reader *r, unsigned n)
{
	struct description_audio *a = &r->d->audio[n];
	const struct level *l = &r->media[n];
	const struct connection *c = &l->connection;
	if (!c->stated)
		c = r->session.connection.stated ? &r->session.connection : &r->any_level;
	a->at = c->at;
	a->at.port = r->port[n];
	/* With ICE the zero address only says that candidates follow (RFC 8840, 4.1.1). */
	bool any = c->is_ip && endpoint_is_any(&c->at);
	a->any_address = any && !l->ice;
	a->has_endpoint = c->is_ip && !any;
	a->flow = l->flow;
	a->ptime_ms = l->ptime_ms;
	a->secure = l->secure;
	a->protection = (uint8_t)protection_of(a, l);
	drop_candidate(a, &a->at);
	settle_rtcp(a, l);
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
		d->consents = a->flow == FLOW_RECVONLY;
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
