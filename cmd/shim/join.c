/* SPDX-License-Identifier: Apache-2.0 */
/*
 * join.c - the living shim of a group is asked: to serve one more task, or to let go of one.
 *
 * An answer is the only proof that a shim lives: one that is being killed still has a
 * pid, a socket and a queue that takes connections.
 */
#include "cmd/shim/shim.h"

#include "journal/base/cleanup.h"
#include "journal/base/file.h"
#include "proto/api/urunc_shim.pb-c.h"
#include "proto/ttrpc/client.h"
#include "proto/ttrpc/release.h"
#include "supervisor/service/first.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JOIN_MS    3000 /* for one answer: a shim that has just been forked is busy */
#define LOCK_MS    8000 /* for other starts of the group                            */
#define RELEASE_MS 500  /* for a living shim to let go of a task                    */
#define GOING_MS   500  /* for one that is on its way out                           */

void shim_nap(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	nanosleep(&pause, NULL);
}

pid_t shim_owner(const struct shim *shim)
{
	pid_t pid = 0;

	(void)journal_owner(&shim->place, &shim->key, &pid, NULL);
	return pid;
}

void shim_let_go(const struct shim *shim, int ms)
{
	struct node *n = shim->node;
	int64_t end = n->now_ms(n) + ms;

	while (shim_owner(shim) && n->now_ms(n) < end)
		shim_nap();
}

/* ---- a lock for each group -------------------------------------------------------------- */

/* One file for all of them, and a byte for each: nothing is left behind that somebody
 * would have to remove. */
static struct flock byte_of(const char *socket)
{
	const char *name = strrchr(socket, '/') + 1;
	char digits[16] = "";

	(void)strncat(digits, name, sizeof(digits) - 1); /* of a hash: below 2^60 */
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1,
			       .l_start = (off_t)strtoll(digits, NULL, 16) };
}

int shim_lock_group(const struct shim *shim, const char *socket, int *ret, struct err *err)
{
	struct node *n = shim->node;
	int64_t end = n->now_ms(n) + LOCK_MS;
	struct flock byte = byte_of(socket);
	auto_free char *path = NULL;
	auto_fd int fd = -1;
	int rc;

	if (asprintf(&path, "%s/lock/groups", shim->config.run) < 0)
		return err_set(err, ENOMEM, "lock the group");
	rc = file_mkparents(path, 0700, err);
	if (rc < 0)
		return rc;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, errno, "open %s", path);
	while (fcntl(fd, F_SETLK, &byte) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return err_set(err, errno, "lock %s", path);
		if (n->now_ms(n) >= end)
			return err_say(err, EBUSY, "another start of this group has been at it for "
				       "%d s", LOCK_MS / 1000);
		shim_nap();
	}
	*ret = TAKE_FD(fd);
	return 0;
}

/* ---- questions ------------------------------------------------------------------------------ */

/* 0: nobody is there, or nobody any more. */
static bool is_nobody(int rc)
{
	return rc == -ENOENT || rc == -ECONNREFUSED || rc == -ENOTDIR;
}

int shim_join(const struct shim *shim, const struct first *first, struct err *err)
{
	Urunc__Shim__V1__JoinRequest in = URUNC__SHIM__V1__JOIN_REQUEST__INIT;
	const struct client_request req = {
		.service = "urunc.shim.v1.Shim", .method = "Join", .ns = shim->key.ns,
		.in = &in.base, .out = &urunc__shim__v1__join_response__descriptor,
		.timeout_ms = JOIN_MS,
	};
	ProtobufCMessage *answer = NULL;
	int code = 0, rc;

	in.address = (char *)first->address;
	in.namespace_ = (char *)shim->key.ns;
	in.id = (char *)shim->key.id;
	in.bundle = (char *)first->bundle;
	in.group = (char *)first->group;
	in.ttrpc_address = (char *)first->ttrpc_address;
	rc = client_ask(first->socket, &req, &answer, &code, err);
	if (rc == 0) {
		protobuf_c_message_free_unpacked(answer, NULL);
		return 1;
	}
	if (code == 0 && is_nobody(rc))
		return 0;
	if (rc == -ESHUTDOWN || (code == 0 && rc == -ECONNRESET))
		return -EAGAIN;
	return err_wrap(err, "the shim of group %s", first->group);
}

static char *socket_of(const struct shim *shim)
{
	struct journal *j = NULL;
	struct task_row row;
	char *path = NULL;

	if (journal_open(&j, &shim->place, &shim->key, JOURNAL_READ, NULL) < 0)
		return NULL;
	if (journal_task(j, &row, NULL) == 0) {
		path = TAKE_PTR(row.socket);
		task_row_clear(&row);
	}
	journal_close(j);
	return path;
}

void shim_release(const struct shim *shim, struct verdict *v)
{
	auto_free char *socket = socket_of(shim);
	const struct release r = { .socket = socket, .ns = shim->key.ns, .id = shim->key.id,
				   .timeout_ms = RELEASE_MS };
	struct release_end end;
	struct err err = ERR_INIT;
	int rc;

	if (!socket || !shim_owner(shim))
		return;
	rc = release_ask(&r, &end, &err);
	if (rc == 0 && end.pid)
		*v = (struct verdict){ .pid = end.pid, .status = end.status, .at_ns = end.at_ns };
	/* Released, or no socket any more: it is on its way out. */
	if (rc == 0 || is_nobody(rc) || rc == -ECONNRESET)
		shim_let_go(shim, GOING_MS);
}
