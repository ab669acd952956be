/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* messages.h: what travels on the recorder's rings, and the outbox that feeds them.
 *
 * Every message is a struct message header and one of the public message structs behind it.
 * Chunks travel as pointers: the buffer itself is moved, and comes back on the ring
 * from writer to capture thread.
 */
#ifndef CALLSPAN_RECORDER_MESSAGES_H
#define CALLSPAN_RECORDER_MESSAGES_H

#include "base/ring.h"
#include "rtp/rtp.h"
#include "sip/sip.h"
#include "store/store.h"

enum message_kind {
	/* to a writer */
	MESSAGE_OPEN,       /* struct store_open */
	MESSAGE_CALL,       /* struct call_message */
	MESSAGE_STREAM,     /* struct stream_record */
	MESSAGE_CHUNK,      /* struct chunk *, moved */
	MESSAGE_DONE,       /* uint64_t: call number */
	MESSAGE_SIGNALLING, /* struct signalling_message, then the SIP message's bytes */
	/* to a capture thread */
	MESSAGE_EXPECT,   /* struct media_expect */
	MESSAGE_FORGET,   /* struct media_forget */
	MESSAGE_DATAGRAM, /* struct datagram, then its payload: put together from fragments */
	MESSAGE_NOT_SIP,  /* struct endpoint [2]: TCP from the first to the second carries no SIP */
	/* to signalling */
	MESSAGE_SIP,    /* struct sip_message_head, then the payload */
	MESSAGE_PIECE,  /* struct piece, then its bytes */
	MESSAGE_ALIVE,  /* struct alive_message */
	MESSAGE_ORPHAN, /* struct media_orphan */
	MESSAGE_REMARK  /* struct remark_message */
};

struct message {
	uint32_t kind;
	uint32_t zero; /* what follows is 8-byte aligned */
};

struct call_message {
	uint64_t call;
	struct call_record record;
};

struct signalling_message {
	uint64_t call;
	struct signalling_record record; /* its `bytes` mean nothing: they follow */
};

struct alive_message {
	uint64_t call;
	int64_t ts_ns;
};

struct remark_message {
	uint64_t call;
	int64_t ts_ns;
	const char *coverage; /* static */
};

/* A datagram that is SIP; its payload bytes follow. */
struct sip_message_head {
	int64_t ts_ns;
	struct endpoint src, dst;
	uint32_t len, wire_len;
};

/* A producer's side of a ring for messages that must never be dropped.  When the ring is full
 * they wait, in order, in a list of the producer's own (the one place outside signalling where a recorder thread
 * may allocate: the disk or the other thread is stuck already). */
struct outbox {
	struct ring *ring; /* borrowed */
	struct outbox_item *first, *last;
	size_t waiting; /* items */
};

/* Send a header and `len` bytes.  Copies. */
void outbox_put(struct outbox *o, enum message_kind kind, const void *body, size_t len);
/* MESSAGE_CALL.  The record, which may hold media keys, is copied nowhere but onto its way. */
void outbox_put_call(struct outbox *o, uint64_t call, const struct call_record *r);
/* MESSAGE_SIGNALLING, with the bytes that `r` borrows. */
void outbox_put_signalling(struct outbox *o, uint64_t call, const struct signalling_record *r);
/* Move what waits into the ring.  True when nothing waits any more. */
bool outbox_flush(struct outbox *o);
void outbox_clear(struct outbox *o);

/* Send a message that may be refused: false when the ring is full or older messages wait. */
bool outbox_offer(struct outbox *o, enum message_kind kind, const void *body, size_t len);

/* The body of a message of `n` bytes. */
static inline const void *message_body(const void *message)
{
	return (const uint8_t *)message + sizeof(struct message);
}

#endif
