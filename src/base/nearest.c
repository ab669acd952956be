/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* nearest.c: see nearest.h. */
#include "base/nearest.h"

#include <string.h>

size_t nearest_difference(const char *a, const char *b)
{
	size_t row[NEAREST_WORD + 1];
	size_t a_len = strnlen(a, NEAREST_WORD), b_len = strnlen(b, NEAREST_WORD);
	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);
			size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
			diagonal = row[j];
			row[j] = change < other ? change : other;
		}
	}
	return row[b_len];
}

const char *nearest_of(const char *word, const char *const *names, size_t count)
{
	const char *best = NULL;
	size_t len = strnlen(word, NEAREST_WORD + 1), least = len / 3 + 1;
	for (size_t i = 0; i < count && len <= NEAREST_WORD; i++) {
		size_t d = nearest_difference(word, names[i]);
		if (d <= least && strnlen(names[i], NEAREST_WORD + 1) <= NEAREST_WORD) {
			best = names[i];
			least = d - (d > 0);
		}
	}
	return best;
}
