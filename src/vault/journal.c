/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* journal.c: anchors of the audit trail to systemd's journal, where one runs; else to the log.
 *
 * The journal is another user's, and may seal itself or send itself elsewhere: a trail put back to an older state
 * contradicts it.  Find them with: journalctl MESSAGE_ID=6f1c5d0e8b7a4c33a2d4f9e17b60c85d
 */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <inttypes.h>
#include <systemd/sd-journal.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "vault/heads.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

void journal_anchor(const char *store, const struct audit_mark *m, const char *line)
{
	char hash[65];
	int len = (int)(strcspn(line, "\n"));
	keys_hex(hash, m->hash, 32);
	if (access(JOURNAL_SOCKET, W_OK) == 0 &&
	    sd_journal_send("MESSAGE=audit-anchor number=%" PRIu64 " head=%s", m->number, hash,
			    "MESSAGE_ID=6f1c5d0e8b7a4c33a2d4f9e17b60c85d", "PRIORITY=%d", 5,
			    "SYSLOG_IDENTIFIER=callspan", "CALLSPAN_STORE=%s", store,
			    "CALLSPAN_AUDIT_NUMBER=%" PRIu64, m->number, "CALLSPAN_AUDIT_HEAD=%s",
			    hash, "CALLSPAN_AUDIT_ANCHOR=%.*s", len, line, NULL) == 0)
		return;
	log_info("audit-anchor", "number=%" PRIu64 " head=%s", m->number, hash);
}
