/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_sip_digits.c: keys pressed, by INFO and KPML. */
#include "sip_lab.h"

static void talking(struct sip_lab *l, enum dtmf_keep dtmf)
{
	struct signalling_config cfg = lab_config(l);
	cfg.dtmf = (uint8_t)dtmf;
	lab_start(l, &cfg);
	say(l, 0, "INVITE 1 a - z1", sdp("10.0.0.1", 4000));
	say(l, 1000, "200 INVITE 1 a b z1", sdp("10.0.0.2", 5000));
}

static void press(struct sip_lab *l, int64_t ms, const char *what, const char *type,
		  const char *body)
{
	l->type = type;
	say(l, ms, what, body);
	l->type = "application/sdp";
}

static void digits_are_kept_by_party_only_where_asked_for(void **state)
{
	(void)state;
	for (int dtmf = DTMF_OFF; dtmf <= DTMF_KEEP; dtmf++) {
		struct sip_lab l;
		talking(&l, (enum dtmf_keep)dtmf);
		press(&l, 2000, "INFO 2 a b y1", "application/dtmf-relay",
		      "Signal= 5\r\nDuration=160\r\n");
		press(&l, 2100, "INFO 3 a b y2", "application/dtmf-relay", "Signal=10\r\n");
		press(&l, 2200, "INFO 9 b a y3", "application/dtmf", "#");
		press(&l, 2300, "INFO 4 a b y4", "application/dtmf", "d\r\n");
		assert_int_equal(l.last.dtmf_count, dtmf == DTMF_OFF ? 0 : 4);
		assert_string_equal(l.last.digits[TRACK_CALLER], dtmf == DTMF_KEEP ? "5*D" : "");
		assert_string_equal(l.last.digits[TRACK_CALLEE], dtmf == DTMF_KEEP ? "#" : "");
		assert_int_equal(l.expected.keep_events, dtmf == DTMF_KEEP);
		lab_free(&l);
	}
}

static void kpml_report_has_several_digits(void **state)
{
	(void)state;
	struct sip_lab l;
	talking(&l, DTMF_KEEP);
	l.extra = "o: kpml;id=1\r\nSubscription-State: active\r\n";
	press(&l, 2000, "NOTIFY 2 b a y1", "application/kpml-response+xml",
	      "<?xml version=\"1.0\"?><kpml-response version=\"1.0\" code=\"200\" text=\"OK\" "
	      "digits=\"12*\" tag=\"x\"/>");
	assert_string_equal(l.last.digits[TRACK_CALLEE], "12*");
	assert_int_equal(l.last.dtmf_count, 3);
	lab_free(&l);
}

static void what_is_no_digit_is_nothing(void **state)
{
	(void)state;
	static const char *const bodies[] = { "",
					      "Signal=\r\n",
					      "Signal=16\r\n",
					      "Signal=x\r\n",
					      "Duration=160\r\n",
					      "Signal=-1\r\n",
					      "55" };
	struct sip_lab l;
	char what[32];
	talking(&l, DTMF_KEEP);
	for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		snprintf(what, sizeof what, "INFO %u a b y%u", i + 2, i);
		press(&l, 2000, what, "application/dtmf-relay", bodies[i]);
	}
	press(&l, 3000, "INFO 50 a b y9", "text/plain", "5");
	press(&l, 3000, "NOTIFY 51 a b x9", "application/kpml-response+xml", "digits=\"5\"");
	assert_int_equal(l.last.dtmf_count, 0);
	lab_free(&l);
}

static void copies_and_retransmissions_count_once(void **state)
{
	(void)state;
	struct sip_lab l;
	talking(&l, DTMF_KEEP);
	press(&l, 2000, "INFO 2 a b y1", "application/dtmf", "1");
	press(&l, 2100, "INFO 2 a b y1", "application/dtmf", "1");
	press(&l, 2200, "INFO 2 a b y7", "application/dtmf", "1");
	assert_string_equal(l.last.digits[TRACK_CALLER], "1");
	lab_free(&l);
}

static void more_digits_than_there_is_room_for_are_counted(void **state)
{
	(void)state;
	struct sip_lab l;
	char what[32];
	talking(&l, DTMF_KEEP);
	for (unsigned i = 0; i < 80; i++) {
		snprintf(what, sizeof what, "INFO %u a b y%u", i + 2, i);
		press(&l, 2000 + i, what, "application/dtmf", "1");
	}
	assert_int_equal(l.last.dtmf_count, 80);
	assert_int_equal(strlen(l.last.digits[TRACK_CALLER]), DIGITS - 1);
	lab_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digits_are_kept_by_party_only_where_asked_for),
		cmocka_unit_test(kpml_report_has_several_digits),
		cmocka_unit_test(what_is_no_digit_is_nothing),
		cmocka_unit_test(copies_and_retransmissions_count_once),
		cmocka_unit_test(more_digits_than_there_is_room_for_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
