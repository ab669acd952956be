/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* Interfaces: hearing what comes in, and what is said of one that is no mirror port. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/check.h"

static struct error err;

static void says_why_an_interface_cannot_be_opened(void **state)
{
	(void)state;
	struct capture_live cfg = { "nosuch0", NULL, 1, 65535, -1, false };
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
	struct capture_live cfg = { "lo", "udp", 1, 2048, -1, false };
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

/* ---- a group of handles -------------------------------------------------------------------- */

#define HANDLES 6
#define FLOWS   16
#define NUMBERS (1u << 20)

struct sender {
	int to, from[FLOWS];
	struct sockaddr_in at;
	_Atomic uint32_t sent;
	_Atomic bool stop;
};

/* Numbers, one after the other, each from another port. */
static void *send_numbers(void *arg)
{
	struct sender *s = arg;
	for (uint32_t n = 0; n < NUMBERS && !atomic_load(&s->stop); n++) {
		(void)!sendto(s->from[n % FLOWS], &n, sizeof n, 0, (struct sockaddr *)&s->at,
			      sizeof s->at);
		atomic_store(&s->sent, n + 1);
		for (volatile int i = 0; i < 5000; i++)
			;
	}
	return NULL;
}

static void sender_init(struct sender *s)
{
	socklen_t size = sizeof s->at;
	memset(s, 0, sizeof *s);
	s->at = (struct sockaddr_in){ .sin_family = AF_INET };
	s->at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->to = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(bind(s->to, (struct sockaddr *)&s->at, size), 0);
	assert_int_equal(getsockname(s->to, (struct sockaddr *)&s->at, &size), 0);
	for (int i = 0; i < FLOWS; i++)
		s->from[i] = socket(AF_INET, SOCK_DGRAM, 0);
}

static void wait_for_more(struct sender *s, uint32_t more)
{
	uint32_t until = atomic_load(&s->sent) + more;
	while (atomic_load(&s->sent) < until && atomic_load(&s->sent) < NUMBERS)
		usleep(1000);
}

/* Count in `seen` what one burst has of the numbers; gives the burst. */
static int take_numbers(struct capture *c, const struct sender *s, uint8_t *seen)
{
	static struct counters counters;
	struct decoder decoder = { 0 };
	struct frame frames[CAPTURE_BURST];
	struct datagram d;
	struct piece piece;
	int n = capture_burst(c, frames, CAPTURE_BURST);
	assert_true(n >= 0);
	for (int i = 0; i < n; i++) {
		uint32_t number;
		if (decode_frame(&decoder, &frames[i], &d, &piece, &counters) != DECODE_UDP ||
		    d.dst.port != ntohs(s->at.sin_port) || d.len != sizeof number)
			continue;
		memcpy(&number, d.payload, sizeof number);
		seen[number]++;
	}
	return n;
}

/* While frames come all the time: until a handle has joined, it is given what the others have. */
static void handles_of_a_group_read_no_frame_twice(void **state)
{
	(void)state;
	struct capture_live cfg = { "lo", NULL, 16, 256, getpid() & 0x7fff, false };
	struct capture *c[HANDLES] = { NULL };
	static uint8_t seen[NUMBERS];
	static struct sender s;
	pthread_t thread;
	uint64_t drops = 0;
	unsigned busy = 0;

	sender_init(&s);
	assert_int_equal(pthread_create(&thread, NULL, send_numbers, &s), 0);
	wait_for_more(&s, 100);
	for (int i = 0; i < HANDLES; i++)
		if (capture_open_live(&c[i], &cfg, &err) != RC_OK) {
			atomic_store(&s.stop, true);
			pthread_join(thread, NULL);
			print_message("%s: skipped\n", err.text);
			skip();
		}
	uint32_t all_there = atomic_load(&s.sent);
	wait_for_more(&s, 1000);
	atomic_store(&s.stop, true);
	pthread_join(thread, NULL);
	usleep(100000); /* the kernel's last blocks */
	for (int i = 0; i < HANDLES; i++) {
		unsigned frames = 0;
		/* A burst of frames that are the others' is empty. */
		for (int n, empty = 0; empty < 100; empty = n ? 0 : empty + 1)
			frames += (unsigned)(n = take_numbers(c[i], &s, seen));
		busy += frames > 0;
		drops += capture_kernel_drops(c[i]);
		capture_close(c[i]);
	}
	for (uint32_t n = 0; n < atomic_load(&s.sent); n++)
		assert_in_range(seen[n], n < all_there || drops ? 0 : 1, 1);
	assert_in_range(busy, 2, HANDLES);
	close(s.to);
	for (int i = 0; i < FLOWS; i++)
		close(s.from[i]);
}

static void a_wrong_filter_for_an_interface_is_wrong_usage(void **state)
{
	(void)state;
	struct capture_live cfg = { "lo", "udp prot", 1, 2048, -1, false };
	struct capture *c = NULL;

	enum rc rc = capture_open_live(&c, &cfg, &err);
	if (rc == RC_FAILED) {
		print_message("%s: skipped\n", err.text);
		skip();
	}
	assert_int_equal(rc, RC_USAGE);
	assert_memory_equal(err.text, "lo: filter: ", 12);
}

static void tells_how_a_link_is(void **state)
{
	(void)state;
	assert_int_equal(capture_link_state("nosuch0"), LINK_MISSING);
	assert_int_equal(capture_link_state("a-name-far-too-long"), LINK_MISSING);
	assert_int_equal(capture_link_state(""), LINK_MISSING);
	assert_true(capture_link_state("lo") == LINK_UP || capture_link_state("lo") == LINK_DOWN);
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
		cmocka_unit_test(handles_of_a_group_read_no_frame_twice),
		cmocka_unit_test(a_wrong_filter_for_an_interface_is_wrong_usage),
		cmocka_unit_test(tells_how_a_link_is),
		cmocka_unit_test(warns_with_the_commands_to_run),
		cmocka_unit_test(finds_nothing_wrong_where_there_is_nothing_to_say),
	};
	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
