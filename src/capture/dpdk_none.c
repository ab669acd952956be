/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* dpdk_none.c: stands in for dpdk.c where callspan is built without DPDK. */
#include "capture/capture.h"

enum rc capture_check_dpdk(const char *arguments, struct error *err)
{
	(void)arguments;
	return error_set(
		err, RC_FAILED,
		"capture.dpdk: this callspand is built without DPDK: install libdpdk-dev and "
		"build it again");
}

enum rc capture_open_dpdk(struct capture **out, unsigned threads, const struct capture_dpdk *cfg,
			  struct error *err)
{
	(void)out;
	(void)threads;
	return capture_check_dpdk(cfg->arguments, err);
}
