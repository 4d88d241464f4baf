/* SPDX-License-Identifier: Apache-2.0 */
/*
 * console.c - the monitor's terminal: made here, and handed to the shim over its console
 * socket, as an OCI runtime does it.
 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PTMX "/dev/ptmx"

/* The master and its other end. */
static int make(int *master, int *slave, struct err *err)
{
	*master = open(PTMX, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*master < 0 || unlockpt(*master) < 0)
		return err_set(err, errno, "make a terminal from " PTMX);
	*slave = ioctl(*master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return *slave < 0 ? err_set(err, errno, "open the terminal") : 0;
}

static int send_to(const char *path, int master, struct err *err)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { .buf = { 0 } };
	struct iovec iov = { .iov_base = (void *)PTMX, .iov_len = strlen(PTMX) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf,
			      .msg_controllen = sizeof(control.buf) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	auto_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(to.sun_path))
		return err_say(err, ENAMETOOLONG, "console socket %s: its name is too long", path);
	(void)strcpy(to.sun_path, path);
	*c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
			       .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(c), &master, sizeof(int));
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
	    sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		return err_set(err, errno, "hand the terminal to console socket %s", path);
	return 0;
}

static void set_size(int slave, json_object *process)
{
	json_object *size = launch_member(process, "consoleSize", json_type_object);
	json_object *rows = launch_member(size, "height", json_type_int);
	json_object *columns = launch_member(size, "width", json_type_int);
	const struct winsize to = { .ws_row = (unsigned short)json_object_get_int(rows),
				    .ws_col = (unsigned short)json_object_get_int(columns) };

	if (rows && columns)
		(void)ioctl(slave, TIOCSWINSZ, &to);
}

/* The monitor's user may open it again by its name. */
static int take(int slave, json_object *process, struct err *err)
{
	json_object *user = launch_member(process, "user", json_type_object);
	json_object *uid = launch_member(user, "uid", json_type_int);

	if (fchown(slave, (uid_t)json_object_get_int64(uid), (gid_t)-1) < 0)
		return err_set(err, errno, "give the terminal to the monitor's user");
	if (ioctl(slave, TIOCSCTTY, 0) < 0)
		return err_set(err, errno, "take the terminal");
	for (int fd = 0; fd <= 2; fd++)
		if (dup2(slave, fd) < 0)
			return err_set(err, errno, "use the terminal");
	return 0;
}

int launch_console(json_object *args, struct err *err)
{
	json_object *process = launch_member(args, "process", json_type_object);
	const char *path = launch_text(args, "console");
	auto_fd int master = -1;
	auto_fd int slave = -1;
	int rc;

	if (!path[0])
		return 0;
	rc = make(&master, &slave, err);
	if (rc < 0)
		return rc;
	set_size(slave, process);
	rc = take(slave, process, err);
	return rc < 0 ? rc : send_to(path, master, err);
}
