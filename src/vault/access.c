/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* access.c: see access.h.  On the vault's thread. */
#include "vault/access.h"

bool access_sees(const struct request *q, struct call *c)
{
	(void)c;
	return q->person.role != ROLE_NONE;
}

enum rc access_call(const struct request *q, const char *id, struct call **out, struct error *err)
{
	struct uuid found;
	struct call *c = NULL;
	if (!id)
		return error_set(err, RC_USAGE, "which recording? An id is wanted");
	enum rc rc = catalogue_find(q->v, id, &found, err);
	if (rc == RC_OK)
		rc = catalogue_get(q->v, &found, &c, err);
	if (rc == RC_OK && !access_sees(q, c))
		rc = error_set(err, RC_USAGE, "no such recording");
	if (rc == RC_OK)
		*out = c;
	else
		call_row_free(c);
	return rc;
}
