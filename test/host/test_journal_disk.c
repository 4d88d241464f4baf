/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that are really full, or read-only: small tmpfs mounts in a mount namespace of
 * this program's own, which end with it. Needs root.
 */
#include "journal/base/file.h"
#include "journal/journal.h"
#include "test/lib/journal_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct world {
	struct test_place p;
	struct err err;
};

static void mount_root(struct world *w, const char *options)
{
	if (mkdir(w->p.root, 0700) < 0 || mount("journal", w->p.root, "tmpfs", 0, options) < 0)
		fail_msg("mount %s: %s", w->p.root, strerror(errno));
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	test_place_make(&w->p, NULL);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	umount2(w->p.root, MNT_DETACH);
	test_place_remove(&w->p);
	free(w);
	return 0;
}

static int try_open(struct world *w, const char *id, enum journal_open how, struct journal **j)
{
	struct task_key key = test_key(id);

	return journal_open(j, &w->p.place, &key, how, &w->err);
}

/* Leave at most @leave bytes free. */
static void fill(struct world *w, off_t leave)
{
	char path[PATH_MAX], block[4096] = { 1 };
	off_t size = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/ballast", w->p.root);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, block, sizeof(block)) == (ssize_t)sizeof(block))
		size += (off_t)sizeof(block);
	assert_int_equal(ftruncate(fd, size > leave ? size - leave : 0), 0);
	close(fd);
}

static void unfill(struct world *w)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/ballast", w->p.root);
	assert_int_equal(unlink(path), 0);
}

static void read_only(struct world *w)
{
	if (mount(NULL, w->p.root, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		fail_msg("remount: %s", strerror(errno));
}

/* With one page more and more: wherever in the making the disk runs out. */
static void a_create_on_a_full_disk_is_refused_and_leaves_nothing(void **state)
{
	struct world *w = *state;
	struct journal *j = NULL;
	int refused = 0, r = -1;

	mount_root(w, "size=512k");
	for (off_t leave = 0; r < 0; leave += 4096) {
		fill(w, leave);
		r = try_open(w, "c1", JOURNAL_CREATE, &j);
		if (r < 0) {
			assert_int_equal(r, -ENOSPC);
			assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 0);
			refused++;
		}
		unfill(w);
	}
	assert_true(refused >= 3);
	assert_int_equal(journal_lease(j), 1);
	journal_close(j);
}

static void a_create_without_inodes_is_refused_with_the_reason(void **state)
{
	struct world *w = *state;
	struct journal *j = NULL;
	int r = -1;
	char options[64];

	/* folders, file, draft, WAL, shared memory: one more every time */
	for (int inodes = 2; r < 0 && inodes < 20; inodes++) {
		snprintf(options, sizeof(options), "size=1m,nr_inodes=%d", inodes);
		mount_root(w, options);
		r = try_open(w, "c1", JOURNAL_CREATE, &j);
		if (r < 0)
			assert_int_equal(r, -ENOSPC);
		j = journal_close(j);
		assert_int_equal(umount2(w->p.root, 0), 0);
		rmdir(w->p.root);
	}
	assert_int_equal(r, 0);
}

static void what_runs_on_a_full_disk_is_told_and_goes_on_later(void **state)
{
	struct world *w = *state;
	struct journal *j;
	int r = 0;

	mount_root(w, "size=512k");
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	fill(w, 0);
	for (int i = 0; r == 0 && i < 1000; i++)
		r = journal_note(j, "n", "a line of the life", &w->err);
	assert_int_equal(r, -ENOSPC);
	assert_non_null(strstr(w->err.text, "the disk is full"));
	unfill(w);
	assert_int_equal(journal_note(j, "n", "on", &w->err), 0);
	assert_int_equal(journal_check(j, &w->err), 0);
	journal_close(j);
}

static int see_note(void *arg, const struct note_row *row, struct err *err)
{
	(void)err;
	snprintf(arg, 64, "%s", row->text);
	return 0;
}

/* All of it is in the WAL: what ignores that would read an empty task. */
static void a_read_only_disk_can_be_read_with_its_wal(void **state)
{
	struct world *w = *state;
	char side[PATH_MAX], text[64] = "";
	struct journal *j;

	mount_root(w, "size=512k");
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	assert_int_equal(journal_note(j, "n", "in the WAL", &w->err), 0);
	journal_close(j);
	test_live_path(&w->p, "c1", "-shm", side);
	assert_int_equal(unlink(side), 0);
	read_only(w);
	assert_int_equal(try_open(w, "c1", JOURNAL_READ, &j), 0);
	assert_int_equal(journal_each_note(j, see_note, text, &w->err), 0);
	assert_string_equal(text, "in the WAL");
	assert_int_equal(journal_check(j, &w->err), 0);
	journal_close(j);
}

static void a_read_only_disk_is_erofs_and_rescued_from_a_copy(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j = NULL;
	char text[64] = "";

	mount_root(w, "size=512k");
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	assert_int_equal(journal_note(j, "n", "in the WAL", &w->err), 0);
	journal_close(j);
	read_only(w);
	j = NULL;
	assert_int_equal(try_open(w, "c1", JOURNAL_OWN, &j), -EROFS);
	assert_int_equal(try_open(w, "c2", JOURNAL_CREATE, &j), -EROFS);
	assert_int_equal(journal_open_rescue(&j, &w->p.place, &key, &w->err), 0);
	assert_int_equal(journal_each_note(j, see_note, text, &w->err), 0);
	assert_string_equal(text, "in the WAL");
	assert_int_equal(journal_note(j, "n", "in the copy", &w->err), 0);
	journal_close(j);
	assert_int_equal(try_open(w, "c1", JOURNAL_OWN, &j), 0);
	assert_true(journal_is_rescue(j));
	journal_each_note(j, see_note, text, &w->err);
	assert_string_equal(text, "in the copy");
	assert_int_equal(journal_finish(&j, &w->err), -EROFS);
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 1);
}

static void a_task_on_a_full_disk_is_rescued_and_finished(void **state)
{
	struct world *w = *state;
	struct task_key key = test_key("c1");
	struct journal *j;
	int r = 0;

	mount_root(w, "size=512k");
	j = test_open(&w->p, "c1", JOURNAL_CREATE);
	test_plan(j, 1);
	fill(w, 0);
	for (int i = 0; r == 0 && i < 1000; i++)
		r = journal_note(j, "n", "a line of the life", &w->err);
	assert_int_equal(r, -ENOSPC);
	journal_close(j);
	assert_int_equal(journal_open_rescue(&j, &w->p.place, &key, &w->err), 0);
	assert_int_equal(journal_intend(j, 1, "e", true, 1, &w->err), 0);
	assert_int_equal(journal_finish(&j, &w->err), 0);
	assert_int_equal(test_count(&w->p, JOURNAL_LIVE), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_create_on_a_full_disk_is_refused_and_leaves_nothing),
		T(a_create_without_inodes_is_refused_with_the_reason),
		T(what_runs_on_a_full_disk_is_told_and_goes_on_later),
		T(a_read_only_disk_can_be_read_with_its_wal),
		T(a_read_only_disk_is_erofs_and_rescued_from_a_copy),
		T(a_task_on_a_full_disk_is_rescued_and_finished),
	};

	if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		printf("small disks can only be mounted by root\n");
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
