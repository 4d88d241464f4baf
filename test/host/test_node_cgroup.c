/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cgroups of this machine, of both versions, as root.
 */
#include "test/lib/node_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static struct path_ident ident(struct node_rig *rig, const char *path)
{
	struct path_ident what;

	assert_int_equal(rig->n->path(rig->n, path, &what, NULL), 1);
	return what;
}

/* A cgroup of our own in the first hierarchy of that type; skips if there is none. */
static void make_cgroup(struct node_rig *rig, const char *type, char ret[PATH_MAX])
{
	struct mount_list list;
	bool found = false;

	assert_int_equal(rig->n->mounts(rig->n, &list, NULL), 0);
	for (size_t i = 0; i < list.n && !found; i++) {
		const struct mount_info *m = &list.at[i];

		/* cpuset wants to be filled in before anybody may enter. */
		if (strcmp(m->type, type) != 0 || strstr(m->super, "cpuset"))
			continue;
		snprintf(ret, PATH_MAX, "%s/urunc-test-%d", m->target, (int)getpid());
		found = rig->n->make_dir(rig->n, ret, 0755, NULL) == 1;
	}
	mount_list_clear(&list);
	if (!found) {
		print_message("# SKIP no %s is mounted that we may make a group in\n", type);
		skip();
	}
}

static struct ident sleeper(struct node_rig *rig)
{
	struct spawn what = { .job = JOB_EXEC, .in = SPAWN_NULL, .out = SPAWN_NULL,
			      .err = SPAWN_NULL,
			      .argv = (const char *const[]){ "/bin/sleep", "60", NULL } };
	struct ident who;

	assert_int_equal(rig->n->spawn(rig->n, &what, &who, NULL), 0);
	return who;
}

static void enter(struct node_rig *rig, const char *path, const struct ident *who)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)who->pid);
	assert_int_equal(rig->n->cgroup_write(rig->n, path, "cgroup.procs", text, NULL), 0);
}

static void check_cgroups(struct node_rig *rig, const char *type)
{
	struct node *n = rig->n;
	struct cgroup_info info;
	struct path_ident top_is;
	struct path_ident sub_is;
	struct ident *pids;
	char top[PATH_MAX];
	char sub[PATH_MAX + 8];
	struct ident who;
	char *text;
	size_t count;

	make_cgroup(rig, type, top);
	snprintf(sub, sizeof(sub), "%s/sub", top);
	assert_int_equal(n->cgroup(n, sub, &info, NULL), 0);
	assert_int_equal(n->make_dir(n, sub, 0755, NULL), 1);
	assert_int_equal(n->cgroup(n, top, &info, NULL), 1);
	assert_false(info.populated);
	top_is = info.path;
	sub_is = ident(rig, sub);
	who = sleeper(rig);
	enter(rig, sub, &who);
	assert_int_equal(n->cgroup(n, top, &info, NULL), 1);
	assert_true(info.populated);
	assert_int_equal(info.procs, 0);
	assert_int_equal(n->cgroup(n, sub, &info, NULL), 1);
	assert_true(info.populated);
	assert_int_equal(info.procs, 1);
	assert_int_equal(n->cgroup_pids(n, sub, &pids, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(pids[0].pid, who.pid);
	assert_int_equal(pids[0].start, who.start);
	free(pids);
	assert_int_equal(n->cgroups_of(n, &who, &text, NULL), 0);
	assert_non_null(strstr(text, "/sub\n"));
	free(text);
	assert_int_equal(n->remove_dir(n, sub, &sub_is, NULL), -EBUSY);
	assert_int_equal(n->signal(n, &who, SIGKILL, NULL), 0);
	(void)node_rig_end(rig, &who);
	assert_int_equal(n->cgroup(n, top, &info, NULL), 1);
	assert_false(info.populated);
	assert_int_equal(n->cgroup_pids(n, sub, &pids, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(pids);
	assert_int_equal(n->cgroup_write(n, top, "no.such", "1", NULL), -ENOENT);
	assert_int_equal(n->cgroup_write(n, top, "../x", "1", NULL), -EINVAL);
	assert_int_equal(n->remove_dir(n, sub, &top_is, NULL), -ESTALE);
	assert_int_equal(n->remove_dir(n, sub, &sub_is, NULL), 1);
	assert_int_equal(n->remove_dir(n, top, &top_is, NULL), 1);
	assert_int_equal(n->cgroup_pids(n, top, &pids, &count, NULL), -ENOENT);
}

static void test_a_cgroup_of_version_1_shows_who_is_in_it_and_below(void **state)
{
	check_cgroups(*state, "cgroup");
}

static void test_a_cgroup_of_version_2_shows_who_is_in_it_and_below(void **state)
{
	check_cgroups(*state, "cgroup2");
}

static void test_a_cgroup_of_version_2_is_killed_by_its_file(void **state)
{
	struct node_rig *rig = *state;
	struct node *n = rig->n;
	struct path_ident what;
	char top[PATH_MAX];
	struct ident who;
	int rc;

	make_cgroup(rig, "cgroup2", top);
	what = ident(rig, top);
	who = sleeper(rig);
	enter(rig, top, &who);
	rc = n->cgroup_write(n, top, "cgroup.kill", "1", NULL);
	if (rc == -ENOENT) /* before Linux 5.14 */
		(void)n->signal(n, &who, SIGKILL, NULL);
	assert_int_equal(WTERMSIG(node_rig_end(rig, &who)), SIGKILL);
	assert_int_equal(n->remove_dir(n, top, &what, NULL), 1);
}

#define T(name) cmocka_unit_test_setup_teardown(name, node_rig_up, node_rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_cgroup_of_version_1_shows_who_is_in_it_and_below),
		T(test_a_cgroup_of_version_2_shows_who_is_in_it_and_below),
		T(test_a_cgroup_of_version_2_is_killed_by_its_file),
	};

	if (geteuid() != 0) {
		puts("needs root, to make cgroups");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
