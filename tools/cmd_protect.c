/* SPDX-License-Identifier: Apache-2.0
 * Copyright The callspan authors */
/* cmd_protect.c: the password or certificate under which a recording leaves.
 *
 * A password that is made here has 24 signs of an alphabet of 32 without those that look alike: 120 bits.  It is shown
 * once, when the file is there, and kept nowhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/whole.h"
#include "cmd.h"

#define GROUPS         6
#define GROUP          4
#define FILE_BYTES_MAX 65536

static const char alphabet[] = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
_Static_assert(sizeof alphabet == 32 + 1, "5 bits a sign");

static void make_password(char out[PASSPHRASE_MAX])
{
	uint8_t bits[GROUPS * GROUP];
	size_t at = 0;
	ASSERT(getrandom(bits, sizeof bits, 0) == sizeof bits);
	for (size_t i = 0; i < sizeof bits; i++) {
		if (i > 0 && i % GROUP == 0)
			out[at++] = '-';
		out[at++] = alphabet[bits[i] & 31];
	}
	out[at] = '\0';
	explicit_bzero(bits, sizeof bits);
}

enum rc cmd_read_text(const char *path, char **text, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_errno(err, RC_FAILED, errno, "%.300s", path);
	char *buf = calloc(1, FILE_BYTES_MAX + 1);
	ASSERT(buf);
	ssize_t n = whole_read(fd, buf, FILE_BYTES_MAX);
	int why = errno;
	close(fd);
	*text = buf;
	if (n >= 0 && n < FILE_BYTES_MAX)
		return RC_OK;
	*text = NULL;
	free(buf);
	return n < 0 ? error_errno(err, RC_FAILED, why, "%.300s", path)
		     : error_set(err, RC_FAILED, "%.300s is longer than any certificate or key",
				 path);
}

enum rc cmd_protect(struct protect *p, struct opening *o, const char *password_file,
		    const char *recipient_file, struct error *err)
{
	*p = (struct protect){ 0 };
	enum rc rc = RC_OK;
	if (password_file && recipient_file)
		return error_set(err, RC_USAGE, "either --password-file or --recipient");
	if (recipient_file)
		rc = cmd_read_text(recipient_file, &p->certificate, err);
	else if (password_file && strcmp(password_file, "-") == 0)
		make_password(p->password);
	else if (password_file)
		rc = cmd_passphrase_file(password_file, p->password, err);
	p->made = password_file && strcmp(password_file, "-") == 0;
	o->password = password_file ? p->password : NULL;
	o->recipient = p->certificate;
	return rc;
}

void cmd_protect_tell(const struct protect *p)
{
	if (p->made)
		fprintf(stderr,
			"Password: %s\n"
			"  It is shown only now.  Tell it by another way than the file.\n",
			p->password);
}

void cmd_protect_forget(struct protect *p)
{
	explicit_bzero(p->password, sizeof p->password);
	free(p->certificate);
}
