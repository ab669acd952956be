/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* recorder_files.h: the recorder's signing key, for the writer alone.
 *
 * At start only; what everybody may read of STORE/recorder is in store.h.
 */
#ifndef CALLSPAN_STORE_RECORDER_FILES_H
#define CALLSPAN_STORE_RECORDER_FILES_H

#include "store/store.h"

/* RC_FAILED with one line when sign.key or sign.pub is missing, is no key, or they do not belong
 * together. */
enum rc recorder_files_sign_pair(const char *store, struct sign_pair *sign,
				 struct error *err) MUST_USE;

#endif
