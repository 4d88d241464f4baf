/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/node/proc_stat.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* The fields behind the name, counted as proc(5) does: 3 is the state. */
enum { F_PPID = 4, F_SID = 6, F_FLAGS = 9, F_THREADS = 20, F_START = 22 };

#define FLAG_EXITING 0x4 /* the kernel's PF_EXITING */

/* One number, then a blank or the end. NULL: no such thing. */
static const char *number(const char *p, int64_t *ret)
{
	char *end;

	if (!isdigit((unsigned char)*p) && *p != '-')
		return NULL;
	errno = 0;
	*ret = strtoll(p, &end, 10);
	/* Some later fields are unsigned and may not fit; none of those we keep. */
	if (end == p || (errno && errno != ERANGE))
		return NULL;
	return *end == ' ' ? end + 1 : end;
}

static int numbers(const char *p, int64_t field[F_START + 1])
{
	for (int i = F_PPID; i <= F_START; i++) {
		p = number(p, &field[i]);
		if (!p)
			return -EINVAL;
	}
	return 0;
}

static bool is_pid(int64_t n)
{
	return n >= 0 && n <= INT_MAX;
}

int proc_stat_parse(const char *text, struct proc_stat *ret)
{
	const char *open = strchr(text, '(');
	/* The name may hold anything, ") Z 1" too; what follows it never holds a ')'. */
	const char *close = strrchr(text, ')');
	int64_t field[F_START + 1] = { 0 };
	int64_t pid;
	size_t n;

	if (!open || !close || close < open || !number(text, &pid) || pid <= 0 || !is_pid(pid))
		return -EINVAL;
	if (close[1] != ' ' || !isalpha((unsigned char)close[2]) || close[3] != ' ')
		return -EINVAL;
	if (numbers(close + 4, field) < 0 || field[F_START] < 0 || !is_pid(field[F_PPID]))
		return -EINVAL;
	*ret = (struct proc_stat){
		.pid = (pid_t)pid,
		.ppid = (pid_t)field[F_PPID],
		.sid = is_pid(field[F_SID]) ? (pid_t)field[F_SID] : 0,
		.state = close[2],
		.exiting = field[F_FLAGS] & FLAG_EXITING,
		.threads = field[F_THREADS],
		.start = (uint64_t)field[F_START],
	};
	n = (size_t)(close - open - 1);
	if (n >= sizeof(ret->comm))
		n = sizeof(ret->comm) - 1;
	memcpy(ret->comm, open + 1, n);
	return 0;
}

bool proc_stat_alive(const struct proc_stat *st)
{
	if (st->state == 'X' || st->state == 'x')
		return false;
	return st->state != 'Z' || st->threads > 1;
}
