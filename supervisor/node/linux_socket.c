/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_socket.c - the sockets that shims listen on.
 *
 * A connection is counted by sock_diag: an accepted socket carries its listener's
 * name, and its peer has an inode for as long as the other side has it open. What
 * waits to be accepted has no inode yet; the listener's queue length counts those.
 * Where the kernel has no unix_diag, /proc/net/unix says nearly the same: there, a
 * connection counts until we have closed our side too.
 */
#include "supervisor/node/linux.h"

#include "journal/base/cleanup.h"
#include "journal/base/file.h"

#include <libmnl/libmnl.h>
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define BACKLOG     128
#define ANSWER_USEC 100000
#define PROC_MAX    (64u << 20)
#define STATE_ESTABLISHED 1 /* the numbers of TCP's states, which unix sockets use */
#define STATE_LISTEN      10

static int address(const char *path, struct sockaddr_un *ret, struct err *err)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (path[0] != '/' || strlen(path) >= sizeof(ret->sun_path))
		return err_say(err, ENAMETOOLONG, "socket %s: a path must be absolute and have "
			       "less than %zu bytes", path, sizeof(ret->sun_path));
	strcpy(ret->sun_path, path);
	return 0;
}

static int listen_op(struct node *n, const char *path, int *ret, struct err *err)
{
	auto_fd int fd = -1;
	struct sockaddr_un addr;
	int rc = address(path, &addr, err);

	(void)n;
	if (rc == 0)
		rc = file_mkparents(path, 0700, err);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The mode of an unbound socket becomes the mode of its file. */
	if (fd < 0 || fchmod(fd, 0600) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || listen(fd, BACKLOG) < 0)
		return err_set(err, errno, "listen on %s", path);
	*ret = TAKE_FD(fd);
	return 0;
}

static int answers(struct node *n, const char *path, struct err *err)
{
	struct timeval wait = { .tv_usec = ANSWER_USEC };
	struct sockaddr_un addr;
	auto_fd int fd = -1;
	int rc = address(path, &addr, err);

	(void)n;
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) < 0)
		return err_set(err, errno, "ask socket %s", path);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 1;
	if (errno == ECONNREFUSED || errno == ENOENT || errno == ENOTDIR)
		return 0;
	if (errno == EAGAIN)
		return err_say(err, EAGAIN, "socket %s: somebody listens, and does not accept: "
			       "stopped or hung", path);
	return err_set(err, errno, "ask socket %s", path);
}

/* ---- peers ------------------------------------------------------------------- */

struct count {
	const char *path;
	int peers;
};

static bool is_name(const struct nlattr *attr, const char *path)
{
	size_t len = mnl_attr_get_payload_len(attr);

	return strlen(path) == strnlen(mnl_attr_get_payload(attr), len) &&
	       memcmp(mnl_attr_get_payload(attr), path, strlen(path)) == 0;
}

static int count_one(const struct nlmsghdr *nlh, void *arg)
{
	const struct unix_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	const struct unix_diag_rqlen *queue = NULL;
	struct count *count = arg;
	const struct nlattr *attr;
	bool named = false;
	uint32_t peer = 0;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*msg))
		return MNL_CB_OK;
	mnl_attr_for_each(attr, nlh, sizeof(*msg)) {
		if (mnl_attr_get_type(attr) == UNIX_DIAG_NAME)
			named = is_name(attr, count->path);
		else if (mnl_attr_get_type(attr) == UNIX_DIAG_PEER)
			peer = mnl_attr_get_u32(attr);
		else if (mnl_attr_get_type(attr) == UNIX_DIAG_RQLEN &&
			 mnl_attr_get_payload_len(attr) >= sizeof(*queue))
			queue = mnl_attr_get_payload(attr);
	}
	if (named && msg->udiag_state == STATE_ESTABLISHED && peer)
		count->peers++;
	if (named && msg->udiag_state == STATE_LISTEN && queue)
		count->peers += (int)queue->udiag_rqueue;
	return MNL_CB_OK;
}

static int ask_kernel(struct mnl_socket *nl, char *buf)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct unix_diag_req *req;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 1;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = AF_UNIX;
	req->udiag_states = 1u << STATE_ESTABLISHED | 1u << STATE_LISTEN;
	req->udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN;
	return mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0 ||
			       mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0
		       ? -errno
		       : 0;
}

static int count_all(struct mnl_socket *nl, struct count *count)
{
	char buf[16384];
	unsigned int port;
	int rc = ask_kernel(nl, buf);

	if (rc < 0)
		return rc;
	port = mnl_socket_get_portid(nl);
	do {
		ssize_t n = mnl_socket_recvfrom(nl, buf, sizeof(buf));

		rc = n < 0 ? -1 : mnl_cb_run(buf, (size_t)n, 1, port, count_one, count);
	} while (rc == MNL_CB_OK);
	return rc < 0 ? -errno : 0;
}

/* Lines "num: refs protocol flags type state inode path". */
static int count_lines(const char *path, struct err *err)
{
	auto_free char *text = NULL;
	char *rest;
	int rc = linux_read_path("/proc/net/unix", PROC_MAX, &text, NULL, err);
	int peers = 0;

	if (rc < 0)
		return rc;
	rest = text;
	for (char *line; (line = strsep(&rest, "\n"));) {
		unsigned int state;
		int name = 0;

		if (sscanf(line, "%*s %*s %*s %*s %*s %x %*u %n", &state, &name) == 1 && name &&
		    strcmp(line + name, path) == 0)
			peers += state == SS_CONNECTED || state == SS_CONNECTING;
	}
	return peers;
}

static int peers(struct node *n, const char *path, struct err *err)
{
	struct count count = { .path = path };
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	int rc = nl ? count_all(nl, &count) : -errno;

	(void)n;
	if (nl)
		(void)mnl_socket_close(nl);
	return rc < 0 ? count_lines(path, err) : count.peers;
}

void linux_socket_ops(struct node *n)
{
	n->listen = listen_op;
	n->answers = answers;
	n->peers = peers;
}
