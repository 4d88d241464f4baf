/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/metrics/oom.h"

#include "journal/base/cleanup.h"
#include "supervisor/metrics/parse.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#define TEXT_MAX  4096 /* of a file with the count of kills      */
#define DEPTH_MAX 8    /* of cgroups below a container's          */
#define LOOK_MS   5    /* then twice as long, until                */
#define LAST_MS   1280 /* which makes about two and a half seconds */

enum oom_fd {
	OOM_POLL,   /* holds those that wake us                          */
	OOM_WAKE,   /* version 1: the eventfd; version 2: memory.events   */
	OOM_TIMER,  /* version 1: to look again                           */
	OOM_DIR,    /* version 1: the folder                              */
	OOM_ABOVE,  /* version 2: memory.events of the cgroup above, or -1 */
	OOM_EVENTS, /* version 2: cgroup.events: it is changed by the end  */
	OOM_N
};

struct oom {
	bool unified;
	int fd[OOM_N];
	uint64_t seen;  /* kills                                              */
	uint64_t above; /* those in the cgroup above                          */
	bool woken;     /* version 1: no kill was found for it yet            */
	int look_ms;    /* version 1: how long the timer runs; 0: it does not */
};

/* ---- what both have -------------------------------------------------------------- */

static int watch(const struct oom *oom, enum oom_fd which, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.u32 = which };

	return epoll_ctl(oom->fd[OOM_POLL], EPOLL_CTL_ADD, oom->fd[which], &ev);
}

/* The count in an open file; -ENODEV: its cgroup is gone. */
static int count_kills(int fd, uint64_t *ret)
{
	static const struct stat_key keys[] = { { "oom_kill", 0 } };
	char text[TEXT_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -ENODEV;
	text[n] = '\0';
	*ret = 0;
	stat_keys(text, keys, ARRAY_SIZE(keys), ret);
	return 0;
}

/* Has the count grown? The sum of several may also shrink. */
static bool has_grown(uint64_t *seen, uint64_t now)
{
	bool grown = now > *seen;

	*seen = now;
	return grown;
}

static int open_at(struct oom *oom, enum oom_fd which, int dir, const char *name)
{
	oom->fd[which] = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return oom->fd[which];
}

/* ---- version 2 ----------------------------------------------------------------------- */

/* Each change of these files is an urgent event. Edges: the last one of a removed
 * cgroup would be there forever. */
#define CHANGE (EPOLLPRI | EPOLLET)

static int open_v2(struct oom *oom, int dir)
{
	if (open_at(oom, OOM_WAKE, dir, "memory.events") < 0 || watch(oom, OOM_WAKE, CHANGE) < 0)
		return -1;
	if (open_at(oom, OOM_EVENTS, dir, "cgroup.events") < 0 ||
	    watch(oom, OOM_EVENTS, CHANGE) < 0)
		return -1;
	/* The root has none. */
	if (open_at(oom, OOM_ABOVE, dir, "../memory.events") >= 0)
		(void)count_kills(oom->fd[OOM_ABOVE], &oom->above);
	return 0;
}

static int read_v2(struct oom *oom)
{
	struct epoll_event ev[2];
	int n = epoll_wait(oom->fd[OOM_POLL], ev, 2, 0);
	uint64_t kills, above = oom->above;
	bool changed = false, grown;

	for (int i = 0; i < n; i++)
		changed |= ev[i].data.u32 == OOM_WAKE;
	if (oom->fd[OOM_ABOVE] >= 0)
		(void)count_kills(oom->fd[OOM_ABOVE], &above);
	grown = has_grown(&oom->above, above);
	if (count_kills(oom->fd[OOM_WAKE], &kills) < 0)
		return changed && grown ? 1 : -ENODEV;
	return has_grown(&oom->seen, kills);
}

/* ---- version 1 ------------------------------------------------------------------------ */

static int look_in(struct oom *oom, int ms)
{
	struct itimerspec at = { .it_value = { ms / 1000, (ms % 1000) * 1000000L } };

	oom->look_ms = ms;
	return timerfd_settime(oom->fd[OOM_TIMER], 0, &at, NULL);
}

static int order_wake(struct oom *oom, int dir)
{
	auto_fd int oom_control = openat(dir, "memory.oom_control", O_RDONLY | O_CLOEXEC);
	auto_fd int control = openat(dir, "cgroup.event_control", O_WRONLY | O_CLOEXEC);
	char text[64];
	int len;

	if (oom_control < 0 || control < 0)
		return -1;
	len = snprintf(text, sizeof(text), "%d %d ", oom->fd[OOM_WAKE], oom_control);
	return write(control, text, (size_t)len) == len ? 0 : -1;
}

static int open_v1(struct oom *oom, int dir)
{
	oom->fd[OOM_DIR] = fcntl(dir, F_DUPFD_CLOEXEC, 3);
	oom->fd[OOM_WAKE] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	oom->fd[OOM_TIMER] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (oom->fd[OOM_DIR] < 0 || oom->fd[OOM_WAKE] < 0 || oom->fd[OOM_TIMER] < 0 ||
	    watch(oom, OOM_WAKE, EPOLLIN) < 0 || watch(oom, OOM_TIMER, EPOLLIN) < 0 ||
	    order_wake(oom, dir) < 0)
		return -1;
	/* At once, for what was before, and only then. */
	if (look_in(oom, 1) < 0)
		return -1;
	oom->look_ms = LAST_MS;
	return 0;
}

/* Those of the folder and of all below it. */
static int sum_kills(int dir, int depth, uint64_t *ret)
{
	auto_fd int fd = openat(dir, "memory.oom_control", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	auto_fd int copy = -1;
	auto_dir DIR *list = NULL;
	const struct dirent *de;
	uint64_t kills;

	if (fd < 0 || count_kills(fd, &kills) < 0)
		return -ENODEV;
	*ret += kills;
	if (depth == DEPTH_MAX)
		return 0;
	copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	list = copy < 0 ? NULL : fdopendir(copy);
	if (!list)
		return 0;
	copy = -1; /* the list's now */
	while ((de = readdir(list))) {
		auto_fd int sub = -1;

		if (de->d_type != DT_DIR || de->d_name[0] == '.')
			continue;
		sub = openat(dir, de->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			(void)sum_kills(sub, depth + 1, ret);
	}
	return 0;
}

/* Woken, but nothing was counted: it may come, or be somebody else's. */
static void look_again(struct oom *oom)
{
	if (oom->look_ms < LAST_MS) {
		(void)look_in(oom, oom->look_ms ? oom->look_ms * 2 : LOOK_MS);
		return;
	}
	oom->woken = false;
	(void)look_in(oom, 0);
}

static int read_v1(struct oom *oom)
{
	uint64_t wakes = 0, times = 0, kills = 0;
	bool timed = read(oom->fd[OOM_TIMER], &times, sizeof(times)) > 0;
	bool killed;

	(void)!read(oom->fd[OOM_WAKE], &wakes, sizeof(wakes));
	if (sum_kills(oom->fd[OOM_DIR], 0, &kills) < 0) {
		/* The removal itself is one of these. */
		killed = oom->woken || wakes > 1;
		oom->woken = false;
		(void)look_in(oom, 0);
		return killed ? 1 : -ENODEV;
	}
	if (wakes) {
		oom->woken = true;
		oom->look_ms = 0;
	}
	killed = has_grown(&oom->seen, kills);
	if (killed) {
		oom->woken = false;
		(void)look_in(oom, 0);
	} else if (wakes || timed) {
		look_again(oom);
	}
	return killed;
}

/* ---- for callers ------------------------------------------------------------------------ */

static int open_all(struct oom *oom, const char *folder)
{
	auto_fd int dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	oom->fd[OOM_POLL] = epoll_create1(EPOLL_CLOEXEC);
	if (dir < 0 || oom->fd[OOM_POLL] < 0)
		return -1;
	return oom->unified ? open_v2(oom, dir) : open_v1(oom, dir);
}

int oom_open(struct oom **ret, const struct cgroup_folders *folders, struct err *err)
{
	const char *folder = folders->unified ? folders->unified : folders->of[CGROUP_MEMORY];
	struct oom *oom;
	int code;

	if (!folder)
		return err_say(err, ENOENT, "no memory controller counts kills in the container");
	oom = calloc(1, sizeof(*oom));
	if (!oom)
		return err_set(err, ENOMEM, "watch memory run out in %s", folder);
	oom->unified = folders->unified != NULL;
	for (int i = 0; i < OOM_N; i++)
		oom->fd[i] = -1;
	if (open_all(oom, folder) < 0) {
		code = errno == ENODEV ? ENOENT : errno;
		oom_close(oom);
		return err_set(err, code, "watch memory run out in %s", folder);
	}
	*ret = oom;
	return 0;
}

int oom_fd(const struct oom *oom)
{
	return oom->fd[OOM_POLL];
}

int oom_read(struct oom *oom)
{
	return oom->unified ? read_v2(oom) : read_v1(oom);
}

struct oom *oom_close(struct oom *oom)
{
	if (!oom)
		return NULL;
	for (int i = 0; i < OOM_N; i++)
		if (oom->fd[i] >= 0)
			(void)close(oom->fd[i]);
	free(oom);
	return NULL;
}
