/* SPDX-License-Identifier: Apache-2.0 */
/*
 * linux_node.c - the object itself, the clocks, and the mounts.
 */
#include "supervisor/node/node_linux.h"

#include "journal/base/cleanup.h"
#include "supervisor/node/linux.h"
#include "supervisor/node/mountinfo.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define MOUNTINFO "/proc/self/mountinfo"

static int64_t ns_of(clockid_t clock)
{
	struct timespec ts = { 0 };

	/* Neither clock can fail on a kernel we run on. */
	(void)clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t now_ms(struct node *n)
{
	(void)n;
	return ns_of(CLOCK_BOOTTIME) / 1000000;
}

static int64_t wall_ns(struct node *n)
{
	(void)n;
	return ns_of(CLOCK_REALTIME);
}

static uint64_t random_number(struct node *n)
{
	uint64_t ret = 0;

	(void)n;
	/* Eight bytes come whole or, before the pool is ready, after a wait. */
	(void)!getrandom(&ret, sizeof(ret), 0);
	return ret;
}

static const char *epoch(struct node *n)
{
	return linux_of(n)->epoch;
}

static int find_epoch(char *ret, size_t size, struct err *err)
{
	auto_free char *boot = NULL;
	struct stat pids;
	struct stat mounts;
	int rc = linux_read_path("/proc/sys/kernel/random/boot_id", 64, &boot, NULL, err);

	if (rc < 0)
		return rc;
	if (stat("/proc/self/ns/pid", &pids) < 0 || stat("/proc/self/ns/mnt", &mounts) < 0)
		return err_set(err, errno, "/proc/self/ns");
	boot[strcspn(boot, "\n")] = '\0';
	snprintf(ret, size, "%s %ju %ju", boot, (uintmax_t)pids.st_ino, (uintmax_t)mounts.st_ino);
	return 0;
}

/* poll(2) on mountinfo tells of every change since the last one that it told of. */
static bool is_fresh(const struct linux_node *n)
{
	struct pollfd p = { .fd = n->mounts_fd, .events = POLLPRI };

	return n->mounts_text && poll(&p, 1, 0) == 0;
}

static int refresh(struct linux_node *n, struct err *err)
{
	if (n->mounts_fd < 0)
		n->mounts_fd = open(MOUNTINFO, O_RDONLY | O_CLOEXEC);
	if (n->mounts_fd < 0 || lseek(n->mounts_fd, 0, SEEK_SET) < 0)
		return err_set(err, errno, MOUNTINFO);
	free(n->mounts_text);
	n->mounts_text = NULL;
	return linux_read(n->mounts_fd, MOUNTINFO, MOUNTINFO_MAX, &n->mounts_text, &n->mounts_len,
			  err);
}

static int kept_mounts(struct linux_node *n, struct mount_list *ret, struct err *err)
{
	int rc = is_fresh(n) ? 0 : refresh(n, err);

	return rc < 0 ? rc : mountinfo_parse(n->mounts_text, n->mounts_len, ret, err);
}

static int mounts(struct node *node, struct mount_list *ret, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;
	int rc;

	if (linux_of(node)->keeps_mounts)
		return kept_mounts(linux_of(node), ret, err);
	rc = linux_read_path(MOUNTINFO, MOUNTINFO_MAX, &text, &len, err);
	return rc < 0 ? rc : mountinfo_parse(text, len, ret, err);
}

void node_linux_keep_mounts(struct node *node)
{
	linux_of(node)->keeps_mounts = true;
}

int node_linux_new(struct node **ret, struct err *err)
{
	struct linux_node *n = calloc(1, sizeof(*n));
	int rc;

	if (!n)
		return err_set(err, ENOMEM, "the node");
	rc = find_epoch(n->epoch, sizeof(n->epoch), err);
	if (rc < 0) {
		free(n);
		return rc;
	}
	n->mounts_fd = -1;
	n->node.now_ms = now_ms;
	n->node.wall_ns = wall_ns;
	n->node.random = random_number;
	n->node.epoch = epoch;
	n->node.mounts = mounts;
	linux_proc_ops(&n->node);
	linux_spawn_ops(&n->node);
	linux_talk_ops(&n->node);
	linux_control_ops(&n->node);
	linux_file_ops(&n->node);
	linux_cgroup_ops(&n->node);
	linux_socket_ops(&n->node);
	*ret = &n->node;
	return 0;
}

struct node *node_linux_free(struct node *node)
{
	struct linux_node *n = linux_of(node);

	if (!n)
		return NULL;
	linux_drop_all(n);
	if (n->mounts_fd >= 0)
		(void)close(n->mounts_fd);
	free(n->mounts_text);
	free(n->children);
	free(n->locks);
	free(n);
	return NULL;
}
