/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Interfaces: hearing what comes in, and what is said of one that is no mirror port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/check.h"

static struct error err;

static void says_why_an_interface_cannot_be_opened(void **state)
{
	(void)state;
	struct capture_live cfg = { "nosuch0", NULL, 1, 65535, -1 };
	struct capture *c = NULL;

	assert_int_equal(capture_open_live(&c, &cfg, &err), RC_FAILED);
	assert_null(c);
	assert_memory_equal(err.text, "nosuch0: ", 9);
	assert_null(strchr(err.text, '\n'));
}

/* Needs the right to listen; skipped without. */
static void hears_a_datagram_on_the_loopback_interface_once(void **state)
{
	(void)state;
	struct capture_live cfg = { "lo", "udp", 1, 2048, -1 };
	struct sockaddr_in to = { .sin_family = AF_INET };
	socklen_t size = sizeof to;
	struct capture *c;
	struct frame frames[CAPTURE_BURST];
	struct counters counters = { 0 };
	struct datagram d;
	struct piece piece;
	struct decoder decoder = { 0 };
	int heard = 0;

	if (capture_open_live(&c, &cfg, &err) != RC_OK) {
		print_message("%s: skipped\n", err.text);
		skip();
	}
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, sizeof to), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&to, &size), 0);
	assert_int_equal(sendto(fd, "first", 5, 0, (struct sockaddr *)&to, sizeof to), 5);
	assert_int_equal(sendto(fd, "last", 4, 0, (struct sockaddr *)&to, sizeof to), 4);
	for (bool last = false; !last;) {
		int n = capture_burst(c, frames, CAPTURE_BURST);
		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			if (decode_frame(&decoder, &frames[i], &d, &piece, &counters) !=
				    DECODE_UDP ||
			    d.dst.port != ntohs(to.sin_port))
				continue;
			heard++;
			last = last || d.len == 4;
			assert_memory_equal(d.payload, d.len == 4 ? "last" : "first", d.len);
			assert_int_equal(d.src.port, ntohs(to.sin_port));
		}
		if (n == 0)
			capture_wait(c, 1000);
	}
	assert_int_equal(heard, 2); /* what came in; not what went out, too */
	assert_int_equal(capture_kernel_drops(c), 0);
	assert_null(capture_failure(c));
	close(fd);
	capture_close(c);
}

static void a_wrong_filter_for_an_interface_is_wrong_usage(void **state)
{
	(void)state;
	struct capture_live cfg = { "lo", "udp prot", 1, 2048, -1 };
	struct capture *c = NULL;

	enum rc rc = capture_open_live(&c, &cfg, &err);
	if (rc == RC_FAILED) {
		print_message("%s: skipped\n", err.text);
		skip();
	}
	assert_int_equal(rc, RC_USAGE);
	assert_memory_equal(err.text, "lo: filter: ", 12);
}

static void warns_with_the_commands_to_run(void **state)
{
	(void)state;
	char text[1000];
	struct check_facts all = { true, true, true, true }, none = { 0 }, gro = { .gro = true };

	assert_int_equal(check_text("eth1", &none, text, sizeof text), 0);
	assert_string_equal(text, "");
	assert_int_equal(check_text("eth1", &gro, text, sizeof text), 1);
	assert_string_equal(text, "eth1 glues frames together (GRO): ethtool -K eth1 gro off\n");
	assert_int_equal(check_text("eth1.7", &all, text, sizeof text), 4);
	assert_non_null(strstr(text, ": ip addr flush dev eth1.7\n"));
	assert_non_null(strstr(text, ": sysctl -w net.ipv6.conf.eth1/7.disable_ipv6=1\n"));
	assert_non_null(strstr(text, ": ethtool -K eth1.7 gro off\n"));
	assert_non_null(strstr(text, ": ethtool -K eth1.7 lro off\n"));
	/* whole lines only */
	assert_int_equal(check_text("eth1", &all, text, 80), 4);
	assert_int_equal(text[strlen(text) - 1], '\n');
	assert_int_equal(check_text("eth1", &all, text, 3), 4);
	assert_string_equal(text, "");
}

static void finds_nothing_wrong_where_there_is_nothing_to_say(void **state)
{
	(void)state;
	char text[500];

	assert_int_equal(capture_check_interface("lo", text, sizeof text), 0);
	assert_int_equal(capture_check_interface("nosuch0", text, sizeof text), 0);
	assert_int_equal(capture_check_interface("../../etc", text, sizeof text), 0);
	assert_int_equal(capture_check_interface("a-name-far-too-long", text, sizeof text), 0);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_why_an_interface_cannot_be_opened),
		cmocka_unit_test(hears_a_datagram_on_the_loopback_interface_once),
		cmocka_unit_test(a_wrong_filter_for_an_interface_is_wrong_usage),
		cmocka_unit_test(warns_with_the_commands_to_run),
		cmocka_unit_test(finds_nothing_wrong_where_there_is_nothing_to_say),
	};
	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
