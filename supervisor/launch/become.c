/* SPDX-License-Identifier: Apache-2.0 */
#include "supervisor/launch/launch.h"

#include "journal/base/cleanup.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define GROUPS_MAX 256

/* ---- limits ---------------------------------------------------------------------- */

static const struct {
	const char *name;
	int resource;
} limits[] = {
	{ "RLIMIT_AS", RLIMIT_AS },	      { "RLIMIT_CORE", RLIMIT_CORE },
	{ "RLIMIT_CPU", RLIMIT_CPU },	      { "RLIMIT_DATA", RLIMIT_DATA },
	{ "RLIMIT_FSIZE", RLIMIT_FSIZE },     { "RLIMIT_LOCKS", RLIMIT_LOCKS },
	{ "RLIMIT_MEMLOCK", RLIMIT_MEMLOCK }, { "RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE },
	{ "RLIMIT_NICE", RLIMIT_NICE },	      { "RLIMIT_NOFILE", RLIMIT_NOFILE },
	{ "RLIMIT_NPROC", RLIMIT_NPROC },     { "RLIMIT_RSS", RLIMIT_RSS },
	{ "RLIMIT_RTPRIO", RLIMIT_RTPRIO },   { "RLIMIT_RTTIME", RLIMIT_RTTIME },
	{ "RLIMIT_SIGPENDING", RLIMIT_SIGPENDING }, { "RLIMIT_STACK", RLIMIT_STACK },
};

static rlim_t amount(json_object *one, const char *name)
{
	json_object *value = launch_member(one, name, json_type_int);

	return value ? json_object_get_uint64(value) : RLIM_INFINITY;
}

static int set_limit(json_object *one, struct err *err)
{
	const char *type = launch_text(one, "type");
	const struct rlimit to = { .rlim_cur = amount(one, "soft"), .rlim_max = amount(one, "hard") };

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		if (strcmp(limits[i].name, type) != 0)
			continue;
		/* The C library's enum, and its plain int. */
		if (setrlimit((__rlimit_resource_t)limits[i].resource, &to) < 0)
			return err_set(err, errno, "set %s", type);
		return 0;
	}
	return err_say(err, EINVAL, "\"%s\" is no limit of a process", type);
}

static int set_oom_score(json_object *process, struct err *err)
{
	json_object *value = launch_member(process, "oomScoreAdj", json_type_int);
	auto_fd int fd = -1;

	if (!value)
		return 0;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "%d", json_object_get_int(value)) < 0)
		return err_set(err, errno, "set oomScoreAdj");
	return 0;
}

int launch_limits(json_object *process, struct err *err)
{
	json_object *list = launch_member(process, "rlimits", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	int rc = set_oom_score(process, err);

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = set_limit(json_object_array_get_idx(list, i), err);
	return rc;
}

/* ---- capabilities ------------------------------------------------------------------ */

/* By number. */
static const char *const caps[] = {
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID",
	"SETUID", "SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST",
	"NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE", "SYS_RAWIO",
	"SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE",
	"AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM",
	"BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
};

/* As runtimes do: what this kernel, or we, don't know is passed over. */
static uint64_t set_of(json_object *process, const char *name)
{
	json_object *all = launch_member(process, "capabilities", json_type_object);
	json_object *list = launch_member(all, name, json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	uint64_t set = 0;

	for (size_t i = 0; i < n; i++) {
		const char *word = json_object_get_string(json_object_array_get_idx(list, i));

		for (size_t c = 0; word && c < ARRAY_SIZE(caps); c++)
			if (strncmp(word, "CAP_", 4) == 0 && strcmp(word + 4, caps[c]) == 0)
				set |= UINT64_C(1) << c;
	}
	return set;
}

static int drop_bounding(uint64_t keep, struct err *err)
{
	for (int c = 0; prctl(PR_CAPBSET_READ, c, 0, 0, 0) >= 0; c++)
		if (!(c < 64 && keep & UINT64_C(1) << c) && prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0)
			return err_set(err, errno, "drop capability %d", c);
	return 0;
}

static int set_caps(json_object *process, uint64_t may, struct err *err)
{
	uint64_t e = set_of(process, "effective") & may;
	uint64_t p = set_of(process, "permitted") & may;
	uint64_t i = set_of(process, "inheritable") & may;
	uint64_t a = set_of(process, "ambient") & may;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ (uint32_t)e, (uint32_t)p, (uint32_t)i },
		{ (uint32_t)(e >> 32), (uint32_t)(p >> 32), (uint32_t)(i >> 32) },
	};

	if (syscall(SYS_capset, &head, data) < 0)
		return err_set(err, errno, "set its capabilities");
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (size_t c = 0; c < ARRAY_SIZE(caps); c++)
		if (a & UINT64_C(1) << c && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0) < 0)
			return err_set(err, errno, "raise CAP_%s", caps[c]);
	return 0;
}

/* ---- the user ------------------------------------------------------------------------ */

static unsigned int number(json_object *user, const char *name)
{
	json_object *value = launch_member(user, name, json_type_int);

	return value ? (unsigned int)json_object_get_int64(value) : 0;
}

static int set_ids(json_object *user, struct err *err)
{
	json_object *list = launch_member(user, "additionalGids", json_type_array);
	size_t n = list ? json_object_array_length(list) : 0;
	gid_t groups[GROUPS_MAX];
	gid_t gid = number(user, "gid");
	uid_t uid = number(user, "uid");

	if (n > GROUPS_MAX)
		return err_say(err, E2BIG, "%zu additional groups, and the limit is %d", n, GROUPS_MAX);
	for (size_t i = 0; i < n; i++)
		groups[i] = (gid_t)json_object_get_int64(json_object_array_get_idx(list, i));
	if (setgroups(n, groups) < 0 || setresgid(gid, gid, gid) < 0)
		return err_set(err, errno, "become group %u", gid);
	/* Else the capabilities would go with the uid, before they are set. */
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setresuid(uid, uid, uid) < 0)
		return err_set(err, errno, "become user %u", uid);
	return 0;
}

/* MKNOD is for who serves a rootfs alone: no device cgroup holds a monitor back, it has
 * the few nodes that its root has. */
int launch_user(json_object *args, struct err *err)
{
	json_object *process = launch_member(args, "process", json_type_object);
	json_object *strict = launch_member(process, "noNewPrivileges", json_type_boolean);
	uint64_t may = launch_serves(args) ? UINT64_MAX : ~(UINT64_C(1) << CAP_MKNOD);
	int rc = drop_bounding(set_of(process, "bounding") & may, err);

	if (rc == 0)
		rc = set_ids(launch_member(process, "user", json_type_object), err);
	if (rc == 0)
		rc = set_caps(process, may, err);
	if (rc == 0 && json_object_get_boolean(strict) &&
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = err_set(err, errno, "set no_new_privs");
	return rc;
}
