/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Any bytes as an entry of the audit trail: what is read is written again byte for byte, so no two texts say the same. */
#include <string.h>

#include "vault/entry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char again[ENTRY_TEXT];
	struct entry x = { 0 };
	if (entry_read(&x, (const char *)data, size)) {
		size_t len = entry_write(again, &x.e);
		ASSERT(len == size && memcmp(again, data, len) == 0);
	}
	entry_free(&x);
	return 0;
}
