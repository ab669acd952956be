/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* call.h: what signalling knows of one call; shared by the files of this folder.
 *
 * A call is everything under one Call-ID.  Usually that is one dialog; it can be more:
 *
 *   caller ──hop 0──► proxy or B2BUA ──hop 1──► callee A     hop: a From tag of the first INVITE
 *                                    └─────────► callee B     leg: a To tag that answered on a hop
 *
 * A proxy leaves tags alone, so both of its sides are hop 0, told apart by branches.
 *
 * Which message becomes which event is dialog.c's; what an event does to a call is the
 * table's in state.c; endpoints and offers are exchange.c's; calls.c finds, opens and closes
 * calls and owns struct signalling.
 */
#ifndef CALLSPAN_SIP_CALL_H
#define CALLSPAN_SIP_CALL_H

#include "base/table.h"
#include "sip/known.h"
#include "sip/message.h"
#include "sip/sip.h"
#include "sip/wheel.h"

#define CALL_HOPS      4
#define CALL_LEGS      16
#define CALL_BRANCHES  8
#define CALL_EXCHANGES 8
#define CALL_BYES      4
#define CALL_SEEN      32
#define PARTY_LINES    16 /* endpoints a party may have at once */
#define CALL_TIES      4
#define MEDIA_LINES    8 /* m= lines of an exchange told apart; later ones count as the last */
#define STREAM_NUMBERS 65536
#define NO_LEG         UINT8_MAX
#define TRANSPORT_UDP  17

/* A 128-bit keyed digest of a Call-ID, or of what calls have in common; all zero: absent. */
struct digest {
	uint64_t w[2];
};

static inline bool digest_equal(const struct digest *a, const struct digest *b)
{
	return a->w[0] == b->w[0] && a->w[1] == b->w[1];
}

static inline bool digest_is_none(const struct digest *d)
{
	return d->w[0] == 0 && d->w[1] == 0;
}

/* The tags and branch of the message in hand: half of their digests, for they are told apart within a call only; 0: absent. */
struct marks {
	uint64_t from, to, branch;
};

struct hop {
	uint64_t caller_tag;
	uint32_t cseq;  /* of its newest initial INVITE */
	uint8_t winner; /* the leg that answered first, or NO_LEG */
};

enum leg_state { LEG_EARLY, LEG_CONFIRMED, LEG_ENDED };

struct leg {
	uint64_t tag; /* the callee's */
	uint8_t hop;
	uint8_t state; /* enum leg_state */
};

/* One INVITE transaction of the newest attempt; [0] is the first seen, the nearest to the
 * caller, whose final response is the call's. */
struct branch {
	uint64_t id;
	bool cancelled;
};

/* One offer and its answer: an INVITE, UPDATE or PRACK transaction. */
struct exchange {
	uint32_t number; /* from 1, ascending in the call */
	uint32_t cseq;
	int64_t start_ns; /* of its request: no media of its endpoints is older */
	uint8_t method;   /* enum method */
	uint8_t by;       /* enum track: who sent the request */
	uint8_t hop;
	bool initial;
	bool accepted;
	bool unseen;   /* its request was not */
	bool keyless;  /* accepted before the other side's keys came: "srtp-no-key" may be wrong */
	bool named[2]; /* the party has described its endpoints in it */
	bool on_hold[2];  /* so described */
	bool consents[2]; /* it only receives, as the answer to a hold has it */
	uint8_t offerer;  /* enum track: who described first; valid once one has */
	uint8_t answered
		[MEDIA_LINES]; /* protections that answers state, by m= line: bits of enum protection */
	uint8_t other[2];      /* bits: enum other_media */
	uint32_t refused[2];      /* audio lines it refused: bits, by m= line */
	struct stated_keys *keys; /* owned: both parties' (keys.c); NULL: none stated */
};

/* An endpoint where a party receives, by its SDP. */
struct line {
	struct endpoint at;
	struct endpoint *rtcp_elsewhere; /* owned: where RTCP comes; NULL: to the same address */
	int64_t from_ns;
	int64_t retire_ns; /* it is forgotten when this time has come; 0: it is in use */
	uint32_t named_in; /* the newest exchange that named it */
	uint32_t born_in;  /* the exchange that named it first */
	uint32_t payloads; /* held: of signalling's maps; INTERN_NONE: none yet */
	uint32_t ptime_ms;
	uint16_t stream_base;
	uint16_t rtcp_port; /* 0: with RTP */
	uint8_t hop, leg;   /* where it was named last; leg: NO_LEG for the caller's */
	uint8_t index;      /* its m= line */
	/* enum protection: by its own description; by the answer too */
	uint8_t stated : 4, protection : 4;
};
_Static_assert(sizeof(struct line) == 72, "there is one a stream");

struct party {
	struct line *lines;     /* owned: a list (list.h) */
	struct line first_line; /* of it */
	uint32_t settled_in;    /* the newest accepted exchange that described it */
	uint8_t lines_count;
	bool on_hold;
};

/* Messages seen, each as a digest: INVITE, 180, 200 and ACK are what an open call has had. */
#define PRINTS 4
struct prints {
	uint64_t of[PRINTS];
};

/* A BYE that waits for its response. */
struct bye {
	int64_t at_ns; /* when it was first sent */
	uint32_t cseq;
	uint8_t by;  /* enum track */
	uint8_t leg; /* it ends only this leg; NO_LEG: the call */
};

/* How the call will end if nothing else happens until due_ns. */
struct ending {
	int64_t due_ns; /* 0: nothing is pending */
	int64_t at_ns;
	uint8_t outcome; /* enum call_outcome */
	uint8_t by;      /* enum call_ended_by */
};

struct call {
	uint64_t number; /* its low half is the place in signalling's calls (call_index) */
	struct digest key;
	struct known known; /* what its record says */

	int64_t start_ns; /* its first INVITE */
	int64_t last_ns;  /* when SIP or media was last seen */
	int64_t heard_ns; /* when SIP was: no message of the call counts as earlier */
	union {
		struct ending pending; /* while it is open */
		struct {
			int64_t end_ns, until_ns; /* once it has ended */
		};
	};
	struct wheel_item timer;
	struct call *member_next; /* of its conversation, a circle */
	uint64_t other_leg;       /* number of the B2BUA's leg that it continues; 0: none */

	bool changed : 1; /* the record must be sent */
	bool joined : 1;  /* begun by a re-INVITE: we came in mid-call */
	bool lives : 1;   /* someone answered its INVITE in any way, or media was seen */
	bool branches_full : 1;
	bool orphan : 1;     /* media without signalling: no Call-ID, no parties */
	bool announced : 1;  /* the sink knows of it */
	bool paired : 1;     /* as the first leg of a B2BUA */
	bool challenged : 1; /* its last response made its caller try again */

	/* what the policy makes of it (judgement.c) */
	bool excluded : 1; /* a line that is never recorded takes part */
	bool unlisted : 1; /* it is not recorded: the sink hears of its media alone */
	bool keep_signalling : 1;
	uint8_t dtmf; /* enum dtmf_keep */
	uint8_t hops_count, legs_count, branches_count, byes_count, ties_count, exchanges_count;
	uint32_t seen_next;
	const char *retention;      /* borrowed: of the policy, or of the configuration */
	struct held_policy *policy; /* held: the one that it began under; NULL: none */

	/* Lists (list.h), owned; the constants beside them say how long they get.  What most calls have once has a place here. */
	struct hop *hops;           /* CALL_HOPS */
	struct leg *legs;           /* CALL_LEGS */
	struct branch *branches;    /* CALL_BRANCHES */
	struct bye *byes;           /* CALL_BYES */
	struct digest *ties;        /* CALL_TIES: what others of its conversation may have too */
	struct exchange *exchanges; /* CALL_EXCHANGES */
	struct prints *seen;        /* CALL_SEEN, four by four: messages seen lately, then a ring */
	struct hop first_hop;
	struct leg first_leg;
	struct branch first_branch;
	struct exchange first_exchange;
	struct prints first_seen;

	uint32_t exchanges_made;
	uint32_t stream_next;
	struct party parties[2]; /* by enum track */
};

static inline uint32_t call_index(const struct call *c)
{
	return (uint32_t)c->number;
}

/* A Call-ID that lately was a call's: retransmissions create nothing. */
struct tombstone {
	struct digest key;
	uint64_t caller_tag;
	int64_t ended_ns;
	uint32_t cseq; /* highest of its initial INVITEs */
	bool used;
	bool challenged; /* it ended waiting for its caller to try again */
	struct uuid conversation;
};

struct signalling {
	struct signalling_config cfg;
	struct message_parser *parser;
	struct sip_message message; /* the one in hand */
	struct table *index;        /* Call-ID digest -> call, or max_calls + tombstone */
	struct call **calls;        /* owned, by index; NULL: free */
	struct intern *maps;        /* owned: payload maps, which most endpoints share */
	uint32_t lines, lines_most; /* endpoints of all calls; as many as media can expect */
	uint32_t *free_indices;
	uint32_t free_count;
	uint64_t serial;              /* of the newest call */
	struct tombstone *tombstones; /* a ring, in order of time */
	uint32_t tombstone_next, tombstone_oldest, tombstones_used;
	struct wheel wheel;
	int64_t now_ns;             /* the newest packet time */
	int64_t first_ns;           /* the oldest: when it began */
	struct held_policy *policy; /* held: in force; NULL: none (judgement.c) */

	struct table *ties;      /* digest -> index of the call that has it */
	struct invited *invited; /* owned: a ring of INVITEs lately seen (conversation.c) */
	uint32_t invited_next, invited_most;
	struct referral *referrals; /* owned: a ring of transfers lately asked for (transfer.c) */
	uint32_t referrals_next, referrals_most;
	struct table *orphan_ends; /* endpoint -> index of the call without signalling (orphan.c) */
	uint32_t orphans;          /* open now */
};

static inline enum track track_other(enum track t)
{
	return t == TRACK_CALLER ? TRACK_CALLEE : TRACK_CALLER;
}

static inline int64_t us_of(int64_t ns)
{
	return ns / NS_PER_US;
}

/* The message in hand, as a call sees it. */
struct incoming {
	const struct sip_message *m;
	struct marks marks;
	int64_t ts_ns;
	const struct datagram *d; /* its bytes as they came, and between which hosts */
	uint8_t transport;        /* TRANSPORT_UDP or 6, TCP */
};

#endif
