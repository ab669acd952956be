/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_pcap.c: a recording as a capture file: what is in it, in which order, and who gets it. */
#include "vault_help.h"

#include "vault/pcap_file.h"

#define RAW_AT   16
#define FIRST_AT 24

static const char ask_pcap[] = "{'request':'export','id':'%s','fd':%d,'purpose':'complaint',"
			       "'reference':'C-1','format':'pcap'%s}";

static char id[UUID_TEXT];
static int fd;

static const uint8_t host_a[4] = { 192, 0, 2, 1 }, host_b[4] = { 198, 51, 100, 2 };

static int make_file(void **state)
{
	(void)state;
	fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	return fd >= 0 ? 0 : -1;
}

static int drop_file(void **state)
{
	(void)state;
	return close(fd);
}

static struct pcap_packet packet(int64_t ts_us, const void *bytes, uint32_t len)
{
	struct pcap_packet x = {
		.ts_us = ts_us, .pieces = { { bytes, len } }, .len = len, .wire_len = len
	};
	endpoint_set_v4(&x.src, host_a, 5060);
	endpoint_set_v4(&x.dst, host_b, 5062);
	return x;
}

/* The file as bytes; len of it. */
static const uint8_t *written(struct pcap_file *f, size_t *len)
{
	static uint8_t bytes[65536];
	struct error err;
	assert_int_equal(pcap_file_write(f, fd, &err), RC_OK);
	ssize_t n = pread(fd, bytes, sizeof bytes, 0);
	assert_true(n >= FIRST_AT);
	*len = (size_t)n;
	return bytes;
}

/* Adding the words of header and checksum gives all ones (RFC 1071). */
static uint32_t sum(const uint8_t *p, size_t len, uint32_t from)
{
	for (size_t i = 0; i < len; i++)
		from += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (from >> 16)
		from = (from & 0xffff) + (from >> 16);
	return from;
}

static void packets_stand_in_order_of_time_and_then_as_they_were_added(void **state)
{
	static const struct {
		int64_t ts_us;
		char text;
	} in[] = { { 3000001, 'd' }, { 1, 'a' }, { 3000001, 'e' }, { 2999999, 'c' }, { 2, 'b' } };
	struct pcap_file *f = pcap_file_new();
	size_t len, at = FIRST_AT;
	(void)state;
	for (size_t i = 0; i < 5; i++) {
		struct pcap_packet x = packet(in[i].ts_us, &in[i].text, 1);
		assert_non_null(pcap_file_packet(f, &x));
	}
	const uint8_t *p = written(f, &len);
	for (char expected = 'a'; expected <= 'e'; expected++) {
		assert_int_equal(p[at + RAW_AT + 28], expected);
		at += RAW_AT + 29;
	}
	assert_int_equal(at, len);
	struct bytes last = bytes_over(p + at - RAW_AT - 29, 16);
	assert_int_equal(bytes_u32_le(&last), 3);
	assert_int_equal(bytes_u32_le(&last), 1);
	assert_int_equal(pcap_file_first_us(f), 1);
	assert_int_equal(pcap_file_last_us(f), 3000001);
	pcap_file_free(f);
}

static void checksums_are_right_for_both_families_and_odd_lengths(void **state)
{
	static const uint8_t payload[7] = { 0xff, 0xfe, 1, 2, 3, 4, 5 };
	static const uint8_t v6[16] = { 0x20, 1, 0xd, 0xb8, [15] = 9 };
	struct pcap_file *f = pcap_file_new();
	size_t len;
	(void)state;
	struct pcap_packet x = packet(1, payload, sizeof payload);
	assert_non_null(pcap_file_packet(f, &x));
	endpoint_set_v6(&x.src, v6, 1);
	endpoint_set_v6(&x.dst, v6, 2);
	assert_non_null(pcap_file_packet(f, &x));
	const uint8_t *p = written(f, &len) + FIRST_AT + RAW_AT;
	assert_int_equal(sum(p, 20, 0), 0xffff);
	assert_int_equal(sum(p + 12, 8 + 8 + 7, 17 + 15), 0xffff);
	p += 20 + 15 + RAW_AT;
	assert_int_equal(p[0], 0x60);
	assert_int_equal(sum(p + 8, 32 + 8 + 7, 17 + 15), 0xffff);
	pcap_file_free(f);
}

static void packet_that_was_cut_keeps_its_length_and_has_no_checksum(void **state)
{
	static const uint8_t payload[40];
	struct pcap_file *f = pcap_file_new();
	size_t len;
	(void)state;
	struct pcap_packet x = packet(1, payload, 10);
	x.wire_len = 40;
	assert_non_null(pcap_file_packet(f, &x));
	const uint8_t *p = written(f, &len) + FIRST_AT;
	assert_int_equal(len, FIRST_AT + RAW_AT + 28 + 10);
	struct bytes b = bytes_over(p + 8, 8);
	assert_int_equal(bytes_u32_le(&b), 38);
	assert_int_equal(bytes_u32_le(&b), 68);
	assert_int_equal(p[RAW_AT + 26] | p[RAW_AT + 27], 0);
	assert_int_equal(p[RAW_AT + 25], 48);
	pcap_file_free(f);
}

static void message_too_large_for_a_datagram_is_cut(void **state)
{
	static uint8_t payload[UINT16_MAX];
	struct pcap_file *f = pcap_file_new();
	size_t len;
	(void)state;
	struct pcap_packet x = packet(1, payload, sizeof payload);
	assert_non_null(pcap_file_packet(f, &x));
	const uint8_t *p = written(f, &len) + FIRST_AT;
	struct bytes b = bytes_over(p + 8, 8);
	assert_int_equal(bytes_u32_le(&b), UINT16_MAX);
	assert_int_equal(bytes_u32_le(&b), UINT16_MAX);
	pcap_file_free(f);
}

static void many_packets_are_all_written(void **state)
{
	static uint8_t payload[1200];
	enum { PACKETS = 3000 };
	struct pcap_file *f = pcap_file_new();
	struct error err;
	struct stat st;
	(void)state;
	for (int i = 0; i < PACKETS; i++) {
		struct pcap_packet x = packet(PACKETS - i, payload, sizeof payload);
		assert_non_null(pcap_file_packet(f, &x));
	}
	assert_int_equal(pcap_file_write(f, fd, &err), RC_OK);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, FIRST_AT + PACKETS * (RAW_AT + 28 + 1200));
	pcap_file_free(f);
}

static void full_disk_is_one_line(void **state)
{
	struct pcap_file *f = pcap_file_new();
	struct error err;
	(void)state;
	struct pcap_packet x = packet(1, "x", 1);
	assert_non_null(pcap_file_packet(f, &x));
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(full >= 0);
	assert_int_equal(pcap_file_write(f, full, &err), RC_FAILED);
	assert_non_null(strstr(err.text, "No space"));
	close(full);
	pcap_file_free(f);
}

/* ---- of a vault ---------------------------------------------------------------------------------- */

static void send_message(struct store_writer *w, const struct test_call *c, int64_t ts_us,
			 const char *text, uint8_t transport)
{
	struct signalling_record m = { .ts_us = ts_us,
				       .transport = transport,
				       .len = (uint32_t)strlen(text),
				       .bytes = (const uint8_t *)text };
	endpoint_set_v4(&m.src, host_a, 5060);
	endpoint_set_v4(&m.dst, host_b, 5060);
	store_writer_signalling(w, c->number, &m);
}

static int make_vault(void **state)
{
	static struct test_vault t;
	struct test_call c;
	test_vault_make(&t, "lab", NULL);
	struct store_writer *w = test_recorder(&t);
	test_call_begin(&c, w, 0);
	send_message(w, &c, c.r.start_us, "INVITE sip:x SIP/2.0\r\n\r\n", 17);
	for (unsigned track = 0; track < 2; track++) {
		test_audio_chunk(w, &c, track, 0, 0, 25);
		test_audio_chunk(w, &c, track, 1, 25, 25);
		test_stream(w, &c, track, 50);
	}
	send_message(w, &c, c.r.answer_us + 1, "ACK sip:x SIP/2.0\r\n\r\n", 6);
	test_call_end(w, &c, c.r.answer_us + 39 * 20000);
	test_finish(&t, w);
	uuid_text(&c.r.id, id);
	test_person(&t, "stan", ROLE_STAFF);
	*state = &t;
	return make_file(NULL);
}

static int drop_vault(void **state)
{
	test_vault_remove(*state);
	return drop_file(NULL);
}

static void export_has_packets_and_messages_up_to_the_end(void **state)
{
	struct test_vault *t = *state;
	enum rc rc = test_ask(t, ask_pcap, id, fd, "");
	if (rc != RC_OK)
		fail_msg("export: %s", t->err.text);
	assert_int_equal(test_number(test_reply(t, 0), "packets"), 80);
	assert_int_equal(test_number(test_reply(t, 0), "messages"), 2);
	uint8_t p[FIRST_AT + RAW_AT + 28 + 24 + RAW_AT + 28 + 12];
	assert_int_equal(pread(fd, p, sizeof p, 0), sizeof p);
	assert_memory_equal(p + FIRST_AT + RAW_AT + 28, "INVITE", 6);
	/* then the first frame: version 2, type 0, sequence 0, SSRC of either track */
	static const uint8_t rtp[11] = { 0x80, 0, 0, 0, 0, 0, 0, 0, 0xab, 0xcd, 0 };
	assert_memory_equal(p + sizeof p - 12, rtp, sizeof rtp);
	assert_int_equal(test_audited(t, "export", "granted"), 1);
	assert_int_equal(test_audited(t, "export", "done"), 1);
}

static void one_track_is_half_of_it(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, ask_pcap, id, fd, ",'track':'callee'"), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "packets"), 40);
}

static void nobody_without_the_right_gets_it(void **state)
{
	struct test_vault *t = *state;
	struct stat st;
	assert_int_equal(test_ask_as(t, "stan", ask_pcap, id, fd, ""), RC_REFUSED);
	assert_int_equal(
		test_ask(t, "{'request':'export','id':'%s','fd':%d,'format':'pcap'}", id, fd),
		RC_USAGE);
	assert_int_equal(test_ask(t, ask_pcap, id, fd, ",'conceal':true"), RC_USAGE);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_int_equal(test_audited(t, "export", "refused"), 1);
}

static void kept_messages_are_whole_after_verify_and_reindex(void **state)
{
	struct test_vault *t = *state;
	assert_int_equal(test_ask(t, "{'request':'verify','id':'%s'}", id), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'reindex'}"), RC_OK);
	assert_int_equal(test_ask(t, "{'request':'show','id':'%s'}", id), RC_OK);
	assert_int_equal(test_number(test_reply(t, 0), "messages"), 2);
	assert_true(json_is_true(json_object_get(test_reply(t, 0), "attested")));
}

static void message_altered_on_the_disk_is_damage(void **state)
{
	struct test_vault *t = *state;
	char path[512];
	uint8_t type;
	struct stat st;
	assert_int_equal(test_ask(t, "{'request':'status'}"), RC_OK);
	assert_true(test_find(t, "vault/segments", ".seg", path));
	int seg = open(path, O_RDWR | O_CLOEXEC);
	assert_true(seg >= 0);
	assert_int_equal(fstat(seg, &st), 0);
	off_t at = 4096;
	for (;;) { /* record header: length of the body (u32), type */
		uint8_t head[24];
		assert_int_equal(pread(seg, head, sizeof head, at), sizeof head);
		struct bytes b = bytes_over(head, sizeof head);
		uint32_t len = bytes_u32_le(&b);
		type = head[4];
		at += (off_t)sizeof head;
		if (type == RECORD_SIGNALLING)
			break;
		at += (off_t)len;
		assert_true(at < st.st_size);
	}
	assert_int_equal(pwrite(seg, "evil", 4, at + 70), 4);
	close(seg);
	assert_int_equal(test_ask(t, ask_pcap, id, fd, ""), RC_DAMAGED);
	assert_int_equal(test_audited(t, "export", "damaged"), 1);
}

int main(void)
{
#define FILE_TEST(f)  cmocka_unit_test_setup_teardown(f, make_file, drop_file)
#define VAULT_TEST(f) cmocka_unit_test_setup_teardown(f, make_vault, drop_vault)
	const struct CMUnitTest tests[] = {
		FILE_TEST(packets_stand_in_order_of_time_and_then_as_they_were_added),
		FILE_TEST(checksums_are_right_for_both_families_and_odd_lengths),
		FILE_TEST(packet_that_was_cut_keeps_its_length_and_has_no_checksum),
		FILE_TEST(message_too_large_for_a_datagram_is_cut),
		FILE_TEST(many_packets_are_all_written),
		FILE_TEST(full_disk_is_one_line),
		VAULT_TEST(export_has_packets_and_messages_up_to_the_end),
		VAULT_TEST(one_track_is_half_of_it),
		VAULT_TEST(nobody_without_the_right_gets_it),
		VAULT_TEST(kept_messages_are_whole_after_verify_and_reindex),
		VAULT_TEST(message_altered_on_the_disk_is_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
