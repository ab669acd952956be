/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* version.h: which callspan this is. */
#ifndef CALLSPAN_BASE_VERSION_H
#define CALLSPAN_BASE_VERSION_H

#define CALLSPAN_VERSION "0.1.0"

#endif
