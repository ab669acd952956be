/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* test_vault_http.c: requests over HTTP: what is answered, what is refused, and that no caller hinders another. */
#include "vault_help.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "vault/http.h"
#include "vault/turn.h"
#include "vault/unlock.h"

#define TEXT_MOST ((size_t)64 << 20)
#define UID_ALICE 1001
#define UID_BOB   1002

struct house {
	struct test_vault t;
	struct works *works;
	struct http *http;
};

static int make_house(void **state, const char *passphrase)
{
	static struct house h;
	test_vault_make(&h.t, "lab", passphrase);
	turn_share(h.t.v);
	h.works = works_new(h.t.v);
	assert_int_equal(http_new(&h.http, h.works, &h.t.err), RC_OK);
	*state = &h;
	return 0;
}

static int make(void **state)
{
	return make_house(state, NULL);
}

static int make_attended(void **state)
{
	return make_house(state, PASSPHRASE);
}

static int drop(void **state)
{
	struct house *h = *state;
	assert_true(works_finish(h->works, 10000));
	http_free(h->http);
	works_free(h->works);
	test_vault_remove(&h->t);
	return 0;
}

/* ---- a client -------------------------------------------------------------------------------------------------- */

static int dial(struct house *h, const char *person, uid_t uid)
{
	int pair[2];
	struct work_caller who = { .uid = uid };
	work_caller_name(&who, person);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	http_connection(h->http, pair[0], &who);
	return pair[1];
}

static void say(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return; /* the other side has heard enough */
		text += n;
		len -= (size_t)n;
	}
}

/* All that comes until the connection ends, NUL appended; owned by the caller. */
static char *hear(int fd, size_t *len)
{
	char *text = malloc(65536);
	size_t room = 65536;
	*len = 0;
	for (;;) {
		assert_non_null(text);
		ssize_t n = recv(fd, text + *len, room - 1 - *len, 0);
		if (n <= 0)
			break;
		*len += (size_t)n;
		assert_true(*len < TEXT_MOST);
		if (room - *len < 65536)
			text = realloc(text, room *= 2);
	}
	text[*len] = '\0';
	close(fd);
	return text;
}

static char *exchange(int fd, const char *head, const char *body, size_t body_len, size_t *len)
{
	char text[512];
	int n = snprintf(text, sizeof text, "%sContent-Length: %zu\r\n\r\n", head, body_len);
	assert_true(n > 0 && (size_t)n < sizeof text);
	say(fd, text, (size_t)n);
	say(fd, body, body_len);
	return hear(fd, len);
}

#define POST "POST /v1/request HTTP/1.0\r\nContent-Type: application/json\r\n"

/* The body of a reply to a request in which single quotes stand for double ones. */
static char *ask(struct house *h, const char *person, uid_t uid, const char *request, size_t *len)
{
	char body[1024];
	snprintf(body, sizeof body, "%s", request);
	for (char *p = body; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	char *text = exchange(dial(h, person, uid), POST, body, strlen(body), len);
	assert_memory_equal(text, "HTTP/1.", 7);
	assert_int_equal(atoi(text + 9), 200);
	char *from = strstr(text, "\r\n\r\n");
	assert_non_null(from);
	*len -= (size_t)(from + 4 - text);
	memmove(text, from + 4, *len + 1);
	return text;
}

/* The verdict of a reply: its last line. */
static json_t *verdict_of(const char *text, size_t len)
{
	assert_true(len > 1 && text[len - 1] == '\n');
	const char *line = memrchr(text, '\n', len - 1);
	json_t *o = json_loads(line ? line + 1 : text, 0, NULL);
	assert_non_null(o);
	assert_non_null(json_object_get(o, "verdict"));
	return o;
}

/* Ask, and hold the verdict and a part of its error against what is expected; gives the number of replies. */
static unsigned expect(struct house *h, const char *person, const char *request,
		       const char *verdict, const char *error)
{
	size_t len;
	unsigned replies = 0;
	char *text =
		ask(h, person, strcmp(person, "alice") == 0 ? UID_ALICE : UID_BOB, request, &len);
	json_t *o = verdict_of(text, len);
	assert_string_equal(test_text(o, "verdict"), verdict);
	if (error)
		assert_non_null(strstr(test_text(o, "error"), error));
	for (const char *p = text; (p = strstr(p, "{\"reply\":")); p++)
		replies++;
	json_decref(o);
	free(text);
	return replies;
}

static void expect_status(struct house *h, const char *head, const char *body, size_t body_len,
			  int status)
{
	size_t len;
	char *text = exchange(dial(h, "alice", UID_ALICE), head, body, body_len, &len);
	assert_memory_equal(text, "HTTP/1.", 7);
	assert_int_equal(atoi(text + 9), status);
	if (status != 200)
		assert_non_null(strstr(text, "{\"error\":\""));
	free(text);
}

/* ---- what is answered ------------------------------------------------------------------------------------------- */

static void reply_is_lines_and_a_verdict(void **state)
{
	struct house *h = *state;
	test_record(&h->t, 3, NULL);
	assert_int_equal(expect(h, "alice", "{'request':'calls'}", "done", NULL), 3);
	assert_int_equal(expect(h, "alice", "{'request':'calls','limit':1}", "done", NULL), 1);
	assert_int_equal(expect(h, "alice", "{'request':'show','id':'0000'}", "usage", "not an id"),
			 0);
	assert_int_equal(expect(h, "alice", "{'request':'dance'}", "usage", "no such request"), 0);
	assert_int_equal(expect(h, "alice", "{'nothing':1}", "usage", "no such request"), 0);
}

static void status_says_that_there_is_a_service(void **state)
{
	struct house *h = *state;
	size_t len;
	char *text =
		exchange(dial(h, "nobody", UID_BOB), "GET /v1/status HTTP/1.0\r\n", "", 0, &len);
	assert_int_equal(atoi(text + 9), 200);
	assert_non_null(strstr(text, "\"service\":\"callspan\""));
	assert_null(strstr(text, h->t.path)); /* nothing of the store */
	free(text);
}

static void unlisted_person_is_refused_and_audited(void **state)
{
	struct house *h = *state;
	assert_int_equal(expect(h, "mallory", "{'request':'calls'}", "refused", "not listed"), 0);
	assert_int_equal(test_audited(&h->t, "calls", "refused"), 1);
}

static void callers_descriptor_is_never_used(void **state)
{
	struct house *h = *state;
	struct test_call c;
	char id[UUID_TEXT], text[512];
	test_record(&h->t, 1, &c);
	snprintf(text, sizeof text,
		 "{'request':'export','id':'%s','purpose':'complaint','reference':'r','fd':1}",
		 uuid_text(&c.r.id, id));
	assert_int_equal(expect(h, "alice", text, "usage", "fd: a descriptor of the service"), 0);
	assert_int_equal(expect(h, "alice", "{'request':'calls','fd':null}", "usage", "fd"), 0);
	assert_int_equal(test_audited(&h->t, "export", NULL), 0);
}

static void stream_carries_the_file_after_the_replies(void **state)
{
	struct house *h = *state;
	struct test_call c;
	char id[UUID_TEXT], request[512];
	size_t len;
	test_record(&h->t, 1, &c);
	snprintf(request, sizeof request,
		 "{'request':'export','id':'%s','purpose':'complaint','reference':'r','stream':"
		 "true}",
		 uuid_text(&c.r.id, id));
	char *text = ask(h, "alice", UID_ALICE, request, &len);
	const char *line = strstr(text, "{\"bytes\":");
	assert_non_null(line);
	long bytes = atol(line + 9);
	const char *file = strchr(line, '\n') + 1;
	assert_true(bytes > 16000);
	assert_memory_equal(file, "RIFF", 4);
	assert_string_equal(file + bytes, "{\"verdict\":\"done\"}\n");
	assert_int_equal((size_t)(file - text) + (size_t)bytes + 19, len);
	free(text);

	snprintf(request, sizeof request, "{'request':'calls','stream':1}");
	(void)expect(h, "alice", request, "usage", "stream: true or false");
	/* What failed gives no bytes. */
	text = ask(h, "alice", UID_ALICE,
		   "{'request':'export','id':'0123456789','purpose':'complaint','reference':'r',"
		   "'stream':true}",
		   &len);
	assert_null(strstr(text, "\"bytes\""));
	free(text);
}

/* ---- what is no request ------------------------------------------------------------------------------------------- */

static void what_is_no_request_gets_its_status(void **state)
{
	struct house *h = *state;
	static const char open_brackets[] = "[[[[[[[[[[";
	expect_status(h, "GET /v1/request HTTP/1.0\r\n", "", 0, 405);
	expect_status(h, "POST /v1/status HTTP/1.0\r\n", "", 0, 405);
	expect_status(h, "DELETE /v1/request HTTP/1.0\r\n", "", 0, 405);
	expect_status(h, "GET / HTTP/1.0\r\n", "", 0, 404);
	expect_status(h, "GET /v1/../v1/status HTTP/1.0\r\n", "", 0, 404);
	expect_status(h, "POST /v1/request HTTP/1.0\r\n", "{}", 2, 415);
	expect_status(h, "POST /v1/request HTTP/1.0\r\nContent-Type: text/plain\r\n", "{}", 2, 415);
	expect_status(h, "POST /v1/request HTTP/1.0\r\nContent-Type: application/jsonp\r\n", "{}",
		      2, 415);
	expect_status(h, POST, "", 0, 400);
	expect_status(h, POST, "{", 1, 400);
	expect_status(h, POST, "[1]", 3, 400);
	expect_status(h, POST, "{} x", 4, 400);
	expect_status(h, POST, "{\"a\":1,\"a\":2}", 13, 400);
	expect_status(h, POST, "{\"a\":\"\\u0000\"}", 14, 400);
	expect_status(h, POST, "{\"a\":\"\xff\"}", 9, 400);
	expect_status(h, POST, open_brackets, sizeof open_brackets - 1, 400);
}

static void deep_and_long_bodies_are_refused(void **state)
{
	struct house *h = *state;
	size_t len = (1u << 20) + 1;
	char *body = malloc(len);
	assert_non_null(body);
	memset(body, '[', len);
	expect_status(h, POST, body, len - 1, 400);
	expect_status(h, POST, body, len, 413);
	expect_status(h, "POST /v1/request HTTP/1.0\r\nContent-Type: text/plain\r\n", body, len,
		      415);
	free(body);
}

static void what_is_no_http_is_not_answered_as_if(void **state)
{
	static const char *const texts[] = {
		"\r\n\r\n\r\n",
		"hello\r\n\r\n",
		"POST /v1/request HTTP/9.9\r\n\r\n",
		"POST /v1/request HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"POST /v1/request HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
		"POST /v1/request HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST /v1/request HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
	};
	struct house *h = *state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		size_t len;
		int fd = dial(h, "alice", UID_ALICE);
		say(fd, texts[i], strlen(texts[i]));
		shutdown(fd, SHUT_WR);
		char *text = hear(fd, &len);
		assert_null(strstr(text, "\"verdict\""));
		free(text);
	}
	assert_int_equal(expect(h, "alice", "{'request':'calls'}", "done", NULL), 0);
}

static void header_without_end_is_refused(void **state)
{
	struct house *h = *state;
	size_t len;
	int fd = dial(h, "alice", UID_ALICE);
	static const char line[] =
		"X-Padding: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz\r\n";
	say(fd, "POST /v1/request HTTP/1.1\r\n", 27);
	for (int i = 0; i < 2000; i++)
		say(fd, line, sizeof line - 1);
	char *text = hear(fd, &len);
	assert_null(strstr(text, "\"verdict\""));
	free(text);
}

/* ---- nobody hinders another ---------------------------------------------------------------------------------------- */

static void slow_and_silent_callers_hinder_nobody(void **state)
{
	struct house *h = *state;
	int idle[8];
	test_record(&h->t, 2, NULL);
	for (int i = 0; i < 8; i++) {
		idle[i] = dial(h, "bob", UID_BOB);
		say(idle[i], POST "Content-Len", (size_t)(i * 8));
	}
	int64_t began = clock_mono_ns();
	for (int i = 0; i < 10; i++)
		assert_int_equal(expect(h, "alice", "{'request':'calls'}", "done", NULL), 2);
	assert_true(clock_mono_ns() - began < 10 * NS_PER_S);
	for (int i = 0; i < 8; i++)
		close(idle[i]);
}

/* Replies of some MiB that nobody takes, from as many connections as one may have. */
static void caller_who_never_reads_hinders_nobody(void **state)
{
	enum { MANY = 2500 };
	struct house *h = *state;
	struct store_writer *w = test_recorder(&h->t);
	struct test_call c;
	static const char body[] = "{\"request\":\"calls\",\"limit\":0}";
	char text[256];
	int fds[WORK_PLACES + 2];
	for (unsigned n = 0; n < MANY; n++) {
		test_call_begin(&c, w, n);
		test_call_end(w, &c, c.r.answer_us + 5);
	}
	test_finish(&h->t, w);
	int n = snprintf(text, sizeof text, POST "Content-Length: %zu\r\n\r\n%s", strlen(body),
			 body);
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
		fds[i] = dial(h, "alice", UID_ALICE);
		say(fds[i], text, (size_t)n);
	}
	test_person(&h->t, "bob", ROLE_MANAGER);
	for (int i = 0; i < 5; i++)
		assert_int_equal(expect(h, "bob", "{'request':'calls'}", "done", NULL), 50);
	/* And when they read at last, all of it is there. */
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++) {
		size_t len, lines = 0;
		char *said = hear(fds[i], &len);
		for (const char *p = said; (p = strstr(p, "{\"reply\":")); p++)
			lines++;
		assert_int_equal(lines, MANY);
		json_decref(verdict_of(said, len));
		free(said);
	}
}

static void one_person_has_only_so_many_connections(void **state)
{
	struct house *h = *state;
	int held[HTTP_OF_ONE];
	size_t len;
	for (int i = 0; i < HTTP_OF_ONE; i++)
		held[i] = dial(h, "bob", UID_BOB);
	char *text = hear(dial(h, "bob", UID_BOB), &len);
	assert_memory_equal(text, "HTTP/1.1 503", 12);
	free(text);
	(void)expect(h, "alice", "{'request':'calls'}", "done", NULL);
	for (int i = 0; i < HTTP_OF_ONE; i++)
		close(held[i]);
	/* They are free again. */
	bool free_again = false;
	for (int i = 0; i < 200 && !free_again; i++) {
		text = exchange(dial(h, "bob", UID_BOB), "GET /v1/status HTTP/1.0\r\n", "", 0,
				&len);
		free_again = strncmp(text + 9, "200", 3) == 0;
		free(text);
		clock_sleep_us(20000);
	}
	assert_true(free_again);
}

static void expect_turned_away(struct house *h, const char *person, uid_t uid)
{
	size_t len;
	char *text = hear(dial(h, person, uid), &len);
	assert_memory_equal(text, "HTTP/1.1 503", 12);
	free(text);
}

/* As a user with subordinate uids has them. */
static void all_without_a_name_have_the_connections_of_one(void **state)
{
	struct house *h = *state;
	int held[HTTP_OF_ONE];
	for (unsigned i = 0; i < HTTP_OF_ONE; i++)
		held[i] = dial(h, NULL, 100000 + i);
	expect_turned_away(h, NULL, 200000);
	(void)expect(h, "alice", "{'request':'calls'}", "done", NULL);
	for (int i = 0; i < HTTP_OF_ONE; i++)
		close(held[i]);
}

static void root_gets_in_when_all_others_have_filled_the_rest(void **state)
{
	enum { OTHERS = HTTP_CONNECTIONS - HTTP_OF_ROOT };
	struct house *h = *state;
	int held[HTTP_CONNECTIONS];
	for (unsigned i = 0; i < OTHERS; i++)
		held[i] = dial(h, "user", 2000 + i);
	expect_turned_away(h, "alice", UID_ALICE);
	for (unsigned i = OTHERS; i < HTTP_CONNECTIONS; i++)
		held[i] = dial(h, "root", 0);
	expect_turned_away(h, "root", 0);
	close(held[HTTP_CONNECTIONS - 1]);
	bool in = false;
	for (int i = 0; i < 200 && !in; i++) {
		size_t len;
		char *text =
			exchange(dial(h, "root", 0), "GET /v1/status HTTP/1.0\r\n", "", 0, &len);
		in = strncmp(text + 9, "200", 3) == 0;
		free(text);
		clock_sleep_us(20000);
	}
	assert_true(in);
	for (unsigned i = 0; i < HTTP_CONNECTIONS - 1; i++)
		close(held[i]);
}

/* Each of them tries to have all that one may have. */
static void few_users_cannot_fill_the_service(void **state)
{
	enum { USERS = 8, TRIES = USERS * HTTP_OF_ONE };
	struct house *h = *state;
	int held[TRIES];
	for (unsigned i = 0; i < TRIES; i++)
		held[i] = dial(h, "user", 2000 + i % USERS);
	(void)expect(h, "alice", "{'request':'calls'}", "done", NULL);
	int others[USERS];
	for (unsigned i = 0; i < USERS; i++)
		others[i] = dial(h, "other", 4000 + i);
	(void)expect(h, "alice", "{'request':'calls'}", "done", NULL);
	for (unsigned i = 0; i < USERS; i++)
		expect_turned_away(h, "user", 2000 + i);
	for (unsigned i = 0; i < USERS; i++)
		close(others[i]);
	for (unsigned i = 0; i < TRIES; i++)
		close(held[i]);
}

static struct spool *begin(struct house *h, const struct work_caller *who)
{
	return works_begin(h->works, who, json_pack("{s:s}", "request", "calls"));
}

/* Others have the vault; whoever posts and hangs up, again and again, leaves no more behind than what has its place. */
static void requests_of_callers_who_have_gone_do_not_pile_up(void **state)
{
	enum { LEFT = WORK_OF_ONE - WORK_PLACES };
	struct house *h = *state;
	struct work_caller bob = { .uid = UID_BOB };
	struct spool *s[WORK_OF_ONE], *again[LEFT];
	static const char body[] = "{\"request\":\"calls\"}";
	int begun = 0;
	work_caller_name(&bob, "bob");
	vault_enter(h->t.v);
	for (int i = 0; i < WORK_OF_ONE; i++)
		assert_non_null(s[i] = begin(h, &bob));
	assert_null(begin(h, &bob));
	size_t len;
	char *text = exchange(dial(h, "bob", UID_BOB), POST, body, strlen(body), &len);
	assert_memory_equal(text + 9, "503", 3);
	assert_non_null(strstr(text, "{\"error\":\""));
	free(text);
	for (int i = 0; i < WORK_OF_ONE; i++)
		works_let_go(h->works, s[i]);
	for (int i = 0; i < 500 && begun < LEFT; i++) {
		if ((again[begun] = begin(h, &bob)))
			begun++;
		else
			clock_sleep_us(20000);
	}
	assert_int_equal(begun, LEFT);
	for (int i = 0; i < LEFT; i++)
		works_let_go(h->works, again[i]);
	vault_leave(h->t.v);
	(void)expect(h, "alice", "{'request':'calls'}", "done", NULL);
}

/* ---- passphrases, which take long ------------------------------------------------------------------------------------ */

/* One who asks beside the test. */
struct asker {
	struct house *h;
	pthread_t thread;
	const char *person, *request;
	uid_t uid;
	char *text;
	size_t len;
	int answered;
};

static void *be_asker(void *arg)
{
	struct asker *a = arg;
	a->text = ask(a->h, a->person, a->uid, a->request, &a->len);
	__atomic_store_n(&a->answered, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void asker_start(struct asker *a, struct house *h, const char *person, uid_t uid,
			const char *request)
{
	*a = (struct asker){ .h = h, .person = person, .uid = uid, .request = request };
	assert_int_equal(pthread_create(&a->thread, NULL, be_asker, a), 0);
}

static void asker_expect(struct asker *a, const char *verdict, const char *error)
{
	pthread_join(a->thread, NULL);
	json_t *o = verdict_of(a->text, a->len);
	if (strcmp(test_text(o, "verdict"), verdict) != 0)
		fail_msg("%s: %s", a->request, a->text);
	if (error)
		assert_non_null(strstr(test_text(o, "error"), error));
	json_decref(o);
	free(a->text);
}

/* The turn, while a request has stepped out: it works on its passphrase, for it is the only one. */
static void enter_meanwhile(struct house *h)
{
	for (;;) {
		vault_enter(h->t.v);
		if (h->t.v->outside)
			return;
		vault_leave(h->t.v);
		clock_sleep_us(1000);
	}
}

static void change_alice(struct house *h, void (*change)(struct person *p))
{
	struct person p;
	assert_int_equal(people_load(h->t.path, "alice", &p, &h->t.err), RC_OK);
	change(&p);
	assert_int_equal(people_replace(h->t.path, &p, &h->t.err), RC_OK);
}

static void lose_passphrase(struct person *p)
{
	struct seal_pair own;
	uint8_t box[PASSPHRASE_BOX(32)] = { 0 };
	seal_pair_new(&own);
	people_take_box(p, own.public_key, box, NULL);
}

static void be_disabled(struct person *p)
{
	p->disabled = true;
}

static void be_enabled(struct person *p)
{
	p->disabled = false;
}

#define OPENING                                                                                    \
	"{'request':'fingerprint','id':'%s','purpose':'complaint','reference':'r',"                \
	"'passphrase':'" PASSPHRASE "'}"

/* Alice's passphrase opens the only call; what she may is changed while it is tried. */
static void expect_no_opening_after(struct house *h, void (*change)(struct person *p))
{
	char request[320], id[UUID_TEXT];
	struct test_call c;
	struct asker a;
	test_record(&h->t, 1, &c);
	snprintf(request, sizeof request, OPENING, uuid_text(&c.r.id, id));
	(void)expect(h, "alice", request, "done", NULL);
	asker_start(&a, h, "alice", UID_ALICE, request);
	enter_meanwhile(h);
	change_alice(h, change);
	vault_leave(h->t.v);
	asker_expect(&a, "refused", "changed meanwhile");
	change_alice(h, be_enabled);
	assert_int_equal(test_audited(&h->t, "fingerprint", "granted"), 1);
	assert_int_equal(test_audited(&h->t, "fingerprint", "refused"), 1);
}

static void passphrase_that_is_changed_while_it_is_tried_opens_nothing(void **state)
{
	struct house *h = *state;
	expect_no_opening_after(h, lose_passphrase);
}

static void who_is_disabled_while_their_passphrase_is_tried_opens_nothing(void **state)
{
	struct house *h = *state;
	expect_no_opening_after(h, be_disabled);
}

static void passphrase_is_tried_while_others_have_their_turn(void **state)
{
	struct house *h = *state;
	struct asker a;
	asker_start(&a, h, "alice", UID_ALICE,
		    "{'request':'person-passphrase','passphrase':'wrong','new_passphrase':'long "
		    "enough'}");
	enter_meanwhile(h);
	vault_leave(h->t.v);
	(void)expect(h, "alice", "{'request':'calls'}", "done", NULL);
	assert_int_equal(__atomic_load_n(&a.answered, __ATOMIC_SEQ_CST), 0);
	asker_expect(&a, "refused", "the passphrase is wrong");
}

/* Sealing works outside the vault: who comes second must not undo what the first was told is done. */
static void two_passphrases_at_once_give_one_and_a_failure(void **state)
{
	struct house *h = *state;
	struct person alice;
	const char *won = NULL;
	struct asker both[2];
	unsigned failed = 0;
	vault_enter(h->t.v);
	asker_start(&both[0], h, "alice", UID_ALICE,
		    "{'request':'person-passphrase','new_passphrase':'the first horse'}");
	asker_start(&both[1], h, "alice", UID_ALICE,
		    "{'request':'person-passphrase','new_passphrase':'the other horse'}");
	clock_sleep_us(200000); /* both wait for the vault */
	vault_leave(h->t.v);
	for (int i = 0; i < 2; i++) {
		pthread_join(both[i].thread, NULL);
		json_t *o = verdict_of(both[i].text, both[i].len);
		if (strcmp(test_text(o, "verdict"), "done") == 0)
			won = i ? "the other horse" : "the first horse";
		else
			failed += strstr(test_text(o, "error"), "changed meanwhile") != NULL;
		json_decref(o);
		free(both[i].text);
	}
	assert_int_equal(failed, 1);
	assert_non_null(won);
	assert_int_equal(people_load(h->t.v->store, "alice", &alice, &h->t.err), RC_OK);
	assert_int_equal(test_prove(&alice, won, &h->t.err), RC_OK);
	assert_int_equal(test_audited(&h->t, "person-passphrase", "granted"), 1);
	assert_int_equal(test_audited(&h->t, "person-passphrase", "failed"), 1);
}

/* What was read before the sealing is read again after it. */
static void one_name_is_added_once(void **state)
{
	static const char request[] = "{'request':'person-add','person':'sam','role':'staff',"
				      "'new_passphrase':'long enough'}";
	struct house *h = *state;
	struct asker a;
	asker_start(&a, h, "alice", UID_ALICE, request);
	enter_meanwhile(h);
	test_person(&h->t, "sam", ROLE_AUDITOR);
	vault_leave(h->t.v);
	asker_expect(&a, "failed", "listed already");
	struct person sam;
	assert_int_equal(people_load(h->t.path, "sam", &sam, &h->t.err), RC_OK);
	assert_int_equal(sam.role, ROLE_AUDITOR);
}

/* Six persons at once: what they have in memory is what two would have. */
static void few_passphrases_are_worked_on_at_once(void **state)
{
	enum { PERSONS = 6, BOX_MIB = 256 };
	struct house *h = *state;
	struct asker all[PERSONS];
	struct rusage before, after;
	char names[PERSONS][8];
	struct person p;
	assert_int_equal(people_load(h->t.path, "alice", &p, &h->t.err), RC_OK);
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	for (unsigned i = 0; i < PERSONS; i++) {
		snprintf(names[i], sizeof names[i], "user%u", i);
		snprintf(p.name, sizeof p.name, "%s", names[i]);
		assert_int_equal(people_save(h->t.path, &p, &h->t.err), RC_OK);
		asker_start(&all[i], h, names[i], 3000 + i,
			    "{'request':'person-add','person':'x','role':'nobody','passphrase':"
			    "'" PASSPHRASE "'}");
	}
	for (unsigned i = 0; i < PERSONS; i++)
		asker_expect(&all[i], "usage", "no such role");
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_in_range(after.ru_maxrss - before.ru_maxrss, 0,
			(UNLOCK_PLACES * BOX_MIB + BOX_MIB / 2) * 1024);
}

/* A directory may have longer names than any listed person: cut, one would be that person. */
static void name_that_does_not_fit_is_nobodys(void **state)
{
	char name[PERSON_NAME + 1];
	struct work_caller who = { .uid = 70000 };
	(void)state;
	memset(name, 'a', PERSON_NAME);
	name[PERSON_NAME] = '\0';
	work_caller_name(&who, name);
	assert_true(who.nameless);
	assert_string_equal(who.person, "uid 70000");
	name[PERSON_NAME - 1] = '\0';
	work_caller_name(&who, name);
	assert_false(who.nameless);
	assert_string_equal(who.person, name);
}

static void spool_tells_each_side_of_the_others_end(void **state)
{
	char buf[64];
	int pair[2];
	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	struct spool *s = spool_new();
	assert_true(spool_put(s, "abc", 3));
	assert_int_equal(spool_take(s, pair[0], buf, sizeof buf), 3);
	close(pair[1]);
	assert_int_equal(spool_take(s, pair[0], buf, sizeof buf), -1); /* its peer has gone */
	spool_leave(s);
	assert_int_equal(*spool_gone(s), 1);
	assert_false(spool_put(s, "d", 1));
	spool_end(s, "", 0);
	close(pair[0]);

	/* Too much is cut off between two pieces; the last piece still comes. */
	static char piece[1 << 20];
	size_t got = 0, put = 0;
	ssize_t n;
	s = spool_new();
	while (spool_put(s, piece, sizeof piece))
		put += sizeof piece;
	assert_true(spool_overflown(s));
	assert_int_equal(put, SPOOL_MOST);
	spool_end(s, "end", 3);
	while ((n = spool_take(s, -1, piece, sizeof piece)) > 0)
		got += (size_t)n;
	assert_int_equal(got, put + 3);
	spool_leave(s);
}

/* ---- all at once ----------------------------------------------------------------------------------------------------- */

#define CLIENTS 10
#define ROUNDS  12
#define CALLS   60

struct client {
	struct house *h;
	pthread_t thread;
	unsigned number, wrong;
	char what[1024]; /* the first that went wrong */
};

static void *be_client(void *arg)
{
	static const char *const requests[] = { "{'request':'calls','limit':0}",
						"{'request':'status'}", "{'request':'verify'}",
						"{'request':'calls','party':'+441632960003'}",
						"{'request':'audit-verify'}" };
	struct client *c = arg;
	for (unsigned i = 0; i < ROUNDS; i++) {
		size_t len;
		char *text = ask(c->h, "alice", UID_ALICE, requests[(i + c->number) % 5], &len);
		json_t *o = verdict_of(text, len);
		if (strcmp(test_text(o, "verdict"), "done") != 0 && !c->wrong++)
			snprintf(c->what, sizeof c->what, "%.*s",
				 len < sizeof c->what ? (int)len : (int)sizeof c->what, text);
		json_decref(o);
		free(text);
	}
	return NULL;
}

static volatile int keeping;

static void *be_keeper(void *arg)
{
	struct house *h = arg;
	struct error err;
	while (__atomic_load_n(&keeping, __ATOMIC_RELAXED)) {
		assert_int_equal(vault_keep(h->t.v, NULL, &err), RC_OK);
		clock_sleep_us(5000);
	}
	return NULL;
}

/* A recorder that is at work, the service's keeper, and ten clients: each call is there once. */
static void recorder_keeper_and_ten_clients_lose_nothing(void **state)
{
	struct house *h = *state;
	static struct client clients[CLIENTS];
	static struct test_call calls[CALLS];
	pthread_t keeper;
	struct store_writer *w = test_recorder(&h->t);
	__atomic_store_n(&keeping, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&keeper, NULL, be_keeper, h), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i] = (struct client){ .h = h, .number = i };
		assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]),
				 0);
	}
	for (unsigned n = 0; n < CALLS; n++) {
		test_whole_call(w, &calls[n], n);
		store_writer_tick(w, (n + 1) * NS_PER_S, HOUR_NS);
		clock_sleep_us(3000);
	}
	test_finish(&h->t, w);
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_join(clients[i].thread, NULL);
	}
	__atomic_store_n(&keeping, 0, __ATOMIC_RELAXED);
	pthread_join(keeper, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (clients[i].wrong)
			fail_msg("%u wrong: %s", clients[i].wrong, clients[i].what);
	}
	assert_int_equal(expect(h, "alice", "{'request':'calls','limit':0}", "done", NULL), CALLS);
	assert_int_equal(test_audited(&h->t, "recorded", NULL), CALLS);
	assert_int_equal(test_ask(&h->t, "{'request':'verify'}"), RC_OK);
	assert_int_equal(test_ask(&h->t, "{'request':'audit-verify'}"), RC_OK);
}

static unsigned written;

static void *be_writer(void *arg)
{
	struct house *h = arg;
	struct error err;
	while (__atomic_load_n(&keeping, __ATOMIC_RELAXED)) {
		vault_enter(h->t.v);
		assert_int_equal(
			audit_write(h->t.v, &(struct audit_entry){ .action = "test" }, &err),
			RC_OK);
		written++;
		vault_leave(h->t.v);
	}
	return NULL;
}

/* Calls whose records are spread over the segment, taken in call by call, while another writes between any two of them. */
static void taking_in_gives_way_and_loses_nothing(void **state)
{
	enum { MANY = 40, BURSTS = 4 };
	const struct ingest_limits one = { .calls_a_batch = 1 };
	struct house *h = *state;
	static struct test_call calls[MANY];
	struct store_writer *w = test_recorder(&h->t);
	pthread_t writer;
	for (unsigned n = 0; n < MANY; n++)
		test_call_begin(&calls[n], w, n);
	for (unsigned i = 0; i < BURSTS; i++) {
		for (unsigned n = 0; n < MANY; n++)
			test_audio_chunk(w, &calls[n], 0, i, i * 25, 25);
	}
	for (unsigned n = 0; n < MANY; n++) {
		test_stream(w, &calls[n], 0, BURSTS * 25);
		test_call_end(w, &calls[n], calls[n].r.answer_us + 2000000);
	}
	test_finish(&h->t, w);
	written = 0;
	__atomic_store_n(&keeping, 1, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&writer, NULL, be_writer, h), 0);
	vault_enter(h->t.v);
	unsigned before = written;
	enum rc rc = ingest_run(h->t.v, &one, &h->t.err);
	unsigned between = written - before;
	vault_leave(h->t.v);
	__atomic_store_n(&keeping, 0, __ATOMIC_RELAXED);
	pthread_join(writer,
		     NULL); /* before anything is asserted: who stays behind keeps the vault */
	assert_int_equal(rc, RC_OK);
	assert_true(between > 0); /* it did give way */
	assert_int_equal(expect(h, "alice", "{'request':'calls','limit':0}", "done", NULL), MANY);
	assert_int_equal(test_audited(&h->t, "recorded", "attested"), MANY);
	assert_int_equal(test_ask(&h->t, "{'request':'verify'}"), RC_OK);
}

int main(void)
{
#define TEST(f)     cmocka_unit_test_setup_teardown(f, make, drop)
#define ATTENDED(f) cmocka_unit_test_setup_teardown(f, make_attended, drop)
	const struct CMUnitTest tests[] = {
		TEST(reply_is_lines_and_a_verdict),
		TEST(status_says_that_there_is_a_service),
		TEST(unlisted_person_is_refused_and_audited),
		TEST(callers_descriptor_is_never_used),
		TEST(stream_carries_the_file_after_the_replies),
		TEST(what_is_no_request_gets_its_status),
		TEST(deep_and_long_bodies_are_refused),
		TEST(what_is_no_http_is_not_answered_as_if),
		TEST(header_without_end_is_refused),
		TEST(slow_and_silent_callers_hinder_nobody),
		TEST(caller_who_never_reads_hinders_nobody),
		TEST(one_person_has_only_so_many_connections),
		TEST(all_without_a_name_have_the_connections_of_one),
		TEST(few_users_cannot_fill_the_service),
		TEST(root_gets_in_when_all_others_have_filled_the_rest),
		TEST(requests_of_callers_who_have_gone_do_not_pile_up),
		TEST(two_passphrases_at_once_give_one_and_a_failure),
		TEST(one_name_is_added_once),
		ATTENDED(passphrase_is_tried_while_others_have_their_turn),
		ATTENDED(passphrase_that_is_changed_while_it_is_tried_opens_nothing),
		ATTENDED(who_is_disabled_while_their_passphrase_is_tried_opens_nothing),
		ATTENDED(few_passphrases_are_worked_on_at_once),
		cmocka_unit_test(name_that_does_not_fit_is_nobodys),
		cmocka_unit_test(spool_tells_each_side_of_the_others_end),
		TEST(recorder_keeper_and_ten_clients_lose_nothing),
		TEST(taking_in_gives_way_and_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
