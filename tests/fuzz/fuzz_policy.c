/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* fuzz_policy.c: any bytes as a policy file: refused with its place, or a policy that holds together. */
#include <string.h>

#include "store/store.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy p;
	struct error err;
	enum rc rc = policy_parse(&p, data, size, "p", &err);
	if (rc != RC_OK) {
		ASSERT(rc == RC_USAGE && strncmp(err.text, "p:", 2) == 0);
		return 0;
	}
	ASSERT(p.classes_count && p.default_class < p.classes_count && p.name[0]);
	for (uint32_t i = 0; i < p.classes_count; i++) {
		const struct policy_class *c = &p.classes[i];
		ASSERT(!c->days != !c->months);
		ASSERT(policy_expiry_us(c, INT64_C(1772532000000000)) > INT64_C(1772532000000000));
		ASSERT(policy_class_named(&p, c->name) == c);
	}
	return 0;
}
