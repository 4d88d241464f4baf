/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes that no row names a recovery takes for what a task left: what stands in
 * its bundle or on its rootfs, or is in a session that a child of it began, and has no
 * parent any more who could be asked.
 */
#include "test/lib/engine_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define BUNDLE "/b/t1"
#define ROOTFS BUNDLE "/rootfs"
#define NOBODY 4000 /* no process has this number */
#define TICKS  60000 /* a member of a session may be so much younger than its first */

static void a_bundle(struct bench *b)
{
	const struct path_ident what = sim_make(b->sim, BUNDLE, S_IFDIR)->what;

	assert_int_equal(journal_set_bundle(b->j, BUNDLE, what.dev, what.ino, NULL), 0);
}

static struct sim_proc *stands(struct bench *b, pid_t ppid, const char *cwd, const char *root)
{
	struct sim_proc *p = sim_proc_new(b->sim, "sleep", ppid);

	(void)snprintf(p->cwd, sizeof(p->cwd), "%s", cwd);
	(void)snprintf(p->root, sizeof(p->root), "%s", root);
	return p;
}

static void recover(struct bench *b)
{
	assert_int_equal(bench_happens(b, EV_RECOVER, NULL, NULL), RUN_DONE);
}

static bool lives(struct bench *b, pid_t pid)
{
	struct sim_proc *p = sim_find(b->sim, pid);

	return p && !p->zombie;
}

/* ---- in the bundle -------------------------------------------------------------------------------- */

static void an_orphan_in_the_bundle_is_ended_with_its_children_there(void **state)
{
	struct bench *b = *state;
	struct sim_proc *child, *orphan, *subreaped;
	pid_t pids[3];

	a_bundle(b);
	child = stands(b, NOBODY, BUNDLE, "/"); /* and seen before its parent */
	orphan = stands(b, 1, BUNDLE, "/");
	child->ppid = orphan->ident.pid;
	subreaped = stands(b, b->sim->me, BUNDLE, "/");
	pids[0] = child->ident.pid;
	pids[1] = orphan->ident.pid;
	pids[2] = subreaped->ident.pid;
	recover(b);
	for (int i = 0; i < 3; i++)
		assert_false(lives(b, pids[i]));
}

static void who_has_a_parent_that_was_not_seen_is_no_orphan(void **state)
{
	struct bench *b = *state;
	pid_t pid;

	a_bundle(b);
	pid = stands(b, NOBODY, BUNDLE, "/")->ident.pid;
	recover(b);
	assert_true(lives(b, pid));
}

static void a_folder_of_that_number_on_another_device_is_not_the_bundle(void **state)
{
	struct bench *b = *state;
	struct sim_file *other = sim_make(b->sim, "/x", S_IFDIR);
	pid_t pid;

	a_bundle(b);
	other->what.ino = sim_file(b->sim, BUNDLE)->what.ino;
	other->what.dev++;
	pid = stands(b, 1, "/x", "/")->ident.pid;
	recover(b);
	assert_true(lives(b, pid));
}

static void who_called_us_is_no_stray_wherever_he_stands(void **state)
{
	struct bench *b = *state;
	struct sim_proc *shell;
	pid_t pid;

	a_bundle(b);
	shell = stands(b, 1, BUNDLE, "/");
	pid = shell->ident.pid;
	sim_find(b->sim, b->sim->me)->ppid = pid;
	recover(b);
	assert_true(lives(b, pid));
}

/* Processes are looked at one after another: numbers may be given anew meanwhile. */
static void parents_in_a_circle_end_the_search(void **state)
{
	struct bench *b = *state;
	struct sim_proc *me = sim_find(b->sim, b->sim->me);
	struct sim_proc *other = stands(b, b->sim->me, "/", "/");
	pid_t pid;

	a_bundle(b);
	me->ppid = other->ident.pid;
	pid = stands(b, 1, BUNDLE, "/")->ident.pid;
	recover(b);
	assert_false(lives(b, pid));
}

/* ---- on the rootfs ----------------------------------------------------------------------------------- */

static struct sim_mount *a_rootfs(struct bench *b)
{
	a_bundle(b);
	sim_make(b->sim, ROOTFS, S_IFDIR);
	return sim_mount_new(b->sim, "overlay", "overlay", ROOTFS);
}

static void who_stands_on_a_rootfs_of_its_own_is_ended(void **state)
{
	struct bench *b = *state;
	pid_t pid, root, other;

	(void)a_rootfs(b);
	sim_make(b->sim, "/other", S_IFDIR);
	pid = stands(b, 1, "/", ROOTFS)->ident.pid;
	root = stands(b, 1, "/", "/")->ident.pid;
	other = stands(b, 1, "/", "/other")->ident.pid;
	recover(b);
	assert_false(lives(b, pid));
	assert_true(lives(b, root) && lives(b, other));
}

static void who_stands_on_a_rootfs_that_others_have_too_is_left(void **state)
{
	struct bench *b = *state;
	uint32_t minor;
	pid_t pid;

	minor = a_rootfs(b)->minor;
	sim_mount_new(b->sim, "overlay", "overlay", "/b/t2/rootfs")->minor = minor;
	pid = stands(b, 1, "/", ROOTFS)->ident.pid;
	recover(b);
	assert_true(lives(b, pid));
}

static void who_stands_on_a_rootfs_that_is_no_mount_is_left(void **state)
{
	struct bench *b = *state;
	pid_t pid;

	a_bundle(b);
	sim_make(b->sim, ROOTFS, S_IFDIR);
	pid = stands(b, 1, "/", ROOTFS)->ident.pid;
	recover(b);
	assert_true(lives(b, pid));
}

static int (*plain_mounts)(struct node *n, struct mount_list *ret, struct err *err);

static int other_major(struct node *n, struct mount_list *ret, struct err *err)
{
	int r = plain_mounts(n, ret, err);

	for (size_t i = 0; r == 0 && i < ret->n; i++)
		ret->at[i].major = strcmp(ret->at[i].target, "/b/t2/rootfs") == 0 ? 8 : 0;
	return r;
}

static void a_file_system_of_another_major_is_another(void **state)
{
	struct bench *b = *state;
	uint32_t minor;
	pid_t pid;

	minor = a_rootfs(b)->minor;
	sim_mount_new(b->sim, "ext4", "/dev/sda1", "/b/t2/rootfs")->minor = minor;
	plain_mounts = b->node.node.mounts;
	b->node.node.mounts = other_major;
	pid = stands(b, 1, "/", ROOTFS)->ident.pid;
	recover(b);
	assert_false(lives(b, pid));
}

/* ---- in a session --------------------------------------------------------------------------------------- */

/* The session that a child of the task began, which is dead, and an orphan in it. */
static struct sim_proc *in_session(struct bench *b, const char *epoch, struct ident *leader)
{
	struct sim_proc *p = stands(b, 1, "/", "/");

	*leader = (struct ident){ .pid = NOBODY, .start = p->ident.start };
	assert_int_equal(journal_child(b->j, 0, leader, "the monitor", epoch, 0, 0,
				       &(int64_t){ 0 }, NULL), 0);
	p->sid = leader->pid;
	return p;
}

static void who_is_left_of_a_childs_session_is_ended(void **state)
{
	struct bench *b = *state;
	struct ident leader;
	struct sim_proc *p = in_session(b, b->sim->epoch, &leader);
	pid_t pid = p->ident.pid;

	p->ident.start += TICKS;
	recover(b);
	assert_false(lives(b, pid));
}

static void who_is_too_young_or_too_old_for_the_session_is_left(void **state)
{
	struct bench *b = *state;
	struct ident leader;
	struct sim_proc *old = in_session(b, b->sim->epoch, &leader);
	struct sim_proc *young = stands(b, 1, "/", "/");
	pid_t pids[] = { old->ident.pid, young->ident.pid };

	young->sid = old->sid;
	old->ident.start--;
	young->ident.start += TICKS + 1;
	recover(b);
	assert_true(lives(b, pids[0]) && lives(b, pids[1]));
}

static void a_session_of_that_number_in_another_epoch_is_another(void **state)
{
	struct bench *b = *state;
	struct ident leader;
	pid_t pid = in_session(b, "boot-0 1 2", &leader)->ident.pid;

	recover(b);
	assert_true(lives(b, pid));
}

static void a_session_whose_leader_is_another_process_is_another(void **state)
{
	struct bench *b = *state;
	struct ident leader;
	pid_t pid = in_session(b, b->sim->epoch, &leader)->ident.pid;
	struct sim_proc *other = stands(b, 1, "/", "/");

	other->ident.pid = other->sid = leader.pid;
	other->ident.start = leader.start + 1;
	recover(b);
	assert_true(lives(b, pid) && lives(b, leader.pid));
}

/* Of our own session are those who start us, too. */
static void our_own_session_is_no_childs(void **state)
{
	struct bench *b = *state;
	struct sim_proc *p = stands(b, 1, "/", "/");
	struct ident self = sim_find(b->sim, b->sim->me)->ident;

	p->sid = self.pid;
	assert_int_equal(journal_child(b->j, 0, &self, "a recovery", b->sim->epoch, 0, 0,
				       &(int64_t){ 0 }, NULL), 0);
	recover(b);
	assert_true(lives(b, p->ident.pid));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_open, bench_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_orphan_in_the_bundle_is_ended_with_its_children_there),
		TEST(who_has_a_parent_that_was_not_seen_is_no_orphan),
		TEST(a_folder_of_that_number_on_another_device_is_not_the_bundle),
		TEST(who_called_us_is_no_stray_wherever_he_stands),
		TEST(parents_in_a_circle_end_the_search),
		TEST(who_stands_on_a_rootfs_of_its_own_is_ended),
		TEST(who_stands_on_a_rootfs_that_others_have_too_is_left),
		TEST(who_stands_on_a_rootfs_that_is_no_mount_is_left),
		TEST(a_file_system_of_another_major_is_another),
		TEST(who_is_left_of_a_childs_session_is_ended),
		TEST(who_is_too_young_or_too_old_for_the_session_is_left),
		TEST(a_session_of_that_number_in_another_epoch_is_another),
		TEST(a_session_whose_leader_is_another_process_is_another),
		TEST(our_own_session_is_no_childs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
