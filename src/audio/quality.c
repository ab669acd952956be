/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* quality.c: mean opinion score by the E-model.
 *
 * Pure; any thread.
 *
 *     R = R0 - Id - Ie,eff              Ie,eff = Ie + (95 - Ie) * Ppl / (Ppl / BurstR + Bpl)
 *
 * (ITU-T G.107, 7.5, and G.107.1, 7.5, with its own scale.)  Ppl is the share of packets lost, in per cent; BurstR how
 * much longer losses run than they would by chance.  The path is recorded in one place, so its delay is not known:
 * Id is 0, as for less than about 150 ms.
 */
#include <math.h>
#include <strings.h>

#include "audio/audio.h"

#define R0_NARROW 93.2  /* G.107, all else at its default */
#define R0_WIDE   129.0 /* G.107.1 */

struct model {
	const char *codec;
	double ie;           /* ITU-T G.113, appendix I (wide: appendix IV) */
	double bpl;          /* the same; 0: none is published, so with loss there is no model */
	unsigned least_rate; /* bit/s of payload, where one name stands for several rates */
	bool wide;
};

/* clang-format off */
static const struct model models[] = {
	{ "PCMU",     0.0, 25.1, 0, false }, /* with concealment */
	{ "PCMA",     0.0, 25.1, 0, false },
	{ "G729",    11.0, 19.0, 0, false }, /* annex A with B */
	{ "G723",    15.0, 16.1,  6000, false }, /* 6.3 kbit/s: 24 octets of 30 ms; the other rate has 20 */
	{ "AMR",      5.0, 10.0, 12400, false }, /* 12.2 kbit/s is GSM-EFR: 31 octets of 20 ms and their head */
	{ "GSM",     20.0,  0.0, 0, false },
	{ "G726-16", 50.0,  0.0, 0, false },
	{ "G726-24", 25.0,  0.0, 0, false },
	{ "G726-32",  7.0,  0.0, 0, false },
	{ "G726-40",  2.0,  0.0, 0, false },
	{ "AAL2-G726-16", 50.0, 0.0, 0, false },
	{ "AAL2-G726-24", 25.0, 0.0, 0, false },
	{ "AAL2-G726-32",  7.0, 0.0, 0, false },
	{ "AAL2-G726-40",  2.0, 0.0, 0, false },
	{ "G721",     7.0,  0.0, 0, false },
	{ "G722",    13.0,  0.0, 0, true },
};
/* clang-format on */

/* With pauses that are not sent in full, a mean says nothing of the rate: then there is no figure. */
static bool is_of_rate(const struct stream_record *r, unsigned least)
{
	double seconds = (double)r->packets * r->ptime_ms / 1000.0;
	return least == 0 || (seconds > 0.0 && 8.0 * (double)r->bytes >= least * seconds);
}

static const struct model *model_of(const struct stream_record *r)
{
	for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
		const struct model *m = &models[i];
		if (strcasecmp(r->codec, m->codec) == 0)
			return is_of_rate(r, m->least_rate) ? m : NULL;
	}
	return NULL;
}

/* G.107, annex B. */
static double mos_of(double r)
{
	if (r <= 0.0)
		return 1.0;
	if (r >= 100.0)
		return 4.5;
	double mos = 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6;
	return mos < 1.0 ? 1.0 : mos;
}

/* Mean run of losses over the mean run that chance would make, 1 / (1 - share). */
static double burst_ratio(const struct stream_record *r, double share)
{
	if (r->loss_runs == 0 || r->loss_runs > r->lost)
		return 1.0;
	double ratio = (double)r->lost / (double)r->loss_runs * (1.0 - share);
	return ratio < 1.0 ? 1.0 : ratio;
}

double audio_mos(const struct stream_record *r)
{
	const struct model *m = model_of(r);
	if (!m || r->packets == 0 || (r->lost > 0 && m->bpl == 0.0))
		return NAN;
	double share = (double)r->lost / ((double)r->lost + (double)r->packets);
	double per_cent = 100.0 * share, impairment = m->ie;
	if (per_cent > 0.0)
		impairment +=
			(95.0 - m->ie) * per_cent / (per_cent / burst_ratio(r, share) + m->bpl);
	/* The wide scale is put on the narrow one, where the mean opinion is defined (G.107.1, 7.7: R / 1.29). */
	return m->wide ? mos_of((R0_WIDE - impairment) / 1.29) : mos_of(R0_NARROW - impairment);
}
